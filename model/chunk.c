/* Which chunks a shard has. */
#include "model/chunk_int.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define MAGIC   "SHOALCHK"
#define VERSION 1
#define PARTS   4096 /* into which a model is cut, about */

uint32_t
chunk_size(uint64_t model_bytes)
{
	uint32_t size = CHUNK_SIZE_MIN;

	while (size < CHUNK_SIZE_MAX && size < model_bytes / PARTS)
		size *= 2;
	return size;
}

void
chunk_hash(const void *data, size_t len, uint8_t hash[SHARD_HASH])
{
	crypto_generichash(hash, SHARD_HASH, data, len, NULL, 0);
}

/* --- one chunk ---------------------------------------------------------------------------------- */

static uint64_t
cell_bytes(uint32_t dtype) /* of a block of a row group */
{
	return (uint64_t)tile_head_bytes(dtype) + tile_body_bytes(dtype);
}

static uint64_t
groups_of(uint32_t rows)
{
	return ((uint64_t)rows + TILE_ROWS - 1) / TILE_ROWS;
}

uint32_t
chunk_bytes(const struct chunk *c)
{
	uint64_t cells;

	if (c->role >= TENSOR_ROLES || c->rows == 0 || c->cols == 0 || !dtype_computed(c->dtype))
		return 0;
	if (tensor_is_vector((enum tensor_role)c->role))
		return c->dtype == DTYPE_F32 && c->rows == 1 && c->cols <= CHUNK_MAX / 4
			       ? 4 * c->cols
			       : 0;
	cells = groups_of(c->rows) * (c->cols / dtype_info(c->dtype)->block);
	if (cells > CHUNK_MAX || cells * cell_bytes(c->dtype) > CHUNK_MAX)
		return 0;
	return (uint32_t)(cells * cell_bytes(c->dtype));
}

static bool
within(uint32_t from, uint32_t n, uint32_t first, uint32_t size)
{
	return from >= first && from - first <= size && n <= size - (from - first);
}

int
chunk_check(const struct chunk *c, const struct model_shape *s, struct err *err)
{
	uint32_t rows, cols;

	if (c->role >= TENSOR_ROLES || c->role == TENSOR_EMBED || chunk_bytes(c) == 0 ||
		c->layer >= s->layers || c->expert >= (s->experts > 0 ? s->experts : 1))
		return err_set(err, "there is no chunk of tensor %" PRIu32 " of layer %" PRIu32,
			c->role, c->layer);
	tensor_dims(s, (enum tensor_role)c->role, &rows, &cols);
	if (!within(c->row0, c->rows, 0, rows) || !within(c->col0, c->cols, 0, cols) ||
		c->col0 % dtype_info(c->dtype)->block != 0 ||
		c->cols % dtype_info(c->dtype)->block != 0)
		return err_set(err,
			"%s has no rows %" PRIu32 "+%" PRIu32 ", columns %" PRIu32 "+%" PRIu32,
			tensor_role_name((enum tensor_role)c->role), c->row0, c->rows, c->col0,
			c->cols);
	return 0;
}

bool
chunk_in_slice(const struct chunk *c, const struct model_shape *s, const struct slice *sl)
{
	enum tensor_role r = (enum tensor_role)c->role;
	struct tensor_cut cut = tensor_cut(s, sl, r);

	if (shard_unit_kind(c->role) != UNIT_HEAD && !tensor_of_all_layers(r) &&
		!within(c->layer, 1, sl->layer0, sl->layers))
		return false;
	return within(c->row0, c->rows, cut.row0, cut.rows) &&
	       within(c->col0, c->cols, cut.col0, cut.cols);
}

/* --- of one row group --- */

size_t
chunk_group_bytes(const struct chunk *c)
{
	return (size_t)(c->cols / dtype_info(c->dtype)->block * cell_bytes(c->dtype));
}

/* Of each section that the chunk reaches first the heads, then the bodies. */
bool
chunk_piece(const struct chunk *c, uint32_t col0, uint32_t cols, uint32_t i, struct chunk_piece *p)
{
	uint32_t block = dtype_info(c->dtype)->block, in_section = TILE_SECTION / block;
	uint32_t first = (c->col0 - col0) / block, n = c->cols / block, b = first;
	size_t head = tile_head_bytes(c->dtype), body = tile_body_bytes(c->dtype);
	struct tile_span s;

	if (i / 2 > 0)
		b = (first / in_section + i / 2) * in_section;
	if (b >= first + n)
		return false;
	s = tile_span(c->dtype, cols, b, first + n - b);
	b -= first;
	if (i % 2 == 0)
		*p = (struct chunk_piece){s.head_at, b * head, s.n * head};
	else
		*p = (struct chunk_piece){s.body_at, n * head + b * body, s.n * body};
	return true;
}

void
chunk_out_of_group(
	const struct chunk *c, uint32_t col0, uint32_t cols, const uint8_t *group, uint8_t *bytes)
{
	struct chunk_piece p;

	for (uint32_t i = 0; chunk_piece(c, col0, cols, i, &p); i++)
		memcpy(bytes + p.from, group + p.at, p.len);
}

void
chunk_into_group(
	const struct chunk *c, uint32_t col0, uint32_t cols, const uint8_t *bytes, uint8_t *group)
{
	struct chunk_piece p;

	for (uint32_t i = 0; chunk_piece(c, col0, cols, i, &p); i++)
		memcpy(group + p.at, bytes + p.from, p.len);
}

/* --- where chunks end --------------------------------------------------------------------------- */

/* The largest power of two that is no more than n; 1 for 0. */
static uint64_t
power_below(uint64_t n)
{
	uint64_t p = 1;

	while (p <= n / 2)
		p *= 2;
	return p;
}

struct grid { /* of an extent: how many rows and columns a chunk has at most */
	struct tensor_cut cut;
	uint32_t rows, cols;
	uint32_t row_from; /* rows count from here */
	uint64_t n_rows, n_cols;
};

static uint64_t
steps(uint32_t from, uint32_t n, uint32_t step)
{
	return ((uint64_t)from + n - 1) / step - from / step + 1;
}

/* As many lines as fit into n cells, and of a line that does not fit a part. */
static void
fit(uint64_t n, uint64_t *lines, uint64_t *line)
{
	if (*line > n)
		*line = power_below(n);
	*lines = power_below(n / *line);
}

/* Runs of row groups as wide as the tensor, or bands of columns as high as it; of those only parts
 * where even one is larger than `size`. */
static void
size_chunks(struct grid *g, const struct shard_extent *e, uint32_t size)
{
	uint64_t block = dtype_info(e->dtype)->block, n = size / cell_bytes(e->dtype);
	uint64_t blocks = g->cols / block, groups = groups_of(g->rows);

	if (tensor_is_cut_by_columns((enum tensor_role)e->role))
		fit(n, &blocks, &groups);
	else
		fit(n, &groups, &blocks);
	if (blocks * block < g->cols)
		g->cols = (uint32_t)(blocks * block);
	if (groups * TILE_ROWS < g->rows)
		g->rows = (uint32_t)(groups * TILE_ROWS);
}

static struct grid
grid_of(const struct shard_header *h, const struct shard_extent *e, uint32_t size)
{
	enum tensor_role r = (enum tensor_role)e->role;
	struct grid g = {.cut = tensor_cut(&h->shape, &h->slice, r)};

	tensor_dims(&h->shape, r, &g.rows, &g.cols);
	if (!tensor_is_vector(r))
		size_chunks(&g, e, size);
	g.row_from = g.cut.row0 % TILE_ROWS;
	g.n_rows = steps(g.cut.row0 - g.row_from, g.cut.rows, g.rows);
	g.n_cols = steps(g.cut.col0, g.cut.cols, g.cols);
	return g;
}

static uint32_t
next_end(uint32_t at, uint32_t step, uint32_t end)
{
	uint64_t next = ((uint64_t)at / step + 1) * step;

	return next < end ? (uint32_t)next : end;
}

static void
add_chunks(struct chunk_list *l, const struct shard_extent *e, const struct grid *g)
{
	uint32_t shift = g->row_from, bottom = g->cut.row0 - shift + g->cut.rows,
		 right = g->cut.col0 + g->cut.cols;

	for (uint32_t r = g->cut.row0 - shift, r1; r < bottom; r = r1) {
		r1 = next_end(r, g->rows, bottom);
		for (uint32_t c = g->cut.col0, c1; c < right; c = c1) {
			c1 = next_end(c, g->cols, right);
			l->chunks[l->n++] = (struct chunk){e->role, e->layer, e->expert, e->dtype,
				r + shift, r1 - r, c, c1 - c};
		}
	}
}

int
chunk_list_plan(const struct shard_header *h, uint32_t size, struct chunk_list *l, struct err *err)
{
	uint64_t n = 0;

	*l = (struct chunk_list){.size = size};
	for (uint32_t i = 0; i < h->n_extents && n <= CHUNK_LIST_MAX; i++) {
		struct grid g = grid_of(h, &h->extents[i], size);

		if (g.n_rows > CHUNK_LIST_MAX || g.n_cols > CHUNK_LIST_MAX)
			n = CHUNK_LIST_MAX;
		n += g.n_rows * g.n_cols;
	}
	if (n > CHUNK_LIST_MAX)
		return err_set(err, "a slice of more than %d chunks of %" PRIu32 " bytes",
			CHUNK_LIST_MAX, size);
	l->chunks = calloc(n + 1, sizeof *l->chunks);
	l->hashes = calloc(n + 1, sizeof *l->hashes);
	l->first = calloc((size_t)h->n_extents + 1, sizeof *l->first);
	if (l->chunks == NULL || l->hashes == NULL || l->first == NULL) {
		chunk_list_free(l);
		return err_set(err, "out of memory for %" PRIu64 " chunks", n);
	}
	for (uint32_t i = 0; i < h->n_extents; i++) {
		struct grid g = grid_of(h, &h->extents[i], size);

		l->first[i] = l->n;
		add_chunks(l, &h->extents[i], &g);
	}
	l->first[h->n_extents] = l->n;
	for (uint32_t i = 0; i < l->n; i++)
		if (chunk_bytes(&l->chunks[i]) == 0) {
			chunk_list_free(l);
			return err_set(
				err, "a slice with a chunk of more than %u bytes", CHUNK_MAX);
		}
	return 0;
}

void
chunk_list_free(struct chunk_list *l)
{
	free(l->chunks);
	free(l->first);
	free(l->hashes);
	*l = (struct chunk_list){0};
}

/* --- as bytes ----------------------------------------------------------------------------------- */

int
chunk_list_write(const struct chunk_list *l, struct buf *b)
{
	size_t begin = b->len;
	uint8_t hash[SHARD_HASH];

	buf_append(b, MAGIC, 8);
	buf_u32(b, VERSION);
	buf_u32(b, l->size);
	buf_u32(b, l->n);
	for (uint32_t i = 0; i < l->n; i++)
		buf_append(b, l->hashes[i], SHARD_HASH);
	if (b->failed)
		return -1;
	chunk_hash(b->data + begin, b->len - begin, hash);
	return buf_append(b, hash, sizeof hash);
}

/* What stands in front of the hashes, and the hash behind them. */
static int
check_frame(struct rd *r, uint32_t *size, uint32_t *n, struct err *err)
{
	const uint8_t *magic = rd_bytes(r, 8);
	uint32_t version = rd_u32(r);
	uint8_t hash[SHARD_HASH];

	*size = rd_u32(r);
	*n = rd_u32(r);
	if (r->failed || memcmp(magic, MAGIC, 8) != 0 || version != VERSION)
		return err_set(err, "this is no list of chunks of version %d", VERSION);
	if (*size < CHUNK_SIZE_MIN || *size > CHUNK_SIZE_MAX || (*size & (*size - 1)) != 0)
		return err_set(err, "a list of chunks that are cut to %" PRIu32 " bytes", *size);
	if (rd_left(r) != ((uint64_t)*n + 1) * SHARD_HASH)
		return err_set(err, "the list of chunks does not have %" PRIu32, *n);
	chunk_hash(r->data, r->len - SHARD_HASH, hash);
	if (sodium_memcmp(hash, r->data + r->len - SHARD_HASH, SHARD_HASH) != 0)
		return err_set(err, "the list of chunks was damaged: its hash is wrong");
	return 0;
}

int
chunk_list_parse(const void *data, size_t len, const struct shard_header *h, struct chunk_list *l,
	struct err *err)
{
	struct rd r = rd_init(data, len);
	uint32_t size, n;

	*l = (struct chunk_list){0};
	if (check_frame(&r, &size, &n, err) != 0 || chunk_list_plan(h, size, l, err) != 0)
		return -1;
	if (l->n != n) {
		err_set(err, "a list of %" PRIu32 " chunks for a slice of %" PRIu32, n, l->n);
		chunk_list_free(l);
		return -1;
	}
	memcpy(l->hashes, (const uint8_t *)data + r.pos, (size_t)n * SHARD_HASH);
	return 0;
}
