#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void
buf_init(struct buf *b, size_t max)
{
	*b = (struct buf){.max = max};
}

void
buf_free(struct buf *b)
{
	free(b->data);
	*b = (struct buf){.max = b->max};
}

void
buf_clear(struct buf *b)
{
	b->len = 0;
	b->failed = false;
}

int
buf_reserve(struct buf *b, size_t more)
{
	size_t need, cap;
	uint8_t *data;

	if (__builtin_add_overflow(b->len, more, &need) || (b->max != 0 && need > b->max)) {
		b->failed = true;
		return -1;
	}
	if (need <= b->cap)
		return 0;
	cap = b->cap < 64 ? 64 : b->cap;
	while (cap < need)
		cap = cap > SIZE_MAX / 2 ? need : cap * 2;
	if (b->max != 0 && cap > b->max)
		cap = b->max;
	data = realloc(b->data, cap);
	if (data == NULL) {
		b->failed = true;
		return -1;
	}
	b->data = data;
	b->cap = cap;
	return 0;
}

int
buf_append(struct buf *b, const void *data, size_t len)
{
	if (buf_reserve(b, len) != 0)
		return -1;
	if (len > 0)
		memcpy(b->data + b->len, data, len);
	b->len += len;
	return 0;
}

int
buf_str(struct buf *b, const char *s)
{
	return buf_append(b, s, strlen(s));
}

int
buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0 || buf_reserve(b, (size_t)n + 1) != 0) {
		b->failed = true;
		return -1;
	}
	va_start(ap, fmt);
	vsnprintf((char *)b->data + b->len, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->len += (size_t)n;
	return 0;
}

void
buf_consume(struct buf *b, size_t n)
{
	if (n > b->len)
		n = b->len;
	if (n > 0 && n < b->len)
		memmove(b->data, b->data + n, b->len - n);
	b->len -= n;
}

static int
buf_le(struct buf *b, uint64_t v, size_t n)
{
	uint8_t bytes[8];

	put_le64(bytes, v);
	return buf_append(b, bytes, n);
}

int
buf_u8(struct buf *b, uint8_t v)
{
	return buf_le(b, v, 1);
}

int
buf_u16(struct buf *b, uint16_t v)
{
	return buf_le(b, v, 2);
}

int
buf_u32(struct buf *b, uint32_t v)
{
	return buf_le(b, v, 4);
}

int
buf_u64(struct buf *b, uint64_t v)
{
	return buf_le(b, v, 8);
}

static uint64_t
rd_le(struct rd *r, size_t n)
{
	const uint8_t *p = rd_bytes(r, n);
	uint64_t v = 0;

	for (size_t i = 0; p != NULL && i < n; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return v;
}

uint8_t
rd_u8(struct rd *r)
{
	return (uint8_t)rd_le(r, 1);
}

uint16_t
rd_u16(struct rd *r)
{
	return (uint16_t)rd_le(r, 2);
}

uint32_t
rd_u32(struct rd *r)
{
	return (uint32_t)rd_le(r, 4);
}

uint64_t
rd_u64(struct rd *r)
{
	return rd_le(r, 8);
}

int
buf_f32(struct buf *b, float v)
{
	uint32_t bits;

	memcpy(&bits, &v, sizeof bits);
	return buf_u32(b, bits);
}

int
buf_f64(struct buf *b, double v)
{
	uint64_t bits;

	memcpy(&bits, &v, sizeof bits);
	return buf_u64(b, bits);
}

float
rd_f32(struct rd *r)
{
	uint32_t bits = rd_u32(r);
	float v;

	memcpy(&v, &bits, sizeof v);
	return v;
}

double
rd_f64(struct rd *r)
{
	uint64_t bits = rd_u64(r);
	double v;

	memcpy(&v, &bits, sizeof v);
	return v;
}
