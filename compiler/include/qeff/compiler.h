/* SPDX-License-Identifier: MIT */
/*
 * The compiler: a Hugging Face checkpoint in, a package (.qpc) out.
 *
 *   struct qeff_compile_options options = { .model_dir = "bert", .output = "bert.qpc" };
 *   struct qeff_compile_summary summary;
 *   if (qeff_compile(&options, &summary, &err)) ...
 *   qeff_compile_summary_free(&summary);
 *
 * Everything but the two paths has a default. The same checkpoint and options give the same bytes.
 */
#ifndef QEFF_COMPILER_H
#define QEFF_COMPILER_H

#include <qeff/api.h>
#include <qeff/error.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define QEFF_COMPILE_MAX_CORES		     16
#define QEFF_COMPILE_MAX_SEQ_LENS	     64
#define QEFF_COMPILE_MAX_SPECIALISATIONS     64
#define QEFF_COMPILE_MAX_LORAS		     256
#define QEFF_COMPILE_MAX_INPUTS		     64
#define QEFF_COMPILE_DEFAULT_PREFILL_SEQ_LEN 32
#define QEFF_COMPILE_DEFAULT_CTX_LEN	     128
#define QEFF_COMPILE_DEFAULT_SEQ_LEN	     128

/* How the rows of an encoder become one vector. DEFAULT: as the checkpoint's sentence-transformers
 * files say, else NONE. */
enum qeff_compile_pooling {
	QEFF_COMPILE_POOLING_DEFAULT = 0,
	QEFF_COMPILE_POOLING_NONE,
	QEFF_COMPILE_POOLING_MEAN,
	QEFF_COMPILE_POOLING_CLS,
	QEFF_COMPILE_POOLING_MAX,
	QEFF_COMPILE_POOLING_LAST,
};

/* Whether that vector is brought to length 1. DEFAULT: as the checkpoint's files say, if pooling
 * is theirs too; else no. */
enum qeff_compile_normalize {
	QEFF_COMPILE_NORMALIZE_DEFAULT = 0,
	QEFF_COMPILE_NORMALIZE_NO,
	QEFF_COMPILE_NORMALIZE_YES,
};

/*
 * What matrix products compute with. Sums, softmax, norms, rotary embeddings and residuals are fp32
 * always.
 *
 * FP32: fp32 arithmetic; weights are stored in their own type where that is exact.
 * FP16: weights and KV cache are stored as f16 (clamped to its range), arithmetic is fp32.
 * BF16: weights are bf16, activations are rounded to bf16 where they meet them; KV cache f16.
 * INT8: weights are int8 codes with a scale for 64 of them, activations int8 codes with a scale for
 *	 32; embedding tables keep the checkpoint's type; KV cache f16.
 */
enum qeff_compile_precision {
	QEFF_COMPILE_FP32 = 0,
	QEFF_COMPILE_FP16,
	QEFF_COMPILE_BF16,
	QEFF_COMPILE_INT8,
};

/* "fp32", "fp16", ...; static text, "?" for others. */
QEFF_API const char *qeff_compile_precision_name(enum qeff_compile_precision precision);

/**
 * qeff_compile_architecture - the table of architectures that can be compiled
 * @index: from 0
 * @model_type: config.json's "model_type" for it; may be NULL
 * @task: "text-generation", "feature-extraction", "text-classification"; may be NULL
 *
 * Return: config.json's name for it, static text; NULL past the end.
 */
QEFF_API const char *qeff_compile_architecture(size_t index, const char **model_type,
					       const char **task);

enum qeff_compile_stage {
	QEFF_COMPILE_STAGE_READ = 0, /* config and checkpoint */
	QEFF_COMPILE_STAGE_GRAPH,    /* build, transform */
	QEFF_COMPILE_STAGE_ONNX,     /* export, if asked for */
	QEFF_COMPILE_STAGE_LOWER,    /* select, schedule, place, plan */
	QEFF_COMPILE_STAGE_EMIT,     /* pack the weights into the package */
	QEFF_COMPILE_STAGES
};

/* "read", "graph", ...; static text. */
QEFF_API const char *qeff_compile_stage_name(enum qeff_compile_stage stage);

/* Some numbers, the caller's. */
struct qeff_compile_numbers {
	const uint32_t *values;
	uint32_t count;
};

/**
 * struct qeff_compile_options - what to compile, and how
 * @model_dir: folder with config.json and safetensors; or an ONNX model, a file called *.onnx
 * @output: the package to write; it appears whole or not at all
 * @num_cores: NSPs, 1 to 16; 0 means 16
 * @batch_size: sequences that run side by side; 0 means 1
 * @seq_lens: encoders: one specialisation for each, default one of 128 (or what the model has). A
 *	      decoder that is given one, and neither @prefill_seq_len nor @ctx_len, is compiled
 *	      without a KV cache: attention_mask in, logits of all positions out
 * @num_seq_lens: entries of @seq_lens, at most QEFF_COMPILE_MAX_SEQ_LENS
 * @prefill_seq_len: decoders: tokens of a prefill step; 0 means 32, or @ctx_len if that is less
 * @ctx_len: decoders: positions in the KV cache; 0 means 128, or what the model has if that is less
 * @full_batch_size: decoders: continuous batching: a KV cache of so many slots. A prefill step
 *fills one slot, a decode step advances all; the input batch_index [batch_size, 1] names the slots.
 *0: none
 * @kv_cache_batch_size: with it, more slots than a decode step advances, for prompts whose state is
 *			 kept; 0 means @full_batch_size
 * @comp_ctx_lengths_prefill, @comp_ctx_lengths_decode: decoders: specialisations for each of these
 *		     lengths, chosen by the length of the input comp_ctx_lengths; such a one takes
 *		     positions below it only. Lengths above @ctx_len mean @ctx_len, which is always
 *		     among them. (Attention costs what positions there are, with or without.)
 * @num_speculative_tokens: decoders: a decode specialisation for each: so many tokens and one more
 *		     in a step, and logits for all of them, chosen by the rows of the input
 *		     num_logits_to_keep [tokens, 1]
 * @include_sampler: decoders: the card chooses tokens: the output next_tokens [batch_size, 1, 1]
 *		     takes the place of logits
 * @max_top_k_ids: with it, the candidates that a token is drawn from, as the inputs temperatures,
 *		   top_ks, top_ps, min_ps [batch_size, 1] and random_numbers [batch_size,
 *		   candidates] say; 0 means 512, or the vocabulary if that is less. Before, tokens
 *		   that a text has lose by repetition_penalties and presence_penalties [batch_size,
 *		   1]; last_accepted_output_tokens is of the shape of input_ids and says which of
 *		   these were chosen, -1 where none. 1 is the likeliest token, without all that
 * @include_guided_decoding: with candidates: the input token_bitmasks [batch_size, vocabulary],
 *			     bytes, has 0 for tokens that are not possible
 * @return_pdfs: with candidates: the output probs [batch_size, 1, vocabulary], the probabilities
 *		 that tokens were drawn with
 * @prefill_only: decoders: no decode step, as for a card that leaves decoding to another
 * @enable_chunking: with it: prompts come in chunks. They always may here
 * @num_kv_blocks: decoders: blocks that attention cuts the KV cache into. It always goes by blocks
 *of 64 positions here, whatever the number; 0: not asked for
 * @num_replicate_kv_heads: decoders: how often KV heads stand in the weights and the KV cache, so
 *that several cards can share them out; the results are the same. 0 and 1 mean once
 * @specializations: a JSON file that lists the specialisations, in QEfficient's layout or its older
 *		     one, in place of the numbers above (but @kv_cache_batch_size); or NULL
 * @pooling: encoders
 * @normalize: encoders
 * @precision: of the matrix products
 * @fp32_nodes: globs (as fnmatch has them, * matches everything) of names of the transformed
 *		graph's nodes that stay in fp32 whatever @precision says: a product's weights, a
 *		lookup's table, the state that a CtxScatter writes. One that matches nothing is an
 *		error
 * @num_fp32_nodes: entries of @fp32_nodes
 * @node_precision_info: a YAML file with more of them, "FP32NodeInstanceNames: [name, ...]"; or
 *NULL
 * @custom_io: a YAML file with precisions of inputs and outputs, a list of "IOName: ..." and
 *	       "Precision: ..." (float32, float16, and mxint8 for the KV cache); or NULL
 * @mxfp6_matmul: weights of products are MXFP6 (E2M3, a power of two for 32 of them), activations
 *		  int8 codes with a scale for 32
 * @mxint8_kv_cache: the KV cache is MXINT8 (int8, a power of two for 32 of them)
 * @num_devices: cards; 0 means 1, and more are not possible yet
 * @adapter: folder of a LoRA adapter (adapter_config.json, adapter_model.safetensors), merged into
 *	     the weights, which are fp32 then where @precision keeps the checkpoint's type; or NULL
 * @loras: LoRA adapters that stay beside the weights, each "DIR" or "NAME=DIR" (without a name: the
 *	   folder's): the input lora_ids [batch_size, 1] names the one of each sequence, by its
 *	   number in this list from 1; 0 is the model alone
 * @num_loras: entries of @loras, at most QEFF_COMPILE_MAX_LORAS
 * @input_shapes: ONNX models: shapes of inputs, each "NAME=1x128", in place of sizes that the model
 *		  leaves open; those that are called batch_size, seq_len and the like follow from
 *		  the options above
 * @num_input_shapes: entries of @input_shapes, at most QEFF_COMPILE_MAX_INPUTS
 * @input_values: ONNX models: inputs that are constants of the package, each "NAME=FILE.pb" (a
 *		  TensorProto) or "NAME=N,N,..."; what decides a shape must be one
 * @num_input_values: entries of @input_values, at most QEFF_COMPILE_MAX_INPUTS
 * @adapter_inputs: ONNX models: a LoRA adapter in the model, as PEFT calls it ("default"), whose
 *		    weights X.NAME.weight become inputs X.weight of the package; or NULL
 * @remove_prefix: ONNX models: inputs and outputs are called by what stands behind the last slash
 *		   of their names
 * @onnx_dir: folder that receives the transformed graph as ONNX, or NULL
 * @graph: called from the calling thread with the graph at each stage, as text for people and as a
 *	   picture in Graphviz's language: "built", then the name of each transform that changed
 *	   it, then "program": what the NSPs will run. Or NULL. With it @output may be NULL: then
 *	   nothing is written
 * @progress: called from the calling thread as work proceeds, or NULL; @done of @total in a unit
 *	      of the stage's own
 * @user: handed to @graph and @progress
 *
 * Zero everything that should have its default.
 */
struct qeff_compile_options {
	const char *model_dir;
	const char *output;
	uint32_t num_cores;
	uint32_t batch_size;
	const uint32_t *seq_lens;
	uint32_t num_seq_lens;
	uint32_t prefill_seq_len;
	uint32_t ctx_len;
	uint32_t full_batch_size;
	uint32_t kv_cache_batch_size;
	struct qeff_compile_numbers comp_ctx_lengths_prefill;
	struct qeff_compile_numbers comp_ctx_lengths_decode;
	struct qeff_compile_numbers num_speculative_tokens;
	const char *specializations;
	enum qeff_compile_pooling pooling;
	enum qeff_compile_normalize normalize;
	enum qeff_compile_precision precision;
	const char *const *fp32_nodes;
	size_t num_fp32_nodes;
	const char *node_precision_info;
	const char *custom_io;
	bool mxfp6_matmul;
	bool mxint8_kv_cache;
	uint32_t num_devices;
	const char *adapter;
	const char *const *loras;
	size_t num_loras;
	bool include_sampler;
	uint32_t max_top_k_ids;
	bool include_guided_decoding;
	bool return_pdfs;
	bool prefill_only;
	bool enable_chunking;
	uint32_t num_kv_blocks;
	uint32_t num_replicate_kv_heads;
	const char *const *input_shapes;
	size_t num_input_shapes;
	const char *const *input_values;
	size_t num_input_values;
	const char *adapter_inputs;
	bool remove_prefix;
	const char *onnx_dir;
	void (*graph)(void *user, const char *stage, const char *text, const char *dot);
	void (*progress)(void *user, enum qeff_compile_stage stage, uint64_t done, uint64_t total);
	void *user;
};

struct qeff_compile_config;

/**
 * qeff_compile_config_open - take options from a file
 * @path: a JSON object with the names of struct qeff_compile_options' members ("seq_len" for
 *	  @seq_lens, "onnx" for @onnx_dir); "qnn_compilation_backend" and the other keys of
 *	  QEfficient's qnn_config.json are taken where they mean something here
 * @options: gets what the file says; the rest stays
 * @config: receives what @options then points into; close it with qeff_compile_config_close() when
 *	    @options is no longer used
 * @err: why it failed, or NULL
 *
 * Returns 0; -EINVAL for a file or value that is wrong; -ENOTSUP for a key that asks for something
 * that does not exist here; -ENOMEM.
 */
QEFF_API int qeff_compile_config_open(const char *path, struct qeff_compile_options *options,
				      struct qeff_compile_config **config, struct qeff_error *err);
/* NULL is fine. */
QEFF_API void qeff_compile_config_close(struct qeff_compile_config *config);

/**
 * struct qeff_compile_nsp - the share of one NSP in one inference, as planned
 * @macs: multiply-accumulates of matrix products and attention
 * @bytes: constants, state and activations read and written
 */
struct qeff_compile_nsp {
	uint64_t macs;
	uint64_t bytes;
};

/**
 * struct qeff_compile_specialisation - one set of shapes
 * @batch_size: sequences
 * @seq_len: tokens of each
 * @ctx_len: positions a token may have
 * @num_logits_to_keep: tokens of each that get logits; 0 where that is no input
 * @phases: barriers of an inference
 * @nsp: the share of each NSP when every row holds a token and half the context is used
 */
struct qeff_compile_specialisation {
	uint32_t batch_size;
	uint32_t seq_len;
	uint32_t ctx_len;
	uint32_t num_logits_to_keep;
	uint32_t phases;
	struct qeff_compile_nsp nsp[QEFF_COMPILE_MAX_CORES];
};

/**
 * struct qeff_compile_summary - what was made
 * @architecture: as config.json names it
 * @task: "text-generation", "feature-extraction" or "text-classification"; "tensors" for an ONNX
 *	  model
 * @parameters: numbers in the checkpoint's weights, or in an ONNX model's
 * @layers: transformer layers; 0 for an ONNX model
 * @transforms: names of the transforms applied, in order
 * @num_transforms: how many
 * @warnings: sentences about what was ignored, such as weights that the model has no use for
 * @num_warnings: how many
 * @num_cores: NSPs
 * @precision: as asked for
 * @fp32_nodes: nodes that the globs of the options kept in fp32
 * @specialisations: in the program's order
 * @num_specialisations: how many
 * @operations, @tiles: entries of the program's tables
 * @constants_bytes: program and packed weights
 * @ddr_bytes: shared memory of an activation: the sum of the next three, and padding
 * @io_bytes: inputs and outputs
 * @state_bytes: retained state (KV cache)
 * @arena_bytes: activations
 * @package_bytes: the file
 * @seconds: per enum qeff_compile_stage
 */
struct qeff_compile_summary {
	char *architecture;
	const char *task;
	uint64_t parameters;
	uint32_t layers;
	char **transforms;
	uint32_t num_transforms;
	char **warnings;
	uint32_t num_warnings;
	uint32_t num_cores;
	enum qeff_compile_precision precision;
	uint32_t fp32_nodes;
	struct qeff_compile_specialisation *specialisations;
	uint32_t num_specialisations;
	uint64_t operations;
	uint64_t tiles;
	uint64_t constants_bytes;
	uint64_t ddr_bytes;
	uint64_t io_bytes;
	uint64_t state_bytes;
	uint64_t arena_bytes;
	uint64_t package_bytes;
	double seconds[QEFF_COMPILE_STAGES];
};

/**
 * qeff_compile - compile a checkpoint into a package
 * @options: what and how
 * @summary: receives what was made, or NULL; free it with qeff_compile_summary_free()
 * @err: why it failed, or NULL
 *
 * May be called from several threads at once, each with its own @output. Packs with as many threads
 * as there are CPUs.
 *
 * Returns 0; -EINVAL for options, a checkpoint or a model that cannot be compiled (the sentence
 * says which); -ENOTSUP for an architecture or operator that is not known; or what opening, reading
 * and writing files returned.
 */
QEFF_API int qeff_compile(const struct qeff_compile_options *options,
			  struct qeff_compile_summary *summary, struct qeff_error *err);

/**
 * qeff_compile_describe_program - what a package's NSPs run, as text and picture
 * @constants: the package's static constants (segment "constants.bin")
 * @constants_bytes: how long they are
 * @text: receives a listing by specialisation and phase; free it with free()
 * @dot: receives a picture in Graphviz's language; free it with free()
 * @err: why it failed, or NULL
 *
 * Returns 0; -ENOTSUP if there is no program of this compiler's kind; -EINVAL if it is not valid;
 * -ENOMEM.
 */
QEFF_API int qeff_compile_describe_program(const void *constants, uint64_t constants_bytes,
					   char **text, char **dot, struct qeff_error *err);

/* Frees what it points to and zeroes it. A zeroed summary is fine. */
QEFF_API void qeff_compile_summary_free(struct qeff_compile_summary *summary);

/**
 * qeff_compile_cached - compile into the cache, unless the package is there
 * @options: what and how; @output is not used, @onnx_dir is NULL
 * @anew: compile even if it is there
 * @package: receives the package's path; free it with free(). It stays where it is until it is
 * pruned
 * @hit: whether it was there
 * @summary: what was made, as for qeff_compile(); all zero if the package was there. Or NULL
 * @err: why it failed, or NULL
 *
 * The cache is in $QEFF_HOME, else in qeff/ of $XDG_CACHE_HOME or ~/.cache. A package is found
 * again if compiler, options and the model's files (by name, size, times and inode) are what they
 * were. Any number of processes may do this at once: of those that want the same package one
 * compiles, the others wait. What a compiler that died has left is not taken for a package.
 *
 * Returns as qeff_compile().
 */
QEFF_API int qeff_compile_cached(const struct qeff_compile_options *options, bool anew,
				 char **package, bool *hit, struct qeff_compile_summary *summary,
				 struct qeff_error *err);

/**
 * struct qeff_compile_cache_entry - a package in the cache
 * @name: of its folder
 * @model: the model's folder
 * @package: path
 * @bytes: length; 0 if there is no whole package
 * @made: seconds since the epoch
 * @current: whether it can be found again: compiler and model are what they were
 */
struct qeff_compile_cache_entry {
	const char *name;
	const char *model;
	const char *package;
	uint64_t bytes;
	int64_t made;
	bool current;
};

/* Tells @visit of every package in the cache; what it is given lives during the call. */
QEFF_API int qeff_compile_cache_list(void (*visit)(void *user,
						   const struct qeff_compile_cache_entry *entry),
				     void *user, struct qeff_error *err);

/* Removes what can never be found again, or @all; not what is being made. @entries, @bytes: how
 * much that was. */
QEFF_API int qeff_compile_cache_prune(bool all, uint32_t *entries, uint64_t *bytes,
				      struct qeff_error *err);

#ifdef __cplusplus
}
#endif
#endif
