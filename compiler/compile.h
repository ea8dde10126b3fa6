/* SPDX-License-Identifier: MIT */
/* The driver's own parts: options settled against the model, the package's segments. */
#ifndef QEFF_COMPILE_H
#define QEFF_COMPILE_H

#include "checkpoint/checkpoint.h"
#include "lower/lower.h"
#include "models/models.h"
#include "transforms/transforms.h"
#include "util/error.h"

#include <qeff/compiler.h>

/**
 * struct compile_spec - a specialisation
 * @compute: positions that it looks at (comp_ctx_lengths)
 * @keep: tokens of each sequence that get logits (num_logits_to_keep)
 */
struct compile_spec {
	uint32_t batch, seq, compute, keep;
};

/**
 * struct compile_plan - the options with every default settled
 * @kv_cache: a decoder that keeps its keys and values
 * @positions: of rotary tables and KV cache; 0 for encoders
 * @slots: of the KV cache with continuous batching, else 0
 * @comp_ctx_lengths, @spd: specialisations differ in compute, in keep
 * @pooling: mode, or NULL: none on the card
 */
struct compile_plan {
	uint32_t num_cores;
	uint32_t batch;
	bool kv_cache;
	uint32_t positions;
	uint32_t slots;
	bool comp_ctx_lengths;
	bool spd;
	const char *pooling;
	bool normalize;
	enum qeff_lower_precision precision;
	uint32_t num_specs;
	struct compile_spec specs[QEFF_COMPILE_MAX_SPECIALISATIONS];
};

/**
 * struct compile_lists - what files of options say
 * @names: memory of the names
 */
struct compile_lists {
	struct qeff_custom_io *io;
	size_t num_io;
	const char **fp32_nodes;
	size_t num_fp32_nodes;
	char **names;
	size_t num_names;
};

int qeff_compile_read_custom_io(const char *path, struct compile_lists *lists,
				struct qeff_error *err);
/* Adds to lists->fp32_nodes. */
int qeff_compile_read_fp32_nodes(const char *path, struct compile_lists *lists,
				 struct qeff_error *err);
void qeff_compile_lists_clear(struct compile_lists *lists);

/**
 * struct compile_loras - adapters that are chosen while running
 * @names: of each
 */
struct compile_loras {
	struct qeff_adapter *adapters[QEFF_COMPILE_MAX_LORAS];
	char *names[QEFF_COMPILE_MAX_LORAS];
	struct qeff_lora loras[QEFF_COMPILE_MAX_LORAS];
	size_t count;
};

/* Opens the folders of options->loras. To be cleared, whatever is returned. */
int qeff_compile_open_loras(const struct qeff_compile_options *options, struct compile_loras *loras,
			    struct qeff_error *err);
void qeff_compile_loras_clear(struct compile_loras *loras);
/* The folder of an entry "NAME=DIR" or "DIR"; *@name_bytes: of the name in front, 0 for none. */
const char *qeff_compile_lora_folder(const char *entry, size_t *name_bytes);

/* Checks what can be checked without a model. */
int qeff_compile_check_options(const struct qeff_compile_options *options, struct qeff_error *err);
/* The specialisations of a decoder with a KV cache of plan->positions positions. */
int qeff_compile_decoder_specs(const struct qeff_compile_options *options,
			       const struct qeff_model_info *info, struct compile_plan *plan,
			       struct qeff_error *err);
/* The specialisations that a file lists, and what follows from them. */
int qeff_compile_read_specs(const struct qeff_compile_options *options,
			    const struct qeff_model_info *info, struct compile_plan *plan,
			    struct qeff_error *err);
/* -EINVAL if the model has fewer positions; @what is the option that asks for @value of them. */
int qeff_compile_check_positions(const struct qeff_model_info *info, const char *what,
				 uint32_t value, struct qeff_error *err);

/* @info: of the model as it would be built with any number of positions. */
int qeff_compile_settle(const struct qeff_compile_options *options,
			const struct qeff_checkpoint *checkpoint,
			const struct qeff_model_info *info, struct compile_plan *plan,
			struct qeff_error *err);

/**
 * struct compile_package - what goes into the file
 * @loras: adapters that are chosen while running
 * @checkpoint: NULL for an ONNX model, which has neither tokenizer nor settings
 * @name: the network's
 * @has_tokenizer: whether the folder had one
 * @package_bytes: length of the file
 */
struct compile_package {
	const struct qeff_compile_options *options;
	const struct qeff_checkpoint *checkpoint;
	const struct qeff_model_info *info;
	const struct compile_plan *plan;
	const struct qeff_lowering *lowering;
	const struct compile_loras *loras;
	const char *name;
	bool has_tokenizer;
	uint64_t package_bytes;
};

int qeff_compile_write_package(struct compile_package *package, struct qeff_error *err);

/* Appends generation.json. */
int qeff_compile_generation(const struct compile_package *package, struct qeff_bytes *json,
			    struct qeff_error *err);

#endif
