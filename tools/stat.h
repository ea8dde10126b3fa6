/* SPDX-License-Identifier: MIT */
/* What the parts of qeff-stat share: the rows it has collected, and the two forms it prints them
 * in. */
#ifndef QEFF_TOOLS_STAT_H
#define QEFF_TOOLS_STAT_H

#include <qeff/device.h>
#include <qeff/monitor.h>

#include <stdbool.h>
#include <sys/types.h>

/**
 * struct answer - what the asking process sends back, whole or not at all
 * @result: 0, or the errno of opening or asking
 * @status: the card's answer
 * @message: why it failed
 */
struct answer {
	int result;
	struct qeff_device_status status;
	char message[256];
};

/**
 * struct card - one row
 * @info: from the list
 * @child: the process that asks it; 0 if it cannot be asked
 * @fd: where its answer comes from; -1 once it has come, or will not
 * @answer: all of it, if @has_answer
 * @counters: what its driver has counted, if @has_counters
 */
struct card {
	const struct qeff_device_info *info;
	pid_t child;
	int fd;
	bool has_answer;
	struct answer answer;
	bool has_counters;
	struct qeff_counters counters;
};

struct report {
	struct card *cards;
	size_t num_cards;
	const struct qeff_published_list *published;
	bool has_pci_cards;
};

/* Why the card has no numbers, or NULL if it has. */
const char *stat_trouble(const struct card *card);
/* "ready", "no answer", ... */
const char *stat_word(const struct card *card);
/* Another qeff-stat asks the cards and runs nothing. */
bool stat_only_asks(const struct qeff_published_process *p);
/* Whether a card of that name is one of the rows. */
bool stat_shows(const struct report *r, const char *device);
/* Where an error arose: "DDR", ... */
const char *stat_error_source(uint32_t source);
/* "in use", ... */
const char *stat_channel_state(uint32_t state);

void stat_print_text(const struct report *r);
void stat_print_json(const struct report *r);

/* Prints events as they come, of one card or (NULL) of all, until a signal ends it. Returns the
 * exit status. */
int stat_watch(const char *pci_address, bool json);

#endif
