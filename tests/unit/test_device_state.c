/* SPDX-License-Identifier: MIT */
/*
 * Published state: what a process says it runs, when others see it, and that the dead, the forked
 * and the lying leave nothing behind.
 */
#include "unit.h"

#include "device/device.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char runtime[64], folder[80];

static void set_up(void)
{
	strcpy(runtime, "/tmp/qeff-state-XXXXXX");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(runtime));
	setenv("XDG_RUNTIME_DIR", runtime, 1);
	setenv("QEFF_SYSFS", runtime, 1); /* no cards there */
	setenv("QEFF_SOFTCARDS", "nsps=4,ddr=1G;nsps=2,ddr=1G", 1);
	snprintf(folder, sizeof(folder), "%s/qeff", runtime);
}

static struct qeff_device *open_device(const char *name)
{
	struct qeff_device *device = NULL;
	struct qeff_error err = { 0 };

	CU_ASSERT_EQUAL_FATAL(qeff_device_open(name, &device, &err), 0);
	return device;
}

/* What @pid publishes; the caller frees the list. */
static const struct qeff_published_process *find(struct qeff_published_list **list, int pid)
{
	CU_ASSERT_EQUAL_FATAL(qeff_published_list(list, NULL), 0);
	for (size_t i = 0; i < (*list)->count; i++)
		if ((*list)->processes[i].pid == pid)
			return &(*list)->processes[i];
	return NULL;
}

static bool is_listed(int pid)
{
	struct qeff_published_list *list;
	bool found = find(&list, pid) != NULL;

	qeff_published_list_free(list);
	return found;
}

static bool has_file(int pid)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%d.json", folder, pid);
	return access(path, F_OK) == 0;
}

static void cards_and_programs(void)
{
	struct qeff_published_list *list;
	const struct qeff_published_process *p;
	struct qeff_device *device, *again, *other;
	struct qeff_state_program *first, *second;
	struct stat st;

	CU_ASSERT_FALSE(is_listed(getpid()));
	device = open_device("soft0");
	again = open_device("soft0");
	other = open_device("soft1");
	first = qeff_state_program_loaded(device, "llama", "/models/llama.qpc", 0, 1 << 20);
	second = qeff_state_program_loaded(other, "not \xff utf-8", NULL, 2, 5);
	CU_ASSERT_EQUAL(stat(folder, &st), 0);
	CU_ASSERT_EQUAL(st.st_mode & 0777, 0700);

	p = find(&list, getpid());
	CU_ASSERT_PTR_NOT_NULL_FATAL(p);
	CU_ASSERT_STRING_EQUAL(p->command, "test_device_state");
	/* opened twice, there once */
	CU_ASSERT_EQUAL_FATAL(p->num_devices, 2);
	CU_ASSERT_STRING_EQUAL(p->devices[0].name, "soft1");
	CU_ASSERT_STRING_EQUAL(p->devices[1].name, "soft0");
	CU_ASSERT_EQUAL(p->devices[1].kind, QEFF_DEVICE_SOFT);
	CU_ASSERT_EQUAL(p->devices[1].nsp_total, 4);
	CU_ASSERT_EQUAL(p->devices[1].nsp_free, 4);
	CU_ASSERT_EQUAL(p->devices[1].ddr_total_bytes, 1 << 30);
	CU_ASSERT_EQUAL_FATAL(p->num_programs, 2);
	CU_ASSERT_STRING_EQUAL(p->programs[1].device, "soft0");
	CU_ASSERT_STRING_EQUAL(p->programs[1].name, "llama");
	CU_ASSERT_STRING_EQUAL(p->programs[1].path, "/models/llama.qpc");
	CU_ASSERT_EQUAL(p->programs[1].nsps, 0);
	CU_ASSERT_EQUAL(p->programs[1].ddr_bytes, 1 << 20);
	CU_ASSERT_STRING_EQUAL(p->programs[0].name, "(not UTF-8)");
	qeff_published_list_free(list);

	qeff_state_program_changed(first, 3, 2 << 20);
	qeff_state_program_unloaded(second);
	p = find(&list, getpid());
	CU_ASSERT_PTR_NOT_NULL_FATAL(p);
	CU_ASSERT_EQUAL_FATAL(p->num_programs, 1);
	CU_ASSERT_EQUAL(p->programs[0].nsps, 3);
	CU_ASSERT_EQUAL(p->programs[0].ddr_bytes, 2 << 20);
	qeff_published_list_free(list);

	qeff_state_program_unloaded(first);
	qeff_device_close(other);
	qeff_device_close(again);
	CU_ASSERT_TRUE(is_listed(getpid()));
	qeff_device_close(device);
	CU_ASSERT_FALSE(is_listed(getpid()));
	CU_ASSERT_FALSE(has_file(getpid()));
	/* what could not be made is accepted */
	qeff_state_program_changed(NULL, 1, 1);
	qeff_state_program_updated(NULL, 1);
	qeff_state_program_unloaded(NULL);
	qeff_published_list_free(NULL);
}

/* Inferences are counted without a write each; the count follows within about a second. */
static void counters_follow(void)
{
	struct qeff_device *device = open_device("soft0");
	struct qeff_state_program *program =
		qeff_state_program_loaded(device, "counted", NULL, 1, 0);
	int watch = inotify_init1(IN_CLOEXEC), events = 0;
	struct pollfd fd = { .fd = watch, .events = POLLIN };
	struct qeff_published_list *list;
	const struct qeff_published_process *p;
	char buffer[4096];

	CU_ASSERT_TRUE_FATAL(inotify_add_watch(watch, folder, IN_MOVED_TO) >= 0);
	for (int i = 0; i < 100000; i++)
		qeff_state_program_updated(program, 3);
	CU_ASSERT_EQUAL_FATAL(poll(&fd, 1, 10000), 1);
	events += (int)read(watch, buffer, sizeof(buffer)) > 0;
	p = find(&list, getpid());
	CU_ASSERT_PTR_NOT_NULL_FATAL(p);
	CU_ASSERT_EQUAL_FATAL(p->num_programs, 1);
	CU_ASSERT_EQUAL(p->programs[0].inferences, 300000);
	qeff_published_list_free(list);
	/* and the second batch too */
	qeff_state_program_updated(program, 1);
	CU_ASSERT_EQUAL_FATAL(poll(&fd, 1, 10000), 1);
	p = find(&list, getpid());
	CU_ASSERT_EQUAL_FATAL(p->num_programs, 1);
	CU_ASSERT_EQUAL(p->programs[0].inferences, 300001);
	qeff_published_list_free(list);
	CU_ASSERT_EQUAL(events, 1);
	close(watch);
	qeff_state_program_updated(program, 1); /* closing does not wait for the thread's second */
	qeff_state_program_unloaded(program);
	qeff_device_close(device);
	CU_ASSERT_FALSE(has_file(getpid()));
}

/* A process that publishes and then waits to be killed; it has told us so when this returns. */
static pid_t start_process(int with_child, int *hold)
{
	int ready[2], wait_pipe[2];
	char byte;
	pid_t pid;

	CU_ASSERT_EQUAL_FATAL(pipe(ready), 0);
	CU_ASSERT_EQUAL_FATAL(pipe(wait_pipe), 0);
	pid = fork();
	if (pid == 0) {
		close(wait_pipe[1]);
		if (!open_device("soft0"))
			_exit(1);
		if (with_child && fork() == 0) {
			/* a child that lives on, with whatever it has inherited */
			ssize_t n = write(ready[1], "c", 1);

			n += read(wait_pipe[0], &byte, 1);
			_exit(n < 0);
		}
		if (!with_child && write(ready[1], "r", 1) != 1)
			_exit(1);
		pause();
		_exit(0);
	}
	close(ready[1]);
	close(wait_pipe[0]);
	CU_ASSERT_EQUAL_FATAL(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	*hold = wait_pipe[1];
	return pid;
}

static void the_dead_are_reaped(void)
{
	for (int with_child = 0; with_child < 2; with_child++) {
		int hold, status;
		pid_t pid = start_process(with_child, &hold);

		CU_ASSERT_TRUE(is_listed(pid));
		CU_ASSERT_TRUE(has_file(pid));
		kill(pid, SIGKILL);
		CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
		CU_ASSERT_TRUE(has_file(pid));
		CU_ASSERT_FALSE(is_listed(pid));
		CU_ASSERT_FALSE(has_file(pid));
		close(hold);
	}
}

/* A file of a process that seems to live, since we hold its lock. */
static int put_live_file(const char *name, const char *text, size_t size)
{
	char path[160];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = open(path, O_CREAT | O_RDWR | O_TRUNC | O_CLOEXEC, 0600);
	CU_ASSERT_TRUE_FATAL(fd >= 0);
	CU_ASSERT_EQUAL(flock(fd, LOCK_EX | LOCK_NB), 0);
	CU_ASSERT_EQUAL(write(fd, text, size), (ssize_t)size);
	return fd;
}

static void lies_are_left_out(void)
{
	static const char *const bad[] = {
		"",
		"{",
		"[]",
		"{\"pid\":1999999999}",
		"{\"pid\":1999999998,\"command\":\"x\",\"devices\":[],\"programs\":[]}",
		"{\"pid\":1999999999,\"command\":7,\"devices\":[],\"programs\":[]}",
		"{\"pid\":1999999999,\"command\":\"x\",\"devices\":[7],\"programs\":[]}",
		"{\"pid\":1999999999,\"command\":\"x\",\"devices\":[],\"programs\":[{}]}",
	};
	static const char good[] =
		"{\"pid\":1999999999,\"command\":\"a very long name of a command that "
		"ends somewhere\",\"devices\":[{\"name\":\"s\",\"kind\":\"soft\","
		"\"nsp_total\":-5}],\"programs\":[]}";
	struct qeff_published_list *list;
	const struct qeff_published_process *p;
	char path[160], *big;
	int fd;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		fd = put_live_file("1999999999.json", bad[i], strlen(bad[i]));
		CU_ASSERT_FALSE(is_listed(1999999999));
		close(fd);
	}
	/* too many entries; too large */
	big = malloc(2 << 20);
	memset(big, ' ', 2 << 20);
	memcpy(big, good, sizeof(good) - 1);
	fd = put_live_file("1999999999.json", big, 2 << 20);
	CU_ASSERT_FALSE(is_listed(1999999999));
	close(fd);
	size_t used = (size_t)sprintf(big, "{\"pid\":1999999999,\"command\":\"x\",\"programs\":[],"
					   "\"devices\":[");
	for (int i = 0; i < 5000; i++)
		used += (size_t)sprintf(big + used, "{\"name\":\"s\",\"kind\":\"soft\"},");
	used += (size_t)sprintf(big + used - 1, "]}") - 1;
	fd = put_live_file("1999999999.json", big, used);
	CU_ASSERT_FALSE(is_listed(1999999999));
	close(fd);
	free(big);

	fd = put_live_file("1999999999.json", good, sizeof(good) - 1);
	p = find(&list, 1999999999);
	CU_ASSERT_PTR_NOT_NULL_FATAL(p);
	CU_ASSERT_STRING_EQUAL(p->command, "a very long name of a command t");
	CU_ASSERT_EQUAL(p->devices[0].nsp_total, 0);
	qeff_published_list_free(list);
	close(fd);
	CU_ASSERT_FALSE(is_listed(1999999999));
	CU_ASSERT_FALSE(has_file(1999999999));

	/* names that are no pids, links, folders: not touched, not followed */
	fd = put_live_file("notes.json", good, sizeof(good) - 1);
	close(fd);
	snprintf(path, sizeof(path), "%s/1999999999.json", folder);
	CU_ASSERT_EQUAL(symlink("notes.json", path), 0);
	CU_ASSERT_FALSE(is_listed(1999999999));
	CU_ASSERT_TRUE(has_file(1999999999));
	unlink(path);
	CU_ASSERT_EQUAL(mkfifo(path, 0600), 0);
	CU_ASSERT_FALSE(is_listed(1999999999));
	unlink(path);
	snprintf(path, sizeof(path), "%s/notes.json", folder);
	CU_ASSERT_EQUAL(unlink(path), 0);
}

/* A user with neither folder can use cards all the same. */
static void without_a_folder_nothing_is_published(void)
{
	int status;
	pid_t child;

	CU_ASSERT_EQUAL(rmdir(folder), 0);
	chmod(runtime, 0555);
	child = fork();
	if (child == 0) {
		struct qeff_device *device;

		if (geteuid() == 0 && setresuid(65534, 65534, 65534))
			_exit(2);
		device = open_device("soft0");
		qeff_state_program_unloaded(qeff_state_program_loaded(device, "x", NULL, 1, 1));
		CU_ASSERT_FALSE(is_listed(getpid()));
		qeff_device_close(device);
		_exit(CU_get_number_of_failures() == 0 ? 0 : 1);
	}
	CU_ASSERT_EQUAL_FATAL(waitpid(child, &status, 0), child);
	CU_ASSERT_EQUAL(status, 0);
	chmod(runtime, 0700);
	CU_ASSERT_EQUAL(rmdir(runtime), 0);
}

static const struct unit_test tests[] = {
	{ "set up", set_up },
	{ "cards and programs", cards_and_programs },
	{ "counters follow", counters_follow },
	{ "the dead are reaped", the_dead_are_reaped },
	{ "lies are left out", lies_are_left_out },
	{ "without a folder nothing is published", without_a_folder_nothing_is_published },
};
QEFF_UNIT_MAIN("device-state", tests)
