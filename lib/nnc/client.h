/* SPDX-License-Identifier: MIT */
/*
 * The calls a process makes to a card over its control channel: each builds the message, sends it
 * through one function (a transport's manage), checks the reply, and turns a refusal into an errno
 * and a sentence.
 *
 * Statuses become errnos: no NSP, virtual channel, semaphore or multicast id free -EBUSY; no DDR
 * -ENOMEM; the program's metadata refused -EINVAL; a program made for other firmware -ENOEXEC; an
 * id unknown to the card -ENOENT; not the owner -EPERM; a command the firmware does not know
 * -EOPNOTSUPP; others -EIO. A subsystem restart is waited for: five tries, one second apart, then
 * -EAGAIN.
 */
#ifndef QEFF_NNC_CLIENT_H
#define QEFF_NNC_CLIENT_H

#include "nnc/command.h"
#include "util/error.h"

#include <stdint.h>

/**
 * struct qeff_nnc_client - where the messages go
 * @manage: as in struct qeff_transport_ops: one exchange. @data holds *@count user transactions
 *	    in *@size_bytes bytes and has room for 4096; all three are rewritten with the reply,
 *also when it returns -ECANCELED because the reply bears a status
 * @user: handed to @manage
 * @retry_ms: pause between tries; 0 means 1000
 *
 * The calls keep nothing in it: thread safe if @manage is.
 */
struct qeff_nnc_client {
	int (*manage)(void *user, void *data, uint32_t *size_bytes, uint32_t *count,
		      struct qeff_error *err);
	void *user;
	uint32_t retry_ms;
};

/* The control protocol's version and feature flags (QEFF_WIRE_FLAG_*), from the driver's STATUS
 * transaction. */
struct qeff_nnc_link {
	uint16_t major, minor;
	uint64_t flags;
};

int qeff_nnc_query_link(const struct qeff_nnc_client *client, struct qeff_nnc_link *link,
			struct qeff_error *err);
/* -EPROTONOSUPPORT if the card's response is of another format than the one known here (12 or
 * later). */
int qeff_nnc_query_status(const struct qeff_nnc_client *client, struct qeff_nnc_status_resp *status,
			  struct qeff_error *err);
int qeff_nnc_query_resources(const struct qeff_nnc_client *client,
			     struct qeff_nnc_resources *resources, struct qeff_error *err);
int qeff_nnc_query_performance(const struct qeff_nnc_client *client,
			       struct qeff_nnc_performance *performance, struct qeff_error *err);

/**
 * struct qeff_nnc_constants - the constants of a program, as the package holds them
 * @name: at most 63 bytes are sent
 * @descriptor: the package's constants descriptor, sent as it is
 * @descriptor_bytes: its length (24)
 * @static_data: the static part, @static_bytes long; stays readable during the call
 * @dynamic_data: the dynamic part, @dynamic_bytes long
 * @dynamic_offset: where the dynamic part goes: the descriptor's static size
 *
 * A part of zero bytes is not sent.
 */
struct qeff_nnc_constants {
	const char *name;
	const void *descriptor;
	uint32_t descriptor_bytes;
	const void *static_data;
	uint64_t static_bytes;
	const void *dynamic_data;
	uint64_t dynamic_bytes;
	uint64_t dynamic_offset;
};

/* On failure nothing stays on the card. */
int qeff_nnc_load_constants(const struct qeff_nnc_client *client,
			    const struct qeff_nnc_constants *constants, uint32_t *constants_id,
			    struct qeff_error *err);
int qeff_nnc_unload_constants(const struct qeff_nnc_client *client, uint32_t constants_id,
			      struct qeff_error *err);

/**
 * struct qeff_nnc_elf - the program image of a package
 * @name: at most 63 bytes are sent
 * @data: the whole ELF, @size_bytes long
 * @metadata_crc: from the package's CRC segment, else 0
 * @metadata_fb_crc: likewise
 */
struct qeff_nnc_elf {
	const char *name;
	const void *data;
	uint64_t size_bytes;
	uint32_t metadata_crc;
	uint32_t metadata_fb_crc;
};

int qeff_nnc_load_elf(const struct qeff_nnc_client *client, const struct qeff_nnc_elf *elf,
		      uint32_t *elf_id, struct qeff_error *err);
int qeff_nnc_unload_elf(const struct qeff_nnc_client *client, uint32_t elf_id,
			struct qeff_error *err);

/**
 * struct qeff_nnc_activation - a program that runs
 * @activation_id: names it to the card
 * @dbc_id: its DMA bridge channel, 0..15
 * @ddr_base: device address of its static shared DDR
 * @dynamic_ddr_base: of its dynamic shared DDR
 * @mcid_base: of multicast window 0; window n is n * QEFF_NNC_MCID_STRIDE further
 * @nsp_mask: the NSPs it runs on, 0 if the card does not say
 */
struct qeff_nnc_activation {
	uint32_t activation_id;
	uint32_t dbc_id;
	uint64_t ddr_base;
	uint64_t dynamic_ddr_base;
	uint64_t mcid_base;
	uint32_t nsp_mask;
};

/* @constants_id: 0 if the package has none. @queue_size: elements of the channel's rings (1 is kept
 * free). */
int qeff_nnc_activate(const struct qeff_nnc_client *client, uint32_t constants_id, uint32_t elf_id,
		      uint32_t queue_size, struct qeff_nnc_activation *activation,
		      struct qeff_error *err);
int qeff_nnc_deactivate(const struct qeff_nnc_client *client,
			const struct qeff_nnc_activation *activation, struct qeff_error *err);

/* Fills @err with "@what: <sentence>" for a status other than 0 and returns the errno, negative. */
int qeff_nnc_status_error(int32_t status, const char *what, struct qeff_error *err);

#endif
