/* SPDX-License-Identifier: MIT */
/* Registers of BAR0, execution environments and MHI states. */
#include "softcard/pcie/mhi.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define REGLEN	     0x000u
#define VERSION	     0x008u
#define CONFIG	     0x010u
#define CHDBOFF	     0x018u
#define ERDBOFF	     0x020u
#define BHIOFF	     0x028u
#define CONTROL	     0x038u
#define STATUS	     0x048u
#define CRDB	     0x070u
#define CTRLBASE     0x080u
#define DATALIMIT_HI 0x0a4u
#define SOC_RESET    0x0b0u
#define SOC_VERSION  0x224u
#define QTIMER	     0xa28u

/* Where this card has its blocks; the host reads it from the offset registers. */
#define BHI  0x300u
#define CHDB 0x400u
#define ERDB 0x800u

#define BHI_IMAGE_LOW  (BHI + 0x08u)
#define BHI_IMAGE_SIZE (BHI + 0x10u)
#define BHI_DOORBELL   (BHI + 0x18u)
#define BHI_INTVEC     (BHI + 0x20u)
#define BHI_EE	       (BHI + 0x28u)
#define BHI_STATUS     (BHI + 0x2cu)
#define BHI_ERROR      (BHI + 0x30u)
#define BHI_SERIAL     (BHI + 0x40u)
#define BHI_HARDWARE   (BHI + 0x4cu)
#define BHI_KEY_HASH   (BHI + 0x64u)

#define STATUS_READY   0x1u
#define STATUS_SYSERR  0x4u
#define CONTROL_RESET  0x2u
#define BHI_DONE       (2u << 30)
#define BHI_FAILED     (3u << 30)
#define ERROR_NO_IMAGE 1u
#define ERROR_NOT_PBL  2u

#define EVENT_STATE 0x20u
#define EVENT_EE    0x40u

int qeff_mhi_init(struct qeff_mhi *mhi, struct qeff_dma *dma, const struct qeff_mhi_ops *ops,
		  void *user, uint32_t serial)
{
	memset(mhi, 0, sizeof(*mhi));
	mhi->dma = dma;
	mhi->ops = ops;
	mhi->user = user;
	mhi->reg[BHI_SERIAL / 4] = serial;
	for (unsigned int i = 0; i < QEFF_MHI_CHANNELS; i++)
		mhi->channel[i].last = &mhi->channel[i].packets;
	mhi->message = malloc(QEFF_MHI_MAX_MESSAGE);
	if (!mhi->message)
		return -ENOMEM;
	qeff_mhi_power_on(mhi);
	return 0;
}

void qeff_mhi_destroy(struct qeff_mhi *mhi)
{
	qeff_mhi_rings_drop(mhi);
	free(mhi->message);
}

static void fill_registers(struct qeff_mhi *mhi)
{
	uint32_t serial = mhi->reg[BHI_SERIAL / 4];

	memset(mhi->reg, 0, sizeof(mhi->reg));
	mhi->reg[REGLEN / 4] = QEFF_MHI_REG_BYTES;
	mhi->reg[VERSION / 4] = 0x01000000;
	mhi->reg[CONFIG / 4] = 1u << 16 | QEFF_MHI_CHANNELS;
	mhi->reg[CHDBOFF / 4] = CHDB;
	mhi->reg[ERDBOFF / 4] = ERDB;
	mhi->reg[BHIOFF / 4] = BHI;
	mhi->reg[SOC_VERSION / 4] = 0x60110200;
	mhi->reg[BHI_SERIAL / 4] = serial;
	mhi->reg[BHI_HARDWARE / 4] = 0x60110200;
	for (uint32_t i = 0; i < 16; i++)
		mhi->reg[BHI_KEY_HASH / 4 + i] = 0x9e3779b9u * (i + 1) ^ serial;
}

/* Nothing of the host is touched after this. */
static void leave_host(struct qeff_mhi *mhi)
{
	mhi->live = false;
	mhi->booting = false;
	qeff_mhi_rings_drop(mhi);
	mhi->ops->reset(mhi->user);
}

void qeff_mhi_power_on(struct qeff_mhi *mhi)
{
	leave_host(mhi);
	fill_registers(mhi);
	mhi->ee = QEFF_EE_PBL;
	mhi->state = QEFF_MHI_RESET;
	mhi->rebooting = false;
}

void qeff_mhi_crash(struct qeff_mhi *mhi, bool rebooted)
{
	leave_host(mhi);
	mhi->state = QEFF_MHI_SYS_ERR;
	mhi->rebooting = true;
	if (rebooted)
		mhi->ee = QEFF_EE_PBL;
	mhi->ops->interrupt(mhi->user);
}

/* A host that is not at work with the card finds it in PBL; one that is has to be told. */
static void soc_reset(struct qeff_mhi *mhi)
{
	if (mhi->live)
		qeff_mhi_crash(mhi, true);
	else
		qeff_mhi_power_on(mhi);
}

static void mhi_reset(struct qeff_mhi *mhi)
{
	leave_host(mhi);
	if (mhi->rebooting)
		mhi->ee = QEFF_EE_PBL;
	mhi->rebooting = false;
	mhi->state = mhi->ee == QEFF_EE_PBL ? QEFF_MHI_RESET : QEFF_MHI_READY;
	mhi->reg[BHI_INTVEC / 4] = 0;
	mhi->reg[BHI_STATUS / 4] = 0;
}

static void post_state(struct qeff_mhi *mhi)
{
	const struct qeff_mhi_element e = { .d0 = (uint32_t)mhi->state << 24,
					    .d1 = EVENT_STATE << 16 };

	qeff_mhi_post(mhi, &e, true);
}

void qeff_mhi_enter(struct qeff_mhi *mhi, enum qeff_mhi_ee ee)
{
	const struct qeff_mhi_element e = { .d0 = (uint32_t)ee << 24, .d1 = EVENT_EE << 16 };

	mhi->ee = ee;
	qeff_mhi_post(mhi, &e, true);
}

static void first_m0(struct qeff_mhi *mhi)
{
	if (!qeff_mhi_rings_load(mhi)) {
		qeff_mhi_crash(mhi, false);
		return;
	}
	mhi->state = QEFF_MHI_M0;
	mhi->live = true;
	post_state(mhi);
	if (mhi->ee == QEFF_EE_PBL) {
		mhi->booting = false;
		mhi->boots++;
		mhi->ee = mhi->ops->first_environment(mhi->user);
	}
	qeff_mhi_enter(mhi, mhi->ee);
}

static void request_state(struct qeff_mhi *mhi, uint32_t state)
{
	if (mhi->state == QEFF_MHI_READY) {
		if (state == QEFF_MHI_M0)
			first_m0(mhi);
		return;
	}
	if (!mhi->live || state == (uint32_t)mhi->state)
		return;
	switch (state) {
	case QEFF_MHI_M0:
		for (size_t i = 0; i < sizeof(mhi->dirty) / sizeof(mhi->dirty[0]); i++)
			mhi->dirty[i] = UINT64_MAX;
		/* fall through */
	case QEFF_MHI_M2:
	case QEFF_MHI_M3:
		mhi->state = (enum qeff_mhi_state)state;
		post_state(mhi);
		break;
	}
}

static void bhi_download(struct qeff_mhi *mhi)
{
	uint32_t error = 0;

	if (mhi->ee != QEFF_EE_PBL || mhi->state != QEFF_MHI_RESET)
		error = ERROR_NOT_PBL;
	else if (!mhi->ops->image(mhi->user, qeff_mhi_reg64(mhi, BHI_IMAGE_LOW),
				  mhi->reg[BHI_IMAGE_SIZE / 4]))
		error = ERROR_NO_IMAGE;
	mhi->reg[BHI_ERROR / 4] = error;
	mhi->reg[BHI_STATUS / 4] = error ? BHI_FAILED : BHI_DONE;
	if (!error) {
		mhi->booting = true;
		mhi->state = QEFF_MHI_READY;
	}
	mhi->ops->interrupt(mhi->user);
}

uint32_t qeff_mhi_read(struct qeff_mhi *mhi, uint32_t offset)
{
	uint64_t ticks;

	switch (offset) {
	case STATUS:
		return (uint32_t)(mhi->state & 0xff) << 8 |
		       (mhi->state == QEFF_MHI_SYS_ERR ? STATUS_SYSERR : 0) |
		       (mhi->state != QEFF_MHI_SYS_ERR && mhi->state != QEFF_MHI_RESET
				? STATUS_READY
				: 0);
	case BHI_EE:
		return mhi->ee;
	case QTIMER:
		/* 19.2 MHz */
		ticks = mhi->ops->time_us(mhi->user) * 192 / 10;
		mhi->reg[QTIMER / 4 + 1] = (uint32_t)(ticks >> 32);
		return (uint32_t)ticks;
	case QTIMER + 4:
		ticks = mhi->ops->time_us(mhi->user) * 192 / 10;
		return (uint32_t)(ticks >> 32);
	default:
		return mhi->reg[offset / 4];
	}
}

/* Registers that only keep what the host wrote. */
static bool is_plain(uint32_t offset)
{
	return offset == CONFIG || (offset >= QEFF_MHI_CCABAP && offset < CRDB + 8) ||
	       (offset >= CTRLBASE && offset <= DATALIMIT_HI) ||
	       (offset >= BHI_IMAGE_LOW && offset <= BHI_IMAGE_SIZE) || offset == BHI_INTVEC ||
	       offset == BHI_STATUS || (offset >= CHDB && offset < CHDB + 8 * QEFF_MHI_CHANNELS) ||
	       (offset >= ERDB && offset < ERDB + 8);
}

/* Doorbells are 64 bits wide; their low word is the trigger. */
static void ring(struct qeff_mhi *mhi, uint32_t offset)
{
	if (!mhi->live || offset % 8)
		return;
	if (offset == CRDB)
		qeff_mhi_ring_commands(mhi, qeff_mhi_reg64(mhi, CRDB));
	else if (offset == ERDB)
		qeff_mhi_ring_events(mhi, qeff_mhi_reg64(mhi, ERDB));
	else if (offset >= CHDB && offset < CHDB + 8 * (QEFF_MHI_CHANNELS - 1))
		/* the last of them is the wake doorbell, and the card does not sleep */
		qeff_mhi_ring_channel(mhi, (offset - CHDB) / 8, qeff_mhi_reg64(mhi, offset));
}

void qeff_mhi_write(struct qeff_mhi *mhi, uint32_t offset, uint32_t value)
{
	if (is_plain(offset)) {
		mhi->reg[offset / 4] = value;
		ring(mhi, offset);
	} else if (offset == CONTROL) {
		if (value & CONTROL_RESET) {
			mhi_reset(mhi);
		} else {
			mhi->reg[CONTROL / 4] = value & 0xff00;
			request_state(mhi, value >> 8 & 0xff);
		}
	} else if (offset == SOC_RESET) {
		if (value)
			soc_reset(mhi);
	} else if (offset == BHI_DOORBELL) {
		mhi->reg[offset / 4] = value;
		if (value)
			bhi_download(mhi);
	}
	qeff_mhi_run(mhi);
}
