/* SPDX-License-Identifier: MIT */
/*
 * Encoder architectures against what the transformers package computes with the same checkpoints
 * (tests/reference/make_architectures_encoders.py): each model of tests/data/models/arch is lowered
 * in fp32 and run, whole batches and single sequences, padded on either side.
 */
#include "unit.h"

#include "graph_eval.h"
#include "lowered.h"
#include "model_folder.h"

#include <jansson.h>

static const char *const models[] = {
	"bert-classifier",
	"bert-masked-lm",
	"roberta",
	"roberta-classifier",
	"xlm-roberta",
	"xlm-roberta-classifier",
	"distilbert",
	"distilbert-classifier",
	"mpnet",
	"mpnet-classifier",
	"modernbert",
	"modernbert-classifier",
	"modernbert-first",
	"deberta-v2",
	"deberta-v2-classifier",
	"deberta-v2-keys",
};

#define COUNT (sizeof(models) / sizeof(models[0]))

/* Columns of a mask that are 1; they stand on the left. */
static uint32_t length_of(const int64_t *mask, uint32_t columns)
{
	uint32_t length = 0;

	while (length < columns && mask[length])
		length++;
	return length;
}

/**
 * struct encoding - a model that encodes some of its reference's sequences
 * @output: "logits" or "last_hidden_state"
 * @rows, @width: of one sequence there: 1 and labels, or tokens and columns
 * @seq: columns of the specialisation; the sequences begin behind @pad dead ones
 */
struct encoding {
	struct lowered *m;
	struct reference reference;
	const char *output;
	const struct qeff_checkpoint_tensor *ids, *mask, *expected;
	uint32_t columns, seq, pad, width;
};

static const struct qeff_checkpoint_tensor *find(const struct reference *reference,
						 const char *name)
{
	for (size_t i = 0; i < reference->file.num_tensors; i++)
		if (!strcmp(reference->file.tensors[i].name, name))
			return &reference->file.tensors[i];
	return NULL;
}

static void encoding_open(struct encoding *e, const char *model, uint32_t batch, uint32_t nsps,
			  uint32_t more, uint32_t pad)
{
	struct lowered_options options = { .num_nsps = nsps, .batch = batch, .num_seqs = 1 };
	char name[128];

	*e = (struct encoding){ .pad = pad };
	snprintf(name, sizeof(name), "arch/%s", model);
	reference_open(&e->reference, name);
	e->ids = reference_tensor(&e->reference, "input_ids");
	e->mask = reference_tensor(&e->reference, "attention_mask");
	e->columns = (uint32_t)e->ids->dims[1];
	e->seq = e->columns + more;
	options.seqs[0] = e->seq;
	e->m = lowered_open(name, &options);
	e->output = e->m->info.task == QEFF_MODEL_CLASSIFIER ? "logits" : "last_hidden_state";
	e->expected = reference_tensor(&e->reference, e->output);
	e->width = (uint32_t)e->expected->dims[e->expected->rank - 1];
}

static void encoding_close(struct encoding *e)
{
	lowered_close(e->m);
	safetensors_close(&e->reference.file);
}

/* Runs @count sequences of the reference from @first on. */
static void encode(struct encoding *e, uint32_t first, uint32_t count)
{
	static const char *const inputs[] = { "input_ids", "attention_mask", "token_type_ids" };

	for (int i = 0; i < 3; i++) {
		const struct qeff_checkpoint_tensor *from = find(&e->reference, inputs[i]);
		int64_t *to;

		if (i == 2 && !e->m->info.uses_token_types)
			continue;
		to = lowered_at(e->m, inputs[i]);
		memset(to, 0, (size_t)count * e->seq * 8);
		for (uint32_t b = 0; from && b < count; b++)
			memcpy(to + b * e->seq + e->pad,
			       (const int64_t *)from->data + (first + b) * e->columns,
			       e->columns * 8);
	}
	CU_ASSERT_EQUAL(lowered_run(e->m, 0), QEFF_NSP_FAULT_NONE);
}

/* Rows of sequence @b that count, and where they lie in the output and in the reference. */
static uint32_t rows_of(const struct encoding *e, uint32_t b, uint32_t entry, const float **got,
			const float **expected)
{
	const float *out = lowered_at(e->m, e->output);

	if (e->m->info.task == QEFF_MODEL_CLASSIFIER) {
		*got = out + (size_t)entry * e->width;
		*expected = (const float *)e->expected->data + (size_t)b * e->width;
		return 1;
	}
	*got = out + ((size_t)entry * e->seq + e->pad) * e->width;
	*expected = (const float *)e->expected->data + (size_t)b * e->columns * e->width;
	return length_of((const int64_t *)e->mask->data + b * e->columns, e->columns);
}

static double error_of(const struct encoding *e, uint32_t batch)
{
	double most = 0, magnitude = 0;

	for (uint32_t b = 0; b < batch; b++) {
		const float *got, *expected;
		uint32_t rows = rows_of(e, b, b, &got, &expected);

		for (size_t i = 0; i < (size_t)rows * e->width; i++) {
			double d = fabs((double)got[i] - expected[i]);

			most = d > most || isnan(d) ? d : most;
			magnitude = fmax(magnitude, fabs((double)expected[i]));
		}
	}
	return most / magnitude;
}

static void computes_what_the_references_say(void)
{
	for (size_t i = 0; i < COUNT; i++)
		for (uint32_t nsps = 1; nsps <= 4; nsps += 3) {
			struct reference reference;
			struct encoding e;
			uint32_t batch;
			char name[128];
			double error;

			snprintf(name, sizeof(name), "arch/%s", models[i]);
			reference_open(&reference, name);
			batch = (uint32_t)reference_tensor(&reference, "input_ids")->dims[0];
			safetensors_close(&reference.file);
			encoding_open(&e, models[i], batch, nsps, 0, 0);
			e.m->poison = true;
			encode(&e, 0, batch);
			error = error_of(&e, batch);
			if (!(error < 1e-4) || getenv("QEFF_TEST_VERBOSE"))
				printf("\n  %s: off by %.2g of the largest magnitude", models[i],
				       error);
			CU_ASSERT(error < 1e-4);
			encoding_close(&e);
		}
}

/* What placement counts is what the executor counts, if every row lives. */
static void costs_what_was_planned(void)
{
	static const char *const some[] = { "mpnet", "modernbert", "deberta-v2",
					    "deberta-v2-keys" };

	for (size_t i = 0; i < sizeof(some) / sizeof(some[0]); i++) {
		uint64_t planned = 0, done = 0;
		struct encoding e;

		encoding_open(&e, some[i], 1, 4, 0, 0);
		for (uint32_t s = 0; s < e.seq; s++) {
			((int64_t *)lowered_at(e.m, "input_ids"))[s] = 7;
			((int64_t *)lowered_at(e.m, "attention_mask"))[s] = 1;
		}
		CU_ASSERT_EQUAL(lowered_run(e.m, 0), QEFF_NSP_FAULT_NONE);
		for (uint32_t nsp = 0; nsp < 4; nsp++) {
			planned += e.m->l->specs[0].share[nsp].macs;
			done += lowered_stats(e.m)->nsp[nsp].macs;
		}
		CU_ASSERT_EQUAL(planned, done);
		encoding_close(&e);
	}
}

/* A sequence alone, with padding in front of it, has the bits that it has among others. */
static void bits_do_not_depend_on_padding(void)
{
	for (size_t i = 0; i < COUNT; i++) {
		struct encoding all, one;
		uint32_t batch, more;

		encoding_open(&all, models[i], 2, 4, 0, 0);
		batch = 2;
		encode(&all, 0, batch);
		/* no more columns than the model has positions */
		more = all.m->info.positions > all.columns + 1 ? 2 : 0;
		encoding_open(&one, models[i], 1, 1, more, more);
		for (uint32_t b = 0; b < batch; b++) {
			const float *among, *alone, *expected;
			uint32_t rows;

			encode(&one, b, 1);
			rows = rows_of(&all, b, b, &among, &expected);
			CU_ASSERT_EQUAL(rows_of(&one, b, 0, &alone, &expected), rows);
			CU_ASSERT_EQUAL(memcmp(among, alone, (size_t)rows * one.width * 4), 0);
		}
		encoding_close(&one);
		encoding_close(&all);
	}
}

/* ---- transforms, each alone ---- */

struct model {
	struct qeff_checkpoint *checkpoint;
	struct qeff_graph *graph;
	struct qeff_model_info info;
	struct reference reference;
};

static struct model open_model(const char *name)
{
	struct qeff_error err = { 0 };
	struct model m = { 0 };
	char path[512];

	snprintf(path, sizeof(path), "%s/models/arch/%s", QEFF_TEST_DATA, name);
	if (qeff_checkpoint_open(path, &m.checkpoint, &err) ||
	    qeff_model_build(m.checkpoint, NULL, &m.graph, &m.info, &err))
		lowered_die(name, &err);
	snprintf(path, sizeof(path), "arch/%s", name);
	reference_open(&m.reference, path);
	return m;
}

static void close_model(struct model *m)
{
	safetensors_close(&m->reference.file);
	qeff_graph_free(m->graph);
	qeff_model_info_clear(&m->info);
	qeff_checkpoint_close(m->checkpoint);
}

static uint32_t count_nodes(const struct qeff_graph *graph, const char *op)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < graph->num_nodes; i++)
		count += qeff_node_is(graph->nodes[i], op);
	return count;
}

/* How far the graph's logits are from the reference's, behind @pad columns of padding. */
static double logits_error(const struct model *m, uint32_t pad)
{
	static const char *const inputs[] = { "input_ids", "attention_mask", "token_type_ids" };
	const struct qeff_checkpoint_tensor *ids = reference_tensor(&m->reference, "input_ids");
	const struct qeff_checkpoint_tensor *logits = reference_tensor(&m->reference, "logits");
	const struct qeff_binding_size sizes[] = { { "batch_size", ids->dims[0] },
						   { "seq_len", ids->dims[1] + pad } };
	struct qeff_graph *bound = NULL;
	struct eval e;
	double error;

	CU_ASSERT_EQUAL_FATAL(qeff_graph_bind(m->graph, sizes, 2, &bound, NULL), 0);
	e = eval_new(bound);
	for (int i = 0; i < 3; i++) {
		const struct qeff_checkpoint_tensor *from =
			reference_tensor(&m->reference, inputs[i]);
		int64_t *to = eval_i(&e, qeff_graph_find(bound, inputs[i]));

		for (int64_t b = 0; b < ids->dims[0]; b++)
			memcpy(to + b * sizes[1].size + pad,
			       (const int64_t *)from->data + b * ids->dims[1],
			       (size_t)ids->dims[1] * 8);
	}
	eval_run(&e);
	error = eval_error(eval_f(&e, qeff_graph_find(bound, "logits")), logits->data,
			   (uint64_t)(logits->dims[0] * logits->dims[1]));
	eval_free(&e);
	qeff_graph_free(bound);
	return error;
}

static void text_classification(void)
{
	const struct qeff_transform_options options = { 0 };
	struct model m = open_model("bert-classifier");
	uint32_t nodes = m.graph->num_nodes, gathers = count_nodes(m.graph, "Gather"), changes = 0;

	CU_ASSERT(logits_error(&m, 0) < 1e-5);
	CU_ASSERT(logits_error(&m, 2) > 1e-2);
	CU_ASSERT_EQUAL(qeff_transform_text_classification(m.graph, &options, &changes, NULL), 0);
	CU_ASSERT_EQUAL(changes, 1);
	CU_ASSERT_EQUAL(m.graph->num_nodes, nodes);
	CU_ASSERT_EQUAL(count_nodes(m.graph, "Gather"), gathers - 1);
	CU_ASSERT_EQUAL(count_nodes(m.graph, "qeff.Pool"), 1);
	/* unchanged with padding behind, and now the same with padding in front */
	CU_ASSERT(logits_error(&m, 0) < 1e-5);
	CU_ASSERT(logits_error(&m, 2) < 1e-5);
	CU_ASSERT_EQUAL(qeff_transform_text_classification(m.graph, &options, &changes, NULL), 0);
	CU_ASSERT_EQUAL(changes, 0);
	close_model(&m);
}

/* The number of value @name of the graph, computed by the evaluator. */
static float *evaluated(const struct model *m, const char *name, uint64_t *count)
{
	const struct qeff_binding_size sizes[] = { { "batch_size", 1 }, { "seq_len", 1 } };
	struct qeff_graph *bound = NULL;
	struct eval e;
	float *numbers;

	CU_ASSERT_EQUAL_FATAL(qeff_graph_bind(m->graph, sizes, 2, &bound, NULL), 0);
	e = eval_new(bound);
	eval_run(&e);
	CU_ASSERT_PTR_NOT_NULL_FATAL(qeff_graph_find(bound, name));
	*count = eval_count(qeff_graph_find(bound, name));
	numbers = malloc(*count * sizeof(*numbers));
	memcpy(numbers, eval_f(&e, qeff_graph_find(bound, name)), *count * sizeof(*numbers));
	eval_free(&e);
	qeff_graph_free(bound);
	return numbers;
}

static void fold_constants(void)
{
	static const char name[] = "encoder.layer.1.attention.self.pos_query_proj";
	const struct qeff_transform_options options = { 0 };
	struct model m = open_model("deberta-v2");
	uint32_t nodes = m.graph->num_nodes, changes = 0;
	uint32_t products = count_nodes(m.graph, "MatMul");
	const struct qeff_value *folded;
	uint64_t count, folded_count;
	float *before = evaluated(&m, name, &count);

	CU_ASSERT_EQUAL(qeff_transform_fold_constants(m.graph, &options, &changes, NULL), 0);
	/* keys and queries of two layers; the norm of the embeddings is theirs alone */
	CU_ASSERT_EQUAL(changes, 4);
	CU_ASSERT_EQUAL(m.graph->num_nodes, nodes - 4 * 2 - 1);
	CU_ASSERT_EQUAL(count_nodes(m.graph, "MatMul"), products - 4);
	CU_ASSERT_PTR_NULL(qeff_graph_find(m.graph, "encoder.rel_embeddings.weight"));
	folded = qeff_graph_find(m.graph, "encoder.layer.1.attention.self.pos_query_proj/folded");
	CU_ASSERT_PTR_NOT_NULL_FATAL(folded);
	CU_ASSERT_TRUE_FATAL(qeff_graph_shape_elements(&folded->shape, &folded_count));
	CU_ASSERT_EQUAL_FATAL(folded_count, count);
	CU_ASSERT(eval_error(folded->data, before, count) < 1e-6);
	CU_ASSERT_EQUAL(qeff_transform_fold_constants(m.graph, &options, &changes, NULL), 0);
	CU_ASSERT_EQUAL(changes, 0);
	free(before);
	close_model(&m);

	/* nothing of a model without such things, above all not its turned weights */
	m = open_model("mpnet");
	nodes = m.graph->num_nodes;
	CU_ASSERT_EQUAL(qeff_transform_fold_constants(m.graph, &options, &changes, NULL), 0);
	CU_ASSERT_EQUAL(changes, 0);
	CU_ASSERT_EQUAL(m.graph->num_nodes, nodes);
	close_model(&m);
}

/* ---- builders ---- */

static void says_what_it_left_out(void)
{
	struct model m = open_model("bert-masked-lm");

	CU_ASSERT_EQUAL(m.info.task, QEFF_MODEL_ENCODER);
	CU_ASSERT_EQUAL_FATAL(m.info.num_warnings, 1);
	CU_ASSERT_PTR_NOT_NULL(strstr(m.info.warnings[0], "the head of BertForMaskedLM"));
	close_model(&m);
	for (size_t i = 0; i < COUNT; i++) {
		if (strstr(models[i], "masked-lm"))
			continue;
		m = open_model(models[i]);
		CU_ASSERT_EQUAL(m.info.num_warnings, 0);
		CU_ASSERT_EQUAL(m.info.task == QEFF_MODEL_CLASSIFIER,
				strstr(models[i], "class") || strstr(models[i], "first"));
		close_model(&m);
	}
}

static void knows_labels_and_positions(void)
{
	static const struct {
		const char *name;
		uint32_t labels, positions;
		const char *scores;
	} expected[] = {
		{ "bert-classifier", 3, 40, "softmax" },
		{ "roberta-classifier", 4, 38, "sigmoid" },
		{ "xlm-roberta-classifier", 1, 38, "sigmoid" },
		{ "mpnet-classifier", 5, 178, "softmax" },
		{ "deberta-v2-classifier", 3, 160, "softmax" },
	};

	for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
		struct model m = open_model(expected[i].name);

		CU_ASSERT_EQUAL(m.info.labels, expected[i].labels);
		CU_ASSERT_EQUAL(m.info.positions, expected[i].positions);
		CU_ASSERT_STRING_EQUAL(m.info.scores, expected[i].scores);
		close_model(&m);
	}
}

/* The model with one key of its config otherwise. */
static void refused(const char *name, const char *key, const char *value, const char *part)
{
	struct folder folder = folder_new();
	struct qeff_checkpoint *checkpoint = NULL;
	struct qeff_graph *graph = NULL;
	struct qeff_model_info info;
	struct qeff_error err = { 0 };
	json_t *config, *other = json_loads(value, JSON_DECODE_ANY, NULL);
	char path[512];

	snprintf(path, sizeof(path), "%s/models/arch/%s/config.json", QEFF_TEST_DATA, name);
	config = json_load_file(path, 0, NULL);
	json_object_set_new(config, key, other);
	json_dump_file(config, folder_path(&folder, "config.json"), 0);
	json_decref(config);
	snprintf(path, sizeof(path), "%s/models/arch/%s/model.safetensors", QEFF_TEST_DATA, name);
	CU_ASSERT_EQUAL_FATAL(symlink(path, folder_path(&folder, "model.safetensors")), 0);
	CU_ASSERT_EQUAL_FATAL(qeff_checkpoint_open(folder.path, &checkpoint, &err), 0);
	CU_ASSERT_NOT_EQUAL(qeff_model_build(checkpoint, NULL, &graph, &info, &err), 0);
	if (!strstr(err.message, part)) {
		printf("\n  %s, %s %s: expected \"%s\", got \"%s\"", name, key, value, part,
		       err.message);
		CU_FAIL("the message names what is wrong");
	}
	qeff_graph_free(graph);
	qeff_checkpoint_close(checkpoint);
	folder_remove(&folder);
}

static void refuses_what_it_does_not_handle(void)
{
	static const struct {
		const char *name, *key, *value, *part;
	} cases[] = {
		{ "bert-classifier", "position_embedding_type", "\"relative_key\"",
		  "\"position_embedding_type\"" },
		{ "bert-classifier", "is_decoder", "true", "\"is_decoder\" is true" },
		{ "bert-classifier", "problem_type", "\"other\"", "\"problem_type\" is \"other\"" },
		{ "bert-classifier", "id2label", "[1]", "\"id2label\" is a list" },
		{ "bert-classifier", "id2label", "{\"0\":\"a\"}",
		  "\"classifier.weight\" is [3, 36], config.json makes it [1, 36]" },
		{ "roberta", "pad_token_id", "39", "\"pad_token_id\" is 39" },
		{ "roberta", "hidden_act", "\"nosuch\"", "\"hidden_act\" is \"nosuch\"" },
		{ "distilbert", "n_heads", "3", "\"dim\", 28, is no multiple of \"n_heads\", 3" },
		{ "mpnet", "pad_token_id", "0", "\"pad_token_id\" is 0" },
		{ "mpnet", "relative_attention_num_buckets", "64", "\"relative_attention_num" },
		{ "modernbert", "rope_scaling", "{\"rope_type\":\"yarn\"}", "\"rope_scaling\"" },
		{ "modernbert", "local_rope_theta", "0.5", "\"local_rope_theta\"" },
		{ "modernbert-first", "classifier_pooling", "\"max\"", "\"classifier_pooling\"" },
		{ "deberta-v2", "conv_kernel_size", "3", "\"conv_kernel_size\" is 3" },
		{ "deberta-v2", "embedding_size", "16", "\"embedding_size\" is 16" },
		{ "deberta-v2", "attention_head_size", "8", "\"attention_head_size\" is 8" },
		{ "deberta-v2", "norm_rel_ebd", "\"other\"", "\"norm_rel_ebd\" is \"other\"" },
		{ "deberta-v2", "pos_att_type", "3", "\"pos_att_type\" is an integer" },
		{ "deberta-v2", "position_buckets", "1", "\"position_buckets\" 1 of" },
		{ "deberta-v2", "position_buckets", "26",
		  "is [48, 30], config.json makes it [52, 30]" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		refused(cases[i].name, cases[i].key, cases[i].value, cases[i].part);
}

static const struct unit_test tests[] = {
	{ "computes what the references say", computes_what_the_references_say },
	{ "bits do not depend on padding", bits_do_not_depend_on_padding },
	{ "costs what was planned", costs_what_was_planned },
	{ "TextClassification", text_classification },
	{ "FoldConstants", fold_constants },
	{ "says what it left out", says_what_it_left_out },
	{ "knows labels and positions", knows_labels_and_positions },
	{ "refuses what it does not handle", refuses_what_it_does_not_handle },
};
QEFF_UNIT_MAIN("encoders", tests)
