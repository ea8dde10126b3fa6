/* SPDX-License-Identifier: MIT */
/* The parts of an input of fuzz_model.c. */
#ifndef QEFF_TESTS_FUZZ_MODEL_INPUT_H
#define QEFF_TESTS_FUZZ_MODEL_INPUT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define MODEL_INPUT_FRONT	6
#define MODEL_INPUT_MAX_TENSORS ((size_t)1 << 18)

/* @header: the start of model.safetensors, length included; @tensors_bytes follow it there. */
struct model_input {
	const uint8_t *config, *header;
	size_t config_bytes, header_bytes, tensors_bytes;
};

static inline struct model_input model_input_parse(const uint8_t *data, size_t size)
{
	struct model_input in = { .config = data, .header = data };
	uint32_t tensors;
	uint16_t config;

	if (size < MODEL_INPUT_FRONT)
		return in;
	memcpy(&config, data, sizeof(config));
	memcpy(&tensors, data + sizeof(config), sizeof(tensors));
	in.config = data + MODEL_INPUT_FRONT;
	in.config_bytes = config < size - MODEL_INPUT_FRONT ? config : size - MODEL_INPUT_FRONT;
	in.header = in.config + in.config_bytes;
	in.header_bytes = size - MODEL_INPUT_FRONT - in.config_bytes;
	in.tensors_bytes = tensors % (MODEL_INPUT_MAX_TENSORS + 1);
	return in;
}

#endif
