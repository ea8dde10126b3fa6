/* SPDX-License-Identifier: MIT */
/* What lib/runtime may know of an open device beyond <qeff/device.h>. */
#ifndef QEFF_DEVICE_DEVICE_H
#define QEFF_DEVICE_DEVICE_H

#include "device/transport.h"

#include <qeff/device.h>

/* The way to the card; belongs to @device. */
struct qeff_transport *qeff_device_transport(struct qeff_device *device);

/* One more owner: the card is left when the last of them has called qeff_device_close(). */
struct qeff_device *qeff_device_ref(struct qeff_device *device);

/*
 * Published state (see <qeff/device.h>). A program of the runtime says when it is on a card, how
 * much it has run, and when it is gone. None of these fails: what cannot be published is not.
 */
struct qeff_state_program;

/**
 * qeff_state_program_loaded - a program is on the card
 * @device: the card
 * @name: name of the program
 * @path: file of its package, or NULL
 * @nsps: NSPs it takes; 0 while it is not activated
 * @ddr_bytes: device memory it takes
 *
 * Writes the file. Returns what the next calls take, or NULL (which they accept).
 */
struct qeff_state_program *qeff_state_program_loaded(struct qeff_device *device, const char *name,
						     const char *path, uint32_t nsps,
						     uint64_t ddr_bytes);

/* The program was activated or deactivated: other @nsps and @ddr_bytes. Writes the file. */
void qeff_state_program_changed(struct qeff_state_program *program, uint32_t nsps,
				uint64_t ddr_bytes);

/* @inferences more were completed. Cheap enough for each one: an addition, and now and then a
 * wake-up of the thread that writes the file, which it does at most once a second. */
void qeff_state_program_updated(struct qeff_state_program *program, uint64_t inferences);

/* The program is gone; @program too. Writes the file. */
void qeff_state_program_unloaded(struct qeff_state_program *program);

#endif
