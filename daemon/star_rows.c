/* The way by rows (model/collective.h): every peer sends each other one the part of the rows that are its, adds those
 * that it gets to its own, in the order of ranks, and sends what the forward pass makes of the sums to all. Who adds
 * rows is the only one that does, so its own part of them is not rounded. */
#include "daemon/star_int.h"

#include <string.h>

/* The shares of those before this rank: all, with the number of peers. */
static uint64_t
shares_before(const struct star_config *c, uint32_t rank)
{
	uint64_t sum = 0;

	for (uint32_t r = 0; c->row_shares != NULL && r < rank; r++)
		sum += c->row_shares[r];
	return sum;
}

bool
star_rows_fit(const struct star_config *c)
{
	return (c->way == WAY_AUTO || c->way == WAY_ROWS) && shares_before(c, c->peers) > 0;
}

/* Of n rows this rank and those behind it have the ones from here on. */
static uint32_t
first_row(const struct star_config *c, uint32_t rank, uint32_t n)
{
	return (uint32_t)(n * shares_before(c, rank) / shares_before(c, c->peers));
}

static enum frame_format
format_of(enum collective_made made)
{
	return made == MADE_BLOCKS ? FRAME_Q8 : FRAME_F32;
}

size_t
star_made_bytes(const struct star_config *c, uint32_t rank, uint32_t n)
{
	uint64_t rows = (uint64_t)n * c->row_shares[rank] / shares_before(c, c->peers) + 1;

	return frame_payload(FRAME_F32, rows < n ? (uint32_t)rows : n, c->embd);
}

struct span {
	uint32_t from, n;
};

static struct span
rows_of(const struct star *s, uint32_t rank, const struct star_sum *r)
{
	uint32_t n = r->frame.rows, from = first_row(&s->c, rank, n);

	return (struct span){from, first_row(&s->c, rank + 1, n) - from};
}

static float *
row(const struct star *s, const struct star_sum *r, uint32_t at)
{
	return r->rows + (size_t)at * s->c.embd;
}

void
star_begin_rows(struct star *s, const struct star_sum *r)
{
	struct frame f = r->frame;

	f.kind = FRAME_PART;
	for (uint32_t i = 0; i < s->n_peers; i++) {
		struct span theirs = rows_of(s, s->peers[i].rank, r);

		f.rows = theirs.n;
		frame_pack(s->format, row(s, r, theirs.from), f.rows, f.width, s->out);
		star_send_rows(&s->peers[i], &f);
	}
}

void
star_add_rows(struct star *s, const struct star_sum *r)
{
	struct span mine = rows_of(s, s->c.rank, r);
	struct frame f = r->frame;

	if (mine.n == 0)
		return;
	star_add_parts(s, row(s, r, mine.from), mine.n);
	r->made->make(r->made->arg, row(s, r, mine.from), mine.from, mine.n, s->out);
	f.kind = FRAME_SUM;
	f.format = (uint8_t)format_of(r->made->made);
	f.rows = mine.n;
	star_send_to_all(s, &f);
	/* Its partial sums are used up: what came of them waits in their place, which is no smaller. */
	memcpy(row(s, r, mine.from), s->out,
		frame_payload(format_of(r->made->made), mine.n, f.width));
}

void
star_finish_rows(struct star *s, const struct star_sum *r)
{
	for (uint32_t rank = 0, i = 0; rank < s->c.peers; rank++) {
		struct star_peer *p = rank != s->c.rank ? &s->peers[i++] : NULL;
		struct span theirs = rows_of(s, rank, r);
		const void *made = p == NULL ? row(s, r, theirs.from) : NULL;

		if (theirs.n == 0)
			continue;
		r->made->take(r->made->arg, p != NULL ? star_queue_first(&p->sums) : made,
			theirs.from, theirs.n);
		if (p != NULL)
			star_queue_drop(&p->sums);
	}
}

bool
star_rows_need(const struct star_peer *p, const struct star_sum *r, struct frame *due)
{
	const struct star *s = p->star;

	due->rows = rows_of(s, due->kind == FRAME_PART ? s->c.rank : p->rank, r).n;
	if (due->kind == FRAME_SUM)
		due->format = (uint8_t)format_of(r->made->made);
	return due->rows > 0;
}
