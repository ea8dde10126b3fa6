/* SPDX-License-Identifier: MIT */
/*
 * What every harness needs: the sanitizers' settings, the promises of an error, a folder, and the
 * mutator for libFuzzer.
 */
#include "fuzz.h"

#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

uint64_t fuzz_num_ran, fuzz_num_refused;

/* No input here is larger than 4 MiB: a larger allocation has believed a number in it. */
const char *__asan_default_options(void);
const char *__ubsan_default_options(void);

__attribute__((visibility("default"))) const char *__asan_default_options(void)
{
	return "max_allocation_size_mb=64:allocator_may_return_null=0:quarantine_size_mb=16:abort_on_error=1:"
	       "detect_stack_use_after_return=0:handle_abort=1";
}

__attribute__((visibility("default"))) const char *__ubsan_default_options(void)
{
	return "halt_on_error=1:abort_on_error=1:print_stacktrace=1";
}

void fuzz_require(bool kept, const char *format, ...)
{
	va_list args;

	if (kept)
		return;
	va_start(args, format);
	fputs("broken promise: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	abort();
}

void fuzz_ran(void)
{
	fuzz_num_ran++;
}

void fuzz_refused(int rc, const struct qeff_error *err, const char *place)
{
	fuzz_num_refused++;
	if (getenv("QEFF_FUZZ_VERBOSE"))
		fprintf(stderr, "%d: %s\n", rc, err->message);
	fuzz_require(rc < 0, "a failed call returned %d", rc);
	fuzz_require(err->code == rc, "returned %d, the error says %d: %s", rc, err->code,
		     err->message);
	fuzz_require(rc != -ENOMEM, "memory ran out: %s", err->message);
	fuzz_require(strnlen(err->message, sizeof(err->message)) < sizeof(err->message),
		     "a sentence without an end");
	fuzz_require(strstr(err->message, place), "no \"%s\" in \"%s\"", place, err->message);
	for (const char *at = err->message; *at; at++)
		fuzz_require((unsigned char)*at >= ' ' && *at != 0x7f,
			     "control character 0x%02x in \"%s\"", (unsigned char)*at,
			     err->message);
}

/* ---- files ---- */

static char folder[64];

static void remove_folder(void)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;
	char path[512];

	while (dir && (entry = readdir(dir))) {
		snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
		unlink(path);
	}
	if (dir)
		closedir(dir);
	rmdir(folder);
}

const char *fuzz_folder(void)
{
	if (folder[0])
		return folder;
	snprintf(folder, sizeof(folder), "%s/qeff-fuzz-XXXXXX",
		 access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
	fuzz_require(mkdtemp(folder), "no folder %s", folder);
	atexit(remove_folder);
	return folder;
}

const char *fuzz_write(const char *name, const void *data, size_t size)
{
	static char path[512];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", fuzz_folder(), name);
	file = fopen(path, "wb");
	fuzz_require(file && fwrite(data, 1, size, file) == size && !fclose(file), "writing %s",
		     path);
	return path;
}

/* ---- libFuzzer ---- */

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t capacity) __attribute__((weak));
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t capacity, unsigned int seed);

/* Ours half of the time; libFuzzer's, which learns from what the program compares, otherwise. The
 * harness's own goes before both, where there is one. */
__attribute__((visibility("default"))) size_t
LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t capacity, unsigned int seed)
{
	struct fuzz_region regions[FUZZ_MAX_REGIONS];
	uint64_t state = UINT64_C(0x9e3779b97f4a7c15) * (seed + UINT64_C(1));

	if (fuzz_mutate_whole && seed % 3) {
		size_t changed = fuzz_mutate_whole(data, size, capacity, &state);

		if (changed)
			return changed;
	}
	if (!size || (seed & 1))
		return LLVMFuzzerMutate ? LLVMFuzzerMutate(data, size, capacity) : size;
	return fuzz_mutate(data, size, capacity, &state, regions,
			   fuzz_regions(data, size, regions));
}
