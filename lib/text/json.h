/* SPDX-License-Identifier: MIT */
/* Taking fields out of JSON objects that came from a file: the type is checked, the error names the
 * field. */
#ifndef QEFF_TEXT_JSON_H
#define QEFF_TEXT_JSON_H

#include "util/bytes.h"
#include "util/error.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Parses @data, which must be an object; @name is for errors. Returns 0 with a reference in
 * @object, -EINVAL or -ENOMEM.
 */
int qeff_json_load(const void *data, size_t size_bytes, const char *name, json_t **object,
		   struct qeff_error *err);

/* @where names the object in errors ("normalizer Replace"). Strings live as long as @object. */
int qeff_json_string(const json_t *object, const char *where, const char *key, const char **text,
		     size_t *size_bytes, struct qeff_error *err);
/* Appends a string of at most 1024 bytes, as the parts of a tokenizer carry them, to @content. */
int qeff_json_content(const json_t *object, const char *where, const char *key,
		      struct qeff_bytes *content, struct qeff_error *err);
/* A string of exactly one character, as a code point. */
int qeff_json_char(const json_t *object, const char *where, const char *key, uint32_t *code_point,
		   struct qeff_error *err);
/* Absent or null leaves @value as it is. */
int qeff_json_bool(const json_t *object, const char *where, const char *key, bool *value,
		   struct qeff_error *err);
/* Absent or null leaves @value as it is; otherwise an integer in [0, @max]. */
int qeff_json_size(const json_t *object, const char *where, const char *key, size_t max,
		   size_t *value, struct qeff_error *err);
/* A token id: an integer in [0, 0xfffffffe]. */
int qeff_json_id(const json_t *value, const char *where, const char *key, uint32_t *id,
		 struct qeff_error *err);
/* The "type" of a component: an error if @object is not an object with that string. */
int qeff_json_type(const json_t *object, const char *where, const char **type,
		   struct qeff_error *err);

#endif
