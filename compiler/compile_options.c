/* SPDX-License-Identifier: MIT */
/* Options: checked, and their defaults settled by what the model is and can. */
#include "compile.h"

#include <stdlib.h>
#include <string.h>

#define DEFAULT_CORES 16
#define MAX_BATCH     4096

int qeff_compile_check_options(const struct qeff_compile_options *o, struct qeff_error *err)
{
	if (!o->model_dir || !*o->model_dir)
		return qeff_error_set(err, -EINVAL, "no model folder was given");
	if (!o->output || !*o->output)
		return qeff_error_set(err, -EINVAL, "no package to write was given");
	if (o->num_cores > QEFF_COMPILE_MAX_CORES)
		return qeff_error_set(err, -EINVAL, "num_cores is %u; a card has 1 to %u NSPs",
				      o->num_cores, QEFF_COMPILE_MAX_CORES);
	if (o->batch_size > MAX_BATCH)
		return qeff_error_set(err, -EINVAL, "batch_size is %u; at most %u is possible",
				      o->batch_size, MAX_BATCH);
	if (o->num_seq_lens > QEFF_COMPILE_MAX_SEQ_LENS)
		return qeff_error_set(err, -EINVAL, "%u sequence lengths; at most %u are possible",
				      o->num_seq_lens, QEFF_COMPILE_MAX_SEQ_LENS);
	for (uint32_t i = 0; i < o->num_seq_lens; i++)
		if (!o->seq_lens[i])
			return qeff_error_set(err, -EINVAL, "a sequence length is at least 1");
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

static int check_positions(const struct qeff_model_info *info, const char *what, uint32_t value,
			   struct qeff_error *err)
{
	if (value <= info->max_positions)
		return 0;
	return qeff_error_set(err, -EINVAL,
			      "%s is %u, but the model has %u positions (max_position_embeddings)",
			      what, value, info->max_positions);
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
		int rc = check_positions(info, "seq_len", o->seq_lens[i], err);

		if (rc)
			return rc;
		plan->specs[plan->num_specs++] =
			(struct compile_spec){ plan->batch, o->seq_lens[i] };
	}
	if (!plan->num_specs)
		plan->specs[plan->num_specs++] =
			(struct compile_spec){ plan->batch, at_most(QEFF_COMPILE_DEFAULT_SEQ_LEN,
								    info->max_positions) };
	qsort(plan->specs, plan->num_specs, sizeof(plan->specs[0]), compare_specs);
	for (uint32_t i = 0; i < plan->num_specs; i++)
		if (!i || plan->specs[i].seq != plan->specs[count - 1].seq)
			plan->specs[count++] = plan->specs[i];
	plan->num_specs = count;
	return 0;
}

static int settle_decoder(const struct qeff_compile_options *o, const struct qeff_model_info *info,
			  struct compile_plan *plan, struct qeff_error *err)
{
	uint32_t prefill = o->prefill_seq_len, ctx = o->ctx_len;
	int rc;

	if (o->pooling > QEFF_COMPILE_POOLING_NONE || o->normalize == QEFF_COMPILE_NORMALIZE_YES)
		return qeff_error_set(err, -EINVAL,
				      "%s generates text; pooling and normalize are for encoders",
				      info->architecture);
	if (o->num_seq_lens && (prefill || ctx))
		return qeff_error_set(err, -EINVAL,
				      "seq_len compiles a decoder without KV cache; it does not go "
				      "with prefill_seq_len and ctx_len");
	if (o->num_seq_lens) {
		rc = settle_seq_lens(o, info, plan, err);
		plan->positions = plan->specs[0].seq;
		return rc;
	}
	plan->kv_cache = true;
	if (!ctx)
		ctx = at_most(QEFF_COMPILE_DEFAULT_CTX_LEN, info->max_positions);
	rc = check_positions(info, "ctx_len", ctx, err);
	if (rc)
		return rc;
	if (!prefill)
		prefill = at_most(QEFF_COMPILE_DEFAULT_PREFILL_SEQ_LEN, ctx);
	if (prefill > ctx)
		return qeff_error_set(err, -EINVAL,
				      "prefill_seq_len is %u, more than the %u positions of the "
				      "KV cache (ctx_len)",
				      prefill, ctx);
	plan->positions = ctx;
	plan->specs[plan->num_specs++] = (struct compile_spec){ plan->batch, prefill };
	if (prefill > 1)
		plan->specs[plan->num_specs++] = (struct compile_spec){ plan->batch, 1 };
	return 0;
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

	if (o->prefill_seq_len || o->ctx_len)
		return qeff_error_set(err, -EINVAL,
				      "%s has no KV cache; prefill_seq_len and ctx_len are for "
				      "models that generate text",
				      info->architecture);
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
	return settle_seq_lens(o, info, plan, err);
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
	if (info->task == QEFF_MODEL_CAUSAL_LM)
		return settle_decoder(o, info, plan, err);
	return settle_encoder(o, checkpoint, info, plan, err);
}
