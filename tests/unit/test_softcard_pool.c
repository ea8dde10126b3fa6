/* SPDX-License-Identifier: MIT */
/* The card's workers: every item of every phase once, phases apart, jobs in turn, cancelled at any
 * moment. */
#include "unit.h"

#include "softcard/pool.h"

#include <pthread.h>
#include <string.h>

#define WIDTH	  16
#define SCRATCH	  4096
#define MAX_PHASE 512

#define SHORT_LIVES 2000

/* A job that records what happens to it. */
struct work {
	struct qeff_job job;
	uint32_t phases;
	atomic_uint done[MAX_PHASE][WIDTH];
	atomic_uint in_phase; /* items of the current phase that have run */
	atomic_uint wrong;
	atomic_uint runs, finished, cancelled;
	atomic_uint finishing;
	unsigned int before, after; /* alone, so plain */
	pthread_mutex_t lock;
	pthread_cond_t change;
	struct qeff_pool *pool;
	unsigned int again; /* submits itself this often from finish() */
};

static struct work *work_of(struct qeff_job *job)
{
	return (struct work *)job;
}

static uint32_t begin(struct qeff_job *job)
{
	struct work *w = work_of(job);

	atomic_fetch_add(&w->runs, 1);
	w->before = w->after = 0;
	return w->phases;
}

static void before(struct qeff_job *job, uint32_t phase)
{
	struct work *w = work_of(job);

	if (w->before++ != phase || w->after != phase)
		atomic_fetch_add(&w->wrong, 1);
	atomic_store(&w->in_phase, 0);
}

static void run(struct qeff_job *job, uint32_t phase, uint32_t item, void *scratch)
{
	struct work *w = work_of(job);

	/* Nobody else has this scratch now. */
	memset(scratch, (int)item, SCRATCH);
	if (w->before != phase + 1 || w->after != phase)
		atomic_fetch_add(&w->wrong, 1);
	atomic_fetch_add(&w->done[phase][item], 1);
	atomic_fetch_add(&w->in_phase, 1);
	for (size_t i = 0; i < SCRATCH; i += 64)
		if (((uint8_t *)scratch)[i] != item)
			atomic_fetch_add(&w->wrong, 1);
}

static void after(struct qeff_job *job, uint32_t phase)
{
	struct work *w = work_of(job);

	if (w->after++ != phase || atomic_load(&w->in_phase) != job->width)
		atomic_fetch_add(&w->wrong, 1);
}

static void finish(struct qeff_job *job, bool cancelled)
{
	struct work *w = work_of(job);

	atomic_fetch_add(&w->finishing, 1);
	/* So that it lasts a while. */
	for (volatile unsigned int i = 0; i < 20000; i++)
		;
	if (w->again) {
		w->again--;
		qeff_pool_submit(w->pool, job);
	}
	pthread_mutex_lock(&w->lock);
	atomic_fetch_add(cancelled ? &w->cancelled : &w->finished, 1);
	pthread_cond_broadcast(&w->change);
	pthread_mutex_unlock(&w->lock);
	atomic_fetch_sub(&w->finishing, 1);
}

static const struct qeff_job_ops ops = { begin, before, run, after, finish };

static struct work *work_new(struct qeff_pool *pool, uint32_t width, uint32_t phases)
{
	struct work *w = calloc(1, sizeof(*w));

	CU_ASSERT_PTR_NOT_NULL_FATAL(w);
	w->job.ops = &ops;
	w->job.width = width;
	w->phases = phases;
	w->pool = pool;
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->change, NULL);
	return w;
}

static void work_wait(struct work *w, unsigned int finished)
{
	pthread_mutex_lock(&w->lock);
	while (atomic_load(&w->finished) < finished)
		pthread_cond_wait(&w->change, &w->lock);
	pthread_mutex_unlock(&w->lock);
}

/* After so many whole runs. */
static void work_check(const struct work *w, unsigned int runs)
{
	unsigned int wrong = 0;

	for (uint32_t p = 0; p < w->phases; p++)
		for (uint32_t i = 0; i < w->job.width; i++)
			wrong += atomic_load(&w->done[p][i]) != runs;
	CU_ASSERT_EQUAL(wrong, 0);
	CU_ASSERT_EQUAL(atomic_load(&w->wrong), 0);
	CU_ASSERT_EQUAL(atomic_load(&w->runs), runs);
}

static void work_free(struct work *w)
{
	qeff_pool_cancel(w->pool, &w->job);
	pthread_cond_destroy(&w->change);
	pthread_mutex_destroy(&w->lock);
	free(w);
}

static void test_phases(void)
{
	static const uint32_t widths[] = { 1, 2, 3, 16 };
	struct qeff_pool *pool = NULL;

	CU_ASSERT_EQUAL_FATAL(qeff_pool_new(SCRATCH, &pool, NULL), 0);
	for (size_t i = 0; i < 4; i++) {
		struct work *w = work_new(pool, widths[i], 300);

		for (unsigned int n = 1; n <= 3; n++) {
			qeff_pool_submit(pool, &w->job);
			work_wait(w, n);
		}
		work_check(w, 3);
		work_free(w);
	}
	qeff_pool_free(pool);
}

/* More jobs than workers, some without phases, some that come again from their own end. */
static void test_turns(void)
{
	struct qeff_pool *pool = NULL;
	struct work *w[10];

	CU_ASSERT_EQUAL_FATAL(qeff_pool_new(SCRATCH, &pool, NULL), 0);
	for (unsigned int i = 0; i < 10; i++) {
		w[i] = work_new(pool, 1 + i, i % 3 ? 20 * i : 0);
		w[i]->again = i;
	}
	for (unsigned int i = 0; i < 10; i++)
		qeff_pool_submit(pool, &w[i]->job);
	for (unsigned int i = 0; i < 10; i++) {
		work_wait(w[i], 1 + i);
		work_check(w[i], 1 + i);
		work_free(w[i]);
	}
	qeff_pool_free(pool);
}

static void test_cancel(void)
{
	struct qeff_pool *pool = NULL;

	CU_ASSERT_EQUAL_FATAL(qeff_pool_new(SCRATCH, &pool, NULL), 0);
	for (unsigned int i = 0; i < 200; i++) {
		struct work *a = work_new(pool, WIDTH, MAX_PHASE), *b = work_new(pool, 2, 50);
		struct work *c = work_new(pool, 3, 10);
		unsigned int ended;

		qeff_pool_submit(pool, &a->job);
		qeff_pool_submit(pool, &b->job);
		qeff_pool_submit(pool, &c->job);
		/* The last one in the queue, or whatever has become of it; then the first. */
		if (i % 2)
			qeff_pool_cancel(pool, &b->job);
		qeff_pool_cancel(pool, &a->job);
		ended = atomic_load(&a->runs);
		CU_ASSERT(ended <= 1);
		CU_ASSERT_EQUAL(atomic_load(&a->finished) + atomic_load(&a->cancelled), ended);
		CU_ASSERT_EQUAL(a->job.state, QEFF_JOB_IDLE);
		CU_ASSERT_EQUAL(atomic_load(&a->finishing), 0);
		/* The others are not concerned. */
		work_wait(c, 1);
		work_check(c, 1);
		if (!(i % 2)) {
			work_wait(b, 1);
			work_check(b, 1);
		}
		CU_ASSERT_EQUAL(atomic_load(&a->runs), ended);
		work_free(a);
		work_free(b);
		work_free(c);
	}
	qeff_pool_free(pool);
}

/* A pool that goes as soon as it came: its workers may be told to stop before they have begun, or
 * between any two of their steps. */
static void test_short_life(void)
{
	for (unsigned int i = 0; i < SHORT_LIVES; i++) {
		struct qeff_pool *pool = NULL;

		CU_ASSERT_EQUAL_FATAL(qeff_pool_new(SCRATCH, &pool, NULL), 0);
		/* so long that workers are here and there by then */
		for (volatile unsigned int n = 0; n < i % 64 * 100; n++)
			;
		qeff_pool_free(pool);
	}
}

static const struct unit_test tests[] = {
	{ "phases", test_phases },
	{ "short life", test_short_life },
	{ "jobs in turn", test_turns },
	{ "cancel", test_cancel },
};

QEFF_UNIT_MAIN("softcard pool", tests)
