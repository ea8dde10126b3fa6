/* SPDX-License-Identifier: MIT */
/*
 * A file of specialisations, as QEfficient writes it for its compiler: {"specializations": [...]}.
 * Each entry maps symbols to numbers, which may be strings; in the newer layout it is
 * {"name": ..., "symbols": {...}}.
 */
#include "compile.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define MAX_NUMBER 0xffffff

enum symbol {
	BATCH_SIZE,
	SEQ_LEN,
	CTX_LEN,
	FULL_BATCH_SIZE,
	FULL_BATCH_EXEC_SIZE,
	NUM_LOGITS_TO_KEEP,
	COMP_CTX_LENGTHS,
	SYMBOLS
};

static const char *const symbols[SYMBOLS] = {
	[BATCH_SIZE] = "batch_size",
	[SEQ_LEN] = "seq_len",
	[CTX_LEN] = "ctx_len",
	[FULL_BATCH_SIZE] = "full_batch_size",
	[FULL_BATCH_EXEC_SIZE] = "full_batch_exec_size",
	[NUM_LOGITS_TO_KEEP] = "num_logits_to_keep",
	[COMP_CTX_LENGTHS] = "comp_ctx_lengths",
};

struct reader {
	const char *file;
	struct qeff_error *err;
};

/* A number, or a text of nothing but a number; 0 is refused. */
static int read_number(const struct reader *r, size_t entry, const char *name, const json_t *value,
		       uint32_t *number)
{
	const char *text = json_string_value(value);
	long long read = json_is_integer(value) ? json_integer_value(value) : 0;

	if (text && strspn(text, "0123456789") == strlen(text) && strlen(text) < 10)
		read = atoll(text);
	if (read < 1 || read > MAX_NUMBER)
		return qeff_error_set(r->err, -EINVAL,
				      "%s: \"%s\" of specialisation %zu is not a number from 1 to "
				      "%d",
				      r->file, name, entry, MAX_NUMBER);
	*number = (uint32_t)read;
	return 0;
}

static int read_entry(const struct reader *r, size_t entry, const json_t *object,
		      uint32_t numbers[SYMBOLS])
{
	const json_t *inner = json_object_get(object, "symbols");
	const char *name;
	json_t *value;

	memset(numbers, 0, SYMBOLS * sizeof(*numbers));
	if (inner) {
		json_object_foreach((json_t *)object, name, value)
		{
			if (strcmp(name, "symbols") && strcmp(name, "name"))
				return qeff_error_set(
					r->err, -EINVAL,
					"%s: specialisation %zu has \"%.64s\" beside its \"symbols\"",
					r->file, entry, name);
		}
		object = inner;
	}
	if (!json_is_object(object))
		return qeff_error_set(r->err, -EINVAL, "%s: specialisation %zu is not an object",
				      r->file, entry);
	json_object_foreach((json_t *)object, name, value)
	{
		int symbol = 0, rc;

		while (symbol < SYMBOLS && strcmp(symbols[symbol], name))
			symbol++;
		if (symbol == SYMBOLS)
			return qeff_error_set(
				r->err, -ENOTSUP,
				"%s: specialisation %zu has \"%.64s\", which no model "
				"here knows",
				r->file, entry, name);
		rc = read_number(r, entry, name, value, &numbers[symbol]);
		if (rc)
			return rc;
	}
	if (!numbers[SEQ_LEN])
		return qeff_error_set(r->err, -EINVAL, "%s: specialisation %zu has no \"seq_len\"",
				      r->file, entry);
	return 0;
}

/* What all specialisations must have alike, and what they must have or not have together. */
static int agree(const struct reader *r, size_t entry, enum symbol symbol,
		 const uint32_t first[SYMBOLS], const uint32_t numbers[SYMBOLS])
{
	bool alike = symbol == CTX_LEN || symbol == FULL_BATCH_SIZE;

	if (alike ? first[symbol] == numbers[symbol] : !first[symbol] == !numbers[symbol])
		return 0;
	return qeff_error_set(r->err, -EINVAL,
			      "%s: \"%s\" of specialisation %zu does not go with the first one's",
			      r->file, symbols[symbol], entry);
}

/* Checks an entry against the first one and the model. */
static int check_entry(const struct reader *r, size_t entry, const uint32_t first[SYMBOLS],
		       const uint32_t n[SYMBOLS], const struct qeff_model_info *info)
{
	static const enum symbol together[] = { CTX_LEN, FULL_BATCH_SIZE, NUM_LOGITS_TO_KEEP,
						COMP_CTX_LENGTHS };
	uint32_t batch = n[BATCH_SIZE] ? n[BATCH_SIZE] : 1;
	int rc = 0;

	for (size_t i = 0; !rc && i < sizeof(together) / sizeof(together[0]); i++)
		rc = agree(r, entry, together[i], first, n);
	if (rc)
		return rc;
	if (!n[CTX_LEN] && (n[FULL_BATCH_SIZE] || n[NUM_LOGITS_TO_KEEP] || n[COMP_CTX_LENGTHS]))
		return qeff_error_set(r->err, -EINVAL,
				      "%s: specialisation %zu has no \"ctx_len\", which a KV cache "
				      "needs",
				      r->file, entry);
	if (n[CTX_LEN] && info->task != QEFF_MODEL_CAUSAL_LM)
		return qeff_error_set(r->err, -EINVAL,
				      "%s: specialisation %zu has \"ctx_len\", but %s has no KV "
				      "cache",
				      r->file, entry, info->architecture);
	if (n[FULL_BATCH_SIZE] && batch > n[FULL_BATCH_SIZE])
		return qeff_error_set(r->err, -EINVAL,
				      "%s: specialisation %zu has a batch of %u, but only %u slots",
				      r->file, entry, batch, n[FULL_BATCH_SIZE]);
	if (n[COMP_CTX_LENGTHS] > n[CTX_LEN] ||
	    (n[COMP_CTX_LENGTHS] && n[COMP_CTX_LENGTHS] < n[SEQ_LEN]))
		return qeff_error_set(r->err, -EINVAL,
				      "%s: specialisation %zu: \"comp_ctx_lengths\" is %u, but "
				      "seq_len is %u and ctx_len %u",
				      r->file, entry, n[COMP_CTX_LENGTHS], n[SEQ_LEN], n[CTX_LEN]);
	if (n[CTX_LEN] && n[SEQ_LEN] > n[CTX_LEN])
		return qeff_error_set(r->err, -EINVAL,
				      "%s: specialisation %zu has %u tokens for %u positions",
				      r->file, entry, n[SEQ_LEN], n[CTX_LEN]);
	return qeff_compile_check_positions(info, n[CTX_LEN] ? "ctx_len" : "seq_len",
					    n[CTX_LEN] ? n[CTX_LEN] : n[SEQ_LEN], r->err);
}

static int longest_first(const void *a, const void *b)
{
	const struct compile_spec *x = a, *y = b;

	if (x->seq != y->seq)
		return x->seq < y->seq ? 1 : -1;
	return x->compute < y->compute ? 1 : x->compute > y->compute ? -1 : 0;
}

static int read_list(const struct reader *r, const json_t *list, const struct qeff_model_info *info,
		     struct compile_plan *plan)
{
	uint32_t first[SYMBOLS], n[SYMBOLS];
	const json_t *object;
	size_t i;

	if (!json_is_array(list) || !json_array_size(list) ||
	    json_array_size(list) > QEFF_COMPILE_MAX_SPECIALISATIONS)
		return qeff_error_set(r->err, -EINVAL,
				      "%s: expected \"specializations\", a list of 1 to %d",
				      r->file, QEFF_COMPILE_MAX_SPECIALISATIONS);
	json_array_foreach((json_t *)list, i, object)
	{
		int rc = read_entry(r, i, object, n);

		if (!i)
			memcpy(first, n, sizeof(first));
		if (!rc)
			rc = check_entry(r, i, first, n, info);
		if (rc)
			return rc;
		plan->specs[plan->num_specs++] =
			(struct compile_spec){ n[BATCH_SIZE] ? n[BATCH_SIZE] : 1, n[SEQ_LEN],
					       n[COMP_CTX_LENGTHS], n[NUM_LOGITS_TO_KEEP] };
		if (!n[CTX_LEN] && info->task == QEFF_MODEL_CAUSAL_LM &&
		    n[SEQ_LEN] > plan->positions)
			plan->positions = n[SEQ_LEN];
	}
	qsort(plan->specs, plan->num_specs, sizeof(plan->specs[0]), longest_first);
	plan->kv_cache = first[CTX_LEN];
	if (first[CTX_LEN])
		plan->positions = first[CTX_LEN];
	plan->slots = first[FULL_BATCH_SIZE];
	plan->comp_ctx_lengths = first[COMP_CTX_LENGTHS];
	plan->spd = first[NUM_LOGITS_TO_KEEP];
	return 0;
}

int qeff_compile_read_specs(const struct qeff_compile_options *o,
			    const struct qeff_model_info *info, struct compile_plan *plan,
			    struct qeff_error *err)
{
	const struct reader r = { o->specializations, err };
	json_error_t where;
	json_t *root = json_load_file(o->specializations, JSON_REJECT_DUPLICATES, &where);
	const char *name;
	json_t *value;
	int rc = 0;

	if (!root)
		return qeff_error_set(err, -EINVAL, "%s: line %d, column %d: %s",
				      o->specializations, where.line, where.column, where.text);
	json_object_foreach(root, name, value)
	{
		if (!rc && strcmp(name, "specializations"))
			rc = qeff_error_set(err, -EINVAL,
					    "%s: has \"%.64s\", expected \"specializations\" alone",
					    o->specializations, name);
	}
	if (!rc)
		rc = read_list(&r, json_object_get(root, "specializations"), info, plan);
	json_decref(root);
	return rc;
}
