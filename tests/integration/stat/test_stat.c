/* SPDX-License-Identifier: MIT */
/*
 * qeff-stat itself: what it says of a machine without cards, with cards that cannot be used, with
 * one that hangs, and of what this process runs on its software card.
 *
 * Arguments: qeff-stat, qeff-compile, a model, the library that makes ioctl() hang.
 */
#include "../../unit/unit.h"

#include <qeff/device.h>
#include <qeff/program.h>

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *stat_tool, *compile_tool, *model, *hang_library;
static char dir[64];
static char output[1 << 16];

/* Runs a command of the shell; its output is in @output. Returns the exit status. */
__attribute__((format(printf, 1, 2))) static int run(const char *format, ...)
{
	char command[2048];
	va_list args;
	size_t used;
	FILE *pipe;
	int status;

	va_start(args, format);
	vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	pipe = popen(command, "r");
	CU_ASSERT_PTR_NOT_NULL_FATAL(pipe);
	used = fread(output, 1, sizeof(output) - 1, pipe);
	output[used] = '\0';
	status = pclose(pipe);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void expect(int status, const char *arguments, const char *says)
{
	int got = run("QEFF_SYSFS=%s/sys %s %s 2>&1", dir, stat_tool, arguments);

	CU_ASSERT_EQUAL(got, status);
	CU_ASSERT_PTR_NOT_NULL(strstr(output, says));
	if (got != status || !strstr(output, says))
		fprintf(stderr, "qeff-stat %s: %d: %s\n", arguments, got, output);
}

static json_t *stat_json(void)
{
	json_t *root;

	CU_ASSERT_EQUAL(run("QEFF_SYSFS=%s/sys %s --json", dir, stat_tool), 0);
	root = json_loads(output, 0, NULL);
	CU_ASSERT_PTR_NOT_NULL_FATAL(root);
	return root;
}

static void command_line(void)
{
	expect(0, "--help", "Usage: qeff-stat");
	expect(0, "--version", "qeff-stat 0");
	expect(2, "--nonsense", "--help");
	expect(2, "surplus", "unexpected \"surplus\"");
	expect(1, "-d 7", "no card \"7\"");
	expect(1, "--watch -d soft", "no card on the PCI bus");
	expect(1, "-w -d 7", "no card on the PCI bus");
}

static void a_machine_without_cards(void)
{
	json_t *root, *device;

	expect(0, "", "No Cloud AI card in this machine");
	expect(0, "", "16 / 16");
	expect(0, "-d soft", "soft0");
	root = stat_json();
	CU_ASSERT_EQUAL(json_array_size(json_object_get(root, "devices")), 1);
	device = json_array_get(json_object_get(root, "devices"), 0);
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(device, "name")), "soft0");
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(device, "kind")), "soft");
	CU_ASSERT_EQUAL(json_integer_value(json_object_get(json_object_get(device, "status"),
							   "ddr_total_bytes")),
			INT64_C(32) << 30);
	CU_ASSERT_TRUE(json_is_null(json_object_get(device, "counters")));
	json_decref(root);
	CU_ASSERT_EQUAL(run("QEFF_SOFTCARDS=nsps=99 %s 2>&1", stat_tool), 1);
	CU_ASSERT_PTR_NOT_NULL(strstr(output, "qeff-stat: QEFF_SOFTCARDS: nsps=99, expected"));
}

/* It begins without a card, waits, and ends when it is told to; a machine that gets cards meanwhile
 * is the guest's in the VM tests. */
static void watching(void)
{
	CU_ASSERT_EQUAL(
		run("QEFF_SYSFS=%s/sys timeout -s TERM 0.3 %s --watch --json -d 0000:ff:1f.7 2>&1",
		    dir, stat_tool),
		124);
	CU_ASSERT_STRING_EQUAL(output, "");
}

/* The entry of this process, or NULL. */
static json_t *own_process(json_t *root)
{
	json_t *process;
	size_t i;

	json_array_foreach(json_object_get(root, "processes"), i,
			   process) if (json_integer_value(json_object_get(process, "pid")) ==
					getpid()) return process;
	return NULL;
}

static int64_t soft_nsps(json_t *process, const char *key)
{
	return json_integer_value(
		json_object_get(json_array_get(json_object_get(process, "devices"), 0), key));
}

static void what_this_process_runs(void)
{
	struct qeff_loaded_program *program = NULL;
	struct qeff_activation *activation = NULL;
	struct qeff_device *device = NULL;
	struct qeff_error err = { 0 };
	char package[128], row[64];
	json_t *root, *process, *entry;
	int64_t nsps;

	snprintf(package, sizeof(package), "%s/model.qpc", dir);
	CU_ASSERT_EQUAL_FATAL(run("%s %s -o %s --num-cores 4 2>&1", compile_tool, model, package),
			      0);
	root = stat_json();
	CU_ASSERT_PTR_NULL(own_process(root));
	json_decref(root);

	CU_ASSERT_EQUAL_FATAL(qeff_device_open("soft", &device, &err), 0);
	CU_ASSERT_EQUAL_FATAL(qeff_program_load(device, package, &program, &err), 0);
	CU_ASSERT_EQUAL_FATAL(qeff_program_activate(program, &activation, &err), 0);
	root = stat_json();
	process = own_process(root);
	CU_ASSERT_PTR_NOT_NULL_FATAL(process);
	CU_ASSERT_EQUAL(soft_nsps(process, "nsp_total"), 16);
	CU_ASSERT_EQUAL(soft_nsps(process, "nsp_free"), 12);
	CU_ASSERT_TRUE(soft_nsps(process, "ddr_free_bytes") <
		       soft_nsps(process, "ddr_total_bytes"));
	CU_ASSERT_EQUAL_FATAL(json_array_size(json_object_get(process, "programs")), 1);
	entry = json_array_get(json_object_get(process, "programs"), 0);
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(entry, "path")), package);
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(entry, "device")), "soft0");
	nsps = json_integer_value(json_object_get(entry, "nsps"));
	CU_ASSERT_EQUAL(nsps, 4);
	CU_ASSERT_TRUE(json_integer_value(json_object_get(entry, "ddr_bytes")) > 0);
	json_decref(root);
	snprintf(row, sizeof(row), "soft0 @%d", getpid());
	expect(0, "", row);
	expect(0, "", package);

	qeff_activation_end(activation);
	root = stat_json();
	CU_ASSERT_EQUAL(soft_nsps(own_process(root), "nsp_free"), 16);
	json_decref(root);
	qeff_program_unload(program);
	qeff_device_close(device);
	root = stat_json();
	CU_ASSERT_PTR_NULL(own_process(root));
	json_decref(root);
}

static void cards_that_cannot_be_used(void)
{
	json_t *root, *device;

	CU_ASSERT_EQUAL(run("set -e; p=%s/sys/bus/pci/devices/0000:03:00.0; mkdir -p $p;"
			    "echo 0x17cb >$p/vendor; echo 0xa100 >$p/device",
			    dir),
			0);
	expect(0, "", "0000:03:00.0: no driver holds 0000:03:00.0: neither module qeff nor qaic");
	CU_ASSERT_PTR_NULL(strstr(output, "No Cloud AI card"));
	expect(1, "-d 0", "no driver");
	expect(0, "-d soft", "soft0");
	root = stat_json();
	device = json_array_get(json_object_get(root, "devices"), 0);
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(device, "state")), "no driver");
	CU_ASSERT_TRUE(json_is_null(json_object_get(device, "status")));
	CU_ASSERT_PTR_NOT_NULL(json_string_value(json_object_get(device, "reason")));
	json_decref(root);
}

static void a_card_that_hangs(void)
{
	struct timespec start, end;
	double seconds;

	CU_ASSERT_EQUAL(run("set -e; p=%s/sys/bus/pci/devices/0000:03:00.0;"
			    "mkdir -p $p/accel/accel0 $p/mhi0/mhi0_QEFF_CONTROL %s/dev/accel;"
			    "ln -s ../../drivers/qeff $p/driver; : >%s/dev/accel/accel0",
			    dir, dir, dir),
			0);
	/* a file is not a DRM node */
	expect(0, "", "0000:03:00.0: ");
	CU_ASSERT_PTR_NOT_NULL(strstr(output, "error"));
	clock_gettime(CLOCK_MONOTONIC, &start);
	CU_ASSERT_EQUAL(
		run("ASAN_OPTIONS=verify_asan_link_order=0 LD_PRELOAD=%s QEFF_SYSFS=%s/sys %s "
		    "-d 0 2>&1",
		    hang_library, dir, stat_tool),
		1);
	clock_gettime(CLOCK_MONOTONIC, &end);
	seconds = (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) / 1e9;
	CU_ASSERT_PTR_NOT_NULL(strstr(output, "no answer"));
	CU_ASSERT_PTR_NOT_NULL(strstr(output, "0000:03:00.0: the card does not answer"));
	CU_ASSERT_TRUE(seconds < 2.0);
}

static const struct unit_test tests[] = {
	{ "command line", command_line },
	{ "a machine without cards", a_machine_without_cards },
	{ "watching", watching },
	{ "what this process runs", what_this_process_runs },
	{ "cards that cannot be used", cards_that_cannot_be_used },
	{ "a card that hangs", a_card_that_hangs },
};

int main(int argc, char **argv)
{
	int ret;

	if (argc != 5)
		return EXIT_FAILURE;
	stat_tool = argv[1];
	compile_tool = argv[2];
	model = argv[3];
	hang_library = argv[4];
	strcpy(dir, "/tmp/qeff-stat-XXXXXX");
	if (!mkdtemp(dir))
		return EXIT_FAILURE;
	/* for the tools and for this process */
	setenv("XDG_RUNTIME_DIR", dir, 1);
	unsetenv("QEFF_SOFTCARDS");
	ret = unit_main("qeff-stat", tests, sizeof(tests) / sizeof(tests[0]));
	snprintf(output, sizeof(output), "rm -rf %s", dir);
	return system(output) ? EXIT_FAILURE : ret;
}
