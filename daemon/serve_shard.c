/* A member's shard on disk: what takes long (hashing, syncing) runs on the thread pool. */
#include "daemon/log.h"
#include "daemon/serve_int.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEEP_OTHERS 3 /* shards of other plans that stay on disk, the newest ones */

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

struct old_shard {
	char name[64];
	int64_t changed;
};

static int
newest_first(const void *a, const void *b)
{
	const struct old_shard *x = a, *y = b;

	return (x->changed < y->changed) - (x->changed > y->changed);
}

/* Removes all but the newest shards of other plans, whole or not, from the folder. */
static void
prune(const char *path)
{
	const char *base = strrchr(path, '/') + 1;
	size_t len = strlen(base);
	struct old_shard old[256];
	char folder[4096];
	struct dirent *d;
	unsigned n = 0;
	DIR *dir;

	snprintf(folder, sizeof folder, "%.*s", (int)(base - path), path);
	dir = opendir(folder);
	while (dir != NULL && n < 256 && (d = readdir(dir)) != NULL) {
		struct stat st;

		if (strstr(d->d_name, ".shard") == NULL || strncmp(d->d_name, base, len) == 0 ||
			strlen(d->d_name) >= sizeof old[n].name ||
			fstatat(dirfd(dir), d->d_name, &st, 0) != 0)
			continue;
		strcpy(old[n].name, d->d_name);
		old[n++].changed = (int64_t)st.st_mtime;
	}
	qsort(old, n, sizeof *old, newest_first);
	for (unsigned i = KEEP_OTHERS; i < n; i++) {
		log_info("removing %s%s, a slice of a plan of long ago", folder, old[i].name);
		unlinkat(dirfd(dir), old[i].name, 0);
	}
	if (dir != NULL)
		closedir(dir);
}

static void
work(uv_work_t *req)
{
	struct shard_job *j = req->data;

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
		prune(j->path);
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
