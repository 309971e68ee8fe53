/* How a ring begins and ends. */
#include "daemon/ring_int.h"

#include <stdlib.h>

uint32_t
ring_links(uint32_t stages)
{
	return stages > 2 ? 2 : 1;
}

/* One for each stage, and one on the way. */
uint32_t
ring_depth(uint32_t stages)
{
	return stages + 1;
}

static size_t
step_bytes(const struct ring_config *c)
{
	return (size_t)c->max_rows * (STEP_ROW_BYTES + (size_t)c->embd * sizeof(float));
}

static size_t
answer_bytes(const struct ring_config *c)
{
	return best_bytes(c->max_logits, c->vocab);
}

static size_t
message_room(const struct ring_config *c)
{
	return c->stage == 0 ? answer_bytes(c) : step_bytes(c);
}

static size_t
out_bytes(const struct ring_config *c)
{
	return c->stage + 1 == c->stages ? answer_bytes(c) : step_bytes(c);
}

uint64_t
ring_bytes(const struct ring_config *c)
{
	return (uint64_t)ring_depth(c->stages) * message_room(c) + out_bytes(c);
}

static int
alloc_messages(struct ring *r)
{
	const struct ring_config *c = &r->c;

	r->queue = calloc(r->depth, sizeof *r->queue);
	r->under_way = calloc(r->depth, sizeof *r->under_way);
	r->taken.wants = calloc(c->max_logits, sizeof *r->taken.wants);
	if (r->queue == NULL || r->under_way == NULL || r->taken.wants == NULL)
		return -1;
	for (uint32_t i = 0; i < r->depth; i++) {
		r->queue[i].data = malloc(r->room + 1);
		if (r->queue[i].data == NULL)
			return -1;
		if (c->stage > 0)
			continue;
		r->under_way[i].wants = calloc(c->max_logits, sizeof *r->taken.wants);
		if (r->under_way[i].wants == NULL)
			return -1;
	}
	return 0;
}

static int
alloc_buffers(struct ring *r)
{
	const struct ring_config *c = &r->c;

	r->head = malloc(FRAME_HEADER + (size_t)c->max_rows * STEP_ROW_BYTES);
	r->out = malloc(out_bytes(c));
	r->names = malloc(c->n_names * sizeof *r->names);
	if (r->head == NULL || r->out == NULL || r->names == NULL)
		return -1;
	memcpy(r->names, c->names, c->n_names * sizeof *r->names);
	return alloc_messages(r);
}

static int
attach_links(struct ring *r, struct link_detached *links, struct err *err)
{
	int result = 0;

	for (uint32_t i = 0; i < r->n_peers; i++) {
		struct ring_peer *p = &r->peers[i];

		*p = (struct ring_peer){.ring = r,
			.number = i == 0 ? r->c.behind : r->c.before,
			.behind = i == 0,
			.before = i + 1 == r->n_peers};
		if (result != 0) {
			link_detached_discard(&links[i]);
			continue;
		}
		p->link = link_attach(r->loop, &links[i], &ring_link_events, p, err);
		if (p->link == NULL) {
			err_prefix(err, "%s: ", r->names[p->number]);
			result = -1;
		}
	}
	return result;
}

static struct ring *
alloc_ring(uv_loop_t *loop, const struct ring_config *c)
{
	struct ring *r = calloc(1, sizeof *r);

	if (r == NULL)
		return NULL;
	r->loop = loop;
	r->c = *c;
	r->depth = ring_depth(c->stages);
	r->room = message_room(c);
	spins_init(&r->spins);
	if (alloc_buffers(r) == 0)
		return r;
	ring_free(r);
	return NULL;
}

struct ring *
ring_new(uv_loop_t *loop, const struct ring_config *c, struct err *err)
{
	struct ring *r = alloc_ring(loop, c);

	if (r == NULL) {
		for (uint32_t i = 0; i < ring_links(c->stages); i++)
			link_detached_discard(&c->links[i]);
		err_set(err, "not enough memory for the buffers between stages");
		return NULL;
	}
	r->n_peers = ring_links(c->stages);
	uv_timer_init(loop, &r->timer);
	if (attach_links(r, c->links, err) != 0) {
		ring_close(r);
		uv_run(loop, UV_RUN_DEFAULT);
		ring_free(r);
		return NULL;
	}
	return r;
}

void
ring_close(struct ring *r)
{
	for (uint32_t i = 0; i < r->n_peers; i++)
		if (r->peers[i].link != NULL)
			link_close(r->peers[i].link, "");
	if (!uv_is_closing((uv_handle_t *)&r->timer))
		uv_close((uv_handle_t *)&r->timer, NULL);
}

void
ring_free(struct ring *r)
{
	if (r == NULL)
		return;
	for (uint32_t i = 0; i < r->depth; i++) {
		if (r->queue != NULL)
			free(r->queue[i].data);
		if (r->under_way != NULL)
			free(r->under_way[i].wants);
	}
	free(r->queue);
	free(r->under_way);
	free(r->taken.wants);
	free(r->head);
	free(r->out);
	free(r->names);
	free(r);
}

struct ring_stats
ring_stats(const struct ring *r)
{
	return (struct ring_stats){.sent_bytes = r->sent, .received_bytes = r->received};
}
