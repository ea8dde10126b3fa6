/* SPDX-License-Identifier: MIT */
/* What is behind the MHI channels: the QSM, the echo, logs, time, and reports of what went wrong.
 */
#ifndef QEFF_PCIE_CHANNELS_H
#define QEFF_PCIE_CHANNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct qeff_vcard;
struct qeff_fault_hits;

/* A control response that is held back. */
struct qeff_late_reply {
	struct qeff_late_reply *next;
	uint64_t due_us;
	size_t size_bytes;
	uint8_t data[];
};

/**
 * struct qeff_channels - their state
 * @late: replies that are due later
 * @restarting: a subsystem restart is under way, for @restart_dbc; @restart_event was sent last
 * @ras_sequence: of the last report
 * @control_messages, @dropped: seen, and not answered by the card
 * @last_user: header handle of the host's last message
 */
struct qeff_channels {
	struct qeff_late_reply *late;
	bool restarting;
	uint32_t restart_dbc;
	uint32_t restart_event;
	uint32_t ras_sequence;
	uint64_t control_messages;
	uint32_t last_user;
	uint64_t dropped;
	uint64_t time_syncs;
};

void qeff_channels_reset(struct qeff_vcard *v);
void qeff_channels_started(struct qeff_vcard *v, unsigned int channel);
bool qeff_channels_accept(struct qeff_vcard *v, unsigned int channel);
void qeff_channels_receive(struct qeff_vcard *v, unsigned int channel, const uint8_t *data,
			   size_t size_bytes);
/* Sends what is due; returns the time of the next, UINT64_MAX if there is none. */
uint64_t qeff_channels_release(struct qeff_vcard *v, uint64_t now_us);

/* The NSPs behind channel @dbc crash (-1: behind the first in use), and are started again. */
void qeff_channels_crash_nsp(struct qeff_vcard *v, int dbc);
/* A RAS report. @type: 0 correctable, 1 fatal, 2 not fatal. */
void qeff_channels_ras(struct qeff_vcard *v, uint32_t type, uint32_t source);

#endif
