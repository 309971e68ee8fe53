/* Drafts for requests: an engine asks for one behind the ids that there are, the main thread hears that and tells the
 * drafter, and what that says waits here for the engine, which may have gone on meanwhile. */
#include "daemon/desk_int.h"

/* --- main thread -------------------------------------------------------------------------------- */

void
desk_set_drafter(struct desk *d, const struct desk_drafter *drafter)
{
	d->drafter = *drafter;
}

void
request_draft_begin(struct desk *d, struct request *r)
{
	if (d->drafter.begin != NULL)
		r->draft.drafter = d->drafter.begin(d->drafter.arg, d, r, r->session, r->client);
	atomic_init(&r->draft.possible, r->draft.drafter != NULL);
}

void
request_draft_end(struct desk *d, struct request *r)
{
	if (r->draft.drafter != NULL)
		d->drafter.end(r->draft.drafter);
	r->draft.drafter = NULL;
	buf_free(&r->draft.news);
}

void
request_draft_take(struct desk *d, struct request *r)
{
	desk_move(&d->news, &r->draft.news);
	d->drafts = r->draft.most;
	r->draft.most = 0;
}

void
request_draft_hear(struct desk *d, struct request *r)
{
	if (d->drafts > 0 && r->draft.drafter != NULL && !atomic_load(&r->cancelled))
		d->drafter.draft(r->draft.drafter, (const void *)d->news.data,
			d->news.len / sizeof(uint32_t), d->drafts);
}

void
desk_drafted(struct desk *d, struct request *r, const uint32_t *ids, uint32_t n)
{
	struct request_draft *f = &r->draft;

	uv_mutex_lock(&d->lock);
	f->n = ids == NULL ? 0 : n < GUESS_MOST ? n : GUESS_MOST;
	for (uint32_t i = 0; i < f->n; i++)
		f->ids[i] = ids[i];
	f->end = uv_hrtime();
	if (ids == NULL)
		atomic_store(&f->possible, false);
	if (d->wake != NULL)
		uv_async_send(d->wake);
	uv_mutex_unlock(&d->lock);
}

/* --- engine thread ------------------------------------------------------------------------------ */

bool
desk_may_draft(const struct request *r)
{
	return atomic_load(&r->draft.possible);
}

bool
desk_asks_draft(const struct request *r)
{
	return r->draft.asked;
}

void
desk_ask_draft(struct desk *d, struct request *r, uint32_t most)
{
	struct request_draft *f = &r->draft;
	size_t n;
	const uint32_t *ids = session_ids(r->session, &n);

	uv_mutex_lock(&d->lock);
	f->since = uv_hrtime();
	f->end = 0;
	f->behind = n;
	f->most = most;
	/* Without all ids before them none can be drafted. */
	if (buf_append(&f->news, ids + f->told, (n - f->told) * sizeof *ids) != 0)
		atomic_store(&f->possible, false);
	f->told = n;
	f->asked = true;
	desk_post(d, r);
	uv_mutex_unlock(&d->lock);
}

bool
desk_take_draft(struct desk *d, struct request *r, struct desk_draft *out)
{
	struct request_draft *f = &r->draft;

	uv_mutex_lock(&d->lock);
	if (f->end != 0) {
		*out = (struct desk_draft){.n = f->n,
			.behind = f->behind,
			.seconds = (double)(f->end - f->since) / 1e9};
		for (uint32_t i = 0; i < f->n; i++)
			out->ids[i] = f->ids[i];
		f->end = 0;
		f->asked = false;
	}
	uv_mutex_unlock(&d->lock);
	return !f->asked;
}
