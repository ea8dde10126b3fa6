/* SPDX-License-Identifier: MIT */
/*
 * What is missing when no driver holds a card, or when its firmware does not run: libkmod knows the
 * modules that claim the function and what modprobe's configuration says of them; the firmware is
 * looked for where the kernel's loader does.
 */
#include "device/discover.h"
#include "util/log.h"

#include <libkmod.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

/* libkmod prints to standard error unless told otherwise. */
static void kmod_line(void *data, int priority, const char *file, int line, const char *fn,
		      const char *format, va_list args)
{
	char text[256];

	vsnprintf(text, sizeof(text), format, args);
	text[strcspn(text, "\n")] = '\0';
	qeff_log(QEFF_LOG_DEBUG, "libkmod: %s: %s", fn, text);
}

static struct kmod_ctx *open_kmod(const struct qeff_sysfs *s, const char *release)
{
	char modules[QEFF_PATH_BYTES], config[QEFF_PATH_BYTES];
	const char *configs[] = { config, NULL };
	struct kmod_ctx *ctx;

	if (s->is_real) {
		ctx = kmod_new(NULL, NULL);
	} else {
		qeff_path(modules, sizeof(modules), "%s/lib/modules/%s", s->root, release);
		qeff_path(config, sizeof(config), "%s/etc/modprobe.d", s->root);
		ctx = kmod_new(modules, configs);
	}
	if (ctx)
		kmod_set_log_fn(ctx, kmod_line, NULL);
	return ctx;
}

static bool is_loaded(const struct qeff_sysfs *s, const char *module)
{
	char path[QEFF_PATH_BYTES];

	return qeff_path(path, sizeof(path), "%s/module/%s", s->sysfs, module) &&
	       access(path, F_OK) == 0;
}

/* One module that claims the card: what keeps it from doing so. */
static void explain_module(const struct qeff_sysfs *s, struct kmod_ctx *ctx, struct kmod_list *item,
			   char *text, size_t size_bytes)
{
	struct kmod_module *module = kmod_module_get_module(item);
	const char *name = kmod_module_get_name(module);
	const char *install = kmod_module_get_install_commands(module);
	struct kmod_config_iter *blacklist = kmod_config_get_blacklists(ctx);
	bool blacklisted = false;

	while (blacklist && kmod_config_iter_next(blacklist))
		blacklisted |= strcmp(kmod_config_iter_get_key(blacklist), name) == 0;
	kmod_config_iter_free_iter(blacklist);

	if (is_loaded(s, name))
		snprintf(text, size_bytes,
			 "module %s is loaded but did not take it: see the kernel log", name);
	else if (blacklisted)
		snprintf(text, size_bytes,
			 "module %s is installed but blacklisted in modprobe's configuration; "
			 "\"modprobe %s\" loads it by hand",
			 name, name);
	else if (install && *install)
		snprintf(text, size_bytes,
			 "module %s is replaced by the command \"%s\" in modprobe's configuration",
			 name, install);
	else
		snprintf(text, size_bytes,
			 "module %s is installed but not loaded; \"modprobe %s\" loads it", name,
			 name);
	kmod_module_unref(module);
}

void qeff_diagnose_driver(const struct qeff_sysfs *s, const char *path, char *text,
			  size_t size_bytes)
{
	struct kmod_list *modules = NULL;
	struct utsname host = { 0 };
	struct kmod_ctx *ctx;
	char alias[128];

	uname(&host);
	snprintf(text, size_bytes,
		 "neither module qeff nor qaic is installed for kernel %s (qeff.ko comes by DKMS)",
		 host.release);
	if (!qeff_sysfs_line(path, "modalias", alias, sizeof(alias)))
		return;
	ctx = open_kmod(s, host.release);
	if (!ctx)
		return;
	kmod_module_new_from_lookup(ctx, alias, &modules);
	/* several may claim it; the first is the one that would have been loaded */
	if (modules)
		explain_module(s, ctx, modules, text, size_bytes);
	else if (is_loaded(s, "qeff") || is_loaded(s, "qaic"))
		snprintf(text, size_bytes,
			 "module %s is loaded but did not take it: see the kernel log",
			 is_loaded(s, "qeff") ? "qeff" : "qaic");
	kmod_module_unref_list(modules);
	kmod_unref(ctx);
}

bool qeff_diagnose_firmware(const struct qeff_sysfs *s)
{
	static const char *const endings[] = { "", ".zst", ".xz" };
	char custom[256], folders[5][QEFF_PATH_BYTES], file[QEFF_PATH_BYTES];
	struct utsname host = { 0 };

	uname(&host);
	qeff_path(file, sizeof(file), "%s/module/firmware_class/parameters", s->sysfs);
	qeff_sysfs_line(file, "path", custom, sizeof(custom));
	qeff_path(folders[0], sizeof(folders[0]), "%s", custom);
	qeff_path(folders[1], sizeof(folders[1]), "%s/lib/firmware/updates/%s", s->root,
		  host.release);
	qeff_path(folders[2], sizeof(folders[2]), "%s/lib/firmware/updates", s->root);
	qeff_path(folders[3], sizeof(folders[3]), "%s/lib/firmware/%s", s->root, host.release);
	qeff_path(folders[4], sizeof(folders[4]), "%s/lib/firmware", s->root);
	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
		for (size_t j = 0; folders[i][0] && j < sizeof(endings) / sizeof(endings[0]); j++)
			if (qeff_path(file, sizeof(file), "%s/qcom/aic100/sbl.bin%s", folders[i],
				      endings[j]) &&
			    access(file, F_OK) == 0)
				return true;
	return false;
}
