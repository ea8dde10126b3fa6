/* SPDX-License-Identifier: MIT */
/* Values of a JSON configuration file, with their types and ranges checked where they are read. */
#ifndef QEFF_CHECKPOINT_CONFIG_H
#define QEFF_CHECKPOINT_CONFIG_H

#include "util/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json_t;

/**
 * struct qeff_config - an object of a configuration file
 * @file: the file, for messages
 * @path: where the object stands in it, for messages: "" or "rope_scaling."
 * @json: the object, or NULL: then every key is absent
 *
 * A small value that borrows all three; lives as long as its checkpoint. Read-only, so any thread
 * may.
 *
 * In the getters an absent key and null are the same: they leave the caller's value, its default,
 * alone and return 0. A value of another type or out of range is -EINVAL, with file and key in the
 * message.
 */
struct qeff_config {
	const char *file;
	const char *path;
	const struct json_t *json;
};

/* There, and not null. */
bool qeff_config_has(const struct qeff_config *config, const char *key);
/* There and null: what says "none" where an absent key would mean a default. */
bool qeff_config_null(const struct qeff_config *config, const char *key);
/* Fails with -EINVAL if the key is absent. */
int qeff_config_require(const struct qeff_config *config, const char *key, struct qeff_error *err);

int qeff_config_int(const struct qeff_config *config, const char *key, int64_t min, int64_t max,
		    int64_t *value, struct qeff_error *err);
/* Finite numbers, integers among them. */
int qeff_config_float(const struct qeff_config *config, const char *key, double min, double max,
		      double *value, struct qeff_error *err);
int qeff_config_bool(const struct qeff_config *config, const char *key, bool *value,
		     struct qeff_error *err);
/* The string is borrowed. */
int qeff_config_string(const struct qeff_config *config, const char *key, const char **value,
		       struct qeff_error *err);
/* The first string of a list ("architectures"); the rest is left unread. */
int qeff_config_first_string(const struct qeff_config *config, const char *key, const char **value,
			     struct qeff_error *err);
/* One integer, or a list of up to @capacity of them; an absent key leaves @count alone. */
int qeff_config_ints(const struct qeff_config *config, const char *key, int64_t min, int64_t max,
		     size_t capacity, int64_t *values, size_t *count, struct qeff_error *err);
/* Whether the key is there, and null: which reads as absent elsewhere. */
bool qeff_config_is_null(const struct qeff_config *config, const char *key);
/* How many keys it has. */
size_t qeff_config_size(const struct qeff_config *config);
/* Whether @key lists @name: in a list of strings, or in one string with bars between names. An
 * absent key leaves @lists alone. */
int qeff_config_lists(const struct qeff_config *config, const char *key, const char *name,
		      bool *lists, struct qeff_error *err);
/* A list of exactly @count numbers; the key must be there. */
int qeff_config_floats(const struct qeff_config *config, const char *key, double min, double max,
		       size_t count, double *values, struct qeff_error *err);
/* Entry @index of a list of strings; an absent key leaves @value alone. The string is borrowed. */
int qeff_config_string_of(const struct qeff_config *config, const char *key, size_t index,
			  const char **value, struct qeff_error *err);
/* The object at @key; @path is its path for messages ("rope_scaling."). Absent: an empty @object.
 */
int qeff_config_object(const struct qeff_config *config, const char *key, const char *path,
		       struct qeff_config *object, struct qeff_error *err);

/**
 * qeff_config_expect - refuse a key that would change the computation
 * @json: the only value that is handled, as JSON; NULL: none is
 *
 * Return: 0 if the key is absent or has that value, else -ENOTSUP.
 */
int qeff_config_expect(const struct qeff_config *config, const char *key, const char *json,
		       struct qeff_error *err);

#endif
