/* SPDX-License-Identifier: MIT */
/*
 * The control channel of the softcard transport: user transactions become one wire message, its
 * reply becomes user transactions again, and the channels that come and go with ACTIVATE and
 * DEACTIVATE are kept, as the kernel driver does all that.
 *
 * A transfer whose list of memory segments does not fit into a message goes in parts: the card
 * answers each but the last with how much it has been told of so far.
 */
#include "device/softcard.h"
#include "nnc/user.h"
#include "nnc/wire.h"

#include "util/bytes.h"
#include "util/checked.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Kept free in a message, behind the segments of a transfer, for the transactions after it. */
#define ROOM_BEHIND_TRANSFER 1024u

/**
 * struct exchange - one MANAGE call
 * @out: the message under construction
 * @reply_bytes: of the reply in @reply
 * @rings: made for an ACTIVATE; given to the channel that the card names, else freed
 * @disabled: channel that a DEACTIVATE has disabled, or -1
 * @mapped: transfers of this call whose memory the card may read
 * @transfer: the one that goes in parts; @chunk_id is 0 if there is none
 * @sent_bytes: of it, so far
 */
struct exchange {
	struct soft_user *user;
	struct qeff_transaction_writer out;
	size_t reply_bytes;
	struct soft_rings rings;
	int disabled;
	struct qeff_user_dma_xfer mapped[QEFF_USER_MAX_BYTES / sizeof(struct qeff_user_dma_xfer)];
	size_t num_mapped;
	struct qeff_user_dma_xfer transfer;
	uint32_t chunk_id;
	uint64_t sent_bytes;
	_Alignas(8) uint8_t out_bytes[QEFF_WIRE_MAX_TO_DEV_BYTES];
	_Alignas(8) uint8_t reply[QEFF_CARD_REPLY_BYTES];
};

static void begin(struct exchange *x, struct soft_card *c, uint32_t handle)
{
	struct qeff_wire_header header = {
		.sequence_number = ++c->sequence,
		.handle = handle,
		.partition_id = QEFF_WIRE_NO_PARTITION,
	};

	qeff_wire_begin(&x->out, x->out_bytes, sizeof(x->out_bytes), &header);
}

/* Sends what was built and checks the reply as a whole. */
static int exchange(struct exchange *x, struct soft_card *c, const char *name,
		    struct qeff_wire_header *header, struct qeff_transaction_reader *reply,
		    struct qeff_error *err)
{
	size_t size_bytes = qeff_wire_finish(&x->out, c->with_crc || !c->linked);
	int ret;

	if (!size_bytes)
		return qeff_error_set(err, -ENOMEM, "%s: control message: no room", name);
	x->reply_bytes = qeff_card_control(c->card, x->out_bytes, size_bytes, x->reply);
	if (!x->reply_bytes)
		return qeff_error_set(err, -ETIMEDOUT, "%s: the card dropped a control message",
				      name);
	ret = qeff_wire_parse(x->reply, x->reply_bytes, c->with_crc, header, reply, err);
	if (ret)
		return qeff_error_prefix(err, ret == -EBADMSG ? -EPIPE : ret, "%s: control reply",
					 name);
	if (header->sequence_number != c->sequence)
		return qeff_error_set(err, -ETIMEDOUT, "%s: control reply %u, expected %u", name,
				      header->sequence_number, c->sequence);
	return 0;
}

/* Appends as many segments of @transfer, from @done on, as fit; returns the bytes they describe. */
static uint64_t add_segments(struct exchange *x, const struct qeff_user_dma_xfer *transfer,
			     uint64_t done, uint32_t chunk_id)
{
	uint64_t segment = x->user->card->segment_bytes, left = transfer->size_bytes - done;
	uint64_t count = (left - 1) / segment + 1, room;
	struct qeff_wire_dma_xfer *wire;
	uint8_t *at;

	if (x->out.size_bytes + sizeof(*wire) + ROOM_BEHIND_TRANSFER > x->out.capacity_bytes)
		return 0;
	room = x->out.capacity_bytes - x->out.size_bytes - sizeof(*wire) - ROOM_BEHIND_TRANSFER;
	if (count > room / sizeof(struct qeff_wire_segment))
		count = room / sizeof(struct qeff_wire_segment);
	wire = qeff_transaction_add(&x->out, QEFF_DMA_XFER_TO_DEV,
				    sizeof(*wire) + count * sizeof(struct qeff_wire_segment));
	if (!wire)
		return 0;
	wire->tag = transfer->tag;
	wire->count = (uint32_t)count;
	wire->chunk_id = chunk_id;
	at = (uint8_t *)(wire + 1);
	for (uint64_t i = 0; i < count; i++, at += sizeof(struct qeff_wire_segment)) {
		uint64_t size = left < segment ? left : segment;

		qeff_put_u64(at, transfer->address + done);
		qeff_put_u64(at + 8, size);
		done += size;
		left -= size;
	}
	return transfer->size_bytes - left;
}

/* The kernel pins the pages of a transfer and finds those that are not there; msync() finds them
 * too, and with MS_ASYNC does nothing else. */
static bool is_mapped(uint64_t address, uint64_t size_bytes)
{
	uint64_t into_page = address % (uint64_t)sysconf(_SC_PAGESIZE);

	return msync((void *)(uintptr_t)(address - into_page), size_bytes + into_page, MS_ASYNC) ==
	       0;
}

static int add_transfer(struct exchange *x, const struct qeff_transaction *t,
			struct qeff_error *err)
{
	const char *name = x->user->name;
	struct qeff_user_dma_xfer transfer;
	struct soft_card *c = x->user->card;
	uint64_t end, count, described;
	int ret;

	qeff_transaction_copy(t, &transfer, sizeof(transfer));
	if (transfer.size_bytes == 0 || !qeff_add_u64(transfer.address, transfer.size_bytes, &end))
		return qeff_error_set(err, -EINVAL, "%s: transfer of %llu bytes at %#llx", name,
				      (unsigned long long)transfer.size_bytes,
				      (unsigned long long)transfer.address);
	if (!is_mapped(transfer.address, transfer.size_bytes))
		return qeff_error_set(err, -EFAULT,
				      "%s: transfer of %llu bytes at %#llx: no memory", name,
				      (unsigned long long)transfer.size_bytes,
				      (unsigned long long)transfer.address);
	ret = qeff_ranges_add(&c->ranges, (void *)(uintptr_t)transfer.address, transfer.size_bytes,
			      QEFF_RANGE_DMA, false);
	if (ret)
		return qeff_error_set(err, ret, "%s: transfer: out of memory", name);
	x->mapped[x->num_mapped++] = transfer;

	/* a transfer in parts has a number, which the first part must bear already */
	count = (transfer.size_bytes - 1) / c->segment_bytes + 1;
	if (count * sizeof(struct qeff_wire_segment) + sizeof(struct qeff_wire_dma_xfer) +
		    ROOM_BEHIND_TRANSFER + x->out.size_bytes <=
	    x->out.capacity_bytes) {
		add_segments(x, &transfer, 0, 0);
		return 0;
	}
	if (x->chunk_id)
		return qeff_error_set(err, -ENOMEM, "%s: two long transfers in one message", name);
	if (!++c->chunk_id)
		c->chunk_id = 1;
	described = add_segments(x, &transfer, 0, c->chunk_id);
	if (!described)
		return qeff_error_set(err, -ENOMEM, "%s: control message: no room for a transfer",
				      name);
	x->transfer = transfer;
	x->chunk_id = c->chunk_id;
	x->sent_bytes = described;
	return 0;
}

static int add_activate(struct exchange *x, const struct qeff_transaction *t,
			struct qeff_error *err)
{
	struct qeff_user_activate activate;
	struct qeff_wire_activate_to_dev *wire;
	uint64_t memory;
	int ret;

	qeff_transaction_copy(t, &activate, sizeof(activate));
	if (activate.queue_size == 0 || x->rings.memory)
		return qeff_error_set(err, -EINVAL, "%s: activate: queue of %u elements",
				      x->user->name, activate.queue_size);
	ret = qeff_soft_rings_new(x->user->card, activate.queue_size, &x->rings);
	if (ret)
		return qeff_error_set(err, ret, "%s: no memory for a queue of %u elements",
				      x->user->name, activate.queue_size);
	wire = qeff_transaction_add(&x->out, QEFF_ACTIVATE_TO_DEV, sizeof(*wire));
	if (!wire)
		return 0; /* told by qeff_wire_finish() */
	memory = (uintptr_t)x->rings.memory;
	wire->request_ring = memory;
	wire->response_ring = memory + x->rings.size_bytes - 4 * (uint64_t)x->rings.num_elements;
	wire->request_elements = x->rings.num_elements;
	wire->response_elements = x->rings.num_elements;
	wire->buffer_bytes = (uint32_t)x->rings.size_bytes;
	wire->options = activate.options;
	return 0;
}

/* Leaves nothing in the message: the command beside it tells the card. */
static int disable_channel(struct exchange *x, const struct qeff_transaction *t,
			   struct qeff_error *err)
{
	struct qeff_user_deactivate deactivate;

	qeff_transaction_copy(t, &deactivate, sizeof(deactivate));
	if (deactivate.dbc_id >= QAIC_MAX_DBCS || x->disabled >= 0)
		return qeff_error_set(err, -EINVAL, "%s: deactivate: channel %u", x->user->name,
				      deactivate.dbc_id);
	if (qeff_soft_dbc_disable(x->user, deactivate.dbc_id))
		return qeff_error_set(err, -EPERM, "%s: deactivate: channel %u is not ours",
				      x->user->name, deactivate.dbc_id);
	x->disabled = (int)deactivate.dbc_id;
	return 0;
}

static int add_request(struct exchange *x, const void *data, uint32_t size_bytes,
		       struct qeff_error *err)
{
	struct qeff_transaction_reader r = { .data = data, .size_bytes = size_bytes };
	struct qeff_transaction t;
	int ret;

	while ((ret = qeff_transaction_next(&r, &t, err)) == 1) {
		switch (t.type) {
		case QEFF_PASSTHROUGH_FROM_USR:
			qeff_transaction_add_passthrough(
				&x->out, QEFF_PASSTHROUGH_TO_DEV,
				t.data + QEFF_TRANSACTION_HEADER_BYTES,
				t.size_bytes - QEFF_TRANSACTION_HEADER_BYTES, 0);
			break;
		case QEFF_DMA_XFER_FROM_USR:
			ret = add_transfer(x, &t, err);
			break;
		case QEFF_ACTIVATE_FROM_USR:
			ret = add_activate(x, &t, err);
			break;
		case QEFF_DEACTIVATE_FROM_USR:
			ret = disable_channel(x, &t, err);
			break;
		case QEFF_STATUS_FROM_USR:
			qeff_transaction_add(&x->out, QEFF_STATUS_TO_DEV,
					     QEFF_TRANSACTION_HEADER_BYTES);
			break;
		default:
			ret = -EINVAL;
			break;
		}
		if (ret < 0)
			break;
	}
	return ret;
}

/* The parts of a long transfer behind the first. Ends with the reply to the last, which answers the
 * whole request, or with one that is no invitation to go on: the card has refused. */
static int send_parts(struct exchange *x, struct qeff_wire_header *header,
		      struct qeff_transaction_reader *reply, struct qeff_error *err)
{
	const char *name = x->user->name;
	struct soft_card *c = x->user->card;

	while (x->sent_bytes < x->transfer.size_bytes) {
		struct qeff_transaction_reader r = *reply;
		struct qeff_wire_dma_xfer_cont cont;
		struct qeff_transaction t;
		int ret;

		if (qeff_transaction_next(&r, &t, NULL) != 1 || t.type != QEFF_DMA_XFER_CONT)
			return 0;
		if (!qeff_transaction_copy(&t, &cont, sizeof(cont)) || header->count != 1 ||
		    cont.chunk_id != x->chunk_id || cont.transferred_bytes != x->sent_bytes)
			return qeff_error_set(
				err, -EINVAL,
				"%s: the card has %llu bytes of transfer %u, expected %llu of %u",
				name, (unsigned long long)cont.transferred_bytes, cont.chunk_id,
				(unsigned long long)x->sent_bytes, x->chunk_id);
		begin(x, c, x->user->handle);
		x->sent_bytes = add_segments(x, &x->transfer, x->sent_bytes, x->chunk_id);
		ret = exchange(x, c, name, header, reply, err);
		if (ret)
			return ret;
	}
	return 0;
}

static int answer_activate(struct exchange *x, const struct qeff_transaction *t,
			   struct qeff_error *err)
{
	struct qeff_wire_activate_from_dev answer;

	if (!qeff_transaction_copy(t, &answer, sizeof(answer)) || !x->rings.memory)
		return qeff_error_set(err, -EINVAL, "%s: control reply: ACTIVATE not asked for",
				      x->user->name);
	if (answer.status)
		return qeff_error_set(err, -ECANCELED, "%s: the card gives no channel (status %d)",
				      x->user->name, (int)answer.status);
	if (answer.dbc_id >= QAIC_MAX_DBCS || x->user->card->dbcs[answer.dbc_id].owner)
		return qeff_error_set(err, -ENODEV, "%s: the card gives channel %u, which is %s",
				      x->user->name, answer.dbc_id,
				      answer.dbc_id >= QAIC_MAX_DBCS ? "none" : "in use");
	qeff_soft_dbc_assign(x->user, answer.dbc_id, &x->rings);
	x->rings = (struct soft_rings){ 0 };
	return 0;
}

static int answer_deactivate(struct exchange *x, const struct qeff_transaction *t,
			     struct qeff_error *err)
{
	struct qeff_wire_deactivate_from_dev answer;

	if (!qeff_transaction_copy(t, &answer, sizeof(answer)))
		return qeff_error_set(err, -EINVAL, "%s: control reply: short DEACTIVATE",
				      x->user->name);
	if (answer.dbc_id >= QAIC_MAX_DBCS)
		return qeff_error_set(err, -ENODEV, "%s: the card takes back channel %u",
				      x->user->name, answer.dbc_id);
	if (answer.status)
		return qeff_error_set(err, -ECANCELED,
				      "%s: the card does not take back channel %u (status %d)",
				      x->user->name, answer.dbc_id, (int)answer.status);
	qeff_soft_dbc_release(x->user, answer.dbc_id);
	if (x->disabled == (int)answer.dbc_id)
		x->disabled = -1;
	return 0;
}

static int answer_status(struct exchange *x, const struct qeff_transaction *t,
			 struct qeff_error *err)
{
	struct qeff_wire_status_from_dev answer;

	if (!qeff_transaction_copy(t, &answer, sizeof(answer)))
		return qeff_error_set(err, -EINVAL, "%s: control reply: short STATUS",
				      x->user->name);
	if (answer.status)
		return qeff_error_set(err, -ECANCELED, "%s: the card's status is %d", x->user->name,
				      (int)answer.status);
	return 0;
}

/*
 * The reply, as the driver hands it up: wire types unchanged, and a DEACTIVATE_FROM_DEV counted but
 * not copied. A status other than 0 ends in -ECANCELED, with the reply delivered nevertheless.
 */
static int deliver(struct exchange *x, struct qeff_transaction_reader *reply, void *data,
		   uint32_t *size_bytes, struct qeff_error *err)
{
	uint32_t used = 0;
	struct qeff_transaction t;
	int ret, refused = 0;

	while ((ret = qeff_transaction_next(reply, &t, err)) == 1) {
		switch (t.type) {
		case QEFF_PASSTHROUGH_FROM_DEV:
			ret = t.size_bytes % 8
				      ? qeff_error_set(err, -EINVAL,
						       "%s: control reply: command of %u bytes",
						       x->user->name, t.size_bytes)
				      : 0;
			break;
		case QEFF_ACTIVATE_FROM_DEV:
			ret = answer_activate(x, &t, err);
			break;
		case QEFF_DEACTIVATE_FROM_DEV:
			ret = answer_deactivate(x, &t, err);
			break;
		case QEFF_STATUS_FROM_DEV:
			ret = answer_status(x, &t, err);
			break;
		default:
			ret = qeff_error_set(err, -EINVAL, "%s: control reply: transaction type %u",
					     x->user->name, t.type);
			break;
		}
		if (ret == -ECANCELED)
			refused = ret;
		else if (ret)
			return ret;
		if (t.type == QEFF_DEACTIVATE_FROM_DEV)
			continue;
		if (t.size_bytes > QEFF_MANAGE_MAX_BYTES - used)
			return qeff_error_set(err, -ENOSPC, "%s: control reply exceeds %u bytes",
					      x->user->name, QEFF_MANAGE_MAX_BYTES);
		memcpy((uint8_t *)data + used, t.data, t.size_bytes);
		used += t.size_bytes;
	}
	if (ret < 0)
		return ret;
	*size_bytes = used;
	return refused;
}

int qeff_soft_manage(struct qeff_transport *t, void *data, uint32_t *size_bytes, uint32_t *count,
		     struct qeff_error *err)
{
	struct soft_user *u = soft_user_of(t);
	struct soft_card *c = u->card;
	struct qeff_transaction_reader reply;
	struct qeff_wire_header header = { 0 };
	struct exchange *x;
	int ret;

	ret = qeff_user_validate_request(data, *size_bytes, *count, err);
	if (ret)
		return qeff_error_prefix(err, ret, "%s", u->name);
	x = malloc(sizeof(*x));
	if (!x)
		return qeff_error_set(err, -ENOMEM, "%s: out of memory", u->name);
	x->user = u;
	x->rings = (struct soft_rings){ 0 };
	x->disabled = -1;
	x->num_mapped = 0;
	x->chunk_id = 0;

	pthread_mutex_lock(&c->control);
	begin(x, c, u->handle);
	ret = add_request(x, data, *size_bytes, err);
	if (!ret)
		ret = exchange(x, c, u->name, &header, &reply, err);
	if (!ret && x->chunk_id)
		ret = send_parts(x, &header, &reply, err);
	if (!ret)
		ret = deliver(x, &reply, data, size_bytes, err);
	if (!ret || ret == -ECANCELED)
		*count = header.count;
	pthread_mutex_unlock(&c->control);

	/* the card has answered: it reads none of this any more */
	for (size_t i = 0; i < x->num_mapped; i++)
		qeff_ranges_remove(&c->ranges, (void *)(uintptr_t)x->mapped[i].address,
				   x->mapped[i].size_bytes, QEFF_RANGE_DMA, false);
	qeff_soft_rings_free(c, &x->rings);
	if (x->disabled >= 0)
		qeff_soft_dbc_enable(u, (uint32_t)x->disabled);
	free(x);
	return ret;
}

/* The first message bears a CRC in any case; the flags of its answer say whether it does, and all
 * later ones do. */
int qeff_soft_link_up(struct soft_card *c, struct qeff_error *err)
{
	struct qeff_wire_status_from_dev answer = { 0 };
	struct exchange *x = malloc(sizeof(*x));
	struct qeff_transaction_reader reply;
	struct qeff_wire_header header;
	struct qeff_transaction t;
	char name[16];
	int ret;

	if (!x)
		return qeff_error_set(err, -ENOMEM, "soft%u: out of memory", c->number);
	snprintf(name, sizeof(name), "soft%u", c->number);
	begin(x, c, 0);
	qeff_transaction_add(&x->out, QEFF_STATUS_TO_DEV, QEFF_TRANSACTION_HEADER_BYTES);
	ret = exchange(x, c, name, &header, &reply, err);
	if (ret)
		goto out;
	ret = -EPROTO;
	if (qeff_transaction_next(&reply, &t, err) != 1 || t.type != QEFF_STATUS_FROM_DEV ||
	    !qeff_transaction_copy(&t, &answer, sizeof(answer)))
		qeff_error_set(err, ret, "%s: no answer to STATUS", name);
	else if (answer.status || answer.major != QEFF_WIRE_MAJOR || answer.minor > QEFF_WIRE_MINOR)
		qeff_error_set(err, ret, "%s: control protocol %u.%u, status %d, expected %u.%u",
			       name, answer.major, answer.minor, (int)answer.status,
			       QEFF_WIRE_MAJOR, QEFF_WIRE_MINOR);
	else if ((answer.flags & QEFF_WIRE_FLAG_CRC) &&
		 qeff_wire_crc(x->reply, x->reply_bytes) != header.crc32)
		qeff_error_set(err, ret, "%s: wrong CRC in the answer to STATUS", name);
	else
		ret = 0;
	c->with_crc = answer.flags & QEFF_WIRE_FLAG_CRC;
	c->linked = true;
out:
	free(x);
	return ret;
}

void qeff_soft_terminate(struct soft_user *u)
{
	_Alignas(8) uint8_t message[64], reply[QEFF_CARD_REPLY_BYTES];
	struct qeff_wire_terminate_to_dev *wire;
	struct qeff_transaction_writer out;
	struct soft_card *c = u->card;
	struct qeff_wire_header header = { .handle = u->handle };

	pthread_mutex_lock(&c->control);
	header.sequence_number = ++c->sequence;
	qeff_wire_begin(&out, message, sizeof(message), &header);
	wire = qeff_transaction_add(&out, QEFF_TERMINATE_TO_DEV, sizeof(*wire));
	wire->handle = u->handle;
	qeff_card_control(c->card, message, qeff_wire_finish(&out, c->with_crc), reply);
	/* before anyone else can be given one of them */
	for (uint32_t i = 0; i < QAIC_MAX_DBCS; i++)
		qeff_soft_dbc_release(u, i);
	pthread_mutex_unlock(&c->control);
}
