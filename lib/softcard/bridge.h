/* SPDX-License-Identifier: MIT */
/*
 * The DMA bridge: for each virtual channel a ring of requests and a ring of responses in host
 * memory, head and tail registers, and 32 semaphores that the elements and the NSPs share.
 */
#ifndef QEFF_SOFTCARD_BRIDGE_H
#define QEFF_SOFTCARD_BRIDGE_H

#include "softcard/window.h"

#include <assert.h>
#include <pthread.h>

#define QEFF_SEMAPHORES	   32u
#define QEFF_SEMAPHORE_MAX 0xfffu

struct qeff_card;
struct qeff_nsp_group;

/* Registers of a channel. */
#define QEFF_DBC_REQHP 0x0u
#define QEFF_DBC_REQTP 0x4u
#define QEFF_DBC_RSPHP 0x8u
#define QEFF_DBC_RSPTP 0xcu

struct qeff_request_element {
	uint16_t req_id;
	uint8_t seq_id;
	uint8_t command;
	uint32_t reserved0;
	uint64_t source;
	uint64_t destination;
	uint32_t size_bytes;
	uint32_t reserved1;
	uint64_t doorbell;
	uint8_t doorbell_attributes;
	uint8_t reserved2[3];
	uint32_t doorbell_data;
	uint32_t semaphore[4];
};

#define QEFF_ELEMENT_FORCE_MSI	 0x80u
#define QEFF_ELEMENT_COMPLETION	 0x10u
#define QEFF_ELEMENT_BULK	 0x08u
#define QEFF_ELEMENT_TYPE	 0x03u
#define QEFF_ELEMENT_NO_TRANSFER 0u
#define QEFF_ELEMENT_TO_DEVICE	 1u
#define QEFF_ELEMENT_FROM_DEVICE 2u

#define QEFF_DOORBELL_ENABLE 0x80u

/* A semaphore word: value 11:0, index 20:16, presync 22, operation 26:24, fences 30:29, enable 31.
 */
#define QEFF_SEM_PRESYNC (1u << 22)
#define QEFF_SEM_ENABLE	 (1u << 31)

struct qeff_response_element {
	uint16_t req_id;
	uint16_t code;
};

/* Completion codes. Anything but 0 is an error; real cards' values are not public. */
enum qeff_completion {
	QEFF_COMPLETION_OK = 0,
	QEFF_COMPLETION_BAD_ELEMENT = 1,
	QEFF_COMPLETION_DEVICE_ADDRESS = 2,
	QEFF_COMPLETION_HOST_ADDRESS = 3,
	QEFF_COMPLETION_DOORBELL = 4,
};

static_assert(sizeof(struct qeff_request_element) == 64, "request element layout");
static_assert(offsetof(struct qeff_request_element, command) == 3, "request element layout");
static_assert(offsetof(struct qeff_request_element, source) == 8, "request element layout");
static_assert(offsetof(struct qeff_request_element, destination) == 16, "request element layout");
static_assert(offsetof(struct qeff_request_element, size_bytes) == 24, "request element layout");
static_assert(offsetof(struct qeff_request_element, doorbell) == 32, "request element layout");
static_assert(offsetof(struct qeff_request_element, doorbell_attributes) == 40,
	      "request element layout");
static_assert(offsetof(struct qeff_request_element, doorbell_data) == 44, "request element layout");
static_assert(offsetof(struct qeff_request_element, semaphore) == 48, "request element layout");
static_assert(sizeof(struct qeff_response_element) == 4, "response element layout");

/**
 * struct qeff_channel_setup - what an activation gives its channel
 * @requests: the request ring, @elements of 64 bytes; @responses: the response ring, @elements of 4
 * bytes
 * @windows: what elements may reach
 * @semaphore_init: @semaphores initial values; the others are 0
 * @group: the NSPs behind it
 */
struct qeff_channel_setup {
	const uint8_t *requests;
	uint8_t *responses;
	uint32_t elements;
	struct qeff_windows windows;
	const uint32_t *semaphore_init;
	uint32_t semaphores;
	struct qeff_nsp_group *group;
};

/* Where in the processing of an element the bridge stands: what it does next. */
enum qeff_element_stage {
	QEFF_STAGE_FETCH = 0,
	QEFF_STAGE_PRESYNC,
	QEFF_STAGE_TRANSFER,
	QEFF_STAGE_POSTSYNC,
	QEFF_STAGE_DOORBELL,
	QEFF_STAGE_RESPOND,
};

/**
 * struct qeff_channel - one DMA bridge channel
 * @lock: guards all of this (but the setup, which does not change while @open), the group's state,
 *	  and L2TCM
 * @quiet: @running became false
 * @open: between activation and deactivation
 * @stopping: no element goes on; set once before the channel is closed
 * @running: a thread is processing; only it changes the element's fields
 * @element: the one being processed, unless @stage is FETCH
 * @postsync: the next of its semaphore words to do
 * @code: its completion code
 * @failed_code: of an element that failed and asked for no response; the next response to the same
 *		 request (@failed_id) carries it
 * @input_failed: a transfer to the device failed since the last inference began
 */
struct qeff_channel {
	struct qeff_card *card;
	unsigned int index;
	pthread_mutex_t lock;
	pthread_cond_t quiet;
	bool open;
	bool stopping;
	bool running;
	struct qeff_channel_setup setup;
	uint32_t request_head, request_tail;
	uint32_t response_head, response_tail;
	uint16_t semaphore[QEFF_SEMAPHORES];
	struct qeff_request_element element;
	enum qeff_element_stage stage;
	unsigned int postsync;
	uint16_t code;
	uint16_t failed_code;
	uint16_t failed_id;
	bool input_failed;
};

void qeff_channel_init(struct qeff_channel *ch, struct qeff_card *card, unsigned int index);
void qeff_channel_destroy(struct qeff_channel *ch);

/* Registers all 0, semaphores at their initial values. */
void qeff_channel_open(struct qeff_channel *ch, const struct qeff_channel_setup *setup);
/* No element is touched any more; returns at once. */
void qeff_channel_stop(struct qeff_channel *ch);
/* After qeff_channel_stop(): waits until no thread processes elements, then forgets the rings. */
void qeff_channel_close(struct qeff_channel *ch);

uint32_t qeff_channel_read(struct qeff_channel *ch, uint32_t offset);
void qeff_channel_write(struct qeff_channel *ch, uint32_t offset, uint32_t value);

/* Processes what can be processed. Called without the lock, after anything that may unblock an
 * element. */
void qeff_channel_kick(struct qeff_channel *ch);

#endif
