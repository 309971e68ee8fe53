/* A growing byte buffer with an upper bound, and little-endian reading and writing. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct buf {
	uint8_t *data;
	size_t len;
	size_t cap;
	size_t max;  /* never grows beyond; 0: no bound of its own */
	bool failed; /* an append did not fit: the content is cut, check once at the end */
};

void buf_init(struct buf *b, size_t max);
void buf_free(struct buf *b); /* may be initialised or zeroed; leaves it empty and usable */
void buf_clear(struct buf *b);
int buf_reserve(struct buf *b, size_t more); /* room for `more` bytes behind len, or -1 */
int buf_append(struct buf *b, const void *data, size_t len);
int buf_str(struct buf *b, const char *s);
int buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_consume(struct buf *b, size_t n); /* drops n bytes from the front */
int buf_u8(struct buf *b, uint8_t v);
int buf_u16(struct buf *b, uint16_t v);
int buf_u32(struct buf *b, uint32_t v);
int buf_u64(struct buf *b, uint64_t v);
int buf_f32(struct buf *b, float v); /* IEEE 754 */
int buf_f64(struct buf *b, double v);

/* Reads from a span of bytes. Past its end every read gives 0 and `failed` is set, so that a
 * parser may read a whole structure and check once. */
struct rd {
	const uint8_t *data;
	size_t len;
	size_t pos;
	bool failed;
};

static inline struct rd
rd_init(const void *data, size_t len)
{
	return (struct rd){data, len, 0, false};
}

static inline size_t
rd_left(const struct rd *r)
{
	return r->failed ? 0 : r->len - r->pos;
}

/* n bytes in place, or NULL when fewer are left. */
static inline const void *
rd_bytes(struct rd *r, size_t n)
{
	const void *p = r->data + r->pos;

	if (r->failed || r->len - r->pos < n) {
		r->failed = true;
		return NULL;
	}
	r->pos += n;
	return p;
}

uint8_t rd_u8(struct rd *r);
uint16_t rd_u16(struct rd *r);
uint32_t rd_u32(struct rd *r);
uint64_t rd_u64(struct rd *r);
float rd_f32(struct rd *r);
double rd_f64(struct rd *r);

static inline void
put_le32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

static inline uint32_t
get_le32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline void
put_le64(uint8_t *p, uint64_t v)
{
	for (int i = 0; i < 8; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

static inline uint64_t
get_le64(const uint8_t *p)
{
	return (uint64_t)get_le32(p) | (uint64_t)get_le32(p + 4) << 32;
}

#endif
