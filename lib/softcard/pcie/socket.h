/* SPDX-License-Identifier: MIT */
/*
 * The Unix socket: whole vfio-user messages in, with their file descriptors, and replies out. It
 * never blocks: what is not there yet is waited for by the caller's loop.
 */
#ifndef QEFF_PCIE_SOCKET_H
#define QEFF_PCIE_SOCKET_H

#include "util/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QEFF_SOCKET_MAX_FDS	16u
#define QEFF_SOCKET_MAX_REQUEST (65536u + 64u)
#define QEFF_SOCKET_MAX_REPLY	(4096u + 64u)

/* The head of each message, in both directions. */
struct qeff_vfio_header {
	uint16_t id;
	uint16_t command;
	uint32_t size_bytes; /* with this header */
	uint32_t flags;	     /* 3:0 type: 0 command, 1 reply; 4 no reply; 5 error */
	uint32_t error;
};

#define QEFF_VFIO_TYPE	   0xfu
#define QEFF_VFIO_REPLY	   0x1u
#define QEFF_VFIO_NO_REPLY 0x10u
#define QEFF_VFIO_ERROR	   0x20u

/**
 * struct qeff_socket - the listening socket and its one client
 * @listen_fd, @fd: -1 if not there
 * @in: the message being received, @in_bytes of it; @fds: that came with it, the handler takes
 * those it keeps by setting them to -1
 * @out: what is not sent yet, from @out_done on
 */
struct qeff_socket {
	char *path;
	int listen_fd;
	int fd;
	uint8_t in[QEFF_SOCKET_MAX_REQUEST];
	size_t in_bytes;
	int fds[QEFF_SOCKET_MAX_FDS];
	unsigned int num_fds;
	uint8_t out[QEFF_SOCKET_MAX_REPLY];
	size_t out_bytes;
	size_t out_done;
};

int qeff_socket_listen(struct qeff_socket *s, const char *path, struct qeff_error *err);
void qeff_socket_close(struct qeff_socket *s);

/* Takes a client, if one is there; false if none came. */
bool qeff_socket_accept(struct qeff_socket *s);
void qeff_socket_drop_client(struct qeff_socket *s);

/* 1: a message is complete; 0: not yet; negative: the client is gone, or talks nonsense. */
int qeff_socket_receive(struct qeff_socket *s);
/* After a message has been handled: closes what descriptors are left of it. */
void qeff_socket_next(struct qeff_socket *s);

/* Queues the reply to the current message: nothing if it wants none. @error: a positive errno. */
void qeff_socket_reply(struct qeff_socket *s, int error, const void *data, size_t size_bytes);
/* Sends what is queued, as far as it goes; negative if the client is gone. */
int qeff_socket_flush(struct qeff_socket *s);

static inline bool qeff_socket_is_sending(const struct qeff_socket *s)
{
	return s->out_done < s->out_bytes;
}

#endif
