#include "proto/frame.h"

#include <math.h>

#define STEP_ROW 12 /* bytes of a step row */
#define Q8_BLOCK 32
#define Q8_BYTES (4 + Q8_BLOCK)

void
frame_write(const struct frame *f, uint8_t out[FRAME_HEADER])
{
	memset(out, 0, FRAME_HEADER);
	put_le64(out, f->epoch);
	put_le32(out + 8, f->step);
	out[12] = (uint8_t)f->layer;
	out[13] = (uint8_t)(f->layer >> 8);
	out[14] = f->kind;
	out[15] = f->format;
	put_le32(out + 16, f->rows);
	put_le32(out + 20, f->width);
	put_le32(out + 24, f->extra);
}

size_t
frame_payload(enum frame_format f, uint32_t rows, uint32_t width)
{
	size_t blocks = ((size_t)width + Q8_BLOCK - 1) / Q8_BLOCK;

	switch (f) {
	case FRAME_F32:
		return (size_t)rows * width * 4;
	case FRAME_F16:
		return (size_t)rows * width * 2;
	case FRAME_Q8:
		return (size_t)rows * blocks * Q8_BYTES;
	}
	return 0;
}

size_t
frame_best(uint32_t width)
{
	return 8 + 8 * (size_t)(width < FRAME_BEST ? width : FRAME_BEST);
}

/* What has to follow a header. */
static size_t
payload_of(const struct frame *f)
{
	size_t rows = frame_payload((enum frame_format)f->format, f->rows, f->width);

	switch (f->kind) {
	case FRAME_STEP:
		return rows + (size_t)f->rows * STEP_ROW;
	case FRAME_LOGITS:
		return f->rows * frame_best(f->width) +
		       frame_payload(FRAME_F32, f->extra, f->width);
	case FRAME_ASK:
		return (size_t)f->rows * 4;
	default:
		return rows;
	}
}

int
frame_read(const void *msg, size_t len, uint32_t max_rows, uint32_t max_width, struct frame *f,
	const uint8_t **payload, struct err *err)
{
	struct rd r = rd_init(msg, len);
	size_t want;

	f->epoch = rd_u64(&r);
	f->step = rd_u32(&r);
	f->layer = rd_u16(&r);
	f->kind = rd_u8(&r);
	f->format = rd_u8(&r);
	f->rows = rd_u32(&r);
	f->width = rd_u32(&r);
	f->extra = rd_u32(&r);
	if (rd_u32(&r) != 0 || r.failed)
		return err_set(err, "a tensor frame of %zu bytes has no whole header", len);
	if (f->kind < FRAME_STEP || f->kind > FRAME_ASK || f->format > FRAME_Q8)
		return err_set(err, "a tensor frame of kind %u and format %u is not known", f->kind,
			f->format);
	if (f->rows > max_rows || f->width > max_width)
		return err_set(err, "a tensor frame of %u x %u is over the plan's %u x %u", f->rows,
			f->width, max_rows, max_width);
	if (f->kind == FRAME_LOGITS && f->extra > max_rows)
		return err_set(err, "a tensor frame has %u whole rows instead of at most %u",
			f->extra, max_rows);
	want = payload_of(f);
	if (len - FRAME_HEADER != want)
		return err_set(err, "a tensor frame has %zu bytes of rows instead of %zu",
			len - FRAME_HEADER, want);
	*payload = (const uint8_t *)msg + FRAME_HEADER;
	return 0;
}

/* --- float16, by bits, so that every machine packs the same --- */

static uint16_t
half_pack(float x)
{
	uint32_t u, sign, exp, man, half, rest;

	memcpy(&u, &x, 4);
	sign = u >> 16 & 0x8000;
	exp = u >> 23 & 0xff;
	man = u & 0x7fffff;
	if (exp == 0xff)
		return (uint16_t)(sign | 0x7c00 | (man != 0 ? 0x200 | man >> 13 : 0));
	if (exp < 102) /* below half of the smallest subnormal */
		return (uint16_t)sign;
	if (exp < 113) { /* subnormal */
		uint32_t shift = 126 - exp;

		man |= 0x800000;
		half = man >> shift;
		rest = man & ((1u << shift) - 1);
		half += rest > 1u << (shift - 1) || (rest == 1u << (shift - 1) && (half & 1));
		return (uint16_t)(sign | half);
	}
	half = (exp - 112) << 10 | man >> 13;
	rest = man & 0x1fff;
	half += rest > 0x1000 || (rest == 0x1000 && (half & 1));
	return (uint16_t)(sign | (half >= 0x7c00 || exp > 142 ? 0x7c00 : half));
}

static float
half_unpack(uint16_t h)
{
	uint32_t sign = (uint32_t)(h & 0x8000) << 16, exp = h >> 10 & 31, man = h & 0x3ff, u;
	float x;

	if (exp == 0) {
		x = (float)man * 0x1p-24f;
		memcpy(&u, &x, 4);
		u |= sign;
	} else if (exp == 31) {
		u = sign | 0x7f800000 | man << 13;
	} else {
		u = sign | (exp + 112) << 23 | man << 13;
	}
	memcpy(&x, &u, 4);
	return x;
}

/* --- rows --- */

static void
put_float(uint8_t *out, float x)
{
	uint32_t u;

	memcpy(&u, &x, 4);
	put_le32(out, u);
}

static float
get_float(const uint8_t *in)
{
	uint32_t u = get_le32(in);
	float x;

	memcpy(&x, &u, 4);
	return x;
}

static void
pack_q8_block(const float *x, uint32_t n, uint8_t *out)
{
	float max = 0, d, inverse;

	for (uint32_t i = 0; i < n; i++)
		max = fabsf(x[i]) > max ? fabsf(x[i]) : max;
	d = isfinite(max) ? max / 127.0f : 0;
	inverse = d > 0 ? 1.0f / d : 0;
	put_float(out, d);
	for (uint32_t i = 0; i < Q8_BLOCK; i++) {
		float q = i < n ? rintf(x[i] * inverse) : 0;

		q = q > 127 ? 127 : q < -127 ? -127 : q;
		out[4 + i] = (uint8_t)(int8_t)(isfinite(q) ? q : 0);
	}
}

void
frame_pack(enum frame_format f, const float *x, uint32_t rows, uint32_t width, uint8_t *out)
{
	size_t n = (size_t)rows * width;

	if (f == FRAME_F32) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
		if (n > 0)
			memcpy(out, x, n * 4);
#else
		for (size_t i = 0; i < n; i++)
			put_float(out + 4 * i, x[i]);
#endif
	} else if (f == FRAME_F16) {
		for (size_t i = 0; i < n; i++) {
			uint16_t h = half_pack(x[i]);

			out[2 * i] = (uint8_t)h;
			out[2 * i + 1] = (uint8_t)(h >> 8);
		}
	} else {
		for (uint32_t r = 0; r < rows; r++)
			for (uint32_t i = 0; i < width; i += Q8_BLOCK, out += Q8_BYTES)
				pack_q8_block(x + (size_t)r * width + i,
					width - i < Q8_BLOCK ? width - i : Q8_BLOCK, out);
	}
}

static inline void
put_value(float *x, float v, int add)
{
	*x = add ? *x + v : v;
}

void
frame_unpack(
	enum frame_format f, const uint8_t *in, uint32_t rows, uint32_t width, float *x, int add)
{
	size_t n = (size_t)rows * width;

	if (f == FRAME_F32) {
		for (size_t i = 0; i < n; i++)
			put_value(&x[i], get_float(in + 4 * i), add);
	} else if (f == FRAME_F16) {
		for (size_t i = 0; i < n; i++)
			put_value(&x[i], half_unpack((uint16_t)(in[2 * i] | in[2 * i + 1] << 8)),
				add);
	} else {
		for (uint32_t r = 0; r < rows; r++) {
			for (uint32_t i = 0; i < width; i++) {
				const uint8_t *block = in + (size_t)(i / Q8_BLOCK) * Q8_BYTES;

				put_value(&x[(size_t)r * width + i],
					get_float(block) * (float)(int8_t)block[4 + i % Q8_BLOCK],
					add);
			}
			in += frame_payload(FRAME_Q8, 1, width);
		}
	}
}
