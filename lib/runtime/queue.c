/* SPDX-License-Identifier: MIT */
/*
 * The queue: slots, waited for in the order of submission, and a descriptor that tells when a
 * completion can be taken. Who asks for a completion waits for the card himself, which saves a
 * change of threads per inference; if several ask, one of them does. Only who wants to poll the
 * descriptor needs a thread that waits while nobody asks, so that thread starts when the descriptor
 * is first asked for.
 *
 * Locks: submit_lock is held over an execute and the entry of its slot in the list of those in
 * flight, so that the list has the order of the ring. lock guards lists and slot states; it is
 * taken inside submit_lock and never held over a call that talks to the card.
 */
#include "runtime/runtime.h"

#include "util/cancel.h"
#include "util/log.h"

#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define DEFAULT_DEPTH 2
#define MAX_DEPTH     1024
/* How long one wait may sleep before it looks whether the queue is being closed, or its thread
 * cancelled. */
#define WAIT_STEP_MS 250
/* Patience of qeff_queue_close() where inferences have no limit. */
#define CLOSE_MS 30000
/* How soon to try again if the ring is full and nothing of ours is in flight. */
#define RING_RETRY_MS 5

struct slot_list {
	struct qeff_slot *head, *tail;
};

struct qeff_queue {
	struct qeff_activation *activation;
	uint32_t depth;
	uint32_t timeout_ms;
	int fd;
	pthread_t thread;
	bool has_thread;
	pthread_mutex_t submit_lock;
	pthread_mutex_t lock;
	pthread_cond_t changed; /* a slot changed its state, or stop or lost was set */
	struct slot_list flying, done;
	uint64_t completions;
	uint64_t idle_ns;  /* when the card finished the one before; belongs to whoever waits */
	uint64_t close_ns; /* when patience ends; 0 unless closing */
	bool waiting;	   /* somebody waits for the oldest in flight */
	bool stop;
	int lost; /* a negative errno once the activation cannot run anything any more */
	struct qeff_slot *slots;
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void push(struct slot_list *list, struct qeff_slot *slot)
{
	slot->next = NULL;
	if (list->head)
		list->tail->next = slot;
	else
		list->head = slot;
	list->tail = slot;
}

static struct qeff_slot *pop(struct slot_list *list)
{
	struct qeff_slot *slot = list->head;

	if (slot)
		list->head = slot->next;
	return slot;
}

static void unlock(void *lock)
{
	pthread_mutex_unlock(lock);
}

/* Waits for a change until @deadline_ns (UINT64_MAX: for ever); false when it is past. A thread may
 * be cancelled here, and leaves the lock free. */
static bool wait_changed(struct qeff_queue *queue, uint64_t deadline_ns)
{
	struct timespec until = { .tv_sec = (time_t)(deadline_ns / 1000000000u),
				  .tv_nsec = (long)(deadline_ns % 1000000000u) };

	if (deadline_ns != UINT64_MAX && now_ns() >= deadline_ns)
		return false;
	pthread_cleanup_push(unlock, &queue->lock);
	if (deadline_ns == UINT64_MAX)
		pthread_cond_wait(&queue->changed, &queue->lock);
	else
		pthread_cond_timedwait(&queue->changed, &queue->lock, &until);
	pthread_cleanup_pop(0);
	return true;
}

static uint64_t deadline_of(int32_t timeout_ms)
{
	return timeout_ms < 0 ? UINT64_MAX : now_ns() + (uint64_t)timeout_ms * 1000000u;
}

struct qeff_activation *qeff_slot_activation(const struct qeff_slot *slot)
{
	return slot->queue->activation;
}

/* ---- waiting for the card ---- */

/* When the inference that is now the oldest has taken too long, or the queue's closing has. */
static uint64_t patience_ends(struct qeff_queue *queue, uint64_t began_ns)
{
	uint64_t limit = UINT64_MAX;

	if (queue->timeout_ms)
		limit = began_ns + (uint64_t)queue->timeout_ms * 1000000u;
	pthread_mutex_lock(&queue->lock);
	if (queue->close_ns && queue->close_ns < limit)
		limit = queue->close_ns;
	pthread_mutex_unlock(&queue->lock);
	return limit;
}

/* What became of the other transfers of an inference whose last one is still awaited: an input that
 * failed to arrive may mean that no output will ever come. */
static int failed_so_far(struct qeff_queue *queue, const struct qeff_slot *slot,
			 struct qeff_error *err)
{
	struct qeff_transport *transport = queue->activation->program->transport;

	for (uint32_t i = 0; i + 1 < queue->activation->num_transfers; i++) {
		int ret = transport->ops->wait(transport, queue->activation->nnc.dbc_id,
					       slot->handles[i], 1, err);

		if (ret && ret != -ETIMEDOUT && ret != -EINTR)
			return ret;
	}
	return -ETIMEDOUT;
}

/* Waits for one buffer of the slot, but for no longer than a step and not past @deadline_ns:
 * -EINPROGRESS if the inference may yet end. */
static int wait_buffer(struct qeff_queue *queue, struct qeff_slot *slot, uint32_t i,
		       uint64_t began_ns, uint64_t deadline_ns, struct qeff_error *err)
{
	struct qeff_transport *transport = queue->activation->program->transport;
	uint64_t now = now_ns(), end = patience_ends(queue, began_ns);
	uint64_t until = end < deadline_ns ? end : deadline_ns;
	uint64_t left_ms = until > now ? (until - now) / 1000000u + 1 : 1;
	int ret;

	ret = transport->ops->wait(transport, queue->activation->nnc.dbc_id, slot->handles[i],
				   left_ms < WAIT_STEP_MS ? (uint32_t)left_ms : WAIT_STEP_MS, err);
	if (ret == -ETIMEDOUT)
		ret = failed_so_far(queue, slot, err);
	if (ret == -EINTR || (ret == -ETIMEDOUT && now_ns() < end))
		return -EINPROGRESS;
	if (ret == -ETIMEDOUT)
		qeff_error_set(err, ret,
			       "the card did not finish an inference within %" PRIu64 " ms",
			       (now_ns() - began_ns) / 1000000u);
	return ret;
}

/* The last one first: when it is back, the others are as a rule, and one sleep is enough. */
static int wait_buffers(struct qeff_queue *queue, struct qeff_slot *slot, uint64_t deadline_ns,
			struct qeff_error *err)
{
	uint64_t began_ns = slot->completion.submitted_ns;
	int ret = 0;

	if (began_ns < queue->idle_ns)
		began_ns = queue->idle_ns;
	for (uint32_t i = queue->activation->num_transfers; i-- > 0 && !ret;)
		ret = wait_buffer(queue, slot, i, began_ns, deadline_ns, err);
	return ret;
}

static void device_time(struct qeff_slot *slot)
{
	struct qeff_activation *activation = qeff_slot_activation(slot);
	struct qeff_transport *transport = activation->program->transport;
	struct qaic_perf_stats_entry entry = {
		.handle = slot->handles[activation->num_transfers - 1],
	};

	if (!transport->ops->stats(transport, activation->nnc.dbc_id, &entry, 1, NULL))
		slot->completion.stats.device_us = entry.device_latency_us;
}

/* Returns whether the inference has ended, one way or the other. */
static bool wait_slot(struct qeff_queue *queue, struct qeff_slot *slot, uint64_t deadline_ns)
{
	struct qeff_completion *completion = &slot->completion;
	int ret;

	ret = wait_buffers(queue, slot, deadline_ns, &completion->error);
	if (ret == -EINPROGRESS)
		return false;
	completion->completed_ns = now_ns();
	if (!ret) {
		ret = qeff_stats_read(slot, &completion->stats, &completion->error);
		if (!completion->stats.inferences)
			device_time(slot);
		if (!ret && completion->error.code) /* a step on the way has left it */
			completion->error = (struct qeff_error){ 0 };
		completion->status = ret;
		return true;
	}
	completion->status = ret;
	/* What else is in flight would wait for ever, and the rings are in an unknown state. */
	pthread_mutex_lock(&queue->lock);
	queue->lost = ret;
	pthread_mutex_unlock(&queue->lock);
	qeff_activation_abandon(queue->activation);
	return true;
}

/* Waits a step for the oldest inference in flight and, if it has ended, moves it to those done. The
 * lock is held by the caller, but not while this waits, and nobody else does meanwhile. Returns
 * whether it has ended. */
static bool finish_oldest(struct qeff_queue *queue, uint64_t deadline_ns)
{
	struct qeff_slot *slot = queue->flying.head;
	QEFF_NO_CANCEL;
	bool ended;

	queue->waiting = true;
	pthread_mutex_unlock(&queue->lock);
	ended = wait_slot(queue, slot, deadline_ns);
	if (ended) {
		queue->idle_ns = slot->completion.completed_ns;
		if (!slot->completion.status)
			qeff_state_program_updated(queue->activation->program->state, 1);
	}
	pthread_mutex_lock(&queue->lock);
	queue->waiting = false;
	if (ended) {
		pop(&queue->flying);
		if (!queue->done.head && queue->has_thread)
			eventfd_write(queue->fd, 1);
		push(&queue->done, slot);
		slot->state = QEFF_SLOT_DONE;
		queue->completions++;
	}
	pthread_cond_broadcast(&queue->changed);
	return ended;
}

/* Until something may have changed: who can, waits for the card, the others for him. False when
 * @deadline_ns is past. */
static bool wait_for_progress(struct qeff_queue *queue, uint64_t deadline_ns)
{
	if (!queue->flying.head || queue->waiting)
		return wait_changed(queue, deadline_ns);
	if (finish_oldest(queue, deadline_ns))
		return true;
	pthread_mutex_unlock(&queue->lock);
	pthread_testcancel();
	pthread_mutex_lock(&queue->lock);
	return deadline_ns == UINT64_MAX || now_ns() < deadline_ns;
}

static void *wait_for_card(void *arg)
{
	struct qeff_queue *queue = arg;

	pthread_mutex_lock(&queue->lock);
	while (queue->flying.head || !queue->stop)
		wait_for_progress(queue, UINT64_MAX);
	pthread_mutex_unlock(&queue->lock);
	return NULL;
}

/* With the lock held: from now on completions come by themselves. */
static int start_thread(struct qeff_queue *queue)
{
	sigset_t all, old;
	int ret;

	if (queue->has_thread)
		return 0;
	/* Signals are for the threads of the program, not for ours. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	ret = pthread_create(&queue->thread, NULL, wait_for_card, queue);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (ret)
		return -ret;
	queue->has_thread = true;
	if (queue->done.head)
		eventfd_write(queue->fd, 1);
	return 0;
}

/* ---- opening and closing ---- */

static int claim(struct qeff_activation *activation, struct qeff_error *err)
{
	int ret = 0;

	pthread_mutex_lock(&activation->lock);
	if (activation->ended)
		ret = qeff_error_set(err, -EPERM, "the activation has ended");
	else if (activation->has_queue)
		ret = qeff_error_set(err, -EBUSY, "the activation has a queue already");
	else
		activation->has_queue = true;
	if (!ret)
		atomic_fetch_add(&activation->owners, 1);
	pthread_mutex_unlock(&activation->lock);
	return ret;
}

static void disclaim(struct qeff_activation *activation)
{
	pthread_mutex_lock(&activation->lock);
	activation->has_queue = false;
	pthread_mutex_unlock(&activation->lock);
	qeff_activation_put(activation);
}

static int start(struct qeff_queue *queue, struct qeff_error *err)
{
	int ret;

	queue->slots = calloc(queue->depth, sizeof(*queue->slots));
	if (!queue->slots)
		return qeff_error_set(err, -ENOMEM, "no memory for a queue");
	for (uint32_t i = 0; i < queue->depth; i++) {
		struct qeff_slot *slot = &queue->slots[i];

		slot->queue = queue;
		slot->index = i;
		ret = qeff_slot_create_buffers(slot, queue->activation, err);
		if (ret)
			return ret;
	}
	queue->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (queue->fd < 0)
		return qeff_error_set(err, -errno, "no event descriptor for a queue");
	return 0;
}

int qeff_queue_open(struct qeff_activation *activation, const struct qeff_queue_options *options,
		    struct qeff_queue **out, struct qeff_error *err)
{
	uint32_t depth = options && options->depth ? options->depth : DEFAULT_DEPTH;
	pthread_condattr_t attr;
	struct qeff_queue *queue;
	QEFF_NO_CANCEL;
	int ret;

	if (depth > MAX_DEPTH)
		return qeff_error_set(err, -EINVAL, "a queue of depth %" PRIu32 "; %d is the most",
				      depth, MAX_DEPTH);
	ret = claim(activation, err);
	if (ret)
		return ret;
	queue = calloc(1, sizeof(*queue));
	if (!queue) {
		disclaim(activation);
		return qeff_error_set(err, -ENOMEM, "no memory for a queue");
	}
	queue->activation = activation;
	queue->depth = depth;
	queue->timeout_ms = options ? options->timeout_ms : 0;
	queue->fd = -1;
	pthread_mutex_init(&queue->submit_lock, NULL);
	pthread_mutex_init(&queue->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&queue->changed, &attr);
	pthread_condattr_destroy(&attr);

	ret = start(queue, err);
	if (ret) {
		qeff_queue_close(queue);
		return ret;
	}
	*out = queue;
	return 0;
}

void qeff_queue_close(struct qeff_queue *queue)
{
	uint64_t patience_ms;
	QEFF_NO_CANCEL;

	if (!queue)
		return;
	patience_ms = queue->timeout_ms ? queue->timeout_ms : CLOSE_MS;
	pthread_mutex_lock(&queue->lock);
	queue->stop = true;
	queue->close_ns = now_ns() + patience_ms * 1000000u;
	pthread_cond_broadcast(&queue->changed);
	while (queue->flying.head && !queue->has_thread)
		wait_for_progress(queue, UINT64_MAX);
	pthread_mutex_unlock(&queue->lock);
	if (queue->has_thread)
		pthread_join(queue->thread, NULL);
	for (uint32_t i = 0; queue->slots && i < queue->depth; i++)
		qeff_slot_free_buffers(&queue->slots[i], queue->activation);
	if (queue->fd >= 0)
		close(queue->fd);
	disclaim(queue->activation);
	pthread_cond_destroy(&queue->changed);
	pthread_mutex_destroy(&queue->lock);
	pthread_mutex_destroy(&queue->submit_lock);
	free(queue->slots);
	free(queue);
}

uint32_t qeff_queue_depth(const struct qeff_queue *queue)
{
	return queue->depth;
}

int qeff_queue_fd(struct qeff_queue *queue)
{
	QEFF_NO_CANCEL;
	int ret;

	pthread_mutex_lock(&queue->lock);
	ret = start_thread(queue);
	pthread_mutex_unlock(&queue->lock);
	return ret ? ret : queue->fd;
}

uint32_t qeff_slot_index(const struct qeff_slot *slot)
{
	return slot->index;
}

/* ---- slots come and go ---- */

static struct qeff_slot *find_free(struct qeff_queue *queue)
{
	for (uint32_t i = 0; i < queue->depth; i++)
		if (queue->slots[i].state == QEFF_SLOT_FREE)
			return &queue->slots[i];
	return NULL;
}

int qeff_queue_acquire(struct qeff_queue *queue, int32_t timeout_ms, struct qeff_slot **out,
		       struct qeff_error *err)
{
	uint64_t deadline_ns = deadline_of(timeout_ms);
	struct qeff_slot *slot;

	pthread_mutex_lock(&queue->lock);
	do
		slot = find_free(queue);
	while (!slot && wait_changed(queue, deadline_ns));
	if (slot)
		slot->state = QEFF_SLOT_HELD;
	pthread_mutex_unlock(&queue->lock);
	if (!slot)
		return qeff_error_set(err, -EAGAIN, "all %" PRIu32 " slots of the queue are in use",
				      queue->depth);
	*out = slot;
	return 0;
}

void qeff_slot_release(struct qeff_slot *slot)
{
	if (!slot)
		return;
	pthread_mutex_lock(&slot->queue->lock);
	if (slot->state == QEFF_SLOT_HELD) {
		slot->state = QEFF_SLOT_FREE;
		pthread_cond_broadcast(&slot->queue->changed);
	}
	pthread_mutex_unlock(&slot->queue->lock);
}

static int check_submit(struct qeff_slot *slot, struct qeff_error *err)
{
	struct qeff_queue *queue = slot->queue;
	int ret = 0;

	pthread_mutex_lock(&queue->lock);
	if (slot->state != QEFF_SLOT_HELD)
		ret = qeff_error_set(err, -EINVAL, "slot %" PRIu32 " is %s", slot->index,
				     slot->state == QEFF_SLOT_FREE ? "not acquired"
								   : "submitted already");
	else if (atomic_load(&queue->activation->ended) && !queue->lost)
		ret = qeff_error_set(err, -EPERM, "the activation has ended");
	else if (queue->lost)
		ret = qeff_error_set(err,
				     queue->lost == -ETIMEDOUT ? -ETIMEDOUT
				     : queue->lost == -ENODEV  ? -ENODEV
							       : -EPERM,
				     "the activation was lost when an earlier inference failed");
	pthread_mutex_unlock(&queue->lock);
	return ret;
}

/* One try. */
static int execute(struct qeff_slot *slot, uint64_t *completions, struct qeff_error *err)
{
	struct qeff_queue *queue = slot->queue;
	struct qeff_activation *activation = queue->activation;
	struct qeff_transport *transport = activation->program->transport;
	QEFF_NO_CANCEL;
	int ret;

	pthread_mutex_lock(&queue->submit_lock);
	pthread_mutex_lock(&queue->lock);
	*completions = queue->completions;
	pthread_mutex_unlock(&queue->lock);
	slot->completion.submitted_ns = now_ns();
	if (slot->is_partial)
		ret = transport->ops->execute_partial(transport, activation->nnc.dbc_id,
						      slot->partial, activation->num_transfers,
						      err);
	else
		ret = transport->ops->execute(transport, activation->nnc.dbc_id, slot->entries,
					      activation->num_transfers, err);
	if (!ret) {
		pthread_mutex_lock(&queue->lock);
		slot->state = QEFF_SLOT_FLYING;
		push(&queue->flying, slot);
		pthread_cond_broadcast(&queue->changed);
		pthread_mutex_unlock(&queue->lock);
	}
	pthread_mutex_unlock(&queue->submit_lock);
	return ret;
}

/* The ring is full: until an inference of ours is done, or a little while if none is in flight. */
static bool wait_for_room(struct qeff_queue *queue, uint64_t completions, uint64_t deadline_ns)
{
	uint64_t until = deadline_ns;

	pthread_mutex_lock(&queue->lock);
	if (!queue->flying.head && queue->completions == completions) {
		until = now_ns() + RING_RETRY_MS * 1000000u;
		until = until < deadline_ns ? until : deadline_ns;
	}
	while (queue->completions == completions && wait_for_progress(queue, until))
		;
	pthread_mutex_unlock(&queue->lock);
	return now_ns() < deadline_ns;
}

int qeff_queue_submit(struct qeff_slot *slot, void *cookie, int32_t timeout_ms,
		      struct qeff_error *err)
{
	uint64_t deadline_ns = deadline_of(timeout_ms);
	uint64_t completions;
	int ret;

	ret = check_submit(slot, err);
	if (ret)
		return ret;
	slot->completion = (struct qeff_completion){ .slot = slot, .cookie = cookie };
	do
		ret = execute(slot, &completions, err);
	while (ret == -EAGAIN && wait_for_room(slot->queue, completions, deadline_ns));
	return ret;
}

/* With the lock held: the oldest completion, if there is one. */
static struct qeff_slot *take_done(struct qeff_queue *queue, struct qeff_completion *completion)
{
	struct qeff_slot *slot = pop(&queue->done);
	QEFF_NO_CANCEL;
	eventfd_t count;

	if (!slot)
		return NULL;
	slot->state = QEFF_SLOT_HELD;
	if (!queue->done.head && queue->has_thread)
		eventfd_read(queue->fd, &count);
	*completion = slot->completion;
	return slot;
}

int qeff_queue_complete(struct qeff_queue *queue, int32_t timeout_ms,
			struct qeff_completion *completion, struct qeff_error *err)
{
	uint64_t deadline_ns = deadline_of(timeout_ms);
	struct qeff_slot *slot;

	pthread_testcancel();
	pthread_mutex_lock(&queue->lock);
	/* Who only looks now and then needs somebody who waits meanwhile. */
	if (!timeout_ms && queue->flying.head)
		start_thread(queue);
	while (!queue->done.head && timeout_ms && wait_for_progress(queue, deadline_ns))
		;
	slot = take_done(queue, completion);
	pthread_mutex_unlock(&queue->lock);
	if (!slot)
		return qeff_error_set(err, -EAGAIN, "no inference has completed");
	return 0;
}
