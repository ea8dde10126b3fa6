/* SPDX-License-Identifier: MIT */
/*
 * Writing a QPC container: header, table, names and small segments first, all at once when the
 * constants begin (by then every number is known), then the constants as they come.
 */
#include "qpc/container.h"

#include "util/bytes.h"
#include "util/checked.h"
#include "util/file.h"

#include <stdlib.h>
#include <string.h>

#define ITEM_ALIGNMENT 8

struct item {
	char *name;
	void *data;
	uint64_t size_bytes;
	uint64_t split_bytes;
	/* where they go in the file */
	uint64_t name_offset;
	uint64_t data_offset;
};

struct qeff_qpc_writer {
	struct qeff_output out;
	struct item items[QEFF_QPC_MAX_SEGMENTS];
	uint32_t num_items;
	bool laid_out;
	uint64_t constants_bytes; /* announced */
	uint64_t written_bytes;	  /* of them */
};

static uint64_t aligned(uint64_t value, uint64_t alignment)
{
	return (value + alignment - 1) & ~(alignment - 1);
}

int qeff_qpc_writer_open(struct qeff_qpc_writer **writer, const char *path, struct qeff_error *err)
{
	struct qeff_qpc_writer *w = calloc(1, sizeof(*w));
	int ret;

	if (!w)
		return qeff_error_set(err, -ENOMEM, "%s: out of memory", path);
	ret = qeff_output_open(&w->out, path, err);
	if (ret) {
		free(w);
		return ret;
	}
	*writer = w;
	return 0;
}

static int add_item(struct qeff_qpc_writer *w, const char *name, const void *data,
		    size_t size_bytes, struct qeff_error *err)
{
	struct item *item;

	for (uint32_t i = 0; i < w->num_items; i++)
		if (!strcmp(w->items[i].name, name))
			return qeff_error_set(err, -EEXIST, "%s: segment \"%s\" was added already",
					      w->out.path, name);
	if (w->num_items == QEFF_QPC_MAX_SEGMENTS)
		return qeff_error_set(
			err, -ENOSPC, "%s: segment \"%s\" would be number %d of at most %d",
			w->out.path, name, QEFF_QPC_MAX_SEGMENTS + 1, QEFF_QPC_MAX_SEGMENTS);
	item = &w->items[w->num_items];
	*item = (struct item){ .name = strdup(name), .data = malloc(size_bytes ? size_bytes : 1) };
	if (!item->name || !item->data) {
		free(item->name);
		free(item->data);
		return qeff_error_set(err, -ENOMEM, "%s: out of memory for segment \"%s\"",
				      w->out.path, name);
	}
	if (size_bytes)
		memcpy(item->data, data, size_bytes);
	item->size_bytes = size_bytes;
	w->num_items++;
	return 0;
}

int qeff_qpc_writer_add(struct qeff_qpc_writer *w, const char *name, const void *data,
			size_t size_bytes, struct qeff_error *err)
{
	if (w->laid_out)
		return qeff_error_set(err, -EINVAL, "%s: segment \"%s\" comes after the constants",
				      w->out.path, name);
	if (!strcmp(name, QEFF_SEGMENT_CONSTANTS) || !strcmp(name, QEFF_SEGMENT_CONSTANTS_DESC))
		return qeff_error_set(err, -EINVAL, "%s: segment \"%s\" is written by itself",
				      w->out.path, name);
	return add_item(w, name, data, size_bytes, err);
}

/* Gives every name and payload its offset; returns the length of the file. */
static uint64_t lay_out(struct qeff_qpc_writer *w)
{
	struct item *constants = &w->items[w->num_items - 1];
	uint64_t at = QEFF_QPC_HEADER_BYTES + (uint64_t)w->num_items * QEFF_QPC_ENTRY_BYTES;

	for (uint32_t i = 0; i < w->num_items; i++) {
		w->items[i].name_offset = at;
		at = aligned(at + strlen(w->items[i].name) + 1, ITEM_ALIGNMENT);
	}
	for (struct item *item = w->items; item < constants; item++) {
		item->data_offset = at;
		at = aligned(at + item->size_bytes, ITEM_ALIGNMENT);
	}
	if (w->constants_bytes)
		at = aligned(at, QEFF_QPC_CONSTANTS_ALIGNMENT);
	constants->data_offset = at;
	return at + w->constants_bytes;
}

static int write_front(struct qeff_qpc_writer *w, uint64_t total_bytes, struct qeff_error *err)
{
	const struct item *constants = &w->items[w->num_items - 1];
	struct qeff_bytes front = { 0 };
	int ret = 0;

	qeff_bytes_u32(&front, QEFF_QPC_MAGIC);
	qeff_bytes_u8(&front, 0);  /* major */
	qeff_bytes_u8(&front, 1);  /* minor */
	qeff_bytes_u16(&front, 1); /* stored as it is */
	qeff_bytes_u64(&front, total_bytes);
	qeff_bytes_u64(&front, 0); /* base */
	qeff_bytes_u64(&front, w->num_items);
	qeff_bytes_u64(&front, QEFF_QPC_HEADER_BYTES);
	for (const struct item *item = w->items; item <= constants; item++) {
		qeff_bytes_u64(&front, item->size_bytes);
		qeff_bytes_u64(&front, item->split_bytes);
		qeff_bytes_u64(&front, item->name_offset);
		qeff_bytes_u64(&front, item->data_offset);
	}
	for (const struct item *item = w->items; item <= constants; item++) {
		qeff_bytes_append(&front, item->name, strlen(item->name) + 1);
		qeff_bytes_align(&front, ITEM_ALIGNMENT);
	}
	if (front.failed)
		ret = qeff_error_set(err, -ENOMEM, "%s: out of memory", w->out.path);
	if (!ret)
		ret = qeff_output_write(&w->out, front.data, front.size_bytes, err);
	for (const struct item *item = w->items; !ret && item < constants; item++) {
		ret = qeff_output_write(&w->out, item->data, (size_t)item->size_bytes, err);
		if (!ret)
			ret = qeff_output_align(&w->out, ITEM_ALIGNMENT, err);
	}
	if (!ret && w->constants_bytes)
		ret = qeff_output_align(&w->out, QEFF_QPC_CONSTANTS_ALIGNMENT, err);
	qeff_bytes_free(&front);
	return ret;
}

int qeff_qpc_writer_begin_constants(struct qeff_qpc_writer *w,
				    const struct qeff_constants_desc *desc, struct qeff_error *err)
{
	uint8_t bytes[QEFF_CONSTANTS_DESC_BYTES];
	struct item *constants;
	int ret;

	if (w->laid_out)
		return qeff_error_set(err, -EINVAL, "%s: the constants have begun already",
				      w->out.path);
	/* A file offset is signed, and the front part takes some room too. */
	if (!qeff_add_u64(desc->static_bytes, desc->dynamic_bytes, &w->constants_bytes) ||
	    w->constants_bytes > (uint64_t)1 << 62)
		return qeff_error_set(err, -EFBIG,
				      "%s: %llu static and %llu dynamic bytes are too many",
				      w->out.path, (unsigned long long)desc->static_bytes,
				      (unsigned long long)desc->dynamic_bytes);
	qeff_constants_desc_write(desc, bytes);
	ret = add_item(w, QEFF_SEGMENT_CONSTANTS_DESC, bytes, sizeof(bytes), err);
	if (!ret)
		ret = add_item(w, QEFF_SEGMENT_CONSTANTS, NULL, 0, err);
	if (ret)
		return ret;
	constants = &w->items[w->num_items - 1];
	constants->size_bytes = w->constants_bytes;
	constants->split_bytes = desc->static_bytes;
	w->laid_out = true;
	return write_front(w, lay_out(w), err);
}

int qeff_qpc_writer_write_constants(struct qeff_qpc_writer *w, const void *data, size_t size_bytes,
				    struct qeff_error *err)
{
	int ret;

	if (!w->laid_out || size_bytes > w->constants_bytes - w->written_bytes)
		return qeff_error_set(
			err, -EINVAL,
			"%s: %zu more bytes of constants at %llu, but %llu were announced",
			w->out.path, size_bytes, (unsigned long long)w->written_bytes,
			(unsigned long long)w->constants_bytes);
	ret = qeff_output_write(&w->out, data, size_bytes, err);
	if (!ret)
		w->written_bytes += size_bytes;
	return ret;
}

uint64_t qeff_qpc_writer_constants_offset(const struct qeff_qpc_writer *w)
{
	return w->written_bytes;
}

static void free_writer(struct qeff_qpc_writer *w)
{
	for (uint32_t i = 0; i < w->num_items; i++) {
		free(w->items[i].name);
		free(w->items[i].data);
	}
	free(w);
}

int qeff_qpc_writer_finish(struct qeff_qpc_writer *w, struct qeff_error *err)
{
	static const struct qeff_constants_desc none;
	int ret = 0;

	if (!w->laid_out)
		ret = qeff_qpc_writer_begin_constants(w, &none, err);
	if (!ret && w->written_bytes != w->constants_bytes)
		ret = qeff_error_set(err, -EINVAL,
				     "%s: %llu bytes of constants were announced, %llu written",
				     w->out.path, (unsigned long long)w->constants_bytes,
				     (unsigned long long)w->written_bytes);
	if (ret) {
		qeff_qpc_writer_abort(w);
		return ret;
	}
	ret = qeff_output_commit(&w->out, err);
	free_writer(w);
	return ret;
}

void qeff_qpc_writer_abort(struct qeff_qpc_writer *w)
{
	if (!w)
		return;
	qeff_output_abort(&w->out);
	free_writer(w);
}
