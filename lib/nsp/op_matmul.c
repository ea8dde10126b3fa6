/* SPDX-License-Identifier: MIT */
/*
 * MATMUL: rows times packed panels, with its epilogue.
 *
 * Rows go in groups that stay in cache while a panel is used on all of them. x is staged in scratch
 * where it is not f32 yet, must be rounded to bf16, or becomes int8 codes. Halves are unpacked in
 * registers for few rows, in pieces of NSP_PIECE_INPUTS inputs for many; int8, and bf16 where the
 * instruction set has products of it, are multiplied as they are. Blocks of MXFP6 become int8.
 */
#include "nsp/kernels.h"

#include "nsp/kernel_bf16.h"
#include "nsp/kernel_f32.h"
#include "nsp/kernel_half.h"
#include "nsp/kernel_i8.h"
#include "nsp/kernel_mx.h"
#include "nsp/nsp_math.h"
#include "nsp/pack.h"

#include <string.h>

struct matmul {
	const struct nsp_run *run;
	const struct qeff_nsp_matmul_params *p;
	struct nsp_matmul_plan plan;
	float *sums; /* [rows][32] */
	float *piece;
	bool bf16; /* products of bf16: x is staged as such */
	/* f32: a row of x every x_stride floats, in place or staged */
	const float *x;
	size_t x_stride;
	/* int8 */
	int8_t *codes;	/* [rows][inputs] */
	float *scales;	/* [rows][inputs / 32] */
	uint8_t *valid; /* [rows] */
};

static void stage_codes(struct matmul *m, uint32_t first, uint32_t rows)
{
	const struct qeff_nsp_operand *in = &m->run->op->in[0];
	uint32_t inputs = m->p->inputs, blocks = m->plan.inputs / NSP_BLOCK;
	uint32_t size = nsp_type_bytes(in->type);

	for (uint32_t r = 0; r < rows; r++) {
		const uint8_t *at = nsp_in(m->run, in, first + r);
		int8_t *codes = m->codes + (size_t)r * m->plan.inputs;

		m->valid[r] = 1;
		for (uint32_t b = 0; b < blocks; b++) {
			uint32_t left = inputs - b * NSP_BLOCK;
			float buffer[NSP_BLOCK], last[NSP_BLOCK] = { 0 };
			const float *x = vf_widen(buffer, at + (size_t)b * NSP_BLOCK * size,
						  in->type, left < NSP_BLOCK ? left : NSP_BLOCK);

			if (left < NSP_BLOCK) {
				memcpy(last, x, left * sizeof(float));
				x = last;
			}
			m->valid[r] &= nsp_quantise_block(codes + b * NSP_BLOCK,
							  &m->scales[(size_t)r * blocks + b], x);
		}
	}
}

static void stage_floats(struct matmul *m, float *staged, uint32_t first, uint32_t rows)
{
	const struct qeff_nsp_operand *in = &m->run->op->in[0];
	uint32_t inputs = m->p->inputs;
	bool rounded = m->p->weight_type == QEFF_NSP_BF16 && !m->p->exact;

	for (uint32_t r = 0; r < rows; r++) {
		float *to = staged + (size_t)r * inputs;
		const float *x = vf_widen(to, nsp_in(m->run, in, first + r), in->type, inputs);

		/* bf16 weights meet bf16 activations: their products are exact in f32. */
		uint32_t k = 0;

		for (; rounded && k + VF <= inputs; k += VF)
			vf_store(to + k, vf_round_bf16(vf_load(x + k)));
		for (; rounded && k < inputs; k++)
			to[k] = qeff_bf16_to_f32(qeff_f32_to_bf16(x[k]));
	}
}

/* Columns of a row staged as bf16. */
static size_t bf16_stride(const struct matmul *m)
{
	return ((size_t)m->p->inputs + 1) & ~(size_t)1;
}

static void stage_bf16(struct matmul *m, uint32_t first, uint32_t rows)
{
	const struct qeff_nsp_operand *in = &m->run->op->in[0];
	uint32_t inputs = m->p->inputs, size = nsp_type_bytes(in->type);

	for (uint32_t r = 0; r < rows; r++) {
		uint16_t *to = (uint16_t *)m->codes + r * bf16_stride(m);
		const uint8_t *at = nsp_in(m->run, in, first + r);

		for (uint32_t k = 0; k < inputs; k += QEFF_NSP_PANEL) {
			uint32_t count = inputs - k < QEFF_NSP_PANEL ? inputs - k : QEFF_NSP_PANEL;
			float buffer[QEFF_NSP_PANEL];

			vf_narrow(to + k, QEFF_NSP_BF16,
				  vf_widen(buffer, at + (size_t)k * size, in->type, count), count);
		}
		if (inputs % 2)
			to[inputs] = 0;
	}
}

enum { FORM_CODES, FORM_BF16, FORM_ROUNDED, FORM_WIDENED };

static bool is_staged(const struct qeff_nsp_staged *s, const struct qeff_nsp_staged *want)
{
	return s->inference == want->inference && s->at == want->at &&
	       s->stride_bytes == want->stride_bytes && s->offset == want->offset &&
	       s->phase == want->phase && s->type == want->type && s->form == want->form &&
	       s->inputs == want->inputs && s->first == want->first && s->rows == want->rows &&
	       s->room == want->room;
}

static void stage(struct matmul *m, uint32_t first, uint32_t rows)
{
	const struct nsp_run *run = m->run;
	const struct qeff_nsp_operand *in = &run->op->in[0];
	struct qeff_nsp_staged want = {
		.inference = run->instance->inference,
		.at = in->at,
		.stride_bytes = in->stride_bytes,
		.offset = (uint64_t)((uint8_t *)m->codes - run->scratch),
		.phase = run->phase,
		.type = in->type,
		.form = FORM_WIDENED,
		.inputs = m->p->inputs,
		.first = first,
		.rows = rows,
		.room = m->plan.rows,
	};

	m->x = (const float *)m->codes;
	m->x_stride = m->p->inputs;
	if (!m->plan.row_bytes) {
		m->x = (const float *)nsp_in(run, in, first);
		m->x_stride = in->stride_bytes / sizeof(float);
		run->staged->inference = 0;
		return;
	}
	if (qeff_nsp_takes_codes(m->p->weight_type))
		want.form = FORM_CODES;
	else if (m->p->weight_type == QEFF_NSP_BF16 && !m->p->exact)
		want.form = m->bf16 ? FORM_BF16 : FORM_ROUNDED;
	/* The same rows as a tile before this one, of another NSP or of another product. */
	if (is_staged(run->staged, &want))
		return;
	if (want.form == FORM_CODES)
		stage_codes(m, first, rows);
	else if (want.form == FORM_BF16)
		stage_bf16(m, first, rows);
	else
		stage_floats(m, (float *)m->codes, first, rows);
	*run->staged = want;
}

static void multiply_f32(struct matmul *m, const uint8_t *panel, uint32_t rows)
{
	struct nsp_panel piece = { (const float *)panel, QEFF_NSP_PANEL };
	uint32_t inputs = m->p->inputs;
	/* A single row needs no piece to stay in cache. */
	uint32_t most = rows == 1 ? inputs : NSP_PIECE_INPUTS;

	for (uint32_t k = 0; k < inputs; k += most, piece.w += (size_t)most * QEFF_NSP_PANEL)
		nsp_panel_f32(m->sums, QEFF_NSP_PANEL, m->x + k, m->x_stride, piece,
			      inputs - k < most ? inputs - k : most, rows);
}

static void multiply_half(struct matmul *m, const uint8_t *panel, uint32_t rows)
{
	const struct nsp_panel piece = { m->piece, QEFF_NSP_PANEL };
	uint32_t inputs = m->p->inputs, type = m->p->weight_type;
	uint32_t most = rows == 1 ? inputs : NSP_PIECE_INPUTS;

#if NSP_BF16_PRODUCTS
	for (uint32_t k = 0; m->bf16 && k < inputs; k += most, panel += (size_t)most / 2 * 128)
		nsp_bf16_rows(m->sums, (const uint16_t *)m->codes + k, bf16_stride(m), panel,
			      inputs - k < most ? inputs - k : most, rows);
#endif
	for (uint32_t k = 0; !m->bf16 && k < inputs; k += most, panel += (size_t)most / 2 * 128) {
		uint32_t count = inputs - k < most ? inputs - k : most;

		if (rows <= NSP_HALF_ROWS) {
			nsp_half_rows(m->sums, m->x + k, m->x_stride, panel, count, type, rows);
			continue;
		}
		if (type == QEFF_NSP_BF16)
			nsp_unpack_piece(m->piece, panel, count, QEFF_NSP_BF16);
		else
			nsp_unpack_piece(m->piece, panel, count, QEFF_NSP_F16);
		nsp_panel_f32(m->sums, QEFF_NSP_PANEL, m->x + k, m->x_stride, piece, count, rows);
	}
}

static void multiply_int8(struct matmul *m, const uint8_t *panel, uint32_t rows)
{
	uint32_t blocks = m->plan.inputs / NSP_BLOCK, group = m->p->scale_group / NSP_BLOCK;

	for (uint32_t begin = 0; begin < blocks; begin += group) {
		uint32_t end = blocks - begin < group ? blocks : begin + group;
		const float *weight_scales =
			(const float *)(panel + (size_t)(end - begin) * NSP_BLOCK_BYTES);

#if NSP_I8_ROW
		if (rows == 1) {
			nsp_row_i8(m->sums, m->codes + (size_t)begin * NSP_BLOCK, m->scales + begin,
				   panel, weight_scales, end - begin);
			panel += (size_t)(end - begin) * NSP_BLOCK_BYTES + QEFF_NSP_PANEL_ROW_BYTES;
			continue;
		}
#endif
		for (uint32_t b = begin; b < end; b++, panel += NSP_BLOCK_BYTES)
			nsp_block_i8(m->sums, m->codes + (size_t)b * NSP_BLOCK, m->plan.inputs,
				     m->scales + b, blocks, panel, weight_scales, rows);
		panel += QEFF_NSP_PANEL_ROW_BYTES;
	}
}

static void multiply_mxfp6(struct matmul *m, const uint8_t *panel, uint32_t rows)
{
	int8_t block[NSP_BLOCK_BYTES] __attribute__((aligned(128)));
	float weight_scales[QEFF_NSP_PANEL] __attribute__((aligned(128)));
	uint32_t blocks = m->plan.inputs / NSP_BLOCK;

	for (uint32_t begin = 0; begin < blocks; begin += NSP_MXFP6_BLOCKS) {
		uint32_t count =
			blocks - begin < NSP_MXFP6_BLOCKS ? blocks - begin : NSP_MXFP6_BLOCKS;
		const uint8_t *scales = panel + (size_t)count * NSP_MXFP6_BLOCK_BYTES;

		for (uint32_t b = 0; b < count; b++, panel += NSP_MXFP6_BLOCK_BYTES) {
			nsp_unpack_mxfp6(block, panel);
			/* the block is in eighths */
			for (int n = 0; n < QEFF_NSP_PANEL; n++)
				weight_scales[n] = qeff_e8m0_to_f32(scales[n * 4 + b]) * 0.125f;
			nsp_block_i8(m->sums, m->codes + (size_t)(begin + b) * NSP_BLOCK,
				     m->plan.inputs, m->scales + begin + b, blocks,
				     (const uint8_t *)block, weight_scales, rows);
		}
		panel += QEFF_NSP_PANEL_ROW_BYTES;
	}
}

/* Rows that were no numbers. */
static void void_rows(struct matmul *m, uint32_t rows)
{
	for (uint32_t r = 0; r < rows; r++)
		for (int n = 0; !m->valid[r] && n < QEFF_NSP_PANEL; n++)
			m->sums[r * QEFF_NSP_PANEL + n] = __builtin_nanf("");
}

/* add + mul * f(bias + sum) for all 32 outputs of a panel, where every operand is f32. */
static void finish_panel(struct matmul *m, uint32_t first, uint32_t rows, uint32_t output)
{
	const struct qeff_nsp_op *op = m->run->op;
	const float *bias = op->in[1].at == QEFF_NSP_NONE
				    ? NULL
				    : (const float *)nsp_in(m->run, &op->in[1], 0) + output;

	for (uint32_t r = 0; r < rows; r++) {
		float *sums = m->sums + (size_t)r * QEFF_NSP_PANEL;
		float *out = (float *)nsp_out(m->run, first + r) + output;
		const float *mul = NULL, *add = NULL;

		if (op->in[2].at != QEFF_NSP_NONE)
			mul = (const float *)nsp_in(m->run, &op->in[2], first + r) + output;
		if (op->in[3].at != QEFF_NSP_NONE)
			add = (const float *)nsp_in(m->run, &op->in[3], first + r) + output;
		for (int n = 0; bias && n < QEFF_NSP_PANEL; n += VF)
			vf_store(sums + n, vf_load(sums + n) + vf_load(bias + n));
		if (m->p->function != QEFF_NSP_IDENTITY)
			nsp_apply(m->p->function, sums, QEFF_NSP_PANEL);
		for (int n = 0; n < QEFF_NSP_PANEL; n += VF) {
			vf v = vf_load(sums + n);

			if (mul)
				v *= vf_load(mul + n);
			if (add)
				v += vf_load(add + n);
			vf_store(out + n, v);
		}
	}
}

static bool all_f32(const struct qeff_nsp_op *op)
{
	return op->out.type == QEFF_NSP_F32 &&
	       (op->in[2].at == QEFF_NSP_NONE || op->in[2].type == QEFF_NSP_F32) &&
	       (op->in[3].at == QEFF_NSP_NONE || op->in[3].type == QEFF_NSP_F32);
}

/* The same for @count outputs from @output on, of any type. */
static void finish(struct matmul *m, uint32_t first, uint32_t rows, uint32_t output, uint32_t count)
{
	const struct qeff_nsp_op *op = m->run->op;
	const float *bias = op->in[1].at == QEFF_NSP_NONE
				    ? NULL
				    : (const float *)nsp_in(m->run, &op->in[1], 0) + output;
	uint32_t out_size = nsp_type_bytes(op->out.type);

	if (count == QEFF_NSP_PANEL && all_f32(op)) {
		finish_panel(m, first, rows, output);
		return;
	}
	for (uint32_t r = 0; r < rows; r++) {
		float *sums = m->sums + (size_t)r * QEFF_NSP_PANEL;

		for (uint32_t n = 0; bias && n < count; n++)
			sums[n] += bias[n];
		nsp_apply(m->p->function, sums, count);
		for (int i = 2; i < 4; i++) {
			const struct qeff_nsp_operand *in = &op->in[i];
			float buffer[QEFF_NSP_PANEL];
			const float *other;

			if (in->at == QEFF_NSP_NONE)
				continue;
			other = vf_widen(buffer,
					 nsp_in(m->run, in, first + r) +
						 (size_t)output * nsp_type_bytes(in->type),
					 in->type, count);
			for (uint32_t n = 0; n < count; n++)
				sums[n] = i == 2 ? sums[n] * other[n] : sums[n] + other[n];
		}
		vf_narrow(nsp_out(m->run, first + r) + (size_t)output * out_size, op->out.type,
			  sums, count);
	}
}

static void count_work(const struct matmul *m, uint64_t panel_bytes, uint64_t groups)
{
	const struct nsp_run *run = m->run;
	const struct qeff_nsp_op *op = run->op;
	uint64_t rows = run->end - run->first, outputs = run->tile->end - run->tile->begin;
	uint64_t panels = (outputs + QEFF_NSP_PANEL - 1) / QEFF_NSP_PANEL;
	uint64_t row_bytes = (uint64_t)m->p->inputs * nsp_type_bytes(op->in[0].type);

	for (int i = 2; i < 4; i++)
		if (op->in[i].at != QEFF_NSP_NONE)
			row_bytes += outputs * nsp_type_bytes(op->in[i].type);
	row_bytes += outputs * nsp_type_bytes(op->out.type);
	run->counters->macs += rows * outputs * m->p->inputs;
	run->counters->bytes += rows * row_bytes + groups * panels * panel_bytes;
}

void NSP_NAME(matmul)(const struct nsp_run *run)
{
	const struct qeff_nsp_matmul_params *p = &run->op->u.matmul;
	struct matmul m = { .run = run, .p = p, .plan = qeff_nsp_matmul_plan(run->op) };
	uint64_t panel_bytes = qeff_nsp_panel_bytes(p->weight_type, p->inputs, p->scale_group);
	uint64_t groups = 0;

	m.bf16 = NSP_BF16_PRODUCTS && p->weight_type == QEFF_NSP_BF16 && !p->exact;
	m.sums = (float *)run->scratch;
	m.piece = (float *)(run->scratch + m.plan.sums_bytes);
	m.codes = (int8_t *)m.piece + m.plan.weight_bytes;
	m.scales = (float *)(m.codes + (size_t)m.plan.rows * m.plan.inputs);
	m.valid = (uint8_t *)(m.scales + (size_t)m.plan.rows * (m.plan.inputs / NSP_BLOCK));

	for (uint32_t row = run->first; row < run->end; row += m.plan.rows, groups++) {
		uint32_t rows = run->end - row < m.plan.rows ? run->end - row : m.plan.rows;
		const uint8_t *panel = nsp_at(run, run->tile->data);

		stage(&m, row, rows);
		for (uint32_t n = run->tile->begin; n < run->tile->end; n += QEFF_NSP_PANEL) {
			uint32_t count = run->tile->end - n;

			memset(m.sums, 0, (size_t)rows * QEFF_NSP_PANEL * sizeof(float));
			if (p->weight_type == QEFF_NSP_I8)
				multiply_int8(&m, panel, rows);
			else if (p->weight_type == QEFF_NSP_MXFP6)
				multiply_mxfp6(&m, panel, rows);
			else if (p->weight_type == QEFF_NSP_F32)
				multiply_f32(&m, panel, rows);
			else
				multiply_half(&m, panel, rows);
			if (qeff_nsp_takes_codes(p->weight_type))
				void_rows(&m, rows);
			finish(&m, row, rows, n, count < QEFF_NSP_PANEL ? count : QEFF_NSP_PANEL);
			panel += panel_bytes;
		}
	}
	count_work(&m, panel_bytes, groups);
}
