/* SPDX-License-Identifier: MIT */
/*
 * The poison check: a phase sees only the arena bytes it declared, and may change only those.
 *
 * Before: the arena is saved in the shadow and filled with the pattern, then what the phase
 * declares as read comes back. After: read bytes must be unchanged, undeclared bytes must still be
 * the pattern, declared writes stay and everything else comes back. A write that was declared and
 * never made leaves the pattern, a NaN, behind.
 */
#include "nsp/host/host.h"

#include "nsp/kernels.h"

#include <string.h>

enum step {
	RESTORE_READS, /* shadow -> arena */
	KEEP_WRITES,   /* arena -> shadow */
	CHECK_READS,   /* arena == shadow */
	POISON_ALL,    /* pattern -> arena */
};

struct poison {
	uint8_t *arena;
	uint8_t *shadow;
	uint64_t offset; /* of the arena in DDR */
	uint64_t bytes;
	enum step step;
	uint64_t wrong; /* offset of the first byte found changed, or UINT64_MAX */
};

static uint64_t first_difference(const uint8_t *a, const uint8_t *b, uint64_t bytes)
{
	uint64_t i = 0;

	while (a[i] == b[i] && i + 1 < bytes)
		i++;
	return i;
}

/* The first byte that is not the pattern's, or @bytes: nearly always, and fast then. */
static uint64_t first_not_poison(const uint8_t *at, uint64_t bytes)
{
	uint64_t i = 0;

	if (bytes && at[0] == QEFF_NSP_POISON && !memcmp(at, at + 1, bytes - 1))
		return bytes;
	while (i < bytes && at[i] == QEFF_NSP_POISON)
		i++;
	return i;
}

static void visit(void *user, uint64_t offset, uint64_t bytes, bool written)
{
	struct poison *p = user;

	/* Operands never straddle regions. */
	if (offset < p->offset)
		return;
	offset -= p->offset;
	switch (p->step) {
	case RESTORE_READS:
		if (!written)
			memcpy(p->arena + offset, p->shadow + offset, bytes);
		break;
	case KEEP_WRITES:
		if (written)
			memcpy(p->shadow + offset, p->arena + offset, bytes);
		break;
	case CHECK_READS:
		if (!written && memcmp(p->arena + offset, p->shadow + offset, bytes) &&
		    p->wrong == UINT64_MAX)
			p->wrong = offset +
				   first_difference(p->arena + offset, p->shadow + offset, bytes);
		break;
	case POISON_ALL:
		memset(p->arena + offset, QEFF_NSP_POISON, bytes);
		break;
	}
}

static struct poison poison_of(const struct qeff_nsp_instance *instance, uint8_t *shadow)
{
	const struct qeff_nsp_header *header = instance->program.header;

	return (struct poison){
		.arena = instance->ddr + header->arena_offset,
		.shadow = shadow,
		.offset = header->arena_offset,
		.bytes = header->ddr_bytes - header->arena_offset,
		.wrong = UINT64_MAX,
	};
}

static void walk(const struct qeff_nsp_instance *instance, uint32_t phase, struct poison *poison,
		 enum step step)
{
	poison->step = step;
	qeff_nsp_declared(instance, phase, visit, poison);
}

void qeff_nsp_poison_before(struct qeff_nsp_instance *instance, uint32_t phase, uint8_t *shadow)
{
	struct poison p = poison_of(instance, shadow);

	memcpy(p.shadow, p.arena, p.bytes);
	memset(p.arena, QEFF_NSP_POISON, p.bytes);
	walk(instance, phase, &p, RESTORE_READS);
}

void qeff_nsp_poison_after(struct qeff_nsp_instance *instance, uint32_t phase, uint8_t *shadow)
{
	struct poison p = poison_of(instance, shadow);

	walk(instance, phase, &p, KEEP_WRITES);
	walk(instance, phase, &p, CHECK_READS);
	walk(instance, phase, &p, POISON_ALL);
	if (p.wrong == UINT64_MAX) {
		uint64_t first = first_not_poison(p.arena, p.bytes);

		p.wrong = first < p.bytes ? first : UINT64_MAX;
	}
	memcpy(p.arena, p.shadow, p.bytes);
	if (p.wrong != UINT64_MAX)
		qeff_nsp_set_fault(instance, QEFF_NSP_FAULT_POISON, phase, 0,
				   (int64_t)(p.offset + p.wrong));
}
