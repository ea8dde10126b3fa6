/* SPDX-License-Identifier: MIT */
/*
 * A card that does what a test tells it: the other side of lib/softcard/card.h, for tests of the
 * transport. It reads and writes messages, request elements and responses by their public offsets,
 * with none of the codecs of the library, so that what both sides of the library would misread
 * alike shows here.
 */
#ifndef QEFF_TESTS_SCRIPTED_CARD_H
#define QEFF_TESTS_SCRIPTED_CARD_H

#include "softcard/card.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct script_channel {
	uint64_t requests, responses; /* ring addresses */
	uint32_t elements;
	uint32_t reqhp, reqtp, rsphp, rsptp;
};

struct qeff_card {
	struct qeff_card_host host;
	struct script_channel channels[QEFF_CARD_DBCS];
};

/* What the card shall do, and what it has seen. */
static struct script {
	struct qeff_card *card;
	/* control */
	uint32_t activate_status;
	uint32_t activate_dbc;
	uint32_t deactivate_status;
	uint32_t deactivate_dbc;
	uint32_t status_version; /* major | minor << 16 */
	uint32_t reply_extra;	 /* passthrough bytes added to each reply */
	int drop_replies;
	int wrong_sequence;
	uint64_t cont_error; /* added to what DMA_XFER_CONT acknowledges */
	unsigned int messages;
	uint8_t message[65536];
	size_t message_bytes;
	uint64_t transfer_bytes; /* of all segments, all parts */
	uint64_t transfer_sum;	 /* of their bytes */
	uint32_t first_chunk_id, chunks, segments;
	/* data */
	int hold;	   /* elements stay in the ring until script_run() */
	int fail_elements; /* how many completions shall fail */
	uint8_t elements[256][64];
	unsigned int num_elements;
	unsigned int interrupts;
} script;

static inline uint32_t le32(const uint8_t *at)
{
	return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static inline uint64_t le64(const uint8_t *at)
{
	return le32(at) | (uint64_t)le32(at + 4) << 32;
}

static inline void put32(uint8_t *at, uint32_t value)
{
	for (int i = 0; i < 4; i++)
		at[i] = (uint8_t)(value >> (8 * i));
}

static inline void put64(uint8_t *at, uint64_t value)
{
	put32(at, (uint32_t)value);
	put32(at + 4, (uint32_t)(value >> 32));
}

static inline void script_reset(void)
{
	struct qeff_card *card = script.card;

	memset(&script, 0, sizeof(script));
	script.card = card;
	script.status_version = 5;
}

int qeff_card_new(const struct qeff_card_config *config, const struct qeff_card_host *host,
		  struct qeff_card **card, struct qeff_error *err)
{
	*card = calloc(1, sizeof(**card));
	(*card)->host = *host;
	script.card = *card;
	return 0;
}

void qeff_card_free(struct qeff_card *card)
{
	script.card = NULL;
	free(card);
}

void qeff_card_reset(struct qeff_card *card)
{
}

void qeff_card_counters(struct qeff_card *card, struct qeff_card_counters *counters)
{
	memset(counters, 0, sizeof(*counters));
}

/* Reads the segments of a DMA_XFER_TO_DEV at @t. Returns the bytes described so far. */
static inline uint64_t script_transfer(struct qeff_card *card, const uint8_t *t)
{
	uint32_t count = le32(t + 12);

	for (uint32_t i = 0; i < count; i++) {
		uint64_t address = le64(t + 24 + 16 * i), size = le64(t + 32 + 16 * i);
		const uint8_t *data = card->host.translate(card->host.user, address, size, false);

		if (!data)
			abort();
		for (uint64_t j = 0; j < size; j++)
			script.transfer_sum += data[j];
		script.transfer_bytes += size;
		script.segments++;
	}
	return script.transfer_bytes;
}

/* The total size of the transfer, which the command beside it tells: the last 8 bytes of the
 * passthrough's payload. Kept between parts. */
static uint64_t script_expected_bytes;

size_t qeff_card_control(struct qeff_card *card, const void *message, size_t size_bytes,
			 void *reply)
{
	const uint8_t *m = message;
	uint8_t *r = reply, *out = r + 32;
	uint32_t count = 0;
	int want_cont = 0;
	uint32_t chunk = 0;

	script.messages++;
	memcpy(script.message, message, size_bytes);
	script.message_bytes = size_bytes;
	if (script.drop_replies || le32(m + 4) != 0x43494151 || le32(m + 12) != size_bytes)
		return 0;
	memset(r, 0, QEFF_CARD_REPLY_BYTES);
	for (size_t at = 32; at < size_bytes; at += le32(m + at + 4)) {
		const uint8_t *t = m + at;
		uint32_t length = le32(t + 4);

		switch (le32(t)) {
		case 4: /* passthrough: echoed; L3 command 11 gives the channel back */
			put32(out, 3);
			put32(out + 4, length);
			memcpy(out + 8, t + 8, length - 8);
			if (length >= 16)
				script_expected_bytes = le64(t + length - 8);
			out += length;
			count++;
			if (length >= 12 && le32(t + 8) == 11) {
				put32(out, 11);
				put32(out + 4, 16);
				put32(out + 8, script.deactivate_status);
				put32(out + 12, script.deactivate_dbc);
				out += 16;
				count++;
			}
			break;
		case 6:
			chunk = le32(t + 16);
			if (chunk && !script.first_chunk_id)
				script.first_chunk_id = chunk;
			script.chunks += chunk != 0;
			want_cont = script_transfer(card, t) < script_expected_bytes && chunk;
			if (size_bytes == 32 + length && !want_cont) { /* the last part */
				put32(out, 3);
				put32(out + 4, 16);
				out += 16;
				count++;
			}
			break;
		case 9:
			put32(out, 8);
			put32(out + 4, 24);
			put32(out + 8, script.activate_status);
			put32(out + 12, script.activate_dbc);
			out += 24;
			count++;
			if (!script.activate_status && script.activate_dbc < QEFF_CARD_DBCS)
				card->channels[script.activate_dbc] = (struct script_channel){
					.requests = le64(t + 8),
					.responses = le64(t + 16),
					.elements = le32(t + 24),
				};
			break;
		case 15:
			put32(out, 14);
			put32(out + 4, 24);
			put32(out + 8, script.status_version);
			out += 24;
			count++;
			break;
		case 17:
			put32(out, 16);
			put32(out + 4, 16);
			out += 16;
			count++;
			break;
		}
	}
	if (want_cont) {
		out = r + 32;
		memset(out, 0, QEFF_CARD_REPLY_BYTES - 32);
		put32(out, 18);
		put32(out + 4, 24);
		put32(out + 8, chunk);
		put64(out + 16, script.transfer_bytes + script.cont_error);
		out += 24;
		count = 1;
	}
	if (script.reply_extra) {
		put32(out, 3);
		put32(out + 4, script.reply_extra);
		out += script.reply_extra;
		count++;
	}
	put32(r + 4, 0x43494151);
	put32(r + 8, le32(m + 8) + (script.wrong_sequence ? 1 : 0));
	put32(r + 12, (uint32_t)(out - r));
	put32(r + 16, count);
	put32(r + 20, le32(m + 20));
	return (size_t)(out - r);
}

uint32_t qeff_card_dbc_read(struct qeff_card *card, unsigned int dbc, uint32_t offset)
{
	const struct script_channel *c = &card->channels[dbc];

	switch (offset) {
	case 0x0:
		return __atomic_load_n(&c->reqhp, __ATOMIC_ACQUIRE);
	case 0x4:
		return c->reqtp;
	case 0x8:
		return c->rsphp;
	default:
		return __atomic_load_n(&c->rsptp, __ATOMIC_ACQUIRE);
	}
}

/* Takes up to @limit elements from the ring and completes those that ask for it. */
static inline void script_run(unsigned int dbc, unsigned int limit)
{
	struct qeff_card *card = script.card;
	struct script_channel *c = &card->channels[dbc];

	while (c->reqhp != c->reqtp && limit-- > 0) {
		const uint8_t *e = card->host.translate(card->host.user,
							c->requests + 64 * c->reqhp, 64, false);
		uint8_t *response =
			card->host.translate(card->host.user, c->responses + 4 * c->rsptp, 4, true);
		int was_empty = c->rsptp == c->rsphp;
		uint8_t command;

		if (!e || !response)
			abort();
		memcpy(script.elements[script.num_elements++ % 256], e, 64);
		command = e[3];
		memcpy(response, e, 2);
		response[2] = response[3] = 0;
		__atomic_store_n(&c->reqhp, (c->reqhp + 1) % c->elements, __ATOMIC_RELEASE);
		if (!(command & 0x10))
			continue;
		if (script.fail_elements > 0) {
			script.fail_elements--;
			response[2] = 7;
		}
		__atomic_store_n(&c->rsptp, (c->rsptp + 1) % c->elements, __ATOMIC_RELEASE);
		if (was_empty) {
			script.interrupts++;
			card->host.interrupt(card->host.user, dbc + 1);
		}
	}
}

void qeff_card_dbc_write(struct qeff_card *card, unsigned int dbc, uint32_t offset, uint32_t value)
{
	struct script_channel *c = &card->channels[dbc];

	if (offset == 0x4) {
		c->reqtp = value;
		if (!script.hold)
			script_run(dbc, UINT32_MAX);
	} else if (offset == 0x8) {
		c->rsphp = value;
	}
}

#endif
