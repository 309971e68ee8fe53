/* A member's shard on disk: what takes long (hashing, syncing) runs on the thread pool. */
#include "daemon/log.h"
#include "daemon/serve_int.h"
#include "model/shard_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct shard_job {
	uv_work_t req;
	struct follow *follow; /* main thread; NULL: abandoned */
	enum shard_task task;
	char path[sizeof((struct follow *)0)->path];
	uint8_t header_hash[SHARD_HASH];
	struct shard_header *header; /* the follow's, until it is abandoned */
	struct shard_writer *writer;
	struct shard *shard;
	struct err err;
};

/* --- on the thread pool ------------------------------------------------------------------------- */

static void
open_whole(struct shard_job *j)
{
	uint8_t hash[SHARD_HASH];
	struct buf bytes;

	if (access(j->path, F_OK) != 0)
		return;
	j->shard = shard_open(j->path, true, &j->err);
	if (j->shard == NULL) {
		log_warning("%s: fetching what is damaged again", j->err.msg);
		return;
	}
	buf_init(&bytes, 0);
	shard_header_write(shard_header(j->shard), &bytes);
	shard_hash(bytes.data, bytes.len, hash);
	buf_free(&bytes);
	if (memcmp(hash, j->header_hash, sizeof hash) != 0) {
		shard_close(j->shard);
		j->shard = NULL;
	}
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
		j->writer = shard_writer_open(j->path, j->header, &j->err);
		break;
	case SHARD_SEAL:
		if (shard_writer_finish(j->writer, &j->err) == 0)
			j->shard = shard_open(j->path, false, &j->err);
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
		free(j->header);
		if (j->shard != NULL)
			shard_close(j->shard);
	} else {
		f->job = NULL;
		if (j->task == SHARD_RESUME)
			fetch_resumed(f, j->writer, &j->err);
		else
			follow_opened(f, j->task, j->shard, &j->err);
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
	memcpy(j->path, f->path, sizeof j->path);
	memcpy(j->header_hash, f->header_hash, sizeof j->header_hash);
	j->header = f->header;
	j->writer = f->writer;
	if (uv_queue_work(f->serve->loop, &j->req, work, after_work) != 0) {
		free(j);
		return -1;
	}
	f->writer = NULL;
	f->job = j;
	return 0;
}

/* The job may be in the middle of the follow's header: it keeps it. */
void
shard_job_abandon(struct follow *f)
{
	f->job->follow = NULL;
	f->header = NULL;
	f->job = NULL;
}
