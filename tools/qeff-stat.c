/* SPDX-License-Identifier: MIT */
/*
 * qeff-stat: the cards of this machine, how they are, and who runs what on them.
 *
 * Each card is asked by a process of its own, since one that hangs can keep its asker in the kernel
 * for longer than anybody wants to look at a table: who has not answered after a while is left
 * behind.
 */
#include <qeff/device.h>

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
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
#define ANSWER_LIMIT_MS 1500

static const char usage[] =
	"Usage: qeff-stat [-d CARD] [--json]\n"
	"Prints the cards of this machine, their state, NSPs and memory, and what runs on them.\n"
	"\n"
	"  -d, --device CARD   only this card: an index (0), a PCI address (0000:03:00.0),\n"
	"                      a node (/dev/accel/accel0), soft or soft0\n"
	"      --json          prints one JSON object\n"
	"  -h, --help          this page\n"
	"      --version       prints the version\n"
	"\n"
	"A software card exists in each process that uses it; such cards are listed with the\n"
	"number of their process. Programs are known of processes that use libqeff, of this\n"
	"user or of the system. A card that does not answer within two seconds is said not to.\n"
	"\n"
	"Exit status: 0 if the table was printed, 1 if the card of -d is not there or does not\n"
	"answer, or the cards cannot be listed, 2 if the command line is wrong.\n";

/**
 * struct answer - what the asking process sends back, whole or not at all
 * @result: 0, or the errno of opening or asking
 * @status: the card's answer
 * @message: why it failed
 */
struct answer {
	int result;
	struct qeff_device_status status;
	char message[256];
};

/**
 * struct card - one row
 * @info: from the list
 * @child: the process that asks it; 0 if it cannot be asked
 * @fd: where its answer comes from; -1 once it has come, or will not
 * @answer: all of it, if @has_answer
 */
struct card {
	const struct qeff_device_info *info;
	pid_t child;
	int fd;
	bool has_answer;
	struct answer answer;
};

struct report {
	struct card *cards;
	size_t num_cards;
	const struct qeff_published_list *published;
	bool has_pci_cards;
};

static void ask_and_exit(const char *name, int fd)
{
	struct qeff_device *device = NULL;
	struct qeff_error err = { 0 };
	struct answer answer = { 0 };

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

static void collect(struct card *cards, size_t count)
{
	int64_t deadline = now_ms() + ANSWER_LIMIT_MS;
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
static const char *trouble(const struct card *card)
{
	if (card->info->state != QEFF_DEVICE_READY)
		return card->info->reason;
	if (!card->has_answer)
		return "the card does not answer";
	return card->answer.result ? card->answer.message : NULL;
}

static const char *state_word(const struct card *card)
{
	if (card->info->state != QEFF_DEVICE_READY)
		return qeff_device_state_name(card->info->state);
	if (!card->has_answer)
		return "no answer";
	return card->answer.result ? "error" : "ready";
}

/* Another qeff-stat asks the cards and runs nothing. */
static bool only_asks(const struct qeff_published_process *p)
{
	return p->num_programs == 0 && strcmp(p->command, "qeff-stat") == 0;
}

static bool is_shown(const struct report *r, const char *device)
{
	for (size_t i = 0; i < r->num_cards; i++)
		if (strcmp(r->cards[i].info->name, device) == 0)
			return true;
	return false;
}

/* "12 / 16" */
static const char *pair(char *text, size_t size, uint32_t free_count, uint32_t total)
{
	snprintf(text, size, "%" PRIu32 " / %" PRIu32, free_count, total);
	return text;
}

/* "31.9 / 32.0 GiB" */
static const char *memory_pair(char *text, size_t size, uint64_t free_bytes, uint64_t total_bytes)
{
	snprintf(text, size, "%.1f / %.1f GiB", (double)free_bytes / (1 << 30),
		 (double)total_bytes / (1 << 30));
	return text;
}

static const char *memory(char *text, size_t size, uint64_t bytes)
{
	if (bytes < UINT64_C(1) << 30)
		snprintf(text, size, "%.1f MiB", (double)bytes / (1 << 20));
	else
		snprintf(text, size, "%.1f GiB", (double)bytes / (1 << 30));
	return text;
}

#define CARD_ROW "%3s  %-14s %-10s %-14s %-11s %9s  %17s  %s\n"

static void print_card(const struct card *card)
{
	const struct qeff_device_status *s = &card->answer.status;
	char index[12], nsps[32] = "-", ddr[48] = "-", networks[48] = "-";

	snprintf(index, sizeof(index), "%" PRIu32, card->info->index);
	if (trouble(card)) {
		printf(CARD_ROW, index, card->info->name, "-", state_word(card), "-", nsps, ddr,
		       networks);
		return;
	}
	pair(nsps, sizeof(nsps), s->nsp_free, s->nsp_total);
	memory_pair(ddr, sizeof(ddr), s->ddr_free_bytes, s->ddr_total_bytes);
	snprintf(networks, sizeof(networks), "%" PRIu32 " (%" PRIu32 " active)", s->networks_loaded,
		 s->networks_active);
	if (card->info->kind == QEFF_DEVICE_SOFT)
		printf(CARD_ROW, index, card->info->name, s->sku_name, "software", "-", nsps, ddr,
		       "in the process that uses it");
	else
		printf(CARD_ROW, index, card->info->name, s->sku_name, state_word(card),
		       s->firmware_version, nsps, ddr, networks);
}

/* The software cards that are in use: each is a card of its own, in its process. */
static void print_software_cards(const struct report *r)
{
	char name[64], nsps[32], ddr[48];

	for (size_t i = 0; i < r->published->count; i++) {
		const struct qeff_published_process *p = &r->published->processes[i];

		for (size_t j = 0; j < p->num_devices && !only_asks(p); j++) {
			const struct qeff_published_device *d = &p->devices[j];

			if (d->kind != QEFF_DEVICE_SOFT || !is_shown(r, d->name))
				continue;
			snprintf(name, sizeof(name), "%s @%d", d->name, p->pid);
			printf(CARD_ROW, "", name, "", "in use", "-",
			       pair(nsps, sizeof(nsps), d->nsp_free, d->nsp_total),
			       memory_pair(ddr, sizeof(ddr), d->ddr_free_bytes, d->ddr_total_bytes),
			       "");
		}
	}
}

static void print_programs(const struct report *r)
{
	bool any = false;
	char ddr[32];

	for (size_t i = 0; i < r->published->count; i++) {
		const struct qeff_published_process *p = &r->published->processes[i];

		for (size_t j = 0; j < p->num_programs; j++) {
			const struct qeff_published_program *program = &p->programs[j];

			if (!is_shown(r, program->device))
				continue;
			if (!any)
				printf("\n%8s  %-15s %-13s %4s  %10s  %11s  %s\n", "PID", "Command",
				       "Card", "NSPs", "DDR", "Inferences", "Program");
			any = true;
			printf("%8d  %-15.15s %-13s %4" PRIu32 "  %10s  %11" PRIu64 "  %s\n",
			       p->pid, p->command, program->device, program->nsps,
			       memory(ddr, sizeof(ddr), program->ddr_bytes), program->inferences,
			       program->path[0] ? program->path : program->name);
		}
	}
	if (!any)
		printf("\nNo process that can be seen has a program on them.\n");
}

static void print_table(const struct report *r)
{
	if (!r->has_pci_cards)
		printf("No Cloud AI card in this machine. Programs run on a card made of "
		       "software.\n\n");
	printf(CARD_ROW, "ID", "Card", "SKU", "State", "Firmware", "NSPs free", "DDR free",
	       "Programs");
	for (size_t i = 0; i < r->num_cards; i++)
		print_card(&r->cards[i]);
	print_software_cards(r);
	for (size_t i = 0; i < r->num_cards; i++)
		if (trouble(&r->cards[i]))
			printf("\n%s: %s\n", r->cards[i].info->name, trouble(&r->cards[i]));
	print_programs(r);
}

static json_t *number(uint64_t value)
{
	return json_integer((json_int_t)value);
}

/* Strings from cards and sysfs are printable; an absent one is null. */
static json_t *text(const char *value)
{
	return value && *value ? json_string(value) : json_null();
}

static json_t *status_json(const struct qeff_device_status *s)
{
	json_t *o = json_object();

	json_object_set_new(o, "sku", json_string(s->sku_name));
	json_object_set_new(o, "nsp_total", number(s->nsp_total));
	json_object_set_new(o, "nsp_free", number(s->nsp_free));
	json_object_set_new(o, "ddr_total_bytes", number(s->ddr_total_bytes));
	json_object_set_new(o, "ddr_free_bytes", number(s->ddr_free_bytes));
	json_object_set_new(o, "ddr_fragmentation_percent", number(s->ddr_fragmentation_percent));
	json_object_set_new(o, "vc_total", number(s->vc_total));
	json_object_set_new(o, "vc_free", number(s->vc_free));
	json_object_set_new(o, "mcid_total", number(s->mcid_total));
	json_object_set_new(o, "mcid_free", number(s->mcid_free));
	json_object_set_new(o, "semaphore_total", number(s->semaphore_total));
	json_object_set_new(o, "semaphore_free", number(s->semaphore_free));
	json_object_set_new(o, "constants_loaded", number(s->constants_loaded));
	json_object_set_new(o, "constants_in_use", number(s->constants_in_use));
	json_object_set_new(o, "networks_loaded", number(s->networks_loaded));
	json_object_set_new(o, "networks_active", number(s->networks_active));
	json_object_set_new(o, "firmware_version", text(s->firmware_version));
	json_object_set_new(o, "firmware_image", text(s->firmware_image));
	json_object_set_new(o, "firmware_variant", text(s->firmware_variant));
	json_object_set_new(o, "nsp_version", text(s->nsp_version));
	json_object_set_new(o, "board_serial", text(s->board_serial));
	json_object_set_new(o, "chip_serial", text(s->chip_serial));
	json_object_set_new(o, "nsp_hz", number(s->nsp_hz));
	json_object_set_new(o, "ddr_hz", number(s->ddr_hz));
	json_object_set_new(o, "ddr_bytes_per_s", number(s->ddr_bytes_per_s));
	json_object_set_new(o, "peak_ops_per_s", number(s->peak_ops_per_s));
	json_object_set_new(o, "retired_pages", number(s->retired_pages));
	return o;
}

static const char *kind_word(enum qeff_device_kind kind)
{
	return kind == QEFF_DEVICE_SOFT ? "soft" : "drm";
}

static json_t *card_json(const struct card *card)
{
	const struct qeff_device_info *info = card->info;
	json_t *o = json_object();

	json_object_set_new(o, "index", number(info->index));
	json_object_set_new(o, "name", json_string(info->name));
	json_object_set_new(o, "kind", json_string(kind_word(info->kind)));
	json_object_set_new(o, "pci_address", text(info->pci_address));
	json_object_set_new(o, "pci_device",
			    info->pci_device ? number(info->pci_device) : json_null());
	json_object_set_new(o, "node", text(info->node));
	json_object_set_new(o, "driver", text(info->driver));
	json_object_set_new(o, "state", json_string(state_word(card)));
	json_object_set_new(o, "reason", text(trouble(card)));
	json_object_set_new(o, "status",
			    trouble(card) ? json_null() : status_json(&card->answer.status));
	return o;
}

static json_t *process_json(const struct report *r, const struct qeff_published_process *p)
{
	json_t *o = json_object(), *devices = json_array(), *programs = json_array();

	for (size_t i = 0; i < p->num_devices; i++) {
		const struct qeff_published_device *d = &p->devices[i];
		json_t *device = json_object();

		if (!is_shown(r, d->name)) {
			json_decref(device);
			continue;
		}
		json_object_set_new(device, "name", json_string(d->name));
		json_object_set_new(device, "kind", json_string(kind_word(d->kind)));
		if (d->kind == QEFF_DEVICE_SOFT) {
			json_object_set_new(device, "nsp_total", number(d->nsp_total));
			json_object_set_new(device, "nsp_free", number(d->nsp_free));
			json_object_set_new(device, "ddr_total_bytes", number(d->ddr_total_bytes));
			json_object_set_new(device, "ddr_free_bytes", number(d->ddr_free_bytes));
		}
		json_array_append_new(devices, device);
	}
	for (size_t i = 0; i < p->num_programs; i++) {
		const struct qeff_published_program *q = &p->programs[i];
		json_t *program;

		if (!is_shown(r, q->device))
			continue;
		program = json_object();
		json_object_set_new(program, "device", json_string(q->device));
		json_object_set_new(program, "name", text(q->name));
		json_object_set_new(program, "path", text(q->path));
		json_object_set_new(program, "nsps", number(q->nsps));
		json_object_set_new(program, "ddr_bytes", number(q->ddr_bytes));
		json_object_set_new(program, "inferences", number(q->inferences));
		json_array_append_new(programs, program);
	}
	json_object_set_new(o, "pid", json_integer(p->pid));
	json_object_set_new(o, "command", text(p->command));
	json_object_set_new(o, "devices", devices);
	json_object_set_new(o, "programs", programs);
	return o;
}

static void print_json(const struct report *r)
{
	json_t *root = json_object(), *devices = json_array(), *processes = json_array();

	for (size_t i = 0; i < r->num_cards; i++)
		json_array_append_new(devices, card_json(&r->cards[i]));
	for (size_t i = 0; i < r->published->count; i++)
		if (!only_asks(&r->published->processes[i]))
			json_array_append_new(processes,
					      process_json(r, &r->published->processes[i]));
	json_object_set_new(root, "version", json_string(QEFF_VERSION));
	json_object_set_new(root, "devices", devices);
	json_object_set_new(root, "processes", processes);
	json_dumpf(root, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(root);
}

static int complain(const struct qeff_error *err)
{
	fprintf(stderr, "qeff-stat: %s\n", err->message);
	return EXIT_FAILED;
}

static int run(const char *device, bool json)
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
	collect(r.cards, r.num_cards);
	if (json)
		print_json(&r);
	else
		print_table(&r);
	if (only && trouble(&r.cards[0]))
		ret = EXIT_FAILED;
out:
	free(r.cards);
	qeff_device_list_free(list);
	qeff_published_list_free(published);
	return ret;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "device", required_argument, NULL, 'd' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ 0 },
	};
	const char *device = NULL;
	bool json = false;
	int option, ret;

	while ((option = getopt_long(argc, argv, "d:h", options, NULL)) != -1) {
		switch (option) {
		case 'd':
			device = optarg;
			break;
		case 'j':
			json = true;
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
	ret = run(device, json);
	if (fflush(stdout) != 0 || ferror(stdout)) {
		fprintf(stderr, "qeff-stat: standard output: %s\n", strerror(errno));
		return EXIT_FAILED;
	}
	return ret;
}
