/* SPDX-License-Identifier: MIT */
/* Choices, and the way from bound graphs to a program that ran. */
#include "choices.h"
#include "fuzz.h"

#include "lower/ir.h"
#include "nsp/host/host.h"
#include "qpc/image.h"
#include "qpc/metadata.h"
#include "qpc/netdesc.h"

#include <stdlib.h>
#include <string.h>

/* Beyond these a program is not run: it would be right, but not soon. */
#define MOST_CONSTANTS	(4u << 20)
#define MOST_DDR	(4u << 20)
#define MOST_MACS	2000000
#define MOST_OPS	4096
#define MOST_ITERATIONS 500000

uint32_t fuzz_choose(struct fuzz_choices *choices, uint32_t limit)
{
	if (!choices->left)
		return 0;
	choices->left--;
	return *choices->at++ % limit;
}

int64_t fuzz_choose_size(struct fuzz_choices *choices, uint32_t usual)
{
	static const int64_t odd[] = { 0,	  -1,
				       300,	  INT64_MAX,
				       INT64_MIN, 1ll << 31,
				       1ll << 32, (1ll << 32) + 1,
				       1ll << 20, (1ll << 20) + 1,
				       1ll << 24, 65537 };
	uint32_t choice = fuzz_choose(choices, 256);

	if (choice >= 256 - sizeof(odd) / sizeof(odd[0]))
		return odd[255 - choice];
	return 1 + choice % usual;
}

struct run {
	struct qeff_bytes constants;
	uint8_t *memory, *ddr, *scratch, *shadow;
	struct qeff_nsp_program program;
	struct qeff_nsp_instance *instance;
};

static int take(void *user, const void *data, size_t size, struct qeff_error *err)
{
	return qeff_bytes_append(user, data, size) ? 0 : qeff_error_set(err, -ENOMEM, "memory");
}

static void *aligned(uint64_t bytes)
{
	uint64_t room = (bytes + 128) & ~127ull;
	void *at = aligned_alloc(128, room);

	fuzz_require(at, "no memory for %llu bytes", (unsigned long long)room);
	return memset(at, 0, room);
}

static void fill_integers(struct fuzz_choices *choices, int64_t *to, uint64_t count, uint64_t row)
{
	static const int64_t odd[] = { INT64_MIN, INT64_MAX, -2, 1ll << 32, 1000, 1 << 24 };
	uint32_t way = fuzz_choose(choices, 8), first = fuzz_choose(choices, 256);

	for (uint64_t i = 0; i < count; i++) {
		uint64_t column = i % row;

		switch (way) {
		case 0: /* a mask, ids */
			to[i] = 1;
			break;
		case 1:
		case 2: /* positions from some on */
			to[i] = (int64_t)(first % 8 + column);
			break;
		case 3: /* padded behind */
			to[i] = column < first % (row + 1) ? (int64_t)column : -1;
			break;
		case 4: /* padded in front */
			to[i] = column < first % (row + 1) ? -1 : (int64_t)column;
			break;
		case 5:
			to[i] = 0;
			break;
		case 6:
			to[i] = (int64_t)fuzz_choose(choices, 256) - 1;
			break;
		default:
			to[i] = i == first % count ? odd[fuzz_choose(choices, 6)] : (int64_t)column;
		}
	}
}

static void fill(struct fuzz_choices *choices, const struct lower_binding *binding, uint32_t spec,
		 uint8_t *ddr)
{
	uint64_t elements = 1, row = 1;

	for (uint32_t d = 0; d < binding->rank; d++)
		elements *= (uint64_t)(row = (uint64_t)binding->dims[spec][d]);
	if (binding->type == QEFF_NSP_I64) {
		fill_integers(choices, (int64_t *)(ddr + binding->offset), elements, row);
		return;
	}
	/* floats, which may be any */
	for (uint64_t i = 0; i < elements * lower_type_bytes(binding->type); i++)
		ddr[binding->offset + i] = (uint8_t)fuzz_choose(choices, 256);
}

/* Whether the program's loops end soon. */
static bool is_short(const struct qeff_nsp_program *program)
{
	uint64_t left = MOST_ITERATIONS;

	for (uint32_t i = 0; i < program->header->nests; i++) {
		const struct qeff_nsp_nest *nest = &program->nests[i];
		uint64_t iterations = 1;

		/* each factor is below 2^32, and so is what is left */
		for (uint32_t d = 0; d < nest->rank && iterations <= left; d++)
			iterations *= nest->size[d];
		if (iterations > left)
			return false;
		left -= iterations;
	}
	return true;
}

static void run_specs(struct run *r, const struct qeff_lowering *l, struct fuzz_choices *choices)
{
	const struct qeff_nsp_header *header = r->program.header;
	struct qeff_nsp_control *control;
	bool poison = fuzz_choose(choices, 2);

	r->ddr = aligned(header->ddr_bytes);
	r->scratch = aligned(header->scratch_bytes);
	r->shadow = poison ? aligned(header->ddr_bytes - header->arena_offset) : NULL;
	r->instance = aligned(qeff_nsp_instance_bytes(&r->program));
	qeff_nsp_instance_init(r->instance, &r->program, qeff_nsp_host_kernels(NULL), r->ddr);
	control = (struct qeff_nsp_control *)(r->ddr + header->control);
	for (uint32_t spec = 0; spec < l->num_specs; spec++) {
		struct qeff_lower_spec_facts facts;
		uint64_t macs = 0;

		qeff_lower_spec_facts(l, spec, &facts);
		for (uint32_t i = 0; i < l->num_nsps; i++)
			macs += facts.nsp[i].macs;
		if (macs > MOST_MACS)
			continue;
		for (uint32_t i = 0; i < l->num_inputs; i++)
			if (l->bindings[i].state == LOWER_NONE)
				fill(choices, &l->bindings[i], spec, r->ddr);
		control->specialisation = spec;
		fuzz_require(qeff_nsp_host_run(r->instance, r->scratch, r->shadow) !=
				     QEFF_NSP_FAULT_POISON,
			     "specialisation %u changed arena bytes that it does not declare",
			     spec);
	}
}

static void check_description(const struct qeff_lowering *l)
{
	struct qeff_bytes image = { 0 }, network = { 0 };
	struct qeff_image_metadata found;
	struct qeff_metadata *metadata = NULL;
	struct qeff_netdesc *desc = NULL;
	struct qeff_error err = { 0 };

	fuzz_require(
		!qeff_lower_image(l, "fuzz", &image, &err) &&
			!qeff_image_find_metadata(image.data, image.size_bytes, &found, &err) &&
			!qeff_metadata_parse(found.data, found.size_bytes, &metadata, &err),
		"metadata: %s", err.message);
	fuzz_require(!qeff_lower_network(l, "fuzz", &network, &err) &&
			     !qeff_netdesc_parse(network.data, network.size_bytes, &desc, &err),
		     "network descriptor: %s", err.message);
	qeff_metadata_free(metadata);
	qeff_netdesc_free(desc);
	qeff_bytes_free(&image);
	qeff_bytes_free(&network);
}

static void emit(struct run *r, const struct qeff_lowering *l)
{
	const struct qeff_lower_sink sink = { .write = take, .user = &r->constants };
	struct qeff_error err = { 0 };

	fuzz_require(!qeff_lower_emit(l, &sink, &err), "emit: %s", err.message);
	fuzz_require(r->constants.size_bytes == l->constants_bytes,
		     "%zu bytes of constants, %llu announced", r->constants.size_bytes,
		     (unsigned long long)l->constants_bytes);
	r->memory = aligned(r->constants.size_bytes);
	memcpy(r->memory, r->constants.data, r->constants.size_bytes);
	fuzz_require(!qeff_nsp_host_validate(r->memory, r->constants.size_bytes, "constants",
					     &r->program, &err),
		     "%s", err.message);
}

int fuzz_lower(const struct qeff_graph *const *graphs, uint32_t num_graphs,
	       struct fuzz_choices *choices, struct qeff_error *err)
{
	const struct qeff_lower_options options = {
		.num_nsps = 1 + fuzz_choose(choices, QEFF_NSP_MAX_NSPS),
		.precision = (enum qeff_lower_precision)fuzz_choose(choices, 4),
		.mxfp6_products = !fuzz_choose(choices, 4),
	};
	struct qeff_lowering *l = NULL;
	struct run r = { 0 };
	int rc = qeff_lower(graphs, num_graphs, &options, &l, err);

	if (rc)
		return rc;
	check_description(l);
	if (l->constants_bytes <= MOST_CONSTANTS && l->num_ops <= MOST_OPS) {
		emit(&r, l);
		if (l->ddr_bytes <= MOST_DDR && is_short(&r.program))
			run_specs(&r, l, choices);
	}
	qeff_bytes_free(&r.constants);
	free(r.memory);
	free(r.ddr);
	free(r.scratch);
	free(r.shadow);
	free(r.instance);
	qeff_lowering_free(l);
	return 0;
}
