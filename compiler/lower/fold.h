/* SPDX-License-Identifier: MIT */
/*
 * Constant folding: a node whose inputs are constants is lowered alone and run here, by the code
 * that runs on the card, so that a constant has the bits that the card would have computed.
 */
#ifndef QEFF_LOWER_FOLD_H
#define QEFF_LOWER_FOLD_H

#include "graph/graph.h"

/**
 * qeff_lower_fold - compute the outputs of a node
 * @node: its inputs are initialisers, or made of some by nodes that are computed along with it
 * @outputs: for each output, room for its elements
 *
 * Returns 0; -ENOTSUP if the node cannot be lowered alone; -EINVAL if it fails at work (an index
 * outside); -ENOMEM. @user is not used.
 */
int qeff_lower_fold(void *user, const struct qeff_node *node, void *const *outputs,
		    struct qeff_error *err);

#endif
