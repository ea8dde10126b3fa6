/* SPDX-License-Identifier: MIT */
/*
 * Post-processors. Whatever its kind, what one does to the ids of a single sequence is a template:
 * tokens before, the sequence, tokens after.
 */
#include "text/postprocessor.h"

#include "text/json.h"

#define ITEMS_MAX 1024
#define DEPTH_MAX 8

static int add_item(struct qeff_postprocessor *post, struct qeff_template_item item,
		    struct qeff_error *err)
{
	if (post->items.size_bytes / sizeof(item) >= ITEMS_MAX)
		return qeff_error_set(err, -EINVAL, "post_processor: more than %d tokens",
				      ITEMS_MAX);
	qeff_bytes_append(&post->items, &item, sizeof(item));
	post->special_count += !item.is_sequence;
	return post->items.failed ? qeff_error_set(err, -ENOMEM, "no memory for a post-processor")
				  : 0;
}

/* {"SpecialToken": {"id": "[CLS]", "type_id": 0}}: the ids stand in the template's
 * "special_tokens". */
static int parse_special(struct qeff_postprocessor *post, const json_t *special,
			 const json_t *tokens, struct qeff_error *err)
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
			rc = add_item(post, item, err);
	}
	return rc;
}

static int parse_template(struct qeff_postprocessor *post, const json_t *json,
			  struct qeff_error *err)
{
	const char *where = "post_processor TemplateProcessing", *name;
	const json_t *single = json_object_get(json, "single");
	const json_t *tokens = json_object_get(json, "special_tokens");
	size_t size_bytes, type_id = 0;
	bool seen = false;
	int rc = 0;

	if (!json_is_array(single))
		return qeff_error_set(err, -EINVAL, "%s: \"single\" should be an array", where);
	for (size_t i = 0; i < json_array_size(single) && rc == 0; i++) {
		const json_t *piece = json_array_get(single, i);
		const json_t *special = json_object_get(piece, "SpecialToken");
		const json_t *sequence = json_object_get(piece, "Sequence");

		if (special) {
			rc = parse_special(post, special, tokens, err);
			continue;
		}
		rc = qeff_json_string(sequence, where, "id", &name, &size_bytes, err);
		if (rc == 0 && (strcmp(name, "A") || seen))
			rc = qeff_error_set(err, -ENOTSUP,
					    "%s: sequence \"%.20s\" in \"single\" is not supported",
					    where, name);
		seen = true;
		if (rc == 0)
			rc = qeff_json_size(sequence, where, "type_id", UINT32_MAX, &type_id, err);
		if (rc == 0)
			rc = add_item(post,
				      (struct qeff_template_item){ .is_sequence = true,
								   .type_id = (uint32_t)type_id },
				      err);
	}
	return rc;
}

/* BertProcessing and RobertaProcessing: "cls" and "sep" are pairs of text and id. */
static int parse_around(struct qeff_postprocessor *post, const json_t *json, struct qeff_error *err)
{
	struct qeff_template_item cls = { 0 }, sep = { 0 };
	int rc;

	rc = qeff_json_id(json_array_get(json_object_get(json, "cls"), 1), "post_processor", "cls",
			  &cls.id, err);
	if (rc == 0)
		rc = qeff_json_id(json_array_get(json_object_get(json, "sep"), 1), "post_processor",
				  "sep", &sep.id, err);
	if (rc == 0)
		rc = add_item(post, cls, err);
	if (rc == 0)
		rc = add_item(post, (struct qeff_template_item){ .is_sequence = true }, err);
	if (rc == 0)
		rc = add_item(post, sep, err);
	return rc;
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
	if (post->items.size_bytes)
		return qeff_error_set(
			err, -ENOTSUP,
			"post_processor \"%.60s\" after another one that adds tokens is not supported",
			type);
	if (!strcmp(type, "TemplateProcessing"))
		return parse_template(post, json, err);
	if (!strcmp(type, "BertProcessing") || !strcmp(type, "RobertaProcessing"))
		return parse_around(post, json, err);
	return qeff_error_set(err, -ENOTSUP, "post_processor \"%.60s\" is not supported", type);
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
	qeff_bytes_free(&post->items);
	*post = (struct qeff_postprocessor){ 0 };
}

int qeff_postprocessor_run(const struct qeff_postprocessor *post, const uint32_t *ids, size_t count,
			   bool add_special, struct qeff_bytes *out, struct qeff_bytes *types,
			   struct qeff_error *err)
{
	static const struct qeff_template_item plain = { .is_sequence = true };
	const struct qeff_template_item *items = &plain;
	size_t num_items = 1;

	if (post->items.size_bytes) {
		items = (const struct qeff_template_item *)post->items.data;
		num_items = post->items.size_bytes / sizeof(*items);
	}
	for (size_t i = 0; i < num_items; i++) {
		if (!items[i].is_sequence) {
			if (!add_special)
				continue;
			qeff_bytes_u32(out, items[i].id);
			qeff_bytes_u32(types, items[i].type_id);
			continue;
		}
		if (count)
			qeff_bytes_append(out, ids, count * sizeof(*ids));
		for (size_t k = 0; k < count; k++)
			qeff_bytes_u32(types, items[i].type_id);
	}
	if (out->failed || types->failed)
		return qeff_error_set(err, -ENOMEM, "no memory for %zu tokens", count);
	return 0;
}
