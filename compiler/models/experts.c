/* SPDX-License-Identifier: MIT */
/*
 * Mixtures of experts: a router scores all experts for each row, the row goes through the few with
 * the highest scores, and what they make of it is summed up by their shares.
 */
#include "models/decoder.h"

struct mixture {
	struct decoder *d;
	struct model_name at; /* of the experts' module */
	struct qeff_value *routes;
};

/* The name of one of the experts' products. */
static struct model_name product(const struct mixture *m, const char *which)
{
	return model_name("%s.%s", m->at.text, which);
}

static struct qeff_value *multiply(const struct mixture *m, const char *name, struct qeff_value *x,
				   struct qeff_value *weight, struct qeff_value *bias, bool shared)
{
	const struct qeff_attribute attributes[] = { QEFF_INT("experts", m->d->num_experts),
						     QEFF_INT("shared", shared) };

	return qeff_graph_node(m->d->b->graph, "qeff.Experts", name, 4,
			       (struct qeff_value *[]){ x, m->routes, weight, bias }, 2,
			       attributes);
}

/* [experts * outputs, inputs] of a module for each expert. */
static struct qeff_value *apart(const struct mixture *m, const char *which, uint32_t outputs,
				uint32_t inputs)
{
	const struct qeff_attribute axis = QEFF_INT("axis", 0);
	const int64_t dims[] = { outputs, inputs };
	struct qeff_value *weights[DECODER_MAX_EXPERTS];
	uint32_t count = m->d->num_experts;

	for (uint32_t i = 0; i < count; i++)
		weights[i] = model_weight(
			m->d->b, model_name("%s.%u.%s.weight", m->at.text, i, which).text, 2, dims);
	return qeff_graph_node(m->d->b->graph, "Concat",
			       model_name("%s/weights", product(m, which).text).text, count,
			       weights, 1, &axis);
}

/* The same of rows [first, first + outputs) of each of one tensor's matrices. */
static struct qeff_value *stacked(const struct mixture *m, const char *name, uint32_t rows,
				  uint32_t first, uint32_t outputs, uint32_t inputs)
{
	struct model_name full = model_name("%s.weight", name);
	struct model_name part = model_name("%s/%u:%u", full.text, first, first + outputs);
	const int64_t dims[] = { m->d->num_experts, rows, inputs };
	struct qeff_value *x = model_weight(m->d->b, full.text, 3, dims);

	if (outputs != rows)
		x = model_slice(m->d->b, part.text, x, first, first + outputs, 1, 1);
	return model_matrix(m->d->b, model_name("%s/matrix", part.text).text, x,
			    (int64_t)m->d->num_experts * outputs, inputs);
}

/* The same of every @step th column, from @first on, of matrices that lie as [inputs, outputs]. */
static struct qeff_value *turned(const struct mixture *m, const char *which, uint32_t first,
				 uint32_t step, uint32_t outputs, uint32_t inputs)
{
	static const int64_t perm[] = { 0, 2, 1 };
	const struct qeff_attribute attributes[] = { QEFF_INTS("perm", 3, perm) };
	const int64_t dims[] = { m->d->num_experts, inputs, (int64_t)outputs * step };
	struct model_name name = product(m, which), part = model_name("%s/%u", name.text, first);
	struct qeff_value *x = model_weight(m->d->b, name.text, 3, dims);

	if (step > 1)
		x = model_slice(m->d->b, part.text, x, first, dims[2], 2, step);
	x = qeff_graph_node(m->d->b->graph, "Transpose", model_name("%s/t", part.text).text, 1, &x,
			    1, attributes);
	return model_matrix(m->d->b, model_name("%s/matrix", part.text).text, x,
			    (int64_t)m->d->num_experts * outputs, inputs);
}

/* The same of rows, where they lie as [outputs, inputs] in MXFP4. */
static struct qeff_value *mxfp4(const struct mixture *m, const char *which, uint32_t first,
				uint32_t step, uint32_t outputs, uint32_t inputs)
{
	const int64_t dims[] = { m->d->num_experts, (int64_t)outputs * step, inputs };
	struct model_name name = product(m, which), part = model_name("%s/%u", name.text, first);
	struct qeff_value *x = model_mxfp4_weight(m->d->b, name.text, 3, dims);

	if (step > 1)
		x = model_slice(m->d->b, part.text, x, first, dims[1], 1, step);
	return model_matrix(m->d->b, model_name("%s/matrix", part.text).text, x,
			    (int64_t)m->d->num_experts * outputs, inputs);
}

static struct qeff_value *oss(const struct mixture *m, const char *which, uint32_t first,
			      uint32_t step, uint32_t outputs, uint32_t inputs)
{
	if (model_has(m->d->b, model_name("%s_blocks", product(m, which).text).text))
		return mxfp4(m, which, first, step, outputs, inputs);
	return turned(m, which, first, step, outputs, inputs);
}

static struct qeff_value *turned_bias(const struct mixture *m, const char *which, uint32_t first,
				      uint32_t step, uint32_t outputs)
{
	const int64_t dims[] = { m->d->num_experts, (int64_t)outputs * step };
	struct model_name name = model_name("%s_bias", product(m, which).text);
	struct qeff_value *x = model_weight(m->d->b, name.text, 2, dims);

	if (step == 1)
		return x;
	return model_slice(m->d->b, model_name("%s/%u", name.text, first).text, x, first, dims[1],
			   1, step);
}

/* gpt-oss: (up + 1) gate sigmoid(1.702 gate), both clamped */
static struct qeff_value *clamped(const struct mixture *m, struct qeff_value *gate,
				  struct qeff_value *up)
{
	struct model_build *b = m->d->b;
	const float limit = 7, slope = 1.702f;
	struct qeff_value *sigmoid;

	gate = model_binary(b, "Min", product(m, "gate/clamped").text, gate,
			    model_scalar(b, limit));
	up = model_binary(b, "Min", product(m, "up/below").text, up, model_scalar(b, limit));
	up = model_binary(b, "Max", product(m, "up/clamped").text, up, model_scalar(b, -limit));
	sigmoid = model_binary(b, "Mul", product(m, "gate/scaled").text, gate,
			       model_scalar(b, slope));
	sigmoid = model_unary(b, "Sigmoid", product(m, "gate/sigmoid").text, sigmoid);
	gate = model_binary(b, "Mul", product(m, "gate/act").text, gate, sigmoid);
	up = model_binary(b, "Add", product(m, "up/more").text, up, model_scalar(b, 1));
	return model_binary(b, "Mul", product(m, "gated").text, up, gate);
}

struct qeff_value *model_experts(struct decoder *d, const char *layer, struct qeff_value *x)
{
	const struct qeff_attribute choice[] = { QEFF_INT("top_k", d->chosen),
						 QEFF_INT("all", d->route_all) };
	const struct decoder_names *names = &d->names;
	struct model_name router = model_name("%s.%s", layer, names->router);
	uint32_t width = d->b->info->hidden, wide = d->expert_width;
	struct mixture m = { d, model_name("%s.%s", layer, names->experts), NULL };
	struct qeff_value *g, *u, *down = NULL, *bias = NULL;

	m.routes = model_linear(d->b, router.text, router.text, x, width, d->num_experts,
				d->experts == DECODER_EXPERTS_OSS);
	m.routes =
		qeff_graph_node(d->b->graph, "qeff.Route",
				model_name("%s/routes", router.text).text, 1, &m.routes, 2, choice);
	switch (d->experts) {
	case DECODER_EXPERTS_APART:
		g = apart(&m, names->gate, wide, width);
		u = apart(&m, names->up, wide, width);
		down = apart(&m, names->down, width, wide);
		break;
	case DECODER_EXPERTS_STACKED:
		g = stacked(&m, product(&m, names->gate_up).text, 2 * wide, 0, wide, width);
		u = stacked(&m, product(&m, names->gate_up).text, 2 * wide, wide, wide, width);
		down = stacked(&m, product(&m, names->down).text, width, 0, width, wide);
		break;
	default:
		g = oss(&m, names->gate_up, 0, 2, wide, width);
		u = oss(&m, names->gate_up, 1, 2, wide, width);
		down = oss(&m, names->down, 0, 1, width, wide);
		bias = turned_bias(&m, names->down, 0, 1, width);
		break;
	}
	if (d->experts == DECODER_EXPERTS_OSS) {
		g = multiply(&m, product(&m, "gate").text, x, g,
			     turned_bias(&m, names->gate_up, 0, 2, wide), true);
		u = multiply(&m, product(&m, "up").text, x, u,
			     turned_bias(&m, names->gate_up, 1, 2, wide), true);
		x = clamped(&m, g, u);
	} else {
		g = multiply(&m, product(&m, "gate").text, x, g, NULL, true);
		g = model_activation(d->b, d->activation_key, d->row->activation,
				     product(&m, "act_fn").text, g);
		u = multiply(&m, product(&m, "up").text, x, u, NULL, true);
		x = model_binary(d->b, "Mul", product(&m, "gated").text, g, u);
	}
	x = multiply(&m, product(&m, "down").text, x, down, bias, false);
	return model_binary(d->b, "qeff.Mix", m.at.text, x, m.routes);
}
