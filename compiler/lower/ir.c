/* SPDX-License-Identifier: MIT */
/* Memory of a lowering, and the order of its passes. */
#include "lower/ir.h"

#include <stdlib.h>
#include <string.h>

void *qeff_lower_grow(void **array, uint32_t *count, size_t element_bytes)
{
	/* Capacities are powers of two, so a count that is one (or zero) means: full. */
	if (!(*count & (*count - 1))) {
		size_t capacity = *count ? (size_t)*count * 2 : 1;
		void *more;

		if (*count > UINT32_MAX / 2)
			return NULL;
		more = reallocarray(*array, capacity, element_bytes);
		if (!more)
			return NULL;
		*array = more;
	}
	return memset((char *)*array + (size_t)(*count)++ * element_bytes, 0, element_bytes);
}

void qeff_lowering_free(struct qeff_lowering *l)
{
	if (!l)
		return;
	for (uint32_t i = 0; l->specs && i < l->num_specs; i++) {
		free(l->specs[i].ops);
		free(l->specs[i].tensors);
		free(l->specs[i].tiles);
	}
	for (uint32_t i = 0; i < l->num_bindings; i++)
		free(l->bindings[i].dims);
	free(l->specs);
	for (uint32_t i = 0; i < l->num_weights; i++)
		free(l->weights[i].pieces);
	free(l->weights);
	for (uint32_t i = 0; i < l->num_raws; i++)
		free(l->raws[i].owned);
	free(l->raws);
	free(l->nests);
	free(l->tables);
	free(l->states);
	free(l->bindings);
	free(l->instructions);
	qeff_bytes_free(&l->program);
	free(l);
}

static int run_passes(struct qeff_lowering *l, const struct qeff_graph *const *graphs,
		      struct qeff_error *err)
{
	int rc = qeff_lower_bindings(l, graphs, err);

	for (uint32_t i = 0; !rc && i < l->num_specs; i++) {
		rc = qeff_lower_select(l, i, graphs[i], err);
		if (!rc)
			rc = qeff_lower_schedule(l, &l->specs[i], err);
	}
	if (!rc)
		rc = qeff_lower_place(l, err);
	if (!rc)
		rc = qeff_lower_plan(l, err);
	if (!rc)
		rc = qeff_lower_tables(l, err);
	return rc;
}

int qeff_lower(const struct qeff_graph *const *graphs, uint32_t num_graphs,
	       const struct qeff_lower_options *options, struct qeff_lowering **lowering,
	       struct qeff_error *err)
{
	struct qeff_lowering *l;
	int rc;

	if (!num_graphs || num_graphs > QEFF_NSP_MAX_SPECS)
		return qeff_error_set(err, -EINVAL,
				      "%u specialisations asked for; 1 to %u are possible",
				      num_graphs, QEFF_NSP_MAX_SPECS);
	if (!options->num_nsps || options->num_nsps > QEFF_NSP_MAX_NSPS)
		return qeff_error_set(err, -EINVAL, "%u NSPs asked for; 1 to %u are possible",
				      options->num_nsps, QEFF_NSP_MAX_NSPS);
	l = calloc(1, sizeof(*l));
	if (!l)
		return lower_no_memory(err);
	l->num_nsps = options->num_nsps;
	l->precision = options->precision;
	l->mxfp6_products = options->mxfp6_products;
	l->num_specs = num_graphs;
	l->specs = calloc(num_graphs, sizeof(*l->specs));
	rc = l->specs ? run_passes(l, graphs, err) : lower_no_memory(err);
	if (rc) {
		qeff_lowering_free(l);
		return rc;
	}
	*lowering = l;
	return 0;
}

void qeff_lower_facts(const struct qeff_lowering *l, struct qeff_lower_facts *facts)
{
	*facts = (struct qeff_lower_facts){
		.num_nsps = l->num_nsps,
		.num_specs = l->num_specs,
		.operations = l->num_ops,
		.tiles = l->num_tiles,
		.constants_bytes = l->constants_bytes,
		.ddr_bytes = l->ddr_bytes,
		.io_bytes = l->out_offset + l->out_bytes,
		.state_bytes = l->arena_offset - l->state_offset,
		.arena_bytes = l->ddr_bytes - l->arena_offset,
	};
}

void qeff_lower_spec_facts(const struct qeff_lowering *l, uint32_t spec,
			   struct qeff_lower_spec_facts *facts)
{
	const struct lower_spec *from = &l->specs[spec];

	*facts = (struct qeff_lower_spec_facts){
		.batch = from->batch,
		.seq = from->seq,
		.positions = from->positions,
		.phases = from->phases,
	};
	memcpy(facts->nsp, from->share, sizeof(facts->nsp));
}
