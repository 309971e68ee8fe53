#include "daemon/ring.h"

#include "daemon/ring_int.h"
#include "daemon/turn.h"

#include <stdio.h>

/* --- trouble ------------------------------------------------------------------------------------ */

bool
ring_broken(const struct ring *r)
{
	return r->broken;
}

const char *
ring_broken_who(const struct ring *r)
{
	return r->who;
}

const char *
ring_broken_why(const struct ring *r)
{
	return r->why.msg;
}

static int
broken_err(const struct ring *r, struct err *err)
{
	return err_set(err, "%s%s%s", r->who, r->who[0] != '\0' ? " was lost: " : "", r->why.msg);
}

static struct frame
ring_frame(const struct ring *r, enum frame_kind kind, uint32_t rows, uint32_t width)
{
	return (struct frame){.epoch = r->c.epoch,
		.step = r->step,
		.kind = (uint8_t)kind,
		.format = FRAME_F32,
		.rows = rows,
		.width = width};
}

static void
send_void(struct ring_peer *p, uint32_t blamed)
{
	struct frame f = ring_frame(p->ring, FRAME_VOID, 0, 0);
	uint8_t head[FRAME_HEADER];

	f.extra = blamed;
	frame_write(&f, head);
	link_send(p->link, head, sizeof head, NULL, 0);
}

void
ring_stop(struct ring *r, const char *why)
{
	if (r->broken)
		return;
	r->broken = true;
	err_set(&r->why, "%s", why);
}

void
ring_break(struct ring *r, uint32_t blamed, const char *why)
{
	if (r->broken)
		return;
	ring_stop(r, why);
	if (blamed < r->c.n_names && blamed != r->c.own)
		snprintf(r->who, sizeof r->who, "%s", r->names[blamed]);
	for (uint32_t i = 0; i < r->n_peers; i++)
		if (r->peers[i].link != NULL && r->peers[i].number != blamed)
			send_void(&r->peers[i], blamed);
}

/* --- waiting ------------------------------------------------------------------------------------ */

static void
sleep_once(struct ring *r, uint64_t limit_ms)
{
	if (limit_ms > 0)
		turn_wake_in(&r->timer, limit_ms, NULL);
	uv_run(r->loop, UV_RUN_ONCE);
	if (limit_ms > 0)
		uv_timer_stop(&r->timer);
}

/* Milliseconds until the answer that the coordinator waits for is too late; 0: it waits for none. */
static uint64_t
time_left(struct ring *r)
{
	uint64_t waited = (uv_hrtime() - r->progress) / 1000000;

	if (r->c.stage != 0 || ring_under_way(r) == 0)
		return 0;
	if (waited < RING_ANSWER_MS)
		return RING_ANSWER_MS - waited;
	ring_break(r, RING_NOBODY, "a step did not come back although all links are up");
	return 0;
}

void
ring_wait(struct ring *r, const bool *woken)
{
	struct spin spin = spin_begin(&r->spins);
	uint64_t left;

	/* Once at least, also for the sake of what came with the end of the handshake: a timer
	 * delivers that, and a blocking turn would run it and then sleep. */
	do
		uv_run(r->loop, UV_RUN_NOWAIT);
	while (r->n == 0 && !r->broken && !*woken && spin_on(&spin));
	if (r->n > 0 || r->broken || *woken)
		return;
	left = time_left(r);
	if (!r->broken)
		sleep_once(r, left);
}

/* Until all is written: who computes next does not turn the loop. Meanwhile the others' frames are
 * taken in, so that no circle of full links can stand still. */
static int
flush(struct ring *r, const struct ring_peer *p, struct err *err)
{
	uint64_t start = uv_hrtime(), waited;

	while (!r->broken && p->link != NULL && link_queued(p->link) > 0) {
		waited = (uv_hrtime() - start) / 1000000;
		if (waited >= RING_ANSWER_MS)
			ring_break(r, p->number, "it takes nothing although its link is up");
		else
			sleep_once(r, RING_ANSWER_MS - waited);
	}
	return r->broken ? broken_err(r, err) : 0;
}

static int
send_on(struct ring *r, size_t head_len, size_t body_len, struct err *err)
{
	struct ring_peer *p = &r->peers[0];

	if (r->broken)
		return broken_err(r, err);
	/* If it takes nothing any more its end is on its way, and maybe, before it, whose fault that is. */
	if (p->link != NULL && link_send(p->link, r->head, head_len, r->out, body_len) == 0)
		r->sent += head_len + body_len;
	return flush(r, p, err);
}

/* --- steps -------------------------------------------------------------------------------------- */

uint32_t
ring_under_way(const struct ring *r)
{
	return r->step - r->answered;
}

int
ring_pass(struct ring *r, const struct step_row *rows, uint32_t n, const float *x, struct err *err)
{
	struct ring_step *s = &r->taken;
	struct frame f;
	uint8_t *end;

	if (r->c.stage == 0) {
		if (ring_under_way(r) == r->depth)
			return err_set(err, "more than %u steps are under way", r->depth);
		if (ring_under_way(r) == 0)
			r->progress = uv_hrtime();
		s = &r->under_way[++r->step % r->depth];
	}
	f = ring_frame(r, FRAME_STEP, n, r->c.embd);
	end = step_rows_write(rows, n, r->head + FRAME_HEADER, s->wants, &s->n_wants);
	f.extra = s->n_wants;
	f.format = (uint8_t)r->c.format;
	frame_write(&f, r->head);
	frame_pack(r->c.format, x, n, r->c.embd, r->out);
	return send_on(r, (size_t)(end - r->head), frame_payload(r->c.format, n, r->c.embd), err);
}

/* What came first is used. */
static void
used(struct ring *r)
{
	r->first = (r->first + 1) % r->depth;
	r->n--;
}

bool
ring_take(struct ring *r, struct step_row *rows, float *x, uint32_t *n)
{
	const struct ring_message *m = &r->queue[r->first];
	const uint8_t *hidden;

	if (r->n == 0 || r->broken)
		return false;
	*n = m->frame.rows;
	hidden = step_rows_read(m->data, *n, rows, r->taken.wants, &r->taken.n_wants);
	frame_unpack(r->c.format, hidden, *n, r->c.embd, x, 0);
	r->step = m->frame.step;
	used(r);
	return true;
}

/* --- answers ------------------------------------------------------------------------------------ */

int
ring_give(struct ring *r, const struct best *best, const float *whole, struct err *err)
{
	const struct ring_step *s = &r->taken;
	uint32_t n_whole = best_count_whole(s->wants, s->n_wants);
	struct frame f = ring_frame(r, FRAME_LOGITS, s->n_wants - n_whole, r->c.vocab);
	uint8_t *out = r->out;

	f.extra = n_whole;
	frame_write(&f, r->head);
	for (uint32_t i = 0; i < s->n_wants; i++)
		if ((s->wants[i] & STEP_WHOLE) == 0)
			out = best_pack(&best[i], out);
	for (uint32_t i = 0; i < s->n_wants; i++) {
		if ((s->wants[i] & STEP_WHOLE) == 0)
			continue;
		frame_pack(FRAME_F32, whole + (size_t)i * r->c.vocab, 1, r->c.vocab, out);
		out += r->c.vocab * sizeof(float);
	}
	return send_on(r, FRAME_HEADER, (size_t)(out - r->out), err);
}

static int
unpack_answer(const struct ring *r, const struct ring_step *s, struct best *best, float *whole,
	struct err *err)
{
	const uint8_t *in = r->queue[r->first].data;

	for (uint32_t i = 0; i < s->n_wants; i++) {
		if ((s->wants[i] & STEP_WHOLE) != 0)
			continue;
		if (best_unpack(in, 0, r->c.vocab, s->wants[i], &best[i], err) != 0)
			return -1;
		in += frame_best(r->c.vocab);
	}
	for (uint32_t i = 0; i < s->n_wants; i++) {
		if ((s->wants[i] & STEP_WHOLE) == 0)
			continue;
		frame_unpack(FRAME_F32, in, 1, r->c.vocab, whole + (size_t)i * r->c.vocab, 0);
		in += r->c.vocab * sizeof(float);
	}
	return 0;
}

bool
ring_answer(struct ring *r, struct best *best, float *whole)
{
	struct err err;

	if (r->n == 0 || r->broken)
		return false;
	r->answered = r->queue[r->first].frame.step;
	r->progress = uv_hrtime();
	if (unpack_answer(r, &r->under_way[r->answered % r->depth], best, whole, &err) != 0) {
		ring_break(r, r->c.before, err.msg);
		return false;
	}
	used(r);
	return true;
}
