/* SPDX-License-Identifier: MIT */
/*
 * What model builders share: the state of a build, and the pieces that models are made of.
 *
 * Pieces take the checkpoint's name of their module, find its weights under it and name their nodes
 * after it. After a failure they do nothing and return NULL; qeff_model_build() looks once, at the
 * end.
 */
#ifndef QEFF_MODELS_BUILD_H
#define QEFF_MODELS_BUILD_H

#include "models/models.h"

struct model_build;
struct decoder_row; /* models/decoder.h */

/* A key of config.json that changes the computation, and its only handled value, as JSON (NULL:
 * none). */
struct model_expectation {
	const char *key;
	const char *json;
};

/**
 * struct model_architecture - a row of the table
 * @name: as in config.json's "architectures"
 * @model_type: as in "model_type", for configs without "architectures"
 * @build: makes the graph
 * @expectations: ends with a NULL key
 * @ignored: patterns of tensors that a checkpoint may have although nothing reads them; ends with
 * NULL
 * @decoder: of a decoder: what it is made of
 */
struct model_architecture {
	const char *name;
	const char *model_type;
	enum qeff_model_task task;
	void (*build)(struct model_build *build);
	const struct model_expectation *expectations;
	const char *const *ignored;
	const struct decoder_row *decoder;
};

struct model_build {
	const struct qeff_checkpoint *checkpoint;
	const struct qeff_config *config;
	const struct model_architecture *architecture;
	uint32_t wanted_positions; /* 0: as the config says */
	struct qeff_graph *graph;
	struct qeff_model_info *info;
	bool *used;	    /* by index in the checkpoint's tensors */
	const char *prefix; /* of all names in the checkpoint: "" or "bert." */
};

/* Each ends with a row without a name. */
extern const struct model_architecture model_decoder_rows[];
extern const struct model_architecture model_encoder_rows[];
/* Row @index of the whole table, or NULL past its end. */
const struct model_architecture *model_row(size_t index);

void model_build_decoder(struct model_build *build);

/* A name made with printf, by value: model_name("%s.weight", module).text */
struct model_name {
	char text[256];
};
__attribute__((format(printf, 1, 2))) struct model_name model_name(const char *format, ...);

bool model_failed(const struct model_build *build);
__attribute__((format(printf, 2, 3))) void model_warn(struct model_build *build, const char *format,
						      ...);

/* Keys of config.json. A required one has no default. */
uint32_t model_size(struct model_build *build, const char *key, uint32_t max);
uint32_t model_size_or(struct model_build *build, const char *key, uint32_t max, uint32_t fallback);
double model_float_or(struct model_build *build, const char *key, double fallback);
bool model_bool_or(struct model_build *build, const char *key, bool fallback);

/* Whether the checkpoint has a tensor of this name. */
bool model_has(const struct model_build *build, const char *name);
/* The float tensor @name, of exactly this shape, as an initialiser; the same value when asked
 * again. */
struct qeff_value *model_weight(struct model_build *build, const char *name, uint32_t rank,
				const int64_t *dims);

/* The same of numbers in MXFP4, the tensors @name_blocks and @name_scales; @dims are those of the
 * numbers, and the last one is a multiple of 32. */
struct qeff_value *model_mxfp4_weight(struct model_build *build, const char *name, uint32_t rank,
				      const int64_t *dims);

/* Says that nothing needs to read the tensor @name, if there is one. */
void model_ignore(struct model_build *build, const char *name);

struct qeff_value *model_unary(struct model_build *build, const char *op, const char *name,
			       struct qeff_value *x);
struct qeff_value *model_binary(struct model_build *build, const char *op, const char *name,
				struct qeff_value *x, struct qeff_value *y);
/* A number, shared by all that ask for it. */
struct qeff_value *model_scalar(struct model_build *build, float number);

/* rows of the table @name.weight [entries, width] */
struct qeff_value *model_embedding(struct model_build *build, const char *module, uint32_t entries,
				   uint32_t width, struct qeff_value *indices);
/* x times the transpose of @module.weight [outputs, inputs], plus @module.bias if @bias; called
 * @output */
struct qeff_value *model_linear(struct model_build *build, const char *module, const char *output,
				struct qeff_value *x, uint32_t inputs, uint32_t outputs, bool bias);

/**
 * struct model_part - rows of a matrix that several weights share
 * @groups: the matrix is so many groups one below the other
 * @group_rows: rows of a group
 * @first, @rows: those of each group that are meant
 */
struct model_part {
	uint32_t groups, group_rows, first, rows;
};

/* The part of the tensor @name, [groups * group_rows, inputs], as a matrix [groups * rows, inputs];
 * a vector if @inputs is 0; with @transposed it lies as [inputs, groups * group_rows]. */
struct qeff_value *model_part(struct model_build *build, const char *name,
			      const struct model_part *part, uint32_t inputs, bool transposed);
/* As model_linear(), with the part of @module.weight and @module.bias; with @transposed the weight
 * lies as [inputs, outputs]. */
struct qeff_value *model_linear_part(struct model_build *build, const char *module,
				     const char *output, struct qeff_value *x, uint32_t inputs,
				     const struct model_part *part, bool bias, bool transposed);
/* Every @step th of [begin, end) of dimension @axis, and a matrix of what is left of @x. */
struct qeff_value *model_slice(struct model_build *build, const char *name, struct qeff_value *x,
			       int64_t begin, int64_t end, int64_t axis, int64_t step);
struct qeff_value *model_matrix(struct model_build *build, const char *name, struct qeff_value *x,
				int64_t rows, int64_t columns);
/* x times a number; x itself if that is 1 */
struct qeff_value *model_scale(struct model_build *build, const char *name, struct qeff_value *x,
			       double factor);
struct qeff_value *model_rms_norm(struct model_build *build, const char *module,
				  struct qeff_value *x, uint32_t width, float epsilon);
/* The same, where the checkpoint holds what the weights are more than 1. */
struct qeff_value *model_rms_norm_plus_one(struct model_build *build, const char *module,
					   struct qeff_value *x, uint32_t width, float epsilon);
/* Without a bias where the checkpoint has none. */
struct qeff_value *model_layer_norm(struct model_build *build, const char *module,
				    const char *output, struct qeff_value *x, uint32_t width,
				    float epsilon);
/* [B,S,heads*dim] -> [B,heads,S,dim] and back */
struct qeff_value *model_split_heads(struct model_build *build, const char *module,
				     struct qeff_value *x, uint32_t heads, uint32_t dim);
struct qeff_value *model_merge_heads(struct model_build *build, const char *module,
				     struct qeff_value *x, uint32_t width);
/* The function that config key @key names (@fallback if it is absent) of x. */
struct qeff_value *model_activation(struct model_build *build, const char *key,
				    const char *fallback, const char *module, struct qeff_value *x);

/* Inputs i64 [batch_size, seq_len]. */
struct qeff_value *model_ids(struct model_build *build, const char *name);

/**
 * struct model_rotary - tables of a rotary embedding, f32 [positions, dim / 2] each
 */
struct model_rotary {
	struct qeff_value *cos, *sin;
};

/* Makes the tables named @module.cos and @module.sin as the config's rope keys say; @theta: where
 * they say none; @kind: of layers: "full_attention", or "sliding_attention", for which only keys of
 * their own count. */
struct model_rotary model_rotary_tables(struct model_build *build, const char *module,
					const char *kind, uint32_t dim, uint32_t positions,
					double theta);
/* "partial_rotary_factor", which stands among the rope keys or beside them. */
double model_partial_rotary(struct model_build *build, double fallback);
/* Whether "layer_types" says that layer @index has a window; @slides: where it is not there. */
bool model_layer_slides(struct model_build *build, uint32_t index, bool slides);

#endif
