/* SPDX-License-Identifier: MIT */
/* A test as a user would run it: qeff-compile makes a package, qeff-load runs it on a card made of
 * software. */
#include "node_tests.h"

#include "../../../tools/npy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *compile_tool, *load_tool;

/* The type of .npy files; false for those that go as bytes. */
static bool npy_type(enum qeff_graph_type from, enum qeff_type *to)
{
	switch (from) {
	case QEFF_GRAPH_F32:
		*to = QEFF_TYPE_F32;
		return true;
	case QEFF_GRAPH_I64:
		*to = QEFF_TYPE_I64;
		return true;
	case QEFF_GRAPH_I32:
		*to = QEFF_TYPE_I32;
		return true;
	default:
		return false;
	}
}

static bool write_input(const char *path, const struct qeff_onnx_tensor *t, struct qeff_error *err)
{
	int32_t dims[QEFF_GRAPH_MAX_RANK];
	enum qeff_type type;

	for (uint32_t i = 0; i < t->rank; i++)
		dims[i] = (int32_t)t->dims[i];
	return npy_type(t->type, &type) && !npy_write(path, type, dims, t->rank, t->data, err);
}

/* Compiles the model of @folder with what were constants, runs it on a card made of software, and
 * compares what that wrote; everything in @work. */
static bool run_in(const char *folder, const char *set, const char *work,
		   const struct qeff_graph *graph, const struct tensors *in,
		   const struct tensors *out, struct report *report)
{
	char compile[4096], load[4096], path[1024];
	struct qeff_error err = { 0 };
	int c, l;

	c = snprintf(compile, sizeof(compile), "%s %s/model.onnx -o %s/m.qpc >%s/log 2>&1",
		     compile_tool, folder, work, work);
	l = snprintf(load, sizeof(load), "%s %s/m.qpc -d soft -O %s >>%s/log 2>&1", load_tool, work,
		     work, work);
	for (uint32_t i = 0; i < in->count; i++) {
		const struct qeff_onnx_tensor *t = &in->tensor[i];

		/* what no output depends on is no input of the package */
		if (!in->constant[i] && !qeff_graph_find(graph, t->name))
			continue;
		if (in->constant[i]) {
			c += snprintf(compile + c, sizeof(compile) - (size_t)c,
				      " --value %s=%s/input_%u.pb", t->name, set, i);
			continue;
		}
		snprintf(path, sizeof(path), "%s/in%u.npy", work, i);
		if (!write_input(path, t, &err)) {
			snprintf(report->text, sizeof(report->text), "%s is not written", path);
			return false;
		}
		l += snprintf(load + l, sizeof(load) - (size_t)l, " -i %s=%s", t->name, path);
	}
	if (c >= (int)sizeof(compile) || l >= (int)sizeof(load) || system(compile) ||
	    system(load)) {
		snprintf(report->text, sizeof(report->text), "a tool failed: see %s/log", work);
		return false;
	}
	for (uint32_t i = 0; i < out->count; i++) {
		struct npy npy;

		snprintf(path, sizeof(path), "%s/%s.npy", work, graph->outputs[i]->name);
		if (npy_read(path, &npy, &err)) {
			snprintf(report->text, sizeof(report->text), "%s", err.message);
			return false;
		}
		if (npy.count != elements_of(&out->tensor[i]) ||
		    !compare(&out->tensor[i], graph->outputs[i], npy.data, report))
			return false;
		npy_free(&npy);
	}
	return true;
}

/* Whether .npy files can hold all of them, and tools' command lines their names. */
static bool fits_tools(const struct tensors *t)
{
	enum qeff_type type;

	for (uint32_t i = 0; i < t->count; i++)
		if (!t->constant[i] &&
		    (!npy_type(t->tensor[i].type, &type) || strpbrk(t->tensor[i].name, " =:/'\"")))
			return false;
	return true;
}

bool run_by_tools(const char *folder, const char *set, const struct qeff_graph *graph,
		  const struct tensors *in, const struct tensors *out, struct report *report)
{
	char work[] = "/tmp/qeff-node-XXXXXX", command[64];
	bool passed;

	if (!fits_tools(in) || !fits_tools(out) || graph->num_outputs < out->count)
		return true;
	if (!mkdtemp(work))
		return false;
	report->by_tools = true;
	passed = run_in(folder, set, work, graph, in, out, report);
	snprintf(command, sizeof(command), "rm -rf %s", work);
	return (!passed || !system(command)) && passed;
}
