/* SPDX-License-Identifier: MIT */
/*
 * How much of an inference crosses the bus, by the card's own count: what the specialisation uses
 * and no more, the report alone where outputs are not wanted, and all of it where a package is laid
 * out in another way.
 */
#include "device/softcard.h"
#include "runtime/runtime.h"
#include "runtime_package.h"
#include "unit.h"

#include <qeff/session.h>

#include <unistd.h>

/* Bytes to the card and from it. */
struct moved {
	uint64_t in, out;
};

struct rig {
	struct qeff_device *device;
	struct qeff_session *session;
	struct qeff_card *card;
};

static char path[64];

static struct rig set_up(const struct package_options *options)
{
	struct qeff_error err = { 0 };
	struct rig rig = { 0 };

	CU_ASSERT_TRUE_FATAL(package_make(path, options));
	setenv("QEFF_SOFTCARDS", "nsps=2,ddr=64M", 1);
	CU_ASSERT_EQUAL_FATAL(qeff_device_open("soft0", &rig.device, &err), 0);
	CU_ASSERT_EQUAL_FATAL(qeff_session_open(rig.device, path, NULL, &rig.session, &err), 0);
	rig.card = soft_user_of(qeff_device_transport(rig.device))->card->card;
	return rig;
}

static void tear_down(struct rig *rig)
{
	qeff_session_close(rig->session);
	qeff_device_close(rig->device);
}

static void give(struct rig *rig, int32_t seq, int64_t first)
{
	const int32_t dims[2] = { 1, seq };
	int64_t ids[PACKAGE_SEQ], positions[PACKAGE_SEQ];
	struct qeff_error err = { 0 };

	for (int i = 0; i < seq; i++) {
		ids[i] = first + i;
		positions[i] = i;
	}
	CU_ASSERT_EQUAL(qeff_session_set_input(rig->session, "input_ids", QEFF_TYPE_I64, dims, 2,
					       ids, &err),
			0);
	CU_ASSERT_EQUAL(qeff_session_set_input(rig->session, "position_ids", QEFF_TYPE_I64, dims, 2,
					       positions, &err),
			0);
}

static void check_features(struct rig *rig, int32_t seq, int64_t first)
{
	struct qeff_error err = { 0 };
	struct qeff_tensor tensor;
	const float *features;

	CU_ASSERT_EQUAL_FATAL(qeff_session_output(rig->session, "features", &tensor, &err), 0);
	CU_ASSERT_EQUAL_FATAL(tensor.size_bytes, (size_t)seq * PACKAGE_WIDTH * 4);
	features = tensor.data;
	for (int row = 0; row < seq; row++)
		for (int c = 0; c < PACKAGE_WIDTH; c++)
			CU_ASSERT_EQUAL(features[row * PACKAGE_WIDTH + c],
					(float)(100 * (first + row) + c));
	CU_ASSERT_EQUAL(qeff_session_last_stats(rig->session)->tokens, (uint64_t)seq);
}

/* What @run moves, by the card's counters. */
static struct moved count(struct rig *rig,
			  int (*run)(struct qeff_session *session, struct qeff_error *err),
			  int expected)
{
	struct qeff_card_counters before, after;
	struct qeff_error err = { 0 };

	qeff_card_counters(rig->card, &before);
	CU_ASSERT_EQUAL(run(rig->session, &err), expected);
	qeff_card_counters(rig->card, &after);
	CU_ASSERT_EQUAL(after.inferences - before.inferences, 1);
	return (struct moved){ after.bytes_in - before.bytes_in,
			       after.bytes_out - before.bytes_out };
}

static void check_moved(struct moved moved, uint64_t in, uint64_t out)
{
	CU_ASSERT_EQUAL(moved.in, in);
	CU_ASSERT_EQUAL(moved.out, out);
}

static void a_token_alone_moves_less(void)
{
	struct rig rig = set_up(NULL);

	for (int round = 0; round < 2; round++) {
		give(&rig, 4, 1);
		check_moved(count(&rig, qeff_session_run, 0), 160, 320 + 4 * 128);
		check_features(&rig, 4, 1);
		give(&rig, 1, 6);
		check_moved(count(&rig, qeff_session_run, 0), 136, 320 + 128);
		check_features(&rig, 1, 6);
	}
	tear_down(&rig);
}

static void outputs_that_nobody_wants(void)
{
	struct rig rig = set_up(NULL);
	struct qeff_error err = { 0 };
	struct qeff_tensor tensor;

	give(&rig, 4, 1);
	check_moved(count(&rig, qeff_session_advance, 0), 160, 320);
	CU_ASSERT_EQUAL(qeff_session_last_stats(rig.session)->tokens, 4);
	CU_ASSERT_EQUAL(qeff_session_output(rig.session, "features", &tensor, &err), -ENODATA);
	check_moved(count(&rig, qeff_session_run, 0), 160, 320 + 4 * 128);
	check_features(&rig, 4, 1);
	/* a fault is told all the same */
	give(&rig, 4, PACKAGE_ENTRIES - 3);
	check_moved(count(&rig, qeff_session_advance, -EINVAL), 160, 320);
	tear_down(&rig);
}

/* Statistics at the end: outputs come whole. Requests of their own, or another producer's package:
 * everything does. */
static void other_layouts(void)
{
	const struct package_options last = { .stats_last = true }, two = { .two_requests = true },
				     foreign = { .no_control = true };
	struct rig rig = set_up(&last);

	give(&rig, 1, 6);
	check_moved(count(&rig, qeff_session_run, 0), 136, PACKAGE_OUTPUT_BYTES);
	check_features(&rig, 1, 6);
	check_moved(count(&rig, qeff_session_advance, 0), 136, PACKAGE_OUTPUT_BYTES);
	CU_ASSERT_EQUAL(qeff_session_last_stats(rig.session)->tokens, 1);
	tear_down(&rig);

	rig = set_up(&two);
	give(&rig, 1, 6);
	check_moved(count(&rig, qeff_session_run, 0), PACKAGE_INPUT_BYTES, PACKAGE_OUTPUT_BYTES);
	check_features(&rig, 1, 6);
	check_moved(count(&rig, qeff_session_advance, 0), PACKAGE_INPUT_BYTES,
		    PACKAGE_OUTPUT_BYTES);
	tear_down(&rig);

	rig = set_up(&foreign);
	give(&rig, 4, 1);
	CU_ASSERT_EQUAL(qeff_session_set_input(rig.session, "other.control", QEFF_TYPE_I8,
					       (int32_t[]){ 64 }, 1, (int8_t[64]){ 0 }, NULL),
			0);
	check_moved(count(&rig, qeff_session_run, 0), PACKAGE_INPUT_BYTES, PACKAGE_OUTPUT_BYTES);
	check_moved(count(&rig, qeff_session_advance, 0), PACKAGE_INPUT_BYTES,
		    PACKAGE_OUTPUT_BYTES);
	tear_down(&rig);
}

static const struct unit_test tests[] = {
	{ "a token alone moves less", a_token_alone_moves_less },
	{ "outputs that nobody wants", outputs_that_nobody_wants },
	{ "other layouts", other_layouts },
};

int main(void)
{
	int ret;

	snprintf(path, sizeof(path), "/tmp/qeff-test-runtime-partial-%d.qpc", (int)getpid());
	ret = unit_main("runtime-partial", tests, sizeof(tests) / sizeof(tests[0]));
	unlink(path);
	return ret;
}
