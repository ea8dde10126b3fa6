/* SPDX-License-Identifier: MIT */
/* qeff-compile's command line. An option of a file (--config) gives way to one that stands here. */
#include "compile_settings.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXIT_USAGE 2

static const char usage[] =
	"Usage: qeff-compile MODEL_DIR [-o OUT.qpc] [options]\n"
	"       qeff-compile MODEL.onnx -o OUT.qpc [--shape NAME=1x128] [options]\n"
	"Compiles a Hugging Face checkpoint, or an ONNX model, into a package.\n"
	"  -o, --output FILE          the package (default: one in the cache)\n"
	"      --num-cores N          NSPs to run on, 1 to 16 (default 16)\n"
	"      --batch-size B         sequences side by side (default 1)\n"
	"Models that generate text:\n"
	"      --prefill-seq-len P    tokens of a prefill step (default 32)\n"
	"      --ctx-len C            positions in the KV cache (default 128)\n"
	"      --full-batch-size B    continuous batching: slots of the KV cache\n"
	"      --seq-len S            instead: no KV cache, logits of all S positions\n"
	"Encoders:\n"
	"      --seq-len S[,S...]     a specialisation for each length (default 128)\n"
	"      --pooling MODE         none, mean, cls, max, last (default: as the model's\n"
	"                             sentence-transformers files say)\n"
	"      --normalize            brings the pooled vector to length 1\n"
	"      --precision P          of products: fp32 (default), fp16, bf16, int8\n"
	"      --fp32-nodes LIST      nodes kept in fp32: globs of their names,\n"
	"                             GLOB[,GLOB...], or @FILE with one a line\n"
	"      --config FILE          a JSON file with any of these options\n"
	"      --onnx DIR             also writes the transformed model as ONNX\n"
	"      --json                 prints the summary as one JSON object\n"
	"  -h, --help, --version      this page, the version (--help-all: other options)\n";

static const char usage_of_the_rest[] =
	"The options of qeff-compile that are not on --help:\n"
	"      --list-architectures   what can be compiled: name, model_type, task\n"
	"      --no-cache             compiles even if the package is in the cache\n"
	"      --cache list           what is in the cache\n"
	"      --cache prune          removes what no model or compiler matches any more\n"
	"      --cache clear          removes everything\n"
	"Models that generate text:\n"
	"      --kv-cache-batch-size N\n"
	"                             with --full-batch-size: slots of the KV cache, of\n"
	"                             which a step advances the full batch\n"
	"      --comp-ctx-lengths-prefill N[,N...]\n"
	"      --comp-ctx-lengths-decode N[,N...]\n"
	"                             specialisations for parts of the context\n"
	"      --num-speculative-tokens K[,K...]\n"
	"                             decode steps that judge K guesses\n"
	"      --include-sampler      the card chooses tokens, logits stay there\n"
	"      --max-top-k-ids N      among the N likeliest (default 512); 1: the likeliest\n"
	"      --include-guided-decoding\n"
	"                             token_bitmasks says which tokens are possible\n"
	"      --return-pdfs          the card gives out their probabilities too\n"
	"      --prefill-only         no decode step; --enable-chunking: in chunks (always)\n"
	"      --num-kv-blocks N      attention by blocks (always)\n"
	"      --num-replicate-kv-heads N\n"
	"                             KV heads stand N times in weights and KV cache\n"
	"      --mxint8-kv-cache      the KV cache in MXINT8\n"
	"      --custom-io FILE       YAML with precisions of inputs and outputs\n"
	"      --specializations FILE JSON that lists the specialisations\n"
	"      --mxfp6-matmul         weights of products in MXFP6\n"
	"      --node-precision-info FILE\n"
	"                             YAML with nodes kept in fp32\n"
	"      --adapter DIR          a LoRA adapter (PEFT) to merge into the weights\n"
	"      --lora [NAME=]DIR      a LoRA adapter to choose while running (qeff-load\n"
	"                             --lora NAME); once for each adapter\n"
	"      --num-devices N        1\n"
	"ONNX models:\n"
	"      --shape NAME=1x128     the shape of an input; once for each\n"
	"      --value NAME=FILE.pb   an input that is a constant: a file (TensorProto),\n"
	"                             or integers, NAME=N,N,...\n"
	"      --adapter-inputs NAME  weights of this LoRA adapter in it become inputs\n"
	"      --remove-prefix        inputs and outputs are called without their paths\n";

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

/* A list option of ours takes the place of what a file said. */
static int take_list(const char *option, const char *text, int list, struct settings *s)
{
	struct qeff_compile_options *o = &s->options;
	char *copy = strdup(text), *rest = copy, *item;
	uint32_t *to = s->lists[list], count = 0;
	int rc = copy ? 0 : no_memory();

	while (!rc && (item = strsep(&rest, ","))) {
		if (count == QEFF_COMPILE_MAX_SPECIALISATIONS)
			rc = usage_error("--%s takes at most %d lengths", option,
					 QEFF_COMPILE_MAX_SPECIALISATIONS);
		else
			rc = take_number(option, item, &to[count++]);
	}
	free(copy);
	switch (list) {
	case LIST_SEQ_LEN:
		o->seq_lens = to;
		o->num_seq_lens = count;
		break;
	case LIST_CCL_PREFILL:
		o->comp_ctx_lengths_prefill = (struct qeff_compile_numbers){ to, count };
		break;
	case LIST_CCL_DECODE:
		o->comp_ctx_lengths_decode = (struct qeff_compile_numbers){ to, count };
		break;
	default:
		o->num_speculative_tokens = (struct qeff_compile_numbers){ to, count };
	}
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

/* Those on the command line take the place of what a file said. */
static int add_text(const char *option, const char **own, uint32_t limit, const char *const **texts,
		    size_t *count)
{
	if (*texts != own)
		*count = 0;
	if (*count == limit)
		return usage_error("--%s is given at most %u times", option, limit);
	own[(*count)++] = optarg;
	*texts = own;
	return 0;
}

/* What an option's value is; the rest has a case of its own. */
enum kind { NUMBER, LIST, TEXT, FLAG, OWN };
enum {
	CONFIG = 256,
	POOLING,
	NORMALIZE,
	PRECISION,
	FP32_NODES,
	LORA,
	SHAPE,
	VALUE,
	JSON,
	HELP_ALL,
	NO_CACHE,
	CACHE,
	LIST_ARCHITECTURES,
	VERSION,
	FIRST_TABLE
};

#define MEMBER(name) offsetof(struct qeff_compile_options, name)

static const struct {
	const char *name;
	enum kind kind;
	size_t at; /* the member of the options, the list, or the number getopt gives it */
} options[] = {
	{ "num-cores", NUMBER, MEMBER(num_cores) },
	{ "batch-size", NUMBER, MEMBER(batch_size) },
	{ "seq-len", LIST, LIST_SEQ_LEN },
	{ "prefill-seq-len", NUMBER, MEMBER(prefill_seq_len) },
	{ "ctx-len", NUMBER, MEMBER(ctx_len) },
	{ "full-batch-size", NUMBER, MEMBER(full_batch_size) },
	{ "kv-cache-batch-size", NUMBER, MEMBER(kv_cache_batch_size) },
	{ "comp-ctx-lengths-prefill", LIST, LIST_CCL_PREFILL },
	{ "comp-ctx-lengths-decode", LIST, LIST_CCL_DECODE },
	{ "num-speculative-tokens", LIST, LIST_SPECULATIVE },
	{ "num-kv-blocks", NUMBER, MEMBER(num_kv_blocks) },
	{ "num-replicate-kv-heads", NUMBER, MEMBER(num_replicate_kv_heads) },
	{ "max-top-k-ids", NUMBER, MEMBER(max_top_k_ids) },
	{ "num-devices", NUMBER, MEMBER(num_devices) },
	{ "specializations", TEXT, MEMBER(specializations) },
	{ "custom-io", TEXT, MEMBER(custom_io) },
	{ "node-precision-info", TEXT, MEMBER(node_precision_info) },
	{ "adapter", TEXT, MEMBER(adapter) },
	{ "adapter-inputs", TEXT, MEMBER(adapter_inputs) },
	{ "remove-prefix", FLAG, MEMBER(remove_prefix) },
	{ "onnx", TEXT, MEMBER(onnx_dir) },
	{ "output", TEXT, MEMBER(output) },
	{ "mxfp6-matmul", FLAG, MEMBER(mxfp6_matmul) },
	{ "prefill-only", FLAG, MEMBER(prefill_only) },
	{ "enable-chunking", FLAG, MEMBER(enable_chunking) },
	{ "include-sampler", FLAG, MEMBER(include_sampler) },
	{ "include-guided-decoding", FLAG, MEMBER(include_guided_decoding) },
	{ "return-pdfs", FLAG, MEMBER(return_pdfs) },
	{ "mxint8-kv-cache", FLAG, MEMBER(mxint8_kv_cache) },
	{ "config", OWN, CONFIG },
	{ "pooling", OWN, POOLING },
	{ "normalize", OWN, NORMALIZE },
	{ "precision", OWN, PRECISION },
	{ "fp32-nodes", OWN, FP32_NODES },
	{ "lora", OWN, LORA },
	{ "shape", OWN, SHAPE },
	{ "value", OWN, VALUE },
	{ "json", OWN, JSON },
	{ "help", OWN, 'h' },
	{ "help-all", OWN, HELP_ALL },
	{ "no-cache", OWN, NO_CACHE },
	{ "cache", OWN, CACHE },
	{ "list-architectures", OWN, LIST_ARCHITECTURES },
	{ "version", OWN, VERSION },
};

#define NUM_OPTIONS (sizeof(options) / sizeof(options[0]))

static bool takes_value(size_t i)
{
	if (options[i].kind != OWN)
		return options[i].kind != FLAG;
	return options[i].at == CONFIG || options[i].at == POOLING || options[i].at == PRECISION ||
	       options[i].at == FP32_NODES || options[i].at == LORA || options[i].at == SHAPE ||
	       options[i].at == VALUE || options[i].at == CACHE;
}

static int take_table(size_t i, struct settings *s)
{
	char *at = (char *)&s->options + options[i].at;
	uint32_t number;

	switch (options[i].kind) {
	case LIST:
		return take_list(options[i].name, optarg, (int)options[i].at, s);
	case TEXT:
		*(const char **)at = optarg;
		return 0;
	case FLAG:
		*(bool *)at = true;
		return 0;
	default:
		if (take_number(options[i].name, optarg, &number))
			return EXIT_USAGE;
		*(uint32_t *)at = number;
		return 0;
	}
}

static int take_option(int option, struct settings *s)
{
	switch (option) {
	case CONFIG: /* has been read already */
		return 0;
	case 'o':
		s->options.output = optarg;
		return 0;
	case POOLING:
		return take_pooling(optarg, s);
	case NORMALIZE:
		s->options.normalize = QEFF_COMPILE_NORMALIZE_YES;
		return 0;
	case PRECISION:
		return take_precision(optarg, s);
	case FP32_NODES:
		return take_fp32_nodes(optarg, s);
	case LORA:
		return add_text("lora", s->loras, QEFF_COMPILE_MAX_LORAS, &s->options.loras,
				&s->options.num_loras);
	case SHAPE:
		return add_text("shape", s->input_shapes, QEFF_COMPILE_MAX_INPUTS,
				&s->options.input_shapes, &s->options.num_input_shapes);
	case VALUE:
		return add_text("value", s->input_values, QEFF_COMPILE_MAX_INPUTS,
				&s->options.input_values, &s->options.num_input_values);
	case JSON:
		s->json = true;
		return 0;
	case NO_CACHE:
		s->anew = true;
		return 0;
	case CACHE:
		s->cache = optarg;
		if (strcmp(optarg, "list") && strcmp(optarg, "prune") && strcmp(optarg, "clear"))
			return usage_error("--cache is list, prune or clear, found \"%.40s\"",
					   optarg);
		return 0;
	default:
		if (option >= FIRST_TABLE)
			return take_table((size_t)(option - FIRST_TABLE), s);
		fputs("Try qeff-compile --help.\n", stderr);
		return EXIT_USAGE;
	}
}

static int read_config(const char *path, struct settings *s)
{
	struct qeff_error err = { 0 };
	int rc;

	if (s->config)
		return usage_error("--config is given twice");
	rc = qeff_compile_config_open(path, &s->options, &s->config, &err);
	if (rc)
		fprintf(stderr, "qeff-compile: %s\n", err.message);
	return rc ? EXIT_FAILURE : 0;
}

static int list_architectures(void)
{
	const char *name, *model_type, *task;

	for (size_t i = 0; (name = qeff_compile_architecture(i, &model_type, &task)); i++)
		printf("%-40s %-16s %s\n", name, model_type, task);
	return 0;
}

int compile_settings_read(int argc, char **argv, struct settings *s)
{
	struct option table[NUM_OPTIONS + 1] = { 0 };
	int option, rc = 0;

	for (size_t i = 0; i < NUM_OPTIONS; i++)
		table[i] = (struct option){
			.name = options[i].name,
			.has_arg = takes_value(i) ? required_argument : no_argument,
			.val = options[i].kind == OWN ? (int)options[i].at : FIRST_TABLE + (int)i,
		};
	/* The file first, wherever it stands, so that the rest can say otherwise. */
	opterr = 0;
	while (!rc && (option = getopt_long(argc, argv, "o:h", table, NULL)) != -1)
		if (option == CONFIG)
			rc = read_config(optarg, s);
	opterr = 1;
	optind = 0;
	while (!rc && (option = getopt_long(argc, argv, "o:h", table, NULL)) != -1) {
		if (option == 'h')
			return fputs(usage, stdout), 0;
		if (option == HELP_ALL)
			return fputs(usage_of_the_rest, stdout), 0;
		if (option == LIST_ARCHITECTURES)
			return list_architectures();
		if (option == VERSION)
			return puts("qeff-compile " QEFF_VERSION), 0;
		rc = take_option(option, s);
	}
	if (rc)
		return rc;
	if (s->options.num_cores > QEFF_COMPILE_MAX_CORES)
		return usage_error("--num-cores is 1 to %d, found %u", QEFF_COMPILE_MAX_CORES,
				   s->options.num_cores);
	if (s->cache)
		return optind == argc ? -1 : usage_error("--cache takes no model");
	if (optind + 1 != argc)
		return usage_error(optind == argc ? "a model's folder is missing"
						  : "one model's folder at a time");
	s->options.model_dir = argv[optind];
	if (s->options.onnx_dir && !s->options.output)
		return usage_error("--onnx goes with -o OUT.qpc");
	if (strlen(argv[optind]) > 5 && !strcmp(strrchr(argv[optind], 0) - 5, ".onnx") &&
	    !s->options.output)
		return usage_error("an ONNX model goes with -o OUT.qpc");
	return -1;
}

void compile_settings_free(struct settings *s)
{
	for (size_t i = 0; i < s->num_fp32_nodes; i++)
		free(s->fp32_nodes[i]);
	free(s->fp32_nodes);
	qeff_compile_config_close(s->config);
}
