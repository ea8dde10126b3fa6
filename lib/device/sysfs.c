/* SPDX-License-Identifier: MIT */
/* Reading sysfs attributes, links and folders. */
#include "device/sysfs.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool qeff_path(char *path, size_t size_bytes, const char *format, ...)
{
	va_list args;
	int used;

	va_start(args, format);
	used = vsnprintf(path, size_bytes, format, args);
	va_end(args);
	if (used >= 0 && (size_t)used < size_bytes)
		return true;
	path[0] = '\0';
	return false;
}

void qeff_sysfs_locate(struct qeff_sysfs *s)
{
	const char *named = secure_getenv("QEFF_SYSFS");
	char *end;

	*s = (struct qeff_sysfs){ .sysfs = "/sys", .is_real = true };
	if (!named || !*named || !qeff_path(s->sysfs, sizeof(s->sysfs), "%s", named))
		return;
	s->is_real = false;
	end = s->sysfs + strlen(s->sysfs);
	while (end > s->sysfs + 1 && end[-1] == '/')
		*--end = '\0';
	strcpy(s->root, s->sysfs);
	end = strrchr(s->root, '/');
	if (end)
		*end = '\0';
	else
		strcpy(s->root, ".");
}

bool qeff_sysfs_line(const char *path, const char *name, char *line, size_t size_bytes)
{
	char file[QEFF_PATH_BYTES];
	ssize_t n;
	int fd;

	line[0] = '\0';
	if (!qeff_path(file, sizeof(file), "%s/%s", path, name))
		return false;
	fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return false;
	n = read(fd, line, size_bytes - 1);
	close(fd);
	line[n > 0 ? n : 0] = '\0';
	line[strcspn(line, "\n")] = '\0';
	return n > 0;
}

bool qeff_sysfs_hex(const char *path, const char *name, uint32_t *value)
{
	char line[32], *end;
	unsigned long read_value;

	if (!qeff_sysfs_line(path, name, line, sizeof(line)))
		return false;
	read_value = strtoul(line, &end, 16);
	if (end == line || *end || read_value > UINT32_MAX)
		return false;
	*value = (uint32_t)read_value;
	return true;
}

bool qeff_sysfs_link(const char *path, const char *name, char *target, size_t size_bytes)
{
	char file[QEFF_PATH_BYTES], to[QEFF_PATH_BYTES];
	const char *last;
	ssize_t n;

	target[0] = '\0';
	if (!qeff_path(file, sizeof(file), "%s/%s", path, name))
		return false;
	n = readlink(file, to, sizeof(to) - 1);
	if (n <= 0)
		return false;
	to[n] = '\0';
	last = strrchr(to, '/');
	return qeff_path(target, size_bytes, "%s", last ? last + 1 : to);
}

bool qeff_sysfs_child(const char *path, const char *prefix, const char *suffix, char *name,
		      size_t size_bytes)
{
	size_t head = strlen(prefix), tail = strlen(suffix);
	struct dirent *entry;
	DIR *dir = opendir(path);
	bool found = false;

	name[0] = '\0';
	if (!dir)
		return false;
	while ((entry = readdir(dir))) {
		size_t length = strlen(entry->d_name);

		if (length < head + tail || length >= size_bytes ||
		    strncmp(entry->d_name, prefix, head) != 0 ||
		    strcmp(entry->d_name + length - tail, suffix) != 0)
			continue;
		if (found && strcmp(entry->d_name, name) >= 0)
			continue;
		strcpy(name, entry->d_name);
		found = true;
	}
	closedir(dir);
	return found;
}
