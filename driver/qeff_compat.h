/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Every difference between the kernels this module is built for, Debian's 6.1, 6.12 and 7.3, and
 * nothing else. The rest of the driver is written for the newest of them.
 */
#ifndef QEFF_COMPAT_H
#define QEFF_COMPAT_H

#include <linux/mm.h>
#include <linux/module.h>
#include <linux/version.h>

#include <drm/drm_device.h>
#include <drm/drm_drv.h>
#include <drm/drm_file.h>
#include <drm/drm_gem.h>
#include <drm/drm_ioctl.h>
#include <drm/drm_print.h>

#define QEFF_KERNEL(a, b) (LINUX_VERSION_CODE >= KERNEL_VERSION(a, b, 0))

/* 6.13 made the name space a string. */
#if QEFF_KERNEL(6, 13)
#define QEFF_IMPORT_NS_DMA_BUF MODULE_IMPORT_NS("DMA_BUF")
#else
#define QEFF_IMPORT_NS_DMA_BUF MODULE_IMPORT_NS(DMA_BUF)
#endif

/* The accel subsystem came with 6.2; before it a card is a render node. */
#if QEFF_KERNEL(6, 2)
#include <drm/drm_accel.h>
#define QEFF_NODE_FEATURE DRIVER_COMPUTE_ACCEL
/* Since 6.12 the promise that offsets are unsigned stands in the file operations. */
#if QEFF_KERNEL(6, 12)
#define QEFF_NODE_FOPS .open = accel_open, .fop_flags = FOP_UNSIGNED_OFFSET
#else
#define QEFF_NODE_FOPS .open = accel_open
#endif

static inline struct device *qeff_node_device(struct drm_device *drm)
{
	return drm->accel ? drm->accel->kdev : NULL;
}
#else
#define QEFF_NODE_FEATURE DRIVER_RENDER
#define QEFF_NODE_FOPS	  .open = drm_open

static inline struct device *qeff_node_device(struct drm_device *drm)
{
	return drm->render ? drm->render->kdev : NULL;
}
#endif

/* Where the files of debugfs go; they go with it. */
static inline struct dentry *qeff_debugfs_root(struct drm_device *drm)
{
#if QEFF_KERNEL(6, 7)
	return drm->debugfs_root;
#else
	return drm->render ? drm->render->debugfs_root : NULL;
#endif
}

/* The number in the name of the node. */
static inline u32 qeff_node_index(struct drm_device *drm)
{
#if QEFF_KERNEL(6, 2)
	return drm->accel ? drm->accel->index : 0;
#else
	return drm->render ? drm->render->index : 0;
#endif
}

#if !QEFF_KERNEL(6, 3)
static inline void vm_flags_set(struct vm_area_struct *vma, unsigned long flags)
{
	vma->vm_flags |= flags;
}
#endif

/* fdinfo: since 6.5 DRM prints the common keys and calls the driver; before, all is ours. */
void qeff_show_fdinfo(struct drm_printer *p, struct drm_file *file);
unsigned int qeff_client_id(struct drm_file *file);

#if QEFF_KERNEL(6, 5)
#define qeff_fop_show_fdinfo drm_show_fdinfo
#else
#include <linux/pci.h>

static inline void qeff_fop_show_fdinfo(struct seq_file *m, struct file *f)
{
	struct drm_file *file = f->private_data;
	struct drm_printer p = drm_seq_file_printer(m);

	drm_printf(&p, "drm-driver:\t%s\n", file->minor->dev->driver->name);
	drm_printf(&p, "drm-pdev:\t%s\n", pci_name(to_pci_dev(file->minor->dev->dev)));
	/* Unique within the device, which drm-pdev names: all the document asks for. */
	drm_printf(&p, "drm-client-id:\t%u\n", qeff_client_id(file));
	qeff_show_fdinfo(&p, file);
}
#endif

/* What struct drm_driver has to be told: a date until 6.14, PRIME's defaults until 6.6. */
#if QEFF_KERNEL(6, 14)
#define QEFF_DRM_DRIVER .show_fdinfo = qeff_show_fdinfo
#elif QEFF_KERNEL(6, 6)
#define QEFF_DRM_DRIVER .show_fdinfo = qeff_show_fdinfo, .date = "20260101"
#else
#define QEFF_DRM_DRIVER                                                                            \
	.date = "20260101", .prime_handle_to_fd = drm_gem_prime_handle_to_fd,                      \
	.prime_fd_to_handle = drm_gem_prime_fd_to_handle, .gem_prime_mmap = drm_gem_prime_mmap
#endif

/* 6.7 put the attributes of a netlink dump a level deeper. Wants <net/genetlink.h>. */
#if QEFF_KERNEL(6, 7)
#define qeff_dump_attrs(cb) (genl_info_dump(cb)->attrs)
#else
#define qeff_dump_attrs(cb) (genl_dumpit_info(cb)->attrs)
#endif

/* RAS counters over generic netlink: in the newest kernels, if they were built with it. */
#if QEFF_KERNEL(7, 0) && IS_ENABLED(CONFIG_DRM_RAS)
#define QEFF_HAVE_DRM_RAS 1
#include <drm/drm_ras.h>
#endif

#endif
