/* SPDX-License-Identifier: MIT */
/*
 * Weights where they lie: an initialiser, or blocks of MXFP4, or what Transpose, Slice, Reshape and
 * Expand make of one, as rows and columns in the checkpoint's bytes. Nothing is copied, so matrices
 * that several weights share (queries, keys and values; gate and up; experts) stay mapped.
 */
#ifndef QEFF_LOWER_VIEW_H
#define QEFF_LOWER_VIEW_H

#include "graph/graph.h"
#include "nsp/mx.h"

/**
 * struct lower_view - rows of numbers in the checkpoint
 * @name: of the initialiser
 * @data: row 0, column 0
 * @stored: enum qeff_nsp_type there; the least that holds the numbers of MXFP4, which is BF16
 * @scales: of MXFP4, those of row 0, one for 16 bytes of @data; else NULL
 * @rows, @columns: a value that is no matrix has one column
 * @group_rows: row r lies at r / group_rows / repeat * group_stride + r % group_rows * row_stride
 * @repeat: how often each group stands there, one behind the other
 * @column_stride: all strides are in bytes; 0 in MXFP4, whose columns lie side by side
 */
struct lower_view {
	const char *name;
	const uint8_t *data;
	const uint8_t *scales;
	uint8_t stored;
	uint32_t rows, columns, group_rows, repeat;
	uint64_t group_stride, row_stride, column_stride;
};

/* An initialiser, or blocks of MXFP4, or made of one by Transpose, Slice, Reshape and Expand alone.
 */
bool lower_is_view(const struct qeff_value *value);
/* False if @value is none, not of floats, or lies in too many pieces. @transposed: the other way
 * round. */
bool lower_view_of(const struct qeff_value *value, bool transposed, struct lower_view *view);
/* The same, for those who read numbers one by one: not of MXFP4. */
bool lower_numbers_of(const struct qeff_value *value, struct lower_view *view);
bool lower_view_equal(const struct lower_view *a, const struct lower_view *b);

static inline const uint8_t *lower_view_row(const struct lower_view *view, uint32_t row)
{
	return view->data + row / view->group_rows / view->repeat * view->group_stride +
	       row % view->group_rows * view->row_stride;
}

/* Whether bytes of the checkpoint are in several rows, or several columns. */
static inline bool lower_view_repeats(const struct lower_view *view)
{
	return view->repeat > 1 || !view->row_stride || !view->column_stride ||
	       (view->rows > view->group_rows && !view->group_stride);
}

/* The scales of the row that lies at @row; NULL if it has none. */
static inline const uint8_t *lower_view_scales(const struct lower_view *view, const uint8_t *row)
{
	return view->scales ? view->scales + (row - view->data) / NSP_MXFP4_BLOCK_BYTES : NULL;
}

#endif
