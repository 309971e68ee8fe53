#include "daemon/star.h"

#include <stdio.h>
#include <stdlib.h>

#define STEP_ROW_BYTES 12
#define SPIN_NS        80000u /* turning without sleep, while a core is free for it */
#define SPIN_SCARCE_NS 20000u
#define MEMBER_WAIT_MS (2 * STAR_ANSWER_MS) /* the hub waits for the others first */

struct star_peer {
	struct star *star;
	struct link *link; /* NULL: gone */
	uint32_t rank;
	bool have; /* frame and data hold a message that has not been used */
	struct frame frame;
	uint8_t *data;
	size_t room;
};

struct star {
	struct collective collective; /* first: the forward pass knows only this */
	uv_loop_t *loop;
	uv_timer_t timer;
	struct star_config c;
	struct slice *slices;
	char (*names)[PEER_NAME];
	struct star_peer *peers; /* hub: members by rank - 1; member: the hub */
	uint32_t n_peers;
	uint32_t step;
	bool in_step; /* hub: members may send */
	bool wanting; /* the frame that is due is known: */
	struct frame want;
	float *sum;    /* member: where the sum goes */
	uint8_t *head; /* frame header and step rows */
	uint8_t *out;  /* packed rows */
	uint64_t spin_ns, reduce_ns, sent, received;
	bool broken;
	char who[PEER_NAME];
	struct err why;
};

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

/* --- what arrives ------------------------------------------------------------------------------- */

static const char *
kind_name(unsigned kind)
{
	static const char *const names[] = {"no", "STEP", "PART", "SUM", "LOGITS", "VOID"};

	return kind < sizeof names / sizeof names[0] ? names[kind] : "unknown";
}

/* Whether the frame is the one that is due. `extra` of sums is the phase. */
static int
check_due(const struct star *s, const struct star_peer *p, const struct frame *f, struct err *err)
{
	const struct frame *w = &s->want;
	uint32_t width = w->kind == FRAME_LOGITS ? s->slices[p->rank].vocab : w->width;

	if (f->kind == w->kind && f->layer == w->layer && f->extra == w->extra &&
		f->rows == w->rows && f->width == width && f->format == w->format)
		return 0;
	return err_set(err,
		"it sent a %s frame (layer %u.%u, %u x %u, format %u) where %s (layer %u.%u, %u x "
		"%u, format %u) was due",
		kind_name(f->kind), f->layer, f->extra, f->rows, f->width, f->format,
		kind_name(w->kind), w->layer, w->extra, w->rows, width, w->format);
}

static int
keep(struct star_peer *p, const struct frame *f, const uint8_t *payload, size_t len,
	struct err *err)
{
	if (p->have)
		return err_set(err, "it sent a %s frame before its turn", kind_name(f->kind));
	if (len > p->room)
		return err_set(err, "it sent a %s frame of %zu bytes", kind_name(f->kind), len);
	memcpy(p->data, payload, len);
	p->frame = *f;
	p->have = true;
	return 0;
}

/* A member may be one frame ahead of the hub, which then is still busy with another one. */
static int
hub_message(struct star *s, struct star_peer *p, const struct frame *f, const uint8_t *payload,
	size_t len, struct err *err)
{
	if (f->kind != FRAME_PART && f->kind != FRAME_LOGITS)
		return err_set(
			err, "it sent a %s frame, which only a hub sends", kind_name(f->kind));
	if (!s->in_step || f->step != s->step)
		return err_set(err, "it sent a %s frame of step %u, which is not running",
			kind_name(f->kind), f->step);
	if (s->wanting && check_due(s, p, f, err) != 0)
		return -1;
	return keep(p, f, payload, len, err);
}

static int
check_step_rows(const struct star *s, const struct frame *f, const uint8_t *rows, struct err *err)
{
	uint32_t logits = 0;

	if (f->rows == 0 || f->width != s->c.embd || f->format != FRAME_F32)
		return err_set(err, "its step has %u rows of %u in format %u", f->rows, f->width,
			f->format);
	for (uint32_t i = 0; i < f->rows; i++, rows += STEP_ROW_BYTES) {
		uint32_t slot = get_le32(rows), pos = get_le32(rows + 4);
		uint32_t flags = get_le32(rows + 8);

		if (slot >= s->c.slots || pos >= s->c.context || (flags & ~STEP_LOGITS) != 0)
			return err_set(err,
				"row %u of its step (slot %u, position %u, flags %u) is out of "
				"range",
				i, slot, pos, flags);
		logits += flags & STEP_LOGITS;
	}
	if (logits != f->extra || logits > s->c.max_logits)
		return err_set(
			err, "its step wants %u rows of logits and marks %u", f->extra, logits);
	return 0;
}

static int
member_message(struct star *s, struct star_peer *p, const struct frame *f, const uint8_t *payload,
	size_t len, struct err *err)
{
	if (f->kind != FRAME_STEP && f->kind != FRAME_SUM)
		return err_set(
			err, "it sent a %s frame, which only a member sends", kind_name(f->kind));
	if (f->kind == FRAME_STEP) {
		if (s->wanting || f->step != s->step + 1)
			return err_set(err, "it began step %u while step %u was running", f->step,
				s->step);
		if (check_step_rows(s, f, payload, err) != 0)
			return -1;
		return keep(p, f, payload, len, err);
	}
	if (!s->wanting || f->step != s->step)
		return err_set(err, "it sent a sum of step %u that nobody waits for", f->step);
	if (check_due(s, p, f, err) != 0)
		return -1;
	/* Used at once: the next step may come right behind the last sum of this one. */
	frame_unpack((enum frame_format)f->format, payload, f->rows, f->width, s->sum, 0);
	s->wanting = false;
	return 0;
}

static int
on_message(struct link *l, void *arg, const uint8_t *msg, size_t len, struct err *err)
{
	struct star_peer *p = arg;
	struct star *s = p->star;
	uint32_t max_width = s->c.embd > s->c.vocab ? s->c.embd : s->c.vocab;
	const uint8_t *payload;
	struct frame f;

	(void)l;
	s->received += len;
	if (s->broken)
		return 0;
	if (frame_read(msg, len, s->c.max_rows, max_width, &f, &payload, err) != 0)
		goto bad;
	if (f.epoch != s->c.epoch) {
		err_set(err, "it sent a frame of epoch %llu, but the plan's is %llu",
			(unsigned long long)f.epoch, (unsigned long long)s->c.epoch);
		goto bad;
	}
	if (f.kind == FRAME_VOID) {
		err_set(err, "it gave the step up; its log says why");
		goto bad;
	}
	len -= FRAME_HEADER;
	if (s->c.rank == 0 ? hub_message(s, p, &f, payload, len, err) != 0
			   : member_message(s, p, &f, payload, len, err) != 0)
		goto bad;
	return 0;
bad:
	star_break(s, s->names[p->rank], err->msg);
	return -1;
}

static void
on_close(struct link *l, void *arg, const char *why)
{
	struct star_peer *p = arg;

	(void)l;
	p->link = NULL;
	star_break(p->star, p->star->names[p->rank], why[0] != '\0' ? why : "the link was closed");
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

		if (p->have && check_due(s, p, &p->frame, err) != 0)
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

static int
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

	while (!p->have && !s->broken && uv_hrtime() - start < s->spin_ns)
		uv_run(s->loop, UV_RUN_NOWAIT);
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

/* --- life --------------------------------------------------------------------------------------- */

size_t
star_max_message(uint32_t max_rows, uint32_t max_logits, uint32_t embd, uint32_t vocab)
{
	size_t step = (size_t)max_rows * (STEP_ROW_BYTES + (size_t)embd * sizeof(float));
	size_t sums = frame_payload(FRAME_Q8, max_rows, embd); /* wider than float32 when narrow */
	size_t logits = (size_t)max_logits * vocab * sizeof(float);

	step = step > sums ? step : sums;
	return FRAME_HEADER + (step > logits ? step : logits);
}

static int
alloc_buffers(struct star *s)
{
	const struct star_config *c = &s->c;
	size_t room = star_max_message(c->max_rows, c->max_logits, c->embd, c->vocab);

	s->head = malloc(FRAME_HEADER + (size_t)c->max_rows * STEP_ROW_BYTES);
	s->out = malloc(room);
	s->slices = malloc(c->peers * sizeof *s->slices);
	s->names = malloc(c->peers * sizeof *s->names);
	s->peers = calloc(s->n_peers, sizeof *s->peers);
	if (s->head == NULL || s->out == NULL || s->slices == NULL || s->names == NULL ||
		s->peers == NULL)
		return -1;
	memcpy(s->slices, c->slices, c->peers * sizeof *s->slices);
	memcpy(s->names, c->names, c->peers * sizeof *s->names);
	for (uint32_t i = 0; i < s->n_peers; i++) {
		uint32_t rank = c->rank == 0 ? i + 1 : 0;
		uint32_t vocab = c->rank == 0 ? s->slices[rank].vocab : 0;
		struct star_peer *p = &s->peers[i];

		*p = (struct star_peer){.star = s, .rank = rank};
		p->room = star_max_message(c->max_rows, c->max_logits, c->embd, vocab);
		p->data = malloc(p->room);
		if (p->data == NULL)
			return -1;
	}
	return 0;
}

static int
attach_links(struct star *s, struct link_detached *links, struct err *err)
{
	static const struct link_events events = {.on_message = on_message, .on_close = on_close};
	int result = 0;

	for (uint32_t i = 0; i < s->n_peers; i++) {
		struct star_peer *p = &s->peers[i];

		if (result != 0) {
			link_detached_discard(&links[i]);
			continue;
		}
		p->link = link_attach(s->loop, &links[i], &events, p, err);
		if (p->link == NULL) {
			err_prefix(err, "%s: ", s->names[p->rank]);
			result = -1;
		}
	}
	return result;
}

struct star *
star_new(uv_loop_t *loop, const struct star_config *c, struct err *err)
{
	struct star *s = calloc(1, sizeof *s);
	uint32_t n = c->rank == 0 ? c->peers - 1 : 1;

	if (s != NULL) {
		s->collective.allreduce = star_allreduce;
		s->loop = loop;
		s->c = *c;
		s->n_peers = n;
		s->spin_ns = uv_available_parallelism() > 2 ? SPIN_NS : SPIN_SCARCE_NS;
	}
	if (s == NULL || alloc_buffers(s) != 0) {
		for (uint32_t i = 0; i < n; i++)
			link_detached_discard(&c->links[i]);
		star_free(s);
		err_set(err, "not enough memory for the group's buffers");
		return NULL;
	}
	uv_timer_init(loop, &s->timer);
	if (attach_links(s, c->links, err) != 0) {
		star_close(s);
		uv_run(loop, UV_RUN_DEFAULT);
		star_free(s);
		return NULL;
	}
	return s;
}

void
star_close(struct star *s)
{
	for (uint32_t i = 0; i < s->n_peers; i++)
		if (s->peers[i].link != NULL)
			link_close(s->peers[i].link, "");
	if (!uv_is_closing((uv_handle_t *)&s->timer))
		uv_close((uv_handle_t *)&s->timer, NULL);
}

void
star_free(struct star *s)
{
	if (s == NULL)
		return;
	for (uint32_t i = 0; s->peers != NULL && i < s->n_peers; i++)
		free(s->peers[i].data);
	free(s->peers);
	free(s->head);
	free(s->out);
	free(s->slices);
	free(s->names);
	free(s);
}

struct collective *
star_collective(struct star *s)
{
	return &s->collective;
}

struct star_stats
star_stats(const struct star *s)
{
	return (struct star_stats){.reduce_seconds = (double)s->reduce_ns / 1e9,
		.sent_bytes = s->sent,
		.received_bytes = s->received};
}
