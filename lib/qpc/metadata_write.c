/* SPDX-License-Identifier: MIT */
/*
 * Encoding program metadata as a flatbuffer behind the terminator. Every scalar is stored, defaults
 * too, as other producers do: a reader in firmware then meets the same slots whatever the program.
 */
#include "qpc/metadata.h"

#include "qpc/metadata_schema.h"

#include <string.h>

static const uint8_t terminator[8] = { 1 };

/* What any reader has to know, in any package. */
static const char required_list[] = "AicMetadataFlat_Metadata->requiredFields";
static const char required_name[] = "AicMetadataFlat_Metadata->networkName";
static const char required_exec[] = "AicMetadataFlat_Metadata->execContext";
static const char required_dynamic[] = "AicMetadataFlat_Metadata->dynamicSharedDDRSupported";

/* Zero runs longer than this separate two regions of the L2TCM image. */
#define REGION_GAP_BYTES 128

/* A table being filled: fields are named by slot, their width is the schema's. */
struct table {
	struct qeff_fb_writer *w;
	const struct qeff_fb_schema *schema;
	size_t at;
};

static struct table begin(struct qeff_fb_writer *w, const struct qeff_fb_schema *schema,
			  uint64_t present)
{
	return (struct table){ w, schema, qeff_fb_write_table(w, schema, present) };
}

/* A table with every field. */
static struct table begin_full(struct qeff_fb_writer *w, const struct qeff_fb_schema *schema)
{
	return begin(w, schema, QEFF_FB_PRESENT(schema->num_fields) - 1);
}

static void put(const struct table *t, unsigned int slot, uint64_t value)
{
	static const size_t bytes[] = {
		[QEFF_FB_U8] = 1, [QEFF_FB_U16] = 2, [QEFF_FB_U32] = 4, [QEFF_FB_U64] = 8
	};

	qeff_fb_put(t->w, qeff_fb_field_at(t->w, t->at, slot), value,
		    bytes[t->schema->fields[slot].kind]);
}

static void link_field(const struct table *t, unsigned int slot, size_t target)
{
	qeff_fb_link(t->w, qeff_fb_field_at(t->w, t->at, slot), target);
}

/* Hangs a vector of @count tables or strings on a field; element i is then linked to what comes. */
static size_t list(const struct table *t, unsigned int slot, uint32_t count)
{
	size_t vector = qeff_fb_write_vector(t->w, count, 4);

	link_field(t, slot, vector);
	return vector;
}

static void link_element(struct qeff_fb_writer *w, size_t vector, uint32_t index, size_t target)
{
	qeff_fb_link(w, qeff_fb_element_at(vector, index, 4), target);
}

static void write_sem(struct qeff_fb_writer *w, size_t vector, uint32_t i,
		      const struct qeff_md_semaphore_op *op)
{
	struct table t = begin_full(w, &qeff_md_sem_schema);

	link_element(w, vector, i, t.at);
	put(&t, SEM_NUM, op->semaphore);
	put(&t, SEM_VALUE, op->value);
	put(&t, SEM_OP, op->op);
	put(&t, SEM_PRE, op->pre);
	put(&t, SEM_IN_FENCE, op->in_fence);
	put(&t, SEM_OUT_FENCE, op->out_fence);
}

static void write_bell(struct qeff_fb_writer *w, size_t vector, uint32_t i,
		       const struct qeff_md_doorbell_op *op)
{
	struct table t = begin_full(w, &qeff_md_bell_schema);

	link_element(w, vector, i, t.at);
	put(&t, BELL_OFFSET, op->offset);
	put(&t, BELL_DATA, op->data);
	put(&t, BELL_MULTICAST_ID, op->multicast_id);
	put(&t, BELL_SIZE, op->size_code);
}

/* Every field of the schema but those in @absent. */
static uint64_t all_but(const struct qeff_fb_schema *schema, uint64_t absent)
{
	return (QEFF_FB_PRESENT(schema->num_fields) - 1) & ~absent;
}

static void write_dma(struct qeff_fb_writer *w, size_t vector, uint32_t i,
		      const struct qeff_md_dma_request *r)
{
	uint64_t absent = (r->num_semaphore_ops ? 0 : QEFF_FB_PRESENT(DMA_SEMAPHORE_OPS)) |
			  (r->num_doorbell_ops ? 0 : QEFF_FB_PRESENT(DMA_DOORBELL_OPS));
	struct table t = begin(w, &qeff_md_dma_schema, all_but(&qeff_md_dma_schema, absent));
	size_t ops;

	link_element(w, vector, i, t.at);
	put(&t, DMA_HOST_OFFSET, r->host_offset);
	put(&t, DMA_DEVICE_OFFSET, r->device_offset);
	put(&t, DMA_SIZE, r->size_bytes);
	put(&t, DMA_NUM, r->buffer);
	put(&t, DMA_MULTICAST_ID, r->multicast_id);
	put(&t, DMA_DEVICE_SPACE, r->device_space);
	put(&t, DMA_DIRECTION, r->direction);
	put(&t, DMA_PORT, r->port);
	put(&t, DMA_TRANSACTION, r->transaction);
	if (r->num_semaphore_ops) {
		ops = list(&t, DMA_SEMAPHORE_OPS, r->num_semaphore_ops);
		for (uint32_t k = 0; k < r->num_semaphore_ops; k++)
			write_sem(w, ops, k, &r->semaphore_ops[k]);
	}
	if (r->num_doorbell_ops) {
		ops = list(&t, DMA_DOORBELL_OPS, r->num_doorbell_ops);
		for (uint32_t k = 0; k < r->num_doorbell_ops; k++)
			write_bell(w, ops, k, &r->doorbell_ops[k]);
	}
}

static void write_nsp_tables(const struct table *root, const struct qeff_metadata *md)
{
	struct qeff_fb_writer *w = root->w;
	size_t tables = list(root, MD_NSP_MULTICAST, md->num_nsp_multicast);

	for (uint32_t n = 0; n < md->num_nsp_multicast; n++) {
		const struct qeff_md_nsp_multicast_table *from = &md->nsp_multicast[n];
		struct table t = begin_full(w, &qeff_md_nsp_table_schema);
		size_t entries = list(&t, ONLY_FIELD, from->num_entries);

		link_element(w, tables, n, t.at);
		for (uint32_t i = 0; i < from->num_entries; i++) {
			struct table e = begin_full(w, &qeff_md_nsp_mc_schema);

			link_element(w, entries, i, e.at);
			put(&e, NSP_MC_BASE, from->entries[i].base_offset);
			put(&e, NSP_MC_MASK, from->entries[i].nsp_mask);
			put(&e, NSP_MC_SIZE, from->entries[i].size_bytes);
			put(&e, NSP_MC_SPACE, from->entries[i].space);
			put(&e, NSP_MC_DYNAMIC, from->entries[i].dynamic);
		}
	}
}

static void write_host_table(const struct table *root, const struct qeff_metadata *md)
{
	struct qeff_fb_writer *w = root->w;
	struct table t = begin_full(w, &qeff_md_host_table_schema);
	size_t entries = list(&t, ONLY_FIELD, md->num_host_multicast);

	link_field(root, MD_HOST_MULTICAST, t.at);
	for (uint32_t i = 0; i < md->num_host_multicast; i++) {
		struct table e = begin_full(w, &qeff_md_host_mc_schema);

		link_element(w, entries, i, e.at);
		put(&e, HOST_MC_MASK, md->host_multicast[i].nsp_mask);
		put(&e, HOST_MC_SIZE, md->host_multicast[i].size_bytes);
	}
}

static void write_threads(const struct table *root, const struct qeff_metadata *md)
{
	size_t vector = list(root, MD_THREADS, md->num_threads);

	for (uint32_t i = 0; i < md->num_threads; i++) {
		struct table t = begin_full(root->w, &qeff_md_thread_schema);

		link_element(root->w, vector, i, t.at);
		put(&t, THREAD_ENTRY, md->threads[i].entry_point);
		put(&t, THREAD_TYPE, md->threads[i].type_mask);
	}
}

static void write_mappings(const struct table *root, const struct qeff_metadata *md)
{
	size_t vector = list(root, MD_CONSTANT_MAPPINGS, md->num_constant_mappings);

	for (uint32_t i = 0; i < md->num_constant_mappings; i++) {
		struct table t = begin_full(root->w, &qeff_md_map_schema);

		link_element(root->w, vector, i, t.at);
		put(&t, MAP_OFFSET, md->constant_mappings[i].offset);
		put(&t, MAP_MASK, md->constant_mappings[i].nsp_mask);
		put(&t, MAP_SIZE, md->constant_mappings[i].size_bytes);
	}
}

/* The next run of the image from *@end on that holds no long run of zeros; false if there is none.
 */
static bool next_region(const struct qeff_metadata *md, size_t *start, size_t *end)
{
	const uint8_t *image = md->l2tcm_init;
	size_t zeros = 0, at = *end;

	while (at < md->l2tcm_init_bytes && !image[at])
		at++;
	if (at == md->l2tcm_init_bytes)
		return false;
	*start = at;
	for (; at < md->l2tcm_init_bytes && zeros <= REGION_GAP_BYTES; at++)
		zeros = image[at] ? 0 : zeros + 1;
	*end = at - zeros;
	return true;
}

/* The image is stored whole; its regions are listed for firmware that copies only those. */
static void write_l2tcm_image(const struct table *root, const struct qeff_metadata *md)
{
	struct qeff_fb_writer *w = root->w;
	size_t start, end = 0, vector;
	uint32_t count = 0;

	vector = qeff_fb_write_vector(w, md->l2tcm_init_bytes, 1);
	link_field(root, MD_L2TCM_INIT, vector);
	if (!w->out->failed)
		memcpy(w->out->data + w->start + qeff_fb_element_at(vector, 0, 1), md->l2tcm_init,
		       md->l2tcm_init_bytes);
	while (next_region(md, &start, &end))
		count++;
	vector = list(root, MD_L2TCM_REGIONS, count);
	end = 0;
	for (uint32_t i = 0; next_region(md, &start, &end); i++) {
		struct table t = begin_full(w, &qeff_md_region_schema);

		link_element(w, vector, i, t.at);
		put(&t, REGION_START, start);
		put(&t, REGION_END, end);
		put(&t, REGION_SIZE, end - start);
	}
}

static void write_required(const struct table *root, const struct qeff_metadata *md)
{
	const char *own[4];
	uint32_t num_own = 0;
	size_t vector;

	own[num_own++] = required_list;
	own[num_own++] = required_name;
	if (md->num_exec_fields)
		own[num_own++] = required_exec;
	if (md->dynamic_shared_ddr_supported)
		own[num_own++] = required_dynamic;
	vector = list(root, MD_REQUIRED_FIELDS, num_own + md->num_required_fields);
	for (uint32_t i = 0; i < num_own; i++)
		link_element(root->w, vector, i, qeff_fb_write_string(root->w, own[i]));
	for (uint32_t i = 0; i < md->num_required_fields; i++)
		link_element(root->w, vector, num_own + i,
			     qeff_fb_write_string(root->w, md->required_fields[i]));
}

static void write_semaphores(const struct table *root, const struct qeff_metadata *md)
{
	size_t vector = list(root, MD_SEMAPHORE_INIT, md->num_semaphores);

	for (uint32_t i = 0; i < md->num_semaphores; i++)
		qeff_fb_put(root->w, qeff_fb_element_at(vector, i, 4), md->semaphore_init[i], 4);
}

static void write_ports(const struct table *root, const struct qeff_metadata *md)
{
	size_t vector = list(root, MD_PORTS, md->num_ports);

	for (uint32_t i = 0; i < md->num_ports; i++)
		qeff_fb_put(root->w, qeff_fb_element_at(vector, i, 4),
			    md->ports[i].id | (uint32_t)(uint8_t)md->ports[i].type << 16, 4);
}

/* A flatbuffer of its own, so that firmware can read it where it lies: 8-byte aligned. */
static void write_exec_context(const struct table *root, const struct qeff_metadata *md)
{
	struct qeff_bytes nested = { 0 };
	struct qeff_fb_writer w;
	struct table t;
	size_t vector;

	qeff_fb_write_begin(&w, &nested);
	t = begin_full(&w, &qeff_md_exec_schema);
	qeff_fb_link(&w, 0, t.at);
	put(&t, EXEC_SIZE, md->exec_context_bytes);
	vector = list(&t, EXEC_FIELD_LIST, md->num_exec_fields);
	for (uint32_t i = 0; i < md->num_exec_fields; i++) {
		struct table f = begin_full(&w, &qeff_md_exec_field_schema);

		link_element(&w, vector, i, f.at);
		put(&f, EXEC_VARIABLE, md->exec_fields[i].variable);
		put(&f, EXEC_VARIABLE_SIZE, md->exec_fields[i].size_bytes);
		put(&f, EXEC_OFFSET, md->exec_fields[i].offset);
		put(&f, EXEC_OPTIONAL, md->exec_fields[i].optional);
	}
	qeff_bytes_align(root->w->out, 8);
	qeff_bytes_append(root->w->out, NULL, 4);
	vector = qeff_fb_write_vector(root->w, (uint32_t)nested.size_bytes, 1);
	link_field(root, MD_EXEC_CONTEXT, vector);
	if (nested.failed)
		root->w->out->failed = true;
	if (!root->w->out->failed)
		memcpy(root->w->out->data + root->w->start + qeff_fb_element_at(vector, 0, 1),
		       nested.data, nested.size_bytes);
	qeff_bytes_free(&nested);
}

static void put_scalars(const struct table *root, const struct qeff_metadata *md)
{
	const struct {
		unsigned int slot;
		uint64_t value;
	} scalars[] = {
		{ MD_VERSION_MAJOR, md->version_major },
		{ MD_VERSION_MINOR, md->version_minor },
		{ MD_STATIC_SHARED_DDR, md->static_shared_ddr_bytes },
		{ MD_DYNAMIC_SHARED_DDR, md->dynamic_shared_ddr_bytes },
		{ MD_STATIC_CONSTANTS, md->static_constants_bytes },
		{ MD_DYNAMIC_CONSTANTS, md->dynamic_constants_bytes },
		{ MD_EXIT_DOORBELL, md->exit_doorbell_offset },
		{ MD_L2_CACHED_DDR, md->l2_cached_ddr_bytes },
		{ MD_L2TCM_INIT_SIZE, md->l2tcm_init_bytes },
		{ MD_EXEC_CONTEXT_MAJOR, md->exec_context_major },
		{ MD_NUM_NSPS, md->num_nsps },
		{ MD_NUM_SEMAPHORES, md->num_semaphores },
		{ MD_HW_VERSION_MAJOR, md->hw_version_major },
		{ MD_HW_VERSION_MINOR, md->hw_version_minor },
		{ MD_STATIC_SHARED_ECC, md->static_shared_ecc },
		{ MD_DYNAMIC_SHARED_ECC, md->dynamic_shared_ecc },
		{ MD_STATIC_CONSTANTS_ECC, md->static_constants_ecc },
		{ MD_DYNAMIC_CONSTANTS_ECC, md->dynamic_constants_ecc },
		{ MD_SINGLE_VTCM_PAGE, md->single_vtcm_page },
		{ MD_HAS_HVX_FP, md->has_hvx_fp },
		{ MD_HAS_HMX_FP, md->has_hmx_fp },
		{ MD_VTCM_SIZE, md->vtcm_bytes },
		{ MD_L2TCM_SIZE, md->l2tcm_bytes },
		{ MD_NETWORK_HEAP, md->network_heap_bytes },
		{ MD_DYNAMIC_SHARED_SUPPORTED, md->dynamic_shared_ddr_supported },
	};

	for (size_t i = 0; i < sizeof(scalars) / sizeof(scalars[0]); i++)
		put(root, scalars[i].slot, scalars[i].value);
}

/* Fields that other producers leave out when there is nothing in them. */
static uint64_t absent_fields(const struct qeff_metadata *md)
{
	const struct {
		unsigned int slot;
		uint32_t count;
	} lists[] = {
		{ MD_SEMAPHORE_INIT, md->num_semaphores },
		{ MD_L2TCM_INIT, md->l2tcm_init_bytes },
		{ MD_L2TCM_REGIONS, md->l2tcm_init_bytes },
		{ MD_DMA_REQUESTS, md->num_dma_requests },
		{ MD_NSP_MULTICAST, md->num_nsp_multicast },
		{ MD_THREADS, md->num_threads },
		{ MD_CONSTANT_MAPPINGS, md->num_constant_mappings },
		{ MD_PORTS, md->num_ports },
		{ MD_EXEC_CONTEXT, md->num_exec_fields },
	};
	uint64_t absent = 0;

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		if (!lists[i].count)
			absent |= QEFF_FB_PRESENT(lists[i].slot);
	return absent;
}

static void write_lists(const struct table *root, const struct qeff_metadata *md)
{
	link_field(root, MD_NETWORK_NAME, qeff_fb_write_string(root->w, md->network_name));
	write_required(root, md);
	write_host_table(root, md);
	if (md->num_semaphores)
		write_semaphores(root, md);
	if (md->l2tcm_init_bytes)
		write_l2tcm_image(root, md);
	if (md->num_dma_requests) {
		size_t vector = list(root, MD_DMA_REQUESTS, md->num_dma_requests);

		for (uint32_t i = 0; i < md->num_dma_requests; i++)
			write_dma(root->w, vector, i, &md->dma_requests[i]);
	}
	if (md->num_nsp_multicast)
		write_nsp_tables(root, md);
	if (md->num_threads)
		write_threads(root, md);
	if (md->num_constant_mappings)
		write_mappings(root, md);
	if (md->num_ports)
		write_ports(root, md);
	if (md->num_exec_fields)
		write_exec_context(root, md);
}

/* Settings of other producers that this one does not use, at the values that mean so. */
static void write_fixed_tables(const struct table *root)
{
	struct table qnn = begin_full(root->w, &qeff_md_qnn_schema);
	struct table heap;

	put(&qnn, ONLY_FIELD, 1); /* constants are not cached */
	link_field(root, MD_QNN_CONFIG, qnn.at);
	heap = begin_full(root->w, &qeff_md_heap_schema);
	put(&heap, ONLY_FIELD, 1); /* freed at deactivation */
	link_field(root, MD_HEAP_BEHAVIOUR, heap.at);
}

int qeff_metadata_write(const struct qeff_metadata *metadata, struct qeff_bytes *out,
			struct qeff_error *err)
{
	struct qeff_metadata md = *metadata;
	struct qeff_fb_writer w;
	struct table root;
	size_t start;
	int ret;

	if (!md.network_name || !*md.network_name)
		md.network_name = "unnamed";
	if (!md.version_major)
		md.version_major = QEFF_METADATA_VERSION_MAJOR;
	ret = qeff_metadata_validate(&md, err);
	if (ret)
		return ret;
	qeff_bytes_align(out, 8);
	start = out->size_bytes;
	qeff_bytes_append(out, terminator, sizeof(terminator));
	qeff_fb_write_begin(&w, out);
	root = begin(&w, &qeff_md_schema, all_but(&qeff_md_schema, absent_fields(&md)));
	qeff_fb_link(&w, 0, root.at);
	put_scalars(&root, &md);
	write_lists(&root, &md);
	write_fixed_tables(&root);
	qeff_bytes_align(out, 8);
	/* room for the struct that firmware makes of it */
	put(&root, MD_RAW_STRUCT_LENGTH, 2 * (uint64_t)(out->size_bytes - start));
	if (out->failed)
		return qeff_error_set(err, -ENOMEM, "metadata: out of memory");
	return 0;
}
