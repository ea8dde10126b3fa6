/* SPDX-License-Identifier: MIT */
/* Typed access to the fields of JSON objects. */
#include "text/json.h"

#include "text/utf8.h"

#define CONTENT_BYTES_MAX 1024

int qeff_json_load(const void *data, size_t size_bytes, const char *name, json_t **object,
		   struct qeff_error *err)
{
	json_error_t why;
	json_t *json;

	*object = NULL;
	/* an empty file is mapped nowhere */
	json = json_loadb(size_bytes ? data : "", size_bytes, JSON_ALLOW_NUL, &why);
	if (!json && !why.text[0])
		return qeff_error_set(err, -ENOMEM, "%s: no memory to parse %zu bytes", name,
				      size_bytes);
	if (!json)
		return qeff_error_set(err, -EINVAL, "%s: line %d, byte %d: %s", name, why.line,
				      why.position, why.text);
	if (!json_is_object(json)) {
		json_decref(json);
		return qeff_error_set(err, -EINVAL, "%s: expected a JSON object", name);
	}
	*object = json;
	return 0;
}

static int wrong_type(const char *where, const char *key, const char *expected, const json_t *found,
		      struct qeff_error *err)
{
	static const char *const names[] = {
		[JSON_OBJECT] = "an object", [JSON_ARRAY] = "an array",
		[JSON_STRING] = "a string",  [JSON_INTEGER] = "an integer",
		[JSON_REAL] = "a number",    [JSON_TRUE] = "true",
		[JSON_FALSE] = "false",	     [JSON_NULL] = "null",
	};

	return qeff_error_set(err, -EINVAL, "%s: \"%s\" should be %s, found %s", where, key,
			      expected, found ? names[json_typeof(found)] : "nothing");
}

int qeff_json_string(const json_t *object, const char *where, const char *key, const char **text,
		     size_t *size_bytes, struct qeff_error *err)
{
	const json_t *value = json_object_get(object, key);

	if (!json_is_string(value))
		return wrong_type(where, key, "a string", value, err);
	*text = json_string_value(value);
	*size_bytes = json_string_length(value);
	return 0;
}

int qeff_json_content(const json_t *object, const char *where, const char *key,
		      struct qeff_bytes *content, struct qeff_error *err)
{
	const char *text;
	size_t size_bytes;
	int rc;

	rc = qeff_json_string(object, where, key, &text, &size_bytes, err);
	if (rc < 0)
		return rc;
	if (size_bytes > CONTENT_BYTES_MAX)
		return qeff_error_set(err, -EINVAL, "%s: \"%s\" has %zu bytes, expected at most %d",
				      where, key, size_bytes, CONTENT_BYTES_MAX);
	qeff_bytes_append(content, text, size_bytes);
	return content->failed ? qeff_error_set(err, -ENOMEM, "no memory for %s", where) : 0;
}

int qeff_json_char(const json_t *object, const char *where, const char *key, uint32_t *code_point,
		   struct qeff_error *err)
{
	const char *text;
	size_t size_bytes, at = 0;
	int rc;

	rc = qeff_json_string(object, where, key, &text, &size_bytes, err);
	if (rc < 0)
		return rc;
	if (qeff_utf8_count((const uint8_t *)text, size_bytes) != 1)
		return qeff_error_set(err, -EINVAL, "%s: \"%s\" should be one character", where,
				      key);
	*code_point = qeff_utf8_next((const uint8_t *)text, &at);
	return 0;
}

int qeff_json_bool(const json_t *object, const char *where, const char *key, bool *value,
		   struct qeff_error *err)
{
	const json_t *found = json_object_get(object, key);

	if (!found || json_is_null(found))
		return 0;
	if (!json_is_boolean(found))
		return wrong_type(where, key, "true or false", found, err);
	*value = json_is_true(found);
	return 0;
}

int qeff_json_size(const json_t *object, const char *where, const char *key, size_t max,
		   size_t *value, struct qeff_error *err)
{
	const json_t *found = json_object_get(object, key);

	if (!found || json_is_null(found))
		return 0;
	if (!json_is_integer(found))
		return wrong_type(where, key, "an integer", found, err);
	if (json_integer_value(found) < 0 || (uint64_t)json_integer_value(found) > max)
		return qeff_error_set(err, -EINVAL, "%s: \"%s\" is %lld, expected 0 to %zu", where,
				      key, (long long)json_integer_value(found), max);
	*value = (size_t)json_integer_value(found);
	return 0;
}

int qeff_json_id(const json_t *value, const char *where, const char *key, uint32_t *id,
		 struct qeff_error *err)
{
	if (!json_is_integer(value))
		return wrong_type(where, key, "a token id", value, err);
	if (json_integer_value(value) < 0 || json_integer_value(value) >= UINT32_MAX)
		return qeff_error_set(err, -EINVAL, "%s: the id of \"%s\" is %lld", where, key,
				      (long long)json_integer_value(value));
	*id = (uint32_t)json_integer_value(value);
	return 0;
}

int qeff_json_type(const json_t *object, const char *where, const char **type,
		   struct qeff_error *err)
{
	const json_t *value = json_object_get(object, "type");

	if (!json_is_object(object))
		return qeff_error_set(err, -EINVAL, "%s: expected an object", where);
	if (!json_is_string(value))
		return wrong_type(where, "type", "a string", value, err);
	*type = json_string_value(value);
	return 0;
}
