/* A chunk's bytes, out of a model file or out of a shard. */
#include "model/chunk_int.h"

#include <inttypes.h>
#include <stdlib.h>

/* --- out of rows -------------------------------------------------------------------------------- */

/* Rows of blocks, from the chunk's first row and column on. */
static void
pack_rows(const struct chunk *c, const uint8_t *rows, size_t stride, uint8_t *room, uint8_t *out)
{
	for (uint32_t i = 0; i < c->rows; i += TILE_ROWS) {
		uint32_t n = c->rows - i < TILE_ROWS ? c->rows - i : TILE_ROWS;

		tile_pack(c->dtype, c->cols, rows + i * stride, stride, n, room);
		chunk_out_of_group(c, c->col0, c->cols, room, out);
		out += chunk_group_bytes(c);
	}
}

static int
vector_from_gguf(const struct gguf_tensor *t, const struct chunk *c, uint8_t *out, struct err *err)
{
	size_t cols = (size_t)t->dims[0];
	float *wide = malloc(cols * sizeof *wide);

	if (wide == NULL)
		return err_set(err, "out of memory");
	dequantize(t->dtype, t->data, wide, cols);
	memcpy(out, wide + c->col0, c->cols * sizeof *wide);
	free(wide);
	return 0;
}

int
chunk_from_gguf(const struct gguf *g, const struct model_shape *s, const struct chunk *c,
	uint8_t *out, struct err *err)
{
	enum tensor_role r = (enum tensor_role)c->role;
	const struct gguf_tensor *t = tensor_find(g, s, r, c->layer, c->expert, NULL);
	const uint8_t *data;
	uint64_t bytes;
	size_t stride;
	uint8_t *room;

	if (t == NULL || (!tensor_is_vector(r) && t->dtype != c->dtype))
		return err_set(err, "the model has no such %s of layer %" PRIu32,
			tensor_role_name(r), c->layer);
	if (tensor_is_vector(r))
		return vector_from_gguf(t, c, out, err);
	room = malloc(tile_group_bytes(c->dtype, c->cols));
	if (room == NULL)
		return err_set(err, "out of memory for a row group");
	stride = dtype_row_bytes(t->dtype, (size_t)t->dims[0]);
	data = tensor_part(t, c->expert, &bytes) + c->row0 * stride;
	pack_rows(c, data + dtype_row_bytes(c->dtype, c->col0), stride, room, out);
	gguf_forget(g, data, c->rows * stride);
	free(room);
	return 0;
}

/* --- out of tiles ------------------------------------------------------------------------------- */

struct tiles { /* of an extent */
	struct tensor_cut cut;
	const uint8_t *data;
	size_t group;         /* bytes */
	uint8_t *rows, *room; /* for groups that must be packed anew; NULL: not needed yet */
};

/* Whether n rows from `row` on (of the extent) are a row group of its. */
static bool
is_group(const struct tiles *t, uint32_t row, uint32_t n)
{
	uint32_t left = t->cut.rows - row;

	return row % TILE_ROWS == 0 && n == (left < TILE_ROWS ? left : TILE_ROWS);
}

/* Rows that lie in two groups, or are a part of one. */
static int
repack(struct tiles *t, const struct chunk *c, uint32_t row, uint32_t n, uint8_t *out)
{
	size_t stride = dtype_row_bytes(c->dtype, t->cut.cols);
	uint32_t first = row / TILE_ROWS, skip = row % TILE_ROWS;

	if (t->rows == NULL) {
		t->rows = malloc(2 * TILE_ROWS * stride);
		t->room = malloc(tile_group_bytes(c->dtype, c->cols));
	}
	if (t->rows == NULL || t->room == NULL)
		return -1;
	for (uint32_t i = 0; i * TILE_ROWS < skip + n; i++) {
		uint32_t left = t->cut.rows - (first + i) * TILE_ROWS;

		tile_unpack(c->dtype, t->cut.cols, t->data + (first + i) * t->group,
			left < TILE_ROWS ? left : TILE_ROWS, t->rows + i * TILE_ROWS * stride,
			stride);
	}
	tile_pack(c->dtype, c->cols,
		t->rows + skip * stride + dtype_row_bytes(c->dtype, c->col0 - t->cut.col0), stride,
		n, t->room);
	chunk_out_of_group(c, c->col0, c->cols, t->room, out);
	return 0;
}

static int
from_tiles(struct tiles *t, const struct chunk *c, uint8_t *out, struct err *err)
{
	uint32_t row = c->row0 - t->cut.row0;

	for (uint32_t i = 0; i < c->rows; i += TILE_ROWS, row += TILE_ROWS) {
		uint32_t n = c->rows - i < TILE_ROWS ? c->rows - i : TILE_ROWS;

		if (is_group(t, row, n))
			chunk_out_of_group(c, t->cut.col0, t->cut.cols,
				t->data + row / TILE_ROWS * t->group, out);
		else if (repack(t, c, row, n, out) != 0)
			return err_set(err, "out of memory for a row group");
		out += chunk_group_bytes(c);
	}
	return 0;
}

static const struct shard_extent *
find_extent(const struct shard_header *h, const struct chunk *c)
{
	bool any = tensor_of_all_layers((enum tensor_role)c->role);

	for (uint32_t i = 0; i < h->n_extents; i++) {
		const struct shard_extent *e = &h->extents[i];

		if (e->role == c->role && e->expert == c->expert && e->dtype == c->dtype &&
			(any || e->layer == c->layer))
			return e;
	}
	return NULL;
}

int
chunk_from_shard(const struct shard *shard, const struct chunk *c, uint8_t *out, struct err *err)
{
	const struct shard_header *h = shard_header(shard);
	const struct shard_extent *e = find_extent(h, c);
	struct tiles t = {0};
	int rc = 0;

	if (e == NULL || !chunk_in_slice(c, &h->shape, &h->slice))
		return err_set(err, "%s: has no such rows of %s of layer %" PRIu32,
			shard_path(shard), tensor_role_name((enum tensor_role)c->role), c->layer);
	t.cut = tensor_cut(&h->shape, &h->slice, (enum tensor_role)e->role);
	t.data = shard_data(shard) + e->offset;
	t.group = shard_group_bytes(e);
	if (tensor_is_vector((enum tensor_role)e->role))
		memcpy(out, t.data + 4 * (size_t)(c->col0 - t.cut.col0), 4 * (size_t)c->cols);
	else
		rc = from_tiles(&t, c, out, err);
	free(t.rows);
	free(t.room);
	return rc;
}
