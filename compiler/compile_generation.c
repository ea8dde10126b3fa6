/* SPDX-License-Identifier: MIT */
/*
 * generation.json, a segment of our own: what a generator or an embedder must know about the model
 * beyond the shapes of its tensors.
 */
#include "compile.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of tokenizer_config.json; null values and absent keys are left out. */
static const char *const tokenizer_keys[] = {
	"add_bos_token",
	"add_eos_token",
	"bos_token",
	"chat_template",
	"clean_up_tokenization_spaces",
	"cls_token",
	"eos_token",
	"mask_token",
	"model_max_length",
	"pad_token",
	"padding_side",
	"sep_token",
	"tokenizer_class",
	"truncation_side",
	"unk_token",
};

static json_t *tokenizer_settings(const struct qeff_checkpoint *checkpoint)
{
	const json_t *config = qeff_checkpoint_tokenizer(checkpoint)->json;
	json_t *settings = json_object();

	for (size_t i = 0; i < sizeof(tokenizer_keys) / sizeof(tokenizer_keys[0]); i++) {
		json_t *value = json_object_get(config, tokenizer_keys[i]);

		if (value && !json_is_null(value))
			json_object_set_new(settings, tokenizer_keys[i], json_deep_copy(value));
	}
	return settings;
}

static json_t *token_id(int64_t id)
{
	return id < 0 ? json_null() : json_integer(id);
}

static json_t *eos_ids(const struct qeff_model_info *info)
{
	json_t *ids = json_array();

	for (size_t i = 0; i < info->num_eos; i++)
		if (info->eos_token_ids[i] >= 0)
			json_array_append_new(ids, json_integer(info->eos_token_ids[i]));
	return ids;
}

/* On the card if it was compiled in; else the checkpoint's own, for whoever pools on the host. */
static void add_pooling(const struct compile_package *p, json_t *root)
{
	const struct qeff_checkpoint_pooling *own = qeff_checkpoint_pooling(p->checkpoint);
	const char *mode = p->plan->pooling ? p->plan->pooling : own->mode;
	bool normalize = p->plan->pooling ? p->plan->normalize : own->normalize;

	json_object_set_new(root, "pooling", mode ? json_string(mode) : json_null());
	json_object_set_new(root, "normalize", json_boolean(mode && normalize));
}

/* Names of a classifier's labels, in the order of its logits, and how logits become scores. */
static void add_labels(const struct compile_package *p, json_t *root)
{
	const json_t *names =
		json_object_get(qeff_checkpoint_config(p->checkpoint)->json, "id2label");
	json_t *labels = json_array();

	for (uint32_t i = 0; i < p->info->labels; i++) {
		char key[32];
		const char *name;

		snprintf(key, sizeof(key), "%u", i);
		name = json_string_value(json_object_get(names, key));
		snprintf(key, sizeof(key), "LABEL_%u", i);
		json_array_append_new(labels, json_string(name ? name : key));
	}
	json_object_set_new(root, "labels", labels);
	json_object_set_new(root, "scores", json_string(p->info->scores));
}

/* Names of the adapters that lora_ids chooses among, from number 1. */
static void add_adapters(const struct compile_package *p, json_t *root)
{
	json_t *names = json_array();

	for (size_t i = 0; i < p->loras->count; i++)
		json_array_append_new(names, json_string(p->loras->names[i]));
	json_object_set_new(root, "adapters", names);
}

int qeff_compile_generation(const struct compile_package *p, struct qeff_bytes *json,
			    struct qeff_error *err)
{
	const struct qeff_model_info *info = p->info;
	json_t *root = json_object();
	char *text;

	json_object_set_new(root, "architecture", json_string(info->architecture));
	json_object_set_new(root, "task", json_string(qeff_model_task_name(info->task)));
	json_object_set_new(root, "bos_token_id", token_id(info->bos_token_id));
	json_object_set_new(root, "eos_token_id", eos_ids(info));
	json_object_set_new(root, "pad_token_id", token_id(info->pad_token_id));
	json_object_set_new(root, "vocab_size", json_integer(info->vocab));
	json_object_set_new(root, "max_position_embeddings", json_integer(info->max_positions));
	if (info->task == QEFF_MODEL_ENCODER)
		add_pooling(p, root);
	if (info->task == QEFF_MODEL_CLASSIFIER)
		add_labels(p, root);
	if (p->loras->count)
		add_adapters(p, root);
	json_object_set_new(root, "tokenizer_config", tokenizer_settings(p->checkpoint));
	text = json_dumps(root, JSON_INDENT(1));
	json_decref(root);
	if (!text)
		return qeff_error_set(err, -ENOMEM, "out of memory while making generation.json");
	qeff_bytes_append(json, text, strlen(text));
	free(text);
	return 0;
}
