/* SPDX-License-Identifier: MIT */
/*
 * LoRA: a low-rank adapter becomes part of the weights that it changes: W + scale B A, summed in
 * fp32 and kept as such. The graph stays as it is.
 */
#include "transforms/lora.h"

#include "nsp/half.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

float qeff_lora_load(const void *data, enum qeff_graph_type type, uint64_t i)
{
	uint16_t half;
	float full;

	if (type == QEFF_GRAPH_F32) {
		memcpy(&full, (const uint8_t *)data + i * 4, 4);
		return full;
	}
	memcpy(&half, (const uint8_t *)data + i * 2, 2);
	return type == QEFF_GRAPH_F16 ? qeff_f16_to_f32(half) : qeff_bf16_to_f32(half);
}

int qeff_lora_refuse(const struct qeff_adapter_pair *pair, const char *why, struct qeff_error *err)
{
	return qeff_error_set(err, -EINVAL, "the adapter changes \"%.128s\", %s", pair->module,
			      why);
}

int qeff_lora_weight(struct qeff_graph *graph, const struct qeff_adapter_pair *pair,
		     struct qeff_value **weight, struct qeff_error *err)
{
	struct qeff_value *w;
	char name[QEFF_LORA_NAME];

	if (snprintf(name, sizeof(name), "%s.weight", pair->module) >= (int)sizeof(name) - 8)
		return qeff_lora_refuse(pair, "which is too long a name", err);
	w = qeff_graph_find(graph, name);
	if (!w || !w->is_initialiser)
		return qeff_lora_refuse(pair, "which is no module with a weight in this model",
					err);
	if (w->type != QEFF_GRAPH_F32 || w->shape.rank != 2 ||
	    w->shape.dims[0].size != pair->b->dims[0] || w->shape.dims[1].size != pair->a->dims[1])
		return qeff_lora_refuse(pair, "whose weight has another shape", err);
	*weight = w;
	return 0;
}

/* One row of the sum. */
static void merge_row(const struct qeff_adapter_pair *pair, const float *a, uint64_t row,
		      uint64_t inputs, float *to)
{
	uint64_t rank = (uint64_t)pair->a->dims[0];

	for (uint64_t r = 0; r < rank; r++) {
		float b =
			pair->scale * qeff_lora_load(pair->b->data, pair->b->type, row * rank + r);

		for (uint64_t k = 0; k < inputs; k++)
			to[k] += b * a[r * inputs + k];
	}
}

static int merge(struct qeff_graph *graph, const struct qeff_adapter_pair *pair,
		 struct qeff_error *err)
{
	uint64_t outputs = (uint64_t)pair->b->dims[0], inputs = (uint64_t)pair->a->dims[1];
	uint64_t rank = (uint64_t)pair->a->dims[0];
	struct qeff_value *weight, *merged;
	char name[QEFF_LORA_NAME];
	float *to, *a;
	void *data;
	int ret = qeff_lora_weight(graph, pair, &weight, err);

	if (ret)
		return ret;
	snprintf(name, sizeof(name), "%s/merged", weight->name);
	merged =
		qeff_graph_constant(graph, name, QEFF_GRAPH_F32, 2,
				    (const int64_t[]){ pair->b->dims[0], pair->a->dims[1] }, &data);
	if (!merged)
		return qeff_graph_status(graph, err);
	a = malloc(rank * inputs * sizeof(*a));
	if (!a)
		return qeff_error_set(err, -ENOMEM, "out of memory while merging an adapter");
	to = data;
	for (uint64_t i = 0; i < rank * inputs; i++)
		a[i] = qeff_lora_load(pair->a->data, pair->a->type, i);
	for (uint64_t i = 0; i < outputs * inputs; i++)
		to[i] = qeff_lora_load(weight->data, weight->stored_type, i);
	for (uint64_t row = 0; row < outputs; row++)
		merge_row(pair, a, row, inputs, to + row * inputs);
	free(a);
	qeff_graph_replace_uses(graph, weight, merged);
	return 0;
}

int qeff_transform_lora(struct qeff_graph *graph, const struct qeff_transform_options *options,
			uint32_t *changes, struct qeff_error *err)
{
	int ret = 0;

	for (size_t i = 0; !ret && i < options->num_adapter_pairs; i++)
		ret = merge(graph, &options->adapter_pairs[i], err);
	if (changes)
		*changes = (uint32_t)options->num_adapter_pairs;
	return ret ? ret : qeff_graph_finish(graph, err);
}
