/* SPDX-License-Identifier: MIT */
/* Sessions and queues that are open and have nothing to do use no CPU. */
#include "rig.h"

static uint64_t cpu_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void *wait_for_completion(void *queue)
{
	struct qeff_completion done;

	return qeff_queue_complete(queue, -1, &done, NULL) || done.status ? NULL : queue;
}

/* Microseconds of CPU that the whole process uses in a second of nothing. */
static uint64_t cpu_of_a_second(void)
{
	const struct timespec second = { .tv_sec = 1 };
	uint64_t before = cpu_us();

	clock_nanosleep(CLOCK_MONOTONIC, 0, &second, NULL);
	return cpu_us() - before;
}

static void idle(void)
{
	struct rig polled = set_up(good_path, 4, 0), awaited = set_up(good_path, 4, 0);
	struct qeff_device *device = open_card();
	struct qeff_session *session;
	uint64_t least = UINT64_MAX;
	pthread_t thread;
	void *result;

	CU_ASSERT_TRUE(qeff_queue_fd(polled.queue) >= 0);
	CU_ASSERT_EQUAL_FATAL(qeff_session_open(device, good_path, NULL, &session, NULL), 0);
	CU_ASSERT_EQUAL(submit(polled.queue, 3, NULL), 0);
	CU_ASSERT_TRUE(complete(polled.queue));
	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, wait_for_completion, awaited.queue), 0);
	/* the counters of the inference are published within the first second or two */
	for (int i = 0; i < 4 && least > 1000; i++) {
		uint64_t us = cpu_of_a_second();

		least = us < least ? us : least;
	}
	printf("idle: %llu us of CPU in a second\n", (unsigned long long)least);
	CU_ASSERT_TRUE(least <= 1000);
	/* and all of them are awake when they are needed */
	CU_ASSERT_EQUAL(submit(awaited.queue, 4, NULL), 0);
	pthread_join(thread, &result);
	CU_ASSERT_PTR_EQUAL(result, awaited.queue);
	qeff_session_close(session);
	qeff_device_close(device);
	tear_down(&polled);
	tear_down(&awaited);
}

static const struct unit_test tests[] = { { "idle", idle } };

int main(void)
{
	int ret;

	if (!make_packages())
		return EXIT_FAILURE;
	ret = unit_main("idle", tests, sizeof(tests) / sizeof(tests[0]));
	remove_packages();
	return ret;
}
