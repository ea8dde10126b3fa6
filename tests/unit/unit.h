/* SPDX-License-Identifier: MIT */
/*
 * The main() of a CUnit test program: one suite, its tests by name, the summary on standard output,
 * and an exit status that meson understands (0 passed, 1 failed, 77 skipped).
 */
#ifndef QEFF_TESTS_UNIT_H
#define QEFF_TESTS_UNIT_H

#include <CUnit/Basic.h>
#include <stdlib.h>

struct unit_test {
	const char *name;
	void (*run)(void);
};

#define QEFF_UNIT_SKIP 77

static inline int unit_main(const char *suite_name, const struct unit_test *tests, size_t count)
{
	unsigned int failed;
	CU_pSuite suite;

	if (CU_initialize_registry() != CUE_SUCCESS)
		return EXIT_FAILURE;
	suite = CU_add_suite(suite_name, NULL, NULL);
	if (!suite)
		return EXIT_FAILURE;
	for (size_t i = 0; i < count; i++)
		if (!CU_add_test(suite, tests[i].name, tests[i].run))
			return EXIT_FAILURE;
	CU_basic_set_mode(CU_BRM_NORMAL);
	CU_basic_run_tests();
	failed = CU_get_number_of_failures() + CU_get_number_of_suites_failed();
	CU_cleanup_registry();
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* static const struct unit_test tests[] = { { "name", function }, ... }; QEFF_UNIT_MAIN("suite",
 * tests) */
#define QEFF_UNIT_MAIN(suite_name, tests)                                                          \
	int main(void)                                                                             \
	{                                                                                          \
		return unit_main(suite_name, tests, sizeof(tests) / sizeof((tests)[0]));           \
	}

#endif
