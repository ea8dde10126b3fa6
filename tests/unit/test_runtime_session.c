/* SPDX-License-Identifier: MIT */
/* Sessions on a software card: shapes choose the specialisation, and mistakes become sentences. */
#include "runtime/shapes.h"
#include "runtime_package.h"
#include "unit.h"

#include <errno.h>
#include <qeff/session.h>
#include <unistd.h>

static char path[64], foreign_path[64];

static struct qeff_session *open_session(const char *package)
{
	struct qeff_session *session = NULL;
	struct qeff_device *device;
	struct qeff_error err = { 0 };
	int ret;

	setenv("QEFF_SOFTCARDS", "nsps=4,ddr=64M", 1);
	ret = qeff_device_open("soft", &device, &err);
	if (!ret) {
		ret = qeff_session_open(device, package, NULL, &session, &err);
		qeff_device_close(device); /* the session keeps it */
	}
	if (ret)
		fprintf(stderr, "%s\n", err.message);
	CU_ASSERT_EQUAL_FATAL(ret, 0);
	return session;
}

static int set(struct qeff_session *session, const char *name, int32_t length,
	       const int64_t *values, struct qeff_error *err)
{
	const int32_t dims[2] = { 1, length };

	return qeff_session_set_input(session, name, QEFF_TYPE_I64, dims, 2, values, err);
}

static void by_shape(void)
{
	struct qeff_session *session = open_session(path);
	struct qeff_tensor features, ids;
	struct qeff_error err = { 0 };

	CU_ASSERT_EQUAL(set(session, "input_ids", 4, (int64_t[]){ 3, 7, 0, 0 }, &err), 0);
	CU_ASSERT_EQUAL(set(session, "position_ids", 4, (int64_t[]){ 0, 1, -1, -1 }, &err), 0);
	CU_ASSERT_EQUAL_FATAL(qeff_session_run(session, &err), 0);
	CU_ASSERT_EQUAL(qeff_session_specialisation(session), 0);
	CU_ASSERT_EQUAL_FATAL(qeff_session_output(session, "features", &features, &err), 0);
	CU_ASSERT_EQUAL(features.type, QEFF_TYPE_F32);
	CU_ASSERT_EQUAL(features.num_dims, 3);
	CU_ASSERT_EQUAL(features.dims[1], 4);
	CU_ASSERT_EQUAL(features.dims[2], PACKAGE_WIDTH);
	CU_ASSERT_EQUAL(features.size_bytes, 4 * PACKAGE_WIDTH * 4);
	CU_ASSERT_EQUAL(((float *)features.data)[1], 301);
	CU_ASSERT_EQUAL(((float *)features.data)[PACKAGE_WIDTH + 1], 701);
	CU_ASSERT_EQUAL(((float *)features.data)[2 * PACKAGE_WIDTH + 1], 0);

	/* the other one, written in place */
	CU_ASSERT_EQUAL_FATAL(
		qeff_session_input(session, "input_ids", (int32_t[]){ 1, 1 }, 2, &ids, &err), 0);
	CU_ASSERT_EQUAL(ids.size_bytes, 8);
	*(int64_t *)ids.data = 5;
	CU_ASSERT_EQUAL(set(session, "position_ids", 1, (int64_t[]){ 2 }, &err), 0);
	CU_ASSERT_EQUAL_FATAL(qeff_session_run(session, &err), 0);
	CU_ASSERT_EQUAL(qeff_session_specialisation(session), 1);
	CU_ASSERT_EQUAL_FATAL(qeff_session_output(session, "features", &features, &err), 0);
	CU_ASSERT_EQUAL(features.dims[1], 1);
	CU_ASSERT_EQUAL(((float *)features.data)[31], 531);

	/* inputs stay */
	CU_ASSERT_EQUAL_FATAL(qeff_session_input(session, "input_ids", NULL, 0, &ids, &err), 0);
	CU_ASSERT_EQUAL(ids.dims[1], 1);
	CU_ASSERT_EQUAL(*(int64_t *)ids.data, 5);
	CU_ASSERT_EQUAL(qeff_session_run(session, &err), 0);
	CU_ASSERT_EQUAL(qeff_session_last_stats(session)->tokens, 1);
	CU_ASSERT_EQUAL(qeff_session_total_stats(session)->tokens, 4);
	CU_ASSERT_EQUAL(qeff_session_total_stats(session)->inferences, 3);
	qeff_session_close(session);
}

static void mistakes(void)
{
	struct qeff_session *session = open_session(path);
	struct qeff_tensor tensor;
	struct qeff_error err = { 0 };

	CU_ASSERT_EQUAL(set(session, "input_ids", 3, (int64_t[]){ 3, 7, 0 }, &err), -EINVAL);
	CU_ASSERT_STRING_EQUAL(err.message,
			       "input_ids is 1x3; this package has: prefill 1x4, decode 1x1");
	CU_ASSERT_EQUAL(
		qeff_session_input(session, "input_ids", (int32_t[]){ 4 }, 1, &tensor, &err),
		-EINVAL);
	CU_ASSERT_EQUAL(qeff_session_run(session, &err), -EINVAL);
	CU_ASSERT_STRING_EQUAL(err.message, "input input_ids was not given");
	CU_ASSERT_EQUAL(set(session, "input_ids", 4, (int64_t[]){ 3, 7, 0, 0 }, &err), 0);
	CU_ASSERT_EQUAL(qeff_session_run(session, &err), -EINVAL);
	CU_ASSERT_STRING_EQUAL(err.message, "input position_ids was not given");
	CU_ASSERT_EQUAL(set(session, "position_ids", 1, (int64_t[]){ 0 }, &err), 0);
	CU_ASSERT_EQUAL(qeff_session_run(session, &err), -EINVAL);
	CU_ASSERT_STRING_EQUAL(err.message,
			       "input_ids 1x4, position_ids 1x1 do not go together; this package "
			       "has: input_ids 1x4, position_ids 1x4; input_ids 1x1, position_ids "
			       "1x1");
	CU_ASSERT_EQUAL(qeff_session_output(session, "features", &tensor, &err), -ENODATA);

	CU_ASSERT_EQUAL(qeff_session_input(session, "nothing", NULL, 0, &tensor, &err), -ENOENT);
	CU_ASSERT_EQUAL(qeff_session_input(session, "features", NULL, 0, &tensor, &err), -ENOENT);
	CU_ASSERT_EQUAL(qeff_session_input(session, "past_key.0", NULL, 0, &tensor, &err), -EINVAL);
	CU_ASSERT_STRING_EQUAL(err.message, "past_key.0 is state that stays on the card");
	CU_ASSERT_EQUAL(qeff_session_input(session, "qeff.control", NULL, 0, &tensor, &err),
			-EINVAL);
	CU_ASSERT_EQUAL(qeff_session_output(session, "past_key.0_RetainedState", &tensor, &err),
			-EINVAL);
	CU_ASSERT_EQUAL(qeff_session_set_input(session, "input_ids", QEFF_TYPE_I32,
					       (int32_t[]){ 1, 1 }, 2, &tensor, &err),
			-EINVAL);
	CU_ASSERT_STRING_EQUAL(err.message, "input_ids is int64, not int32");
	qeff_session_close(session);
}

static void bad_values(void)
{
	struct qeff_session *session = open_session(path);
	struct qeff_tensor tensor;
	struct qeff_error err = { 0 };

	CU_ASSERT_EQUAL(set(session, "input_ids", 4, (int64_t[]){ 1, 2, 3, 99999 }, &err), 0);
	CU_ASSERT_EQUAL(set(session, "position_ids", 4, (int64_t[]){ 0, 1, 2, 3 }, &err), 0);
	CU_ASSERT_EQUAL(qeff_session_run(session, &err), -EINVAL);
	CU_ASSERT_STRING_EQUAL(err.message,
			       "input_ids[0][3] is 99999, outside the embedding's 8 entries");
	CU_ASSERT_EQUAL(qeff_session_output(session, "features", &tensor, &err), -ENODATA);

	CU_ASSERT_EQUAL(set(session, "input_ids", 4, (int64_t[]){ 1, 2, 3, 4 }, &err), 0);
	CU_ASSERT_EQUAL(set(session, "position_ids", 4, (int64_t[]){ 0, 1, 16, -1 }, &err), 0);
	CU_ASSERT_EQUAL(qeff_session_run(session, &err), -EINVAL);
	CU_ASSERT_STRING_EQUAL(err.message,
			       "position_ids[0][2] is 16, outside the 16 positions of the context");

	CU_ASSERT_EQUAL(set(session, "position_ids", 4, (int64_t[]){ 0, 1, 15, -1 }, &err), 0);
	CU_ASSERT_EQUAL(qeff_session_run(session, &err), 0);
	CU_ASSERT_EQUAL(qeff_session_output(session, "features", &tensor, &err), 0);
	CU_ASSERT_EQUAL(((float *)tensor.data)[2 * PACKAGE_WIDTH], 300);
	qeff_session_close(session);
}

/* A package without our control buffer can run its first specialisation only. */
static void no_control(void)
{
	struct qeff_session *session = open_session(foreign_path);
	struct qeff_tensor control;
	struct qeff_error err = { 0 };

	CU_ASSERT_EQUAL_FATAL(qeff_session_input(session, "other.control", NULL, 0, &control, &err),
			      0);
	memset(control.data, 0, control.size_bytes);
	CU_ASSERT_EQUAL(set(session, "input_ids", 4, (int64_t[]){ 3, 7, 0, 0 }, &err), 0);
	CU_ASSERT_EQUAL(set(session, "position_ids", 4, (int64_t[]){ 0, 1, -1, -1 }, &err), 0);
	CU_ASSERT_EQUAL(qeff_session_run(session, &err), 0);
	CU_ASSERT_EQUAL(qeff_session_last_stats(session)->inferences, 0);
	CU_ASSERT_EQUAL(set(session, "input_ids", 1, (int64_t[]){ 3 }, &err), 0);
	CU_ASSERT_EQUAL(set(session, "position_ids", 1, (int64_t[]){ 0 }, &err), 0);
	CU_ASSERT_EQUAL(qeff_session_run(session, &err), -EOPNOTSUPP);
	qeff_session_close(session);
}

/* A list of shapes that is longer than a sentence. */
static void long_list(void)
{
	static int32_t dims[200][1];
	static struct qeff_shape shapes[200];
	const struct qeff_binding binding = { .name = "x" };
	const struct qeff_network network = { .num_inputs = 1,
					      .bindings = &binding,
					      .num_specialisations = 200,
					      .specialisations = shapes };
	struct qeff_error err = { 0 };
	const int32_t wanted = 77777777;
	size_t length;

	for (int i = 0; i < 200; i++) {
		dims[i][0] = 1000000 + i;
		shapes[i] = (struct qeff_shape){ .num_dims = 1, .dims = dims[i] };
	}
	CU_ASSERT_EQUAL(qeff_shapes_check(&network, 0, &wanted, 1, &err), -EINVAL);
	length = strlen(err.message);
	CU_ASSERT_TRUE(length > 300 && length < 450);
	CU_ASSERT_STRING_EQUAL(err.message + length - strlen(", …"), ", …");
	CU_ASSERT_EQUAL(qeff_shapes_check(&network, 0, dims[199], 1, &err), 0);
}

static const struct unit_test tests[] = {
	{ "shapes choose", by_shape }, { "mistakes", mistakes },     { "bad values", bad_values },
	{ "no control", no_control },  { "a long list", long_list },
};

int main(void)
{
	const struct package_options foreign = { .no_control = true };
	int ret;

	snprintf(path, sizeof(path), "/tmp/qeff-test-session-%d.qpc", (int)getpid());
	snprintf(foreign_path, sizeof(foreign_path), "/tmp/qeff-test-foreign-%d.qpc",
		 (int)getpid());
	if (!package_make(path, NULL) || !package_make(foreign_path, &foreign))
		return EXIT_FAILURE;
	ret = unit_main("runtime session", tests, sizeof(tests) / sizeof(tests[0]));
	unlink(path);
	unlink(foreign_path);
	return ret;
}
