/* SPDX-License-Identifier: MIT */
/* Walking and appending transactions, the elements of both outer tiers of the control protocol. */
#include "nnc/transaction.h"

#include "util/bytes.h"

int qeff_transaction_next(struct qeff_transaction_reader *r, struct qeff_transaction *t,
			  struct qeff_error *err)
{
	size_t left = r->size_bytes - r->offset;
	uint32_t size_bytes;

	if (!left)
		return 0;
	if (left < QEFF_TRANSACTION_HEADER_BYTES)
		return qeff_error_set(
			err, -EINVAL,
			"control message: %zu bytes after offset %zu are no transaction", left,
			r->offset);
	size_bytes = qeff_get_u32(r->data + r->offset + 4);
	if (size_bytes < QEFF_TRANSACTION_HEADER_BYTES || size_bytes > left)
		return qeff_error_set(
			err, -EINVAL,
			"control message: the transaction at offset %zu claims %u bytes, "
			"%zu are there",
			r->offset, size_bytes, left);
	t->type = qeff_get_u32(r->data + r->offset);
	t->size_bytes = size_bytes;
	t->data = r->data + r->offset;
	r->offset += size_bytes;
	return 1;
}

bool qeff_transaction_copy(const struct qeff_transaction *t, void *to, size_t size_bytes)
{
	if (t->size_bytes < size_bytes) {
		memset(to, 0, size_bytes);
		return false;
	}
	memcpy(to, t->data, size_bytes);
	return true;
}

void *qeff_transaction_add(struct qeff_transaction_writer *w, uint32_t type, size_t size_bytes)
{
	uint8_t *at;

	if (w->failed || size_bytes < QEFF_TRANSACTION_HEADER_BYTES ||
	    size_bytes > w->capacity_bytes - w->size_bytes)
		goto no_room;
	size_bytes = (size_bytes + 7) & ~(size_t)7;
	if (size_bytes > w->capacity_bytes - w->size_bytes)
		goto no_room;
	at = w->data + w->size_bytes;
	memset(at, 0, size_bytes);
	qeff_put_u32(at, type);
	qeff_put_u32(at + 4, (uint32_t)size_bytes);
	w->size_bytes += size_bytes;
	w->count++;
	return at;
no_room:
	w->failed = true;
	return NULL;
}

void qeff_transaction_add_passthrough(struct qeff_transaction_writer *w, uint32_t type,
				      const void *command, size_t size_bytes, size_t trailing_bytes)
{
	uint8_t *at = NULL;

	if (size_bytes <= w->capacity_bytes && trailing_bytes <= w->capacity_bytes)
		at = qeff_transaction_add(
			w, type, QEFF_TRANSACTION_HEADER_BYTES + size_bytes + trailing_bytes);
	else
		w->failed = true;
	if (at)
		memcpy(at + QEFF_TRANSACTION_HEADER_BYTES, command, size_bytes);
}
