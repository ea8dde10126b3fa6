/* SPDX-License-Identifier: MIT */
/* Models of ONNX, written field by field, imported, and what the tests ask of them. */
#ifndef ONNX_MESSAGES_H
#define ONNX_MESSAGES_H

#include "unit.h"

#include "onnx/import.h"

#include <stdio.h>
#include <string.h>

/* ---- messages: field number and wire type, then a varint, or a length and its bytes ---- */

typedef struct {
	uint8_t data[1 << 16];
	size_t size;
} message;

static inline void varint(message *m, uint64_t value)
{
	for (; value >= 128; value >>= 7)
		m->data[m->size++] = (uint8_t)(value | 128);
	m->data[m->size++] = (uint8_t)value;
}

static inline void number(message *m, uint32_t field, int64_t value)
{
	varint(m, field << 3);
	varint(m, (uint64_t)value);
}

static inline void bytes(message *m, uint32_t field, const void *data, size_t size)
{
	varint(m, field << 3 | 2);
	varint(m, size);
	memcpy(m->data + m->size, data, size);
	m->size += size;
}

static inline void text(message *m, uint32_t field, const char *value)
{
	bytes(m, field, value, strlen(value));
}

static inline void put(message *m, uint32_t field, const message *inner)
{
	bytes(m, field, inner->data, inner->size);
}

/* ValueInfoProto of a tensor; a dimension below 1 is symbolic. */
static inline message info(const char *name, int type, int rank, const int64_t *dims,
			   const char *symbol)
{
	static message m, shape, tensor, kind, dim;

	m.size = shape.size = tensor.size = kind.size = 0;
	for (int i = 0; i < rank; i++) {
		dim.size = 0;
		if (dims[i] > 0)
			number(&dim, 1, dims[i]);
		else
			text(&dim, 2, symbol);
		put(&shape, 1, &dim);
	}
	number(&tensor, 1, type);
	put(&tensor, 2, &shape);
	put(&kind, 1, &tensor);
	text(&m, 1, name);
	put(&m, 2, &kind);
	return m;
}

/* NodeProto: "op a,b -> c,d" and, after it, an attribute, if any. */
static inline message node(const char *line, const char *domain, const message *attribute)
{
	static message m;
	char copy[256], *at = copy, *op, *word;

	m.size = 0;
	snprintf(copy, sizeof(copy), "%s", line);
	op = strsep(&at, " ");
	for (char *list = strsep(&at, " "); list && (word = strsep(&list, ","));)
		if (strcmp(word, "-"))
			text(&m, 1, word);
	strsep(&at, " "); /* -> */
	for (char *list = at; list && (word = strsep(&list, ","));)
		text(&m, 2, word);
	text(&m, 4, op);
	if (attribute)
		put(&m, 5, attribute);
	if (*domain)
		text(&m, 7, domain);
	return m;
}

static inline message attribute_int(const char *name, int64_t value)
{
	static message m;

	m.size = 0;
	text(&m, 1, name);
	number(&m, 3, value);
	number(&m, 20, 2);
	return m;
}

static inline message attribute_ints(const char *name, int count, const int64_t *values)
{
	static message m;

	m.size = 0;
	text(&m, 1, name);
	for (int i = 0; i < count; i++)
		number(&m, 8, values[i]);
	number(&m, 20, 7);
	return m;
}

static inline message attribute_of(const char *name, uint32_t field, int type, const message *inner)
{
	static message m;

	m.size = 0;
	text(&m, 1, name);
	put(&m, field, inner);
	number(&m, 20, type);
	return m;
}

/* TensorProto with numbers in its raw bytes. */
static inline message tensor(const char *name, int type, int rank, const int64_t *dims,
			     const void *raw, size_t size)
{
	static message m;

	m.size = 0;
	for (int i = 0; i < rank; i++)
		number(&m, 1, dims[i]);
	number(&m, 2, type);
	text(&m, 8, name);
	bytes(&m, 9, raw, size);
	return m;
}

#define DIMS(...) ((const int64_t[]){ __VA_ARGS__ })
#define F32	  1
#define I64	  7

static message graph, functions;

static inline void begin(void)
{
	graph.size = functions.size = 0;
	text(&graph, 2, "g");
}

static inline void add_node(const char *line, const message *attribute)
{
	message m = node(line, "", attribute);

	put(&graph, 1, &m);
}

static inline void add_tensor(const char *name, int type, int rank, const int64_t *dims,
			      const void *raw, size_t size)
{
	message m = tensor(name, type, rank, dims, raw, size);

	put(&graph, 5, &m);
}

static inline void add_input(const char *name, int rank, const int64_t *dims)
{
	message m = info(name, F32, rank, dims, "N");

	put(&graph, 11, &m);
}

static inline void add_output(const char *name)
{
	message m = info(name, F32, 0, NULL, "N");

	put(&graph, 12, &m);
}

/* ModelProto around the graph. */
static inline message *model(int64_t opset)
{
	static message m, set;

	m.size = set.size = 0;
	number(&m, 1, 8);
	put(&m, 7, &graph);
	text(&set, 1, "");
	number(&set, 2, opset);
	put(&m, 8, &set);
	set.size = 0;
	text(&set, 1, "own");
	number(&set, 2, 3);
	put(&m, 8, &set);
	if (functions.size)
		put(&m, 25, &functions);
	return &m;
}

static struct qeff_onnx_model *opened;
static struct qeff_onnx_import_options options;

static inline int run(const message *m, struct qeff_graph **g, struct qeff_error *err)
{
	int ret = qeff_onnx_open_bytes(m->data, m->size, "m.onnx", &opened, err);

	*g = NULL;
	return ret ? ret : qeff_onnx_import(opened, &options, g, err);
}

static inline struct qeff_graph *good(const message *m)
{
	struct qeff_error err = { 0 };
	struct qeff_graph *g;

	if (run(m, &g, &err)) {
		printf("\n  %s", err.message);
		CU_FAIL_FATAL("imports");
	}
	return g;
}

static inline void done(struct qeff_graph *g)
{
	qeff_graph_free(g);
	qeff_onnx_close(opened);
	opened = NULL;
	options = (struct qeff_onnx_import_options){ 0 };
}

static inline void refused(const message *m, int code, const char *part)
{
	struct qeff_error err = { 0 };
	struct qeff_graph *g;
	int ret = run(m, &g, &err);

	if (ret != code || !strstr(err.message, part)) {
		printf("\n  expected %d \"%s\", got %d \"%s\"", code, part, ret, err.message);
		CU_FAIL("is refused");
	}
	done(g);
}

/* "Add Relu": the nodes in order. */
static inline void nodes_are(const struct qeff_graph *g, const char *expected)
{
	char got[512] = "";

	for (uint32_t i = 0; i < g->num_nodes; i++)
		snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s%s", i ? " " : "",
			 g->nodes[i]->op_type);
	if (strcmp(got, expected)) {
		printf("\n  expected %s, got %s", expected, got);
		CU_FAIL("the nodes");
	}
}

#endif
