/* SPDX-License-Identifier: MIT */
/* From BAR2 to the channels of the card. */
#include "softcard/pcie/bridge.h"

#define FIRST_CHANNEL 0x20000u
#define CHANNEL_BYTES 0x1000u
#define REQTP	      0x4u
#define LAST_REGISTER 0xcu

static bool find_register(uint32_t offset, unsigned int *dbc, uint32_t *reg)
{
	if (offset < FIRST_CHANNEL || offset >= FIRST_CHANNEL + QEFF_CARD_DBCS * CHANNEL_BYTES)
		return false;
	*dbc = (offset - FIRST_CHANNEL) / CHANNEL_BYTES;
	*reg = (offset - FIRST_CHANNEL) % CHANNEL_BYTES;
	return *reg <= LAST_REGISTER;
}

uint32_t qeff_bridge_read(struct qeff_bridge_front *b, uint32_t offset)
{
	unsigned int dbc;
	uint32_t reg;

	if (!find_register(offset, &dbc, &reg))
		return 0;
	/* the host sees what it wrote, though the card does not know it yet */
	if (reg == REQTP && (b->stalled >> dbc & 1))
		return b->held_tail[dbc];
	return qeff_card_dbc_read(b->card, dbc, reg);
}

struct qeff_fault_hits qeff_bridge_write(struct qeff_bridge_front *b, uint32_t offset,
					 uint32_t value, uint64_t now_us)
{
	struct qeff_fault_hits hits = { 0 };
	unsigned int dbc;
	uint32_t reg;

	if (!find_register(offset, &dbc, &reg))
		return hits;
	if (reg == REQTP) {
		b->doorbells[dbc]++;
		hits = qeff_faults_at(b->faults, QEFF_EVENT_DOORBELL);
		if (qeff_fault_hit(&hits, QEFF_FAULT_STALL)) {
			int64_t ms = hits.argument[QEFF_FAULT_STALL];

			b->stalled |= 1u << dbc;
			b->release_us[dbc] = ms > 0 ? now_us + 1000 * (uint64_t)ms : 0;
		}
		b->held_tail[dbc] = value;
	}
	if (reg != REQTP || !(b->stalled >> dbc & 1))
		qeff_card_dbc_write(b->card, dbc, reg, value);
	return hits;
}

void qeff_bridge_reset(struct qeff_bridge_front *b)
{
	b->stalled = 0;
}

uint64_t qeff_bridge_release(struct qeff_bridge_front *b, uint64_t now_us)
{
	uint64_t next = UINT64_MAX;

	for (unsigned int i = 0; i < QEFF_CARD_DBCS; i++) {
		if (!(b->stalled >> i & 1) || !b->release_us[i])
			continue;
		if (b->release_us[i] > now_us) {
			next = b->release_us[i] < next ? b->release_us[i] : next;
			continue;
		}
		b->stalled &= ~(1u << i);
		qeff_card_dbc_write(b->card, i, REQTP, b->held_tail[i]);
	}
	return next;
}
