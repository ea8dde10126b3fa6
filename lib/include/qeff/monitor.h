/* SPDX-License-Identifier: MIT */
/*
 * What happens to the cards of this machine, and what their driver has counted: for those who watch
 * machines. Nothing here opens a card or waits for one, so one that hangs is watched like any
 * other.
 *
 * Threads: a monitor belongs to one thread at a time. No function of this header is a cancellation
 * point.
 */
#ifndef QEFF_MONITOR_H
#define QEFF_MONITOR_H

#include <qeff/api.h>
#include <qeff/device.h>
#include <qeff/error.h>

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * enum qeff_event_kind - what happened
 * @QEFF_EVENT_ADDED: the card has appeared on the PCI bus
 * @QEFF_EVENT_REMOVED: it has gone from there
 * @QEFF_EVENT_ONLINE: its firmware answers: it can be opened. @serial
 * @QEFF_EVENT_OFFLINE: it is reset, stopped or lost; what was loaded on it is gone
 * @QEFF_EVENT_RESET: the driver resets it, for @reason (qeff.ko only)
 * @QEFF_EVENT_CHANNEL: @channel has come into @channel_state (qeff.ko, and newer versions of qaic)
 * @QEFF_EVENT_ERROR: the card reported hardware errors: @error_type, @error_source, @error_count
 * (qeff.ko only)
 * @QEFF_EVENT_LOST: more happened than was read in time: ask for the list of cards anew
 */
enum qeff_event_kind {
	QEFF_EVENT_ADDED = 0,
	QEFF_EVENT_REMOVED,
	QEFF_EVENT_ONLINE,
	QEFF_EVENT_OFFLINE,
	QEFF_EVENT_RESET,
	QEFF_EVENT_CHANNEL,
	QEFF_EVENT_ERROR,
	QEFF_EVENT_LOST,
};

/**
 * enum qeff_card_error - how bad an error is
 * @QEFF_CARD_ERROR_CORRECTED: nothing was lost
 * @QEFF_CARD_ERROR_FATAL: the card is reset
 * @QEFF_CARD_ERROR_UNCORRECTED: something was lost, the card goes on
 */
enum qeff_card_error {
	QEFF_CARD_ERROR_CORRECTED = 0,
	QEFF_CARD_ERROR_FATAL = 1,
	QEFF_CARD_ERROR_UNCORRECTED = 2,
};

/**
 * struct qeff_event - one thing that happened; what its kind does not name is zero
 * @kind: what
 * @pci_address: of the card, "0000:03:00.0"; empty for QEFF_EVENT_LOST
 * @serial: as the boot loader gives it; 0 if it is not told
 * @reason: a few words
 * @channel: DMA bridge channel, 0..15
 * @channel_state: 0 idle, 1 in use, 2 to 5 on the way through a restart of its NSPs: before and
 * after they stop, before and after they start again
 * @error_type: how bad
 * @error_source: 0 SoC memory, 1 PCIe, 2 DDR, 3 and 4 system buses, 5 NSP memory, 6 temperature
 * sensor
 * @error_count: how many
 */
struct qeff_event {
	enum qeff_event_kind kind;
	char pci_address[16];
	uint32_t serial;
	char reason[64];
	uint32_t channel;
	uint32_t channel_state;
	enum qeff_card_error error_type;
	uint32_t error_source;
	uint32_t error_count;
};

struct qeff_monitor;

/**
 * qeff_monitor_open - begin to watch
 * @pci_address: the card to watch, "0000:03:00.0", be it there or not; NULL for all
 * @monitor: the result; the caller closes it with qeff_monitor_close()
 * @err: why it failed
 *
 * Needs no privilege and no card. Listens to the kernel's device events and, whenever qeff.ko is
 * loaded, to its own. In a container, the latter are there only if it shares the host's network.
 *
 * Return: 0, -ENOMEM, or what the kernel says of its sockets.
 */
QEFF_API int qeff_monitor_open(const char *pci_address, struct qeff_monitor **monitor,
			       struct qeff_error *err);

/* Stops; accepts NULL. */
QEFF_API void qeff_monitor_close(struct qeff_monitor *monitor);

/* A descriptor for poll() that is readable when qeff_monitor_next() may have something; never to be
 * read from. Lives as long as the monitor. */
QEFF_API int qeff_monitor_fd(const struct qeff_monitor *monitor);

/**
 * qeff_monitor_next - the next event
 * @monitor: the monitor
 * @timeout_ms: how long to wait for it: 0 for not at all, -1 for as long as it takes
 * @event: the event
 * @err: why there is none
 *
 * Return: 0, -ETIMEDOUT, -EINTR (a signal was handled meanwhile), or what the kernel says.
 */
QEFF_API int qeff_monitor_next(struct qeff_monitor *monitor, int timeout_ms,
			       struct qeff_event *event, struct qeff_error *err);

/* The kind as a word for people and JSON: "online", ... */
QEFF_API const char *qeff_event_name(enum qeff_event_kind kind);

#define QEFF_CHANNELS 16

/**
 * struct qeff_channel_counters - a DMA bridge channel, since the driver was bound
 * @state: as in struct qeff_event
 * @elements: size of its ring; 0 if it is not in use
 * @queued: buffers queued now
 * @queue_high: most elements ever in its ring
 * @submitted: buffers queued; @completed: of which have ended; @failed: of which with an error
 * @bytes_to_device: moved by those without; @bytes_from_device: likewise
 * @interrupts: that were for it
 */
struct qeff_channel_counters {
	uint32_t state;
	uint32_t elements;
	uint32_t queued;
	uint32_t queue_high;
	uint64_t submitted;
	uint64_t completed;
	uint64_t failed;
	uint64_t bytes_to_device;
	uint64_t bytes_from_device;
	uint64_t interrupts;
};

/**
 * struct qeff_counters - what the driver knows of a card
 * @serial: as the boot loader gives it
 * @resets: of the card, since the driver was bound
 * @errors_corrected: reported by the card; @errors_fatal, @errors_uncorrected: likewise
 * @channels: by number
 */
struct qeff_counters {
	uint32_t serial;
	uint32_t resets;
	uint32_t errors_corrected;
	uint32_t errors_fatal;
	uint32_t errors_uncorrected;
	struct qeff_channel_counters channels[QEFF_CHANNELS];
};

/**
 * qeff_counters_read - ask the driver what it has counted
 * @info: the card, from the list
 * @counters: the answer
 * @err: why there is none
 *
 * The driver answers from memory, whatever the card does.
 *
 * Return: 0, -EOPNOTSUPP (a software card, or another driver than qeff.ko), -ENODEV (the card has
 * gone), -ETIMEDOUT, -ENOMEM, or what the kernel says.
 */
QEFF_API int qeff_counters_read(const struct qeff_device_info *info, struct qeff_counters *counters,
				struct qeff_error *err);

#ifdef __cplusplus
}
#endif
#endif
