/* SPDX-License-Identifier: MIT */
/* LoRA adapters that are chosen while running: their folders, and the names they are chosen by. */
#include "compile.h"

#include <stdlib.h>
#include <string.h>

const char *qeff_compile_lora_folder(const char *entry, size_t *name_bytes)
{
	const char *equals = strchr(entry, '=');

	*name_bytes = 0;
	if (!equals || equals == entry || memchr(entry, '/', (size_t)(equals - entry)))
		return entry;
	*name_bytes = (size_t)(equals - entry);
	return equals + 1;
}

/* The name in front, or the last part of the path. */
static char *name_of(const char *entry)
{
	size_t length;
	const char *folder = qeff_compile_lora_folder(entry, &length), *end;

	if (length)
		return strndup(entry, length);
	end = folder + strlen(folder);
	while (end > folder && end[-1] == '/')
		end--;
	for (length = 0; end - length > folder && end[-1 - (ptrdiff_t)length] != '/'; length++)
		;
	return strndup(end - length, length);
}

/* A name must not be taken for a number or the model alone, nor stand there twice. */
static int check_name(const struct compile_loras *loras, size_t index, struct qeff_error *err)
{
	const char *name = loras->names[index];

	if (!*name || strspn(name, "0123456789") == strlen(name) || !strcmp(name, "base"))
		return qeff_error_set(err, -EINVAL,
				      "loras: \"%.64s\" is no name for an adapter; give it one as "
				      "NAME=DIR",
				      name);
	for (const char *at = name; *at; at++)
		if (*at < ' ' || *at > '~')
			return qeff_error_set(
				err, -EINVAL,
				"loras: the name of adapter %zu has characters beyond "
				"printable ASCII; give it one as NAME=DIR",
				index + 1);
	for (size_t i = 0; i < index; i++)
		if (!strcmp(loras->names[i], name))
			return qeff_error_set(err, -EINVAL,
					      "loras: two adapters are called \"%.64s\"; give them "
					      "names as NAME=DIR",
					      name);
	return 0;
}

int qeff_compile_open_loras(const struct qeff_compile_options *o, struct compile_loras *loras,
			    struct qeff_error *err)
{
	int rc = 0;

	for (size_t i = 0; !rc && i < o->num_loras; i++) {
		size_t name_bytes;
		const char *folder = qeff_compile_lora_folder(o->loras[i], &name_bytes);

		loras->names[i] = name_of(o->loras[i]);
		loras->count = i + 1;
		if (!loras->names[i])
			return qeff_error_set(err, -ENOMEM, "out of memory while naming adapters");
		rc = check_name(loras, i, err);
		if (!rc)
			rc = qeff_adapter_open(folder, &loras->adapters[i], err);
		if (!rc)
			loras->loras[i].pairs =
				qeff_adapter_pairs(loras->adapters[i], &loras->loras[i].num_pairs);
	}
	return rc;
}

void qeff_compile_loras_clear(struct compile_loras *loras)
{
	for (size_t i = 0; i < loras->count; i++) {
		qeff_adapter_close(loras->adapters[i]);
		free(loras->names[i]);
	}
	loras->count = 0;
}
