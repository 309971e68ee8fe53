/* How a star begins and ends. */
#include "daemon/best_bytes.h"
#include "daemon/star_int.h"

#include <stdlib.h>

size_t
star_max_message(uint32_t max_rows, uint32_t max_logits, uint32_t embd, uint32_t vocab)
{
	size_t step = (size_t)max_rows * (STEP_ROW_BYTES + (size_t)embd * sizeof(float));
	size_t sums = frame_payload(FRAME_Q8, max_rows, embd); /* wider than float32 when narrow */
	size_t logits = best_bytes(max_logits, vocab);

	step = step > sums ? step : sums;
	return FRAME_HEADER + (step > logits ? step : logits);
}

uint32_t
star_links(uint32_t rank, uint32_t peers, enum collective_way way)
{
	return rank == 0 || way != WAY_STAR ? peers - 1 : 1;
}

static uint32_t
rank_of_link(const struct star_config *c, uint32_t i)
{
	return i < c->rank ? i : i + 1;
}

static bool
is_heard(const struct star_config *c, enum frame_kind kind)
{
	if (c->way == WAY_STAR)
		return kind == (c->rank == 0 ? FRAME_PART : FRAME_SUM);
	return kind == FRAME_PART || c->way != WAY_DIRECT;
}

/* Who hears a part at once from all others may be one reduction behind them, in each of two sub-batches. */
static uint32_t
queued(const struct star_config *c, enum frame_kind kind)
{
	bool ahead = kind == FRAME_PART && c->way != WAY_STAR && c->way != WAY_SCATTER;

	return ahead ? STAR_QUEUED : COLLECTIVE_AT_ONCE;
}

/* Room for the PART or SUM frames of a peer. The sub-batches of a step have no more rows than the step. */
static size_t
sums_room(const struct star_config *c, uint32_t rank, enum frame_kind kind)
{
	uint32_t width = c->embd;
	size_t one, other;

	if (!is_heard(c, kind))
		return 0;
	if (kind == FRAME_SUM && c->way != WAY_STAR)
		width = star_columns(c, rank);
	else if (c->way == WAY_SCATTER)
		width = star_columns(c, c->rank);
	one = frame_payload(c->format.token, c->max_rows, width);
	other = frame_payload(c->format.prompt, c->max_rows, width);
	one = one > other ? one : other;
	if (kind == FRAME_SUM && star_rows_fit(c) && star_made_bytes(c, rank, c->max_rows) > one)
		one = star_made_bytes(c, rank, c->max_rows);
	return star_queue_room(queued(c, kind) / COLLECTIVE_AT_ONCE * one, one);
}

/* For the other messages of a peer: a step of the hub's, a member's logits. */
static size_t
other_room(const struct star_config *c, uint32_t rank)
{
	if (c->rank == 0)
		return best_bytes(c->max_logits, c->slices[rank].vocab);
	return rank == 0 ? (size_t)c->max_rows * (STEP_ROW_BYTES + c->embd * sizeof(float)) : 0;
}

uint64_t
star_bytes(const struct star_config *c)
{
	uint64_t bytes = star_max_message(c->max_rows, c->max_logits, c->embd, c->vocab);

	if (c->way != WAY_STAR)
		bytes += (uint64_t)c->max_rows * c->embd * sizeof(float);
	for (uint32_t i = 0; i < star_links(c->rank, c->peers, c->way); i++) {
		uint32_t rank = rank_of_link(c, i);

		bytes += sums_room(c, rank, FRAME_PART) + sums_room(c, rank, FRAME_SUM) +
			 other_room(c, rank);
	}
	return bytes;
}

static int
alloc_queue(const struct star_peer *p, enum frame_kind kind, struct star_queue *q)
{
	const struct star_config *c = &p->star->c;

	return star_queue_init(q, queued(c, kind), sums_room(c, p->rank, kind));
}

static int
alloc_peer(struct star *s, uint32_t i)
{
	struct star_peer *p = &s->peers[i];

	*p = (struct star_peer){.star = s, .rank = rank_of_link(&s->c, i)};
	p->other_room = other_room(&s->c, p->rank);
	p->other.data = malloc(p->other_room + 1);
	return alloc_queue(p, FRAME_PART, &p->parts) == 0 &&
			       alloc_queue(p, FRAME_SUM, &p->sums) == 0 && p->other.data != NULL
		       ? 0
		       : -1;
}

static int
alloc_buffers(struct star *s)
{
	const struct star_config *c = &s->c;
	size_t room = star_max_message(c->max_rows, c->max_logits, c->embd, c->vocab);

	s->head = malloc(FRAME_HEADER + (size_t)c->max_rows * STEP_ROW_BYTES);
	s->out = malloc(room);
	s->wants = malloc(c->max_logits * sizeof *s->wants);
	if (c->way != WAY_STAR)
		s->sums = malloc((size_t)c->max_rows * c->embd * sizeof *s->sums);
	s->slices = malloc(c->peers * sizeof *s->slices);
	s->names = malloc(c->peers * sizeof *s->names);
	s->peers = calloc(s->n_peers, sizeof *s->peers);
	if (s->head == NULL || s->out == NULL || s->wants == NULL || s->slices == NULL ||
		s->names == NULL || s->peers == NULL || (c->way != WAY_STAR && s->sums == NULL))
		return -1;
	memcpy(s->slices, c->slices, c->peers * sizeof *s->slices);
	memcpy(s->names, c->names, c->peers * sizeof *s->names);
	for (uint32_t i = 0; i < s->n_peers; i++)
		if (alloc_peer(s, i) != 0)
			return -1;
	return 0;
}

static int
attach_links(struct star *s, struct link_detached *links, struct err *err)
{
	int result = 0;

	for (uint32_t i = 0; i < s->n_peers; i++) {
		struct star_peer *p = &s->peers[i];

		if (result != 0) {
			link_detached_discard(&links[i]);
			continue;
		}
		p->link = link_attach(s->loop, &links[i], &star_link_events, p, err);
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
	uint32_t n = star_links(c->rank, c->peers, c->way);

	if (s != NULL) {
		s->collective = star_reductions;
		s->loop = loop;
		s->c = *c;
		s->n_peers = n;
		for (uint32_t i = 0; c->row_shares != NULL && i < c->peers; i++)
			s->row_shares[i] = c->row_shares[i];
		s->c.row_shares = s->row_shares;
		s->rows_fit = star_rows_fit(c);
		spins_init(&s->spins);
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
	for (uint32_t i = 0; s->peers != NULL && i < s->n_peers; i++) {
		star_queue_deinit(&s->peers[i].parts);
		star_queue_deinit(&s->peers[i].sums);
		free(s->peers[i].other.data);
	}
	free(s->peers);
	free(s->head);
	free(s->out);
	free(s->wants);
	free(s->sums);
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
