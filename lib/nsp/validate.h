/* SPDX-License-Identifier: MIT */
/* What the two halves of the validator share. */
#ifndef QEFF_NSP_VALIDATE_H
#define QEFF_NSP_VALIDATE_H

#include "nsp/exec.h"

struct nsp_check {
	const struct qeff_nsp_program *program;
	struct qeff_nsp_problem *problem;
	uint32_t index; /* of the table entry at work */
};

/* Records the problem (if anyone asks) and returns false. */
bool qeff_nsp_refuse(const struct nsp_check *check, const char *what, uint64_t found,
		     uint64_t limit);

/* @bytes from @reference on lie in the constants, or inside one of the three regions of DDR; what
 * is written is DDR, and neither control buffer nor statistics. */
bool qeff_nsp_check_range(const struct nsp_check *check, const char *what, uint64_t reference,
			  uint64_t bytes, bool written);

/* Rows of numbers: alignment, strides, and the range that @rows rows of @width numbers take. */
bool qeff_nsp_check_operand(const struct nsp_check *check, const char *what,
			    const struct qeff_nsp_operand *operand, uint64_t rows, uint64_t width,
			    bool written);

/* Which operand types an operation takes; 0: the operand must not be there. @required: a bit for
 * each input that must. */
bool qeff_nsp_check_types(const struct nsp_check *check, const struct qeff_nsp_op *op,
			  const uint32_t in[4], uint32_t required, uint32_t out);

/* Retained state of one of @types: rows of @dim numbers for each slot, @heads heads and position.
 */
bool qeff_nsp_check_state(const struct nsp_check *check, const struct qeff_nsp_state *state,
			  uint64_t heads, uint64_t dim, uint32_t types, bool written);

/* @count instructions from @first on are there, known, and read only what is set. */
bool qeff_nsp_check_expression(const struct nsp_check *check, const struct qeff_nsp_op *op,
			       uint32_t first, uint32_t count, uint32_t last_code,
			       uint32_t functions);

/* Loops; operations that walk them. */
bool qeff_nsp_check_nest(const struct nsp_check *check, const struct qeff_nsp_nest *nest);
bool qeff_nsp_check_nest_op(const struct nsp_check *check, const struct qeff_nsp_op *op);

/* Flags of tokens; the last: what PENALISE reads of each batch entry. */
bool qeff_nsp_check_mark(const struct nsp_check *check, const struct qeff_nsp_op *op);
bool qeff_nsp_check_penalise(const struct nsp_check *check, const struct qeff_nsp_op *op);
bool qeff_nsp_check_penalties(const struct nsp_check *check, const struct qeff_nsp_op *op,
			      const struct qeff_nsp_spec *spec);

/* Everything about an operation that does not depend on tiles and specialisations. */
bool qeff_nsp_check_op(const struct nsp_check *check, const struct qeff_nsp_op *op);

#endif
