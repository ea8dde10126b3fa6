/* SPDX-License-Identifier: MIT */
/*
 * The compile cache: what is found again and what is not, several compilers at once, what one that
 * was killed leaves behind, list and prune.
 */
#include "../../unit/model_folder.h"
#include "../../unit/unit.h"

#include <qeff/compiler.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/file.h>
#include <sys/wait.h>

static char llama[512];
static struct folder home, model;

/* A model of our own, whose files are copies, so that they can be changed. */
static void copy_model(void)
{
	static const char *const files[] = { "config.json", "model.safetensors", "tokenizer.json" };
	char command[2048];

	model = folder_new();
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		snprintf(command, sizeof(command), "cp %s/%s %s/", llama, files[i], model.path);
		if (system(command))
			abort();
	}
}

static bool cached(const struct qeff_compile_options *options, bool anew, char **package)
{
	struct qeff_compile_summary summary;
	struct qeff_error err = { 0 };
	bool hit = false;

	if (qeff_compile_cached(options, anew, package, &hit, &summary, &err))
		printf("\n  %s", err.message);
	CU_ASSERT_PTR_NOT_NULL_FATAL(*package);
	CU_ASSERT_EQUAL(access(*package, R_OK), 0);
	CU_ASSERT_EQUAL(summary.architecture != NULL, !hit);
	qeff_compile_summary_free(&summary);
	return hit;
}

/* Compiles with @options; whether the package was there. */
static bool hits(struct qeff_compile_options options)
{
	char *package;
	bool hit;

	options.model_dir = options.model_dir ? options.model_dir : model.path;
	options.ctx_len = options.ctx_len ? options.ctx_len : 32;
	hit = cached(&options, false, &package);
	free(package);
	return hit;
}

static void found_again(void)
{
	static const char *const nodes[] = { "logits" };
	static const uint32_t guesses[] = { 2, 3 };
	struct qeff_compile_options changed[] = {
		{ .num_cores = 4 },
		{ .ctx_len = 48 },
		{ .prefill_seq_len = 8 },
		{ .batch_size = 2 },
		{ .full_batch_size = 2 },
		{ .full_batch_size = 2, .kv_cache_batch_size = 3 },
		{ .num_speculative_tokens = { guesses, 1 } },
		{ .num_speculative_tokens = { guesses, 2 } },
		{ .comp_ctx_lengths_decode = { guesses, 2 }, .prefill_seq_len = 1 },
		{ .precision = QEFF_COMPILE_FP16 },
		{ .precision = QEFF_COMPILE_FP16, .fp32_nodes = nodes, .num_fp32_nodes = 1 },
		{ .mxfp6_matmul = true },
		{ .mxint8_kv_cache = true },
	};

	CU_ASSERT_FALSE(hits((struct qeff_compile_options){ 0 }));
	CU_ASSERT_TRUE(hits((struct qeff_compile_options){ 0 }));
	for (size_t i = 0; i < sizeof(changed) / sizeof(changed[0]); i++) {
		CU_ASSERT_FALSE(hits(changed[i]));
		CU_ASSERT_TRUE(hits(changed[i]));
	}
	CU_ASSERT_TRUE(hits((struct qeff_compile_options){ 0 }));
}

/* A file of options counts with what it holds, not by its name. */
static void files_of_options(void)
{
	struct qeff_compile_options o = { 0 };

	folder_text(&home, "io.yaml", "- IOName: logits\n  Precision: float16\n");
	o.custom_io = strdup(home.file);
	CU_ASSERT_FALSE(hits(o));
	folder_text(&home, "io.yaml", "- IOName: logits\n  Precision: float32\n");
	CU_ASSERT_FALSE(hits(o));
	folder_text(&home, "other.yaml", "- IOName: logits\n  Precision: float16\n");
	free((char *)o.custom_io);
	o.custom_io = home.file;
	CU_ASSERT_TRUE(hits(o));
}

struct counts {
	uint32_t all, current, whole;
};

static void count(void *user, const struct qeff_compile_cache_entry *e)
{
	struct counts *counts = user;

	counts->all++;
	counts->current += e->current;
	counts->whole += e->bytes > 0;
}

static struct counts entries(void)
{
	struct counts counts = { 0 };

	CU_ASSERT_EQUAL(qeff_compile_cache_list(count, &counts, NULL), 0);
	return counts;
}

static void a_changed_model(void)
{
	struct counts before = entries();
	uint32_t removed;
	uint64_t bytes;

	CU_ASSERT(before.all > 10);
	CU_ASSERT_EQUAL(before.current, before.all);
	/* changed in place, the same length, its time put back: the inode's own time tells */
	folder_path(&model, "config.json");
	{
		struct stat s;
		struct timespec times[2];
		int fd = open(model.file, O_RDWR);

		CU_ASSERT_EQUAL_FATAL(fstat(fd, &s), 0);
		CU_ASSERT_EQUAL(pwrite(fd, "{", 1, 0), 1);
		times[0] = s.st_atim;
		times[1] = s.st_mtim;
		CU_ASSERT_EQUAL(futimens(fd, times), 0);
		close(fd);
	}
	CU_ASSERT_FALSE(hits((struct qeff_compile_options){ 0 }));
	CU_ASSERT_EQUAL(entries().all, before.all + 1);
	CU_ASSERT_EQUAL(entries().current, 1);
	CU_ASSERT_EQUAL(qeff_compile_cache_prune(false, &removed, &bytes, NULL), 0);
	CU_ASSERT_EQUAL(removed, before.all);
	CU_ASSERT(bytes > 1000000ull * removed);
	CU_ASSERT_EQUAL(entries().all, 1);
	CU_ASSERT_TRUE(hits((struct qeff_compile_options){ 0 }));
}

/* Four processes want the same package: one makes it. */
static void several_at_once(void)
{
	struct qeff_compile_options o = { .model_dir = model.path, .ctx_len = 40 };
	int misses = 0;

	for (int i = 0; i < 4; i++) {
		pid_t child = fork();

		if (!child) {
			char *package;
			bool hit;

			if (qeff_compile_cached(&o, false, &package, &hit, NULL, NULL))
				_exit(2);
			_exit(hit ? 0 : 1);
		}
		CU_ASSERT(child > 0);
	}
	for (int i = 0; i < 4; i++) {
		int status = 0;

		CU_ASSERT(wait(&status) > 0);
		CU_ASSERT(WIFEXITED(status) && WEXITSTATUS(status) < 2);
		misses += WEXITSTATUS(status) == 1;
	}
	CU_ASSERT_EQUAL(misses, 1);
}

static void die(void *user, enum qeff_compile_stage stage, uint64_t done, uint64_t total)
{
	if (stage == QEFF_COMPILE_STAGE_EMIT && done)
		raise(SIGKILL);
}

/* A compiler that is killed while it writes leaves an entry that is no package, and no lock. */
static void one_that_was_killed(void)
{
	struct qeff_compile_options o = { .model_dir = model.path, .ctx_len = 56 };
	struct counts before = entries();
	pid_t child = fork();
	uint32_t removed;
	uint64_t bytes;
	int status = 0;

	if (!child) {
		char *package;
		bool hit;

		o.progress = die;
		qeff_compile_cached(&o, false, &package, &hit, NULL, NULL);
		_exit(0);
	}
	CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
	CU_ASSERT(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	CU_ASSERT_EQUAL(entries().all, before.all + 1);
	CU_ASSERT_EQUAL(entries().whole, before.whole);
	CU_ASSERT_FALSE(hits(o));
	CU_ASSERT_TRUE(hits(o));
	CU_ASSERT_EQUAL(entries().whole, before.whole + 1);
	/* anew: even if it is there */
	{
		char *package;

		CU_ASSERT_FALSE(cached(&o, true, &package));
		free(package);
	}
	CU_ASSERT_EQUAL(qeff_compile_cache_prune(true, &removed, &bytes, NULL), 0);
	CU_ASSERT_EQUAL(removed, before.all + 1);
	CU_ASSERT_EQUAL(entries().all, 0);
}

static void what_fails_leaves_nothing(void)
{
	struct qeff_compile_options o = { .model_dir = model.path, .num_cores = 99 };
	struct qeff_error err = { 0 };
	char *package;
	bool hit;

	CU_ASSERT_EQUAL(qeff_compile_cached(&o, false, &package, &hit, NULL, &err), -EINVAL);
	CU_ASSERT_PTR_NULL(package);
	CU_ASSERT_EQUAL(entries().all, 0);
	o = (struct qeff_compile_options){ .model_dir = "/nowhere" };
	CU_ASSERT_EQUAL(qeff_compile_cached(&o, false, &package, &hit, NULL, &err), -ENOENT);
	o = (struct qeff_compile_options){ .model_dir = model.path, .onnx_dir = "x" };
	CU_ASSERT_EQUAL(qeff_compile_cached(&o, false, &package, &hit, NULL, &err), -EINVAL);
	setenv("QEFF_HOME", "/proc/nowhere", 1);
	o = (struct qeff_compile_options){ .model_dir = model.path };
	CU_ASSERT(qeff_compile_cached(&o, false, &package, &hit, NULL, &err) < 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "/proc/nowhere"));
	setenv("QEFF_HOME", home.path, 1);
}

static const struct unit_test tests[] = {
	{ "found again", found_again },
	{ "files of options", files_of_options },
	{ "a changed model", a_changed_model },
	{ "several at once", several_at_once },
	{ "one that was killed", one_that_was_killed },
	{ "what fails leaves nothing", what_fails_leaves_nothing },
};

int main(int argc, char **argv)
{
	int status;

	if (argc != 2)
		return EXIT_FAILURE;
	snprintf(llama, sizeof(llama), "%s/tiny-llama-stories", argv[1]);
	home = folder_new();
	setenv("QEFF_HOME", home.path, 1);
	copy_model();
	status = unit_main("cache", tests, sizeof(tests) / sizeof(tests[0]));
	folder_remove(&home);
	folder_remove(&model);
	return status;
}
