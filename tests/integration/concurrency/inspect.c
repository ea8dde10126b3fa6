/* SPDX-License-Identifier: MIT */
#include "inspect.h"

#include "device/softcard.h"
#include "softcard/core.h"

#define COUNT(list)                                                                                \
	for (typeof(list) at = (list); at; at = at->next)                                          \
	h.objects++

struct holdings inspect(struct qeff_device *device)
{
	struct soft_card *soft = soft_user_of(qeff_device_transport(device))->card;
	struct qeff_card *card = soft->card;
	struct holdings h = { 0 };

	pthread_mutex_lock(&card->control);
	COUNT(card->constants);
	COUNT(card->elfs);
	COUNT(card->activations);
	COUNT(card->transfers);
	h.ddr_bytes = card->ddr.used_bytes;
	h.nsps = card->nsps_used;
	h.mcids = card->mcids_used;
	for (int i = 0; i < QEFF_CARD_DBCS; i++)
		h.channels += card->channel[i].open;
	pthread_mutex_unlock(&card->control);

	pthread_mutex_lock(&soft->lock);
	for (int i = 0; i < QAIC_MAX_DBCS; i++)
		h.channels += soft->dbcs[i].owner || soft->dbcs[i].first;
	for (struct soft_user *u = soft->users; u; u = u->next)
		for (size_t i = 0; i < u->num_buffers; i++)
			h.buffers += u->buffers[i] != NULL;
	h.ranges = soft->ranges.count;
	pthread_mutex_unlock(&soft->lock);
	return h;
}
