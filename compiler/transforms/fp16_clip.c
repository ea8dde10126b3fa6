/* SPDX-License-Identifier: MIT */
/*
 * FP16Clip: initialisers with numbers beyond the range of f16 (a mask of -3.4e38, say) get copies
 * in which they are the largest f16, so that storing them as f16 makes no infinities. NaNs stay.
 *
 * Only nodes that may become f16 count: what nodes kept in fp32 read alone is left as it is.
 */
#include "transforms/transforms.h"

#include "nsp/mx.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LARGEST_F16 65504.0f

static bool is_half(const struct qeff_value *value)
{
	return value->stored_type == QEFF_GRAPH_F16 || value->stored_type == QEFF_GRAPH_BF16;
}

static float load(const struct qeff_value *value, uint64_t i)
{
	const uint8_t *at = (const uint8_t *)value->data + i * (is_half(value) ? 2 : 4);
	uint32_t bits = 0;

	memcpy(&bits, at, is_half(value) ? 2 : 4);
	if (value->stored_type == QEFF_GRAPH_F16)
		return qeff_f16_to_f32((uint16_t)bits);
	if (value->stored_type == QEFF_GRAPH_BF16)
		return qeff_bf16_to_f32((uint16_t)bits);
	return qeff_f32_of_bits(bits);
}

/* Reads every number once, in loops that compilers turn into vectors. */
static bool exceeds(const struct qeff_value *value, uint64_t count)
{
	const uint16_t *half = value->data;
	const uint32_t *full = value->data;
	uint32_t found = 0;

	if (value->stored_type == QEFF_GRAPH_F16) {
		for (uint64_t i = 0; i < count; i++)
			found |= (half[i] & 0x7fff) == 0x7c00;
		return found;
	}
	if (value->stored_type == QEFF_GRAPH_BF16) {
		/* 0x477f is 65280, the next one 65536. */
		for (uint64_t i = 0; i < count; i++)
			found |= (half[i] & 0x7fff) > 0x477f && (half[i] & 0x7fff) <= 0x7f80;
		return found;
	}
	for (uint64_t i = 0; i < count; i++) {
		uint32_t magnitude = full[i] & 0x7fffffff;

		found |= magnitude > 0x477fe000 && magnitude <= 0x7f800000;
	}
	return found;
}

/* Read by fp32 nodes only, as it is or through the Transpose of a weight. */
static bool kept(const struct qeff_value *value)
{
	for (uint32_t i = 0; i < value->num_users; i++) {
		const struct qeff_node *user = value->users[i];
		bool exact = user->fp32;

		if (!exact && qeff_node_is(user, "Transpose")) {
			exact = user->outputs[0]->num_users;
			for (uint32_t j = 0; j < user->outputs[0]->num_users; j++)
				exact &= user->outputs[0]->users[j]->fp32;
		}
		if (!exact)
			return false;
	}
	return value->num_users;
}

static void clip(struct qeff_graph *graph, struct qeff_value *value, uint64_t count)
{
	int64_t dims[QEFF_GRAPH_MAX_RANK];
	struct qeff_value *copy;
	char name[300];
	void *data;
	float *to;

	for (uint32_t i = 0; i < value->shape.rank; i++)
		dims[i] = value->shape.dims[i].size;
	snprintf(name, sizeof(name), "%.280s/clipped", value->name);
	copy = qeff_graph_constant(graph, name, QEFF_GRAPH_F32, value->shape.rank, dims, &data);
	if (!copy)
		return;
	to = data;
	for (uint64_t i = 0; i < count; i++) {
		float x = load(value, i);

		if (x > LARGEST_F16)
			x = LARGEST_F16;
		to[i] = x < -LARGEST_F16 ? -LARGEST_F16 : x;
	}
	qeff_graph_replace_uses(graph, value, copy);
}

/* Whether blocks of MXFP4 hold numbers that f16 does not: 6 times 2^13 is within, 4 times 2^14 is
 * beyond. */
static bool blocks_exceed(const struct qeff_node *node)
{
	const uint8_t *blocks = node->inputs[0]->data, *scales = node->inputs[1]->data;
	uint64_t count;

	if (!blocks || !scales || !qeff_graph_shape_elements(&node->inputs[1]->shape, &count))
		return false;
	for (uint64_t i = 0; i < count; i++) {
		int exponent = scales[i] - 127, largest = 0;

		if (exponent < 14 || scales[i] == NSP_E8M0_NAN)
			continue;
		for (int j = 0; j < NSP_MX_BLOCK; j++) {
			uint8_t pair = blocks[i * NSP_MXFP4_BLOCK_BYTES + (uint64_t)j / 2];
			int halves = abs(qeff_e2m1_halves(j % 2 ? pair >> 4 : pair));

			largest = halves > largest ? halves : largest;
		}
		if (ldexp(largest, exponent - 1) > (double)LARGEST_F16)
			return true;
	}
	return false;
}

int qeff_transform_fp16_clip(struct qeff_graph *graph, const struct qeff_transform_options *options,
			     uint32_t *changes, struct qeff_error *err)
{
	uint32_t clipped = 0, values = graph->num_values;
	uint64_t count;

	for (uint32_t i = 0; i < values; i++) {
		struct qeff_value *value = graph->values[i];

		if (!value->is_initialiser || value->type != QEFF_GRAPH_F32 ||
		    (!is_half(value) && value->stored_type != QEFF_GRAPH_F32) ||
		    !qeff_graph_shape_elements(&value->shape, &count) || kept(value) ||
		    !exceeds(value, count))
			continue;
		clip(graph, value, count);
		clipped++;
	}
	for (uint32_t i = 0; i < graph->num_nodes; i++)
		if (qeff_node_is(graph->nodes[i], "qeff.DequantizeMXFP4") &&
		    blocks_exceed(graph->nodes[i]))
			return qeff_error_set(
				err, -ENOTSUP,
				"\"%s\" is MXFP4 with numbers beyond f16's 65504, which "
				"are not clipped (other precisions hold them)",
				graph->nodes[i]->name);
	if (changes)
		*changes = clipped;
	return qeff_graph_finish(graph, err);
}
