/* SPDX-License-Identifier: MIT */
/*
 * Reading what the kernel says of cards. Both kinds of driver tell by uevents of the node when a
 * card comes online or goes, and of states of channels; the PCI core when it appears and
 * disappears. Why it is reset and which errors it reported is told by the netlink family of qeff.ko
 * alone. So each thing is taken from one source, and none is told twice.
 */
#include "device/event.h"

#include "device/discover.h"

#include <netlink/genl/genl.h>
#include <qeff_netlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[] = {
	[QEFF_EVENT_ADDED] = "added",	[QEFF_EVENT_REMOVED] = "removed",
	[QEFF_EVENT_ONLINE] = "online", [QEFF_EVENT_OFFLINE] = "offline",
	[QEFF_EVENT_RESET] = "reset",	[QEFF_EVENT_CHANNEL] = "channel",
	[QEFF_EVENT_ERROR] = "error",	[QEFF_EVENT_LOST] = "lost",
};

const char *qeff_event_name(enum qeff_event_kind kind)
{
	return (unsigned int)kind < sizeof(names) / sizeof(names[0]) ? names[kind] : "unknown";
}

/* The value of a key, or an empty text. */
static const char *value_of(const char *data, size_t size_bytes, const char *key)
{
	size_t length = strlen(key);
	const char *end = data + size_bytes;

	for (const char *at = data; at < end; at += strlen(at) + 1)
		if (strncmp(at, key, length) == 0 && at[length] == '=')
			return at + length + 1;
	return "";
}

static uint32_t number(const char *text)
{
	return (uint32_t)strtoul(text, NULL, 10);
}

/* ".../0000:03:00.0/accel/accel0": the PCI function that the node belongs to. */
static bool take_address(const char *path, const char *subsystem, struct qeff_event *event)
{
	char below[32];
	const char *end, *begin;

	snprintf(below, sizeof(below), "/%s/", subsystem);
	end = strstr(path, below);
	if (!end)
		return false;
	for (begin = end; begin > path && begin[-1] != '/'; begin--)
		;
	if ((size_t)(end - begin) >= sizeof(event->pci_address))
		return false;
	memcpy(event->pci_address, begin, (size_t)(end - begin));
	return true;
}

/* A node: accelN, or renderDN of kernels without that subsystem. Only drivers of cards say of one
 * that it is online. */
static enum qeff_message from_node(const char *data, size_t size_bytes, struct qeff_event *event)
{
	const char *action = value_of(data, size_bytes, "ACTION");
	const char *channel = value_of(data, size_bytes, "DBC_ID");

	if (strcmp(action, "online") == 0)
		event->kind = QEFF_EVENT_ONLINE;
	else if (strcmp(action, "offline") == 0)
		event->kind = QEFF_EVENT_OFFLINE;
	else if (strcmp(action, "change") == 0 && *channel)
		event->kind = QEFF_EVENT_CHANNEL;
	else
		return QEFF_MESSAGE_OTHER;
	event->serial = number(value_of(data, size_bytes, "SERIAL"));
	if (event->kind == QEFF_EVENT_CHANNEL) {
		event->channel = number(channel);
		event->channel_state = number(value_of(data, size_bytes, "DBC_STATE"));
	}
	return take_address(value_of(data, size_bytes, "DEVPATH"),
			    value_of(data, size_bytes, "SUBSYSTEM"), event)
		       ? QEFF_MESSAGE_EVENT
		       : QEFF_MESSAGE_OTHER;
}

static enum qeff_message from_pci(const char *data, size_t size_bytes, struct qeff_event *event)
{
	const char *action = value_of(data, size_bytes, "ACTION");
	unsigned int vendor, device;

	if (sscanf(value_of(data, size_bytes, "PCI_ID"), "%x:%x", &vendor, &device) != 2 ||
	    vendor != QEFF_PCI_VENDOR ||
	    (device != QEFF_PCI_DEVICE_AIC080 && device != QEFF_PCI_DEVICE_AIC100))
		return QEFF_MESSAGE_OTHER;
	if (strcmp(action, "add") == 0)
		event->kind = QEFF_EVENT_ADDED;
	else if (strcmp(action, "remove") == 0)
		event->kind = QEFF_EVENT_REMOVED;
	else
		return QEFF_MESSAGE_OTHER;
	snprintf(event->pci_address, sizeof(event->pci_address), "%s",
		 value_of(data, size_bytes, "PCI_SLOT_NAME"));
	return QEFF_MESSAGE_EVENT;
}

enum qeff_message qeff_event_from_uevent(const char *data, size_t size_bytes,
					 struct qeff_event *event)
{
	const char *subsystem;

	*event = (struct qeff_event){ 0 };
	/* the last text has to end before the datagram does */
	if (size_bytes == 0 || data[size_bytes - 1] != '\0')
		return QEFF_MESSAGE_OTHER;
	subsystem = value_of(data, size_bytes, "SUBSYSTEM");
	if (strcmp(subsystem, "accel") == 0 || strcmp(subsystem, "drm") == 0)
		return from_node(data, size_bytes, event);
	if (strcmp(subsystem, "pci") == 0)
		return from_pci(data, size_bytes, event);
	/* the driver registers its family before itself */
	if (strcmp(subsystem, "drivers") == 0 &&
	    strcmp(value_of(data, size_bytes, "ACTION"), "add") == 0 &&
	    strcmp(value_of(data, size_bytes, "DEVPATH"), "/bus/pci/drivers/qeff") == 0)
		return QEFF_MESSAGE_DRIVER;
	return QEFF_MESSAGE_OTHER;
}

/* Texts are checked by the policy to end. */
static struct nla_policy device_policy[QEFF_A_DEVICE_MAX + 1] = {
	[QEFF_A_DEVICE_PCI] = { .type = NLA_STRING, .minlen = 1 },
	[QEFF_A_DEVICE_SERIAL] = { .type = NLA_U32 },
	[QEFF_A_DEVICE_REASON] = { .type = NLA_STRING, .minlen = 1 },
};

static struct nla_policy ras_policy[QEFF_A_RAS_MAX + 1] = {
	[QEFF_A_RAS_DEVICE] = { .type = NLA_STRING, .minlen = 1 },
	[QEFF_A_RAS_SOURCE] = { .type = NLA_U32 },
	[QEFF_A_RAS_TYPE] = { .type = NLA_U32 },
	[QEFF_A_RAS_COUNT] = { .type = NLA_U32 },
};

static uint32_t u32_of(const struct nlattr *attribute)
{
	return attribute ? nla_get_u32(attribute) : 0;
}

static void text_of(const struct nlattr *attribute, char *text, size_t size_bytes)
{
	snprintf(text, size_bytes, "%s", attribute ? nla_get_string(attribute) : "");
}

static enum qeff_message from_reset(struct nlmsghdr *message, struct qeff_event *event)
{
	struct nlattr *a[QEFF_A_DEVICE_MAX + 1];

	if (genlmsg_parse(message, 0, a, QEFF_A_DEVICE_MAX, device_policy) < 0)
		return QEFF_MESSAGE_OTHER;
	event->kind = QEFF_EVENT_RESET;
	event->serial = u32_of(a[QEFF_A_DEVICE_SERIAL]);
	text_of(a[QEFF_A_DEVICE_PCI], event->pci_address, sizeof(event->pci_address));
	text_of(a[QEFF_A_DEVICE_REASON], event->reason, sizeof(event->reason));
	return QEFF_MESSAGE_EVENT;
}

static enum qeff_message from_ras(struct nlmsghdr *message, struct qeff_event *event)
{
	struct nlattr *a[QEFF_A_RAS_MAX + 1];

	if (genlmsg_parse(message, 0, a, QEFF_A_RAS_MAX, ras_policy) < 0)
		return QEFF_MESSAGE_OTHER;
	event->kind = QEFF_EVENT_ERROR;
	text_of(a[QEFF_A_RAS_DEVICE], event->pci_address, sizeof(event->pci_address));
	event->error_type = (enum qeff_card_error)u32_of(a[QEFF_A_RAS_TYPE]);
	event->error_source = u32_of(a[QEFF_A_RAS_SOURCE]);
	event->error_count = u32_of(a[QEFF_A_RAS_COUNT]);
	return QEFF_MESSAGE_EVENT;
}

enum qeff_message qeff_event_from_netlink(struct nlmsghdr *message, struct qeff_event *event)
{
	*event = (struct qeff_event){ 0 };
	if (!genlmsg_valid_hdr(message, 0))
		return QEFF_MESSAGE_OTHER;
	switch (genlmsg_hdr(message)->cmd) {
	case QEFF_CMD_RESET_NTF:
		return from_reset(message, event);
	case QEFF_CMD_RAS_NTF:
		return from_ras(message, event);
	default:
		return QEFF_MESSAGE_OTHER;
	}
}
