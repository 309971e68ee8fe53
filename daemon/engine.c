/* How an engine begins and ends. */
#include "daemon/engine.h"

#include "daemon/engine_int.h"
#include "daemon/log.h"
#include "kernels/cpu.h"
#include "model/lookup.h"
#include "model/thread_choice.h"
#include "sched/token_mode.h"

#include <stdio.h>
#include <stdlib.h>

/* --- engine thread: life ------------------------------------------------------------------------ */

static void
on_wake(uv_async_t *a)
{
	struct engine *e = a->data;

	e->woken = true;
	if (atomic_load(&e->stopping))
		engine_interrupt(e);
	else
		engine_kv_woken(e);
}

/* Closes what is on the engine's loop and turns it to its end. */
static void
drain_loop(struct engine *e)
{
	uv_mutex_lock(&e->lock);
	e->asleep = true;
	uv_mutex_unlock(&e->lock);
	engine_close_links(e);
	if (e->wake.data != NULL)
		uv_close((uv_handle_t *)&e->wake, NULL);
	uv_close((uv_handle_t *)&e->room, NULL);
	uv_close((uv_handle_t *)&e->patience, NULL);
	uv_run(&e->loop, UV_RUN_DEFAULT);
	uv_loop_close(&e->loop);
}

static void
thread_main(void *arg)
{
	struct engine *e = arg;

	if (engine_is_coordinator(&e->c))
		hub_run(e);
	else if (e->c.rank == 0)
		stage_run(e);
	else
		member_run(e);
	drain_loop(e);
	uv_mutex_lock(&e->lock);
	e->thread_done = true;
	/* Under the lock: once the main thread has seen thread_done, it closes the handle. */
	uv_async_send(&e->heard);
	uv_mutex_unlock(&e->lock);
}

/* --- main thread: ending ------------------------------------------------------------------------ */

static void
engine_free(struct engine *e)
{
	engine_free_links(e);
	pipe_free(e->pipe);
	engine_kv_free(e->kv);
	forward_free(e->forward);
	pool_free(e->pool);
	if (e->c.weights != NULL)
		e->c.weights->free(e->c.weights);
	free(e->slots);
	free(e->x);
	free(e->logits);
	free(e->best);
	free(e->wanted);
	free(e->undecided);
	free(e->tokens);
	free(e->rows);
	free(e->sessions);
	free(e->parts);
	free(e->slot_of);
	prefix_cache_free(e->prefixes);
	free(e->free_slots);
	free(e->c.names);
	buf_free(&e->piece);
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

/* --- news for the main thread ------------------------------------------------------------------- */

int
engine_check_read(const struct engine *e, struct err *err)
{
	if (e->c.gguf != NULL && gguf_check_read(e->c.gguf, err) != 0)
		return -1;
	return e->c.shard != NULL ? shard_check_read(e->c.shard, err) : 0;
}

void
engine_post_broken(struct engine *e, const char *who, const char *why)
{
	if (atomic_exchange(&e->broken, true))
		return;
	uv_mutex_lock(&e->lock);
	snprintf(e->who, sizeof e->who, "%s", who);
	snprintf(e->why, sizeof e->why, "%s", why);
	e->broken_news = true;
	uv_mutex_unlock(&e->lock);
	uv_async_send(&e->heard);
}

static void
on_heard(uv_async_t *a)
{
	struct engine *e = a->data;
	bool broken, done;
	char who[PEER_NAME], why[512];

	uv_mutex_lock(&e->lock);
	broken = e->broken_news;
	done = e->thread_done;
	e->broken_news = false;
	memcpy(who, e->who, sizeof who);
	memcpy(why, e->why, sizeof why);
	uv_mutex_unlock(&e->lock);
	if (engine_kv_heard(e) && !e->stop_wanted)
		e->c.on_kv(e->c.arg);
	if (broken && !e->stop_wanted && e->c.on_broken != NULL)
		e->c.on_broken(e->c.arg, who, why);
	if (done) {
		uv_thread_join(&e->thread);
		uv_close((uv_handle_t *)&e->heard, on_heard_closed);
	}
}

/* --- main thread: making and stopping ----------------------------------------------------------- */

static int
check_config(const struct engine_config *c, struct err *err)
{
	if (c->peers == 0 || c->peers > SLICE_MAX_PEERS || c->rank >= c->peers)
		return err_set(err, "a plan of %u peers with this one as number %u is not possible",
			c->peers, c->rank);
	if (c->stages > 1 &&
		(c->stage >= c->stages || c->number >= c->n_numbers || c->before >= c->n_numbers ||
			c->behind >= c->n_numbers || c->number < c->rank))
		return err_set(err,
			"a pipeline of %u stages with peer %u of %u in stage %u is not possible",
			c->stages, c->number, c->n_numbers, c->stage);
	if (c->slots == 0 || c->max_rows == 0 || c->context == 0)
		return err_set(err, "a plan needs room for sessions, rows and positions");
	return 0;
}

static int
alloc_buffers(struct engine *e)
{
	const struct engine_config *c = &e->c;
	size_t logits = (size_t)engine_max_logits(c->slots, c->max_rows) * e->shape.vocab;

	e->slots = calloc(c->slots, sizeof *e->slots);
	e->x = malloc((size_t)c->max_rows * e->shape.embd * sizeof *e->x);
	e->tokens = malloc(c->max_rows * sizeof *e->tokens);
	e->rows = malloc(c->max_rows * sizeof *e->rows);
	e->sessions = malloc(c->slots * sizeof *e->sessions);
	e->parts = malloc(c->slots * sizeof *e->parts);
	e->slot_of = malloc(c->slots * sizeof *e->slot_of);
	if (engine_is_coordinator(c) && !c->kv_copies) {
		e->prefixes = prefix_cache_new(c->slots, c->context);
		e->free_slots = malloc(c->slots * sizeof *e->free_slots);
		if (e->prefixes == NULL || e->free_slots == NULL)
			return -1;
	}
	if (engine_is_coordinator(c) && c->stages > 1 && (e->pipe = pipe_new(c)) == NULL)
		return -1;
	if (engine_gathers(c)) {
		e->logits = malloc(logits * sizeof *e->logits);
		e->best = malloc(engine_max_logits(c->slots, c->max_rows) * sizeof *e->best);
		e->wanted = malloc(engine_max_logits(c->slots, c->max_rows) * sizeof *e->wanted);
		e->undecided =
			malloc(engine_max_logits(c->slots, c->max_rows) * sizeof *e->undecided);
	}
	return e->slots != NULL && e->x != NULL && e->tokens != NULL && e->rows != NULL &&
			       e->sessions != NULL && e->parts != NULL && e->slot_of != NULL &&
			       (!engine_gathers(c) ||
				       (e->logits != NULL && e->best != NULL && e->wanted != NULL &&
					       e->undecided != NULL))
		       ? 0
		       : -1;
}

uint32_t
engine_max_logits(uint32_t slots, uint32_t max_rows)
{
	uint64_t most = (uint64_t)slots + TOKEN_DRAFT_MOST;

	return most < max_rows ? (uint32_t)most : max_rows;
}

uint64_t
engine_bytes(const struct engine_config *c)
{
	const struct forward_config fc = {.shape = c->shape,
		.slice = &c->slices[c->rank],
		.max_rows = c->max_rows,
		.slots = c->slots,
		.context = c->context,
		.kv = c->kv};
	uint64_t bytes = forward_bytes(&fc);

	if (bytes > UINT64_MAX / 2)
		return UINT64_MAX / 2;
	bytes += (uint64_t)c->max_rows * (c->shape->embd * sizeof(float) + 32);
	bytes += engine_link_bytes(c) + engine_kv_bytes(c);
	if (engine_gathers(c))
		bytes += engine_max_logits(c->slots, c->max_rows) *
			 (c->shape->vocab * sizeof(float) + sizeof(struct best) + 16);
	/* What samplers need, and guesses, with as long a prediction as can be. */
	if (engine_is_coordinator(c))
		bytes += c->slots * ((uint64_t)c->shape->vocab * 24 +
					    lookup_bytes(2 * (size_t)c->context + 1)) +
			 pipe_bytes(c) +
			 (c->kv_copies ? 0 : prefix_cache_bytes(c->slots, c->context));
	return bytes;
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
		.threads = c->threads,
		.threads_batch = c->threads_batch,
		.max_rows = c->max_rows,
		.slots = c->slots,
		.context = c->context,
		.kv = c->kv,
	};
	struct err why;

	e->pool = pool_new(thread_choice_pool(c->threads, c->threads_batch, cpu_count()), err);
	fc.pool = e->pool;
	if (e->pool == NULL)
		return -1;
	if (c->pin && pool_pin(e->pool, &why) != 0)
		log_warning("threads are not pinned: %s", why.msg);
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
	if (engine_link(e, c, err) != 0) {
		uv_loop_close(&e->loop);
		return -1;
	}
	uv_timer_init(&e->loop, &e->room);
	uv_timer_init(&e->loop, &e->patience);
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
	if (result == 0)
		result = engine_kv_new(e, err);
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
		for (uint32_t i = 0; i < engine_links(c); i++)
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
	overlap_init(&e->overlap, c->overlap);
	if (build(e, c, err) != 0) {
		engine_free(e);
		return NULL;
	}
	return start(e, main_loop, err) == 0 ? e : NULL;
}

/* The lock is held: the engine thread closes the handle when it ends. */
static void
wake(struct engine *e)
{
	if (!e->asleep)
		uv_async_send(&e->wake);
}

void
engine_wake(struct engine *e)
{
	uv_mutex_lock(&e->lock);
	wake(e);
	uv_mutex_unlock(&e->lock);
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

void
engine_stats(struct engine *e, struct engine_stats *st)
{
	uv_mutex_lock(&e->lock);
	*st = e->stats;
	uv_mutex_unlock(&e->lock);
	if (e->c.weights->stats != NULL)
		e->c.weights->stats(e->c.weights, &st->weights);
}

void
engine_set_quota(struct engine *e, double cpus)
{
	atomic_store_explicit(
		&e->quota, (unsigned)(cpus < 1e6 ? 1e3 * cpus : 0), memory_order_relaxed);
}

void
engine_stats_add(struct engine_stats *sum, const struct engine_stats *st)
{
	sum->running += st->running;
	sum->steps += st->steps;
	sum->divided += st->divided;
	sum->drafted += st->drafted;
	sum->accepted += st->accepted;
	sum->prompt_tokens += st->prompt_tokens;
	sum->cached_tokens += st->cached_tokens;
	sum->computed_tokens += st->computed_tokens;
	sum->computed_seconds += st->computed_seconds;
	sum->new_tokens += st->new_tokens;
	sum->kept_rows += st->kept_rows;
	sum->again_rows += st->again_rows;
	sum->new_seconds += st->new_seconds;
	sum->reduce_seconds += st->reduce_seconds;
	sum->sent_bytes += st->sent_bytes;
	sum->received_bytes += st->received_bytes;
	sum->weights = st->weights;
}
