/* SPDX-License-Identifier: MIT */
/* Which kernels this CPU runs, and which ones the person asked for. */
#include "nsp/host/host.h"

#include "nsp/kernels.h"

#ifdef QEFF_NSP_X86
#include <cpuid.h>
#endif
#include <stdlib.h>
#include <string.h>

extern const struct qeff_nsp_kernels qeff_nsp_kernels_portable;
#ifdef QEFF_NSP_X86
extern const struct qeff_nsp_kernels qeff_nsp_kernels_avx2;
extern const struct qeff_nsp_kernels qeff_nsp_kernels_avx512;
extern const struct qeff_nsp_kernels qeff_nsp_kernels_avx512bf16;

/* Not every compiler that builds this knows the feature's name. */
static bool has_f16c(void)
{
	unsigned int a, b, c, d;

	return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
}

static bool has_avx2(void)
{
	return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
}

static bool has_avx512(void)
{
	return has_avx2() && __builtin_cpu_supports("avx512f") &&
	       __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
	       __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni");
}

static bool has_avx512bf16(void)
{
	return has_avx512() && __builtin_cpu_supports("avx512bf16");
}
#endif

static bool always(void)
{
	return true;
}

/* Best first. */
static const struct {
	const struct qeff_nsp_kernels *kernels;
	bool (*runs)(void);
} choices[] = {
#ifdef QEFF_NSP_X86
	{ &qeff_nsp_kernels_avx512bf16, has_avx512bf16 },
	{ &qeff_nsp_kernels_avx512, has_avx512 },
	{ &qeff_nsp_kernels_avx2, has_avx2 },
#endif
	{ &qeff_nsp_kernels_portable, always },
};

#define CHOICES (sizeof(choices) / sizeof(choices[0]))

const struct qeff_nsp_kernels *qeff_nsp_kernels_named(const char *isa)
{
	for (size_t i = 0; i < CHOICES; i++)
		if (!strcmp(choices[i].kernels->name, isa))
			return choices[i].runs() ? choices[i].kernels : NULL;
	return NULL;
}

const struct qeff_nsp_kernels *qeff_nsp_host_kernels(struct qeff_error *err)
{
	const char *isa = getenv("QEFF_ISA");
	const struct qeff_nsp_kernels *kernels;

	if (isa && *isa) {
		kernels = qeff_nsp_kernels_named(isa);
		if (!kernels)
			qeff_error_set(err, -EINVAL,
				       "QEFF_ISA=%s: this CPU has no such instruction set (known: "
				       "avx512bf16, avx512, avx2, portable)",
				       isa);
		return kernels;
	}
	for (size_t i = 0; i < CHOICES; i++)
		if (choices[i].runs())
			return choices[i].kernels;
	return NULL;
}

const char *qeff_nsp_kernels_name(const struct qeff_nsp_kernels *kernels)
{
	return kernels->name;
}
