/* SPDX-License-Identifier: MIT */
/*
 * The threads behind the NSPs. An NSP is not a thread: a pool has one worker a CPU, and the workers
 * run the items (one per NSP) of one phase of one job, then of the next phase. Jobs take the pool
 * in turn.
 */
#ifndef QEFF_SOFTCARD_POOL_H
#define QEFF_SOFTCARD_POOL_H

#include "util/error.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct qeff_pool;
struct qeff_job;

/**
 * struct qeff_job_ops - what a job does; called on workers, without any lock
 * @begin: starts a run; returns its number of phases, which may be 0
 * @before: alone, before the items of a phase; may be NULL
 * @run: one item of one phase; @scratch is the worker's own
 * @after: alone, after the items of a phase; may be NULL
 * @finish: ends a run; the job may be submitted again from here. @cancelled: not all phases have
 * been run
 */
struct qeff_job_ops {
	uint32_t (*begin)(struct qeff_job *job);
	void (*before)(struct qeff_job *job, uint32_t phase);
	void (*run)(struct qeff_job *job, uint32_t phase, uint32_t item, void *scratch);
	void (*after)(struct qeff_job *job, uint32_t phase);
	void (*finish)(struct qeff_job *job, bool cancelled);
};

enum qeff_job_state { QEFF_JOB_IDLE = 0, QEFF_JOB_QUEUED, QEFF_JOB_RUNNING };

/**
 * struct qeff_job - embedded in what it works on; zeroed but for @ops and @width
 * @width: items of each phase, 1..65535
 *
 * The rest belongs to the pool.
 */
struct qeff_job {
	const struct qeff_job_ops *ops;
	uint32_t width;
	struct qeff_job *next;
	enum qeff_job_state state;
	unsigned int finishing;
	uint32_t phase;
	uint32_t phases;
	atomic_bool cancelled;
};

/* Starts a worker for each CPU that this process may run on. @scratch_bytes: for each of them,
 * 4096-byte aligned; costs memory only where it is touched. */
int qeff_pool_new(size_t scratch_bytes, struct qeff_pool **pool, struct qeff_error *err);
/* No job may be queued or running. */
void qeff_pool_free(struct qeff_pool *pool);

/* Queues an idle job. Allocates nothing, runs nothing in the caller. */
void qeff_pool_submit(struct qeff_pool *pool, struct qeff_job *job);

/* Ends the job's run at the next phase boundary and returns once it is idle and its @finish has
 * returned. The caller sees to it that nobody submits it any more. The job cannot be used again. */
void qeff_pool_cancel(struct qeff_pool *pool, struct qeff_job *job);

#endif
