/* SPDX-License-Identifier: MIT */
/*
 * A model folder in which one file is the input (FUZZ_FILE; the others come from the folder
 * $QEFF_FUZZ_MODEL): compiled into a package, which must then verify. A file of specialisations is
 * given to the compiler beside the folder.
 */
#include "fuzz.h"

#include <qeff/compiler.h>
#include <qeff/qpc.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char model[512], output[512];

/* Links to everything in the model's folder but the file that the input takes the place of. */
static void prepare(void)
{
	const char *from = getenv("QEFF_FUZZ_MODEL");
	DIR *dir = from ? opendir(from) : NULL;
	struct dirent *entry;
	char target[512], name[512];

	fuzz_require(dir, "QEFF_FUZZ_MODEL: no folder %s", from ? from : "given");
	snprintf(model, sizeof(model), "%s", fuzz_folder());
	snprintf(output, sizeof(output), "%s/out.qpc", model);
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.' || !strcmp(entry->d_name, FUZZ_FILE))
			continue;
		snprintf(target, sizeof(target), "%s/%s", from, entry->d_name);
		snprintf(name, sizeof(name), "%s/%s", model, entry->d_name);
		fuzz_require(!symlink(target, name), "link %s", name);
	}
	closedir(dir);
}

size_t fuzz_regions(const uint8_t *data, size_t size, struct fuzz_region *regions)
{
	uint64_t header = size;

	/* of safetensors, the length and the JSON behind it */
	if (!strcmp(FUZZ_FILE, "model.safetensors") && size > 8) {
		memcpy(&header, data, sizeof(header));
		header = header < size - 8 ? header + 8 : size;
		regions[0] = (struct fuzz_region){ 0, 8 };
		for (int i = 1; i < 8; i++)
			regions[i] = (struct fuzz_region){ 8, header - 8 };
		return 8;
	}
	regions[0] = (struct fuzz_region){ 0, header };
	return 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct qeff_compile_options options = {
		.model_dir = model, .output = output, .num_cores = 2, .ctx_len = 0
	};
	struct qeff_compile_summary summary = { 0 };
	struct qeff_error err = { 0 };
	struct qeff_qpc *qpc;
	const char *file;
	int rc;

	if (!model[0])
		prepare();
	file = fuzz_write(FUZZ_FILE, data, size);
	if (!strcmp(FUZZ_FILE, "specializations.json"))
		options.specializations = file;
	rc = qeff_compile(&options, &summary, &err);
	if (rc) {
		fuzz_require(access(output, F_OK), "refused (%s), but left a package", err.message);
		fuzz_refused(rc, &err, "");
		return 0;
	}
	qeff_compile_summary_free(&summary);
	fuzz_require(!qeff_qpc_open(output, &qpc, &err), "%s", err.message);
	fuzz_require(!qeff_qpc_verify(qpc, &err), "%s", err.message);
	qeff_qpc_close(qpc);
	unlink(output);
	fuzz_ran();
	return 0;
}
