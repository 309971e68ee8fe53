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

#endif
