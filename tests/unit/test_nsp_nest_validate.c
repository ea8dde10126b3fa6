/* SPDX-License-Identifier: MIT */
/* The validator on nests of loops: every rule broken in turn, and random damage that must be
 * refused or run cleanly. */
#include "nsp_dense.h"
#include "unit.h"

enum table { HEADER, OP, TILE, NEST, CODE };

/**
 * struct damage - one rule of the program dense_layout() makes broken
 * @what: must occur in the validator's phrase
 */
struct damage {
	enum table table;
	uint32_t entry;
	size_t offset, size;
	uint64_t value;
	const char *what;
};

#define FIELD(type, field) offsetof(struct type, field), sizeof(((struct type *)0)->field)
#define H(field)	   HEADER, 0, FIELD(qeff_nsp_header, field)
#define O(op, field)	   OP, op, FIELD(qeff_nsp_op, field)
#define N(nest, field)	   NEST, nest, FIELD(qeff_nsp_nest, field)
#define T(tile, field)	   TILE, tile, FIELD(qeff_nsp_tile, field)
#define I(code, field)	   CODE, code, FIELD(qeff_nsp_instruction, field)
#define DDR(offset)	   QEFF_NSP_REF(QEFF_NSP_DDR, offset)
#define OUT		   QEFF_NSP_NEST_OUT

static const struct damage damages[] = {
	{ H(nests), (1u << 20) + 1, "number of nests" },
	{ H(nests), 1u << 20, "nests leave the program" },
	{ H(nests), 0, "no such nest" },
	{ H(nests_offset), NSP_BUILDER_PROGRAM_BYTES, "nests leave the program" },
	{ H(nests_offset), 4, "nests leave the program" },
	{ H(scratch_bytes), 0, "more scratch than the program declares" },
	{ N(0, rank), 13, "nest: loops" },
	{ N(0, rank), UINT32_MAX, "nest: loops" },
	{ N(0, rank), 3, "size of a loop" },
	{ N(0, rank), 1, "size of a loop" },
	{ N(0, reserved), 1, "reserved" },
	{ N(0, size[1]), 0, "size of a loop" },
	{ N(0, size[2]), 1, "size of a loop" },
	{ N(0, size[11]), 1, "size of a loop" },
	{ N(0, size[1]), UINT32_MAX, "too many strips|leaves the memory" },
	{ N(0, stride[0][2]), 1, "a stride without a loop" },
	{ N(0, stride[OUT][11]), 1, "a stride without a loop" },
	{ N(0, stride[2][0]), 1, "moves an operand that is not there" },
	{ N(0, stride[0][0]), 1u << 28, "input leaves the memory" },
	{ N(0, stride[0][0]), INT64_MAX, "input leaves the memory" },
	{ N(0, stride[0][0]), 1ull << 63, "input leaves the memory" },
	{ N(0, stride[0][0]), (uint64_t)-200000, "input leaves the memory" },
	{ N(0, stride[1][1]), (uint64_t)INT64_MAX / 99, "input leaves the memory" },
	{ N(0, stride[OUT][0]), 99, "places it writes overlap" },
	{ N(0, stride[OUT][0]), 0, "places it writes overlap" },
	{ N(0, stride[OUT][1]), (uint64_t)-101, "places it writes overlap|leaves the memory" },
	{ N(0, stride[OUT][0]), 1ull << 40, "output leaves the memory" },
	{ N(0, stride[OUT][0]), (uint64_t) - (1ll << 40), "output leaves the memory" },
	{ N(0, stride[OUT][0]), INT64_MAX, "output leaves the memory" },
	{ O(DENSE_NEST, domain), QEFF_NSP_ROWS_TOKENS, "a nest has no rows" },
	{ O(DENSE_NEST, rows), 2, "a nest has no rows" },
	{ O(DENSE_NEST, u.nest.nest), 15, "no such nest" },
	{ O(DENSE_NEST, u.nest.nest), UINT32_MAX, "no such nest" },
	{ O(DENSE_NEST, u.nest.kept), 3, "loops that NEST keeps" },
	{ O(DENSE_NEST, u.nest.kept), 1, "loops that NEST keeps" },
	{ O(DENSE_NEST, u.nest.kept), 255, "loops that NEST keeps" },
	{ O(DENSE_NEST, u.nest.number), 4, "parameters of NEST" },
	{ O(DENSE_NEST, u.nest.fold), 9, "parameters of NEST" },
	{ O(DENSE_NEST, u.nest.fold), QEFF_NSP_FOLD_ARGMAX, "wrong type" },
	{ O(DENSE_NEST, u.nest.reserved), 1, "parameters of NEST" },
	{ O(DENSE_NEST, u.nest.instructions), 65, "its instructions" },
	{ O(DENSE_NEST, u.nest.first_instruction), UINT32_MAX, "its instructions" },
	{ O(DENSE_NEST, in[0].type), QEFF_NSP_MXFP6, "wrong type" },
	{ O(DENSE_NEST, in[0].type), QEFF_NSP_MXINT8, "wrong type" },
	{ O(DENSE_NEST, in[0].type), QEFF_NSP_TYPES, "wrong type" },
	{ O(DENSE_NEST, in[0].type), 255, "wrong type" },
	{ O(DENSE_NEST, in[0].stride_bytes), 4, "a stride of its own" },
	{ O(DENSE_NEST, in[0].reserved[2]), 1, "a stride of its own" },
	{ O(DENSE_NEST, in[0].at), DDR(1026), "not aligned to its elements" },
	{ O(DENSE_NEST, in[0].at), DDR(NSP_BUILDER_STATE - 4), "input leaves the memory" },
	{ O(DENSE_NEST, in[0].at), QEFF_NSP_REF(7, 0), "no such space" },
	{ O(DENSE_NEST, in[0].at), 0x0100000000000000ull, "input leaves the memory" },
	{ O(DENSE_NEST, out.at), QEFF_NSP_NONE, "missing" },
	{ O(DENSE_NEST, out.at), 0, "constants cannot be written" },
	{ O(DENSE_NEST, out.at), DDR(0), "over the control buffer or the statistics" },
	{ O(DENSE_NEST, out.at), DDR(NSP_BUILDER_DDR - 4), "output leaves the memory" },
	{ I(0, code), QEFF_NSP_I_AND, "no such instruction" },
	{ I(0, code), QEFF_NSP_INSTRUCTIONS, "no such instruction" },
	{ I(0, dst), 8, "no such instruction" },
	{ I(0, dst), 5, "not set" },
	{ I(1, b), QEFF_NSP_ALL_FUNCTIONS, "no such function" },
	{ I(1, a), 3, "not set" },
	{ I(2, b), 7, "not set" },
	{ O(DENSE_FOLD, u.nest.fold), QEFF_NSP_FOLD_NONE, "loops that NEST keeps" },
	{ O(DENSE_FOLD, u.nest.kept), 1, "places it writes overlap" },
	{ O(DENSE_FOLD, in[0].at), QEFF_NSP_NONE, "missing" },
	{ N(1, stride[OUT][0]), 1, "moves in a loop that is folded" },
	{ O(DENSE_PICK, u.pick.components), 0, "parameters of PICK" },
	{ O(DENSE_PICK, u.pick.components), 9, "parameters of PICK" },
	{ O(DENSE_PICK, u.pick.components), 2, "limits of an index" },
	{ O(DENSE_PICK, u.pick.limit[0]), 0, "limits of an index" },
	{ O(DENSE_PICK, u.pick.limit[7]), 1, "limits of an index" },
	{ O(DENSE_PICK, u.pick.stride[3]), 1, "limits of an index" },
	{ O(DENSE_PICK, u.pick.limit[0]), UINT32_MAX, "input leaves the memory" },
	{ O(DENSE_PICK, u.pick.stride[0]), INT64_MAX, "input leaves the memory" },
	{ O(DENSE_PICK, u.pick.stride[0]), 1ull << 63, "input leaves the memory" },
	{ O(DENSE_PICK, u.pick.stride[0]), (uint64_t)-100, "input leaves the memory" },
	{ O(DENSE_PICK, u.pick.fold), 1, "parameters of PICK" },
	{ O(DENSE_PICK, u.pick.reserved[1]), 1, "parameters of PICK" },
	{ O(DENSE_PICK, in[1].type), QEFF_NSP_U64, "wrong type" },
	{ O(DENSE_PICK, in[1].at), DDR(NSP_BUILDER_STATE - 8), "input leaves the memory" },
	{ O(DENSE_PICK, in[1].at), QEFF_NSP_NONE, "missing" },
	{ O(DENSE_PICK, in[2].at), DDR(1024), "too many" },
	{ O(DENSE_PICK, in[0].type), QEFF_NSP_I32, "wrong type" },
	{ O(DENSE_PICK, out.type), QEFF_NSP_F16, "wrong type" },
	{ N(2, stride[1][0]), 1u << 20, "input leaves the memory" },
	{ N(2, stride[OUT][0]), 1, "places it writes overlap" },
	{ O(DENSE_PUT, u.pick.fold), QEFF_NSP_FOLD_ARGMAX, "parameters of PICK" },
	{ O(DENSE_PUT, u.pick.limit[0]), 1u << 20, "output leaves the memory" },
	{ O(DENSE_PUT, u.pick.stride[0]), 1ull << 50, "output leaves the memory" },
	{ O(DENSE_PUT, u.pick.stride[0]), (uint64_t) - (1ll << 50), "output leaves the memory" },
	{ O(DENSE_PUT, out.at), 0, "constants cannot be written" },
	{ N(DENSE_PUT, stride[OUT][1]), 1u << 20, "output leaves the memory" },
	{ O(DENSE_SORT, u.sort.chosen), 0, "what SORT chooses" },
	{ O(DENSE_SORT, u.sort.chosen), 101, "what SORT chooses" },
	{ O(DENSE_SORT, u.sort.chosen), 100, "scratch|overlap" },
	{ O(DENSE_SORT, u.sort.smallest), 2, "parameters of SORT" },
	{ O(DENSE_SORT, u.sort.positions), 2, "parameters of SORT" },
	{ O(DENSE_SORT, u.sort.positions), 1, "wrong type" },
	{ O(DENSE_SORT, u.sort.reserved[5]), 1, "parameters of SORT" },
	{ O(DENSE_SORT, out.type), QEFF_NSP_F16, "wrong type" },
	{ O(DENSE_SORT, in[1].at), DDR(1024), "too many" },
	{ N(DENSE_SORT, stride[OUT][1]), INT64_MAX, "output leaves the memory" },
	{ N(DENSE_SORT, stride[OUT][1]), 2, "places it writes overlap" },
	{ N(DENSE_SORT, stride[0][1]), 1ull << 32, "input leaves the memory" },
	{ O(DENSE_NEST, code), QEFF_NSP_SORT, "SORT|wrong type|missing|too many" },
	{ O(DENSE_NEST, code), QEFF_NSP_NORM, "operation:" },
	{ O(DENSE_PICK, code), QEFF_NSP_ROWS, "operation:|ROWS" },
	{ T(0, begin), 1, "whole rows" },
	{ T(0, data), 0, "weights where none" },
	{ T(0, row_parts), 0, "row part" },
};

static uint8_t *place_of(uint8_t *constants, const struct damage *d)
{
	struct qeff_nsp_header h;

	memcpy(&h, constants, sizeof(h));
	switch (d->table) {
	case OP:
		return constants + h.ops_offset + d->entry * sizeof(struct qeff_nsp_op) + d->offset;
	case NEST:
		return constants + h.nests_offset + d->entry * sizeof(struct qeff_nsp_nest) +
		       d->offset;
	case CODE:
		return constants + h.instructions_offset + d->entry * 8 + d->offset;
	case TILE:
		return constants + h.tiles_offset + d->entry * 24 + d->offset;
	default:
		return constants + d->offset;
	}
}

static void rules(void)
{
	size_t bytes;
	struct dense_all d;
	uint8_t *constants = dense_layout(&d, 0, &bytes);

	for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
		const struct damage *damage = &damages[i];
		struct qeff_nsp_problem problem = { .what = "accepted" };
		uint8_t saved[8], *at = place_of(constants, damage);
		struct qeff_nsp_program program;
		bool valid;

		memcpy(saved, at, damage->size);
		memcpy(at, &damage->value, damage->size);
		valid = qeff_nsp_validate(constants, bytes, &program, &problem);
		if (valid || !says(problem.what, damage->what))
			printf("\ndamage %zu: \"%s\", not \"%s\"\n", i, problem.what, damage->what);
		CU_ASSERT(!valid && says(problem.what, damage->what));
		memcpy(at, saved, damage->size);
	}
	free(constants);
}

/* A program of which bytes were changed at random is refused, or runs within its memory (under the
 * sanitizer) and writes nothing that it did not declare. */
static void random_damage(void)
{
	const char *isas[4];
	size_t num = nsp_isas(isas);
	uint32_t seed = 3, accepted = 0;

	for (int round = 0; round < 3000; round++) {
		size_t bytes;
		struct dense_all d;
		struct qeff_nsp_program program;
		uint8_t *constants = dense_layout(&d, 0, &bytes);
		const struct qeff_nsp_header *h = (const struct qeff_nsp_header *)constants;
		uint64_t end = h->strings_offset, most = 0;
		struct nsp_machine m;

		for (int i = 0; i < 1 + round % 3; i++) {
			uint64_t at = h->ops_offset + (uint64_t)((nsp_random(&seed) + 1) / 2 *
								 (float)(end - h->ops_offset));

			if (at < bytes)
				constants[at] ^= (uint8_t)(1u << (seed >> 13 & 7));
		}
		if (!qeff_nsp_validate(constants, bytes, &program, NULL)) {
			free(constants);
			continue;
		}
		for (uint32_t i = 0; i < program.header->nests; i++) {
			uint64_t iterations = 1;

			for (uint32_t l = 0; l < program.nests[i].rank; l++)
				iterations *= program.nests[i].size[l];
			most = iterations > most ? iterations : most;
		}
		accepted++;
		if (most > 1 << 20) { /* long, not wrong */
			free(constants);
			continue;
		}
		nsp_load(&m, constants, bytes, qeff_nsp_kernels_named(isas[num - 1]));
		dense_inputs(&d, m.ddr);
		nsp_infer(&m, 0);
		nsp_unload(&m);
	}
	CU_ASSERT_TRUE(accepted > 100);
}

static const struct unit_test tests[] = {
	{ "every rule broken in turn", rules },
	{ "random damage", random_damage },
};
QEFF_UNIT_MAIN("nsp_nest_validate", tests)
