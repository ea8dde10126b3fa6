/* SPDX-License-Identifier: MIT */
/*
 * Stands in front of the C library's allocator: linked into a program, or preloaded into a tool,
 * where $QEFF_FAIL_ALLOCATION (the number of the allocation that fails) and $QEFF_FAIL_ONWARDS (if
 * set, all after it fail as well) arm it before main(). At exit, the allocations are counted into
 * the file $QEFF_COUNT_ALLOCATIONS.
 */
#include "failing_malloc.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

/* The C library's own names for what it offers under these. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *block, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *block);
void *memalign(size_t alignment, size_t size);

static atomic_long countdown; /* 0: not armed; below: has failed */
static atomic_bool onwards_too;
static atomic_long live, calls;

/*
 * Jansson 2.14 ignores that its buffer for a token could not grow, and then copies the token past
 * the end of another. Nobody can handle that for it, so that allocation is spared: its size is a
 * power of two from 32 on.
 */
static bool spared(size_t size, const void *caller)
{
	Dl_info object;

	return size >= 32 && !(size & (size - 1)) && dladdr(caller, &object) && object.dli_fname &&
	       strstr(object.dli_fname, "/libjansson");
}

static bool fails(size_t size, const void *caller)
{
	long left;

	if (spared(size, caller))
		return false;
	atomic_fetch_add(&calls, 1);
	if (!atomic_load(&countdown))
		return false;
	left = atomic_fetch_sub(&countdown, 1);
	/* never back at 0, which would mean something else */
	if (left == 1)
		atomic_fetch_sub(&countdown, 1);
	if (left == 1 || (left < 0 && atomic_load(&onwards_too))) {
		errno = ENOMEM;
		return true;
	}
	return false;
}

static void *counted(void *block)
{
	if (block)
		atomic_fetch_add(&live, 1);
	return block;
}

EXPORT void *malloc(size_t size)
{
	return fails(size, __builtin_return_address(0)) ? NULL : counted(__libc_malloc(size));
}

EXPORT void *calloc(size_t count, size_t size)
{
	return fails(count * size, __builtin_return_address(0))
		       ? NULL
		       : counted(__libc_calloc(count, size));
}

EXPORT void *realloc(void *block, size_t size)
{
	void *moved;

	if (block && !size) {
		free(block);
		return NULL;
	}
	if (fails(size, __builtin_return_address(0)))
		return NULL;
	moved = __libc_realloc(block, size);
	return block ? moved : counted(moved);
}

EXPORT void *memalign(size_t alignment, size_t size)
{
	return fails(size, __builtin_return_address(0)) ? NULL
							: counted(__libc_memalign(alignment, size));
}

EXPORT void *aligned_alloc(size_t alignment, size_t size)
{
	return memalign(alignment, size);
}

EXPORT int posix_memalign(void **block, size_t alignment, size_t size)
{
	void *aligned = memalign(alignment, size);

	if (!aligned)
		return ENOMEM;
	*block = aligned;
	return 0;
}

EXPORT void free(void *block)
{
	if (block)
		atomic_fetch_sub(&live, 1);
	__libc_free(block);
}

void failing_malloc_arm(long number, bool onwards)
{
	atomic_store(&onwards_too, onwards);
	atomic_store(&countdown, number);
}

bool failing_malloc_disarm(void)
{
	return atomic_exchange(&countdown, 0) < 0;
}

long failing_malloc_live(void)
{
	return atomic_load(&live);
}

__attribute__((constructor)) static void arm_from_environment(void)
{
	const char *number = getenv("QEFF_FAIL_ALLOCATION");

	if (number)
		failing_malloc_arm(atol(number), getenv("QEFF_FAIL_ONWARDS"));
}

__attribute__((destructor)) static void count_into_file(void)
{
	const char *path = getenv("QEFF_COUNT_ALLOCATIONS");
	int fd = path ? open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644) : -1;

	if (fd < 0)
		return;
	dprintf(fd, "%ld\n", atomic_load(&calls));
	close(fd);
}
