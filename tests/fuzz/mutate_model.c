/* SPDX-License-Identifier: MIT */
/*
 * Damage to an input of fuzz_model.c that leaves it a checkpoint: a number of the configuration
 * changes and the shapes of tensors with it, keys come from other architectures, layers are added,
 * tensors change type, shape or name. Offsets are put right afterwards, nearly always.
 */
#include "fuzz.h"
#include "model_input.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#define MAX_NAMES 512

struct document {
	json_t *config, *header; /* objects */
};

/* ---- picking ---- */

/* A member of @object, or NULL of an empty one. */
static const char *pick_key(json_t *object, uint64_t *state)
{
	uint64_t index = fuzz_random(state, json_object_size(object));
	void *at = json_object_iter(object);

	while (at && index--)
		at = json_object_iter_next(object, at);
	return at ? json_object_iter_key(at) : NULL;
}

/* A tensor's entry; NULL if the member that came out is none. */
static json_t *pick_tensor(json_t *header, uint64_t *state, const char **name)
{
	*name = pick_key(header, state);
	return *name && json_is_array(json_object_get(json_object_get(header, *name), "shape"))
		       ? json_object_get(header, *name)
		       : NULL;
}

/* The configuration, or now and then an object inside it. */
static json_t *pick_object(json_t *config, uint64_t *state)
{
	json_t *value;
	const char *key;

	if (fuzz_random(state, 4))
		return config;
	json_object_foreach(config, key, value)
	{
		if (json_is_object(value) && json_object_size(value))
			return value;
	}
	return config;
}

static json_int_t other_size(uint64_t *state, json_int_t old)
{
	static const json_int_t odd[] = {
		0, -1, 1, 2, 3, 5, 7, 33, 64, 100000, 1ll << 31, 1ll << 40
	};

	switch (fuzz_random(state, 8)) {
	case 0:
		return old + 1;
	case 1:
		return old - 1;
	case 2:
		return old / 2;
	case 3:
		return old < 1 << 30 && old > -(1 << 30) ? old * 2 : old;
	case 4:
		return 1 + (json_int_t)fuzz_random(state, 12);
	default:
		return odd[fuzz_random(state, sizeof(odd) / sizeof(odd[0]))];
	}
}

/* A value as it may stand in a configuration. */
static json_t *other_value(const json_t *old, uint64_t *state)
{
	static const char *const words[] = {
		"silu",
		"gelu",
		"gelu_new",
		"relu",
		"gelu_pytorch_tanh",
		"quick_gelu",
		"tanh",
		"linear",
		"dynamic",
		"yarn",
		"longrope",
		"llama3",
		"default",
		"full_attention",
		"sliding_attention",
		"cls",
		"mean",
		"c2p",
		"p2c",
		"none",
		"layer_norm",
		"absolute",
		"regression",
		"multi_label_classification",
		"",
	};
	static const double numbers[] = { 0,	 -1,	1,	 0.5,	1e-6,	1e-45, 1e38,
					  -1e38, 1e308, 10000.0, 0.125, 1e-320, 3.5,   255 };
	json_t *list;

	switch (json_is_real(old) ? fuzz_random(state, 4) : fuzz_random(state, 16)) {
	case 0:
	case 1:
	case 2:
		return json_real(numbers[fuzz_random(state, sizeof(numbers) / sizeof(numbers[0]))]);
	case 3:
		return json_integer(other_size(state, json_integer_value(old)));
	case 4:
		return json_true();
	case 5:
		return json_false();
	case 6:
		return json_null();
	case 7:
		list = json_array();
		for (uint64_t i = fuzz_random(state, 5); i; i--)
			json_array_append_new(list,
					      json_integer((json_int_t)fuzz_random(state, 9) - 1));
		return list;
	case 8:
		return json_pack("{s:s, s:f}", "rope_type", words[7 + fuzz_random(state, 6)],
				 "factor", numbers[fuzz_random(state, 14)]);
	case 9:
		list = json_array();
		for (uint64_t i = fuzz_random(state, 5); i; i--)
			json_array_append_new(list, json_string(words[13 + fuzz_random(state, 2)]));
		return list;
	case 10:
	case 11:
		return json_is_boolean(old) ? json_boolean(!json_is_true(old))
					    : json_boolean(fuzz_random(state, 2));
	default:
		return json_string(words[fuzz_random(state, sizeof(words) / sizeof(words[0]))]);
	}
}

/* ---- changes ---- */

/* Keys that some architecture reads. */
static const char *const keys[] = {
	"hidden_act",
	"num_key_value_heads",
	"head_dim",
	"sliding_window",
	"rope_scaling",
	"rope_theta",
	"partial_rotary_factor",
	"layer_types",
	"tie_word_embeddings",
	"attention_bias",
	"mlp_bias",
	"use_sliding_window",
	"max_window_layers",
	"rotary_dim",
	"n_inner",
	"multi_query",
	"parallel_attn",
	"new_decoder_architecture",
	"num_kv_heads",
	"alibi",
	"bias",
	"num_ln_in_parallel_attn",
	"ffn_hidden_size",
	"attn_config",
	"no_bias",
	"final_logit_softcapping",
	"attn_logit_softcapping",
	"query_pre_attn_scalar",
	"num_local_experts",
	"num_experts",
	"num_experts_per_tok",
	"moe_intermediate_size",
	"mlp_only_layers",
	"decoder_sparse_step",
	"norm_topk_prob",
	"qk_layernorm",
	"embedding_multiplier",
	"residual_multiplier",
	"attention_multiplier",
	"logits_scaling",
	"swiglu_limit",
	"original_max_position_embeddings",
	"sliding_window_pattern",
	"rope_local_base_freq",
	"relative_attention",
	"position_buckets",
	"max_relative_positions",
	"pos_att_type",
	"share_att_key",
	"norm_rel_ebd",
	"position_biased_input",
	"embedding_size",
	"conv_kernel_size",
	"type_vocab_size",
	"num_labels",
	"id2label",
	"problem_type",
	"global_attn_every_n_layers",
	"local_attention",
	"global_rope_theta",
	"local_rope_theta",
	"classifier_pooling",
	"norm_bias",
	"attention_head_size",
	"relative_attention_num_buckets",
	"rms_norm_eps",
	"layer_norm_eps",
	"layer_norm_epsilon",
	"pad_token_id",
	"eos_token_id",
	"max_position_embeddings",
	"vocab_size",
	"hidden_size",
	"intermediate_size",
	"num_hidden_layers",
	"num_attention_heads",
	"rope_parameters",
	"scale_attn_weights",
	"scale_attn_by_inverse_layer_idx",
	"clip_qkv",
	"model_type",
	"use_bidirectional_attention",
	"activation_function",
};

static const char *some_key(uint64_t *state)
{
	return keys[fuzz_random(state, sizeof(keys) / sizeof(keys[0]))];
}

/* Every dimension that is @old, or a multiple of it, follows. */
static void resize_tensors(json_t *header, json_int_t old, json_int_t new, bool multiples)
{
	json_t *entry, *dim;
	const char *name;
	size_t i;

	json_object_foreach(header, name, entry)
	{
		json_array_foreach(json_object_get(entry, "shape"), i, dim)
		{
			json_int_t size = json_integer_value(dim);

			if (size == old || (multiples && size && size % old == 0))
				json_integer_set(dim, size / old * new);
		}
	}
}

static void change_size(struct document *d, uint64_t *state)
{
	json_t *object = pick_object(d->config, state), *value;
	const char *key = pick_key(object, state);
	json_int_t old, new;

	/* the next that is a whole number */
	for (int tries = 0; tries < 8 && key && !json_is_integer(json_object_get(object, key));
	     tries++)
		key = pick_key(object, state);
	value = key ? json_object_get(object, key) : NULL;
	if (!json_is_integer(value))
		return;
	old = json_integer_value(value);
	new = other_size(state, old);
	json_integer_set(value, new);
	if (old > 1 && new < 1 << 20 && new > 0 && fuzz_random(state, 8))
		resize_tensors(d->header, old, new, fuzz_random(state, 2));
}

static void change_value(struct document *d, uint64_t *state)
{
	json_t *object = pick_object(d->config, state);
	const char *key = fuzz_random(state, 3) ? pick_key(object, state) : some_key(state);
	char name[128];

	if (!key)
		return;
	snprintf(name, sizeof(name), "%s", key);
	switch (fuzz_random(state, 4)) {
	case 0:
		json_object_del(object, name);
		break;
	case 1:
		key = pick_key(d->config, state);
		json_object_set_new(object, name, json_deep_copy(json_object_get(d->config, key)));
		break;
	default:
		json_object_set_new(object, name,
				    other_value(json_object_get(object, name), state));
	}
}

static void change_tensor(struct document *d, uint64_t *state)
{
	static const char *const types[] = { "F32", "F16", "BF16", "F64",  "I64",
					     "I32", "I8",  "U8",   "BOOL", "F8_E4M3" };
	const char *name;
	json_t *entry = pick_tensor(d->header, state, &name), *shape;
	char other[300];
	size_t rank, axis;

	if (!entry)
		return;
	shape = json_object_get(entry, "shape");
	rank = json_array_size(shape);
	axis = fuzz_random(state, rank);
	switch (fuzz_random(state, 8)) {
	case 0:
	case 1:
		json_object_set_new(
			entry, "dtype",
			json_string(types[fuzz_random(state, fuzz_random(state, 2) ? 3 : 10)]));
		break;
	case 2:
		json_object_del(d->header, name);
		break;
	case 3: /* under another's name */
		snprintf(other, sizeof(other), "%s", pick_key(d->header, state));
		json_object_set_new(d->header, other, json_deep_copy(entry));
		break;
	case 4:
		if (rank > 1)
			json_array_insert_new(
				shape, axis,
				json_integer(json_integer_value(json_array_get(shape, rank - 1))));
		if (rank > 1)
			json_array_remove(shape, rank);
		break;
	case 5:
		json_array_insert_new(shape, axis, json_integer((json_int_t)fuzz_random(state, 3)));
		break;
	case 6:
		json_array_remove(shape, axis);
		break;
	default:
		json_integer_set(
			json_array_get(shape, axis),
			other_size(state, json_integer_value(json_array_get(shape, axis))));
	}
}

/* Layers 0 and 1 of most checkpoints become one more, or one goes. */
static void change_layers(struct document *d, uint64_t *state)
{
	static const char *const counts[] = { "num_hidden_layers", "n_layer", "n_layers" };
	uint64_t from = fuzz_random(state, 2), to = fuzz_random(state, 4);
	const char *names[MAX_NAMES], *name;
	char text[16], other[300];
	json_t *entry;
	size_t count = 0;

	snprintf(text, sizeof(text), ".%u.", (unsigned int)from);
	json_object_foreach(d->header, name, entry)
	{
		if (strstr(name, text) && count < MAX_NAMES)
			names[count++] = name;
	}
	for (size_t i = 0; i < count; i++) {
		size_t before = (size_t)(strstr(names[i], text) - names[i]);

		snprintf(other, sizeof(other), "%.*s.%u%s", (int)(before < 200 ? before : 200),
			 names[i], (unsigned int)to, strstr(names[i], text) + strlen(text) - 1);
		entry = json_deep_copy(json_object_get(d->header, names[i]));
		json_object_set_new(d->header, other, entry);
	}
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
		if (json_object_get(d->config, counts[i]))
			json_object_set_new(d->config, counts[i], json_integer((json_int_t)to + 1));
}

/* ---- back to bytes ---- */

static uint64_t element_bytes(const json_t *entry)
{
	const char *type = json_string_value(json_object_get(entry, "dtype")) ?: "";
	const char *digits = type + strcspn(type, "123468");

	return *digits ? (uint64_t)atoi(digits) / 8 : 1;
}

/* Tensors stand one behind the other; returns where the last one ends. */
static uint64_t place_tensors(json_t *header)
{
	uint64_t at = 0;
	json_t *entry, *dim;
	const char *name;
	size_t i;

	json_object_foreach(header, name, entry)
	{
		uint64_t bytes = element_bytes(entry);

		if (!json_is_array(json_object_get(entry, "shape")))
			continue;
		json_array_foreach(json_object_get(entry, "shape"), i, dim) bytes *=
			(uint64_t)json_integer_value(dim);
		json_object_set_new(entry, "data_offsets",
				    json_pack("[I, I]", (json_int_t)at, (json_int_t)(at + bytes)));
		at += bytes;
	}
	return at;
}

static size_t write_input(const struct document *d, uint32_t tensors, uint8_t *data,
			  size_t capacity)
{
	char *config = json_dumps(d->config, JSON_COMPACT | JSON_ENCODE_ANY);
	char *header = json_dumps(d->header, JSON_COMPACT);
	size_t config_bytes = config ? strlen(config) : 0, written = 0;
	uint64_t header_bytes = header ? strlen(header) : 0, padded = (header_bytes + 7) / 8 * 8;
	uint16_t front = (uint16_t)config_bytes;

	if (config && header && config_bytes <= UINT16_MAX &&
	    MODEL_INPUT_FRONT + config_bytes + 8 + padded <= capacity) {
		memcpy(data, &front, 2);
		memcpy(data + 2, &tensors, 4);
		memcpy(data + MODEL_INPUT_FRONT, config, config_bytes);
		written = MODEL_INPUT_FRONT + config_bytes;
		memcpy(data + written, &padded, 8);
		written += 8;
		memcpy(data + written, header, header_bytes);
		memset(data + written + header_bytes, ' ', padded - header_bytes);
		written += padded;
	}
	free(config);
	free(header);
	return written;
}

size_t fuzz_mutate_whole(uint8_t *data, size_t size, size_t capacity, uint64_t *state)
{
	struct model_input in = model_input_parse(data, size);
	size_t skip = in.header_bytes < 8 ? in.header_bytes : 8;
	struct document d = {
		.config = json_loadb((const char *)in.config, in.config_bytes, 0, NULL),
		.header =
			json_loadb((const char *)in.header + skip, in.header_bytes - skip, 0, NULL),
	};
	size_t written = 0;

	if (json_is_object(d.config) && json_is_object(d.header)) {
		uint64_t changes = 1 + fuzz_random(state, 3) * fuzz_random(state, 2), tensors;

		while (changes--) {
			static void (*const ways[])(struct document * d, uint64_t * state) = {
				change_size,  change_size,   change_value,  change_value,
				change_value, change_tensor, change_layers,
			};

			ways[fuzz_random(state, sizeof(ways) / sizeof(ways[0]))](&d, state);
		}
		tensors = fuzz_random(state, 16) ? place_tensors(d.header) : in.tensors_bytes;
		written = write_input(&d, (uint32_t)tensors, data, capacity);
	}
	json_decref(d.config);
	json_decref(d.header);
	return written;
}
