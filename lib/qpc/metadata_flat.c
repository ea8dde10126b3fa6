/* SPDX-License-Identifier: MIT */
/* Decoding the flatbuffer form of program metadata. The buffer is verified first; then the getters
 * are safe. */
#include "qpc/metadata_parse.h"

#include "qpc/metadata_schema.h"
#include "util/checked.h"

#include <string.h>

/* How the two decoders below are called on each element of a vector of tables. */
struct decoder {
	struct qeff_md_arena *arena;
	struct qeff_error *err;
};

typedef int (*decode_fn)(struct decoder *d, struct qeff_fb_table from, void *to);

/* Decodes a vector of tables into an array of @element_bytes structs. */
static int decode_all(struct decoder *d, struct qeff_fb_vector from, size_t element_bytes,
		      decode_fn decode, uint32_t *count, void *array)
{
	uint8_t *to = qeff_md_alloc(d->arena, from.count, element_bytes, d->err);
	int ret = to ? 0 : d->err->code;

	for (uint32_t i = 0; i < from.count && !ret; i++)
		ret = decode(d, qeff_fb_table_at(from, i), to + (size_t)i * element_bytes);
	if (ret)
		return ret;
	*count = from.count;
	memcpy(array, &to, sizeof(to));
	return 0;
}

static int decode_sem(struct decoder *d, struct qeff_fb_table from, void *to)
{
	*(struct qeff_md_semaphore_op *)to = (struct qeff_md_semaphore_op){
		.semaphore = qeff_fb_u16(from, SEM_NUM, 0),
		.value = qeff_fb_u16(from, SEM_VALUE, 0),
		.op = qeff_fb_u8(from, SEM_OP, 0),
		.pre = qeff_fb_u8(from, SEM_PRE, 0),
		.in_fence = qeff_fb_u8(from, SEM_IN_FENCE, 0),
		.out_fence = qeff_fb_u8(from, SEM_OUT_FENCE, 0),
	};
	return 0;
}

static int decode_bell(struct decoder *d, struct qeff_fb_table from, void *to)
{
	*(struct qeff_md_doorbell_op *)to = (struct qeff_md_doorbell_op){
		.offset = qeff_fb_u64(from, BELL_OFFSET, 0),
		.data = qeff_fb_u32(from, BELL_DATA, 0),
		.multicast_id = qeff_fb_u16(from, BELL_MULTICAST_ID, 0),
		.size_code = qeff_fb_u8(from, BELL_SIZE, 0),
	};
	return 0;
}

static int decode_dma(struct decoder *d, struct qeff_fb_table from, void *to)
{
	struct qeff_md_dma_request *request = to;
	int ret;

	*request = (struct qeff_md_dma_request){
		.host_offset = qeff_fb_u64(from, DMA_HOST_OFFSET, 0),
		.device_offset = qeff_fb_u64(from, DMA_DEVICE_OFFSET, 0),
		.size_bytes = qeff_fb_u32(from, DMA_SIZE, 0),
		.buffer = qeff_fb_u16(from, DMA_NUM, 0),
		.multicast_id = qeff_fb_u16(from, DMA_MULTICAST_ID, 0),
		.device_space = qeff_fb_u8(from, DMA_DEVICE_SPACE, 0),
		.direction = qeff_fb_u8(from, DMA_DIRECTION, 0),
		.port = qeff_fb_u16(from, DMA_PORT, 0),
		/* a producer that knows the field stores it */
		.transaction = qeff_fb_u32(from, DMA_TRANSACTION, QEFF_MD_NO_TRANSACTION),
	};
	ret = decode_all(d, qeff_fb_vector_of(from, DMA_SEMAPHORE_OPS),
			 sizeof(struct qeff_md_semaphore_op), decode_sem,
			 &request->num_semaphore_ops, &request->semaphore_ops);
	if (ret)
		return ret;
	return decode_all(d, qeff_fb_vector_of(from, DMA_DOORBELL_OPS),
			  sizeof(struct qeff_md_doorbell_op), decode_bell,
			  &request->num_doorbell_ops, &request->doorbell_ops);
}

static int decode_nsp_mc(struct decoder *d, struct qeff_fb_table from, void *to)
{
	*(struct qeff_md_nsp_multicast *)to = (struct qeff_md_nsp_multicast){
		.base_offset = qeff_fb_u64(from, NSP_MC_BASE, 0),
		.nsp_mask = qeff_fb_u32(from, NSP_MC_MASK, 0),
		.size_bytes = qeff_fb_u32(from, NSP_MC_SIZE, 0),
		.space = qeff_fb_u8(from, NSP_MC_SPACE, 0),
		.dynamic = qeff_fb_u8(from, NSP_MC_DYNAMIC, 0),
	};
	return 0;
}

static int decode_nsp_table(struct decoder *d, struct qeff_fb_table from, void *to)
{
	struct qeff_md_nsp_multicast_table *table = to;

	return decode_all(d, qeff_fb_vector_of(from, ONLY_FIELD),
			  sizeof(struct qeff_md_nsp_multicast), decode_nsp_mc, &table->num_entries,
			  &table->entries);
}

static int decode_host_mc(struct decoder *d, struct qeff_fb_table from, void *to)
{
	*(struct qeff_md_host_multicast *)to = (struct qeff_md_host_multicast){
		.nsp_mask = qeff_fb_u32(from, HOST_MC_MASK, 0),
		.size_bytes = qeff_fb_u32(from, HOST_MC_SIZE, 0),
	};
	return 0;
}

static int decode_thread(struct decoder *d, struct qeff_fb_table from, void *to)
{
	*(struct qeff_md_thread *)to = (struct qeff_md_thread){
		.entry_point = qeff_fb_u64(from, THREAD_ENTRY, 0),
		.type_mask = qeff_fb_u8(from, THREAD_TYPE, 0),
	};
	return 0;
}

static int decode_map(struct decoder *d, struct qeff_fb_table from, void *to)
{
	*(struct qeff_md_constant_mapping *)to = (struct qeff_md_constant_mapping){
		.offset = qeff_fb_u64(from, MAP_OFFSET, 0),
		.nsp_mask = qeff_fb_u32(from, MAP_MASK, 0),
		.size_bytes = qeff_fb_u32(from, MAP_SIZE, 0),
	};
	return 0;
}

static int decode_exec_field(struct decoder *d, struct qeff_fb_table from, void *to)
{
	*(struct qeff_md_exec_field *)to = (struct qeff_md_exec_field){
		.variable = qeff_fb_u32(from, EXEC_VARIABLE, 0),
		.size_bytes = qeff_fb_u32(from, EXEC_VARIABLE_SIZE, 0),
		.offset = qeff_fb_u64(from, EXEC_OFFSET, 0),
		.optional = qeff_fb_u32(from, EXEC_OPTIONAL, 0),
	};
	return 0;
}

/* The tables that hang on the root, each with where its elements go. */
static int decode_tables(struct decoder *d, struct qeff_fb_table root, struct qeff_metadata *md)
{
	struct qeff_fb_table host = qeff_fb_table_of(root, MD_HOST_MULTICAST);
	const struct {
		struct qeff_fb_vector from;
		size_t element_bytes;
		decode_fn decode;
		uint32_t *count;
		void *array;
	} tables[] = {
		{ qeff_fb_vector_of(root, MD_DMA_REQUESTS), sizeof(*md->dma_requests), decode_dma,
		  &md->num_dma_requests, &md->dma_requests },
		{ qeff_fb_vector_of(root, MD_NSP_MULTICAST), sizeof(*md->nsp_multicast),
		  decode_nsp_table, &md->num_nsp_multicast, &md->nsp_multicast },
		{ qeff_fb_vector_of(host, ONLY_FIELD), sizeof(*md->host_multicast), decode_host_mc,
		  &md->num_host_multicast, &md->host_multicast },
		{ qeff_fb_vector_of(root, MD_THREADS), sizeof(*md->threads), decode_thread,
		  &md->num_threads, &md->threads },
		{ qeff_fb_vector_of(root, MD_CONSTANT_MAPPINGS), sizeof(*md->constant_mappings),
		  decode_map, &md->num_constant_mappings, &md->constant_mappings },
	};

	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		int ret = decode_all(d, tables[i].from, tables[i].element_bytes, tables[i].decode,
				     tables[i].count, tables[i].array);

		if (ret)
			return ret;
	}
	return 0;
}

static int decode_exec_context(struct decoder *d, struct qeff_fb_table root,
			       struct qeff_metadata *md)
{
	struct qeff_fb_vector nested = qeff_fb_vector_of(root, MD_EXEC_CONTEXT);
	struct qeff_fb_table exec;
	int ret;

	if (!nested.count)
		return 0;
	ret = qeff_fb_verify(nested.at, nested.count, &qeff_md_exec_schema, d->err);
	if (ret)
		return qeff_error_prefix(d->err, ret, "execContext");
	exec = qeff_fb_root(nested.at);
	md->exec_context_bytes = qeff_fb_u32(exec, EXEC_SIZE, 0);
	return decode_all(d, qeff_fb_vector_of(exec, EXEC_FIELD_LIST), sizeof(*md->exec_fields),
			  decode_exec_field, &md->num_exec_fields, &md->exec_fields);
}

/* Copies one run of the image to where its region says; @from_offset counts the bytes used. */
static int place_region(struct qeff_fb_table region, struct qeff_fb_vector image, uint8_t *to,
			uint32_t to_bytes, uint64_t *from_offset, struct qeff_error *err)
{
	uint64_t start = qeff_fb_u64(region, REGION_START, 0),
		 end = qeff_fb_u64(region, REGION_END, 0);
	uint64_t size = qeff_fb_u64(region, REGION_SIZE, 0);

	if (start > end || size != end - start || end > to_bytes ||
	    !qeff_range_valid(*from_offset, size, image.count))
		return qeff_error_set(
			err, -EINVAL,
			"L2TCMInitStateNonZeroRegions: [%llu, %llu) of size %llu in %u bytes, %llu of %u "
			"stored ones used",
			(unsigned long long)start, (unsigned long long)end,
			(unsigned long long)size, to_bytes, (unsigned long long)*from_offset,
			image.count);
	memcpy(to + start, image.at + *from_offset, (size_t)size);
	*from_offset += size;
	return 0;
}

/*
 * The image is stored whole, or, if the regions that are not zero are listed and it is shorter than
 * its stated size, without its zero runs.
 */
static int decode_l2tcm_image(struct decoder *d, struct qeff_fb_table root,
			      struct qeff_metadata *md)
{
	struct qeff_fb_vector image = qeff_fb_vector_of(root, MD_L2TCM_INIT);
	struct qeff_fb_vector regions = qeff_fb_vector_of(root, MD_L2TCM_REGIONS);
	uint32_t size = qeff_fb_u32(root, MD_L2TCM_INIT_SIZE, 0);
	uint64_t used = 0;
	uint8_t *to;
	int ret = 0;

	if (size > QEFF_MD_L2TCM_BYTES)
		return qeff_error_set(d->err, -EINVAL, "L2TCMInitSize: %u, but L2TCM has %u bytes",
				      size, QEFF_MD_L2TCM_BYTES);
	if (image.count != size && (image.count > size || !regions.count))
		return qeff_error_set(d->err, -EINVAL,
				      "L2TCMInitState: expected %u bytes, found %u", size,
				      image.count);
	to = qeff_md_alloc(d->arena, size, 1, d->err);
	if (!to)
		return d->err->code;
	if (image.count == size && size)
		memcpy(to, image.at, size);
	for (uint32_t i = 0; image.count != size && i < regions.count && !ret; i++)
		ret = place_region(qeff_fb_table_at(regions, i), image, to, size, &used, d->err);
	if (ret)
		return ret;
	md->l2tcm_init = to;
	md->l2tcm_init_bytes = size;
	return 0;
}

static int decode_ports(struct decoder *d, struct qeff_fb_table root, struct qeff_metadata *md)
{
	struct qeff_fb_vector from = qeff_fb_vector_of(root, MD_PORTS);
	struct qeff_md_port *to = qeff_md_alloc(d->arena, from.count, sizeof(*to), d->err);

	if (!to)
		return d->err->code;
	for (uint32_t i = 0; i < from.count; i++)
		to[i] = (struct qeff_md_port){ qeff_get_u16(from.at + 4 * (size_t)i),
					       (int8_t)from.at[4 * (size_t)i + 2] };
	md->ports = to;
	md->num_ports = from.count;
	return 0;
}

static int decode_semaphores(struct decoder *d, struct qeff_fb_table root, struct qeff_metadata *md)
{
	struct qeff_fb_vector from = qeff_fb_vector_of(root, MD_SEMAPHORE_INIT);
	uint32_t *to;

	md->num_semaphores = qeff_fb_u16(root, MD_NUM_SEMAPHORES, 0);
	if (from.count != md->num_semaphores)
		return qeff_error_set(d->err, -EINVAL,
				      "semaphoreInitState: expected %u values, found %u",
				      md->num_semaphores, from.count);
	to = qeff_md_alloc(d->arena, from.count, sizeof(*to), d->err);
	if (!to)
		return d->err->code;
	if (from.count)
		memcpy(to, from.at, from.count * sizeof(*to));
	md->semaphore_init = to;
	return 0;
}

static int decode_names(struct decoder *d, struct qeff_fb_table root, struct qeff_metadata *md)
{
	struct qeff_fb_vector name = qeff_fb_vector_of(root, MD_NETWORK_NAME);
	struct qeff_fb_vector required = qeff_fb_vector_of(root, MD_REQUIRED_FIELDS);
	const char **to;

	md->network_name = qeff_md_text(d->arena, name.at, name.count, "networkName", d->err);
	to = qeff_md_alloc(d->arena, required.count, sizeof(*to), d->err);
	if (!md->network_name || !to)
		return d->err->code;
	for (uint32_t i = 0; i < required.count; i++) {
		struct qeff_fb_vector field = qeff_fb_string_at(required, i);

		to[i] = qeff_md_text(d->arena, field.at, field.count, "requiredFields", d->err);
		if (!to[i])
			return d->err->code;
	}
	md->required_fields = to;
	md->num_required_fields = required.count;
	return 0;
}

static void decode_scalars(struct qeff_fb_table root, struct qeff_metadata *md)
{
	md->version_major = qeff_fb_u16(root, MD_VERSION_MAJOR, 0);
	md->version_minor = qeff_fb_u16(root, MD_VERSION_MINOR, 0);
	md->num_nsps = qeff_fb_u16(root, MD_NUM_NSPS, 0);
	md->static_shared_ddr_bytes = qeff_fb_u64(root, MD_STATIC_SHARED_DDR, 0);
	md->dynamic_shared_ddr_bytes = qeff_fb_u64(root, MD_DYNAMIC_SHARED_DDR, 0);
	md->static_constants_bytes = qeff_fb_u64(root, MD_STATIC_CONSTANTS, 0);
	md->dynamic_constants_bytes = qeff_fb_u64(root, MD_DYNAMIC_CONSTANTS, 0);
	md->exit_doorbell_offset = qeff_fb_u64(root, MD_EXIT_DOORBELL, 0);
	md->network_heap_bytes = qeff_fb_u64(root, MD_NETWORK_HEAP, 0);
	md->l2_cached_ddr_bytes = qeff_fb_u32(root, MD_L2_CACHED_DDR, 0);
	md->vtcm_bytes = qeff_fb_u32(root, MD_VTCM_SIZE, 0);
	md->l2tcm_bytes = qeff_fb_u32(root, MD_L2TCM_SIZE, 0);
	md->exec_context_major = qeff_fb_u16(root, MD_EXEC_CONTEXT_MAJOR, 0);
	md->hw_version_major = qeff_fb_u8(root, MD_HW_VERSION_MAJOR, 0);
	md->hw_version_minor = qeff_fb_u8(root, MD_HW_VERSION_MINOR, 0);
	md->static_shared_ecc = qeff_fb_u8(root, MD_STATIC_SHARED_ECC, 0);
	md->dynamic_shared_ecc = qeff_fb_u8(root, MD_DYNAMIC_SHARED_ECC, 0);
	md->static_constants_ecc = qeff_fb_u8(root, MD_STATIC_CONSTANTS_ECC, 0);
	md->dynamic_constants_ecc = qeff_fb_u8(root, MD_DYNAMIC_CONSTANTS_ECC, 0);
	md->single_vtcm_page = qeff_fb_u8(root, MD_SINGLE_VTCM_PAGE, 0);
	md->has_hvx_fp = qeff_fb_u8(root, MD_HAS_HVX_FP, 0);
	md->has_hmx_fp = qeff_fb_u8(root, MD_HAS_HMX_FP, 0);
	md->dynamic_shared_ddr_supported = qeff_fb_u8(root, MD_DYNAMIC_SHARED_SUPPORTED, 0);
}

int qeff_md_parse_flat(const uint8_t *data, size_t size_bytes, struct qeff_md_arena *arena,
		       struct qeff_metadata *md, struct qeff_error *err)
{
	struct decoder d = { arena, err };
	struct qeff_fb_table root;
	int ret = qeff_fb_verify(data, size_bytes, &qeff_md_schema, err);

	if (ret)
		return ret;
	root = qeff_fb_root(data);
	decode_scalars(root, md);
	ret = decode_names(&d, root, md);
	if (!ret)
		ret = decode_semaphores(&d, root, md);
	if (!ret)
		ret = decode_l2tcm_image(&d, root, md);
	if (!ret)
		ret = decode_tables(&d, root, md);
	if (!ret)
		ret = decode_ports(&d, root, md);
	if (!ret)
		ret = decode_exec_context(&d, root, md);
	return ret;
}
