/* SPDX-License-Identifier: MIT */
/* The inner tier of the control protocol, L3, through the client's calls, against byte vectors. */
#include "test_nnc.h"

#include "nnc/client.h"
#include "nnc/user.h"
#include "util/bytes.h"

#include <unistd.h>

/*
 * A control channel with a script: each exchange must be the expected bytes (from the process id
 * on, which is marked "pppppppp" in the text by zeros at @pid_at), and is answered with given ones.
 */
struct exchange {
	const char *request;
	uint32_t count;
	int pid_at;	/* where in the request the process id stands, -1: nowhere */
	int pointer_at; /* where a host address stands, -1: nowhere */
	const char *reply;
	uint32_t reply_count;
	int rc;
};

struct script {
	const struct exchange *next;
	unsigned int left;
	uint64_t pointers[4];
	unsigned int num_pointers;
};

static int manage(void *user, void *data, uint32_t *size_bytes, uint32_t *count,
		  struct qeff_error *err)
{
	struct script *s = user;
	const struct exchange *x = s->next;
	uint8_t *bytes = data;

	CU_ASSERT_NOT_EQUAL_FATAL(s->left, 0);
	s->next++;
	s->left--;
	if (x->pid_at >= 0) {
		CU_ASSERT_EQUAL(qeff_get_u32(bytes + x->pid_at), (uint32_t)getpid());
		qeff_put_u32(bytes + x->pid_at, 0);
	}
	if (x->pointer_at >= 0) {
		s->pointers[s->num_pointers++] = qeff_get_u64(bytes + x->pointer_at);
		qeff_put_u64(bytes + x->pointer_at, 0);
	}
	check_bytes(bytes, *size_bytes, x->request);
	CU_ASSERT_EQUAL(*count, x->count);
	*size_bytes = (uint32_t)hex(bytes, QEFF_USER_MAX_BYTES, x->reply);
	*count = x->reply_count;
	return x->rc;
}

#define SCRIPT(exchanges)                                                                          \
	{                                                                                          \
		.next = (exchanges), .left = sizeof(exchanges) / sizeof((exchanges)[0])            \
	}

static void test_client_link(void)
{
	static const struct exchange x[] = {
		{ "0c000000 08000000", 1, -1, -1,
		  "0e000000 18000000 0500 0300 00000000 0102000000000000", 1, 0 },
	};
	struct script s = SCRIPT(x);
	const struct qeff_nnc_client c = { .manage = manage, .user = &s };
	struct qeff_nnc_link link;

	CU_ASSERT_EQUAL(qeff_nnc_query_link(&c, &link, NULL), 0);
	CU_ASSERT(link.major == 5 && link.minor == 3 && link.flags == 0x201);
}

static void test_client_status(void)
{
	/* 8 + 504 bytes; every field another value. */
	static const char reply[] =
		"03000000 00020000"
		"0e000000 00000000 0c 00*7 "
		/* dev_data at 16: versions, then strings of 38, 38 and 16 bytes */
		"01 02 03 ff"
		"51 43 00*36 "
		"4f 45 4d 00*35 "
		"41*16 "
		/* hardware version at 96, chip serial, board serial, compiler version */
		"00021160 43 00*15 42 31 00*30 11000000"
		/* resource_info at 152 */
		"00800000 00700000 05000000 10 0f 10 0c 40000000 3f000000 00020000 e0010000 04 01 00*6 "
		/* performance_info at 192 */
		"01000000 02000000 03000000 04000000 05000000 00000000"
		"0600000000000000 0700000000000000 00*16 "
		/* constants sets, networks, metadata and protocol versions, SBL name */
		"08000000 09000000 0a 0b 0100 0000 1100 0000 53 42 4c 00*21 "
		/* reset needed, pad, PVS, defective mask, time offset, retired, SKU, complex id */
		"01 00 12000000 1300000000000000 1400000000000000 15000000 02 01 0000"
		/* nsp_data at 336: version, pad, strings of 64, 48 and 48 bytes */
		"04 05 06 07 00000000 4e 00*63 4f 00*47 56 00*47 ";
	static const struct exchange x[] = {
		{ "01000000 18000000 0d000000 00000000 00*8 ", 1, -1, -1, reply, 1, 0 },
	};
	struct script s = SCRIPT(x);
	const struct qeff_nnc_client c = { .manage = manage, .user = &s };
	struct qeff_nnc_status_resp r;
	char text[65];

	CU_ASSERT_EQUAL_FATAL(qeff_nnc_query_status(&c, &r, NULL), 0);
	CU_ASSERT(r.format_version == 12 && r.device.firmware_major == 1 &&
		  r.device.firmware_minor == 2 && r.device.firmware_patch == 3 &&
		  r.device.firmware_build == 255);
	qeff_nnc_text(text, r.device.qc_version, sizeof(r.device.qc_version));
	CU_ASSERT_STRING_EQUAL(text, "QC");
	qeff_nnc_text(text, r.device.oem_version, sizeof(r.device.oem_version));
	CU_ASSERT_STRING_EQUAL(text, "OEM");
	/* No NUL inside its 16 bytes. */
	qeff_nnc_text(text, r.device.variant, sizeof(r.device.variant));
	CU_ASSERT_STRING_EQUAL(text, "AAAAAAAAAAAAAAAA");
	CU_ASSERT_EQUAL(r.device.hardware_version, 0x60110200);
	qeff_nnc_text(text, r.device.chip_serial, sizeof(r.device.chip_serial));
	CU_ASSERT_STRING_EQUAL(text, "C");
	qeff_nnc_text(text, r.device.board_serial, sizeof(r.device.board_serial));
	CU_ASSERT_STRING_EQUAL(text, "B1");
	CU_ASSERT_EQUAL(r.device.compiler_version, 0x11);
	CU_ASSERT(r.device.resources.ddr_total_mb == 0x8000 &&
		  r.device.resources.ddr_free_mb == 0x7000 &&
		  r.device.resources.fragmentation_percent == 5);
	CU_ASSERT(r.device.resources.vc_total == 16 && r.device.resources.vc_free == 15 &&
		  r.device.resources.nsp_total == 16 && r.device.resources.nsp_free == 12);
	CU_ASSERT(r.device.resources.mcid_total == 64 && r.device.resources.mcid_free == 63 &&
		  r.device.resources.semaphores_total == 512 &&
		  r.device.resources.semaphores_free == 480);
	CU_ASSERT(r.device.resources.physical_channels_total == 4 &&
		  r.device.resources.physical_channels_reserved == 1);
	CU_ASSERT(r.device.performance.nsp_clock_hz == 1 &&
		  r.device.performance.ddr_clock_hz == 2 &&
		  r.device.performance.comp_noc_clock_hz == 3 &&
		  r.device.performance.mem_noc_clock_hz == 4 &&
		  r.device.performance.sys_noc_clock_hz == 5 &&
		  r.device.performance.peak_int8_ops_per_s == 6 &&
		  r.device.performance.ddr_kbytes_per_s == 7);
	CU_ASSERT(r.device.constants_loaded == 8 && r.device.constants_in_use == 9 &&
		  r.device.networks_loaded == 10 && r.device.networks_active == 11);
	CU_ASSERT(r.device.metadata_major == 1 && r.device.metadata_minor == 0 &&
		  r.device.protocol_major == 17 && r.device.protocol_minor == 0);
	qeff_nnc_text(text, r.device.sbl_name, sizeof(r.device.sbl_name));
	CU_ASSERT_STRING_EQUAL(text, "SBL");
	CU_ASSERT(r.device.reset_needed == 1 && r.device.pvs_version == 0x12 &&
		  r.device.nsp_defective_mask == 0x13 && r.device.qts_offset_us == 0x14 &&
		  r.device.retired_pages == 0x15 && r.device.sku == 2 && r.device.complex_id == 1);
	CU_ASSERT(r.nsp.major == 4 && r.nsp.minor == 5 && r.nsp.patch == 6 && r.nsp.build == 7);
	CU_ASSERT(r.nsp.qc_version[0] == 'N' && r.nsp.oem_version[0] == 'O' &&
		  r.nsp.variant[0] == 'V');
}

static void test_client_status_old_format(void)
{
	static const struct exchange x[] = {
		{ "01000000 18000000 0d000000 00000000 00*8 ", 1, -1, -1,
		  "03000000 00020000 0e000000 00000000 0b 00*495 ", 1, 0 },
	};
	struct script s = SCRIPT(x);
	const struct qeff_nnc_client c = { .manage = manage, .user = &s };
	struct qeff_nnc_status_resp r;

	CU_ASSERT_EQUAL(qeff_nnc_query_status(&c, &r, NULL), -EPROTONOSUPPORT);
}

static void test_client_queries(void)
{
	static const struct exchange x[] = {
		{ "01000000 20000000 20000000 00000000 ffffffff 00000000 00*8 ", 1, 12, -1,
		  "03000000 40000000 21000000 ffffffff"
		  "00800000 00700000 05000000 10 0f 10 0c 40000000 3f000000 00020000 e0010000 04 01 00*6 "
		  "00000000 00000000",
		  1, 0 },
		{ "01000000 18000000 22000000 00000000 00*8 ", 1, 12, -1,
		  "03000000 48000000 23000000 00000000"
		  "01000000 02000000 03000000 04000000 05000000 00000000"
		  "0600000000000000 0700000000000000 00*16 ",
		  1, 0 },
		/* The status of RESOURCE_INFO stands behind the numbers. */
		{ "01000000 20000000 20000000 00000000 ffffffff 00000000 00*8 ", 1, 12, -1,
		  "03000000 40000000 21000000 ffffffff 00*40 f5ffffff 00000000", 1, 0 },
	};
	struct script s = SCRIPT(x);
	const struct qeff_nnc_client c = { .manage = manage, .user = &s };
	struct qeff_nnc_performance p;
	struct qeff_nnc_resources r;

	CU_ASSERT_EQUAL(qeff_nnc_query_resources(&c, &r, NULL), 0);
	CU_ASSERT(r.ddr_free_mb == 0x7000 && r.nsp_free == 12 && r.semaphores_free == 480);
	CU_ASSERT_EQUAL(qeff_nnc_query_performance(&c, &p, NULL), 0);
	CU_ASSERT(p.nsp_clock_hz == 1 && p.ddr_kbytes_per_s == 7);
	CU_ASSERT_EQUAL(qeff_nnc_query_resources(&c, &r, NULL), -ENOENT);
	CU_ASSERT_EQUAL(s.left, 0);
}

static const uint8_t descriptor[24] = { 0, 1, 0, 0, 0, 0, 0, 0, 16 };
static const uint8_t constant_bytes[272];
static const struct qeff_nnc_constants constants = {
	.name = "net",
	.descriptor = descriptor,
	.descriptor_bytes = sizeof(descriptor),
	.static_data = constant_bytes,
	.static_bytes = 256,
	.dynamic_data = constant_bytes + 256,
	.dynamic_bytes = 16,
	.dynamic_offset = 256,
};

#define EX_REQUEST                                                                                 \
	"01000000 78000000 0f000000 00000000 6e6574 00*61 18000000 00000000"                       \
	"0001000000000000 1000000000000000 00*8 00*8 "
#define PAYLOAD_REQUEST(length, offset, size)                                                      \
	"01000000 30000000 10000000 00000000 2c010000 05000000" length offset "00*8 "              \
	"05000000 20000000 2c010000 01000000 0000000000000000" size

static void test_client_constants(void)
{
	static const struct exchange x[] = {
		{ EX_REQUEST, 1, 12, -1, "03000000 18000000 02000000 05000000 00000000 00000000", 1,
		  0 },
		{ PAYLOAD_REQUEST("0001000000000000", "0000000000000000", "0001000000000000"), 2,
		  12, 64, "03000000 18000000 02000000 05000000 00000000 00000000", 1, 0 },
		{ PAYLOAD_REQUEST("1000000000000000", "0001000000000000", "1000000000000000"), 2,
		  12, 64, "03000000 18000000 02000000 05000000 00000000 00000000", 1, 0 },
		{ "01000000 18000000 05000000 05000000 00*8 ", 1, -1, -1,
		  "03000000 10000000 06000000 00000000", 1, 0 },
	};
	struct script s = SCRIPT(x);
	const struct qeff_nnc_client c = { .manage = manage, .user = &s };
	uint32_t id = 0;

	CU_ASSERT_EQUAL(qeff_nnc_load_constants(&c, &constants, &id, NULL), 0);
	CU_ASSERT_EQUAL(id, 5);
	CU_ASSERT_EQUAL(s.pointers[0], (uintptr_t)constant_bytes);
	CU_ASSERT_EQUAL(s.pointers[1], (uintptr_t)constant_bytes + 256);
	CU_ASSERT_EQUAL(qeff_nnc_unload_constants(&c, id, NULL), 0);
	CU_ASSERT_EQUAL(s.left, 0);
}

/* What has been begun is taken back. */
static void test_client_constants_refused(void)
{
	static const struct exchange x[] = {
		{ EX_REQUEST, 1, 12, -1, "03000000 18000000 02000000 05000000 00000000 00000000", 1,
		  0 },
		{ PAYLOAD_REQUEST("0001000000000000", "0000000000000000", "0001000000000000"), 2,
		  12, 64, "03000000 18000000 02000000 00000000 feffffff 00000000", 1, 0 },
		{ "01000000 18000000 05000000 05000000 00*8 ", 1, -1, -1,
		  "03000000 10000000 06000000 00000000", 1, 0 },
		{ EX_REQUEST, 1, 12, -1, "03000000 18000000 02000000 00000000 fcffffff 00000000", 1,
		  0 },
	};
	struct script s = SCRIPT(x);
	const struct qeff_nnc_client c = { .manage = manage, .user = &s };
	struct qeff_error err = { 0 };
	uint32_t id = 77;

	CU_ASSERT_EQUAL(qeff_nnc_load_constants(&c, &constants, &id, &err), -EIO);
	CU_ASSERT_EQUAL(s.left, 1);
	CU_ASSERT_EQUAL(qeff_nnc_load_constants(&c, &constants, &id, &err), -ENOMEM);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "DDR"));
	CU_ASSERT_EQUAL(s.left, 0);
	CU_ASSERT_EQUAL(id, 77);
}

static void test_client_elf(void)
{
	static const uint8_t elf_bytes[100];
	/* A name longer than the field is cut to 63 bytes. */
	static const char name[] =
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
	static const struct exchange x[] = {
		{ "01000000 70000000 03000000 64000000 00000000 44332211 61*63 00"
		  "6400000000000000 88776655 00000000 00*8 "
		  "05000000 20000000 64000000 01000000 0000000000000000 6400000000000000",
		  2, 16, 128, "03000000 18000000 04000000 09000000 00000000 00000000", 1, 0 },
		{ "01000000 18000000 07000000 09000000 00*8 ", 1, -1, -1,
		  "03000000 10000000 08000000 f7ffffff", 1, 0 },
	};
	const struct qeff_nnc_elf elf = { name, elf_bytes, sizeof(elf_bytes), 0x11223344,
					  0x55667788 };
	struct script s = SCRIPT(x);
	const struct qeff_nnc_client c = { .manage = manage, .user = &s };
	uint32_t id = 0;

	CU_ASSERT_EQUAL(qeff_nnc_load_elf(&c, &elf, &id, NULL), 0);
	CU_ASSERT_EQUAL(id, 9);
	CU_ASSERT_EQUAL(s.pointers[0], (uintptr_t)elf_bytes);
	CU_ASSERT_EQUAL(qeff_nnc_unload_elf(&c, id, NULL), -EPERM);
	CU_ASSERT_EQUAL(s.left, 0);
}

#define ACTIVATE_REQUEST                                                                           \
	"01000000 40000000 09000000 00000000 05000000 09000000 00000000 ffffffff"                  \
	"01000000 ffffffff 01000000 00000000 00*8 00*8 "                                           \
	"07000000 18000000 00020000 00000000 00000000 00000000"
#define ACTIVATE_REPLY(status, vc)                                                                 \
	"03000000 60000000 0a000000" status "0b000000" vc                                          \
	"0000000001000000 0000000002000000 0000000003000000 0000000000000000"                      \
	"00000000 00000000 0000000000000000 00000000 00000000 0000000000000000"                    \
	"03 00 f0000000 0000"

static void test_client_activate(void)
{
	static const struct exchange x[] = {
		{ ACTIVATE_REQUEST, 2, 12, -1,
		  ACTIVATE_REPLY("00000000",
				 "03000000") "08000000 18000000 00000000 03000000 0000000000000000",
		  2, 0 },
		{ "01000000 20000000 0b000000 0b000000 01000000 00000000 00*8 "
		  "0a000000 10000000 03000000 00000000",
		  2, -1, -1, "03000000 10000000 0c000000 00000000", 2, 0 },
		/* Virtual channel and DMA bridge channel differ: taken back. */
		{ ACTIVATE_REQUEST, 2, 12, -1,
		  ACTIVATE_REPLY("00000000",
				 "03000000") "08000000 18000000 00000000 04000000 0000000000000000",
		  2, 0 },
		{ "01000000 20000000 0b000000 0b000000 01000000 00000000 00*8 "
		  "0a000000 10000000 03000000 00000000",
		  2, -1, -1, "03000000 10000000 0c000000 00000000", 2, 0 },
	};
	struct script s = SCRIPT(x);
	const struct qeff_nnc_client c = { .manage = manage, .user = &s };
	struct qeff_nnc_activation a;

	CU_ASSERT_EQUAL(qeff_nnc_activate(&c, 5, 9, 512, &a, NULL), 0);
	CU_ASSERT(a.activation_id == 11 && a.dbc_id == 3);
	CU_ASSERT_EQUAL(a.ddr_base, 0x100000000);
	CU_ASSERT_EQUAL(a.dynamic_ddr_base, 0x200000000);
	CU_ASSERT_EQUAL(a.mcid_base, 0x300000000);
	/* At byte 82, not aligned. */
	CU_ASSERT_EQUAL(a.nsp_mask, 0xf0);
	CU_ASSERT_EQUAL(qeff_nnc_deactivate(&c, &a, NULL), 0);
	CU_ASSERT_EQUAL(qeff_nnc_activate(&c, 5, 9, 512, &a, NULL), -EPROTO);
	CU_ASSERT_EQUAL(s.left, 0);
}

/* A refusal: the driver says ECANCELED and hands on the reply, whose status says why. */
static void test_client_refusals(void)
{
#define REFUSED(status)                                                                            \
	{                                                                                          \
		ACTIVATE_REQUEST, 2, 12, -1,                                                       \
			ACTIVATE_REPLY(status, "00000000") "08000000 18000000" status              \
							   "00*4 00*8 ",                           \
			2, -ECANCELED                                                              \
	}
	static const struct exchange x[] = {
		REFUSED("f3ffffff"), REFUSED("fbffffff"), REFUSED("c3ffffff"), REFUSED("9affffff"),
		REFUSED("f2ffffff"), REFUSED("f5ffffff"), REFUSED("e0ffffff"),
	};
	static const int expected[] = { -EBUSY, -EINVAL, -EINVAL, -ENOEXEC, -EBUSY, -ENOENT, -EIO };
	struct script s = SCRIPT(x);
	const struct qeff_nnc_client c = { .manage = manage, .user = &s };
	struct qeff_nnc_activation a;

	for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
		struct qeff_error err = { 0 };

		CU_ASSERT_EQUAL(qeff_nnc_activate(&c, 5, 9, 512, &a, &err), expected[i]);
		CU_ASSERT_EQUAL(err.code, expected[i]);
		if (!i)
			CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "no NSP free"));
		if (i == 6)
			CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "unknown status -32"));
	}
	CU_ASSERT_EQUAL(s.left, 0);
}

/* A subsystem restart is waited for: five tries. */
static void test_client_retry(void)
{
	static const struct exchange x[] = {
		REFUSED("dcffffff"),
		REFUSED("dcffffff"),
		{ ACTIVATE_REQUEST, 2, 12, -1,
		  ACTIVATE_REPLY("00000000",
				 "03000000") "08000000 18000000 00000000 03000000 0000000000000000",
		  2, 0 },
		REFUSED("dcffffff"),
		REFUSED("dcffffff"),
		REFUSED("dcffffff"),
		REFUSED("dcffffff"),
		REFUSED("dcffffff"),
	};
	struct script s = SCRIPT(x);
	const struct qeff_nnc_client c = { .manage = manage, .user = &s, .retry_ms = 1 };
	struct qeff_nnc_activation a;

	CU_ASSERT_EQUAL(qeff_nnc_activate(&c, 5, 9, 512, &a, NULL), 0);
	CU_ASSERT_EQUAL(s.left, 5);
	CU_ASSERT_EQUAL(qeff_nnc_activate(&c, 5, 9, 512, &a, NULL), -EAGAIN);
	CU_ASSERT_EQUAL(s.left, 0);
}

/* Replies that are not what they should be. */
static void test_client_bad_replies(void)
{
#define UNLOAD "01000000 18000000 07000000 09000000 00*8 ", 1, -1, -1
	static const struct exchange x[] = {
		{ UNLOAD, "", 0, 0 },
		{ UNLOAD, "03000000 08000000", 1, 0 },
		{ UNLOAD, "03000000 0c000000 08000000", 1, 0 },
		{ UNLOAD, "03000000 10000000 06000000 00000000", 1, 0 },
		{ UNLOAD, "03000000 ffffffff 08000000 00000000", 1, 0 },
		/* The request itself, as a driver that failed leaves it. */
		{ UNLOAD, "01000000 10000000 08000000 00000000", 1, 0 },
		/* A refusal without details, for a response of another length. */
		{ UNLOAD, "03000000 10000000 08000000 fdffffff", 1, 0 },
		{ UNLOAD, "", 0, -ETIMEDOUT },
		{ UNLOAD, "", 0, -ECANCELED },
	};
	static const int expected[] = { -EPROTO, -EPROTO,     -EPROTO,	  -EPROTO,   -EPROTO,
					-EPROTO, -EOPNOTSUPP, -ETIMEDOUT, -ECANCELED };
	struct script s = SCRIPT(x);
	const struct qeff_nnc_client c = { .manage = manage, .user = &s };

	for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
		CU_ASSERT_EQUAL(qeff_nnc_unload_elf(&c, 9, NULL), expected[i]);
	CU_ASSERT_EQUAL(s.left, 0);
}

static void test_names(void)
{
	static const int32_t gaps[][2] = { { -33, -23 }, { -99, -67 }, { -200, -119 } };

	/* Every public status has a name, no other does. */
	for (int32_t status = 0; status >= -118; status--) {
		bool is_public = true;

		for (size_t i = 0; i < 3; i++)
			if (status >= gaps[i][0] && status <= gaps[i][1])
				is_public = false;
		CU_ASSERT_EQUAL(strcmp(qeff_nnc_status_name(status), "unknown status") != 0,
				is_public);
		if (status)
			CU_ASSERT(qeff_nnc_status_error(status, "x", NULL) < 0);
	}
	CU_ASSERT_EQUAL(qeff_nnc_status_error(0, "x", NULL), 0);
	CU_ASSERT_STRING_EQUAL(qeff_nnc_status_name(1), "unknown status");
	CU_ASSERT_STRING_EQUAL(qeff_nnc_status_name(-13), "NSP allocation");
	CU_ASSERT_STRING_EQUAL(qeff_nnc_command_name(9), "ACTIVATE");
	CU_ASSERT_STRING_EQUAL(qeff_nnc_command_name(21), "unknown command");
	CU_ASSERT_STRING_EQUAL(qeff_nnc_command_name(UINT32_MAX), "unknown command");
}

static const struct unit_test tests[] = {
	{ "client: link status", test_client_link },
	{ "client: card status", test_client_status },
	{ "client: card status in an old format", test_client_status_old_format },
	{ "client: resources and performance", test_client_queries },
	{ "client: constants", test_client_constants },
	{ "client: constants refused half way", test_client_constants_refused },
	{ "client: ELF", test_client_elf },
	{ "client: activate and deactivate", test_client_activate },
	{ "client: refusals", test_client_refusals },
	{ "client: subsystem restart", test_client_retry },
	{ "client: bad replies", test_client_bad_replies },
	{ "names", test_names },
};

QEFF_UNIT_MAIN("nnc client", tests)
