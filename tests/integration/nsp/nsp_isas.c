/* SPDX-License-Identifier: MIT */
/*
 * The same program bytes give the same result bits on every instruction set.
 *
 * Usage: nsp_isas avx2|avx512         against portable, in this process
 *        nsp_isas hexagon QEMU ELF    against portable, under an emulator
 *
 * The program is an encoder whose matrix products are int8; everything else in it rounds operation
 * by operation, so all of its memory must agree, statistics included. A program with every
 * operation must agree where floats are multiplied and added alike: Hexagon with portable code in
 * two steps, AVX-512 with AVX2 in one.
 */
#include "../../unit/nsp_dense.h"
#include "../../unit/nsp_everything.h"

#include "util/file.h"

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#define SKIP	77
#define ROWS	9
#define WIDTH	200
#define HIDDEN	330
#define ENTRIES 64

/* One inference without a clock; returns a copy of DDR afterwards. */
static uint8_t *run_here(const uint8_t *constants, size_t bytes, const uint8_t *ddr,
			 const char *isa)
{
	struct nsp_machine m;
	uint8_t *copy = nsp_aligned(bytes), *after;
	uint32_t phases;

	memcpy(copy, constants, bytes);
	nsp_load(&m, copy, bytes, qeff_nsp_kernels_named(isa));
	memcpy(m.ddr, ddr, m.program.header->ddr_bytes);
	phases = qeff_nsp_begin(m.instance);
	for (uint32_t phase = 0; phase < phases; phase++)
		for (uint32_t nsp = 0; nsp < m.program.header->nsps; nsp++)
			qeff_nsp_phase(m.instance, phase, nsp, m.scratch);
	nsp_builder_require(!qeff_nsp_end(m.instance, 0), "a fault");
	after = m.ddr;
	m.ddr = NULL;
	nsp_unload(&m);
	return after;
}

extern char **environ;

static int spawn(const char *qemu, const char *elf, char paths[3][64])
{
	char *argv[] = { (char *)qemu, "-cpu",	 "v67",	   (char *)elf,
			 paths[0],     paths[1], paths[2], NULL };
	pid_t child;
	int status;

	if (posix_spawn(&child, qemu, NULL, NULL, argv, environ) ||
	    waitpid(child, &status, 0) != child)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

static uint8_t *run_on_hexagon(const uint8_t *constants, size_t bytes, const uint8_t *ddr,
			       size_t ddr_bytes, const char *qemu, const char *elf)
{
	char folder[] = "/tmp/qeff-nsp-XXXXXX", paths[3][64];
	static const char *const names[] = { "constants", "ddr", "after" };
	uint8_t *after = nsp_aligned(ddr_bytes);
	struct qeff_map map = { 0 };
	int status;

	nsp_builder_require(mkdtemp(folder), "no temporary folder");
	for (int i = 0; i < 3; i++)
		snprintf(paths[i], sizeof(paths[i]), "%s/%s", folder, names[i]);
	nsp_builder_require(!qeff_write_file(paths[0], constants, bytes, NULL) &&
				    !qeff_write_file(paths[1], ddr, ddr_bytes, NULL),
			    "cannot write the inputs");
	status = spawn(qemu, elf, paths);
	if (status)
		fprintf(stderr, "nsp_isas: %s ended with status %d\n", elf, status);
	nsp_builder_require(!status && !qeff_map_open(&map, paths[2], NULL) &&
				    map.size_bytes == ddr_bytes,
			    "no result from Hexagon");
	memcpy(after, map.data, ddr_bytes);
	qeff_map_close(&map);
	for (int i = 0; i < 3; i++)
		unlink(paths[i]);
	rmdir(folder);
	return after;
}

static struct qeff_nsp_operand matmul(struct every *e, struct qeff_nsp_operand x, uint32_t inputs,
				      uint32_t outputs, uint32_t group, uint8_t function)
{
	struct qeff_nsp_op op = nsp_op_of(QEFF_NSP_MATMUL, QEFF_NSP_ROWS_TOKENS, ROWS);
	float *w = nsp_randoms(&e->seed, (size_t)inputs * outputs);
	uint64_t data = nsp_weights(&e->b, QEFF_NSP_I8, w, outputs, inputs, group);

	free(w);
	op.in[0] = x;
	op.in[1] = nsp_rows(every_randoms(e, outputs), 0, QEFF_NSP_F32);
	op.out = nsp_f32(nsp_arena(&e->b, ROWS * outputs * 4), outputs);
	op.u.matmul = (struct qeff_nsp_matmul_params){ .inputs = inputs,
						       .outputs = outputs,
						       .scale_group = group,
						       .weight_type = QEFF_NSP_I8,
						       .function = function };
	nsp_phase(&e->b);
	nsp_share(&e->b, nsp_op(&e->b, &op), outputs, 32, data,
		  qeff_nsp_panel_bytes(QEFF_NSP_I8, inputs, group));
	return op.out;
}

/* Functions that no epilogue of the encoder uses. */
static void pointwise(struct every *e, struct qeff_nsp_operand x, uint32_t width)
{
	static const struct qeff_nsp_instruction code[] = {
		{ QEFF_NSP_I_FUNCTION, 1, 0, QEFF_NSP_ERF, 0 },
		{ QEFF_NSP_I_FUNCTION, 2, 0, QEFF_NSP_GELU_TANH, 0 },
		{ QEFF_NSP_I_ADD, 1, 1, 2, 0 },
		{ QEFF_NSP_I_FUNCTION, 2, 0, QEFF_NSP_EXP, 0 },
		{ QEFF_NSP_I_FUNCTION, 3, 2, QEFF_NSP_LOG, 0 },
		{ QEFF_NSP_I_FUNCTION, 4, 2, QEFF_NSP_SQRT, 0 },
		{ QEFF_NSP_I_DIV, 3, 3, 4, 0 },
		{ QEFF_NSP_I_POW, 4, 2, 1, 0 },
		{ QEFF_NSP_I_MIN, 4, 4, 2, 0 },
		{ QEFF_NSP_I_FUNCTION, 5, 0, QEFF_NSP_SIGMOID, 0 },
		{ QEFF_NSP_I_SUB, 3, 3, 5, 0 },
		{ QEFF_NSP_I_MUL, 3, 3, 4, 0 },
		{ QEFF_NSP_I_ADD, 0, 0, 3, 0 },
	};
	struct qeff_nsp_op op = nsp_op_of(QEFF_NSP_POINTWISE, QEFF_NSP_ROWS_TOKENS, ROWS);

	op.in[0] = x;
	op.out = x;
	op.u.pointwise = (struct qeff_nsp_pointwise_params){
		.width = width, .instructions = sizeof(code) / sizeof(code[0])
	};
	qeff_bytes_append(&e->b.instructions, code, sizeof(code));
	nsp_phase(&e->b);
	nsp_share_rows(&e->b, nsp_op(&e->b, &op), 0, QEFF_NSP_NONE, 2);
}

static uint8_t *encoder(struct every *e, size_t *bytes)
{
	struct qeff_nsp_op op = nsp_op_of(QEFF_NSP_GATHER, QEFF_NSP_ROWS_TOKENS, ROWS);
	struct qeff_nsp_operand x;

	memset(e, 0, sizeof(*e));
	nsp_builder_init(&e->b, 3);
	nsp_spec(&e->b, 1, ROWS, 16, 1);
	e->positions = nsp_io(&e->b, ROWS * 8);
	e->ids = nsp_io(&e->b, ROWS * 8);
	nsp_rows_phase(&e->b, 1, ROWS, e->positions, QEFF_NSP_NONE, false);
	op.in[0] = nsp_rows(e->ids, ROWS * 8, QEFF_NSP_I64);
	op.in[1] = nsp_f32(every_randoms(e, ENTRIES * WIDTH), WIDTH);
	op.out = nsp_f32(nsp_arena(&e->b, ROWS * WIDTH * 4), WIDTH);
	op.u.gather =
		(struct qeff_nsp_gather_params){ .entries = ENTRIES, .width = WIDTH, .scale = 3 };
	nsp_phase(&e->b);
	nsp_share(&e->b, nsp_op(&e->b, &op), ENTRIES, 1, QEFF_NSP_NONE, 0);
	x = op.out;
	op = nsp_op_of(QEFF_NSP_NORM, QEFF_NSP_ROWS_TOKENS, ROWS);
	op.in[0] = x;
	op.out = x;
	op.u.norm = (struct qeff_nsp_norm_params){
		.width = WIDTH, .groups = 1, .epsilon = 1e-6f, .kind = QEFF_NSP_NORM_LAYER
	};
	nsp_phase(&e->b);
	nsp_share_rows(&e->b, nsp_op(&e->b, &op), 0, QEFF_NSP_NONE, 2);
	x = matmul(e, x, WIDTH, HIDDEN, 32, QEFF_NSP_SILU);
	pointwise(e, x, HIDDEN);
	x = matmul(e, x, HIDDEN, WIDTH, 128, QEFF_NSP_GELU_ERF);
	x = matmul(e, x, WIDTH, 70, 224, QEFF_NSP_TANH);
	op = nsp_op_of(QEFF_NSP_REDUCE, QEFF_NSP_ROWS_SEGMENTS, 1);
	op.in[0] = x;
	op.out = nsp_f32(nsp_io(&e->b, 70 * 4), 70);
	op.u.reduce.width = 70;
	nsp_phase(&e->b);
	nsp_share_rows(&e->b, nsp_op(&e->b, &op), 0, QEFF_NSP_NONE, 1);
	return nsp_layout(&e->b, bytes);
}

static int differ(const char *what, const uint8_t *a, const uint8_t *b, size_t bytes)
{
	size_t changed = 0;

	for (size_t i = 0; i < bytes; i++) {
		if (a[i] != b[i]) {
			fprintf(stderr, "nsp_isas: %s: DDR differs at offset %zu\n", what, i);
			return 1;
		}
		changed += a[i] != 0;
	}
	printf("%s: %zu bytes equal, %zu of them not zero\n", what, bytes, changed);
	return 0;
}

/* @argv: as main()'s, from the instruction set on. */
static int check(const char *what, uint8_t *constants, size_t bytes, uint8_t *ddr,
		 const char *against, char **argv)
{
	size_t ddr_bytes = NSP_BUILDER_DDR;
	uint8_t *want = run_here(constants, bytes, ddr, against), *got;
	int status;

	if (!strcmp(argv[0], "hexagon"))
		got = run_on_hexagon(constants, bytes, ddr, ddr_bytes, argv[1], argv[2]);
	else
		got = run_here(constants, bytes, ddr, argv[0]);
	status = differ(what, want, got, ddr_bytes);
	free(constants);
	free(ddr);
	free(want);
	free(got);
	return status;
}

static int check_encoder(char **argv)
{
	uint8_t *ddr = nsp_aligned(NSP_BUILDER_DDR), *constants;
	struct every e;
	size_t bytes;

	constants = encoder(&e, &bytes);
	for (int i = 0; i < ROWS; i++) {
		((int64_t *)(ddr + QEFF_NSP_REF_OFFSET(e.positions)))[i] = i == 4 ? -1 : i;
		((int64_t *)(ddr + QEFF_NSP_REF_OFFSET(e.ids)))[i] = i * 7;
	}
	return check("int8 encoder", constants, bytes, ddr, "portable", argv);
}

static int check_everything(const char *against, char **argv)
{
	struct nsp_machine m = { .ddr = nsp_aligned(NSP_BUILDER_DDR) };
	struct every e;
	size_t bytes;
	uint8_t *constants = every_layout(&e, &bytes);

	every_inputs(&e, &m);
	return check("every operation", constants, bytes, m.ddr, against, argv);
}

/* Nests round operation by operation, in every class of numbers. */
static int check_dense(char **argv)
{
	static const char *const names[] = { "nests in f32", "nests in f64", "nests in i64",
					     "nests in u64" };

	for (uint32_t number = 0; number < QEFF_NSP_NUMBERS; number++) {
		uint8_t *ddr = nsp_aligned(NSP_BUILDER_DDR), *constants;
		struct dense_all d;
		size_t bytes;

		constants = dense_layout(&d, 1u << number, &bytes);
		dense_inputs(&d, ddr);
		if (check(names[number], constants, bytes, ddr, "portable", argv))
			return 1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	bool hexagon = argc == 4 && !strcmp(argv[1], "hexagon");

	if (argc == 2 && !strcmp(argv[1], "hexagon")) {
		printf("skipped: needs clang and lld with the Hexagon target, and qemu-hexagon\n");
		return SKIP;
	}
	if (!hexagon && argc != 2)
		return 1;
	if (!hexagon && !qeff_nsp_kernels_named(argv[1])) {
		printf("skipped: this CPU has no %s\n", argv[1]);
		return SKIP;
	}
	if (check_encoder(argv + 1) || check_dense(argv + 1))
		return 1;
	if (hexagon)
		return check_everything("portable", argv + 1);
	return !strcmp(argv[1], "avx512") && check_everything("avx2", argv + 1);
}
