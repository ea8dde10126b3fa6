/* SPDX-License-Identifier: MIT */
/* The two demo models, compiled into packages that sessions are opened on, and their references. */
#ifndef QEFF_TESTS_PACKAGES_H
#define QEFF_TESTS_PACKAGES_H

#include "model_folder.h"
#include "unit.h"

#include <jansson.h>
#include <qeff/compiler.h>
#include <qeff/session.h>

#define LLAMA QEFF_TEST_DATA "/models/tiny-llama-stories"
#define BERT  QEFF_TEST_DATA "/models/tiny-bert-embed"

/* Where the packages are: made and removed by main(). */
static struct folder folder;

/* The data of a tensor in a reference.safetensors: a header's length, the header, the data. */
struct reference {
	char *file;
	json_t *header;
	const char *data;
};

static inline struct reference reference_open(const char *model)
{
	struct reference r = { 0 };
	uint64_t header_bytes;
	char path[512];
	long size;
	FILE *file;

	snprintf(path, sizeof(path), "%s/reference.safetensors", model);
	file = fopen(path, "rb");
	if (!file || fseek(file, 0, SEEK_END) || (size = ftell(file)) < 8 ||
	    fseek(file, 0, SEEK_SET))
		abort();
	r.file = malloc((size_t)size);
	if (!r.file || fread(r.file, 1, (size_t)size, file) != (size_t)size)
		abort();
	fclose(file);
	memcpy(&header_bytes, r.file, 8);
	r.header = json_loadb(r.file + 8, header_bytes, 0, NULL);
	r.data = r.file + 8 + header_bytes;
	CU_ASSERT_PTR_NOT_NULL_FATAL(r.header);
	return r;
}

static const void *reference_tensor(const struct reference *r, const char *name, size_t *rows,
				    size_t *columns)
{
	const json_t *tensor = json_object_get(r->header, name);
	const json_t *shape = json_object_get(tensor, "shape");

	*rows = (size_t)json_integer_value(json_array_get(shape, 0));
	*columns = (size_t)json_integer_value(json_array_get(shape, 1));
	return r->data +
	       json_integer_value(json_array_get(json_object_get(tensor, "data_offsets"), 0));
}

static inline void reference_close(struct reference *r)
{
	json_decref(r->header);
	free(r->file);
}

/* Ids of a reference's tensor as token ids. */
static inline size_t reference_ids(const struct reference *r, const char *name, uint32_t *ids,
				   size_t room)
{
	size_t rows, columns;
	const char *data = reference_tensor(r, name, &rows, &columns);

	CU_ASSERT_FATAL(columns <= room);
	for (size_t i = 0; i < columns; i++) {
		int64_t id;

		memcpy(&id, data + i * 8, 8);
		ids[i] = (uint32_t)id;
	}
	return columns;
}

/* Compiles with @options, whose output is a file of the folder, and opens a session on it. */
static inline struct qeff_session *open_package(struct qeff_compile_options options)
{
	struct qeff_session *session = NULL;
	struct qeff_device *device;
	struct qeff_error err = { 0 };
	char output[320];
	int ret;

	snprintf(output, sizeof(output), "%s", folder_path(&folder, options.output));
	options.output = output;
	if (!options.num_cores)
		options.num_cores = 4; /* room for two programs on the card */
	ret = qeff_compile(&options, NULL, &err);
	if (!ret)
		ret = qeff_device_open("soft", &device, &err);
	if (!ret) {
		ret = qeff_session_open(device, output, NULL, &session, &err);
		qeff_device_close(device); /* the session keeps it */
	}
	if (ret)
		fprintf(stderr, "%s\n", err.message);
	CU_ASSERT_EQUAL_FATAL(ret, 0);
	return session;
}

#endif
