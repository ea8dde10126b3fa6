/* SPDX-License-Identifier: MIT */
/* What the host adds to the executor: the choice of kernels, sentences, whole inferences on a pool.
 */
#ifndef QEFF_NSP_HOST_HOST_H
#define QEFF_NSP_HOST_HOST_H

#include "nsp/exec.h"
#include "util/error.h"

/* The kernels for this CPU, chosen once; the environment's QEFF_ISA (avx512bf16, avx512, avx2,
 * portable) forces one that the CPU has. @err tells if QEFF_ISA names none of them: then NULL. */
const struct qeff_nsp_kernels *qeff_nsp_host_kernels(struct qeff_error *err);
const struct qeff_nsp_kernels *
qeff_nsp_kernels_named(const char *isa); /* NULL: unknown, or not on this CPU */
const char *qeff_nsp_kernels_name(const struct qeff_nsp_kernels *kernels);

/* qeff_nsp_validate() with a sentence; -EINVAL. @what names the package. */
int qeff_nsp_host_validate(const void *constants, uint64_t constants_bytes, const char *what,
			   struct qeff_nsp_program *program, struct qeff_error *err);

/* One inference in the calling thread, NSP after NSP; @scratch as in qeff_nsp_phase(). With
 * @poison, the arena check of the design page, using @shadow: arena bytes of room. For tools and
 * tests; the card has its pool. */
enum qeff_nsp_fault qeff_nsp_host_run(struct qeff_nsp_instance *instance, void *scratch,
				      uint8_t *shadow);

#define QEFF_NSP_POISON 0xff /* the pattern's byte: NaN in every float type */

/* The poison check around one phase: call before and after; @shadow holds the arena's size in
 * bytes. The fault it records names the phase in place of the operation. */
void qeff_nsp_poison_before(struct qeff_nsp_instance *instance, uint32_t phase, uint8_t *shadow);
void qeff_nsp_poison_after(struct qeff_nsp_instance *instance, uint32_t phase, uint8_t *shadow);

#endif
