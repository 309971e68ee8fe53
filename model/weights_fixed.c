#include "model/weights_fixed.h"

#include "model/huge.h"

#include <inttypes.h>
#include <stdlib.h>

struct unit *
fixed_source_unit(struct fixed_source *fs, enum unit_kind kind, uint32_t layer, uint32_t expert)
{
	uint32_t at = layer - fs->layer0; /* out of range also when it lies before */

	switch (kind) {
	case UNIT_EMBED:
		return fs->with_embed ? &fs->embed : NULL;
	case UNIT_HEAD:
		return &fs->head;
	case UNIT_ATTN:
		return at < fs->layers ? &fs->attn[at] : NULL;
	case UNIT_FFN:
		return at < fs->layers ? &fs->ffn[at] : NULL;
	case UNIT_EXPERT:
		return at < fs->layers && expert < fs->experts
			       ? &fs->expert[(size_t)at * fs->experts + expert]
			       : NULL;
	default:
		return NULL;
	}
}

static const struct unit *
fixed_acquire(struct weight_source *ws, enum unit_kind kind, uint32_t layer, uint32_t expert,
	struct err *err)
{
	const struct unit *u = fixed_source_unit((struct fixed_source *)ws, kind, layer, expert);

	if (u == NULL)
		err_set(err,
			"these weights have no unit of kind %d for layer %" PRIu32
			" and expert %" PRIu32,
			(int)kind, layer, expert);
	return u;
}

static void
fixed_release(struct weight_source *ws, const struct unit *u)
{
	const struct fixed_source *fs = (const struct fixed_source *)ws;
	const struct matrix *m = &u->t[TENSOR_EMBED];

	if (u == &fs->embed && fs->embed_of != NULL)
		gguf_forget(fs->embed_of, m->data, (uint64_t)m->rows * m->stride);
}

static void
fixed_free(struct weight_source *ws)
{
	struct fixed_source *fs = (struct fixed_source *)ws;

	if (fs == NULL)
		return;
	free(fs->attn);
	free(fs->ffn);
	free(fs->expert);
	free(fs->widened);
	huge_unmap(fs->memory, fs->memory_bytes);
	free(fs);
}

struct fixed_source *
fixed_source_new(
	const struct model_shape *s, const struct slice *sl, bool with_embed, struct err *err)
{
	struct fixed_source *fs = calloc(1, sizeof *fs);

	if (fs != NULL) {
		fs->base = (struct weight_source){
			fixed_acquire, fixed_release, fixed_free, NULL, UINT32_MAX};
		fs->layer0 = sl->layer0;
		fs->layers = sl->layers;
		fs->experts = s->experts;
		fs->with_embed = with_embed;
		fs->attn = calloc(sl->layers, sizeof *fs->attn);
		fs->ffn = calloc(sl->layers, sizeof *fs->ffn);
		fs->expert = calloc((size_t)sl->layers * s->experts + 1, sizeof *fs->expert);
	}
	if (fs == NULL || fs->attn == NULL || fs->ffn == NULL || fs->expert == NULL) {
		fixed_free((struct weight_source *)fs);
		err_set(err, "out of memory for the tables of %" PRIu32 " layers", sl->layers);
		return NULL;
	}
	return fs;
}
