/* SPDX-License-Identifier: MIT */
/*
 * A whole checkpoint: config.json and model.safetensors in one input, so that they can contradict
 * each other, or agree on a model that nobody has seen. What the builder makes of it is lowered and
 * run; nothing but the two files is written, to memory.
 *
 *   u16 length of config.json, u32 bytes of tensors, config.json, the start of model.safetensors
 *
 * The tensors themselves are made up: only their number is hostile.
 */
#include "choices.h"
#include "fuzz.h"
#include "model_input.h"

#include "models/models.h"
#include "transforms/transforms.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char folder[128];
static int config_fd = -1, tensors_fd = -1;

static int make_file(const char *name)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	fuzz_require(fd >= 0, "no file %s", path);
	return fd;
}

static void put(int fd, const void *data, size_t size, size_t length)
{
	fuzz_require(!ftruncate(fd, 0) && !ftruncate(fd, (off_t)length) &&
			     pwrite(fd, data, size, 0) == (ssize_t)size,
		     "writing %zu bytes", size);
}

static void write_files(const struct model_input *in)
{
	static uint8_t numbers[MODEL_INPUT_MAX_TENSORS];

	if (config_fd < 0) {
		snprintf(folder, sizeof(folder), "%s", fuzz_folder());
		config_fd = make_file("config.json");
		tensors_fd = make_file("model.safetensors");
		/* as f32, f16 or bf16 all small numbers, of both signs */
		for (size_t i = 0; i < sizeof(numbers); i++)
			numbers[i] = i % 2 ? 0x3c | (i / 2 % 3 == 0) << 7 : (uint8_t)(i * 37);
	}
	put(config_fd, in->config, in->config_bytes, in->config_bytes);
	put(tensors_fd, in->header, in->header_bytes, in->header_bytes + in->tensors_bytes);
	fuzz_require(pwrite(tensors_fd, numbers, in->tensors_bytes, (off_t)in->header_bytes) ==
			     (ssize_t)in->tensors_bytes,
		     "writing tensors");
}

/* The model as the compiler goes on with it, in two specialisations if it has a KV cache. */
static int compile(struct qeff_graph *graph, const struct qeff_model_info *info,
		   struct fuzz_choices *choices, struct qeff_error *err)
{
	const struct qeff_transform_options options = {
		.kv_cache = info->task == QEFF_MODEL_CAUSAL_LM && fuzz_choose(choices, 4)
	};
	struct qeff_transforms_applied applied;
	struct qeff_graph *bound[2] = { NULL };
	uint32_t count = 0, wanted = 1 + options.kv_cache;
	int rc = qeff_transforms_apply(graph, &options, &applied, err);

	while (!rc && count < wanted) {
		const struct qeff_binding_size sizes[] = {
			{ "batch_size", 1 },
			{ "seq_len", count ? 1 : 3 },
			{ "ctx_len", 8 },
		};

		rc = qeff_graph_bind(graph, sizes, 3, &bound[count], err);
		count += !rc;
	}
	if (!rc)
		rc = fuzz_lower((const struct qeff_graph *const *)bound, count, choices, err);
	for (uint32_t i = 0; i < count; i++)
		qeff_graph_free(bound[i]);
	return rc;
}

size_t fuzz_regions(const uint8_t *data, size_t size, struct fuzz_region *regions)
{
	struct model_input in = model_input_parse(data, size);

	regions[0] = (struct fuzz_region){ 0, size < 6 ? size : 6 };
	for (int i = 1; i < 5; i++)
		regions[i] = (struct fuzz_region){ (size_t)(in.config - data), in.config_bytes };
	for (int i = 5; i < 8; i++)
		regions[i] = (struct fuzz_region){ (size_t)(in.header - data), in.header_bytes };
	return 8;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct qeff_model_options options = { .positions = 8 };
	struct model_input in = model_input_parse(data, size);
	/* of how it is lowered, the lengths decide */
	const uint8_t how[] = { (uint8_t)in.config_bytes,
				(uint8_t)(in.header_bytes >> 3),
				(uint8_t)(in.header_bytes),
				(uint8_t)(in.config_bytes >> 2),
				(uint8_t)(in.config_bytes + in.header_bytes),
				1,
				1,
				1,
				2 };
	struct fuzz_choices choices = { how, sizeof(how) };
	struct qeff_checkpoint *checkpoint;
	struct qeff_graph *graph = NULL;
	struct qeff_model_info info;
	struct qeff_error err = { 0 };
	int rc;

	write_files(&in);
	rc = qeff_checkpoint_open(folder, &checkpoint, &err);
	if (rc) {
		fuzz_refused(rc, &err, folder);
		return 0;
	}
	rc = qeff_model_build(checkpoint, &options, &graph, &info, &err);
	fuzz_require(!rc == !!graph, "%d, and %s graph", rc, graph ? "a" : "no");
	if (!rc) {
		rc = compile(graph, &info, &choices, &err);
		qeff_graph_free(graph);
		qeff_model_info_clear(&info);
	}
	qeff_checkpoint_close(checkpoint);
	if (rc)
		fuzz_refused(rc, &err, "");
	else
		fuzz_ran();
	return 0;
}
