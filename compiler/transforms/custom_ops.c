/* SPDX-License-Identifier: MIT */
/*
 * CustomOps: what models write out in primitives becomes the operator it is: RMSNorm,
 * LayerNormalization, Gelu.
 */
#include "transforms/pattern.h"
#include "transforms/transforms.h"

/* If @value is x / root_mean_square(x), however that is written: x. */
static struct qeff_value *normalised(const struct qeff_value *value, float *epsilon)
{
	const struct qeff_node *node = value->producer;

	if (qeff_node_is(node, "Div"))
		return qeff_pattern_root_mean_square(node->inputs[1], epsilon) == node->inputs[0]
			       ? node->inputs[0]
			       : NULL;
	for (int side = 0; qeff_node_is(node, "Mul") && side < 2; side++) {
		struct qeff_value *x = node->inputs[side], *root = NULL;
		const struct qeff_node *inverse = node->inputs[!side]->producer;
		float one = 0;

		if (qeff_node_is(inverse, "Reciprocal"))
			root = inverse->inputs[0];
		else if (qeff_node_is(inverse, "Div") &&
			 qeff_pattern_scalar(inverse->inputs[0], &one) && one == 1)
			root = inverse->inputs[1];
		if (root && qeff_pattern_root_mean_square(root, epsilon) == x)
			return x;
	}
	return NULL;
}

/* If @node is x / root_mean_square(x) * weight, makes it RMSNorm of x. */
static bool fuse_rms_norm(struct qeff_graph *graph, struct qeff_node *node)
{
	for (int side = 0; side < 2; side++) {
		struct qeff_value *weight = node->inputs[!side], *x;
		struct qeff_attribute attribute;
		float epsilon = 0;

		if (!qeff_pattern_vector(weight))
			continue;
		x = normalised(node->inputs[side], &epsilon);
		if (!x)
			continue;
		attribute = QEFF_FLOAT("epsilon", epsilon);
		qeff_graph_morph(graph, node, "qeff.RMSNorm", 2,
				 (struct qeff_value *[]){ x, weight }, 1, &attribute);
		return true;
	}
	return false;
}

/* If @value is x - mean(x): x. */
static struct qeff_value *centred(const struct qeff_value *value)
{
	const struct qeff_node *node = value->producer;

	if (!qeff_node_is(node, "Sub") || qeff_pattern_row_mean(node->inputs[1]) != node->inputs[0])
		return NULL;
	return node->inputs[0];
}

/* If @node is (x - mean(x)) / deviation(x) * weight + bias, makes it LayerNormalization of x. */
static bool fuse_layer_norm(struct qeff_graph *graph, struct qeff_node *node)
{
	for (int side = 0; side < 2; side++) {
		struct qeff_value *bias = node->inputs[!side], *weight, *x;
		const struct qeff_node *mul = node->inputs[side]->producer;
		float epsilon = 0;

		if (!qeff_pattern_vector(bias) || !qeff_node_is(mul, "Mul"))
			continue;
		weight = mul->inputs[qeff_pattern_vector(mul->inputs[1])];
		if (!qeff_pattern_vector(weight))
			continue;
		x = normalised(mul->inputs[mul->inputs[0] == weight], &epsilon);
		x = x ? centred(x) : NULL;
		if (!x)
			continue;
		qeff_graph_morph(graph, node, "LayerNormalization", 3,
				 (struct qeff_value *[]){ x, weight, bias }, 2,
				 (struct qeff_attribute[]){ QEFF_INT("axis", -1),
							    QEFF_FLOAT("epsilon", epsilon) });
		return true;
	}
	return false;
}

/* The factors of a product of at most three; a number among them is multiplied into @number. */
static uint32_t factors(const struct qeff_value *value, struct qeff_value **found, uint32_t count,
			float *number)
{
	const struct qeff_node *node = value->producer;

	for (int side = 0; side < 2; side++) {
		struct qeff_value *input = node->inputs[side];
		float scalar = 0;

		if (qeff_pattern_scalar(input, &scalar)) {
			*number *= scalar;
		} else if (qeff_node_is(input->producer, "Mul") && count < 3 &&
			   input->producer != node) {
			const struct qeff_node *inner = input->producer;

			/* one level more: x * (y * z) */
			for (int k = 0; k < 2; k++)
				if (qeff_pattern_scalar(inner->inputs[k], &scalar))
					*number *= scalar;
				else if (count < 4)
					found[count++] = inner->inputs[k];
		} else if (count < 4) {
			found[count++] = input;
		}
	}
	return count;
}

/* If @value is x / sqrt(2): x. */
static struct qeff_value *over_root_two(const struct qeff_value *value)
{
	const struct qeff_node *node = value->producer;
	struct qeff_value *x;
	float number = 0;

	if (qeff_node_is(node, "Div") && qeff_pattern_scalar(node->inputs[1], &number))
		return qeff_pattern_near(number, 1.4142135623730951) ? node->inputs[0] : NULL;
	x = qeff_node_is(node, "Mul") ? qeff_pattern_beside(node, &number) : NULL;
	return x && qeff_pattern_near(number, 0.7071067811865476) ? x : NULL;
}

/* Whether @value is x^3. */
static bool is_cube(const struct qeff_value *value, const struct qeff_value *x)
{
	const struct qeff_node *node = value->producer;
	float exponent = 0;

	if (qeff_node_is(node, "Pow"))
		return node->inputs[0] == x && qeff_pattern_scalar(node->inputs[1], &exponent) &&
		       exponent == 3;
	for (int side = 0; qeff_node_is(node, "Mul") && side < 2; side++)
		if (node->inputs[side] == x && qeff_pattern_square(node->inputs[!side]) == x)
			return true;
	return false;
}

/* If @value is sqrt(2 / pi) (x + 0.044715 x^3): x. */
static struct qeff_value *bent(const struct qeff_value *value)
{
	const struct qeff_node *node = value->producer;
	float number = 0;
	const struct qeff_value *sum =
		qeff_node_is(node, "Mul") ? qeff_pattern_beside(node, &number) : NULL;

	if (!sum || !qeff_pattern_near(number, 0.7978845608028654) ||
	    !qeff_node_is(sum->producer, "Add"))
		return NULL;
	for (int side = 0; side < 2; side++) {
		struct qeff_value *x = sum->producer->inputs[side];
		const struct qeff_node *scaled = sum->producer->inputs[!side]->producer;
		const struct qeff_value *cube =
			qeff_node_is(scaled, "Mul") ? qeff_pattern_beside(scaled, &number) : NULL;

		if (cube && qeff_pattern_near(number, 0.044715) && is_cube(cube, x))
			return x;
	}
	return NULL;
}

/* If @node is x / 2 (1 + erf(x / sqrt 2)), or the form with tanh, makes it Gelu of x. */
static bool fuse_gelu(struct qeff_graph *graph, struct qeff_node *node)
{
	struct qeff_value *found[4];
	float number = 1;

	if (factors(node->outputs[0], found, 0, &number) != 2 || number != 0.5f)
		return false;
	for (int side = 0; side < 2; side++) {
		struct qeff_value *x = found[side], *inner = NULL;
		const struct qeff_value *curve = qeff_pattern_with(found[!side], "Add", 1);
		struct qeff_attribute attribute;
		bool tanh;

		if (!curve)
			continue;
		tanh = qeff_node_is(curve->producer, "Tanh");
		if (tanh)
			inner = bent(curve->producer->inputs[0]);
		else if (qeff_node_is(curve->producer, "Erf"))
			inner = over_root_two(curve->producer->inputs[0]);
		if (inner != x)
			continue;
		attribute = QEFF_STRING("approximate", tanh ? "tanh" : "none");
		qeff_graph_morph(graph, node, "Gelu", 1, &x, 1, &attribute);
		return true;
	}
	return false;
}

int qeff_transform_custom_ops(struct qeff_graph *graph,
			      const struct qeff_transform_options *options, uint32_t *changes,
			      struct qeff_error *err)
{
	uint32_t count = 0;
	int rc = 0;

	/* first, as what stands in front of its bias is an RMSNorm of what was centred */
	for (uint32_t i = 0; i < graph->num_nodes; i++)
		if (qeff_node_is(graph->nodes[i], "Add"))
			count += fuse_layer_norm(graph, graph->nodes[i]);
	if (count)
		rc = qeff_graph_finish(graph, err);
	if (rc)
		return rc;
	for (uint32_t i = 0; i < graph->num_nodes; i++)
		if (qeff_node_is(graph->nodes[i], "Mul"))
			count += fuse_rms_norm(graph, graph->nodes[i]) ||
				 fuse_gelu(graph, graph->nodes[i]);
	if (changes)
		*changes = count;
	return qeff_graph_finish(graph, err);
}
