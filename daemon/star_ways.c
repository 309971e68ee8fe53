/* The ways to add partial sums: over the hub, every peer with every other, or each peer a part of
 * the columns (or of the rows: star_rows.c). Whatever the way, who adds does it in the order of ranks, and what every peer holds
 * in the end has been through the same rounding: all hold the same bits. */
#include "daemon/star_int.h"

#define BLOCK 32 /* columns that are never divided: those of an 8-bit block */

void
star_send_rows(struct star_peer *p, const struct frame *f)
{
	uint8_t head[FRAME_HEADER];

	if (f->width == 0 || f->rows == 0)
		return;
	frame_write(f, head);
	star_send(p, head, sizeof head, p->star->out,
		frame_payload((enum frame_format)f->format, f->rows, f->width));
}

void
star_send_to_all(struct star *s, const struct frame *f)
{
	for (uint32_t i = 0; i < s->n_peers; i++)
		star_send_rows(&s->peers[i], f);
}

/* sum = x, or += x. */
static void
add_rows(float *sum, const float *x, size_t n, bool add)
{
	for (size_t i = 0; i < n; i++)
		sum[i] = add ? sum[i] + x[i] : x[i];
}

/* --- star --------------------------------------------------------------------------------------- */

static void
begin_star(struct star *s, const struct star_sum *r)
{
	struct frame f = r->frame;

	if (s->c.rank == 0)
		return;
	f.kind = FRAME_PART;
	frame_pack(s->format, r->rows, f.rows, f.width, s->out);
	star_send_rows(&s->peers[0], &f);
}

static void
add_star(struct star *s, const struct star_sum *r)
{
	struct frame f = r->frame;

	for (uint32_t i = 0; i < s->n_peers; i++) {
		struct star_queue *q = &s->peers[i].parts;

		frame_unpack(s->format, star_queue_first(q), f.rows, f.width, r->rows, 1);
		star_queue_drop(q);
	}
	f.kind = FRAME_SUM;
	frame_round(s->format, r->rows, f.rows, f.width, s->out);
	star_send_to_all(s, &f);
}

static void
finish_star(struct star *s, const struct star_sum *r)
{
	struct star_queue *q = &s->peers[0].sums;

	if (s->c.rank == 0)
		return;
	frame_unpack(s->format, star_queue_first(q), r->frame.rows, r->frame.width, r->rows, 0);
	star_queue_drop(q);
}

/* --- direct ------------------------------------------------------------------------------------- */

static void
begin_direct(struct star *s, const struct star_sum *r)
{
	struct frame f = r->frame;

	f.kind = FRAME_PART;
	frame_round(s->format, r->rows, f.rows, f.width, s->out);
	star_send_to_all(s, &f);
}

/* Which of two numbers is added to which gives the same bits: so the sum of those in front of this peer's, where there
 * are two and more, is added to its own, and what comes behind to that. */
void
star_add_parts(struct star *s, float *own, uint32_t rows)
{
	bool apart = s->c.rank > 1;
	float *sum = apart ? s->sums : own;

	for (uint32_t rank = 0, i = 0; rank < s->c.peers; rank++) {
		struct star_queue *q;

		if (rank == s->c.rank) {
			if (apart)
				add_rows(own, s->sums, (size_t)rows * s->c.embd, true);
			sum = own;
			continue;
		}
		q = &s->peers[i++].parts;
		frame_unpack(
			s->format, star_queue_first(q), rows, s->c.embd, sum, rank > 0 || !apart);
		star_queue_drop(q);
	}
}

/* --- reduce-scatter and all-gather -------------------------------------------------------------- */

struct columns {
	uint32_t from, n;
};

static struct columns
columns_of(const struct star_config *c, uint32_t rank)
{
	uint64_t blocks = (c->embd + BLOCK - 1) / BLOCK;
	uint32_t from = (uint32_t)(blocks * rank / c->peers) * BLOCK;
	uint32_t to = (uint32_t)(blocks * (rank + 1) / c->peers) * BLOCK;

	return (struct columns){from, (to < c->embd ? to : c->embd) - from};
}

uint32_t
star_columns(const struct star_config *c, uint32_t rank)
{
	return columns_of(c, rank).n;
}

static void
pack_columns(const struct star *s, const float *rows, uint32_t n, struct columns c)
{
	size_t bytes = frame_payload(s->format, 1, c.n);

	for (uint32_t r = 0; r < n; r++)
		frame_pack(s->format, rows + (size_t)r * s->c.embd + c.from, 1, c.n,
			s->out + r * bytes);
}

static void
unpack_columns(const struct star *s, const uint8_t *in, float *rows, uint32_t n, struct columns c)
{
	size_t bytes = frame_payload(s->format, 1, c.n);

	for (uint32_t r = 0; r < n; r++)
		frame_unpack(s->format, in + r * bytes, 1, c.n,
			rows + (size_t)r * s->c.embd + c.from, 0);
}

static void
begin_scatter(struct star *s, const struct star_sum *r)
{
	struct frame f = r->frame;

	f.kind = FRAME_PART;
	for (uint32_t i = 0; i < s->n_peers; i++) {
		struct columns theirs = columns_of(&s->c, s->peers[i].rank);

		pack_columns(s, r->rows, f.rows, theirs);
		f.width = theirs.n;
		star_send_rows(&s->peers[i], &f);
	}
}

/* The others' parts of this peer's columns, and its own, in the order of ranks. */
static void
add_columns(struct star *s, const float *rows, uint32_t n, struct columns mine)
{
	for (uint32_t rank = 0, i = 0; rank < s->c.peers; rank++) {
		if (rank != s->c.rank) {
			struct star_queue *q = &s->peers[i++].parts;

			frame_unpack(s->format, star_queue_first(q), n, mine.n, s->sums, rank > 0);
			star_queue_drop(q);
			continue;
		}
		for (uint32_t r = 0; r < n; r++)
			add_rows(s->sums + (size_t)r * mine.n,
				rows + (size_t)r * s->c.embd + mine.from, mine.n, rank > 0);
	}
}

static void
add_scatter(struct star *s, const struct star_sum *r)
{
	struct columns mine = columns_of(&s->c, s->c.rank);
	struct frame f = r->frame;

	if (mine.n > 0)
		add_columns(s, r->rows, f.rows, mine);
	frame_pack(s->format, s->sums, f.rows, mine.n, s->out);
	unpack_columns(s, s->out, r->rows, f.rows, mine);
	f.kind = FRAME_SUM;
	f.width = mine.n;
	star_send_to_all(s, &f);
}

static void
finish_scatter(struct star *s, const struct star_sum *r)
{
	for (uint32_t i = 0; i < s->n_peers; i++) {
		struct star_peer *p = &s->peers[i];
		struct columns theirs = columns_of(&s->c, p->rank);

		if (theirs.n == 0)
			continue;
		unpack_columns(s, star_queue_first(&p->sums), r->rows, r->frame.rows, theirs);
		star_queue_drop(&p->sums);
	}
}

/* --- the way that fits -------------------------------------------------------------------------- */

bool
star_sum_needs(const struct star_peer *p, const struct star_sum *r, enum frame_kind kind,
	struct frame *due)
{
	const struct star *s = p->star;

	*due = r->frame;
	due->kind = (uint8_t)kind;
	if (kind == FRAME_PART && r->added)
		return false;
	switch (r->way) {
	case WAY_DIRECT:
		return kind == FRAME_PART;
	case WAY_SCATTER:
		due->width = columns_of(&s->c, kind == FRAME_PART ? s->c.rank : p->rank).n;
		return due->width > 0;
	case WAY_ROWS:
		return star_rows_need(p, r, due);
	default:
		return kind == (s->c.rank == 0 ? FRAME_PART : FRAME_SUM);
	}
}

void
star_begin_sum(struct star *s, struct star_sum *r)
{
	switch (r->way) {
	case WAY_DIRECT:
		begin_direct(s, r);
		break;
	case WAY_SCATTER:
		begin_scatter(s, r);
		break;
	case WAY_ROWS:
		star_begin_rows(s, r);
		break;
	default:
		begin_star(s, r);
		r->added = s->c.rank != 0;
	}
}

int
star_add_sum(struct star *s, struct star_sum *r)
{
	switch (r->way) {
	case WAY_DIRECT:
		return -1;
	case WAY_SCATTER:
		add_scatter(s, r);
		break;
	case WAY_ROWS:
		star_add_rows(s, r);
		break;
	default:
		add_star(s, r);
	}
	r->added = true;
	return 0;
}

void
star_finish_sum(struct star *s, struct star_sum *r)
{
	switch (r->way) {
	case WAY_DIRECT:
		star_add_parts(s, r->rows, r->frame.rows);
		break;
	case WAY_SCATTER:
		finish_scatter(s, r);
		break;
	case WAY_ROWS:
		star_finish_rows(s, r);
		break;
	default:
		finish_star(s, r);
	}
}
