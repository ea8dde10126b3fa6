/* SPDX-License-Identifier: MIT */
/*
 * Validating and running NSP programs. Freestanding: the same code runs in the software card and,
 * compiled for Hexagon, in the interpreter of real packages. It calls nothing but the kernels and
 * memcpy/memset.
 */
#ifndef QEFF_NSP_EXEC_H
#define QEFF_NSP_EXEC_H

#include "nsp/program.h"

#include <stdbool.h>

/**
 * struct qeff_nsp_problem - why a program was refused
 * @what: a static phrase ("tile: weights leave the constants")
 * @index: which op, tile, spec, ...
 * @found, @limit: the number, and what it must not exceed or must equal
 */
struct qeff_nsp_problem {
	const char *what;
	uint32_t index;
	uint64_t found;
	uint64_t limit;
};

/**
 * struct qeff_nsp_program - a validated program; points into the constants, owns nothing
 *
 * Read it freely, change nothing.
 */
struct qeff_nsp_program {
	const uint8_t *constants;
	const struct qeff_nsp_header *header;
	const struct qeff_nsp_spec *specs;
	const struct qeff_nsp_op *ops;
	const uint32_t *tile_index;
	const struct qeff_nsp_tile *tiles;
	const struct qeff_nsp_instruction *instructions;
	const struct qeff_nsp_nest *nests;
	const char *strings;
	uint32_t max_tokens;   /* largest batch x seq of any specialisation */
	uint32_t max_segments; /* largest batch */
};

/* True if every byte the program may touch, whatever its inputs, is inside the constants, the
 * @ddr_bytes of DDR and the scratch it declares. @constants must be 128-byte aligned and stay
 * unchanged. */
bool qeff_nsp_validate(const void *constants, uint64_t constants_bytes,
		       struct qeff_nsp_program *program, struct qeff_nsp_problem *problem);

/* The kernels that a program runs on; one table per instruction set. */
struct qeff_nsp_kernels;

/* Bytes of scratch that an operation needs, the same on every instruction set; the largest of a
 * program's operations is what its header must at least declare. The operation's parameters must be
 * sensible. */
uint64_t qeff_nsp_scratch_bytes(const struct qeff_nsp_op *op);

/**
 * struct qeff_nsp_instance - a program at work on one activation's memory
 *
 * Allocated by the caller with qeff_nsp_instance_bytes() bytes, 64-byte aligned; private to the
 * executor.
 */
struct qeff_nsp_instance;
size_t qeff_nsp_instance_bytes(const struct qeff_nsp_program *program);
/* @ddr: 128-byte aligned, header->ddr_bytes long, zeroed once before the first inference. */
void qeff_nsp_instance_init(struct qeff_nsp_instance *instance,
			    const struct qeff_nsp_program *program,
			    const struct qeff_nsp_kernels *kernels, uint8_t *ddr);

/* Which rows of which operand stand in a scratch, as MATMUL prepared them. In one phase nobody
 * writes them, so the next tile that multiplies the same rows need not prepare them again. */
struct qeff_nsp_staged {
	uint64_t inference; /* 0: none */
	uint64_t at;
	uint64_t stride_bytes;
	uint64_t offset; /* in scratch */
	uint32_t phase;
	uint32_t type;
	uint32_t form;
	uint32_t inputs;
	uint32_t first;
	uint32_t rows;
	uint32_t room; /* rows that the place is laid out for */
};

/* What a thread that runs NSPs keeps from one to the next, zeroed before the first. @scratch may
 * change only while nothing is staged in it. */
struct qeff_nsp_worker {
	void *scratch;
	struct qeff_nsp_staged staged;
};

/**
 * One inference: qeff_nsp_begin(), then for each phase p in [0, returned count) every NSP's
 * qeff_nsp_phase(), in any order and on any threads, with a barrier after each phase; then
 * qeff_nsp_end(). Nothing is allocated.
 * @scratch: header->scratch_bytes for each call that runs at the same time, 128-byte aligned.
 */
uint32_t qeff_nsp_begin(struct qeff_nsp_instance *instance);
void qeff_nsp_phase(struct qeff_nsp_instance *instance, uint32_t phase, uint32_t nsp,
		    void *scratch);
/* The same for a thread that runs several NSPs of a phase one after the other. */
void qeff_nsp_phase_on(struct qeff_nsp_instance *instance, uint32_t phase, uint32_t nsp,
		       struct qeff_nsp_worker *worker);
/* Writes the statistics; @time_us is copied into them. Returns the fault, 0 if none. */
enum qeff_nsp_fault qeff_nsp_end(struct qeff_nsp_instance *instance, uint64_t time_us);

/* Calls @visit for every byte range of DDR that phase @phase of the current inference declares
 * (debugging aid). */
void qeff_nsp_declared(const struct qeff_nsp_instance *instance, uint32_t phase,
		       void (*visit)(void *user, uint64_t offset, uint64_t size_bytes,
				     bool written),
		       void *user);
/* Records a fault from outside (the poison check). Thread safe; the first one stays. */
void qeff_nsp_set_fault(struct qeff_nsp_instance *instance, enum qeff_nsp_fault fault, uint32_t op,
			uint32_t row, int64_t value);

#endif
