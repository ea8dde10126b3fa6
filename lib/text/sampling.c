/* SPDX-License-Identifier: MIT */
/* Greedy choice, and draws among the likeliest. */
#include "text/sampling.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

void qeff_random_seed(struct qeff_random *random, uint64_t seed)
{
	for (int i = 0; i < 4; i++) {
		uint64_t z = seed += 0x9e3779b97f4a7c15;

		z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
		z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
		random->state[i] = z ^ (z >> 31);
	}
}

static uint64_t rotate(uint64_t x, int k)
{
	return x << k | x >> (64 - k);
}

double qeff_random_unit(struct qeff_random *random)
{
	uint64_t *s = random->state;
	uint64_t result = rotate(s[1] * 5, 7) * 9, t = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = rotate(s[3], 45);
	return (double)(result >> 11) * 0x1p-53;
}

uint32_t qeff_sample_greedy(const float *logits, uint32_t count)
{
	uint32_t best = 0;

	for (uint32_t i = 1; i < count; i++)
		if (logits[i] > logits[best] || (isnan(logits[best]) && !isnan(logits[i])))
			best = i;
	return best;
}

/* Likelier first; among equals the lower id, so that the order is total. */
static int by_logit(const void *left, const void *right)
{
	const struct qeff_candidate *a = left, *b = right;

	if (a->logit != b->logit)
		return a->logit > b->logit ? -1 : 1;
	return a->id < b->id ? -1 : a->id > b->id;
}

/* Brings the @wanted likeliest of @count candidates to the front, in no order. */
static void select_front(struct qeff_candidate *c, size_t count, size_t wanted)
{
	size_t low = 0, high = count;

	while (high - low > 1 && wanted > low && wanted < high) {
		/* the lower middle: the upper part is then never empty */
		struct qeff_candidate pivot = c[low + (high - low - 1) / 2];
		size_t i = low, j = high - 1;

		for (;;) {
			while (by_logit(&c[i], &pivot) < 0)
				i++;
			while (by_logit(&c[j], &pivot) > 0)
				j--;
			if (i >= j)
				break;
			struct qeff_candidate swap = c[i];
			c[i++] = c[j];
			c[j--] = swap;
		}
		/* [low, j] is no less likely than [j + 1, high) */
		if (wanted <= j + 1)
			high = j + 1;
		else
			low = j + 1;
	}
}

/* How many of the likeliest it takes to reach probability @top_p of @total, with those sorted in
 * front. */
static size_t nucleus(struct qeff_candidate *c, size_t count, double largest, double total,
		      float top_p)
{
	for (size_t sorted = 64;; sorted *= 4) {
		double sum = 0;

		if (sorted > count)
			sorted = count;
		select_front(c, count, sorted);
		qsort(c, sorted, sizeof(*c), by_logit);
		for (size_t i = 0; i < sorted; i++) {
			sum += exp(c[i].logit - largest);
			if (sum >= top_p * total)
				return i + 1;
		}
		if (sorted == count)
			return count;
	}
}

void qeff_penalise(float *to, const float *logits, const uint8_t *seen, uint32_t count,
		   const struct qeff_draw *draw)
{
	for (uint32_t i = 0; i < count; i++) {
		float x = logits[i];

		if (seen[i] & QEFF_SEEN_TEXT)
			x = x > 0 ? x / draw->repetition : x * draw->repetition;
		if (seen[i] & QEFF_SEEN_OUTPUT)
			x -= draw->presence;
		to[i] = x;
	}
}

static double sum_of(const struct qeff_candidate *c, size_t count, double largest)
{
	double total = 0;

	for (size_t i = 0; i < count; i++)
		total += exp(c[i].logit - largest);
	return total;
}

/* Those that are @min_p times as likely as the likeliest, in their order. */
static size_t likely_enough(struct qeff_candidate *c, size_t count, double largest, float min_p)
{
	size_t kept = 0;

	for (size_t i = 0; i < count; i++)
		if (exp(c[i].logit - largest) >= min_p || c[i].logit == largest)
			c[kept++] = c[i];
	return kept;
}

uint32_t qeff_sample(const float *logits, uint32_t count, struct qeff_candidate *candidates,
		     const struct qeff_draw *draw, struct qeff_random *random)
{
	size_t kept = 0, top_k = draw->top_k;
	double largest, total, at;

	for (uint32_t i = 0; i < count; i++) {
		float logit = logits[i] / draw->temperature;

		if (!isnan(logit))
			candidates[kept++] = (struct qeff_candidate){ logit, i };
	}
	if (!kept)
		return 0;
	if (top_k && top_k < kept) {
		select_front(candidates, kept, top_k);
		kept = top_k;
	}
	largest = candidates[0].logit;
	for (size_t i = 1; i < kept; i++)
		largest = candidates[i].logit > largest ? candidates[i].logit : largest;
	if (!isfinite(largest))
		return qeff_sample_greedy(logits, count);
	total = sum_of(candidates, kept, largest);
	if (draw->top_p > 0 && draw->top_p < 1) {
		kept = nucleus(candidates, kept, largest, total, draw->top_p);
		total = sum_of(candidates, kept, largest);
	} else if (top_k) {
		/* so that the draw does not depend on how the selection left them */
		qsort(candidates, kept, sizeof(*candidates), by_logit);
	}
	if (draw->min_p > 0) {
		kept = likely_enough(candidates, kept, largest, draw->min_p);
		total = sum_of(candidates, kept, largest);
	}
	at = qeff_random_unit(random) * total;
	for (size_t i = 0; i < kept; i++) {
		at -= exp(candidates[i].logit - largest);
		if (at < 0)
			return candidates[i].id;
	}
	return candidates[kept - 1].id;
}
