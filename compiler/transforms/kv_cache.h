/* SPDX-License-Identifier: MIT */
/* What the transforms that give a decoder its KV cache do in common. */
#ifndef QEFF_TRANSFORMS_KV_CACHE_H
#define QEFF_TRANSFORMS_KV_CACHE_H

#include "transforms/transforms.h"

/* The inputs that say where in the cache a token belongs; the last two may be absent. */
struct qeff_kv_place {
	struct qeff_value *position_ids;
	struct qeff_value *batch_index;
	struct qeff_value *comp_ctx_lengths;
};

/* Adds those of the inputs but position_ids that the options ask for. */
void qeff_kv_add_inputs(struct qeff_graph *graph, const struct qeff_transform_options *options,
			struct qeff_kv_place *place);
/* Passes @rows, [B,G,S,D], through a cache called past_@what.@layer; returns what is in it
 * afterwards. The graph gives out the new cache, in place of @present if that is an output. */
struct qeff_value *qeff_kv_cached(struct qeff_graph *graph, const char *what, uint32_t layer,
				  struct qeff_value *rows, const struct qeff_kv_place *place,
				  struct qeff_value *present);
/* The head computes "logits" for each sequence's last token only. */
void qeff_kv_last_logits(struct qeff_graph *graph, struct qeff_value *position_ids);

#endif
