/* SPDX-License-Identifier: MIT */
/*
 * ALiBi: in place of positions, scores that fall with the distance of the key, for each head at its
 * own slope. MPT's table has an entry for every distance, the last for a key that is the query.
 * Falcon's scores rise with the key's position instead, which is the same but for rounding: it
 * keeps slopes, positions and their products as bf16, so each key has an entry.
 */
#include "models/decoder.h"

#include "nsp/half.h"

#include <math.h>

#define MAX_ENTRIES (1ull << 26)

/* Slopes of Bloom and Falcon: powers of one base; heads past a power of two lie between them. */
static double falcon_slope(uint32_t head, uint32_t heads)
{
	uint32_t power = 1u << (31 - __builtin_clz(heads));
	double base = pow(2, -pow(2, -(log2(power) - 3)));
	double between = pow(2, -pow(2, -(log2(2.0 * power) - 3)));

	if (head < power)
		return pow(base, head + 1);
	return pow(between, 2 * (head - power) + 1);
}

/* Slopes of MPT: those of the next power of two, every other one first. */
static double mpt_slope(uint32_t head, uint32_t heads)
{
	uint32_t power = 1;

	while (power < heads)
		power *= 2;
	if (power != heads)
		head = head < power / 2 ? 2 * head + 1 : 2 * (head - power / 2);
	return pow(2, -(head + 1.0) * 8 / power);
}

static float rounded(float x)
{
	return qeff_bf16_to_f32(qeff_f32_to_bf16(x));
}

static void fill_falcon(float *row, uint32_t positions, float slope, float scale)
{
	for (uint32_t p = 0; p < positions; p++)
		row[p] = rounded(rounded(slope) * rounded((float)p)) * scale;
}

static void fill_mpt(float *row, uint32_t positions, float slope)
{
	for (uint32_t p = 0; p < positions; p++)
		row[p] = -slope * (float)(positions - 1 - p);
}

struct qeff_value *model_alibi(struct decoder *d)
{
	const struct qeff_model_info *info = d->b->info;
	const int64_t dims[] = { info->heads, info->positions };
	struct qeff_value *table;
	void *data;

	if (model_failed(d->b))
		return NULL;
	if ((uint64_t)info->heads * info->positions > MAX_ENTRIES) {
		qeff_graph_fail(d->b->graph, -ENOTSUP,
				"%s: ALiBi for %u heads and %u positions is too large",
				d->b->config->file, info->heads, info->positions);
		return NULL;
	}
	table = qeff_graph_constant(d->b->graph, "alibi", QEFF_GRAPH_F32, 2, dims, &data);
	for (uint32_t h = 0; table && h < info->heads; h++) {
		float *row = (float *)data + (size_t)h * info->positions;

		if (d->alibi == DECODER_ALIBI_MPT)
			fill_mpt(row, info->positions, (float)mpt_slope(h, info->heads));
		else /* scaled as the scores are */
			fill_falcon(row, info->positions, (float)falcon_slope(h, info->heads),
				    (float)d->scale);
	}
	return table;
}
