/* The arithmetic rule of kernels.h in a set's registers, and where sums are kept. Included by a set's
 * file after its tile_*.h. */
#ifndef KERNELS_TILE_SUMS_H
#define KERNELS_TILE_SUMS_H

#include "kernels/kernels.h"
#include "kernels/tile_formats.h"

enum { FETCH_PAGE = 4096 /* bytes: where hardware stops to read ahead */ };

/* Asks for the first line of a page that lies so far behind the `span` bytes at `ahead`, if one begins there: with it
 * comes the page's address, for which all of the page's other lines would wait. */
INLINE void
fetch_page(const uint8_t *ahead, uint32_t span)
{
	const uint8_t *p = fetch_page_behind(ahead);
	uint32_t into = (uint32_t)((uintptr_t)p % FETCH_PAGE);

	if (into < span)
		fetch_far(p - into);
}

/* What is asked for lies far behind `at`. twice: FETCH_TWICE, which is a constant in front of loops over one column:
 * with the question inside, all would be asked for at once. */
struct ahead {
	const uint8_t *at;
	bool twice;
};

/* Asks for lines far behind lines [from, to), constants: that is what brings decode to the speed of memory. */
INLINE void
fetch_lines(struct ahead a, uint32_t from, uint32_t to)
{
	if (FETCH_PAGES)
		fetch_page(a.at + (size_t)64 * from, 64 * (to - from));
	if (a.twice) {
		UNROLL
		for (uint32_t i = from; i < to; i++)
			fetch_line_early(a.at + (size_t)64 * i);
	}
	UNROLL
	for (uint32_t i = from; i < to; i++)
		fetch_line(a.at + (size_t)64 * i);
}

/* For the part-th of `parts` parts of as many lines as a block has. */
INLINE void
fetch_part(enum dtype t, struct ahead a, uint32_t part, uint32_t parts)
{
	const uint32_t lines = (format_bytes(t) + 63) / 64;

	fetch_lines(a, lines * part / parts, lines * (part + 1) / parts);
}

/* Where all is asked for at once, a Xeon reads one column's weights up to a quarter slower than where it is asked for in
 * between their products. With more columns there is more time between runs. */
INLINE bool
fetch_in_parts(uint32_t columns)
{
	return FETCH_SPREAD && columns == 1;
}

/* Asks for the part-th of `parts` parts of the lines far behind n bytes, a constant, which need not be whole lines. One
 * that such bytes share with those before is asked for early only once. */
INLINE void
fetch_share(struct ahead a, uint32_t n, uint32_t part, uint32_t parts)
{
	const uint32_t shared = n % 64 == 0 ? 0 : (uint32_t)(-(uintptr_t)a.at % 64);
	const uint32_t all = 2 * ((n + 63) / 64);

	if (part == 0 && FETCH_PAGES)
		fetch_page(a.at, n);
	UNROLL
	for (uint32_t i = all * part / parts; i < all * (part + 1) / parts; i++) {
		const uint32_t at = i / 2 * 64;

		if (i % 2 == 1)
			fetch_line(a.at + at);
		else if (a.twice && (at + 64 <= n || shared + at < n))
			fetch_line_early(a.at + shared + at);
		__asm__ volatile(""); /* the compiler would bring them together again */
	}
}

/* The same for a block that is expanded: asks for the one that lies so far behind it, while columns are run over
 * what is expanded, into the second-level cache. Memory has no other work then, and hardware does not read ahead in what
 * is read a part at a time. */
INLINE void
fetch_block(enum dtype t, const uint8_t *head, const uint8_t *body, size_t far)
{
	UNROLL
	for (uint32_t i = 0; i < format_head(t); i += 64)
		fetch_far(head + far + i);
	UNROLL
	for (uint32_t i = 0; i < format_body(t); i += 64)
		fetch_far(body + far + i);
}

/* Of `left` blocks of a row: those of the section that begins with the first; and where their bodies begin. */
INLINE uint32_t
section_blocks(enum dtype t, uint32_t left)
{
	const uint32_t most = TILE_SECTION / BLOCK / format_runs(t);

	return left < most ? left : most;
}

INLINE const uint8_t *
section_bodies(enum dtype t, const uint8_t *section, uint32_t left)
{
	return section + ((size_t)section_blocks(t, left) * format_head(t) + TILE_ALIGN - 1) /
				 TILE_ALIGN * TILE_ALIGN;
}

/* Where block b of a row group has its head and its body. */
INLINE void
block_place(enum dtype t, const uint8_t *group, uint32_t blocks, uint32_t b, const uint8_t **head,
	const uint8_t **body)
{
	const uint32_t into = b % (TILE_SECTION / BLOCK / format_runs(t)), first = b - into;
	const uint8_t *section = group + (size_t)first * format_bytes(t);

	*head = section + (size_t)into * format_head(t);
	*body = section_bodies(t, section, blocks - first) + (size_t)into * format_body(t);
}

/* Where a strip's sums are: lane r of column c belongs to out[c * stride + r]. */
struct sums {
	float *out;
	size_t stride;
	uint32_t rows; /* that exist: ROW_LANES, or fewer at the end of a matrix */
};

INLINE void
store_sums(const struct sums *s, uint32_t c, vfloats v)
{
	float lanes[ROW_LANES];

	if (s->rows == ROW_LANES) {
		floats_store(s->out + c * s->stride, v);
		return;
	}
	floats_store(lanes, v);
	memcpy(s->out + c * s->stride, lanes, s->rows * sizeof(*lanes));
}

INLINE vfloats
load_sums(const struct sums *s, uint32_t c)
{
	float lanes[ROW_LANES] = {0};

	if (s->rows == ROW_LANES)
		return floats_load(s->out + c * s->stride);
	memcpy(lanes, s->out + c * s->stride, s->rows * sizeof(*lanes));
	return floats_load(lanes);
}

/* x from its place `at` on. What a block needs of it then lies at constants from three registers; else the compiler
 * keeps many sums of `at` in memory. */
INLINE struct act
acts_from(const struct act *x, size_t at)
{
	struct act y = {.q = x->q + at * BLOCK, .d = x->d + at, .sum = x->sum + at};

	__asm__("" : "+r"(y.q), "+r"(y.d), "+r"(y.sum));
	return y;
}

/* The sum of half h of a run's activations, or of all where there are no halves. at: the run's place in the
 * column's arrays. */
INLINE int32_t
sum_of(enum dtype t, const struct act *x, size_t at, int h)
{
	if (!format_halves(t))
		return x->sum[at];
	return h == 0 ? x->half[at] : x->sum[at] - x->half[at];
}

INLINE vints
sums_of(enum dtype t, const struct act *x, size_t at, int h)
{
	vints sum = ints_set1(x->sum[at]), half;

	if (!format_halves(t))
		return sum;
	half = ints_set1(x->half[at]);
	return h == 0 ? half : ints_sub(sum, half);
}

/* Where the sum of half h starts: at what codes are above weights, times the activations. */
INLINE vints
run_start(enum dtype t, const struct act *x, size_t at, int h)
{
	int offset = format_offset(t);

	if (offset < 0)
		return ints_set1(DOT_ZERO);
	if (SCALAR_SUMS)
		return ints_set1(DOT_ZERO - sum_of(t, x, at, h) * (1 << offset));
	return ints_sub(ints_set1(DOT_ZERO), ints_shl(sums_of(t, x, at, h), offset));
}

/* The rule of kernels.h for one run and one column, once the integer sum of half h is there. */
INLINE vfloats
add_dot(const struct run *r, const struct act *x, size_t at, int h, vints dot, vfloats f)
{
	return floats_fma(floats_mul(r->scale[h], floats_set1(x->d[at])), dot_floats(dot), f);
}

/* And what follows the sums. */
INLINE vfloats
add_mins(enum dtype t, const struct run *r, const struct act *x, size_t at, vfloats f)
{
	const int halves = !format_mins(t) ? 0 : format_halves(t) ? 2 : 1;
	vfloats d = floats_set1(x->d[at]);

	UNROLL
	for (int h = 0; h < halves; h++)
		f = floats_fma(floats_mul(r->min[h], d),
			SCALAR_SUMS ? floats_set1((float)sum_of(t, x, at, h))
				    : ints_to_floats(sums_of(t, x, at, h)),
			f);
	return f;
}

#endif
