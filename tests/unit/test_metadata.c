/* SPDX-License-Identifier: MIT */
/*
 * Program metadata: all forms are read from bytes written down here from the public format, each
 * rule is broken in turn, and what the writer makes is looked at with a reader of its own.
 */
#include "qpc/metadata.h"

#include "test_qpc_bytes.h"
#include "unit.h"

static int parse(const void *data, size_t size, struct qeff_metadata **md, struct qeff_error *err)
{
	void *copy = exact_copy(data, size);
	int ret;

	*err = (struct qeff_error){ 0 };
	*md = NULL;
	ret = qeff_metadata_parse(copy, size, md, err);
	free(copy);
	return ret;
}

static int parse_only(const void *data, size_t size, struct qeff_error *err)
{
	struct qeff_metadata *md;
	int ret = parse(data, size, &md, err);

	qeff_metadata_free(md);
	return ret;
}

/* The smallest useful metadata: version, name, NSPs. */
static const uint8_t smallest[] = {
	LE32(48),	    /* 0: root table */
	LE16(44), LE16(12), /* 4: vtable: its bytes, the table's */
	LE16(8),  LE16(0),  LE16(4),  LE16(0), LE16(0), LE16(0), LE16(0), /* slots 0 version, 2 name
									   */
	LE16(0),  LE16(0),  LE16(0),  LE16(0), LE16(0), LE16(0), LE16(0), LE16(0),
	LE16(0),  LE16(0),		 /* 7..16 */
	LE16(0),  LE16(0),  LE16(10),	 /* 17, 18, 19 NSPs */
	LE32(44),			 /* 48: table: back to its vtable */
	LE32(8),			 /* 52: name */
	LE16(1),  LE16(3),		 /* 56: version 1, 3 NSPs */
	LE32(2),  'h',	    'i',      0, /* 60 */
};

static void test_smallest(void)
{
	struct qeff_error err;
	struct qeff_metadata *md;
	uint8_t behind[8 + sizeof(smallest)] = { 1 };

	CU_ASSERT_EQUAL_FATAL(parse(smallest, sizeof(smallest), &md, &err), 0);
	CU_ASSERT_EQUAL(md->form, QEFF_MD_FLATBUFFER);
	CU_ASSERT_EQUAL(md->version_major, 1);
	CU_ASSERT_EQUAL(md->version_minor, 0);
	CU_ASSERT_EQUAL(md->num_nsps, 3);
	CU_ASSERT_STRING_EQUAL(md->network_name, "hi");
	CU_ASSERT_EQUAL(md->num_dma_requests, 0);
	CU_ASSERT_EQUAL(md->static_shared_ddr_bytes, 0);
	qeff_metadata_free(md);

	memcpy(behind + 8, smallest, sizeof(smallest));
	CU_ASSERT_EQUAL_FATAL(parse(behind, sizeof(behind), &md, &err), 0);
	CU_ASSERT_EQUAL(md->form, QEFF_MD_FLATBUFFER_TERMINATED);
	CU_ASSERT_EQUAL(md->num_nsps, 3);
	qeff_metadata_free(md);

	for (size_t n = 0; n < sizeof(smallest); n++)
		CU_ASSERT_EQUAL(parse_only(smallest, n, &err), -EINVAL);
	for (size_t n = 0; n < sizeof(behind); n++)
		CU_ASSERT_EQUAL(parse_only(behind, n, &err), -EINVAL);
}

/* One byte or number of @smallest changed. */
static void test_smallest_broken(void)
{
	static const struct {
		size_t at, size;
		uint64_t value;
		const char *says;
	} broken[] = {
		{ 0, 4, 0, "root table" },
		{ 0, 4, 50, "root table" },
		{ 0, 4, 60, "vtable" },
		{ 0, 4, 68, "root table" },
		{ 0, 4, 0xfffffffc, "root table" },
		{ 48, 4, 45, "vtable at 3" },
		{ 48, 4, 60, "vtable at -12" },
		{ 48, 4, 0x80000000, "vtable" },
		{ 48, 4, (uint32_t)-20, "vtable" },
		{ 4, 2, 3, "vtable of 3" },
		{ 4, 2, 2, "vtable of 2" },
		{ 4, 2, 64, "vtable of 64" },
		{ 6, 2, 3, "table of 3" },
		{ 6, 2, 20, "table of 20" },
		{ 8, 2, 9, "versionMajor" },
		{ 8, 2, 12, "versionMajor" },
		{ 8, 2, 2, "versionMajor" },
		{ 12, 2, 6, "networkName" },
		{ 52, 4, 0, "networkName" },
		{ 52, 4, 12, "networkName" },
		{ 52, 4, 9, "networkName" },
		{ 60, 4, 3, "networkName" },
		{ 60, 4, 0xffffffff, "networkName" },
		{ 60, 4, 1, "does not end" },
		{ 64, 1, 7, "networkName" },
		{ 64, 1, 0xff, "networkName" },
		{ 56, 2, 2, "version" },
		{ 58, 2, 0, "NSPs" },
		{ 58, 2, 17, "NSPs" },
	};
	struct qeff_error err;

	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
		uint8_t bytes[sizeof(smallest)];

		memcpy(bytes, smallest, sizeof(bytes));
		set(bytes + broken[i].at, broken[i].value, broken[i].size);
		CU_ASSERT_EQUAL(parse_only(bytes, sizeof(bytes), &err), -EINVAL);
		CU_ASSERT(says(&err, broken[i].says));
		CU_ASSERT_EQUAL(err.code, -EINVAL);
	}
}

/*
 * A flatbuffer put down piece by piece: a table is its vtable (offsets of the slots, by hand), then
 * its fields.
 */
static size_t table(struct pen *p, size_t num_slots, const uint16_t *slots, uint16_t bytes)
{
	size_t vtable, at;

	pad_to(p, 2);
	vtable = p->n;
	put(p, 4 + 2 * num_slots, 2);
	put(p, bytes, 2);
	for (size_t i = 0; i < num_slots; i++)
		put(p, slots[i], 2);
	pad_to(p, 8);
	at = p->n;
	put(p, at - vtable, 4);
	memset(p->bytes + p->n, 0, bytes - 4u);
	p->n += bytes - 4u;
	return at;
}

#define TABLE(p, bytes, ...)                                                                       \
	table(p, sizeof((const uint16_t[]){ __VA_ARGS__ }) / 2, (const uint16_t[]){ __VA_ARGS__ }, \
	      bytes)

/* The offset field at @at leads to what comes next. */
static void lead(struct pen *p, size_t at)
{
	pad_to(p, 4);
	set(p->bytes + at, p->n - at, 4);
}

/* A vector of @count offsets hung on @at; returns where the first stands. */
static size_t offsets(struct pen *p, size_t at, uint32_t count)
{
	lead(p, at);
	put(p, count, 4);
	p->n += 4 * (size_t)count;
	return p->n - 4 * (size_t)count;
}

/* Positions in full() that tests below break. */
struct places {
	size_t version, nsps, num_semaphores, first_semaphore, static_shared, static_constants,
		l2tcm_size;
	size_t l2tcm_init_size, regions, required, exit_doorbell, vtcm_size;
	size_t request, sem, bell, request_out;
	size_t nsp_entry, host_entry, thread, mapping, exec, exec_field, port;
};

static void text(struct pen *p, size_t at, const char *string)
{
	lead(p, at);
	put(p, strlen(string), 4);
	memcpy(p->bytes + p->n, string, strlen(string) + 1);
	p->n += strlen(string) + 1;
}

static void full_request(struct pen *p, size_t list, struct places *at)
{
	size_t sems, bells;

	/* [4] sem ops, [8] doorbells, [12] size, [16] host, [24] device, [32] num, [34] mc, [36]
	 * port, [38] space, [39] direction, [40] transaction */
	pad_to(p, 8);
	at->request = TABLE(p, 44, 4, 8, 16, 24, 12, 32, 34, 38, 39, 36, 40);
	set(p->bytes + list, at->request - list, 4);
	set(p->bytes + at->request + 12, 128, 4);
	set(p->bytes + at->request + 16, 64, 8);
	set(p->bytes + at->request + 24, 256, 8);
	set(p->bytes + at->request + 36, 100, 2);
	set(p->bytes + at->request + 38, 1, 1);
	set(p->bytes + at->request + 40, 7, 4);
	sems = offsets(p, at->request + 4, 2);
	/* [4] number, [6] value, [8] op, [9] pre, [10] in fence, [11] out fence */
	at->sem = TABLE(p, 12, 4, 6, 8, 9, 10, 11);
	set(p->bytes + sems, at->sem - sems, 4);
	set(p->bytes + at->sem + 4, 1, 2);
	set(p->bytes + at->sem + 6, 2, 2);
	set(p->bytes + at->sem + 8, 4, 1);
	set(p->bytes + at->sem + 9, 1, 1);
	set(p->bytes + at->sem + 11, 1, 1);
	/* the second one has its defaults only: no operation */
	p->bytes[sems + 4] = 0;
	{
		size_t second = TABLE(p, 4, 0);

		set(p->bytes + sems + 4, second - (sems + 4), 4);
	}
	bells = offsets(p, at->request + 8, 1);
	/* [4] data, [8] offset, [16] mc, [18] size */
	at->bell = TABLE(p, 20, 8, 4, 16, 18);
	set(p->bytes + bells, at->bell - bells, 4);
	set(p->bytes + at->bell + 4, 0x11223344, 4);
	set(p->bytes + at->bell + 8, 12, 8);
	set(p->bytes + at->bell + 16, 0, 2);
	set(p->bytes + at->bell + 18, 2, 1);
}

static void full_multicast(struct pen *p, size_t root, struct places *at)
{
	size_t nsps = offsets(p, root + 20, 2), entries, first, second, host;

	/* NSP 0 has one entry, NSP 1 none */
	first = TABLE(p, 8, 4);
	set(p->bytes + nsps, first - nsps, 4);
	entries = offsets(p, first + 4, 1);
	/* [4] mask, [8] base, [16] size, [20] space, [21] dynamic */
	at->nsp_entry = TABLE(p, 24, 8, 4, 16, 20, 21);
	set(p->bytes + entries, at->nsp_entry - entries, 4);
	set(p->bytes + at->nsp_entry + 4, 2, 4);
	set(p->bytes + at->nsp_entry + 8, 4096, 8);
	set(p->bytes + at->nsp_entry + 16, 0x464, 4);
	set(p->bytes + at->nsp_entry + 20, 1, 1);
	set(p->bytes + at->nsp_entry + 21, 1, 1);
	second = TABLE(p, 4, 0);
	set(p->bytes + nsps + 4, second - (nsps + 4), 4);

	host = TABLE(p, 8, 4);
	set(p->bytes + root + 24, host - (root + 24), 4);
	entries = offsets(p, host + 4, 1);
	at->host_entry = TABLE(p, 12, 4, 8);
	set(p->bytes + entries, at->host_entry - entries, 4);
	set(p->bytes + at->host_entry + 4, 3, 4);
	set(p->bytes + at->host_entry + 8, 0x464, 4);
}

static void full_exec_context(struct pen *p, size_t root, struct places *at)
{
	struct pen nested = { .n = 4 };
	size_t exec, fields, field;

	exec = TABLE(&nested, 12, 4, 8);
	set(nested.bytes, exec, 4);
	set(nested.bytes + exec + 4, 140, 4);
	fields = offsets(&nested, exec + 8, 1);
	/* [4] variable, [8] offset, [16] size, [20] optional */
	field = TABLE(&nested, 24, 4, 16, 8, 20);
	set(nested.bytes + fields, field - fields, 4);
	set(nested.bytes + field + 4, 5, 4);
	set(nested.bytes + field + 8, 16, 8);
	set(nested.bytes + field + 16, 4, 4);
	set(nested.bytes + field + 20, 1, 4);
	lead(p, root + 44);
	put(p, nested.n, 4);
	at->exec = p->n + exec;
	at->exec_field = p->n + field;
	memcpy(p->bytes + p->n, nested.bytes, nested.n);
	p->n += nested.n;
}

/* Metadata with something in every field. */
static void full(struct pen *p, struct places *at)
{
	size_t root, list, one;

	*p = (struct pen){ .n = 4 };
	/* Offsets at [4]..[52), u64s at [56]..[112), u32s at [112]..[136), u16s at [136]..[144),
	 * u8s at [144]. */
	root = TABLE(p, 156, 136, 0, 4, 8, 12, 16, 52, 20, 24, 28,
		     32,		      /* versionMajor .. constantMappings */
		     56, 64, 72, 80, 88,      /* shared, constants, exit doorbell */
		     112, 116, 138, 140, 142, /* cached, image size, exec major, NSPs, semaphores */
		     144, 145, 146, 147, 148, 149, 150, 151, 152, /* versions, ECC, page, FP */
		     120, 124, 96, 104, /* VTCM, L2TCM, heap, struct length */
		     36, 40, 44, 48, 153,
		     132 /* QNN, ports, exec context, regions, dynamic, heap behaviour */);
	set(p->bytes, root, 4);
	at->version = root + 136;
	set(p->bytes + at->version, 1, 2);
	at->static_shared = root + 56;
	set(p->bytes + at->static_shared, 1024, 8);
	set(p->bytes + root + 64, 512, 8);
	at->static_constants = root + 72;
	set(p->bytes + at->static_constants, 8192, 8);
	set(p->bytes + root + 80, 4096, 8);
	at->exit_doorbell = root + 88;
	set(p->bytes + at->exit_doorbell, 0x460, 8);
	set(p->bytes + root + 96, 65536, 8);
	set(p->bytes + root + 104, 2000, 8);
	set(p->bytes + root + 112, 4096, 4);
	at->l2tcm_init_size = root + 116;
	set(p->bytes + at->l2tcm_init_size, 6, 4);
	at->vtcm_size = root + 120;
	set(p->bytes + at->vtcm_size, 8 << 20, 4);
	at->l2tcm_size = root + 124;
	set(p->bytes + at->l2tcm_size, 1 << 20, 4);
	set(p->bytes + root + 138, 5, 2);
	at->nsps = root + 140;
	set(p->bytes + at->nsps, 2, 2);
	at->num_semaphores = root + 142;
	set(p->bytes + at->num_semaphores, 2, 2);
	set(p->bytes + root + 144, 2, 1); /* hardware 2.0 */
	set(p->bytes + root + 147, 1, 1); /* ECC of dynamic shared */
	set(p->bytes + root + 150, 1, 1); /* single VTCM page */
	set(p->bytes + root + 151, 1, 1); /* HVX floating point */
	set(p->bytes + root + 153, 1, 1); /* dynamic shared DDR supported */

	text(p, root + 4, "full");
	at->required = offsets(p, root + 8, 2);
	text(p, at->required, "AicMetadataFlat_Metadata->networkName");
	text(p, at->required + 4, "AicMetadataFlat_Metadata->dmaRequests->semaphoreOps->semNum");
	lead(p, root + 12);
	put(p, 2, 4);
	at->first_semaphore = p->n;
	put(p, 0, 4);
	put(p, 2, 4);
	lead(p, root + 16);
	put(p, 6, 4);
	put(p, 0x060504030201, 6);

	list = offsets(p, root + 52, 2);
	full_request(p, list, at);
	/* an output: size 32 from dynamic DDR; [4] size, [8] device, [16] num, [18] space, [19]
	 * direction */
	at->request_out = TABLE(p, 20, 0, 0, 0, 8, 4, 16, 0, 18, 19);
	set(p->bytes + list + 4, at->request_out - (list + 4), 4);
	set(p->bytes + at->request_out + 4, 32, 4);
	set(p->bytes + at->request_out + 8, 480, 8);
	set(p->bytes + at->request_out + 16, 1, 2);
	set(p->bytes + at->request_out + 18, 2, 1);
	set(p->bytes + at->request_out + 19, 1, 1);

	full_multicast(p, root, at);
	list = offsets(p, root + 28, 1);
	at->thread = TABLE(p, 20, 8, 16);
	set(p->bytes + list, at->thread - list, 4);
	set(p->bytes + at->thread + 8, 0x2000040, 8);
	set(p->bytes + at->thread + 16, 3, 1);
	list = offsets(p, root + 32, 1);
	at->mapping = TABLE(p, 24, 8, 16, 20);
	set(p->bytes + list, at->mapping - list, 4);
	set(p->bytes + at->mapping + 8, 256, 8);
	set(p->bytes + at->mapping + 16, 3, 4);
	set(p->bytes + at->mapping + 20, 512, 4);
	one = TABLE(p, 8, 4);
	set(p->bytes + root + 36, one - (root + 36), 4);
	set(p->bytes + one + 4, 1, 1);
	lead(p, root + 40);
	put(p, 1, 4);
	at->port = p->n;
	put(p, 102, 2);
	put(p, 1, 2);
	full_exec_context(p, root, at);
	at->regions = offsets(p, root + 48, 1);
	one = TABLE(p, 32, 8, 16, 24);
	set(p->bytes + at->regions, one - at->regions, 4);
	set(p->bytes + one + 8, 0, 8);
	set(p->bytes + one + 16, 6, 8);
	set(p->bytes + one + 24, 6, 8);
	at->regions = one;
	one = TABLE(p, 8, 4);
	set(p->bytes + root + 132, one - (root + 132), 4);
	set(p->bytes + one + 4, 1, 1);
}

static void check_full(const struct qeff_metadata *md)
{
	const struct qeff_md_dma_request *r = md->dma_requests;

	CU_ASSERT_STRING_EQUAL(md->network_name, "full");
	CU_ASSERT_EQUAL(md->num_nsps, 2);
	CU_ASSERT_EQUAL(md->exec_context_major, 5);
	CU_ASSERT_EQUAL_FATAL(md->num_semaphores, 2);
	CU_ASSERT_EQUAL(md->semaphore_init[0], 0);
	CU_ASSERT_EQUAL(md->semaphore_init[1], 2);
	CU_ASSERT_EQUAL_FATAL(md->l2tcm_init_bytes, 6);
	CU_ASSERT_EQUAL(memcmp(md->l2tcm_init, "\1\2\3\4\5\6", 6), 0);
	CU_ASSERT_EQUAL(md->static_shared_ddr_bytes, 1024);
	CU_ASSERT_EQUAL(md->dynamic_shared_ddr_bytes, 512);
	CU_ASSERT_EQUAL(md->static_constants_bytes, 8192);
	CU_ASSERT_EQUAL(md->dynamic_constants_bytes, 4096);
	CU_ASSERT_EQUAL(md->exit_doorbell_offset, 0x460);
	CU_ASSERT_EQUAL(md->network_heap_bytes, 65536);
	CU_ASSERT_EQUAL(md->l2_cached_ddr_bytes, 4096);
	CU_ASSERT_EQUAL(md->vtcm_bytes, 8 << 20);
	CU_ASSERT_EQUAL(md->l2tcm_bytes, 1 << 20);
	CU_ASSERT_EQUAL(md->hw_version_major, 2);
	CU_ASSERT_EQUAL(md->hw_version_minor, 0);
	CU_ASSERT(!md->static_shared_ecc && md->dynamic_shared_ecc);
	CU_ASSERT(!md->static_constants_ecc && !md->dynamic_constants_ecc);
	CU_ASSERT(md->single_vtcm_page && md->has_hvx_fp && !md->has_hmx_fp);
	CU_ASSERT_EQUAL_FATAL(md->num_dma_requests, 2);
	CU_ASSERT_EQUAL(r->host_offset, 64);
	CU_ASSERT_EQUAL(r->device_offset, 256);
	CU_ASSERT_EQUAL(r->size_bytes, 128);
	CU_ASSERT_EQUAL(r->buffer, 0);
	CU_ASSERT_EQUAL(r->port, 100);
	CU_ASSERT_EQUAL(r->device_space, QEFF_MD_SPACE_DDR);
	CU_ASSERT_EQUAL(r->direction, QEFF_MD_TO_DEVICE);
	CU_ASSERT_EQUAL_FATAL(r->num_semaphore_ops, 2);
	CU_ASSERT_EQUAL(r->semaphore_ops[0].semaphore, 1);
	CU_ASSERT_EQUAL(r->semaphore_ops[0].value, 2);
	CU_ASSERT_EQUAL(r->semaphore_ops[0].op, QEFF_MD_SEM_WAIT_EQUAL);
	CU_ASSERT(r->semaphore_ops[0].pre && !r->semaphore_ops[0].in_fence &&
		  r->semaphore_ops[0].out_fence);
	CU_ASSERT_EQUAL(r->semaphore_ops[1].op, QEFF_MD_SEM_NOP);
	CU_ASSERT_EQUAL_FATAL(r->num_doorbell_ops, 1);
	CU_ASSERT_EQUAL(r->doorbell_ops[0].offset, 12);
	CU_ASSERT_EQUAL(r->doorbell_ops[0].data, 0x11223344);
	CU_ASSERT_EQUAL(r->doorbell_ops[0].multicast_id, 0);
	CU_ASSERT_EQUAL(r->doorbell_ops[0].size_code, 2);
	r++;
	CU_ASSERT_EQUAL(r->host_offset, 0);
	CU_ASSERT_EQUAL(r->device_offset, 480);
	CU_ASSERT_EQUAL(r->size_bytes, 32);
	CU_ASSERT_EQUAL(r->buffer, 1);
	CU_ASSERT_EQUAL(r->device_space, QEFF_MD_SPACE_DDR_DYNAMIC);
	CU_ASSERT_EQUAL(r->direction, QEFF_MD_FROM_DEVICE);
	CU_ASSERT_EQUAL(r->transaction, QEFF_MD_NO_TRANSACTION);
	CU_ASSERT_EQUAL(r->num_semaphore_ops, 0);
	CU_ASSERT_EQUAL_FATAL(md->num_nsp_multicast, 2);
	CU_ASSERT_EQUAL_FATAL(md->nsp_multicast[0].num_entries, 1);
	CU_ASSERT_EQUAL(md->nsp_multicast[0].entries[0].base_offset, 4096);
	CU_ASSERT_EQUAL(md->nsp_multicast[0].entries[0].nsp_mask, 2);
	CU_ASSERT_EQUAL(md->nsp_multicast[0].entries[0].size_bytes, 0x464);
	CU_ASSERT_EQUAL(md->nsp_multicast[0].entries[0].space, QEFF_MD_NSP_VTCM);
	CU_ASSERT(md->nsp_multicast[0].entries[0].dynamic);
	CU_ASSERT_EQUAL(md->nsp_multicast[1].num_entries, 0);
	CU_ASSERT_EQUAL_FATAL(md->num_host_multicast, 1);
	CU_ASSERT_EQUAL(md->host_multicast[0].nsp_mask, 3);
	CU_ASSERT_EQUAL(md->host_multicast[0].size_bytes, 0x464);
	CU_ASSERT_EQUAL_FATAL(md->num_threads, 1);
	CU_ASSERT_EQUAL(md->threads[0].entry_point, 0x2000040);
	CU_ASSERT_EQUAL(md->threads[0].type_mask, QEFF_MD_THREAD_HMX | QEFF_MD_THREAD_HVX);
	CU_ASSERT_EQUAL_FATAL(md->num_constant_mappings, 1);
	CU_ASSERT_EQUAL(md->constant_mappings[0].offset, 256);
	CU_ASSERT_EQUAL(md->constant_mappings[0].nsp_mask, 3);
	CU_ASSERT_EQUAL(md->constant_mappings[0].size_bytes, 512);
}

/* What the struct form has no place for. */
static void check_full_flat(const struct qeff_metadata *md)
{
	CU_ASSERT_EQUAL(md->dma_requests[0].transaction, 7);
	CU_ASSERT(md->dynamic_shared_ddr_supported);
	CU_ASSERT_EQUAL_FATAL(md->num_ports, 1);
	CU_ASSERT_EQUAL(md->ports[0].id, 102);
	CU_ASSERT_EQUAL(md->ports[0].type, 1);
	CU_ASSERT_EQUAL(md->exec_context_bytes, 140);
	CU_ASSERT_EQUAL_FATAL(md->num_exec_fields, 1);
	CU_ASSERT_EQUAL(md->exec_fields[0].variable, 5);
	CU_ASSERT_EQUAL(md->exec_fields[0].offset, 16);
	CU_ASSERT_EQUAL(md->exec_fields[0].size_bytes, 4);
	CU_ASSERT(md->exec_fields[0].optional);
}

static void test_full(void)
{
	struct qeff_metadata *md;
	struct qeff_error err;
	struct places at;
	struct pen p;

	full(&p, &at);
	if (parse(p.bytes, p.n, &md, &err)) {
		CU_ASSERT(says(&err, "no error"));
		return;
	}
	check_full(md);
	check_full_flat(md);
	CU_ASSERT_EQUAL_FATAL(md->num_required_fields, 2);
	CU_ASSERT_STRING_EQUAL(md->required_fields[0], "AicMetadataFlat_Metadata->networkName");
	qeff_metadata_free(md);
	for (size_t n = 0; n < p.n; n++)
		if (!parse_only(p.bytes, n, &err))
			CU_ASSERT(p.n - n <= 3); /* only behind the one byte of the last table */
}

struct change {
	size_t at, size;
	uint64_t value;
	int code;
	const char *says;
};

static void check_changes(const struct pen *p, const struct change *changes, size_t count)
{
	struct qeff_error err;

	for (size_t i = 0; i < count; i++) {
		struct pen q = *p;

		set(q.bytes + changes[i].at, changes[i].value, changes[i].size);
		CU_ASSERT_EQUAL(parse_only(q.bytes, q.n, &err), changes[i].code);
		CU_ASSERT(says(&err, changes[i].says));
	}
}

/* Every rule for what the numbers mean, broken one at a time. */
static void test_rules(void)
{
	struct places at;
	struct pen p;

	full(&p, &at);
	{
		const struct change changes[] = {
			{ at.version, 2, 2, -EINVAL, "version" },
			{ at.nsps, 2, 1, -EINVAL, "multicast table for each" },
			{ at.num_semaphores, 2, 1, -EINVAL, "semaphoreInitState" },
			{ at.first_semaphore, 4, 0x1000, -EINVAL, "semaphore 0" },
			{ at.required + 30, 1, 'X', -ENOTSUP, "requires a reader" },
			{ at.sem + 4, 2, 2, -EINVAL, "semaphore 2, but there are 2" },
			{ at.sem + 6, 2, 0x1000, -EINVAL, "value" },
			{ at.sem + 8, 1, 7, -EINVAL, "unknown code 7" },
			{ at.bell + 8, 8, 2, -EINVAL, "not aligned" },
			{ at.bell + 8, 8, 0x464, -EINVAL, "multicast id 0" },
			{ at.bell + 8, 8, -4ull, -EINVAL, "multicast id 0" },
			{ at.bell + 16, 2, 1, -EINVAL, "multicast id 1" },
			{ at.bell + 18, 1, 3, -EINVAL, "size code 3" },
			{ at.request + 39, 1, 2, -EINVAL, "direction" },
			{ at.request + 38, 1, 3, -EINVAL, "address space" },
			{ at.request + 38, 1, 0, 0, "" }, /* 256 + 128 fit into the window */
			{ at.request + 24, 8, 1536 - 127, -EINVAL, "shared DDR" },
			{ at.request + 24, 8, 1536 - 128, 0, "" },
			{ at.request + 24, 8, -64ull, -EINVAL, "shared DDR" },
			{ at.request + 16, 8, 0xffffffff, -EINVAL, "host buffer" },
			{ at.request + 16, 8, -1ull, -EINVAL, "host buffer" },
			{ at.request_out + 8, 8, 481, -EINVAL, "shared DDR" },
			{ at.static_shared, 8, -512ull, -EINVAL, "shared DDR are too many" },
			{ at.static_constants, 8, -1ull, -EINVAL, "constants are too many" },
			{ at.nsp_entry + 8, 8, 4095, -EINVAL, "multiple of 4096" },
			{ at.nsp_entry + 8, 8, 8 << 20, -EINVAL, "VTCM" },
			{ at.nsp_entry + 20, 1, 2, -EINVAL, "address space 2" },
			{ at.host_entry + 8, 4, 0x800001, -EINVAL, "of the host" },
			{ at.host_entry + 8, 4, 15, -EINVAL, "multicast id 0" },
			{ at.thread + 16, 1, 4, -EINVAL, "type mask" },
			{ at.mapping + 8, 8, 12288 - 511, -EINVAL, "constant mapping 0" },
			{ at.l2tcm_size, 4, 5, -EINVAL, "initialised" },
			{ at.l2tcm_size, 4, (1 << 20) + 1, -EINVAL, "L2TCM" },
			{ at.vtcm_size, 4, (8 << 20) + 1, -EINVAL, "VTCM" },
			{ at.exit_doorbell, 8, 1 << 20, -EINVAL, "exit doorbell" },
			{ at.l2tcm_init_size, 4, 5, -EINVAL, "L2TCMInitState" },
			{ at.l2tcm_init_size, 4, 0xffffffff, -EINVAL, "L2TCMInitSize" },
			{ at.port + 2, 1, 3, -EINVAL, "port 0" },
			{ at.port + 2, 1, 0xff, -EINVAL, "port 0" },
			{ at.exec_field + 8, 8, 137, -EINVAL, "execution context field 0" },
			{ at.exec, 4, 0x7fffffff, -EINVAL, "execContext" },
		};

		check_changes(&p, changes, sizeof(changes) / sizeof(changes[0]));
	}
}

/* Two operations before one transfer; more than four operations. */
static void test_semaphore_counts(void)
{
	struct qeff_md_semaphore_op ops[5] = { { .op = QEFF_MD_SEM_INC, .pre = true },
					       { .op = QEFF_MD_SEM_WAIT_NONZERO_DEC,
						 .pre = true } };
	struct qeff_md_dma_request request = { .num_semaphore_ops = 2, .semaphore_ops = ops };
	uint32_t init[1] = { 0 };
	struct qeff_metadata md = {
		.version_major = 1,
		.network_name = "n",
		.num_nsps = 1,
		.num_semaphores = 1,
		.semaphore_init = init,
		.num_dma_requests = 1,
		.dma_requests = &request,
	};
	struct qeff_error err = { 0 };

	CU_ASSERT_EQUAL(qeff_metadata_validate(&md, &err), -EINVAL);
	CU_ASSERT(says(&err, "at most one"));
	ops[1].pre = false;
	CU_ASSERT_EQUAL(qeff_metadata_validate(&md, &err), 0);
	request.num_semaphore_ops = 5;
	CU_ASSERT_EQUAL(qeff_metadata_validate(&md, &err), -EINVAL);
	CU_ASSERT(says(&err, "at most 4"));
	request.num_semaphore_ops = 2;
	md.num_semaphores = 33;
	CU_ASSERT_EQUAL(qeff_metadata_validate(&md, NULL), -EINVAL);
}

/* An image without its zero runs is put together again by its regions. */
static void test_squeezed_image(void)
{
	struct qeff_metadata *md;
	struct qeff_error err;
	struct places at;
	struct pen p;

	full(&p, &at);
	set(p.bytes + at.l2tcm_init_size, 300, 4);
	set(p.bytes + at.regions + 8, 290, 8);
	set(p.bytes + at.regions + 16, 296, 8);
	CU_ASSERT_EQUAL_FATAL(parse(p.bytes, p.n, &md, &err), 0);
	CU_ASSERT_EQUAL_FATAL(md->l2tcm_init_bytes, 300);
	for (unsigned int i = 0; i < 300; i++)
		CU_ASSERT_EQUAL(md->l2tcm_init[i], i >= 290 && i < 296 ? i - 289 : 0);
	qeff_metadata_free(md);
	{
		const struct change changes[] = {
			{ at.regions + 8, 8, 291, -EINVAL, "NonZeroRegions" },
			{ at.regions + 16, 8, 301, -EINVAL, "NonZeroRegions" },
			{ at.regions + 24, 8, 7, -EINVAL, "NonZeroRegions" },
			{ at.regions + 8, 8, -1ull, -EINVAL, "NonZeroRegions" },
		};

		check_changes(&p, changes, sizeof(changes) / sizeof(changes[0]));
	}
}

/* The same metadata in the struct form. */
static void full_struct(struct pen *p)
{
	*p = (struct pen){ 0 };
	put(p, 1, 2); /* 0: version 1.0 */
	put(p, 0, 6);
	put(p, 160, 8);	 /* name */
	put(p, 168, 8);	 /* semaphores */
	put(p, 176, 8);	 /* L2TCM image */
	put(p, 184, 8);	 /* DMA requests */
	put(p, 312, 8);	 /* NSP multicast tables */
	put(p, 368, 8);	 /* host multicast table */
	put(p, 392, 8);	 /* threads */
	put(p, 408, 8);	 /* 64: constant mappings */
	put(p, 1024, 8); /* 72: static shared */
	put(p, 512, 8);
	put(p, 8192, 8); /* 88: static constants */
	put(p, 4096, 8);
	put(p, 0x460, 8); /* 104: exit doorbell */
	put(p, 4096, 4);  /* 112: L2 cached DDR */
	put(p, 6, 4);	  /* L2TCM image bytes */
	put(p, 5, 2);	  /* 120: exec context */
	put(p, 2, 2);	  /* NSPs */
	put(p, 2, 2);	  /* semaphores */
	put(p, 2, 2);	  /* DMA requests */
	put(p, 1, 2);	  /* threads */
	put(p, 1, 2);	  /* 130: constant mappings */
	put(p, 2, 1);	  /* hardware 2.0 */
	put(p, 0, 1);
	put(p, 0, 1); /* ECC */
	put(p, 1, 1);
	put(p, 0, 2);
	put(p, 1, 1); /* 138: single page, HVX, HMX floating point */
	put(p, 1, 1);
	put(p, 0, 4);
	put(p, 8 << 20, 4); /* 144: VTCM */
	put(p, 1 << 20, 4);
	put(p, 65536, 8);      /* 152: heap */
	put(p, 0x6c6c7566, 8); /* 160: "full" */
	put(p, 0, 4);	       /* 168: semaphores */
	put(p, 2, 4);
	put(p, 0x060504030201, 8); /* 176 */
	put(p, 280, 8);		   /* 184: request 0: its semaphore operations, doorbells */
	put(p, 296, 8);
	put(p, 64, 8);
	put(p, 256, 8);
	put(p, 128, 4);
	put(p, 0, 4);	   /* buffer 0, multicast id 0 */
	put(p, 0x0102, 2); /* two semaphore operations, one doorbell */
	put(p, 0x0001, 2); /* DDR, to the device */
	put(p, 100, 4);
	put(p, 0, 16); /* 232: request 1 */
	put(p, 0, 8);
	put(p, 480, 8);
	put(p, 32, 4);
	put(p, 1, 4);
	put(p, 0, 2);
	put(p, 0x0102, 2); /* dynamic DDR, from the device */
	put(p, 101, 4);
	put(p, 1, 2); /* 280: wait until semaphore 1 is 2, before, with an out fence */
	put(p, 2, 2);
	put(p, 0x01000104, 4);
	put(p, 0, 8);  /* and nothing */
	put(p, 12, 8); /* 296: doorbell */
	put(p, 0x11223344, 4);
	put(p, 0x00020000, 4);
	put(p, 344, 8); /* 312: NSP 0: one entry; NSP 1: none */
	put(p, 1, 8);
	put(p, 0, 16);
	put(p, 4096, 8); /* 344 */
	put(p, 2, 4);
	put(p, 0x464, 4);
	put(p, 0x0101, 8);
	put(p, 384, 8); /* 368: host */
	put(p, 1, 8);
	put(p, 3, 4); /* 384 */
	put(p, 0x464, 4);
	put(p, 0x2000040, 8); /* 392: thread */
	put(p, 3, 8);
	put(p, 256, 8); /* 408: mapping */
	put(p, 3, 4);
	put(p, 512, 4);
}

static void test_struct(void)
{
	struct qeff_metadata *md;
	struct qeff_error err;
	struct pen p;

	full_struct(&p);
	CU_ASSERT_EQUAL_FATAL(p.n, 424);
	if (parse(p.bytes, p.n, &md, &err)) {
		CU_ASSERT(says(&err, "no error"));
		return;
	}
	CU_ASSERT_EQUAL(md->form, QEFF_MD_STRUCT);
	check_full(md);
	qeff_metadata_free(md);
	for (size_t n = 0; n < p.n; n++)
		CU_ASSERT_EQUAL(parse_only(p.bytes, n, &err), -EINVAL);
}

static void test_struct_broken(void)
{
	static const struct change changes[] = {
		{ 8, 8, 424, -EINVAL, "network name" },
		{ 8, 8, -1ull, -EINVAL, "network name" },
		{ 16, 8, 420, -EINVAL, "semaphores" },
		{ 24, 8, 419, -EINVAL, "L2TCM image" },
		{ 32, 8, 330, -EINVAL, "DMA requests" },
		{ 40, 8, 400, -EINVAL, "NSP multicast tables" },
		{ 48, 8, 410, -EINVAL, "host multicast table" },
		{ 56, 8, 409, -EINVAL, "thread descriptors" },
		{ 64, 8, -16ull, -EINVAL, "constant mappings" },
		{ 116, 4, 0xffffffff, -EINVAL, "L2TCM image" },
		{ 122, 2, 0, -EINVAL, "NSPs" },
		{ 122, 2, 0xffff, -EINVAL, "NSP multicast tables" },
		{ 124, 2, 0xffff, -EINVAL, "semaphores" },
		{ 126, 2, 0xffff, -EINVAL, "DMA requests" },
		{ 184, 8, 409, -EINVAL, "semaphore operations" },
		{ 192, 8, 409, -EINVAL, "doorbell operations" },
		{ 224, 1, 5, -EINVAL, "at most 4" },
		{ 312, 8, 401, -EINVAL, "NSP multicast entries" },
		{ 368, 8, 417, -EINVAL, "host multicast entries" },
		{ 160, 1, 1, -EINVAL, "network name" },
	};
	struct pen p;

	full_struct(&p);
	check_changes(&p, changes, sizeof(changes) / sizeof(changes[0]));
}

/* Whatever single bit is wrong, nothing is read past the end and nothing is leaked. */
static void test_bit_flips(void)
{
	struct qeff_error err;
	struct places at;
	struct pen p[2];
	unsigned int refused = 0;

	full(&p[0], &at);
	full_struct(&p[1]);
	for (unsigned int k = 0; k < 2; k++)
		for (size_t bit = 0; bit < 8 * p[k].n; bit++) {
			p[k].bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
			refused += parse_only(p[k].bytes, p[k].n, &err) != 0;
			p[k].bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
	CU_ASSERT(refused > 2000);
}

/* Few bytes that decode to very much are refused soon: a list of offsets that all lead to one
 * request. */
static void test_amplification(void)
{
	enum { COUNT = 60000, OPS = 200 };
	struct pen head = { .n = 4 }, tail = { 0 };
	size_t root, list, request, ops, op, size;
	struct qeff_error err;
	uint8_t *big;

	/* slots 0 version, 6 requests, 19 NSPs */
	root = TABLE(&head, 12, 8, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10);
	set(head.bytes, root, 4);
	set(head.bytes + root + 8, 1, 2);
	set(head.bytes + root + 10, 1, 2);
	pad_to(&head, 8);
	list = head.n +
	       4; /* the vector, at a multiple of 4, so that its elements end at one of 8 */
	set(head.bytes + root + 4, list - (root + 4), 4);
	set(head.bytes + list, COUNT, 4);
	head.n += 8;
	request = TABLE(&tail, 8, 4);
	ops = offsets(&tail, request + 4, OPS);
	op = TABLE(&tail, 4, 0);
	for (size_t i = 0; i < OPS; i++)
		set(tail.bytes + ops + 4 * i, op - (ops + 4 * i), 4);

	size = head.n + 4 * (size_t)COUNT + tail.n;
	big = malloc(size);
	CU_ASSERT_PTR_NOT_NULL_FATAL(big);
	memcpy(big, head.bytes, head.n);
	memcpy(big + head.n + 4 * (size_t)COUNT, tail.bytes, tail.n);
	for (size_t i = 0; i < COUNT; i++)
		set(big + head.n + 4 * i, 4 * (COUNT - i) + request, 4);
	CU_ASSERT_EQUAL(parse_only(big, size, &err), -EINVAL);
	CU_ASSERT(says(&err, "more than 1000000 tables"));
	/* few enough to be decoded */
	set(big + list, 4900, 4);
	CU_ASSERT_EQUAL(parse_only(big, size, &err), -EINVAL);
	CU_ASSERT(says(&err, "at most 4 semaphore operations"));
	free(big);
}

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
	{ "smallest", test_smallest },
	{ "smallest_broken", test_smallest_broken },
	{ "full", test_full },
	{ "rules", test_rules },
	{ "semaphore_counts", test_semaphore_counts },
	{ "squeezed_image", test_squeezed_image },
	{ "struct", test_struct },
	{ "struct_broken", test_struct_broken },
	{ "bit_flips", test_bit_flips },
	{ "amplification", test_amplification },
	{ "write", test_write },
	{ "write_refuses", test_write_refuses },
};

QEFF_UNIT_MAIN("metadata", tests)
