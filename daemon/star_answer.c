/* What members say of their logits at the end of a step: of each row that wants them the best tokens
 * of their vocabulary slice, or the whole slice where the row's flags want that, or where the hub
 * asks for it because the best tokens did not decide. */
#include "daemon/best_bytes.h"
#include "daemon/star_int.h"

/* --- hub ---------------------------------------------------------------------------------------- */

static bool
lacks_logits(const struct star_peer *p)
{
	return p->owes && !p->have_other;
}

/* Waits for what the members say of so many rows. */
static int
collect_logits(struct star *s, uint32_t rows, uint32_t whole, struct err *err)
{
	struct frame f = star_frame(s, FRAME_LOGITS, FRAME_F32, rows, 0);

	f.extra = whole;
	for (uint32_t i = 0; i < s->n_peers; i++) {
		struct star_peer *p = &s->peers[i];

		f.width = s->slices[p->rank].vocab;
		p->due = f;
		p->owes = f.width > 0;
		/* It may have come before it was awaited. */
		if (p->owes && p->have_other && star_check_due(&p->other.frame, &f, err) != 0)
			star_blame(p, err->msg);
	}
	return star_wait_for(s, lacks_logits, err);
}

/* What a member has said is used: it may say something else. */
static void
used_logits(struct star_peer *p)
{
	p->have_other = p->have_other && !p->owes;
	p->owes = false;
}

static void
place_own(const struct star *s, const float *own, float *row)
{
	const struct slice *mine = &s->slices[0];

	if (mine->vocab > 0)
		memcpy(row + mine->vocab0, own, mine->vocab * sizeof *own);
}

static void
own_part(const struct star *s, const float *own, struct best *best, float *whole)
{
	const struct slice *mine = &s->slices[0];

	for (uint32_t i = 0; i < s->n_wants; i++, own += mine->vocab) {
		best[i] = (struct best){0};
		if ((s->wants[i] & STEP_WHOLE) != 0)
			place_own(s, own, whole + (size_t)i * s->c.vocab);
		else if (mine->vocab > 0)
			best_of(&best[i], own, mine->vocab, mine->vocab0,
				(s->wants[i] & STEP_SUM) != 0);
	}
}

static int
peers_part(struct star_peer *p, struct best *best, float *whole, struct err *err)
{
	const struct star *s = p->star;
	const struct slice *sl = &s->slices[p->rank];
	const uint8_t *in = p->other.data;
	struct best b;

	for (uint32_t i = 0; i < s->n_wants; i++) {
		if ((s->wants[i] & STEP_WHOLE) != 0)
			continue;
		if (best_unpack(in, sl->vocab0, sl->vocab, s->wants[i], &b, err) != 0)
			return -1;
		best_merge(&best[i], &b);
		in += frame_best(sl->vocab);
	}
	for (uint32_t i = 0; i < s->n_wants; i++) {
		if ((s->wants[i] & STEP_WHOLE) == 0)
			continue;
		frame_unpack(FRAME_F32, in, 1, sl->vocab,
			whole + (size_t)i * s->c.vocab + sl->vocab0, 0);
		in += sl->vocab * sizeof(float);
	}
	return 0;
}

int
star_gather(struct star *s, const float *own, struct best *best, float *whole, struct err *err)
{
	uint32_t n_whole = best_count_whole(s->wants, s->n_wants);

	if (s->n_wants > 0 && collect_logits(s, s->n_wants - n_whole, n_whole, err) != 0)
		return -1;
	own_part(s, own, best, whole);
	for (uint32_t i = 0; i < s->n_peers && s->n_wants > 0; i++) {
		struct star_peer *p = &s->peers[i];

		if (p->owes && peers_part(p, best, whole, err) != 0) {
			star_blame(p, err->msg);
			return star_broken_err(s, err);
		}
		used_logits(p);
	}
	s->in_step = false;
	return 0;
}

int
star_ask(struct star *s, const uint32_t *which, uint32_t n, const float *own, float *whole,
	struct err *err)
{
	struct frame f = star_frame(s, FRAME_ASK, FRAME_F32, n, 0);

	frame_write(&f, s->head);
	for (uint32_t i = 0; i < n; i++)
		put_le32(s->head + FRAME_HEADER + 4 * i, which[i]);
	for (uint32_t i = 0; i < s->n_peers; i++)
		if (s->slices[s->peers[i].rank].vocab > 0)
			star_send(&s->peers[i], s->head, FRAME_HEADER + 4 * (size_t)n, NULL, 0);
	s->in_step = true;
	if (collect_logits(s, 0, n, err) != 0)
		return -1;
	s->in_step = false;
	for (uint32_t i = 0; i < n; i++)
		place_own(s, own + (size_t)which[i] * s->slices[0].vocab,
			whole + (size_t)which[i] * s->c.vocab);
	for (uint32_t i = 0; i < s->n_peers; i++) {
		struct star_peer *p = &s->peers[i];
		const struct slice *sl = &s->slices[p->rank];

		for (uint32_t k = 0; k < n && p->owes; k++)
			frame_unpack(FRAME_F32,
				p->other.data + (size_t)k * sl->vocab * sizeof(float), 1, sl->vocab,
				whole + (size_t)which[k] * s->c.vocab + sl->vocab0, 0);
		used_logits(p);
	}
	return 0;
}

/* --- member ------------------------------------------------------------------------------------- */

static void
send_logits(struct star *s, uint32_t rows, uint32_t whole, size_t bytes)
{
	struct frame f = star_frame(s, FRAME_LOGITS, FRAME_F32, rows, s->slices[s->c.rank].vocab);
	uint8_t head[FRAME_HEADER];

	f.extra = whole;
	frame_write(&f, head);
	star_send(&s->peers[0], head, sizeof head, s->out, bytes);
}

int
star_answer(struct star *s, const float *logits, struct err *err)
{
	const struct slice *mine = &s->slices[s->c.rank];
	uint32_t n_whole = best_count_whole(s->wants, s->n_wants);
	uint8_t *out = s->out;
	struct best b;

	if (s->broken)
		return star_broken_err(s, err);
	if (s->n_wants == 0 || mine->vocab == 0)
		return 0;
	for (uint32_t i = 0; i < s->n_wants; i++) {
		if ((s->wants[i] & STEP_WHOLE) != 0)
			continue;
		best_of(&b, logits + (size_t)i * mine->vocab, mine->vocab, mine->vocab0,
			(s->wants[i] & STEP_SUM) != 0);
		out = best_pack(&b, out);
	}
	for (uint32_t i = 0; i < s->n_wants; i++) {
		if ((s->wants[i] & STEP_WHOLE) == 0)
			continue;
		frame_pack(FRAME_F32, logits + (size_t)i * mine->vocab, 1, mine->vocab, out);
		out += mine->vocab * sizeof(float);
	}
	s->given = logits;
	send_logits(s, s->n_wants - n_whole, n_whole, (size_t)(out - s->out));
	return s->broken ? star_broken_err(s, err) : 0;
}

int
star_asked(struct star *s, const struct frame *f, const uint8_t *which, struct err *err)
{
	uint32_t vocab = s->slices[s->c.rank].vocab;
	size_t bytes = vocab * sizeof(float);

	if (s->given == NULL || f->step != s->step || f->rows == 0 || f->rows > s->n_wants)
		return err_set(err, "it asks for %u rows of step %u, which did not end here",
			f->rows, f->step);
	for (uint32_t i = 0; i < f->rows; i++) {
		uint32_t row = get_le32(which + (size_t)i * 4);

		if (row >= s->n_wants)
			return err_set(err, "it asks for row %u of %u", row, s->n_wants);
		frame_pack(FRAME_F32, s->given + (size_t)row * vocab, 1, vocab, s->out + i * bytes);
	}
	send_logits(s, 0, f->rows, f->rows * bytes);
	return 0;
}
