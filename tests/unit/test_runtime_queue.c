/* SPDX-License-Identifier: MIT */
/*
 * Queues on a software card: order, depth, the descriptor for poll(), inferences that fail or never
 * end, and closing at any time.
 */
#include "runtime/runtime.h"
#include "runtime_package.h"
#include "unit.h"

#include <poll.h>
#include <time.h>
#include <unistd.h>

static char good_path[64], hanging_path[64];

/* Bindings of the package. */
enum { IDS = 0, POSITION_IDS = 1, PAST = 2, FEATURES = 4 };

struct rig {
	struct qeff_device *device;
	struct qeff_loaded_program *program;
	struct qeff_activation *activation;
	struct qeff_queue *queue;
};

static struct rig set_up(const char *path, uint32_t depth, uint32_t timeout_ms)
{
	struct qeff_queue_options options = { .depth = depth, .timeout_ms = timeout_ms };
	struct qeff_error err = { 0 };
	struct rig rig = { 0 };
	int ret;

	setenv("QEFF_SOFTCARDS", "nsps=4,ddr=64M", 1);
	ret = qeff_device_open("soft0", &rig.device, &err);
	if (!ret)
		ret = qeff_program_load(rig.device, path, &rig.program, &err);
	if (!ret)
		ret = qeff_program_activate(rig.program, &rig.activation, &err);
	if (!ret)
		ret = qeff_queue_open(rig.activation, &options, &rig.queue, &err);
	if (ret)
		fprintf(stderr, "%s\n", err.message);
	CU_ASSERT_EQUAL_FATAL(ret, 0);
	return rig;
}

static void tear_down(struct rig *rig)
{
	struct qeff_device_status status = { 0 };

	qeff_queue_close(rig->queue);
	qeff_activation_end(rig->activation);
	qeff_program_unload(rig->program);
	CU_ASSERT_EQUAL(qeff_device_query(rig->device, &status, NULL), 0);
	CU_ASSERT_EQUAL(status.nsp_free, 4);
	CU_ASSERT_EQUAL(status.ddr_free_bytes, status.ddr_total_bytes);
	qeff_device_close(rig->device);
}

/* Four tokens: entry, entry + 1, a dead one, entry. */
static void write_tokens(struct qeff_slot *slot, int64_t entry)
{
	const int64_t ids[4] = { entry, entry + 1, 0, entry };
	const int64_t positions[4] = { 0, 1, -1, 2 };

	memcpy(qeff_slot_data(slot, IDS), ids, sizeof(ids));
	memcpy(qeff_slot_data(slot, POSITION_IDS), positions, sizeof(positions));
}

static void check_features(const struct qeff_slot *slot, int64_t entry)
{
	const float *features = qeff_slot_data(slot, FEATURES);

	for (int c = 0; c < PACKAGE_WIDTH; c++) {
		CU_ASSERT_EQUAL(features[c], (float)(100 * entry + c));
		CU_ASSERT_EQUAL(features[PACKAGE_WIDTH + c], (float)(100 * (entry + 1) + c));
		CU_ASSERT_EQUAL(features[2 * PACKAGE_WIDTH + c], 0);
		CU_ASSERT_EQUAL(features[3 * PACKAGE_WIDTH + c], (float)(100 * entry + c));
	}
}

static bool readable(struct qeff_queue *queue, int timeout_ms)
{
	struct pollfd pfd = { .fd = qeff_queue_fd(queue), .events = POLLIN };

	return poll(&pfd, 1, timeout_ms) == 1 && pfd.revents & POLLIN;
}

static void in_order(void)
{
	struct rig rig = set_up(good_path, 4, 0);
	struct qeff_slot *slots[4], *fifth;
	struct qeff_completion done;
	struct qeff_error err = { 0 };

	CU_ASSERT_EQUAL(qeff_queue_depth(rig.queue), 4);
	CU_ASSERT_FALSE(readable(rig.queue, 0));
	CU_ASSERT_EQUAL(qeff_queue_complete(rig.queue, 0, &done, &err), -EAGAIN);
	for (int i = 0; i < 4; i++) {
		CU_ASSERT_EQUAL_FATAL(qeff_queue_acquire(rig.queue, 0, &slots[i], &err), 0);
		CU_ASSERT_EQUAL(qeff_slot_index(slots[i]), i);
		write_tokens(slots[i], i);
	}
	CU_ASSERT_EQUAL(qeff_queue_acquire(rig.queue, 0, &fifth, &err), -EAGAIN);
	CU_ASSERT_STRING_EQUAL(err.message, "all 4 slots of the queue are in use");
	CU_ASSERT_EQUAL(qeff_queue_acquire(rig.queue, 20, &fifth, &err), -EAGAIN);
	CU_ASSERT_PTR_NULL(qeff_slot_data(slots[0], PAST));
	CU_ASSERT_PTR_NULL(qeff_slot_data(slots[0], 6));

	for (int round = 0; round < 50; round++) {
		for (int i = 0; i < 4; i++)
			CU_ASSERT_EQUAL_FATAL(qeff_queue_submit(slots[i], &slots[i], -1, &err), 0);
		for (int i = 0; i < 4; i++) {
			CU_ASSERT_TRUE_FATAL(readable(rig.queue, 10000));
			CU_ASSERT_EQUAL_FATAL(qeff_queue_complete(rig.queue, 0, &done, &err), 0);
			CU_ASSERT_EQUAL(done.status, 0);
			CU_ASSERT_PTR_EQUAL(done.slot, slots[i]);
			CU_ASSERT_PTR_EQUAL(done.cookie, &slots[i]);
			CU_ASSERT_TRUE(done.submitted_ns && done.submitted_ns < done.completed_ns);
			CU_ASSERT_EQUAL(done.stats.inferences, 1);
			CU_ASSERT_EQUAL(done.stats.tokens, 3);
			CU_ASSERT_EQUAL(done.stats.num_nsps, PACKAGE_NSPS);
			CU_ASSERT_TRUE(done.stats.nsp[0].bytes > 0); /* has entries 0 to 3 */
			check_features(done.slot, i);
		}
		CU_ASSERT_FALSE(readable(rig.queue, 0));
	}
	for (int i = 0; i < 4; i++)
		qeff_slot_release(slots[i]);
	CU_ASSERT_EQUAL(qeff_queue_acquire(rig.queue, 0, &fifth, &err), 0);
	qeff_slot_release(fifth);
	tear_down(&rig);
}

/* More than the ring holds: submission waits for room, or says that there is none. */
static void full_ring(void)
{
	struct rig rig = set_up(good_path, 400, 0);
	static struct qeff_slot *slots[400];
	struct qeff_completion done;
	struct qeff_error err = { 0 };

	for (int i = 0; i < 400; i++) {
		CU_ASSERT_EQUAL_FATAL(qeff_queue_acquire(rig.queue, 0, &slots[i], &err), 0);
		write_tokens(slots[i], i % 7);
		CU_ASSERT_EQUAL_FATAL(qeff_queue_submit(slots[i], slots[i], 10000, &err), 0);
	}
	for (int i = 0; i < 400; i++) {
		CU_ASSERT_EQUAL_FATAL(qeff_queue_complete(rig.queue, 10000, &done, &err), 0);
		CU_ASSERT_PTR_EQUAL(done.slot, slots[i]);
		CU_ASSERT_EQUAL(done.status, 0);
	}
	check_features(slots[399], 399 % 7);
	tear_down(&rig);
}

/* The ring is filled by inferences that never end. */
static void full_ring_refused(void)
{
	struct rig rig = set_up(hanging_path, 300, 60000);
	struct qeff_slot *slot;
	struct qeff_error err = { 0 };
	int ret = 0, submitted = 0;

	for (; submitted < 300 && !ret; submitted++) {
		CU_ASSERT_EQUAL_FATAL(qeff_queue_acquire(rig.queue, 0, &slot, &err), 0);
		write_tokens(slot, 1);
		ret = qeff_queue_submit(slot, NULL, 0, &err);
	}
	CU_ASSERT_EQUAL(ret, -EAGAIN);
	CU_ASSERT_TRUE(submitted > 200 && submitted <= 257);
	CU_ASSERT_EQUAL(qeff_queue_submit(slot, NULL, 30, &err), -EAGAIN);
	qeff_activation_abandon(rig.activation); /* else closing would wait a minute */
	tear_down(&rig);
}

static void wrong_use(void)
{
	struct rig rig = set_up(good_path, 1, 0);
	struct qeff_queue_options deep = { .depth = 1025 };
	struct qeff_queue *second;
	struct qeff_slot *slot;
	struct qeff_completion done;
	struct qeff_error err = { 0 };

	CU_ASSERT_EQUAL(qeff_queue_open(rig.activation, NULL, &second, &err), -EBUSY);
	CU_ASSERT_EQUAL(qeff_queue_open(rig.activation, &deep, &second, &err), -EINVAL);
	CU_ASSERT_EQUAL_FATAL(qeff_queue_acquire(rig.queue, 0, &slot, &err), 0);
	CU_ASSERT_EQUAL(qeff_slot_select(slot, 2), -EINVAL);
	CU_ASSERT_EQUAL(qeff_slot_select(slot, 1), 0);
	qeff_slot_release(slot);
	CU_ASSERT_EQUAL(qeff_queue_submit(slot, NULL, 0, &err), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "not acquired"));
	CU_ASSERT_EQUAL_FATAL(qeff_queue_acquire(rig.queue, 0, &slot, &err), 0);
	CU_ASSERT_EQUAL_FATAL(qeff_queue_submit(slot, NULL, -1, &err), 0);
	CU_ASSERT_EQUAL(qeff_queue_submit(slot, NULL, 0, &err), -EINVAL);
	qeff_slot_release(slot); /* not the caller's: nothing happens */
	CU_ASSERT_EQUAL_FATAL(qeff_queue_complete(rig.queue, -1, &done, &err), 0);
	CU_ASSERT_PTR_EQUAL(done.slot, slot);
	tear_down(&rig);
}

/* A bad token fails its own inference alone. */
static void fault_in_the_middle(void)
{
	struct rig rig = set_up(good_path, 3, 0);
	struct qeff_slot *slots[3];
	struct qeff_completion done;
	struct qeff_error err = { 0 };

	for (int i = 0; i < 3; i++) {
		CU_ASSERT_EQUAL_FATAL(qeff_queue_acquire(rig.queue, 0, &slots[i], &err), 0);
		write_tokens(slots[i], i == 1 ? 99 : i);
		CU_ASSERT_EQUAL_FATAL(qeff_queue_submit(slots[i], NULL, -1, &err), 0);
	}
	for (int i = 0; i < 3; i++) {
		CU_ASSERT_EQUAL_FATAL(qeff_queue_complete(rig.queue, -1, &done, &err), 0);
		CU_ASSERT_EQUAL(done.status, i == 1 ? -EINVAL : 0);
		if (i == 1) {
			CU_ASSERT_PTR_NOT_NULL(strstr(done.error.message, "input_ids[0]["));
		} else {
			check_features(done.slot, i);
		}
	}
	tear_down(&rig);
}

static void never_ends(void)
{
	struct rig rig = set_up(hanging_path, 2, 150);
	struct qeff_slot *slots[2];
	struct qeff_completion done;
	struct qeff_error err = { 0 };

	for (int i = 0; i < 2; i++) {
		CU_ASSERT_EQUAL_FATAL(qeff_queue_acquire(rig.queue, 0, &slots[i], &err), 0);
		write_tokens(slots[i], 1);
		CU_ASSERT_EQUAL_FATAL(qeff_queue_submit(slots[i], NULL, -1, &err), 0);
	}
	CU_ASSERT_EQUAL_FATAL(qeff_queue_complete(rig.queue, 10000, &done, &err), 0);
	CU_ASSERT_EQUAL(done.status, -ETIMEDOUT);
	CU_ASSERT_PTR_NOT_NULL(strstr(done.error.message, "did not finish an inference within"));
	CU_ASSERT_EQUAL_FATAL(qeff_queue_complete(rig.queue, 10000, &done, &err), 0);
	CU_ASSERT_EQUAL(done.status, -EPERM);
	CU_ASSERT_TRUE(qeff_queue_submit(slots[0], NULL, 0, &err) < 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "lost"));
	tear_down(&rig);
}

static void closed_in_flight(void)
{
	struct rig rig = set_up(good_path, 4, 0);
	struct qeff_slot *slot;
	struct qeff_error err = { 0 };

	for (int i = 0; i < 4; i++) {
		CU_ASSERT_EQUAL_FATAL(qeff_queue_acquire(rig.queue, 0, &slot, &err), 0);
		write_tokens(slot, 1);
		CU_ASSERT_EQUAL_FATAL(qeff_queue_submit(slot, NULL, -1, &err), 0);
	}
	tear_down(&rig);

	rig = set_up(hanging_path, 1, 100);
	CU_ASSERT_EQUAL_FATAL(qeff_queue_acquire(rig.queue, 0, &slot, &err), 0);
	CU_ASSERT_EQUAL_FATAL(qeff_queue_submit(slot, NULL, -1, &err), 0);
	tear_down(&rig);
}

/* An address outside what the activation may touch: the card fails the transfer. */
static void failed_transfer(void)
{
	struct rig rig = set_up(good_path, 1, 5000);
	struct qeff_queue_options options = { .depth = 1, .timeout_ms = 5000 };
	struct qeff_slot *slot;
	struct qeff_completion done;
	struct qeff_error err = { 0 };

	qeff_queue_close(rig.queue);
	rig.activation->slices[1].dev_addr = UINT64_C(1) << 60;
	CU_ASSERT_EQUAL_FATAL(qeff_queue_open(rig.activation, &options, &rig.queue, &err), 0);
	CU_ASSERT_EQUAL_FATAL(qeff_queue_acquire(rig.queue, 0, &slot, &err), 0);
	write_tokens(slot, 1);
	CU_ASSERT_EQUAL_FATAL(qeff_queue_submit(slot, NULL, -1, &err), 0);
	CU_ASSERT_EQUAL_FATAL(qeff_queue_complete(rig.queue, -1, &done, &err), 0);
	CU_ASSERT_EQUAL(done.status, -EIO);
	CU_ASSERT_TRUE(done.error.message[0]);
	tear_down(&rig);
}

/* ---- a producer and a consumer ---- */

#define STREAM 500

static void *consume(void *arg)
{
	struct qeff_queue *queue = arg;
	struct qeff_completion done;
	uintptr_t next = 1;

	while (next <= STREAM) {
		if (qeff_queue_complete(queue, 10000, &done, NULL) || done.status ||
		    (uintptr_t)done.cookie != next)
			break;
		if (((float *)qeff_slot_data(done.slot, FEATURES))[0] != (float)(next % 7 * 100))
			break;
		next++;
		qeff_slot_release(done.slot);
	}
	return (void *)next;
}

static void two_threads(void)
{
	struct rig rig = set_up(good_path, 3, 0);
	struct qeff_slot *slot;
	struct qeff_error err = { 0 };
	pthread_t consumer;
	void *next;

	CU_ASSERT_EQUAL_FATAL(pthread_create(&consumer, NULL, consume, rig.queue), 0);
	for (uintptr_t i = 1; i <= STREAM; i++) {
		CU_ASSERT_EQUAL_FATAL(qeff_queue_acquire(rig.queue, 10000, &slot, &err), 0);
		write_tokens(slot, (int64_t)(i % 7));
		CU_ASSERT_EQUAL_FATAL(qeff_queue_submit(slot, (void *)i, 10000, &err), 0);
	}
	pthread_join(consumer, &next);
	CU_ASSERT_EQUAL((uintptr_t)next, STREAM + 1);
	tear_down(&rig);
}

static const struct unit_test tests[] = {
	{ "in order, depth 4", in_order },
	{ "more than the ring holds", full_ring },
	{ "ring full", full_ring_refused },
	{ "wrong use", wrong_use },
	{ "a fault in the middle", fault_in_the_middle },
	{ "an inference that never ends", never_ends },
	{ "closed in flight", closed_in_flight },
	{ "a failed transfer", failed_transfer },
	{ "producer and consumer", two_threads },
};

int main(void)
{
	const struct package_options hanging = { .never_ends = true };
	int ret;

	snprintf(good_path, sizeof(good_path), "/tmp/qeff-test-queue-%d.qpc", (int)getpid());
	snprintf(hanging_path, sizeof(hanging_path), "/tmp/qeff-test-hang-%d.qpc", (int)getpid());
	if (!package_make(good_path, NULL) || !package_make(hanging_path, &hanging))
		return EXIT_FAILURE;
	ret = unit_main("runtime queue", tests, sizeof(tests) / sizeof(tests[0]));
	unlink(good_path);
	unlink(hanging_path);
	return ret;
}
