/* SPDX-License-Identifier: MIT */
/* ROPE: rotates pairs of columns by the token's position, and copies the rest of each head. */
#include "nsp/kernels.h"

#include "nsp/vec.h"

/* One pair; @x and @out may be the same head. */
static void rotate(uint8_t *out, unsigned int out_type, const uint8_t *x, unsigned int type,
		   uint32_t a, uint32_t b, float cosine, float sine)
{
	uint32_t size = nsp_type_bytes(type), out_size = nsp_type_bytes(out_type);
	float buffer[2], result[2];
	float first = *vf_widen(&buffer[0], x + a * size, type, 1);
	float second = *vf_widen(&buffer[1], x + b * size, type, 1);

	result[0] = first * cosine - second * sine;
	result[1] = second * cosine + first * sine;
	vf_narrow(out + a * out_size, out_type, &result[0], 1);
	vf_narrow(out + b * out_size, out_type, &result[1], 1);
}

/* The usual case: f32, halves apart, nothing in the way of vectors. */
static void rotate_halves(float *out, const float *x, const float *cosines, const float *sines,
			  uint32_t half)
{
	for (uint32_t i = 0; i < half; i++) {
		float first = x[i], second = x[i + half];

		out[i] = first * cosines[i] - second * sines[i];
		out[i + half] = second * cosines[i] + first * sines[i];
	}
}

static void rotate_head(const struct nsp_run *run, uint8_t *out, const uint8_t *x,
			const float *cosines, const float *sines)
{
	const struct qeff_nsp_rope_params *p = &run->op->u.rope;
	unsigned int type = run->op->in[0].type, out_type = run->op->out.type;
	uint32_t size = nsp_type_bytes(type), out_size = nsp_type_bytes(out_type);
	uint32_t half = p->rotary / 2;

	if (!p->interleaved && type == QEFF_NSP_F32 && out_type == QEFF_NSP_F32)
		rotate_halves((float *)out, (const float *)x, cosines, sines, half);
	else
		for (uint32_t i = 0; i < half; i++)
			rotate(out, out_type, x, type, p->interleaved ? 2 * i : i,
			       p->interleaved ? 2 * i + 1 : i + half, cosines[i], sines[i]);
	for (uint32_t i = p->rotary; out != x && i < p->head_dim; i++) {
		float buffer;

		vf_narrow(out + i * out_size, out_type, vf_widen(&buffer, x + i * size, type, 1),
			  1);
	}
}

void NSP_NAME(rope)(const struct nsp_run *run)
{
	const struct qeff_nsp_op *op = run->op;
	const struct qeff_nsp_rope_params *p = &op->u.rope;
	uint64_t in_bytes = (uint64_t)p->head_dim * nsp_type_bytes(op->in[0].type);
	uint64_t out_bytes = (uint64_t)p->head_dim * nsp_type_bytes(op->out.type);
	uint64_t heads = run->tile->end - run->tile->begin;

	for (uint32_t row = run->first; row < run->end; row++) {
		uint32_t position = run->instance->token[row].position;
		const float *cosines = (const float *)nsp_in(run, &op->in[1], position);
		const float *sines = (const float *)nsp_in(run, &op->in[2], position);

		for (uint32_t h = run->tile->begin; h < run->tile->end; h++)
			rotate_head(run, nsp_out(run, row) + h * out_bytes,
				    nsp_in(run, &op->in[0], row) + h * in_bytes, cosines, sines);
	}
	run->counters->bytes += (run->end - run->first) *
				(heads * (in_bytes + out_bytes) + (uint64_t)p->rotary * 4);
}
