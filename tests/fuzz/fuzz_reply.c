/* SPDX-License-Identifier: MIT */
/*
 * A card that lies: replies to every call of the control protocol's client. The input is a list of
 * replies, each with its size (u16), the count of its transactions (u8) and an outcome (u8) before
 * it; when they are used up the card is gone.
 */
#include "fuzz.h"

#include "nnc/client.h"
#include "util/bytes.h"

#include <errno.h>
#include <string.h>

static int manage(void *user, void *data, uint32_t *size_bytes, uint32_t *count,
		  struct qeff_error *err)
{
	struct qeff_reader *r = user;
	uint32_t bytes = qeff_read_u16(r) % 4097;
	uint8_t transactions = qeff_read_u8(r), outcome = qeff_read_u8(r);
	const uint8_t *reply = qeff_read_bytes(r, bytes);

	if (!reply)
		return qeff_error_set(err, -ENODEV, "the card is gone");
	memcpy(data, reply, bytes);
	*size_bytes = bytes;
	*count = transactions;
	if (outcome == 1)
		return qeff_error_set(err, -ECANCELED, "the card refused");
	return 0;
}

size_t fuzz_regions(const uint8_t *data, size_t size, struct fuzz_region *regions)
{
	regions[0] = (struct fuzz_region){ 0, size };
	return 1;
}

static void settle(int rc, const struct qeff_error *err)
{
	/* its own memory, says the card: a lie like any other */
	if (rc == -ENOMEM && strstr(err->message, "on the card"))
		fuzz_num_refused++;
	else if (rc)
		fuzz_refused(rc, err, "");
	else
		fuzz_ran();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t bytes[24];
	struct qeff_reader r;
	const struct qeff_nnc_client client = { .manage = manage, .user = &r, .retry_ms = 1 };
	const struct qeff_nnc_constants constants = { .name = "c",
						      .descriptor = bytes,
						      .descriptor_bytes = sizeof(bytes),
						      .static_data = bytes,
						      .static_bytes = sizeof(bytes) };
	const struct qeff_nnc_elf elf = { .name = "e", .data = bytes, .size_bytes = sizeof(bytes) };
	struct qeff_nnc_activation activation = { 0 };
	struct qeff_nnc_performance performance;
	struct qeff_nnc_resources resources;
	struct qeff_nnc_status_resp status;
	struct qeff_nnc_link link;
	uint32_t id;

	for (int call = 0; call < 9; call++) {
		struct qeff_error err = { 0 };
		int rc = 0;

		/* each call meets the same replies, from the first on */
		r = qeff_reader_of(data, size);
		switch (call) {
		case 0:
			rc = qeff_nnc_query_link(&client, &link, &err);
			break;
		case 1:
			rc = qeff_nnc_query_status(&client, &status, &err);
			break;
		case 2:
			rc = qeff_nnc_query_resources(&client, &resources, &err);
			break;
		case 3:
			rc = qeff_nnc_query_performance(&client, &performance, &err);
			break;
		case 4:
			rc = qeff_nnc_load_constants(&client, &constants, &id, &err);
			break;
		case 5:
			rc = qeff_nnc_load_elf(&client, &elf, &id, &err);
			break;
		case 6:
			rc = qeff_nnc_activate(&client, 1, 1, 16, &activation, &err);
			break;
		case 7:
			rc = qeff_nnc_deactivate(&client, &activation, &err);
			break;
		default:
			rc = qeff_nnc_unload_elf(&client, 1, &err);
			break;
		}
		settle(rc, &err);
	}
	return 0;
}
