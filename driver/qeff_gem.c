// SPDX-License-Identifier: GPL-2.0-only
/*
 * Buffer objects: pages of the host in pieces as large as can be had (every piece costs a request
 * element), or a dma-buf of somebody else.
 */
#include <linux/dma-buf.h>
#include <linux/dma-mapping.h>

#include <drm/drm_prime.h>
#include <drm/drm_vma_manager.h>

#include "qeff_device.h"

QEFF_IMPORT_NS_DMA_BUF;

#define QEFF_BO_MAX_ORDER 9

static void qeff_pages_free(struct sg_table *sgt)
{
	struct scatterlist *sg;
	unsigned int i;

	for_each_sgtable_sg(sgt, sg, i)
		if (sg_page(sg))
			__free_pages(sg_page(sg), get_order(sg->length));
	sg_free_table(sgt);
	kfree(sgt);
}

static struct page *qeff_page_alloc(unsigned int *order)
{
	struct page *page;

	for (; *order; (*order)--) {
		page = alloc_pages(GFP_KERNEL_ACCOUNT | __GFP_ZERO | __GFP_NOWARN | __GFP_NORETRY,
				   *order);
		if (page)
			return page;
	}
	return alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO | __GFP_NOWARN | __GFP_RETRY_MAYFAIL);
}

struct qeff_piece_of_pages {
	struct page *page;
	unsigned int order;
};

static struct sg_table *qeff_pages_alloc(size_t bytes)
{
	unsigned int order = min_t(unsigned int, get_order(bytes), QEFF_BO_MAX_ORDER);
	unsigned long left = bytes >> PAGE_SHIFT;
	unsigned int nr = 0, i, capacity = 64;
	struct qeff_piece_of_pages *pages, *more;
	struct scatterlist *sg;
	struct sg_table *sgt;
	int ret = -ENOMEM;

	if (left > totalram_pages())
		return ERR_PTR(-ENOMEM);

	pages = kvmalloc_array(capacity, sizeof(*pages), GFP_KERNEL_ACCOUNT);
	sgt = kzalloc(sizeof(*sgt), GFP_KERNEL_ACCOUNT);
	if (!pages || !sgt)
		goto err_free;

	while (left) {
		struct page *page;

		if (nr == capacity) {
			more = kvmalloc_array(capacity * 2, sizeof(*pages), GFP_KERNEL_ACCOUNT);
			if (!more)
				goto err_pages;
			memcpy(more, pages, nr * sizeof(*pages));
			kvfree(pages);
			pages = more;
			capacity *= 2;
		}
		while (order && (1UL << order) > left)
			order--;
		page = qeff_page_alloc(&order);
		if (!page)
			goto err_pages;
		pages[nr].page = page;
		pages[nr++].order = order;
		left -= 1UL << order;
		if (fatal_signal_pending(current)) {
			ret = -EINTR;
			goto err_pages;
		}
		cond_resched();
	}
	ret = sg_alloc_table(sgt, nr, GFP_KERNEL_ACCOUNT);
	if (ret)
		goto err_pages;
	for_each_sgtable_sg(sgt, sg, i)
		sg_set_page(sg, pages[i].page, PAGE_SIZE << pages[i].order, 0);
	kvfree(pages);
	return sgt;

err_pages:
	while (nr--)
		__free_pages(pages[nr].page, pages[nr].order);
err_free:
	kvfree(pages);
	kfree(sgt);
	return ERR_PTR(ret);
}

/* ---- object functions ---- */

static void qeff_gem_free(struct drm_gem_object *obj)
{
	struct qeff_bo *bo = to_qeff_bo(obj);

	qeff_bo_detach(bo, NULL, true);
	if (bo->imported)
		drm_prime_gem_destroy(obj, NULL);
	else if (bo->sgt)
		qeff_pages_free(bo->sgt);
	drm_gem_object_release(obj);
	mutex_destroy(&bo->lock);
	kfree(bo);
}

/* A handle is closed: the user's own slicing ends with it, unless the buffer is queued. */
static void qeff_gem_close(struct drm_gem_object *obj, struct drm_file *file)
{
	qeff_bo_detach(to_qeff_bo(obj), file->driver_priv, false);
}

/*
 * Maps all of it at once. Through the node a mapping begins at the buffer's start, through a
 * dma-buf anywhere; either may end early.
 */
static int qeff_gem_mmap(struct drm_gem_object *obj, struct vm_area_struct *vma)
{
	unsigned long skip = (vma->vm_pgoff - drm_vma_node_start(&obj->vma_node)) << PAGE_SHIFT;
	unsigned long left = vma->vm_end - vma->vm_start, at = vma->vm_start;
	struct qeff_bo *bo = to_qeff_bo(obj);
	struct scatterlist *sg;
	unsigned int i;
	int ret;

	if (bo->imported || skip > obj->size || left > obj->size - skip)
		return -EINVAL;

	vm_flags_set(vma, VM_IO | VM_PFNMAP | VM_DONTEXPAND | VM_DONTDUMP);
	for_each_sgtable_sg(bo->sgt, sg, i) {
		unsigned long bytes = sg->length;

		if (!left)
			break;
		if (skip >= bytes) {
			skip -= bytes;
			continue;
		}
		bytes = min(bytes - skip, left);
		ret = remap_pfn_range(vma, at, page_to_pfn(sg_page(sg)) + (skip >> PAGE_SHIFT),
				      bytes, vma->vm_page_prot);
		if (ret)
			return ret;
		skip = 0;
		at += bytes;
		left -= bytes;
	}
	return 0;
}

static struct sg_table *qeff_gem_get_sg_table(struct drm_gem_object *obj)
{
	struct qeff_bo *bo = to_qeff_bo(obj);
	struct scatterlist *sg, *from;
	struct sg_table *sgt;
	unsigned int i;
	int ret;

	if (bo->imported)
		return ERR_PTR(-EINVAL);
	sgt = kzalloc(sizeof(*sgt), GFP_KERNEL);
	if (!sgt)
		return ERR_PTR(-ENOMEM);
	ret = sg_alloc_table(sgt, bo->sgt->orig_nents, GFP_KERNEL);
	if (ret) {
		kfree(sgt);
		return ERR_PTR(ret);
	}
	from = bo->sgt->sgl;
	for_each_sgtable_sg(sgt, sg, i) {
		sg_set_page(sg, sg_page(from), from->length, 0);
		from = sg_next(from);
	}
	return sgt;
}

static const struct dma_buf_ops qeff_dma_buf_ops = {
	.attach = drm_gem_map_attach,
	.detach = drm_gem_map_detach,
	.map_dma_buf = drm_gem_map_dma_buf,
	.unmap_dma_buf = drm_gem_unmap_dma_buf,
	.release = drm_gem_dmabuf_release,
	.mmap = drm_gem_dmabuf_mmap,
};

/* Exported with operations of our own by which an import knows them again. */
static struct dma_buf *qeff_gem_export(struct drm_gem_object *obj, int flags)
{
	struct dma_buf_export_info info = {
		.exp_name = KBUILD_MODNAME,
		.owner = obj->dev->driver->fops->owner,
		.ops = &qeff_dma_buf_ops,
		.size = obj->size,
		.flags = flags,
		.priv = obj,
		.resv = obj->resv,
	};

	if (to_qeff_bo(obj)->imported)
		return ERR_PTR(-EINVAL);
	return drm_gem_dmabuf_export(obj->dev, &info);
}

static void qeff_gem_print_info(struct drm_printer *p, unsigned int indent,
				const struct drm_gem_object *obj)
{
	struct qeff_bo *bo = container_of(obj, struct qeff_bo, base);

	drm_printf_indent(p, indent, "pieces=%u slices=%u\n", bo->sgt ? bo->sgt->orig_nents : 0,
			  bo->nr_slices);
}

static const struct vm_operations_struct qeff_vm_ops = {
	.open = drm_gem_vm_open,
	.close = drm_gem_vm_close,
};

static const struct drm_gem_object_funcs qeff_gem_funcs = {
	.free = qeff_gem_free,
	.close = qeff_gem_close,
	.mmap = qeff_gem_mmap,
	.vm_ops = &qeff_vm_ops,
	.get_sg_table = qeff_gem_get_sg_table,
	.export = qeff_gem_export,
	.print_info = qeff_gem_print_info,
};

static struct qeff_bo *qeff_bo_new(struct drm_device *drm, size_t bytes)
{
	struct qeff_bo *bo = kzalloc(sizeof(*bo), GFP_KERNEL_ACCOUNT);

	if (!bo)
		return NULL;
	mutex_init(&bo->lock);
	INIT_LIST_HEAD(&bo->dbc_node);
	INIT_LIST_HEAD(&bo->queue_node);
	init_waitqueue_head(&bo->wait);
	bo->base.funcs = &qeff_gem_funcs;
	drm_gem_private_object_init(drm, &bo->base, bytes);
	return bo;
}

struct qeff_bo *qeff_bo_lookup(struct drm_file *file, u32 handle)
{
	struct drm_gem_object *obj = drm_gem_object_lookup(file, handle);

	return obj ? to_qeff_bo(obj) : NULL;
}

int qeff_create_bo_ioctl(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct qaic_create_bo *args = data;
	struct qeff_bo *bo;
	size_t bytes;
	int ret;

	if (!qeff_online(to_qeff(drm)))
		return -ENODEV;
	if (args->pad || !args->size)
		return -EINVAL;
	bytes = PAGE_ALIGN(args->size);
	if (bytes < args->size)
		return -EINVAL;

	bo = qeff_bo_new(drm, bytes);
	if (!bo)
		return -ENOMEM;
	bo->sgt = qeff_pages_alloc(bytes);
	if (IS_ERR(bo->sgt)) {
		ret = PTR_ERR(bo->sgt);
		bo->sgt = NULL;
		goto out_put;
	}
	ret = drm_gem_create_mmap_offset(&bo->base);
	if (ret)
		goto out_put;
	ret = drm_gem_handle_create(file, &bo->base, &args->handle);
out_put:
	/* On success the handle holds it. */
	qeff_bo_put(bo);
	return ret;
}

int qeff_mmap_bo_ioctl(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct qaic_mmap_bo *args = data;
	struct qeff_bo *bo;

	if (!qeff_online(to_qeff(drm)))
		return -ENODEV;
	bo = qeff_bo_lookup(file, args->handle);
	if (!bo)
		return -ENOENT;
	/* An imported buffer has no offset; mmap() at 0 is refused. */
	args->offset = bo->imported ? 0 : drm_vma_node_offset_addr(&bo->base.vma_node);
	qeff_bo_put(bo);
	return 0;
}

/* Attached here, mapped only while it is sliced. */
struct drm_gem_object *qeff_gem_prime_import(struct drm_device *drm, struct dma_buf *dma_buf)
{
	struct dma_buf_attachment *attach;
	struct drm_gem_object *obj;
	struct qeff_bo *bo;

	if (dma_buf->ops == &qeff_dma_buf_ops) {
		obj = dma_buf->priv;
		if (obj->dev == drm) {
			drm_gem_object_get(obj);
			return obj;
		}
	}
	if (!dma_buf->size)
		return ERR_PTR(-EINVAL);

	bo = qeff_bo_new(drm, dma_buf->size);
	if (!bo)
		return ERR_PTR(-ENOMEM);
	attach = dma_buf_attach(dma_buf, drm->dev);
	if (IS_ERR(attach)) {
		qeff_bo_put(bo);
		return ERR_CAST(attach);
	}
	get_dma_buf(dma_buf);
	bo->base.import_attach = attach;
	bo->imported = true;
	return &bo->base;
}
