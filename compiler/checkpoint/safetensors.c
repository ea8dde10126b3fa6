/* SPDX-License-Identifier: MIT */
/*
 * One .safetensors file: 8 bytes with the header's length, the header (JSON), the tensors.
 *
 * The format asks that tensors neither overlap nor leave holes, and that the last one ends with the
 * file; a file that breaks this is refused, which also catches truncation. A key of a tensor's
 * entry that the format does not know is ignored, as its own reader does.
 */
#include "checkpoint/internal.h"

#include "util/bytes.h"
#include "util/checked.h"
#include "util/log.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define MAX_HEADER_BYTES 100000000ull /* the format's own limit */

static const struct {
	const char *name;
	uint32_t bytes;
	enum qeff_graph_type type; /* 0: the graph has none */
} dtypes[] = {
	{ "F32", 4, QEFF_GRAPH_F32 },
	{ "F16", 2, QEFF_GRAPH_F16 },
	{ "BF16", 2, QEFF_GRAPH_BF16 },
	{ "F64", 8, QEFF_GRAPH_F64 },
	{ "I64", 8, QEFF_GRAPH_I64 },
	{ "I32", 4, QEFF_GRAPH_I32 },
	{ "I16", 2, 0 },
	{ "I8", 1, QEFF_GRAPH_I8 },
	{ "U64", 8, 0 },
	{ "U32", 4, 0 },
	{ "U16", 2, 0 },
	{ "U8", 1, QEFF_GRAPH_U8 },
	{ "BOOL", 1, QEFF_GRAPH_BOOL },
	{ "F8_E4M3", 1, 0 },
	{ "F8_E5M2", 1, 0 },
	{ "F8_E8M0", 1, 0 },
	{ "C64", 8, 0 },
};

/* Where the tensors of @file begin, and what is wrong with tensor @name of it. */
struct parse {
	struct safetensors *file;
	const uint8_t *data;
	uint64_t data_bytes;
	const char *path;
	const char *name;
	struct qeff_error *err;
};

#define BAD(p, format, ...)                                                                        \
	qeff_error_set((p)->err, -EINVAL, "%s: tensor \"%.200s\": " format, (p)->path, (p)->name,  \
		       __VA_ARGS__)

static int parse_dtype(struct parse *p, const json_t *entry, struct qeff_checkpoint_tensor *tensor,
		       uint32_t *element_bytes)
{
	const char *dtype = json_string_value(json_object_get(entry, "dtype"));

	if (!dtype)
		return BAD(p, "%s", "\"dtype\" is missing or no string");
	for (size_t i = 0; i < sizeof(dtypes) / sizeof(dtypes[0]); i++) {
		if (!strcmp(dtypes[i].name, dtype)) {
			tensor->dtype = dtypes[i].name;
			tensor->type = dtypes[i].type;
			*element_bytes = dtypes[i].bytes;
			return 0;
		}
	}
	return BAD(p, "\"dtype\" is \"%.32s\", which is unknown", dtype);
}

static int parse_shape(struct parse *p, const json_t *entry, struct qeff_checkpoint_tensor *tensor,
		       uint32_t element_bytes)
{
	const json_t *shape = json_object_get(entry, "shape");
	uint64_t size_bytes = element_bytes;

	if (!json_is_array(shape) || json_array_size(shape) > QEFF_GRAPH_MAX_RANK)
		return BAD(p, "\"shape\" is missing or no list of at most %d numbers",
			   QEFF_GRAPH_MAX_RANK);
	tensor->rank = (uint32_t)json_array_size(shape);
	for (uint32_t i = 0; i < tensor->rank; i++) {
		const json_t *dim = json_array_get(shape, i);

		if (!json_is_integer(dim) || json_integer_value(dim) < 0)
			return BAD(p, "dimension %u is no integer of 0 or more", i);
		tensor->dims[i] = json_integer_value(dim);
		if (!qeff_mul_u64(size_bytes, (uint64_t)tensor->dims[i], &size_bytes))
			return BAD(p, "%s", "\"shape\" describes more than 2^64 bytes");
	}
	tensor->size_bytes = size_bytes;
	return 0;
}

static int parse_offsets(struct parse *p, const json_t *entry,
			 struct qeff_checkpoint_tensor *tensor)
{
	const json_t *offsets = json_object_get(entry, "data_offsets");
	const json_t *first = json_array_get(offsets, 0), *last = json_array_get(offsets, 1);
	uint64_t begin, end;

	if (json_array_size(offsets) != 2 || !json_is_integer(first) || !json_is_integer(last) ||
	    json_integer_value(first) < 0 || json_integer_value(last) < 0)
		return BAD(p, "%s", "\"data_offsets\" is missing or no pair of offsets");
	begin = (uint64_t)json_integer_value(first);
	end = (uint64_t)json_integer_value(last);
	if (end < begin || end - begin != tensor->size_bytes)
		return BAD(p, "\"data_offsets\" span %lld bytes, the shape needs %llu",
			   (long long)(end - begin), (unsigned long long)tensor->size_bytes);
	if (end > p->data_bytes)
		return BAD(p, "ends at byte %llu of the data, the file has %llu (truncated?)",
			   (unsigned long long)end, (unsigned long long)p->data_bytes);
	tensor->data = p->data + begin;
	return 0;
}

static int by_place(const void *a, const void *b)
{
	const struct qeff_checkpoint_tensor *x = a, *y = b;

	if (x->data != y->data)
		return (const uint8_t *)x->data < (const uint8_t *)y->data ? -1 : 1;
	if (x->size_bytes != y->size_bytes)
		return x->size_bytes < y->size_bytes ? -1 : 1;
	return strcmp(x->name, y->name);
}

/* Tensors stand one behind the other from the first byte of the data to the last. */
static int check_places(struct parse *p)
{
	struct safetensors *file = p->file;
	const uint8_t *at = p->data;

	if (file->num_tensors)
		qsort(file->tensors, file->num_tensors, sizeof(*file->tensors), by_place);
	for (size_t i = 0; i < file->num_tensors; i++) {
		const struct qeff_checkpoint_tensor *tensor = &file->tensors[i];
		long long gap = (const uint8_t *)tensor->data - at;

		p->name = tensor->name;
		if (gap < 0)
			return BAD(p, "overlaps the one before it by %lld bytes", -gap);
		if (gap > 0)
			return BAD(p, "leaves a hole of %lld bytes before it", gap);
		at = (const uint8_t *)tensor->data + tensor->size_bytes;
	}
	if ((uint64_t)(at - p->data) != p->data_bytes)
		return qeff_error_set(
			p->err, -EINVAL,
			"%s: the tensors end at byte %llu of the data, the file has %llu", p->path,
			(unsigned long long)(at - p->data), (unsigned long long)p->data_bytes);
	return 0;
}

/* Readers may rely on alignment, so the rare tensor without it moves to memory of its own. */
static int align_tensors(struct parse *p)
{
	struct safetensors *file = p->file;

	for (size_t i = 0; i < file->num_tensors; i++) {
		struct qeff_checkpoint_tensor *tensor = &file->tensors[i];
		uint64_t element_bytes = tensor->size_bytes;
		void **copies;
		void *copy;

		for (uint32_t d = 0; d < tensor->rank && element_bytes; d++)
			element_bytes /= (uint64_t)tensor->dims[d];
		if (!element_bytes || (uintptr_t)tensor->data % element_bytes == 0)
			continue;
		copies = reallocarray(file->copies, file->num_copies + 1, sizeof(*copies));
		if (copies)
			file->copies = copies;
		copy = copies ? malloc(tensor->size_bytes) : NULL;
		if (!copy)
			return qeff_error_set(p->err, -ENOMEM, "%s: out of memory", p->path);
		file->copies[file->num_copies++] = copy;
		tensor->data = memcpy(copy, tensor->data, tensor->size_bytes);
	}
	if (file->num_copies)
		qeff_log(QEFF_LOG_WARN,
			 "%s: %zu tensors are not aligned in the file and were copied", p->path,
			 file->num_copies);
	return 0;
}

static int check_metadata(struct parse *p, json_t *metadata)
{
	const char *key;
	json_t *value;

	if (!json_is_object(metadata))
		return qeff_error_set(p->err, -EINVAL, "%s: \"__metadata__\" is no object",
				      p->path);
	json_object_foreach(metadata, key, value) if (!json_is_string(value)) return qeff_error_set(
		p->err, -EINVAL, "%s: \"__metadata__\" has \"%.64s\", which is no string", p->path,
		key);
	return 0;
}

static int parse_header(struct parse *p)
{
	struct safetensors *file = p->file;
	json_t *entry;
	int ret = 0;

	file->tensors = calloc(json_object_size(file->header) + 1, sizeof(*file->tensors));
	if (!file->tensors)
		return qeff_error_set(p->err, -ENOMEM, "%s: out of memory", p->path);
	json_object_foreach(file->header, p->name, entry)
	{
		struct qeff_checkpoint_tensor *tensor = &file->tensors[file->num_tensors];
		uint32_t element_bytes = 0;

		if (!strcmp(p->name, "__metadata__")) {
			ret = check_metadata(p, entry);
			if (ret)
				return ret;
			continue;
		}
		tensor->name = p->name;
		ret = json_is_object(entry) ? parse_dtype(p, entry, tensor, &element_bytes)
					    : BAD(p, "%s", "its entry is no object");
		if (!ret)
			ret = parse_shape(p, entry, tensor, element_bytes);
		if (!ret)
			ret = parse_offsets(p, entry, tensor);
		if (ret)
			return ret;
		file->num_tensors++;
	}
	ret = check_places(p);
	return ret ? ret : align_tensors(p);
}

static int open_header(struct safetensors *file, const char *path, struct qeff_error *err)
{
	const struct qeff_map *map = &file->map;
	struct parse p = { .file = file, .path = path, .name = "", .err = err };
	json_error_t where;
	uint64_t header_bytes;

	if (map->size_bytes < 8)
		return qeff_error_set(err, -EINVAL,
				      "%s: has %zu bytes, expected at least 8 (truncated?)", path,
				      map->size_bytes);
	header_bytes = qeff_get_u64(map->data);
	if (header_bytes > MAX_HEADER_BYTES)
		return qeff_error_set(
			err, -EINVAL,
			"%s: says that its header has %llu bytes, expected at most %llu "
			"(not a safetensors file?)",
			path, (unsigned long long)header_bytes, MAX_HEADER_BYTES);
	if (!qeff_range_valid(8, header_bytes, map->size_bytes))
		return qeff_error_set(
			err, -EINVAL,
			"%s: the header ends at byte %llu, the file has %zu (truncated?)", path,
			(unsigned long long)header_bytes + 8, map->size_bytes);
	if (!header_bytes || map->data[8] != '{')
		return qeff_error_set(err, -EINVAL, "%s: the header is no JSON object", path);
	file->header = json_loadb((const char *)map->data + 8, header_bytes, JSON_REJECT_DUPLICATES,
				  &where);
	if (!file->header)
		return qeff_error_set(err, -EINVAL, "%s: header, byte %d: %s", path,
				      where.position + 8, where.text);
	p.data = map->data + 8 + header_bytes;
	p.data_bytes = map->size_bytes - 8 - header_bytes;
	return parse_header(&p);
}

int safetensors_open(struct safetensors *file, const char *path, struct qeff_error *err)
{
	int ret;

	*file = (struct safetensors){ 0 };
	ret = qeff_map_open(&file->map, path, err);
	if (!ret)
		ret = open_header(file, path, err);
	if (ret)
		safetensors_close(file);
	return ret;
}

void safetensors_close(struct safetensors *file)
{
	for (size_t i = 0; i < file->num_copies; i++)
		free(file->copies[i]);
	free(file->copies);
	free(file->tensors);
	json_decref(file->header);
	qeff_map_close(&file->map);
	*file = (struct safetensors){ 0 };
}
