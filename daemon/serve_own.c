/* The coordinator's own slice: its shard is opened, or made from the model file, on the thread
 * pool; where no shard can be written the slice is brought into tiles in memory. */
#include "base/file.h"
#include "daemon/log.h"
#include "daemon/serve_kv.h"
#include "model/shard_store.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct own_job {
	uv_work_t req;
	struct plan *plan; /* main thread; NULL: abandoned */
	struct model_file *file;
	struct slice slice;
	char folder[4096 + 16];
	struct slice slices[SLICE_MAX_PEERS];
	struct memory_ask ask; /* its pointers lead into the job and its file */
	bool rows;             /* the kernels read rows as well as tiles */
	bool spare;            /* only the shard is wanted, where there is room for it */
	char limit[24];        /* spare_disk */
	uint8_t name[SHARD_HASH];
	atomic_bool stop;
	atomic_uint percent;
	struct shard *shard;
	struct weight_source *weights;
	struct err err;
};

/* --- on the thread pool ------------------------------------------------------------------------- */

static int
on_progress(void *arg, uint64_t done, uint64_t total)
{
	struct own_job *j = arg;

	atomic_store(&j->percent, (unsigned)(total > 0 ? done * 100 / total : 100));
	return atomic_load(&j->stop) ? -1 : 0;
}

/* The shard of a plan that may never be. One that is there is checked now, when there is time. */
static void
make_spare(struct own_job *j, const struct shard_want *want)
{
	struct shard_header h;
	char path[sizeof j->folder + 128];
	int rc = 0;

	if (j->rows || shard_store_path(j->folder, want, path, sizeof path, &j->err) != 0 ||
		file_mkdirs(j->folder, 0700, &j->err) != 0 ||
		shard_header_plan(j->file->gguf, &j->file->shape, &j->slice, &h, &j->err) != 0)
		return;
	if (access(path, F_OK) != 0)
		rc = shard_store_room(path, j->limit, h.file_bytes, &j->err);
	shard_header_free(&h);
	if (rc == 0)
		shard_close(shard_store_get(j->folder, want, true, on_progress, j, &j->err));
}

/* Before anything is written or read: whether it can be done, and whether the weights stream. */
static int
look(struct own_job *j, bool *streams)
{
	struct shard_header h;
	uint64_t memory;
	int rc;

	if (shard_header_plan(j->file->gguf, &j->file->shape, &j->slice, &h, &j->err) != 0)
		return -1;
	rc = memory_plan(&j->ask, &h, &memory, streams, &j->err);
	shard_header_free(&h);
	return rc;
}

static void
get_weights(struct own_job *j)
{
	struct model_file *f = j->file;
	struct shard_want want = {f->gguf, f->path, &f->shape, &j->slice};
	bool streams;

	if (look(j, &streams) != 0)
		return;
	if (j->rows && !streams) {
		j->weights = weights_from_gguf(f->gguf, &f->shape, &j->slice, true, &j->err);
		return;
	}
	j->shard = shard_store_get(j->folder, &want, !streams, on_progress, j, &j->err);
	if (j->shard != NULL) {
		j->weights = memory_weights(&j->ask, j->shard, f->gguf, on_progress, j, &j->err);
		if (j->weights == NULL) {
			shard_close(j->shard);
			j->shard = NULL;
		}
		return;
	}
	if (atomic_load(&j->stop) || gguf_check(f->gguf, NULL) != 0)
		return;
	if (streams) {
		err_prefix(&j->err, "the model is larger than memory, and there is no shard: ");
		return;
	}
	log_warning("%s (no shard is kept, the slice is prepared in memory)", j->err.msg);
	j->weights = weights_tiled_from_gguf(
		f->gguf, &f->shape, &j->slice, true, on_progress, j, &j->err);
}

static void
work(uv_work_t *req)
{
	struct own_job *j = req->data;
	struct model_file *f = j->file;
	struct shard_want want = {f->gguf, f->path, &f->shape, &j->slice};

	if (j->spare)
		make_spare(j, &want);
	else
		get_weights(j);
	/* Where that is why, it is better said of the file than of the slice. */
	if (j->weights == NULL)
		model_file_check(f, &j->err);
}

/* --- main thread -------------------------------------------------------------------------------- */

static void
drop(struct own_job *j)
{
	if (j->weights != NULL)
		j->weights->free(j->weights);
	shard_close(j->shard);
	j->weights = NULL;
	j->shard = NULL;
}

/* Gives what was prepared to the plan. */
static void
hand_over(struct own_job *j)
{
	struct plan *p = j->plan;
	struct open_shard *o = NULL;

	if (j->shard != NULL) {
		o = open_shard_new(p->serve, j->shard, j->weights->stats != NULL, j->name);
		if (o == NULL) {
			err_set(&j->err, "not enough memory to open a shard");
			drop(j);
		}
	}
	p->preparing = NULL;
	if (j->spare) {
		plan_prepared(p, &j->err);
		return;
	}
	p->weights = j->weights;
	p->shard = o;
	plan_prepared(p, &j->err);
}

static void
after_work(uv_work_t *req, int status)
{
	struct own_job *j = req->data;

	(void)status;
	if (j->plan != NULL)
		hand_over(j);
	else
		drop(j);
	model_file_unref(j->file);
	free(j);
}

/* Its name says what is in it. */
static void
name_shard(struct own_job *j, const struct serve *s)
{
	struct shard_want want = {j->file->gguf, j->file->path, &j->file->shape, &j->slice};
	char path[sizeof j->folder + 128];

	if (shard_store_path(j->folder, &want, path, sizeof path, &j->err) != 0)
		return; /* the job will say so */
	shard_hash(path, strlen(path), j->name);
	if (s->shard != NULL && shard_unreadable(s->shard->shard))
		shard_doubt(s->shard->shard);
}

struct own_job *
own_job_start(struct plan *p, struct err *err)
{
	struct serve *s = p->serve;
	struct own_job *j = calloc(1, sizeof *j);

	if (j == NULL) {
		err_set(err, "not enough memory to prepare the model");
		return NULL;
	}
	j->req.data = j;
	j->plan = p;
	j->spare = p->stock != NULL;
	snprintf(j->limit, sizeof j->limit, "%s", s->config->spare_disk);
	j->slice = p->slices[0];
	memcpy(j->slices, p->slices, sizeof j->slices);
	j->rows = strcmp(s->kernels.name, "plain") == 0;
	snprintf(j->folder, sizeof j->folder, "%s/shards", s->state->dir);
	j->file = model_file_ref(p->file);
	memory_ask_init(&j->ask, s);
	j->ask.beside += copies_more_bytes(s, &j->file->shape, p->context);
	j->ask.engine = (struct engine_config){.shape = &j->file->shape,
		.slices = j->slices,
		.context = p->context,
		.slots = s->config->parallel,
		.max_rows = p->rows,
		.threads = s->config->threads,
		.kv = serve_kv(s->config),
		.kv_copies = s->config->kv_copies > 0,
		.payload = p->payload,
		.way = p->way};
	engine_place(&j->ask.engine, &p->stages, 0);
	memcpy(j->ask.engine.row_shares, p->row_shares,
		j->ask.engine.peers * sizeof *p->row_shares);
	name_shard(j, s);
	if (uv_queue_work(s->loop, &j->req, work, after_work) != 0) {
		err_set(err, "the thread pool takes no job");
		model_file_unref(j->file);
		free(j);
		return NULL;
	}
	return j;
}

void
own_job_abandon(struct own_job *j)
{
	j->plan = NULL;
	atomic_store(&j->stop, true);
}

unsigned
own_job_percent(const struct own_job *j)
{
	return atomic_load(&j->percent);
}
