/* SPDX-License-Identifier: MIT */
/*
 * The rules that program metadata must keep, whatever form it came in. What passes here can be
 * acted on by host and card without looking again, except that masks may name NSPs which the
 * program does not have.
 */
#include "qpc/metadata.h"

#include "qpc/metadata_schema.h"
#include "qpc/text.h"
#include "util/checked.h"

#include <string.h>

#define MAX_NAME_BYTES	      4096
#define MAX_DMA_REQUESTS      65535
#define MAX_MULTICAST_ENTRIES 65536
#define MAX_REQUIRED_FIELDS   1024
#define MAX_EXEC_FIELDS	      1024
#define MULTICAST_ALIGNMENT   4096
#define MAX_HOST_BUFFER_BYTES ((uint64_t)1 << 32)

static int limit(const char *what, uint64_t value, uint64_t max, struct qeff_error *err)
{
	if (value <= max)
		return 0;
	return qeff_error_set(err, -EINVAL, "%s: expected at most %llu, found %llu", what,
			      (unsigned long long)max, (unsigned long long)value);
}

static int check_limits(const struct qeff_metadata *md, struct qeff_error *err)
{
	const struct {
		const char *what;
		uint64_t value, max;
	} limits[] = {
		{ "NSPs", md->num_nsps, QEFF_MD_MAX_NSPS },
		{ "semaphores", md->num_semaphores, QEFF_MD_MAX_SEMAPHORES },
		{ "required fields", md->num_required_fields, MAX_REQUIRED_FIELDS },
		{ "DMA requests", md->num_dma_requests, MAX_DMA_REQUESTS },
		{ "host multicast entries", md->num_host_multicast, MAX_MULTICAST_ENTRIES },
		{ "threads", md->num_threads, QEFF_MD_MAX_THREADS },
		{ "constant mappings", md->num_constant_mappings, UINT16_MAX },
		{ "ports", md->num_ports, UINT16_MAX },
		{ "execution context fields", md->num_exec_fields, MAX_EXEC_FIELDS },
		{ "bytes of L2TCM", md->l2tcm_bytes, QEFF_MD_L2TCM_BYTES },
		{ "bytes of VTCM", md->vtcm_bytes, QEFF_MD_VTCM_BYTES },
		{ "initialised bytes of L2TCM", md->l2tcm_init_bytes, md->l2tcm_bytes },
	};

	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		int ret = limit(limits[i].what, limits[i].value, limits[i].max, err);

		if (ret)
			return ret;
	}
	return 0;
}

static int check_head(const struct qeff_metadata *md, struct qeff_error *err)
{
	size_t length = strnlen(md->network_name, MAX_NAME_BYTES + 1);
	uint64_t sum;

	if (md->version_major != QEFF_METADATA_VERSION_MAJOR)
		return qeff_error_set(err, -EINVAL, "expected version %d, found %u.%u",
				      QEFF_METADATA_VERSION_MAJOR, md->version_major,
				      md->version_minor);
	if (!md->num_nsps)
		return qeff_error_set(err, -EINVAL, "expected 1 to %d NSPs, found 0",
				      QEFF_MD_MAX_NSPS);
	if (length > MAX_NAME_BYTES || !qeff_text_valid(md->network_name, length))
		return qeff_error_set(
			err, -EINVAL,
			"network name: expected at most %d bytes of UTF-8 without control characters",
			MAX_NAME_BYTES);
	for (uint32_t i = 0; i < md->num_required_fields; i++)
		if (!qeff_md_field_known(md->required_fields[i]))
			return qeff_error_set(
				err, -ENOTSUP,
				"the program requires a reader that knows field \"%.200s\"",
				md->required_fields[i]);
	if (!qeff_add_u64(md->static_shared_ddr_bytes, md->dynamic_shared_ddr_bytes, &sum))
		return qeff_error_set(
			err, -EINVAL,
			"%llu bytes of static and %llu of dynamic shared DDR are too many",
			(unsigned long long)md->static_shared_ddr_bytes,
			(unsigned long long)md->dynamic_shared_ddr_bytes);
	if (!qeff_add_u64(md->static_constants_bytes, md->dynamic_constants_bytes, &sum))
		return qeff_error_set(
			err, -EINVAL,
			"%llu bytes of static and %llu of dynamic constants are too many",
			(unsigned long long)md->static_constants_bytes,
			(unsigned long long)md->dynamic_constants_bytes);
	if (md->exit_doorbell_offset && md->exit_doorbell_offset >= md->l2tcm_bytes)
		return qeff_error_set(
			err, -EINVAL, "exit doorbell at offset %llu, L2TCM has %u bytes",
			(unsigned long long)md->exit_doorbell_offset, md->l2tcm_bytes);
	return 0;
}

static int check_semaphores(const struct qeff_metadata *md, struct qeff_error *err)
{
	for (uint32_t i = 0; i < md->num_semaphores; i++)
		if (md->semaphore_init[i] > QEFF_MD_MAX_SEMAPHORE_VALUE)
			return qeff_error_set(
				err, -EINVAL,
				"semaphore %u: expected an initial value up to %d, found %u", i,
				QEFF_MD_MAX_SEMAPHORE_VALUE, md->semaphore_init[i]);
	return 0;
}

static int check_semaphore_ops(const struct qeff_metadata *md, const struct qeff_md_dma_request *r,
			       struct qeff_error *err)
{
	unsigned int pre = 0;

	if (r->num_semaphore_ops > QEFF_MD_MAX_SEMAPHORE_OPS)
		return qeff_error_set(err, -EINVAL,
				      "expected at most %d semaphore operations, found %u",
				      QEFF_MD_MAX_SEMAPHORE_OPS, r->num_semaphore_ops);
	for (uint32_t i = 0; i < r->num_semaphore_ops; i++) {
		const struct qeff_md_semaphore_op *op = &r->semaphore_ops[i];

		if (op->op > QEFF_MD_SEM_WAIT_NONZERO_DEC)
			return qeff_error_set(err, -EINVAL,
					      "semaphore operation %u: unknown code %u", i, op->op);
		if (op->op == QEFF_MD_SEM_NOP)
			continue;
		if (op->semaphore >= md->num_semaphores)
			return qeff_error_set(
				err, -EINVAL,
				"semaphore operation %u: semaphore %u, but there are %u", i,
				op->semaphore, md->num_semaphores);
		if (op->value > QEFF_MD_MAX_SEMAPHORE_VALUE)
			return qeff_error_set(
				err, -EINVAL,
				"semaphore operation %u: expected a value up to %d, found %u", i,
				QEFF_MD_MAX_SEMAPHORE_VALUE, op->value);
		pre += op->pre;
	}
	if (pre > 1)
		return qeff_error_set(
			err, -EINVAL,
			"expected at most one semaphore operation before the transfer, found %u",
			pre);
	return 0;
}

/* [offset, offset + size) in the window of a multicast id. */
static int check_window(const struct qeff_metadata *md, uint16_t id, uint64_t offset, uint64_t size,
			struct qeff_error *err)
{
	if (id >= md->num_host_multicast)
		return qeff_error_set(err, -EINVAL, "multicast id %u, but the host has %u", id,
				      md->num_host_multicast);
	if (!qeff_range_valid(offset, size, md->host_multicast[id].size_bytes))
		return qeff_error_set(err, -EINVAL,
				      "%llu bytes at offset %llu of multicast id %u, which has %u",
				      (unsigned long long)size, (unsigned long long)offset, id,
				      md->host_multicast[id].size_bytes);
	return 0;
}

static int check_doorbell_ops(const struct qeff_metadata *md, const struct qeff_md_dma_request *r,
			      struct qeff_error *err)
{
	if (r->num_doorbell_ops > QEFF_MD_MAX_DOORBELL_OPS)
		return qeff_error_set(err, -EINVAL,
				      "expected at most %d doorbell operations, found %u",
				      QEFF_MD_MAX_DOORBELL_OPS, r->num_doorbell_ops);
	for (uint32_t i = 0; i < r->num_doorbell_ops; i++) {
		const struct qeff_md_doorbell_op *op = &r->doorbell_ops[i];
		int ret;

		if (op->size_code > 2)
			return qeff_error_set(err, -EINVAL,
					      "doorbell operation %u: unknown size code %u", i,
					      op->size_code);
		if (op->offset % (1u << op->size_code))
			return qeff_error_set(
				err, -EINVAL,
				"doorbell operation %u: %u bits at offset %llu are not aligned", i,
				8u << op->size_code, (unsigned long long)op->offset);
		ret = check_window(md, op->multicast_id, op->offset, 1u << op->size_code, err);
		if (ret)
			return qeff_error_prefix(err, ret, "doorbell operation %u", i);
	}
	return 0;
}

static int check_transfer(const struct qeff_metadata *md, const struct qeff_md_dma_request *r,
			  struct qeff_error *err)
{
	/* the sum did not overflow, see check_head() */
	uint64_t ddr_bytes = md->static_shared_ddr_bytes + md->dynamic_shared_ddr_bytes;

	if (r->direction > QEFF_MD_FROM_DEVICE)
		return qeff_error_set(err, -EINVAL, "unknown direction %u", r->direction);
	if (r->device_space > QEFF_MD_SPACE_DDR_DYNAMIC)
		return qeff_error_set(err, -EINVAL, "unknown device address space %u",
				      r->device_space);
	if (!qeff_range_valid(r->host_offset, r->size_bytes, MAX_HOST_BUFFER_BYTES))
		return qeff_error_set(err, -EINVAL, "%u bytes at offset %llu of a host buffer",
				      r->size_bytes, (unsigned long long)r->host_offset);
	if (!r->size_bytes)
		return 0;
	if (r->device_space == QEFF_MD_SPACE_MULTICAST)
		return check_window(md, r->multicast_id, r->device_offset, r->size_bytes, err);
	if (r->device_space == QEFF_MD_SPACE_DDR_DYNAMIC)
		ddr_bytes = md->dynamic_shared_ddr_bytes;
	if (!qeff_range_valid(r->device_offset, r->size_bytes, ddr_bytes))
		return qeff_error_set(err, -EINVAL,
				      "%u bytes at offset %llu of %llu bytes of shared DDR",
				      r->size_bytes, (unsigned long long)r->device_offset,
				      (unsigned long long)ddr_bytes);
	return 0;
}

static int check_dma_requests(const struct qeff_metadata *md, struct qeff_error *err)
{
	for (uint32_t i = 0; i < md->num_dma_requests; i++) {
		const struct qeff_md_dma_request *r = &md->dma_requests[i];
		int ret = check_semaphore_ops(md, r, err);

		if (!ret)
			ret = check_doorbell_ops(md, r, err);
		if (!ret)
			ret = check_transfer(md, r, err);
		if (ret)
			return qeff_error_prefix(err, ret, "DMA request %u", i);
	}
	return 0;
}

static int check_nsp_entry(const struct qeff_md_nsp_multicast *e, struct qeff_error *err)
{
	uint32_t bytes = e->space == QEFF_MD_NSP_VTCM ? QEFF_MD_VTCM_BYTES : QEFF_MD_L2TCM_BYTES;

	if (e->space > QEFF_MD_NSP_VTCM)
		return qeff_error_set(err, -EINVAL, "unknown address space %u", e->space);
	if (e->base_offset % MULTICAST_ALIGNMENT)
		return qeff_error_set(err, -EINVAL, "offset %llu is not a multiple of %d",
				      (unsigned long long)e->base_offset, MULTICAST_ALIGNMENT);
	if (!qeff_range_valid(e->base_offset, e->size_bytes, bytes))
		return qeff_error_set(err, -EINVAL, "%u bytes at offset %llu of %u bytes of %s",
				      e->size_bytes, (unsigned long long)e->base_offset, bytes,
				      e->space == QEFF_MD_NSP_VTCM ? "VTCM" : "L2TCM");
	return 0;
}

static int check_multicast(const struct qeff_metadata *md, struct qeff_error *err)
{
	if (md->num_nsp_multicast && md->num_nsp_multicast != md->num_nsps)
		return qeff_error_set(err, -EINVAL,
				      "expected a multicast table for each of %u NSPs, found %u",
				      md->num_nsps, md->num_nsp_multicast);
	for (uint32_t n = 0; n < md->num_nsp_multicast; n++) {
		const struct qeff_md_nsp_multicast_table *table = &md->nsp_multicast[n];
		int ret = limit("multicast entries of an NSP", table->num_entries,
				MAX_MULTICAST_ENTRIES, err);

		for (uint32_t i = 0; i < table->num_entries && !ret; i++) {
			ret = check_nsp_entry(&table->entries[i], err);
			if (ret)
				qeff_error_prefix(err, ret, "NSP %u, multicast id %u", n, i);
		}
		if (ret)
			return ret;
	}
	for (uint32_t i = 0; i < md->num_host_multicast; i++)
		if (md->host_multicast[i].size_bytes > QEFF_MD_MULTICAST_STRIDE)
			return qeff_error_set(
				err, -EINVAL,
				"multicast id %u of the host: expected at most %llu bytes, found %u",
				i, (unsigned long long)QEFF_MD_MULTICAST_STRIDE,
				md->host_multicast[i].size_bytes);
	return 0;
}

static int check_mappings(const struct qeff_metadata *md, struct qeff_error *err)
{
	uint64_t bytes = md->static_constants_bytes + md->dynamic_constants_bytes;

	for (uint32_t i = 0; i < md->num_constant_mappings; i++) {
		const struct qeff_md_constant_mapping *m = &md->constant_mappings[i];

		if (!qeff_range_valid(m->offset, m->size_bytes, bytes))
			return qeff_error_set(
				err, -EINVAL,
				"constant mapping %u: %u bytes at offset %llu of %llu bytes", i,
				m->size_bytes, (unsigned long long)m->offset,
				(unsigned long long)bytes);
	}
	return 0;
}

static int check_rest(const struct qeff_metadata *md, struct qeff_error *err)
{
	for (uint32_t i = 0; i < md->num_threads; i++)
		if (md->threads[i].type_mask & ~(QEFF_MD_THREAD_HMX | QEFF_MD_THREAD_HVX))
			return qeff_error_set(err, -EINVAL, "thread %u: unknown type mask 0x%x", i,
					      md->threads[i].type_mask);
	for (uint32_t i = 0; i < md->num_ports; i++)
		if (md->ports[i].type < 0 || md->ports[i].type > 2)
			return qeff_error_set(err, -EINVAL, "port %u: unknown type %d", i,
					      md->ports[i].type);
	for (uint32_t i = 0; i < md->num_exec_fields; i++) {
		const struct qeff_md_exec_field *f = &md->exec_fields[i];

		if (!qeff_range_valid(f->offset, f->size_bytes, md->exec_context_bytes))
			return qeff_error_set(
				err, -EINVAL,
				"execution context field %u: %u bytes at offset %llu of %u bytes",
				i, f->size_bytes, (unsigned long long)f->offset,
				md->exec_context_bytes);
	}
	return 0;
}

int qeff_metadata_validate(const struct qeff_metadata *md, struct qeff_error *err)
{
	static int (*const checks[])(const struct qeff_metadata *, struct qeff_error *) = {
		check_limits,	    check_head,	    check_semaphores, check_multicast,
		check_dma_requests, check_mappings, check_rest,
	};

	for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
		int ret = checks[i](md, err);

		if (ret)
			return qeff_error_prefix(err, ret, "metadata");
	}
	return 0;
}
