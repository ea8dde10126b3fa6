/* SPDX-License-Identifier: MIT */
/* Finds out what the specialisations of a package are, and runs them. */
#include "text/steps.h"

#include "text/tensors.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int lacks(const struct qeff_steps *s, const char *what, struct qeff_error *err)
{
	return qeff_error_set(err, -EINVAL, "%s does not generate text: it has no %s",
			      qeff_qpc_path(qeff_session_qpc(s->session)), what);
}

/* Shape of the input or output @name in specialisation @spec; NULL if there is none. */
static const struct qeff_shape *shape_of(const struct qeff_steps *s, const char *name,
					 bool is_output, uint32_t spec)
{
	int binding = is_output ? qeff_session_find_output(s->session, name)
				: qeff_session_find_input(s->session, name);

	return binding < 0 ? NULL
			   : qeff_network_shape(qeff_session_network(s->session), spec,
						(uint32_t)binding);
}

static bool is_matrix(const struct qeff_shape *shape, uint32_t rows, uint32_t columns)
{
	return shape && shape->num_dims == 2 && shape->type == QEFF_TYPE_I64 &&
	       (uint32_t)shape->dims[0] == rows && (uint32_t)shape->dims[1] == columns;
}

/* Whether the card chooses tokens itself, and among how many candidates. */
static void find_sampler(struct qeff_steps *s)
{
	const struct qeff_shape *random = shape_of(s, "random_numbers", false, 0);
	const struct qeff_shape *masks = shape_of(s, "token_bitmasks", false, 0);

	if (!shape_of(s, "next_tokens", true, 0))
		return;
	s->candidates = 1;
	if (random && random->num_dims == 2 && random->dims[1] > 1)
		s->candidates = (uint32_t)random->dims[1];
	s->penalises = s->candidates > 1 && shape_of(s, "repetition_penalties", false, 0);
	if (masks && masks->num_dims == 2 && masks->dims[1] > 0)
		s->masks = (uint32_t)masks->dims[1];
}

/* The output of specialisation @i that tokens come from, checked. */
static int read_result(struct qeff_steps *s, uint32_t i, struct qeff_error *err)
{
	const struct qeff_shape *tokens = shape_of(s, "next_tokens", true, i);
	const struct qeff_shape *logits = shape_of(s, "logits", true, i);
	struct qeff_step *step = &s->step[i];

	if (s->candidates) {
		step->keep = 1;
		if (tokens->type != QEFF_TYPE_I64 || tokens->num_dims != 3 ||
		    (uint32_t)tokens->dims[0] != step->batch || tokens->dims[1] != 1 ||
		    tokens->dims[2] != 1)
			return lacks(s, "int64 \"next_tokens\" of shape [batch, 1, 1]", err);
		return 0;
	}
	if (!logits)
		return lacks(s, "output \"logits\"", err);
	if (logits->num_dims != 3 ||
	    (logits->type != QEFF_TYPE_F32 && logits->type != QEFF_TYPE_F16) ||
	    (uint32_t)logits->dims[0] != step->batch || logits->dims[2] < 1 ||
	    (i && (uint32_t)logits->dims[2] != s->vocabulary))
		return lacks(s, "float \"logits\" of shape [batch, 1, vocabulary]", err);
	s->vocabulary = (uint32_t)logits->dims[2];
	step->keep = (uint32_t)logits->dims[1];
	if (step->keep != 1 && step->keep != step->tokens)
		return lacks(s, "\"logits\" for one token or for all", err);
	return 0;
}

static int find_cache(struct qeff_steps *s, struct qeff_error *err)
{
	const struct qeff_shape *cache = shape_of(s, "past_key.0", false, 0);

	if (!cache || !shape_of(s, "position_ids", false, 0))
		return lacks(s, "KV cache (inputs \"position_ids\" and \"past_key.0\")", err);
	if (cache->num_dims != 4 || cache->dims[0] < 1 || cache->dims[2] < 1)
		return lacks(s, "KV cache of four dimensions", err);
	s->slots = (uint32_t)cache->dims[0];
	s->context = (uint32_t)cache->dims[2];
	s->by_slot = shape_of(s, "batch_index", false, 0);
	s->by_adapter = shape_of(s, "lora_ids", false, 0);
	find_sampler(s);
	return 0;
}

/* Reads the shapes of specialisation @i and checks that they fit each other. */
static int read_step(struct qeff_steps *s, uint32_t i, struct qeff_error *err)
{
	const struct qeff_shape *ids = shape_of(s, "input_ids", false, i);
	const struct qeff_shape *keep = shape_of(s, "num_logits_to_keep", false, i);
	const struct qeff_shape *length = shape_of(s, "comp_ctx_lengths", false, i);
	struct qeff_step *step = &s->step[i];
	int rc;

	if (!ids)
		return lacks(s, "input \"input_ids\"", err);
	if (ids->num_dims != 2 || ids->dims[0] < 1 || ids->dims[1] < 1 ||
	    !is_matrix(ids, (uint32_t)ids->dims[0], (uint32_t)ids->dims[1]))
		return lacks(s, "int64 \"input_ids\" of shape [batch, tokens]", err);
	step->batch = (uint32_t)ids->dims[0];
	step->tokens = (uint32_t)ids->dims[1];
	step->context = s->context;
	rc = read_result(s, i, err);
	if (rc)
		return rc;
	if (keep && !is_matrix(keep, step->keep, 1))
		return lacks(s, "\"num_logits_to_keep\" of shape [logits, 1]", err);
	if (!is_matrix(shape_of(s, "position_ids", false, i), step->batch, step->tokens))
		return lacks(s, "\"position_ids\" of the shape of \"input_ids\"", err);
	if (s->by_slot && !is_matrix(shape_of(s, "batch_index", false, i), step->batch, 1))
		return lacks(s, "\"batch_index\" of shape [batch, 1]", err);
	if (s->by_adapter && !is_matrix(shape_of(s, "lora_ids", false, i), step->batch, 1))
		return lacks(s, "\"lora_ids\" of shape [batch, 1]", err);
	if (step->batch > s->slots)
		return lacks(s, "KV cache with a slot for each sequence", err);
	if (length && (length->num_dims != 1 || length->dims[0] < 1))
		return lacks(s, "\"comp_ctx_lengths\" of one dimension", err);
	if (length && (uint32_t)length->dims[0] < step->context)
		step->context = (uint32_t)length->dims[0];
	return 0;
}

/* Logits in halves are widened: room for those of the largest step. */
static int make_room(struct qeff_steps *s, struct qeff_error *err)
{
	size_t most = 0;

	for (uint32_t i = 0; i < s->num_steps; i++) {
		size_t count = (size_t)s->step[i].batch * s->step[i].keep * s->vocabulary;

		most = count > most ? count : most;
	}
	s->widened = calloc(most, sizeof(*s->widened));
	return s->widened ? 0 : qeff_error_set(err, -ENOMEM, "out of memory");
}

/* What follows from the specialisations together. */
static int sum_up(struct qeff_steps *s, struct qeff_error *err)
{
	bool half = !s->candidates && shape_of(s, "logits", true, 0)->type == QEFF_TYPE_F16;
	uint32_t context = 0;

	for (uint32_t i = 0; i < s->num_steps; i++) {
		const struct qeff_step *step = &s->step[i];

		if (step->tokens > s->tokens) {
			s->tokens = step->tokens;
			s->prefill_batch = step->batch;
		}
		if (step->batch > s->batch)
			s->batch = step->batch;
	}
	for (uint32_t i = 0; i < s->num_steps; i++) {
		const struct qeff_step *step = &s->step[i];

		if (!s->by_slot && step->batch != s->batch)
			return lacks(s,
				     "input \"batch_index\", which its specialisations of "
				     "different batches need",
				     err);
		if (step->batch == s->batch && step->keep > s->decode_tokens)
			s->decode_tokens = step->keep;
		if (step->batch == s->batch && step->context > context)
			context = step->context;
	}
	s->context = context;
	return half ? make_room(s, err) : 0;
}

int qeff_steps_open(struct qeff_steps *s, struct qeff_session *session, struct qeff_error *err)
{
	int rc;

	*s = (struct qeff_steps){ .session = session };
	s->num_steps = qeff_session_network(session)->num_specialisations;
	s->step = calloc(s->num_steps + 1u, sizeof(*s->step));
	rc = s->step ? find_cache(s, err) : qeff_error_set(err, -ENOMEM, "out of memory");
	for (uint32_t i = 0; !rc && i < s->num_steps; i++)
		rc = read_step(s, i, err);
	if (!rc)
		rc = sum_up(s, err);
	if (rc)
		qeff_steps_close(s);
	return rc;
}

void qeff_steps_close(struct qeff_steps *s)
{
	free(s->step);
	free(s->widened);
	s->step = NULL;
	s->widened = NULL;
}

/* The specialisation of the fewest tokens, then of the shortest context, that does it. */
static const struct qeff_step *choose(const struct qeff_steps *s, uint32_t batch, size_t tokens,
				      size_t context, bool all)
{
	const struct qeff_step *best = NULL;

	for (uint32_t i = 0; i < s->num_steps; i++) {
		const struct qeff_step *step = &s->step[i];

		if (step->batch != batch || step->tokens < tokens || step->context < context ||
		    (all && step->keep < tokens))
			continue;
		if (!best || step->tokens < best->tokens ||
		    (step->tokens == best->tokens && step->context < best->context))
			best = step;
	}
	return best;
}

/* The inputs whose shape is all that they say. */
static int shape_inputs(struct qeff_steps *s, const struct qeff_step *step, struct qeff_error *err)
{
	const int32_t length[] = { (int32_t)step->context };
	struct qeff_tensor tensor;
	int64_t *keep;
	int rc = 0;

	if (qeff_session_find_input(s->session, "num_logits_to_keep") >= 0) {
		rc = qeff_input_ids(s->session, "num_logits_to_keep", step->keep, 1, &keep, err);
		for (uint32_t i = 0; !rc && i < step->keep; i++)
			keep[i] = i;
	}
	if (!rc && qeff_session_find_input(s->session, "comp_ctx_lengths") >= 0)
		rc = qeff_session_input(s->session, "comp_ctx_lengths", length, 1, &tensor, err);
	return rc;
}

/* What the card takes off the logits of tokens that the texts have, and which tokens are possible:
 * all. */
static int penalty_inputs(struct qeff_steps *s, const struct qeff_step *step,
			  const struct qeff_columns *columns, struct qeff_error *err)
{
	void *factors = NULL, *less = NULL, *masks = NULL;
	int64_t *accepted = NULL;
	int rc = qeff_input_matrix(s->session, "repetition_penalties", QEFF_TYPE_F32, step->batch,
				   1, &factors, err);

	if (!rc)
		rc = qeff_input_matrix(s->session, "presence_penalties", QEFF_TYPE_F32, step->batch,
				       1, &less, err);
	if (!rc)
		rc = qeff_input_ids(s->session, "last_accepted_output_tokens", step->batch,
				    step->tokens, &accepted, err);
	if (!rc && s->masks) {
		rc = qeff_input_matrix(s->session, "token_bitmasks", QEFF_TYPE_I8, step->batch,
				       s->masks, &masks, err);
		if (!rc)
			memset(masks, 1, (size_t)step->batch * s->masks);
	}
	for (size_t row = 0; !rc && row < step->batch; row++) {
		const struct qeff_columns *c = &columns[row];

		((float *)factors)[row] = s->draw.repetition;
		((float *)less)[row] = s->draw.presence;
		for (size_t i = 0; i < step->tokens; i++)
			accepted[row * step->tokens + i] =
				c->output && i < c->count ? (int64_t)c->ids[i] : -1;
	}
	return rc;
}

/* How each sequence draws; a draw for each candidate. */
static int draw_inputs(struct qeff_steps *s, const struct qeff_step *step,
		       const struct qeff_columns *columns, struct qeff_error *err)
{
	static const struct {
		const char *name;
		enum qeff_type type;
	} wishes[] = {
		{ "temperatures", QEFF_TYPE_F32 },   { "top_ps", QEFF_TYPE_F32 },
		{ "min_ps", QEFF_TYPE_F32 },	     { "top_ks", QEFF_TYPE_I32 },
		{ "random_numbers", QEFF_TYPE_F32 },
	};
	void *data[5] = { 0 };
	float *random;
	int rc = 0;

	for (uint32_t i = 0; !rc && i < 5; i++)
		rc = qeff_input_matrix(s->session, wishes[i].name, wishes[i].type, step->batch,
				       i < 4 ? 1 : s->candidates, &data[i], err);
	if (rc)
		return rc;
	random = data[4];
	for (size_t row = 0; row < step->batch; row++) {
		struct qeff_random *from = columns[row].count ? columns[row].random : NULL;

		((float *)data[0])[row] = s->draw.temperature;
		((float *)data[1])[row] =
			s->draw.top_p > 0 && s->draw.top_p < 1 ? s->draw.top_p : 1;
		((float *)data[2])[row] = s->draw.min_p;
		((int32_t *)data[3])[row] = (int32_t)s->draw.top_k;
		/* nobody wants 0 or 1 out of rounding */
		for (uint32_t i = 0; i < s->candidates; i++)
			random[row * s->candidates + i] =
				from ? (float)(0x1p-25 + qeff_random_unit(from) * (1 - 0x1p-24))
				     : 0.5f;
	}
	return 0;
}

static int fill_inputs(struct qeff_steps *s, const struct qeff_step *step,
		       const struct qeff_columns *columns, struct qeff_error *err)
{
	int64_t *ids, *positions, *slots = NULL, *adapters = NULL;
	int rc = qeff_input_ids(s->session, "input_ids", step->batch, step->tokens, &ids, err);

	if (!rc)
		rc = qeff_input_ids(s->session, "position_ids", step->batch, step->tokens,
				    &positions, err);
	if (!rc && s->by_slot)
		rc = qeff_input_ids(s->session, "batch_index", step->batch, 1, &slots, err);
	if (!rc && s->by_adapter)
		rc = qeff_input_ids(s->session, "lora_ids", step->batch, 1, &adapters, err);
	if (rc)
		return rc;
	for (size_t row = 0, at = 0; row < step->batch; row++) {
		const struct qeff_columns *c = &columns[row];

		if (slots)
			slots[row] = c->slot;
		if (adapters)
			adapters[row] = c->adapter;
		for (size_t i = 0; i < step->tokens; i++, at++) {
			ids[at] = i < c->count ? c->ids[i] : 0;
			positions[at] = i < c->count ? (int64_t)(c->position + i) : -1;
		}
	}
	return 0;
}

static float float_of_half(uint16_t half)
{
	int exponent = half >> 10 & 31, mantissa = half & 1023;
	float magnitude = exponent == 31 ? (mantissa ? NAN : INFINITY)
			  : exponent	 ? ldexpf((float)(1024 + mantissa), exponent - 25)
					 : ldexpf((float)mantissa, -24);

	return half & 0x8000 ? -magnitude : magnitude;
}

/* The logits as floats: where they lie, or widened. */
static int take_logits(struct qeff_steps *s, const struct qeff_step *step, const float **data,
		       struct qeff_error *err)
{
	size_t count = (size_t)step->batch * step->keep * s->vocabulary;
	struct qeff_tensor tensor;
	int rc = qeff_session_output(s->session, "logits", &tensor, err);

	if (rc || tensor.type == QEFF_TYPE_F32)
		return rc ? rc : qeff_output_floats(s->session, "logits", count, data, err);
	if (tensor.type != QEFF_TYPE_F16 || tensor.size_bytes != count * 2)
		return lacks(s, "\"logits\" of one type", err);
	for (size_t i = 0; i < count; i++) {
		const uint8_t *at = (const uint8_t *)tensor.data + i * 2;

		s->widened[i] = float_of_half((uint16_t)(at[0] | at[1] << 8));
	}
	*data = s->widened;
	return 0;
}

/* The tokens that the card chose. */
static int take_tokens(struct qeff_steps *s, const struct qeff_step *step, const int64_t **tokens,
		       struct qeff_error *err)
{
	struct qeff_tensor tensor;
	int rc = qeff_session_output(s->session, "next_tokens", &tensor, err);

	if (rc)
		return rc;
	if (tensor.type != QEFF_TYPE_I64 || tensor.size_bytes != step->batch * 8ull ||
	    (uintptr_t)tensor.data % 8)
		return lacks(s, "\"next_tokens\" for each sequence", err);
	*tokens = tensor.data;
	return 0;
}

int qeff_steps_run(struct qeff_steps *s, uint32_t batch, const struct qeff_columns *columns,
		   bool all, struct qeff_logits *logits, struct qeff_error *err)
{
	const struct qeff_step *step;
	size_t tokens = 1, context = 1;
	int rc;

	for (uint32_t i = 0; i < batch; i++) {
		size_t end = columns[i].position + columns[i].count;

		tokens = columns[i].count > tokens ? columns[i].count : tokens;
		context = columns[i].count && end > context ? end : context;
	}
	step = choose(s, batch, tokens, context, all);
	if (!step)
		return qeff_error_set(err, -EINVAL,
				      "%s has no specialisation for %u sequences of %zu tokens up "
				      "to position %zu",
				      qeff_qpc_path(qeff_session_qpc(s->session)), batch, tokens,
				      context - 1);
	rc = fill_inputs(s, step, columns, err);
	if (!rc)
		rc = shape_inputs(s, step, err);
	if (!rc && s->candidates > 1)
		rc = draw_inputs(s, step, columns, err);
	if (!rc && s->penalises)
		rc = penalty_inputs(s, step, columns, err);
	if (!rc)
		rc = logits ? qeff_session_run(s->session, err)
			    : qeff_session_advance(s->session, err);
	if (rc || !logits)
		return rc;
	rc = s->candidates ? take_tokens(s, step, &logits->tokens, err)
			   : take_logits(s, step, &logits->data, err);
	logits->keep = step->keep;
	logits->vocabulary = s->vocabulary;
	return rc;
}
