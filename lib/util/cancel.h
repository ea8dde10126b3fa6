/* SPDX-License-Identifier: MIT */
/*
 * Threads that are cancelled. A lock held or memory owned at a cancellation point would be lost
 * with the thread, so functions that reach one put it off until they return.
 */
#ifndef QEFF_UTIL_CANCEL_H
#define QEFF_UTIL_CANCEL_H

#include <pthread.h>
#include <stddef.h>

static inline int qeff_cancel_defer(void)
{
	int state;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	return state;
}

static inline void qeff_cancel_restore(const int *state)
{
	pthread_setcancelstate(*state, NULL);
}

/* Among the declarations of a block: no cancellation from here to its end. */
#define QEFF_NO_CANCEL                                                                             \
	const int qeff_cancel_state_ __attribute__((cleanup(qeff_cancel_restore), unused)) =       \
		qeff_cancel_defer()

#endif
