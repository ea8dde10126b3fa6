/* SPDX-License-Identifier: MIT */
/*
 * Placement: weights and operations onto NSPs. Each NSP carries a load in several measures, the
 * multiply-accumulates and bytes of every specialisation. What is to be placed goes to the NSP
 * where its own cost weighs least on the load there (the least product of the two), largest first,
 * the lowest number winning ties. Weights are placed once, for all specialisations; attention is
 * cut into heads and rows; everything else into rows.
 */
#include "lower/ir.h"

#include <stdlib.h>

/* A part of a row is worth an NSP's while if it has so many columns. */
#define PART_COLUMNS 64

/* An operation that reads a weight. */
struct use {
	uint32_t spec, op;
};

struct placer {
	struct qeff_lowering *l;
	struct use *uses;    /* grouped by weight */
	uint32_t *first_use; /* [weights + 1], into uses */
	uint32_t measures;   /* two for each specialisation */
	double *unit;	     /* [measures]: so that each measure counts alike */
	double *load;	     /* [nsp][measures] */
	double *cost;	     /* [measures], of what is being placed */
};

/* Work that is the same wherever it goes, in the measures of @spec. */
static void add_cost(struct placer *p, double *to, uint32_t spec, struct qeff_lower_share share,
		     double sign)
{
	to[spec * 2] += sign * (double)share.macs * p->unit[spec * 2];
	to[spec * 2 + 1] += sign * (double)share.bytes * p->unit[spec * 2 + 1];
}

static double *load_of(struct placer *p, uint32_t nsp)
{
	return p->load + (size_t)nsp * p->measures;
}

static void clear_cost(struct placer *p)
{
	for (uint32_t m = 0; m < p->measures; m++)
		p->cost[m] = 0;
}

/* The NSP for p->cost among those whose @taken is below @most. */
static uint32_t best_nsp(struct placer *p, const uint32_t *taken, uint32_t most)
{
	uint32_t best = 0;
	double least = -1;

	for (uint32_t nsp = 0; nsp < p->l->num_nsps; nsp++) {
		double product = 0;

		if (taken[nsp] >= most)
			continue;
		for (uint32_t m = 0; m < p->measures; m++)
			product += load_of(p, nsp)[m] * p->cost[m];
		if (least < 0 || product < least) {
			least = product;
			best = nsp;
		}
	}
	return best;
}

/* The tile of @panels panels that @op, in @spec, makes of its weight. */
static struct qeff_lower_share panels_cost(const struct placer *p, const struct lower_spec *spec,
					   uint32_t op, uint32_t panels)
{
	struct lower_tile tile = { .op = op, .end = panels * QEFF_NSP_PANEL, .row_parts = 1 };

	return panels ? qeff_lower_cost(p->l, spec, &tile) : (struct qeff_lower_share){ 0 };
}

/* Adds to @to what @panels more panels cost an NSP that has @before of weight @w. */
static void add_panels(struct placer *p, double *to, uint32_t w, uint32_t before, uint32_t panels)
{
	for (uint32_t i = p->first_use[w]; i < p->first_use[w + 1]; i++) {
		const struct use *use = &p->uses[i];
		const struct lower_spec *spec = &p->l->specs[use->spec];

		add_cost(p, to, use->spec, panels_cost(p, spec, use->op, before + panels), 1);
		add_cost(p, to, use->spec, panels_cost(p, spec, use->op, before), -1);
	}
}

/* Counts the uses of each weight, then puts each use in its weight's group. */
static int list_uses(struct placer *p)
{
	const struct qeff_lowering *l = p->l;
	uint32_t *next = calloc((size_t)l->num_weights + 2, sizeof(*next));

	p->uses = calloc(l->num_ops + 1, sizeof(*p->uses));
	p->first_use = next;
	if (!p->uses || !next)
		return -ENOMEM;
	/* next[w + 2] counts; summed up, next[w + 1] is where w's group begins, and when it is
	 * full, ends. */
	for (int fill = 0; fill < 2; fill++) {
		for (uint32_t s = 0; s < l->num_specs; s++)
			for (uint32_t op = 0; op < l->specs[s].num_ops; op++) {
				uint32_t w = l->specs[s].ops[op].weight;

				if (w == LOWER_NONE)
					continue;
				if (fill)
					p->uses[next[w + 1]++] = (struct use){ s, op };
				else
					next[w + 2]++;
			}
		for (uint32_t w = 0; !fill && w < l->num_weights; w++)
			next[w + 2] += next[w + 1];
	}
	return 0;
}

/* Every NSP gets as many panels as go round; the rest goes where it weighs least. */
static void place_weight(struct placer *p, uint32_t w)
{
	struct lower_weight *weight = &p->l->weights[w];
	uint32_t nsps = p->l->num_nsps, each = weight->panels / nsps, first = 0;
	uint32_t extra[QEFF_NSP_MAX_NSPS] = { 0 };

	clear_cost(p);
	add_panels(p, p->cost, w, each, 1);
	for (uint32_t i = 0; i < weight->panels % nsps; i++)
		extra[best_nsp(p, extra, 1)] = 1;
	for (uint32_t nsp = 0; nsp < nsps; nsp++) {
		weight->run[nsp].first = first;
		weight->run[nsp].panels = each + extra[nsp];
		first += each + extra[nsp];
		add_panels(p, load_of(p, nsp), w, 0, weight->run[nsp].panels);
	}
}

/* Largest panels first; of equals the first one. */
static int compare_weights(const void *a, const void *b, void *weights)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	const struct lower_weight *w = weights;

	if (w[x].panel_bytes != w[y].panel_bytes)
		return w[x].panel_bytes < w[y].panel_bytes ? 1 : -1;
	return x < y ? -1 : x > y;
}

static struct lower_tile *add_tile(struct lower_spec *spec, uint32_t op, uint32_t nsp)
{
	struct lower_tile *tile = LOWER_GROW(spec->tiles, spec->num_tiles);

	if (!tile)
		return NULL;
	tile->op = op;
	tile->nsp = nsp;
	tile->row_parts = 1;
	tile->run = LOWER_NONE;
	return tile;
}

static int tiles_of_weight(struct placer *p, struct lower_spec *spec, uint32_t op)
{
	const struct lower_weight *weight = &p->l->weights[spec->ops[op].weight];

	for (uint32_t nsp = 0; nsp < p->l->num_nsps; nsp++) {
		const struct lower_run *run = &weight->run[nsp];
		struct lower_tile *tile;

		if (!run->panels)
			continue;
		tile = add_tile(spec, op, nsp);
		if (!tile)
			return -ENOMEM;
		tile->run = nsp;
		tile->begin = run->first * QEFF_NSP_PANEL;
		tile->end = (run->first + run->panels) * QEFF_NSP_PANEL;
		if (tile->end > weight->outputs)
			tile->end = weight->outputs;
	}
	return 0;
}

/* How an attention is cut: heads of a tile (whole groups that share keys if possible), parts of its
 * rows. */
static void cut_attention(const struct placer *p, const struct lower_op *op, uint32_t *heads,
			  uint32_t *parts)
{
	const struct qeff_nsp_attention_params *a = &op->nsp.u.attention;
	uint32_t nsps = p->l->num_nsps, group = a->heads / a->kv_heads;
	double best = 0;

	for (uint32_t h = group; h; h--) {
		if (group % h)
			continue;
		for (uint32_t n = 1; n <= op->nsp.rows && n <= 4 * nsps; n++) {
			uint32_t tiles = a->heads / h * n;
			double even = (double)tiles / ((tiles + nsps - 1) / nsps * nsps);

			if (even <= best)
				continue;
			best = even;
			*heads = h;
			*parts = n;
			if (even > 0.9)
				return;
		}
	}
}

static int tiles_of_attention(struct placer *p, uint32_t s, uint32_t op)
{
	struct lower_spec *spec = &p->l->specs[s];
	uint32_t taken[QEFF_NSP_MAX_NSPS] = { 0 };
	uint32_t heads = 1, parts = 1, most;

	cut_attention(p, &spec->ops[op], &heads, &parts);
	most = (spec->ops[op].nsp.u.attention.heads / heads * parts + p->l->num_nsps - 1) /
	       p->l->num_nsps;
	/* Later rows see more keys: the dearest tiles first. */
	for (uint32_t part = parts; part--;)
		for (uint32_t h = 0; h < spec->ops[op].nsp.u.attention.heads; h += heads) {
			struct lower_tile *tile = add_tile(spec, op, 0);

			if (!tile)
				return -ENOMEM;
			tile->begin = h;
			tile->end = h + heads;
			tile->row_part = (uint16_t)part;
			tile->row_parts = (uint16_t)parts;
			clear_cost(p);
			add_cost(p, p->cost, s, qeff_lower_cost(p->l, spec, tile), 1);
			tile->nsp = best_nsp(p, taken, most);
			taken[tile->nsp]++;
			add_cost(p, load_of(p, tile->nsp), s, qeff_lower_cost(p->l, spec, tile), 1);
		}
	return 0;
}

/* The range that a tile of all outputs states. */
static uint32_t whole_range(const struct lower_op *op)
{
	switch (op->nsp.code) {
	case QEFF_NSP_GATHER:
		return op->nsp.u.gather.entries;
	case QEFF_NSP_ROPE:
		return op->nsp.u.rope.heads;
	case QEFF_NSP_SCATTER:
		return op->nsp.u.scatter.heads;
	case QEFF_NSP_BEST:
		return op->nsp.u.best.parts;
	case QEFF_NSP_PENALISE:
		return op->nsp.u.penalise.width;
	default:
		return 0;
	}
}

/* If the tiles of @op are ranges of columns, not of rows: how many columns there are, and into how
 * many @parts they can be cut; else 0. */
static uint32_t column_range(const struct lower_op *op, uint64_t *parts)
{
	uint32_t range = 0;

	if (op->nsp.code == QEFF_NSP_BEST && op->nsp.u.best.parts > 1)
		*parts = range = op->nsp.u.best.parts;
	if (op->nsp.code == QEFF_NSP_PENALISE) {
		range = op->nsp.u.penalise.width;
		*parts = range / PART_COLUMNS ? range / PART_COLUMNS : 1;
	}
	return range;
}

static int tiles_of_rows(struct placer *p, uint32_t s, uint32_t op)
{
	struct lower_spec *spec = &p->l->specs[s];
	uint32_t taken[QEFF_NSP_MAX_NSPS] = { 0 };
	uint64_t parts = spec->ops[op].nsp.rows;
	uint32_t range = column_range(&spec->ops[op], &parts);
	if (lower_is_nest(&spec->ops[op]))
		parts = qeff_lower_nest_parts(p->l, &spec->ops[op]);
	if (parts > p->l->num_nsps)
		parts = p->l->num_nsps;
	if (spec->ops[op].nsp.code == QEFF_NSP_ROWS || spec->ops[op].nsp.code == QEFF_NSP_MARK)
		parts = 1;
	for (uint32_t part = 0; part < parts; part++) {
		struct lower_tile *tile = add_tile(spec, op, 0);

		if (!tile)
			return -ENOMEM;
		tile->end = whole_range(&spec->ops[op]);
		if (range)
			lower_part(range, part, (uint32_t)parts, &tile->begin, &tile->end);
		tile->row_part = range ? 0 : (uint16_t)part;
		tile->row_parts = range ? 1 : (uint16_t)parts;
		clear_cost(p);
		add_cost(p, p->cost, s, qeff_lower_cost(p->l, spec, tile), 1);
		tile->nsp = best_nsp(p, taken, 1);
		taken[tile->nsp]++;
		add_cost(p, load_of(p, tile->nsp), s, qeff_lower_cost(p->l, spec, tile), 1);
	}
	return 0;
}

static int place_ops(struct placer *p, uint32_t s)
{
	struct lower_spec *spec = &p->l->specs[s];
	int rc = 0;

	for (uint32_t op = 0; !rc && op < spec->num_ops; op++)
		if (spec->ops[op].weight != LOWER_NONE)
			rc = tiles_of_weight(p, spec, op);
	for (uint32_t op = 0; !rc && op < spec->num_ops; op++)
		if (spec->ops[op].nsp.code == QEFF_NSP_ATTENTION)
			rc = tiles_of_attention(p, s, op);
	for (uint32_t op = 0; !rc && op < spec->num_ops; op++)
		if (spec->ops[op].weight == LOWER_NONE &&
		    spec->ops[op].nsp.code != QEFF_NSP_ATTENTION)
			rc = tiles_of_rows(p, s, op);
	for (uint32_t i = 0; !rc && i < spec->num_tiles; i++) {
		struct qeff_lower_share share = qeff_lower_cost(p->l, spec, &spec->tiles[i]);

		spec->share[spec->tiles[i].nsp].macs += share.macs;
		spec->share[spec->tiles[i].nsp].bytes += share.bytes;
	}
	p->l->num_tiles += spec->num_tiles;
	return rc;
}

/* Each measure in shares of its total, which the weights make up for the most part. */
static void find_units(struct placer *p)
{
	for (uint32_t m = 0; m < p->measures; m++)
		p->unit[m] = 1;
	clear_cost(p);
	for (uint32_t w = 0; w < p->l->num_weights; w++)
		add_panels(p, p->cost, w, 0, p->l->weights[w].panels);
	for (uint32_t m = 0; m < p->measures; m++)
		p->unit[m] = p->cost[m] > 0 ? 1 / p->cost[m] : 1;
}

static int place_all(struct placer *p)
{
	uint32_t *order = calloc((size_t)p->l->num_weights + 1, sizeof(*order));
	int rc = 0;

	if (!order || list_uses(p)) {
		free(order);
		return -ENOMEM;
	}
	find_units(p);
	for (uint32_t i = 0; i < p->l->num_weights; i++)
		order[i] = i;
	qsort_r(order, p->l->num_weights, sizeof(*order), compare_weights, p->l->weights);
	for (uint32_t i = 0; i < p->l->num_weights; i++)
		place_weight(p, order[i]);
	free(order);
	for (uint32_t s = 0; !rc && s < p->l->num_specs; s++)
		rc = place_ops(p, s);
	return rc;
}

int qeff_lower_place(struct qeff_lowering *l, struct qeff_error *err)
{
	struct placer p = { .l = l, .measures = 2 * l->num_specs };
	int rc = -ENOMEM;

	p.unit = calloc(p.measures, sizeof(*p.unit));
	p.cost = calloc(p.measures, sizeof(*p.cost));
	p.load = calloc((size_t)p.measures * l->num_nsps, sizeof(*p.load));
	if (p.unit && p.cost && p.load)
		rc = place_all(&p);
	free(p.uses);
	free(p.first_use);
	free(p.unit);
	free(p.cost);
	free(p.load);
	if (rc)
		return lower_no_memory(err);
	if (l->num_tiles > QEFF_NSP_MAX_TILES)
		return qeff_error_set(err, -EFBIG, "the program has more than %u tiles",
				      QEFF_NSP_MAX_TILES);
	return 0;
}
