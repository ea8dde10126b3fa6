/* SPDX-License-Identifier: MIT */
/* The trace's lines, from messages and elements made by hand. */
#include "unit.h"

#include "softcard/trace.h"
#include "util/bytes.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char path[] = "/tmp/qeff-trace-XXXXXX";
static struct qeff_trace *trace;

static void begin(void)
{
	int fd;

	strcpy(path, "/tmp/qeff-trace-XXXXXX");
	fd = mkstemp(path);
	CU_ASSERT_FATAL(fd >= 0);
	close(fd);
	CU_ASSERT_EQUAL_FATAL(qeff_trace_open(path, &trace, NULL), 0);
}

static void end(const char *expected)
{
	static char text[8192];
	FILE *f = fopen(path, "r");
	size_t n;

	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = 0;
	fclose(f);
	qeff_trace_close(trace);
	unlink(path);
	if (strcmp(text, expected))
		fprintf(stderr, "found:\n%sexpected:\n%s", text, expected);
	CU_ASSERT_STRING_EQUAL(text, expected);
}

/* A message of one transaction: header, type, length, then @words from offset 8 of it on. */
static void control(bool to_card, uint32_t user, uint32_t type, const uint32_t *words,
		    uint32_t count)
{
	static uint8_t m[1024];
	uint32_t length = (8 + 4 * count + 7) & ~7u;

	memset(m, 0, sizeof(m));
	qeff_put_u32(m + 4, 0x43494151);
	qeff_put_u32(m + 12, 32 + length);
	qeff_put_u32(m + 16, 1);
	qeff_put_u32(m + 20, user);
	qeff_put_u32(m + 32, type);
	qeff_put_u32(m + 36, length);
	memcpy(m + 40, words, 4 * (size_t)count);
	qeff_trace_control(trace, to_card, m, 32 + length);
}

static void messages(void)
{
	uint32_t elf_response[4] = { 4, 0x1234 }, unload[2] = { 7, 0x1234 }, other[2] = { 7, 9 };
	uint32_t part[4] = { 300, 0, 5 }, version[4] = { 5 };

	begin();
	control(true, 40, 15, NULL, 0);
	control(false, 40, 14, version, 4);
	control(false, 3, 3, elf_response, 4);
	control(true, 40, 4, unload, 2);
	control(true, 3, 4, other, 2);
	/* parts of a transfer are not there */
	control(true, 3, 6, part, 4);
	control(false, 3, 18, part, 4);
	qeff_trace_control(trace, true, "nonsense", 8);
	qeff_trace_control(trace, false, "", 0);
	end("> user0: status\n"
	    "< user0: status 5.0 0\n"
	    "< user1: LOAD_ELF response elf0 status 0\n"
	    "> user0: UNLOAD_ELF elf0\n"
	    "> user1: UNLOAD_ELF elf1\n"
	    "> malformed, 8 bytes\n"
	    "< malformed, 0 bytes\n");
}

static void activate(void)
{
	uint32_t response[22] = { 10 };

	response[2] = 77;
	response[3] = 3;
	response[4] = 0x1000;
	response[6] = 0x9000;
	response[9] = 0x8000; /* mcid base, high word */
	((uint8_t *)response)[82] = 0xf0;
	control(false, 0, 3, response, 22);
}

static void element(uint16_t id, uint8_t command, uint64_t device, uint32_t size_bytes,
		    uint32_t semaphore, bool doorbell)
{
	uint8_t e[64] = { 0 };
	bool to_device = (command & 3) == 1;

	qeff_put_u16(e, id);
	e[3] = command;
	qeff_put_u64(e + 8, to_device ? 0xdead0000 + id : device);
	qeff_put_u64(e + 16, to_device ? device : 0xdead0000 + id);
	qeff_put_u32(e + 24, size_bytes);
	qeff_put_u32(e + 48, semaphore);
	if (doorbell) {
		qeff_put_u64(e + 32, 0x800000000010);
		e[40] = 0x81;
		qeff_put_u32(e + 44, 9);
	}
	qeff_trace_element(trace, 3, e);
}

static void slices(void)
{
	begin();
	element(1, 0x19, 0x1040, 16, 0, false);
	activate();
	/* one element; the same in three pieces; and two slices of one request */
	element(2, 0x19, 0x1040, 300, 0x81400001, true);
	element(3, 0x09, 0x1040, 100, 0, false);
	element(3, 0x09, 0x1040 + 100, 100, 0, false);
	element(3, 0x19, 0x1040 + 200, 100, 0x81400001, true);
	element(4, 0x19, 0x9000, 8, 0x82050000, false);
	element(4, 0x9a, 0x800000800020, 8, 1u << 30, false);
	element(5, 0x18, 0, 0, 0x86010000, false);
	/* one that never ends, seen when the next begins */
	element(6, 0x0a, 0x1000, 8, 0, false);
	element(7, 0x19, 0x10, 8, 0, false);
	end("* channel0 in 16 outside completion\n"
	    "< user0: ACTIVATE response status 0 activation0 nsps 4\n"
	    "* channel0 in 300 ddr+0x40 pre-init(s0, 1) doorbell16 nsp+0x10=9 completion\n"
	    "* channel0 in 300 ddr+0x40 pre-init(s0, 1) doorbell16 nsp+0x10=9 completion\n"
	    "* channel0 in 8 dynamic+0 post-inc(s5, 0) completion\n"
	    "* channel0 out 8 nsp+0x800020 completion msi\n"
	    "* channel0 sync post-take(s1, 0) completion\n"
	    "* channel0 out 8 ddr+0\n"
	    "* channel0 in 8 outside completion\n");
}

static void nowhere(void)
{
	struct qeff_error err = { 0 };

	CU_ASSERT_EQUAL(qeff_trace_open("/nonexistent/trace", &trace, &err), -2);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "/nonexistent/trace"));
	qeff_trace_control(NULL, true, "", 0);
	qeff_trace_element(NULL, 0, NULL);
	qeff_trace_close(NULL);
}

static const struct unit_test tests[] = {
	{ "messages", messages },
	{ "slices", slices },
	{ "no file", nowhere },
};
QEFF_UNIT_MAIN("vcard-trace", tests)
