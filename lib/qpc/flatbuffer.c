/* SPDX-License-Identifier: MIT */
/* Verifying and reading flatbuffers. */
#include "qpc/flatbuffer.h"

#include "util/checked.h"

/* Offsets may lead many times to the same table, so the walk itself is bounded. */
#define MAX_TABLES 1000000u

struct verifier {
	const uint8_t *data;
	uint64_t size_bytes;
	unsigned int tables;
	struct qeff_error *err;
};

struct kind {
	uint8_t inline_bytes;  /* in the table */
	uint8_t element_bytes; /* of vectors; none wants more alignment than the vector's own 4 */
};

static const struct kind kinds[] = {
	[QEFF_FB_U8] = { 1, 0 },
	[QEFF_FB_U16] = { 2, 0 },
	[QEFF_FB_U32] = { 4, 0 },
	[QEFF_FB_U64] = { 8, 0 },
	[QEFF_FB_STRING] = { 4, 1 },
	[QEFF_FB_TABLE] = { 4, 0 },
	[QEFF_FB_VECTOR_U8] = { 4, 1 },
	[QEFF_FB_VECTOR_U32] = { 4, 4 },
	[QEFF_FB_VECTOR_STRING] = { 4, 4 },
	[QEFF_FB_VECTOR_TABLE] = { 4, 4 },
	[QEFF_FB_VECTOR_STRUCT4] = { 4, 4 },
};

static int verify_table(struct verifier *v, uint64_t at, const struct qeff_fb_schema *schema);

/* The position that the offset stored at @at leads to. */
static int follow(struct verifier *v, uint64_t at, uint64_t *target, const char *what)
{
	uint32_t offset = qeff_get_u32(v->data + at);

	*target = at + offset;
	if (!offset || *target % 4 || !qeff_range_valid(*target, 4, v->size_bytes))
		return qeff_error_set(
			v->err, -EINVAL,
			"%s: offset %u at %llu leads outside the %llu bytes or is not aligned",
			what, offset, (unsigned long long)at, (unsigned long long)v->size_bytes);
	return 0;
}

static int verify_vector(struct verifier *v, uint64_t at, enum qeff_fb_kind kind, const char *what)
{
	const struct kind *k = &kinds[kind];
	uint32_t count = qeff_get_u32(v->data + at);
	uint64_t bytes = (uint64_t)count * k->element_bytes;

	if (!qeff_range_valid(at + 4, bytes, v->size_bytes))
		return qeff_error_set(
			v->err, -EINVAL,
			"%s: %u elements at %llu do not fit into %llu bytes (truncated?)", what,
			count, (unsigned long long)at, (unsigned long long)v->size_bytes);
	if (kind == QEFF_FB_STRING &&
	    (!qeff_range_valid(at + 4 + bytes, 1, v->size_bytes) || v->data[at + 4 + bytes]))
		return qeff_error_set(v->err, -EINVAL, "%s: string at %llu does not end in a NUL",
				      what, (unsigned long long)at);
	return 0;
}

static int verify_elements(struct verifier *v, uint64_t at, const struct qeff_fb_field *field)
{
	uint32_t count = qeff_get_u32(v->data + at);

	for (uint32_t i = 0; i < count; i++) {
		uint64_t target;
		int ret = follow(v, at + 4 + (uint64_t)i * 4, &target, field->name);

		if (ret)
			return ret;
		ret = field->table ? verify_table(v, target, field->table)
				   : verify_vector(v, target, QEFF_FB_STRING, field->name);
		if (ret)
			return field->table
				       ? qeff_error_prefix(v->err, ret, "%s[%u]", field->name, i)
				       : ret;
	}
	return 0;
}

/* What the field that stands at @at leads to. */
static int verify_target(struct verifier *v, uint64_t at, const struct qeff_fb_field *field)
{
	uint64_t target;
	int ret;

	if (field->kind <= QEFF_FB_U64)
		return 0;
	ret = follow(v, at, &target, field->name);
	if (ret)
		return ret;
	if (field->kind == QEFF_FB_TABLE)
		return verify_table(v, target, field->table);
	ret = verify_vector(v, target, field->kind, field->name);
	if (!ret && (field->kind == QEFF_FB_VECTOR_TABLE || field->kind == QEFF_FB_VECTOR_STRING))
		ret = verify_elements(v, target, field);
	return ret;
}

static int verify_table(struct verifier *v, uint64_t at, const struct qeff_fb_schema *schema)
{
	int64_t vtable = (int64_t)at - (int32_t)qeff_get_u32(v->data + at);
	uint16_t vtable_bytes, table_bytes;

	if (v->tables++ == MAX_TABLES)
		return qeff_error_set(v->err, -EINVAL, "more than %u tables", MAX_TABLES);
	if (vtable < 0 || vtable % 2 || !qeff_range_valid((uint64_t)vtable, 4, v->size_bytes))
		return qeff_error_set(v->err, -EINVAL,
				      "%s at %llu: vtable at %lld is outside or not aligned",
				      schema->name, (unsigned long long)at, (long long)vtable);
	vtable_bytes = qeff_get_u16(v->data + vtable);
	table_bytes = qeff_get_u16(v->data + vtable + 2);
	if (vtable_bytes < 4 || vtable_bytes % 2 ||
	    !qeff_range_valid((uint64_t)vtable, vtable_bytes, v->size_bytes) || table_bytes < 4 ||
	    !qeff_range_valid(at, table_bytes, v->size_bytes))
		return qeff_error_set(
			v->err, -EINVAL,
			"%s at %llu: vtable of %u bytes at %lld, table of %u, do not fit into %llu bytes",
			schema->name, (unsigned long long)at, vtable_bytes, (long long)vtable,
			table_bytes, (unsigned long long)v->size_bytes);
	for (unsigned int slot = 0; slot < schema->num_fields; slot++) {
		const struct qeff_fb_field *field = &schema->fields[slot];
		uint16_t bytes = kinds[field->kind].inline_bytes, offset;
		int ret;

		if (4 + 2 * slot + 2 > vtable_bytes)
			break;
		offset = qeff_get_u16(v->data + vtable + 4 + 2 * slot);
		if (!offset)
			continue;
		if (offset < 4 || (at + offset) % bytes ||
		    !qeff_range_valid(offset, bytes, table_bytes))
			return qeff_error_set(
				v->err, -EINVAL,
				"%s at %llu: %s at offset %u is outside its %u bytes or not aligned",
				schema->name, (unsigned long long)at, field->name, offset,
				table_bytes);
		ret = verify_target(v, at + offset, field);
		if (ret)
			return ret;
	}
	return 0;
}

int qeff_fb_verify(const void *data, size_t size_bytes, const struct qeff_fb_schema *root,
		   struct qeff_error *err)
{
	struct verifier v = { .data = data, .size_bytes = size_bytes, .err = err };
	uint64_t at;
	int ret;

	if (size_bytes < 8 || size_bytes > INT32_MAX)
		return qeff_error_set(err, -EINVAL, "flatbuffer of %zu bytes", size_bytes);
	ret = follow(&v, 0, &at, "root table");
	return ret ? ret : verify_table(&v, at, root);
}

struct qeff_fb_table qeff_fb_root(const void *data)
{
	return (struct qeff_fb_table){ (const uint8_t *)data + qeff_get_u32(data) };
}

static const uint8_t *field(struct qeff_fb_table table, unsigned int slot)
{
	const uint8_t *vtable;
	uint16_t offset;

	if (!table.at)
		return NULL;
	vtable = table.at - (int32_t)qeff_get_u32(table.at);
	if (4 + 2 * slot + 2 > qeff_get_u16(vtable))
		return NULL;
	offset = qeff_get_u16(vtable + 4 + 2 * slot);
	return offset ? table.at + offset : NULL;
}

uint8_t qeff_fb_u8(struct qeff_fb_table table, unsigned int slot, uint8_t absent)
{
	const uint8_t *at = field(table, slot);

	return at ? *at : absent;
}

uint16_t qeff_fb_u16(struct qeff_fb_table table, unsigned int slot, uint16_t absent)
{
	const uint8_t *at = field(table, slot);

	return at ? qeff_get_u16(at) : absent;
}

uint32_t qeff_fb_u32(struct qeff_fb_table table, unsigned int slot, uint32_t absent)
{
	const uint8_t *at = field(table, slot);

	return at ? qeff_get_u32(at) : absent;
}

uint64_t qeff_fb_u64(struct qeff_fb_table table, unsigned int slot, uint64_t absent)
{
	const uint8_t *at = field(table, slot);

	return at ? qeff_get_u64(at) : absent;
}

struct qeff_fb_table qeff_fb_table_of(struct qeff_fb_table table, unsigned int slot)
{
	const uint8_t *at = field(table, slot);

	return (struct qeff_fb_table){ at ? at + qeff_get_u32(at) : NULL };
}

static struct qeff_fb_vector vector_at(const uint8_t *offset)
{
	const uint8_t *at = offset + qeff_get_u32(offset);

	return (struct qeff_fb_vector){ at + 4, qeff_get_u32(at) };
}

struct qeff_fb_vector qeff_fb_vector_of(struct qeff_fb_table table, unsigned int slot)
{
	const uint8_t *at = field(table, slot);

	return at ? vector_at(at) : (struct qeff_fb_vector){ 0 };
}

struct qeff_fb_table qeff_fb_table_at(struct qeff_fb_vector vector, uint32_t index)
{
	const uint8_t *at = vector.at + (size_t)index * 4;

	return (struct qeff_fb_table){ at + qeff_get_u32(at) };
}

struct qeff_fb_vector qeff_fb_string_at(struct qeff_fb_vector vector, uint32_t index)
{
	return vector_at(vector.at + (size_t)index * 4);
}
