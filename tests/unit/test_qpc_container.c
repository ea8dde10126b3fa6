/* SPDX-License-Identifier: MIT */
/* The container: read from bytes written down by hand, and the writer against the same. */
#include "qpc/container.h"
#include "qpc/package.h"
#include "util/file.h"

#include "test_qpc_bytes.h"
#include "test_qpc_folder.h"
#include "unit.h"

#define BASE 0x7f0012345678ull

/* Two segments, as a producer writes them that leaves its heap addresses in. */
static const uint8_t container[] = {
	LE32(0x00a1cd7c),
	0,
	1,
	LE16(1), /* 0: magic, version 0.1, compression kind */
	LE64(144),
	LE64(BASE), /* 8: size, base */
	LE64(2),
	LE64(BASE + 40), /* 24: segments, table */
	LE64(3),
	LE64(0),
	LE64(BASE + 104),
	LE64(BASE + 128), /* 40: "a": size, split, name, data */
	LE64(5),
	LE64(2),
	LE64(BASE + 112),
	LE64(BASE + 136), /* 72: "constants.bin" */
	'a',
	0,
	0,
	0,
	0,
	0,
	0,
	0, /* 104 */
	'c',
	'o',
	'n',
	's',
	't',
	'a',
	'n',
	't', /* 112 */
	's',
	'.',
	'b',
	'i',
	'n',
	0,
	0,
	0, /* 120 */
	1,
	2,
	3,
	0,
	0,
	0,
	0,
	0, /* 128 */
	4,
	5,
	6,
	7,
	8,
	0,
	0,
	0, /* 136 */
};

static int parse(const void *data, size_t size, struct qeff_container *c, struct qeff_error *err)
{
	*err = (struct qeff_error){ 0 };
	return qeff_container_parse(data, size, c, err);
}

static int parse_only(const void *data, size_t size, struct qeff_error *err)
{
	void *copy = exact_copy(data, size);
	struct qeff_container c;
	int ret = parse(copy, size, &c, err);

	free(copy);
	return ret;
}

static void test_container(void)
{
	const struct qeff_segment *s;
	struct qeff_container c;
	struct qeff_error err;

	CU_ASSERT_EQUAL_FATAL(parse(container, sizeof(container), &c, &err), 0);
	CU_ASSERT_EQUAL(c.size_bytes, 144);
	CU_ASSERT_EQUAL(c.version_minor, 1);
	CU_ASSERT_EQUAL(c.num_segments, 2);
	s = qeff_container_find(&c, "a");
	CU_ASSERT_PTR_NOT_NULL_FATAL(s);
	CU_ASSERT_EQUAL(s->size_bytes, 3);
	CU_ASSERT_PTR_EQUAL(s->data, container + 128);
	CU_ASSERT_EQUAL(s->file_offset, 128);
	s = qeff_container_find(&c, "constants.bin");
	CU_ASSERT_PTR_NOT_NULL_FATAL(s);
	CU_ASSERT_EQUAL(s->size_bytes, 5);
	CU_ASSERT_EQUAL(s->split_bytes, 2);
	CU_ASSERT_PTR_EQUAL(s->data, container + 136);
	CU_ASSERT_PTR_NULL(qeff_container_find(&c, "b"));
	for (size_t n = 0; n < sizeof(container); n++)
		CU_ASSERT_EQUAL(parse_only(container, n, &err), -EINVAL);
}

static void test_container_broken(void)
{
	static const struct {
		size_t at, size;
		uint64_t value;
		const char *says;
	} broken[] = {
		{ 0, 4, 0x00a1cd7d, "magic" },
		{ 4, 1, 1, "version 0, found 1" },
		{ 6, 2, 0, "compression" },
		{ 6, 2, 2, "compression" },
		{ 8, 8, 145, "truncated" },
		{ 8, 8, 143, "appended" },
		{ 8, 8, -1ull, "truncated" },
		{ 16, 8, BASE + 8, "table" },	  /* the table is before the header's end now */
		{ 16, 8, BASE - 8, "segment 0" }, /* and now all offsets are 8 too large */
		{ 16, 8, 0, "table" },
		{ 24, 8, 4, "table" },
		{ 24, 8, 65, "at most 64 segments" },
		{ 24, 8, (uint64_t)1 << 59, "at most 64 segments" },
		{ 32, 8, BASE + 41, "table" },
		{ 32, 8, BASE + 32, "table" },
		{ 32, 8, BASE + 88, "table" },
		{ 32, 8, BASE - 1, "table" },
		{ 40, 8, 17, "truncated" },
		{ 40, 8, -1ull, "truncated" },
		{ 48, 8, 4, "split" },
		{ 56, 8, BASE + 144, "name at offset 144" },
		{ 56, 8, BASE + 141, "no end" },
		{ 56, 8, BASE - 1, "name at offset" },
		{ 56, 8, BASE + 105, "empty name" },
		{ 56, 8, BASE + 128, "expected ASCII" },
		{ 56, 8, BASE + 112, "occurs twice" },
		{ 64, 8, BASE + 142, "truncated" },
		{ 64, 8, BASE - 1, "truncated" },
		{ 64, 8, BASE + 39, "header" },
		{ 64, 8, BASE + 103, "segment table" },
		{ 80, 8, 6, "split" },
		{ 104, 1, 0x7f, "expected ASCII" },
	};
	struct qeff_error err;

	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
		uint8_t bytes[sizeof(container) + 4] = { 0 };

		memcpy(bytes, container, sizeof(container));
		if (broken[i].at == 56 && broken[i].value == BASE + 141)
			memset(bytes + 141, 'x', 3);
		set(bytes + broken[i].at, broken[i].value, broken[i].size);
		if (parse_only(bytes, sizeof(container), &err) != -EINVAL ||
		    !says(&err, broken[i].says)) {
			fprintf(stderr, "case %zu\n", i);
			CU_FAIL("wrong answer");
		}
	}
	/* an empty segment may stand at the very end */
	{
		uint8_t bytes[sizeof(container)];

		memcpy(bytes, container, sizeof(container));
		set(bytes + 40, 0, 8);
		set(bytes + 64, BASE + 144, 8);
		CU_ASSERT_EQUAL(parse_only(bytes, sizeof(bytes), &err), 0);
	}
}

static void test_constants_desc(void)
{
	static const uint8_t hand[24] = { LE64(0x1122334455667788), LE64(3), 0, 1 };
	struct qeff_constants_desc desc;
	struct qeff_error err = { 0 };
	uint8_t bytes[24];

	CU_ASSERT_EQUAL_FATAL(qeff_constants_desc_parse(hand, 24, &desc, &err), 0);
	CU_ASSERT_EQUAL(desc.static_bytes, 0x1122334455667788);
	CU_ASSERT_EQUAL(desc.dynamic_bytes, 3);
	CU_ASSERT(!desc.static_ecc && desc.dynamic_ecc);
	qeff_constants_desc_write(&desc, bytes);
	CU_ASSERT_EQUAL(memcmp(bytes, hand, 24), 0);
	CU_ASSERT_EQUAL(qeff_constants_desc_parse(hand, 23, &desc, &err), -EINVAL);
	memcpy(bytes, hand, 24);
	bytes[16] = 2;
	CU_ASSERT_EQUAL(qeff_constants_desc_parse(bytes, 24, &desc, &err), -EINVAL);
	memset(bytes, 0xff, 16);
	bytes[16] = 0;
	CU_ASSERT_EQUAL(qeff_constants_desc_parse(bytes, 24, &desc, &err), -EINVAL);
}

static void test_writer(void)
{
	static const uint8_t front[] = {
		LE32(0x00a1cd7c),
		0,
		1,
		LE16(1),
		LE64(2097157),
		LE64(0),
		LE64(3),
		LE64(40), /* 8: size, base, segments, table */
		LE64(3),
		LE64(0),
		LE64(136),
		LE64(184), /* 40: "a" */
		LE64(24),
		LE64(0),
		LE64(144),
		LE64(192), /* 72: descriptor */
		LE64(5),
		LE64(2),
		LE64(168),
		LE64(2097152), /* 104: constants */
		'a',
		0,
		0,
		0,
		0,
		0,
		0,
		0, /* 136 */
		'c',
		'o',
		'n',
		's',
		't',
		'a',
		'n',
		't', /* 144 */
		's',
		'd',
		'e',
		's',
		'c',
		'.',
		'b',
		'i',
		'n',
		0,
		0,
		0,
		0,
		0,
		0,
		0,
		'c',
		'o',
		'n',
		's',
		't',
		'a',
		'n',
		't', /* 168 */
		's',
		'.',
		'b',
		'i',
		'n',
		0,
		0,
		0,
		1,
		2,
		3,
		0,
		0,
		0,
		0,
		0, /* 184 */
		LE64(2),
		LE64(3),
		LE64(0), /* 192 */
	};
	const struct qeff_constants_desc desc = { .static_bytes = 2, .dynamic_bytes = 3 };
	const char *path = path_in_folder("written.qpc");
	struct qeff_qpc_writer *w;
	struct qeff_error err = { 0 };
	struct qeff_map map;

	CU_ASSERT_EQUAL_FATAL(qeff_qpc_writer_open(&w, path, &err), 0);
	CU_ASSERT_EQUAL(qeff_qpc_writer_add(w, "a", "\1\2\3", 3, &err), 0);
	CU_ASSERT_EQUAL(qeff_qpc_writer_add(w, "a", "", 0, &err), -EEXIST);
	CU_ASSERT_EQUAL(qeff_qpc_writer_add(w, "constants.bin", "", 0, &err), -EINVAL);
	CU_ASSERT_EQUAL(qeff_qpc_writer_write_constants(w, "", 1, &err), -EINVAL);
	CU_ASSERT_EQUAL(qeff_qpc_writer_begin_constants(w, &desc, &err), 0);
	CU_ASSERT_EQUAL(qeff_qpc_writer_add(w, "b", "", 0, &err), -EINVAL);
	CU_ASSERT_EQUAL(qeff_qpc_writer_write_constants(w, "\4\5\6", 3, &err), 0);
	CU_ASSERT_EQUAL(qeff_qpc_writer_constants_offset(w), 3);
	CU_ASSERT_EQUAL(qeff_qpc_writer_write_constants(w, "\7\10\11", 3, &err), -EINVAL);
	CU_ASSERT_EQUAL(qeff_qpc_writer_write_constants(w, "\7\10", 2, &err), 0);
	CU_ASSERT_EQUAL(access(path, F_OK), -1);
	CU_ASSERT_EQUAL_FATAL(qeff_qpc_writer_finish(w, &err), 0);
	CU_ASSERT_EQUAL_FATAL(qeff_map_open(&map, path, &err), 0);
	CU_ASSERT_EQUAL_FATAL(map.size_bytes, 2097157);
	CU_ASSERT_EQUAL(memcmp(map.data, front, sizeof(front)), 0);
	for (size_t i = sizeof(front); i < 2097152; i++)
		if (map.data[i])
			CU_FAIL("the gap is not zero");
	CU_ASSERT_EQUAL(memcmp(map.data + 2097152, "\4\5\6\7\10", 5), 0);
	qeff_map_close(&map);
	unlink(path);
}

static void test_writer_incomplete(void)
{
	const struct qeff_constants_desc desc = { .static_bytes = 2 };
	const struct qeff_constants_desc too_large = { (uint64_t)1 << 63, (uint64_t)1 << 63, false,
						       false };
	const char *path = path_in_folder("incomplete.qpc");
	struct qeff_qpc_writer *w;
	struct qeff_error err = { 0 };

	CU_ASSERT_EQUAL_FATAL(qeff_qpc_writer_open(&w, path, &err), 0);
	CU_ASSERT_EQUAL(qeff_qpc_writer_begin_constants(w, &desc, &err), 0);
	CU_ASSERT_EQUAL(qeff_qpc_writer_write_constants(w, "x", 1, &err), 0);
	CU_ASSERT_EQUAL(qeff_qpc_writer_finish(w, &err), -EINVAL);
	CU_ASSERT(says(&err, "2 bytes of constants were announced, 1 written"));
	CU_ASSERT_EQUAL(access(path, F_OK), -1);
	CU_ASSERT_EQUAL_FATAL(qeff_qpc_writer_open(&w, path, &err), 0);
	CU_ASSERT_EQUAL(qeff_qpc_writer_begin_constants(w, &too_large, &err), -EFBIG);
	qeff_qpc_writer_abort(w);
	qeff_qpc_writer_abort(NULL);
	CU_ASSERT_EQUAL(access(path, F_OK), -1);
	CU_ASSERT_EQUAL(qeff_qpc_writer_open(&w, path_in_folder("no/such/folder"), &err), -ENOENT);
}
static void test_missing_parts(void)
{
	const struct qeff_network *network;
	const struct qeff_program *program;
	struct qeff_constants constants;
	struct qeff_error err = { 0 };
	struct qeff_qpc *qpc;

	/* a container is enough to look at its segments */
	CU_ASSERT_EQUAL_FATAL(
		qeff_qpc_open_memory(container, sizeof(container), "parts", &qpc, &err), 0);
	CU_ASSERT_EQUAL(qeff_qpc_num_segments(qpc), 2);
	CU_ASSERT_EQUAL(qeff_qpc_network(qpc, &network, &err), -ENOENT);
	CU_ASSERT(says(&err, "parts: it has no segment \"networkdesc.bin\""));
	CU_ASSERT_EQUAL(qeff_qpc_program(qpc, &program, &err), -ENOENT);
	CU_ASSERT_EQUAL(qeff_qpc_constants(qpc, &constants, &err), -EINVAL);
	CU_ASSERT(
		says(&err, "holds 2 static bytes, segment \"constantsdesc.bin\" makes room for 0"));
	CU_ASSERT_EQUAL(qeff_qpc_verify(qpc, &err), -ENOENT);
	CU_ASSERT_EQUAL(qeff_qpc_verify(qpc, NULL), -ENOENT);
	qeff_qpc_close(qpc);
	qeff_qpc_close(NULL);
}

static const struct unit_test tests[] = {
	{ "container", test_container },
	{ "container_broken", test_container_broken },
	{ "constants_desc", test_constants_desc },
	{ "writer", test_writer },
	{ "writer_incomplete", test_writer_incomplete },
	{ "missing_parts", test_missing_parts },
};

QPC_UNIT_MAIN("qpc container", tests)
