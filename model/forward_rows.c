/* Steps whose sums go by rows (model/collective.h): a peer keeps x of its rows alone, adds their sums to it, norms
 * them for the matrices that come next and rounds them to 8 bits; those of all rows are what all peers get.
 *
 * What is next is another unit, which may not be in memory yet while sums travel: so the norms of all layers are
 * copied as the first step takes their units. They are few bytes. It goes without: so does a model with a matrix that
 * reads its norm's output unrounded, one with experts, whose router does, and a slice without a part of each phase,
 * which has no norms. */
#include "base/buf.h"
#include "kernels/block.h"
#include "model/forward_int.h"

bool
forward_may_spread(const struct model_shape *s, const struct slice *sl)
{
	bool alone = sl->kv_heads == s->kv_heads && sl->ffn == s->ffn;

	return !alone && slice_goes_by_rows(s, sl);
}

/* --- the norms of all layers --- */

static float *
norm_of(const struct spread *s, const struct forward *f, uint32_t layer, enum phase phase)
{
	return s->norms + ((size_t)(layer - f->slice.layer0) * PHASES + phase) * f->shape.embd;
}

void
forward_learn_norm(struct forward *f, enum phase phase)
{
	static const enum tensor_role norms[PHASES] = {TENSOR_ATTN_NORM, TENSOR_FFN_NORM};
	static const enum tensor_role readers[PHASES][FORWARD_PRODUCTS] = {
		{TENSOR_Q, TENSOR_K, TENSOR_V}, {TENSOR_GATE, TENSOR_UP, TENSOR_UP}};
	struct spread *s = &f->spread;

	if (s->norms == NULL || s->known)
		return;
	for (uint32_t i = 0; i < FORWARD_PRODUCTS; i++)
		s->barred |= !forward_quantised(f, readers[phase][i]);
	memcpy(norm_of(s, f, f->layer, phase), f->unit->t[norms[phase]].data,
		f->shape.embd * sizeof(float));
}

void
forward_spread_begin(struct forward *f)
{
	struct spread *s = &f->spread;
	struct collective *col = f->c.collective;

	s->ready = false;
	s->to = 0;
	s->on = s->known && !s->barred && col != NULL && col->by_rows != NULL &&
		col->by_rows(col, f->all_n);
}

void
forward_spread_end(struct forward *f)
{
	f->spread.known = f->spread.norms != NULL;
}

/* --- a sum --- */

struct made_rows { /* what a call of make or take is about */
	struct row_sum *sum;
	uint32_t from;
	float *sums;
	uint8_t *out;
	const uint8_t *in;
};

static size_t
row_bytes(const struct row_sum *r)
{
	uint32_t embd = r->f->shape.embd;

	return r->norm != NULL ? act_row_bytes(embd) : embd * sizeof(float);
}

static void
make_row(void *arg, uint32_t i, unsigned thread)
{
	const struct made_rows *m = arg;
	struct forward *f = m->sum->f;
	uint32_t embd = f->shape.embd;
	float *x = m->sum->x + (size_t)(m->from + i) * embd, *row = m->sums + (size_t)i * embd;
	uint8_t *out = m->out + i * row_bytes(m->sum);

	(void)thread;
	f->c.kernels->add(x, row, embd);
	if (m->sum->norm != NULL) {
		f->c.kernels->rmsnorm(row, x, m->sum->norm, embd, f->shape.norm_eps);
		f->c.kernels->quantize(&f->spread.mine, i, i + 1);
		act_row_write(&f->spread.mine, i, out);
		return;
	}
	for (uint32_t c = 0; c < embd; c++, out += sizeof(float))
		put_le32(out, float_to_bits(x[c]));
}

static void
make(void *arg, float *sums, uint32_t from, uint32_t n, uint8_t *out)
{
	struct made_rows m = {.sum = arg, .from = from, .sums = sums, .out = out};
	struct forward *f = m.sum->f;

	f->spread.mine.f = sums;
	f->spread.mine.rows = n;
	f->spread.mine.cols = f->shape.embd;
	forward_run(f, make_row, &m, n);
}

static void
take_row(void *arg, uint32_t i, unsigned thread)
{
	const struct made_rows *m = arg;
	struct forward *f = m->sum->f;
	uint32_t embd = f->shape.embd, row = m->from + i;
	const uint8_t *in = m->in + i * row_bytes(m->sum);
	float *x = m->sum->x + (size_t)row * embd;

	(void)thread;
	if (m->sum->norm != NULL) {
		act_row_read(&f->act, f->spread.to + row, in);
		return;
	}
	for (uint32_t c = 0; c < embd; c++, in += sizeof(float))
		x[c] = bits_to_float(get_le32(in));
}

static void
take(void *arg, const uint8_t *made, uint32_t from, uint32_t n)
{
	struct made_rows m = {.sum = arg, .from = from, .in = made};
	struct forward *f = m.sum->f;

	f->act.cols = f->shape.embd;
	f->spread.ready = m.sum->norm != NULL;
	forward_run(f, take_row, &m, n);
}

int
forward_begin_rows(struct forward *f, const struct collective_label *label, struct err *err)
{
	struct row_sum *r = &f->spread.sums[label->part];
	struct collective *col = f->c.collective;
	bool last =
		label->phase == FEED_FORWARD && f->layer + 1 == f->slice.layer0 + f->slice.layers;

	*r = (struct row_sum){.f = f, .x = f->x, .made = {.make = make, .take = take, .arg = r}};
	if (!last)
		r->norm = label->phase == ATTENTION
				  ? norm_of(&f->spread, f, f->layer, FEED_FORWARD)
				  : norm_of(&f->spread, f, f->layer + 1, ATTENTION);
	r->made.made = last ? MADE_FLOATS : MADE_BLOCKS;
	return col->begin_rows(col, f->partial, f->n, f->shape.embd, label, &r->made, err);
}

bool
forward_take_made(struct forward *f, uint32_t n)
{
	if (!f->spread.ready)
		return false;
	f->spread.ready = false;
	f->act.f = f->norm; /* which holds nothing: no matrix reads it */
	f->act.rows = n;
	f->act.cols = f->shape.embd;
	return true;
}
