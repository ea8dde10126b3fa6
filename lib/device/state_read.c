/* SPDX-License-Identifier: MIT */
/*
 * Reading what processes publish. A file is another process's: it is taken only whole, bounded, and
 * in the form that state.c writes. A file whose lock is free belongs to nobody and is removed.
 */
#include "device/state.h"
#include "util/cancel.h"
#include "util/error.h"

#include <dirent.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_FILE_BYTES ((size_t)1 << 20)
#define MAX_ENTRIES    4096u

static bool get_text(const json_t *object, const char *key, char *to, size_t size_bytes)
{
	const char *text = json_string_value(json_object_get(object, key));

	if (!text)
		return false;
	snprintf(to, size_bytes, "%s", text);
	return true;
}

static uint64_t get_number(const json_t *object, const char *key)
{
	json_int_t value = json_integer_value(json_object_get(object, key));

	return value > 0 ? (uint64_t)value : 0;
}

static bool parse_device(const json_t *object, struct qeff_published_device *d)
{
	char kind[8];

	if (!get_text(object, "name", d->name, sizeof(d->name)) ||
	    !get_text(object, "kind", kind, sizeof(kind)))
		return false;
	d->kind = strcmp(kind, "soft") == 0 ? QEFF_DEVICE_SOFT : QEFF_DEVICE_DRM;
	d->nsp_total = (uint32_t)get_number(object, "nsp_total");
	d->nsp_free = (uint32_t)get_number(object, "nsp_free");
	d->ddr_total_bytes = get_number(object, "ddr_total_bytes");
	d->ddr_free_bytes = get_number(object, "ddr_free_bytes");
	return true;
}

static bool parse_program(const json_t *object, struct qeff_published_program *p)
{
	if (!get_text(object, "device", p->device, sizeof(p->device)) ||
	    !get_text(object, "name", p->name, sizeof(p->name)) ||
	    !get_text(object, "path", p->path, sizeof(p->path)))
		return false;
	p->nsps = (uint32_t)get_number(object, "nsps");
	p->ddr_bytes = get_number(object, "ddr_bytes");
	p->inferences = get_number(object, "inferences");
	return true;
}

static void free_process(struct qeff_published_process *process)
{
	free(process->devices);
	free(process->programs);
}

static bool parse_process(const json_t *root, int pid, struct qeff_published_process *process)
{
	const json_t *devices = json_object_get(root, "devices");
	const json_t *programs = json_object_get(root, "programs");

	*process = (struct qeff_published_process){
		.pid = pid,
		.num_devices = json_array_size(devices),
		.num_programs = json_array_size(programs),
	};
	if (json_integer_value(json_object_get(root, "pid")) != pid ||
	    !get_text(root, "command", process->command, sizeof(process->command)) ||
	    process->num_devices > MAX_ENTRIES || process->num_programs > MAX_ENTRIES)
		return false;
	/* one more than needed, since none would give NULL */
	process->devices = calloc(process->num_devices + 1, sizeof(*process->devices));
	process->programs = calloc(process->num_programs + 1, sizeof(*process->programs));
	if (!process->devices || !process->programs)
		goto bad;
	for (size_t i = 0; i < process->num_devices; i++)
		if (!parse_device(json_array_get(devices, i), &process->devices[i]))
			goto bad;
	for (size_t i = 0; i < process->num_programs; i++)
		if (!parse_program(json_array_get(programs, i), &process->programs[i]))
			goto bad;
	return true;
bad:
	free_process(process);
	return false;
}

static json_t *load(int fd)
{
	char *text = malloc(MAX_FILE_BYTES);
	json_t *root = NULL;
	ssize_t n;

	if (!text)
		return NULL;
	n = pread(fd, text, MAX_FILE_BYTES, 0);
	if (n > 0 && (size_t)n < MAX_FILE_BYTES)
		root = json_loadb(text, (size_t)n, 0, NULL);
	free(text);
	return root;
}

/* Whether @fd is still the file called @name: a live process may have replaced it meanwhile. */
static bool is_current(int folder, const char *name, int fd)
{
	struct stat opened, named;

	return fstat(fd, &opened) == 0 && fstatat(folder, name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
	       opened.st_ino == named.st_ino && opened.st_dev == named.st_dev;
}

/* Opens the file of a live process, or returns -1. */
static int open_live(int folder, const char *name)
{
	/* each turn lost means that the process has just written: it is alive */
	for (int turn = 0; turn < 10; turn++) {
		int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
		struct stat st;

		if (fd < 0)
			return -1;
		if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
			close(fd);
			return -1;
		}
		/* a shared lock, so that two readers do not take each other for the process */
		if (flock(fd, LOCK_SH | LOCK_NB) < 0)
			return fd;
		if (is_current(folder, name, fd)) {
			unlinkat(folder, name, 0);
			close(fd);
			return -1;
		}
		close(fd);
	}
	return -1;
}

static int add_process(struct qeff_published_list *list,
		       const struct qeff_published_process *process)
{
	struct qeff_published_process *grown =
		reallocarray(list->processes, list->count + 1, sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	list->processes = grown;
	grown[list->count++] = *process;
	return 0;
}

static int read_file(int folder, const char *name, struct qeff_published_list *list)
{
	struct qeff_published_process process;
	char *end;
	long pid = strtol(name, &end, 10);
	json_t *root;
	int fd, ret = 0;

	if (pid <= 0 || pid > INT32_MAX || strcmp(end, ".json") != 0 || list->count >= MAX_ENTRIES)
		return 0;
	fd = open_live(folder, name);
	if (fd < 0)
		return 0;
	root = load(fd);
	close(fd);
	if (root && parse_process(root, (int)pid, &process)) {
		ret = add_process(list, &process);
		if (ret)
			free_process(&process);
	}
	json_decref(root);
	return ret;
}

static int read_folder(const char *path, struct qeff_published_list *list)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	int ret = 0;

	if (!dir)
		return 0;
	while (!ret && (entry = readdir(dir)))
		ret = read_file(dirfd(dir), entry->d_name, list);
	closedir(dir);
	return ret;
}

static int by_pid(const void *left, const void *right)
{
	const struct qeff_published_process *l = left, *r = right;

	return l->pid < r->pid ? -1 : l->pid > r->pid;
}

int qeff_published_list(struct qeff_published_list **list, struct qeff_error *err)
{
	struct qeff_published_list *found = calloc(1, sizeof(*found));
	char path[256];
	QEFF_NO_CANCEL;
	int ret = found ? 0 : -ENOMEM;

	for (unsigned int i = 0; !ret && i < QEFF_STATE_FOLDERS; i++)
		if (qeff_state_folder(i, path, sizeof(path)))
			ret = read_folder(path, found);
	if (ret) {
		qeff_published_list_free(found);
		return qeff_error_set(err, ret, "published state: out of memory");
	}
	if (found->count)
		qsort(found->processes, found->count, sizeof(*found->processes), by_pid);
	*list = found;
	return 0;
}

void qeff_published_list_free(struct qeff_published_list *list)
{
	if (!list)
		return;
	for (size_t i = 0; i < list->count; i++)
		free_process(&list->processes[i]);
	free(list->processes);
	free(list);
}
