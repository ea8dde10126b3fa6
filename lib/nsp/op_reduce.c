/* SPDX-License-Identifier: MIT */
/* REDUCE: one row for each batch entry, from the rows of its live tokens in ascending order. */
#include "nsp/kernels.h"

#include "nsp/vec.h"

#include <string.h>

#define COLUMNS 256

static const float *load(const struct nsp_run *run, float *to, uint32_t token, uint32_t column,
			 uint32_t count)
{
	const struct qeff_nsp_operand *in = &run->op->in[0];

	return vf_widen(to, nsp_in(run, in, token) + (size_t)column * nsp_type_bytes(in->type),
			in->type, count);
}

static void reduce(const struct nsp_run *run, const struct nsp_segment *segment, uint32_t column,
		   uint32_t count, float *result)
{
	unsigned int kind = run->op->u.reduce.kind;
	uint32_t last = segment->first + segment->count - 1;
	uint32_t token = kind == QEFF_NSP_REDUCE_LAST ? last : segment->first;
	float buffer[COLUMNS];

	memcpy(result, load(run, buffer, token, column, count), count * sizeof(float));
	if (kind == QEFF_NSP_REDUCE_FIRST || kind == QEFF_NSP_REDUCE_LAST)
		return;
	while (token++ < last) {
		const float *x = load(run, buffer, token, column, count);

		for (uint32_t i = 0; i < count; i++)
			if (kind == QEFF_NSP_REDUCE_MAX)
				result[i] = x[i] > result[i] || x[i] != x[i] ? x[i] : result[i];
			else
				result[i] += x[i];
	}
	for (uint32_t i = 0; kind == QEFF_NSP_REDUCE_MEAN && i < count; i++)
		result[i] /= (float)segment->count;
}

void NSP_NAME(reduce)(const struct nsp_run *run)
{
	const struct qeff_nsp_op *op = run->op;
	uint32_t width = op->u.reduce.width, size = nsp_type_bytes(op->out.type);
	unsigned int kind = op->u.reduce.kind;

	for (uint32_t row = run->first; row < run->end; row++) {
		const struct nsp_segment *segment = &run->instance->segment[row];
		uint64_t tokens = kind == QEFF_NSP_REDUCE_FIRST || kind == QEFF_NSP_REDUCE_LAST
					  ? 1
					  : segment->count;

		for (uint32_t c = 0; c < width; c += COLUMNS) {
			uint32_t count = width - c < COLUMNS ? width - c : COLUMNS;
			float result[COLUMNS];

			reduce(run, segment, c, count, result);
			vf_narrow(nsp_out(run, row) + (size_t)c * size, op->out.type, result,
				  count);
		}
		run->counters->bytes += width * (tokens * nsp_type_bytes(op->in[0].type) + size);
	}
}
