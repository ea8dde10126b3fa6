/* SPDX-License-Identifier: MIT */
/*
 * Import: nodes enter the graph. What is made of constants alone is computed at once, but for
 * weights that are only moved about: those stay where they lie, and lowering reads them through
 * such nodes.
 */
#include "onnx/importer.h"

#include "graph/ops.h"
#include "util/checked.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Tensors of so few floats are computed whatever makes them: no weights. */
#define FEW 16

bool import_is_constant(const struct importer *im, const struct qeff_value *value)
{
	return value->is_initialiser ||
	       (value->index < im->constant_capacity && im->constant[value->index]);
}

bool import_number(const struct qeff_value *value, int64_t *number)
{
	uint64_t elements;

	if (!value || !value->is_initialiser || value->type != value->stored_type ||
	    !qeff_graph_shape_elements(&value->shape, &elements) || elements != 1)
		return false;
	switch (value->type) {
	case QEFF_GRAPH_I64:
		*number = *(const int64_t *)value->data;
		return true;
	case QEFF_GRAPH_I32:
		*number = *(const int32_t *)value->data;
		return true;
	case QEFF_GRAPH_BOOL:
		*number = *(const uint8_t *)value->data != 0;
		return true;
	default:
		return false;
	}
}

static bool mark_constant(struct importer *im, const struct qeff_value *value)
{
	uint32_t capacity = im->constant_capacity;
	uint8_t *more;

	if (value->index >= capacity) {
		capacity = (value->index + 1) * 2;
		more = realloc(im->constant, capacity);
		if (!more)
			return false;
		memset(more + im->constant_capacity, 0, capacity - im->constant_capacity);
		im->constant = more;
		im->constant_capacity = capacity;
	}
	im->constant[value->index] = 1;
	return true;
}

static bool is_float(enum qeff_graph_type type)
{
	return type == QEFF_GRAPH_F32 || type == QEFF_GRAPH_F16 || type == QEFF_GRAPH_BF16 ||
	       type == QEFF_GRAPH_F64;
}

/* Moves its inputs' elements about. */
static bool is_move(const struct qeff_node *node)
{
	static const char *const moves[] = { "Transpose", "Slice",   "Reshape", "Squeeze",
					     "Unsqueeze", "Concat",  "Expand",	"Split",
					     "Flatten",	  "Identity" };

	for (size_t i = 0; i < sizeof(moves) / sizeof(moves[0]); i++)
		if (qeff_node_is(node, moves[i]))
			return true;
	return false;
}

/* Has its first input's elements in their order. */
static bool is_renaming(const struct qeff_node *node)
{
	return qeff_node_is(node, "Reshape") || qeff_node_is(node, "Squeeze") ||
	       qeff_node_is(node, "Unsqueeze") || qeff_node_is(node, "Flatten") ||
	       qeff_node_is(node, "Identity");
}

/* Bytes of all outputs; false if one is symbolic. */
static bool output_bytes(const struct qeff_node *node, uint64_t *total)
{
	*total = 0;
	for (uint32_t i = 0; i < node->num_outputs; i++) {
		const struct qeff_value *value = node->outputs[i];
		uint64_t elements;

		/* their product with the bytes of any type fits, and so does the sum of a few */
		if (!qeff_graph_shape_elements(&value->shape, &elements) ||
		    !qeff_add_u64(*total, elements * qeff_graph_type_bytes(value->type), total))
			return false;
	}
	return true;
}

static uint64_t input_bytes(const struct qeff_node *node)
{
	uint64_t total = 0;

	for (uint32_t i = 0; i < node->num_inputs; i++) {
		uint64_t elements = 0;

		if (node->inputs[i] &&
		    qeff_graph_shape_elements(&node->inputs[i]->shape, &elements))
			total += elements / node->num_inputs *
				 qeff_graph_type_bytes(node->inputs[i]->type);
	}
	return total;
}

/* Weights that are moved about stay where they lie. */
static bool stays(const struct qeff_node *node, uint64_t bytes)
{
	if (*node->domain && !strcmp(node->domain, QEFF_GRAPH_DOMAIN))
		return true;
	return is_move(node) && is_float(node->outputs[0]->type) &&
	       bytes > FEW * qeff_graph_type_bytes(node->outputs[0]->type);
}

int import_check_computed(struct importer *im)
{
	uint64_t limit = ONNX_COMPUTED_BYTES + IMPORT_COMPUTED_TIMES * im->model->tensor_bytes;

	if (im->model->constant_bytes <= limit)
		return 0;
	return qeff_error_set(im->err, -EFBIG,
			      "%s: constants that it works out have more than %llu MB",
			      im->model->name, (unsigned long long)(limit >> 20));
}

/* Runs @node, of @bytes of outputs. */
static int compute(struct importer *im, struct qeff_node *node, uint64_t bytes)
{
	uint32_t count = node->num_outputs;
	void **outputs = calloc(2u * count, sizeof(void *));
	const void **known = (const void **)(outputs ? outputs + count : NULL);
	uint64_t room;
	int ret = 0;

	if (!outputs)
		return import_no_memory(im);
	for (uint32_t i = 0; i < count && !ret; i++) {
		const struct qeff_graph_shape *shape = &node->outputs[i]->shape;

		qeff_graph_shape_elements(shape, &room);
		room *= qeff_graph_type_bytes(node->outputs[i]->type);
		outputs[i] = calloc(1, room + 8);
		ret = outputs[i] ? 0 : import_no_memory(im);
	}
	if (!ret && bytes)
		ret = im->options->fold(im->options->user, node, outputs, im->err);
	for (uint32_t i = 0; i < count && !ret; i++) {
		qeff_graph_shape_elements(&node->outputs[i]->shape, &room);
		room *= qeff_graph_type_bytes(node->outputs[i]->type);
		known[i] = onnx_constant(im->model, outputs[i], room);
		ret = known[i] ? 0 : import_no_memory(im);
	}
	if (!ret)
		ret = import_check_computed(im);
	if (!ret)
		qeff_graph_set_constant(im->graph, node, known);
	for (uint32_t i = 0; i < count; i++)
		free(outputs[i]);
	free(outputs);
	return ret;
}

/* What is known of @node's outputs, which is the last node. */
static int settle(struct importer *im, struct qeff_node *node)
{
	const struct qeff_value *first = qeff_node_input(node, 0);
	bool constant = node->num_inputs, bound;
	uint64_t bytes;
	int ret;

	for (uint32_t i = 0; i < node->num_inputs && constant; i++)
		constant = !node->inputs[i] || import_is_constant(im, node->inputs[i]);
	bound = output_bytes(node, &bytes);
	if (bound && !bytes) /* nothing to compute */
		return compute(im, node, 0);
	if (!constant || !bound)
		return 0;
	if (first && first->is_initialiser && first->type == first->stored_type &&
	    is_renaming(node) && !stays(node, bytes)) {
		qeff_graph_set_constant(im->graph, node, &first->data);
		return 0;
	}
	if (im->options->fold && !stays(node, bytes) &&
	    bytes <= ONNX_SMALL_BYTES + 4 * input_bytes(node)) {
		ret = compute(im, node, bytes);
		if (ret != -ENOTSUP)
			return ret;
		if (im->err)
			*im->err = (struct qeff_error){ 0 };
	}
	for (uint32_t i = 0; i < node->num_outputs; i++)
		if (!mark_constant(im, node->outputs[i]))
			return import_no_memory(im);
	return 0;
}

static int append(struct importer *im, const char *op, uint32_t num_outputs,
		  const char *const *names, uint32_t num_inputs, struct qeff_value *const *inputs,
		  uint32_t num_attributes, const struct qeff_attribute *attributes,
		  struct qeff_value **outputs)
{
	struct qeff_node *node = qeff_graph_node_of(im->graph, op, num_outputs, names, num_inputs,
						    inputs, num_attributes, attributes);

	if (!node)
		return qeff_error_prefix(im->err, qeff_graph_status(im->graph, im->err), "%s",
					 im->model->name);
	if (im->graph->num_nodes > ONNX_MAX_NODES)
		return qeff_error_set(im->err, -EFBIG, "%s: more than %u nodes", im->model->name,
				      ONNX_MAX_NODES);
	for (uint32_t i = 0; i < num_outputs; i++)
		outputs[i] = node->outputs[i];
	return settle(im, node);
}

static int check_operator(struct importer *im, const struct import_node *node, char op[192])
{
	if (snprintf(op, 192, "%s%s%s", node->domain, *node->domain ? "." : "", node->op_type) <
		    192 &&
	    qeff_op_find(op))
		return 0;
	return import_refuse(im, node, -ENOTSUP, "there is no such operator here (opset %lld)",
			     (long long)node->opset);
}

int import_append(struct importer *im, struct scope *scope, const struct import_node *node)
{
	uint32_t wanted = node->num_outputs;
	struct qeff_value **outputs;
	const char **names;
	char op[192];
	int ret = check_operator(im, node, op);

	if (ret)
		return ret;
	while (wanted && !*node->outputs[wanted - 1])
		wanted--;
	if (!wanted)
		return 0;
	names = qeff_arena_alloc(&im->scratch, wanted, sizeof(char *));
	outputs = qeff_arena_alloc(&im->scratch, wanted, sizeof(*outputs));
	if (!names || !outputs)
		return import_no_memory(im);
	for (uint32_t i = 0; i < wanted; i++) {
		names[i] = import_value_name(im, scope,
					     *node->outputs[i] ? node->outputs[i] : node->label);
		if (!names[i])
			return import_no_memory(im);
	}
	ret = append(im, op, wanted, names, node->num_inputs, node->inputs, node->num_attributes,
		     node->attributes, outputs);
	for (uint32_t i = 0; i < wanted && !ret; i++)
		if (*node->outputs[i])
			ret = import_bind(im, scope, node->outputs[i], outputs[i]);
	return ret;
}

struct qeff_value *import_helper(struct importer *im, const struct scope *scope, const char *op,
				 const char *hint, uint32_t num_inputs,
				 struct qeff_value *const *inputs, uint32_t num_attributes,
				 const struct qeff_attribute *attributes)
{
	char *hinted = qeff_arena_alloc(&im->scratch, strlen(hint) + 2, 1);
	struct qeff_value *output;
	const char *name;

	if (hinted)
		sprintf(hinted, "%s:", hint); /* no name that a file would give */
	name = hinted ? import_value_name(im, scope, hinted) : NULL;
	if (!name) {
		import_no_memory(im);
		return NULL;
	}
	return append(im, op, 1, &name, num_inputs, inputs, num_attributes, attributes, &output)
		       ? NULL
		       : output;
}

struct qeff_value *import_constant(struct importer *im, const struct scope *scope, const char *hint,
				   const struct qeff_onnx_tensor *tensor)
{
	const char *name = import_value_name(im, scope, hint);
	struct qeff_value *value;

	if (!name) {
		import_no_memory(im);
		return NULL;
	}
	value = qeff_graph_initialiser(im->graph, name, tensor->type, tensor->type, tensor->rank,
				       tensor->dims, tensor->data);
	if (!value)
		qeff_graph_status(im->graph, im->err);
	else if (tensor->nibbles && !onnx_names_add(&im->nibbles, value->name)) {
		import_no_memory(im);
		return NULL;
	}
	return value;
}

struct qeff_value *import_ints(struct importer *im, const struct scope *scope, const char *hint,
			       bool is_list, uint32_t count, const int64_t *numbers)
{
	struct qeff_onnx_tensor tensor = {
		.type = QEFF_GRAPH_I64,
		.rank = is_list,
		.dims = { count },
		.data = onnx_constant(im->model, numbers, count * sizeof(*numbers)),
	};

	if (!tensor.data) {
		import_no_memory(im);
		return NULL;
	}
	return import_constant(im, scope, hint, &tensor);
}
