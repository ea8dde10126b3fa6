/* SPDX-License-Identifier: MIT */
/* Element types of bindings: names and sizes. */
#include <qeff/qpc.h>

static const struct {
	const char *name;
	uint32_t size_bytes;
} types[QEFF_TYPE_COUNT] = {
	[QEFF_TYPE_F32] = { "float32", 4 },
	[QEFF_TYPE_F16] = { "float16", 2 },
	[QEFF_TYPE_I8_QUANTISED] = { "qint8", 1 },
	[QEFF_TYPE_U8_QUANTISED] = { "quint8", 1 },
	[QEFF_TYPE_I16_QUANTISED] = { "qint16", 2 },
	[QEFF_TYPE_I32_QUANTISED] = { "qint32", 4 },
	[QEFF_TYPE_I32] = { "int32", 4 },
	[QEFF_TYPE_I64] = { "int64", 8 },
	[QEFF_TYPE_I8] = { "int8", 1 },
};

const char *qeff_type_name(enum qeff_type type)
{
	return (unsigned int)type < QEFF_TYPE_COUNT ? types[type].name : "unknown";
}

uint32_t qeff_type_size_bytes(enum qeff_type type)
{
	return (unsigned int)type < QEFF_TYPE_COUNT ? types[type].size_bytes : 0;
}
