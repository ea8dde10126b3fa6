/* SPDX-License-Identifier: MIT */
/*
 * Two drivers, a card of the same kind each, in one guest: inferences that do nothing, through
 * libqeff's queue, one at a time and as many as the queue has slots. Rounds alternate between the
 * drivers, and the median of rounds counts. Beside rates and latencies: interrupts per inference,
 * by /proc/interrupts, and register accesses per inference, which the cards themselves count.
 *
 * usage: bench-driver SECONDS ROUNDS DRIVER:CARD-NUMBER:PCI-ADDRESS...
 *
 * The card's number is what the host knows it by (0: not at all); it is asked over /dev/ttyS3.
 * Prints a line for each round and a table. The exit status is not 0 if the first driver is worse
 * than the last one by more than the noise that the rounds show.
 */
#include "../../unit/runtime_package.h"

#include <qeff/program.h>
#include <qeff/queue.h>

#include <errno.h>
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#define DEEP	    64
#define MAX_SAMPLES (1u << 20)
#define MAX_SIDES   4
#define MAX_ROUNDS  64

enum metric { RATE, P50, P99, INTERRUPTS, BRIDGE, REGISTERS, CPU, NUM_METRICS };

static const char *const metric_names[NUM_METRICS] = {
	"inferences/s",
	"p50, us",
	"p99, us",
	"interrupts each",
	"bridge accesses each",
	"register accesses each",
	"CPU us each",
};

struct side {
	char driver[16];
	unsigned int card;
	char address[32];
	struct qeff_device *device;
	struct qeff_loaded_program *program;
	struct qeff_activation *activation;
	struct qeff_queue *queue;
	double results[2][NUM_METRICS][MAX_ROUNDS];
};

static struct side sides[MAX_SIDES];
static unsigned int num_sides;
static FILE *to_host, *from_host;
static uint32_t *samples; /* latencies in ns */
static size_t num_samples;

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void check(int ret, const struct qeff_error *err)
{
	if (!ret)
		return;
	fprintf(stderr, "bench-driver: %s\n", err->message);
	exit(EXIT_FAILURE);
}

/* ---- what is counted ---- */

struct counts {
	uint64_t interrupts, bridge, registers, cpu_ns;
};

/* All lines of the driver's channels, all CPUs. */
static uint64_t interrupts_of(const char *driver)
{
	FILE *f = fopen("/proc/interrupts", "r");
	uint64_t sum = 0;
	char line[1024], name[32];

	snprintf(name, sizeof(name), "%s_dbc", driver);
	while (f && fgets(line, sizeof(line), f)) {
		char *at = strchr(line, ':'), *end;

		if (!at || !strstr(line, name))
			continue;
		for (at++;; at = end) {
			uint64_t n = strtoull(at, &end, 10);

			if (end == at || (*end != ' ' && *end != '\t'))
				break;
			sum += n;
		}
	}
	if (f)
		fclose(f);
	return sum;
}

/* The sum and the third of "NAME":[a,b,c,...]: all registers, and those of BAR2, the bridge. */
static void add_accesses(const char *answer, const char *name, struct counts *c)
{
	const char *at = strstr(answer, name);
	char *end;

	if (!at)
		return;
	at = strchr(at, '[');
	for (unsigned int bar = 0; at && *at != ']' && *at != '\0'; bar++, at = end) {
		uint64_t n = strtoull(at + 1, &end, 10);

		c->registers += n;
		if (bar == 2)
			c->bridge += n;
	}
}

static struct counts count(const struct side *side)
{
	struct counts c = { .interrupts = interrupts_of(side->driver) };
	static char answer[1 << 16];

	if (side->card && to_host && from_host) {
		fprintf(to_host, "stats %u\n", side->card);
		fflush(to_host);
		if (!fgets(answer, sizeof(answer), from_host)) {
			fprintf(stderr, "bench-driver: the host does not answer\n");
			exit(EXIT_FAILURE);
		}
		add_accesses(answer, "\"bar_reads\"", &c);
		add_accesses(answer, "\"bar_writes\"", &c);
	}
	c.cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	return c;
}

/* ---- a round ---- */

static void submit(struct qeff_queue *queue, struct qeff_slot *slot)
{
	struct qeff_error err = { 0 };

	if (!slot)
		check(qeff_queue_acquire(queue, -1, &slot, &err), &err);
	check(qeff_queue_submit(slot, NULL, -1, &err), &err);
}

static struct qeff_slot *complete(struct qeff_queue *queue)
{
	struct qeff_completion done;
	struct qeff_error err = { 0 };
	uint64_t ns;

	check(qeff_queue_complete(queue, -1, &done, &err), &err);
	check(done.status, &done.error);
	ns = done.completed_ns - done.submitted_ns;
	if (num_samples < MAX_SAMPLES)
		samples[num_samples++] = ns > UINT32_MAX ? UINT32_MAX : (uint32_t)ns;
	return done.slot;
}

static int by_size(const void *a, const void *b)
{
	uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;

	return left < right ? -1 : left > right;
}

static void run(struct side *side, unsigned int in_flight, uint64_t budget_ns, unsigned int round)
{
	double(*results)[MAX_ROUNDS] = side->results[in_flight > 1];
	struct counts before, after;
	uint64_t began, n = 0;
	double ns;

	for (unsigned int i = 0; i < in_flight; i++)
		submit(side->queue, NULL);
	for (unsigned int i = 0; i < 2 * in_flight; i++) /* the first ones are not counted */
		submit(side->queue, complete(side->queue));
	num_samples = 0;
	before = count(side);
	began = clock_ns(CLOCK_MONOTONIC);
	for (; clock_ns(CLOCK_MONOTONIC) - began < budget_ns; n++)
		submit(side->queue, complete(side->queue));
	ns = (double)(clock_ns(CLOCK_MONOTONIC) - began);
	after = count(side);
	qsort(samples, num_samples, sizeof(*samples), by_size);
	results[RATE][round] = (double)n * 1e9 / ns;
	results[P50][round] = samples[num_samples / 2] / 1e3;
	results[P99][round] = samples[num_samples - num_samples / 100 - 1] / 1e3;
	results[INTERRUPTS][round] = (double)(after.interrupts - before.interrupts) / (double)n;
	results[BRIDGE][round] = (double)(after.bridge - before.bridge) / (double)n;
	results[REGISTERS][round] = (double)(after.registers - before.registers) / (double)n;
	results[CPU][round] = (double)(after.cpu_ns - before.cpu_ns) / 1e3 / (double)n;
	for (unsigned int i = 0; i < in_flight; i++)
		qeff_slot_release(complete(side->queue));
	printf("# round %u, %s, %u in flight: %llu inferences", round + 1, side->driver, in_flight,
	       (unsigned long long)n);
	for (unsigned int m = 0; m < NUM_METRICS; m++)
		printf(", %.2f %s", results[m][round], metric_names[m]);
	putchar('\n');
}

/* ---- the table ---- */

static int by_value(const void *a, const void *b)
{
	double left = *(const double *)a, right = *(const double *)b;

	return left < right ? -1 : left > right;
}

static double median(const double *values, unsigned int count)
{
	double sorted[MAX_ROUNDS] = { 0 };

	memcpy(sorted, values, count * sizeof(*sorted));
	qsort(sorted, count, sizeof(*sorted), by_value);
	return count % 2 ? sorted[count / 2] : (sorted[count / 2 - 1] + sorted[count / 2]) / 2;
}

/* The ratios within each round, so that what slows both slows neither; sorted. */
static void round_ratios(unsigned int deep, unsigned int m, unsigned int rounds, double *ratios)
{
	for (unsigned int r = 0; r < rounds; r++) {
		double ours = sides[0].results[deep][m][r];
		double theirs = sides[num_sides - 1].results[deep][m][r];

		ratios[r] = ours == theirs ? 1 : ours / (theirs > 0.01 ? theirs : 0.01);
	}
	qsort(ratios, rounds, sizeof(*ratios), by_value);
}

/*
 * Times are worse if they are by three parts in a hundred in every round. Counts do not
 * depend on what else the machine does; but an interrupt comes when the machine under the guest
 * stood still, so one in fifty inferences is none. The processor's time is told, not judged: most
 * of it is the library's.
 */
static bool is_worse(unsigned int deep, unsigned int m, unsigned int rounds)
{
	double ours = median(sides[0].results[deep][m], rounds);
	double theirs = median(sides[num_sides - 1].results[deep][m], rounds);
	double ratios[MAX_ROUNDS] = { 0 };

	round_ratios(deep, m, rounds, ratios);
	switch (m) {
	case RATE:
		return ratios[rounds - 1] < 0.97;
	case CPU:
		return false;
	case P50:
	case P99:
		return ratios[0] > 1.03;
	default:
		return median(ratios, rounds) > 1.03 && ours > theirs + 0.02;
	}
}

static bool print_table(unsigned int rounds)
{
	bool worse = false;

	for (unsigned int deep = 0; deep < 2; deep++) {
		printf("# %-24s", deep ? "64 in flight" : "1 in flight");
		for (unsigned int s = 0; s < num_sides; s++)
			printf("  %10s", sides[s].driver);
		printf("     ratio\n");
		for (unsigned int m = 0; m < NUM_METRICS; m++) {
			double ratios[MAX_ROUNDS] = { 0 };

			printf("# %-24s", metric_names[m]);
			for (unsigned int s = 0; s < num_sides; s++)
				printf("  %10.2f", median(sides[s].results[deep][m], rounds));
			round_ratios(deep, m, rounds, ratios);
			printf("  %8.2f  (%.2f to %.2f)%s\n", median(ratios, rounds), ratios[0],
			       ratios[rounds - 1], is_worse(deep, m, rounds) ? "  worse" : "");
			worse |= is_worse(deep, m, rounds);
		}
	}
	return worse;
}

static void open_side(struct side *side, const char *spec, const char *package)
{
	const struct qeff_queue_options options = { .depth = DEEP };
	struct qeff_error err = { 0 };

	if (sscanf(spec, "%15[^:]:%u:%31s", side->driver, &side->card, side->address) != 3) {
		fprintf(stderr, "bench-driver: %s: expected DRIVER:CARD:ADDRESS\n", spec);
		exit(2);
	}
	check(qeff_device_open(side->address, &side->device, &err), &err);
	check(qeff_program_load(side->device, package, &side->program, &err), &err);
	check(qeff_program_activate(side->program, &side->activation, &err), &err);
	check(qeff_queue_open(side->activation, &options, &side->queue, &err), &err);
}

static void close_side(struct side *side)
{
	qeff_queue_close(side->queue);
	qeff_activation_end(side->activation);
	qeff_program_unload(side->program);
	qeff_device_close(side->device);
}

int main(int argc, char **argv)
{
	const struct package_options no_op = { .no_op = true };
	uint64_t budget_ns = argc > 3 ? (uint64_t)(atof(argv[1]) * 1e9) : 0;
	unsigned int rounds = argc > 3 ? (unsigned int)atoi(argv[2]) : 0;
	char path[64];
	bool worse;
	int port;

	if (!budget_ns || rounds < 1 || rounds > MAX_ROUNDS || argc - 3 > MAX_SIDES) {
		fprintf(stderr, "usage: bench-driver SECONDS ROUNDS DRIVER:CARD:ADDRESS...\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	samples = malloc(MAX_SAMPLES * sizeof(*samples));
	snprintf(path, sizeof(path), "/tmp/qeff-noop-%d.qpc", (int)getpid());
	if (!samples || !package_make(path, &no_op))
		return EXIT_FAILURE;
	port = open("/dev/ttyS3", O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (port >= 0) {
		to_host = fdopen(dup(port), "w");
		from_host = fdopen(port, "r");
	}
	for (num_sides = 0; num_sides < (unsigned int)argc - 3; num_sides++)
		open_side(&sides[num_sides], argv[3 + num_sides], path);
	unlink(path);

	for (unsigned int r = 0; r < rounds; r++)
		for (unsigned int i = 0; i < num_sides; i++) {
			struct side *side = &sides[(r + i) % num_sides];

			run(side, 1, budget_ns, r);
			run(side, DEEP, budget_ns, r);
		}
	worse = print_table(rounds);
	for (unsigned int i = 0; i < num_sides; i++)
		close_side(&sides[i]);
	free(samples);
	return worse ? EXIT_FAILURE : EXIT_SUCCESS;
}
