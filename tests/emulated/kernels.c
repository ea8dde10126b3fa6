/* SPDX-License-Identifier: MIT */
/* In place of lib/nsp/host/kernels.c: the AVX-512 tables are emulated ones, which every CPU runs.
 */
#include "nsp/host/host.h"

#include "nsp/kernels.h"

#include <stdlib.h>
#include <string.h>

extern const struct qeff_nsp_kernels qeff_nsp_kernels_portable;
extern const struct qeff_nsp_kernels qeff_nsp_kernels_avx2;
extern const struct qeff_nsp_kernels qeff_nsp_kernels_avx512;
extern const struct qeff_nsp_kernels qeff_nsp_kernels_avx512bf16;

const struct qeff_nsp_kernels *qeff_nsp_kernels_named(const char *isa)
{
	if (!strcmp(isa, "avx512bf16"))
		return &qeff_nsp_kernels_avx512bf16;
	if (!strcmp(isa, "avx512"))
		return &qeff_nsp_kernels_avx512;
	if (!strcmp(isa, "avx2") && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
		return &qeff_nsp_kernels_avx2;
	return strcmp(isa, "portable") ? NULL : &qeff_nsp_kernels_portable;
}

const struct qeff_nsp_kernels *qeff_nsp_host_kernels(struct qeff_error *err)
{
	const char *isa = getenv("QEFF_ISA");
	const struct qeff_nsp_kernels *kernels =
		qeff_nsp_kernels_named(isa && *isa ? isa : "avx512bf16");

	if (!kernels)
		qeff_error_set(err, -EINVAL, "QEFF_ISA=%s: no such instruction set", isa);
	return kernels;
}

const char *qeff_nsp_kernels_name(const struct qeff_nsp_kernels *kernels)
{
	return kernels->name;
}
