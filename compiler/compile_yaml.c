/* SPDX-License-Identifier: MIT */
/*
 * The two small YAML files that QEfficient's users have: precisions of inputs and outputs, and
 * nodes that stay in fp32.
 */
#include "compile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#define MAX_ENTRIES 65536

struct yaml_file {
	const char *path;
	yaml_document_t document;
	struct qeff_error *err;
};

static int open_yaml(struct yaml_file *file, const char *path, struct qeff_error *err)
{
	yaml_parser_t parser;
	FILE *stream = fopen(path, "re");
	int rc = 0;

	*file = (struct yaml_file){ .path = path, .err = err };
	if (!stream)
		return qeff_error_set(err, -errno, "%s: %s", path, strerror(errno));
	if (!yaml_parser_initialize(&parser)) {
		fclose(stream);
		return qeff_error_set(err, -ENOMEM, "out of memory while reading %s", path);
	}
	yaml_parser_set_input_file(&parser, stream);
	if (!yaml_parser_load(&parser, &file->document))
		rc = qeff_error_set(err, parser.error == YAML_MEMORY_ERROR ? -ENOMEM : -EINVAL,
				    "%s: line %zu: %s", path, parser.problem_mark.line + 1,
				    parser.problem ? parser.problem : "not YAML");
	yaml_parser_delete(&parser);
	fclose(stream);
	return rc;
}

static int wrong(const struct yaml_file *file, const yaml_node_t *node, const char *expected)
{
	return qeff_error_set(file->err, -EINVAL, "%s: line %zu: expected %s", file->path,
			      node ? node->start_mark.line + 1 : 1, expected);
}

static const char *scalar(const yaml_node_t *node)
{
	return node && node->type == YAML_SCALAR_NODE ? (const char *)node->data.scalar.value
						      : NULL;
}

/* A copy of @name that the lists own; NULL when memory runs out. */
static const char *keep_name(struct compile_lists *lists, const char *name)
{
	char **more = reallocarray(lists->names, lists->num_names + 1, sizeof(*more));

	if (!more)
		return NULL;
	lists->names = more;
	more[lists->num_names] = strdup(name);
	return more[lists->num_names] ? more[lists->num_names++] : NULL;
}

static int no_memory(struct yaml_file *file)
{
	return qeff_error_set(file->err, -ENOMEM, "out of memory while reading %s", file->path);
}

/* {IOName: ..., Precision: ...} */
static int read_io(struct yaml_file *file, const yaml_node_t *node, struct compile_lists *lists)
{
	static const struct {
		const char *name;
		enum qeff_graph_io io;
	} precisions[] = {
		{ "float32", QEFF_IO_F32 }, { "float", QEFF_IO_F32 }, { "fp32", QEFF_IO_F32 },
		{ "float16", QEFF_IO_F16 }, { "fp16", QEFF_IO_F16 },  { "mxint8", QEFF_IO_MXINT8 },
		{ "int64", QEFF_IO_I64 },
	};
	const char *name = NULL, *precision = NULL;
	struct qeff_custom_io *more;
	const char *copy;
	size_t i = 0;

	if (!node || node->type != YAML_MAPPING_NODE)
		return wrong(file, node, "\"IOName\" and \"Precision\"");
	for (const yaml_node_pair_t *pair = node->data.mapping.pairs.start;
	     pair < node->data.mapping.pairs.top; pair++) {
		const char *key = scalar(yaml_document_get_node(&file->document, pair->key));
		const char *value = scalar(yaml_document_get_node(&file->document, pair->value));

		if (key && value && !strcmp(key, "IOName") && !name)
			name = value;
		else if (key && value && !strcmp(key, "Precision") && !precision)
			precision = value;
		else
			return wrong(file, node, "\"IOName\" and \"Precision\", once each");
	}
	if (!name || !precision)
		return wrong(file, node, "\"IOName\" and \"Precision\"");
	while (i < sizeof(precisions) / sizeof(precisions[0]) &&
	       strcmp(precisions[i].name, precision))
		i++;
	if (i == sizeof(precisions) / sizeof(precisions[0]))
		return qeff_error_set(file->err, -ENOTSUP,
				      "%s: line %zu: precision \"%.64s\" of \"%.64s\" is none of "
				      "float32, float16, mxint8 and int64",
				      file->path, node->start_mark.line + 1, precision, name);
	more = reallocarray(lists->io, lists->num_io + 1, sizeof(*more));
	if (more)
		lists->io = more;
	copy = more ? keep_name(lists, name) : NULL;
	if (!copy)
		return no_memory(file);
	more[lists->num_io++] = (struct qeff_custom_io){ copy, precisions[i].io };
	return 0;
}

int qeff_compile_read_custom_io(const char *path, struct compile_lists *lists,
				struct qeff_error *err)
{
	struct yaml_file file;
	const yaml_node_t *root;
	int rc = open_yaml(&file, path, err);

	if (rc)
		return rc;
	root = yaml_document_get_root_node(&file.document);
	if (!root || root->type != YAML_SEQUENCE_NODE)
		rc = wrong(&file, root, "a list of \"IOName\" and \"Precision\"");
	for (const yaml_node_item_t *item = rc ? NULL : root->data.sequence.items.start;
	     !rc && item < root->data.sequence.items.top; item++)
		rc = lists->num_io == MAX_ENTRIES
			     ? wrong(&file, root, "fewer entries")
			     : read_io(&file, yaml_document_get_node(&file.document, *item), lists);
	yaml_document_delete(&file.document);
	return rc;
}

static int read_nodes(struct yaml_file *file, const yaml_node_t *list, struct compile_lists *lists)
{
	if (!list || list->type != YAML_SEQUENCE_NODE)
		return wrong(file, list, "a list of names of nodes");
	for (const yaml_node_item_t *item = list->data.sequence.items.start;
	     item < list->data.sequence.items.top; item++) {
		const yaml_node_t *node = yaml_document_get_node(&file->document, *item);
		const char **more, *copy;

		if (!scalar(node) || lists->num_fp32_nodes == MAX_ENTRIES)
			return wrong(file, node, "the name of a node");
		more = reallocarray(lists->fp32_nodes, lists->num_fp32_nodes + 1, sizeof(*more));
		if (more)
			lists->fp32_nodes = more;
		copy = more ? keep_name(lists, scalar(node)) : NULL;
		if (!copy)
			return no_memory(file);
		more[lists->num_fp32_nodes++] = copy;
	}
	return 0;
}

int qeff_compile_read_fp32_nodes(const char *path, struct compile_lists *lists,
				 struct qeff_error *err)
{
	struct yaml_file file;
	const yaml_node_t *root;
	int rc = open_yaml(&file, path, err);

	if (rc)
		return rc;
	root = yaml_document_get_root_node(&file.document);
	if (!root || root->type != YAML_MAPPING_NODE)
		rc = wrong(&file, root, "\"FP32NodeInstanceNames\"");
	for (const yaml_node_pair_t *pair = rc ? NULL : root->data.mapping.pairs.start;
	     !rc && pair < root->data.mapping.pairs.top; pair++) {
		const yaml_node_t *key = yaml_document_get_node(&file.document, pair->key);

		if (!scalar(key) || strcmp(scalar(key), "FP32NodeInstanceNames"))
			rc = wrong(&file, key, "\"FP32NodeInstanceNames\" and nothing else");
		else
			rc = read_nodes(&file, yaml_document_get_node(&file.document, pair->value),
					lists);
	}
	yaml_document_delete(&file.document);
	return rc;
}

void qeff_compile_lists_clear(struct compile_lists *lists)
{
	for (size_t i = 0; i < lists->num_names; i++)
		free(lists->names[i]);
	free(lists->names);
	free(lists->io);
	free(lists->fp32_nodes);
	*lists = (struct compile_lists){ 0 };
}
