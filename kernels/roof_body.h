/* Loops that do nothing but what bounds a set's kernels (kernels/roof.h): reading, in its widest registers, and
 * products of bytes. Included by a set's file after its tile_*.h. */
#ifndef KERNELS_ROOF_BODY_H
#define KERNELS_ROOF_BODY_H

#include "kernels/roof.h"
#include "kernels/tile_sums.h"

enum { ROOF_PAUSE = 8 /* operations after each line of what reads evenly: measured on a Xeon */ };

/* Asks for what is read later than the n bytes at p. Where pages are asked for, they alone are fastest for what does
 * nothing but read. */
INLINE void
roof_fetch(const uint8_t *p, size_t n)
{
	if (FETCH_PAGES) {
		fetch_page(p, (uint32_t)n);
	} else {
		UNROLL
		for (size_t i = 0; i < n; i += 64)
			fetch_far(p + ROOF_AHEAD + i);
	}
}

/* The OR of its words. */
INLINE uint64_t
words_or(vbytes v)
{
	uint64_t words[4 * ROW_LANES / 8], all = 0;

	memcpy(words, &v, sizeof words);
	UNROLL
	for (size_t j = 0; j < sizeof words / sizeof *words; j++)
		all |= words[j];
	return all;
}

static uint64_t
roof_read(const uint8_t *p, size_t n)
{
	vbytes v[4];

	UNROLL
	for (size_t j = 0; j < 4; j++)
		v[j] = bytes_load(p + j * sizeof(vbytes));
	for (size_t i = 0; i < n; i += sizeof v) {
		roof_fetch(p + i, sizeof v);
		UNROLL
		for (size_t j = 0; j < 4; j++)
			v[j] = bytes_or(v[j], bytes_load(p + i + j * sizeof(vbytes)));
	}
	return words_or(bytes_or(bytes_or(v[0], v[1]), bytes_or(v[2], v[3])));
}

/* All lines are asked for, as kernels do, and operations that wait for each other stand between them: so less is under
 * way at once, and a Xeon reads a fifth faster. twice: FETCH_TWICE, a constant. */
INLINE uint64_t
read_evenly(const uint8_t *p, size_t n, bool twice)
{
	const vbytes first = bytes_load(p);
	vbytes v = first;

	for (size_t i = 0; i < n; i += 64) {
		fetch_share((struct ahead){p + i, twice}, 64, 0, 1);
		UNROLL
		for (size_t j = 0; j < 64; j += sizeof v)
			v = bytes_or(v, bytes_load(p + i + j));
		UNROLL
		for (int pause = 0; pause < ROOF_PAUSE; pause++) {
			v = bytes_or(v, first);
			HERE(v);
		}
	}
	return words_or(v);
}

static uint64_t
roof_read_evenly(const uint8_t *p, size_t n)
{
	return FETCH_TWICE ? read_evenly(p, n, true) : read_evenly(p, n, false);
}

/* start + the products of `groups` groups of weights, which are at most `most`, with 4 * groups activations. */
INLINE vints
dot_groups(vints start, const vbytes *w, int groups, const int8_t *q, int most)
{
	struct dot d = dot_begin(start);

	UNROLL
	for (int g = 0; g < groups; g++)
		dot_step(&d, g, groups, w[g], q, g, most);
	return d.sum;
}

/* ROOF_SUMS sums that wait for nothing but their own last addition, of ROOF_GROUPS groups at a time: as many as
 * there are registers for. */
static uint64_t
roof_products(const int8_t *q, uint32_t turns)
{
	vbytes w[ROOF_GROUPS];
	vints sums[ROOF_SUMS], all;

	UNROLL
	for (int g = 0; g < ROOF_GROUPS; g++)
		w[g] = bytes_and(bytes_load((const uint8_t *)q + 64 * g), 15);
	UNROLL
	for (int i = 0; i < ROOF_SUMS; i++)
		sums[i] = ints_set1(0);
	for (uint32_t turn = 0; turn < turns; turn++) {
		UNROLL
		for (int i = 0; i < ROOF_SUMS; i++)
			sums[i] = dot_groups(sums[i], w, ROOF_GROUPS, q + 16 * i, 15);
		__asm__ volatile("" : "+r"(q)); /* or the compiler would multiply only once */
	}
	all = sums[0];
	UNROLL
	for (int i = 1; i < ROOF_SUMS; i++)
		all = ints_add(all, sums[i]);
	__asm__ volatile("" ::"m"(all));
	return (uint64_t)turns * ROOF_SUMS * ROOF_GROUPS * 4 * ROW_LANES;
}

#define ROOF_LOOPS                                                                                 \
	.roof_read = {roof_read, FETCH_SPREAD ? roof_read_evenly : NULL},                          \
	.roof_products = roof_products

#endif
