/* SPDX-License-Identifier: MIT */
/* Files, bytes and errors: output is whole or absent, readers never leave their range. */
#include "unit.h"

#include "util/bytes.h"
#include "util/checked.h"
#include "util/error.h"
#include "util/file.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "qeff-util-XXXXXX";

static int files_in_folder(void)
{
	DIR *dir = opendir(folder);
	int count = 0;

	while (readdir(dir))
		count++;
	closedir(dir);
	return count - 2; /* . and .. */
}

static void output_is_whole_or_absent(void)
{
	static const uint8_t big[3 << 20] = { 1, 2, 3 };
	struct qeff_error err = { 0 };
	struct qeff_output out;
	struct qeff_map map;
	char path[64];

	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/x", folder);
	CU_ASSERT_EQUAL_FATAL(qeff_output_open(&out, path, &err), 0);
	CU_ASSERT_EQUAL(qeff_output_write(&out, "abc", 3, &err), 0);
	CU_ASSERT_NOT_EQUAL(access(path, F_OK), 0);
	qeff_output_abort(&out);
	CU_ASSERT_EQUAL(files_in_folder(), 0);

	CU_ASSERT_EQUAL_FATAL(qeff_output_open(&out, path, &err), 0);
	CU_ASSERT_EQUAL(qeff_output_write(&out, "abc", 3, &err), 0);
	CU_ASSERT_EQUAL(qeff_output_align(&out, 4096, &err), 0);
	CU_ASSERT_EQUAL(qeff_output_write(&out, big, sizeof(big), &err), 0);
	CU_ASSERT_EQUAL(qeff_output_write(&out, "tail", 4, &err), 0);
	CU_ASSERT_EQUAL(qeff_output_patch(&out, 1, "X", 1, &err), 0);
	CU_ASSERT_EQUAL(qeff_output_patch(&out, 4096 + sizeof(big) + 4, "X", 1, &err), -EINVAL);
	CU_ASSERT_EQUAL_FATAL(qeff_output_commit(&out, &err), 0);
	CU_ASSERT_EQUAL(files_in_folder(), 1);
	CU_ASSERT_EQUAL_FATAL(qeff_map_open(&map, path, &err), 0);
	CU_ASSERT_EQUAL(map.size_bytes, 4096 + sizeof(big) + 4);
	CU_ASSERT_EQUAL(memcmp(map.data, "aXc\0", 4), 0);
	CU_ASSERT_EQUAL(memcmp(map.data + 4096, big, sizeof(big)), 0);
	CU_ASSERT_EQUAL(memcmp(map.data + 4096 + sizeof(big), "tail", 4), 0);
	qeff_map_close(&map);
	unlink(path);
	rmdir(folder);
}

static void errors_name_the_file(void)
{
	struct qeff_error err = { 0 };
	struct qeff_map map;

	CU_ASSERT_EQUAL(qeff_map_open(&map, "no/such", &err), -ENOENT);
	CU_ASSERT_STRING_EQUAL(err.message, "no/such: cannot open: No such file or directory");
	CU_ASSERT_EQUAL(qeff_map_open(&map, "/", &err), -EINVAL);
	CU_ASSERT_EQUAL(qeff_error_prefix(&err, -EINVAL, "model %d", 7), -EINVAL);
	CU_ASSERT_STRING_EQUAL(err.message, "model 7: /: not a regular file");
	CU_ASSERT_EQUAL(qeff_map_open(&map, "no/such", NULL), -ENOENT);
}

static void readers_stay_inside(void)
{
	static const uint8_t data[] = { 1, 2, 3, 4, 5 };
	struct qeff_reader r = qeff_reader_of(data, sizeof(data));

	CU_ASSERT_EQUAL(qeff_read_u32(&r), 0x04030201);
	CU_ASSERT_FALSE(r.failed);
	CU_ASSERT_EQUAL(qeff_read_u16(&r), 0);
	CU_ASSERT_TRUE(r.failed);
	CU_ASSERT_EQUAL(qeff_read_u8(&r), 0);
	CU_ASSERT_TRUE(qeff_range_valid(5, 0, 5));
	CU_ASSERT_FALSE(qeff_range_valid(5, 1, 5));
	CU_ASSERT_FALSE(qeff_range_valid(UINT64_MAX, 2, UINT64_MAX));
}

static void bytes_grow_and_align(void)
{
	struct qeff_bytes b = { 0 };

	qeff_bytes_u8(&b, 9);
	qeff_bytes_align(&b, 8);
	CU_ASSERT_EQUAL(b.size_bytes, 8);
	qeff_bytes_u64(&b, 0x1122334455667788);
	CU_ASSERT_EQUAL(b.data[8], 0x88);
	CU_ASSERT_PTR_NULL(qeff_bytes_append(&b, NULL, SIZE_MAX));
	CU_ASSERT_TRUE(b.failed);
	qeff_bytes_free(&b);
}

static void errors_do_not_steer_a_terminal(void)
{
	struct qeff_error err = { 0 };

	CU_ASSERT_EQUAL(qeff_error_set(&err, -EINVAL, "key \"%s\"", "a\033[2Jb\n\x7f\xc3\xa9"),
			-EINVAL);
	CU_ASSERT_STRING_EQUAL(err.message, "key \"a?[2Jb??\xc3\xa9\"");
	qeff_error_prefix(&err, -EINVAL, "file\r%d", 1);
	CU_ASSERT_STRING_EQUAL(err.message, "file?1: key \"a?[2Jb??\xc3\xa9\"");
}

static const struct unit_test tests[] = {
	{ "output is whole or absent", output_is_whole_or_absent },
	{ "errors name the file", errors_name_the_file },
	{ "errors do not steer a terminal", errors_do_not_steer_a_terminal },
	{ "readers stay inside", readers_stay_inside },
	{ "bytes grow and align", bytes_grow_and_align },
};
QEFF_UNIT_MAIN("util", tests)
