/* SPDX-License-Identifier: MIT */
/*
 * NumPy files. A file is hostile until its header has been read: the header's length is bounded,
 * the shape's product is checked for overflow, and data must be exactly as long as the shape says.
 */
#include "npy.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC		   "\x93NUMPY"
#define MAGIC_BYTES	   6
#define MAX_HEADER_BYTES   65536
#define HEADER_ALIGNMENT   64
#define LARGEST_FILE_BYTES ((uint64_t)1 << 40)

int fail(struct qeff_error *err, int code, const char *format, ...)
{
	va_list args;

	if (!err)
		return code;
	va_start(args, format);
	vsnprintf(err->message, sizeof(err->message), format, args);
	va_end(args);
	err->code = code;
	/* the file's bytes may be in the sentence: they do not get to steer a terminal */
	for (char *at = err->message; *at; at++)
		if ((unsigned char)*at < ' ' || *at == 0x7f)
			*at = '?';
	return code;
}

/* ---- the header: a Python dictionary of three known keys ---- */

struct header {
	char descr[16];
	bool has_descr, has_order, has_shape;
	bool fortran;
	uint32_t num_dims;
	int32_t dims[NPY_MAX_DIMS];
};

static const char *skip(const char *p)
{
	while (*p == ' ' || *p == '\n' || *p == '\t' || *p == '\r')
		p++;
	return p;
}

/* A quoted string of at most @size - 1 characters; returns what follows, or NULL. */
static const char *quoted(const char *p, char *text, size_t size)
{
	char quote = *p;
	size_t used = 0;

	if (quote != '\'' && quote != '"')
		return NULL;
	for (p++; *p && *p != quote; p++) {
		if (used + 1 >= size)
			return NULL;
		text[used++] = *p;
	}
	text[used] = 0;
	return *p == quote ? p + 1 : NULL;
}

static const char *boolean(const char *p, bool *value)
{
	*value = !strncmp(p, "True", 4);
	if (*value)
		return p + 4;
	return strncmp(p, "False", 5) ? NULL : p + 5;
}

/* "(2, 3)", "(3,)", "()" */
static const char *tuple(const char *p, struct header *header)
{
	if (*p != '(')
		return NULL;
	for (p = skip(p + 1); *p != ')'; p = skip(p)) {
		uint64_t value = 0;

		if (!isdigit((unsigned char)*p) || header->num_dims == NPY_MAX_DIMS)
			return NULL;
		for (; isdigit((unsigned char)*p); p++) {
			value = value * 10 + (uint64_t)(*p - '0');
			if (value > INT32_MAX)
				return NULL;
		}
		header->dims[header->num_dims++] = (int32_t)value;
		p = skip(p);
		if (*p == ',')
			p++;
		else if (*p != ')')
			return NULL;
	}
	return p + 1;
}

static const char *entry(const char *p, struct header *header)
{
	char key[16];

	p = quoted(p, key, sizeof(key));
	if (!p)
		return NULL;
	p = skip(p);
	if (*p != ':')
		return NULL;
	p = skip(p + 1);
	if (!strcmp(key, "descr") && !header->has_descr) {
		header->has_descr = true;
		return quoted(p, header->descr, sizeof(header->descr));
	}
	if (!strcmp(key, "fortran_order") && !header->has_order) {
		header->has_order = true;
		return boolean(p, &header->fortran);
	}
	if (!strcmp(key, "shape") && !header->has_shape) {
		header->has_shape = true;
		return tuple(p, header);
	}
	return NULL;
}

static bool parse_header(const char *text, struct header *header)
{
	const char *p = skip(text);

	if (*p != '{')
		return false;
	for (p = skip(p + 1); *p != '}'; p = skip(p)) {
		p = entry(p, header);
		if (!p)
			return false;
		p = skip(p);
		if (*p == ',')
			p++;
		else if (*p != '}')
			return false;
	}
	return !*skip(p + 1) && header->has_descr && header->has_order && header->has_shape;
}

/* ---- reading ---- */

static int read_all(int fd, void *to, size_t size, const char *path, struct qeff_error *err)
{
	for (size_t done = 0; done < size;) {
		ssize_t got = read(fd, (char *)to + done, size - done);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return fail(err, -errno, "%s: %s", path, strerror(errno));
		if (!got)
			return fail(err, -EINVAL, "%s ends after %zu of %zu bytes (truncated?)",
				    path, done, size);
		done += (size_t)got;
	}
	return 0;
}

static int known_type(struct npy *npy, const char *descr, const char *path, struct qeff_error *err)
{
	const char *sizes = descr[0] && descr[1] == 'f'	  ? "248"
			    : descr[0] && descr[1] == 'b' ? "1"
							  : "1248";

	if (!descr[0] || !descr[1] || !strchr("<|", descr[0]) || !strchr("fiub", descr[1]) ||
	    !descr[2] || !strchr(sizes, descr[2]) || descr[3])
		return fail(err, -EINVAL,
			    "%s: elements of type \"%s\"; known are f2, f4, f8, i1 to i8, u1 to u8 "
			    "and b1, little endian",
			    path, descr);
	npy->kind = descr[1];
	npy->element_bytes = (uint32_t)(descr[2] - '0');
	return 0;
}

static int read_header(int fd, const char *path, struct npy *npy, uint64_t *offset,
		       struct qeff_error *err)
{
	struct header header = { .num_dims = 0 };
	uint8_t start[MAGIC_BYTES + 6];
	uint32_t length, fixed;
	char *text;
	int ret;

	ret = read_all(fd, start, MAGIC_BYTES + 4, path, err);
	if (ret)
		return ret;
	if (memcmp(start, MAGIC, MAGIC_BYTES) || start[6] < 1 || start[6] > 3)
		return fail(err, -EINVAL, "%s is not a NumPy file of version 1 to 3", path);
	length = start[8] | (uint32_t)start[9] << 8;
	fixed = MAGIC_BYTES + 4;
	if (start[6] > 1) {
		ret = read_all(fd, start + fixed, 2, path, err);
		if (ret)
			return ret;
		length |= (uint32_t)start[10] << 16 | (uint32_t)start[11] << 24;
		fixed += 2;
	}
	if (length > MAX_HEADER_BYTES)
		return fail(err, -EINVAL, "%s: a header of %u bytes, at most %d are expected", path,
			    length, MAX_HEADER_BYTES);
	text = calloc(1, length + 1);
	if (!text)
		return fail(err, -ENOMEM, "%s: no memory", path);
	ret = read_all(fd, text, length, path, err);
	if (!ret && (memchr(text, 0, length) || !parse_header(text, &header)))
		ret = fail(err, -EINVAL, "%s: the header cannot be understood: %.100s", path, text);
	free(text);
	if (ret)
		return ret;
	if (header.fortran && header.num_dims > 1)
		return fail(err, -EINVAL, "%s is in Fortran order, C order is needed", path);
	npy->num_dims = header.num_dims;
	memcpy(npy->dims, header.dims, sizeof(npy->dims));
	*offset = (uint64_t)fixed + length;
	return known_type(npy, header.descr, path, err);
}

static int read_data(int fd, const char *path, struct npy *npy, uint64_t offset,
		     struct qeff_error *err)
{
	uint64_t bytes = npy->element_bytes;
	struct stat st;

	npy->count = 1;
	for (uint32_t i = 0; i < npy->num_dims; i++)
		if (__builtin_mul_overflow(bytes, (uint64_t)npy->dims[i], &bytes) ||
		    bytes > LARGEST_FILE_BYTES)
			return fail(err, -EINVAL, "%s: its shape is too large", path);
	for (uint32_t i = 0; i < npy->num_dims; i++)
		npy->count *= (size_t)npy->dims[i];
	if (fstat(fd, &st))
		return fail(err, -errno, "%s: %s", path, strerror(errno));
	if ((uint64_t)st.st_size != offset + bytes)
		return fail(err, -EINVAL,
			    "%s: its shape needs %llu bytes behind the header, found %lld", path,
			    (unsigned long long)bytes, (long long)st.st_size - (long long)offset);
	npy->data = malloc(bytes ? bytes : 1);
	if (!npy->data)
		return fail(err, -ENOMEM, "%s: no memory", path);
	return read_all(fd, npy->data, bytes, path, err);
}

int npy_read(const char *path, struct npy *npy, struct qeff_error *err)
{
	uint64_t offset = 0;
	int fd, ret;

	*npy = (struct npy){ .data = NULL };
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return fail(err, -errno, "%s: %s", path, strerror(errno));
	ret = read_header(fd, path, npy, &offset, err);
	if (!ret)
		ret = read_data(fd, path, npy, offset, err);
	close(fd);
	if (ret)
		npy_free(npy);
	return ret;
}

void npy_free(struct npy *npy)
{
	free(npy->data);
	npy->data = NULL;
}

/* ---- writing ---- */

static const char *descr_of(enum qeff_type type)
{
	switch (type) {
	case QEFF_TYPE_F32:
		return "<f4";
	case QEFF_TYPE_F16:
		return "<f2";
	case QEFF_TYPE_I16_QUANTISED:
		return "<i2";
	case QEFF_TYPE_I32_QUANTISED:
	case QEFF_TYPE_I32:
		return "<i4";
	case QEFF_TYPE_I64:
		return "<i8";
	case QEFF_TYPE_U8_QUANTISED:
		return "|u1";
	default:
		return "|i1";
	}
}

int npy_write(const char *path, enum qeff_type type, const int32_t *dims, uint32_t num_dims,
	      const void *data, struct qeff_error *err)
{
	size_t bytes = qeff_type_size_bytes(type);
	char shape[NPY_MAX_DIMS * 12 + 4] = "", header[512];
	size_t used = 0;
	int length, padded;
	FILE *file;
	bool ok;

	for (uint32_t i = 0; i < num_dims; i++) {
		bytes *= (size_t)dims[i];
		used += (size_t)snprintf(shape + used, sizeof(shape) - used, "%s%d%s", i ? " " : "",
					 dims[i], i + 1 < num_dims || num_dims == 1 ? "," : "");
	}
	length = snprintf(header, sizeof(header),
			  "{'descr': '%s', 'fortran_order': False, 'shape': (%s), }",
			  descr_of(type), shape);
	padded = (MAGIC_BYTES + 4 + length + 1 + HEADER_ALIGNMENT - 1) / HEADER_ALIGNMENT *
			 HEADER_ALIGNMENT -
		 (MAGIC_BYTES + 4);
	file = fopen(path, "wbe");
	if (!file)
		return fail(err, -errno, "%s: %s", path, strerror(errno));
	ok = fwrite(MAGIC "\x01\x00", 1, MAGIC_BYTES + 2, file) == MAGIC_BYTES + 2 &&
	     fputc(padded & 0xff, file) != EOF && fputc(padded >> 8, file) != EOF &&
	     fprintf(file, "%-*s\n", padded - 1, header) == padded &&
	     fwrite(data, 1, bytes, file) == bytes;
	if (fclose(file) || !ok) {
		ok = false;
		fail(err, -EIO, "%s could not be written: %s", path, strerror(errno));
	}
	return ok ? 0 : -EIO;
}

/* ---- elements ---- */

int64_t npy_integer(const struct npy *npy, size_t index)
{
	const uint8_t *at = (const uint8_t *)npy->data + index * npy->element_bytes;
	uint64_t bits = 0;
	uint32_t shift = 64 - npy->element_bytes * 8;

	memcpy(&bits, at, npy->element_bytes);
	if (npy->kind == 'i')
		return (int64_t)(bits << shift) >> shift;
	return bits > INT64_MAX ? INT64_MAX : (int64_t)bits;
}

/* Half precision by hand: not every compiler has a type for it here. */
static double double_of_half(uint16_t half)
{
	int exponent = half >> 10 & 31, mantissa = half & 1023;
	double magnitude = exponent == 31 ? mantissa ? NAN : INFINITY
			   : exponent	  ? ldexp(1024 + mantissa, exponent - 25)
					  : ldexp(mantissa, -24);

	return half & 0x8000 ? -magnitude : magnitude;
}

/* To the nearest, of two as near the even one. */
static uint16_t half_of_double(double value)
{
	unsigned int sign = signbit(value) ? 0x8000 : 0, mantissa;
	double magnitude = fabs(value);
	int exponent;

	if (isnan(value))
		return (uint16_t)(sign | 0x7e00);
	if (magnitude >= 65520) /* half way past the largest */
		return (uint16_t)(sign | 0x7c00);
	frexp(magnitude, &exponent);
	if (magnitude < 0x1p-14)
		exponent = -13;
	/* 1024 to 2048, less if it is below the normal ones; a carry goes where it belongs */
	mantissa = (unsigned int)nearbyint(ldexp(magnitude, 11 - exponent));
	return (uint16_t)(sign | (((unsigned int)(exponent + 13) << 10) + mantissa));
}

static double npy_float(const struct npy *npy, size_t index)
{
	const uint8_t *at = (const uint8_t *)npy->data + index * npy->element_bytes;
	uint16_t half;
	float single;
	double value;

	switch (npy->element_bytes) {
	case 2:
		memcpy(&half, at, sizeof(half));
		return double_of_half(half);
	case 4:
		memcpy(&single, at, sizeof(single));
		return single;
	default:
		memcpy(&value, at, sizeof(value));
		return value;
	}
}

int store_integer(void *to, enum qeff_type type, size_t index, int64_t value)
{
	static const struct {
		uint8_t bytes;
		int64_t min, max;
	} ranges[QEFF_TYPE_COUNT] = {
		[QEFF_TYPE_I8_QUANTISED] = { 1, INT8_MIN, INT8_MAX },
		[QEFF_TYPE_U8_QUANTISED] = { 1, 0, UINT8_MAX },
		[QEFF_TYPE_I16_QUANTISED] = { 2, INT16_MIN, INT16_MAX },
		[QEFF_TYPE_I32_QUANTISED] = { 4, INT32_MIN, INT32_MAX },
		[QEFF_TYPE_I32] = { 4, INT32_MIN, INT32_MAX },
		[QEFF_TYPE_I64] = { 8, INT64_MIN, INT64_MAX },
		[QEFF_TYPE_I8] = { 1, INT8_MIN, INT8_MAX },
	};
	uint32_t bytes = ranges[type].bytes;

	if (!bytes)
		return -EINVAL;
	if (value < ranges[type].min || value > ranges[type].max)
		return -ERANGE;
	memcpy((uint8_t *)to + index * bytes, &value, bytes); /* little endian */
	return 0;
}

void store_float(void *to, enum qeff_type type, size_t index, double value)
{
	if (type == QEFF_TYPE_F16)
		((uint16_t *)to)[index] = half_of_double(value);
	else
		((float *)to)[index] = (float)value;
}

int npy_convert(const struct npy *npy, const char *name, enum qeff_type type, void *to,
		struct qeff_error *err)
{
	bool floats = type == QEFF_TYPE_F32 || type == QEFF_TYPE_F16;

	if (floats != (npy->kind == 'f'))
		return fail(err, -EINVAL, "%s is %s, the file holds %s", name, qeff_type_name(type),
			    floats ? "integers" : "floats");
	for (size_t i = 0; i < npy->count; i++) {
		if (floats)
			store_float(to, type, i, npy_float(npy, i));
		else if (store_integer(to, type, i, npy_integer(npy, i)))
			return fail(err, -ERANGE, "%s: element %zu, %lld, does not fit into %s",
				    name, i, (long long)npy_integer(npy, i), qeff_type_name(type));
	}
	return 0;
}
