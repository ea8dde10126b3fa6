/* SPDX-License-Identifier: MIT */
/* The outer tiers of the control protocol, L1 and L2, against byte vectors. */
#include "test_nnc.h"

#include "nnc/user.h"
#include "nnc/wire.h"
#include "util/bytes.h"

/* --- L1 --- */

static void test_user_encode(void)
{
	static const uint8_t command[8] = { 0x0d, 0, 0, 0, 1, 2, 3, 4 };
	struct qeff_user_message m;

	qeff_user_begin(&m);
	CU_ASSERT_EQUAL(qeff_user_add_status(&m, NULL), 0);
	CU_ASSERT_EQUAL(qeff_user_add_passthrough(&m, command, sizeof(command), NULL), 0);
	CU_ASSERT_EQUAL(qeff_user_add_dma_xfer(&m, 300, 0x1122334455667788, 0x99, NULL), 0);
	CU_ASSERT_EQUAL(qeff_user_add_activate(&m, 512, 0x10000, NULL), 0);
	CU_ASSERT_EQUAL(qeff_user_add_deactivate(&m, 7, NULL), 0);
	CU_ASSERT_EQUAL(m.count, 5);
	check_bytes(m.data, m.size_bytes,
		    /* status from user: header only */
		    "0c000000 08000000"
		    /* passthrough from user: 8 + 8, and the 8 trailing zeros that are usual */
		    "01000000 18000000 0d000000 01020304 00*8 "
		    /* DMA_XFER: tag, 1, address, size */
		    "05000000 20000000 2c010000 01000000 8877665544332211 9900000000000000"
		    /* ACTIVATE: queue size, eventfd, options, pad */
		    "07000000 18000000 00020000 00000000 00000100 00000000"
		    /* DEACTIVATE: dbc, pad */
		    "0a000000 10000000 07000000 00000000");
	CU_ASSERT_EQUAL(qeff_user_validate_request(m.data, m.size_bytes, m.count, NULL), 0);
}

static void test_user_full(void)
{
	static const uint8_t command[4080 - 8];
	struct qeff_error err = { 0 };
	struct qeff_user_message m;

	qeff_user_begin(&m);
	/* 8 + 4072 + 8 = 4088: one header more fits exactly. */
	CU_ASSERT_EQUAL(qeff_user_add_passthrough(&m, command, sizeof(command), NULL), 0);
	CU_ASSERT_EQUAL(qeff_user_add_deactivate(&m, 1, &err), -ENOSPC);
	CU_ASSERT(err.code == -ENOSPC && err.message[0]);
	CU_ASSERT_EQUAL(m.size_bytes, 4088);
	CU_ASSERT_EQUAL(qeff_user_add_status(&m, NULL), 0);
	CU_ASSERT_EQUAL(m.size_bytes, 4096);
	CU_ASSERT_EQUAL(qeff_user_add_status(&m, NULL), -ENOSPC);
	CU_ASSERT_EQUAL(m.count, 2);
}

static int validate(const char *text, uint32_t count)
{
	uint8_t bytes[4200];
	size_t size = hex(bytes, sizeof(bytes), text);

	return qeff_user_validate_request(bytes, (uint32_t)size, count, NULL);
}

static void test_user_validate(void)
{
	uint8_t many[4104];

	CU_ASSERT_EQUAL(validate("0c000000 08000000", 1), 0);
	CU_ASSERT_EQUAL(validate("0c000000 08000000", 0), -EINVAL);
	CU_ASSERT_EQUAL(validate("0c000000 08000000", 2), -EINVAL);
	CU_ASSERT_EQUAL(validate("0c000000 08000000 00000000", 1), -EINVAL);
	CU_ASSERT_EQUAL(validate("0c000000 07000000", 1), -EINVAL);
	CU_ASSERT_EQUAL(validate("0c000000 09000000", 1), -EINVAL);
	CU_ASSERT_EQUAL(validate("0c000000 ffffffff", 1), -EINVAL);
	CU_ASSERT_EQUAL(validate("0c0000", 1), -EINVAL);
	/* Types that only come from elsewhere. */
	CU_ASSERT_EQUAL(validate("00000000 08000000", 1), -EINVAL);
	CU_ASSERT_EQUAL(validate("03000000 08000000", 1), -EINVAL);
	CU_ASSERT_EQUAL(validate("06000000 18000000 00*16 ", 1), -EINVAL);
	CU_ASSERT_EQUAL(validate("15000000 08000000", 1), -EINVAL);
	/* Passthrough: a multiple of 8. */
	CU_ASSERT_EQUAL(validate("01000000 0c000000 00*4 ", 1), -EINVAL);
	CU_ASSERT_EQUAL(validate("01000000 10000000 00*8 ", 1), 0);
	/* Too short for their layouts. */
	CU_ASSERT_EQUAL(validate("05000000 18000000 00*16 ", 1), -EINVAL);
	CU_ASSERT_EQUAL(validate("07000000 10000000 00*8 ", 1), -EINVAL);
	CU_ASSERT_EQUAL(validate("0a000000 08000000", 1), -EINVAL);
	/* Pads. */
	CU_ASSERT_EQUAL(validate("0a000000 10000000 01000000 01000000", 1), -EINVAL);
	CU_ASSERT_EQUAL(validate("07000000 18000000 00020000 00*8 01000000", 1), -EINVAL);
	/* Two ACTIVATEs. */
	CU_ASSERT_EQUAL(validate("07000000 18000000 00020000 00*12 "
				 "07000000 18000000 00020000 00*12 ",
				 2),
			-EINVAL);
	/* 512 transactions of 8 bytes fill the buffer; more do not exist. */
	for (size_t i = 0; i < sizeof(many); i += 8) {
		qeff_put_u32(many + i, 12);
		qeff_put_u32(many + i + 4, 8);
	}
	CU_ASSERT_EQUAL(qeff_user_validate_request(many, 4096, 512, NULL), 0);
	CU_ASSERT_EQUAL(qeff_user_validate_request(many, 4104, 513, NULL), -EINVAL);
}

static void test_user_find(void)
{
	struct qeff_transaction t;
	struct qeff_user_message m;

	/* A reply that claims two transactions and holds one, as after a DEACTIVATE. */
	m.size_bytes = (uint32_t)hex(m.data, sizeof(m.data), "03000000 10000000 0c000000 00000000");
	m.count = 2;
	CU_ASSERT_EQUAL(
		qeff_user_find(&m, QEFF_PASSTHROUGH_FROM_DEV, QEFF_PASSTHROUGH_TO_USR, &t, NULL),
		0);
	CU_ASSERT_EQUAL(t.size_bytes, 16);
	CU_ASSERT_PTR_EQUAL(t.data, m.data);
	CU_ASSERT_EQUAL(
		qeff_user_find(&m, QEFF_ACTIVATE_FROM_DEV, QEFF_ACTIVATE_FROM_DEV, &t, NULL),
		-ENOENT);
	/* The tier's own type is taken as well. */
	hex(m.data, sizeof(m.data), "02000000");
	CU_ASSERT_EQUAL(
		qeff_user_find(&m, QEFF_PASSTHROUGH_FROM_DEV, QEFF_PASSTHROUGH_TO_USR, &t, NULL),
		0);
	/* Lengths that lead out of the reply. */
	hex(m.data, sizeof(m.data), "08000000 11000000");
	CU_ASSERT_EQUAL(
		qeff_user_find(&m, QEFF_ACTIVATE_FROM_DEV, QEFF_ACTIVATE_FROM_DEV, &t, NULL),
		-EINVAL);
	m.size_bytes = 4097;
	CU_ASSERT_EQUAL(qeff_user_find(&m, 8, 8, &t, NULL), -EINVAL);
}

/* --- L2 --- */

/* STATUS as a driver sends it first: with a CRC. */
static const char status_message[] = "17a0e306 51414943 01000000 28000000"
				     "01000000 00000000 ffffffff 00000000"
				     "0f000000 08000000";

static void test_wire_encode(void)
{
	const struct qeff_wire_header header = { .sequence_number = 1, .partition_id = -1 };
	struct qeff_transaction_writer w;
	_Alignas(8) uint8_t buffer[64];
	size_t size;

	qeff_wire_begin(&w, buffer, sizeof(buffer), &header);
	CU_ASSERT_PTR_NOT_NULL(qeff_transaction_add(&w, QEFF_STATUS_TO_DEV, 8));
	size = qeff_wire_finish(&w, true);
	check_bytes(buffer, size, status_message);

	/* The same without CRC. */
	qeff_wire_begin(&w, buffer, sizeof(buffer), &header);
	qeff_transaction_add(&w, QEFF_STATUS_TO_DEV, 8);
	size = qeff_wire_finish(&w, false);
	CU_ASSERT_EQUAL(size, 40);
	CU_ASSERT_EQUAL(qeff_get_u32(buffer), 0);
	CU_ASSERT_EQUAL(qeff_wire_crc(buffer, size), 0x06e3a017);

	/* No room: nothing comes out. */
	qeff_wire_begin(&w, buffer, 39, &header);
	CU_ASSERT_PTR_NULL(qeff_transaction_add(&w, QEFF_STATUS_TO_DEV, 8));
	CU_ASSERT_EQUAL(qeff_wire_finish(&w, true), 0);
	qeff_wire_begin(&w, buffer, 31, &header);
	CU_ASSERT_EQUAL(qeff_wire_finish(&w, true), 0);
}

static void test_wire_parse(void)
{
	struct qeff_transaction_reader r;
	struct qeff_wire_status_from_dev s;
	struct qeff_wire_header h;
	struct qeff_transaction t;
	uint8_t bytes[128];
	size_t size;

	/* A STATUS reply: version 5.0, flag 0 set, sequence 42, handle 7. */
	size = hex(bytes, sizeof(bytes),
		   "17b2680d 51414943 2a000000 38000000 01000000 07000000 ffffffff 00000000"
		   "0e000000 18000000 0500 0000 00000000 0100000000000000");
	CU_ASSERT_EQUAL(qeff_wire_parse(bytes, size, true, &h, &r, NULL), 0);
	CU_ASSERT_EQUAL(h.sequence_number, 42);
	CU_ASSERT_EQUAL(h.size_bytes, 56);
	CU_ASSERT_EQUAL(h.count, 1);
	CU_ASSERT_EQUAL(h.handle, 7);
	CU_ASSERT_EQUAL(h.partition_id, -1);
	CU_ASSERT_EQUAL(qeff_transaction_next(&r, &t, NULL), 1);
	CU_ASSERT_EQUAL(t.type, QEFF_STATUS_FROM_DEV);
	CU_ASSERT_TRUE(qeff_transaction_copy(&t, &s, sizeof(s)));
	CU_ASSERT(s.major == 5 && s.minor == 0 && s.status == 0 && s.flags == QEFF_WIRE_FLAG_CRC);
	CU_ASSERT_FALSE(qeff_transaction_copy(&t, bytes, 25));
	CU_ASSERT_EQUAL(qeff_transaction_next(&r, &t, NULL), 0);
}

/* The STATUS message with one byte changed. */
static int parse_changed(size_t at, uint8_t value, bool check_crc)
{
	struct qeff_transaction_reader r;
	struct qeff_wire_header h;
	uint8_t bytes[64];
	size_t size = hex(bytes, sizeof(bytes), status_message);

	bytes[at] = value;
	return qeff_wire_parse(bytes, size, check_crc, &h, &r, NULL);
}

static void test_wire_malformed(void)
{
	struct qeff_transaction_reader r;
	struct qeff_wire_header h;
	uint8_t bytes[64];
	size_t size = hex(bytes, sizeof(bytes), status_message);

	CU_ASSERT_EQUAL(parse_changed(28, 0, true), 0);
	CU_ASSERT_EQUAL(parse_changed(0, 0, true), -EBADMSG);
	CU_ASSERT_EQUAL(parse_changed(0, 0, false), 0);
	CU_ASSERT_EQUAL(parse_changed(39, 1, true), -EBADMSG);
	CU_ASSERT_EQUAL(parse_changed(4, 0x50, false), -EINVAL);
	CU_ASSERT_EQUAL(parse_changed(12, 0x20, false), -EINVAL);
	CU_ASSERT_EQUAL(parse_changed(12, 0x30, false), -EINVAL);
	CU_ASSERT_EQUAL(parse_changed(16, 0, false), -EINVAL);
	CU_ASSERT_EQUAL(parse_changed(16, 2, false), -EINVAL);
	CU_ASSERT_EQUAL(parse_changed(36, 7, false), -EINVAL);
	CU_ASSERT_EQUAL(parse_changed(36, 9, false), -EINVAL);
	CU_ASSERT_EQUAL(parse_changed(39, 0xff, false), -EINVAL);
	for (size_t cut = 0; cut < size; cut++)
		CU_ASSERT_EQUAL(qeff_wire_parse(bytes, cut, false, &h, &r, NULL), -EINVAL);
}

/* Every wire layout: named fields on one side, bytes on the other. */
static void test_wire_layouts(void)
{
	struct qeff_wire_dma_xfer x = { 6, 40, 300, 1, 0x55, 0 };
	struct qeff_wire_segment g = { 0x1000, 0x2000 };
	struct qeff_wire_dma_xfer_cont c = { 18, 24, 9, 0, 0x123456789a };
	struct qeff_wire_activate_to_dev a = { .type = 9,
					       .length = 40,
					       .request_ring = 0x0807060504030201,
					       .response_ring = 0x1817161514131211,
					       .request_elements = 512,
					       .response_elements = 513,
					       .buffer_bytes = 0x9000,
					       .options = 0x10000 };
	struct qeff_wire_activate_from_dev f = { 8, 24, 1, 15, 0x10000 };
	struct qeff_wire_deactivate_from_dev d = { 11, 16, 2, 3 };
	struct qeff_wire_terminate_to_dev t = { 17, 16, 5, 0 };
	struct qeff_wire_result r = { 16, 16, 0xfffffff7, 0 };

	check_bytes(&x, sizeof(x), "06000000 28000000 2c010000 01000000 55000000 00000000");
	check_bytes(&g, sizeof(g), "0010000000000000 0020000000000000");
	check_bytes(&c, sizeof(c), "12000000 18000000 09000000 00000000 9a78563412000000");
	check_bytes(&a, sizeof(a),
		    "09000000 28000000 0102030405060708 1112131415161718 00020000 01020000"
		    "00900000 00000100");
	check_bytes(&f, sizeof(f), "08000000 18000000 01000000 0f000000 0000010000000000");
	check_bytes(&d, sizeof(d), "0b000000 10000000 02000000 03000000");
	check_bytes(&t, sizeof(t), "11000000 10000000 05000000 00000000");
	check_bytes(&r, sizeof(r), "10000000 10000000 f7ffffff 00000000");
}

static const struct unit_test tests[] = {
	{ "L1: encoding", test_user_encode },
	{ "L1: a full message", test_user_full },
	{ "L1: requests that a driver refuses", test_user_validate },
	{ "L1: searching a reply", test_user_find },
	{ "L2: encoding", test_wire_encode },
	{ "L2: parsing", test_wire_parse },
	{ "L2: malformed messages", test_wire_malformed },
	{ "L2: layouts", test_wire_layouts },
};

QEFF_UNIT_MAIN("nnc", tests)
