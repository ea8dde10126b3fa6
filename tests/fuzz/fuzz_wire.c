/* SPDX-License-Identifier: MIT */
/*
 * A host that lies: control messages to a software card, and request elements in its rings. The
 * input is a number of messages (u16), each with its size before it (u16), then the host's memory.
 * What a message must have to be looked at at all (magic, length, sequence number, CRC) is put
 * right, unless the size's top bit is set.
 */
#include "fuzz.h"

#include "nnc/wire.h"
#include "softcard/card.h"
#include "util/bytes.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define RAM_BYTES (256u << 10)
#define RAM_BASE  UINT64_C(0x500000000)
#define MESSAGES  64u

static uint8_t ram[RAM_BYTES];
static struct qeff_card *card;
static uint32_t sequence;

static void *translate(void *user, uint64_t address, size_t size_bytes, bool device_writes)
{
	if (address < RAM_BASE || address - RAM_BASE > RAM_BYTES ||
	    size_bytes > RAM_BYTES - (address - RAM_BASE))
		return NULL;
	return ram + (address - RAM_BASE);
}

static void interrupt(void *user, unsigned int vector)
{
	fuzz_require(vector <= QEFF_CARD_DBCS, "interrupt %u", vector);
}

static uint64_t time_us(void *user)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void open_card(void)
{
	const struct qeff_card_config config = {
		.nsps = 4, .ddr_bytes = 64u << 20, .sku = 2, .serial = "F0001"
	};
	const struct qeff_card_host host = { .translate = translate,
					     .interrupt = interrupt,
					     .time_us = time_us };

	fuzz_require(!qeff_card_new(&config, &host, &card, NULL), "no card");
}

static void send(const uint8_t *message, size_t size, bool as_is)
{
	static uint8_t reply[QEFF_CARD_REPLY_BYTES];
	struct qeff_transaction_reader transactions;
	struct qeff_wire_header header;
	uint8_t *copy = malloc(size ? size : 1);
	struct qeff_error err = { 0 };
	size_t answered;

	fuzz_require(copy, "no memory");
	memcpy(copy, message, size);
	if (!as_is && size >= 32) {
		qeff_put_u32(copy + 4, QEFF_WIRE_MAGIC);
		qeff_put_u32(copy + 8, ++sequence);
		qeff_put_u32(copy + 12, (uint32_t)size);
		qeff_put_u32(copy, qeff_wire_crc(copy, size));
	}
	memset(reply, 0xee, sizeof(reply));
	answered = qeff_card_control(card, copy, size, reply);
	fuzz_require(answered <= sizeof(reply), "a reply of %zu bytes", answered);
	if (answered) {
		fuzz_require(!qeff_wire_parse(reply, answered, false, &header, &transactions, &err),
			     "reply: %s", err.message);
		fuzz_ran();
	} else {
		fuzz_num_refused++;
	}
	free(copy);
}

size_t fuzz_regions(const uint8_t *data, size_t size, struct fuzz_region *regions)
{
	struct qeff_reader r = qeff_reader_of(data, size);
	uint32_t messages = qeff_read_u16(&r);
	size_t count = 0;

	for (uint32_t i = 0; i < messages && i < FUZZ_MAX_REGIONS - 1; i++) {
		uint32_t bytes = qeff_read_u16(&r) & 0x7fff;
		size_t at = r.offset;

		if (!qeff_read_bytes(&r, bytes))
			break;
		/* not the header, which is put right anyway */
		if (bytes > 32)
			regions[count++] = (struct fuzz_region){ at + 16, bytes - 16 };
	}
	/* the rings, and what the messages point to */
	regions[count++] = (struct fuzz_region){ r.offset < size ? r.offset : 0, 8192 };
	return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct qeff_reader r = qeff_reader_of(data, size);
	uint32_t messages = qeff_read_u16(&r);
	struct {
		const uint8_t *data;
		uint32_t size;
		bool as_is;
	} list[MESSAGES];
	uint32_t count = 0;

	if (!card)
		open_card();
	while (count < messages && count < MESSAGES) {
		uint32_t bytes = qeff_read_u16(&r);

		list[count].size = bytes & 0x7fff;
		list[count].as_is = bytes & 0x8000;
		list[count].data = qeff_read_bytes(&r, list[count].size);
		if (!list[count].data)
			break;
		count++;
	}
	memset(ram, 0, sizeof(ram));
	if (!r.failed)
		memcpy(ram, data + r.offset,
		       size - r.offset < sizeof(ram) ? size - r.offset : sizeof(ram));
	for (uint32_t i = 0; i < count; i++) {
		send(list[i].data, list[i].size, list[i].as_is);
		/* doorbells between the last messages: channels may be active by then */
		for (unsigned int dbc = 0; i + 3 >= count && dbc < 2; dbc++) {
			qeff_card_dbc_write(card, dbc, 4, 4 + (uint32_t)size % 8);
			qeff_card_dbc_read(card, dbc, 12);
			qeff_card_dbc_write(card, dbc, 8, (uint32_t)size % 4);
		}
	}
	qeff_card_reset(card);
	return 0;
}
