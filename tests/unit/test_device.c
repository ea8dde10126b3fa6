/* SPDX-License-Identifier: MIT */
/*
 * Discovery on trees made of real files, and opening by name: each way in which a card can be there
 * and yet not usable must be told apart and named, and a machine with cards never falls back to
 * software.
 */
#include "unit.h"

#include "device/device.h"
#include "device/discover.h"
#include "device/ranges.h"
#include "device/soft_config.h"

#include <ftw.h>
#include <qeff/log.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

static char root[64];

/* mkdir -p of the folder that @path is in. */
static void make_folders(char *path)
{
	for (char *at = strchr(path + 1, '/'); at; at = strchr(at + 1, '/')) {
		*at = '\0';
		mkdir(path, 0755);
		*at = '/';
	}
}

static void put_file(const char *name, const char *content)
{
	char path[512];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", root, name);
	make_folders(path);
	f = fopen(path, "w");
	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	fputs(content, f);
	fclose(f);
}

static void put_link(const char *name, const char *target)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", root, name);
	make_folders(path);
	CU_ASSERT_EQUAL_FATAL(symlink(target, path), 0);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static void new_tree(void)
{
	char sysfs[80];

	if (root[0])
		nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	strcpy(root, "/tmp/qeff-device-XXXXXX");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(root));
	chmod(root, 0755);
	put_file("sys/bus/pci/devices/0000:00:00.0/vendor", "0x8086\n");
	put_file("sys/bus/pci/devices/0000:00:00.0/device", "0x1237\n");
	snprintf(sysfs, sizeof(sysfs), "%s/sys", root);
	setenv("QEFF_SYSFS", sysfs, 1);
	setenv("XDG_RUNTIME_DIR", root, 1);
}

#define PCI "sys/bus/pci/devices/"

static void put_card(const char *address, const char *device)
{
	char name[128];

	snprintf(name, sizeof(name), PCI "%s/vendor", address);
	put_file(name, "0x17cb\n");
	snprintf(name, sizeof(name), PCI "%s/device", address);
	put_file(name, device);
	snprintf(name, sizeof(name), PCI "%s/modalias", address);
	put_file(name, "pci:v000017CBd0000A100sv000017CBsd0000A100bc12sc00i00\n");
}

/* A card that qeff drives, up to the accel node in sysfs. */
static void put_driven_card(void)
{
	new_tree();
	put_card("0000:03:00.0", "0xa100\n");
	put_link(PCI "0000:03:00.0/driver", "../../../../bus/pci/drivers/qeff");
	put_file(PCI "0000:03:00.0/accel/accel0/dev", "261:0\n");
}

static void put_running_card(void)
{
	put_driven_card();
	put_file(PCI "0000:03:00.0/mhi0/mhi0_QAIC_CONTROL/modalias", "mhi:QAIC_CONTROL\n");
}

static struct qeff_device_list *list_cards(void)
{
	struct qeff_device_list *list = NULL;
	struct qeff_error err = { 0 };

	CU_ASSERT_EQUAL_FATAL(qeff_device_list(&list, &err), 0);
	return list;
}

/* The first card must be in @state, for a reason that says @says; opening it, or the default, must
 * say so and not give a software card. */
static void expect(enum qeff_device_state state, const char *says)
{
	struct qeff_device_list *list = list_cards();
	const struct qeff_device_info *info = &list->devices[0];
	struct qeff_device *device = NULL;
	struct qeff_error err = { 0 };
	int code = state == QEFF_DEVICE_NO_PERMISSION ? -EACCES : -ENODEV;

	CU_ASSERT_EQUAL(list->count, 2);
	CU_ASSERT_EQUAL(info->kind, QEFF_DEVICE_DRM);
	CU_ASSERT_EQUAL(info->state, state);
	CU_ASSERT_PTR_NOT_NULL(strstr(info->reason, says));
	if (info->state != state || !strstr(info->reason, says))
		fprintf(stderr, "%s: %s\n", qeff_device_state_name(info->state), info->reason);
	CU_ASSERT_EQUAL(qeff_device_open(NULL, &device, &err), code);
	CU_ASSERT_STRING_EQUAL(err.message, info->reason);
	CU_ASSERT_EQUAL(qeff_device_open("0000:03:00.0", &device, &err), code);
	CU_ASSERT_STRING_EQUAL(err.message, info->reason);
	CU_ASSERT_PTR_NULL(device);
	qeff_device_list_free(list);
}

static int warnings;

static void count_warnings(enum qeff_log_level level, const char *line, void *user)
{
	if (level == QEFF_LOG_WARN && strstr(line, "software card soft0"))
		warnings++;
}

static void no_card_gives_a_software_card(void)
{
	struct qeff_device *first = NULL, *second = NULL;
	struct qeff_device_list *list;
	struct qeff_error err = { 0 };

	new_tree();
	/* another vendor's, and a card of ours that this library does not know */
	put_card("0000:04:00.0", "0xa110\n");
	put_file(PCI "0000:05:00.0/vendor", "0x1234\n");
	put_file(PCI "0000:05:00.0/device", "0xa100\n");
	put_file(PCI "not-an-address/vendor", "0x17cb\n");
	put_file(PCI "not-an-address/device", "0xa100\n");
	list = list_cards();
	CU_ASSERT_EQUAL(list->count, 1);
	CU_ASSERT_EQUAL(list->devices[0].kind, QEFF_DEVICE_SOFT);
	CU_ASSERT_EQUAL(list->devices[0].index, 0);
	CU_ASSERT_STRING_EQUAL(list->devices[0].name, "soft0");
	qeff_device_list_free(list);

	qeff_set_log(count_warnings, QEFF_LOG_WARN, NULL);
	CU_ASSERT_EQUAL(qeff_device_open(NULL, &first, &err), 0);
	CU_ASSERT_EQUAL(qeff_device_open(NULL, &second, &err), 0);
	CU_ASSERT_EQUAL(warnings, 1); /* once a process */
	CU_ASSERT_STRING_EQUAL(qeff_device_get_info(first)->name, "soft0");
	qeff_device_close(qeff_device_ref(first));
	qeff_device_close(first);
	qeff_device_close(second);
	qeff_device_close(NULL);
	qeff_set_log(NULL, QEFF_LOG_WARN, NULL);
}

static void no_driver(void)
{
	new_tree();
	put_card("0000:03:00.0", "0xa100\n");
	expect(QEFF_DEVICE_NO_DRIVER, "neither module qeff nor qaic is installed");
	put_file("etc/modprobe.d/qeff.conf", "alias pci:v000017CBd0000A100sv*sd*bc*sc*i* qeff\n");
	expect(QEFF_DEVICE_NO_DRIVER, "module qeff is installed but not loaded");
	put_file("etc/modprobe.d/a.conf", "install qeff /bin/false\n");
	expect(QEFF_DEVICE_NO_DRIVER, "replaced by the command \"/bin/false\"");
	put_file("etc/modprobe.d/a.conf", "blacklist qeff\n");
	expect(QEFF_DEVICE_NO_DRIVER, "module qeff is installed but blacklisted");
	put_file("sys/module/qeff/version", "1\n");
	expect(QEFF_DEVICE_NO_DRIVER, "module qeff is loaded but did not take it");
	put_link(PCI "0000:03:00.0/driver", "../../../bus/pci/drivers/vfio-pci");
	expect(QEFF_DEVICE_NO_DRIVER, "held by driver vfio-pci (given to a virtual machine?)");
}

static void does_not_run(void)
{
	char release_folder[256];
	struct utsname host;

	put_driven_card();
	put_file(PCI "0000:03:00.0/mhi0/serial_number", "1\n");
	expect(QEFF_DEVICE_NO_FIRMWARE, "firmware qcom/aic100/sbl.bin is not installed");
	put_file("lib/firmware/qcom/aic100/sbl.bin.zst", "x");
	expect(QEFF_DEVICE_OFFLINE, "0000:03:00.0 is offline: driver qeff holds it");
	put_file(PCI "0000:03:00.0/mhi0/mhi0_QAIC_SAHARA/modalias", "mhi:QAIC_SAHARA\n");
	expect(QEFF_DEVICE_BOOTING, "try again in a few seconds");

	/* the kernel's other places for firmware */
	put_driven_card();
	put_file(PCI "0000:03:00.0/mhi0/serial_number", "1\n");
	uname(&host);
	snprintf(release_folder, sizeof(release_folder),
		 "lib/firmware/updates/%s/qcom/aic100/sbl.bin", host.release);
	put_file(release_folder, "x");
	expect(QEFF_DEVICE_OFFLINE, "offline");

	/* no node, nor anything of MHI: the driver's probe failed or is not over */
	new_tree();
	put_card("0000:03:00.0", "0xa080\n");
	put_link(PCI "0000:03:00.0/driver", "../../drivers/qaic");
	expect(QEFF_DEVICE_OFFLINE, "driver qaic holds 0000:03:00.0 but has not brought it up");
}

static void no_node_and_no_permission(void)
{
	char path[128];
	pid_t child;
	int status;

	put_running_card();
	expect(QEFF_DEVICE_NO_NODE, "there is no /dev/accel/accel0 here");
	put_file("dev/accel/accel0", "");
	snprintf(path, sizeof(path), "%s/dev/accel/accel0", root);
	CU_ASSERT_EQUAL_FATAL(chmod(path, 0600), 0);
	/* root may open anything, so somebody else has a look */
	child = fork();
	if (child == 0) {
		if (geteuid() == 0 && setresuid(65534, 65534, 65534))
			_exit(2);
		if (geteuid() != 65534)
			chmod(path, 0000);
		expect(QEFF_DEVICE_NO_PERMISSION, "this user may not open /dev/accel/accel0");
		_exit(CU_get_number_of_failures() == 0 ? 0 : 1);
	}
	CU_ASSERT_EQUAL_FATAL(waitpid(child, &status, 0), child);
	CU_ASSERT_EQUAL(status, 0);
}

static void ready_in_the_order_of_addresses(void)
{
	static const char *const expected[] = { "0000:0a:00.0", "0000:0a:1f.0", "0000:41:00.0",
						"0001:01:00.0", "soft0" };
	struct qeff_device *device = NULL;
	struct qeff_device_list *list;
	struct qeff_error err = { 0 };

	new_tree();
	put_card("0001:01:00.0", "0xa100\n");
	put_card("0000:41:00.0", "0xa100\n");
	put_card("0000:0a:1f.0", "0xa080\n");
	put_card("0000:0a:00.0", "0xa100\n");
	/* the third one is usable; on an older kernel its node is a render node */
	put_link(PCI "0000:41:00.0/driver", "../drivers/qeff");
	put_file(PCI "0000:41:00.0/drm/card1/dev", "226:1\n");
	put_file(PCI "0000:41:00.0/drm/renderD129/dev", "226:129\n");
	put_file(PCI "0000:41:00.0/mhi1/mhi1_QEFF_CONTROL/modalias", "mhi:QEFF_CONTROL\n");
	put_file("dev/dri/renderD129", "");
	list = list_cards();
	CU_ASSERT_EQUAL_FATAL(list->count, 5);
	for (uint32_t i = 0; i < 5; i++) {
		CU_ASSERT_STRING_EQUAL(list->devices[i].name, expected[i]);
		CU_ASSERT_EQUAL(list->devices[i].index, i);
	}
	CU_ASSERT_EQUAL(list->devices[2].state, QEFF_DEVICE_READY);
	CU_ASSERT_STRING_EQUAL(list->devices[2].reason, "");
	CU_ASSERT_STRING_EQUAL(list->devices[2].node, "/dev/dri/renderD129");
	CU_ASSERT_EQUAL(list->devices[1].pci_device, 0xa080);
	qeff_device_list_free(list);

	/* the default is that one, though the first is of no use; a file is no DRM node, so it ends
	 * there */
	CU_ASSERT_EQUAL(qeff_device_open(NULL, &device, &err), -EPROTO);
	CU_ASSERT_EQUAL(qeff_device_open("41:00.0", &device, &err), -EPROTO);
	CU_ASSERT_EQUAL(qeff_device_open("2", &device, &err), -EPROTO);
	CU_ASSERT_EQUAL(qeff_device_open("/dev/dri/renderD129", &device, &err), -EPROTO);
	CU_ASSERT_EQUAL(qeff_device_open("0", &device, &err), -ENODEV);
	CU_ASSERT_EQUAL(qeff_device_open("5", &device, &err), -ENOENT);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "0001:01:00.0, soft0"));
	CU_ASSERT_EQUAL(qeff_device_open("", &device, &err), -ENOENT);
	CU_ASSERT_EQUAL(qeff_device_open("soft1", &device, &err), -ENOENT);
	/* asked for by name, it is there beside real ones */
	CU_ASSERT_EQUAL(qeff_device_open("soft", &device, &err), 0);
	CU_ASSERT_EQUAL(qeff_device_get_info(device)->index, 4);
	qeff_device_close(device);
	CU_ASSERT_EQUAL(qeff_device_open("4", &device, &err), 0);
	qeff_device_close(device);
}

static void queries_tell_the_configuration(void)
{
	struct qeff_device_status status;
	struct qeff_device *device = NULL;
	struct qeff_error err = { 0 };

	new_tree();
	setenv("QEFF_SOFTCARDS", "nsps=4,ddr=8G,sku=Pro,serial=ABC;", 1);
	CU_ASSERT_EQUAL_FATAL(qeff_device_open("soft", &device, &err), 0);
	CU_ASSERT_EQUAL(qeff_device_query(device, &status, &err), 0);
	CU_ASSERT_EQUAL(status.nsp_total, 4);
	CU_ASSERT_EQUAL(status.nsp_free, 4);
	CU_ASSERT_EQUAL(status.ddr_total_bytes, UINT64_C(8) << 30);
	CU_ASSERT_EQUAL(status.sku, 3);
	CU_ASSERT_STRING_EQUAL(status.sku_name, "Pro");
	CU_ASSERT_STRING_EQUAL(status.board_serial, "ABC");
	CU_ASSERT_EQUAL(status.networks_loaded, 0);
	CU_ASSERT_EQUAL(status.vc_free, 16);
	qeff_device_close(device);
	setenv("QEFF_SOFTCARDS", "nsps=17", 1);
	CU_ASSERT_EQUAL(qeff_device_open("soft", &device, &err), -EINVAL);
	unsetenv("QEFF_SOFTCARDS");
}

static void software_cards_by_configuration(void)
{
	struct qeff_soft_config c;
	struct qeff_error err = { 0 };
	static const char *const bad[] = {
		"nsps",
		"nsps=",
		"nsps=0",
		"nsps=17",
		"nsps=-1",
		"nsps=4x",
		"nsps= 4",
		"ddr=8Q",
		"ddr=",
		"ddr=8GG",
		"ddr=1K",
		"ddr=2T",
		"ddr=99999999999T",
		"ddr= 8G",
		"ddr=-8G",
		"sku=invalid",
		"sku=",
		"colour=1",
		"nsps=4;;x",
		"serial=",
		"=4",
		",nsps",
		"1;2",
		"serial=12345678901234567890123456789012",
		"nsps=1;nsps=1;nsps=1;nsps=1;nsps=1;nsps=1;nsps=1;nsps=1;nsps=1"
		";nsps=1;nsps=1;nsps=1;nsps=1;nsps=1;nsps=1;nsps=1;nsps=1",
	};

	CU_ASSERT_EQUAL(qeff_soft_config_parse(NULL, &c, &err), 0);
	CU_ASSERT_EQUAL(c.count, 1);
	CU_ASSERT_EQUAL(c.cards[0].nsps, 16);
	CU_ASSERT_EQUAL(c.cards[0].ddr_bytes, UINT64_C(32) << 30);
	CU_ASSERT_EQUAL(c.cards[0].sku, 2);
	CU_ASSERT_EQUAL(qeff_soft_config_parse("", &c, &err), 0);
	CU_ASSERT_EQUAL(c.count, 1);
	CU_ASSERT_EQUAL(qeff_soft_config_parse("nsps=4,ddr=8G,sku=pro;nsps=16", &c, &err), 0);
	CU_ASSERT_EQUAL(c.count, 2);
	CU_ASSERT_EQUAL(c.cards[0].nsps, 4);
	CU_ASSERT_EQUAL(c.cards[0].ddr_bytes, UINT64_C(8) << 30);
	CU_ASSERT_EQUAL(c.cards[0].sku, 3);
	CU_ASSERT_EQUAL(c.cards[1].nsps, 16);
	CU_ASSERT_EQUAL(c.cards[1].sku, 2);
	CU_ASSERT_STRING_NOT_EQUAL(c.cards[0].serial, c.cards[1].serial);
	CU_ASSERT_EQUAL(qeff_soft_config_parse("ddr=1099511627776", &c, &err), 0);
	CU_ASSERT_EQUAL(qeff_soft_config_parse("sku=PCIe 080", &c, &err), 0);
	CU_ASSERT_EQUAL(c.cards[0].sku, 8);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		err.message[0] = '\0';
		CU_ASSERT_EQUAL(qeff_soft_config_parse(bad[i], &c, &err), -EINVAL);
		CU_ASSERT_EQUAL(strncmp(err.message, "QEFF_SOFTCARDS: ", 16), 0);
	}
	CU_ASSERT_STRING_EQUAL(qeff_sku_name(10), "invalid");
	CU_ASSERT_STRING_EQUAL(qeff_sku_name(9), "Ultra 080");
}

static void ranges(void)
{
	static uint8_t m[1000];
	uint64_t at = (uintptr_t)m;
	struct qeff_ranges r;

	qeff_ranges_init(&r);
	CU_ASSERT_PTR_NULL(qeff_ranges_find(&r, at, 1, false, false));
	CU_ASSERT_EQUAL(qeff_ranges_add(&r, m, 0, QEFF_RANGE_DMA, true), -EINVAL);
	CU_ASSERT_EQUAL(qeff_ranges_add(&r, (void *)UINTPTR_MAX, 2, QEFF_RANGE_DMA, true), -EINVAL);
	CU_ASSERT_EQUAL(qeff_ranges_add(&r, m + 100, 800, QEFF_RANGE_LENT, false), 0);
	CU_ASSERT_EQUAL(qeff_ranges_add(&r, m + 200, 10, QEFF_RANGE_DMA, true), 0);
	CU_ASSERT_EQUAL(qeff_ranges_add(&r, m + 200, 10, QEFF_RANGE_DMA, true), 0);
	CU_ASSERT_EQUAL(qeff_ranges_add(&r, m, 100, QEFF_RANGE_DMA, true), 0);
	/* the small ones hide nothing of the large one around them */
	CU_ASSERT_PTR_EQUAL(qeff_ranges_find(&r, at + 205, 100, false, true), m + 205);
	CU_ASSERT_PTR_EQUAL(qeff_ranges_find(&r, at + 205, 5, true, false), m + 205);
	CU_ASSERT_PTR_NULL(qeff_ranges_find(&r, at + 205, 6, true, false));
	CU_ASSERT_PTR_NULL(qeff_ranges_find(&r, at + 899, 2, false, false));
	CU_ASSERT_PTR_NULL(qeff_ranges_find(&r, at + 899, UINT64_MAX, false, false));
	CU_ASSERT_PTR_NULL(qeff_ranges_find(&r, at + 99, 2, false, false)); /* none holds both */
	qeff_ranges_remove(&r, m + 200, 10, QEFF_RANGE_DMA, false); /* there is no such one */
	qeff_ranges_remove(&r, m + 200, 10, QEFF_RANGE_DMA, true);
	CU_ASSERT_PTR_NOT_NULL(qeff_ranges_find(&r, at + 200, 10, true, false));
	qeff_ranges_remove(&r, m + 200, 10, QEFF_RANGE_DMA, true);
	CU_ASSERT_PTR_NULL(qeff_ranges_find(&r, at + 200, 10, true, false));
	for (int i = 0; i < 200; i++)
		CU_ASSERT_EQUAL(qeff_ranges_add(&r, m + i, 1, QEFF_RANGE_DMA, true), 0);
	CU_ASSERT_PTR_NOT_NULL(qeff_ranges_find(&r, at + 150, 500, false, false));
	qeff_ranges_destroy(&r);
}

static void clean_up(void)
{
	nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	CU_ASSERT_NOT_EQUAL(access(root, F_OK), 0);
}

static const struct unit_test tests[] = {
	{ "no card gives a software card", no_card_gives_a_software_card },
	{ "no driver, and why", no_driver },
	{ "driven, but does not run", does_not_run },
	{ "no node, no permission", no_node_and_no_permission },
	{ "ready, in the order of addresses", ready_in_the_order_of_addresses },
	{ "queries tell the configuration", queries_tell_the_configuration },
	{ "software cards by configuration", software_cards_by_configuration },
	{ "ranges", ranges },
	{ "clean up", clean_up },
};
QEFF_UNIT_MAIN("device", tests)
