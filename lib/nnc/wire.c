/* SPDX-License-Identifier: MIT */
/* L2 messages: header, CRC, and the check of a received one as a whole. */
#include "nnc/wire.h"

#include "util/bytes.h"

#include <zlib.h>

void qeff_wire_begin(struct qeff_transaction_writer *w, void *buffer, size_t capacity_bytes,
		     const struct qeff_wire_header *header)
{
	*w = (struct qeff_transaction_writer){ .data = buffer, .capacity_bytes = capacity_bytes };
	if (capacity_bytes < sizeof(*header)) {
		w->failed = true;
		return;
	}
	memcpy(buffer, header, sizeof(*header));
	w->size_bytes = sizeof(*header);
}

uint32_t qeff_wire_crc(const void *message, size_t size_bytes)
{
	static const uint8_t zero[4];
	uLong crc = crc32(0, zero, sizeof(zero));

	if (size_bytes < sizeof(zero))
		return 0;
	return (uint32_t)crc32_z(crc, (const uint8_t *)message + 4, size_bytes - 4);
}

size_t qeff_wire_finish(struct qeff_transaction_writer *w, bool with_crc)
{
	struct qeff_wire_header header;

	if (w->failed)
		return 0;
	memcpy(&header, w->data, sizeof(header));
	header.crc32 = 0;
	header.magic = QEFF_WIRE_MAGIC;
	header.size_bytes = (uint32_t)w->size_bytes;
	header.count = w->count;
	memcpy(w->data, &header, sizeof(header));
	if (with_crc)
		qeff_put_u32(w->data, qeff_wire_crc(w->data, w->size_bytes));
	return w->size_bytes;
}

int qeff_wire_parse(const void *message, size_t size_bytes, bool check_crc,
		    struct qeff_wire_header *header, struct qeff_transaction_reader *transactions,
		    struct qeff_error *err)
{
	struct qeff_transaction_reader walk;
	struct qeff_transaction t;
	uint32_t count = 0;
	uint32_t crc;
	int rc;

	if (size_bytes < sizeof(*header) || size_bytes > QEFF_WIRE_MAX_TO_DEV_BYTES)
		return qeff_error_set(err, -EINVAL, "wire message: %zu bytes, expected %zu..%u",
				      size_bytes, sizeof(*header), QEFF_WIRE_MAX_TO_DEV_BYTES);
	memcpy(header, message, sizeof(*header));
	if (header->magic != QEFF_WIRE_MAGIC)
		return qeff_error_set(err, -EINVAL, "wire message: magic %#010x, expected %#010x",
				      header->magic, QEFF_WIRE_MAGIC);
	if (header->size_bytes != size_bytes)
		return qeff_error_set(err, -EINVAL,
				      "wire message: header says %u bytes, %zu received",
				      header->size_bytes, size_bytes);
	if (check_crc) {
		crc = qeff_wire_crc(message, size_bytes);
		if (crc != header->crc32)
			return qeff_error_set(err, -EBADMSG,
					      "wire message: CRC-32 %#010x, computed %#010x",
					      header->crc32, crc);
	}
	*transactions = (struct qeff_transaction_reader){
		.data = (const uint8_t *)message + sizeof(*header),
		.size_bytes = size_bytes - sizeof(*header),
	};
	walk = *transactions;
	while ((rc = qeff_transaction_next(&walk, &t, err)) > 0)
		count++;
	if (rc < 0)
		return rc;
	if (count != header->count)
		return qeff_error_set(err, -EINVAL,
				      "wire message: header says %u transactions, %u found",
				      header->count, count);
	return 0;
}
