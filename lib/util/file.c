/* SPDX-License-Identifier: MIT */
/* Mapped input and all-or-nothing output. */
#include "util/file.h"

#include "util/checked.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUFFER_BYTES ((size_t)1 << 20)

static int system_error(struct qeff_error *err, const char *path, const char *what)
{
	int code = -errno;
	char text[128];

	return qeff_error_set(err, code, "%s: cannot %s: %s", path, what,
			      qeff_strerror(-code, text, sizeof(text)));
}

int qeff_map_open(struct qeff_map *map, const char *path, struct qeff_error *err)
{
	struct stat st;
	void *data = NULL;
	int fd, ret;

	*map = (struct qeff_map){ 0 };
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return system_error(err, path, "open");
	if (fstat(fd, &st) < 0) {
		ret = system_error(err, path, "stat");
		goto out;
	}
	if (!S_ISREG(st.st_mode)) {
		ret = qeff_error_set(err, -EINVAL, "%s: not a regular file", path);
		goto out;
	}
	if (st.st_size > 0) {
		data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
		if (data == MAP_FAILED) {
			ret = system_error(err, path, "map");
			goto out;
		}
	}
	map->path = strdup(path);
	if (!map->path) {
		if (data)
			munmap(data, (size_t)st.st_size);
		ret = qeff_error_set(err, -ENOMEM, "%s: out of memory", path);
		goto out;
	}
	map->data = data;
	map->size_bytes = (size_t)st.st_size;
	ret = 0;
out:
	close(fd);
	return ret;
}

void qeff_map_close(struct qeff_map *map)
{
	if (map->data)
		munmap((void *)map->data, map->size_bytes);
	free(map->path);
	*map = (struct qeff_map){ 0 };
}

int qeff_output_open(struct qeff_output *out, const char *path, struct qeff_error *err)
{
	static atomic_uint serial;

	*out = (struct qeff_output){ .fd = -1 };
	out->path = strdup(path);
	out->buffer = malloc(BUFFER_BYTES);
	if (!out->path || !out->buffer ||
	    asprintf(&out->temporary, "%s.%d-%u.tmp", path, getpid(),
		     atomic_fetch_add(&serial, 1)) < 0) {
		out->temporary = NULL;
		qeff_output_abort(out);
		return qeff_error_set(err, -ENOMEM, "%s: out of memory", path);
	}
	out->fd = open(out->temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (out->fd < 0) {
		int ret = system_error(err, path, "create a temporary file beside it");

		free(out->temporary);
		out->temporary = NULL;
		qeff_output_abort(out);
		return ret;
	}
	return 0;
}

static int write_at(struct qeff_output *out, uint64_t offset, const uint8_t *data,
		    size_t size_bytes, struct qeff_error *err)
{
	while (size_bytes) {
		ssize_t n = pwrite(out->fd, data, size_bytes, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return system_error(err, out->path, "write");
		data += n;
		offset += (uint64_t)n;
		size_bytes -= (size_t)n;
	}
	return 0;
}

static int flush(struct qeff_output *out, struct qeff_error *err)
{
	size_t pending = out->buffered_bytes;

	out->buffered_bytes = 0;
	return write_at(out, out->offset - pending, out->buffer, pending, err);
}

int qeff_output_write(struct qeff_output *out, const void *data, size_t size_bytes,
		      struct qeff_error *err)
{
	int ret;

	if (size_bytes > BUFFER_BYTES - out->buffered_bytes) {
		ret = flush(out, err);
		if (ret)
			return ret;
	}
	if (size_bytes >= BUFFER_BYTES) {
		ret = write_at(out, out->offset, data, size_bytes, err);
		if (ret)
			return ret;
	} else if (size_bytes) {
		memcpy(out->buffer + out->buffered_bytes, data, size_bytes);
		out->buffered_bytes += size_bytes;
	}
	out->offset += size_bytes;
	return 0;
}

int qeff_output_align(struct qeff_output *out, uint64_t alignment, struct qeff_error *err)
{
	uint64_t aligned;
	int ret;

	if (!qeff_align_u64(out->offset, alignment, &aligned))
		return qeff_error_set(err, -EFBIG, "%s: file too large", out->path);
	/* the gap of a file is zeros; only make sure that the file ends behind it */
	ret = flush(out, err);
	if (!ret && ftruncate(out->fd, (off_t)aligned) < 0)
		ret = system_error(err, out->path, "extend");
	if (!ret)
		out->offset = aligned;
	return ret;
}

int qeff_output_patch(struct qeff_output *out, uint64_t offset, const void *data, size_t size_bytes,
		      struct qeff_error *err)
{
	int ret = flush(out, err);

	if (ret)
		return ret;
	if (!qeff_range_valid(offset, size_bytes, out->offset))
		return qeff_error_set(err, -EINVAL, "%s: patch at %llu is past the end", out->path,
				      (unsigned long long)offset);
	return write_at(out, offset, data, size_bytes, err);
}

static int sync_folder(const char *path)
{
	char *folder = strdup(path), *slash;
	int fd, ret;

	if (!folder)
		return -1;
	slash = strrchr(folder, '/');
	if (slash)
		slash[slash == folder ? 1 : 0] = '\0';
	fd = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	free(folder);
	if (fd < 0)
		return -1;
	ret = fsync(fd);
	close(fd);
	return ret;
}

int qeff_output_commit(struct qeff_output *out, struct qeff_error *err)
{
	int ret = flush(out, err);

	if (!ret && fsync(out->fd) < 0)
		ret = system_error(err, out->path, "finish");
	if (!ret && rename(out->temporary, out->path) < 0)
		ret = system_error(err, out->path, "rename the finished file");
	if (!ret) {
		free(out->temporary);
		out->temporary = NULL;
		if (sync_folder(out->path) < 0)
			ret = system_error(err, out->path, "sync the folder");
	}
	qeff_output_abort(out);
	return ret;
}

void qeff_output_abort(struct qeff_output *out)
{
	if (out->temporary)
		unlink(out->temporary);
	if (out->fd >= 0)
		close(out->fd);
	free(out->temporary);
	free(out->path);
	free(out->buffer);
	*out = (struct qeff_output){ .fd = -1 };
}

int qeff_write_file(const char *path, const void *data, size_t size_bytes, struct qeff_error *err)
{
	struct qeff_output out;
	int ret = qeff_output_open(&out, path, err);

	if (ret)
		return ret;
	ret = qeff_output_write(&out, data, size_bytes, err);
	if (ret) {
		qeff_output_abort(&out);
		return ret;
	}
	return qeff_output_commit(&out, err);
}
