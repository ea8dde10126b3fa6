/* SPDX-License-Identifier: MIT */
/* The calls of client.h. */
#include "client.h"

#include <qeff/qpc.h>

#include <errno.h>
#include <fcntl.h>
#include <libdrm/drm.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

static const char *node;
static struct qeff_qpc *qpc;
static struct qeff_constants constants;
static const void *image_data;

int clients_init(const char *node_path, const char *package)
{
	struct qeff_error err = { 0 };
	int ret;

	node = node_path;
	ret = qeff_qpc_open(package, &qpc, &err);
	ret = ret ? ret : qeff_qpc_constants(qpc, &constants, &err);
	if (ret)
		fprintf(stderr, "%s\n", err.message);
	return ret;
}

const void *clients_image(size_t *size_bytes)
{
	const struct qeff_segment *image = qeff_qpc_segment(qpc, QEFF_SEGMENT_IMAGE);

	*size_bytes = image->size_bytes;
	return image->data;
}

void clients_set_image(const void *data)
{
	image_data = data;
}

int call(int fd, unsigned long request, void *argument)
{
	return ioctl(fd, request, argument) < 0 ? -errno : 0;
}

int open_node(void)
{
	return open(node, O_RDWR | O_CLOEXEC);
}

static int manage(void *user, void *data, uint32_t *size_bytes, uint32_t *count,
		  struct qeff_error *err)
{
	struct qaic_manage_msg msg = {
		.len = *size_bytes,
		.count = *count,
		.data = (uintptr_t)data,
	};
	int ret = call(((struct client *)user)->fd, DRM_IOCTL_QAIC_MANAGE, &msg);

	(void)err;
	*size_bytes = msg.len;
	*count = msg.count;
	return ret;
}

int client_load(struct client *c)
{
	const struct qeff_segment *image = qeff_qpc_segment(qpc, QEFF_SEGMENT_IMAGE);
	const struct qeff_segment *desc = qeff_qpc_segment(qpc, QEFF_SEGMENT_CONSTANTS_DESC);
	const struct qeff_nnc_constants data = {
		.name = "test",
		.descriptor = desc->data,
		.descriptor_bytes = (uint32_t)desc->size_bytes,
		.static_data = constants.static_data,
		.static_bytes = constants.static_size_bytes,
		.dynamic_data = constants.dynamic_data,
		.dynamic_bytes = constants.dynamic_size_bytes,
		.dynamic_offset = constants.static_space_bytes,
	};
	const struct qeff_nnc_elf elf = {
		.name = "test",
		.data = image_data ? image_data : image->data,
		.size_bytes = image->size_bytes,
	};
	struct qeff_error err = { 0 };
	int ret;

	memset(c, 0, sizeof(*c));
	c->nnc = (struct qeff_nnc_client){ .manage = manage, .user = c };
	c->fd = open_node();
	if (c->fd < 0)
		return -errno;
	ret = qeff_nnc_load_constants(&c->nnc, &data, &c->constants_id, &err);
	return ret ? ret : qeff_nnc_load_elf(&c->nnc, &elf, &c->elf_id, &err);
}

int client_activate_ring(struct client *c, uint32_t elements)
{
	struct qeff_error err = { 0 };

	return qeff_nnc_activate(&c->nnc, c->constants_id, c->elf_id, elements, &c->active, &err);
}

int client_activate(struct client *c)
{
	return client_activate_ring(c, CLIENT_QUEUE);
}

int client_open(struct client *c)
{
	int ret = client_load(c);

	return ret ? ret : client_activate(c);
}

int client_deactivate(struct client *c)
{
	struct qeff_error err = { 0 };

	return qeff_nnc_deactivate(&c->nnc, &c->active, &err);
}

uint32_t bo_new(int fd, uint64_t size_bytes)
{
	struct qaic_create_bo create = { .size = size_bytes };

	return call(fd, DRM_IOCTL_QAIC_CREATE_BO, &create) ? 0 : create.handle;
}

void *bo_map(int fd, uint32_t handle, size_t size_bytes)
{
	struct qaic_mmap_bo map = { .handle = handle };
	void *data;

	if (call(fd, DRM_IOCTL_QAIC_MMAP_BO, &map))
		return NULL;
	data = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)map.offset);
	return data == MAP_FAILED ? NULL : data;
}

void bo_close(int fd, uint32_t handle)
{
	struct drm_gem_close args = { .handle = handle };

	call(fd, DRM_IOCTL_GEM_CLOSE, &args);
}

int client_attach(const struct client *c, uint32_t handle, uint32_t dir,
		  const struct qaic_attach_slice_entry *entries, uint32_t count)
{
	struct qaic_attach_slice args = {
		.hdr = {
			.count = count,
			.dbc_id = c->active.dbc_id,
			.handle = handle,
			.dir = dir,
		},
		.data = (uintptr_t)entries,
	};

	return call(c->fd, DRM_IOCTL_QAIC_ATTACH_SLICE_BO, &args);
}

int client_detach(int fd, uint32_t handle)
{
	struct qaic_detach_slice args = { .handle = handle };

	return call(fd, DRM_IOCTL_QAIC_DETACH_SLICE_BO, &args);
}

int client_execute(const struct client *c, const uint32_t *handles, uint32_t count)
{
	struct qaic_execute_entry entries[16] = { 0 };
	struct qaic_execute args = {
		.hdr = { .count = count, .dbc_id = c->active.dbc_id },
		.data = (uintptr_t)entries,
	};

	for (uint32_t i = 0; i < count; i++)
		entries[i].handle = handles[i];
	return call(c->fd, DRM_IOCTL_QAIC_EXECUTE_BO, &args);
}

int client_partial(const struct client *c, uint32_t handle, uint64_t resize)
{
	struct qaic_partial_execute_entry entry = { .handle = handle, .resize = resize };
	struct qaic_execute args = {
		.hdr = { .count = 1, .dbc_id = c->active.dbc_id },
		.data = (uintptr_t)&entry,
	};

	return call(c->fd, DRM_IOCTL_QAIC_PARTIAL_EXECUTE_BO, &args);
}

int client_wait(const struct client *c, uint32_t handle, uint32_t timeout_ms)
{
	struct qaic_wait args = {
		.handle = handle,
		.timeout = timeout_ms,
		.dbc_id = c->active.dbc_id,
	};

	return call(c->fd, DRM_IOCTL_QAIC_WAIT_BO, &args);
}
