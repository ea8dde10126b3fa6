/* SPDX-License-Identifier: MIT */
/* The seed's example in C: load with mean pooling, compile for 16 cores, tokenise, generate, print
 * the features. */
#include <qeff/auto.h>
#include <stdio.h>
#include <stdlib.h>

static struct qeff_error err;

static void check(int ret)
{
	if (ret) {
		fprintf(stderr, "%s\n", err.message);
		exit(1);
	}
}

int main(int argc, char **argv)
{
	struct qeff_auto_options options = { .pooling = QEFF_COMPILE_POOLING_MEAN };
	struct qeff_compile_options cores = { .num_cores = 16 };
	struct qeff_auto_model *model;
	struct qeff_embeddings features;
	struct qeff_tokens tokens;

	check(qeff_auto_model_from_pretrained(argc > 1 ? argv[1] : "all-MiniLM-L6-v2", &options,
					      &model, &err));
	check(qeff_auto_model_compile(model, &cores, &err));
	check(qeff_auto_model_tokenize(model, argc > 2 ? argv[2] : "My name is", &tokens, &err));
	check(qeff_auto_model_generate(model, &tokens, 1, &features, &err));
	for (size_t i = 0; i < features.dimensions; i++)
		printf("%.6f%c", features.data[i], i + 1 < features.dimensions ? ' ' : '\n');
	qeff_embeddings_free(&features);
	qeff_tokens_free(&tokens);
	qeff_auto_model_free(model);
}
