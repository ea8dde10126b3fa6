/* SPDX-License-Identifier: MIT */
/* The software cards that the environment asks for, and the names of SKUs. */
#ifndef QEFF_DEVICE_SOFT_CONFIG_H
#define QEFF_DEVICE_SOFT_CONFIG_H

#include "softcard/card.h"
#include "util/error.h"

#define QEFF_SOFTCARDS_MAX 16

/**
 * struct qeff_soft_config - the software cards of this process
 * @cards: their shapes
 * @count: how many, at least 1
 */
struct qeff_soft_config {
	struct qeff_card_config cards[QEFF_SOFTCARDS_MAX];
	uint32_t count;
};

/**
 * qeff_soft_config_parse - read the syntax of QEFF_SOFTCARDS (see <qeff/device.h>)
 * @text: the text, or NULL for one default card
 *
 * Returns 0, or -EINVAL with what was expected and what was found.
 */
int qeff_soft_config_parse(const char *text, struct qeff_soft_config *config,
			   struct qeff_error *err);

/* The same from QEFF_SOFTCARDS and QEFF_POISON. */
int qeff_soft_config_read(struct qeff_soft_config *config, struct qeff_error *err);

/* "PCIe", "Pro", ...; "invalid" for a number without a name. */
const char *qeff_sku_name(uint32_t sku);

#endif
