/* SPDX-License-Identifier: MIT */
/*
 * Export and import of every architecture: the graph goes out as ONNX, comes back with shapes
 * bound, and becomes the same NSP program, byte for byte, as the graph that never left; so do its
 * weights.
 */
#include "unit.h"

#include "checkpoint/checkpoint.h"
#include "lower/lower.h"
#include "models/models.h"
#include "onnx/import.h"
#include "onnx/onnx.h"
#include "transforms/transforms.h"
#include "util/bytes.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define POSITIONS 32
#define MAX_SPECS 2

struct variant {
	const char *name;
	struct qeff_transform_options transforms;
	enum qeff_lower_precision precision;
	enum qeff_model_task task;
	uint32_t seqs[MAX_SPECS];
};

static const struct variant variants[] = {
	{ "all positions", { 0 }, QEFF_LOWER_FP32, QEFF_MODEL_CAUSAL_LM, { 8 } },
	{ "cache",
	  { .kv_cache = true, .data_files = true },
	  QEFF_LOWER_FP32,
	  QEFF_MODEL_CAUSAL_LM,
	  { 8, 1 } },
	{ "slots, contexts, guesses",
	  { .kv_cache = true, .continuous_batching = true, .comp_ctx_lengths = true, .spd = true },
	  QEFF_LOWER_INT8,
	  QEFF_MODEL_CAUSAL_LM,
	  { 8, 2 } },
	{ "contexts",
	  { .kv_cache = true, .comp_ctx_lengths = true },
	  QEFF_LOWER_FP16,
	  QEFF_MODEL_CAUSAL_LM,
	  { 8, 1 } },
	{ "sampler",
	  { .kv_cache = true, .sampler = true, .return_pdfs = true },
	  QEFF_LOWER_FP32,
	  QEFF_MODEL_CAUSAL_LM,
	  { 8, 1 } },
	{ "sampler with masks, slots, KV heads twice",
	  { .kv_cache = true,
	    .continuous_batching = true,
	    .sampler = true,
	    .guided_decoding = true,
	    .max_top_k_ids = 9,
	    .num_replicate_kv_heads = 2 },
	  QEFF_LOWER_INT8,
	  QEFF_MODEL_CAUSAL_LM,
	  { 8, 1 } },
	{ "encoder", { .data_files = true }, QEFF_LOWER_FP32, QEFF_MODEL_ENCODER, { 8 } },
	{ "pooled",
	  { .pooling = "mean", .normalize = true },
	  QEFF_LOWER_BF16,
	  QEFF_MODEL_ENCODER,
	  { 8, 4 } },
	{ "classifier", { 0 }, QEFF_LOWER_FP32, QEFF_MODEL_CLASSIFIER, { 8 } },
};

static int append(void *user, const void *data, size_t size_bytes, struct qeff_error *err)
{
	qeff_bytes_append(user, data, size_bytes);
	return 0;
}

/* Program, weights, metadata. */
static int lower(struct qeff_graph *const *graphs, uint32_t count, const struct variant *variant,
		 struct qeff_bytes *bytes, struct qeff_error *err)
{
	const struct qeff_lower_options options = { .num_nsps = 2,
						    .precision = variant->precision };
	const struct qeff_lower_sink sink = { .write = append, .user = bytes };
	struct qeff_lowering *lowering;
	int ret = qeff_lower((const struct qeff_graph *const *)graphs, count, &options, &lowering,
			     err);

	if (ret)
		return ret;
	ret = qeff_lower_emit(lowering, &sink, err);
	if (!ret)
		ret = qeff_lower_image(lowering, "model", bytes, err);
	if (!ret)
		ret = qeff_lower_network(lowering, "model", bytes, err);
	qeff_lowering_free(lowering);
	return ret;
}

static void remove_folder(const char *folder)
{
	static const char *const files[] = { "model.onnx", "model.onnx.data" };
	char path[512];

	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/%s", folder, files[i]);
		unlink(path);
	}
	rmdir(folder);
}

static int round_trip(struct qeff_graph *graph, const struct variant *variant, const char *folder,
		      struct qeff_error *err)
{
	struct qeff_graph *direct[MAX_SPECS] = { 0 }, *back[MAX_SPECS] = { 0 };
	struct qeff_bytes bytes[2] = { 0 };
	struct qeff_onnx_model *model = NULL;
	char path[512];
	uint32_t count = 0;
	int ret = qeff_onnx_export(graph, folder, "", err);

	snprintf(path, sizeof(path), "%s/model.onnx", folder);
	if (!ret)
		ret = qeff_onnx_open(path, &model, err);
	for (; count < MAX_SPECS && variant->seqs[count] && !ret; count++) {
		const struct qeff_binding_size sizes[] = {
			{ "batch_size", 1 },
			{ "full_batch_size", variant->transforms.continuous_batching ? 3 : 1 },
			{ "seq_len", variant->seqs[count] },
			{ "ctx_len",
			  variant->transforms.kv_cache ? POSITIONS : variant->seqs[count] },
			{ "comp_ctx_lengths", 16 },
			{ "num_logits_to_keep", variant->seqs[count] == 2 ? 2 : 1 },
		};
		const struct qeff_onnx_import_options options = { .sizes = sizes, .num_sizes = 6 };

		ret = qeff_graph_bind(graph, sizes, 6, &direct[count], err);
		if (!ret)
			ret = qeff_onnx_import(model, &options, &back[count], err);
	}
	if (!ret)
		ret = lower(direct, count, variant, &bytes[0], err);
	if (!ret)
		ret = lower(back, count, variant, &bytes[1], err);
	if (!ret && (bytes[0].size_bytes != bytes[1].size_bytes ||
		     memcmp(bytes[0].data, bytes[1].data, bytes[0].size_bytes)))
		ret = qeff_error_set(err, -EINVAL, "%zu bytes directly, %zu by way of ONNX",
				     bytes[0].size_bytes, bytes[1].size_bytes);
	for (uint32_t i = 0; i < MAX_SPECS; i++) {
		qeff_graph_free(direct[i]);
		qeff_graph_free(back[i]);
	}
	qeff_bytes_free(&bytes[0]);
	qeff_bytes_free(&bytes[1]);
	qeff_onnx_close(model);
	remove_folder(folder);
	return ret;
}

static uint32_t trips;

static void model_goes_round(const char *path)
{
	for (size_t i = 0; i < sizeof(variants) / sizeof(variants[0]); i++) {
		const struct variant *variant = &variants[i];
		const struct qeff_model_options options = {
			.positions = variant->transforms.kv_cache ? POSITIONS : 8
		};
		struct qeff_transform_options transforms = variant->transforms;
		struct qeff_transforms_applied applied;
		struct qeff_checkpoint *checkpoint = NULL;
		struct qeff_model_info info = { 0 };
		struct qeff_graph *graph = NULL;
		char folder[] = "/tmp/qeff-round-trip-XXXXXX";
		struct qeff_error err = { 0 };
		int ret = qeff_checkpoint_open(path, &checkpoint, &err);

		CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder));
		if (!ret)
			ret = qeff_model_build(checkpoint, &options, &graph, &info, &err);
		if (!ret && info.task == variant->task) {
			/* where heads share keys */
			if (info.heads % (2 * info.kv_heads))
				transforms.num_replicate_kv_heads = 0;
			ret = qeff_transforms_apply(graph, &transforms, &applied, &err);
			if (!ret)
				ret = round_trip(graph, variant, folder, &err);
			trips++;
		}
		if (ret) {
			printf("\n  %s, %s: %s", path, variant->name, err.message);
			CU_FAIL("the program is the same");
		}
		rmdir(folder);
		qeff_graph_free(graph);
		qeff_model_info_clear(&info);
		qeff_checkpoint_close(checkpoint);
	}
}

static void architectures_go_round(void)
{
	static const char *const folders[] = { QEFF_TEST_DATA "/models/arch",
					       QEFF_TEST_DATA "/models" };
	char path[512];

	for (int i = 0; i < 2; i++) {
		DIR *dir = opendir(folders[i]);
		const struct dirent *entry;

		CU_ASSERT_PTR_NOT_NULL_FATAL(dir);
		while ((entry = readdir(dir))) {
			snprintf(path, sizeof(path), "%s/%s/config.json", folders[i],
				 entry->d_name);
			if (access(path, R_OK))
				continue;
			snprintf(path, sizeof(path), "%s/%s", folders[i], entry->d_name);
			model_goes_round(path);
		}
		closedir(dir);
	}
	CU_ASSERT(trips >= 120);
}

static const struct unit_test tests[] = {
	{ "architectures go round", architectures_go_round },
};
QEFF_UNIT_MAIN("onnx_round_trip", tests)
