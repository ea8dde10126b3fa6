/* SPDX-License-Identifier: MIT */
/*
 * Nodes told by trying: what depends on one value and on constants is computed for numbers of that
 * value. Exporters write masks and rotations in too many ways to know them by their looks.
 */
#ifndef QEFF_TRANSFORMS_TRIAL_H
#define QEFF_TRANSFORMS_TRIAL_H

#include "transforms/transforms.h"

struct qeff_trial;

/**
 * qeff_trial_open - prepare to compute @value for numbers of @leaf
 * @trial: NULL if @value depends on more than @leaf and constants, or on too much to look at
 *
 * Returns 0, or -ENOMEM. The graph must stay as it is until the trial is closed.
 */
int qeff_trial_open(const struct qeff_graph *graph, const struct qeff_value *leaf,
		    struct qeff_value *value, const struct qeff_transform_options *options,
		    struct qeff_trial **trial, struct qeff_error *err);
/* @result: an initialiser that is the value, for @data as the leaf; until the next run. NULL if
 * it cannot be computed. Returns 0, or -ENOMEM. */
int qeff_trial_run(struct qeff_trial *trial, const void *data, const struct qeff_value **result,
		   struct qeff_error *err);
void qeff_trial_close(struct qeff_trial *trial);

#endif
