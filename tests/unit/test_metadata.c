/* SPDX-License-Identifier: MIT */
/*
 * Program metadata in its flatbuffer form, bare and terminated: read from bytes written down from
 * the public format, and each rule broken in turn.
 */
#include "test_metadata_flat.h"

/* The smallest useful metadata: version, name, NSPs. */
static const uint8_t smallest[] = {
	LE32(48),	    /* 0: root table */
	LE16(44), LE16(12), /* 4: vtable: its bytes, the table's */
	LE16(8),  LE16(0),  LE16(4),  LE16(0), LE16(0), LE16(0), LE16(0), /* slots 0 version, 2 name
									   */
	LE16(0),  LE16(0),  LE16(0),  LE16(0), LE16(0), LE16(0), LE16(0), LE16(0),
	LE16(0),  LE16(0),		 /* 7..16 */
	LE16(0),  LE16(0),  LE16(10),	 /* 17, 18, 19 NSPs */
	LE32(44),			 /* 48: table: back to its vtable */
	LE32(8),			 /* 52: name */
	LE16(1),  LE16(3),		 /* 56: version 1, 3 NSPs */
	LE32(2),  'h',	    'i',      0, /* 60 */
};

static void test_smallest(void)
{
	struct qeff_error err;
	struct qeff_metadata *md;
	uint8_t behind[8 + sizeof(smallest)] = { 1 };

	CU_ASSERT_EQUAL_FATAL(parse(smallest, sizeof(smallest), &md, &err), 0);
	CU_ASSERT_EQUAL(md->form, QEFF_MD_FLATBUFFER);
	CU_ASSERT_EQUAL(md->version_major, 1);
	CU_ASSERT_EQUAL(md->version_minor, 0);
	CU_ASSERT_EQUAL(md->num_nsps, 3);
	CU_ASSERT_STRING_EQUAL(md->network_name, "hi");
	CU_ASSERT_EQUAL(md->num_dma_requests, 0);
	CU_ASSERT_EQUAL(md->static_shared_ddr_bytes, 0);
	qeff_metadata_free(md);

	memcpy(behind + 8, smallest, sizeof(smallest));
	CU_ASSERT_EQUAL_FATAL(parse(behind, sizeof(behind), &md, &err), 0);
	CU_ASSERT_EQUAL(md->form, QEFF_MD_FLATBUFFER_TERMINATED);
	CU_ASSERT_EQUAL(md->num_nsps, 3);
	qeff_metadata_free(md);

	for (size_t n = 0; n < sizeof(smallest); n++)
		CU_ASSERT_EQUAL(parse_only(smallest, n, &err), -EINVAL);
	for (size_t n = 0; n < sizeof(behind); n++)
		CU_ASSERT_EQUAL(parse_only(behind, n, &err), -EINVAL);
}

/* One byte or number of @smallest changed. */
static void test_smallest_broken(void)
{
	static const struct {
		size_t at, size;
		uint64_t value;
		const char *says;
	} broken[] = {
		{ 0, 4, 0, "root table" },
		{ 0, 4, 50, "root table" },
		{ 0, 4, 60, "vtable" },
		{ 0, 4, 68, "root table" },
		{ 0, 4, 0xfffffffc, "root table" },
		{ 48, 4, 45, "vtable at 3" },
		{ 48, 4, 60, "vtable at -12" },
		{ 48, 4, 0x80000000, "vtable" },
		{ 48, 4, (uint32_t)-20, "vtable" },
		{ 4, 2, 3, "vtable of 3" },
		{ 4, 2, 2, "vtable of 2" },
		{ 4, 2, 64, "vtable of 64" },
		{ 6, 2, 3, "table of 3" },
		{ 6, 2, 20, "table of 20" },
		{ 8, 2, 9, "versionMajor" },
		{ 8, 2, 12, "versionMajor" },
		{ 8, 2, 2, "versionMajor" },
		{ 12, 2, 6, "networkName" },
		{ 52, 4, 0, "networkName" },
		{ 52, 4, 12, "networkName" },
		{ 52, 4, 9, "networkName" },
		{ 60, 4, 3, "networkName" },
		{ 60, 4, 0xffffffff, "networkName" },
		{ 60, 4, 1, "does not end" },
		{ 64, 1, 7, "networkName" },
		{ 64, 1, 0xff, "networkName" },
		{ 56, 2, 2, "version" },
		{ 58, 2, 0, "NSPs" },
		{ 58, 2, 17, "NSPs" },
	};
	struct qeff_error err;

	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
		uint8_t bytes[sizeof(smallest)];

		memcpy(bytes, smallest, sizeof(bytes));
		set(bytes + broken[i].at, broken[i].value, broken[i].size);
		CU_ASSERT_EQUAL(parse_only(bytes, sizeof(bytes), &err), -EINVAL);
		CU_ASSERT(says(&err, broken[i].says));
		CU_ASSERT_EQUAL(err.code, -EINVAL);
	}
}

static void test_full(void)
{
	struct qeff_metadata *md;
	struct qeff_error err;
	struct places at;
	struct pen p;

	full(&p, &at);
	if (parse(p.bytes, p.n, &md, &err)) {
		CU_ASSERT(says(&err, "no error"));
		return;
	}
	check_full(md);
	check_full_flat(md);
	CU_ASSERT_EQUAL_FATAL(md->num_required_fields, 2);
	CU_ASSERT_STRING_EQUAL(md->required_fields[0], "AicMetadataFlat_Metadata->networkName");
	qeff_metadata_free(md);
	for (size_t n = 0; n < p.n; n++)
		if (!parse_only(p.bytes, n, &err))
			CU_ASSERT(p.n - n <= 3); /* only behind the one byte of the last table */
}

/* Every rule for what the numbers mean, broken one at a time. */
static void test_rules(void)
{
	struct places at;
	struct pen p;

	full(&p, &at);
	{
		const struct change changes[] = {
			{ at.version, 2, 2, -EINVAL, "version" },
			{ at.nsps, 2, 1, -EINVAL, "multicast table for each" },
			{ at.num_semaphores, 2, 1, -EINVAL, "semaphoreInitState" },
			{ at.first_semaphore, 4, 0x1000, -EINVAL, "semaphore 0" },
			{ at.required + 30, 1, 'X', -ENOTSUP, "requires a reader" },
			{ at.sem + 4, 2, 2, -EINVAL, "semaphore 2, but there are 2" },
			{ at.sem + 6, 2, 0x1000, -EINVAL, "value" },
			{ at.sem + 8, 1, 7, -EINVAL, "unknown code 7" },
			{ at.bell + 8, 8, 2, -EINVAL, "not aligned" },
			{ at.bell + 8, 8, 0x464, -EINVAL, "multicast id 0" },
			{ at.bell + 8, 8, -4ull, -EINVAL, "multicast id 0" },
			{ at.bell + 16, 2, 1, -EINVAL, "multicast id 1" },
			{ at.bell + 18, 1, 3, -EINVAL, "size code 3" },
			{ at.request + 39, 1, 2, -EINVAL, "direction" },
			{ at.request + 38, 1, 3, -EINVAL, "address space" },
			{ at.request + 38, 1, 0, 0, "" }, /* 256 + 128 fit into the window */
			{ at.request + 24, 8, 1536 - 127, -EINVAL, "shared DDR" },
			{ at.request + 24, 8, 1536 - 128, 0, "" },
			{ at.request + 24, 8, -64ull, -EINVAL, "shared DDR" },
			{ at.request + 16, 8, 0xffffffff, -EINVAL, "host buffer" },
			{ at.request + 16, 8, -1ull, -EINVAL, "host buffer" },
			{ at.request_out + 8, 8, 481, -EINVAL, "shared DDR" },
			{ at.static_shared, 8, -512ull, -EINVAL, "shared DDR are too many" },
			{ at.static_constants, 8, -1ull, -EINVAL, "constants are too many" },
			{ at.nsp_entry + 8, 8, 4095, -EINVAL, "multiple of 4096" },
			{ at.nsp_entry + 8, 8, 8 << 20, -EINVAL, "VTCM" },
			{ at.nsp_entry + 20, 1, 2, -EINVAL, "address space 2" },
			{ at.host_entry + 8, 4, 0x800001, -EINVAL, "of the host" },
			{ at.host_entry + 8, 4, 15, -EINVAL, "multicast id 0" },
			{ at.thread + 16, 1, 4, -EINVAL, "type mask" },
			{ at.mapping + 8, 8, 12288 - 511, -EINVAL, "constant mapping 0" },
			{ at.l2tcm_size, 4, 5, -EINVAL, "initialised" },
			{ at.l2tcm_size, 4, (1 << 20) + 1, -EINVAL, "L2TCM" },
			{ at.vtcm_size, 4, (8 << 20) + 1, -EINVAL, "VTCM" },
			{ at.exit_doorbell, 8, 1 << 20, -EINVAL, "exit doorbell" },
			{ at.l2tcm_init_size, 4, 5, -EINVAL, "L2TCMInitState" },
			{ at.l2tcm_init_size, 4, 0xffffffff, -EINVAL, "L2TCMInitSize" },
			{ at.port + 2, 1, 3, -EINVAL, "port 0" },
			{ at.port + 2, 1, 0xff, -EINVAL, "port 0" },
			{ at.exec_field + 8, 8, 137, -EINVAL, "execution context field 0" },
			{ at.exec, 4, 0x7fffffff, -EINVAL, "execContext" },
		};

		check_changes(&p, changes, sizeof(changes) / sizeof(changes[0]));
	}
}

/* Two operations before one transfer; more than four operations. */
static void test_semaphore_counts(void)
{
	struct qeff_md_semaphore_op ops[5] = { { .op = QEFF_MD_SEM_INC, .pre = true },
					       { .op = QEFF_MD_SEM_WAIT_NONZERO_DEC,
						 .pre = true } };
	struct qeff_md_dma_request request = { .num_semaphore_ops = 2, .semaphore_ops = ops };
	uint32_t init[1] = { 0 };
	struct qeff_metadata md = {
		.version_major = 1,
		.network_name = "n",
		.num_nsps = 1,
		.num_semaphores = 1,
		.semaphore_init = init,
		.num_dma_requests = 1,
		.dma_requests = &request,
	};
	struct qeff_error err = { 0 };

	CU_ASSERT_EQUAL(qeff_metadata_validate(&md, &err), -EINVAL);
	CU_ASSERT(says(&err, "at most one"));
	ops[1].pre = false;
	CU_ASSERT_EQUAL(qeff_metadata_validate(&md, &err), 0);
	request.num_semaphore_ops = 5;
	CU_ASSERT_EQUAL(qeff_metadata_validate(&md, &err), -EINVAL);
	CU_ASSERT(says(&err, "at most 4"));
	request.num_semaphore_ops = 2;
	md.num_semaphores = 33;
	CU_ASSERT_EQUAL(qeff_metadata_validate(&md, NULL), -EINVAL);
}

/* An image without its zero runs is put together again by its regions. */
static void test_squeezed_image(void)
{
	struct qeff_metadata *md;
	struct qeff_error err;
	struct places at;
	struct pen p;

	full(&p, &at);
	set(p.bytes + at.l2tcm_init_size, 300, 4);
	set(p.bytes + at.regions + 8, 290, 8);
	set(p.bytes + at.regions + 16, 296, 8);
	CU_ASSERT_EQUAL_FATAL(parse(p.bytes, p.n, &md, &err), 0);
	CU_ASSERT_EQUAL_FATAL(md->l2tcm_init_bytes, 300);
	for (unsigned int i = 0; i < 300; i++)
		CU_ASSERT_EQUAL(md->l2tcm_init[i], i >= 290 && i < 296 ? i - 289 : 0);
	qeff_metadata_free(md);
	{
		const struct change changes[] = {
			{ at.regions + 8, 8, 291, -EINVAL, "NonZeroRegions" },
			{ at.regions + 16, 8, 301, -EINVAL, "NonZeroRegions" },
			{ at.regions + 24, 8, 7, -EINVAL, "NonZeroRegions" },
			{ at.regions + 8, 8, -1ull, -EINVAL, "NonZeroRegions" },
		};

		check_changes(&p, changes, sizeof(changes) / sizeof(changes[0]));
	}
}

static void test_bit_flips(void)
{
	struct places at;
	struct pen p;

	full(&p, &at);
	CU_ASSERT(flip_bits(&p) > 5000);
}

/* Few bytes that decode to very much are refused soon: a list of offsets that all lead to one
 * request. */
static void test_amplification(void)
{
	enum { COUNT = 60000, OPS = 200 };
	struct pen head = { .n = 4 }, tail = { 0 };
	size_t root, list, request, ops, op, size;
	struct qeff_error err;
	uint8_t *big;

	/* slots 0 version, 6 requests, 19 NSPs */
	root = TABLE(&head, 12, 8, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10);
	set(head.bytes, root, 4);
	set(head.bytes + root + 8, 1, 2);
	set(head.bytes + root + 10, 1, 2);
	pad_to(&head, 8);
	list = head.n +
	       4; /* the vector, at a multiple of 4, so that its elements end at one of 8 */
	set(head.bytes + root + 4, list - (root + 4), 4);
	set(head.bytes + list, COUNT, 4);
	head.n += 8;
	request = TABLE(&tail, 8, 4);
	ops = offsets(&tail, request + 4, OPS);
	op = TABLE(&tail, 4, 0);
	for (size_t i = 0; i < OPS; i++)
		set(tail.bytes + ops + 4 * i, op - (ops + 4 * i), 4);

	size = head.n + 4 * (size_t)COUNT + tail.n;
	big = malloc(size);
	CU_ASSERT_PTR_NOT_NULL_FATAL(big);
	memcpy(big, head.bytes, head.n);
	memcpy(big + head.n + 4 * (size_t)COUNT, tail.bytes, tail.n);
	for (size_t i = 0; i < COUNT; i++)
		set(big + head.n + 4 * i, 4 * (COUNT - i) + request, 4);
	CU_ASSERT_EQUAL(parse_only(big, size, &err), -EINVAL);
	CU_ASSERT(says(&err, "more than 1000000 tables"));
	/* few enough to be decoded */
	set(big + list, 4900, 4);
	CU_ASSERT_EQUAL(parse_only(big, size, &err), -EINVAL);
	CU_ASSERT(says(&err, "at most 4 semaphore operations"));
	free(big);
}

static const struct unit_test tests[] = {
	{ "smallest", test_smallest },
	{ "smallest_broken", test_smallest_broken },
	{ "full", test_full },
	{ "rules", test_rules },
	{ "semaphore_counts", test_semaphore_counts },
	{ "squeezed_image", test_squeezed_image },
	{ "bit_flips", test_bit_flips },
	{ "amplification", test_amplification },
};

QEFF_UNIT_MAIN("metadata", tests)
