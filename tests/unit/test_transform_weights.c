/* SPDX-License-Identifier: MIT */
/* Transforms that are about weights and numbers: adapters, clipping to fp16, nodes that stay fp32,
 * files that are split. */
#include "transform_rig.h"

#define QUERY	 "model.layers.1.self_attn.q_proj"
#define LORA_A	 "base_model.model." QUERY ".lora_A.weight"
#define LORA_B	 "base_model.model." QUERY ".lora_B.weight"
#define LORA_F32 "{\"dtype\":\"F32\",\"shape\":"

/* An adapter of rank 2 for one matrix of 64 x 64; with nothing in B if @empty. */
static struct folder make_adapter(bool empty, float *a, float *b)
{
	struct folder folder = folder_new();
	float data[256];

	for (int i = 0; i < 128; i++) {
		data[i] = a[i] = (float)(i % 7 - 3) / 8;
		data[128 + i] = b[i] = empty ? 0 : (float)(i % 5 - 2) / 16;
	}
	folder_text(&folder, "adapter_config.json",
		    "{\"peft_type\": \"LORA\", \"r\": 2, \"lora_alpha\": 3, \"bias\": \"none\", "
		    "\"use_dora\": false, \"modules_to_save\": null, \"rank_pattern\": {}}");
	folder_tensors(&folder, "adapter_model.safetensors",
		       "{\"" LORA_A "\":" LORA_F32 "[2,64],\"data_offsets\":[0,512]},\"" LORA_B
		       "\":" LORA_F32 "[64,2],\"data_offsets\":[512,1024]}}",
		       data, sizeof(data));
	return folder;
}

/* W + alpha / r B A, element by element; an adapter of zeros changes no number. */
static void lora(void)
{
	for (int empty = 0; empty < 2; empty++) {
		struct model m = open_model("rand-llama3-rope");
		uint64_t count = (uint64_t)(reference(&m, "input_ids")->dims[1] * m.info.vocab);
		float *before = run_reference(&m, "logits"), *after, a[128], b[128];
		struct folder folder = make_adapter(empty, a, b);
		const struct qeff_value *weight = qeff_graph_find(m.graph, QUERY ".weight"),
					*merged;
		struct qeff_transform_options options = { 0 };
		struct qeff_adapter *adapter = NULL;
		uint32_t changes = 0, nodes = m.graph->num_nodes;
		struct qeff_error err = { 0 };
		double off = 0, *w = calloc(64 * 64, sizeof(*w));
		const float *found;

		CU_ASSERT_EQUAL_FATAL(weight->stored_type, QEFF_GRAPH_BF16);
		for (int i = 0; i < 64 * 64; i++) {
			uint32_t bits = (uint32_t)((const uint16_t *)weight->data)[i] << 16;
			float number;

			memcpy(&number, &bits, sizeof(number));
			w[i] = (double)number;
		}
		CU_ASSERT_EQUAL_FATAL(qeff_adapter_open(folder.path, &adapter, &err), 0);
		options.adapter_pairs = qeff_adapter_pairs(adapter, &options.num_adapter_pairs);
		CU_ASSERT_EQUAL(options.num_adapter_pairs, 1);
		CU_ASSERT_EQUAL_FATAL(qeff_transform_lora(m.graph, &options, &changes, &err), 0);
		qeff_adapter_close(adapter);
		CU_ASSERT_EQUAL(changes, 1);
		CU_ASSERT_EQUAL(m.graph->num_nodes, nodes);
		CU_ASSERT_PTR_NULL(qeff_graph_find(m.graph, QUERY ".weight"));
		merged = qeff_graph_find(m.graph, QUERY ".weight/merged");
		CU_ASSERT_PTR_NOT_NULL_FATAL(merged);
		found = merged->data;
		for (int o = 0; o < 64; o++)
			for (int i = 0; i < 64; i++)
				off = fmax(off,
					   fabs(w[o * 64 + i] +
						1.5 * (b[o * 2] * a[i] + b[o * 2 + 1] * a[64 + i]) -
						(double)found[o * 64 + i]));
		CU_ASSERT(off < 1e-6);
		after = run_reference(&m, "logits");
		CU_ASSERT((eval_error(after, before, count) > 1e-3) == !empty);
		CU_ASSERT(!empty || !memcmp(after, before, count * sizeof(float)));
		free(w);
		free(before);
		free(after);
		folder_remove(&folder);
		close_model(&m);
	}
}

static void wrong_adapters(void)
{
	static const struct {
		const char *config, *header, *sentence;
		int code;
	} wrong[] = {
		{ "{\"peft_type\": \"IA3\", \"lora_alpha\": 1}", NULL, "\"IA3\"", -ENOTSUP },
		{ "{\"peft_type\": \"LORA\"}", NULL, "lora_alpha", -EINVAL },
		{ "{\"peft_type\": \"LORA\", \"lora_alpha\": 1, \"bias\": \"all\"}", NULL,
		  "\"bias\"", -ENOTSUP },
		{ "{\"peft_type\": \"LORA\", \"lora_alpha\": 1, \"use_dora\": true}", NULL,
		  "\"use_dora\"", -ENOTSUP },
		{ "{\"peft_type\": \"LORA\", \"lora_alpha\": 1, \"alpha_pattern\": {\"q\": 2}}",
		  NULL, "\"alpha_pattern\"", -ENOTSUP },
		{ NULL, "{\"" LORA_A "\":" LORA_F32 "[2,64],\"data_offsets\":[0,512]}}",
		  "no partner", -EINVAL },
		{ NULL,
		  "{\"" LORA_A "\":" LORA_F32 "[2,64],\"data_offsets\":[0,512]},\"" LORA_B
		  "\":" LORA_F32 "[128,1],\"data_offsets\":[512,1024]}}",
		  "no partner", -EINVAL },
		{ NULL, "{\"" LORA_B "\":" LORA_F32 "[64,2],\"data_offsets\":[0,512]}}",
		  "make 0 pairs", -EINVAL },
		{ NULL,
		  "{\"base_model.model.x.weight\":" LORA_F32 "[128],\"data_offsets\":[0,512]}}",
		  "no lora_A or lora_B", -ENOTSUP },
	};
	static const float zeros[256];

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		float a[128], b[128];
		struct folder folder = make_adapter(false, a, b);
		struct qeff_adapter *adapter;
		struct qeff_error err = { 0 };

		if (wrong[i].config)
			folder_text(&folder, "adapter_config.json", wrong[i].config);
		if (wrong[i].header)
			folder_tensors(&folder, "adapter_model.safetensors", wrong[i].header, zeros,
				       strstr(wrong[i].header, "1024") ? 1024 : 512);
		CU_ASSERT_EQUAL(qeff_adapter_open(folder.path, &adapter, &err), wrong[i].code);
		CU_ASSERT_PTR_NULL(adapter);
		if (!strstr(err.message, wrong[i].sentence))
			printf("\n  \"%s\" does not say \"%s\"", err.message, wrong[i].sentence);
		CU_ASSERT_PTR_NOT_NULL(strstr(err.message, wrong[i].sentence));
		folder_remove(&folder);
	}
	/* of another model */
	{
		struct model m = open_model("tiny-bert-embed");
		float a[128], b[128];
		struct folder folder = make_adapter(false, a, b);
		struct qeff_transform_options options = { 0 };
		struct qeff_adapter *adapter;
		struct qeff_error err = { 0 };

		CU_ASSERT_EQUAL_FATAL(qeff_adapter_open(folder.path, &adapter, &err), 0);
		options.adapter_pairs = qeff_adapter_pairs(adapter, &options.num_adapter_pairs);
		CU_ASSERT_EQUAL(qeff_transform_lora(m.graph, &options, NULL, &err), -EINVAL);
		CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "no module with a weight"));
		qeff_adapter_close(adapter);
		folder_remove(&folder);
		close_model(&m);
	}
}

/* x + a + b + c + d, with initialisers of six numbers in three types; d's Add can stay in fp32. */
struct clip_graph {
	struct qeff_graph *graph;
	float a[6], d[6];
	uint16_t b[6], c[6];
};

static void make_clip_graph(struct clip_graph *g)
{
	static const int64_t dims[] = { 6 };
	const struct qeff_dim dim = qeff_dim_of(6);
	struct qeff_value *sum;

	memcpy(g->a, (float[]){ 65504, -65505, 1e30f, -INFINITY, NAN, 1 }, sizeof(g->a));
	/* bf16: 65280 is below the limit, 65536 the next number; infinity, NaN */
	memcpy(g->b, (uint16_t[]){ 0x477f, 0x4780, 0xc780, 0xff80, 0x7fc0, 0 }, sizeof(g->b));
	memcpy(g->c, (uint16_t[]){ 0x7bff, 0xfbff, 1, 2, 3, 4 }, sizeof(g->c)); /* f16 */
	memcpy(g->d, (float[]){ 1e30f, 0, 0, 0, 0, 0 }, sizeof(g->d));
	g->graph = qeff_graph_new("clip");
	sum = qeff_graph_input(g->graph, "x", QEFF_GRAPH_F32, 1, &dim);
	sum = qeff_graph_node(g->graph, "Add", "with_a", 2,
			      (struct qeff_value *[]){
				      sum, qeff_graph_initialiser(g->graph, "a", QEFF_GRAPH_F32,
								  QEFF_GRAPH_F32, 1, dims, g->a) },
			      0, NULL);
	sum = qeff_graph_node(g->graph, "Add", "with_b", 2,
			      (struct qeff_value *[]){
				      sum, qeff_graph_initialiser(g->graph, "b", QEFF_GRAPH_F32,
								  QEFF_GRAPH_BF16, 1, dims, g->b) },
			      0, NULL);
	sum = qeff_graph_node(g->graph, "Add", "with_c", 2,
			      (struct qeff_value *[]){
				      sum, qeff_graph_initialiser(g->graph, "c", QEFF_GRAPH_F32,
								  QEFF_GRAPH_F16, 1, dims, g->c) },
			      0, NULL);
	sum = qeff_graph_node(g->graph, "Add", "with_d", 2,
			      (struct qeff_value *[]){
				      sum, qeff_graph_initialiser(g->graph, "d", QEFF_GRAPH_F32,
								  QEFF_GRAPH_F32, 1, dims, g->d) },
			      0, NULL);
	qeff_graph_output(g->graph, sum);
}

static const float *addend(const struct clip_graph *g, const char *node,
			   enum qeff_graph_type stored)
{
	const struct qeff_value *value = qeff_graph_find(g->graph, node)->producer->inputs[1];

	CU_ASSERT_EQUAL(value->stored_type, stored);
	return value->data;
}

static void fp16_clip(void)
{
	const char *const keep[] = { "*_d" };
	const struct qeff_transform_options options = { .fp16 = true,
							.fp32_nodes = keep,
							.num_fp32_nodes = 1 };
	struct clip_graph g;
	struct qeff_error err = { 0 };
	const float *a, *b;
	uint32_t changes;

	make_clip_graph(&g);
	CU_ASSERT_EQUAL_FATAL(qeff_transform_fp32_nodes(g.graph, &options, &changes, &err), 0);
	CU_ASSERT_EQUAL(changes, 1);
	CU_ASSERT_EQUAL_FATAL(qeff_transform_fp16_clip(g.graph, &options, &changes, &err), 0);
	CU_ASSERT_EQUAL(changes, 2);
	a = addend(&g, "with_a", QEFF_GRAPH_F32);
	CU_ASSERT_EQUAL(a[0], 65504);
	CU_ASSERT_EQUAL(a[1], -65504);
	CU_ASSERT_EQUAL(a[2], 65504);
	CU_ASSERT_EQUAL(a[3], -65504);
	CU_ASSERT(isnan(a[4]));
	CU_ASSERT_EQUAL(a[5], 1);
	b = addend(&g, "with_b", QEFF_GRAPH_F32);
	CU_ASSERT_EQUAL(b[0], 65280);
	CU_ASSERT_EQUAL(b[1], 65504);
	CU_ASSERT_EQUAL(b[2], -65504);
	CU_ASSERT_EQUAL(b[3], -65504);
	CU_ASSERT(isnan(b[4]));
	CU_ASSERT_EQUAL(b[5], 0);
	/* Nothing beyond the range, and what is kept in fp32: where they lay. */
	CU_ASSERT_PTR_EQUAL(addend(&g, "with_c", QEFF_GRAPH_F16), (void *)g.c);
	CU_ASSERT_PTR_EQUAL(addend(&g, "with_d", QEFF_GRAPH_F32), g.d);
	/* The checkpoint's own bytes are not written to. */
	CU_ASSERT_EQUAL(g.a[1], -65505);
	/* Once is enough. */
	CU_ASSERT_EQUAL(qeff_transform_fp16_clip(g.graph, &options, &changes, &err), 0);
	CU_ASSERT_EQUAL(changes, 0);
	qeff_graph_free(g.graph);
}

static void fp32_nodes(void)
{
	const char *const globs[] = { "model.layers.[01].*_proj", "model.layers.0.self_attn*",
				      "no.such.node" };
	struct qeff_transform_options options = { .fp32_nodes = globs, .num_fp32_nodes = 2 };
	struct model m = open_model("tiny-llama-stories");
	struct qeff_graph *bound;
	struct qeff_error err = { 0 };
	uint32_t changes, kept = 0;

	CU_ASSERT_EQUAL_FATAL(qeff_transform_fp32_nodes(m.graph, &options, &changes, &err), 0);
	CU_ASSERT(qeff_graph_find(m.graph, "model.layers.1.mlp.up_proj")->producer->fp32);
	CU_ASSERT_FALSE(qeff_graph_find(m.graph, "model.layers.2.mlp.up_proj")->producer->fp32);
	/* A node that two globs name counts once, and what is bound keeps the mark. */
	bound = bind(m.graph, 1, 4);
	for (uint32_t i = 0; i < bound->num_nodes; i++)
		kept += bound->nodes[i]->fp32;
	CU_ASSERT_EQUAL(kept, changes);
	CU_ASSERT(kept > 14);
	qeff_graph_free(bound);

	options.num_fp32_nodes = 3;
	CU_ASSERT_EQUAL(qeff_transform_fp32_nodes(m.graph, &options, &changes, &err), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "\"no.such.node\" matches no node"));
	close_model(&m);
}

/* Initialisers of these many floats, in files of at most @limit bytes. */
static void splits(uint64_t limit, uint32_t count, const int64_t *floats, const uint32_t *files)
{
	static const float zeros[2048];
	const struct qeff_transform_options options = { .data_files = true,
							.data_file_bytes = limit };
	struct qeff_graph *graph = qeff_graph_new("split");
	struct qeff_error err = { 0 };
	uint32_t changes, expected = 0;

	for (uint32_t i = 0; i < count; i++) {
		const struct qeff_dim dim = qeff_dim_of(floats[i]);
		char x[16], name[16], sum[16];

		snprintf(x, sizeof(x), "x%u", i);
		snprintf(name, sizeof(name), "w%u", i);
		snprintf(sum, sizeof(sum), "y%u", i);
		qeff_graph_output(
			graph,
			qeff_graph_node(graph, "Add", sum, 2,
					(struct qeff_value *[]){
						qeff_graph_input(graph, x, QEFF_GRAPH_F32, 1, &dim),
						qeff_graph_initialiser(graph, name, QEFF_GRAPH_F32,
								       QEFF_GRAPH_F32, 1,
								       &floats[i], zeros) },
					0, NULL));
		expected += files[i] != 0;
	}
	CU_ASSERT_EQUAL_FATAL(qeff_transform_split_tensors(graph, &options, &changes, &err), 0);
	CU_ASSERT_EQUAL(changes, expected);
	for (uint32_t i = 0; i < count; i++) {
		char name[16];

		snprintf(name, sizeof(name), "w%u", i);
		CU_ASSERT_EQUAL(qeff_graph_find(graph, name)->data_file, files[i]);
	}
	qeff_graph_free(graph);
}

static void split_tensors(void)
{
	/* 1024 bytes stay inside; a file takes what just fits, and one too large alone. */
	splits(0, 3, (int64_t[]){ 256, 257, 2048 }, (uint32_t[]){ 0, 1, 1 });
	splits(4096, 6, (int64_t[]){ 512, 512, 1, 257, 768, 257 },
	       (uint32_t[]){ 1, 1, 0, 2, 3, 4 });
	splits(4096, 4, (int64_t[]){ 2048, 300, 2048, 257 }, (uint32_t[]){ 1, 2, 3, 4 });
}

/* x + 32 numbers in MXFP4: one of @code, the others 0. */
static int clip_mxfp4(uint8_t scale, uint8_t code)
{
	static const int64_t dims[] = { 1, 1, 16 };
	const struct qeff_transform_options options = { .fp16 = true };
	const struct qeff_dim x_dims[] = { qeff_dim_of(1), qeff_dim_of(32) };
	struct qeff_graph *graph = qeff_graph_new("mxfp4");
	uint8_t blocks[16] = { [3] = (uint8_t)(code << 4) };
	struct qeff_error err = { 0 };
	struct qeff_value *x, *w;
	uint32_t changes = 9;
	int ret;

	x = qeff_graph_input(graph, "x", QEFF_GRAPH_F32, 2, x_dims);
	w = qeff_graph_node(
		graph, "qeff.DequantizeMXFP4", "w", 2,
		(struct qeff_value *[]){ qeff_graph_initialiser(graph, "w_blocks", QEFF_GRAPH_U8,
								QEFF_GRAPH_U8, 3, dims, blocks),
					 qeff_graph_initialiser(graph, "w_scales", QEFF_GRAPH_U8,
								QEFF_GRAPH_U8, 2, dims, &scale) },
		0, NULL);
	qeff_graph_output(graph, qeff_graph_node(graph, "Add", "sum", 2,
						 (struct qeff_value *[]){ x, w }, 0, NULL));
	ret = qeff_transform_fp16_clip(graph, &options, &changes, &err);
	CU_ASSERT_EQUAL(strstr(err.message, "\"w\" is MXFP4") != NULL, ret != 0);
	CU_ASSERT_EQUAL(changes, ret ? 9 : 0);
	qeff_graph_free(graph);
	return ret;
}

/* 6 times 2^13 and 3 times 2^14 are numbers of f16, 4 times 2^14 is none; a scale may be NaN. */
static void fp16_clip_refuses_mxfp4(void)
{
	CU_ASSERT_EQUAL(clip_mxfp4(127 + 13, 7), 0);
	CU_ASSERT_EQUAL(clip_mxfp4(127 + 14, 5), 0);
	CU_ASSERT_EQUAL(clip_mxfp4(127 + 14, 6), -ENOTSUP);
	CU_ASSERT_EQUAL(clip_mxfp4(127 + 14, 14), -ENOTSUP);
	CU_ASSERT_EQUAL(clip_mxfp4(254, 1), -ENOTSUP);
	CU_ASSERT_EQUAL(clip_mxfp4(254, 8), 0);
	CU_ASSERT_EQUAL(clip_mxfp4(255, 7), 0);
}

static const struct unit_test tests[] = {
	{ "LoRA", lora },
	{ "wrong adapters", wrong_adapters },
	{ "FP16Clip", fp16_clip },
	{ "FP16Clip refuses MXFP4", fp16_clip_refuses_mxfp4 },
	{ "FP32Nodes", fp32_nodes },
	{ "SplitTensors", split_tensors },
};

QEFF_UNIT_MAIN("transform-weights", tests)
