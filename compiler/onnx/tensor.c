/* SPDX-License-Identifier: MIT */
/*
 * Tensors of a model: their numbers lie raw in the message, in fields by type, or in a data file.
 * Raw ones and those of data files are used where they lie if they are aligned.
 */
#include "onnx/model.h"

#include "util/checked.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int refuse(struct qeff_onnx_model *model, const QeffOnnx__TensorProto *proto, int code,
		  const char *what, struct qeff_error *err)
{
	return qeff_error_set(err, code, "%s: tensor \"%s\": %s", model->name,
			      onnx_text(proto->name), what);
}

static int out_of_memory(const struct qeff_onnx_model *model, struct qeff_error *err)
{
	return qeff_error_set(err, -ENOMEM, "%s: out of memory", model->name);
}

/* Types of 4 bits, which are read as bytes. */
#define UINT4 21
#define INT4  22

/* ---- numbers in fields by type ---- */

/* @count numbers of @from_bytes, of which the low @to_bytes count (little-endian, as this host). */
static void narrow(uint8_t *to, size_t to_bytes, const void *from, size_t from_bytes, size_t count)
{
	for (size_t i = 0; i < count; i++)
		memcpy(to + i * to_bytes, (const uint8_t *)from + i * from_bytes, to_bytes);
}

/* Two numbers of 4 bits in each of @bytes, the low one first, become bytes. */
static int widen_nibbles(struct qeff_onnx_model *model, const QeffOnnx__TensorProto *proto,
			 struct qeff_onnx_tensor *tensor, const uint8_t *from, size_t bytes,
			 size_t stride, struct qeff_error *err)
{
	size_t count = tensor->size_bytes;
	uint8_t *to;

	if (bytes != count / 2 + count % 2)
		return qeff_error_set(err, -EINVAL,
				      "%s: tensor \"%s\": has %zu pairs of 4 bits, its shape has "
				      "%zu numbers",
				      model->name, onnx_text(proto->name), bytes, count);
	to = malloc(count + 1);
	if (!to)
		return out_of_memory(model, err);
	for (size_t i = 0; i < count; i++) {
		uint8_t pair = from[i / 2 * stride], nibble = i % 2 ? pair >> 4 : pair & 15;
		bool negative = tensor->type == QEFF_GRAPH_I8 && nibble > 7;

		to[i] = (uint8_t)(negative ? nibble | 0xf0 : nibble);
	}
	tensor->data = onnx_constant(model, to, count);
	free(to);
	return tensor->data ? 0 : out_of_memory(model, err);
}

static int typed_data(struct qeff_onnx_model *model, const QeffOnnx__TensorProto *proto,
		      struct qeff_onnx_tensor *tensor, struct qeff_error *err)
{
	size_t to_bytes = qeff_graph_type_bytes(tensor->type), from_bytes = 4, count;
	const void *from;
	void *to;

	switch (tensor->type) {
	case QEFF_GRAPH_F32:
		from = proto->float_data;
		count = proto->n_float_data;
		break;
	case QEFF_GRAPH_F64:
		from = proto->double_data;
		count = proto->n_double_data;
		from_bytes = 8;
		break;
	case QEFF_GRAPH_I64:
		from = proto->int64_data;
		count = proto->n_int64_data;
		from_bytes = 8;
		break;
	case QEFF_GRAPH_U32:
	case QEFF_GRAPH_U64:
		from = proto->uint64_data;
		count = proto->n_uint64_data;
		from_bytes = 8;
		break;
	default: /* bits of f16 and bf16 too */
		if (tensor->nibbles)
			return widen_nibbles(model, proto, tensor,
					     (const uint8_t *)proto->int32_data,
					     proto->n_int32_data, 4, err);
		from = proto->int32_data;
		count = proto->n_int32_data;
		break;
	}
	if (count != tensor->size_bytes / to_bytes)
		return qeff_error_set(err, -EINVAL,
				      "%s: tensor \"%s\": has %zu numbers, its shape has %llu",
				      model->name, onnx_text(proto->name), count,
				      (unsigned long long)(tensor->size_bytes / to_bytes));
	to = calloc(count + 1, to_bytes);
	if (!to)
		return out_of_memory(model, err);
	narrow(to, to_bytes, from, from_bytes, count);
	tensor->data = onnx_constant(model, to, count * to_bytes);
	free(to);
	return tensor->data ? 0 : out_of_memory(model, err);
}

/* ---- data files ---- */

/* A file beside the model, and nowhere else. */
static bool is_local(const char *location)
{
	if (!*location || *location == '/')
		return false;
	for (const char *at = location; at; at = strchr(at, '/')) {
		at += *at == '/';
		if (!strncmp(at, "..", 2) && (!at[2] || at[2] == '/'))
			return false;
	}
	return true;
}

static int data_file(struct qeff_onnx_model *model, const char *location, struct qeff_map **map,
		     struct qeff_error *err)
{
	struct onnx_data_file *more;
	char *path;
	int ret;

	for (uint32_t i = 0; i < model->num_files; i++)
		if (!strcmp(model->files[i].location, location)) {
			*map = &model->files[i].map;
			return 0;
		}
	more = reallocarray(model->files, model->num_files + 1u, sizeof(*more));
	if (!more)
		return out_of_memory(model, err);
	model->files = more;
	more += model->num_files;
	more->location = strdup(location);
	if (!more->location || asprintf(&path, "%s%s", model->directory, location) < 0) {
		free(more->location);
		return out_of_memory(model, err);
	}
	ret = qeff_map_open(&more->map, path, err);
	free(path);
	if (ret) {
		free(more->location);
		return ret;
	}
	model->num_files++;
	*map = &more->map;
	return 0;
}

static int external_number(struct qeff_onnx_model *model, const QeffOnnx__TensorProto *proto,
			   const char *key, const char *text, uint64_t *number,
			   struct qeff_error *err)
{
	char *end;

	errno = 0;
	*number = strtoull(text, &end, 10);
	if (errno || end == text || *end || *text == '-')
		return qeff_error_set(err, -EINVAL, "%s: tensor \"%s\": %s is \"%s\"", model->name,
				      onnx_text(proto->name), key, text);
	return 0;
}

static int external_data(struct qeff_onnx_model *model, const QeffOnnx__TensorProto *proto,
			 struct qeff_onnx_tensor *tensor, struct qeff_error *err)
{
	const char *location = "";
	const uint64_t size_bytes = tensor->nibbles
					    ? tensor->size_bytes / 2 + tensor->size_bytes % 2
					    : tensor->size_bytes;
	uint64_t offset = 0, length = size_bytes;
	struct qeff_map *map = NULL;
	int ret = 0;

	for (size_t i = 0; i < proto->n_external_data && !ret; i++) {
		const char *key = onnx_text(proto->external_data[i]->key);
		const char *value = onnx_text(proto->external_data[i]->value);

		if (!strcmp(key, "location"))
			location = value;
		else if (!strcmp(key, "offset"))
			ret = external_number(model, proto, key, value, &offset, err);
		else if (!strcmp(key, "length"))
			ret = external_number(model, proto, key, value, &length, err);
	}
	if (ret)
		return ret;
	if (!model->directory || !is_local(location))
		return qeff_error_set(err, -EINVAL,
				      "%s: tensor \"%s\": its data file \"%s\" is not in the "
				      "model's folder",
				      model->name, onnx_text(proto->name), location);
	ret = data_file(model, location, &map, err);
	if (ret)
		return ret;
	if (length != size_bytes || offset > map->size_bytes || length > map->size_bytes - offset)
		return qeff_error_set(
			err, -EINVAL,
			"%s: tensor \"%s\": needs %llu bytes; %llu at %llu are named, "
			"%s has %zu",
			model->name, onnx_text(proto->name), (unsigned long long)size_bytes,
			(unsigned long long)length, (unsigned long long)offset, location,
			map->size_bytes);
	if (tensor->nibbles)
		return widen_nibbles(model, proto, tensor, map->data + offset, length, 1, err);
	tensor->data = map->data + offset;
	return 0;
}

/* ---- tensors ---- */

/* Numbers that do not lie as they must are copied. */
static int align(struct qeff_onnx_model *model, struct qeff_onnx_tensor *tensor,
		 struct qeff_error *err)
{
	if (tensor->data && !((uintptr_t)tensor->data % qeff_graph_type_bytes(tensor->type)))
		return 0;
	tensor->data = onnx_constant(model, tensor->data, tensor->size_bytes);
	return tensor->data ? 0 : out_of_memory(model, err);
}

static int shape_of(struct qeff_onnx_model *model, const QeffOnnx__TensorProto *proto,
		    struct qeff_onnx_tensor *tensor, struct qeff_error *err)
{
	const bool is_u4 = proto->data_type == UINT4, is_i4 = proto->data_type == INT4;
	const enum qeff_graph_type type = is_u4	  ? QEFF_GRAPH_U8
					  : is_i4 ? QEFF_GRAPH_I8
						  : (enum qeff_graph_type)proto->data_type;
	size_t bytes = qeff_graph_type_bytes(type);
	uint64_t elements = 1;

	if (!bytes)
		return qeff_error_set(err, -ENOTSUP,
				      "%s: tensor \"%s\": has element type %d, which is not known "
				      "here",
				      model->name, onnx_text(proto->name), proto->data_type);
	if (proto->n_dims > QEFF_GRAPH_MAX_RANK)
		return qeff_error_set(err, -ENOTSUP,
				      "%s: tensor \"%s\": has %zu dimensions, at most %d are "
				      "possible",
				      model->name, onnx_text(proto->name), proto->n_dims,
				      QEFF_GRAPH_MAX_RANK);
	tensor->type = type;
	tensor->nibbles = is_u4 || is_i4;
	tensor->rank = (uint32_t)proto->n_dims;
	for (uint32_t i = 0; i < tensor->rank; i++) {
		tensor->dims[i] = proto->dims[i];
		if (proto->dims[i] < 0 ||
		    !qeff_mul_u64(elements, (uint64_t)proto->dims[i], &elements))
			return refuse(model, proto, -EINVAL, "its shape is negative or too large",
				      err);
	}
	if (!qeff_mul_u64(elements, bytes, &tensor->size_bytes) ||
	    tensor->size_bytes > INT64_MAX / 8)
		return refuse(model, proto, -EINVAL, "its shape is too large", err);
	return 0;
}

int onnx_tensor(struct qeff_onnx_model *model, const QeffOnnx__TensorProto *proto,
		struct qeff_onnx_tensor *tensor, struct qeff_error *err)
{
	int ret;

	*tensor = (struct qeff_onnx_tensor){ .name = onnx_text(proto->name) };
	ret = shape_of(model, proto, tensor, err);
	if (ret)
		return ret;
	if (proto->has_data_location &&
	    proto->data_location == QEFF_ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL) {
		ret = external_data(model, proto, tensor, err);
	} else if (!proto->has_raw_data) {
		ret = typed_data(model, proto, tensor, err);
	} else if (tensor->nibbles) {
		ret = widen_nibbles(model, proto, tensor, proto->raw_data.data, proto->raw_data.len,
				    1, err);
	} else if (proto->raw_data.len != tensor->size_bytes) {
		return qeff_error_set(err, -EINVAL,
				      "%s: tensor \"%s\": has %zu bytes, its shape needs %llu",
				      model->name, tensor->name, proto->raw_data.len,
				      (unsigned long long)tensor->size_bytes);
	} else {
		tensor->data = proto->raw_data.data;
	}
	if (!ret)
		ret = align(model, tensor, err);
	if (!ret)
		model->tensor_bytes += tensor->size_bytes;
	return ret;
}

int onnx_sparse_tensor(struct qeff_onnx_model *model, const QeffOnnx__SparseTensorProto *proto,
		       struct qeff_onnx_tensor *tensor, struct qeff_error *err)
{
	const QeffOnnx__TensorProto empty = QEFF_ONNX__TENSOR_PROTO__INIT;
	QeffOnnx__TensorProto shape = proto->values ? *proto->values : empty;
	struct qeff_onnx_tensor values, indices;
	uint64_t elements = 1, count, bytes;
	const int64_t *index;
	uint8_t *data;
	int ret;

	if (!proto->values || !proto->indices)
		return refuse(model, &shape, -EINVAL, "is sparse, without values or indices", err);
	ret = onnx_tensor(model, proto->values, &values, err);
	if (!ret)
		ret = onnx_tensor(model, proto->indices, &indices, err);
	shape.n_dims = proto->n_dims;
	shape.dims = proto->dims;
	*tensor = (struct qeff_onnx_tensor){ .name = values.name };
	if (!ret)
		ret = shape_of(model, &shape, tensor, err);
	if (ret)
		return ret;
	bytes = qeff_graph_type_bytes(values.type);
	elements = tensor->size_bytes / bytes;
	count = values.size_bytes / bytes;
	if (indices.type != QEFF_GRAPH_I64 || !indices.rank || indices.rank > 2 ||
	    (indices.rank == 2 && indices.dims[1] != (int64_t)proto->n_dims) ||
	    (uint64_t)indices.dims[0] != count)
		return refuse(model, &shape, -EINVAL, "is sparse; its indices do not fit", err);
	if (tensor->size_bytes > ONNX_MAX_SPARSE)
		return refuse(model, &shape, -EFBIG, "is sparse, and too large when it is not",
			      err);
	data = calloc(elements + 1, bytes);
	if (!data)
		return out_of_memory(model, err);
	index = indices.data;
	for (uint64_t i = 0; i < count && !ret; i++) {
		uint64_t at = indices.rank == 1 ? (uint64_t)index[i] : 0;

		/* each within its dimension, so the sum within the tensor */
		for (size_t d = 0; d < proto->n_dims && indices.rank == 2 && at < elements; d++) {
			int64_t part = index[i * proto->n_dims + d];

			if (part < 0 || part >= proto->dims[d])
				at = elements;
			else
				at = at * (uint64_t)proto->dims[d] + (uint64_t)part;
		}
		if (at >= elements)
			ret = refuse(model, &shape, -EINVAL,
				     "is sparse; an index is outside its shape", err);
		else
			memcpy(data + at * bytes, (const uint8_t *)values.data + i * bytes, bytes);
	}
	tensor->data = ret ? NULL : onnx_constant(model, data, tensor->size_bytes);
	free(data);
	return ret || tensor->data ? ret : out_of_memory(model, err);
}

/* ---- tensors in files of their own ---- */

struct qeff_onnx_tensor_file {
	struct qeff_onnx_model model; /* the memory */
	QeffOnnx__TensorProto *proto;
};

int qeff_onnx_tensor_open(const char *path, struct qeff_onnx_tensor_file **file,
			  struct qeff_onnx_tensor *tensor, struct qeff_error *err)
{
	struct qeff_onnx_tensor_file *f = calloc(1, sizeof(*f));
	int ret;

	*file = NULL;
	if (!f)
		return qeff_error_set(err, -ENOMEM, "%s: out of memory", path);
	ret = qeff_map_open(&f->model.map, path, err);
	if (!ret) {
		f->model.name = f->model.map.path;
		onnx_memory_init(&f->model.memory, f->model.map.size_bytes);
		f->proto = qeff_onnx__tensor_proto__unpack(
			&f->model.memory.allocator, f->model.map.size_bytes, f->model.map.data);
		ret = f->proto ? onnx_tensor(&f->model, f->proto, tensor, err)
			       : qeff_error_set(err, -EINVAL, "%s: is no tensor of ONNX", path);
	}
	if (ret) {
		qeff_onnx_tensor_free(f);
		return ret;
	}
	*file = f;
	return 0;
}

void qeff_onnx_tensor_free(struct qeff_onnx_tensor_file *f)
{
	if (!f)
		return;
	if (f->proto)
		qeff_onnx__tensor_proto__free_unpacked(f->proto, &f->model.memory.allocator);
	qeff_arena_free(&f->model.arena);
	free(f->model.constants);
	qeff_map_close(&f->model.map);
	free(f);
}
