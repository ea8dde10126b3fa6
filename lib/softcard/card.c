/* SPDX-License-Identifier: MIT */
/* The card as its host holds it: made, spoken to, reset, freed. */
#include "softcard/card.h"

#include "softcard/core.h"

#include <stdlib.h>
#include <string.h>

#define MAX_DDR_BYTES (UINT64_C(1) << 46)

int qeff_card_new(const struct qeff_card_config *config, const struct qeff_card_host *host,
		  struct qeff_card **result, struct qeff_error *err)
{
	struct qeff_card *card;

	if (!config->nsps || config->nsps > QEFF_CARD_MAX_NSPS)
		return qeff_error_set(err, -EINVAL, "software card: %u NSPs, expected 1..%u",
				      config->nsps, QEFF_CARD_MAX_NSPS);
	if (config->ddr_bytes < (1u << 20) || config->ddr_bytes > MAX_DDR_BYTES)
		return qeff_error_set(err, -EINVAL,
				      "software card: %llu bytes of DDR, expected 1 MiB..64 TiB",
				      (unsigned long long)config->ddr_bytes);
	card = calloc(1, sizeof(*card));
	if (!card)
		return qeff_error_set(err, -ENOMEM, "software card: no memory for it");
	card->config = *config;
	card->config.serial[sizeof(card->config.serial) - 1] = 0;
	card->host = *host;
	card->ddr.total_bytes = config->ddr_bytes & ~(uint64_t)(QEFF_DDR_ALIGNMENT - 1);
	pthread_mutex_init(&card->control, NULL);
	for (unsigned int i = 0; i < QEFF_CARD_DBCS; i++)
		qeff_channel_init(&card->channel[i], card, i);
	*result = card;
	return 0;
}

void qeff_card_reset(struct qeff_card *card)
{
	pthread_mutex_lock(&card->control);
	while (card->activations || card->transfers || card->elfs || card->constants)
		qeff_qsm_terminate(card, card->activations ? card->activations->owner
					 : card->transfers ? card->transfers->owner
					 : card->elfs	   ? card->elfs->owner
							   : card->constants->owner);
	card->recent_count = 0;
	pthread_mutex_unlock(&card->control);
}

int qeff_card_crash_nsp(struct qeff_card *card, int dbc)
{
	struct qeff_activation *first = NULL;

	pthread_mutex_lock(&card->control);
	for (struct qeff_activation *a = card->activations; a; a = a->next)
		if (dbc < 0 ? !first || a->vc < first->vc : a->vc == (unsigned int)dbc)
			first = a;
	dbc = first ? (int)first->vc : -ENOENT;
	if (first)
		qeff_qsm_end_activation(card, first);
	pthread_mutex_unlock(&card->control);
	return dbc;
}

void qeff_card_free(struct qeff_card *card)
{
	if (!card)
		return;
	qeff_card_reset(card);
	qeff_pool_free(card->pool);
	for (unsigned int i = 0; i < QEFF_CARD_DBCS; i++)
		qeff_channel_destroy(&card->channel[i]);
	pthread_mutex_destroy(&card->control);
	free(card);
}

size_t qeff_card_control(struct qeff_card *card, const void *message, size_t size_bytes,
			 void *reply)
{
	const struct qeff_card_host *host = &card->host;
	size_t reply_bytes;

	pthread_mutex_lock(&card->control);
	if (host->trace_control)
		host->trace_control(host->user, true, message, size_bytes);
	reply_bytes = qeff_qsm_handle(card, message, size_bytes, reply);
	if (reply_bytes && host->trace_control)
		host->trace_control(host->user, false, reply, reply_bytes);
	pthread_mutex_unlock(&card->control);
	return reply_bytes;
}

uint32_t qeff_card_dbc_read(struct qeff_card *card, unsigned int dbc, uint32_t offset)
{
	return dbc < QEFF_CARD_DBCS ? qeff_channel_read(&card->channel[dbc], offset) : 0;
}

void qeff_card_dbc_write(struct qeff_card *card, unsigned int dbc, uint32_t offset, uint32_t value)
{
	if (dbc < QEFF_CARD_DBCS)
		qeff_channel_write(&card->channel[dbc], offset, value);
}

void qeff_card_counters(struct qeff_card *card, struct qeff_card_counters *counters)
{
	*counters = (struct qeff_card_counters){
		.elements = atomic_load_explicit(&card->elements, memory_order_relaxed),
		.bytes_in = atomic_load_explicit(&card->bytes_in, memory_order_relaxed),
		.bytes_out = atomic_load_explicit(&card->bytes_out, memory_order_relaxed),
		.inferences = atomic_load_explicit(&card->inferences, memory_order_relaxed),
		.interrupts = atomic_load_explicit(&card->interrupts, memory_order_relaxed),
	};
}
