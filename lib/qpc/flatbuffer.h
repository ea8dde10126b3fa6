/* SPDX-License-Identifier: MIT */
/*
 * Flatbuffers, as far as program metadata needs them: a schema as a table, a verifier that walks
 * it, getters for a verified buffer, and a writer.
 *
 * A buffer begins with the offset of its root table. A table begins with the (signed) distance back
 * to its vtable; the vtable has its own length, the length of the table's inline part, and for each
 * field the offset in it or 0. Strings, vectors and tables are reached through unsigned offsets
 * from where these stand. All alignment is relative to the first byte of the buffer.
 */
#ifndef QEFF_QPC_FLATBUFFER_H
#define QEFF_QPC_FLATBUFFER_H

#include "util/bytes.h"
#include "util/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QEFF_FB_MAX_FIELDS 64

enum qeff_fb_kind {
	QEFF_FB_U8,
	QEFF_FB_U16,
	QEFF_FB_U32,
	QEFF_FB_U64,
	QEFF_FB_STRING,
	QEFF_FB_TABLE,
	QEFF_FB_VECTOR_U8,
	QEFF_FB_VECTOR_U32,
	QEFF_FB_VECTOR_STRING,
	QEFF_FB_VECTOR_TABLE,
	/* of structs of 4 bytes, aligned to 2 */
	QEFF_FB_VECTOR_STRUCT4,
};

/* The index of a field in its table's schema is its slot in the vtable. */
struct qeff_fb_field {
	const char *name;
	enum qeff_fb_kind kind;
	const struct qeff_fb_schema *table; /* of QEFF_FB_TABLE and QEFF_FB_VECTOR_TABLE */
};

struct qeff_fb_schema {
	const char *name;
	unsigned int num_fields;
	const struct qeff_fb_field *fields;
};

/* Checks everything that the getters below rely on: bounds, alignment, vtables, string ends.
 * Schemas do not contain themselves, so the depth is theirs. Fields that the schema does not know
 * are not looked at. */
int qeff_fb_verify(const void *data, size_t size_bytes, const struct qeff_fb_schema *root,
		   struct qeff_error *err);

/* A table, or a vector (of @count elements from @at on), of a verified buffer; @at is NULL if
 * absent. */
struct qeff_fb_table {
	const uint8_t *at;
};

struct qeff_fb_vector {
	const uint8_t *at;
	uint32_t count;
};

struct qeff_fb_table qeff_fb_root(const void *data);
/* Scalars: of an absent field, or an absent table, @absent. */
uint8_t qeff_fb_u8(struct qeff_fb_table table, unsigned int slot, uint8_t absent);
uint16_t qeff_fb_u16(struct qeff_fb_table table, unsigned int slot, uint16_t absent);
uint32_t qeff_fb_u32(struct qeff_fb_table table, unsigned int slot, uint32_t absent);
uint64_t qeff_fb_u64(struct qeff_fb_table table, unsigned int slot, uint64_t absent);
struct qeff_fb_table qeff_fb_table_of(struct qeff_fb_table table, unsigned int slot);
/* Of strings the vector of their bytes; a NUL stands behind them. */
struct qeff_fb_vector qeff_fb_vector_of(struct qeff_fb_table table, unsigned int slot);
struct qeff_fb_table qeff_fb_table_at(struct qeff_fb_vector vector, uint32_t index);
struct qeff_fb_vector qeff_fb_string_at(struct qeff_fb_vector vector, uint32_t index);

/**
 * struct qeff_fb_writer - writes front to back: a table first, then what its fields point to
 * @out: receives the buffer; its failed flag tells when memory ran out
 * @start: where in @out the buffer begins (a multiple of 8)
 *
 * Positions are offsets from @start.
 */
struct qeff_fb_writer {
	struct qeff_bytes *out;
	size_t start;
	/* the last vtable, shared by the tables of a vector */
	const struct qeff_fb_schema *last_schema;
	uint64_t last_present;
	size_t last_vtable;
};

/* Bit of @slot in a set of present fields. */
#define QEFF_FB_PRESENT(slot) (UINT64_C(1) << (slot))

void qeff_fb_write_begin(struct qeff_fb_writer *w, struct qeff_bytes *out);
/* Appends a table that has the fields in @present, all zero, and returns its position. */
size_t qeff_fb_write_table(struct qeff_fb_writer *w, const struct qeff_fb_schema *schema,
			   uint64_t present);
/* Appends a vector, all zero, and returns its position. */
size_t qeff_fb_write_vector(struct qeff_fb_writer *w, uint32_t count, uint32_t element_bytes);
size_t qeff_fb_write_string(struct qeff_fb_writer *w, const char *text);
/* Where a present field of a table, or an element of a vector, stands. */
size_t qeff_fb_field_at(const struct qeff_fb_writer *w, size_t table, unsigned int slot);
size_t qeff_fb_element_at(size_t vector, uint32_t index, uint32_t element_bytes);
/* Stores the @size_bytes low bytes of @value. */
void qeff_fb_put(struct qeff_fb_writer *w, size_t at, uint64_t value, size_t size_bytes);
/* Stores at @at the offset of @target. */
void qeff_fb_link(struct qeff_fb_writer *w, size_t at, size_t target);

#endif
