/* SPDX-License-Identifier: MIT */
/*
 * Writing the network descriptor: the tables of <qeff/qpc.h> become protobuf messages, and the
 * packed bytes are read back by the parser, so that nothing leaves here that would be refused
 * later.
 */
#include "qpc/netdesc.h"

#include "networkdesc.pb-c.h"

#include <stdlib.h>

/* The messages of one binding. */
struct io_messages {
	Aicnwdesc__IOBinding binding;
	Aicnwdesc__IODescriptor shape;
	Aicnwdesc__Transform transform;
	Aicnwdesc__Transform *transforms[1];
	Aicnwdesc__Transform__CopyDMABuffer copy;
};

/* The messages of one descriptor, with the arrays of pointers that protobuf-c wants beside them. */
struct messages {
	Aicnwdesc__NetworkDescriptor root;
	Aicnwdesc__Stats stats;
	struct io_messages *ios;
	Aicnwdesc__IOBinding **io_list;
	Aicnwdesc__DMABuffer *buffers;
	Aicnwdesc__DMABuffer **buffer_list;
	Aicnwdesc__TensorShape *shapes;
	Aicnwdesc__TensorShape **shape_list;
	Aicnwdesc__IOShapes *allowed;
	Aicnwdesc__IOShapes **allowed_list;
};

static void free_messages(struct messages *m)
{
	free(m->ios);
	free(m->io_list);
	free(m->buffers);
	free(m->buffer_list);
	free(m->shapes);
	free(m->shape_list);
	free(m->allowed);
	free(m->allowed_list);
}

static bool allocate_messages(struct messages *m, size_t bindings, size_t buffers, size_t allowed)
{
	size_t shapes = allowed * bindings;

	/* one more of each: an array is never empty */
	m->ios = calloc(bindings + 1, sizeof(*m->ios));
	m->io_list = calloc(bindings + 1, sizeof(*m->io_list));
	m->buffers = calloc(buffers + 1, sizeof(*m->buffers));
	m->buffer_list = calloc(buffers + 1, sizeof(*m->buffer_list));
	m->shapes = calloc(shapes + 1, sizeof(*m->shapes));
	m->shape_list = calloc(shapes + 1, sizeof(*m->shape_list));
	m->allowed = calloc(allowed + 1, sizeof(*m->allowed));
	m->allowed_list = calloc(allowed + 1, sizeof(*m->allowed_list));
	return m->ios && m->io_list && m->buffers && m->buffer_list && m->shapes && m->shape_list &&
	       m->allowed && m->allowed_list;
}

static void fill_io(struct io_messages *io, const struct qeff_binding *b)
{
	aicnwdesc__iobinding__init(&io->binding);
	aicnwdesc__iodescriptor__init(&io->shape);
	io->shape.type = (Aicnwdesc__DataType)b->shape.type;
	io->shape.qscale = b->scale;
	io->shape.qoffset = b->offset;
	io->shape.n_dims = b->shape.num_dims;
	io->shape.dims = (int32_t *)b->shape.dims;
	io->binding.name = (char *)b->name;
	io->binding.io_initial = &io->shape;
	io->binding.io_transformed = &io->shape;
	io->binding.is_partial_allowed = b->is_partial;
	io->binding.align = b->alignment ? b->alignment : qeff_type_size_bytes(b->shape.type);
	if (b->is_retained)
		return;
	aicnwdesc__transform__copy_dmabuffer__init(&io->copy);
	io->copy.dir = b->is_output ? AICNWDESC__DIRECTION__OUT : AICNWDESC__DIRECTION__IN;
	io->copy.offset = b->dma_offset;
	io->copy.buffer_num = b->dma_buffer;
	aicnwdesc__transform__init(&io->transform);
	io->transform.kind = AICNWDESC__TRANSFORM_KIND__COPY_DMA_BUFFER;
	io->transform.type = io->shape.type;
	io->transform.scale = 1.0f;
	io->transform.copy_dma_buffer = &io->copy;
	io->transforms[0] = &io->transform;
	io->binding.n_transformseq = 1;
	io->binding.transformseq = io->transforms;
}

static void fill_allowed(struct messages *m, const struct qeff_network *network, size_t allowed)
{
	uint32_t bindings = qeff_network_num_bindings(network);

	for (size_t s = 0; s < allowed; s++) {
		aicnwdesc__ioshapes__init(&m->allowed[s]);
		m->allowed[s].n_shapes = bindings;
		m->allowed[s].shapes = &m->shape_list[s * bindings];
		m->allowed_list[s] = &m->allowed[s];
		for (uint32_t b = 0; b < bindings; b++) {
			const struct qeff_shape *from = qeff_network_shape(network, (uint32_t)s, b);
			Aicnwdesc__TensorShape *to = &m->shapes[s * bindings + b];

			aicnwdesc__tensor_shape__init(to);
			to->type = (Aicnwdesc__DataType)from->type;
			to->n_dims = from->num_dims;
			to->dims = (int32_t *)from->dims;
			m->shape_list[s * bindings + b] = to;
		}
	}
}

static void fill_root(struct messages *m, const struct qeff_network *network, size_t allowed)
{
	uint32_t bindings = qeff_network_num_bindings(network);
	Aicnwdesc__NetworkDescriptor *root = &m->root;

	aicnwdesc__network_descriptor__init(root);
	root->major_version = network->version_major;
	root->minor_version = network->version_minor;
	if (!root->major_version && !root->minor_version) {
		root->major_version = QEFF_NETDESC_VERSION_MAJOR;
		root->minor_version = QEFF_NETDESC_VERSION_MINOR;
	}
	if (network->name)
		root->network_name = (char *)network->name;
	for (uint32_t i = 0; i < bindings; i++) {
		fill_io(&m->ios[i], &network->bindings[i]);
		m->io_list[i] = &m->ios[i].binding;
	}
	root->n_inputs = network->num_inputs;
	root->inputs = m->io_list;
	root->n_outputs = network->num_outputs;
	root->outputs = m->io_list + network->num_inputs;
	for (uint32_t i = 0; i < network->num_dma_buffers; i++) {
		aicnwdesc__dmabuffer__init(&m->buffers[i]);
		m->buffers[i].size = network->dma_buffers[i].size_bytes;
		m->buffers[i].dir = network->dma_buffers[i].is_output ? AICNWDESC__DIRECTION__OUT
								      : AICNWDESC__DIRECTION__IN;
		m->buffer_list[i] = &m->buffers[i];
	}
	root->n_dma_buffers = network->num_dma_buffers;
	root->dma_buffers = m->buffer_list;
	root->num_cores = network->num_nsps;
	root->num_threads = network->num_threads;
	root->batch_size = network->batch_size;
	if (network->stats_buffer != QEFF_NO_DMA_BUFFER) {
		aicnwdesc__stats__init(&m->stats);
		m->stats.buff_num = network->stats_buffer;
		root->stats = &m->stats;
	}
	fill_allowed(m, network, allowed);
	root->n_allowed_shapes = allowed;
	root->allowed_shapes = m->allowed_list;
}

int qeff_netdesc_write(const struct qeff_network *network, struct qeff_bytes *out,
		       struct qeff_error *err)
{
	size_t allowed = network->num_specialisations > 1 ? network->num_specialisations : 0;
	struct messages m = { 0 };
	struct qeff_netdesc *check;
	size_t size_bytes;
	void *packed = NULL;
	int ret;

	for (uint32_t i = 0; i < qeff_network_num_bindings(network); i++)
		if (network->bindings[i].needs_host_transform)
			return qeff_error_set(
				err, -ENOTSUP,
				"network descriptor: \"%.64s\" wants a host transform, which cannot be "
				"written",
				network->bindings[i].name);
	if (network->stats_buffer != QEFF_NO_DMA_BUFFER &&
	    (network->stats_buffer >= network->num_dma_buffers ||
	     !network->dma_buffers[network->stats_buffer].is_output))
		return qeff_error_set(
			err, -EINVAL,
			"network descriptor: stats in DMA buffer %u, which is not an output",
			network->stats_buffer);
	if (!allocate_messages(&m, qeff_network_num_bindings(network), network->num_dma_buffers,
			       allowed))
		goto no_memory;
	fill_root(&m, network, allowed);
	size_bytes = aicnwdesc__network_descriptor__get_packed_size(&m.root);
	packed = malloc(size_bytes ? size_bytes : 1);
	if (!packed)
		goto no_memory;
	aicnwdesc__network_descriptor__pack(&m.root, packed);
	ret = qeff_netdesc_parse(packed, size_bytes, &check, err);
	if (ret)
		goto out;
	qeff_netdesc_free(check);
	qeff_bytes_append(out, packed, size_bytes);
	if (!out->failed)
		goto out;
no_memory:
	ret = qeff_error_set(err, -ENOMEM, "network descriptor: out of memory");
out:
	free(packed);
	free_messages(&m);
	return ret;
}
