/* SPDX-License-Identifier: MIT */
/*
 * Import: the model's graph from its inputs to its outputs. Nodes are run in an order in which each
 * stands behind what it reads, whatever order the file has; a node is a function, or something that
 * is no operator of the graph (special.c, flow.c), or an operator, brought to its current form.
 */
#include "onnx/importer.h"

#include "graph/ops.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int import_no_memory(struct importer *im)
{
	return qeff_error_set(im->err, -ENOMEM, "%s: out of memory", im->model->name);
}

int import_refuse(struct importer *im, const struct import_node *node, int code, const char *format,
		  ...)
{
	char what[256];
	va_list args;

	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	return qeff_error_set(im->err, code, "%s: node \"%s\" (%s%s%s): %s", im->model->name,
			      node->label, node->domain, *node->domain ? "." : "", node->op_type,
			      what);
}

/* ---- attributes ---- */

const struct qeff_attribute *import_attribute(const struct import_node *node, const char *name)
{
	for (uint32_t i = 0; i < node->num_attributes; i++)
		if (!strcmp(node->attributes[i].name, name))
			return &node->attributes[i];
	return NULL;
}

int64_t import_int(const struct import_node *node, const char *name, int64_t fallback)
{
	const struct qeff_attribute *a = import_attribute(node, name);

	return a && a->kind == QEFF_ATTR_INT ? a->i : fallback;
}

const QeffOnnx__AttributeProto *import_proto(const struct import_node *node, const char *name)
{
	for (uint32_t i = 0; i < node->num_protos; i++)
		if (!strcmp(onnx_text(node->protos[i]->name), name))
			return node->protos[i];
	return NULL;
}

void import_drop_attribute(struct import_node *node, const char *name)
{
	for (uint32_t i = 0; i < node->num_attributes; i++) {
		if (!strcmp(node->attributes[i].name, name)) {
			node->num_attributes--;
			memmove(&node->attributes[i], &node->attributes[i + 1],
				(node->num_attributes - i) * sizeof(*node->attributes));
			return;
		}
	}
}

/* Texts one after the other with commas between: activations of recurrent nodes. */
static char *join(struct importer *im, const QeffOnnx__AttributeProto *proto)
{
	size_t room = 1;
	char *text, *at;

	for (size_t i = 0; i < proto->n_strings; i++)
		room += proto->strings[i].len + 1;
	text = at = qeff_arena_alloc(&im->scratch, room, 1);
	for (size_t i = 0; text && i < proto->n_strings; i++) {
		if (i)
			*at++ = ',';
		if (proto->strings[i].len)
			memcpy(at, proto->strings[i].data, proto->strings[i].len);
		at += proto->strings[i].len;
	}
	return text;
}

/* Old files leave the type out: it is then what is there. */
static int kind_of(const QeffOnnx__AttributeProto *proto)
{
	if (proto->has_type && proto->type)
		return proto->type;
	if (proto->has_f)
		return QEFF_ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT;
	if (proto->has_i)
		return QEFF_ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT;
	if (proto->has_s)
		return QEFF_ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING;
	if (proto->n_floats)
		return QEFF_ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOATS;
	if (proto->n_ints)
		return QEFF_ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS;
	return 0;
}

/* A number or text; @to's name is NULL where it is neither. */
static int convert_attribute(struct importer *im, const char *name,
			     const QeffOnnx__AttributeProto *proto, struct qeff_attribute *to)
{
	int kind = kind_of(proto);

	*to = (struct qeff_attribute){ .name = name };
	switch (kind) {
	case QEFF_ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT:
		to->kind = QEFF_ATTR_FLOAT;
		to->f = proto->f;
		return 0;
	case QEFF_ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT:
		to->kind = QEFF_ATTR_INT;
		to->i = proto->i;
		return 0;
	case QEFF_ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING:
		to->kind = QEFF_ATTR_STRING;
		to->s = qeff_arena_copy(&im->scratch,
					proto->s.len ? (const char *)proto->s.data : "",
					proto->s.len);
		return to->s ? 0 : import_no_memory(im);
	case QEFF_ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRINGS:
		to->kind = QEFF_ATTR_STRING;
		to->s = join(im, proto);
		return to->s ? 0 : import_no_memory(im);
	case QEFF_ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS:
		to->kind = QEFF_ATTR_INTS;
		to->ints = proto->ints;
		to->count = (uint32_t)proto->n_ints;
		return 0;
	case QEFF_ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOATS:
		to->kind = QEFF_ATTR_FLOATS;
		to->floats = proto->floats;
		to->count = (uint32_t)proto->n_floats;
		return 0;
	default:
		to->name = NULL;
		return 0;
	}
}

/* The attribute of @proto, or that of the function's call which it names, or the function's
 * default; false if the call has none. */
static const QeffOnnx__AttributeProto *referred(const struct scope *scope,
						const QeffOnnx__AttributeProto *proto)
{
	const char *name = onnx_text(proto->ref_attr_name);
	const QeffOnnx__AttributeProto *found;

	if (!*name)
		return proto;
	while (scope && !scope->call)
		scope = scope->outer;
	if (!scope)
		return NULL;
	found = import_proto(scope->call, name);
	for (size_t i = 0; !found && i < scope->function->n_attribute_proto; i++)
		if (!strcmp(onnx_text(scope->function->attribute_proto[i]->name), name))
			found = scope->function->attribute_proto[i];
	return found;
}

/* ---- nodes ---- */

static int64_t opset_of(const struct scope *scope, const char *domain)
{
	for (; scope; scope = scope->outer)
		for (size_t i = 0; i < scope->num_opsets; i++) {
			const char *name = onnx_text(scope->opsets[i]->domain);

			if (!strcmp(name, domain) || (!*domain && !strcmp(name, "ai.onnx")))
				return scope->opsets[i]->version;
		}
	return 0;
}

/* An optional input of a function that its call leaves out is known, and nothing. */
static bool is_known(const struct scope *scope, const char *name)
{
	for (; scope; scope = scope->outer)
		if (onnx_names_find(&scope->names, name))
			return true;
	return false;
}

static int resolve(struct importer *im, struct scope *scope, const QeffOnnx__NodeProto *proto,
		   struct import_node *node)
{
	*node = (struct import_node){
		.op_type = onnx_text(proto->op_type),
		.domain = onnx_text(proto->domain),
		.label = onnx_text(proto->name),
	};
	if (!strcmp(node->domain, "ai.onnx"))
		node->domain = "";
	if (!*node->label && proto->n_output)
		node->label = onnx_text(proto->output[0]);
	if (proto->n_input > QEFF_OP_MAX_INPUTS || proto->n_output > QEFF_OP_MAX_INPUTS)
		return import_refuse(im, node, -EFBIG, "has %zu inputs and %zu outputs",
				     proto->n_input, proto->n_output);
	node->opset = opset_of(scope, node->domain);
	node->inputs = qeff_arena_alloc(&im->scratch, proto->n_input + IMPORT_SPARE,
					sizeof(struct qeff_value *));
	node->outputs = qeff_arena_alloc(&im->scratch, proto->n_output + 1u, sizeof(char *));
	node->attributes = qeff_arena_alloc(&im->scratch, proto->n_attribute + IMPORT_SPARE,
					    sizeof(*node->attributes));
	node->protos = qeff_arena_alloc(&im->scratch, proto->n_attribute + 1u, sizeof(void *));
	if (!node->inputs || !node->outputs || !node->attributes || !node->protos)
		return import_no_memory(im);
	for (size_t i = 0; i < proto->n_output; i++)
		node->outputs[node->num_outputs++] = onnx_text(proto->output[i]);
	for (size_t i = 0; i < proto->n_input; i++, node->num_inputs++) {
		const char *name = onnx_text(proto->input[i]);

		if (!*name)
			continue;
		node->inputs[i] = import_lookup(scope, name);
		if (!node->inputs[i] && !is_known(scope, name))
			return import_refuse(im, node, -EINVAL, "reads \"%s\", which nothing makes",
					     name);
	}
	for (size_t i = 0; i < proto->n_attribute; i++) {
		const QeffOnnx__AttributeProto *a = referred(scope, proto->attribute[i]);
		int ret;

		if (!a)
			continue;
		node->protos[node->num_protos++] = a;
		ret = convert_attribute(im, onnx_text(proto->attribute[i]->name), a,
					&node->attributes[node->num_attributes]);
		if (ret)
			return ret;
		if (node->attributes[node->num_attributes].name)
			node->num_attributes++;
	}
	return 0;
}

static const QeffOnnx__FunctionProto *find_function(const struct importer *im,
						    const struct import_node *node)
{
	char key[512];
	const struct onnx_name *found;

	snprintf(key, sizeof(key), "%s.%s", node->domain, node->op_type);
	found = onnx_names_find(&im->functions, key);
	return found ? im->model->proto->functions[found->u.number] : NULL;
}

/* Puts a function in place of its node. */
static int inline_function(struct importer *im, struct scope *around, struct import_node *node,
			   const QeffOnnx__FunctionProto *function)
{
	struct scope scope = {
		.call = node,
		.function = function,
		.opsets = function->opset_import,
		.num_opsets = function->n_opset_import,
	};
	int ret = 0;

	if (im->depth == ONNX_MAX_DEPTH)
		return import_refuse(im, node, -EFBIG, "more than %d functions inside each other",
				     ONNX_MAX_DEPTH);
	if (node->num_inputs > function->n_input || node->num_outputs > function->n_output)
		return import_refuse(
			im, node, -EINVAL, "has %u inputs and %u outputs, its function %zu and %zu",
			node->num_inputs, node->num_outputs, function->n_input, function->n_output);
	scope.prefix = import_value_name(im, around, node->label);
	if (!scope.prefix)
		return import_no_memory(im);
	for (size_t i = 0; i < function->n_input && !ret; i++)
		ret = import_bind(im, &scope, onnx_text(function->input[i]),
				  i < node->num_inputs ? node->inputs[i] : NULL);
	for (uint32_t i = 0; i < node->num_outputs && !ret; i++) {
		struct onnx_name *given;

		if (!*node->outputs[i])
			continue;
		given = onnx_names_add(&scope.given, onnx_text(function->output[i]));
		if (!given)
			ret = import_no_memory(im);
		else
			given->u.text = import_value_name(im, around, node->outputs[i]);
		if (given && !given->u.text)
			ret = import_no_memory(im);
	}
	im->depth++;
	if (!ret)
		ret = import_nodes(im, &scope, function->node, function->n_node);
	im->depth--;
	for (uint32_t i = 0; i < node->num_outputs && !ret; i++) {
		struct qeff_value *value = import_lookup(&scope, onnx_text(function->output[i]));

		if (!*node->outputs[i])
			continue;
		ret = value ? import_bind(im, around, node->outputs[i], value)
			    : import_refuse(im, node, -EINVAL,
					    "its function does not make its output \"%s\"",
					    onnx_text(function->output[i]));
	}
	onnx_names_free(&scope.names);
	onnx_names_free(&scope.given);
	return ret;
}

static int import_node(struct importer *im, struct scope *scope, const QeffOnnx__NodeProto *proto)
{
	const QeffOnnx__FunctionProto *function;
	struct import_node node;
	int ret;

	if (++im->num_nodes > ONNX_MAX_NODES)
		return qeff_error_set(im->err, -EFBIG, "%s: more than %u nodes", im->model->name,
				      ONNX_MAX_NODES);
	ret = resolve(im, scope, proto, &node);
	if (ret)
		return ret;
	function = import_qeff(&node) ? NULL : find_function(im, &node);
	if (!function)
		ret = import_microsoft(im, scope, &node, &function);
	if (ret)
		return ret;
	if (function)
		return inline_function(im, scope, &node, function);
	ret = import_special(im, scope, &node);
	if (!ret)
		ret = import_flow(im, scope, &node);
	if (ret)
		return ret < 0 ? ret : 0;
	ret = import_upgrade(im, scope, &node);
	if (ret)
		return ret < 0 ? ret : 0;
	return import_append(im, scope, &node);
}

/* ---- order ---- */

/* Who reads what, in one list of nodes. */
struct order {
	struct importer *im;
	struct onnx_names made; /* number: of the node, from 1 */
	uint32_t *first;	/* of each node, in reads[] */
	uint32_t *reads;	/* numbers of nodes */
	uint32_t num_reads, capacity;
	bool failed;
};

static void add_read(struct order *o, const char *name)
{
	const struct onnx_name *found = *name ? onnx_names_find(&o->made, name) : NULL;

	if (!found || o->failed)
		return;
	if (o->num_reads == o->capacity) {
		uint32_t capacity = o->capacity ? o->capacity * 2 : 256;
		uint32_t *reads = reallocarray(o->reads, capacity, sizeof(*reads));

		if (!reads) {
			o->failed = true;
			return;
		}
		o->reads = reads;
		o->capacity = capacity;
	}
	o->reads[o->num_reads++] = found->u.number - 1;
}

static bool makes(const QeffOnnx__NodeProto *proto, const char *name)
{
	for (size_t i = 0; i < proto->n_output; i++)
		if (!strcmp(onnx_text(proto->output[i]), name))
			return true;
	return false;
}

/* What @proto reads; @outermost: of the node whose bodies these are. A body's own names are other
 * ones even where they are called the same as what that node makes. */
static void add_reads(struct order *o, const QeffOnnx__NodeProto *outermost,
		      const QeffOnnx__NodeProto *proto)
{
	for (size_t i = 0; i < proto->n_input; i++)
		if (proto == outermost || !makes(outermost, onnx_text(proto->input[i])))
			add_read(o, onnx_text(proto->input[i]));
	for (size_t a = 0; a < proto->n_attribute; a++) {
		const QeffOnnx__GraphProto *body = onnx_subgraph(o->im->model, proto->attribute[a]);

		for (size_t i = 0; body && i < body->n_node; i++)
			add_reads(o, outermost, body->node[i]);
		for (size_t i = 0; body && i < body->n_output; i++)
			if (!makes(outermost, onnx_text(body->output[i]->name)))
				add_read(o, onnx_text(body->output[i]->name));
	}
}

enum { UNSEEN, OPEN, DONE };

/* Runs node @start after all that it reads. @stack and @next have room for all nodes. */
static int run_from(struct order *o, struct scope *scope, QeffOnnx__NodeProto *const *nodes,
		    uint32_t start, uint8_t *state, uint32_t *stack, uint32_t *next)
{
	uint32_t depth = 0;
	int ret;

	if (state[start] != UNSEEN)
		return 0;
	state[start] = OPEN;
	stack[depth] = start;
	next[depth++] = o->first[start];
	while (depth) {
		uint32_t at = stack[depth - 1], reads;

		if (next[depth - 1] == o->first[at + 1]) {
			ret = import_node(o->im, scope, nodes[at]);
			if (ret)
				return ret;
			state[at] = DONE;
			depth--;
			continue;
		}
		reads = o->reads[next[depth - 1]++];
		if (state[reads] == DONE)
			continue;
		if (state[reads] == OPEN)
			return qeff_error_set(
				o->im->err, -EINVAL,
				"%s: the graph has a cycle: the node that makes \"%s\" depends on "
				"\"%s\", which depends on it",
				o->im->model->name,
				nodes[at]->n_output ? onnx_text(nodes[at]->output[0]) : "",
				nodes[reads]->n_output ? onnx_text(nodes[reads]->output[0]) : "");
		state[reads] = OPEN;
		stack[depth] = reads;
		next[depth++] = o->first[reads];
	}
	return 0;
}

int import_nodes(struct importer *im, struct scope *scope, QeffOnnx__NodeProto *const *nodes,
		 size_t count)
{
	struct order o = { .im = im };
	uint32_t *memory = NULL;
	uint8_t *state = NULL;
	int ret = 0;

	if (count > ONNX_MAX_NODES)
		return qeff_error_set(im->err, -EFBIG, "%s: more than %u nodes", im->model->name,
				      ONNX_MAX_NODES);
	memory = calloc(3 * count + 1, sizeof(*memory));
	state = calloc(count + 1, 1);
	o.failed = !memory || !state;
	o.first = memory;
	for (size_t n = 0; n < count && !o.failed && !ret; n++)
		for (size_t i = 0; i < nodes[n]->n_output && !o.failed && !ret; i++) {
			const char *name = onnx_text(nodes[n]->output[i]);
			struct onnx_name *entry = *name ? onnx_names_add(&o.made, name) : NULL;

			o.failed = *name && !entry;
			if (entry && entry->u.number)
				ret = qeff_error_set(im->err, -EINVAL, "%s: \"%s\" is made twice",
						     im->model->name, name);
			else if (entry)
				entry->u.number = (uint32_t)n + 1;
		}
	for (size_t n = 0; n < count && !o.failed && !ret; n++) {
		add_reads(&o, nodes[n], nodes[n]);
		o.first[n + 1] = o.num_reads;
	}
	if (o.failed)
		ret = import_no_memory(im);
	for (uint32_t n = 0; n < count && !ret; n++)
		ret = run_from(&o, scope, nodes, n, state, memory + count + 1,
			       memory + 2 * count + 1);
	onnx_names_free(&o.made);
	free(o.reads);
	free(memory);
	free(state);
	return ret;
}
