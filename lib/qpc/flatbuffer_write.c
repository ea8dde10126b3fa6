/* SPDX-License-Identifier: MIT */
/* Writing flatbuffers, front to back. */
#include "qpc/flatbuffer.h"

#include <assert.h>

static unsigned int inline_bytes(enum qeff_fb_kind kind)
{
	switch (kind) {
	case QEFF_FB_U8:
		return 1;
	case QEFF_FB_U16:
		return 2;
	case QEFF_FB_U64:
		return 8;
	default:
		return 4; /* u32, and offsets */
	}
}

static size_t position(const struct qeff_fb_writer *w)
{
	return w->out->size_bytes - w->start;
}

static uint8_t *at_position(const struct qeff_fb_writer *w, size_t at)
{
	return w->out->data + w->start + at;
}

void qeff_fb_write_begin(struct qeff_fb_writer *w, struct qeff_bytes *out)
{
	*w = (struct qeff_fb_writer){ .out = out, .start = out->size_bytes };
	assert(w->start % 8 == 0);
	/* the root offset, linked by whoever writes the root table */
	qeff_bytes_u32(out, 0);
}

/* Fills in the offset of each present field, largest fields first; returns the inline size. */
static uint16_t lay_out(const struct qeff_fb_schema *schema, uint64_t present, uint16_t *offsets)
{
	unsigned int at = 4;

	for (unsigned int bytes = 8; bytes; bytes /= 2)
		for (unsigned int slot = 0; slot < schema->num_fields; slot++) {
			if (!(present & QEFF_FB_PRESENT(slot)) ||
			    inline_bytes(schema->fields[slot].kind) != bytes)
				continue;
			at = (at + bytes - 1) & ~(bytes - 1);
			offsets[slot] = (uint16_t)at;
			at += bytes;
		}
	return (uint16_t)at;
}

size_t qeff_fb_write_table(struct qeff_fb_writer *w, const struct qeff_fb_schema *schema,
			   uint64_t present)
{
	uint16_t offsets[QEFF_FB_MAX_FIELDS] = { 0 };
	uint16_t table_bytes = lay_out(schema, present, offsets);
	size_t table;

	if (w->last_schema != schema || w->last_present != present) {
		qeff_bytes_align(w->out, 2);
		w->last_schema = schema;
		w->last_present = present;
		w->last_vtable = position(w);
		qeff_bytes_u16(w->out, (uint16_t)(4 + 2 * schema->num_fields));
		qeff_bytes_u16(w->out, table_bytes);
		qeff_bytes_append(w->out, offsets, 2 * schema->num_fields);
	}
	qeff_bytes_align(w->out, 8);
	table = position(w);
	qeff_bytes_append(w->out, NULL, table_bytes);
	qeff_fb_put(w, table, table - w->last_vtable, 4);
	return table;
}

size_t qeff_fb_write_vector(struct qeff_fb_writer *w, uint32_t count, uint32_t element_bytes)
{
	size_t vector;

	qeff_bytes_align(w->out, 4);
	vector = position(w);
	qeff_bytes_u32(w->out, count);
	qeff_bytes_append(w->out, NULL, (size_t)count * element_bytes);
	return vector;
}

size_t qeff_fb_write_string(struct qeff_fb_writer *w, const char *text)
{
	size_t length = strlen(text), vector;

	qeff_bytes_align(w->out, 4);
	vector = position(w);
	qeff_bytes_u32(w->out, (uint32_t)length);
	qeff_bytes_append(w->out, text, length + 1);
	return vector;
}

size_t qeff_fb_field_at(const struct qeff_fb_writer *w, size_t table, unsigned int slot)
{
	const uint8_t *at;

	if (w->out->failed)
		return 0;
	at = at_position(w, table);
	return table + qeff_get_u16(at - (int32_t)qeff_get_u32(at) + 4 + 2 * slot);
}

size_t qeff_fb_element_at(size_t vector, uint32_t index, uint32_t element_bytes)
{
	return vector + 4 + (size_t)index * element_bytes;
}

void qeff_fb_put(struct qeff_fb_writer *w, size_t at, uint64_t value, size_t size_bytes)
{
	if (!w->out->failed)
		memcpy(at_position(w, at), &value, size_bytes);
}

void qeff_fb_link(struct qeff_fb_writer *w, size_t at, size_t target)
{
	qeff_fb_put(w, at, target - at, 4);
}
