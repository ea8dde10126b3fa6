/* SPDX-License-Identifier: MIT */
/* Hash tables over token texts and pairs of ids; seeded, because both come from files. */
#include "text/vocab.h"

#include <stdlib.h>
#include <sys/random.h>

#define EMPTY UINT64_MAX

static uint64_t mix(uint64_t a, uint64_t b)
{
	unsigned __int128 product = (unsigned __int128)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t hash_u64(uint64_t seed, uint64_t key)
{
	return mix(key ^ seed, 0x9e3779b97f4a7c15ull ^ (seed >> 7));
}

static uint64_t hash_bytes(uint64_t seed, const uint8_t *data, size_t size_bytes)
{
	uint64_t hash = seed ^ size_bytes, last = 0;

	for (; size_bytes >= 8; data += 8, size_bytes -= 8)
		hash = hash_u64(seed, hash ^ qeff_get_u64(data));
	if (size_bytes)
		memcpy(&last, data, size_bytes);
	return hash_u64(seed, hash ^ last);
}

/* Only the order of slots depends on this, never a result: without entropy any number will do. */
static uint64_t new_seed(void)
{
	uint64_t seed = 0;

	if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) != sizeof(seed))
		seed = 0x2545f4914f6cdd1dull;
	return seed | 1;
}

static size_t pair_slot(const struct qeff_pair_map *map, uint64_t key)
{
	size_t i = hash_u64(map->seed, key) & map->mask;

	while (map->slots[i].key != EMPTY && map->slots[i].key != key)
		i = (i + 1) & map->mask;
	return i;
}

static int pair_grow(struct qeff_pair_map *map)
{
	size_t slots = map->slots ? (map->mask + 1) * 2 : 64;
	struct qeff_pair_map wider = { .mask = slots - 1, .seed = map->seed };

	if (!wider.seed)
		wider.seed = new_seed();
	wider.slots = calloc(slots, sizeof(*wider.slots));
	if (!wider.slots)
		return -ENOMEM;
	for (size_t i = 0; i < slots; i++)
		wider.slots[i].key = EMPTY;
	for (size_t i = 0; map->slots && i <= map->mask; i++)
		if (map->slots[i].key != EMPTY)
			wider.slots[pair_slot(&wider, map->slots[i].key)] = map->slots[i];
	wider.count = map->count;
	free(map->slots);
	*map = wider;
	return 0;
}

int qeff_pair_map_put(struct qeff_pair_map *map, uint64_t key, uint64_t value)
{
	size_t slot;

	if ((!map->slots || map->count * 2 > map->mask) && pair_grow(map) < 0)
		return -ENOMEM;
	slot = pair_slot(map, key);
	if (map->slots[slot].key == EMPTY)
		map->count++;
	map->slots[slot].key = key;
	map->slots[slot].value = value;
	return 0;
}

bool qeff_pair_map_get(const struct qeff_pair_map *map, uint64_t key, uint64_t *value)
{
	size_t slot;

	if (!map->slots)
		return false;
	slot = pair_slot(map, key);
	if (map->slots[slot].key == EMPTY)
		return false;
	*value = map->slots[slot].value;
	return true;
}

void qeff_pair_map_free(struct qeff_pair_map *map)
{
	free(map->slots);
	*map = (struct qeff_pair_map){ 0 };
}

static size_t vocab_slot(const struct qeff_vocab *vocab, const void *token, size_t size_bytes)
{
	size_t i = hash_bytes(vocab->seed, token, size_bytes) & vocab->mask;

	while (vocab->slots[i]) {
		const struct qeff_vocab_entry *entry = &vocab->entries[vocab->slots[i] - 1];

		if (entry->size_bytes == size_bytes &&
		    (!size_bytes || !memcmp(vocab->text.data + entry->offset, token, size_bytes)))
			break;
		i = (i + 1) & vocab->mask;
	}
	return i;
}

static int vocab_grow(struct qeff_vocab *vocab)
{
	size_t capacity = vocab->capacity ? vocab->capacity * 2 : 64;
	struct qeff_vocab_entry *entries;
	uint32_t *slots;

	if (capacity > UINT32_MAX / 4)
		return -ENOMEM;
	if (!vocab->seed)
		vocab->seed = new_seed();
	entries = realloc(vocab->entries, capacity * sizeof(*entries));
	if (!entries)
		return -ENOMEM;
	vocab->entries = entries;
	slots = calloc(capacity * 2, sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	free(vocab->slots);
	vocab->slots = slots;
	vocab->mask = capacity * 2 - 1;
	vocab->capacity = capacity;
	for (size_t i = 0; i < vocab->count; i++)
		slots[vocab_slot(vocab, qeff_vocab_token(vocab, i), entries[i].size_bytes)] =
			(uint32_t)i + 1;
	return 0;
}

int qeff_vocab_put(struct qeff_vocab *vocab, const void *token, size_t size_bytes, uint32_t id)
{
	struct qeff_vocab_entry *entry;
	size_t slot;

	if (id == UINT32_MAX || size_bytes > UINT32_MAX)
		return -EINVAL;
	if (vocab->count == vocab->capacity && vocab_grow(vocab) < 0)
		return -ENOMEM;
	slot = vocab_slot(vocab, token, size_bytes);
	if (!vocab->slots[slot]) {
		size_t offset = vocab->text.size_bytes;

		qeff_bytes_append(&vocab->text, size_bytes ? token : NULL, size_bytes);
		if (vocab->text.failed)
			return -ENOMEM;
		vocab->entries[vocab->count] = (struct qeff_vocab_entry){
			.offset = offset,
			.size_bytes = (uint32_t)size_bytes,
		};
		vocab->slots[slot] = (uint32_t)++vocab->count;
	}
	entry = &vocab->entries[vocab->slots[slot] - 1];
	entry->id = id;
	return qeff_pair_map_put(&vocab->by_id, id, vocab->slots[slot] - 1);
}

size_t qeff_vocab_find(const struct qeff_vocab *vocab, const void *token, size_t size_bytes)
{
	if (!vocab->count)
		return QEFF_VOCAB_NONE;
	return (size_t)vocab->slots[vocab_slot(vocab, token, size_bytes)] - 1;
}

size_t qeff_vocab_find_id(const struct qeff_vocab *vocab, uint32_t id)
{
	uint64_t index;

	return qeff_pair_map_get(&vocab->by_id, id, &index) ? (size_t)index : QEFF_VOCAB_NONE;
}

void qeff_vocab_free(struct qeff_vocab *vocab)
{
	qeff_bytes_free(&vocab->text);
	free(vocab->entries);
	free(vocab->slots);
	qeff_pair_map_free(&vocab->by_id);
	*vocab = (struct qeff_vocab){ 0 };
}
