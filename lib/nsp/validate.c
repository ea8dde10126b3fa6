/* SPDX-License-Identifier: MIT */
/*
 * The validator of NSP programs: header, tables, specialisations and tiles (operations:
 * validate_op.c).
 *
 * The one place where a program is not trusted. What passes can be executed without another check,
 * whatever the inputs. One walk over each table; nothing is allocated.
 */
#include "nsp/validate.h"

#include "nsp/kernels.h"
#include "nsp/pack.h"
#include "util/checked.h"

#include <string.h>

#define REQUIRE(condition, what, found, limit)                                                     \
	do {                                                                                       \
		if (!(condition))                                                                  \
			return qeff_nsp_refuse(check, what, found, limit);                         \
	} while (0)

bool qeff_nsp_refuse(const struct nsp_check *check, const char *what, uint64_t found,
		     uint64_t limit)
{
	if (check->problem)
		*check->problem = (struct qeff_nsp_problem){
			.what = what,
			.index = check->index,
			.found = found,
			.limit = limit,
		};
	return false;
}

static bool check_header(const struct nsp_check *check, uint64_t bytes)
{
	const struct qeff_nsp_header *h = check->program->header;

	REQUIRE((uintptr_t)h % 128 == 0, "header: the constants are not aligned to 128 in memory",
		(uintptr_t)h % 128, 0);
	REQUIRE(bytes >= sizeof(*h), "header: the constants are shorter than a program header",
		bytes, sizeof(*h));
	REQUIRE(h->magic == QEFF_NSP_MAGIC, "header: the constants do not begin with a program",
		h->magic, QEFF_NSP_MAGIC);
	REQUIRE(h->version_major == QEFF_NSP_VERSION_MAJOR,
		"header: another major version of the program format", h->version_major,
		QEFF_NSP_VERSION_MAJOR);
	REQUIRE(h->version_minor <= QEFF_NSP_VERSION_MINOR,
		"header: a newer minor version of the program format", h->version_minor,
		QEFF_NSP_VERSION_MINOR);
	REQUIRE(!h->reserved, "header: reserved fields are not zero", h->reserved, 0);
	REQUIRE(h->const_bytes <= bytes, "header: const_bytes exceeds the constants",
		h->const_bytes, bytes);
	REQUIRE(h->program_bytes >= sizeof(*h) && h->program_bytes <= h->const_bytes,
		"header: program_bytes exceeds const_bytes", h->program_bytes, h->const_bytes);
	REQUIRE(h->nsps >= 1 && h->nsps <= QEFF_NSP_MAX_NSPS, "header: number of NSPs", h->nsps,
		QEFF_NSP_MAX_NSPS);
	REQUIRE(h->scratch_bytes <= QEFF_NSP_MAX_SCRATCH_BYTES, "header: scratch_bytes",
		h->scratch_bytes, QEFF_NSP_MAX_SCRATCH_BYTES);
	return true;
}

static bool check_memory(const struct nsp_check *check)
{
	const struct qeff_nsp_header *h = check->program->header;
	uint64_t distance = h->stats > h->control ? h->stats - h->control : h->control - h->stats;
	uint64_t lower = h->stats > h->control ? sizeof(struct qeff_nsp_control)
					       : sizeof(struct qeff_nsp_stats);

	REQUIRE(h->ddr_bytes <= QEFF_NSP_REF_OFFSET(UINT64_MAX), "header: ddr_bytes", h->ddr_bytes,
		QEFF_NSP_REF_OFFSET(UINT64_MAX));
	REQUIRE(h->arena_offset <= h->ddr_bytes && h->arena_offset % 4096 == 0,
		"header: arena_offset is no multiple of 4096 inside DDR", h->arena_offset,
		h->ddr_bytes);
	REQUIRE(h->state_offset <= h->arena_offset && h->state_offset % 4096 == 0,
		"header: state_offset is no multiple of 4096 below arena_offset", h->state_offset,
		h->arena_offset);
	REQUIRE(h->control % 8 == 0 && qeff_range_valid(h->control, sizeof(struct qeff_nsp_control),
							h->state_offset),
		"header: the control buffer is not aligned to 8 inside the I/O region", h->control,
		h->state_offset);
	REQUIRE(h->stats % 8 == 0 &&
			qeff_range_valid(h->stats, sizeof(struct qeff_nsp_stats), h->state_offset),
		"header: the statistics are not aligned to 8 inside the I/O region", h->stats,
		h->state_offset);
	REQUIRE(distance >= lower, "header: control buffer and statistics overlap", distance,
		lower);
	return true;
}

/* Points @table at @count entries of @size bytes inside the program. */
static bool check_table(const struct nsp_check *check, const char *what, uint64_t offset,
			uint64_t count, uint64_t size, const void **table)
{
	const struct qeff_nsp_header *h = check->program->header;
	uint64_t bytes;

	REQUIRE(offset % 8 == 0 && qeff_mul_u64(count, size, &bytes) &&
			qeff_range_valid(offset, bytes, h->program_bytes),
		what, offset, h->program_bytes);
	*table = check->program->constants + offset;
	return true;
}

static bool check_tables(const struct nsp_check *check, struct qeff_nsp_program *program)
{
	const struct qeff_nsp_header *h = program->header;
	const void *specs, *ops, *index, *tiles, *instructions, *nests, *strings;

	REQUIRE(h->specs >= 1 && h->specs <= QEFF_NSP_MAX_SPECS,
		"header: number of specialisations", h->specs, QEFF_NSP_MAX_SPECS);
	REQUIRE(h->phases <= QEFF_NSP_MAX_PHASES, "header: number of phases", h->phases,
		QEFF_NSP_MAX_PHASES);
	REQUIRE(h->ops <= QEFF_NSP_MAX_OPS, "header: number of operations", h->ops,
		QEFF_NSP_MAX_OPS);
	REQUIRE(h->tiles <= QEFF_NSP_MAX_TILES, "header: number of tiles", h->tiles,
		QEFF_NSP_MAX_TILES);
	REQUIRE(h->nests <= QEFF_NSP_MAX_NESTS, "header: number of nests", h->nests,
		QEFF_NSP_MAX_NESTS);
	if (!check_table(check, "header: the specialisations leave the program", h->specs_offset,
			 h->specs, sizeof(struct qeff_nsp_spec), &specs) ||
	    !check_table(check, "header: the operations leave the program", h->ops_offset, h->ops,
			 sizeof(struct qeff_nsp_op), &ops) ||
	    !check_table(check, "header: the tile index leaves the program", h->tile_index_offset,
			 (uint64_t)h->nsps * (h->phases + 1), sizeof(uint32_t), &index) ||
	    !check_table(check, "header: the tiles leave the program", h->tiles_offset, h->tiles,
			 sizeof(struct qeff_nsp_tile), &tiles) ||
	    !check_table(check, "header: the instructions leave the program",
			 h->instructions_offset, h->instructions,
			 sizeof(struct qeff_nsp_instruction), &instructions) ||
	    !check_table(check, "header: the nests leave the program", h->nests_offset, h->nests,
			 sizeof(struct qeff_nsp_nest), &nests) ||
	    !check_table(check, "header: the strings leave the program", h->strings_offset,
			 h->string_bytes, 1, &strings))
		return false;
	program->specs = specs;
	program->ops = ops;
	program->tile_index = index;
	program->tiles = tiles;
	program->instructions = instructions;
	program->nests = nests;
	program->strings = strings;
	REQUIRE(!h->string_bytes || !program->strings[h->string_bytes - 1],
		"strings: the last one does not end", h->string_bytes, h->string_bytes);
	return true;
}

/* The index must name every tile once, NSP after NSP, phase after phase. */
static bool check_index(struct nsp_check *check)
{
	const struct qeff_nsp_header *h = check->program->header;
	const uint32_t *at = check->program->tile_index;
	uint32_t previous = 0;

	for (uint32_t n = 0; n < h->nsps; n++) {
		check->index = n;
		REQUIRE(*at == previous, "tile index: an NSP does not begin where the last ended",
			*at, previous);
		for (uint32_t p = 0; p < h->phases; p++) {
			REQUIRE(at[p + 1] >= at[p], "tile index: tiles do not ascend", at[p + 1],
				at[p]);
		}
		previous = at[h->phases];
		at += h->phases + 1;
	}
	REQUIRE(previous == h->tiles, "tile index: does not end with the last tile", previous,
		h->tiles);
	return true;
}

static uint64_t capacity(const struct qeff_nsp_spec *spec, const struct qeff_nsp_op *op)
{
	switch (op->domain) {
	case QEFF_NSP_ROWS_TOKENS:
		return (uint64_t)spec->batch * spec->seq;
	case QEFF_NSP_ROWS_SEGMENTS:
		return spec->batch;
	default:
		return op->rows;
	}
}

/* Token inputs are read by source position: [batch, seq] without gaps. */
static bool check_token_input(const struct nsp_check *check, const struct qeff_nsp_operand *in,
			      const struct qeff_nsp_spec *spec)
{
	REQUIRE(in->stride_bytes == spec->seq * 8ull,
		"tile: the rows of a token input are not seq * 8 bytes apart", in->stride_bytes,
		spec->seq * 8ull);
	return qeff_nsp_check_operand(check, "tile: a token input leaves its memory", in,
				      spec->batch, spec->seq, false);
}

/* A number for each batch entry. */
static bool check_entry_input(const struct nsp_check *check, const struct qeff_nsp_operand *in,
			      const struct qeff_nsp_spec *spec)
{
	REQUIRE(in->stride_bytes == 8, "tile: an input of batch entries is not dense",
		in->stride_bytes, 8);
	return qeff_nsp_check_operand(check, "tile: an input of batch entries leaves its memory",
				      in, spec->batch, 1, false);
}

/* What SAMPLE reads of each batch entry. */
static bool check_wishes(const struct nsp_check *check, const struct qeff_nsp_op *op,
			 const struct qeff_nsp_spec *spec)
{
	static const char what[] = "tile: what a draw needs leaves its memory";
	const struct qeff_nsp_sample_params *p = &op->u.sample;
	const uint64_t at[] = { op->in[1].at, op->in[2].at, op->in[3].at, p->min_ps,
				p->random_numbers };

	for (int i = 0; i < 5 && at[i] != QEFF_NSP_NONE; i++) {
		REQUIRE(at[i] % 4 == 0, "tile: what a draw needs is not aligned", at[i], 4);
		if (!qeff_nsp_check_range(check, what, at[i],
					  (i < 4 ? 4ull : 4ull * p->chosen) * spec->batch, false))
			return false;
	}
	return true;
}

static bool check_state(const struct nsp_check *check, const struct qeff_nsp_state *state,
			const struct qeff_nsp_spec *spec)
{
	REQUIRE(state->slots >= spec->slots,
		"tile: the state has fewer slots than the specialisation", state->slots,
		spec->slots);
	REQUIRE(state->positions >= spec->positions,
		"tile: the state has fewer positions than the specialisation", state->positions,
		spec->positions);
	return true;
}

/* What an operation needs of the specialisation that uses it. */
static bool check_use(const struct nsp_check *check, const struct qeff_nsp_op *op,
		      const struct qeff_nsp_spec *spec)
{
	uint64_t tokens = (uint64_t)spec->batch * spec->seq;

	REQUIRE(capacity(spec, op) <= op->rows, "tile: the operation has fewer rows than can live",
		op->rows, capacity(spec, op));
	switch (op->code) {
	case QEFF_NSP_ROWS:
		if (op->in[1].at != QEFF_NSP_NONE &&
		    !qeff_nsp_check_range(check, "tile: batch_index leaves its memory",
					  op->in[1].at, spec->batch * 8ull, false))
			return false;
		return check_token_input(check, &op->in[0], spec);
	case QEFF_NSP_GATHER:
		REQUIRE(op->u.gather.from_position != 1 || op->u.gather.entries >= spec->positions,
			"tile: the table has fewer entries than there are positions",
			op->u.gather.entries, spec->positions);
		if (op->u.gather.from_position == 3)
			return check_entry_input(check, &op->in[0], spec);
		return op->u.gather.from_position || check_token_input(check, &op->in[0], spec);
	case QEFF_NSP_SAMPLE:
		return check_wishes(check, op, spec);
	case QEFF_NSP_MARK:
		REQUIRE(op->u.mark.flags.slots >= spec->slots,
			"tile: the flags have fewer slots than the specialisation",
			op->u.mark.flags.slots, spec->slots);
		return check_token_input(check, &op->in[0], spec);
	case QEFF_NSP_PENALISE:
		return qeff_nsp_check_penalties(check, op, spec);
	case QEFF_NSP_ROPE:
		REQUIRE(op->u.rope.positions >= spec->positions,
			"tile: the rotary tables have fewer entries than there are positions",
			op->u.rope.positions, spec->positions);
		return true;
	case QEFF_NSP_SCATTER:
		return check_state(check, &op->u.scatter.state, spec);
	case QEFF_NSP_ATTENTION:
		return !op->u.attention.from_state ||
		       (check_state(check, &op->u.attention.key, spec) &&
			check_state(check, &op->u.attention.value, spec));
	case QEFF_NSP_REDUCE:
		return qeff_nsp_check_operand(check, "tile: rows to reduce leave their memory",
					      &op->in[0], tokens, op->u.reduce.width, false);
	case QEFF_NSP_COPY:
		REQUIRE(op->u.copy.out_rows >= capacity(spec, op),
			"tile: COPY has fewer output rows than can live", op->u.copy.out_rows,
			capacity(spec, op));
		return true;
	default:
		return true;
	}
}

/* The range of outputs, entries or heads, and the weights that belong to it. */
static bool check_part(const struct nsp_check *check, const struct qeff_nsp_tile *tile,
		       const struct qeff_nsp_op *op)
{
	const struct qeff_nsp_matmul_params *experts = &op->u.experts.matmul;
	unsigned int type = QEFF_NSP_F32;
	uint64_t count, panel = 0, bytes;
	bool panels = false;

	switch (op->code) {
	case QEFF_NSP_MATMUL:
		count = op->u.matmul.outputs;
		type = op->u.matmul.weight_type;
		panel = qeff_nsp_panel_bytes(type, op->u.matmul.inputs, op->u.matmul.scale_group);
		panels = true;
		break;
	case QEFF_NSP_EXPERTS:
		count = experts->outputs;
		panel = qeff_nsp_panel_bytes(experts->weight_type, experts->inputs,
					     experts->scale_group);
		REQUIRE(qeff_mul_u64(panel, op->u.experts.experts, &panel),
			"tile: weights are too large", panel, UINT64_MAX);
		panels = true;
		break;
	case QEFF_NSP_GATHER:
		count = op->u.gather.entries;
		type = op->in[1].type;
		panel = qeff_nsp_panel_bytes(type, op->u.gather.width, 0);
		panels = op->u.gather.packed;
		break;
	case QEFF_NSP_ROPE:
		count = op->u.rope.heads;
		break;
	case QEFF_NSP_BEST:
		count = op->u.best.parts;
		break;
	case QEFF_NSP_PENALISE:
		count = op->u.penalise.width;
		break;
	case QEFF_NSP_SCATTER:
		count = op->u.scatter.heads;
		break;
	case QEFF_NSP_ATTENTION:
		count = op->u.attention.heads;
		break;
	default:
		REQUIRE(!tile->begin && !tile->end, "tile: a range where whole rows are meant",
			tile->end, 0);
		count = 0;
	}
	if (count)
		REQUIRE(tile->begin < tile->end && tile->end <= count,
			"tile: empty range, or past the end", tile->end, count);
	if (!panels) {
		REQUIRE(tile->data == QEFF_NSP_NONE, "tile: weights where none are used",
			tile->data, QEFF_NSP_NONE);
		return true;
	}
	REQUIRE(tile->begin % QEFF_NSP_PANEL == 0 &&
			(tile->end % QEFF_NSP_PANEL == 0 || tile->end == count),
		"tile: the range does not consist of panels", tile->begin, QEFF_NSP_PANEL);
	REQUIRE(QEFF_NSP_REF_SPACE(tile->data) == QEFF_NSP_CONST && tile->data % 128 == 0,
		"tile: weights are not aligned to 128 in the constants", tile->data, 128);
	REQUIRE(qeff_mul_u64(panel,
			     ((uint64_t)tile->end - tile->begin + QEFF_NSP_PANEL - 1) /
				     QEFF_NSP_PANEL,
			     &bytes),
		"tile: weights are too large", panel, UINT64_MAX);
	return qeff_nsp_check_range(check, "tile: weights leave the constants", tile->data, bytes,
				    false);
}

static bool check_tile(const struct nsp_check *check, const struct qeff_nsp_tile *tile,
		       const struct qeff_nsp_spec *spec, bool rows, bool first_phase)
{
	const struct qeff_nsp_program *program = check->program;
	const struct qeff_nsp_op *op;

	REQUIRE(tile->op < program->header->ops, "tile: no such operation", tile->op,
		program->header->ops);
	op = &program->ops[tile->op];
	REQUIRE((op->code == QEFF_NSP_ROWS) == (rows && first_phase),
		"tile: ROWS belongs in the first phase of a specialisation, alone", op->code,
		QEFF_NSP_ROWS);
	REQUIRE(rows || op->domain == QEFF_NSP_ROWS_STATIC,
		"tile: rows of tokens in a specialisation without ROWS", op->domain,
		QEFF_NSP_ROWS_STATIC);
	REQUIRE(tile->row_parts && tile->row_part < tile->row_parts, "tile: row part",
		tile->row_part, tile->row_parts);
	REQUIRE((op->code != QEFF_NSP_ROWS && op->code != QEFF_NSP_PUT) || tile->row_parts == 1,
		"tile: ROWS or PUT in parts", tile->row_parts, 1);
	return check_part(check, tile, op) && check_use(check, op, spec);
}

static bool check_spec(const struct nsp_check *check, const struct qeff_nsp_spec *spec,
		       uint64_t expected_phase)
{
	uint64_t rows = (uint64_t)spec->batch * spec->seq;

	REQUIRE(!spec->reserved[0] && !spec->reserved[1],
		"specialisation: reserved fields are not zero", spec->reserved[0], 0);
	REQUIRE(rows >= 1 && rows <= QEFF_NSP_MAX_ROWS, "specialisation: batch x seq", rows,
		QEFF_NSP_MAX_ROWS);
	REQUIRE(spec->positions >= 1 && spec->positions <= QEFF_NSP_MAX_POSITIONS,
		"specialisation: positions", spec->positions, QEFF_NSP_MAX_POSITIONS);
	REQUIRE(spec->slots >= 1, "specialisation: without slots", 0, 1);
	REQUIRE(spec->first_phase == expected_phase,
		"specialisation: its phases do not follow those of the one before",
		spec->first_phase, expected_phase);
	REQUIRE(spec->phases >= 1 &&
			spec->phases <= check->program->header->phases - expected_phase,
		"specialisation: number of phases", spec->phases,
		check->program->header->phases - expected_phase);
	return true;
}

/* Whether ROWS occurs in the first phase. */
static bool has_rows(const struct qeff_nsp_program *program, const struct qeff_nsp_spec *spec)
{
	const uint32_t *at = program->tile_index + spec->first_phase;

	for (uint32_t n = 0; n < program->header->nsps; n++, at += program->header->phases + 1)
		for (uint32_t i = at[0]; i < at[1]; i++)
			if (program->tiles[i].op < program->header->ops &&
			    program->ops[program->tiles[i].op].code == QEFF_NSP_ROWS)
				return true;
	return false;
}

static bool check_phase(struct nsp_check *check, const struct qeff_nsp_spec *spec, bool rows,
			uint32_t phase)
{
	const struct qeff_nsp_program *program = check->program;
	bool first = phase == spec->first_phase;
	uint64_t tiles = 0;

	for (uint32_t n = 0; n < program->header->nsps; n++) {
		const uint32_t *at =
			program->tile_index + (uint64_t)n * (program->header->phases + 1) + phase;

		for (uint32_t i = at[0]; i < at[1]; i++, tiles++) {
			check->index = i;
			if (!check_tile(check, &program->tiles[i], spec, rows, first))
				return false;
		}
	}
	check->index = phase;
	REQUIRE(!first || !rows || tiles == 1,
		"phase: the first of a specialisation is one tile of ROWS", tiles, 1);
	return true;
}

/* Specialisations share out the phases in order, so every tile belongs to exactly one. */
static bool check_specs(struct nsp_check *check, struct qeff_nsp_program *program)
{
	uint32_t phase = 0;

	for (uint32_t s = 0; s < program->header->specs; s++) {
		const struct qeff_nsp_spec *spec = &program->specs[s];
		bool rows;

		check->index = s;
		if (!check_spec(check, spec, phase))
			return false;
		rows = has_rows(program, spec);
		for (uint32_t p = 0; p < spec->phases; p++)
			if (!check_phase(check, spec, rows, phase + p))
				return false;
		phase += spec->phases;
		if (spec->batch * spec->seq > program->max_tokens)
			program->max_tokens = spec->batch * spec->seq;
		if (spec->batch > program->max_segments)
			program->max_segments = spec->batch;
	}
	check->index = 0;
	REQUIRE(phase == program->header->phases, "phases: some belong to no specialisation", phase,
		program->header->phases);
	return true;
}

bool qeff_nsp_validate(const void *constants, uint64_t constants_bytes,
		       struct qeff_nsp_program *program, struct qeff_nsp_problem *problem)
{
	struct nsp_check check = { .program = program, .problem = problem };

	memset(program, 0, sizeof(*program));
	program->constants = constants;
	program->header = constants;
	if (!check_header(&check, constants_bytes) || !check_memory(&check) ||
	    !check_tables(&check, program) || !check_index(&check))
		return false;
	for (uint32_t i = 0; i < program->header->nests; i++) {
		check.index = i;
		if (!qeff_nsp_check_nest(&check, &program->nests[i]))
			return false;
	}
	for (uint32_t i = 0; i < program->header->ops; i++) {
		check.index = i;
		if (!qeff_nsp_check_op(&check, &program->ops[i]))
			return false;
	}
	return check_specs(&check, program);
}
