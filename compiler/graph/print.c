/* SPDX-License-Identifier: MIT */
/* Graphs as text: inputs, then one line a node, then outputs. Initialisers are named where they are
 * read. */
#include "graph/internal.h"

#include "util/bytes.h"

static void print_value(struct qeff_bytes *out, const struct qeff_value *value)
{
	char shape[256];

	qeff_bytes_printf(out, "%s: %s%s", value->name, qeff_graph_type_name(value->type),
			  qeff_graph_shape_text(&value->shape, shape, sizeof(shape)));
}

static void print_attribute(struct qeff_bytes *out, const struct qeff_attribute *a)
{
	qeff_bytes_printf(out, " %s=", a->name);
	switch (a->kind) {
	case QEFF_ATTR_INT:
		qeff_bytes_printf(out, "%lld", (long long)a->i);
		break;
	case QEFF_ATTR_FLOAT:
		qeff_bytes_printf(out, "%.9g", (double)a->f);
		break;
	case QEFF_ATTR_STRING:
		qeff_bytes_printf(out, "\"%s\"", a->s);
		break;
	case QEFF_ATTR_INTS:
		for (uint32_t i = 0; i < a->count; i++)
			qeff_bytes_printf(out, "%s%lld", i ? "," : "", (long long)a->ints[i]);
		break;
	case QEFF_ATTR_FLOATS:
		for (uint32_t i = 0; i < a->count; i++)
			qeff_bytes_printf(out, "%s%.9g", i ? "," : "", (double)a->floats[i]);
		break;
	}
}

static void print_node(struct qeff_bytes *out, const struct qeff_node *node)
{
	print_value(out, node->outputs[0]);
	qeff_bytes_printf(out, " = %s(", node->op->name);
	for (uint32_t i = 0; i < node->num_inputs; i++)
		qeff_bytes_printf(out, "%s%s", i ? ", " : "",
				  node->inputs[i] ? node->inputs[i]->name : "-");
	qeff_bytes_printf(out, ")");
	for (uint32_t i = 0; i < node->num_attributes; i++)
		print_attribute(out, &node->attributes[i]);
	qeff_bytes_printf(out, "\n");
}

char *qeff_graph_print(const struct qeff_graph *graph)
{
	struct qeff_bytes out = { 0 };

	qeff_bytes_printf(&out, "graph %s\n", graph->name);
	for (uint32_t i = 0; i < graph->num_inputs; i++) {
		qeff_bytes_printf(&out, "input ");
		print_value(&out, graph->inputs[i]);
		qeff_bytes_printf(&out, "\n");
	}
	for (uint32_t i = 0; i < graph->num_nodes; i++)
		print_node(&out, graph->nodes[i]);
	for (uint32_t i = 0; i < graph->num_outputs; i++)
		qeff_bytes_printf(&out, "output %s\n", graph->outputs[i]->name);
	return qeff_bytes_string(&out);
}
