/* Links that members open to the coordinator: over bulk links they fetch their slices; tensor links
 * wait here until all are open, and then go to the engine. */
#include "daemon/log.h"
#include "daemon/serve_balance.h"
#include "daemon/serve_kv.h"
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
	copies_link_closed(s, l, why);
	if (m == NULL || m->tensor != l)
		return;
	m->tensor = NULL;
	snprintf(text, sizeof text, "%s closed its tensor link: %s", m->peer->known->name, why);
	if (s->plan->state == PLAN_LINKING)
		plan_blame(s, m->peer, text);
}

/* --- bulk --------------------------------------------------------------------------------------- */

static int
send_data(
	struct link *l, uint32_t extent, uint64_t from, uint8_t *bytes, size_t len, struct err *err)
{
	Shoal__Envelope e = SHOAL__ENVELOPE__INIT;
	Shoal__Data data = SHOAL__DATA__INIT;

	data.extent = extent;
	data.from = from;
	data.bytes = (ProtobufCBinaryData){len, bytes};
	e.body_case = SHOAL__ENVELOPE__BODY_DATA;
	e.data = &data;
	return swarm_pack_send(l, &e) == 0 ? 0 : err_set(err, "a slice could not be sent");
}

static int
send_piece(struct serve *s, struct link *l, const struct shard_header *h,
	const Shoal__FetchExtent *f, struct err *err)
{
	uint8_t *piece;
	int result;

	if (f->extent >= h->n_extents || f->len == 0 || f->len > SERVE_PIECE ||
		f->from > h->extents[f->extent].bytes ||
		f->len > h->extents[f->extent].bytes - f->from)
		return err_set(err, "it asks for bytes %llu + %u of extent %u, which there are not",
			(unsigned long long)f->from, f->len, f->extent);
	piece = malloc(f->len);
	if (piece == NULL)
		return err_set(err, "not enough memory to send a slice");
	result = shard_extent_read(s->file->gguf, h, f->extent, f->from, piece, f->len, err);
	if (result == 0)
		result = send_data(l, f->extent, f->from, piece, f->len, err);
	free(piece);
	return result;
}

/* The header with that hash of a slice that is this peer's, in the plan or in the stock. */
static const struct member_header *
find_header(struct serve *s, const struct swarm_peer *p, const ProtobufCBinaryData *hash)
{
	const struct plan_member *m = plan_member(s, p);

	if (hash->len != SHARD_HASH || s->file == NULL)
		return NULL;
	if (m != NULL && s->plan->file == s->file && m->header.bytes.len > 0 &&
		memcmp(m->header.hash, hash->data, SHARD_HASH) == 0)
		return &m->header;
	return stock_header(s, p, hash->data);
}

static int
answer_bulk(struct serve *s, struct swarm_peer *p, struct link *l, const Shoal__Envelope *e,
	struct err *err)
{
	const struct member_header *h;

	if (copies_is_message(e))
		return copies_control(s, p, l, e, err);
	if (e->body_case == SHOAL__ENVELOPE__BODY_FETCH_HEADER) {
		h = find_header(s, p, &e->fetch_header->header_hash);
		if (h != NULL)
			return send_data(l, 0, 0, h->bytes.data, h->bytes.len, err);
	} else if (e->body_case == SHOAL__ENVELOPE__BODY_FETCH_EXTENT) {
		h = find_header(s, p, &e->fetch_extent->header_hash);
		if (h != NULL)
			return send_piece(s, l, &h->h, e->fetch_extent, err);
	} else {
		return err_set(err, "it sent '%s' on a bulk link", control_name(e));
	}
	return err_set(err, "it asks for a slice that nobody wants now");
}

static int
on_bulk(struct link *l, void *arg, const uint8_t *msg, size_t len, struct err *err)
{
	struct member_link *ml = arg;
	Shoal__Envelope *e = control_unpack(msg, len, err);
	int result;

	if (e == NULL)
		return -1;
	result = answer_bulk(ml->serve, ml->peer, l, e, err);
	control_free(e);
	return result;
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
		.max_rows = s->config->batch,
		.kv = serve_kv(s->config),
		.kv_copies = s->config->kv_copies > 0,
		.payload = serve_payload(s->config),
		.way = p->direct ? p->way : WAY_STAR,
		.links = links,
		.names = names,
		.on_broken = on_broken,
		.on_kv = copies_on_kv,
		.arg = s,
	};

	engine_place(&c, &p->stages, 0);
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

static const struct link_events bulk_events = {.on_message = on_bulk, .on_close = on_close};
static const struct link_events tensor_events = {on_tensor_open, on_early_frame, on_close};

static size_t
tensor_message(const struct plan *p, const struct serve *s)
{
	uint32_t logits = engine_max_logits(s->config->parallel, s->config->batch);

	return star_max_message(
		s->config->batch, logits, p->file->shape.embd, p->file->shape.vocab);
}

int
member_link_admit(struct serve *s, struct swarm_peer *p, struct link *l,
	const struct link_events **ev, void **ev_arg, size_t *max_message, struct err *err)
{
	struct member_link *ml = calloc(1, sizeof *ml);
	bool tensor = link_purpose(l) == LINK_TENSOR;
	uint32_t n = 0;

	for (const struct member_link *x = s->links; x != NULL; x = x->next)
		n += x->peer == p;
	if (ml == NULL || n >= MAX_LINKS || (tensor && plan_member(s, p) == NULL)) {
		free(ml);
		return err_set(err, "%s is not in the plan, or has too many links", p->known->name);
	}
	*ml = (struct member_link){.serve = s, .peer = p, .link = l, .next = s->links};
	s->links = ml;
	*ev = tensor ? &tensor_events : &bulk_events;
	*ev_arg = ml;
	*max_message = tensor ? tensor_message(s->plan, s) : CONTROL_MAX_MESSAGE;
	return 0;
}

void
member_links_close(struct serve *s, const char *why)
{
	struct member_link *next;

	/* on_close comes later, from the loop. */
	for (struct member_link *ml = s->links; ml != NULL; ml = next) {
		next = ml->next;
		link_close(ml->link, why);
	}
}
