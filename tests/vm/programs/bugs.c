/* SPDX-License-Identifier: MIT */
/*
 * Runs one of the tests of bugs.h.
 *
 * usage: vm-bugs NODE PACKAGE NUMBER [OTHER-NODE]
 */
#include "bugs.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static unsigned int tests, failures;
static const char *own_node;
const char *other_node;

void check_at(int line, const char *what, bool ok)
{
	tests++;
	failures += !ok;
	if (!ok)
		printf("# line %d: %s\n", line, what);
}

void expect_at(int line, const char *what, int want, int got)
{
	check_at(line, what, got == want);
	if (got != want)
		printf("#   %s, wanted %s\n", strerror(-got), strerror(-want));
}

const char *host(const char *format, ...)
{
	static char answer[1 << 18];
	static int port = -1;
	size_t used = 0;
	va_list args;

	if (port < 0)
		port = open("/dev/ttyS3", O_RDWR | O_NOCTTY | O_CLOEXEC);
	va_start(args, format);
	vdprintf(port, format, args);
	va_end(args);
	if (write(port, "\n", 1) != 1)
		exit(2);
	while (used < sizeof(answer) - 1) {
		ssize_t n = read(port, answer + used, 1);

		if (n != 1)
			exit(2);
		if (answer[used] == '\n')
			break;
		used++;
	}
	answer[used] = 0;
	return answer;
}

void plan(const char *faults)
{
	check("the host took the plan", !strcmp(host("fault 1 %s", faults), "ok"));
}

long card_counter(const char *name)
{
	char key[64];
	const char *at;

	snprintf(key, sizeof(key), "\"%s\":", name);
	at = strstr(host("stats 1"), key);
	return at ? atol(at + strlen(key)) : -1;
}

unsigned int card_mapped(void)
{
	const char *at = host("stats 1");
	unsigned int n = 0;

	while ((at = strstr(at, "\"memory\":true"))) {
		at++;
		n++;
	}
	return n;
}

double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

int channel_state(unsigned int dbc_id)
{
	bool accel = strstr(own_node, "accel");
	const char *base = strrchr(own_node, '/') + 1;
	char path[128], text[8] = "";
	int fd;

	snprintf(path, sizeof(path), "/sys/class/%s/%s/dbc%u_state", accel ? "accel" : "drm", base,
		 dbc_id);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	if (read(fd, text, sizeof(text) - 1) < 1)
		text[0] = 0;
	close(fd);
	return *text ? atoi(text) : -1;
}

int status(int fd)
{
	uint32_t buf[1024] = { QAIC_TRANS_STATUS_FROM_USR, 8 };
	struct qaic_manage_msg msg = { .len = 8, .count = 1, .data = (uintptr_t)buf };

	return call(fd, DRM_IOCTL_QAIC_MANAGE, &msg);
}

uint8_t *scattered(size_t pages, size_t run, unsigned int repeats)
{
	size_t page = 4096, bytes = pages * page, runs = pages / run;
	int fd = memfd_create("scattered", MFD_CLOEXEC);
	uint8_t *at;

	if (fd < 0 || ftruncate(fd, (off_t)bytes))
		return NULL;
	/* memory is given in the order in which it is touched */
	for (size_t i = 0; i < pages; i++)
		if (pwrite(fd, "", 1, (off_t)(i * page)) != 1)
			return NULL;
	at = mmap(NULL, bytes * repeats, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (size_t i = 0; at != MAP_FAILED && i < runs * repeats; i++)
		if (mmap(at + i * run * page, run * page, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_FIXED, fd,
			 (off_t)(i * 7 % runs * run * page)) == MAP_FAILED)
			return NULL;
	close(fd);
	return at == MAP_FAILED ? NULL : at;
}

uint32_t sliced(const struct client *c, uint32_t dir, size_t size_bytes, uint64_t offset)
{
	struct qaic_attach_slice_entry e = {
		.size = size_bytes,
		.dev_addr = c->active.ddr_base + offset,
	};
	uint32_t handle = bo_new(c->fd, size_bytes);

	return handle && !client_attach(c, handle, dir, &e, 1) ? handle : 0;
}

static const struct {
	const char *number;
	void (*run)(void);
} bugs[] = {
	{ "01", bug_encode },	       { "02", bug_decode },	     { "03", bug_pinning },
	{ "04", bug_resend },	       { "05", bug_coalesced },	     { "06", bug_slice_range },
	{ "07", bug_sliced_twice },    { "08", bug_slice_failed },   { "09", bug_create_failed },
	{ "10", bug_prime },	       { "11", bug_execute_failed }, { "12", bug_submitters },
	{ "13", bug_perf_foreign },    { "14", bug_release },	     { "15", bug_handles },
	{ "16", bug_late_deactivate }, { "19", bug_short_mmap },     { "20", bug_spurious },
	{ "21", bug_prime },	       { "22", bug_perf_unsliced },  { "23", bug_room },
	{ "25", bug_no_memory },       { "26", bug_execute_many },   { "27", bug_leaving },
};

int main(int argc, char **argv)
{
	if (argc < 4)
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	own_node = argv[1];
	other_node = argv[4];
	if (clients_init(argv[1], argv[2]))
		return 2;
	for (size_t i = 0; i < sizeof(bugs) / sizeof(bugs[0]); i++)
		if (!strcmp(bugs[i].number, argv[3])) {
			bugs[i].run();
			printf("# %u of %u\n", tests - failures, tests);
			return failures || !tests;
		}
	return 2;
}
