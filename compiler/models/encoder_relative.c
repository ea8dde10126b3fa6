/* SPDX-License-Identifier: MIT */
/*
 * Attention that knows how far a key is from the query: MPNet adds a number by head and distance,
 * DeBERTa products with embeddings of the distance. Both put far distances together into buckets
 * that grow with their logarithm, computed in fp32 as the originals do.
 */
#include "models/encoder.h"

#include "nsp/pack.h"

#include <math.h>
#include <string.h>

/* ---- MPNet ---- */

#define MPNET_BUCKETS	   32 /* fixed, whatever the config says */
#define MPNET_MAX_DISTANCE 128

/* The bucket of a key that stands @distance behind the query. */
static int64_t mpnet_bucket(int64_t distance)
{
	const int64_t half = MPNET_BUCKETS / 2, exact = half / 2;
	int64_t n = distance < 0 ? -distance : distance, far;
	float step = (float)log((double)MPNET_MAX_DISTANCE / exact);

	if (n < exact)
		return n + (distance > 0 ? half : 0);
	far = exact + (int64_t)(logf((float)n / (float)exact) / step * (float)(half - exact));
	return (far < half ? far : half - 1) + (distance > 0 ? half : 0);
}

static enum qeff_nsp_type stored_type(const struct qeff_value *value)
{
	return value->stored_type == QEFF_GRAPH_F32   ? QEFF_NSP_F32
	       : value->stored_type == QEFF_GRAPH_F16 ? QEFF_NSP_F16
						      : QEFF_NSP_BF16;
}

void encoder_read_mpnet(struct encoder *e)
{
	/* two positions of the table are those of padding */
	if (e->b->info->max_positions < 3)
		qeff_graph_fail(e->b->graph, -EINVAL,
				"%s: \"max_position_embeddings\" is %u, expected at least 3",
				e->b->config->file, e->b->info->max_positions);
}

/* [heads, distances]: the table of buckets, spread out. */
static struct qeff_value *mpnet_bias(struct encoder *e)
{
	struct model_build *b = e->b;
	struct model_name at = encoder_name(e, "encoder.", "relative_attention_bias");
	uint32_t heads = b->info->heads, zero = b->info->positions - 1;
	const int64_t table_dims[] = { MPNET_BUCKETS, heads };
	const int64_t dims[] = { heads, 2 * (int64_t)zero + 1 };
	struct qeff_value *table =
		model_weight(b, model_name("%s.weight", at.text).text, 2, table_dims);
	struct qeff_value *bias = NULL;
	void *data;

	if (table)
		bias = qeff_graph_constant(b->graph, at.text, QEFF_GRAPH_F32, 2, dims, &data);
	for (int64_t column = 0; bias && column < dims[1]; column++) {
		const uint8_t *row = (const uint8_t *)table->data +
				     (size_t)mpnet_bucket(column - zero) * heads *
					     qeff_graph_type_bytes(table->stored_type);

		for (uint32_t h = 0; h < heads; h++)
			((float *)data)[h * dims[1] + column] =
				qeff_nsp_load(row + h * qeff_graph_type_bytes(table->stored_type),
					      stored_type(table));
	}
	e->bias_zero = zero;
	return bias;
}

struct qeff_value *encoder_attend_mpnet(struct encoder *e, const char *layer, const char *core,
					struct qeff_value *const *qkv)
{
	struct qeff_value *inputs[] = { qkv[0],		 qkv[1],	  qkv[2],
					e->position_ids, e->position_ids, NULL };

	if (!e->bias)
		e->bias = mpnet_bias(e);
	inputs[5] = e->bias;
	return qeff_graph_node(e->b->graph, "qeff.Attention", core, 6, inputs, 3,
			       (const struct qeff_attribute[]){
				       QEFF_FLOAT("scale", (float)(1 / sqrt(e->b->info->head_dim))),
				       QEFF_INT("causal", 0),
				       QEFF_INT("bias_zero", e->bias_zero) });
}

/* ---- DeBERTa ---- */

/* The row of the embeddings of a key that stands @distance behind the query. */
static int64_t deberta_row(int64_t distance, int64_t buckets, int64_t max_distance, int64_t span)
{
	int64_t mid = buckets / 2, n = distance < 0 ? -distance : distance, row = -distance;
	float ratio;

	if (buckets && n > mid) {
		ratio = logf((float)n / (float)mid) /
			logf((float)((double)(max_distance - 1) / (double)mid));
		row = (int64_t)(ceilf(ratio * (float)(mid - 1)) + (float)mid);
		row = distance < 0 ? row : -row;
	}
	row += span;
	return row < 0 ? 0 : row >= 2 * span ? 2 * span - 1 : row;
}

/* Whether "pos_att_type", a list or names between bars, has @name. */
static bool attends(struct encoder *e, const char *name)
{
	struct qeff_error why = { 0 };
	bool found = false;

	if (qeff_config_lists(e->b->config, "pos_att_type", name, &found, &why))
		qeff_graph_fail(e->b->graph, why.code, "%s", why.message);
	return found;
}

static const char *text_or(struct encoder *e, const char *key, const char *fallback)
{
	struct qeff_error why = { 0 };
	const char *text = fallback;

	if (qeff_config_string(e->b->config, key, &text, &why))
		qeff_graph_fail(e->b->graph, why.code, "%s", why.message);
	return text;
}

static int64_t integer_or(struct encoder *e, const char *key, int64_t max, int64_t fallback)
{
	struct qeff_error why = { 0 };
	int64_t value = fallback;

	if (qeff_config_int(e->b->config, key, -1, max, &value, &why))
		qeff_graph_fail(e->b->graph, why.code, "%s", why.message);
	return value;
}

/* A size that may differ from @expected elsewhere, and may not here. */
static void must_be(struct encoder *e, const char *key, uint32_t expected)
{
	int64_t value = integer_or(e, key, INT32_MAX, expected);

	if (value != expected)
		qeff_graph_fail(e->b->graph, -ENOTSUP,
				"%s: \"%s\" is %lld, which is not supported (only %u)",
				e->b->config->file, key, (long long)value, expected);
}

/* The table of rows, one for each distance up to the model's positions. */
static void make_buckets(struct encoder *e, int64_t buckets, int64_t max_distance)
{
	int64_t zero = (int64_t)e->b->info->max_positions - 1;
	const int64_t dims[] = { 2 * zero + 1 };
	void *data;

	e->buckets =
		qeff_graph_constant(e->b->graph, "relative/rows", QEFF_GRAPH_F32, 1, dims, &data);
	for (int64_t i = 0; e->buckets && i < dims[0]; i++)
		((float *)data)[i] = (float)deberta_row(i - zero, buckets, max_distance, e->span);
}

void encoder_read_deberta(struct encoder *e)
{
	struct model_build *b = e->b;
	int64_t buckets = integer_or(e, "position_buckets", ENCODER_MAX_POSITIONS, -1);
	int64_t most = integer_or(e, "max_relative_positions", ENCODER_MAX_POSITIONS, -1);
	const char *norm = text_or(e, "norm_rel_ebd", "none");

	e->positions = model_bool_or(b, "position_biased_input", true);
	must_be(e, "embedding_size", b->info->hidden);
	must_be(e, "attention_head_size", b->info->head_dim);
	if (!model_bool_or(b, "relative_attention", false))
		return;
	if (strcmp(norm, "none") && strcmp(norm, "layer_norm"))
		qeff_graph_fail(b->graph, -ENOTSUP,
				"%s: \"norm_rel_ebd\" is \"%.64s\", which is not supported",
				b->config->file, norm);
	if (most < 1)
		most = b->info->max_positions;
	if (buckets < 1)
		buckets = 0;
	/* buckets and what is put together into them must both be there */
	if (buckets == 1 || most < 2 || (buckets && most - 1 <= buckets / 2))
		qeff_graph_fail(b->graph, -ENOTSUP,
				"%s: \"position_buckets\" %lld of %lld relative positions",
				b->config->file, (long long)buckets, (long long)most);
	e->span = (uint32_t)(buckets ?: most);
	e->c2p = attends(e, "c2p");
	e->p2c = attends(e, "p2c");
	e->shared_projections = model_bool_or(b, "share_att_key", false);
	if (!model_failed(b))
		make_buckets(e, buckets, most);
}

/* The table of distances, normalised if the config says so: [2 span, W]. */
static struct qeff_value *relative_embeddings(struct encoder *e)
{
	struct model_build *b = e->b;
	const int64_t dims[] = { 2 * (int64_t)e->span, b->info->hidden };
	struct model_name norm = encoder_name(e, "encoder.", "LayerNorm");
	struct qeff_value *table =
		model_weight(b, encoder_name(e, "encoder.", "rel_embeddings.weight").text, 2, dims);

	if (strcmp(text_or(e, "norm_rel_ebd", "none"), "layer_norm"))
		return table;
	return model_layer_norm(b, norm.text, norm.text, table, b->info->hidden, e->norm_epsilon);
}

/* Keys or queries of distances, [2 span, W]: by weights of their own, or by those of the tokens'.
 */
static struct qeff_value *relative_projection(struct encoder *e, const char *layer, const char *own,
					      const char *shared)
{
	struct model_name from = encoder_name(e, layer, shared);
	struct model_name to = encoder_name(e, layer, own);
	const int64_t dims[] = { e->b->info->hidden };
	struct qeff_value *x;

	if (!e->shared_projections)
		return model_linear(e->b, to.text, to.text, e->relative, e->b->info->hidden,
				    e->b->info->hidden, true);
	x = model_binary(e->b, "MatMul", model_name("%s/product", to.text).text, e->relative,
			 qeff_graph_find(e->b->graph, model_name("%s.weight/t", from.text).text));
	return model_binary(e->b, "Add", to.text, x,
			    model_weight(e->b, model_name("%s.bias", from.text).text, 1, dims));
}

struct qeff_value *encoder_attend_deberta(struct encoder *e, const char *layer, const char *core,
					  struct qeff_value *const *qkv)
{
	uint32_t parts = 1 + e->c2p + e->p2c;
	const struct qeff_attribute attributes[] = {
		QEFF_FLOAT("scale", (float)(1 / sqrt((double)e->b->info->head_dim * parts))),
		QEFF_INT("causal", 0),
	};
	struct qeff_value *inputs[] = { qkv[0],		 qkv[1],     qkv[2], e->position_ids,
					e->position_ids, e->buckets, NULL,   NULL };

	if (!e->c2p && !e->p2c)
		return qeff_graph_node(e->b->graph, "qeff.Attention", core, 5, inputs, 2,
				       attributes);
	if (!e->relative)
		e->relative = relative_embeddings(e);
	if (e->c2p)
		inputs[6] = relative_projection(e, layer, "attention.self.pos_key_proj",
						"attention.self.key_proj");
	if (e->p2c)
		inputs[7] = relative_projection(e, layer, "attention.self.pos_query_proj",
						"attention.self.query_proj");
	return qeff_graph_node(e->b->graph, "qeff.DisentangledAttention", core, 8, inputs, 1,
			       attributes);
}
