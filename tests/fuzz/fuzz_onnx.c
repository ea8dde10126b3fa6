/* SPDX-License-Identifier: MIT */
/*
 * An ONNX file: changed by the transforms of files, imported as it is, and once more with a size
 * for each of its symbols; what comes of it is a valid graph, which is bound, lowered and run.
 */
#include "choices.h"
#include "fuzz.h"

#include "lower/fold.h"
#include "onnx/transforms.h"

#include <string.h>

#define NAME	    "fuzz.onnx"
#define MAX_SYMBOLS 16

static void check_graph(struct qeff_graph *graph)
{
	struct qeff_error err = { 0 };

	fuzz_require(!qeff_graph_finish(graph, &err), "imported a graph that is not valid: %s",
		     err.message);
}

static int lower(struct qeff_graph *graph, const struct qeff_binding_size *sizes, uint32_t count,
		 struct fuzz_choices *choices, struct qeff_error *err)
{
	struct qeff_graph *bound = NULL;
	int rc = qeff_graph_bind(graph, sizes, count, &bound, err);

	if (!rc)
		rc = fuzz_lower((const struct qeff_graph *const *)&bound, 1, choices, err);
	qeff_graph_free(bound);
	return rc;
}

/* With the sizes known from the start, or only when the graph is bound. */
static int compile(struct qeff_onnx_model *model, const struct qeff_binding_size *sizes,
		   uint32_t count, bool late, struct fuzz_choices *choices, struct qeff_error *err)
{
	const struct qeff_onnx_import_options options = { .sizes = sizes,
							  .num_sizes = late ? 0 : count,
							  .fold = qeff_lower_fold };
	struct qeff_graph *graph = NULL;
	int rc = qeff_onnx_import(model, &options, &graph, err);

	fuzz_require(!rc == !!graph, "%d, and %s graph", rc, graph ? "a" : "no");
	if (rc)
		return rc;
	check_graph(graph);
	rc = lower(graph, sizes, count, choices, err);
	qeff_graph_free(graph);
	return rc;
}

/* All of them, whether they find anything or not; every other file with its own names. */
static int transform(struct qeff_onnx_model *model, bool names, struct qeff_error *err)
{
	const struct qeff_onnx_transform_options options = { .remove_prefix = names,
							     .adapter = "default" };
	int rc = 0;

	for (size_t i = 0; i < qeff_num_onnx_transforms && !rc; i++) {
		uint32_t changes;

		if (names || i)
			rc = qeff_onnx_transforms[i].apply(model, &options, &changes, err);
	}
	return rc;
}

size_t fuzz_regions(const uint8_t *data, size_t size, struct fuzz_region *regions)
{
	regions[0] = (struct fuzz_region){ 0, size };
	return 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* how it is lowered follows from its end, where the opset stands, mostly */
	struct fuzz_choices choices = { data + size - (size < 8 ? size : 8), size < 8 ? size : 8 };
	struct qeff_binding_size sizes[MAX_SYMBOLS];
	struct qeff_onnx_model *model;
	struct qeff_error err = { 0 };
	const char *symbol;
	uint32_t count = 0;
	int rc = qeff_onnx_open_bytes(data, size, NAME, &model, &err);

	if (rc) {
		fuzz_refused(rc, &err, NAME);
		return 0;
	}
	rc = transform(model, size % 2, &err);
	if (rc) {
		fuzz_refused(rc, &err, NAME);
		qeff_onnx_close(model);
		return 0;
	}
	while (count < MAX_SYMBOLS && (symbol = qeff_onnx_symbol(model, count))) {
		sizes[count] = (struct qeff_binding_size){ symbol, 1 + (size + count) % 4 };
		count++;
	}
	rc = compile(model, sizes, count, false, &choices, &err);
	if (rc)
		fuzz_refused(rc, &err, "");
	else
		fuzz_ran();
	if (count) {
		memset(&err, 0, sizeof(err));
		rc = compile(model, sizes, count, true, &choices, &err);
		if (rc)
			fuzz_refused(rc, &err, "");
		else
			fuzz_ran();
	}
	qeff_onnx_close(model);
	return 0;
}
