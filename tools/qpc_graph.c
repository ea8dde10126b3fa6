/* SPDX-License-Identifier: MIT */
/*
 * qeff-qpc graph: the graph of a model at each stage of compiling, and the program of a package, as
 * text or, drawn by Graphviz's dot, as pictures.
 */
#include "qpc_tool.h"

#include <qeff/compiler.h>

#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/**
 * struct show - a stage that is kept until it is known to be the last
 * @count: stages so far
 * @found: the one of --stage came
 * @status: exit status so far
 */
struct show {
	const struct options *options;
	char *dot; /* of the last one, if it is to be drawn alone */
	unsigned int count;
	bool found;
	int status;
};

/* Lets dot draw what the file @source holds into @to. */
static int run_dot(int source, const char *to)
{
	char out[4096 + 2];
	char *argv[] = { (char *)"dot", (char *)"-Tsvg", out, NULL };
	posix_spawn_file_actions_t actions;
	int status, rc;
	pid_t pid;

	snprintf(out, sizeof(out), "-o%s", to);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, source, STDIN_FILENO);
	rc = posix_spawnp(&pid, "dot", &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	if (rc == ENOENT)
		return complain("--svg needs the program dot (Debian's package graphviz)");
	if (rc)
		return complain("dot: %s", strerror(rc));
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return complain("dot: %s", strerror(errno));
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		return complain("dot could not draw %s", to);
	return 0;
}

/* The picture stands under its name whole or not at all. */
static int draw(const char *dot, const char *path)
{
	char part[4096];
	FILE *source = tmpfile();
	int ret;

	if (!source)
		return complain("a temporary file: %s", strerror(errno));
	if (snprintf(part, sizeof(part), "%s.%d", path, (int)getpid()) >= (int)sizeof(part)) {
		fclose(source);
		return complain("%s: the path is too long", path);
	}
	ret = write_all(fileno(source), dot, strlen(dot));
	if (ret || lseek(fileno(source), 0, SEEK_SET))
		ret = complain("a temporary file: %s", strerror(ret ? -ret : errno));
	else
		ret = run_dot(fileno(source), part);
	fclose(source);
	if (!ret && rename(part, path))
		ret = complain("%s: %s", path, strerror(errno));
	if (ret)
		unlink(part);
	else
		printf("%s\n", path);
	return ret;
}

static bool to_folder(const char *svg)
{
	return svg && *svg && svg[strlen(svg) - 1] == '/';
}

static int draw_into_folder(const struct show *s, const char *stage, const char *dot)
{
	char path[4096];

	if (mkdir(s->options->svg, 0777) && errno != EEXIST)
		return complain("%s: %s", s->options->svg, strerror(errno));
	if (snprintf(path, sizeof(path), "%s%02u-%s.svg", s->options->svg, s->count, stage) >=
	    (int)sizeof(path))
		return complain("%s: the path is too long", s->options->svg);
	return draw(dot, path);
}

static void show_stage(void *user, const char *stage, const char *text, const char *dot)
{
	struct show *s = user;
	const char *svg = s->options->svg;

	if (s->options->stage && strcmp(s->options->stage, stage))
		return;
	s->found = true;
	s->count++;
	if (s->status)
		return;
	if (!svg) {
		printf("%s== %s\n%s", s->count > 1 ? "\n" : "", stage, text);
	} else if (to_folder(svg)) {
		s->status = draw_into_folder(s, stage, dot);
	} else {
		free(s->dot);
		s->dot = strdup(dot);
		if (!s->dot)
			s->status = complain("out of memory");
	}
}

static int show_package(struct show *s, struct qeff_error *err)
{
	const struct qeff_segment *constants;
	struct qeff_qpc *qpc;
	char *text, *dot;
	int rc = qeff_qpc_open(s->options->package, &qpc, err);

	if (rc)
		return rc;
	constants = qeff_qpc_segment(qpc, "constants.bin");
	rc = constants ? qeff_compile_describe_program(constants->data, constants->size_bytes,
						       &text, &dot, err)
		       : -ENOENT;
	if (!constants)
		snprintf(err->message, sizeof(err->message),
			 "%s: it has no segment \"constants.bin\"", s->options->package);
	qeff_qpc_close(qpc);
	if (rc)
		return rc;
	show_stage(s, "program", text, dot);
	free(text);
	free(dot);
	return 0;
}

static int show_model(struct show *s, struct qeff_error *err)
{
	struct qeff_compile_options options = { 0 };
	struct qeff_compile_config *config = NULL;
	int rc = s->options->config
			 ? qeff_compile_config_open(s->options->config, &options, &config, err)
			 : 0;

	if (rc)
		return rc;
	options.model_dir = s->options->package;
	options.output = NULL;
	options.onnx_dir = NULL;
	options.graph = show_stage;
	options.user = s;
	rc = qeff_compile(&options, NULL, err);
	qeff_compile_config_close(config);
	return rc;
}

/* A folder with a config.json, or an ONNX file. */
static bool is_model(const char *path)
{
	const char *dot = strrchr(path, '.');
	char config[4096];

	if (dot && !strcmp(dot, ".onnx"))
		return true;
	return snprintf(config, sizeof(config), "%s/config.json", path) < (int)sizeof(config) &&
	       !access(config, F_OK);
}

int graph(const struct options *options)
{
	struct show s = { .options = options };
	struct qeff_error err = { 0 };
	bool model = is_model(options->package);
	int rc;

	if (options->config && !model)
		return complain("%s is a package: --config is for models", options->package);
	rc = model ? show_model(&s, &err) : show_package(&s, &err);
	if (rc)
		s.status = complain("%s", err.message);
	else if (!s.found)
		s.status = complain("%s has no stage \"%s\"", options->package, options->stage);
	else if (!s.status && s.dot)
		s.status = draw(s.dot, options->svg);
	free(s.dot);
	return s.status;
}
