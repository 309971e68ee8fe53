/* An engine's links: the star of its group and, for the hub of a stage, the ring. */
#include "daemon/engine_int.h"

#include <stdlib.h>

void
engine_place(struct engine_config *c, const struct stages *st, uint32_t number)
{
	c->stage = stages_of(st, number);
	c->stages = st->n;
	c->rank = number - st->list[c->stage].first;
	c->peers = st->list[c->stage].n;
	c->number = number;
	c->n_numbers = stages_peers(st);
	c->before = stages_before(st, c->stage);
	c->behind = stages_behind(st, c->stage);
	for (uint32_t i = 0; i < st->n; i++)
		c->groups[i] = st->list[i].n;
}

/* --- making ------------------------------------------------------------------------------------- */

static uint32_t
group_links(const struct engine_config *c)
{
	return c->peers > 1 ? star_links(c->rank, c->peers, c->way) : 0;
}

uint32_t
engine_links(const struct engine_config *c)
{
	return group_links(c) + (engine_in_ring(c) ? ring_links(c->stages) : 0);
}

static struct star_config
star_numbers(const struct engine_config *c)
{
	return (struct star_config){.slices = c->slices,
		.rank = c->rank,
		.peers = c->peers,
		.embd = c->shape->embd,
		.vocab = c->shape->vocab,
		.max_rows = c->max_rows,
		.max_logits = engine_max_logits(c->slots, c->max_rows),
		.slots = c->slots,
		.context = c->context,
		.format = c->payload,
		.way = c->way,
		.row_shares = c->row_shares};
}

/* Between stages nothing is added up, and 8 bits for a block would lose what small values there are beside the few
 * large ones that hidden rows have. */
static enum frame_format
hidden_format(struct sum_format payload)
{
	return payload.token == FRAME_F32 ? FRAME_F32 : FRAME_F16;
}

static struct ring_config
ring_numbers(const struct engine_config *c)
{
	return (struct ring_config){.stage = c->stage,
		.stages = c->stages,
		.embd = c->shape->embd,
		.vocab = c->shape->vocab,
		.max_rows = c->max_rows,
		.max_logits = engine_max_logits(c->slots, c->max_rows),
		.slots = c->slots,
		.context = c->context,
		.format = hidden_format(c->payload),
		.n_names = c->n_numbers,
		.own = c->number,
		.before = c->before,
		.behind = c->behind};
}

bool
engine_sums_alike(const struct engine_config *c, uint32_t a, uint32_t b)
{
	bool rounds = c->payload.token != FRAME_F32 || c->payload.prompt != FRAME_F32;
	struct star_config sc = star_numbers(c);

	for (uint32_t i = 0; rounds && i < c->stages; i++) {
		sc.peers = c->groups[i];
		if (sc.peers > 1 && !star_alike(&sc, a, b))
			return false;
		sc.row_shares += sc.peers;
	}
	return true;
}

uint64_t
engine_link_bytes(const struct engine_config *c)
{
	const struct star_config sc = star_numbers(c);
	const struct ring_config rc = ring_numbers(c);

	return (c->peers > 1 ? star_bytes(&sc) : 0) + (engine_in_ring(c) ? ring_bytes(&rc) : 0);
}

/* The group's first peer among all of the plan. */
static uint32_t
first_number(const struct engine_config *c)
{
	return c->stages > 1 ? c->number - c->rank : 0;
}

static int
link_group(struct engine *e, struct engine_config *c, struct err *err)
{
	struct star_config sc = star_numbers(c);

	sc.epoch = c->epoch;
	sc.slices = e->slices;
	sc.names = c->names + first_number(c);
	sc.links = c->links;
	e->star = star_new(&e->loop, &sc, err);
	return e->star != NULL ? 0 : -1;
}

static int
link_stages(struct engine *e, struct engine_config *c, struct err *err)
{
	struct ring_config rc = ring_numbers(c);

	rc.epoch = c->epoch;
	rc.names = c->names;
	rc.links = c->links + group_links(c);
	e->ring = ring_new(&e->loop, &rc, err);
	return e->ring != NULL ? 0 : -1;
}

static int
keep_names(struct engine *e, const struct engine_config *c)
{
	if (c->stages < 2)
		return 0;
	e->c.names = malloc(c->n_numbers * sizeof *e->c.names);
	if (e->c.names == NULL)
		return -1;
	memcpy(e->c.names, c->names, c->n_numbers * sizeof *e->c.names);
	return 0;
}

int
engine_link(struct engine *e, struct engine_config *c, struct err *err)
{
	uint32_t taken = 0;
	int result = keep_names(e, c);

	if (result != 0)
		err_set(err, "not enough memory for the names of peers");
	if (result == 0 && c->peers > 1) {
		taken = group_links(c);
		result = link_group(e, c, err);
	}
	if (result == 0 && engine_in_ring(c)) {
		taken = engine_links(c);
		result = link_stages(e, c, err);
	}
	for (uint32_t i = taken; i < engine_links(c); i++)
		link_detached_discard(&c->links[i]);
	if (result == 0)
		return 0;
	engine_close_links(e);
	uv_run(&e->loop, UV_RUN_DEFAULT);
	return -1;
}

/* --- trouble ------------------------------------------------------------------------------------ */

bool
engine_is_cut(const struct engine *e, const char **who, const char **why)
{
	if (e->star != NULL && star_broken(e->star)) {
		*who = star_broken_who(e->star);
		*why = star_broken_why(e->star);
		return true;
	}
	if (e->ring != NULL && ring_broken(e->ring)) {
		*who = ring_broken_who(e->ring);
		*why = ring_broken_why(e->ring);
		return true;
	}
	return false;
}

/* Whose name it is; without one: this peer. */
static uint32_t
number_of(const struct engine *e, const char *name)
{
	for (uint32_t i = 0; i < e->c.n_numbers; i++)
		if (strcmp(e->c.names[i], name) == 0)
			return i;
	return e->c.number;
}

void
engine_give_up(struct engine *e, const char *why)
{
	if (e->star != NULL)
		star_break(e->star, "", why);
	if (e->ring != NULL)
		ring_break(e->ring, e->c.number, why);
}

void
engine_unlink(struct engine *e)
{
	const char *who = "", *why = "";

	if (e->ring != NULL && engine_is_cut(e, &who, &why))
		ring_break(e->ring, number_of(e, who), why);
	if (e->star != NULL)
		star_drain(e->star);
	engine_close_links(e);
}

void
engine_interrupt(struct engine *e)
{
	if (e->star != NULL)
		star_break(e->star, "", "the engine is being stopped");
	if (e->ring != NULL)
		ring_stop(e->ring, "the engine is being stopped");
}

void
engine_close_links(struct engine *e)
{
	if (e->star != NULL)
		star_close(e->star);
	if (e->ring != NULL)
		ring_close(e->ring);
}

void
engine_free_links(struct engine *e)
{
	star_free(e->star);
	ring_free(e->ring);
}
