/* SPDX-License-Identifier: MIT */
/* For tests that write packages: a folder that is gone when they end. */
#ifndef QEFF_TESTS_QPC_FOLDER_H
#define QEFF_TESTS_QPC_FOLDER_H

#include "unit.h"

#include <stdio.h>
#include <unistd.h>

static char folder[] = "/tmp/qeff-test-qpc-XXXXXX";

static inline const char *path_in_folder(const char *name)
{
	static char path[256];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return path;
}

#define QPC_UNIT_MAIN(suite_name, tests)                                                           \
	int main(void)                                                                             \
	{                                                                                          \
		int ret;                                                                           \
                                                                                                   \
		if (!mkdtemp(folder))                                                              \
			return EXIT_FAILURE;                                                       \
		ret = unit_main(suite_name, tests, sizeof(tests) / sizeof((tests)[0]));            \
		return rmdir(folder) ? EXIT_FAILURE : ret;                                         \
	}

#endif
