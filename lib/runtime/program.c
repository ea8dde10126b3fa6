/* SPDX-License-Identifier: MIT */
/* Loading: a package's constants and image go to the card, and come off it again. */
#include "runtime/runtime.h"

#include "nsp/program.h"
#include "qpc/package.h"
#include "util/cancel.h"
#include "util/checked.h"
#include "util/log.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static int manage(void *user, void *data, uint32_t *size_bytes, uint32_t *count,
		  struct qeff_error *err)
{
	struct qeff_transport *transport = user;

	return transport->ops->manage(transport, data, size_bytes, count, err);
}

static const char *program_name(const struct qeff_loaded_program *program)
{
	const char *slash;

	if (program->network->name[0])
		return program->network->name;
	slash = strrchr(qeff_qpc_path(program->qpc), '/');
	return slash ? slash + 1 : qeff_qpc_path(program->qpc);
}

/* Device memory of the constants, or of one activation without them. Sums of what the metadata
 * says; a card would refuse what overflows, so saturating is enough. */
static uint64_t saturating_sum(uint64_t a, uint64_t b)
{
	uint64_t sum;

	return qeff_add_u64(a, b, &sum) ? sum : UINT64_MAX;
}

static uint64_t constants_bytes(const struct qeff_loaded_program *program)
{
	return saturating_sum(program->constants.static_space_bytes,
			      program->constants.dynamic_space_bytes);
}

static uint64_t activation_bytes(const struct qeff_loaded_program *program)
{
	return saturating_sum(program->metadata->static_shared_ddr_bytes,
			      program->metadata->dynamic_shared_ddr_bytes);
}

int qeff_network_control(const struct qeff_network *network)
{
	for (uint32_t i = 0; i < network->num_inputs; i++) {
		const struct qeff_binding *binding = &network->bindings[i];

		if (!strcmp(binding->name, QEFF_NSP_CONTROL_NAME) && !binding->is_retained &&
		    binding->dma_size_bytes >= sizeof(struct qeff_nsp_control))
			return (int)i;
	}
	return -1;
}

static int check_bindings(const struct qeff_loaded_program *program, struct qeff_error *err)
{
	const struct qeff_network *network = program->network;

	for (uint32_t i = 0; i < qeff_network_num_bindings(network); i++) {
		const struct qeff_binding *binding = &network->bindings[i];

		if (binding->needs_host_transform)
			return qeff_error_set(
				err, -EOPNOTSUPP,
				"%s: %s \"%s\" needs a transform on the host other than a copy, "
				"which this version does not do",
				qeff_qpc_path(program->qpc),
				binding->is_output ? "output" : "input", binding->name);
	}
	return 0;
}

/* A large program is not sent to a card that can never hold it. Free NSPs are the card's to judge,
 * when it is activated. */
static int check_card(const struct qeff_loaded_program *program, struct qeff_error *err)
{
	const uint64_t mib = 1 << 20;
	const char *name = qeff_device_get_info(program->device)->name;
	uint64_t constants = constants_bytes(program);
	uint64_t need = saturating_sum(constants, activation_bytes(program));
	struct qeff_device_status status;
	int ret;

	ret = qeff_device_query(program->device, &status, err);
	if (ret)
		return ret;
	if (program->metadata->num_nsps > status.nsp_total)
		return qeff_error_set(err, -ENOSPC,
				      "%s needs %" PRIu32 " NSPs, card %s has %" PRIu32,
				      qeff_qpc_path(program->qpc), program->metadata->num_nsps,
				      name, status.nsp_total);
	if (need > saturating_sum(status.ddr_total_bytes, mib))
		return qeff_error_set(err, -ENOSPC,
				      "%s needs %" PRIu64
				      " MiB of device memory, card %s has %" PRIu64 " MiB",
				      qeff_qpc_path(program->qpc), need / mib + 1, name,
				      status.ddr_total_bytes / mib);
	/* The card counts in whole MiB: one more may be there. */
	if (constants > saturating_sum(status.ddr_free_bytes, mib))
		return qeff_error_set(err, -ENOMEM,
				      "%s needs %" PRIu64
				      " MiB of device memory for its constants, "
				      "card %s has %" PRIu64 " of %" PRIu64 " MiB free",
				      qeff_qpc_path(program->qpc), constants / mib + 1, name,
				      status.ddr_free_bytes / mib, status.ddr_total_bytes / mib);
	return 0;
}

static int load_constants(struct qeff_loaded_program *program, struct qeff_error *err)
{
	const struct qeff_transport_ops *ops = program->transport->ops;
	const struct qeff_constants *constants = &program->constants;
	const struct qeff_segment *desc =
		qeff_qpc_segment(program->qpc, QEFF_SEGMENT_CONSTANTS_DESC);
	struct qeff_nnc_constants load;
	int ret;

	if (!constants_bytes(program) || !desc)
		return 0;
	load = (struct qeff_nnc_constants){
		.name = program_name(program),
		.descriptor = desc->data,
		.descriptor_bytes = (uint32_t)desc->size_bytes,
		.static_data = constants->static_data,
		.static_bytes = constants->static_size_bytes,
		.dynamic_data = constants->dynamic_data,
		.dynamic_bytes = constants->dynamic_size_bytes,
		.dynamic_offset = constants->static_space_bytes,
	};
	if (ops->lend && constants->static_size_bytes)
		program->lent = !ops->lend(program->transport, constants->static_data,
					   constants->static_size_bytes);
	ret = qeff_nnc_load_constants(&program->client, &load, &program->constants_id, err);
	program->has_constants = !ret;
	return ret;
}

static uint32_t crc_segment(const struct qeff_qpc *qpc, const char *name)
{
	const struct qeff_segment *segment = qeff_qpc_segment(qpc, name);
	uint32_t crc = 0;

	if (segment && segment->size_bytes == sizeof(crc))
		memcpy(&crc, segment->data, sizeof(crc));
	return crc;
}

static int load_elf(struct qeff_loaded_program *program, struct qeff_error *err)
{
	const struct qeff_segment *image = qeff_qpc_segment(program->qpc, QEFF_SEGMENT_IMAGE);
	struct qeff_nnc_elf load = {
		.name = program_name(program),
		.data = image->data,
		.size_bytes = image->size_bytes,
		.metadata_crc = crc_segment(program->qpc, "metadata.crc"),
		.metadata_fb_crc = crc_segment(program->qpc, "metadata_fb.crc"),
	};
	int ret;

	ret = qeff_nnc_load_elf(&program->client, &load, &program->elf_id, err);
	program->has_elf = !ret;
	return ret;
}

static int read_package(struct qeff_loaded_program *program, struct qeff_error *err)
{
	int ret;

	ret = qeff_qpc_verify(program->qpc, err);
	if (ret)
		return ret;
	ret = qeff_qpc_network(program->qpc, &program->network, err);
	if (ret)
		return ret;
	ret = qeff_qpc_metadata(program->qpc, &program->metadata, err);
	if (ret)
		return ret;
	ret = qeff_qpc_constants(program->qpc, &program->constants, err);
	if (ret)
		return ret;
	program->control = qeff_network_control(program->network);
	return check_bindings(program, err);
}

int qeff_program_load_qpc(struct qeff_device *device, struct qeff_qpc *qpc,
			  struct qeff_loaded_program **out, struct qeff_error *err)
{
	struct qeff_loaded_program *program;
	QEFF_NO_CANCEL;
	int ret;

	program = calloc(1, sizeof(*program));
	if (!program)
		return qeff_error_set(err, -ENOMEM, "no memory to load a program");
	atomic_init(&program->owners, 1);
	pthread_mutex_init(&program->lock, NULL);
	program->device = qeff_device_ref(device);
	program->transport = qeff_device_transport(device);
	program->client = (struct qeff_nnc_client){ .manage = manage, .user = program->transport };
	program->qpc = qpc;

	ret = read_package(program, err);
	if (!ret)
		ret = check_card(program, err);
	if (!ret)
		ret = load_constants(program, err);
	if (!ret)
		ret = load_elf(program, err);
	if (ret) {
		qeff_program_unload(program);
		return ret;
	}
	program->state = qeff_state_program_loaded(device, program_name(program),
						   qeff_qpc_path(qpc), 0, constants_bytes(program));
	*out = program;
	return 0;
}

int qeff_program_load(struct qeff_device *device, const char *path,
		      struct qeff_loaded_program **program, struct qeff_error *err)
{
	struct qeff_qpc *qpc;
	QEFF_NO_CANCEL;
	int ret;

	ret = qeff_qpc_open(path, &qpc, err);
	if (ret)
		return ret;
	ret = qeff_program_load_qpc(device, qpc, program, err);
	if (ret) {
		qeff_qpc_close(qpc);
		return ret;
	}
	(*program)->own_qpc = qpc;
	return 0;
}

struct qeff_loaded_program *qeff_program_ref(struct qeff_loaded_program *program)
{
	atomic_fetch_add(&program->owners, 1);
	return program;
}

void qeff_program_unload(struct qeff_loaded_program *program)
{
	struct qeff_error err = { 0 };
	QEFF_NO_CANCEL;

	if (!program || atomic_fetch_sub(&program->owners, 1) != 1)
		return;
	qeff_state_program_unloaded(program->state);
	if (program->has_elf && qeff_nnc_unload_elf(&program->client, program->elf_id, &err))
		qeff_log(QEFF_LOG_WARN, "%s", err.message);
	if (program->has_constants &&
	    qeff_nnc_unload_constants(&program->client, program->constants_id, &err))
		qeff_log(QEFF_LOG_WARN, "%s", err.message);
	if (program->lent)
		program->transport->ops->reclaim(program->transport, program->constants.static_data,
						 program->constants.static_size_bytes);
	qeff_device_close(program->device);
	qeff_qpc_close(program->own_qpc);
	pthread_mutex_destroy(&program->lock);
	free(program);
}

void qeff_program_account(struct qeff_loaded_program *program, int32_t nsps, int64_t ddr_bytes)
{
	pthread_mutex_lock(&program->lock);
	program->nsps += (uint32_t)nsps;
	program->ddr_bytes += (uint64_t)ddr_bytes;
	qeff_state_program_changed(program->state, program->nsps,
				   saturating_sum(program->ddr_bytes, constants_bytes(program)));
	pthread_mutex_unlock(&program->lock);
}

const struct qeff_qpc *qeff_program_qpc(const struct qeff_loaded_program *program)
{
	return program->qpc;
}

const struct qeff_network *qeff_program_network(const struct qeff_loaded_program *program)
{
	return program->network;
}

struct qeff_device *qeff_program_device(const struct qeff_loaded_program *program)
{
	return program->device;
}
