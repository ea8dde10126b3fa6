/* SPDX-License-Identifier: MIT */
/*
 * Queues: several inferences of one activation in flight.
 *
 * A queue owns a fixed number of slots. A slot holds the buffers of one inference, mapped: inputs
 * are written where the card reads them, and outputs are read where it wrote them, so nothing is
 * copied in between. The life of a slot:
 *
 *   qeff_queue_acquire()  ->  write inputs  ->  qeff_queue_submit()  ->  the card works
 *     -> qeff_queue_complete()  ->  read outputs  ->  submit it again, or qeff_slot_release()
 *
 * Inferences complete in the order in which they were submitted. qeff_queue_fd() gives a descriptor
 * for poll() that is readable while a completion waits to be taken.
 *
 * Threads: every function here but qeff_queue_close() may be called from any number of threads at
 * once on one queue. A slot that was acquired or completed belongs to the thread that got it (which
 * may hand it on); the functions that take a slot are for its owner, and nobody touches its buffers
 * between submission and completion. Among several threads that wait for completions, each
 * completion goes to one. A thread may be cancelled while it waits in qeff_queue_acquire(),
 * qeff_queue_submit() or qeff_queue_complete(); it then has taken nothing and submitted nothing,
 * and what it held comes back when the queue is closed.
 *
 * Timeouts are in milliseconds: 0 does not wait, a negative one waits for ever.
 */
#ifndef QEFF_QUEUE_H
#define QEFF_QUEUE_H

#include <qeff/api.h>
#include <qeff/error.h>
#include <qeff/program.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* More NSPs than any card has. */
#define QEFF_MAX_NSPS 16

/**
 * struct qeff_inference_stats - what the card reports of inferences
 * @inferences: how many are counted here; 0 if the package does not report (nothing else is set
 * then but @device_us)
 * @tokens: live tokens they had
 * @device_us: microseconds the card worked
 * @num_nsps: NSPs that took part
 * @nsp: for each of them: multiply-accumulates done, and bytes of constants, state and activations
 * read and written
 */
struct qeff_inference_stats {
	uint64_t inferences;
	uint64_t tokens;
	uint64_t device_us;
	uint32_t num_nsps;
	struct {
		uint64_t macs;
		uint64_t bytes;
	} nsp[QEFF_MAX_NSPS];
};

struct qeff_queue;
/* The buffers of one inference. */
struct qeff_slot;

/**
 * struct qeff_queue_options - how to open a queue
 * @depth: number of slots, 1..1024; 0 means 2
 * @timeout_ms: an inference that takes longer has failed, and with it the activation; 0 means no
 * limit
 */
struct qeff_queue_options {
	uint32_t depth;
	uint32_t timeout_ms;
};

/**
 * qeff_queue_open - open the queue of an activation
 * @activation: an activation without a queue. If it ends first, what is in flight fails with -EPERM
 * and nothing more can be submitted; the queue is still to be closed
 * @options: or NULL for the defaults
 * @queue: receives the queue; close it with qeff_queue_close()
 * @err: why it failed, or NULL
 *
 * Allocates, maps and prepares all buffers, zeroed.
 *
 * Returns 0; -EBUSY if the activation has a queue; -EINVAL for a depth out of range; -ENOMEM;
 * -ENOSPC if an inference needs more ring elements than there are.
 */
QEFF_API int qeff_queue_open(struct qeff_activation *activation,
			     const struct qeff_queue_options *options, struct qeff_queue **queue,
			     struct qeff_error *err);

/*
 * Waits for the inferences in flight, forgets completions that nobody took, and frees the queue
 * with its slots. If the card does not finish within @timeout_ms of the options (30 seconds if
 * there is no limit), the activation is ended on the card. No other call with this queue may be
 * running. NULL is fine.
 */
QEFF_API void qeff_queue_close(struct qeff_queue *queue);

/* Number of slots. */
QEFF_API uint32_t qeff_queue_depth(const struct qeff_queue *queue);

/*
 * A descriptor for poll(): readable (POLLIN) while a completion waits. Do not read or close it.
 * From the first call on (or the first qeff_queue_complete() that does not wait), a thread waits
 * for the card; until then only who waits in qeff_queue_complete() does. A negative errno if that
 * thread cannot be started.
 */
QEFF_API int qeff_queue_fd(struct qeff_queue *queue);

/**
 * qeff_queue_acquire - get a free slot
 * @queue: the queue
 * @timeout_ms: how long to wait for one
 * @slot: receives it; its buffers hold what they last held
 * @err: why it failed, or NULL
 *
 * Returns 0; -EAGAIN if none was free in time (take a completion: only that frees slots).
 */
QEFF_API int qeff_queue_acquire(struct qeff_queue *queue, int32_t timeout_ms,
				struct qeff_slot **slot, struct qeff_error *err);

/* Gives back a slot that is not submitted. NULL is fine. */
QEFF_API void qeff_slot_release(struct qeff_slot *slot);

/* Number of the slot, 0..depth - 1: an index for what a program keeps beside it. */
QEFF_API uint32_t qeff_slot_index(const struct qeff_slot *slot);

/**
 * qeff_slot_data - the memory of a binding
 * @slot: the slot
 * @binding: number of the binding in struct qeff_network
 *
 * The tensor lies there without gaps, row-major, in the shape of the specialisation chosen.
 *
 * Returns where, with room for dma_size_bytes of the binding; NULL for retained state, which stays
 * on the card.
 */
QEFF_API void *qeff_slot_data(const struct qeff_slot *slot, uint32_t binding);

/**
 * qeff_slot_select - choose the specialisation of the slot's next inferences
 * @slot: the slot
 * @specialisation: number of it; a slot begins with 0
 *
 * Returns 0; -EINVAL if there is no such specialisation; -EOPNOTSUPP if it is not 0 and the package
 * has no way to choose.
 */
QEFF_API int qeff_slot_select(struct qeff_slot *slot, uint32_t specialisation);

/**
 * qeff_slot_skip_outputs - say whether the outputs of the slot's next inferences are wanted
 * @slot: the slot
 * @skip: they are not; a slot begins with false
 *
 * Outputs that are skipped need not cross the bus, and hold anything afterwards. State on the card
 * and what it reports of the inference are as ever. For the parts of a long prompt.
 */
QEFF_API void qeff_slot_skip_outputs(struct qeff_slot *slot, bool skip);

/**
 * qeff_queue_submit - run an inference
 * @slot: an acquired or completed slot of the queue
 * @cookie: comes back with the completion
 * @timeout_ms: how long to wait for room in the channel's ring
 * @err: why it failed, or NULL
 *
 * Returns 0: the slot is in flight; or, with the slot as it was, -EAGAIN if the ring stayed full,
 * -EINVAL if the slot is not the caller's to submit, -EPERM or -ETIMEDOUT if the activation has
 * been lost, -ENODEV if the card is gone.
 */
QEFF_API int qeff_queue_submit(struct qeff_slot *slot, void *cookie, int32_t timeout_ms,
			       struct qeff_error *err);

/**
 * struct qeff_completion - an inference that ended
 * @slot: its slot, which belongs to the caller again
 * @cookie: as submitted
 * @status: 0; -EINVAL if an input has a value that the network cannot take; -EFAULT if the NSPs
 * report a fault of the program itself; -EIO if a transfer failed, -ETIMEDOUT if it took too long,
 * -EPERM if the activation was lost, -ENODEV if the card is gone: after any of these four the
 * activation can run nothing more. Outputs are undefined unless 0
 * @error: a sentence, if @status is not 0
 * @submitted_ns: CLOCK_MONOTONIC when it was submitted
 * @completed_ns: and when it was seen to be complete
 * @stats: what the card says of it
 */
struct qeff_completion {
	struct qeff_slot *slot;
	void *cookie;
	int status;
	struct qeff_error error;
	uint64_t submitted_ns;
	uint64_t completed_ns;
	struct qeff_inference_stats stats;
};

/**
 * qeff_queue_complete - take the oldest completion
 * @queue: the queue
 * @timeout_ms: how long to wait for one
 * @completion: receives it
 * @err: why none was taken, or NULL
 *
 * Waits as told even if nothing is in flight: another thread may submit something.
 *
 * Returns 0, also if the inference failed (see @completion->status); -EAGAIN if none came in time.
 */
QEFF_API int qeff_queue_complete(struct qeff_queue *queue, int32_t timeout_ms,
				 struct qeff_completion *completion, struct qeff_error *err);

#ifdef __cplusplus
}
#endif
#endif
