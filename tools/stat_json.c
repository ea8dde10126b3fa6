/* SPDX-License-Identifier: MIT */
/* qeff-stat's JSON. */
#include "stat.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

static json_t *number(uint64_t value)
{
	return json_integer((json_int_t)value);
}

/* Strings from cards and sysfs are printable; an absent one is null. */
static json_t *text(const char *value)
{
	return value && *value ? json_string(value) : json_null();
}

static json_t *status_json(const struct qeff_device_status *s)
{
	json_t *o = json_object();

	json_object_set_new(o, "sku", json_string(s->sku_name));
	json_object_set_new(o, "nsp_total", number(s->nsp_total));
	json_object_set_new(o, "nsp_free", number(s->nsp_free));
	json_object_set_new(o, "ddr_total_bytes", number(s->ddr_total_bytes));
	json_object_set_new(o, "ddr_free_bytes", number(s->ddr_free_bytes));
	json_object_set_new(o, "ddr_fragmentation_percent", number(s->ddr_fragmentation_percent));
	json_object_set_new(o, "vc_total", number(s->vc_total));
	json_object_set_new(o, "vc_free", number(s->vc_free));
	json_object_set_new(o, "mcid_total", number(s->mcid_total));
	json_object_set_new(o, "mcid_free", number(s->mcid_free));
	json_object_set_new(o, "semaphore_total", number(s->semaphore_total));
	json_object_set_new(o, "semaphore_free", number(s->semaphore_free));
	json_object_set_new(o, "constants_loaded", number(s->constants_loaded));
	json_object_set_new(o, "constants_in_use", number(s->constants_in_use));
	json_object_set_new(o, "networks_loaded", number(s->networks_loaded));
	json_object_set_new(o, "networks_active", number(s->networks_active));
	json_object_set_new(o, "firmware_version", text(s->firmware_version));
	json_object_set_new(o, "firmware_image", text(s->firmware_image));
	json_object_set_new(o, "firmware_variant", text(s->firmware_variant));
	json_object_set_new(o, "nsp_version", text(s->nsp_version));
	json_object_set_new(o, "board_serial", text(s->board_serial));
	json_object_set_new(o, "chip_serial", text(s->chip_serial));
	json_object_set_new(o, "nsp_hz", number(s->nsp_hz));
	json_object_set_new(o, "ddr_hz", number(s->ddr_hz));
	json_object_set_new(o, "ddr_bytes_per_s", number(s->ddr_bytes_per_s));
	json_object_set_new(o, "peak_ops_per_s", number(s->peak_ops_per_s));
	json_object_set_new(o, "retired_pages", number(s->retired_pages));
	return o;
}

static const char *kind_word(enum qeff_device_kind kind)
{
	return kind == QEFF_DEVICE_SOFT ? "soft" : "drm";
}

static json_t *channel_json(unsigned int id, const struct qeff_channel_counters *c)
{
	json_t *o = json_object();

	json_object_set_new(o, "channel", number(id));
	json_object_set_new(o, "state", json_string(stat_channel_state(c->state)));
	json_object_set_new(o, "ring_elements", number(c->elements));
	json_object_set_new(o, "queued", number(c->queued));
	json_object_set_new(o, "queue_high", number(c->queue_high));
	json_object_set_new(o, "submitted", number(c->submitted));
	json_object_set_new(o, "completed", number(c->completed));
	json_object_set_new(o, "failed", number(c->failed));
	json_object_set_new(o, "bytes_to_device", number(c->bytes_to_device));
	json_object_set_new(o, "bytes_from_device", number(c->bytes_from_device));
	json_object_set_new(o, "interrupts", number(c->interrupts));
	return o;
}

static json_t *counters_json(const struct qeff_counters *c)
{
	json_t *o = json_object(), *channels = json_array();

	for (unsigned int i = 0; i < QEFF_CHANNELS; i++)
		json_array_append_new(channels, channel_json(i, &c->channels[i]));
	json_object_set_new(o, "serial", number(c->serial));
	json_object_set_new(o, "resets", number(c->resets));
	json_object_set_new(o, "errors_corrected", number(c->errors_corrected));
	json_object_set_new(o, "errors_uncorrected", number(c->errors_uncorrected));
	json_object_set_new(o, "errors_fatal", number(c->errors_fatal));
	json_object_set_new(o, "channels", channels);
	return o;
}

static json_t *card_json(const struct card *card)
{
	const struct qeff_device_info *info = card->info;
	json_t *o = json_object();

	json_object_set_new(o, "index", number(info->index));
	json_object_set_new(o, "name", json_string(info->name));
	json_object_set_new(o, "kind", json_string(kind_word(info->kind)));
	json_object_set_new(o, "pci_address", text(info->pci_address));
	json_object_set_new(o, "pci_device",
			    info->pci_device ? number(info->pci_device) : json_null());
	json_object_set_new(o, "node", text(info->node));
	json_object_set_new(o, "driver", text(info->driver));
	json_object_set_new(o, "state", json_string(stat_word(card)));
	json_object_set_new(o, "reason", text(stat_trouble(card)));
	json_object_set_new(o, "status",
			    stat_trouble(card) ? json_null() : status_json(&card->answer.status));
	json_object_set_new(o, "counters",
			    card->has_counters ? counters_json(&card->counters) : json_null());
	return o;
}

static json_t *process_json(const struct report *r, const struct qeff_published_process *p)
{
	json_t *o = json_object(), *devices = json_array(), *programs = json_array();

	for (size_t i = 0; i < p->num_devices; i++) {
		const struct qeff_published_device *d = &p->devices[i];
		json_t *device = json_object();

		if (!stat_shows(r, d->name)) {
			json_decref(device);
			continue;
		}
		json_object_set_new(device, "name", json_string(d->name));
		json_object_set_new(device, "kind", json_string(kind_word(d->kind)));
		if (d->kind == QEFF_DEVICE_SOFT) {
			json_object_set_new(device, "nsp_total", number(d->nsp_total));
			json_object_set_new(device, "nsp_free", number(d->nsp_free));
			json_object_set_new(device, "ddr_total_bytes", number(d->ddr_total_bytes));
			json_object_set_new(device, "ddr_free_bytes", number(d->ddr_free_bytes));
		}
		json_array_append_new(devices, device);
	}
	for (size_t i = 0; i < p->num_programs; i++) {
		const struct qeff_published_program *q = &p->programs[i];
		json_t *program;

		if (!stat_shows(r, q->device))
			continue;
		program = json_object();
		json_object_set_new(program, "device", json_string(q->device));
		json_object_set_new(program, "name", text(q->name));
		json_object_set_new(program, "path", text(q->path));
		json_object_set_new(program, "nsps", number(q->nsps));
		json_object_set_new(program, "ddr_bytes", number(q->ddr_bytes));
		json_object_set_new(program, "inferences", number(q->inferences));
		json_array_append_new(programs, program);
	}
	json_object_set_new(o, "pid", json_integer(p->pid));
	json_object_set_new(o, "command", text(p->command));
	json_object_set_new(o, "devices", devices);
	json_object_set_new(o, "programs", programs);
	return o;
}

void stat_print_json(const struct report *r)
{
	json_t *root = json_object(), *devices = json_array(), *processes = json_array();

	for (size_t i = 0; i < r->num_cards; i++)
		json_array_append_new(devices, card_json(&r->cards[i]));
	for (size_t i = 0; i < r->published->count; i++)
		if (!stat_only_asks(&r->published->processes[i]))
			json_array_append_new(processes,
					      process_json(r, &r->published->processes[i]));
	json_object_set_new(root, "version", json_string(QEFF_VERSION));
	json_object_set_new(root, "devices", devices);
	json_object_set_new(root, "processes", processes);
	json_dumpf(root, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(root);
}
