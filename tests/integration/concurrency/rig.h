/* SPDX-License-Identifier: MIT */
/*
 * What the tests of this folder share: a software card that is kept open and looked at, the small
 * package of the runtime's tests on it, and inferences whose results tell whether they were mixed
 * up with others.
 */
#ifndef QEFF_TESTS_RIG_H
#define QEFF_TESTS_RIG_H

#include "../../unit/runtime_package.h"
#include "../../unit/unit.h"
#include "inspect.h"

#include <qeff/program.h>
#include <qeff/queue.h>
#include <qeff/session.h>

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

/* Bindings of the package. */
enum { IDS = 0, POSITION_IDS = 1, FEATURES = 4 };

/* A good package, and one whose inferences never end. */
static char good_path[64], hanging_path[64];

static inline bool make_packages(void)
{
	const struct package_options hanging = { .never_ends = true };

	setenv("QEFF_SOFTCARDS", "nsps=8,ddr=64M", 1);
	snprintf(good_path, sizeof(good_path), "/tmp/qeff-threads-%d.qpc", (int)getpid());
	snprintf(hanging_path, sizeof(hanging_path), "/tmp/qeff-threads-hang-%d.qpc",
		 (int)getpid());
	return package_make(good_path, NULL) && package_make(hanging_path, &hanging);
}

static inline void remove_packages(void)
{
	unlink(good_path);
	unlink(hanging_path);
}

static inline struct qeff_device *open_card(void)
{
	struct qeff_device *device = NULL;
	struct qeff_error err = { 0 };

	if (qeff_device_open("soft0", &device, &err))
		fprintf(stderr, "%s\n", err.message);
	CU_ASSERT_PTR_NOT_NULL_FATAL(device);
	return device;
}

/* Nothing of what was on the card is left, to the last byte. @watch is a user of it that has
 * nothing. */
static inline void check_all_free(struct qeff_device *watch)
{
	struct holdings h = inspect(watch);
	struct qeff_device_status status = { 0 };

	CU_ASSERT_EQUAL(h.ddr_bytes, 0);
	CU_ASSERT_EQUAL(h.objects, 0);
	CU_ASSERT_EQUAL(h.nsps, 0);
	CU_ASSERT_EQUAL(h.mcids, 0);
	CU_ASSERT_EQUAL(h.channels, 0);
	CU_ASSERT_EQUAL(h.ranges, 0);
	CU_ASSERT_EQUAL(h.buffers, 0);
	CU_ASSERT_EQUAL(qeff_device_query(watch, &status, NULL), 0);
	CU_ASSERT_EQUAL(status.nsp_free, status.nsp_total);
	CU_ASSERT_EQUAL(status.ddr_free_bytes, status.ddr_total_bytes);
	CU_ASSERT_EQUAL(status.vc_free, status.vc_total);
	CU_ASSERT_EQUAL(status.mcid_free, status.mcid_total);
	CU_ASSERT_EQUAL(status.semaphore_free, status.semaphore_total);
	CU_ASSERT_EQUAL(status.networks_loaded, 0);
	CU_ASSERT_EQUAL(status.constants_loaded, 0);
}

struct rig {
	struct qeff_device *device;
	struct qeff_loaded_program *program;
	struct qeff_activation *activation;
	struct qeff_queue *queue;
};

static inline struct rig set_up(const char *path, uint32_t depth, uint32_t timeout_ms)
{
	struct qeff_queue_options options = { .depth = depth, .timeout_ms = timeout_ms };
	struct qeff_error err = { 0 };
	struct rig rig = { .device = open_card() };
	int ret;

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

static inline void tear_down(struct rig *rig)
{
	qeff_queue_close(rig->queue);
	qeff_activation_end(rig->activation);
	qeff_program_unload(rig->program);
	qeff_device_close(rig->device);
}

/* Four tokens that depend on @number. */
static inline int64_t entry_of(uint64_t number, int token)
{
	return (int64_t)((number * 5 + (number >> 3) + (uint64_t)token * 3) % PACKAGE_ENTRIES);
}

static inline void write_inference(struct qeff_slot *slot, uint64_t number)
{
	int64_t *ids = qeff_slot_data(slot, IDS), *positions = qeff_slot_data(slot, POSITION_IDS);

	for (int i = 0; i < PACKAGE_SEQ; i++) {
		ids[i] = entry_of(number, i);
		positions[i] = i;
	}
}

/* Whether the outputs are those of inference @number. */
static inline bool right_outputs(const struct qeff_slot *slot, uint64_t number)
{
	const float *features = qeff_slot_data(slot, FEATURES);

	for (int i = 0; i < PACKAGE_SEQ; i++)
		for (int c = 0; c < PACKAGE_WIDTH; c++)
			if (features[i * PACKAGE_WIDTH + c] !=
			    (float)(100 * entry_of(number, i) + c))
				return false;
	return true;
}

/* Submits inference @number with itself as the cookie, and forgets its slot. */
static inline int submit(struct qeff_queue *queue, uint64_t number, struct qeff_error *err)
{
	struct qeff_slot *slot;
	int ret = qeff_queue_acquire(queue, -1, &slot, err);

	if (ret)
		return ret;
	write_inference(slot, number);
	return qeff_queue_submit(slot, (void *)(uintptr_t)number, -1, err);
}

/* Whether the next completion is right. */
static inline bool complete(struct qeff_queue *queue)
{
	struct qeff_completion done;
	bool right;

	if (qeff_queue_complete(queue, 60000, &done, NULL))
		return false;
	right = !done.status && right_outputs(done.slot, (uintptr_t)done.cookie);
	qeff_slot_release(done.slot);
	return right;
}

#endif
