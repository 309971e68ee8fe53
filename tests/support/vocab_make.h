/* Small GGUF files that hold only a tokenizer, made in memory. */
#ifndef TESTS_SUPPORT_VOCAB_MAKE_H
#define TESTS_SUPPORT_VOCAB_MAKE_H

#include "base/buf.h"
#include "model/tokenizer.h"

struct vocab_make {
	struct buf keys; /* written so far */
	uint64_t n_keys;
	struct buf file;
};

void vocab_make_free(struct vocab_make *v);
void vocab_str(struct vocab_make *v, const char *key, const char *value);
void vocab_u32(struct vocab_make *v, const char *key, uint32_t value);
void vocab_bool(struct vocab_make *v, const char *key, bool value);
void vocab_strs(struct vocab_make *v, const char *key, const char *const *values, size_t n);
void vocab_i32s(struct vocab_make *v, const char *key, const int32_t *values, size_t n);
void vocab_f32s(struct vocab_make *v, const char *key, const float *values, size_t n);
/* The whole file; it belongs to v. */
const struct buf *vocab_file(struct vocab_make *v);
/* NULL with a message in err when the file or its tokenizer is refused. */
struct tokenizer *vocab_tokenizer(struct vocab_make *v, struct err *err);

/* A byte-level vocabulary: the 256 letters (ids 0 to 255 are their bytes), then extra tokens (of
 * the types given; 0: normal), and merges. */
void vocab_bytes(struct vocab_make *v, const char *pre, const char *const *extra,
	const int32_t *types, size_t n_extra, const char *const *merges, size_t n_merges);
/* The same whole, of which token 256, extra[0], is the end. NULL as vocab_tokenizer says. */
struct tokenizer *vocab_with_end(
	const char *const *extra, const int32_t *types, size_t n_extra, struct err *err);
/* A SentencePiece one: <unk> <s> </s>, 256 byte tokens (ids 3 to 258), then extra tokens, the
 * earlier ones with the higher score. */
void vocab_pieces(
	struct vocab_make *v, const char *const *extra, const int32_t *types, size_t n_extra);

#endif
