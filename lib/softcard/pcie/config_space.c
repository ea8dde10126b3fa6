/* SPDX-License-Identifier: MIT */
/* What the config space holds, and which of its bits a host can change. */
#include "softcard/pcie/config_space.h"

#include "util/bytes.h"

#define COMMAND	       0x04u
#define COMMAND_MASTER 0x4u
#define STATUS	       0x06u
#define REVISION       0x08u
#define CACHE_LINE     0x0cu
#define BAR0	       0x10u
#define SUBSYSTEM      0x2cu
#define ROM	       0x30u
#define ROM_ENABLE     0x1u
#define CAPABILITIES   0x34u
#define INTERRUPT_LINE 0x3cu
#define CAP_MSI	       0x05u
#define CAP_EXPRESS    0x10u
#define CLASS_ACCEL    0x1200u
#define BAR_64BIT      0x4u
#define MSI_MASK       (QEFF_CONFIG_MSI + 0x10)
#define MSI_PENDING    (QEFF_CONFIG_MSI + 0x14)
/* 32 messages, 64-bit addresses, a mask for each. */
#define MSI_CONTROL 0x018au

static void set16(struct qeff_config_space *c, uint32_t at, uint16_t value, uint16_t writable)
{
	qeff_put_u16(c->bytes + at, value);
	qeff_put_u16(c->writable + at, writable);
}

static void set32(struct qeff_config_space *c, uint32_t at, uint32_t value, uint32_t writable)
{
	qeff_put_u32(c->bytes + at, value);
	qeff_put_u32(c->writable + at, writable);
}

static void set_bar(struct qeff_config_space *c, uint32_t index, uint32_t size_bytes)
{
	set32(c, BAR0 + 4 * index, BAR_64BIT, ~(size_bytes - 1));
	set32(c, BAR0 + 4 * index + 4, 0, UINT32_MAX);
}

static void set_msi(struct qeff_config_space *c)
{
	c->bytes[QEFF_CONFIG_MSI] = CAP_MSI;
	c->bytes[QEFF_CONFIG_MSI + 1] = QEFF_CONFIG_EXPRESS;
	/* enable, and the number of messages in use */
	set16(c, QEFF_CONFIG_MSI + 2, MSI_CONTROL, 0x0071);
	set32(c, QEFF_CONFIG_MSI + 4, 0, ~UINT32_C(3));
	set32(c, QEFF_CONFIG_MSI + 8, 0, UINT32_MAX);
	set16(c, QEFF_CONFIG_MSI + 12, 0, UINT16_MAX);
	set32(c, MSI_MASK, 0, UINT32_MAX);
}

static void set_express(struct qeff_config_space *c)
{
	c->bytes[QEFF_CONFIG_EXPRESS] = CAP_EXPRESS;
	/* version 2, an endpoint */
	set16(c, QEFF_CONFIG_EXPRESS + 0x02, 0x0002, 0);
	/* payloads of up to 256 bytes, extended tags, role based errors; no function level reset */
	set32(c, QEFF_CONFIG_EXPRESS + 0x04, 0x00008021, 0);
	set16(c, QEFF_CONFIG_EXPRESS + 0x08, 0x2810, 0x7fff);
	/* 16 GT/s, eight lanes; the link runs at that */
	set32(c, QEFF_CONFIG_EXPRESS + 0x0c, 0x00000084, 0);
	set16(c, QEFF_CONFIG_EXPRESS + 0x10, 0, 0x01c3);
	set16(c, QEFF_CONFIG_EXPRESS + 0x12, 0x0084, 0);
	set16(c, QEFF_CONFIG_EXPRESS + 0x28, 0, 0x001f);
	set32(c, QEFF_CONFIG_EXPRESS + 0x2c, 0x0000001e, 0);
	set16(c, QEFF_CONFIG_EXPRESS + 0x30, 0x0004, 0x000f);
}

void qeff_config_init(struct qeff_config_space *c, uint16_t device_id, bool has_rom)
{
	memset(c, 0, sizeof(*c));
	set16(c, 0, QEFF_PCI_VENDOR, 0);
	set16(c, 2, device_id, 0);
	/* memory, bus master, parity, SERR, no INTx */
	set16(c, COMMAND, 0, 0x0546);
	set16(c, STATUS, 0x0010, 0);
	set32(c, REVISION, CLASS_ACCEL << 16, 0);
	c->writable[CACHE_LINE] = 0xff;
	set_bar(c, QEFF_BAR_MHI, QEFF_BAR0_BYTES);
	set_bar(c, QEFF_BAR_BRIDGE, QEFF_BAR2_BYTES);
	set_bar(c, QEFF_BAR_UNUSED, QEFF_BAR4_BYTES);
	set16(c, SUBSYSTEM, QEFF_PCI_VENDOR, 0);
	set16(c, SUBSYSTEM + 2, device_id, 0);
	if (has_rom)
		set32(c, ROM, 0, ~(QEFF_ROM_BYTES - 1) | ROM_ENABLE);
	c->bytes[CAPABILITIES] = QEFF_CONFIG_MSI;
	c->writable[INTERRUPT_LINE] = 0xff;
	set_msi(c);
	set_express(c);
}

void qeff_config_read(const struct qeff_config_space *c, uint32_t offset, void *to,
		      uint32_t size_bytes, uint32_t pending)
{
	uint8_t *out = to;

	for (uint32_t i = 0; i < size_bytes; i++, offset++) {
		if (offset >= sizeof(c->bytes))
			out[i] = 0;
		else if (offset >= MSI_PENDING && offset < MSI_PENDING + 4)
			out[i] = (uint8_t)(pending >> 8 * (offset - MSI_PENDING));
		else
			out[i] = c->bytes[offset];
	}
}

void qeff_config_write(struct qeff_config_space *c, uint32_t offset, const void *from,
		       uint32_t size_bytes)
{
	const uint8_t *in = from;

	for (uint32_t i = 0; i < size_bytes && offset < sizeof(c->bytes); i++, offset++)
		c->bytes[offset] = (uint8_t)((c->bytes[offset] & ~c->writable[offset]) |
					     (in[i] & c->writable[offset]));
}

uint32_t qeff_config_masked(const struct qeff_config_space *c)
{
	return qeff_get_u32(c->bytes + MSI_MASK);
}

bool qeff_config_bus_master(const struct qeff_config_space *c)
{
	return qeff_get_u16(c->bytes + COMMAND) & COMMAND_MASTER;
}
