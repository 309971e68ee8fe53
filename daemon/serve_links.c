/* Links that members open to the coordinator: over bulk links they fetch their slices; tensor links
 * wait here until all are open and go to the engine. */
#include "daemon/log.h"
#include "daemon/serve_int.h"
#include "daemon/star.h"

#include <stdio.h>
#include <stdlib.h>

#define MAX_LINKS 256 /* of all members; more is a member gone wild */

static void
unlink_member_link(struct member_link *ml)
{
	struct member_link **at = &ml->serve->links;

	while (*at != ml)
		at = &(*at)->next;
	*at = ml->next;
	free(ml);
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
		plan_fail(s, text);
}

/* --- bulk --------------------------------------------------------------------------------------- */

static int
send_data(struct link *l, uint64_t epoch, uint32_t extent, uint64_t from, uint8_t *bytes,
	size_t len, struct err *err)
{
	Shoal__Envelope e = SHOAL__ENVELOPE__INIT;
	Shoal__Data data = SHOAL__DATA__INIT;

	data.epoch = epoch;
	data.extent = extent;
	data.from = from;
	data.bytes = (ProtobufCBinaryData){len, bytes};
	e.body_case = SHOAL__ENVELOPE__BODY_DATA;
	e.data = &data;
	return swarm_pack_send(l, &e) == 0 ? 0 : err_set(err, "a slice could not be sent");
}

static int
send_piece(struct serve *s, struct link *l, const struct plan_member *m,
	const Shoal__FetchExtent *f, struct err *err)
{
	const struct shard_header *h = &m->header.h;
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
	result = shard_extent_read(s->plan->file->gguf, h, f->extent, f->from, piece, f->len, err);
	if (result == 0)
		result = send_data(l, s->plan->epoch, f->extent, f->from, piece, f->len, err);
	free(piece);
	return result;
}

static int
on_bulk(struct link *l, void *arg, const uint8_t *msg, size_t len, struct err *err)
{
	struct member_link *ml = arg;
	struct serve *s = ml->serve;
	struct plan_member *m = plan_member(s, ml->peer);
	Shoal__Envelope *e = control_unpack(msg, len, err);
	int result;

	if (e == NULL)
		return -1;
	if (m == NULL || s->plan->state != PLAN_PREPARING)
		result = err_set(err, "it fetches while nothing is being prepared");
	else if (e->body_case == SHOAL__ENVELOPE__BODY_FETCH_HEADER &&
		 e->fetch_header->epoch == s->plan->epoch)
		result = send_data(
			l, s->plan->epoch, 0, 0, m->header.bytes.data, m->header.bytes.len, err);
	else if (e->body_case == SHOAL__ENVELOPE__BODY_FETCH_EXTENT &&
		 e->fetch_extent->epoch == s->plan->epoch)
		result = send_piece(s, l, m, e->fetch_extent, err);
	else
		result = err_set(
			err, "it sent '%s' for another plan or on the wrong link", control_name(e));
	control_free(e);
	return result;
}

/* --- tensor ------------------------------------------------------------------------------------- */

static void
on_tensor_open(struct link *l, void *arg)
{
	struct member_link *ml = arg;
	struct serve *s = ml->serve;
	struct plan_member *m = plan_member(s, ml->peer);

	if (m == NULL || s->plan->state != PLAN_LINKING || m->tensor != NULL)
		link_close(l, "no tensor link is awaited");
	else
		plan_tensor_open(s->plan, m, l);
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
	uint32_t logits =
		s->config->parallel < s->config->batch ? s->config->parallel : s->config->batch;

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
		n++;
	if (ml == NULL || n >= MAX_LINKS || plan_member(s, p) == NULL) {
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
member_link_forget(struct serve *s, struct link *l)
{
	struct member_link *ml = s->links;

	while (ml != NULL && ml->link != l)
		ml = ml->next;
	if (ml != NULL)
		unlink_member_link(ml);
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
