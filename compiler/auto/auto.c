/* SPDX-License-Identifier: MIT */
/* The model classes: a checkpoint, its tokenizer, its package, and the session that runs it; on
 * public headers alone. */
#include <qeff/auto.h>

#include <qeff/device.h>
#include <qeff/session.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct qeff_auto_model {
	char *model_dir;
	char *device;
	struct qeff_auto_options options;
	struct qeff_tokenizer *tokenizer;
	char *package;
	struct qeff_session *session;
	struct qeff_embedder *embedder;
	struct qeff_classifier *classifier;
	struct qeff_generator *generator;
};

__attribute__((format(printf, 3, 4))) static int fail(struct qeff_error *err, int code,
						      const char *format, ...)
{
	va_list args;

	if (err) {
		err->code = code;
		va_start(args, format);
		vsnprintf(err->message, sizeof(err->message), format, args);
		va_end(args);
	}
	return code;
}

static void unload(struct qeff_auto_model *model)
{
	qeff_embedder_close(model->embedder);
	qeff_classifier_close(model->classifier);
	qeff_generator_close(model->generator);
	qeff_session_close(model->session);
	model->embedder = NULL;
	model->classifier = NULL;
	model->generator = NULL;
	model->session = NULL;
}

static void drop_package(struct qeff_auto_model *model)
{
	unload(model);
	free(model->package);
	model->package = NULL;
}

int qeff_auto_model_from_pretrained(const char *model_dir, const struct qeff_auto_options *options,
				    struct qeff_auto_model **model, struct qeff_error *err)
{
	struct qeff_auto_model *m = calloc(1, sizeof(*m));
	int ret;

	*model = NULL;
	if (!m)
		return fail(err, -ENOMEM, "out of memory");
	if (options)
		m->options = *options;
	m->model_dir = strdup(model_dir);
	m->device = m->options.device ? strdup(m->options.device) : NULL;
	if (!m->model_dir || (m->options.device && !m->device))
		ret = fail(err, -ENOMEM, "out of memory");
	else
		ret = qeff_tokenizer_open(model_dir, &m->tokenizer, err);
	if (ret)
		qeff_auto_model_free(m);
	else
		*model = m;
	return ret;
}

void qeff_auto_model_free(struct qeff_auto_model *model)
{
	if (!model)
		return;
	drop_package(model);
	qeff_tokenizer_close(model->tokenizer);
	free(model->model_dir);
	free(model->device);
	free(model);
}

int qeff_auto_model_compile(struct qeff_auto_model *model,
			    const struct qeff_compile_options *options, struct qeff_error *err)
{
	struct qeff_compile_options o = { 0 };
	bool hit;
	int ret;

	if (options)
		o = *options;
	o.model_dir = model->model_dir;
	if (o.pooling == QEFF_COMPILE_POOLING_DEFAULT)
		o.pooling = model->options.pooling;
	if (o.normalize == QEFF_COMPILE_NORMALIZE_DEFAULT)
		o.normalize = model->options.normalize;
	if (o.precision == QEFF_COMPILE_FP32)
		o.precision = model->options.precision;
	drop_package(model);
	if (!o.output)
		return qeff_compile_cached(&o, false, &model->package, &hit, NULL, err);
	ret = qeff_compile(&o, NULL, err);
	if (!ret) {
		model->package = strdup(o.output);
		if (!model->package)
			ret = fail(err, -ENOMEM, "out of memory");
	}
	return ret;
}

const char *qeff_auto_model_package(const struct qeff_auto_model *model)
{
	return model->package;
}

const struct qeff_tokenizer *qeff_auto_model_tokenizer(const struct qeff_auto_model *model)
{
	return model->tokenizer;
}

int qeff_auto_model_tokenize(const struct qeff_auto_model *model, const char *text,
			     struct qeff_tokens *tokens, struct qeff_error *err)
{
	return qeff_tokenizer_encode(model->tokenizer, text, strlen(text), QEFF_ENCODE_SPECIAL, 0,
				     tokens, err);
}

int qeff_auto_model_tokenize_pair(const struct qeff_auto_model *model, const char *text,
				  const char *pair, struct qeff_tokens *tokens,
				  struct qeff_error *err)
{
	return qeff_tokenizer_encode_pair(model->tokenizer, text, strlen(text), pair, strlen(pair),
					  QEFF_ENCODE_SPECIAL, 0, tokens, err);
}

static int load(struct qeff_auto_model *model, struct qeff_error *err)
{
	struct qeff_device *device = NULL;
	int ret;

	if (model->session)
		return 0;
	if (!model->package)
		return fail(err, -EINVAL, "%s is not compiled yet", model->model_dir);
	ret = qeff_device_open(model->device, &device, err);
	if (!ret)
		ret = qeff_session_open(device, model->package, NULL, &model->session, err);
	qeff_device_close(device); /* the session keeps it open */
	return ret;
}

int qeff_auto_model_generate(struct qeff_auto_model *model, const struct qeff_tokens *tokens,
			     size_t count, struct qeff_embeddings *features, struct qeff_error *err)
{
	int ret = load(model, err);

	if (!ret && !model->embedder)
		ret = qeff_embedder_open(model->session, &model->embedder, err);
	if (!ret)
		ret = qeff_embed_tokens(model->embedder, tokens, count, features, err);
	return ret;
}

int qeff_auto_model_classifier(struct qeff_auto_model *model, struct qeff_classifier **classifier,
			       struct qeff_error *err)
{
	int ret = load(model, err);

	if (!ret && !model->classifier)
		ret = qeff_classifier_open(model->session, &model->classifier, err);
	*classifier = model->classifier;
	return ret;
}

int qeff_auto_model_classify(struct qeff_auto_model *model, const struct qeff_tokens *tokens,
			     size_t count, struct qeff_classes *classes, struct qeff_error *err)
{
	struct qeff_classifier *classifier;
	int ret = qeff_auto_model_classifier(model, &classifier, err);

	*classes = (struct qeff_classes){ 0 };
	return ret ? ret : qeff_classify_tokens(classifier, tokens, count, classes, err);
}

int qeff_auto_model_generate_text(struct qeff_auto_model *model, const char *prompt,
				  const struct qeff_generate_options *options,
				  struct qeff_generation *generation, struct qeff_error *err)
{
	int ret = load(model, err);

	if (!ret && !model->generator)
		ret = qeff_generator_open(model->session, &model->generator, err);
	if (!ret)
		ret = qeff_generate_text(model->generator, prompt, options, generation, err);
	return ret;
}
