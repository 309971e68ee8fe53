/* A member's links with the other members of its plan: for ways to add sums that are not over the
 * hub, and in a pipeline those of its stage and between stages, without which the plan cannot be
 * (stages_need). The coordinator has told keys and addresses with the plan; the higher rank dials, the lower
 * one lets in just those keys, until the plan has started. An open link is detached at once and
 * waits so for the engine. */
#include "daemon/log.h"
#include "daemon/serve_int.h"
#include "daemon/star.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#define LINK_LIMIT 1000 /* ms until the plan goes on without these links */
#define NEED_LIMIT 5000 /* the same of those without which it cannot */

struct neighbour {
	struct neighbours *all;
	uint32_t rank;
	char name[PEER_NAME], address[80];
	uint8_t key[32];
	bool wanted, needed, failed;
	uint32_t vocab0, vocab; /* rows that it holds */
	struct link *link;      /* until it is open */
	struct link_detached ready;
	bool open;
};

struct neighbours {
	struct follow *follow;
	uint64_t since; /* loop time of the beginning; 0: not begun */
	bool told;
	char why[400]; /* a link failed; "": none has */
	uint32_t n;
	struct neighbour list[]; /* by rank */
};

/* --- life --------------------------------------------------------------------------------------- */

static int
check(const struct follow *f, const Shoal__Prepare *p, struct err *err)
{
	uint32_t rank = 1;

	if (p->n_neighbours != f->peers - 2)
		return err_set(err, "a plan with %zu of %u neighbours came", p->n_neighbours,
			f->peers - 2);
	for (size_t i = 0; i < p->n_neighbours; i++, rank++) {
		const Shoal__Neighbour *m = p->neighbours[i];

		rank += rank == f->rank;
		if (m->rank != rank || m->key.len != 32 || strlen(m->name) >= PEER_NAME ||
			strlen(m->address) >= sizeof(((struct neighbour *)0)->address))
			return err_set(
				err, "a plan with an unusable neighbour of rank %u came", m->rank);
	}
	return 0;
}

int
neighbours_new(struct follow *f, const Shoal__Prepare *p, struct err *err)
{
	struct neighbours *all;

	if (p->n_neighbours == 0)
		return 0;
	if (check(f, p, err) != 0)
		return -1;
	all = calloc(1, sizeof *all + p->n_neighbours * sizeof *all->list);
	if (all == NULL)
		return err_set(err, "not enough memory for a plan");
	all->follow = f;
	all->n = (uint32_t)p->n_neighbours;
	for (uint32_t i = 0; i < all->n; i++) {
		const Shoal__Neighbour *m = p->neighbours[i];
		struct neighbour *nb = &all->list[i];

		nb->all = all;
		nb->rank = m->rank;
		snprintf(nb->name, sizeof nb->name, "%s", m->name);
		snprintf(nb->address, sizeof nb->address, "%s", m->address);
		memcpy(nb->key, m->key.data, sizeof nb->key);
		nb->wanted = stages_linked(&f->stages, f->way, f->rank, nb->rank);
		nb->needed = f->stages.n > 1 && stages_need(&f->stages, f->rank, nb->rank);
		nb->vocab0 = m->vocab_first;
		nb->vocab = m->vocab;
	}
	f->neighbours = all;
	return 0;
}

void
neighbours_free(struct follow *f)
{
	static const struct link_events nothing;
	struct neighbours *all = f->neighbours;

	f->neighbours = NULL;
	for (uint32_t i = 0; all != NULL && i < all->n; i++) {
		struct neighbour *nb = &all->list[i];

		if (nb->link != NULL) {
			link_set(nb->link, &nothing, NULL);
			link_close(nb->link, "the plan goes on without it");
		}
		if (nb->open)
			link_detached_discard(&nb->ready);
	}
	free(all);
}

/* --- what the coordinator hears ----------------------------------------------------------------- */

/* lacks: the link that is missing, if the plan cannot do without it. */
static void
tell(struct neighbours *all, bool direct, bool lacks, const char *why)
{
	Shoal__Envelope e = SHOAL__ENVELOPE__INIT;
	Shoal__Linked linked = SHOAL__LINKED__INIT;
	struct swarm_peer *const *peers;
	char text[257];

	if (all->told)
		return;
	all->told = true;
	if (!direct)
		log_warning("not linked with all other members: %s", why);
	control_text(why, text);
	linked.epoch = all->follow->epoch;
	linked.direct = direct;
	linked.lacks_one = lacks;
	linked.why = text;
	e.body_case = SHOAL__ENVELOPE__BODY_LINKED;
	e.linked = &linked;
	if (swarm_peers(all->follow->serve->swarm, &peers) > 0)
		swarm_send(peers[0], &e);
}

/* A link will not be. Of several reasons the one that counts most is kept. */
static void
note_failure(struct neighbour *nb, const char *why)
{
	struct neighbours *all = nb->all;

	nb->failed = true;
	if (all->why[0] == '\0' || nb->needed)
		snprintf(all->why, sizeof all->why, "%s: %s", nb->name, why);
}

static bool
is_pending(const struct neighbour *nb)
{
	return nb->wanted && !nb->open && !nb->failed;
}

/* Those that have had their time. */
static void
look_at_time(struct neighbours *all)
{
	uint64_t waited = uv_now(all->follow->serve->loop) - all->since;
	char why[64];

	for (uint32_t i = 0; i < all->n; i++) {
		struct neighbour *nb = &all->list[i];
		int limit = nb->needed ? NEED_LIMIT : LINK_LIMIT;

		if (!is_pending(nb) || waited < (uint64_t)limit)
			continue;
		snprintf(why, sizeof why, "no link within %d s", limit / 1000);
		note_failure(nb, why);
	}
}

/* Says how it went, as soon as it is certain. */
static void
settle(struct neighbours *all)
{
	bool pending = false, direct = true, lacks = false;

	if (all->since == 0)
		return;
	look_at_time(all);
	for (uint32_t i = 0; i < all->n; i++) {
		pending = pending || is_pending(&all->list[i]);
		direct = direct && !all->list[i].failed;
		lacks = lacks || (all->list[i].failed && all->list[i].needed);
	}
	if (lacks || !pending)
		tell(all, direct, lacks, all->why);
}

/* --- links -------------------------------------------------------------------------------------- */

static void
on_open(struct link *l, void *arg)
{
	struct neighbour *nb = arg;
	struct err err = {""};

	if (link_detach(l, &nb->ready, &err) != 0) {
		link_close(l, err.msg);
		return;
	}
	nb->link = NULL;
	nb->open = true;
	settle(nb->all);
}

static int
on_early_frame(struct link *l, void *arg, const uint8_t *msg, size_t len, struct err *err)
{
	(void)l, (void)arg, (void)msg;
	return err_set(err, "%zu bytes came before the first step", len);
}

static void
on_close(struct link *l, void *arg, const char *why)
{
	struct neighbour *nb = arg;

	(void)l;
	nb->link = NULL;
	if (nb->all->since == 0)
		return;
	note_failure(nb, why);
	settle(nb->all);
}

static const struct link_events events = {on_open, on_early_frame, on_close};

static size_t
max_message(const struct follow *f)
{
	const struct shard_header *h = shard_header(f->shard->shard);

	if (f->stages.n > 1)
		return star_max_message(f->max_rows,
			f->slots < f->max_rows ? f->slots : f->max_rows, h->shape.embd,
			h->shape.vocab);
	return star_max_message(f->max_rows, 0, h->shape.embd, 0);
}

int
neighbours_admit(struct serve *s, const uint8_t key[32], struct link *l,
	const struct link_events **ev, void **ev_arg, size_t *max, struct err *err)
{
	struct follow *f = s->follow;
	struct neighbours *all = f != NULL ? f->neighbours : NULL;

	for (uint32_t i = 0; all != NULL && i < all->n; i++) {
		struct neighbour *nb = &all->list[i];

		if (sodium_memcmp(nb->key, key, 32) != 0)
			continue;
		if (!nb->wanted || nb->rank < f->rank || nb->link != NULL || nb->open ||
			all->told || (f->state != FOLLOW_READY && f->state != FOLLOW_LINKING))
			return err_set(err, "no link of %s is awaited", nb->name);
		if (ev == NULL)
			return 0;
		nb->link = l;
		*ev = &events;
		*ev_arg = nb;
		*max = max_message(f);
		return 0;
	}
	return err_set(err, "this device is a member, and its plan has no neighbour of that key");
}

void
neighbours_begin(struct follow *f)
{
	struct neighbours *all = f->neighbours;
	char why[120];

	if (all == NULL)
		return;
	all->since = uv_now(f->serve->loop);
	for (uint32_t i = 0; i < all->n && all->list[i].rank < f->rank; i++) {
		struct neighbour *nb = &all->list[i];

		if (!nb->wanted)
			continue;
		nb->link = swarm_dial_neighbour(f->serve->swarm, nb->address, nb->key, LINK_TENSOR,
			max_message(f), &events, nb);
		if (nb->link == NULL) {
			snprintf(why, sizeof why, "its address ('%s') is not usable", nb->address);
			note_failure(nb, why);
		}
	}
	settle(all);
}

void
neighbours_tick(struct follow *f)
{
	if (f->neighbours != NULL)
		settle(f->neighbours);
}

/* --- the start ---------------------------------------------------------------------------------- */

int
neighbours_take(struct follow *f, uint32_t rank, struct link_detached *out, struct err *err)
{
	struct neighbours *all = f->neighbours;

	for (uint32_t i = 0; all != NULL && i < all->n; i++) {
		struct neighbour *nb = &all->list[i];

		if (nb->rank != rank)
			continue;
		if (!nb->open)
			return err_set(err, "the link with %s is missing", nb->name);
		*out = nb->ready;
		nb->open = false;
		return 0;
	}
	return err_set(err, "there is no neighbour of rank %u", rank);
}

int
neighbours_rows(const struct follow *f, const struct model_shape *shape, struct slice *slices,
	struct err *err)
{
	const struct neighbours *all = f->neighbours;

	for (uint32_t i = 0; all != NULL && i < all->n; i++) {
		const struct neighbour *nb = &all->list[i];

		if (nb->vocab0 > shape->vocab || nb->vocab > shape->vocab - nb->vocab0)
			return err_set(err, "%s has vocabulary rows %u+%u of %u", nb->name,
				nb->vocab0, nb->vocab, shape->vocab);
		slices[nb->rank].vocab0 = nb->vocab0;
		slices[nb->rank].vocab = nb->vocab;
	}
	return 0;
}

void
neighbours_names(const struct follow *f, char names[][PEER_NAME])
{
	const struct neighbours *all = f->neighbours;

	for (uint32_t i = 0; all != NULL && i < all->n; i++)
		snprintf(names[all->list[i].rank], PEER_NAME, "%s", all->list[i].name);
}
