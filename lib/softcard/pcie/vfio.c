/* SPDX-License-Identifier: MIT */
/*
 * The commands of vfio-user, version 0.0, as QEMU speaks it (its docs/interop/vfio-user.rst). What
 * the client says is judged in the handler of its command; what is wrong gets an errno, and only
 * what leaves no way to go on ends the connection.
 */
#include "softcard/pcie/internal.h"

#include "util/bytes.h"

#include <jansson.h>
#include <string.h>

enum {
	VERSION = 1,
	DMA_MAP = 2,
	DMA_UNMAP = 3,
	GET_INFO = 4,
	GET_REGION_INFO = 5,
	GET_REGION_IO_FDS = 6,
	GET_IRQ_INFO = 7,
	SET_IRQS = 8,
	REGION_READ = 9,
	REGION_WRITE = 10,
	DEVICE_RESET = 13,
};

#define NUM_REGIONS 9u
#define NUM_IRQS    5u
#define IRQ_MSI	    1u
#define READABLE    1u
#define WRITABLE    2u

#define INFO_RESET	 1u
#define INFO_PCI	 2u
#define IRQ_EVENTFD	 1u
#define IRQ_NORESIZE	 8u
#define SET_DATA_NONE	 0x01u
#define SET_DATA_EVENTFD 0x04u
#define SET_TRIGGER	 0x20u
#define UNMAP_ALL	 0x2u

/* What is left of the message behind the header. */
struct request {
	struct qeff_vcard *v;
	struct qeff_socket *s;
	const uint8_t *data;
	size_t size_bytes;
	uint8_t reply[QEFF_SOCKET_MAX_REPLY - sizeof(struct qeff_vfio_header)];
	size_t reply_bytes;
};

/* --- version --- */

/* The limits of this server, of those the client knows. */
static int put_version(struct request *r)
{
	json_t *version =
		json_pack("{s:{s:i, s:i, s:i, s:i}}", "capabilities", "max_msg_fds",
			  (int)QEFF_SOCKET_MAX_FDS, "max_data_xfer_size", 4096, "max_dma_maps",
			  (int)QEFF_DMA_MAX_MAPS, "pgsizes", (int)QEFF_DMA_PAGE);
	size_t room = sizeof(r->reply) - 5, size;

	if (!version)
		return -ENOMEM;
	size = json_dumpb(version, (char *)r->reply + 4, room, JSON_COMPACT);
	json_decref(version);
	if (!size || size > room)
		return -ENOMEM;
	r->reply[4 + size] = 0;
	r->reply_bytes = 4 + size + 1;
	return 0;
}

static int do_version(struct request *r)
{
	json_t *theirs;
	size_t size;
	int ret = 0;

	if (r->size_bytes < 4 || qeff_get_u16(r->data) != 0)
		return -EINVAL;
	/* their capabilities are limits of messages that this server does not send, but they have
	 * to make sense */
	size = strnlen((const char *)r->data + 4, r->size_bytes - 4);
	if (size) {
		theirs = json_loadb((const char *)r->data + 4, size, 0, NULL);
		if (!json_is_object(theirs))
			ret = -EINVAL;
		json_decref(theirs);
	}
	if (ret)
		return ret;
	qeff_put_u16(r->reply, 0);
	qeff_put_u16(r->reply + 2, 0);
	return put_version(r);
}

/* --- memory --- */

static int do_dma_map(struct request *r)
{
	struct qeff_dma_map map = { 0 };
	uint32_t flags;

	if (r->size_bytes != 32 || r->s->num_fds > 1)
		return -EINVAL;
	flags = qeff_get_u32(r->data + 4);
	map.readable = flags & READABLE;
	map.writable = flags & WRITABLE;
	map.address = qeff_get_u64(r->data + 16);
	map.size_bytes = qeff_get_u64(r->data + 24);
	return qeff_dma_add(&r->v->dma, &map, r->s->num_fds ? r->s->fds[0] : -1,
			    qeff_get_u64(r->data + 8));
}

static int do_dma_unmap(struct request *r)
{
	uint64_t address, size_bytes;

	if (r->size_bytes < 24)
		return -EINVAL;
	address = qeff_get_u64(r->data + 8);
	size_bytes = qeff_get_u64(r->data + 16);
	memcpy(r->reply, r->data, 24);
	r->reply_bytes = 24;
	if ((qeff_get_u32(r->data + 4) & UNMAP_ALL) && !address && !size_bytes) {
		qeff_dma_remove_all(&r->v->dma);
		return 0;
	}
	return qeff_dma_remove(&r->v->dma, address, size_bytes);
}

/* --- the device --- */

static int do_get_info(struct request *r)
{
	if (r->size_bytes < 16)
		return -EINVAL;
	qeff_put_u32(r->reply, 16);
	qeff_put_u32(r->reply + 4, INFO_RESET | INFO_PCI);
	qeff_put_u32(r->reply + 8, NUM_REGIONS);
	qeff_put_u32(r->reply + 12, NUM_IRQS);
	r->reply_bytes = 16;
	return 0;
}

static int do_get_region_info(struct request *r)
{
	uint32_t index;
	uint64_t size_bytes;

	if (r->size_bytes < 32)
		return -EINVAL;
	index = qeff_get_u32(r->data + 8);
	if (index >= NUM_REGIONS)
		return -EINVAL;
	size_bytes = qeff_region_bytes(index);
	memset(r->reply, 0, 32);
	qeff_put_u32(r->reply, 32);
	/* nothing is mapped: registers would not notice */
	qeff_put_u32(r->reply + 4, size_bytes ? READABLE | WRITABLE : 0);
	qeff_put_u32(r->reply + 8, index);
	qeff_put_u64(r->reply + 16, size_bytes);
	r->reply_bytes = 32;
	return 0;
}

static int do_get_irq_info(struct request *r)
{
	uint32_t index;

	if (r->size_bytes < 16)
		return -EINVAL;
	index = qeff_get_u32(r->data + 8);
	if (index >= NUM_IRQS)
		return -EINVAL;
	qeff_put_u32(r->reply, 16);
	qeff_put_u32(r->reply + 4, index == IRQ_MSI ? IRQ_EVENTFD | IRQ_NORESIZE : 0);
	qeff_put_u32(r->reply + 8, index);
	qeff_put_u32(r->reply + 12, index == IRQ_MSI ? QEFF_IRQ_MESSAGES : 0);
	r->reply_bytes = 16;
	return 0;
}

/* With descriptors: they stand for messages from start on; without: those messages have none. */
static int set_eventfds(struct request *r, uint32_t start, uint32_t count)
{
	int fds[QEFF_IRQ_MESSAGES];

	if (count > QEFF_IRQ_MESSAGES || (r->s->num_fds && r->s->num_fds != count))
		return -EINVAL;
	for (uint32_t i = 0; i < count; i++) {
		fds[i] = r->s->num_fds ? r->s->fds[i] : -1;
		if (r->s->num_fds)
			r->s->fds[i] = -1;
	}
	return qeff_irqs_set(&r->v->irqs, start, count, fds);
}

static int do_set_irqs(struct request *r)
{
	uint32_t flags, index, start, count;

	if (r->size_bytes < 20)
		return -EINVAL;
	flags = qeff_get_u32(r->data + 4);
	index = qeff_get_u32(r->data + 8);
	start = qeff_get_u32(r->data + 12);
	count = qeff_get_u32(r->data + 16);
	if (index >= NUM_IRQS)
		return -EINVAL;
	if (flags == (SET_DATA_NONE | SET_TRIGGER) && !count) {
		if (index == IRQ_MSI)
			qeff_irqs_clear(&r->v->irqs);
		return 0;
	}
	if (index != IRQ_MSI)
		return -EINVAL;
	if (flags == (SET_DATA_EVENTFD | SET_TRIGGER))
		return set_eventfds(r, start, count);
	return -EINVAL;
}

static int do_region_read(struct request *r)
{
	uint32_t count;
	int ret;

	if (r->size_bytes < 16)
		return -EINVAL;
	count = qeff_get_u32(r->data + 12);
	if (count > sizeof(r->reply) - 16)
		return -EINVAL;
	ret = qeff_region_read(r->v, qeff_get_u32(r->data + 8), qeff_get_u64(r->data),
			       r->reply + 16, count);
	if (ret)
		return ret;
	memcpy(r->reply, r->data, 16);
	r->reply_bytes = 16 + count;
	return 0;
}

static int do_region_write(struct request *r)
{
	uint32_t count;

	if (r->size_bytes < 16)
		return -EINVAL;
	count = qeff_get_u32(r->data + 12);
	if (count != r->size_bytes - 16)
		return -EINVAL;
	memcpy(r->reply, r->data, 16);
	r->reply_bytes = 16;
	return qeff_region_write(r->v, qeff_get_u32(r->data + 8), qeff_get_u64(r->data),
				 r->data + 16, count);
}

static int do_device_reset(struct request *r)
{
	r->v->resets++;
	qeff_vcard_power_on(r->v);
	return 0;
}

static int (*const handlers[])(struct request *) = {
	[VERSION] = do_version,
	[DMA_MAP] = do_dma_map,
	[DMA_UNMAP] = do_dma_unmap,
	[GET_INFO] = do_get_info,
	[GET_REGION_INFO] = do_get_region_info,
	[GET_IRQ_INFO] = do_get_irq_info,
	[SET_IRQS] = do_set_irqs,
	[REGION_READ] = do_region_read,
	[REGION_WRITE] = do_region_write,
	[DEVICE_RESET] = do_device_reset,
};

int qeff_vfio_handle(struct qeff_vcard *v, struct qeff_socket *s)
{
	struct qeff_vfio_header h;
	struct request r = {
		.v = v,
		.s = s,
		.data = s->in + sizeof(h),
		.size_bytes = s->in_bytes - sizeof(h),
	};
	int ret = -EOPNOTSUPP;

	memcpy(&h, s->in, sizeof(h));
	/* this server asks nothing, so there is nothing to reply to */
	if ((h.flags & QEFF_VFIO_TYPE) != 0)
		return -EPROTO;
	v->messages++;
	if (h.command < sizeof(handlers) / sizeof(handlers[0]) && handlers[h.command])
		ret = handlers[h.command](&r);
	qeff_socket_reply(s, -ret, r.reply, r.reply_bytes);
	return h.command == VERSION && ret ? ret : 0;
}
