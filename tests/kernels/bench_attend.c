/* How fast attention is. */
#include "tests/kernels/check.h"

#include "kernels/sets.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { POSITIONS = 8192, HEADS = 24, CACHED = 512 };

static void *
allocate(size_t bytes)
{
	void *p = aligned_alloc(64, (bytes + 63) / 64 * 64);

	if (p == NULL)
		exit(2);
	return p;
}

/* KV heads one after another, K before V, as a layer's lie in memory. */
struct cache {
	struct attention a;
	size_t head; /* bytes of K of one */
	uint8_t *data;
	float *q, *out;
	void *scratch;
};

static void
cache_init(struct cache *c, const struct kernels *k, const struct attention *a)
{
	size_t row = (size_t)a->group * a->head_dim;
	float *x = allocate(a->head_dim * sizeof *x);

	*c = (struct cache){.a = *a, .head = kv_head_bytes(a->type, a->head_dim, POSITIONS)};
	c->data = allocate(2 * HEADS * c->head);
	c->q = allocate(ATTEND_ROWS * row * sizeof *c->q);
	c->out = allocate(ATTEND_ROWS * row * sizeof *c->out);
	c->scratch = allocate(attend_scratch_bytes(a->group, a->head_dim));
	for (uint32_t p = 0; p < POSITIONS; p++) {
		for (uint32_t i = 0; i < a->head_dim; i++)
			x[i] = rnd_float(1.0f);
		k->kv_store(a, c->data, c->data + c->head, p, x, x);
	}
	for (size_t h = 1; h < HEADS; h++)
		memcpy(c->data + 2 * h * c->head, c->data, 2 * c->head);
	for (size_t i = 0; i < ATTEND_ROWS * row; i++)
		c->q[i] = rnd_float(1.0f);
	free(x);
}

static void
cache_free(struct cache *c)
{
	free(c->data);
	free(c->q);
	free(c->out);
	free(c->scratch);
}

/* Best of several turns over some of the heads, in seconds. */
static double
time_attend(const struct kernels *k, struct cache *c, uint32_t heads, uint32_t rows, uint32_t pos)
{
	struct attend_rows r = {.q = c->q,
		.out = c->out,
		.stride = (size_t)c->a.group * c->a.head_dim,
		.rows = rows,
		.pos = pos};
	double best = 1e9;

	for (int turn = 0; turn < 5; turn++) {
		double start = now();

		for (size_t h = 0; h < heads; h++) {
			r.k = c->data + 2 * h * c->head;
			r.v = c->data + (2 * h + 1) * c->head;
			k->attend(&c->a, &r, c->scratch);
		}
		if (now() - start < best)
			best = now() - start;
	}
	return best;
}

/* Decode: one row over K and V that no cache holds, and over a few that one does. Prefill: as many rows
 * as go together, in the middle of a prompt of 512 and of 8192. */
static void
bench_one(const struct kernels *k, const struct attention *a, double roof)
{
	uint32_t rows = attend_most_rows(a->group);
	double flops = 2.0 * a->group * a->head_dim, speed;
	struct cache c;

	cache_init(&c, k, a);
	speed = 2.0 * HEADS * (double)c.head / time_attend(k, &c, HEADS, 1, POSITIONS - 1);
	printf("%-8s %-5s %4u x %-3u %7.2f %5.2f", k->name, kv_type_name(a->type), a->group,
		a->head_dim, speed / 1e9, speed / roof);
	speed = 2.0 * (double)kv_head_bytes(a->type, a->head_dim, CACHED) /
		time_attend(k, &c, 1, 1, CACHED - 1);
	printf("     %7.2f", speed / 1e9);
	printf("    %7.1f", flops * rows * 256 / time_attend(k, &c, 1, rows, 256) / 1e9);
	printf(" %7.1f\n", flops * rows * 4096 / time_attend(k, &c, 1, rows, 4096) / 1e9);
	cache_free(&c);
}

void
bench_attention(const char *only_set, double roof)
{
	static const uint32_t shapes[][2] = {{8, 64}, {4, 128}, {1, 64}, {7, 128}};
	const char *const *names = kernels_names();

	printf("set      KV    heads x   from memory     512 keys   GMAC/s in a prompt of\n");
	printf("               size      GB/s  share         GB/s       512    8192\n");
	for (size_t i = 0; names[i] != NULL; i++) {
		const struct kernels *k = kernel_set_find(names[i]);

		if (strcmp(k->name, "plain") == 0 ||
			(only_set != NULL && strcmp(only_set, k->name) != 0))
			continue;
		for (unsigned t = 0; t < KV_TYPES; t++)
			for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
				bench_one(k,
					&(const struct attention){shapes[s][0], shapes[s][1],
						1.0f / sqrtf((float)shapes[s][1]), (enum kv_type)t},
					roof);
	}
	printf("\n");
}
