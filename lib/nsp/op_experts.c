/* SPDX-License-Identifier: MIT */
/*
 * ROUTE, EXPERTS, MIX: a feed-forward part of which every row uses a few of many. EXPERTS goes
 * panel by panel, expert by expert, and gives MATMUL one row at a time: what a row costs is what
 * its own experts cost, and a panel is read from memory once for all rows that chose it.
 */
#include "nsp/kernels.h"

#include "nsp/nsp_math.h"
#include "nsp/pack.h"

#include <string.h>

#define COLUMNS 256

static float number_at(const struct nsp_run *run, const struct qeff_nsp_operand *in, uint32_t row,
		       uint32_t column)
{
	float buffer;

	return *vf_widen(&buffer,
			 nsp_in(run, in, row) + (uint64_t)column * nsp_type_bytes(in->type),
			 in->type, 1);
}

static float exp_of(float x)
{
	return nsp_exp(vf_set(x))[0];
}

/* The highest of the scores, or of those below @below, which stands at @after; NaN if there is
 * none. Equal ones count as lower the later they stand. */
static float next_highest(const struct nsp_run *run, uint32_t row, const float *below,
			  uint32_t after, uint32_t *found)
{
	float best = __builtin_nanf("");

	*found = 0;
	for (uint32_t i = 0; i < run->op->u.route.experts; i++) {
		float score = number_at(run, &run->op->in[0], row, i);

		bool lower =
			below ? score < *below || (score == *below && i > after) : score == score;

		if (lower && !(score <= best)) {
			best = score;
			*found = i;
		}
	}
	return best;
}

void NSP_NAME(route)(const struct nsp_run *run)
{
	const struct qeff_nsp_route_params *p = &run->op->u.route;
	float scores[QEFF_NSP_MAX_CHOSEN];
	uint32_t experts[QEFF_NSP_MAX_CHOSEN];

	for (uint32_t row = run->first; row < run->end; row++) {
		float *out = (float *)nsp_out(run, row), total = 0;

		for (uint32_t j = 0; j < p->chosen; j++) {
			scores[j] = next_highest(run, row, j ? &scores[j - 1] : NULL,
						 j ? experts[j - 1] : 0, &experts[j]);
			if (!p->all)
				total += exp_of(scores[j] - scores[0]);
		}
		for (uint32_t i = 0; p->all && i < p->experts; i++)
			total += exp_of(number_at(run, &run->op->in[0], row, i) - scores[0]);
		for (uint32_t j = 0; j < p->chosen; j++) {
			out[j] = (float)experts[j];
			out[p->chosen + j] = exp_of(scores[j] - scores[0]) / total;
		}
	}
	run->counters->bytes += (uint64_t)(run->end - run->first) *
				(p->experts * nsp_type_bytes(run->op->in[0].type) + p->chosen * 8);
}

/* The expert that @row chose as number @j. */
static uint32_t expert_of(const struct nsp_run *run, uint32_t row, uint32_t j)
{
	float number = number_at(run, &run->op->in[3], row, j);

	return number >= 0 && number < (float)run->op->u.experts.experts ? (uint32_t)number : 0;
}

static void offset(struct qeff_nsp_operand *operand, uint64_t column)
{
	if (operand->at != QEFF_NSP_NONE)
		operand->at += column * nsp_type_bytes(operand->type);
}

/* Row @row, as its choice @j, of the panel that begins with the tile's first output. */
static void multiply(const struct nsp_run *run, const struct qeff_nsp_tile *tile, uint32_t row,
		     uint32_t j, uint32_t expert)
{
	const struct qeff_nsp_experts_params *p = &run->op->u.experts;
	struct qeff_nsp_op one = nsp_expert_matmul(run->op);
	struct nsp_run single = *run;

	if (!p->shared)
		offset(&one.in[0], (uint64_t)j * p->matmul.inputs);
	if (one.in[1].at != QEFF_NSP_NONE)
		one.in[1].at += (uint64_t)expert * one.in[1].stride_bytes;
	offset(&one.in[2], (uint64_t)j * p->matmul.outputs);
	offset(&one.out, (uint64_t)j * p->matmul.outputs);
	single.op = &one;
	single.tile = tile;
	single.first = row;
	single.end = row + 1;
	NSP_NAME(matmul)(&single);
}

void NSP_NAME(experts)(const struct nsp_run *run)
{
	const struct qeff_nsp_experts_params *p = &run->op->u.experts;
	uint64_t panel_bytes = qeff_nsp_panel_bytes(p->matmul.weight_type, p->matmul.inputs,
						    p->matmul.scale_group);
	struct qeff_nsp_tile tile = *run->tile;

	for (uint32_t n = run->tile->begin; n < run->tile->end; n += QEFF_NSP_PANEL) {
		tile.begin = n;
		tile.end =
			run->tile->end - n < QEFF_NSP_PANEL ? run->tile->end : n + QEFF_NSP_PANEL;
		for (uint32_t expert = 0; expert < p->experts; expert++, tile.data += panel_bytes)
			for (uint32_t row = run->first; row < run->end; row++)
				for (uint32_t j = 0; j < p->chosen; j++)
					if (expert_of(run, row, j) == expert)
						multiply(run, &tile, row, j, expert);
	}
}

void NSP_NAME(mix)(const struct nsp_run *run)
{
	const struct qeff_nsp_op *op = run->op;
	const struct qeff_nsp_mix_params *p = &op->u.mix;
	uint32_t size = nsp_type_bytes(op->in[0].type), out_size = nsp_type_bytes(op->out.type);
	bool adds = op->in[2].at != QEFF_NSP_NONE;

	for (uint32_t row = run->first; row < run->end; row++)
		for (uint32_t c = 0; c < p->width; c += COLUMNS) {
			uint32_t count = p->width - c < COLUMNS ? p->width - c : COLUMNS;
			float sums[COLUMNS] = { 0 }, buffer[COLUMNS];

			for (uint32_t j = 0; j < p->chosen; j++) {
				float weight = number_at(run, &op->in[1], row, p->chosen + j);
				const float *x =
					vf_widen(buffer,
						 nsp_in(run, &op->in[0], row) +
							 ((uint64_t)j * p->width + c) * size,
						 op->in[0].type, count);

				for (uint32_t i = 0; i < count; i++)
					sums[i] += weight * x[i];
			}
			if (adds) {
				const float *x = vf_widen(
					buffer,
					nsp_in(run, &op->in[2], row) +
						(uint64_t)c * nsp_type_bytes(op->in[2].type),
					op->in[2].type, count);

				for (uint32_t i = 0; i < count; i++)
					sums[i] += x[i];
			}
			vf_narrow(nsp_out(run, row) + (uint64_t)c * out_size, op->out.type, sums,
				  count);
		}
	run->counters->bytes +=
		(uint64_t)(run->end - run->first) *
		((uint64_t)p->width * (p->chosen * size + out_size +
				       (adds ? nsp_type_bytes(op->in[2].type) : 0)) +
		 p->chosen * 4);
}
