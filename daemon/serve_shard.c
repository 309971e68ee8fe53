/* A member's shard on disk: what takes long (hashing, syncing) runs on the thread pool. */
#include "daemon/log.h"
#include "daemon/serve_int.h"
#include "model/shard_store.h"
#include "model/shelf.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct shard_job {
	uv_work_t req;
	struct follow *follow; /* main thread; NULL: abandoned */
	enum shard_task task;
	bool spare; /* only the file is wanted */
	char path[sizeof((struct follow *)0)->path];
	uint8_t header_hash[SHARD_HASH];
	struct shard_header *header; /* the follow's, until it is abandoned */
	struct chunk_list *chunks;   /* the same */
	struct shard_writer *writer;
	struct memory_ask ask; /* its slices point at `slices` */
	struct slice slices[SLICE_MAX_PEERS];
	struct shard *shard;
	struct weight_source *weights;
	bool whole; /* the shard is fine */
	struct err err;
};

/* --- on the thread pool ------------------------------------------------------------------------- */

static void
drop(struct shard_job *j)
{
	if (j->weights != NULL)
		j->weights->free(j->weights);
	shard_close(j->shard);
	j->weights = NULL;
	j->shard = NULL;
}

/* The header that the coordinator means. */
static bool
is_meant(const struct shard_job *j)
{
	uint8_t hash[SHARD_HASH];
	struct buf bytes;

	buf_init(&bytes, 0);
	shard_header_write(shard_header(j->shard), &bytes);
	shard_hash(bytes.data, bytes.len, hash);
	buf_free(&bytes);
	return memcmp(hash, j->header_hash, sizeof hash) == 0;
}

/* The weights of the shard that is open, as memory allows; without them it is closed again. */
static void
make_weights(struct shard_job *j)
{
	const struct shard_header *h = shard_header(j->shard);
	uint64_t memory;
	bool streams;

	j->ask.engine.shape = &h->shape;
	j->slices[j->ask.engine.rank] = h->slice;
	j->whole = memory_plan(&j->ask, h, &memory, &streams, &j->err) != 0;
	if (!j->whole)
		j->weights = memory_weights(&j->ask, j->shard, NULL, NULL, NULL, &j->err);
	if (j->weights == NULL)
		drop(j);
}

static void
open_whole(struct shard_job *j)
{
	if (access(j->path, F_OK) != 0)
		return;
	j->shard = shard_open(j->path, j->spare, &j->err);
	if (j->shard != NULL && !is_meant(j)) {
		drop(j);
	} else if (j->shard != NULL && j->spare) {
		j->whole = true;
		drop(j);
	} else if (j->shard != NULL) {
		make_weights(j);
	}
	if (j->shard == NULL && j->err.msg[0] != '\0' && !j->whole)
		log_warning("%s: fetching what is damaged again", j->err.msg);
}

/* What an earlier try left, and what other shards here have of it. */
static void
resume(struct shard_job *j)
{
	char folder[sizeof j->path], part[sizeof j->path + 8];
	struct shelf *shelf;
	char *slash;

	snprintf(part, sizeof part, "%s.part", j->path); /* the file itself */
	j->writer = shard_writer_open(j->path, j->header, j->chunks, &j->err);
	if (j->writer == NULL || shard_writer_missing(j->writer) == 0)
		return;
	memcpy(folder, j->path, sizeof folder);
	slash = strrchr(folder, '/');
	if (slash != NULL)
		*slash = '\0';
	shelf = shelf_open(folder, j->header->model_id, true, part);
	if (shelf != NULL)
		shard_writer_copy(j->writer, shelf);
	shelf_close(shelf);
}

static void
work(uv_work_t *req)
{
	struct shard_job *j = req->data;
	unsigned gone;

	switch (j->task) {
	case SHARD_OPEN:
		open_whole(j);
		break;
	case SHARD_RESUME:
		resume(j);
		break;
	case SHARD_SEAL:
		if (shard_writer_finish(j->writer, &j->err) == 0) {
			j->whole = j->spare;
			if (!j->spare)
				j->shard = shard_open(j->path, false, &j->err);
		}
		if (j->shard != NULL)
			make_weights(j);
		gone = shard_store_prune(j->path, SHARD_KEEP);
		if (gone > 0)
			log_info("removed %u shard%s of plans of long ago", gone,
				gone > 1 ? "s" : "");
		break;
	}
}

/* --- main thread -------------------------------------------------------------------------------- */

static void
after_work(uv_work_t *req, int status)
{
	struct shard_job *j = req->data;
	struct follow *f = j->follow;

	(void)status;
	if (j->task != SHARD_RESUME || f == NULL) {
		shard_writer_free(j->writer);
		j->writer = NULL;
	}
	if (f == NULL) {
		if (j->header != NULL)
			shard_header_free(j->header);
		if (j->chunks != NULL)
			chunk_list_free(j->chunks);
		free(j->header);
		free(j->chunks);
		drop(j);
	} else {
		f->job = NULL;
		if (j->task == SHARD_RESUME)
			fetch_resumed(f, j->writer, &j->err);
		else
			follow_opened(f, j->task, j->shard, j->weights, j->whole, &j->err);
	}
	free(j);
}

int
shard_job_start(struct follow *f, enum shard_task task)
{
	struct shard_job *j = calloc(1, sizeof *j);

	if (j == NULL)
		return -1;
	j->req.data = j;
	j->follow = f;
	j->task = task;
	j->spare = f->spare;
	memcpy(j->path, f->path, sizeof j->path);
	memcpy(j->header_hash, f->header_hash, sizeof j->header_hash);
	if (f->serve->shard != NULL && shard_unreadable(f->serve->shard->shard))
		shard_doubt(f->serve->shard->shard);
	memory_ask_init(&j->ask, f->serve);
	j->ask.engine = (struct engine_config){.slices = j->slices,
		.context = f->context,
		.slots = f->slots,
		.max_rows = f->max_rows,
		.threads = f->serve->config->threads,
		.kv = f->kv,
		.kv_copies = f->kv_copies,
		.payload = f->payload,
		.way = f->way};
	memcpy(j->ask.engine.row_shares, f->row_shares, sizeof f->row_shares);
	engine_place(&j->ask.engine, &f->stages, f->rank);
	j->header = f->header;
	j->chunks = f->chunks;
	j->writer = f->writer;
	if (uv_queue_work(f->serve->loop, &j->req, work, after_work) != 0) {
		free(j);
		return -1;
	}
	f->writer = NULL;
	f->job = j;
	return 0;
}

/* The job may be in the middle of the follow's header and list of chunks: it keeps them. */
void
shard_job_abandon(struct follow *f)
{
	f->job->follow = NULL;
	f->header = NULL;
	f->chunks = NULL;
	f->job = NULL;
}
