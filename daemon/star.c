#include "daemon/star.h"

#include "daemon/star_int.h"

#include <stdio.h>

#define MEMBER_WAIT_MS (2 * STAR_ANSWER_MS) /* the hub waits for the others first */

/* --- trouble ------------------------------------------------------------------------------------ */

void
star_break(struct star *s, const char *who, const char *why)
{
	if (s->broken)
		return;
	s->broken = true;
	snprintf(s->who, sizeof s->who, "%s", who);
	err_set(&s->why, "%s", why);
}

bool
star_broken(const struct star *s)
{
	return s->broken;
}

const char *
star_broken_who(const struct star *s)
{
	return s->who;
}

const char *
star_broken_why(const struct star *s)
{
	return s->why.msg;
}

static int
broken_err(const struct star *s, struct err *err)
{
	return err_set(err, "%s%s%s", s->who, s->who[0] != '\0' ? " was lost: " : "", s->why.msg);
}

/* --- waiting ------------------------------------------------------------------------------------ */

static void
on_timer(uv_timer_t *t)
{
	(void)t; /* only wakes a blocking turn of the loop */
}

/* Turns the loop once: without sleeping while the wait is young, else until something happens or
 * the limit is reached. */
static void
turn(struct star *s, uint64_t waited_ns, uint64_t limit_ms)
{
	uint64_t waited_ms = waited_ns / 1000000;

	if (waited_ns < s->spin_ns) {
		uv_run(s->loop, UV_RUN_NOWAIT);
		return;
	}
	uv_update_time(s->loop);
	uv_timer_start(&s->timer, on_timer, limit_ms > waited_ms ? limit_ms - waited_ms : 0, 0);
	uv_run(s->loop, UV_RUN_ONCE);
	uv_timer_stop(&s->timer);
}

static void
break_late(struct star *s, uint64_t limit_ms, bool (*late)(const struct star_peer *p))
{
	char why[128];

	snprintf(why, sizeof why, "it did not answer within %llu s although its link is up",
		(unsigned long long)limit_ms / 1000);
	for (uint32_t i = 0; i < s->n_peers; i++)
		if (late(&s->peers[i]))
			star_break(s, s->names[s->peers[i].rank], why);
}

/* Waits until no peer is late any more. */
static int
wait_for(struct star *s, bool (*late)(const struct star_peer *p), struct err *err)
{
	uint64_t limit_ms = s->c.rank == 0 ? STAR_ANSWER_MS : MEMBER_WAIT_MS;
	uint64_t start = 0, waited = 0;

	for (;;) {
		bool all = true;

		if (s->broken)
			return broken_err(s, err);
		for (uint32_t i = 0; i < s->n_peers; i++)
			all = all && !late(&s->peers[i]);
		if (all)
			return 0;
		if (start == 0)
			start = uv_hrtime();
		else
			waited = uv_hrtime() - start;
		if (waited / 1000000 >= limit_ms)
			break_late(s, limit_ms, late);
		else
			turn(s, waited, limit_ms);
	}
}

static bool
is_unheard(const struct star_peer *p)
{
	return !p->have;
}

static bool
is_unsent(const struct star_peer *p)
{
	return p->link != NULL && link_queued(p->link) > 0;
}

static bool
owes_sum(const struct star_peer *p)
{
	return p->star->wanting;
}

static bool
owes_logits(const struct star_peer *p)
{
	return !p->have && p->star->slices[p->rank].vocab > 0;
}

/* --- exchanges ---------------------------------------------------------------------------------- */

static void
send_to(struct star_peer *p, const uint8_t *head, size_t head_len, const void *body,
	size_t body_len)
{
	struct star *s = p->star;

	if (p->link == NULL || link_send(p->link, head, head_len, body, body_len) != 0) {
		star_break(s, s->names[p->rank], "its link takes nothing any more");
		return;
	}
	s->sent += head_len + body_len;
}

static struct frame
frame_of(const struct star *s, enum frame_kind kind, enum frame_format format, uint32_t rows,
	uint32_t width)
{
	return (struct frame){.epoch = s->c.epoch,
		.step = s->step,
		.kind = (uint8_t)kind,
		.format = (uint8_t)format,
		.rows = rows,
		.width = width};
}

/* Waits for the frame that is due from every peer, those that came early included. */
static int
collect(struct star *s, const struct frame *due, bool (*late)(const struct star_peer *p),
	struct err *err)
{
	int result;

	s->want = *due;
	s->wanting = true;
	for (uint32_t i = 0; i < s->n_peers; i++) {
		struct star_peer *p = &s->peers[i];

		if (p->have && star_check_due(s, p, &p->frame, err) != 0)
			star_break(s, s->names[p->rank], err->msg);
	}
	result = wait_for(s, late, err);
	s->wanting = false;
	return result;
}

static int
hub_allreduce(struct star *s, const struct frame *label, float *rows, struct err *err)
{
	enum frame_format format = s->c.format;
	size_t bytes = frame_payload(format, label->rows, label->width);
	struct frame f = *label;
	uint8_t head[FRAME_HEADER];

	f.kind = FRAME_PART;
	if (collect(s, &f, is_unheard, err) != 0)
		return -1;
	for (uint32_t i = 0; i < s->n_peers; i++) {
		frame_unpack(format, s->peers[i].data, f.rows, f.width, rows, 1);
		s->peers[i].have = false;
	}
	frame_pack(format, rows, f.rows, f.width, s->out);
	if (format != FRAME_F32) /* the hub must hold what the members will hold */
		frame_unpack(format, s->out, f.rows, f.width, rows, 0);
	f.kind = FRAME_SUM;
	frame_write(&f, head);
	for (uint32_t i = 0; i < s->n_peers; i++)
		send_to(&s->peers[i], head, sizeof head, s->out, bytes);
	/* The hub computes next and does not turn the loop: nothing may lie here meanwhile. */
	return wait_for(s, is_unsent, err);
}

static int
member_allreduce(struct star *s, const struct frame *label, float *rows, struct err *err)
{
	enum frame_format format = s->c.format;
	size_t bytes = frame_payload(format, label->rows, label->width);
	struct frame f = *label;
	uint8_t head[FRAME_HEADER];

	f.kind = FRAME_PART;
	frame_write(&f, head);
	frame_pack(format, rows, f.rows, f.width, s->out);
	send_to(&s->peers[0], head, sizeof head, s->out, bytes);
	f.kind = FRAME_SUM;
	s->want = f;
	s->wanting = true;
	s->sum = rows;
	return wait_for(s, owes_sum, err);
}

int
star_allreduce(struct collective *c, float *rows, uint32_t n, uint32_t width, uint32_t layer,
	uint32_t phase, struct err *err)
{
	struct star *s = (struct star *)c;
	uint64_t start = uv_hrtime();
	struct frame f = frame_of(s, FRAME_PART, s->c.format, n, width);
	int result;

	if (s->broken)
		return broken_err(s, err);
	if (n > s->c.max_rows || width != s->c.embd)
		return err_set(err, "a sum of %u x %u rows does not fit the plan", n, width);
	f.layer = (uint16_t)layer;
	f.extra = phase;
	result = s->c.rank == 0 ? hub_allreduce(s, &f, rows, err)
				: member_allreduce(s, &f, rows, err);
	s->reduce_ns += uv_hrtime() - start;
	return result;
}

int
star_step(struct star *s, const struct step_row *rows, uint32_t n, const float *x, uint32_t logits,
	struct err *err)
{
	struct frame f;
	uint8_t *p = s->head + FRAME_HEADER;
	size_t bytes = frame_payload(FRAME_F32, n, s->c.embd);

	if (s->broken)
		return broken_err(s, err);
	s->step++;
	s->in_step = true;
	f = frame_of(s, FRAME_STEP, FRAME_F32, n, s->c.embd);
	f.extra = logits;
	frame_write(&f, s->head);
	for (uint32_t i = 0; i < n; i++, p += STEP_ROW_BYTES) {
		put_le32(p, rows[i].slot);
		put_le32(p + 4, rows[i].pos);
		put_le32(p + 8, rows[i].flags);
	}
	frame_pack(FRAME_F32, x, n, s->c.embd, s->out);
	for (uint32_t i = 0; i < s->n_peers; i++)
		send_to(&s->peers[i], s->head, (size_t)(p - s->head), s->out, bytes);
	return wait_for(s, is_unsent, err);
}

int
star_gather(struct star *s, const float *own, uint32_t rows, float *out, struct err *err)
{
	const struct slice *mine = &s->slices[0];
	struct frame f = frame_of(s, FRAME_LOGITS, FRAME_F32, rows, 0);

	if (rows > 0 && collect(s, &f, owes_logits, err) != 0)
		return -1;
	for (uint32_t r = 0; r < rows && mine->vocab > 0; r++)
		memcpy(out + (size_t)r * s->c.vocab + mine->vocab0, own + (size_t)r * mine->vocab,
			mine->vocab * sizeof *out);
	for (uint32_t i = 0; i < s->n_peers && rows > 0; i++) {
		struct star_peer *p = &s->peers[i];
		const struct slice *sl = &s->slices[p->rank];

		for (uint32_t r = 0; r < rows && p->have; r++)
			frame_unpack(FRAME_F32, p->data + (size_t)r * sl->vocab * sizeof *out, 1,
				sl->vocab, out + (size_t)r * s->c.vocab + sl->vocab0, 0);
		p->have = false;
	}
	s->in_step = false;
	return 0;
}

bool
star_next(struct star *s, struct step_row *rows, float *x, uint32_t *n, uint32_t *logits)
{
	struct star_peer *p = &s->peers[0];
	uint64_t start = uv_hrtime();
	const uint8_t *in = p->data;

	/* Once at least: a step that came with the end of the handshake is delivered by a timer, and
	 * a blocking turn would run that and then sleep. */
	do
		uv_run(s->loop, UV_RUN_NOWAIT);
	while (!p->have && !s->broken && uv_hrtime() - start < s->spin_ns);
	if (!p->have && !s->broken)
		uv_run(s->loop, UV_RUN_ONCE);
	if (!p->have || s->broken)
		return false;
	*n = p->frame.rows;
	*logits = p->frame.extra;
	for (uint32_t i = 0; i < *n; i++, in += STEP_ROW_BYTES)
		rows[i] = (struct step_row){get_le32(in), get_le32(in + 4), get_le32(in + 8)};
	frame_unpack(FRAME_F32, in, *n, s->c.embd, x, 0);
	s->step = p->frame.step;
	p->have = false;
	return true;
}

int
star_answer(struct star *s, const float *logits, uint32_t rows, struct err *err)
{
	uint32_t vocab = s->slices[s->c.rank].vocab;
	struct frame f = frame_of(s, FRAME_LOGITS, FRAME_F32, rows, vocab);
	uint8_t head[FRAME_HEADER];

	if (rows > 0 && vocab > 0) {
		frame_write(&f, head);
		frame_pack(FRAME_F32, logits, rows, vocab, s->out);
		send_to(&s->peers[0], head, sizeof head, s->out,
			frame_payload(FRAME_F32, rows, vocab));
	}
	return s->broken ? broken_err(s, err) : 0;
}

void
star_void(struct star *s)
{
	struct frame f = frame_of(s, FRAME_VOID, FRAME_F32, 0, 0);
	uint8_t head[FRAME_HEADER];

	frame_write(&f, head);
	if (!s->broken)
		send_to(&s->peers[0], head, sizeof head, NULL, 0);
}
