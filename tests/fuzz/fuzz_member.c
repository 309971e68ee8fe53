/* Peers of a group and stages of a pipeline that are fed any frames in any order by a peer that is not what
 * it says: it is heard or the group breaks by its name, and nothing is read that has not come. Frames do
 * not take the way over a socket: they are given to the links' own events.
 *
 * An input is a role, then actions: a letter, and of a frame its length (2 bytes) and its bytes. */
#include "daemon/ring_int.h"
#include "daemon/star_int.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/link_pair.h"

#include <signal.h>

enum role { HUB, MEMBER, DIRECT, SCATTER, BY_ROWS, HEAD, MIDDLE, TAIL, ROLES };

#define EMBD  96
#define VOCAB 100
#define ROWS  4
#define EPOCH 7

static const struct model_shape shape = {.layers = 2,
	.embd = EMBD,
	.ffn = 64,
	.heads = 4,
	.kv_heads = 4,
	.head_dim = 8,
	.vocab = VOCAB,
	.context = 64,
	.col_block = 1};
/* Of two rows, ranks 1 and 2 have one each. */
static const uint32_t row_shares[3] = {2, 1, 2};
static char names[3][PEER_NAME] = {"hub", "one", "two"};
static uv_loop_t loop;

static int
on_any(struct link *l, void *arg, const uint8_t *msg, size_t len, struct err *err)
{
	(void)l, (void)arg, (void)msg, (void)len, (void)err;
	return 0;
}

/* The other ends take whatever comes. */
static const struct link_events far_events = {.on_message = on_any, .on_close = on_lost};

static void
open_links(struct link_detached *links, struct link **far, uint32_t n)
{
	struct pair p;

	for (uint32_t i = 0; i < n; i++) {
		pair_open(&loop, &p, star_max_message(ROWS, ROWS, EMBD, VOCAB));
		far[i] = p.far;
		link_set(p.far, &far_events, NULL);
		pair_detach(p.near, &links[i]);
	}
}

static void
close_links(struct link **far, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		link_close(far[i], "");
	uv_run(&loop, UV_RUN_DEFAULT);
}

/* The next frame of the input, in a block of just its size. */
static uint8_t *
next_frame(struct rd *r, size_t *len)
{
	size_t n = rd_u16(r);
	uint8_t *msg;

	*len = n < rd_left(r) ? n : rd_left(r);
	msg = malloc(*len + (*len == 0));
	require(msg != NULL);
	if (*len > 0)
		memcpy(msg, rd_bytes(r, *len), *len);
	return msg;
}

/* --- a group ---------------------------------------------------------------------------------------- */

static const struct step_row step_rows[] = {{0, 0, STEP_LOGITS}, {1, 3, STEP_LOGITS | STEP_SUM}};

/* All that a reduction needs is there: to finish it waits for nobody. */
static bool
sum_is_there(struct star *s)
{
	struct frame due;

	star_advance(s);
	for (uint32_t i = 0; i < s->n_peers; i++) {
		struct star_peer *p = &s->peers[i];

		if ((star_sum_needs(p, &s->under_way[0], FRAME_PART, &due) && p->parts.n == 0) ||
			(star_sum_needs(p, &s->under_way[0], FRAME_SUM, &due) && p->sums.n == 0))
			return false;
	}
	return true;
}

static bool
logits_are_there(const struct star *s)
{
	for (uint32_t i = 0; i < s->n_peers; i++)
		if (!s->peers[i].have_other)
			return false;
	return true;
}

struct work {
	float rows[2][ROWS * EMBD], x[ROWS * EMBD], whole[ROWS * VOCAB];
	struct best best[ROWS];
	struct step_row step[ROWS];
	uint32_t n, first;
	uint32_t sums; /* that were begun in this step */
	bool in_step;
};

static void
begin_step(struct star *s, struct work *w)
{
	struct err err = {""};

	if (w->in_step)
		return;
	w->sums = 0;
	w->n = 2;
	if (s->c.rank == 0)
		w->in_step = star_step(s, step_rows, 2, 0, w->x, &err) == 0;
	else if (s->peers[0].have_other && s->peers[0].other.frame.kind == FRAME_STEP)
		w->in_step = star_next(s, w->step, w->x, &w->n, &w->first);
	require(w->n <= ROWS);
}

static void
end_step(struct star *s, struct work *w)
{
	struct err err = {""};

	if (!w->in_step || s->n_under_way > 0)
		return;
	if (s->c.rank == 0 && logits_are_there(s))
		w->in_step = star_gather(s, w->whole, w->best, w->whole, &err) != 0;
	else if (s->c.rank != 0)
		w->in_step = star_answer(s, w->whole, &err) != 0;
}

/* Touches every byte that it is given. */
static void
make(void *arg, float *sums, uint32_t from, uint32_t n, uint8_t *out)
{
	const struct collective_rows *how = arg;

	require(from + n <= ROWS);
	frame_pack(how->made == MADE_FLOATS ? FRAME_F32 : FRAME_Q8, sums, n, EMBD, out);
}

static void
take(void *arg, const uint8_t *made, uint32_t from, uint32_t n)
{
	static float rows[ROWS * EMBD];
	const struct collective_rows *how = arg;

	require(from + n <= ROWS);
	frame_unpack(how->made == MADE_FLOATS ? FRAME_F32 : FRAME_Q8, made, n, EMBD,
		rows + from * EMBD, 0);
}

static int
begin_sum(struct star *s, struct work *w, struct err *err)
{
	static struct collective_rows forms[2] = {
		{MADE_BLOCKS, make, take, &forms[0]}, {MADE_FLOATS, make, take, &forms[1]}};
	const struct collective_label label = {w->sums / 2, w->sums % 2, 0};
	struct collective *c = star_collective(s);
	float *rows = w->rows[w->sums % 2];

	if (c->by_rows(c, w->n))
		return c->begin_rows(c, rows, w->n, EMBD, &label, &forms[w->sums % 2], err);
	return c->begin(c, rows, w->n, EMBD, &label, err);
}

static void
act(struct star *s, struct work *w, uint8_t what)
{
	struct collective *c = star_collective(s);
	struct err err = {""};

	switch (what % 4) {
	case 0:
		begin_step(s, w);
		break;
	case 1:
		if (w->in_step && s->n_under_way < COLLECTIVE_AT_ONCE && begin_sum(s, w, &err) == 0)
			w->sums++;
		break;
	case 2:
		if (s->n_under_way > 0 && sum_is_there(s))
			c->finish(c, &err);
		break;
	default:
		end_step(s, w);
	}
}

static void
run_star(struct star *s, struct rd *r)
{
	static struct work w;
	struct err err = {""};

	w = (struct work){0};
	while (rd_left(r) > 0 && !star_broken(s)) {
		uint8_t what = rd_u8(r), *msg;
		size_t len;

		if (what < 'a') {
			act(s, &w, what);
			continue;
		}
		msg = next_frame(r, &len);
		if (star_link_events.on_message(
			    NULL, &s->peers[what % s->n_peers], msg, len, &err) != 0)
			require(star_broken(s) && star_broken_why(s)[0] != '\0');
		free(msg);
	}
}

static void
try_star(enum role role, struct rd *r)
{
	enum frame_format format = role == SCATTER || role == BY_ROWS ? FRAME_Q8 : FRAME_F32;
	struct star_config c = {.epoch = EPOCH,
		.rank = role == HUB                          ? 0
			: role == SCATTER || role == BY_ROWS ? 2
							     : 1,
		.peers = 3,
		.embd = EMBD,
		.vocab = VOCAB,
		.max_rows = ROWS,
		.max_logits = ROWS,
		.slots = 2,
		.context = 64,
		.format = {format, format},
		.names = names,
		.way = role == DIRECT    ? WAY_DIRECT
		       : role == SCATTER ? WAY_SCATTER
		       : role == BY_ROWS ? WAY_ROWS
					 : WAY_STAR,
		.row_shares = row_shares};
	uint32_t n = star_links(c.rank, c.peers, c.way);
	struct link_detached links[2];
	struct slice slices[3];
	struct link *far[2];
	struct err err = {""};
	struct star *s;

	require(slice_cut(&shape, NULL, 3, slices, &err) == 0);
	c.slices = slices;
	c.links = links;
	open_links(links, far, n);
	s = star_new(&loop, &c, &err);
	require(s != NULL);
	run_star(s, r);
	star_close(s);
	close_links(far, n);
	star_free(s);
}

/* --- a ring ----------------------------------------------------------------------------------------- */

static void
act_in_ring(struct ring *r, uint8_t what)
{
	static struct work w;
	struct err err = {""};

	if (r->c.stage == 0 && what % 2 == 0 && ring_under_way(r) < r->depth)
		ring_pass(r, step_rows, 2, w.x, &err);
	else if (r->c.stage == 0)
		ring_answer(r, w.best, w.whole);
	else if (ring_take(r, w.step, w.x, &w.n) && r->c.stage + 1 < r->c.stages)
		ring_pass(r, w.step, w.n, w.x, &err);
	require(w.n <= ROWS);
}

static void
try_ring(enum role role, struct rd *in)
{
	static const bool no;
	struct ring_config c = {.epoch = EPOCH,
		.stage = role - HEAD,
		.stages = 3,
		.embd = EMBD,
		.vocab = VOCAB,
		.max_rows = ROWS,
		.max_logits = ROWS,
		.slots = 2,
		.context = 64,
		.names = names,
		.n_names = 3,
		.own = role - HEAD,
		.before = (role - HEAD + 2) % 3,
		.behind = (role - HEAD + 1) % 3};
	struct link_detached links[2];
	struct link *far[2];
	struct err err = {""};
	struct ring *r;

	open_links(links, far, 2);
	c.links = links;
	r = ring_new(&loop, &c, &err);
	require(r != NULL);
	while (rd_left(in) > 0 && !ring_broken(r)) {
		uint8_t what = rd_u8(in), *msg;
		size_t len;

		if (what < 'a') {
			act_in_ring(r, what);
			continue;
		}
		msg = next_frame(in, &len);
		if (ring_link_events.on_message(NULL, &r->peers[what % 2], msg, len, &err) != 0)
			require(ring_broken(r) && ring_broken_why(r)[0] != '\0');
		free(msg);
		if (r->n > 0)
			ring_wait(r, &no); /* at once: something is there */
	}
	ring_close(r);
	close_links(far, 2);
	ring_free(r);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rd r = rd_init(data, size);
	enum role role = (enum role)(rd_u8(&r) % ROLES);

	if (size == 0)
		return 0;
	signal(SIGPIPE, SIG_IGN); /* as the daemon does */
	uv_loop_init(&loop);
	if (role < HEAD)
		try_star(role, &r);
	else
		try_ring(role, &r);
	require(uv_loop_close(&loop) == 0);
	return 0;
}

/* --- seeds: a step as it should go ------------------------------------------------------------------ */

static void
put_frame(struct buf *b, char from, const struct frame *f, const void *body, size_t len)
{
	uint8_t head[FRAME_HEADER];

	frame_write(f, head);
	buf_u8(b, (uint8_t)from);
	buf_u16(b, (uint16_t)(sizeof head + len));
	buf_append(b, head, sizeof head);
	buf_append(b, body, len);
}

static void
put_step(struct buf *b, char from)
{
	struct frame f = {.epoch = EPOCH, .step = 1, .kind = FRAME_STEP, .rows = 2, .width = EMBD};
	uint8_t body[2 * STEP_ROW_BYTES + 2 * EMBD * 4] = {0};
	uint32_t wants[2];

	step_rows_write(step_rows, 2, body, wants, &f.extra);
	put_frame(b, from, &f, body, sizeof body);
}

static void
put_rows(struct buf *b, char from, enum frame_kind kind, enum frame_format format, uint32_t rows,
	uint32_t width, uint32_t phase)
{
	static const uint8_t zeros[2 * EMBD * 4];
	const struct frame f = {.epoch = EPOCH,
		.step = 1,
		.kind = (uint8_t)kind,
		.format = (uint8_t)format,
		.rows = rows,
		.width = width,
		.extra = phase};

	put_frame(b, from, &f, zeros, frame_payload(format, rows, width));
}

static void
put_sum(struct buf *b, char from, enum frame_kind kind, enum frame_format format, uint32_t width,
	uint32_t phase)
{
	put_rows(b, from, kind, format, 2, width, phase);
}

/* Of vocabulary rows [vocab0, vocab0 + vocab), of which the second row's answer has a sum. */
static void
put_logits(struct buf *b, char from, uint32_t vocab0, uint32_t vocab)
{
	const struct frame f = {
		.epoch = EPOCH, .step = 1, .kind = FRAME_LOGITS, .rows = 2, .width = vocab};
	uint8_t body[2 * (8 + 8 * FRAME_BEST)];
	float logits[VOCAB] = {1, 2, 3};
	struct best best;
	uint8_t *at = body;

	for (int i = 0; i < 2; i++) {
		best_of(&best, logits, vocab, vocab0, i == 1);
		at = best_pack(&best, at);
	}
	put_frame(b, from, &f, body, (size_t)(at - body));
}

static void
seed_group(struct buf *b, enum role role)
{
	const struct star_config c = {.peers = 3, .embd = EMBD, .format = {FRAME_Q8, FRAME_Q8}};
	struct slice slices[3];
	struct err err = {""};

	require(slice_cut(&shape, NULL, 3, slices, &err) == 0);
	if (role != HUB)
		put_step(b, 'b'); /* of two peers the first: letters are numbers from 97 on */
	buf_u8(b, 0);
	for (uint32_t phase = 0; phase < 2; phase++) {
		buf_u8(b, 1);
		for (char from = 'a'; from <= (role == MEMBER ? 'a' : 'b'); from++) {
			if (role == MEMBER)
				put_sum(b, from, FRAME_SUM, FRAME_F32, EMBD, phase);
			else if (role == BY_ROWS)
				put_rows(b, from, FRAME_PART, FRAME_Q8, 1, EMBD, phase);
			else if (role != SCATTER)
				put_sum(b, from, FRAME_PART, FRAME_F32, EMBD, phase);
			else
				put_sum(b, from, FRAME_PART, FRAME_Q8, star_columns(&c, 2), phase);
		}
		for (char from = 'a'; role == SCATTER && from <= 'b'; from++)
			put_sum(b, from, FRAME_SUM, FRAME_Q8, star_columns(&c, from == 'a' ? 1 : 0),
				phase);
		if (role == BY_ROWS) /* rank 0 has none */
			put_rows(b, 'a', FRAME_SUM, phase == 0 ? FRAME_Q8 : FRAME_F32, 1, EMBD,
				phase);
		buf_u8(b, 2);
	}
	for (uint32_t i = 1; role == HUB && i < 3; i++)
		put_logits(b, i == 1 ? 'b' : 'a', slices[i].vocab0, slices[i].vocab);
	buf_u8(b, 3);
}

static void
seed_stage(struct buf *b, enum role role)
{
	buf_u8(b, 0);
	if (role == HEAD)
		put_logits(b, 'a', 0, VOCAB);
	else
		put_step(b, 'a');
	buf_u8(b, 1);
	if (role == HEAD)
		put_logits(b, 'a', 0, VOCAB);
}

size_t
fuzz_seed(unsigned i, uint8_t *out, size_t max)
{
	struct buf b;
	size_t len;

	if (i >= ROLES)
		return 0;
	buf_init(&b, max);
	buf_u8(&b, (uint8_t)i);
	if (i < HEAD)
		seed_group(&b, (enum role)i);
	else
		seed_stage(&b, (enum role)i);
	len = b.len;
	memcpy(out, b.data, len);
	buf_free(&b);
	return len;
}
