/* SPDX-License-Identifier: MIT */
/*
 * Workers. The items of the current phase are claimed from one atomic word, @work: a sequence
 * number, the number of items, and the next item. Who finishes the last item closes the phase and
 * publishes the next. Workers with nothing to claim spin for at most 50 us, since phases are short,
 * then sleep on a futex.
 */
#include "softcard/pool.h"

#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SPIN_NS	    50000
#define MAX_WORKERS 256

struct worker {
	pthread_t thread;
	struct qeff_pool *pool;
	void *scratch;
};

/**
 * struct qeff_pool
 * @lock: guards the queue, @busy and the jobs' state
 * @idle: a job became idle
 * @busy: @job is somebody's; only its closer replaces it
 * @work: sequence << 32 | items << 16 | next item
 * @remaining: items of this phase that have not finished
 * @queued: jobs in the queue, readable without the lock
 * @wake: changes whenever there is something new to do; the futex
 * @sleepers: workers about to sleep or asleep on @wake
 */
struct qeff_pool {
	pthread_mutex_t lock;
	pthread_cond_t idle;
	struct qeff_job *first;
	struct qeff_job **last;
	bool busy;
	struct qeff_job *job;
	_Atomic uint64_t work;
	_Atomic uint32_t remaining;
	_Atomic uint32_t queued;
	_Atomic uint32_t wake;
	_Atomic uint32_t sleepers;
	atomic_bool stop;
	size_t scratch_bytes;
	unsigned int workers;
	struct worker worker[];
};

static void futex_wait(_Atomic uint32_t *word, uint32_t value)
{
	syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

static void futex_wake(_Atomic uint32_t *word, int count)
{
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
}

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void pause_cpu(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#else
	atomic_signal_fence(memory_order_seq_cst);
#endif
}

/* Tells that there is something to do for up to @count workers. */
static void announce(struct qeff_pool *pool, uint32_t count)
{
	uint32_t sleepers;

	atomic_fetch_add(&pool->wake, 1);
	sleepers = atomic_load(&pool->sleepers);
	if (sleepers)
		futex_wake(&pool->wake, count > INT_MAX ? INT_MAX : (int)count);
}

/* Nothing new since @seen: spin a little, then sleep. */
static void wait_for_work(struct qeff_pool *pool, uint32_t seen)
{
	int64_t until = now_ns() + SPIN_NS;

	do {
		for (int i = 0; i < 64; i++) {
			if (atomic_load_explicit(&pool->wake, memory_order_acquire) != seen)
				return;
			pause_cpu();
		}
	} while (now_ns() < until);
	atomic_fetch_add(&pool->sleepers, 1);
	futex_wait(&pool->wake, seen);
	atomic_fetch_sub(&pool->sleepers, 1);
}

/* Offers the items of the job's current phase to @helpers workers. The caller is the only one who
 * touches @job now. */
static void publish(struct qeff_pool *pool, struct qeff_job *job, uint32_t helpers)
{
	uint64_t sequence = (atomic_load_explicit(&pool->work, memory_order_relaxed) >> 32) + 1;

	if (job->ops->before)
		job->ops->before(job, job->phase);
	atomic_store_explicit(&pool->remaining, job->width, memory_order_relaxed);
	atomic_store_explicit(&pool->work, sequence << 32 | (uint64_t)job->width << 16,
			      memory_order_release);
	if (helpers)
		announce(pool, helpers);
}

/* Takes the first job of the queue as the current one, or leaves the pool without one. */
static struct qeff_job *take_job(struct qeff_pool *pool)
{
	struct qeff_job *job = pool->first;

	if (job) {
		pool->first = job->next;
		if (!pool->first)
			pool->last = &pool->first;
		job->next = NULL;
		job->state = QEFF_JOB_RUNNING;
		atomic_fetch_sub_explicit(&pool->queued, 1, memory_order_relaxed);
	}
	pool->job = job;
	pool->busy = job != NULL;
	return job;
}

/* Returns whether the job has phases to run. */
static bool start_job(struct qeff_pool *pool, struct qeff_job *job, uint32_t helpers)
{
	job->phase = 0;
	job->phases = job->ops->begin(job);
	if (!job->phases || atomic_load(&job->cancelled))
		return false;
	publish(pool, job, helpers);
	return true;
}

static void finish_job(struct qeff_pool *pool, struct qeff_job *job)
{
	bool cancelled = job->phase < job->phases;

	pthread_mutex_lock(&pool->lock);
	/* Idle before finish() is called: it may lead to the next run of the same job. */
	job->finishing++;
	job->state = QEFF_JOB_IDLE;
	pthread_mutex_unlock(&pool->lock);
	job->ops->finish(job, cancelled);
	pthread_mutex_lock(&pool->lock);
	job->finishing--;
	pthread_cond_broadcast(&pool->idle);
	pthread_mutex_unlock(&pool->lock);
}

/* The current job is over. The next one starts first, so that the others work while this thread
 * finishes. */
static void end_job(struct qeff_pool *pool, struct qeff_job *job)
{
	struct qeff_job *next;

	while (job) {
		pthread_mutex_lock(&pool->lock);
		next = take_job(pool);
		pthread_mutex_unlock(&pool->lock);
		if (next && start_job(pool, next, next->width))
			next = NULL;
		finish_job(pool, job);
		job = next;
	}
}

static void close_phase(struct qeff_pool *pool)
{
	struct qeff_job *job = pool->job;

	if (job->ops->after)
		job->ops->after(job, job->phase);
	job->phase++;
	if (job->phase < job->phases && !atomic_load(&job->cancelled))
		publish(pool, job, job->width - 1);
	else
		end_job(pool, job);
}

/* If nothing runs, makes a queued job the current one. Returns whether it did. */
static bool start_queued(struct qeff_pool *pool)
{
	struct qeff_job *job = NULL;

	if (!atomic_load_explicit(&pool->queued, memory_order_acquire))
		return false;
	pthread_mutex_lock(&pool->lock);
	if (!pool->busy)
		job = take_job(pool);
	pthread_mutex_unlock(&pool->lock);
	if (!job)
		return false;
	if (!start_job(pool, job, job->width - 1))
		end_job(pool, job);
	return true;
}

static bool claim(struct qeff_pool *pool, uint32_t *item)
{
	uint64_t work = atomic_load_explicit(&pool->work, memory_order_acquire);

	do {
		*item = work & 0xffff;
		if (*item >= (work >> 16 & 0xffff))
			return false;
	} while (!atomic_compare_exchange_weak_explicit(
		&pool->work, &work, work + 1, memory_order_acq_rel, memory_order_acquire));
	return true;
}

static void *worker_main(void *argument)
{
	struct worker *worker = argument;
	struct qeff_pool *pool = worker->pool;
	uint32_t item, seen;

	for (;;) {
		/* Before @stop: an order to stop that comes between the two is not slept over. */
		seen = atomic_load(&pool->wake);
		if (atomic_load(&pool->stop))
			break;
		if (claim(pool, &item)) {
			struct qeff_job *job = pool->job;

			job->ops->run(job, job->phase, item, worker->scratch);
			if (atomic_fetch_sub_explicit(&pool->remaining, 1, memory_order_acq_rel) ==
			    1)
				close_phase(pool);
		} else if (!start_queued(pool)) {
			wait_for_work(pool, seen);
		}
	}
	return NULL;
}

static unsigned int cpus(void)
{
	cpu_set_t set;
	int count = 0;

	if (!sched_getaffinity(0, sizeof(set), &set))
		count = CPU_COUNT(&set);
	if (count < 1)
		count = 1;
	return count > MAX_WORKERS ? MAX_WORKERS : (unsigned int)count;
}

static int start_worker(struct qeff_pool *pool, struct worker *worker)
{
	sigset_t all, old;
	int rc;

	worker->pool = pool;
	worker->scratch = mmap(NULL, pool->scratch_bytes, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (worker->scratch == MAP_FAILED)
		return -ENOMEM;
	/* Signals are for the threads of the program, not for ours. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&worker->thread, NULL, worker_main, worker);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc)
		munmap(worker->scratch, pool->scratch_bytes);
	return -rc;
}

int qeff_pool_new(size_t scratch_bytes, struct qeff_pool **result, struct qeff_error *err)
{
	unsigned int count = cpus();
	struct qeff_pool *pool;
	int rc = 0;

	pool = calloc(1, sizeof(*pool) + count * sizeof(pool->worker[0]));
	if (!pool)
		return qeff_error_set(err, -ENOMEM, "software card: no memory for %u workers",
				      count);
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->idle, NULL);
	pool->last = &pool->first;
	pool->scratch_bytes = scratch_bytes;
	while (pool->workers < count) {
		rc = start_worker(pool, &pool->worker[pool->workers]);
		if (rc)
			break;
		pool->workers++;
	}
	/* Fewer workers than CPUs are slower, not wrong. */
	if (!pool->workers) {
		qeff_pool_free(pool);
		return qeff_error_set(err, rc, "software card: cannot start a worker thread");
	}
	*result = pool;
	return 0;
}

void qeff_pool_free(struct qeff_pool *pool)
{
	if (!pool)
		return;
	atomic_store(&pool->stop, true);
	announce(pool, MAX_WORKERS);
	for (unsigned int i = 0; i < pool->workers; i++) {
		pthread_join(pool->worker[i].thread, NULL);
		munmap(pool->worker[i].scratch, pool->scratch_bytes);
	}
	pthread_cond_destroy(&pool->idle);
	pthread_mutex_destroy(&pool->lock);
	free(pool);
}

void qeff_pool_submit(struct qeff_pool *pool, struct qeff_job *job)
{
	pthread_mutex_lock(&pool->lock);
	job->state = QEFF_JOB_QUEUED;
	job->next = NULL;
	*pool->last = job;
	pool->last = &job->next;
	atomic_fetch_add_explicit(&pool->queued, 1, memory_order_release);
	pthread_mutex_unlock(&pool->lock);
	announce(pool, 1);
}

/* Takes the job out of the queue. */
static void unqueue(struct qeff_pool *pool, struct qeff_job *job)
{
	struct qeff_job **at = &pool->first;

	while (*at != job)
		at = &(*at)->next;
	*at = job->next;
	if (!*at)
		pool->last = at;
	job->next = NULL;
	job->state = QEFF_JOB_IDLE;
	atomic_fetch_sub_explicit(&pool->queued, 1, memory_order_relaxed);
}

void qeff_pool_cancel(struct qeff_pool *pool, struct qeff_job *job)
{
	atomic_store(&job->cancelled, true);
	pthread_mutex_lock(&pool->lock);
	if (job->state == QEFF_JOB_QUEUED)
		unqueue(pool, job);
	while (job->state != QEFF_JOB_IDLE || job->finishing)
		pthread_cond_wait(&pool->idle, &pool->lock);
	pthread_mutex_unlock(&pool->lock);
}
