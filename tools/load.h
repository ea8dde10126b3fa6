/* SPDX-License-Identifier: MIT */
/* The parts of qeff-load: options, and one file for tensors, for text, and for what is printed. */
#ifndef QEFF_TOOLS_LOAD_H
#define QEFF_TOOLS_LOAD_H

#include "npy.h"

#include <qeff/session.h>

#include <jansson.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Set by SIGINT: stop at the next opportunity. */
extern volatile sig_atomic_t interrupted;

/* A tensor from a file: -i NAME=FILE. */
struct load_input {
	char *name;
	const char *path;
	struct npy npy;
};

/**
 * struct load_options - the command line
 * @texts, @num_texts: --text
 * @pairs: --text-pair of each, or NULL
 * @inputs, @num_inputs: -i
 * @prompt: --prompt, or the contents of @prompt_file
 * @prompt_ids, @num_prompt_ids: --prompt-ids
 * @temperature: negative if none is given
 */
struct load_options {
	const char *package;
	const char *device;
	const char *output_dir;
	const char **texts, **pairs;
	size_t num_texts;
	struct load_input *inputs;
	size_t num_inputs;
	char *prompt;
	const char *prompt_file;
	int64_t *prompt_ids;
	size_t num_prompt_ids;
	uint32_t max_new_tokens;
	float temperature;
	uint32_t top_k;
	float top_p, min_p;
	float repeat_penalty, presence_penalty;
	uint64_t seed;
	bool ignore_eos;
	const char *lora;
	uint32_t runs;
	bool json;
};

/* load_tensors.c: one run with the inputs from files, or, if there are none, with generated ones.
 * Fills the JSON object and writes the outputs' files. */
int load_tensors(struct qeff_session *session, const struct load_options *options, json_t *json,
		 struct qeff_error *err);

/* load_text.c: generates from a prompt; embeds texts. */
int load_generate(struct qeff_session *session, const struct load_options *options, json_t *json,
		  struct qeff_error *err);
int load_embed(struct qeff_session *session, const struct load_options *options, json_t *json,
	       struct qeff_error *err);

/* load_classify.c: a score for each label. */
int load_classify(struct qeff_session *session, const struct load_options *options, json_t *json,
		  struct qeff_error *err);

/* load_report.c: the package, the card and the bindings, for people; what the NSPs did, for people
 * or in @json. */
void report_session(const struct qeff_session *session);
void report_stats(const struct qeff_session *session, json_t *json, bool print);
/* Seconds of repeated runs: their count, mean, and extremes. */
void report_times(const char *what, const double *seconds, size_t count);
/* Prints "1x32" into @text and returns it. */
const char *dims_text(const int32_t *dims, uint32_t num_dims, char *text, size_t size);
double now_seconds(void);

#endif
