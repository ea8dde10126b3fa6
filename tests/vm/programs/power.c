/* SPDX-License-Identifier: MIT */
/*
 * What the tests of power and resets need beside the shell.
 *
 * usage: vm-power hold NODE PACKAGE SECONDS
 *                      queues an input, says "queued", waits for it, and prints what the wait gave:
 *                      "0" or the name of an error
 *        vm-power work NODE PACKAGE           a transfer each way, compared
 *        vm-power kexec KERNEL INITRD APPEND  makes the next kernel ready
 *        vm-power go                          and starts it
 */
#include "client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BYTES 4096u

static int fail(const char *what, int ret)
{
	fprintf(stderr, "%s: %s\n", what, strerror(-ret));
	return 1;
}

/* An activated client with a buffer in each direction, for the same piece of the card's memory. */
static int begin(struct client *c, uint32_t *h, uint8_t **memory)
{
	int ret = client_open(c);

	for (unsigned int i = 0; !ret && i < 2; i++) {
		struct qaic_attach_slice_entry slice = { .size = BYTES };

		slice.dev_addr = c->active.ddr_base;
		if (i) {
			slice.sem0.flags = QAIC_SEM_INSYNCFENCE;
			slice.sem0.presync = 1;
		}
		h[i] = bo_new(c->fd, BYTES);
		memory[i] = bo_map(c->fd, h[i], BYTES);
		ret = memory[i] ? client_attach(c, h[i], i + 1, &slice, 1) : -ENOMEM;
	}
	return ret;
}

static int hold(const char *seconds)
{
	struct client c;
	uint8_t *memory[2];
	uint32_t h[2];
	int ret = begin(&c, h, memory) ?: client_execute(&c, h, 1);

	if (ret)
		return fail("hold", ret);
	printf("queued\n");
	fflush(stdout);
	ret = client_wait(&c, h[0], (uint32_t)atoi(seconds) * 1000);
	printf("%s\n", ret ? strerrorname_np(-ret) : "0");
	return 0;
}

static int work(void)
{
	struct client c;
	uint8_t *memory[2];
	uint32_t h[2];
	int ret = begin(&c, h, memory);

	if (ret)
		return fail("begin", ret);
	memset(memory[0], 0x5a, BYTES);
	ret = client_execute(&c, h, 2) ?: client_wait(&c, h[1], 5000);
	if (ret)
		return fail("execute", ret);
	if (memcmp(memory[0], memory[1], BYTES)) {
		fprintf(stderr, "what came back is not what was sent\n");
		return 1;
	}
	return 0;
}

static int next_kernel(char **path)
{
	int kernel = open(path[0], O_RDONLY | O_CLOEXEC),
	    initrd = open(path[1], O_RDONLY | O_CLOEXEC);

	if (kernel < 0 || initrd < 0)
		return fail("open", -errno);
	if (syscall(SYS_kexec_file_load, kernel, initrd, strlen(path[2]) + 1, path[2], 0ul))
		return fail("kexec_file_load", -errno);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 5 && !strcmp(argv[1], "kexec"))
		return next_kernel(argv + 2);
	if (argc == 2 && !strcmp(argv[1], "go")) {
		reboot(RB_KEXEC);
		return fail("reboot", -errno);
	}
	if (argc < 4 || clients_init(argv[2], argv[3]))
		return 2;
	if (argc == 5 && !strcmp(argv[1], "hold"))
		return hold(argv[4]);
	if (argc == 4 && !strcmp(argv[1], "work"))
		return work();
	return 2;
}
