/* SPDX-License-Identifier: MIT */
/*
 * Model classes, as the Python library QEfficient has them: from_pretrained, compile, generate.
 *
 *   qeff_auto_model_from_pretrained("all-MiniLM-L6-v2", &(struct qeff_auto_options){
 *		.pooling = QEFF_COMPILE_POOLING_MEAN }, &model, &err);
 *   qeff_auto_model_compile(model, &(struct qeff_compile_options){ .num_cores = 16 }, &err);
 *   qeff_auto_model_tokenize(model, "My name is", &tokens, &err);
 *   qeff_auto_model_generate(model, &tokens, 1, &features, &err);
 *
 * One type is all of its classes: qeff_auto_model_generate() is that of QEFFAutoModel,
 * qeff_auto_model_generate_text() that of QEFFAutoModelForCausalLM, qeff_auto_model_classify() that
 * of QEFFAutoModelForSequenceClassification.
 *
 * A model is for one thread at a time.
 */
#ifndef QEFF_AUTO_H
#define QEFF_AUTO_H

#include <qeff/api.h>
#include <qeff/classify.h>
#include <qeff/compiler.h>
#include <qeff/embed.h>
#include <qeff/error.h>
#include <qeff/generate.h>
#include <qeff/tokenizer.h>

#ifdef __cplusplus
extern "C" {
#endif

struct qeff_auto_model;

/**
 * struct qeff_auto_options - how to take a checkpoint; all zero is as the checkpoint says
 * @pooling: of an encoder's rows
 * @normalize: of the pooled vector
 * @precision: of matrix products
 * @device: the card to run on, as in qeff_device_open(); NULL for the default
 */
struct qeff_auto_options {
	enum qeff_compile_pooling pooling;
	enum qeff_compile_normalize normalize;
	enum qeff_compile_precision precision;
	const char *device;
};

/**
 * qeff_auto_model_from_pretrained - take a checkpoint
 * @model_dir: folder with config.json, safetensors and tokenizer.json
 * @options: or NULL for the defaults
 * @model: receives the model; free it with qeff_auto_model_free()
 * @err: why it failed, or NULL
 *
 * Reads the tokenizer; the weights are read when it is compiled.
 */
QEFF_API int qeff_auto_model_from_pretrained(const char *model_dir,
					     const struct qeff_auto_options *options,
					     struct qeff_auto_model **model,
					     struct qeff_error *err);
/* NULL is fine. The package stays. */
QEFF_API void qeff_auto_model_free(struct qeff_auto_model *model);

/**
 * qeff_auto_model_compile - make the package
 * @model: the model
 * @options: as for qeff_compile(), or NULL for the defaults; model_dir is the model's; pooling and
 *	     normalize are the model's where they are DEFAULT here, as is precision where it is
 *	     FP32. Without an output the package is one in the cache (qeff_compile_cached())
 * @err: why it failed, or NULL
 *
 * Compiling again replaces the package and ends the use of the one before.
 */
QEFF_API int qeff_auto_model_compile(struct qeff_auto_model *model,
				     const struct qeff_compile_options *options,
				     struct qeff_error *err);

/* The package; NULL before it is compiled. Lives until the model is compiled again or freed. */
QEFF_API const char *qeff_auto_model_package(const struct qeff_auto_model *model);

/* The tokenizer; lives as long as the model. */
QEFF_API const struct qeff_tokenizer *
qeff_auto_model_tokenizer(const struct qeff_auto_model *model);

/* A text as tokens, with those that stand around a sequence; free them with qeff_tokens_free(). */
QEFF_API int qeff_auto_model_tokenize(const struct qeff_auto_model *model, const char *text,
				      struct qeff_tokens *tokens, struct qeff_error *err);

/* Two texts as one sequence, as qeff_tokenizer_encode_pair() makes it. */
QEFF_API int qeff_auto_model_tokenize_pair(const struct qeff_auto_model *model, const char *text,
					   const char *pair, struct qeff_tokens *tokens,
					   struct qeff_error *err);

/**
 * qeff_auto_model_generate - features of texts, from an encoder
 * @model: compiled; it is loaded on the card at the first call
 * @tokens: @count texts
 * @count: how many
 * @features: receives a vector each; free with qeff_embeddings_free()
 * @err: why it failed, or NULL
 *
 * Returns 0; -EINVAL if the model is not compiled, or is no encoder; else as qeff_embed_tokens().
 */
QEFF_API int qeff_auto_model_generate(struct qeff_auto_model *model,
				      const struct qeff_tokens *tokens, size_t count,
				      struct qeff_embeddings *features, struct qeff_error *err);

/**
 * qeff_auto_model_classify - logits and scores of texts, from a sequence classifier
 * @model: compiled; it is loaded on the card at the first call
 * @tokens: @count texts, or pairs of texts
 * @count: how many
 * @classes: receives them; free with qeff_classes_free()
 * @err: why it failed, or NULL
 *
 * Returns 0; -EINVAL if the model is not compiled, or is no classifier; else as
 * qeff_classify_tokens().
 */
QEFF_API int qeff_auto_model_classify(struct qeff_auto_model *model,
				      const struct qeff_tokens *tokens, size_t count,
				      struct qeff_classes *classes, struct qeff_error *err);

/* What classifies, for the names of labels and for texts that are no tokens yet: it lives until the
 * model is compiled again or freed. Returns as qeff_auto_model_classify(). */
QEFF_API int qeff_auto_model_classifier(struct qeff_auto_model *model,
					struct qeff_classifier **classifier,
					struct qeff_error *err);

/* The continuation of a text, from a decoder; otherwise as qeff_auto_model_generate() and
 * qeff_generate_text(). */
QEFF_API int qeff_auto_model_generate_text(struct qeff_auto_model *model, const char *prompt,
					   const struct qeff_generate_options *options,
					   struct qeff_generation *generation,
					   struct qeff_error *err);

#ifdef __cplusplus
}
#endif
#endif
