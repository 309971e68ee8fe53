#include "model/shelf.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

struct shelf {
	uint8_t model_id[SHARD_HASH];
	uint32_t n;
	struct shard *shards[SHELF_MAX];
};

static bool
ends_with(const char *name, const char *end)
{
	size_t len = strlen(name), n = strlen(end);

	return len > n && strcmp(name + len - n, end) == 0;
}

static void
take(struct shelf *s, const char *path)
{
	struct shard *shard = shard_open(path, false, NULL);

	if (shard == NULL)
		return;
	if (memcmp(shard_header(shard)->model_id, s->model_id, SHARD_HASH) == 0)
		s->shards[s->n++] = shard;
	else
		shard_close(shard);
}

struct shelf *
shelf_open(const char *folder, const uint8_t model_id[SHARD_HASH], bool parts, const char *but)
{
	struct shelf *s = calloc(1, sizeof *s);
	DIR *dir = opendir(folder);
	struct dirent *d;
	char path[4096 + 256];

	if (s != NULL)
		memcpy(s->model_id, model_id, SHARD_HASH);
	while (s != NULL && dir != NULL && s->n < SHELF_MAX && (d = readdir(dir)) != NULL) {
		bool wanted = ends_with(d->d_name, ".shard") ||
			      (parts && ends_with(d->d_name, ".shard.part"));

		if (!wanted ||
			(size_t)snprintf(path, sizeof path, "%s/%s", folder, d->d_name) >=
				sizeof path ||
			(but != NULL && strcmp(path, but) == 0))
			continue;
		take(s, path);
	}
	if (dir != NULL)
		closedir(dir);
	return s;
}

void
shelf_close(struct shelf *s)
{
	for (uint32_t i = 0; s != NULL && i < s->n; i++)
		shard_close(s->shards[i]);
	free(s);
}

uint32_t
shelf_size(const struct shelf *s)
{
	return s->n;
}

const struct slice *
shelf_slice(const struct shelf *s, uint32_t i)
{
	return &shard_header(s->shards[i])->slice;
}

int
shelf_read(struct shelf *s, const struct chunk *c, uint32_t *i, uint8_t *out, struct err *err)
{
	for (; *i < s->n; ++*i) {
		const struct shard_header *h = shard_header(s->shards[*i]);

		if (chunk_check(c, &h->shape, err) == 0 &&
			chunk_in_slice(c, &h->shape, &h->slice) &&
			chunk_from_shard(s->shards[*i], c, out, err) == 0)
			return 0;
	}
	return err_set(err, "no shard here has these rows of layer %u", c->layer);
}
