/* SPDX-License-Identifier: MIT */
/*
 * Watching cards: a socket for the kernel's uevents, and one for the events of qeff.ko while it is
 * loaded. A module that is loaded again has a new family, which is joined anew when the driver
 * appears.
 */
#include "device/event.h"

#include "util/cancel.h"
#include "util/error.h"

#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>
#include <poll.h>
#include <qeff_netlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

/* The kernel's own multicast group; the other one is udev's. */
#define UEVENT_GROUP 1
/* Uevents have at most 2 KiB of variables, our messages less. */
#define MESSAGE_BYTES 8192
/* As many events as a machine may have while a watcher sleeps. */
#define SOCKET_BYTES (1 << 20)

struct qeff_monitor {
	int epoll;
	struct nl_sock *uevents;
	struct nl_sock *driver; /* NULL while qeff.ko is not loaded */
	char only[16];		/* the card to watch; empty for all */
};

static int watch(struct qeff_monitor *m, struct nl_sock *socket)
{
	struct epoll_event event = { .events = EPOLLIN };

	nl_socket_set_buffer_size(socket, SOCKET_BYTES, 0);
	nl_socket_set_msg_buf_size(socket, MESSAGE_BYTES);
	if (nl_socket_set_nonblocking(socket) < 0 ||
	    epoll_ctl(m->epoll, EPOLL_CTL_ADD, nl_socket_get_fd(socket), &event) < 0)
		return -ENOMEM;
	return 0;
}

static void leave_driver(struct qeff_monitor *m)
{
	nl_socket_free(m->driver);
	m->driver = NULL;
}

/* Whether it is there or not: events of the kernel come in any case. */
static void join_driver(struct qeff_monitor *m)
{
	int group;

	leave_driver(m);
	/* the kernel would look for a module of that name, in vain */
	if (access("/sys/bus/pci/drivers/qeff", F_OK) < 0)
		return;
	m->driver = nl_socket_alloc();
	if (!m->driver)
		return;
	nl_socket_disable_seq_check(m->driver);
	if (genl_connect(m->driver) < 0) {
		leave_driver(m);
		return;
	}
	group = genl_ctrl_resolve_grp(m->driver, QEFF_NETLINK_NAME, QEFF_NETLINK_EVENTS);
	if (group < 0 || nl_socket_add_membership(m->driver, group) < 0 || watch(m, m->driver))
		leave_driver(m);
}

int qeff_monitor_open(const char *pci_address, struct qeff_monitor **monitor,
		      struct qeff_error *err)
{
	struct qeff_monitor *m = calloc(1, sizeof(*m));
	QEFF_NO_CANCEL;
	int ret;

	if (!m)
		return qeff_error_set(err, -ENOMEM, "monitor: out of memory");
	snprintf(m->only, sizeof(m->only), "%s", pci_address ? pci_address : "");
	m->epoll = epoll_create1(EPOLL_CLOEXEC);
	m->uevents = nl_socket_alloc();
	if (m->epoll < 0 || !m->uevents) {
		ret = qeff_error_set(err, -ENOMEM, "monitor: no room for a socket");
		goto fail;
	}
	nl_socket_disable_seq_check(m->uevents);
	nl_join_groups(m->uevents, UEVENT_GROUP);
	ret = nl_connect(m->uevents, NETLINK_KOBJECT_UEVENT);
	if (ret < 0) {
		ret = qeff_error_set(err, -EIO, "monitor: the kernel's device events: %s",
				     nl_geterror(ret));
		goto fail;
	}
	if (watch(m, m->uevents)) {
		ret = qeff_error_set(err, -ENOMEM, "monitor: no room for a socket");
		goto fail;
	}
	join_driver(m);
	*monitor = m;
	return 0;
fail:
	qeff_monitor_close(m);
	return ret;
}

void qeff_monitor_close(struct qeff_monitor *monitor)
{
	QEFF_NO_CANCEL;

	if (!monitor)
		return;
	leave_driver(monitor);
	nl_socket_free(monitor->uevents);
	if (monitor->epoll >= 0)
		close(monitor->epoll);
	free(monitor);
}

int qeff_monitor_fd(const struct qeff_monitor *monitor)
{
	return monitor->epoll;
}

/* One datagram: 0 if there is none. */
static int receive(struct nl_sock *socket, unsigned char **data)
{
	struct sockaddr_nl from = { 0 };
	int size;

	*data = NULL;
	size = nl_recv(socket, &from, data, NULL);
	if (size == -NLE_AGAIN)
		return 0;
	/* of other processes, only privileged ones could send to a group; none is believed */
	if (size > 0 && from.nl_pid != 0) {
		free(*data);
		*data = NULL;
		return -NLE_NOADDR;
	}
	return size;
}

/* Reads until something is an event. Returns whether there was one. */
static bool next_of(struct qeff_monitor *m, struct nl_sock *socket, bool uevents,
		    struct qeff_event *event)
{
	enum qeff_message what;
	unsigned char *data;
	int size;

	for (;;) {
		what = QEFF_MESSAGE_OTHER;
		size = receive(socket, &data);
		if (size == -NLE_NOMEM) { /* what ENOBUFS becomes: the socket ran over */
			*event = (struct qeff_event){ .kind = QEFF_EVENT_LOST };
			return true;
		}
		if (size == -NLE_NOADDR || size == -NLE_MSG_TRUNC)
			continue;
		if (size <= 0)
			return false;
		if (uevents)
			what = qeff_event_from_uevent((const char *)data, (size_t)size, event);
		else if (nlmsg_ok((struct nlmsghdr *)data, size))
			what = qeff_event_from_netlink((struct nlmsghdr *)data, event);
		free(data);
		if (what == QEFF_MESSAGE_EVENT &&
		    (!m->only[0] || strcmp(m->only, event->pci_address) == 0))
			return true;
		if (what == QEFF_MESSAGE_DRIVER)
			join_driver(m);
	}
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int qeff_monitor_next(struct qeff_monitor *monitor, int timeout_ms, struct qeff_event *event,
		      struct qeff_error *err)
{
	int64_t deadline = now_ms() + timeout_ms;
	struct pollfd fd = { .fd = monitor->epoll, .events = POLLIN };
	QEFF_NO_CANCEL;
	int64_t left;

	for (;;) {
		/* what the driver says of a reset comes before that the card is offline */
		if (monitor->driver && next_of(monitor, monitor->driver, false, event))
			return 0;
		if (next_of(monitor, monitor->uevents, true, event))
			return 0;
		left = timeout_ms < 0 ? -1 : deadline - now_ms();
		if (timeout_ms >= 0 && left <= 0)
			return qeff_error_set(err, -ETIMEDOUT, "no event within %d ms", timeout_ms);
		if (poll(&fd, 1, (int)left) < 0)
			return qeff_error_set(err, -errno,
					      errno == EINTR ? "interrupted by a signal"
							     : "monitor: poll failed");
	}
}
