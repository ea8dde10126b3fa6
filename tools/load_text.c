/* SPDX-License-Identifier: MIT */
/* Text from a prompt, and embeddings of texts. */
#include "load.h"

#include <errno.h>

int load_generate(struct qeff_session *session, const struct load_options *options, json_t *json,
		  struct qeff_error *err)
{
	return fail(err, -EOPNOTSUPP, "generation is not there yet");
}

int load_embed(struct qeff_session *session, const struct load_options *options, json_t *json,
	       struct qeff_error *err)
{
	return fail(err, -EOPNOTSUPP, "embedding is not there yet");
}
