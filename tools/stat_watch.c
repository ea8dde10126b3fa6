/* SPDX-License-Identifier: MIT */
/* qeff-stat --watch: a line for each event. */
#include "stat.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char *error_word(enum qeff_card_error type)
{
	switch (type) {
	case QEFF_CARD_ERROR_CORRECTED:
		return "corrected";
	case QEFF_CARD_ERROR_FATAL:
		return "fatal";
	case QEFF_CARD_ERROR_UNCORRECTED:
		return "uncorrected";
	}
	return "unknown";
}

static void print_text(const struct qeff_event *e, const char *when)
{
	printf("%s  %-12s  %s", when, e->pci_address, qeff_event_name(e->kind));
	switch (e->kind) {
	case QEFF_EVENT_ONLINE:
		if (e->serial)
			printf(", serial %" PRIu32, e->serial);
		break;
	case QEFF_EVENT_RESET:
		printf(": %s", e->reason);
		break;
	case QEFF_EVENT_CHANNEL:
		printf(" %" PRIu32 ": %s", e->channel, stat_channel_state(e->channel_state));
		break;
	case QEFF_EVENT_ERROR:
		printf(": %" PRIu32 " %s in %s", e->error_count, error_word(e->error_type),
		       stat_error_source(e->error_source));
		break;
	case QEFF_EVENT_LOST:
		printf(": more happened than could be read");
		break;
	default:
		break;
	}
	putchar('\n');
}

static void print_json(const struct qeff_event *e, const char *when)
{
	json_t *o = json_object();
	char *text;

	json_object_set_new(o, "time", json_string(when));
	json_object_set_new(o, "event", json_string(qeff_event_name(e->kind)));
	if (e->pci_address[0])
		json_object_set_new(o, "pci_address", json_string(e->pci_address));
	if (e->serial)
		json_object_set_new(o, "serial", json_integer(e->serial));
	if (e->kind == QEFF_EVENT_RESET)
		json_object_set_new(o, "reason", json_string(e->reason));
	if (e->kind == QEFF_EVENT_CHANNEL) {
		json_object_set_new(o, "channel", json_integer(e->channel));
		json_object_set_new(o, "state", json_string(stat_channel_state(e->channel_state)));
	}
	if (e->kind == QEFF_EVENT_ERROR) {
		json_object_set_new(o, "severity", json_string(error_word(e->error_type)));
		json_object_set_new(o, "source", json_string(stat_error_source(e->error_source)));
		json_object_set_new(o, "count", json_integer(e->error_count));
	}
	text = json_dumps(o, JSON_COMPACT);
	json_decref(o);
	if (text)
		puts(text);
	free(text);
}

/* "2026-01-31T12:00:00.123Z" */
static const char *now_text(char *text, size_t size_bytes)
{
	struct timespec ts;
	struct tm tm;
	size_t used;

	clock_gettime(CLOCK_REALTIME, &ts);
	gmtime_r(&ts.tv_sec, &tm);
	used = strftime(text, size_bytes, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text + used, size_bytes - used, ".%03ldZ", ts.tv_nsec / 1000000);
	return text;
}

int stat_watch(const char *pci_address, bool json)
{
	struct qeff_monitor *monitor;
	struct qeff_error err = { 0 };
	struct qeff_event event;
	char when[40];
	int ret = qeff_monitor_open(pci_address, &monitor, &err);

	if (ret) {
		fprintf(stderr, "qeff-stat: %s\n", err.message);
		return EXIT_FAILURE;
	}
	/* who reads it wants each line when it happens, and a full disk ends it */
	while (!ret && fflush(stdout) == 0) {
		ret = qeff_monitor_next(monitor, -1, &event, &err);
		if (ret)
			break;
		now_text(when, sizeof(when));
		if (json)
			print_json(&event, when);
		else
			print_text(&event, when);
	}
	qeff_monitor_close(monitor);
	if (ret)
		fprintf(stderr, "qeff-stat: %s\n", err.message);
	return ret ? EXIT_FAILURE : EXIT_SUCCESS;
}
