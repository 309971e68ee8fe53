/* A model file that is open: read once, held by whoever still needs it. */
#include "daemon/serve_int.h"

#include "model/token_tree.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

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
	struct stat st;

	if (stat(f->path, &st) != 0)
		return err_errno(err, errno, "%s: cannot open", f->path);
	f->stamp = (uint64_t)st.st_mtim.tv_sec * 1000000000u + (uint64_t)st.st_mtim.tv_nsec;
	f->gguf = gguf_open(f->path, err);
	if (f->gguf == NULL)
		return -1;
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
	if (shard_header_plan(f->gguf, &f->shape, &whole, &f->whole, err) != 0)
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
