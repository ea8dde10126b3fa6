/* SPDX-License-Identifier: MIT */
/* From config.json to the knobs of a decoder: what all families read, and pieces for what only some
 * of them do. */
#include "models/decoder.h"

#include <math.h>
#include <string.h>

static void read_sizes(struct decoder *d)
{
	const struct decoder_keys *keys = d->row->keys;
	struct model_build *b = d->b;
	struct qeff_model_info *info = b->info;
	bool has_head_dim = keys->head_dim && qeff_config_has(b->config, keys->head_dim);

	info->layers = model_size(b, keys->layers, DECODER_MAX_LAYERS);
	info->hidden = model_size(b, keys->hidden, DECODER_MAX_WIDTH);
	info->heads = model_size(b, keys->heads, DECODER_MAX_WIDTH);
	info->vocab = model_size(b, "vocab_size", DECODER_MAX_VOCAB);
	info->intermediate = d->row->wide * info->hidden;
	if (keys->intermediate)
		info->intermediate = d->row->wide
					     ? model_size_or(b, keys->intermediate,
							     DECODER_MAX_WIDTH, info->intermediate)
					     : model_size(b, keys->intermediate, DECODER_MAX_WIDTH);
	info->kv_heads = info->heads;
	if (keys->kv_heads)
		info->kv_heads = model_size_or(b, keys->kv_heads, DECODER_MAX_WIDTH, info->heads);
	info->head_dim = info->hidden / info->heads;
	if (has_head_dim)
		info->head_dim = model_size(b, keys->head_dim, DECODER_MAX_WIDTH);
	info->max_positions = model_size_or(b, keys->positions, INT32_MAX, 2048);
	info->positions = b->wanted_positions ?: info->max_positions;
	if (!has_head_dim && info->hidden % info->heads)
		qeff_graph_fail(b->graph, -EINVAL, "%s: \"%s\", %u, is no multiple of \"%s\", %u",
				b->config->file, keys->hidden, info->hidden, keys->heads,
				info->heads);
}

static void check_sizes(const struct decoder *d)
{
	const struct decoder_keys *keys = d->row->keys;
	struct model_build *b = d->b;
	struct qeff_model_info *info = b->info;

	if (!info->kv_heads || info->heads % info->kv_heads)
		qeff_graph_fail(b->graph, -EINVAL, "%s: \"%s\", %u, is no multiple of \"%s\", %u",
				b->config->file, keys->heads, info->heads,
				keys->kv_heads ?: "key heads", info->kv_heads);
	if ((uint64_t)info->heads * info->head_dim > DECODER_MAX_WIDTH ||
	    info->intermediate > DECODER_MAX_WIDTH)
		qeff_graph_fail(b->graph, -ENOTSUP,
				"%s: %u heads of %u, or %u, are more than %u wide", b->config->file,
				info->heads, info->head_dim, info->intermediate, DECODER_MAX_WIDTH);
	if (d->rotary_dim > info->head_dim)
		qeff_graph_fail(b->graph, -EINVAL, "%s: %u columns of heads of %u are to turn",
				b->config->file, d->rotary_dim, info->head_dim);
	if (d->names.positions && info->positions > info->max_positions)
		qeff_graph_fail(b->graph, -ENOTSUP,
				"%s: the model has embeddings of %u positions, %u are wanted",
				b->config->file, info->max_positions, info->positions);
	else if (info->positions > info->max_positions)
		model_warn(b, "%u positions are more than the %u that the model was made for",
			   info->positions, info->max_positions);
}

void model_read_decoder(struct decoder *d)
{
	const struct decoder_row *row = d->row;

	d->names = *row->names;
	d->parallel = row->parallel;
	d->qkv_bias = d->o_bias = d->mlp_bias = row->bias;
	d->embedding_scale = d->residual_scale = d->logits_scale = 1;
	d->activation_key = row->keys->activation;
	read_sizes(d);
	d->rotary_dim = d->names.positions ? 0 : d->b->info->head_dim;
	d->scale = 1 / sqrt(d->b->info->head_dim ?: 1);
	d->epsilon = model_float_or(d->b, row->keys->epsilon, row->epsilon);
	if (row->configure && !model_failed(d->b))
		row->configure(d);
	if (!model_failed(d->b))
		check_sizes(d);
}

void model_decoder_stacked_qkv(struct decoder *d)
{
	const struct qeff_model_info *info = d->b->info;
	uint32_t q = info->heads * info->head_dim, k = info->kv_heads * info->head_dim;

	d->qkv[0] = (struct model_part){ 1, q + 2 * k, 0, q };
	d->qkv[1] = (struct model_part){ 1, q + 2 * k, q, k };
	d->qkv[2] = (struct model_part){ 1, q + 2 * k, q + k, k };
}

void model_decoder_grouped_qkv(struct decoder *d)
{
	const struct qeff_model_info *info = d->b->info;
	uint32_t k = info->head_dim, q = info->heads / (info->kv_heads ?: 1) * k;

	d->qkv[0] = (struct model_part){ info->kv_heads, q + 2 * k, 0, q };
	d->qkv[1] = (struct model_part){ info->kv_heads, q + 2 * k, q, k };
	d->qkv[2] = (struct model_part){ info->kv_heads, q + 2 * k, q + k, k };
}

void model_decoder_windows(struct decoder *d, uint32_t window,
			   bool (*slides)(const struct decoder *d, uint32_t layer))
{
	for (uint32_t i = 0; i < d->b->info->layers && !model_failed(d->b); i++)
		if (model_layer_slides(d->b, i, !slides || slides(d, i))) {
			d->windows[i] = window;
			d->local[i] = true;
		}
}
