/* SPDX-License-Identifier: MIT */
/*
 * Ends: in any order, with inferences under way, by a thread that is cancelled, by a process that
 * is killed. Nothing stays behind on the card.
 */
#include "rig.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

enum object { DEVICE, PROGRAM, ACTIVATION, QUEUE, OBJECTS };

static void end(struct rig *rig, enum object object)
{
	switch (object) {
	case DEVICE:
		qeff_device_close(rig->device);
		break;
	case PROGRAM:
		qeff_program_unload(rig->program);
		break;
	case ACTIVATION:
		qeff_activation_end(rig->activation);
		break;
	default:
		qeff_queue_close(rig->queue);
		break;
	}
}

/* Every order of ending the four, while inferences are in flight. */
static void every_order(const char *path, uint32_t timeout_ms)
{
	struct qeff_device *watch = open_card();

	for (unsigned int code = 0; code < 256; code++) {
		enum object order[OBJECTS];
		unsigned int seen = 0;
		struct rig rig;

		for (unsigned int i = 0; i < OBJECTS; i++) {
			order[i] = (enum object)(code >> 2 * i & 3);
			seen |= 1u << order[i];
		}
		if (seen != 15)
			continue;
		rig = set_up(path, 3, timeout_ms);
		for (uint64_t i = 0; i < 3; i++)
			CU_ASSERT_EQUAL_FATAL(submit(rig.queue, i, NULL), 0);
		for (unsigned int i = 0; i < OBJECTS; i++) {
			end(&rig, order[i]);
			/* the card has it back at once, whoever still holds the activation */
			if (order[i] == ACTIVATION) {
				CU_ASSERT_EQUAL(inspect(watch).nsps, 0);
				CU_ASSERT_EQUAL(inspect(watch).channels, 0);
			}
		}
		check_all_free(watch);
	}
	qeff_device_close(watch);
}

static void in_any_order(void)
{
	every_order(good_path, 0);
	every_order(hanging_path, 20);
}

/* A program that was unloaded serves its activations to their end. */
static void unloaded_while_active(void)
{
	struct qeff_device *watch = open_card();
	struct rig rig = set_up(good_path, 2, 0);

	qeff_program_unload(rig.program);
	qeff_device_close(rig.device);
	for (uint64_t i = 0; i < 20; i++) {
		CU_ASSERT_EQUAL_FATAL(submit(rig.queue, i, NULL), 0);
		CU_ASSERT_TRUE(complete(rig.queue));
	}
	CU_ASSERT_EQUAL(qeff_activation_program(rig.activation), rig.program);
	CU_ASSERT_EQUAL(qeff_program_network(rig.program)->num_inputs, 4);
	CU_ASSERT_STRING_EQUAL(qeff_device_get_info(qeff_program_device(rig.program))->name,
			       "soft0");
	CU_ASSERT_EQUAL(inspect(watch).objects, 3);
	qeff_queue_close(rig.queue);
	qeff_activation_end(rig.activation);
	check_all_free(watch);
	qeff_device_close(watch);
}

/* An activation that ended fails what its queue has in flight, and takes nothing more; another that
 * gets the same channel is none the worse. */
static void ended_under_its_queue(void)
{
	struct qeff_device *watch = open_card();
	struct rig rig = set_up(hanging_path, 3, 0);
	struct qeff_activation *other;
	struct qeff_completion done;
	struct qeff_queue *queue;
	struct qeff_slot *slot;
	struct qeff_error err = { 0 };
	struct rig good;

	CU_ASSERT_EQUAL(submit(rig.queue, 1, &err), 0);
	CU_ASSERT_EQUAL(submit(rig.queue, 2, &err), 0);
	CU_ASSERT_EQUAL_FATAL(qeff_queue_acquire(rig.queue, 0, &slot, &err), 0);
	qeff_activation_end(rig.activation);
	good = set_up(good_path, 1, 0);
	CU_ASSERT_EQUAL(qeff_queue_submit(slot, NULL, 0, &err), -EPERM);
	CU_ASSERT_STRING_EQUAL(err.message, "the activation has ended");
	for (int i = 0; i < 2; i++) {
		CU_ASSERT_EQUAL_FATAL(qeff_queue_complete(rig.queue, 10000, &done, &err), 0);
		CU_ASSERT_TRUE(done.status == -EPERM || done.status == -ECANCELED);
	}
	CU_ASSERT_EQUAL(submit(good.queue, 5, &err), 0);
	CU_ASSERT_TRUE(complete(good.queue));
	/* the program is there for a new one */
	CU_ASSERT_EQUAL_FATAL(qeff_program_activate(rig.program, &other, &err), 0);
	CU_ASSERT_EQUAL_FATAL(qeff_queue_open(other, NULL, &queue, &err), 0);
	qeff_queue_close(queue);
	qeff_activation_end(other);
	tear_down(&good);
	qeff_queue_close(rig.queue);
	qeff_program_unload(rig.program);
	qeff_device_close(rig.device);
	check_all_free(watch);
	qeff_device_close(watch);
}

/* Programs and activations of several users, ended in an order that differs every time; whatever
 * ends is free at once. */
static void shuffled(void)
{
	struct qeff_device *watch = open_card();
	struct holdings before;
	struct rig rigs[4];
	uint32_t random = 12345;

	for (int round = 0; round < 50; round++) {
		unsigned int ended[4] = { 0 };

		for (int i = 0; i < 4; i++) {
			rigs[i] = set_up(good_path, 2, 0);
			CU_ASSERT_EQUAL(submit(rigs[i].queue, (uint64_t)i, NULL), 0);
		}
		for (int left = 16; left > 0;) {
			unsigned int i, object;

			random = random * 1664525 + 1013904223;
			i = random >> 30;
			object = random >> 28 & 3;
			if (ended[i] & 1u << object)
				continue;
			before = inspect(watch);
			end(&rigs[i], (enum object)object);
			if (object == ACTIVATION) {
				struct holdings now = inspect(watch);

				CU_ASSERT_EQUAL(__builtin_popcount(now.nsps) + 2,
						__builtin_popcount(before.nsps));
				CU_ASSERT_EQUAL(now.channels + 2, before.channels);
				CU_ASSERT_TRUE(now.ddr_bytes + PACKAGE_DDR_BYTES <=
					       before.ddr_bytes);
			}
			ended[i] |= 1u << object;
			left--;
		}
		check_all_free(watch);
	}
	qeff_device_close(watch);
}

/* ---- threads that are cancelled ---- */

enum waiting { IN_ACQUIRE, IN_SUBMIT, IN_COMPLETE, IN_COMPLETE_IDLE, BEHIND_ANOTHER, WAITINGS };

struct victim {
	struct qeff_queue *queue;
	enum waiting where;
	pthread_t thread;
	atomic_bool there;
};

static void *wait_for_ever(void *arg)
{
	struct victim *v = arg;
	struct qeff_completion done;
	struct qeff_slot *slot;

	atomic_store(&v->there, true);
	switch (v->where) {
	case IN_ACQUIRE:
		qeff_queue_acquire(v->queue, -1, &slot, NULL);
		break;
	case IN_SUBMIT:
		while (!submit(v->queue, 1, NULL))
			;
		break;
	default:
		qeff_queue_complete(v->queue, -1, &done, NULL);
	}
	return NULL;
}

static void start_victim(struct victim *v, struct qeff_queue *queue, enum waiting where)
{
	v->queue = queue;
	v->where = where;
	atomic_init(&v->there, false);
	CU_ASSERT_EQUAL_FATAL(pthread_create(&v->thread, NULL, wait_for_ever, v), 0);
	while (!atomic_load(&v->there))
		sched_yield();
}

static void cancel(struct victim *v)
{
	void *result = NULL;

	CU_ASSERT_EQUAL(pthread_cancel(v->thread), 0);
	CU_ASSERT_EQUAL(pthread_join(v->thread, &result), 0);
	CU_ASSERT_EQUAL(result, PTHREAD_CANCELED);
}

/* Cancelled while they wait for what never comes, at no particular moment; the queue works on, as
 * far as it can, and closes. */
static void cancelled_threads(void)
{
	struct qeff_device *watch = open_card();

	for (unsigned int round = 0; round < 2 * WAITINGS; round++) {
		enum waiting where = (enum waiting)(round % WAITINGS);
		struct rig rig = set_up(hanging_path, where == IN_SUBMIT ? 400 : 2, 0);
		struct victim leader, victim;

		if (where != IN_COMPLETE_IDLE && where != IN_SUBMIT)
			CU_ASSERT_EQUAL(submit(rig.queue, 0, NULL), 0);
		if (where == IN_ACQUIRE)
			CU_ASSERT_EQUAL(submit(rig.queue, 1, NULL), 0);
		if (where == BEHIND_ANOTHER)
			start_victim(&leader, rig.queue, where);
		start_victim(&victim, rig.queue, where);
		for (unsigned int i = 0; i < round * 3; i++)
			sched_yield();
		if (where == BEHIND_ANOTHER)
			cancel(&leader);
		cancel(&victim);
		/* the lock is free */
		CU_ASSERT_EQUAL(
			qeff_queue_complete(rig.queue, 0, &(struct qeff_completion){ 0 }, NULL),
			-EAGAIN);
		qeff_activation_end(rig.activation);
		qeff_queue_close(rig.queue);
		qeff_program_unload(rig.program);
		qeff_device_close(rig.device);
		check_all_free(watch);
	}
	qeff_device_close(watch);
}

/* One of several users of a queue is cancelled at work; the others finish theirs. */
struct worker {
	struct qeff_queue *queue;
	pthread_t thread;
	unsigned int rounds, wrong;
};

static void *work(void *arg)
{
	struct worker *w = arg;

	for (unsigned int i = 0; i < w->rounds; i++)
		w->wrong += submit(w->queue, i, NULL) || !complete(w->queue);
	return NULL;
}

static void cancelled_at_work(void)
{
	struct qeff_device *watch = open_card();

	for (unsigned int round = 0; round < 40; round++) {
		struct rig rig = set_up(good_path, 8, 0);
		struct worker victim = { .queue = rig.queue, .rounds = UINT32_MAX };
		struct worker other = { .queue = rig.queue, .rounds = 40 };
		struct qeff_completion done;

		CU_ASSERT_EQUAL(pthread_create(&victim.thread, NULL, work, &victim), 0);
		CU_ASSERT_EQUAL(pthread_create(&other.thread, NULL, work, &other), 0);
		for (unsigned int i = 0; i < round; i++)
			sched_yield();
		pthread_cancel(victim.thread);
		pthread_join(victim.thread, NULL);
		/* what the victim has in flight is anyone's to take */
		while (pthread_tryjoin_np(other.thread, NULL) == EBUSY)
			if (!qeff_queue_complete(rig.queue, 1, &done, NULL)) {
				CU_ASSERT_EQUAL(done.status, 0);
				CU_ASSERT_TRUE(right_outputs(done.slot, (uintptr_t)done.cookie));
				qeff_slot_release(done.slot);
				/* one for the other, if this was its */
				if (!qeff_queue_acquire(rig.queue, 0, &done.slot, NULL)) {
					write_inference(done.slot, round);
					CU_ASSERT_EQUAL(qeff_queue_submit(done.slot,
									  (void *)(uintptr_t)round,
									  -1, NULL),
							0);
				}
			}
		CU_ASSERT_EQUAL(other.wrong, 0);
		tear_down(&rig);
		check_all_free(watch);
	}
	qeff_device_close(watch);
}

static void *run_session(void *arg)
{
	struct qeff_session *session = arg;

	while (!qeff_session_run(session, NULL))
		;
	return NULL;
}

static void cancelled_in_a_session(const char *path)
{
	const struct qeff_session_options options = { .timeout_ms = 3000 };
	struct qeff_device *watch = open_card();
	const int32_t dims[2] = { 1, 4 };
	const int64_t zeros[4] = { 0 };
	struct qeff_session *session;
	pthread_t thread;
	void *result;

	CU_ASSERT_EQUAL_FATAL(qeff_session_open(watch, path, &options, &session, NULL), 0);
	CU_ASSERT_EQUAL(
		qeff_session_set_input(session, "input_ids", QEFF_TYPE_I64, dims, 2, zeros, NULL),
		0);
	CU_ASSERT_EQUAL(qeff_session_set_input(session, "position_ids", QEFF_TYPE_I64, dims, 2,
					       zeros, NULL),
			0);
	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, run_session, session), 0);
	pthread_cancel(thread);
	pthread_join(thread, &result);
	CU_ASSERT_EQUAL(result, PTHREAD_CANCELED);
	qeff_session_close(session);
	check_all_free(watch);
	qeff_device_close(watch);
}

static void cancelled_sessions(void)
{
	for (int i = 0; i < 20; i++)
		cancelled_in_a_session(good_path);
	cancelled_in_a_session(hanging_path);
}

/* ---- processes ---- */

/* What a process publishes about @pid, or false. */
static bool is_published(int pid, size_t num_programs)
{
	struct qeff_published_list *list;
	bool found = false;

	CU_ASSERT_EQUAL_FATAL(qeff_published_list(&list, NULL), 0);
	for (size_t i = 0; i < list->count; i++)
		if (list->processes[i].pid == pid)
			found = list->processes[i].num_programs == num_programs;
	qeff_published_list_free(list);
	return found;
}

/* The child runs an inference that never ends, says so, and waits to be killed. */
static void be_killed(int say)
{
	struct rig rig = set_up(hanging_path, 2, 0);

	if (!submit(rig.queue, 0, NULL) && write(say, "x", 1) == 1)
		qeff_queue_complete(rig.queue, -1, &(struct qeff_completion){ 0 }, NULL);
	_exit(1);
}

static void killed(void)
{
	char folder[] = "/tmp/qeff-killed-XXXXXX", file[128], byte;
	int say[2], status = 0;
	pid_t child;

	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder));
	setenv("XDG_RUNTIME_DIR", folder, 1);
	CU_ASSERT_EQUAL_FATAL(pipe(say), 0);
	child = fork();
	CU_ASSERT_TRUE_FATAL(child >= 0);
	if (!child)
		be_killed(say[1]);
	close(say[1]);
	CU_ASSERT_EQUAL_FATAL(read(say[0], &byte, 1), 1);
	close(say[0]);
	snprintf(file, sizeof(file), "%s/qeff/%d.json", folder, child);
	CU_ASSERT_TRUE(is_published(child, 1));
	CU_ASSERT_EQUAL(access(file, F_OK), 0);
	kill(child, SIGKILL);
	CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
	CU_ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	CU_ASSERT_FALSE(is_published(child, 1));
	CU_ASSERT_TRUE(access(file, F_OK) < 0 && errno == ENOENT);
	/* nothing else is in the folder either, so it can go */
	snprintf(file, sizeof(file), "%s/qeff", folder);
	CU_ASSERT_EQUAL(rmdir(file), 0);
	CU_ASSERT_EQUAL(rmdir(folder), 0);
	unsetenv("XDG_RUNTIME_DIR");
}

static const struct unit_test tests[] = {
	{ "a process is killed at work", killed },
	{ "in any order", in_any_order },
	{ "unloaded while active", unloaded_while_active },
	{ "ended under its queue", ended_under_its_queue },
	{ "in shuffled order", shuffled },
	{ "threads cancelled while they wait", cancelled_threads },
	{ "threads cancelled at work", cancelled_at_work },
	{ "threads cancelled in a session", cancelled_sessions },
};

int main(void)
{
	int ret;

	if (!make_packages())
		return EXIT_FAILURE;
	ret = unit_main("lifetimes", tests, sizeof(tests) / sizeof(tests[0]));
	remove_packages();
	return ret;
}
