/* SPDX-License-Identifier: MIT */
/*
 * The program's bytes: where everything stands in the constants is decided, references become
 * addresses, and header and tables are written. Nothing changes after that.
 */
#include "lower/ir.h"

#include "nsp/exec.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static uint64_t align_up(uint64_t value, uint64_t alignment)
{
	return (value + alignment - 1) & ~(alignment - 1);
}

static uint64_t table_bytes(const struct lower_table *table)
{
	return (uint64_t)table->rows * table->columns * 4;
}

/* Behind the program's @program_bytes: the shared region, then a region for each NSP. */
static void lay_out_constants(struct qeff_lowering *l, uint64_t program_bytes)
{
	uint64_t offset = program_bytes;

	for (uint32_t i = 0; i < l->num_tables; i++) {
		l->tables[i].offset = align_up(offset, LOWER_TENSOR_ALIGNMENT);
		offset = l->tables[i].offset + table_bytes(&l->tables[i]);
	}
	for (uint32_t i = 0; i < l->num_raws; i++) {
		l->raws[i].offset = align_up(offset, LOWER_TENSOR_ALIGNMENT);
		offset = l->raws[i].offset + l->raws[i].bytes;
	}
	l->shared_bytes = align_up(offset, LOWER_TENSOR_ALIGNMENT);
	offset = l->shared_bytes;
	for (uint32_t nsp = 0; nsp < l->num_nsps; nsp++) {
		l->region_offset[nsp] = offset = align_up(offset, LOWER_REGION_ALIGNMENT);
		for (uint32_t w = 0; w < l->num_weights; w++) {
			l->weights[w].run[nsp].offset = offset;
			offset += l->weights[w].run[nsp].panels * l->weights[w].panel_bytes;
		}
		l->region_bytes[nsp] = offset - l->region_offset[nsp];
	}
	l->constants_bytes = offset;
}

static struct qeff_nsp_operand operand(const struct qeff_lowering *l, const struct lower_spec *spec,
				       struct lower_ref ref)
{
	struct qeff_nsp_operand to = { .at = QEFF_NSP_NONE };

	switch (ref.kind) {
	case LOWER_REF_TENSOR: {
		const struct lower_tensor *tensor = &spec->tensors[ref.index];

		to.at = QEFF_NSP_REF(QEFF_NSP_DDR, l->arena_offset + tensor->offset);
		to.stride_bytes = tensor->stride_bytes;
		to.type = QEFF_NSP_F32;
		break;
	}
	case LOWER_REF_BINDING: {
		const struct lower_binding *binding = &l->bindings[ref.index];

		to.at = QEFF_NSP_REF(QEFF_NSP_DDR, binding->offset);
		to.type = binding->type;
		break; /* the stride depends on who reads */
	}
	case LOWER_REF_TABLE: {
		const struct lower_table *table = &l->tables[ref.index];

		to.at = QEFF_NSP_REF(QEFF_NSP_CONST, table->offset);
		/* One row: a vector for all rows. */
		to.stride_bytes = table->rows > 1 ? table->columns * 4 : 0;
		to.type = QEFF_NSP_F32;
		break;
	}
	case LOWER_REF_RAW:
		to.at = QEFF_NSP_REF(QEFF_NSP_CONST, l->raws[ref.index].offset);
		break;
	default:
		break;
	}
	return to;
}

/* An operand of a nest, or dense rows: from an element of what it refers to on. */
static struct qeff_nsp_operand element(const struct qeff_lowering *l, const struct lower_spec *spec,
				       const struct lower_op *op, int i)
{
	struct qeff_nsp_operand to = operand(l, spec, i < QEFF_NSP_NEST_OUT ? op->in[i] : op->out);

	if (to.at == QEFF_NSP_NONE)
		return to;
	to.stride_bytes = op->dense[i].row_bytes;
	to.type = op->dense[i].type;
	to.at += (uint64_t)op->dense[i].offset * lower_type_bytes(to.type);
	return to;
}

static struct qeff_nsp_state state(const struct qeff_lowering *l, uint32_t index)
{
	const struct lower_state *from = &l->states[index];
	uint32_t row = from->row_bytes;

	return (struct qeff_nsp_state){
		.at = QEFF_NSP_REF(QEFF_NSP_DDR, from->offset),
		.slot_stride = (uint64_t)from->heads * from->positions * row,
		.head_stride = from->positions * row,
		.position_stride = row,
		.slots = from->slots,
		.positions = from->positions,
		.type = from->type,
	};
}

static uint32_t add_name(struct qeff_bytes *strings, const char *name)
{
	uint32_t at = (uint32_t)strings->size_bytes;

	qeff_bytes_append(strings, name, strlen(name) + 1);
	return at;
}

static void relate(const struct qeff_lowering *l, const struct lower_spec *spec,
		   const struct lower_op *from, struct qeff_nsp_relative *to)
{
	if (!to->distances)
		return;
	to->keys = operand(l, spec, from->relative[0]).at;
	to->queries = operand(l, spec, from->relative[1]).at;
	to->buckets = operand(l, spec, from->relative[2]).at;
}

static struct qeff_nsp_op finish_op(const struct qeff_lowering *l, const struct lower_spec *spec,
				    const struct lower_op *from)
{
	struct qeff_nsp_op op = from->nsp;

	for (int i = 0; i < 4; i++)
		op.in[i] = operand(l, spec, from->in[i]);
	op.out = operand(l, spec, from->out);
	if (lower_is_nest(from)) {
		for (int i = 0; i < 4; i++)
			op.in[i] = element(l, spec, from, i);
		op.out = element(l, spec, from, QEFF_NSP_NEST_OUT);
		return op;
	}
	switch (op.code) {
	case QEFF_NSP_ROWS:
		op.in[0].stride_bytes = spec->seq * 8;
		op.in[1].stride_bytes = op.in[1].at == QEFF_NSP_NONE ? 0 : 8;
		break;
	case QEFF_NSP_GATHER:
		op.in[0].stride_bytes = op.in[0].at == QEFF_NSP_NONE	 ? 0
					: op.u.gather.from_position == 3 ? 8
									 : spec->seq * 8;
		if (op.u.gather.packed)
			op.in[1].type = l->weights[from->weight].type;
		else
			op.in[1].stride_bytes = op.u.gather.width * 4;
		break;
	case QEFF_NSP_MATMUL:
		if (op.domain != QEFF_NSP_ROWS_STATIC)
			break;
		op.in[0] = element(l, spec, from, 0);
		op.out = element(l, spec, from, QEFF_NSP_NEST_OUT);
		break;
	case QEFF_NSP_ROPE:
		op.in[1].stride_bytes = op.in[2].stride_bytes = op.u.rope.rotary / 2 * 4;
		break;
	case QEFF_NSP_SCATTER:
		op.u.scatter.state = state(l, from->state[0]);
		break;
	case QEFF_NSP_ATTENTION:
		if (from->sinks.kind == LOWER_REF_TABLE)
			op.u.attention.sinks = operand(l, spec, from->sinks).at;
		op.in[3].stride_bytes = op.u.attention.bias_columns * 4;
		if (!op.u.attention.from_state) {
			relate(l, spec, from, &op.u.attention.relative);
			break;
		}
		op.u.attention.key = state(l, from->state[0]);
		op.u.attention.value = state(l, from->state[1]);
		break;
	case QEFF_NSP_MARK:
		op.in[0].stride_bytes = spec->seq * 8;
		op.u.mark.flags = state(l, from->state[0]);
		break;
	case QEFF_NSP_PENALISE:
		op.u.penalise.repetition = state(l, from->state[0]);
		op.u.penalise.presence = state(l, from->state[1]);
		op.u.penalise.masks = operand(l, spec, from->wishes[0]).at;
		break;
	case QEFF_NSP_SAMPLE:
		op.u.sample.min_ps = operand(l, spec, from->wishes[0]).at;
		op.u.sample.random_numbers = operand(l, spec, from->wishes[1]).at;
		break;
	case QEFF_NSP_COPY:
		op.out.stride_bytes = op.u.copy.width * lower_type_bytes(op.out.type);
		break;
	default:
		break;
	}
	return op;
}

/* The operations of all specialisations; a name that the same operation has had before is not
 * repeated. */
static int write_ops(const struct qeff_lowering *l, struct qeff_nsp_op *ops,
		     struct qeff_bytes *strings)
{
	const struct lower_spec *first = &l->specs[0];
	uint64_t count = 0;

	for (uint32_t s = 0; s < l->num_specs; s++) {
		const struct lower_spec *spec = &l->specs[s];

		for (uint32_t i = 0; i < spec->num_ops; i++) {
			struct qeff_nsp_op op = finish_op(l, spec, &spec->ops[i]);

			if (s && i < first->num_ops &&
			    !strcmp(spec->ops[i].name, first->ops[i].name))
				op.name = ops[i].name;
			else
				op.name = add_name(strings, spec->ops[i].name);
			ops[count++] = op;
			if (strings->failed || strings->size_bytes >= UINT32_MAX)
				return -ENOMEM;
		}
	}
	return 0;
}

/* A tile's place in the table: NSP, phase, then the order of the operations. */
struct place {
	uint32_t nsp, phase, op, tile;
	const struct lower_spec *spec;
};

static int compare_places(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	if (x->nsp != y->nsp)
		return x->nsp < y->nsp ? -1 : 1;
	if (x->phase != y->phase)
		return x->phase < y->phase ? -1 : 1;
	if (x->op != y->op)
		return x->op < y->op ? -1 : 1;
	return x->tile < y->tile ? -1 : x->tile > y->tile;
}

static struct qeff_nsp_tile finish_tile(const struct qeff_lowering *l, const struct place *place)
{
	const struct lower_tile *from = &place->spec->tiles[place->tile];
	struct qeff_nsp_tile tile = {
		.op = place->op,
		.begin = from->begin,
		.end = from->end,
		.row_part = from->row_part,
		.row_parts = from->row_parts,
		.data = QEFF_NSP_NONE,
	};

	if (from->run != LOWER_NONE) {
		uint32_t weight = place->spec->ops[from->op].weight;

		tile.data = QEFF_NSP_REF(QEFF_NSP_CONST, l->weights[weight].run[from->run].offset);
	}
	return tile;
}

static int write_tiles(const struct qeff_lowering *l, uint32_t *index, struct qeff_nsp_tile *tiles)
{
	struct place *places = calloc(l->num_tiles + 1, sizeof(*places));
	uint32_t phase = 0, op = 0;
	uint64_t count = 0, next = 0;

	if (!places)
		return -ENOMEM;
	for (uint32_t s = 0; s < l->num_specs; s++) {
		const struct lower_spec *spec = &l->specs[s];

		for (uint32_t i = 0; i < spec->num_tiles; i++)
			places[count++] = (struct place){
				.nsp = spec->tiles[i].nsp,
				.phase = phase + spec->ops[spec->tiles[i].op].phase,
				.op = op + spec->tiles[i].op,
				.tile = i,
				.spec = spec,
			};
		phase += spec->phases;
		op += spec->num_ops;
	}
	qsort(places, count, sizeof(*places), compare_places);
	for (uint32_t nsp = 0; nsp < l->num_nsps; nsp++)
		for (uint32_t p = 0; p <= phase; p++) {
			*index++ = (uint32_t)next;
			while (next < count && places[next].nsp == nsp && places[next].phase == p) {
				tiles[next] = finish_tile(l, &places[next]);
				next++;
			}
		}
	free(places);
	return 0;
}

static void write_specs(const struct qeff_lowering *l, struct qeff_nsp_spec *specs)
{
	uint32_t phase = 0;

	for (uint32_t s = 0; s < l->num_specs; s++) {
		specs[s].batch = l->specs[s].batch;
		specs[s].seq = l->specs[s].seq;
		specs[s].positions = l->specs[s].positions;
		specs[s].slots = l->specs[s].slots;
		specs[s].first_phase = phase;
		specs[s].phases = l->specs[s].phases;
		phase += l->specs[s].phases;
	}
}

/* Scratch that the most demanding operation needs. */
static uint32_t scratch_bytes(const struct qeff_nsp_op *ops, uint64_t count)
{
	uint64_t most = 0;

	for (uint64_t i = 0; i < count; i++) {
		uint64_t bytes = qeff_nsp_scratch_bytes(&ops[i]);

		if (bytes > most)
			most = bytes;
	}
	return (uint32_t)align_up(most, LOWER_TENSOR_ALIGNMENT);
}

/* The validator sees every package that is loaded; it had better like ours. */
static int check(const struct qeff_lowering *l, struct qeff_error *err)
{
	struct qeff_nsp_problem problem = { 0 };
	struct qeff_nsp_program program;
	void *aligned = aligned_alloc(LOWER_TENSOR_ALIGNMENT,
				      align_up(l->program.size_bytes, LOWER_TENSOR_ALIGNMENT));
	bool valid;

	if (!aligned)
		return lower_no_memory(err);
	memcpy(aligned, l->program.data, l->program.size_bytes);
	/* It reads header and tables only; the weights are not there yet. */
	valid = qeff_nsp_validate(aligned, l->constants_bytes, &program, &problem);
	free(aligned);
	if (valid)
		return 0;
	return qeff_error_set(err, -EFBIG,
			      "the program cannot be expressed: %s (entry %u: %" PRIu64
			      ", limit %" PRIu64 ")",
			      problem.what, problem.index, problem.found, problem.limit);
}

int qeff_lower_tables(struct qeff_lowering *l, struct qeff_error *err)
{
	struct qeff_nsp_header header = {
		.magic = QEFF_NSP_MAGIC,
		.version_major = QEFF_NSP_VERSION_MAJOR,
		.version_minor = QEFF_NSP_VERSION_MINOR,
		.ddr_bytes = l->ddr_bytes,
		.stats = l->out_offset,
		.state_offset = l->state_offset,
		.arena_offset = l->arena_offset,
		.nsps = l->num_nsps,
		.specs = l->num_specs,
		.phases = (uint32_t)l->num_phases,
		.ops = (uint32_t)l->num_ops,
		.tiles = (uint32_t)l->num_tiles,
		.instructions = l->num_instructions,
		.nests = l->num_nests,
	};
	struct qeff_bytes strings = { 0 }, *b = &l->program;
	uint64_t index_count = (uint64_t)l->num_nsps * (l->num_phases + 1), end;
	int rc = 0;

	header.specs_offset = align_up(sizeof(header), 64);
	header.ops_offset =
		align_up(header.specs_offset + l->num_specs * sizeof(struct qeff_nsp_spec), 64);
	header.tile_index_offset =
		align_up(header.ops_offset + l->num_ops * sizeof(struct qeff_nsp_op), 64);
	header.tiles_offset = align_up(header.tile_index_offset + index_count * 4, 64);
	header.instructions_offset =
		align_up(header.tiles_offset + l->num_tiles * sizeof(struct qeff_nsp_tile), 64);
	header.nests_offset =
		align_up(header.instructions_offset +
				 l->num_instructions * sizeof(struct qeff_nsp_instruction),
			 64);
	header.strings_offset =
		align_up(header.nests_offset + l->num_nests * sizeof(struct qeff_nsp_nest), 64);
	/* Names first, without addresses: they decide how long the program is. */
	qeff_bytes_append(b, NULL, header.strings_offset);
	if (!b->failed)
		rc = write_ops(l, (struct qeff_nsp_op *)(b->data + header.ops_offset), &strings);
	end = align_up(header.strings_offset + strings.size_bytes, LOWER_TENSOR_ALIGNMENT);
	header.program_bytes = end;
	header.string_bytes = (uint32_t)strings.size_bytes;
	lay_out_constants(l, end);
	header.const_bytes = l->constants_bytes;
	qeff_bytes_append(b, strings.data, strings.size_bytes);
	qeff_bytes_align(b, LOWER_TENSOR_ALIGNMENT);
	strings.size_bytes = 0;
	if (!rc && !b->failed)
		rc = write_ops(l, (struct qeff_nsp_op *)(b->data + header.ops_offset), &strings);
	qeff_bytes_free(&strings);
	if (rc || b->failed)
		return lower_no_memory(err);
	if (l->constants_bytes > QEFF_NSP_REF_OFFSET(UINT64_MAX))
		return qeff_error_set(err, -EFBIG, "the weights take %" PRIu64 " bytes",
				      l->constants_bytes);
	write_specs(l, (struct qeff_nsp_spec *)(b->data + header.specs_offset));
	rc = write_tiles(l, (uint32_t *)(b->data + header.tile_index_offset),
			 (struct qeff_nsp_tile *)(b->data + header.tiles_offset));
	if (rc)
		return lower_no_memory(err);
	if (l->num_instructions)
		memcpy(b->data + header.instructions_offset, l->instructions,
		       l->num_instructions * sizeof(*l->instructions));
	if (l->num_nests)
		memcpy(b->data + header.nests_offset, l->nests, l->num_nests * sizeof(*l->nests));
	header.scratch_bytes = scratch_bytes(
		(const struct qeff_nsp_op *)(b->data + header.ops_offset), l->num_ops);
	memcpy(b->data, &header, sizeof(header));
	return check(l, err);
}
