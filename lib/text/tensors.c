/* SPDX-License-Identifier: MIT */
/* Inputs and outputs of a session, checked for type and size where they are used. */
#include "text/tensors.h"

static int unexpected(const struct qeff_session *session, const struct qeff_tensor *t,
		      enum qeff_type type, size_t size_bytes, struct qeff_error *err)
{
	return qeff_error_set(
		err, -EINVAL, "%s: \"%s\" is %s of %zu bytes, expected %s of %zu bytes",
		qeff_qpc_path(qeff_session_qpc(session)), t->name, qeff_type_name(t->type),
		t->size_bytes, qeff_type_name(type), size_bytes);
}

int qeff_input_ids(struct qeff_session *session, const char *name, uint32_t rows, uint32_t columns,
		   int64_t **data, struct qeff_error *err)
{
	const size_t size_bytes = (size_t)rows * columns * sizeof(**data);
	int32_t dims[] = { (int32_t)rows, (int32_t)columns };
	struct qeff_tensor tensor;
	int rc = qeff_session_input(session, name, dims, 2, &tensor, err);

	if (rc < 0)
		return rc;
	if (tensor.type != QEFF_TYPE_I64 || tensor.size_bytes != size_bytes)
		return unexpected(session, &tensor, QEFF_TYPE_I64, size_bytes, err);
	*data = tensor.data;
	return 0;
}

int qeff_output_floats(struct qeff_session *session, const char *name, size_t count,
		       const float **data, struct qeff_error *err)
{
	struct qeff_tensor tensor;
	int rc = qeff_session_output(session, name, &tensor, err);

	if (rc < 0)
		return rc;
	if (tensor.type != QEFF_TYPE_F32 || tensor.size_bytes != count * sizeof(**data))
		return unexpected(session, &tensor, QEFF_TYPE_F32, count * sizeof(**data), err);
	*data = tensor.data;
	return 0;
}
