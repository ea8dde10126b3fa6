/* SPDX-License-Identifier: MIT */
/*
 * Reading the network descriptor. The protobuf is unpacked within a memory budget; everything else
 * of the library sees only the tables made from it here, which hold what <qeff/qpc.h> promises.
 */
#include "qpc/netdesc.h"

#include "qpc/text.h"
#include "util/checked.h"

#include "networkdesc.pb-c.h"

#include <stdlib.h>
#include <string.h>

#define MAX_TRANSFORMS	   64
#define PARTIAL_SLOT_BYTES 8
/* A message of two bytes unpacks to about a hundred; more than that is an attack on memory. */
#define BUDGET_BASE_BYTES ((size_t)16 << 20)
#define BUDGET_FACTOR	  64
#define BUDGET_MAX_BYTES  ((size_t)512 << 20)

struct qeff_netdesc {
	struct qeff_network network;
	Aicnwdesc__NetworkDescriptor *message; /* names and dimensions point into it */
	struct qeff_binding *bindings;
	struct qeff_dma_buffer *dma_buffers;
	struct qeff_shape *shapes;
};

struct budget {
	size_t left_bytes;
	bool exceeded;
	bool no_memory;
};

static void *budget_alloc(void *user, size_t size_bytes)
{
	struct budget *budget = user;
	void *pointer;

	if (size_bytes > budget->left_bytes) {
		budget->exceeded = true;
		return NULL;
	}
	budget->left_bytes -= size_bytes;
	pointer = malloc(size_bytes);
	budget->no_memory |= !pointer;
	return pointer;
}

static void budget_free(void *user, void *pointer)
{
	free(pointer);
}

static int unpack(const void *data, size_t size_bytes, Aicnwdesc__NetworkDescriptor **message,
		  struct qeff_error *err)
{
	struct budget budget = { .left_bytes = BUDGET_MAX_BYTES };
	ProtobufCAllocator allocator = { budget_alloc, budget_free, &budget };

	if (size_bytes > QEFF_NETDESC_MAX_BYTES)
		return qeff_error_set(err, -EFBIG,
				      "network descriptor: expected at most %zu bytes, found %zu",
				      QEFF_NETDESC_MAX_BYTES, size_bytes);
	if (size_bytes < (BUDGET_MAX_BYTES - BUDGET_BASE_BYTES) / BUDGET_FACTOR)
		budget.left_bytes = BUDGET_BASE_BYTES + size_bytes * BUDGET_FACTOR;
	*message = aicnwdesc__network_descriptor__unpack(&allocator, size_bytes, data);
	if (*message)
		return 0;
	if (budget.exceeded)
		return qeff_error_set(
			err, -EFBIG,
			"network descriptor: %zu bytes that unpack to more than a descriptor needs",
			size_bytes);
	if (budget.no_memory)
		return qeff_error_set(err, -ENOMEM,
				      "network descriptor: no memory to unpack %zu bytes",
				      size_bytes);
	return qeff_error_set(err, -EINVAL,
			      "network descriptor: %zu bytes are not a valid protobuf", size_bytes);
}

int qeff_shape_size(enum qeff_type type, const int32_t *dims, uint32_t num_dims,
		    uint64_t *size_bytes, struct qeff_error *err)
{
	uint64_t size = qeff_type_size_bytes(type);

	if (!size)
		return qeff_error_set(err, -EINVAL, "unknown element type %d", (int)type);
	if (num_dims > QEFF_NETDESC_MAX_DIMS)
		return qeff_error_set(err, -EINVAL, "expected at most %d dimensions, found %u",
				      QEFF_NETDESC_MAX_DIMS, num_dims);
	for (uint32_t i = 0; i < num_dims; i++) {
		if (dims[i] < 0)
			return qeff_error_set(err, -EINVAL, "dimension %u is %d", i, (int)dims[i]);
		if (dims[i] && !qeff_mul_u64(size, (uint64_t)dims[i], &size))
			return qeff_error_set(err, -EINVAL,
					      "dimensions that multiply to more than 64 bits");
	}
	*size_bytes = size;
	return 0;
}

static int read_descriptor(const Aicnwdesc__IODescriptor *io, const char *field,
			   struct qeff_shape *shape, struct qeff_error *err)
{
	int ret;

	if (!io)
		return qeff_error_set(err, -EINVAL, "%s is missing", field);
	if ((unsigned int)io->layout > AICNWDESC__NETWORK_DESC_LAYOUT__PACKED_D4_SPATIAL_MAJOR_8X8)
		return qeff_error_set(err, -EINVAL, "%s: unknown layout %d", field,
				      (int)io->layout);
	*shape = (struct qeff_shape){
		.type = (enum qeff_type)io->type,
		.num_dims = (uint32_t)io->n_dims,
		.dims = io->dims,
	};
	if (io->n_dims > QEFF_NETDESC_MAX_DIMS)
		return qeff_error_set(err, -EINVAL, "%s: expected at most %d dimensions, found %zu",
				      field, QEFF_NETDESC_MAX_DIMS, io->n_dims);
	ret = qeff_shape_size(shape->type, shape->dims, shape->num_dims, &shape->size_bytes, err);
	return ret ? qeff_error_prefix(err, ret, "%s", field) : 0;
}

/* The CopyDMABuffer of a list: last of an input's, first of an output's; nowhere else. */
static int find_copy(const Aicnwdesc__IOBinding *io, bool is_output,
		     const Aicnwdesc__Transform__CopyDMABuffer **copy, struct qeff_error *err)
{
	size_t expected = is_output ? 0 : io->n_transformseq - 1;

	if (io->n_transformseq > MAX_TRANSFORMS)
		return qeff_error_set(err, -EINVAL, "expected at most %d transforms, found %zu",
				      MAX_TRANSFORMS, io->n_transformseq);
	for (size_t i = 0; i < io->n_transformseq; i++) {
		const Aicnwdesc__Transform *t = io->transformseq[i];
		bool is_copy = t->kind == AICNWDESC__TRANSFORM_KIND__COPY_DMA_BUFFER;

		if ((unsigned int)t->kind > AICNWDESC__TRANSFORM_KIND__COPY_DMA_BUFFER)
			return qeff_error_set(err, -EINVAL, "transform %zu: unknown kind %d", i,
					      (int)t->kind);
		if (is_copy != (i == expected))
			return qeff_error_set(
				err, -EINVAL,
				"transform %zu of %zu: the copy to or from the DMA buffer must be the %s one",
				i, io->n_transformseq, is_output ? "first" : "last");
		if (is_copy && !t->copy_dma_buffer)
			return qeff_error_set(err, -EINVAL,
					      "transform %zu: copy_dma_buffer is missing", i);
	}
	*copy = io->transformseq[expected]->copy_dma_buffer;
	return 0;
}

/* Where the binding travels, given its size on the card's side. */
static int place(const Aicnwdesc__IOBinding *io, const struct qeff_netdesc *desc,
		 struct qeff_binding *b, struct qeff_error *err)
{
	const Aicnwdesc__Transform__CopyDMABuffer *copy = NULL;
	const struct qeff_dma_buffer *buffer;
	uint64_t needed_bytes;
	int ret = find_copy(io, b->is_output, &copy, err);

	if (ret)
		return ret;
	if (copy->buffer_num >= desc->network.num_dma_buffers)
		return qeff_error_set(err, -EINVAL, "DMA buffer %u, but there are only %u",
				      copy->buffer_num, desc->network.num_dma_buffers);
	buffer = &desc->dma_buffers[copy->buffer_num];
	if (buffer->is_output != b->is_output)
		return qeff_error_set(err, -EINVAL,
				      "an %s in DMA buffer %u, which goes the other way",
				      b->is_output ? "output" : "input", copy->buffer_num);
	b->needs_host_transform = io->n_transformseq > 1;
	if (!b->needs_host_transform && b->dma_size_bytes != b->shape.size_bytes)
		return qeff_error_set(
			err, -EINVAL,
			"%llu bytes for the user and %llu for the card, but nothing but a copy between",
			(unsigned long long)b->shape.size_bytes,
			(unsigned long long)b->dma_size_bytes);
	/* A partial input is packed at run time; what is placed is the slot that says where. */
	needed_bytes = b->is_partial ? PARTIAL_SLOT_BYTES : b->dma_size_bytes;
	if (!qeff_range_valid(copy->offset, needed_bytes, buffer->size_bytes) ||
	    (b->is_partial && b->dma_size_bytes > buffer->size_bytes - PARTIAL_SLOT_BYTES))
		return qeff_error_set(
			err, -EINVAL,
			"%llu bytes at offset %u of DMA buffer %u, which has %u bytes",
			(unsigned long long)b->dma_size_bytes, copy->offset, copy->buffer_num,
			buffer->size_bytes);
	b->dma_buffer = copy->buffer_num;
	b->dma_offset = copy->offset;
	return 0;
}

static int read_name(const char *name, struct qeff_error *err)
{
	size_t length = strlen(name);

	if (!length || length > QEFF_NETDESC_MAX_NAME_BYTES || !qeff_text_valid(name, length))
		return qeff_error_set(
			err, -EINVAL,
			"expected a name of 1 to %d bytes of UTF-8 without control characters",
			QEFF_NETDESC_MAX_NAME_BYTES);
	return 0;
}

static int read_binding(const Aicnwdesc__IOBinding *io, bool is_output,
			const struct qeff_netdesc *desc, struct qeff_binding *b,
			struct qeff_error *err)
{
	const Aicnwdesc__IODescriptor *user = is_output ? io->io_transformed : io->io_initial;
	const Aicnwdesc__IODescriptor *card = is_output ? io->io_initial : io->io_transformed;
	const char *user_field = is_output ? "io_transformed" : "io_initial";
	const char *card_field = is_output ? "io_initial" : "io_transformed";
	struct qeff_shape card_shape;
	int ret = read_name(io->name, err);

	if (ret)
		return ret;
	*b = (struct qeff_binding){
		.name = io->name,
		.is_output = is_output,
		.is_retained = io->n_transformseq == 0,
		.is_partial = io->is_partial_allowed,
		.dma_buffer = QEFF_NO_DMA_BUFFER,
		.alignment = io->align ? io->align : 1,
	};
	ret = read_descriptor(user, user_field, &b->shape, err);
	if (ret)
		return ret;
	b->scale = user->qscale;
	b->offset = user->qoffset;
	if (b->alignment & (b->alignment - 1))
		return qeff_error_set(err, -EINVAL, "align is %u, not a power of two",
				      b->alignment);
	if (b->is_partial && (is_output || b->shape.num_dims > 1))
		return qeff_error_set(
			err, -EINVAL,
			"only an input of one dimension can be partial, not an %s of %u",
			is_output ? "output" : "input", b->shape.num_dims);
	if (b->is_retained)
		return 0;
	ret = read_descriptor(card, card_field, &card_shape, err);
	if (ret)
		return ret;
	b->dma_size_bytes = card_shape.size_bytes;
	return place(io, desc, b, err);
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int check_unique(const struct qeff_binding *bindings, uint32_t count, const char *what,
			struct qeff_error *err)
{
	const char **names = calloc(count ? count : 1, sizeof(*names));
	int ret = 0;

	if (!names)
		return qeff_error_set(err, -ENOMEM, "network descriptor: out of memory");
	for (uint32_t i = 0; i < count; i++)
		names[i] = bindings[i].name;
	qsort(names, count, sizeof(*names), compare_names);
	for (uint32_t i = 1; i < count && !ret; i++)
		if (!strcmp(names[i - 1], names[i]))
			ret = qeff_error_set(err, -EINVAL,
					     "network descriptor: two %ss are named \"%.64s\"",
					     what, names[i]);
	free(names);
	return ret;
}

static int read_bindings(struct qeff_netdesc *desc, struct qeff_error *err)
{
	const Aicnwdesc__NetworkDescriptor *m = desc->message;
	struct qeff_network *network = &desc->network;
	int ret;

	if (m->n_inputs > QEFF_NETDESC_MAX_BINDINGS ||
	    m->n_outputs > QEFF_NETDESC_MAX_BINDINGS - m->n_inputs)
		return qeff_error_set(
			err, -EINVAL,
			"network descriptor: expected at most %d bindings, found %zu inputs and %zu outputs",
			QEFF_NETDESC_MAX_BINDINGS, m->n_inputs, m->n_outputs);
	network->num_inputs = (uint32_t)m->n_inputs;
	network->num_outputs = (uint32_t)m->n_outputs;
	desc->bindings = calloc(m->n_inputs + m->n_outputs + 1, sizeof(*desc->bindings));
	if (!desc->bindings)
		return qeff_error_set(err, -ENOMEM, "network descriptor: out of memory");
	for (size_t i = 0; i < m->n_inputs + m->n_outputs; i++) {
		bool is_output = i >= m->n_inputs;
		size_t number = is_output ? i - m->n_inputs : i;
		const Aicnwdesc__IOBinding *io = is_output ? m->outputs[number] : m->inputs[number];

		ret = read_binding(io, is_output, desc, &desc->bindings[i], err);
		if (ret)
			return qeff_error_prefix(
				err, ret, "network descriptor: %s %zu \"%.64s\"",
				is_output ? "output" : "input", number,
				qeff_text_valid(io->name, strlen(io->name)) ? io->name : "?");
	}
	network->bindings = desc->bindings;
	ret = check_unique(desc->bindings, network->num_inputs, "input", err);
	if (!ret)
		ret = check_unique(desc->bindings + network->num_inputs, network->num_outputs,
				   "output", err);
	return ret;
}

static int read_dma_buffers(struct qeff_netdesc *desc, struct qeff_error *err)
{
	const Aicnwdesc__NetworkDescriptor *m = desc->message;

	if (m->n_dma_buffers > QEFF_NETDESC_MAX_DMA_BUFFERS)
		return qeff_error_set(
			err, -EINVAL,
			"network descriptor: expected at most %d DMA buffers, found %zu",
			QEFF_NETDESC_MAX_DMA_BUFFERS, m->n_dma_buffers);
	desc->dma_buffers = calloc(m->n_dma_buffers + 1, sizeof(*desc->dma_buffers));
	if (!desc->dma_buffers)
		return qeff_error_set(err, -ENOMEM, "network descriptor: out of memory");
	for (size_t i = 0; i < m->n_dma_buffers; i++) {
		const Aicnwdesc__DMABuffer *buffer = m->dma_buffers[i];

		if ((unsigned int)buffer->dir > AICNWDESC__DIRECTION__OUT)
			return qeff_error_set(
				err, -EINVAL,
				"network descriptor: DMA buffer %zu: unknown direction %d", i,
				(int)buffer->dir);
		desc->dma_buffers[i] = (struct qeff_dma_buffer){
			.size_bytes = buffer->size,
			.is_output = buffer->dir == AICNWDESC__DIRECTION__OUT,
		};
	}
	desc->network.num_dma_buffers = (uint32_t)m->n_dma_buffers;
	desc->network.dma_buffers = desc->dma_buffers;
	return 0;
}

static int read_allowed_shape(const Aicnwdesc__TensorShape *t, const struct qeff_binding *b,
			      struct qeff_shape *shape, struct qeff_error *err)
{
	int ret;

	*shape = (struct qeff_shape){ .type = (enum qeff_type)t->type, .dims = t->dims };
	if (t->n_dims > QEFF_NETDESC_MAX_DIMS)
		return qeff_error_set(err, -EINVAL, "expected at most %d dimensions, found %zu",
				      QEFF_NETDESC_MAX_DIMS, t->n_dims);
	shape->num_dims = (uint32_t)t->n_dims;
	ret = qeff_shape_size(shape->type, shape->dims, shape->num_dims, &shape->size_bytes, err);
	if (ret)
		return ret;
	if (shape->type != b->shape.type)
		return qeff_error_set(err, -EINVAL, "type %s, but the binding is %s",
				      qeff_type_name(shape->type), qeff_type_name(b->shape.type));
	if (shape->size_bytes > b->shape.size_bytes)
		return qeff_error_set(err, -EINVAL, "%llu bytes, but the binding has %llu",
				      (unsigned long long)shape->size_bytes,
				      (unsigned long long)b->shape.size_bytes);
	return 0;
}

static int read_specialisations(struct qeff_netdesc *desc, struct qeff_error *err)
{
	const Aicnwdesc__NetworkDescriptor *m = desc->message;
	struct qeff_network *network = &desc->network;
	uint32_t num_bindings = qeff_network_num_bindings(network);
	size_t count = m->n_allowed_shapes ? m->n_allowed_shapes : 1;
	int ret;

	if (count > QEFF_NETDESC_MAX_SPECIALISATIONS)
		return qeff_error_set(
			err, -EINVAL,
			"network descriptor: expected at most %d allowed shapes, found %zu",
			QEFF_NETDESC_MAX_SPECIALISATIONS, count);
	/* Before memory is taken for it, the table is known to be in the message. */
	for (size_t s = 0; s < m->n_allowed_shapes; s++)
		if (m->allowed_shapes[s]->n_shapes != num_bindings)
			return qeff_error_set(
				err, -EINVAL,
				"network descriptor: allowed shapes %zu: expected %u shapes, one a "
				"binding, found %zu",
				s, num_bindings, m->allowed_shapes[s]->n_shapes);
	desc->shapes = calloc(count * num_bindings + 1, sizeof(*desc->shapes));
	if (!desc->shapes)
		return qeff_error_set(err, -ENOMEM, "network descriptor: out of memory");
	for (uint32_t b = 0; b < num_bindings; b++)
		desc->shapes[b] = desc->bindings[b].shape;
	for (size_t s = 0; s < m->n_allowed_shapes; s++)
		for (uint32_t b = 0; b < num_bindings; b++) {
			ret = read_allowed_shape(m->allowed_shapes[s]->shapes[b],
						 &desc->bindings[b],
						 &desc->shapes[s * num_bindings + b], err);
			if (ret)
				return qeff_error_prefix(
					err, ret,
					"network descriptor: allowed shapes %zu: \"%.64s\"", s,
					desc->bindings[b].name);
		}
	network->num_specialisations = (uint32_t)count;
	network->specialisations = desc->shapes;
	return 0;
}

static int read_stats(struct qeff_netdesc *desc, struct qeff_error *err)
{
	const Aicnwdesc__Stats *stats = desc->message->stats;
	struct qeff_network *network = &desc->network;

	network->stats_buffer = QEFF_NO_DMA_BUFFER;
	if (!stats)
		return 0;
	if (stats->buff_num >= network->num_dma_buffers)
		return qeff_error_set(
			err, -EINVAL,
			"network descriptor: stats in DMA buffer %u, but there are only %u",
			stats->buff_num, network->num_dma_buffers);
	/* Number 0 is also what an unset field reads as: statistics can only be in an output. */
	if (network->dma_buffers[stats->buff_num].is_output)
		network->stats_buffer = stats->buff_num;
	return 0;
}

static int read_scalars(struct qeff_netdesc *desc, struct qeff_error *err)
{
	const Aicnwdesc__NetworkDescriptor *m = desc->message;
	struct qeff_network *network = &desc->network;
	size_t length = strlen(m->network_name);

	if (length > QEFF_NETDESC_MAX_NAME_BYTES || !qeff_text_valid(m->network_name, length))
		return qeff_error_set(
			err, -EINVAL,
			"network descriptor: network_name: expected at most %d bytes of UTF-8 without "
			"control characters",
			QEFF_NETDESC_MAX_NAME_BYTES);
	if (!m->num_cores || m->num_cores > UINT16_MAX)
		return qeff_error_set(err, -EINVAL, "network descriptor: num_cores is %u",
				      m->num_cores);
	if (m->batch_size < 0)
		return qeff_error_set(err, -EINVAL, "network descriptor: batch_size is %d",
				      (int)m->batch_size);
	network->version_major = m->major_version;
	network->version_minor = m->minor_version;
	network->name = m->network_name;
	network->num_nsps = m->num_cores;
	network->num_threads = m->num_threads;
	network->batch_size = m->batch_size ? m->batch_size : 1;
	return 0;
}

int qeff_netdesc_parse(const void *data, size_t size_bytes, struct qeff_netdesc **result,
		       struct qeff_error *err)
{
	struct qeff_netdesc *desc = calloc(1, sizeof(*desc));
	int ret;

	if (!desc)
		return qeff_error_set(err, -ENOMEM, "network descriptor: out of memory");
	ret = unpack(data, size_bytes, &desc->message, err);
	if (!ret)
		ret = read_scalars(desc, err);
	if (!ret)
		ret = read_dma_buffers(desc, err);
	if (!ret)
		ret = read_bindings(desc, err);
	if (!ret)
		ret = read_specialisations(desc, err);
	if (!ret)
		ret = read_stats(desc, err);
	if (ret) {
		qeff_netdesc_free(desc);
		return ret;
	}
	*result = desc;
	return 0;
}

const struct qeff_network *qeff_netdesc_network(const struct qeff_netdesc *desc)
{
	return &desc->network;
}

void qeff_netdesc_free(struct qeff_netdesc *desc)
{
	if (!desc)
		return;
	if (desc->message)
		aicnwdesc__network_descriptor__free_unpacked(desc->message, NULL);
	free(desc->bindings);
	free(desc->dma_buffers);
	free(desc->shapes);
	free(desc);
}
