/* SPDX-License-Identifier: MIT */
/*
 * Element-wise nodes on their own: one POINTWISE operation each, over activations, vectors that
 * every row shares and single numbers. Sums of embeddings need no operation: the later lookup adds.
 */
#include "lower/select.h"

#include <string.h>

static bool binary_code(const struct qeff_node *node, uint8_t *code)
{
	static const struct {
		const char *op;
		uint8_t code;
	} codes[] = {
		{ "Add", QEFF_NSP_I_ADD }, { "Sub", QEFF_NSP_I_SUB }, { "Mul", QEFF_NSP_I_MUL },
		{ "Div", QEFF_NSP_I_DIV }, { "Pow", QEFF_NSP_I_POW }, { "Max", QEFF_NSP_I_MAX },
		{ "Min", QEFF_NSP_I_MIN },
	};

	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (qeff_node_is(node, codes[i].op)) {
			*code = codes[i].code;
			return true;
		}
	return false;
}

/* Whether lookups alone write @tensor. */
static bool only_gathered(const struct lower_spec *spec, uint32_t tensor)
{
	bool gathered = false;

	for (uint32_t i = 0; i < spec->num_ops; i++) {
		const struct lower_op *op = &spec->ops[i];

		if (op->out.kind != LOWER_REF_TENSOR || op->out.index != tensor)
			continue;
		if (op->nsp.code != QEFF_NSP_GATHER)
			return false;
		gathered = true;
	}
	return gathered;
}

/* Add of two embeddings that nothing else reads: all lookups go to one tensor. 1 if it is not that.
 */
static int sum_of_gathers(struct select *s, const struct qeff_node *node)
{
	const struct qeff_value *a = qeff_node_input(node, 0), *b = qeff_node_input(node, 1);
	uint32_t ta = qeff_select_tensor(s, a), tb = qeff_select_tensor(s, b);
	bool first = true;

	if (!qeff_node_is(node, "Add") || ta == LOWER_NONE || tb == LOWER_NONE || ta == tb ||
	    a->num_users != 1 || b->num_users != 1 || a->is_output || b->is_output ||
	    s->spec->tensors[ta].width != s->spec->tensors[tb].width ||
	    !only_gathered(s->spec, ta) || !only_gathered(s->spec, tb))
		return 1;
	for (uint32_t i = 0; i < s->spec->num_ops; i++) {
		struct lower_op *op = &s->spec->ops[i];

		if (op->out.kind != LOWER_REF_TENSOR ||
		    (op->out.index != ta && op->out.index != tb))
			continue;
		op->out.index = ta;
		op->nsp.u.gather.accumulate = !first;
		first = false;
	}
	s->slots[node->outputs[0]->index] = s->slots[a->index];
	return 0;
}

static int add_instruction(struct select *s, struct lower_op *op,
			   struct qeff_nsp_instruction instruction)
{
	struct qeff_nsp_instruction *at = LOWER_GROW(s->l->instructions, s->l->num_instructions);

	if (!at)
		return lower_no_memory(s->err);
	*at = instruction;
	op->nsp.u.pointwise.instructions++;
	return 0;
}

/* Whether numbers of @value's shape are the same for each row of @out: one number for all, or one
 * for each column. */
static bool is_of_columns(const struct qeff_value *value, const struct qeff_value *out,
			  bool head_major)
{
	uint32_t missing = out->shape.rank - value->shape.rank, sequence = head_major ? 2 : 1;
	uint64_t elements;

	if (qeff_graph_shape_elements(&value->shape, &elements) && elements == 1)
		return true;
	if (value->shape.rank > out->shape.rank)
		return false;
	for (uint32_t i = 0; i < out->shape.rank; i++) {
		int64_t size = i < missing ? 1 : qeff_select_dim(value, i - missing);
		/* [batch, width] of segments has no sequence. */
		bool row = !i || (i == sequence && i + 1 < out->shape.rank);

		if (row ? size != 1 : size != qeff_select_dim(out, i))
			return false;
	}
	return true;
}

/* What one operand of an expression is, and the register that holds it. */
static int add_operand(struct select *s, const struct qeff_node *node, struct lower_op *op,
		       uint32_t index, uint32_t width, bool head_major, uint8_t *reg)
{
	const struct qeff_value *value = qeff_node_input(node, index);
	uint32_t tensor = qeff_select_tensor(s, value);
	struct lower_view view;

	*reg = (uint8_t)index;
	if (tensor != LOWER_NONE) {
		if (s->spec->tensors[tensor].width != width ||
		    s->spec->tensors[tensor].domain != op->nsp.domain ||
		    s->slots[value->index].head_major != head_major)
			return qeff_select_refuse(s, node, "%s has other rows", value->name);
		qeff_select_read(op, index, tensor);
		return 0;
	}
	if (!lower_numbers_of(value, &view) || !is_of_columns(value, node->outputs[0], head_major))
		return qeff_select_refuse(
			s, node, "%s is neither an activation nor one number for each column",
			value->name);
	if (view.rows != 1 || view.columns != 1)
		return qeff_select_table(s, node, value, 1, width, &op->in[index]);
	*reg = (uint8_t)(4 + index);
	return add_instruction(s, op,
			       (struct qeff_nsp_instruction){
				       .code = QEFF_NSP_I_CONST,
				       .dst = *reg,
				       .imm = qeff_nsp_load(view.data, view.stored),
			       });
}

int qeff_select_pointwise(struct select *s, const struct qeff_node *node)
{
	struct qeff_nsp_instruction instruction = { .dst = 7 };
	uint32_t tensor = LOWER_NONE, width;
	const struct select_slot *shape = NULL;
	struct lower_op *op;
	uint8_t domain;
	int rc = sum_of_gathers(s, node);

	if (rc <= 0)
		return rc;
	if (qeff_select_function(node, &instruction.b))
		instruction.code = QEFF_NSP_I_FUNCTION;
	else if (!binary_code(node, &instruction.code))
		return 1;
	if (node->num_inputs > 2)
		return qeff_select_refuse(s, node, "at most two operands are possible");
	for (uint32_t i = 0; i < node->num_inputs && tensor == LOWER_NONE; i++) {
		shape = &s->slots[qeff_node_input(node, i)->index];
		tensor = qeff_select_tensor(s, qeff_node_input(node, i));
	}
	if (tensor == LOWER_NONE)
		return qeff_select_refuse(s, node, "no operand is an activation");
	width = s->spec->tensors[tensor].width;
	domain = s->spec->tensors[tensor].domain;
	op = qeff_select_op(s, node, QEFF_NSP_POINTWISE, domain);
	if (!op)
		return -ENOMEM;
	op->nsp.u.pointwise.width = width;
	op->nsp.u.pointwise.first_instruction = s->l->num_instructions;
	rc = add_operand(s, node, op, 0, width, shape->head_major, &instruction.a);
	if (!rc && instruction.code != QEFF_NSP_I_FUNCTION)
		rc = add_operand(s, node, op, 1, width, shape->head_major, &instruction.b);
	if (!rc)
		rc = add_instruction(s, op, instruction);
	if (rc)
		return rc;
	return qeff_select_write(s, op, node->outputs[0], domain, width, shape->head_major);
}
