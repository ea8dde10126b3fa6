/* SPDX-License-Identifier: MIT */
/* Graphs as text: inputs, then one line a node, then outputs. Initialisers are named where they are
 * read. */
#include "graph/internal.h"

#include "util/bytes.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

__attribute__((format(printf, 2, 3))) static void text(struct qeff_bytes *out, const char *format,
						       ...)
{
	char line[1024];
	va_list args;
	int length;

	va_start(args, format);
	length = vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	if (length > (int)sizeof(line) - 1)
		length = sizeof(line) - 1;
	if (length > 0)
		qeff_bytes_append(out, line, (size_t)length);
}

static void print_value(struct qeff_bytes *out, const struct qeff_value *value)
{
	char shape[256];

	text(out, "%s: %s%s", value->name, qeff_graph_type_name(value->type),
	     qeff_graph_shape_text(&value->shape, shape, sizeof(shape)));
}

static void print_attribute(struct qeff_bytes *out, const struct qeff_attribute *a)
{
	text(out, " %s=", a->name);
	switch (a->kind) {
	case QEFF_ATTR_INT:
		text(out, "%lld", (long long)a->i);
		break;
	case QEFF_ATTR_FLOAT:
		text(out, "%.9g", (double)a->f);
		break;
	case QEFF_ATTR_STRING:
		text(out, "\"%s\"", a->s);
		break;
	case QEFF_ATTR_INTS:
		for (uint32_t i = 0; i < a->count; i++)
			text(out, "%s%lld", i ? "," : "", (long long)a->ints[i]);
		break;
	case QEFF_ATTR_FLOATS:
		for (uint32_t i = 0; i < a->count; i++)
			text(out, "%s%.9g", i ? "," : "", (double)a->floats[i]);
		break;
	}
}

static void print_node(struct qeff_bytes *out, const struct qeff_node *node)
{
	print_value(out, node->outputs[0]);
	text(out, " = %s(", node->op->name);
	for (uint32_t i = 0; i < node->num_inputs; i++)
		text(out, "%s%s", i ? ", " : "", node->inputs[i] ? node->inputs[i]->name : "-");
	text(out, ")");
	for (uint32_t i = 0; i < node->num_attributes; i++)
		print_attribute(out, &node->attributes[i]);
	text(out, "\n");
}

char *qeff_graph_print(const struct qeff_graph *graph)
{
	struct qeff_bytes out = { 0 };

	text(&out, "graph %s\n", graph->name);
	for (uint32_t i = 0; i < graph->num_inputs; i++) {
		text(&out, "input ");
		print_value(&out, graph->inputs[i]);
		text(&out, "\n");
	}
	for (uint32_t i = 0; i < graph->num_nodes; i++)
		print_node(&out, graph->nodes[i]);
	for (uint32_t i = 0; i < graph->num_outputs; i++)
		text(&out, "output %s\n", graph->outputs[i]->name);
	qeff_bytes_append(&out, "", 1);
	if (out.failed) {
		qeff_bytes_free(&out);
		return NULL;
	}
	return (char *)out.data;
}
