/* SPDX-License-Identifier: MIT */
/*
 * BEST and SAMPLE: the next token, chosen where its logits are. BEST thins out a vocabulary, a part
 * on each NSP; what is left of all parts goes through BEST once more, and SAMPLE draws from that.
 */
#include "nsp/kernels.h"

#include "nsp/nsp_math.h"

static uint32_t edge(const struct qeff_nsp_best_params *p, uint32_t part)
{
	return (uint32_t)((uint64_t)p->width * part / p->parts);
}

/* Puts @x, of column @column, among the @count best, which are in order. */
static void insert(float *numbers, float *columns, uint32_t count, float x, float column)
{
	uint32_t at = count - 1;

	/* NaN stands where there is none yet */
	while (at && !(numbers[at - 1] >= x)) {
		numbers[at] = numbers[at - 1];
		columns[at] = columns[at - 1];
		at--;
	}
	numbers[at] = x;
	columns[at] = column;
}

static void best_of_part(const struct nsp_run *run, uint32_t row, uint32_t part)
{
	const struct qeff_nsp_best_params *p = &run->op->u.best;
	const float *in = (const float *)nsp_in(run, &run->op->in[0], row);
	float *numbers = (float *)nsp_out(run, row) + (uint64_t)part * p->chosen;
	float *columns = numbers + (uint64_t)p->parts * p->chosen;

	for (uint32_t i = 0; i < p->chosen; i++) {
		numbers[i] = __builtin_nanf("");
		columns[i] = 0;
	}
	for (uint32_t c = edge(p, part); c < edge(p, part + 1); c++) {
		float x = in[c];

		if (x == x && !(numbers[p->chosen - 1] >= x))
			insert(numbers, columns, p->chosen, x,
			       p->numbered ? in[p->width + c] : (float)c);
	}
}

void NSP_NAME(best)(const struct nsp_run *run)
{
	const struct qeff_nsp_best_params *p = &run->op->u.best;
	uint64_t columns = edge(p, run->tile->end) - edge(p, run->tile->begin);

	for (uint32_t row = run->first; row < run->end; row++)
		for (uint32_t part = run->tile->begin; part < run->tile->end; part++)
			best_of_part(run, row, part);
	run->counters->bytes += (uint64_t)(run->end - run->first) *
				(columns * 4 * (p->numbered + 1u) +
				 (uint64_t)(run->tile->end - run->tile->begin) * p->chosen * 8);
}

/* What a sequence wants. */
struct wish {
	float temperature, top_p, min_p;
	uint32_t top_k;
	const float *random_numbers;
};

static struct wish wish_of(const struct nsp_run *run, uint32_t entry)
{
	const struct qeff_nsp_op *op = run->op;
	uint32_t chosen = op->u.sample.chosen;
	struct wish wish = {
		.temperature = ((const float *)nsp_at(run, op->in[1].at))[entry],
		.top_p = ((const float *)nsp_at(run, op->in[3].at))[entry],
		.min_p = ((const float *)nsp_at(run, op->u.sample.min_ps))[entry],
		.random_numbers = (const float *)nsp_at(run, op->u.sample.random_numbers) +
				  (uint64_t)entry * chosen,
	};
	int32_t top_k = ((const volatile int32_t *)nsp_at(run, op->in[2].at))[entry];

	wish.top_k = top_k < 1 || (uint32_t)top_k > chosen ? chosen : (uint32_t)top_k;
	return wish;
}

static float exp_of(float x)
{
	return nsp_exp(vf_set(x))[0];
}

static float log_of(float x)
{
	return nsp_log(vf_set(x))[0];
}

/* The number of the candidate that is drawn. @numbers: in order, as many as @wish.top_k. */
static uint32_t draw(const struct qeff_nsp_sample_params *p, const struct wish *wish,
		     const float *numbers)
{
	float largest = numbers[0] / wish->temperature, total = 0, behind = 0, most = 0;
	uint32_t taken = 0;
	bool any = false;

	for (uint32_t i = wish->top_k; i--;) {
		float x = exp_of(numbers[i] / wish->temperature - largest);

		total += x == x ? x : 0;
	}
	for (uint32_t i = wish->top_k; i--;) {
		float x = numbers[i] / wish->temperature, share = exp_of(x - largest) / total;
		float drawn = x - log_of(-log_of(wish->random_numbers[p->chosen - 1 - i]));

		behind += share == share ? share : 0;
		if (i && (behind <= 1 - wish->top_p || share < wish->min_p * (1 / total)))
			continue;
		if (drawn == drawn && (!any || drawn > most)) {
			most = drawn;
			taken = i;
			any = true;
		}
	}
	return taken;
}

void NSP_NAME(sample)(const struct nsp_run *run)
{
	const struct qeff_nsp_sample_params *p = &run->op->u.sample;

	for (uint32_t row = run->first; row < run->end; row++) {
		const float *numbers = (const float *)nsp_in(run, &run->op->in[0], row);
		uint32_t taken = 0;

		if (run->op->in[1].at != QEFF_NSP_NONE) {
			struct wish wish = wish_of(run, run->instance->segment[row].source);

			if (wish.temperature != 0)
				taken = draw(p, &wish, numbers);
		}
		*(float *)nsp_out(run, row) = numbers[p->chosen + taken];
	}
	run->counters->bytes += (uint64_t)(run->end - run->first) *
				(8ull * p->chosen + 4 +
				 (run->op->in[1].at != QEFF_NSP_NONE ? 4ull * p->chosen + 16 : 0));
}
