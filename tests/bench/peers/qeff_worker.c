/* SPDX-License-Identifier: MIT */
/*
 * qeff as one of the peers: loads a package, then for each line on standard input runs it once and
 * prints seconds as a line of JSON: of the clock on the wall, or of the CPU's where
 * QEFF_BENCH_CLOCK is "cpu".
 *
 * Usage: bench_qeff generate PACKAGE NEW-TOKENS   (prompt: the line, ids with spaces between)
 *        bench_qeff encode PACKAGE                (ids of all sequences: the line)
 */
#include <qeff/generate.h>
#include <qeff/session.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAX_IDS 65536

static uint32_t ids[MAX_IDS];
static clockid_t clock_id = CLOCK_MONOTONIC;

__attribute__((noreturn)) static void die(const char *what)
{
	fprintf(stderr, "bench_qeff: %s\n", what);
	exit(EXIT_FAILURE);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(clock_id, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static size_t parse(char *line)
{
	char *rest = line, *end;
	size_t count = 0;

	for (; count < MAX_IDS; rest = end) {
		unsigned long id = strtoul(rest, &end, 10);

		if (end == rest)
			break;
		ids[count++] = (uint32_t)id;
	}
	return count;
}

/* Remembers when the first token came. */
static bool on_token(void *user, size_t prompt, uint32_t id, const char *text, size_t text_bytes)
{
	double *first = user;

	if (!*first)
		*first = now();
	return true;
}

static void generate(struct qeff_generator *generator, size_t count, uint32_t new_tokens)
{
	double first = 0, start = now();
	const struct qeff_generate_options options = { .max_new_tokens = new_tokens + 1,
						       .ignore_eos = true,
						       .on_token = on_token,
						       .user = &first };
	struct qeff_prompt prompt = { ids, count };
	struct qeff_generation result;
	struct qeff_error err;

	if (qeff_generate(generator, &prompt, 1, &options, &result, &err))
		die(err.message);
	if (result.count != new_tokens + 1)
		die("too few tokens");
	printf("{\"prefill_s\": %.9f, \"decode_s\": %.9f, \"token\": %u}\n", first - start,
	       now() - first, result.ids[0]);
	qeff_generation_free(&result);
}

static void fill(struct qeff_session *session, const char *name, const uint32_t *values,
		 uint32_t value, size_t count)
{
	struct qeff_tensor tensor;
	struct qeff_error err;

	if (qeff_session_find_input(session, name) < 0)
		return;
	if (qeff_session_input(session, name, NULL, 0, &tensor, &err))
		die(err.message);
	if (tensor.type != QEFF_TYPE_I64 || tensor.size_bytes != count * sizeof(int64_t))
		die("an input of another size or type than the ids");
	for (size_t i = 0; i < count; i++)
		((int64_t *)tensor.data)[i] = values ? values[i] : value;
}

static void encode(struct qeff_session *session, size_t count)
{
	struct qeff_tensor output;
	struct qeff_error err;
	double start = now();

	fill(session, "input_ids", ids, 0, count);
	fill(session, "attention_mask", NULL, 1, count);
	fill(session, "token_type_ids", NULL, 0, count);
	if (qeff_session_run(session, &err) ||
	    qeff_session_output(session, "last_hidden_state", &output, &err))
		die(err.message);
	printf("{\"run_s\": %.9f, \"sample\": %.6f}\n", now() - start,
	       (double)((float *)output.data)[0]);
}

int main(int argc, char **argv)
{
	struct qeff_generator *generator = NULL;
	struct qeff_session *session;
	struct qeff_error err;
	char *line = NULL;
	size_t size = 0;
	bool generates = argc == 4 && !strcmp(argv[1], "generate");

	if (getenv("QEFF_BENCH_CLOCK") && !strcmp(getenv("QEFF_BENCH_CLOCK"), "cpu"))
		clock_id = CLOCK_PROCESS_CPUTIME_ID;
	if (!generates && (argc != 3 || strcmp(argv[1], "encode")))
		die("usage: bench_qeff generate PACKAGE NEW-TOKENS | encode PACKAGE");
	if (qeff_session_open(NULL, argv[2], NULL, &session, &err) ||
	    (generates && qeff_generator_open(session, &generator, &err)))
		die(err.message);
	puts("{}");
	fflush(stdout);
	while (getline(&line, &size, stdin) > 0) {
		size_t count = parse(line);

		if (generates)
			generate(generator, count, (uint32_t)atoi(argv[3]));
		else
			encode(session, count);
		fflush(stdout);
	}
	free(line);
	qeff_generator_close(generator);
	qeff_session_close(session);
	return EXIT_SUCCESS;
}
