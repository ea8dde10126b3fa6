/* SPDX-License-Identifier: MIT */
/*
 * Faults on order: a plan names what goes wrong at which event. Events are counted from any thread.
 */
#ifndef QEFF_PCIE_FAULT_H
#define QEFF_PCIE_FAULT_H

#include "util/error.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define QEFF_MAX_FAULTS 32u

enum qeff_fault_event {
	QEFF_EVENT_MSI0,     /* an interrupt of MHI */
	QEFF_EVENT_MSI,	     /* an interrupt of a DMA bridge channel */
	QEFF_EVENT_CONTROL,  /* a control message from the host */
	QEFF_EVENT_DOORBELL, /* a write of a request tail */
	QEFF_EVENT_ELEMENT,  /* the bridge takes an element */
	QEFF_EVENT_TRANSFER, /* the bridge moves an element's bytes */
	QEFF_EVENT_ACCESS,   /* a BAR is read or written */
	QEFF_EVENT_LOG,	     /* a message of the boot log */
	QEFF_NUM_EVENTS,
};

enum qeff_fault_action {
	QEFF_FAULT_LOSE,
	QEFF_FAULT_DELAY,
	QEFF_FAULT_DROP,
	QEFF_FAULT_MALFORM,
	QEFF_FAULT_FAIL,
	QEFF_FAULT_STALL,
	QEFF_FAULT_CRASH_NSP,
	QEFF_FAULT_CRASH_QSM,
	QEFF_FAULT_REBOOT_QSM,
	QEFF_FAULT_RAS_CE,
	QEFF_FAULT_RAS_UE,
	QEFF_FAULT_RAS_FATAL,
	QEFF_FAULT_OFF_BUS,
	QEFF_FAULT_SPURIOUS,
	QEFF_FAULT_EMPTY,
	QEFF_NUM_ACTIONS,
};

/* Ways to spoil a control response. */
enum qeff_malformation {
	QEFF_MALFORM_LENGTH,
	QEFF_MALFORM_MAGIC,
	QEFF_MALFORM_SEQUENCE,
	QEFF_MALFORM_COUNT,
	QEFF_MALFORM_TYPE,
	QEFF_MALFORM_TRANSACTION,
	QEFF_MALFORM_TRUNCATE,
	QEFF_MALFORM_SHORT,
	QEFF_MALFORM_WRAP,
	QEFF_NUM_MALFORMATIONS,
};

/**
 * struct qeff_fault - one entry of the plan
 * @number: at which event, from 1; @repeat: at each one from there on
 * @argument: milliseconds, a channel, a RAS source or a malformation; -1 if not given
 */
struct qeff_fault {
	enum qeff_fault_action action;
	enum qeff_fault_event event;
	uint64_t number;
	bool repeat;
	int64_t argument;
};

struct qeff_faults {
	pthread_mutex_t lock;
	struct qeff_fault plan[QEFF_MAX_FAULTS];
	unsigned int num_faults;
	uint64_t seen[QEFF_NUM_EVENTS];
	uint64_t base[QEFF_NUM_EVENTS]; /* seen when the plan began */
	uint64_t fired[QEFF_NUM_ACTIONS];
};

/**
 * struct qeff_fault_hits - what goes wrong at one event
 * @actions: a bit each; @argument: of those
 */
struct qeff_fault_hits {
	uint32_t actions;
	int64_t argument[QEFF_NUM_ACTIONS];
};

/* For --help. */
extern const char qeff_fault_help[];

/* @plan: NULL or empty for none. */
int qeff_faults_init(struct qeff_faults *f, const char *plan, struct qeff_error *err);
void qeff_faults_destroy(struct qeff_faults *f);
/* Another plan takes the place of the one before; its numbers count from now on. On failure nothing
 * has changed. */
int qeff_faults_replace(struct qeff_faults *f, const char *plan, struct qeff_error *err);

/* Counts an event. */
struct qeff_fault_hits qeff_faults_at(struct qeff_faults *f, enum qeff_fault_event event);

static inline bool qeff_fault_hit(const struct qeff_fault_hits *hits, enum qeff_fault_action action)
{
	return hits->actions >> action & 1;
}

const char *qeff_fault_event_name(enum qeff_fault_event event);
const char *qeff_fault_action_name(enum qeff_fault_action action);

#endif
