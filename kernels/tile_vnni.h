/* Products of four bytes by vpdpbusd (TILE_DPBUSD, of a set's width). Included by the tile_*.h of such sets. */
#ifndef KERNELS_TILE_VNNI_H
#define KERNELS_TILE_VNNI_H

/* A sum of products that is made in `steps` steps, each of the weights and activations of a group. Weights are
 * unsigned, and may have all eight bits. */
struct dot {
	vints sum;
};

INLINE struct dot
dot_begin(vints start)
{
	return (struct dot){start};
}

INLINE void
dot_step(struct dot *d, int step, int steps, vbytes w, const int8_t *q, int group, int most)
{
	int32_t four;

	(void)step;
	(void)steps;
	(void)most;
	memcpy(&four, q + 4 * group, sizeof(four));
	d->sum = TILE_DPBUSD(d->sum, w, ints_set1(four));
}

/* A sum of products of codes of two bits, those in odd steps four times themselves. */
struct pair_dot {
	vints sum[2];
};

INLINE struct pair_dot
pair_begin(vints start)
{
	return (struct pair_dot){{start, ints_set1(0)}};
}

INLINE void
pair_step(struct pair_dot *d, int step, vbytes w, const int8_t *q, int group)
{
	int32_t four;

	memcpy(&four, q + 4 * group, sizeof(four));
	d->sum[step % 2] = TILE_DPBUSD(d->sum[step % 2], w, ints_set1(four));
}

INLINE vints
pair_sum(const struct pair_dot *d)
{
	return ints_add(d->sum[0], ints_sar(d->sum[1], 2));
}

/* dot_step() of weights out of a table. sizes: of the activations, for sets without vpdpbusd. */
INLINE void
table_step(struct dot *d, vbytes w, const int8_t *q, const int8_t *sizes, int group)
{
	(void)sizes;
	dot_step(d, 0, 1, w, q, group, 255);
}

/* What digits of TQ1_0 are taken from. */
INLINE vbytes
ternary_first(vbytes v)
{
	return v;
}

/* A sum of products whose weights are digits. They are never there: 256 times the digit of v is 3 v - (3 v mod 256),
 * so the products of v and those of what follows v tell the same in fewer instructions. */
struct ternary_dot {
	struct dot from, to;
};

enum { TERNARY_COLS = 2 /* columns up to which twice the products cost less than digits */ };

INLINE struct ternary_dot
ternary_begin(vints start)
{
	return (struct ternary_dot){
		dot_begin(ints_set1(0)), dot_begin(ints_shl(ints_sub(ints_set1(0), start), 8))};
}

/* Adds the products of the next digits of v and of group g of n (a constant) columns, `stride` bytes apart. */
INLINE void
ternary_step(struct ternary_dot d[], uint32_t n, vbytes *v, const int8_t *q, size_t stride, int g)
{
	vbytes next = bytes_triple(*v);

	UNROLL
	for (uint32_t i = 0; i < n; i++) {
		dot_step(&d[i].from, g, 8, *v, q + i * stride, g, 255);
		dot_step(&d[i].to, g, 8, next, q + i * stride, g, 255);
	}
	*v = next;
}

INLINE vints
ternary_sum(const struct ternary_dot *d)
{
	return ints_sar(
		ints_sub(ints_add(d->from.sum, ints_add(d->from.sum, d->from.sum)), d->to.sum), 8);
}

#endif
