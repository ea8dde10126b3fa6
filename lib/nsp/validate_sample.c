/* SPDX-License-Identifier: MIT */
/* The validator's part for flags of tokens and what they take off logits: MARK and PENALISE. */
#include "nsp/validate.h"

#include "nsp/kernels.h"

#define REQUIRE(condition, what, found, limit)                                                     \
	do {                                                                                       \
		if (!(condition))                                                                  \
			return qeff_nsp_refuse(check, what, found, limit);                         \
	} while (0)

#define TYPE(type) (1u << (type))

static bool check_common(const struct nsp_check *check, const struct qeff_nsp_op *op,
			 uint64_t width)
{
	REQUIRE(op->domain == QEFF_NSP_ROWS_SEGMENTS, "operation: domain of its rows", op->domain,
		QEFF_NSP_ROWS_SEGMENTS);
	REQUIRE(width >= 1 && width <= QEFF_NSP_MAX_WIDTH, "operation: width", width,
		QEFF_NSP_MAX_WIDTH);
	return true;
}

static bool check_flags(const struct nsp_check *check, const struct qeff_nsp_state *flags,
			uint64_t width, bool written)
{
	REQUIRE(flags->positions == 1, "operation: flags of several positions", flags->positions,
		1);
	REQUIRE(!written || flags->slots == 1 || flags->slot_stride >= width,
		"operation: slots of flags overlap", flags->slot_stride, width);
	return qeff_nsp_check_state(check, flags, 1, width, TYPE(QEFF_NSP_BOOL), written);
}

bool qeff_nsp_check_mark(const struct nsp_check *check, const struct qeff_nsp_op *op)
{
	const struct qeff_nsp_mark_params *p = &op->u.mark;
	const uint32_t in[4] = { TYPE(QEFF_NSP_I64), 0, 0, 0 };

	REQUIRE(p->decode <= 1 && !p->reserved[0] && !p->reserved[1] && !p->reserved[2],
		"operation: parameters of MARK", p->decode, 1);
	return check_common(check, op, p->width) && qeff_nsp_check_types(check, op, in, 1, 0) &&
	       check_flags(check, &p->flags, p->width, true);
}

bool qeff_nsp_check_penalise(const struct nsp_check *check, const struct qeff_nsp_op *op)
{
	const struct qeff_nsp_penalise_params *p = &op->u.penalise;
	const uint32_t f32 = TYPE(QEFF_NSP_F32), in[4] = { f32, f32, f32, 0 };

	REQUIRE(!p->reserved, "operation: parameters of PENALISE", p->reserved, 0);
	if (!check_common(check, op, p->width) || !qeff_nsp_check_types(check, op, in, 7, f32))
		return false;
	REQUIRE(op->in[0].at != op->out.at || op->in[0].stride_bytes == op->out.stride_bytes,
		"operation: works in place on rows that differ", op->in[0].stride_bytes,
		op->out.stride_bytes);
	return qeff_nsp_check_operand(check, "operation: an input leaves the memory", &op->in[0],
				      op->rows, p->width, false) &&
	       qeff_nsp_check_operand(check, "operation: its output leaves the memory", &op->out,
				      op->rows, p->width, true) &&
	       check_flags(check, &p->repetition, p->width, false) &&
	       check_flags(check, &p->presence, p->width, false);
}

bool qeff_nsp_check_penalties(const struct nsp_check *check, const struct qeff_nsp_op *op,
			      const struct qeff_nsp_spec *spec)
{
	static const char what[] = "tile: what penalties need leaves its memory";
	const struct qeff_nsp_penalise_params *p = &op->u.penalise;
	uint32_t slots =
		p->repetition.slots < p->presence.slots ? p->repetition.slots : p->presence.slots;

	REQUIRE(slots >= spec->slots, "tile: the flags have fewer slots than the specialisation",
		slots, spec->slots);
	for (int i = 1; i < 3; i++) {
		REQUIRE(op->in[i].at % 4 == 0, "tile: what penalties need is not aligned",
			op->in[i].at, 4);
		if (!qeff_nsp_check_range(check, what, op->in[i].at, spec->batch * 4ull, false))
			return false;
	}
	return p->masks == QEFF_NSP_NONE ||
	       qeff_nsp_check_range(check, what, p->masks, (uint64_t)spec->batch * p->width, false);
}
