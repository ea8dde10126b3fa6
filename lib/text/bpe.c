/* SPDX-License-Identifier: MIT */
/*
 * Byte-pair encoding: a word starts as characters; the pair with the lowest rank, leftmost first,
 * is merged until no pair of neighbours has a rank. A heap of candidates over a linked list of
 * symbols keeps a word of n characters at n log n.
 */
#include "text/model.h"

#include "text/utf8.h"

#define NONE UINT32_MAX

struct symbol {
	uint32_t id;
	uint32_t previous;
	uint32_t next;
	bool merged_away;
};

struct candidate {
	uint32_t rank;
	uint32_t left; /* index of the left symbol */
	uint32_t id;   /* of the pair merged */
};

static bool before(const struct candidate *a, const struct candidate *b)
{
	return a->rank != b->rank ? a->rank < b->rank : a->left < b->left;
}

static void heap_push(struct qeff_bytes *heap, struct candidate new)
{
	struct candidate *at;
	size_t i;

	if (!qeff_bytes_append(heap, &new, sizeof(new)))
		return;
	at = (struct candidate *)heap->data;
	for (i = heap->size_bytes / sizeof(new) - 1; i > 0 && before(&new, &at[(i - 1) / 2]);
	     i = (i - 1) / 2)
		at[i] = at[(i - 1) / 2];
	at[i] = new;
}

static struct candidate heap_pop(struct qeff_bytes *heap)
{
	struct candidate *at = (struct candidate *)heap->data, top = at[0], last;
	size_t count, i = 0;

	heap->size_bytes -= sizeof(top);
	count = heap->size_bytes / sizeof(top);
	last = at[count];
	for (;;) {
		size_t child = 2 * i + 1;

		if (child >= count)
			break;
		if (child + 1 < count && before(&at[child + 1], &at[child]))
			child++;
		if (!before(&at[child], &last))
			break;
		at[i] = at[child];
		i = child;
	}
	at[i] = last;
	return top;
}

static bool find_merge(const struct qeff_model *model, uint32_t left, uint32_t right,
		       struct candidate *found)
{
	uint64_t value;

	if (!qeff_pair_map_get(&model->merges, (uint64_t)left << 32 | right, &value))
		return false;
	found->rank = (uint32_t)(value >> 32);
	found->id = (uint32_t)value;
	return true;
}

static void consider(const struct qeff_model *model, struct qeff_model_scratch *scratch,
		     uint32_t left)
{
	const struct symbol *symbols = (const struct symbol *)scratch->symbols.data;
	struct candidate new = { .left = left };

	if (left == NONE || symbols[left].next == NONE)
		return;
	if (find_merge(model, symbols[left].id, symbols[symbols[left].next].id, &new))
		heap_push(&scratch->heap, new);
}

static void merge_all(const struct qeff_model *model, struct qeff_model_scratch *scratch)
{
	struct symbol *symbols = (struct symbol *)scratch->symbols.data;
	const size_t count = scratch->symbols.size_bytes / sizeof(*symbols);

	scratch->heap.size_bytes = 0;
	for (size_t i = 0; i + 1 < count; i++)
		consider(model, scratch, (uint32_t)i);
	while (scratch->heap.size_bytes && !scratch->heap.failed) {
		struct candidate top = heap_pop(&scratch->heap), now;
		struct symbol *left = &symbols[top.left], *right;

		if (left->merged_away || left->next == NONE)
			continue;
		right = &symbols[left->next];
		/* the neighbours may have changed since this candidate was found */
		if (!find_merge(model, left->id, right->id, &now) || now.id != top.id)
			continue;
		left->id = top.id;
		right->merged_away = true;
		left->next = right->next;
		if (left->next != NONE)
			symbols[left->next].previous = top.left;
		consider(model, scratch, left->previous);
		consider(model, scratch, top.left);
	}
}

static void add_symbol(struct qeff_bytes *symbols, uint32_t id)
{
	const uint32_t index = (uint32_t)(symbols->size_bytes / sizeof(struct symbol));
	struct symbol new = { .id = id, .previous = index ? index - 1 : NONE, .next = NONE };

	if (!qeff_bytes_append(symbols, &new, sizeof(new)))
		return;
	if (index)
		((struct symbol *)symbols->data)[index - 1].next = index;
}

/* Whether every byte of @text has a token of its own. */
static bool add_bytes(const struct qeff_model *model, struct qeff_bytes *symbols,
		      const uint8_t *text, size_t size_bytes)
{
	for (size_t i = 0; i < size_bytes; i++)
		if (model->byte_ids[text[i]] == UINT32_MAX)
			return false;
	for (size_t i = 0; i < size_bytes; i++)
		add_symbol(symbols, model->byte_ids[text[i]]);
	return true;
}

/* The character at @start, with the affixes of its place in the word, as a key into the vocabulary.
 */
static void make_key(const struct qeff_model *model, struct qeff_bytes *key, const uint8_t *word,
		     size_t start, size_t end, size_t size_bytes)
{
	key->size_bytes = 0;
	if (start > 0)
		qeff_bytes_append(key, model->prefix.data, model->prefix.size_bytes);
	qeff_bytes_append(key, word + start, end - start);
	if (end == size_bytes)
		qeff_bytes_append(key, model->suffix.data, model->suffix.size_bytes);
}

/*
 * The characters of a word as symbols. An unknown character waits in @waiting, since the next one
 * may be fused with it; as in the library that checkpoints are made with, bytes that stand in for a
 * character overtake it.
 */
static int add_characters(const struct qeff_model *model, struct qeff_model_scratch *scratch,
			  const uint8_t *word, size_t size_bytes, struct qeff_error *err)
{
	uint32_t unknown = NONE;
	bool waiting = false;
	int rc;

	scratch->symbols.size_bytes = 0;
	for (size_t at = 0; at < size_bytes && !scratch->key.failed;) {
		const size_t start = at;
		size_t index;

		qeff_utf8_next(word, &at);
		make_key(model, &scratch->key, word, start, at, size_bytes);
		if (scratch->key.failed)
			break;
		index = qeff_vocab_find(&model->vocab, scratch->key.data, scratch->key.size_bytes);
		if (index != QEFF_VOCAB_NONE) {
			if (waiting)
				add_symbol(&scratch->symbols, unknown);
			waiting = false;
			add_symbol(&scratch->symbols, model->vocab.entries[index].id);
			continue;
		}
		if (model->byte_fallback &&
		    add_bytes(model, &scratch->symbols, scratch->key.data, scratch->key.size_bytes))
			continue;
		if (!model->unk_token.size_bytes)
			continue;
		rc = unknown == NONE ? qeff_model_unknown(model, &unknown, err) : 0;
		if (rc < 0)
			return rc;
		if (waiting && !model->fuse_unk)
			add_symbol(&scratch->symbols, unknown);
		waiting = true;
	}
	if (waiting)
		add_symbol(&scratch->symbols, unknown);
	if (scratch->key.failed || scratch->symbols.failed)
		return qeff_error_set(err, -ENOMEM, "no memory to encode a word");
	return 0;
}

int qeff_bpe_encode(const struct qeff_model *model, struct qeff_model_scratch *scratch,
		    const uint8_t *word, size_t size_bytes, struct qeff_bytes *ids,
		    struct qeff_error *err)
{
	const struct symbol *symbols;
	size_t index;
	int rc;

	if (model->ignore_merges) {
		index = qeff_vocab_find(&model->vocab, word, size_bytes);
		if (index != QEFF_VOCAB_NONE) {
			qeff_bytes_u32(ids, model->vocab.entries[index].id);
			return 0;
		}
	}
	rc = add_characters(model, scratch, word, size_bytes, err);
	if (rc < 0)
		return rc;
	merge_all(model, scratch);
	if (scratch->heap.failed)
		return qeff_error_set(err, -ENOMEM, "no memory to encode a word");
	symbols = (const struct symbol *)scratch->symbols.data;
	for (size_t i = 0; i < scratch->symbols.size_bytes / sizeof(*symbols); i++)
		if (!symbols[i].merged_away)
			qeff_bytes_u32(ids, symbols[i].id);
	return 0;
}
