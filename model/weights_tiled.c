/* The weights of a GGUF file brought into tiles in memory: a shard that no file holds. */
#include "config.h"

#include "model/huge.h"
#include "model/shard_int.h"

#include <inttypes.h>
#include <stdlib.h>

static int
fill_extent(uint8_t *base, const struct gguf *g, const struct shard_header *h, uint32_t i,
	struct err *err)
{
	const struct shard_extent *e = &h->extents[i];

	if (shard_extent_read(g, h, i, 0, base + e->offset, (size_t)e->bytes, err) != 0)
		return -1;
	return gguf_check(g, err);
}

static int
fill(struct fixed_source *fs, const struct gguf *g, const struct shard_header *h,
	shard_progress *progress, void *arg, struct err *err)
{
	uint8_t *base;

	if (h->file_bytes > SIZE_MAX)
		return err_set(err, "the weights are larger than this machine's address space");
	base = huge_map((size_t)h->file_bytes);
	if (base == NULL)
		return err_set(err, "out of memory for %" PRIu64 " MB of weights",
			h->file_bytes / 1000000 + 1);
	fs->memory = base;
	fs->memory_bytes = (size_t)h->file_bytes;
	for (uint32_t i = 0; i < h->n_extents; i++) {
		if (fill_extent(base, g, h, i, err) != 0)
			return -1;
		if (progress != NULL && progress(arg, h->extents[i].offset, h->file_bytes) != 0)
			return err_set(err, "preparing the weights was given up");
	}
	shard_fill_units(fs, h, base);
	return 0;
}

struct weight_source *
weights_tiled_from_gguf(const struct gguf *g, const struct model_shape *s, const struct slice *sl,
	bool with_embed, shard_progress *progress, void *arg, struct err *err)
{
	struct fixed_source *fs = fixed_source_new(s, sl, with_embed, err);
	struct shard_header h;
	int rc;

	if (fs == NULL)
		return NULL;
	rc = shard_header_plan(g, s, sl, &h, err);
	if (rc == 0) {
		rc = fill(fs, g, &h, progress, arg, err);
		shard_header_free(&h);
	}
	if (rc != 0) {
		fs->base.free(&fs->base);
		return NULL;
	}
	if (with_embed)
		fs->embed.t[TENSOR_EMBED] = tensor_view(g, s, sl, TENSOR_EMBED, 0, 0);
	return &fs->base;
}
