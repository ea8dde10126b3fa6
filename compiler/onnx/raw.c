/* SPDX-License-Identifier: MIT */
/*
 * The raw numbers of a graph's initialisers are nearly all of a model, and unpacking would copy
 * them. So the message is unpacked without the long ones, which are used where they lie in the
 * file, or are copied once to where their type wants them, page by page of the file given back.
 */
#include "onnx/model.h"

#include "util/checked.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define LONG_BYTES  4096
#define STEP_BYTES  (8u << 20) /* of a copy, behind which pages are given back */
#define MODEL_GRAPH 7	       /* fields of messages */
#define GRAPH_INIT  5
#define TENSOR_RAW  9

/* A field of a message: where it begins, and for a field with a length what it holds. */
struct field {
	uint32_t number;
	bool has_length;
	const uint8_t *start, *data, *end;
};

static bool varint(const uint8_t **at, const uint8_t *end, uint64_t *value)
{
	*value = 0;
	for (unsigned int shift = 0; shift < 64 && *at < end; shift += 7) {
		uint8_t byte = *(*at)++;

		*value |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return true;
	}
	return false;
}

/* The field at @at; false at the end, and where it is none (the unpacker says so then). */
static bool next_field(const uint8_t *at, const uint8_t *end, struct field *field)
{
	uint64_t tag, length = 0;

	*field = (struct field){ .start = at };
	if (!varint(&at, end, &tag) || tag >> 3 > UINT32_MAX)
		return false;
	field->number = (uint32_t)(tag >> 3);
	field->has_length = (tag & 7) == 2;
	switch (tag & 7) {
	case 0:
		if (!varint(&at, end, &length))
			return false;
		length = 0;
		break;
	case 1:
		length = 8;
		break;
	case 2:
		if (!varint(&at, end, &length))
			return false;
		break;
	case 5:
		length = 4;
		break;
	default:
		return false;
	}
	if (length > (uint64_t)(end - at))
		return false;
	field->data = at;
	field->end = at + length;
	return true;
}

/* The one field @number with a length in [at, end); false if there is none, or more. */
static bool only_field(const uint8_t *at, const uint8_t *end, uint32_t number, struct field *only)
{
	struct field field;
	bool found = false;

	while (at < end) {
		if (!next_field(at, end, &field))
			return false;
		if (field.number == number) {
			if (found || !field.has_length)
				return false;
			*only = field;
			found = true;
		}
		at = field.end;
	}
	return found;
}

static void put_varint(struct qeff_bytes *to, uint64_t value)
{
	for (; value > 0x7f; value >>= 7)
		qeff_bytes_u8(to, (uint8_t)(value | 0x80));
	qeff_bytes_u8(to, (uint8_t)value);
}

static void put_field(struct qeff_bytes *to, uint32_t number, const void *data, size_t size_bytes)
{
	put_varint(to, (uint64_t)number << 3 | 2);
	put_varint(to, size_bytes);
	qeff_bytes_append(to, data, size_bytes);
}

static bool note(struct onnx_raws *raws, uint32_t initialiser, const struct field *raw)
{
	struct onnx_raw *more = raws->list;

	if (!(raws->count & (raws->count - 1)))
		more = reallocarray(raws->list, raws->count ? raws->count * 2u : 1u, sizeof(*more));
	if (!more)
		return false;
	raws->list = more;
	more[raws->count++] = (struct onnx_raw){
		.initialiser = initialiser,
		.data = raw->data,
		.size_bytes = (size_t)(raw->end - raw->data),
	};
	return true;
}

/* The graph's message without long raw numbers. False where that cannot be done. */
static bool cut_graph(const struct field *graph, struct qeff_bytes *to, struct onnx_raws *raws)
{
	const uint8_t *at = graph->data;
	struct qeff_bytes tensor = { 0 };
	struct field field, raw;
	uint32_t initialiser = 0;
	bool good = true;

	for (; good && at < graph->end; at = field.end) {
		good = next_field(at, graph->end, &field);
		if (!good)
			break;
		if (field.number != GRAPH_INIT || !field.has_length ||
		    !only_field(field.data, field.end, TENSOR_RAW, &raw) ||
		    raw.end - raw.data < LONG_BYTES) {
			qeff_bytes_append(to, field.start, (size_t)(field.end - field.start));
		} else {
			tensor.size_bytes = 0;
			qeff_bytes_append(&tensor, field.data, (size_t)(raw.start - field.data));
			qeff_bytes_append(&tensor, raw.end, (size_t)(field.end - raw.end));
			put_field(to, GRAPH_INIT, tensor.data, tensor.size_bytes);
			good = note(raws, initialiser, &raw);
		}
		initialiser += field.number == GRAPH_INIT;
	}
	good = good && !tensor.failed && !to->failed;
	qeff_bytes_free(&tensor);
	return good;
}

bool onnx_raws_cut(const void *data, size_t size_bytes, struct qeff_bytes *cut,
		   struct onnx_raws *raws)
{
	const uint8_t *begin = data, *end = begin + size_bytes;
	struct qeff_bytes inner = { 0 };
	struct field graph;
	bool good = only_field(begin, end, MODEL_GRAPH, &graph) &&
		    cut_graph(&graph, &inner, raws) && raws->count;

	if (good) {
		qeff_bytes_append(cut, begin, (size_t)(graph.start - begin));
		put_field(cut, MODEL_GRAPH, inner.data, inner.size_bytes);
		qeff_bytes_append(cut, graph.end, (size_t)(end - graph.end));
		good = !cut->failed;
	}
	qeff_bytes_free(&inner);
	if (!good)
		raws->count = 0;
	return good;
}

/* The whole pages of a file's map before @end are not read again soon. */
static void give_back(const uint8_t *begin, const uint8_t *end)
{
	const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t from = ((uintptr_t)begin + page - 1) & -page, to = (uintptr_t)end & -page;

	if (from < to)
		madvise((void *)from, to - from, MADV_DONTNEED);
}

static uint8_t *aligned_copy(struct qeff_onnx_model *model, const struct onnx_raw *raw)
{
	uint8_t *copy = malloc(raw->size_bytes); /* aligned for any number */

	for (size_t at = 0; copy && at < raw->size_bytes;) {
		size_t left = raw->size_bytes - at, step = left < STEP_BYTES ? left : STEP_BYTES;

		memcpy(copy + at, raw->data + at, step);
		at += step;
		if (model->map.data)
			give_back(raw->data, raw->data + at);
	}
	return copy;
}

int onnx_raws_put_back(struct qeff_onnx_model *model, struct qeff_error *err)
{
	QeffOnnx__GraphProto *graph = model->proto->graph;

	for (uint32_t i = 0; i < model->raws.count; i++) {
		struct onnx_raw *raw = &model->raws.list[i];
		QeffOnnx__TensorProto *tensor;
		size_t alignment;

		if (raw->initialiser >= graph->n_initializer)
			return qeff_error_set(err, -EINVAL, "%s: its initialisers are damaged",
					      model->name);
		tensor = graph->initializer[raw->initialiser];
		alignment = qeff_graph_type_bytes((enum qeff_graph_type)tensor->data_type);
		raw->tensor = tensor;
		tensor->has_raw_data = 1;
		if (alignment && (uintptr_t)raw->data % alignment) {
			raw->copy = aligned_copy(model, raw);
			if (!raw->copy)
				return qeff_error_set(err, -ENOMEM, "%s: out of memory",
						      model->name);
		}
		tensor->raw_data.data = raw->copy ? raw->copy : (uint8_t *)raw->data;
		tensor->raw_data.len = raw->size_bytes;
	}
	return 0;
}

void onnx_raws_take_out(const struct onnx_raws *raws)
{
	for (uint32_t i = 0; i < raws->count; i++)
		if (raws->list[i].tensor)
			raws->list[i].tensor->raw_data = (ProtobufCBinaryData){ 0 };
}

void onnx_raws_free(struct onnx_raws *raws)
{
	for (uint32_t i = 0; i < raws->count; i++)
		free(raws->list[i].copy);
	free(raws->list);
}
