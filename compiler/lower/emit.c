/* SPDX-License-Identifier: MIT */
/*
 * The stream of constants: program, shared tables, then every NSP's share of the weights. Workers
 * pack chunks of panels straight from the checkpoint into a ring of buffers, ahead of the calling
 * thread, which hands them on in order. Weights are never in memory as a whole.
 */
#include "lower/ir.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_BYTES (1u << 20)
#define MAX_WORKERS 16u

/* Consecutive panels of one weight; of experts, those of the first outputs for each expert in turn,
 * then those of the next. */
struct chunk {
	uint32_t weight;
	uint64_t first, panels;
	uint64_t offset; /* in the constants */
	bool last_use;	 /* nothing else will read these weights */
};

struct emitter {
	const struct qeff_lowering *l;
	const struct qeff_lower_sink *sink;
	struct qeff_error *err;
	uint64_t written;

	struct chunk *chunks;
	uint32_t num_chunks;
	uint64_t buffer_bytes;
	uint8_t *buffers; /* [slots] */
	uint32_t slots;

	/* Under the lock: */
	pthread_mutex_t lock;
	pthread_cond_t packed, drained;
	uint32_t next;	 /* chunk that the next free worker takes */
	uint32_t done;	 /* chunks handed on */
	uint32_t *ready; /* [slots]: one more than the chunk that is packed there */
	bool stop;
};

static int write_bytes(struct emitter *e, const void *data, uint64_t size)
{
	int rc = e->sink->write(e->sink->user, data, size, e->err);

	e->written += size;
	return rc;
}

static int write_zeros(struct emitter *e, uint64_t to)
{
	static const uint8_t zeros[LOWER_REGION_ALIGNMENT];
	int rc = 0;

	while (!rc && e->written < to) {
		uint64_t left = to - e->written;

		rc = write_bytes(e, zeros, left < sizeof(zeros) ? left : sizeof(zeros));
	}
	return rc;
}

static int write_table(struct emitter *e, const struct lower_table *table)
{
	const struct lower_view *view = &table->view;
	uint64_t left = (uint64_t)table->rows * table->columns;
	uint32_t row = 0, column = 0;
	float buffer[1024];
	int rc = write_zeros(e, table->offset);

	while (!rc && left) {
		uint64_t count = left < 1024 ? left : 1024;

		for (uint64_t i = 0; i < count; i++) {
			buffer[i] = qeff_nsp_load(lower_view_row(view, row) +
							  column * view->column_stride,
						  view->stored);
			if (++column == view->columns) {
				column = 0;
				row++;
			}
		}
		rc = write_bytes(e, buffer, count * sizeof(float));
		left -= count;
	}
	return rc;
}

/* Whether @w is the only one that is packed from its bytes (not once as it lies and once
 * transposed). */
static bool only_reader(const struct qeff_lowering *l, uint32_t w)
{
	for (uint32_t i = 0; i < l->num_weights; i++)
		if (i != w && l->weights[i].view.data == l->weights[w].view.data)
			return false;
	return true;
}

static uint64_t panel_bytes(const struct lower_weight *w)
{
	return w->panel_bytes / w->experts;
}

static int list_chunks(struct emitter *e)
{
	for (uint32_t nsp = 0; nsp < e->l->num_nsps; nsp++)
		for (uint32_t w = 0; w < e->l->num_weights; w++) {
			const struct lower_weight *weight = &e->l->weights[w];
			const struct lower_run *run = &weight->run[nsp];
			uint64_t most = CHUNK_BYTES / panel_bytes(weight);
			uint64_t panels = (uint64_t)run->panels * weight->experts;
			/* Transposed panels are spread over the whole matrix. */
			bool last_use = weight->view.row_stride >= weight->view.column_stride &&
					!lower_view_repeats(&weight->view) && only_reader(e->l, w);

			for (uint64_t p = 0; p < panels;) {
				struct chunk *chunk = LOWER_GROW(e->chunks, e->num_chunks);
				uint64_t count = panels - p;

				if (!chunk)
					return -ENOMEM;
				if (count > most)
					count = most ? most : 1;
				chunk->weight = w;
				chunk->first = (uint64_t)run->first * weight->experts + p;
				chunk->panels = count;
				chunk->offset = run->offset + p * panel_bytes(weight);
				if (count * panel_bytes(weight) > e->buffer_bytes)
					e->buffer_bytes = count * panel_bytes(weight);
				chunk->last_use = last_use;
				p += count;
			}
		}
	return 0;
}

static const uint8_t *row_of(const struct lower_weight *w, uint32_t expert, uint32_t output)
{
	if (w->pieces)
		return lower_view_row(&w->pieces[expert], output);
	return lower_view_row(&w->view, expert * w->outputs + output);
}

/* Tells that outputs [first, end) of an expert will not be read again. */
static void release(const struct emitter *e, const struct lower_weight *w, uint32_t expert,
		    uint32_t first, uint32_t end)
{
	const uint8_t *from = row_of(w, expert, first);
	const uint8_t *to = row_of(w, expert, end - 1) + w->view.row_stride;

	e->sink->release(e->sink->user, from, (size_t)(to - from));
}

static void pack_chunk(const struct emitter *e, const struct chunk *chunk, uint8_t *to)
{
	const struct lower_weight *w = &e->l->weights[chunk->weight];

	for (uint64_t p = chunk->first; p < chunk->first + chunk->panels; p++) {
		struct qeff_nsp_weights panel = { .input_stride = w->view.column_stride,
						  .type = w->view.stored };
		uint32_t expert = (uint32_t)(p % w->experts);
		const struct lower_view *view = w->pieces ? &w->pieces[expert] : &w->view;
		uint32_t first = (uint32_t)(p / w->experts) * QEFF_NSP_PANEL, i = 0;

		for (; i < QEFF_NSP_PANEL && first + i < w->outputs; i++) {
			panel.rows[i] = row_of(w, expert, first + i);
			panel.scales[i] = lower_view_scales(view, panel.rows[i]);
		}
		qeff_nsp_pack_panel(to, w->type, w->inputs, w->scale_group, &panel);
		if (e->sink->release && chunk->last_use)
			release(e, w, expert, first, first + i);
		to += panel_bytes(w);
	}
}

static void *work(void *argument)
{
	struct emitter *e = argument;

	pthread_mutex_lock(&e->lock);
	for (;;) {
		uint32_t chunk, slot;

		while (!e->stop && e->next < e->num_chunks && e->next >= e->done + e->slots)
			pthread_cond_wait(&e->drained, &e->lock);
		if (e->stop || e->next >= e->num_chunks)
			break;
		chunk = e->next++;
		slot = chunk % e->slots;
		pthread_mutex_unlock(&e->lock);
		pack_chunk(e, &e->chunks[chunk], e->buffers + slot * e->buffer_bytes);
		pthread_mutex_lock(&e->lock);
		e->ready[slot] = chunk + 1;
		pthread_cond_signal(&e->packed);
	}
	pthread_mutex_unlock(&e->lock);
	return NULL;
}

static int hand_on(struct emitter *e)
{
	int rc = 0;

	for (uint32_t c = 0; !rc && c < e->num_chunks; c++) {
		const struct chunk *chunk = &e->chunks[c];
		uint32_t slot = c % e->slots;

		pthread_mutex_lock(&e->lock);
		while (e->ready[slot] != c + 1)
			pthread_cond_wait(&e->packed, &e->lock);
		pthread_mutex_unlock(&e->lock);
		rc = write_zeros(e, chunk->offset);
		if (!rc)
			rc = write_bytes(e, e->buffers + slot * e->buffer_bytes,
					 chunk->panels *
						 panel_bytes(&e->l->weights[chunk->weight]));
		pthread_mutex_lock(&e->lock);
		e->done = c + 1;
		e->stop = rc != 0;
		pthread_cond_broadcast(&e->drained);
		pthread_mutex_unlock(&e->lock);
		if (!rc && e->sink->progress)
			e->sink->progress(e->sink->user, e->written, e->l->constants_bytes);
	}
	return rc;
}

static uint32_t num_workers(void)
{
	cpu_set_t cpus;
	int count = sched_getaffinity(0, sizeof(cpus), &cpus) ? 1 : CPU_COUNT(&cpus);

	return count < 1 ? 1 : count > (int)MAX_WORKERS ? MAX_WORKERS : (uint32_t)count;
}

static int run_workers(struct emitter *e, uint32_t workers)
{
	pthread_t threads[MAX_WORKERS];
	uint32_t started = 0;
	int rc = 0;

	while (started < workers && !pthread_create(&threads[started], NULL, work, e))
		started++;
	if (started)
		rc = hand_on(e);
	else
		rc = qeff_error_set(e->err, -EAGAIN, "no thread could be started to pack weights");
	for (uint32_t i = 0; i < started; i++)
		pthread_join(threads[i], NULL);
	return rc;
}

static int write_weights(struct emitter *e)
{
	uint32_t workers = num_workers();
	int rc = list_chunks(e) ? lower_no_memory(e->err) : 0;

	if (rc || !e->num_chunks)
		return rc;
	e->slots = 2 * workers;
	if (!qeff_mul_u64(e->buffer_bytes, e->slots, &(uint64_t){ 0 }))
		return lower_no_memory(e->err);
	e->buffers = aligned_alloc(QEFF_NSP_PANEL_ROW_BYTES, e->buffer_bytes * e->slots);
	e->ready = calloc(e->slots, sizeof(*e->ready));
	if (!e->buffers || !e->ready)
		return lower_no_memory(e->err);
	return run_workers(e, workers);
}

int qeff_lower_emit(const struct qeff_lowering *l, const struct qeff_lower_sink *sink,
		    struct qeff_error *err)
{
	struct emitter e = {
		.l = l,
		.sink = sink,
		.err = err,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.packed = PTHREAD_COND_INITIALIZER,
		.drained = PTHREAD_COND_INITIALIZER,
	};
	int rc = write_bytes(&e, l->program.data, l->program.size_bytes);

	for (uint32_t i = 0; !rc && i < l->num_tables; i++)
		rc = write_table(&e, &l->tables[i]);
	for (uint32_t i = 0; !rc && i < l->num_raws; i++) {
		rc = write_zeros(&e, l->raws[i].offset);
		if (!rc)
			rc = write_bytes(&e, l->raws[i].data, l->raws[i].bytes);
	}
	if (!rc)
		rc = write_weights(&e);
	if (!rc)
		rc = write_zeros(&e, l->constants_bytes);
	free(e.chunks);
	free(e.buffers);
	free(e.ready);
	return rc;
}
