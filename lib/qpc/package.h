/* SPDX-License-Identifier: MIT */
/* What the rest of the library may see of an open package beyond <qeff/qpc.h>. */
#ifndef QEFF_QPC_PACKAGE_H
#define QEFF_QPC_PACKAGE_H

#include "qpc/metadata.h"

#include <qeff/qpc.h>

/* The validated metadata of the program, owned by the package. Fails like qeff_qpc_program(). */
int qeff_qpc_metadata(const struct qeff_qpc *qpc, const struct qeff_metadata **metadata,
		      struct qeff_error *err);

#endif
