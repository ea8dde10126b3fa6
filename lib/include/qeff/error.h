/* SPDX-License-Identifier: MIT */
/*
 * The error a person reads.
 *
 * Every function of libqeff and libqeff-compiler that can fail returns 0 (or a documented
 * non-negative value) on success and a negative errno on failure, and takes as its last parameter a
 * nullable pointer to this struct. On failure it holds one sentence: what, where (file, segment,
 * offset, field), what was expected and what was found. On success it is left alone.
 */
#ifndef QEFF_ERROR_H
#define QEFF_ERROR_H

#ifdef __cplusplus
extern "C" {
#endif

/**
 * struct qeff_error - why a call failed
 * @code: the negative errno that the call returned, 0 if no error was stored
 * @message: one sentence for a person, NUL terminated, no newline
 *
 * Owned by the caller, usually on its stack, initialised with {0}. Not shared between threads by
 * the library: each call writes only the one it was given.
 */
struct qeff_error {
	int code;
	char message[508];
};

#ifdef __cplusplus
}
#endif
#endif
