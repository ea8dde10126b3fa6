/* SPDX-License-Identifier: MIT */
/* qeff-qpc: looks into packages: what is in them, whether they are valid, and their segments as
 * files. */
#include "qpc_tool.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_WRITE  ((size_t)1 << 30)
#define EXIT_USAGE 2

static const char usage[] =
	"Usage: qeff-qpc info PACKAGE [--json]\n"
	"       qeff-qpc verify PACKAGE [--json]\n"
	"       qeff-qpc extract PACKAGE -o DIR [SEGMENT...] [--json]\n"
	"       qeff-qpc graph PACKAGE|MODEL [--config FILE] [--stage NAME] [--svg OUT]\n"
	"Looks into a package (.qpc, or a folder with programqpc.bin); needs no card.\n"
	"\n"
	"  info      prints segments, bindings, specialisations, needs of the program\n"
	"  verify    checks every part, and that they agree with each other\n"
	"  extract   writes segments, all or those named, as files into DIR\n"
	"  graph     prints the NSPs' program; of a MODEL, its graph at each stage before\n"
	"\n"
	"  -o, --output-dir DIR    where extract writes; made if it does not exist\n"
	"      --config FILE       how MODEL is compiled (qeff-compile --config)\n"
	"      --stage NAME        one stage only: built, a transform's name, program\n"
	"      --svg OUT           draws it (by Graphviz's dot), else the last one, into OUT;\n"
	"                          OUT/ gets a file for each stage\n"
	"      --json              prints one JSON object\n"
	"  -h, --help, --version   this page; the version\n"
	"\n"
	"Exit status: 0 if all is well, 1 if the package is not valid or a file cannot be\n"
	"read or written, 2 if the command line is wrong.\n";

int complain(const char *format, ...)
{
	va_list args;

	fputs("qeff-qpc: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	return EXIT_BAD;
}

json_t *number(uint64_t value)
{
	return value <= INT64_MAX ? json_integer((json_int_t)value) : json_real((double)value);
}

/* A sentence may end in the middle of a character where a long name was cut. */
static json_t *sentence(const char *text)
{
	json_t *string = json_string(text);

	return string ? string : json_string("(not printable)");
}

int print_json(json_t *object)
{
	int ret = object ? json_dumpf(object, stdout, JSON_INDENT(2)) : -1;

	json_decref(object);
	if (ret || putchar('\n') == EOF)
		return complain("cannot write the result");
	return 0;
}

static int verify(const struct qeff_qpc *qpc, const struct options *options)
{
	struct qeff_error err = { 0 };
	int ret = qeff_qpc_verify(qpc, &err) ? EXIT_BAD : 0;

	if (options->json) {
		json_t *object = json_pack("{s:s, s:b}", "path", qeff_qpc_path(qpc), "valid", !ret);

		if (ret)
			json_object_set_new(object, "error", sentence(err.message));
		return print_json(object) ? EXIT_BAD : ret;
	}
	if (ret)
		return complain("%s", err.message);
	printf("%s: valid\n", qeff_qpc_path(qpc));
	return 0;
}

int write_all(int fd, const void *data, uint64_t size_bytes)
{
	const uint8_t *at = data;

	while (size_bytes) {
		ssize_t n = write(fd, at, size_bytes < MAX_WRITE ? (size_t)size_bytes : MAX_WRITE);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		at += n;
		size_bytes -= (uint64_t)n;
	}
	return 0;
}

/* Writes one segment as a file; a name from a package never leads out of the folder. */
static int extract_segment(int folder, const struct qeff_segment *s, const struct options *options)
{
	int fd, ret;

	if (strchr(s->name, '/') || !strcmp(s->name, ".") || !strcmp(s->name, ".."))
		return complain("segment \"%s\" has no name for a file", s->name);
	/* a new file, never one that is open elsewhere: the package itself could be there */
	unlinkat(folder, s->name, 0);
	fd = openat(folder, s->name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (fd < 0)
		return complain("%s/%s: %s", options->output_dir, s->name, strerror(errno));
	ret = write_all(fd, s->data, s->size_bytes);
	if (close(fd) && !ret)
		ret = -errno;
	if (!ret)
		return 0;
	unlinkat(folder, s->name, 0);
	return complain("%s/%s: %s", options->output_dir, s->name, strerror(-ret));
}

static bool wanted(const struct qeff_segment *s, const struct options *options)
{
	for (int i = 0; i < options->num_segments; i++)
		if (!strcmp(options->segments[i], s->name))
			return true;
	return options->num_segments == 0;
}

static int extract_to(int folder, const struct qeff_qpc *qpc, const struct options *options)
{
	json_t *list = json_array();
	int ret = 0;

	for (uint32_t i = 0; i < qeff_qpc_num_segments(qpc) && !ret; i++) {
		const struct qeff_segment *s = qeff_qpc_segment_at(qpc, i);

		if (!wanted(s, options))
			continue;
		ret = extract_segment(folder, s, options);
		if (!ret && !options->json)
			printf("%s/%s: %" PRIu64 " bytes\n", options->output_dir, s->name,
			       s->size_bytes);
		json_array_append_new(list, json_pack("{s:s, s:o}", "name", s->name, "size_bytes",
						      number(s->size_bytes)));
	}
	if (!ret && options->json)
		return print_json(json_pack("{s:s, s:o}", "output_dir", options->output_dir,
					    "segments", list));
	json_decref(list);
	return ret;
}

static int extract(const struct qeff_qpc *qpc, const struct options *options)
{
	int folder, ret;

	for (int i = 0; i < options->num_segments; i++)
		if (!qeff_qpc_segment(qpc, options->segments[i]))
			return complain("%s: it has no segment \"%s\"", qeff_qpc_path(qpc),
					options->segments[i]);
	if (mkdir(options->output_dir, 0777) && errno != EEXIST)
		return complain("%s: %s", options->output_dir, strerror(errno));
	folder = open(options->output_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (folder < 0)
		return complain("%s: %s", options->output_dir, strerror(errno));
	ret = extract_to(folder, qpc, options);
	close(folder);
	return ret;
}

/* Those without a function take more than packages. */
static const struct command {
	const char *name;
	int (*run)(const struct qeff_qpc *qpc, const struct options *options);
} commands[] = {
	{ "info", info },
	{ "verify", verify },
	{ "extract", extract },
	{ "graph", NULL },
};

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (!strcmp(commands[i].name, name))
			return &commands[i];
	return NULL;
}

static int wrong_usage(const char *what)
{
	complain("%s; see qeff-qpc --help", what);
	return EXIT_USAGE;
}

/* -1 to go on, else the exit status. */
static int parse_options(int argc, char **argv, struct options *options)
{
	static const struct option longs[] = {
		{ "output-dir", required_argument, NULL, 'o' },
		{ "config", required_argument, NULL, 'c' },
		{ "stage", required_argument, NULL, 's' },
		{ "svg", required_argument, NULL, 'S' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "o:h", longs, NULL)) != -1)
		switch (c) {
		case 'o':
			options->output_dir = optarg;
			break;
		case 'c':
			options->config = optarg;
			break;
		case 's':
			options->stage = optarg;
			break;
		case 'S':
			options->svg = optarg;
			break;
		case 'j':
			options->json = true;
			break;
		case 'h':
			fputs(usage, stdout);
			return 0;
		case 'V':
			puts("qeff-qpc " QEFF_VERSION);
			return 0;
		default:
			return wrong_usage("the options are not right");
		}
	if (argc - optind < 2)
		return wrong_usage("expected a command and a package");
	options->command = argv[optind];
	options->package = argv[optind + 1];
	options->segments = argv + optind + 2;
	options->num_segments = argc - optind - 2;
	if (!find_command(options->command))
		return wrong_usage("expected info, verify, extract or graph");
	if (!strcmp(options->command, "extract") != (options->output_dir != NULL))
		return wrong_usage("extract, and only extract, needs -o DIR");
	if (strcmp(options->command, "extract") && options->num_segments)
		return wrong_usage("only extract takes names of segments");
	if (!strcmp(options->command, "graph") ? options->json
					       : options->config || options->stage || options->svg)
		return wrong_usage(
			"--config, --stage and --svg belong to graph, --json to the rest");
	return -1;
}

int main(int argc, char **argv)
{
	struct options options = { 0 };
	struct qeff_error err = { 0 };
	struct qeff_qpc *qpc;
	int ret = parse_options(argc, argv, &options);

	if (ret >= 0)
		return ret;
	if (!find_command(options.command)->run) {
		ret = graph(&options);
		goto out;
	}
	if (qeff_qpc_open(options.package, &qpc, &err)) {
		if (options.json)
			print_json(json_pack("{s:s, s:b, s:o}", "path", options.package, "valid",
					     false, "error", sentence(err.message)));
		return complain("%s", err.message);
	}
	ret = find_command(options.command)->run(qpc, &options);
	qeff_qpc_close(qpc);
out:
	if (fflush(stdout) || ferror(stdout))
		ret = complain("cannot write the result");
	return ret;
}
