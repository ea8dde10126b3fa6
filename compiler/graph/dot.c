/* SPDX-License-Identifier: MIT */
/* Graphs as pictures: Graphviz's language. A node is a box with its operator, its name and the
 * initialisers it reads; an edge carries the shape of what it hands over. */
#include "graph/ops.h"

#include "util/bytes.h"

/* Inside a quoted string; a hostile name ends none. */
static void quoted(struct qeff_bytes *out, const char *text)
{
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			qeff_bytes_u8(out, '\\');
		qeff_bytes_u8(out, (uint8_t)*text < ' ' ? ' ' : (uint8_t)*text);
	}
}

static void label(struct qeff_bytes *out, const struct qeff_value *value, const char *separator)
{
	char shape[256];

	quoted(out, value->name);
	qeff_bytes_printf(out, "%s%s%s", separator, qeff_graph_type_name(value->type),
			  qeff_graph_shape_text(&value->shape, shape, sizeof(shape)));
}

/* An input or output of the graph. */
static void terminal(struct qeff_bytes *out, const char *kind, uint32_t index,
		     const struct qeff_value *value)
{
	qeff_bytes_printf(out, "\t%s%u [shape=ellipse, label=\"", kind, index);
	label(out, value, "\\n");
	qeff_bytes_printf(out, "\"];\n");
}

static void edge(struct qeff_bytes *out, const struct qeff_graph *graph,
		 const struct qeff_value *value, const char *kind, uint32_t index)
{
	char shape[256];

	if (value->producer) {
		qeff_bytes_printf(out, "\tn%u", value->producer->outputs[0]->index);
	} else {
		uint32_t input = 0;

		while (input < graph->num_inputs && graph->inputs[input] != value)
			input++;
		if (input == graph->num_inputs)
			return;
		qeff_bytes_printf(out, "\ti%u", input);
	}
	qeff_bytes_printf(out, " -> %s%u [label=\"%s\"];\n", kind, index,
			  qeff_graph_shape_text(&value->shape, shape, sizeof(shape)));
}

static void box(struct qeff_bytes *out, const struct qeff_node *node)
{
	qeff_bytes_printf(out, "\tn%u [label=\"%s\\n", node->outputs[0]->index, node->op->name);
	quoted(out, node->name);
	for (uint32_t i = 0; i < node->num_inputs; i++)
		if (node->inputs[i] && node->inputs[i]->is_initialiser) {
			qeff_bytes_printf(out, "\\n");
			label(out, node->inputs[i], " ");
		}
	qeff_bytes_printf(out, "\"];\n");
}

char *qeff_graph_dot(const struct qeff_graph *graph)
{
	struct qeff_bytes out = { 0 };

	qeff_bytes_printf(&out, "digraph \"");
	quoted(&out, graph->name);
	qeff_bytes_printf(&out, "\" {\n\tnode [shape=box, fontname=\"sans-serif\"];\n"
				"\tedge [fontname=\"sans-serif\", fontsize=10];\n");
	for (uint32_t i = 0; i < graph->num_inputs; i++)
		terminal(&out, "i", i, graph->inputs[i]);
	for (uint32_t i = 0; i < graph->num_outputs; i++)
		terminal(&out, "o", i, graph->outputs[i]);
	for (uint32_t i = 0; i < graph->num_nodes; i++) {
		const struct qeff_node *node = graph->nodes[i];

		box(&out, node);
		for (uint32_t k = 0; k < node->num_inputs; k++)
			if (node->inputs[k])
				edge(&out, graph, node->inputs[k], "n", node->outputs[0]->index);
	}
	for (uint32_t i = 0; i < graph->num_outputs; i++)
		edge(&out, graph, graph->outputs[i], "o", i);
	qeff_bytes_printf(&out, "}\n");
	return qeff_bytes_string(&out);
}
