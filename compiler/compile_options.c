/* SPDX-License-Identifier: MIT */
/* Options: checked, and their defaults settled by what the model is and can. */
#include "compile.h"

#include <stdlib.h>
#include <string.h>

#define DEFAULT_CORES 16
#define MAX_BATCH     4096
#define MAX_NUMBER    0xffffffu

static int check_numbers(const char *name, const struct qeff_compile_numbers *numbers,
			 struct qeff_error *err)
{
	if (numbers->count > QEFF_COMPILE_MAX_SPECIALISATIONS)
		return qeff_error_set(err, -EINVAL, "%s has %u numbers; at most %d are possible",
				      name, numbers->count, QEFF_COMPILE_MAX_SPECIALISATIONS);
	for (uint32_t i = 0; i < numbers->count; i++)
		if (!numbers->values[i] || numbers->values[i] > MAX_NUMBER)
			return qeff_error_set(err, -EINVAL, "%s has %u; 1 to %u are possible", name,
					      numbers->values[i], MAX_NUMBER);
	return 0;
}

/* Numbers of sequences, and what does not go together. */
static int check_batches(const struct qeff_compile_options *o, struct qeff_error *err)
{
	if (o->batch_size > MAX_BATCH)
		return qeff_error_set(err, -EINVAL, "batch_size is %u; at most %u is possible",
				      o->batch_size, MAX_BATCH);
	if (o->full_batch_size > MAX_BATCH || o->kv_cache_batch_size > MAX_BATCH)
		return qeff_error_set(err, -EINVAL,
				      "full_batch_size and kv_cache_batch_size are at most %u",
				      MAX_BATCH);
	if (o->full_batch_size && o->batch_size > 1)
		return qeff_error_set(err, -EINVAL,
				      "batch_size is %u, but with continuous batching "
				      "(full_batch_size) a prefill step fills one slot",
				      o->batch_size);
	if (o->kv_cache_batch_size && o->kv_cache_batch_size < o->full_batch_size)
		return qeff_error_set(err, -EINVAL,
				      "kv_cache_batch_size is %u, less than the %u slots that a "
				      "decode step advances (full_batch_size)",
				      o->kv_cache_batch_size, o->full_batch_size);
	if (o->kv_cache_batch_size && !o->full_batch_size)
		return qeff_error_set(err, -EINVAL,
				      "kv_cache_batch_size is for continuous batching: give "
				      "full_batch_size too");
	if ((o->comp_ctx_lengths_prefill.count || o->comp_ctx_lengths_decode.count) &&
	    o->num_speculative_tokens.count > 1)
		return qeff_error_set(err, -EINVAL,
				      "comp_ctx_lengths and several num_speculative_tokens do not "
				      "go together");
	if (o->specializations &&
	    (o->batch_size || o->num_seq_lens || o->prefill_seq_len || o->ctx_len ||
	     o->full_batch_size || o->comp_ctx_lengths_prefill.count ||
	     o->comp_ctx_lengths_decode.count || o->num_speculative_tokens.count ||
	     o->prefill_only))
		return qeff_error_set(err, -EINVAL,
				      "%s lists the specialisations; batch sizes and lengths are "
				      "not given beside it",
				      o->specializations);
	return 0;
}

int qeff_compile_check_options(const struct qeff_compile_options *o, struct qeff_error *err)
{
	int rc;

	if (!o->model_dir || !*o->model_dir)
		return qeff_error_set(err, -EINVAL, "no model folder was given");
	if ((!o->output || !*o->output) && !o->graph)
		return qeff_error_set(err, -EINVAL, "no package to write was given");
	if (o->num_cores > QEFF_COMPILE_MAX_CORES)
		return qeff_error_set(err, -EINVAL, "num_cores is %u; a card has 1 to %u NSPs",
				      o->num_cores, QEFF_COMPILE_MAX_CORES);
	if (o->num_seq_lens > QEFF_COMPILE_MAX_SEQ_LENS)
		return qeff_error_set(err, -EINVAL, "%u sequence lengths; at most %u are possible",
				      o->num_seq_lens, QEFF_COMPILE_MAX_SEQ_LENS);
	for (uint32_t i = 0; i < o->num_seq_lens; i++)
		if (!o->seq_lens[i])
			return qeff_error_set(err, -EINVAL, "a sequence length is at least 1");
	if (o->include_sampler && o->num_speculative_tokens.count)
		return qeff_error_set(err, -EINVAL,
				      "include_sampler and num_speculative_tokens do not go "
				      "together: guesses are judged by their logits");
	if (o->prefill_only &&
	    (o->num_speculative_tokens.count || o->comp_ctx_lengths_decode.count))
		return qeff_error_set(err, -EINVAL,
				      "prefill_only has no decode step, which %s is for",
				      o->num_speculative_tokens.count ? "num_speculative_tokens"
								      : "comp_ctx_lengths_decode");
	if (o->enable_chunking && !o->prefill_only)
		return qeff_error_set(err, -EINVAL, "enable_chunking is for prefill_only");
	if (!o->include_sampler &&
	    (o->max_top_k_ids || o->include_guided_decoding || o->return_pdfs))
		return qeff_error_set(err, -EINVAL, "%s is for include_sampler",
				      o->max_top_k_ids		   ? "max_top_k_ids"
				      : o->include_guided_decoding ? "include_guided_decoding"
								   : "return_pdfs");
	if (o->num_loras > QEFF_COMPILE_MAX_LORAS)
		return qeff_error_set(err, -EINVAL, "%zu adapters; at most %u are possible",
				      o->num_loras, QEFF_COMPILE_MAX_LORAS);
	if (o->num_input_shapes > QEFF_COMPILE_MAX_INPUTS ||
	    o->num_input_values > QEFF_COMPILE_MAX_INPUTS)
		return qeff_error_set(err, -EINVAL,
				      "shapes and values are given for at most %d inputs",
				      QEFF_COMPILE_MAX_INPUTS);
	rc = check_numbers("comp_ctx_lengths_prefill", &o->comp_ctx_lengths_prefill, err);
	if (!rc)
		rc = check_numbers("comp_ctx_lengths_decode", &o->comp_ctx_lengths_decode, err);
	if (!rc)
		rc = check_numbers("num_speculative_tokens", &o->num_speculative_tokens, err);
	if (!rc)
		rc = check_batches(o, err);
	if (rc)
		return rc;
	if (o->num_devices > 1)
		return qeff_error_set(
			err, -ENOTSUP,
			"num_devices is %u; a program of this version runs on one card",
			o->num_devices);
	if ((unsigned int)o->pooling > QEFF_COMPILE_POOLING_LAST)
		return qeff_error_set(err, -EINVAL, "pooling %d is unknown", (int)o->pooling);
	if ((unsigned int)o->normalize > QEFF_COMPILE_NORMALIZE_YES)
		return qeff_error_set(err, -EINVAL, "normalize %d is unknown", (int)o->normalize);
	if ((unsigned int)o->precision > QEFF_COMPILE_INT8)
		return qeff_error_set(
			err, -EINVAL,
			"precision %d is unknown; fp32, fp16, bf16 and int8 are possible",
			(int)o->precision);
	return 0;
}

static uint32_t at_most(uint32_t value, uint32_t limit)
{
	return value < limit ? value : limit;
}

/* Longest first: a runtime that knows nothing of specialisations runs the first, with the largest
 * buffers. */
static int compare_specs(const void *a, const void *b)
{
	const struct compile_spec *x = a, *y = b;

	return x->seq < y->seq ? 1 : x->seq > y->seq ? -1 : 0;
}

static int settle_seq_lens(const struct qeff_compile_options *o, const struct qeff_model_info *info,
			   struct compile_plan *plan, struct qeff_error *err)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < o->num_seq_lens; i++) {
		int rc = qeff_compile_check_positions(info, "seq_len", o->seq_lens[i], err);

		if (rc)
			return rc;
		plan->specs[plan->num_specs++] =
			(struct compile_spec){ .batch = plan->batch, .seq = o->seq_lens[i] };
	}
	if (!plan->num_specs)
		plan->specs[plan->num_specs++] =
			(struct compile_spec){ .batch = plan->batch,
					       .seq = at_most(QEFF_COMPILE_DEFAULT_SEQ_LEN,
							      info->max_positions) };
	qsort(plan->specs, plan->num_specs, sizeof(plan->specs[0]), compare_specs);
	for (uint32_t i = 0; i < plan->num_specs; i++)
		if (!i || plan->specs[i].seq != plan->specs[count - 1].seq)
			plan->specs[count++] = plan->specs[i];
	plan->num_specs = count;
	return 0;
}

/* The first option given that only makes sense with a KV cache, or NULL. */
static const char *wants_cache(const struct qeff_compile_options *o)
{
	return o->prefill_seq_len		   ? "prefill_seq_len"
	       : o->ctx_len			   ? "ctx_len"
	       : o->full_batch_size		   ? "full_batch_size"
	       : o->kv_cache_batch_size		   ? "kv_cache_batch_size"
	       : o->comp_ctx_lengths_prefill.count ? "comp_ctx_lengths_prefill"
	       : o->comp_ctx_lengths_decode.count  ? "comp_ctx_lengths_decode"
	       : o->num_speculative_tokens.count   ? "num_speculative_tokens"
	       : o->mxint8_kv_cache		   ? "mxint8_kv_cache"
	       : o->include_sampler		   ? "include_sampler"
	       : o->prefill_only		   ? "prefill_only"
	       : o->num_replicate_kv_heads > 1	   ? "num_replicate_kv_heads"
	       : o->num_kv_blocks		   ? "num_kv_blocks"
						   : NULL;
}

static int settle_decoder(const struct qeff_compile_options *o, const struct qeff_model_info *info,
			  struct compile_plan *plan, struct qeff_error *err)
{
	uint32_t ctx = o->ctx_len;
	int rc;

	if (o->pooling > QEFF_COMPILE_POOLING_NONE || o->normalize == QEFF_COMPILE_NORMALIZE_YES)
		return qeff_error_set(err, -EINVAL,
				      "%s generates text; pooling and normalize are for encoders",
				      info->architecture);
	if (o->specializations)
		return 0;
	if (o->num_seq_lens && wants_cache(o))
		return qeff_error_set(err, -EINVAL,
				      "seq_len compiles a decoder without KV cache; it does not go "
				      "with %s",
				      wants_cache(o));
	if (o->num_seq_lens) {
		rc = settle_seq_lens(o, info, plan, err);
		plan->positions = plan->specs[0].seq;
		return rc;
	}
	plan->kv_cache = true;
	if (!ctx)
		ctx = at_most(QEFF_COMPILE_DEFAULT_CTX_LEN, info->max_positions);
	rc = qeff_compile_check_positions(info, "ctx_len", ctx, err);
	if (rc)
		return rc;
	plan->positions = ctx;
	return qeff_compile_decoder_specs(o, info, plan, err);
}

static int settle_encoder(const struct qeff_compile_options *o,
			  const struct qeff_checkpoint *checkpoint,
			  const struct qeff_model_info *info, struct compile_plan *plan,
			  struct qeff_error *err)
{
	static const char *const modes[] = {
		[QEFF_COMPILE_POOLING_NONE] = NULL,   [QEFF_COMPILE_POOLING_MEAN] = "mean",
		[QEFF_COMPILE_POOLING_CLS] = "cls",   [QEFF_COMPILE_POOLING_MAX] = "max",
		[QEFF_COMPILE_POOLING_LAST] = "last",
	};
	const struct qeff_checkpoint_pooling *pooling = qeff_checkpoint_pooling(checkpoint);

	if (wants_cache(o))
		return qeff_error_set(err, -EINVAL,
				      "%s has no KV cache; %s is for models that generate text",
				      info->architecture, wants_cache(o));
	if (info->task == QEFF_MODEL_CLASSIFIER) {
		if (o->pooling > QEFF_COMPILE_POOLING_NONE ||
		    o->normalize == QEFF_COMPILE_NORMALIZE_YES)
			return qeff_error_set(err, -EINVAL,
					      "%s classifies; pooling and normalize are for "
					      "encoders without a head",
					      info->architecture);
		return o->specializations ? 0 : settle_seq_lens(o, info, plan, err);
	}
	if (o->pooling == QEFF_COMPILE_POOLING_DEFAULT) {
		plan->pooling = pooling->mode;
		plan->normalize = pooling->mode && pooling->normalize;
	} else {
		plan->pooling = modes[o->pooling];
	}
	if (o->normalize != QEFF_COMPILE_NORMALIZE_DEFAULT)
		plan->normalize = o->normalize == QEFF_COMPILE_NORMALIZE_YES;
	if (plan->normalize && !plan->pooling)
		return qeff_error_set(err, -EINVAL,
				      "normalize needs pooling: mean, cls, max or last%s%s",
				      pooling->unsupported ? "; " : "",
				      pooling->unsupported ? pooling->unsupported : "");
	return o->specializations ? 0 : settle_seq_lens(o, info, plan, err);
}

int qeff_compile_settle(const struct qeff_compile_options *o,
			const struct qeff_checkpoint *checkpoint,
			const struct qeff_model_info *info, struct compile_plan *plan,
			struct qeff_error *err)
{
	static const enum qeff_lower_precision precisions[] = {
		[QEFF_COMPILE_FP32] = QEFF_LOWER_FP32,
		[QEFF_COMPILE_FP16] = QEFF_LOWER_FP16,
		[QEFF_COMPILE_BF16] = QEFF_LOWER_BF16,
		[QEFF_COMPILE_INT8] = QEFF_LOWER_INT8,
	};

	*plan = (struct compile_plan){
		.precision = precisions[o->precision],
		.num_cores = o->num_cores ? o->num_cores : DEFAULT_CORES,
		.batch = o->batch_size ? o->batch_size : 1,
	};
	if (o->specializations) {
		int rc = qeff_compile_read_specs(o, info, plan, err);

		if (rc)
			return rc;
	}
	if (info->task == QEFF_MODEL_CAUSAL_LM)
		return settle_decoder(o, info, plan, err);
	return settle_encoder(o, checkpoint, info, plan, err);
}
