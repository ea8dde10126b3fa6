/* SPDX-License-Identifier: MIT */
/*
 * The boot loader's part: it asks the host for firmware images over Sahara, as the real one does,
 * looks at them as far as their ELF headers lead, and goes on to AMSS. An image the host does not
 * have is done without.
 */
#ifndef QEFF_PCIE_BOOT_H
#define QEFF_PCIE_BOOT_H

#include "softcard/pcie/mhi.h"
#include "util/error.h"

#define QEFF_BOOT_MAX_IMAGES 16u

enum qeff_boot_stage {
	QEFF_BOOT_IDLE = 0, /* no Sahara channel yet, or all done */
	QEFF_BOOT_HELLO,    /* waits for the host's answer */
	QEFF_BOOT_READ,	    /* waits for data */
	QEFF_BOOT_END,	    /* waits for DONE */
};

/**
 * struct qeff_boot - where the boot stands
 * @images: ids to ask for, @num_images of them; @at: the current one
 * @expected_bytes: of the read that is under way, from @offset on
 * @image_bytes: what the headers seen so far say; @headers: all have been seen
 * @entry_bytes: of the program header table
 * @loaded, @refused: a bit for each id
 * @sbl_bytes, @sbl_crc: of the image that came by BHI; @crc of the current one
 */
struct qeff_boot {
	uint8_t images[QEFF_BOOT_MAX_IMAGES];
	unsigned int num_images;
	unsigned int at;
	enum qeff_boot_stage stage;
	uint64_t offset;
	uint64_t expected_bytes;
	uint64_t image_bytes;
	bool headers;
	uint32_t entry_bytes;
	uint32_t crc;
	uint32_t loaded;
	uint32_t refused;
	uint32_t sbl_bytes;
	uint32_t sbl_crc;
};

/* @images: "1,2,5" or "none"; NULL for the ones that linux-firmware has. */
int qeff_boot_init(struct qeff_boot *b, const char *images, struct qeff_error *err);
/* The image of BHI; false if it cannot be read or is too small or large to be one. */
bool qeff_boot_sbl(struct qeff_boot *b, struct qeff_dma *dma, uint64_t address,
		   uint32_t size_bytes);
void qeff_boot_reset(struct qeff_boot *b);
/* Both Sahara channels run. */
void qeff_boot_start(struct qeff_boot *b, struct qeff_mhi *mhi);
void qeff_boot_receive(struct qeff_boot *b, struct qeff_mhi *mhi, const uint8_t *data,
		       size_t size_bytes);

#endif
