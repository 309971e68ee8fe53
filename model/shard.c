/* A whole shard, mapped. */
#include "model/shard.h"

#include "base/file.h"
#include "model/weights_fixed.h"

#include <sodium.h>
#include <stdlib.h>

struct shard {
	struct mapped file;
	struct shard_header h;
};

static int
check_hashes(const struct shard *s, const char *path, struct err *err)
{
	uint8_t hash[SHARD_HASH];

	for (uint32_t i = 0; i < s->h.n_extents; i++) {
		const struct shard_extent *e = &s->h.extents[i];

		crypto_generichash(hash, sizeof hash, s->file.data + e->offset, e->bytes, NULL, 0);
		if (memcmp(hash, e->hash, SHARD_HASH) != 0)
			return err_set(err,
				"%s: extent %u (%s of layer %u) at byte %llu is damaged", path, i,
				tensor_role_name((enum tensor_role)e->role), e->layer,
				(unsigned long long)e->offset);
	}
	return 0;
}

struct shard *
shard_open(const char *path, bool check, struct err *err)
{
	struct shard *s = calloc(1, sizeof *s);

	if (s == NULL) {
		err_set(err, "out of memory");
		return NULL;
	}
	if (file_map(path, &s->file, err) != 0) {
		free(s);
		return NULL;
	}
	if (shard_header_parse(s->file.data, s->file.len, &s->h, err) != 0) {
		err_prefix(err, "%s: ", path);
	} else if (s->h.file_bytes != s->file.len) {
		err_set(err, "%s: is %zu bytes long, its header says %llu", path, s->file.len,
			(unsigned long long)s->h.file_bytes);
	} else if (!check || check_hashes(s, path, err) == 0) {
		return s;
	}
	shard_close(s);
	return NULL;
}

void
shard_close(struct shard *s)
{
	if (s == NULL)
		return;
	shard_header_free(&s->h);
	file_unmap(&s->file);
	free(s);
}

const struct shard_header *
shard_header(const struct shard *s)
{
	return &s->h;
}

struct weight_source *
weights_from_shard(struct shard *s, struct err *err)
{
	struct fixed_source *fs = fixed_source_new(s->h.shape.layers, false, err);

	if (fs == NULL)
		return NULL;
	for (uint32_t i = 0; i < s->h.n_extents; i++) {
		const struct shard_extent *e = &s->h.extents[i];
		enum unit_kind kind = e->role < TENSOR_FFN_NORM ? UNIT_ATTN
				      : e->role <= TENSOR_DOWN  ? UNIT_FFN
								: UNIT_HEAD;

		if (e->role == TENSOR_ROPE_FREQS)
			kind = UNIT_ATTN;
		fixed_source_unit(fs, kind, e->layer)->t[e->role] =
			(struct matrix){e->dtype, e->rows, e->cols,
				dtype_row_bytes(e->dtype, e->cols), s->file.data + e->offset};
	}
	return &fs->base;
}
