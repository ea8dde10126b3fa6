/* SPDX-License-Identifier: MIT */
/* A model folder that a test writes file by file, and throws away. */
#ifndef QEFF_TESTS_MODEL_FOLDER_H
#define QEFF_TESTS_MODEL_FOLDER_H

#include <ftw.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct folder {
	char path[64];
	char file[320]; /* what folder_path() returned last */
};

static inline struct folder folder_new(void)
{
	struct folder folder = { "/tmp/qeff-model-XXXXXX", "" };

	if (!mkdtemp(folder.path))
		abort();
	return folder;
}

static inline const char *folder_path(struct folder *folder, const char *name)
{
	snprintf(folder->file, sizeof(folder->file), "%s/%s", folder->path, name);
	return folder->file;
}

static inline void folder_write(struct folder *folder, const char *name, const void *data,
				size_t size_bytes)
{
	FILE *file = fopen(folder_path(folder, name), "wb");

	if (!file || fwrite(data, 1, size_bytes, file) != size_bytes || fclose(file))
		abort();
}

static inline void folder_text(struct folder *folder, const char *name, const char *text)
{
	folder_write(folder, name, text, strlen(text));
}

/* A safetensors file from its header's text and its data; the length in front is the header's own.
 */
static inline void folder_tensors(struct folder *folder, const char *name, const char *header,
				  const void *data, size_t data_bytes)
{
	uint64_t header_bytes = strlen(header);
	char *file = malloc(8 + header_bytes + data_bytes);

	memcpy(file, &header_bytes, 8);
	memcpy(file + 8, header, header_bytes);
	if (data_bytes)
		memcpy(file + 8 + header_bytes, data, data_bytes);
	folder_write(folder, name, file, 8 + header_bytes + data_bytes);
	free(file);
}

static inline int folder_unlink(const char *path, const struct stat *st, int kind, struct FTW *walk)
{
	return remove(path);
}

static inline void folder_remove(struct folder *folder)
{
	nftw(folder->path, folder_unlink, 16, FTW_DEPTH | FTW_PHYS);
}

#endif
