/* SPDX-License-Identifier: MIT */
/*
 * Rewritings of a model's graph between its builder and lowering, under QEfficient's names.
 *
 * Each leaves a valid graph (qeff_graph_finish() has run) and says how many places it changed; a
 * graph it does not apply to comes back unchanged, with 0.
 */
#ifndef QEFF_TRANSFORMS_TRANSFORMS_H
#define QEFF_TRANSFORMS_TRANSFORMS_H

#include "checkpoint/adapter.h"
#include "graph/graph.h"

#define QEFF_MAX_TRANSFORMS 32

/* A LoRA adapter that can be chosen while running. */
struct qeff_lora {
	const struct qeff_adapter_pair *pairs;
	size_t num_pairs;
};

/* A precision for an input or output. */
struct qeff_custom_io {
	const char *name;
	enum qeff_graph_io io;
};

/**
 * struct qeff_transform_options - which of those with a choice are wanted
 * @adapter_pairs: of a LoRA adapter that is merged into the weights
 * @num_adapter_pairs: how many
 * @loras: adapters that lora_ids chooses among: number 1 is the first of them
 * @num_loras: how many
 * @kv_cache: keep keys and values in retained state (decoders)
 * @num_replicate_kv_heads: how often KV heads stand in weights and cache; 0 and 1: once
 * @continuous_batching: the cache has full_batch_size slots, chosen by batch_index
 * @comp_ctx_lengths: how much of the context an inference looks at is a shape
 * @spd: logits for num_logits_to_keep tokens of each sequence
 * @sampler: tokens are chosen on the card
 * @max_top_k_ids: among so many of the likeliest; 0: QEfficient's 512, or the vocabulary if that is
 *		   less
 * @guided_decoding: token_bitmasks says which of them are possible
 * @return_pdfs: their probabilities come out too
 * @pooling: "mean", "cls", "max", "last", or NULL for none (encoders)
 * @normalize: L2-normalise what was pooled
 * @fp32_nodes: globs (fnmatch; * matches dots and slashes as well) of names of the nodes that stay
 *		in fp32
 * @num_fp32_nodes: how many globs
 * @custom_io: what inputs and outputs are stored as; the others as the precision makes them
 * @num_custom_io: how many
 * @mxint8_kv_cache: all retained state is MXINT8
 * @fp16: clamp initialisers to what f16 can hold
 * @data_files: spread large initialisers over ONNX data files
 * @data_file_bytes: of which each holds at most so many; 0: QEfficient's 10 GiB
 * @foreign: the graph was made by others: attention, rotary positions and, with @kv_cache, keys and
 *	     values that are handed around are recognised (Attention, RotaryEmbedding, KVConcat)
 * @positions: of the KV cache, where @foreign and @kv_cache are set
 * @fold: computes the outputs of a node whose inputs are constants, for what is recognised by
 *trying
 * @fold_user: handed to @fold
 * @watch: is shown the graph behind each transform that changed it, or NULL
 * @watch_user: handed to @watch
 */
struct qeff_transform_options {
	const struct qeff_adapter_pair *adapter_pairs;
	size_t num_adapter_pairs;
	const struct qeff_lora *loras;
	size_t num_loras;
	bool kv_cache;
	uint32_t num_replicate_kv_heads;
	bool continuous_batching;
	bool comp_ctx_lengths;
	bool spd;
	bool sampler;
	uint32_t max_top_k_ids;
	bool guided_decoding;
	bool return_pdfs;
	const char *pooling;
	bool normalize;
	const char *const *fp32_nodes;
	size_t num_fp32_nodes;
	const struct qeff_custom_io *custom_io;
	size_t num_custom_io;
	bool mxint8_kv_cache;
	bool fp16;
	bool data_files;
	uint64_t data_file_bytes;
	bool foreign;
	uint32_t positions;
	int (*fold)(void *user, const struct qeff_node *node, void *const *outputs,
		    struct qeff_error *err);
	void *fold_user;
	int (*watch)(void *user, const char *name, const struct qeff_graph *graph,
		     struct qeff_error *err);
	void *watch_user;
};

struct qeff_transform {
	const char *name;
	/* Whether the options ask for it. */
	bool (*wanted)(const struct qeff_transform_options *options);
	/* Wanted, it must find something to change. */
	bool demanded;
	int (*apply)(struct qeff_graph *graph, const struct qeff_transform_options *options,
		     uint32_t *changes, struct qeff_error *err);
};

/* In the order in which they are applied. */
extern const struct qeff_transform qeff_transforms[];
extern const size_t qeff_num_transforms;

/**
 * struct qeff_transforms_applied - what changed, for the summary
 * @count: how many transforms changed something
 * @name: of each; static
 * @changes: places that each changed
 */
struct qeff_transforms_applied {
	size_t count;
	struct {
		const char *name;
		uint32_t changes;
	} transform[QEFF_MAX_TRANSFORMS];
};

/* Applies the wanted ones. Fails with -EINVAL where a demanded one finds nothing to change
 * (pooling asked of a decoder). On failure the graph is not to be used further. */
int qeff_transforms_apply(struct qeff_graph *graph, const struct qeff_transform_options *options,
			  struct qeff_transforms_applied *applied, struct qeff_error *err);

/* One by one; @changes may be NULL. */
int qeff_transform_custom_ops(struct qeff_graph *graph,
			      const struct qeff_transform_options *options, uint32_t *changes,
			      struct qeff_error *err);
/* Where @options->fold is there to tell whether masks are what they seem. */
int qeff_transform_attention(struct qeff_graph *graph, const struct qeff_transform_options *options,
			     uint32_t *changes, struct qeff_error *err);
/* The same, for a decoder that is handed earlier keys and values; it is given a KV cache. -ENOTSUP
 * if they serve something else as well. */
int qeff_transform_kv_concat(struct qeff_graph *graph, const struct qeff_transform_options *options,
			     uint32_t *changes, struct qeff_error *err);
/* Where rows have positions, and @options->fold tells what their angles are. */
int qeff_transform_rotary_embedding(struct qeff_graph *graph,
				    const struct qeff_transform_options *options, uint32_t *changes,
				    struct qeff_error *err);
int qeff_transform_text_classification(struct qeff_graph *graph,
				       const struct qeff_transform_options *options,
				       uint32_t *changes, struct qeff_error *err);
int qeff_transform_fold_constants(struct qeff_graph *graph,
				  const struct qeff_transform_options *options, uint32_t *changes,
				  struct qeff_error *err);
/* -EINVAL for a module that the graph has no fitting weight of. */
int qeff_transform_lora(struct qeff_graph *graph, const struct qeff_transform_options *options,
			uint32_t *changes, struct qeff_error *err);
/* The same, and for one whose weight no single product of tokens uses. */
int qeff_transform_target_modules(struct qeff_graph *graph,
				  const struct qeff_transform_options *options, uint32_t *changes,
				  struct qeff_error *err);
/* -ENOTSUP where keys or values come from what knows no heads. */
int qeff_transform_replicate_kv_head(struct qeff_graph *graph,
				     const struct qeff_transform_options *options,
				     uint32_t *changes, struct qeff_error *err);
int qeff_transform_kv_cache(struct qeff_graph *graph, const struct qeff_transform_options *options,
			    uint32_t *changes, struct qeff_error *err);
int qeff_transform_spd(struct qeff_graph *graph, const struct qeff_transform_options *options,
		       uint32_t *changes, struct qeff_error *err);
int qeff_transform_sampler(struct qeff_graph *graph, const struct qeff_transform_options *options,
			   uint32_t *changes, struct qeff_error *err);
int qeff_transform_pooling(struct qeff_graph *graph, const struct qeff_transform_options *options,
			   uint32_t *changes, struct qeff_error *err);
/* Marks values; -EINVAL for a name that is no input or output, or two precisions for one. */
int qeff_transform_custom_io(struct qeff_graph *graph, const struct qeff_transform_options *options,
			     uint32_t *changes, struct qeff_error *err);
/* Marks nodes; -EINVAL if a pattern matches none: a name misspelt would pass unseen. */
int qeff_transform_fp32_nodes(struct qeff_graph *graph,
			      const struct qeff_transform_options *options, uint32_t *changes,
			      struct qeff_error *err);
int qeff_transform_fp16_clip(struct qeff_graph *graph, const struct qeff_transform_options *options,
			     uint32_t *changes, struct qeff_error *err);
int qeff_transform_split_tensors(struct qeff_graph *graph,
				 const struct qeff_transform_options *options, uint32_t *changes,
				 struct qeff_error *err);

#endif
