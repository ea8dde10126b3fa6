/* SPDX-License-Identifier: MIT */
/* Tensors in NumPy's file format (.npy, versions 1 to 3): read, written, converted. */
#ifndef QEFF_TOOLS_NPY_H
#define QEFF_TOOLS_NPY_H

#include <qeff/error.h>
#include <qeff/qpc.h>

#include <stddef.h>
#include <stdint.h>

#define NPY_MAX_DIMS 16

/**
 * struct npy - an array
 * @kind: 'f' float, 'i' signed, 'u' unsigned, 'b' boolean
 * @element_bytes: bytes of an element
 * @num_dims: rank
 * @dims: dimensions, outermost first
 * @count: number of elements
 * @data: the elements, row-major, little endian; freed with npy_free()
 */
struct npy {
	char kind;
	uint32_t element_bytes;
	uint32_t num_dims;
	int32_t dims[NPY_MAX_DIMS];
	size_t count;
	void *data;
};

int npy_read(const char *path, struct npy *npy, struct qeff_error *err);
void npy_free(struct npy *npy);

int npy_write(const char *path, enum qeff_type type, const int32_t *dims, uint32_t num_dims,
	      const void *data, struct qeff_error *err);

/* Element @index as an integer; only for kinds other than 'f'. Unsigned ones above INT64_MAX become
 * INT64_MAX. */
int64_t npy_integer(const struct npy *npy, size_t index);

/* Stores an integer as @type at element @index of @to; -ERANGE if it does not fit, -EINVAL if the
 * type is not an integer one. */
int store_integer(void *to, enum qeff_type type, size_t index, int64_t value);

/* Stores a number as @type, F32 or F16, at element @index of @to. */
void store_float(void *to, enum qeff_type type, size_t index, double value);

/* Converts all elements to @type: integers to integers, floats to floats. @name: for sentences. */
int npy_convert(const struct npy *npy, const char *name, enum qeff_type type, void *to,
		struct qeff_error *err);

/* Fills @err and returns @code, as the library does it. */
__attribute__((format(printf, 3, 4))) int fail(struct qeff_error *err, int code, const char *format,
					       ...);

#endif
