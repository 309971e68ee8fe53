#include "daemon/serve_skeleton.h"

#include "base/file.h"
#include "daemon/log.h"
#include "model/shard_store.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define QUIET_MS 2000  /* of serving without requests before one is made */
#define PAUSE_MS 10000 /* after what did not work */

enum task {
	TASK_MAKE, /* unless a good one is there already */
	TASK_FIND, /* is the one that is meant on disk? */
	TASK_SEAL  /* is what was fetched right? */
};

struct skeleton_job { /* on the thread pool */
	uv_work_t req;
	struct skeletons *all; /* main thread; NULL: abandoned */
	enum task task;
	char folder[4096 + 16], path[4096 + 80], name[SKELETON_NAME];
	struct model_file *file; /* to make it of */
	struct skeleton_id id;   /* of the one that is meant; then of the one that is there */
	atomic_bool stop;
	int result;
	struct err err;
};

struct skeletons {
	struct serve *serve;
	bool have, checked;    /* checked: since the start */
	struct skeleton_id id; /* of what is here, if have */
	struct skeleton_job *job;
	uint64_t retry_at;
	bool closed;

	/* member */
	bool wanted;
	struct skeleton_id want;
	struct link *link; /* NULL: none */
	uint64_t fetched;
};

/* --- on the thread pool --------------------------------------------------------------------------- */

static int
read_at(int fd, uint8_t *out, size_t len, uint64_t at)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = pread(fd, out + done, len - done, (off_t)(at + done));

		if (n <= 0)
			return -1;
		done += (size_t)n;
	}
	return 0;
}

uint8_t *
skeleton_piece(
	const char *folder, const uint8_t model_id[SHARD_HASH], uint64_t offset, uint32_t *len)
{
	char path[4096 + 80];
	uint8_t *bytes = NULL;
	struct stat st;
	int fd;

	*len = 0;
	skeleton_path(folder, model_id, path, sizeof path);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	if (fstat(fd, &st) == 0 && offset < (uint64_t)st.st_size) {
		uint64_t left = (uint64_t)st.st_size - offset;

		*len = left < SKELETON_PIECE ? (uint32_t)left : SKELETON_PIECE;
		bytes = malloc(*len);
		if (bytes != NULL && read_at(fd, bytes, *len, offset) != 0) {
			free(bytes);
			bytes = NULL;
		}
	}
	close(fd);
	return bytes;
}

/* Whether a good one lies there, of that model, not older than the model's file; it becomes j->id. */
static bool
look_at(struct skeleton_job *j, const char *path, uint64_t stamp)
{
	struct skeleton *k;
	struct stat st;
	bool good;

	if (stat(path, &st) != 0 ||
		(uint64_t)st.st_mtim.tv_sec * 1000000000u + (uint64_t)st.st_mtim.tv_nsec < stamp)
		return false;
	k = skeleton_open(path, true, &j->err);
	if (k == NULL)
		return false;
	good = memcmp(skeleton_model_id(k), j->id.model_id, SHARD_HASH) == 0 &&
	       (j->task == TASK_MAKE || memcmp(skeleton_hash(k), j->id.hash, SHARD_HASH) == 0);
	memcpy(j->id.hash, skeleton_hash(k), SHARD_HASH);
	j->id.bytes = skeleton_bytes(k);
	skeleton_close(k);
	return good;
}

static int
on_progress(void *arg, uint64_t done, uint64_t total)
{
	struct skeleton_job *j = arg;

	(void)done, (void)total;
	return atomic_load(&j->stop) ? -1 : 0;
}

static int
make(struct skeleton_job *j)
{
	if (look_at(j, j->path, j->file->stamp))
		return 0;
	if (file_mkdirs(j->folder, 0700, &j->err) != 0 ||
		skeleton_make(j->file->gguf, &j->file->shape, j->name, j->path, on_progress, j,
			&j->err) != 0)
		return -1;
	return look_at(j, j->path, 0) ? 0 : -1;
}

/* The fetched one: kept if it is what was meant. */
static int
seal(struct skeleton_job *j)
{
	char part[sizeof j->path + 8];

	snprintf(part, sizeof part, "%s.part", j->path);
	if (look_at(j, part, 0) && rename(part, j->path) == 0) {
		file_sync_parent(j->path);
		return 0;
	}
	unlink(part);
	return err_set(&j->err, "what came is not the skeleton that was announced");
}

static void
work(uv_work_t *req)
{
	struct skeleton_job *j = req->data;

	if (j->task == TASK_MAKE)
		j->result = make(j);
	else if (j->task == TASK_FIND)
		j->result = look_at(j, j->path, 0) ? 0 : -1;
	else
		j->result = seal(j);
	if (j->result == 0)
		skeleton_prune(j->folder, j->id.model_id);
}

/* --- jobs ----------------------------------------------------------------------------------------- */

static void dial(struct skeletons *k);

static void
done(struct skeletons *k, const struct skeleton_job *j)
{
	if (j->result == 0) {
		k->have = k->checked = true;
		k->id = j->id;
		log_info("the skeleton of %s is here: %.1f MB",
			j->file != NULL ? j->file->id : "the model", (double)j->id.bytes / 1e6);
	} else if (j->task == TASK_FIND) {
		dial(k);
	} else {
		k->retry_at = uv_now(k->serve->loop) + PAUSE_MS;
		log_warning("no skeleton of the model: %s", j->err.msg);
	}
}

static void
after_work(uv_work_t *req, int status)
{
	struct skeleton_job *j = req->data;
	struct skeletons *k = j->all;

	(void)status;
	if (k != NULL) {
		k->job = NULL;
		done(k, j);
	}
	model_file_unref(j->file);
	free(j);
}

static void
job_start(
	struct skeletons *k, enum task task, const struct skeleton_id *id, struct model_file *file)
{
	struct skeleton_job *j = calloc(1, sizeof *j);
	const char *slash = file != NULL ? strrchr(file->path, '/') : NULL;

	k->retry_at = uv_now(k->serve->loop) + PAUSE_MS;
	if (j == NULL)
		return;
	j->req.data = j;
	j->all = k;
	j->task = task;
	j->id = *id;
	snprintf(j->folder, sizeof j->folder, "%s/skeletons", k->serve->state->dir);
	skeleton_path(j->folder, id->model_id, j->path, sizeof j->path);
	if (file != NULL) {
		j->file = model_file_ref(file);
		snprintf(j->name, sizeof j->name, "%.199s", slash != NULL ? slash + 1 : "");
	}
	if (uv_queue_work(k->serve->loop, &j->req, work, after_work) == 0) {
		k->job = j;
		return;
	}
	model_file_unref(j->file);
	free(j);
}

static void
job_abandon(struct skeletons *k)
{
	if (k->job == NULL)
		return;
	k->job->all = NULL;
	atomic_store(&k->job->stop, true);
	k->job = NULL;
}

/* --- fetching ------------------------------------------------------------------------------------- */

static void
part_path(const struct skeletons *k, char *out, size_t size)
{
	char folder[4096 + 16], path[4096 + 80];

	snprintf(folder, sizeof folder, "%s/skeletons", k->serve->state->dir);
	skeleton_path(folder, k->want.model_id, path, sizeof path);
	snprintf(out, size, "%s.part", path);
}

static void
ask(struct skeletons *k)
{
	Shoal__Envelope e = SHOAL__ENVELOPE__INIT;
	Shoal__FetchSkeleton m = SHOAL__FETCH_SKELETON__INIT;

	m.model_id = (ProtobufCBinaryData){SHARD_HASH, k->want.model_id};
	m.offset = k->fetched;
	e.body_case = SHOAL__ENVELOPE__BODY_FETCH_SKELETON;
	e.fetch_skeleton = &m;
	swarm_pack_send(k->link, &e);
}

static void
hang_up(struct skeletons *k, const char *why)
{
	static const struct link_events nothing;

	if (k->link == NULL)
		return;
	link_set(k->link, &nothing, NULL);
	link_close(k->link, why);
	k->link = NULL;
}

/* Appends a piece to what is there already. */
static int
put(struct skeletons *k, const uint8_t *bytes, size_t len, struct err *err)
{
	char path[4096 + 96];
	int fd, rc;

	part_path(k, path, sizeof path);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_set(err, "%s: cannot be written", path);
	rc = pwrite(fd, bytes, len, (off_t)k->fetched) == (ssize_t)len ? 0 : -1;
	if (rc == 0 && k->fetched + len == k->want.bytes)
		rc = fsync(fd);
	close(fd);
	return rc == 0 ? 0 : err_set(err, "%s: cannot be written", path);
}

static int
take(struct skeletons *k, const Shoal__Data *d, struct err *err)
{
	uint64_t left = k->want.bytes - k->fetched;

	if (d->bytes.len == 0 || d->bytes.len > left ||
		(d->bytes.len < SKELETON_PIECE && d->bytes.len < left))
		return err_set(err, "the coordinator does not have the skeleton that it named");
	if (put(k, d->bytes.data, d->bytes.len, err) != 0)
		return -1;
	k->fetched += d->bytes.len;
	if (k->fetched < k->want.bytes) {
		ask(k);
		return 0;
	}
	hang_up(k, "");
	job_start(k, TASK_SEAL, &k->want, NULL);
	return 0;
}

static void
on_open(struct link *l, void *arg)
{
	(void)l;
	ask(arg);
}

static int
on_message(struct link *l, void *arg, const uint8_t *msg, size_t len, struct err *err)
{
	struct skeletons *k = arg;
	Shoal__Envelope *e = control_unpack(msg, len, err);
	int rc;

	(void)l;
	if (e == NULL)
		return -1;
	rc = e->body_case == SHOAL__ENVELOPE__BODY_DATA
		     ? take(k, e->data, err)
		     : err_set(err, "'%s' came instead of 'data'", control_name(e));
	control_free(e);
	return rc;
}

static void
on_close(struct link *l, void *arg, const char *why)
{
	struct skeletons *k = arg;

	(void)l;
	log_debug("fetching a skeleton: %s", why);
	k->link = NULL;
	k->retry_at = uv_now(k->serve->loop) + PAUSE_MS;
}

/* Whole pieces of an earlier try are kept. */
static uint64_t
bytes_there(const struct skeletons *k)
{
	char path[4096 + 96];
	struct stat st;

	part_path(k, path, sizeof path);
	if (stat(path, &st) != 0 || (uint64_t)st.st_size >= k->want.bytes)
		return 0;
	return (uint64_t)st.st_size / SKELETON_PIECE * SKELETON_PIECE;
}

static void
dial(struct skeletons *k)
{
	static const struct link_events events = {on_open, on_message, on_close};
	struct serve *s = k->serve;
	char folder[4096 + 16], shards[4096 + 16];
	struct err err;

	k->retry_at = uv_now(s->loop) + PAUSE_MS;
	if (!k->wanted || !swarm_is_member(s->swarm) || k->closed)
		return;
	snprintf(folder, sizeof folder, "%s/skeletons", s->state->dir);
	snprintf(shards, sizeof shards, "%s/shards/-", s->state->dir);
	if (file_mkdirs(folder, 0700, &err) != 0 ||
		shard_store_room(shards, s->config->spare_disk, k->want.bytes, &err) != 0) {
		log_info("no skeleton of the model is kept here: %s", err.msg);
		k->retry_at += 5 * PAUSE_MS;
		return;
	}
	k->fetched = bytes_there(k);
	k->link = swarm_dial(s->swarm, LINK_BULK, CONTROL_MAX_BULK, &events, k);
}

/* --- what is wanted ------------------------------------------------------------------------------- */

bool
skeletons_have(
	const struct skeletons *k, const uint8_t model_id[SHARD_HASH], struct skeleton_id *id)
{
	if (k == NULL || !k->have || memcmp(k->id.model_id, model_id, SHARD_HASH) != 0)
		return false;
	*id = k->id;
	return true;
}

static bool
same(const struct skeleton_id *a, const struct skeleton_id *b)
{
	return a->bytes == b->bytes && memcmp(a->hash, b->hash, SHARD_HASH) == 0 &&
	       memcmp(a->model_id, b->model_id, SHARD_HASH) == 0;
}

void
skeletons_heard(struct skeletons *k, const struct skeleton_id *id)
{
	if (k == NULL || k->closed || strcmp(k->serve->config->spare_disk, "off") == 0)
		return;
	if (!k->wanted || !same(&k->want, id)) {
		hang_up(k, "another skeleton is wanted");
		job_abandon(k);
		k->wanted = true;
		k->want = *id;
		k->retry_at = 0;
	}
	k->have = k->have && same(&k->id, id);
}

static bool
is_quiet(const struct serve *s)
{
	return s->plan != NULL && s->plan->state == PLAN_SERVING && s->busy_since == 0 &&
	       uv_now(s->loop) - s->plan->since >= QUIET_MS;
}

void
skeletons_tick(struct skeletons *k)
{
	struct serve *s = k != NULL ? k->serve : NULL;
	struct skeleton_id id = {0};

	if (s == NULL || k->closed || k->job != NULL || uv_now(s->loop) < k->retry_at)
		return;
	if (swarm_is_member(s->swarm)) {
		if (k->wanted && !k->have && k->link == NULL)
			job_start(k, TASK_FIND, &k->want, NULL);
		return;
	}
	hang_up(k, "this device is no member any more");
	k->wanted = false;
	if (s->file == NULL || !elect_elects(s->elect) || !is_quiet(s) ||
		(skeletons_have(k, s->file->model_id, &id) && k->checked))
		return;
	memcpy(id.model_id, s->file->model_id, SHARD_HASH);
	job_start(k, TASK_MAKE, &id, s->file);
}

/* --- life ----------------------------------------------------------------------------------------- */

const uint8_t *
skeletons_kept(const struct skeletons *k)
{
	return k != NULL && k->have ? k->id.model_id : NULL;
}

/* What was kept over a restart. Its hash is looked at when it is used, or when the coordinator names one. */
static void
find_kept(struct skeletons *k)
{
	char folder[4096 + 16];
	struct skeleton *x;

	snprintf(folder, sizeof folder, "%s/skeletons", k->serve->state->dir);
	x = skeleton_any(folder);
	if (x == NULL)
		return;
	memcpy(k->id.model_id, skeleton_model_id(x), SHARD_HASH);
	memcpy(k->id.hash, skeleton_hash(x), SHARD_HASH);
	k->id.bytes = skeleton_bytes(x);
	k->have = true;
	skeleton_close(x);
}

struct skeletons *
skeletons_new(struct serve *s)
{
	struct skeletons *k = calloc(1, sizeof *k);

	if (k == NULL)
		return NULL;
	k->serve = s;
	find_kept(k);
	return k;
}

void
skeletons_close(struct skeletons *k)
{
	if (k == NULL || k->closed)
		return;
	k->closed = true;
	hang_up(k, "this device ends");
	job_abandon(k);
}

void
skeletons_free(struct skeletons *k)
{
	free(k);
}
