/* SPDX-License-Identifier: MIT */
/*
 * Cards on the PCI bus. What sysfs shows is enough to tell a usable card from one that is not, so
 * no card is opened here and none can make the list wait: the driver's link, its accel or DRM node,
 * and the MHI devices below the function, of which the firmware's control channel appears last.
 */
#include "device/discover.h"

#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct pci_address {
	unsigned int domain, bus, device, function;
};

static bool parse_address(const char *name, struct pci_address *a)
{
	int used = 0;

	return sscanf(name, "%x:%x:%x.%x%n", &a->domain, &a->bus, &a->device, &a->function,
		      &used) == 4 &&
	       name[used] == '\0';
}

static int by_address(const void *left, const void *right)
{
	const struct qeff_device_info *l = left, *r = right;
	struct pci_address a = { 0 }, b = { 0 };

	parse_address(l->pci_address, &a);
	parse_address(r->pci_address, &b);
	if (a.domain != b.domain)
		return a.domain < b.domain ? -1 : 1;
	if (a.bus != b.bus)
		return a.bus < b.bus ? -1 : 1;
	if (a.device != b.device)
		return a.device < b.device ? -1 : 1;
	return a.function < b.function ? -1 : a.function > b.function;
}

struct qeff_device_info *qeff_device_list_add(struct qeff_device_list *list)
{
	struct qeff_device_info *grown =
		reallocarray(list->devices, list->count + 1, sizeof(*list->devices));

	if (!grown)
		return NULL;
	list->devices = grown;
	grown += list->count;
	*grown = (struct qeff_device_info){ .index = (uint32_t)list->count++ };
	return grown;
}

/* The node of a driven card: an accel node, or a render node on kernels without that subsystem. */
static void find_node(const char *path, struct qeff_device_info *info)
{
	char folder[QEFF_PATH_BYTES], name[32];

	qeff_path(folder, sizeof(folder), "%s/accel", path);
	if (qeff_sysfs_child(folder, "accel", "", name, sizeof(name))) {
		qeff_path(info->node, sizeof(info->node), "/dev/accel/%s", name);
		return;
	}
	qeff_path(folder, sizeof(folder), "%s/drm", path);
	if (qeff_sysfs_child(folder, "renderD", "", name, sizeof(name)))
		qeff_path(info->node, sizeof(info->node), "/dev/dri/%s", name);
}

static void explain_permission(const char *node, const struct stat *st, char *text,
			       size_t size_bytes)
{
	char buffer[4096];
	struct group group, *found = NULL;

	if ((st->st_mode & 0060) == 0060 && st->st_gid != 0 &&
	    getgrgid_r(st->st_gid, &group, buffer, sizeof(buffer), &found) == 0 && found)
		snprintf(text, size_bytes,
			 "%s belongs to group %s: add this user to that group and log in again",
			 node, group.gr_name);
	else
		snprintf(text, size_bytes,
			 "this user may not open %s (mode %04o): a udev rule has to give it to a "
			 "group of users",
			 node, st->st_mode & 07777u);
}

/* How far the firmware has come, by the MHI devices that it makes appear. */
static void check_boot(const struct qeff_sysfs *s, const char *path, struct qeff_device_info *info)
{
	char mhi[QEFF_PATH_BYTES], controller[64], name[96];

	if (!qeff_sysfs_child(path, "mhi", "", controller, sizeof(controller))) {
		/* nothing of the firmware to be seen: a driver that has a node all the same is
		 * believed */
		if (!info->node[0]) {
			info->state = QEFF_DEVICE_OFFLINE;
			snprintf(info->reason, sizeof(info->reason),
				 "driver %s holds %s but has not brought it up: see the kernel log",
				 info->driver, info->name);
		}
		return;
	}
	qeff_path(mhi, sizeof(mhi), "%s/%s", path, controller);
	if (qeff_sysfs_child(mhi, controller, "_CONTROL", name, sizeof(name)) && info->node[0])
		return;
	if (!qeff_diagnose_firmware(s)) {
		info->state = QEFF_DEVICE_NO_FIRMWARE;
		snprintf(info->reason, sizeof(info->reason),
			 "%s has not booted: its firmware qcom/aic100/sbl.bin is not installed in "
			 "/lib/firmware (it is part of linux-firmware)",
			 info->name);
	} else if (qeff_sysfs_child(mhi, controller, "_SAHARA", name, sizeof(name))) {
		info->state = QEFF_DEVICE_BOOTING;
		snprintf(info->reason, sizeof(info->reason),
			 "%s is loading its firmware: try again in a few seconds", info->name);
	} else {
		info->state = QEFF_DEVICE_OFFLINE;
		snprintf(info->reason, sizeof(info->reason),
			 "%s is offline: driver %s holds it but its firmware does not run; see the "
			 "kernel log",
			 info->name, info->driver);
	}
}

static void check_node(const struct qeff_sysfs *s, struct qeff_device_info *info)
{
	char node[QEFF_PATH_BYTES];
	struct stat st;

	if (!qeff_path(node, sizeof(node), "%s%s", s->root, info->node) || stat(node, &st) < 0) {
		info->state = QEFF_DEVICE_NO_NODE;
		snprintf(info->reason, sizeof(info->reason),
			 "%s is driven by %s, but there is no %s here: a container has to be given "
			 "the node",
			 info->name, info->driver, info->node);
	} else if (faccessat(AT_FDCWD, node, R_OK | W_OK, AT_EACCESS) < 0) {
		info->state = QEFF_DEVICE_NO_PERMISSION;
		explain_permission(info->node, &st, info->reason, sizeof(info->reason));
	}
}

static void examine(const struct qeff_sysfs *s, const char *path, struct qeff_device_info *info)
{
	char why[sizeof(info->reason) - 64];

	if (!qeff_sysfs_link(path, "driver", info->driver, sizeof(info->driver))) {
		info->state = QEFF_DEVICE_NO_DRIVER;
		qeff_diagnose_driver(s, path, why, sizeof(why));
		snprintf(info->reason, sizeof(info->reason), "no driver holds %s: %s", info->name,
			 why);
		return;
	}
	if (strcmp(info->driver, "qaic") != 0 && strcmp(info->driver, "qeff") != 0) {
		info->state = QEFF_DEVICE_NO_DRIVER;
		snprintf(info->reason, sizeof(info->reason),
			 "%s is held by driver %s%s, expected qeff or qaic", info->name,
			 info->driver,
			 strcmp(info->driver, "vfio-pci") == 0 ? " (given to a virtual machine?)"
							       : "");
		return;
	}
	find_node(path, info);
	check_boot(s, path, info);
	if (info->state == QEFF_DEVICE_READY)
		check_node(s, info);
}

static bool is_card(const char *path, uint16_t *device)
{
	uint32_t vendor, id;

	if (!qeff_sysfs_hex(path, "vendor", &vendor) || vendor != QEFF_PCI_VENDOR ||
	    !qeff_sysfs_hex(path, "device", &id) ||
	    (id != QEFF_PCI_DEVICE_AIC080 && id != QEFF_PCI_DEVICE_AIC100))
		return false;
	*device = (uint16_t)id;
	return true;
}

int qeff_discover_pci(const struct qeff_sysfs *s, struct qeff_device_list *list,
		      struct qeff_error *err)
{
	char folder[QEFF_PATH_BYTES], path[QEFF_PATH_BYTES];
	size_t first = list->count;
	struct dirent *entry;
	DIR *dir;

	qeff_path(folder, sizeof(folder), "%s/bus/pci/devices", s->sysfs);
	dir = opendir(folder);
	if (!dir)
		return 0; /* a machine without PCI */
	while ((entry = readdir(dir))) {
		struct qeff_device_info *info;
		struct pci_address address;
		uint16_t device;

		if (strlen(entry->d_name) >= sizeof(info->pci_address) ||
		    !parse_address(entry->d_name, &address) ||
		    !qeff_path(path, sizeof(path), "%s/%s", folder, entry->d_name) ||
		    !is_card(path, &device))
			continue;
		info = qeff_device_list_add(list);
		if (!info) {
			closedir(dir);
			return qeff_error_set(err, -ENOMEM, "list of cards: out of memory");
		}
		info->kind = QEFF_DEVICE_DRM;
		info->pci_device = device;
		strcpy(info->pci_address, entry->d_name);
		strcpy(info->name, entry->d_name);
		examine(s, path, info);
	}
	closedir(dir);
	if (list->count > first)
		qsort(list->devices + first, list->count - first, sizeof(*list->devices),
		      by_address);
	for (size_t i = first; i < list->count; i++)
		list->devices[i].index = (uint32_t)i;
	return 0;
}
