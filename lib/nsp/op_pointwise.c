/* SPDX-License-Identifier: MIT */
/* POINTWISE: an expression over up to four operands, element by element, a strip of columns at a
 * time. */
#include "nsp/kernels.h"

#include "nsp/nsp_math.h"

#include <string.h>

#define COLUMNS 256

#define BINARY(expression)                                                                         \
	do {                                                                                       \
		for (uint32_t i = 0; i < columns; i += VF) {                                       \
			vf x = vf_load(a + i), y = vf_load(b + i);                                 \
                                                                                                   \
			vf_store(dst + i, expression);                                             \
		}                                                                                  \
	} while (0)

static void execute(const struct qeff_nsp_instruction *instruction,
		    float registers[QEFF_NSP_REGISTERS][COLUMNS], uint32_t columns)
{
	float *dst = registers[instruction->dst];
	/* a constant has no registers: any will do */
	const float *a = registers[instruction->a % QEFF_NSP_REGISTERS];
	const float *b;

	if (instruction->code == QEFF_NSP_I_FUNCTION) {
		if (dst != a)
			memcpy(dst, a, columns * sizeof(float));
		nsp_apply(instruction->b, dst, columns);
		return;
	}
	b = registers[instruction->b % QEFF_NSP_REGISTERS];
	switch (instruction->code) {
	case QEFF_NSP_I_ADD:
		BINARY(x + y);
		break;
	case QEFF_NSP_I_SUB:
		BINARY(x - y);
		break;
	case QEFF_NSP_I_MUL:
		BINARY(x * y);
		break;
	case QEFF_NSP_I_DIV:
		BINARY(x / y);
		break;
	/* NaN in either operand is NaN, as in ONNX. */
	case QEFF_NSP_I_MAX:
		BINARY(vf_select(x == x, vf_max(x, y), x));
		break;
	case QEFF_NSP_I_MIN:
		BINARY(vf_select(x == x, vf_min(x, y), x));
		break;
	case QEFF_NSP_I_POW:
		for (uint32_t i = 0; i < columns; i++)
			dst[i] = nsp_pow(a[i], b[i]);
		break;
	case QEFF_NSP_I_CONST:
		for (uint32_t i = 0; i < columns; i++)
			dst[i] = instruction->imm;
		break;
	}
}

void NSP_NAME(pointwise)(const struct nsp_run *run)
{
	const struct qeff_nsp_op *op = run->op;
	const struct qeff_nsp_pointwise_params *p = &op->u.pointwise;
	const struct qeff_nsp_instruction *code =
		run->instance->program.instructions + p->first_instruction;
	uint32_t out_size = nsp_type_bytes(op->out.type);
	float registers[QEFF_NSP_REGISTERS][COLUMNS];
	uint64_t row_bytes = (uint64_t)p->width * out_size;

	memset(registers, 0, sizeof(registers));
	for (uint32_t row = run->first; row < run->end; row++)
		for (uint32_t c = 0; c < p->width; c += COLUMNS) {
			uint32_t count = p->width - c < COLUMNS ? p->width - c : COLUMNS;

			for (int i = 0; i < 4; i++) {
				const struct qeff_nsp_operand *in = &op->in[i];
				const float *from;

				if (in->at == QEFF_NSP_NONE)
					continue;
				from = vf_widen(registers[i],
						nsp_in(run, in, row) +
							(size_t)c * nsp_type_bytes(in->type),
						in->type, count);
				if (from != registers[i])
					memcpy(registers[i], from, count * sizeof(float));
			}
			for (uint32_t i = 0; i < p->instructions; i++)
				execute(&code[i], registers, (count + VF - 1) / VF * VF);
			vf_narrow(nsp_out(run, row) + (size_t)c * out_size, op->out.type,
				  registers[code[p->instructions - 1].dst], count);
		}
	for (int i = 0; i < 4; i++)
		if (op->in[i].at != QEFF_NSP_NONE)
			row_bytes += (uint64_t)p->width * nsp_type_bytes(op->in[i].type);
	run->counters->bytes += (run->end - run->first) * row_bytes;
}
