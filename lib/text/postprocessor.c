/* SPDX-License-Identifier: MIT */
/*
 * Post-processors. Whatever its kind, what one does to the ids of a sequence, or of two, is a
 * template: tokens before, the sequence, tokens after.
 */
#include "text/postprocessor.h"

#include "text/json.h"

#define ITEMS_MAX 1024
#define DEPTH_MAX 8

static int add_item(struct qeff_template *to, struct qeff_template_item item,
		    struct qeff_error *err)
{
	if (to->items.size_bytes / sizeof(item) >= ITEMS_MAX)
		return qeff_error_set(err, -EINVAL, "post_processor: more than %d tokens",
				      ITEMS_MAX);
	qeff_bytes_append(&to->items, &item, sizeof(item));
	to->special_count += !item.sequence;
	return to->items.failed ? qeff_error_set(err, -ENOMEM, "no memory for a post-processor")
				: 0;
}

/* {"SpecialToken": {"id": "[CLS]", "type_id": 0}}: the ids stand in the template's
 * "special_tokens". */
static int parse_special(struct qeff_template *to, const json_t *special, const json_t *tokens,
			 struct qeff_error *err)
{
	const char *where = "post_processor TemplateProcessing", *name;
	size_t size_bytes, type_id = 0;
	const json_t *ids;
	int rc;

	rc = qeff_json_string(special, where, "id", &name, &size_bytes, err);
	if (rc == 0)
		rc = qeff_json_size(special, where, "type_id", UINT32_MAX, &type_id, err);
	if (rc < 0)
		return rc;
	ids = json_object_get(json_object_get(tokens, name), "ids");
	if (!json_is_array(ids))
		return qeff_error_set(err, -EINVAL, "%s: no ids for \"%.60s\" in special_tokens",
				      where, name);
	for (size_t i = 0; i < json_array_size(ids) && rc == 0; i++) {
		struct qeff_template_item item = { .type_id = (uint32_t)type_id };

		rc = qeff_json_id(json_array_get(ids, i), where, name, &item.id, err);
		if (rc == 0)
			rc = add_item(to, item, err);
	}
	return rc;
}

/* The template @key, in which each of @num_sequences sequences, "A" and "B", stands once. */
static int parse_template(struct qeff_template *to, const json_t *json, const char *key,
			  uint32_t num_sequences, struct qeff_error *err)
{
	const char *where = "post_processor TemplateProcessing", *name;
	const json_t *pieces = json_object_get(json, key);
	const json_t *tokens = json_object_get(json, "special_tokens");
	size_t size_bytes, type_id = 0;
	uint32_t seen = 0, number;
	int rc = 0;

	if (!json_is_array(pieces))
		return qeff_error_set(err, -EINVAL, "%s: \"%s\" should be an array", where, key);
	for (size_t i = 0; i < json_array_size(pieces) && rc == 0; i++) {
		const json_t *piece = json_array_get(pieces, i);
		const json_t *special = json_object_get(piece, "SpecialToken");
		const json_t *sequence = json_object_get(piece, "Sequence");

		if (special) {
			rc = parse_special(to, special, tokens, err);
			continue;
		}
		rc = qeff_json_string(sequence, where, "id", &name, &size_bytes, err);
		if (rc < 0)
			break;
		number = !strcmp(name, "A") ? 1 : !strcmp(name, "B") ? 2 : 3;
		if (number > num_sequences || seen & 1u << number)
			return qeff_error_set(err, -ENOTSUP,
					      "%s: sequence \"%.20s\" in \"%s\" is not supported",
					      where, name, key);
		seen |= 1u << number;
		rc = qeff_json_size(sequence, where, "type_id", UINT32_MAX, &type_id, err);
		if (rc == 0)
			rc = add_item(to,
				      (struct qeff_template_item){ .sequence = number,
								   .type_id = (uint32_t)type_id },
				      err);
	}
	return rc;
}

/* BertProcessing and RobertaProcessing: "cls" and "sep" are pairs of text and id. Between two
 * sequences Bert has one separator, and the second is of type 1; Roberta has two, and all are of
 * type 0. */
static int parse_around(struct qeff_postprocessor *post, const json_t *json, bool roberta,
			struct qeff_error *err)
{
	struct qeff_template_item cls = { 0 }, sep = { 0 };
	int rc;

	rc = qeff_json_id(json_array_get(json_object_get(json, "cls"), 1), "post_processor", "cls",
			  &cls.id, err);
	if (rc == 0)
		rc = qeff_json_id(json_array_get(json_object_get(json, "sep"), 1), "post_processor",
				  "sep", &sep.id, err);
	for (uint32_t pair = 0; pair < 2 && rc == 0; pair++) {
		struct qeff_template *to = pair ? &post->pair : &post->single;
		const struct qeff_template_item items[] = { cls, { .sequence = 1 }, sep };

		for (int i = 0; i < 3 && rc == 0; i++)
			rc = add_item(to, items[i], err);
	}
	if (rc == 0 && roberta)
		rc = add_item(&post->pair, sep, err);
	sep.type_id = !roberta;
	if (rc == 0)
		rc = add_item(&post->pair,
			      (struct qeff_template_item){ .sequence = 2, .type_id = !roberta },
			      err);
	return rc ? rc : add_item(&post->pair, sep, err);
}

static int parse_one(struct qeff_postprocessor *post, const json_t *json, unsigned int depth,
		     struct qeff_error *err)
{
	const json_t *list = json_object_get(json, "processors");
	const char *type;
	int rc;

	rc = qeff_json_type(json, "post_processor", &type, err);
	if (rc < 0)
		return rc;
	/* ByteLevel only corrects offsets, which are not kept here */
	if (!strcmp(type, "ByteLevel"))
		return 0;
	if (!strcmp(type, "Sequence")) {
		if (!json_is_array(list) || depth == DEPTH_MAX)
			return qeff_error_set(
				err, -EINVAL,
				"post_processor Sequence: expected an array \"processors\" at most %d deep",
				DEPTH_MAX);
		for (size_t i = 0; i < json_array_size(list) && rc == 0; i++)
			rc = parse_one(post, json_array_get(list, i), depth + 1, err);
		return rc;
	}
	if (post->single.items.size_bytes)
		return qeff_error_set(
			err, -ENOTSUP,
			"post_processor \"%.60s\" after another one that adds tokens is not supported",
			type);
	if (!strcmp(type, "TemplateProcessing"))
		rc = parse_template(&post->single, json, "single", 1, err);
	else if (!strcmp(type, "BertProcessing") || !strcmp(type, "RobertaProcessing"))
		return parse_around(post, json, *type == 'R', err);
	else
		return qeff_error_set(err, -ENOTSUP, "post_processor \"%.60s\" is not supported",
				      type);
	if (rc == 0 && json_object_get(json, "pair"))
		rc = parse_template(&post->pair, json, "pair", 2, err);
	return rc;
}

int qeff_postprocessor_parse(struct qeff_postprocessor *post, const json_t *json,
			     struct qeff_error *err)
{
	int rc = 0;

	*post = (struct qeff_postprocessor){ 0 };
	if (json && !json_is_null(json))
		rc = parse_one(post, json, 0, err);
	if (rc < 0)
		qeff_postprocessor_free(post);
	return rc;
}

void qeff_postprocessor_free(struct qeff_postprocessor *post)
{
	qeff_bytes_free(&post->single.items);
	qeff_bytes_free(&post->pair.items);
	*post = (struct qeff_postprocessor){ 0 };
}

int qeff_postprocessor_run(const struct qeff_postprocessor *post,
			   const struct qeff_sequence *sequences, size_t num_sequences,
			   bool add_special, struct qeff_bytes *out, struct qeff_bytes *types,
			   struct qeff_error *err)
{
	static const struct qeff_template_item plain[] = { { .sequence = 1 },
							   { .sequence = 2, .type_id = 1 } };
	const struct qeff_template *template = qeff_postprocessor_template(post, num_sequences);
	const struct qeff_template_item *items = plain;
	size_t num_items = num_sequences;

	if (template->items.size_bytes) {
		items = (const struct qeff_template_item *)template->items.data;
		num_items = template->items.size_bytes / sizeof(*items);
	}
	for (size_t i = 0; i < num_items; i++) {
		const struct qeff_sequence *sequence;

		if (!items[i].sequence) {
			if (!add_special)
				continue;
			qeff_bytes_u32(out, items[i].id);
			qeff_bytes_u32(types, items[i].type_id);
			continue;
		}
		sequence = &sequences[items[i].sequence - 1];
		if (sequence->count)
			qeff_bytes_append(out, sequence->ids,
					  sequence->count * sizeof(*sequence->ids));
		for (size_t k = 0; k < sequence->count; k++)
			qeff_bytes_u32(types, items[i].type_id);
	}
	if (out->failed || types->failed)
		return qeff_error_set(err, -ENOMEM, "no memory for tokens");
	return 0;
}
