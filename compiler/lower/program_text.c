/* SPDX-License-Identifier: MIT */
/*
 * NSP programs as text and pictures: what each phase of each specialisation does, and which
 * operation reads what which other wrote.
 */
#include "lower/ir.h"

#include "nsp/exec.h"
#include "util/bytes.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define ALIGNMENT  128u
#define NAME(code) [QEFF_NSP_##code] = #code

/**
 * struct picture - a program on its way into text and picture
 * @spec: the specialisation at hand
 * @phase: the phase at hand
 * @share: of each operation what this phase has of it
 * @present: the operations of this phase, @num_present of them
 * @writer: a hash table of addresses and the operations that wrote there last, a power of
 *	    two long, of which @mask is one less
 */
struct picture {
	struct qeff_nsp_program program;
	struct qeff_bytes text, dot;
	uint32_t spec, phase;
	struct share {
		uint32_t tiles, nsps, last_nsp;
	} * share;
	uint32_t *present;
	uint32_t num_present;
	struct writer {
		uint64_t at;
		uint32_t op; /* and one; 0: a free place */
	} * writer;
	uint32_t mask;
};

static const char *code_name(uint16_t code)
{
	static const char *const names[] = {
		NAME(ROWS),	NAME(GATHER),  NAME(MATMUL),	NAME(NORM),   NAME(POINTWISE),
		NAME(ROPE),	NAME(SCATTER), NAME(ATTENTION), NAME(REDUCE), NAME(COPY),
		NAME(ROUTE),	NAME(EXPERTS), NAME(MIX),	NAME(NEST),   NAME(PICK),
		NAME(PUT),	NAME(SORT),    NAME(BEST),	NAME(SAMPLE), NAME(MARK),
		NAME(PENALISE),
	};

	return code < sizeof(names) / sizeof(names[0]) && names[code] ? names[code] : "?";
}

static const char *op_name(const struct picture *p, const struct qeff_nsp_op *op)
{
	return op->name == UINT32_MAX ? "" : p->program.strings + op->name;
}

/* "128 tokens": how many rows there are at most. */
static void print_rows(struct qeff_bytes *out, const struct qeff_nsp_op *op)
{
	static const char *const domains[] = { "rows", "tokens", "segments" };

	qeff_bytes_printf(out, "%u %s", op->rows, op->domain < 3 ? domains[op->domain] : "?");
}

/* What makes two operations of one kind different to the eye. */
static void print_size(struct qeff_bytes *out, const struct qeff_nsp_op *op)
{
	static const char *const types[] = { "f32", "f16", "bf16", "i8", "", "", "mxfp6" };

	switch (op->code) {
	case QEFF_NSP_GATHER:
		qeff_bytes_printf(out, ", table %u x %u", op->u.gather.entries, op->u.gather.width);
		break;
	case QEFF_NSP_MATMUL:
	case QEFF_NSP_EXPERTS:
		/* an EXPERTS begins with its MATMUL */
		qeff_bytes_printf(
			out, ", weights %u x %u %s", op->u.matmul.outputs, op->u.matmul.inputs,
			op->u.matmul.weight_type < 7 ? types[op->u.matmul.weight_type] : "?");
		if (op->code == QEFF_NSP_EXPERTS)
			qeff_bytes_printf(out, ", %u of %u experts", op->u.experts.chosen,
					  op->u.experts.experts);
		break;
	case QEFF_NSP_ATTENTION:
		qeff_bytes_printf(out, ", %u heads of %u, %u for keys", op->u.attention.heads,
				  op->u.attention.head_dim, op->u.attention.kv_heads);
		break;
	case QEFF_NSP_NORM:
		qeff_bytes_printf(out, ", %u x %u", op->u.norm.groups, op->u.norm.width);
		break;
	default:
		break;
	}
}

/* The place of @at, free or taken; the table is never full. */
static struct writer *writer_of(const struct picture *p, uint64_t at)
{
	uint32_t i = (uint32_t)((at * 0x9e3779b97f4a7c15ull) >> 32) & p->mask;

	while (p->writer[i].op && p->writer[i].at != at)
		i = (i + 1) & p->mask;
	return &p->writer[i];
}

/* Edges to @op from the operations that wrote what it reads. */
static void draw_edges(struct picture *p, uint32_t op)
{
	for (int i = 0; i < 4; i++) {
		uint64_t at = p->program.ops[op].in[i].at;
		uint32_t from = at == QEFF_NSP_NONE ? 0 : writer_of(p, at)->op;

		if (from)
			qeff_bytes_printf(&p->dot, "\ts%u_%u -> s%u_%u;\n", p->spec, from - 1,
					  p->spec, op);
	}
}

static void note_writer(struct picture *p, uint32_t op)
{
	uint64_t at = p->program.ops[op].out.at;

	if (at != QEFF_NSP_NONE)
		*writer_of(p, at) = (struct writer){ at, op + 1 };
}

static void print_op(struct picture *p, uint32_t index)
{
	const struct qeff_nsp_op *op = &p->program.ops[index];
	const struct share *share = &p->share[index];

	qeff_bytes_printf(&p->text, "    %-9s %s: ", code_name(op->code), op_name(p, op));
	print_rows(&p->text, op);
	print_size(&p->text, op);
	qeff_bytes_printf(&p->text, "; %u tile%s on %u NSP%s\n", share->tiles,
			  share->tiles == 1 ? "" : "s", share->nsps, share->nsps == 1 ? "" : "s");
	qeff_bytes_printf(&p->dot, "\ts%u_%u [label=\"%s\\n", p->spec, index, code_name(op->code));
	/* a name ends no string */
	for (const char *c = op_name(p, op); *c; c++)
		qeff_bytes_u8(&p->dot, *c == '"' || *c == '\\' ? ' ' : (uint8_t)*c);
	qeff_bytes_printf(&p->dot, "\\n");
	print_rows(&p->dot, op);
	print_size(&p->dot, op);
	qeff_bytes_printf(&p->dot, "\\nphase %u, %u tiles on %u NSPs\"];\n", p->phase, share->tiles,
			  share->nsps);
}

/* Which operations the phase has tiles of. */
static void look_at_phase(struct picture *p)
{
	const struct qeff_nsp_header *h = p->program.header;
	uint32_t phase = p->program.specs[p->spec].first_phase + p->phase;

	p->num_present = 0;
	for (uint32_t nsp = 0; nsp < h->nsps; nsp++) {
		const uint32_t *index =
			p->program.tile_index + (uint64_t)nsp * (h->phases + 1) + phase;

		for (uint32_t i = index[0]; i < index[1]; i++) {
			struct share *share = &p->share[p->program.tiles[i].op];

			if (!share->tiles)
				p->present[p->num_present++] = p->program.tiles[i].op;
			if (!share->tiles++ || share->last_nsp != nsp)
				share->nsps++;
			share->last_nsp = nsp;
		}
	}
}

static void print_phase(struct picture *p)
{
	look_at_phase(p);
	qeff_bytes_printf(&p->text, "  phase %u\n", p->phase);
	for (uint32_t i = 0; i < p->num_present; i++) {
		print_op(p, p->present[i]);
		draw_edges(p, p->present[i]);
		p->share[p->present[i]] = (struct share){ 0 };
	}
	for (uint32_t i = 0; i < p->num_present; i++)
		note_writer(p, p->present[i]);
}

static void print_spec(struct picture *p)
{
	const struct qeff_nsp_spec *spec = &p->program.specs[p->spec];

	memset(p->writer, 0, ((size_t)p->mask + 1) * sizeof(*p->writer));
	qeff_bytes_printf(&p->text, "specialisation %u: batch %u, seq %u, positions %u\n", p->spec,
			  spec->batch, spec->seq, spec->positions);
	qeff_bytes_printf(&p->dot,
			  "\tsubgraph cluster_%u {\n"
			  "\tlabel=\"batch %u, seq %u, positions %u\";\n",
			  p->spec, spec->batch, spec->seq, spec->positions);
	for (p->phase = 0; p->phase < spec->phases; p->phase++)
		print_phase(p);
	qeff_bytes_printf(&p->dot, "\t}\n");
}

static int print_program(struct picture *p)
{
	const struct qeff_nsp_header *h = p->program.header;
	int rc = -ENOMEM;

	p->mask = 1;
	while (p->mask < 2 * h->ops)
		p->mask = 2 * p->mask + 1;
	p->share = calloc(h->ops + 1u, sizeof(*p->share));
	p->present = calloc(h->ops + 1u, sizeof(*p->present));
	p->writer = calloc((size_t)p->mask + 1, sizeof(*p->writer));
	if (p->share && p->present && p->writer) {
		qeff_bytes_printf(
			&p->text,
			"program for %u NSPs: %u specialisations, %u operations, %u tiles\n",
			h->nsps, h->specs, h->ops, h->tiles);
		qeff_bytes_printf(&p->dot, "digraph program {\n"
					   "\tnode [shape=box, fontname=\"sans-serif\"];\n");
		for (p->spec = 0; p->spec < h->specs; p->spec++)
			print_spec(p);
		qeff_bytes_printf(&p->dot, "}\n");
		rc = 0;
	}
	free(p->share);
	free(p->present);
	free(p->writer);
	return rc;
}

int qeff_lower_describe(const void *constants, uint64_t readable_bytes, uint64_t constants_bytes,
			char **text, char **dot, struct qeff_error *err)
{
	struct qeff_nsp_problem problem = { 0 };
	struct picture p = { 0 };
	struct qeff_nsp_header header;
	void *aligned;
	int rc;

	*text = *dot = NULL;
	if (readable_bytes < sizeof(header))
		return qeff_error_set(err, -EINVAL, "the constants hold no NSP program");
	memcpy(&header, constants, sizeof(header));
	if (header.magic != QEFF_NSP_MAGIC || header.program_bytes > readable_bytes ||
	    header.program_bytes < sizeof(header))
		return qeff_error_set(err, -ENOTSUP,
				      "the constants do not begin with an NSP program of this "
				      "compiler's kind");
	aligned = aligned_alloc(ALIGNMENT,
				(header.program_bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT);
	if (!aligned)
		return qeff_error_set(err, -ENOMEM, "out of memory while describing a program");
	memcpy(aligned, constants, header.program_bytes);
	if (qeff_nsp_validate(aligned, constants_bytes, &p.program, &problem))
		rc = print_program(&p);
	else
		rc = qeff_error_set(err, -EINVAL,
				    "the NSP program is not valid: %s (entry %u: %" PRIu64
				    ", limit %" PRIu64 ")",
				    problem.what, problem.index, problem.found, problem.limit);
	*text = qeff_bytes_string(&p.text);
	*dot = qeff_bytes_string(&p.dot);
	if (!rc && (!*text || !*dot))
		rc = -ENOMEM;
	if (rc == -ENOMEM)
		qeff_error_set(err, rc, "out of memory while describing a program");
	if (rc) {
		free(*text);
		free(*dot);
		*text = *dot = NULL;
	}
	free(aligned);
	return rc;
}

int qeff_lowering_describe(const struct qeff_lowering *lowering, char **text, char **dot,
			   struct qeff_error *err)
{
	return qeff_lower_describe(lowering->program.data, lowering->program.size_bytes,
				   lowering->constants_bytes, text, dot, err);
}
