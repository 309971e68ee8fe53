/* Rows and models as bytes, little-endian.
 *
 *   model  "SHGN", u32 version, facts, the words' heads (constants, calibration, the buckets that
 *          were seen, the weights that are not 0), the answer's heads, u64 FNV-1a of all before it
 *   row    u16 features, u8 answered, u8 0, labels, figures where answered, buckets */
#include "sched/gain_int.h"

#include <stdlib.h>

#define MAGIC   "SHGN"
#define VERSION 1u
#define LARGEST 1e6f /* no number in a model is beyond */

_Static_assert(ROUTE_BUCKETS *(2 + 4 * GAIN_MODELS) + ROUTE_BUCKETS / 8 + 4096 <= GAIN_BYTES,
	"a model of all buckets fits");

/* --- rows -------------------------------------------------------------------------------------- */

static int
by_number(const void *a, const void *b)
{
	uint16_t x = *(const uint16_t *)a, y = *(const uint16_t *)b;

	return (x > y) - (x < y);
}

void
gain_row_make(struct gain_row *r, const struct route_text *t, const float *figures,
	const float label[static GAIN_MODELS])
{
	*r = (struct gain_row){.answered = figures != NULL, .n = (uint16_t)t->n};
	memcpy(r->label, label, sizeof r->label);
	if (figures != NULL)
		memcpy(r->figure, figures, sizeof r->figure);
	memcpy(r->bucket, t->bucket, t->n * sizeof *t->bucket);
	qsort(r->bucket, r->n, sizeof *r->bucket, by_number);
}

int
gain_row_write(const struct gain_row *r, struct buf *out)
{
	buf_u16(out, r->n);
	buf_u8(out, r->answered);
	buf_u8(out, 0);
	for (int m = 0; m < GAIN_MODELS; m++)
		buf_f32(out, r->label[m]);
	for (int k = 0; r->answered && k < TOKEN_FIGURES; k++)
		buf_f32(out, r->figure[k]);
	for (uint32_t i = 0; i < r->n; i++)
		buf_u16(out, r->bucket[i]);
	return out->failed ? -1 : 0;
}

static bool
good_label(float y)
{
	return (y >= 0.0f && y <= 1.0f) || y == GAIN_UNKNOWN;
}

int
gain_row_read(struct gain_row *r, struct rd *in, struct err *err)
{
	bool good = true;
	uint8_t answered;

	*r = (struct gain_row){.n = rd_u16(in)};
	answered = rd_u8(in);
	good &= rd_u8(in) == 0 && answered <= 1 && r->n <= ROUTE_FEATURES;
	r->answered = answered == 1;
	for (int m = 0; m < GAIN_MODELS; m++) {
		r->label[m] = rd_f32(in);
		good &= good_label(r->label[m]);
	}
	for (int k = 0; r->answered && k < TOKEN_FIGURES; k++) {
		r->figure[k] = rd_f32(in);
		good &= isfinite(r->figure[k]) != 0;
	}
	for (uint32_t i = 0; good && i < r->n; i++) {
		r->bucket[i] = rd_u16(in);
		good &= i == 0 || r->bucket[i] > r->bucket[i - 1];
	}
	return good && !in->failed ? 0 : err_set(err, "a row to learn from is damaged");
}

/* --- models: one walk for both ways ----------------------------------------------------------------- */

/* Writes when out is not NULL, else reads. */
struct walk {
	struct buf *out;
	struct rd in;
	bool good;
};

static void
walk_u32(struct walk *w, uint32_t *v)
{
	if (w->out != NULL)
		buf_u32(w->out, *v);
	else
		*v = rd_u32(&w->in);
}

static void
walk_floats(struct walk *w, float *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (w->out != NULL) {
			buf_f32(w->out, v[i]);
			continue;
		}
		v[i] = rd_f32(&w->in);
		w->good &= fabsf(v[i]) <= LARGEST; /* nor NaN */
	}
}

static void
walk_platt(struct walk *w, struct platt platt[static GAIN_MODELS])
{
	for (int m = 0; m < GAIN_MODELS; m++) {
		walk_floats(w, &platt[m].slope, 1);
		walk_floats(w, &platt[m].offset, 1);
	}
}

static void
walk_dense(struct walk *w, struct dense *d)
{
	walk_floats(w, d->mean, DENSE_INPUTS);
	walk_floats(w, d->scale, DENSE_INPUTS);
	for (int m = 0; m < GAIN_MODELS; m++)
		walk_floats(w, d->weight[m], DENSE_WEIGHTS);
	walk_platt(w, d->platt);
}

static bool
any_weight(const float w[static GAIN_MODELS])
{
	bool any = false;

	for (int m = 0; m < GAIN_MODELS; m++)
		any |= w[m] != 0.0f;
	return any;
}

static void
write_weights(const struct sparse *s, struct buf *out)
{
	uint32_t n = 0;

	for (uint32_t b = 0; b < ROUTE_BUCKETS; b++)
		n += any_weight(s->weight[b]);
	buf_u32(out, n);
	for (uint32_t b = 0; b < ROUTE_BUCKETS; b++) {
		if (!any_weight(s->weight[b]))
			continue;
		buf_u16(out, (uint16_t)b);
		for (int m = 0; m < GAIN_MODELS; m++)
			buf_f32(out, s->weight[b][m]);
	}
}

static void
read_weights(struct walk *w, struct sparse *s)
{
	uint32_t n = rd_u32(&w->in);
	int last = -1;

	w->good &= n <= ROUTE_BUCKETS;
	for (uint32_t i = 0; w->good && !w->in.failed && i < n; i++) {
		uint16_t b = rd_u16(&w->in);

		w->good &= b > last;
		last = b;
		walk_floats(w, s->weight[b], GAIN_MODELS);
	}
}

static void
walk_model(struct walk *w, struct gain *g)
{
	const void *seen;

	walk_u32(w, &g->facts.rows);
	walk_u32(w, &g->facts.answered);
	for (int m = 0; m < GAIN_MODELS; m++)
		walk_u32(w, &g->facts.labels[m]);
	walk_floats(w, g->text.constant, GAIN_MODELS);
	walk_platt(w, g->platt);
	if (w->out != NULL) {
		buf_append(w->out, g->seen, sizeof g->seen);
		write_weights(&g->text, w->out);
	} else {
		seen = rd_bytes(&w->in, sizeof g->seen);
		if (seen != NULL)
			memcpy(g->seen, seen, sizeof g->seen);
		read_weights(w, &g->text);
	}
	walk_dense(w, &g->both);
	walk_dense(w, &g->answer);
	walk_platt(w, g->mean);
}

static uint64_t
checksum(const uint8_t *data, size_t len)
{
	uint64_t h = 0xcbf29ce484222325u;

	for (size_t i = 0; i < len; i++)
		h = (h ^ data[i]) * 0x100000001b3u;
	return h;
}

int
gain_write(const struct gain *g, struct buf *out)
{
	struct walk w = {.out = out};
	size_t begin = out->len;

	buf_str(out, MAGIC);
	buf_u32(out, VERSION);
	walk_model(&w, (struct gain *)(uintptr_t)g); /* which only reads it */
	if (out->failed)
		return -1;
	return buf_u64(out, checksum(out->data + begin, out->len - begin));
}

struct gain *
gain_read(const void *data, size_t len, struct err *err)
{
	struct walk w = {.in = rd_init(data, len), .good = true};
	const void *magic = rd_bytes(&w.in, 4);
	uint32_t version = rd_u32(&w.in);
	struct gain *g;

	if (w.in.failed || len > GAIN_BYTES || memcmp(magic, MAGIC, 4) != 0) {
		err_set(err, "not a router's model");
		return NULL;
	}
	if (version != VERSION) {
		err_set(err, "a router's model of version %u: this is for version %u", version,
			VERSION);
		return NULL;
	}
	if (len < 16 || checksum(data, len - 8) != get_le64((const uint8_t *)data + len - 8)) {
		err_set(err, "a router's model is damaged");
		return NULL;
	}
	g = gain_new(err);
	if (g == NULL)
		return NULL;
	w.in.len -= 8;
	walk_model(&w, g);
	if (w.good && !w.in.failed && rd_left(&w.in) == 0)
		return g;
	err_set(err, "a router's model is damaged");
	gain_free(g);
	return NULL;
}
