/* SPDX-License-Identifier: MIT */
/*
 * Sampler: the next token is chosen on the card, and next_tokens comes out in place of logits. With
 * one candidate that is the likeliest token and there is nothing to ask for; with more, inputs say
 * how each sequence draws, and what tokens lose that its text already has.
 *
 * Which ones those are is retained state, a flag for each token of the vocabulary and each slot:
 * past_repetition_penalty_buffer has the tokens of prompt and output, past_presence_penalty_buffer
 * those of the output, which come back as last_accepted_output_tokens. A sequence that begins at
 * position 0 begins with none.
 */
#include "transforms/transforms.h"

#include <stdio.h>

#define MAX_TOP_K_IDS 512

struct sampler {
	struct qeff_graph *graph;
	const struct qeff_transform_options *options;
	struct qeff_value *logits;
	struct qeff_value *input_ids, *position_ids, *batch_index;
	struct qeff_dim batch;
	int64_t candidates, vocabulary;
};

static struct qeff_value *wish(const struct sampler *s, const char *name, enum qeff_graph_type type,
			       int64_t columns)
{
	const struct qeff_dim dims[] = { s->batch, qeff_dim_of(columns) };

	return qeff_graph_input(s->graph, name, type, 2, dims);
}

/* The flags past_@what_penalty_buffer with those of @ids set. */
static struct qeff_value *marked(const struct sampler *s, const char *what, struct qeff_value *ids,
				 bool decode)
{
	const struct qeff_dim dims[] = {
		s->batch_index ? qeff_dim_symbol("full_batch_size") : s->batch,
		qeff_dim_of(s->vocabulary),
	};
	const struct qeff_attribute attribute = QEFF_INT("decode", decode);
	struct qeff_value *flags, *updated;
	char name[64];

	snprintf(name, sizeof(name), "past_%s_penalty_buffer", what);
	flags = qeff_graph_input(s->graph, name, QEFF_GRAPH_BOOL, 2, dims);
	snprintf(name, sizeof(name), "past_%s_penalty_buffer_RetainedState", what);
	updated = qeff_graph_node(
		s->graph, "qeff.Mark", name, s->batch_index ? 4 : 3,
		(struct qeff_value *[]){ flags, s->position_ids, ids, s->batch_index }, 1,
		&attribute);
	qeff_graph_output(s->graph, updated);
	return updated;
}

static struct qeff_value *penalised(const struct sampler *s)
{
	struct qeff_value *accepted = qeff_graph_input(s->graph, "last_accepted_output_tokens",
						       QEFF_GRAPH_I64, 2, s->input_ids->shape.dims);
	struct qeff_value *const inputs[] = {
		s->logits,
		marked(s, "repetition", s->input_ids, false),
		marked(s, "presence", accepted, true),
		wish(s, "repetition_penalties", QEFF_GRAPH_F32, 1),
		wish(s, "presence_penalties", QEFF_GRAPH_F32, 1),
		s->batch_index,
		s->options->guided_decoding
			? wish(s, "token_bitmasks", QEFF_GRAPH_BOOL, s->vocabulary)
			: NULL,
	};

	return qeff_graph_node(s->graph, "qeff.Penalise", "logits/penalised",
			       s->options->guided_decoding ? 7
			       : s->batch_index		   ? 6
							   : 5,
			       inputs, 0, NULL);
}

static struct qeff_value *drawn(const struct sampler *s)
{
	struct qeff_value *inputs[] = {
		penalised(s),
		wish(s, "temperatures", QEFF_GRAPH_F32, 1),
		wish(s, "top_ks", QEFF_GRAPH_I32, 1),
		wish(s, "top_ps", QEFF_GRAPH_F32, 1),
		wish(s, "min_ps", QEFF_GRAPH_F32, 1),
		wish(s, "random_numbers", QEFF_GRAPH_F32, s->candidates),
	};
	const struct qeff_attribute candidates = QEFF_INT("candidates", s->candidates);

	if (s->options->return_pdfs)
		qeff_graph_output(s->graph, qeff_graph_node(s->graph, "qeff.Probabilities", "probs",
							    5, inputs, 1, &candidates));
	return qeff_graph_node(s->graph, "qeff.Sample", "next_tokens", 6, inputs, 0, NULL);
}

static struct qeff_value *tokens_input(struct qeff_graph *graph, const char *name)
{
	struct qeff_value *value = qeff_graph_find(graph, name);

	return value && value->is_input && value->type == QEFF_GRAPH_I64 && value->shape.rank == 2
		       ? value
		       : NULL;
}

/* Whether tokens are chosen from @s->logits, of one row for each sequence of the inputs. */
static bool applies(struct sampler *s)
{
	s->logits = qeff_graph_find(s->graph, "logits");
	s->input_ids = tokens_input(s->graph, "input_ids");
	s->position_ids = tokens_input(s->graph, "position_ids");
	s->batch_index = tokens_input(s->graph, "batch_index");
	if (!s->logits || !s->logits->is_output || s->logits->shape.rank != 3 ||
	    s->logits->shape.dims[1].size != 1 || s->logits->shape.dims[2].symbol ||
	    !s->input_ids || !s->position_ids)
		return false;
	s->batch = s->logits->shape.dims[0];
	s->vocabulary = s->logits->shape.dims[2].size;
	return true;
}

int qeff_transform_sampler(struct qeff_graph *graph, const struct qeff_transform_options *options,
			   uint32_t *changes, struct qeff_error *err)
{
	const struct qeff_attribute last[] = { QEFF_INT("axis", -1), QEFF_INT("keepdims", 1) };
	struct sampler s = { .graph = graph, .options = options };
	struct qeff_value *tokens;

	if (changes)
		*changes = 0;
	if (!applies(&s))
		return qeff_graph_finish(graph, err);
	s.candidates = options->max_top_k_ids;
	if (s.candidates > s.vocabulary)
		return qeff_error_set(err, -EINVAL,
				      "max_top_k_ids is %lld, the vocabulary has %lld tokens",
				      (long long)s.candidates, (long long)s.vocabulary);
	if (!s.candidates)
		s.candidates = s.vocabulary < MAX_TOP_K_IDS ? s.vocabulary : MAX_TOP_K_IDS;
	if (s.candidates == 1 && (options->guided_decoding || options->return_pdfs))
		return qeff_error_set(
			err, -EINVAL,
			"with one candidate (max_top_k_ids) there is nothing to guide "
			"and no distribution to return");
	if (s.candidates > 1)
		tokens = drawn(&s);
	else
		tokens = qeff_graph_node(graph, "ArgMax", "next_tokens", 1, &s.logits, 2, last);
	qeff_graph_replace_output(graph, s.logits, tokens);
	if (changes)
		*changes = 1;
	return qeff_graph_finish(graph, err);
}
