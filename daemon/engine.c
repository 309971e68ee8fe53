/* The engine's life and its two mailboxes: requests go in by `news` and the wake handle, text and
 * outcomes come out by `posted` and the heard handle. */
#include "daemon/engine.h"

#include "daemon/engine_int.h"
#include "daemon/log.h"

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
	if (text->len == 0)
		return;
	uv_mutex_lock(&e->lock);
	buf_append(&r->text, text->data, text->len);
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

/* --- engine thread: life ------------------------------------------------------------------------ */

static void
on_wake(uv_async_t *a)
{
	struct engine *e = a->data;

	if (e->star != NULL && atomic_load(&e->stopping))
		star_break(e->star, "", "the engine is being stopped");
}

/* Closes what is on the engine's loop and turns it to its end. */
static void
drain_loop(struct engine *e)
{
	uv_mutex_lock(&e->lock);
	e->asleep = true;
	uv_mutex_unlock(&e->lock);
	if (e->star != NULL)
		star_close(e->star);
	if (e->wake.data != NULL)
		uv_close((uv_handle_t *)&e->wake, NULL);
	uv_run(&e->loop, UV_RUN_DEFAULT);
	uv_loop_close(&e->loop);
}

static void
thread_main(void *arg)
{
	struct engine *e = arg;

	if (e->c.rank == 0)
		hub_run(e);
	else
		member_run(e);
	drain_loop(e);
	uv_mutex_lock(&e->lock);
	e->thread_done = true;
	/* Under the lock: once the main thread has seen thread_done, it closes the handle. */
	uv_async_send(&e->heard);
	uv_mutex_unlock(&e->lock);
}

/* --- main thread: hearing ----------------------------------------------------------------------- */

static void
request_free(struct request *r)
{
	session_free(r->session);
	buf_free(&r->text);
	free(r);
}

static void
engine_free(struct engine *e)
{
	star_free(e->star);
	forward_free(e->forward);
	pool_free(e->pool);
	if (e->c.weights != NULL)
		e->c.weights->free(e->c.weights);
	free(e->slots);
	free(e->x);
	free(e->logits);
	free(e->tokens);
	free(e->rows);
	free(e->sessions);
	free(e->parts);
	free(e->slot_of);
	free(e->c.names);
	buf_free(&e->piece);
	buf_free(&e->text);
	uv_mutex_destroy(&e->lock);
	free(e);
}

static void
on_heard_closed(uv_handle_t *h)
{
	struct engine *e = h->data;
	void (*done)(void *arg) = e->done;
	void *arg = e->done_arg;

	engine_free(e);
	if (done != NULL)
		done(arg);
}

/* The next request that has something to say, its text moved to e->text. */
static struct request *
take_posted(struct engine *e, enum outcome *outcome)
{
	struct request *r;
	struct buf swap;

	uv_mutex_lock(&e->lock);
	r = e->posted.head;
	if (r != NULL) {
		e->posted.head = r->next_posted;
		if (e->posted.head == NULL)
			e->posted.tail = &e->posted.head;
		r->posted = false;
		swap = r->text;
		r->text = e->text;
		e->text = swap;
		buf_clear(&r->text);
		*outcome = r->outcome;
	}
	uv_mutex_unlock(&e->lock);
	return r;
}

static void
hear(struct engine *e, struct request *r, enum outcome outcome)
{
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

static void
on_heard(uv_async_t *a)
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
		uv_close((uv_handle_t *)&e->heard, on_heard_closed);
	}
}

/* --- main thread: making and stopping ----------------------------------------------------------- */

/* The lock is held: the engine thread closes the handle when it ends. */
static void
wake(struct engine *e)
{
	if (!e->asleep)
		uv_async_send(&e->wake);
}

static int
check_config(const struct engine_config *c, struct err *err)
{
	if (c->peers == 0 || c->peers > SLICE_MAX_PEERS || c->rank >= c->peers)
		return err_set(err, "a plan of %u peers with this one as number %u is not possible",
			c->peers, c->rank);
	if (c->slots == 0 || c->max_rows == 0 || c->context == 0)
		return err_set(err, "a plan needs room for sessions, rows and positions");
	return 0;
}

static int
alloc_buffers(struct engine *e)
{
	const struct engine_config *c = &e->c;
	size_t logits = (size_t)engine_max_logits(c) * e->shape.vocab;

	e->slots = calloc(c->slots, sizeof *e->slots);
	e->x = malloc((size_t)c->max_rows * e->shape.embd * sizeof *e->x);
	e->tokens = malloc(c->max_rows * sizeof *e->tokens);
	e->rows = malloc(c->max_rows * sizeof *e->rows);
	e->sessions = malloc(c->slots * sizeof *e->sessions);
	e->parts = malloc(c->slots * sizeof *e->parts);
	e->slot_of = malloc(c->slots * sizeof *e->slot_of);
	if (c->rank == 0)
		e->logits = malloc(logits * sizeof *e->logits);
	return e->slots != NULL && e->x != NULL && e->tokens != NULL && e->rows != NULL &&
			       e->sessions != NULL && e->parts != NULL && e->slot_of != NULL &&
			       (c->rank != 0 || e->logits != NULL)
		       ? 0
		       : -1;
}

static struct star *
make_star(struct engine *e, struct engine_config *c, struct err *err)
{
	const struct star_config sc = {
		.epoch = c->epoch,
		.slices = c->slices,
		.rank = c->rank,
		.peers = c->peers,
		.embd = e->shape.embd,
		.vocab = e->shape.vocab,
		.max_rows = c->max_rows,
		.max_logits = engine_max_logits(c),
		.slots = c->slots,
		.context = c->context,
		.format = c->payload,
		.names = c->names,
		.links = c->links,
	};

	return star_new(&e->loop, &sc, err);
}

static int
make_forward(struct engine *e, struct err *err)
{
	const struct engine_config *c = &e->c;
	struct forward_config fc = {
		.shape = &e->shape,
		.slice = &e->slices[c->rank],
		.weights = c->weights,
		.collective = e->star != NULL ? star_collective(e->star) : NULL,
		.kernels = c->kernels,
		.max_rows = c->max_rows,
		.slots = c->slots,
		.context = c->context,
		.kv = c->kv,
	};

	e->pool = pool_new(c->threads, err);
	fc.pool = e->pool;
	if (e->pool == NULL)
		return -1;
	e->forward = forward_new(&fc, err);
	return e->forward != NULL ? 0 : -1;
}

/* Takes the links, in every case. */
static int
build(struct engine *e, struct engine_config *c, struct err *err)
{
	int result = uv_loop_init(&e->loop);

	if (result != 0)
		return err_set(err, "no event loop for the engine: %s", uv_strerror(result));
	if (c->peers > 1) {
		e->star = make_star(e, c, err);
		if (e->star == NULL) {
			uv_loop_close(&e->loop);
			return -1;
		}
	}
	e->wake.data = e;
	result = uv_async_init(&e->loop, &e->wake, on_wake);
	if (result != 0) {
		err_set(err, "no wake-up for the engine: %s", uv_strerror(result));
		e->wake.data = NULL;
	}
	if (result == 0 && alloc_buffers(e) != 0)
		result = err_set(err, "not enough memory for the engine's buffers");
	if (result == 0)
		result = make_forward(e, err);
	if (result != 0)
		drain_loop(e);
	return result;
}

static int
start(struct engine *e, uv_loop_t *main_loop, struct err *err)
{
	int result;

	e->heard.data = e;
	result = uv_async_init(main_loop, &e->heard, on_heard);
	if (result != 0) {
		drain_loop(e);
		engine_free(e);
		return err_set(err, "no wake-up from the engine: %s", uv_strerror(result));
	}
	result = uv_thread_create(&e->thread, thread_main, e);
	if (result != 0) {
		drain_loop(e);
		uv_close((uv_handle_t *)&e->heard, on_heard_closed);
		return err_set(err, "no thread for the engine: %s", uv_strerror(result));
	}
	return 0;
}

struct engine *
engine_new(uv_loop_t *main_loop, struct engine_config *c, struct err *err)
{
	struct engine *e = check_config(c, err) == 0 ? calloc(1, sizeof *e) : NULL;

	if (e == NULL || uv_mutex_init(&e->lock) != 0) {
		/* Without an engine the parts that were handed over still have to go. */
		free(e);
		c->weights->free(c->weights);
		for (uint32_t i = 0; c->peers > 1 && i < (c->rank == 0 ? c->peers - 1 : 1); i++)
			link_detached_discard(&c->links[i]);
		return NULL;
	}
	e->shape = *c->shape;
	memcpy(e->slices, c->slices, c->peers * sizeof *e->slices);
	e->c = *c;
	e->c.shape = &e->shape;
	e->c.slices = e->slices;
	e->c.links = NULL;
	e->c.names = NULL;
	request_list_init(&e->news);
	request_list_init(&e->waiting);
	e->posted.tail = &e->posted.head;
	if (build(e, c, err) != 0) {
		engine_free(e);
		return NULL;
	}
	return start(e, main_loop, err) == 0 ? e : NULL;
}

void
engine_stop(struct engine *e, const char *why, void (*done)(void *arg), void *arg)
{
	e->stop_wanted = true;
	e->done = done;
	e->done_arg = arg;
	uv_mutex_lock(&e->lock);
	if (!atomic_load(&e->broken))
		snprintf(e->why, sizeof e->why, "%s", why);
	atomic_store(&e->stopping, true);
	wake(e);
	uv_mutex_unlock(&e->lock);
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
	wake(e);
	uv_mutex_unlock(&e->lock);
	return r;
}

void
engine_cancel(struct engine *e, struct request *r)
{
	atomic_store(&r->cancelled, true);
	uv_mutex_lock(&e->lock);
	wake(e);
	uv_mutex_unlock(&e->lock);
}

void
engine_stats(struct engine *e, struct engine_stats *st)
{
	uv_mutex_lock(&e->lock);
	*st = e->stats;
	uv_mutex_unlock(&e->lock);
}
