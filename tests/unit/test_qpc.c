/* SPDX-License-Identifier: MIT */
/*
 * Packages: the container and the program image from bytes written down by hand, the writer against
 * the same, and whole packages: damaged at every byte, and with parts that do not agree.
 */
#include "nsp/program.h"
#include "qpc/container.h"
#include "qpc/image.h"
#include "qpc/netdesc.h"
#include "qpc/package.h"
#include "util/file.h"

#include "test_qpc_bytes.h"
#include "unit.h"

#include <assert.h>
#include <sys/stat.h>
#include <unistd.h>

static_assert(QEFF_NO_EXEC_CONTEXT == QEFF_NSP_EXEC_CONTEXT_MAJOR,
	      "public and private name of one");

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

static char folder[] = "/tmp/qeff-test-qpc-XXXXXX";

static const char *path_in_folder(const char *name)
{
	static char path[256];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return path;
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

/* A 32-bit Hexagon ELF: header, "metadata" of 4 bytes at 52, "metadata_fb" of 3 at 56, names at 60,
 * table at 100. */
static void hand_elf(struct pen *p)
{
	static const char names[] = "\0metadata\0metadata_fb\0.shstrtab";
	static const uint32_t sections[4][3] = {
		{ 0 }, { 1, 52, 4 }, { 10, 56, 3 }, { 22, 60, 32 }
	};

	*p = (struct pen){ 0 };
	put(p, 0x464c457f, 4);
	put(p, 0x00010101, 12); /* 32 bits, little-endian, version 1 */
	put(p, 2, 2);		/* 16: executable */
	put(p, 164, 2);		/* 18: Hexagon */
	put(p, 1, 4);
	put(p, 0, 8);	/* 24: entry, program headers */
	put(p, 100, 4); /* 32: section headers */
	put(p, 0x68, 4);
	put(p, 52, 2); /* 40: header size */
	put(p, 0, 4);
	put(p, 40, 2); /* 46: section header size, number, names */
	put(p, 4, 2);
	put(p, 3, 2);
	put(p, 0x64636261, 4); /* 52: "abcd" */
	put(p, 0x7a7978, 4);   /* 56: "xyz" */
	memcpy(p->bytes + p->n, names, sizeof(names));
	p->n = 100;
	for (unsigned int i = 0; i < 4; i++) {
		put(p, sections[i][0], 4);
		put(p,
		    i == 0   ? 0
		    : i == 3 ? 3
			     : 1,
		    4); /* none, program data, program data, strings */
		put(p, 0, 8);
		put(p, sections[i][1], 4);
		put(p, sections[i][2], 4);
		put(p, 0, 8);
		put(p, i ? 1 : 0, 4);
		put(p, 0, 4);
	}
}

static int find(const struct pen *p, size_t size, struct qeff_image_metadata *found,
		struct qeff_error *err)
{
	*err = (struct qeff_error){ 0 };
	*found = (struct qeff_image_metadata){ 0 };
	return qeff_image_find_metadata(p->bytes, size, found, err);
}

static void test_image(void)
{
	struct qeff_image_metadata found;
	struct qeff_error err;
	struct pen p;

	hand_elf(&p);
	CU_ASSERT_EQUAL_FATAL(find(&p, p.n, &found, &err), 0);
	CU_ASSERT_STRING_EQUAL(found.section, "metadata_fb");
	CU_ASSERT_EQUAL_FATAL(found.size_bytes, 3);
	CU_ASSERT_EQUAL(memcmp(found.data, "xyz", 3), 0);
	/* without its contents, the other one */
	set(p.bytes + 180 + 20, 0, 4);
	CU_ASSERT_EQUAL_FATAL(find(&p, p.n, &found, &err), 0);
	CU_ASSERT_STRING_EQUAL(found.section, "metadata");
	CU_ASSERT_EQUAL_FATAL(found.size_bytes, 4);
	CU_ASSERT_EQUAL(memcmp(found.data, "abcd", 4), 0);
	set(p.bytes + 140 + 20, 0, 4);
	CU_ASSERT_EQUAL(find(&p, p.n, &found, &err), -ENOENT);
	CU_ASSERT(says(&err, "no section"));

	hand_elf(&p);
	set(p.bytes + 180 + 16, 258, 4); /* three bytes at the last two */
	CU_ASSERT_EQUAL(find(&p, p.n, &found, &err), -EINVAL);
	CU_ASSERT(says(&err, "metadata_fb"));
	set(p.bytes + 180 + 16, 0xffffffff, 4);
	CU_ASSERT_EQUAL(find(&p, p.n, &found, &err), -EINVAL);
	hand_elf(&p);
	set(p.bytes + 180 + 4, 8, 4); /* a section without bytes in the file */
	CU_ASSERT_EQUAL(find(&p, p.n, &found, &err), -EINVAL);
	hand_elf(&p);
	set(p.bytes + 18, 62, 2);
	CU_ASSERT_EQUAL(find(&p, p.n, &found, &err), -EINVAL);
	CU_ASSERT(says(&err, "machine 62"));
	hand_elf(&p);
	p.bytes[5] = 2; /* big-endian */
	CU_ASSERT_EQUAL(find(&p, p.n, &found, &err), -EINVAL);
	for (size_t n = 0; n < p.n; n++) {
		struct pen *cut = exact_copy(&p, sizeof(p));
		uint8_t *bytes;

		hand_elf(cut);
		bytes = exact_copy(cut->bytes, n);
		err = (struct qeff_error){ 0 };
		CU_ASSERT_NOT_EQUAL(qeff_image_find_metadata(bytes, n, &found, &err), 0);
		CU_ASSERT_NOT_EQUAL(err.message[0], 0);
		free(bytes);
		free(cut);
	}
}

static void test_image_write(void)
{
	struct qeff_image_metadata found;
	struct qeff_bytes image = { 0 }, again = { 0 };
	struct qeff_error err = { 0 };

	CU_ASSERT_EQUAL_FATAL(qeff_image_write("0123456789", 10, &image, &err), 0);
	CU_ASSERT_EQUAL(memcmp(image.data, "\177ELF\1\1\1", 7), 0);
	CU_ASSERT_EQUAL(image.data[16], 2);
	CU_ASSERT_EQUAL(image.data[18], 164);
	CU_ASSERT_EQUAL(image.data[44], 0); /* nothing to load */
	CU_ASSERT_EQUAL(qeff_image_find_metadata(image.data, image.size_bytes, &found, &err), 0);
	CU_ASSERT_STRING_EQUAL(found.section, "metadata");
	CU_ASSERT_EQUAL_FATAL(found.size_bytes, 10);
	CU_ASSERT_EQUAL(memcmp(found.data, "0123456789", 10), 0);
	CU_ASSERT_EQUAL((found.data - image.data) % 8, 0);
	CU_ASSERT_EQUAL_FATAL(qeff_image_write("0123456789", 10, &again, &err), 0);
	CU_ASSERT_EQUAL_FATAL(image.size_bytes, again.size_bytes);
	CU_ASSERT_EQUAL(memcmp(image.data, again.data, again.size_bytes), 0);
	qeff_bytes_free(&image);
	qeff_bytes_free(&again);
}

/* A whole package: one input of 16 bytes, one output of 8, and what goes with them. */
struct parts {
	int32_t x[1], y[1];
	struct qeff_binding bindings[2];
	struct qeff_dma_buffer buffers[2];
	struct qeff_network network;
	struct qeff_md_dma_request requests[2];
	struct qeff_metadata metadata;
	struct qeff_constants_desc constants;
};

static void make_parts(struct parts *p)
{
	*p = (struct parts){ .x = { 4 }, .y = { 1 }, .buffers = { { 64, false }, { 8, true } } };
	p->bindings[0] = (struct qeff_binding){
		.name = "x",
		.shape = { QEFF_TYPE_F32, 1, p->x, 0 },
		.dma_offset = 48,
	};
	p->bindings[1] = (struct qeff_binding){
		.name = "y",
		.shape = { QEFF_TYPE_I64, 1, p->y, 0 },
		.is_output = true,
		.dma_buffer = 1,
	};
	p->network = (struct qeff_network){
		.name = "tiny",
		.num_nsps = 2,
		.num_inputs = 1,
		.num_outputs = 1,
		.bindings = p->bindings,
		.num_dma_buffers = 2,
		.dma_buffers = p->buffers,
		.stats_buffer = QEFF_NO_DMA_BUFFER,
	};
	p->requests[0] = (struct qeff_md_dma_request){
		.size_bytes = 64,
		.device_space = QEFF_MD_SPACE_DDR,
		.transaction = QEFF_MD_NO_TRANSACTION,
	};
	p->requests[1] = (struct qeff_md_dma_request){
		.device_offset = 64,
		.size_bytes = 8,
		.buffer = 1,
		.device_space = QEFF_MD_SPACE_DDR,
		.direction = QEFF_MD_FROM_DEVICE,
		.transaction = QEFF_MD_NO_TRANSACTION,
	};
	p->metadata = (struct qeff_metadata){
		.network_name = "tiny",
		.num_nsps = 2,
		.num_dma_requests = 2,
		.dma_requests = p->requests,
		.static_shared_ddr_bytes = 128,
		.static_constants_bytes = 3,
		.dynamic_constants_bytes = 2,
		.l2tcm_bytes = QEFF_MD_L2TCM_BYTES,
		.vtcm_bytes = QEFF_MD_VTCM_BYTES,
		.exec_context_major = QEFF_NO_EXEC_CONTEXT,
	};
	p->constants = (struct qeff_constants_desc){ .static_bytes = 3, .dynamic_bytes = 2 };
}

static void write_parts(const struct parts *p, const char *path)
{
	struct qeff_bytes network = { 0 }, metadata = { 0 }, image = { 0 };
	struct qeff_error err = { 0 };
	struct qeff_qpc_writer *w;

	CU_ASSERT_EQUAL_FATAL(qeff_netdesc_write(&p->network, &network, &err), 0);
	CU_ASSERT_EQUAL_FATAL(qeff_metadata_write(&p->metadata, &metadata, &err), 0);
	CU_ASSERT_EQUAL_FATAL(qeff_image_write(metadata.data, metadata.size_bytes, &image, &err),
			      0);
	CU_ASSERT_EQUAL_FATAL(qeff_qpc_writer_open(&w, path, &err), 0);
	CU_ASSERT_EQUAL(
		qeff_qpc_writer_add(w, QEFF_SEGMENT_IMAGE, image.data, image.size_bytes, &err), 0);
	CU_ASSERT_EQUAL(qeff_qpc_writer_add(w, QEFF_SEGMENT_NETWORK, network.data,
					    network.size_bytes, &err),
			0);
	CU_ASSERT_EQUAL(qeff_qpc_writer_add(w, "metadata.crc", "\1\2\3\4", 4, &err), 0);
	CU_ASSERT_EQUAL_FATAL(qeff_qpc_writer_begin_constants(w, &p->constants, &err), 0);
	CU_ASSERT_EQUAL(
		qeff_qpc_writer_write_constants(
			w, "weigh", p->constants.static_bytes + p->constants.dynamic_bytes, &err),
		0);
	CU_ASSERT_EQUAL_FATAL(qeff_qpc_writer_finish(w, &err), 0);
	qeff_bytes_free(&network);
	qeff_bytes_free(&metadata);
	qeff_bytes_free(&image);
}

static void test_package(void)
{
	const struct qeff_network *network;
	const struct qeff_program *program;
	const struct qeff_metadata *metadata;
	struct qeff_constants constants;
	struct qeff_error err = { 0 };
	struct qeff_qpc *qpc;
	struct parts p;
	size_t size;

	make_parts(&p);
	write_parts(&p, path_in_folder(QEFF_QPC_FILE_NAME));
	/* the folder stands for the file in it */
	CU_ASSERT_EQUAL_FATAL(qeff_qpc_open(folder, &qpc, &err), 0);
	CU_ASSERT_STRING_EQUAL(qeff_qpc_path(qpc), path_in_folder(QEFF_QPC_FILE_NAME));
	CU_ASSERT_EQUAL(qeff_qpc_verify(qpc, &err), 0);
	CU_ASSERT_STRING_EQUAL(err.message, "");
	CU_ASSERT_EQUAL(qeff_qpc_num_segments(qpc), 5);
	CU_ASSERT_PTR_NULL(qeff_qpc_segment_at(qpc, 5));
	CU_ASSERT_EQUAL(memcmp(qeff_qpc_segment(qpc, "metadata.crc")->data, "\1\2\3\4", 4), 0);
	CU_ASSERT_EQUAL_FATAL(qeff_qpc_network(qpc, &network, &err), 0);
	CU_ASSERT_EQUAL(network->bindings[0].dma_offset, 48);
	CU_ASSERT_EQUAL_FATAL(qeff_qpc_program(qpc, &program, &err), 0);
	CU_ASSERT_STRING_EQUAL(program->metadata_section, "metadata");
	CU_ASSERT_EQUAL(program->num_nsps, 2);
	CU_ASSERT_EQUAL(program->exec_context_major, 0x5145);
	CU_ASSERT_EQUAL(program->static_shared_ddr_bytes, 128);
	CU_ASSERT_EQUAL_FATAL(qeff_qpc_metadata(qpc, &metadata, &err), 0);
	CU_ASSERT_EQUAL(metadata->dma_requests[1].size_bytes, 8);
	CU_ASSERT_EQUAL_FATAL(qeff_qpc_constants(qpc, &constants, &err), 0);
	CU_ASSERT_EQUAL(constants.static_size_bytes, 3);
	CU_ASSERT_EQUAL(memcmp(constants.static_data, "wei", 3), 0);
	CU_ASSERT_EQUAL((uintptr_t)constants.static_data % 4096, 0);
	CU_ASSERT_EQUAL(constants.dynamic_size_bytes, 2);
	CU_ASSERT_EQUAL(memcmp(constants.dynamic_data, "gh", 2), 0);
	CU_ASSERT_EQUAL(constants.static_space_bytes, 3);
	CU_ASSERT_PTR_EQUAL((const uint8_t *)qeff_qpc_data(qpc, &size) + (2 << 20),
			    constants.static_data);
	CU_ASSERT_EQUAL(size, (2 << 20) + 5);
	qeff_qpc_close(qpc);
	unlink(path_in_folder(QEFF_QPC_FILE_NAME));
	CU_ASSERT_EQUAL(qeff_qpc_open(folder, &qpc, &err), -ENOENT);
	CU_ASSERT(says(&err, QEFF_QPC_FILE_NAME));
}

/* The package that @p describes opens, but its parts do not agree. */
static void disagree(const struct parts *p, const char *part)
{
	const char *path = path_in_folder("disagree.qpc");
	struct qeff_error err = { 0 };
	struct qeff_qpc *qpc;

	write_parts(p, path);
	CU_ASSERT_EQUAL_FATAL(qeff_qpc_open(path, &qpc, &err), 0);
	CU_ASSERT_EQUAL(qeff_qpc_verify(qpc, &err), -EINVAL);
	CU_ASSERT(says(&err, part));
	CU_ASSERT(says(&err, "disagree.qpc"));
	qeff_qpc_close(qpc);
	unlink(path);
}

static void test_disagreements(void)
{
	struct parts p;

	make_parts(&p);
	p.network.num_nsps = 3;
	disagree(&p, "NSPs");
	make_parts(&p);
	p.metadata.static_constants_bytes = 4;
	disagree(&p, "static constants");
	make_parts(&p);
	p.metadata.dynamic_constants_bytes = 0;
	disagree(&p, "dynamic constants");
	make_parts(&p);
	p.requests[1].buffer = 2;
	disagree(&p, "buffer 2, the descriptor has 2");
	make_parts(&p);
	p.requests[0].direction = QEFF_MD_FROM_DEVICE;
	disagree(&p, "the other way");
	make_parts(&p);
	p.requests[1].host_offset = 1;
	disagree(&p, "8 bytes at offset 1, buffer 1");
	make_parts(&p);
	p.requests[0].size_bytes = 0;
	disagree(&p, "input \"x\" is in DMA buffer 0");
}

/* Front and constants of a whole package in memory, without the gap of two megabytes between them.
 */
static uint8_t *small_package(size_t *size)
{
	const char *path = path_in_folder("small.qpc");
	struct qeff_error err = { 0 };
	struct qeff_map map;
	struct parts p;
	uint8_t *data;

	make_parts(&p);
	p.metadata.static_constants_bytes = p.metadata.dynamic_constants_bytes = 0;
	p.constants = (struct qeff_constants_desc){ 0 };
	write_parts(&p, path);
	CU_ASSERT_EQUAL_FATAL(qeff_map_open(&map, path, &err), 0);
	*size = map.size_bytes;
	data = exact_copy(map.data, map.size_bytes);
	qeff_map_close(&map);
	unlink(path);
	return data;
}

/* 0 if the package opens and verifies. */
static int open_and_verify(const void *data, size_t size)
{
	struct qeff_error err = { 0 };
	struct qeff_qpc *qpc;
	int ret = qeff_qpc_open_memory(data, size, "memory", &qpc, &err);

	if (!ret) {
		ret = qeff_qpc_verify(qpc, &err);
		qeff_qpc_close(qpc);
	}
	if (ret && (err.code != ret || !err.message[0]))
		CU_FAIL("an error without a sentence");
	return ret;
}

static void test_damage(void)
{
	unsigned int refused = 0;
	size_t size;
	uint8_t *package = small_package(&size);

	CU_ASSERT(size < 4096);
	CU_ASSERT_EQUAL_FATAL(open_and_verify(package, size), 0);
	for (size_t n = 0; n < size; n++) {
		uint8_t *cut = exact_copy(package, n);

		CU_ASSERT_NOT_EQUAL(open_and_verify(cut, n), 0);
		/* and if the container claims to be whole */
		if (n >= 16) {
			set(cut + 8, n, 8);
			CU_ASSERT_NOT_EQUAL(open_and_verify(cut, n), 0);
		}
		free(cut);
	}
	for (size_t bit = 0; bit < 8 * size; bit++) {
		package[bit / 8] ^= (uint8_t)(1 << bit % 8);
		refused += open_and_verify(package, size) != 0;
		package[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	CU_ASSERT(refused > size);
	free(package);
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
	{ "image", test_image },
	{ "image_write", test_image_write },
	{ "package", test_package },
	{ "disagreements", test_disagreements },
	{ "damage", test_damage },
	{ "missing_parts", test_missing_parts },
};

int main(void)
{
	int ret;

	if (!mkdtemp(folder))
		return EXIT_FAILURE;
	ret = unit_main("qpc", tests, sizeof(tests) / sizeof(tests[0]));
	if (rmdir(folder))
		ret = EXIT_FAILURE;
	return ret;
}
