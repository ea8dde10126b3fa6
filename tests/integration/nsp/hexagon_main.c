/* SPDX-License-Identifier: MIT */
/*
 * One inference on Hexagon, as a Linux process without a C library: reads a program's constants and
 * a DDR image, validates, runs every phase on every NSP, writes the DDR image back.
 *
 * Usage: nsp_hexagon CONSTANTS DDR_IN DDR_OUT. Exit status: 0, or 1 to 4 for the step that failed.
 */
#include "nsp/kernels.h"

#define CONSTANTS_BYTES (4u << 20)
#define DDR_BYTES	(4u << 20)
#define INSTANCE_BYTES	(1u << 20)

static uint8_t constants[CONSTANTS_BYTES] __attribute__((aligned(128)));
static uint8_t ddr[DDR_BYTES] __attribute__((aligned(128)));
static uint8_t scratch[QEFF_NSP_MAX_SCRATCH_BYTES] __attribute__((aligned(128)));
static uint8_t instance[INSTANCE_BYTES] __attribute__((aligned(128)));

/* Numbers of the system calls, the same for every architecture that came late. */
enum { OPENAT = 56, READ = 63, WRITE = 64, EXIT_GROUP = 94 };

static long system_call(long number, long a, long b, long c, long d)
{
	register long r0 __asm__("r0") = a;
	register long r1 __asm__("r1") = b;
	register long r2 __asm__("r2") = c;
	register long r3 __asm__("r3") = d;
	register long r6 __asm__("r6") = number;

	__asm__ volatile("trap0(#1)" : "+r"(r0) : "r"(r1), "r"(r2), "r"(r3), "r"(r6) : "memory");
	return r0;
}

static long open_file(const char *path, long flags)
{
	return system_call(OPENAT, -100, (long)path, flags, 0666);
}

static long read_file(const char *path, uint8_t *to, long most)
{
	long fd = open_file(path, 0), size = 0, got;

	if (fd < 0)
		return -1;
	while (size < most) {
		got = system_call(READ, fd, (long)(to + size), most - size, 0);
		if (got < 0)
			return -1;
		if (!got)
			break;
		size += got;
	}
	return size;
}

static int write_file(const char *path, const uint8_t *from, long size)
{
	long fd = open_file(path, 01 | 0100 | 01000), written;

	if (fd < 0)
		return -1;
	for (; size; size -= written, from += written) {
		written = system_call(WRITE, fd, (long)from, size, 0);
		if (written <= 0)
			return -1;
	}
	return 0;
}

static int run(long argc, const char **argv)
{
	struct qeff_nsp_program program;
	struct qeff_nsp_instance *at = (struct qeff_nsp_instance *)instance;
	long size;
	uint32_t phases;

	if (argc != 4)
		return 1;
	size = read_file(argv[1], constants, sizeof(constants));
	if (size <= 0 || !qeff_nsp_validate(constants, (uint64_t)size, &program, NULL))
		return 2;
	if (program.header->ddr_bytes > sizeof(ddr) ||
	    qeff_nsp_instance_bytes(&program) > sizeof(instance) ||
	    read_file(argv[2], ddr, sizeof(ddr)) != (long)program.header->ddr_bytes)
		return 3;
	qeff_nsp_instance_init(at, &program, &qeff_nsp_kernels_hexagon, ddr);
	phases = qeff_nsp_begin(at);
	for (uint32_t phase = 0; phase < phases; phase++)
		for (uint32_t nsp = 0; nsp < program.header->nsps; nsp++)
			qeff_nsp_phase(at, phase, nsp, scratch);
	qeff_nsp_end(at, 0);
	return write_file(argv[3], ddr, (long)program.header->ddr_bytes) ? 4 : 0;
}

__attribute__((used)) void start(const long *stack);

__attribute__((used)) void start(const long *stack)
{
	system_call(EXIT_GROUP, run(stack[0], (const char **)(stack + 1)), 0, 0, 0);
}

__asm__(".globl _start\n"
	"_start:\n"
	"	r0 = r29\n"
	"	r29 = and(r29, #-128)\n"
	"	call start\n");
