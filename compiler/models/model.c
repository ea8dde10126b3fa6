/* SPDX-License-Identifier: MIT */
/* Building a model: find its row, refuse what is not handled, build, account for every tensor. */
#include "models/build.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#define MAX_UNUSED_NAMED 8

/* The first entry of "architectures"; "model_type" where there is none. */
static const struct model_architecture *find_architecture(const struct qeff_config *config,
							  struct qeff_error *err)
{
	const char *name = NULL, *model_type = NULL;
	const struct model_architecture *row;

	if (qeff_config_first_string(config, "architectures", &name, err) ||
	    qeff_config_string(config, "model_type", &model_type, err))
		return NULL;
	for (size_t i = 0; (row = model_row(i)); i++)
		if (name ? !strcmp(row->name, name)
			 : model_type && !strcmp(row->model_type, model_type))
			return row;
	qeff_error_set(err, -ENOTSUP, "%s: architecture \"%.64s\" is not supported", config->file,
		       name ?: model_type ?: "(none named)");
	return NULL;
}

static int check_expectations(const struct model_build *b, struct qeff_error *err)
{
	const struct model_expectation *e = b->architecture->expectations;

	for (; e->key; e++) {
		int ret = qeff_config_expect(b->config, e->key, e->json, err);

		if (ret)
			return ret;
	}
	return 0;
}

/* What generation_config.json says goes before what config.json says. */
static int read_tokens(struct model_build *b, struct qeff_error *err)
{
	const struct qeff_config *configs[] = { b->config,
						qeff_checkpoint_generation(b->checkpoint) };
	struct qeff_model_info *info = b->info;
	int ret = 0;

	info->bos_token_id = -1;
	info->pad_token_id = -1;
	for (size_t i = 0; i < 2 && !ret; i++) {
		ret = qeff_config_int(configs[i], "bos_token_id", -1, INT32_MAX,
				      &info->bos_token_id, err);
		if (!ret)
			ret = qeff_config_int(configs[i], "pad_token_id", -1, INT32_MAX,
					      &info->pad_token_id, err);
		if (!ret)
			ret = qeff_config_ints(configs[i], "eos_token_id", -1, INT32_MAX,
					       QEFF_MODEL_MAX_EOS, info->eos_token_ids,
					       &info->num_eos, err);
	}
	return ret;
}

static bool is_ignored(const struct model_build *b, const char *name)
{
	for (const char *const *pattern = b->architecture->ignored; *pattern; pattern++)
		if (!fnmatch(*pattern, name, 0))
			return true;
	return false;
}

/* A tensor that nothing reads may mean that a part of the model was missed. */
static void report_unused(struct model_build *b)
{
	size_t count, unused = 0;
	const struct qeff_checkpoint_tensor *tensors =
		qeff_checkpoint_tensors(b->checkpoint, &count);

	for (size_t i = 0; i < count; i++) {
		if (b->used[i] || is_ignored(b, tensors[i].name))
			continue;
		if (unused++ < MAX_UNUSED_NAMED)
			model_warn(b, "tensor \"%.200s\" is not part of %s and was left out",
				   tensors[i].name, b->architecture->name);
	}
	if (unused > MAX_UNUSED_NAMED)
		model_warn(b, "%zu more tensors were left out", unused - MAX_UNUSED_NAMED);
}

static int build(struct model_build *b, struct qeff_error *err)
{
	size_t count;
	int ret;

	b->architecture = find_architecture(b->config, err);
	if (!b->architecture)
		return err->code;
	b->info->architecture = b->architecture->name;
	b->info->task = b->architecture->task;
	ret = check_expectations(b, err);
	if (!ret)
		ret = read_tokens(b, err);
	if (ret)
		return ret;
	qeff_checkpoint_tensors(b->checkpoint, &count);
	b->graph = qeff_graph_new(b->architecture->name);
	b->used = calloc(count + 1, sizeof(*b->used));
	if (!b->graph || !b->used)
		return qeff_error_set(err, -ENOMEM, "out of memory");
	b->architecture->build(b);
	if (!model_failed(b))
		report_unused(b);
	return qeff_graph_finish(b->graph, err);
}

int qeff_model_build(const struct qeff_checkpoint *checkpoint,
		     const struct qeff_model_options *options, struct qeff_graph **graph,
		     struct qeff_model_info *info, struct qeff_error *err)
{
	struct qeff_error why = { 0 };
	struct model_build b = {
		.checkpoint = checkpoint,
		.config = qeff_checkpoint_config(checkpoint),
		.wanted_positions = options ? options->positions : 0,
		.info = info,
		.prefix = "",
	};
	int ret;

	*graph = NULL;
	*info = (struct qeff_model_info){ 0 };
	ret = build(&b, &why);
	free(b.used);
	if (ret) {
		qeff_graph_free(b.graph);
		qeff_model_info_clear(info);
		return qeff_error_set(err, ret, "%s", why.message);
	}
	*graph = b.graph;
	return 0;
}

void qeff_model_info_clear(struct qeff_model_info *info)
{
	for (size_t i = 0; i < info->num_warnings; i++)
		free(info->warnings[i]);
	free(info->warnings);
	*info = (struct qeff_model_info){ 0 };
}
