/* SPDX-License-Identifier: MIT */
/* L1 messages: built by a process, checked as a driver checks them, and searched when they come
 * back. */
#include "nnc/user.h"

#include "util/bytes.h"

/* Bytes that follow every command. Existing software sends them, so this is what cards are used to.
 */
#define TRAILING_BYTES 8u

void qeff_user_begin(struct qeff_user_message *m)
{
	m->size_bytes = 0;
	m->count = 0;
}

static struct qeff_transaction_writer writer_of(struct qeff_user_message *m)
{
	return (struct qeff_transaction_writer){
		.data = m->data,
		.capacity_bytes = sizeof(m->data),
		.size_bytes = m->size_bytes,
		.count = m->count,
	};
}

static int keep(struct qeff_user_message *m, const struct qeff_transaction_writer *w,
		struct qeff_error *err)
{
	if (w->failed)
		return qeff_error_set(
			err, -ENOSPC,
			"control message: transaction %u does not fit the %u bytes that "
			"are left of %u",
			m->count, QEFF_USER_MAX_BYTES - m->size_bytes, QEFF_USER_MAX_BYTES);
	m->size_bytes = (uint32_t)w->size_bytes;
	m->count = w->count;
	return 0;
}

int qeff_user_add_passthrough(struct qeff_user_message *m, const void *command, size_t size_bytes,
			      struct qeff_error *err)
{
	struct qeff_transaction_writer w = writer_of(m);

	qeff_transaction_add_passthrough(&w, QEFF_PASSTHROUGH_FROM_USR, command, size_bytes,
					 TRAILING_BYTES);
	return keep(m, &w, err);
}

int qeff_user_add_dma_xfer(struct qeff_user_message *m, uint32_t tag, uint64_t address,
			   uint64_t size_bytes, struct qeff_error *err)
{
	struct qeff_transaction_writer w = writer_of(m);
	struct qeff_user_dma_xfer *t = qeff_transaction_add(&w, QEFF_DMA_XFER_FROM_USR, sizeof(*t));

	if (t) {
		t->tag = tag;
		t->count = 1;
		t->address = address;
		t->size_bytes = size_bytes;
	}
	return keep(m, &w, err);
}

int qeff_user_add_activate(struct qeff_user_message *m, uint32_t queue_size, uint32_t options,
			   struct qeff_error *err)
{
	struct qeff_transaction_writer w = writer_of(m);
	struct qeff_user_activate *t = qeff_transaction_add(&w, QEFF_ACTIVATE_FROM_USR, sizeof(*t));

	if (t) {
		t->queue_size = queue_size;
		t->options = options;
	}
	return keep(m, &w, err);
}

int qeff_user_add_deactivate(struct qeff_user_message *m, uint32_t dbc_id, struct qeff_error *err)
{
	struct qeff_transaction_writer w = writer_of(m);
	struct qeff_user_deactivate *t =
		qeff_transaction_add(&w, QEFF_DEACTIVATE_FROM_USR, sizeof(*t));

	if (t)
		t->dbc_id = dbc_id;
	return keep(m, &w, err);
}

int qeff_user_add_status(struct qeff_user_message *m, struct qeff_error *err)
{
	struct qeff_transaction_writer w = writer_of(m);

	qeff_transaction_add(&w, QEFF_STATUS_FROM_USR, QEFF_TRANSACTION_HEADER_BYTES);
	return keep(m, &w, err);
}

/* Length and pads of one transaction of a request; *@activates counts those seen. */
static int validate_transaction(const struct qeff_transaction *t, uint32_t index,
				unsigned int *activates, struct qeff_error *err)
{
	uint32_t need, pad = 0;

	switch (t->type) {
	case QEFF_PASSTHROUGH_FROM_USR:
		need = QEFF_TRANSACTION_HEADER_BYTES;
		break;
	case QEFF_DMA_XFER_FROM_USR:
		need = sizeof(struct qeff_user_dma_xfer);
		break;
	case QEFF_ACTIVATE_FROM_USR:
		need = sizeof(struct qeff_user_activate);
		if (t->size_bytes >= need)
			pad = qeff_get_u32(t->data + offsetof(struct qeff_user_activate, pad));
		if (++*activates > 1)
			return qeff_error_set(
				err, -EINVAL,
				"control message: more than one ACTIVATE (transaction %u)", index);
		break;
	case QEFF_DEACTIVATE_FROM_USR:
		need = sizeof(struct qeff_user_deactivate);
		if (t->size_bytes >= need)
			pad = qeff_get_u32(t->data + offsetof(struct qeff_user_deactivate, pad));
		break;
	case QEFF_STATUS_FROM_USR:
		need = QEFF_TRANSACTION_HEADER_BYTES;
		break;
	default:
		return qeff_error_set(
			err, -EINVAL,
			"control message: transaction %u has type %u, which no process "
			"may send",
			index, t->type);
	}
	if (t->size_bytes < need)
		return qeff_error_set(
			err, -EINVAL,
			"control message: transaction %u of type %u has %u bytes, its "
			"layout %u",
			index, t->type, t->size_bytes, need);
	if (t->type == QEFF_PASSTHROUGH_FROM_USR && t->size_bytes % 8)
		return qeff_error_set(
			err, -EINVAL,
			"control message: passthrough (transaction %u) of %u bytes is no "
			"multiple of 8",
			index, t->size_bytes);
	if (pad)
		return qeff_error_set(
			err, -EINVAL,
			"control message: padding of transaction %u is %#x, expected 0", index,
			pad);
	return 0;
}

int qeff_user_validate_request(const void *data, uint32_t size_bytes, uint32_t count,
			       struct qeff_error *err)
{
	struct qeff_transaction_reader r = { .data = data, .size_bytes = size_bytes };
	unsigned int activates = 0;
	struct qeff_transaction t;
	int rc;

	if (size_bytes < QEFF_TRANSACTION_HEADER_BYTES || size_bytes > QEFF_USER_MAX_BYTES ||
	    !count || count > QEFF_USER_MAX_COUNT)
		return qeff_error_set(
			err, -EINVAL,
			"control message: %u transactions in %u bytes, expected 1..%u in "
			"8..%u",
			count, size_bytes, QEFF_USER_MAX_COUNT, QEFF_USER_MAX_BYTES);
	for (uint32_t i = 0; i < count; i++) {
		rc = qeff_transaction_next(&r, &t, err);
		if (!rc)
			return qeff_error_set(err, -EINVAL,
					      "control message: %u transactions claimed, %u found",
					      count, i);
		if (rc > 0)
			rc = validate_transaction(&t, i, &activates, err);
		if (rc < 0)
			return rc;
	}
	if (r.offset != size_bytes)
		return qeff_error_set(err, -EINVAL,
				      "control message: %u transactions take %zu bytes, %u given",
				      count, r.offset, size_bytes);
	return 0;
}

int qeff_user_find(const struct qeff_user_message *m, uint32_t type, uint32_t also,
		   struct qeff_transaction *t, struct qeff_error *err)
{
	struct qeff_transaction_reader r = { .data = m->data, .size_bytes = m->size_bytes };
	int rc;

	if (m->size_bytes > sizeof(m->data))
		return qeff_error_set(err, -EINVAL, "control reply: %u bytes, at most %u expected",
				      m->size_bytes, QEFF_USER_MAX_BYTES);
	while ((rc = qeff_transaction_next(&r, t, err)) > 0)
		if (t->type == type || t->type == also)
			return 0;
	if (!rc)
		rc = qeff_error_set(err, -ENOENT, "control reply: no transaction of type %u in it",
				    type);
	return rc;
}
