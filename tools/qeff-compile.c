/* SPDX-License-Identifier: MIT */
/* qeff-compile: makes a package from a model's folder. Progress and the summary. */
#include "compile_settings.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct progress {
	bool shown; /* a line stands on the terminal */
	double last;
};

/* ---- progress ---- */

static void clear_line(struct progress *p)
{
	if (p->shown)
		fputs("\r\033[K", stderr);
	p->shown = false;
}

static void show_progress(void *user, enum qeff_compile_stage stage, uint64_t done, uint64_t total)
{
	enum { WIDTH = 40 };
	struct progress *p = user;
	struct timespec t;
	char bar[WIDTH + 1];
	double time;
	int filled = total ? (int)((double)done / (double)total * WIDTH) : 0;

	clock_gettime(CLOCK_MONOTONIC, &t);
	time = (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
	if (done && done < total && time - p->last < 0.05)
		return;
	p->last = time;
	for (int i = 0; i < WIDTH; i++)
		bar[i] = i < filled ? '#' : '.';
	bar[WIDTH] = 0;
	fprintf(stderr, "\r\033[K%-6s [%s] %3.0f %%", qeff_compile_stage_name(stage), bar,
		total ? 100.0 * (double)done / (double)total : 0);
	fflush(stderr);
	p->shown = true;
}

/* ---- summary ---- */

static const char *size_text(uint64_t bytes, char text[32])
{
	static const char *const units[] = { "B", "KB", "MB", "GB", "TB" };
	double value = (double)bytes;
	int unit = 0;

	while (value >= 1000 && unit < 4) {
		value /= 1000;
		unit++;
	}
	snprintf(text, 32, unit ? "%.2f %s" : "%.0f %s", value, units[unit]);
	return text;
}

/* How far the busiest NSP is from the mean, in percent. */
static double imbalance(const struct qeff_compile_summary *s,
			const struct qeff_compile_specialisation *spec, bool macs)
{
	double sum = 0, most = 0;

	for (uint32_t i = 0; i < s->num_cores; i++) {
		double work = (double)(macs ? spec->nsp[i].macs : spec->nsp[i].bytes);

		sum += work;
		most = work > most ? work : most;
	}
	return sum > 0 ? (most * s->num_cores / sum - 1) * 100 : 0;
}

static void print_specialisation(const struct qeff_compile_summary *s,
				 const struct qeff_compile_specialisation *spec)
{
	uint64_t macs = 0, bytes = 0;
	char text[32];

	for (uint32_t i = 0; i < s->num_cores; i++) {
		macs += spec->nsp[i].macs;
		bytes += spec->nsp[i].bytes;
	}
	printf("  batch %u, %u tokens of %u: %u phases, %.3f GMAC, %s moved; "
	       "busiest NSP +%.1f %% MACs, +%.1f %% bytes\n",
	       spec->batch_size, spec->seq_len, spec->ctx_len, spec->phases, (double)macs * 1e-9,
	       size_text(bytes, text), imbalance(s, spec, true), imbalance(s, spec, false));
}

static void print_summary(const struct settings *settings, const struct qeff_compile_summary *s)
{
	char a[32], b[32], c[32], d[32];
	double total = 0;

	printf("%s: %s, %.2f M parameters", settings->options.output, s->architecture,
	       (double)s->parameters * 1e-6);
	if (s->layers)
		printf(", %u layers", s->layers);
	putchar('\n');
	printf("transforms:");
	for (uint32_t i = 0; i < s->num_transforms; i++)
		printf(" %s", s->transforms[i]);
	printf("%s\n", s->num_transforms ? "" : " none");
	printf("precision: %s", qeff_compile_precision_name(s->precision));
	if (s->fp32_nodes)
		printf(", %u nodes in fp32", s->fp32_nodes);
	printf("\nNSPs: %u; %" PRIu64 " operations in %" PRIu64 " tiles\n", s->num_cores,
	       s->operations, s->tiles);
	for (uint32_t i = 0; i < s->num_specialisations; i++)
		print_specialisation(s, &s->specialisations[i]);
	printf("DDR: %s constants; %s per activation (%s KV cache, %s activations)\n",
	       size_text(s->constants_bytes, a), size_text(s->ddr_bytes, b),
	       size_text(s->state_bytes, c), size_text(s->arena_bytes, d));
	printf("package: %s\nseconds:", size_text(s->package_bytes, a));
	for (int i = 0; i < QEFF_COMPILE_STAGES; i++) {
		if (i == QEFF_COMPILE_STAGE_ONNX && !settings->options.onnx_dir)
			continue;
		printf(" %s %.2f,", qeff_compile_stage_name(i), s->seconds[i]);
		total += s->seconds[i];
	}
	printf(" total %.2f\n", total);
}

static json_t *json_texts(char *const *texts, uint32_t count)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < count; i++)
		json_array_append_new(list, json_string(texts[i]));
	return list;
}

static json_t *json_specialisations(const struct qeff_compile_summary *s)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < s->num_specialisations; i++) {
		const struct qeff_compile_specialisation *spec = &s->specialisations[i];
		json_t *nsps = json_array();

		for (uint32_t n = 0; n < s->num_cores; n++)
			json_array_append_new(
				nsps, json_pack("{sI sI}", "macs", (json_int_t)spec->nsp[n].macs,
						"bytes", (json_int_t)spec->nsp[n].bytes));
		json_array_append_new(list,
				      json_pack("{si si si si so}", "batch_size",
						(int)spec->batch_size, "seq_len",
						(int)spec->seq_len, "ctx_len", (int)spec->ctx_len,
						"phases", (int)spec->phases, "nsps", nsps));
	}
	return list;
}

static int print_json(const struct settings *settings, const struct qeff_compile_summary *s)
{
	json_t *seconds = json_object(), *root;
	int rc = -1;

	for (int i = 0; i < QEFF_COMPILE_STAGES; i++)
		json_object_set_new(seconds, qeff_compile_stage_name(i), json_real(s->seconds[i]));
	root = json_pack("{ss ss ss sI si so so ss si si sI sI so sI sI sI sI sI sI so}", "package",
			 settings->options.output, "architecture", s->architecture, "task", s->task,
			 "parameters", (json_int_t)s->parameters, "layers", (int)s->layers,
			 "transforms", json_texts(s->transforms, s->num_transforms), "warnings",
			 json_texts(s->warnings, s->num_warnings), "precision",
			 qeff_compile_precision_name(s->precision), "fp32_nodes",
			 (int)s->fp32_nodes, "num_cores", (int)s->num_cores, "operations",
			 (json_int_t)s->operations, "tiles", (json_int_t)s->tiles,
			 "specialisations", json_specialisations(s), "constants_bytes",
			 (json_int_t)s->constants_bytes, "ddr_bytes", (json_int_t)s->ddr_bytes,
			 "io_bytes", (json_int_t)s->io_bytes, "state_bytes",
			 (json_int_t)s->state_bytes, "arena_bytes", (json_int_t)s->arena_bytes,
			 "package_bytes", (json_int_t)s->package_bytes, "seconds", seconds);
	if (root)
		rc = json_dumpf(root, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(6));
	json_decref(root);
	putchar('\n');
	if (rc)
		fputs("qeff-compile: the summary could not be written as JSON\n", stderr);
	return rc;
}

/* ---- the cache ---- */

struct listing {
	bool as_json;
	json_t *entries;
};

static void list_entry(void *user, const struct qeff_compile_cache_entry *e)
{
	struct listing *listing = user;
	char size[32], made[32] = "-";
	time_t time = (time_t)e->made;
	struct tm tm;

	if (listing->as_json) {
		json_array_append_new(listing->entries,
				      json_pack("{ss ss ss sI sI sb}", "name", e->name, "model",
						e->model, "package", e->package, "bytes",
						(json_int_t)e->bytes, "made", (json_int_t)e->made,
						"current", (int)e->current));
		return;
	}
	if (e->made && localtime_r(&time, &tm))
		strftime(made, sizeof(made), "%Y-%m-%d %H:%M", &tm);
	printf("%-10s %-16s %-8s %s\n", size_text(e->bytes, size), made,
	       !e->bytes    ? "no whole"
	       : e->current ? "current"
			    : "stale",
	       e->package);
}

static int run_cache(const struct settings *settings)
{
	struct listing listing = { .as_json = settings->json, .entries = json_array() };
	struct qeff_error err = { 0 };
	uint32_t entries = 0;
	uint64_t bytes = 0;
	char size[32];
	int rc;

	if (!strcmp(settings->cache, "list")) {
		rc = qeff_compile_cache_list(list_entry, &listing, &err);
		if (!rc && settings->json)
			json_dumpf(listing.entries, stdout, JSON_INDENT(1));
	} else {
		rc = qeff_compile_cache_prune(!strcmp(settings->cache, "clear"), &entries, &bytes,
					      &err);
		if (!rc && settings->json)
			printf("{\"removed\": %" PRIu32 ", \"bytes\": %" PRIu64 "}", entries,
			       bytes);
		else if (!rc)
			printf("removed %" PRIu32 ", %s", entries, size_text(bytes, size));
	}
	if (!rc && (settings->json || strcmp(settings->cache, "list")))
		putchar('\n');
	json_decref(listing.entries);
	if (rc)
		fprintf(stderr, "qeff-compile: %s\n", err.message);
	return rc;
}

static void print_hit(const struct settings *settings)
{
	json_t *root;

	if (!settings->json) {
		printf("%s: from the cache\n", settings->options.output);
		return;
	}
	root = json_pack("{ss sb}", "package", settings->options.output, "cached", 1);
	if (root)
		json_dumpf(root, stdout, JSON_INDENT(1));
	json_decref(root);
	putchar('\n');
}

static int compile(struct settings *settings)
{
	struct qeff_compile_summary summary = { 0 };
	struct qeff_error err = { 0 };
	struct progress progress = { 0 };
	char *package = NULL;
	bool hit = false;
	int rc;

	if (isatty(STDERR_FILENO)) {
		settings->options.progress = show_progress;
		settings->options.user = &progress;
	}
	if (settings->options.output)
		rc = qeff_compile(&settings->options, &summary, &err);
	else
		rc = qeff_compile_cached(&settings->options, settings->anew, &package, &hit,
					 &summary, &err);
	clear_line(&progress);
	if (rc) {
		fprintf(stderr, "qeff-compile: %s\n", err.message);
		return rc;
	}
	if (package)
		settings->options.output = package;
	for (uint32_t i = 0; i < summary.num_warnings; i++)
		fprintf(stderr, "qeff-compile: warning: %s\n", summary.warnings[i]);
	if (hit)
		print_hit(settings);
	else if (settings->json)
		rc = print_json(settings, &summary);
	else
		print_summary(settings, &summary);
	qeff_compile_summary_free(&summary);
	free(package);
	return rc;
}

int main(int argc, char **argv)
{
	struct settings settings = { 0 };
	int rc = compile_settings_read(argc, argv, &settings);

	if (rc >= 0) {
		compile_settings_free(&settings);
		return rc;
	}
	rc = settings.cache ? run_cache(&settings) : compile(&settings);
	compile_settings_free(&settings);
	if (fflush(stdout) || ferror(stdout)) {
		fprintf(stderr, "qeff-compile: standard output: %s\n", strerror(errno));
		rc = -EIO;
	}
	return rc ? EXIT_FAILURE : EXIT_SUCCESS;
}
