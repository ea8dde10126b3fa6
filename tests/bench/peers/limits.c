/* SPDX-License-Identifier: MIT */
/*
 * What this machine could do at best: bytes read from memory per second, and products per second of
 * the instructions that the kernels use, on a number of threads at once. For each line on standard
 * input, measures once and prints a line of JSON. QEFF_BENCH_CLOCK as in the other workers.
 *
 * Usage: bench_limits THREADS
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#ifdef __x86_64__
#include <immintrin.h>
#endif

#define MAX_THREADS  64
#define REGION_BYTES (128u << 20) /* per thread; far more than a cache holds */
#define REPEATS	     2000000L
#define CHAINS	     12 /* independent sums, enough to hide the latency of one */

/* One of the things measured: @run returns what the thread got done, in bytes or operations. */
struct limit {
	const char *name;
	double (*run)(const char *region);
};

struct thread {
	pthread_t id;
	pthread_barrier_t *barrier;
	const struct limit *limits;
	const char *region;
	double done;
};

static volatile float sink;
static clockid_t clock_id = CLOCK_MONOTONIC;

__attribute__((optimize("O3"))) static double read_memory(const char *region)
{
	typedef uint64_t vector __attribute__((vector_size(32), may_alias));
	const vector *memory = (const vector *)region;
	const size_t half = REGION_BYTES / sizeof(vector) / 2;
	vector sum[8] = { 0 };

	/* two streams: one prefetcher does not fill the bus */
	for (size_t i = 0; i < half; i += 4)
		for (size_t k = 0; k < 4; k++) {
			sum[k] += memory[i + k];
			sum[4 + k] += memory[half + i + k];
		}
	for (int k = 1; k < 8; k++)
		sum[0] += sum[k];
	sink = (float)sum[0][0];
	return REGION_BYTES;
}

#ifdef __x86_64__
/* Twelve sums in registers of their own; an empty asm keeps the compiler from folding or dropping
 * them. */
#define EACH(do)                                                                                   \
	do                                                                                         \
	(0) do(1) do(2) do(3) do(4) do(5) do(6) do(7) do(8) do(9) do(10) do(11)
#define PEAK(name, isa, letter, type, sum_type, zero, sum_zero, step, operations)                  \
	__attribute__((target(isa), optimize("O2"))) static double name(const char *region)        \
	{                                                                                          \
		type a = zero(), b = zero();                                                       \
		sum_type s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11;                         \
                                                                                                   \
		s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = s8 = s9 = s10 = s11 = sum_zero();          \
		__asm__ volatile("" : "+" letter(a), "+" letter(b));                               \
		for (long n = 0; n < REPEATS; n++) {                                               \
			EACH(step)                                                                 \
		}                                                                                  \
		return (double)REPEATS * CHAINS * (operations);                                    \
	}

#define KEEP(letter, i) __asm__ volatile("" : "+" letter(s##i));
#define FMA_AVX2(i)                                                                                \
	s##i = _mm256_fmadd_ps(a, b, s##i);                                                        \
	KEEP("x", i)
/* a is "changed" each time, or one product would do for all */
#define INT8_AVX2(i)                                                                               \
	__asm__ volatile("" : "+x"(a));                                                            \
	s##i = _mm256_add_epi32(s##i, _mm256_madd_epi16(_mm256_maddubs_epi16(a, b), b));           \
	KEEP("x", i)
#define FMA_AVX512(i)                                                                              \
	s##i = _mm512_fmadd_ps(a, b, s##i);                                                        \
	KEEP("v", i)
#define BF16_AVX512(i)                                                                             \
	s##i = _mm512_dpbf16_ps(s##i, (__m512bh)a, (__m512bh)b);                                   \
	KEEP("v", i)
#define INT8_AVX512(i)                                                                             \
	s##i = _mm512_dpbusd_epi32(s##i, a, b);                                                    \
	KEEP("v", i)
PEAK(fma_avx2, "avx2,fma", "x", __m256, __m256, _mm256_setzero_ps, _mm256_setzero_ps, FMA_AVX2, 16)
PEAK(int8_avx2, "avx2", "x", __m256i, __m256i, _mm256_setzero_si256, _mm256_setzero_si256,
     INT8_AVX2, 64)
PEAK(fma_avx512, "avx512f", "v", __m512, __m512, _mm512_setzero_ps, _mm512_setzero_ps, FMA_AVX512,
     32)
PEAK(bf16_avx512, "avx512f,avx512bf16", "v", __m512, __m512, _mm512_setzero_ps, _mm512_setzero_ps,
     BF16_AVX512, 64)
PEAK(int8_avx512, "avx512f,avx512vnni", "v", __m512i, __m512i, _mm512_setzero_si512,
     _mm512_setzero_si512, INT8_AVX512, 128)
#endif

static double now(void)
{
	struct timespec t;

	clock_gettime(clock_id, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void *work(void *argument)
{
	struct thread *thread = argument;

	pthread_barrier_wait(thread->barrier);
	thread->done = thread->limits->run(thread->region);
	return NULL;
}

/* Per second, all threads together. */
static double measure(const struct limit *limit, struct thread *threads, int count)
{
	pthread_barrier_t barrier;
	double start, total = 0;

	pthread_barrier_init(&barrier, NULL, (unsigned int)count + 1);
	for (int i = 0; i < count; i++) {
		threads[i].barrier = &barrier;
		threads[i].limits = limit;
		if (pthread_create(&threads[i].id, NULL, work, &threads[i]))
			exit(EXIT_FAILURE);
	}
	/* before the barrier opens: where a CPU is missing, this thread wakes too late to tell */
	start = now();
	pthread_barrier_wait(&barrier);
	for (int i = 0; i < count; i++) {
		pthread_join(threads[i].id, NULL);
		total += threads[i].done;
	}
	total /= now() - start;
	pthread_barrier_destroy(&barrier);
	return total;
}

int main(int argc, char **argv)
{
	struct limit limits[4] = { { "read_bytes", read_memory } };
	int count = argc == 2 ? atoi(argv[1]) : 0, n = 1;
	static struct thread threads[MAX_THREADS];
	char line[64];

	if (getenv("QEFF_BENCH_CLOCK") && !strcmp(getenv("QEFF_BENCH_CLOCK"), "cpu"))
		clock_id = CLOCK_PROCESS_CPUTIME_ID;
	if (count < 1 || count > MAX_THREADS) {
		fprintf(stderr, "usage: %s THREADS (1 to %d)\n", argv[0], MAX_THREADS);
		return EXIT_FAILURE;
	}
	for (int i = 0; i < count; i++) {
		char *region = aligned_alloc(4096, REGION_BYTES);

		if (!region)
			return EXIT_FAILURE;
		memset(region, 1, REGION_BYTES);
		threads[i].region = region;
	}
#ifdef __x86_64__
	__builtin_cpu_init();
	if (__builtin_cpu_supports("avx512f"))
		limits[n++] = (struct limit){ "fma_ops", fma_avx512 };
	else if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
		limits[n++] = (struct limit){ "fma_ops", fma_avx2 };
	if (__builtin_cpu_supports("avx512bf16"))
		limits[n++] = (struct limit){ "bf16_ops", bf16_avx512 };
	if (__builtin_cpu_supports("avx512vnni"))
		limits[n++] = (struct limit){ "int8_ops", int8_avx512 };
	else if (__builtin_cpu_supports("avx2"))
		limits[n++] = (struct limit){ "int8_ops", int8_avx2 };
#endif
	puts("{}");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		for (int i = 0; i < n; i++)
			printf("%s\"%s\": %.6g", i ? ", " : "{", limits[i].name,
			       measure(&limits[i], threads, count));
		puts("}");
		fflush(stdout);
	}
	for (int i = 0; i < count; i++)
		free((void *)threads[i].region);
	return EXIT_SUCCESS;
}
