#include "daemon/star.h"

#include "daemon/star_int.h"
#include "daemon/turn.h"

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

int
star_broken_err(const struct star *s, struct err *err)
{
	return err_set(err, "%s%s%s", s->who, s->who[0] != '\0' ? " was lost: " : "", s->why.msg);
}

/* --- waiting ------------------------------------------------------------------------------------ */

/* Turns the loop once: without sleeping while the wait is young, else until something happens or
 * the limit is reached. */
static void
turn(struct star *s, struct spin *spin, uint64_t waited_ns, uint64_t limit_ms)
{
	uint64_t waited_ms = waited_ns / 1000000;

	if (spin_on(spin)) {
		uv_run(s->loop, UV_RUN_NOWAIT);
		return;
	}
	turn_wake_in(&s->timer, limit_ms > waited_ms ? limit_ms - waited_ms : 0, NULL);
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
			star_blame(&s->peers[i], why);
}

int
star_wait_for(struct star *s, bool (*late)(const struct star_peer *p), struct err *err)
{
	uint64_t limit_ms = s->c.rank == 0 ? STAR_ANSWER_MS : MEMBER_WAIT_MS;
	uint64_t start = 0, waited = 0;
	struct spin spin = spin_begin(&s->spins);

	for (;;) {
		bool all = true;

		star_advance(s);
		if (s->broken)
			return star_broken_err(s, err);
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
			turn(s, &spin, waited, limit_ms);
	}
}

static bool
is_unsent(const struct star_peer *p)
{
	return p->link != NULL && link_queued(p->link) > 0;
}

int
star_flush(struct star *s, struct err *err)
{
	return star_wait_for(s, is_unsent, err);
}

void
star_drain(struct star *s)
{
	struct spin spin = spin_begin(&s->spins);
	uint64_t start = uv_hrtime(), waited = 0;
	bool unsent = true;

	while (unsent && waited / 1000000 < STAR_DRAIN_MS) {
		unsent = false;
		for (uint32_t i = 0; i < s->n_peers; i++)
			unsent = unsent || is_unsent(&s->peers[i]);
		if (unsent)
			turn(s, &spin, waited, STAR_DRAIN_MS);
		waited = uv_hrtime() - start;
	}
}

/* --- frames ------------------------------------------------------------------------------------- */

void
star_send(struct star_peer *p, const uint8_t *head, size_t head_len, const void *body,
	size_t body_len)
{
	struct star *s = p->star;

	/* If it takes nothing any more its end is on its way, and maybe, before it, whose fault that is. */
	if (p->link != NULL && link_send(p->link, head, head_len, body, body_len) == 0)
		s->sent += head_len + body_len;
}

struct frame
star_frame(const struct star *s, enum frame_kind kind, enum frame_format format, uint32_t rows,
	uint32_t width)
{
	return (struct frame){.epoch = s->c.epoch,
		.step = s->step,
		.kind = (uint8_t)kind,
		.format = (uint8_t)format,
		.rows = rows,
		.width = width};
}

int
star_step(struct star *s, const struct step_row *rows, uint32_t n, uint32_t first, const float *x,
	struct err *err)
{
	struct frame f;
	uint8_t *p;
	size_t bytes = frame_payload(FRAME_F32, n, s->c.embd);

	if (s->broken)
		return star_broken_err(s, err);
	s->step++;
	s->format = star_format(&s->c, n);
	s->in_step = true;
	f = star_frame(s, FRAME_STEP, FRAME_F32, n, s->c.embd);
	p = step_rows_write(rows, n, s->head + FRAME_HEADER, s->wants, &s->n_wants);
	f.layer = (uint16_t)first;
	f.extra = s->n_wants;
	frame_write(&f, s->head);
	frame_pack(FRAME_F32, x, n, s->c.embd, s->out);
	for (uint32_t i = 0; i < s->n_peers; i++)
		star_send(&s->peers[i], s->head, (size_t)(p - s->head), s->out, bytes);
	return star_flush(s, err);
}

void
star_end(struct star *s)
{
	s->in_step = false;
}

bool
star_next(struct star *s, struct step_row *rows, float *x, uint32_t *n, uint32_t *first)
{
	struct star_peer *p = &s->peers[0];
	struct spin spin = spin_begin(&s->spins);
	const uint8_t *in = p->other.data;

	/* Once at least: a step that came with the end of the handshake is delivered by a timer, and
	 * a blocking turn would run that and then sleep. */
	do
		uv_run(s->loop, UV_RUN_NOWAIT);
	while (!p->have_other && !s->broken && spin_on(&spin));
	if (!p->have_other && !s->broken)
		uv_run(s->loop, UV_RUN_ONCE);
	if (!p->have_other || s->broken)
		return false;
	*n = p->other.frame.rows;
	*first = p->other.frame.layer;
	in = step_rows_read(in, *n, rows, s->wants, &s->n_wants);
	frame_unpack(FRAME_F32, in, *n, s->c.embd, x, 0);
	s->step = p->other.frame.step;
	s->format = star_format(&s->c, *n);
	p->have_other = false;
	return true;
}

/* --- giving up ---------------------------------------------------------------------------------- */

static void
send_void(struct star *s, uint32_t blamed)
{
	struct frame f = star_frame(s, FRAME_VOID, FRAME_F32, 0, 0);
	uint8_t head[FRAME_HEADER];

	f.extra = blamed;
	frame_write(&f, head);
	for (uint32_t i = 0; i < s->n_peers; i++)
		if (s->peers[i].rank != blamed && s->peers[i].link != NULL)
			star_send(&s->peers[i], head, sizeof head, NULL, 0);
}

void
star_void(struct star *s)
{
	if (!s->broken)
		send_void(s, s->c.rank);
}

void
star_lose(struct star *s, uint32_t blamed, const char *why)
{
	if (s->broken)
		return;
	star_break(s, s->names[blamed], why);
	send_void(s, blamed);
}

void
star_blame(struct star_peer *p, const char *why)
{
	star_lose(p->star, p->rank, why);
}
