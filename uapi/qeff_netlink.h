/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * Telemetry of qeff.ko over generic netlink: family "qeff". Dumps need no privilege. What happens
 * to a card is told to the multicast group "events". qeff_netlink.yaml says the same in the form of
 * the kernel's netlink specifications.
 */
#ifndef QEFF_NETLINK_H
#define QEFF_NETLINK_H

#define QEFF_NETLINK_NAME    "qeff"
#define QEFF_NETLINK_VERSION 1
#define QEFF_NETLINK_EVENTS  "events"

/* QEFF_A_DEVICE_STATE */
enum {
	QEFF_STATE_OFFLINE,
	QEFF_STATE_BOOT,
	QEFF_STATE_ONLINE,
};

/* QEFF_A_RAS_TYPE, as the card says it */
enum {
	QEFF_RAS_CORRECTABLE,
	QEFF_RAS_FATAL,
	QEFF_RAS_NONFATAL,
};

/**
 * enum - commands
 * @QEFF_CMD_DEVICE_GET: dump: one message per card, with attributes of qeff_a_device
 * @QEFF_CMD_DBC_GET: dump: one message per DMA bridge channel of each card (of the one that
 *	QEFF_A_DBC_DEVICE names, if it is given), with attributes of qeff_a_dbc
 * @QEFF_CMD_STATE_NTF: event: a card came online or went offline; DEVICE_PCI, DEVICE_NODE,
 *	DEVICE_STATE, DEVICE_SERIAL
 * @QEFF_CMD_RESET_NTF: event: a card is being reset; DEVICE_PCI, DEVICE_NODE, DEVICE_REASON
 * @QEFF_CMD_DBC_NTF: event: a channel changed its state; DBC_DEVICE, DBC_ID, DBC_STATE
 * @QEFF_CMD_RAS_NTF: event: the card reported an error; attributes of qeff_a_ras
 */
enum {
	QEFF_CMD_UNSPEC,
	QEFF_CMD_DEVICE_GET,
	QEFF_CMD_DBC_GET,
	QEFF_CMD_STATE_NTF,
	QEFF_CMD_RESET_NTF,
	QEFF_CMD_DBC_NTF,
	QEFF_CMD_RAS_NTF,
};

/**
 * enum qeff_a_device - attributes of a card
 * @QEFF_A_DEVICE_PCI: string: PCI address, "0000:01:00.0"
 * @QEFF_A_DEVICE_NODE: u32: the number in the name of its node (accelN, on 6.1 renderDN)
 * @QEFF_A_DEVICE_STATE: u32: QEFF_STATE_*
 * @QEFF_A_DEVICE_SERIAL: u32: as its boot loader gives it
 * @QEFF_A_DEVICE_RESETS: u32: since the driver was bound
 * @QEFF_A_DEVICE_CE: u32: corrected errors
 * @QEFF_A_DEVICE_UE: u32: fatal errors
 * @QEFF_A_DEVICE_UE_NONFATAL: u32: other uncorrected errors
 * @QEFF_A_DEVICE_REASON: string: why it is reset
 */
enum qeff_a_device {
	QEFF_A_DEVICE_UNSPEC,
	QEFF_A_DEVICE_PCI,
	QEFF_A_DEVICE_NODE,
	QEFF_A_DEVICE_STATE,
	QEFF_A_DEVICE_SERIAL,
	QEFF_A_DEVICE_RESETS,
	QEFF_A_DEVICE_CE,
	QEFF_A_DEVICE_UE,
	QEFF_A_DEVICE_UE_NONFATAL,
	QEFF_A_DEVICE_REASON,
	QEFF_A_DEVICE_END,
	QEFF_A_DEVICE_MAX = QEFF_A_DEVICE_END - 1
};

/**
 * enum qeff_a_dbc - attributes of a DMA bridge channel; numbers count since the driver was bound
 * @QEFF_A_DBC_PAD: pads 64-bit attributes
 * @QEFF_A_DBC_DEVICE: string: PCI address of its card
 * @QEFF_A_DBC_ID: u32: 0..15
 * @QEFF_A_DBC_STATE: u32: as in the node's attribute dbc<N>_state
 * @QEFF_A_DBC_ELEMENTS: u32: size of its ring; 0 if it is not in use
 * @QEFF_A_DBC_QUEUED: u32: buffers queued now
 * @QEFF_A_DBC_QUEUE_HIGH: u32: most elements ever in its ring
 * @QEFF_A_DBC_SUBMITTED: u64: buffers queued
 * @QEFF_A_DBC_COMPLETED: u64: of which have ended
 * @QEFF_A_DBC_FAILED: u64: of which with an error
 * @QEFF_A_DBC_BYTES_TO_DEVICE: u64: moved by those without
 * @QEFF_A_DBC_BYTES_FROM_DEVICE: u64: moved by those without
 * @QEFF_A_DBC_INTERRUPTS: u64: that were for this channel
 */
enum qeff_a_dbc {
	QEFF_A_DBC_UNSPEC,
	QEFF_A_DBC_PAD,
	QEFF_A_DBC_DEVICE,
	QEFF_A_DBC_ID,
	QEFF_A_DBC_STATE,
	QEFF_A_DBC_ELEMENTS,
	QEFF_A_DBC_QUEUED,
	QEFF_A_DBC_QUEUE_HIGH,
	QEFF_A_DBC_SUBMITTED,
	QEFF_A_DBC_COMPLETED,
	QEFF_A_DBC_FAILED,
	QEFF_A_DBC_BYTES_TO_DEVICE,
	QEFF_A_DBC_BYTES_FROM_DEVICE,
	QEFF_A_DBC_INTERRUPTS,
	QEFF_A_DBC_END,
	QEFF_A_DBC_MAX = QEFF_A_DBC_END - 1
};

/**
 * enum qeff_a_ras - attributes of an error
 * @QEFF_A_RAS_DEVICE: string: PCI address of the card
 * @QEFF_A_RAS_SOURCE: u32: 0 SoC memory, 1 PCIe, 2 DDR, 3 and 4 system buses, 5 NSP memory,
 *	6 temperature sensor
 * @QEFF_A_RAS_TYPE: u32: QEFF_RAS_*
 * @QEFF_A_RAS_COUNT: u32: how many
 */
enum qeff_a_ras {
	QEFF_A_RAS_UNSPEC,
	QEFF_A_RAS_DEVICE,
	QEFF_A_RAS_SOURCE,
	QEFF_A_RAS_TYPE,
	QEFF_A_RAS_COUNT,
	QEFF_A_RAS_END,
	QEFF_A_RAS_MAX = QEFF_A_RAS_END - 1
};

#endif
