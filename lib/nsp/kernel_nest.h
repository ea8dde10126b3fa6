/* SPDX-License-Identifier: MIT */
/*
 * NEST in one class of numbers; included once for each, behind kernel_number.h.
 *
 * Strips of numbers side by side go through the expression, instruction by instruction. Where they
 * lie along a kept loop, each has its own result, and the folded loops go around; where they lie
 * along a folded one, they go into one result in order. Either way a result takes in its numbers in
 * ascending order, so its bits do not depend on the way.
 */

/* What an expression sees: numbers where they lie, or in a buffer of the register's own. */
struct NUMBER(registers) {
	NUMBER_T buffer[QEFF_NSP_REGISTERS][NSP_STRIP];
	const NUMBER_T *at[QEFF_NSP_REGISTERS];
};

static const NUMBER_T *NUMBER(fetch)(const struct nest_run *n, int operand, int64_t offset,
				     uint32_t count, NUMBER_T *buffer)
{
	const struct qeff_nsp_operand *in = &n->op->in[operand];
	const uint8_t *from = n->base[operand] + offset * n->size[operand];

	if (n->lane_stride[operand] == 1) {
		if (in->type == NUMBER_TYPE)
			return (const NUMBER_T *)(const void *)from;
#ifdef NUMBER_WIDEN
		if (in->type == QEFF_NSP_F16 || in->type == QEFF_NSP_BF16)
			return NUMBER_WIDEN(buffer, from, in->type, count);
#endif
	}
	NUMBER(load)(buffer, from, in->type, n->lane_stride[operand], count);
	return buffer;
}

/* The expression's numbers; where its operands are is in @offset. */
static const NUMBER_T *NUMBER(evaluate)(const struct nest_run *n, struct NUMBER(registers) * r,
					const int64_t offset[NSP_OPERANDS], uint32_t count)
{
	uint32_t result = 0;

	for (int i = 0; i < 4; i++)
		if (n->base[i])
			r->at[i] = NUMBER(fetch)(n, i, offset[i], count, r->buffer[i]);
	for (uint32_t i = 0; i < n->instructions; i++) {
		const struct qeff_nsp_instruction *code = &n->code[i];
		NUMBER_T *dst = r->buffer[code->dst];

		if (code->code == QEFF_NSP_I_SELECT && r->at[code->dst] != dst)
			memcpy(dst, r->at[code->dst], count * sizeof(*dst));
		/* where a constant or a function has no register, any will do */
		NUMBER(execute)
		(code, dst, r->at[code->a % QEFF_NSP_REGISTERS],
		 r->at[code->b % QEFF_NSP_REGISTERS], count);
		result = code->dst;
		r->at[result] = dst;
	}
	return r->at[result];
}

static void NUMBER(put_out)(const struct nest_run *n, int64_t offset, int64_t stride,
			    const NUMBER_T *from, uint32_t count)
{
	unsigned int type = n->op->out.type;
	uint8_t *to = n->out + offset * n->size[QEFF_NSP_NEST_OUT];

	if (stride == 1 && type == NUMBER_TYPE) {
		memmove(to, from, count * sizeof(*from));
		return;
	}
#ifdef NUMBER_NARROW
	if (stride == 1 && (type == QEFF_NSP_F16 || type == QEFF_NSP_BF16)) {
		NUMBER_NARROW(to, type, from, count);
		return;
	}
#endif
	NUMBER(store)(to, type, stride, from, count);
}

/* A strip of results, each with its own numbers. */
static void NUMBER(lanes)(const struct nest_run *n, struct NUMBER(registers) * r,
			  struct nsp_unit *unit)
{
	const unsigned int fold = n->op->u.nest.fold;
	uint32_t index[QEFF_NSP_NEST_RANK] = { 0 }, count = unit->count;
	int64_t out = unit->offset[QEFF_NSP_NEST_OUT];
	int64_t position[NSP_STRIP], step = 0;
	NUMBER_T sum[NSP_STRIP];

	do {
		const NUMBER_T *x = NUMBER(evaluate)(n, r, unit->offset, count);

		if (fold == QEFF_NSP_FOLD_NONE) {
			NUMBER(put_out)(n, out, n->lane_stride[QEFF_NSP_NEST_OUT], x, count);
			return;
		}
		if (!step) {
			memcpy(sum, x, count * sizeof(*sum));
			memset(position, 0, count * sizeof(*position));
		} else if (fold >= QEFF_NSP_FOLD_ARGMAX) {
			for (uint32_t i = 0; i < count; i++)
				if (NUMBER(better)(fold, x[i], sum[i])) {
					sum[i] = x[i];
					position[i] = step;
				}
		} else {
			NUMBER(fold_all)(fold, sum, x, count);
		}
		step++;
	} while (nsp_step(n->nest, n->walk.kept, n->nest->rank, index, unit->offset));
	if (fold >= QEFF_NSP_FOLD_ARGMAX)
		i64_put_out(n, out, n->lane_stride[QEFF_NSP_NEST_OUT], position, count);
	else
		NUMBER(put_out)(n, out, n->lane_stride[QEFF_NSP_NEST_OUT], sum, count);
}

/* One result: strips along the last loop, which is folded, in order. */
static void NUMBER(folded)(const struct nest_run *n, struct NUMBER(registers) * r,
			   struct nsp_unit *unit)
{
	const unsigned int fold = n->op->u.nest.fold;
	uint32_t index[QEFF_NSP_NEST_RANK] = { 0 };
	int64_t out = unit->offset[QEFF_NSP_NEST_OUT], position = 0, step = 0;
	NUMBER_T sum = 0;

	do {
		for (uint32_t first = 0; first < unit->count; first += NSP_STRIP) {
			uint32_t left = unit->count - first;
			uint32_t count = left < NSP_STRIP ? left : NSP_STRIP;
			int64_t offset[NSP_OPERANDS];
			const NUMBER_T *x;

			for (int o = 0; o < NSP_OPERANDS; o++)
				offset[o] = unit->offset[o] + first * n->lane_stride[o];
			x = NUMBER(evaluate)(n, r, offset, count);
			for (uint32_t i = 0; i < count; i++, step++) {
				if (!step) {
					sum = x[i];
				} else if (fold < QEFF_NSP_FOLD_ARGMAX) {
					sum = NUMBER(fold)(fold, sum, x[i]);
				} else if (NUMBER(better)(fold, x[i], sum)) {
					sum = x[i];
					position = step;
				}
			}
		}
	} while (nsp_step(n->nest, n->walk.kept, n->nest->rank - 1, index, unit->offset));
	if (fold >= QEFF_NSP_FOLD_ARGMAX)
		i64_put_out(n, out, 1, &position, 1);
	else
		NUMBER(put_out)(n, out, 1, &sum, 1);
}

static void NUMBER(nest)(const struct nest_run *n, uint32_t first, uint32_t end)
{
	struct NUMBER(registers) r;

	for (int i = 0; i < QEFF_NSP_REGISTERS; i++)
		r.at[i] = r.buffer[i];
	for (uint32_t u = first; u < end; u++) {
		struct nsp_unit unit = nsp_unit_of(n->nest, &n->walk, u);

		if (n->walk.folds)
			NUMBER(folded)(n, &r, &unit);
		else
			NUMBER(lanes)(n, &r, &unit);
	}
}
