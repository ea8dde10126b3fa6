/* SPDX-License-Identifier: MIT */
/* Marks what a shared library exports. */
#ifndef QEFF_API_H
#define QEFF_API_H

#define QEFF_API __attribute__((visibility("default")))

#endif
