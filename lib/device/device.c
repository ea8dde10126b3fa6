/* SPDX-License-Identifier: MIT */
/* The public face of cards: the list, opening by name, and the question how a card is. */
#include "device/device.h"

#include "device/discover.h"
#include "device/drm_transport.h"
#include "device/soft_config.h"
#include "device/softcard.h"
#include "device/state.h"
#include "nnc/client.h"
#include "util/cancel.h"
#include "util/log.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct qeff_device {
	atomic_uint owners;
	struct qeff_device_info info;
	struct qeff_transport *transport;
};

static const char *const state_names[] = {
	[QEFF_DEVICE_READY] = "ready",
	[QEFF_DEVICE_BOOTING] = "booting",
	[QEFF_DEVICE_OFFLINE] = "offline",
	[QEFF_DEVICE_NO_FIRMWARE] = "no firmware",
	[QEFF_DEVICE_NO_DRIVER] = "no driver",
	[QEFF_DEVICE_NO_NODE] = "no node",
	[QEFF_DEVICE_NO_PERMISSION] = "no permission",
};

const char *qeff_device_state_name(enum qeff_device_state state)
{
	if ((unsigned int)state >= sizeof(state_names) / sizeof(state_names[0]))
		return "unknown";
	return state_names[state];
}

static int add_soft_cards(struct qeff_device_list *list, const struct qeff_soft_config *config,
			  struct qeff_error *err)
{
	for (uint32_t i = 0; i < config->count; i++) {
		struct qeff_device_info *info = qeff_device_list_add(list);

		if (!info)
			return qeff_error_set(err, -ENOMEM, "list of cards: out of memory");
		info->kind = QEFF_DEVICE_SOFT;
		snprintf(info->name, sizeof(info->name), "soft%u", i);
	}
	return 0;
}

static int find_cards(const struct qeff_sysfs *s, const struct qeff_soft_config *config,
		      struct qeff_device_list **list, struct qeff_error *err)
{
	struct qeff_device_list *found = calloc(1, sizeof(*found));
	int ret;

	if (!found)
		return qeff_error_set(err, -ENOMEM, "list of cards: out of memory");
	ret = qeff_discover_pci(s, found, err);
	if (!ret)
		ret = add_soft_cards(found, config, err);
	if (ret) {
		qeff_device_list_free(found);
		return ret;
	}
	*list = found;
	return 0;
}

int qeff_device_list(struct qeff_device_list **list, struct qeff_error *err)
{
	struct qeff_soft_config config;
	struct qeff_sysfs s;
	QEFF_NO_CANCEL;
	int ret = qeff_soft_config_read(&config, err);

	if (ret)
		return ret;
	qeff_sysfs_locate(&s);
	return find_cards(&s, &config, list, err);
}

void qeff_device_list_free(struct qeff_device_list *list)
{
	if (!list)
		return;
	free(list->devices);
	free(list);
}

static bool is_named(const struct qeff_device_info *info, const char *name)
{
	size_t digits = strspn(name, "0123456789");
	char *end;

	if (digits > 0 && name[digits] == '\0')
		return strtoul(name, &end, 10) == info->index;
	if (strcmp(name, info->name) == 0)
		return true;
	if (info->kind == QEFF_DEVICE_SOFT)
		return strcmp(name, "soft") == 0 && strcmp(info->name, "soft0") == 0;
	return (info->node[0] && strcmp(name, info->node) == 0) ||
	       (strncmp(info->pci_address, "0000:", 5) == 0 &&
		strcmp(name, info->pci_address + 5) == 0);
}

const struct qeff_device_info *qeff_device_find(const struct qeff_device_list *list,
						const char *name)
{
	for (size_t i = 0; i < list->count; i++)
		if (is_named(&list->devices[i], name))
			return &list->devices[i];
	return NULL;
}

static int no_such_card(const struct qeff_device_list *list, const char *name,
			struct qeff_error *err)
{
	char names[256] = "";
	size_t used = 0;

	for (size_t i = 0; i < list->count && used < sizeof(names) - 40; i++)
		used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%s", i ? ", " : "",
					 list->devices[i].name);
	return qeff_error_set(err, -ENOENT, "no card \"%s\"; there are: %s", name, names);
}

static int not_usable(const struct qeff_device_info *info, struct qeff_error *err)
{
	return qeff_error_set(err, info->state == QEFF_DEVICE_NO_PERMISSION ? -EACCES : -ENODEV,
			      "%s", info->reason);
}

/* A PCI card if there is any, be it usable or not; only a machine without one gets a software card.
 */
static int choose_default(const struct qeff_device_list *list,
			  const struct qeff_device_info **chosen, struct qeff_error *err)
{
	static atomic_flag said = ATOMIC_FLAG_INIT;
	const struct qeff_device_info *first = &list->devices[0];

	for (size_t i = 0; i < list->count; i++) {
		*chosen = &list->devices[i];
		if ((*chosen)->kind == QEFF_DEVICE_SOFT)
			break;
		if ((*chosen)->state == QEFF_DEVICE_READY)
			return 0;
	}
	if (first->kind == QEFF_DEVICE_DRM)
		return not_usable(first, err);
	if (!atomic_flag_test_and_set(&said))
		qeff_log(QEFF_LOG_WARN,
			 "no Cloud AI card in this machine: using the software card %s",
			 (*chosen)->name);
	return 0;
}

static int choose(const struct qeff_device_list *list, const char *name,
		  const struct qeff_device_info **chosen, struct qeff_error *err)
{
	if (!name)
		return choose_default(list, chosen, err);
	*chosen = qeff_device_find(list, name);
	if (!*chosen)
		return no_such_card(list, name, err);
	return (*chosen)->state == QEFF_DEVICE_READY ? 0 : not_usable(*chosen, err);
}

static int open_transport(const struct qeff_sysfs *s, const struct qeff_soft_config *config,
			  const struct qeff_device_info *info, struct qeff_transport **transport,
			  struct qeff_error *err)
{
	char node[QEFF_PATH_BYTES];

	if (info->kind == QEFF_DEVICE_SOFT) {
		uint32_t number = (uint32_t)strtoul(info->name + 4, NULL, 10);

		return qeff_softcard_open(number, &config->cards[number], transport, err);
	}
	if (!qeff_path(node, sizeof(node), "%s%s", s->root, info->node))
		return qeff_error_set(err, -ENAMETOOLONG, "%s: path too long", info->node);
	return qeff_drm_open(node, info->name, transport, err);
}

int qeff_device_open(const char *name, struct qeff_device **device, struct qeff_error *err)
{
	const struct qeff_device_info *info = NULL;
	struct qeff_device_list *list;
	struct qeff_soft_config config;
	struct qeff_device *d;
	struct qeff_sysfs s;
	QEFF_NO_CANCEL;
	int ret = qeff_soft_config_read(&config, err);

	if (ret)
		return ret;
	qeff_sysfs_locate(&s);
	ret = find_cards(&s, &config, &list, err);
	if (ret)
		return ret;
	d = calloc(1, sizeof(*d));
	ret = d ? choose(list, name, &info, err)
		: qeff_error_set(err, -ENOMEM, "open card: out of memory");
	if (!ret)
		ret = open_transport(&s, &config, info, &d->transport, err);
	if (!ret) {
		d->info = *info;
		atomic_init(&d->owners, 1);
		qeff_state_device_opened(d);
		*device = d;
	} else {
		free(d);
	}
	qeff_device_list_free(list);
	return ret;
}

struct qeff_device *qeff_device_ref(struct qeff_device *device)
{
	atomic_fetch_add(&device->owners, 1);
	return device;
}

void qeff_device_close(struct qeff_device *device)
{
	QEFF_NO_CANCEL;

	if (!device || atomic_fetch_sub(&device->owners, 1) != 1)
		return;
	qeff_state_device_closed(device);
	device->transport->ops->close(device->transport);
	free(device);
}

const struct qeff_device_info *qeff_device_get_info(const struct qeff_device *device)
{
	return &device->info;
}

struct qeff_transport *qeff_device_transport(struct qeff_device *device)
{
	return device->transport;
}

static int manage(void *user, void *data, uint32_t *size_bytes, uint32_t *count,
		  struct qeff_error *err)
{
	struct qeff_transport *t = user;

	return t->ops->manage(t, data, size_bytes, count, err);
}

static void version_text(char *text, size_t size_bytes, const uint8_t part[4])
{
	int used = snprintf(text, size_bytes, "%u.%u.%u", part[0], part[1], part[2]);

	if (part[3] != 255)
		snprintf(text + used, size_bytes - (size_t)used, ".%u", part[3]);
}

#define COPY_TEXT(to, from)                                                                        \
	do {                                                                                       \
		_Static_assert(sizeof(to) > sizeof(from), "room for the NUL");                     \
		qeff_nnc_text(to, from, sizeof(from));                                             \
	} while (0)

static void fill_identity(struct qeff_device_status *status, const struct qeff_nnc_device_data *dev,
			  const struct qeff_nnc_nsp_data *nsp)
{
	const uint8_t firmware[4] = { dev->firmware_major, dev->firmware_minor, dev->firmware_patch,
				      dev->firmware_build };
	const uint8_t nsp_version[4] = { nsp->major, nsp->minor, nsp->patch, nsp->build };

	version_text(status->firmware_version, sizeof(status->firmware_version), firmware);
	version_text(status->nsp_version, sizeof(status->nsp_version), nsp_version);
	COPY_TEXT(status->firmware_image, dev->qc_version);
	COPY_TEXT(status->firmware_oem, dev->oem_version);
	COPY_TEXT(status->firmware_variant, dev->variant);
	COPY_TEXT(status->nsp_image, nsp->qc_version);
	COPY_TEXT(status->sbl_image, dev->sbl_name);
	COPY_TEXT(status->chip_serial, dev->chip_serial);
	COPY_TEXT(status->board_serial, dev->board_serial);
	status->hw_version = dev->hardware_version;
	status->sku = dev->sku;
	snprintf(status->sku_name, sizeof(status->sku_name), "%s", qeff_sku_name(dev->sku));
	status->metadata_major = dev->metadata_major;
	status->metadata_minor = dev->metadata_minor;
	status->command_major = dev->protocol_major;
	status->command_minor = dev->protocol_minor;
}

static void fill_resources(struct qeff_device_status *status, const struct qeff_nnc_resources *r)
{
	status->nsp_total = r->nsp_total;
	status->nsp_free = r->nsp_free;
	status->ddr_total_bytes = (uint64_t)r->ddr_total_mb << 20;
	status->ddr_free_bytes = (uint64_t)r->ddr_free_mb << 20;
	status->ddr_fragmentation_percent = r->fragmentation_percent;
	status->vc_total = r->vc_total;
	status->vc_free = r->vc_free;
	status->mcid_total = r->mcid_total;
	status->mcid_free = r->mcid_free;
	status->semaphore_total = r->semaphores_total;
	status->semaphore_free = r->semaphores_free;
}

int qeff_device_query(struct qeff_device *device, struct qeff_device_status *status,
		      struct qeff_error *err)
{
	struct qeff_nnc_client client = { .manage = manage, .user = device->transport };
	struct qeff_nnc_status_resp answer;
	QEFF_NO_CANCEL;
	int ret = qeff_nnc_query_status(&client, &answer, err);

	if (ret)
		return ret;
	*status = (struct qeff_device_status){
		.constants_loaded = answer.device.constants_loaded,
		.constants_in_use = answer.device.constants_in_use,
		.networks_loaded = answer.device.networks_loaded,
		.networks_active = answer.device.networks_active,
		.nsp_hz = answer.device.performance.nsp_clock_hz,
		.ddr_hz = answer.device.performance.ddr_clock_hz,
		.comp_noc_hz = answer.device.performance.comp_noc_clock_hz,
		.mem_noc_hz = answer.device.performance.mem_noc_clock_hz,
		.sys_noc_hz = answer.device.performance.sys_noc_clock_hz,
		.peak_ops_per_s = answer.device.performance.peak_int8_ops_per_s,
		.ddr_bytes_per_s = answer.device.performance.ddr_kbytes_per_s * 1000,
		.retired_pages = answer.device.retired_pages,
	};
	fill_identity(status, &answer.device, &answer.nsp);
	fill_resources(status, &answer.device.resources);
	return 0;
}
