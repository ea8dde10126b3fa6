/* SPDX-License-Identifier: MIT */
/* Events of <qeff/monitor.h> out of what the kernel sends. */
#ifndef QEFF_DEVICE_EVENT_H
#define QEFF_DEVICE_EVENT_H

#include <qeff/monitor.h>

#include <stdbool.h>

struct nlmsghdr;

/* What a message is to a monitor. */
enum qeff_message {
	QEFF_MESSAGE_OTHER = 0, /* of no concern */
	QEFF_MESSAGE_EVENT,	/* @event is filled */
	QEFF_MESSAGE_DRIVER,	/* qeff.ko was loaded: its netlink family is there */
};

/* A datagram of NETLINK_KOBJECT_UEVENT: "action@path", then KEY=VALUE, all ended by NUL. */
enum qeff_message qeff_event_from_uevent(const char *data, size_t size_bytes,
					 struct qeff_event *event);

/* A message of the netlink family of qeff.ko, @message->nlmsg_len bytes of which are there. */
enum qeff_message qeff_event_from_netlink(struct nlmsghdr *message, struct qeff_event *event);

#endif
