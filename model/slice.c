#include "model/slice.h"

#include <inttypes.h>
#include <math.h>

struct slice
slice_whole(const struct model_shape *s)
{
	return (struct slice){.peers = 1,
		.layers = s->layers,
		.kv_heads = s->kv_heads,
		.ffn = s->ffn,
		.vocab = s->vocab};
}

static uint32_t
gcd(uint32_t a, uint32_t b)
{
	while (b != 0) {
		uint32_t rest = a % b;

		a = b;
		b = rest;
	}
	return a;
}

uint32_t
slice_kv_unit(const struct model_shape *s)
{
	uint32_t cols = s->heads / s->kv_heads * s->head_dim; /* of wo, per KV head */
	uint32_t unit = s->col_block / gcd(s->col_block, cols);

	if (s->qk_norm_wide)
		return s->kv_heads;
	return unit < s->kv_heads ? unit : s->kv_heads;
}

/* Divides `total` units by shares, largest remainder first and of equal ones the lower rank, and
 * calls each peer's part. Only double arithmetic in a fixed order: every machine divides alike. */
static void
divide(uint32_t total, const double *shares, double sum, uint32_t n, uint32_t *parts)
{
	double rest[SLICE_MAX_PEERS];
	uint32_t left = total;

	for (uint32_t i = 0; i < n; i++) {
		double exact = total * (shares[i] / sum), whole = floor(exact);

		parts[i] = whole >= left ? left : (uint32_t)whole;
		rest[i] = exact - parts[i];
		left -= parts[i];
	}
	while (left > 0) {
		uint32_t best = 0;

		for (uint32_t i = 1; i < n; i++)
			if (rest[i] > rest[best])
				best = i;
		parts[best]++;
		rest[best] -= 1.0;
		left--;
	}
}

/* Cuts a dimension of `size` at multiples of `unit`; what is over goes with the last unit. */
static void
cut(uint32_t size, uint32_t unit, const double *shares, double sum, uint32_t n, uint32_t *first,
	uint32_t *lengths)
{
	uint32_t at = 0, end;

	divide((size - 1) / unit + 1, shares, sum, n, lengths);
	for (uint32_t i = 0; i < n; i++) {
		end = lengths[i] * unit < size - at ? at + lengths[i] * unit : size;
		first[i] = at;
		lengths[i] = end - at;
		at = end;
	}
}

static int
take_shares(const float *shares, uint32_t n, double *out, double *sum, struct err *err)
{
	*sum = 0.0;
	for (uint32_t i = 0; i < n; i++) {
		out[i] = shares == NULL ? 1.0 : (double)shares[i];
		if (!isfinite(out[i]) || out[i] <= 0.0)
			return err_set(err, "share %" PRIu32 " is %g: shares are numbers above 0",
				i + 1, out[i]);
		*sum += out[i];
	}
	return 0;
}

int
slice_cut(const struct model_shape *s, const float *shares, uint32_t n, struct slice *out,
	struct err *err)
{
	uint32_t first[SLICE_MAX_PEERS], length[SLICE_MAX_PEERS];
	double weights[SLICE_MAX_PEERS], sum;

	if (n < 1 || n > SLICE_MAX_PEERS)
		return err_set(err, "a model cannot be cut for %" PRIu32 " peers: 1 to %d can be",
			n, SLICE_MAX_PEERS);
	if (take_shares(shares, n, weights, &sum, err) != 0)
		return -1;
	for (uint32_t i = 0; i < n; i++)
		out[i] = (struct slice){.rank = i, .peers = n, .layers = s->layers};
	cut(s->kv_heads, slice_kv_unit(s), weights, sum, n, first, length);
	for (uint32_t i = 0; i < n; i++) {
		out[i].kv_head0 = first[i];
		out[i].kv_heads = length[i];
	}
	cut(s->ffn, s->col_block, weights, sum, n, first, length);
	for (uint32_t i = 0; i < n; i++) {
		out[i].ffn0 = first[i];
		out[i].ffn = length[i];
	}
	cut(s->vocab, 1, weights, sum, n, first, length);
	for (uint32_t i = 0; i < n; i++) {
		out[i].vocab0 = first[i];
		out[i].vocab = length[i];
	}
	return 0;
}

bool
slice_goes_by_rows(const struct model_shape *s, const struct slice *sl)
{
	return sl->kv_heads > 0 && sl->ffn > 0 && s->experts == 0 && s->embd % 32 == 0;
}

bool
slice_row_shares(
	const struct model_shape *s, const struct slice *group, uint32_t n, uint32_t *shares)
{
	bool fits = n > 1;

	for (uint32_t i = 0; i < n; i++)
		fits = fits && slice_goes_by_rows(s, &group[i]);
	for (uint32_t i = 0; i < n; i++)
		shares[i] = fits ? group[i].ffn : 0;
	return fits;
}

void
slice_narrow(const struct model_shape *s, uint32_t layer0, uint32_t layers, struct slice *sl)
{
	sl->layer0 = layer0;
	sl->layers = layers;
	if (layer0 + layers < s->layers)
		sl->vocab0 = sl->vocab = 0;
}

bool
slice_same(const struct slice *a, const struct slice *b)
{
	return a->rank == b->rank && a->peers == b->peers && a->layer0 == b->layer0 &&
	       a->layers == b->layers && a->kv_head0 == b->kv_head0 && a->kv_heads == b->kv_heads &&
	       a->ffn0 == b->ffn0 && a->ffn == b->ffn && a->vocab0 == b->vocab0 &&
	       a->vocab == b->vocab;
}

void
slice_write(const struct slice *sl, struct buf *b)
{
	buf_u32(b, sl->rank);
	buf_u32(b, sl->peers);
	buf_u32(b, sl->layer0);
	buf_u32(b, sl->layers);
	buf_u32(b, sl->kv_head0);
	buf_u32(b, sl->kv_heads);
	buf_u32(b, sl->ffn0);
	buf_u32(b, sl->ffn);
	buf_u32(b, sl->vocab0);
	buf_u32(b, sl->vocab);
}

/* Within the dimension and cut where it may be cut. */
static bool
part_ok(uint32_t first, uint32_t length, uint32_t size, uint32_t unit)
{
	if (first > size || length > size - first)
		return false;
	return (first % unit == 0 || first == size) &&
	       ((first + length) % unit == 0 || first + length == size);
}

static int
check_layers(const struct model_shape *s, const struct slice *sl, struct err *err)
{
	if (sl->layers < 1 || sl->layer0 > s->layers || sl->layers > s->layers - sl->layer0)
		return err_set(err, "layers %" PRIu32 "+%" PRIu32 " are no part of %" PRIu32,
			sl->layer0, sl->layers, s->layers);
	if (sl->vocab > 0 && sl->layer0 + sl->layers < s->layers)
		return err_set(err, "layers that end at %" PRIu32 " of %" PRIu32 " have no head",
			sl->layer0 + sl->layers, s->layers);
	return 0;
}

int
slice_check(const struct model_shape *s, const struct slice *sl, struct err *err)
{
	if (sl->peers < 1 || sl->peers > SLICE_MAX_PEERS || sl->rank >= sl->peers)
		return err_set(err, "a slice of rank %" PRIu32 " among %" PRIu32 " cannot be",
			sl->rank, sl->peers);
	if (check_layers(s, sl, err) != 0)
		return -1;
	if (!part_ok(sl->kv_head0, sl->kv_heads, s->kv_heads, slice_kv_unit(s)))
		return err_set(err,
			"KV heads %" PRIu32 "+%" PRIu32 " are no part of %" PRIu32
			" cut by %" PRIu32,
			sl->kv_head0, sl->kv_heads, s->kv_heads, slice_kv_unit(s));
	if (!part_ok(sl->ffn0, sl->ffn, s->ffn, s->col_block))
		return err_set(err,
			"feed-forward columns %" PRIu32 "+%" PRIu32 " are no part of %" PRIu32
			" cut by %" PRIu32,
			sl->ffn0, sl->ffn, s->ffn, s->col_block);
	if (!part_ok(sl->vocab0, sl->vocab, s->vocab, 1))
		return err_set(err,
			"vocabulary rows %" PRIu32 "+%" PRIu32 " are no part of %" PRIu32,
			sl->vocab0, sl->vocab, s->vocab);
	return 0;
}

int
slice_read(struct rd *r, const struct model_shape *s, struct slice *sl, struct err *err)
{
	sl->rank = rd_u32(r);
	sl->peers = rd_u32(r);
	sl->layer0 = rd_u32(r);
	sl->layers = rd_u32(r);
	sl->kv_head0 = rd_u32(r);
	sl->kv_heads = rd_u32(r);
	sl->ffn0 = rd_u32(r);
	sl->ffn = rd_u32(r);
	sl->vocab0 = rd_u32(r);
	sl->vocab = rd_u32(r);
	if (r->failed)
		return err_set(err, "the slice is cut off");
	return slice_check(s, sl, err);
}
