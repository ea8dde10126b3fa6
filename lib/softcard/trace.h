/* SPDX-License-Identifier: MIT */
/*
 * What a card is asked to do, as text: control messages, and the slices that reach the DMA bridge.
 *
 * Two traces of the same work are equal, whether the card was in the process or behind a bus: ids,
 * handles and channels' bases are replaced by their order of appearance, host addresses are left
 * out, and what a driver splits (long transfers over several messages, a slice over several
 * elements) is put together again.
 */
#ifndef QEFF_SOFTCARD_TRACE_H
#define QEFF_SOFTCARD_TRACE_H

#include "util/error.h"

#include <stdbool.h>
#include <stddef.h>

struct qeff_trace;

int qeff_trace_open(const char *path, struct qeff_trace **trace, struct qeff_error *err);
/* Accepts NULL, as do all of these. */
void qeff_trace_close(struct qeff_trace *trace);

/* Made for the callbacks of struct qeff_card_host. Any thread; a line is in the file when these
 * return. */
void qeff_trace_control(struct qeff_trace *trace, bool to_card, const void *message,
			size_t size_bytes);
void qeff_trace_element(struct qeff_trace *trace, unsigned int dbc, const void *element);

#endif
