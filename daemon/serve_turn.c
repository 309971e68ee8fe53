/* Whose turn it is to be given a chunk; reading it, and sending it. */
#include "daemon/cuts_message.h"
#include "daemon/serve_skeleton.h"
#include "daemon/serve_upload_int.h"

#include <stdio.h>
#include <stdlib.h>

#define LOOK_MS  10   /* when the next chunk must wait */
#define SHELF_MS 3000 /* without a question, after which shards are not held open any more */

struct upload_job { /* on the thread pool */
	uv_work_t req;
	struct uploads *uploads;
	struct upload_link *link; /* main thread; NULL: gone */
	struct ask ask;
	struct model_file *file; /* of ask.of_model */
	struct shelf *shelf;
	char folder[4096 + 16], skeletons[4096 + 16];
	uint8_t *bytes; /* of the chunk; NULL: it is not here */
	uint32_t len;
};

/* --- on the thread pool --------------------------------------------------------------------------- */

static bool
uses_shelf(const struct ask *a)
{
	return !a->of_model && !a->skeleton;
}

static void
work(uv_work_t *req)
{
	struct upload_job *j = req->data;
	struct err ignored;
	uint32_t from = 0;
	int rc = -1;

	if (j->ask.skeleton) {
		j->bytes = skeleton_piece(j->skeletons, j->ask.model_id, j->ask.offset, &j->len);
		return;
	}
	if (!j->ask.of_model && (j->shelf == NULL || j->ask.held)) {
		shelf_close(j->shelf); /* what is there now is asked for */
		j->shelf = shelf_open(j->folder, j->ask.model_id, false, NULL);
	}
	if (j->ask.held)
		return;
	j->len = chunk_bytes(&j->ask.chunk);
	j->bytes = malloc(j->len);
	if (j->bytes != NULL && j->ask.of_model)
		rc = chunk_from_gguf(
			j->file->gguf, &j->file->shape, &j->ask.chunk, j->bytes, &ignored);
	else if (j->bytes != NULL && j->shelf != NULL)
		rc = shelf_read(j->shelf, &j->ask.chunk, &from, j->bytes, &ignored);
	if (rc != 0) {
		free(j->bytes);
		j->bytes = NULL;
	}
}

/* --- answers -------------------------------------------------------------------------------------- */

int
upload_send(struct link *l, uint32_t number, const uint8_t *bytes, size_t len)
{
	Shoal__Envelope e = SHOAL__ENVELOPE__INIT;
	Shoal__Data data = SHOAL__DATA__INIT;

	data.number = number;
	data.bytes = (ProtobufCBinaryData){len, (uint8_t *)(uintptr_t)bytes};
	e.body_case = SHOAL__ENVELOPE__BODY_DATA;
	e.data = &data;
	return swarm_pack_send(l, &e);
}

static void
send_held(struct link *l, const struct shelf *shelf)
{
	Shoal__Envelope e = SHOAL__ENVELOPE__INIT;
	Shoal__Held held = SHOAL__HELD__INIT;
	struct slice slices[SHELF_MAX];
	struct cuts_message cuts;
	uint32_t n = 0;

	for (; shelf != NULL && n < shelf_size(shelf); n++)
		slices[n] = *shelf_slice(shelf, n);
	held.n_cuts = cuts_message_fill(&cuts, slices, n);
	held.cuts = cuts.pointers;
	e.body_case = SHOAL__ENVELOPE__BODY_HELD;
	e.held = &held;
	swarm_pack_send(l, &e);
}

/* --- whose turn it is ----------------------------------------------------------------------------- */

static void
after_work(uv_work_t *req, int status)
{
	struct upload_job *j = req->data;
	struct uploads *u = j->uploads;

	(void)status;
	u->job = NULL;
	if (uses_shelf(&j->ask))
		u->shelf = j->shelf;
	if (j->link != NULL && j->ask.held) {
		send_held(j->link->link, j->shelf);
	} else if (j->link != NULL) {
		upload_send(j->link->link, j->ask.number, j->bytes, j->bytes != NULL ? j->len : 0);
		u->bytes += j->bytes != NULL ? j->len : 0;
		u->chunks += j->bytes != NULL;
	}
	free(j->bytes);
	model_file_unref(j->file);
	free(j);
	uploads_look(u);
}

static void
drop_shelf(struct uploads *u)
{
	shelf_close(u->shelf);
	u->shelf = NULL;
}

/* Another model may be served by now; NULL: so it is. */
static struct model_file *
file_of(struct serve *s, const struct ask *a)
{
	if (s->file == NULL || memcmp(s->file->model_id, a->model_id, SHARD_HASH) != 0)
		return NULL;
	return model_file_ref(s->file);
}

/* Takes the first question of a link to the thread pool. -1: it cannot be done now. */
static int
start(struct uploads *u, struct upload_link *l)
{
	struct upload_job *j = calloc(1, sizeof *j);
	struct serve *s = u->serve;

	if (j == NULL)
		return -1;
	j->req.data = j;
	j->uploads = u;
	j->link = l;
	j->ask = l->asks[l->first];
	snprintf(j->folder, sizeof j->folder, "%s/shards", s->state->dir);
	snprintf(j->skeletons, sizeof j->skeletons, "%s/skeletons", s->state->dir);
	if (j->ask.of_model)
		j->file = file_of(s, &j->ask);
	else if (!uses_shelf(&j->ask))
		j->shelf = NULL;
	else if (u->shelf != NULL && memcmp(u->shelf_id, j->ask.model_id, SHARD_HASH) != 0)
		drop_shelf(u);
	else
		j->shelf = u->shelf;
	if ((j->ask.of_model && j->file == NULL) ||
		uv_queue_work(s->loop, &j->req, work, after_work) != 0) {
		model_file_unref(j->file);
		free(j);
		return -1;
	}
	if (uses_shelf(&j->ask)) {
		u->shelf = NULL;
		memcpy(u->shelf_id, j->ask.model_id, SHARD_HASH);
	}
	u->job = j;
	l->first = (l->first + 1) % UPLOAD_ASKS;
	l->n--;
	return 0;
}

static bool
may_give(struct uploads *u, const struct ask *a)
{
	struct serve *s = u->serve;
	struct engine_stats st;

	if (a->held)
		return true;
	serve_figures(s, &st);
	return upload_may(&u->pace, a->skeleton ? SKELETON_PIECE : chunk_bytes(&a->chunk),
		&(struct upload_view){.steps = st.steps,
			.engine = s->engine != NULL,
			.requests = desk_requests(s->desk) > 0,
			.now = uv_now(s->loop)});
}

/* The link whose turn it is, which goes behind the others; NULL: nobody's. *waits: somebody's later. */
static struct upload_link *
take_turn(struct uploads *u, bool *waits)
{
	struct upload_link **at = &u->links, *l;

	*waits = false;
	while ((l = *at) != NULL && (l->n == 0 || link_queued(l->link) > UPLOAD_QUEUED)) {
		*waits = *waits || l->n > 0;
		at = &l->next;
	}
	if (l == NULL)
		return NULL;
	if (!may_give(u, &l->asks[l->first])) {
		*waits = true;
		return NULL;
	}
	*at = l->next;
	l->next = NULL;
	while (*at != NULL)
		at = &(*at)->next;
	*at = l;
	return l;
}

static void
on_timer(uv_timer_t *t)
{
	uploads_look(t->data);
}

void
uploads_look(struct uploads *u)
{
	struct upload_link *l;
	bool waits;

	if (u->job != NULL || u->closed)
		return;
	l = take_turn(u, &waits);
	if (l != NULL && start(u, l) != 0)
		link_close(l->link, "the chunk cannot be read now");
	if (l != NULL)
		return;
	if (waits) {
		uv_timer_start(&u->timer, on_timer, LOOK_MS, 0);
	} else if (u->shelf != NULL && uv_now(u->serve->loop) - u->used >= SHELF_MS) {
		drop_shelf(u);
	} else if (u->shelf != NULL) {
		uv_timer_start(&u->timer, on_timer, SHELF_MS, 0);
	}
}

void
upload_gone(struct uploads *u, const struct upload_link *l)
{
	if (u->job != NULL && u->job->link == l)
		u->job->link = NULL;
}
