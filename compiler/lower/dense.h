/* SPDX-License-Identifier: MIT */
/*
 * The plain way of lowering: values as dense tensors of a static shape and any element type, and
 * loops over them. What no fast path on compacted rows takes is written in these few words.
 *
 * A value of the graph is rows, or dense, or both (rows that a plain node reads are copied to the
 * application's shape once, zeros where no token is); never does a dense value become rows. A view
 * is where numbers lie: what Reshape, Transpose, Slice, Expand, Squeeze and the like make of a
 * value is another view of the same memory (dense_alias), and nothing is copied.
 *
 * All functions return 0 or a negative errno with the sentence in s->err. Views are plain values:
 * copy and change them; nothing owns them.
 */
#ifndef QEFF_LOWER_DENSE_H
#define QEFF_LOWER_DENSE_H

#include "lower/select.h"

#define DENSE_MAX_RANK QEFF_NSP_NEST_RANK

/**
 * struct dense_view - a tensor, or a part of one
 * @at: what it lies in: a tensor, an input or output, a table of the constants
 * @type: enum qeff_nsp_type of the elements
 * @rank, @size, @stride: its shape, and how far the next element is, in elements: 0 repeats one,
 *			  negative goes backwards
 * @offset: of the element with all indices 0, in elements
 */
struct dense_view {
	struct lower_ref at;
	uint8_t type;
	uint32_t rank;
	int64_t size[DENSE_MAX_RANK];
	int64_t stride[DENSE_MAX_RANK];
	int64_t offset;
};

/* Values of the graph. */

/* Input @index of @node in its own shape; an initialiser becomes a table of its stored type. An
 * absent optional input is refused: ask qeff_node_input() first. */
int dense_input(struct select *s, const struct qeff_node *node, uint32_t index,
		struct dense_view *view);
/* The same of any value. */
int dense_value(struct select *s, const struct qeff_node *node, const struct qeff_value *value,
		struct dense_view *view);
/* Output @index of @node becomes a new contiguous tensor (or lies where the application sees it).
 */
int dense_output(struct select *s, const struct qeff_node *node, uint32_t index,
		 struct dense_view *view);
/* Output @index of @node is @view, whose elements in order are the value's: same shape, or the same
 * number of elements in a view that dense_reshape() takes; else they are copied. */
int dense_alias(struct select *s, const struct qeff_node *node, uint32_t index,
		const struct dense_view *view);

/* A new contiguous tensor; its numbers are undefined until something writes them. */
int dense_temp(struct select *s, uint8_t type, uint32_t rank, const int64_t *size,
	       struct dense_view *view);
/* Numbers of the compiler's own, copied from @data. */
int dense_constant(struct select *s, uint8_t type, uint32_t rank, const int64_t *size,
		   const void *data, struct dense_view *view);
/* One number, of rank 0. */
int dense_scalar(struct select *s, double number, struct dense_view *view); /* F64 */

/* The element type that a value of @type has in memory (BOOL: a byte); F32 for unknown ones. */
uint8_t dense_type(enum qeff_graph_type type);
/* What numbers of @type are computed in: F16, BF16 and F32 in F32; F64; U64; all other integers in
 * I64 (a U32 wraps when it is stored). */
uint8_t dense_number(uint8_t type);
uint64_t dense_elements(const struct dense_view *view);

/* Changing views; pure arithmetic. */

bool dense_is_contiguous(const struct dense_view *view);
/* To another shape with as many elements; false if that is no view of the same memory. */
bool dense_reshape(struct dense_view *view, uint32_t rank, const int64_t *size);
void dense_transpose(struct dense_view *view, const uint32_t *perm);
/* A new dimension before @axis. */
void dense_insert(struct dense_view *view, uint32_t axis, int64_t size, int64_t stride);
void dense_remove(struct dense_view *view, uint32_t axis); /* of size 1, or at index 0 */
/* Elements @begin, @begin + @step, ... (@size of them) of @axis; @step may be negative. */
void dense_slice(struct dense_view *view, uint32_t axis, int64_t begin, int64_t size, int64_t step);
/* ONNX's broadcasting: right-aligned, sizes 1 repeat. False if the shapes do not fit. */
bool dense_broadcast(struct dense_view *view, uint32_t rank, const int64_t *size);

/* Operations. */

/**
 * struct dense_nest - NEST: out = fold of an expression of in[0..3]
 * @number: enum qeff_nsp_number
 * @fold: enum qeff_nsp_fold
 * @in: @num_in of them; all of one shape, that of the loops (dense_broadcast() first)
 * @out: its shape is that of the first loops; the rest are folded. Several nests may each write a
 *	 part of one tensor, if the parts do not overlap
 * @code, @instructions: registers 0..3 begin as in[0..3]; the last instruction's dst is the result;
 *			 none: in[0]
 */
struct dense_nest {
	uint8_t number;
	uint8_t fold;
	uint32_t num_in;
	struct dense_view in[4];
	struct dense_view out;
	const struct qeff_nsp_instruction *code;
	uint32_t instructions;
};
int dense_nest(struct select *s, const struct qeff_node *node, const struct dense_nest *nest);

/* Elementwise, with broadcasting of @in to @out. */
int dense_map(struct select *s, const struct qeff_node *node, uint8_t number,
	      const struct qeff_nsp_instruction *code, uint32_t instructions,
	      const struct dense_view *in, uint32_t num_in, const struct dense_view *out);
/* @from to @to of the same shape, or broadcast, converting as Cast does. */
int dense_copy(struct select *s, const struct qeff_node *node, const struct dense_view *from,
	       const struct dense_view *to);
/* A number everywhere. */
int dense_fill(struct select *s, const struct qeff_node *node, const struct dense_view *out,
	       double number);
/* @view itself if contiguous, else a contiguous copy. */
int dense_contiguous(struct select *s, const struct qeff_node *node, struct dense_view *view);
/* Folds the axes in @axes (bit i: axis i) of @in. @out: the other dimensions of @in in order (with
 * or without dimensions of size 1 in their place). */
int dense_reduce(struct select *s, const struct qeff_node *node, uint8_t number, uint8_t fold,
		 const struct qeff_nsp_instruction *code, uint32_t instructions,
		 const struct dense_view *in, uint32_t axes, const struct dense_view *out);

/**
 * struct dense_pick - PICK: out[i] = data[i + sum of index_j(i) * stride[j]]; PUT: the other way
 * @data: a view in the shape of the loops: element i as if all indices were 0 (strides are 0 along
 *	  loops that only the indices place)
 * @indices: I32 or I64, in the shape of the loops: component 0 of the index of element i
 * @other: PICK: out; PUT: the updates. In the shape of the loops
 * @components, @index_stride: how many numbers an index has, how far apart they lie
 * @stride, @limit: of each component: elements of data that it moves by; its exclusive limit
 * @fold: PUT: enum qeff_nsp_fold up to MIN
 */
struct dense_pick {
	struct dense_view data;
	struct dense_view indices;
	struct dense_view other;
	uint32_t components;
	int64_t index_stride;
	int64_t stride[QEFF_NSP_MAX_COMPONENTS];
	int64_t limit[QEFF_NSP_MAX_COMPONENTS];
	uint8_t fold;
};
int dense_pick(struct select *s, const struct qeff_node *node, const struct dense_pick *pick);
int dense_put(struct select *s, const struct qeff_node *node, const struct dense_pick *pick);

/* x times a float weight [inputs, outputs] (@transposed) or [outputs, inputs..] of the graph, plus
 * a float vector or nothing, through @function; x's last dimension, or last ones, are the inputs. 1
 * if they are not of that form. */
int dense_product(struct select *s, const struct qeff_node *node, const struct dense_view *x,
		  const struct qeff_value *weight, bool transposed, const struct qeff_value *bias,
		  uint8_t function, const struct dense_view *out);
/* Whether @view is less than the tensor it lies in. */
bool dense_is_part(const struct select *s, const struct dense_view *view);

/* The @out->size[axis] largest (or smallest) along @axis, in order; @positions: where they stand
 * (out I64 or I32) instead of the numbers (out of in's type). */
int dense_sort(struct select *s, const struct qeff_node *node, const struct dense_view *in,
	       uint32_t axis, bool smallest, bool positions, const struct dense_view *out);

#endif
