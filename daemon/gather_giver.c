/* Devices that are asked for what they hold: one bulk link each, for one round. */
#include "daemon/cuts_message.h"
#include "daemon/gather_int.h"
#include "daemon/log.h"
#include "daemon/serve_source_int.h"

#include <stdio.h>

/* --- links ---------------------------------------------------------------------------------------- */

void
giver_let_go(struct giver *v, const char *why)
{
	static const struct link_events nothing;
	struct gather *g = v->gather;

	if (v->link != NULL) {
		link_set(v->link, &nothing, NULL);
		link_close(v->link, why);
	}
	v->link = NULL;
	v->open = false;
	v->questions.n = v->n_slices = 0;
	if (g->fetch != NULL && v->number != FETCH_NONE)
		fetch_leave(g->fetch, v->number);
	v->number = FETCH_NONE;
}

static int
take_held(struct giver *v, const Shoal__Held *m, struct err *err)
{
	if (v->answered)
		return err_set(err, "it told what nobody asked");
	v->answered = true;
	v->n_slices = cuts_message_read(m->cuts, m->n_cuts, &v->gather->shape, v->slices);
	return 0;
}

static int
take_data(struct giver *v, const Shoal__Data *d, struct err *err)
{
	struct gather *g = v->gather;

	if (!chunk_answered(&v->questions, d->number))
		return err_set(err, "it gave what nobody asked for");
	gather_piece(g, v, d->number, d);
	return 0;
}

static int
on_message(struct link *l, void *arg, const uint8_t *msg, size_t len, struct err *err)
{
	struct giver *v = arg;
	struct gather *g = v->gather;
	Shoal__Envelope *e = control_unpack(msg, len, err);
	int rc;

	(void)l;
	if (e == NULL)
		return -1;
	if (e->body_case == SHOAL__ENVELOPE__BODY_HELD)
		rc = take_held(v, e->held, err);
	else if (e->body_case == SHOAL__ENVELOPE__BODY_DATA && g->state == GATHER_FETCHING)
		rc = take_data(v, e->data, err);
	else
		rc = err_set(err, "'%s' came, which nobody asked for", control_name(e));
	control_free(e);
	if (rc == 0)
		gather_look(g);
	return rc;
}

static void
on_open(struct link *l, void *arg)
{
	struct giver *v = arg;

	v->open = true;
	held_ask(l, v->gather->model_id);
}

static void
on_close(struct link *l, void *arg, const char *why)
{
	struct giver *v = arg;

	(void)l;
	log_info("gathering '%s': the link with %s is gone: %s", v->gather->name, v->name, why);
	v->link = NULL;
	giver_let_go(v, why);
	gather_look(v->gather);
}

/* Where what is known of a device is; NULL: there are too many. */
static struct giver *
place_for(struct gather *g, const uint8_t key[32])
{
	struct giver *empty = NULL;

	for (uint32_t i = 0; i < GATHER_GIVERS; i++) {
		if (memcmp(g->givers[i].key, key, 32) == 0)
			return &g->givers[i];
		if (empty == NULL && g->givers[i].link == NULL && g->givers[i].wrong < GATHER_WRONG)
			empty = &g->givers[i];
	}
	if (empty != NULL) {
		*empty = (struct giver){.gather = g, .number = FETCH_NONE};
		memcpy(empty->key, key, 32);
	}
	return empty;
}

static void
dial(struct gather *g, const struct swarm_peer *p)
{
	static const struct link_events events = {on_open, on_message, on_close};
	struct giver *v = place_for(g, p->known->key);
	char address[80];

	swarm_reach(link_address(p->control), p->port, address, sizeof address);
	if (v == NULL || v->link != NULL || v->wrong >= GATHER_WRONG || address[0] == '\0')
		return;
	snprintf(v->name, sizeof v->name, "%s", p->known->name);
	v->answered = false;
	v->link = swarm_dial_neighbour(
		g->serve->swarm, address, v->key, LINK_BULK, CONTROL_MAX_BULK, &events, v);
}

void
givers_dial(struct gather *g)
{
	struct swarm_peer *const *peers;
	uint32_t n = swarm_peers(g->serve->swarm, &peers);

	/* Of more than there are places for, others the next time. */
	for (uint32_t i = 0; i < n; i++) {
		const struct swarm_peer *p = peers[(i + g->rounds * GATHER_GIVERS) % n];

		if (p->control != NULL)
			dial(g, p);
	}
	g->rounds++;
}

bool
givers_have_answered(const struct gather *g)
{
	for (uint32_t i = 0; i < GATHER_GIVERS; i++)
		if (g->givers[i].link != NULL && !g->givers[i].answered)
			return false;
	return true;
}

void
givers_close(struct gather *g, const char *why)
{
	for (uint32_t i = 0; i < GATHER_GIVERS; i++)
		if (g->givers[i].link != NULL)
			giver_let_go(&g->givers[i], why);
}

/* --- pieces --------------------------------------------------------------------------------------- */

void
givers_join(struct gather *g)
{
	const struct pieces *p = &g->parts.pieces;

	for (uint32_t i = 0; i < GATHER_GIVERS; i++) {
		struct giver *v = &g->givers[i];

		if (v->link == NULL || !v->answered)
			continue;
		v->number = fetch_join(g->fetch, false, source_now());
		v->questions.n = 0;
		for (uint32_t c = 0; v->number != FETCH_NONE && c < p->n; c++)
			for (uint32_t k = 0; k < v->n_slices; k++)
				if (chunk_in_slice(&p->list[c].chunk, &g->shape, &v->slices[k])) {
					fetch_covers(g->fetch, v->number, c);
					break;
				}
	}
}

void
givers_ask(struct gather *g)
{
	for (uint32_t i = 0; i < GATHER_GIVERS; i++) {
		struct giver *v = &g->givers[i];
		uint32_t piece;

		if (v->link == NULL || v->number == FETCH_NONE)
			continue;
		while ((piece = fetch_next(g->fetch, v->number, source_now())) != FETCH_NONE)
			chunk_ask(v->link, &v->questions, g->model_id, piece,
				&g->parts.pieces.list[piece].chunk);
	}
}

bool
givers_are_busy(const struct gather *g)
{
	for (uint32_t i = 0; i < GATHER_GIVERS; i++)
		if (g->givers[i].questions.n > 0)
			return true;
	return false;
}

void
givers_tick(struct gather *g)
{
	uint32_t slow = fetch_stalled(g->fetch, source_now());

	for (uint32_t i = 0; slow != FETCH_NONE && i < GATHER_GIVERS; i++)
		if (g->givers[i].link != NULL && g->givers[i].number == slow)
			giver_let_go(&g->givers[i], "it is too slow");
}
