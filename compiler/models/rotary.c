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

struct frequencies {
	const struct qeff_config
		*scaling; /* "rope_scaling", or "rope_parameters" of newer configs */
	float *inverse;	  /* dim / 2 of them */
	uint32_t count;
	struct qeff_error *err;
};

static int required_float(const struct frequencies *f, const char *key, double min, double *value)
{
	int ret = qeff_config_require(f->scaling, key, f->err);

	return ret ? ret : qeff_config_float(f->scaling, key, min, FOREVER, value, f->err);
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

/* Long waves are stretched by the factor, short ones kept, those between are mixed of both. */
static int scale_llama3(struct frequencies *f)
{
	double factor = 1, low = 1, high = 4, old_context = 8192;
	int ret = required_float(f, "factor", 1e-6, &factor);

	if (!ret)
		ret = required_float(f, "low_freq_factor", 1e-6, &low);
	if (!ret)
		ret = required_float(f, "high_freq_factor", 1e-6, &high);
	if (!ret)
		ret = required_float(f, "original_max_position_embeddings", 1, &old_context);
	if (!ret && high <= low)
		ret = qeff_error_set(f->err, -EINVAL,
				     "%s: \"%shigh_freq_factor\" is %g, expected more than "
				     "\"low_freq_factor\", %g",
				     f->scaling->file, f->scaling->path, high, low);
	for (uint32_t i = 0; i < f->count && !ret; i++) {
		float inverse = f->inverse[i];
		float wave = (float)(2 * M_PI) / inverse;
		float smooth = ((float)old_context / wave - (float)low) / (float)(high - low);

		if (wave > (float)(old_context / low))
			f->inverse[i] = inverse / (float)factor;
		else if (!(wave < (float)(old_context / high)))
			f->inverse[i] = (1 - smooth) * inverse / (float)factor + smooth * inverse;
	}
	return ret;
}

static const struct {
	const char *type;
	int (*scale)(struct frequencies *f);
} scalings[] = {
	{ "default", scale_default },
	{ "linear", scale_linear },
	{ "llama3", scale_llama3 },
};

/* The object with the scaling's keys, and the type it names: "rope_type", in old configs "type". */
static int read_scaling(const struct qeff_config *config, struct qeff_config *scaling,
			const char **type, double *theta, struct qeff_error *err)
{
	bool is_new = qeff_config_has(config, "rope_parameters");
	int ret;

	*type = "default";
	ret = qeff_config_object(config, is_new ? "rope_parameters" : "rope_scaling",
				 is_new ? "rope_parameters." : "rope_scaling.", scaling, err);
	if (!ret)
		ret = qeff_config_string(scaling, "type", type, err);
	if (!ret)
		ret = qeff_config_string(scaling, "rope_type", type, err);
	if (!ret)
		ret = qeff_config_float(config, "rope_theta", 1, FOREVER, theta, err);
	return ret ? ret : qeff_config_float(scaling, "rope_theta", 1, FOREVER, theta, err);
}

static int make_frequencies(const struct qeff_config *config, uint32_t dim, float *inverse,
			    struct qeff_error *err)
{
	struct qeff_config scaling;
	struct frequencies f = { &scaling, inverse, dim / 2, err };
	double theta = 10000;
	const char *type;
	int ret = read_scaling(config, &scaling, &type, &theta, err);

	if (ret)
		return ret;
	for (uint32_t i = 0; i < f.count; i++) {
		float exponent = (float)(2 * i) / (float)dim;

		inverse[i] = 1.0f / (float)pow((float)theta, exponent);
	}
	for (size_t i = 0; i < sizeof(scalings) / sizeof(scalings[0]); i++)
		if (!strcmp(scalings[i].type, type))
			return scalings[i].scale(&f);
	return qeff_error_set(err, -ENOTSUP,
			      "%s: \"%srope_type\" is \"%.64s\", which is not supported",
			      config->file, scaling.path, type);
}

struct model_rotary model_rotary_tables(struct model_build *b, const char *module, uint32_t dim,
					uint32_t positions)
{
	const int64_t dims[] = { positions, dim / 2 };
	struct model_rotary rotary = { 0 };
	struct qeff_error why = { 0 };
	void *cosines, *sines;
	float *inverse;

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
	inverse = calloc(dim / 2, sizeof(*inverse));
	if (!inverse)
		qeff_graph_fail(b->graph, -ENOMEM, "out of memory");
	else if (make_frequencies(b->config, dim, inverse, &why))
		qeff_graph_fail(b->graph, why.code, "%s", why.message);
	if (model_failed(b))
		goto out;
	rotary.cos = qeff_graph_constant(b->graph, model_name("%s.cos", module).text,
					 QEFF_GRAPH_F32, 2, dims, &cosines);
	rotary.sin = qeff_graph_constant(b->graph, model_name("%s.sin", module).text,
					 QEFF_GRAPH_F32, 2, dims, &sines);
	if (model_failed(b))
		goto out;
	for (uint32_t p = 0, at = 0; p < positions; p++) {
		for (uint32_t i = 0; i < dim / 2; i++, at++) {
			float angle = (float)p * inverse[i];

			((float *)cosines)[at] = (float)cos((double)angle);
			((float *)sines)[at] = (float)sin((double)angle);
		}
	}
out:
	free(inverse);
	return rotary;
}
