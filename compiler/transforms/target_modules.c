/* SPDX-License-Identifier: MIT */
/*
 * TargetModules: LoRA adapters that are chosen while running. The input lora_ids [batch, 1] names
 * the adapter of each sequence, 0 is the model alone. A product whose weight some adapter changes
 * becomes x W + (x A) B, where A and B are those of the row's adapter: two products whose weights
 * each row chooses, as with experts. Those of number 0, and of adapters that leave this weight
 * alone, are zeros; the factor of an adapter is part of its B.
 */
#include "transforms/lora.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct target {
	struct qeff_graph *graph;
	const struct qeff_transform_options *options;
	struct qeff_value *routes;
	uint32_t changes;
	struct qeff_error *err;
};

static const struct qeff_adapter_pair *pair_of(const struct qeff_lora *lora, const char *module)
{
	for (size_t i = 0; i < lora->num_pairs; i++)
		if (!strcmp(lora->pairs[i].module, module))
			return &lora->pairs[i];
	return NULL;
}

/* A table of rows (number, 1): what qeff.Route would say of a row that chose that expert. */
static struct qeff_value *routes(struct qeff_graph *graph, uint32_t choices)
{
	struct qeff_value *ids = qeff_graph_find(graph, "input_ids");
	struct qeff_value *positions = qeff_graph_find(graph, "position_ids");
	struct qeff_value *table, *numbers;
	void *data;

	if (!ids || !positions || ids->shape.rank != 2) {
		qeff_graph_fail(graph, -EINVAL, "it has no input_ids and position_ids");
		return NULL;
	}
	table = qeff_graph_constant(graph, "lora_ids/routes", QEFF_GRAPH_F32, 2,
				    (const int64_t[]){ choices, 2 }, &data);
	for (uint32_t i = 0; table && i < choices; i++) {
		((float *)data)[2 * i] = (float)i;
		((float *)data)[2 * i + 1] = 1;
	}
	numbers = qeff_graph_input(graph, "lora_ids", QEFF_GRAPH_I64, 2,
				   (const struct qeff_dim[]){ ids->shape.dims[0], qeff_dim_of(1) });
	return qeff_graph_node(graph, "qeff.SequenceGather", "lora_ids/chosen", 3,
			       (struct qeff_value *[]){ table, numbers, positions }, 0, NULL);
}

/* The A of all adapters, one below the other, each with @rank rows. */
static struct qeff_value *stack_a(const struct target *t, const char *module, const char *name,
				  int64_t rank, int64_t inputs)
{
	size_t choices = t->options->num_loras + 1;
	const int64_t dims[] = { (int64_t)choices * rank, inputs };
	struct qeff_value *value;
	void *data;

	value = qeff_graph_constant(t->graph, name, QEFF_GRAPH_F32, 2, dims, &data);
	for (size_t n = 1; value && n < choices; n++) {
		const struct qeff_adapter_pair *pair = pair_of(&t->options->loras[n - 1], module);
		float *to = (float *)data + n * (size_t)(rank * inputs);

		for (int64_t i = 0; pair && i < pair->a->dims[0] * inputs; i++)
			to[i] = qeff_lora_load(pair->a->data, pair->a->type, (uint64_t)i);
	}
	return value;
}

/* Rows [@first, @first + @rows) of the B of all adapters, with their factors. */
static struct qeff_value *stack_b(const struct target *t, const char *module, const char *name,
				  int64_t rank, int64_t first, int64_t rows)
{
	size_t choices = t->options->num_loras + 1;
	const int64_t dims[] = { (int64_t)choices * rows, rank };
	struct qeff_value *value;
	void *data;

	value = qeff_graph_constant(t->graph, name, QEFF_GRAPH_F32, 2, dims, &data);
	for (size_t n = 1; value && n < choices; n++) {
		const struct qeff_adapter_pair *pair = pair_of(&t->options->loras[n - 1], module);
		float *to = (float *)data + n * (size_t)(rows * rank);
		int64_t own = pair ? pair->b->dims[1] : 0;

		for (int64_t i = 0; i < rows * own; i++)
			to[i / own * rank + i % own] =
				pair->scale * qeff_lora_load(pair->b->data, pair->b->type,
							     (uint64_t)(first * own + i));
	}
	return value;
}

static struct qeff_value *chosen_product(const struct target *t, const char *name,
					 struct qeff_value *x, struct qeff_value *weights)
{
	const struct qeff_attribute attributes[] = {
		QEFF_INT("experts", (int64_t)t->options->num_loras + 1),
		QEFF_INT("shared", 1),
	};

	return qeff_graph_node(t->graph, "qeff.Experts", name, 3,
			       (struct qeff_value *[]){ x, t->routes, weights }, 2, attributes);
}

/* What the product comes to: itself, or the sum with its bias. */
static struct qeff_value *with_bias(struct qeff_value *product)
{
	struct qeff_node *add = product->num_users == 1 ? product->users[0] : NULL;

	if (product->is_output || !qeff_node_is(add, "Add") ||
	    !add->inputs[add->inputs[0] == product ? 1 : 0]->is_initialiser)
		return product;
	return add->outputs[0];
}

/* @node multiplies by rows [@first, @first + @rows) of the module's weight. */
static void adapt(struct target *t, const char *module, struct qeff_node *node, int64_t rank,
		  int64_t first, int64_t rows)
{
	struct qeff_value *y = with_bias(node->outputs[0]), *x = node->inputs[0], *a, *b, *sum;
	char name[QEFF_LORA_NAME + 32];

	snprintf(name, sizeof(name), "%s/lora_A", module);
	a = qeff_graph_find(t->graph, name);
	if (!a)
		a = stack_a(t, module, name, rank, x->shape.dims[x->shape.rank - 1].size);
	snprintf(name, sizeof(name), "%.290s/lora_B", y->name);
	b = stack_b(t, module, name, rank, first, rows);
	snprintf(name, sizeof(name), "%.290s/lora/low", y->name);
	a = chosen_product(t, name, x, a);
	snprintf(name, sizeof(name), "%.290s/lora", y->name);
	b = chosen_product(t, name, a, b);
	snprintf(name, sizeof(name), "%.290s/adapted", y->name);
	sum = qeff_graph_node(t->graph, "Add", name, 2, (struct qeff_value *[]){ y, b }, 0, NULL);
	if (!sum)
		return;
	qeff_graph_replace_uses(t->graph, y, sum);
	qeff_graph_set_input(t->graph, sum->producer, 0, y);
	t->changes++;
}

static const int64_t *only_number(const struct qeff_value *value)
{
	return value && value->is_initialiser && value->stored_type == QEFF_GRAPH_I64 &&
			       value->shape.rank == 1 && value->shape.dims[0].size == 1
		       ? value->data
		       : NULL;
}

/* Whether @node takes whole rows, one after the other, of its matrix. */
static bool takes_rows(const struct qeff_node *node)
{
	const int64_t *begin, *end, *axis;

	if (!qeff_node_is(node, "Slice") || qeff_node_input(node, 4))
		return false;
	begin = only_number(qeff_node_input(node, 1));
	end = only_number(qeff_node_input(node, 2));
	axis = only_number(qeff_node_input(node, 3));
	return begin && end && axis && !*axis && *begin >= 0 && *end > *begin;
}

/* Adapts the products that read @weight, rows [@first, ...) of the module's, turned around; false
 * if anything else reads it. */
static bool adapt_readers(struct target *t, const char *module, struct qeff_value *weight,
			  int64_t rank, int64_t first)
{
	int64_t rows = weight->shape.dims[0].size;

	for (uint32_t i = 0; i < weight->num_users; i++) {
		struct qeff_node *turn = weight->users[i];
		struct qeff_value *turned = turn->outputs[0];

		if (!first && takes_rows(turn) &&
		    adapt_readers(t, module, turned, rank, *only_number(turn->inputs[1])))
			continue;
		if (!qeff_node_is(turn, "Transpose") || turned->shape.rank != 2)
			return false;
		for (uint32_t u = 0; u < turned->num_users; u++) {
			struct qeff_node *product = turned->users[u];

			if (!qeff_node_is(product, "MatMul") || product->inputs[1] != turned ||
			    !strcmp(with_bias(product->outputs[0])->name, "logits"))
				return false;
			adapt(t, module, product, rank, first, rows);
		}
	}
	return weight->num_users;
}

/* The module that pair @pair of adapter @lora names, for all adapters, unless an earlier one had
 * it. */
static int adapt_module(struct target *t, size_t lora, const struct qeff_adapter_pair *pair)
{
	const struct qeff_transform_options *o = t->options;
	struct qeff_value *weight;
	int64_t rank = 0;
	int ret = qeff_lora_weight(t->graph, pair, &weight, t->err);

	if (ret)
		return ret;
	for (size_t i = 0; i < o->num_loras; i++) {
		const struct qeff_adapter_pair *other = pair_of(&o->loras[i], pair->module);

		if (other && i < lora)
			return 0;
		if (other && other->a->dims[0] > rank)
			rank = other->a->dims[0];
	}
	if (adapt_readers(t, pair->module, weight, rank, 0))
		return 0;
	ret = qeff_graph_status(t->graph, t->err);
	return ret ? ret
		   : qeff_lora_refuse(pair,
				      "whose weight is not that of products of tokens alone: "
				      "such an adapter can only be merged",
				      t->err);
}

int qeff_transform_target_modules(struct qeff_graph *graph,
				  const struct qeff_transform_options *options, uint32_t *changes,
				  struct qeff_error *err)
{
	struct target t = { .graph = graph, .options = options, .err = err };
	int ret;

	t.routes = routes(graph, (uint32_t)options->num_loras + 1);
	ret = qeff_graph_status(graph, err);
	for (size_t i = 0; !ret && i < options->num_loras; i++)
		for (size_t p = 0; !ret && p < options->loras[i].num_pairs; p++)
			ret = adapt_module(&t, i, &options->loras[i].pairs[p]);
	if (changes)
		*changes = t.changes;
	return ret ? ret : qeff_graph_finish(graph, err);
}
