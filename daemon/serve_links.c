/* Tensor links that members open to the coordinator: they wait here until all are open, and then go to
 * the engine. Over bulk links members fetch their slices (serve_upload.c). */
#include "daemon/log.h"
#include "daemon/serve_balance.h"
#include "daemon/serve_kv.h"
#include "daemon/serve_upload.h"
#include "daemon/star.h"

#include <stdio.h>
#include <stdlib.h>

#define MAX_LINKS 8 /* of a member; more is a member gone wild */

static void
unlink_member_link(struct member_link *ml)
{
	struct member_link **at = &ml->serve->links;

	while (*at != ml)
		at = &(*at)->next;
	*at = ml->next;
	free(ml);
}

/* The link leaves serve: it is being detached. */
static void
forget_link(struct serve *s, struct link *l)
{
	struct member_link *ml = s->links;

	while (ml != NULL && ml->link != l)
		ml = ml->next;
	if (ml != NULL)
		unlink_member_link(ml);
}

static void
on_close(struct link *l, void *arg, const char *why)
{
	struct member_link *ml = arg;
	struct serve *s = ml->serve;
	struct plan_member *m = plan_member(s, ml->peer);
	char text[512];

	unlink_member_link(ml);
	if (m == NULL || m->tensor != l)
		return;
	m->tensor = NULL;
	snprintf(text, sizeof text, "%s closed its tensor link: %s", m->peer->known->name, why);
	if (s->plan->state == PLAN_LINKING)
		plan_blame(s, m->peer, text);
}

/* --- all are open ------------------------------------------------------------------------------------ */

static void
on_broken(void *arg, const char *who, const char *why)
{
	plan_blame_name(arg, who, why);
}

bool
plan_has_link(const struct plan *p, uint32_t rank)
{
	return stages_linked(&p->stages, p->way, 0, rank);
}

/* The ranks with which this device is linked, in the order that an engine wants (engine_links): those of
 * its group, the hub behind, the one before. Returns their number. */
static uint32_t
linked_ranks(const struct plan *p, uint32_t *ranks)
{
	uint32_t n = 0, behind = stages_behind(&p->stages, 0),
		 before = stages_before(&p->stages, 0);

	for (uint32_t i = 1; i < p->stages.list[0].n; i++)
		ranks[n++] = i;
	if (p->stages.n > 1)
		ranks[n++] = behind;
	if (p->stages.n > 2)
		ranks[n++] = before;
	return n;
}

static int
detach_links(struct plan *p, struct link_detached *out, struct err *err)
{
	uint32_t ranks[SLICE_MAX_PEERS], n = linked_ranks(p, ranks);

	for (uint32_t i = 0; i < n; i++) {
		struct plan_member *m = &p->members[ranks[i]];
		struct link *l = m->tensor;

		if (link_detach(l, &out[i], err) != 0) {
			while (i-- > 0)
				link_detached_discard(&out[i]);
			return -1;
		}
		m->tensor = NULL;
		forget_link(p->serve, l);
	}
	return 0;
}

static void
collect_names(const struct plan *p, char names[][PEER_NAME])
{
	snprintf(names[0], PEER_NAME, "%s", p->serve->state->name);
	for (uint32_t i = 1; i < p->n; i++)
		snprintf(names[i], PEER_NAME, "%s", p->members[i].peer->known->name);
}

static int
start_engine(struct plan *p, struct err *err)
{
	struct serve *s = p->serve;
	struct link_detached links[SLICE_MAX_PEERS];
	char names[SLICE_MAX_PEERS][PEER_NAME];
	struct engine_config c = {
		.epoch = p->epoch,
		.shape = &p->file->shape,
		.slices = p->slices,
		.desk = s->desk,
		.context = p->context,
		.slots = s->config->parallel,
		.max_rows = p->rows,
		.kv = serve_kv(s->config),
		.kv_copies = s->config->kv_copies > 0,
		.payload = p->payload,
		.way = p->direct ? p->way : WAY_STAR,
		.links = links,
		.names = names,
		.on_broken = on_broken,
		.on_kv = copies_on_kv,
		.arg = s,
	};

	engine_place(&c, &p->stages, 0);
	memcpy(c.row_shares, p->row_shares, sizeof c.row_shares);
	collect_names(p, names);
	p->members[0].weights = weights_bytes(p->weights, &p->file->shape, true);
	if (detach_links(p, links, err) != 0)
		return -1;
	c.weights = p->weights;
	p->weights = NULL;
	return serve_start_engine(s, &c, p->file, p->shard, err);
}

void
plan_start_engine(struct plan *p)
{
	struct serve *s = p->serve;
	struct err err = {""};

	if (start_engine(p, &err) != 0) {
		plan_fail(s, err.msg);
		return;
	}
	s->served = (struct served_model){
		.id = p->file->id,
		.tokenizer = p->file->tokenizer,
		.chat = p->file->chat,
		.shape = p->file->shape,
		.context = p->context,
		.desk = s->desk,
		.created = p->file->opened,
		.model_id = p->file->model_id,
		.devices = p->n,
	};
	desk_limit(s->desk, p->context, s->config->parallel + s->config->queue);
	s->trouble[0] = '\0';
	s->stopped_at = 0;
	plan_set_state(p, PLAN_SERVING);
	stock_served(s, p);
	balance_began(p);
	copies_began(p);
}

/* --- tensor ------------------------------------------------------------------------------------- */

static void
take_tensor(struct plan *p, struct plan_member *m, struct link *l)
{
	m->tensor = l;
	plan_check_links(p);
}

static void
on_tensor_open(struct link *l, void *arg)
{
	struct member_link *ml = arg;
	struct serve *s = ml->serve;
	struct plan_member *m = plan_member(s, ml->peer);

	if (m == NULL || s->plan->state != PLAN_LINKING || m->tensor != NULL ||
		!plan_has_link(s->plan, (uint32_t)(m - s->plan->members)))
		link_close(l, "no tensor link is awaited");
	else
		take_tensor(s->plan, m, l);
}

static int
on_early_frame(struct link *l, void *arg, const uint8_t *msg, size_t len, struct err *err)
{
	(void)l, (void)arg, (void)msg;
	return err_set(err, "%zu bytes came before the first step", len);
}

/* --- who comes in ------------------------------------------------------------------------------- */

static const struct link_events tensor_events = {on_tensor_open, on_early_frame, on_close};

static size_t
tensor_message(const struct plan *p, const struct serve *s)
{
	uint32_t logits = engine_max_logits(s->config->parallel, p->rows);

	return star_max_message(p->rows, logits, p->file->shape.embd, p->file->shape.vocab);
}

int
member_link_admit(struct serve *s, struct swarm_peer *p, struct link *l,
	const struct link_events **ev, void **ev_arg, size_t *max_message, struct err *err)
{
	struct member_link *ml;
	uint32_t n = 0;

	if (link_purpose(l) == LINK_BULK)
		return uploads_admit(s->uploads, p, p->known->key, l, ev, ev_arg, max_message, err);
	for (const struct member_link *x = s->links; x != NULL; x = x->next)
		n += x->peer == p;
	if (n >= MAX_LINKS || plan_member(s, p) == NULL)
		return err_set(err, "%s is not in the plan, or has too many links", p->known->name);
	if (ev == NULL)
		return 0;
	ml = calloc(1, sizeof *ml);
	if (ml == NULL)
		return err_set(err, "out of memory");
	*ml = (struct member_link){.serve = s, .peer = p, .link = l, .next = s->links};
	s->links = ml;
	*ev = &tensor_events;
	*ev_arg = ml;
	*max_message = tensor_message(s->plan, s);
	return 0;
}

void
member_links_close(struct serve *s, const char *why)
{
	struct member_link *next;

	uploads_end(s->uploads, why);
	/* on_close comes later, from the loop. */
	for (struct member_link *ml = s->links; ml != NULL; ml = next) {
		next = ml->next;
		link_close(ml->link, why);
	}
}
