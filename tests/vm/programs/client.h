/* SPDX-License-Identifier: MIT */
/*
 * A client of the driver's ioctls, as plain as can be, for programs that run in a guest: each call
 * gives 0 or a negative errno and does nothing of its own account.
 */
#ifndef QEFF_TESTS_VM_CLIENT_H
#define QEFF_TESTS_VM_CLIENT_H

#include "nnc/client.h"
#include "qeff_accel.h"

#include <stddef.h>
#include <stdint.h>

/* Elements of a client's ring; it holds one less. */
#define CLIENT_QUEUE 64u

struct client {
	int fd;
	struct qeff_nnc_client nnc;
	uint32_t constants_id, elf_id;
	struct qeff_nnc_activation active;
};

/* Before anything else: the node, and the package that clients activate. */
int clients_init(const char *node_path, const char *package);

/* The program's ELF; and where else clients take the same bytes from. */
const void *clients_image(size_t *size_bytes);
void clients_set_image(const void *data);

int call(int fd, unsigned long request, void *argument);
int open_node(void);

/* Opens the node and activates the program. On failure too, @c->fd is to be closed unless it is -1.
 */
int client_open(struct client *c);
/* Its two halves. */
int client_load(struct client *c);
int client_activate(struct client *c);
/* With a ring of so many elements. */
int client_activate_ring(struct client *c, uint32_t elements);
int client_deactivate(struct client *c);

/* 0 on failure. */
uint32_t bo_new(int fd, uint64_t size_bytes);
/* NULL on failure. */
void *bo_map(int fd, uint32_t handle, size_t size_bytes);
void bo_close(int fd, uint32_t handle);

int client_attach(const struct client *c, uint32_t handle, uint32_t dir,
		  const struct qaic_attach_slice_entry *entries, uint32_t count);
int client_detach(int fd, uint32_t handle);
/* At most 16. */
int client_execute(const struct client *c, const uint32_t *handles, uint32_t count);
int client_partial(const struct client *c, uint32_t handle, uint64_t resize);
int client_wait(const struct client *c, uint32_t handle, uint32_t timeout_ms);

#endif
