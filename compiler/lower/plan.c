/* SPDX-License-Identifier: MIT */
/*
 * Addresses in DDR: the two DMA buffers first (inputs behind the control buffer, outputs behind the
 * statistics), then retained state, then the arena. In the arena the largest tensors
 * go first, each to the lowest place that no tensor alive at the same time holds; every
 * specialisation uses the same arena.
 */
#include "lower/ir.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static uint64_t align_up(uint64_t value, uint64_t alignment)
{
	return (value + alignment - 1) & ~(alignment - 1);
}

struct order {
	uint64_t bytes;
	uint32_t tensor;
};

/* Largest first; of equals the first one, so that the plan is always the same. */
static int compare_order(const void *a, const void *b)
{
	const struct order *x = a, *y = b;

	if (x->bytes != y->bytes)
		return x->bytes < y->bytes ? 1 : -1;
	return x->tensor < y->tensor ? -1 : x->tensor > y->tensor;
}

static bool alive_together(const struct lower_tensor *a, const struct lower_tensor *b)
{
	return a->first_phase <= b->last_phase && b->first_phase <= a->last_phase;
}

/* @placed: tensors that have their place, by offset. Returns where the new one goes in that list.
 */
static uint32_t find_place(struct lower_spec *spec, const uint32_t *placed, uint32_t count,
			   struct lower_tensor *tensor)
{
	uint64_t offset = 0, bytes = lower_tensor_bytes(tensor);
	uint32_t at = 0;

	for (uint32_t i = 0; i < count; i++) {
		const struct lower_tensor *other = &spec->tensors[placed[i]];

		if (!alive_together(tensor, other) ||
		    other->offset + lower_tensor_bytes(other) <= offset)
			continue;
		if (offset + bytes <= other->offset)
			break;
		offset =
			align_up(other->offset + lower_tensor_bytes(other), LOWER_TENSOR_ALIGNMENT);
	}
	tensor->offset = offset;
	while (at < count && spec->tensors[placed[at]].offset <= offset)
		at++;
	return at;
}

static int plan_arena(struct lower_spec *spec, struct qeff_error *err)
{
	struct order *order = calloc((size_t)spec->num_tensors + 1, sizeof(*order));
	uint32_t *placed = calloc((size_t)spec->num_tensors + 1, sizeof(*placed));
	uint32_t count = 0;

	if (!order || !placed) {
		free(order);
		free(placed);
		return lower_no_memory(err);
	}
	for (uint32_t i = 0; i < spec->num_tensors; i++) {
		if (spec->tensors[i].first_phase == LOWER_NONE)
			continue; /* its rows went to another tensor */
		order[count].bytes = lower_tensor_bytes(&spec->tensors[i]);
		order[count++].tensor = i;
	}
	qsort(order, count, sizeof(*order), compare_order);
	for (uint32_t i = 0; i < count; i++) {
		struct lower_tensor *tensor = &spec->tensors[order[i].tensor];
		uint32_t at = find_place(spec, placed, i, tensor);

		for (uint32_t j = i; j > at; j--)
			placed[j] = placed[j - 1];
		placed[at] = order[i].tensor;
		if (tensor->offset + lower_tensor_bytes(tensor) > spec->arena_bytes)
			spec->arena_bytes = tensor->offset + lower_tensor_bytes(tensor);
	}
	free(order);
	free(placed);
	return 0;
}

/* Whether specialisations differ in the binding's shape. */
static bool varies(const struct qeff_lowering *l, const struct lower_binding *binding)
{
	for (uint32_t s = 1; s < l->num_specs; s++)
		if (memcmp(binding->dims[s], binding->dims[0], sizeof(*binding->dims)))
			return true;
	return false;
}

/* Inputs or outputs one behind the other from @offset on; returns the end. The end of a buffer need
 * not move where a specialisation does not use it, so what varies stands there. */
static uint64_t plan_bindings(struct qeff_lowering *l, bool outputs, uint64_t offset)
{
	for (int varying = 0; varying <= 1; varying++) {
		for (uint32_t i = 0; i < l->num_bindings; i++) {
			struct lower_binding *binding = &l->bindings[i];

			if (binding->is_output != outputs || binding->state != LOWER_NONE ||
			    varies(l, binding) != varying)
				continue;
			binding->offset = align_up(offset, LOWER_BINDING_ALIGNMENT);
			offset = binding->offset + binding->bytes;
		}
	}
	return offset;
}

static int check_buffer(const struct qeff_lowering *l, bool outputs, uint64_t bytes,
			struct qeff_error *err)
{
	const struct lower_binding *largest = NULL;

	if (bytes <= UINT32_MAX)
		return 0;
	for (uint32_t i = 0; i < l->num_bindings; i++)
		if (l->bindings[i].is_output == outputs && l->bindings[i].state == LOWER_NONE &&
		    (!largest || l->bindings[i].bytes > largest->bytes))
			largest = &l->bindings[i];
	return qeff_error_set(err, -EFBIG,
			      "the %s of one inference take %" PRIu64
			      " bytes, a DMA buffer has less than 4 GiB; %s alone takes %" PRIu64,
			      outputs ? "outputs" : "inputs", bytes,
			      largest ? largest->name : "none", largest ? largest->bytes : 0);
}

int qeff_lower_plan(struct qeff_lowering *l, struct qeff_error *err)
{
	uint64_t offset, arena = 0;
	int rc;

	for (uint32_t i = 0; i < l->num_specs; i++) {
		rc = plan_arena(&l->specs[i], err);
		if (rc)
			return rc;
		if (l->specs[i].arena_bytes > arena)
			arena = l->specs[i].arena_bytes;
	}
	l->in_bytes = plan_bindings(l, false, sizeof(struct qeff_nsp_control));
	l->out_offset = align_up(l->in_bytes, LOWER_TENSOR_ALIGNMENT);
	l->out_bytes = plan_bindings(l, true, l->out_offset + sizeof(struct qeff_nsp_stats)) -
		       l->out_offset;
	rc = check_buffer(l, false, l->in_bytes, err);
	if (!rc)
		rc = check_buffer(l, true, l->out_bytes, err);
	if (rc)
		return rc;
	l->state_offset = align_up(l->out_offset + l->out_bytes, LOWER_REGION_ALIGNMENT);
	offset = l->state_offset;
	for (uint32_t i = 0; i < l->num_states; i++) {
		l->states[i].offset = align_up(offset, LOWER_TENSOR_ALIGNMENT);
		offset = l->states[i].offset + l->states[i].bytes;
	}
	l->arena_offset = align_up(offset, LOWER_REGION_ALIGNMENT);
	l->ddr_bytes = align_up(l->arena_offset + arena, LOWER_REGION_ALIGNMENT);
	return 0;
}
