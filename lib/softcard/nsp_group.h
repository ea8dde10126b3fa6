/* SPDX-License-Identifier: MIT */
/*
 * The NSPs of one activation as agents of the protocol in docs/design/nsp-program.md: they wait for
 * the doorbells in their L2TCM, run the NSP program phase by phase on the card's workers, and
 * operate the semaphores. All of them run the same program in step, so the group acts for them.
 */
#ifndef QEFF_SOFTCARD_NSP_GROUP_H
#define QEFF_SOFTCARD_NSP_GROUP_H

#include "nsp/exec.h"
#include "qpc/metadata.h"

#include <stdint.h>

struct qeff_card;
struct qeff_channel;
struct qeff_nsp_group;

/**
 * struct qeff_nsp_group_setup - what an activation is made of
 * @channel: the channel it will get
 * @metadata: of the program; outlives the group, as do all of these
 * @constants: static constants, @constants_bytes long
 * @ddr: static shared DDR, zeroed, @ddr_bytes long
 */
struct qeff_nsp_group_setup {
	struct qeff_channel *channel;
	const struct qeff_metadata *metadata;
	const uint8_t *constants;
	uint64_t constants_bytes;
	uint8_t *ddr;
	uint64_t ddr_bytes;
};

/* Returns a status of the control protocol: 0, or why the program cannot run. */
int32_t qeff_nsp_group_new(struct qeff_card *card, const struct qeff_nsp_group_setup *setup,
			   struct qeff_nsp_group **group);
/* After qeff_nsp_group_stop(). Accepts NULL. */
void qeff_nsp_group_free(struct qeff_nsp_group *group);

/* L2TCM of all NSPs, one MiB each. */
uint8_t *qeff_nsp_group_l2tcm(struct qeff_nsp_group *group);

/* The NSPs begin: they signal that they take inputs. The channel is open. */
void qeff_nsp_group_start(struct qeff_nsp_group *group);
/* A doorbell may have been written. With the channel's lock held. */
void qeff_nsp_group_poll(struct qeff_nsp_group *group);
/* After qeff_channel_stop(): returns when the NSPs have come to rest. */
void qeff_nsp_group_stop(struct qeff_nsp_group *group);

#endif
