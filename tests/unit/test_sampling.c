/* SPDX-License-Identifier: MIT */
/*
 * Sampling: the generator against the numbers of its authors, the greedy choice, and draws against
 * a plain account of which tokens may be drawn and how often.
 */
#include "unit.h"

#include "text/sampling.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#define COUNT 200

static struct qeff_candidate candidates[COUNT];

static void test_random(void)
{
	/* xoshiro256** from the state 1, 2, 3, 4 gives 11520, 0, 1509978240, 1215971899390074240,
	 * ... */
	struct qeff_random random = { { 1, 2, 3, 4 } };

	CU_ASSERT_EQUAL(qeff_random_unit(&random), (11520 >> 11) * 0x1p-53);
	CU_ASSERT_EQUAL(qeff_random_unit(&random), 0);
	CU_ASSERT_EQUAL(qeff_random_unit(&random), (1509978240 >> 11) * 0x1p-53);
	CU_ASSERT_EQUAL(qeff_random_unit(&random), (double)(1215971899390074240u >> 11) * 0x1p-53);

	/* splitmix64 from 0 gives these, by which a seed becomes a state */
	qeff_random_seed(&random, 0);
	CU_ASSERT_EQUAL(random.state[0], 0xe220a8397b1dcdaf);
	CU_ASSERT_EQUAL(random.state[1], 0x6e789e6aa1b965f4);
	CU_ASSERT_EQUAL(random.state[2], 0x06c45d188009454f);
	CU_ASSERT_EQUAL(random.state[3], 0xf88bb8a8724c81ec);
}

static void test_greedy(void)
{
	const float ties[] = { 1, 3, 2, 3, 3 }, nans[] = { NAN, -INFINITY, -5, NAN };
	const float low[] = { -INFINITY, -INFINITY };

	CU_ASSERT_EQUAL(qeff_sample_greedy(ties, 5), 1);
	CU_ASSERT_EQUAL(qeff_sample_greedy(nans, 4), 2);
	CU_ASSERT_EQUAL(qeff_sample_greedy(low, 2), 0);
	CU_ASSERT_EQUAL(qeff_sample_greedy(ties, 1), 0);
}

/* Logits with many ties, in no order. */
static void make_logits(float *logits, uint64_t seed)
{
	struct qeff_random random;

	qeff_random_seed(&random, seed);
	for (size_t i = 0; i < COUNT; i++)
		logits[i] = (float)(floor(qeff_random_unit(&random) * 40) / 8);
}

/*
 * What may be drawn, and how likely each is: likeliest first, ties by the lower id, cut at top-k,
 * then at the first place where the probabilities among the rest reach top-p, then at the first
 * that is less than min-p times as likely as the likeliest.
 */
static void expected_odds(const float *logits, const struct qeff_draw *draw, double *odds)
{
	double temperature = (double)draw->temperature, top_p = (double)draw->top_p;
	double most;
	bool taken[COUNT] = { false };
	size_t order[COUNT], kept = COUNT;
	double total = 0, sum = 0;

	for (size_t place = 0; place < COUNT; place++) {
		size_t best = COUNT;

		for (size_t i = 0; i < COUNT; i++)
			if (!taken[i] && (best == COUNT || logits[i] > logits[best]))
				best = i;
		taken[best] = true;
		order[place] = best;
	}
	if (draw->top_k && draw->top_k < kept)
		kept = draw->top_k;
	for (size_t i = 0; i < kept; i++)
		total += exp((double)logits[order[i]] / temperature);
	for (size_t i = 0; top_p > 0 && top_p < 1 && i < kept; i++) {
		sum += exp((double)logits[order[i]] / temperature);
		if (sum >= top_p * total)
			kept = i + 1;
	}
	most = exp((double)logits[order[0]] / temperature);
	while (exp((double)logits[order[kept - 1]] / temperature) < (double)draw->min_p * most)
		kept--;
	total = 0;
	for (size_t i = 0; i < kept; i++)
		total += exp((double)logits[order[i]] / temperature);
	memset(odds, 0, COUNT * sizeof(*odds));
	for (size_t i = 0; i < kept; i++)
		odds[order[i]] = exp((double)logits[order[i]] / temperature) / total;
}

static uint32_t sample(const float *logits, uint32_t count, float temperature, uint32_t top_k,
		       float top_p, struct qeff_random *random)
{
	const struct qeff_draw draw = { .temperature = temperature,
					.top_k = top_k,
					.top_p = top_p };

	return qeff_sample(logits, count, candidates, &draw, random);
}

static void check_draws(uint64_t seed, float temperature, uint32_t top_k, float top_p, float min_p)
{
	const struct qeff_draw draw = {
		.temperature = temperature, .top_k = top_k, .top_p = top_p, .min_p = min_p
	};
	enum { DRAWS = 20000 };
	static float logits[COUNT];
	static double odds[COUNT];
	unsigned int seen[COUNT] = { 0 };
	struct qeff_random random;

	make_logits(logits, seed);
	expected_odds(logits, &draw, odds);
	qeff_random_seed(&random, seed);
	for (int i = 0; i < DRAWS; i++) {
		uint32_t id = qeff_sample(logits, COUNT, candidates, &draw, &random);

		CU_ASSERT_FATAL(id < COUNT);
		seen[id]++;
	}
	for (size_t i = 0; i < COUNT; i++) {
		double mean = DRAWS * odds[i], deviation = sqrt(mean * (1 - odds[i]));

		if (odds[i] == 0)
			CU_ASSERT_EQUAL(seen[i], 0);
		/* the seeds are fixed: five and a half deviations are far from any of these draws
		 */
		CU_ASSERT(fabs(seen[i] - mean) <= 5.5 * deviation + 1);
	}
}

static void test_draws(void)
{
	check_draws(1, 1, 0, 0, 0);
	check_draws(2, 0.7f, 0, 1, 0);
	check_draws(3, 2, 10, 0, 0);
	check_draws(4, 1, 0, 0.5f, 0);
	check_draws(5, 1, 25, 0.8f, 0);
	check_draws(6, 0.5f, 3, 0.99f, 0);
	check_draws(7, 1.5f, COUNT, 0.9f, 0);
	check_draws(8, 1, 1000, 0.001f, 0);
	check_draws(9, 30, 0, 0.95f, 0);
	check_draws(10, 1, 1, 0, 0);
	check_draws(11, 1, 0, 0, 0.1f);
	check_draws(12, 2, 20, 0.9f, 0.3f);
	check_draws(13, 1, 0, 1, 1);
}

static void test_edges(void)
{
	const float some[] = { NAN, 2, NAN, 2, -INFINITY }, none[] = { NAN, NAN };
	const float infinite[] = { 0, INFINITY, INFINITY }, gap[] = { 1e30f, -1e30f, 1e30f };
	struct qeff_random random;
	bool first = false, second = false;

	qeff_random_seed(&random, 11);
	for (int i = 0; i < 200; i++) {
		uint32_t id = sample(some, 5, 1, 0, 0, &random);

		CU_ASSERT(id == 1 || id == 3);
		first |= id == 1;
		second |= id == 3;
		CU_ASSERT_EQUAL(sample(some, 5, 1, 1, 0, &random), 1);
		/* a cold draw is the greedy choice, even where the quotient overflows */
		CU_ASSERT_EQUAL(sample(some, 2, 1e-45f, 0, 0, &random), 1);
		CU_ASSERT_EQUAL(sample(infinite, 3, 1, 0, 0.9f, &random), 1);
		CU_ASSERT(sample(gap, 3, 1, 0, 0, &random) != 1);
	}
	CU_ASSERT(first && second);
	CU_ASSERT_EQUAL(sample(none, 2, 1, 0, 0, &random), 0);
}

/* The same seed draws the same, whatever was drawn before; another seed does not. */
static void test_seeds(void)
{
	static float logits[COUNT];
	uint32_t ids[3][50];
	unsigned int same = 0;

	make_logits(logits, 1);
	for (int run = 0; run < 3; run++) {
		struct qeff_random random;

		qeff_random_seed(&random, run == 2 ? 6 : 5);
		for (int i = 0; i < 50; i++)
			ids[run][i] = sample(logits, COUNT, 1, 40, 0.9f, &random);
	}
	CU_ASSERT(!memcmp(ids[0], ids[1], sizeof(ids[0])));
	for (int i = 0; i < 50; i++)
		same += ids[0][i] == ids[2][i];
	CU_ASSERT(same < 25);
}

/* Worked out by hand: divided if above 0, else multiplied; the output's tokens lose 0.75 more. */
static void test_penalties(void)
{
	const float logits[] = { 3, 3, 3, -2, -2, 0, -INFINITY, NAN };
	const uint8_t seen[] = { 0, 1, 3, 1, 3, 3, 1, 1 };
	const float expected[] = { 3, 2, 1.25f, -3, -3.75f, -0.75f, -INFINITY };
	struct qeff_draw draw = { .repetition = 1.5f, .presence = 0.75f };
	float found[8];

	qeff_penalise(found, logits, seen, 8, &draw);
	CU_ASSERT(!memcmp(found, expected, sizeof(expected)));
	CU_ASSERT(isnan(found[7]));
	CU_ASSERT(qeff_draw_penalises(&draw));
	draw = (struct qeff_draw){ .repetition = 1 };
	CU_ASSERT(!qeff_draw_penalises(&draw));
	qeff_penalise(found, logits, seen, 7, &draw);
	CU_ASSERT(!memcmp(found, logits, 7 * sizeof(*found)));
}

static const struct unit_test tests[] = {
	{ "random numbers", test_random }, { "greedy", test_greedy },
	{ "draws", test_draws },	   { "edges", test_edges },
	{ "seeds", test_seeds },	   { "penalties", test_penalties },
};
QEFF_UNIT_MAIN("sampling", tests)
