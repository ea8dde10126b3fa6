/* SPDX-License-Identifier: MIT */
/* A LoRA adapter in PEFT's layout: adapter_config.json and adapter_model.safetensors. */
#ifndef QEFF_CHECKPOINT_ADAPTER_H
#define QEFF_CHECKPOINT_ADAPTER_H

#include "checkpoint/checkpoint.h"

struct qeff_adapter;

/**
 * struct qeff_adapter_pair - what a module's weight [out, in] gets added: scale * b a
 * @module: its name in the model
 * @a: [rank, in], of floats
 * @b: [out, rank], of floats
 */
struct qeff_adapter_pair {
	char *module;
	const struct qeff_checkpoint_tensor *a, *b;
	float scale;
};

/*
 * Opens the folder and pairs its tensors. A kind of adapter that is not plain LoRA (DoRA, biases,
 * modules saved whole, scales by pattern, transposed weights) is refused by the key that says so.
 *
 * Returns 0, -ENOENT, -EINVAL for malformed files, -ENOTSUP, -ENOMEM.
 */
int qeff_adapter_open(const char *path, struct qeff_adapter **adapter, struct qeff_error *err);
/* Accepts NULL. */
void qeff_adapter_close(struct qeff_adapter *adapter);

/* Live as long as the adapter. */
const struct qeff_adapter_pair *qeff_adapter_pairs(const struct qeff_adapter *adapter,
						   size_t *count);

#endif
