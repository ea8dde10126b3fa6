/* SPDX-License-Identifier: MIT */
/*
 * How close the kernels come to this machine, in one thread: float products against the fused
 * multiply-adds it can issue, single rows against the bytes it can read, both measured in the same
 * run.
 *
 * Usage: bench_nsp [ISA [WORKLOAD]]   (f32, bf16, int8, attention: that one, once, and nothing
 * else; counts.sh counts its instructions)
 */
#include "../unit/nsp_builder.h"

#include <time.h>

#define RUNS 7

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
	return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static int compare(const void *a, const void *b)
{
	return *(const double *)a < *(const double *)b ? -1 : 1;
}

static double median(double *times)
{
	qsort(times, RUNS, sizeof(*times), compare);
	return times[RUNS / 2];
}

/* A limit is the best that was seen. */
static double least(double *times)
{
	median(times);
	return times[0];
}

/* Twelve independent chains of multiply-adds, enough to hide their latency. */
#define PEAK_FUNCTION(name, bytes)                                                                 \
	static __attribute__((noinline)) float name(long count)                                    \
	{                                                                                          \
		typedef float vector __attribute__((vector_size(bytes)));                          \
		vector sum[12] = { 0 }, factor = (vector){ 0 } + 0.999f;                           \
		float total = 0;                                                                   \
                                                                                                   \
		for (int i = 0; i < 12; i++)                                                       \
			sum[i] += (float)i;                                                        \
		for (long n = 0; n < count; n++)                                                   \
			for (int i = 0; i < 12; i++)                                               \
				sum[i] = sum[i] * factor + factor;                                 \
		for (int i = 0; i < 12; i++)                                                       \
			total += sum[i][0];                                                        \
		return total;                                                                      \
	}

#pragma GCC push_options
#pragma GCC optimize("O3", "fp-contract=fast")
PEAK_FUNCTION(peak_portable, 16)
#ifdef __x86_64__
#pragma GCC push_options
#pragma GCC target("avx2,fma")
PEAK_FUNCTION(peak_avx2, 32)
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("avx512f")
PEAK_FUNCTION(peak_avx512, 64)
#pragma GCC pop_options
#endif
#pragma GCC pop_options

static volatile float sink;
static bool once;

/* Multiply-adds per second of one thread. */
static double peak_macs(const char *isa)
{
	const long count = 20000000;
	float (*function)(long) = peak_portable;
	double times[RUNS], lanes = 4;

#ifdef __x86_64__
	if (!strcmp(isa, "avx2")) {
		function = peak_avx2;
		lanes = 8;
	} else if (!strcmp(isa, "avx512")) {
		function = peak_avx512;
		lanes = 16;
	}
#endif
	for (int i = 0; i < RUNS; i++) {
		double start = now();

		sink = function(count);
		times[i] = now() - start;
	}
	return (double)count * 12 * lanes / least(times);
}

/* Bytes per second that one thread reads from memory, walking it at one, two and four places at
 * once. */
static __attribute__((optimize("O3"))) double peak_bytes(void)
{
	typedef uint64_t vector __attribute__((vector_size(32)));
	const size_t count = (256u << 20) / sizeof(vector);
	vector *memory = nsp_aligned(count * sizeof(vector)), sum[4] = { 0 };
	double times[RUNS], best = 1e9;

	memset(memory, 1, count * sizeof(vector));
	for (size_t places = 1; places <= 4; places *= 2) {
		for (int i = 0; i < RUNS; i++) {
			double start = now();

			for (size_t j = 0; j < count / places; j += 4)
				for (size_t place = 0; place < places; place++)
					for (int k = 0; k < 4; k++)
						sum[k] += memory[place * (count / places) + j + k];
			times[i] = now() - start;
			sink = (float)(sum[0] + sum[1] + sum[2] + sum[3])[0];
		}
		best = least(times) < best ? least(times) : best;
	}
	free(memory);
	return (double)count * sizeof(vector) / best;
}

static double run(struct nsp_machine *m)
{
	double times[RUNS];

	for (int i = once ? RUNS - 1 : -1; i < RUNS; i++) {
		double start = now();

		nsp_builder_require(!qeff_nsp_host_run(m->instance, m->scratch, NULL), "a fault");
		if (i >= 0)
			times[i] = now() - start;
	}
	return once ? times[RUNS - 1] : median(times);
}

static void report(const char *name, double seconds, double macs, double bytes, double peak,
		   double bandwidth)
{
	printf("%-36s %9.3f ms %8.1f GFLOP/s %5.1f %% of FMA peak %7.1f GB/s %5.1f %% of read\n",
	       name, seconds * 1e3, 2e-9 * macs / seconds, 100 * macs / seconds / peak,
	       1e-9 * bytes / seconds, 100 * bytes / seconds / bandwidth);
}

static void start(struct nsp_builder *b, uint32_t rows, uint32_t positions)
{
	nsp_builder_init(b, 1);
	b->header.ddr_bytes = 64u << 20;
	nsp_spec(b, 1, rows, positions, 1);
	nsp_rows_phase(b, 1, rows, nsp_io(b, rows * 8ull), QEFF_NSP_NONE, false);
	nsp_phase(b);
}

static void bench_matmul(const struct qeff_nsp_kernels *kernels, enum qeff_nsp_type type,
			 uint32_t rows, uint32_t inputs, uint32_t outputs, double peak,
			 double bandwidth)
{
	static const char *const names[] = { "f32", "f16", "bf16", "int8" };
	struct qeff_nsp_op op = nsp_op_of(QEFF_NSP_MATMUL, QEFF_NSP_ROWS_STATIC, rows);
	uint32_t group = type == QEFF_NSP_I8 ? 32 : 0, seed = 1;
	float *w = nsp_randoms(&seed, (size_t)inputs * outputs);
	struct nsp_builder b;
	struct nsp_machine m;
	char name[64];
	uint64_t data;

	start(&b, 1, 1);
	data = nsp_weights(&b, type, w, outputs, inputs, group);
	free(w);
	op.in[0] = nsp_f32(nsp_arena(&b, rows * inputs * 4ull), inputs);
	op.out = nsp_f32(nsp_arena(&b, rows * outputs * 4ull), outputs);
	op.u.matmul = (struct qeff_nsp_matmul_params){
		.inputs = inputs, .outputs = outputs, .scale_group = group, .weight_type = type
	};
	nsp_whole(&b, nsp_op(&b, &op), outputs, data);
	nsp_build(&m, &b, kernels);
	for (uint32_t i = 0; i < rows * inputs; i++)
		((float *)nsp_ddr(&m, op.in[0].at))[i] = nsp_random(&seed);
	snprintf(name, sizeof(name), "%s %u x %u x %u", names[type], rows, inputs, outputs);
	report(name, run(&m), (double)rows * inputs * outputs,
	       (double)qeff_nsp_panel_bytes(type, inputs, group) * ((outputs + 31) / 32), peak,
	       bandwidth);
	nsp_unload(&m);
}

/* @rows queries at the end of a context of @positions, 12 heads of 64 over @kv_heads. */
static void bench_attention(const struct qeff_nsp_kernels *kernels, uint32_t rows,
			    uint32_t positions, uint32_t kv_heads, double peak, double bandwidth)
{
	struct qeff_nsp_op op = nsp_op_of(QEFF_NSP_ATTENTION, QEFF_NSP_ROWS_TOKENS, rows);
	struct qeff_nsp_state state = { .slots = 1,
					.positions = positions,
					.position_stride = 64 * 4,
					.head_stride = positions * 64 * 4 };
	struct nsp_builder b;
	struct nsp_machine m;
	double macs;
	uint32_t seed = 3;
	char name[64];

	start(&b, rows, positions);
	b.header.arena_offset = 48u << 20;
	b.arena = b.header.arena_offset;
	op.in[0] = nsp_f32(nsp_arena(&b, rows * 768 * 4ull), 768);
	op.out = nsp_f32(nsp_arena(&b, rows * 768 * 4ull), 768);
	state.at = QEFF_NSP_REF(QEFF_NSP_DDR, NSP_BUILDER_STATE);
	op.u.attention = (struct qeff_nsp_attention_params){ .key = state,
							     .value = state,
							     .heads = 12,
							     .kv_heads = kv_heads,
							     .head_dim = 64,
							     .value_dim = 64,
							     .scale = 0.125f,
							     .from_state = 1 };
	op.u.attention.value.at += (uint64_t)kv_heads * positions * 64 * 4;
	nsp_whole(&b, nsp_op(&b, &op), 12, QEFF_NSP_NONE);
	nsp_build(&m, &b, kernels);
	for (uint32_t i = 0; i < rows; i++)
		((int64_t *)nsp_ddr(&m, 512))[i] = positions - rows + i;
	for (uint32_t i = 0; i < kv_heads * positions * 128; i++)
		((float *)nsp_ddr(&m, state.at))[i] = nsp_random(&seed);
	for (uint32_t i = 0; i < rows * 768; i++)
		((float *)nsp_ddr(&m, op.in[0].at))[i] = nsp_random(&seed);
	snprintf(name, sizeof(name), "attention %u of %u, %u KV heads", rows, positions, kv_heads);
	run(&m);
	macs = (double)nsp_stats(&m)->nsp[0].macs;
	report(name, run(&m), macs, (double)kv_heads * positions * 128 * 4, peak, bandwidth);
	nsp_unload(&m);
}

int main(int argc, char **argv)
{
	struct qeff_error err;
	const struct qeff_nsp_kernels *kernels =
		argc > 1 ? qeff_nsp_kernels_named(argv[1]) : qeff_nsp_host_kernels(&err);
	const char *workload = argc > 2 ? argv[2] : NULL;
	double peak, bandwidth;

	if (!kernels) {
		fprintf(stderr, "bench_nsp: %s\n",
			argc > 1 ? "no such instruction set" : err.message);
		return 1;
	}
	once = workload;
	if (once) {
		if (!strcmp(workload, "attention"))
			bench_attention(kernels, 128, 1024, 4, 1, 1);
		else
			bench_matmul(kernels,
				     !strcmp(workload, "f32")	 ? QEFF_NSP_F32
				     : !strcmp(workload, "bf16") ? QEFF_NSP_BF16
								 : QEFF_NSP_I8,
				     128, 768, 3072, 1, 1);
		return 0;
	}
	peak = peak_macs(qeff_nsp_kernels_name(kernels));
	bandwidth = peak_bytes();
	printf("%s, one thread: %.1f GFLOP/s multiply-add, %.1f GB/s read\n",
	       qeff_nsp_kernels_name(kernels), 2e-9 * peak, 1e-9 * bandwidth);
	for (enum qeff_nsp_type type = QEFF_NSP_F32; type <= QEFF_NSP_I8; type++) {
		bench_matmul(kernels, type, 1, 4096, 8192, peak, bandwidth);
		bench_matmul(kernels, type, 8, 4096, 4096, peak, bandwidth);
		bench_matmul(kernels, type, 128, 768, 3072, peak, bandwidth);
		bench_matmul(kernels, type, 128, 3072, 768, peak, bandwidth);
	}
	bench_attention(kernels, 1, 1024, 12, peak, bandwidth);
	bench_attention(kernels, 1, 4096, 12, peak, bandwidth);
	bench_attention(kernels, 1, 4096, 4, peak, bandwidth);
	bench_attention(kernels, 128, 128, 12, peak, bandwidth);
	bench_attention(kernels, 128, 1024, 4, peak, bandwidth);
	return 0;
}
