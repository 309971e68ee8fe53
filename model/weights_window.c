#include "config.h"

#include "base/clock.h"
#include "model/huge.h"
#include "model/window_int.h"

#include <inttypes.h>
#include <stdlib.h>
#include <sys/mman.h>

#define ADJUST_PASSES 8 /* between looks at the ring's size */

#define HUGE_PAGE ((uint64_t)2 << 20) /* of most systems that have any */

/* --- memory --- */

static uint64_t
bytes_of(const struct window_source *ws, uint32_t band)
{
	return ws->bands.pieces[band].bytes;
}

uint8_t *
window_memory(const struct window_source *ws, uint32_t band)
{
	if (window_band_is_expert(ws, band))
		return window_expert_memory(ws, band);
	return ws->bands.pieces[band].resident ? ws->memory + ws->home[band]
					       : ws->ring + window_place(ws->window, band);
}

bool
window_is_resident(const struct window_source *ws, uint32_t band)
{
	return ws->bands.pieces[band].resident && !window_band_is_expert(ws, band);
}

static uint64_t
whole_huge_pages(uint64_t bytes)
{
	return (bytes + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
}

/* Address space for the largest ring, the resident set and the experts; pages come as they are read.
 * Huge ones: a request into them is few pieces for the disk's driver, so several of it are under way
 * at once (on virtio with its 256 descriptors that is three times the bytes a second). */
static int
map_memory(struct window_source *ws, uint64_t ring, struct err *err)
{
	uint64_t resident = 0, cache = ws->slots * ws->slot_bytes, at;

	for (uint32_t i = 0; i < ws->bands.n; i++) {
		if (!window_is_resident(ws, i))
			continue;
		resident += bytes_of(ws, i);
		ws->loading++;
	}
	ws->stats.resident = resident + cache;
	ws->stats.ring = ring;
	if (resident > SIZE_MAX / 4 || ring > SIZE_MAX / 4 || cache > SIZE_MAX / 8)
		return err_set(err,
			"%" PRIu64 " bytes of weights are more than this machine's "
			"address space",
			resident + ring + cache);
	at = HUGE_PAGE + whole_huge_pages(ring + resident);
	ws->memory_bytes = (size_t)(at + whole_huge_pages(resident) + cache);
	ws->memory = mmap(NULL, ws->memory_bytes, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (ws->memory == MAP_FAILED) {
		ws->memory = NULL;
		return err_set(err, "no memory for %" PRIu64 " bytes of weights", resident + ring);
	}
	ws->ring = ws->memory + (-(uintptr_t)ws->memory & (HUGE_PAGE - 1));
	at -= HUGE_PAGE - (uint64_t)(ws->ring - ws->memory);
	ws->cache = ws->memory + at + whole_huge_pages(resident);
	huge_advise(ws->ring, (size_t)ring);
	huge_advise(ws->memory + at, (size_t)resident);
	huge_advise(ws->cache, (size_t)cache);
	for (uint32_t i = 0; i < ws->bands.n; i++) {
		if (!window_is_resident(ws, i))
			continue;
		ws->home[i] = at;
		at += bytes_of(ws, i);
	}
	return 0;
}

/* --- the ring's size --- */

/* Residents that are worth `grow` bytes stream from now on. Nothing is being read. */
static void
give_up(struct window_source *ws, uint64_t grow)
{
	uint64_t given = 0;

	for (uint32_t i = 0; i < ws->bands.n && given < grow; i++) {
		if (!window_is_resident(ws, i) || ws->bands.pieces[i].stays ||
			bytes_of(ws, i) < WINDOW_SMALL)
			continue;
		madvise(ws->memory + ws->home[i], (size_t)bytes_of(ws, i), MADV_DONTNEED);
		ws->bands.pieces[i].resident = false;
		window_release(ws->window, i);
		given += bytes_of(ws, i);
	}
	huge_advise(ws->ring + window_ring(ws->window), (size_t)given);
	window_grow(ws->window, window_ring(ws->window) + given);
	ws->stats.resident -= given;
	ws->stats.ring += given;
}

static uint64_t
largest_streamed(const struct window_source *ws)
{
	uint64_t largest = 0;

	for (uint32_t i = 0; i < ws->bands.n; i++)
		if (!ws->bands.pieces[i].resident && bytes_of(ws, i) > largest)
			largest = bytes_of(ws, i);
	return largest;
}

/* Once in a while, between two passes. */
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
	if (grow > 0 && ws->unhashed == 0 && ws->flying == 0 && window_reading(ws->window) == 0)
		give_up(ws, grow);
}

/* --- the source --- */

/* What was read but never counted as there is read again. */
static void
forget_waiting(struct window_source *ws)
{
	for (uint32_t i = 0; i < ws->bands.n; i++) {
		if (ws->waiting[i])
			ws->landed[i] = ws->waiting[i] = false;
	}
}

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
	forget_waiting(ws);
	window_restart(ws->window);
	window_experts_restart(ws);
	ws->failed = false;
	return 0;
}

/* Under the lock: until it, a streamed band or an expert, is there. */
static int
wait_for(struct window_source *ws, bool (*there)(struct window_source *ws, uint32_t what),
	uint32_t what, struct err *err)
{
	double since = 0;

	if (ws->failed && begin_again(ws, err) != 0)
		return -1;
	while (!ws->failed && !there(ws, what)) {
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

static bool
band_there(struct window_source *ws, uint32_t band)
{
	return window_want(ws->window, band);
}

static bool
all_resident(const struct window_source *ws, uint32_t extent)
{
	for (uint32_t b = ws->bands.first[extent]; b < ws->bands.first[extent + 1]; b++)
		if (!ws->bands.pieces[b].resident)
			return false;
	return true;
}

/* Bands of an extent that are all there lie one behind the other. */
static void
point_tensors(struct window_source *ws, struct unit *u, uint32_t unit)
{
	for (uint32_t b = ws->first[unit]; b < ws->first[unit + 1];) {
		uint32_t extent = ws->bands.list[b].extent;

		u->t[ws->h->extents[extent].role].data =
			all_resident(ws, extent) ? window_memory(ws, b) : NULL;
		b = ws->bands.first[extent + 1];
	}
}

/* Under the lock. Units come in the order of use; the first one again begins a pass. */
static void
enter_unit(struct window_source *ws, uint32_t unit)
{
	if (ws->acquired == UINT32_MAX || unit <= ws->acquired) {
		ws->stats.passes++;
		adjust(ws);
	}
	ws->acquired = unit;
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
	if (kind == UNIT_EXPERT) {
		rc = wait_for(
			ws, window_want_expert, window_expert_number(ws->h, layer, expert), err);
	} else {
		rc = ws->failed ? begin_again(ws, err) : 0;
		if (rc == 0)
			enter_unit(ws, unit);
	}
	if (rc == 0)
		point_tensors(ws, u, unit);
	pthread_mutex_unlock(&ws->lock);
	return rc == 0 ? u : NULL;
}

/* Under the lock: the band that was computed with makes room. */
static void
leave_band(struct window_source *ws)
{
	if (ws->held == UINT32_MAX)
		return;
	window_leave(ws->window, ws->held);
	ws->held = UINT32_MAX;
	pthread_cond_broadcast(&ws->work);
}

/* The band of the unit that holds that row of that matrix; n: there is none. */
static uint32_t
find_band(const struct window_source *ws, enum tensor_role r, uint32_t row)
{
	for (uint32_t b = ws->first[ws->acquired]; b < ws->first[ws->acquired + 1];) {
		uint32_t extent = ws->bands.list[b].extent, of_band = ws->bands.list[b].rows;

		if (ws->h->extents[extent].role == r && row < ws->h->extents[extent].rows)
			return b + row / of_band;
		b = ws->bands.first[extent + 1];
	}
	return ws->bands.n;
}

/* Rows of this resident band and of those that lie behind it in memory. */
static uint32_t
resident_rows(const struct window_source *ws, uint32_t band)
{
	uint32_t end = ws->bands.first[ws->bands.list[band].extent + 1], rows = 0;

	for (uint32_t b = band; b < end && ws->bands.pieces[b].resident; b++)
		rows += ws->bands.list[b].rows;
	return rows;
}

static int
window_rows(struct weight_source *base, const struct unit *u, enum tensor_role r, uint32_t row,
	struct matrix *part, struct err *err)
{
	struct window_source *ws = (struct window_source *)base;
	uint32_t band = find_band(ws, r, row);
	bool resident;
	int rc = 0;

	if (band == ws->bands.n)
		return err_set(err, "%s: the shard has no row %" PRIu32, tensor_role_name(r), row);
	resident = ws->bands.pieces[band].resident;
	pthread_mutex_lock(&ws->lock);
	leave_band(ws);
	if (!resident)
		rc = wait_for(ws, band_there, band, err);
	if (rc == 0 && !resident)
		ws->held = band;
	*part = u->t[r];
	part->data = rc == 0 ? window_memory(ws, band) : NULL;
	part->rows = resident ? resident_rows(ws, band) : ws->bands.list[band].rows;
	pthread_mutex_unlock(&ws->lock);
	return rc;
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
		leave_band(ws);
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
	window_bands_free(&ws->bands);
	window_experts_free(ws);
	free(ws->home);
	free(ws->first);
	free(ws->landed);
	free(ws->waiting);
	free(ws->hash);
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
		if (rc != 0 || ws->failed || (ws->loading == 0 && ws->checking == 0))
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

/* Units without a tensor are where the next one begins. */
static void
find_units(struct window_source *ws, uint32_t units)
{
	uint32_t b = ws->bands.n;

	for (uint32_t unit = units + 1; unit-- > 0;) {
		while (b > 0) {
			const struct shard_extent *e =
				&ws->h->extents[ws->bands.list[b - 1].extent];

			if (window_unit(ws->h, shard_unit_kind(e->role), e->layer, e->expert) <
				unit)
				break;
			b--;
		}
		ws->first[unit] = b;
	}
}

static int
make_tables(struct window_source *ws, struct err *err)
{
	uint32_t units = window_unit(ws->h, UNIT_HEAD, 0, 0) + 1;
	size_t n, extents = ws->h->n_extents;

	if (window_bands_list(&ws->bands, ws->h, err) != 0)
		return -1;
	n = ws->bands.n;
	ws->first = calloc((size_t)units + 1, sizeof *ws->first);
	ws->home = calloc(n + 1, sizeof *ws->home);
	ws->landed = calloc(n + 1, sizeof *ws->landed);
	ws->waiting = calloc(n + 1, sizeof *ws->waiting);
	ws->hash = aligned_alloc(64, (extents + 1) * sizeof *ws->hash);
	if (ws->first == NULL || ws->home == NULL || ws->landed == NULL || ws->waiting == NULL ||
		ws->hash == NULL)
		return err_set(err, "out of memory for a window of %zu pieces", n);
	for (size_t i = 0; i < extents; i++) {
		ws->hash[i].hashed = 0;
		ws->hash[i].busy = false;
		crypto_generichash_init(&ws->hash[i].state, NULL, 0, SHARD_HASH);
	}
	ws->unhashed = ws->h->n_extents;
	find_units(ws, units);
	return 0;
}

static void
mark_in_parts(struct window_source *ws)
{
	for (uint32_t i = 0; i < ws->units->layers; i++)
		ws->units->attn[i].in_parts = ws->units->ffn[i].in_parts = true;
	ws->units->head.in_parts = true;
}

static int
make_ring(struct window_source *ws, uint64_t memory, struct err *err)
{
	struct window_bands *b = &ws->bands;
	uint64_t ring;

	if (window_choose(b->pieces, b->n, memory, WINDOW_AHEAD, &ring) != 0)
		return err_set(err,
			"%" PRIu64 " MB for weights are too little: the least is %" PRIu64 " MB",
			memory / 1000000, window_weights_least(ws->h) / 1000000 + 1);
	/* The end of it would not be a huge page. */
	if (ring >= window_least_ring(b->pieces, b->n) + HUGE_PAGE)
		ring -= ring % HUGE_PAGE;
	ws->window = window_new(b->pieces, b->n, ring, err);
	return ws->window != NULL ? map_memory(ws, ring, err) : -1;
}

static int
make(struct window_source *ws, uint64_t memory, struct err *err)
{
	uint64_t others;

	ws->units = fixed_source_new(&ws->h->shape, &ws->h->slice, ws->g != NULL, err);
	if (ws->units == NULL || make_tables(ws, err) != 0)
		return -1;
	ws->slot_bytes = window_slot_bytes(ws->h);
	ws->slots = window_split(ws->h, &ws->bands, memory, &others);
	if (window_experts_init(ws, err) != 0)
		return -1;
	ws->base.at_once = ws->slots / 2;
	ws->stats.bytes = window_weights_all(ws->h);
	if (make_ring(ws, others, err) != 0 ||
		direct_open(&ws->file, shard_path(ws->shard), err) != 0)
		return -1;
	shard_fill_units(ws->units, ws->h, NULL);
	mark_in_parts(ws);
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
		.rows = window_rows,
		.hint = window_hint};
	ws->shard = s;
	ws->h = shard_header(s);
	ws->g = g;
	ws->acquired = ws->held = UINT32_MAX;
	ws->file.fd = -1;
	pthread_mutex_init(&ws->lock, NULL);
	pthread_cond_init(&ws->work, NULL);
	pthread_cond_init(&ws->news, NULL);
	if (make(ws, memory, err) == 0 && load(ws, progress, arg, err) == 0)
		return &ws->base;
	window_free_source(&ws->base);
	return NULL;
}
