/* SPDX-License-Identifier: MIT */
/* qeff-stat's tables. */
#include "stat.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* "12 / 16" */
static const char *pair(char *text, size_t size, uint32_t free_count, uint32_t total)
{
	snprintf(text, size, "%" PRIu32 " / %" PRIu32, free_count, total);
	return text;
}

/* "31.9 / 32.0 GiB" */
static const char *memory_pair(char *text, size_t size, uint64_t free_bytes, uint64_t total_bytes)
{
	snprintf(text, size, "%.1f / %.1f GiB", (double)free_bytes / (1 << 30),
		 (double)total_bytes / (1 << 30));
	return text;
}

static const char *memory(char *text, size_t size, uint64_t bytes)
{
	if (bytes < UINT64_C(1) << 30)
		snprintf(text, size, "%.1f MiB", (double)bytes / (1 << 20));
	else
		snprintf(text, size, "%.1f GiB", (double)bytes / (1 << 30));
	return text;
}

#define CARD_ROW "%3s  %-14s %-10s %-14s %-11s %9s  %17s  %s\n"

static void print_card(const struct card *card)
{
	const struct qeff_device_status *s = &card->answer.status;
	char index[12], nsps[32] = "-", ddr[48] = "-", networks[48] = "-";

	snprintf(index, sizeof(index), "%" PRIu32, card->info->index);
	if (stat_trouble(card)) {
		printf(CARD_ROW, index, card->info->name, "-", stat_word(card), "-", nsps, ddr,
		       networks);
		return;
	}
	pair(nsps, sizeof(nsps), s->nsp_free, s->nsp_total);
	memory_pair(ddr, sizeof(ddr), s->ddr_free_bytes, s->ddr_total_bytes);
	snprintf(networks, sizeof(networks), "%" PRIu32 " (%" PRIu32 " active)", s->networks_loaded,
		 s->networks_active);
	if (card->info->kind == QEFF_DEVICE_SOFT)
		printf(CARD_ROW, index, card->info->name, s->sku_name, "software", "-", nsps, ddr,
		       "in the process that uses it");
	else
		printf(CARD_ROW, index, card->info->name, s->sku_name, stat_word(card),
		       s->firmware_version, nsps, ddr, networks);
}

/* The software cards that are in use: each is a card of its own, in its process. */
static void print_software_cards(const struct report *r)
{
	char name[64], nsps[32], ddr[48];

	for (size_t i = 0; i < r->published->count; i++) {
		const struct qeff_published_process *p = &r->published->processes[i];

		for (size_t j = 0; j < p->num_devices && !stat_only_asks(p); j++) {
			const struct qeff_published_device *d = &p->devices[j];

			if (d->kind != QEFF_DEVICE_SOFT || !stat_shows(r, d->name))
				continue;
			snprintf(name, sizeof(name), "%s @%d", d->name, p->pid);
			printf(CARD_ROW, "", name, "", "in use", "-",
			       pair(nsps, sizeof(nsps), d->nsp_free, d->nsp_total),
			       memory_pair(ddr, sizeof(ddr), d->ddr_free_bytes, d->ddr_total_bytes),
			       "");
		}
	}
}

static void print_programs(const struct report *r)
{
	bool any = false;
	char ddr[32];

	for (size_t i = 0; i < r->published->count; i++) {
		const struct qeff_published_process *p = &r->published->processes[i];

		for (size_t j = 0; j < p->num_programs; j++) {
			const struct qeff_published_program *program = &p->programs[j];

			if (!stat_shows(r, program->device))
				continue;
			if (!any)
				printf("\n%8s  %-15s %-13s %4s  %10s  %11s  %s\n", "PID", "Command",
				       "Card", "NSPs", "DDR", "Inferences", "Program");
			any = true;
			printf("%8d  %-15.15s %-13s %4" PRIu32 "  %10s  %11" PRIu64 "  %s\n",
			       p->pid, p->command, program->device, program->nsps,
			       memory(ddr, sizeof(ddr), program->ddr_bytes), program->inferences,
			       program->path[0] ? program->path : program->name);
		}
	}
	if (!any)
		printf("\nNo process that can be seen has a program on them.\n");
}

#define CHANNEL_ROW "%-14s %7s  %-15s %7s  %13s  %10s %10s %7s  %10s %10s  %10s\n"

/* Channels that have ever had something to do. */
static void print_channels(const struct report *r)
{
	char id[12], queued[32], n[7][24], elements[12];
	bool any = false;

	for (size_t i = 0; i < r->num_cards; i++) {
		const struct card *card = &r->cards[i];

		for (unsigned int c = 0; card->has_counters && c < QEFF_CHANNELS; c++) {
			const struct qeff_channel_counters *k = &card->counters.channels[c];

			if (!k->submitted && !k->elements)
				continue;
			if (!any)
				printf("\n" CHANNEL_ROW, "Card", "Channel", "State", "Ring",
				       "Queued (most)", "Submitted", "Completed", "Failed",
				       "To card", "From card", "Interrupts");
			any = true;
			snprintf(id, sizeof(id), "%u", c);
			snprintf(elements, sizeof(elements), "%" PRIu32, k->elements);
			snprintf(queued, sizeof(queued), "%" PRIu32 " (%" PRIu32 ")", k->queued,
				 k->queue_high);
			snprintf(n[0], sizeof(n[0]), "%" PRIu64, k->submitted);
			snprintf(n[1], sizeof(n[1]), "%" PRIu64, k->completed);
			snprintf(n[2], sizeof(n[2]), "%" PRIu64, k->failed);
			snprintf(n[5], sizeof(n[5]), "%" PRIu64, k->interrupts);
			printf(CHANNEL_ROW, card->info->name, id, stat_channel_state(k->state),
			       elements, queued, n[0], n[1], n[2],
			       memory(n[3], sizeof(n[3]), k->bytes_to_device),
			       memory(n[4], sizeof(n[4]), k->bytes_from_device), n[5]);
		}
	}
}

/* Said only if there is something to say. */
static void print_errors(const struct card *card)
{
	const struct qeff_counters *c = &card->counters;

	if (!card->has_counters ||
	    !(c->resets || c->errors_corrected || c->errors_uncorrected || c->errors_fatal))
		return;
	printf("\n%s: %" PRIu32 " resets; hardware errors: %" PRIu32 " corrected, %" PRIu32
	       " uncorrected, %" PRIu32 " fatal\n",
	       card->info->name, c->resets, c->errors_corrected, c->errors_uncorrected,
	       c->errors_fatal);
}

void stat_print_text(const struct report *r)
{
	if (!r->has_pci_cards)
		printf("No Cloud AI card in this machine. Programs run on a card made of "
		       "software.\n\n");
	printf(CARD_ROW, "ID", "Card", "SKU", "State", "Firmware", "NSPs free", "DDR free",
	       "Programs");
	for (size_t i = 0; i < r->num_cards; i++)
		print_card(&r->cards[i]);
	print_software_cards(r);
	for (size_t i = 0; i < r->num_cards; i++)
		if (stat_trouble(&r->cards[i]))
			printf("\n%s: %s\n", r->cards[i].info->name, stat_trouble(&r->cards[i]));
	for (size_t i = 0; i < r->num_cards; i++)
		print_errors(&r->cards[i]);
	print_programs(r);
	print_channels(r);
}
