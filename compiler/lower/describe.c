/* SPDX-License-Identifier: MIT */
/*
 * What a package says about itself: the network descriptor for applications, and the metadata for
 * host, control plane and card. docs/design/nsp-program.md, "Protocol on the card" and "What a
 * package of ours holds", is what this file follows.
 */
#include "lower/ir.h"

#include "qpc/image.h"
#include "qpc/metadata.h"
#include "qpc/netdesc.h"

#include <stdlib.h>

/* DMA buffers, and the requests that carry them. */
enum { INPUT_BUFFER, OUTPUT_BUFFER, BUFFERS };
enum { INPUT_SEMAPHORE, OUTPUT_SEMAPHORE, SEMAPHORES };

#define INPUT_DOORBELL	 0
#define OUTPUT_DOORBELL	 4
#define EXIT_DOORBELL	 0x460
#define DOORBELL_BYTES	 0x464
#define DOORBELL_32_BITS 2

/* Waits for @ready before the transfer; sets the semaphore back to @initial behind the data. */
static void semaphore_ops(struct qeff_md_semaphore_op ops[2], uint16_t semaphore, uint16_t ready,
			  uint16_t initial, bool input)
{
	ops[0] = (struct qeff_md_semaphore_op){
		.semaphore = semaphore,
		.value = ready,
		.op = QEFF_MD_SEM_WAIT_EQUAL,
		.pre = true,
	};
	ops[1] = (struct qeff_md_semaphore_op){
		.semaphore = semaphore,
		.value = initial,
		.op = QEFF_MD_SEM_INIT,
		.in_fence = input,
		.out_fence = !input,
	};
}

/* Ranges of the constants for @mask, no longer than a mapping can be. */
static uint32_t add_mappings(struct qeff_md_constant_mapping *mappings, uint32_t count,
			     uint64_t offset, uint64_t size, uint32_t mask)
{
	while (size) {
		uint64_t part = size < LOWER_MAPPING_BYTES ? size : LOWER_MAPPING_BYTES;

		if (mappings)
			mappings[count] = (struct qeff_md_constant_mapping){
				.offset = offset, .nsp_mask = mask, .size_bytes = (uint32_t)part
			};
		count++;
		offset += part;
		size -= part;
	}
	return count;
}

static uint32_t list_mappings(const struct qeff_lowering *l,
			      struct qeff_md_constant_mapping *mappings)
{
	uint32_t all = (1u << l->num_nsps) - 1;
	uint32_t count = add_mappings(mappings, 0, 0, l->shared_bytes, all);

	for (uint32_t nsp = 0; nsp < l->num_nsps; nsp++)
		count = add_mappings(mappings, count, l->region_offset[nsp], l->region_bytes[nsp],
				     1u << nsp);
	return count;
}

static int write_metadata(const struct qeff_lowering *l, const char *name,
			  const struct qeff_md_constant_mapping *mappings, uint32_t num_mappings,
			  struct qeff_bytes *out, struct qeff_error *err)
{
	uint16_t nsps = (uint16_t)l->num_nsps;
	uint32_t all = (1u << nsps) - 1;
	const uint32_t semaphore_init[SEMAPHORES] = { 0, nsps };
	uint8_t l2tcm[DOORBELL_BYTES] = { [OUTPUT_DOORBELL] = 1 };
	struct qeff_md_semaphore_op in_ops[2], out_ops[2];
	const struct qeff_md_doorbell_op in_doorbell = { .offset = INPUT_DOORBELL,
							 .data = 1,
							 .size_code = DOORBELL_32_BITS };
	const struct qeff_md_doorbell_op out_doorbell = { .offset = OUTPUT_DOORBELL,
							  .data = 1,
							  .size_code = DOORBELL_32_BITS };
	const struct qeff_md_dma_request requests[BUFFERS] = {
		{
			.device_offset = 0,
			.size_bytes = (uint32_t)l->in_bytes,
			.buffer = INPUT_BUFFER,
			.device_space = QEFF_MD_SPACE_DDR,
			.direction = QEFF_MD_TO_DEVICE,
			.port = QEFF_MD_PORT_USER_INPUT,
			.transaction = QEFF_MD_NO_TRANSACTION,
			.num_semaphore_ops = 2,
			.semaphore_ops = in_ops,
			.num_doorbell_ops = 1,
			.doorbell_ops = &in_doorbell,
		},
		{
			.device_offset = l->out_offset,
			.size_bytes = (uint32_t)l->out_bytes,
			.buffer = OUTPUT_BUFFER,
			.device_space = QEFF_MD_SPACE_DDR,
			.direction = QEFF_MD_FROM_DEVICE,
			.port = QEFF_MD_PORT_USER_OUTPUT,
			.transaction = QEFF_MD_NO_TRANSACTION,
			.num_semaphore_ops = 2,
			.semaphore_ops = out_ops,
			.num_doorbell_ops = 1,
			.doorbell_ops = &out_doorbell,
		},
	};
	struct qeff_md_nsp_multicast entries[QEFF_NSP_MAX_NSPS];
	struct qeff_md_nsp_multicast_table tables[QEFF_NSP_MAX_NSPS];
	const struct qeff_md_host_multicast host = { .nsp_mask = all,
						     .size_bytes = DOORBELL_BYTES };
	const struct qeff_md_thread thread = { .type_mask = QEFF_MD_THREAD_HVX };
	const struct qeff_metadata metadata = {
		.version_major = QEFF_METADATA_VERSION_MAJOR,
		.version_minor = QEFF_METADATA_VERSION_MINOR,
		.network_name = name,
		.num_nsps = nsps,
		.num_semaphores = SEMAPHORES,
		.semaphore_init = semaphore_init,
		.l2tcm_init_bytes = sizeof(l2tcm),
		.l2tcm_init = l2tcm,
		.num_dma_requests = BUFFERS,
		.dma_requests = requests,
		.num_nsp_multicast = nsps,
		.nsp_multicast = tables,
		.num_host_multicast = 1,
		.host_multicast = &host,
		.num_threads = 1,
		.threads = &thread,
		.num_constant_mappings = num_mappings,
		.constant_mappings = mappings,
		.static_shared_ddr_bytes = l->ddr_bytes,
		.static_constants_bytes = l->constants_bytes,
		.exit_doorbell_offset = EXIT_DOORBELL,
		.vtcm_bytes = QEFF_MD_VTCM_BYTES,
		.l2tcm_bytes = QEFF_MD_L2TCM_BYTES,
		.exec_context_major = QEFF_NSP_EXEC_CONTEXT_MAJOR,
		.hw_version_major = QEFF_MD_HW_VERSION_MAJOR,
		.hw_version_minor = QEFF_MD_HW_VERSION_MINOR,
		.single_vtcm_page = true,
		.has_hvx_fp = true,
	};

	semaphore_ops(in_ops, INPUT_SEMAPHORE, nsps, 0, true);
	semaphore_ops(out_ops, OUTPUT_SEMAPHORE, 0, nsps, false);
	for (uint32_t nsp = 0; nsp < nsps; nsp++) {
		entries[nsp] = (struct qeff_md_nsp_multicast){ .nsp_mask = all & ~(1u << nsp),
							       .size_bytes = DOORBELL_BYTES,
							       .space = QEFF_MD_NSP_L2TCM };
		tables[nsp] = (struct qeff_md_nsp_multicast_table){ 1, &entries[nsp] };
	}
	return qeff_metadata_write(&metadata, out, err);
}

int qeff_lower_image(const struct qeff_lowering *l, const char *name, struct qeff_bytes *image,
		     struct qeff_error *err)
{
	uint32_t count = list_mappings(l, NULL);
	struct qeff_md_constant_mapping *mappings = calloc(count, sizeof(*mappings));
	struct qeff_bytes metadata = { 0 };
	int rc;

	if (!mappings)
		return lower_no_memory(err);
	list_mappings(l, mappings);
	rc = write_metadata(l, name, mappings, count, &metadata, err);
	if (!rc)
		rc = qeff_image_write(metadata.data, metadata.size_bytes, image, err);
	qeff_bytes_free(&metadata);
	free(mappings);
	return rc;
}

/* Everything that the descriptor points to. */
struct description {
	struct qeff_binding *bindings;
	struct qeff_shape *shapes; /* [spec][binding] */
	int32_t (*dims)[LOWER_MAX_RANK];
};

static const int32_t control_dims[] = { sizeof(struct qeff_nsp_control) };

static int copy_dims(const struct lower_binding *from, uint32_t spec, int32_t dims[LOWER_MAX_RANK],
		     struct qeff_error *err)
{
	for (uint32_t i = 0; i < from->rank; i++) {
		if (from->dims[spec][i] > INT32_MAX)
			return qeff_error_set(err, -EFBIG, "%s: dimension %u is %lld", from->name,
					      i, (long long)from->dims[spec][i]);
		dims[i] = (int32_t)from->dims[spec][i];
	}
	return 0;
}

static uint64_t elements_of(const struct qeff_shape *shape)
{
	uint64_t elements = 1;

	for (uint32_t i = 0; i < shape->num_dims; i++)
		elements *= (uint64_t)shape->dims[i];
	return elements;
}

/* Types that the format has no name for are bytes: the last dimension counts them. */
static enum qeff_type element_type(uint8_t type)
{
	switch (type) {
	case QEFF_NSP_F32:
		return QEFF_TYPE_F32;
	case QEFF_NSP_F16:
		return QEFF_TYPE_F16;
	case QEFF_NSP_I32:
		return QEFF_TYPE_I32;
	case QEFF_NSP_I64:
		return QEFF_TYPE_I64;
	default:
		return QEFF_TYPE_I8;
	}
}

/* Shapes of binding @to, lowering's @from, in all specialisations; the binding itself has the
 * largest. */
static int describe_binding(const struct qeff_lowering *l, const struct lower_binding *from,
			    struct description *d, uint32_t to, struct qeff_error *err)
{
	uint32_t stride = l->num_bindings + 1;
	struct qeff_binding *binding = &d->bindings[to];

	*binding = (struct qeff_binding){
		.name = from->name,
		.is_output = from->is_output,
		.is_retained = from->state != LOWER_NONE,
		.dma_buffer = from->state != LOWER_NONE ? QEFF_NO_DMA_BUFFER
			      : from->is_output		? OUTPUT_BUFFER
							: INPUT_BUFFER,
		.dma_offset =
			from->state != LOWER_NONE
				? 0
				: (uint32_t)(from->offset - (from->is_output ? l->out_offset : 0)),
		.alignment = 1,
	};
	for (uint32_t s = 0; s < l->num_specs; s++) {
		struct qeff_shape *shape = &d->shapes[s * stride + to];
		int32_t *dims = d->dims[s * stride + to];
		int rc = copy_dims(from, s, dims, err);

		if (rc)
			return rc;
		shape->num_dims = from->rank;
		shape->type = element_type(from->type);
		if (shape->type == QEFF_TYPE_I8 && lower_type_bytes(from->type) > 1) {
			if (!from->rank)
				dims[shape->num_dims++] = 1;
			dims[shape->num_dims - 1] *= (int32_t)lower_type_bytes(from->type);
		}
		if (from->state != LOWER_NONE && l->states[from->state].type == QEFF_NSP_F16)
			shape->type = QEFF_TYPE_F16;
		/* The format knows no MXINT8: a position is so many bytes. */
		if (from->state != LOWER_NONE && l->states[from->state].type == QEFF_NSP_MXINT8) {
			shape->type = QEFF_TYPE_I8;
			dims[from->rank - 1] = (int32_t)l->states[from->state].row_bytes;
		}
		shape->dims = dims;
		if (!s || elements_of(shape) > elements_of(&binding->shape))
			binding->shape = *shape;
	}
	return 0;
}

static void describe_control(const struct qeff_lowering *l, struct description *d, uint32_t to)
{
	const struct qeff_shape shape = { .type = QEFF_TYPE_I8,
					  .num_dims = 1,
					  .dims = control_dims };

	d->bindings[to] = (struct qeff_binding){ .name = QEFF_NSP_CONTROL_NAME,
						 .shape = shape,
						 .dma_buffer = INPUT_BUFFER,
						 .alignment = 1 };
	for (uint32_t s = 0; s < l->num_specs; s++)
		d->shapes[s * (l->num_bindings + 1) + to] = shape;
}

static int write_network(const struct qeff_lowering *l, const char *name, struct description *d,
			 struct qeff_bytes *out, struct qeff_error *err)
{
	const struct qeff_dma_buffer buffers[BUFFERS] = {
		{ .size_bytes = (uint32_t)l->in_bytes },
		{ .size_bytes = (uint32_t)l->out_bytes, .is_output = true },
	};
	const struct qeff_network network = {
		.name = name,
		.num_nsps = l->num_nsps,
		.num_threads = 1,
		.batch_size = (int32_t)l->specs[0].batch,
		.num_inputs = l->num_inputs + 1,
		.num_outputs = l->num_bindings - l->num_inputs,
		.bindings = d->bindings,
		.num_dma_buffers = BUFFERS,
		.dma_buffers = buffers,
		.num_specialisations = l->num_specs,
		.specialisations = d->shapes,
		.stats_buffer = OUTPUT_BUFFER,
	};

	/* The application's inputs, the control buffer, the outputs. */
	for (uint32_t i = 0; i < l->num_bindings; i++) {
		int rc = describe_binding(l, &l->bindings[i], d, i + (i >= l->num_inputs), err);

		if (rc)
			return rc;
	}
	describe_control(l, d, l->num_inputs);
	return qeff_netdesc_write(&network, out, err);
}

int qeff_lower_network(const struct qeff_lowering *l, const char *name,
		       struct qeff_bytes *descriptor, struct qeff_error *err)
{
	size_t count = l->num_bindings + 1;
	struct description d = {
		.bindings = calloc(count, sizeof(*d.bindings)),
		.shapes = calloc(count * l->num_specs, sizeof(*d.shapes)),
		.dims = calloc(count * l->num_specs, sizeof(*d.dims)),
	};
	int rc = d.bindings && d.shapes && d.dims ? write_network(l, name, &d, descriptor, err)
						  : lower_no_memory(err);

	free(d.bindings);
	free(d.shapes);
	free(d.dims);
	return rc;
}
