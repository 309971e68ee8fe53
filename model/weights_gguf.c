/* Weights straight from a mapped GGUF file. */
#include "model/tensors.h"
#include "model/weights_fixed.h"

#include <stdlib.h>

struct fill {
	const struct gguf *g;
	const struct model_shape *s;
	const struct slice *sl;
	float *room;   /* NULL: only count */
	size_t floats; /* used of it */
};

/* Puts a vector that is not float32 into `room` as float32. */
static void
widen(struct fill *f, struct matrix *m)
{
	float *to = f->room + f->floats;

	if (f->room != NULL) {
		dequantize(m->dtype, m->data, to, m->cols);
		m->data = (const uint8_t *)to;
		m->stride = m->cols * sizeof *to;
		m->dtype = DTYPE_F32;
	}
	f->floats += m->cols;
}

static void
fill_unit(struct fill *f, struct fixed_source *fs, enum unit_kind kind, uint32_t layer,
	uint32_t expert)
{
	struct unit *u = fixed_source_unit(fs, kind, layer, expert);

	for (const enum tensor_role *r = unit_roles(kind); *r != TENSOR_ROLES; r++) {
		struct matrix m = tensor_view(f->g, f->s, f->sl, *r, layer, expert);

		if (m.data != NULL && tensor_is_vector(*r) && m.dtype != DTYPE_F32)
			widen(f, &m);
		u->t[*r] = m;
	}
}

static void
fill_all(struct fill *f, struct fixed_source *fs)
{
	f->floats = 0;
	if (fs->with_embed)
		fill_unit(f, fs, UNIT_EMBED, 0, 0);
	for (uint32_t i = fs->layer0; i < fs->layer0 + fs->layers; i++) {
		fill_unit(f, fs, UNIT_ATTN, i, 0);
		fill_unit(f, fs, UNIT_FFN, i, 0);
		for (uint32_t e = 0; e < fs->experts; e++)
			fill_unit(f, fs, UNIT_EXPERT, i, e);
	}
	fill_unit(f, fs, UNIT_HEAD, 0, 0);
}

struct weight_source *
weights_from_gguf(const struct gguf *g, const struct model_shape *s, const struct slice *sl,
	bool with_embed, struct err *err)
{
	struct fixed_source *fs = fixed_source_new(s, sl, with_embed, err);
	struct fill f = {.g = g, .s = s, .sl = sl};

	if (fs == NULL)
		return NULL;
	fill_all(&f, fs);
	if (f.floats > 0) {
		f.room = fs->widened = malloc(f.floats * sizeof *f.room);
		if (f.room == NULL) {
			err_set(err, "out of memory for %zu weights of norms", f.floats);
			fs->base.free(&fs->base);
			return NULL;
		}
		fill_all(&f, fs);
	}
	if (gguf_check(g, err) != 0) {
		fs->base.free(&fs->base);
		return NULL;
	}
	return &fs->base;
}
