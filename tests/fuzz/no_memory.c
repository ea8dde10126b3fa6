/* SPDX-License-Identifier: MIT */
/*
 * Out of memory at every allocation in turn, inside one process:
 *
 *   no_memory compile MODEL [STEP]    qeff_compile()
 *   no_memory run PACKAGE [STEP]      a card opened, the package loaded, text generated
 *   no_memory embed PACKAGE [STEP]    the same, and a text embedded
 *   no_memory tokenize FILE [STEP]    a tokenizer opened, a text encoded and decoded
 *
 * Tries every STEP-th allocation, and each twice: alone, and with all that follow it. Each try must
 * end in an error with a sentence, or succeed without what it did not get, and give everything
 * back.
 */
#include "failing_malloc.h"

#include <qeff/compiler.h>
#include <qeff/embed.h>
#include <qeff/generate.h>
#include <qeff/session.h>
#include <qeff/tokenizer.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* A leak grows with every repetition; what the C library keeps for threads to come does not. */
#define REPEATS	     6
#define TIME_LIMIT_S 60

static const char *subject;

static int compile(struct qeff_error *err)
{
	char output[64];
	struct qeff_compile_summary summary = { 0 };
	int rc;

	snprintf(output, sizeof(output), "/tmp/qeff-no-memory-%d.qpc", getpid());
	rc = qeff_compile(&(struct qeff_compile_options){ .model_dir = subject,
							  .output = output,
							  .num_cores = 2 },
			  &summary, err);
	qeff_compile_summary_free(&summary);
	unlink(output);
	return rc;
}

static int generate(struct qeff_session *session, struct qeff_error *err)
{
	const struct qeff_generate_options options = { .max_new_tokens = 3 };
	struct qeff_generation generation = { 0 };
	struct qeff_generator *generator;
	int rc = qeff_generator_open(session, &generator, err);

	if (rc)
		return rc;
	rc = qeff_generate_text(generator, "abc hello", &options, &generation, err);
	if (!rc)
		qeff_generation_free(&generation);
	qeff_generator_close(generator);
	return rc;
}

static int embed(struct qeff_session *session, struct qeff_error *err)
{
	static const char *const texts[] = { "abc hello" };
	struct qeff_embeddings embeddings;
	struct qeff_embedder *embedder;
	int rc = qeff_embedder_open(session, &embedder, err);

	if (rc)
		return rc;
	rc = qeff_embed(embedder, texts, 1, &embeddings, err);
	if (!rc)
		qeff_embeddings_free(&embeddings);
	qeff_embedder_close(embedder);
	return rc;
}

static int with_session(int (*use)(struct qeff_session *session, struct qeff_error *err),
			struct qeff_error *err)
{
	struct qeff_session *session;
	struct qeff_device *device;
	int rc = qeff_device_open("soft", &device, err);

	if (rc)
		return rc;
	rc = qeff_session_open(device, subject, NULL, &session, err);
	if (!rc) {
		rc = use(session, err);
		qeff_session_close(session);
	}
	qeff_device_close(device);
	return rc;
}

static int run(struct qeff_error *err)
{
	return with_session(generate, err);
}

static int run_embed(struct qeff_error *err)
{
	return with_session(embed, err);
}

static int tokenize(struct qeff_error *err)
{
	static const char text[] = "abc Hello w\xc3\xb6rld \xff 123 </s>";
	struct qeff_tokenizer *tokenizer;
	struct qeff_tokens tokens;
	char *back;
	int rc = qeff_tokenizer_open(subject, &tokenizer, err);

	if (rc)
		return rc;
	rc = qeff_tokenizer_encode(tokenizer, text, strlen(text), QEFF_ENCODE_SPECIAL, 0, &tokens,
				   err);
	if (!rc) {
		rc = qeff_tokenizer_decode(tokenizer, tokens.ids, tokens.count, false, &back, NULL,
					   err);
		if (!rc)
			free(back);
		qeff_tokens_free(&tokens);
	}
	qeff_tokenizer_close(tokenizer);
	return rc;
}

static const struct work {
	const char *name;
	int (*run)(struct qeff_error *err);
} works[] = {
	{ "compile", compile },
	{ "run", run },
	{ "embed", run_embed },
	{ "tokenize", tokenize },
};

static long number;
static bool onwards;
static double slowest_s;

static double now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void on_signal(int sig)
{
	dprintf(STDERR_FILENO, "allocation %ld%s: %s\n", number, onwards ? " and all after it" : "",
		sig == SIGALRM ? "no end" : "crash");
	signal(sig, SIG_DFL);
	raise(sig);
}

/* Returns whether the allocation was reached. */
static bool try(const struct work *work, long *refused, long *others, long *failures)
{
	struct qeff_error err = { 0 };
	double began = now_s();
	bool reached;
	int rc;

	alarm(TIME_LIMIT_S);
	failing_malloc_arm(number, onwards);
	rc = work->run(&err);
	reached = failing_malloc_disarm();
	alarm(0);
	if (now_s() - began > slowest_s)
		slowest_s = now_s() - began;
	if (!reached)
		return false;
	if (rc) {
		(*refused)++;
		*others += rc != -ENOMEM;
		if (rc != -ENOMEM && getenv("QEFF_FUZZ_VERBOSE"))
			fprintf(stderr, "allocation %ld: %d, %s\n", number, rc, err.message);
	}
	if (rc && (rc > 0 || err.code != rc || !err.message[0])) {
		fprintf(stderr, "allocation %ld%s: returned %d, the error says %d, \"%s\"\n",
			number, onwards ? " and all after it" : "", rc, err.code, err.message);
		(*failures)++;
	}
	return true;
}

static bool leaks(const struct work *work)
{
	long ignored = 0, before = failing_malloc_live();

	for (int i = 0; i < REPEATS; i++)
		try(work, &ignored, &ignored, &ignored);
	return failing_malloc_live() - before >= REPEATS;
}

int main(int argc, char **argv)
{
	const struct work *work = NULL;
	long step, failures = 0, refused = 0, others = 0, tries = 0;
	struct qeff_error err = { 0 };
	bool reached = true;

	for (size_t i = 0; argc >= 3 && i < sizeof(works) / sizeof(works[0]); i++)
		if (!strcmp(works[i].name, argv[1]))
			work = &works[i];
	if (!work) {
		fprintf(stderr, "Usage: no_memory compile|run|embed|tokenize PATH [STEP]\n");
		return 2;
	}
	subject = argv[2];
	step = argc > 3 ? atol(argv[3]) : 1;
	setenv("QEFF_SOFTCARDS", "nsps=2,ddr=64M", 1);
	signal(SIGALRM, on_signal);
	signal(SIGSEGV, on_signal);
	signal(SIGABRT, on_signal);
	/* what is made once and kept is made now */
	for (int i = 0; i < 2; i++) {
		if (work->run(&err)) {
			fprintf(stderr, "%s\n", err.message);
			return 1;
		}
	}
	for (number = 1; reached; number += step) {
		for (int i = 0; i < 2 && reached; i++) {
			long before = failing_malloc_live();

			onwards = i;
			reached = try(work, &refused, &others, &failures);
			tries += reached;
			if (failing_malloc_live() > before && leaks(work)) {
				fprintf(stderr, "allocation %ld%s: something leaked\n", number,
					onwards ? " and all after it" : "");
				failures++;
			}
		}
	}
	printf("no_memory %s: %ld tries in %ld allocations, %ld refused (%ld not as ENOMEM), %ld "
	       "succeeded, %ld failures, slowest %.2f s\n",
	       work->name, tries, number - step, refused, others, tries - refused, failures,
	       slowest_s);
	return failures ? 1 : 0;
}
