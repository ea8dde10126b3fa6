/* SPDX-License-Identifier: MIT */
/* Whether the parts of a package, each valid by itself, agree with each other. */
#include "qpc/package.h"

#include "util/checked.h"
#include "util/error.h"

#include <stdlib.h>

/* What is compared, and what sentences call the package. */
struct parts {
	const char *name;
	const struct qeff_network *network;
	const struct qeff_metadata *metadata;
	struct qeff_constants constants;
};

static int same(const struct parts *p, const char *what, const char *segment, uint64_t found,
		uint64_t expected, struct qeff_error *err)
{
	if (found == expected)
		return 0;
	return qeff_error_set(err, -EINVAL, "%s: %s: segment \"%s\" says %llu, the metadata %llu",
			      p->name, what, segment, (unsigned long long)found,
			      (unsigned long long)expected);
}

static int check_numbers(const struct parts *p, struct qeff_error *err)
{
	int ret = same(p, "NSPs", QEFF_SEGMENT_NETWORK, p->network->num_nsps, p->metadata->num_nsps,
		       err);

	if (!ret)
		ret = same(p, "static constants", QEFF_SEGMENT_CONSTANTS_DESC,
			   p->constants.static_space_bytes, p->metadata->static_constants_bytes,
			   err);
	if (!ret)
		ret = same(p, "dynamic constants", QEFF_SEGMENT_CONSTANTS_DESC,
			   p->constants.dynamic_space_bytes, p->metadata->dynamic_constants_bytes,
			   err);
	return ret;
}

static int check_request(const struct parts *p, uint32_t number, bool *moved,
			 struct qeff_error *err)
{
	const struct qeff_md_dma_request *r = &p->metadata->dma_requests[number];
	const struct qeff_dma_buffer *buffer;

	/* without data it needs no buffer of the descriptor */
	if (!r->size_bytes)
		return 0;
	if (r->buffer >= p->network->num_dma_buffers)
		return qeff_error_set(
			err, -EINVAL,
			"%s: DMA request %u of the metadata: buffer %u, the descriptor has %u",
			p->name, number, r->buffer, p->network->num_dma_buffers);
	buffer = &p->network->dma_buffers[r->buffer];
	if (buffer->is_output != (r->direction == QEFF_MD_FROM_DEVICE))
		return qeff_error_set(
			err, -EINVAL,
			"%s: DMA request %u of the metadata goes %s, buffer %u of the descriptor the "
			"other way",
			p->name, number,
			r->direction == QEFF_MD_FROM_DEVICE ? "to the host" : "to the card",
			r->buffer);
	if (!qeff_range_valid(r->host_offset, r->size_bytes, buffer->size_bytes))
		return qeff_error_set(
			err, -EINVAL,
			"%s: DMA request %u of the metadata: %u bytes at offset %llu, buffer %u of the "
			"descriptor has %u",
			p->name, number, r->size_bytes, (unsigned long long)r->host_offset,
			r->buffer, buffer->size_bytes);
	moved[r->buffer] = true;
	return 0;
}

static int check_dma(const struct parts *p, struct qeff_error *err)
{
	bool *moved = calloc((size_t)p->network->num_dma_buffers + 1, sizeof(*moved));
	int ret = 0;

	if (!moved)
		return qeff_error_set(err, -ENOMEM, "%s: out of memory", p->name);
	for (uint32_t i = 0; i < p->metadata->num_dma_requests && !ret; i++)
		ret = check_request(p, i, moved, err);
	for (uint32_t i = 0; i < qeff_network_num_bindings(p->network) && !ret; i++) {
		const struct qeff_binding *b = &p->network->bindings[i];

		if (!b->is_retained && b->dma_size_bytes && !moved[b->dma_buffer])
			ret = qeff_error_set(
				err, -EINVAL,
				"%s: %s \"%.64s\" is in DMA buffer %u, which no DMA request moves",
				p->name, b->is_output ? "output" : "input", b->name, b->dma_buffer);
	}
	free(moved);
	return ret;
}

static int check_segments(const struct qeff_qpc *qpc, struct qeff_error *err)
{
	const char *const required[] = { QEFF_SEGMENT_IMAGE, QEFF_SEGMENT_NETWORK,
					 QEFF_SEGMENT_CONSTANTS_DESC };

	for (size_t i = 0; i < sizeof(required) / sizeof(required[0]); i++)
		if (!qeff_qpc_segment(qpc, required[i]))
			return qeff_error_set(err, -ENOENT, "%s: it has no segment \"%s\"",
					      qeff_qpc_path(qpc), required[i]);
	return 0;
}

int qeff_qpc_verify(const struct qeff_qpc *qpc, struct qeff_error *err)
{
	struct parts p = { .name = qeff_qpc_path(qpc) };
	int ret = check_segments(qpc, err);

	if (!ret)
		ret = qeff_qpc_network(qpc, &p.network, err);
	if (!ret)
		ret = qeff_qpc_metadata(qpc, &p.metadata, err);
	if (!ret)
		ret = qeff_qpc_constants(qpc, &p.constants, err);
	if (!ret)
		ret = check_numbers(&p, err);
	if (!ret)
		ret = check_dma(&p, err);
	return ret;
}
