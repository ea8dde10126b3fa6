/* SPDX-License-Identifier: MIT */
/*
 * The package: image and descriptor, the tokenizer as it lies in the model's folder, the generation
 * settings, and the constants, which stream from the checkpoint into the file. Pages of the
 * checkpoint are given back as they are consumed, so that weights are not in memory twice.
 */
#include "compile.h"

#include "qpc/container.h"
#include "util/file.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct sink {
	struct qeff_qpc_writer *writer;
	const struct qeff_compile_options *options;
	/* tensors of the checkpoint, by address */
	const struct qeff_checkpoint_tensor **tensors;
	size_t num_tensors;
	uintptr_t page;
};

static int write_constants(void *user, const void *data, size_t size, struct qeff_error *err)
{
	struct sink *sink = user;

	return qeff_qpc_writer_write_constants(sink->writer, data, size, err);
}

static void report(void *user, uint64_t done, uint64_t total)
{
	struct sink *sink = user;

	if (sink->options->progress)
		sink->options->progress(sink->options->user, QEFF_COMPILE_STAGE_EMIT, done, total);
}

static int compare_addresses(const void *a, const void *b)
{
	uintptr_t x = (uintptr_t)(*(const struct qeff_checkpoint_tensor *const *)a)->data;
	uintptr_t y = (uintptr_t)(*(const struct qeff_checkpoint_tensor *const *)b)->data;

	return x < y ? -1 : x > y;
}

/* Gives back the whole pages of [data, data + size), which nobody will read again, if they belong
 * to a tensor of the checkpoint. Memory between allocations has other readers. */
static void release(void *user, const void *data, size_t size)
{
	const struct sink *sink = user;
	uintptr_t begin = (uintptr_t)data, end = begin + size;
	size_t low = 0, high = sink->num_tensors;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if ((uintptr_t)sink->tensors[middle]->data <= begin)
			low = middle + 1;
		else
			high = middle;
	}
	if (!low ||
	    end > (uintptr_t)sink->tensors[low - 1]->data + sink->tensors[low - 1]->size_bytes)
		return;
	begin = (begin + sink->page - 1) & -sink->page;
	end &= -sink->page;
	if (begin < end)
		madvise((void *)begin, end - begin, MADV_DONTNEED);
}

static int list_tensors(struct sink *sink, const struct qeff_checkpoint *checkpoint,
			struct qeff_error *err)
{
	const struct qeff_checkpoint_tensor *tensors =
		qeff_checkpoint_tensors(checkpoint, &sink->num_tensors);

	sink->page = (uintptr_t)sysconf(_SC_PAGESIZE);
	sink->tensors = calloc(sink->num_tensors + 1, sizeof(*sink->tensors));
	if (!sink->tensors)
		return qeff_error_set(err, -ENOMEM, "out of memory while listing tensors");
	for (size_t i = 0; i < sink->num_tensors; i++)
		sink->tensors[i] = &tensors[i];
	qsort(sink->tensors, sink->num_tensors, sizeof(*sink->tensors), compare_addresses);
	return 0;
}

static int add_tokenizer(struct compile_package *p, struct qeff_qpc_writer *writer,
			 struct qeff_error *err)
{
	struct qeff_map map;
	char *path;
	int rc;

	if (asprintf(&path, "%s/tokenizer.json", p->options->model_dir) < 0)
		return qeff_error_set(err, -ENOMEM, "out of memory while adding the tokenizer");
	p->has_tokenizer = !access(path, F_OK);
	rc = p->has_tokenizer ? qeff_map_open(&map, path, err) : 1;
	free(path);
	if (rc)
		return rc < 0 ? rc : 0;
	rc = qeff_qpc_writer_add(writer, "tokenizer.json", map.data, map.size_bytes, err);
	qeff_map_close(&map);
	return rc;
}

/* Adds what @make appends as segment @segment. */
static int add_made(const struct compile_package *p, struct qeff_qpc_writer *writer,
		    const char *segment,
		    int (*make)(const struct compile_package *p, struct qeff_bytes *to,
				struct qeff_error *err),
		    struct qeff_error *err)
{
	struct qeff_bytes bytes = { 0 };
	int rc = make(p, &bytes, err);

	if (!rc && bytes.failed)
		rc = qeff_error_set(err, -ENOMEM, "out of memory while making %s", segment);
	if (!rc)
		rc = qeff_qpc_writer_add(writer, segment, bytes.data, bytes.size_bytes, err);
	qeff_bytes_free(&bytes);
	return rc;
}

static int make_image(const struct compile_package *p, struct qeff_bytes *to,
		      struct qeff_error *err)
{
	return qeff_lower_image(p->lowering, p->name, to, err);
}

static int make_network(const struct compile_package *p, struct qeff_bytes *to,
			struct qeff_error *err)
{
	return qeff_lower_network(p->lowering, p->name, to, err);
}

static int write_segments(struct compile_package *p, struct sink *sink, struct qeff_error *err)
{
	const struct qeff_lower_sink lower_sink = {
		.write = write_constants, .progress = report, .release = release, .user = sink
	};
	struct qeff_constants_desc desc = { 0 };
	struct qeff_lower_facts facts;
	int rc = add_made(p, sink->writer, QEFF_SEGMENT_IMAGE, make_image, err);

	if (!rc)
		rc = add_made(p, sink->writer, QEFF_SEGMENT_NETWORK, make_network, err);
	if (!rc && p->checkpoint)
		rc = add_tokenizer(p, sink->writer, err);
	if (!rc && p->checkpoint)
		rc = add_made(p, sink->writer, "generation.json", qeff_compile_generation, err);
	if (rc)
		return rc;
	qeff_lower_facts(p->lowering, &facts);
	desc.static_bytes = facts.constants_bytes;
	rc = qeff_qpc_writer_begin_constants(sink->writer, &desc, err);
	if (!rc && p->checkpoint)
		rc = list_tensors(sink, p->checkpoint, err);
	if (!rc)
		rc = qeff_lower_emit(p->lowering, &lower_sink, err);
	free(sink->tensors);
	return rc;
}

int qeff_compile_write_package(struct compile_package *p, struct qeff_error *err)
{
	struct sink sink = { .options = p->options };
	struct stat stat_buffer;
	int rc = qeff_qpc_writer_open(&sink.writer, p->options->output, err);

	if (rc)
		return rc;
	rc = write_segments(p, &sink, err);
	if (rc) {
		qeff_qpc_writer_abort(sink.writer);
		return rc;
	}
	rc = qeff_qpc_writer_finish(sink.writer, err);
	if (!rc && !stat(p->options->output, &stat_buffer))
		p->package_bytes = (uint64_t)stat_buffer.st_size;
	return rc;
}
