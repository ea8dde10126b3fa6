/* SPDX-License-Identifier: MIT */
/* NORM: RMS, layer and L2 normalisation of groups of columns. */
#include "nsp/kernels.h"

#include "nsp/vec.h"

#include <string.h>

#define COLUMNS 256 /* a multiple of NSP_LANES */

static float vf_first(vf v)
{
	return v[0];
}

/* Sum over @width numbers of (x - centre)^@power, power 1 or 2. */
static float sum_of(const uint8_t *x, uint32_t type, uint32_t width, float centre, int power)
{
	struct nsp_sum sum = { 0 };

	for (uint32_t c = 0; c < width; c += COLUMNS) {
		uint32_t count = width - c < COLUMNS ? width - c : COLUMNS, i = 0;
		float buffer[COLUMNS];
		const float *at =
			vf_widen(buffer, x + (size_t)c * nsp_type_bytes(type), type, count);

		for (; i + VF <= count; i += VF) {
			vf v = vf_load(at + i) - centre;

			nsp_sum_add(&sum, i / VF % (NSP_LANES / VF), power == 2 ? v * v : v);
		}
		if (i < count) {
			vf v = vf_load_part(at + i, count - i) - centre;

			v = power == 2 ? v * v : v;
			/* Lanes past the end held zeros; take away what they became. */
			for (uint32_t lane = count - i; lane < VF; lane++)
				v[lane] = 0;
			nsp_sum_add(&sum, i / VF % (NSP_LANES / VF), v);
		}
	}
	return nsp_sum_total(&sum);
}

/* (x - centre) * factor * gamma + beta */
static void scale(const struct nsp_run *run, uint8_t *out, const uint8_t *x, float centre,
		  float factor)
{
	const struct qeff_nsp_op *op = run->op;
	uint32_t width = op->u.norm.width;
	const float *gamma =
		op->in[1].at == QEFF_NSP_NONE ? NULL : (const float *)nsp_in(run, &op->in[1], 0);
	const float *beta =
		op->in[2].at == QEFF_NSP_NONE ? NULL : (const float *)nsp_in(run, &op->in[2], 0);

	for (uint32_t c = 0; c < width; c += COLUMNS) {
		uint32_t count = width - c < COLUMNS ? width - c : COLUMNS;
		float buffer[COLUMNS], values[COLUMNS];
		const float *at = vf_widen(buffer, x + (size_t)c * nsp_type_bytes(op->in[0].type),
					   op->in[0].type, count);

		for (uint32_t i = 0; i < count; i++)
			values[i] = (at[i] - centre) * factor;
		for (uint32_t i = 0; gamma && i < count; i++)
			values[i] *= gamma[c + i];
		for (uint32_t i = 0; beta && i < count; i++)
			values[i] += beta[c + i];
		vf_narrow(out + (size_t)c * nsp_type_bytes(op->out.type), op->out.type, values,
			  count);
	}
}

static float inverse_root(float value)
{
	return 1.0f / vf_first(vf_sqrt(vf_set(value)));
}

void NSP_NAME(norm)(const struct nsp_run *run)
{
	const struct qeff_nsp_norm_params *p = &run->op->u.norm;
	uint32_t type = run->op->in[0].type, width = p->width;
	uint64_t in_bytes = (uint64_t)width * nsp_type_bytes(type);
	uint64_t out_bytes = (uint64_t)width * nsp_type_bytes(run->op->out.type);

	for (uint32_t row = run->first; row < run->end; row++)
		for (uint32_t g = 0; g < p->groups; g++) {
			const uint8_t *x = nsp_in(run, &run->op->in[0], row) + g * in_bytes;
			uint8_t *out = nsp_out(run, row) + g * out_bytes;
			float mean = 0, factor, sum;

			if (p->kind == QEFF_NSP_NORM_LAYER)
				mean = sum_of(x, type, width, 0, 1) / (float)width;
			sum = sum_of(x, type, width, mean, 2);
			if (p->kind == QEFF_NSP_NORM_L2) {
				float length = vf_first(vf_sqrt(vf_set(sum)));

				factor = 1.0f / (length < p->epsilon ? p->epsilon : length);
			} else {
				factor = inverse_root(sum / (float)width + p->epsilon);
			}
			scale(run, out, x, mean, factor);
		}
	run->counters->bytes +=
		(uint64_t)(run->end - run->first) * p->groups * (in_bytes + out_bytes);
}
