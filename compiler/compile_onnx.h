/* SPDX-License-Identifier: MIT */
/* Models that arrive as ONNX: the file takes the place of checkpoint and model builder. */
#ifndef QEFF_COMPILE_ONNX_H
#define QEFF_COMPILE_ONNX_H

#include "compile.h"

struct compile_onnx;

/* Whether @path names such a file. */
bool qeff_compile_is_onnx(const char *path);
/* Opens options->model_dir, reads what is asked of its inputs, and settles @plan. */
int qeff_compile_onnx_open(const struct qeff_compile_options *options, struct compile_plan *plan,
			   struct compile_onnx **onnx, struct qeff_error *err);
/* What was changed in the file's model. */
const struct qeff_transforms_applied *qeff_compile_onnx_applied(const struct compile_onnx *onnx);
void qeff_compile_onnx_close(struct compile_onnx *onnx);
/* Whether it is handed keys and values of earlier tokens, of which nobody said how many: they stay
 * on the card. */
bool qeff_compile_onnx_is_cached(const struct compile_onnx *onnx);
/* The graph of one specialisation, with all shapes bound. */
int qeff_compile_onnx_graph(struct compile_onnx *onnx, const struct compile_plan *plan,
			    const struct compile_spec *spec, struct qeff_graph **graph,
			    struct qeff_error *err);

#endif
