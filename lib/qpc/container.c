/* SPDX-License-Identifier: MIT */
/*
 * Reading the QPC container. Every pointer in it is an address relative to the header's base field;
 * a stored address becomes an offset by subtracting that base, with wrap-around, and only then is
 * checked.
 */
#include "qpc/container.h"

#include "util/bytes.h"
#include "util/checked.h"

#include <string.h>

#define COMPRESSION_STORED     1
#define MAX_SEGMENT_NAME_BYTES 255

/* The header as numbers; see struct entry for the table. */
struct header {
	uint32_t magic;
	uint8_t major;
	uint8_t minor;
	uint16_t compression;
	uint64_t size;
	uint64_t base;
	uint64_t count;
	uint64_t table;
};

struct entry {
	uint64_t size;
	uint64_t split;
	uint64_t name;
	uint64_t data;
};

static int parse_header(const uint8_t *data, size_t size_bytes, struct header *h,
			struct qeff_error *err)
{
	struct qeff_reader r = qeff_reader_of(data, size_bytes);

	h->magic = qeff_read_u32(&r);
	h->major = qeff_read_u8(&r);
	h->minor = qeff_read_u8(&r);
	h->compression = qeff_read_u16(&r);
	h->size = qeff_read_u64(&r);
	h->base = qeff_read_u64(&r);
	h->count = qeff_read_u64(&r);
	h->table = qeff_read_u64(&r) - h->base;
	if (r.failed)
		return qeff_error_set(err, -EINVAL,
				      "package header: expected %d bytes, found %zu (truncated?)",
				      QEFF_QPC_HEADER_BYTES, size_bytes);
	if (h->magic != QEFF_QPC_MAGIC)
		return qeff_error_set(
			err, -EINVAL,
			"package header: expected magic 0x%08x, found 0x%08x (not a package?)",
			QEFF_QPC_MAGIC, h->magic);
	if (h->major != 0)
		return qeff_error_set(err, -EINVAL,
				      "package header: expected container version 0, found %u",
				      h->major);
	if (h->compression != COMPRESSION_STORED)
		return qeff_error_set(err, -EINVAL,
				      "package header: expected compression kind %d, found %u",
				      COMPRESSION_STORED, h->compression);
	if (h->size > size_bytes)
		return qeff_error_set(
			err, -EINVAL,
			"package header: says %llu bytes, the file has %zu (truncated?)",
			(unsigned long long)h->size, size_bytes);
	if (h->size < size_bytes)
		return qeff_error_set(
			err, -EINVAL,
			"package header: says %llu bytes, the file has %zu (something was appended?)",
			(unsigned long long)h->size, size_bytes);
	if (h->count > QEFF_QPC_MAX_SEGMENTS)
		return qeff_error_set(err, -EINVAL,
				      "package header: expected at most %d segments, found %llu",
				      QEFF_QPC_MAX_SEGMENTS, (unsigned long long)h->count);
	if (h->table % 8 || h->table < QEFF_QPC_HEADER_BYTES ||
	    !qeff_range_valid(h->table, h->count * QEFF_QPC_ENTRY_BYTES, h->size))
		return qeff_error_set(
			err, -EINVAL,
			"package header: segment table of %llu entries at offset %llu does not fit into "
			"%llu bytes behind the header",
			(unsigned long long)h->count, (unsigned long long)h->table,
			(unsigned long long)h->size);
	return 0;
}

static struct entry read_entry(const uint8_t *at, uint64_t base)
{
	return (struct entry){
		.size = qeff_get_u64(at),
		.split = qeff_get_u64(at + 8),
		.name = qeff_get_u64(at + 16) - base,
		.data = qeff_get_u64(at + 24) - base,
	};
}

static int parse_name(const uint8_t *data, const struct header *h, uint32_t index, uint64_t offset,
		      const char **name, struct qeff_error *err)
{
	size_t room, length;

	if (offset >= h->size)
		return qeff_error_set(
			err, -EINVAL, "segment %u: name at offset %llu, the package has %llu bytes",
			index, (unsigned long long)offset, (unsigned long long)h->size);
	room = (size_t)(h->size - offset);
	if (room > MAX_SEGMENT_NAME_BYTES + 1)
		room = MAX_SEGMENT_NAME_BYTES + 1;
	*name = (const char *)data + offset;
	length = strnlen(*name, room);
	if (length == room)
		return qeff_error_set(err, -EINVAL,
				      "segment %u: name at offset %llu has no end within %zu bytes",
				      index, (unsigned long long)offset, room);
	if (length == 0)
		return qeff_error_set(err, -EINVAL, "segment %u: empty name", index);
	for (size_t i = 0; i < length; i++)
		if ((*name)[i] < 0x20 || (*name)[i] > 0x7e)
			return qeff_error_set(
				err, -EINVAL,
				"segment %u: name at offset %llu: expected ASCII, found byte 0x%02x",
				index, (unsigned long long)offset, (unsigned char)(*name)[i]);
	return 0;
}

static bool touches(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
	return a < b + b_size && b < a + a_size;
}

static int parse_segment(const uint8_t *data, const struct header *h, uint32_t index,
			 struct qeff_segment *segment, struct qeff_error *err)
{
	uint64_t table_bytes = h->count * QEFF_QPC_ENTRY_BYTES;
	struct entry e =
		read_entry(data + h->table + (size_t)index * QEFF_QPC_ENTRY_BYTES, h->base);
	int ret = parse_name(data, h, index, e.name, &segment->name, err);

	if (ret)
		return ret;
	if (!qeff_range_valid(e.data, e.size, h->size))
		return qeff_error_set(
			err, -EINVAL,
			"segment \"%s\": %llu bytes at offset %llu, the package has %llu (truncated?)",
			segment->name, (unsigned long long)e.size, (unsigned long long)e.data,
			(unsigned long long)h->size);
	if (e.size && (touches(e.data, e.size, 0, QEFF_QPC_HEADER_BYTES) ||
		       touches(e.data, e.size, h->table, table_bytes)))
		return qeff_error_set(
			err, -EINVAL,
			"segment \"%s\": offset %llu lies in the header or the segment table",
			segment->name, (unsigned long long)e.data);
	if (e.split > e.size)
		return qeff_error_set(
			err, -EINVAL, "segment \"%s\": split at %llu, the segment has %llu bytes",
			segment->name, (unsigned long long)e.split, (unsigned long long)e.size);
	segment->data = data + e.data;
	segment->size_bytes = e.size;
	segment->split_bytes = e.split;
	segment->file_offset = e.data;
	return 0;
}

int qeff_container_parse(const void *data, size_t size_bytes, struct qeff_container *container,
			 struct qeff_error *err)
{
	struct header h;
	int ret = parse_header(data, size_bytes, &h, err);

	if (ret)
		return ret;
	container->size_bytes = h.size;
	container->version_minor = h.minor;
	container->num_segments = 0;
	for (uint32_t i = 0; i < h.count; i++) {
		struct qeff_segment *segment = &container->segments[i];

		ret = parse_segment(data, &h, i, segment, err);
		if (ret)
			return ret;
		if (qeff_container_find(container, segment->name))
			return qeff_error_set(err, -EINVAL, "segment \"%s\" occurs twice",
					      segment->name);
		container->num_segments++;
	}
	return 0;
}

const struct qeff_segment *qeff_container_find(const struct qeff_container *container,
					       const char *name)
{
	for (uint32_t i = 0; i < container->num_segments; i++)
		if (!strcmp(container->segments[i].name, name))
			return &container->segments[i];
	return NULL;
}

int qeff_constants_desc_parse(const void *data, size_t size_bytes, struct qeff_constants_desc *desc,
			      struct qeff_error *err)
{
	const uint8_t *at = data;
	uint64_t total;

	if (size_bytes != QEFF_CONSTANTS_DESC_BYTES)
		return qeff_error_set(err, -EINVAL,
				      "constants descriptor: expected %d bytes, found %zu",
				      QEFF_CONSTANTS_DESC_BYTES, size_bytes);
	desc->static_bytes = qeff_get_u64(at);
	desc->dynamic_bytes = qeff_get_u64(at + 8);
	if (at[16] > 1 || at[17] > 1)
		return qeff_error_set(
			err, -EINVAL,
			"constants descriptor: expected ECC flags of 0 or 1, found %u and %u",
			at[16], at[17]);
	desc->static_ecc = at[16];
	desc->dynamic_ecc = at[17];
	if (!qeff_add_u64(desc->static_bytes, desc->dynamic_bytes, &total))
		return qeff_error_set(
			err, -EINVAL,
			"constants descriptor: %llu static and %llu dynamic bytes are too many",
			(unsigned long long)desc->static_bytes,
			(unsigned long long)desc->dynamic_bytes);
	return 0;
}

void qeff_constants_desc_write(const struct qeff_constants_desc *desc,
			       uint8_t bytes[QEFF_CONSTANTS_DESC_BYTES])
{
	memset(bytes, 0, QEFF_CONSTANTS_DESC_BYTES);
	qeff_put_u64(bytes, desc->static_bytes);
	qeff_put_u64(bytes + 8, desc->dynamic_bytes);
	bytes[16] = desc->static_ecc;
	bytes[17] = desc->dynamic_ecc;
}
