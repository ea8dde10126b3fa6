/* SPDX-License-Identifier: MIT */
/*
 * Cards: which there are, what state they are in, opening one, asking it how it is, and what the
 * processes of this machine run on them.
 *
 * A card is a PCI function of a Cloud AI 100 or 080, driven by qeff.ko or mainline qaic, or a card
 * made of software that lives inside the process that opens it.
 *
 * Threads: every function here may be called from any number of threads at once, on one card as
 * well, but qeff_device_close(). Lists belong to the caller and are plain data: any number of
 * threads may read one. No function of this header is a cancellation point: a thread that is
 * cancelled in one ends after it has returned. The environment is read when cards are listed or
 * opened and must not be changed meanwhile.
 *
 * Environment:
 *
 * QEFF_SOFTCARDS - the software cards: "key=value,..." for each, separated by ";".
 * Keys: nsps (1..16), ddr (bytes; K, M, G, T), sku (M.2, PCIe, Pro, Lite, Ultra, ...), serial.
 * What is left out is as on the default card, nsps=16,ddr=32G,sku=PCIe. Unset: one default card.
 *
 * QEFF_POISON=1 - software cards check that programs write only what they declare (slow).
 *
 * QEFF_TRACE - a file that receives, as text, what the first software card of the process is asked
 * to do; other cards add their number to its name. Written anew each time the card is made.
 *
 * QEFF_SYSFS - a directory in place of /sys; dev, lib and etc are then looked for beside it.
 */
#ifndef QEFF_DEVICE_H
#define QEFF_DEVICE_H

#include <qeff/api.h>
#include <qeff/error.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct qeff_device;

/**
 * enum qeff_device_kind - what answers
 * @QEFF_DEVICE_DRM: a PCI function behind a kernel driver
 * @QEFF_DEVICE_SOFT: a software card in this process
 */
enum qeff_device_kind {
	QEFF_DEVICE_DRM = 0,
	QEFF_DEVICE_SOFT = 1,
};

/**
 * enum qeff_device_state - whether a card can be used, and if not, what stands in the way
 * @QEFF_DEVICE_READY: it can be opened
 * @QEFF_DEVICE_BOOTING: its firmware is being loaded
 * @QEFF_DEVICE_OFFLINE: a driver holds it, but it does not answer
 * @QEFF_DEVICE_NO_FIRMWARE: as offline, and the firmware files the driver asks for are not
 * installed
 * @QEFF_DEVICE_NO_DRIVER: no driver that this library can talk to holds it
 * @QEFF_DEVICE_NO_NODE: driven, but without a device node here (a container, perhaps)
 * @QEFF_DEVICE_NO_PERMISSION: this user may not open its device node
 */
enum qeff_device_state {
	QEFF_DEVICE_READY = 0,
	QEFF_DEVICE_BOOTING,
	QEFF_DEVICE_OFFLINE,
	QEFF_DEVICE_NO_FIRMWARE,
	QEFF_DEVICE_NO_DRIVER,
	QEFF_DEVICE_NO_NODE,
	QEFF_DEVICE_NO_PERMISSION,
};

/**
 * struct qeff_device_info - one card of the list
 * @index: its number: PCI functions in the order of their addresses, then software cards
 * @kind: what it is
 * @state: whether it can be used; found without opening it, so a card that hangs does not hang the
 * list
 * @name: "0000:03:00.0" or "soft0"
 * @pci_address: "0000:03:00.0"; empty for a software card
 * @pci_device: PCI device id; 0 for a software card
 * @node: "/dev/accel/accel0"; empty if there is none
 * @driver: the kernel driver that holds it; empty if none
 * @reason: a sentence that says why the state is not READY, and what would help; else empty
 */
struct qeff_device_info {
	uint32_t index;
	enum qeff_device_kind kind;
	enum qeff_device_state state;
	char name[32];
	char pci_address[16];
	uint16_t pci_device;
	char node[64];
	char driver[32];
	char reason[384];
};

/**
 * struct qeff_device_list - the cards of this machine
 * @count: how many
 * @devices: the cards, by index
 */
struct qeff_device_list {
	size_t count;
	struct qeff_device_info *devices;
};

/**
 * qeff_device_list - find the cards
 * @list: the result; the caller frees it with qeff_device_list_free()
 * @err: why it failed
 *
 * Reads sysfs; opens no card. A machine without PCI cards gives the software cards alone.
 *
 * Return: 0, -EINVAL (QEFF_SOFTCARDS cannot be understood), -ENOMEM.
 */
QEFF_API int qeff_device_list(struct qeff_device_list **list, struct qeff_error *err);

/* Frees a list; accepts NULL. */
QEFF_API void qeff_device_list_free(struct qeff_device_list *list);

/* The card of a list that @name names, as for qeff_device_open(); NULL if there is none. */
QEFF_API const struct qeff_device_info *qeff_device_find(const struct qeff_device_list *list,
							 const char *name);

/* The state as a word for people and JSON: "ready", "no driver", ... */
QEFF_API const char *qeff_device_state_name(enum qeff_device_state state);

/**
 * qeff_device_open - become a user of a card
 * @name: an index ("0"), a PCI address ("0000:03:00.0" or "03:00.0"), a node ("/dev/accel/accel0"),
 * "soft" (the first software card) or "soft0", "soft1", ...; NULL for the default: the first card
 * that can be used
 * @device: the card; the caller closes it with qeff_device_close()
 * @err: the cause, for a person
 *
 * The default is a software card only if the machine has no PCI function of a Cloud AI card at all;
 * the log then says so, once per process, at level WARN. If there are cards and none can be used,
 * that is an error.
 *
 * Each open is a separate user of the card: what one loads, the other cannot touch.
 *
 * Return: 0, -ENOENT (no such card), -ENODEV (offline, without driver, node or firmware), -EACCES,
 *-EINVAL (QEFF_SOFTCARDS cannot be understood), -EPROTO (it speaks a control protocol we do not),
 *-ENOMEM.
 */
QEFF_API int qeff_device_open(const char *name, struct qeff_device **device,
			      struct qeff_error *err);

/**
 * qeff_device_close - stop being a user of a card
 * @device: the card, or NULL
 *
 * Programs on it keep it open until the last of them is off the card; then it is closed, and
 * everything that was loaded through it is freed there. No other call with @device may be running,
 * and none may follow, but through qeff_program_device() of such a program.
 */
QEFF_API void qeff_device_close(struct qeff_device *device);

/* What the list said about the card when it was opened; lives as long as @device is open. */
QEFF_API const struct qeff_device_info *qeff_device_get_info(const struct qeff_device *device);

/**
 * struct qeff_device_status - what a card says of itself
 * @nsp_total: NSPs present; @nsp_free: not taken by an activation
 * @ddr_total_bytes: device memory, counted by the card in whole MiB; @ddr_free_bytes: not allocated
 * @ddr_fragmentation_percent: of the free memory
 * @vc_total: virtual channels; @vc_free: not taken
 * @mcid_total: multicast ids; @mcid_free: not taken
 * @semaphore_total: semaphores; @semaphore_free: not taken
 * @constants_loaded: sets of constants loaded; @constants_in_use: by an activation
 * @networks_loaded: programs loaded; @networks_active: activated
 * @sku: number of the SKU; @sku_name: its name
 * @firmware_version: "1.12.0" or "1.12.0.56"
 * @firmware_image: version string of the image; @firmware_oem: of the maker of the board;
 * @firmware_variant: its variant
 * @nsp_version: version of the NSPs' image; @nsp_image: its version string
 * @sbl_image: name of the boot loader's image
 * @chip_serial: serial number of the chip; @board_serial: of the board
 * @hw_version: family 31:28, device 27:16, major 15:8, minor 7:0
 * @metadata_major: highest version of program metadata that the firmware knows; @metadata_minor:
 * likewise
 * @command_major: version of the command protocol; @command_minor: likewise
 * @nsp_hz: clock in Hz, and so on with @ddr_hz, @comp_noc_hz, @mem_noc_hz, @sys_noc_hz; 0 where
 * there is none
 * @peak_ops_per_s: int8 operations per second
 * @ddr_bytes_per_s: bandwidth in use, averaged by the card over about 100 ms
 * @retired_pages: pages of device memory taken out of use
 */
struct qeff_device_status {
	uint32_t nsp_total, nsp_free;
	uint64_t ddr_total_bytes, ddr_free_bytes;
	uint32_t ddr_fragmentation_percent;
	uint32_t vc_total, vc_free;
	uint32_t mcid_total, mcid_free;
	uint32_t semaphore_total, semaphore_free;
	uint32_t constants_loaded, constants_in_use;
	uint32_t networks_loaded, networks_active;
	uint32_t sku;
	char sku_name[16];
	char firmware_version[20];
	char firmware_image[40];
	char firmware_oem[40];
	char firmware_variant[20];
	char nsp_version[20];
	char nsp_image[68];
	char sbl_image[28];
	char chip_serial[20];
	char board_serial[36];
	uint32_t hw_version;
	uint16_t metadata_major, metadata_minor;
	uint16_t command_major, command_minor;
	uint32_t nsp_hz, ddr_hz, comp_noc_hz, mem_noc_hz, sys_noc_hz;
	uint64_t peak_ops_per_s;
	uint64_t ddr_bytes_per_s;
	uint32_t retired_pages;
};

/**
 * qeff_device_query - ask the card how it is
 * @device: an open card
 * @status: the answer
 * @err: why it failed
 *
 * One exchange on the control channel: may block as long as the driver waits for the card (60 s by
 * default).
 *
 * Return: 0, -ENODEV (the card is gone), -ETIMEDOUT, -EPROTO (an answer that makes no sense).
 */
QEFF_API int qeff_device_query(struct qeff_device *device, struct qeff_device_status *status,
			       struct qeff_error *err);

/*
 * What processes publish. Every process that uses libqeff says what it runs in a file of its own
 * under $XDG_RUNTIME_DIR/qeff, or /run/qeff where there is no such directory; if neither can be
 * written, nothing is published. The file is locked for as long as the process lives, which is how
 * a reader tells the dead.
 */

/**
 * struct qeff_published_device - a card that a process has open
 * @name: as in qeff_device_info
 * @kind: for QEFF_DEVICE_SOFT the card exists in that process alone, and the numbers below are
 * filled
 * @nsp_total: NSPs; @nsp_free: not taken
 * @ddr_total_bytes: device memory; @ddr_free_bytes: not taken
 */
struct qeff_published_device {
	char name[32];
	enum qeff_device_kind kind;
	uint32_t nsp_total, nsp_free;
	uint64_t ddr_total_bytes, ddr_free_bytes;
};

/**
 * struct qeff_published_program - a program that a process has on a card
 * @device: name of the card
 * @name: name of the program
 * @path: file of the package; empty if it came from memory
 * @nsps: NSPs it takes while it is activated
 * @ddr_bytes: device memory it takes
 * @inferences: completed so far, at most about a second old
 */
struct qeff_published_program {
	char device[32];
	char name[64];
	char path[512];
	uint32_t nsps;
	uint64_t ddr_bytes;
	uint64_t inferences;
};

/**
 * struct qeff_published_process - a process that uses libqeff
 * @pid: its number
 * @command: its name
 * @devices: cards it has open; @num_devices: how many
 * @programs: programs on them; @num_programs: how many
 */
struct qeff_published_process {
	int pid;
	char command[32];
	struct qeff_published_device *devices;
	size_t num_devices;
	struct qeff_published_program *programs;
	size_t num_programs;
};

/**
 * struct qeff_published_list - what this user can see of all processes
 * @count: how many
 * @processes: by pid
 */
struct qeff_published_list {
	size_t count;
	struct qeff_published_process *processes;
};

/**
 * qeff_published_list - read what processes have published
 * @list: the result; the caller frees it with qeff_published_list_free()
 * @err: why it failed
 *
 * Files of dead processes are removed on the way; files that make no sense are left out.
 *
 * Return: 0 or -ENOMEM. Nothing published gives an empty list.
 */
QEFF_API int qeff_published_list(struct qeff_published_list **list, struct qeff_error *err);

/* Frees a list; accepts NULL. */
QEFF_API void qeff_published_list_free(struct qeff_published_list *list);

#ifdef __cplusplus
}
#endif
#endif
