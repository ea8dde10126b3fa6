/* SPDX-License-Identifier: MIT */
/*
 * What a monitor makes of the kernel's messages, which are written here byte by byte: uevents as
 * the PCI core and both drivers send them, messages of the netlink family of qeff.ko, and what is
 * none of them. And a monitor on the sockets of the kernel that runs the test.
 */
#include "unit.h"

#include "device/event.h"

#include <errno.h>
#include <linux/netlink.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

static struct qeff_event event;

/* A text with its variables ended by NUL, the last one by the literal's own. */
#define UEVENT(text) qeff_event_from_uevent(text, sizeof(text), &event)

static void nodes(void)
{
	CU_ASSERT_EQUAL(
		UEVENT("online@/devices/pci0000:00/0000:00:01.0/0000:01:00.0/accel/accel0\0"
		       "ACTION=online\0"
		       "DEVPATH=/devices/pci0000:00/0000:00:01.0/0000:01:00.0/accel/accel0\0"
		       "SUBSYSTEM=accel\0SERIAL=305419896\0MAJOR=261\0MINOR=0\0"
		       "DEVNAME=accel/accel0\0SEQNUM=1000"),
		QEFF_MESSAGE_EVENT);
	CU_ASSERT_EQUAL(event.kind, QEFF_EVENT_ONLINE);
	CU_ASSERT_STRING_EQUAL(event.pci_address, "0000:01:00.0");
	CU_ASSERT_EQUAL(event.serial, 305419896);

	/* as 6.1 has it: a render node; and as qaic says it, without a serial number */
	CU_ASSERT_EQUAL(UEVENT("offline@/devices/pci0000:00/0000:00:01.0/drm/renderD128\0"
			       "ACTION=offline\0DEVPATH=/devices/pci0000:00/0000:00:01.0/drm/"
			       "renderD128\0SUBSYSTEM=drm\0DEVNAME=dri/renderD128"),
			QEFF_MESSAGE_EVENT);
	CU_ASSERT_EQUAL(event.kind, QEFF_EVENT_OFFLINE);
	CU_ASSERT_STRING_EQUAL(event.pci_address, "0000:00:01.0");
	CU_ASSERT_EQUAL(event.serial, 0);

	CU_ASSERT_EQUAL(UEVENT("change@/devices/pci0000:00/0000:00:01.0/accel/accel3\0"
			       "ACTION=change\0DEVPATH=/devices/pci0000:00/0000:00:01.0/accel/"
			       "accel3\0SUBSYSTEM=accel\0DBC_ID=15\0DBC_STATE=2"),
			QEFF_MESSAGE_EVENT);
	CU_ASSERT_EQUAL(event.kind, QEFF_EVENT_CHANNEL);
	CU_ASSERT_EQUAL(event.channel, 15);
	CU_ASSERT_EQUAL(event.channel_state, 2);
}

static void functions(void)
{
	CU_ASSERT_EQUAL(UEVENT("add@/devices/pci0000:00/0000:00:01.0/0000:01:00.0\0ACTION=add\0"
			       "DEVPATH=/devices/pci0000:00/0000:00:01.0/0000:01:00.0\0"
			       "SUBSYSTEM=pci\0PCI_CLASS=120000\0PCI_ID=17CB:A100\0"
			       "PCI_SLOT_NAME=0000:01:00.0"),
			QEFF_MESSAGE_EVENT);
	CU_ASSERT_EQUAL(event.kind, QEFF_EVENT_ADDED);
	CU_ASSERT_STRING_EQUAL(event.pci_address, "0000:01:00.0");
	CU_ASSERT_EQUAL(UEVENT("remove@/x\0ACTION=remove\0SUBSYSTEM=pci\0PCI_ID=17CB:A080\0"
			       "PCI_SLOT_NAME=0001:ff:1f.7"),
			QEFF_MESSAGE_EVENT);
	CU_ASSERT_EQUAL(event.kind, QEFF_EVENT_REMOVED);
	CU_ASSERT_STRING_EQUAL(event.pci_address, "0001:ff:1f.7");

	/* another vendor, another of this vendor, and what is no appearance */
	CU_ASSERT_EQUAL(UEVENT("add@/x\0ACTION=add\0SUBSYSTEM=pci\0PCI_ID=8086:A100\0"
			       "PCI_SLOT_NAME=0000:01:00.0"),
			QEFF_MESSAGE_OTHER);
	CU_ASSERT_EQUAL(UEVENT("add@/x\0ACTION=add\0SUBSYSTEM=pci\0PCI_ID=17CB:1103\0"
			       "PCI_SLOT_NAME=0000:01:00.0"),
			QEFF_MESSAGE_OTHER);
	CU_ASSERT_EQUAL(UEVENT("bind@/x\0ACTION=bind\0SUBSYSTEM=pci\0PCI_ID=17CB:A100\0"
			       "PCI_SLOT_NAME=0000:01:00.0"),
			QEFF_MESSAGE_OTHER);
	CU_ASSERT_EQUAL(UEVENT("add@/bus/pci/drivers/qeff\0ACTION=add\0"
			       "DEVPATH=/bus/pci/drivers/qeff\0SUBSYSTEM=drivers"),
			QEFF_MESSAGE_DRIVER);
	CU_ASSERT_EQUAL(UEVENT("add@/bus/pci/drivers/nvme\0ACTION=add\0"
			       "DEVPATH=/bus/pci/drivers/nvme\0SUBSYSTEM=drivers"),
			QEFF_MESSAGE_OTHER);
}

static void no_uevents(void)
{
	char unended[] = "online@/a/0000:01:00.0/accel/accel0";

	CU_ASSERT_EQUAL(qeff_event_from_uevent(NULL, 0, &event), QEFF_MESSAGE_OTHER);
	CU_ASSERT_EQUAL(qeff_event_from_uevent("", 1, &event), QEFF_MESSAGE_OTHER);
	CU_ASSERT_EQUAL(qeff_event_from_uevent(unended, sizeof(unended) - 1, &event),
			QEFF_MESSAGE_OTHER);
	/* a processor, a node that was merely added, a path without a function, one that is too
	 * long for an address */
	CU_ASSERT_EQUAL(UEVENT("online@/devices/system/cpu/cpu1\0ACTION=online\0"
			       "DEVPATH=/devices/system/cpu/cpu1\0SUBSYSTEM=cpu"),
			QEFF_MESSAGE_OTHER);
	CU_ASSERT_EQUAL(UEVENT("add@/a/0000:01:00.0/accel/accel0\0ACTION=add\0"
			       "DEVPATH=/a/0000:01:00.0/accel/accel0\0SUBSYSTEM=accel"),
			QEFF_MESSAGE_OTHER);
	CU_ASSERT_EQUAL(UEVENT("online@/accel0\0ACTION=online\0DEVPATH=/accel0\0SUBSYSTEM=accel"),
			QEFF_MESSAGE_OTHER);
	CU_ASSERT_EQUAL(UEVENT("online@/x\0ACTION=online\0"
			       "DEVPATH=/0123456789abcdef/accel/accel0\0SUBSYSTEM=accel"),
			QEFF_MESSAGE_OTHER);
	/* keys are whole words */
	CU_ASSERT_EQUAL(UEVENT("x@/x\0XACTION=online\0ACTIONS=online\0SUBSYSTEM=accel\0"
			       "DEVPATH=/a/0000:01:00.0/accel/accel0"),
			QEFF_MESSAGE_OTHER);
}

/* The kernel's numbers are in the machine's order; here, as on any machine with a card, little
 * endian. */
static enum qeff_message from_netlink(const unsigned char *bytes, size_t size_bytes)
{
	static uint32_t aligned[64];

	CU_ASSERT_TRUE_FATAL(size_bytes <= sizeof(aligned));
	memcpy(aligned, bytes, size_bytes);
	return qeff_event_from_netlink((struct nlmsghdr *)aligned, &event);
}

/* clang-format off */
#define HEADER(length, command) \
	length, 0, 0, 0,  0x20, 0, 0, 0,  0, 0, 0, 0,  0, 0, 0, 0,  command, 1, 0, 0
#define ADDRESS \
	17, 0, 1, 0,  '0', '0', '0', '0', ':', '0', '1', ':', '0', '0', '.', '0', 0,  0, 0, 0

static const unsigned char reset[] = {
	HEADER(20 + 20 + 8 + 12, 4), ADDRESS,
	8, 0, 4, 0,  0x78, 0x56, 0x34, 0x12,
	11, 0, 9, 0,  't', 'h', 'e', ' ', 'b', 'u', 0,  0,
};
static const unsigned char ras[] = {
	HEADER(20 + 20 + 24, 6), ADDRESS,
	8, 0, 2, 0,  5, 0, 0, 0,
	8, 0, 3, 0,  2, 0, 0, 0,
	8, 0, 4, 0,  7, 0, 0, 0,
};
static const unsigned char state[] = { HEADER(20 + 20 + 8, 3), ADDRESS, 8, 0, 3, 0, 2, 0, 0, 0 };
static const unsigned char unended_text[] = {
	HEADER(20 + 8, 4),
	8, 0, 9, 0,  'b', 'u', 's', '!',
};
static const unsigned char short_number[] = { HEADER(20 + 8, 6), 6, 0, 4, 0,  7, 0, 0, 0 };
/* the header of the family is cut */
static const unsigned char cut[] = { 18, 0, 0, 0,  0x20, 0, 0, 0,  0, 0, 0, 0,  0, 0, 0, 0,  4, 1, 0, 0 };
/* clang-format on */

static void netlink(void)
{
	CU_ASSERT_EQUAL(from_netlink(reset, sizeof(reset)), QEFF_MESSAGE_EVENT);
	CU_ASSERT_EQUAL(event.kind, QEFF_EVENT_RESET);
	CU_ASSERT_STRING_EQUAL(event.pci_address, "0000:01:00.0");
	CU_ASSERT_EQUAL(event.serial, 0x12345678);
	CU_ASSERT_STRING_EQUAL(event.reason, "the bu");

	CU_ASSERT_EQUAL(from_netlink(ras, sizeof(ras)), QEFF_MESSAGE_EVENT);
	CU_ASSERT_EQUAL(event.kind, QEFF_EVENT_ERROR);
	CU_ASSERT_STRING_EQUAL(event.pci_address, "0000:01:00.0");
	CU_ASSERT_EQUAL(event.error_source, 5);
	CU_ASSERT_EQUAL(event.error_type, QEFF_CARD_ERROR_UNCORRECTED);
	CU_ASSERT_EQUAL(event.error_count, 7);

	/* told by uevents already */
	CU_ASSERT_EQUAL(from_netlink(state, sizeof(state)), QEFF_MESSAGE_OTHER);
	CU_ASSERT_EQUAL(from_netlink(unended_text, sizeof(unended_text)), QEFF_MESSAGE_OTHER);
	CU_ASSERT_EQUAL(from_netlink(short_number, sizeof(short_number)), QEFF_MESSAGE_OTHER);
	CU_ASSERT_EQUAL(from_netlink(cut, sizeof(cut)), QEFF_MESSAGE_OTHER);
}

static void a_monitor(void)
{
	struct qeff_monitor *monitor = NULL;
	struct qeff_error err = { 0 };
	struct pollfd fd;

	/* a card that cannot be there, so that nothing of this machine disturbs */
	CU_ASSERT_EQUAL_FATAL(qeff_monitor_open("ffff:ff:1f.7", &monitor, &err), 0);
	fd = (struct pollfd){ .fd = qeff_monitor_fd(monitor), .events = POLLIN };
	CU_ASSERT_TRUE(poll(&fd, 1, 0) >= 0 && !(fd.revents & (POLLERR | POLLNVAL)));
	CU_ASSERT_EQUAL(qeff_monitor_next(monitor, 0, &event, &err), -ETIMEDOUT);
	CU_ASSERT_EQUAL(qeff_monitor_next(monitor, 20, &event, NULL), -ETIMEDOUT);
	qeff_monitor_close(monitor);
	qeff_monitor_close(NULL);
}

static void counters(void)
{
	struct qeff_device_info info = { .name = "0000:01:00.0", .driver = "qaic" };
	struct qeff_counters read;
	struct qeff_error err = { 0 };

	CU_ASSERT_EQUAL(qeff_counters_read(&info, &read, &err), -EOPNOTSUPP);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "only qeff.ko"));
	/* a card that this kernel has not, be the module here or not */
	strcpy(info.driver, "qeff");
	strcpy(info.pci_address, "ffff:ff:1f.7");
	CU_ASSERT_EQUAL(qeff_counters_read(&info, &read, &err), -ENODEV);
}

static void names(void)
{
	CU_ASSERT_STRING_EQUAL(qeff_event_name(QEFF_EVENT_ADDED), "added");
	CU_ASSERT_STRING_EQUAL(qeff_event_name(QEFF_EVENT_LOST), "lost");
	CU_ASSERT_STRING_EQUAL(qeff_event_name((enum qeff_event_kind)99), "unknown");
}

static const struct unit_test tests[] = {
	{ "events of nodes", nodes }, { "events of PCI functions", functions },
	{ "no uevents", no_uevents }, { "netlink messages", netlink },
	{ "a monitor", a_monitor },   { "counters", counters },
	{ "names of events", names },
};

QEFF_UNIT_MAIN("device_event", tests)
