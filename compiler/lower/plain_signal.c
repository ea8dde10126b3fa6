/* SPDX-License-Identifier: MIT */
/* Operators on signals: windows, and Fourier transforms as products with constant matrices. */
#include "lower/plain_words.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Sums of cosines. */
void plain_signal_window(struct words *w)
{
	static const struct {
		const char *op;
		double of[3];
	} kinds[] = {
		{ "HannWindow", { 0.5, -0.5, 0 } },
		{ "HammingWindow", { 25.0 / 46, -21.0 / 46, 0 } },
		{ "BlackmanWindow", { 0.42, -0.5, 0.08 } },
	};
	struct dense_view out = words_out(w, 0), table;
	int64_t size = w->rc ? 0 : out.size[0];
	bool periodic = words_int(w, "periodic", 1);
	float *samples = words_table(w, size, 1, sizeof(*samples));
	double period = (double)(periodic || size == 1 ? size : size - 1);

	for (size_t k = 0; k < 3 && !w->rc; k++)
		for (int64_t i = 0; i < size && qeff_node_is(w->node, kinds[k].op); i++) {
			double turn = 2 * M_PI * (double)i / period;

			samples[i] = (float)(kinds[k].of[0] + kinds[k].of[1] * cos(turn) +
					     kinds[k].of[2] * cos(2 * turn));
		}
	table = words_constant(w, QEFF_NSP_F32, 1, &size, samples);
	free(samples);
	words_copy(w, &table, &out);
}

/*
 * [bins, samples, out part, in part]: what a sample's real and imaginary part add to those of a
 * bin.
 */
static struct dense_view matrix_of(struct words *w, const struct qeff_dft *dft, int64_t samples,
				   int64_t parts)
{
	int64_t size[4] = { dft->bins, samples, 2, parts };
	struct dense_view view = { 0 };
	float *table = words_table(w, dft->bins, samples, 2 * (size_t)parts * sizeof(*table));
	double scale = dft->inverse ? 1 / (double)dft->length : 1;

	if (!table)
		return view;
	for (int64_t k = 0; k < dft->bins; k++)
		for (int64_t n = 0; n < samples; n++) {
			double turn = 2 * M_PI * (double)(k * n % dft->length) /
				      (double)dft->length * (dft->inverse ? 1 : -1);
			float *cell = table + (k * samples + n) * 2 * parts;

			cell[0] = (float)(scale * cos(turn));
			cell[parts] = (float)(scale * sin(turn));
			if (parts == 2) {
				cell[1] = -cell[parts];
				cell[3] = cell[0];
			}
		}
	view = words_constant(w, QEFF_NSP_F32, 4, size, table);
	free(table);
	return view;
}

void plain_dft(struct words *w)
{
	struct dense_view x = words_in(w, 0), out = words_out(w, 0), matrix;
	int64_t loops[DENSE_MAX_RANK], samples;
	struct qeff_dft dft = { 0 };
	uint32_t axis, last;

	if (!w->rc)
		w->rc = qeff_op_dft(w->node, &dft, w->s->err);
	if (w->rc)
		return;
	axis = (uint32_t)dft.axis;
	last = x.rank - 1;
	samples = x.size[axis] < dft.length ? x.size[axis] : dft.length;
	matrix = matrix_of(w, &dft, samples, x.size[last]);
	/* loops: [.., bins, .., out part], samples, in part */
	memcpy(loops, out.size, sizeof(loops));
	loops[out.rank] = samples;
	loops[out.rank + 1] = x.size[last];
	dense_insert(&x, x.rank, samples, x.stride[axis]);
	dense_insert(&x, x.rank, x.size[last], x.stride[last]);
	x.size[axis] = dft.bins;
	x.stride[axis] = 0;
	x.size[last] = 2;
	x.stride[last] = 0;
	{
		struct dense_view m = matrix;

		m.rank = x.rank;
		for (uint32_t i = 0; i < x.rank; i++) {
			m.size[i] = loops[i];
			m.stride[i] = 0;
		}
		m.stride[axis] = matrix.stride[0];
		m.stride[last] = matrix.stride[2];
		m.stride[out.rank] = matrix.stride[1];
		m.stride[out.rank + 1] = matrix.stride[3];
		WORDS_FOLD(w, dense_number(out.type), QEFF_NSP_FOLD_SUM, "a b *", NULL, &out,
			   x.rank, loops, &x, &m);
	}
}

/* Frames are a view of the signal. */
void plain_stft(struct words *w)
{
	static const uint32_t perm[] = { 0, 2, 1, 3 };
	struct dense_view x = words_in(w, 0), out = words_out(w, 0), matrix, window;
	struct qeff_dft dft = { 0 };
	int64_t loops[6], parts;

	if (!w->rc)
		w->rc = qeff_op_stft(w->node, &dft, w->s->err);
	if (w->rc)
		return;
	parts = x.size[2];
	matrix = matrix_of(w, &dft, dft.length, parts);
	if (w->rc)
		return;
	/* loops: batch, frames, bins, out part, samples, in part */
	memcpy(loops, out.size, 4 * sizeof(*loops));
	loops[4] = dft.length;
	loops[5] = parts;
	dense_transpose(&matrix, perm);
	x.rank = 6;
	memcpy(x.size, loops, sizeof(loops));
	x.stride[5] = x.stride[2];
	x.stride[4] = x.stride[1];
	x.stride[1] *= dft.step;
	x.stride[2] = x.stride[3] = 0;
	if (words_has(w, 2)) {
		window = words_in(w, 2);
		dense_insert(&window, 1, 1, 0);
		WORDS_FOLD(w, dense_number(out.type), QEFF_NSP_FOLD_SUM, "a b * c *", NULL, &out, 6,
			   loops, &x, &matrix, &window);
	} else {
		WORDS_FOLD(w, dense_number(out.type), QEFF_NSP_FOLD_SUM, "a b *", NULL, &out, 6,
			   loops, &x, &matrix);
	}
}

/* Triangles over the bins of a spectrum, whose corners are evenly apart on the mel scale. */
void plain_mel_weights(struct words *w)
{
	struct dense_view out = words_out(w, 0), view;
	int64_t numbers[3], bins, bands, *corner;
	double edges[2] = { 0 }, step;
	float *table;
	uint32_t count;

	for (uint32_t i = 0; i < 3 && !w->rc; i++)
		w->rc = qeff_op_ints(w->node, i, &numbers[i], 1, &count, w->s->err);
	for (uint32_t i = 0; i < 2 && !w->rc; i++)
		w->rc = qeff_op_floats(w->node, 3 + i, &edges[i], 1, &count, w->s->err);
	if (w->rc)
		return;
	bins = out.size[0];
	bands = out.size[1];
	table = words_table(w, bins, bands, sizeof(*table));
	corner = words_table(w, bands + 2, 1, sizeof(*corner));
	if (!table || !corner) {
		free(table);
		free(corner);
		return;
	}
	for (int i = 0; i < 2; i++)
		edges[i] = 2595 * log10(1 + edges[i] / 700);
	step = (edges[1] - edges[0]) / (double)(bands + 2);
	for (int64_t i = 0; i < bands + 2; i++) {
		double hertz = 700 * (pow(10, (edges[0] + (double)i * step) / 2595) - 1);

		corner[i] = (int64_t)floor((double)(numbers[1] + 1) * hertz / (double)numbers[2]);
	}
	for (int64_t b = 0; b < bands; b++) {
		int64_t low = corner[b], middle = corner[b + 1], high = corner[b + 2];

		if (middle == low && middle < bins)
			table[middle * bands + b] = 1;
		for (int64_t k = low; k <= middle && k < bins && middle > low; k++)
			table[k * bands + b] = (float)(k - low) / (float)(middle - low);
		for (int64_t k = middle; k < high && k < bins; k++)
			table[k * bands + b] = (float)(high - k) / (float)(high - middle);
	}
	view = words_constant(w, QEFF_NSP_F32, 2, out.size, table);
	free(table);
	free(corner);
	words_copy(w, &view, &out);
}
