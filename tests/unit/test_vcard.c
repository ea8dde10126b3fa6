/* SPDX-License-Identifier: MIT */
/* Parts of the virtual card by themselves: memory maps, interrupts, fault plans, boot plans. */
#include "unit.h"

#include "softcard/pcie/boot.h"
#include "softcard/pcie/dma.h"
#include "softcard/pcie/fault.h"
#include "softcard/pcie/irq.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE  4096u
#define PAGES 64u

static int make_file(void)
{
	int fd = memfd_create("guest", MFD_CLOEXEC);
	uint8_t page[PAGE];

	CU_ASSERT_FATAL(fd >= 0);
	for (uint32_t i = 0; i < PAGES; i++) {
		memset(page, (int)i, sizeof(page));
		CU_ASSERT_EQUAL_FATAL(write(fd, page, sizeof(page)), PAGE);
	}
	return fd;
}

static int add(struct qeff_dma *dma, int fd, uint64_t address, uint64_t pages, uint64_t from,
	       bool writable)
{
	const struct qeff_dma_map map = { .address = address,
					  .size_bytes = pages * PAGE,
					  .readable = true,
					  .writable = writable };

	return qeff_dma_add(dma, &map, fd, from * PAGE);
}

/* Maps that are neighbours are one range, in whatever order they came, with whatever behind. */
static void neighbours(void)
{
	struct qeff_dma dma;
	int fd = make_file();
	const uint8_t *p;

	qeff_dma_init(&dma);
	CU_ASSERT_EQUAL(add(&dma, fd, 0x12000, 1, 9, true), 0);
	CU_ASSERT_EQUAL(add(&dma, fd, 0x10000, 1, 5, true), 0);
	CU_ASSERT_PTR_NULL(qeff_dma_find(&dma, 0x10000, 0x1001, false));
	CU_ASSERT_EQUAL(add(&dma, fd, 0x11000, 1, 1, false), 0);
	p = qeff_dma_find(&dma, 0x10ff0, 0x1020, false);
	CU_ASSERT_PTR_NOT_NULL_FATAL(p);
	CU_ASSERT(p[0] == 5 && p[0xf] == 5 && p[0x10] == 1 && p[0x100f] == 1 && p[0x1010] == 9);
	/* the middle one is not the card's to write */
	CU_ASSERT_PTR_NULL(qeff_dma_find(&dma, 0x10ff0, 0x1020, true));
	CU_ASSERT_PTR_NOT_NULL(qeff_dma_find(&dma, 0x12000, PAGE, true));
	/* edges */
	CU_ASSERT_PTR_NOT_NULL(qeff_dma_find(&dma, 0x10000, 0x3000, false));
	CU_ASSERT_PTR_NULL(qeff_dma_find(&dma, 0x10000, 0x3001, false));
	CU_ASSERT_PTR_NULL(qeff_dma_find(&dma, 0xffff, 2, false));
	CU_ASSERT_PTR_NULL(qeff_dma_find(&dma, 0x10000, 0, false));
	CU_ASSERT_PTR_NULL(qeff_dma_find(&dma, 0x10000, UINT64_MAX, false));
	CU_ASSERT_PTR_NULL(qeff_dma_find(&dma, UINT64_MAX, 1, false));
	dma.enabled = false;
	CU_ASSERT_PTR_NULL(qeff_dma_find(&dma, 0x10000, 1, false));
	qeff_dma_destroy(&dma);
	close(fd);
}

/* A pointer from before an unmap reads nothing of the file, and writes nothing into it. */
static void unmapped(void)
{
	struct qeff_dma dma;
	uint8_t byte = 0;
	int fd = make_file();
	volatile uint8_t *p;

	qeff_dma_init(&dma);
	CU_ASSERT_EQUAL(add(&dma, fd, 0x100000, 4, 8, true), 0);
	CU_ASSERT_EQUAL(add(&dma, fd, 0x104000, 4, 20, true), 0);
	p = qeff_dma_find(&dma, 0x101000, 0x5000, true);
	CU_ASSERT_PTR_NOT_NULL_FATAL(p);
	p[0] = 77;
	CU_ASSERT(pread(fd, &byte, 1, 9 * PAGE) == 1 && byte == 77);
	CU_ASSERT_EQUAL(qeff_dma_remove(&dma, 0x100000, 0x2000), -EINVAL);
	CU_ASSERT_EQUAL(p[0], 77);
	CU_ASSERT_EQUAL(qeff_dma_remove(&dma, 0x0, 0x104000), 0);
	CU_ASSERT_PTR_NULL(qeff_dma_find(&dma, 0x101000, 1, false));
	CU_ASSERT_EQUAL(p[0], 0);
	p[0] = 78;
	CU_ASSERT(pread(fd, &byte, 1, 9 * PAGE) == 1 && byte == 77);
	/* the neighbour is as it was; and the place can be had again */
	CU_ASSERT_EQUAL(p[0x3000], 20);
	CU_ASSERT_EQUAL(add(&dma, fd, 0x101000, 1, 40, true), 0);
	CU_ASSERT_EQUAL(p[0], 40);
	qeff_dma_remove_all(&dma);
	CU_ASSERT_EQUAL(p[0], 0);
	CU_ASSERT_EQUAL(p[0x3000], 0);
	CU_ASSERT_EQUAL(dma.num_maps, 0);
	CU_ASSERT_EQUAL(dma.peak, 2);
	qeff_dma_destroy(&dma);
	close(fd);
}

static void impossible_maps(void)
{
	struct qeff_dma dma;
	int fd = make_file(), pipes[2];

	CU_ASSERT_EQUAL_FATAL(pipe(pipes), 0);
	qeff_dma_init(&dma);
	CU_ASSERT_EQUAL(add(&dma, fd, 0, 0, 0, true), -EINVAL);
	CU_ASSERT_EQUAL(add(&dma, fd, 0, PAGES + 1, 0, true), -EINVAL);
	CU_ASSERT_EQUAL(add(&dma, fd, 0, PAGES, 1, true), -EINVAL);
	CU_ASSERT_EQUAL(add(&dma, fd, 0x800, 1, 0, true), -EINVAL);
	CU_ASSERT_EQUAL(add(&dma, fd, -(uint64_t)PAGE, 2, 0, true), -EINVAL);
	CU_ASSERT_EQUAL(add(&dma, pipes[0], 0, 1, 0, true), -EINVAL);
	/* over the border of two windows */
	CU_ASSERT_EQUAL(add(&dma, fd, QEFF_DMA_WINDOW_BYTES - PAGE, 2, 0, true), -EINVAL);
	/* the very last page is fine */
	CU_ASSERT_EQUAL(add(&dma, fd, -(uint64_t)PAGE, 1, 0, true), 0);
	CU_ASSERT_PTR_NOT_NULL(qeff_dma_find(&dma, UINT64_MAX, 1, false));
	CU_ASSERT_EQUAL(qeff_dma_remove(&dma, -(uint64_t)PAGE, PAGE), 0);
	/* known, but without memory */
	CU_ASSERT_EQUAL(add(&dma, -1, 0xc0000, 8, 0, false), 0);
	CU_ASSERT_PTR_NULL(qeff_dma_find(&dma, 0xc0000, 1, false));
	CU_ASSERT_EQUAL(add(&dma, fd, 0xc7000, 2, 0, true), -EEXIST);
	CU_ASSERT_EQUAL(add(&dma, fd, 0xbf000, 2, 0, true), -EEXIST);
	CU_ASSERT_EQUAL(add(&dma, fd, 0xbf000, 1, 0, true), 0);
	CU_ASSERT_EQUAL(add(&dma, fd, 0xc8000, 1, 0, true), 0);
	qeff_dma_destroy(&dma);
	close(fd);
	close(pipes[0]);
	close(pipes[1]);
}

static unsigned int count(int fd)
{
	uint64_t n = 0;

	return read(fd, &n, sizeof(n)) == sizeof(n) ? (unsigned int)n : 0;
}

static void give(struct qeff_irqs *irqs, int *mine, unsigned int messages)
{
	int fds[QEFF_IRQ_MESSAGES];

	for (unsigned int i = 0; i < messages; i++) {
		mine[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		fds[i] = dup(mine[i]);
	}
	CU_ASSERT_EQUAL(qeff_irqs_set(irqs, 0, messages, fds), 0);
}

/* The number of a vector is cut to the messages there are. */
static void messages(void)
{
	int mine[QEFF_IRQ_MESSAGES];
	struct qeff_irqs irqs;

	for (unsigned int have = 1; have <= 32; have *= 2) {
		qeff_irqs_init(&irqs);
		qeff_irqs_raise(&irqs, 3);
		CU_ASSERT_EQUAL(irqs.unheard, 1);
		give(&irqs, mine, have);
		for (unsigned int i = 0; i < 17; i++)
			qeff_irqs_raise(&irqs, i);
		for (unsigned int i = 0; i < have; i++) {
			unsigned int expected = 0;

			for (unsigned int k = 0; k < 17; k++)
				expected += k % have == i;
			CU_ASSERT_EQUAL(count(mine[i]), expected);
			close(mine[i]);
		}
		qeff_irqs_destroy(&irqs);
	}
}

static void masks(void)
{
	int mine[QEFF_IRQ_MESSAGES];
	struct qeff_irqs irqs;

	qeff_irqs_init(&irqs);
	give(&irqs, mine, 4);
	qeff_irqs_mask(&irqs, 0x6);
	for (unsigned int i = 0; i < 8; i++)
		qeff_irqs_raise(&irqs, i);
	CU_ASSERT(count(mine[0]) == 2 && !count(mine[1]) && !count(mine[2]) && count(mine[3]) == 2);
	CU_ASSERT_EQUAL(qeff_irqs_pending(&irqs), 0x6);
	/* two that were masked are one; the other stays */
	qeff_irqs_mask(&irqs, 0x4);
	CU_ASSERT(count(mine[1]) == 1 && !count(mine[2]));
	qeff_irqs_reset(&irqs);
	CU_ASSERT_EQUAL(qeff_irqs_pending(&irqs), 0);
	CU_ASSERT_EQUAL(count(mine[2]), 0);
	for (unsigned int i = 0; i < 4; i++)
		close(mine[i]);
	qeff_irqs_destroy(&irqs);
}

static void plans(void)
{
	struct qeff_fault_hits hits;
	struct qeff_faults f;

	CU_ASSERT_EQUAL_FATAL(
		qeff_faults_init(&f, "fail@transfer#2,delay=500@control#3+,crash-nsp=4@element#1",
				 NULL),
		0);
	for (unsigned int i = 1; i < 5; i++) {
		hits = qeff_faults_at(&f, QEFF_EVENT_TRANSFER);
		CU_ASSERT_EQUAL(qeff_fault_hit(&hits, QEFF_FAULT_FAIL), i == 2);
		hits = qeff_faults_at(&f, QEFF_EVENT_CONTROL);
		CU_ASSERT_EQUAL(hits.actions, i < 3 ? 0 : 1u << QEFF_FAULT_DELAY);
		if (i >= 3)
			CU_ASSERT_EQUAL(hits.argument[QEFF_FAULT_DELAY], 500);
	}
	hits = qeff_faults_at(&f, QEFF_EVENT_ELEMENT);
	CU_ASSERT_EQUAL(hits.actions, 1u << QEFF_FAULT_CRASH_NSP);
	CU_ASSERT_EQUAL(hits.argument[QEFF_FAULT_CRASH_NSP], 4);
	CU_ASSERT_EQUAL(f.fired[QEFF_FAULT_DELAY], 2);
	/* a wrong one changes nothing; the next one counts from when it came */
	CU_ASSERT_EQUAL(qeff_faults_replace(&f, "fail@control#1", NULL), -EINVAL);
	hits = qeff_faults_at(&f, QEFF_EVENT_CONTROL);
	CU_ASSERT_EQUAL(hits.actions, 1u << QEFF_FAULT_DELAY);
	CU_ASSERT_EQUAL(qeff_faults_replace(&f, "malform=wrap@control#2", NULL), 0);
	for (unsigned int i = 1; i < 4; i++) {
		hits = qeff_faults_at(&f, QEFF_EVENT_CONTROL);
		CU_ASSERT_EQUAL(hits.actions, i == 2 ? 1u << QEFF_FAULT_MALFORM : 0);
	}
	CU_ASSERT_EQUAL(f.seen[QEFF_EVENT_CONTROL], 8);
	qeff_faults_destroy(&f);
}

static void bad_plans(void)
{
	static const char *const bad[] = {
		"fail",
		"fail@transfer",
		"fail@transfer#",
		"fail@transfer#0",
		"fail@transfer#1x",
		"fail@transfer#1++",
		"fail=1@transfer#1",
		"fail@control#1",
		"delay@control#1",
		"delay=@control#1",
		"delay=-1@control#1",
		"stall@transfer#1",
		"crash-nsp=16@msi#1",
		"malform=x@control#1",
		"nonsense@msi#1",
		"lose@nonsense#1",
		",",
		"lose@msi#1,",
		"lose@msi#99999999999999999999",
	};
	struct qeff_error err;
	struct qeff_faults f;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		err = (struct qeff_error){ 0 };
		if (qeff_faults_init(&f, bad[i], &err) != -EINVAL)
			fprintf(stderr, "%s is taken\n", bad[i]);
		CU_ASSERT_EQUAL(err.code, -EINVAL);
		qeff_faults_destroy(&f);
	}
}

static void boot_plans(void)
{
	static const char *const bad[] = {
		"", "1,", ",1", "x", "32", "1 2", "-1", "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17"
	};
	struct qeff_boot b;

	CU_ASSERT_EQUAL(qeff_boot_init(&b, NULL, NULL), 0);
	CU_ASSERT(b.num_images == 5 && b.images[0] == 1 && b.images[4] == 10);
	CU_ASSERT_EQUAL(qeff_boot_init(&b, "none", NULL), 0);
	CU_ASSERT_EQUAL(b.num_images, 0);
	CU_ASSERT_EQUAL(qeff_boot_init(&b, "31", NULL), 0);
	CU_ASSERT_EQUAL(b.num_images, 1);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CU_ASSERT_EQUAL(qeff_boot_init(&b, bad[i], NULL), -EINVAL);
}

static const struct unit_test tests[] = {
	{ "maps side by side", neighbours },
	{ "unmapped under a pointer", unmapped },
	{ "maps that cannot be", impossible_maps },
	{ "messages", messages },
	{ "masked messages", masks },
	{ "fault plans", plans },
	{ "fault plans that are none", bad_plans },
	{ "boot plans", boot_plans },
};
QEFF_UNIT_MAIN("vcard", tests)
