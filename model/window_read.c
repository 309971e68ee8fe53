/* The threads that read: they take requests of up to WINDOW_REQUEST bytes, first of the resident
 * set, then of whatever the window says comes next. */
#include "config.h"

#include "base/clock.h"
#include "model/huge.h"
#include "model/window_int.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct request {
	uint32_t piece;
	uint64_t from;
	size_t len;
};

/* --- what to read: under the lock --- */

static bool
next_piece(struct window_source *ws)
{
	uint32_t piece;
	uint64_t at;

	while (ws->load < ws->n &&
		(!ws->pieces[ws->load].resident || window_is_expert(ws->h, ws->load)))
		ws->load++;
	if (ws->load < ws->n)
		piece = ws->load++;
	else if (ws->loading > 0 ||
		 (!window_demanded(ws, &piece) && !window_next(ws->window, &piece, &at)))
		return false;
	ws->piece = piece;
	ws->piece_from = 0;
	ws->left[piece] = window_bytes(ws, piece);
	return true;
}

static bool
take(struct window_source *ws, struct request *r)
{
	uint64_t bytes;

	if (ws->failed || (ws->piece == ws->n && !next_piece(ws)))
		return false;
	bytes = window_bytes(ws, ws->piece) - ws->piece_from;
	*r = (struct request){
		ws->piece, ws->piece_from, bytes < WINDOW_REQUEST ? (size_t)bytes : WINDOW_REQUEST};
	ws->piece_from += r->len;
	if (ws->piece_from == window_bytes(ws, ws->piece))
		ws->piece = ws->n;
	if (ws->flying++ == 0)
		ws->fly_since = clock_seconds();
	return true;
}

/* --- reading: without the lock --- */

static int
check_hash(const struct window_source *ws, uint32_t piece, struct err *err)
{
	const struct shard_extent *e = &ws->h->extents[piece];
	uint8_t hash[SHARD_HASH];

	crypto_generichash(hash, sizeof hash, window_memory(ws, piece), e->bytes, NULL, 0);
	if (memcmp(hash, e->hash, SHARD_HASH) == 0)
		return 0;
	return err_set(err,
		"%s: extent %" PRIu32 " (%s of layer %" PRIu32 ") at byte %" PRIu64
		" is damaged; it will be made or fetched again",
		ws->file.path, piece, tensor_role_name((enum tensor_role)e->role), e->layer,
		e->offset);
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

/* --- the end of a request: under the lock --- */

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
piece_there(struct window_source *ws, uint32_t piece)
{
	bool expert = window_is_expert(ws->h, piece);

	if (expert)
		window_expert_there(ws, piece);
	else if (ws->pieces[piece].resident)
		ws->loading--;
	else
		window_arrived(ws->window, piece);
	if (expert || !ws->pieces[piece].resident)
		ws->stats.streamed += window_bytes(ws, piece);
	pthread_cond_broadcast(&ws->news);
	if (ws->loading == 0)
		pthread_cond_broadcast(&ws->work);
}

static void
landed(struct window_source *ws)
{
	if (--ws->flying == 0)
		ws->stats.reading += clock_seconds() - ws->fly_since;
}

/* Takes the lock when it has read. */
static void
read_request(struct window_source *ws, const struct request *r)
{
	const struct shard_extent *e = &ws->h->extents[r->piece];
	struct err err;
	int rc = direct_read(&ws->file, window_memory(ws, r->piece) + r->from, r->len,
		e->offset + r->from, &err);
	bool last, damaged = false;

	pthread_mutex_lock(&ws->lock);
	last = rc == 0 && (ws->left[r->piece] -= r->len) == 0;
	if (last && !ws->checked[r->piece]) {
		pthread_mutex_unlock(&ws->lock);
		rc = check_hash(ws, r->piece, &err);
		damaged = rc != 0;
		if (damaged)
			move_aside(ws);
		pthread_mutex_lock(&ws->lock);
		ws->checked[r->piece] = !damaged;
	}
	landed(ws);
	if (rc != 0)
		fail(ws, &err, damaged);
	else if (last)
		piece_there(ws, r->piece);
}

static void *
reader(void *arg)
{
	struct window_source *ws = arg;
	struct request r;

	pthread_mutex_lock(&ws->lock);
	while (!ws->stop) {
		if (!take(ws, &r)) {
			if (ws->failed && ws->flying == 0)
				pthread_cond_broadcast(&ws->news);
			pthread_cond_wait(&ws->work, &ws->lock);
			continue;
		}
		pthread_mutex_unlock(&ws->lock);
		read_request(ws, &r);
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
