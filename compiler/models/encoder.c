/* SPDX-License-Identifier: MIT */
/* Encoders in BERT's form: summed embeddings, then layers of attention and feed-forward, each with
 * a norm behind it. */
#include "models/build.h"

#include <math.h>

#define MAX_WIDTH  (1u << 20)
#define MAX_LAYERS 1024
#define MAX_VOCAB  (1u << 24)

struct encoder {
	struct model_build *b;
	struct qeff_value *position_ids;
	float norm_epsilon;
};

static void read_config(struct encoder *e)
{
	struct model_build *b = e->b;
	struct qeff_model_info *info = b->info;

	info->layers = model_size(b, "num_hidden_layers", MAX_LAYERS);
	info->hidden = model_size(b, "hidden_size", MAX_WIDTH);
	info->intermediate = model_size(b, "intermediate_size", MAX_WIDTH);
	info->heads = model_size(b, "num_attention_heads", MAX_WIDTH);
	info->vocab = model_size(b, "vocab_size", MAX_VOCAB);
	info->max_positions = model_size(b, "max_position_embeddings", MAX_VOCAB);
	info->positions = info->max_positions;
	info->kv_heads = info->heads;
	info->head_dim = info->hidden / info->heads;
	e->norm_epsilon = (float)model_float_or(b, "layer_norm_eps", 1e-12);
	if (info->hidden % info->heads)
		qeff_graph_fail(
			b->graph, -EINVAL,
			"%s: \"hidden_size\", %u, is no multiple of \"num_attention_heads\", %u",
			b->config->file, info->hidden, info->heads);
}

/* Names in the checkpoint may stand below the name of a task's model. */
static struct model_name module(const struct encoder *e, const char *layer, const char *name)
{
	return model_name("%s%s%s", e->b->prefix, layer, name);
}

static struct qeff_value *embeddings(struct encoder *e, struct qeff_value *input_ids,
				     struct qeff_value *token_types)
{
	struct model_build *b = e->b;
	uint32_t width = b->info->hidden;
	struct model_name norm = module(e, "embeddings.", "LayerNorm");
	struct qeff_value *x, *y;

	x = model_embedding(b, module(e, "embeddings.", "word_embeddings").text, b->info->vocab,
			    width, input_ids);
	y = model_embedding(b, module(e, "embeddings.", "token_type_embeddings").text,
			    model_size_or(b, "type_vocab_size", MAX_VOCAB, 2), width, token_types);
	x = model_binary(b, "Add", module(e, "embeddings/", "typed").text, x, y);
	y = model_embedding(b, module(e, "embeddings.", "position_embeddings").text,
			    b->info->positions, width, e->position_ids);
	x = model_binary(b, "Add", module(e, "embeddings/", "placed").text, x, y);
	return model_layer_norm(b, norm.text, norm.text, x, width, e->norm_epsilon);
}

static struct qeff_value *project(struct encoder *e, const char *layer, const char *name,
				  struct qeff_value *x)
{
	const struct qeff_model_info *info = e->b->info;
	struct model_name at = module(e, layer, name);

	x = model_linear(e->b, at.text, at.text, x, info->hidden, info->hidden, true);
	return model_split_heads(e->b, at.text, x, info->heads, info->head_dim);
}

static struct qeff_value *attention(struct encoder *e, const char *layer, struct qeff_value *x)
{
	const struct qeff_model_info *info = e->b->info;
	const struct qeff_attribute attributes[] = {
		QEFF_FLOAT("scale", (float)(1 / sqrt(info->head_dim))),
		QEFF_INT("causal", 0),
	};
	struct model_name core = module(e, layer, "attention.self");
	struct qeff_value *q = project(e, layer, "attention.self.query", x);
	struct qeff_value *k = project(e, layer, "attention.self.key", x);
	struct qeff_value *v = project(e, layer, "attention.self.value", x);

	x = qeff_graph_node(e->b->graph, "qeff.Attention", core.text, 5,
			    (struct qeff_value *[]){ q, k, v, e->position_ids, e->position_ids }, 2,
			    attributes);
	return model_merge_heads(e->b, core.text, x, info->hidden);
}

/* dense, residual, norm */
static struct qeff_value *conclude(struct encoder *e, const char *layer, const char *name,
				   const char *output, struct qeff_value *x, uint32_t inputs,
				   struct qeff_value *residual)
{
	uint32_t width = e->b->info->hidden;
	struct model_name at = module(e, layer, name);
	struct model_name dense = model_name("%s.dense", at.text);
	struct model_name norm = model_name("%s.LayerNorm", at.text);

	x = model_linear(e->b, dense.text, dense.text, x, inputs, width, true);
	x = model_binary(e->b, "Add", model_name("%s/residual", at.text).text, x, residual);
	return model_layer_norm(e->b, norm.text, output ?: norm.text, x, width, e->norm_epsilon);
}

static struct qeff_value *layer(struct encoder *e, uint32_t index, struct qeff_value *x)
{
	const struct qeff_model_info *info = e->b->info;
	struct model_name at = model_name("encoder.layer.%u.", index);
	struct model_name wide = module(e, at.text, "intermediate.dense");
	struct qeff_value *y;

	x = conclude(e, at.text, "attention.output", NULL, attention(e, at.text, x), info->hidden,
		     x);
	y = model_linear(e->b, wide.text, wide.text, x, info->hidden, info->intermediate, true);
	y = model_activation(e->b, "hidden_act", "gelu", module(e, at.text, "intermediate").text,
			     y);
	return conclude(e, at.text, "output",
			index + 1 == info->layers ? "last_hidden_state" : NULL, y,
			info->intermediate, x);
}

void model_build_encoder(struct model_build *b)
{
	struct encoder e = { .b = b };
	struct qeff_value *input_ids, *mask, *token_types, *x;

	b->prefix = model_has(b, "bert.embeddings.word_embeddings.weight") ? "bert." : "";
	b->info->uses_token_types = true;
	read_config(&e);
	input_ids = model_ids(b, "input_ids");
	mask = model_ids(b, "attention_mask");
	token_types = model_ids(b, "token_type_ids");
	e.position_ids = model_unary(b, "qeff.MaskToPositions", "position_ids", mask);
	x = embeddings(&e, input_ids, token_types);
	for (uint32_t i = 0; i < b->info->layers && !model_failed(b); i++)
		x = layer(&e, i, x);
	qeff_graph_output(b->graph, x);
}
