#include "config.h"

#include "model/weights_copied.h"

#include "kernels/cpu.h"
#include "model/huge.h"
#include "model/shard_int.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#define SMALL       ((uint64_t)32 << 20) /* weights that are quick from any pages */
#define CHUNK       ((uint64_t)4 << 20)  /* whole huge pages, each written by one thread */
#define MAX_THREADS 4                    /* more do not copy faster */

static const char *const places[] = {"auto", "mapped", "copied"};

int
weights_place_parse(const char *name, const char *text, enum weights_place *place, struct err *err)
{
	for (int i = WEIGHTS_AUTO; i <= WEIGHTS_COPIED; i++) {
		if (strcmp(text, places[i]) == 0) {
			*place = (enum weights_place)i;
			return 0;
		}
	}
	return err_set(err, "%s: '%s' is none of: auto mapped copied", name, text);
}

bool
weights_place_copies(
	enum weights_place place, uint64_t bytes, uint64_t memory, uint64_t available, bool huge)
{
	uint64_t with_room = bytes + bytes / 4;

	if (place != WEIGHTS_AUTO)
		return place == WEIGHTS_COPIED && bytes <= memory;
	return huge && bytes >= SMALL && memory >= with_room && available != UINT64_MAX &&
	       available >= with_room;
}

/* --- copying: several threads, a chunk each in turn --------------------------------------------- */

struct copying {
	int fd;
	const char *path;
	uint8_t *to;
	uint64_t bytes;
	atomic_uint_fast64_t next;
	atomic_bool stop;
	pthread_mutex_t lock; /* guards what follows */
	bool failed;
	struct err err;
};

static int
copy_range(struct copying *c, uint64_t at, uint64_t end, struct err *err)
{
	while (at < end) {
		ssize_t n = pread(c->fd, c->to + at, (size_t)(end - at), (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(
				err, errno, "%s: cannot read at byte %" PRIu64, c->path, at);
		if (n == 0)
			return err_set(
				err, "%s: ends at byte %" PRIu64 ": it was cut off", c->path, at);
		at += (uint64_t)n;
	}
	return 0;
}

/* The next chunk; false: there is none, or it could not be read. */
static bool
copy_chunk(struct copying *c)
{
	uint64_t at = atomic_fetch_add(&c->next, CHUNK);
	struct err err;

	if (at >= c->bytes || atomic_load(&c->stop))
		return false;
	if (copy_range(c, at, at + CHUNK < c->bytes ? at + CHUNK : c->bytes, &err) == 0)
		return true;
	pthread_mutex_lock(&c->lock);
	if (!c->failed)
		c->err = err;
	c->failed = true;
	pthread_mutex_unlock(&c->lock);
	atomic_store(&c->stop, true);
	return false;
}

static void *
copier(void *arg)
{
	while (copy_chunk(arg))
		;
	return NULL;
}

/* One thread works alone: no other is started. */
static int
copy_all(struct copying *c, unsigned threads, shard_progress *progress, void *arg, struct err *err)
{
	pthread_t others[MAX_THREADS];
	unsigned n = 0;
	bool ended = false;

	if (threads == 0)
		threads = cpu_count();
	while (n + 1 < threads && n < MAX_THREADS - 1 &&
		pthread_create(&others[n], NULL, copier, c) == 0)
		n++;
	while (!ended && copy_chunk(c)) {
		uint64_t done = atomic_load(&c->next);

		ended = progress != NULL &&
			progress(arg, done < c->bytes ? done : c->bytes, c->bytes) != 0;
		if (ended)
			atomic_store(&c->stop, true);
	}
	for (unsigned i = 0; i < n; i++)
		pthread_join(others[i], NULL);
	if (ended)
		return err_set(err, "reading the weights was given up");
	if (c->failed)
		*err = c->err;
	return c->failed ? -1 : 0;
}

/* --- the source --------------------------------------------------------------------------------- */

static int
fill(struct fixed_source *fs, const struct shard *s, unsigned threads, shard_progress *progress,
	void *arg, struct err *err)
{
	const struct shard_header *h = shard_header(s);
	struct copying c = {.fd = shard_fd(s), .path = shard_path(s), .bytes = h->file_bytes};
	int rc;

	fs->memory = h->file_bytes <= SIZE_MAX ? huge_map((size_t)h->file_bytes) : NULL;
	if (fs->memory == NULL)
		return err_set(err, "no memory for %" PRIu64 " MB of weights",
			h->file_bytes / 1000000 + 1);
	fs->memory_bytes = (size_t)h->file_bytes;
	c.to = fs->memory;
	pthread_mutex_init(&c.lock, NULL);
	rc = copy_all(&c, threads, progress, arg, err);
	pthread_mutex_destroy(&c.lock);
	if (rc == 0)
		shard_fill_units(fs, h, fs->memory);
	return rc;
}

struct weight_source *
weights_copied(struct shard *s, const struct gguf *g, unsigned threads, shard_progress *progress,
	void *arg, struct err *err)
{
	struct weight_source *ws = weights_from_shard(s, g, err);

	if (ws == NULL)
		return NULL;
	if (fill((struct fixed_source *)ws, s, threads, progress, arg, err) == 0)
		return ws;
	ws->free(ws);
	return NULL;
}
