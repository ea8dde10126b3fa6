/* SPDX-License-Identifier: MIT */
/* The functions that "hidden_act" and its like can name. */
#include "models/build.h"

#include <string.h>

/* x sigmoid(alpha x) */
static struct qeff_value *gated(struct model_build *b, const char *module, struct qeff_value *x,
				float alpha)
{
	struct qeff_value *y = x;

	if (alpha != 1)
		y = model_binary(b, "Mul", model_name("%s/scaled", module).text, x,
				 model_scalar(b, alpha));
	y = model_unary(b, "Sigmoid", model_name("%s/sigmoid", module).text, y);
	return model_binary(b, "Mul", module, x, y);
}

static struct qeff_value *silu(struct model_build *b, const char *module, struct qeff_value *x)
{
	return gated(b, module, x, 1);
}

static struct qeff_value *quick_gelu(struct model_build *b, const char *module,
				     struct qeff_value *x)
{
	return gated(b, module, x, 1.702f);
}

static struct qeff_value *gelu(struct model_build *b, const char *module, struct qeff_value *x)
{
	const struct qeff_attribute attributes[] = { QEFF_STRING("approximate", "none") };

	return qeff_graph_node(b->graph, "Gelu", module, 1, &x, 1, attributes);
}

static struct qeff_value *gelu_tanh(struct model_build *b, const char *module, struct qeff_value *x)
{
	const struct qeff_attribute attributes[] = { QEFF_STRING("approximate", "tanh") };

	return qeff_graph_node(b->graph, "Gelu", module, 1, &x, 1, attributes);
}

static struct qeff_value *relu(struct model_build *b, const char *module, struct qeff_value *x)
{
	return model_unary(b, "Relu", module, x);
}

static struct qeff_value *hyperbolic(struct model_build *b, const char *module,
				     struct qeff_value *x)
{
	return model_unary(b, "Tanh", module, x);
}

static struct qeff_value *sigmoid(struct model_build *b, const char *module, struct qeff_value *x)
{
	return model_unary(b, "Sigmoid", module, x);
}

static const struct {
	const char *name;
	struct qeff_value *(*make)(struct model_build *b, const char *module, struct qeff_value *x);
} activations[] = {
	{ "silu", silu },
	{ "swish", silu },
	{ "gelu", gelu },
	{ "gelu_python", gelu },
	{ "gelu_new", gelu_tanh },
	{ "gelu_pytorch_tanh", gelu_tanh },
	{ "gelu_fast", gelu_tanh },
	{ "gelu_accurate", gelu_tanh },
	{ "quick_gelu", quick_gelu },
	{ "relu", relu },
	{ "tanh", hyperbolic },
	{ "sigmoid", sigmoid },
};

struct qeff_value *model_activation(struct model_build *b, const char *key, const char *fallback,
				    const char *module, struct qeff_value *x)
{
	struct qeff_error why = { 0 };
	const char *name = fallback;

	if (qeff_config_string(b->config, key, &name, &why)) {
		qeff_graph_fail(b->graph, why.code, "%s", why.message);
		return NULL;
	}
	for (size_t i = 0; i < sizeof(activations) / sizeof(activations[0]); i++)
		if (!strcmp(activations[i].name, name))
			return activations[i].make(b, module, x);
	qeff_graph_fail(b->graph, -ENOTSUP, "%s: \"%s\" is \"%.64s\", which is not supported",
			b->config->file, key, name);
	return NULL;
}
