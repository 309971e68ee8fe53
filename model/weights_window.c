#include "config.h"

#include "base/clock.h"
#include "model/huge.h"
#include "model/window_int.h"

#include <inttypes.h>
#include <stdlib.h>
#include <sys/mman.h>

#define ADJUST_PASSES 8 /* between looks at the ring's size */

/* --- pieces of a shard --- */

/* attn.0 ffn.0 expert.0.0 expert.0.1 ... attn.1 ... head, 0 being the slice's first layer */
uint32_t
window_unit(const struct shard_header *h, enum unit_kind kind, uint32_t layer, uint32_t expert)
{
	uint32_t of_layer = 2 + h->shape.experts, at = (layer - h->slice.layer0) * of_layer;

	switch (kind) {
	case UNIT_HEAD:
		return h->slice.layers * of_layer;
	case UNIT_EXPERT:
		return at + 2 + expert;
	default:
		return at + (kind == UNIT_FFN);
	}
}

static struct window_piece *
list_pieces(const struct shard_header *h)
{
	struct window_piece *p = calloc((size_t)h->n_extents + 1, sizeof *p);

	for (uint32_t i = 0; p != NULL && i < h->n_extents; i++) {
		const struct shard_extent *e = &h->extents[i];

		p[i].bytes = window_is_expert(h, i) ? 0 : shard_align_up(e->bytes);
		p[i].unit = window_unit(h, shard_unit_kind(e->role), e->layer, e->expert);
	}
	return p;
}

uint64_t
window_weights_least(const struct shard_header *h)
{
	struct window_piece *p = list_pieces(h);
	uint64_t least = p != NULL ? window_least(p, h->n_extents) : UINT64_MAX / 2;

	free(p);
	return least + WINDOW_LEAST_SLOTS * window_slot_bytes(h);
}

uint64_t
window_weights_all(const struct shard_header *h)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < h->n_extents; i++)
		sum += shard_align_up(h->extents[i].bytes);
	return sum;
}

/* Bytes of experts that one row reads at a step, when so many of them are kept and all are chosen
 * alike. */
static double
missed_experts(const struct shard_header *h, uint32_t slots)
{
	double experts = (double)h->shape.experts * h->slice.layers;

	if (experts == 0 || slots >= experts)
		return 0;
	return (1 - slots / experts) * (double)h->shape.experts_used * h->slice.layers *
	       (double)window_slot_bytes(h);
}

int
window_forecast(const struct shard_header *h, uint64_t memory, double disk, double compute_seconds,
	struct window_prediction *p)
{
	struct window_piece *pieces = list_pieces(h);
	uint64_t ring, others;
	uint32_t slots = 0;
	int rc = -1;

	if (pieces != NULL) {
		slots = window_split(h, pieces, memory, &others);
		rc = window_choose(pieces, h->n_extents, others, WINDOW_AHEAD, &ring);
	}
	if (rc == 0) {
		*p = window_predict(pieces, h->n_extents, ring, (uint64_t)missed_experts(h, slots),
			disk, compute_seconds);
		p->resident += slots * window_slot_bytes(h);
	}
	free(pieces);
	return rc;
}

uint64_t
window_weights_step(const struct shard_header *h)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < h->n_extents; i++)
		if (!window_is_expert(h, i))
			sum += h->extents[i].bytes;
	return sum + (uint64_t)missed_experts(h, 0);
}

/* --- memory --- */

uint64_t
window_bytes(const struct window_source *ws, uint32_t piece)
{
	return shard_align_up(ws->h->extents[piece].bytes);
}

uint8_t *
window_memory(const struct window_source *ws, uint32_t piece)
{
	if (window_is_expert(ws->h, piece))
		return window_expert_memory(ws, piece);
	return ws->pieces[piece].resident ? ws->memory + ws->home[piece]
					  : ws->ring + window_place(ws->window, piece);
}

/* Address space for the resident set and the largest ring; pages come as they are read. */
static int
map_memory(struct window_source *ws, uint64_t ring, struct err *err)
{
	uint64_t at = 0, cache = ws->slots * ws->slot_bytes;

	for (uint32_t i = 0; i < ws->n; i++) {
		if (!ws->pieces[i].resident || window_is_expert(ws->h, i))
			continue;
		ws->home[i] = at;
		at += ws->pieces[i].bytes;
		ws->loading++;
	}
	ws->stats.resident = at + cache;
	ws->stats.ring = ring;
	ws->memory_bytes = (size_t)(2 * at + ring + cache);
	if (2 * at + ring + cache > SIZE_MAX / 2)
		return err_set(err,
			"%" PRIu64 " bytes of weights are more than this machine's "
			"address space",
			2 * at + ring);
	if (ws->memory_bytes == 0)
		return 0;
	ws->memory = mmap(NULL, ws->memory_bytes, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (ws->memory == MAP_FAILED) {
		ws->memory = NULL;
		return err_set(err, "no memory for %" PRIu64 " bytes of weights", at + ring);
	}
	huge_advise(ws->memory, (size_t)at);
	ws->ring = ws->memory + at;
	ws->cache = ws->ring + at + ring;
	return 0;
}

/* --- the ring's size --- */

/* Residents that are worth `grow` bytes stream from now on. Nothing is being read. */
static void
give_up(struct window_source *ws, uint64_t grow)
{
	uint64_t given = 0;

	for (uint32_t i = 0; i < ws->n && given < grow; i++) {
		if (!ws->pieces[i].resident || ws->pieces[i].bytes < WINDOW_SMALL)
			continue;
		madvise(ws->memory + ws->home[i], (size_t)ws->pieces[i].bytes, MADV_DONTNEED);
		ws->pieces[i].resident = false;
		window_release(ws->window, i);
		given += ws->pieces[i].bytes;
	}
	window_grow(ws->window, window_ring(ws->window) + given);
	ws->stats.resident -= given;
	ws->stats.ring += given;
}

static uint64_t
largest_streamed(const struct window_source *ws)
{
	uint64_t largest = 0;

	for (uint32_t i = 0; i < ws->n; i++)
		if (!ws->pieces[i].resident && ws->pieces[i].bytes > largest)
			largest = ws->pieces[i].bytes;
	return largest;
}

/* Once in a while, at the end of a pass. */
static void
adjust(struct window_source *ws)
{
	double now = clock_seconds();
	struct window_seen seen = {.seconds = now - ws->seen_at,
		.disk_busy = ws->stats.reading - ws->seen.reading,
		.waited = ws->stats.waiting - ws->seen.waiting,
		.streamed = ws->stats.streamed - ws->seen.streamed};
	uint64_t grow;

	if (ws->stats.passes < ws->seen.passes + ADJUST_PASSES)
		return;
	grow = window_adjust(&seen, largest_streamed(ws));
	ws->seen = ws->stats;
	ws->seen_at = now;
	if (grow > 0 && ws->flying == 0 && ws->piece == ws->n && window_reading(ws->window) == 0)
		give_up(ws, grow);
}

/* --- the source --- */

/* Under the lock: until nothing is in flight, then as if nothing had been asked for. */
static int
begin_again(struct window_source *ws, struct err *err)
{
	if (ws->damaged) {
		*err = ws->why;
		return -1;
	}
	while (ws->flying > 0)
		pthread_cond_wait(&ws->news, &ws->lock);
	window_restart(ws->window);
	window_experts_restart(ws);
	ws->piece = ws->n;
	ws->failed = false;
	return 0;
}

/* Under the lock. */
static bool
is_there(struct window_source *ws, enum unit_kind kind, uint32_t layer, uint32_t expert)
{
	if (kind == UNIT_EXPERT)
		return window_want_expert(ws, layer, expert);
	return window_want(ws->window, window_unit(ws->h, kind, layer, expert));
}

/* Under the lock. */
static int
wait_for(struct window_source *ws, enum unit_kind kind, uint32_t layer, uint32_t expert,
	struct err *err)
{
	double since = 0;

	if (ws->failed && begin_again(ws, err) != 0)
		return -1;
	while (!ws->failed && !is_there(ws, kind, layer, expert)) {
		if (since == 0)
			since = clock_seconds();
		pthread_cond_broadcast(&ws->work);
		pthread_cond_wait(&ws->news, &ws->lock);
	}
	if (since != 0)
		ws->stats.waiting += clock_seconds() - since;
	if (ws->failed)
		*err = ws->why;
	return ws->failed ? -1 : 0;
}

static void
point_tensors(struct window_source *ws, struct unit *u, uint32_t unit)
{
	for (uint32_t i = ws->first[unit]; i < ws->n && ws->pieces[i].unit == unit; i++)
		u->t[ws->h->extents[i].role].data = window_memory(ws, i);
}

static const struct unit *
window_acquire(struct weight_source *base, enum unit_kind kind, uint32_t layer, uint32_t expert,
	struct err *err)
{
	struct window_source *ws = (struct window_source *)base;
	struct unit *u = fixed_source_unit(ws->units, kind, layer, expert);
	uint32_t unit;
	int rc;

	if (u == NULL) {
		err_set(err,
			"these weights have no unit of kind %d for layer %" PRIu32
			" and expert %" PRIu32,
			(int)kind, layer, expert);
		return NULL;
	}
	if (kind == UNIT_EMBED)
		return u;
	unit = window_unit(ws->h, kind, layer, expert);
	pthread_mutex_lock(&ws->lock);
	rc = wait_for(ws, kind, layer, expert, err);
	if (rc == 0) {
		if (kind != UNIT_EXPERT)
			ws->acquired = unit;
		point_tensors(ws, u, unit);
	}
	pthread_mutex_unlock(&ws->lock);
	return rc == 0 ? u : NULL;
}

/* Under the lock. */
static void
leave_unit(struct window_source *ws)
{
	window_leave(ws->window, ws->acquired);
	if (ws->acquired == 0) {
		ws->stats.passes++;
		adjust(ws);
	}
	ws->acquired = UINT32_MAX;
}

static void
window_release_unit(struct weight_source *base, const struct unit *u)
{
	struct window_source *ws = (struct window_source *)base;
	size_t experts = (size_t)ws->h->shape.experts * ws->h->slice.layers;

	if (u == &ws->units->embed) {
		gguf_forget(ws->g, u->t[TENSOR_EMBED].data,
			(uint64_t)u->t[TENSOR_EMBED].rows * u->t[TENSOR_EMBED].stride);
		return;
	}
	pthread_mutex_lock(&ws->lock);
	if (ws->experts != NULL && u >= ws->units->expert && u < ws->units->expert + experts)
		window_leave_expert(ws, (uint32_t)(u - ws->units->expert));
	else
		leave_unit(ws);
	pthread_cond_broadcast(&ws->work);
	pthread_mutex_unlock(&ws->lock);
}

static void
window_stats(struct weight_source *base, struct weights_stats *st)
{
	struct window_source *ws = (struct window_source *)base;

	pthread_mutex_lock(&ws->lock);
	*st = ws->stats;
	if (ws->flying > 0)
		st->reading += clock_seconds() - ws->fly_since;
	pthread_mutex_unlock(&ws->lock);
}

static void
window_free_source(struct weight_source *base)
{
	struct window_source *ws = (struct window_source *)base;

	window_stop_readers(ws);
	if (ws->memory != NULL)
		munmap(ws->memory, ws->memory_bytes);
	direct_close(&ws->file);
	window_free(ws->window);
	if (ws->units != NULL)
		ws->units->base.free(&ws->units->base);
	pthread_mutex_destroy(&ws->lock);
	pthread_cond_destroy(&ws->work);
	pthread_cond_destroy(&ws->news);
	free(ws->pieces);
	window_experts_free(ws);
	free(ws->home);
	free(ws->first);
	free(ws->left);
	free(ws->checked);
	free(ws);
}

/* --- making one --- */

static int
load(struct window_source *ws, shard_progress *progress, void *arg, struct err *err)
{
	uint32_t all, left;
	int rc = 0;

	pthread_mutex_lock(&ws->lock);
	all = left = ws->loading;
	for (;;) {
		pthread_mutex_unlock(&ws->lock);
		if (progress != NULL && progress(arg, all - left, all) != 0)
			rc = err_set(err, "reading the weights was given up");
		pthread_mutex_lock(&ws->lock);
		if (rc != 0 || ws->failed || ws->loading == 0)
			break;
		if (ws->loading == left)
			pthread_cond_wait(&ws->news, &ws->lock);
		left = ws->loading;
	}
	if (rc == 0 && ws->failed) {
		*err = ws->why;
		rc = -1;
	}
	ws->seen_at = clock_seconds();
	pthread_mutex_unlock(&ws->lock);
	return rc;
}

static void
find_units(struct window_source *ws)
{
	for (uint32_t i = ws->n; i-- > 0;)
		ws->first[ws->pieces[i].unit] = i;
}

static int
make(struct window_source *ws, uint64_t memory, struct err *err)
{
	uint32_t units = window_unit(ws->h, UNIT_HEAD, 0, 0) + 1;
	uint64_t ring, others;

	ws->units = fixed_source_new(&ws->h->shape, &ws->h->slice, ws->g != NULL, err);
	ws->pieces = list_pieces(ws->h);
	ws->first = calloc(units, sizeof *ws->first);
	ws->home = calloc((size_t)ws->n + 1, sizeof *ws->home);
	ws->left = calloc((size_t)ws->n + 1, sizeof *ws->left);
	ws->checked = calloc((size_t)ws->n + 1, sizeof *ws->checked);
	if (ws->units == NULL || ws->pieces == NULL || ws->first == NULL || ws->home == NULL ||
		ws->left == NULL || ws->checked == NULL)
		return err_set(err, "out of memory for a window of %" PRIu32 " pieces", ws->n);
	find_units(ws);
	ws->slot_bytes = window_slot_bytes(ws->h);
	ws->slots = window_split(ws->h, ws->pieces, memory, &others);
	if (window_experts_init(ws, err) != 0)
		return -1;
	ws->base.at_once = ws->slots / 2;
	if (window_choose(ws->pieces, ws->n, others, WINDOW_AHEAD, &ring) != 0)
		return err_set(err,
			"%" PRIu64 " MB for weights are too little: the least is %" PRIu64 " MB",
			memory / 1000000, window_weights_least(ws->h) / 1000000 + 1);
	ws->stats.bytes = window_weights_all(ws->h);
	ws->window = window_new(ws->pieces, ws->n, ring, err);
	if (ws->window == NULL || map_memory(ws, ring, err) != 0 ||
		direct_open(&ws->file, shard_path(ws->shard), err) != 0)
		return -1;
	shard_fill_units(ws->units, ws->h, NULL);
	if (ws->g != NULL)
		ws->units->embed.t[TENSOR_EMBED] =
			tensor_view(ws->g, &ws->h->shape, &ws->h->slice, TENSOR_EMBED, 0, 0);
	return window_start_readers(ws, err);
}

struct weight_source *
weights_window(struct shard *s, const struct gguf *g, uint64_t memory, shard_progress *progress,
	void *arg, struct err *err)
{
	struct window_source *ws = calloc(1, sizeof *ws);

	if (ws == NULL) {
		err_set(err, "out of memory");
		return NULL;
	}
	ws->base = (struct weight_source){.acquire = window_acquire,
		.release = window_release_unit,
		.free = window_free_source,
		.stats = window_stats,
		.hint = window_hint};
	ws->shard = s;
	ws->h = shard_header(s);
	ws->g = g;
	ws->n = ws->piece = ws->h->n_extents;
	ws->acquired = UINT32_MAX;
	ws->file.fd = -1;
	pthread_mutex_init(&ws->lock, NULL);
	pthread_cond_init(&ws->work, NULL);
	pthread_cond_init(&ws->news, NULL);
	if (make(ws, memory, err) == 0 && load(ws, progress, arg, err) == 0)
		return &ws->base;
	window_free_source(&ws->base);
	return NULL;
}
