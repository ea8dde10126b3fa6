/* SPDX-License-Identifier: MIT */
/* Products: of matrices, by an equation, of bytes. Kept loops come first, then what is summed. */
#include "lower/plain_words.h"

#include <string.h>

#define F32 QEFF_NSP_NUMBER_F32

/* Operands of a product as loops [batch.., rows, columns, k]; vectors are rows or columns. */
struct product {
	struct dense_view a, b;
	bool row, column; /* were vectors */
	uint32_t rank;
	int64_t loops[DENSE_MAX_RANK];
};

static void set_up(struct words *w, struct product *p, const struct dense_view *a,
		   const struct dense_view *b)
{
	uint32_t batch;

	if (w->rc)
		return;
	p->a = *a;
	p->b = *b;
	p->row = a->rank == 1;
	p->column = b->rank == 1;
	if (p->row)
		dense_insert(&p->a, 0, 1, 0);
	if (p->column)
		dense_insert(&p->b, 1, 1, 0);
	batch = (p->a.rank > p->b.rank ? p->a.rank : p->b.rank) - 2;
	p->rank = batch + 3;
	if (p->rank > DENSE_MAX_RANK) {
		words_refuse(w, "too many dimensions");
		return;
	}
	for (uint32_t i = 0; i < batch; i++) {
		uint32_t back = batch - i + 2;
		int64_t x = p->a.rank >= back ? p->a.size[p->a.rank - back] : 1;
		int64_t y = p->b.rank >= back ? p->b.size[p->b.rank - back] : 1;

		p->loops[i] = x == 1 ? y : x;
	}
	p->loops[batch] = p->a.size[p->a.rank - 2];
	p->loops[batch + 1] = p->b.size[p->b.rank - 1];
	p->loops[batch + 2] = p->a.size[p->a.rank - 1];
	/* a [.., rows, 1, k]; b [.., 1, columns, k] */
	dense_insert(&p->a, p->a.rank - 1, 1, 0);
	{
		uint32_t perm[DENSE_MAX_RANK];

		for (uint32_t i = 0; i < p->b.rank; i++)
			perm[i] = i;
		perm[p->b.rank - 2] = p->b.rank - 1;
		perm[p->b.rank - 1] = p->b.rank - 2;
		dense_transpose(&p->b, perm);
		dense_insert(&p->b, p->b.rank - 2, 1, 0);
	}
}

/* The output with the dimensions of 1 that vectors have in the loops. */
static struct dense_view loops_of(const struct product *p, const struct dense_view *out)
{
	struct dense_view view = *out;

	if (p->column)
		dense_insert(&view, view.rank, 1, 0);
	if (p->row)
		dense_insert(&view, view.rank - 1, 1, 0);
	return view;
}

void plain_matmul(struct words *w)
{
	struct dense_view a = words_in(w, 0), b = words_in(w, 1), out = words_out(w, 0);
	struct product p = { .rank = 0 };

	set_up(w, &p, &a, &b);
	out = loops_of(&p, &out);
	WORDS_FOLD(w, dense_number(out.type), QEFF_NSP_FOLD_SUM, "a b *", NULL, &out, p.rank,
		   p.loops, &p.a, &p.b);
}

/* A zero point of a matrix: one number, or one for each row (@rows) or column, as a loop's view. */
static struct dense_view zero_point(struct words *w, uint32_t input, bool rows)
{
	struct dense_view zero = words_in(w, input);

	if (w->rc)
		return zero;
	if (zero.rank > 1) /* [.., rows, 1] or [.., 1, columns] */
		dense_insert(&zero, zero.rank, 1, 0);
	else if (zero.rank && zero.size[0] > 1 && rows) {
		dense_insert(&zero, 1, 1, 0);
		dense_insert(&zero, 2, 1, 0);
	} else if (zero.rank) {
		dense_insert(&zero, 1, 1, 0);
	}
	return zero;
}

/* (a - a's zero point) (b - b's zero point), summed in 32 bits; zero points may be absent. */
static void integer_product(struct words *w, const struct dense_view *a, uint32_t a_zero,
			    const struct dense_view *b, uint32_t b_zero,
			    const struct dense_view *out)
{
	struct product p = { .rank = 0 };
	struct dense_view to, za, zb;
	bool has_a = words_has(w, a_zero), has_b = words_has(w, b_zero);

	set_up(w, &p, a, b);
	if (has_a)
		za = zero_point(w, a_zero, true);
	if (has_b)
		zb = zero_point(w, b_zero, false);
	to = loops_of(&p, out);
	if (has_a && has_b)
		WORDS_FOLD(w, QEFF_NSP_NUMBER_I64, QEFF_NSP_FOLD_SUM, "a c - b d - *", NULL, &to,
			   p.rank, p.loops, &p.a, &p.b, &za, &zb);
	else if (has_a || has_b)
		WORDS_FOLD(w, QEFF_NSP_NUMBER_I64, QEFF_NSP_FOLD_SUM,
			   has_a ? "a c - b *" : "a b c - *", NULL, &to, p.rank, p.loops, &p.a,
			   &p.b, has_a ? &za : &zb);
	else
		WORDS_FOLD(w, QEFF_NSP_NUMBER_I64, QEFF_NSP_FOLD_SUM, "a b *", NULL, &to, p.rank,
			   p.loops, &p.a, &p.b);
}

void plain_matmul_integer(struct words *w)
{
	struct dense_view a = words_in(w, 0), b = words_in(w, 1), out = words_out(w, 0);

	integer_product(w, &a, 2, &b, 3, &out);
}

void plain_qlinear_matmul(struct words *w)
{
	struct dense_view a = words_in(w, 0), b = words_in(w, 3), out = words_out(w, 0);
	struct dense_view acc = words_like(w, QEFF_NSP_I32, &out), scales[3], zero;

	integer_product(w, &a, 2, &b, 5, &acc);
	for (uint32_t i = 0; i < 3; i++)
		scales[i] = words_in(w, i == 0 ? 1 : i == 1 ? 4 : 6);
	if (!w->rc && scales[0].rank == 1 && scales[0].size[0] > 1)
		dense_insert(&scales[0], 1, 1, 0); /* one for each row */
	zero = words_in(w, 7);
	plain_requantize(w, &acc, &scales[0], &scales[1], &scales[2], &zero, &out);
}

void plain_gemm(struct words *w)
{
	static const uint32_t swap[] = { 1, 0 };
	struct dense_view a = words_in(w, 0), b = words_in(w, 1), out = words_out(w, 0), sum, c;
	double params[2] = { words_float(w, "alpha", 1), words_float(w, "beta", 1) };
	struct product p = { .rank = 0 };
	bool more = words_has(w, 2);

	if (words_int(w, "transA", 0))
		dense_transpose(&a, swap);
	if (words_int(w, "transB", 0))
		dense_transpose(&b, swap);
	set_up(w, &p, &a, &b);
	sum = !more && params[0] == 1 ? out : words_like(w, out.type, &out);
	WORDS_FOLD(w, dense_number(out.type), QEFF_NSP_FOLD_SUM, "a b *", NULL, &sum, p.rank,
		   p.loops, &p.a, &p.b);
	if (more) {
		c = words_in(w, 2);
		WORDS_MAP(w, dense_number(out.type), "a p0 * b p1 * +", params, &out, &sum, &c);
	} else if (params[0] != 1) {
		WORDS_MAP(w, dense_number(out.type), "a p0 *", params, &out, &sum);
	}
}

/* Each input as all labels' loops: labels that it lacks do not move it, those that it has twice
 * move along its diagonal. */
void plain_einsum(struct words *w)
{
	static const char *const texts[] = { "a", "a b *", "a b * c *", "a b * c * d *" };
	uint32_t count = w->node->num_inputs, at_loop[QEFF_EINSUM_LABELS], rank = 0;
	struct dense_view in[QEFF_EINSUM_INPUTS], out;
	bool placed[QEFF_EINSUM_LABELS] = { false };
	int64_t loops[DENSE_MAX_RANK];
	struct qeff_einsum e;

	if (!w->rc)
		w->rc = qeff_op_einsum(w->node, &e, w->s->err);
	if (w->rc)
		return;
	for (uint32_t i = 0; i < e.out_rank + e.num_labels; i++) {
		uint32_t label = i < e.out_rank ? e.label[count][i] : i - e.out_rank;

		if (placed[label])
			continue;
		placed[label] = true;
		at_loop[label] = rank;
		loops[rank++] = e.size[label];
	}
	for (uint32_t i = 0; i < count && !w->rc; i++) {
		struct dense_view x = words_in(w, i);

		in[i] = x;
		in[i].rank = rank;
		memset(in[i].stride, 0, sizeof(in[i].stride));
		memcpy(in[i].size, loops, sizeof(loops));
		for (uint32_t d = 0; d < x.rank; d++)
			if (x.size[d] > 1)
				in[i].stride[at_loop[e.label[i][d]]] += x.stride[d];
	}
	out = words_out(w, 0);
	words_fold(w, dense_number(out.type),
		   rank > e.out_rank ? QEFF_NSP_FOLD_SUM : QEFF_NSP_FOLD_NONE, texts[count - 1],
		   NULL, &out, rank, loops, count,
		   (const struct dense_view *const[]){ &in[0], &in[1], &in[2], &in[3] });
}

/* Up to 3 x 3, by the rule of Sarrus. */
void plain_det(struct words *w)
{
	struct dense_view x = words_in(w, 0), out = words_out(w, 0), element[3][3], terms[2];
	uint32_t rank = x.rank;
	uint8_t number;
	int64_t n;

	if (w->rc)
		return;
	n = x.size[rank - 1];
	number = dense_number(x.type);
	if (n > 3) {
		words_refuse(w, "matrices of at most 3 x 3 are possible, not %lld", (long long)n);
		return;
	}
	for (uint32_t r = 0; r < n; r++)
		for (uint32_t c = 0; c < n; c++) {
			element[r][c] = words_part(&x, rank - 1, c, 1);
			dense_remove(&element[r][c], rank - 1);
			dense_slice(&element[r][c], rank - 2, r, 1, 1);
			dense_remove(&element[r][c], rank - 2);
		}
	if (n == 1) {
		words_copy(w, &element[0][0], &out);
		return;
	}
	if (n == 2) {
		WORDS_MAP(w, number, "a d * b c * -", NULL, &out, &element[0][0], &element[0][1],
			  &element[1][0], &element[1][1]);
		return;
	}
	for (uint32_t i = 0; i < 2; i++)
		terms[i] = words_like(w, out.type, &out);
	for (uint32_t i = 0; i < 3; i++) {
		uint32_t j = (i + 1) % 3, k = (i + 2) % 3;

		WORDS_MAP(w, number, "a b * c d * -", NULL, &terms[0], &element[1][j],
			  &element[2][k], &element[1][k], &element[2][j]);
		if (!i)
			WORDS_MAP(w, number, "a b *", NULL, &terms[1], &element[0][i], &terms[0]);
		else
			WORDS_MAP(w, number, "a b * c +", NULL, &terms[1], &element[0][i],
				  &terms[0], &terms[1]);
	}
	words_copy(w, &terms[1], &out);
}
