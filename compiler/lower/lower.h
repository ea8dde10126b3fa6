/* SPDX-License-Identifier: MIT */
/*
 * Lowering: the bound graphs of all specialisations become one NSP program, its packed weights, the
 * metadata and the network descriptor.
 *
 *   select    nodes -> operations of the NSP program, neighbours fused
 *   schedule  operations -> phases
 *   place     weights and operations -> NSPs
 *   plan      tensors -> addresses
 *   tables    everything -> the program's bytes
 *   emit      program and weights -> a stream of constants
 *   describe  bindings and sizes -> descriptor and metadata
 *
 * The graphs, and the checkpoint behind their initialisers, must outlive the lowering.
 */
#ifndef QEFF_LOWER_LOWER_H
#define QEFF_LOWER_LOWER_H

#include "graph/graph.h"
#include "nsp/program.h"
#include "util/bytes.h"
#include "util/error.h"

#include <stdbool.h>
#include <stdint.h>

struct qeff_lowering;

/*
 * What weights and retained state are stored as; nodes marked fp32 are lowered as in FP32.
 *
 *		products		lookups in a vocabulary		retained state
 * FP32		the checkpoint's own	the checkpoint's own	f32
 * FP16		f16			f16				f16
 * BF16		bf16			bf16				f16
 * INT8		int8, a scale for 64	the checkpoint's own	f16
 *
 * f16 weights are storage, as are bf16 ones in FP32 and where queries and keys are made; other bf16
 * weights meet activations rounded to bf16. Tables that all NSPs share (norms, biases, positions,
 *rotary tables) are always f32. A tied head shares its weights with the lookup where both have the
 *same type; with INT8 they stand twice.
 */
enum qeff_lower_precision {
	QEFF_LOWER_FP32 = 0,
	QEFF_LOWER_FP16,
	QEFF_LOWER_BF16,
	QEFF_LOWER_INT8,
};

/**
 * struct qeff_lower_options - how to lower
 * @num_nsps: 1 to QEFF_NSP_MAX_NSPS
 * @precision: of everything but nodes marked fp32
 * @mxfp6_products: weights of products are MXFP6 instead, 6.25 bits each
 */
struct qeff_lower_options {
	uint32_t num_nsps;
	enum qeff_lower_precision precision;
	bool mxfp6_products;
};

/* Weights along K that share a scale: 8.5 bits a weight. */
#define QEFF_LOWER_SCALE_GROUP 64

/**
 * qeff_lower - all passes up to the program's bytes
 * @graphs: one for each specialisation, in the program's order, alike but for their shapes
 * @options: how
 *
 * Returns 0; -ENOTSUP for a node that cannot be expressed (named, with its operator); -EINVAL for
 * graphs that do not fit each other; -EFBIG beyond the limits of the formats; -ENOMEM.
 */
int qeff_lower(const struct qeff_graph *const *graphs, uint32_t num_graphs,
	       const struct qeff_lower_options *options, struct qeff_lowering **lowering,
	       struct qeff_error *err);
void qeff_lowering_free(struct qeff_lowering *lowering);

/* Static work of one NSP in one specialisation. */
struct qeff_lower_share {
	uint64_t macs;
	uint64_t bytes;
};

struct qeff_lower_spec_facts {
	uint32_t batch, seq, positions;
	uint32_t phases;
	struct qeff_lower_share nsp[QEFF_NSP_MAX_NSPS];
};

struct qeff_lower_facts {
	uint32_t num_nsps;
	uint32_t num_specs;
	uint64_t operations, tiles;
	uint64_t constants_bytes;
	uint64_t ddr_bytes, io_bytes, state_bytes, arena_bytes;
};

void qeff_lower_facts(const struct qeff_lowering *lowering, struct qeff_lower_facts *facts);
/* @spec in range. */
void qeff_lower_spec_facts(const struct qeff_lowering *lowering, uint32_t spec,
			   struct qeff_lower_spec_facts *facts);

/**
 * struct qeff_lower_sink - where the static constants go
 * @write: takes the next bytes; what it returns other than 0 ends the stream
 * @progress: called now and then with bytes done and total, or NULL
 * @release: told of initialisers' bytes that will not be read again, or NULL; called by any thread
 *
 * The others are called in the thread that called qeff_lower_emit().
 */
struct qeff_lower_sink {
	int (*write)(void *user, const void *data, size_t size_bytes, struct qeff_error *err);
	void (*progress)(void *user, uint64_t done, uint64_t total);
	void (*release)(void *user, const void *data, size_t size_bytes);
	void *user;
};

/* Streams the static constants, first byte to last. Weights are packed panel by panel from where
 * they lie, by as many threads as there are CPUs, into a few small buffers. */
int qeff_lower_emit(const struct qeff_lowering *lowering, const struct qeff_lower_sink *sink,
		    struct qeff_error *err);

/* Appends network.elf: an image without code that carries the metadata. */
int qeff_lower_image(const struct qeff_lowering *lowering, const char *name,
		     struct qeff_bytes *image, struct qeff_error *err);
/* Appends the network descriptor. */
int qeff_lower_network(const struct qeff_lowering *lowering, const char *name,
		       struct qeff_bytes *descriptor, struct qeff_error *err);

/**
 * qeff_lower_describe - an NSP program as text, and as a picture in Graphviz's language
 * @constants: what the static constants begin with
 * @readable_bytes: how much of it is there: the program at least
 * @constants_bytes: how long they are
 * @text, @dot: the caller frees them; NULL after a failure
 *
 * -ENOTSUP if no program of ours stands there, -EINVAL if it is not valid, -ENOMEM.
 */
int qeff_lower_describe(const void *constants, uint64_t readable_bytes, uint64_t constants_bytes,
			char **text, char **dot, struct qeff_error *err);
/* The same of a lowering. */
int qeff_lowering_describe(const struct qeff_lowering *lowering, char **text, char **dot,
			   struct qeff_error *err);

#endif
