/* SPDX-License-Identifier: MIT */
/* The plain way: operations on nests of loops. */
#include "lower/dense.h"

#include <string.h>

/* The loops of an operation while they are put together. */
struct loops {
	uint32_t rank;
	int64_t size[DENSE_MAX_RANK];
	int64_t stride[QEFF_NSP_NEST_OUT + 1][DENSE_MAX_RANK];
};

static void take(struct loops *loops, int operand, const struct dense_view *view)
{
	for (uint32_t i = 0; i < view->rank; i++)
		loops->stride[operand][i] = view->stride[i];
}

static void move_loop(struct loops *loops, uint32_t to, uint32_t from)
{
	loops->size[to] = loops->size[from];
	for (int o = 0; o <= QEFF_NSP_NEST_OUT; o++)
		loops->stride[o][to] = loops->stride[o][from];
}

/* Whether loop @i and the next one are one loop for all operands. */
static bool joins(const struct loops *loops, uint32_t i)
{
	for (int o = 0; o <= QEFF_NSP_NEST_OUT; o++)
		if (loops->stride[o][i] != loops->size[i + 1] * loops->stride[o][i + 1])
			return false;
	return loops->size[i] * loops->size[i + 1] <= UINT32_MAX;
}

/* Drops loops of one iteration among [first, end) and joins neighbours; returns the new end. */
static uint32_t simplify(struct loops *loops, uint32_t first, uint32_t end)
{
	uint32_t kept = first;

	for (uint32_t i = first; i < end; i++) {
		if (loops->size[i] == 1)
			continue;
		move_loop(loops, kept++, i);
		if (kept - first >= 2 && joins(loops, kept - 2)) {
			int64_t size = loops->size[kept - 2] * loops->size[kept - 1];

			move_loop(loops, kept - 2, kept - 1);
			loops->size[--kept - 1] = size;
		}
	}
	for (uint32_t i = end; i < loops->rank; i++)
		move_loop(loops, kept + i - end, i);
	for (uint32_t i = loops->rank - (end - kept); i < loops->rank; i++) {
		loops->size[i] = 0;
		for (int o = 0; o <= QEFF_NSP_NEST_OUT; o++)
			loops->stride[o][i] = 0;
	}
	loops->rank -= end - kept;
	return kept;
}

/* Strips lie along the last loop that is kept: if it is short, the longest takes its place, as the
 * order of these loops means nothing. */
static void choose_lane(struct loops *loops, uint32_t kept)
{
	uint32_t longest = kept ? kept - 1 : 0;
	struct loops old = *loops;

	if (!kept || loops->size[kept - 1] >= 32)
		return;
	for (uint32_t i = 0; i < kept; i++)
		if (loops->size[i] > loops->size[longest])
			longest = i;
	for (uint32_t i = longest; i + 1 < kept; i++)
		move_loop(loops, i, i + 1);
	loops->size[kept - 1] = old.size[longest];
	for (int o = 0; o <= QEFF_NSP_NEST_OUT; o++)
		loops->stride[o][kept - 1] = old.stride[o][longest];
}

static int add_nest(struct select *s, const struct qeff_node *node, const struct loops *loops,
		    uint32_t *index)
{
	struct qeff_nsp_nest nest = { .rank = loops->rank };
	struct qeff_nsp_nest *at;
	uint64_t iterations = 1;

	for (uint32_t i = 0; i < loops->rank; i++) {
		if (!qeff_mul_u64(iterations, (uint64_t)loops->size[i], &iterations) ||
		    iterations > QEFF_NSP_MAX_ITERATIONS || loops->size[i] > UINT32_MAX)
			return qeff_select_refuse(s, node, "its loops take more than %llu steps",
						  (unsigned long long)QEFF_NSP_MAX_ITERATIONS);
		nest.size[i] = (uint32_t)loops->size[i];
	}
	memcpy(nest.stride, loops->stride, sizeof(nest.stride));
	for (uint32_t i = s->l->num_nests; i-- > 0 && i + 64 > s->l->num_nests;)
		if (!memcmp(&s->l->nests[i], &nest, sizeof(nest))) {
			*index = i;
			return 0;
		}
	at = LOWER_GROW(s->l->nests, s->l->num_nests);
	if (!at)
		return lower_no_memory(s->err);
	*at = nest;
	*index = s->l->num_nests - 1;
	return 0;
}

static struct lower_op *add_op(struct select *s, const struct qeff_node *node,
			       enum qeff_nsp_code code)
{
	struct lower_op *op = qeff_select_op(s, node, code, QEFF_NSP_ROWS_STATIC);

	if (op)
		op->nsp.rows = 1;
	return op;
}

static void set_operand(struct lower_op *op, int operand, const struct dense_view *view)
{
	*(operand < QEFF_NSP_NEST_OUT ? &op->in[operand] : &op->out) = view->at;
	op->dense[operand].offset = view->offset;
	op->dense[operand].type = view->type;
}

bool dense_is_part(const struct select *s, const struct dense_view *view)
{
	uint64_t bytes = dense_elements(view) * lower_type_bytes(view->type);

	if (view->at.kind == LOWER_REF_BINDING)
		return bytes != qeff_lower_binding_bytes(s->l, (uint32_t)(s->spec - s->l->specs),
							 view->at.index);
	return view->at.kind == LOWER_REF_TENSOR && bytes != s->spec->tensors[view->at.index].bytes;
}

static bool same_shape(const struct dense_view *a, uint32_t rank, const int64_t *size)
{
	return a->rank == rank && (!rank || !memcmp(a->size, size, rank * sizeof(*size)));
}

static int misfit(struct select *s, const struct qeff_node *node)
{
	return qeff_select_refuse(s, node, "operands of one loop have different shapes");
}

int dense_nest(struct select *s, const struct qeff_node *node, const struct dense_nest *nest)
{
	const struct dense_view *shape = nest->num_in ? &nest->in[0] : &nest->out;
	struct loops loops = { .rank = shape->rank };
	struct qeff_nsp_instruction *code;
	uint32_t kept = nest->out.rank, index;
	struct lower_op *op;
	int rc;

	memcpy(loops.size, shape->size, shape->rank * sizeof(*loops.size));
	for (uint32_t i = 0; i < nest->num_in; i++) {
		if (!same_shape(&nest->in[i], shape->rank, shape->size))
			return misfit(s, node);
		take(&loops, (int)i, &nest->in[i]);
	}
	if (kept > shape->rank || (!nest->fold && kept != shape->rank) ||
	    !same_shape(&nest->out, kept, shape->size) || nest->instructions > 64)
		return misfit(s, node);
	take(&loops, QEFF_NSP_NEST_OUT, &nest->out);
	simplify(&loops, kept, loops.rank);
	kept = simplify(&loops, 0, kept);
	choose_lane(&loops, kept);
	rc = add_nest(s, node, &loops, &index);
	if (rc)
		return rc;
	op = add_op(s, node, QEFF_NSP_NEST);
	if (!op)
		return -ENOMEM;
	for (uint32_t i = 0; i < nest->num_in; i++)
		set_operand(op, (int)i, &nest->in[i]);
	set_operand(op, QEFF_NSP_NEST_OUT, &nest->out);
	op->partial = dense_is_part(s, &nest->out);
	op->nsp.u.nest = (struct qeff_nsp_nest_params){
		.nest = index,
		.kept = (uint8_t)kept,
		.number = nest->number,
		.fold = nest->fold,
		.first_instruction = s->l->num_instructions,
		.instructions = nest->instructions,
	};
	for (uint32_t i = 0; i < nest->instructions; i++) {
		code = LOWER_GROW(s->l->instructions, s->l->num_instructions);
		if (!code)
			return lower_no_memory(s->err);
		*code = nest->code[i];
	}
	return 0;
}

int dense_map(struct select *s, const struct qeff_node *node, uint8_t number,
	      const struct qeff_nsp_instruction *code, uint32_t instructions,
	      const struct dense_view *in, uint32_t num_in, const struct dense_view *out)
{
	struct dense_nest nest = {
		.number = number,
		.num_in = num_in,
		.out = *out,
		.code = code,
		.instructions = instructions,
	};

	for (uint32_t i = 0; i < num_in; i++) {
		nest.in[i] = in[i];
		if (!dense_broadcast(&nest.in[i], out->rank, out->size))
			return misfit(s, node);
	}
	return dense_nest(s, node, &nest);
}

int dense_copy(struct select *s, const struct qeff_node *node, const struct dense_view *from,
	       const struct dense_view *to)
{
	uint8_t number = dense_number(from->type);

	return dense_map(s, node, number, NULL, 0, from, 1, to);
}

int dense_fill(struct select *s, const struct qeff_node *node, const struct dense_view *out,
	       double number)
{
	struct dense_view scalar;
	int rc = dense_scalar(s, number, &scalar);

	return rc ? rc : dense_copy(s, node, &scalar, out);
}

int dense_reduce(struct select *s, const struct qeff_node *node, uint8_t number, uint8_t fold,
		 const struct qeff_nsp_instruction *code, uint32_t instructions,
		 const struct dense_view *in, uint32_t axes, const struct dense_view *out)
{
	struct dense_nest nest = {
		.number = number,
		.fold = fold,
		.num_in = 1,
		.code = code,
		.instructions = instructions,
		.out = *out,
	};
	uint32_t perm[DENSE_MAX_RANK], rank = 0, kept;

	for (uint32_t i = 0; i < in->rank; i++)
		if (!(axes >> i & 1))
			perm[rank++] = i;
	kept = rank;
	for (uint32_t i = 0; i < in->rank; i++)
		if (axes >> i & 1)
			perm[rank++] = i;
	nest.in[0] = *in;
	dense_transpose(&nest.in[0], perm);
	/* Dimensions of 1 may stand where axes were folded. */
	if (!dense_reshape(&nest.out, kept, nest.in[0].size))
		return misfit(s, node);
	return dense_nest(s, node, &nest);
}

static int check_pick(struct select *s, const struct qeff_node *node, const struct dense_pick *p)
{
	if (!same_shape(&p->data, p->other.rank, p->other.size) ||
	    !same_shape(&p->indices, p->other.rank, p->other.size) || !p->components ||
	    p->components > QEFF_NSP_MAX_COMPONENTS)
		return misfit(s, node);
	for (uint32_t j = 0; j < p->components; j++)
		if (p->limit[j] < 1 || p->limit[j] > UINT32_MAX)
			return qeff_select_refuse(s, node, "an index of up to %lld",
						  (long long)p->limit[j]);
	if (p->indices.type != QEFF_NSP_I32 && p->indices.type != QEFF_NSP_I64)
		return qeff_select_refuse(s, node, "indices are int32 or int64");
	return 0;
}

/* PICK, or with @put PUT. */
static int pick(struct select *s, const struct qeff_node *node, const struct dense_pick *p,
		bool put)
{
	struct loops loops = { .rank = p->other.rank };
	uint32_t index;
	struct lower_op *op;
	int rc = check_pick(s, node, p);

	if (rc)
		return rc;
	memcpy(loops.size, p->other.size, p->other.rank * sizeof(*loops.size));
	take(&loops, 0, put ? &p->other : &p->data);
	take(&loops, 1, &p->indices);
	take(&loops, QEFF_NSP_NEST_OUT, put ? &p->data : &p->other);
	simplify(&loops, 0, loops.rank);
	rc = add_nest(s, node, &loops, &index);
	if (rc)
		return rc;
	op = add_op(s, node, put ? QEFF_NSP_PUT : QEFF_NSP_PICK);
	if (!op)
		return -ENOMEM;
	set_operand(op, 0, put ? &p->other : &p->data);
	set_operand(op, 1, &p->indices);
	set_operand(op, QEFF_NSP_NEST_OUT, put ? &p->data : &p->other);
	op->partial = !put && dense_is_part(s, &p->other);
	op->nsp.u.pick = (struct qeff_nsp_pick_params){
		.nest = index,
		.components = (uint8_t)p->components,
		.fold = put ? p->fold : QEFF_NSP_FOLD_NONE,
		.index_stride = p->index_stride,
	};
	for (uint32_t j = 0; j < p->components; j++) {
		op->nsp.u.pick.stride[j] = p->stride[j];
		op->nsp.u.pick.limit[j] = (uint32_t)p->limit[j];
	}
	return 0;
}

int dense_pick(struct select *s, const struct qeff_node *node, const struct dense_pick *p)
{
	struct dense_pick same = *p;
	struct dense_view out;
	int rc;

	if (p->data.type == p->other.type)
		return pick(s, node, p, false);
	/* Picked as it is stored, then converted. */
	rc = dense_temp(s, p->data.type, p->other.rank, p->other.size, &out);
	if (rc)
		return rc;
	same.other = out;
	rc = pick(s, node, &same, false);
	return rc ? rc : dense_copy(s, node, &out, &p->other);
}

int dense_put(struct select *s, const struct qeff_node *node, const struct dense_pick *p)
{
	struct dense_pick same = *p;
	int rc = 0;

	if (p->data.type != p->other.type) {
		rc = dense_temp(s, p->data.type, p->other.rank, p->other.size, &same.other);
		if (!rc)
			rc = dense_copy(s, node, &p->other, &same.other);
	}
	return rc ? rc : pick(s, node, &same, true);
}

int dense_sort(struct select *s, const struct qeff_node *node, const struct dense_view *in,
	       uint32_t axis, bool smallest, bool positions, const struct dense_view *out)
{
	struct dense_view from = *in, to = *out;
	struct loops loops = { .rank = in->rank };
	uint32_t perm[DENSE_MAX_RANK], rank = 0, chosen, index;
	struct lower_op *op;
	int rc;

	for (uint32_t i = 0; i < in->rank; i++)
		if (i != axis)
			perm[rank++] = i;
	if (axis >= in->rank || out->rank != in->rank || out->size[axis] > in->size[axis] ||
	    out->size[axis] > UINT32_MAX)
		return misfit(s, node);
	perm[rank] = axis;
	chosen = (uint32_t)out->size[axis];
	dense_transpose(&from, perm);
	dense_transpose(&to, perm);
	if (rank && memcmp(from.size, to.size, rank * sizeof(*from.size)))
		return misfit(s, node);
	if (16ull * chosen > QEFF_NSP_MAX_SCRATCH_BYTES)
		return qeff_select_refuse(s, node, "%u numbers cannot be sorted, at most %u can",
					  chosen, QEFF_NSP_MAX_SCRATCH_BYTES / 16);
	memcpy(loops.size, from.size, from.rank * sizeof(*loops.size));
	take(&loops, 0, &from);
	take(&loops, QEFF_NSP_NEST_OUT, &to);
	simplify(&loops, 0, rank);
	rc = add_nest(s, node, &loops, &index);
	if (rc)
		return rc;
	op = add_op(s, node, QEFF_NSP_SORT);
	if (!op)
		return -ENOMEM;
	set_operand(op, 0, &from);
	set_operand(op, QEFF_NSP_NEST_OUT, &to);
	op->partial = dense_is_part(s, out);
	op->nsp.u.sort.nest = index;
	op->nsp.u.sort.chosen = chosen;
	op->nsp.u.sort.smallest = smallest;
	op->nsp.u.sort.positions = positions;
	return 0;
}
