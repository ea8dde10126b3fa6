/* SPDX-License-Identifier: MIT */
/*
 * For the tests of program metadata: reading a copy of exactly the length, breaking one number at a
 * time, and what both forms of the same full metadata must say.
 */
#ifndef QEFF_TESTS_METADATA_H
#define QEFF_TESTS_METADATA_H

#include "qpc/metadata.h"

#include "test_qpc_bytes.h"
#include "unit.h"

static inline int parse(const void *data, size_t size, struct qeff_metadata **md,
			struct qeff_error *err)
{
	void *copy = exact_copy(data, size);
	int ret;

	*err = (struct qeff_error){ 0 };
	*md = NULL;
	ret = qeff_metadata_parse(copy, size, md, err);
	free(copy);
	return ret;
}

static inline int parse_only(const void *data, size_t size, struct qeff_error *err)
{
	struct qeff_metadata *md;
	int ret = parse(data, size, &md, err);

	qeff_metadata_free(md);
	return ret;
}

struct change {
	size_t at, size;
	uint64_t value;
	int code;
	const char *says;
};

static inline void check_changes(const struct pen *p, const struct change *changes, size_t count)
{
	struct qeff_error err;

	for (size_t i = 0; i < count; i++) {
		struct pen q = *p;

		set(q.bytes + changes[i].at, changes[i].value, changes[i].size);
		CU_ASSERT_EQUAL(parse_only(q.bytes, q.n, &err), changes[i].code);
		CU_ASSERT(says(&err, changes[i].says));
	}
}

/* Every single bit wrong, one after the other: nothing is read past the end and nothing is leaked.
 * Returns how many were refused. */
static inline unsigned int flip_bits(struct pen *p)
{
	unsigned int refused = 0;
	struct qeff_error err;

	for (size_t bit = 0; bit < 8 * p->n; bit++) {
		p->bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		refused += parse_only(p->bytes, p->n, &err) != 0;
		p->bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	return refused;
}

static inline void check_full(const struct qeff_metadata *md)
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

#endif
