/* SPDX-License-Identifier: MIT */
/* qeff-load's manners: help, versions, exit statuses, the check of itself, JSON. */
#include "../../unit/unit.h"
#include "rig.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void help_and_version(void)
{
	char text[8192], *line, *rest = text;
	int lines = 0;

	CU_ASSERT_EQUAL(run(text, sizeof(text), "%s --help", rig.load), 0);
	while ((line = strsep(&rest, "\n")) && rest) {
		lines++;
		CU_ASSERT_TRUE(strlen(line) <= 80);
	}
	CU_ASSERT_TRUE(lines > 10 && lines <= 24);
	CU_ASSERT_EQUAL(run(text, sizeof(text), "%s --version", rig.load), 0);
	CU_ASSERT_EQUAL(strncmp(text, "qeff-load ", 10), 0);
}

static void wrong_usage(void)
{
	static const char *const wrong[] = {
		"",
		"one.qpc two.qpc",
		"one.qpc --nonsense",
		"one.qpc --runs 0",
		"one.qpc --runs 3x",
		"one.qpc --runs -1",
		"one.qpc --top-p 1.5",
		"one.qpc --temperature nan",
		"one.qpc --max-new-tokens",
		"one.qpc -i nothing",
		"one.qpc -i =file",
		"one.qpc -i a=b -i a=c",
		"one.qpc --prompt a --prompt-ids 1",
		"one.qpc --prompt a --text b",
		"one.qpc --prompt-ids 1,,2",
		"one.qpc --prompt-ids 1,x",
	};
	char text[4096];

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		int status = run(text, sizeof(text), "%s %s", rig.load, wrong[i]);

		if (status != 2)
			fprintf(stderr, "%s: exit status %d\n", wrong[i], status);
		CU_ASSERT_EQUAL(status, 2);
		CU_ASSERT_TRUE(strlen(text) > 20);
	}
}

static void failures(void)
{
	char text[4096];

	CU_ASSERT_EQUAL(run(text, sizeof(text), "%s -d soft /nonexistent.qpc", rig.load), 1);
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "/nonexistent.qpc"));
	CU_ASSERT_EQUAL(run(text, sizeof(text), "%s -d soft /dev/null", rig.load), 1);
	CU_ASSERT_EQUAL(run(text, sizeof(text), "%s -d 0000:ff:1f.7 one.qpc", rig.load), 1);
	CU_ASSERT_EQUAL(run(text, sizeof(text), "%s -d soft one.qpc -i x=/nonexistent", rig.load),
			1);
	CU_ASSERT_EQUAL(run(text, sizeof(text), "%s one.qpc --prompt-file /nonexistent", rig.load),
			1);
	CU_ASSERT_EQUAL(run(text, sizeof(text), "%s one.qpc --prompt-file /dev/zero", rig.load), 1);
}

static void check_of_itself(void)
{
	char text[65536];

	if (!run_well("%s %s/tiny-llama-stories -o %s --num-cores 4", rig.compile, rig.models,
		      rig_file("kv.qpc")))
		return;
	CU_ASSERT_EQUAL(
		run(text, sizeof(text), "%s -d soft --runs 3 %s", rig.load, rig_file("kv.qpc")), 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "input_ids"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "1x32 or 1x1"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "state      24 bindings stay on the card"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "4 NSPs: 0-3"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "on average of 3"));
	/* output that nobody reads is a failure, not silence */
	CU_ASSERT_EQUAL(
		run(text, sizeof(text), "%s -d soft %s >/dev/full", rig.load, rig_file("kv.qpc")),
		1);
}

static void json(void)
{
	static char text[1 << 20];
	json_t *object, *nsps;

	CU_ASSERT_EQUAL(run(text, sizeof(text), "%s -d soft --json %s 2>/dev/null", rig.load,
			    rig_file("kv.qpc")),
			0);
	object = json_loads(text, 0, NULL);
	CU_ASSERT_PTR_NOT_NULL_FATAL(object);
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(object, "device")), "soft0");
	CU_ASSERT_TRUE(json_real_value(json_object_get(object, "total_s")) > 0);
	CU_ASSERT_EQUAL(
		json_array_size(json_object_get(json_object_get(object, "outputs"), "logits")), 3);
	nsps = json_object_get(object, "nsps");
	CU_ASSERT_EQUAL(json_array_size(nsps), 4);
	for (size_t i = 0; i < json_array_size(nsps); i++) {
		CU_ASSERT_TRUE(
			json_integer_value(json_object_get(json_array_get(nsps, i), "macs")) > 0);
		CU_ASSERT_TRUE(
			json_integer_value(json_object_get(json_array_get(nsps, i), "bytes")) > 0);
	}
	json_decref(object);
}

static const struct unit_test tests[] = {
	{ "help and version", help_and_version },
	{ "wrong usage", wrong_usage },
	{ "failures", failures },
	{ "the check of itself", check_of_itself },
	{ "JSON", json },
};

int main(int argc, char **argv)
{
	int ret;

	if (!rig_open(argc, argv))
		return EXIT_FAILURE;
	ret = unit_main("qeff-load, manners", tests, sizeof(tests) / sizeof(tests[0]));
	rig_close();
	return ret;
}
