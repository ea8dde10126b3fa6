/* SPDX-License-Identifier: MIT */
/* qeff-compile's options, between the file that reads them and the one that works with them. */
#ifndef QEFF_TOOLS_COMPILE_SETTINGS_H
#define QEFF_TOOLS_COMPILE_SETTINGS_H

#include <qeff/compiler.h>

/* Lists of numbers among the options. */
enum { LIST_SEQ_LEN, LIST_CCL_PREFILL, LIST_CCL_DECODE, LIST_SPECULATIVE, LISTS };

struct settings {
	struct qeff_compile_options options;
	uint32_t lists[LISTS][QEFF_COMPILE_MAX_SPECIALISATIONS];
	char **fp32_nodes;
	size_t num_fp32_nodes;
	const char *loras[QEFF_COMPILE_MAX_LORAS];
	const char *input_shapes[QEFF_COMPILE_MAX_INPUTS];
	const char *input_values[QEFF_COMPILE_MAX_INPUTS];
	struct qeff_compile_config *config;
	bool json;
	bool anew;
	const char *cache; /* what to do with it instead of compiling */
};

/* -1: go on; else the exit status. What went wrong has been said. */
int compile_settings_read(int argc, char **argv, struct settings *settings);
void compile_settings_free(struct settings *settings);

#endif
