/* A tiny model (tiny_model.h) as the bytes of a GGUF file, in float32. */
#ifndef TESTS_SUPPORT_TINY_GGUF_H
#define TESTS_SUPPORT_TINY_GGUF_H

#include "base/buf.h"
#include "tests/support/tiny_model.h"

struct tiny_gguf {
	bool own; /* a tensor for each expert, as older files have them, instead of stacks */
	const char *omit; /* a tensor that is left out; NULL: none */
	const char *add;  /* a tensor of one number that no model has */
	const char *cut;  /* a stack that lacks its last expert */
	const char *key;  /* one more key, behind "ARCH." */
	uint32_t value;
};

void tiny_gguf_write(const struct tiny_model *m, const struct tiny_gguf *o, struct buf *file);

#endif
