/* SPDX-License-Identifier: MIT */
/*
 * ModernBERT: norms stand before attention and feed-forward (the first layer's is that of the
 * embeddings), projections are fused, the feed-forward part is gated, and most layers see only the
 * tokens nearby, at angles of their own.
 */
#include "models/encoder.h"

#include <math.h>
#include <string.h>

/**
 * struct modern - a ModernBERT that is being built
 * @global, @local: tables of the layers that see all, and of those that see nearby tokens
 * @every: one layer in so many sees all
 * @window: how far the others see to either side, and one
 */
struct modern {
	struct encoder encoder;
	struct model_rotary global, local;
	uint32_t every, window;
	bool attention_bias, mlp_bias;
};

static void read_config(struct modern *m)
{
	struct model_build *b = m->encoder.b;
	struct qeff_model_info *info = b->info;

	info->layers = model_size(b, "num_hidden_layers", ENCODER_MAX_LAYERS);
	info->hidden = model_size(b, "hidden_size", ENCODER_MAX_WIDTH);
	info->intermediate = model_size(b, "intermediate_size", ENCODER_MAX_WIDTH);
	info->heads = model_size(b, "num_attention_heads", ENCODER_MAX_WIDTH);
	info->vocab = model_size(b, "vocab_size", ENCODER_MAX_VOCAB);
	info->max_positions =
		model_size_or(b, "max_position_embeddings", ENCODER_MAX_POSITIONS, 8192);
	info->positions = info->max_positions;
	info->kv_heads = info->heads;
	info->head_dim = info->hidden / info->heads;
	m->encoder.norm_epsilon = (float)model_float_or(b, "norm_eps", 1e-5);
	m->every = model_size_or(b, "global_attn_every_n_layers", ENCODER_MAX_LAYERS, 3);
	m->window = model_size_or(b, "local_attention", ENCODER_MAX_POSITIONS, 128) / 2 + 1;
	m->attention_bias = model_bool_or(b, "attention_bias", false);
	m->mlp_bias = model_bool_or(b, "mlp_bias", false);
	if (info->hidden % info->heads)
		qeff_graph_fail(
			b->graph, -EINVAL,
			"%s: \"hidden_size\", %u, is no multiple of \"num_attention_heads\", %u",
			b->config->file, info->hidden, info->heads);
}

static struct qeff_value *norm(struct modern *m, const char *module, const char *output,
			       struct qeff_value *x)
{
	return model_layer_norm(m->encoder.b, module, output, x, m->encoder.b->info->hidden,
				m->encoder.norm_epsilon);
}

/* Part @part of @parts of a fused projection. */
static struct qeff_value *projection(struct modern *m, const char *module, const char *name,
				     struct qeff_value *x, uint32_t part, uint32_t parts,
				     uint32_t outputs, bool bias)
{
	const struct model_part rows = { 1, parts * outputs, part * outputs, outputs };

	return model_linear_part(m->encoder.b, module, model_name("%s/%s", module, name).text, x,
				 m->encoder.b->info->hidden, &rows, bias, false);
}

static struct qeff_value *rotate(struct modern *m, const char *name, struct qeff_value *x,
				 const struct model_rotary *rotary)
{
	const struct qeff_attribute attributes[] = {
		QEFF_INT("interleaved", 0), QEFF_INT("rotary_dim", m->encoder.b->info->head_dim)
	};
	struct qeff_value *const inputs[] = { x, m->encoder.position_ids, rotary->cos,
					      rotary->sin };

	return qeff_graph_node(m->encoder.b->graph, "qeff.RotaryEmbedding",
			       model_name("%s/rotated", name).text, 4, inputs, 2, attributes);
}

/* Only now are the weights known to be as large as the config says. */
static void make_tables(struct modern *m)
{
	struct model_build *b = m->encoder.b;
	double global = model_float_or(b, "global_rope_theta", 160000);
	/* absent is not the same as null, which means the other one */
	double local =
		model_float_or(b, "local_rope_theta",
			       qeff_config_is_null(b->config, "local_rope_theta") ? global : 10000);
	uint32_t positions = b->wanted_positions ?: b->info->positions;

	if (!(global >= 1) || !(local >= 1))
		qeff_graph_fail(b->graph, -EINVAL,
				"%s: \"global_rope_theta\" and \"local_rope_theta\" are %g and %g, "
				"expected at least 1",
				b->config->file, global, local);
	m->global = model_rotary_tables(b, "rotary/global", "full_attention", b->info->head_dim,
					positions, global);
	m->local = model_rotary_tables(b, "rotary/local", "sliding_attention", b->info->head_dim,
				       positions, local);
}

static struct qeff_value *attention(struct modern *m, uint32_t index, const char *at,
				    struct qeff_value *x)
{
	static const char *const names[] = { "query", "key", "value" };
	struct model_build *b = m->encoder.b;
	const struct qeff_model_info *info = b->info;
	bool global = !model_layer_slides(b, index, index % m->every != 0);
	const struct qeff_attribute attributes[] = {
		QEFF_FLOAT("scale", (float)(1 / sqrt(info->head_dim))),
		QEFF_INT("causal", 0),
		QEFF_INT("window", m->window),
	};
	struct model_name fused = model_name("%sattn.Wqkv", at);
	struct model_name core = model_name("%sattn", at), output = model_name("%sattn.Wo", at);
	struct qeff_value *inputs[] = { NULL, NULL, NULL, m->encoder.position_ids,
					m->encoder.position_ids };

	for (uint32_t i = 0; i < 3; i++) {
		struct model_name name = model_name("%s/%s", fused.text, names[i]);

		inputs[i] = projection(m, fused.text, names[i], x, i, 3, info->hidden,
				       m->attention_bias);
		inputs[i] = model_split_heads(b, name.text, inputs[i], info->heads, info->head_dim);
		if (!m->global.cos)
			make_tables(m);
		if (i < 2)
			inputs[i] =
				rotate(m, name.text, inputs[i], global ? &m->global : &m->local);
	}
	x = qeff_graph_node(b->graph, "qeff.Attention", core.text, 5, inputs, global ? 2 : 3,
			    attributes);
	x = model_merge_heads(b, core.text, x, info->hidden);
	return model_linear(b, output.text, output.text, x, info->hidden, info->hidden,
			    m->attention_bias);
}

static struct qeff_value *feed_forward(struct modern *m, const char *at, struct qeff_value *x)
{
	struct model_build *b = m->encoder.b;
	uint32_t width = b->info->intermediate;
	struct model_name fused = model_name("%smlp.Wi", at), output = model_name("%smlp.Wo", at);
	struct qeff_value *y, *gate;

	y = projection(m, fused.text, "input", x, 0, 2, width, m->mlp_bias);
	y = model_activation(b, "hidden_activation", "gelu", model_name("%smlp.act", at).text, y);
	gate = projection(m, fused.text, "gate", x, 1, 2, width, m->mlp_bias);
	y = model_binary(b, "Mul", model_name("%s/input", output.text).text, y, gate);
	return model_linear(b, output.text, output.text, y, width, b->info->hidden, m->mlp_bias);
}

static struct qeff_value *layer(struct modern *m, uint32_t index, struct qeff_value *x)
{
	struct model_build *b = m->encoder.b;
	struct model_name at = encoder_name(&m->encoder, model_name("layers.%u.", index).text, "");
	struct model_name norms[] = { model_name("%sattn_norm", at.text),
				      model_name("%smlp_norm", at.text) };
	struct qeff_value *y = x;

	if (index)
		y = norm(m, norms[0].text, norms[0].text, x);
	y = attention(m, index, at.text, y);
	x = model_binary(b, "Add", model_name("%s/attended", at.text).text, x, y);
	y = feed_forward(m, at.text, norm(m, norms[1].text, norms[1].text, x));
	return model_binary(b, "Add", model_name("%s/done", at.text).text, x, y);
}

static struct qeff_value *head(struct encoder *e, struct qeff_value *x)
{
	struct modern *m = (struct modern *)e; /* its first member */
	struct model_build *b = e->b;
	struct qeff_error why = { 0 };
	const char *pooling = "cls";

	if (qeff_config_string(b->config, "classifier_pooling", &pooling, &why))
		qeff_graph_fail(b->graph, why.code, "%s", why.message);
	else if (strcmp(pooling, "cls") && strcmp(pooling, "mean"))
		qeff_graph_fail(b->graph, -ENOTSUP,
				"%s: \"classifier_pooling\" is \"%.64s\", expected cls or mean",
				b->config->file, pooling);
	x = strcmp(pooling, "cls") ? encoder_mean_row(e, x) : encoder_first_row(e, x);
	x = model_linear(b, "head.dense", "head.dense", x, b->info->hidden, b->info->hidden,
			 model_bool_or(b, "classifier_bias", false));
	x = model_activation(b, "classifier_activation", "gelu", "head.act", x);
	x = norm(m, "head.norm", "head.norm", x);
	return model_linear(b, "classifier", "logits", x, b->info->hidden, encoder_labels(e), true);
}

void model_build_modernbert(struct model_build *b)
{
	static const struct encoder_form form = { .base = "model.", .head = head };
	struct modern m = { .encoder = { .b = b, .form = &form } };
	struct encoder *e = &m.encoder;
	struct model_name at;
	struct qeff_value *x;

	read_config(&m);
	x = encoder_begin(e, "embeddings.tok_embeddings.weight");
	x = model_embedding(b, encoder_name(e, "embeddings.", "tok_embeddings").text,
			    b->info->vocab, b->info->hidden, x);
	at = encoder_name(e, "embeddings.", "norm");
	x = norm(&m, at.text, at.text, x);
	for (uint32_t i = 0; i < b->info->layers && !model_failed(b); i++)
		x = layer(&m, i, x);
	at = encoder_name(e, "", "final_norm");
	x = norm(&m, at.text, encoder_rows_name(e), x);
	encoder_end(e, x);
}
