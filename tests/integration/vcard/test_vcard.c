/* SPDX-License-Identifier: MIT */
/* The card on its bus, as a host meets it: config space, boot, channels, faults. */
#include "mhi_host.h"

#include "util/bytes.h"

#include <elf.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void open_both(struct server *s, struct client *c, const char *faults, const char *images)
{
	server_start(s, faults, images);
	client_open(c, s);
	client_map_ram(c, false);
}

static void close_both(struct server *s, struct client *c)
{
	client_close(c);
	server_stop(s);
}

static void config_space(void)
{
	uint8_t m[16] = { 0 }, reply[16 + 4096];
	struct server s;
	struct client c;
	size_t got;

	open_both(&s, &c, NULL, NULL);
	CU_ASSERT_EQUAL(client_read(&c, CONFIG_REGION, 0, 4), 0xa10017cb);
	CU_ASSERT_EQUAL(client_read(&c, CONFIG_REGION, 8, 4) >> 16, 0x1200);
	/* BARs 0, 2, 4: memory, 64 bits wide */
	for (uint32_t i = 0; i < 6; i++)
		CU_ASSERT_EQUAL(client_read(&c, CONFIG_REGION, 0x10 + 4 * i, 4), i % 2 ? 0 : 4);
	CU_ASSERT_EQUAL(client_read(&c, CONFIG_REGION, 0x30, 4), 0);
	CU_ASSERT_EQUAL(client_read(&c, CONFIG_REGION, 0x34, 1), 0x50);
	CU_ASSERT_EQUAL(client_read(&c, CONFIG_REGION, 0x50, 4), 0x018a7005);
	CU_ASSERT_EQUAL(client_read(&c, CONFIG_REGION, 0x70, 2), 0x0010);
	/* no function level reset */
	CU_ASSERT_EQUAL(client_read(&c, CONFIG_REGION, 0x74, 4) >> 28 & 1, 0);
	/* sizing writes */
	client_write(&c, CONFIG_REGION, 0x18, 0xffffffff, 4);
	CU_ASSERT_EQUAL(client_read(&c, CONFIG_REGION, 0x18, 4), 0xffe00004);
	client_write(&c, CONFIG_REGION, 0, 0xffffffff, 4);
	CU_ASSERT_EQUAL(client_read(&c, CONFIG_REGION, 0, 4), 0xa10017cb);
	/* all of it at once */
	qeff_put_u32(m + 8, CONFIG_REGION);
	qeff_put_u32(m + 12, 4096);
	CU_ASSERT_EQUAL(client_call(&c, VFIO_REGION_READ, m, sizeof(m), NULL, 0, reply,
				    sizeof(reply), &got),
			0);
	CU_ASSERT_EQUAL(got, sizeof(reply));
	CU_ASSERT_EQUAL(qeff_get_u32(reply + 16), 0xa10017cb);
	CU_ASSERT_EQUAL(qeff_get_u32(reply + 16 + 256), 0);
	close_both(&s, &c);
}

static void device_info(void)
{
	static const uint64_t sizes[9] = { 4096, 0, 2 << 20, 0, 65536, 0, 0, 4096, 0 };
	uint8_t m[32] = { 0 }, reply[32];
	struct server s;
	struct client c;

	open_both(&s, &c, NULL, NULL);
	CU_ASSERT_EQUAL(client_call(&c, VFIO_GET_INFO, m, 16, NULL, 0, reply, 16, NULL), 0);
	CU_ASSERT_EQUAL(qeff_get_u32(reply + 4), 3);
	CU_ASSERT_EQUAL(qeff_get_u32(reply + 8), 9);
	CU_ASSERT_EQUAL(qeff_get_u32(reply + 12), 5);
	for (uint32_t i = 0; i < 9; i++) {
		qeff_put_u32(m, 32);
		qeff_put_u32(m + 8, i);
		CU_ASSERT_EQUAL(
			client_call(&c, VFIO_GET_REGION_INFO, m, 32, NULL, 0, reply, 32, NULL), 0);
		CU_ASSERT_EQUAL(qeff_get_u64(reply + 16), sizes[i]);
		CU_ASSERT_EQUAL(qeff_get_u32(reply + 4), sizes[i] ? 3 : 0);
	}
	qeff_put_u32(m + 8, 1);
	CU_ASSERT_EQUAL(client_call(&c, VFIO_GET_IRQ_INFO, m, 16, NULL, 0, reply, 16, NULL), 0);
	CU_ASSERT_EQUAL(qeff_get_u32(reply + 12), 32);
	qeff_put_u32(m + 8, 3);
	CU_ASSERT_EQUAL(client_call(&c, VFIO_GET_IRQ_INFO, m, 16, NULL, 0, reply, 16, NULL), 0);
	CU_ASSERT_EQUAL(qeff_get_u32(reply + 12), 0);
	close_both(&s, &c);
}

/* An ELF file of 64 bits with one segment, which needs two reads. */
static const uint8_t *make_elf(size_t *size_bytes)
{
	static uint8_t file[0x80000 + 5000];
	Elf64_Ehdr header = { .e_phoff = 64, .e_phnum = 1, .e_phentsize = sizeof(Elf64_Phdr) };
	Elf64_Phdr segment = { .p_type = PT_LOAD, .p_offset = 4096 };

	segment.p_filesz = sizeof(file) - 4096;
	memcpy(header.e_ident, ELFMAG, SELFMAG);
	header.e_ident[EI_CLASS] = ELFCLASS64;
	memcpy(file, &header, sizeof(header));
	memcpy(file + 64, &segment, sizeof(segment));
	*size_bytes = sizeof(file);
	return file;
}

/* Image 1 is an ELF file, 2 something else, 5 too short for a header; the others are missing. */
static void give_images(struct mhi_host *h)
{
	static const uint8_t text[64] = "not an executable";

	h->image[1] = make_elf(&h->image_bytes[1]);
	h->image[2] = text;
	h->image_bytes[2] = sizeof(text);
	h->image[5] = text;
	h->image_bytes[5] = 5;
}

static uint32_t stats_number(const struct server *s, const char *key)
{
	char text[16384] = "", pattern[64], *at;
	FILE *f = fopen(s->stats, "r");

	if (!f)
		return 0;
	if (!fread(text, 1, sizeof(text) - 1, f))
		text[0] = 0;
	fclose(f);
	snprintf(pattern, sizeof(pattern), "\"%s\": ", key);
	at = strstr(text, pattern);
	return at ? (uint32_t)strtoul(at + strlen(pattern), NULL, 10) : UINT32_MAX;
}

static void whole_boot(void)
{
	uint8_t message[64] = { 0 };
	struct mhi_host h;
	struct server s;
	struct client c;
	uint32_t before;

	open_both(&s, &c, NULL, NULL);
	host_open(&h, &c, 32);
	give_images(&h);
	CU_ASSERT_EQUAL(host_environment(&h), EE_PBL);
	CU_ASSERT_EQUAL(host_state(&h), 0);
	CU_ASSERT_FATAL(host_boot_sbl(&h));
	CU_ASSERT_FATAL(host_to_m0(&h));
	CU_ASSERT_EQUAL(h.environment, EE_SBL);
	/* a channel of AMSS is not there yet; the log is */
	CU_ASSERT_FALSE(host_start(&h, 10, CONTROL_ELEMENTS, 0));
	CU_ASSERT_TRUE(host_start(&h, 13, CHANNEL_ELEMENTS, 16));
	CU_ASSERT_TRUE(host_receive(&h, 13));
	CU_ASSERT(!memcmp(h.received, "sbl: 70000 bytes", 16));
	CU_ASSERT_TRUE(host_receive(&h, 13));
	CU_ASSERT(!memcmp(h.received, "qeff software card VC1: 16 NSPs", 31));
	CU_ASSERT_FATAL(host_boot_amss(&h));
	CU_ASSERT_EQUAL(h.images_done, 2);
	/* the clock runs */
	before = host_mhi_read(&h, 0xa28);
	CU_ASSERT_NOT_EQUAL(host_mhi_read(&h, 0xa28), before);

	CU_ASSERT_FATAL(host_open_control(&h));
	/* what the card says of itself: a STATUS command in a passthrough */
	qeff_put_u32(message + 16, 1);
	qeff_put_u32(message + 32, 4);
	qeff_put_u32(message + 36, 24);
	qeff_put_u32(message + 40, 13);
	CU_ASSERT_TRUE(host_control(&h, message, 56));
	CU_ASSERT_EQUAL(h.received_bytes, 32 + 8 + 504);
	CU_ASSERT_EQUAL(qeff_get_u32(h.received + 40), 14);
	CU_ASSERT(!memcmp(h.received + 40 + 16 + 116, "VC1", 4));
	CU_ASSERT_EQUAL(h.received[40 + 16 + 152 + 14], 16);
	close_both(&s, &c);
}

static void counted(void)
{
	struct mhi_host h;
	struct server s;
	struct client c;

	server_start(&s, NULL, "1,2,5");
	client_open(&c, &s);
	client_map_ram(&c, false);
	host_open(&h, &c, 1);
	give_images(&h);
	CU_ASSERT_FATAL(host_boot(&h));
	qeff_vcard_stop(s.vcard);
	pthread_join(s.thread, NULL);
	CU_ASSERT_EQUAL(stats_number(&s, "images_loaded"), 6);
	CU_ASSERT_EQUAL(stats_number(&s, "images_refused"), 32);
	CU_ASSERT_EQUAL(stats_number(&s, "boots"), 1);
	CU_ASSERT_EQUAL(stats_number(&s, "environment"), 2);
	CU_ASSERT_EQUAL(stats_number(&s, "maps"), 1);
	client_close(&c);
	qeff_vcard_free(s.vcard);
	unlink(s.trace);
	unlink(s.stats);
	rmdir(s.dir);
}

static void loopback(void)
{
	struct mhi_host h;
	struct server s;
	struct client c;
	uint64_t at;

	open_both(&s, &c, NULL, "none");
	host_open(&h, &c, 32);
	CU_ASSERT_FATAL(host_boot_sbl(&h) && host_to_m0(&h));
	CU_ASSERT_EQUAL(h.environment, EE_AMSS);
	CU_ASSERT_FATAL(host_start(&h, 0, CHANNEL_ELEMENTS, 0));
	CU_ASSERT_FATAL(host_start(&h, 1, CHANNEL_ELEMENTS, 2));
	at = guest_alloc(&c, 8192, 4096);
	for (uint32_t i = 0; i < 8192; i++)
		guest(&c, at)[i] = (uint8_t)(i * 13 + i / 251);
	/* more than both rings hold, so that all indexes wrap; in pieces, and from odd addresses */
	for (uint32_t i = 0; i < 100; i++) {
		uint32_t size = 1 + i * 40;

		CU_ASSERT_TRUE_FATAL(host_send(&h, 0, at + i, size, 1000));
		CU_ASSERT_TRUE_FATAL(host_receive(&h, 1));
		CU_ASSERT_EQUAL(h.received_code, 2);
		CU_ASSERT_EQUAL(h.received_bytes, size);
		CU_ASSERT(!memcmp(h.received, guest(&c, at + i), size));
	}
	/* longer than a buffer: cut off, and said so */
	CU_ASSERT_TRUE(host_send(&h, 0, at, 4097, 8192));
	CU_ASSERT_TRUE(host_receive(&h, 1));
	CU_ASSERT_EQUAL(h.received_code, 3);
	CU_ASSERT_EQUAL(h.received_bytes, 4096);
	/* stopped, and started from the beginning */
	CU_ASSERT_EQUAL(host_command(&h, 17, 0), 1);
	CU_ASSERT_EQUAL(host_command(&h, 16, 0), 1);
	CU_ASSERT_TRUE(host_start(&h, 0, CHANNEL_ELEMENTS, 0));
	CU_ASSERT_TRUE(host_send(&h, 0, at, 10, 10));
	CU_ASSERT_TRUE(host_receive(&h, 1));
	CU_ASSERT_EQUAL(h.received_bytes, 10);
	/* unknown channels and commands */
	CU_ASSERT_EQUAL(host_command(&h, 18, 60), 0x10);
	CU_ASSERT_EQUAL(host_command(&h, 99, 0), 0x10);
	CU_ASSERT_EQUAL(host_command(&h, 1, 0), 1);
	close_both(&s, &c);
}

/* One message stands for all: what DMA bridge channels raise arrives as message 0. */
static void one_message(void)
{
	struct mhi_host h;
	struct server s;
	struct client c;

	open_both(&s, &c, NULL, "none");
	host_open(&h, &c, 1);
	CU_ASSERT_TRUE(host_boot_sbl(&h) && host_to_m0(&h) && host_open_control(&h));
	close_both(&s, &c);
}

static void masked(void)
{
	struct mhi_host h;
	struct server s;
	struct client c;
	uint64_t image;

	open_both(&s, &c, NULL, "none");
	host_open(&h, &c, 32);
	client_write(&c, CONFIG_REGION, 0x60, 1, 4);
	image = guest_alloc(&c, 4096, 4096);
	host_mhi_write(&h, h.bhi + 0x0c, (uint32_t)(image >> 32));
	host_mhi_write(&h, h.bhi + 0x08, (uint32_t)image);
	host_mhi_write(&h, h.bhi + 0x10, 4096);
	host_mhi_write(&h, h.bhi + 0x18, 1);
	CU_ASSERT_FALSE(client_poll(&c, 0));
	CU_ASSERT_EQUAL(client_read(&c, CONFIG_REGION, 0x64, 4), 1);
	client_write(&c, CONFIG_REGION, 0x60, 0, 4);
	CU_ASSERT_TRUE(client_poll(&c, 0));
	CU_ASSERT_EQUAL(client_read(&c, CONFIG_REGION, 0x64, 4), 0);
	close_both(&s, &c);
}

static void bad_images(void)
{
	struct mhi_host h;
	struct server s;
	struct client c;

	open_both(&s, &c, NULL, NULL);
	host_open(&h, &c, 32);
	host_mhi_write(&h, h.bhi + 0x0c, 0xffff);
	host_mhi_write(&h, h.bhi + 0x08, 0);
	host_mhi_write(&h, h.bhi + 0x10, 4096);
	host_mhi_write(&h, h.bhi + 0x18, 1);
	CU_ASSERT_TRUE(client_wait(&c, 0));
	CU_ASSERT_EQUAL(host_mhi_read(&h, h.bhi + 0x2c) >> 30, 3);
	CU_ASSERT_NOT_EQUAL(host_mhi_read(&h, h.bhi + 0x30), 0);
	CU_ASSERT_EQUAL(host_mhi_read(&h, 0x48) & 1, 0);
	CU_ASSERT_FATAL(host_boot_sbl(&h));
	close_both(&s, &c);
}

/* What a driver does that is unloaded, and what it does that finds the card in SBL. */
static void resets(void)
{
	struct mhi_host h;
	struct server s;
	struct client c;

	open_both(&s, &c, NULL, NULL);
	host_open(&h, &c, 32);
	CU_ASSERT_FATAL(host_boot(&h));
	host_mhi_write(&h, 0x38, 2);
	CU_ASSERT_EQUAL(host_mhi_read(&h, 0x38) & 2, 0);
	CU_ASSERT_EQUAL(host_environment(&h), EE_AMSS);
	CU_ASSERT_EQUAL(host_mhi_read(&h, 0x48) & 1, 1);
	/* again, without a download */
	CU_ASSERT_FATAL(host_to_m0(&h));
	CU_ASSERT_EQUAL(h.environment, EE_AMSS);
	CU_ASSERT_TRUE(host_open_control(&h));
	/* a reset of the SoC, while the driver is at work */
	while (client_poll(&c, 0))
		;
	host_mhi_write(&h, 0xb0, 1);
	CU_ASSERT_TRUE(client_wait(&c, 0));
	CU_ASSERT_EQUAL(host_state(&h), 0xff);
	CU_ASSERT_EQUAL(host_mhi_read(&h, 0x48) & 5, 4);
	CU_ASSERT_EQUAL(host_environment(&h), EE_PBL);
	host_mhi_write(&h, 0x38, 2);
	CU_ASSERT_EQUAL(host_mhi_read(&h, 0x48), 0);
	CU_ASSERT_FATAL(host_boot_sbl(&h) && host_to_m0(&h));
	/* left in SBL: only a reset of the SoC helps */
	host_mhi_write(&h, 0x38, 2);
	CU_ASSERT_EQUAL(host_environment(&h), EE_SBL);
	host_mhi_write(&h, 0xb0, 1);
	CU_ASSERT_EQUAL(host_environment(&h), EE_PBL);
	CU_ASSERT_EQUAL(host_mhi_read(&h, 0x48), 0);
	CU_ASSERT_FATAL(host_boot(&h));
	/* by the bus */
	CU_ASSERT_EQUAL(client_call(&c, VFIO_DEVICE_RESET, NULL, 0, NULL, 0, NULL, 0, NULL), 0);
	CU_ASSERT_EQUAL(host_environment(&h), EE_PBL);
	CU_ASSERT_EQUAL(client_read(&c, CONFIG_REGION, 4, 2), 0);
	close_both(&s, &c);
}

/* Sleep and waking: nothing is taken from the rings meanwhile. */
static void suspend(void)
{
	struct mhi_host h;
	struct server s;
	struct client c;
	struct event e;

	open_both(&s, &c, NULL, "none");
	host_open(&h, &c, 32);
	CU_ASSERT_FATAL(host_boot_sbl(&h) && host_to_m0(&h) && host_open_control(&h));
	host_mhi_write(&h, 0x38, 5 << 8);
	CU_ASSERT(host_event(&h, &e) && e.type == 0x20 && e.code == 5);
	host_mhi_write(&h, 0x38, 2 << 8);
	CU_ASSERT(host_event(&h, &e) && e.type == 0x20 && e.code == 2);
	CU_ASSERT_EQUAL(host_command(&h, 1, 0), 1);
	close_both(&s, &c);
}

/* A second client finds a card fresh from power-on. */
static void next_client(void)
{
	struct mhi_host h;
	struct server s;
	struct client c;

	open_both(&s, &c, NULL, "none");
	for (int i = 0; i < 3; i++) {
		host_open(&h, &c, 32);
		CU_ASSERT_TRUE(host_boot_sbl(&h) && host_to_m0(&h) && host_open_control(&h));
		client_close(&c);
		client_open(&c, &s);
		client_map_ram(&c, false);
	}
	close_both(&s, &c);
}

/* --- faults --- */

static bool status_answer(struct mhi_host *h)
{
	uint8_t message[40] = { 0 };

	qeff_put_u32(message + 16, 1);
	qeff_put_u32(message + 32, 15);
	qeff_put_u32(message + 36, 8);
	return host_control(h, message, sizeof(message));
}

static void open_faulty(struct server *s, struct client *c, struct mhi_host *h, const char *plan)
{
	open_both(s, c, plan, "none");
	host_open(h, c, 32);
	CU_ASSERT_FATAL(host_boot_sbl(h) && host_to_m0(h) && host_open_control(h));
}

static void malformed_and_late(void)
{
	struct mhi_host h;
	struct server s;
	struct client c;

	open_faulty(&s, &c, &h,
		    "malform=magic@control#2,malform@control#3,malform=truncate@control#4,"
		    "delay=50@control#5");
	CU_ASSERT_TRUE(status_answer(&h));
	CU_ASSERT_EQUAL(qeff_get_u32(h.received + 4), 0x43494151 ^ 0xff);
	CU_ASSERT_TRUE(status_answer(&h));
	CU_ASSERT_EQUAL(qeff_get_u32(h.received + 12), 0xfffffff0);
	CU_ASSERT_TRUE(status_answer(&h));
	CU_ASSERT_EQUAL(h.received_bytes, 20);
	CU_ASSERT_TRUE(status_answer(&h));
	CU_ASSERT_EQUAL(h.received_bytes, 56);
	close_both(&s, &c);
}

static void crashes(void)
{
	struct mhi_host h;
	struct server s;
	struct client c;

	open_faulty(&s, &c, &h, "crash-qsm@control#2,reboot-qsm@control#4");
	for (int i = 0; i < 2; i++) {
		uint64_t at = guest_alloc(&c, 4096, 4096);
		struct ring *r = &h.channel[10];
		uint8_t *element = guest(&c, r->base + r->wp * 16);

		/* a message that no answer comes to */
		while (client_poll(&c, 0))
			;
		qeff_put_u64(element, at);
		qeff_put_u32(element + 8, 40);
		qeff_put_u32(element + 12, 2u << 16 | 1u << 9);
		host_mhi_write(&h, h.channel_doorbells + 84, (uint32_t)((r->base + 16) >> 32));
		host_mhi_write(&h, h.channel_doorbells + 80,
			       (uint32_t)(r->base + (r->wp + 1) % r->elements * 16));
		CU_ASSERT_TRUE(client_wait(&c, 0));
		CU_ASSERT_EQUAL(host_state(&h), 0xff);
		CU_ASSERT_EQUAL(host_environment(&h), i ? EE_PBL : EE_AMSS);
		host_mhi_write(&h, 0x38, 2);
		CU_ASSERT_EQUAL(host_environment(&h), EE_PBL);
		CU_ASSERT_FATAL(host_boot_sbl(&h) && host_to_m0(&h) && host_open_control(&h));
	}
	close_both(&s, &c);
}

static void reports(void)
{
	struct mhi_host h;
	struct server s;
	struct client c;
	uint8_t message[40] = { 0 };
	struct event e;

	open_both(&s, &c, "ras-ce@control#2,ras-fatal=0@control#3", "none");
	host_open(&h, &c, 32);
	CU_ASSERT_FATAL(host_boot_sbl(&h) && host_to_m0(&h) && host_open_control(&h));
	CU_ASSERT_FATAL(host_start(&h, 15, CHANNEL_ELEMENTS, 4));
	for (uint32_t i = 0; i < 2; i++) {
		bool answered = false, reported = false;
		uint64_t at = guest_alloc(&c, 4096, 4096);

		qeff_put_u32(message + 4, 0x43494151);
		qeff_put_u32(message + 8, 100 + i);
		qeff_put_u32(message + 12, 40);
		qeff_put_u32(message + 16, 1);
		qeff_put_u32(message + 32, 15);
		qeff_put_u32(message + 36, 8);
		memcpy(guest(&c, at), message, 40);
		CU_ASSERT_TRUE_FATAL(host_send(&h, 10, at, 40, 40));
		while (!answered || !reported) {
			const uint8_t *r;

			CU_ASSERT_FATAL(host_event(&h, &e) && e.type == 0x22);
			answered |= e.channel == 11;
			if (e.channel != 15)
				continue;
			reported = true;
			r = guest(&c, h.buffer[15][i]);
			CU_ASSERT_EQUAL(e.size_bytes, 104);
			CU_ASSERT_EQUAL(qeff_get_u16(r), 0x55aa);
			CU_ASSERT_EQUAL(qeff_get_u16(r + 10), 92);
			CU_ASSERT_EQUAL(qeff_get_u32(r + 16), i ? 0 : 2);
			CU_ASSERT_EQUAL(qeff_get_u32(r + 20), i);
		}
	}
	close_both(&s, &c);
}

static void off_bus(void)
{
	struct mhi_host h;
	struct server s;
	struct client c;

	open_both(&s, &c, "off-bus@access#3", "none");
	host_open(&h, &c, 32);
	CU_ASSERT_EQUAL(host_environment(&h), EE_PBL);
	host_mhi_read(&h, 0);
	CU_ASSERT_EQUAL(host_environment(&h), 0xffffffff);
	CU_ASSERT_EQUAL(client_read(&c, CONFIG_REGION, 0, 4), 0xffffffff);
	CU_ASSERT_EQUAL(client_call(&c, VFIO_DEVICE_RESET, NULL, 0, NULL, 0, NULL, 0, NULL), 0);
	CU_ASSERT_EQUAL(client_read(&c, CONFIG_REGION, 0, 4), 0xa10017cb);
	client_write(&c, CONFIG_REGION, 4, 6, 2);
	CU_ASSERT_TRUE(host_boot_sbl(&h));
	close_both(&s, &c);
}

static const struct unit_test tests[] = {
	{ "configuration space", config_space },
	{ "regions and interrupts", device_info },
	{ "from PBL to STATUS", whole_boot },
	{ "images and maps are counted", counted },
	{ "loopback", loopback },
	{ "one message", one_message },
	{ "masked messages", masked },
	{ "boot images that are none", bad_images },
	{ "resets", resets },
	{ "suspend", suspend },
	{ "one client after the other", next_client },
	{ "malformed and late responses", malformed_and_late },
	{ "crashes of the QSM", crashes },
	{ "RAS reports", reports },
	{ "off the bus", off_bus },
};
QEFF_UNIT_MAIN("vcard", tests)
