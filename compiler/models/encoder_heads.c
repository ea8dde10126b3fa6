/* SPDX-License-Identifier: MIT */
/*
 * What encoders begin and end with: names, inputs, the rows themselves or the logits of a
 * classifier. As in the originals a head reads the first column; the transform TextClassification
 * makes it the first token.
 */
#include "models/encoder.h"

#include <string.h>

static bool classifies(const struct encoder *e)
{
	return e->b->architecture->task == QEFF_MODEL_CLASSIFIER;
}

struct model_name encoder_name(const struct encoder *e, const char *layer, const char *name)
{
	return model_name("%s%s%s", e->b->prefix, layer, name);
}

const char *encoder_rows_name(const struct encoder *e)
{
	return classifies(e) ? "rows" : "last_hidden_state";
}

struct qeff_value *encoder_begin(struct encoder *e, const char *embedding)
{
	struct model_build *b = e->b;
	struct qeff_value *input_ids, *mask;

	if (model_has(b, model_name("%s%s", e->form->base, embedding).text))
		b->prefix = e->form->base;
	if (strstr(b->architecture->name, "ForMaskedLM"))
		model_warn(b,
			   "the head of %s, which guesses masked tokens, is left out: the encoder "
			   "alone was compiled",
			   b->architecture->name);
	input_ids = model_ids(b, "input_ids");
	mask = model_ids(b, "attention_mask");
	e->position_ids = model_unary(b, "qeff.MaskToPositions", "position_ids", mask);
	return input_ids;
}

void encoder_end(struct encoder *e, struct qeff_value *x)
{
	qeff_graph_output(e->b->graph, classifies(e) ? e->form->head(e, x) : x);
}

struct qeff_value *encoder_first_row(struct encoder *e, struct qeff_value *x)
{
	const struct qeff_attribute axis = QEFF_INT("axis", 1);
	struct qeff_graph *graph = e->b->graph;
	void *data;
	struct qeff_value *zero =
		qeff_graph_constant(graph, "integer/0", QEFF_GRAPH_I64, 0, NULL, &data);

	if (zero)
		*(int64_t *)data = 0;
	return qeff_graph_node(graph, "Gather", "rows/first", 2, (struct qeff_value *[]){ x, zero },
			       1, &axis);
}

struct qeff_value *encoder_mean_row(struct encoder *e, struct qeff_value *x)
{
	const struct qeff_attribute mode = QEFF_STRING("mode", "mean");

	return qeff_graph_node(e->b->graph, "qeff.Pool", "rows/mean", 2,
			       (struct qeff_value *[]){ x, e->position_ids }, 1, &mode);
}

/* What transformers' pipeline makes scores with. */
static const char *scores(struct encoder *e, uint32_t labels)
{
	const char *type =
		labels == 1 ? "multi_label_classification" : "single_label_classification";
	struct qeff_error why = { 0 };

	if (qeff_config_string(e->b->config, "problem_type", &type, &why))
		qeff_graph_fail(e->b->graph, why.code, "%s", why.message);
	if (!strcmp(type, "regression"))
		return "none";
	if (!strcmp(type, "multi_label_classification") || labels == 1)
		return "sigmoid";
	if (strcmp(type, "single_label_classification"))
		qeff_graph_fail(e->b->graph, -ENOTSUP,
				"%s: \"problem_type\" is \"%.64s\", which is not supported",
				e->b->config->file, type);
	return "softmax";
}

uint32_t encoder_labels(struct encoder *e)
{
	const struct qeff_config *config = e->b->config;
	uint32_t count = model_size_or(e->b, "num_labels", ENCODER_MAX_LABELS, 2);
	struct qeff_config names;
	struct qeff_error why = { 0 };
	size_t named;

	if (qeff_config_object(config, "id2label", "id2label.", &names, &why))
		qeff_graph_fail(e->b->graph, why.code, "%s", why.message);
	named = qeff_config_size(&names);
	if (named > ENCODER_MAX_LABELS)
		qeff_graph_fail(e->b->graph, -ENOTSUP, "%s: \"id2label\" names %zu labels",
				config->file, named);
	count = named ? (uint32_t)named : count;
	e->b->info->labels = count;
	e->b->info->scores = scores(e, count);
	return count;
}

/* @module, then the function @key of the config names, or @function where it has no such key. */
static struct qeff_value *dense(struct encoder *e, const char *module, const char *key,
				const char *function, struct qeff_value *x)
{
	uint32_t width = e->b->info->hidden;

	x = model_linear(e->b, module, module, x, width, width, true);
	return model_activation(e->b, key, function, model_name("%s/function", module).text, x);
}

static struct qeff_value *classifier(struct encoder *e, const char *module, struct qeff_value *x)
{
	return model_linear(e->b, module, "logits", x, e->b->info->hidden, encoder_labels(e), true);
}

struct qeff_value *encoder_head_bert(struct encoder *e, struct qeff_value *x)
{
	struct model_name pooler = encoder_name(e, "pooler.", "dense");

	x = dense(e, pooler.text, NULL, "tanh", encoder_first_row(e, x));
	return classifier(e, "classifier", x);
}

struct qeff_value *encoder_head_roberta(struct encoder *e, struct qeff_value *x)
{
	x = dense(e, "classifier.dense", NULL, "tanh", encoder_first_row(e, x));
	return classifier(e, "classifier.out_proj", x);
}

struct qeff_value *encoder_head_distilbert(struct encoder *e, struct qeff_value *x)
{
	x = dense(e, "pre_classifier", NULL, "relu", encoder_first_row(e, x));
	return classifier(e, "classifier", x);
}

struct qeff_value *encoder_head_deberta(struct encoder *e, struct qeff_value *x)
{
	x = dense(e, "pooler.dense", "pooler_hidden_act", "gelu", encoder_first_row(e, x));
	return classifier(e, "classifier", x);
}
