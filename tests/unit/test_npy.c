/* SPDX-License-Identifier: MIT */
/* NumPy files: read from bytes laid out by hand, written, converted, and refused when malformed. */
#include "../../tools/npy.h"

#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char path[64];

static void put(const void *data, size_t size)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	CU_ASSERT_TRUE_FATAL(fd >= 0);
	CU_ASSERT_EQUAL_FATAL(write(fd, data, size), (ssize_t)size);
	close(fd);
}

/* A file of version 1 with that header, padded with a newline only, and that data. */
static void put_npy(const char *header, const void *data, size_t size)
{
	uint8_t file[1024] = "\x93NUMPY\x01";
	size_t length = strlen(header);

	file[8] = (uint8_t)(length + 1);
	file[9] = (uint8_t)((length + 1) >> 8);
	memcpy(file + 10, header, length);
	file[10 + length] = '\n';
	memcpy(file + 11 + length, data, size);
	put(file, 11 + length + size);
}

static void versions(void)
{
	static const uint8_t one[] = "\x93NUMPY\x01\x00\x76\x00"
				     "{'descr': '<i8', 'fortran_order': False, 'shape': (1, 2), }"
				     "          "
				     "                                                \n"
				     "\x05\0\0\0\0\0\0\0\xfe\xff\xff\xff\xff\xff\xff\xff";
	static const uint8_t two[] = "\x93NUMPY\x02\x00\x34\x00\x00\x00"
				     "{'shape':(3,),'fortran_order':False,'descr':\"<f2\"}\n"
				     " "
				     "\x00\x3c\x00\xc0\x01\x00";
	struct qeff_error err = { 0 };
	struct npy npy;
	float floats[3];

	put(one, sizeof(one) - 1);
	CU_ASSERT_EQUAL_FATAL(npy_read(path, &npy, &err), 0);
	CU_ASSERT_EQUAL(npy.kind, 'i');
	CU_ASSERT_EQUAL(npy.element_bytes, 8);
	CU_ASSERT_EQUAL(npy.num_dims, 2);
	CU_ASSERT_EQUAL(npy.dims[0], 1);
	CU_ASSERT_EQUAL(npy.dims[1], 2);
	CU_ASSERT_EQUAL(npy_integer(&npy, 0), 5);
	CU_ASSERT_EQUAL(npy_integer(&npy, 1), -2);
	npy_free(&npy);

	put(two, sizeof(two) - 1);
	CU_ASSERT_EQUAL_FATAL(npy_read(path, &npy, &err), 0);
	CU_ASSERT_EQUAL(npy.num_dims, 1);
	CU_ASSERT_EQUAL(npy.dims[0], 3);
	CU_ASSERT_EQUAL(npy_convert(&npy, "x", QEFF_TYPE_F32, floats, &err), 0);
	CU_ASSERT_EQUAL(floats[0], 1);
	CU_ASSERT_EQUAL(floats[1], -2);
	CU_ASSERT_EQUAL(floats[2], 0x1p-24f);
	npy_free(&npy);
}

static void types(void)
{
	static const uint8_t bytes[] = { 0xff, 0x80, 0x01, 0x00, 0xff, 0xff, 0xff, 0xff };
	static const struct {
		const char *descr;
		int64_t first;
	} all[] = { { "|i1", -1 },
		    { "|u1", 255 },
		    { "<i2", -32513 },
		    { "<u2", 0x80ff },
		    { "<i4", 0x000180ff },
		    { "<u4", 0x000180ff },
		    { "<i8", (int64_t)0xffffffff000180ff },
		    { "<u8", INT64_MAX },
		    { "|b1", 255 } };
	struct qeff_error err = { 0 };
	char header[100];
	struct npy npy;

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		snprintf(header, sizeof(header),
			 "{'descr': '%s', 'fortran_order': False, 'shape': (%zu,)}", all[i].descr,
			 sizeof(bytes) / (size_t)(all[i].descr[2] - '0'));
		put_npy(header, bytes, sizeof(bytes));
		CU_ASSERT_EQUAL_FATAL(npy_read(path, &npy, &err), 0);
		CU_ASSERT_EQUAL(npy_integer(&npy, 0), all[i].first);
		npy_free(&npy);
	}
}

static void converted(void)
{
	const int32_t values[3] = { 1, -128, 128 };
	const double doubles[2] = { 0.1, -1e9 };
	struct qeff_error err = { 0 };
	struct npy npy;
	int64_t wide[3];
	int8_t narrow[3];
	float floats[2];
	_Float16 halves[2];

	put_npy("{'descr': '<i4', 'fortran_order': False, 'shape': (3,)}", values, sizeof(values));
	CU_ASSERT_EQUAL_FATAL(npy_read(path, &npy, &err), 0);
	CU_ASSERT_EQUAL(npy_convert(&npy, "x", QEFF_TYPE_I64, wide, &err), 0);
	CU_ASSERT_TRUE(wide[0] == 1 && wide[1] == -128 && wide[2] == 128);
	CU_ASSERT_EQUAL(npy_convert(&npy, "x", QEFF_TYPE_I8, narrow, &err), -ERANGE);
	CU_ASSERT_STRING_EQUAL(err.message, "x: element 2, 128, does not fit into int8");
	CU_ASSERT_EQUAL(npy_convert(&npy, "x", QEFF_TYPE_F32, floats, &err), -EINVAL);
	npy_free(&npy);

	put_npy("{'descr': '<f8', 'fortran_order': False, 'shape': (2, 1)}", doubles,
		sizeof(doubles));
	CU_ASSERT_EQUAL_FATAL(npy_read(path, &npy, &err), 0);
	CU_ASSERT_EQUAL(npy_convert(&npy, "x", QEFF_TYPE_F32, floats, &err), 0);
	CU_ASSERT_TRUE(floats[0] == 0.1f && floats[1] == -1e9f);
	CU_ASSERT_EQUAL(npy_convert(&npy, "x", QEFF_TYPE_F16, halves, &err), 0);
	CU_ASSERT_TRUE(halves[0] == (_Float16)0.1 && (float)halves[1] < -65504);
	CU_ASSERT_EQUAL(npy_convert(&npy, "x", QEFF_TYPE_I64, wide, &err), -EINVAL);
	npy_free(&npy);
}

static void written(void)
{
	static const uint8_t expected[128] =
		"\x93NUMPY\x01\x00\x76\x00"
		"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1, 3), }"
		"                                                       \n";
	const float values[6] = { 1, 2, 3, 4, 5, 6 };
	uint8_t bytes[256];
	struct qeff_error err = { 0 };
	struct npy npy;
	FILE *file;

	CU_ASSERT_EQUAL(npy_write(path, QEFF_TYPE_F32, (int32_t[]){ 2, 1, 3 }, 3, values, &err), 0);
	file = fopen(path, "rb");
	CU_ASSERT_PTR_NOT_NULL_FATAL(file);
	CU_ASSERT_EQUAL(fread(bytes, 1, sizeof(bytes), file), 128 + sizeof(values));
	fclose(file);
	CU_ASSERT_EQUAL(memcmp(bytes, expected, 128), 0);
	CU_ASSERT_EQUAL(memcmp(bytes + 128, values, sizeof(values)), 0);

	CU_ASSERT_EQUAL(npy_write(path, QEFF_TYPE_I64, NULL, 0, bytes, &err), 0);
	CU_ASSERT_EQUAL_FATAL(npy_read(path, &npy, &err), 0);
	CU_ASSERT_EQUAL(npy.num_dims, 0);
	CU_ASSERT_EQUAL(npy.count, 1);
	npy_free(&npy);
	CU_ASSERT_TRUE(npy_write("/nonexistent/x.npy", QEFF_TYPE_I64, NULL, 0, bytes, &err) < 0);
}

static void malformed(void)
{
	static const char *const headers[] = {
		"",
		"{",
		"{}",
		"{'descr': '<f4', 'fortran_order': False, 'shape': (2,)",
		"{'descr': '<f4', 'fortran_order': False, 'shape': (2,)} x",
		"{'descr': '<f4', 'fortran_order': False}",
		"{'descr': '>f4', 'fortran_order': False, 'shape': (2,)}",
		"{'descr': '<c8', 'fortran_order': False, 'shape': (1,)}",
		"{'descr': '<f1', 'fortran_order': False, 'shape': (8,)}",
		"{'descr': '<f44', 'fortran_order': False, 'shape': (2,)}",
		"{'descr': '', 'fortran_order': False, 'shape': (2,)}",
		"{'descr': '<', 'fortran_order': False, 'shape': (2,)}",
		"{'descr': '<f', 'fortran_order': False, 'shape': (2,)}",
		"{'descr': '<ffffffffffffffffffffffff', 'fortran_order': False, 'shape': (2,)}",
		"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,)}",
		"{'descr': '<f4', 'fortran_order': True, 'shape': (1, 2)}",
		"{'descr': '<f4', 'fortran_order': 0, 'shape': (2,)}",
		"{'descr': '<f4', 'fortran_order': False, 'shape': (3,)}",
		"{'descr': '<f4', 'fortran_order': False, 'shape': (1,)}",
		"{'descr': '<f4', 'fortran_order': False, 'shape': (-2,)}",
		"{'descr': '<f4', 'fortran_order': False, 'shape': (2 2)}",
		"{'descr': '<f4', 'fortran_order': False, 'shape': (2,}",
		"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999,)}",
		"{'descr': '<f4', 'fortran_order': False, 'shape': (2000000000, 2000000000, "
		"2000000000)}",
		"{'descr': '<f4', 'fortran_order': False, 'shape': (65536, 65536, 65536, 65536)}",
		"{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, "
		"1, 1, 1, 1, 1, 2)}",
		"{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2,)}",
		"{'descr': '<f4', 'fortran_order': False, 'shape': (2,), 'more': 1}",
	};
	const float data[2] = { 1, 2 };
	struct qeff_error err = { 0 };
	struct npy npy;

	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
		put_npy(headers[i], data, sizeof(data));
		err.message[0] = 0;
		CU_ASSERT_EQUAL(npy_read(path, &npy, &err), -EINVAL);
		CU_ASSERT_PTR_NULL(npy.data);
		CU_ASSERT_EQUAL(strncmp(err.message, path, strlen(path)), 0);
	}
	CU_ASSERT_EQUAL(npy_read("/nonexistent", &npy, &err), -ENOENT);
}

/* Every prefix of a good file, and every byte of its header changed. */
static void truncated(void)
{
	uint8_t file[128 + 8];
	struct qeff_error err = { 0 };
	struct npy npy;
	FILE *f;

	CU_ASSERT_EQUAL_FATAL(npy_write(path, QEFF_TYPE_I64, (int32_t[]){ 1 }, 1, "12345678", &err),
			      0);
	f = fopen(path, "rb");
	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	CU_ASSERT_EQUAL_FATAL(fread(file, 1, sizeof(file), f), sizeof(file));
	fclose(f);
	for (size_t i = 0; i < sizeof(file); i++) {
		put(file, i);
		CU_ASSERT_EQUAL(npy_read(path, &npy, &err), -EINVAL);
	}
	for (size_t i = 0; i < 128; i++) {
		uint8_t was = file[i];

		file[i] ^= 0x81;
		put(file, sizeof(file));
		if (!npy_read(path, &npy, &err)) {
			/* the unused minor version, for one */
			CU_ASSERT_EQUAL(npy.count * npy.element_bytes, 8);
			npy_free(&npy);
		}
		file[i] = was;
	}
}

static const struct unit_test tests[] = {
	{ "versions 1 and 2", versions }, { "types", types },	      { "converted", converted },
	{ "written", written },		  { "malformed", malformed }, { "truncated", truncated },
};

int main(void)
{
	int ret;

	snprintf(path, sizeof(path), "/tmp/qeff-test-npy-%d.npy", (int)getpid());
	ret = unit_main("npy", tests, sizeof(tests) / sizeof(tests[0]));
	unlink(path);
	return ret;
}
