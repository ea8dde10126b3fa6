/* SPDX-License-Identifier: MIT */
/* The parts of qeff-qpc, for each other. */
#ifndef QEFF_TOOLS_QPC_TOOL_H
#define QEFF_TOOLS_QPC_TOOL_H

#include <qeff/qpc.h>

#include <jansson.h>

#define EXIT_BAD 1

struct options {
	const char *command;
	const char *package;
	const char *output_dir;
	char **segments;
	int num_segments;
	const char *config;
	const char *stage;
	const char *svg;
	bool json;
};

/* Says what is wrong on standard error and returns EXIT_BAD. */
__attribute__((format(printf, 1, 2))) int complain(const char *format, ...);

/* An integer, or a real if JSON has no integer that large. */
json_t *number(uint64_t value);

/* 0, or the negative errno. */
int write_all(int fd, const void *data, uint64_t size_bytes);

/* Prints and frees @object; an exit status. */
int print_json(json_t *object);

/* An exit status. */
int graph(const struct options *options);
int info(const struct qeff_qpc *qpc, const struct options *options);

#endif
