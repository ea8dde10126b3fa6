/* SPDX-License-Identifier: MIT */
/*
 * Buffers and rings of the softcard transport against a scripted card: the errno of every wrong
 * call in the driver's order, the bytes of request elements, completion, failure and tear-down.
 */
#include "unit.h"

#include "device/softcard.h"
#include "scripted_card.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#define DBC 5u

static const struct qeff_card_config config = { .nsps = 1, .ddr_bytes = 1 << 20 };
static const struct qeff_transport_ops *ops;

static void activate(struct qeff_transport *t, uint32_t dbc, uint32_t elements)
{
	uint8_t data[4096] = { 0 };
	uint32_t size = 24, count = 1;

	script.activate_dbc = dbc;
	put32(data, 7);
	put32(data + 4, 24);
	put32(data + 8, elements);
	CU_ASSERT_EQUAL_FATAL(t->ops->manage(t, data, &size, &count, NULL), 0);
}

static int deactivate(struct qeff_transport *t, uint32_t dbc)
{
	uint8_t data[4096] = { 0 };
	uint32_t size = 32, count = 2;

	script.deactivate_dbc = dbc;
	put32(data, 1);
	put32(data + 4, 16);
	put32(data + 8, 11);
	put32(data + 16, 10);
	put32(data + 20, 16);
	put32(data + 24, dbc);
	return t->ops->manage(t, data, &size, &count, NULL);
}

/* A card with one channel of @elements. */
static struct qeff_transport *open_active(uint32_t elements)
{
	struct qeff_transport *t = NULL;

	script_reset();
	CU_ASSERT_EQUAL_FATAL(qeff_softcard_open(7, &config, &t, NULL), 0);
	ops = t->ops;
	activate(t, DBC, elements);
	return t;
}

static uint32_t new_buffer(struct qeff_transport *t, uint64_t size, uint8_t **data)
{
	uint64_t mapped;
	uint32_t handle = 0;
	void *at = NULL;

	CU_ASSERT_EQUAL_FATAL(ops->buffer_create(t, size, &handle, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(ops->buffer_map(t, handle, &at, &mapped, NULL), 0);
	CU_ASSERT_EQUAL(mapped, (size + 4095) / 4096 * 4096);
	if (data)
		*data = at;
	return handle;
}

/* A buffer of a page with one slice to the card, ready to be executed. */
static uint32_t ready_buffer(struct qeff_transport *t)
{
	const struct qaic_attach_slice_entry slice = { .size = 64, .dev_addr = 0x1000 };
	uint32_t handle = new_buffer(t, 4096, NULL);

	CU_ASSERT_EQUAL_FATAL(ops->slice(t, handle, DBC, 1, &slice, 1, NULL), 0);
	return handle;
}

static int execute(struct qeff_transport *t, uint32_t handle)
{
	const struct qaic_execute_entry entry = { .handle = handle };

	return ops->execute(t, DBC, &entry, 1, NULL);
}

static int wait_for(struct qeff_transport *t, uint32_t handle)
{
	return ops->wait(t, DBC, handle, 5000, NULL);
}

static void buffers(void)
{
	struct qeff_transport *t = open_active(8);
	uint8_t *data, *again;
	uint32_t first, second, none = 77;
	uint64_t size;
	void *at;
	int fd;

	CU_ASSERT_EQUAL(ops->buffer_create(t, 0, &none, NULL), -EINVAL);
	CU_ASSERT_EQUAL(ops->buffer_create(t, UINT64_MAX - 4000, &none, NULL), -EINVAL);
	CU_ASSERT_EQUAL(ops->buffer_create(t, UINT64_C(1) << 62, &none, NULL), -ENOMEM);
	CU_ASSERT_EQUAL(none, 77);
	CU_ASSERT_EQUAL(ops->buffer_map(t, 0, &at, &size, NULL), -ENOENT);
	CU_ASSERT_EQUAL(ops->buffer_map(t, 1, &at, &size, NULL), -ENOENT);
	CU_ASSERT_EQUAL(ops->buffer_export(t, 1, &fd, NULL), -ENOENT);
	ops->buffer_free(t, 1);

	first = new_buffer(t, 5000, &data);
	second = new_buffer(t, 1, NULL);
	CU_ASSERT_EQUAL(first, 1);
	CU_ASSERT_EQUAL(second, 2);
	CU_ASSERT_EQUAL(data[0] | data[8191], 0);
	CU_ASSERT_EQUAL_FATAL(ops->buffer_export(t, first, &fd, NULL), 0);
	CU_ASSERT_EQUAL(fcntl(fd, F_GETFD), FD_CLOEXEC);
	again = mmap(NULL, 8192, PROT_READ, MAP_SHARED, fd, 0);
	data[8191] = 9;
	CU_ASSERT_EQUAL(again[8191], 9);
	munmap(again, 8192);
	close(fd);
	ops->buffer_free(t, first);
	CU_ASSERT_EQUAL(ops->buffer_map(t, first, &at, &size, NULL), -ENOENT);
	CU_ASSERT_EQUAL(new_buffer(t, 1, NULL), 1); /* lowest free handle */
	ops->close(t);
}

static void slice_errors_in_order(void)
{
	struct qeff_transport *t = open_active(8), *other = NULL;
	struct qaic_attach_slice_entry good[8] = { 0 }, bad;
	uint32_t handle = new_buffer(t, 4096, NULL);
	struct qeff_error err = { 0 };

	CU_ASSERT_EQUAL(ops->slice(t, handle, DBC, 1, good, 0, NULL), -EINVAL);
	CU_ASSERT_EQUAL(ops->slice(t, handle, DBC, 0, good, 1, NULL), -EINVAL);
	CU_ASSERT_EQUAL(ops->slice(t, handle, DBC, 3, good, 1, NULL), -EINVAL);
	CU_ASSERT_EQUAL(ops->slice(t, handle, DBC, 1, NULL, 1, NULL), -EINVAL);
	CU_ASSERT_EQUAL(ops->slice(t, 99, 16, 1, good, 1, NULL), -EINVAL);
	/* an unknown buffer before anything wrong in its slices */
	bad = (struct qaic_attach_slice_entry){ .size = 5000 };
	CU_ASSERT_EQUAL(ops->slice(t, 99, DBC, 1, &bad, 1, NULL), -ENOENT);
	CU_ASSERT_EQUAL(ops->slice(t, handle, DBC, 1, &bad, 1, NULL), -EINVAL);
	bad = (struct qaic_attach_slice_entry){ .size = 4096, .offset = 1 };
	CU_ASSERT_EQUAL(ops->slice(t, handle, DBC, 1, &bad, 1, NULL), -EINVAL);
	bad = (struct qaic_attach_slice_entry){ .size = 2, .offset = UINT64_MAX };
	CU_ASSERT_EQUAL(ops->slice(t, handle, DBC, 1, &bad, 1, NULL), -EINVAL);

	static const struct qaic_sem sems[] = {
		{ .val = 0x1000 }, { .index = 32 }, { .presync = 2 },
		{ .cmd = 7 },	   { .flags = 4 },  { .pad = 1 },
	};
	for (size_t i = 0; i < 4 * sizeof(sems) / sizeof(sems[0]); i++) {
		struct qaic_sem *at[] = { &bad.sem0, &bad.sem1, &bad.sem2, &bad.sem3 };

		bad = (struct qaic_attach_slice_entry){ 0 };
		*at[i % 4] = sems[i / 4];
		CU_ASSERT_EQUAL(ops->slice(t, handle, DBC, 1, &bad, 1, NULL), -EINVAL);
	}
	static const uint32_t lengths[] = { 1, 4, 7, 9, 24, 64, UINT32_MAX };
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		bad = (struct qaic_attach_slice_entry){ .db_len = lengths[i] };
		CU_ASSERT_EQUAL(ops->slice(t, handle, DBC, 1, &bad, 1, NULL), -EINVAL);
	}
	bad = (struct qaic_attach_slice_entry){ .db_len = 32, .db_addr = 0x1002 };
	CU_ASSERT_EQUAL(ops->slice(t, handle, DBC, 1, &bad, 1, NULL), -EINVAL);
	bad = (struct qaic_attach_slice_entry){ .db_len = 16, .db_addr = 0x1001 };
	CU_ASSERT_EQUAL(ops->slice(t, handle, DBC, 1, &bad, 1, NULL), -EINVAL);
	bad = (struct qaic_attach_slice_entry){ .sem0.presync = 1, .sem3.presync = 1 };
	CU_ASSERT_EQUAL(ops->slice(t, handle, DBC, 1, &bad, 1, NULL), -EINVAL);

	/* channels: none, another's */
	CU_ASSERT_EQUAL(ops->slice(t, handle, 6, 1, good, 1, NULL), -EINVAL);
	CU_ASSERT_EQUAL_FATAL(qeff_softcard_open(7, &config, &other, NULL), 0);
	CU_ASSERT_EQUAL(new_buffer(other, 4096, NULL), handle);
	CU_ASSERT_EQUAL(ops->slice(other, handle, DBC, 1, good, 1, NULL), -EINVAL);

	/* a ring of 8 holds 7 */
	CU_ASSERT_EQUAL(ops->slice(t, handle, DBC, 1, good, 8, &err), -ENOSPC);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "takes 8 elements"));
	CU_ASSERT_EQUAL(ops->slice(t, handle, DBC, 1, good, 7, NULL), 0);
	CU_ASSERT_EQUAL(ops->slice(t, handle, DBC, 1, good, 1, NULL), -EINVAL);

	CU_ASSERT_EQUAL(ops->unslice(t, 99, NULL), -ENOENT);
	CU_ASSERT_EQUAL(ops->unslice(other, handle, NULL), -EINVAL);
	CU_ASSERT_EQUAL(ops->unslice(t, handle, NULL), 0);
	CU_ASSERT_EQUAL(ops->unslice(t, handle, NULL), -EINVAL);
	CU_ASSERT_EQUAL(ops->slice(t, handle, DBC, 2, good, 1, NULL), 0);
	other->ops->close(other);
	ops->close(t);
}

/* A slice as the host end of the bridge writes it: offsets 0 to 63 of one element. */
static void check_element(const uint8_t *e, uint8_t command, uint64_t source, uint64_t destination,
			  uint32_t length)
{
	CU_ASSERT_EQUAL(e[2], 0);
	CU_ASSERT_EQUAL(e[3], command);
	CU_ASSERT_EQUAL(le32(e + 4), 0);
	CU_ASSERT_EQUAL(le64(e + 8), source);
	CU_ASSERT_EQUAL(le64(e + 16), destination);
	CU_ASSERT_EQUAL(le32(e + 24), length);
	CU_ASSERT_EQUAL(le32(e + 28), 0);
}

static void elements(void)
{
	struct qeff_transport *t = open_active(16);
	const struct qaic_attach_slice_entry to[2] = {
		{
			.size = 100,
			.sem0 = { .val = 0x123, .index = 31, .presync = 1, .cmd = 5 },
			.sem1 = { .val = 1, .index = 2, .cmd = 2, .flags = 2 },
			.sem3 = { .flags = 1 }, /* a fence alone: not enabled */
			.dev_addr = 0x8000000000,
			.db_addr = 0x9000000004,
			.db_data = 0xcafe,
			.db_len = 16,
			.offset = 256,
		},
		{ .size = 0, .sem2 = { .index = 3, .cmd = 6 }, .dev_addr = 0x10 },
	};
	const struct qaic_attach_slice_entry from = {
		.size = 4096,
		.dev_addr = 0x7000,
		.db_addr = 0x11,
		.db_data = 0xff,
		.db_len = 8,
	};
	const struct qaic_execute_entry entries[2] = { { .handle = 1 }, { .handle = 2 } };
	uint8_t *in, *out;
	const uint8_t *e;

	new_buffer(t, 4096, &in);
	new_buffer(t, 4096, &out);
	CU_ASSERT_EQUAL(ops->slice(t, 1, DBC, 1, to, 2, NULL), 0);
	CU_ASSERT_EQUAL(ops->slice(t, 2, DBC, 2, &from, 1, NULL), 0);
	CU_ASSERT_EQUAL(ops->execute(t, DBC, entries, 2, NULL), 0);
	CU_ASSERT_EQUAL(wait_for(t, 2), 0);
	CU_ASSERT_EQUAL_FATAL(script.num_elements, 3);

	/* 0x18: bulk and completion; 1 to the card, 2 from it */
	e = script.elements[0];
	check_element(e, 0x19, (uintptr_t)in + 256, 0x8000000000, 100);
	CU_ASSERT_EQUAL(le64(e + 32), 0x9000000004);
	CU_ASSERT_EQUAL(e[40], 0x81); /* on, 16 bits */
	CU_ASSERT_EQUAL(le32(e + 44), 0xcafe);
	CU_ASSERT_EQUAL(le32(e + 48), 0x123 | 31u << 16 | 1u << 22 | 5u << 24 | 1u << 31);
	CU_ASSERT_EQUAL(le32(e + 52), 1 | 2u << 16 | 2u << 24 | 1u << 30 | 1u << 31);
	CU_ASSERT_EQUAL(le32(e + 56), 0);
	CU_ASSERT_EQUAL(le32(e + 60), 1u << 29);
	e = script.elements[1];
	CU_ASSERT_EQUAL(e[3], 0x18);
	CU_ASSERT_EQUAL(le32(e + 24), 0);
	CU_ASSERT_EQUAL(e[40], 0);
	CU_ASSERT_EQUAL(le32(e + 56), 3u << 16 | 6u << 24 | 1u << 31);
	e = script.elements[2];
	check_element(e, 0x1a, 0x7000, (uintptr_t)out, 4096);
	CU_ASSERT_EQUAL(e[40], 0x82); /* on, 8 bits */

	/* one number for each execution, the same in all its elements */
	CU_ASSERT_EQUAL(le32(script.elements[0]) & 0xffff, 0);
	CU_ASSERT_EQUAL(le32(script.elements[1]) & 0xffff, 0);
	CU_ASSERT_EQUAL(le32(script.elements[2]) & 0xffff, 1);
	CU_ASSERT_EQUAL(execute(t, 2), 0);
	CU_ASSERT_EQUAL(le32(script.elements[3]) & 0xffff, 2);
	ops->close(t);
}

static void scattered_memory_gives_more_elements(void)
{
	struct qeff_transport *t = open_active(16);
	const struct qaic_attach_slice_entry plain = {
		.size = 10000,
		.sem0 = { .index = 1, .cmd = 2 },
		.dev_addr = 0x40000,
		.db_addr = 4,
		.db_len = 32,
	};
	struct qaic_attach_slice_entry presync = plain;
	uint8_t *data;
	const uint8_t *e;

	soft_user_of(t)->card->segment_bytes = 4096;
	presync.sem1 = (struct qaic_sem){ .index = 2, .presync = 1, .cmd = 6 };
	new_buffer(t, 12288, &data);
	CU_ASSERT_EQUAL(ops->slice(t, 1, DBC, 1, &plain, 1, NULL), 0);
	CU_ASSERT_EQUAL(execute(t, 1), 0);
	CU_ASSERT_EQUAL(wait_for(t, 1), 0);
	CU_ASSERT_EQUAL_FATAL(script.num_elements, 3);
	check_element(script.elements[0], 0x09, (uintptr_t)data, 0x40000, 4096);
	check_element(script.elements[1], 0x09, (uintptr_t)data + 4096, 0x41000, 4096);
	e = script.elements[2];
	check_element(e, 0x19, (uintptr_t)data + 8192, 0x42000, 1808);
	/* nothing but data in the first ones; a fence in the last, for the data of the others */
	CU_ASSERT_EQUAL(le32(script.elements[0] + 48), 0);
	CU_ASSERT_EQUAL(script.elements[1][40], 0);
	CU_ASSERT_EQUAL(le32(e + 48), 1u << 16 | 2u << 24 | 1u << 30 | 1u << 31);
	CU_ASSERT_EQUAL(e[40], 0x80);

	CU_ASSERT_EQUAL(ops->unslice(t, 1, NULL), 0);
	CU_ASSERT_EQUAL(ops->slice(t, 1, DBC, 2, &presync, 1, NULL), 0);
	CU_ASSERT_EQUAL(execute(t, 1), 0);
	CU_ASSERT_EQUAL(wait_for(t, 1), 0);
	CU_ASSERT_EQUAL_FATAL(script.num_elements, 6);
	for (int i = 3; i < 6; i++) {
		e = script.elements[i];
		CU_ASSERT_EQUAL(e[3], i == 5 ? 0x1a : 0x0a);
		CU_ASSERT_EQUAL(le32(e + 52), 2u << 16 | 1u << 22 | 6u << 24 | 1u << 31);
		CU_ASSERT_EQUAL(le32(e + 48), i == 5 ? 1u << 16 | 2u << 24 | 1u << 31 : 0);
	}
	ops->close(t);
}

/* Bytes beyond what is to be moved are left out; semaphores and doorbells never are. */
static void partial(void)
{
	struct qeff_transport *t = open_active(16);
	const struct qaic_attach_slice_entry slices[2] = {
		{ .size = 10000,
		  .sem0 = { .index = 1, .presync = 1, .cmd = 6 },
		  .dev_addr = 0x40000 },
		{ .size = 2000, .dev_addr = 0x7000, .db_addr = 4, .db_len = 32, .offset = 10000 },
	};
	/* of the first slice and of the second, in elements of 4096 bytes at most */
	static const struct {
		uint64_t valid;
		uint32_t elements, length[4];
	} cases[] = {
		{ 12288, 4, { 4096, 4096, 1808, 2000 } },
		{ 11000, 4, { 4096, 4096, 1808, 1000 } },
		{ 8192, 3, { 4096, 4096, 0 } },
		{ 4097, 3, { 4096, 1, 0 } },
		{ 0, 2, { 0, 0 } },
	};
	struct qaic_partial_execute_entry entry = { .handle = 1, .resize = 12289 };

	soft_user_of(t)->card->segment_bytes = 4096;
	new_buffer(t, 12288, NULL);
	CU_ASSERT_EQUAL(ops->execute_partial(t, DBC, &entry, 1, NULL), -EINVAL);
	CU_ASSERT_EQUAL(ops->slice(t, 1, DBC, 1, slices, 2, NULL), 0);
	CU_ASSERT_EQUAL(ops->execute_partial(t, DBC, &entry, 1, NULL), -EINVAL);
	CU_ASSERT_EQUAL(ops->execute_partial(t, DBC, NULL, 1, NULL), -EINVAL);
	CU_ASSERT_EQUAL(script.num_elements, 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		entry.resize = cases[i].valid;
		script.num_elements = 0;
		CU_ASSERT_EQUAL(ops->execute_partial(t, DBC, &entry, 1, NULL), 0);
		CU_ASSERT_EQUAL(wait_for(t, 1), 0);
		CU_ASSERT_EQUAL_FATAL(script.num_elements, cases[i].elements);
		for (uint32_t k = 0; k < cases[i].elements; k++) {
			const uint8_t *e = script.elements[k];
			bool ends = k + 2 >= cases[i].elements; /* a slice: it wants a response */

			CU_ASSERT_EQUAL(le32(e + 24), cases[i].length[k]);
			CU_ASSERT_EQUAL(e[3],
					0x08 | (cases[i].length[k] ? 1 : 0) | (ends ? 0x10 : 0));
			CU_ASSERT_EQUAL(le32(e + 48) >> 31, k + 1 < cases[i].elements);
			CU_ASSERT_EQUAL(e[40], k + 1 == cases[i].elements ? 0x80 : 0);
		}
	}
	ops->close(t);
}

static void execute_errors(void)
{
	struct qeff_transport *t = open_active(8), *other = NULL;
	const struct qaic_attach_slice_entry three[3] = { 0 };
	struct qaic_execute_entry entries[3] = { { .handle = 1 },
						 { .handle = 2 },
						 { .handle = 1 } };
	uint32_t raw;

	ready_buffer(t);
	ready_buffer(t);
	raw = new_buffer(t, 1, NULL);
	CU_ASSERT_EQUAL(ops->execute(t, DBC, entries, 0, NULL), -EINVAL);
	CU_ASSERT_EQUAL(ops->execute(t, 16, entries, 1, NULL), -EINVAL);
	CU_ASSERT_EQUAL(ops->execute(t, DBC, NULL, 1, NULL), -EINVAL);
	CU_ASSERT_EQUAL(ops->execute(t, 4, entries, 1, NULL), -EPERM);
	CU_ASSERT_EQUAL_FATAL(qeff_softcard_open(7, &config, &other, NULL), 0);
	CU_ASSERT_EQUAL(ops->execute(other, DBC, entries, 1, NULL), -EPERM);
	CU_ASSERT_EQUAL(execute(t, 99), -ENOENT);
	CU_ASSERT_EQUAL(execute(t, raw), -EINVAL);

	/* all or nothing: the first two are taken back, and the card saw none of it */
	CU_ASSERT_EQUAL(ops->execute(t, DBC, entries, 3, NULL), -EINVAL);
	entries[2].handle = 99;
	CU_ASSERT_EQUAL(ops->execute(t, DBC, entries, 3, NULL), -ENOENT);
	CU_ASSERT_EQUAL(script.num_elements, 0);
	CU_ASSERT_EQUAL(qeff_card_dbc_read(script.card, DBC, 4), 0);
	CU_ASSERT_EQUAL(ops->execute(t, DBC, entries, 2, NULL), 0);
	CU_ASSERT_EQUAL(script.num_elements, 2);

	/* a buffer of one channel on another, both ours */
	activate(t, 2, 8);
	CU_ASSERT_EQUAL(ops->execute(t, 2, entries, 1, NULL), -EINVAL);

	/* queued already; the ring full; both pass */
	script.hold = 1;
	CU_ASSERT_EQUAL(ops->slice(t, raw, DBC, 1, three, 3, NULL), 0);
	CU_ASSERT_EQUAL(execute(t, 1), 0);
	CU_ASSERT_EQUAL(execute(t, 1), -EINVAL);
	CU_ASSERT_EQUAL(ops->unslice(t, 1, NULL), -EBUSY);
	CU_ASSERT_EQUAL(execute(t, raw), 0);
	CU_ASSERT_EQUAL(execute(t, 2), 0);
	entries[0].handle = new_buffer(t, 1, NULL);
	CU_ASSERT_EQUAL(ops->slice(t, entries[0].handle, DBC, 1, three, 3, NULL), 0);
	CU_ASSERT_EQUAL(execute(t, entries[0].handle), -EAGAIN);
	script_run(DBC, 1);
	CU_ASSERT_EQUAL(wait_for(t, 1), 0);
	CU_ASSERT_EQUAL(execute(t, entries[0].handle), 0);
	script.hold = 0;
	script_run(DBC, 100);
	CU_ASSERT_EQUAL(wait_for(t, entries[0].handle), 0);
	other->ops->close(other);
	ops->close(t);
}

static void rings_wrap(void)
{
	struct qeff_transport *t = open_active(5);
	const struct qaic_attach_slice_entry three[3] = { { .size = 1 },
							  { .size = 2 },
							  { .size = 3 } };

	new_buffer(t, 4096, NULL);
	CU_ASSERT_EQUAL(ops->slice(t, 1, DBC, 1, three, 3, NULL), 0);
	for (int i = 0; i < 1000; i++) {
		CU_ASSERT_EQUAL_FATAL(execute(t, 1), 0);
		CU_ASSERT_EQUAL_FATAL(wait_for(t, 1), 0);
	}
	CU_ASSERT_EQUAL(script.num_elements, 3000);
	for (unsigned int i = 0; i < 256; i++) {
		unsigned int n = 3000 - 256 + i;
		const uint8_t *e = script.elements[n % 256];

		CU_ASSERT_EQUAL(le32(e) & 0xffff, n / 3);
		CU_ASSERT_EQUAL(le32(e + 24), n % 3 + 1);
	}
	ops->close(t);
}

static void waits(void)
{
	struct qeff_transport *t = open_active(8), *other = NULL;
	uint32_t handle = ready_buffer(t);
	struct qeff_error err = { 0 };

	CU_ASSERT_EQUAL(ops->wait(t, 16, handle, 1, NULL), -EINVAL);
	CU_ASSERT_EQUAL(ops->wait(t, 4, 99, 1, NULL), -EPERM);
	CU_ASSERT_EQUAL_FATAL(qeff_softcard_open(7, &config, &other, NULL), 0);
	CU_ASSERT_EQUAL(ops->wait(other, DBC, handle, 1, NULL), -EPERM);
	CU_ASSERT_EQUAL(ops->wait(t, DBC, 99, 1, NULL), -ENOENT);
	CU_ASSERT_EQUAL(wait_for(t, handle), 0); /* never ran: complete */

	script.hold = 1;
	CU_ASSERT_EQUAL(execute(t, handle), 0);
	CU_ASSERT_EQUAL(ops->wait(t, DBC, handle, 20, &err), -ETIMEDOUT);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "20 ms"));
	script_run(DBC, 1);
	CU_ASSERT_EQUAL(wait_for(t, handle), 0);
	CU_ASSERT_EQUAL(wait_for(t, handle), 0);

	/* a failed transfer is told, once it failed, until the next execution */
	script.hold = 0;
	script.fail_elements = 1;
	CU_ASSERT_EQUAL(execute(t, handle), 0);
	CU_ASSERT_EQUAL(wait_for(t, handle), -EIO);
	CU_ASSERT_EQUAL(wait_for(t, handle), -EIO);
	CU_ASSERT_EQUAL(execute(t, handle), 0);
	CU_ASSERT_EQUAL(wait_for(t, handle), 0);
	other->ops->close(other);
	ops->close(t);
}

static void *run_one(void *argument)
{
	script_run(DBC, 1);
	return NULL;
}

static void completion_from_another_thread_wakes(void)
{
	struct qeff_transport *t = open_active(8);
	uint32_t handle = ready_buffer(t);
	pthread_t thread;

	script.hold = 1;
	for (int i = 0; i < 50; i++) {
		CU_ASSERT_EQUAL(execute(t, handle), 0);
		CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, run_one, NULL), 0);
		CU_ASSERT_EQUAL(wait_for(t, handle), 0);
		pthread_join(thread, NULL);
	}
	ops->close(t);
}

struct waiter {
	struct qeff_transport *t;
	uint32_t handle;
	int result;
};

static void *wait_in_thread(void *argument)
{
	struct waiter *w = argument;

	w->result = wait_for(w->t, w->handle);
	return NULL;
}

/* Until the waiter's own reference shows that it sleeps. */
static void until_waited_for(struct qeff_transport *t, uint32_t handle)
{
	struct soft_user *u = soft_user_of(t);
	unsigned int users = 0;

	while (users < 3) {
		pthread_mutex_lock(&u->card->lock);
		users = u->buffers[handle - 1]->users;
		pthread_mutex_unlock(&u->card->lock);
		sched_yield();
	}
}

static bool reaches_bytes(const void *data, size_t size_bytes, bool writes)
{
	const struct qeff_card_host *host = &script.card->host;

	return host->translate(host->user, (uintptr_t)data, size_bytes, writes) != NULL;
}

static bool reaches(const void *data, bool writes)
{
	return reaches_bytes(data, 1, writes);
}

static void tear_down_wakes_waiters(void)
{
	struct qeff_transport *t = open_active(8);
	struct waiter w = { .t = t, .handle = ready_buffer(t) };
	pthread_t thread;

	script.hold = 1;
	CU_ASSERT_EQUAL(execute(t, w.handle), 0);
	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, wait_in_thread, &w), 0);
	until_waited_for(t, w.handle);
	CU_ASSERT_EQUAL(deactivate(t, DBC), 0);
	pthread_join(thread, NULL);
	CU_ASSERT_EQUAL(w.result, -EPERM);
	CU_ASSERT_EQUAL(wait_for(t, w.handle), -EPERM);
	CU_ASSERT_EQUAL(execute(t, w.handle), -EPERM);
	/* late responses and interrupts find nobody */
	script.card->host.interrupt(script.card->host.user, DBC + 1);
	/* detached, and free for another channel */
	CU_ASSERT_EQUAL(ops->unslice(t, w.handle, NULL), -EINVAL);
	activate(t, 9, 4);
	CU_ASSERT_EQUAL(
		ops->slice(t, w.handle, 9, 1, &(struct qaic_attach_slice_entry){ 0 }, 1, NULL), 0);
	ops->close(t);
}

static void the_card_reaches_sliced_buffers_only(void)
{
	struct qeff_transport *t = open_active(8);
	const struct qaic_attach_slice_entry slice = { .size = 64 };
	uint8_t *data;

	new_buffer(t, 4096, &data);
	CU_ASSERT_FALSE(reaches(data, false));
	CU_ASSERT_EQUAL(ops->slice(t, 1, DBC, 1, &slice, 1, NULL), 0);
	CU_ASSERT_TRUE(reaches(data + 4095, false));
	CU_ASSERT_FALSE(reaches(data, true));
	/* what lies beside it may be mapped too, but nothing reaches across */
	CU_ASSERT_TRUE(reaches_bytes(data, 4096, false));
	CU_ASSERT_FALSE(reaches_bytes(data - 1, 2, false));
	CU_ASSERT_FALSE(reaches_bytes(data, 4097, false));
	CU_ASSERT_FALSE(reaches_bytes(data + 1, SIZE_MAX, false));
	CU_ASSERT_EQUAL(ops->unslice(t, 1, NULL), 0);
	CU_ASSERT_FALSE(reaches(data, false));
	CU_ASSERT_EQUAL(ops->slice(t, 1, DBC, 2, &slice, 1, NULL), 0);
	CU_ASSERT_TRUE(reaches(data, true));

	/* freed while queued: its memory stays until the card is done with it */
	script.hold = 1;
	CU_ASSERT_EQUAL(execute(t, 1), 0);
	ops->buffer_free(t, 1);
	CU_ASSERT_TRUE(reaches(data, true));
	CU_ASSERT_EQUAL(wait_for(t, 1), -ENOENT);
	script_run(DBC, 1);
	CU_ASSERT_FALSE(reaches(data, true));
	ops->close(t);
}

static void statistics(void)
{
	struct qeff_transport *t = open_active(8);
	struct qaic_perf_stats_entry entries[2] = { { .handle = 1 }, { .handle = 2 } };
	const struct qaic_execute_entry both[2] = { { .handle = 1 }, { .handle = 2 } };

	ready_buffer(t);
	ready_buffer(t);
	CU_ASSERT_EQUAL(ops->stats(t, 16, entries, 2, NULL), -EINVAL);
	CU_ASSERT_EQUAL(ops->stats(t, DBC, entries, 2, NULL), 0);
	CU_ASSERT_EQUAL(entries[1].handle, 2);
	CU_ASSERT_EQUAL(entries[1].num_queue_element, 0);
	CU_ASSERT_EQUAL(ops->execute(t, DBC, both, 2, NULL), 0);
	CU_ASSERT_EQUAL(wait_for(t, 2), 0);
	CU_ASSERT_EQUAL(ops->stats(t, DBC, entries, 2, NULL), 0);
	CU_ASSERT_EQUAL(entries[0].queue_level_before, 0);
	CU_ASSERT_EQUAL(entries[1].queue_level_before, 1);
	CU_ASSERT_EQUAL(entries[1].num_queue_element, 1);
	activate(t, 2, 8);
	CU_ASSERT_EQUAL(ops->stats(t, 2, entries, 2, NULL), -EINVAL);
	entries[1].handle = 99;
	CU_ASSERT_EQUAL(ops->stats(t, DBC, entries, 2, NULL), -ENOENT);
	ops->close(t);
}

static const struct unit_test tests[] = {
	{ "buffers", buffers },
	{ "slice: errors in the driver's order", slice_errors_in_order },
	{ "request elements", elements },
	{ "scattered memory gives more elements", scattered_memory_gives_more_elements },
	{ "partial executions", partial },
	{ "execute: errors", execute_errors },
	{ "rings wrap", rings_wrap },
	{ "wait: errors, failures", waits },
	{ "completion from another thread wakes", completion_from_another_thread_wakes },
	{ "tear-down wakes waiters", tear_down_wakes_waiters },
	{ "the card reaches sliced buffers only", the_card_reaches_sliced_buffers_only },
	{ "statistics", statistics },
};
QEFF_UNIT_MAIN("device-queue", tests)
