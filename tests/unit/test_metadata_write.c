/* SPDX-License-Identifier: MIT */
/* What the writer of program metadata makes, looked at with a reader of its own. */
#include "test_metadata_flat.h"

/* Reading of what was written, by the slots of the public format: vt is the offset in the vtable.
 */
static const uint8_t *at_vt(const uint8_t *table_at, unsigned int vt)
{
	uint32_t back;
	const uint8_t *vtable;
	uint16_t offset;

	memcpy(&back, table_at, 4);
	vtable = table_at - (int32_t)back;
	memcpy(&offset, vtable + vt, 2);
	return offset ? table_at + offset : NULL;
}

static uint64_t number_at(const uint8_t *table_at, unsigned int vt, size_t size)
{
	const uint8_t *at = at_vt(table_at, vt);
	uint64_t value = 0;

	if (at)
		memcpy(&value, at, size);
	return at ? value : UINT64_MAX;
}

static const uint8_t *lead_from(const uint8_t *at)
{
	uint32_t offset;

	memcpy(&offset, at, 4);
	return at + offset;
}

static void check_written_slots(const uint8_t *data, size_t size)
{
	const uint8_t *root = lead_from(data + 8), *request, *op;

	CU_ASSERT_EQUAL(memcmp(data, "\1\0\0\0\0\0\0\0", 8), 0);
	CU_ASSERT_EQUAL(number_at(root, 4, 2), 1);
	CU_ASSERT_EQUAL(number_at(root, 6, 2), 0); /* defaults are stored too */
	CU_ASSERT_EQUAL(memcmp(lead_from(at_vt(root, 8)), "\4\0\0\0full", 9), 0);
	CU_ASSERT_EQUAL(number_at(root, 26, 8), 1024);
	CU_ASSERT_EQUAL(number_at(root, 28, 8), 512);
	CU_ASSERT_EQUAL(number_at(root, 30, 8), 8192);
	CU_ASSERT_EQUAL(number_at(root, 34, 8), 0x460);
	CU_ASSERT_EQUAL(number_at(root, 40, 2), 5);
	CU_ASSERT_EQUAL(number_at(root, 42, 2), 2);
	CU_ASSERT_EQUAL(number_at(root, 44, 2), 2);
	CU_ASSERT_EQUAL(number_at(root, 46, 1), 2);
	CU_ASSERT_EQUAL(number_at(root, 48, 1), 0);
	CU_ASSERT_EQUAL(number_at(root, 62, 1), 0);
	CU_ASSERT_EQUAL(number_at(root, 64, 4), 8 << 20);
	CU_ASSERT_EQUAL(number_at(root, 66, 4), 1 << 20);
	CU_ASSERT_EQUAL(number_at(root, 70, 8), 2 * size);
	CU_ASSERT_EQUAL(number_at(lead_from(at_vt(root, 72)), 4, 1), 1);
	CU_ASSERT_EQUAL(number_at(root, 80, 1), 1);
	request = lead_from(at_vt(root, 16));
	CU_ASSERT_EQUAL(request[0], 2);
	request = lead_from(request + 4);
	CU_ASSERT_EQUAL(number_at(request, 8, 8), 64);
	CU_ASSERT_EQUAL(number_at(request, 12, 4), 128);
	CU_ASSERT_EQUAL(number_at(request, 18, 1), 1);
	CU_ASSERT_EQUAL(number_at(request, 22, 2), 100);
	op = lead_from(lead_from(at_vt(request, 4)) + 4);
	CU_ASSERT_EQUAL(number_at(op, 4, 2), 1);
	CU_ASSERT_EQUAL(number_at(op, 8, 1), 4);
	CU_ASSERT_EQUAL(number_at(op, 10, 1), 1);
	CU_ASSERT_EQUAL(number_at(op, 12, 1), 0);
	op = lead_from(lead_from(at_vt(request, 6)) + 4);
	CU_ASSERT_EQUAL(number_at(op, 4, 8), 12);
	CU_ASSERT_EQUAL(number_at(op, 10, 1), 2);
}

static void test_write(void)
{
	struct qeff_bytes written[2] = { 0 };
	struct qeff_metadata *md, *again;
	struct qeff_error err = { 0 };
	struct places at;
	struct pen p;

	full(&p, &at);
	CU_ASSERT_EQUAL_FATAL(parse(p.bytes, p.n, &md, &err), 0);
	CU_ASSERT_EQUAL_FATAL(qeff_metadata_write(md, &written[0], &err), 0);
	check_written_slots(written[0].data, written[0].size_bytes);
	CU_ASSERT_EQUAL_FATAL(parse(written[0].data, written[0].size_bytes, &again, &err), 0);
	CU_ASSERT_EQUAL(again->form, QEFF_MD_FLATBUFFER_TERMINATED);
	check_full(again);
	check_full_flat(again);
	/* list, name, context and dynamic DDR by itself, then the two that were there */
	CU_ASSERT_EQUAL(again->num_required_fields, 6);
	CU_ASSERT_STRING_EQUAL(again->required_fields[2], "AicMetadataFlat_Metadata->execContext");
	CU_ASSERT_EQUAL_FATAL(qeff_metadata_write(md, &written[1], &err), 0);
	CU_ASSERT_EQUAL_FATAL(written[0].size_bytes, written[1].size_bytes);
	CU_ASSERT_EQUAL(memcmp(written[0].data, written[1].data, written[0].size_bytes), 0);
	qeff_metadata_free(again);
	qeff_metadata_free(md);
	qeff_bytes_free(&written[0]);
	qeff_bytes_free(&written[1]);
}

static void test_write_refuses(void)
{
	struct qeff_metadata md = { .num_nsps = 17 };
	struct qeff_bytes out = { 0 };
	struct qeff_error err = { 0 };

	CU_ASSERT_EQUAL(qeff_metadata_write(&md, &out, &err), -EINVAL);
	CU_ASSERT_EQUAL(out.size_bytes, 0);
	md.num_nsps = 16;
	CU_ASSERT_EQUAL(qeff_metadata_write(&md, &out, &err), 0);
	CU_ASSERT_EQUAL(out.size_bytes % 8, 0);
	qeff_bytes_free(&out);
}

static const struct unit_test tests[] = {
	{ "write", test_write },
	{ "write_refuses", test_write_refuses },
};

QEFF_UNIT_MAIN("metadata write", tests)
