/* SPDX-License-Identifier: MIT */
/*
 * Selection: a bound graph becomes operations of the NSP program, in an order in which each stands
 * behind what it reads. A node that matches nothing here is refused by its name and operator.
 */
#include "lower/dense.h"
#include "graph/ops.h"
#include "lower/plain.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int qeff_select_refuse(struct select *s, const struct qeff_node *node, const char *format, ...)
{
	char reason[256];
	va_list args;

	va_start(args, format);
	vsnprintf(reason, sizeof(reason), format, args);
	va_end(args);
	if (!node)
		return qeff_error_set(s->err, -ENOTSUP, "graph %s cannot be lowered: %s",
				      s->graph->name, reason);
	return qeff_error_set(s->err, -ENOTSUP, "node %s (%s%s%s) cannot be lowered: %s",
			      node->name, node->domain, *node->domain ? "." : "", node->op_type,
			      reason);
}

int64_t qeff_select_dim(const struct qeff_value *value, uint32_t dim)
{
	return value && dim < value->shape.rank ? value->shape.dims[dim].size : 0;
}

struct lower_op *qeff_select_op(struct select *s, const struct qeff_node *node,
				enum qeff_nsp_code code, uint8_t domain)
{
	struct lower_op *op;

	if (s->spec->num_ops == LOWER_MAX_OPS)
		return NULL; /* too_many() says so */
	op = LOWER_GROW(s->spec->ops, s->spec->num_ops);
	if (!op) {
		lower_no_memory(s->err);
		return NULL;
	}
	op->nsp.code = code;
	op->nsp.domain = domain;
	op->nsp.rows =
		domain == QEFF_NSP_ROWS_SEGMENTS ? s->spec->batch : s->spec->batch * s->spec->seq;
	op->name = node ? node->outputs[0]->name : "rows";
	op->state[0] = op->state[1] = LOWER_NONE;
	op->weight = LOWER_NONE;
	return op;
}

uint32_t qeff_select_tensor(const struct select *s, const struct qeff_value *value)
{
	const struct select_slot *slot = value ? &s->slots[value->index] : NULL;

	return slot && slot->kind == SLOT_TENSOR ? slot->index : LOWER_NONE;
}

int qeff_select_input(struct select *s, const struct qeff_node *node, uint32_t index,
		      uint32_t *tensor)
{
	*tensor = qeff_select_tensor(s, qeff_node_input(node, index));
	if (*tensor == LOWER_NONE)
		return qeff_select_refuse(s, node, "input %u is not an activation", index);
	return 0;
}

void qeff_select_read(struct lower_op *op, uint32_t operand, uint32_t tensor)
{
	op->in[operand] = (struct lower_ref){ LOWER_REF_TENSOR, tensor };
}

int qeff_select_write(struct select *s, struct lower_op *op, const struct qeff_value *value,
		      uint8_t domain, uint32_t width, bool head_major)
{
	struct lower_tensor *tensor;
	uint32_t rows = op->nsp.rows;

	if (!width || width > QEFF_NSP_MAX_WIDTH)
		return qeff_error_set(s->err, -EFBIG, "%s: rows of %u numbers", value->name, width);
	tensor = LOWER_GROW(s->spec->tensors, s->spec->num_tensors);
	if (!tensor)
		return lower_no_memory(s->err);
	tensor->domain = domain;
	tensor->rows = rows;
	tensor->width = width;
	tensor->stride_bytes = (width * 4 + LOWER_TENSOR_ALIGNMENT - 1) & -LOWER_TENSOR_ALIGNMENT;
	op->out = (struct lower_ref){ LOWER_REF_TENSOR, s->spec->num_tensors - 1 };
	s->slots[value->index] =
		(struct select_slot){ SLOT_TENSOR, head_major, s->spec->num_tensors - 1 };
	return 0;
}

static int select_gather(struct select *s, const struct qeff_node *node)
{
	const struct qeff_value *table = qeff_node_input(node, 0);
	const struct qeff_value *indices = qeff_node_input(node, 1);
	bool by_position = indices == s->positions;
	struct lower_op *op;
	uint32_t entries, width;
	int rc;

	if (qeff_node_int(node, "axis", 0) != 0 || !qeff_select_is_float(table) ||
	    table->shape.rank != 2)
		return qeff_select_refuse(s, node,
					  "a lookup is along axis 0 of a matrix of weights");
	if (!by_position && !qeff_select_is_tokens(s, indices))
		return qeff_select_refuse(s, node,
					  "%s is neither position_ids nor an input of tokens",
					  indices->name);
	entries = (uint32_t)qeff_select_dim(table, 0);
	width = (uint32_t)qeff_select_dim(table, 1);
	if (by_position && entries < s->spec->positions)
		return qeff_select_refuse(s, node, "%s has %u positions, %u are needed",
					  table->name, entries, s->spec->positions);
	op = qeff_select_op(s, node, QEFF_NSP_GATHER, QEFF_NSP_ROWS_TOKENS);
	if (!op)
		return -ENOMEM;
	op->nsp.u.gather.entries = entries;
	op->nsp.u.gather.width = width;
	op->nsp.u.gather.scale = 1;
	op->nsp.u.gather.from_position = by_position;
	if (!by_position)
		op->in[0] = qeff_select_binding(s, indices);
	/* Every NSP sees small tables; a vocabulary is packed and spread, and a tied head shares
	 * it. */
	if (by_position || entries <= QEFF_NSP_PANEL) {
		rc = qeff_select_table(s, node, table, entries, width, &op->in[1]);
	} else {
		op->nsp.u.gather.packed = 1;
		rc = qeff_select_weight(s, node, table, false, true, &op->weight);
	}
	if (rc)
		return rc;
	return qeff_select_write(s, op, node->outputs[0], QEFF_NSP_ROWS_TOKENS, width, false);
}

/* The row of a table that the number of a token's sequence names. */
static int select_sequence_gather(struct select *s, const struct qeff_node *node)
{
	const struct qeff_value *table = qeff_node_input(node, 0), *ids = qeff_node_input(node, 1);
	struct lower_op *op;
	int rc;

	if (!ids->is_input || qeff_node_input(node, 2) != s->positions)
		return qeff_select_refuse(s, node, "%s is no input of sequences at position_ids",
					  ids->name);
	op = qeff_select_op(s, node, QEFF_NSP_GATHER, QEFF_NSP_ROWS_TOKENS);
	if (!op)
		return -ENOMEM;
	op->nsp.u.gather.entries = (uint32_t)qeff_select_dim(table, 0);
	op->nsp.u.gather.width = (uint32_t)qeff_select_dim(table, 1);
	op->nsp.u.gather.scale = 1;
	op->nsp.u.gather.from_position = 3;
	op->in[0] = qeff_select_binding(s, ids);
	rc = qeff_select_table(s, node, table, op->nsp.u.gather.entries, op->nsp.u.gather.width,
			       &op->in[1]);
	if (rc)
		return rc;
	return qeff_select_write(s, op, node->outputs[0], QEFF_NSP_ROWS_TOKENS,
				 op->nsp.u.gather.width, false);
}

static int select_norm(struct select *s, const struct qeff_node *node, uint8_t kind)
{
	const struct qeff_value *x = qeff_node_input(node, 0);
	const struct lower_tensor *tensor;
	uint32_t in, width, total;
	struct lower_op *op;
	uint8_t domain;
	int rc = qeff_select_input(s, node, 0, &in);

	if (rc)
		return rc;
	if (kind == QEFF_NSP_NORM_LAYER && qeff_node_int(node, "axis", -1) != -1 &&
	    qeff_node_int(node, "axis", -1) != (int64_t)x->shape.rank - 1)
		return qeff_select_refuse(s, node, "only the last axis can be normalised");
	tensor = &s->spec->tensors[in];
	total = tensor->width;
	domain = tensor->domain;
	width = (uint32_t)qeff_select_dim(x, x->shape.rank - 1);
	if (!width || total % width)
		return qeff_select_refuse(s, node, "rows of %u in groups of %u", total, width);
	op = qeff_select_op(s, node, QEFF_NSP_NORM, domain);
	if (!op)
		return -ENOMEM;
	op->nsp.u.norm.width = width;
	op->nsp.u.norm.groups = total / width;
	op->nsp.u.norm.kind = kind;
	op->nsp.u.norm.epsilon =
		qeff_node_float(node, "epsilon", kind == QEFF_NSP_NORM_L2 ? 1e-12f : 1e-5f);
	qeff_select_read(op, 0, in);
	if (kind != QEFF_NSP_NORM_L2)
		rc = qeff_select_table(s, node, qeff_node_input(node, 1), 1, width, &op->in[1]);
	if (!rc && qeff_node_input(node, 2))
		rc = qeff_select_table(s, node, qeff_node_input(node, 2), 1, width, &op->in[2]);
	if (rc)
		return rc;
	return qeff_select_write(s, op, node->outputs[0], domain, total,
				 s->slots[x->index].head_major);
}

static int select_rms_norm(struct select *s, const struct qeff_node *node)
{
	return select_norm(s, node, QEFF_NSP_NORM_RMS);
}

static int select_layer_norm(struct select *s, const struct qeff_node *node)
{
	return select_norm(s, node, QEFF_NSP_NORM_LAYER);
}

static int select_l2_norm(struct select *s, const struct qeff_node *node)
{
	return select_norm(s, node, QEFF_NSP_NORM_L2);
}

/* [batch, seq, heads, dim] <-> [batch, heads, seq, dim]: the same compacted rows. */
static int select_transpose(struct select *s, const struct qeff_node *node)
{
	const struct qeff_attribute *perm = qeff_node_attribute(node, "perm");
	const struct qeff_value *x = qeff_node_input(node, 0);
	static const int64_t swap[] = { 0, 2, 1, 3 };

	if (lower_is_view(x))
		return 0; /* its readers look through it */
	if (!perm || perm->count != 4 || memcmp(perm->ints, swap, sizeof(swap)) ||
	    qeff_select_tensor(s, x) == LOWER_NONE)
		return qeff_select_refuse(s, node, "only heads and positions can change places");
	s->slots[node->outputs[0]->index] = s->slots[x->index];
	s->slots[node->outputs[0]->index].head_major = !s->slots[x->index].head_major;
	return 0;
}

static int select_reshape(struct select *s, const struct qeff_node *node)
{
	const struct qeff_value *x = qeff_node_input(node, 0);
	const struct qeff_value *y = node->outputs[0];

	if (lower_is_view(x))
		return 0;
	if (qeff_select_tensor(s, x) == LOWER_NONE || s->slots[x->index].head_major ||
	    x->shape.rank < 2 || y->shape.rank < 2 ||
	    qeff_select_dim(x, 0) != qeff_select_dim(y, 0) ||
	    qeff_select_dim(x, 1) != qeff_select_dim(y, 1))
		return qeff_select_refuse(s, node, "only columns can be split or merged");
	s->slots[y->index] = s->slots[x->index];
	return 0;
}

static int select_concat(struct select *s, const struct qeff_node *node)
{
	for (uint32_t i = 0; i < node->num_inputs; i++)
		if (!lower_is_view(node->inputs[i]))
			return qeff_select_refuse(s, node, "only weights can be put together");
	return 0;
}

/* Its readers unpack it. */
static int select_dequantize(struct select *s, const struct qeff_node *node)
{
	if (lower_is_view(node->outputs[0]))
		return 0;
	return qeff_select_refuse(s, node, "only weights of the checkpoint can be in MXFP4");
}

static int select_slice(struct select *s, const struct qeff_node *node)
{
	if (lower_is_view(qeff_node_input(node, 0)))
		return 0;
	return qeff_select_refuse(s, node, "only weights can be cut");
}

static int reduce(struct select *s, const struct qeff_node *node, uint8_t kind)
{
	struct lower_op *op;
	uint32_t in, width;
	int rc = qeff_select_input(s, node, 0, &in);

	if (rc)
		return rc;
	if (s->spec->tensors[in].domain != QEFF_NSP_ROWS_TOKENS ||
	    qeff_node_input(node, 1) != s->positions)
		return qeff_select_refuse(s, node, "it reduces rows of tokens at position_ids");
	width = s->spec->tensors[in].width;
	op = qeff_select_op(s, node, QEFF_NSP_REDUCE, QEFF_NSP_ROWS_SEGMENTS);
	if (!op)
		return -ENOMEM;
	op->nsp.u.reduce.width = width;
	op->nsp.u.reduce.kind = kind;
	qeff_select_read(op, 0, in);
	return qeff_select_write(s, op, node->outputs[0], QEFF_NSP_ROWS_SEGMENTS, width, false);
}

static int select_last_token(struct select *s, const struct qeff_node *node)
{
	return reduce(s, node, QEFF_NSP_REDUCE_LAST);
}

/* All rows, or the last one of each segment: what a step of speculative decoding or of prefill
 * wants. */
static int select_last_tokens(struct select *s, const struct qeff_node *node)
{
	const struct qeff_value *x = qeff_node_input(node, 0);
	int64_t keep = qeff_select_dim(node->outputs[0], 1);

	if (keep == 1)
		return reduce(s, node, QEFF_NSP_REDUCE_LAST);
	if (keep != (int64_t)s->spec->seq || qeff_select_tensor(s, x) == LOWER_NONE ||
	    s->slots[x->index].head_major || qeff_node_input(node, 1) != s->positions)
		return qeff_select_refuse(s, node,
					  "num_logits_to_keep is %lld: 1 or seq_len, which is %u, "
					  "are possible",
					  (long long)keep, s->spec->seq);
	s->slots[node->outputs[0]->index] = s->slots[x->index];
	return 0;
}

static int select_pool(struct select *s, const struct qeff_node *node)
{
	static const struct {
		const char *mode;
		uint8_t kind;
	} modes[] = {
		{ "mean", QEFF_NSP_REDUCE_MEAN },
		{ "max", QEFF_NSP_REDUCE_MAX },
		{ "cls", QEFF_NSP_REDUCE_FIRST },
		{ "last", QEFF_NSP_REDUCE_LAST },
	};
	const char *mode = qeff_node_string(node, "mode", "");

	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
		if (!strcmp(mode, modes[i].mode))
			return reduce(s, node, modes[i].kind);
	return qeff_select_refuse(s, node, "pooling \"%s\" is unknown", mode);
}

/* ROWS has it already. */
static int select_positions(struct select *s, const struct qeff_node *node)
{
	if (node->outputs[0] != s->positions)
		return qeff_select_refuse(s, node, "a second source of positions");
	return 0;
}

static const struct {
	const char *op;
	int (*select)(struct select *s, const struct qeff_node *node);
} handlers[] = {
	{ "ArgMax", qeff_select_arg_max },
	{ "Concat", select_concat },
	{ "Gather", select_gather },
	{ "LayerNormalization", select_layer_norm },
	{ "Reshape", select_reshape },
	{ "Slice", select_slice },
	{ "Transpose", select_transpose },
	{ "qeff.Attention", qeff_select_attention },
	{ "qeff.DisentangledAttention", qeff_select_disentangled },
	{ "qeff.CtxGather", qeff_select_cache },
	{ "qeff.CtxScatter", qeff_select_scatter },
	{ "qeff.DequantizeMXFP4", select_dequantize },
	{ "qeff.L2Normalize", select_l2_norm },
	{ "qeff.LastToken", select_last_token },
	{ "qeff.LastTokens", select_last_tokens },
	{ "qeff.Mark", qeff_select_mark },
	{ "qeff.MaskToColumns", select_positions },
	{ "qeff.MaskToPositions", select_positions },
	{ "qeff.Penalise", qeff_select_penalise },
	{ "qeff.Pool", select_pool },
	{ "qeff.Probabilities", qeff_select_probabilities },
	{ "qeff.RMSNorm", select_rms_norm },
	{ "qeff.RotaryEmbedding", qeff_select_rotary },
	{ "qeff.Route", qeff_select_route },
	{ "qeff.Sample", qeff_select_sample },
	{ "qeff.SequenceGather", select_sequence_gather },
};

static int select_fast(struct select *s, const struct qeff_node *node)
{
	uint32_t index = node->outputs[0]->index;
	int rc;

	if (s->matmul_of[index])
		return qeff_select_emit_product(s, &s->matmuls[s->matmul_of[index] - 1]);
	for (size_t i = 0; i < sizeof(handlers) / sizeof(handlers[0]); i++)
		if (qeff_node_is(node, handlers[i].op))
			return handlers[i].select(s, node);
	rc = qeff_select_pointwise(s, node);
	if (rc == 1)
		return qeff_select_refuse(s, node, "the operator is not known here");
	return rc;
}

int qeff_select_plain(struct select *s, const struct qeff_node *node)
{
	int rc = qeff_plain_lower(s, node);

	if (rc == 1)
		return qeff_select_refuse(s, node, "the operator is not known here");
	return rc;
}

/* How far the lowering had come: what a fast path added before it refused goes again. */
struct progress {
	uint32_t ops, tensors, tables, weights, instructions, nests, raws;
};

static struct progress progress(const struct select *s)
{
	return (struct progress){
		s->spec->num_ops,	s->spec->num_tensors, s->l->num_tables, s->l->num_weights,
		s->l->num_instructions, s->l->num_nests,      s->l->num_raws,
	};
}

static void go_back(struct select *s, const struct progress *to)
{
	for (uint32_t i = to->weights; i < s->l->num_weights; i++)
		free(s->l->weights[i].pieces);
	for (uint32_t i = to->raws; i < s->l->num_raws; i++)
		free(s->l->raws[i].owned);
	s->spec->num_ops = to->ops;
	s->spec->num_tensors = to->tensors;
	s->l->num_tables = to->tables;
	s->l->num_weights = to->weights;
	s->l->num_instructions = to->instructions;
	s->l->num_nests = to->nests;
	s->l->num_raws = to->raws;
}

static int plain_or_product(struct select *s, const struct qeff_node *node,
			    const struct select_matmul *product)
{
	int rc = qeff_select_dense_product(s, node, product);

	return rc == 1 ? qeff_select_plain(s, node) : rc;
}

/* A product that is none of rows and weights: by a weight, with bias and function; or one node
 * after the other. */
static int plain_chain(struct select *s, const struct qeff_node *node)
{
	uint32_t index = s->matmul_of[node->outputs[0]->index];
	const struct select_matmul *m = index ? &s->matmuls[index - 1] : NULL;
	int rc = 1;

	if (!m)
		return plain_or_product(s, node, NULL);
	if (!m->mul && !m->add)
		rc = qeff_select_dense_product(s, m->node, m);
	if (rc != 1)
		return rc;
	for (uint32_t i = 0; i < m->num_chain; i++) {
		rc = plain_or_product(s, m->chain[i], NULL);
		if (rc)
			return rc;
	}
	return plain_or_product(s, node, NULL);
}

static bool has_plain(const struct select *s, const struct qeff_node *node)
{
	uint32_t product = s->matmul_of[node->outputs[0]->index];

	if (product)
		node = s->matmuls[product - 1].node;
	return qeff_plain_has(node->op->name);
}

/* The fast way, if @node reads rows and there is one; else the plain way. */
static int select_node(struct select *s, const struct qeff_node *node)
{
	const struct progress before = progress(s);
	int rc = -ENOTSUP;

	/* Readers look through views of weights, or take them by dense_value(). */
	if (s->absorbed[node->outputs[0]->index] || lower_is_view(node->outputs[0]))
		return 0;
	if (s->positions || !has_plain(s, node)) {
		rc = select_fast(s, node);
		if (rc != -ENOTSUP || !has_plain(s, node))
			return rc;
		go_back(s, &before);
	}
	return plain_chain(s, node);
}

static int dense_to_output(struct select *s, const struct qeff_value *value, uint32_t index)
{
	struct dense_view from, to;
	int rc = dense_value(s, value->producer, value, &from);
	uint32_t binding = s->l->num_inputs + index, ops = s->spec->num_ops;

	if (rc || (from.at.kind == LOWER_REF_BINDING && from.at.index == binding))
		return rc;
	to = from;
	to.at = (struct lower_ref){ LOWER_REF_BINDING, binding };
	to.type = s->l->bindings[binding].type;
	to.offset = 0;
	for (uint32_t i = to.rank; i--;)
		to.stride[i] = i + 1 == to.rank ? 1 : to.stride[i + 1] * to.size[i + 1];
	rc = dense_copy(s, value->producer, &from, &to);
	for (; ops < s->spec->num_ops; ops++)
		s->spec->ops[ops].name = value->name;
	return rc;
}

/* Copies what an output has become to where the application sees it. */
static int select_output(struct select *s, uint32_t index)
{
	const struct qeff_value *value = s->graph->outputs[index];
	const struct select_slot *slot = &s->slots[value->index];
	const struct lower_tensor *tensor;
	struct lower_op *op;
	uint64_t elements;
	uint32_t out_rows;

	if (slot->kind == SLOT_STATE)
		return 0;
	if (slot->kind != SLOT_TENSOR || slot->head_major)
		return dense_to_output(s, value, index);
	tensor = &s->spec->tensors[slot->index];
	out_rows = tensor->domain == QEFF_NSP_ROWS_SEGMENTS ? s->spec->batch
							    : s->spec->batch * s->spec->seq;
	if (!qeff_graph_shape_elements(&value->shape, &elements) ||
	    elements != (uint64_t)out_rows * tensor->width)
		return qeff_error_set(s->err, -ENOTSUP, "output %s has other numbers than %u x %u",
				      value->name, out_rows, tensor->width);
	op = qeff_select_op(s, value->producer, QEFF_NSP_COPY, tensor->domain);
	if (!op)
		return -ENOMEM;
	op->nsp.u.copy.width = tensor->width;
	op->nsp.u.copy.out_rows = out_rows;
	op->name = value->name;
	qeff_select_read(op, 0, slot->index);
	op->out = (struct lower_ref){ LOWER_REF_BINDING, s->l->num_inputs + index };
	return 0;
}

/* What failed for want of room for operations, not of memory. */
static int too_many(const struct select *s, const struct qeff_value *made)
{
	const struct qeff_node *node = made->producer;

	return qeff_error_set(s->err, -EFBIG,
			      "node %s (%s) cannot be lowered: the graph takes more than %u "
			      "operations up to here, each step of what is unrolled counting",
			      made->name, node ? node->op->name : "none", LOWER_MAX_OPS);
}

int qeff_lower_select(struct qeff_lowering *l, uint32_t spec, const struct qeff_graph *graph,
		      struct qeff_error *err)
{
	struct select s = { .l = l, .spec = &l->specs[spec], .graph = graph, .err = err };
	uint32_t values = graph->num_values ? graph->num_values : 1;
	int rc;

	s.slots = calloc(values, sizeof(*s.slots));
	s.absorbed = calloc(values, sizeof(*s.absorbed));
	s.matmul_of = calloc(values, sizeof(*s.matmul_of));
	s.dense = calloc(values, sizeof(*s.dense));
	rc = s.slots && s.absorbed && s.matmul_of && s.dense ? 0 : lower_no_memory(err);
	if (!rc)
		rc = qeff_select_rows(&s);
	if (!rc)
		rc = qeff_select_products(&s);
	for (uint32_t i = 0; !rc && i < graph->num_nodes; i++) {
		rc = select_node(&s, graph->nodes[i]);
		if (rc == -ENOMEM && s.spec->num_ops == LOWER_MAX_OPS)
			rc = too_many(&s, graph->nodes[i]->outputs[0]);
	}
	for (uint32_t i = 0; !rc && i < graph->num_outputs; i++) {
		rc = select_output(&s, i);
		if (rc == -ENOMEM && s.spec->num_ops == LOWER_MAX_OPS)
			rc = too_many(&s, graph->outputs[i]);
	}
	free(s.matmuls);
	free(s.matmul_of);
	free(s.absorbed);
	free(s.dense);
	free(s.slots);
	return rc;
}
