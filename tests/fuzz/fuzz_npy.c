/* SPDX-License-Identifier: MIT */
/* A .npy file: read, and converted to every type a binding can have. */
#include "fuzz.h"

#include "../../tools/npy.h"

#include <stdlib.h>

#define NAME "input.npy"

size_t fuzz_regions(const uint8_t *data, size_t size, struct fuzz_region *regions)
{
	regions[0] = (struct fuzz_region){ 0, size < 128 ? size : 128 };
	return 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *path = fuzz_write(NAME, data, size);
	struct qeff_error err = { 0 };
	struct npy npy;
	int rc = npy_read(path, &npy, &err);

	if (rc) {
		fuzz_refused(rc, &err, NAME);
		return 0;
	}
	for (int type = 0; type < QEFF_TYPE_COUNT; type++) {
		void *to = malloc(npy.count * qeff_type_size_bytes((enum qeff_type)type) + 1);

		fuzz_require(to, "no memory");
		rc = npy_convert(&npy, NAME, (enum qeff_type)type, to, &err);
		fuzz_require(!rc || (rc < 0 && err.message[0]), "convert: %d", rc);
		free(to);
	}
	npy_free(&npy);
	fuzz_ran();
	return 0;
}
