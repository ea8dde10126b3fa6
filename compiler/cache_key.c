/* SPDX-License-Identifier: MIT */
/* What the key of a compilation is made of: lines "name=value". */
#include "cache.h"

#include "compile.h"

#include <dirent.h>
#include <dlfcn.h>
#include <inttypes.h>
#include <limits.h>
#include <sha2.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "util/file.h"

__attribute__((format(printf, 2, 3))) static void line(struct qeff_bytes *key, const char *format,
						       ...)
{
	char *text = NULL;
	va_list args;
	int length;

	va_start(args, format);
	length = vasprintf(&text, format, args);
	va_end(args);
	if (length < 0) {
		key->failed = true;
		return;
	}
	qeff_bytes_append(key, text, (size_t)length);
	qeff_bytes_append(key, "\n", 1);
	free(text);
}

static int finish(struct qeff_bytes *key, struct qeff_error *err)
{
	return key->failed ? qeff_error_set(err, -ENOMEM, "out of memory while making a cache key")
			   : 0;
}

static void file_line(struct qeff_bytes *key, const char *what, const struct stat *s)
{
	line(key, "%s=%jd bytes, %jd.%09ld %jd.%09ld, %jx:%jx", what, (intmax_t)s->st_size,
	     (intmax_t)s->st_mtim.tv_sec, s->st_mtim.tv_nsec, (intmax_t)s->st_ctim.tv_sec,
	     s->st_ctim.tv_nsec, (uintmax_t)s->st_dev, (uintmax_t)s->st_ino);
}

/* The library that this code is in: a rebuilt one may compile otherwise. */
static void compiler_line(struct qeff_bytes *key)
{
	struct stat s;
	Dl_info info;

	line(key, "version=" QEFF_VERSION);
	if (dladdr((void *)qeff_compile, &info) && !stat(info.dli_fname, &s))
		file_line(key, "compiler", &s);
}

static int visible(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

/* The regular files of @folder, and of the folders in it (1_Pooling), in the order of their names.
 */
static int folder_lines(struct qeff_bytes *key, const char *folder, int depth,
			struct qeff_error *err)
{
	struct dirent **entries;
	int count = scandir(folder, &entries, visible, alphasort), rc = 0;

	if (count < 0)
		return qeff_error_set(err, -errno, "%s: %s", folder, strerror(errno));
	for (int i = 0; i < count; i++) {
		struct stat s;
		char *path;

		if (asprintf(&path, "%s/%s", folder, entries[i]->d_name) < 0) {
			key->failed = true;
		} else {
			if (stat(path, &s)) /* a link that leads nowhere is not read either */
				memset(&s, 0, sizeof(s));
			if (S_ISREG(s.st_mode))
				file_line(key, path, &s);
			else if (S_ISDIR(s.st_mode) && depth && !rc)
				rc = folder_lines(key, path, depth - 1, err);
			free(path);
		}
		free(entries[i]);
	}
	free(entries);
	return rc;
}

int qeff_cache_sources(const char *model_dir, struct qeff_bytes *key, struct qeff_error *err)
{
	char *path = realpath(model_dir, NULL);
	int rc;

	if (!path)
		return qeff_error_set(err, -errno, "%s: %s", model_dir, strerror(errno));
	line(key, "model=%s", path);
	compiler_line(key);
	rc = folder_lines(key, path, 1, err);
	free(path);
	return rc ? rc : finish(key, err);
}

/* A file of options by what it holds. */
static int content_line(struct qeff_bytes *key, const char *name, const char *path,
			struct qeff_error *err)
{
	char digest[SHA256_DIGEST_STRING_LENGTH];
	struct qeff_map map;
	int rc;

	if (!path)
		return 0;
	rc = qeff_map_open(&map, path, err);
	if (rc)
		return rc;
	SHA256Data(map.data ? map.data : (const uint8_t *)"", map.size_bytes, digest);
	line(key, "%s=%s", name, digest);
	qeff_map_close(&map);
	return 0;
}

static void numbers_line(struct qeff_bytes *key, const char *name, const uint32_t *values,
			 uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		line(key, "%s=%" PRIu32, name, values[i]);
}

#if __SIZEOF_POINTER__ == 8
_Static_assert(sizeof(struct qeff_compile_options) == 296,
	       "what changes the package has a line below, a new option too");
#endif

int qeff_cache_options(const struct qeff_compile_options *o, struct qeff_bytes *key,
		       struct qeff_error *err)
{
	int rc = content_line(key, "specializations", o->specializations, err);

	if (!rc)
		rc = content_line(key, "node_precision_info", o->node_precision_info, err);
	if (!rc)
		rc = content_line(key, "custom_io", o->custom_io, err);
	if (!rc && o->adapter)
		rc = folder_lines(key, o->adapter, 0, err);
	for (size_t i = 0; !rc && i < o->num_loras; i++) {
		size_t name_bytes;

		line(key, "lora=%s", o->loras[i]);
		rc = folder_lines(key, qeff_compile_lora_folder(o->loras[i], &name_bytes), 0, err);
	}
	if (rc)
		return rc;
	line(key, "num_cores=%u", o->num_cores);
	line(key, "batch_size=%u", o->batch_size);
	numbers_line(key, "seq_len", o->seq_lens, o->num_seq_lens);
	line(key, "prefill_seq_len=%u", o->prefill_seq_len);
	line(key, "ctx_len=%u", o->ctx_len);
	line(key, "full_batch_size=%u", o->full_batch_size);
	line(key, "kv_cache_batch_size=%u", o->kv_cache_batch_size);
	numbers_line(key, "comp_ctx_lengths_prefill", o->comp_ctx_lengths_prefill.values,
		     o->comp_ctx_lengths_prefill.count);
	numbers_line(key, "comp_ctx_lengths_decode", o->comp_ctx_lengths_decode.values,
		     o->comp_ctx_lengths_decode.count);
	numbers_line(key, "num_speculative_tokens", o->num_speculative_tokens.values,
		     o->num_speculative_tokens.count);
	line(key, "pooling=%d", (int)o->pooling);
	line(key, "normalize=%d", (int)o->normalize);
	line(key, "precision=%s", qeff_compile_precision_name(o->precision));
	for (size_t i = 0; i < o->num_fp32_nodes; i++)
		line(key, "fp32_node=%s", o->fp32_nodes[i]);
	for (size_t i = 0; i < o->num_input_shapes; i++)
		line(key, "input_shape=%s", o->input_shapes[i]);
	for (size_t i = 0; i < o->num_input_values; i++)
		line(key, "input_value=%s", o->input_values[i]);
	if (o->adapter_inputs)
		line(key, "adapter_inputs=%s", o->adapter_inputs);
	line(key, "remove_prefix=%d", o->remove_prefix);
	line(key, "mxfp6_matmul=%d", o->mxfp6_matmul);
	line(key, "mxint8_kv_cache=%d", o->mxint8_kv_cache);
	line(key, "include_sampler=%d", o->include_sampler);
	line(key, "num_replicate_kv_heads=%u",
	     o->num_replicate_kv_heads > 1 ? o->num_replicate_kv_heads : 1);
	line(key, "max_top_k_ids=%u", o->max_top_k_ids);
	line(key, "include_guided_decoding=%d", o->include_guided_decoding);
	line(key, "return_pdfs=%d", o->return_pdfs);
	line(key, "prefill_only=%d", o->prefill_only);
	line(key, "num_devices=%u", o->num_devices);
	return finish(key, err);
}
