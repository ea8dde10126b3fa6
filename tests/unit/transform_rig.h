/* SPDX-License-Identifier: MIT */
/* A model's graph before and behind a transform: built, bound to sizes, looked at and run. */
#ifndef QEFF_TESTS_TRANSFORM_RIG_H
#define QEFF_TESTS_TRANSFORM_RIG_H

#include "unit.h"

#include "checkpoint/internal.h"
#include "graph_eval.h"
#include "graph_look.h"
#include "model_folder.h"
#include "models/models.h"
#include "transforms/transforms.h"

#define CONTEXT 40

struct model {
	struct qeff_checkpoint *checkpoint;
	struct qeff_graph *graph;
	struct qeff_model_info info;
	struct safetensors reference;
};

static inline struct model open_model(const char *name)
{
	const struct qeff_model_options options = { .positions = CONTEXT };
	struct qeff_error err = { 0 };
	struct model m = { 0 };
	char path[512];
	int ret;

	snprintf(path, sizeof(path), QEFF_TEST_DATA "/models/%s", name);
	ret = qeff_checkpoint_open(path, &m.checkpoint, &err);
	if (!ret)
		ret = qeff_model_build(m.checkpoint, &options, &m.graph, &m.info, &err);
	strcat(path, "/reference.safetensors");
	if (!ret)
		ret = safetensors_open(&m.reference, path, &err);
	if (ret)
		printf("\n  %s", err.message);
	CU_ASSERT_EQUAL_FATAL(ret, 0);
	return m;
}

static inline void close_model(struct model *m)
{
	safetensors_close(&m->reference);
	qeff_graph_free(m->graph);
	qeff_model_info_clear(&m->info);
	qeff_checkpoint_close(m->checkpoint);
}

static inline const struct qeff_checkpoint_tensor *reference(const struct model *m,
							     const char *name)
{
	for (size_t i = 0; i < m->reference.num_tensors; i++)
		if (!strcmp(m->reference.tensors[i].name, name))
			return &m->reference.tensors[i];
	CU_FAIL_FATAL("the reference has this tensor");
	return NULL;
}

static inline struct qeff_graph *bind(const struct qeff_graph *graph, int64_t batch, int64_t seq)
{
	const struct qeff_binding_size sizes[] = {
		{ "batch_size", batch },
		{ "seq_len", seq },
		{ "ctx_len", CONTEXT },
	};
	struct qeff_graph *bound = NULL;
	struct qeff_error err = { 0 };

	if (qeff_graph_bind(graph, sizes, 3, &bound, &err))
		printf("\n  %s", err.message);
	CU_ASSERT_PTR_NOT_NULL_FATAL(bound);
	return bound;
}

/* The rows of @output of a graph as built, for the reference's tokens. The caller frees them. */
static inline float *run_reference(const struct model *m, const char *output)
{
	const struct qeff_checkpoint_tensor *ids = reference(m, "input_ids");
	const struct qeff_checkpoint_tensor *mask = reference(m, "attention_mask");
	struct qeff_graph *bound = bind(m->graph, ids->dims[0], ids->dims[1]);
	const struct qeff_value *value = qeff_graph_find(bound, output);
	struct eval e = eval_new(bound);
	float *rows;

	memcpy(eval_i(&e, qeff_graph_find(bound, "input_ids")), ids->data, ids->size_bytes);
	memcpy(eval_i(&e, qeff_graph_find(bound, "attention_mask")), mask->data, mask->size_bytes);
	eval_run(&e);
	rows = calloc(eval_count(value), sizeof(*rows));
	memcpy(rows, eval_f(&e, value), eval_count(value) * sizeof(*rows));
	eval_free(&e);
	qeff_graph_free(bound);
	return rows;
}

#endif
