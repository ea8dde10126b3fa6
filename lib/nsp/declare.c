/* SPDX-License-Identifier: MIT */
/*
 * What a phase says it reads and writes: the byte ranges that follow from its operations'
 * parameters and the rows alive, worked out apart from the kernels so that the poison check can
 * hold one against the other.
 */
#include "nsp/declare.h"

/* Columns [begin, end) of rows [first, last) of an operand, if it is in DDR. */
static void rows(const struct declare *d, const struct qeff_nsp_operand *operand, uint32_t first,
		 uint32_t last, uint64_t begin, uint64_t end, bool written)
{
	uint64_t size, at;

	if (operand->at == QEFF_NSP_NONE || QEFF_NSP_REF_SPACE(operand->at) != QEFF_NSP_DDR)
		return;
	size = nsp_type_bytes(operand->type);
	at = QEFF_NSP_REF_OFFSET(operand->at) + (uint64_t)first * operand->stride_bytes;
	for (uint32_t row = first; row < last; row++, at += operand->stride_bytes)
		d->visit(d->user, at + begin * size, (end - begin) * size, written);
}

/* Columns of the tile's own rows. */
static void columns(const struct declare *d, const struct qeff_nsp_operand *operand, uint64_t begin,
		    uint64_t end, bool written)
{
	rows(d, operand, d->first, d->end, begin, end, written);
}

/* Positions [first, end) of one head. */
static void state(const struct declare *d, const struct qeff_nsp_state *s, uint32_t slot,
		  uint32_t head, uint32_t first, uint32_t end, uint32_t dim, bool written)
{
	for (uint32_t position = first; position < end; position++)
		d->visit(d->user, nsp_state_offset(s, slot, head, position),
			 nsp_row_bytes(s->type, dim), written);
}

static void rows_op(const struct declare *d)
{
	const struct qeff_nsp_spec *spec = d->instance->spec;

	rows(d, &d->op->in[0], 0, spec->batch, 0, spec->seq, false);
	rows(d, &d->op->in[1], 0, 1, 0, spec->batch, false);
}

static void gather(const struct declare *d)
{
	const struct qeff_nsp_gather_params *p = &d->op->u.gather;

	for (uint32_t row = d->first; row < d->end; row++) {
		const struct nsp_token *token = &d->instance->token[row];
		uint32_t source = p->from_position ? d->instance->segment[token->segment].source
						   : token->source;

		if (p->from_position == 0 || p->from_position == 3)
			rows(d, &d->op->in[0], 0, 1, source, source + 1ull, false);
	}
	if (p->accumulate)
		columns(d, &d->op->out, 0, p->width, false);
	columns(d, &d->op->out, 0, p->width, true);
}

static void matmul(const struct declare *d)
{
	columns(d, &d->op->in[0], 0, d->op->u.matmul.inputs, false);
	columns(d, &d->op->in[2], d->tile->begin, d->tile->end, false);
	columns(d, &d->op->in[3], d->tile->begin, d->tile->end, false);
	columns(d, &d->op->out, d->tile->begin, d->tile->end, true);
}

static void norm(const struct declare *d)
{
	uint64_t width = (uint64_t)d->op->u.norm.width * d->op->u.norm.groups;

	columns(d, &d->op->in[0], 0, width, false);
	columns(d, &d->op->out, 0, width, true);
}

static void pointwise(const struct declare *d)
{
	for (int i = 0; i < 4; i++)
		columns(d, &d->op->in[i], 0, d->op->u.pointwise.width, false);
	columns(d, &d->op->out, 0, d->op->u.pointwise.width, true);
}

static void rope(const struct declare *d)
{
	const struct qeff_nsp_rope_params *p = &d->op->u.rope;

	for (uint64_t head = d->tile->begin; head < d->tile->end; head++) {
		uint64_t begin = head * p->head_dim;
		/* In place, the columns behind the rotary ones stay as they are. */
		uint64_t end = begin + (d->op->in[0].at == d->op->out.at ? p->rotary : p->head_dim);

		columns(d, &d->op->in[0], begin, end, false);
		columns(d, &d->op->out, begin, end, true);
	}
}

static void scatter(const struct declare *d)
{
	const struct qeff_nsp_scatter_params *p = &d->op->u.scatter;

	columns(d, &d->op->in[0], (uint64_t)d->tile->begin * p->dim,
		(uint64_t)d->tile->end * p->dim, false);
	for (uint32_t row = d->first; row < d->end; row++) {
		const struct nsp_token *token = &d->instance->token[row];

		for (uint32_t head = d->tile->begin; head < d->tile->end; head++)
			state(d, &p->state, token->slot, head, token->position, token->position + 1,
			      p->dim, true);
	}
}

static void attention(const struct declare *d)
{
	const struct qeff_nsp_attention_params *p = &d->op->u.attention;
	uint32_t group = p->heads / p->kv_heads;

	columns(d, &d->op->in[0], (uint64_t)d->tile->begin * p->head_dim,
		(uint64_t)d->tile->end * p->head_dim, false);
	columns(d, &d->op->out, (uint64_t)d->tile->begin * p->value_dim,
		(uint64_t)d->tile->end * p->value_dim, true);
	for (uint32_t row = d->first; row < d->end; row++) {
		const struct nsp_token *token = &d->instance->token[row];
		uint32_t token0 = d->instance->segment[token->segment].first, first, end;

		nsp_visible(d->instance, p, row, &first, &end);
		for (uint32_t h = d->tile->begin / group; h <= (d->tile->end - 1) / group; h++) {
			if (p->from_state) {
				state(d, &p->key, token->slot, h, first, end, p->head_dim, false);
				state(d, &p->value, token->slot, h, first, end, p->value_dim,
				      false);
				continue;
			}
			rows(d, &d->op->in[1], token0 + first, token0 + end,
			     (uint64_t)h * p->head_dim, (h + 1ull) * p->head_dim, false);
			rows(d, &d->op->in[2], token0 + first, token0 + end,
			     (uint64_t)h * p->value_dim, (h + 1ull) * p->value_dim, false);
		}
	}
}

static void reduce(const struct declare *d)
{
	const struct qeff_nsp_reduce_params *p = &d->op->u.reduce;

	for (uint32_t row = d->first; row < d->end; row++) {
		const struct nsp_segment *segment = &d->instance->segment[row];
		uint32_t first = segment->first, end = segment->first + segment->count;

		if (p->kind == QEFF_NSP_REDUCE_FIRST)
			end = first + 1;
		else if (p->kind == QEFF_NSP_REDUCE_LAST)
			first = end - 1;
		rows(d, &d->op->in[0], first, end, 0, p->width, false);
	}
	columns(d, &d->op->out, 0, p->width, true);
}

static void copy(const struct declare *d)
{
	rows(d, &d->op->in[0], 0, nsp_live(d->instance, d->op), 0, d->op->u.copy.width, false);
	columns(d, &d->op->out, 0, d->op->u.copy.width, true);
}

static void route(const struct declare *d)
{
	columns(d, &d->op->in[0], 0, d->op->u.route.experts, false);
	columns(d, &d->op->out, 0, 2ull * d->op->u.route.chosen, true);
}

static void experts(const struct declare *d)
{
	const struct qeff_nsp_experts_params *p = &d->op->u.experts;

	columns(d, &d->op->in[0], 0, (p->shared ? 1ull : p->chosen) * p->matmul.inputs, false);
	columns(d, &d->op->in[3], 0, p->chosen, false);
	for (uint64_t j = 0; j < p->chosen; j++) {
		uint64_t begin = j * p->matmul.outputs + d->tile->begin;
		uint64_t end = j * p->matmul.outputs + d->tile->end;

		columns(d, &d->op->in[2], begin, end, false);
		columns(d, &d->op->out, begin, end, true);
	}
}

static void mix(const struct declare *d)
{
	const struct qeff_nsp_mix_params *p = &d->op->u.mix;

	columns(d, &d->op->in[0], 0, (uint64_t)p->chosen * p->width, false);
	columns(d, &d->op->in[1], p->chosen, 2ull * p->chosen, false);
	columns(d, &d->op->in[2], 0, p->width, false);
	columns(d, &d->op->out, 0, p->width, true);
}

static void best(const struct declare *d)
{
	const struct qeff_nsp_best_params *p = &d->op->u.best;
	uint64_t first = (uint64_t)p->width * d->tile->begin / p->parts;
	uint64_t end = (uint64_t)p->width * d->tile->end / p->parts;
	uint64_t from = (uint64_t)d->tile->begin * p->chosen;
	uint64_t to = (uint64_t)d->tile->end * p->chosen, all = (uint64_t)p->parts * p->chosen;

	columns(d, &d->op->in[0], first, end, false);
	if (p->numbered)
		columns(d, &d->op->in[0], p->width + first, p->width + end, false);
	columns(d, &d->op->out, from, to, true);
	columns(d, &d->op->out, all + from, all + to, true);
}

/* The inputs of batch entries are no part of the arena. */
static void sample(const struct declare *d)
{
	columns(d, &d->op->in[0], 0, 2ull * d->op->u.sample.chosen, false);
	columns(d, &d->op->out, 0, d->op->u.sample.width ? d->op->u.sample.width : 1, true);
}

/* Of flags: columns [begin, end) of the slots of the tile's segments. */
static void flags(const struct declare *d, const struct qeff_nsp_state *s, uint32_t begin,
		  uint32_t end, bool written)
{
	for (uint32_t row = d->first; row < d->end; row++) {
		uint32_t token = d->instance->segment[row].first;
		uint64_t at = nsp_state_offset(s, d->instance->token[token].slot, 0, 0);

		d->visit(d->user, at + begin, end - begin, written);
	}
}

static void mark(const struct declare *d)
{
	flags(d, &d->op->u.mark.flags, 0, d->op->u.mark.width, true);
}

static void penalise(const struct declare *d)
{
	const struct qeff_nsp_penalise_params *p = &d->op->u.penalise;
	uint32_t begin = d->tile->begin, end = d->tile->end;

	columns(d, &d->op->in[0], begin, end, false);
	flags(d, &p->repetition, begin, end, false);
	flags(d, &p->presence, begin, end, false);
	columns(d, &d->op->out, begin, end, true);
}

void qeff_nsp_declared(const struct qeff_nsp_instance *instance, uint32_t phase,
		       void (*visit)(void *user, uint64_t offset, uint64_t size_bytes,
				     bool written),
		       void *user)
{
	static void (*const declare[NSP_CODES])(const struct declare *d) = {
		[QEFF_NSP_ROWS] = rows_op,
		[QEFF_NSP_GATHER] = gather,
		[QEFF_NSP_MATMUL] = matmul,
		[QEFF_NSP_NORM] = norm,
		[QEFF_NSP_POINTWISE] = pointwise,
		[QEFF_NSP_ROPE] = rope,
		[QEFF_NSP_SCATTER] = scatter,
		[QEFF_NSP_ATTENTION] = attention,
		[QEFF_NSP_REDUCE] = reduce,
		[QEFF_NSP_COPY] = copy,
		[QEFF_NSP_ROUTE] = route,
		[QEFF_NSP_EXPERTS] = experts,
		[QEFF_NSP_MIX] = mix,
		[QEFF_NSP_NEST] = qeff_nsp_declare_nest,
		[QEFF_NSP_PICK] = qeff_nsp_declare_pick,
		[QEFF_NSP_PUT] = qeff_nsp_declare_put,
		[QEFF_NSP_SORT] = qeff_nsp_declare_sort,
		[QEFF_NSP_BEST] = best,
		[QEFF_NSP_SAMPLE] = sample,
		[QEFF_NSP_MARK] = mark,
		[QEFF_NSP_PENALISE] = penalise,
	};
	const struct qeff_nsp_program *program = &instance->program;

	for (uint32_t n = 0; n < program->header->nsps; n++) {
		uint32_t first, end;

		qeff_nsp_tiles(instance, phase, n, &first, &end);
		for (uint32_t i = first; i < end; i++) {
			struct declare d = {
				.instance = instance,
				.tile = &program->tiles[i],
				.op = &program->ops[program->tiles[i].op],
				.visit = visit,
				.user = user,
			};

			qeff_nsp_tile_rows(instance, d.op, d.tile, &d.first, &d.end);
			declare[d.op->code](&d);
		}
	}
}
