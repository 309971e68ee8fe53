/* What is in a shard and where: the order of use, and what lies at which byte. */
#include "model/shard_int.h"

#include <stdlib.h>

struct shard_place
shard_first_place(const struct slice *sl)
{
	return (struct shard_place){UNIT_ATTN, sl->layer0, 0, unit_roles(UNIT_ATTN)};
}

bool
shard_settle(struct shard_place *p, const struct model_shape *s, const struct slice *sl)
{
	while (*p->role == TENSOR_ROLES) {
		if (p->kind == UNIT_HEAD)
			return false;
		if (p->kind == UNIT_ATTN) {
			p->kind = UNIT_FFN;
		} else if (p->kind == UNIT_FFN && s->experts > 0) {
			p->kind = UNIT_EXPERT;
		} else if (p->kind == UNIT_EXPERT && p->expert + 1 < s->experts) {
			p->expert++;
		} else if (p->layer + 1 < sl->layer0 + sl->layers) {
			p->kind = UNIT_ATTN;
			p->layer++;
			p->expert = 0;
		} else {
			p->kind = UNIT_HEAD;
			p->layer = p->expert = 0;
		}
		p->role = unit_roles(p->kind);
	}
	return true;
}

uint64_t
shard_align_up(uint64_t n)
{
	return (n + SHARD_ALIGN - 1) / SHARD_ALIGN * SHARD_ALIGN;
}

size_t
shard_header_bytes(const struct shard_header *h)
{
	struct buf b;
	size_t n;

	buf_init(&b, 0);
	shape_write(&h->shape, &b);
	slice_write(&h->slice, &b);
	n = 8 + 4 + 4 + 4 + SHARD_HASH + 4 + b.len + (size_t)h->n_extents * SHARD_EXTENT_BYTES +
	    SHARD_HASH;
	buf_free(&b);
	return n;
}

uint64_t
shard_extent_bytes(enum tensor_role role, uint32_t dtype, uint32_t rows, uint32_t cols)
{
	if (tensor_is_vector(role))
		return dtype == DTYPE_F32 && rows == 1 ? (uint64_t)cols * 4 : 0;
	if (!dtype_computed(dtype) || rows == 0)
		return 0;
	return (uint64_t)((rows - 1) / TILE_ROWS + 1) * tile_group_bytes(dtype, cols);
}

size_t
shard_group_bytes(const struct shard_extent *e)
{
	if (tensor_is_vector((enum tensor_role)e->role))
		return (size_t)e->bytes;
	return tile_group_bytes(e->dtype, e->cols);
}

size_t
shard_extent_step(const struct shard_extent *e, size_t chunk)
{
	size_t group = shard_group_bytes(e);

	return group < chunk ? chunk / group * group : group;
}

static void
add_extent(struct shard_header *h, const struct gguf *g, const struct shard_place *p)
{
	struct matrix m = tensor_view(g, &h->shape, &h->slice, *p->role, p->layer, p->expert);
	struct shard_extent *e = &h->extents[h->n_extents];

	if (m.data == NULL || m.rows == 0 || m.cols == 0)
		return;
	*e = (struct shard_extent){.role = *p->role,
		.layer = p->layer,
		.expert = p->expert,
		.rows = m.rows,
		.cols = m.cols};
	e->dtype = tensor_is_vector(*p->role) ? (uint32_t)DTYPE_F32 : m.dtype;
	e->bytes = shard_extent_bytes(*p->role, e->dtype, e->rows, e->cols);
	h->n_extents++;
}

static void
place_extents(struct shard_header *h)
{
	uint64_t at = shard_align_up(shard_header_bytes(h));

	for (uint32_t i = 0; i < h->n_extents; i++) {
		h->extents[i].offset = at;
		at = shard_align_up(at + h->extents[i].bytes);
	}
	h->file_bytes = at;
}

int
shard_header_plan(const struct gguf *g, const struct model_shape *s, const struct slice *sl,
	struct shard_header *h, struct err *err)
{
	size_t n = 1;

	*h = (struct shard_header){.layout = LAYOUT_TILES, .shape = *s, .slice = *sl};
	for (struct shard_place p = shard_first_place(sl); shard_settle(&p, s, sl); p.role++)
		n++;
	h->extents = calloc(n, sizeof *h->extents);
	if (h->extents == NULL)
		return err_set(err, "out of memory for the table of %u layers", s->layers);
	shard_model_id(g, h->model_id);
	for (struct shard_place p = shard_first_place(sl); shard_settle(&p, s, sl); p.role++)
		add_extent(h, g, &p);
	place_extents(h);
	return 0;
}

void
shard_header_free(struct shard_header *h)
{
	free(h->extents);
	*h = (struct shard_header){0};
}
