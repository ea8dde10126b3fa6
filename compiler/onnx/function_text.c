/* SPDX-License-Identifier: MIT */
/*
 * Reads the bodies of functions.c, which are part of this program: lines "output = Operator(input,
 * input) attribute=value". Malformed text is a mistake of ours that every export, and so every
 * test, would meet.
 */
#include "onnx/functions.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define MAX_NAMES   16 /* attributes, and numbers in one */
#define MAX_OUTPUTS 4

/* Takes the next run of bytes not in @stops; steps over what stands before it. */
static const char *word(const char **text, const char *skip, const char *stops, size_t *length)
{
	const char *start = *text + strspn(*text, skip);

	*length = strcspn(start, stops);
	*text = start + *length;
	return start;
}

static size_t names(struct qeff_arena *arena, const char *text, const char *end,
		    const char *separators, char ***out)
{
	size_t count = 0, length, most = 1;
	char **list;

	for (const char *at = text; at < end; at++)
		most += *at == *separators || *at == ',';
	list = qeff_arena_alloc(arena, most, sizeof(*list));
	*out = list;
	while (list && text < end) {
		const char *start = word(&text, separators, ", )", &length);

		if (!length || start >= end)
			break;
		assert(count < most);
		list[count++] = qeff_arena_copy(arena, start, length);
		if (*text == ')')
			break;
	}
	return count;
}

static void value(struct qeff_arena *arena, QeffOnnx__AttributeProto *a, const char *text,
		  size_t length)
{
	bool is_float = !strncmp(a->name, "value_float", 11) || memchr(text, '.', length);

	a->has_type = 1;
	if (*text == '@') {
		a->ref_attr_name = qeff_arena_copy(arena, text + 1, length - 1);
		a->type = is_float ? QEFF_ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT
				   : QEFF_ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT;
	} else if (*text == '"') {
		a->type = QEFF_ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING;
		a->has_s = 1;
		a->s.data = (uint8_t *)qeff_arena_copy(arena, text + 1, length - 2);
		a->s.len = a->s.data ? length - 2 : 0;
	} else if (*text == '[') {
		char *at = (char *)text;

		a->type = QEFF_ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS;
		a->ints = qeff_arena_alloc(arena, MAX_NAMES, sizeof(*a->ints));
		while (a->ints && *at != ']')
			a->ints[a->n_ints++] = strtoll(at + 1, &at, 10);
	} else if (is_float) {
		a->type = QEFF_ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT;
		a->has_f = 1;
		a->f = strtof(text, NULL);
	} else {
		a->type = QEFF_ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT;
		a->has_i = 1;
		a->i = strtoll(text, NULL, 10);
	}
}

static QeffOnnx__NodeProto *line(struct qeff_arena *arena, const char *text)
{
	QeffOnnx__NodeProto *node = qeff_arena_alloc(arena, 1, sizeof(*node));
	const char *start, *close;
	size_t length;

	if (!node)
		return NULL;
	qeff_onnx__node_proto__init(node);
	node->output = qeff_arena_alloc(arena, MAX_OUTPUTS, sizeof(*node->output));
	node->attribute = qeff_arena_alloc(arena, MAX_NAMES, sizeof(*node->attribute));
	if (!node->output || !node->attribute)
		return NULL;

	start = word(&text, " ", " ,", &length);
	node->output[node->n_output++] = qeff_arena_copy(arena, start, length);
	while (*text == ',') {
		assert(node->n_output < MAX_OUTPUTS);
		start = word(&text, ",", " ,", &length);
		node->output[node->n_output++] = qeff_arena_copy(arena, start, length);
	}
	/* runtimes name what they fuse after the nodes it came from */
	node->name = node->output[0];
	start = word(&text, " =", "(", &length);
	node->op_type = qeff_arena_copy(arena, start, length);
	close = strchr(text, ')');
	assert(*text == '(' && close);
	node->n_input = names(arena, text, close + 1, "(, ", &node->input);
	text = close + 1;

	while (*(text += strspn(text, " "))) {
		QeffOnnx__AttributeProto *a = qeff_arena_alloc(arena, 1, sizeof(*a));

		if (!a)
			return NULL;
		qeff_onnx__attribute_proto__init(a);
		start = word(&text, " ", "=", &length);
		a->name = qeff_arena_copy(arena, start, length);
		start = word(&text, "=", " ", &length);
		if (!a->name)
			return NULL;
		value(arena, a, start, length);
		assert(node->n_attribute < MAX_NAMES);
		node->attribute[node->n_attribute++] = a;
	}
	return node;
}

QeffOnnx__FunctionProto *qeff_onnx_function_build(struct qeff_arena *arena,
						  const struct qeff_onnx_function *function)
{
	QeffOnnx__FunctionProto *f = qeff_arena_alloc(arena, 1, sizeof(*f));
	QeffOnnx__OperatorSetIdProto *opset = qeff_arena_alloc(arena, 1, sizeof(*opset));
	size_t count = 0;

	while (function->body[count])
		count++;
	if (!f || !opset)
		return NULL;
	qeff_onnx__function_proto__init(f);
	qeff_onnx__operator_set_id_proto__init(opset);
	opset->domain = (char *)"";
	opset->has_version = 1;
	opset->version = QEFF_GRAPH_OPSET;
	f->name = (char *)function->name;
	f->domain = (char *)QEFF_GRAPH_DOMAIN;
	f->opset_import = qeff_arena_alloc(arena, 1, sizeof(*f->opset_import));
	f->node = qeff_arena_alloc(arena, count, sizeof(*f->node));
	if (!f->opset_import || !f->node)
		return NULL;
	f->opset_import[f->n_opset_import++] = opset;
	f->n_input = names(arena, function->inputs, function->inputs + strlen(function->inputs),
			   " ", &f->input);
	f->n_attribute =
		names(arena, function->attributes,
		      function->attributes + strlen(function->attributes), " ", &f->attribute);
	for (; f->n_node < count; f->n_node++) {
		f->node[f->n_node] = line(arena, function->body[f->n_node]);
		if (!f->node[f->n_node])
			return NULL;
	}
	if (function->outputs) {
		f->n_output = names(arena, function->outputs,
				    function->outputs + strlen(function->outputs), " ", &f->output);
	} else {
		f->output = f->node[count - 1]->output;
		f->n_output = 1;
	}
	return arena->failed ? NULL : f;
}
