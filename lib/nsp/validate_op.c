/* SPDX-License-Identifier: MIT */
/* The validator's half for operations: parameters, operands, expressions, scratch. */
#include "nsp/validate.h"

#include "nsp/kernels.h"
#include "util/checked.h"

#define REQUIRE(condition, what, found, limit)                                                     \
	do {                                                                                       \
		if (!(condition))                                                                  \
			return qeff_nsp_refuse(check, what, found, limit);                         \
	} while (0)

#define TYPE(type) (1u << (type))
#define STATES	   (FLOATS | TYPE(QEFF_NSP_MXINT8))
#define FLOATS	   (TYPE(QEFF_NSP_F32) | TYPE(QEFF_NSP_F16) | TYPE(QEFF_NSP_BF16))

static bool overlap(uint64_t a, uint64_t a_bytes, uint64_t b, uint64_t b_bytes)
{
	return a < b + b_bytes && b < a + a_bytes;
}

bool qeff_nsp_check_range(const struct nsp_check *check, const char *what, uint64_t reference,
			  uint64_t bytes, bool written)
{
	const struct qeff_nsp_header *h = check->program->header;
	uint64_t offset = QEFF_NSP_REF_OFFSET(reference), limit = h->ddr_bytes;

	REQUIRE(!(reference >> 56 & 0xf), what, reference, 0);
	if (QEFF_NSP_REF_SPACE(reference) == QEFF_NSP_CONST) {
		REQUIRE(!written, "operation: the constants cannot be written", reference, 0);
		REQUIRE(qeff_range_valid(offset, bytes, h->const_bytes), what, offset,
			h->const_bytes);
		return true;
	}
	REQUIRE(QEFF_NSP_REF_SPACE(reference) == QEFF_NSP_DDR, "operation: no such space",
		QEFF_NSP_REF_SPACE(reference), QEFF_NSP_DDR);
	if (offset < h->state_offset)
		limit = h->state_offset;
	else if (offset < h->arena_offset)
		limit = h->arena_offset;
	REQUIRE(qeff_range_valid(offset, bytes, limit), what, offset, limit);
	REQUIRE(!written || (!overlap(offset, bytes, h->control, sizeof(struct qeff_nsp_control)) &&
			     !overlap(offset, bytes, h->stats, sizeof(struct qeff_nsp_stats))),
		"operation: writes over the control buffer or the statistics", offset, h->control);
	return true;
}

bool qeff_nsp_check_operand(const struct nsp_check *check, const char *what,
			    const struct qeff_nsp_operand *operand, uint64_t rows, uint64_t width,
			    bool written)
{
	uint64_t size = nsp_type_bytes(operand->type), row_bytes, bytes;

	REQUIRE(QEFF_NSP_REF_OFFSET(operand->at) % size == 0 && operand->stride_bytes % size == 0,
		"operation: an operand is not aligned to its elements", operand->at, size);
	REQUIRE(qeff_mul_u64(width, size, &row_bytes) &&
			qeff_mul_u64(rows - 1, operand->stride_bytes, &bytes) &&
			qeff_add_u64(bytes, row_bytes, &bytes),
		what, operand->stride_bytes, UINT64_MAX);
	REQUIRE(!written || rows == 1 || operand->stride_bytes >= row_bytes,
		"operation: the rows it writes overlap", operand->stride_bytes, row_bytes);
	return qeff_nsp_check_range(check, what, operand->at, bytes, written);
}

static bool zero(const uint8_t *bytes, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (bytes[i])
			return false;
	return true;
}

bool qeff_nsp_check_types(const struct nsp_check *check, const struct qeff_nsp_op *op,
			  const uint32_t in[4], uint32_t required, uint32_t out)
{
	for (int i = 0; i < 5; i++) {
		const struct qeff_nsp_operand *operand = i < 4 ? &op->in[i] : &op->out;
		uint32_t types = i < 4 ? in[i] : out;

		if (operand->at == QEFF_NSP_NONE) {
			REQUIRE(i < 4 ? !(required >> i & 1) : !out,
				"operation: an operand is missing", i, 0);
			continue;
		}
		REQUIRE(types, "operation: an operand too many", i, 0);
		REQUIRE(operand->type <= QEFF_NSP_I64 && (types >> operand->type & 1),
			"operation: an operand has the wrong type", operand->type, types);
		REQUIRE(zero(operand->reserved, sizeof(operand->reserved)),
			"operation: reserved fields of an operand are not zero", i, 0);
	}
	return true;
}

static bool check_width(const struct nsp_check *check, uint64_t width)
{
	REQUIRE(width >= 1 && width <= QEFF_NSP_MAX_WIDTH, "operation: width", width,
		QEFF_NSP_MAX_WIDTH);
	return true;
}

static bool check_out(const struct nsp_check *check, const struct qeff_nsp_op *op, uint64_t rows,
		      uint64_t width)
{
	return check_width(check, width) &&
	       qeff_nsp_check_operand(check, "operation: its output leaves the memory", &op->out,
				      rows, width, true);
}

static bool check_in(const struct nsp_check *check, const struct qeff_nsp_op *op, int i,
		     uint64_t rows, uint64_t width)
{
	return check_width(check, width) &&
	       qeff_nsp_check_operand(check, "operation: an input leaves the memory", &op->in[i],
				      rows, width, false);
}

/* Where output and input are the same memory, every number is read before it is written only if the
 * rows coincide. */
static bool check_in_place(const struct nsp_check *check, const struct qeff_nsp_op *op, int i)
{
	REQUIRE(op->in[i].at != op->out.at || (op->in[i].stride_bytes == op->out.stride_bytes &&
					       op->in[i].type == op->out.type),
		"operation: works in place on rows that differ", op->in[i].stride_bytes,
		op->out.stride_bytes);
	return true;
}

/* An optional f32 vector in the constants. */
static bool check_vector(const struct nsp_check *check, const struct qeff_nsp_op *op, int i,
			 uint64_t width)
{
	if (op->in[i].at == QEFF_NSP_NONE)
		return true;
	REQUIRE(QEFF_NSP_REF_SPACE(op->in[i].at) == QEFF_NSP_CONST && !op->in[i].stride_bytes,
		"operation: a vector is not in the constants with stride 0", op->in[i].at, 0);
	return check_in(check, op, i, 1, width);
}

bool qeff_nsp_check_state(const struct nsp_check *check, const struct qeff_nsp_state *s,
			  uint64_t heads, uint64_t dim, uint32_t types, bool written)
{
	const struct qeff_nsp_header *h = check->program->header;
	uint64_t size, row, bytes = 0, part;

	REQUIRE(s->type < QEFF_NSP_TYPES && (types >> s->type & 1) &&
			zero(s->reserved, sizeof(s->reserved)),
		"operation: type of a state", s->type, types);
	size = nsp_type_bytes(s->type);
	row = nsp_row_bytes(s->type, dim);
	REQUIRE(s->slots && s->positions, "operation: a state without slots or positions", 0, 1);
	REQUIRE(QEFF_NSP_REF_OFFSET(s->at) % size == 0 && s->slot_stride % size == 0 &&
			s->head_stride % size == 0 && s->position_stride % size == 0,
		"operation: a state is not aligned to its elements", s->at, size);
	REQUIRE(!written || s->positions == 1 || s->position_stride >= row,
		"operation: positions of a state overlap", s->position_stride, row);
	REQUIRE(qeff_mul_u64(s->slots - 1, s->slot_stride, &bytes) &&
			qeff_mul_u64(heads - 1, s->head_stride, &part) &&
			qeff_add_u64(bytes, part, &bytes) &&
			qeff_mul_u64(s->positions - 1, s->position_stride, &part) &&
			qeff_add_u64(bytes, part, &bytes) && qeff_add_u64(bytes, row, &bytes),
		"operation: a state is too large", s->slot_stride, UINT64_MAX);
	REQUIRE(QEFF_NSP_REF_SPACE(s->at) == QEFF_NSP_DDR &&
			QEFF_NSP_REF_OFFSET(s->at) >= h->state_offset &&
			QEFF_NSP_REF_OFFSET(s->at) < h->arena_offset,
		"operation: a state is not in the state region", s->at, h->state_offset);
	return qeff_nsp_check_range(check, "operation: a state leaves the state region", s->at,
				    bytes, written);
}

static bool check_domain(const struct nsp_check *check, const struct qeff_nsp_op *op,
			 unsigned int domain)
{
	REQUIRE(op->domain == domain, "operation: domain of its rows", op->domain, domain);
	return true;
}

static bool check_rows(const struct nsp_check *check, const struct qeff_nsp_op *op)
{
	const struct qeff_nsp_rows_params *p = &op->u.rows;
	const uint32_t in[4] = { TYPE(QEFF_NSP_I64), TYPE(QEFF_NSP_I64), 0, 0 };

	REQUIRE(p->from_mask <= 2 && zero(p->reserved, sizeof(p->reserved)),
		"operation: parameters of ROWS", p->from_mask, 2);
	REQUIRE(op->in[1].at == QEFF_NSP_NONE || QEFF_NSP_REF_OFFSET(op->in[1].at) % 8 == 0,
		"operation: an operand is not aligned to its elements", op->in[1].at, 8);
	return qeff_nsp_check_types(check, op, in, 1, 0);
}

static bool check_gather(const struct nsp_check *check, const struct qeff_nsp_op *op)
{
	const struct qeff_nsp_gather_params *p = &op->u.gather;
	bool indexed = p->from_position == 0 || p->from_position == 3;
	const uint32_t in[4] = { indexed ? TYPE(QEFF_NSP_I64) : 0, FLOATS, 0, 0 };
	uint32_t required = indexed ? 3 : 2;

	REQUIRE(p->from_position <= 3 && p->packed <= 1 && p->accumulate <= 1 && !p->reserved &&
			p->entries,
		"operation: parameters of GATHER", p->from_position, 3);
	if (!check_domain(check, op, QEFF_NSP_ROWS_TOKENS) ||
	    !qeff_nsp_check_types(check, op, in, p->packed ? required & 1 : required, FLOATS) ||
	    !check_out(check, op, op->rows, p->width))
		return false;
	/* A packed table has a type and no place of its own: its panels come with the tiles. */
	if (p->packed) {
		REQUIRE(op->in[1].at == QEFF_NSP_NONE && op->in[1].type <= QEFF_NSP_BF16,
			"operation: table of a packed GATHER", op->in[1].at, QEFF_NSP_NONE);
		return true;
	}
	REQUIRE(QEFF_NSP_REF_SPACE(op->in[1].at) == QEFF_NSP_CONST,
		"operation: the table is not in the constants", op->in[1].at, 0);
	return check_in(check, op, 1, p->entries, p->width);
}

static bool check_product(const struct nsp_check *check, const struct qeff_nsp_matmul_params *p)
{
	REQUIRE((p->weight_type <= QEFF_NSP_I8 || p->weight_type == QEFF_NSP_MXFP6) &&
			!p->reserved && p->exact <= (p->weight_type == QEFF_NSP_BF16),
		"operation: weights of MATMUL", p->weight_type, QEFF_NSP_I8);
	REQUIRE(p->function < QEFF_NSP_FUNCTIONS, "operation: no such function", p->function,
		QEFF_NSP_FUNCTIONS);
	REQUIRE(p->weight_type == QEFF_NSP_I8 ? p->scale_group && p->scale_group % 32 == 0 &&
							p->scale_group <= QEFF_NSP_MAX_WIDTH
					      : !p->scale_group,
		"operation: scale group of MATMUL", p->scale_group, 32);
	return check_width(check, p->inputs) && check_width(check, p->outputs);
}

static bool check_matmul(const struct nsp_check *check, const struct qeff_nsp_op *op)
{
	const struct qeff_nsp_matmul_params *p = &op->u.matmul;
	const uint32_t in[4] = { FLOATS, TYPE(QEFF_NSP_F32), FLOATS, FLOATS };

	if (!check_product(check, p) || !qeff_nsp_check_types(check, op, in, 1, FLOATS) ||
	    !check_in(check, op, 0, op->rows, p->inputs) ||
	    !check_out(check, op, op->rows, p->outputs) || !check_vector(check, op, 1, p->outputs))
		return false;
	REQUIRE(op->in[0].at != op->out.at, "operation: MATMUL cannot work in place", op->out.at,
		0);
	for (int i = 2; i < 4; i++)
		if (op->in[i].at != QEFF_NSP_NONE &&
		    (!check_in(check, op, i, op->rows, p->outputs) ||
		     !check_in_place(check, op, i)))
			return false;
	return true;
}

static bool check_norm(const struct nsp_check *check, const struct qeff_nsp_op *op)
{
	const struct qeff_nsp_norm_params *p = &op->u.norm;
	const uint32_t in[4] = { FLOATS, TYPE(QEFF_NSP_F32), TYPE(QEFF_NSP_F32), 0 };
	uint64_t width = (uint64_t)p->width * p->groups;

	REQUIRE(p->kind <= QEFF_NSP_NORM_L2 && zero(p->reserved, sizeof(p->reserved)),
		"operation: kind of NORM", p->kind, QEFF_NSP_NORM_L2);
	return qeff_nsp_check_types(check, op, in, 1, FLOATS) && check_width(check, p->width) &&
	       check_in(check, op, 0, op->rows, width) && check_out(check, op, op->rows, width) &&
	       check_vector(check, op, 1, p->width) && check_vector(check, op, 2, p->width) &&
	       check_in_place(check, op, 0);
}

static bool check_pointwise(const struct nsp_check *check, const struct qeff_nsp_op *op)
{
	const struct qeff_nsp_pointwise_params *p = &op->u.pointwise;
	const uint32_t in[4] = { FLOATS, FLOATS, FLOATS, FLOATS };

	REQUIRE(p->instructions, "operation: its instructions", 0, 1);
	if (!qeff_nsp_check_types(check, op, in, 0, FLOATS) ||
	    !check_out(check, op, op->rows, p->width))
		return false;
	for (int i = 0; i < 4; i++)
		if (op->in[i].at != QEFF_NSP_NONE &&
		    (!check_in(check, op, i, op->rows, p->width) || !check_in_place(check, op, i)))
			return false;
	return qeff_nsp_check_expression(check, op, p->first_instruction, p->instructions,
					 QEFF_NSP_I_CONST, QEFF_NSP_FUNCTIONS);
}

static bool check_rope(const struct nsp_check *check, const struct qeff_nsp_op *op)
{
	const struct qeff_nsp_rope_params *p = &op->u.rope;
	const uint32_t in[4] = { FLOATS, TYPE(QEFF_NSP_F32), TYPE(QEFF_NSP_F32), 0 };
	uint64_t width = (uint64_t)p->heads * p->head_dim;

	REQUIRE(p->interleaved <= 1 && zero(p->reserved, sizeof(p->reserved)) && p->positions,
		"operation: parameters of ROPE", p->interleaved, 1);
	REQUIRE(p->rotary && p->rotary % 2 == 0 && p->rotary <= p->head_dim,
		"operation: rotary columns", p->rotary, p->head_dim);
	if (!check_domain(check, op, QEFF_NSP_ROWS_TOKENS) ||
	    !qeff_nsp_check_types(check, op, in, 7, FLOATS))
		return false;
	for (int i = 1; i < 3; i++)
		REQUIRE(QEFF_NSP_REF_SPACE(op->in[i].at) == QEFF_NSP_CONST,
			"operation: a rotary table is not in the constants", op->in[i].at, 0);
	return check_in(check, op, 0, op->rows, width) && check_out(check, op, op->rows, width) &&
	       check_in(check, op, 1, p->positions, p->rotary / 2) &&
	       check_in(check, op, 2, p->positions, p->rotary / 2) && check_in_place(check, op, 0);
}

static bool check_scatter(const struct nsp_check *check, const struct qeff_nsp_op *op)
{
	const struct qeff_nsp_scatter_params *p = &op->u.scatter;
	const uint32_t in[4] = { FLOATS, 0, 0, 0 };

	return check_domain(check, op, QEFF_NSP_ROWS_TOKENS) &&
	       qeff_nsp_check_types(check, op, in, 1, 0) && check_width(check, p->heads) &&
	       check_width(check, p->dim) &&
	       check_in(check, op, 0, op->rows, (uint64_t)p->heads * p->dim) &&
	       qeff_nsp_check_state(check, &p->state, p->heads, p->dim, STATES, true);
}

/* f32 numbers in the constants, or nothing if @optional. */
static bool check_numbers(const struct nsp_check *check, uint64_t reference, uint64_t rows,
			  uint64_t width, bool optional)
{
	const struct qeff_nsp_operand operand = { .at = reference,
						  .stride_bytes = (uint32_t)(width * 4),
						  .type = QEFF_NSP_F32 };

	if (optional && reference == QEFF_NSP_NONE)
		return true;
	REQUIRE(QEFF_NSP_REF_SPACE(reference) == QEFF_NSP_CONST,
		"operation: what distances need is not in the constants", reference, 0);
	REQUIRE(rows && width && width <= QEFF_NSP_MAX_WIDTH, "operation: rows of distances", width,
		QEFF_NSP_MAX_WIDTH);
	return qeff_nsp_check_operand(check, "operation: what distances need leaves the constants",
				      &operand, rows, width, false);
}

static bool check_relative(const struct nsp_check *check, const struct qeff_nsp_op *op)
{
	const struct qeff_nsp_attention_params *p = &op->u.attention;
	const struct qeff_nsp_relative *r = &p->relative;
	uint64_t width = (uint64_t)p->heads * p->head_dim;

	REQUIRE(zero(r->reserved, sizeof(r->reserved)),
		"operation: reserved fields of distances are not zero", 0, 0);
	if (!r->distances)
		return true;
	REQUIRE(op->in[1].type == QEFF_NSP_F32 && r->distances <= QEFF_NSP_MAX_WIDTH / 2,
		"operation: keys or number of distances", r->distances, QEFF_NSP_MAX_WIDTH / 2);
	return check_numbers(check, r->keys, r->rows, width, true) &&
	       check_numbers(check, r->queries, r->rows, width, true) &&
	       check_numbers(check, r->buckets, 1, 2ull * r->distances - 1, false);
}

static bool check_bias(const struct nsp_check *check, const struct qeff_nsp_op *op)
{
	const struct qeff_nsp_attention_params *p = &op->u.attention;

	REQUIRE((op->in[3].at == QEFF_NSP_NONE) == !p->bias_columns,
		"operation: a bias and its columns", p->bias_columns, 0);
	if (!p->bias_columns)
		return true;
	REQUIRE(QEFF_NSP_REF_SPACE(op->in[3].at) == QEFF_NSP_CONST,
		"operation: a bias is not in the constants", op->in[3].at, 0);
	return check_in(check, op, 3, p->heads, p->bias_columns);
}

static bool check_attention(const struct nsp_check *check, const struct qeff_nsp_op *op)
{
	const struct qeff_nsp_attention_params *p = &op->u.attention;
	const uint32_t kv = p->from_state ? 0 : FLOATS;
	const uint32_t in[4] = { FLOATS, kv, kv, TYPE(QEFF_NSP_F32) };

	REQUIRE(p->from_state <= 1 && p->causal <= 1 && zero(p->reserved, sizeof(p->reserved)),
		"operation: parameters of ATTENTION", p->from_state, 1);
	REQUIRE(p->kv_heads && p->heads && p->heads % p->kv_heads == 0,
		"operation: heads are no multiple of KV heads", p->heads, p->kv_heads);
	if (!check_domain(check, op, QEFF_NSP_ROWS_TOKENS) ||
	    !qeff_nsp_check_types(check, op, in, p->from_state ? 1 : 7, FLOATS) ||
	    !check_width(check, p->heads) || !check_width(check, p->head_dim) ||
	    !check_width(check, p->value_dim) ||
	    !check_in(check, op, 0, op->rows, (uint64_t)p->heads * p->head_dim) ||
	    !check_out(check, op, op->rows, (uint64_t)p->heads * p->value_dim) ||
	    !check_bias(check, op) ||
	    (p->sinks && !check_numbers(check, p->sinks, 1, p->heads, false)))
		return false;
	if (p->from_state)
		return qeff_nsp_check_state(check, &p->key, p->kv_heads, p->head_dim, STATES,
					    false) &&
		       qeff_nsp_check_state(check, &p->value, p->kv_heads, p->value_dim, STATES,
					    false);
	return check_in(check, op, 1, op->rows, (uint64_t)p->kv_heads * p->head_dim) &&
	       check_in(check, op, 2, op->rows, (uint64_t)p->kv_heads * p->value_dim) &&
	       check_relative(check, op);
}

static bool check_reduce(const struct nsp_check *check, const struct qeff_nsp_op *op)
{
	const struct qeff_nsp_reduce_params *p = &op->u.reduce;
	const uint32_t in[4] = { FLOATS, 0, 0, 0 };

	REQUIRE(p->kind <= QEFF_NSP_REDUCE_SUM && zero(p->reserved, sizeof(p->reserved)),
		"operation: kind of REDUCE", p->kind, QEFF_NSP_REDUCE_SUM);
	/* in[0] has rows of tokens: its extent is checked with each specialisation. */
	return check_domain(check, op, QEFF_NSP_ROWS_SEGMENTS) &&
	       qeff_nsp_check_types(check, op, in, 1, FLOATS) &&
	       check_out(check, op, op->rows, p->width);
}

static bool check_copy(const struct nsp_check *check, const struct qeff_nsp_op *op)
{
	const struct qeff_nsp_copy_params *p = &op->u.copy;
	const uint32_t any = FLOATS | TYPE(QEFF_NSP_I32) | TYPE(QEFF_NSP_I64);
	const uint32_t in[4] = { any, 0, 0, 0 };

	REQUIRE(p->out_rows >= 1 && p->out_rows <= QEFF_NSP_MAX_ROWS, "operation: rows of COPY",
		p->out_rows, QEFF_NSP_MAX_ROWS);
	if (!qeff_nsp_check_types(check, op, in, 1, any))
		return false;
	REQUIRE(op->in[0].type == op->out.type ||
			((FLOATS >> op->in[0].type & 1) &&
			 ((FLOATS | TYPE(QEFF_NSP_I64)) >> op->out.type & 1)),
		"operation: COPY between types that do not convert", op->out.type, op->in[0].type);
	REQUIRE(op->in[0].at != op->out.at, "operation: COPY cannot work in place", op->out.at, 0);
	return check_in(check, op, 0, op->rows, p->width) &&
	       check_out(check, op, p->out_rows, p->width);
}

static bool check_apart(const struct nsp_check *check, const struct qeff_nsp_op *op, int i)
{
	REQUIRE(op->in[i].at != op->out.at, "operation: cannot work in place", op->out.at, 0);
	return true;
}

static bool check_chosen(const struct nsp_check *check, uint32_t chosen, uint32_t experts)
{
	REQUIRE(chosen >= 1 && chosen <= QEFF_NSP_MAX_CHOSEN && chosen <= experts &&
			experts <= QEFF_NSP_MAX_WIDTH,
		"operation: number of experts", chosen, experts);
	return true;
}

static bool check_route(const struct nsp_check *check, const struct qeff_nsp_op *op)
{
	const struct qeff_nsp_route_params *p = &op->u.route;
	const uint32_t in[4] = { FLOATS, 0, 0, 0 };

	REQUIRE(p->all <= 1 && zero(p->reserved, sizeof(p->reserved)),
		"operation: parameters of ROUTE", p->all, 1);
	return check_chosen(check, p->chosen, p->experts) &&
	       qeff_nsp_check_types(check, op, in, 1, TYPE(QEFF_NSP_F32)) &&
	       check_in(check, op, 0, op->rows, p->experts) &&
	       check_out(check, op, op->rows, 2ull * p->chosen) && check_apart(check, op, 0);
}

static bool check_experts(const struct nsp_check *check, const struct qeff_nsp_op *op)
{
	const struct qeff_nsp_experts_params *p = &op->u.experts;
	const uint32_t in[4] = { FLOATS, TYPE(QEFF_NSP_F32), FLOATS, FLOATS };
	uint64_t wide = (uint64_t)p->chosen * p->matmul.outputs;

	REQUIRE(p->shared <= 1 && zero(p->reserved, sizeof(p->reserved)),
		"operation: parameters of EXPERTS", p->shared, 1);
	if (!check_chosen(check, p->chosen, p->experts) || !check_product(check, &p->matmul) ||
	    !qeff_nsp_check_types(check, op, in, 1 | 1 << 3, FLOATS) ||
	    !check_in(check, op, 0, op->rows, (p->shared ? 1ull : p->chosen) * p->matmul.inputs) ||
	    !check_in(check, op, 3, op->rows, 2ull * p->chosen) ||
	    !check_out(check, op, op->rows, wide) || !check_apart(check, op, 0) ||
	    !check_apart(check, op, 3))
		return false;
	if (op->in[2].at != QEFF_NSP_NONE &&
	    (!check_in(check, op, 2, op->rows, wide) || !check_in_place(check, op, 2)))
		return false;
	if (op->in[1].at == QEFF_NSP_NONE)
		return true;
	REQUIRE(QEFF_NSP_REF_SPACE(op->in[1].at) == QEFF_NSP_CONST,
		"operation: biases are not in the constants", op->in[1].at, 0);
	return check_in(check, op, 1, p->experts, p->matmul.outputs);
}

static bool check_mix(const struct nsp_check *check, const struct qeff_nsp_op *op)
{
	const struct qeff_nsp_mix_params *p = &op->u.mix;
	const uint32_t in[4] = { FLOATS, FLOATS, FLOATS, 0 };

	return check_chosen(check, p->chosen, p->chosen) &&
	       qeff_nsp_check_types(check, op, in, 3, FLOATS) && check_width(check, p->width) &&
	       check_in(check, op, 0, op->rows, (uint64_t)p->chosen * p->width) &&
	       check_in(check, op, 1, op->rows, 2ull * p->chosen) &&
	       check_out(check, op, op->rows, p->width) && check_apart(check, op, 0) &&
	       check_apart(check, op, 1) &&
	       (op->in[2].at == QEFF_NSP_NONE ||
		(check_in(check, op, 2, op->rows, p->width) && check_in_place(check, op, 2)));
}

static bool check_best(const struct nsp_check *check, const struct qeff_nsp_op *op)
{
	const struct qeff_nsp_best_params *p = &op->u.best;
	const uint32_t in[4] = { TYPE(QEFF_NSP_F32), 0, 0, 0 };

	REQUIRE(p->numbered <= 1 && zero(p->reserved, sizeof(p->reserved)),
		"operation: parameters of BEST", p->numbered, 1);
	REQUIRE(p->parts && p->parts <= p->width, "operation: parts of a row", p->parts, p->width);
	return check_width(check, p->width) && check_width(check, p->chosen) &&
	       qeff_nsp_check_types(check, op, in, 1, TYPE(QEFF_NSP_F32)) &&
	       check_in(check, op, 0, op->rows, (p->numbered + 1ull) * p->width) &&
	       check_out(check, op, op->rows, 2ull * p->parts * p->chosen) &&
	       check_apart(check, op, 0);
}

static bool check_sample(const struct nsp_check *check, const struct qeff_nsp_op *op)
{
	const struct qeff_nsp_sample_params *p = &op->u.sample;
	const uint32_t f32 = TYPE(QEFF_NSP_F32);
	const uint32_t in[4] = { f32, f32, TYPE(QEFF_NSP_I32), f32 };
	bool wishes = op->in[1].at != QEFF_NSP_NONE;

	/* What belongs to batch entries: its extent is checked with each specialisation. */
	for (int i = 2; i < 4; i++)
		REQUIRE(wishes == (op->in[i].at != QEFF_NSP_NONE),
			"operation: some of what a draw needs, but not all", i, 0);
	REQUIRE(wishes == (p->min_ps != QEFF_NSP_NONE) && (wishes || !p->width) &&
			(wishes && !p->width) == (p->random_numbers != QEFF_NSP_NONE),
		"operation: some of what a draw needs, but not all", p->min_ps, QEFF_NSP_NONE);
	return check_domain(check, op, QEFF_NSP_ROWS_SEGMENTS) && check_width(check, p->chosen) &&
	       qeff_nsp_check_types(check, op, in, 1, f32) &&
	       check_in(check, op, 0, op->rows, 2ull * p->chosen) &&
	       check_out(check, op, op->rows, p->width ? p->width : 1) && check_apart(check, op, 0);
}

static bool check_params(const struct nsp_check *check, const struct qeff_nsp_op *op)
{
	switch (op->code) {
	case QEFF_NSP_ROWS:
		return check_rows(check, op);
	case QEFF_NSP_GATHER:
		return check_gather(check, op);
	case QEFF_NSP_MATMUL:
		return check_matmul(check, op);
	case QEFF_NSP_NORM:
		return check_norm(check, op);
	case QEFF_NSP_POINTWISE:
		return check_pointwise(check, op);
	case QEFF_NSP_ROPE:
		return check_rope(check, op);
	case QEFF_NSP_SCATTER:
		return check_scatter(check, op);
	case QEFF_NSP_ATTENTION:
		return check_attention(check, op);
	case QEFF_NSP_REDUCE:
		return check_reduce(check, op);
	case QEFF_NSP_COPY:
		return check_copy(check, op);
	case QEFF_NSP_ROUTE:
		return check_route(check, op);
	case QEFF_NSP_EXPERTS:
		return check_experts(check, op);
	case QEFF_NSP_MIX:
		return check_mix(check, op);
	case QEFF_NSP_NEST:
	case QEFF_NSP_PICK:
	case QEFF_NSP_PUT:
	case QEFF_NSP_SORT:
		return qeff_nsp_check_nest_op(check, op);
	case QEFF_NSP_BEST:
		return check_best(check, op);
	case QEFF_NSP_SAMPLE:
		return check_sample(check, op);
	case QEFF_NSP_MARK:
		return qeff_nsp_check_mark(check, op);
	case QEFF_NSP_PENALISE:
		return qeff_nsp_check_penalise(check, op);
	default:
		return qeff_nsp_refuse(check, "operation: no such code", op->code,
				       QEFF_NSP_CODES - 1);
	}
}

bool qeff_nsp_check_op(const struct nsp_check *check, const struct qeff_nsp_op *op)
{
	const struct qeff_nsp_header *h = check->program->header;

	REQUIRE(op->domain <= QEFF_NSP_ROWS_SEGMENTS, "operation: no such domain", op->domain,
		QEFF_NSP_ROWS_SEGMENTS);
	REQUIRE(op->rows >= 1 && op->rows <= QEFF_NSP_MAX_ROWS, "operation: rows", op->rows,
		QEFF_NSP_MAX_ROWS);
	REQUIRE(op->name == UINT32_MAX || op->name < h->string_bytes,
		"operation: its name leaves the strings", op->name, h->string_bytes);
	REQUIRE(!op->reserved0 && !op->reserved1, "operation: reserved fields are not zero",
		op->reserved0 | op->reserved1, 0);
	if (!check_params(check, op))
		return false;
	REQUIRE(qeff_nsp_scratch_bytes(op) <= h->scratch_bytes,
		"operation: needs more scratch than the program declares",
		qeff_nsp_scratch_bytes(op), h->scratch_bytes);
	return true;
}
