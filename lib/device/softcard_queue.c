/* SPDX-License-Identifier: MIT */
/*
 * The rings of the softcard transport: buffers are queued as request elements, responses complete
 * them, waiters sleep on the channel's condition until theirs has.
 */
#include "device/softcard.h"

#include "util/bytes.h"
#include "util/checked.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define DEFAULT_WAIT_MS 5000u

static unsigned int number_of(const struct soft_card *c, const struct soft_dbc *dbc)
{
	return (unsigned int)(dbc - c->dbcs);
}

int qeff_soft_rings_new(struct soft_card *c, uint32_t num_elements, struct soft_rings *rings)
{
	uint64_t size = (uint64_t)num_elements * (sizeof(struct soft_element) + 4) + 256;

	if (!qeff_align_u64(size, (uint64_t)sysconf(_SC_PAGESIZE), &size) || size > UINT32_MAX)
		return -ENOMEM;
	rings->memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (rings->memory == MAP_FAILED)
		return -ENOMEM;
	rings->size_bytes = size;
	rings->num_elements = num_elements;
	if (qeff_ranges_add(&c->ranges, rings->memory, size, QEFF_RANGE_DMA, true)) {
		munmap(rings->memory, size);
		return -ENOMEM;
	}
	return 0;
}

void qeff_soft_rings_free(struct soft_card *c, struct soft_rings *rings)
{
	if (!rings->memory)
		return;
	qeff_ranges_remove(&c->ranges, rings->memory, rings->size_bytes, QEFF_RANGE_DMA, true);
	munmap(rings->memory, rings->size_bytes);
	*rings = (struct soft_rings){ 0 };
}

static const uint8_t *responses_of(const struct soft_rings *rings)
{
	return (const uint8_t *)rings->memory + rings->size_bytes -
	       4 * (uint64_t)rings->num_elements;
}

static void queue_buffer(struct soft_dbc *dbc, struct soft_buffer *b)
{
	b->next = NULL;
	if (dbc->last)
		dbc->last->next = b;
	else
		dbc->first = b;
	dbc->last = b;
	b->queued = true;
	b->users++;
}

static void unqueue_buffer(struct soft_card *c, struct soft_dbc *dbc, struct soft_buffer *b)
{
	struct soft_buffer *before = NULL;

	for (struct soft_buffer *at = dbc->first; at != b; at = at->next)
		before = at;
	if (before)
		before->next = b->next;
	else
		dbc->first = b->next;
	if (dbc->last == b)
		dbc->last = before;
	b->queued = false;
	qeff_soft_buffer_put(c, b);
}

/* Whoever waits for the running execution of @b is told. */
static void complete(struct soft_buffer *b, int result)
{
	if (b->completed == b->submitted)
		return; /* was cancelled before */
	b->completed = b->submitted;
	b->result = result;
}

static int check_buffer(const struct soft_user *u, uint32_t dbc_id, uint32_t handle,
			const struct soft_buffer *b, struct qeff_error *err)
{
	if (!b)
		return qeff_error_set(err, -ENOENT, "%s: execute: no buffer %u", u->name, handle);
	if (!b->dbc)
		return qeff_error_set(err, -EINVAL, "%s: execute: buffer %u is not sliced", u->name,
				      handle);
	if (b->queued)
		return qeff_error_set(err, -EINVAL, "%s: execute: buffer %u is queued already",
				      u->name, handle);
	if (b->dbc != &u->card->dbcs[dbc_id])
		return qeff_error_set(err, -EINVAL,
				      "%s: execute: buffer %u is sliced for channel %u, not %u",
				      u->name, handle, number_of(u->card, b->dbc), dbc_id);
	return 0;
}

/* Elements of one execution that moves the first @valid bytes of @b. */
static uint64_t count_elements(const struct soft_card *c, const struct soft_buffer *b,
			       uint64_t valid)
{
	uint64_t count = 0;

	for (uint32_t i = 0; i < b->num_slices; i++) {
		const struct qaic_attach_slice_entry slice = qeff_soft_slice_within(b, i, valid);

		count += qeff_soft_slice_elements(c, &slice);
	}
	return count;
}

/* Writes them behind @tail; returns the tail behind them. */
static uint32_t write_elements(const struct soft_card *c, struct soft_dbc *dbc,
			       const struct soft_buffer *b, uint64_t valid, uint32_t tail)
{
	struct soft_element *ring = dbc->rings.memory;

	for (uint32_t i = 0; i < b->num_slices; i++) {
		const struct qaic_attach_slice_entry slice = qeff_soft_slice_within(b, i, valid);
		uint64_t count = qeff_soft_slice_elements(c, &slice);

		for (uint64_t k = 0; k < count; k++) {
			ring[tail] = qeff_soft_slice_element(c, b, &slice, k);
			ring[tail].req_id = b->req_id;
			tail = (tail + 1) % dbc->rings.num_elements;
		}
	}
	return tail;
}

/* What is to be queued: either kind of entry. */
struct submission {
	uint32_t dbc_id;
	const struct qaic_execute_entry *whole;
	const struct qaic_partial_execute_entry *partial;
	uint32_t count;
	uint64_t received_us;
};

/* All or nothing: what a failed call has queued is taken back, and the card never saw the tail. */
static int queue_locked(struct soft_user *u, const struct submission *s, struct qeff_error *err)
{
	uint32_t dbc_id = s->dbc_id;
	struct soft_dbc *dbc = &u->card->dbcs[dbc_id];
	struct soft_buffer *last = dbc->last;
	uint32_t head, tail = dbc->tail, n = dbc->rings.num_elements;
	uint16_t id = dbc->next_req_id;
	int ret = 0;

	if (dbc->owner != u || !dbc->usable)
		return qeff_error_set(err, -EPERM, "%s: execute: channel %u is not ours", u->name,
				      dbc_id);
	head = qeff_card_dbc_read(u->card->card, dbc_id, SOFT_REG_REQHP);
	if (head >= n)
		return qeff_error_set(err, -ENODEV, "%s: request head of channel %u is %u of %u",
				      u->name, dbc_id, head, n);
	for (uint32_t i = 0; i < s->count && !ret; i++) {
		uint32_t handle = s->partial ? s->partial[i].handle : s->whole[i].handle;
		struct soft_buffer *b = qeff_soft_buffer_find(u, handle);
		uint32_t used = (tail + n - head) % n;
		uint64_t valid, elements;

		ret = check_buffer(u, dbc_id, handle, b, err);
		if (ret)
			break;
		valid = s->partial ? s->partial[i].resize : b->size_bytes;
		if (valid > b->size_bytes) {
			ret = qeff_error_set(err, -EINVAL,
					     "%s: execute: %llu bytes of buffer %u, which has %llu",
					     u->name, (unsigned long long)valid, handle,
					     (unsigned long long)b->size_bytes);
			break;
		}
		elements = count_elements(u->card, b, valid);
		if (elements > n - 1 - used) {
			ret = qeff_error_set(err, -EAGAIN,
					     "%s: execute: the ring of channel %u is full", u->name,
					     dbc_id);
			break;
		}
		b->req_id = id++;
		b->responses_left = b->num_slices;
		b->failed = false;
		b->received_us = s->received_us;
		b->running =
			(struct qaic_perf_stats_entry){ .queue_level_before = used,
							.num_queue_element = (uint32_t)elements };
		tail = write_elements(u->card, dbc, b, valid, tail);
		queue_buffer(dbc, b);
	}
	if (ret) {
		while (dbc->last != last)
			unqueue_buffer(u->card, dbc, dbc->last);
		return ret;
	}
	for (struct soft_buffer *b = last ? last->next : dbc->first; b; b = b->next) {
		b->submitted++;
		b->rung_us = qeff_soft_now_us();
	}
	dbc->next_req_id = id;
	dbc->tail = tail;
	return 0;
}

static int submit(struct qeff_transport *t, const struct submission *s, struct qeff_error *err)
{
	struct soft_user *u = soft_user_of(t);
	struct soft_card *c = u->card;
	struct soft_dbc *dbc;
	uint32_t tail;
	int ret;

	if (s->count == 0 || (!s->whole && !s->partial) || s->dbc_id >= QAIC_MAX_DBCS)
		return qeff_error_set(err, -EINVAL, "%s: execute: %u buffers on channel %u",
				      u->name, s->count, s->dbc_id);
	dbc = &c->dbcs[s->dbc_id];
	pthread_mutex_lock(&dbc->submit);
	pthread_mutex_lock(&c->lock);
	ret = queue_locked(u, s, err);
	tail = dbc->tail;
	pthread_mutex_unlock(&c->lock);
	/* may complete them before it returns */
	if (!ret)
		qeff_card_dbc_write(c->card, s->dbc_id, SOFT_REG_REQTP, tail);
	pthread_mutex_unlock(&dbc->submit);
	return ret;
}

int qeff_soft_execute(struct qeff_transport *t, uint32_t dbc_id,
		      const struct qaic_execute_entry *entries, uint32_t count,
		      struct qeff_error *err)
{
	return submit(t,
		      &(struct submission){ .dbc_id = dbc_id,
					    .whole = entries,
					    .count = count,
					    .received_us = qeff_soft_now_us() },
		      err);
}

int qeff_soft_execute_partial(struct qeff_transport *t, uint32_t dbc_id,
			      const struct qaic_partial_execute_entry *entries, uint32_t count,
			      struct qeff_error *err)
{
	return submit(t,
		      &(struct submission){ .dbc_id = dbc_id,
					    .partial = entries,
					    .count = count,
					    .received_us = qeff_soft_now_us() },
		      err);
}

static void finish(struct soft_card *c, struct soft_dbc *dbc, struct soft_buffer *b)
{
	uint64_t now = qeff_soft_now_us();

	b->stats = b->running;
	b->stats.submit_latency_us = (uint32_t)(b->rung_us - b->received_us);
	b->stats.device_latency_us = (uint32_t)(now - b->rung_us);
	complete(b, b->failed ? -EIO : 0);
	unqueue_buffer(c, dbc, b);
	pthread_cond_broadcast(&dbc->change);
}

static void take_response(struct soft_card *c, struct soft_dbc *dbc, const uint8_t *response)
{
	struct soft_buffer *b = dbc->first;
	uint16_t id = qeff_get_u16(response);

	while (b && b->req_id != id)
		b = b->next;
	if (!b)
		return;
	if (qeff_get_u16(response + 2) != 0)
		b->failed = true;
	if (--b->responses_left == 0)
		finish(c, dbc, b);
}

/* Takes what there is; true if the card has to be told how far. */
static bool take_responses(struct soft_card *c, struct soft_dbc *dbc)
{
	uint32_t tail = qeff_card_dbc_read(c->card, number_of(c, dbc), SOFT_REG_RSPTP);
	uint32_t head = dbc->head;

	if (tail >= dbc->rings.num_elements)
		return false;
	while (head != tail) {
		take_response(c, dbc, responses_of(&dbc->rings) + 4 * (uint64_t)head);
		head = (head + 1) % dbc->rings.num_elements;
	}
	if (head == dbc->head)
		return false;
	dbc->head = head;
	return true;
}

/*
 * Telling the card how far the responses were taken may make it run more elements in this thread,
 * and interrupt from there. One thread at a time drains a channel; an interrupt meanwhile, from
 * this thread or another, only makes it look again.
 */
void qeff_soft_drain(struct soft_card *c, unsigned int dbc_id)
{
	struct soft_dbc *dbc;
	uint32_t head;

	if (dbc_id >= QAIC_MAX_DBCS)
		return;
	dbc = &c->dbcs[dbc_id];
	pthread_mutex_lock(&c->lock);
	dbc->again = true;
	if (dbc->draining) {
		pthread_mutex_unlock(&c->lock);
		return;
	}
	dbc->draining = true;
	while (dbc->again && dbc->owner) {
		dbc->again = false;
		if (!take_responses(c, dbc))
			continue;
		/* the interrupt comes when the ring stops being empty: look again after that */
		dbc->again = true;
		head = dbc->head;
		pthread_mutex_unlock(&c->lock);
		qeff_card_dbc_write(c->card, dbc_id, SOFT_REG_RSPHP, head);
		pthread_mutex_lock(&c->lock);
	}
	dbc->draining = false;
	pthread_cond_broadcast(&dbc->change);
	pthread_mutex_unlock(&c->lock);
}

static struct timespec deadline_of(uint32_t timeout_ms)
{
	uint64_t at = qeff_soft_now_us() + UINT64_C(1000) * timeout_ms;

	return (struct timespec){ .tv_sec = (time_t)(at / 1000000),
				  .tv_nsec = (long)(at % 1000000) * 1000 };
}

static int wait_locked(struct soft_user *u, struct soft_dbc *dbc, struct soft_buffer *b,
		       uint32_t timeout_ms, struct qeff_error *err)
{
	struct timespec deadline = deadline_of(timeout_ms);
	unsigned int generation = dbc->generation;
	uint64_t wanted = b->submitted;
	uint32_t handle = b->handle;

	while (b->completed < wanted) {
		int ret = pthread_cond_timedwait(&dbc->change, &u->card->lock, &deadline);

		if (dbc->generation != generation || !dbc->usable)
			return qeff_error_set(err, -EPERM,
					      "%s: wait: channel %u was torn down meanwhile",
					      u->name, number_of(u->card, dbc));
		if (ret == ETIMEDOUT && b->completed < wanted)
			return qeff_error_set(err, -ETIMEDOUT,
					      "%s: wait: buffer %u not completed within %u ms",
					      u->name, handle, timeout_ms);
	}
	if (b->result)
		return qeff_error_set(err, b->result, "%s: the card failed a transfer of buffer %u",
				      u->name, handle);
	return 0;
}

int qeff_soft_wait(struct qeff_transport *t, uint32_t dbc_id, uint32_t handle, uint32_t timeout_ms,
		   struct qeff_error *err)
{
	struct soft_user *u = soft_user_of(t);
	struct soft_card *c = u->card;
	struct soft_buffer *b;
	int ret;

	if (dbc_id >= QAIC_MAX_DBCS)
		return qeff_error_set(err, -EINVAL, "%s: wait: channel %u", u->name, dbc_id);
	pthread_mutex_lock(&c->lock);
	b = qeff_soft_buffer_find(u, handle);
	if (c->dbcs[dbc_id].owner != u || !c->dbcs[dbc_id].usable) {
		ret = qeff_error_set(err, -EPERM, "%s: wait: channel %u is not ours", u->name,
				     dbc_id);
	} else if (!b) {
		ret = qeff_error_set(err, -ENOENT, "%s: wait: no buffer %u", u->name, handle);
	} else {
		b->users++;
		/* on the channel that will complete it, whatever was asked for */
		ret = wait_locked(u, b->dbc ? b->dbc : &c->dbcs[dbc_id], b,
				  timeout_ms ? timeout_ms : DEFAULT_WAIT_MS, err);
		qeff_soft_buffer_put(c, b);
	}
	pthread_mutex_unlock(&c->lock);
	return ret;
}

int qeff_soft_stats(struct qeff_transport *t, uint32_t dbc_id,
		    struct qaic_perf_stats_entry *entries, uint32_t count, struct qeff_error *err)
{
	struct soft_user *u = soft_user_of(t);
	int ret = 0;

	if (dbc_id >= QAIC_MAX_DBCS || count > UINT16_MAX)
		return qeff_error_set(err, -EINVAL, "%s: statistics: %u buffers on channel %u",
				      u->name, count, dbc_id);
	pthread_mutex_lock(&u->card->lock);
	for (uint32_t i = 0; i < count && !ret; i++) {
		uint32_t handle = entries[i].handle;
		struct soft_buffer *b = qeff_soft_buffer_find(u, handle);

		if (!b) {
			ret = qeff_error_set(err, -ENOENT, "%s: statistics: no buffer %u", u->name,
					     handle);
		} else if (b->dbc && b->dbc != &u->card->dbcs[dbc_id]) {
			ret = qeff_error_set(err, -EINVAL,
					     "%s: statistics: buffer %u is not of channel %u",
					     u->name, handle, dbc_id);
		} else {
			entries[i] = b->stats;
			entries[i].handle = handle;
		}
	}
	pthread_mutex_unlock(&u->card->lock);
	return ret;
}

void qeff_soft_dbc_assign(struct soft_user *u, uint32_t dbc_id, const struct soft_rings *rings)
{
	struct soft_dbc *dbc = &u->card->dbcs[dbc_id];

	pthread_mutex_lock(&u->card->lock);
	dbc->owner = u;
	dbc->usable = true;
	dbc->rings = *rings;
	dbc->tail = 0;
	dbc->head = 0;
	dbc->next_req_id = 0;
	pthread_mutex_unlock(&u->card->lock);
}

int qeff_soft_dbc_disable(struct soft_user *u, uint32_t dbc_id)
{
	struct soft_dbc *dbc = &u->card->dbcs[dbc_id];
	int ret = -EPERM;

	/* a submitter that is on its way to the card finishes first */
	pthread_mutex_lock(&dbc->submit);
	pthread_mutex_lock(&u->card->lock);
	if (dbc->owner == u && dbc->usable) {
		dbc->usable = false;
		/* the buffers stay queued, since the card may be at their memory until it answers
		 */
		for (struct soft_buffer *b = dbc->first; b; b = b->next)
			complete(b, -ECANCELED);
		pthread_cond_broadcast(&dbc->change);
		ret = 0;
	}
	pthread_mutex_unlock(&u->card->lock);
	pthread_mutex_unlock(&dbc->submit);
	return ret;
}

void qeff_soft_dbc_enable(struct soft_user *u, uint32_t dbc_id)
{
	struct soft_dbc *dbc = &u->card->dbcs[dbc_id];

	pthread_mutex_lock(&u->card->lock);
	if (dbc->owner == u)
		dbc->usable = true;
	pthread_mutex_unlock(&u->card->lock);
}

void qeff_soft_dbc_release(struct soft_user *u, uint32_t dbc_id)
{
	struct soft_card *c = u->card;
	struct soft_dbc *dbc = &c->dbcs[dbc_id];
	struct soft_rings rings = { 0 };

	pthread_mutex_lock(&c->lock);
	if (dbc->owner == u) {
		dbc->owner = NULL;
		dbc->usable = false;
		dbc->generation++;
		while (dbc->first) {
			complete(dbc->first, -ECANCELED);
			unqueue_buffer(c, dbc, dbc->first);
		}
		for (size_t i = 0; i < u->num_buffers; i++)
			if (u->buffers[i] && u->buffers[i]->dbc == dbc)
				qeff_soft_buffer_detach(c, u->buffers[i]);
		pthread_cond_broadcast(&dbc->change);
		while (dbc->draining)
			pthread_cond_wait(&dbc->change, &c->lock);
		rings = dbc->rings;
		dbc->rings = (struct soft_rings){ 0 };
	}
	pthread_mutex_unlock(&c->lock);
	qeff_soft_rings_free(c, &rings);
}
