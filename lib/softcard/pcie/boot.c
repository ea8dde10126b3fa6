/* SPDX-License-Identifier: MIT */
/* Sahara, the device's side. */
#include "softcard/pcie/boot.h"

#include "util/bytes.h"
#include "util/checked.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define HELLO	     0x1u
#define HELLO_RESP   0x2u
#define READ_DATA    0x3u
#define END_OF_IMAGE 0x4u
#define DONE	     0x5u
#define DONE_RESP    0x6u
#define RESET	     0x7u

#define HELLO_BYTES	0x30u
#define READ_DATA_BYTES 0x14u
#define END_BYTES	0x10u
#define DONE_BYTES	0x8u
#define DONE_RESP_BYTES 0xcu
#define RESET_BYTES	0x8u
#define VERSION		2u
#define MAX_PACKET	0x1000u
#define MAX_READ	0x80000u

#define HEADER_BYTES	64u
#define MAX_IMAGE_BYTES (UINT64_C(256) << 20)
#define MAX_SBL_BYTES	(16u << 20)

int qeff_boot_init(struct qeff_boot *b, const char *images, struct qeff_error *err)
{
	const char *at = images ? images : "1,2,5,9,10";
	unsigned long id;
	char *end;

	memset(b, 0, sizeof(*b));
	if (!strcmp(at, "none"))
		return 0;
	for (;; at = end + 1) {
		id = strtoul(at, &end, 10);
		if (*at < '0' || *at > '9' || id > 31 || (*end && *end != ',') ||
		    b->num_images == QEFF_BOOT_MAX_IMAGES)
			return qeff_error_set(
				err, -EINVAL,
				"images: \"%s\", expected \"none\" or up to %u numbers below 32",
				images, QEFF_BOOT_MAX_IMAGES);
		b->images[b->num_images++] = (uint8_t)id;
		if (!*end)
			return 0;
	}
}

bool qeff_boot_sbl(struct qeff_boot *b, struct qeff_dma *dma, uint64_t address, uint32_t size_bytes)
{
	const void *data;

	if (!size_bytes || size_bytes > MAX_SBL_BYTES)
		return false;
	data = qeff_dma_find(dma, address, size_bytes, false);
	if (!data)
		return false;
	b->sbl_bytes = size_bytes;
	b->sbl_crc = (uint32_t)crc32(0, data, size_bytes);
	return true;
}

void qeff_boot_reset(struct qeff_boot *b)
{
	b->stage = QEFF_BOOT_IDLE;
	b->at = 0;
	b->loaded = b->refused = 0;
}

static void send(struct qeff_mhi *mhi, void *packet, uint32_t command, uint32_t size_bytes)
{
	qeff_put_u32(packet, command);
	qeff_put_u32((uint8_t *)packet + 4, size_bytes);
	/* a host that lets its packets pile up waits for ever, as it would for a real card */
	qeff_mhi_send(mhi, QEFF_CHANNEL_SAHARA + 1, packet, size_bytes);
}

static void hello(struct qeff_boot *b, struct qeff_mhi *mhi)
{
	uint8_t packet[HELLO_BYTES] = { 0 };

	qeff_put_u32(packet + 8, VERSION);
	qeff_put_u32(packet + 12, VERSION);
	qeff_put_u32(packet + 16, MAX_PACKET);
	b->stage = QEFF_BOOT_HELLO;
	send(mhi, packet, HELLO, sizeof(packet));
}

void qeff_boot_start(struct qeff_boot *b, struct qeff_mhi *mhi)
{
	if (mhi->ee == QEFF_EE_SBL && b->stage == QEFF_BOOT_IDLE && b->at < b->num_images)
		hello(b, mhi);
}

static void read_data(struct qeff_boot *b, struct qeff_mhi *mhi, uint64_t offset,
		      uint64_t size_bytes)
{
	uint8_t packet[READ_DATA_BYTES] = { 0 };

	/* as long as a RESET: data of that length would be taken for one */
	if (size_bytes > MAX_READ)
		size_bytes = b->image_bytes - offset - MAX_READ == RESET_BYTES ? MAX_READ - 16
									       : MAX_READ;
	b->stage = QEFF_BOOT_READ;
	b->offset = offset;
	b->expected_bytes = size_bytes;
	qeff_put_u32(packet + 8, b->images[b->at]);
	qeff_put_u32(packet + 12, (uint32_t)offset);
	qeff_put_u32(packet + 16, (uint32_t)size_bytes);
	send(mhi, packet, READ_DATA, sizeof(packet));
}

static void end_image(struct qeff_boot *b, struct qeff_mhi *mhi)
{
	uint8_t packet[END_BYTES] = { 0 };

	b->stage = QEFF_BOOT_END;
	qeff_put_u32(packet + 8, b->images[b->at]);
	send(mhi, packet, END_OF_IMAGE, sizeof(packet));
}

/* Where the program header table is, and where it ends; 0 for what is no ELF file, or an impossible
 * one. The host never sends past the end of its file, so this must be exact. */
static uint64_t table_end(const uint8_t *header, uint64_t *table, uint32_t *entry_bytes)
{
	bool is_64 = header[EI_CLASS] == ELFCLASS64;
	uint32_t entries;
	uint64_t end;

	if (memcmp(header, ELFMAG, SELFMAG) || (!is_64 && header[EI_CLASS] != ELFCLASS32))
		return 0;
	*table = is_64 ? qeff_get_u64(header + offsetof(Elf64_Ehdr, e_phoff))
		       : qeff_get_u32(header + offsetof(Elf32_Ehdr, e_phoff));
	entries = qeff_get_u16(
		header + (is_64 ? offsetof(Elf64_Ehdr, e_phnum) : offsetof(Elf32_Ehdr, e_phnum)));
	*entry_bytes = is_64 ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr);
	if (!entries || *table > MAX_IMAGE_BYTES)
		return 0;
	end = *table + (uint64_t)entries * *entry_bytes;
	return end - *table <= MAX_READ ? end : 0;
}

static uint64_t segments_end(const uint8_t *table, uint32_t entry_bytes, uint32_t entries)
{
	bool is_64 = entry_bytes == sizeof(Elf64_Phdr);
	uint64_t most = 0, end;

	for (; entries; entries--, table += entry_bytes) {
		uint64_t offset = is_64 ? qeff_get_u64(table + offsetof(Elf64_Phdr, p_offset))
					: qeff_get_u32(table + offsetof(Elf32_Phdr, p_offset));
		uint64_t size = is_64 ? qeff_get_u64(table + offsetof(Elf64_Phdr, p_filesz))
				      : qeff_get_u32(table + offsetof(Elf32_Phdr, p_filesz));

		if (!qeff_add_u64(offset, size, &end) || end > MAX_IMAGE_BYTES)
			return 0;
		if (size && end > most)
			most = end;
	}
	return most;
}

/* First the header, then the table, then all of it from the beginning. */
static void take_data(struct qeff_boot *b, struct qeff_mhi *mhi, const uint8_t *data)
{
	uint64_t table = 0, end;

	if (b->headers) {
		b->crc = (uint32_t)crc32(b->crc, data, (uInt)b->expected_bytes);
		b->offset += b->expected_bytes;
		if (b->offset < b->image_bytes)
			read_data(b, mhi, b->offset, b->image_bytes - b->offset);
		else
			end_image(b, mhi);
		return;
	}
	if (!b->offset && !b->image_bytes) {
		end = table_end(data, &table, &b->entry_bytes);
		if (!end) {
			/* a file of another kind: it is enough that it is there */
			end_image(b, mhi);
			return;
		}
		b->image_bytes = end;
		read_data(b, mhi, table, end - table);
		return;
	}
	end = segments_end(data, b->entry_bytes, (uint32_t)(b->expected_bytes / b->entry_bytes));
	if (end > b->image_bytes)
		b->image_bytes = end;
	b->headers = true;
	read_data(b, mhi, 0, b->image_bytes);
}

static void first_read(struct qeff_boot *b, struct qeff_mhi *mhi)
{
	b->image_bytes = 0;
	b->headers = false;
	b->crc = 0;
	read_data(b, mhi, 0, HEADER_BYTES);
}

/* The host is done with an image, or has none. */
static void next_image(struct qeff_boot *b, struct qeff_mhi *mhi, bool was_loaded)
{
	uint8_t packet[DONE_RESP_BYTES] = { 0 };
	uint32_t bit = 1u << b->images[b->at];
	bool last;

	if (was_loaded)
		b->loaded |= bit;
	else
		b->refused |= bit;
	last = ++b->at == b->num_images;
	if (was_loaded) {
		qeff_put_u32(packet + 8, last);
		send(mhi, packet, DONE_RESP, sizeof(packet));
	}
	b->stage = QEFF_BOOT_IDLE;
	if (last)
		qeff_mhi_enter(mhi, QEFF_EE_AMSS);
	else
		hello(b, mhi);
}

void qeff_boot_receive(struct qeff_boot *b, struct qeff_mhi *mhi, const uint8_t *data,
		       size_t size_bytes)
{
	uint32_t command = size_bytes >= 8 ? qeff_get_u32(data) : 0;
	bool whole = size_bytes >= 8 && qeff_get_u32(data + 4) == size_bytes;

	if (b->stage == QEFF_BOOT_IDLE)
		return;
	if (b->stage == QEFF_BOOT_READ && size_bytes == b->expected_bytes) {
		take_data(b, mhi, data);
		return;
	}
	/* Malformed packets are ignored, as the host does it. */
	if (!whole)
		return;
	if (command == RESET && size_bytes == RESET_BYTES)
		next_image(b, mhi, false);
	else if (command == HELLO_RESP && size_bytes == HELLO_BYTES &&
		 b->stage == QEFF_BOOT_HELLO && qeff_get_u32(data + 8) == VERSION &&
		 !qeff_get_u32(data + 16))
		first_read(b, mhi);
	else if (command == DONE && size_bytes == DONE_BYTES && b->stage == QEFF_BOOT_END)
		next_image(b, mhi, true);
}
