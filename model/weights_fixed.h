/* A weight source whose units are all there from the start: pointers into a mapped file, or into
 * memory of its own. */
#ifndef MODEL_WEIGHTS_FIXED_H
#define MODEL_WEIGHTS_FIXED_H

#include "model/weights.h"

struct fixed_source {
	struct weight_source base;
	uint32_t layer0, layers; /* those that it has */
	uint32_t experts;
	bool with_embed;
	const struct gguf *embed_of; /* whose pages are let go after use; NULL: they stay */
	struct unit embed, head;
	struct unit *attn, *ffn; /* [layers], layer0 first */
	struct unit *expert;     /* [layers][experts] */
	float *widened;          /* vectors that the file has in other types */
	void *memory;            /* huge_map, for it alone; NULL: none */
	size_t memory_bytes;
};

/* Units of the slice's layers without tensors, to be filled in. */
struct fixed_source *fixed_source_new(
	const struct model_shape *s, const struct slice *sl, bool with_embed, struct err *err);

/* The unit of a kind, layer and expert. NULL: there is none. */
struct unit *fixed_source_unit(
	struct fixed_source *fs, enum unit_kind kind, uint32_t layer, uint32_t expert);

#endif
