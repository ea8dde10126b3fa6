/* SPDX-License-Identifier: MIT */
/*
 * Decoders: layers of causal attention and a feed-forward part, with norms around residuals. What
 * differs between architectures stands in their rows of the table, and in struct decoder once the
 * config is read.
 */
#include "models/decoder.h"

#include <stdlib.h>

static struct model_name module(const char *layer, const char *name)
{
	return model_name("%s.%s", layer, name);
}

static struct qeff_value *norm(struct decoder *d, const char *name, struct qeff_value *x,
			       uint32_t width)
{
	float epsilon = (float)d->epsilon;

	switch (d->row->norm) {
	case DECODER_RMS:
		return model_rms_norm(d->b, name, x, width, epsilon);
	case DECODER_RMS_PLUS_ONE:
		return model_rms_norm_plus_one(d->b, name, x, width, epsilon);
	default:
		return model_layer_norm(d->b, name, name, x, width, epsilon);
	}
}

/* The norm @name of a layer; x if it has none. */
static struct qeff_value *layer_norm(struct decoder *d, const char *layer, const char *name,
				     struct qeff_value *x)
{
	return name ? norm(d, module(layer, name).text, x, d->b->info->hidden) : x;
}

static struct qeff_value *linear(struct decoder *d, const char *name, struct qeff_value *x,
				 uint32_t inputs, uint32_t outputs, bool bias)
{
	const struct model_part whole = { 1, outputs, 0, outputs };

	return model_linear_part(d->b, name, name, x, inputs, &whole, bias, d->row->transposed);
}

/* ---- attention ---- */

static struct qeff_value *rotate(struct decoder *d, uint32_t index, const char *name,
				 struct qeff_value *x)
{
	const struct qeff_attribute attributes[] = { QEFF_INT("interleaved", d->row->interleaved),
						     QEFF_INT("rotary_dim", d->rotary_dim) };
	const struct qeff_model_info *info = d->b->info;
	bool local = d->local_theta > 0 && d->local[index];
	struct model_rotary *rotary = &d->rotary[local];

	/* only now are the weights known to be as large as the config says */
	if (!rotary->cos && local)
		*rotary = model_rotary_tables(d->b, "rotary.local", "sliding_attention",
					      d->rotary_dim, info->positions, d->local_theta);
	else if (!rotary->cos)
		*rotary = model_rotary_tables(d->b, "rotary", "full_attention", d->rotary_dim,
					      info->positions, d->row->theta);
	return qeff_graph_node(
		d->b->graph, "qeff.RotaryEmbedding", model_name("%s/rotated", name).text, 4,
		(struct qeff_value *[]){ x, d->position_ids, rotary->cos, rotary->sin }, 2,
		attributes);
}

/* Number @which of q, k, v: [B,S,W] -> [B,heads,S,D]; @qk_norm: its norm's name */
static struct qeff_value *project(struct decoder *d, const char *layer, int which, const char *name,
				  const char *qk_norm, struct qeff_value *x, uint32_t heads)
{
	const struct qeff_model_info *info = d->b->info;
	uint32_t width = heads * info->head_dim;
	struct model_name at = module(layer, name);
	struct model_name normed = module(layer, qk_norm ?: "");

	if (d->names.qkv)
		x = model_linear_part(d->b, module(layer, d->names.qkv).text, at.text, x,
				      info->hidden, &d->qkv[which], d->qkv_bias,
				      d->row->transposed);
	else
		x = linear(d, at.text, x, info->hidden, width, d->qkv_bias);
	if (qk_norm && d->qk_norm == DECODER_QK_WHOLE)
		x = norm(d, normed.text, x, width);
	x = model_split_heads(d->b, at.text, x, heads, info->head_dim);
	if (qk_norm && d->qk_norm == DECODER_QK_HEAD)
		x = norm(d, normed.text, x, info->head_dim);
	return x;
}

static struct qeff_value *attention(struct decoder *d, uint32_t index, const char *layer,
				    struct qeff_value *x)
{
	const struct decoder_names *names = &d->names;
	const struct qeff_model_info *info = d->b->info;
	double scale = d->layer_scale ? d->scale / (index + 1) : d->scale;
	struct qeff_attribute attributes[5] = { QEFF_FLOAT("scale", (float)scale),
						QEFF_INT("causal", 1) };
	struct model_name core = module(layer, "attention");
	uint32_t count = 2, width = info->heads * info->head_dim;
	const int64_t heads[] = { info->heads };
	struct qeff_value *q, *k, *v, *sinks = NULL;

	if (d->windows[index])
		attributes[count++] = QEFF_INT("window", d->windows[index]);
	if (d->softcap > 0)
		attributes[count++] = QEFF_FLOAT("softcap", (float)d->softcap);
	if (d->alibi)
		attributes[count++] = QEFF_INT("bias_zero", d->alibi == DECODER_ALIBI_FALCON
								    ? -1
								    : (int64_t)info->positions - 1);
	q = project(d, layer, 0, names->q, names->q_norm, x, info->heads);
	k = project(d, layer, 1, names->k, names->k_norm, x, info->kv_heads);
	v = project(d, layer, 2, names->v, NULL, x, info->kv_heads);
	if (d->rotary_dim) {
		q = rotate(d, index, module(layer, names->q).text, q);
		k = rotate(d, index, module(layer, names->k).text, k);
	}
	if (names->sinks)
		sinks = model_weight(d->b, module(layer, names->sinks).text, 1, heads);
	if (d->alibi && !d->distances)
		d->distances = model_alibi(d);
	x = qeff_graph_node(d->b->graph, "qeff.Attention", core.text, 7,
			    (struct qeff_value *[]){ q, k, v, d->position_ids, d->position_ids,
						     d->distances, sinks },
			    count, attributes);
	x = model_merge_heads(d->b, core.text, x, width);
	return linear(d, module(layer, names->o).text, x, width, info->hidden, d->o_bias);
}

/* ---- feed-forward ---- */

static struct qeff_value *activation(struct decoder *d, const char *layer, struct qeff_value *x)
{
	return model_activation(d->b, d->activation_key ?: "", d->row->activation,
				module(layer, "mlp.act_fn").text, x);
}

static struct qeff_value *feed_forward(struct decoder *d, const char *layer, struct qeff_value *x)
{
	const struct decoder_names *names = &d->names;
	const struct qeff_model_info *info = d->b->info;
	uint32_t wide = info->intermediate;
	struct model_name at = names->dense ? module(layer, names->dense) : model_name("%s", layer);
	struct model_name up = module(at.text, names->up), down = module(at.text, names->down);
	struct qeff_value *g, *u;

	if (names->gate_up) {
		const struct model_part gate_part = { 1, 2 * wide, 0, wide };
		const struct model_part up_part = { 1, 2 * wide, wide, wide };
		struct model_name both = module(at.text, names->gate_up);

		g = model_linear_part(d->b, both.text, module(at.text, names->gate).text, x,
				      info->hidden, &gate_part, d->mlp_bias, d->row->transposed);
		g = activation(d, layer, g);
		u = model_linear_part(d->b, both.text, up.text, x, info->hidden, &up_part,
				      d->mlp_bias, d->row->transposed);
	} else if (names->gate) {
		g = linear(d, module(at.text, names->gate).text, x, info->hidden, wide,
			   d->mlp_bias);
		g = activation(d, layer, g);
		u = linear(d, up.text, x, info->hidden, wide, d->mlp_bias);
	} else {
		g = NULL;
		u = linear(d, up.text, x, info->hidden, wide, d->mlp_bias);
		u = activation(d, layer, u);
	}
	if (g)
		u = model_binary(d->b, "Mul", model_name("%s/input", down.text).text, g, u);
	return linear(d, down.text, u, wide, info->hidden, d->mlp_bias);
}

/* ---- layers ---- */

static struct qeff_value *layer(struct decoder *d, uint32_t index, struct qeff_value *x)
{
	const struct decoder_names *names = &d->names;
	struct model_name at = model_name("%s.%u", names->layers, index);
	struct qeff_value *residual = x, *normed, *y;

	normed = layer_norm(d, at.text, names->input_norm, x);
	y = attention(d, index, at.text, normed);
	y = layer_norm(d, at.text, names->attended_norm, y);
	y = model_scale(d->b, model_name("%s/attention/scaled", at.text).text, y,
			d->residual_scale);
	x = model_binary(d->b, "Add", model_name("%s/attended", at.text).text, x, y);
	if (!d->parallel)
		y = layer_norm(d, at.text, names->post_norm, x);
	else
		y = names->post_norm ? layer_norm(d, at.text, names->post_norm, residual) : normed;
	if (d->experts && !d->dense[index])
		y = model_experts(d, at.text, y);
	else
		y = feed_forward(d, at.text, y);
	y = layer_norm(d, at.text, names->fed_norm, y);
	y = model_scale(d->b, model_name("%s/mlp/scaled", at.text).text, y, d->residual_scale);
	return model_binary(d->b, "Add", at.text, x, y);
}

static struct qeff_value *embed(struct decoder *d, struct qeff_value *input_ids)
{
	const struct decoder_names *names = &d->names;
	struct model_build *b = d->b;
	struct qeff_value *x, *y;

	x = model_embedding(b, names->embedding, b->info->vocab, b->info->hidden, input_ids);
	x = model_scale(b, model_name("%s/scaled", names->embedding).text, x, d->embedding_scale);
	if (!names->positions)
		return x;
	y = model_embedding(b, names->positions, b->info->max_positions, b->info->hidden,
			    d->position_ids);
	return model_binary(b, "Add", model_name("%s/placed", names->embedding).text, x, y);
}

/* The product with the head's matrix, and what is done with the logits after that. */
static struct qeff_value *head(struct decoder *d, struct qeff_value *x)
{
	const struct decoder_names *names = &d->names;
	struct model_build *b = d->b;
	uint32_t width = b->info->hidden, vocab = b->info->vocab;
	bool tied = model_bool_or(b, "tie_word_embeddings", d->row->tied);
	bool scaled = d->logits_scale != 1, capped = d->final_softcap > 0;
	const char *name = scaled || capped ? "logits/product" : "logits";

	x = model_linear(b, tied ? names->embedding : names->head, name, x, width, vocab,
			 d->head_bias && !tied);
	if (tied) /* some checkpoints hold a copy */
		model_ignore(b, model_name("%s.weight", names->head).text);
	x = model_scale(b, capped ? "logits/scaled" : "logits", x, d->logits_scale);
	if (!capped)
		return x;
	x = model_binary(b, "Div", "logits/ratio", x, model_scalar(b, (float)d->final_softcap));
	x = model_unary(b, "Tanh", "logits/bent", x);
	return model_binary(b, "Mul", "logits", x, model_scalar(b, (float)d->final_softcap));
}

void model_build_decoder(struct model_build *b)
{
	struct decoder *d = calloc(1, sizeof(*d));
	struct qeff_value *input_ids, *mask, *x = NULL;

	if (!d) {
		qeff_graph_fail(b->graph, -ENOMEM, "out of memory");
		return;
	}
	d->b = b;
	d->row = b->architecture->decoder;
	model_read_decoder(d);
	input_ids = model_ids(b, "input_ids");
	mask = model_ids(b, "attention_mask");
	d->position_ids = model_unary(b, "qeff.MaskToPositions", "position_ids", mask);
	if (!model_failed(b))
		x = embed(d, input_ids);
	for (uint32_t i = 0; i < b->info->layers && !model_failed(b); i++)
		x = layer(d, i, x);
	if (!model_failed(b)) {
		x = norm(d, d->names.norm, x, b->info->hidden);
		qeff_graph_output(b->graph, head(d, x));
	}
	free(d);
}
