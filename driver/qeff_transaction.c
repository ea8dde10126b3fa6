// SPDX-License-Identifier: GPL-2.0-only
/*
 * Transactions: from those of the manage ioctl to those of the wire, and back.
 *
 * What comes from the user was checked by qeff_exchange_validate() before anything is done; what
 * comes from the card by qeff_reply_validate() before any of it takes effect.
 */
#include <linux/crc32.h>
#include <linux/dma-mapping.h>
#include <linux/overflow.h>

#include "qeff_exchange.h"

/* Between the two rings, and what their memory is rounded up to. */
#define QEFF_RING_GAP	256
#define QEFF_RING_ALIGN SZ_4K
/* More elements would let one user take memory from all others, which no limit counts as his. */
#define QEFF_RING_MAX SZ_64K

u32 qeff_crc(u32 crc, const void *data, size_t bytes)
{
	return crc32_le(crc, data, bytes);
}

/* ---- messages ---- */

void qeff_msg_init(struct qeff_msg *msg)
{
	memset(msg, 0, sizeof(*msg));
	INIT_LIST_HEAD(&msg->pieces);
}

static struct qeff_piece *qeff_piece_add(struct qeff_msg *msg, u32 capacity)
{
	struct qeff_piece *piece = kmalloc(struct_size(piece, data, capacity), GFP_KERNEL);

	if (!piece) {
		msg->failed = true;
		return NULL;
	}
	piece->len = 0;
	piece->capacity = capacity;
	list_add_tail(&piece->node, &msg->pieces);
	msg->nr_pieces++;
	return piece;
}

/* What follows, @bytes of it, is a transaction: it begins a piece, while there are few. */
void qeff_msg_begin(struct qeff_msg *msg, u32 bytes)
{
	if (msg->nr_pieces < QEFF_PIECES_MAX)
		qeff_piece_add(msg, min_t(u32, bytes, QEFF_PIECE_MAX));
}

void qeff_msg_append(struct qeff_msg *msg, const void *data, u32 bytes)
{
	struct qeff_piece *piece;
	u32 now;

	while (bytes && !msg->failed) {
		piece = list_last_entry(&msg->pieces, struct qeff_piece, node);
		if (piece->len == piece->capacity) {
			piece = qeff_piece_add(msg, QEFF_PIECE_MAX);
			if (!piece)
				return;
		}
		now = min(bytes, piece->capacity - piece->len);
		memcpy(piece->data + piece->len, data, now);
		piece->len += now;
		msg->len += now;
		data += now;
		bytes -= now;
	}
}

void qeff_msg_free(struct qeff_msg *msg)
{
	struct qeff_piece *piece, *next;

	list_for_each_entry_safe(piece, next, &msg->pieces, node)
		kfree(piece);
	INIT_LIST_HEAD(&msg->pieces);
}

/* ---- from the user ---- */

static const u32 qeff_user_bytes[] = {
	[QAIC_TRANS_DMA_XFER_FROM_USR] = sizeof(struct qaic_manage_trans_dma_xfer),
	[QAIC_TRANS_ACTIVATE_FROM_USR] = sizeof(struct qaic_manage_trans_activate_to_dev),
	[QAIC_TRANS_DEACTIVATE_FROM_USR] = sizeof(struct qaic_manage_trans_deactivate),
	[QAIC_TRANS_STATUS_FROM_USR] = sizeof(struct qaic_manage_trans_status_to_dev),
};

static int qeff_ring_size(u32 elements, size_t *bytes)
{
	u32 size;

	if (!elements ||
	    check_mul_overflow(elements, (u32)(sizeof(struct qeff_req) + sizeof(struct qeff_rsp)),
			       &size) ||
	    check_add_overflow(size, (u32)(QEFF_RING_GAP + QEFF_RING_ALIGN), &size))
		return -EINVAL;
	if (elements > QEFF_RING_MAX)
		return -ENOMEM;
	*bytes = ALIGN(size - QEFF_RING_ALIGN, QEFF_RING_ALIGN);
	return 0;
}

static int qeff_trans_validate(const struct qaic_manage_trans_hdr *hdr, unsigned int *activates)
{
	const struct qaic_manage_trans_activate_to_dev *activate = (const void *)hdr;
	const struct qaic_manage_trans_deactivate *deactivate = (const void *)hdr;
	const struct qaic_manage_trans_dma_xfer *xfer = (const void *)hdr;
	size_t bytes;
	u64 end;

	if (hdr->type == QAIC_TRANS_PASSTHROUGH_FROM_USR)
		return hdr->len % 8 ? -EINVAL : 0;
	if (hdr->type >= ARRAY_SIZE(qeff_user_bytes) || !qeff_user_bytes[hdr->type] ||
	    hdr->len != qeff_user_bytes[hdr->type])
		return -EINVAL;

	switch (hdr->type) {
	case QAIC_TRANS_DMA_XFER_FROM_USR:
		if (!xfer->size || check_add_overflow(xfer->addr, xfer->size, &end))
			return -EINVAL;
		return 0;
	case QAIC_TRANS_ACTIVATE_FROM_USR:
		if (activate->pad || (*activates)++)
			return -EINVAL;
		return qeff_ring_size(activate->queue_size, &bytes);
	case QAIC_TRANS_DEACTIVATE_FROM_USR:
		return deactivate->pad || deactivate->dbc_id >= QEFF_DBCS ? -EINVAL : 0;
	default:
		return 0;
	}
}

/* Lengths, types and fields of all transactions. Their sum is exactly the length given. */
int qeff_exchange_validate(struct qeff_exchange *ex)
{
	const struct qaic_manage_trans_hdr *hdr;
	unsigned int activates = 0;
	u32 at = 0, i;
	int ret;

	for (i = 0; i < ex->buf_count; i++) {
		if (ex->buf_len - at < sizeof(*hdr))
			return -EINVAL;
		hdr = (const void *)(ex->buf + at);
		if (hdr->len < sizeof(*hdr) || hdr->len > ex->buf_len - at)
			return -EINVAL;
		ret = qeff_trans_validate(hdr, &activates);
		if (ret)
			return ret;
		at += hdr->len;
	}
	return at == ex->buf_len ? 0 : -EINVAL;
}

/* ---- to the card ---- */

static void qeff_encode_hdr(struct qeff_wire_trans *hdr, u32 type, u32 len)
{
	hdr->type = cpu_to_le32(type);
	hdr->len = cpu_to_le32(len);
}

/* Bytes on the wire of the transactions behind @hdr, a transfer counted with one segment. */
static u32 qeff_bytes_behind(struct qeff_exchange *ex, const struct qaic_manage_trans_hdr *hdr)
{
	const u8 *end = ex->buf + ex->buf_len;
	u32 bytes = 0;

	for (hdr = (const void *)hdr + hdr->len; (const u8 *)hdr < end;
	     hdr = (const void *)hdr + hdr->len) {
		if (hdr->type == QAIC_TRANS_DMA_XFER_FROM_USR)
			bytes += sizeof(struct qeff_wire_dma_xfer) +
				 sizeof(struct qeff_wire_segment);
		else if (hdr->type == QAIC_TRANS_ACTIVATE_FROM_USR)
			bytes += sizeof(struct qeff_wire_activate);
		else if (hdr->type != QAIC_TRANS_DEACTIVATE_FROM_USR)
			bytes += hdr->len;
	}
	return bytes;
}

static int qeff_encode_dma(struct qeff_exchange *ex, struct qeff_msg *msg,
			   struct qeff_pinned *pinned, u32 behind)
{
	const struct qaic_manage_trans_dma_xfer *xfer = pinned->xfer;
	u64 skip = xfer == ex->more ? ex->described : 0, bytes = 0;
	struct qeff_wire_segment segment;
	struct qeff_wire_dma_xfer wire = {};
	struct scatterlist *sg;
	u32 room, nr, i;
	int ret;

	ret = dma_map_sgtable(&ex->qdev->pdev->dev, &pinned->sgt, DMA_TO_DEVICE, 0);
	if (ret)
		return ret;
	pinned->mapped = true;

	room = size_add(size_add(msg->len, behind), sizeof(wire)) < QEFF_WIRE_MAX_REQUEST
		       ? QEFF_WIRE_MAX_REQUEST - msg->len - behind - sizeof(wire)
		       : 0;
	nr = min_t(u32, pinned->sgt.nents, room / sizeof(segment));
	if (!nr)
		return -ENOMEM;
	for_each_sg(pinned->sgt.sgl, sg, nr, i)
		bytes += sg_dma_len(sg);

	if (skip + bytes < xfer->size && !ex->more) {
		/* The reply would not say what has become of another transfer. */
		if (!list_is_singular(&ex->pinned))
			return -EINVAL;
		ex->more = xfer;
		do
			ex->chunk_id = atomic_inc_return(&ex->user->chunk_id);
		while (!ex->chunk_id);
	}
	if (ex->more) {
		ex->described = skip + bytes;
		wire.chunk_id = cpu_to_le32(ex->chunk_id);
	}

	qeff_encode_hdr(&wire.hdr, QAIC_TRANS_DMA_XFER_TO_DEV, sizeof(wire) + nr * sizeof(segment));
	wire.tag = cpu_to_le32(xfer->tag);
	wire.count = cpu_to_le32(nr);
	qeff_msg_begin(msg, le32_to_cpu(wire.hdr.len));
	qeff_msg_append(msg, &wire, sizeof(wire));
	for_each_sg(pinned->sgt.sgl, sg, nr, i) {
		segment.addr = cpu_to_le64(sg_dma_address(sg));
		segment.size = cpu_to_le64(sg_dma_len(sg));
		qeff_msg_append(msg, &segment, sizeof(segment));
	}
	msg->count++;
	return 0;
}

static int qeff_encode_activate(struct qeff_exchange *ex, struct qeff_msg *msg,
				const struct qaic_manage_trans_activate_to_dev *trans)
{
	struct qeff_wire_activate wire = {};
	struct qeff_ring *ring = &ex->ring;
	size_t bytes;
	int ret;

	ret = qeff_ring_size(trans->queue_size, &bytes);
	if (ret)
		return ret;
	ring->cpu = dma_alloc_coherent(&ex->qdev->pdev->dev, bytes, &ring->dma,
				       GFP_KERNEL | __GFP_NOWARN);
	if (!ring->cpu)
		return -ENOMEM;
	ring->bytes = bytes;
	ring->elements = trans->queue_size;

	qeff_encode_hdr(&wire.hdr, QAIC_TRANS_ACTIVATE_TO_DEV, sizeof(wire));
	wire.req_addr = cpu_to_le64(ring->dma);
	wire.rsp_addr = cpu_to_le64(ring->dma + bytes - ring->elements * sizeof(struct qeff_rsp));
	wire.req_elements = cpu_to_le32(ring->elements);
	wire.rsp_elements = cpu_to_le32(ring->elements);
	wire.bytes = cpu_to_le32(bytes);
	wire.options = cpu_to_le32(trans->options);
	qeff_msg_begin(msg, sizeof(wire));
	qeff_msg_append(msg, &wire, sizeof(wire));
	msg->count++;
	return 0;
}

static void qeff_encode_plain(struct qeff_msg *msg, u32 type,
			      const struct qaic_manage_trans_hdr *hdr)
{
	struct qeff_wire_trans wire;

	qeff_encode_hdr(&wire, type, hdr->len);
	qeff_msg_begin(msg, hdr->len);
	qeff_msg_append(msg, &wire, sizeof(wire));
	qeff_msg_append(msg, (const u8 *)hdr + sizeof(*hdr), hdr->len - sizeof(*hdr));
	msg->count++;
}

/*
 * The next message of the exchange, behind the header that @msg already has. Under control.lock
 * with the channel open, since it maps memory for the card.
 */
int qeff_exchange_encode(struct qeff_exchange *ex, struct qeff_msg *msg)
{
	const struct qaic_manage_trans_hdr *hdr;
	struct qeff_pinned *pinned;
	u32 at;
	int ret;

	pinned = list_first_entry_or_null(&ex->pinned, struct qeff_pinned, node);
	if (ex->more)
		return qeff_encode_dma(ex, msg, pinned, 0);

	qeff_for_each_user_trans(ex, hdr, at) {
		ret = 0;
		switch (hdr->type) {
		case QAIC_TRANS_PASSTHROUGH_FROM_USR:
			qeff_encode_plain(msg, QAIC_TRANS_PASSTHROUGH_TO_DEV, hdr);
			break;
		case QAIC_TRANS_STATUS_FROM_USR:
			qeff_encode_plain(msg, QAIC_TRANS_STATUS_TO_DEV, hdr);
			break;
		case QAIC_TRANS_DMA_XFER_FROM_USR:
			ret = qeff_encode_dma(ex, msg, pinned, qeff_bytes_behind(ex, hdr));
			pinned = list_next_entry(pinned, node);
			break;
		case QAIC_TRANS_ACTIVATE_FROM_USR:
			ret = qeff_encode_activate(ex, msg, (const void *)hdr);
			break;
		}
		if (ret)
			return ret;
	}
	return msg->failed ? -ENOMEM : 0;
}

/* ---- from the card ---- */

static const u32 qeff_reply_bytes[] = {
	[QAIC_TRANS_ACTIVATE_FROM_DEV] = sizeof(struct qeff_wire_activated),
	[QAIC_TRANS_DEACTIVATE_FROM_DEV] = sizeof(struct qeff_wire_deactivated),
	[QAIC_TRANS_STATUS_FROM_DEV] = sizeof(struct qeff_wire_status),
	[QAIC_TRANS_TERMINATE_FROM_DEV] = sizeof(struct qeff_wire_terminate),
	[QAIC_TRANS_DMA_XFER_CONT] = sizeof(struct qeff_wire_dma_xfer_cont),
};

#define qeff_for_each_reply_trans(ex, hdr, at)                                                     \
	for ((at) = sizeof(struct qeff_wire_hdr);                                                  \
	     (at) < (ex)->reply_bytes && ((hdr) = (void *)(ex)->reply + (at), true);               \
	     (at) += le32_to_cpu((hdr)->len))

/* Lengths, types, and the check sum if the card makes one. */
static int qeff_reply_validate(struct qeff_exchange *ex)
{
	const struct qeff_wire_status *status;
	const struct qeff_wire_trans *hdr;
	bool crc = READ_ONCE(ex->qdev->control.crc);
	u32 at = sizeof(struct qeff_wire_hdr), type, len, i, told;

	for (i = 0; i < le32_to_cpu(ex->reply->count); i++) {
		if (ex->reply_bytes - at < sizeof(*hdr))
			return -EINVAL;
		hdr = (void *)ex->reply + at;
		type = le32_to_cpu(hdr->type);
		len = le32_to_cpu(hdr->len);
		if (len < sizeof(*hdr) || len > ex->reply_bytes - at)
			return -EINVAL;
		if (type == QAIC_TRANS_PASSTHROUGH_FROM_DEV) {
			if (len % 8)
				return -EINVAL;
		} else if (type >= ARRAY_SIZE(qeff_reply_bytes) || !qeff_reply_bytes[type] ||
			   len != qeff_reply_bytes[type]) {
			return -EINVAL;
		}
		/* Until a STATUS has said so, it is not known whether the card makes them. */
		if (type == QAIC_TRANS_STATUS_FROM_DEV) {
			status = (const void *)hdr;
			crc = le64_to_cpu(status->flags) & QEFF_WIRE_STATUS_CRC;
		}
		at += len;
	}
	if (at != ex->reply_bytes)
		return -EINVAL;
	if (!crc)
		return 0;

	told = le32_to_cpu(ex->reply->crc32);
	ex->reply->crc32 = 0;
	return (qeff_crc(~0, ex->reply, ex->reply_bytes) ^ ~0U) == told ? 0 : -EPIPE;
}

static int qeff_decode_activated(struct qeff_exchange *ex, const struct qeff_wire_activated *wire)
{
	u32 dbc_id = le32_to_cpu(wire->dbc_id);

	if (!ex->ring.cpu)
		return -EINVAL;
	if (wire->status) {
		qeff_exchange_drop_ring(ex);
		return -ECANCELED;
	}
	if (dbc_id >= QEFF_DBCS)
		return -ENODEV;
	/* If that fails the ring stays with the exchange: the card may use it. */
	return qeff_dbc_assign(&ex->qdev->dbc[dbc_id], ex->user, ex->epoch, &ex->ring);
}

static int qeff_decode_deactivated(struct qeff_exchange *ex,
				   const struct qeff_wire_deactivated *wire)
{
	u32 dbc_id = le32_to_cpu(wire->dbc_id);
	struct qeff_dbc *dbc;

	if (dbc_id >= QEFF_DBCS)
		return -ENODEV;
	if (!ex->user)
		return -EINVAL;
	dbc = &ex->qdev->dbc[dbc_id];
	if (wire->status) {
		clear_bit(dbc_id, &ex->disabled);
		qeff_dbc_enable(dbc, ex->user);
		return -ECANCELED;
	}
	clear_bit(dbc_id, &ex->disabled);
	/* Of somebody else it stays: a card does not take from one what another gives back. */
	qeff_dbc_release(dbc, ex->user, -EPERM);
	return 0;
}

static int qeff_decode_status(struct qeff_exchange *ex, const struct qeff_wire_status *wire)
{
	ex->major = le16_to_cpu(wire->major);
	ex->minor = le16_to_cpu(wire->minor);
	return wire->status ? -ECANCELED : 0;
}

/* A transaction of the reply as the user sees it. He may have gone. */
static int qeff_reply_to_user(struct qeff_exchange *ex, const struct qeff_wire_trans *hdr)
{
	u32 len = le32_to_cpu(hdr->len);
	void *out = ex->buf + ex->buf_len;
	const struct qeff_wire_activated *activated = (const void *)hdr;
	const struct qeff_wire_status *status = (const void *)hdr;
	struct qaic_manage_trans_activate_from_dev *to_activated = out;
	struct qaic_manage_trans_status_from_dev *to_status = out;
	struct qaic_manage_trans_hdr *to = out;

	if (len > QAIC_MANAGE_MAX_MSG_LENGTH - ex->buf_len)
		return -ENOSPC;
	to->type = le32_to_cpu(hdr->type);
	to->len = len;
	switch (to->type) {
	case QAIC_TRANS_ACTIVATE_FROM_DEV:
		to_activated->status = le32_to_cpu(activated->status);
		to_activated->dbc_id = le32_to_cpu(activated->dbc_id);
		to_activated->options = le64_to_cpu(activated->options);
		break;
	case QAIC_TRANS_STATUS_FROM_DEV:
		to_status->major = le16_to_cpu(status->major);
		to_status->minor = le16_to_cpu(status->minor);
		to_status->status = le32_to_cpu(status->status);
		to_status->status_flags = le64_to_cpu(status->flags);
		break;
	default:
		memcpy(to + 1, hdr + 1, len - sizeof(*hdr));
	}
	ex->buf_len += len;
	return 0;
}

static int qeff_decode_trans(struct qeff_exchange *ex, const struct qeff_wire_trans *hdr)
{
	u32 type = le32_to_cpu(hdr->type);
	int ret;

	switch (type) {
	case QAIC_TRANS_PASSTHROUGH_FROM_DEV:
	case QAIC_TRANS_ACTIVATE_FROM_DEV:
	case QAIC_TRANS_STATUS_FROM_DEV:
		if (ex->buf) {
			ret = qeff_reply_to_user(ex, hdr);
			if (ret)
				return ret;
		}
		break;
	}

	switch (type) {
	case QAIC_TRANS_PASSTHROUGH_FROM_DEV:
		return ex->user ? 0 : -EINVAL;
	case QAIC_TRANS_ACTIVATE_FROM_DEV:
		return qeff_decode_activated(ex, (const void *)hdr);
	case QAIC_TRANS_DEACTIVATE_FROM_DEV:
		return qeff_decode_deactivated(ex, (const void *)hdr);
	case QAIC_TRANS_STATUS_FROM_DEV:
		return qeff_decode_status(ex, (const void *)hdr);
	case QAIC_TRANS_TERMINATE_FROM_DEV:
		return ex->terminate ? 0 : -EINVAL;
	default:
		return -EINVAL;
	}
}

/*
 * The final reply of an exchange: takes effect, and is left in the user's buffer. All of it is
 * looked at even if the card refused a part.
 */
int qeff_exchange_decode(struct qeff_exchange *ex)
{
	const struct qeff_wire_trans *hdr;
	int ret, first = 0;
	u32 at;

	ex->buf_len = 0;
	ex->buf_count = le32_to_cpu(ex->reply->count);
	ret = qeff_reply_validate(ex);
	if (ret)
		return ret;
	qeff_for_each_reply_trans(ex, hdr, at) {
		ret = qeff_decode_trans(ex, hdr);
		if (ret && !first)
			first = ret;
	}
	return first;
}

/* The reply to a part of a transfer: exactly what has been described so far was taken. */
int qeff_exchange_continued(struct qeff_exchange *ex)
{
	const struct qeff_wire_dma_xfer_cont *cont = (void *)(ex->reply + 1);
	int ret = qeff_reply_validate(ex);

	if (ret)
		return ret;
	if (ex->reply_bytes != sizeof(*ex->reply) + sizeof(*cont) ||
	    le32_to_cpu(cont->hdr.type) != QAIC_TRANS_DMA_XFER_CONT ||
	    le32_to_cpu(cont->chunk_id) != ex->chunk_id ||
	    le64_to_cpu(cont->transferred) != ex->described)
		return -EINVAL;
	return 0;
}
