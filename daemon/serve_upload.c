#include "daemon/chunk_question.h"
#include "daemon/serve_kv.h"
#include "daemon/serve_skeleton.h"
#include "daemon/serve_upload_int.h"

#include "model/memory.h"

#include <stdlib.h>

/* --- questions ------------------------------------------------------------------------------------ */

static int
take_ask(struct upload_link *l, const struct ask *a, struct err *err)
{
	if (l->n == UPLOAD_ASKS)
		return err_set(err, "it asks for more than %d chunks at a time", UPLOAD_ASKS);
	l->asks[(l->first + l->n++) % UPLOAD_ASKS] = *a;
	l->uploads->used = uv_now(l->uploads->serve->loop);
	uploads_look(l->uploads);
	return 0;
}

static int
take_held(struct upload_link *l, const Shoal__FetchHeld *m, struct err *err)
{
	struct ask a = {.held = true};

	if (m->model_id.len != SHARD_HASH)
		return err_set(err, "it asks for shards of no model");
	memcpy(a.model_id, m->model_id.data, SHARD_HASH);
	return take_ask(l, &a, err);
}

static int
take_chunk(struct upload_link *l, const Shoal__FetchChunk *m, struct err *err)
{
	const struct model_file *f = l->uploads->serve->file;
	struct ask a = {.number = m->number, .chunk = chunk_question_read(m)};

	if (m->model_id.len != SHARD_HASH || chunk_bytes(&a.chunk) == 0)
		return err_set(err, "it asks for a chunk that no model has");
	memcpy(a.model_id, m->model_id.data, SHARD_HASH);
	a.of_model = f != NULL && memcmp(f->model_id, a.model_id, SHARD_HASH) == 0;
	if (a.of_model && chunk_check(&a.chunk, &f->shape, err) != 0)
		return -1;
	return take_ask(l, &a, err);
}

static int
take_skeleton(struct upload_link *l, const Shoal__FetchSkeleton *m, struct err *err)
{
	struct ask a = {.skeleton = true,
		.offset = m->offset,
		.number = (uint32_t)(m->offset / SKELETON_PIECE)};

	if (m->model_id.len != SHARD_HASH || m->offset % SKELETON_PIECE != 0)
		return err_set(err, "it asks for no piece of a model's skeleton");
	memcpy(a.model_id, m->model_id.data, SHARD_HASH);
	return take_ask(l, &a, err);
}

/* The header with that hash of a slice that is this member's, in the plan or in the stock. */
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
give_header(struct upload_link *l, const Shoal__FetchHeader *m, struct err *err)
{
	const struct member_header *h =
		l->peer != NULL ? find_header(l->uploads->serve, l->peer, &m->header_hash) : NULL;
	const struct buf *b;

	if (h == NULL)
		return err_set(err, "it asks for a slice that nobody wants now");
	b = m->chunks ? &h->chunks : &h->bytes;
	return upload_send(l->link, 0, b->data, b->len) == 0
		       ? 0
		       : err_set(err, "a slice could not be sent");
}

static int
on_message(struct link *link, void *arg, const uint8_t *msg, size_t len, struct err *err)
{
	struct upload_link *l = arg;
	Shoal__Envelope *e = control_unpack(msg, len, err);
	int rc = -1;

	if (e == NULL)
		return -1;
	if (e->body_case == SHOAL__ENVELOPE__BODY_FETCH_CHUNK)
		rc = take_chunk(l, e->fetch_chunk, err);
	else if (e->body_case == SHOAL__ENVELOPE__BODY_FETCH_HELD)
		rc = take_held(l, e->fetch_held, err);
	else if (e->body_case == SHOAL__ENVELOPE__BODY_FETCH_SKELETON)
		rc = take_skeleton(l, e->fetch_skeleton, err);
	else if (e->body_case == SHOAL__ENVELOPE__BODY_FETCH_HEADER)
		rc = give_header(l, e->fetch_header, err);
	else if (l->peer != NULL && copies_is_message(e))
		rc = copies_control(l->uploads->serve, l->peer, link, e, err);
	else
		err_set(err, "it sent '%s' on a bulk link", control_name(e));
	control_free(e);
	return rc;
}

/* A fellow member; or the coordinator, which was elected and has not got the model. */
static bool
is_known(const struct uploads *u, const uint8_t key[32])
{
	const struct state *st = u->serve->state;

	return fellows_find(u->serve, key) != NULL ||
	       (st->is_member && state_has_coordinator(st) &&
		       memcmp(st->coordinator.key, key, 32) == 0);
}

/* --- links ---------------------------------------------------------------------------------------- */

static void
on_close(struct link *link, void *arg, const char *why)
{
	struct upload_link *l = arg, **at = &l->uploads->links;
	struct uploads *u = l->uploads;

	copies_link_closed(u->serve, link, why);
	while (*at != l)
		at = &(*at)->next;
	*at = l->next;
	upload_gone(u, l);
	free(l);
	uploads_look(u);
}

int
uploads_admit(struct uploads *u, struct swarm_peer *peer, const uint8_t key[32], struct link *l,
	const struct link_events **ev, void **ev_arg, size_t *max_message, struct err *err)
{
	static const struct link_events events = {.on_message = on_message, .on_close = on_close};
	struct upload_link *x;
	uint32_t n = 0;

	if (u == NULL || u->closed || (peer == NULL && !is_known(u, key)))
		return err_set(err, "a bulk link of somebody who is not known to be a member");
	for (const struct upload_link *i = u->links; i != NULL; i = i->next)
		n += memcmp(i->key, key, sizeof i->key) == 0;
	if (n >= UPLOAD_LINKS)
		return err_set(err, "it has %u bulk links already", n);
	if (ev == NULL)
		return 0;
	x = calloc(1, sizeof *x);
	if (x == NULL)
		return err_set(err, "out of memory");
	x->uploads = u;
	x->link = l;
	x->peer = peer;
	memcpy(x->key, key, sizeof x->key);
	x->next = u->links;
	u->links = x;
	*ev = &events;
	*ev_arg = x;
	*max_message = CONTROL_MAX_MESSAGE;
	return 0;
}

void
uploads_check(struct uploads *u)
{
	struct upload_link *next;

	for (struct upload_link *l = u != NULL ? u->links : NULL; l != NULL; l = next) {
		next = l->next;
		if (l->peer != NULL ? l->peer->control == NULL : !is_known(u, l->key))
			link_close(l->link, "it is away, or no fellow member any more");
	}
}

void
uploads_end(struct uploads *u, const char *why)
{
	struct upload_link *next;

	/* on_close comes later, from the loop. */
	for (struct upload_link *l = u != NULL ? u->links : NULL; l != NULL; l = next) {
		next = l->next;
		link_close(l->link, why);
	}
}

/* --- life ----------------------------------------------------------------------------------------- */

struct uploads *
uploads_new(struct serve *s)
{
	struct uploads *u = calloc(1, sizeof *u);
	struct err ignored; /* the configuration was looked at when it was read */

	if (u == NULL)
		return NULL;
	u->serve = s;
	memory_parse("upload", s->config->upload, &u->pace.limit, &ignored);
	uv_timer_init(s->loop, &u->timer);
	u->timer.data = u;
	return u;
}

void
uploads_close(struct uploads *u)
{
	if (u == NULL || u->closed)
		return;
	u->closed = true;
	uv_close((uv_handle_t *)&u->timer, NULL);
	uploads_end(u, "this device ends");
}

void
uploads_free(struct uploads *u)
{
	if (u == NULL)
		return;
	shelf_close(u->shelf);
	free(u);
}

json_t *
uploads_json(const struct uploads *u)
{
	if (u == NULL)
		return json_null();
	return json_pack("{s:I,s:I,s:I,s:I}", "bytes", (json_int_t)u->bytes, "chunks",
		(json_int_t)u->chunks, "at_steps", (json_int_t)u->pace.held, "beside_steps",
		(json_int_t)u->pace.beside);
}
