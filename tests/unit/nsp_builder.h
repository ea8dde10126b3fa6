/* SPDX-License-Identifier: MIT */
/*
 * Small NSP programs for tests: put together table by table, then laid out, loaded and run.
 *
 * The program's tables take a fixed 64 KB at the front and the regions of DDR have fixed places, so
 * that references are known the moment something is added.
 */
#ifndef QEFF_TESTS_NSP_BUILDER_H
#define QEFF_TESTS_NSP_BUILDER_H

#include "nsp/exec.h"
#include "nsp/host/host.h"
#include "nsp/pack.h"
#include "util/bytes.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NSP_BUILDER_PROGRAM_BYTES (64u << 10)
#define NSP_BUILDER_STATE	  (256u << 10) /* where state begins; I/O lies below */
#define NSP_BUILDER_ARENA	  (1u << 20)   /* where the arena begins */
#define NSP_BUILDER_DDR		  (3u << 20)
#define NSP_BUILDER_CONTROL	  0
#define NSP_BUILDER_STATS	  64
#define NSP_BUILDER_TILES	  512

struct nsp_builder {
	struct qeff_nsp_header header;
	struct qeff_bytes specs, ops, instructions, nests, strings, constants;
	struct {
		struct qeff_nsp_tile tile;
		uint32_t nsp, phase;
	} tiles[NSP_BUILDER_TILES];
	uint64_t io, state, arena; /* next free bytes */
};

static inline void nsp_builder_init(struct nsp_builder *b, uint32_t nsps)
{
	memset(b, 0, sizeof(*b));
	b->header = (struct qeff_nsp_header){
		.magic = QEFF_NSP_MAGIC,
		.version_major = QEFF_NSP_VERSION_MAJOR,
		.version_minor = QEFF_NSP_VERSION_MINOR,
		.ddr_bytes = NSP_BUILDER_DDR,
		.control = NSP_BUILDER_CONTROL,
		.stats = NSP_BUILDER_STATS,
		.state_offset = NSP_BUILDER_STATE,
		.arena_offset = NSP_BUILDER_ARENA,
		.nsps = nsps,
	};
	b->io = 512;
	b->state = NSP_BUILDER_STATE;
	b->arena = NSP_BUILDER_ARENA;
}

static inline void nsp_builder_require(bool condition, const char *what)
{
	if (!condition) {
		fprintf(stderr, "nsp_builder: %s\n", what);
		abort();
	}
}

/* References to fresh bytes, aligned to 64. */
static inline uint64_t nsp_take(uint64_t *next, uint64_t bytes, uint64_t end)
{
	uint64_t at = *next;

	*next += (bytes + 63) & ~63ull;
	nsp_builder_require(*next <= end, "a region of DDR is full");
	return QEFF_NSP_REF(QEFF_NSP_DDR, at);
}

static inline uint64_t nsp_io(struct nsp_builder *b, uint64_t bytes)
{
	return nsp_take(&b->io, bytes, NSP_BUILDER_STATE);
}

static inline uint64_t nsp_state(struct nsp_builder *b, uint64_t bytes)
{
	return nsp_take(&b->state, bytes, NSP_BUILDER_ARENA);
}

static inline uint64_t nsp_arena(struct nsp_builder *b, uint64_t bytes)
{
	return nsp_take(&b->arena, bytes, b->header.ddr_bytes);
}

/* Constants, aligned to 128; zeros if @data is NULL. */
static inline uint64_t nsp_const(struct nsp_builder *b, const void *data, size_t bytes)
{
	uint64_t at;

	qeff_bytes_align(&b->constants, 128);
	at = b->constants.size_bytes;
	qeff_bytes_append(&b->constants, data, bytes);
	return QEFF_NSP_REF(QEFF_NSP_CONST, NSP_BUILDER_PROGRAM_BYTES + at);
}

/* Packs w[outputs][inputs] (f32). */
static inline uint64_t nsp_weights(struct nsp_builder *b, enum qeff_nsp_type type, const float *w,
				   uint32_t outputs, uint32_t inputs, uint32_t group)
{
	uint64_t panel = qeff_nsp_panel_bytes(type, inputs, group);
	uint64_t at = nsp_const(b, NULL, panel * ((outputs + 31) / 32));

	for (uint32_t n = 0; n < outputs; n += 32) {
		struct qeff_nsp_weights from;

		qeff_nsp_weights_of(&from, w, QEFF_NSP_F32, inputs * sizeof(float), sizeof(float),
				    n, outputs);
		qeff_nsp_pack_panel(b->constants.data + at - NSP_BUILDER_PROGRAM_BYTES +
					    n / 32 * panel,
				    type, inputs, group, &from);
	}
	return at;
}

static inline struct qeff_nsp_operand nsp_rows(uint64_t at, uint32_t stride, uint8_t type)
{
	return (struct qeff_nsp_operand){ .at = at, .stride_bytes = stride, .type = type };
}

static inline struct qeff_nsp_operand nsp_f32(uint64_t at, uint32_t columns)
{
	return nsp_rows(at, columns * 4, QEFF_NSP_F32);
}

static inline struct qeff_nsp_operand nsp_none(void)
{
	return (struct qeff_nsp_operand){ .at = QEFF_NSP_NONE };
}

/* An operation without operands; fill in what it has. */
static inline struct qeff_nsp_op nsp_op_of(uint16_t code, uint8_t domain, uint32_t rows)
{
	struct qeff_nsp_op op = {
		.code = code, .domain = domain, .rows = rows, .name = UINT32_MAX
	};

	for (int i = 0; i < 4; i++)
		op.in[i] = nsp_none();
	op.out = nsp_none();
	return op;
}

static inline void nsp_spec(struct nsp_builder *b, uint32_t batch, uint32_t seq, uint32_t positions,
			    uint32_t slots)
{
	struct qeff_nsp_spec spec = {
		.batch = batch,
		.seq = seq,
		.positions = positions,
		.slots = slots,
		.first_phase = b->header.phases,
	};

	qeff_bytes_append(&b->specs, &spec, sizeof(spec));
	b->header.specs++;
}

/* Begins a phase of the newest specialisation; tiles go to the newest phase. */
static inline void nsp_phase(struct nsp_builder *b)
{
	((struct qeff_nsp_spec *)b->specs.data)[b->header.specs - 1].phases++;
	b->header.phases++;
}

/* Adds an operation; returns its index. Scratch grows to what it needs. */
static inline uint32_t nsp_op(struct nsp_builder *b, const struct qeff_nsp_op *op)
{
	uint64_t scratch = qeff_nsp_scratch_bytes(op);

	if (scratch > b->header.scratch_bytes)
		b->header.scratch_bytes = (uint32_t)scratch;
	qeff_bytes_append(&b->ops, op, sizeof(*op));
	return b->header.ops++;
}

static inline void nsp_tile(struct nsp_builder *b, uint32_t nsp, struct qeff_nsp_tile tile)
{
	nsp_builder_require(b->header.tiles < NSP_BUILDER_TILES, "too many tiles");
	b->tiles[b->header.tiles].tile = tile;
	b->tiles[b->header.tiles].nsp = nsp;
	b->tiles[b->header.tiles++].phase = b->header.phases - 1;
}

/* One tile on the first NSP: all of [0, @end), all rows. */
static inline void nsp_whole(struct nsp_builder *b, uint32_t op, uint32_t end, uint64_t data)
{
	nsp_tile(b, 0,
		 (struct qeff_nsp_tile){ .op = op, .end = end, .row_parts = 1, .data = data });
}

/* [0, @end) cut at multiples of @granule over all NSPs; a granule has @granule_bytes of data. */
static inline void nsp_share(struct nsp_builder *b, uint32_t op, uint32_t end, uint32_t granule,
			     uint64_t data, uint64_t granule_bytes)
{
	uint32_t granules = (end + granule - 1) / granule, nsps = b->header.nsps;

	for (uint32_t n = 0; n < nsps; n++) {
		uint32_t first = granules * n / nsps, last = granules * (n + 1) / nsps;
		uint32_t stop = last * granule < end ? last * granule : end;

		if (first == last)
			continue;
		nsp_tile(
			b, n,
			(struct qeff_nsp_tile){
				.op = op,
				.begin = first * granule,
				.end = stop,
				.row_parts = 1,
				.data = data == QEFF_NSP_NONE ? data : data + first * granule_bytes,
			});
	}
}

/* Whole rows ([0, @end) of them outputs, heads or entries; 0 if it has none), cut into row parts.
 */
static inline void nsp_share_rows(struct nsp_builder *b, uint32_t op, uint32_t end, uint64_t data,
				  uint16_t parts)
{
	for (uint16_t part = 0; part < parts; part++)
		nsp_tile(b, part % b->header.nsps,
			 (struct qeff_nsp_tile){
				 .op = op,
				 .end = end,
				 .row_part = part,
				 .row_parts = parts,
				 .data = data,
			 });
}

/* A phase of ROWS that reads @input; @slots: batch_index or QEFF_NSP_NONE. */
static inline void nsp_rows_phase(struct nsp_builder *b, uint32_t batch, uint32_t seq,
				  uint64_t input, uint64_t slots, bool from_mask)
{
	struct qeff_nsp_op op = nsp_op_of(QEFF_NSP_ROWS, QEFF_NSP_ROWS_TOKENS, batch * seq);

	op.in[0] = nsp_rows(input, seq * 8, QEFF_NSP_I64);
	if (slots != QEFF_NSP_NONE)
		op.in[1] = nsp_rows(slots, 8, QEFF_NSP_I64);
	op.u.rows.from_mask = from_mask;
	nsp_phase(b);
	nsp_whole(b, nsp_op(b, &op), 0, QEFF_NSP_NONE);
}

/**
 * struct nsp_machine - a laid-out program and the memory it runs on
 */
struct nsp_machine {
	uint8_t *constants;
	size_t constants_bytes;
	struct qeff_nsp_program program;
	struct qeff_nsp_instance *instance;
	uint8_t *ddr;
	uint8_t *scratch;
	uint8_t *shadow;
};

static inline void *nsp_aligned(size_t bytes)
{
	void *memory = aligned_alloc(128, (bytes + 127) & ~(size_t)127);

	nsp_builder_require(memory, "out of memory");
	memset(memory, 0, bytes);
	return memory;
}

static inline uint64_t nsp_place(uint8_t *constants, uint64_t *next, const void *table,
				 size_t bytes)
{
	uint64_t at = *next;

	nsp_builder_require(at + bytes <= NSP_BUILDER_PROGRAM_BYTES, "the tables are too large");
	if (bytes)
		memcpy(constants + at, table, bytes);
	*next = (at + bytes + 7) & ~7ull;
	return at;
}

/* Lays the program out in fresh memory and frees the builder. */
static inline uint8_t *nsp_layout(struct nsp_builder *b, size_t *bytes)
{
	struct qeff_nsp_header *h = &b->header;
	uint8_t *constants;
	uint64_t next = sizeof(*h);
	struct qeff_bytes tiles = { 0 }, index = { 0 };

	*bytes = NSP_BUILDER_PROGRAM_BYTES + b->constants.size_bytes;
	constants = nsp_aligned(*bytes);
	for (uint32_t n = 0; n < h->nsps; n++) {
		for (uint32_t p = 0; p < h->phases; p++) {
			qeff_bytes_u32(&index, (uint32_t)(tiles.size_bytes / 24));
			for (uint32_t i = 0; i < h->tiles; i++)
				if (b->tiles[i].nsp == n && b->tiles[i].phase == p)
					qeff_bytes_append(&tiles, &b->tiles[i].tile, 24);
		}
		qeff_bytes_u32(&index, (uint32_t)(tiles.size_bytes / 24));
	}
	h->program_bytes = NSP_BUILDER_PROGRAM_BYTES;
	h->const_bytes = *bytes;
	h->instructions = (uint32_t)(b->instructions.size_bytes / 8);
	h->string_bytes = (uint32_t)b->strings.size_bytes;
	h->specs_offset = nsp_place(constants, &next, b->specs.data, b->specs.size_bytes);
	h->ops_offset = nsp_place(constants, &next, b->ops.data, b->ops.size_bytes);
	h->tile_index_offset = nsp_place(constants, &next, index.data, index.size_bytes);
	h->tiles_offset = nsp_place(constants, &next, tiles.data, tiles.size_bytes);
	h->instructions_offset =
		nsp_place(constants, &next, b->instructions.data, b->instructions.size_bytes);
	h->nests = (uint32_t)(b->nests.size_bytes / sizeof(struct qeff_nsp_nest));
	h->nests_offset = nsp_place(constants, &next, b->nests.data, b->nests.size_bytes);
	h->strings_offset = nsp_place(constants, &next, b->strings.data, b->strings.size_bytes);
	memcpy(constants, h, sizeof(*h));
	if (b->constants.size_bytes)
		memcpy(constants + NSP_BUILDER_PROGRAM_BYTES, b->constants.data,
		       b->constants.size_bytes);
	qeff_bytes_free(&tiles);
	qeff_bytes_free(&index);
	qeff_bytes_free(&b->specs);
	qeff_bytes_free(&b->ops);
	qeff_bytes_free(&b->instructions);
	qeff_bytes_free(&b->nests);
	qeff_bytes_free(&b->strings);
	qeff_bytes_free(&b->constants);
	return constants;
}

/* Takes over @constants. Aborts with the validator's sentence if the program is refused. */
static inline void nsp_load(struct nsp_machine *m, uint8_t *constants, size_t bytes,
			    const struct qeff_nsp_kernels *kernels)
{
	struct qeff_error err;

	memset(m, 0, sizeof(*m));
	m->constants = constants;
	m->constants_bytes = bytes;
	if (qeff_nsp_host_validate(constants, bytes, "test program", &m->program, &err))
		nsp_builder_require(false, err.message);
	m->ddr = nsp_aligned(m->program.header->ddr_bytes);
	m->scratch = nsp_aligned(m->program.header->scratch_bytes + 128);
	m->shadow = nsp_aligned(m->program.header->ddr_bytes - m->program.header->arena_offset);
	m->instance = nsp_aligned(qeff_nsp_instance_bytes(&m->program));
	qeff_nsp_instance_init(m->instance, &m->program, kernels, m->ddr);
}

static inline void nsp_build(struct nsp_machine *m, struct nsp_builder *b,
			     const struct qeff_nsp_kernels *kernels)
{
	size_t bytes;
	uint8_t *constants = nsp_layout(b, &bytes);

	nsp_load(m, constants, bytes, kernels);
}

/* Whether the program is refused with a sentence that has @what in it (NULL: is accepted); says
 * what case @number was instead. Frees the builder. */
static inline bool nsp_judged(struct nsp_builder *b, size_t number, const char *what)
{
	struct qeff_nsp_problem problem = { 0 };
	struct qeff_nsp_program program;
	size_t bytes;
	uint8_t *constants = nsp_layout(b, &bytes);
	bool valid = qeff_nsp_validate(constants, bytes, &program, &problem);
	bool right = valid ? !what : what && strstr(problem.what, what);

	free(constants);
	if (!right)
		printf("\n  case %zu: %s, expected %s", number, valid ? "accepted" : problem.what,
		       what ?: "nothing");
	return right;
}

/* A member of an operation: where it is and how long. */
#define NSP_OP_AT(member)                                                                          \
	offsetof(struct qeff_nsp_op, member), sizeof(((struct qeff_nsp_op *)0)->member)

static inline void nsp_unload(struct nsp_machine *m)
{
	free(m->constants);
	free(m->ddr);
	free(m->scratch);
	free(m->shadow);
	free(m->instance);
}

static inline void *nsp_ddr(struct nsp_machine *m, uint64_t reference)
{
	return m->ddr + QEFF_NSP_REF_OFFSET(reference);
}

/* One inference under the poison check. */
static inline enum qeff_nsp_fault nsp_infer(struct nsp_machine *m, uint32_t spec)
{
	struct qeff_nsp_control control = { .specialisation = spec };

	memcpy(m->ddr + NSP_BUILDER_CONTROL, &control, sizeof(control));
	return qeff_nsp_host_run(m->instance, m->scratch, m->shadow);
}

static inline const struct qeff_nsp_stats *nsp_stats(const struct nsp_machine *m)
{
	return (const struct qeff_nsp_stats *)(m->ddr + NSP_BUILDER_STATS);
}

/* Reproducible numbers in [-1, 1). */
static inline float nsp_random(uint32_t *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return (float)(int32_t)*seed * 0x1p-31f;
}

static inline float *nsp_randoms(uint32_t *seed, size_t count)
{
	float *values = malloc(count * sizeof(float));

	nsp_builder_require(values, "out of memory");
	for (size_t i = 0; i < count; i++)
		values[i] = nsp_random(seed);
	return values;
}

/* How far off a result is; infinitely, if it is NaN, which fmax() would overlook. */
static inline double nsp_off(double got, double want)
{
	return got == got ? __builtin_fabs(got - want) : __builtin_inf();
}

/* The instruction sets this machine has, or of those the one that QEFF_ISA names. */
static inline size_t nsp_isas(const char *names[4])
{
	static const char *const all[] = { "portable", "avx2", "avx512", "avx512bf16" };
	const char *only = getenv("QEFF_ISA");
	size_t count = 0;

	for (size_t i = 0; i < 4; i++)
		if (qeff_nsp_kernels_named(all[i]) && (!only || !strcmp(only, all[i])))
			names[count++] = all[i];
	nsp_builder_require(count, "no instruction set to test");
	return count;
}

/* Whether the validator's phrase is one of @alternatives, which are separated by a bar. */
static inline bool says(const char *what, const char *alternatives)
{
	char copy[128], *state, *one;

	snprintf(copy, sizeof(copy), "%s", alternatives);
	for (one = strtok_r(copy, "|", &state); one; one = strtok_r(NULL, "|", &state))
		if (strstr(what, one))
			return true;
	return false;
}

#endif
