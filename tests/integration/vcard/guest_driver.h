/* SPDX-License-Identifier: MIT */
/*
 * A driver in the guest, reduced to what an inference takes: the way of libqeff's control calls to
 * the card, and a DMA bridge channel.
 */
#ifndef QEFF_TESTS_VCARD_GUEST_DRIVER_H
#define QEFF_TESTS_VCARD_GUEST_DRIVER_H

#include "mhi_host.h"

#include "nnc/client.h"
#include "runtime/runtime.h"

/**
 * struct guest_driver - one user of a card that is in AMSS
 * @client: for lib/nnc's calls
 * @segment_bytes: longest run of memory in one segment or element
 * @message_bytes: most of a control message; what does not fit is sent in parts
 * @ring: guest memory of the channel; @tail, @head: of requests and responses
 * @parts: control messages that continued a transfer
 */
struct guest_driver {
	struct mhi_host *h;
	struct qeff_nnc_client client;
	size_t segment_bytes;
	size_t message_bytes;
	uint32_t dbc;
	uint64_t request_ring, response_ring;
	uint32_t elements;
	uint32_t tail, head;
	unsigned int parts;
};

void driver_open(struct guest_driver *d, struct mhi_host *h);

/**
 * struct guest_program - a package, loaded and activated; a buffer for each of its transfers
 */
struct guest_program {
	struct qeff_loaded_program program;
	struct qeff_activation activation;
	uint32_t specialisation;
	uint64_t buffer[16];
};

/* False (with an assertion) if the card refuses. */
bool driver_load(struct guest_driver *d, struct guest_program *p, struct qeff_qpc *qpc);
bool driver_unload(struct guest_driver *d, struct guest_program *p);
/* Guest memory of a binding. */
uint8_t *driver_binding(struct guest_driver *d, struct guest_program *p, uint32_t binding);
/* Chooses the specialisation of the next inferences. */
void driver_select(struct guest_driver *d, struct guest_program *p, uint32_t specialisation);
/* Puts the elements of one inference into the ring, as long as the specialisation needs them; rings
 * the doorbell; returns the elements that answer. */
unsigned int driver_execute(struct guest_driver *d, const struct guest_program *p);
/* Waits for @count responses; returns the first completion code that is not 0, or -1 if none
 * comes in ten seconds. */
int driver_wait(struct guest_driver *d, unsigned int count);

uint32_t driver_register(struct guest_driver *d, uint32_t offset);
/* Rings the doorbell, with whatever is in the ring. */
void driver_doorbell(struct guest_driver *d);

#endif
