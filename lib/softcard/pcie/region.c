/* SPDX-License-Identifier: MIT */
/* The guest's accesses to BARs and config space. */
#include "softcard/pcie/internal.h"

#include "util/bytes.h"
#include "util/checked.h"

#include <errno.h>

#define CONFIG_REGION 7u

uint64_t qeff_region_bytes(uint32_t region)
{
	switch (region) {
	case QEFF_BAR_MHI:
		return QEFF_BAR0_BYTES;
	case QEFF_BAR_BRIDGE:
		return QEFF_BAR2_BYTES;
	case QEFF_BAR_UNUSED:
		return QEFF_BAR4_BYTES;
	case CONFIG_REGION:
		return QEFF_CONFIG_BYTES;
	default:
		return 0;
	}
}

/* Faults that an access met; what they do comes after it. */
static void count_access(struct qeff_vcard *v)
{
	struct qeff_fault_hits hits = qeff_faults_at(&v->faults, QEFF_EVENT_ACCESS);

	qeff_vcard_act(v, &hits);
}

static uint32_t read_word(struct qeff_vcard *v, uint32_t bar, uint32_t offset)
{
	if (bar == QEFF_BAR_MHI)
		return qeff_mhi_read(&v->mhi, offset);
	if (bar == QEFF_BAR_BRIDGE && v->mhi.ee == QEFF_EE_AMSS)
		return qeff_bridge_read(&v->bridge, offset);
	return 0;
}

static void write_word(struct qeff_vcard *v, uint32_t bar, uint32_t offset, uint32_t value)
{
	struct qeff_fault_hits hits;

	if (bar == QEFF_BAR_MHI) {
		qeff_mhi_write(&v->mhi, offset, value);
	} else if (bar == QEFF_BAR_BRIDGE && v->mhi.ee == QEFF_EE_AMSS) {
		hits = qeff_bridge_write(&v->bridge, offset, value, qeff_vcard_time_us());
		qeff_vcard_act(v, &hits);
	}
}

static int check(uint32_t region, uint64_t offset, uint32_t size_bytes)
{
	uint64_t bytes = qeff_region_bytes(region);

	if (!bytes || !size_bytes || !qeff_range_valid(offset, size_bytes, bytes))
		return -EINVAL;
	if (region != CONFIG_REGION && size_bytes > 8)
		return -EINVAL;
	return 0;
}

int qeff_region_read(struct qeff_vcard *v, uint32_t region, uint64_t offset, void *to,
		     uint32_t size_bytes)
{
	int ret = check(region, offset, size_bytes);
	uint8_t *out = to;

	if (ret)
		return ret;
	memset(to, 0xff, size_bytes);
	if (v->off_bus)
		return 0;
	if (region == CONFIG_REGION) {
		qeff_config_read(&v->config_space, (uint32_t)offset, to, size_bytes,
				 qeff_irqs_pending(&v->irqs));
		return 0;
	}
	v->reads[region]++;
	count_access(v);
	/* The registers are 32 bits wide; what is not aligned to that finds nobody. */
	if (size_bytes % 4 || offset % 4)
		return 0;
	for (uint32_t i = 0; i < size_bytes; i += 4)
		qeff_put_u32(out + i, read_word(v, region, (uint32_t)offset + i));
	return 0;
}

int qeff_region_write(struct qeff_vcard *v, uint32_t region, uint64_t offset, const void *from,
		      uint32_t size_bytes)
{
	int ret = check(region, offset, size_bytes);
	const uint8_t *in = from;

	if (ret || v->off_bus)
		return ret;
	if (region == CONFIG_REGION) {
		qeff_config_write(&v->config_space, (uint32_t)offset, from, size_bytes);
		v->dma.enabled = qeff_config_bus_master(&v->config_space);
		qeff_irqs_mask(&v->irqs, qeff_config_masked(&v->config_space));
		return 0;
	}
	v->writes[region]++;
	count_access(v);
	if (size_bytes % 4 || offset % 4)
		return 0;
	/* the high word first: the low one is the trigger */
	for (uint32_t i = size_bytes; i; i -= 4)
		write_word(v, region, (uint32_t)offset + i - 4, qeff_get_u32(in + i - 4));
	return 0;
}
