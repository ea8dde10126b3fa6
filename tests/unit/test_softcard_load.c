/* SPDX-License-Identifier: MIT */
/* Constants and ELFs on the software card: loaded whole, in chunks, adopted, refused, given back.
 */
#include "test_softcard_package.h"

#define MIB (1u << 20)

static void test_constants(void)
{
	struct resources r;
	struct host h;
	uint32_t a, b;

	host_open(&h, 16, 64 * MIB, false);
	CU_ASSERT_EQUAL(constants_new(&h, 1, 0, 0, &a), -6);
	CU_ASSERT_EQUAL(constants_new(&h, 1, UINT64_MAX, 1, &a), -6);
	CU_ASSERT_EQUAL(constants_new(&h, 1, UINT64_MAX - 100, 0, &a), -4);
	CU_ASSERT_EQUAL(constants_new(&h, 1, 65ull * MIB, 0, &a), -4);
	CU_ASSERT_EQUAL(constants_new(&h, 1, 40 * MIB, 8 * MIB, &a), 0);
	CU_ASSERT_NOT_EQUAL(a, 0);
	CU_ASSERT_EQUAL(constants_new(&h, 2, 17 * MIB, 0, &b), -4);
	CU_ASSERT_EQUAL(constants_new(&h, 2, 16 * MIB, 0, &b), 0);
	CU_ASSERT_NOT_EQUAL(a, b);
	r = resources(&h);
	CU_ASSERT(r.ddr_free_mb == 0 && r.constants == 2 && r.constants_in_use == 0);

	/* Payloads: unknown id, not the owner, past the end, unmapped host memory, right. */
	CU_ASSERT_EQUAL(constants_payload(&h, 1, a + b, HOST_DATA, 16, 0), -11);
	CU_ASSERT_EQUAL(constants_payload(&h, 2, a, HOST_DATA, 16, 0), -9);
	CU_ASSERT_EQUAL(constants_payload(&h, 1, a, HOST_DATA, 16, 48 * MIB - 8), -6);
	CU_ASSERT_EQUAL(constants_payload(&h, 1, a, HOST_DATA, 16, UINT64_MAX - 8), -6);
	CU_ASSERT_EQUAL(constants_payload(&h, 1, a, HOST_RAM - 8, 16, 0), -2);
	CU_ASSERT_EQUAL(constants_payload(&h, 1, a, HOST_DATA, 16, 48 * MIB - 16), 0);

	/* Unloading: of nothing, of somebody else's, as an ELF, right, twice. */
	CU_ASSERT_EQUAL(unload(&h, 1, 5, a + b), -11);
	CU_ASSERT_EQUAL(unload(&h, 2, 5, a), -9);
	CU_ASSERT_EQUAL(unload(&h, 1, 7, a), -11);
	CU_ASSERT_EQUAL(unload(&h, 1, 5, a), 0);
	CU_ASSERT_EQUAL(unload(&h, 1, 5, a), -11);
	/* The hole is used again, and it is fragmentation as long as it is not at the end. */
	CU_ASSERT_EQUAL(constants_new(&h, 1, 8 * MIB, 0, &a), 0);
	CU_ASSERT_EQUAL(resources(&h).fragmentation, 0);
	CU_ASSERT_EQUAL(unload(&h, 2, 5, b), 0);
	CU_ASSERT_EQUAL(unload(&h, 1, 5, a), 0);
	check_all_free(&h, 16, 64 * MIB);
	host_close(&h);
}

static void test_fragmentation(void)
{
	struct host h;
	uint32_t id[4];

	host_open(&h, 16, 64 * MIB, false);
	for (int i = 0; i < 4; i++)
		CU_ASSERT_EQUAL(constants_new(&h, 1, 16 * MIB, 0, &id[i]), 0);
	CU_ASSERT_EQUAL(unload(&h, 1, 5, id[0]), 0);
	CU_ASSERT_EQUAL(unload(&h, 1, 5, id[2]), 0);
	CU_ASSERT_EQUAL(resources(&h).fragmentation, 50);
	CU_ASSERT_EQUAL(resources(&h).ddr_free_mb, 32);
	CU_ASSERT_EQUAL(constants_new(&h, 1, 16 * MIB + 1, 0, &id[0]), -4);
	terminate(&h, 1);
	check_all_free(&h, 16, 64 * MIB);
	host_close(&h);
}

/* One command, three messages. */
static void test_chunks(void)
{
	uint8_t reply[REPLY_BYTES];
	static struct message m;
	const uint8_t *r;
	struct host h;
	uint32_t id;
	size_t size;

	host_open(&h, 16, 64 * MIB, false);
	CU_ASSERT_EQUAL(constants_new(&h, 1, 3000, 0, &id), 0);
	message_begin(&m);
	payload_command(&m, id, 3000, 0);
	message_dma(&m, 300, 7, HOST_BASE + HOST_DATA, 1000);
	size = message_send(&h, &m, 1, reply);
	/* Exactly one DMA_XFER_CONT: chunk id, cumulative bytes. */
	CU_ASSERT_EQUAL_FATAL(size, 56);
	CU_ASSERT_EQUAL(qeff_get_u32(reply + 16), 1);
	CU_ASSERT(qeff_get_u32(reply + 32) == 18 && qeff_get_u32(reply + 36) == 24);
	CU_ASSERT(qeff_get_u32(reply + 40) == 7 && qeff_get_u64(reply + 48) == 1000);
	/* The constants are in use until the transfer ends. */
	CU_ASSERT_EQUAL(unload(&h, 1, 5, id), -9);
	CU_ASSERT_EQUAL(constants_payload(&h, 1, id, HOST_DATA, 16, 0), -9);
	/* The same chunk id of another user is another transfer, and there is none. */
	message_begin(&m);
	message_dma(&m, 300, 7, HOST_BASE + HOST_DATA, 1000);
	CU_ASSERT_EQUAL(message_send(&h, &m, 2, reply), 32);
	/* Two segments in one message. */
	message_begin(&m);
	message_dma(&m, 300, 7, HOST_BASE + HOST_DATA + 1000, 500);
	qeff_put_u32(m.bytes + 32 + 4, 56);
	qeff_put_u32(m.bytes + 32 + 12, 2);
	qeff_put_u64(m.bytes + 72, HOST_BASE + HOST_DATA + 1500);
	qeff_put_u64(m.bytes + 80, 500);
	m.size += 16;
	size = message_send(&h, &m, 1, reply);
	CU_ASSERT(size == 56 && qeff_get_u64(reply + 48) == 2000);
	message_begin(&m);
	message_dma(&m, 300, 7, HOST_BASE + HOST_DATA + 2000, 1000);
	r = reply_response(reply, message_send(&h, &m, 1, reply), 2, 16);
	CU_ASSERT(qeff_get_u32(r + 4) == id && get_i32(r + 8) == 0);
	CU_ASSERT_EQUAL(unload(&h, 1, 5, id), 0);
	check_all_free(&h, 16, 64 * MIB);
	host_close(&h);
}

/* A transfer that fails is counted to its end; one that is given up, or whose user ends, leaves
 * nothing. */
static void test_chunks_failing(void)
{
	uint8_t reply[REPLY_BYTES];
	static struct message m;
	unsigned int translations;
	const uint8_t *r;
	struct host h;
	uint32_t id;

	host_open(&h, 16, 64 * MIB, false);
	CU_ASSERT_EQUAL(constants_new(&h, 1, 3000, 0, &id), 0);
	message_begin(&m);
	payload_command(&m, id, 3000, 0);
	message_dma(&m, 300, 8, HOST_BASE + HOST_RAM, 1000);
	CU_ASSERT_EQUAL(message_send(&h, &m, 1, reply), 56);
	CU_ASSERT_EQUAL(qeff_get_u64(reply + 48), 1000);
	message_begin(&m);
	message_dma(&m, 300, 8, HOST_BASE + HOST_DATA, 2000);
	r = reply_response(reply, message_send(&h, &m, 1, reply), 2, 16);
	CU_ASSERT_EQUAL(get_i32(r + 8), -2);

	/* Abort: tag 0, no segments. */
	message_begin(&m);
	payload_command(&m, id, 3000, 0);
	message_dma(&m, 300, 9, HOST_BASE + HOST_DATA, 1000);
	CU_ASSERT_EQUAL(message_send(&h, &m, 1, reply), 56);
	CU_ASSERT_EQUAL(unload(&h, 1, 5, id), -9);
	message_begin(&m);
	qeff_put_u32(message_add(&m, 6, 24) + 16, 9);
	CU_ASSERT_EQUAL(message_send(&h, &m, 1, reply), 56);
	CU_ASSERT_EQUAL(unload(&h, 1, 5, id), 0);

	/* More data than announced; less than announced. */
	CU_ASSERT_EQUAL(constants_new(&h, 1, 3000, 0, &id), 0);
	message_begin(&m);
	payload_command(&m, id, 3000, 0);
	message_dma(&m, 300, 10, HOST_BASE + HOST_DATA, 1000);
	CU_ASSERT_EQUAL(message_send(&h, &m, 1, reply), 56);
	message_begin(&m);
	message_dma(&m, 300, 10, HOST_BASE + HOST_DATA, 2001);
	translations = atomic_load(&h.translations);
	r = reply_response(reply, message_send(&h, &m, 1, reply), 2, 16);
	CU_ASSERT_EQUAL(get_i32(r + 8), -17);
	/* Not even looked for. */
	CU_ASSERT_EQUAL(atomic_load(&h.translations), translations);
	message_begin(&m);
	payload_command(&m, id, 3000, 0);
	message_dma(&m, 300, 0, HOST_BASE + HOST_DATA, 2999);
	r = reply_response(reply, message_send(&h, &m, 1, reply), 2, 16);
	CU_ASSERT_EQUAL(get_i32(r + 8), -17);
	/* Another tag than the command's; no data at all; a segment list longer than the
	 * transaction. */
	message_begin(&m);
	payload_command(&m, id, 3000, 0);
	message_dma(&m, 301, 0, HOST_BASE + HOST_DATA, 3000);
	r = reply_response(reply, message_send(&h, &m, 1, reply), 2, 16);
	CU_ASSERT_EQUAL(get_i32(r + 8), -2);
	message_begin(&m);
	payload_command(&m, id, 3000, 0);
	r = reply_response(reply, message_send(&h, &m, 1, reply), 2, 16);
	CU_ASSERT_EQUAL(get_i32(r + 8), -2);
	message_begin(&m);
	payload_command(&m, id, 3000, 0);
	message_dma(&m, 300, 0, HOST_BASE + HOST_DATA, 3000);
	qeff_put_u32(m.bytes + 32 + 48 + 12, 0x10000001);
	r = reply_response(reply, message_send(&h, &m, 1, reply), 2, 16);
	CU_ASSERT_EQUAL(get_i32(r + 8), -2);

	/* Unfinished, an ELF and one-shot constants among them; then the user ends. */
	for (uint32_t i = 0; i < 3; i++) {
		static const uint32_t types[] = { 16, 1, 3 }, sizes[] = { 32, 88, 96 };
		uint8_t *c;

		message_begin(&m);
		c = message_command(&m, types[i], sizes[i]);
		qeff_put_u32(c + (i == 2 ? 4 : 8), 5);
		qeff_put_u32(c + 12, i ? 0 : id);
		qeff_put_u64(c + (i == 2 ? 80 : 16), 3000);
		message_dma(&m, 5, 20 + i, HOST_BASE + HOST_DATA, 1000);
		CU_ASSERT_EQUAL(message_send(&h, &m, 1, reply), 56);
		CU_ASSERT_EQUAL(qeff_get_u32(reply + 32), 18);
	}
	/* At most eight unfinished ones: the ninth is answered at once. */
	for (uint32_t i = 0; i < 6; i++) {
		uint8_t *c;

		message_begin(&m);
		c = message_command(&m, 1, 88);
		qeff_put_u32(c + 8, 5);
		qeff_put_u64(c + 16, 3000);
		message_dma(&m, 5, 30 + i, HOST_BASE + HOST_DATA, 1000);
		message_send(&h, &m, 1, reply);
		CU_ASSERT_EQUAL(qeff_get_u32(reply + 32), i < 5 ? 18 : 3);
	}
	terminate(&h, 1);
	check_all_free(&h, 16, 64 * MIB);
	host_close(&h);
}

/* Constants loaded in one go, as older software does. */
static void test_constants_at_once(void)
{
	uint8_t reply[REPLY_BYTES];
	static struct message m;
	const uint8_t *r;
	struct host h;
	uint8_t *c;

	host_open(&h, 16, 64 * MIB, false);
	message_begin(&m);
	c = message_command(&m, 1, 88);
	qeff_put_u32(c + 8, 300);
	qeff_put_u64(c + 16, 5000);
	message_dma(&m, 300, 0, HOST_BASE + HOST_DATA, 5000);
	r = reply_response(reply, message_send(&h, &m, 1, reply), 2, 16);
	CU_ASSERT_EQUAL(get_i32(r + 8), 0);
	CU_ASSERT_EQUAL(unload(&h, 1, 5, qeff_get_u32(r + 4)), 0);
	/* A failure leaves nothing. */
	message_begin(&m);
	c = message_command(&m, 1, 88);
	qeff_put_u32(c + 8, 300);
	qeff_put_u64(c + 16, 5000);
	message_dma(&m, 300, 0, HOST_BASE + HOST_RAM - 10, 5000);
	r = reply_response(reply, message_send(&h, &m, 1, reply), 2, 16);
	CU_ASSERT_EQUAL(get_i32(r + 8), -2);
	check_all_free(&h, 16, 64 * MIB);
	host_close(&h);
}

static void test_adoption(void)
{
	struct host h;
	uint32_t id;

	host_open(&h, 16, 64 * MIB, false);
	h.adopts = true;
	CU_ASSERT_EQUAL(constants_new(&h, 1, 4096, 512, &id), 0);
	/* Not the whole static part: copied. */
	CU_ASSERT_EQUAL(constants_payload(&h, 1, id, HOST_DATA, 2048, 0), 0);
	CU_ASSERT_EQUAL(h.adopted, 0);
	CU_ASSERT_EQUAL(unload(&h, 1, 5, id), 0);
	/* Not aligned: given back at once, and copied. */
	CU_ASSERT_EQUAL(constants_new(&h, 1, 4096, 512, &id), 0);
	CU_ASSERT_EQUAL(constants_payload(&h, 1, id, HOST_DATA + 64, 4096, 0), 0);
	CU_ASSERT(h.adopted == 1 && h.released == 1);
	CU_ASSERT_EQUAL(unload(&h, 1, 5, id), 0);
	CU_ASSERT_EQUAL(h.released, 1);
	/* Adopted; what is the host's is not written over; the dynamic part is copied. */
	CU_ASSERT_EQUAL(constants_new(&h, 1, 4096, 512, &id), 0);
	CU_ASSERT_EQUAL(constants_payload(&h, 1, id, HOST_DATA, 4096, 0), 0);
	CU_ASSERT(h.adopted == 2 && h.released == 1);
	CU_ASSERT_EQUAL(constants_payload(&h, 1, id, HOST_DATA, 16, 0), -9);
	CU_ASSERT_EQUAL(constants_payload(&h, 1, id, HOST_DATA, 512, 4096), 0);
	CU_ASSERT_EQUAL(unload(&h, 1, 5, id), 0);
	CU_ASSERT_EQUAL(h.released, 2);
	check_all_free(&h, 16, 64 * MIB);
	host_close(&h);
}

static void test_elf_refusals(void)
{
	uint8_t *elf;
	struct package p;
	struct host h;
	size_t size;
	uint32_t id;

	host_open(&h, 4, 64 * MIB, false);
	elf = h.ram + HOST_DATA;
	CU_ASSERT_EQUAL(elf_load(&h, 1, HOST_DATA, 4096, &id), -46);
	CU_ASSERT_EQUAL(elf_load(&h, 1, HOST_DATA, 65ull << 20, &id), -4);
	CU_ASSERT_EQUAL(elf_load(&h, 1, HOST_RAM - 16, 4096, &id), -2);
	CU_ASSERT_EQUAL(elf_load(&h, 1, HOST_DATA, 0, &id), -6);
	package_metadata(&p, 4, 4096);
	size = package_elf(&p, elf, 1u << 20);
	CU_ASSERT_EQUAL(elf_load(&h, 1, HOST_DATA, size, &id), 0);
	CU_ASSERT_EQUAL(resources(&h).networks, 1);
	CU_ASSERT_EQUAL(unload(&h, 2, 7, id), -9);
	CU_ASSERT_EQUAL(unload(&h, 1, 5, id), -11);
	CU_ASSERT_EQUAL(unload(&h, 1, 7, id), 0);
	check_all_free(&h, 4, 64 * MIB);
	/* Cut off anywhere, or with its metadata spoiled: a status, never an id. */
	for (size_t cut = 1; cut < size; cut += 1 + cut / 16) {
		int32_t status = elf_load(&h, 1, HOST_DATA, cut, &id);

		CU_ASSERT(status == -46 || status == -54 || status == -61);
	}
	for (size_t at = 0; at + 64 < size; at += 64) {
		uint8_t saved[64];

		memcpy(saved, elf + at, 64);
		memset(elf + at, 0xff, 64);
		if (elf_load(&h, 1, HOST_DATA, size, &id) == 0)
			CU_ASSERT_EQUAL(unload(&h, 1, 7, id), 0);
		memcpy(elf + at, saved, 64);
	}
	check_all_free(&h, 4, 64 * MIB);
	host_close(&h);
}

static const struct unit_test tests[] = {
	{ "constants", test_constants },
	{ "fragmentation", test_fragmentation },
	{ "constants in chunks", test_chunks },
	{ "chunks that fail or end early", test_chunks_failing },
	{ "constants at once", test_constants_at_once },
	{ "adopted constants", test_adoption },
	{ "ELFs that are refused", test_elf_refusals },
};

QEFF_UNIT_MAIN("softcard load", tests)
