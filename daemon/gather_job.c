/* What of gathering takes long: opening what is there, taking pieces off this disk, sealing. */
#include "base/file.h"
#include "daemon/gather_int.h"
#include "daemon/log.h"
#include "model/skeleton.h"
#include "sched/cover.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

struct gather_job { /* on the thread pool */
	uv_work_t req;
	struct gather *gather; /* main thread; NULL: abandoned */
	bool seal;
	uint8_t model_id[SHARD_HASH];
	char dir[4096], path[4096 + SKELETON_NAME + 16], name[SKELETON_NAME];
	struct gather_parts parts;
	uint32_t n_own, n_others; /* slices of this disk, and of those who give */
	struct slice own[SHELF_MAX], others[GATHER_GIVERS * SHELF_MAX];
	atomic_bool stop;
	int result;
	char lacks[256];
	struct err err;
};

void
gather_parts_free(struct gather_parts *p)
{
	restore_free(p->restore);
	skeleton_close(p->skeleton);
	free(p->own_bad);
	free(p->left);
	free(p->pieces.list);
	*p = (struct gather_parts){0};
}

/* --- on the thread pool --------------------------------------------------------------------------- */

static int
open_skeleton(struct gather_job *j)
{
	char folder[4096 + 16], path[4096 + 96];

	snprintf(folder, sizeof folder, "%s/skeletons", j->dir);
	skeleton_path(folder, j->model_id, path, sizeof path);
	skeleton_close(j->parts.skeleton); /* of a try that did not get further */
	j->parts.skeleton = skeleton_open(path, true, &j->err);
	if (j->parts.skeleton == NULL)
		return -1;
	if (memcmp(skeleton_model_id(j->parts.skeleton), j->model_id, SHARD_HASH) != 0)
		return err_set(&j->err, "%s: is of another model", path);
	return 0;
}

static int
open_all(struct gather_job *j)
{
	struct gather_parts *p = &j->parts;
	uint32_t n;

	if (p->restore == NULL &&
		(open_skeleton(j) != 0 || file_mkdirs(j->path, 0700, &j->err) != 0))
		return -1;
	snprintf(j->name, sizeof j->name, "%s", skeleton_name(p->skeleton));
	snprintf(j->path + strlen(j->path), sizeof j->path - strlen(j->path), "/%s", j->name);
	if (p->restore == NULL)
		p->restore = restore_open(p->skeleton, j->path, &j->err);
	if (p->restore == NULL)
		return -1;
	n = restore_chunks(p->restore)->n;
	if (p->own_bad == NULL)
		p->own_bad = calloc((size_t)n + 1, sizeof *p->own_bad);
	if (p->left == NULL)
		p->left = calloc((size_t)n + 1, sizeof *p->left);
	return p->own_bad != NULL && p->left != NULL ? 0 : err_set(&j->err, "out of memory");
}

static int
add_piece(struct pieces *p, const struct chunk *c, uint32_t of)
{
	if (p->n == p->room) {
		uint32_t room = p->room > 0 ? 2 * p->room : 1024;
		struct piece *list = realloc(p->list, room * sizeof *list);

		if (list == NULL)
			return -1;
		p->list = list;
		p->room = room;
	}
	p->list[p->n++] = (struct piece){*c, of, GATHER_GIVERS, false};
	return 0;
}

/* The pieces of a chunk, as this disk has them, and where it has nothing as others do. Of what nobody has
 * there is no piece. */
static int
cut_chunk(struct gather_job *j, uint32_t i)
{
	struct restore *r = j->parts.restore;
	uint32_t lines = restore_lines(r, i), n_own = j->parts.own_bad[i] ? 0 : j->n_own;

	j->parts.left[i] = 0;
	for (uint32_t at = 0, end; at < lines; at = end) {
		struct chunk c;
		uint32_t mine;
		bool there = restore_piece(r, i, at, j->own, n_own, &c, &mine);

		end = mine;
		if (!there) {
			there = restore_piece(r, i, at, j->others, j->n_others, &c, &end);
			end = !there && mine < end ? mine : end;
		}
		if (there && add_piece(&j->parts.pieces, &c, i) != 0)
			return err_set(&j->err, "out of memory for pieces of a model");
		j->parts.left[i]++;
	}
	return 0;
}

static bool
is_own(const struct gather_job *j, const struct chunk *c)
{
	for (uint32_t i = 0; i < j->n_own; i++)
		if (chunk_in_slice(c, skeleton_shape(j->parts.skeleton), &j->own[i]))
			return true;
	return false;
}

/* Takes what this disk has. */
static int
take_own(struct gather_job *j, struct shelf *shelf)
{
	struct gather_parts *p = &j->parts;
	uint8_t *room = malloc(CHUNK_MAX);
	int rc = room != NULL ? 0 : err_set(&j->err, "out of memory");

	for (uint32_t i = 0; rc == 0 && shelf != NULL && i < p->pieces.n; i++) {
		struct piece *x = &p->pieces.list[i];
		struct err ignored;
		uint32_t from = 0;

		if (atomic_load(&j->stop))
			break;
		if (p->own_bad[x->of])
			continue;
		if (shelf_read(shelf, &x->chunk, &from, room, &ignored) != 0) {
			p->own_bad[x->of] = is_own(j, &x->chunk);
			continue;
		}
		rc = restore_put(p->restore, &x->chunk, room, &j->err);
		x->here = rc == 0;
		if (x->here && --p->left[x->of] == 0)
			p->own_bad[x->of] = !restore_check(p->restore, x->of);
	}
	free(room);
	return rc;
}

static void
look_what_lacks(struct gather_job *j)
{
	struct slice all[GATHER_SLICES];
	uint32_t n = j->n_own;

	memcpy(all, j->own, j->n_own * sizeof *all);
	for (uint32_t i = 0; i < j->n_others; i++)
		all[n++] = j->others[i];
	cover_words(skeleton_shape(j->parts.skeleton), all, n, j->lacks, sizeof j->lacks);
}

static int
prepare(struct gather_job *j)
{
	char folder[4096 + 16];
	struct shelf *shelf;
	int rc = 0;

	if (open_all(j) != 0)
		return -1;
	snprintf(folder, sizeof folder, "%s/shards", j->dir);
	shelf = shelf_open(folder, j->model_id, false, NULL);
	while (shelf != NULL && j->n_own < shelf_size(shelf)) {
		j->own[j->n_own] = *shelf_slice(shelf, j->n_own);
		j->n_own++;
	}
	for (uint32_t i = 0; rc == 0 && i < restore_chunks(j->parts.restore)->n; i++)
		if (!restore_has(j->parts.restore, i))
			rc = cut_chunk(j, i);
	if (rc == 0)
		rc = take_own(j, shelf);
	shelf_close(shelf);
	look_what_lacks(j);
	return rc;
}

static void
work(uv_work_t *req)
{
	struct gather_job *j = req->data;

	if (!j->seal) {
		j->result = prepare(j);
		return;
	}
	snprintf(j->path + strlen(j->path), sizeof j->path - strlen(j->path), "/%s",
		skeleton_name(j->parts.skeleton));
	j->result = restore_finish(j->parts.restore, &j->err);
}

/* --- main thread ---------------------------------------------------------------------------------- */

static void
after_work(uv_work_t *req, int status)
{
	struct gather_job *j = req->data;
	struct gather *g = j->gather;

	(void)status;
	if (g == NULL) {
		gather_parts_free(&j->parts);
		free(j);
		return;
	}
	g->job = NULL;
	g->parts = j->parts;
	if (j->seal)
		gather_sealed(g, j->result, j->path, &j->err);
	else
		gather_prepared(g, j->result == 0 ? NULL : &j->err, j->lacks, j->name);
	free(j);
}

static int
job_start(struct gather *g, bool seal)
{
	struct gather_job *j = calloc(1, sizeof *j);

	if (j == NULL)
		return -1;
	j->req.data = j;
	j->gather = g;
	j->seal = seal;
	memcpy(j->model_id, g->model_id, sizeof j->model_id);
	snprintf(j->dir, sizeof j->dir, "%s", g->serve->state->dir);
	snprintf(j->path, sizeof j->path, "%s/gathered", g->serve->state->dir);
	for (uint32_t i = 0; i < GATHER_GIVERS; i++)
		for (uint32_t k = 0; g->givers[i].link != NULL && k < g->givers[i].n_slices; k++)
			j->others[j->n_others++] = g->givers[i].slices[k];
	g->parts.pieces.n = 0;
	j->parts = g->parts;
	if (uv_queue_work(g->serve->loop, &j->req, work, after_work) != 0) {
		free(j);
		return -1;
	}
	g->parts = (struct gather_parts){0};
	g->job = j;
	return 0;
}

int
gather_job_prepare(struct gather *g)
{
	return job_start(g, false);
}

int
gather_job_seal(struct gather *g)
{
	return job_start(g, true);
}

void
gather_job_abandon(struct gather *g)
{
	if (g->job == NULL)
		return;
	g->job->gather = NULL;
	atomic_store(&g->job->stop, true);
	g->job = NULL;
}
