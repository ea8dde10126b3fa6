/* SPDX-License-Identifier: MIT */
/* Texts through a classifier: labels with their scores, the best first. */
#include "load.h"

#include <qeff/classify.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* Labels that are printed for a text at most; in JSON stand all. */
#define MAX_PRINTED 10

/* Indices of the labels, the best score first; those of equal ones in their order. */
static size_t *ranking(const float *scores, size_t count)
{
	size_t *order = calloc(count ? count : 1, sizeof(*order));

	for (size_t i = 0; order && i < count; i++) {
		size_t at = i;

		for (; at && scores[order[at - 1]] < scores[i]; at--)
			order[at] = order[at - 1];
		order[at] = i;
	}
	return order;
}

static int print_classes(const struct qeff_classifier *classifier,
			 const struct qeff_classes *classes, const char *const *texts,
			 const char *const *pairs, struct qeff_error *err)
{
	for (size_t row = 0; row < classes->count; row++) {
		const float *scores = classes->scores + row * classes->labels;
		size_t *order = ranking(scores, classes->labels);

		if (!order)
			return fail(err, -ENOMEM, "no memory for %zu labels", classes->labels);
		printf("%s%s%s\n", texts[row], pairs[row] ? " | " : "", pairs[row] ?: "");
		for (size_t i = 0; i < classes->labels && i < MAX_PRINTED; i++)
			printf("  %8.4f  %s\n", scores[order[i]],
			       qeff_classifier_label(classifier, order[i]));
		if (classes->labels > MAX_PRINTED)
			printf("  and %zu more\n", classes->labels - MAX_PRINTED);
		free(order);
	}
	return 0;
}

static json_t *classes_json(const struct qeff_classifier *classifier,
			    const struct qeff_classes *classes)
{
	json_t *all = json_array();

	for (size_t row = 0; row < classes->count; row++) {
		json_t *labels = json_array();

		for (size_t i = 0; i < classes->labels; i++) {
			size_t at = row * classes->labels + i;

			json_array_append_new(labels,
					      json_pack("{s:s, s:f, s:f}", "label",
							qeff_classifier_label(classifier, i),
							"score", (double)classes->scores[at],
							"logit", (double)classes->logits[at]));
		}
		json_array_append_new(all, labels);
	}
	return all;
}

static int report(const struct qeff_classifier *classifier, const struct qeff_classes *classes,
		  const struct load_options *options, double seconds, uint32_t runs, json_t *json,
		  struct qeff_error *err)
{
	double speed = seconds > 0 ? (double)classes->tokens * runs / seconds : 0;
	int ret;

	json_object_set_new(json, "classes", classes_json(classifier, classes));
	json_object_set_new(json, "tokens", json_integer((json_int_t)classes->tokens));
	json_object_set_new(json, "truncated", json_integer((json_int_t)classes->truncated));
	json_object_set_new(json, "runs", json_integer(runs));
	json_object_set_new(json, "tokens_per_s", json_real(speed));
	json_object_set_new(json, "total_s", json_real(seconds / runs));
	if (classes->truncated)
		fprintf(stderr,
			"qeff-load: %zu of %zu texts were longer than the package takes, and lost "
			"their end\n",
			classes->truncated, classes->count);
	if (options->json)
		return 0;
	ret = print_classes(classifier, classes, options->texts, options->pairs, err);
	if (!ret)
		printf("\n%zu texts, %zu tokens, %zu labels\ntotal      %.4f s, %.1f tokens/s\n",
		       classes->count, classes->tokens, classes->labels, seconds / runs, speed);
	return ret;
}

int load_classify(struct qeff_session *session, const struct load_options *options, json_t *json,
		  struct qeff_error *err)
{
	struct qeff_classifier *classifier = NULL;
	struct qeff_classes classes = { .logits = NULL };
	double seconds = 0;
	uint32_t runs = 0;
	int ret;

	ret = qeff_classifier_open(session, &classifier, err);
	while (runs < options->runs && !ret && !interrupted) {
		double start = now_seconds();

		qeff_classes_free(&classes);
		ret = qeff_classify_pairs(classifier, options->texts, options->pairs,
					  options->num_texts, &classes, err);
		seconds += now_seconds() - start;
		runs++;
	}
	if (!ret && runs)
		ret = report(classifier, &classes, options, seconds, runs, json, err);
	qeff_classes_free(&classes);
	qeff_classifier_close(classifier);
	return ret;
}
