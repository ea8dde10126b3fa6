/* SPDX-License-Identifier: MIT */
/* The session: a loaded, activated package with one slot, and its inputs and outputs by name. */
#include "runtime/runtime.h"
#include "runtime/shapes.h"
#include "util/cancel.h"

#include <qeff/session.h>

#include <stdlib.h>
#include <string.h>

/**
 * struct qeff_session - see <qeff/session.h>
 * @given: shape of every input
 * @ran: the outputs are those of the last inference
 */
struct qeff_session {
	struct qeff_device *own_device;
	struct qeff_loaded_program *program;
	struct qeff_activation *activation;
	struct qeff_queue *queue;
	struct qeff_slot *slot;
	const struct qeff_network *network;
	struct qeff_given *given;
	bool ran;
	uint32_t specialisation;
	struct qeff_inference_stats last, total;
};

static int open_slot(struct qeff_session *session, const struct qeff_session_options *options,
		     struct qeff_error *err)
{
	struct qeff_queue_options queue = {
		.depth = 1,
		.timeout_ms = options ? options->timeout_ms : 0,
	};
	int ret;

	ret = qeff_program_activate(session->program, &session->activation, err);
	if (ret)
		return ret;
	ret = qeff_queue_open(session->activation, &queue, &session->queue, err);
	if (ret)
		return ret;
	session->network = qeff_program_network(session->program);
	session->given = calloc(session->network->num_inputs + 1, sizeof(*session->given));
	if (!session->given)
		return qeff_error_set(err, -ENOMEM, "no memory for a session");
	return qeff_queue_acquire(session->queue, 0, &session->slot, err);
}

int qeff_session_open(struct qeff_device *device, const char *path,
		      const struct qeff_session_options *options, struct qeff_session **out,
		      struct qeff_error *err)
{
	struct qeff_session *session;
	QEFF_NO_CANCEL;
	int ret = 0;

	session = calloc(1, sizeof(*session));
	if (!session)
		return qeff_error_set(err, -ENOMEM, "no memory for a session");
	if (!device)
		ret = qeff_device_open(NULL, &session->own_device, err);
	if (!ret)
		ret = qeff_program_load(device ? device : session->own_device, path,
					&session->program, err);
	if (!ret)
		ret = open_slot(session, options, err);
	if (ret) {
		qeff_session_close(session);
		return ret;
	}
	*out = session;
	return 0;
}

void qeff_session_close(struct qeff_session *session)
{
	QEFF_NO_CANCEL;

	if (!session)
		return;
	qeff_slot_release(session->slot);
	qeff_queue_close(session->queue);
	qeff_activation_end(session->activation);
	qeff_program_unload(session->program);
	qeff_device_close(session->own_device);
	free(session->given);
	free(session);
}

const struct qeff_qpc *qeff_session_qpc(const struct qeff_session *session)
{
	return qeff_program_qpc(session->program);
}

const struct qeff_network *qeff_session_network(const struct qeff_session *session)
{
	return session->network;
}

struct qeff_device *qeff_session_device(const struct qeff_session *session)
{
	return qeff_program_device(session->program);
}

const struct qeff_activation_info *qeff_session_activation(const struct qeff_session *session)
{
	return qeff_activation_get_info(session->activation);
}

static int find(const struct qeff_network *network, uint32_t first, uint32_t end, const char *name)
{
	for (uint32_t i = first; i < end; i++)
		if (!strcmp(network->bindings[i].name, name))
			return (int)i;
	return -ENOENT;
}

int qeff_session_find_input(const struct qeff_session *session, const char *name)
{
	return find(session->network, 0, session->network->num_inputs, name);
}

int qeff_session_find_output(const struct qeff_session *session, const char *name)
{
	return find(session->network, session->network->num_inputs,
		    qeff_network_num_bindings(session->network), name);
}

/* The number of an input or output that an application may read or write. */
static int find_usable(const struct qeff_session *session, const char *name, bool output,
		       struct qeff_error *err)
{
	int i = output ? qeff_session_find_output(session, name)
		       : qeff_session_find_input(session, name);

	if (i < 0)
		return qeff_error_set(err, i, "%s has no %s \"%.100s\"",
				      qeff_qpc_path(qeff_session_qpc(session)),
				      output ? "output" : "input", name);
	if (session->network->bindings[i].is_retained)
		return qeff_error_set(err, -EINVAL, "%.100s is state that stays on the card", name);
	if (!output && i == session->program->control)
		return qeff_error_set(err, -EINVAL, "%s is written by the session", name);
	return i;
}

static void fill_tensor(const struct qeff_session *session, uint32_t binding, const int32_t *dims,
			uint32_t num_dims, struct qeff_tensor *tensor)
{
	const struct qeff_binding *b = &session->network->bindings[binding];

	*tensor = (struct qeff_tensor){
		.name = b->name,
		.type = b->shape.type,
		.num_dims = num_dims,
		.data = qeff_slot_data(session->slot, binding),
		.size_bytes = qeff_type_size_bytes(b->shape.type),
	};
	if (num_dims)
		memcpy(tensor->dims, dims, num_dims * sizeof(*dims));
	for (uint32_t i = 0; i < num_dims; i++)
		tensor->size_bytes *= dims[i] ? (size_t)dims[i] : 1;
}

int qeff_session_input(struct qeff_session *session, const char *name, const int32_t *dims,
		       uint32_t num_dims, struct qeff_tensor *tensor, struct qeff_error *err)
{
	const struct qeff_shape *first;
	struct qeff_given *given;
	int i, ret;

	i = find_usable(session, name, false, err);
	if (i < 0)
		return i;
	given = &session->given[i];
	if (dims) {
		ret = qeff_shapes_check(session->network, (uint32_t)i, dims, num_dims, err);
		if (ret)
			return ret;
		/* A specialisation has it, so it is no longer than QEFF_MAX_DIMS. */
		given->num_dims = num_dims;
		if (num_dims)
			memcpy(given->dims, dims, num_dims * sizeof(*dims));
	} else if (!given->given) {
		first = qeff_network_shape(session->network, 0, (uint32_t)i);
		given->num_dims = first->num_dims;
		if (first->num_dims)
			memcpy(given->dims, first->dims, first->num_dims * sizeof(*first->dims));
	}
	given->given = true;
	fill_tensor(session, (uint32_t)i, given->dims, given->num_dims, tensor);
	return 0;
}

int qeff_session_set_input(struct qeff_session *session, const char *name, enum qeff_type type,
			   const int32_t *dims, uint32_t num_dims, const void *data,
			   struct qeff_error *err)
{
	struct qeff_tensor tensor;
	int i, ret;

	i = find_usable(session, name, false, err);
	if (i < 0)
		return i;
	if (session->network->bindings[i].shape.type != type)
		return qeff_error_set(err, -EINVAL, "%.100s is %s, not %s", name,
				      qeff_type_name(session->network->bindings[i].shape.type),
				      qeff_type_name(type));
	ret = qeff_session_input(session, name, dims, num_dims, &tensor, err);
	if (ret)
		return ret;
	memcpy(tensor.data, data, tensor.size_bytes);
	return 0;
}

static int check_given(const struct qeff_session *session, struct qeff_error *err)
{
	for (uint32_t i = 0; i < session->network->num_inputs; i++)
		if (!session->given[i].given && !session->network->bindings[i].is_retained &&
		    (int)i != session->program->control)
			return qeff_error_set(err, -EINVAL, "input %.100s was not given",
					      session->network->bindings[i].name);
	return 0;
}

static void add_stats(struct qeff_inference_stats *total, const struct qeff_inference_stats *last)
{
	total->inferences += last->inferences;
	total->tokens += last->tokens;
	total->device_us += last->device_us;
	if (last->num_nsps > total->num_nsps)
		total->num_nsps = last->num_nsps;
	for (uint32_t i = 0; i < last->num_nsps; i++) {
		total->nsp[i].macs += last->nsp[i].macs;
		total->nsp[i].bytes += last->nsp[i].bytes;
	}
}

static int run(struct qeff_session *session, bool outputs, struct qeff_error *err)
{
	struct qeff_completion completion;
	uint32_t specialisation;
	int ret;

	session->ran = false;
	ret = check_given(session, err);
	if (ret)
		return ret;
	ret = qeff_shapes_choose(session->network, session->given, &specialisation, err);
	if (ret)
		return ret;
	ret = qeff_slot_select(session->slot, specialisation);
	if (ret)
		return qeff_error_set(err, ret,
				      "%s was not made by this compiler: only its first "
				      "specialisation can be run",
				      qeff_qpc_path(qeff_session_qpc(session)));
	qeff_slot_skip_outputs(session->slot, !outputs);
	ret = qeff_queue_submit(session->slot, NULL, -1, err);
	if (ret)
		return ret;
	ret = qeff_queue_complete(session->queue, -1, &completion, err);
	if (ret)
		return ret;
	if (completion.status)
		return qeff_error_set(err, completion.status, "%s", completion.error.message);
	session->specialisation = specialisation;
	session->last = completion.stats;
	add_stats(&session->total, &completion.stats);
	session->ran = outputs;
	return 0;
}

int qeff_session_run(struct qeff_session *session, struct qeff_error *err)
{
	return run(session, true, err);
}

int qeff_session_advance(struct qeff_session *session, struct qeff_error *err)
{
	return run(session, false, err);
}

int qeff_session_output(struct qeff_session *session, const char *name, struct qeff_tensor *tensor,
			struct qeff_error *err)
{
	const struct qeff_shape *shape;
	int i;

	i = find_usable(session, name, true, err);
	if (i < 0)
		return i;
	if (!session->ran)
		return qeff_error_set(
			err, -ENODATA,
			"%.100s: outputs are there after an inference that succeeded and was "
			"asked for them",
			name);
	shape = qeff_network_shape(session->network, session->specialisation, (uint32_t)i);
	fill_tensor(session, (uint32_t)i, shape->dims, shape->num_dims, tensor);
	return 0;
}

uint32_t qeff_session_specialisation(const struct qeff_session *session)
{
	return session->specialisation;
}

const struct qeff_inference_stats *qeff_session_last_stats(const struct qeff_session *session)
{
	return &session->last;
}

const struct qeff_inference_stats *qeff_session_total_stats(const struct qeff_session *session)
{
	return &session->total;
}
