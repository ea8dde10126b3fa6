/* SPDX-License-Identifier: MIT */
/* Validation with a sentence, and whole inferences in one thread. */
#include "nsp/host/host.h"

#include "nsp/kernels.h"

#include <string.h>
#include <time.h>

int qeff_nsp_host_validate(const void *constants, uint64_t constants_bytes, const char *what,
			   struct qeff_nsp_program *program, struct qeff_error *err)
{
	struct qeff_nsp_problem problem;

	if (qeff_nsp_validate(constants, constants_bytes, program, &problem))
		return 0;
	return qeff_error_set(err, -EINVAL,
			      "%s: NSP program refused: %s (entry %u: found %llu, "
			      "limit %llu)",
			      what, problem.what, problem.index, (unsigned long long)problem.found,
			      (unsigned long long)problem.limit);
}

static uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

enum qeff_nsp_fault qeff_nsp_host_run(struct qeff_nsp_instance *instance, void *scratch,
				      uint8_t *shadow)
{
	const struct qeff_nsp_header *header = instance->program.header;
	struct qeff_nsp_worker worker = { .scratch = scratch };
	uint64_t start = now_us();
	uint32_t phases = qeff_nsp_begin(instance);

	for (uint32_t phase = 0; phase < phases; phase++) {
		if (shadow)
			qeff_nsp_poison_before(instance, phase, shadow);
		for (uint32_t nsp = 0; nsp < header->nsps; nsp++) {
			/* What one operation leaves in scratch must not help another either. */
			if (shadow) {
				memset(scratch, QEFF_NSP_POISON, header->scratch_bytes);
				worker.staged.inference = 0;
			}
			qeff_nsp_phase_on(instance, phase, nsp, &worker);
		}
		if (shadow)
			qeff_nsp_poison_after(instance, phase, shadow);
	}
	return qeff_nsp_end(instance, now_us() - start);
}
