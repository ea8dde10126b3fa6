/* SPDX-License-Identifier: MIT */
/* Whole packages: read, damaged at every byte, and with parts that do not agree. */
#include "nsp/program.h"
#include "qpc/container.h"
#include "qpc/image.h"
#include "qpc/netdesc.h"
#include "qpc/package.h"
#include "util/file.h"

#include "test_qpc_bytes.h"
#include "test_qpc_folder.h"
#include "unit.h"

#include <assert.h>

static_assert(QEFF_NO_EXEC_CONTEXT == QEFF_NSP_EXEC_CONTEXT_MAJOR,
	      "public and private name of one");

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

static const struct unit_test tests[] = {
	{ "package", test_package },
	{ "disagreements", test_disagreements },
	{ "damage", test_damage },
};

QPC_UNIT_MAIN("qpc", tests)
