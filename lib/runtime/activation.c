/* SPDX-License-Identifier: MIT */
/* Activating: a loaded program gets NSPs, memory and a DMA bridge channel, and gives them back. */
#include "runtime/runtime.h"

#include "util/cancel.h"
#include "util/log.h"

#include <inttypes.h>
#include <stdlib.h>

/* A refusal for want of NSPs or memory says little without how many there are. */
static void add_free_resources(const struct qeff_loaded_program *program, struct qeff_error *err)
{
	struct qeff_device_status status;
	struct qeff_error why;

	if (!err || qeff_device_query(program->device, &status, NULL))
		return;
	why = *err;
	qeff_error_set(err, why.code,
		       "%.300s (the program takes %" PRIu32 " NSPs; card %s has %" PRIu32
		       " of %" PRIu32 " NSPs and %" PRIu64 " of %" PRIu64 " MiB free)",
		       why.message, program->metadata->num_nsps,
		       qeff_device_get_info(program->device)->name, status.nsp_free,
		       status.nsp_total, status.ddr_free_bytes >> 20, status.ddr_total_bytes >> 20);
}

static void fill_info(struct qeff_activation *activation)
{
	const struct qeff_loaded_program *program = activation->program;

	activation->info = (struct qeff_activation_info){
		.activation_id = activation->nnc.activation_id,
		.dbc_id = activation->nnc.dbc_id,
		.num_nsps = program->metadata->num_nsps,
		.nsp_mask = activation->nnc.nsp_mask,
		.ring_elements = QEFF_RING_ELEMENTS,
		.ddr_bytes = program->metadata->static_shared_ddr_bytes +
			     program->metadata->dynamic_shared_ddr_bytes,
		.constants_bytes = program->constants.static_space_bytes +
				   program->constants.dynamic_space_bytes,
	};
	for (uint32_t i = 0; i < activation->num_transfers; i++)
		activation->info.elements_per_inference += activation->transfers[i].num_slices;
}

int qeff_program_activate(struct qeff_loaded_program *program, struct qeff_activation **out,
			  struct qeff_error *err)
{
	struct qeff_activation *activation;
	QEFF_NO_CANCEL;
	int ret;

	activation = calloc(1, sizeof(*activation));
	if (!activation)
		return qeff_error_set(err, -ENOMEM, "no memory to activate a program");
	atomic_init(&activation->owners, 1);
	pthread_mutex_init(&activation->lock, NULL);
	activation->program = qeff_program_ref(program);
	activation->ended = true;

	ret = qeff_nnc_activate(&program->client,
				program->has_constants ? program->constants_id : 0, program->elf_id,
				QEFF_RING_ELEMENTS, &activation->nnc, err);
	if (ret) {
		if (ret == -EBUSY || ret == -ENOMEM)
			add_free_resources(program, err);
		goto fail;
	}
	activation->ended = false;
	ret = qeff_activation_make_slices(activation, err);
	fill_info(activation);
	qeff_program_account(program, (int32_t)activation->info.num_nsps,
			     (int64_t)activation->info.ddr_bytes);
	if (ret)
		goto fail;
	*out = activation;
	return 0;

fail:
	qeff_activation_end(activation);
	return ret;
}

void qeff_activation_abandon(struct qeff_activation *activation)
{
	struct qeff_loaded_program *program = activation->program;
	struct qeff_error err = { 0 };

	pthread_mutex_lock(&activation->lock);
	if (!activation->ended) {
		activation->ended = true;
		if (qeff_nnc_deactivate(&program->client, &activation->nnc, &err))
			qeff_log(QEFF_LOG_WARN, "%s", err.message);
		qeff_program_account(program, -(int32_t)activation->info.num_nsps,
				     -(int64_t)activation->info.ddr_bytes);
	}
	pthread_mutex_unlock(&activation->lock);
}

void qeff_activation_put(struct qeff_activation *activation)
{
	if (atomic_fetch_sub(&activation->owners, 1) != 1)
		return;
	qeff_program_unload(activation->program);
	pthread_mutex_destroy(&activation->lock);
	qeff_activation_free_slices(activation);
	free(activation);
}

void qeff_activation_end(struct qeff_activation *activation)
{
	QEFF_NO_CANCEL;

	if (!activation)
		return;
	qeff_activation_abandon(activation);
	qeff_activation_put(activation);
}

const struct qeff_activation_info *
qeff_activation_get_info(const struct qeff_activation *activation)
{
	return &activation->info;
}

struct qeff_loaded_program *qeff_activation_program(const struct qeff_activation *activation)
{
	return activation->program;
}
