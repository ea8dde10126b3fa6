/* SPDX-License-Identifier: MIT */
/*
 * Import: If, Loop and Scan. Which way they go and how often must be known: their bodies are put in
 * place of them, once for each turn.
 */
#include "onnx/importer.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

/* A body's inputs get @inputs; its nodes run; @outputs (room for all) are what it makes. */
static int run_body(struct importer *im, struct scope *around, const struct import_node *node,
		    const QeffOnnx__GraphProto *body, uint32_t turn, uint32_t num_inputs,
		    struct qeff_value *const *inputs, struct qeff_value **outputs)
{
	struct scope scope = { .outer = around };
	char prefix[32];
	int ret = 0;

	if (im->depth == ONNX_MAX_DEPTH)
		return import_refuse(im, node, -EFBIG, "more than %d bodies inside each other",
				     ONNX_MAX_DEPTH);
	if (body->n_input != num_inputs)
		return import_refuse(im, node, -EINVAL, "its body has %zu inputs, expected %u",
				     body->n_input, num_inputs);
	/* a turn of an empty body costs, too */
	if (++im->num_nodes > ONNX_MAX_NODES)
		return import_refuse(im, node, -EFBIG, "more than %u nodes", ONNX_MAX_NODES);
	snprintf(prefix, sizeof(prefix), ":%u", turn);
	scope.prefix = qeff_arena_alloc(&im->scratch, strlen(node->label) + sizeof(prefix), 1);
	if (!scope.prefix)
		return import_no_memory(im);
	sprintf((char *)scope.prefix, "%s%s", node->label, prefix);
	scope.prefix = import_value_name(im, around, scope.prefix);
	if (!scope.prefix)
		return import_no_memory(im);
	for (uint32_t i = 0; i < num_inputs && !ret; i++)
		ret = import_bind(im, &scope, onnx_text(body->input[i]->name), inputs[i]);
	if (!ret)
		ret = import_initialisers(im, &scope, body);
	im->depth++;
	if (!ret)
		ret = import_nodes(im, &scope, body->node, body->n_node);
	im->depth--;
	for (size_t i = 0; i < body->n_output && !ret; i++) {
		outputs[i] = import_lookup(&scope, onnx_text(body->output[i]->name));
		if (!outputs[i])
			ret = import_refuse(im, node, -EINVAL,
					    "its body does not make its output \"%s\"",
					    onnx_text(body->output[i]->name));
	}
	onnx_names_free(&scope.names);
	return ret;
}

static const QeffOnnx__GraphProto *body_of(const struct importer *im,
					   const struct import_node *node, const char *name)
{
	const QeffOnnx__AttributeProto *proto = import_proto(node, name);

	return proto ? onnx_subgraph(im->model, proto) : NULL;
}

static int bind_outputs(struct importer *im, struct scope *scope, const struct import_node *node,
			struct qeff_value *const *values)
{
	int ret = 0;

	for (uint32_t i = 0; i < node->num_outputs && !ret; i++)
		if (*node->outputs[i])
			ret = import_bind(im, scope, node->outputs[i], values[i]);
	return ret ? ret : 1;
}

static int run_if(struct importer *im, struct scope *scope, const struct import_node *node)
{
	const QeffOnnx__GraphProto *body;
	struct qeff_value **outputs;
	int64_t condition;
	int ret;

	if (!node->num_inputs || !import_number(node->inputs[0], &condition))
		return import_refuse(im, node, -ENOTSUP,
				     "its condition is not known before the model runs");
	body = body_of(im, node, condition ? "then_branch" : "else_branch");
	if (!body || body->n_output < node->num_outputs)
		return import_refuse(im, node, -EINVAL,
				     "its branch is missing, or makes too little");
	outputs = qeff_arena_alloc(&im->scratch, body->n_output, sizeof(*outputs));
	if (!outputs)
		return import_no_memory(im);
	ret = run_body(im, scope, node, body, (uint32_t)!condition, 0, NULL, outputs);
	return ret ? ret : bind_outputs(im, scope, node, outputs);
}

/* What each turn made becomes one tensor: a new axis @axis, or, of no turn, nothing. */
static int stack(struct importer *im, struct scope *scope, const struct import_node *node,
		 uint32_t turns, struct qeff_value **parts, int64_t axis, bool backwards,
		 struct qeff_value **whole)
{
	const struct qeff_attribute attribute = QEFF_INT("axis", axis);
	struct qeff_value *axes = import_ints(im, scope, "axis", true, 1, &axis);

	if (!turns)
		return import_refuse(im, node, -ENOTSUP, "makes a tensor without elements");
	for (uint32_t i = 0; i < turns && axes; i++) {
		parts[i] = import_helper(im, scope, "Unsqueeze", node->label, 2,
					 (struct qeff_value *[]){ parts[i], axes }, 0, NULL);
		axes = parts[i] ? axes : NULL;
	}
	for (uint32_t i = 0; backwards && axes && i < turns / 2; i++) {
		struct qeff_value *last = parts[turns - 1 - i];

		parts[turns - 1 - i] = parts[i];
		parts[i] = last;
	}
	*whole = axes ? import_helper(im, scope, "Concat", node->label, turns, parts, 1, &attribute)
		      : NULL;
	return *whole ? 0 : im->err->code;
}

/*
 * The turns of Loop and Scan: @state values go round, and after them each turn makes some that are
 * stacked.
 */
struct turns {
	const QeffOnnx__GraphProto *body;
	uint32_t num_state, num_stacked, num_turns, capacity;
	struct qeff_value **state;
	struct qeff_value ***made; /* of each turn */
};

static int keep_turn(struct importer *im, const struct import_node *node, struct turns *t,
		     struct qeff_value **stacked)
{
	struct qeff_value **copy;

	if (t->num_turns == ONNX_MAX_TURNS)
		return import_refuse(im, node, -EFBIG, "has more than %u turns", ONNX_MAX_TURNS);

	if (t->num_turns == t->capacity) {
		uint32_t capacity = t->capacity ? t->capacity * 2 : 16;
		struct qeff_value ***more = qeff_arena_alloc(&im->scratch, capacity, sizeof(*more));

		if (!more)
			return import_no_memory(im);
		if (t->num_turns)
			memcpy(more, t->made, t->num_turns * sizeof(*more));
		t->made = more;
		t->capacity = capacity;
	}
	copy = qeff_arena_alloc(&im->scratch, t->num_stacked + 1u, sizeof(*copy));
	if (!copy)
		return import_no_memory(im);
	if (t->num_stacked)
		memcpy(copy, stacked, t->num_stacked * sizeof(*copy));
	t->made[t->num_turns++] = copy;
	return 0;
}

/* Output @index of those that are stacked. */
static int stack_output(struct importer *im, struct scope *scope, const struct import_node *node,
			const struct turns *t, uint32_t index, int64_t axis, bool backwards,
			struct qeff_value **whole)
{
	struct qeff_value **parts =
		qeff_arena_alloc(&im->scratch, t->num_turns + 1u, sizeof(*parts));

	if (!parts)
		return import_no_memory(im);
	for (uint32_t i = 0; i < t->num_turns; i++)
		parts[i] = t->made[i][index];
	return stack(im, scope, node, t->num_turns, parts, axis, backwards, whole);
}

static int run_loop(struct importer *im, struct scope *scope, const struct import_node *node)
{
	struct turns t = { .body = body_of(im, node, "body") };
	struct qeff_value **inputs, **outputs, **results;
	int64_t trips = INT64_MAX, go = 1;
	uint32_t count;
	int ret = 0;

	if (!t.body || node->num_inputs < 2 || t.body->n_output < node->num_inputs - 1)
		return import_refuse(im, node, -EINVAL, "its body is missing, or makes too little");
	if (node->inputs[0] && !import_number(node->inputs[0], &trips))
		return import_refuse(im, node, -ENOTSUP,
				     "how often it runs is not known before the model does");
	if (node->inputs[1] && !import_number(node->inputs[1], &go))
		return import_refuse(im, node, -ENOTSUP,
				     "whether it runs is not known before the model does");
	t.num_state = node->num_inputs - 2;
	count = (uint32_t)t.body->n_output;
	t.num_stacked = count - 1 - t.num_state;
	if (node->num_outputs > count - 1)
		return import_refuse(im, node, -EINVAL, "has more outputs than its body");
	inputs = qeff_arena_alloc(&im->scratch, node->num_inputs, sizeof(*inputs));
	outputs = qeff_arena_alloc(&im->scratch, count, sizeof(*outputs));
	results = qeff_arena_alloc(&im->scratch, count, sizeof(*results));
	if (!inputs || !outputs || !results)
		return import_no_memory(im);
	memcpy(inputs + 2, node->inputs + 2, t.num_state * sizeof(*inputs));
	while (go && t.num_turns < trips) {
		const int64_t turn = t.num_turns, yes = 1;

		inputs[0] = import_ints(im, scope, "turn", false, 1, &turn);
		inputs[1] = import_constant(
			im, scope, "condition",
			&(struct qeff_onnx_tensor){ .type = QEFF_GRAPH_BOOL,
						    .data = onnx_constant(im->model, &yes, 1) });
		if (!inputs[0] || !inputs[1])
			return im->err->code;
		ret = run_body(im, scope, node, t.body, t.num_turns, node->num_inputs, inputs,
			       outputs);
		if (!ret)
			ret = keep_turn(im, node, &t, outputs + 1 + t.num_state);
		if (ret)
			return ret;
		if (!import_number(outputs[0], &go))
			return import_refuse(
				im, node, -ENOTSUP,
				"how often it runs is not known before the model does");
		memcpy(inputs + 2, outputs + 1, t.num_state * sizeof(*inputs));
	}
	for (uint32_t i = 0; i < node->num_outputs && !ret; i++) {
		if (i < t.num_state)
			results[i] = inputs[2 + i];
		else if (*node->outputs[i])
			ret = stack_output(im, scope, node, &t, i - t.num_state, 0, false,
					   &results[i]);
		if (!ret && *node->outputs[i] && !results[i])
			ret = import_refuse(im, node, -EINVAL, "input %u is missing", i + 2);
	}
	return ret ? ret : bind_outputs(im, scope, node, results);
}

/* Number @index of an attribute that is a list, or 0. */
static int64_t listed(const struct import_node *node, const char *name, uint32_t index)
{
	const struct qeff_attribute *a = import_attribute(node, name);

	return a && a->kind == QEFF_ATTR_INTS && index < a->count ? a->ints[index] : 0;
}

/* Element @index of axis @axis of @value. */
static struct qeff_value *element(struct importer *im, const struct scope *scope,
				  const struct import_node *node, struct qeff_value *value,
				  int64_t axis, int64_t index)
{
	const struct qeff_attribute attribute = QEFF_INT("axis", axis);
	struct qeff_value *at = import_ints(im, scope, "index", false, 1, &index);

	return at ? import_helper(im, scope, "Gather", node->label, 2,
				  (struct qeff_value *[]){ value, at }, 1, &attribute)
		  : NULL;
}

/* The axis of scanned input @index, and how long it is; -1 if it cannot be told. */
static int64_t scanned(const struct import_node *node, uint32_t num_state, uint32_t index,
		       int64_t *axis)
{
	const struct qeff_value *value = node->inputs[num_state + index];

	*axis = listed(node, "scan_input_axes", index);
	if (!value)
		return -1;
	if (*axis < 0)
		*axis += value->shape.rank;
	if (*axis < 0 || *axis >= (int64_t)value->shape.rank || value->shape.dims[*axis].symbol)
		return -1;
	return value->shape.dims[*axis].size;
}

static int run_scan(struct importer *im, struct scope *scope, const struct import_node *node)
{
	struct turns t = { .body = body_of(im, node, "body") };
	int64_t num_scanned = import_int(node, "num_scan_inputs", 0), axis, length = -1;
	struct qeff_value **inputs, **outputs, **results;
	int ret = 0;

	if (!t.body || num_scanned < 1 || num_scanned > node->num_inputs || node->opset < 9)
		return import_refuse(im, node, node->opset < 9 ? -ENOTSUP : -EINVAL,
				     "its form (of opset %lld) is not known here",
				     (long long)node->opset);
	t.num_state = node->num_inputs - (uint32_t)num_scanned;
	if (t.body->n_output < t.num_state || node->num_outputs > t.body->n_output)
		return import_refuse(im, node, -EINVAL, "its body makes too little");
	t.num_stacked = (uint32_t)t.body->n_output - t.num_state;
	for (uint32_t i = 0; i < num_scanned; i++) {
		int64_t size = scanned(node, t.num_state, i, &axis);

		if (size < 0 || (i && size != length))
			return import_refuse(im, node, size < 0 ? -ENODATA : -EINVAL,
					     "what it scans has no size, or not one size");
		length = size;
	}
	inputs = qeff_arena_alloc(&im->scratch, node->num_inputs, sizeof(*inputs));
	outputs = qeff_arena_alloc(&im->scratch, t.body->n_output, sizeof(*outputs));
	results = qeff_arena_alloc(&im->scratch, t.body->n_output, sizeof(*results));
	if (!inputs || !outputs || !results)
		return import_no_memory(im);
	memcpy(inputs, node->inputs, t.num_state * sizeof(*inputs));
	for (int64_t turn = 0; turn < length && !ret; turn++) {
		for (uint32_t i = 0; i < num_scanned; i++) {
			bool backwards = listed(node, "scan_input_directions", i);

			scanned(node, t.num_state, i, &axis);
			inputs[t.num_state + i] =
				element(im, scope, node, node->inputs[t.num_state + i], axis,
					backwards ? length - 1 - turn : turn);
			if (!inputs[t.num_state + i])
				return im->err->code;
		}
		ret = run_body(im, scope, node, t.body, (uint32_t)turn, node->num_inputs, inputs,
			       outputs);
		if (!ret)
			ret = keep_turn(im, node, &t, outputs + t.num_state);
		if (!ret)
			memcpy(inputs, outputs, t.num_state * sizeof(*inputs));
	}
	for (uint32_t i = 0; i < node->num_outputs && !ret; i++) {
		uint32_t at = i - t.num_state;

		if (i < t.num_state)
			results[i] = inputs[i];
		else if (*node->outputs[i])
			ret = stack_output(im, scope, node, &t, at,
					   listed(node, "scan_output_axes", at),
					   listed(node, "scan_output_directions", at), &results[i]);
		if (!ret && *node->outputs[i] && !results[i])
			ret = import_refuse(im, node, -EINVAL, "input %u is missing", i);
	}
	return ret ? ret : bind_outputs(im, scope, node, results);
}

int import_flow(struct importer *im, struct scope *scope, struct import_node *node)
{
	if (*node->domain)
		return 0;
	if (!strcmp(node->op_type, "If"))
		return run_if(im, scope, node);
	if (!strcmp(node->op_type, "Loop"))
		return run_loop(im, scope, node);
	return strcmp(node->op_type, "Scan") ? 0 : run_scan(im, scope, node);
}
