/* SPDX-License-Identifier: MIT */
/*
 * Compile speed and peak memory on a Llama of 110 million random parameters: MB/s beside cp of the
 * same file in the same run, and peak memory beside the weights, which must not be held even once.
 */
#include <fcntl.h>
#include <ftw.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define RUNS 3

static char folder[512];

struct result {
	double seconds;
	long peak_kb;
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Runs it with nothing printed; ends the program if it fails. */
static struct result run(const char *const argv[])
{
	struct result result;
	struct rusage usage;
	double start = now();
	pid_t child = fork();
	int status;

	if (!child) {
		int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

		dup2(null, STDOUT_FILENO);
		execvp(argv[0], (char *const *)argv);
		_exit(127);
	}
	if (child < 0 || wait4(child, &status, 0, &usage) != child || status) {
		fprintf(stderr, "%s failed\n", argv[0]);
		exit(EXIT_FAILURE);
	}
	result.seconds = now() - start;
	result.peak_kb = usage.ru_maxrss;
	return result;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static void clean_up(void)
{
	nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static double smaller(double a, double b)
{
	return a < b ? a : b;
}

/* An empty one, so that no run warns that there is none. */
static void add_tokenizer(const char *model)
{
	char path[700];
	FILE *file;

	snprintf(path, sizeof(path), "%s/tokenizer.json", model);
	file = fopen(path, "we");
	if (!file || fputs("{}", file) < 0 || fclose(file))
		exit(EXIT_FAILURE);
}

static void bench(const char *compile, const char *maker, const char *type)
{
	char model[600], weights[700], copy[600], package[600];
	double compile_s = 1e9, copy_s = 1e9, synced_s = 1e9;
	struct stat st;
	long peak_kb = 0;

	snprintf(model, sizeof(model), "%s/model", folder);
	snprintf(weights, sizeof(weights), "%s/model.safetensors", model);
	snprintf(copy, sizeof(copy), "%s/copy", folder);
	snprintf(package, sizeof(package), "%s/model.qpc", folder);
	run((const char *const[]){ "python3", maker, model, "--dtype", type, NULL });
	if (stat(weights, &st))
		exit(EXIT_FAILURE);
	add_tokenizer(model);
	for (int i = 0; i < RUNS; i++) {
		double copied = run((const char *const[]){ "cp", weights, copy, NULL }).seconds;
		struct result compiled;

		copy_s = smaller(copy_s, copied);
		synced_s =
			smaller(synced_s,
				copied + run((const char *const[]){ "sync", copy, NULL }).seconds);
		unlink(copy);
		compiled = run((const char *const[]){ compile, model, "-o", package, NULL });
		compile_s = smaller(compile_s, compiled.seconds);
		peak_kb = compiled.peak_kb > peak_kb ? compiled.peak_kb : peak_kb;
		unlink(package);
	}
	printf("%s: %.0f MB of weights, best of %d\n", type, (double)st.st_size * 1e-6, RUNS);
	printf("  compile      %7.0f MB/s\n", (double)st.st_size * 1e-6 / compile_s);
	printf("  cp           %7.0f MB/s: compile takes %.2f times as long\n",
	       (double)st.st_size * 1e-6 / copy_s, compile_s / copy_s);
	printf("  cp and sync  %7.0f MB/s: compile, which syncs as well, takes %.2f times as long\n",
	       (double)st.st_size * 1e-6 / synced_s, compile_s / synced_s);
	printf("  peak memory  %7.0f MB: %.2f times the weights\n", (double)peak_kb * 1.024e-3,
	       (double)peak_kb * 1024 / (double)st.st_size);
}

int main(int argc, char **argv)
{
	if (argc != 4) {
		fprintf(stderr, "usage: %s QEFF-COMPILE MAKE_CHECKPOINT.PY FOLDER\n", argv[0]);
		return EXIT_FAILURE;
	}
	snprintf(folder, sizeof(folder), "%s/bench-compile-XXXXXX", argv[3]);
	if (!mkdtemp(folder)) {
		perror(folder);
		return EXIT_FAILURE;
	}
	atexit(clean_up);
	bench(argv[1], argv[2], "F16");
	bench(argv[1], argv[2], "F32");
	return EXIT_SUCCESS;
}
