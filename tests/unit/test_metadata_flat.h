/* SPDX-License-Identifier: MIT */
/* Metadata as a flatbuffer, put down by hand piece by piece, with something in every field. */
#ifndef QEFF_TESTS_METADATA_FLAT_H
#define QEFF_TESTS_METADATA_FLAT_H

#include "test_metadata.h"

/* A table is its vtable (offsets of the slots, by hand), then its fields. */
static inline size_t table(struct pen *p, size_t num_slots, const uint16_t *slots, uint16_t bytes)
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
static inline void lead(struct pen *p, size_t at)
{
	pad_to(p, 4);
	set(p->bytes + at, p->n - at, 4);
}

/* A vector of @count offsets hung on @at; returns where the first stands. */
static inline size_t offsets(struct pen *p, size_t at, uint32_t count)
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

static inline void text(struct pen *p, size_t at, const char *string)
{
	lead(p, at);
	put(p, strlen(string), 4);
	memcpy(p->bytes + p->n, string, strlen(string) + 1);
	p->n += strlen(string) + 1;
}

static inline void full_request(struct pen *p, size_t list, struct places *at)
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

static inline void full_multicast(struct pen *p, size_t root, struct places *at)
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

static inline void full_exec_context(struct pen *p, size_t root, struct places *at)
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
static inline void full(struct pen *p, struct places *at)
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

/* What the struct form has no place for. */
static inline void check_full_flat(const struct qeff_metadata *md)
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

#endif
