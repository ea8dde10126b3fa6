/* SPDX-License-Identifier: MIT */
/*
 * Damage to an ONNX file that leaves it one: nodes read other values (their own, or none), become
 * other operators or functions, are copied or lost; attributes, shapes, types and constants change,
 * in the model's graph, in those inside it and in functions.
 */
#include "fuzz.h"

#include "graph/ops.h"
#include "onnx.pb-c.h"

#include <string.h>

#define MAX_MEMORY ((size_t)8 << 20)
#define MAX_VALUES 256

/* ---- memory that is given back at once ---- */

struct memory {
	size_t used;
	uint8_t *bytes;
};

static void *memory_alloc(void *user, size_t size)
{
	struct memory *m = user;
	size_t at = (m->used + 15) & ~(size_t)15;

	if (size > MAX_MEMORY || at > MAX_MEMORY - size)
		return NULL;
	m->used = at + size;
	return m->bytes + at;
}

static void memory_free(void *user, void *pointer)
{
	(void)user;
	(void)pointer;
}

/* A copy of @count pointers with room for one more, or NULL. */
static void *more_room(struct memory *m, void *from, size_t count)
{
	void **to = memory_alloc(m, (count + 1) * sizeof(*to));

	if (to && count)
		memcpy(to, from, count * sizeof(*to));
	return to;
}

/* ---- what is damaged ---- */

/* A list of nodes and the names that they can read. */
struct scope {
	struct memory *memory;
	uint64_t *state;
	QeffOnnx__NodeProto **nodes;
	size_t num_nodes;
	char *values[MAX_VALUES];
	size_t num_values;
};

static void add_value(struct scope *s, char *name)
{
	if (name && s->num_values < MAX_VALUES)
		s->values[s->num_values++] = name;
}

static void add_outputs(struct scope *s)
{
	for (size_t n = 0; n < s->num_nodes; n++)
		for (size_t i = 0; i < s->nodes[n]->n_output; i++)
			add_value(s, s->nodes[n]->output[i]);
}

static int64_t other_number(uint64_t *state, int64_t old)
{
	static const int64_t odd[] = { 0,  -1,	-2, 1,	   2,	      3,	 5,
				       8,  16,	64, 65537, 1ll << 31, 1ll << 32, 1ll << 40,
				       -3, 300, 13, 20,	   INT64_MAX, INT64_MIN };

	switch (fuzz_random(state, 4)) {
	case 0:
		return (int64_t)((uint64_t)old + 1);
	case 1:
		return (int64_t)((uint64_t)old - 1);
	default:
		return odd[fuzz_random(state, sizeof(odd) / sizeof(odd[0]))];
	}
}

static float other_float(uint64_t *state, float old)
{
	static const float odd[] = {
		0, -1, 1, 0.5f, 1e-30f, 1e30f, -1e38f, __builtin_nanf(""), __builtin_inff()
	};

	return fuzz_random(state, 3) ? odd[fuzz_random(state, sizeof(odd) / sizeof(odd[0]))]
				     : old * 2;
}

static void change_numbers(uint64_t *state, int64_t *numbers, size_t *count)
{
	if (*count && !fuzz_random(state, 4))
		--*count;
	else if (*count)
		numbers[fuzz_random(state, *count)] =
			other_number(state, numbers[fuzz_random(state, *count)]);
}

static void change_tensor(uint64_t *state, QeffOnnx__TensorProto *t)
{
	switch (fuzz_random(state, 6)) {
	case 0:
	case 1:
		change_numbers(state, t->dims, &t->n_dims);
		break;
	case 2:
		t->data_type = (int32_t)fuzz_random(state, 24);
		break;
	case 3: /* as many bytes fewer as a number or two have */
		if (t->raw_data.len)
			t->raw_data.len -=
				fuzz_random(state, t->raw_data.len < 9 ? t->raw_data.len : 9);
		break;
	case 4:
		if (t->n_int64_data)
			change_numbers(state, t->int64_data, &t->n_int64_data);
		else if (t->n_float_data)
			t->float_data[fuzz_random(state, t->n_float_data)] =
				other_float(state, t->float_data[0]);
		break;
	default: /* a number that decides something, perhaps */
		if (t->raw_data.len >= 8) {
			int64_t number = other_number(state, 0);

			memcpy(t->raw_data.data + fuzz_random(state, t->raw_data.len / 8) * 8,
			       &number, 8);
		}
	}
}

static void change_type(struct scope *s, QeffOnnx__ValueInfoProto *value)
{
	QeffOnnx__TypeProto__Tensor *t = value->type ? value->type->tensor_type : NULL;
	QeffOnnx__TensorShapeProto__Dimension *dim;

	if (!t)
		return;
	if (!fuzz_random(s->state, 4) || !t->shape || !t->shape->n_dim) {
		t->elem_type = (int32_t)fuzz_random(s->state, 24);
		return;
	}
	if (!fuzz_random(s->state, 4)) {
		t->shape->n_dim--;
		return;
	}
	dim = t->shape->dim[fuzz_random(s->state, t->shape->n_dim)];
	if (fuzz_random(s->state, 4)) {
		dim->has_dim_value = 1;
		dim->dim_value = other_number(s->state, dim->dim_value);
		dim->dim_param = NULL;
	} else {
		static char symbols[][12] = { "batch_size", "seq_len", "n", "" };

		dim->has_dim_value = 0;
		dim->dim_param = symbols[fuzz_random(s->state, 4)];
	}
}

static void change_graph(struct memory *m, uint64_t *state, QeffOnnx__GraphProto *graph);

/* A graph inside an attribute is unpacked, damaged and packed again. */
static void change_inner(struct scope *s, QeffOnnx__AttributeProto *a)
{
	ProtobufCAllocator allocator = { memory_alloc, memory_free, s->memory };
	QeffOnnx__GraphProto *graph =
		qeff_onnx__graph_proto__unpack(&allocator, a->g.len, a->g.data);
	uint8_t *packed;

	if (!graph)
		return;
	change_graph(s->memory, s->state, graph);
	packed = memory_alloc(s->memory, qeff_onnx__graph_proto__get_packed_size(graph));
	if (!packed)
		return;
	a->g.len = qeff_onnx__graph_proto__pack(graph, packed);
	a->g.data = packed;
}

static void change_attribute(struct scope *s, QeffOnnx__NodeProto *node)
{
	QeffOnnx__NodeProto *other = s->nodes[fuzz_random(s->state, s->num_nodes)];
	QeffOnnx__AttributeProto *a;
	void *more;

	if (other->n_attribute && (!node->n_attribute || !fuzz_random(s->state, 8))) {
		more = more_room(s->memory, node->attribute, node->n_attribute);
		if (!more)
			return;
		node->attribute = more;
		node->attribute[node->n_attribute++] =
			other->attribute[fuzz_random(s->state, other->n_attribute)];
		return;
	}
	if (!node->n_attribute)
		return;
	a = node->attribute[fuzz_random(s->state, node->n_attribute)];
	if (!fuzz_random(s->state, 12))
		a->type = (QeffOnnx__AttributeProto__AttributeType)fuzz_random(s->state, 12);
	else if (!fuzz_random(s->state, 12))
		node->n_attribute--;
	else if (a->has_g)
		change_inner(s, a);
	else if (a->t)
		change_tensor(s->state, a->t);
	else if (a->n_ints)
		change_numbers(s->state, a->ints, &a->n_ints);
	else if (a->n_floats)
		a->floats[fuzz_random(s->state, a->n_floats)] = other_float(s->state, a->floats[0]);
	else if (a->has_f)
		a->f = other_float(s->state, a->f);
	else if (a->has_s && other->n_attribute && other->attribute[0]->has_s)
		a->s = other->attribute[0]->s;
	else
		a->i = other_number(s->state, a->i);
}

static void change_inputs(struct scope *s, QeffOnnx__NodeProto *node)
{
	static char nothing[] = "", unknown[] = "no such value";
	char *name = s->num_values ? s->values[fuzz_random(s->state, s->num_values)] : nothing;
	void *more;

	switch (fuzz_random(s->state, 8)) {
	case 0:
		if (node->n_input)
			node->n_input--;
		return;
	case 1:
		more = more_room(s->memory, node->input, node->n_input);
		if (!more)
			return;
		node->input = more;
		node->input[node->n_input++] = name;
		return;
	case 2:
		name = fuzz_random(s->state, 4) ? nothing : unknown;
		break;
	case 3: /* made twice, or under a name that stands elsewhere */
		if (node->n_output)
			node->output[fuzz_random(s->state, node->n_output)] = name;
		return;
	default:
		break;
	}
	if (node->n_input)
		node->input[fuzz_random(s->state, node->n_input)] = name;
}

static void change_operator(struct scope *s, QeffOnnx__NodeProto *node)
{
	QeffOnnx__NodeProto *other = s->nodes[fuzz_random(s->state, s->num_nodes)];
	static char text[128];
	char *copy, *dot;

	if (!fuzz_random(s->state, 4)) {
		node->op_type = other->op_type;
		node->domain = other->domain;
		return;
	}
	strncpy(text, qeff_ops[fuzz_random(s->state, qeff_num_ops)].name, sizeof(text) - 1);
	copy = memory_alloc(s->memory, sizeof(text));
	if (!copy)
		return;
	memcpy(copy, text, sizeof(text));
	dot = strrchr(copy, '.');
	if (dot)
		*dot = '\0';
	node->op_type = dot ? dot + 1 : copy;
	node->domain = dot ? copy : NULL;
}

static void change_nodes(struct scope *s)
{
	size_t a, b;

	if (!s->num_nodes)
		return;
	a = fuzz_random(s->state, s->num_nodes);
	b = fuzz_random(s->state, s->num_nodes);
	switch (fuzz_random(s->state, 8)) {
	case 0:
		change_operator(s, s->nodes[a]);
		break;
	case 1:
	case 2:
	case 3:
		change_inputs(s, s->nodes[a]);
		break;
	case 4: { /* another order */
		QeffOnnx__NodeProto *node = s->nodes[a];

		s->nodes[a] = s->nodes[b];
		s->nodes[b] = node;
		break;
	}
	case 5: /* once twice, once not at all */
		s->nodes[a] = s->nodes[b];
		break;
	default:
		change_attribute(s, s->nodes[a]);
	}
}

static void change_graph(struct memory *m, uint64_t *state, QeffOnnx__GraphProto *graph)
{
	struct scope s = {
		.memory = m, .state = state, .nodes = graph->node, .num_nodes = graph->n_node
	};

	for (size_t i = 0; i < graph->n_input; i++)
		add_value(&s, graph->input[i]->name);
	for (size_t i = 0; i < graph->n_initializer; i++)
		add_value(&s, graph->initializer[i]->name);
	add_outputs(&s);
	switch (fuzz_random(state, 8)) {
	case 0:
		if (graph->n_input)
			change_type(&s, graph->input[fuzz_random(state, graph->n_input)]);
		break;
	case 1:
		if (graph->n_initializer)
			change_tensor(state,
				      graph->initializer[fuzz_random(state, graph->n_initializer)]);
		break;
	case 2:
		if (graph->n_output && !fuzz_random(state, 2))
			graph->output[fuzz_random(state, graph->n_output)]->name =
				s.num_values ? s.values[fuzz_random(state, s.num_values)] : NULL;
		else if (graph->n_input && !fuzz_random(state, 4))
			graph->n_input--;
		else if (graph->n_initializer)
			graph->n_initializer--;
		break;
	default:
		change_nodes(&s);
	}
}

static void change_function(struct memory *m, uint64_t *state, QeffOnnx__FunctionProto *function)
{
	struct scope s = {
		.memory = m, .state = state, .nodes = function->node, .num_nodes = function->n_node
	};

	for (size_t i = 0; i < function->n_input; i++)
		add_value(&s, function->input[i]);
	add_outputs(&s);
	switch (fuzz_random(state, 8)) {
	case 0:
		if (function->n_input)
			function->n_input--;
		break;
	case 1:
		if (function->n_output && s.num_values)
			function->output[fuzz_random(state, function->n_output)] =
				s.values[fuzz_random(state, s.num_values)];
		break;
	case 2: /* one that calls another, or itself */
		if (s.num_nodes) {
			QeffOnnx__NodeProto *node = s.nodes[fuzz_random(state, s.num_nodes)];

			node->op_type = function->name;
			node->domain = function->domain;
		}
		break;
	default:
		change_nodes(&s);
	}
}

static void change_model(struct memory *m, uint64_t *state, QeffOnnx__ModelProto *model)
{
	if (model->n_opset_import && !fuzz_random(state, 16))
		model->opset_import[fuzz_random(state, model->n_opset_import)]->version =
			(int64_t)fuzz_random(state, 26);
	else if (model->n_functions && !fuzz_random(state, 3))
		change_function(m, state, model->functions[fuzz_random(state, model->n_functions)]);
	else if (model->graph)
		change_graph(m, state, model->graph);
}

size_t fuzz_mutate_whole(uint8_t *data, size_t size, size_t capacity, uint64_t *state)
{
	static uint8_t bytes[MAX_MEMORY];
	struct memory memory = { .bytes = bytes };
	ProtobufCAllocator allocator = { memory_alloc, memory_free, &memory };
	QeffOnnx__ModelProto *model = qeff_onnx__model_proto__unpack(&allocator, size, data);
	size_t written = 0;

	if (model) {
		uint64_t changes = 1 + fuzz_random(state, 4) * fuzz_random(state, 2);

		while (changes--)
			change_model(&memory, state, model);
		if (qeff_onnx__model_proto__get_packed_size(model) <= capacity)
			written = qeff_onnx__model_proto__pack(model, data);
	}
	return written;
}
