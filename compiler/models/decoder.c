/* SPDX-License-Identifier: MIT */
/*
 * Decoders: layers of causal attention and a gated feed-forward part, each behind a norm, around
 * residuals. What differs between architectures stands in their rows of the table.
 */
#include "models/build.h"

#include <math.h>

#define MAX_WIDTH  (1u << 20)
#define MAX_LAYERS 1024
#define MAX_VOCAB  (1u << 24)

struct decoder {
	struct model_build *b;
	const struct decoder_names *names;
	struct qeff_value *position_ids;
	struct model_rotary rotary;
	float norm_epsilon;
	bool attention_bias, mlp_bias;
};

static struct model_name module(const char *layer, const char *name)
{
	return model_name("%s.%s", layer, name);
}

static void read_config(struct decoder *d)
{
	struct model_build *b = d->b;
	struct qeff_model_info *info = b->info;

	info->layers = model_size(b, "num_hidden_layers", MAX_LAYERS);
	info->hidden = model_size(b, "hidden_size", MAX_WIDTH);
	info->intermediate = model_size(b, "intermediate_size", MAX_WIDTH);
	info->heads = model_size(b, "num_attention_heads", MAX_WIDTH);
	info->vocab = model_size(b, "vocab_size", MAX_VOCAB);
	info->kv_heads = model_size_or(b, "num_key_value_heads", MAX_WIDTH, info->heads);
	info->head_dim = model_size_or(b, "head_dim", MAX_WIDTH, info->hidden / info->heads);
	info->max_positions = model_size_or(b, "max_position_embeddings", INT32_MAX, 2048);
	info->positions = b->wanted_positions ?: info->max_positions;
	d->norm_epsilon = (float)model_float_or(b, "rms_norm_eps", 1e-6);
	d->attention_bias = model_bool_or(b, "attention_bias", false);
	d->mlp_bias = model_bool_or(b, "mlp_bias", false);
	if (!qeff_config_has(b->config, "head_dim") && info->hidden % info->heads)
		qeff_graph_fail(
			b->graph, -EINVAL,
			"%s: \"hidden_size\", %u, is no multiple of \"num_attention_heads\", %u",
			b->config->file, info->hidden, info->heads);
	if (info->heads % info->kv_heads)
		qeff_graph_fail(b->graph, -EINVAL,
				"%s: \"num_attention_heads\", %u, is no multiple of "
				"\"num_key_value_heads\", %u",
				b->config->file, info->heads, info->kv_heads);
	if ((uint64_t)info->heads * info->head_dim > MAX_WIDTH)
		qeff_graph_fail(b->graph, -ENOTSUP, "%s: %u heads of %u are more than %u wide",
				b->config->file, info->heads, info->head_dim, MAX_WIDTH);
	if (info->positions > info->max_positions)
		model_warn(b, "%u positions are more than the %u that the model was made for",
			   info->positions, info->max_positions);
}

static struct qeff_value *rotate(struct decoder *d, const char *name, struct qeff_value *x)
{
	const struct qeff_attribute attributes[] = { QEFF_INT("interleaved", 0),
						     QEFF_INT("rotary_dim", d->b->info->head_dim) };
	struct qeff_value *const inputs[] = { x, d->position_ids, d->rotary.cos, d->rotary.sin };

	return qeff_graph_node(d->b->graph, "qeff.RotaryEmbedding",
			       model_name("%s/rotated", name).text, 4, inputs, 2, attributes);
}

/* One of q, k, v: [B,S,W] -> [B,heads,S,D] */
static struct qeff_value *project(struct decoder *d, const char *layer, const char *name,
				  struct qeff_value *x, uint32_t heads)
{
	const struct qeff_model_info *info = d->b->info;
	struct model_name at = module(layer, name);

	x = model_linear(d->b, at.text, at.text, x, info->hidden, heads * info->head_dim,
			 d->attention_bias);
	return model_split_heads(d->b, at.text, x, heads, info->head_dim);
}

static struct qeff_value *attention(struct decoder *d, const char *layer, struct qeff_value *x)
{
	const struct decoder_names *names = d->names;
	const struct qeff_model_info *info = d->b->info;
	const struct qeff_attribute attributes[] = {
		QEFF_FLOAT("scale", (float)(1 / sqrt(info->head_dim))),
		QEFF_INT("causal", 1),
	};
	struct model_name output = module(layer, names->o), core = module(layer, "attention");
	struct qeff_value *q, *k, *v;

	q = project(d, layer, names->q, x, info->heads);
	k = project(d, layer, names->k, x, info->kv_heads);
	v = project(d, layer, names->v, x, info->kv_heads);
	/* only now are the weights known to be as large as the config says */
	if (!d->rotary.cos)
		d->rotary = model_rotary_tables(d->b, "rotary", info->head_dim, info->positions);
	q = rotate(d, module(layer, names->q).text, q);
	k = rotate(d, module(layer, names->k).text, k);
	x = qeff_graph_node(d->b->graph, "qeff.Attention", core.text, 5,
			    (struct qeff_value *[]){ q, k, v, d->position_ids, d->position_ids }, 2,
			    attributes);
	x = model_merge_heads(d->b, core.text, x, info->heads * info->head_dim);
	return model_linear(d->b, output.text, output.text, x, info->heads * info->head_dim,
			    info->hidden, d->attention_bias);
}

static struct qeff_value *feed_forward(struct decoder *d, const char *layer, struct qeff_value *x)
{
	const struct qeff_model_info *info = d->b->info;
	struct model_name gate = module(layer, d->names->gate), up = module(layer, d->names->up);
	struct model_name down = module(layer, d->names->down);
	struct qeff_value *g, *u;

	g = model_linear(d->b, gate.text, gate.text, x, info->hidden, info->intermediate,
			 d->mlp_bias);
	g = model_activation(d->b, "hidden_act", "silu", module(layer, "mlp.act_fn").text, g);
	u = model_linear(d->b, up.text, up.text, x, info->hidden, info->intermediate, d->mlp_bias);
	x = model_binary(d->b, "Mul", model_name("%s/input", down.text).text, g, u);
	return model_linear(d->b, down.text, down.text, x, info->intermediate, info->hidden,
			    d->mlp_bias);
}

static struct qeff_value *layer(struct decoder *d, uint32_t index, struct qeff_value *x)
{
	const struct decoder_names *names = d->names;
	struct model_name at = model_name("%s.%u", names->layers, index);
	uint32_t width = d->b->info->hidden;
	struct qeff_value *y;

	y = model_rms_norm(d->b, module(at.text, names->input_norm).text, x, width,
			   d->norm_epsilon);
	y = attention(d, at.text, y);
	x = model_binary(d->b, "Add", model_name("%s/attended", at.text).text, x, y);
	y = model_rms_norm(d->b, module(at.text, names->post_norm).text, x, width, d->norm_epsilon);
	y = feed_forward(d, at.text, y);
	return model_binary(d->b, "Add", at.text, x, y);
}

void model_build_decoder(struct model_build *b)
{
	struct decoder d = { .b = b, .names = b->architecture->names };
	const struct decoder_names *names = d.names;
	struct qeff_value *input_ids, *mask, *x;
	bool tied;

	read_config(&d);
	tied = model_bool_or(b, "tie_word_embeddings", false);
	input_ids = model_ids(b, "input_ids");
	mask = model_ids(b, "attention_mask");
	d.position_ids = model_unary(b, "qeff.MaskToPositions", "position_ids", mask);
	x = model_embedding(b, names->embedding, b->info->vocab, b->info->hidden, input_ids);
	for (uint32_t i = 0; i < b->info->layers && !model_failed(b); i++)
		x = layer(&d, i, x);
	x = model_rms_norm(b, names->norm, x, b->info->hidden, d.norm_epsilon);
	x = model_linear(b, tied ? names->embedding : names->head, "logits", x, b->info->hidden,
			 b->info->vocab, false);
	if (tied) /* some checkpoints hold a copy */
		model_ignore(b, model_name("%s.weight", names->head).text);
	qeff_graph_output(b->graph, x);
}
