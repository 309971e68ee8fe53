#include "model/weights_meanwhile.h"

#include "model/shard_int.h"
#include "model/weights_copied.h"
#include "model/window.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>

struct meanwhile {
	struct weight_source base;
	struct weight_source *mapped;
	_Atomic(struct weight_source *) copied; /* NULL: not yet */
	struct shard *shard;
	const struct gguf *embed_of;
	pthread_t thread;
	atomic_bool stop, ended; /* the thread is to end; it has */
};

static int
go_on(void *arg, uint64_t done, uint64_t total)
{
	const struct meanwhile *m = arg;

	(void)done;
	(void)total;
	return atomic_load(&m->stop) ? -1 : 0;
}

/* One thread: the others compute. What was mapped may still be in use: its pages go from this process alone, and
 * come back from the page cache. */
static void *
copy(void *arg)
{
	struct meanwhile *m = arg;
	struct err err;
	struct weight_source *ws = weights_copied(m->shard, m->embed_of, 1, go_on, m, &err);

	if (ws != NULL) {
		atomic_store(&m->copied, ws);
		madvise((void *)(uintptr_t)shard_data(m->shard), shard_header(m->shard)->file_bytes,
			MADV_DONTNEED);
	}
	atomic_store(&m->ended, true);
	return NULL;
}

static bool
meanwhile_moving(struct weight_source *ws)
{
	return !atomic_load(&((struct meanwhile *)ws)->ended);
}

static const struct unit *
meanwhile_acquire(struct weight_source *ws, enum unit_kind kind, uint32_t layer, uint32_t expert,
	struct err *err)
{
	struct meanwhile *m = (struct meanwhile *)ws;
	struct weight_source *from = atomic_load(&m->copied);

	if (from == NULL)
		from = m->mapped;
	return from->acquire(from, kind, layer, expert, err);
}

/* It may be of either: each knows its own. */
static void
meanwhile_release(struct weight_source *ws, const struct unit *u)
{
	struct meanwhile *m = (struct meanwhile *)ws;
	struct weight_source *copied = atomic_load(&m->copied);

	m->mapped->release(m->mapped, u);
	if (copied != NULL)
		copied->release(copied, u);
}

static void
meanwhile_free(struct weight_source *ws)
{
	struct meanwhile *m = (struct meanwhile *)ws;
	struct weight_source *copied;

	if (m == NULL)
		return;
	atomic_store(&m->stop, true);
	pthread_join(m->thread, NULL);
	copied = atomic_load(&m->copied);
	if (copied != NULL)
		copied->free(copied);
	m->mapped->free(m->mapped);
	free(m);
}

struct weight_source *
weights_copied_meanwhile(struct shard *s, const struct gguf *g, struct err *err)
{
	struct weight_source *mapped = weights_from_shard(s, g, err);
	struct meanwhile *m;

	if (mapped == NULL)
		return NULL;
	m = calloc(1, sizeof *m);
	if (m == NULL)
		return mapped; /* slower, but as good */
	m->base = (struct weight_source){.acquire = meanwhile_acquire,
		.release = meanwhile_release,
		.free = meanwhile_free,
		.at_once = mapped->at_once,
		.moving = meanwhile_moving};
	m->mapped = mapped;
	m->shard = s;
	m->embed_of = g;
	if (pthread_create(&m->thread, NULL, copy, m) != 0) {
		free(m);
		return mapped;
	}
	return &m->base;
}

struct weight_source *
weights_copied_soon(struct shard *s, const struct gguf *g, uint64_t memory, unsigned threads,
	shard_progress *progress, void *arg, struct err *err)
{
	if (memory / 2 >= window_weights_all(shard_header(s)) && shard_is_cached(s))
		return weights_copied_meanwhile(s, g, err);
	return weights_copied(s, g, threads, progress, arg, err);
}
