/* SPDX-License-Identifier: MIT */
/*
 * Matrix products, and what follows them in the same operation: bias, a function of one number, the
 * product with another activation (a gate), the sum with another one (a residual), in this order,
 * each only where nothing else reads the number in between. The operation stands where the last
 * node of the chain stood, so that all it reads is there.
 */
#include "lower/select.h"

#include <string.h>

/* The one node that reads @value. */
static const struct qeff_node *sole_user(const struct qeff_value *value)
{
	return value->num_users == 1 && !value->is_output ? value->users[0] : NULL;
}

static const struct qeff_value *other_input(const struct qeff_node *node,
					    const struct qeff_value *value)
{
	return qeff_node_input(node, qeff_node_input(node, 0) == value ? 1 : 0);
}

bool qeff_select_function(const struct qeff_node *node, uint8_t *function)
{
	static const struct {
		const char *op;
		uint8_t function;
	} functions[] = {
		{ "Abs", QEFF_NSP_ABS },   { "Erf", QEFF_NSP_ERF },
		{ "Exp", QEFF_NSP_EXP },   { "Log", QEFF_NSP_LOG },
		{ "Neg", QEFF_NSP_NEG },   { "Reciprocal", QEFF_NSP_RECIPROCAL },
		{ "Relu", QEFF_NSP_RELU }, { "Sigmoid", QEFF_NSP_SIGMOID },
		{ "Sqrt", QEFF_NSP_SQRT }, { "Tanh", QEFF_NSP_TANH },
	};

	if (qeff_node_is(node, "Gelu")) {
		const char *approximate = qeff_node_string(node, "approximate", "none");

		*function = strcmp(approximate, "tanh") ? QEFF_NSP_GELU_ERF : QEFF_NSP_GELU_TANH;
		return !strcmp(approximate, "tanh") || !strcmp(approximate, "none");
	}
	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++)
		if (qeff_node_is(node, functions[i].op)) {
			*function = functions[i].function;
			return true;
		}
	return false;
}

/* x * sigmoid(x), and nothing else reads x: returns the Mul. */
static const struct qeff_node *silu_of(const struct qeff_value *x)
{
	const struct qeff_node *sigmoid, *mul;

	if (x->num_users != 2 || x->is_output)
		return NULL;
	sigmoid = x->users[qeff_node_is(x->users[0], "Sigmoid") ? 0 : 1];
	mul = x->users[x->users[0] == sigmoid ? 1 : 0];
	if (!qeff_node_is(sigmoid, "Sigmoid") || !qeff_node_is(mul, "Mul") ||
	    sole_user(sigmoid->outputs[0]) != mul)
		return NULL;
	return mul;
}

/* An activation of the same shape as @value, so that element meets element. */
static bool is_companion(const struct qeff_value *other, const struct qeff_value *value)
{
	if (other->is_initialiser || other->shape.rank != value->shape.rank)
		return false;
	for (uint32_t i = 0; i < value->shape.rank; i++)
		if (other->shape.dims[i].size != value->shape.dims[i].size)
			return false;
	return true;
}

static void advance(struct select *s, struct select_matmul *m, const struct qeff_node *node)
{
	s->absorbed[m->last->index] = true;
	m->chain[m->num_chain++] = m->last->producer;
	m->last = node->outputs[0];
}

/* The next node of the chain, if it is a @op that no other product has taken in. */
static const struct qeff_node *next_if(struct select *s, const struct select_matmul *m,
				       const char *op)
{
	const struct qeff_node *node = sole_user(m->last);

	if (!qeff_node_is(node, op) || s->absorbed[node->outputs[0]->index] ||
	    s->matmul_of[node->outputs[0]->index])
		return NULL;
	return node;
}

/* The bias of a product: a vector of weights. */
static void absorb_bias(struct select *s, struct select_matmul *m)
{
	int64_t outputs = qeff_select_dim(m->last, m->last->shape.rank - 1);
	const struct qeff_node *node = next_if(s, m, "Add");
	const struct qeff_value *other = node ? other_input(node, m->last) : NULL;
	uint64_t elements;

	if (qeff_select_is_float(other) && qeff_graph_shape_elements(&other->shape, &elements) &&
	    (int64_t)elements == outputs &&
	    qeff_select_dim(other, other->shape.rank - 1) == outputs) {
		m->bias = other;
		advance(s, m, node);
	}
}

static void absorb_function(struct select *s, struct select_matmul *m)
{
	const struct qeff_node *node = silu_of(m->last);

	if (node) {
		const struct qeff_value *x = m->last;

		for (uint32_t i = 0; i < 2; i++)
			if (x->users[i] != node)
				s->absorbed[x->users[i]->outputs[0]->index] = true;
		m->function = QEFF_NSP_SILU;
		advance(s, m, node);
		m->chain[m->num_chain++] = node->inputs[node->inputs[0] == x]->producer;
		return;
	}
	node = sole_user(m->last);
	if (node && qeff_select_function(node, &m->function))
		advance(s, m, node);
}

/* A @op with another activation, which becomes *@companion. */
static void absorb_companion(struct select *s, struct select_matmul *m, const char *op,
			     const struct qeff_value **companion)
{
	const struct qeff_node *node = next_if(s, m, op);
	const struct qeff_value *other = node ? other_input(node, m->last) : NULL;

	if (other && is_companion(other, m->last)) {
		*companion = other;
		advance(s, m, node);
	}
}

int qeff_select_products(struct select *s)
{
	for (uint32_t i = 0; i < s->graph->num_nodes; i++) {
		const struct qeff_node *node = s->graph->nodes[i];
		struct select_matmul *m;

		bool product = qeff_node_is(node, "MatMul");
		bool experts = qeff_node_is(node, "qeff.Experts");
		bool mix = qeff_node_is(node, "qeff.Mix");

		if (!product && !experts && !mix)
			continue;
		m = LOWER_GROW(s->matmuls, s->num_matmuls);
		if (!m)
			return lower_no_memory(s->err);
		m->node = node;
		m->last = node->outputs[0];
		if (product)
			absorb_bias(s, m);
		if (product || experts) {
			absorb_function(s, m);
			absorb_companion(s, m, "Mul", &m->mul);
		}
		if (product || mix)
			absorb_companion(s, m, "Add", &m->add);
		s->matmul_of[m->last->index] = s->num_matmuls;
	}
	return 0;
}

int qeff_select_companion(struct select *s, const struct select_matmul *m, struct lower_op *op,
			  uint32_t operand, const struct qeff_value *value)
{
	uint32_t tensor = qeff_select_tensor(s, value);

	if (tensor == LOWER_NONE || s->spec->tensors[tensor].domain != op->nsp.domain ||
	    s->slots[value->index].head_major)
		return qeff_select_refuse(s, m->last->producer, "%s has other rows than %s",
					  value->name, m->node->name);
	qeff_select_read(op, operand, tensor);
	return 0;
}

/* Whether queries, keys or routes are made of @value: what its readers make of it goes into scores.
 */
static bool makes_scores(const struct qeff_value *value)
{
	static const char *const passing[] = { "Add",
					       "Reshape",
					       "Transpose",
					       "qeff.RMSNorm",
					       "LayerNormalization",
					       "qeff.RotaryEmbedding",
					       "qeff.CtxScatter",
					       "qeff.CtxGather" };

	for (int steps = 0; steps < 16 && value->num_users == 1; steps++) {
		const struct qeff_node *user = value->users[0];
		bool passes = false;

		if (qeff_node_is(user, "qeff.Attention"))
			return qeff_node_input(user, 0) == value ||
			       qeff_node_input(user, 1) == value;
		if (qeff_node_is(user, "qeff.Route"))
			return true;
		for (size_t i = 0; i < sizeof(passing) / sizeof(passing[0]); i++)
			passes |= qeff_node_is(user, passing[i]);
		if (!passes)
			return false;
		value = user->outputs[0];
	}
	return false;
}

/* Routes jump where scores are close: they are worth a matrix that is not int8. */
static bool makes_routes(const struct select_matmul *m)
{
	return qeff_node_is(sole_user(m->last), "qeff.Route");
}

int qeff_select_emit_product(struct select *s, const struct select_matmul *m)
{
	const struct qeff_value *weight;
	const struct lower_weight *w;
	struct lower_op *op;
	uint32_t in, outputs;
	uint8_t domain;
	int rc;

	if (qeff_node_is(m->node, "qeff.Experts"))
		return qeff_select_emit_experts(s, m);
	if (qeff_node_is(m->node, "qeff.Mix"))
		return qeff_select_emit_mix(s, m);
	rc = qeff_select_input(s, m->node, 0, &in);

	if (rc)
		return rc;
	weight = qeff_node_input(m->node, 1);
	if (!lower_is_view(weight) || s->slots[qeff_node_input(m->node, 0)->index].head_major)
		return qeff_select_refuse(s, m->node,
					  "it multiplies rows by a weight of the checkpoint only");
	domain = s->spec->tensors[in].domain;
	op = qeff_select_op(s, m->node, QEFF_NSP_MATMUL, domain);
	if (!op)
		return -ENOMEM;
	rc = qeff_select_weight(s, m->node, weight, true, makes_routes(m), &op->weight);
	if (rc)
		return rc;
	w = &s->l->weights[op->weight];
	if (w->inputs != s->spec->tensors[in].width)
		return qeff_select_refuse(s, m->node, "rows of %u meet a weight of %u inputs",
					  s->spec->tensors[in].width, w->inputs);
	outputs = w->outputs;
	op->nsp.u.matmul.inputs = w->inputs;
	op->nsp.u.matmul.outputs = outputs;
	op->nsp.u.matmul.weight_type = w->type;
	op->nsp.u.matmul.scale_group = w->scale_group;
	op->nsp.u.matmul.function = m->function;
	/* A softmax makes much of little: what it sees is not rounded. */
	op->nsp.u.matmul.exact =
		w->type == QEFF_NSP_BF16 && (s->l->precision != QEFF_LOWER_BF16 || m->node->fp32 ||
					     makes_scores(m->node->outputs[0]));
	qeff_select_read(op, 0, in);
	if (m->bias)
		rc = qeff_select_table(s, m->node, m->bias, 1, outputs, &op->in[1]);
	if (!rc && m->mul)
		rc = qeff_select_companion(s, m, op, 2, m->mul);
	if (!rc && m->add)
		rc = qeff_select_companion(s, m, op, 3, m->add);
	if (rc)
		return rc;
	return qeff_select_write(s, op, m->last, domain, outputs, false);
}
