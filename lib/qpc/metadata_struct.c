/* SPDX-License-Identifier: MIT */
/*
 * Decoding the struct form (version 1.0) of program metadata: a fixed head, and arrays at offsets
 * from its first byte. Every array goes through array_at(), which is where the bounds are checked.
 */
#include "qpc/metadata_parse.h"

#include "util/checked.h"

#include <string.h>

#define HEAD_BYTES    160
#define DMA_BYTES     48
#define SEM_BYTES     8
#define BELL_BYTES    16
#define TABLE_BYTES   16
#define NSP_MC_BYTES  24
#define HOST_MC_BYTES 8
#define THREAD_BYTES  16
#define MAP_BYTES     16

/* Offsets in the head of what is an array elsewhere. */
enum {
	AT_NETWORK_NAME = 8,
	AT_SEMAPHORE_INIT = 16,
	AT_L2TCM_INIT = 24,
	AT_DMA_REQUESTS = 32,
	AT_NSP_MULTICAST = 40,
	AT_HOST_MULTICAST = 48,
	AT_THREADS = 56,
	AT_CONSTANT_MAPPINGS = 64,
};

struct decoder {
	const uint8_t *data;
	size_t size_bytes;
	struct qeff_md_arena *arena;
	struct qeff_error *err;
};

/* The @count elements whose offset is stored at @field, or NULL with the error set. */
static const uint8_t *array_at(struct decoder *d, const uint8_t *field, uint32_t count,
			       size_t element_bytes, const char *what)
{
	uint64_t offset = qeff_get_u64(field);

	if (!count)
		return d->data;
	if (!qeff_range_valid(offset, (uint64_t)count * element_bytes, d->size_bytes)) {
		qeff_error_set(
			d->err, -EINVAL,
			"%s: %u elements of %zu bytes at offset %llu, the metadata has %zu bytes",
			what, count, element_bytes, (unsigned long long)offset, d->size_bytes);
		return NULL;
	}
	return d->data + offset;
}

static int decode_name(struct decoder *d, struct qeff_metadata *md)
{
	uint64_t offset = qeff_get_u64(d->data + AT_NETWORK_NAME);
	size_t length = 0;

	if (offset >= d->size_bytes)
		return qeff_error_set(d->err, -EINVAL,
				      "network name at offset %llu, the metadata has %zu bytes",
				      (unsigned long long)offset, d->size_bytes);
	if (offset) {
		length = strnlen((const char *)d->data + offset, d->size_bytes - (size_t)offset);
		if (length == d->size_bytes - offset)
			return qeff_error_set(d->err, -EINVAL,
					      "network name at offset %llu has no end",
					      (unsigned long long)offset);
	}
	md->network_name = qeff_md_text(d->arena, d->data + offset, length, "network name", d->err);
	return md->network_name ? 0 : d->err->code;
}

static int decode_semaphores(struct decoder *d, struct qeff_metadata *md)
{
	const uint8_t *from;
	uint32_t *to;

	md->num_semaphores = qeff_get_u16(d->data + 124);
	from = array_at(d, d->data + AT_SEMAPHORE_INIT, md->num_semaphores, 4, "semaphores");
	to = qeff_md_alloc(d->arena, md->num_semaphores, sizeof(*to), d->err);
	if (!from || !to)
		return d->err->code;
	memcpy(to, from, 4 * (size_t)md->num_semaphores);
	md->semaphore_init = to;
	return 0;
}

static int decode_l2tcm_image(struct decoder *d, struct qeff_metadata *md)
{
	const uint8_t *from;
	uint8_t *to;

	md->l2tcm_init_bytes = qeff_get_u32(d->data + 116);
	from = array_at(d, d->data + AT_L2TCM_INIT, md->l2tcm_init_bytes, 1, "L2TCM image");
	if (!from)
		return d->err->code;
	to = qeff_md_alloc(d->arena, md->l2tcm_init_bytes, 1, d->err);
	if (!to)
		return d->err->code;
	memcpy(to, from, md->l2tcm_init_bytes);
	md->l2tcm_init = to;
	return 0;
}

static int decode_ops(struct decoder *d, const uint8_t *at, struct qeff_md_dma_request *request)
{
	uint8_t num_sems = at[40], num_bells = at[41];
	const uint8_t *sem = array_at(d, at, num_sems, SEM_BYTES, "semaphore operations");
	const uint8_t *bell = array_at(d, at + 8, num_bells, BELL_BYTES, "doorbell operations");
	struct qeff_md_semaphore_op *sems;
	struct qeff_md_doorbell_op *bells;

	if (!sem || !bell)
		return d->err->code;
	sems = qeff_md_alloc(d->arena, num_sems, sizeof(*sems), d->err);
	bells = qeff_md_alloc(d->arena, num_bells, sizeof(*bells), d->err);
	if (!sems || !bells)
		return d->err->code;
	for (unsigned int i = 0; i < num_sems; i++, sem += SEM_BYTES)
		sems[i] = (struct qeff_md_semaphore_op){
			.semaphore = qeff_get_u16(sem),
			.value = qeff_get_u16(sem + 2),
			.op = sem[4],
			.pre = sem[5],
			.in_fence = sem[6],
			.out_fence = sem[7],
		};
	for (unsigned int i = 0; i < num_bells; i++, bell += BELL_BYTES)
		bells[i] = (struct qeff_md_doorbell_op){
			.offset = qeff_get_u64(bell),
			.data = qeff_get_u32(bell + 8),
			.multicast_id = qeff_get_u16(bell + 12),
			.size_code = bell[14],
		};
	request->num_semaphore_ops = num_sems;
	request->semaphore_ops = sems;
	request->num_doorbell_ops = num_bells;
	request->doorbell_ops = bells;
	return 0;
}

static int decode_dma_requests(struct decoder *d, struct qeff_metadata *md)
{
	uint32_t count = qeff_get_u16(d->data + 126);
	const uint8_t *at =
		array_at(d, d->data + AT_DMA_REQUESTS, count, DMA_BYTES, "DMA requests");
	struct qeff_md_dma_request *to = qeff_md_alloc(d->arena, count, sizeof(*to), d->err);

	if (!at || !to)
		return d->err->code;
	for (uint32_t i = 0; i < count; i++, at += DMA_BYTES) {
		int ret;

		to[i] = (struct qeff_md_dma_request){
			.host_offset = qeff_get_u64(at + 16),
			.device_offset = qeff_get_u64(at + 24),
			.size_bytes = qeff_get_u32(at + 32),
			.buffer = qeff_get_u16(at + 36),
			.multicast_id = qeff_get_u16(at + 38),
			.device_space = at[42],
			.direction = at[43],
			.port = qeff_get_u16(at + 44),
			.transaction = QEFF_MD_NO_TRANSACTION,
		};
		ret = decode_ops(d, at, &to[i]);
		if (ret)
			return qeff_error_prefix(d->err, ret, "DMA request %u", i);
	}
	md->dma_requests = to;
	md->num_dma_requests = count;
	return 0;
}

static int decode_nsp_table(struct decoder *d, const uint8_t *at,
			    struct qeff_md_nsp_multicast_table *table)
{
	uint32_t count = qeff_get_u16(at + 8);
	const uint8_t *entry = array_at(d, at, count, NSP_MC_BYTES, "NSP multicast entries");
	struct qeff_md_nsp_multicast *to = qeff_md_alloc(d->arena, count, sizeof(*to), d->err);

	if (!entry || !to)
		return d->err->code;
	for (uint32_t i = 0; i < count; i++, entry += NSP_MC_BYTES)
		to[i] = (struct qeff_md_nsp_multicast){
			.base_offset = qeff_get_u64(entry),
			.nsp_mask = qeff_get_u32(entry + 8),
			.size_bytes = qeff_get_u32(entry + 12),
			.space = entry[16],
			.dynamic = entry[17],
		};
	table->num_entries = count;
	table->entries = to;
	return 0;
}

static int decode_nsp_multicast(struct decoder *d, struct qeff_metadata *md)
{
	uint32_t count = qeff_get_u64(d->data + AT_NSP_MULTICAST) ? md->num_nsps : 0;
	const uint8_t *at =
		array_at(d, d->data + AT_NSP_MULTICAST, count, TABLE_BYTES, "NSP multicast tables");
	struct qeff_md_nsp_multicast_table *to =
		qeff_md_alloc(d->arena, count, sizeof(*to), d->err);

	if (!at || !to)
		return d->err->code;
	for (uint32_t i = 0; i < count; i++, at += TABLE_BYTES) {
		int ret = decode_nsp_table(d, at, &to[i]);

		if (ret)
			return qeff_error_prefix(d->err, ret, "NSP %u", i);
	}
	md->nsp_multicast = to;
	md->num_nsp_multicast = count;
	return 0;
}

static int decode_host_multicast(struct decoder *d, struct qeff_metadata *md)
{
	uint32_t tables = qeff_get_u64(d->data + AT_HOST_MULTICAST) ? 1 : 0, count;
	const uint8_t *at = array_at(d, d->data + AT_HOST_MULTICAST, tables, TABLE_BYTES,
				     "host multicast table");
	struct qeff_md_host_multicast *to;

	if (!at)
		return d->err->code;
	count = tables ? qeff_get_u16(at + 8) : 0;
	at = array_at(d, at, count, HOST_MC_BYTES, "host multicast entries");
	to = qeff_md_alloc(d->arena, count, sizeof(*to), d->err);
	if (!at || !to)
		return d->err->code;
	for (uint32_t i = 0; i < count; i++, at += HOST_MC_BYTES)
		to[i] = (struct qeff_md_host_multicast){ qeff_get_u32(at), qeff_get_u32(at + 4) };
	md->host_multicast = to;
	md->num_host_multicast = count;
	return 0;
}

static int decode_threads(struct decoder *d, struct qeff_metadata *md)
{
	uint32_t count = qeff_get_u16(d->data + 128);
	const uint8_t *at =
		array_at(d, d->data + AT_THREADS, count, THREAD_BYTES, "thread descriptors");
	struct qeff_md_thread *to = qeff_md_alloc(d->arena, count, sizeof(*to), d->err);

	if (!at || !to)
		return d->err->code;
	for (uint32_t i = 0; i < count; i++, at += THREAD_BYTES)
		to[i] = (struct qeff_md_thread){ qeff_get_u64(at), at[8] };
	md->threads = to;
	md->num_threads = count;
	return 0;
}

static int decode_constant_mappings(struct decoder *d, struct qeff_metadata *md)
{
	uint32_t count = qeff_get_u16(d->data + 130);
	const uint8_t *at =
		array_at(d, d->data + AT_CONSTANT_MAPPINGS, count, MAP_BYTES, "constant mappings");
	struct qeff_md_constant_mapping *to = qeff_md_alloc(d->arena, count, sizeof(*to), d->err);

	if (!at || !to)
		return d->err->code;
	for (uint32_t i = 0; i < count; i++, at += MAP_BYTES)
		to[i] = (struct qeff_md_constant_mapping){ qeff_get_u64(at), qeff_get_u32(at + 8),
							   qeff_get_u32(at + 12) };
	md->constant_mappings = to;
	md->num_constant_mappings = count;
	return 0;
}

static void decode_scalars(const uint8_t *data, struct qeff_metadata *md)
{
	md->version_major = qeff_get_u16(data);
	md->version_minor = qeff_get_u16(data + 2);
	md->static_shared_ddr_bytes = qeff_get_u64(data + 72);
	md->dynamic_shared_ddr_bytes = qeff_get_u64(data + 80);
	md->static_constants_bytes = qeff_get_u64(data + 88);
	md->dynamic_constants_bytes = qeff_get_u64(data + 96);
	md->exit_doorbell_offset = qeff_get_u64(data + 104);
	md->l2_cached_ddr_bytes = qeff_get_u32(data + 112);
	md->exec_context_major = qeff_get_u16(data + 120);
	md->num_nsps = qeff_get_u16(data + 122);
	md->hw_version_major = data[132];
	md->hw_version_minor = data[133];
	md->static_shared_ecc = data[134];
	md->dynamic_shared_ecc = data[135];
	md->static_constants_ecc = data[136];
	md->dynamic_constants_ecc = data[137];
	md->single_vtcm_page = data[138];
	md->has_hvx_fp = data[139];
	md->has_hmx_fp = data[140];
	md->vtcm_bytes = qeff_get_u32(data + 144);
	md->l2tcm_bytes = qeff_get_u32(data + 148);
	md->network_heap_bytes = qeff_get_u64(data + 152);
}

int qeff_md_parse_struct(const uint8_t *data, size_t size_bytes, struct qeff_md_arena *arena,
			 struct qeff_metadata *md, struct qeff_error *err)
{
	static int (*const decode[])(struct decoder *, struct qeff_metadata *) = {
		decode_name,	     decode_semaphores,	       decode_l2tcm_image,
		decode_dma_requests, decode_nsp_multicast,     decode_host_multicast,
		decode_threads,	     decode_constant_mappings,
	};
	struct decoder d = { data, size_bytes, arena, err };
	int ret = 0;

	if (size_bytes < HEAD_BYTES)
		return qeff_error_set(err, -EINVAL, "expected at least %d bytes, found %zu",
				      HEAD_BYTES, size_bytes);
	decode_scalars(data, md);
	for (size_t i = 0; i < sizeof(decode) / sizeof(decode[0]) && !ret; i++)
		ret = decode[i](&d, md);
	return ret;
}
