/* SPDX-License-Identifier: MIT */
/*
 * The network descriptor: one protobuf written down by hand is what the reader must understand and
 * the writer must make; then everything that a descriptor may not say.
 */
#include "qpc/netdesc.h"

#include "test_qpc_bytes.h"
#include "unit.h"

/* clang-format off */
static const uint8_t descriptor[] = {
	0x08, 9,			/* 0: 1 major_version */
	0x1a, 3, 'n', 'e', 't',		/* 2: 3 network_name */
	0x22, 28,			/* 7: 4 inputs */
	0x0a, 1, 'x',			/* 9: 1 name */
	0x12, 4, 0x22, 2, 2, 3,		/* 12: 2 io_initial: float32, 4 dims */
	0x1a, 4, 0x22, 2, 2, 3,		/* 18: 3 io_transformed */
	0x22, 9, 0x08, 6,		/* 24: 4 transformseq: 1 kind */
	0x1d, 0, 0, 0x80, 0x3f,		/* 28: 3 scale 1.0 */
	0x4a, 0,			/* 33: 9 copy_dma_buffer */
	0x30, 4,			/* 35: 6 align */
	0x2a, 38,			/* 37: 5 outputs */
	0x0a, 1, 'y',			/* 39 */
	0x12, 5, 0x08, 7, 0x22, 1, 5,	/* 42: int64 [5] */
	0x1a, 5, 0x08, 7, 0x22, 1, 5,	/* 49 */
	0x22, 17, 0x08, 6, 0x10, 7,	/* 56: 1 kind, 2 type */
	0x1d, 0, 0, 0x80, 0x3f,		/* 62 */
	0x4a, 6, 0x08, 1, 0x10, 8, 0x18, 1, /* 67: 1 dir, 2 offset, 3 buffer_num */
	0x30, 8,			/* 75 */
	0x32, 2, 0x08, 24,		/* 77: 6 dma_buffers: 1 size */
	0x32, 4, 0x08, 48, 0x10, 1,	/* 81: 1 size, 2 dir */
	0x38, 4,			/* 87: 7 num_cores */
	0x70, 1,			/* 89: 14 batch_size */
};
/* clang-format on */

static int parse(const void *data, size_t size, struct qeff_netdesc **desc, struct qeff_error *err)
{
	void *copy = exact_copy(data, size);
	int ret;

	*err = (struct qeff_error){ 0 };
	*desc = NULL;
	ret = qeff_netdesc_parse(copy, size, desc, err);
	free(copy);
	return ret;
}

static void test_read(void)
{
	const struct qeff_network *network;
	const struct qeff_binding *b;
	struct qeff_netdesc *desc;
	struct qeff_error err;

	CU_ASSERT_EQUAL_FATAL(parse(descriptor, sizeof(descriptor), &desc, &err), 0);
	network = qeff_netdesc_network(desc);
	CU_ASSERT_EQUAL(network->version_major, 9);
	CU_ASSERT_EQUAL(network->version_minor, 0);
	CU_ASSERT_STRING_EQUAL(network->name, "net");
	CU_ASSERT_EQUAL(network->num_nsps, 4);
	CU_ASSERT_EQUAL(network->batch_size, 1);
	CU_ASSERT_EQUAL(network->stats_buffer, QEFF_NO_DMA_BUFFER);
	CU_ASSERT_EQUAL_FATAL(network->num_dma_buffers, 2);
	CU_ASSERT_EQUAL(network->dma_buffers[0].size_bytes, 24);
	CU_ASSERT(!network->dma_buffers[0].is_output);
	CU_ASSERT_EQUAL(network->dma_buffers[1].size_bytes, 48);
	CU_ASSERT(network->dma_buffers[1].is_output);
	CU_ASSERT_EQUAL_FATAL(network->num_inputs, 1);
	CU_ASSERT_EQUAL_FATAL(network->num_outputs, 1);
	b = &network->bindings[0];
	CU_ASSERT_STRING_EQUAL(b->name, "x");
	CU_ASSERT(!b->is_output && !b->is_retained && !b->is_partial && !b->needs_host_transform);
	CU_ASSERT_EQUAL(b->shape.type, QEFF_TYPE_F32);
	CU_ASSERT_EQUAL_FATAL(b->shape.num_dims, 2);
	CU_ASSERT(b->shape.dims[0] == 2 && b->shape.dims[1] == 3);
	CU_ASSERT_EQUAL(b->shape.size_bytes, 24);
	CU_ASSERT_EQUAL(b->dma_size_bytes, 24);
	CU_ASSERT_EQUAL(b->dma_buffer, 0);
	CU_ASSERT_EQUAL(b->dma_offset, 0);
	CU_ASSERT_EQUAL(b->alignment, 4);
	b = &network->bindings[1];
	CU_ASSERT_STRING_EQUAL(b->name, "y");
	CU_ASSERT(b->is_output);
	CU_ASSERT_EQUAL(b->shape.type, QEFF_TYPE_I64);
	CU_ASSERT_EQUAL(b->shape.size_bytes, 40);
	CU_ASSERT_EQUAL(b->dma_buffer, 1);
	CU_ASSERT_EQUAL(b->dma_offset, 8);
	/* one fixed shape is one specialisation */
	CU_ASSERT_EQUAL_FATAL(network->num_specialisations, 1);
	CU_ASSERT_EQUAL(qeff_network_shape(network, 0, 1)->size_bytes, 40);
	qeff_netdesc_free(desc);
}

static void test_truncated(void)
{
	struct qeff_netdesc *desc;
	struct qeff_error err;

	for (size_t n = 0; n < sizeof(descriptor); n++) {
		int ret = parse(descriptor, n, &desc, &err);

		/* the last field has a default */
		CU_ASSERT_EQUAL(ret, n == sizeof(descriptor) - 2 ? 0 : -EINVAL);
		qeff_netdesc_free(desc);
	}
}

static void test_broken(void)
{
	static const struct {
		size_t at;
		uint8_t value;
		const char *says;
	} broken[] = {
		{ 5, 0x1b, "network_name" },
		{ 5, 0xff, "network_name" },
		{ 8, 27, "protobuf" },
		{ 11, 0x07, "expected a name" },
		{ 11, 0x80, "expected a name" },
		{ 9, 0x7a, "expected a name" }, /* the name is an unknown field now */
		{ 12, 0x7a, "io_initial is missing" },
		{ 18, 0x7a, "io_transformed is missing" },
		{ 16, 3, "36 bytes for the user and 24 for the card" },
		{ 27, 7, "unknown kind 7" },
		{ 27, 5, "must be the last" },
		{ 33, 0x7a, "copy_dma_buffer is missing" },
		{ 36, 3, "power of two" },
		{ 45, 9, "unknown element type 9" },
		{ 59, 0, "must be the first" },
		{ 72, 9, "40 bytes at offset 9 of DMA buffer 1, which has 48" },
		{ 74, 0, "goes the other way" },
		{ 74, 2, "DMA buffer 2" },
		{ 80, 23, "DMA buffer 0, which has 23" },
		{ 86, 0, "goes the other way" },
		{ 86, 2, "unknown direction 2" },
		{ 88, 0, "num_cores" },
	};
	struct qeff_netdesc *desc;
	struct qeff_error err;

	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
		uint8_t bytes[sizeof(descriptor)];

		memcpy(bytes, descriptor, sizeof(bytes));
		bytes[broken[i].at] = broken[i].value;
		CU_ASSERT_EQUAL(parse(bytes, sizeof(bytes), &desc, &err), -EINVAL);
		CU_ASSERT(says(&err, broken[i].says));
		qeff_netdesc_free(desc);
	}
}

/* An input that is converted before it is copied, and fields that this reader does not know. */
static void test_host_transform(void)
{
	/* clang-format off */
	static const uint8_t bytes[] = {
		0x22, 34, 0x0a, 1, 'q',
		0x12, 11, 0x08, 3, 0x15, 0, 0, 0, 0x3f, 0x18, 5, /* uint8 quantised, scale 0.5, offset 5 */
			0x20, 3, /* dims, not packed */
		0x1a, 2, 0x20, 3, /* float32 [3] for the card */
		0x22, 4, 0x08, 3, 0x7a, 0, /* dequantise; field 15 is unknown */
		0x22, 4, 0x08, 6, 0x4a, 0,
		0x7a, 0, /* of the binding as well */
		0x32, 2, 0x08, 12,
		0x38, 1,
		0xa2, 0x06, 1, 'z', /* field 100 */
	};
	/* clang-format on */
	const struct qeff_binding *b;
	struct qeff_netdesc *desc;
	struct qeff_error err;

	if (parse(bytes, sizeof(bytes), &desc, &err)) {
		CU_ASSERT(says(&err, "no error"));
		return;
	}
	b = qeff_netdesc_network(desc)->bindings;
	CU_ASSERT(b->needs_host_transform);
	CU_ASSERT_EQUAL(b->shape.type, QEFF_TYPE_U8_QUANTISED);
	CU_ASSERT_EQUAL(b->shape.size_bytes, 3);
	CU_ASSERT_EQUAL(b->dma_size_bytes, 12);
	CU_ASSERT_EQUAL(b->scale, 0.5f);
	CU_ASSERT_EQUAL(b->offset, 5);
	CU_ASSERT_EQUAL(b->alignment, 1);
	qeff_netdesc_free(desc);
}

/* The network of @descriptor as a producer would describe it. */
struct example {
	int32_t x[2], y[1], z[3];
	struct qeff_binding bindings[3];
	struct qeff_dma_buffer buffers[2];
	struct qeff_shape shapes[6];
	struct qeff_network network;
};

static void make_example(struct example *e)
{
	*e = (struct example){
		.x = { 2, 3 },
		.y = { 5 },
		.z = { 1 << 16, 1 << 16, 0 },
		.bindings = {
			{ .name = "x", .shape = { QEFF_TYPE_F32, 2, e->x, 0 }, .dma_buffer = 0 },
			{ .name = "y", .shape = { QEFF_TYPE_I64, 1, e->y, 0 }, .is_output = true,
			  .dma_buffer = 1, .dma_offset = 8 },
		},
		.buffers = { { 24, false }, { 48, true } },
	};
	e->network = (struct qeff_network){
		.name = "net",
		.num_nsps = 4,
		.batch_size = 1,
		.num_inputs = 1,
		.num_outputs = 1,
		.bindings = e->bindings,
		.num_dma_buffers = 2,
		.dma_buffers = e->buffers,
		.stats_buffer = QEFF_NO_DMA_BUFFER,
	};
}

static void test_write(void)
{
	struct qeff_bytes out = { 0 };
	struct qeff_error err = { 0 };
	struct example e;

	make_example(&e);
	CU_ASSERT_EQUAL_FATAL(qeff_netdesc_write(&e.network, &out, &err), 0);
	CU_ASSERT_EQUAL_FATAL(out.size_bytes, sizeof(descriptor));
	CU_ASSERT_EQUAL(memcmp(out.data, descriptor, sizeof(descriptor)), 0);
	qeff_bytes_free(&out);
}

static int rewrite(const struct example *e, struct qeff_netdesc **desc, struct qeff_error *err)
{
	struct qeff_bytes out = { 0 };
	int ret;

	*err = (struct qeff_error){ 0 };
	*desc = NULL;
	ret = qeff_netdesc_write(&e->network, &out, err);
	if (!ret)
		ret = parse(out.data, out.size_bytes, desc, err);
	qeff_bytes_free(&out);
	return ret;
}

static void test_retained_and_specialisations(void)
{
	static const int32_t one[] = { 1, 3 };
	const struct qeff_network *network;
	struct qeff_netdesc *desc;
	struct qeff_error err;
	struct example e;

	make_example(&e);
	e.bindings[2] = (struct qeff_binding){
		.name = "past_key.0_RetainedState",
		.shape = { QEFF_TYPE_F32, 3, e.z, 0 },
		.is_output = true,
		.is_retained = true,
	};
	e.network.num_outputs = 2;
	e.network.num_specialisations = 2;
	for (unsigned int b = 0; b < 3; b++)
		e.shapes[b] = e.shapes[3 + b] = e.bindings[b].shape;
	e.shapes[3].dims = one;
	e.network.specialisations = e.shapes;
	e.network.stats_buffer = 1;
	CU_ASSERT_EQUAL_FATAL(rewrite(&e, &desc, &err), 0);
	network = qeff_netdesc_network(desc);
	CU_ASSERT(network->bindings[2].is_retained);
	CU_ASSERT_EQUAL(network->bindings[2].dma_buffer, QEFF_NO_DMA_BUFFER);
	CU_ASSERT_EQUAL(network->bindings[2].shape.size_bytes, (uint64_t)1 << 34);
	CU_ASSERT_EQUAL(network->stats_buffer, 1);
	CU_ASSERT_EQUAL_FATAL(network->num_specialisations, 2);
	CU_ASSERT_EQUAL(qeff_network_shape(network, 0, 0)->size_bytes, 24);
	CU_ASSERT_EQUAL(qeff_network_shape(network, 1, 0)->size_bytes, 12);
	CU_ASSERT_EQUAL(qeff_network_shape(network, 1, 0)->dims[0], 1);
	CU_ASSERT_EQUAL(qeff_network_shape(network, 1, 2)->size_bytes, (uint64_t)1 << 34);
	qeff_netdesc_free(desc);

	/* a specialisation must fit into the binding and be of its type */
	e.shapes[3].dims = (const int32_t[]){ 2, 4 };
	CU_ASSERT_EQUAL(rewrite(&e, &desc, &err), -EINVAL);
	CU_ASSERT(says(&err, "32 bytes, but the binding has 24"));
	e.shapes[3].dims = one;
	e.shapes[3].type = QEFF_TYPE_F16;
	CU_ASSERT_EQUAL(rewrite(&e, &desc, &err), -EINVAL);
	CU_ASSERT(says(&err, "type float16, but the binding is float32"));
}

static void test_partial(void)
{
	struct qeff_netdesc *desc;
	struct qeff_error err;
	struct example e;
	int32_t bytes[] = { 16 };

	make_example(&e);
	e.bindings[0].shape = (struct qeff_shape){ QEFF_TYPE_I8, 1, bytes, 0 };
	e.bindings[0].is_partial = true;
	e.bindings[0].alignment = 64;
	CU_ASSERT_EQUAL_FATAL(rewrite(&e, &desc, &err), 0);
	CU_ASSERT(qeff_netdesc_network(desc)->bindings[0].is_partial);
	CU_ASSERT_EQUAL(qeff_netdesc_network(desc)->bindings[0].alignment, 64);
	qeff_netdesc_free(desc);
	/* the slot must fit, and the data beside it */
	e.bindings[0].dma_offset = 16;
	CU_ASSERT_EQUAL(rewrite(&e, &desc, &err), 0);
	qeff_netdesc_free(desc);
	e.bindings[0].dma_offset = 17;
	CU_ASSERT_EQUAL(rewrite(&e, &desc, &err), -EINVAL);
	e.bindings[0].dma_offset = 0;
	bytes[0] = 17;
	CU_ASSERT_EQUAL(rewrite(&e, &desc, &err), -EINVAL);
	e.buffers[0].size_bytes = 4;
	CU_ASSERT_EQUAL(rewrite(&e, &desc, &err), -EINVAL);
	make_example(&e);
	e.bindings[0].is_partial = true;
	CU_ASSERT_EQUAL(rewrite(&e, &desc, &err), -EINVAL);
	CU_ASSERT(says(&err, "one dimension"));
}

static void test_write_refuses(void)
{
	static const int32_t ones[17] = { 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1 };
	static const int32_t huge[] = { INT32_MAX, INT32_MAX, INT32_MAX };
	struct qeff_netdesc *desc;
	struct qeff_error err;
	struct example e;

	make_example(&e);
	e.x[1] = -3;
	CU_ASSERT_EQUAL(rewrite(&e, &desc, &err), -EINVAL);
	CU_ASSERT(says(&err, "input 0 \"x\": io_initial: dimension 1 is -3"));
	make_example(&e);
	e.bindings[1].shape.num_dims = 17;
	e.bindings[1].shape.dims = ones;
	CU_ASSERT_EQUAL(rewrite(&e, &desc, &err), -EINVAL);
	CU_ASSERT(says(&err, "at most 16 dimensions"));
	make_example(&e);
	e.bindings[1].shape.num_dims = 3;
	e.bindings[1].shape.dims = huge;
	CU_ASSERT_EQUAL(rewrite(&e, &desc, &err), -EINVAL);
	CU_ASSERT(says(&err, "more than 64 bits"));
	make_example(&e);
	e.bindings[2] = e.bindings[1];
	e.network.num_outputs = 2;
	CU_ASSERT_EQUAL(rewrite(&e, &desc, &err), -EINVAL);
	CU_ASSERT(says(&err, "two outputs are named \"y\""));
	make_example(&e);
	e.bindings[0].needs_host_transform = true;
	CU_ASSERT_EQUAL(rewrite(&e, &desc, &err), -ENOTSUP);
	make_example(&e);
	e.network.stats_buffer = 0;
	CU_ASSERT_EQUAL(rewrite(&e, &desc, &err), -EINVAL);
	CU_ASSERT(says(&err, "not an output"));
}

/* Half a million empty inputs in a megabyte: refused, not swallowed. */
static void test_amplification(void)
{
	size_t size = (size_t)1 << 20;
	struct qeff_netdesc *desc;
	struct qeff_error err;
	uint8_t *bytes = malloc(size);
	int ret;

	CU_ASSERT_PTR_NOT_NULL_FATAL(bytes);
	for (size_t i = 0; i < size; i += 2) {
		bytes[i] = 0x22;
		bytes[i + 1] = 0;
	}
	bytes[size - 2] = 0x38;
	bytes[size - 1] = 1;
	ret = parse(bytes, size, &desc, &err);
	CU_ASSERT(ret == -EFBIG || ret == -EINVAL);
	CU_ASSERT(ret == -EFBIG || says(&err, "at most 65536 bindings"));
	free(bytes);
}

static void test_types(void)
{
	static const uint32_t sizes[] = { 4, 2, 1, 1, 2, 4, 4, 8, 1 };

	for (int t = 0; t < QEFF_TYPE_COUNT; t++)
		CU_ASSERT_EQUAL(qeff_type_size_bytes((enum qeff_type)t), sizes[t]);
	CU_ASSERT_EQUAL(qeff_type_size_bytes((enum qeff_type)9), 0);
	CU_ASSERT_EQUAL(qeff_type_size_bytes((enum qeff_type) - 1), 0);
	CU_ASSERT_STRING_EQUAL(qeff_type_name((enum qeff_type)9), "unknown");
}

static const struct unit_test tests[] = {
	{ "read", test_read },
	{ "truncated", test_truncated },
	{ "broken", test_broken },
	{ "host_transform", test_host_transform },
	{ "write", test_write },
	{ "retained_and_specialisations", test_retained_and_specialisations },
	{ "partial", test_partial },
	{ "write_refuses", test_write_refuses },
	{ "amplification", test_amplification },
	{ "types", test_types },
};

QEFF_UNIT_MAIN("netdesc", tests)
