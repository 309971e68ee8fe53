/* The engine's two mailboxes: requests go in by `news` and the wake handle, text and outcomes come
 * out by `posted` and the heard handle. */
#include "daemon/engine_int.h"

#include <stdio.h>
#include <stdlib.h>

void
request_list_init(struct request_list *l)
{
	l->head = NULL;
	l->tail = &l->head;
}

void
request_list_add(struct request_list *l, struct request *r)
{
	r->next = NULL;
	*l->tail = r;
	l->tail = &r->next;
}

struct request *
request_list_take(struct request_list *l)
{
	struct request *r = l->head;

	if (r != NULL)
		l->head = r->next;
	if (l->head == NULL)
		l->tail = &l->head;
	return r;
}

/* --- engine thread: to be heard ----------------------------------------------------------------- */

/* The lock is held. */
static void
post(struct engine *e, struct request *r)
{
	if (r->posted)
		return;
	r->posted = true;
	r->next_posted = NULL;
	*e->posted.tail = r;
	e->posted.tail = &r->next_posted;
}

void
engine_post_text(struct engine *e, struct request *r, const struct buf *text)
{
	uint32_t id = session_last(r->session);

	if (text->len == 0 && r->ev.on_ids == NULL)
		return;
	uv_mutex_lock(&e->lock);
	buf_append(&r->text, text->data, text->len);
	/* Of ids that found no memory none may follow: who has the first ones can go on from there. */
	if (r->ev.on_ids != NULL && !r->ids_lost)
		r->ids_lost = buf_append(&r->ids, &id, sizeof id) != 0;
	post(e, r);
	uv_mutex_unlock(&e->lock);
	uv_async_send(&e->heard);
}

/* After this the request belongs to the main thread. */
static void
post_outcome(struct engine *e, struct request *r, enum outcome outcome)
{
	uv_mutex_lock(&e->lock);
	r->outcome = outcome;
	post(e, r);
	uv_mutex_unlock(&e->lock);
	uv_async_send(&e->heard);
}

static double
seconds(uint64_t from, uint64_t to)
{
	return from == 0 || to < from ? 0 : (double)(to - from) / 1e9;
}

void
engine_post_end(struct engine *e, struct request *r, enum session_end end)
{
	uint64_t now = uv_hrtime();
	size_t n, n_prompt = session_n_prompt(r->session);
	const uint32_t *ids = session_ids(r->session, &n);
	struct usage *u = &r->usage;

	*u = (struct usage){
		.prompt_tokens = (uint32_t)n_prompt,
		.new_tokens = (uint32_t)(n - n_prompt),
		.prompt_seconds = seconds(r->started, r->first_token),
		.new_seconds = seconds(r->first_token, now),
		.queue_seconds = seconds(r->submitted, r->started),
		.tokens = ids + n_prompt,
	};
	r->end = end;
	uv_mutex_lock(&e->lock);
	e->stats.prompt_tokens += u->prompt_tokens;
	e->stats.new_tokens += u->new_tokens;
	e->stats.prompt_seconds += u->prompt_seconds;
	e->stats.new_seconds += u->new_seconds;
	uv_mutex_unlock(&e->lock);
	post_outcome(e, r, OUTCOME_END);
}

void
engine_post_error(struct engine *e, struct request *r, int status, const char *what)
{
	r->status = status;
	snprintf(r->what, sizeof r->what, "%s", what);
	post_outcome(e, r, OUTCOME_ERROR);
}

void
engine_post_gone(struct engine *e, struct request *r)
{
	post_outcome(e, r, OUTCOME_GONE);
}

void
engine_post_broken(struct engine *e, const char *why)
{
	if (atomic_exchange(&e->broken, true))
		return;
	uv_mutex_lock(&e->lock);
	snprintf(e->why, sizeof e->why, "%s", why);
	e->broken_news = true;
	uv_mutex_unlock(&e->lock);
	uv_async_send(&e->heard);
}

/* --- main thread: hearing ----------------------------------------------------------------------- */

static void
request_free(struct request *r)
{
	session_free(r->session);
	buf_free(&r->text);
	buf_free(&r->ids);
	free(r);
}

/* Moves the content of one buffer to another, which gets its memory in exchange. */
static void
move(struct buf *to, struct buf *from)
{
	struct buf swap = *from;

	*from = *to;
	*to = swap;
	buf_clear(from);
}

/* The next request that has something to say, its text moved to e->text, its ids to e->ids. */
static struct request *
take_posted(struct engine *e, enum outcome *outcome)
{
	struct request *r;

	uv_mutex_lock(&e->lock);
	r = e->posted.head;
	if (r != NULL) {
		e->posted.head = r->next_posted;
		if (e->posted.head == NULL)
			e->posted.tail = &e->posted.head;
		r->posted = false;
		move(&e->text, &r->text);
		move(&e->ids, &r->ids);
		*outcome = r->outcome;
	}
	uv_mutex_unlock(&e->lock);
	return r;
}

static void
hear(struct engine *e, struct request *r, enum outcome outcome)
{
	size_t n = e->ids.len / sizeof(uint32_t);

	if (n > 0 && !atomic_load(&r->cancelled))
		r->ev.on_ids(r->arg, (const void *)e->ids.data, n);
	if (e->text.len > 0 && !atomic_load(&r->cancelled))
		r->ev.on_text(r->arg, (const char *)e->text.data, e->text.len);
	if (outcome == OUTCOME_NONE)
		return;
	e->n_requests--;
	if (!atomic_load(&r->cancelled)) { /* on_text may have cancelled it */
		if (outcome == OUTCOME_END)
			r->ev.on_end(r->arg, r->end, &r->usage);
		else if (outcome == OUTCOME_ERROR)
			r->ev.on_error(r->arg, r->status, r->what);
	}
	request_free(r);
}

void
engine_heard(uv_async_t *a)
{
	struct engine *e = a->data;
	enum outcome outcome;
	struct request *r;
	bool broken, done;
	char why[512];

	/* What was posted before these two were set is heard below, in this very call. */
	uv_mutex_lock(&e->lock);
	broken = e->broken_news;
	done = e->thread_done;
	e->broken_news = false;
	memcpy(why, e->why, sizeof why);
	uv_mutex_unlock(&e->lock);
	while ((r = take_posted(e, &outcome)) != NULL)
		hear(e, r, outcome);
	if (broken && !e->stop_wanted && e->c.on_broken != NULL)
		e->c.on_broken(e->c.arg, why);
	if (done) {
		uv_thread_join(&e->thread);
		uv_close((uv_handle_t *)&e->heard, engine_heard_closed);
	}
}

/* --- main thread: requests ---------------------------------------------------------------------- */

static struct request *
request_new(struct session *s, const struct request_events *ev, void *arg)
{
	struct request *r = calloc(1, sizeof *r);

	if (r == NULL)
		return NULL;
	r->session = s;
	r->ev = *ev;
	r->arg = arg;
	r->submitted = uv_hrtime();
	atomic_init(&r->cancelled, false);
	return r;
}

/* The lock is held: the engine thread closes the handle when it ends. */
void
engine_wake(struct engine *e)
{
	if (!e->asleep)
		uv_async_send(&e->wake);
}

/* Whether the engine can take another request: 0, or the HTTP status that says why not. */
static int
refusal(struct engine *e, const struct session *s, struct err *err)
{
	size_t n;

	session_ids(s, &n);
	if (e->stop_wanted || atomic_load(&e->broken)) {
		uv_mutex_lock(&e->lock);
		err_set(err, "the swarm cannot compute now: %s", e->why);
		uv_mutex_unlock(&e->lock);
		return 503;
	}
	if (n > e->c.context) {
		err_set(err, "a prompt of %zu tokens does not fit the context of %u", n,
			e->c.context);
		return 400;
	}
	if (e->n_requests >= e->c.slots + e->c.queue) {
		err_set(err,
			"%u requests are running or waiting already, try again later (shoald's "
			"'queue' says how many may wait)",
			e->n_requests);
		return 429;
	}
	return 0;
}

struct request *
engine_submit(struct engine *e, struct session *s, const struct request_events *ev, void *arg,
	int *status, struct err *err)
{
	struct request *r = NULL;

	*status = refusal(e, s, err);
	if (*status == 0) {
		r = request_new(s, ev, arg);
		if (r == NULL) {
			*status = 503;
			err_set(err, "not enough memory for another request");
		}
	}
	if (r == NULL) {
		session_free(s);
		return NULL;
	}
	e->n_requests++;
	uv_mutex_lock(&e->lock);
	request_list_add(&e->news, r);
	e->stats.waiting++;
	engine_wake(e);
	uv_mutex_unlock(&e->lock);
	return r;
}

void
engine_cancel(struct engine *e, struct request *r)
{
	atomic_store(&r->cancelled, true);
	uv_mutex_lock(&e->lock);
	engine_wake(e);
	uv_mutex_unlock(&e->lock);
}

void
engine_stats(struct engine *e, struct engine_stats *st)
{
	uv_mutex_lock(&e->lock);
	*st = e->stats;
	uv_mutex_unlock(&e->lock);
	if (e->c.weights->stats != NULL)
		e->c.weights->stats(e->c.weights, &st->weights);
}
