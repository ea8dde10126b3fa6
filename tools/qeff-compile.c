/* SPDX-License-Identifier: MIT */
/* qeff-compile: makes a package from a model's folder. Options and printing only. */
#include <qeff/compiler.h>

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define EXIT_USAGE 2

static const char usage[] =
	"Usage: qeff-compile MODEL_DIR -o OUT.qpc [options]\n"
	"Compiles a Hugging Face checkpoint (config.json, safetensors) into a package.\n"
	"\n"
	"  -o, --output FILE          the package\n"
	"      --num-cores N          NSPs to run on, 1 to 16 (default 16)\n"
	"      --batch-size B         sequences side by side (default 1)\n"
	"Models that generate text:\n"
	"      --prefill-seq-len P    tokens of a prefill step (default 32)\n"
	"      --ctx-len C            positions in the KV cache (default 128)\n"
	"      --seq-len S            instead: no KV cache, logits of all S positions\n"
	"Encoders:\n"
	"      --seq-len S[,S...]     a specialisation for each length (default 128)\n"
	"      --pooling MODE         none, mean, cls, max, last (default: as the model's\n"
	"                             sentence-transformers files say)\n"
	"      --normalize            brings the pooled vector to length 1\n"
	"\n"
	"      --precision P          of products: fp32 (default), fp16, bf16, int8\n"
	"      --fp32-nodes LIST      nodes kept in fp32: globs of their names,\n"
	"                             GLOB[,GLOB...], or @FILE with one a line\n"
	"      --onnx DIR             also writes the transformed model as ONNX\n"
	"      --json                 prints the summary as one JSON object\n"
	"  -h, --help                 this page\n"
	"      --version              prints the version\n";

struct settings {
	struct qeff_compile_options options;
	uint32_t seq_lens[QEFF_COMPILE_MAX_SEQ_LENS];
	char **fp32_nodes;
	size_t num_fp32_nodes;
	bool json;
};

struct progress {
	bool shown; /* a line stands on the terminal */
	double last;
};

__attribute__((format(printf, 1, 2))) static int usage_error(const char *format, ...)
{
	va_list args;

	fputs("qeff-compile: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputs("\nTry qeff-compile --help.\n", stderr);
	return EXIT_USAGE;
}

static int no_memory(void)
{
	fputs("qeff-compile: out of memory\n", stderr);
	return EXIT_FAILURE;
}

/* ---- options ---- */

static int take_number(const char *option, const char *text, uint32_t *value)
{
	char *end;
	unsigned long long number;

	errno = 0;
	number = strtoull(text, &end, 10);
	if (errno || end == text || *end || *text == '-' || !number || number > UINT32_MAX)
		return usage_error("--%s wants a positive number, found \"%.40s\"", option, text);
	*value = (uint32_t)number;
	return 0;
}

static int take_seq_lens(const char *list, struct settings *s)
{
	char *copy = strdup(list), *rest = copy, *item;
	int rc = copy ? 0 : no_memory();

	while (!rc && (item = strsep(&rest, ","))) {
		if (s->options.num_seq_lens == QEFF_COMPILE_MAX_SEQ_LENS)
			rc = usage_error("--seq-len takes at most %d lengths",
					 QEFF_COMPILE_MAX_SEQ_LENS);
		else
			rc = take_number("seq-len", item, &s->seq_lens[s->options.num_seq_lens++]);
	}
	free(copy);
	s->options.seq_lens = s->seq_lens;
	return rc;
}

static int take_pooling(const char *name, struct settings *s)
{
	static const char *const names[] = {
		[QEFF_COMPILE_POOLING_NONE] = "none", [QEFF_COMPILE_POOLING_MEAN] = "mean",
		[QEFF_COMPILE_POOLING_CLS] = "cls",   [QEFF_COMPILE_POOLING_MAX] = "max",
		[QEFF_COMPILE_POOLING_LAST] = "last",
	};

	for (int i = QEFF_COMPILE_POOLING_NONE; i <= QEFF_COMPILE_POOLING_LAST; i++)
		if (!strcmp(name, names[i])) {
			s->options.pooling = (enum qeff_compile_pooling)i;
			return 0;
		}
	return usage_error("--pooling is none, mean, cls, max or last, found \"%.40s\"", name);
}

static int take_precision(const char *name, struct settings *s)
{
	for (int i = QEFF_COMPILE_FP32; i <= QEFF_COMPILE_INT8; i++)
		if (!strcmp(name, qeff_compile_precision_name(i))) {
			s->options.precision = (enum qeff_compile_precision)i;
			return 0;
		}
	return usage_error("--precision is fp32, fp16, bf16 or int8, found \"%.40s\"", name);
}

static int add_glob(struct settings *s, const char *glob, size_t length)
{
	char **more = reallocarray(s->fp32_nodes, s->num_fp32_nodes + 1, sizeof(*more));

	if (!more)
		return no_memory();
	s->fp32_nodes = more;
	more[s->num_fp32_nodes] = strndup(glob, length);
	if (!more[s->num_fp32_nodes])
		return no_memory();
	s->options.num_fp32_nodes = ++s->num_fp32_nodes;
	s->options.fp32_nodes = (const char *const *)more;
	return 0;
}

/* A glob a line; empty lines and those that begin with # say nothing. */
static int take_glob_file(const char *path, struct settings *s)
{
	FILE *file = fopen(path, "re");
	char *line = NULL;
	size_t size = 0;
	ssize_t length;
	int rc = 0;

	if (!file)
		return usage_error("--fp32-nodes: %s: %s", path, strerror(errno));
	while (!rc && (length = getline(&line, &size, file)) >= 0) {
		while (length && strchr(" \t\r\n", line[length - 1]))
			length--;
		if (length && *line != '#')
			rc = add_glob(s, line, (size_t)length);
	}
	if (!rc && !feof(file))
		rc = errno == ENOMEM ? no_memory()
				     : usage_error("--fp32-nodes: %s: cannot be read", path);
	free(line);
	fclose(file);
	return rc;
}

static int take_fp32_nodes(const char *list, struct settings *s)
{
	int rc = 0;

	if (*list == '@')
		return take_glob_file(list + 1, s);
	while (!rc && *list) {
		size_t length = strcspn(list, ",");

		if (length)
			rc = add_glob(s, list, length);
		list += length + (list[length] == ',');
	}
	return rc;
}

static void free_globs(struct settings *s)
{
	for (size_t i = 0; i < s->num_fp32_nodes; i++)
		free(s->fp32_nodes[i]);
	free(s->fp32_nodes);
}

enum {
	NUM_CORES = 256,
	BATCH_SIZE,
	SEQ_LEN,
	PREFILL,
	CTX_LEN,
	POOLING,
	NORMALIZE,
	PRECISION,
	FP32_NODES,
	ONNX,
	JSON,
	VERSION
};

static const struct option long_options[] = {
	{ "output", required_argument, NULL, 'o' },
	{ "num-cores", required_argument, NULL, NUM_CORES },
	{ "batch-size", required_argument, NULL, BATCH_SIZE },
	{ "seq-len", required_argument, NULL, SEQ_LEN },
	{ "prefill-seq-len", required_argument, NULL, PREFILL },
	{ "ctx-len", required_argument, NULL, CTX_LEN },
	{ "pooling", required_argument, NULL, POOLING },
	{ "normalize", no_argument, NULL, NORMALIZE },
	{ "precision", required_argument, NULL, PRECISION },
	{ "fp32-nodes", required_argument, NULL, FP32_NODES },
	{ "onnx", required_argument, NULL, ONNX },
	{ "json", no_argument, NULL, JSON },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, VERSION },
	{ 0 },
};

static int take_option(int option, struct settings *s)
{
	struct qeff_compile_options *o = &s->options;

	switch (option) {
	case 'o':
		o->output = optarg;
		return 0;
	case NUM_CORES:
		if (take_number("num-cores", optarg, &o->num_cores))
			return EXIT_USAGE;
		if (o->num_cores > QEFF_COMPILE_MAX_CORES)
			return usage_error("--num-cores is 1 to %d, found %u",
					   QEFF_COMPILE_MAX_CORES, o->num_cores);
		return 0;
	case BATCH_SIZE:
		return take_number("batch-size", optarg, &o->batch_size);
	case SEQ_LEN:
		return take_seq_lens(optarg, s);
	case PREFILL:
		return take_number("prefill-seq-len", optarg, &o->prefill_seq_len);
	case CTX_LEN:
		return take_number("ctx-len", optarg, &o->ctx_len);
	case POOLING:
		return take_pooling(optarg, s);
	case NORMALIZE:
		o->normalize = QEFF_COMPILE_NORMALIZE_YES;
		return 0;
	case PRECISION:
		return take_precision(optarg, s);
	case FP32_NODES:
		return take_fp32_nodes(optarg, s);
	case ONNX:
		o->onnx_dir = optarg;
		return 0;
	case JSON:
		s->json = true;
		return 0;
	default:
		fputs("Try qeff-compile --help.\n", stderr);
		return EXIT_USAGE;
	}
}

/* -1: go on; else the exit status. */
static int read_options(int argc, char **argv, struct settings *s)
{
	int option, rc;

	while ((option = getopt_long(argc, argv, "o:h", long_options, NULL)) != -1) {
		if (option == 'h')
			return fputs(usage, stdout), 0;
		if (option == VERSION)
			return puts("qeff-compile " QEFF_VERSION), 0;
		rc = take_option(option, s);
		if (rc)
			return rc;
	}
	if (optind + 1 != argc)
		return usage_error(optind == argc ? "a model's folder is missing"
						  : "one model's folder at a time");
	s->options.model_dir = argv[optind];
	if (!s->options.output)
		return usage_error("where the package goes is missing: -o OUT.qpc");
	return -1;
}

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

	printf("%s: %s, %.2f M parameters, %u layers\n", settings->options.output, s->architecture,
	       (double)s->parameters * 1e-6, s->layers);
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

int main(int argc, char **argv)
{
	struct qeff_compile_summary summary = { 0 };
	struct settings settings = { 0 };
	struct qeff_error err = { 0 };
	struct progress progress = { 0 };
	int rc = read_options(argc, argv, &settings);

	if (rc >= 0) {
		free_globs(&settings);
		return rc;
	}
	if (isatty(STDERR_FILENO)) {
		settings.options.progress = show_progress;
		settings.options.user = &progress;
	}
	rc = qeff_compile(&settings.options, &summary, &err);
	clear_line(&progress);
	free_globs(&settings);
	if (rc) {
		fprintf(stderr, "qeff-compile: %s\n", err.message);
		return EXIT_FAILURE;
	}
	for (uint32_t i = 0; i < summary.num_warnings; i++)
		fprintf(stderr, "qeff-compile: warning: %s\n", summary.warnings[i]);
	if (settings.json)
		rc = print_json(&settings, &summary);
	else
		print_summary(&settings, &summary);
	qeff_compile_summary_free(&summary);
	if (fflush(stdout) || ferror(stdout)) {
		fprintf(stderr, "qeff-compile: standard output: %s\n", strerror(errno));
		rc = -EIO;
	}
	return rc ? EXIT_FAILURE : EXIT_SUCCESS;
}
