/* SPDX-License-Identifier: MIT */
/* Typed getters over jansson. */
#include "checkpoint/config.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const json_t *value_of(const struct qeff_config *config, const char *key)
{
	const json_t *value = config->json ? json_object_get(config->json, key) : NULL;

	return json_is_null(value) ? NULL : value;
}

static const char *kind_of(const json_t *value)
{
	switch (json_typeof(value)) {
	case JSON_OBJECT:
		return "an object";
	case JSON_ARRAY:
		return "a list";
	case JSON_STRING:
		return "a string";
	case JSON_INTEGER:
		return "an integer";
	case JSON_REAL:
		return "a number with a fraction";
	case JSON_TRUE:
	case JSON_FALSE:
		return "true or false";
	default:
		return "null";
	}
}

static int wrong_kind(const struct qeff_config *config, const char *key, const json_t *value,
		      const char *expected, struct qeff_error *err)
{
	return qeff_error_set(err, -EINVAL, "%s: \"%s%s\" is %s, expected %s", config->file,
			      config->path, key, kind_of(value), expected);
}

bool qeff_config_has(const struct qeff_config *config, const char *key)
{
	return value_of(config, key);
}

bool qeff_config_null(const struct qeff_config *config, const char *key)
{
	return config->json && json_is_null(json_object_get(config->json, key));
}

int qeff_config_require(const struct qeff_config *config, const char *key, struct qeff_error *err)
{
	if (value_of(config, key))
		return 0;
	return qeff_error_set(err, -EINVAL, "%s: \"%s%s\" is missing", config->file, config->path,
			      key);
}

static int check_int(const struct qeff_config *config, const char *key, const json_t *value,
		     int64_t min, int64_t max, struct qeff_error *err)
{
	long long number;

	if (!json_is_integer(value))
		return wrong_kind(config, key, value, "an integer", err);
	number = json_integer_value(value);
	if (number < min || number > max)
		return qeff_error_set(err, -EINVAL, "%s: \"%s%s\" is %lld, expected %lld to %lld",
				      config->file, config->path, key, number, (long long)min,
				      (long long)max);
	return 0;
}

int qeff_config_int(const struct qeff_config *config, const char *key, int64_t min, int64_t max,
		    int64_t *value, struct qeff_error *err)
{
	const json_t *json = value_of(config, key);
	int ret = json ? check_int(config, key, json, min, max, err) : 0;

	if (json && !ret)
		*value = json_integer_value(json);
	return ret;
}

int qeff_config_float(const struct qeff_config *config, const char *key, double min, double max,
		      double *value, struct qeff_error *err)
{
	const json_t *json = value_of(config, key);
	double number;

	if (!json)
		return 0;
	if (!json_is_number(json))
		return wrong_kind(config, key, json, "a number", err);
	number = json_number_value(json);
	if (!isfinite(number) || number < min || number > max)
		return qeff_error_set(err, -EINVAL, "%s: \"%s%s\" is %g, expected %g to %g",
				      config->file, config->path, key, number, min, max);
	*value = number;
	return 0;
}

int qeff_config_bool(const struct qeff_config *config, const char *key, bool *value,
		     struct qeff_error *err)
{
	const json_t *json = value_of(config, key);

	if (!json)
		return 0;
	if (!json_is_boolean(json))
		return wrong_kind(config, key, json, "true or false", err);
	*value = json_is_true(json);
	return 0;
}

int qeff_config_string(const struct qeff_config *config, const char *key, const char **value,
		       struct qeff_error *err)
{
	const json_t *json = value_of(config, key);

	if (!json)
		return 0;
	if (!json_is_string(json))
		return wrong_kind(config, key, json, "a string", err);
	*value = json_string_value(json);
	return 0;
}

int qeff_config_first_string(const struct qeff_config *config, const char *key, const char **value,
			     struct qeff_error *err)
{
	const json_t *json = value_of(config, key);

	if (!json)
		return 0;
	if (!json_is_array(json) || !json_is_string(json_array_get(json, 0)))
		return wrong_kind(config, key, json, "a list of strings", err);
	*value = json_string_value(json_array_get(json, 0));
	return 0;
}

int qeff_config_ints(const struct qeff_config *config, const char *key, int64_t min, int64_t max,
		     size_t capacity, int64_t *values, size_t *count, struct qeff_error *err)
{
	const json_t *json = value_of(config, key);
	size_t length = json_is_array(json) ? json_array_size(json) : 1;

	if (!json)
		return 0;
	if (!json_is_array(json) && !json_is_integer(json))
		return wrong_kind(config, key, json, "an integer or a list of them", err);
	if (length > capacity)
		return qeff_error_set(err, -EINVAL,
				      "%s: \"%s%s\" lists %zu numbers, expected at most %zu",
				      config->file, config->path, key, length, capacity);
	for (size_t i = 0; i < length; i++) {
		const json_t *item = json_is_array(json) ? json_array_get(json, i) : json;
		int ret = check_int(config, key, item, min, max, err);

		if (ret)
			return ret;
		values[i] = json_integer_value(item);
	}
	*count = length;
	return 0;
}

int qeff_config_floats(const struct qeff_config *config, const char *key, double min, double max,
		       size_t count, double *values, struct qeff_error *err)
{
	const json_t *json = value_of(config, key);

	if (!json)
		return qeff_config_require(config, key, err);
	if (!json_is_array(json))
		return wrong_kind(config, key, json, "a list of numbers", err);
	if (json_array_size(json) != count)
		return qeff_error_set(err, -EINVAL, "%s: \"%s%s\" lists %zu numbers, expected %zu",
				      config->file, config->path, key, json_array_size(json),
				      count);
	for (size_t i = 0; i < count; i++) {
		const json_t *item = json_array_get(json, i);

		if (!json_is_number(item))
			return wrong_kind(config, key, item, "a list of numbers", err);
		values[i] = json_number_value(item);
		if (!isfinite(values[i]) || values[i] < min || values[i] > max)
			return qeff_error_set(err, -EINVAL,
					      "%s: \"%s%s\" has %g, expected %g to %g",
					      config->file, config->path, key, values[i], min, max);
	}
	return 0;
}

int qeff_config_string_of(const struct qeff_config *config, const char *key, size_t index,
			  const char **value, struct qeff_error *err)
{
	const json_t *json = value_of(config, key), *item;

	if (!json)
		return 0;
	item = json_array_get(json, index);
	if (!json_is_array(json))
		return wrong_kind(config, key, json, "a list of strings", err);
	if (!item)
		return qeff_error_set(err, -EINVAL, "%s: \"%s%s\" has no entry %zu", config->file,
				      config->path, key, index);
	if (!json_is_string(item))
		return wrong_kind(config, key, item, "a list of strings", err);
	*value = json_string_value(item);
	return 0;
}

int qeff_config_object(const struct qeff_config *config, const char *key, const char *path,
		       struct qeff_config *object, struct qeff_error *err)
{
	const json_t *json = value_of(config, key);

	*object = (struct qeff_config){ .file = config->file, .path = path };
	if (!json)
		return 0;
	if (!json_is_object(json))
		return wrong_kind(config, key, json, "an object", err);
	object->json = json;
	return 0;
}

bool qeff_config_is_null(const struct qeff_config *config, const char *key)
{
	return config->json && json_is_null(json_object_get(config->json, key));
}

size_t qeff_config_size(const struct qeff_config *config)
{
	return config->json ? json_object_size(config->json) : 0;
}

/* "a | b" */
static bool names_between_bars(const char *text, const char *name)
{
	size_t length = strlen(name), found;

	for (; *text; text += found + (text[found] != 0)) {
		text += strspn(text, " ");
		found = strcspn(text, " |");
		if (found == length && !memcmp(text, name, length))
			return true;
	}
	return false;
}

int qeff_config_lists(const struct qeff_config *config, const char *key, const char *name,
		      bool *lists, struct qeff_error *err)
{
	const json_t *json = value_of(config, key), *item;
	size_t i;

	if (!json)
		return 0;
	*lists = json_is_string(json) && names_between_bars(json_string_value(json), name);
	if (json_is_string(json))
		return 0;
	if (!json_is_array(json))
		return wrong_kind(config, key, json, "names", err);
	json_array_foreach(json, i, item)
	{
		if (!json_is_string(item))
			return wrong_kind(config, key, item, "names", err);
		*lists = *lists || !strcmp(json_string_value(item), name);
	}
	return 0;
}

static bool same_value(const json_t *a, const json_t *b)
{
	if (json_is_number(a) && json_is_number(b))
		return json_number_value(a) == json_number_value(b);
	return json_equal(a, b);
}

int qeff_config_expect(const struct qeff_config *config, const char *key, const char *json,
		       struct qeff_error *err)
{
	const json_t *found = value_of(config, key);
	json_t *expected = NULL;
	char *text;
	bool same;

	if (!found)
		return 0;
	if (json) {
		expected = json_loads(json, JSON_DECODE_ANY, NULL);
		if (!expected)
			return qeff_error_set(err, -ENOMEM, "out of memory");
	}
	same = expected && same_value(found, expected);
	json_decref(expected);
	if (same)
		return 0;
	text = json_dumps(found, JSON_ENCODE_ANY | JSON_COMPACT);
	qeff_error_set(err, -ENOTSUP, "%s: \"%s%s\" is %.80s, which is not supported (only %s)",
		       config->file, config->path, key, text ?: "?", json ?: "null");
	free(text);
	return -ENOTSUP;
}
