/* SPDX-License-Identifier: MIT */
/* Choosing the next token from logits. */
#ifndef QEFF_TEXT_SAMPLING_H
#define QEFF_TEXT_SAMPLING_H

#include <stddef.h>
#include <stdint.h>

/* xoshiro256** (Blackman and Vigna, public domain), seeded through splitmix64: the same draws on
 * every machine. */
struct qeff_random {
	uint64_t state[4];
};
void qeff_random_seed(struct qeff_random *random, uint64_t seed);
/* In [0, 1), a multiple of 2^-53. */
double qeff_random_unit(struct qeff_random *random);

struct qeff_candidate {
	float logit;
	uint32_t id;
};

/* The largest logit; the lowest id among equals. NaNs never win; all NaN gives 0. */
uint32_t qeff_sample_greedy(const float *logits, uint32_t count);

/**
 * qeff_sample - draw a token: temperature, then top-k, then top-p, then the draw
 * @logits: @count of them; unchanged
 * @candidates: room for @count
 * @temperature: above 0
 * @top_k: 0 for all
 * @top_p: outside (0, 1) for all
 */
uint32_t qeff_sample(const float *logits, uint32_t count, struct qeff_candidate *candidates,
		     float temperature, uint32_t top_k, float top_p, struct qeff_random *random);

#endif
