/* SPDX-License-Identifier: MIT */
/* Running the tools, and their files. */
#include "rig.h"

#include <CUnit/CUnit.h>
#include <ftw.h>
#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

struct rig rig;

bool rig_open(int argc, char **argv)
{
	if (argc != 4) {
		fprintf(stderr, "usage: %s QEFF-COMPILE QEFF-LOAD MODELS\n", argv[0]);
		return false;
	}
	/* the tools are run from other folders */
	rig.compile = realpath(argv[1], NULL);
	rig.load = realpath(argv[2], NULL);
	rig.models = realpath(argv[3], NULL);
	if (!rig.compile || !rig.load || !rig.models) {
		perror(argv[0]);
		return false;
	}
	strcpy(rig.dir, "/tmp/qeff-test-load-XXXXXX");
	return mkdtemp(rig.dir) != NULL;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

void rig_close(void)
{
	nftw(rig.dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	free(rig.compile);
	free(rig.load);
	free(rig.models);
}

const char *rig_file(const char *name)
{
	static char paths[8][256];
	static unsigned int next;
	char *path = paths[next++ % 8];

	snprintf(path, sizeof(paths[0]), "%s/%s", rig.dir, name);
	return path;
}

static int run_list(char *output, size_t size, const char *format, va_list args)
{
	char command[4096];
	size_t used = 0;
	FILE *pipe;
	int status, length;

	length = vsnprintf(command, sizeof(command) - 8, format, args);
	CU_ASSERT_TRUE_FATAL(length > 0 && (size_t)length < sizeof(command) - 8);
	strcat(command, " 2>&1");
	pipe = popen(command, "re");
	CU_ASSERT_PTR_NOT_NULL_FATAL(pipe);
	while (used + 1 < size) {
		size_t got = fread(output + used, 1, size - 1 - used, pipe);

		if (!got)
			break;
		used += got;
	}
	output[used] = 0;
	while (fgetc(pipe) != EOF)
		;
	status = pclose(pipe);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int run(char *output, size_t size, const char *format, ...)
{
	va_list args;
	int status;

	va_start(args, format);
	status = run_list(output, size, format, args);
	va_end(args);
	return status;
}

bool run_well(const char *format, ...)
{
	char output[8192];
	va_list args;
	int status;

	va_start(args, format);
	status = run_list(output, sizeof(output), format, args);
	va_end(args);
	if (status)
		fprintf(stderr, "exit status %d: %s\n", status, output);
	CU_ASSERT_EQUAL(status, 0);
	return !status;
}

/* ---- tensors ---- */

static json_t *read_header(FILE *file, uint64_t *length)
{
	json_t *header = NULL;
	char *text;

	if (fread(length, sizeof(*length), 1, file) != 1 || *length > 1 << 20)
		return NULL;
	text = malloc(*length);
	if (text && fread(text, 1, *length, file) == *length)
		header = json_loadb(text, *length, 0, NULL);
	free(text);
	return header;
}

bool reference(const char *model, const char *name, struct npy *npy)
{
	char path[512];
	uint64_t length = 0;
	json_t *header, *entry, *shape;
	bool floats;
	FILE *file;
	size_t got = 0;

	*npy = (struct npy){ .count = 1 };
	snprintf(path, sizeof(path), "%s/%s/reference.safetensors", rig.models, model);
	file = fopen(path, "re");
	CU_ASSERT_PTR_NOT_NULL_FATAL(file);
	header = read_header(file, &length);
	entry = json_object_get(header, name);
	CU_ASSERT_PTR_NOT_NULL_FATAL(entry);
	floats = !strcmp(json_string_value(json_object_get(entry, "dtype")), "F32");
	npy->kind = floats ? 'f' : 'i';
	npy->element_bytes = floats ? 4 : 8;
	shape = json_object_get(entry, "shape");
	npy->num_dims = (uint32_t)json_array_size(shape);
	CU_ASSERT_TRUE_FATAL(npy->num_dims <= NPY_MAX_DIMS);
	for (uint32_t i = 0; i < npy->num_dims; i++) {
		npy->dims[i] = (int32_t)json_integer_value(json_array_get(shape, i));
		npy->count *= (size_t)npy->dims[i];
	}
	npy->data = malloc(npy->count * npy->element_bytes);
	if (npy->data &&
	    !fseek(file,
		   (long)(8 + length) + (long)json_integer_value(json_array_get(
						json_object_get(entry, "data_offsets"), 0)),
		   SEEK_SET))
		got = fread(npy->data, npy->element_bytes, npy->count, file);
	CU_ASSERT_EQUAL(got, npy->count);
	json_decref(header);
	fclose(file);
	return got == npy->count;
}

bool write_ids(const char *name, const int64_t *values, int32_t batch, int32_t length)
{
	struct qeff_error err = { 0 };
	int ret = npy_write(rig_file(name), QEFF_TYPE_I64, (int32_t[]){ batch, length }, 2, values,
			    &err);

	CU_ASSERT_EQUAL(ret, 0);
	return !ret;
}

bool read_result(const char *name, struct npy *npy)
{
	struct qeff_error err = { 0 };
	int ret = npy_read(rig_file(name), npy, &err);

	if (ret)
		fprintf(stderr, "%s\n", err.message);
	CU_ASSERT_EQUAL(ret, 0);
	return !ret;
}

double difference(const float *found, const float *expected, size_t count)
{
	double worst = 0, largest = 0;

	for (size_t i = 0; i < count; i++) {
		double d = fabs((double)found[i] - (double)expected[i]);

		if (!(d <= worst)) /* also if it is not a number */
			worst = d;
		if (fabs((double)expected[i]) > largest)
			largest = fabs((double)expected[i]);
	}
	return worst / largest;
}
