/* SPDX-License-Identifier: MIT */
/* The graph as ONNX: export (import.h has the other way). */
#ifndef QEFF_ONNX_ONNX_H
#define QEFF_ONNX_ONNX_H

#include "graph/graph.h"

/**
 * qeff_onnx_export - write @graph as an ONNX model
 * @directory: made if it does not exist; receives model.onnx and the data files that initialisers
 *	       name (SplitTensors): model.onnx.data, model_1.onnx.data, ..., where each stands at
 *	       a multiple of 4096 bytes. Each file is there whole or not at all
 * @transforms: names of the transforms applied, comma separated, kept in the model's metadata
 *
 * Symbolic dimensions stay symbolic. Operators of the qeff domain come with function bodies in
 * terms of ONNX's own, so a runtime that knows only ONNX computes the same. Initialisers keep the
 * type they are stored as, with a Cast to the type the graph computes with. The same graph gives
 * the same bytes.
 */
int qeff_onnx_export(const struct qeff_graph *graph, const char *directory, const char *transforms,
		     struct qeff_error *err);

/* How many functions an export of @graph brings along (CustomOp): one for each form of an operator
 * of the qeff domain. */
uint32_t qeff_onnx_functions(const struct qeff_graph *graph);

#endif
