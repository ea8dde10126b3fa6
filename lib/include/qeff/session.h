/* SPDX-License-Identifier: MIT */
/*
 * Sessions: the simple way to run a package. A session loads and activates it, finds inputs and
 * outputs by name, and runs one inference at a time:
 *
 *   qeff_session_open(NULL, "bert.qpc", NULL, &session, &err);
 *   qeff_session_input(session, "input_ids", (int32_t[]){ 1, 32 }, 2, &ids, &err);
 *   memcpy(ids.data, tokens, ids.size_bytes);
 *   ...
 *   qeff_session_run(session, &err);
 *   qeff_session_output(session, "last_hidden_state", &hidden, &err);
 *
 * The shapes given to the inputs choose the specialisation. Retained state is on the card and stays
 * there: nothing has to be done for it.
 *
 * Threads: a session is for one thread at a time, which need not be the same one always. Any number
 * of sessions may be used at once, on one card as well. A thread that is cancelled in
 * qeff_session_run() ends within about a second, or with the inference if that is sooner; the
 * session can then only be closed.
 */
#ifndef QEFF_SESSION_H
#define QEFF_SESSION_H

#include <qeff/api.h>
#include <qeff/device.h>
#include <qeff/error.h>
#include <qeff/program.h>
#include <qeff/qpc.h>
#include <qeff/queue.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Largest rank of a tensor. */
#define QEFF_MAX_DIMS 16

/* Name of the input that a session writes by itself: it tells the card the specialisation. */
#define QEFF_CONTROL_BINDING "qeff.control"

/**
 * struct qeff_tensor - an input or output of a session, where the card reads or writes it
 * @name: name of the binding; lives as long as the session
 * @type: element type
 * @num_dims: rank
 * @dims: the dimensions, outermost first
 * @data: first element; row-major, without gaps. Lives as long as the session
 * @size_bytes: bytes of the tensor
 */
struct qeff_tensor {
	const char *name;
	enum qeff_type type;
	uint32_t num_dims;
	int32_t dims[QEFF_MAX_DIMS];
	void *data;
	size_t size_bytes;
};

/**
 * struct qeff_session_options - how to open a session
 * @timeout_ms: an inference that takes longer has failed; 0 means no limit
 */
struct qeff_session_options {
	uint32_t timeout_ms;
};

struct qeff_session;

/**
 * qeff_session_open - load and activate a package
 * @device: the card, which stays open by itself while the session lives; NULL for the default one
 * @path: a package file, or a folder that holds programqpc.bin
 * @options: or NULL for the defaults
 * @session: receives the session; close it with qeff_session_close()
 * @err: why it failed, or NULL
 *
 * Returns 0, or what qeff_device_open(), qeff_program_load(), qeff_program_activate() and
 * qeff_queue_open() return.
 */
QEFF_API int qeff_session_open(struct qeff_device *device, const char *path,
			       const struct qeff_session_options *options,
			       struct qeff_session **session, struct qeff_error *err);

/* Ends it and returns everything to the card. NULL is fine. */
QEFF_API void qeff_session_close(struct qeff_session *session);

/* What it stands on; all live as long as the session. The network lists bindings and
 * specialisations; qeff_qpc_segment() finds what else the package carries. */
QEFF_API const struct qeff_qpc *qeff_session_qpc(const struct qeff_session *session);
QEFF_API const struct qeff_network *qeff_session_network(const struct qeff_session *session);
QEFF_API struct qeff_device *qeff_session_device(const struct qeff_session *session);
QEFF_API const struct qeff_activation_info *
qeff_session_activation(const struct qeff_session *session);

/* Number (in the network's bindings) of the input or output of that name, or -ENOENT. */
QEFF_API int qeff_session_find_input(const struct qeff_session *session, const char *name);
QEFF_API int qeff_session_find_output(const struct qeff_session *session, const char *name);

/**
 * qeff_session_input - say the shape of an input and get its memory
 * @session: the session
 * @name: name of the input
 * @dims: its shape from now on; NULL leaves it as it is (at first, that of specialisation 0)
 * @num_dims: rank
 * @tensor: receives type, shape and where to write the elements
 * @err: why it failed, or NULL
 *
 * Shape and contents stay until they are changed: an input that is the same for all inferences is
 * written once. Until its first qeff_session_input() or qeff_session_set_input() an input is
 * missing, and qeff_session_run() refuses to run.
 *
 * Returns 0; -ENOENT if there is no such input; -EINVAL if no specialisation has that shape (the
 * sentence lists those there are) or if it is retained state.
 */
QEFF_API int qeff_session_input(struct qeff_session *session, const char *name, const int32_t *dims,
				uint32_t num_dims, struct qeff_tensor *tensor,
				struct qeff_error *err);

/**
 * qeff_session_set_input - copy a tensor into an input
 * @session: the session
 * @name: name of the input
 * @type: element type of @data, which must be that of the input
 * @dims: shape
 * @num_dims: rank
 * @data: the elements, row-major
 * @err: why it failed, or NULL
 *
 * Otherwise as qeff_session_input().
 */
QEFF_API int qeff_session_set_input(struct qeff_session *session, const char *name,
				    enum qeff_type type, const int32_t *dims, uint32_t num_dims,
				    const void *data, struct qeff_error *err);

/**
 * qeff_session_run - run one inference and wait for it
 * @session: the session
 * @err: why it failed, or NULL
 *
 * Runs the first specialisation in which all inputs have the shapes they were given.
 *
 * Returns 0; -EINVAL if an input is missing, no specialisation fits (the sentence lists those there
 * are), or an input has a value that the network cannot take (the sentence says which); else as the
 * status of struct qeff_completion.
 */
QEFF_API int qeff_session_run(struct qeff_session *session, struct qeff_error *err);

/**
 * qeff_session_advance - run one inference for what it does to the state on the card alone
 * @session: the session
 * @err: why it failed, or NULL
 *
 * As qeff_session_run(), but the outputs need not cross the bus, and there are none to be had.
 */
QEFF_API int qeff_session_advance(struct qeff_session *session, struct qeff_error *err);

/**
 * qeff_session_output - an output of the last inference
 * @session: the session
 * @name: name of the output
 * @tensor: receives type, shape in the specialisation that ran, and the elements; they hold until
 * the next qeff_session_run()
 * @err: why it failed, or NULL
 *
 * Returns 0; -ENOENT if there is no such output; -EINVAL if it is retained state; -ENODATA if no
 * inference has succeeded since the last failure, or the last one was qeff_session_advance().
 */
QEFF_API int qeff_session_output(struct qeff_session *session, const char *name,
				 struct qeff_tensor *tensor, struct qeff_error *err);

/* Specialisation of the last qeff_session_run(). */
QEFF_API uint32_t qeff_session_specialisation(const struct qeff_session *session);

/* What the card reports of the last inference, and of all of this session added up. */
QEFF_API const struct qeff_inference_stats *
qeff_session_last_stats(const struct qeff_session *session);
QEFF_API const struct qeff_inference_stats *
qeff_session_total_stats(const struct qeff_session *session);

#ifdef __cplusplus
}
#endif
#endif
