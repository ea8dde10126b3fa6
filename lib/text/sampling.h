/* SPDX-License-Identifier: MIT */
/* Choosing the next token from logits. */
#ifndef QEFF_TEXT_SAMPLING_H
#define QEFF_TEXT_SAMPLING_H

#include <stdbool.h>
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
 * struct qeff_draw - how tokens are chosen
 * @temperature: 0: the likeliest
 * @top_p: outside (0, 1) for all
 * @min_p: candidates less likely than this share of the likeliest go
 * @top_k: 0 for all
 * @repetition: logits of tokens that the text has are divided by it if above 0, else multiplied
 * @presence: is taken off the logits of tokens that the output has
 */
struct qeff_draw {
	float temperature, top_p, min_p;
	uint32_t top_k;
	float repetition, presence;
};

/* Which tokens a text has, a byte for each. */
#define QEFF_SEEN_TEXT	 1 /* prompt and output */
#define QEFF_SEEN_OUTPUT 2

static inline bool qeff_draw_penalises(const struct qeff_draw *draw)
{
	return draw->repetition != 1 || draw->presence != 0;
}

/* Logits less penalties, bit for bit as a card that does it comes to them. */
void qeff_penalise(float *to, const float *logits, const uint8_t *seen, uint32_t count,
		   const struct qeff_draw *draw);

/**
 * qeff_sample - draw a token: temperature, then top-k, then top-p, then min-p, then the draw
 * @logits: @count of them; unchanged
 * @candidates: room for @count
 * @draw: temperature above 0; penalties are not its business
 */
uint32_t qeff_sample(const float *logits, uint32_t count, struct qeff_candidate *candidates,
		     const struct qeff_draw *draw, struct qeff_random *random);

#endif
