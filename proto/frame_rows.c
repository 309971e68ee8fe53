/* Rows on the wire, block by block; every machine packs the same bits. */
#include "proto/frame.h"

#include "proto/frame_bits.h"
#include "proto/frame_half.h"
#include "proto/frame_q8.h"

#define BLOCK HALF_BLOCK

_Static_assert(BLOCK == Q8_BLOCK, "formats have blocks of one size");

/* --- float32 ------------------------------------------------------------------------------------ */

static void
pack_f32(const float x[BLOCK], uint8_t *out)
{
	uint32_t u[BLOCK];

	memcpy(u, x, sizeof u);
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
	for (int i = 0; i < BLOCK; i++)
		u[i] = __builtin_bswap32(u[i]);
#endif
	memcpy(out, u, sizeof u);
}

static void
unpack_f32(const uint8_t *in, float x[BLOCK])
{
	uint32_t u[BLOCK];

	memcpy(u, in, sizeof u);
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
	for (int i = 0; i < BLOCK; i++)
		u[i] = __builtin_bswap32(u[i]);
#endif
	memcpy(x, u, sizeof u);
}

/* --- float16 ------------------------------------------------------------------------------------ */

static void
pack_f16(const float x[BLOCK], uint8_t *out)
{
	uint16_t half[BLOCK];

	half_pack(x, half);
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
	for (int i = 0; i < BLOCK; i++)
		half[i] = __builtin_bswap16(half[i]);
#endif
	memcpy(out, half, sizeof half);
}

static void
unpack_f16(const uint8_t *in, float x[BLOCK])
{
	uint16_t half[BLOCK];

	memcpy(half, in, sizeof half);
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
	for (int i = 0; i < BLOCK; i++)
		half[i] = __builtin_bswap16(half[i]);
#endif
	half_unpack(half, x);
}

/* --- rows ---------------------------------------------------------------------------------------- */

static const struct codec {
	void (*pack)(const float *x, uint8_t *out);
	void (*unpack)(const uint8_t *in, float *x);
	size_t bytes; /* of a block */
	size_t each;  /* of a value of a block that is not whole; 0: the block is padded */
} codecs[] = {[FRAME_F32] = {pack_f32, unpack_f32, 4 * BLOCK, 4},
	[FRAME_F16] = {pack_f16, unpack_f16, 2 * BLOCK, 2},
	[FRAME_Q8] = {q8_pack, q8_unpack, Q8_BYTES, 0}};

static size_t
pack_tail(const struct codec *c, const float *x, size_t n, uint8_t *out)
{
	uint8_t bytes[4 * BLOCK];
	float block[BLOCK] = {0};
	size_t len = c->each > 0 ? n * c->each : c->bytes;

	memcpy(block, x, n * sizeof *x);
	c->pack(block, bytes);
	memcpy(out, bytes, len);
	return len;
}

static void
put_values(float *x, const float *v, size_t n, int add)
{
	for (size_t i = 0; i < n; i++)
		x[i] = add ? x[i] + v[i] : v[i];
}

static void
put_block(float *x, const float v[BLOCK], int add)
{
	if (add)
		for (int i = 0; i < BLOCK; i++)
			x[i] += v[i];
	else
		memcpy(x, v, BLOCK * sizeof *x);
}

static const uint8_t *
unpack_values(const struct codec *c, const uint8_t *in, size_t n, float *x, int add)
{
	uint8_t bytes[4 * BLOCK] = {0};
	float block[BLOCK];
	size_t i = 0, len;

	for (; i + BLOCK <= n; i += BLOCK, in += c->bytes) {
		c->unpack(in, block);
		put_block(x + i, block, add);
	}
	if (i == n)
		return in;
	len = c->each > 0 ? (n - i) * c->each : c->bytes;
	memcpy(bytes, in, len);
	c->unpack(bytes, block);
	put_values(x + i, block, n - i, add);
	return in + len;
}

static uint8_t *
pack_values(const struct codec *c, const float *x, size_t n, uint8_t *out)
{
	size_t i = 0;

	for (; i + BLOCK <= n; i += BLOCK, out += c->bytes)
		c->pack(x + i, out);
	return i < n ? out + pack_tail(c, x + i, n - i, out) : out;
}

/* Each block is in the first-level cache when it is looked at again. */
static uint8_t *
round_values(const struct codec *c, float *x, size_t n, uint8_t *out)
{
	size_t i = 0;

	for (; i + BLOCK <= n; i += BLOCK, out += c->bytes) {
		c->pack(x + i, out);
		c->unpack(out, x + i);
	}
	if (i == n)
		return out;
	pack_tail(c, x + i, n - i, out);
	return out + (unpack_values(c, out, n - i, x + i, 0) - out);
}

/* Blocks do not reach over the end of a row; where nothing is padded, rows are one long row. */
static size_t
run_of(const struct codec *c, uint32_t *rows, uint32_t width)
{
	size_t n = width;

	if (c->each > 0) {
		n *= *rows;
		*rows = 1;
	}
	return n;
}

void
frame_pack(enum frame_format f, const float *x, uint32_t rows, uint32_t width, uint8_t *out)
{
	const struct codec *c = &codecs[f];
	size_t n = run_of(c, &rows, width);

	for (uint32_t r = 0; r < rows && n > 0; r++, x += n)
		out = pack_values(c, x, n, out);
}

void
frame_unpack(
	enum frame_format f, const uint8_t *in, uint32_t rows, uint32_t width, float *x, int add)
{
	const struct codec *c = &codecs[f];
	size_t n = run_of(c, &rows, width);

	for (uint32_t r = 0; r < rows && n > 0; r++, x += n)
		in = unpack_values(c, in, n, x, add);
}

void
frame_round(enum frame_format f, float *x, uint32_t rows, uint32_t width, uint8_t *out)
{
	const struct codec *c = &codecs[f];
	size_t n = run_of(c, &rows, width);

	for (uint32_t r = 0; r < rows && n > 0; r++, x += n)
		out = f == FRAME_F32 ? pack_values(c, x, n, out) : round_values(c, x, n, out);
}
