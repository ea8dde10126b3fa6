/* SPDX-License-Identifier: MIT */
/* Comparing tensors as ONNX's own runner does. */
#include "node_tests.h"

#include "nsp/half.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RTOL 1e-3
#define ATOL 1e-7 /* unless QEFF_ONNX_ATOL says another one */

uint64_t elements_of(const struct qeff_onnx_tensor *t)
{
	uint64_t count = 1;

	for (uint32_t i = 0; i < t->rank; i++)
		count *= (uint64_t)t->dims[i];
	return count;
}

static double number_of(enum qeff_graph_type type, const void *data, uint64_t at)
{
	switch (type) {
	case QEFF_GRAPH_F32:
		return (double)((const float *)data)[at];
	case QEFF_GRAPH_F64:
		return ((const double *)data)[at];
	case QEFF_GRAPH_F16:
		return (double)qeff_f16_to_f32(((const uint16_t *)data)[at]);
	case QEFF_GRAPH_BF16:
		return (double)qeff_bf16_to_f32(((const uint16_t *)data)[at]);
	default:
		return 0;
	}
}

bool is_float(enum qeff_graph_type type)
{
	return type == QEFF_GRAPH_F32 || type == QEFF_GRAPH_F64 || type == QEFF_GRAPH_F16 ||
	       type == QEFF_GRAPH_BF16;
}

static bool close_enough(double found, double expected)
{
	const char *wider = getenv("QEFF_ONNX_ATOL");

	if (isnan(expected) || isnan(found))
		return isnan(expected) && isnan(found);
	if (isinf(expected) || isinf(found))
		return expected == found;
	return fabs(found - expected) <= (wider ? atof(wider) : ATOL) + RTOL * fabs(expected);
}

/* Older files have bf16 as u16, cut where the definition rounds. */
static bool is_old_bf16(const struct qeff_onnx_tensor *expected, const struct qeff_value *value)
{
	return value->type == QEFF_GRAPH_BF16 && expected->type == QEFF_GRAPH_U16;
}

bool compare(const struct qeff_onnx_tensor *expected, const struct qeff_value *value,
	     const void *found, struct report *report)
{
	size_t size = qeff_graph_type_bytes(expected->type);
	uint64_t count = elements_of(expected);
	bool old = is_old_bf16(expected, value);
	bool fits = (value->type == expected->type || old) && value->shape.rank == expected->rank;
	char text[128];

	for (uint32_t i = 0; fits && i < expected->rank; i++)
		fits = value->shape.dims[i].size == expected->dims[i];
	if (!fits) {
		int at = snprintf(report->text, sizeof(report->text), "%s is %s%s, expected %s[",
				  value->name, qeff_graph_type_name(value->type),
				  qeff_graph_shape_text(&value->shape, text, sizeof(text)),
				  qeff_graph_type_name(expected->type));

		for (uint32_t i = 0; i < expected->rank; i++)
			at += snprintf(report->text + at, sizeof(report->text) - (size_t)at,
				       "%s%lld", i ? ", " : "", (long long)expected->dims[i]);
		snprintf(report->text + at, sizeof(report->text) - (size_t)at, "]");
		return false;
	}
	for (uint64_t i = 0; i < count; i++) {
		if (is_float(expected->type)) {
			double x = number_of(expected->type, found, i);
			double y = number_of(expected->type, expected->data, i);

			if (close_enough(x, y))
				continue;
			snprintf(report->text, sizeof(report->text),
				 "%s[%llu] is %.9g, expected %.9g", value->name,
				 (unsigned long long)i, x, y);
			return false;
		}
		if (old &&
		    ((const uint16_t *)found)[i] - ((const uint16_t *)expected->data)[i] == 1)
			continue;
		if (memcmp((const char *)found + i * size, (const char *)expected->data + i * size,
			   size)) {
			int64_t x = 0, y = 0;

			memcpy(&x, (const char *)found + i * size, size);
			memcpy(&y, (const char *)expected->data + i * size, size);
			snprintf(report->text, sizeof(report->text),
				 "%s[%llu] is %lld, expected %lld", value->name,
				 (unsigned long long)i, (long long)x, (long long)y);
			return false;
		}
	}
	return true;
}
