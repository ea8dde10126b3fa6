/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The objects of the driver: a card, its DMA bridge channels (DBCs), the users who opened its node,
 * and their buffers.
 *
 * Locks, outermost first:
 *
 * - reset_lock: a card is powered down and up by one thread at a time; never taken by an ioctl
 * - control.lock: one control message is mapped and put on its channel at a time; what exchanges
 *   have shown to the card
 * - dbc.lock: who owns a channel, its ring memory, which buffers are sliced for it, submission
 * - bo.lock: whether and for which channel a buffer is sliced
 * - dbc.queue_lock (spinlock): what is queued on a channel; interrupt threads take it too
 * - control.pending_lock, state_lock (spinlocks): innermost
 *
 * No lock is held while user memory is touched or a reply is waited for, so that no user can hold
 * up a reset. A reset needs no other gate: it makes the state OFFLINE, wakes every waiter, and,
 * once the card has stopped, takes control.lock and each dbc.lock to take away what its users had.
 * Whoever gets one of these locks later finds no open control channel, and no channel of his own,
 * so touches neither registers nor DMA mappings.
 */
#ifndef QEFF_DEVICE_H
#define QEFF_DEVICE_H

#include <linux/completion.h>
#include <linux/io.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mhi.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/scatterlist.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "qeff_compat.h"
#include "qeff_accel.h"
#include "qeff_wire.h"

#define QEFF_DBCS	   QAIC_MAX_DBCS
#define QEFF_BOOTLOG_BYTES SZ_64K

enum qeff_state {
	QEFF_OFFLINE,
	QEFF_BOOT,
	QEFF_ONLINE,
};

/* The numbers userspace sees in dbc<N>_state. */
enum qeff_dbc_state {
	QEFF_DBC_IDLE,
	QEFF_DBC_ASSIGNED,
	QEFF_DBC_BEFORE_SHUTDOWN,
	QEFF_DBC_AFTER_SHUTDOWN,
	QEFF_DBC_BEFORE_POWER_UP,
	QEFF_DBC_AFTER_POWER_UP,
};

/* One open of the node. Lives until its last channel and its last message are gone. */
struct qeff_user {
	struct kref ref;
	struct qeff_device *qdev;
	int handle;
	atomic_t chunk_id;
	bool terminated;	       /* the card has forgotten it; read under dbc.lock */
	atomic64_t busy_ns;	       /* time its channels had something queued */
	struct qeff_exchange *goodbye; /* made at open, so that close cannot lack memory */
	struct work_struct goodbye_work;
	struct completion gone;
};

/* Ring memory of a channel: requests from its start, responses up to its end. */
struct qeff_ring {
	void *cpu;
	dma_addr_t dma;
	size_t bytes;
	u32 elements;
};

struct qeff_counters {
	u64 submitted;
	u64 completed;
	u64 failed;
	u64 bytes_to_device;
	u64 bytes_from_device;
	u64 interrupts;
	u32 queue_high;
};

struct qeff_dbc {
	struct qeff_device *qdev;
	unsigned int id;
	void __iomem *regs;
	int irq; /* its own vector, or 0: shared, or polling */

	struct mutex lock; /* see above */
	struct qeff_user *owner;
	bool enabled; /* false while its DEACTIVATE is on its way */
	bool releasing;
	u32 releases; /* counts the owners who have gone */
	enum qeff_dbc_state state;
	struct list_head bos;	/* sliced for this channel */
	wait_queue_head_t idle; /* an owner has gone */

	spinlock_t queue_lock; /* what follows, but for poll_work */
	struct qeff_ring ring;
	struct qeff_req *req;
	struct qeff_rsp *rsp;
	u32 req_tail; /* ours, as last written */
	u32 req_head; /* the card's, as last read */
	u32 rsp_head; /* ours */
	u32 rsp_told; /* it, as last written */
	ktime_t last_rsp;
	u32 device_us; /* that the card took for the last buffer */
	u16 next_id;
	struct list_head queue; /* buffers, in order of submission */
	u32 queued;		/* buffers in it */
	ktime_t busy_since;
	struct qeff_counters counters;

	unsigned int fruitless; /* interrupts in a row that brought nothing */
	bool poll;		/* no interrupts: poll_work while something is queued */
	unsigned long irq_off;	/* storm: bit 0, the vector was disabled */
	struct work_struct poll_work;
};

/* A slice: elements [first, first + count) of its buffer's table. */
struct qeff_slice {
	u64 offset;
	u64 size;
	u32 first;
	u32 count;
};

struct qeff_perf {
	u32 level_before;
	u32 elements;
	u32 submit_us;
	u32 device_us;
};

struct qeff_bo {
	struct drm_gem_object base;
	struct sg_table *sgt; /* own pages; of an imported one: while sliced */
	bool imported;

	struct mutex lock;    /* what follows, but for the queue's */
	struct qeff_dbc *dbc; /* changes under dbc.lock and bo.lock, both */
	struct list_head dbc_node;
	enum dma_data_direction dir;
	struct qeff_slice *slices;
	u32 nr_slices;
	struct qeff_req *reqs;
	u32 nr_reqs;

	/* dbc.queue_lock */
	struct list_head queue_node;
	bool queued;
	u16 id;
	u32 responses_left;
	u32 submitted; /* counts executions */
	u32 completed;
	int status; /* of the one that is queued, so far */
	int result; /* of the last one that ended */
	u64 bytes;
	ktime_t called;
	ktime_t told;
	struct qeff_perf next, perf;
	wait_queue_head_t wait;
};

#define to_qeff_bo(obj) container_of(obj, struct qeff_bo, base)

struct qeff_control {
	struct mutex lock;	/* see above */
	struct mhi_device *mhi; /* while open */
	bool open;
	bool crc;
	u32 sequence;
	u32 spare_rx; /* receive buffers queued for replies that nobody asked for */
	struct work_struct boot_work;
	struct list_head shown; /* exchanges with memory that is mapped for the card */

	spinlock_t pending_lock;  /* what follows */
	struct list_head pending; /* exchanges whose reply is awaited */
	struct list_head doomed;  /* exchanges whose memory the card may reach until it is reset */
	u32 quiet_epoch;	  /* exchanges of earlier epochs are out of the card's reach */
};

struct qeff_ras_counts {
	u32 ce;
	u32 ue;
	u32 ue_nonfatal;
};

struct qeff_device {
	struct drm_device drm;
	struct pci_dev *pdev;
	void __iomem *mhi_regs;
	void __iomem *dbc_regs;
	bool one_vector;
	struct pci_saved_state *config; /* as it was at probe */
	struct list_head node;		/* all cards, for netlink */
	u32 index;

	spinlock_t state_lock; /* state, epoch, removed */
	enum qeff_state state;
	u32 epoch; /* counts how often the card went away */
	bool removed;
	u32 resets;

	struct mutex reset_lock; /* the card is stopped or started */
	struct work_struct reset_work;
	bool mhi_up;
	bool asleep;
	struct mhi_controller *mhi;
	struct workqueue_struct *wq;
	struct workqueue_struct *goodbye_wq; /* as many as leave; nothing else waits for them */

	struct qeff_control control;
	struct qeff_dbc dbc[QEFF_DBCS];

	struct mutex log_lock; /* bootlog */
	char *bootlog;
	size_t bootlog_len;

	atomic_t ras_ce, ras_ue, ras_ue_nonfatal;
#ifdef QEFF_HAVE_DRM_RAS
	struct drm_ras_node ras_node;
	bool ras_registered;
#endif
};

#define to_qeff(d) container_of(d, struct qeff_device, drm)

static inline bool qeff_online(struct qeff_device *qdev)
{
	return READ_ONCE(qdev->state) == QEFF_ONLINE;
}

/* qeff_drv.c */
extern bool qeff_polling;
extern unsigned int qeff_mhi_timeout_ms;
extern unsigned int qeff_control_timeout_s;
extern unsigned int qeff_wait_timeout_ms;
extern unsigned int qeff_poll_interval_us;
extern unsigned int qeff_timesync_ms;

void qeff_device_online(struct qeff_device *qdev, u32 epoch);
void qeff_device_stop(struct qeff_device *qdev);
bool qeff_device_back(struct qeff_device *qdev);
void qeff_device_offline(struct qeff_device *qdev);
void qeff_device_quiet(struct qeff_device *qdev);
void qeff_device_request_reset(struct qeff_device *qdev, const char *why);
void qeff_user_put(struct qeff_user *user);

/* qeff_mhi.c */
int qeff_mhi_init(struct qeff_device *qdev, int irq);
void qeff_mhi_exit(struct qeff_device *qdev);
int qeff_mhi_start(struct qeff_device *qdev);
void qeff_mhi_stop(struct qeff_device *qdev);
int qeff_mhi_soc_reset(struct qeff_device *qdev);
bool qeff_mhi_link_up(struct qeff_device *qdev);
struct qeff_device *qeff_from_mhi(struct mhi_device *mhi_dev);
void qeff_mhi_close(struct mhi_device *mhi_dev, bool *closing, struct work_struct *work);
int qeff_mhi_register_drivers(void);
void qeff_mhi_unregister_drivers(void);

extern struct mhi_driver qeff_control_driver;
extern struct mhi_driver qeff_sahara_driver;
extern struct mhi_driver qeff_timesync_boot_driver;
extern struct mhi_driver qeff_timesync_driver;
extern struct mhi_driver qeff_bootlog_driver;
extern struct mhi_driver qeff_ssr_driver;
extern struct mhi_driver qeff_ras_driver;

/* qeff_ras.c, qeff_bootlog.c */
void qeff_ras_init(struct qeff_device *qdev);
void qeff_ras_exit(struct qeff_device *qdev);
extern const struct attribute_group qeff_ras_group;
void qeff_debugfs_init(struct qeff_device *qdev);

/* qeff_control.c */
int qeff_manage_ioctl(struct drm_device *drm, void *data, struct drm_file *file);
void qeff_control_init(struct qeff_device *qdev);
void qeff_control_abort(struct qeff_device *qdev);
void qeff_control_quiet(struct qeff_device *qdev);
bool qeff_control_busy(struct qeff_device *qdev);
int qeff_goodbye_init(struct qeff_user *user);
void qeff_goodbye_free(struct qeff_user *user);
void qeff_goodbye(struct qeff_user *user);

/* qeff_gem.c */
int qeff_create_bo_ioctl(struct drm_device *drm, void *data, struct drm_file *file);
int qeff_mmap_bo_ioctl(struct drm_device *drm, void *data, struct drm_file *file);
struct drm_gem_object *qeff_gem_prime_import(struct drm_device *drm, struct dma_buf *dma_buf);
struct qeff_bo *qeff_bo_lookup(struct drm_file *file, u32 handle);

static inline void qeff_bo_put(struct qeff_bo *bo)
{
	drm_gem_object_put(&bo->base);
}

/* qeff_slice.c */
int qeff_attach_slice_bo_ioctl(struct drm_device *drm, void *data, struct drm_file *file);
int qeff_detach_slice_bo_ioctl(struct drm_device *drm, void *data, struct drm_file *file);
void qeff_bo_unslice(struct qeff_bo *bo);
int qeff_bo_detach(struct qeff_bo *bo, struct qeff_user *user, bool force);

/* Bytes that @slice moves if the first @valid bytes of the buffer may be moved. */
static inline u64 qeff_slice_valid(const struct qeff_slice *slice, u64 valid)
{
	return valid > slice->offset ? min(slice->size, valid - slice->offset) : 0;
}

u32 qeff_slice_elements(const struct qeff_bo *bo, const struct qeff_slice *slice, u64 valid);
void qeff_slice_fill(const struct qeff_bo *bo, const struct qeff_slice *slice, u64 valid, u32 index,
		     bool last, struct qeff_req *out);

/* qeff_dbc.c */
void qeff_dbc_init(struct qeff_device *qdev);
int qeff_dbc_assign(struct qeff_dbc *dbc, struct qeff_user *user, u32 epoch,
		    struct qeff_ring *ring);
void qeff_dbc_release(struct qeff_dbc *dbc, struct qeff_user *user, int error);
void qeff_dbc_release_user(struct qeff_user *user);
void qeff_dbc_release_all(struct qeff_device *qdev);
int qeff_dbc_disable(struct qeff_dbc *dbc, struct qeff_user *user);
void qeff_dbc_enable(struct qeff_dbc *dbc, struct qeff_user *user);
int qeff_dbc_check(struct qeff_dbc *dbc, struct qeff_user *user, int foreign);
void qeff_dbc_set_state(struct qeff_dbc *dbc, enum qeff_dbc_state state);
void qeff_ring_free(struct qeff_device *qdev, struct qeff_ring *ring);
extern const struct attribute_group qeff_dbc_group;

/* qeff_queue.c */
int qeff_execute_bo_ioctl(struct drm_device *drm, void *data, struct drm_file *file);
int qeff_partial_execute_bo_ioctl(struct drm_device *drm, void *data, struct drm_file *file);
int qeff_wait_bo_ioctl(struct drm_device *drm, void *data, struct drm_file *file);
int qeff_perf_stats_bo_ioctl(struct drm_device *drm, void *data, struct drm_file *file);
void qeff_queue_wake(struct qeff_dbc *dbc);
void qeff_queue_flush(struct qeff_dbc *dbc, int error);
bool qeff_queue_busy(struct qeff_device *qdev);
int qeff_queue_drain(struct qeff_dbc *dbc, bool hold);
bool qeff_queue_seen(struct qeff_dbc *dbc);

/* qeff_irq.c */
int qeff_irq_request(struct qeff_device *qdev);
void qeff_irq_start_polling(struct qeff_dbc *dbc);
void qeff_irq_poll_work(struct work_struct *work);

/* qeff_power.c */
extern const struct pci_error_handlers qeff_err_handler;
extern const struct dev_pm_ops qeff_pm_ops;

/* qeff_netlink.c */
int qeff_netlink_init(void);
void qeff_netlink_exit(void);
void qeff_netlink_add(struct qeff_device *qdev);
void qeff_netlink_del(struct qeff_device *qdev);
void qeff_netlink_state(struct qeff_device *qdev, enum qeff_state state);
void qeff_netlink_reset(struct qeff_device *qdev, const char *why);
void qeff_netlink_dbc(struct qeff_dbc *dbc, enum qeff_dbc_state state);
void qeff_netlink_ras(struct qeff_device *qdev, u32 source, u32 type, u32 count);

#endif
