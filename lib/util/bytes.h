/* SPDX-License-Identifier: MIT */
/*
 * Little-endian integers in byte arrays, a bounds-checked reader and a growing writer: what every
 * binary format of this tree is read and written with.
 */
#ifndef QEFF_UTIL_BYTES_H
#define QEFF_UTIL_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "qeff reads little-endian formats in place; a big-endian host is not supported"
#endif

#define QEFF_DEFINE_LE(bits)                                                                       \
	static inline uint##bits##_t qeff_get_u##bits(const void *at)                              \
	{                                                                                          \
		uint##bits##_t value;                                                              \
		memcpy(&value, at, sizeof(value));                                                 \
		return value;                                                                      \
	}                                                                                          \
	static inline void qeff_put_u##bits(void *at, uint##bits##_t value)                        \
	{                                                                                          \
		memcpy(at, &value, sizeof(value));                                                 \
	}
QEFF_DEFINE_LE(16)
QEFF_DEFINE_LE(32)
QEFF_DEFINE_LE(64)
#undef QEFF_DEFINE_LE

/**
 * struct qeff_reader - walks a byte range it never leaves
 * @data: first byte
 * @size_bytes: length of the range
 * @offset: next byte to read
 * @failed: set once a read did not fit; later reads return 0 or NULL, so one check at the end
 * suffices
 */
struct qeff_reader {
	const uint8_t *data;
	size_t size_bytes;
	size_t offset;
	bool failed;
};

static inline struct qeff_reader qeff_reader_of(const void *data, size_t size_bytes)
{
	return (struct qeff_reader){ .data = data, .size_bytes = size_bytes };
}

/* Returns @count bytes at the current offset and steps over them, or NULL. */
static inline const uint8_t *qeff_read_bytes(struct qeff_reader *r, size_t count)
{
	const uint8_t *at;

	if (r->failed || count > r->size_bytes - r->offset) {
		r->failed = true;
		return NULL;
	}
	at = r->data + r->offset;
	r->offset += count;
	return at;
}

#define QEFF_DEFINE_READ(bits)                                                                     \
	static inline uint##bits##_t qeff_read_u##bits(struct qeff_reader *r)                      \
	{                                                                                          \
		const uint8_t *at = qeff_read_bytes(r, sizeof(uint##bits##_t));                    \
		return at ? qeff_get_u##bits(at) : 0;                                              \
	}
QEFF_DEFINE_READ(16)
QEFF_DEFINE_READ(32)
QEFF_DEFINE_READ(64)
#undef QEFF_DEFINE_READ

static inline uint8_t qeff_read_u8(struct qeff_reader *r)
{
	const uint8_t *at = qeff_read_bytes(r, 1);
	return at ? *at : 0;
}

/**
 * struct qeff_bytes - a byte array that grows
 * @data: owned by this struct; freed with qeff_bytes_free()
 * @size_bytes: bytes in use
 * @capacity_bytes: bytes allocated
 * @failed: set once memory ran out; later writes do nothing, so one check at the end suffices
 */
struct qeff_bytes {
	uint8_t *data;
	size_t size_bytes;
	size_t capacity_bytes;
	bool failed;
};

/* Appends @count bytes, copied from @from, or zeros if @from is NULL. Returns where they are, or
 * NULL. */
void *qeff_bytes_append(struct qeff_bytes *b, const void *from, size_t count);
/* Appends zeros until the size is a multiple of @alignment (a power of two). */
void qeff_bytes_align(struct qeff_bytes *b, size_t alignment);
/* Appends text, of which one call makes at most 1023 characters, without a NUL. */
__attribute__((format(printf, 2, 3))) void qeff_bytes_printf(struct qeff_bytes *b,
							     const char *format, ...);
/* The bytes as a string, which the caller frees; NULL if memory ran out. @b is empty then. */
char *qeff_bytes_string(struct qeff_bytes *b);
void qeff_bytes_free(struct qeff_bytes *b);

static inline void qeff_bytes_u8(struct qeff_bytes *b, uint8_t value)
{
	qeff_bytes_append(b, &value, sizeof(value));
}

static inline void qeff_bytes_u16(struct qeff_bytes *b, uint16_t value)
{
	qeff_bytes_append(b, &value, sizeof(value));
}

static inline void qeff_bytes_u32(struct qeff_bytes *b, uint32_t value)
{
	qeff_bytes_append(b, &value, sizeof(value));
}

static inline void qeff_bytes_u64(struct qeff_bytes *b, uint64_t value)
{
	qeff_bytes_append(b, &value, sizeof(value));
}

#endif
