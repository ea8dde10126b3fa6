/* SPDX-License-Identifier: MIT */
/*
 * The few questions that discovery asks of sysfs, and where sysfs is: /sys, or the tree that the
 * environment variable QEFF_SYSFS names, whose parent then stands for the root of the file system.
 */
#ifndef QEFF_DEVICE_SYSFS_H
#define QEFF_DEVICE_SYSFS_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QEFF_PATH_BYTES 1024

/**
 * struct qeff_sysfs - where to look
 * @sysfs: no slash at its end
 * @root: what goes before "/dev/...", "/lib/..." and "/etc/..."; empty for the real root
 * @is_real: it is /sys
 */
struct qeff_sysfs {
	char sysfs[QEFF_PATH_BYTES];
	char root[QEFF_PATH_BYTES];
	bool is_real;
};

/* Reads the environment. */
void qeff_sysfs_locate(struct qeff_sysfs *s);

/* First line of the file @name in folder @path, without its newline; false if it cannot be read or
 * does not fit. */
bool qeff_sysfs_line(const char *path, const char *name, char *line, size_t size_bytes);

/* A hexadecimal attribute such as "0x17cb". */
bool qeff_sysfs_hex(const char *path, const char *name, uint32_t *value);

/* Last component of what the link @name in folder @path points to. */
bool qeff_sysfs_link(const char *path, const char *name, char *target, size_t size_bytes);

/* Name of an entry of folder @path that begins with @prefix and ends with @suffix: the first one in
 * the order of names. */
bool qeff_sysfs_child(const char *path, const char *prefix, const char *suffix, char *name,
		      size_t size_bytes);

/* snprintf() into a path; false (and an empty path) if it does not fit. */
__attribute__((format(printf, 3, 4))) bool qeff_path(char *path, size_t size_bytes,
						     const char *format, ...);

#endif
