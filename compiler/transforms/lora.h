/* SPDX-License-Identifier: MIT */
/* What the two ways of using a LoRA adapter share: merged into the weights, or beside them. */
#ifndef QEFF_TRANSFORMS_LORA_H
#define QEFF_TRANSFORMS_LORA_H

#include "transforms/transforms.h"

#define QEFF_LORA_NAME 300 /* bytes of the names that are made here */

/* Number @i of @data as stored. */
float qeff_lora_load(const void *data, enum qeff_graph_type type, uint64_t i);
/* -EINVAL: "the adapter changes MODULE, " and @why that cannot be. */
int qeff_lora_refuse(const struct qeff_adapter_pair *pair, const char *why, struct qeff_error *err);
/* The weight that @pair is for; -EINVAL if the graph has none, or one of another shape. */
int qeff_lora_weight(struct qeff_graph *graph, const struct qeff_adapter_pair *pair,
		     struct qeff_value **weight, struct qeff_error *err);

#endif
