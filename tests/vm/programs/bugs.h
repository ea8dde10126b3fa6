/* SPDX-License-Identifier: MIT */
/*
 * One test for each kind of bug that drivers of the card have had, by the numbers of
 * tests/vm/mutations; what its parts share.
 */
#ifndef QEFF_TESTS_VM_BUGS_H
#define QEFF_TESTS_VM_BUGS_H

#include "client.h"

#include <stdbool.h>

/* Prints what is not as it should be. */
void check_at(int line, const char *what, bool ok);
void expect_at(int line, const char *what, int want, int got);
#define check(what, ok)		check_at(__LINE__, what, ok)
#define expect(what, want, got) expect_at(__LINE__, what, want, got)

/* Asks the host (answer-guest.sh); the answer is valid until the next question. */
const char *host(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The first card's plan of faults from now on. */
void plan(const char *faults);
/* A number out of the first card's statistics, by its name (the first one of that name). */
long card_counter(const char *name);
/* How many stretches of the guest's memory the first card can reach; more than it lists are all the
 * same. */
unsigned int card_mapped(void);

double now(void);
/* The state of a channel of the first card, as its node tells it. */
int channel_state(unsigned int dbc_id);

/* One STATUS exchange. */
int status(int fd);
/* @pages pages in runs of @run (their number no multiple of 7) that are @repeats times the same
 * memory: no two neighbouring runs are neighbours in memory, in neither direction. */
uint8_t *scattered(size_t pages, size_t run, unsigned int repeats);

/* A buffer with one slice of all its bytes, at @offset of the client's memory on the card. 0 on
 * failure. */
uint32_t sliced(const struct client *c, uint32_t dir, size_t size_bytes, uint64_t offset);

extern const char *other_node;

/* bugs_control.c */
void bug_encode(void);
void bug_decode(void);
void bug_pinning(void);
void bug_resend(void);
void bug_coalesced(void);
void bug_handles(void);
void bug_late_deactivate(void);
void bug_room(void);
/* bugs_data.c */
void bug_slice_range(void);
void bug_sliced_twice(void);
void bug_slice_failed(void);
void bug_create_failed(void);
void bug_prime(void);
void bug_execute_failed(void);
void bug_submitters(void);
void bug_perf_foreign(void);
void bug_release(void);
void bug_short_mmap(void);
void bug_spurious(void);
void bug_perf_unsliced(void);
/* bugs_limits.c */
void bug_execute_many(void);
void bug_leaving(void);
/* bugs_memory.c */
void bug_no_memory(void);

#endif
