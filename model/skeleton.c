/* Reading skeletons. Every bound is checked before it is used; the hash is, too, when asked for. */
#include "model/skeleton.h"

#include "base/file.h"
#include "model/chunk.h"
#include "model/skeleton_int.h"

#include <dirent.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define RANGE_BYTES 16

struct skeleton {
	struct mapped map;
	const uint8_t *model_id;
	struct model_shape shape;
	char name[SKELETON_NAME];
	uint64_t file_bytes;
	const uint8_t *chunks;
	size_t chunks_len;
	uint32_t n;
	struct skeleton_range *ranges;
};

bool
skeleton_name_valid(const char *name, size_t len)
{
	if (len == 0 || len >= SKELETON_NAME || name[0] == '.')
		return false;
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)name[i] < 0x20 || name[i] == '/' || name[i] == 0x7f)
			return false;
	return true;
}

static int
read_name(struct rd *r, struct skeleton *k, struct err *err)
{
	uint16_t len = rd_u16(r);
	const char *name = rd_bytes(r, len);

	if (name == NULL || !skeleton_name_valid(name, len))
		return err_set(err, "the skeleton of a model without a usable name");
	memcpy(k->name, name, len);
	k->name[len] = '\0';
	return 0;
}

/* The table, and behind it the bytes, which end where the hash begins. */
static int
read_ranges(struct rd *r, struct skeleton *k, struct err *err)
{
	uint64_t end = 0, sum = 0;
	const uint8_t *data;

	k->n = rd_u32(r);
	if (r->failed || k->n == 0 || k->n > rd_left(r) / RANGE_BYTES)
		return err_set(err, "the skeleton of a model is cut off in its table");
	k->ranges = calloc(k->n, sizeof *k->ranges);
	if (k->ranges == NULL)
		return err_set(err, "out of memory for a model's skeleton");
	data = r->data + r->pos + (size_t)k->n * RANGE_BYTES;
	for (uint32_t i = 0; i < k->n; i++) {
		struct skeleton_range *x = &k->ranges[i];

		x->at = rd_u64(r);
		x->bytes = rd_u64(r);
		if (x->at < end || x->bytes == 0 || x->at > k->file_bytes ||
			x->bytes > k->file_bytes - x->at || x->bytes > r->len - sum)
			return err_set(err, "the skeleton of a model has a range that cannot be");
		x->data = data + sum;
		end = x->at + x->bytes;
		sum += x->bytes;
	}
	if (rd_left(r) != sum + SHARD_HASH)
		return err_set(err, "the skeleton of a model is cut off, or too long");
	return 0;
}

static int
parse(struct skeleton *k, struct err *err)
{
	struct rd r = rd_init(k->map.data, k->map.len);
	const uint8_t *magic = rd_bytes(&r, 8);
	uint32_t version = rd_u32(&r), len;

	k->model_id = rd_bytes(&r, SHARD_HASH);
	if (k->model_id == NULL || memcmp(magic, SKELETON_MAGIC, 8) != 0 ||
		version != SKELETON_VERSION)
		return err_set(err, "is no skeleton of a model of version %d", SKELETON_VERSION);
	if (shape_read(&r, &k->shape, err) != 0)
		return -1;
	k->file_bytes = rd_u64(&r);
	if (read_name(&r, k, err) != 0)
		return -1;
	len = rd_u32(&r);
	k->chunks = rd_bytes(&r, len);
	k->chunks_len = len;
	if (r.failed)
		return err_set(err, "the skeleton of a model is cut off in its hashes");
	return read_ranges(&r, k, err);
}

static int
check_hash(const struct skeleton *k, struct err *err)
{
	uint8_t hash[SHARD_HASH];

	chunk_hash(k->map.data, k->map.len - SHARD_HASH, hash);
	if (sodium_memcmp(hash, skeleton_hash(k), sizeof hash) != 0)
		return err_set(err, "the skeleton of a model is damaged: its hash is wrong");
	return 0;
}

struct skeleton *
skeleton_open(const char *path, bool check, struct err *err)
{
	struct skeleton *k = calloc(1, sizeof *k);

	if (k == NULL) {
		err_set(err, "out of memory for a model's skeleton");
		return NULL;
	}
	if (file_map(path, &k->map, err) != 0) {
		free(k);
		return NULL;
	}
	if (parse(k, err) == 0 && (!check || check_hash(k, err) == 0))
		return k;
	err_prefix(err, "%s: ", path);
	skeleton_close(k);
	return NULL;
}

void
skeleton_close(struct skeleton *k)
{
	if (k == NULL)
		return;
	file_unmap(&k->map);
	free(k->ranges);
	free(k);
}

const uint8_t *
skeleton_hash(const struct skeleton *k)
{
	return k->map.data + k->map.len - SHARD_HASH;
}

const uint8_t *
skeleton_model_id(const struct skeleton *k)
{
	return k->model_id;
}

const struct model_shape *
skeleton_shape(const struct skeleton *k)
{
	return &k->shape;
}

const char *
skeleton_name(const struct skeleton *k)
{
	return k->name;
}

uint64_t
skeleton_bytes(const struct skeleton *k)
{
	return k->map.len;
}

uint64_t
skeleton_file_bytes(const struct skeleton *k)
{
	return k->file_bytes;
}

const uint8_t *
skeleton_chunks(const struct skeleton *k, size_t *len)
{
	*len = k->chunks_len;
	return k->chunks;
}

uint32_t
skeleton_ranges(const struct skeleton *k)
{
	return k->n;
}

struct skeleton_range
skeleton_range(const struct skeleton *k, uint32_t i)
{
	return k->ranges[i];
}

/* --- the folder --------------------------------------------------------------------------------- */

void
skeleton_path(const char *folder, const uint8_t model_id[SHARD_HASH], char *out, size_t size)
{
	char hex[2 * SHARD_HASH + 1];

	sodium_bin2hex(hex, sizeof hex, model_id, SHARD_HASH);
	snprintf(out, size, "%s/%.32s.skeleton", folder, hex);
}

struct skeleton *
skeleton_any(const char *folder)
{
	DIR *dir = opendir(folder);
	struct skeleton *k = NULL;
	struct dirent *d;
	char path[4096 + 256];

	while (dir != NULL && k == NULL && (d = readdir(dir)) != NULL) {
		size_t len = strlen(d->d_name);

		if (len < 9 || strcmp(d->d_name + len - 9, ".skeleton") != 0 ||
			(size_t)snprintf(path, sizeof path, "%s/%s", folder, d->d_name) >=
				sizeof path)
			continue;
		k = skeleton_open(path, false, NULL);
	}
	if (dir != NULL)
		closedir(dir);
	return k;
}

void
skeleton_prune(const char *folder, const uint8_t model_id[SHARD_HASH])
{
	DIR *dir = opendir(folder);
	char keep[2 * SHARD_HASH + 1];
	struct dirent *d;

	sodium_bin2hex(keep, sizeof keep, model_id, SHARD_HASH);
	while (dir != NULL && (d = readdir(dir)) != NULL)
		if (strstr(d->d_name, ".skeleton") != NULL && strncmp(d->d_name, keep, 32) != 0)
			unlinkat(dirfd(dir), d->d_name, 0);
	if (dir != NULL)
		closedir(dir);
}
