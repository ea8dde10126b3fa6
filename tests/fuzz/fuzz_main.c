/* SPDX-License-Identifier: MIT */
/*
 * Drives a harness without libFuzzer:
 *
 *   fuzz_X replay FILE|FOLDER...                  every file, as it is
 *   fuzz_X corrupt --count N --seed S FILE...     N damaged inputs, made from the files in turn
 *   fuzz_X truncate FILE                          every prefix of the first 64 KiB, 1,000 longer
 * ones
 *
 * Prints one line of counts. An input that crashes, hangs or breaks a promise ends the process; it
 * is then in ./failed-<harness>, for replay.
 */
#include "fuzz.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define MAX_SEEDS     2048
#define TRUNCATE_ALL  65536
#define TRUNCATE_SOME 1000
/*
 * A correct run takes milliseconds on the CPU, even with sanitizers; on the clock it may take long
 * on a busy machine, so that limit is there for what waits for ever.
 */
#define CPU_LIMIT_S  30
#define TIME_LIMIT_S 900
#define ROOM_BYTES   4096

void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));
int __lsan_do_recoverable_leak_check(void) __attribute__((weak));

struct seed {
	char *path;
	uint8_t *data;
	size_t size;
};

static const char *program;
static const uint8_t *current;
static size_t current_size;
static char failed_path[256];
static unsigned long long num_inputs;

static void keep_input(void)
{
	int fd = current ? open(failed_path, O_WRONLY | O_CREAT | O_TRUNC, 0644) : -1;

	if (fd < 0)
		return;
	if (write(fd, current, current_size) == (ssize_t)current_size)
		dprintf(STDERR_FILENO, "%s: input %llu is kept as %s\n", program, num_inputs,
			failed_path);
	close(fd);
}

static void on_signal(int number)
{
	bool too_long = number == SIGALRM || number == SIGPROF;

	keep_input();
	dprintf(STDERR_FILENO, "%s: %s\n", program, too_long ? "an input took too long" : "crash");
	signal(too_long ? SIGABRT : number, SIG_DFL);
	raise(too_long ? SIGABRT : number);
}

static void limit_time(int cpu_s, unsigned int clock_s)
{
	const struct itimerval cpu = { .it_value.tv_sec = cpu_s };

	setitimer(ITIMER_PROF, &cpu, NULL);
	alarm(clock_s);
}

/* In memory of exactly its size, so that the sanitizer sees a step past the end. */
static void run(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);

	fuzz_require(copy, "no memory for an input of %zu bytes", size);
	memcpy(copy, data, size);
	current = copy;
	current_size = size;
	limit_time(CPU_LIMIT_S, TIME_LIMIT_S);
	LLVMFuzzerTestOneInput(copy, size);
	limit_time(0, 0);
	current = NULL;
	free(copy);
	num_inputs++;
	if (num_inputs % 5000 == 0 && __lsan_do_recoverable_leak_check)
		fuzz_require(!__lsan_do_recoverable_leak_check(),
			     "something of the last 5000 inputs leaked");
}

static void read_seed(const char *path, struct seed *seed)
{
	FILE *file = fopen(path, "rb");
	long size = -1;

	if (file && !fseek(file, 0, SEEK_END))
		size = ftell(file);
	fuzz_require(size >= 0, "cannot read %s", path);
	rewind(file);
	seed->path = strdup(path);
	seed->size = (size_t)size;
	seed->data = malloc(seed->size + ROOM_BYTES);
	fuzz_require(seed->path && seed->data &&
			     fread(seed->data, 1, seed->size, file) == seed->size,
		     "cannot read %s", path);
	fclose(file);
}

static size_t read_seeds(const char *path, struct seed *seeds, size_t count)
{
	struct dirent **entries;
	struct stat st;
	char inner[4096];
	int n;

	fuzz_require(!stat(path, &st), "no file %s", path);
	if (!S_ISDIR(st.st_mode)) {
		fuzz_require(count < MAX_SEEDS, "more than %d files", MAX_SEEDS);
		read_seed(path, &seeds[count]);
		return count + 1;
	}
	n = scandir(path, &entries, NULL, alphasort);
	for (int i = 0; i < n; i++) {
		if (entries[i]->d_name[0] != '.') {
			snprintf(inner, sizeof(inner), "%s/%s", path, entries[i]->d_name);
			count = read_seeds(inner, seeds, count);
		}
		free(entries[i]);
	}
	if (n >= 0)
		free(entries);
	return count;
}

static void corrupt(const struct seed *seeds, size_t num_seeds, unsigned long long count,
		    uint64_t number)
{
	static struct fuzz_region regions[MAX_SEEDS][FUZZ_MAX_REGIONS];
	static size_t num_regions[MAX_SEEDS];
	size_t capacity = 0;
	uint8_t *data;

	for (size_t i = 0; i < num_seeds; i++) {
		num_regions[i] = fuzz_regions(seeds[i].data, seeds[i].size, regions[i]);
		if (seeds[i].size + ROOM_BYTES > capacity)
			capacity = seeds[i].size + ROOM_BYTES;
	}
	data = malloc(capacity);
	fuzz_require(data, "no memory");
	for (unsigned long long i = 0; i < count; i++) {
		const struct seed *seed = &seeds[i % num_seeds];
		/* each input by itself depends on the seed and its number alone */
		uint64_t state = UINT64_C(0x9e3779b97f4a7c15) * (number * 1000003 + i + 1);
		size_t size = 0;

		memcpy(data, seed->data, seed->size);
		if (fuzz_mutate_whole && fuzz_random(&state, 2))
			size = fuzz_mutate_whole(data, seed->size, capacity, &state);
		if (!size)
			size = fuzz_mutate(data, seed->size, capacity, &state,
					   regions[i % num_seeds], num_regions[i % num_seeds]);
		run(data, size);
	}
	free(data);
}

static void truncate_everywhere(const struct seed *seed)
{
	size_t all = seed->size < TRUNCATE_ALL ? seed->size : TRUNCATE_ALL;
	size_t rest = seed->size - all;

	for (size_t size = 0; size < all; size++)
		run(seed->data, size);
	for (size_t i = 0; rest && i < TRUNCATE_SOME; i++)
		run(seed->data, all + rest * i / TRUNCATE_SOME);
	fuzz_require(!fuzz_num_ran, "%llu truncated inputs were taken for whole",
		     (unsigned long long)fuzz_num_ran);
}

static int usage(void)
{
	fprintf(stderr,
		"Usage: %s replay PATH...\n"
		"       %s corrupt --count N --seed S PATH...\n"
		"       %s truncate FILE\n",
		program, program, program);
	return 2;
}

int main(int argc, char **argv)
{
	static struct seed seeds[MAX_SEEDS];
	unsigned long long count = 1000, number = 1;
	time_t began = time(NULL);
	size_t num_seeds = 0;
	const char *mode;

	program = strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1 : argv[0];
	mode = argc > 2 ? argv[1] : "";
	for (int i = 2; i < argc; i++) {
		if (!strcmp(argv[i], "--count") && i + 1 < argc)
			count = strtoull(argv[++i], NULL, 10);
		else if (!strcmp(argv[i], "--seed") && i + 1 < argc)
			number = strtoull(argv[++i], NULL, 10);
		else
			num_seeds = read_seeds(argv[i], seeds, num_seeds);
	}
	if (!num_seeds)
		return usage();
	snprintf(failed_path, sizeof(failed_path), "failed-%s", program);
	signal(SIGALRM, on_signal);
	signal(SIGPROF, on_signal);
	if (__sanitizer_set_death_callback) {
		__sanitizer_set_death_callback(keep_input);
	} else {
		signal(SIGSEGV, on_signal);
		signal(SIGABRT, on_signal);
		signal(SIGBUS, on_signal);
		signal(SIGFPE, on_signal);
	}
	if (!strcmp(mode, "replay"))
		for (size_t i = 0; i < num_seeds; i++)
			run(seeds[i].data, seeds[i].size);
	else if (!strcmp(mode, "corrupt"))
		corrupt(seeds, num_seeds, count, number);
	else if (!strcmp(mode, "truncate"))
		truncate_everywhere(&seeds[0]);
	else
		return usage();
	printf("%s %s: %llu inputs, %llu ran, %llu refused, %lld s\n", program, mode, num_inputs,
	       (unsigned long long)fuzz_num_ran, (unsigned long long)fuzz_num_refused,
	       (long long)(time(NULL) - began));
	for (size_t i = 0; i < num_seeds; i++) {
		free(seeds[i].path);
		free(seeds[i].data);
	}
	return 0;
}
