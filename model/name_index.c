#include "config.h"

#include "model/name_index.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int
name_index_init(struct name_index *x, size_t n)
{
	size_t slots = 8;

	*x = (struct name_index){0};
	while (slots < n * 2)
		slots *= 2;
	x->slots = malloc(slots * sizeof *x->slots);
	if (x->slots == NULL)
		return -1;
	memset(x->slots, 0xff, slots * sizeof *x->slots);
	x->mask = slots - 1;
	if (getentropy(&x->seed, sizeof x->seed) != 0)
		x->seed = (uint64_t)(uintptr_t)x->slots;
	return 0;
}

void
name_index_deinit(struct name_index *x)
{
	free(x->slots);
	*x = (struct name_index){0};
}

static uint64_t
mix(uint64_t h)
{
	h ^= h >> 32;
	h *= 0xd6e8feb86659fd93u;
	h ^= h >> 29;
	h *= 0x9e3779b97f4a7c15u;
	return h ^ h >> 32;
}

static uint64_t
hash(uint64_t seed, const char *s, size_t len)
{
	uint64_t h = mix(seed ^ len);
	uint64_t word;

	for (; len > 0; s += sizeof word, len -= sizeof word) {
		word = 0;
		memcpy(&word, s, len < sizeof word ? len : sizeof word);
		h = mix(h ^ word) + seed;
		if (len <= sizeof word)
			break;
	}
	return h;
}

/* The slot where the name is, or the empty one where it belongs. */
static uint32_t *
slot_of(const struct name_index *x, const char *s, size_t len, name_at at, const void *arg)
{
	size_t i = (size_t)hash(x->seed, s, len) & x->mask;
	struct gguf_str have;

	for (;; i = (i + 1) & x->mask) {
		if (x->slots[i] == NAME_NONE)
			return &x->slots[i];
		have = at(arg, x->slots[i]);
		if (have.len == len && memcmp(have.s, s, len) == 0)
			return &x->slots[i];
	}
}

uint32_t
name_index_find(const struct name_index *x, const char *s, size_t len, name_at at, const void *arg)
{
	return *slot_of(x, s, len, at, arg);
}

uint32_t
name_index_add(struct name_index *x, uint32_t i, name_at at, const void *arg)
{
	struct gguf_str name = at(arg, i);
	uint32_t *slot = slot_of(x, name.s, name.len, at, arg);
	uint32_t have = *slot;

	if (have == NAME_NONE)
		*slot = i;
	return have;
}
