/* SPDX-License-Identifier: MIT */
/* Choosing a specialisation by the shapes of the inputs, and saying which there are if none fits.
 */
#include "runtime/shapes.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* A sentence under construction: what does not fit is cut with an ellipsis. */
struct text {
	char at[400];
	size_t used;
	bool full;
};

__attribute__((format(printf, 2, 3))) static void add(struct text *text, const char *format, ...)
{
	size_t room = sizeof(text->at) - sizeof(", …") - text->used;
	va_list args;
	int length;

	if (text->full)
		return;
	va_start(args, format);
	length = vsnprintf(text->at + text->used, room, format, args);
	va_end(args);
	if (length < 0 || (size_t)length >= room) {
		text->full = true;
		strcpy(text->at + text->used, ", …");
		return;
	}
	text->used += (size_t)length;
}

static void add_dims(struct text *text, const int32_t *dims, uint32_t num_dims)
{
	char all[QEFF_MAX_DIMS * 12 + 1] = "";
	size_t used = 0;

	for (uint32_t i = 0; i < num_dims && i < QEFF_MAX_DIMS; i++)
		used += (size_t)snprintf(all + used, sizeof(all) - used, "%s%" PRId32, i ? "x" : "",
					 dims[i]);
	add(text, "%s", num_dims ? all : "scalar");
}

static bool same(const struct qeff_shape *shape, const int32_t *dims, uint32_t num_dims)
{
	/* a scalar's dimensions are nowhere */
	return shape->num_dims == num_dims &&
	       (!num_dims || !memcmp(shape->dims, dims, num_dims * sizeof(*dims)));
}

static bool is_given(const struct qeff_network *network, const struct qeff_given *given, uint32_t i)
{
	return given[i].given && !network->bindings[i].is_retained;
}

/* In a network with state on the card that has several lengths, people call the length 1 decode. */
static const char *role(const struct qeff_network *network, const struct qeff_shape *shape)
{
	bool state = false;

	for (uint32_t i = 0; i < network->num_inputs; i++)
		state |= network->bindings[i].is_retained;
	if (!state || network->num_specialisations < 2 || shape->num_dims < 2)
		return "";
	return shape->dims[1] == 1 ? "decode " : "prefill ";
}

/* Whether an earlier specialisation has the same shape of @input. */
static bool listed(const struct qeff_network *network, uint32_t input, uint32_t specialisation)
{
	const struct qeff_shape *shape = qeff_network_shape(network, specialisation, input);

	for (uint32_t s = 0; s < specialisation; s++)
		if (same(qeff_network_shape(network, s, input), shape->dims, shape->num_dims))
			return true;
	return false;
}

int qeff_shapes_check(const struct qeff_network *network, uint32_t input, const int32_t *dims,
		      uint32_t num_dims, struct qeff_error *err)
{
	struct text text = { .used = 0 };

	for (uint32_t s = 0; s < network->num_specialisations; s++)
		if (same(qeff_network_shape(network, s, input), dims, num_dims))
			return 0;
	add(&text, "%.64s is ", network->bindings[input].name);
	add_dims(&text, dims, num_dims);
	add(&text, "; this package has: ");
	for (uint32_t s = 0; s < network->num_specialisations && !text.full; s++) {
		const struct qeff_shape *shape = qeff_network_shape(network, s, input);

		if (listed(network, input, s))
			continue;
		add(&text, "%s%s", s ? ", " : "", role(network, shape));
		add_dims(&text, shape->dims, shape->num_dims);
	}
	return qeff_error_set(err, -EINVAL, "%s", text.at);
}

static bool fits(const struct qeff_network *network, const struct qeff_given *given,
		 uint32_t specialisation)
{
	for (uint32_t i = 0; i < network->num_inputs; i++)
		if (is_given(network, given, i) &&
		    !same(qeff_network_shape(network, specialisation, i), given[i].dims,
			  given[i].num_dims))
			return false;
	return true;
}

/* "input_ids 1x32, position_ids 1x32" */
static void add_given(struct text *text, const struct qeff_network *network,
		      const struct qeff_given *given)
{
	const char *comma = "";

	for (uint32_t i = 0; i < network->num_inputs; i++) {
		if (!is_given(network, given, i))
			continue;
		add(text, "%s%.64s ", comma, network->bindings[i].name);
		add_dims(text, given[i].dims, given[i].num_dims);
		comma = ", ";
	}
}

int qeff_shapes_choose(const struct qeff_network *network, const struct qeff_given *given,
		       uint32_t *specialisation, struct qeff_error *err)
{
	struct text text = { .used = 0 };

	for (uint32_t s = 0; s < network->num_specialisations; s++) {
		if (fits(network, given, s)) {
			*specialisation = s;
			return 0;
		}
	}
	add_given(&text, network, given);
	add(&text, " do not go together; this package has: ");
	for (uint32_t s = 0; s < network->num_specialisations && !text.full; s++) {
		const char *comma = "";

		add(&text, "%s", s ? "; " : "");
		for (uint32_t i = 0; i < network->num_inputs; i++) {
			const struct qeff_shape *shape = qeff_network_shape(network, s, i);

			if (!is_given(network, given, i))
				continue;
			add(&text, "%s%.64s ", comma, network->bindings[i].name);
			add_dims(&text, shape->dims, shape->num_dims);
			comma = ", ";
		}
	}
	return qeff_error_set(err, -EINVAL, "%s", text.at);
}
