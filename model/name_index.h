/* From names to numbers: a hash table over strings that lie elsewhere. Seeded, so that a file made
 * for the purpose cannot make all its names meet in one place. */
#ifndef MODEL_NAME_INDEX_H
#define MODEL_NAME_INDEX_H

#include "model/gguf.h"

#define NAME_NONE UINT32_MAX

struct name_index {
	uint32_t *slots; /* NAME_NONE: empty */
	size_t mask;
	uint64_t seed;
};

/* Room for n names. -1: out of memory. */
int name_index_init(struct name_index *x, size_t n);
void name_index_deinit(struct name_index *x);

/* The number of a name, or NAME_NONE. name_at gives the name that a number has. */
typedef struct gguf_str (*name_at)(const void *arg, uint32_t i);
uint32_t name_index_find(
	const struct name_index *x, const char *s, size_t len, name_at at, const void *arg);

/* Adds number i, whose name name_at knows; returns the number that has the same name already, or
 * NAME_NONE. No more than n are added. */
uint32_t name_index_add(struct name_index *x, uint32_t i, name_at at, const void *arg);

#endif
