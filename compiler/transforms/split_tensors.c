/* SPDX-License-Identifier: MIT */
/* SplitTensors: which data file of the ONNX model holds which initialiser. Small ones stay inside
 * the model; a file is full when the next initialiser would exceed its limit. */
#include "transforms/transforms.h"

#include "util/checked.h"

#define INSIDE_BYTES	   1024 /* up to here they stay in the model */
#define DEFAULT_FILE_BYTES (10ull << 30)

int qeff_transform_split_tensors(struct qeff_graph *graph,
				 const struct qeff_transform_options *options, uint32_t *changes,
				 struct qeff_error *err)
{
	uint64_t limit = options->data_file_bytes ? options->data_file_bytes : DEFAULT_FILE_BYTES;
	uint64_t used = 0, count, size;
	uint32_t moved = 0, file = 1;

	for (uint32_t i = 0; i < graph->num_values; i++) {
		struct qeff_value *value = graph->values[i];

		if (!value->is_initialiser)
			continue;
		if (!qeff_graph_shape_elements(&value->shape, &count) ||
		    !qeff_mul_u64(count, qeff_graph_type_bytes(value->type), &size))
			return qeff_error_set(err, -EINVAL, "initialiser \"%s\" has no fixed size",
					      value->name);
		value->data_file = 0;
		if (size <= INSIDE_BYTES)
			continue;
		if (used && (size > limit || used > limit - size)) {
			file++;
			used = 0;
		}
		used += size;
		value->data_file = file;
		moved++;
	}
	if (changes)
		*changes = moved;
	return qeff_graph_finish(graph, err);
}
