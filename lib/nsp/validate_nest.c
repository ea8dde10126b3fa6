/* SPDX-License-Identifier: MIT */
/* The validator's part for expressions, and for operations on nests of loops. */
#include "nsp/validate.h"

#include "nsp/nest.h"
#include "util/checked.h"

#define REQUIRE(condition, what, found, limit)                                                     \
	do {                                                                                       \
		if (!(condition))                                                                  \
			return qeff_nsp_refuse(check, what, found, limit);                         \
	} while (0)

#define TYPE(type) (1u << (type))
#define FLOATS	   (TYPE(QEFF_NSP_F32) | TYPE(QEFF_NSP_F16) | TYPE(QEFF_NSP_BF16) | TYPE(QEFF_NSP_F64))
#define INDICES	   (TYPE(QEFF_NSP_I32) | TYPE(QEFF_NSP_I64))
#define INTEGERS                                                                                   \
	(INDICES | TYPE(QEFF_NSP_I8) | TYPE(QEFF_NSP_U8) | TYPE(QEFF_NSP_I16) |                    \
	 TYPE(QEFF_NSP_U16) | TYPE(QEFF_NSP_U32) | TYPE(QEFF_NSP_U64))
#define ELEMENTS (FLOATS | INTEGERS | TYPE(QEFF_NSP_BOOL))

/* Every register must be set before it is read, so that a result depends on its operands alone. */
bool qeff_nsp_check_expression(const struct nsp_check *check, const struct qeff_nsp_op *op,
			       uint32_t first, uint32_t count, uint32_t last_code,
			       uint32_t functions)
{
	const struct qeff_nsp_instruction *code;
	uint32_t set = 0;

	REQUIRE(count <= 64 && qeff_range_valid(first, count, check->program->header->instructions),
		"operation: its instructions", count, check->program->header->instructions);
	code = check->program->instructions + first;
	for (int i = 0; i < 4; i++)
		set |= (op->in[i].at != QEFF_NSP_NONE) << i;
	for (uint32_t i = 0; i < count; i++) {
		bool reads_a = code[i].code != QEFF_NSP_I_CONST;
		bool reads_b = reads_a && code[i].code != QEFF_NSP_I_FUNCTION;

		REQUIRE(code[i].code <= last_code && code[i].dst < QEFF_NSP_REGISTERS,
			"operation: no such instruction", code[i].code, last_code);
		REQUIRE(!reads_a || (code[i].a < QEFF_NSP_REGISTERS && (set >> code[i].a & 1)),
			"operation: an instruction reads a register that is not set", code[i].a,
			set);
		REQUIRE(!reads_b || (code[i].b < QEFF_NSP_REGISTERS && (set >> code[i].b & 1)),
			"operation: an instruction reads a register that is not set", code[i].b,
			set);
		REQUIRE(code[i].code != QEFF_NSP_I_SELECT || (set >> code[i].dst & 1),
			"operation: an instruction reads a register that is not set", code[i].dst,
			set);
		REQUIRE(code[i].code != QEFF_NSP_I_FUNCTION || code[i].b < functions,
			"operation: no such function", code[i].b, functions);
		set |= 1u << code[i].dst;
	}
	return true;
}

/* The loops themselves; what operands make of them is the operations' affair. */
bool qeff_nsp_check_nest(const struct nsp_check *check, const struct qeff_nsp_nest *nest)
{
	uint64_t iterations = 1;

	REQUIRE(nest->rank <= QEFF_NSP_NEST_RANK, "nest: loops", nest->rank, QEFF_NSP_NEST_RANK);
	REQUIRE(!nest->reserved, "nest: reserved fields are not zero", nest->reserved, 0);
	for (uint32_t i = 0; i < QEFF_NSP_NEST_RANK; i++) {
		REQUIRE((i < nest->rank) == (nest->size[i] != 0), "nest: size of a loop",
			nest->size[i], nest->rank);
		for (int o = 0; i >= nest->rank && o < NSP_OPERANDS; o++)
			REQUIRE(!nest->stride[o][i], "nest: a stride without a loop", i,
				nest->rank);
		if (i < nest->rank)
			REQUIRE(qeff_mul_u64(iterations, nest->size[i], &iterations) &&
					iterations <= QEFF_NSP_MAX_ITERATIONS,
				"nest: too many iterations", iterations, QEFF_NSP_MAX_ITERATIONS);
	}
	return true;
}

/* Which operand types an operation takes; 0: the operand must not be there. */
static bool check_operands(const struct nsp_check *check, const struct qeff_nsp_op *op,
			   const struct qeff_nsp_nest *nest, const uint32_t types[NSP_OPERANDS],
			   uint32_t optional)
{
	for (int i = 0; i < NSP_OPERANDS; i++) {
		const struct qeff_nsp_operand *operand =
			i < QEFF_NSP_NEST_OUT ? &op->in[i] : &op->out;

		if (operand->at == QEFF_NSP_NONE) {
			REQUIRE(!types[i] || (optional >> i & 1),
				"operation: an operand is missing", i, 0);
			for (uint32_t l = 0; l < nest->rank; l++)
				REQUIRE(!nest->stride[i][l],
					"operation: a nest moves an operand that is not there", i,
					0);
			continue;
		}
		REQUIRE(types[i], "operation: an operand too many", i, 0);
		REQUIRE(operand->type < QEFF_NSP_TYPES && (types[i] >> operand->type & 1),
			"operation: an operand has the wrong type", operand->type, types[i]);
		REQUIRE(!operand->stride_bytes && !operand->reserved[0] && !operand->reserved[1] &&
				!operand->reserved[2],
			"operation: an operand of a nest has a stride of its own, or more",
			operand->stride_bytes, 0);
		REQUIRE(QEFF_NSP_REF_OFFSET(operand->at) % nsp_type_bytes(operand->type) == 0,
			"operation: an operand is not aligned to its elements", operand->at,
			nsp_type_bytes(operand->type));
	}
	return true;
}

/* Elements from @low to @high around the operand's place lie in memory. */
static bool check_extent(const struct nsp_check *check, const struct qeff_nsp_operand *operand,
			 int64_t low, int64_t high, bool written)
{
	const char *what = written ? "operation: its output leaves the memory"
				   : "operation: an input leaves the memory";
	uint64_t size = nsp_type_bytes(operand->type), behind = (uint64_t)-low * size;
	uint64_t offset = QEFF_NSP_REF_OFFSET(operand->at);

	REQUIRE(behind <= offset, what, behind, offset);
	return qeff_nsp_check_range(check, what, operand->at - behind,
				    (uint64_t)(high - low + 1) * size, written);
}

static bool check_input(const struct nsp_check *check, const struct qeff_nsp_op *op,
			const struct qeff_nsp_nest *nest, int i, int64_t more)
{
	int64_t low, high;

	if (op->in[i].at == QEFF_NSP_NONE)
		return true;
	nsp_extent(nest, i, nest->rank, &low, &high);
	if (more < 0)
		low += more;
	else
		high += more;
	return check_extent(check, &op->in[i], low, high, false);
}

/* No two indices of loops [0, loops) share a place of out: taken in the order of their strides,
 * each loop steps over all that the ones before it reach. @last: iterations of the last loop. */
static bool check_apart(const struct nsp_check *check, const struct qeff_nsp_nest *nest,
			uint32_t loops, uint32_t last)
{
	const int64_t *stride = nest->stride[QEFF_NSP_NEST_OUT];
	uint32_t done = 0;
	uint64_t reach = 0;

	for (uint32_t n = 0; n < loops; n++) {
		uint64_t least = UINT64_MAX, size;
		uint32_t next = loops;

		for (uint32_t i = 0; i < loops; i++) {
			uint64_t step = stride[i] < 0 ? -(uint64_t)stride[i] : (uint64_t)stride[i];

			if (!(done >> i & 1) && step <= least) {
				least = step;
				next = i;
			}
		}
		done |= 1u << next;
		size = next == loops - 1 ? last : nest->size[next];
		if (size == 1)
			continue;
		REQUIRE(least > reach, "operation: the places it writes overlap", least, reach);
		REQUIRE(qeff_mul_u64(least, size - 1, &least) && qeff_add_u64(reach, least, &reach),
			"operation: its output leaves the memory", least, UINT64_MAX);
	}
	return true;
}

static bool check_out(const struct nsp_check *check, const struct qeff_nsp_op *op,
		      const struct qeff_nsp_nest *nest, uint32_t loops)
{
	int64_t low, high;

	nsp_extent(nest, QEFF_NSP_NEST_OUT, loops, &low, &high);
	return check_apart(check, nest, loops, loops ? nest->size[loops - 1] : 1) &&
	       check_extent(check, &op->out, low, high, true);
}

/* Where output and input are the same memory, an element is read before it is written only if all
 * strides agree. */
static bool check_in_place(const struct nsp_check *check, const struct qeff_nsp_op *op,
			   const struct qeff_nsp_nest *nest, int i)
{
	if (op->in[i].at != op->out.at)
		return true;
	REQUIRE(op->in[i].type == op->out.type && op->u.nest.kept == nest->rank,
		"operation: works in place on elements that differ", op->in[i].type, op->out.type);
	for (uint32_t l = 0; l < nest->rank; l++)
		REQUIRE(nest->stride[i][l] == nest->stride[QEFF_NSP_NEST_OUT][l],
			"operation: works in place on elements that differ", l, nest->rank);
	return true;
}

static bool check_nest_op(const struct nsp_check *check, const struct qeff_nsp_op *op,
			  const struct qeff_nsp_nest *nest)
{
	const struct qeff_nsp_nest_params *p = &op->u.nest;
	bool floats = p->number <= QEFF_NSP_NUMBER_F64;
	const uint32_t types[NSP_OPERANDS] = { ELEMENTS, ELEMENTS, ELEMENTS, ELEMENTS,
					       p->fold >= QEFF_NSP_FOLD_ARGMAX ? INTEGERS
									       : ELEMENTS };

	REQUIRE(p->number < QEFF_NSP_NUMBERS && p->fold < QEFF_NSP_FOLDS && !p->reserved,
		"operation: parameters of NEST", p->number, QEFF_NSP_NUMBERS);
	REQUIRE(p->kept <= nest->rank && (p->fold || p->kept == nest->rank),
		"operation: loops that NEST keeps", p->kept, nest->rank);
	if (!check_operands(check, op, nest, types, p->instructions ? 0xf : 0xe) ||
	    !qeff_nsp_check_expression(check, op, p->first_instruction, p->instructions,
				       floats ? QEFF_NSP_I_FMOD : QEFF_NSP_INSTRUCTIONS - 1,
				       QEFF_NSP_ALL_FUNCTIONS))
		return false;
	for (uint32_t l = p->kept; l < nest->rank; l++)
		REQUIRE(!nest->stride[QEFF_NSP_NEST_OUT][l],
			"operation: its output moves in a loop that is folded", l, p->kept);
	for (int i = 0; i < 4; i++)
		if (!check_input(check, op, nest, i, 0) || !check_in_place(check, op, nest, i))
			return false;
	return check_out(check, op, nest, p->kept);
}

/* PICK and PUT. */
static bool check_pick(const struct nsp_check *check, const struct qeff_nsp_op *op,
		       const struct qeff_nsp_nest *nest)
{
	const struct qeff_nsp_pick_params *p = &op->u.pick;
	const uint32_t types[NSP_OPERANDS] = { ELEMENTS, INDICES, 0, 0, ELEMENTS };
	bool put = op->code == QEFF_NSP_PUT;
	int64_t low, high, index;

	REQUIRE(p->components >= 1 && p->components <= QEFF_NSP_MAX_COMPONENTS &&
			p->fold <= (put ? QEFF_NSP_FOLD_MIN : QEFF_NSP_FOLD_NONE) &&
			!p->reserved[0] && !p->reserved[1],
		"operation: parameters of PICK or PUT", p->components, QEFF_NSP_MAX_COMPONENTS);
	for (uint32_t j = 0; j < QEFF_NSP_MAX_COMPONENTS; j++)
		/* cppcheck-suppress arrayIndexThenCheck ; that is no limit of the array */
		REQUIRE((j < p->components) == (p->limit[j] != 0) &&
				(j < p->components || !p->stride[j]),
			"operation: limits of an index", p->limit[j], p->components);
	REQUIRE(!__builtin_mul_overflow(p->index_stride, (int64_t)p->components - 1, &index) &&
			index < 1ll << 56 && index > -(1ll << 56),
		"operation: parameters of PICK or PUT", (uint64_t)p->index_stride, 1ull << 56);
	if (!check_operands(check, op, nest, types, 0) || !check_input(check, op, nest, 1, index))
		return false;
	REQUIRE(op->in[0].type == op->out.type, "operation: an operand has the wrong type",
		op->in[0].type, op->out.type);
	REQUIRE(op->in[0].at != op->out.at && op->in[1].at != op->out.at,
		"operation: PICK and PUT cannot work in place", op->out.at, 0);
	nsp_extent(nest, put ? QEFF_NSP_NEST_OUT : 0, nest->rank, &low, &high);
	nsp_pick_extent(p, &low, &high);
	if (put)
		return check_input(check, op, nest, 0, 0) &&
		       check_extent(check, &op->out, low, high, true);
	return check_extent(check, &op->in[0], low, high, false) &&
	       check_out(check, op, nest, nest->rank);
}

static bool check_sort(const struct nsp_check *check, const struct qeff_nsp_op *op,
		       const struct qeff_nsp_nest *nest)
{
	const struct qeff_nsp_sort_params *p = &op->u.sort;
	const uint32_t types[NSP_OPERANDS] = { ELEMENTS, 0, 0, 0,
					       p->positions ? INDICES : ELEMENTS };
	int64_t low, high, reach;
	uint32_t last;

	REQUIRE(p->smallest <= 1 && p->positions <= 1, "operation: parameters of SORT", p->smallest,
		1);
	for (size_t i = 0; i < sizeof(p->reserved); i++)
		REQUIRE(!p->reserved[i], "operation: parameters of SORT", p->reserved[i], 0);
	REQUIRE(nest->rank, "operation: SORT without a loop", nest->rank, 1);
	last = nest->rank - 1;
	REQUIRE(p->chosen >= 1 && p->chosen <= nest->size[last], "operation: what SORT chooses",
		p->chosen, nest->size[last]);
	if (!check_operands(check, op, nest, types, 0) || !check_input(check, op, nest, 0, 0))
		return false;
	REQUIRE(p->positions || op->in[0].type == op->out.type,
		"operation: an operand has the wrong type", op->in[0].type, op->out.type);
	REQUIRE(op->in[0].at != op->out.at, "operation: SORT cannot work in place", op->out.at, 0);
	nsp_extent(nest, QEFF_NSP_NEST_OUT, last, &low, &high);
	REQUIRE(!__builtin_mul_overflow(nest->stride[QEFF_NSP_NEST_OUT][last],
					(int64_t)p->chosen - 1, &reach) &&
			reach < 1ll << 56 && reach > -(1ll << 56),
		"operation: its output leaves the memory", p->chosen, 1ull << 56);
	if (reach < 0)
		low += reach;
	else
		high += reach;
	return check_apart(check, nest, nest->rank, p->chosen) &&
	       check_extent(check, &op->out, low, high, true);
}

bool qeff_nsp_check_nest_op(const struct nsp_check *check, const struct qeff_nsp_op *op)
{
	const struct qeff_nsp_nest *nest;
	uint32_t index = nsp_nest_index(op);

	REQUIRE(op->domain == QEFF_NSP_ROWS_STATIC && op->rows == 1,
		"operation: a nest has no rows", op->rows, 1);
	REQUIRE(index < check->program->header->nests, "operation: no such nest", index,
		check->program->header->nests);
	nest = &check->program->nests[index];
	switch (op->code) {
	case QEFF_NSP_NEST:
		if (!check_nest_op(check, op, nest))
			return false;
		break;
	case QEFF_NSP_SORT:
		if (!check_sort(check, op, nest))
			return false;
		break;
	default:
		if (!check_pick(check, op, nest))
			return false;
	}
	REQUIRE(nsp_walk_of(nest, op).units <= UINT32_MAX, "operation: too many strips",
		nsp_walk_of(nest, op).units, UINT32_MAX);
	return true;
}
