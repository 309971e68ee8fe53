#include "kernels/tiles.h"

#include "kernels/block.h"
#include "kernels/codes.h"
#include "kernels/dtype.h"

/* How a type's scales lie in a body, in front of its weights. */
enum scales { SCALES_NONE, SCALES_K, SCALES_Q3, SCALES_Q2, SCALES_Q6, SCALES_IQ4_XS };

/* What a type's weights are made of: see tiles.h. A part has code bits from its number on. */
struct form {
	uint8_t runs; /* of 32 weights in a block; 0: the type is not quantised */
	uint8_t head;
	uint16_t front; /* bytes of scales */
	enum scales scales;
	bool wide, nibbles, digits;
	int8_t pairs, singles; /* first bit; -1: there are none */
};

static const struct form forms[DTYPE_COUNT] = {
	[DTYPE_Q4_0] = {1, 32, .nibbles = true, .pairs = -1, .singles = -1},
	[DTYPE_Q4_1] = {1, 64, .nibbles = true, .pairs = -1, .singles = -1},
	[DTYPE_Q5_0] = {1, 32, .nibbles = true, .pairs = -1, .singles = 4},
	[DTYPE_Q5_1] = {1, 64, .nibbles = true, .pairs = -1, .singles = 4},
	[DTYPE_Q8_0] = {1, 32, .wide = true, .pairs = -1, .singles = -1},
	[DTYPE_IQ4_NL] = {1, 32, .nibbles = true, .pairs = -1, .singles = -1},
	[DTYPE_MXFP4] = {1, 16, .nibbles = true, .pairs = -1, .singles = -1},
	[DTYPE_Q2_K] = {8, 64, 128 + 128, SCALES_Q2, .pairs = 0, .singles = -1},
	[DTYPE_Q3_K] = {8, 32, 128 + 64, SCALES_Q3, .pairs = 0, .singles = 2},
	[DTYPE_Q4_K] = {8, 64, 128 + 64, SCALES_K, .nibbles = true, .pairs = -1, .singles = -1},
	[DTYPE_Q5_K] = {8, 64, 128 + 64, SCALES_K, .nibbles = true, .pairs = -1, .singles = 4},
	[DTYPE_Q6_K] = {8, 32, 256, SCALES_Q6, .nibbles = true, .pairs = 4, .singles = -1},
	[DTYPE_IQ4_XS] = {8, 64, 64, SCALES_IQ4_XS, .nibbles = true, .pairs = -1, .singles = -1},
	[DTYPE_TQ1_0] = {8, 32, .digits = true, .pairs = -1, .singles = -1},
	[DTYPE_TQ2_0] = {8, 32, .pairs = 0, .singles = -1},
};

enum {
	NIBBLES_BYTES = 256,
	PAIRS_BYTES = 128,
	SINGLES_BYTES = 64,
	WIDE_BYTES = 512,
	DIGITS_BYTES = 13 * 64, /* of a block */
	PLANE = TILE_ROWS
};

/* Of one run's weights. */
static size_t
run_bytes(const struct form *f)
{
	return (f->nibbles ? NIBBLES_BYTES : 0) + (f->pairs >= 0 ? PAIRS_BYTES : 0) +
	       (f->singles >= 0 ? SINGLES_BYTES : 0) + (f->wide ? WIDE_BYTES : 0);
}

static const struct form *
form_of(uint32_t dtype)
{
	return dtype < DTYPE_COUNT && forms[dtype].runs > 0 ? &forms[dtype] : NULL;
}

uint32_t
tile_head_bytes(uint32_t dtype)
{
	const struct form *f = form_of(dtype);

	return f != NULL ? f->head : 0;
}

uint32_t
tile_body_bytes(uint32_t dtype)
{
	const struct form *f = form_of(dtype);

	if (f != NULL)
		return (uint32_t)(f->front + f->runs * run_bytes(f) +
				  (f->digits ? DIGITS_BYTES : 0));
	return dtype_computed(dtype) ? TILE_ROWS * dtype_info(dtype)->bytes : 0;
}

static size_t
up_to_line(size_t n)
{
	return (n + TILE_ALIGN - 1) / TILE_ALIGN * TILE_ALIGN;
}

static uint32_t
blocks_of(uint32_t dtype, uint32_t cols)
{
	return cols / dtype_info(dtype)->block;
}

/* All but the last section are without zeros. */
size_t
tile_group_bytes(uint32_t dtype, uint32_t cols)
{
	size_t blocks, last;

	if (!dtype_computed(dtype) || dtype_row_bytes(dtype, cols) == 0)
		return 0;
	blocks = blocks_of(dtype, cols);
	last = blocks_of(dtype, cols % TILE_SECTION);
	return (blocks - last) * (tile_head_bytes(dtype) + tile_body_bytes(dtype)) +
	       up_to_line(last * tile_head_bytes(dtype)) +
	       up_to_line(last * tile_body_bytes(dtype));
}

struct tile_span
tile_span(uint32_t dtype, uint32_t cols, uint32_t first, uint32_t n)
{
	size_t head = tile_head_bytes(dtype), body = tile_body_bytes(dtype);
	uint32_t in_section = blocks_of(dtype, TILE_SECTION), into = first % in_section;
	uint32_t left = blocks_of(dtype, cols) - (first - into);
	size_t section = (first - into) * (head + body);

	if (left > in_section)
		left = in_section;
	return (struct tile_span){.n = n < left - into ? n : left - into,
		.head_at = section + into * head,
		.body_at = section + up_to_line(left * head) + into * body};
}

size_t
tile_matrix_bytes(uint32_t dtype, uint32_t rows, uint32_t cols)
{
	return ((size_t)rows + TILE_ROWS - 1) / TILE_ROWS * tile_group_bytes(dtype, cols);
}

/* --- moving bits --------------------------------------------------------------------------------- */

/* Both ways walk over the same places. Four weights of a row lie together on both sides, so that a word
 * of four bytes moves at once, whatever the byte order. */
enum way { PACK, UNPACK };

static inline uint32_t
load4(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline void
store4(uint8_t *p, uint32_t v)
{
	memcpy(p, &v, sizeof(v));
}

/* In each of four bytes: `width` bits of codes from bit `to` on are those of the tile from `from` on. */
static inline void
move4(enum way way, uint8_t *codes, unsigned to, uint8_t *tile, unsigned from, unsigned width)
{
	uint32_t mask = 0x01010101u * ((1u << width) - 1);

	if (way == PACK)
		store4(tile, load4(tile) | (load4(codes) >> to & mask) << from);
	else
		store4(codes, load4(codes) | (load4(tile) >> from & mask) << to);
}

static inline void
move1(enum way way, uint8_t *code, unsigned to, uint8_t *tile, unsigned from, unsigned width)
{
	unsigned mask = (1u << width) - 1;

	if (way == PACK)
		*tile = (uint8_t)(*tile | (*code >> to & mask) << from);
	else
		*code = (uint8_t)(*code | (*tile >> from & mask) << to);
}

static inline void
move2(enum way way, uint16_t *word, uint8_t *tile)
{
	if (way == PACK)
		memcpy(tile, word, sizeof(*word));
	else
		memcpy(word, tile, sizeof(*word));
}

/* The 32 codes of a run; tile points at the run's weights. */
static inline void
move_run(enum way way, const struct form *f, uint8_t *q, uint32_t row, uint8_t *tile)
{
	uint8_t *at = tile + (size_t)4 * row;

	if (f->wide)
		for (unsigned g = 0; g < 8; g++)
			move4(way, q + 4 * g, 0, at + 64 * g, 0, 8);
	if (f->nibbles) {
		for (unsigned g = 0; g < 4; g++) {
			move4(way, q + 4 * g, 0, at + 64 * g, 0, 4);
			move4(way, q + 16 + 4 * g, 0, at + 64 * g, 4, 4);
		}
		at += NIBBLES_BYTES;
	}
	if (f->pairs >= 0) {
		for (unsigned g = 0; g < 8; g++)
			move4(way, q + 4 * g, (unsigned)f->pairs, at + g / 4 * 64, g % 4 * 2, 2);
		at += PAIRS_BYTES;
	}
	if (f->singles >= 0)
		for (unsigned g = 0; g < 8; g++)
			move4(way, q + 4 * g, (unsigned)f->singles, at, g, 1);
}

static inline void
move_scales(enum way way, const struct form *f, struct codes *c, uint32_t row, uint8_t *head,
	uint8_t *body)
{
	uint8_t *plane = body + row, *upper;

	switch (f->scales) {
	case SCALES_K:
		upper = plane + 8 * PLANE;
		for (unsigned i = 0; i < 8; i++) {
			move1(way, &c->scale[i], 0, plane + PLANE * i, 0, 4);
			move1(way, &c->min[i], 0, plane + PLANE * i, 4, 4);
			move1(way, &c->scale[i], 4, upper + i / 2 * PLANE, i % 2 * 4, 2);
			move1(way, &c->min[i], 4, upper + i / 2 * PLANE, i % 2 * 4 + 2, 2);
		}
		break;
	case SCALES_Q3:
		upper = plane + 8 * PLANE;
		for (unsigned i = 0; i < 16; i++) {
			move1(way, &c->scale[i], 0, plane + i / 2 * PLANE, i % 2 * 4, 4);
			move1(way, &c->scale[i], 4, upper + i / 4 * PLANE, i % 4 * 2, 2);
		}
		break;
	case SCALES_Q2:
		for (unsigned i = 0; i < 16; i++) {
			move1(way, &c->scale[i], 0, plane + PLANE * i, 0, 4);
			move1(way, &c->min[i], 0, plane + PLANE * i, 4, 4);
		}
		break;
	case SCALES_Q6:
		for (unsigned i = 0; i < 16; i++)
			move1(way, &c->scale[i], 0, plane + PLANE * i, 0, 8);
		break;
	case SCALES_IQ4_XS:
		upper = head + 2 * PLANE + row;
		for (unsigned i = 0; i < 8; i++) {
			move1(way, &c->scale[i], 0, plane + i / 2 * PLANE, i % 2 * 4, 4);
			move1(way, &c->scale[i], 4, upper + i / 4 * PLANE, i % 4 * 2, 2);
		}
		break;
	default:
		break;
	}
}

/* One row's block. What bits go to must be zero. */
static inline __attribute__((always_inline)) void
move_block(
	enum way way, uint32_t dtype, struct codes *c, uint32_t row, uint8_t *head, uint8_t *body)
{
	const struct form *f = &forms[dtype];
	uint8_t *weights = body + f->front;
	uint8_t e = (uint8_t)c->d;

	if (dtype == DTYPE_MXFP4) {
		move1(way, &e, 0, head + row, 0, 8);
		c->d = e;
	} else {
		move2(way, &c->d, head + (size_t)2 * row);
	}
	if (dtype_mins(dtype))
		move2(way, &c->m, head + 2 * PLANE + (size_t)2 * row);
	move_scales(way, f, c, row, head, body);
	if (f->digits)
		for (unsigned g = 0; g < 13; g++)
			move4(way, c->q + 4 * g, 0, weights + 64 * g + (size_t)4 * row, 0, 8);
	else
		for (unsigned run = 0; run < f->runs; run++)
			move_run(
				way, f, c->q + (size_t)32 * run, row, weights + run * run_bytes(f));
}

/* --- groups -------------------------------------------------------------------------------------- */

static void
pack_floats(
	size_t bytes, uint32_t cols, const uint8_t *rows, size_t stride, uint32_t n, uint8_t *group)
{
	for (uint32_t r = 0; r < n; r++)
		for (uint32_t k = 0; k < cols; k++)
			memcpy(group + ((size_t)k * TILE_ROWS + r) * bytes,
				rows + r * stride + k * bytes, bytes);
}

void
tile_pack(uint32_t dtype, uint32_t cols, const uint8_t *rows, size_t stride, uint32_t n,
	uint8_t *group)
{
	size_t block_bytes = dtype_info(dtype)->bytes;

	memset(group, 0, tile_group_bytes(dtype, cols));
	if (form_of(dtype) == NULL) {
		pack_floats(block_bytes, cols, rows, stride, n, group);
		return;
	}
	for (uint32_t b = 0; b < blocks_of(dtype, cols); b++) {
		struct tile_span at = tile_span(dtype, cols, b, 1);

		for (uint32_t r = 0; r < n; r++) {
			struct codes c;

			codes_read(dtype, rows + r * stride + b * block_bytes, &c);
			move_block(PACK, dtype, &c, r, group + at.head_at, group + at.body_at);
		}
	}
}

void
tile_block(uint32_t dtype, uint32_t cols, const uint8_t *group, uint32_t row, uint32_t block,
	uint8_t *out)
{
	size_t bytes = dtype_info(dtype)->bytes;
	uint8_t *tile = (uint8_t *)(uintptr_t)group; /* UNPACK only reads it */
	struct tile_span at = tile_span(dtype, cols, block, 1);
	struct codes c = {0};

	if (form_of(dtype) == NULL) {
		memcpy(out, group + ((size_t)block * TILE_ROWS + row) * bytes, bytes);
		return;
	}
	move_block(UNPACK, dtype, &c, row, tile + at.head_at, tile + at.body_at);
	codes_write(dtype, &c, out);
}

void
tile_unpack(uint32_t dtype, uint32_t cols, const uint8_t *group, uint32_t n, uint8_t *rows,
	size_t stride)
{
	size_t bytes = dtype_info(dtype)->bytes;

	for (uint32_t r = 0; r < n; r++)
		for (uint32_t b = 0; b < blocks_of(dtype, cols); b++)
			tile_block(dtype, cols, group, r, b, rows + r * stride + b * bytes);
}
