/* SPDX-License-Identifier: MIT */
/* The table of architectures: the rows of decoders, then those of encoders. */
#include "models/build.h"

const struct model_architecture *model_row(size_t index)
{
	static const struct model_architecture *const tables[] = { model_decoder_rows,
								   model_encoder_rows };

	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
		for (const struct model_architecture *row = tables[i]; row->name; row++)
			if (!index--)
				return row;
	return NULL;
}

const char *qeff_model_task_name(enum qeff_model_task task)
{
	static const char *const names[] = {
		[QEFF_MODEL_CAUSAL_LM] = "text-generation",
		[QEFF_MODEL_ENCODER] = "feature-extraction",
		[QEFF_MODEL_CLASSIFIER] = "text-classification",
	};

	return names[task];
}

const char *qeff_model_architecture(size_t index, const char **model_type,
				    enum qeff_model_task *task)
{
	const struct model_architecture *row = model_row(index);

	if (!row)
		return NULL;
	if (model_type)
		*model_type = row->model_type;
	if (task)
		*task = row->task;
	return row->name;
}
