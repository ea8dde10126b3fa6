/* SPDX-License-Identifier: MIT */
/*
 * Phases: an operation runs as soon as what it reads is written and what it overwrites is read. All
 * that is ready at the same time shares a phase (queries, keys and values), since a barrier costs
 * more than an operation gains from waiting. ROWS has the first phase to itself.
 */
#include "lower/ir.h"

#include <stdlib.h>

/* What operations read and write: tensors, then states, then inputs and outputs. */
struct use {
	uint32_t written; /* first phase in which the last write can be read */
	uint32_t whole;	  /* the same of the last write that was not of a part */
	uint32_t read;	  /* first phase in which it can be overwritten */
};

struct scheduler {
	const struct qeff_lowering *l;
	struct lower_spec *spec;
	struct use *uses;
};

static void touch(struct lower_tensor *tensor, uint32_t phase)
{
	if (phase < tensor->first_phase)
		tensor->first_phase = phase;
	if (phase > tensor->last_phase)
		tensor->last_phase = phase;
}

static uint32_t later(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

/* The number among the uses of what @ref refers to, or LOWER_NONE: it is never written. */
static uint32_t use_of(const struct scheduler *s, struct lower_ref ref)
{
	switch (ref.kind) {
	case LOWER_REF_TENSOR:
		return ref.index;
	case LOWER_REF_BINDING:
		return s->spec->num_tensors + s->l->num_states + ref.index;
	default:
		return LOWER_NONE;
	}
}

/* The things @op reads: at most its operands, its old output and two states. */
static uint32_t reads_of(const struct scheduler *s, const struct lower_op *op, uint32_t reads[8])
{
	uint32_t count = 0;

	for (int i = 0; i < 4; i++)
		if (use_of(s, op->in[i]) != LOWER_NONE)
			reads[count++] = use_of(s, op->in[i]);
	if (op->nsp.code == QEFF_NSP_ATTENTION || op->nsp.code == QEFF_NSP_PENALISE)
		for (int i = 0; i < 2; i++)
			if (op->state[i] != LOWER_NONE)
				reads[count++] = s->spec->num_tensors + op->state[i];
	return count;
}

static uint32_t write_of(const struct scheduler *s, const struct lower_op *op)
{
	if (op->nsp.code == QEFF_NSP_SCATTER || op->nsp.code == QEFF_NSP_MARK)
		return s->spec->num_tensors + op->state[0];
	return use_of(s, op->out);
}

static void schedule_op(struct scheduler *s, struct lower_op *op)
{
	uint32_t reads[8], count = reads_of(s, op, reads);
	uint32_t write = write_of(s, op);
	/* ROWS, if there is one, comes first and has the first phase. */
	uint32_t phase = s->spec->ops[0].nsp.code == QEFF_NSP_ROWS && op != s->spec->ops;

	for (uint32_t i = 0; i < count; i++)
		phase = later(phase, s->uses[reads[i]].written);
	/* A write waits for the write before it as well: lookups add to one tensor in turn. Parts
	 * of a tensor are written side by side. */
	if (write != LOWER_NONE)
		phase = later(phase,
			      later(op->partial ? s->uses[write].whole : s->uses[write].written,
				    s->uses[write].read));
	op->phase = phase;
	for (uint32_t i = 0; i < count; i++)
		s->uses[reads[i]].read = later(s->uses[reads[i]].read, phase + 1);
	if (write != LOWER_NONE) {
		s->uses[write].written = later(s->uses[write].written, phase + 1);
		if (!op->partial)
			s->uses[write].whole = phase + 1;
	}
	for (uint32_t i = 0; i < count; i++)
		if (reads[i] < s->spec->num_tensors)
			touch(&s->spec->tensors[reads[i]], phase);
	if (write != LOWER_NONE && write < s->spec->num_tensors)
		touch(&s->spec->tensors[write], phase);
	s->spec->phases = later(s->spec->phases, phase + 1);
}

int qeff_lower_schedule(struct qeff_lowering *l, struct lower_spec *spec, struct qeff_error *err)
{
	struct scheduler s = { .l = l, .spec = spec };
	size_t uses = (size_t)spec->num_tensors + l->num_states + l->num_bindings;

	s.uses = calloc(uses + 1, sizeof(*s.uses));
	if (!s.uses)
		return lower_no_memory(err);
	for (uint32_t i = 0; i < spec->num_tensors; i++)
		spec->tensors[i].first_phase = LOWER_NONE;
	for (uint32_t i = 0; i < spec->num_ops; i++)
		schedule_op(&s, &spec->ops[i]);
	free(s.uses);
	if ((l->num_phases += spec->phases) > QEFF_NSP_MAX_PHASES ||
	    (l->num_ops += spec->num_ops) > QEFF_NSP_MAX_OPS)
		return qeff_error_set(err, -EFBIG,
				      "the program has more than %u phases or %u operations",
				      QEFF_NSP_MAX_PHASES, QEFF_NSP_MAX_OPS);
	return 0;
}
