/* SPDX-License-Identifier: MIT */
/* qeff-compile as a program, and looking at the packages it makes through libqeff. */
#ifndef QEFF_TESTS_COMPILE_RIG_H
#define QEFF_TESTS_COMPILE_RIG_H

#include "../../unit/unit.h"

#include <qeff/compiler.h>
#include <qeff/qpc.h>

#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define LLAMA "tiny-llama-stories"
#define BERT  "tiny-bert-embed"

static const char *tool, *models;
static char folder[] = "/tmp/qeff-test-compile-XXXXXX";

static inline const char *path(const char *name)
{
	static char paths[8][320];
	static unsigned int next;
	char *to = paths[next++ % 8];

	snprintf(to, sizeof(paths[0]), "%s/%s", folder, name);
	return to;
}

static inline const char *model(const char *name)
{
	static char paths[4][512];
	static unsigned int next;
	char *to = paths[next++ % 4];

	snprintf(to, sizeof(paths[0]), "%s/%s", models, name);
	return to;
}

/* Runs "TOOL arguments"; what it printed, standard error last if @errors. */
__attribute__((format(printf, 4, 5))) static int run(char *output, size_t size, bool errors,
						     const char *format, ...)
{
	char command[4096];
	size_t used = 0, got;
	va_list args;
	FILE *pipe;
	int status;

	used = (size_t)snprintf(command, sizeof(command), "%s ", tool);
	va_start(args, format);
	used += (size_t)vsnprintf(command + used, sizeof(command) - used, format, args);
	va_end(args);
	CU_ASSERT_TRUE_FATAL(used + 16 < sizeof(command));
	strcat(command, errors ? " 2>&1 >/dev/null" : " 2>/dev/null");
	pipe = popen(command, "re");
	CU_ASSERT_PTR_NOT_NULL_FATAL(pipe);
	for (used = 0; used + 1 < size && (got = fread(output + used, 1, size - 1 - used, pipe));)
		used += got;
	output[used] = 0;
	while (fgetc(pipe) != EOF)
		;
	status = pclose(pipe);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static inline int files_in_folder(void)
{
	DIR *dir = opendir(folder);
	int count = 0;

	while (readdir(dir))
		count++;
	closedir(dir);
	return count - 2;
}

static inline int remove_one(const char *at, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(at);
}

static inline uint8_t *slurp(const char *at, size_t *size)
{
	FILE *file = fopen(at, "re");
	uint8_t *data;

	CU_ASSERT_PTR_NOT_NULL_FATAL(file);
	fseek(file, 0, SEEK_END);
	*size = (size_t)ftell(file);
	rewind(file);
	data = malloc(*size + 1);
	CU_ASSERT_EQUAL_FATAL(fread(data, 1, *size, file), *size);
	data[*size] = 0;
	fclose(file);
	return data;
}

static inline bool same_files(const char *a, const char *b)
{
	size_t a_size, b_size;
	uint8_t *x = slurp(a, &a_size), *y = slurp(b, &b_size);
	bool same = a_size == b_size && !memcmp(x, y, a_size);

	free(x);
	free(y);
	return same;
}

/* A package, opened and verified. */
static inline struct qeff_qpc *package(const char *at, const struct qeff_network **network)
{
	struct qeff_error err = { 0 };
	struct qeff_qpc *qpc = NULL;
	int rc = qeff_qpc_open(at, &qpc, &err);

	*network = NULL;
	if (!rc)
		rc = qeff_qpc_verify(qpc, &err);
	if (!rc)
		rc = qeff_qpc_network(qpc, network, &err);
	if (rc)
		printf("\n  %s\n", err.message);
	CU_ASSERT_EQUAL_FATAL(rc, 0);
	return qpc;
}

static inline json_t *generation(const struct qeff_qpc *qpc)
{
	const struct qeff_segment *segment = qeff_qpc_segment(qpc, "generation.json");
	json_t *json;

	CU_ASSERT_PTR_NOT_NULL_FATAL(segment);
	json = json_loadb(segment->data, segment->size_bytes, 0, NULL);
	CU_ASSERT_PTR_NOT_NULL_FATAL(json);
	return json;
}

static inline const char *text_of(const json_t *json, const char *key)
{
	const char *text = json_string_value(json_object_get(json, key));

	return text ? text : "(none)";
}

/* "[1, 32]" of binding @index in specialisation @spec. */
static inline const char *shape(const struct qeff_network *network, uint32_t spec, uint32_t index)
{
	const struct qeff_shape *s = qeff_network_shape(network, spec, index);
	static char texts[8][64];
	static unsigned int next;
	char *text = texts[next++ % 8];
	size_t used = 0;

	for (uint32_t i = 0; i < s->num_dims; i++)
		used += (size_t)snprintf(text + used, 64 - used, "%s%d", i ? "," : "[", s->dims[i]);
	snprintf(text + used, 64 - used, "]");
	return text;
}

static inline const struct qeff_binding *binding(const struct qeff_network *network,
						 const char *name, uint32_t *index)
{
	for (uint32_t i = 0; i < qeff_network_num_bindings(network); i++)
		if (!strcmp(network->bindings[i].name, name)) {
			*index = i;
			return &network->bindings[i];
		}
	printf("\n  no binding %s\n", name);
	CU_FAIL_FATAL("binding");
	return NULL;
}

/* main() of a test program: its arguments are the tool and the folder of models. */
static inline int rig_main(int argc, char **argv, const char *suite, const struct unit_test *tests,
			   size_t count)
{
	int status;

	if (argc != 3) {
		fprintf(stderr, "usage: %s QEFF-COMPILE MODELS\n", argv[0]);
		return EXIT_FAILURE;
	}
	tool = argv[1];
	models = argv[2];
	if (!mkdtemp(folder))
		return EXIT_FAILURE;
	status = unit_main(suite, tests, count);
	nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	return status;
}

#endif
