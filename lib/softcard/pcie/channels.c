/* SPDX-License-Identifier: MIT */
/* The messages of the MHI channels, apart from Sahara's. */
#include "softcard/pcie/internal.h"

#include "nnc/transaction.h"
#include "util/bytes.h"

#include <stdio.h>
#include <stdlib.h>

/* Answers that may wait for the host's buffers before its next request is looked at. */
#define MAX_WAITING 16u

#define SSR_EVENT	    (1u << 8)
#define SSR_EVENT_RESPONSE  (1u << 9)
#define SSR_BYTES	    16u
#define SSR_BEFORE_SHUTDOWN (1u << 1)
#define SSR_AFTER_POWER_UP  (1u << 4)

#define RAS_BYTES  104u
#define SYNC_MAGIC 0x55aau

void qeff_channels_reset(struct qeff_vcard *v)
{
	struct qeff_channels *c = &v->channels;

	while (c->late) {
		struct qeff_late_reply *r = c->late;

		c->late = r->next;
		free(r);
	}
	c->restarting = false;
}

/* --- control --- */

/* Three transactions whose lengths add up to that of the message in 32 bits: the second leads back
 * into the first. */
static void wrap(uint8_t *reply, size_t *size_bytes)
{
	static const uint32_t transactions[6] = {
		QEFF_PASSTHROUGH_FROM_DEV, 16,	       QEFF_PASSTHROUGH_FROM_DEV, 16,
		QEFF_PASSTHROUGH_FROM_DEV, 0xfffffff8,
	};

	for (unsigned int i = 0; i < 6; i++)
		qeff_put_u32(reply + 32 + 4 * i, transactions[i]);
	*size_bytes = 56;
	qeff_put_u32(reply + 12, 56);
	qeff_put_u32(reply + 16, 3);
}

static void spoil(uint8_t *reply, size_t *size_bytes, int64_t how)
{
	switch (how) {
	case QEFF_MALFORM_MAGIC:
		reply[4] ^= 0xff;
		break;
	case QEFF_MALFORM_SEQUENCE:
		qeff_put_u32(reply + 8, qeff_get_u32(reply + 8) + 0x10000);
		break;
	case QEFF_MALFORM_COUNT:
		qeff_put_u32(reply + 16, 0x7fffffff);
		break;
	case QEFF_MALFORM_TYPE:
		qeff_put_u32(reply + 32, 99);
		break;
	case QEFF_MALFORM_TRANSACTION:
		qeff_put_u32(reply + 36, 0xfffffff8);
		break;
	case QEFF_MALFORM_TRUNCATE:
		*size_bytes = 20;
		break;
	case QEFF_MALFORM_SHORT:
		/* nothing but the first transaction's header */
		*size_bytes = 40;
		qeff_put_u32(reply + 12, 40);
		qeff_put_u32(reply + 16, 1);
		qeff_put_u32(reply + 36, 8);
		break;
	case QEFF_MALFORM_WRAP:
		wrap(reply, size_bytes);
		break;
	default:
		qeff_put_u32(reply + 12, 0xfffffff0);
		break;
	}
}

static void send_later(struct qeff_channels *c, const uint8_t *reply, size_t size_bytes,
		       uint64_t due_us)
{
	struct qeff_late_reply *r = malloc(sizeof(*r) + size_bytes);

	if (!r)
		return;
	*r = (struct qeff_late_reply){ .next = c->late, .due_us = due_us };
	r->size_bytes = size_bytes;
	memcpy(r->data, reply, size_bytes);
	c->late = r;
}

static void control(struct qeff_vcard *v, const uint8_t *data, size_t size_bytes)
{
	struct qeff_fault_hits hits = qeff_faults_at(&v->faults, QEFF_EVENT_CONTROL);
	uint8_t reply[QEFF_CARD_REPLY_BYTES];
	size_t reply_bytes;

	v->channels.control_messages++;
	if (size_bytes >= 24)
		v->channels.last_user = qeff_get_u32(data + 20);
	qeff_vcard_act(v, &hits);
	/* a QSM that crashes does not answer any more */
	if (hits.actions &
	    (1u << QEFF_FAULT_CRASH_QSM | 1u << QEFF_FAULT_REBOOT_QSM | 1u << QEFF_FAULT_OFF_BUS))
		return;
	reply_bytes = qeff_vcard_control(v, data, size_bytes, reply);
	if (!reply_bytes)
		v->channels.dropped++;
	if (!reply_bytes || qeff_fault_hit(&hits, QEFF_FAULT_DROP))
		return;
	if (qeff_fault_hit(&hits, QEFF_FAULT_MALFORM))
		spoil(reply, &reply_bytes, hits.argument[QEFF_FAULT_MALFORM]);
	if (qeff_fault_hit(&hits, QEFF_FAULT_DELAY))
		send_later(&v->channels, reply, reply_bytes,
			   qeff_vcard_time_us() + 1000 * (uint64_t)hits.argument[QEFF_FAULT_DELAY]);
	else
		qeff_mhi_send(&v->mhi, QEFF_CHANNEL_CONTROL + 1, reply, reply_bytes);
}

uint64_t qeff_channels_release(struct qeff_vcard *v, uint64_t now_us)
{
	struct qeff_late_reply **link = &v->channels.late;
	uint64_t next = UINT64_MAX;

	while (*link) {
		struct qeff_late_reply *r = *link;

		if (r->due_us > now_us) {
			next = r->due_us < next ? r->due_us : next;
			link = &r->next;
			continue;
		}
		*link = r->next;
		qeff_mhi_send(&v->mhi, QEFF_CHANNEL_CONTROL + 1, r->data, r->size_bytes);
		free(r);
		/* sending may have reset the card, and the list with it */
		link = &v->channels.late;
		next = UINT64_MAX;
	}
	return next;
}

/* --- subsystem restart --- */

static void send_restart_event(struct qeff_vcard *v)
{
	uint8_t message[SSR_BYTES];

	qeff_put_u32(message, SSR_EVENT);
	qeff_put_u32(message + 4, sizeof(message));
	qeff_put_u32(message + 8, v->channels.restart_dbc);
	qeff_put_u32(message + 12, v->channels.restart_event);
	v->channels.restarting =
		qeff_mhi_send(&v->mhi, QEFF_CHANNEL_SSR + 1, message, sizeof(message));
}

void qeff_channels_crash_nsp(struct qeff_vcard *v, int dbc)
{
	int crashed = qeff_card_crash_nsp(v->card, dbc);

	if (crashed < 0 || v->channels.restarting)
		return;
	v->channels.restart_dbc = (uint32_t)crashed;
	v->channels.restart_event = SSR_BEFORE_SHUTDOWN;
	send_restart_event(v);
}

/* The host acknowledges each event, whatever it thinks of it; then comes the next. */
static void restart_response(struct qeff_vcard *v, const uint8_t *data, size_t size_bytes)
{
	struct qeff_channels *c = &v->channels;

	if (!c->restarting || size_bytes < SSR_BYTES || qeff_get_u32(data) != SSR_EVENT_RESPONSE ||
	    qeff_get_u32(data + 8) != c->restart_dbc)
		return;
	if (c->restart_event == SSR_AFTER_POWER_UP) {
		c->restarting = false;
		return;
	}
	c->restart_event <<= 1;
	send_restart_event(v);
}

/* --- reports, logs, time --- */

void qeff_channels_ras(struct qeff_vcard *v, uint32_t type, uint32_t source)
{
	uint8_t message[RAS_BYTES] = { 0 };

	qeff_put_u16(message, SYNC_MAGIC);
	qeff_put_u16(message + 2, 1);
	qeff_put_u32(message + 4, ++v->channels.ras_sequence);
	qeff_put_u16(message + 10, RAS_BYTES - 12);
	qeff_put_u32(message + 16, source);
	qeff_put_u32(message + 20, type);
	qeff_put_u32(message + 24, 1);
	qeff_put_u32(message + 28, type == 0);
	qeff_put_u32(message + 32, type != 0);
	qeff_mhi_send(&v->mhi, QEFF_CHANNEL_STATUS + 1, message, sizeof(message));
}

static void send_log(struct qeff_vcard *v, const char *line, int size_bytes)
{
	struct qeff_fault_hits hits = qeff_faults_at(&v->faults, QEFF_EVENT_LOG);

	qeff_vcard_act(v, &hits);
	if (qeff_fault_hit(&hits, QEFF_FAULT_EMPTY))
		qeff_mhi_send(&v->mhi, QEFF_CHANNEL_LOGGING + 1, line, 0);
	qeff_mhi_send(&v->mhi, QEFF_CHANNEL_LOGGING + 1, line, (size_t)size_bytes);
}

/* More messages than a host has buffers, each shorter than the one before: as in the logs of cards,
 * none has an end but its length. */
static void send_boot_log(struct qeff_vcard *v)
{
	static const char dots[] =
		"................................................................"
		"................................";
	char line[160];
	int n;

	n = snprintf(line, sizeof(line), "sbl: %u bytes, crc %08x\n", v->boot.sbl_bytes,
		     v->boot.sbl_crc);
	send_log(v, line, n);
	n = snprintf(line, sizeof(line), "qeff software card %s: %u NSPs, %llu MiB DDR\n",
		     v->config.serial, v->config.nsps,
		     (unsigned long long)(v->config.ddr_bytes >> 20));
	send_log(v, line, n);
	for (int step = 1; step <= 20; step++) {
		n = snprintf(line, sizeof(line), "step %d: %.*s\n", step, 5 * (20 - step) + 1,
			     dots);
		send_log(v, line, n);
	}
}

/* Asks the host for the time; nothing depends on the answer. */
static void ask_time(struct qeff_vcard *v)
{
	uint8_t message[8] = { 0 };

	qeff_put_u16(message, SYNC_MAGIC);
	qeff_mhi_send(&v->mhi, QEFF_CHANNEL_TIMESYNC + 1, message, sizeof(message));
}

void qeff_channels_started(struct qeff_vcard *v, unsigned int channel)
{
	switch (channel) {
	case QEFF_CHANNEL_SAHARA:
	case QEFF_CHANNEL_SAHARA + 1:
		if (qeff_mhi_is_running(&v->mhi, QEFF_CHANNEL_SAHARA) &&
		    qeff_mhi_is_running(&v->mhi, QEFF_CHANNEL_SAHARA + 1))
			qeff_boot_start(&v->boot, &v->mhi);
		break;
	case QEFF_CHANNEL_LOGGING + 1:
		send_boot_log(v);
		break;
	case QEFF_CHANNEL_TIMESYNC + 1:
		ask_time(v);
		break;
	}
}

bool qeff_channels_accept(struct qeff_vcard *v, unsigned int channel)
{
	return v->mhi.channel[channel + 1].num_packets < MAX_WAITING;
}

void qeff_channels_receive(struct qeff_vcard *v, unsigned int channel, const uint8_t *data,
			   size_t size_bytes)
{
	switch (channel) {
	case QEFF_CHANNEL_LOOPBACK:
		qeff_mhi_send(&v->mhi, channel + 1, data, size_bytes);
		break;
	case QEFF_CHANNEL_SAHARA:
		qeff_boot_receive(&v->boot, &v->mhi, data, size_bytes);
		break;
	case QEFF_CHANNEL_SSR:
		restart_response(v, data, size_bytes);
		break;
	case QEFF_CHANNEL_CONTROL:
		control(v, data, size_bytes);
		break;
	case QEFF_CHANNEL_TIMESYNC:
	case QEFF_CHANNEL_PERIODIC:
		v->channels.time_syncs++;
		break;
	default:
		/* the others have nobody who listens */
		break;
	}
}
