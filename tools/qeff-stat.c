/* SPDX-License-Identifier: MIT */
/*
 * qeff-stat: the cards of this machine, how they are, and who runs what on them.
 *
 * Each card is asked by a process of its own, since one that hangs can keep its asker in the kernel
 * for longer than anybody wants to look at a table: who has not answered after a while is left
 * behind.
 */
#include "stat.h"

#include <errno.h>
#include <getopt.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define EXIT_FAILED	1
#define EXIT_USAGE	2
#define ANSWER_LIMIT_MS 1000

static const char usage[] =
	"Usage: qeff-stat [-d CARD] [--json] [--watch] [--timeout SECONDS]\n"
	"Prints the cards of this machine, their state, NSPs and memory, what runs on them, and\n"
	"what the driver has counted (qeff.ko).\n"
	"\n"
	"  -d, --device CARD   only this card: an index (0), a PCI address (0000:03:00.0),\n"
	"                      a node (/dev/accel/accel0), soft or soft0\n"
	"  -w, --watch         prints what happens to the cards as it happens, until it is ended:\n"
	"                      online, offline, resets, states of channels, hardware errors\n"
	"      --timeout SECONDS   how long a card has for its answer (1)\n"
	"      --json          prints one JSON object; with --watch, one a line for each event\n"
	"  -h, --help          this page\n"
	"      --version       prints the version\n"
	"\n"
	"A software card exists in each process that uses it; such cards are listed with the\n"
	"number of their process. Programs are known of processes that use libqeff, of this\n"
	"user or of the system. A card that does not answer in time is said not to.\n"
	"\n"
	"Exit status: 0 if the table was printed, 1 if the card of -d is not there or does not\n"
	"answer, or the cards cannot be listed, 2 if the command line is wrong.\n";

/* Whoever reads what qeff-stat prints shall not wait for the end of a process that is left behind.
 */
static void let_go_of_output(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int fd = 0; fd < 3; fd++)
		if (null < 0 || dup2(null, fd) < 0)
			close(fd);
}

static void ask_and_exit(const char *name, int fd)
{
	struct qeff_device *device = NULL;
	struct qeff_error err = { 0 };
	struct answer answer = { 0 };

	let_go_of_output();
	answer.result = qeff_device_open(name, &device, &err);
	if (!answer.result)
		answer.result = qeff_device_query(device, &answer.status, &err);
	snprintf(answer.message, sizeof(answer.message), "%.*s", (int)sizeof(answer.message) - 1,
		 err.message);
	/* first the answer: leaving the card may take its time */
	if (write(fd, &answer, sizeof(answer)) != (ssize_t)sizeof(answer))
		_exit(EXIT_FAILED);
	qeff_device_close(device);
	_exit(0);
}

static void start_asking(struct card *card)
{
	int ends[2];

	card->fd = -1;
	if (card->info->state != QEFF_DEVICE_READY || pipe(ends) < 0)
		return;
	card->child = fork();
	if (card->child == 0) {
		close(ends[0]);
		ask_and_exit(card->info->name, ends[1]);
	}
	close(ends[1]);
	if (card->child < 0)
		close(ends[0]);
	else
		card->fd = ends[0];
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* An answer fits a pipe, so it is there as a whole or not yet. */
static void take_answer(struct card *card)
{
	card->has_answer = read(card->fd, &card->answer, sizeof(card->answer)) ==
			   (ssize_t)sizeof(card->answer);
	close(card->fd);
	card->fd = -1;
}

static void collect(struct card *cards, size_t count, int64_t deadline)
{
	struct pollfd *fds = calloc(count, sizeof(*fds));

	while (fds) {
		int64_t left = deadline - now_ms();
		bool waiting = false;

		for (size_t i = 0; i < count; i++) {
			fds[i] = (struct pollfd){ .fd = cards[i].fd, .events = POLLIN };
			waiting |= cards[i].fd >= 0;
		}
		if (!waiting || left <= 0)
			break;
		if (poll(fds, count, (int)left) <= 0)
			continue;
		for (size_t i = 0; i < count; i++)
			if (fds[i].fd >= 0 && fds[i].revents)
				take_answer(&cards[i]);
	}
	free(fds);
	/* those that are late end when the kernel lets them; nobody waits for it */
	for (size_t i = 0; i < count; i++) {
		if (cards[i].child > 0 && cards[i].fd >= 0)
			kill(cards[i].child, SIGKILL);
		if (cards[i].child > 0)
			waitpid(cards[i].child, NULL, WNOHANG);
	}
}

/* Why the card has no numbers, or NULL if it has. */
const char *stat_trouble(const struct card *card)
{
	if (card->info->state != QEFF_DEVICE_READY)
		return card->info->reason;
	if (!card->has_answer)
		return "the card does not answer";
	return card->answer.result ? card->answer.message : NULL;
}

const char *stat_word(const struct card *card)
{
	if (card->info->state != QEFF_DEVICE_READY)
		return qeff_device_state_name(card->info->state);
	if (!card->has_answer)
		return "no answer";
	return card->answer.result ? "error" : "ready";
}

/* Another qeff-stat asks the cards and runs nothing. */
bool stat_only_asks(const struct qeff_published_process *p)
{
	return p->num_programs == 0 && strcmp(p->command, "qeff-stat") == 0;
}

bool stat_shows(const struct report *r, const char *device)
{
	for (size_t i = 0; i < r->num_cards; i++)
		if (strcmp(r->cards[i].info->name, device) == 0)
			return true;
	return false;
}

static int complain(const struct qeff_error *err)
{
	fprintf(stderr, "qeff-stat: %s\n", err->message);
	return EXIT_FAILED;
}

static const char *const error_sources[] = {
	"SoC memory",	      "PCIe", "DDR", "system bus 1", "system bus 2", "NSP memory",
	"temperature sensor",
};

const char *stat_error_source(uint32_t source)
{
	return source < sizeof(error_sources) / sizeof(error_sources[0]) ? error_sources[source]
									 : "unknown source";
}

static const char *const channel_states[] = {
	"idle", "in use", "before shutdown", "after shutdown", "before power-up", "after power-up",
};

const char *stat_channel_state(uint32_t state)
{
	return state < sizeof(channel_states) / sizeof(channel_states[0]) ? channel_states[state]
									  : "unknown";
}

static int run(const char *device, bool json, int64_t deadline)
{
	const struct qeff_device_info *only = NULL;
	struct qeff_published_list *published = NULL;
	struct qeff_device_list *list = NULL;
	struct qeff_error err = { 0 };
	struct report r = { 0 };
	int ret = 0;

	/* before our own processes become some of those that use cards */
	if (qeff_published_list(&published, &err) || qeff_device_list(&list, &err)) {
		ret = complain(&err);
		goto out;
	}
	if (device) {
		only = qeff_device_find(list, device);
		if (!only) {
			fprintf(stderr, "qeff-stat: no card \"%s\"\n", device);
			ret = EXIT_FAILED;
			goto out;
		}
	}
	r.published = published;
	r.cards = calloc(list->count, sizeof(*r.cards));
	if (!r.cards) {
		fprintf(stderr, "qeff-stat: out of memory\n");
		ret = EXIT_FAILED;
		goto out;
	}
	for (size_t i = 0; i < list->count; i++) {
		r.has_pci_cards |= list->devices[i].kind == QEFF_DEVICE_DRM;
		if (!only || only == &list->devices[i])
			r.cards[r.num_cards++].info = &list->devices[i];
	}
	for (size_t i = 0; i < r.num_cards; i++)
		start_asking(&r.cards[i]);
	/* the driver knows these by itself, and answers meanwhile */
	for (size_t i = 0; i < r.num_cards; i++)
		r.cards[i].has_counters =
			qeff_counters_read(r.cards[i].info, &r.cards[i].counters, NULL) == 0;
	collect(r.cards, r.num_cards, deadline);
	if (json)
		stat_print_json(&r);
	else
		stat_print_text(&r);
	if (only && stat_trouble(&r.cards[0]))
		ret = EXIT_FAILED;
out:
	free(r.cards);
	qeff_device_list_free(list);
	qeff_published_list_free(published);
	return ret;
}

/* An address stands for itself: a card can be watched for before it is there. */
static int watch(const char *device, bool json)
{
	struct qeff_device_list *list = NULL;
	const struct qeff_device_info *info;
	struct qeff_error err = { 0 };
	char address[16];

	if (!device)
		return stat_watch(NULL, json);
	if (qeff_device_list(&list, &err))
		return complain(&err);
	info = qeff_device_find(list, device);
	snprintf(address, sizeof(address), "%s", info ? info->pci_address : device);
	if (info && info->kind == QEFF_DEVICE_SOFT)
		address[0] = '\0';
	qeff_device_list_free(list);
	if (strchr(address, ':') && strchr(address, '.'))
		return stat_watch(address, json);
	fprintf(stderr,
		"qeff-stat: \"%s\" is no card on the PCI bus, and nothing else has events\n",
		device);
	return EXIT_FAILED;
}

int main(int argc, char **argv)
{
	int64_t began = now_ms(), limit_ms = ANSWER_LIMIT_MS, seconds;
	static const struct option options[] = {
		{ "device", required_argument, NULL, 'd' },
		{ "watch", no_argument, NULL, 'w' },
		{ "json", no_argument, NULL, 'j' },
		{ "timeout", required_argument, NULL, 't' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ 0 },
	};
	const char *device = NULL;
	bool json = false, watching = false;
	int option, ret;
	char *end;

	while ((option = getopt_long(argc, argv, "d:wh", options, NULL)) != -1) {
		switch (option) {
		case 'd':
			device = optarg;
			break;
		case 'w':
			watching = true;
			break;
		case 'j':
			json = true;
			break;
		case 't':
			seconds = strtoll(optarg, &end, 10);
			if (*end || end == optarg || seconds < 1 || seconds > 3600) {
				fprintf(stderr,
					"qeff-stat: --timeout: expected 1 to 3600 seconds, found \"%s\"\n",
					optarg);
				return EXIT_USAGE;
			}
			limit_ms = seconds * 1000;
			break;
		case 'h':
			fputs(usage, stdout);
			return 0;
		case 'V':
			puts("qeff-stat " QEFF_VERSION);
			return 0;
		default:
			fputs("Try \"qeff-stat --help\".\n", stderr);
			return EXIT_USAGE;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "qeff-stat: unexpected \"%s\"\nTry \"qeff-stat --help\".\n",
			argv[optind]);
		return EXIT_USAGE;
	}
	signal(SIGPIPE, SIG_DFL);
	ret = watching ? watch(device, json) : run(device, json, began + limit_ms);
	if (fflush(stdout) != 0 || ferror(stdout)) {
		fprintf(stderr, "qeff-stat: standard output: %s\n", strerror(errno));
		return EXIT_FAILED;
	}
	return ret;
}
