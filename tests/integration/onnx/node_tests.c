/* SPDX-License-Identifier: MIT */
/*
 * ONNX's backend tests: each a folder with a model, inputs and outputs. Every model is imported,
 * lowered and executed as the card executes it; what comes out is compared as ONNX's own runner
 * compares: floats within 1e-3 relative and 1e-7 absolute, everything else exactly.
 *
 * usage: node_tests EXPECTED DATA [FILTER [COMPILE LOAD]], DATA having folders of tests (node,
 * simple, ...). With the tools qeff-compile and qeff-load the models whose inputs and outputs are
 * f32, i32 and i64 also go through a package, libqeff and a card made of software.
 *
 * An input becomes a constant of the model where compiling says that it decides a shape: first the
 * integers with at most one dimension, then all inputs. EXPECTED lists the tests that do not pass,
 * "name: reason"; anything else is a failure, and so is a test there that passes.
 */
#include "node_tests.h"

#include "lower/fold.h"
#include "lower/ir.h"
#include "lower/lower.h"
#include "nsp/host/host.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define TEST_SECONDS 60
static int read_tensors(const char *folder, const char *prefix, struct tensors *tensors,
			struct qeff_error *err)
{
	char path[1024];

	for (tensors->count = 0; tensors->count < MAX_TENSORS; tensors->count++) {
		uint32_t i = tensors->count;
		int rc;

		snprintf(path, sizeof(path), "%s/%s_%u.pb", folder, prefix, i);
		if (access(path, R_OK))
			return 0;
		rc = qeff_onnx_tensor_open(path, &tensors->file[i], &tensors->tensor[i], err);
		if (rc)
			return rc;
	}
	return 0;
}

static int take(void *user, const void *data, size_t size, struct qeff_error *err)
{
	return qeff_bytes_append(user, data, size) ? 0 : qeff_error_set(err, -ENOMEM, "memory");
}

static void *zeros(uint64_t bytes)
{
	void *at = aligned_alloc(4096, (bytes + 4096) & ~4095ull);

	if (!at)
		abort();
	return memset(at, 0, (bytes + 4096) & ~4095ull);
}

/* A lowering that is ready to run. */
struct machine {
	struct qeff_lowering *l;
	struct qeff_nsp_program program;
	struct qeff_nsp_instance *instance;
	uint8_t *ddr, *scratch;
};

static int start(const struct qeff_graph *graph, struct machine *m, struct qeff_error *err)
{
	struct qeff_bytes constants = { 0 };
	const struct qeff_lower_sink sink = { .write = take, .user = &constants };
	const struct qeff_lower_options options = { .num_nsps = 2 };
	uint8_t *aligned;
	int rc = qeff_lower(&graph, 1, &options, &m->l, err);

	if (!rc)
		rc = qeff_lower_emit(m->l, &sink, err);
	if (rc)
		return rc;
	aligned = zeros(constants.size_bytes);
	memcpy(aligned, constants.data, constants.size_bytes);
	rc = qeff_nsp_host_validate(aligned, constants.size_bytes, "constants", &m->program, err);
	if (rc)
		return rc;
	m->ddr = zeros(m->program.header->ddr_bytes);
	m->scratch = zeros(m->program.header->scratch_bytes);
	m->instance = zeros(qeff_nsp_instance_bytes(&m->program));
	qeff_nsp_instance_init(m->instance, &m->program, qeff_nsp_host_kernels(NULL), m->ddr);
	return 0;
}

static void *place_of(const struct machine *m, const char *name)
{
	for (uint32_t i = 0; i < m->l->num_bindings; i++)
		if (!strcmp(m->l->bindings[i].name, name))
			return m->ddr + m->l->bindings[i].offset;
	return NULL;
}

static bool run(const struct qeff_graph *graph, const struct tensors *in, const struct tensors *out,
		struct report *report)
{
	struct machine m = { 0 };
	struct qeff_error err = { 0 };
	enum qeff_nsp_fault fault;
	int rc = start(graph, &m, &err);

	if (rc) {
		report->outcome = rc == -ENOTSUP ? REFUSED : FAILED;
		snprintf(report->text, sizeof(report->text), "%s", err.message);
		return false;
	}
	for (uint32_t i = 0; i < in->count; i++) {
		void *at = place_of(&m, in->tensor[i].name);

		if (at && in->tensor[i].size_bytes)
			memcpy(at, in->tensor[i].data, in->tensor[i].size_bytes);
	}
	fault = qeff_nsp_host_run(m.instance, m.scratch, NULL);
	if (fault != QEFF_NSP_FAULT_NONE) {
		snprintf(report->text, sizeof(report->text), "fault %d", fault);
		return false;
	}
	for (uint32_t i = 0; i < out->count && i < graph->num_outputs; i++) {
		const struct qeff_value *value = graph->outputs[i];
		const void *found = place_of(&m, value->name);

		if (!found) {
			snprintf(report->text, sizeof(report->text), "no binding %s", value->name);
			return false;
		}
		if (!compare(&out->tensor[i], value, found, report))
			return false;
	}
	return true;
}

static bool is_shape_like(const struct qeff_onnx_tensor *t)
{
	return t->rank <= 1 && !is_float(t->type);
}

/* Old files do not name their tensors: they stand in the order of the model's inputs. */
static void name_inputs(const struct qeff_onnx_model *model, struct tensors *in)
{
	const QeffOnnx__GraphProto *graph = model->proto->graph;
	uint32_t count = 0;

	for (size_t i = 0; graph && i < graph->n_input && count < in->count; i++) {
		bool initialised = false;

		for (size_t k = 0; k < graph->n_initializer; k++)
			initialised = initialised || !strcmp(onnx_text(graph->initializer[k]->name),
							     onnx_text(graph->input[i]->name));
		if (!initialised)
			in->tensor[count++].name = onnx_text(graph->input[i]->name);
	}
}

/* Gives inputs as constants only as far as that is needed; @in tells which. */
static int import(struct qeff_onnx_model *model, struct tensors *in, struct qeff_graph **graph,
		  struct qeff_error *err)
{
	struct qeff_onnx_tensor values[MAX_TENSORS];
	struct qeff_onnx_import_options options = { .values = values, .fold = qeff_lower_fold };
	int rc = -ENODATA;

	for (int attempt = 0; attempt < 3 && (rc == -ENODATA || rc == -ENOTSUP); attempt++) {
		options.num_values = 0;
		for (uint32_t i = 0; i < in->count; i++) {
			in->constant[i] = attempt > 1 || (attempt && is_shape_like(&in->tensor[i]));
			if (in->constant[i])
				values[options.num_values++] = in->tensor[i];
		}
		*err = (struct qeff_error){ 0 };
		rc = qeff_onnx_import(model, &options, graph, err);
	}
	return rc;
}

/* What the functions and graphs of exported transformers consist of. */
static const char *const transformer_operators[] = {
	"Add",
	"And",
	"ArgMax",
	"Cast",
	"Concat",
	"Constant",
	"CumSum",
	"Div",
	"Equal",
	"Erf",
	"Expand",
	"Gather",
	"GatherElements",
	"Gelu",
	"Greater",
	"GreaterOrEqual",
	"Identity",
	"IsNaN",
	"LayerNormalization",
	"Less",
	"LessOrEqual",
	"Log",
	"MatMul",
	"Max",
	"Min",
	"Mul",
	"Neg",
	"Not",
	"Or",
	"Pow",
	"Range",
	"Reciprocal",
	"ReduceL2",
	"ReduceMax",
	"ReduceMean",
	"ReduceSum",
	"Relu",
	"Reshape",
	"ScatterND",
	"Shape",
	"Sigmoid",
	"Slice",
	"Softmax",
	"Sqrt",
	"Squeeze",
	"Sub",
	"Tanh",
	"TopK",
	"Transpose",
	"Unsqueeze",
	"Where",
};

static bool is_of_transformers(const char *op)
{
	size_t count = sizeof(transformer_operators) / sizeof(transformer_operators[0]);

	for (size_t i = 0; i < count; i++)
		if (!strcmp(transformer_operators[i], op))
			return true;
	return false;
}

/* Tensors of numbers or truths, of types that are known here. */
static bool all_numbers(QeffOnnx__ValueInfoProto *const *infos, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const QeffOnnx__TypeProto *type = infos[i]->type;

		if (!type || !type->tensor_type ||
		    !qeff_graph_type_bytes((enum qeff_graph_type)type->tensor_type->elem_type))
			return false;
	}
	return true;
}

static uint32_t kinds_of(const struct qeff_onnx_model *model)
{
	const QeffOnnx__GraphProto *graph = model->proto->graph;
	uint32_t kinds = KIND_NUMBERS | KIND_TRANSFORMER;

	if (!graph || !all_numbers(graph->input, graph->n_input) ||
	    !all_numbers(graph->output, graph->n_output))
		return 0;
	for (size_t i = 0; i < graph->n_node; i++)
		if (!is_of_transformers(onnx_text(graph->node[i]->op_type)))
			kinds = KIND_NUMBERS;
	return kinds;
}

static void run_test(const char *folder, struct report *report)
{
	struct qeff_onnx_model *model = NULL;
	struct tensors in = { .count = 0 }, out = { .count = 0 };
	struct qeff_graph *graph = NULL;
	struct qeff_error err = { 0 };
	char path[512], set[600];
	int rc;

	report->outcome = FAILED;
	snprintf(path, sizeof(path), "%s/model.onnx", folder);
	rc = qeff_onnx_open(path, &model, &err);
	if (!rc)
		report->kinds = kinds_of(model);
	for (uint32_t n = 0; !rc; n++) {
		snprintf(set, sizeof(set), "%s/test_data_set_%u", folder, n);
		if (access(set, R_OK))
			break;
		rc = read_tensors(set, "input", &in, &err);
		if (!rc)
			rc = read_tensors(set, "output", &out, &err);
		if (rc)
			break;
		for (uint32_t i = 0; i < out.count; i++)
			if (!elements_of(&out.tensor[i]))
				report->kinds = 0; /* nothing to compute */
		for (uint32_t i = 0; i < in.count; i++)
			if (!elements_of(&in.tensor[i])) /* no transformer has such */
				report->kinds &= ~(uint32_t)KIND_TRANSFORMER;
		name_inputs(model, &in);
		rc = import(model, &in, &graph, &err);
		if (rc)
			break;
		if (!run(graph, &in, &out, report) ||
		    (compile_tool && !run_by_tools(folder, set, graph, &in, &out, report)))
			return;
		report->outcome = PASSED;
	}
	if (rc) {
		report->outcome = rc == -ENOTSUP || rc == -ENODATA ? REFUSED : FAILED;
		snprintf(report->text, sizeof(report->text), "%s", err.message);
	}
}

/* A test in a process of its own, so that one that crashes or hangs is only one. */
static struct report run_apart(const char *folder)
{
	struct report report = { .outcome = CRASHED };
	int pipes[2], status;
	pid_t child;

	if (pipe(pipes))
		abort();
	child = fork();
	if (!child) {
		alarm(TEST_SECONDS);
		run_test(folder, &report);
		if (write(pipes[1], &report, sizeof(report)) != sizeof(report))
			_exit(1);
		_exit(0);
	}
	close(pipes[1]);
	if (read(pipes[0], &report, sizeof(report)) != sizeof(report))
		report = (struct report){ .outcome = CRASHED };
	close(pipes[0]);
	if (waitpid(child, &status, 0) == child && WIFSIGNALED(status))
		snprintf(report.text, sizeof(report.text), "signal %d", WTERMSIG(status));
	return report;
}

/* The reason why @name is expected not to pass, in @reason; false if it is expected to. */
static bool expected_failure(FILE *expected, const char *name, char *reason, size_t size)
{
	size_t length = strlen(name);
	char line[512];

	rewind(expected);
	while (fgets(line, sizeof(line), expected)) {
		line[strcspn(line, "\n")] = 0;
		if (strncmp(line, name, length) || line[length] != ':')
			continue;
		snprintf(reason, size, "%s", line + length + 1 + (line[length + 1] == ' '));
		return true;
	}
	return false;
}

/* Tests that were run, and those that passed. */
struct score {
	uint32_t run, passed;
};

static const struct {
	const char *title;
	uint32_t kind, at_least; /* of a hundred */
} scores[] = {
	{ "operators of exported transformers", KIND_TRANSFORMER, 100 },
	{ "all of tensors of numbers", KIND_NUMBERS, 90 },
	{ "all", 0, 0 },
};
#define SCORES (sizeof(scores) / sizeof(scores[0]))

/* A test that did not do what was expected of it. */
static uint32_t judge(FILE *expected, const char *folder, const char *name, struct score *score,
		      uint32_t *by_tools)
{
	struct report report = run_apart(folder);
	bool passed = report.outcome == PASSED;
	char reason[512] = "";
	bool excused = expected_failure(expected, name, reason, sizeof(reason));

	for (size_t i = 0; i < SCORES; i++) {
		if ((report.kinds & scores[i].kind) != scores[i].kind)
			continue;
		score[i].run++;
		score[i].passed += passed;
	}
	*by_tools += passed && report.by_tools;
	/* releases differ in what they expect under one name */
	if (excused && !strncmp(reason, "either way: ", 12) && report.outcome != CRASHED)
		return 0;
	if (passed == !excused && report.outcome != CRASHED)
		return 0;
	printf("%s: %s %s\n", name,
	       passed			   ? "passes, though it is expected not to:"
	       : report.outcome == CRASHED ? "crashed:"
	       : report.outcome == REFUSED ? "refused:"
					   : "failed:",
	       passed ? reason : report.text);
	fflush(stdout);
	return 1;
}

int main(int argc, char **argv)
{
	static const char *const folders[] = { "node", "simple", "pytorch-operator",
					       "pytorch-converted" };
	const char *filter = argc > 3 ? argv[3] : "";
	uint32_t by_tools = 0;
	struct score score[SCORES] = { 0 };
	FILE *expected = argc > 2 ? fopen(argv[1], "r") : NULL;
	uint32_t wrong = 0;

	if (!expected) {
		fprintf(stderr, "usage: node_tests EXPECTED DATA [FILTER]\n");
		return 2;
	}
	compile_tool = argc > 5 ? argv[4] : NULL;
	load_tool = argc > 5 ? argv[5] : NULL;
	for (size_t f = 0; f < sizeof(folders) / sizeof(folders[0]); f++) {
		struct dirent **entries;
		char folder[512], test[1024];
		int count;

		snprintf(folder, sizeof(folder), "%s/%s", argv[2], folders[f]);
		count = scandir(folder, &entries, NULL, alphasort);
		for (int i = 0; i < count; i++) {
			const char *name = entries[i]->d_name;

			snprintf(test, sizeof(test), "%s/%s", folder, name);
			if (name[0] != '.' && strstr(name, filter))
				wrong += judge(expected, test, name, score, &by_tools);
			free(entries[i]);
		}
		if (count >= 0)
			free(entries);
	}
	fclose(expected);
	for (size_t i = 0; i < SCORES; i++) {
		double share = score[i].run ? 100.0 * score[i].passed / score[i].run : 0;

		printf("%s: %u of %u pass, %.1f %%\n", scores[i].title, score[i].passed,
		       score[i].run, share);
		if (!*filter && share < scores[i].at_least) {
			printf("expected %u %% at least\n", scores[i].at_least);
			wrong++;
		}
	}
	if (compile_tool)
		printf("through qeff-compile and qeff-load: %u\n", by_tools);
	if (!score[SCORES - 1].run || (compile_tool && !by_tools))
		printf("there are no tests in %s\n", argv[2]);
	return wrong || !score[SCORES - 1].run || (compile_tool && !by_tools);
}
