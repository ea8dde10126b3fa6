/* SPDX-License-Identifier: MIT */
/*
 * The rings: contexts, events, commands and transfers.
 *
 * Work is done by one loop, a step at a time, that every doorbell starts. A step is only taken
 * while no event waits for room in the host's event ring, so that the backlog stays as short as
 * what one step can post.
 */
#include "softcard/pcie/mhi.h"

#include "util/bytes.h"
#include "util/checked.h"

#include <assert.h>
#include <stdlib.h>

#define ELEMENT_BYTES  16u
#define CONTEXT_BYTES  44u
#define CONTEXT_BASE   12u
#define CONTEXT_LENGTH 20u
#define CONTEXT_RP     28u
#define CONTEXT_WP     36u

#define TYPE_TRANSFER  2u
#define TYPE_NOOP      1u
#define TYPE_RESET     16u
#define TYPE_STOP      17u
#define TYPE_START     18u
#define EVENT_COMMAND  0x21u
#define EVENT_TRANSFER 0x22u
#define TRE_CHAIN      (1u << 0)
#define TRE_IEOT       (1u << 9)
#define TRE_BEI	       (1u << 10)

#define CODE_SUCCESS   1u
#define CODE_EOT       2u
#define CODE_OVERFLOW  3u
#define CODE_UNDEFINED 0x10u
#define CODE_BAD_TRE   0x11u

static_assert(sizeof(struct qeff_mhi_element) == ELEMENT_BYTES, "ring element layout");

static bool in_ring(const struct qeff_mhi_ring *r, uint64_t at)
{
	return at >= r->base && at - r->base < r->size_bytes && (at - r->base) % ELEMENT_BYTES == 0;
}

static uint64_t next_in_ring(const struct qeff_mhi_ring *r, uint64_t at)
{
	at += ELEMENT_BYTES;
	return at - r->base == r->size_bytes ? r->base : at;
}

/* The one place where a context is judged. @head: its first 12 bytes. */
static bool load_ring(struct qeff_mhi *mhi, uint64_t context, struct qeff_mhi_ring *r,
		      uint32_t head[3])
{
	uint8_t bytes[CONTEXT_BYTES];
	uint64_t end;

	if (!qeff_dma_read(mhi->dma, context, bytes, sizeof(bytes)))
		return false;
	for (unsigned int i = 0; i < 3; i++)
		head[i] = qeff_get_u32(bytes + 4 * i);
	*r = (struct qeff_mhi_ring){
		.context = context,
		.base = qeff_get_u64(bytes + CONTEXT_BASE),
		.size_bytes = qeff_get_u64(bytes + CONTEXT_LENGTH),
		.rp = qeff_get_u64(bytes + CONTEXT_RP),
		.wp = qeff_get_u64(bytes + CONTEXT_WP),
	};
	return r->size_bytes >= 2 * ELEMENT_BYTES && r->size_bytes % ELEMENT_BYTES == 0 &&
	       r->size_bytes <= QEFF_MHI_MAX_RING_ELEMENTS * ELEMENT_BYTES &&
	       r->base % ELEMENT_BYTES == 0 && qeff_add_u64(r->base, r->size_bytes, &end) &&
	       in_ring(r, r->rp) && in_ring(r, r->wp);
}

/* Moves on, and shows it to the host. */
static void set_rp(struct qeff_mhi *mhi, struct qeff_mhi_ring *r, uint64_t rp)
{
	r->rp = rp;
	/* what the host may look at once it sees the new place is in memory before it */
	__atomic_thread_fence(__ATOMIC_RELEASE);
	if (!qeff_dma_write(mhi->dma, r->context + CONTEXT_RP, &rp, sizeof(rp)))
		mhi->errors++;
}

bool qeff_mhi_rings_load(struct qeff_mhi *mhi)
{
	uint32_t head[3];

	return load_ring(mhi, qeff_mhi_reg64(mhi, QEFF_MHI_ECABAP), &mhi->events, head) &&
	       head[1] == 1 &&
	       load_ring(mhi, qeff_mhi_reg64(mhi, QEFF_MHI_CRCBAP), &mhi->commands, head);
}

static void drop_packets(struct qeff_mhi_channel *ch)
{
	while (ch->packets) {
		struct qeff_mhi_packet *p = ch->packets;

		ch->packets = p->next;
		free(p);
	}
	ch->last = &ch->packets;
	ch->num_packets = 0;
}

void qeff_mhi_rings_drop(struct qeff_mhi *mhi)
{
	for (unsigned int i = 0; i < QEFF_MHI_CHANNELS; i++) {
		drop_packets(&mhi->channel[i]);
		mhi->channel[i].state = QEFF_CHANNEL_DISABLED;
	}
	memset(mhi->dirty, 0, sizeof(mhi->dirty));
	mhi->backlog_count = 0;
	mhi->command_due = false;
	mhi->interrupt_due = false;
}

/* --- events --- */

static bool write_event(struct qeff_mhi *mhi, const struct qeff_mhi_element *event)
{
	struct qeff_mhi_ring *r = &mhi->events;

	if (r->rp == r->wp)
		return false;
	if (!qeff_dma_write(mhi->dma, r->rp, event, sizeof(*event)))
		mhi->errors++;
	set_rp(mhi, r, next_in_ring(r, r->rp));
	return true;
}

void qeff_mhi_post(struct qeff_mhi *mhi, const struct qeff_mhi_element *event, bool interrupt)
{
	if (!mhi->live)
		return;
	mhi->interrupt_due |= interrupt;
	if (!mhi->backlog_count && write_event(mhi, event))
		return;
	if (mhi->backlog_count < sizeof(mhi->backlog) / sizeof(mhi->backlog[0]))
		mhi->backlog[mhi->backlog_count++] = *event;
	else
		mhi->errors++;
}

/* Whether all events are with the host. */
static bool flush_backlog(struct qeff_mhi *mhi)
{
	unsigned int done = 0;

	while (done < mhi->backlog_count && write_event(mhi, &mhi->backlog[done]))
		done++;
	if (done) {
		mhi->backlog_count -= done;
		memmove(mhi->backlog, mhi->backlog + done,
			mhi->backlog_count * sizeof(mhi->backlog[0]));
		mhi->interrupt_due = true;
	}
	return !mhi->backlog_count;
}

static void post_transfer(struct qeff_mhi *mhi, unsigned int channel, uint64_t at, uint32_t code,
			  uint32_t size_bytes, bool interrupt)
{
	const struct qeff_mhi_element e = {
		.pointer = at,
		.d0 = code << 24 | (size_bytes & 0xffff),
		.d1 = channel << 24 | EVENT_TRANSFER << 16,
	};

	qeff_mhi_post(mhi, &e, interrupt);
}

/* --- commands --- */

static void mark_dirty(struct qeff_mhi *mhi, unsigned int channel)
{
	mhi->dirty[channel / 64] |= UINT64_C(1) << channel % 64;
}

static uint64_t context_of(const struct qeff_mhi *mhi, unsigned int channel)
{
	return qeff_mhi_reg64(mhi, QEFF_MHI_CCABAP) + (uint64_t)CONTEXT_BYTES * channel;
}

static void set_channel(struct qeff_mhi *mhi, unsigned int channel,
			enum qeff_mhi_channel_state state)
{
	uint64_t context = context_of(mhi, channel);
	uint8_t shown = (uint8_t)state;

	mhi->channel[channel].state = state;
	/* the lowest byte of the context's first word */
	if (!qeff_dma_write(mhi->dma, context, &shown, 1))
		mhi->errors++;
}

/* Channels of the boot loader may be late: its time is short. */
static bool exists(const struct qeff_mhi *mhi, unsigned int channel)
{
	switch (channel & ~1u) {
	case QEFF_CHANNEL_SAHARA:
	case QEFF_CHANNEL_LOGGING:
	case QEFF_CHANNEL_TIMESYNC:
		return mhi->ee != QEFF_EE_PBL;
	default:
		return channel < QEFF_NUM_CHANNELS && mhi->ee == QEFF_EE_AMSS;
	}
}

static uint32_t start_channel(struct qeff_mhi *mhi, unsigned int channel)
{
	struct qeff_mhi_channel *ch = &mhi->channel[channel];
	struct qeff_mhi_ring ring;
	uint32_t head[3];

	if (!exists(mhi, channel) || ch->state == QEFF_CHANNEL_RUNNING ||
	    !load_ring(mhi, context_of(mhi, channel), &ring, head) ||
	    head[1] != 1 + (channel & 1) || head[2] != 0)
		return CODE_UNDEFINED;
	ch->ring = ring;
	set_channel(mhi, channel, QEFF_CHANNEL_RUNNING);
	mark_dirty(mhi, channel);
	mhi->ops->started(mhi->user, channel);
	return CODE_SUCCESS;
}

static uint32_t end_channel(struct qeff_mhi *mhi, unsigned int channel,
			    enum qeff_mhi_channel_state state)
{
	if (channel >= QEFF_NUM_CHANNELS)
		return CODE_UNDEFINED;
	set_channel(mhi, channel, state);
	if (state == QEFF_CHANNEL_DISABLED)
		drop_packets(&mhi->channel[channel]);
	return CODE_SUCCESS;
}

static uint32_t do_command(struct qeff_mhi *mhi, const struct qeff_mhi_element *e)
{
	unsigned int channel = e->d1 >> 24;

	switch (e->d1 >> 16 & 0xff) {
	case TYPE_NOOP:
		return CODE_SUCCESS;
	case TYPE_START:
		return start_channel(mhi, channel);
	case TYPE_STOP:
		return end_channel(mhi, channel, QEFF_CHANNEL_STOPPED);
	case TYPE_RESET:
		return end_channel(mhi, channel, QEFF_CHANNEL_DISABLED);
	default:
		return CODE_UNDEFINED;
	}
}

static void command_step(struct qeff_mhi *mhi)
{
	struct qeff_mhi_ring *r = &mhi->commands;
	struct qeff_mhi_element e, done = { .pointer = r->rp, .d1 = EVENT_COMMAND << 16 };

	if (!qeff_dma_read(mhi->dma, r->rp, &e, sizeof(e))) {
		mhi->command_due = false;
		mhi->errors++;
		return;
	}
	done.d0 = do_command(mhi, &e) << 24;
	/* what is behind a command may have reset the card */
	if (!mhi->live)
		return;
	set_rp(mhi, r, next_in_ring(r, r->rp));
	mhi->command_due = r->rp != r->wp;
	qeff_mhi_post(mhi, &done, true);
}

/* --- transfers --- */

/* An element or a buffer that is not there, or no element at all. */
static void bad_element(struct qeff_mhi *mhi, unsigned int channel, uint64_t at)
{
	mhi->errors++;
	set_channel(mhi, channel, QEFF_CHANNEL_ERROR);
	post_transfer(mhi, channel, at, CODE_BAD_TRE, 0, true);
}

static bool get_element(struct qeff_mhi *mhi, uint64_t at, struct qeff_mhi_element *e)
{
	return qeff_dma_read(mhi->dma, at, e, sizeof(*e)) && (e->d1 >> 16 & 0xff) == TYPE_TRANSFER;
}

/* A chain from the host, gathered; nothing happens as long as its end is not there. */
static void outbound_step(struct qeff_mhi *mhi, unsigned int channel)
{
	struct qeff_mhi_channel *ch = &mhi->channel[channel];
	uint64_t at = ch->ring.rp, element;
	struct qeff_mhi_element e;
	size_t size_bytes = 0;
	uint32_t length;

	do {
		if (at == ch->ring.wp)
			return;
		element = at;
		length = 0;
		if (get_element(mhi, at, &e))
			length = e.d0 & 0xffff;
		else
			return bad_element(mhi, channel, at);
		if (length > QEFF_MHI_MAX_MESSAGE - size_bytes ||
		    (length &&
		     !qeff_dma_read(mhi->dma, e.pointer, mhi->message + size_bytes, length)))
			return bad_element(mhi, channel, at);
		size_bytes += length;
		at = next_in_ring(&ch->ring, at);
	} while (e.d1 & TRE_CHAIN);
	set_rp(mhi, &ch->ring, at);
	if (e.d1 & TRE_IEOT)
		post_transfer(mhi, channel, element, CODE_EOT, length, !(e.d1 & TRE_BEI));
	ch->delivered++;
	if (at != ch->ring.wp)
		mark_dirty(mhi, channel);
	mhi->ops->receive(mhi->user, channel, mhi->message, size_bytes);
}

static void pop_packet(struct qeff_mhi_channel *ch)
{
	struct qeff_mhi_packet *p = ch->packets;

	ch->packets = p->next;
	if (!ch->packets)
		ch->last = &ch->packets;
	ch->num_packets--;
	ch->delivered++;
	free(p);
}

/* A message for the host, laid into the buffers it queued; what does not fit is cut off. */
static void inbound_step(struct qeff_mhi *mhi, unsigned int channel)
{
	struct qeff_mhi_channel *ch = &mhi->channel[channel];
	const struct qeff_mhi_packet *p = ch->packets;
	uint64_t at = ch->ring.rp, element;
	struct qeff_mhi_element e;
	size_t done = 0;
	uint32_t length;

	if (!p)
		return;
	do {
		if (at == ch->ring.wp)
			return;
		element = at;
		if (!get_element(mhi, at, &e))
			return bad_element(mhi, channel, at);
		length = e.d0 & 0xffff;
		if (length > p->size_bytes - done)
			length = (uint32_t)(p->size_bytes - done);
		if (length && !qeff_dma_write(mhi->dma, e.pointer, p->data + done, length))
			return bad_element(mhi, channel, at);
		done += length;
		at = next_in_ring(&ch->ring, at);
	} while (done < p->size_bytes && (e.d1 & TRE_CHAIN));
	set_rp(mhi, &ch->ring, at);
	post_transfer(mhi, channel, element, done < p->size_bytes ? CODE_OVERFLOW : CODE_EOT,
		      length, !(e.d1 & TRE_BEI));
	pop_packet(ch);
	mark_dirty(mhi, channel);
	/* the other direction may have waited for this one to drain */
	mark_dirty(mhi, channel - 1);
}

static void channel_step(struct qeff_mhi *mhi, unsigned int channel)
{
	if (mhi->channel[channel].state != QEFF_CHANNEL_RUNNING)
		return;
	if (channel & 1)
		inbound_step(mhi, channel);
	else if (mhi->ops->accepts(mhi->user, channel))
		outbound_step(mhi, channel);
}

/* False if there is nothing to do. */
static bool step(struct qeff_mhi *mhi)
{
	if (!mhi->live || !flush_backlog(mhi) || mhi->state != QEFF_MHI_M0)
		return false;
	if (mhi->command_due) {
		command_step(mhi);
		return true;
	}
	for (unsigned int i = 0; i < sizeof(mhi->dirty) / sizeof(mhi->dirty[0]); i++) {
		unsigned int bit;

		if (!mhi->dirty[i])
			continue;
		bit = (unsigned int)__builtin_ctzll(mhi->dirty[i]);
		mhi->dirty[i] &= ~(UINT64_C(1) << bit);
		channel_step(mhi, 64 * i + bit);
		return true;
	}
	return false;
}

void qeff_mhi_run(struct qeff_mhi *mhi)
{
	/* what a step calls may come back here */
	if (mhi->running)
		return;
	mhi->running = true;
	while (step(mhi))
		;
	mhi->running = false;
	if (mhi->live && mhi->interrupt_due) {
		mhi->interrupt_due = false;
		mhi->ops->interrupt(mhi->user);
	}
}

bool qeff_mhi_is_running(const struct qeff_mhi *mhi, unsigned int channel)
{
	return mhi->live && mhi->channel[channel].state == QEFF_CHANNEL_RUNNING;
}

bool qeff_mhi_send(struct qeff_mhi *mhi, unsigned int channel, const void *data, size_t size_bytes)
{
	struct qeff_mhi_channel *ch = &mhi->channel[channel];
	struct qeff_mhi_packet *p;

	if (!qeff_mhi_is_running(mhi, channel) || ch->num_packets == QEFF_MHI_MAX_PACKETS)
		return false;
	p = malloc(sizeof(*p) + size_bytes);
	if (!p)
		return false;
	p->next = NULL;
	p->size_bytes = size_bytes;
	if (size_bytes)
		memcpy(p->data, data, size_bytes);
	*ch->last = p;
	ch->last = &p->next;
	ch->num_packets++;
	mark_dirty(mhi, channel);
	qeff_mhi_run(mhi);
	return true;
}

/* --- doorbells --- */

static bool ring_to(struct qeff_mhi *mhi, struct qeff_mhi_ring *r, uint64_t wp)
{
	if (!in_ring(r, wp)) {
		mhi->errors++;
		return false;
	}
	r->wp = wp;
	return true;
}

void qeff_mhi_ring_events(struct qeff_mhi *mhi, uint64_t wp)
{
	ring_to(mhi, &mhi->events, wp);
}

void qeff_mhi_ring_commands(struct qeff_mhi *mhi, uint64_t wp)
{
	if (ring_to(mhi, &mhi->commands, wp))
		mhi->command_due = mhi->commands.rp != wp;
}

void qeff_mhi_ring_channel(struct qeff_mhi *mhi, unsigned int channel, uint64_t wp)
{
	struct qeff_mhi_channel *ch = &mhi->channel[channel];

	if (ch->state != QEFF_CHANNEL_RUNNING)
		return;
	if (ring_to(mhi, &ch->ring, wp))
		mark_dirty(mhi, channel);
	else
		set_channel(mhi, channel, QEFF_CHANNEL_ERROR);
}
