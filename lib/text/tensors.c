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

/* A package may put a tensor anywhere in its DMA buffer; numbers are read where they lie. */
static int check_alignment(const struct qeff_session *session, const struct qeff_tensor *t,
			   struct qeff_error *err)
{
	if ((uintptr_t)t->data % qeff_type_size_bytes(t->type) == 0)
		return 0;
	return qeff_error_set(err, -EINVAL,
			      "%s: \"%s\" is %s, but lies at no multiple of its size in the DMA "
			      "buffer",
			      qeff_qpc_path(qeff_session_qpc(session)), t->name,
			      qeff_type_name(t->type));
}

int qeff_input_matrix(struct qeff_session *session, const char *name, enum qeff_type type,
		      uint32_t rows, uint32_t columns, void **data, struct qeff_error *err)
{
	const size_t size_bytes = (size_t)rows * columns * qeff_type_size_bytes(type);
	int32_t dims[] = { (int32_t)rows, (int32_t)columns };
	struct qeff_tensor tensor;
	int rc = qeff_session_input(session, name, dims, 2, &tensor, err);

	if (rc < 0)
		return rc;
	if (tensor.type != type || tensor.size_bytes != size_bytes)
		return unexpected(session, &tensor, type, size_bytes, err);
	rc = check_alignment(session, &tensor, err);
	if (!rc)
		*data = tensor.data;
	return rc;
}

int qeff_input_ids(struct qeff_session *session, const char *name, uint32_t rows, uint32_t columns,
		   int64_t **data, struct qeff_error *err)
{
	void *at = NULL;
	int rc = qeff_input_matrix(session, name, QEFF_TYPE_I64, rows, columns, &at, err);

	*data = at;
	return rc;
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
	rc = check_alignment(session, &tensor, err);
	if (!rc)
		*data = tensor.data;
	return rc;
}
