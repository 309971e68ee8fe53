/* Reductions: they begin, travel, and finish in the order in which they began. Two may be under way, so
 * that the forward pass computes one sub-batch of rows while the sums of the other travel.
 *
 * Frames of one kind come in the order of reductions, also those that a peer sends ahead of us: each is
 * compared with what is due as soon as both are known. */
#include "daemon/star_int.h"

/* What scatter has to save on the busiest link to be worth its second hop: the time of 24 KiB is
 * 0.2 ms at 1 Gbit/s, a round trip of a wired home. */
#define WORTH_A_HOP (24u << 10)

static uint32_t
rows_from(const struct star_config *c)
{
	return c->way == WAY_ROWS ? 2 : COLLECTIVE_ROWS_FROM;
}

static bool
by_rows(const struct collective *c, uint32_t n)
{
	const struct star *s = (const struct star *)c;

	return s->rows_fit && n >= rows_from(&s->c);
}

enum frame_format
star_format(const struct star_config *c, uint32_t step_rows)
{
	return step_rows >= COLLECTIVE_ROWS_FROM ? c->format.prompt : c->format.token;
}

/* Of reductions that do not go by rows. */
static enum collective_way
way_of(const struct star_config *c, enum frame_format format, uint32_t rows)
{
	size_t peers = c->peers, bytes = frame_payload(format, rows, c->embd);

	if (c->way != WAY_AUTO && c->way != WAY_ROWS)
		return c->way;
	/* Direct sends peers - 1 times all of it, scatter two times its peers - 1 parts. */
	return bytes * (peers - 1) * (peers - 2) / peers > WORTH_A_HOP ? WAY_SCATTER : WAY_DIRECT;
}

bool
star_alike(const struct star_config *c, uint32_t a, uint32_t b)
{
	bool by_rows_too = star_rows_fit(c) && (a >= rows_from(c)) != (b >= rows_from(c));

	return star_format(c, a) == star_format(c, b) && !by_rows_too &&
	       way_of(c, star_format(c, a), a) == way_of(c, star_format(c, b), b);
}

/* --- what is due -------------------------------------------------------------------------------- */

bool
star_next_due(const struct star_peer *p, enum frame_kind kind, uint32_t behind, struct frame *due)
{
	const struct star *s = p->star;

	for (uint32_t i = 0; i < s->n_under_way; i++)
		if (star_sum_needs(p, &s->under_way[i], kind, due) && behind-- == 0)
			return true;
	return false;
}

/* What came of a reduction before it began here. */
static int
check_early(struct star_peer *p, enum frame_kind kind, struct err *err)
{
	const struct star_queue *q = star_queue_of(p, kind);
	struct frame due;

	for (uint32_t i = 0; i < q->n && star_next_due(p, kind, i, &due); i++)
		if (star_check_due(&q->list[i].frame, &due, err) != 0) {
			star_blame(p, err->msg);
			return -1;
		}
	return 0;
}

/* A member has ended the step before its sums. */
static int
check_logits(struct star_peer *p, struct err *err)
{
	struct frame due;

	if (p->star->c.rank != 0 || !p->have_other ||
		!(star_next_due(p, FRAME_PART, p->parts.n, &due) ||
			star_next_due(p, FRAME_SUM, p->sums.n, &due)))
		return 0;
	star_check_due(&p->other.frame, &due, err);
	star_blame(p, err->msg);
	return -1;
}

static int
check_all_early(struct star *s, struct err *err)
{
	for (uint32_t i = 0; i < s->n_peers; i++) {
		struct star_peer *p = &s->peers[i];

		if (check_early(p, FRAME_PART, err) != 0 || check_early(p, FRAME_SUM, err) != 0 ||
			check_logits(p, err) != 0)
			return star_broken_err(s, err);
	}
	return 0;
}

/* The next frame of this kind that the first reduction needs of the peer is not there. */
static bool
lacks(const struct star_peer *p, enum frame_kind kind)
{
	const struct star_queue *q = kind == FRAME_PART ? &p->parts : &p->sums;
	struct frame due;

	return star_sum_needs(p, &p->star->under_way[0], kind, &due) && q->n == 0;
}

static bool
lacks_part(const struct star_peer *p)
{
	return lacks(p, FRAME_PART);
}

static bool
lacks_sum(const struct star_peer *p)
{
	return lacks(p, FRAME_SUM);
}

/* --- on their way ------------------------------------------------------------------------------- */

static bool
has_all_parts(const struct star *s, const struct star_sum *r)
{
	struct frame due;

	for (uint32_t i = 0; i < s->n_peers; i++)
		if (star_sum_needs(&s->peers[i], r, FRAME_PART, &due) && s->peers[i].parts.n == 0)
			return false;
	return true;
}

/* In their order: the parts of one lie before those of the next. */
void
star_advance(struct star *s)
{
	for (uint32_t i = 0; i < s->n_under_way && !s->broken; i++) {
		struct star_sum *r = &s->under_way[i];

		if (!r->added && (!has_all_parts(s, r) || star_add_sum(s, r) != 0))
			return;
	}
}

static int
begin_rows(struct collective *c, float *rows, uint32_t n, uint32_t width,
	const struct collective_label *label, const struct collective_rows *made, struct err *err)
{
	struct star *s = (struct star *)c;
	uint64_t start = uv_hrtime();
	struct star_sum *r = &s->under_way[s->n_under_way];

	if (s->broken)
		return star_broken_err(s, err);
	if (n == 0 || n > s->c.max_rows || width != s->c.embd)
		return err_set(err, "a sum of %u x %u rows does not fit the plan", n, width);
	if (s->n_under_way == COLLECTIVE_AT_ONCE)
		return err_set(err, "more than %d sums are under way", COLLECTIVE_AT_ONCE);
	/* Of the one before too much may still be to be written: that would be queued without end. */
	if (star_flush(s, err) != 0)
		return -1;
	*r = (struct star_sum){.frame = star_frame(s, FRAME_PART, s->format, n, width),
		.way = made != NULL ? WAY_ROWS : way_of(&s->c, s->format, n),
		.rows = rows,
		.made = made};
	r->frame.layer = (uint16_t)label->layer;
	r->frame.extra = label->phase + 2 * label->part;
	s->n_under_way++;
	if (check_all_early(s, err) != 0)
		return -1;
	star_begin_sum(s, r);
	s->reduce_ns += uv_hrtime() - start;
	return 0;
}

static int
begin(struct collective *c, float *rows, uint32_t n, uint32_t width,
	const struct collective_label *label, struct err *err)
{
	return begin_rows(c, rows, n, width, label, NULL, err);
}

static int
finish(struct collective *c, struct err *err)
{
	struct star *s = (struct star *)c;
	uint64_t start = uv_hrtime();

	if (s->broken)
		return star_broken_err(s, err);
	if (s->n_under_way == 0)
		return err_set(err, "no sum is under way");
	if (star_wait_for(s, lacks_part, err) != 0)
		return -1;
	star_advance(s);
	if (star_wait_for(s, lacks_sum, err) != 0)
		return -1;
	star_finish_sum(s, &s->under_way[0]);
	memmove(s->under_way, s->under_way + 1, --s->n_under_way * sizeof *s->under_way);
	if (s->n_under_way == 0 && star_flush(s, err) != 0)
		return -1;
	s->reduce_ns += uv_hrtime() - start;
	return 0;
}

static void
tend(struct collective *c)
{
	struct star *s = (struct star *)c;

	if (s->broken)
		return;
	uv_run(s->loop, UV_RUN_NOWAIT);
	star_advance(s);
}

const struct collective star_reductions = {.by_rows = by_rows,
	.begin = begin,
	.begin_rows = begin_rows,
	.finish = finish,
	.tend = tend};
