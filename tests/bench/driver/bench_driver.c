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
#include "../noop.h"

#include <errno.h>
#include <fcntl.h>

#define MAX_SIDES  4
#define MAX_ROUNDS 64

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
	struct noop noop;
	double results[2][NUM_METRICS][MAX_ROUNDS];
};

static struct side sides[MAX_SIDES];
static unsigned int num_sides;
static FILE *to_host, *from_host;

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

static void run(struct side *side, unsigned int in_flight, uint64_t budget_ns, unsigned int round)
{
	double(*results)[MAX_ROUNDS] = side->results[in_flight > 1];
	struct qeff_queue *queue = side->noop.queue;
	struct counts before, after;
	uint64_t began, n = 0;
	double ns;

	for (unsigned int i = 0; i < in_flight; i++)
		noop_submit(queue, NULL);
	for (unsigned int i = 0; i < 2 * in_flight; i++) /* the first ones are not counted */
		noop_submit(queue, noop_complete(queue));
	noop_num_samples = 0;
	before = count(side);
	began = clock_ns(CLOCK_MONOTONIC);
	for (; clock_ns(CLOCK_MONOTONIC) - began < budget_ns; n++)
		noop_submit(queue, noop_complete(queue));
	ns = (double)(clock_ns(CLOCK_MONOTONIC) - began);
	after = count(side);
	noop_latencies(&results[P50][round], &results[P99][round]);
	results[RATE][round] = (double)n * 1e9 / ns;
	results[INTERRUPTS][round] = (double)(after.interrupts - before.interrupts) / (double)n;
	results[BRIDGE][round] = (double)(after.bridge - before.bridge) / (double)n;
	results[REGISTERS][round] = (double)(after.registers - before.registers) / (double)n;
	results[CPU][round] = (double)(after.cpu_ns - before.cpu_ns) / 1e3 / (double)n;
	for (unsigned int i = 0; i < in_flight; i++)
		qeff_slot_release(noop_complete(queue));
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
	if (sscanf(spec, "%15[^:]:%u:%31s", side->driver, &side->card, side->address) != 3) {
		fprintf(stderr, "bench-driver: %s: expected DRIVER:CARD:ADDRESS\n", spec);
		exit(2);
	}
	noop_open(&side->noop, side->address, package);
}

int main(int argc, char **argv)
{
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
	noop_package(path, sizeof(path));
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
			run(side, NOOP_DEPTH, budget_ns, r);
		}
	worse = print_table(rounds);
	for (unsigned int i = 0; i < num_sides; i++)
		noop_close(&sides[i].noop);
	return worse ? EXIT_FAILURE : EXIT_SUCCESS;
}
