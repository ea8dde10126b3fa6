/* SPDX-License-Identifier: MIT */
/* What the card has seen, as JSON: for tests that compare it with what the host says. */
#include "softcard/pcie/internal.h"

#include "util/file.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define MAX_LISTED_MAPS 256u

static json_t *u64_array(const uint64_t *values, size_t count)
{
	json_t *a = json_array();

	for (size_t i = 0; i < count; i++)
		json_array_append_new(a, json_integer((json_int_t)values[i]));
	return a;
}

static json_t *card_stats(struct qeff_vcard *v)
{
	struct qeff_card_counters c;

	qeff_card_counters(v->card, &c);
	return json_pack("{s:I, s:I, s:I, s:I, s:I}", "elements", (json_int_t)c.elements,
			 "bytes_in", (json_int_t)c.bytes_in, "bytes_out", (json_int_t)c.bytes_out,
			 "inferences", (json_int_t)c.inferences, "interrupts",
			 (json_int_t)c.interrupts);
}

static json_t *dma_stats(struct qeff_vcard *v)
{
	json_t *list = json_array();

	for (size_t i = 0; i < v->dma.num_maps && i < MAX_LISTED_MAPS; i++) {
		const struct qeff_dma_map *m = &v->dma.maps[i];

		json_array_append_new(list, json_pack("{s:I, s:I, s:b, s:b}", "address",
						      (json_int_t)m->address, "bytes",
						      (json_int_t)m->size_bytes, "memory",
						      m->data != NULL, "writable", m->writable));
	}
	return json_pack("{s:I, s:I, s:o}", "maps", (json_int_t)v->dma.num_maps, "peak",
			 (json_int_t)v->dma.peak, "list", list);
}

static json_t *mhi_stats(struct qeff_vcard *v)
{
	uint64_t delivered[QEFF_NUM_CHANNELS];

	for (unsigned int i = 0; i < QEFF_NUM_CHANNELS; i++)
		delivered[i] = v->mhi.channel[i].delivered;
	return json_pack(
		"{s:i, s:i, s:I, s:I, s:i, s:i, s:I, s:I, s:I, s:I, s:o}", "environment", v->mhi.ee,
		"state", v->mhi.state, "boots", (json_int_t)v->mhi.boots, "errors",
		(json_int_t)v->mhi.errors, "images_loaded", v->boot.loaded, "images_refused",
		v->boot.refused, "control_messages", (json_int_t)v->channels.control_messages,
		"control_user", (json_int_t)v->channels.last_user, "control_dropped",
		(json_int_t)v->channels.dropped, "time_syncs", (json_int_t)v->channels.time_syncs,
		"channel_messages", u64_array(delivered, QEFF_NUM_CHANNELS));
}

static json_t *fault_stats(struct qeff_vcard *v)
{
	json_t *events = json_object(), *fired = json_object();

	pthread_mutex_lock(&v->faults.lock);
	for (unsigned int i = 0; i < QEFF_NUM_EVENTS; i++)
		json_object_set_new(events, qeff_fault_event_name((enum qeff_fault_event)i),
				    json_integer((json_int_t)v->faults.seen[i]));
	for (unsigned int i = 0; i < QEFF_NUM_ACTIONS; i++)
		if (v->faults.fired[i])
			json_object_set_new(fired,
					    qeff_fault_action_name((enum qeff_fault_action)i),
					    json_integer((json_int_t)v->faults.fired[i]));
	pthread_mutex_unlock(&v->faults.lock);
	return json_pack("{s:o, s:o}", "events", events, "faults", fired);
}

static json_t *bus_stats(struct qeff_vcard *v)
{
	json_t *bus;

	pthread_mutex_lock(&v->irqs.lock);
	bus = json_pack("{s:I, s:I, s:i, s:i, s:I, s:o, s:o, s:o, s:I, s:o}", "clients",
			(json_int_t)v->clients, "resets", (json_int_t)v->resets, "master",
			qeff_config_bus_master(&v->config_space), "left_as_master",
			v->left_as_master, "messages", (json_int_t)v->messages, "bar_reads",
			u64_array(v->reads, QEFF_NUM_BARS), "bar_writes",
			u64_array(v->writes, QEFF_NUM_BARS), "msi",
			u64_array(v->irqs.raised, QEFF_IRQ_MESSAGES), "msi_unheard",
			(json_int_t)v->irqs.unheard, "doorbells",
			u64_array(v->bridge.doorbells, QEFF_CARD_DBCS));
	pthread_mutex_unlock(&v->irqs.lock);
	return bus;
}

int qeff_vcard_write_stats(struct qeff_vcard *v, struct qeff_error *err)
{
	json_t *all;
	char *text;
	int ret;

	if (!v->stats_path)
		return 0;
	all = json_pack("{s:o, s:o, s:o, s:o, s:o}", "card", card_stats(v), "dma", dma_stats(v),
			"mhi", mhi_stats(v), "bus", bus_stats(v), "plan", fault_stats(v));
	text = all ? json_dumps(all, JSON_INDENT(1)) : NULL;
	json_decref(all);
	if (!text)
		return qeff_error_set(err, -ENOMEM, "%s: no memory for statistics", v->stats_path);
	ret = qeff_write_file(v->stats_path, text, strlen(text), err);
	free(text);
	return ret;
}
