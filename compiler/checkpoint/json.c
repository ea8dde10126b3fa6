/* SPDX-License-Identifier: MIT */
/* JSON files and file names. jansson bounds the depth of nesting itself (2,048 levels). */
#include "checkpoint/internal.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* Configuration is written by people and small; anything larger is something else. */
#define MAX_JSON_BYTES ((size_t)64 << 20)

int checkpoint_read_json(const char *path, unsigned int flags, json_t **json,
			 struct qeff_error *err)
{
	bool list = flags & CHECKPOINT_LIST;
	struct qeff_error why = { 0 };
	struct qeff_map map;
	json_error_t where;
	int ret = qeff_map_open(&map, path, &why);

	*json = NULL;
	if (ret == -ENOENT && flags & CHECKPOINT_OPTIONAL)
		return 0;
	if (ret)
		return qeff_error_set(err, ret, "%s", why.message);
	if (map.size_bytes > MAX_JSON_BYTES) {
		ret = qeff_error_set(err, -EFBIG, "%s: has %zu bytes, expected at most %zu", path,
				     map.size_bytes, MAX_JSON_BYTES);
		goto out;
	}
	*json = json_loadb((const char *)map.data, map.size_bytes, JSON_REJECT_DUPLICATES, &where);
	if (!*json) {
		ret = qeff_error_set(err, -EINVAL, "%s: line %d, column %d: %s", path, where.line,
				     where.column, where.text);
	} else if (list ? !json_is_array(*json) : !json_is_object(*json)) {
		ret = qeff_error_set(err, -EINVAL, "%s: expected %s", path,
				     list ? "a list" : "an object");
		json_decref(*json);
		*json = NULL;
	}
out:
	qeff_map_close(&map);
	return ret;
}

bool checkpoint_plain_name(const char *name)
{
	return *name && *name != '.' && !strchr(name, '/') && !strchr(name, '\\') &&
	       strlen(name) < 256;
}

char *checkpoint_join(const char *folder, const char *name)
{
	char *path = NULL;

	return asprintf(&path, "%s/%s", folder, name) < 0 ? NULL : path;
}
