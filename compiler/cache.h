/* SPDX-License-Identifier: MIT */
/* The key of a compilation: a text of everything that its result depends on. */
#ifndef QEFF_CACHE_H
#define QEFF_CACHE_H

#include "util/bytes.h"
#include "util/error.h"

#include <qeff/compiler.h>

/*
 * Appends the lines that say which compiler it is and which files the model is made of; they alone
 * tell whether an old entry can ever be used again. Files are told apart by name, size, times and
 * inode, not by what is in them: gigabytes are not read to find out that nothing has changed. A
 * file that is changed in place gets another time; one that is copied is another file.
 */
int qeff_cache_sources(const char *model_dir, struct qeff_bytes *key, struct qeff_error *err);
/* Appends the lines of all options that change the package; files of options with what is in them.
 */
int qeff_cache_options(const struct qeff_compile_options *options, struct qeff_bytes *key,
		       struct qeff_error *err);

#endif
