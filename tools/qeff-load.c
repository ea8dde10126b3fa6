/* SPDX-License-Identifier: MIT */
/* qeff-load: loads a package on a card and runs it: text from a prompt, embeddings, or tensors. */
#include "load.h"

#include <qeff/classify.h>
#include <qeff/log.h>

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define EXIT_USAGE	 2
#define MAX_PROMPT_BYTES ((long long)64 << 20)
#define MAX_PROMPT_IDS	 (1 << 20)

volatile sig_atomic_t interrupted;

static const char usage[] =
	"Usage: qeff-load PACKAGE.qpc [-d DEVICE] [what to run] [--runs N] [--json]\n"
	"Runs a package on a card; with nothing to run, once on generated input.\n"
	"  -d, --device DEVICE     index, PCI address, node, or soft, soft1...; default:\n"
	"                          the first card, or a software card if there is none\n"
	"Text:\n"
	"      --prompt TEXT       continues TEXT; also --prompt-file FILE, or the token\n"
	"                          ids themselves: --prompt-ids 1,2,3\n"
	"      --max-new-tokens N  at most N more tokens (default 64)\n"
	"      --temperature T  --top-k K  --top-p P  --min-p P  --seed S\n"
	"                          draws tokens; without them, the likeliest is taken\n"
	"      --repeat-penalty R  --presence-penalty P\n"
	"                          makes tokens less likely that the text has already\n"
	"      --ignore-eos        does not stop at the end of the text\n"
	"      --lora NAME         with that LoRA adapter of the package, or that number\n"
	"Embeddings, classes:\n"
	"      --text TEXT         embeds or classifies TEXT; may be repeated\n"
	"      --text-pair TEXT    the text before goes with this one, as rerankers take\n"
	"                          question and passage; again: with this one as well\n"
	"Tensors:\n"
	"  -i, --input NAME=FILE   input NAME is in FILE (.npy); may be repeated\n"
	"  -O, --output-dir DIR    writes each output to DIR/NAME.npy\n"
	"\n"
	"      --runs N            repeats it (default 1)    --json     one JSON object\n"
	"  -h, --help              this page                 --version  the version\n";

static void log_line(enum qeff_log_level level, const char *line, void *user)
{
	fprintf(stderr, "qeff-load: %s\n", line);
}

static void interrupt(int signal_number)
{
	interrupted = true;
	signal(signal_number, SIG_DFL); /* a second one ends the process */
}

/* ---- options ---- */

static int usage_error(struct qeff_error *err, const char *what, const char *value)
{
	return fail(err, -EINVAL, "%s: \"%.100s\"", what, value);
}

static int number(const char *text, unsigned long long max, const char *what,
		  unsigned long long *value, struct qeff_error *err)
{
	char *end;

	errno = 0;
	*value = strtoull(text, &end, 0);
	if (errno || end == text || *end || text[0] == '-' || *value > max)
		return usage_error(err, what, text);
	return 0;
}

static int real(const char *text, double max, const char *what, float *value,
		struct qeff_error *err)
{
	char *end;
	double parsed = strtod(text, &end);

	if (end == text || *end || !isfinite(parsed) || parsed < 0 || parsed > max)
		return usage_error(err, what, text);
	*value = (float)parsed;
	return 0;
}

static int read_prompt(struct load_options *options, const char *path, struct qeff_error *err)
{
	struct stat st;
	FILE *file;
	size_t got = 0;

	file = fopen(path, "re");
	if (!file || fstat(fileno(file), &st))
		fail(err, -errno, "%s: %s", path, strerror(errno));
	else if (!S_ISREG(st.st_mode) || st.st_size > MAX_PROMPT_BYTES)
		fail(err, -EINVAL, "%s is not a file of at most %lld bytes", path,
		     MAX_PROMPT_BYTES);
	else
		options->prompt = calloc(1, (size_t)st.st_size + 1);
	if (options->prompt)
		got = fread(options->prompt, 1, (size_t)st.st_size, file);
	if (file)
		fclose(file);
	if (!options->prompt)
		return err->code ? err->code : fail(err, -ENOMEM, "%s: no memory", path);
	if (strlen(options->prompt) != got)
		return fail(err, -EINVAL, "%s holds a zero byte: not a text", path);
	return 0;
}

static int take_prompt_ids(struct load_options *options, const char *list, struct qeff_error *err)
{
	size_t count = 1;
	char *end;

	for (const char *p = list; *p; p++)
		count += *p == ',';
	if (count > MAX_PROMPT_IDS)
		return fail(err, -EINVAL, "--prompt-ids: at most %d tokens", MAX_PROMPT_IDS);
	options->prompt_ids = calloc(count, sizeof(*options->prompt_ids));
	if (!options->prompt_ids)
		return fail(err, -ENOMEM, "no memory for the prompt");
	for (size_t i = 0; i < count; i++, list = end + 1) {
		errno = 0;
		options->prompt_ids[i] = strtoll(list, &end, 10);
		if (errno || end == list || (*end && *end != ','))
			return usage_error(err, "--prompt-ids", list);
		if (!*end)
			break;
	}
	options->num_prompt_ids = count;
	return 0;
}

static int take_input(struct load_options *options, const char *text, struct qeff_error *err)
{
	struct load_input *input, *grown;
	const char *equals = strchr(text, '=');

	if (!equals || equals == text || !equals[1])
		return usage_error(err, "-i takes NAME=FILE", text);
	grown = realloc(options->inputs, (options->num_inputs + 1) * sizeof(*grown));
	if (!grown)
		return fail(err, -ENOMEM, "no memory for an input");
	options->inputs = grown;
	input = &grown[options->num_inputs];
	*input = (struct load_input){ .name = strndup(text, (size_t)(equals - text)),
				      .path = equals + 1 };
	if (!input->name)
		return fail(err, -ENOMEM, "no memory for an input");
	options->num_inputs++;
	for (size_t i = 0; i + 1 < options->num_inputs; i++)
		if (!strcmp(options->inputs[i].name, input->name))
			return usage_error(err, "an input is given twice", input->name);
	return 0;
}

static int take_text(struct load_options *options, const char *text, struct qeff_error *err)
{
	size_t size_bytes = (options->num_texts + 1) * sizeof(*options->texts);
	const char **texts = realloc(options->texts, size_bytes);
	const char **pairs = realloc(options->pairs, size_bytes);

	options->texts = texts ? texts : options->texts;
	options->pairs = pairs ? pairs : options->pairs;
	if (!texts || !pairs)
		return fail(err, -ENOMEM, "no memory for a text");
	pairs[options->num_texts] = NULL;
	texts[options->num_texts++] = text;
	/* cppcheck-suppress memleak ; options have them */
	return 0;
}

static int take_pair(struct load_options *options, const char *text, struct qeff_error *err)
{
	int ret = 0;

	if (!options->num_texts)
		return fail(err, -EINVAL, "--text-pair goes with the --text before it");
	if (options->pairs[options->num_texts - 1])
		ret = take_text(options, options->texts[options->num_texts - 1], err);
	if (!ret)
		options->pairs[options->num_texts - 1] = text;
	return ret;
}

enum {
	OPT_PROMPT = 256,
	OPT_PROMPT_FILE,
	OPT_PROMPT_IDS,
	OPT_MAX_NEW_TOKENS,
	OPT_TEMPERATURE,
	OPT_TOP_K,
	OPT_TOP_P,
	OPT_MIN_P,
	OPT_REPEAT_PENALTY,
	OPT_PRESENCE_PENALTY,
	OPT_SEED,
	OPT_IGNORE_EOS,
	OPT_LORA,
	OPT_TEXT,
	OPT_TEXT_PAIR,
	OPT_RUNS,
	OPT_JSON,
	OPT_VERSION,
};

static const struct option long_options[] = {
	{ "device", required_argument, NULL, 'd' },
	{ "input", required_argument, NULL, 'i' },
	{ "output-dir", required_argument, NULL, 'O' },
	{ "help", no_argument, NULL, 'h' },
	{ "prompt", required_argument, NULL, OPT_PROMPT },
	{ "prompt-file", required_argument, NULL, OPT_PROMPT_FILE },
	{ "prompt-ids", required_argument, NULL, OPT_PROMPT_IDS },
	{ "max-new-tokens", required_argument, NULL, OPT_MAX_NEW_TOKENS },
	{ "temperature", required_argument, NULL, OPT_TEMPERATURE },
	{ "top-k", required_argument, NULL, OPT_TOP_K },
	{ "top-p", required_argument, NULL, OPT_TOP_P },
	{ "min-p", required_argument, NULL, OPT_MIN_P },
	{ "repeat-penalty", required_argument, NULL, OPT_REPEAT_PENALTY },
	{ "presence-penalty", required_argument, NULL, OPT_PRESENCE_PENALTY },
	{ "seed", required_argument, NULL, OPT_SEED },
	{ "ignore-eos", no_argument, NULL, OPT_IGNORE_EOS },
	{ "lora", required_argument, NULL, OPT_LORA },
	{ "text", required_argument, NULL, OPT_TEXT },
	{ "text-pair", required_argument, NULL, OPT_TEXT_PAIR },
	{ "runs", required_argument, NULL, OPT_RUNS },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "version", no_argument, NULL, OPT_VERSION },
	{ NULL, 0, NULL, 0 },
};

static int take_option(struct load_options *options, int option, struct qeff_error *err)
{
	unsigned long long value = 0;
	int ret = 0;

	switch (option) {
	case 'd':
		options->device = optarg;
		break;
	case 'i':
		return take_input(options, optarg, err);
	case 'O':
		options->output_dir = optarg;
		break;
	case OPT_PROMPT:
	case OPT_PROMPT_FILE:
	case OPT_PROMPT_IDS:
		if (options->prompt || options->prompt_file || options->prompt_ids)
			return fail(err, -EINVAL, "one prompt at a time");
		if (option == OPT_PROMPT_FILE) {
			options->prompt_file = optarg;
			return 0;
		}
		if (option == OPT_PROMPT_IDS)
			return take_prompt_ids(options, optarg, err);
		options->prompt = strdup(optarg);
		return options->prompt ? 0 : fail(err, -ENOMEM, "no memory for the prompt");
	case OPT_MAX_NEW_TOKENS:
		ret = number(optarg, 1 << 20, "--max-new-tokens", &value, err);
		options->max_new_tokens = (uint32_t)value;
		break;
	case OPT_TEMPERATURE:
		return real(optarg, 1000, "--temperature", &options->temperature, err);
	case OPT_TOP_K:
		ret = number(optarg, INT32_MAX, "--top-k", &value, err);
		options->top_k = (uint32_t)value;
		break;
	case OPT_TOP_P:
		return real(optarg, 1, "--top-p", &options->top_p, err);
	case OPT_MIN_P:
		return real(optarg, 1, "--min-p", &options->min_p, err);
	case OPT_REPEAT_PENALTY:
		return real(optarg, 1000, "--repeat-penalty", &options->repeat_penalty, err);
	case OPT_PRESENCE_PENALTY:
		return real(optarg, 1000, "--presence-penalty", &options->presence_penalty, err);
	case OPT_SEED:
		ret = number(optarg, UINT64_MAX, "--seed", &value, err);
		options->seed = value;
		break;
	case OPT_IGNORE_EOS:
		options->ignore_eos = true;
		break;
	case OPT_LORA:
		options->lora = optarg;
		break;
	case OPT_TEXT:
		return take_text(options, optarg, err);
	case OPT_TEXT_PAIR:
		return take_pair(options, optarg, err);
	case OPT_RUNS:
		ret = number(optarg, 1 << 20, "--runs", &value, err);
		if (!ret && !value)
			ret = usage_error(err, "--runs", optarg);
		options->runs = (uint32_t)value;
		break;
	case OPT_JSON:
		options->json = true;
		break;
	}
	return ret;
}

static bool has_prompt(const struct load_options *options)
{
	return options->prompt || options->prompt_file || options->prompt_ids;
}

/* --help and --version end the process here. */
static int parse(int argc, char **argv, struct load_options *options)
{
	struct qeff_error err = { 0 };
	int option, ret;

	while ((option = getopt_long(argc, argv, "d:i:O:h", long_options, NULL)) != -1) {
		if (option == 'h') {
			fputs(usage, stdout);
			exit(EXIT_SUCCESS);
		}
		if (option == OPT_VERSION) {
			puts("qeff-load " QEFF_VERSION);
			exit(EXIT_SUCCESS);
		}
		if (option == '?')
			return -EINVAL;
		ret = take_option(options, option, &err);
		if (ret) {
			fprintf(stderr, "qeff-load: %s\n", err.message);
			return ret;
		}
	}
	if (optind + 1 != argc) {
		fprintf(stderr, "qeff-load: name one package; qeff-load --help tells more\n");
		return -EINVAL;
	}
	options->package = argv[optind];
	if (has_prompt(options) + !!options->num_texts + !!options->num_inputs > 1) {
		fprintf(stderr, "qeff-load: a prompt, texts, or tensors: one at a time\n");
		return -EINVAL;
	}
	return 0;
}

/* ---- running ---- */

static int read_inputs(struct load_options *options, struct qeff_error *err)
{
	if (options->prompt_file)
		return read_prompt(options, options->prompt_file, err);
	for (size_t i = 0; i < options->num_inputs; i++) {
		int ret = npy_read(options->inputs[i].path, &options->inputs[i].npy, err);

		if (ret)
			return ret;
	}
	return 0;
}

static int run(const struct load_options *options, struct qeff_session *session, json_t *json,
	       struct qeff_error *err)
{
	if (has_prompt(options))
		return load_generate(session, options, json, err);
	if (options->num_texts && qeff_classifier_fits(session))
		return load_classify(session, options, json, err);
	for (size_t i = 0; i < options->num_texts; i++)
		if (options->pairs[i])
			return fail(err, -EINVAL,
				    "%s embeds texts, and --text-pair is for classifiers",
				    options->package);
	if (options->num_texts)
		return load_embed(session, options, json, err);
	if (!options->json)
		report_session(session);
	return load_tensors(session, options, json, err);
}

static int open_and_run(const struct load_options *options, json_t *json, struct qeff_error *err)
{
	struct qeff_device *device = NULL;
	struct qeff_session *session = NULL;
	double start = now_seconds();
	int ret;

	ret = qeff_device_open(options->device, &device, err);
	if (!ret)
		ret = qeff_session_open(device, options->package, NULL, &session, err);
	if (!ret) {
		json_object_set_new(json, "package", json_string(options->package));
		json_object_set_new(json, "device",
				    json_string(qeff_device_get_info(device)->name));
		json_object_set_new(json, "load_s", json_real(now_seconds() - start));
		ret = run(options, session, json, err);
	}
	if (!ret)
		report_stats(session, json,
			     !options->json && !has_prompt(options) && !options->num_texts);
	qeff_session_close(session);
	qeff_device_close(device);
	return ret;
}

static void free_options(struct load_options *options)
{
	for (size_t i = 0; i < options->num_inputs; i++) {
		npy_free(&options->inputs[i].npy);
		free(options->inputs[i].name);
	}
	free(options->inputs);
	free(options->texts);
	free(options->pairs);
	free(options->prompt);
	free(options->prompt_ids);
}

int main(int argc, char **argv)
{
	struct load_options options = { .max_new_tokens = 64, .temperature = -1, .runs = 1 };
	struct qeff_error err = { 0 };
	json_t *json;
	int ret;

	ret = parse(argc, argv, &options);
	if (ret) {
		free_options(&options);
		return ret == -ENOMEM ? EXIT_FAILURE : EXIT_USAGE;
	}
	qeff_set_log(log_line, QEFF_LOG_WARN, NULL);
	signal(SIGINT, interrupt);
	json = json_object();
	ret = read_inputs(&options, &err);
	if (!ret)
		ret = open_and_run(&options, json, &err);
	if (ret)
		fprintf(stderr, "qeff-load: %s\n", err.message);
	else if (options.json) {
		json_dumpf(json, stdout, JSON_REAL_PRECISION(9));
		putchar('\n');
	}
	if (fflush(stdout) || ferror(stdout)) {
		fprintf(stderr, "qeff-load: standard output: %s\n", strerror(errno));
		ret = -EIO;
	}
	json_decref(json);
	free_options(&options);
	return ret ? EXIT_FAILURE : EXIT_SUCCESS;
}
