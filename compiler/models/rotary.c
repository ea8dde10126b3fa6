/* SPDX-License-Identifier: MIT */
/*
 * Rotary position embeddings: tables of cosines and sines.
 *
 * Frequencies and angles are computed in fp32, step by step as transformers does: at far positions
 * an angle that is more exact would be a different model. Powers, cosines and sines go through
 * double and are rounded once.
 */
#include "models/build.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAX_POSITIONS (1u << 20)
#define FOREVER	      1e30

/**
 * struct frequencies - the frequencies of a rotary embedding in the making
 * @scaling: the object with the scaling's keys: "rope_scaling", or "rope_parameters" of newer
 *	     configs
 * @config: what it stands in
 * @kind: of the layers that the tables are for
 * @is_new: it is "rope_parameters", which may have what stands beside "rope_scaling"
 * @theta: base
 * @inverse: @count frequencies, half of the columns that turn
 * @positions: rows of the tables
 * @factor: what sines and cosines are multiplied by
 */
struct frequencies {
	struct qeff_config scaling;
	const struct qeff_config *config;
	const char *kind;
	bool is_new;
	double theta;
	float *inverse;
	uint32_t count, positions;
	float factor;
	struct qeff_error *err;
};

static bool is_sliding(const struct frequencies *f)
{
	return !strcmp(f->kind, "sliding_attention");
}

static int required_float(const struct frequencies *f, const char *key, double min, double *value)
{
	int ret = qeff_config_require(&f->scaling, key, f->err);

	return ret ? ret : qeff_config_float(&f->scaling, key, min, FOREVER, value, f->err);
}

/* The context that the model was trained for before it was stretched; @in: where to look first. */
static int old_context(const struct frequencies *f, const struct qeff_config *in, double *context)
{
	int ret;

	*context = 2048;
	ret = qeff_config_float(f->config, "max_position_embeddings", 1, FOREVER, context, f->err);
	return ret ? ret
		   : qeff_config_float(in, "original_max_position_embeddings", 1, FOREVER, context,
				       f->err);
}

/* theta^(-2i/dim) */
static void powers(struct frequencies *f, double theta)
{
	for (uint32_t i = 0; i < f->count; i++) {
		float exponent = (float)(2 * i) / (float)(2 * f->count);

		f->inverse[i] = 1.0f / (float)pow((float)theta, exponent);
	}
}

static int scale_default(struct frequencies *f)
{
	return 0;
}

static int scale_linear(struct frequencies *f)
{
	double factor = 1;
	int ret = required_float(f, "factor", 1e-6, &factor);

	for (uint32_t i = 0; i < f->count && !ret; i++)
		f->inverse[i] /= (float)factor;
	return ret;
}

/* The base grows with the positions beyond those of the training. The tables are made once, so all
 * positions get the base of the last one. */
static int scale_dynamic(struct frequencies *f)
{
	double factor = 1, context = 2048, dim = 2.0 * f->count;
	int ret = required_float(f, "factor", 1, &factor);

	if (!ret)
		ret = qeff_config_float(f->config, "max_position_embeddings", 1, FOREVER, &context,
					f->err);
	if (!ret && dim > 2 && f->positions > context)
		powers(f, f->theta * pow(factor * f->positions / context - (factor - 1),
					 dim / (dim - 2)));
	return ret;
}

/* Where among the frequencies the one stands that turns @rotations times over the context. */
static double yarn_place(const struct frequencies *f, double rotations, double context)
{
	return f->count * log(context / (rotations * 2 * M_PI)) / log(f->theta);
}

static double yarn_magnitude(double factor, double scale)
{
	return factor <= 1 ? 1 : 0.1 * scale * log(factor) + 1;
}

/* High frequencies stay, low ones are stretched, those between are mixed of both. */
static int scale_yarn(struct frequencies *f)
{
	double factor = 1, fast = 32, slow = 1, scale = 0, all = 0, context, low, high;
	double magnitude = 0;
	bool truncate = true;
	int ret = required_float(f, "factor", 1e-6, &factor);

	if (!ret)
		ret = qeff_config_float(&f->scaling, "beta_fast", 1e-6, FOREVER, &fast, f->err);
	if (!ret)
		ret = qeff_config_float(&f->scaling, "beta_slow", 1e-6, FOREVER, &slow, f->err);
	if (!ret)
		ret = qeff_config_float(&f->scaling, "mscale", 0, FOREVER, &scale, f->err);
	if (!ret)
		ret = qeff_config_float(&f->scaling, "mscale_all_dim", 0, FOREVER, &all, f->err);
	if (!ret)
		ret = qeff_config_bool(&f->scaling, "truncate", &truncate, f->err);
	if (!ret)
		ret = old_context(f, &f->scaling, &context);
	if (ret)
		return ret;
	magnitude = yarn_magnitude(factor, 1);
	if (scale != 0 && all != 0)
		magnitude = yarn_magnitude(factor, scale) / yarn_magnitude(factor, all);
	ret = qeff_config_float(&f->scaling, "attention_factor", 1e-6, FOREVER, &magnitude, f->err);
	low = yarn_place(f, fast, context);
	high = yarn_place(f, slow, context);
	if (truncate) {
		low = floor(low);
		high = ceil(high);
	}
	low = fmax(low, 0);
	high = fmin(high, 2.0 * f->count - 1);
	if (low == high)
		high += 0.001;
	for (uint32_t i = 0; i < f->count && !ret; i++) {
		float ramp = ((float)i - (float)low) / (float)(high - low);
		float kept = 1 - fminf(fmaxf(ramp, 0), 1);

		f->inverse[i] = f->inverse[i] / (float)factor * (1 - kept) + f->inverse[i] * kept;
	}
	f->factor = (float)magnitude;
	return ret;
}

/* Each frequency has a factor of its own: one list for contexts up to the old one, one beyond. */
static int scale_longrope(struct frequencies *f)
{
	double old, context = 2048, factor = 1, magnitude;
	double *factors = calloc(f->count, sizeof(*factors));
	bool inside = f->is_new && qeff_config_has(&f->scaling, "original_max_position_embeddings");
	/* "rope_scaling"'s factor counts only where the old context is not known. */
	bool stretched = f->is_new ? !qeff_config_has(&f->scaling, "factor")
				   : qeff_config_has(f->config, "original_max_position_embeddings");
	const char *key;
	int ret = factors ? old_context(f, inside ? &f->scaling : f->config, &old) : -ENOMEM;

	if (!ret)
		ret = qeff_config_float(f->config, "max_position_embeddings", 1, FOREVER, &context,
					f->err);
	if (!ret)
		ret = qeff_config_float(&f->scaling, "factor", 1e-6, FOREVER, &factor, f->err);
	if (!ret) {
		key = f->positions > old ? "long_factor" : "short_factor";
		ret = qeff_config_floats(&f->scaling, key, 1e-6, FOREVER, f->count, factors,
					 f->err);
	}
	for (uint32_t i = 0; i < f->count && !ret; i++) {
		float exponent = (float)(2 * i) / (float)(2 * f->count);

		f->inverse[i] = 1.0f / ((float)factors[i] * (float)pow((float)f->theta, exponent));
	}
	free(factors);
	if (ret)
		return ret;
	if (stretched)
		factor = context / old;
	magnitude = factor <= 1 ? 1 : sqrt(1 + log(factor) / log(old));
	ret = qeff_config_float(&f->scaling, "attention_factor", 1e-6, FOREVER, &magnitude, f->err);
	f->factor = (float)magnitude;
	return ret;
}

/* Long waves are stretched by the factor, short ones kept, those between are mixed of both. */
static int scale_llama3(struct frequencies *f)
{
	double factor = 1, low = 1, high = 4, context = 8192;
	int ret = required_float(f, "factor", 1e-6, &factor);

	if (!ret)
		ret = required_float(f, "low_freq_factor", 1e-6, &low);
	if (!ret)
		ret = required_float(f, "high_freq_factor", 1e-6, &high);
	if (!ret)
		ret = required_float(f, "original_max_position_embeddings", 1, &context);
	if (!ret && high <= low)
		ret = qeff_error_set(f->err, -EINVAL,
				     "%s: \"%shigh_freq_factor\" is %g, expected more than "
				     "\"low_freq_factor\", %g",
				     f->scaling.file, f->scaling.path, high, low);
	for (uint32_t i = 0; i < f->count && !ret; i++) {
		float inverse = f->inverse[i];
		float wave = (float)(2 * M_PI) / inverse;
		float smooth = ((float)context / wave - (float)low) / (float)(high - low);

		if (wave > (float)(context / low))
			f->inverse[i] = inverse / (float)factor;
		else if (!(wave < (float)(context / high)))
			f->inverse[i] = (1 - smooth) * inverse / (float)factor + smooth * inverse;
	}
	return ret;
}

static const struct {
	const char *type;
	int (*scale)(struct frequencies *f);
} scalings[] = {
	{ "default", scale_default },	{ "linear", scale_linear },
	{ "dynamic", scale_dynamic },	{ "yarn", scale_yarn },
	{ "longrope", scale_longrope }, { "su", scale_longrope }, /* its name at first */
	{ "llama3", scale_llama3 },
};

/* The keys for layers of f->kind: those of "rope_parameters" for them, or for all layers, or those
 * of "rope_scaling", which are for layers that see all. */
static int find_scaling(struct frequencies *f)
{
	struct qeff_config all;
	int ret;

	f->is_new = qeff_config_has(f->config, "rope_parameters");
	f->scaling = (struct qeff_config){ .file = f->config->file, .path = "rope_scaling." };
	if (f->is_new) {
		ret = qeff_config_object(f->config, "rope_parameters", "rope_parameters.",
					 &f->scaling, f->err);
		all = f->scaling;
		if (!ret && qeff_config_has(&all, f->kind))
			ret = qeff_config_object(&all, f->kind,
						 is_sliding(f)
							 ? "rope_parameters.sliding_attention."
							 : "rope_parameters.full_attention.",
						 &f->scaling, f->err);
		return ret;
	}
	if (is_sliding(f))
		return 0;
	return qeff_config_object(f->config, "rope_scaling", "rope_scaling.", &f->scaling, f->err);
}

/* The scaling's keys, and the type it names: "rope_type", in old configs "type". */
static int read_scaling(struct frequencies *f, const char **type)
{
	int ret = find_scaling(f);

	if (!ret)
		ret = qeff_config_string(&f->scaling, "type", type, f->err);
	if (!ret)
		ret = qeff_config_string(&f->scaling, "rope_type", type, f->err);
	if (!ret && !is_sliding(f))
		ret = qeff_config_float(f->config, "rope_theta", 1, FOREVER, &f->theta, f->err);
	return ret ? ret
		   : qeff_config_float(&f->scaling, "rope_theta", 1, FOREVER, &f->theta, f->err);
}

/* Whatever the family makes of it, the part of @head_dim columns must be as large as it says. */
static int check_part(const struct frequencies *f, uint32_t head_dim)
{
	double part = 2.0 * f->count / head_dim;
	int ret = qeff_config_float(&f->scaling, "partial_rotary_factor", 0, 1, &part, f->err);

	if (ret || (uint32_t)(head_dim * part) == 2 * f->count)
		return ret;
	return qeff_error_set(f->err, -ENOTSUP,
			      "%s: \"%spartial_rotary_factor\" is %g, which is not supported here",
			      f->scaling.file, f->scaling.path, part);
}

static int make_frequencies(struct frequencies *f, uint32_t head_dim)
{
	const char *type = "default";
	int ret = read_scaling(f, &type);

	f->factor = 1;
	if (!ret)
		ret = check_part(f, head_dim);
	if (ret)
		return ret;
	powers(f, f->theta);
	for (size_t i = 0; i < sizeof(scalings) / sizeof(scalings[0]); i++)
		if (!strcmp(scalings[i].type, type))
			return scalings[i].scale(f);
	return qeff_error_set(f->err, -ENOTSUP,
			      "%s: \"%srope_type\" is \"%.64s\", which is not supported",
			      f->config->file, f->scaling.path, type);
}

double model_partial_rotary(struct model_build *b, double fallback)
{
	struct qeff_error why = { 0 };
	struct frequencies f = { .config = b->config, .kind = "full_attention", .err = &why };
	double part = model_float_or(b, "partial_rotary_factor", fallback);

	if (find_scaling(&f) || (f.is_new && qeff_config_float(&f.scaling, "partial_rotary_factor",
							       0, FOREVER, &part, &why)))
		qeff_graph_fail(b->graph, why.code, "%s", why.message);
	return part;
}

static void fill_tables(const struct frequencies *f, float *cosines, float *sines)
{
	for (uint32_t p = 0, at = 0; p < f->positions; p++) {
		for (uint32_t i = 0; i < f->count; i++, at++) {
			float angle = (float)p * f->inverse[i];

			cosines[at] = (float)cos((double)angle) * f->factor;
			sines[at] = (float)sin((double)angle) * f->factor;
		}
	}
}

struct model_rotary model_rotary_tables(struct model_build *b, const char *module, const char *kind,
					uint32_t dim, uint32_t positions, double theta)
{
	const int64_t dims[] = { positions, dim / 2 };
	struct model_rotary rotary = { 0 };
	struct qeff_error why = { 0 };
	struct frequencies f = { .config = b->config,
				 .kind = kind,
				 .theta = theta,
				 .count = dim / 2,
				 .positions = positions,
				 .err = &why };
	void *cosines, *sines;

	if (model_failed(b))
		return rotary;
	if (positions > MAX_POSITIONS || dim < 2 || dim % 2) {
		qeff_graph_fail(
			b->graph, -ENOTSUP,
			"rotary tables of %u positions for heads of %u: expected at most %u, "
			"and even heads",
			positions, dim, MAX_POSITIONS);
		return rotary;
	}
	f.inverse = calloc(f.count, sizeof(*f.inverse));
	if (!f.inverse)
		qeff_graph_fail(b->graph, -ENOMEM, "out of memory");
	else if (make_frequencies(&f, b->info->head_dim))
		qeff_graph_fail(b->graph, why.code, "%s", why.message);
	if (!model_failed(b)) {
		rotary.cos = qeff_graph_constant(b->graph, model_name("%s.cos", module).text,
						 QEFF_GRAPH_F32, 2, dims, &cosines);
		rotary.sin = qeff_graph_constant(b->graph, model_name("%s.sin", module).text,
						 QEFF_GRAPH_F32, 2, dims, &sines);
	}
	if (!model_failed(b))
		fill_tables(&f, cosines, sines);
	free(f.inverse);
	return rotary;
}
