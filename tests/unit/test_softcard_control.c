/* SPDX-License-Identifier: MIT */
/* The software card's control plane: what it answers, what it refuses, and that it gives everything
 * back. */
#include "test_softcard_package.h"

#define MIB (1u << 20)

static void test_link(void)
{
	/* STATUS with CRC, as a driver sends it first; the reply bears no CRC and clears flag 0. */
	static const uint8_t request[40] = {
		0x17, 0xa0, 0xe3, 0x06, 0x51, 0x41, 0x49, 0x43, 1, 0, 0, 0, 40, 0, 0, 0, 1, 0, 0, 0,
		0,    0,    0,	  0,	0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 15, 0, 0, 0, 8, 0, 0, 0,
	};
	static const uint8_t expected[56] = {
		0,  0, 0, 0, 0x51, 0x41, 0x49, 0x43, 1,	   0,	 0,    0,    56, 0, 0, 0,
		1,  0, 0, 0, 0,	   0,	 0,    0,    0xff, 0xff, 0xff, 0xff, 0,	 0, 0, 0,
		14, 0, 0, 0, 24,   0,	 0,    0,    5,	   0,	 0,    0,    0,	 0, 0, 0,
	};
	uint8_t reply[REPLY_BYTES], spoiled[48];
	struct host h;

	host_open(&h, 16, 64 * MIB, false);
	CU_ASSERT_EQUAL(qeff_card_control(h.card, request, sizeof(request), reply), 56);
	CU_ASSERT_EQUAL(memcmp(reply, expected, 56), 0);
	/* A driver that comes up again counts from the beginning. */
	CU_ASSERT_EQUAL(qeff_card_control(h.card, request, sizeof(request), reply), 56);
	/* Dropped: wrong CRC, magic, length, count, transaction length; too short. */
	for (int i = 0; i < 5; i++) {
		static const int at[5] = { 0, 4, 12, 16, 36 };

		memcpy(spoiled, request, 40);
		spoiled[at[i]] ^= 1;
		if (at[i] > 0)
			memset(spoiled, 0, 4);
		CU_ASSERT_EQUAL(qeff_card_control(h.card, spoiled, 40, reply), 0);
	}
	for (size_t size = 0; size < 40; size++)
		CU_ASSERT_EQUAL(qeff_card_control(h.card, request, size, reply), 0);
	host_close(&h);
}

static void test_duplicates(void)
{
	uint8_t reply[REPLY_BYTES];
	static struct message m;
	struct host h;

	host_open(&h, 16, 64 * MIB, false);
	message_begin(&m);
	message_command(&m, 34, 8);
	CU_ASSERT_EQUAL(message_send(&h, &m, 3, reply), 32 + 8 + 64);
	CU_ASSERT_EQUAL(qeff_get_u32(reply + 8), h.sequence);
	CU_ASSERT_EQUAL(qeff_get_u32(reply + 20), 3);
	CU_ASSERT_EQUAL(qeff_card_control(h.card, m.bytes, m.size, reply), 0);
	CU_ASSERT_EQUAL(message_send(&h, &m, 3, reply), 32 + 8 + 64);
	qeff_put_u32(m.bytes + 8, h.sequence - 1);
	CU_ASSERT_EQUAL(qeff_card_control(h.card, m.bytes, m.size, reply), 0);
	host_close(&h);
}

static void test_status(void)
{
	uint8_t reply[REPLY_BYTES];
	static struct message m;
	const uint8_t *r;
	struct host h;

	host_open(&h, 12, 3072ull * MIB, false);
	message_begin(&m);
	message_command(&m, 13, 8);
	r = reply_response(reply, message_send(&h, &m, 0, reply), 14, 504);
	CU_ASSERT_EQUAL(get_i32(r + 4), 0);
	CU_ASSERT_EQUAL(r[8], 12);
	CU_ASSERT_EQUAL(r[16 + 3], 255);
	CU_ASSERT_PTR_NOT_NULL(strstr((const char *)r + 16 + 4, "software card"));
	CU_ASSERT_EQUAL(qeff_get_u32(r + 16 + 96), 0x60110200);
	CU_ASSERT_STRING_EQUAL((const char *)r + 16 + 100, "T0001");
	CU_ASSERT_STRING_EQUAL((const char *)r + 16 + 116, "T0001");
	/* resource_info: DDR in MB, VCs, NSPs, MCIDs, semaphores */
	CU_ASSERT_EQUAL(qeff_get_u32(r + 16 + 152), 3072);
	CU_ASSERT_EQUAL(qeff_get_u32(r + 16 + 156), 3072);
	CU_ASSERT(r[16 + 164] == 16 && r[16 + 165] == 16 && r[16 + 166] == 12 && r[16 + 167] == 12);
	CU_ASSERT_EQUAL(qeff_get_u32(r + 16 + 176), 512);
	/* clocks: none */
	CU_ASSERT_EQUAL(qeff_get_u32(r + 16 + 192), 0);
	CU_ASSERT(qeff_get_u16(r + 16 + 258) == 1 && qeff_get_u16(r + 16 + 262) == 17);
	CU_ASSERT_EQUAL(r[16 + 316], 2);
	CU_ASSERT_PTR_NOT_NULL(strstr((const char *)r + 336 + 8, "software NSP"));

	message_begin(&m);
	qeff_put_u32(message_command(&m, 32, 16) + 8, 0xffffffff);
	r = reply_response(reply, message_send(&h, &m, 0, reply), 33, 56);
	CU_ASSERT(get_i32(r + 4) == -1 && get_i32(r + 48) == 0);
	CU_ASSERT(qeff_get_u32(r + 8) == 3072 && r[8 + 14] == 12);
	message_begin(&m);
	qeff_put_u32(message_command(&m, 32, 16) + 8, 5);
	r = reply_response(reply, message_send(&h, &m, 0, reply), 33, 56);
	CU_ASSERT_EQUAL(get_i32(r + 48), -11);
	message_begin(&m);
	message_command(&m, 34, 8);
	r = reply_response(reply, message_send(&h, &m, 0, reply), 35, 64);
	CU_ASSERT(get_i32(r + 4) == 0 && qeff_get_u64(r + 32) == 0);
	host_close(&h);
}

/* Sends a command of @size_bytes whose fields are zero; returns the status at @status_at. */
static int32_t bare(struct host *h, uint32_t type, size_t size_bytes, uint32_t response,
		    uint32_t status_at)
{
	uint8_t reply[REPLY_BYTES];
	static struct message m;

	message_begin(&m);
	qeff_put_u32(message_add(&m, 4, 8 + size_bytes) + 8, type);
	return get_i32(reply_response(reply, message_send(h, &m, 0, reply), response, 8) +
		       status_at);
}

static void test_unknown_and_short(void)
{
	static const uint32_t not_permitted[] = { 17, 19, 22, 24, 26, 28, 30, 36, 38, 44 };
	struct host h;

	host_open(&h, 16, 64 * MIB, false);
	CU_ASSERT_EQUAL(bare(&h, 0, 8, 1, 4), -3);
	CU_ASSERT_EQUAL(bare(&h, 2, 8, 3, 4), -3);
	CU_ASSERT_EQUAL(bare(&h, 40, 8, 41, 4), -3);
	CU_ASSERT_EQUAL(bare(&h, 51, 8, 52, 4), -3);
	CU_ASSERT_EQUAL(bare(&h, 0xffffffff, 8, 0, 4), -3);
	for (size_t i = 0; i < sizeof(not_permitted) / sizeof(not_permitted[0]); i++)
		CU_ASSERT_EQUAL(bare(&h, not_permitted[i], 8, not_permitted[i] + 1, 4), -9);
	/* Shorter than their layouts. */
	CU_ASSERT_EQUAL(bare(&h, 1, 80, 2, 8), -17);
	CU_ASSERT_EQUAL(bare(&h, 3, 88, 4, 8), -17);
	CU_ASSERT_EQUAL(bare(&h, 5, 4, 6, 4), -17);
	CU_ASSERT_EQUAL(bare(&h, 9, 40, 10, 4), -17);
	CU_ASSERT_EQUAL(bare(&h, 11, 8, 12, 4), -17);
	CU_ASSERT_EQUAL(bare(&h, 15, 72, 2, 8), -17);
	CU_ASSERT_EQUAL(bare(&h, 15, 80, 2, 8), -17);
	CU_ASSERT_EQUAL(bare(&h, 16, 24, 2, 8), -17);
	CU_ASSERT_EQUAL(bare(&h, 32, 8, 33, 48), -17);
	check_all_free(&h, 16, 64 * MIB);
	host_close(&h);
}

/* More commands than a reply can answer: none is carried out. */
static void test_too_many_commands(void)
{
	uint8_t reply[REPLY_BYTES];
	static struct message m;
	struct host h;

	host_open(&h, 16, 64 * MIB, false);
	message_begin(&m);
	for (int i = 0; i < 7; i++)
		message_command(&m, 13, 8);
	CU_ASSERT_EQUAL(message_send(&h, &m, 0, reply), 32 + 7 * 512);
	CU_ASSERT_EQUAL(qeff_get_u32(reply + 16), 7);
	message_command(&m, 13, 8);
	CU_ASSERT_EQUAL(message_send(&h, &m, 0, reply), 32);
	CU_ASSERT_EQUAL(qeff_get_u32(reply + 16), 0);
	/* An ACTIVATE that no command stands behind; a DEACTIVATE of the driver alone. */
	message_begin(&m);
	message_add(&m, 9, 40);
	CU_ASSERT_EQUAL(message_send(&h, &m, 0, reply), 56);
	CU_ASSERT(qeff_get_u32(reply + 32) == 8 && get_i32(reply + 40) == -6);
	message_begin(&m);
	CU_ASSERT_EQUAL(message_send(&h, &m, 0, reply), 32);
	/* Validation of a partition. */
	message_begin(&m);
	message_add(&m, 20, 16);
	CU_ASSERT_EQUAL(message_send(&h, &m, 0, reply), 48);
	CU_ASSERT(qeff_get_u32(reply + 32) == 19 && get_i32(reply + 40) == -9);
	host_close(&h);
}

/* What a spoiled package leads to at activation. */
static int32_t activate_spoiled(struct host *h,
				void (*spoil)(struct package *p, uint8_t *constants))
{
	size_t constants_bytes = package_constants(h->ram + HOST_DATA, 2u << 20, 2, 1), elf_bytes;
	uint32_t constants_id, elf_id;
	struct package p;
	struct active a;
	int32_t status;

	package_metadata(&p, 2, constants_bytes);
	spoil(&p, h->ram + HOST_DATA);
	CU_ASSERT_EQUAL(constants_new(h, 1, constants_bytes, 0, &constants_id), 0);
	CU_ASSERT_EQUAL(constants_payload(h, 1, constants_id, HOST_DATA, constants_bytes, 0), 0);
	elf_bytes = package_elf(&p, h->ram + HOST_DATA + (3u << 20), 1u << 20);
	CU_ASSERT_EQUAL(elf_load(h, 1, HOST_DATA + (3u << 20), elf_bytes, &elf_id), 0);
	status = activate(h, 1, constants_id, elf_id, 0, 16, &a);
	if (!status)
		CU_ASSERT_EQUAL(deactivate(h, 1, a.id), 0);
	CU_ASSERT_EQUAL(unload(h, 1, 7, elf_id), 0);
	CU_ASSERT_EQUAL(unload(h, 1, 5, constants_id), 0);
	return status;
}

static void spoil_nothing(struct package *p, uint8_t *constants)
{
}

static void spoil_exec_context(struct package *p, uint8_t *constants)
{
	p->md.exec_context_major = 4;
}

static void interpreter_exec_context(struct package *p, uint8_t *constants)
{
	p->md.exec_context_major = 5;
}

static void spoil_hardware(struct package *p, uint8_t *constants)
{
	p->md.hw_version_major = 3;
}

static void spoil_nsp_count(struct package *p, uint8_t *constants)
{
	p->md.num_nsps = 3;
	p->md.num_nsp_multicast = 3;
	p->tables[2] = p->tables[1];
}

static void spoil_constants_size(struct package *p, uint8_t *constants)
{
	p->md.static_constants_bytes += 1;
}

static void spoil_ddr(struct package *p, uint8_t *constants)
{
	p->md.static_shared_ddr_bytes = DDR_BYTES - 1;
}

static void spoil_ddr_too_much(struct package *p, uint8_t *constants)
{
	p->md.static_shared_ddr_bytes = 65ull << 20;
}

static void spoil_dynamic_ddr_too_much(struct package *p, uint8_t *constants)
{
	p->md.dynamic_shared_ddr_bytes = 65ull << 20;
}

static void spoil_heap_too_much(struct package *p, uint8_t *constants)
{
	p->md.network_heap_bytes = UINT64_MAX - 100;
}

static void spoil_semaphores(struct package *p, uint8_t *constants)
{
	p->md.num_semaphores = 1;
}

static void spoil_magic(struct package *p, uint8_t *constants)
{
	constants[0] ^= 1;
}

static void spoil_program(struct package *p, uint8_t *constants)
{
	((struct qeff_nsp_header *)constants)->tiles_offset = 1u << 30;
}

static void spoil_window(struct package *p, uint8_t *constants)
{
	p->entries[1][1].space = QEFF_MD_NSP_VTCM;
}

static void test_activate_packages(void)
{
	static const struct {
		void (*spoil)(struct package *p, uint8_t *constants);
		int32_t status;
	} cases[] = {
		{ spoil_nothing, 0 },
		{ interpreter_exec_context, 0 },
		{ spoil_exec_context, -102 },
		{ spoil_hardware, -5 },
		{ spoil_nsp_count, -5 },
		{ spoil_constants_size, -5 },
		{ spoil_ddr, -5 },
		{ spoil_ddr_too_much, -4 },
		{ spoil_dynamic_ddr_too_much, -4 },
		{ spoil_heap_too_much, -5 },
		{ spoil_semaphores, -5 },
		{ spoil_magic, -46 },
		{ spoil_program, -46 },
		{ spoil_window, -47 },
	};
	struct host h;

	host_open(&h, 4, 64 * MIB, false);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int32_t status = activate_spoiled(&h, cases[i].spoil);

		if (status != cases[i].status)
			fprintf(stderr, "case %zu: status %d\n", i, status);
		CU_ASSERT_EQUAL(status, cases[i].status);
		check_all_free(&h, 4, 64 * MIB);
	}
	host_close(&h);
}

static void test_activate_requests(void)
{
	uint32_t constants_id, elf_id, half_id;
	struct activate_args args, good;
	struct active a;
	struct host h;

	host_open(&h, 4, 64 * MIB, false);
	package_load(&h, 1, 2, 1, &constants_id, &elf_id);
	good = activate_args(constants_id, elf_id, 16);

#define REFUSED(change, expected)                                                                  \
	do {                                                                                       \
		args = good;                                                                       \
		change;                                                                            \
		CU_ASSERT_EQUAL(activate_with(&h, 1, &args, &a), expected);                        \
	} while (0)
	REFUSED(args.elf_id += 1000, -11);
	REFUSED(args.constants_id += 1000, -11);
	REFUSED(args.elf_id = constants_id, -11);
	REFUSED(args.constants_id = 0, -5);
	REFUSED(args.reservation_type = 1, -9);
	REFUSED(args.reservation_id = 0, -9);
	REFUSED(args.vc_reservation = 0xfe, -9);
	REFUSED(args.opt_vc_setup = 0, -6);
	REFUSED(args.no_transaction = true, -6);
	REFUSED(args.elements = args.response_elements = 1, -34);
	REFUSED(args.elements = args.response_elements = 0, -34);
	REFUSED(args.response_elements = 15, -35);
	REFUSED(args.buffer_bytes = 16 * 68 - 1, -35);
	REFUSED((args.elements = args.response_elements = 1u << 21, args.buffer_bytes = UINT32_MAX),
		-35);
	REFUSED(args.ring = HOST_RAM, -35);
	/* The response ring must be writable. */
	REFUSED(args.ring = HOST_READ_ONLY, -35);
	/* Somebody else's. */
	CU_ASSERT_EQUAL(activate_with(&h, 2, &good, &a), -9);
	/* Constants of which a part is missing. */
	CU_ASSERT_EQUAL(constants_new(&h, 1, 1u << 20, 0, &half_id), 0);
	CU_ASSERT_EQUAL(constants_payload(&h, 1, half_id, HOST_DATA, 4096, 0), 0);
	REFUSED(args.constants_id = half_id, -6);
	CU_ASSERT_EQUAL(resources(&h).constants_in_use, 0);
	CU_ASSERT_EQUAL(resources(&h).nsp_free, 4);

	CU_ASSERT_EQUAL(activate_with(&h, 1, &good, &a), 0);
	CU_ASSERT(a.id != 0 && a.dbc == 0 && a.nsp_mask == 3);
	CU_ASSERT_EQUAL(a.ddr_base % 2048, 0);
	CU_ASSERT_EQUAL(resources(&h).constants_in_use, 1);
	/* In use: neither unloaded nor written. */
	CU_ASSERT_EQUAL(unload(&h, 1, 5, constants_id), -9);
	CU_ASSERT_EQUAL(unload(&h, 1, 7, elf_id), -9);
	CU_ASSERT_EQUAL(constants_payload(&h, 1, constants_id, HOST_DATA, 16, 0), -9);
	CU_ASSERT_EQUAL(deactivate(&h, 2, a.id), -9);
	CU_ASSERT_EQUAL(deactivate(&h, 1, a.id + 1000), -11);
	CU_ASSERT_EQUAL(deactivate(&h, 1, a.id), 0);
	CU_ASSERT_EQUAL(deactivate(&h, 1, a.id), -11);
	terminate(&h, 1);
	check_all_free(&h, 4, 64 * MIB);
	host_close(&h);
}

/* NSPs, virtual channels and DDR run out, and come back whatever the order. */
static void test_exhaustion(void)
{
	uint32_t constants_id, elf_id, big_constants, big_elf;
	struct active a[17];
	struct host h;

	host_open(&h, 16, 64 * MIB, false);
	package_load(&h, 1, 1, 1, &constants_id, &elf_id);
	package_load(&h, 1, 4, 1, &big_constants, &big_elf);
	for (unsigned int i = 0; i < 13; i++)
		CU_ASSERT_EQUAL(activate(&h, 1, constants_id, elf_id, i % 8, 16, &a[i]), 0);
	CU_ASSERT_EQUAL(activate(&h, 1, big_constants, big_elf, 0, 16, &a[13]), -13);
	for (unsigned int i = 13; i < 16; i++) {
		CU_ASSERT_EQUAL(activate(&h, 1, constants_id, elf_id, i % 8, 16, &a[i]), 0);
		CU_ASSERT_EQUAL(a[i].dbc, i);
	}
	CU_ASSERT_EQUAL(resources(&h).vc_free, 0);
	CU_ASSERT_EQUAL(resources(&h).active, 16);
	CU_ASSERT_EQUAL(activate(&h, 1, constants_id, elf_id, 0, 16, &a[16]), -13);
	/* Every NSP is somebody's, no two share one, nor DDR, nor multicast windows. */
	for (unsigned int i = 0; i < 16; i++)
		for (unsigned int j = 0; j < i; j++) {
			CU_ASSERT_EQUAL(a[i].nsp_mask & a[j].nsp_mask, 0);
			CU_ASSERT_NOT_EQUAL(a[i].ddr_base, a[j].ddr_base);
			CU_ASSERT_NOT_EQUAL(a[i].mcid_base, a[j].mcid_base);
		}
	for (unsigned int i = 0; i < 16; i += 2)
		CU_ASSERT_EQUAL(deactivate(&h, 1, a[i].id), 0);
	/* The free NSPs need not be neighbours. */
	CU_ASSERT_EQUAL(activate(&h, 1, big_constants, big_elf, 0, 16, &a[0]), 0);
	CU_ASSERT_EQUAL(a[0].nsp_mask, 0x55);
	CU_ASSERT_EQUAL(deactivate(&h, 1, a[0].id), 0);
	for (unsigned int i = 15; i < 16; i -= 2)
		CU_ASSERT_EQUAL(deactivate(&h, 1, a[i].id), 0);
	CU_ASSERT_EQUAL(resources(&h).nsp_free, 16);
	CU_ASSERT_EQUAL(unload(&h, 1, 5, constants_id), 0);
	CU_ASSERT_EQUAL(unload(&h, 1, 7, big_elf), 0);
	CU_ASSERT_EQUAL(unload(&h, 1, 5, big_constants), 0);
	CU_ASSERT_EQUAL(unload(&h, 1, 7, elf_id), 0);
	check_all_free(&h, 16, 64 * MIB);
	host_close(&h);

	/* More NSPs than the card has at all. */
	host_open(&h, 2, 64 * MIB, false);
	package_load(&h, 1, 4, 1, &constants_id, &elf_id);
	CU_ASSERT_EQUAL(activate(&h, 1, constants_id, elf_id, 0, 16, &a[0]), -62);
	host_close(&h);
}

/* Two users; one ends, the other's things stay; reset takes everything. */
static void test_terminate(void)
{
	uint32_t constants_id[2], elf_id[2];
	struct active a[3];
	struct host h;

	host_open(&h, 16, 64 * MIB, false);
	h.adopts = true;
	for (uint32_t user = 0; user < 2; user++) {
		package_load(&h, user, 2, 1, &constants_id[user], &elf_id[user]);
		CU_ASSERT_EQUAL(
			activate(&h, user, constants_id[user], elf_id[user], user, 16, &a[user]),
			0);
	}
	CU_ASSERT_EQUAL(activate(&h, 0, constants_id[1], elf_id[0], 2, 16, &a[2]), -9);
	CU_ASSERT_EQUAL(activate(&h, 0, constants_id[0], elf_id[1], 2, 16, &a[2]), -9);
	CU_ASSERT_EQUAL(deactivate(&h, 0, a[1].id), -9);
	/* User 0 is one like any other. */
	terminate(&h, 0);
	CU_ASSERT_EQUAL(deactivate(&h, 0, a[0].id), -11);
	CU_ASSERT_EQUAL(resources(&h).active, 1);
	CU_ASSERT_EQUAL(resources(&h).nsp_free, 14);
	CU_ASSERT_EQUAL(deactivate(&h, 1, a[1].id), 0);
	CU_ASSERT_EQUAL(activate(&h, 1, constants_id[1], elf_id[1], 0, 16, &a[1]), 0);
	CU_ASSERT_EQUAL(a[1].dbc, 0);
	qeff_card_reset(h.card);
	check_all_free(&h, 16, 64 * MIB);
	CU_ASSERT_EQUAL(h.adopted, h.released);
	terminate(&h, 5);
	host_close(&h);
}

static void test_configuration(void)
{
	const struct qeff_card_host host = { .translate = host_translate };
	struct qeff_card_config config = { .nsps = 0, .ddr_bytes = 1ull << 30 };
	struct qeff_error err = { 0 };
	struct qeff_card *card = NULL;

	CU_ASSERT_EQUAL(qeff_card_new(&config, &host, &card, &err), -EINVAL);
	config.nsps = 17;
	CU_ASSERT_EQUAL(qeff_card_new(&config, &host, &card, &err), -EINVAL);
	config.nsps = 16;
	config.ddr_bytes = 0;
	CU_ASSERT_EQUAL(qeff_card_new(&config, &host, &card, &err), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "DDR"));
	CU_ASSERT_PTR_NULL(card);
	qeff_card_free(NULL);
}

static const struct unit_test tests[] = {
	{ "configuration", test_configuration },
	{ "link up, and messages that are dropped", test_link },
	{ "duplicate sequence numbers", test_duplicates },
	{ "status, resources, performance", test_status },
	{ "unknown and short commands", test_unknown_and_short },
	{ "odd messages", test_too_many_commands },
	{ "packages that are refused at activation", test_activate_packages },
	{ "activations that are refused", test_activate_requests },
	{ "running out of NSPs and channels", test_exhaustion },
	{ "terminate and reset", test_terminate },
};

QEFF_UNIT_MAIN("softcard control", tests)
