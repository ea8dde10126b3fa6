/* SPDX-License-Identifier: MIT */
/*
 * LoRA adapters that are chosen while running: the graph alone, and packages on a software card. A
 * sequence gives what it would give with its adapter merged into the weights, whatever the other
 * sequences of the batch have; number 0 gives the model's own bits.
 */
#include "unit.h"

#include "graph_eval.h"
#include "model_folder.h"
#include "models/models.h"
#include "transforms/transforms.h"

#include <errno.h>
#include <qeff/compiler.h>
#include <qeff/generate.h>

#define MODEL QEFF_TEST_DATA "/models/rand-llama3-rope"
#define BATCH 3
#define SEQ   7

static struct folder folder;

struct module {
	const char *name;
	int64_t rank, inputs, outputs;
};

/* Two adapters that share one module, with different ranks and factors. */
static const struct module first[] = {
	{ "model.layers.0.self_attn.q_proj", 3, 64, 64 },
	{ "model.layers.1.mlp.gate_proj", 3, 64, 176 },
	{ 0 },
};
static const struct module second[] = {
	{ "model.layers.0.self_attn.q_proj", 5, 64, 64 },
	{ "model.layers.0.self_attn.v_proj", 5, 64, 32 },
	{ "model.layers.1.self_attn.o_proj", 5, 64, 64 },
	{ "model.layers.1.mlp.down_proj", 5, 176, 64 },
	{ 0 },
};

static int64_t dim_of(const struct qeff_value *value, uint32_t axis)
{
	CU_ASSERT_PTR_NOT_NULL_FATAL(value);
	return value->shape.dims[axis].size;
}

/* A folder @name in PEFT's layout; @scale: how far it changes the model. */
static void write_adapter(const char *name, const struct module *modules, float scale,
			  const char *settings)
{
	static float data[1 << 16];
	char header[4096] = "{", path[128], file[400];
	size_t length = 1, floats = 0;
	uint32_t seed = (uint32_t)modules[0].rank;

	for (const struct module *m = modules; m->name; m++)
		for (int b = 0; b < 2; b++) {
			int64_t rows = b ? m->outputs : m->rank, columns = b ? m->rank : m->inputs;
			size_t begin = floats * 4;

			for (int64_t i = 0; i < rows * columns; i++) {
				seed = seed * 1664525 + 1013904223;
				data[floats++] = scale * (float)((int)(seed >> 24) - 128) / 128;
			}
			length += (size_t)snprintf(
				header + length, sizeof(header) - length,
				"%s\"base_model.model.%s.lora_%c.weight\":{\"dtype\":\"F32\","
				"\"shape\":[%d,%d],\"data_offsets\":[%zu,%zu]}",
				length > 1 ? "," : "", m->name, b ? 'B' : 'A', (int)rows,
				(int)columns, begin, floats * 4);
		}
	snprintf(header + length, sizeof(header) - length, "}");
	CU_ASSERT_FATAL(floats <= sizeof(data) / 4);
	CU_ASSERT_EQUAL_FATAL(mkdir(folder_path(&folder, name), 0755), 0);
	snprintf(path, sizeof(path), "%s/adapter_config.json", name);
	snprintf(file, sizeof(file), "{\"peft_type\":\"LORA\",\"bias\":\"none\",%s}", settings);
	folder_text(&folder, path, file);
	snprintf(path, sizeof(path), "%s/adapter_model.safetensors", name);
	folder_tensors(&folder, path, header, data, floats * 4);
}

struct model {
	struct qeff_checkpoint *checkpoint;
	struct qeff_adapter *adapter[2];
	struct qeff_graph *graph;
	struct qeff_model_info info;
};

static struct model open_model(void)
{
	static const char *const names[] = { "first", "second" };
	const struct qeff_model_options options = { .positions = SEQ };
	struct model m = { 0 };

	CU_ASSERT_EQUAL_FATAL(qeff_checkpoint_open(MODEL, &m.checkpoint, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(qeff_model_build(m.checkpoint, &options, &m.graph, &m.info, NULL), 0);
	for (int i = 0; i < 2; i++)
		CU_ASSERT_EQUAL_FATAL(
			qeff_adapter_open(folder_path(&folder, names[i]), &m.adapter[i], NULL), 0);
	return m;
}

static void close_model(struct model *m)
{
	qeff_graph_free(m->graph);
	for (int i = 0; i < 2; i++)
		qeff_adapter_close(m->adapter[i]);
	qeff_model_info_clear(&m->info);
	qeff_checkpoint_close(m->checkpoint);
}

/* Logits of three sequences, with these adapters if the graph has a choice. The caller frees. */
static float *run(const struct qeff_graph *graph, const int64_t *lora_ids)
{
	const struct qeff_binding_size sizes[] = { { "batch_size", BATCH }, { "seq_len", SEQ } };
	struct qeff_graph *bound = NULL;
	const struct qeff_value *ids;
	struct eval e;
	float *rows;

	CU_ASSERT_EQUAL_FATAL(qeff_graph_bind(graph, sizes, 2, &bound, NULL), 0);
	e = eval_new(bound);
	for (int i = 0; i < BATCH * SEQ; i++) {
		eval_i(&e, qeff_graph_find(bound, "input_ids"))[i] = i * 5 % 90;
		eval_i(&e, qeff_graph_find(bound, "attention_mask"))[i] = 1;
	}
	ids = qeff_graph_find(bound, "lora_ids");
	CU_ASSERT_EQUAL(!ids, !lora_ids);
	for (int i = 0; ids && i < BATCH; i++)
		eval_i(&e, ids)[i] = lora_ids[i];
	eval_run(&e);
	ids = qeff_graph_find(bound, "logits");
	rows = calloc(eval_count(ids), sizeof(*rows));
	memcpy(rows, eval_f(&e, ids), eval_count(ids) * sizeof(*rows));
	eval_free(&e);
	qeff_graph_free(bound);
	return rows;
}

static uint32_t count_nodes(const struct qeff_graph *graph, const char *op)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < graph->num_nodes; i++)
		count += qeff_node_is(graph->nodes[i], op);
	return count;
}

static void target_modules(void)
{
	static const int64_t mixed[] = { 2, 0, 1 };
	struct qeff_transform_options options = { 0 };
	struct qeff_lora loras[2];
	struct model m = open_model();
	uint64_t row = (uint64_t)(SEQ * m.info.vocab);
	float *base = run(m.graph, NULL), *chosen;
	uint32_t nodes = m.graph->num_nodes, changes = 0;
	struct qeff_error err = { 0 };

	for (int i = 0; i < 2; i++)
		loras[i].pairs = qeff_adapter_pairs(m.adapter[i], &loras[i].num_pairs);
	options.loras = loras;
	options.num_loras = 2;
	if (qeff_transform_target_modules(m.graph, &options, &changes, &err))
		printf("\n  %s", err.message);
	CU_ASSERT_EQUAL_FATAL(err.message[0], 0);
	/* five modules, two products and a sum each, and the table of numbers */
	CU_ASSERT_EQUAL(changes, 5);
	CU_ASSERT_EQUAL(count_nodes(m.graph, "qeff.Experts"), 10);
	CU_ASSERT_EQUAL(count_nodes(m.graph, "qeff.SequenceGather"), 1);
	CU_ASSERT_EQUAL(m.graph->num_nodes, nodes + 5 * 3 + 1);
	/* as wide as the larger rank, for three choices */
	CU_ASSERT_EQUAL(
		dim_of(qeff_graph_find(m.graph, "model.layers.0.self_attn.q_proj/lora_A"), 0), 15);
	chosen = run(m.graph, mixed);
	for (int i = 0; i < BATCH; i++) {
		struct model merged = open_model();
		float *want = base;

		if (mixed[i]) {
			struct qeff_transform_options merge = { 0 };

			merge.adapter_pairs = qeff_adapter_pairs(merged.adapter[mixed[i] - 1],
								 &merge.num_adapter_pairs);
			CU_ASSERT_EQUAL_FATAL(qeff_transform_lora(merged.graph, &merge, NULL, NULL),
					      0);
			want = run(merged.graph, NULL);
			CU_ASSERT(eval_error(want + i * row, base + i * row, row) > 0.01);
			CU_ASSERT(eval_error(chosen + i * row, want + i * row, row) < 1e-5);
			free(want);
		} else {
			for (uint64_t n = 0; n < row; n++)
				if (chosen[i * row + n] != base[i * row + n])
					CU_FAIL_FATAL("number 0 is the model itself");
		}
		close_model(&merged);
	}
	free(chosen);
	free(base);
	close_model(&m);
}

static struct qeff_generator *open_generator(struct qeff_compile_options options,
					     struct qeff_session **session)
{
	struct qeff_generator *generator = NULL;
	struct qeff_error err = { 0 };
	struct qeff_device *device;
	char output[320];
	int ret;

	snprintf(output, sizeof(output), "%s", folder_path(&folder, options.output));
	options.model_dir = MODEL;
	options.output = output;
	options.num_cores = 3;
	options.prefill_seq_len = 4;
	options.ctx_len = 40;
	ret = qeff_compile(&options, NULL, &err);
	if (!ret)
		ret = qeff_device_open("soft", &device, &err);
	if (!ret) {
		ret = qeff_session_open(device, output, NULL, session, &err);
		qeff_device_close(device);
	}
	if (!ret)
		ret = qeff_generator_open(*session, &generator, &err);
	if (ret)
		printf("\n  %s", err.message);
	CU_ASSERT_EQUAL_FATAL(ret, 0);
	return generator;
}

#define NEW 12

/* What @generator goes on with after five prompts, each with its adapter. */
static void generate(struct qeff_generator *generator, const uint32_t *adapters, size_t count,
		     size_t from, uint32_t (*ids)[NEW])
{
	const struct qeff_generate_options options = { .max_new_tokens = NEW,
						       .ignore_eos = true,
						       .adapters = adapters };
	static const uint32_t text[] = { 5, 70, 33, 12, 48, 9, 61, 27, 84, 3, 55 };
	struct qeff_prompt prompts[5];
	struct qeff_generation out[5];
	struct qeff_error err = { 0 };

	for (size_t i = 0; i < count; i++)
		prompts[i] = (struct qeff_prompt){ text + from + i, 3 + (from + i) % 4 };
	if (qeff_generate(generator, prompts, count, &options, out, &err))
		printf("\n  %s", err.message);
	CU_ASSERT_EQUAL_FATAL(err.message[0], 0);
	for (size_t i = 0; i < count; i++) {
		CU_ASSERT_EQUAL_FATAL(out[i].count, NEW);
		memcpy(ids[i], out[i].ids, sizeof(ids[i]));
		qeff_generation_free(&out[i]);
	}
}

/* Each prompt alone on a package into which its adapter was merged; then all of them, mixed, on one
 * that has the choice: side by side, and queueing for slots. */
static void chooses_while_running(void)
{
	static const uint32_t adapters[] = { 2, 0, 1, 2, 1 };
	char paths[2][400];
	const char *loras[] = { paths[0], paths[1] };
	uint32_t want[5][NEW], base[5][NEW], found[5][NEW];
	struct qeff_generator *generator;
	struct qeff_session *session;
	size_t same = 0;

	/* the folders are found again behind the first slash */
	snprintf(paths[0], sizeof(paths[0]), "poet=%s", folder_path(&folder, "first"));
	snprintf(paths[1], sizeof(paths[1]), "%s/", folder_path(&folder, "second"));
	for (uint32_t a = 0; a < 3; a++) {
		generator = open_generator(
			(struct qeff_compile_options){
				.output = "one.qpc",
				.adapter = a ? strchr(paths[a - 1], '/') : NULL,
			},
			&session);
		CU_ASSERT_EQUAL(qeff_generator_limits(generator).adapters, 0);
		for (size_t i = 0; i < 5; i++) {
			if (!a)
				generate(generator, NULL, 1, i, &base[i]);
			if (a == adapters[i])
				generate(generator, NULL, 1, i, &want[i]);
		}
		qeff_generator_close(generator);
		qeff_session_close(session);
	}
	for (size_t i = 0; i < 5; i++)
		same += !memcmp(base[i], want[i], sizeof(want[i]));
	CU_ASSERT_EQUAL(same, 1); /* the adapters change what is said */
	for (int slots = 0; slots < 2; slots++) {
		generator = open_generator(
			(struct qeff_compile_options){
				.output = "choice.qpc",
				.batch_size = slots ? 0 : 5,
				.full_batch_size = slots ? 2 : 0,
				.loras = loras,
				.num_loras = 2,
			},
			&session);
		CU_ASSERT_EQUAL(qeff_generator_limits(generator).adapters, 2);
		CU_ASSERT_EQUAL(qeff_generator_adapter(generator, "base"), 0);
		CU_ASSERT_EQUAL(qeff_generator_adapter(generator, "poet"), 1);
		CU_ASSERT_EQUAL(qeff_generator_adapter(generator, "second"), 2);
		CU_ASSERT_EQUAL(qeff_generator_adapter(generator, "first"), -1);
		generate(generator, adapters, 5, 0, found);
		CU_ASSERT(!memcmp(found, want, sizeof(want)));
		generate(generator, NULL, 5, 0, found);
		CU_ASSERT(!memcmp(found, base, sizeof(base)));
		{
			const uint32_t id = 1, wrong = 3;
			const struct qeff_prompt prompt = { &id, 1 };
			const struct qeff_generate_options options = { .adapters = &wrong };
			struct qeff_generation out;
			struct qeff_error err = { 0 };

			CU_ASSERT_EQUAL(qeff_generate(generator, &prompt, 1, &options, &out, &err),
					-EINVAL);
			CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "has adapter 3"));
		}
		qeff_generator_close(generator);
		qeff_session_close(session);
	}
}

#define VOCABULARY 512

static int64_t *ids_input(struct qeff_session *session, const char *name, int32_t count)
{
	const int32_t dims[] = { 1, count };
	struct qeff_tensor tensor = { 0 };

	CU_ASSERT_EQUAL_FATAL(qeff_session_input(session, name, dims, 2, &tensor, NULL), 0);
	return tensor.data;
}

/* Logits behind four tokens, with adapter number @lora where there is a choice. */
static void logits_of(struct qeff_compile_options options, int64_t lora, float *logits)
{
	struct qeff_session *session;
	struct qeff_generator *generator;
	struct qeff_tensor out = { 0 };

	options.output = "logits.qpc";
	generator = open_generator(options, &session);
	qeff_generator_close(generator);
	for (int64_t i = 0; i < 4; i++) {
		ids_input(session, "input_ids", 4)[i] = 5 + 13 * i;
		ids_input(session, "position_ids", 4)[i] = i;
	}
	if (options.num_loras)
		ids_input(session, "lora_ids", 1)[0] = lora;
	CU_ASSERT_EQUAL_FATAL(qeff_session_run(session, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(qeff_session_output(session, "logits", &out, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(out.size_bytes, VOCABULARY * sizeof(float));
	memcpy(logits, out.data, out.size_bytes);
	qeff_session_close(session);
}

/* The largest difference over the root mean square of what is expected. */
static double error_of(const float *found, const float *expected)
{
	double largest = 0, squares = 0;

	for (int i = 0; i < VOCABULARY; i++) {
		double off = fabs((double)found[i] - (double)expected[i]);

		largest = off > largest ? off : largest;
		squares += (double)expected[i] * (double)expected[i];
	}
	return largest / sqrt(squares / VOCABULARY);
}

/* Beside the merged model in fp32. Halves hold 11 bits of a weight, which are f32 in this
 * checkpoint, bf16 8 of both factors, int8 7 of the largest in a block: for bf16 and int8 the
 * limits are those of the models themselves (test_architectures), doubled, as two more products
 * round. Number 0 is the model itself but for where sums are rounded. */
static void in_every_precision(void)
{
	static const double limits[] = { [QEFF_COMPILE_FP32] = 1e-5,
					 [QEFF_COMPILE_FP16] = 2e-3,
					 [QEFF_COMPILE_BF16] = 0.04,
					 [QEFF_COMPILE_INT8] = 0.2 };
	static float base[VOCABULARY], merged[3][VOCABULARY], found[VOCABULARY];
	char paths[2][400];
	const char *loras[] = { paths[0], paths[1] };

	for (int a = 0; a < 3; a++) {
		if (a)
			snprintf(paths[a - 1], sizeof(paths[0]), "%s",
				 folder_path(&folder, a == 1 ? "first" : "second"));
		logits_of((struct qeff_compile_options){ .adapter = a ? paths[a - 1] : NULL }, 0,
			  merged[a]);
	}
	for (int precision = QEFF_COMPILE_FP32; precision <= QEFF_COMPILE_INT8; precision++) {
		struct qeff_compile_options options = {
			.precision = (enum qeff_compile_precision)precision
		};

		logits_of(options, 0, base);
		options.loras = loras;
		options.num_loras = 2;
		for (int a = 0; a < 3; a++) {
			double error;

			logits_of(options, a, found);
			error = error_of(found, merged[a]);
			if (getenv("QEFF_TEST_NUMBERS"))
				printf("\n  precision %d, adapter %d: %.2g (without it %.2g)",
				       precision, a, error, error_of(base, merged[a]));
			CU_ASSERT(error < limits[precision]);
			/* it is the adapter that makes the difference */
			CU_ASSERT(!a || error_of(base, merged[a]) > 2 * limits[precision]);
			CU_ASSERT(a || error_of(found, base) < 1e-5);
		}
	}
}

static void refuses(void)
{
	static const struct module missing[] = { { "model.layers.7.mlp.up_proj", 2, 64, 176 },
						 { 0 } };
	char entries[6][400];
	const struct {
		const char *loras[2], *sentence;
		size_t count;
	} wrong[] = {
		{ { entries[0], entries[0] }, "two adapters are called \"first\"", 2 },
		{ { entries[1] }, "\"12\" is no name", 1 },
		{ { entries[2] }, "\"base\" is no name", 1 },
		{ { entries[3] }, "no module with a weight", 1 },
		{ { entries[4] }, "adapter_config.json", 1 },
		{ { entries[0] }, "at most 256", 257 },
	};

	write_adapter("missing", missing, 1, "\"lora_alpha\":1");
	snprintf(entries[0], sizeof(entries[0]), "%s", folder_path(&folder, "first"));
	snprintf(entries[1], sizeof(entries[0]), "12=%s", folder_path(&folder, "first"));
	snprintf(entries[2], sizeof(entries[0]), "base=%s", folder_path(&folder, "first"));
	snprintf(entries[3], sizeof(entries[0]), "%s", folder_path(&folder, "missing"));
	snprintf(entries[4], sizeof(entries[0]), "%s", folder_path(&folder, "nowhere"));
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		char output[320];
		const struct qeff_compile_options options = { .model_dir = MODEL,
							      .output = output,
							      .loras = wrong[i].loras,
							      .num_loras = wrong[i].count };
		struct qeff_error err = { 0 };

		snprintf(output, sizeof(output), "%s", folder_path(&folder, "wrong.qpc"));
		CU_ASSERT(qeff_compile(&options, NULL, &err) < 0);
		if (!strstr(err.message, wrong[i].sentence))
			printf("\n  \"%s\" does not say \"%s\"", err.message, wrong[i].sentence);
		CU_ASSERT_PTR_NOT_NULL(strstr(err.message, wrong[i].sentence));
	}
}

static void begin(void)
{
	folder = folder_new();
	write_adapter("first", first, 0.3f, "\"lora_alpha\":6,\"use_rslora\":false");
	write_adapter("second", second, 0.2f, "\"lora_alpha\":4,\"use_rslora\":true");
}

static void end(void)
{
	folder_remove(&folder);
}

static const struct unit_test tests[] = {
	{ "two adapters are written", begin },
	{ "TargetModules", target_modules },
	{ "sequences choose while running", chooses_while_running },
	{ "in every precision", in_every_precision },
	{ "what is refused", refuses },
	{ "the folder goes", end },
};

QEFF_UNIT_MAIN("adapters", tests)
