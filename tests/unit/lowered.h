/* SPDX-License-Identifier: MIT */
/*
 * A model of tests/data, lowered in memory and run in the calling thread: what the card would do,
 * without package and card. Any failure on the way ends the test program.
 */
#ifndef QEFF_TESTS_LOWERED_H
#define QEFF_TESTS_LOWERED_H

#include "checkpoint/internal.h"
#include "lower/ir.h"
#include "models/models.h"
#include "nsp/host/host.h"
#include "transforms/transforms.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct lowered_options {
	uint32_t num_nsps, batch;
	uint32_t positions; /* decoders: of the KV cache; 0: no cache */
	uint32_t seqs[4], num_seqs;
	const char *pooling;
	bool normalize;
	enum qeff_lower_precision precision;
	const char *fp32_nodes; /* a glob, or NULL */
	bool mxfp6_products, mxint8_kv_cache;
};

struct lowered {
	struct qeff_checkpoint *checkpoint;
	struct qeff_model_info info;
	struct qeff_graph *graph, *bound[4];
	uint32_t num_bound;
	enum qeff_lower_precision precision;
	bool mxfp6_products;
	struct qeff_lowering *l;
	struct qeff_bytes constants; /* as streamed */
	uint8_t *aligned, *ddr, *scratch, *shadow;
	struct qeff_nsp_program program;
	struct qeff_nsp_instance *instance;
	bool poison;
};

static inline void lowered_die(const char *where, const struct qeff_error *err)
{
	fprintf(stderr, "%s: %s\n", where, err->message);
	exit(EXIT_FAILURE);
}

static inline int lowered_take(void *user, const void *data, size_t size, struct qeff_error *err)
{
	return qeff_bytes_append(user, data, size) ? 0 : qeff_error_set(err, -ENOMEM, "memory");
}

static inline void *lowered_zeros(uint64_t bytes)
{
	void *at = aligned_alloc(4096, (bytes + 4096) & ~4095ull);

	if (!at)
		abort();
	return memset(at, 0, (bytes + 4096) & ~4095ull);
}

/* Lowers the bound graphs that stand in @m and makes them runnable. */
static inline void lowered_start(struct lowered *m, uint32_t num_nsps)
{
	const struct qeff_lower_sink sink = { .write = lowered_take, .user = &m->constants };
	const struct qeff_lower_options options = { .num_nsps = num_nsps,
						    .precision = m->precision,
						    .mxfp6_products = m->mxfp6_products };
	struct qeff_error err = { 0 };

	if (qeff_lower((const struct qeff_graph *const *)m->bound, m->num_bound, &options, &m->l,
		       &err))
		lowered_die("lower", &err);
	if (qeff_lower_emit(m->l, &sink, &err))
		lowered_die("emit", &err);
	m->aligned = lowered_zeros(m->constants.size_bytes);
	memcpy(m->aligned, m->constants.data, m->constants.size_bytes);
	if (qeff_nsp_host_validate(m->aligned, m->constants.size_bytes, "constants", &m->program,
				   &err))
		lowered_die("validate", &err);
	m->ddr = lowered_zeros(m->program.header->ddr_bytes);
	m->scratch = lowered_zeros(m->program.header->scratch_bytes);
	m->shadow = lowered_zeros(m->program.header->ddr_bytes - m->program.header->arena_offset);
	m->instance = lowered_zeros(qeff_nsp_instance_bytes(&m->program));
	qeff_nsp_instance_init(m->instance, &m->program, qeff_nsp_host_kernels(NULL), m->ddr);
}

static inline struct lowered *lowered_open(const char *model, const struct lowered_options *o)
{
	const struct qeff_transform_options transforms = { .kv_cache = o->positions != 0,
							   .pooling = o->pooling,
							   .normalize = o->normalize,
							   .fp32_nodes = &o->fp32_nodes,
							   .num_fp32_nodes = o->fp32_nodes ? 1 : 0,
							   .mxint8_kv_cache = o->mxint8_kv_cache,
							   .fp16 = o->precision ==
								   QEFF_LOWER_FP16 };
	struct qeff_model_options options = { .positions = o->positions };
	struct lowered *m = calloc(1, sizeof(*m));
	struct qeff_transforms_applied applied = { 0 };
	struct qeff_error err = { 0 };
	char path[512];

	if (!m)
		abort();
	m->precision = o->precision;
	m->mxfp6_products = o->mxfp6_products;
	for (uint32_t i = 0; !o->positions && i < o->num_seqs; i++)
		if (o->seqs[i] > options.positions)
			options.positions = o->seqs[i];
	snprintf(path, sizeof(path), "%s/models/%s", QEFF_TEST_DATA, model);
	if (qeff_checkpoint_open(path, &m->checkpoint, &err) ||
	    qeff_model_build(m->checkpoint, &options, &m->graph, &m->info, &err) ||
	    qeff_transforms_apply(m->graph, &transforms, &applied, &err))
		lowered_die(model, &err);
	for (m->num_bound = 0; m->num_bound < o->num_seqs; m->num_bound++) {
		const struct qeff_binding_size sizes[] = {
			{ "batch_size", o->batch },
			{ "full_batch_size", o->batch },
			{ "seq_len", o->seqs[m->num_bound] },
			{ "ctx_len", options.positions },
		};

		if (qeff_graph_bind(m->graph, sizes, 4, &m->bound[m->num_bound], &err))
			lowered_die(model, &err);
	}
	lowered_start(m, o->num_nsps);
	return m;
}

static inline void lowered_close(struct lowered *m)
{
	qeff_lowering_free(m->l);
	qeff_bytes_free(&m->constants);
	free(m->aligned);
	free(m->ddr);
	free(m->scratch);
	free(m->shadow);
	free(m->instance);
	for (uint32_t i = 0; i < m->num_bound; i++)
		qeff_graph_free(m->bound[i]);
	qeff_graph_free(m->graph);
	qeff_model_info_clear(&m->info);
	qeff_checkpoint_close(m->checkpoint);
	free(m);
}

/* Where the input or output of that name lies, in the shape of the specialisation that runs. */
static inline void *lowered_at(const struct lowered *m, const char *name)
{
	for (uint32_t i = 0; i < m->l->num_bindings; i++)
		if (!strcmp(m->l->bindings[i].name, name) && m->l->bindings[i].state == LOWER_NONE)
			return m->ddr + m->l->bindings[i].offset;
	fprintf(stderr, "no binding %s\n", name);
	exit(EXIT_FAILURE);
}

/* One inference; the fault it ended with. */
static inline enum qeff_nsp_fault lowered_run(struct lowered *m, uint32_t spec)
{
	struct qeff_nsp_control *control =
		(struct qeff_nsp_control *)(m->ddr + m->program.header->control);

	control->specialisation = spec;
	return qeff_nsp_host_run(m->instance, m->scratch, m->poison ? m->shadow : NULL);
}

static inline const struct qeff_nsp_stats *lowered_stats(const struct lowered *m)
{
	return (const struct qeff_nsp_stats *)(m->ddr + m->program.header->stats);
}

/* A tensor of the model's reference.safetensors. */
struct reference {
	struct safetensors file;
};

static inline void reference_open(struct reference *reference, const char *model)
{
	struct qeff_error err = { 0 };
	char path[512];

	snprintf(path, sizeof(path), "%s/models/%s/reference.safetensors", QEFF_TEST_DATA, model);
	if (safetensors_open(&reference->file, path, &err))
		lowered_die(model, &err);
}

static inline const struct qeff_checkpoint_tensor *
reference_tensor(const struct reference *reference, const char *name)
{
	for (size_t i = 0; i < reference->file.num_tensors; i++)
		if (!strcmp(reference->file.tensors[i].name, name))
			return &reference->file.tensors[i];
	fprintf(stderr, "no reference %s\n", name);
	exit(EXIT_FAILURE);
}

#endif
