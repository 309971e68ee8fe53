/* Tensor frames: the messages of a tensor link. A fixed 32-byte little-endian header, then raw
 * rows.
 *
 *   0 epoch u64 | 8 step u32 | 12 layer u16 | 14 kind u8 | 15 format u8 | 16 rows u32 | 20 width
 * u32 | 24 extra u32 | 28 zero u32
 *
 * STEP (hub to member; in a pipeline also from a stage's hub to the next one's, with what the layers have
 * made of the embeddings): `rows` step rows of 12 bytes (slot, pos, flags), then rows x width
 * embeddings; `extra` is the number of rows that want logits, `layer` in a group how many rows
 * go first as a sub-batch of their own, or 0. PART (member to hub) and SUM (hub to
 * member): rows x width; `layer` and, in `extra`, the phase and twice the sub-batch say which sum. LOGITS (member to hub, last
 * stage's hub to coordinator): for each of `rows` the best tokens of its vocabulary slice of `width`
 * (frame_best), then for each
 * of `extra` rows the whole slice, as float32. VOID (either way): the step is given up. ASK (hub to
 * member): `rows` numbers (u32) of rows of which it wants the whole slice after all; a LOGITS frame
 * answers. Formats of rows: float32; float16; 8-bit blocks of 32 (float32 scale, 32 int8), widths
 * padded to 32. */
#ifndef PROTO_FRAME_H
#define PROTO_FRAME_H

#include "base/buf.h"
#include "base/err.h"

#define FRAME_HEADER 32

enum frame_kind { FRAME_STEP = 1, FRAME_PART, FRAME_SUM, FRAME_LOGITS, FRAME_VOID, FRAME_ASK };
enum frame_format { FRAME_F32 = 0, FRAME_F16 = 1, FRAME_Q8 = 2, FRAME_FORMATS };

struct frame {
	uint64_t epoch;
	uint32_t step;
	uint16_t layer;
	uint8_t kind;
	uint8_t format;
	uint32_t rows;
	uint32_t width;
	uint32_t extra;
};

void frame_write(const struct frame *f, uint8_t out[FRAME_HEADER]);
/* Checks kind, format, rows <= max_rows, width <= max_width, and that the message has just the
 * payload they mean. *payload points behind the header. */
int frame_read(const void *msg, size_t len, uint32_t max_rows, uint32_t max_width, struct frame *f,
	const uint8_t **payload, struct err *err);

/* "f32", "f16", "q8"; by such a word: -1 if there is none. */
const char *frame_format_name(enum frame_format f);
int frame_format_find(const char *name);

/* How sums travel: in steps of few rows, whose messages are short, and in those of prompts, whose bytes take time. */
struct sum_format {
	enum frame_format token, prompt;
};

/* The one format that the word names; or, by "auto", float16, and for prompts 8-bit blocks where weights are quantised,
 * as kernels round what such weights are multiplied with to blocks of that kind. But float32 where weights are wide
 * (float32, bfloat16), whose products are worth it, and in plans of several stages: between those it is the rows
 * themselves that travel, and they are few. -1: no such word. */
int sum_format_find(
	const char *word, bool wide, bool quantised, uint32_t stages, struct sum_format *out);

/* Bytes of rows x width in a format (without the header or step rows). */
size_t frame_payload(enum frame_format f, uint32_t rows, uint32_t width);
/* Bytes of the best tokens of a slice: their sum (float64), then id and logit (float32) of each. */
#define FRAME_BEST 64 /* tokens, at most */
size_t frame_best(uint32_t width);
/* Packs and unpacks; add: out += payload instead of out = payload. Same bits on every machine. */
void frame_pack(enum frame_format f, const float *x, uint32_t rows, uint32_t width, uint8_t *out);
/* The same, and x becomes what frame_unpack will make of it. */
void frame_round(enum frame_format f, float *x, uint32_t rows, uint32_t width, uint8_t *out);
void frame_unpack(
	enum frame_format f, const uint8_t *in, uint32_t rows, uint32_t width, float *x, int add);

#endif
