/* SPDX-License-Identifier: MIT */
/*
 * Elements are processed one after the other, each in stages: presync, transfer, postsync,
 * doorbell, response. Where a semaphore or a full response ring blocks it, the element stays where
 * it is and the thread goes away; whatever may unblock it kicks the channel again. Since no
 * transfer overtakes another, fences are always satisfied.
 */
#include "softcard/bridge.h"

#include "softcard/core.h"
#include "softcard/nsp_group.h"

#include <string.h>

enum { OP_NOP, OP_INIT, OP_INC, OP_DEC, OP_WAIT_EQUAL, OP_WAIT_GREATER_EQUAL, OP_WAIT_NONZERO_DEC };

static unsigned int sem_operation(uint32_t word)
{
	return word >> 24 & 7;
}

/* Does one semaphore operation; false if it has to wait. */
static bool sem_do(struct qeff_channel *ch, uint32_t word)
{
	uint16_t *sem = &ch->semaphore[word >> 16 & 31];
	uint16_t value = word & QEFF_SEMAPHORE_MAX;

	switch (sem_operation(word)) {
	case OP_INIT:
		*sem = value;
		return true;
	case OP_INC:
		if (*sem < QEFF_SEMAPHORE_MAX)
			(*sem)++;
		return true;
	case OP_DEC:
		if (*sem)
			(*sem)--;
		return true;
	case OP_WAIT_EQUAL:
		return *sem == value;
	case OP_WAIT_GREATER_EQUAL:
		return *sem >= value;
	case OP_WAIT_NONZERO_DEC:
		if (!*sem)
			return false;
		(*sem)--;
		return true;
	default:
		return true;
	}
}

/* The one place where an element is judged; addresses are judged when they are used. */
static uint16_t validate(const struct qeff_request_element *e)
{
	unsigned int presyncs = 0;

	if ((e->command & QEFF_ELEMENT_TYPE) == QEFF_ELEMENT_TYPE)
		return QEFF_COMPLETION_BAD_ELEMENT;
	if ((e->doorbell_attributes & QEFF_DOORBELL_ENABLE) && (e->doorbell_attributes & 3) == 3)
		return QEFF_COMPLETION_BAD_ELEMENT;
	for (unsigned int i = 0; i < 4; i++) {
		/* Not enabled: at most a fence, see above. */
		if (!(e->semaphore[i] & QEFF_SEM_ENABLE))
			continue;
		if (sem_operation(e->semaphore[i]) > OP_WAIT_NONZERO_DEC)
			return QEFF_COMPLETION_BAD_ELEMENT;
		if (e->semaphore[i] & QEFF_SEM_PRESYNC)
			presyncs++;
	}
	return presyncs > 1 ? QEFF_COMPLETION_BAD_ELEMENT : QEFF_COMPLETION_OK;
}

/* Takes the next element from the ring. Called and returns with the lock held. */
static bool fetch(struct qeff_channel *ch)
{
	const struct qeff_card_host *host = &ch->card->host;

	if (ch->request_head == ch->request_tail)
		return false;
	memcpy(&ch->element, ch->setup.requests + (size_t)ch->request_head * sizeof(ch->element),
	       sizeof(ch->element));
	if (++ch->request_head == ch->setup.elements)
		ch->request_head = 0;
	if (host->trace_element) {
		pthread_mutex_unlock(&ch->lock);
		host->trace_element(host->user, ch->index, &ch->element);
		pthread_mutex_lock(&ch->lock);
	}
	ch->code = validate(&ch->element);
	ch->postsync = 0;
	ch->stage = ch->code ? QEFF_STAGE_RESPOND : QEFF_STAGE_PRESYNC;
	return true;
}

static bool presync(struct qeff_channel *ch)
{
	for (unsigned int i = 0; i < 4; i++) {
		uint32_t word = ch->element.semaphore[i];

		if ((word & QEFF_SEM_ENABLE) && (word & QEFF_SEM_PRESYNC) && !sem_do(ch, word))
			return false;
	}
	ch->stage = QEFF_STAGE_TRANSFER;
	return true;
}

static bool postsync(struct qeff_channel *ch)
{
	for (; ch->postsync < 4; ch->postsync++) {
		uint32_t word = ch->element.semaphore[ch->postsync];

		if ((word & QEFF_SEM_ENABLE) && !(word & QEFF_SEM_PRESYNC) && !sem_do(ch, word))
			return false;
	}
	ch->stage = QEFF_STAGE_DOORBELL;
	return true;
}

/* Copies between host memory and L2TCM, which the NSPs poll: under the lock. */
static void copy_l2tcm(struct qeff_channel *ch, const struct qeff_target *target, void *host,
		       uint32_t size_bytes, bool to_device)
{
	pthread_mutex_lock(&ch->lock);
	if (to_device)
		for (unsigned int i = 0; i < target->count; i++)
			memcpy(target->at[i], host, size_bytes);
	else
		memcpy(host, target->at[0], size_bytes);
	pthread_mutex_unlock(&ch->lock);
}

/* Moves the element's bytes. Called without the lock: the setup stays as it is while @running is
 * set. */
static uint16_t move(struct qeff_channel *ch, const struct qeff_request_element *e)
{
	bool to_device = (e->command & QEFF_ELEMENT_TYPE) == QEFF_ELEMENT_TO_DEVICE;
	const struct qeff_card_host *host = &ch->card->host;
	struct qeff_target target;
	void *data;

	if (!qeff_windows_find(&ch->setup.windows, to_device ? e->destination : e->source,
			       e->size_bytes, &target))
		return QEFF_COMPLETION_DEVICE_ADDRESS;
	/* A read of a window that leads to several NSPs has no meaning. */
	if (!to_device && target.count > 1)
		return QEFF_COMPLETION_DEVICE_ADDRESS;
	data = host->translate(host->user, to_device ? e->source : e->destination, e->size_bytes,
			       !to_device);
	if (!data)
		return QEFF_COMPLETION_HOST_ADDRESS;
	if (!target.in_ddr)
		copy_l2tcm(ch, &target, data, e->size_bytes, to_device);
	else if (to_device)
		memcpy(target.at[0], data, e->size_bytes);
	else
		memcpy(data, target.at[0], e->size_bytes);
	atomic_fetch_add_explicit(to_device ? &ch->card->bytes_in : &ch->card->bytes_out,
				  e->size_bytes, memory_order_relaxed);
	return QEFF_COMPLETION_OK;
}

static void transfer(struct qeff_channel *ch)
{
	unsigned int type = ch->element.command & QEFF_ELEMENT_TYPE;

	if (type != QEFF_ELEMENT_NO_TRANSFER && (ch->element.command & QEFF_ELEMENT_BULK) &&
	    ch->element.size_bytes) {
		pthread_mutex_unlock(&ch->lock);
		ch->code = move(ch, &ch->element);
		pthread_mutex_lock(&ch->lock);
		/* Semaphores and doorbell run all the same, else host and NSPs would wait for each
		 * other for ever; the NSPs report the inference as failed. */
		if (ch->code && type == QEFF_ELEMENT_TO_DEVICE)
			ch->input_failed = true;
	}
	ch->stage = QEFF_STAGE_POSTSYNC;
}

static void doorbell(struct qeff_channel *ch)
{
	static const uint8_t sizes[] = { 4, 2, 1 };
	const struct qeff_request_element *e = &ch->element;
	struct qeff_target target;
	uint32_t size_bytes;

	ch->stage = QEFF_STAGE_RESPOND;
	if (e->doorbell_attributes & QEFF_DOORBELL_ENABLE) {
		size_bytes = sizes[e->doorbell_attributes & 3];
		if (e->doorbell % size_bytes ||
		    !qeff_windows_find(&ch->setup.windows, e->doorbell, size_bytes, &target)) {
			ch->code = ch->code ? ch->code : QEFF_COMPLETION_DOORBELL;
			return;
		}
		for (unsigned int i = 0; i < target.count; i++)
			memcpy(target.at[i], &e->doorbell_data, size_bytes);
	}
	/* Bytes moved to L2TCM may be doorbells as well. */
	if (ch->setup.group)
		qeff_nsp_group_poll(ch->setup.group);
}

/* An element that failed without asking for a response leaves its code to its request's response.
 */
static uint16_t response_code(struct qeff_channel *ch, bool last)
{
	uint16_t code = ch->code;

	if (ch->failed_code && ch->failed_id == ch->element.req_id) {
		code = ch->failed_code;
		if (last)
			ch->failed_code = 0;
	} else if (code && !last) {
		ch->failed_code = code;
		ch->failed_id = ch->element.req_id;
	}
	return code;
}

/* Returns false if the response ring is full. */
static bool respond(struct qeff_channel *ch)
{
	bool wanted = ch->element.command & QEFF_ELEMENT_COMPLETION;
	bool interrupt = ch->element.command & QEFF_ELEMENT_FORCE_MSI;
	struct qeff_card *card = ch->card;
	struct qeff_response_element response = { .req_id = ch->element.req_id };
	uint32_t next;

	if (wanted) {
		next = ch->response_tail + 1 == ch->setup.elements ? 0 : ch->response_tail + 1;
		if (next == ch->response_head)
			return false;
		if (ch->response_head == ch->response_tail)
			interrupt = true;
		response.code = response_code(ch, true);
		memcpy(ch->setup.responses + (size_t)ch->response_tail * sizeof(response),
		       &response, sizeof(response));
		ch->response_tail = next;
	} else {
		response_code(ch, false);
	}
	ch->stage = QEFF_STAGE_FETCH;
	atomic_fetch_add_explicit(&card->elements, 1, memory_order_relaxed);
	if (interrupt) {
		atomic_fetch_add_explicit(&card->interrupts, 1, memory_order_relaxed);
		pthread_mutex_unlock(&ch->lock);
		card->host.interrupt(card->host.user, ch->index + 1);
		pthread_mutex_lock(&ch->lock);
	}
	return true;
}

/* One stage of the current element. Returns false if there is nothing to do or it has to wait. */
static bool step(struct qeff_channel *ch)
{
	switch (ch->stage) {
	case QEFF_STAGE_FETCH:
		return fetch(ch);
	case QEFF_STAGE_PRESYNC:
		return presync(ch);
	case QEFF_STAGE_TRANSFER:
		transfer(ch);
		return true;
	case QEFF_STAGE_POSTSYNC:
		return postsync(ch);
	case QEFF_STAGE_DOORBELL:
		doorbell(ch);
		return true;
	case QEFF_STAGE_RESPOND:
		return respond(ch);
	}
	return false;
}

/*
 * With the lock held. Whoever finds the channel running leaves the work to the one who runs it: a
 * step that gives up the lock for a while is followed by another step, which sees what has changed
 * meanwhile.
 */
static void process(struct qeff_channel *ch)
{
	if (ch->running)
		return;
	ch->running = true;
	while (ch->open && !ch->stopping && step(ch))
		;
	ch->running = false;
	pthread_cond_broadcast(&ch->quiet);
}

void qeff_channel_kick(struct qeff_channel *ch)
{
	pthread_mutex_lock(&ch->lock);
	process(ch);
	pthread_mutex_unlock(&ch->lock);
}

uint32_t qeff_channel_read(struct qeff_channel *ch, uint32_t offset)
{
	uint32_t value = 0;

	pthread_mutex_lock(&ch->lock);
	switch (offset) {
	case QEFF_DBC_REQHP:
		value = ch->request_head;
		break;
	case QEFF_DBC_REQTP:
		value = ch->request_tail;
		break;
	case QEFF_DBC_RSPHP:
		value = ch->response_head;
		break;
	case QEFF_DBC_RSPTP:
		value = ch->response_tail;
		break;
	}
	pthread_mutex_unlock(&ch->lock);
	return value;
}

void qeff_channel_write(struct qeff_channel *ch, uint32_t offset, uint32_t value)
{
	pthread_mutex_lock(&ch->lock);
	/* An index outside the ring is no index; heads and tails that belong to the device are its
	 * own. */
	if (ch->open && !ch->stopping && value < ch->setup.elements) {
		if (offset == QEFF_DBC_REQTP)
			ch->request_tail = value;
		else if (offset == QEFF_DBC_RSPHP)
			ch->response_head = value;
		process(ch);
	}
	pthread_mutex_unlock(&ch->lock);
}

void qeff_channel_init(struct qeff_channel *ch, struct qeff_card *card, unsigned int index)
{
	ch->card = card;
	ch->index = index;
	pthread_mutex_init(&ch->lock, NULL);
	pthread_cond_init(&ch->quiet, NULL);
}

void qeff_channel_destroy(struct qeff_channel *ch)
{
	pthread_cond_destroy(&ch->quiet);
	pthread_mutex_destroy(&ch->lock);
}

static void clear(struct qeff_channel *ch)
{
	ch->request_head = ch->request_tail = 0;
	ch->response_head = ch->response_tail = 0;
	memset(ch->semaphore, 0, sizeof(ch->semaphore));
	ch->stage = QEFF_STAGE_FETCH;
	ch->failed_code = 0;
	ch->input_failed = false;
	ch->stopping = false;
}

void qeff_channel_open(struct qeff_channel *ch, const struct qeff_channel_setup *setup)
{
	pthread_mutex_lock(&ch->lock);
	clear(ch);
	ch->setup = *setup;
	for (uint32_t i = 0; i < setup->semaphores && i < QEFF_SEMAPHORES; i++)
		ch->semaphore[i] = (uint16_t)(setup->semaphore_init[i] & QEFF_SEMAPHORE_MAX);
	ch->open = true;
	pthread_mutex_unlock(&ch->lock);
}

void qeff_channel_stop(struct qeff_channel *ch)
{
	pthread_mutex_lock(&ch->lock);
	ch->stopping = true;
	pthread_mutex_unlock(&ch->lock);
}

void qeff_channel_close(struct qeff_channel *ch)
{
	pthread_mutex_lock(&ch->lock);
	while (ch->running)
		pthread_cond_wait(&ch->quiet, &ch->lock);
	ch->open = false;
	clear(ch);
	memset(&ch->setup, 0, sizeof(ch->setup));
	pthread_mutex_unlock(&ch->lock);
}
