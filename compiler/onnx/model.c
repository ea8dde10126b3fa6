/* SPDX-License-Identifier: MIT */
/*
 * Models: the file mapped and unpacked, its subgraphs too, level by level with a limit; data files;
 * constants that imports computed.
 */
#include "onnx/model.h"

#include "util/checked.h"

#include <stdlib.h>
#include <string.h>

/* ---- memory ---- */

#define HEADER 16 /* before each block: its size */

static void *limited_alloc(void *data, size_t size_bytes)
{
	struct onnx_memory *m = data;
	uint8_t *block;

	if (size_bytes > m->limit_bytes - m->used_bytes)
		return NULL;
	block = malloc(size_bytes + HEADER);
	if (!block)
		return NULL;
	memcpy(block, &size_bytes, sizeof(size_bytes));
	m->used_bytes += size_bytes;
	return block + HEADER;
}

static void limited_free(void *data, void *pointer)
{
	struct onnx_memory *m = data;
	size_t size_bytes;

	if (!pointer)
		return;
	memcpy(&size_bytes, (uint8_t *)pointer - HEADER, sizeof(size_bytes));
	m->used_bytes -= size_bytes;
	free((uint8_t *)pointer - HEADER);
}

void onnx_memory_init(struct onnx_memory *memory, uint64_t message_bytes)
{
	/* packed numbers of one byte become 8, an empty node of two bytes becomes about 150 */
	*memory = (struct onnx_memory){
		.allocator = { limited_alloc, limited_free, memory },
		.limit_bytes = (64u << 20) + 16 * (message_bytes < 1ull << 40 ? message_bytes : 0),
	};
}

static int unpack_failed(const struct qeff_onnx_model *model, const char *what,
			 struct qeff_error *err)
{
	return qeff_error_set(
		err, -EINVAL,
		"%s: %s is no message of ONNX, is damaged, or needs more than %llu MB "
		"of memory",
		model->name, what, (unsigned long long)(model->memory.limit_bytes >> 20));
}

/* ---- subgraphs ---- */

static int compare_subgraphs(const void *a, const void *b)
{
	uintptr_t x = (uintptr_t)((const struct onnx_subgraph *)a)->attribute;
	uintptr_t y = (uintptr_t)((const struct onnx_subgraph *)b)->attribute;

	return x < y ? -1 : x > y;
}

const QeffOnnx__GraphProto *onnx_subgraph(const struct qeff_onnx_model *model,
					  const QeffOnnx__AttributeProto *attribute)
{
	const struct onnx_subgraph key = { .attribute = (QeffOnnx__AttributeProto *)attribute };
	const struct onnx_subgraph *found = NULL;

	if (model->num_subgraphs)
		found = bsearch(&key, model->subgraphs, model->num_subgraphs, sizeof(key),
				compare_subgraphs);
	return found ? found->graph : NULL;
}

static int unpack_subgraphs(struct qeff_onnx_model *model, QeffOnnx__NodeProto **nodes,
			    size_t num_nodes, uint32_t depth, struct qeff_error *err);

static int unpack_subgraph(struct qeff_onnx_model *model, QeffOnnx__AttributeProto *attribute,
			   uint32_t depth, struct qeff_error *err)
{
	struct onnx_subgraph *more;
	QeffOnnx__GraphProto *graph;

	if (depth == ONNX_MAX_DEPTH)
		return qeff_error_set(err, -EFBIG, "%s: more than %d graphs inside each other",
				      model->name, ONNX_MAX_DEPTH);
	graph = qeff_onnx__graph_proto__unpack(&model->memory.allocator, attribute->g.len,
					       attribute->g.data);
	if (!graph)
		return unpack_failed(model, "a graph in an attribute", err);
	/* grown at each power of two */
	more = model->subgraphs;
	if (!(model->num_subgraphs & (model->num_subgraphs - 1)))
		more = reallocarray(model->subgraphs,
				    model->num_subgraphs ? model->num_subgraphs * 2u : 1u,
				    sizeof(*more));
	if (!more) {
		qeff_onnx__graph_proto__free_unpacked(graph, &model->memory.allocator);
		return qeff_error_set(err, -ENOMEM, "%s: out of memory", model->name);
	}
	model->subgraphs = more;
	more[model->num_subgraphs++] = (struct onnx_subgraph){ attribute, graph };
	return unpack_subgraphs(model, graph->node, graph->n_node, depth + 1, err);
}

static int unpack_subgraphs(struct qeff_onnx_model *model, QeffOnnx__NodeProto **nodes,
			    size_t num_nodes, uint32_t depth, struct qeff_error *err)
{
	int ret = 0;

	for (size_t n = 0; n < num_nodes; n++)
		for (size_t a = 0; a < nodes[n]->n_attribute && !ret; a++)
			if (nodes[n]->attribute[a]->has_g)
				ret = unpack_subgraph(model, nodes[n]->attribute[a], depth, err);
	return ret;
}

/* ---- opening ---- */

static int unpack(struct qeff_onnx_model *model, const void *data, size_t size_bytes,
		  struct qeff_error *err)
{
	struct qeff_bytes cut = { 0 };
	bool is_cut = onnx_raws_cut(data, size_bytes, &cut, &model->raws);
	int ret;

	onnx_memory_init(&model->memory, is_cut ? cut.size_bytes : size_bytes);
	model->proto = qeff_onnx__model_proto__unpack(&model->memory.allocator,
						      is_cut ? cut.size_bytes : size_bytes,
						      is_cut ? cut.data : data);
	qeff_bytes_free(&cut);
	if (!model->proto)
		return unpack_failed(model, "the file", err);
	if (!model->proto->graph)
		return qeff_error_set(err, -EINVAL, "%s: no graph in it (no ONNX model?)",
				      model->name);
	ret = onnx_raws_put_back(model, err);
	if (!ret)
		ret = unpack_subgraphs(model, model->proto->graph->node,
				       model->proto->graph->n_node, 0, err);
	for (size_t i = 0; i < model->proto->n_functions && !ret; i++)
		ret = unpack_subgraphs(model, model->proto->functions[i]->node,
				       model->proto->functions[i]->n_node, 0, err);
	if (!ret && model->num_subgraphs)
		qsort(model->subgraphs, model->num_subgraphs, sizeof(*model->subgraphs),
		      compare_subgraphs);
	return ret;
}

/* What is made of @m, which goes if it fails. */
static int opened(struct qeff_onnx_model *m, int ret, struct qeff_onnx_model **model)
{
	if (ret)
		qeff_onnx_close(m);
	else
		*model = m;
	return ret;
}

static struct qeff_onnx_model *new_model(const char *name, struct qeff_error *err)
{
	struct qeff_onnx_model *m = calloc(1, sizeof(*m));

	if (m)
		m->name = strdup(name);
	if (m && m->name)
		return m;
	free(m);
	qeff_error_set(err, -ENOMEM, "%s: out of memory", name);
	return NULL;
}

int qeff_onnx_open_bytes(const void *data, size_t size_bytes, const char *name,
			 struct qeff_onnx_model **model, struct qeff_error *err)
{
	struct qeff_onnx_model *m = new_model(name, err);

	*model = NULL;
	return m ? opened(m, unpack(m, data, size_bytes, err), model) : -ENOMEM;
}

int qeff_onnx_open(const char *path, struct qeff_onnx_model **model, struct qeff_error *err)
{
	struct qeff_onnx_model *m = new_model(path, err);
	const char *slash = strrchr(path, '/');
	int ret;

	*model = NULL;
	if (!m)
		return -ENOMEM;
	ret = qeff_map_open(&m->map, path, err);
	if (!ret) {
		m->directory = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup("./");
		ret = m->directory ? unpack(m, m->map.data, m->map.size_bytes, err)
				   : qeff_error_set(err, -ENOMEM, "%s: out of memory", path);
	}
	return opened(m, ret, model);
}

void qeff_onnx_close(struct qeff_onnx_model *m)
{
	if (!m)
		return;
	for (uint32_t i = 0; i < m->num_subgraphs; i++)
		qeff_onnx__graph_proto__free_unpacked(m->subgraphs[i].graph, &m->memory.allocator);
	if (m->proto) {
		onnx_raws_take_out(&m->raws);
		qeff_onnx__model_proto__free_unpacked(m->proto, &m->memory.allocator);
	}
	onnx_raws_free(&m->raws);
	for (uint32_t i = 0; i < m->num_files; i++) {
		free(m->files[i].location);
		qeff_map_close(&m->files[i].map);
	}
	qeff_map_close(&m->map);
	qeff_arena_free(&m->arena);
	free(m->files);
	free(m->subgraphs);
	free(m->constants);
	free(m->directory);
	free(m->name);
	free(m);
}

/* ---- looking ---- */

const char *qeff_onnx_metadata(const struct qeff_onnx_model *model, const char *key)
{
	for (size_t i = 0; i < model->proto->n_metadata_props; i++)
		if (!strcmp(onnx_text(model->proto->metadata_props[i]->key), key))
			return onnx_text(model->proto->metadata_props[i]->value);
	return NULL;
}

static const char *symbol_at(const QeffOnnx__GraphProto *graph, size_t input, size_t dim)
{
	const QeffOnnx__TypeProto *type = graph->input[input]->type;
	const QeffOnnx__TensorShapeProto *shape =
		type && type->tensor_type ? type->tensor_type->shape : NULL;

	if (!shape || dim >= shape->n_dim)
		return NULL;
	/* "?" is what some writers call all that they do not know */
	return strcmp(onnx_text(shape->dim[dim]->dim_param), "?")
		       ? onnx_text(shape->dim[dim]->dim_param)
		       : "";
}

const char *qeff_onnx_symbol(const struct qeff_onnx_model *model, uint32_t index)
{
	const QeffOnnx__GraphProto *graph = model->proto->graph;
	const char *seen[64];
	uint32_t count = 0;

	for (size_t i = 0; i < graph->n_input; i++) {
		const char *symbol;

		for (size_t d = 0; (symbol = symbol_at(graph, i, d)); d++) {
			bool known = !*symbol;

			for (uint32_t s = 0; s < count && !known; s++)
				known = !strcmp(seen[s], symbol);
			if (known)
				continue;
			if (count == index)
				return symbol;
			if (count == sizeof(seen) / sizeof(*seen))
				return NULL;
			seen[count++] = symbol;
		}
	}
	return NULL;
}

static const QeffOnnx__TypeProto *input_type(const struct qeff_onnx_model *model, const char *name)
{
	const QeffOnnx__GraphProto *graph = model->proto->graph;

	for (size_t i = 0; i < graph->n_input; i++)
		if (!strcmp(onnx_text(graph->input[i]->name), name))
			return graph->input[i]->type;
	return NULL;
}

int qeff_onnx_give_integers(const struct qeff_onnx_model *model, const char *name, uint32_t count,
			    int64_t *numbers, struct qeff_onnx_tensor *tensor,
			    struct qeff_error *err)
{
	const QeffOnnx__TypeProto *type = input_type(model, name);
	const QeffOnnx__TensorShapeProto *shape;
	int32_t element;
	size_t bytes;

	if (!type || !type->tensor_type)
		return qeff_error_set(err, -EINVAL, "%s: has no input \"%s\"", model->name, name);
	shape = type->tensor_type->shape;
	element = type->tensor_type->elem_type;
	bytes = qeff_graph_type_bytes((enum qeff_graph_type)element);
	if (element != QEFF_GRAPH_I64 && element != QEFF_GRAPH_I32 && element != QEFF_GRAPH_BOOL)
		return qeff_error_set(err, -ENOTSUP,
				      "%s: input \"%s\": is neither i64, i32 nor bool; give its "
				      "value in a file",
				      model->name, name);
	tensor->type = (enum qeff_graph_type)element;
	tensor->rank = count > 1 || !shape || shape->n_dim > QEFF_GRAPH_MAX_RANK
			       ? count > 1
			       : (uint32_t)shape->n_dim;
	for (uint32_t i = 0; i < tensor->rank; i++)
		tensor->dims[i] = count;
	/* in place, low bytes first: each lands at or before where it was */
	for (uint32_t i = 0; i < count; i++)
		memmove((uint8_t *)numbers + i * bytes, &numbers[i], bytes);
	tensor->data = numbers;
	tensor->size_bytes = count * bytes;
	return 0;
}

/* ---- computed constants ---- */

static uint64_t hash_bytes(const uint8_t *data, uint64_t size_bytes)
{
	uint64_t hash = 0xcbf29ce484222325u ^ size_bytes;
	uint64_t word;

	for (; size_bytes >= 8; size_bytes -= 8, data += 8) {
		memcpy(&word, data, 8);
		hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
		hash ^= hash >> 29;
	}
	for (; size_bytes; size_bytes--, data++)
		hash = (hash ^ *data) * 0x100000001b3u;
	return hash ^ hash >> 32;
}

static struct onnx_constant *probe(struct onnx_constant *table, uint32_t capacity,
				   const struct onnx_constant *key)
{
	uint32_t at = (uint32_t)key->hash;

	for (;; at++) {
		struct onnx_constant *c = &table[at & (capacity - 1)];

		if (!c->data || (c->hash == key->hash && c->size_bytes == key->size_bytes &&
				 !memcmp(c->data, key->data, key->size_bytes)))
			return c;
	}
}

const void *onnx_constant(struct qeff_onnx_model *model, const void *data, uint64_t size_bytes)
{
	/* one without elements may come without bytes */
	const void *bytes = size_bytes ? data : "";
	struct onnx_constant key = { hash_bytes(bytes, size_bytes), size_bytes, bytes }, *entry;
	void *copy;

	if (model->num_constants >= model->constants_capacity / 2) {
		uint32_t capacity = model->constants_capacity ? model->constants_capacity * 2 : 256;
		struct onnx_constant *table = calloc(capacity, sizeof(*table));

		if (!table)
			return NULL;
		for (uint32_t i = 0; i < model->constants_capacity; i++)
			if (model->constants[i].data)
				*probe(table, capacity, &model->constants[i]) = model->constants[i];
		free(model->constants);
		model->constants = table;
		model->constants_capacity = capacity;
	}
	entry = probe(model->constants, model->constants_capacity, &key);
	if (entry->data)
		return entry->data;
	copy = qeff_arena_alloc(&model->arena, 1, size_bytes ? size_bytes : 1);
	if (!copy)
		return NULL;
	if (size_bytes)
		memcpy(copy, data, size_bytes);
	key.data = copy;
	*entry = key;
	model->num_constants++;
	model->constant_bytes += size_bytes;
	return copy;
}
