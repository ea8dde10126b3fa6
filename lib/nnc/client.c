/* SPDX-License-Identifier: MIT */
/* The client's calls: message, exchange, reply, errno. */
#include "nnc/client.h"

#include "nnc/user.h"
#include "util/bytes.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

#define TRIES 5

static_assert(QEFF_NNC_NAME_BYTES == 64, "names are cut by copy_name()");

static void copy_name(char *field, const char *name)
{
	memset(field, 0, QEFF_NNC_NAME_BYTES);
	if (name)
		memcpy(field, name, strnlen(name, QEFF_NNC_NAME_BYTES - 1));
}

static void pause_ms(uint32_t ms)
{
	struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000 };

	while (nanosleep(&t, &t) && errno == EINTR)
		;
}

/*
 * struct exchange - one L3 command and its response
 * @what: names it in messages
 * @response_type: the type the response must have
 * @response: the response is copied here
 * @response_bytes: its layout's size; a shorter response is refused
 * @status_offset: of the status in it
 */
struct exchange {
	const char *what;
	uint32_t response_type;
	void *response;
	size_t response_bytes;
	size_t status_offset;
};

/* Sends @m, which becomes the reply, and takes the response out of it. */
static int exchange_once(const struct qeff_nnc_client *client, struct qeff_user_message *m,
			 const struct exchange *x, struct qeff_error *err)
{
	struct qeff_error sent = { 0 };
	struct qeff_transaction t;
	int32_t status;
	uint32_t type;
	int manage_rc, rc;

	manage_rc = client->manage(client->user, m->data, &m->size_bytes, &m->count, &sent);
	/* -ECANCELED says that the reply bears a status; the status tells more than the errno. */
	if (manage_rc && manage_rc != -ECANCELED)
		return qeff_error_set(err, manage_rc, "%s: %s", x->what,
				      sent.code ? sent.message : "the control channel failed");
	rc = qeff_user_find(m, QEFF_PASSTHROUGH_FROM_DEV, QEFF_PASSTHROUGH_TO_USR, &t, err);
	if (rc)
		return qeff_error_set(err, manage_rc ? manage_rc : -EPROTO,
				      "%s: the card's reply holds no response", x->what);
	t.data += QEFF_TRANSACTION_HEADER_BYTES;
	t.size_bytes -= QEFF_TRANSACTION_HEADER_BYTES;
	if (t.size_bytes < 8)
		return qeff_error_set(err, -EPROTO, "%s: a response of %u bytes", x->what,
				      t.size_bytes);
	type = qeff_get_u32(t.data);
	if (type != x->response_type)
		return qeff_error_set(
			err, -EPROTO, "%s: the response is of type %u, expected %u (%s)", x->what,
			type, x->response_type, qeff_nnc_command_name(x->response_type));
	if (t.size_bytes < x->response_bytes) {
		/* Firmware that knows only the type of the request answers with {type, status}. */
		status = (int32_t)qeff_get_u32(t.data + 4);
		if (t.size_bytes < 16 && status < 0)
			return qeff_nnc_status_error(status, x->what, err);
		return qeff_error_set(err, -EPROTO, "%s: a response of %u bytes, expected %zu",
				      x->what, t.size_bytes, x->response_bytes);
	}
	memcpy(x->response, t.data, x->response_bytes);
	status = (int32_t)qeff_get_u32(t.data + x->status_offset);
	if (status)
		return qeff_nnc_status_error(status, x->what, err);
	return manage_rc ? qeff_error_set(err, manage_rc, "%s: %s", x->what,
					  sent.code ? sent.message : "refused by the card")
			 : 0;
}

/* The same, repeated while a subsystem of the card restarts. On success @m holds the reply. */
static int exchange(const struct qeff_nnc_client *client, struct qeff_user_message *m,
		    const struct exchange *x, struct qeff_error *err)
{
	struct qeff_user_message request = *m;
	int rc = 0;

	for (int i = 0; i < TRIES; i++) {
		if (i) {
			pause_ms(client->retry_ms ? client->retry_ms : 1000);
			*m = request;
		}
		rc = exchange_once(client, m, x, err);
		if (rc != -EAGAIN)
			break;
	}
	return rc;
}

/* A command without further transactions. */
static int command(const struct qeff_nnc_client *client, const void *request, size_t request_bytes,
		   const struct exchange *x, struct qeff_error *err)
{
	struct qeff_user_message m;
	int rc;

	qeff_user_begin(&m);
	rc = qeff_user_add_passthrough(&m, request, request_bytes, err);
	return rc ? rc : exchange(client, &m, x, err);
}

/* A command whose data the card reads from this process. */
static int command_with_data(const struct qeff_nnc_client *client, const void *request,
			     size_t request_bytes, uint32_t tag, const void *data,
			     uint64_t data_bytes, const struct exchange *x, struct qeff_error *err)
{
	struct qeff_user_message m;
	int rc;

	qeff_user_begin(&m);
	rc = qeff_user_add_passthrough(&m, request, request_bytes, err);
	if (!rc)
		rc = qeff_user_add_dma_xfer(&m, tag, (uintptr_t)data, data_bytes, err);
	return rc ? rc : exchange(client, &m, x, err);
}

int qeff_nnc_query_link(const struct qeff_nnc_client *client, struct qeff_nnc_link *link,
			struct qeff_error *err)
{
	struct qeff_user_status_reply reply;
	struct qeff_user_message m;
	struct qeff_transaction t;
	int rc;

	qeff_user_begin(&m);
	rc = qeff_user_add_status(&m, err);
	if (!rc)
		rc = client->manage(client->user, m.data, &m.size_bytes, &m.count, err);
	if (!rc)
		rc = qeff_user_find(&m, QEFF_STATUS_FROM_DEV, QEFF_STATUS_TO_USR, &t, err);
	if (rc)
		return rc;
	if (!qeff_transaction_copy(&t, &reply, sizeof(reply)))
		return qeff_error_set(err, -EPROTO,
				      "link status: a reply of %u bytes, expected %zu",
				      t.size_bytes, sizeof(reply));
	if (reply.status)
		return qeff_nnc_status_error((int32_t)reply.status, "link status", err);
	*link = (struct qeff_nnc_link){ .major = reply.major,
					.minor = reply.minor,
					.flags = reply.flags };
	return 0;
}

int qeff_nnc_query_status(const struct qeff_nnc_client *client, struct qeff_nnc_status_resp *status,
			  struct qeff_error *err)
{
	const struct qeff_nnc_status_req request = { .type = QEFF_NNC_STATUS };
	const struct exchange x = {
		.what = "card status",
		.response_type = QEFF_NNC_STATUS_RESP,
		.response = status,
		.response_bytes = sizeof(*status),
		.status_offset = offsetof(struct qeff_nnc_status_resp, status),
	};
	int rc = command(client, &request, sizeof(request), &x, err);

	if (!rc && status->format_version < QEFF_NNC_STATUS_FORMAT)
		return qeff_error_set(
			err, -EPROTONOSUPPORT,
			"card status: the firmware reports in format %u, at least %u is "
			"needed",
			status->format_version, QEFF_NNC_STATUS_FORMAT);
	return rc;
}

int qeff_nnc_query_resources(const struct qeff_nnc_client *client,
			     struct qeff_nnc_resources *resources, struct qeff_error *err)
{
	const struct qeff_nnc_resource_info_req request = {
		.type = QEFF_NNC_RESOURCE_INFO,
		.process_id = (uint32_t)getpid(),
		.resource_group = -1,
	};
	struct qeff_nnc_resource_info_resp response;
	const struct exchange x = {
		.what = "card resources",
		.response_type = QEFF_NNC_RESOURCE_INFO_RESP,
		.response = &response,
		.response_bytes = sizeof(response),
		.status_offset = offsetof(struct qeff_nnc_resource_info_resp, status),
	};
	int rc = command(client, &request, sizeof(request), &x, err);

	if (!rc)
		*resources = response.resources;
	return rc;
}

int qeff_nnc_query_performance(const struct qeff_nnc_client *client,
			       struct qeff_nnc_performance *performance, struct qeff_error *err)
{
	const struct qeff_nnc_performance_info_req request = {
		.type = QEFF_NNC_PERFORMANCE_INFO,
		.process_id = (uint32_t)getpid(),
	};
	struct qeff_nnc_performance_info_resp response;
	const struct exchange x = {
		.what = "card clocks",
		.response_type = QEFF_NNC_PERFORMANCE_INFO_RESP,
		.response = &response,
		.response_bytes = sizeof(response),
		.status_offset = offsetof(struct qeff_nnc_performance_info_resp, status),
	};
	int rc = command(client, &request, sizeof(request), &x, err);

	if (!rc)
		*performance = response.performance;
	return rc;
}

/* The constants area is made from the descriptor. */
static int constants_begin(const struct qeff_nnc_client *client, const struct qeff_nnc_constants *c,
			   uint32_t *constants_id, struct qeff_error *err)
{
	struct {
		struct qeff_nnc_load_constants_ex_req request;
		uint8_t descriptor[256];
	} command_bytes = { 0 };
	struct qeff_nnc_load_constants_resp response;
	const struct exchange x = {
		.what = "load constants",
		.response_type = QEFF_NNC_LOAD_CONSTANTS_RESP,
		.response = &response,
		.response_bytes = sizeof(response),
		.status_offset = offsetof(struct qeff_nnc_load_constants_resp, status),
	};
	int rc;

	if (c->descriptor_bytes > sizeof(command_bytes.descriptor))
		return qeff_error_set(
			err, -EINVAL,
			"load constants: the descriptor has %u bytes, at most %zu expected",
			c->descriptor_bytes, sizeof(command_bytes.descriptor));
	command_bytes.request.type = QEFF_NNC_LOAD_CONSTANTS_EX;
	command_bytes.request.process_id = (uint32_t)getpid();
	command_bytes.request.descriptor_length = c->descriptor_bytes;
	copy_name(command_bytes.request.name, c->name);
	memcpy(command_bytes.descriptor, c->descriptor, c->descriptor_bytes);
	rc = command(client, &command_bytes,
		     sizeof(command_bytes.request) + ((c->descriptor_bytes + 7u) & ~7u), &x, err);
	if (!rc)
		*constants_id = response.constants_id;
	return rc;
}

static int constants_payload(const struct qeff_nnc_client *client, uint32_t constants_id,
			     const void *data, uint64_t size_bytes, uint64_t offset,
			     struct qeff_error *err)
{
	const struct qeff_nnc_load_constants_payload_req request = {
		.type = QEFF_NNC_LOAD_CONSTANTS_PAYLOAD,
		.process_id = (uint32_t)getpid(),
		.tag = QEFF_NNC_TAG_CONSTANTS,
		.constants_id = constants_id,
		.data_length = size_bytes,
		.offset = offset,
	};
	struct qeff_nnc_load_constants_resp response;
	const struct exchange x = {
		.what = "load constants (payload)",
		.response_type = QEFF_NNC_LOAD_CONSTANTS_RESP,
		.response = &response,
		.response_bytes = sizeof(response),
		.status_offset = offsetof(struct qeff_nnc_load_constants_resp, status),
	};

	if (!size_bytes)
		return 0;
	return command_with_data(client, &request, sizeof(request), QEFF_NNC_TAG_CONSTANTS, data,
				 size_bytes, &x, err);
}

int qeff_nnc_load_constants(const struct qeff_nnc_client *client,
			    const struct qeff_nnc_constants *constants, uint32_t *constants_id,
			    struct qeff_error *err)
{
	uint32_t id;
	int rc;

	rc = constants_begin(client, constants, &id, err);
	if (rc)
		return rc;
	rc = constants_payload(client, id, constants->static_data, constants->static_bytes, 0, err);
	if (!rc)
		rc = constants_payload(client, id, constants->dynamic_data,
				       constants->dynamic_bytes, constants->dynamic_offset, err);
	if (rc)
		qeff_nnc_unload_constants(client, id, NULL);
	else
		*constants_id = id;
	return rc;
}

static int unload(const struct qeff_nnc_client *client, const char *what, uint32_t type,
		  uint32_t id, struct qeff_error *err)
{
	const struct qeff_nnc_unload_req request = { .type = type, .id = id };
	struct qeff_nnc_result_resp response;
	const struct exchange x = {
		.what = what,
		.response_type = type + 1,
		.response = &response,
		.response_bytes = sizeof(response),
		.status_offset = offsetof(struct qeff_nnc_result_resp, status),
	};

	return command(client, &request, sizeof(request), &x, err);
}

int qeff_nnc_unload_constants(const struct qeff_nnc_client *client, uint32_t constants_id,
			      struct qeff_error *err)
{
	return unload(client, "unload constants", QEFF_NNC_UNLOAD_CONSTANTS, constants_id, err);
}

int qeff_nnc_unload_elf(const struct qeff_nnc_client *client, uint32_t elf_id,
			struct qeff_error *err)
{
	return unload(client, "unload program", QEFF_NNC_UNLOAD_ELF, elf_id, err);
}

int qeff_nnc_load_elf(const struct qeff_nnc_client *client, const struct qeff_nnc_elf *elf,
		      uint32_t *elf_id, struct qeff_error *err)
{
	struct qeff_nnc_load_elf_req request = {
		.type = QEFF_NNC_LOAD_ELF,
		.tag = QEFF_NNC_TAG_ELF,
		.process_id = (uint32_t)getpid(),
		.metadata_crc = elf->metadata_crc,
		.data_length = elf->size_bytes,
		.metadata_fb_crc = elf->metadata_fb_crc,
	};
	struct qeff_nnc_load_elf_resp response;
	const struct exchange x = {
		.what = "load program",
		.response_type = QEFF_NNC_LOAD_ELF_RESP,
		.response = &response,
		.response_bytes = sizeof(response),
		.status_offset = offsetof(struct qeff_nnc_load_elf_resp, status),
	};
	int rc;

	copy_name(request.name, elf->name);
	rc = command_with_data(client, &request, sizeof(request), QEFF_NNC_TAG_ELF, elf->data,
			       elf->size_bytes, &x, err);
	if (!rc)
		*elf_id = response.elf_id;
	return rc;
}

/* The driver's own part of the reply must agree with the firmware's. */
static int check_channel(const struct qeff_user_message *m, const struct qeff_nnc_activate_resp *r,
			 struct qeff_error *err)
{
	struct qeff_user_activate_reply reply;
	struct qeff_transaction t;
	int rc;

	rc = qeff_user_find(m, QEFF_ACTIVATE_FROM_DEV, QEFF_ACTIVATE_FROM_DEV, &t, err);
	if (rc)
		return rc;
	if (!qeff_transaction_copy(&t, &reply, sizeof(reply)) || reply.status ||
	    reply.dbc_id > 15 || reply.dbc_id != r->virtual_channel_id)
		return qeff_error_set(
			err, -EPROTO,
			"activate: virtual channel %u and DMA bridge channel %u, expected "
			"the same below 16",
			r->virtual_channel_id, reply.dbc_id);
	return 0;
}

int qeff_nnc_activate(const struct qeff_nnc_client *client, uint32_t constants_id, uint32_t elf_id,
		      uint32_t queue_size, struct qeff_nnc_activation *activation,
		      struct qeff_error *err)
{
	const struct qeff_nnc_activate_req request = {
		.type = QEFF_NNC_ACTIVATE,
		.process_id = (uint32_t)getpid(),
		.constants_id = constants_id,
		.elf_id = elf_id,
		.reservation_id = -1,
		.opt_vc_setup = 1,
		.vc_reservation_id = -1,
		.initial_state = 1,
	};
	struct qeff_nnc_activate_resp response;
	const struct exchange x = {
		.what = "activate",
		.response_type = QEFF_NNC_ACTIVATE_RESP,
		.response = &response,
		.response_bytes = sizeof(response),
		.status_offset = offsetof(struct qeff_nnc_activate_resp, status),
	};
	struct qeff_user_message m;
	int rc;

	qeff_user_begin(&m);
	rc = qeff_user_add_passthrough(&m, &request, sizeof(request), err);
	if (!rc)
		rc = qeff_user_add_activate(&m, queue_size, 0, err);
	if (!rc)
		rc = exchange(client, &m, &x, err);
	if (rc)
		return rc;
	*activation = (struct qeff_nnc_activation){
		.activation_id = response.activation_id,
		.dbc_id = response.virtual_channel_id,
		.ddr_base = response.ddr_base,
		.dynamic_ddr_base = response.dynamic_ddr_base,
		.mcid_base = response.mcid_base,
		.nsp_mask = response.nsp_mask,
	};
	rc = check_channel(&m, &response, err);
	if (rc)
		qeff_nnc_deactivate(client, activation, NULL);
	return rc;
}

int qeff_nnc_deactivate(const struct qeff_nnc_client *client,
			const struct qeff_nnc_activation *activation, struct qeff_error *err)
{
	const struct qeff_nnc_deactivate_req request = {
		.type = QEFF_NNC_DEACTIVATE,
		.activation_id = activation->activation_id,
		.opt_vc_teardown = 1,
	};
	struct qeff_nnc_result_resp response;
	const struct exchange x = {
		.what = "deactivate",
		.response_type = QEFF_NNC_DEACTIVATE_RESP,
		.response = &response,
		.response_bytes = sizeof(response),
		.status_offset = offsetof(struct qeff_nnc_result_resp, status),
	};
	struct qeff_user_message m;
	int rc;

	qeff_user_begin(&m);
	rc = qeff_user_add_passthrough(&m, &request, sizeof(request), err);
	if (!rc)
		rc = qeff_user_add_deactivate(&m, activation->dbc_id, err);
	return rc ? rc : exchange(client, &m, &x, err);
}
