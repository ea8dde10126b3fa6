/* SPDX-License-Identifier: MIT */
/* Many threads over one queue, one program, one card, and over the objects that are read only. */
#include "rig.h"

#include <poll.h>
#include <qeff/qpc.h>
#include <qeff/tokenizer.h>

#define THREADS 8

struct crew {
	struct rig rig;
	struct qeff_qpc *qpc;
	struct qeff_tokenizer *tokenizer;
	atomic_uint wrong, taken;
	atomic_uint next; /* numbers of inferences */
	unsigned int rounds;
};

struct member {
	struct crew *crew;
	unsigned int number;
	pthread_t thread;
};

/* Runs @work on eight threads; each gets its struct member. */
static void run_crew(struct crew *crew, void *(*work)(void *))
{
	struct member members[THREADS];

	for (unsigned int i = 0; i < THREADS; i++) {
		members[i] = (struct member){ .crew = crew, .number = i };
		CU_ASSERT_EQUAL_FATAL(pthread_create(&members[i].thread, NULL, work, &members[i]),
				      0);
	}
	for (unsigned int i = 0; i < THREADS; i++)
		pthread_join(members[i].thread, NULL);
	CU_ASSERT_EQUAL(atomic_load(&crew->wrong), 0);
}

/* Each thread submits and takes a completion, whose it may be. */
static void *submit_and_complete(void *arg)
{
	struct crew *crew = ((struct member *)arg)->crew;

	for (unsigned int i = 0; i < crew->rounds; i++) {
		if (submit(crew->rig.queue, atomic_fetch_add(&crew->next, 1), NULL) ||
		    !complete(crew->rig.queue))
			atomic_fetch_add(&crew->wrong, 1);
		else
			atomic_fetch_add(&crew->taken, 1);
	}
	return NULL;
}

static void one_queue(uint32_t depth, bool polled)
{
	struct qeff_device *watch = open_card();
	struct crew crew = { .rig = set_up(good_path, depth, 0), .rounds = 500 };

	if (polled)
		CU_ASSERT_TRUE(qeff_queue_fd(crew.rig.queue) >= 0);
	run_crew(&crew, submit_and_complete);
	CU_ASSERT_EQUAL(atomic_load(&crew.taken), THREADS * 500);
	tear_down(&crew.rig);
	check_all_free(watch);
	qeff_device_close(watch);
}

static void eight_over_one_queue(void)
{
	one_queue(1, false);
	one_queue(3, false);
	one_queue(64, false);
	one_queue(3, true);
}

/* Four threads submit what four others take, in the order of submission, more than the ring holds.
 */
static void *submit_or_complete(void *arg)
{
	struct member *member = arg;
	struct crew *crew = member->crew;

	for (unsigned int i = 0; i < crew->rounds; i++) {
		bool right = member->number % 2 ? !submit(crew->rig.queue,
							  atomic_fetch_add(&crew->next, 1), NULL)
						: complete(crew->rig.queue);

		if (!right)
			atomic_fetch_add(&crew->wrong, 1);
	}
	return NULL;
}

static void producers_and_consumers(void)
{
	struct qeff_device *watch = open_card();
	struct crew crew = { .rig = set_up(good_path, 400, 0), .rounds = 800 };

	run_crew(&crew, submit_or_complete);
	tear_down(&crew.rig);
	check_all_free(watch);
	qeff_device_close(watch);
}

/* The descriptor is readable if and only if a completion waits, whoever takes it. */
static void *poll_and_complete(void *arg)
{
	struct crew *crew = ((struct member *)arg)->crew;
	struct pollfd pfd = { .fd = qeff_queue_fd(crew->rig.queue), .events = POLLIN };
	unsigned int all = crew->rounds * THREADS;
	struct qeff_completion done;

	for (unsigned int i = 0; i < crew->rounds; i++)
		if (submit(crew->rig.queue, atomic_fetch_add(&crew->next, 1), NULL))
			atomic_fetch_add(&crew->wrong, 1);
	while (atomic_load(&crew->taken) < all) {
		if (poll(&pfd, 1, 10) < 1 || qeff_queue_complete(crew->rig.queue, 0, &done, NULL))
			continue;
		if (done.status || !right_outputs(done.slot, (uintptr_t)done.cookie))
			atomic_fetch_add(&crew->wrong, 1);
		qeff_slot_release(done.slot);
		atomic_fetch_add(&crew->taken, 1);
	}
	return NULL;
}

static void eight_over_one_descriptor(void)
{
	struct crew crew = { .rig = set_up(good_path, 8 * 40, 0), .rounds = 40 };
	struct pollfd pfd = { .fd = qeff_queue_fd(crew.rig.queue), .events = POLLIN };

	run_crew(&crew, poll_and_complete);
	CU_ASSERT_EQUAL(poll(&pfd, 1, 0), 0);
	tear_down(&crew.rig);
}

/* A submission is failed by its input in one thread, and nobody else notices. */
static void *faults_among_others(void *arg)
{
	struct member *member = arg;
	struct crew *crew = member->crew;
	struct qeff_completion done;
	struct qeff_slot *slot;

	for (unsigned int i = 0; i < crew->rounds; i++) {
		uint64_t number = i * THREADS + member->number;
		bool bad = number % 3 == 0;

		if (qeff_queue_acquire(crew->rig.queue, -1, &slot, NULL))
			atomic_fetch_add(&crew->wrong, 1);
		write_inference(slot, number);
		if (bad)
			*(int64_t *)qeff_slot_data(slot, IDS) = 99;
		if (qeff_queue_submit(slot, (void *)(uintptr_t)number, -1, NULL) ||
		    qeff_queue_complete(crew->rig.queue, 60000, &done, NULL)) {
			atomic_fetch_add(&crew->wrong, 1);
			continue;
		}
		number = (uintptr_t)done.cookie;
		if (number % 3 == 0 ? done.status != -EINVAL || !done.error.message[0]
				    : done.status || !right_outputs(done.slot, number))
			atomic_fetch_add(&crew->wrong, 1);
		qeff_slot_release(done.slot);
	}
	return NULL;
}

static void faults(void)
{
	struct crew crew = { .rig = set_up(good_path, 6, 0), .rounds = 200 };

	run_crew(&crew, faults_among_others);
	tear_down(&crew.rig);
}

/* ---- one card ---- */

/* Four at a time activate the same program, each runs a queue of its own, and the card is asked
 * meanwhile. Eight want to: those for whom no NSPs are left try again. */
static void *activate_and_run(void *arg)
{
	struct crew *crew = ((struct member *)arg)->crew;
	struct qeff_queue_options options = { .depth = 3 };
	struct qeff_device_status status;

	for (unsigned int i = 0; i < crew->rounds;) {
		struct qeff_activation *activation;
		struct qeff_queue *queue;
		int ret = qeff_program_activate(crew->rig.program, &activation, NULL);

		if (ret == -EBUSY) {
			sched_yield();
			continue;
		}
		if (ret || qeff_queue_open(activation, &options, &queue, NULL)) {
			atomic_fetch_add(&crew->wrong, 1);
			break;
		}
		for (unsigned int k = 0; k < 20; k++)
			if (submit(queue, atomic_fetch_add(&crew->next, 1), NULL) ||
			    (k > 1 && !complete(queue)))
				atomic_fetch_add(&crew->wrong, 1);
		if (qeff_device_query(crew->rig.device, &status, NULL) ||
		    status.networks_active < 1 || status.networks_active > 4 ||
		    status.nsp_free != 8 - 2 * status.networks_active)
			atomic_fetch_add(&crew->wrong, 1);
		/* with two in flight, in both orders */
		if (i++ % 2) {
			qeff_activation_end(activation);
			qeff_queue_close(queue);
		} else {
			qeff_queue_close(queue);
			qeff_activation_end(activation);
		}
	}
	return NULL;
}

static void eight_over_one_program(void)
{
	struct qeff_device *watch = open_card();
	struct crew crew = { .rounds = 20, .rig.device = open_card() };

	CU_ASSERT_EQUAL_FATAL(
		qeff_program_load(crew.rig.device, good_path, &crew.rig.program, NULL), 0);
	run_crew(&crew, activate_and_run);
	qeff_program_unload(crew.rig.program);
	qeff_device_close(crew.rig.device);
	check_all_free(watch);
	qeff_device_close(watch);
}

/* Four programs, loaded by four users, at work at once and each with a queue that stays full. */
struct four {
	struct rig rig;
	pthread_t thread;
	pthread_barrier_t *all_active;
	unsigned int number, wrong;
};

static void *keep_busy(void *arg)
{
	struct four *f = arg;

	pthread_barrier_wait(f->all_active);
	for (unsigned int i = 0; i < 600; i++)
		if (submit(f->rig.queue, i * 4 + f->number, NULL) ||
		    (i > 2 && !complete(f->rig.queue)))
			f->wrong++;
	for (unsigned int i = 0; i < 3; i++)
		f->wrong += !complete(f->rig.queue);
	return NULL;
}

static void four_programs(void)
{
	struct qeff_device *watch = open_card();
	struct qeff_device_status status = { 0 };
	pthread_barrier_t all_active;
	struct four four[4];

	pthread_barrier_init(&all_active, NULL, 5);
	for (unsigned int i = 0; i < 4; i++) {
		four[i] = (struct four){ .rig = set_up(good_path, 4, 0),
					 .number = i,
					 .all_active = &all_active };
		CU_ASSERT_EQUAL_FATAL(pthread_create(&four[i].thread, NULL, keep_busy, &four[i]),
				      0);
	}
	CU_ASSERT_EQUAL(qeff_device_query(watch, &status, NULL), 0);
	CU_ASSERT_EQUAL(status.networks_active, 4);
	CU_ASSERT_EQUAL(status.nsp_free, 0);
	pthread_barrier_wait(&all_active);
	for (unsigned int i = 0; i < 4; i++) {
		pthread_join(four[i].thread, NULL);
		CU_ASSERT_EQUAL(four[i].wrong, 0);
	}
	for (unsigned int i = 0; i < 4; i++)
		tear_down(&four[(i * 3 + 2) % 4].rig);
	check_all_free(watch);
	qeff_device_close(watch);
	pthread_barrier_destroy(&all_active);
}

/* Cards come and go with their first and last users, are listed, asked and published meanwhile. */
static void *come_and_go(void *arg)
{
	struct member *member = arg;
	struct crew *crew = member->crew;
	struct qeff_published_list *published;
	struct qeff_device_list *list;
	struct qeff_device_status status;
	struct qeff_session *session;
	struct qeff_device *device;

	for (unsigned int i = 0; i < crew->rounds; i++) {
		if (qeff_device_open(member->number % 2 ? "soft0" : "soft1", &device, NULL)) {
			atomic_fetch_add(&crew->wrong, 1);
			continue;
		}
		if (qeff_device_query(device, &status, NULL) || status.nsp_total != 8)
			atomic_fetch_add(&crew->wrong, 1);
		if (!qeff_session_open(device, good_path, NULL, &session, NULL))
			qeff_session_close(session);
		else
			atomic_fetch_add(&crew->wrong, 1);
		qeff_device_close(device);
		if (i % 8)
			continue;
		if (qeff_device_list(&list, NULL) || list->count != 2)
			atomic_fetch_add(&crew->wrong, 1);
		else
			qeff_device_list_free(list);
		if (qeff_published_list(&published, NULL))
			atomic_fetch_add(&crew->wrong, 1);
		else
			qeff_published_list_free(published);
	}
	return NULL;
}

static void users_come_and_go(void)
{
	struct crew crew = { .rounds = 40 };

	setenv("QEFF_SOFTCARDS", "nsps=8,ddr=64M;nsps=8,ddr=64M", 1);
	run_crew(&crew, come_and_go);
	setenv("QEFF_SOFTCARDS", "nsps=8,ddr=64M", 1);
}

/* ---- what is read only ---- */

static void *read_objects(void *arg)
{
	struct crew *crew = ((struct member *)arg)->crew;
	const char *text = "Once upon a time, there was a little girl \xc3\xa9t\xc3\xa9";
	char *decoded;

	for (unsigned int i = 0; i < crew->rounds; i++) {
		const struct qeff_network *network;
		struct qeff_tokens tokens = { 0 };
		size_t length;

		if (qeff_qpc_verify(crew->qpc, NULL) ||
		    qeff_qpc_network(crew->qpc, &network, NULL) || network->num_inputs != 4 ||
		    !qeff_qpc_segment(crew->qpc, QEFF_SEGMENT_IMAGE))
			atomic_fetch_add(&crew->wrong, 1);
		if (qeff_tokenizer_encode(crew->tokenizer, text, strlen(text), 0, 0, &tokens,
					  NULL) ||
		    qeff_tokenizer_decode(crew->tokenizer, tokens.ids, tokens.count, false,
					  &decoded, &length, NULL)) {
			atomic_fetch_add(&crew->wrong, 1);
			continue;
		}
		if (!strstr(decoded, "there was a little girl"))
			atomic_fetch_add(&crew->wrong, 1);
		free(decoded);
		qeff_tokens_free(&tokens);
	}
	return NULL;
}

static void read_only_objects(void)
{
	struct crew crew = { .rounds = 50 };

	CU_ASSERT_EQUAL_FATAL(qeff_qpc_open(good_path, &crew.qpc, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(qeff_tokenizer_open(QEFF_TEST_DATA "/models/tiny-llama-stories",
						  &crew.tokenizer, NULL),
			      0);
	run_crew(&crew, read_objects);
	qeff_tokenizer_close(crew.tokenizer);
	qeff_qpc_close(crew.qpc);
}

static const struct unit_test tests[] = {
	{ "eight threads over one queue", eight_over_one_queue },
	{ "producers and consumers", producers_and_consumers },
	{ "eight threads over one descriptor", eight_over_one_descriptor },
	{ "faults among others", faults },
	{ "eight threads over one program", eight_over_one_program },
	{ "four programs on one card", four_programs },
	{ "users come and go", users_come_and_go },
	{ "packages and tokenizers", read_only_objects },
};

int main(void)
{
	int ret;

	if (!make_packages())
		return EXIT_FAILURE;
	ret = unit_main("threads", tests, sizeof(tests) / sizeof(tests[0]));
	remove_packages();
	return ret;
}
