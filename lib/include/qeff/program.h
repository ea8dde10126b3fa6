/* SPDX-License-Identifier: MIT */
/*
 * Programs on a card: loading a package, activating it, giving everything back.
 *
 * Loading puts the constants and the image of a package into the card's memory; activating takes
 * NSPs, a DMA bridge channel and memory for one instance of it. A loaded program may be activated
 * several times; the activations share its constants and nothing else. To run inferences, open a
 * queue on an activation (<qeff/queue.h>), or leave all of this to a session (<qeff/session.h>).
 *
 * Threads: every function here may be called from any number of threads at once, on one program or
 * activation as well, but that nobody may use an object that another thread is ending.
 *
 * Order: objects may be ended in any order. A program that is unloaded while activations of it are
 * alive stays on the card until the last of them ends, and so does its card stay open; an
 * activation that ends while its queue is open gives everything on the card back at once, and fails
 * what the queue has in flight.
 */
#ifndef QEFF_PROGRAM_H
#define QEFF_PROGRAM_H

#include <qeff/api.h>
#include <qeff/device.h>
#include <qeff/error.h>
#include <qeff/qpc.h>

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A package loaded on a card. */
struct qeff_loaded_program;

/**
 * qeff_program_load - load a package on a card
 * @device: the card; stays open by itself until qeff_program_unload()
 * @path: a package file, or a folder that holds programqpc.bin
 * @program: receives the program; end it with qeff_program_unload()
 * @err: why it failed, or NULL
 *
 * The package is verified first (qeff_qpc_verify()) and the card asked whether it is large enough.
 * A software card uses the mapped constants where they are instead of copying them; the file must
 * not change meanwhile.
 *
 * Returns 0; -ENOENT, -EACCES… for the file; -EINVAL for a package that is not valid, or that the
 * card refuses; -EOPNOTSUPP if a binding needs a transform on the host that this library does not
 * do; -ENOSPC if the card is too small for it; -ENOMEM if the card (or the host) has no memory
 * free; -ENODEV if the card is gone.
 */
QEFF_API int qeff_program_load(struct qeff_device *device, const char *path,
			       struct qeff_loaded_program **program, struct qeff_error *err);

/* The same for a package that is open already; it must stay open until qeff_program_unload(), and
 * until the last activation has ended. */
QEFF_API int qeff_program_load_qpc(struct qeff_device *device, struct qeff_qpc *qpc,
				   struct qeff_loaded_program **program, struct qeff_error *err);

/* Takes the program off the card, at once or with the end of its last activation. NULL is fine. */
QEFF_API void qeff_program_unload(struct qeff_loaded_program *program);

/* The package, its network descriptor and the card; all live as long as the program or an
 * activation of it. */
QEFF_API const struct qeff_qpc *qeff_program_qpc(const struct qeff_loaded_program *program);
QEFF_API const struct qeff_network *qeff_program_network(const struct qeff_loaded_program *program);
QEFF_API struct qeff_device *qeff_program_device(const struct qeff_loaded_program *program);

/* One running instance of a program. */
struct qeff_activation;

/**
 * struct qeff_activation_info - where an activation runs
 * @activation_id: the card's number for it
 * @dbc_id: its DMA bridge channel
 * @num_nsps: NSPs it occupies
 * @nsp_mask: which ones, a bit each; 0 where the card does not say
 * @ring_elements: elements of the channel's request ring
 * @elements_per_inference: elements of it that one inference takes at least
 * @ddr_bytes: device memory of this activation, without the constants
 * @constants_bytes: device memory of the constants
 */
struct qeff_activation_info {
	uint32_t activation_id;
	uint32_t dbc_id;
	uint32_t num_nsps;
	uint32_t nsp_mask;
	uint32_t ring_elements;
	uint32_t elements_per_inference;
	uint64_t ddr_bytes;
	uint64_t constants_bytes;
};

/**
 * qeff_program_activate - start an instance
 * @program: a loaded program
 * @activation: receives the instance; end it with qeff_activation_end()
 * @err: why it failed, or NULL
 *
 * Returns 0; -EBUSY if not enough NSPs or other resources are free; -ENOMEM if there is not enough
 * device memory; -EINVAL or -ENOEXEC if the card refuses the program; -ENODEV if the card is gone.
 */
QEFF_API int qeff_program_activate(struct qeff_loaded_program *program,
				   struct qeff_activation **activation, struct qeff_error *err);

/* Ends the instance: whatever it runs is cancelled, and the card has back what it took when this
 * returns. NULL is fine. */
QEFF_API void qeff_activation_end(struct qeff_activation *activation);

/* Lives as long as the activation. */
QEFF_API const struct qeff_activation_info *
qeff_activation_get_info(const struct qeff_activation *activation);

/* The program it is an instance of. */
QEFF_API struct qeff_loaded_program *
qeff_activation_program(const struct qeff_activation *activation);

#ifdef __cplusplus
}
#endif
#endif
