/* SPDX-License-Identifier: MIT */
/*
 * A small package for tests of the runtime, made by hand: features[b][s] = table[input_ids[b][s]],
 * 32 floats, for tokens with a position; entry e of the table is 100 * e + column. 8 entries,
 * 16 positions, specialisations 1x4 and 1x1, 2 NSPs, and a binding of state that never travels.
 */
#ifndef QEFF_TESTS_RUNTIME_PACKAGE_H
#define QEFF_TESTS_RUNTIME_PACKAGE_H

#include "nsp/program.h"
#include "qpc/container.h"
#include "qpc/image.h"
#include "qpc/metadata.h"
#include "qpc/netdesc.h"
#include "util/bytes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PACKAGE_NSPS	  2
#define PACKAGE_ENTRIES	  8
#define PACKAGE_POSITIONS 16
#define PACKAGE_WIDTH	  32
#define PACKAGE_SEQ	  4

/* Where things lie in device memory: the input buffer, then the output buffer, then the rest. */
#define PACKAGE_CONTROL	      0
#define PACKAGE_IDS	      64
#define PACKAGE_POSITION_IDS  128
#define PACKAGE_INPUT_BYTES   192
#define PACKAGE_OUTPUT	      256
#define PACKAGE_STATS	      PACKAGE_OUTPUT
#define PACKAGE_STATS_BYTES   ((int)sizeof(struct qeff_nsp_stats))
#define PACKAGE_FEATURES      (PACKAGE_STATS + PACKAGE_STATS_BYTES)
#define PACKAGE_FEATURE_BYTES (PACKAGE_SEQ * PACKAGE_WIDTH * 4)
#define PACKAGE_OUTPUT_BYTES  (PACKAGE_STATS_BYTES + PACKAGE_FEATURE_BYTES)
#define PACKAGE_STATE	      4096
#define PACKAGE_ARENA	      4096
#define PACKAGE_DDR_BYTES     8192

/**
 * struct package_options - how it deviates from a good one
 * @never_ends: outputs wait for a semaphore's value that never comes
 * @no_control: the control input has another name
 * @no_op: nothing is done but counting the rows; outputs stay what they were
 * @stats_last: the statistics stand behind the output, not before it
 * @two_requests: statistics and output come in DMA requests of their own
 */
struct package_options {
	bool never_ends;
	bool no_control;
	bool no_op;
	bool stats_last;
	bool two_requests;
};

/* ---- the program ---- */

struct package_program {
	struct qeff_nsp_header header;
	struct qeff_nsp_spec specs[2];
	struct qeff_nsp_op ops[6];
	uint32_t tile_index[PACKAGE_NSPS][6 + 1];
	uint32_t pad[2];
	struct qeff_nsp_tile tiles[8];
	uint8_t align[128];
	float table[PACKAGE_ENTRIES][PACKAGE_WIDTH] __attribute__((aligned(128)));
};

static inline struct qeff_nsp_operand package_ddr(uint64_t at, uint32_t stride_bytes, uint8_t type)
{
	return (struct qeff_nsp_operand){ .at = QEFF_NSP_REF(QEFF_NSP_DDR, at),
					  .stride_bytes = stride_bytes,
					  .type = type };
}

/* ROWS, GATHER and COPY of one specialisation. */
static inline void package_ops(struct qeff_nsp_op *ops, uint32_t seq)
{
	const struct qeff_nsp_operand none = { .at = QEFF_NSP_NONE };
	const uint32_t row = PACKAGE_WIDTH * 4;

	for (int i = 0; i < 3; i++) {
		ops[i] = (struct qeff_nsp_op){ .domain = QEFF_NSP_ROWS_TOKENS,
					       .rows = seq,
					       .name = UINT32_MAX,
					       .in = { none, none, none, none },
					       .out = none };
	}
	ops[0].code = QEFF_NSP_ROWS;
	ops[0].domain = QEFF_NSP_ROWS_STATIC;
	ops[0].rows = 1;
	ops[0].in[0] = package_ddr(PACKAGE_POSITION_IDS, seq * 8, QEFF_NSP_I64);
	ops[1].code = QEFF_NSP_GATHER;
	ops[1].in[0] = package_ddr(PACKAGE_IDS, seq * 8, QEFF_NSP_I64);
	ops[1].in[1] = (struct qeff_nsp_operand){
		.at = QEFF_NSP_REF(QEFF_NSP_CONST, offsetof(struct package_program, table)),
		.stride_bytes = row,
		.type = QEFF_NSP_F32,
	};
	ops[1].out = package_ddr(PACKAGE_ARENA, row, QEFF_NSP_F32);
	ops[1].u.gather = (struct qeff_nsp_gather_params){ .entries = PACKAGE_ENTRIES,
							   .width = PACKAGE_WIDTH,
							   .scale = 1 };
	ops[2].code = QEFF_NSP_COPY;
	ops[2].in[0] = package_ddr(PACKAGE_ARENA, row, QEFF_NSP_F32);
	ops[2].out = package_ddr(PACKAGE_FEATURES, row, QEFF_NSP_F32);
	ops[2].u.copy = (struct qeff_nsp_copy_params){ .width = PACKAGE_WIDTH, .out_rows = seq };
}

static inline struct qeff_nsp_tile package_tile(uint32_t op, uint32_t begin, uint32_t end)
{
	return (struct qeff_nsp_tile){
		.op = op, .begin = begin, .end = end, .row_parts = 1, .data = QEFF_NSP_NONE
	};
}

static inline void package_program(struct package_program *p)
{
	memset(p, 0, sizeof(*p));
	p->header = (struct qeff_nsp_header){
		.magic = QEFF_NSP_MAGIC,
		.version_major = QEFF_NSP_VERSION_MAJOR,
		.version_minor = QEFF_NSP_VERSION_MINOR,
		.program_bytes = offsetof(struct package_program, table),
		.const_bytes = sizeof(*p),
		.ddr_bytes = PACKAGE_DDR_BYTES,
		.control = PACKAGE_CONTROL,
		.stats = PACKAGE_STATS,
		.state_offset = PACKAGE_STATE,
		.arena_offset = PACKAGE_ARENA,
		.scratch_bytes = 65536,
		.nsps = PACKAGE_NSPS,
		.specs = 2,
		.phases = 6,
		.ops = 6,
		.tiles = 8,
		.specs_offset = offsetof(struct package_program, specs),
		.ops_offset = offsetof(struct package_program, ops),
		.tile_index_offset = offsetof(struct package_program, tile_index),
		.tiles_offset = offsetof(struct package_program, tiles),
		.instructions_offset = offsetof(struct package_program, table),
		.strings_offset = offsetof(struct package_program, table),
	};
	p->specs[0] = (struct qeff_nsp_spec){ .batch = 1,
					      .seq = PACKAGE_SEQ,
					      .positions = PACKAGE_POSITIONS,
					      .slots = 1,
					      .first_phase = 0,
					      .phases = 3 };
	p->specs[1] = p->specs[0];
	p->specs[1].seq = 1;
	p->specs[1].first_phase = 3;
	package_ops(&p->ops[0], PACKAGE_SEQ);
	package_ops(&p->ops[3], 1);
	/* NSP 0 does the rows, half of the table and the copy; NSP 1 the other half. */
	for (uint32_t s = 0; s < 2; s++) {
		p->tiles[s * 3 + 0] = package_tile(s * 3 + 0, 0, 0);
		p->tiles[s * 3 + 1] = package_tile(s * 3 + 1, 0, PACKAGE_ENTRIES / 2);
		p->tiles[s * 3 + 2] = package_tile(s * 3 + 2, 0, 0);
		p->tiles[6 + s] = package_tile(s * 3 + 1, PACKAGE_ENTRIES / 2, PACKAGE_ENTRIES);
	}
	for (uint32_t i = 0; i <= 6; i++)
		p->tile_index[0][i] = i;
	memcpy(p->tile_index[1], (uint32_t[]){ 6, 6, 7, 7, 7, 8, 8 }, sizeof(p->tile_index[1]));
	for (int e = 0; e < PACKAGE_ENTRIES; e++)
		for (int c = 0; c < PACKAGE_WIDTH; c++)
			p->table[e][c] = (float)(100 * e + c);
}

/* Of each specialisation, only the first phase. */
static inline void package_leave_rows(struct package_program *p)
{
	p->header.phases = p->header.tiles = 2;
	p->specs[0].phases = p->specs[1].phases = 1;
	p->specs[1].first_phase = 1;
	p->tiles[1] = p->tiles[3];
	memcpy(p->tile_index, (uint32_t[]){ 0, 1, 2, 2, 2, 2 }, 6 * sizeof(uint32_t));
}

static inline void package_stats_last(struct package_program *p)
{
	p->header.stats = PACKAGE_OUTPUT + PACKAGE_FEATURE_BYTES;
	p->ops[2].out.at = p->ops[5].out.at = QEFF_NSP_REF(QEFF_NSP_DDR, PACKAGE_OUTPUT);
}

/* ---- what the host and the QSM read ---- */

static inline int package_metadata(const struct package_options *options, struct qeff_bytes *elf,
				   struct qeff_error *err)
{
	static const uint8_t l2tcm[0x464] = { [4] = 1 };
	const uint32_t semaphores[2] = { 0, PACKAGE_NSPS };
	const struct qeff_md_semaphore_op in_ops[2] = {
		{ .semaphore = 0,
		  .value = PACKAGE_NSPS,
		  .op = QEFF_MD_SEM_WAIT_EQUAL,
		  .pre = true },
		{ .semaphore = 0, .value = 0, .op = QEFF_MD_SEM_INIT, .in_fence = true },
	};
	const struct qeff_md_semaphore_op out_ops[2] = {
		{ .semaphore = 1,
		  .value = options->never_ends ? 77 : 0,
		  .op = QEFF_MD_SEM_WAIT_EQUAL,
		  .pre = true },
		{ .semaphore = 1,
		  .value = PACKAGE_NSPS,
		  .op = QEFF_MD_SEM_INIT,
		  .out_fence = true },
	};
	const struct qeff_md_doorbell_op in_bell = { .offset = 0, .data = 1, .size_code = 2 };
	const struct qeff_md_doorbell_op out_bell = { .offset = 4, .data = 1, .size_code = 2 };
	const bool two = options->two_requests;
	const struct qeff_md_dma_request requests[3] = {
		{ .size_bytes = PACKAGE_INPUT_BYTES,
		  .buffer = 0,
		  .device_space = QEFF_MD_SPACE_DDR,
		  .direction = QEFF_MD_TO_DEVICE,
		  .port = QEFF_MD_PORT_USER_INPUT,
		  .transaction = QEFF_MD_NO_TRANSACTION,
		  .num_semaphore_ops = 2,
		  .semaphore_ops = in_ops,
		  .num_doorbell_ops = 1,
		  .doorbell_ops = &in_bell },
		{ .device_offset = PACKAGE_OUTPUT,
		  .size_bytes = two ? PACKAGE_STATS_BYTES : PACKAGE_OUTPUT_BYTES,
		  .buffer = 1,
		  .device_space = QEFF_MD_SPACE_DDR,
		  .direction = QEFF_MD_FROM_DEVICE,
		  .port = QEFF_MD_PORT_USER_OUTPUT,
		  .transaction = QEFF_MD_NO_TRANSACTION,
		  .num_semaphore_ops = two ? 1 : 2,
		  .semaphore_ops = out_ops,
		  .num_doorbell_ops = two ? 0 : 1,
		  .doorbell_ops = &out_bell },
		{ .host_offset = PACKAGE_STATS_BYTES,
		  .device_offset = PACKAGE_FEATURES,
		  .size_bytes = PACKAGE_FEATURE_BYTES,
		  .buffer = 1,
		  .device_space = QEFF_MD_SPACE_DDR,
		  .direction = QEFF_MD_FROM_DEVICE,
		  .port = QEFF_MD_PORT_USER_OUTPUT,
		  .transaction = QEFF_MD_NO_TRANSACTION,
		  .num_semaphore_ops = 1,
		  .semaphore_ops = &out_ops[1],
		  .num_doorbell_ops = 1,
		  .doorbell_ops = &out_bell },
	};
	const struct qeff_md_nsp_multicast window[PACKAGE_NSPS] = {
		{ .nsp_mask = 2, .size_bytes = 0x464, .space = QEFF_MD_NSP_L2TCM },
		{ .nsp_mask = 1, .size_bytes = 0x464, .space = QEFF_MD_NSP_L2TCM },
	};
	const struct qeff_md_nsp_multicast_table tables[PACKAGE_NSPS] = { { 1, &window[0] },
									  { 1, &window[1] } };
	const struct qeff_md_host_multicast host = { .nsp_mask = 3, .size_bytes = 0x464 };
	const struct qeff_md_thread thread = { .type_mask = QEFF_MD_THREAD_HVX };
	const struct qeff_md_constant_mapping mapping = { .nsp_mask = 3,
							  .size_bytes =
								  sizeof(struct package_program) };
	const struct qeff_metadata metadata = {
		.version_major = QEFF_METADATA_VERSION_MAJOR,
		.network_name = "echo",
		.num_nsps = PACKAGE_NSPS,
		.num_semaphores = 2,
		.semaphore_init = semaphores,
		.l2tcm_init_bytes = sizeof(l2tcm),
		.l2tcm_init = l2tcm,
		.num_dma_requests = two ? 3 : 2,
		.dma_requests = requests,
		.num_nsp_multicast = PACKAGE_NSPS,
		.nsp_multicast = tables,
		.num_host_multicast = 1,
		.host_multicast = &host,
		.num_threads = 1,
		.threads = &thread,
		.num_constant_mappings = 1,
		.constant_mappings = &mapping,
		.static_shared_ddr_bytes = PACKAGE_DDR_BYTES,
		.static_constants_bytes = sizeof(struct package_program),
		.exit_doorbell_offset = 0x460,
		.vtcm_bytes = QEFF_MD_VTCM_BYTES,
		.l2tcm_bytes = QEFF_MD_L2TCM_BYTES,
		.exec_context_major = QEFF_NSP_EXEC_CONTEXT_MAJOR,
		.hw_version_major = QEFF_MD_HW_VERSION_MAJOR,
		.hw_version_minor = QEFF_MD_HW_VERSION_MINOR,
	};
	struct qeff_bytes blob = { 0 };
	int ret;

	ret = qeff_metadata_write(&metadata, &blob, err);
	if (!ret)
		ret = qeff_image_write(blob.data, blob.size_bytes, elf, err);
	qeff_bytes_free(&blob);
	return ret;
}

static inline int package_network(const struct package_options *options, struct qeff_bytes *out,
				  struct qeff_error *err)
{
	static const int32_t tokens[2][2] = { { 1, PACKAGE_SEQ }, { 1, 1 } };
	static const int32_t features[2][3] = { { 1, PACKAGE_SEQ, PACKAGE_WIDTH },
						{ 1, 1, PACKAGE_WIDTH } };
	static const int32_t control[1] = { 64 }, state[4] = { 1, 1, PACKAGE_POSITIONS, 8 };
	struct qeff_shape shapes[2][6];
	struct qeff_binding bindings[6] = {
		{ .name = "input_ids", .dma_offset = PACKAGE_IDS },
		{ .name = "position_ids", .dma_offset = PACKAGE_POSITION_IDS },
		{ .name = "past_key.0", .is_retained = true, .dma_buffer = QEFF_NO_DMA_BUFFER },
		{ .name = options->no_control ? "other.control" : QEFF_NSP_CONTROL_NAME },
		{ .name = "features",
		  .is_output = true,
		  .dma_buffer = 1,
		  .dma_offset = options->stats_last ? 0 : PACKAGE_STATS_BYTES },
		{ .name = "past_key.0_RetainedState",
		  .is_output = true,
		  .is_retained = true,
		  .dma_buffer = QEFF_NO_DMA_BUFFER },
	};
	const struct qeff_dma_buffer buffers[2] = {
		{ .size_bytes = PACKAGE_INPUT_BYTES },
		{ .size_bytes = PACKAGE_OUTPUT_BYTES, .is_output = true },
	};
	const struct qeff_network network = {
		.name = "echo",
		.num_nsps = PACKAGE_NSPS,
		.num_threads = 1,
		.batch_size = 1,
		.num_inputs = 4,
		.num_outputs = 2,
		.bindings = bindings,
		.num_dma_buffers = 2,
		.dma_buffers = buffers,
		.num_specialisations = 2,
		.specialisations = shapes[0],
		.stats_buffer = 1,
	};

	for (int s = 0; s < 2; s++) {
		const struct qeff_shape all[6] = {
			{ QEFF_TYPE_I64, 2, tokens[s], 0 },   { QEFF_TYPE_I64, 2, tokens[s], 0 },
			{ QEFF_TYPE_F32, 4, state, 0 },	      { QEFF_TYPE_I8, 1, control, 0 },
			{ QEFF_TYPE_F32, 3, features[s], 0 }, { QEFF_TYPE_F32, 4, state, 0 },
		};

		memcpy(shapes[s], all, sizeof(all));
	}
	for (int b = 0; b < 6; b++)
		bindings[b].shape = shapes[0][b];
	return qeff_netdesc_write(&network, out, err);
}

/* Writes the package to @path; prints why if that fails, and returns whether it did not. */
static inline bool package_make(const char *path, const struct package_options *options)
{
	static const struct package_options good;
	const struct qeff_constants_desc desc = { .static_bytes = sizeof(struct package_program) };
	struct package_program *program = NULL;
	struct qeff_bytes elf = { 0 }, network = { 0 };
	struct qeff_qpc_writer *writer = NULL;
	struct qeff_error err = { 0 };
	int ret;

	if (!options)
		options = &good;
	program = aligned_alloc(128, (sizeof(*program) + 127) / 128 * 128);
	if (!program)
		return false;
	package_program(program);
	if (options->no_op)
		package_leave_rows(program);
	if (options->stats_last)
		package_stats_last(program);
	ret = package_metadata(options, &elf, &err);
	if (!ret)
		ret = package_network(options, &network, &err);
	if (!ret)
		ret = qeff_qpc_writer_open(&writer, path, &err);
	if (!ret)
		ret = qeff_qpc_writer_add(writer, QEFF_SEGMENT_IMAGE, elf.data, elf.size_bytes,
					  &err);
	if (!ret)
		ret = qeff_qpc_writer_add(writer, QEFF_SEGMENT_NETWORK, network.data,
					  network.size_bytes, &err);
	if (!ret)
		ret = qeff_qpc_writer_begin_constants(writer, &desc, &err);
	if (!ret)
		ret = qeff_qpc_writer_write_constants(writer, program, sizeof(*program), &err);
	if (!ret) {
		ret = qeff_qpc_writer_finish(writer, &err);
		writer = NULL;
	}
	qeff_qpc_writer_abort(writer);
	qeff_bytes_free(&elf);
	qeff_bytes_free(&network);
	free(program);
	if (ret)
		fprintf(stderr, "package: %s\n", err.message);
	return !ret;
}

#endif
