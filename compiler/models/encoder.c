/* SPDX-License-Identifier: MIT */
/* Encoders in BERT's form: summed embeddings, then layers of attention and feed-forward, each with
 * a norm behind it. What differs between families stands in their forms. */
#include "models/encoder.h"

#include <math.h>
#include <string.h>

static void read_config(struct encoder *e)
{
	const struct encoder_form *form = e->form;
	struct model_build *b = e->b;
	struct qeff_model_info *info = b->info;

	info->layers = model_size(b, form->layers, ENCODER_MAX_LAYERS);
	info->hidden = model_size(b, form->hidden, ENCODER_MAX_WIDTH);
	info->intermediate = model_size(b, form->intermediate, ENCODER_MAX_WIDTH);
	info->heads = model_size(b, form->heads, ENCODER_MAX_WIDTH);
	info->vocab = model_size(b, "vocab_size", ENCODER_MAX_VOCAB);
	info->max_positions = model_size(b, "max_position_embeddings", ENCODER_MAX_POSITIONS);
	info->kv_heads = info->heads;
	info->head_dim = info->hidden / info->heads;
	e->norm_epsilon = (float)model_float_or(b, "layer_norm_eps", form->norm_epsilon);
	e->positions = true;
	if (info->hidden % info->heads)
		qeff_graph_fail(b->graph, -EINVAL, "%s: \"%s\", %u, is no multiple of \"%s\", %u",
				b->config->file, form->hidden, info->hidden, form->heads,
				info->heads);
	if (form->read_config)
		form->read_config(e);
}

/* The embedding of position 0 is the first, or the one behind that of the padding token. */
static uint32_t first_position(struct encoder *e)
{
	struct qeff_error why = { 0 };
	int64_t padding = e->form->behind_padding;

	if (padding < 0)
		return 0;
	if (qeff_config_int(e->b->config, "pad_token_id", 0, e->b->info->max_positions - 2,
			    &padding, &why))
		qeff_graph_fail(e->b->graph, why.code, "%s", why.message);
	return (uint32_t)padding + 1;
}

/* Rows of the table of positions, from @first on: a view of the checkpoint's tensor. */
static struct qeff_value *position_embeddings(struct encoder *e)
{
	struct model_build *b = e->b;
	struct model_name at = encoder_name(e, "embeddings.", "position_embeddings");
	uint32_t first = first_position(e), width = b->info->hidden;
	const int64_t all[] = { b->info->max_positions, width };
	const int64_t some[] = { b->info->max_positions - first, width };
	struct qeff_value *table = model_weight(b, model_name("%s.weight", at.text).text, 2, all);

	if (table && first)
		table = qeff_graph_initialiser(
			b->graph, model_name("%s.weight/placed", at.text).text, QEFF_GRAPH_F32,
			table->stored_type, 2, some,
			(const uint8_t *)table->data +
				(size_t)first * width * qeff_graph_type_bytes(table->stored_type));
	b->info->max_positions -= first;
	return model_binary(b, "Gather", at.text, table, e->position_ids);
}

static struct qeff_value *embeddings(struct encoder *e, struct qeff_value *input_ids)
{
	struct model_build *b = e->b;
	uint32_t width = b->info->hidden, types = e->form->token_types;
	struct model_name norm = encoder_name(e, "embeddings.", "LayerNorm");
	struct qeff_error why = { 0 };
	struct qeff_value *x, *y;
	int64_t count = types;

	x = model_embedding(b, encoder_name(e, "embeddings.", "word_embeddings").text,
			    b->info->vocab, width, input_ids);
	if (qeff_config_int(b->config, "type_vocab_size", 0, ENCODER_MAX_VOCAB, &count, &why))
		qeff_graph_fail(b->graph, why.code, "%s", why.message);
	b->info->uses_token_types = count;
	if (count) {
		y = model_embedding(b, encoder_name(e, "embeddings.", "token_type_embeddings").text,
				    (uint32_t)count, width, model_ids(b, "token_type_ids"));
		x = model_binary(b, "Add", encoder_name(e, "embeddings/", "typed").text, x, y);
	}
	if (e->positions)
		x = model_binary(b, "Add", encoder_name(e, "embeddings/", "placed").text, x,
				 position_embeddings(e));
	b->info->positions = b->info->max_positions;
	return model_layer_norm(b, norm.text, norm.text, x, width, e->norm_epsilon);
}

static struct qeff_value *project(struct encoder *e, const char *layer, const char *name,
				  struct qeff_value *x)
{
	const struct qeff_model_info *info = e->b->info;
	struct model_name at = encoder_name(e, layer, name);

	x = model_linear(e->b, at.text, at.text, x, info->hidden, info->hidden, true);
	return model_split_heads(e->b, at.text, x, info->heads, info->head_dim);
}

static struct qeff_value *attend(struct encoder *e, const char *core, struct qeff_value *const *qkv)
{
	const struct qeff_attribute attributes[] = {
		QEFF_FLOAT("scale", (float)(1 / sqrt(e->b->info->head_dim))),
		QEFF_INT("causal", 0),
	};

	return qeff_graph_node(
		e->b->graph, "qeff.Attention", core, 5,
		(struct qeff_value *[]){ qkv[0], qkv[1], qkv[2], e->position_ids, e->position_ids },
		2, attributes);
}

static struct qeff_value *attention(struct encoder *e, const char *layer, struct qeff_value *x)
{
	const struct encoder_form *form = e->form;
	struct model_name core = encoder_name(e, layer, form->core);
	struct qeff_value *const qkv[] = { project(e, layer, form->q, x),
					   project(e, layer, form->k, x),
					   project(e, layer, form->v, x) };

	x = form->attend ? form->attend(e, layer, core.text, qkv) : attend(e, core.text, qkv);
	return model_merge_heads(e->b, core.text, x, e->b->info->hidden);
}

/* dense, residual, norm */
static struct qeff_value *conclude(struct encoder *e, const char *layer, const char *dense,
				   const char *norm, const char *output, struct qeff_value *x,
				   uint32_t inputs, struct qeff_value *residual)
{
	uint32_t width = e->b->info->hidden;
	struct model_name dense_at = encoder_name(e, layer, dense);
	struct model_name norm_at = encoder_name(e, layer, norm);

	x = model_linear(e->b, dense_at.text, dense_at.text, x, inputs, width, true);
	x = model_binary(e->b, "Add", model_name("%s/residual", norm_at.text).text, x, residual);
	return model_layer_norm(e->b, norm_at.text, output ?: norm_at.text, x, width,
				e->norm_epsilon);
}

static struct qeff_value *layer(struct encoder *e, uint32_t index, struct qeff_value *x)
{
	const struct encoder_form *form = e->form;
	const struct qeff_model_info *info = e->b->info;
	struct model_name at = model_name("%s.%u.", form->layer, index);
	struct model_name wide = encoder_name(e, at.text, form->wide);
	struct qeff_value *y;

	x = conclude(e, at.text, form->attention_out, form->attention_norm, NULL,
		     attention(e, at.text, x), info->hidden, x);
	y = model_linear(e->b, wide.text, wide.text, x, info->hidden, info->intermediate, true);
	y = model_activation(e->b, form->activation, "gelu",
			     encoder_name(e, at.text, form->act).text, y);
	return conclude(e, at.text, form->narrow, form->norm,
			index + 1 == info->layers ? encoder_rows_name(e) : NULL, y,
			info->intermediate, x);
}

static void build(struct model_build *b, const struct encoder_form *form)
{
	struct encoder e = { .b = b, .form = form };
	struct qeff_value *input_ids, *x;

	read_config(&e);
	if (model_failed(b))
		return;
	input_ids = encoder_begin(&e, "embeddings.word_embeddings.weight");
	x = embeddings(&e, input_ids);
	for (uint32_t i = 0; i < b->info->layers && !model_failed(b); i++)
		x = layer(&e, i, x);
	encoder_end(&e, x);
}

static const struct encoder_form bert = {
	.base = "bert.",
	.hidden = "hidden_size",
	.layers = "num_hidden_layers",
	.heads = "num_attention_heads",
	.intermediate = "intermediate_size",
	.activation = "hidden_act",
	.norm_epsilon = 1e-12,
	.layer = "encoder.layer",
	.q = "attention.self.query",
	.k = "attention.self.key",
	.v = "attention.self.value",
	.core = "attention.self",
	.attention_out = "attention.output.dense",
	.attention_norm = "attention.output.LayerNorm",
	.wide = "intermediate.dense",
	.act = "intermediate",
	.narrow = "output.dense",
	.norm = "output.LayerNorm",
	.token_types = 2,
	.behind_padding = -1,
	.head = encoder_head_bert,
};

void model_build_bert(struct model_build *b)
{
	build(b, &bert);
}

void model_build_roberta(struct model_build *b)
{
	struct encoder_form roberta = bert;

	roberta.base = "roberta.";
	roberta.behind_padding = 1;
	roberta.head = encoder_head_roberta;
	build(b, &roberta);
}

void model_build_mpnet(struct model_build *b)
{
	struct encoder_form mpnet = bert;

	mpnet.base = "mpnet.";
	mpnet.q = "attention.attn.q";
	mpnet.k = "attention.attn.k";
	mpnet.v = "attention.attn.v";
	mpnet.core = "attention.attn";
	mpnet.attention_out = "attention.attn.o";
	mpnet.attention_norm = "attention.LayerNorm";
	mpnet.token_types = 0;
	mpnet.behind_padding = 1;
	mpnet.read_config = encoder_read_mpnet;
	mpnet.attend = encoder_attend_mpnet;
	mpnet.head = encoder_head_roberta;
	build(b, &mpnet);
}

void model_build_deberta(struct model_build *b)
{
	struct encoder_form deberta = bert;

	deberta.base = "deberta.";
	deberta.norm_epsilon = 1e-7;
	deberta.q = "attention.self.query_proj";
	deberta.k = "attention.self.key_proj";
	deberta.v = "attention.self.value_proj";
	deberta.token_types = 0;
	deberta.read_config = encoder_read_deberta;
	deberta.attend = encoder_attend_deberta;
	deberta.head = encoder_head_deberta;
	build(b, &deberta);
}

static const struct encoder_form distilbert = {
	.base = "distilbert.",
	.hidden = "dim",
	.layers = "n_layers",
	.heads = "n_heads",
	.intermediate = "hidden_dim",
	.activation = "activation",
	.norm_epsilon = 1e-12,
	.layer = "transformer.layer",
	.q = "attention.q_lin",
	.k = "attention.k_lin",
	.v = "attention.v_lin",
	.core = "attention",
	.attention_out = "attention.out_lin",
	.attention_norm = "sa_layer_norm",
	.wide = "ffn.lin1",
	.act = "ffn",
	.narrow = "ffn.lin2",
	.norm = "output_layer_norm",
	.behind_padding = -1,
	.head = encoder_head_distilbert,
};

void model_build_distilbert(struct model_build *b)
{
	build(b, &distilbert);
}
