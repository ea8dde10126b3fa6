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
};

static struct wish wish_of(const struct nsp_run *run, uint32_t entry)
{
	const struct qeff_nsp_op *op = run->op;
	uint32_t chosen = op->u.sample.chosen;
	struct wish wish = {
		.temperature = ((const float *)nsp_at(run, op->in[1].at))[entry],
		.top_p = ((const float *)nsp_at(run, op->in[3].at))[entry],
		.min_p = ((const float *)nsp_at(run, op->u.sample.min_ps))[entry],
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

/* Candidates, one after the other from the last one on: their shares, and which of them stay. */
struct lottery {
	const struct wish *wish;
	const float *numbers; /* in order, as many as @wish.top_k */
	float largest, total;
	float behind; /* the shares so far */
};

static struct lottery lottery_of(const struct wish *wish, const float *numbers)
{
	struct lottery l = { wish, numbers, numbers[0] / wish->temperature, 0, 0 };

	for (uint32_t i = wish->top_k; i--;) {
		float x = exp_of(numbers[i] / wish->temperature - l.largest);

		l.total += x == x ? x : 0;
	}
	return l;
}

/* Whether candidate @i, one before that of the last call, stays. */
static bool stays(struct lottery *l, uint32_t i)
{
	float share = exp_of(l->numbers[i] / l->wish->temperature - l->largest) / l->total;

	l->behind += share == share ? share : 0;
	return !i || !(l->behind <= 1 - l->wish->top_p || share < l->wish->min_p * (1 / l->total));
}

/* The number of the candidate that is drawn. @random: for each candidate, from the last one on. */
static uint32_t draw(const struct wish *wish, const float *numbers, uint32_t chosen,
		     const float *random)
{
	struct lottery l = lottery_of(wish, numbers);
	uint32_t taken = 0;
	float most = 0;
	bool any = false;

	for (uint32_t i = wish->top_k; i--;) {
		float drawn =
			numbers[i] / wish->temperature - log_of(-log_of(random[chosen - 1 - i]));

		if (stays(&l, i) && drawn == drawn && (!any || drawn > most)) {
			most = drawn;
			taken = i;
			any = true;
		}
	}
	return taken;
}

/* How likely each of @width columns is drawn. @columns: of the candidates. */
static void probabilities(struct wish wish, const float *numbers, const float *columns, float *out,
			  uint32_t width)
{
	struct lottery l;
	float total = 0;

	if (wish.temperature == 0)
		wish.temperature = 1;
	l = lottery_of(&wish, numbers);
	for (uint32_t c = 0; c < width; c++)
		out[c] = 0;
	for (int divide = 0; divide < 2; divide++) {
		l.behind = 0;
		for (uint32_t i = wish.top_k; i--;) {
			float x = exp_of(numbers[i] / wish.temperature - l.largest);
			float column = columns[i];

			/* what BEST did not find has no column of its own */
			if (!stays(&l, i) || x != x || !(column >= 0 && column < (float)width))
				continue;
			if (divide)
				out[(uint32_t)column] = x / total;
			else
				total += x;
		}
	}
}

void NSP_NAME(sample)(const struct nsp_run *run)
{
	const struct qeff_nsp_sample_params *p = &run->op->u.sample;
	bool wishes = run->op->in[1].at != QEFF_NSP_NONE;

	for (uint32_t row = run->first; row < run->end; row++) {
		const float *numbers = (const float *)nsp_in(run, &run->op->in[0], row);
		uint32_t entry = run->instance->segment[row].source, taken = 0;
		struct wish wish = { 0 };

		if (wishes)
			wish = wish_of(run, entry);
		if (p->width) {
			probabilities(wish, numbers, numbers + p->chosen,
				      (float *)nsp_out(run, row), p->width);
			continue;
		}
		if (wish.temperature != 0)
			taken = draw(&wish, numbers, p->chosen,
				     (const float *)nsp_at(run, p->random_numbers) +
					     (uint64_t)entry * p->chosen);
		*(float *)nsp_out(run, row) = numbers[p->chosen + taken];
	}
	run->counters->bytes += (uint64_t)(run->end - run->first) *
				(8ull * p->chosen + 4ull * (p->width ? p->width : 1) +
				 (wishes ? 16ull + (p->width ? 0 : 4ull * p->chosen) : 0));
}
