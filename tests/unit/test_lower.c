/* SPDX-License-Identifier: MIT */
/*
 * Lowering, judged by what its programs compute: reference numbers, the same bits however work is
 * cut, even shares; and by the plan itself: memory, padding, determinism, refusals.
 */
#include "unit.h"

#include "lowered_decoder.h"

#include "qpc/image.h"
#include "qpc/metadata.h"

#include <math.h>

#define LLAMA "tiny-llama-stories"
#define BERT  "tiny-bert-embed"
#define ROPE  "rand-llama3-rope"

static const uint32_t nsp_counts[] = { 1, 4, 16 };

/* ---- decoders ---- */

static void logits_without_cache(void)
{
	static const char *const models[] = { LLAMA, ROPE };

	for (int i = 0; i < 2; i++) {
		const struct qeff_checkpoint_tensor *ids, *logits;
		struct reference reference;
		uint32_t length;

		reference_open(&reference, models[i]);
		ids = reference_tensor(&reference, "input_ids");
		logits = reference_tensor(&reference, "logits");
		length = (uint32_t)ids->dims[1];
		for (int n = 0; n < 3; n++) {
			struct lowered_options options = { .num_nsps = nsp_counts[n],
							   .batch = 1,
							   .seqs = { length },
							   .num_seqs = 1 };
			struct lowered *m = lowered_open(models[i], &options);

			memcpy(lowered_at(m, "input_ids"), ids->data, length * 8);
			memcpy(lowered_at(m, "attention_mask"),
			       reference_tensor(&reference, "attention_mask")->data, length * 8);
			m->poison = true;
			CU_ASSERT_EQUAL(lowered_run(m, 0), QEFF_NSP_FAULT_NONE);
			CU_ASSERT(difference(lowered_at(m, "logits"), logits->data,
					     (size_t)length * m->info.vocab) < 1e-4);
			lowered_close(m);
		}
		safetensors_close(&reference.file);
	}
}

static void continuation_is_the_references(void)
{
	static const char *const models[] = { LLAMA, ROPE };

	for (int i = 0; i < 2; i++) {
		const struct qeff_checkpoint_tensor *logits;
		struct reference reference;
		float *first = NULL;

		reference_open(&reference, models[i]);
		logits = reference_tensor(&reference, "logits");
		for (int n = 0; n < 3; n++) {
			struct lowered_options options = { .num_nsps = nsp_counts[n],
							   .batch = 1,
							   .positions = 128,
							   .seqs = { 32, 1 },
							   .num_seqs = 2 };
			struct lowered *m = lowered_open(models[i], &options);
			uint32_t steps, vocab = m->info.vocab;
			float *kept;

			m->poison = true;
			kept = generate(m, &reference, 32, 0, false, 0, &steps);
			CU_ASSERT(difference(kept,
					     (const float *)logits->data +
						     (logits->dims[1] - 1) * vocab,
					     vocab) < 1e-4);
			/* The number of NSPs must not change a bit. */
			if (first)
				CU_ASSERT_EQUAL(memcmp(first, kept, (size_t)steps * vocab * 4), 0);
			free(n ? kept : NULL);
			first = first ? first : kept;
			lowered_close(m);
		}
		free(first);
		safetensors_close(&reference.file);
	}
}

/* Batch neighbours, padding before the tokens, chunks that do not divide the prompt: the same bits.
 */
static void bits_do_not_depend_on_surroundings(void)
{
	static const struct {
		uint32_t batch, prefill, chunk, entry, pad;
		bool all;
	} cases[] = {
		{ 1, 32, 32, 0, 0, false },  { 1, 32, 5, 0, 0, false },	 { 1, 7, 7, 0, 0, false },
		{ 1, 32, 20, 0, 12, false }, { 4, 32, 32, 2, 0, false }, { 4, 16, 11, 3, 5, true },
	};
	struct reference reference;
	float *first = NULL;

	reference_open(&reference, LLAMA);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct lowered_options options = { .num_nsps = 4,
						   .batch = cases[i].batch,
						   .positions = 128,
						   .seqs = { cases[i].prefill, 1 },
						   .num_seqs = 2 };
		struct lowered *m = lowered_open(LLAMA, &options);
		uint32_t steps;
		float *kept = generate(m, &reference, cases[i].chunk, cases[i].entry, cases[i].all,
				       cases[i].pad, &steps);

		if (first)
			CU_ASSERT_EQUAL(memcmp(first, kept, (size_t)steps * m->info.vocab * 4), 0);
		free(first ? kept : NULL);
		first = first ? first : kept;
		lowered_close(m);
	}
	free(first);
	safetensors_close(&reference.file);
}

/* Measured by the executor: within 10 % of even, in prefill and in decode. */
static void shares_are_even(void)
{
	struct reference reference;

	reference_open(&reference, LLAMA);
	for (int n = 1; n < 3; n++) {
		uint32_t nsps = nsp_counts[n];
		struct lowered_options options = { .num_nsps = nsps,
						   .batch = 1,
						   .positions = 128,
						   .seqs = { 32, 1 },
						   .num_seqs = 2 };
		struct lowered *m = lowered_open(LLAMA, &options);
		const int64_t *ids = reference_tensor(&reference, "input_ids")->data;
		int64_t prompt[128];

		for (int i = 0; i < 128; i++)
			prompt[i] = ids[i % 23];
		for (uint32_t at = 0; at < 96; at += 32) {
			uint32_t spec = at == 64;
			uint64_t macs = 0, bytes = 0;

			/* Two full chunks; the second time one token far in the context. */
			feed(m, spec, prompt + at, spec ? 1 : 32, at, 0, false, 0);
			CU_ASSERT_EQUAL(lowered_run(m, spec), QEFF_NSP_FAULT_NONE);
			for (uint32_t i = 0; i < nsps; i++) {
				macs += lowered_stats(m)->nsp[i].macs;
				bytes += lowered_stats(m)->nsp[i].bytes;
			}
			for (uint32_t i = 0; i < nsps; i++) {
				double share = (double)lowered_stats(m)->nsp[i].macs * nsps;
				double moved = (double)lowered_stats(m)->nsp[i].bytes * nsps;

				CU_ASSERT(fabs(share / (double)macs - 1) < 0.1);
				CU_ASSERT(fabs(moved / (double)bytes - 1) < 0.1);
			}
		}
		lowered_close(m);
	}
	safetensors_close(&reference.file);
}

/* ---- encoders ---- */

static void encode(struct lowered *m, const struct reference *reference, uint32_t entries,
		   uint32_t first, uint32_t pad)
{
	const struct qeff_checkpoint_tensor *ids = reference_tensor(reference, "input_ids");
	const int64_t *mask = reference_tensor(reference, "attention_mask")->data;
	uint32_t seq = m->l->specs[0].seq, length = (uint32_t)ids->dims[1];
	int64_t *to_ids = lowered_at(m, "input_ids"), *to_mask = lowered_at(m, "attention_mask");

	memset(lowered_at(m, "token_type_ids"), 0, (size_t)entries * seq * 8);
	memset(to_ids, 0, (size_t)entries * seq * 8);
	memset(to_mask, 0, (size_t)entries * seq * 8);
	for (uint32_t b = 0; b < entries; b++)
		for (uint32_t s = 0; s < length; s++) {
			to_ids[b * seq + pad + s] =
				((const int64_t *)ids->data)[(first + b) * length + s];
			to_mask[b * seq + pad + s] = mask[(first + b) * length + s];
		}
}

static void hidden_states_are_the_references(void)
{
	const struct qeff_checkpoint_tensor *hidden;
	struct reference reference;
	const int64_t *mask;

	reference_open(&reference, BERT);
	hidden = reference_tensor(&reference, "last_hidden_state");
	mask = reference_tensor(&reference, "attention_mask")->data;
	for (int n = 0; n < 3; n++) {
		struct lowered_options options = {
			.num_nsps = nsp_counts[n], .batch = 4, .seqs = { 20 }, .num_seqs = 1
		};
		struct lowered *m = lowered_open(BERT, &options);
		const float *got = lowered_at(m, "last_hidden_state");
		float live[4 * 20 * 128] = { 0 }, expected[4 * 20 * 128] = { 0 };

		m->poison = true;
		encode(m, &reference, 4, 0, 0);
		CU_ASSERT_EQUAL(lowered_run(m, 0), QEFF_NSP_FAULT_NONE);
		for (uint32_t row = 0; row < 80; row++) {
			static const float zeros[128];

			if (!mask[row]) {
				CU_ASSERT_EQUAL(memcmp(got + row * 128, zeros, sizeof(zeros)), 0);
				continue;
			}
			memcpy(live + row * 128, got + row * 128, 512);
			memcpy(expected + row * 128, (const float *)hidden->data + row * 128, 512);
		}
		CU_ASSERT(difference(live, expected, 4 * 20 * 128) < 1e-4);
		lowered_close(m);
	}
	safetensors_close(&reference.file);
}

static void embeddings_are_the_references(void)
{
	const struct qeff_checkpoint_tensor *expected;
	struct reference reference;
	float first[128];

	reference_open(&reference, BERT);
	expected = reference_tensor(&reference, "sentence_embedding");
	/* Alone, among others, padded on either side, in the smaller of two lengths: the same bits.
	 */
	for (int i = 0; i < 4; i++) {
		uint32_t batch = i == 1 ? 4 : 1, pad = i == 2 ? 12 : 0;
		struct lowered_options options = { .num_nsps = nsp_counts[i % 3],
						   .batch = batch,
						   .seqs = { i == 3 ? 20 : 40 },
						   .num_seqs = 1,
						   .pooling = "mean",
						   .normalize = true };
		struct lowered *m = lowered_open(BERT, &options);
		const float *got = lowered_at(m, "sentence_embedding");

		encode(m, &reference, batch, 0, pad);
		CU_ASSERT_EQUAL(lowered_run(m, 0), QEFF_NSP_FAULT_NONE);
		CU_ASSERT(difference(got, expected->data, (size_t)batch * 128) < 1e-4);
		if (i)
			CU_ASSERT_EQUAL(memcmp(first, got, sizeof(first)), 0);
		memcpy(first, got, sizeof(first));
		lowered_close(m);
	}
	safetensors_close(&reference.file);
}

/* ---- the plan ---- */

static void tensors_alive_together_are_apart(void)
{
	struct lowered_options options = {
		.num_nsps = 4, .batch = 2, .positions = 64, .seqs = { 16, 1 }, .num_seqs = 2
	};
	struct lowered *m = lowered_open(LLAMA, &options);
	uint64_t sum = 0;

	for (uint32_t s = 0; s < m->l->num_specs; s++) {
		const struct lower_spec *spec = &m->l->specs[s];

		for (uint32_t i = 0; i < spec->num_tensors; i++) {
			const struct lower_tensor *a = &spec->tensors[i];
			uint64_t a_end = a->offset + (uint64_t)a->rows * a->stride_bytes;

			CU_ASSERT_EQUAL(a->offset % 128, 0);
			CU_ASSERT(a_end <= m->l->ddr_bytes - m->l->arena_offset);
			sum += a_end - a->offset;
			for (uint32_t j = 0; j < i; j++) {
				const struct lower_tensor *b = &spec->tensors[j];
				uint64_t b_end = b->offset + (uint64_t)b->rows * b->stride_bytes;
				bool together = a->first_phase <= b->last_phase &&
						b->first_phase <= a->last_phase;

				CU_ASSERT(!together || a_end <= b->offset || b_end <= a->offset);
			}
		}
	}
	/* Overlaid, not laid out side by side. */
	CU_ASSERT(m->l->ddr_bytes - m->l->arena_offset < sum / 8);
	lowered_close(m);
}

/* The last panel of the 176 outputs of rand-llama3-rope's feed-forward weights is half empty. */
static void outputs_past_the_edge_are_zero(void)
{
	struct lowered_options options = {
		.num_nsps = 4, .batch = 1, .seqs = { 8 }, .num_seqs = 1
	};
	struct lowered *m = lowered_open(ROPE, &options);
	uint32_t seen = 0;

	for (uint32_t i = 0; i < m->l->num_weights; i++) {
		const struct lower_weight *w = &m->l->weights[i];

		if (w->outputs != 176)
			continue;
		for (uint32_t nsp = 0; nsp < 4; nsp++) {
			const uint8_t *panel;

			if (!w->run[nsp].panels ||
			    w->run[nsp].first + w->run[nsp].panels != w->panels)
				continue;
			panel = m->aligned + w->run[nsp].offset +
				(w->run[nsp].panels - 1) * w->panel_bytes;
			for (uint64_t row = 0; row < w->panel_bytes / 128; row++) {
				static const uint8_t zeros[64];

				CU_ASSERT_EQUAL(memcmp(panel + row * 128 + 64, zeros, 64), 0);
				CU_ASSERT_NOT_EQUAL(memcmp(panel + row * 128, zeros, 64), 0);
			}
			seen++;
		}
	}
	CU_ASSERT_EQUAL(seen, 4); /* gate and up of two layers */
	lowered_close(m);
}

static void weights_are_placed_once(void)
{
	struct lowered_options options = {
		.num_nsps = 16, .batch = 1, .positions = 128, .seqs = { 32, 1 }, .num_seqs = 2
	};
	struct lowered *m = lowered_open(LLAMA, &options);
	uint64_t packed = 0, weights = 0;

	for (uint32_t i = 0; i < m->l->num_weights; i++) {
		const struct lower_weight *w = &m->l->weights[i];
		uint32_t next = 0;

		for (uint32_t nsp = 0; nsp < 16; nsp++) {
			CU_ASSERT_EQUAL(w->run[nsp].first, next);
			next += w->run[nsp].panels;
		}
		CU_ASSERT_EQUAL(next, w->panels);
		packed += w->panels * w->panel_bytes;
	}
	/* f16 weights stay f16, and the tied head is the embedding: no byte more than the
	 * checkpoint has, but for the norms, which are vectors. */
	weights = m->info.weight_bytes - 13 * 192 * 2;
	CU_ASSERT_EQUAL(packed, weights);
	lowered_close(m);
}

static void lowering_is_deterministic(void)
{
	struct lowered_options options = {
		.num_nsps = 16, .batch = 2, .positions = 64, .seqs = { 16, 1 }, .num_seqs = 2
	};
	struct lowered *a = lowered_open(LLAMA, &options), *b = lowered_open(LLAMA, &options);

	CU_ASSERT_EQUAL(a->constants.size_bytes, b->constants.size_bytes);
	CU_ASSERT_EQUAL(memcmp(a->constants.data, b->constants.data, a->constants.size_bytes), 0);
	lowered_close(a);
	lowered_close(b);
}

static void check_request(const struct qeff_md_dma_request *r, uint32_t semaphore, uint32_t ready,
			  uint32_t initial, uint64_t doorbell)
{
	CU_ASSERT_EQUAL(r->buffer, semaphore);
	CU_ASSERT_EQUAL(r->device_space, QEFF_MD_SPACE_DDR);
	CU_ASSERT_EQUAL_FATAL(r->num_semaphore_ops, 2);
	CU_ASSERT_EQUAL(r->semaphore_ops[0].semaphore, semaphore);
	CU_ASSERT_EQUAL(r->semaphore_ops[0].op, QEFF_MD_SEM_WAIT_EQUAL);
	CU_ASSERT_EQUAL(r->semaphore_ops[0].value, ready);
	CU_ASSERT(r->semaphore_ops[0].pre);
	CU_ASSERT_EQUAL(r->semaphore_ops[1].semaphore, semaphore);
	CU_ASSERT_EQUAL(r->semaphore_ops[1].op, QEFF_MD_SEM_INIT);
	CU_ASSERT_EQUAL(r->semaphore_ops[1].value, initial);
	CU_ASSERT_FALSE(r->semaphore_ops[1].pre);
	/* Behind the data of its direction. */
	CU_ASSERT_EQUAL(r->semaphore_ops[1].in_fence, semaphore == 0);
	CU_ASSERT_EQUAL(r->semaphore_ops[1].out_fence, semaphore == 1);
	CU_ASSERT_EQUAL_FATAL(r->num_doorbell_ops, 1);
	CU_ASSERT_EQUAL(r->doorbell_ops[0].offset, doorbell);
	CU_ASSERT_EQUAL(r->doorbell_ops[0].data, 1);
	CU_ASSERT_EQUAL(r->doorbell_ops[0].size_code, 2);
}

/* docs/design/nsp-program.md, "Protocol on the card". */
static void metadata_says_the_protocol(void)
{
	struct lowered_options options = {
		.num_nsps = 4, .batch = 1, .positions = 64, .seqs = { 16, 1 }, .num_seqs = 2
	};
	struct lowered *m = lowered_open(LLAMA, &options);
	const struct qeff_nsp_header *header = m->program.header;
	struct qeff_image_metadata found;
	struct qeff_metadata *md = NULL;
	struct qeff_bytes image = { 0 };
	uint64_t end = 0;

	CU_ASSERT_EQUAL_FATAL(qeff_lower_image(m->l, "llama", &image, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(qeff_image_find_metadata(image.data, image.size_bytes, &found, NULL),
			      0);
	CU_ASSERT_EQUAL_FATAL(qeff_metadata_parse(found.data, found.size_bytes, &md, NULL), 0);
	CU_ASSERT_EQUAL(md->num_nsps, 4);
	CU_ASSERT_EQUAL(md->exec_context_major, QEFF_NSP_EXEC_CONTEXT_MAJOR);
	CU_ASSERT_EQUAL(md->num_semaphores, 2);
	CU_ASSERT_EQUAL(md->semaphore_init[0], 0);
	CU_ASSERT_EQUAL(md->semaphore_init[1], 4);
	CU_ASSERT_EQUAL_FATAL(md->num_dma_requests, 2);
	check_request(&md->dma_requests[0], 0, 4, 0, 0);
	check_request(&md->dma_requests[1], 1, 0, 4, 4);
	CU_ASSERT_EQUAL(md->dma_requests[0].device_offset, header->control);
	CU_ASSERT_EQUAL(md->dma_requests[0].direction, QEFF_MD_TO_DEVICE);
	CU_ASSERT_EQUAL(md->dma_requests[1].direction, QEFF_MD_FROM_DEVICE);
	CU_ASSERT_EQUAL(md->dma_requests[1].device_offset, header->stats);
	CU_ASSERT_EQUAL_FATAL(md->l2tcm_init_bytes, 0x464);
	for (uint32_t i = 0; i < md->l2tcm_init_bytes; i++)
		CU_ASSERT_EQUAL(md->l2tcm_init[i], i == 4);
	CU_ASSERT_EQUAL(md->exit_doorbell_offset, 0x460);
	CU_ASSERT_EQUAL(md->num_host_multicast, 1);
	CU_ASSERT_EQUAL(md->host_multicast[0].nsp_mask, 0xf);
	CU_ASSERT_EQUAL_FATAL(md->num_nsp_multicast, 4);
	CU_ASSERT_EQUAL(md->nsp_multicast[2].entries[0].nsp_mask, 0xb);
	CU_ASSERT_EQUAL(md->static_shared_ddr_bytes, header->ddr_bytes);
	CU_ASSERT_EQUAL(md->static_constants_bytes, m->constants.size_bytes);
	/* The shared region is everyone's, then each has its own. */
	CU_ASSERT_EQUAL_FATAL(md->num_constant_mappings, 5);
	for (uint32_t i = 0; i < 5; i++) {
		CU_ASSERT_EQUAL(md->constant_mappings[i].nsp_mask, i ? 1u << (i - 1) : 0xf);
		CU_ASSERT(md->constant_mappings[i].offset >= end);
		CU_ASSERT(!i || md->constant_mappings[i].offset % 4096 == 0);
		end = md->constant_mappings[i].offset + md->constant_mappings[i].size_bytes;
	}
	CU_ASSERT_EQUAL(end, m->constants.size_bytes);
	/* Each NSP's weights are in what it sees. */
	for (uint32_t nsp = 0; nsp < 4; nsp++)
		for (uint32_t t = m->program.tile_index[nsp * (header->phases + 1)];
		     t < m->program.tile_index[(nsp + 1) * (header->phases + 1) - 1]; t++) {
			uint64_t at = m->program.tiles[t].data,
				 own = md->constant_mappings[1 + nsp].offset;

			CU_ASSERT(at == QEFF_NSP_NONE ||
				  (at >= own &&
				   at < own + md->constant_mappings[1 + nsp].size_bytes));
		}
	qeff_metadata_free(md);
	qeff_bytes_free(&image);
	lowered_close(m);
}

static const struct unit_test tests[] = {
	{ "logits of all positions, without a cache", logits_without_cache },
	{ "the continuation is the reference's", continuation_is_the_references },
	{ "bits do not depend on surroundings", bits_do_not_depend_on_surroundings },
	{ "shares are even", shares_are_even },
	{ "hidden states are the reference's", hidden_states_are_the_references },
	{ "embeddings are the reference's", embeddings_are_the_references },
	{ "tensors alive together are apart", tensors_alive_together_are_apart },
	{ "outputs past the edge are zero", outputs_past_the_edge_are_zero },
	{ "weights are placed once", weights_are_placed_once },
	{ "lowering is deterministic", lowering_is_deterministic },
	{ "metadata says the protocol", metadata_says_the_protocol },
};
QEFF_UNIT_MAIN("lower", tests)
