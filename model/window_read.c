/* The threads that read: a band at a time, first of the resident set, then whatever the window says
 * comes next. */
#include "config.h"

#include "base/clock.h"
#include "model/huge.h"
#include "model/window_int.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* --- what to read: under the lock --- */

static bool
next_band(struct window_source *ws, uint32_t *band)
{
	uint64_t at;

	while (ws->load < ws->bands.n && !window_is_resident(ws, ws->load))
		ws->load++;
	if (ws->load < ws->bands.n)
		*band = ws->load++;
	else if (ws->loading > 0 ||
		 (!window_demanded(ws, band) && !window_next(ws->window, band, &at)))
		return false;
	return true;
}

static bool
take(struct window_source *ws, uint32_t *band)
{
	if (ws->failed || !next_band(ws, band))
		return false;
	if (ws->flying++ == 0)
		ws->fly_since = clock_seconds();
	return true;
}

/* --- when it was read: under the lock --- */

static void
fail(struct window_source *ws, const struct err *why, bool damaged)
{
	ws->damaged |= damaged;
	if (!ws->failed)
		ws->why = *why;
	ws->failed = true;
	pthread_cond_broadcast(&ws->news);
}

static void
band_there(struct window_source *ws, uint32_t band)
{
	if (window_band_is_expert(ws, band))
		window_expert_there(ws, band);
	else
		window_arrived(ws->window, band);
	ws->stats.streamed += shard_align_up(ws->bands.list[band].bytes);
	pthread_cond_broadcast(&ws->news);
}

/* So that nobody takes it for whole; whoever makes it again keeps what is good. */
static void
move_aside(const struct window_source *ws)
{
	char part[sizeof ws->file.path + 8];

	snprintf(part, sizeof part, "%s.part", ws->file.path);
	if (rename(ws->file.path, part) != 0)
		unlink(ws->file.path);
}

/* All of it was hashed. */
static void
compare_hash(struct window_source *ws, uint32_t extent)
{
	const struct shard_extent *e = &ws->h->extents[extent];
	uint8_t hash[SHARD_HASH];
	struct err err;

	crypto_generichash_final(&ws->hash[extent].state, hash, sizeof hash);
	if (memcmp(hash, e->hash, SHARD_HASH) == 0) {
		ws->unhashed--;
		return;
	}
	err_set(&err,
		"%s: extent %" PRIu32 " (%s of layer %" PRIu32 ") at byte %" PRIu64
		" is damaged; it will be made or fetched again",
		ws->file.path, extent, tensor_role_name((enum tensor_role)e->role), e->layer,
		e->offset);
	move_aside(ws);
	fail(ws, &err, true);
}

/* Goes on with an extent's hash over what has come of it, without the lock; then all of that which is
 * not resident is there. A part whose predecessors are still being read waits for the reader that
 * brings them. So when the last part of a matrix is given out, its hash was right. */
static void
hash_on(struct window_source *ws, uint32_t extent)
{
	uint32_t first = ws->bands.first[extent], end = ws->bands.first[extent + 1];
	struct window_hash *x = &ws->hash[extent];
	uint32_t band = first + x->hashed, from = band;

	if (x->busy)
		return;
	x->busy = true;
	ws->checking++;
	for (; band < end && ws->landed[band]; band++) {
		pthread_mutex_unlock(&ws->lock);
		crypto_generichash_update(
			&x->state, window_memory(ws, band), ws->bands.list[band].bytes);
		pthread_mutex_lock(&ws->lock);
	}
	x->hashed = band - first;
	x->busy = false;
	ws->checking--;
	if (band == end)
		compare_hash(ws, extent);
	for (; from < band && !ws->damaged; from++) {
		if (ws->waiting[from])
			band_there(ws, from);
		ws->waiting[from] = false;
	}
}

static void
landed(struct window_source *ws, uint32_t band)
{
	uint32_t extent = ws->bands.list[band].extent;
	bool hashed = band - ws->bands.first[extent] < ws->hash[extent].hashed;

	ws->landed[band] = true;
	if (window_is_resident(ws, band))
		ws->loading--;
	else if (hashed)
		band_there(ws, band);
	else
		ws->waiting[band] = true;
	if (!hashed)
		hash_on(ws, extent);
	if (ws->loading == 0)
		pthread_cond_broadcast(&ws->work);
	pthread_cond_broadcast(&ws->news);
}

/* Takes the lock when it has read. */
static void
read_band(struct window_source *ws, uint32_t band)
{
	const struct window_band *b = &ws->bands.list[band];
	struct err err;
	int rc = direct_read(&ws->file, window_memory(ws, band), (size_t)shard_align_up(b->bytes),
		ws->h->extents[b->extent].offset + b->from, &err);

	pthread_mutex_lock(&ws->lock);
	if (rc == 0)
		landed(ws, band);
	else
		fail(ws, &err, false);
	if (--ws->flying == 0)
		ws->stats.reading += clock_seconds() - ws->fly_since;
}

static void *
reader(void *arg)
{
	struct window_source *ws = arg;
	uint32_t band;

	pthread_mutex_lock(&ws->lock);
	while (!ws->stop) {
		if (!take(ws, &band)) {
			if (ws->failed && ws->flying == 0)
				pthread_cond_broadcast(&ws->news);
			pthread_cond_wait(&ws->work, &ws->lock);
			continue;
		}
		pthread_mutex_unlock(&ws->lock);
		read_band(ws, band);
	}
	pthread_mutex_unlock(&ws->lock);
	return NULL;
}

/* --- life --- */

int
window_start_readers(struct window_source *ws, struct err *err)
{
	pthread_attr_t attr;
	int rc = 0;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 256u << 10);
	while (rc == 0 && ws->n_threads < WINDOW_READERS) {
		rc = pthread_create(&ws->threads[ws->n_threads], &attr, reader, ws);
		ws->n_threads += rc == 0;
	}
	pthread_attr_destroy(&attr);
	if (ws->n_threads == 0)
		return err_errno(err, rc, "cannot start a thread that reads");
	return 0;
}

void
window_stop_readers(struct window_source *ws)
{
	pthread_mutex_lock(&ws->lock);
	ws->stop = true;
	pthread_cond_broadcast(&ws->work);
	pthread_mutex_unlock(&ws->lock);
	for (unsigned i = 0; i < ws->n_threads; i++)
		pthread_join(ws->threads[i], NULL);
	ws->n_threads = 0;
}

/* --- how fast it is --- */

struct speed {
	struct direct_file file;
	uint64_t bytes;
	uint8_t *room; /* WINDOW_REQUEST bytes for each thread */
	unsigned taken;
	pthread_mutex_t lock;
	uint64_t from;
	struct err err;
	bool failed;
};

static void *
speed_reader(void *arg)
{
	struct speed *s = arg;
	uint8_t *room;
	struct err err;

	pthread_mutex_lock(&s->lock);
	room = s->room + (size_t)s->taken++ * WINDOW_REQUEST;
	pthread_mutex_unlock(&s->lock);
	for (;;) {
		uint64_t from;

		pthread_mutex_lock(&s->lock);
		from = s->from;
		s->from += WINDOW_REQUEST;
		pthread_mutex_unlock(&s->lock);
		if (from + WINDOW_REQUEST > s->bytes)
			break;
		if (direct_read(&s->file, room, WINDOW_REQUEST, from, &err) != 0) {
			pthread_mutex_lock(&s->lock);
			s->err = err;
			s->failed = true;
			s->from = s->bytes;
			pthread_mutex_unlock(&s->lock);
			break;
		}
	}
	return NULL;
}

double
window_disk_speed(const char *path, uint64_t bytes, struct err *err)
{
	struct speed s = {.bytes = bytes - bytes % WINDOW_REQUEST};
	pthread_t threads[WINDOW_READERS];
	unsigned n = 0;
	double start;

	s.room = huge_map((size_t)WINDOW_READERS * WINDOW_REQUEST);
	if (s.room == NULL) {
		err_set(err, "no memory to measure the disk with");
		return 0;
	}
	if (direct_open(&s.file, path, err) != 0) {
		huge_unmap(s.room, (size_t)WINDOW_READERS * WINDOW_REQUEST);
		return 0;
	}
	pthread_mutex_init(&s.lock, NULL);
	start = clock_seconds();
	while (n < WINDOW_READERS && pthread_create(&threads[n], NULL, speed_reader, &s) == 0)
		n++;
	for (unsigned i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	start = clock_seconds() - start;
	pthread_mutex_destroy(&s.lock);
	direct_close(&s.file);
	huge_unmap(s.room, (size_t)WINDOW_READERS * WINDOW_REQUEST);
	if (s.failed || n == 0 || s.bytes == 0) {
		*err = s.err;
		if (!s.failed)
			err_set(err, "%s: is too small to measure the disk with", path);
		return 0;
	}
	return (double)s.bytes / start;
}
