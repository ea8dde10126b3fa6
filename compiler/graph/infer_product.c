/* SPDX-License-Identifier: MIT */
/* What products of matrices, Einsum, recurrent layers and losses make of types and shapes. */
#include "graph/forms.h"
#include "graph/infer_check.h"

#include <string.h>

#define ANY_RANK UINT32_MAX
#define MAX_RANK QEFF_GRAPH_MAX_RANK

int infer_gemm(const struct qeff_node *node, struct qeff_op_result *result, struct qeff_error *err)
{
	const struct qeff_graph_shape *a = infer_shape_of(node, 0), *b = infer_shape_of(node, 1);
	bool ta = qeff_node_int(node, "transA", 0), tb = qeff_node_int(node, "transB", 0);
	struct qeff_graph_shape wide;

	if (a->rank != 2)
		return infer_wrong(node, 0, "a matrix", err);
	if (b->rank != 2 || node->inputs[1]->type != node->inputs[0]->type ||
	    !qeff_dim_equal(&a->dims[!ta], &b->dims[tb]))
		return infer_wrong(node, 1, "a matrix that fits input 0", err);
	result->type = node->inputs[0]->type;
	result->shape.rank = 2;
	result->shape.dims[0] = a->dims[ta];
	result->shape.dims[1] = b->dims[!tb];
	if (qeff_node_input(node, 2) &&
	    (!infer_broadcast(&result->shape, infer_shape_of(node, 2), &wide) || wide.rank != 2 ||
	     !qeff_dim_equal(&wide.dims[0], &result->shape.dims[0]) ||
	     !qeff_dim_equal(&wide.dims[1], &result->shape.dims[1])))
		return infer_wrong(node, 2, "a shape that stretches to the product", err);
	return 0;
}

static int product(const struct qeff_node *node, uint32_t b, struct qeff_op_result *result,
		   struct qeff_error *err)
{
	if (infer_need_type(node, b, QEFF_TYPES_BYTE, ANY_RANK, NULL, NULL) ||
	    !infer_product(infer_shape_of(node, 0), infer_shape_of(node, b), &result->shape))
		return infer_wrong(node, b, "bytes that fit input 0", err);
	return 0;
}

int infer_matmul_integer(const struct qeff_node *node, struct qeff_op_result *result,
			 struct qeff_error *err)
{
	result->type = QEFF_GRAPH_I32;
	return product(node, 1, result, err);
}

/* a, scale, zero; b, scale, zero; y's scale, zero */
int infer_qlinear_matmul(const struct qeff_node *node, struct qeff_op_result *result,
			 struct qeff_error *err)
{
	result->type = node->inputs[7]->type;
	return product(node, 3, result, err);
}

int infer_det(const struct qeff_node *node, struct qeff_op_result *result, struct qeff_error *err)
{
	infer_same_as(node, 0, result);
	if (result->shape.rank < 2 || !qeff_dim_equal(&result->shape.dims[result->shape.rank - 1],
						      &result->shape.dims[result->shape.rank - 2]))
		return infer_wrong(node, 0, "square matrices", err);
	result->shape.rank -= 2;
	return infer_need_bound(node, 0, err);
}

/*
 * Einsum's equation. Letters become labels in the order in which they are met; the dimensions of
 * an ellipsis are labels of their own, counted from its end.
 */
struct equation {
	struct qeff_einsum *e;
	int8_t of_letter[128];
	int8_t of_ellipsis[MAX_RANK]; /* [0]: its last dimension */
	uint32_t ellipsis_rank;
};

static int new_label(struct equation *q, int64_t size, int8_t *label)
{
	struct qeff_einsum *e = q->e;

	if (*label < 0) {
		if (e->num_labels == QEFF_EINSUM_LABELS)
			return -ENOTSUP;
		*label = (int8_t)e->num_labels;
		e->size[e->num_labels++] = size;
	}
	if (e->size[*label] == 1)
		e->size[*label] = size;
	return size == 1 || size == e->size[*label] ? 0 : -EINVAL;
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* The letters of one input, up to a comma or the arrow. */
static int read_term(struct equation *q, const char **text, uint32_t input,
		     const struct qeff_graph_shape *shape)
{
	uint32_t letters = 0, dim = 0, hidden;

	for (const char *c = *text; *c && *c != ',' && *c != '-'; c++)
		letters += is_letter(*c);
	if (letters > shape->rank)
		return -EINVAL;
	hidden = shape->rank - letters;
	for (; **text && **text != ',' && **text != '-'; (*text)++) {
		int rc = 0;

		if (is_letter(**text)) {
			if (dim >= shape->rank)
				return -EINVAL;
			rc = new_label(q, shape->dims[dim].size, &q->of_letter[(int)**text]);
			q->e->label[input][dim++] = (uint8_t)q->of_letter[(int)**text];
		} else if (!strncmp(*text, "...", 3)) {
			*text += 2;
			if (hidden > q->ellipsis_rank)
				q->ellipsis_rank = hidden;
			for (; hidden && !rc; hidden--, dim++) {
				rc = new_label(q, shape->dims[dim].size,
					       &q->of_ellipsis[hidden - 1]);
				q->e->label[input][dim] = (uint8_t)q->of_ellipsis[hidden - 1];
			}
		} else if (**text != ' ') {
			return -EINVAL;
		}
		if (rc)
			return rc;
	}
	return dim == shape->rank ? 0 : -EINVAL;
}

static int put_out(struct equation *q, uint32_t output, int8_t label)
{
	if (label < 0 || q->e->out_rank == MAX_RANK)
		return -EINVAL;
	q->e->label[output][q->e->out_rank++] = (uint8_t)label;
	return 0;
}

static int read_output(struct equation *q, const char *text, uint32_t output)
{
	int rc = 0;

	for (; *text && !rc; text++) {
		if (is_letter(*text)) {
			rc = put_out(q, output, q->of_letter[(int)*text]);
		} else if (!strncmp(text, "...", 3)) {
			text += 2;
			for (uint32_t i = q->ellipsis_rank; i-- && !rc;)
				rc = put_out(q, output, q->of_ellipsis[i]);
		} else if (*text != ' ') {
			rc = -EINVAL;
		}
	}
	return rc;
}

/* Without an arrow: the ellipsis, then the letters that stand once, in the alphabet's order. */
static int implicit_output(struct equation *q, const char *equation, uint32_t output)
{
	int rc = 0;

	for (uint32_t i = q->ellipsis_rank; i-- && !rc;)
		rc = put_out(q, output, q->of_ellipsis[i]);
	for (char letter = 'A'; letter <= 'z' && !rc; letter++) {
		uint32_t seen = 0;

		for (const char *c = equation; *c; c++)
			seen += is_letter(letter) && *c == letter;
		if (seen == 1)
			rc = put_out(q, output, q->of_letter[(int)letter]);
	}
	return rc;
}

int qeff_op_einsum(const struct qeff_node *node, struct qeff_einsum *e, struct qeff_error *err)
{
	const char *equation = qeff_node_string(node, "equation", ""), *text = equation;
	struct equation q = { .e = e };
	int rc = 0;

	memset(e, 0, sizeof(*e));
	memset(q.of_letter, -1, sizeof(q.of_letter));
	memset(q.of_ellipsis, -1, sizeof(q.of_ellipsis));
	for (uint32_t i = 0; i < node->num_inputs; i++) {
		if (!node->inputs[i])
			return qeff_error_set(err, -EINVAL, "input %u is missing", i);
		rc = infer_need_bound(node, i, err);
		if (rc)
			return rc;
	}
	for (uint32_t i = 0; i < node->num_inputs && !rc; i++) {
		if (i && *text++ != ',')
			rc = -EINVAL;
		else
			rc = read_term(&q, &text, i, infer_shape_of(node, i));
	}
	if (!rc && !strncmp(text, "->", 2))
		rc = read_output(&q, text + 2, node->num_inputs);
	else if (!rc)
		rc = *text ? -EINVAL : implicit_output(&q, equation, node->num_inputs);
	if (!rc)
		return 0;
	return qeff_error_set(err, rc, "the equation \"%s\" %s", equation,
			      rc == -ENOTSUP ? "has too many letters" : "does not fit the inputs");
}

int infer_einsum(const struct qeff_node *node, struct qeff_op_result *result,
		 struct qeff_error *err)
{
	struct qeff_einsum e;
	int ret = qeff_op_einsum(node, &e, err);

	if (ret)
		return ret;
	for (uint32_t i = 1; i < node->num_inputs; i++)
		if (node->inputs[i]->type != node->inputs[0]->type)
			return infer_wrong(node, i, "the type of input 0", err);
	result->type = node->inputs[0]->type;
	result->shape.rank = e.out_rank;
	for (uint32_t i = 0; i < e.out_rank; i++)
		result->shape.dims[i] = qeff_dim_of(e.size[e.label[node->num_inputs][i]]);
	return 0;
}

/*
 * RNN, GRU, LSTM: x [seq, batch, inputs], w [directions, gates * hidden, inputs], r [directions,
 * gates * hidden, hidden], b [directions, 2 * gates * hidden], lengths [batch], initial states
 * [directions, batch, hidden]; with layout 1 the batch comes first in x, y and states.
 */
static int recurrent(const struct qeff_node *node, int64_t gates, struct qeff_op_result *result,
		     struct qeff_error *err)
{
	const struct qeff_graph_shape *x = infer_shape_of(node, 0), *w = infer_shape_of(node, 1);
	const struct qeff_graph_shape *r = infer_shape_of(node, 2);
	int64_t layout = qeff_node_int(node, "layout", 0);
	const char *direction = qeff_node_string(node, "direction", "forward");
	bool both = !strcmp(direction, "bidirectional");
	struct qeff_dim hidden, batch, steps, directions = qeff_dim_of(both ? 2 : 1);

	if (!both && strcmp(direction, "forward") && strcmp(direction, "reverse"))
		return qeff_error_set(err, -EINVAL, "attribute \"direction\" is \"%s\"", direction);
	if (x->rank != 3 || infer_need_bound(node, 0, NULL) || layout < 0 || layout > 1)
		return infer_wrong(node, 0, "[seq, batch, inputs], or batch first in layout 1",
				   err);
	batch = x->dims[!layout];
	steps = x->dims[layout];
	if (w->rank != 3 || !qeff_dim_equal(&w->dims[0], &directions) || w->dims[1].symbol ||
	    w->dims[1].size % gates || !qeff_dim_equal(&w->dims[2], &x->dims[2]))
		return infer_wrong(node, 1, "[directions, gates * hidden, inputs]", err);
	hidden = qeff_dim_of(w->dims[1].size / gates);
	if (r->rank != 3 || !qeff_dim_equal(&r->dims[0], &directions) ||
	    !qeff_dim_equal(&r->dims[1], &w->dims[1]) || !qeff_dim_equal(&r->dims[2], &hidden) ||
	    qeff_node_int(node, "hidden_size", hidden.size) != hidden.size)
		return infer_wrong(node, 2, "[directions, gates * hidden, hidden]", err);
	if (qeff_node_input(node, 3) &&
	    (infer_shape_of(node, 3)->rank != 2 ||
	     !qeff_dim_equal(&infer_shape_of(node, 3)->dims[0], &directions) ||
	     infer_shape_of(node, 3)->dims[1].size != 2 * w->dims[1].size))
		return infer_wrong(node, 3, "[directions, 2 * gates * hidden]", err);
	if (qeff_node_input(node, 4) &&
	    infer_need_type(node, 4, QEFF_TYPE_BIT(QEFF_GRAPH_I32), 1, NULL, NULL))
		return infer_wrong(node, 4, "i32[batch]", err);
	for (uint32_t i = 5; i < 7 && i < node->num_inputs; i++)
		if (qeff_node_input(node, i) &&
		    (infer_shape_of(node, i)->rank != 3 ||
		     !qeff_dim_equal(&infer_shape_of(node, i)->dims[layout], &directions) ||
		     !qeff_dim_equal(&infer_shape_of(node, i)->dims[!layout], &batch) ||
		     !qeff_dim_equal(&infer_shape_of(node, i)->dims[2], &hidden)))
			return infer_wrong(node, i, "[directions, batch, hidden]", err);
	if (qeff_node_input(node, 7) &&
	    (infer_shape_of(node, 7)->rank != 2 ||
	     infer_shape_of(node, 7)->dims[1].size != 3 * hidden.size ||
	     !qeff_dim_equal(&infer_shape_of(node, 7)->dims[0], &directions)))
		return infer_wrong(node, 7, "[directions, 3 * hidden]", err);
	for (uint32_t i = 0; i < node->num_outputs; i++) {
		struct qeff_graph_shape *y = &result[i].shape;

		result[i].type = node->inputs[0]->type;
		y->rank = i ? 3 : 4;
		if (i) {
			y->dims[layout] = directions;
			y->dims[!layout] = batch;
		} else {
			y->dims[0] = layout ? batch : steps;
			y->dims[1] = layout ? steps : directions;
			y->dims[2] = layout ? directions : batch;
		}
		y->dims[y->rank - 1] = hidden;
	}
	return 0;
}

int infer_rnn(const struct qeff_node *node, struct qeff_op_result *result, struct qeff_error *err)
{
	return recurrent(node, 1, result, err);
}

int infer_gru(const struct qeff_node *node, struct qeff_op_result *result, struct qeff_error *err)
{
	return recurrent(node, 3, result, err);
}

int infer_lstm(const struct qeff_node *node, struct qeff_op_result *result, struct qeff_error *err)
{
	return recurrent(node, 4, result, err);
}

/* x [n, classes, ...], labels [n, ...], a weight for each class or none. */
int infer_loss(const struct qeff_node *node, struct qeff_op_result *result, struct qeff_error *err)
{
	const struct qeff_graph_shape *x = infer_shape_of(node, 0), *label;
	const char *reduction = qeff_node_string(node, "reduction", "mean");
	bool none = !strcmp(reduction, "none");
	int ret;

	if (!none && strcmp(reduction, "mean") && strcmp(reduction, "sum"))
		return qeff_error_set(err, -EINVAL, "attribute \"reduction\" is \"%s\"", reduction);
	if (x->rank < 2)
		return infer_wrong(node, 0, "[batch, classes, ...]", err);
	ret = infer_need_type(node, 1, QEFF_TYPES_INDEX, x->rank - 1, "labels for input 0", err);
	if (ret)
		return ret;
	label = infer_shape_of(node, 1);
	for (uint32_t i = 0; i < label->rank; i++)
		if (!qeff_dim_equal(&label->dims[i], &x->dims[i ? i + 1 : 0]))
			return infer_wrong(node, 1, "labels for input 0", err);
	if (qeff_node_input(node, 2) &&
	    (infer_shape_of(node, 2)->rank != 1 ||
	     !qeff_dim_equal(&infer_shape_of(node, 2)->dims[0], &x->dims[1])))
		return infer_wrong(node, 2, "a weight for each class", err);
	result->type = node->inputs[0]->type;
	if (none)
		result->shape = *label;
	else
		result->shape.rank = 0;
	if (node->num_outputs > 1)
		infer_same_as(node, 0, &result[1]);
	return 0;
}
