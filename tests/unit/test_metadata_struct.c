/* SPDX-License-Identifier: MIT */
/* Program metadata in its struct form: read from bytes written down from the public format. */
#include "test_metadata.h"

/* The same metadata in the struct form. */
static void full_struct(struct pen *p)
{
	*p = (struct pen){ 0 };
	put(p, 1, 2); /* 0: version 1.0 */
	put(p, 0, 6);
	put(p, 160, 8);	 /* name */
	put(p, 168, 8);	 /* semaphores */
	put(p, 176, 8);	 /* L2TCM image */
	put(p, 184, 8);	 /* DMA requests */
	put(p, 312, 8);	 /* NSP multicast tables */
	put(p, 368, 8);	 /* host multicast table */
	put(p, 392, 8);	 /* threads */
	put(p, 408, 8);	 /* 64: constant mappings */
	put(p, 1024, 8); /* 72: static shared */
	put(p, 512, 8);
	put(p, 8192, 8); /* 88: static constants */
	put(p, 4096, 8);
	put(p, 0x460, 8); /* 104: exit doorbell */
	put(p, 4096, 4);  /* 112: L2 cached DDR */
	put(p, 6, 4);	  /* L2TCM image bytes */
	put(p, 5, 2);	  /* 120: exec context */
	put(p, 2, 2);	  /* NSPs */
	put(p, 2, 2);	  /* semaphores */
	put(p, 2, 2);	  /* DMA requests */
	put(p, 1, 2);	  /* threads */
	put(p, 1, 2);	  /* 130: constant mappings */
	put(p, 2, 1);	  /* hardware 2.0 */
	put(p, 0, 1);
	put(p, 0, 1); /* ECC */
	put(p, 1, 1);
	put(p, 0, 2);
	put(p, 1, 1); /* 138: single page, HVX, HMX floating point */
	put(p, 1, 1);
	put(p, 0, 4);
	put(p, 8 << 20, 4); /* 144: VTCM */
	put(p, 1 << 20, 4);
	put(p, 65536, 8);      /* 152: heap */
	put(p, 0x6c6c7566, 8); /* 160: "full" */
	put(p, 0, 4);	       /* 168: semaphores */
	put(p, 2, 4);
	put(p, 0x060504030201, 8); /* 176 */
	put(p, 280, 8);		   /* 184: request 0: its semaphore operations, doorbells */
	put(p, 296, 8);
	put(p, 64, 8);
	put(p, 256, 8);
	put(p, 128, 4);
	put(p, 0, 4);	   /* buffer 0, multicast id 0 */
	put(p, 0x0102, 2); /* two semaphore operations, one doorbell */
	put(p, 0x0001, 2); /* DDR, to the device */
	put(p, 100, 4);
	put(p, 0, 16); /* 232: request 1 */
	put(p, 0, 8);
	put(p, 480, 8);
	put(p, 32, 4);
	put(p, 1, 4);
	put(p, 0, 2);
	put(p, 0x0102, 2); /* dynamic DDR, from the device */
	put(p, 101, 4);
	put(p, 1, 2); /* 280: wait until semaphore 1 is 2, before, with an out fence */
	put(p, 2, 2);
	put(p, 0x01000104, 4);
	put(p, 0, 8);  /* and nothing */
	put(p, 12, 8); /* 296: doorbell */
	put(p, 0x11223344, 4);
	put(p, 0x00020000, 4);
	put(p, 344, 8); /* 312: NSP 0: one entry; NSP 1: none */
	put(p, 1, 8);
	put(p, 0, 16);
	put(p, 4096, 8); /* 344 */
	put(p, 2, 4);
	put(p, 0x464, 4);
	put(p, 0x0101, 8);
	put(p, 384, 8); /* 368: host */
	put(p, 1, 8);
	put(p, 3, 4); /* 384 */
	put(p, 0x464, 4);
	put(p, 0x2000040, 8); /* 392: thread */
	put(p, 3, 8);
	put(p, 256, 8); /* 408: mapping */
	put(p, 3, 4);
	put(p, 512, 4);
}

static void test_struct(void)
{
	struct qeff_metadata *md;
	struct qeff_error err;
	struct pen p;

	full_struct(&p);
	CU_ASSERT_EQUAL_FATAL(p.n, 424);
	if (parse(p.bytes, p.n, &md, &err)) {
		CU_ASSERT(says(&err, "no error"));
		return;
	}
	CU_ASSERT_EQUAL(md->form, QEFF_MD_STRUCT);
	check_full(md);
	qeff_metadata_free(md);
	for (size_t n = 0; n < p.n; n++)
		CU_ASSERT_EQUAL(parse_only(p.bytes, n, &err), -EINVAL);
}

static void test_struct_broken(void)
{
	static const struct change changes[] = {
		{ 8, 8, 424, -EINVAL, "network name" },
		{ 8, 8, -1ull, -EINVAL, "network name" },
		{ 16, 8, 420, -EINVAL, "semaphores" },
		{ 24, 8, 419, -EINVAL, "L2TCM image" },
		{ 32, 8, 330, -EINVAL, "DMA requests" },
		{ 40, 8, 400, -EINVAL, "NSP multicast tables" },
		{ 48, 8, 410, -EINVAL, "host multicast table" },
		{ 56, 8, 409, -EINVAL, "thread descriptors" },
		{ 64, 8, -16ull, -EINVAL, "constant mappings" },
		{ 116, 4, 0xffffffff, -EINVAL, "L2TCM image" },
		{ 122, 2, 0, -EINVAL, "NSPs" },
		{ 122, 2, 0xffff, -EINVAL, "NSP multicast tables" },
		{ 124, 2, 0xffff, -EINVAL, "semaphores" },
		{ 126, 2, 0xffff, -EINVAL, "DMA requests" },
		{ 184, 8, 409, -EINVAL, "semaphore operations" },
		{ 192, 8, 409, -EINVAL, "doorbell operations" },
		{ 224, 1, 5, -EINVAL, "at most 4" },
		{ 312, 8, 401, -EINVAL, "NSP multicast entries" },
		{ 368, 8, 417, -EINVAL, "host multicast entries" },
		{ 160, 1, 1, -EINVAL, "network name" },
	};
	struct pen p;

	full_struct(&p);
	check_changes(&p, changes, sizeof(changes) / sizeof(changes[0]));
}

static void test_bit_flips(void)
{
	struct pen p;

	full_struct(&p);
	CU_ASSERT(flip_bits(&p) > 1500);
}

static const struct unit_test tests[] = {
	{ "struct", test_struct },
	{ "struct_broken", test_struct_broken },
	{ "bit_flips", test_bit_flips },
};

QEFF_UNIT_MAIN("metadata struct", tests)
