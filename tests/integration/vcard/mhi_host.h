/* SPDX-License-Identifier: MIT */
/* The host's side of MHI, in the order in which Linux does it: BHI, READY, M0, Sahara, channels. */
#ifndef QEFF_TESTS_VCARD_MHI_HOST_H
#define QEFF_TESTS_VCARD_MHI_HOST_H

#include "client.h"

#define CHANNELS	 26u
#define EVENT_ELEMENTS	 32u
#define COMMAND_ELEMENTS 128u
#define CHANNEL_ELEMENTS 32u
#define CONTROL_ELEMENTS 128u
#define CONTROL_BUFFERS	 4u
#define RECEIVE_BYTES	 4096u

enum { EE_PBL = 0, EE_SBL = 1, EE_AMSS = 2 };

/* Rings are given by DMA address; @rp, @wp are element numbers. */
struct ring {
	uint64_t base;
	uint32_t elements;
	uint32_t rp;
	uint32_t wp;
};

/**
 * struct mhi_host - a driver at work
 * @channel: rings; @buffer: of each element of the inbound ones
 * @images: files the host has, by number, NULL for those it has not
 * @environment: as the last event said
 * @received: what the last inbound completion brought, on @received_channel
 */
struct mhi_host {
	struct client *c;
	uint32_t bhi, channel_doorbells, event_doorbells;
	uint64_t channel_contexts, event_context, command_context;
	struct ring events, commands, channel[CHANNELS];
	uint64_t buffer[CHANNELS][CONTROL_ELEMENTS];
	const uint8_t *image[16];
	size_t image_bytes[16];
	uint64_t staging;
	unsigned int images_done;
	uint32_t environment;
	uint32_t state;
	uint8_t received[RECEIVE_BYTES];
	size_t received_bytes;
	uint32_t received_code;
	uint32_t sequence;
	uint64_t control_staging;
};

struct event {
	uint64_t pointer;
	uint32_t type;
	uint32_t code; /* code, state or environment */
	uint32_t size_bytes;
	uint32_t channel;
};

/* PCI set-up: bus master, memory; @messages of MSI. */
void host_open(struct mhi_host *h, struct client *c, unsigned int messages);
/* From PBL to SBL, with an image of nonsense: false if the card does not come up. */
bool host_boot_sbl(struct mhi_host *h);
/* Contexts and M0, from READY on. */
bool host_to_m0(struct mhi_host *h);
/* Serves Sahara until AMSS. */
bool host_boot_amss(struct mhi_host *h);
/* All of it. */
bool host_boot(struct mhi_host *h);

/* The next event; false after ten seconds without one. */
bool host_event(struct mhi_host *h, struct event *e);
/* Runs a command on @channel (16 reset, 17 stop, 18 start); returns the completion code. */
uint32_t host_command(struct mhi_host *h, uint32_t type, unsigned int channel);
/* Starts @channel with a ring; inbound ones get @buffers. */
bool host_start(struct mhi_host *h, unsigned int channel, uint32_t elements, uint32_t buffers);
void host_queue_buffer(struct mhi_host *h, unsigned int channel, uint32_t size_bytes);
/* Sends guest memory as a chain of elements of at most @piece bytes, and waits until it is taken.
 */
bool host_send(struct mhi_host *h, unsigned int channel, uint64_t address, size_t size_bytes,
	       size_t piece);
/* The next message on @channel into @received, and its buffer back to the card. */
bool host_receive(struct mhi_host *h, unsigned int channel);

uint32_t host_mhi_read(struct mhi_host *h, uint32_t offset);
void host_mhi_write(struct mhi_host *h, uint32_t offset, uint32_t value);
uint32_t host_environment(struct mhi_host *h);
uint32_t host_state(struct mhi_host *h);

/* One control message (header included, CRC, sequence and length filled in here) and its reply into
 * @received. Returns false if no reply came. */
bool host_control(struct mhi_host *h, uint8_t *message, size_t size_bytes);
/* Opens the control channel as the driver does: STATUS first. */
bool host_open_control(struct mhi_host *h);

#endif
