/* A model file that is open: read once, held by whoever still needs it. */
#include "daemon/log.h"
#include "daemon/serve_int.h"

#include "model/token_tree.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define LOOK_MS  1000
#define AGAIN_MS 5000 /* until a file that could not be opened is tried again */

static void
name_id(struct model_file *f)
{
	const char *slash = strrchr(f->path, '/');
	const char *name = slash != NULL ? slash + 1 : f->path;
	size_t len = strlen(name);

	if (len > 5 && strcmp(name + len - 5, ".gguf") == 0)
		len -= 5;
	snprintf(f->id, sizeof f->id, "%.*s", (int)len, name);
}

static int
load(struct model_file *f, struct err *err)
{
	struct slice whole;
	struct timespec changed;

	f->gguf = gguf_open(f->path, err);
	if (f->gguf == NULL)
		return -1;
	changed = gguf_changed(f->gguf);
	f->stamp = (uint64_t)changed.tv_sec * 1000000000u + (uint64_t)changed.tv_nsec;
	f->bytes = gguf_file_bytes(f->gguf);
	if (shape_from_gguf(f->gguf, &f->shape, err) != 0)
		return err_prefix(err, "%s: ", f->path);
	f->tokenizer = tokenizer_new(f->gguf, err);
	/* Its tree is for answers that have a form: made later, it would keep the others waiting. */
	if (f->tokenizer == NULL || tokenizer_check_rows(f->tokenizer, f->shape.vocab, err) != 0 ||
		tokenizer_tree(f->tokenizer, err) == NULL)
		return err_prefix(err, "%s: ", f->path);
	f->chat = chat_detect(f->gguf);
	shard_model_id(f->gguf, f->model_id);
	whole = slice_whole(&f->shape);
	if (shard_header_plan(f->gguf, &f->shape, &whole, &f->whole, err) != 0 ||
		gguf_check(f->gguf, err) != 0)
		return err_prefix(err, "%s: ", f->path);
	f->opened = (uint64_t)time(NULL);
	return 0;
}

struct model_file *
model_file_open(const char *path, struct err *err)
{
	struct model_file *f = calloc(1, sizeof *f);

	if (f == NULL) {
		err_set(err, "not enough memory to open a model");
		return NULL;
	}
	f->refs = 1;
	if ((size_t)snprintf(f->path, sizeof f->path, "%s", path) >= sizeof f->path)
		err_set(err, "%.60s...: the path is too long", path);
	else if (path[0] != '/')
		err_set(err, "%s: a path that begins with / is needed", path);
	else if (load(f, err) == 0) {
		name_id(f);
		return f;
	}
	model_file_unref(f);
	return NULL;
}

struct model_file *
model_file_ref(struct model_file *f)
{
	f->refs++;
	return f;
}

void
model_file_unref(struct model_file *f)
{
	if (f == NULL || --f->refs > 0)
		return;
	shard_header_free(&f->whole);
	tokenizer_free(f->tokenizer);
	gguf_close(f->gguf);
	free(f);
}

/* --- what happens to it while it is served ------------------------------------------------------ */

int
model_file_check(const struct model_file *f, struct err *err)
{
	return gguf_check(f->gguf, err) == 0 ? 0 : err_prefix(err, "%s: ", f->path);
}

static void
give_up(struct serve *s, const char *why)
{
	log_warning("%s", why);
	snprintf(s->trouble, sizeof s->trouble, "%s", why);
	serve_end_requests(s, why);
	plan_drop(s, why);
	s->file_stale = true;
	s->file_seen = (struct file_stamp){0};
}

/* Whether the file has stayed the same since it was looked at last. */
static bool
has_settled(struct serve *s)
{
	int fd = open(s->file->path, O_RDONLY | O_CLOEXEC);
	struct file_stamp seen = s->file_seen;
	bool there = fd >= 0 && file_stamp(fd, &s->file_seen) == 0;

	if (fd >= 0)
		close(fd);
	return there && file_stamp_same(&seen, &s->file_seen);
}

static void
open_anew(struct serve *s)
{
	struct model_file *f;
	struct err err;

	if (!has_settled(s))
		return;
	f = model_file_open(s->file->path, &err);
	if (f != NULL) {
		serve_take_file(s, f, s->trouble);
		return;
	}
	if (strcmp(s->trouble, err.msg) != 0)
		log_warning("%s", err.msg);
	snprintf(s->trouble, sizeof s->trouble, "%s", err.msg);
	s->file_look_at = uv_now(s->loop) + AGAIN_MS;
}

bool
serve_file_is_good(struct serve *s)
{
	uint64_t now = uv_now(s->loop);
	struct err err;

	/* Before a plan it is looked at in any case. */
	if (now < s->file_look_at && (s->file_stale || s->plan != NULL))
		return !s->file_stale;
	s->file_look_at = now + LOOK_MS;
	if (s->file_stale)
		open_anew(s);
	else if (model_file_check(s->file, &err) != 0)
		give_up(s, err.msg);
	return !s->file_stale;
}

/* --- its weights -------------------------------------------------------------------------------- */

static uint64_t
unit_bytes(struct weight_source *ws, enum unit_kind kind, uint32_t layer, uint32_t expert)
{
	const struct unit *u = ws->acquire(ws, kind, layer, expert, NULL);
	uint64_t bytes = 0;

	if (u == NULL)
		return 0;
	for (unsigned r = 0; r < TENSOR_ROLES; r++)
		if (u->t[r].data != NULL)
			bytes += (uint64_t)u->t[r].rows *
				 dtype_row_bytes(u->t[r].dtype, u->t[r].cols);
	ws->release(ws, u);
	return bytes;
}

uint64_t
weights_bytes(struct weight_source *ws, const struct model_shape *s, bool with_embed)
{
	struct weights_stats st;
	uint64_t bytes;

	if (ws->stats != NULL) { /* asking for its units would read them all */
		ws->stats(ws, &st);
		return st.bytes + (with_embed && !s->tied ? unit_bytes(ws, UNIT_EMBED, 0, 0) : 0);
	}
	bytes = unit_bytes(ws, UNIT_HEAD, 0, 0);

	if (with_embed && !s->tied)
		bytes += unit_bytes(ws, UNIT_EMBED, 0, 0);
	for (uint32_t layer = 0; layer < s->layers; layer++) {
		bytes += unit_bytes(ws, UNIT_ATTN, layer, 0) + unit_bytes(ws, UNIT_FFN, layer, 0);
		for (uint32_t e = 0; e < s->experts; e++)
			bytes += unit_bytes(ws, UNIT_EXPERT, layer, e);
	}
	return bytes;
}
