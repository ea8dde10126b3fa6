/* SPDX-License-Identifier: MIT */
/* Tables of names, and what names mean in scopes. */
#include "onnx/importer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint32_t hash_text(const char *text)
{
	uint32_t hash = 2166136261u;

	for (; *text; text++)
		hash = (hash ^ (uint8_t)*text) * 16777619u;
	return hash ^ hash >> 15;
}

static struct onnx_name *probe(struct onnx_name *entries, uint32_t capacity, const char *text)
{
	uint32_t at = hash_text(text);

	while (entries[at & (capacity - 1)].text && strcmp(entries[at & (capacity - 1)].text, text))
		at++;
	return &entries[at & (capacity - 1)];
}

struct onnx_name *onnx_names_find(const struct onnx_names *names, const char *text)
{
	struct onnx_name *entry =
		names->count ? probe(names->entries, names->capacity, text) : NULL;

	return entry && entry->text ? entry : NULL;
}

struct onnx_name *onnx_names_add(struct onnx_names *names, const char *text)
{
	struct onnx_name *entry;

	if (names->count >= names->capacity / 2) {
		uint32_t capacity = names->capacity ? names->capacity * 2 : 16;
		struct onnx_name *entries = capacity ? calloc(capacity, sizeof(*entries)) : NULL;

		if (!entries)
			return NULL;
		for (uint32_t i = 0; i < names->capacity; i++)
			if (names->entries[i].text)
				*probe(entries, capacity, names->entries[i].text) =
					names->entries[i];
		free(names->entries);
		names->entries = entries;
		names->capacity = capacity;
	}
	entry = probe(names->entries, names->capacity, text);
	if (!entry->text) {
		entry->text = text;
		names->count++;
	}
	return entry;
}

void onnx_names_free(struct onnx_names *names)
{
	free(names->entries);
	*names = (struct onnx_names){ 0 };
}

struct qeff_value *import_lookup(const struct scope *scope, const char *name)
{
	for (; scope; scope = scope->outer) {
		struct onnx_name *entry = onnx_names_find(&scope->names, name);

		if (entry)
			return entry->u.value;
	}
	return NULL;
}

int import_bind(struct importer *im, struct scope *scope, const char *name,
		struct qeff_value *value)
{
	struct onnx_name *entry = onnx_names_add(&scope->names, name);

	if (!entry)
		return import_no_memory(im);
	if (entry->u.value)
		return qeff_error_set(im->err, -EINVAL, "%s: \"%s\" is made twice", im->model->name,
				      name);
	entry->u.value = value;
	return 0;
}

const char *import_value_name(struct importer *im, const struct scope *scope, const char *name)
{
	const struct onnx_name *given = onnx_names_find(&scope->given, name);
	size_t room;
	char *made;

	if (given)
		name = given->u.text;
	else if (*scope->prefix || !*name) {
		room = strlen(scope->prefix) + strlen(name) + 2;
		made = qeff_arena_alloc(&im->scratch, room, 1);
		if (!made)
			return NULL;
		snprintf(made, room, "%s%s%s", scope->prefix, *scope->prefix ? "/" : "", name);
		name = made;
	}
	if (*name && !qeff_graph_find(im->graph, name))
		return name;
	room = strlen(name) + 12;
	made = qeff_arena_alloc(&im->scratch, room, 1);
	while (made) {
		snprintf(made, room, "%s~%u", name, ++im->num_made);
		if (!qeff_graph_find(im->graph, made))
			break;
	}
	return made;
}
