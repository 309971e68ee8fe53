/* The header and the metadata. The table of tensors is in gguf_tensors.c, reading values in
 * gguf_value.c. Nothing is copied: keys, values and tensors are pointers into the file's bytes, and
 * the only memory allocated is one fixed entry per key and tensor, after the file was found large
 * enough to hold that many. */
#include "model/gguf_int.h"

#include "base/file_guard.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#define MAX_KEY       65535 /* as the format says */
#define MAX_NESTING   8
#define MIN_KV_BYTES  14 /* length, one byte of key, type, one byte of value */
#define MIN_ALIGNMENT 8
#define MAX_ALIGNMENT 65536

size_t
gguf_type_bytes(uint32_t type)
{
	static const uint8_t bytes[GGUF_TYPES] = {[GGUF_U8] = 1,
		[GGUF_I8] = 1,
		[GGUF_U16] = 2,
		[GGUF_I16] = 2,
		[GGUF_U32] = 4,
		[GGUF_I32] = 4,
		[GGUF_F32] = 4,
		[GGUF_BOOL] = 1,
		[GGUF_U64] = 8,
		[GGUF_I64] = 8,
		[GGUF_F64] = 8};

	return type < GGUF_TYPES ? bytes[type] : 0;
}

/* Well-formed UTF-8 without control characters. */
static bool
name_valid(const uint8_t *s, size_t len)
{
	size_t more;

	for (size_t i = 0; i < len; i += 1 + more) {
		uint32_t c = s[i];

		if (c < 0x20 || c == 0x7f || (c >= 0x80 && c < 0xc2) || c > 0xf4)
			return false;
		more = c < 0x80 ? 0 : c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
		if (len - i <= more)
			return false;
		for (size_t k = 1; k <= more; k++)
			if ((s[i + k] & 0xc0) != 0x80)
				return false;
		if ((c == 0xe0 && s[i + 1] < 0xa0) || (c == 0xed && s[i + 1] > 0x9f) ||
			(c == 0xf0 && s[i + 1] < 0x90) || (c == 0xf4 && s[i + 1] > 0x8f))
			return false; /* overlong, a surrogate, beyond Unicode */
	}
	return true;
}

/* A string's bytes; false when the file ends in it. */
static bool
parse_string(struct rd *r, struct gguf_str *s)
{
	uint64_t len = rd_u64(r);

	if (len > rd_left(r)) {
		r->failed = true;
		return false;
	}
	s->len = (size_t)len;
	s->s = rd_bytes(r, s->len);
	return !r->failed;
}

int
gguf_parse_name(struct rd *r, const char *what, uint64_t index, size_t max, struct gguf_str *name,
	struct err *err)
{
	size_t at = r->pos;

	if (!parse_string(r, name))
		return err_set(err, "the file ends in the name of %s %" PRIu64 " (byte %zu)", what,
			index, at);
	if (name->len == 0 || name->len > max)
		return err_set(err,
			"%s %" PRIu64 " (byte %zu) has a name of %zu bytes: 1 to %zu are valid",
			what, index, at, name->len, max);
	if (!name_valid((const uint8_t *)name->s, name->len))
		return err_set(err, "%s %" PRIu64 " (byte %zu) has a name that is not valid text",
			what, index, at);
	return 0;
}

/* Steps over n elements. The depth is bounded, and every element takes bytes of the file, so time
 * is too. */
static int
skip_elements(struct rd *r, uint32_t type, uint64_t n, unsigned depth)
{
	size_t size = gguf_type_bytes(type);
	struct gguf_str s;

	if (size > 0) {
		if (n > rd_left(r) / size)
			return -1;
		r->pos += (size_t)n * size;
		return 0;
	}
	if (type == GGUF_STRING) {
		while (n-- > 0)
			if (!parse_string(r, &s))
				return -1;
		return 0;
	}
	if (type != GGUF_ARRAY || depth == MAX_NESTING)
		return -1;
	while (n-- > 0) {
		uint32_t inner = rd_u32(r);
		uint64_t inner_n = rd_u64(r);

		if (r->failed || skip_elements(r, inner, inner_n, depth + 1) != 0)
			return -1;
	}
	return 0;
}

static int
parse_value(struct rd *r, struct gguf_kv *kv, struct err *err)
{
	size_t at = r->pos;
	uint32_t type = rd_u32(r), elem = 0;
	uint64_t n = 1;

	if (type == GGUF_ARRAY) {
		elem = rd_u32(r);
		n = rd_u64(r);
	}
	if (r->failed)
		return err_set(err, "the file ends in the value of key '%.*s' (byte %zu)",
			SHOWN(kv->key), at);
	if (type >= GGUF_TYPES || elem >= GGUF_TYPES)
		return err_set(err, "key '%.*s' (byte %zu) has a value of unknown type %" PRIu32,
			SHOWN(kv->key), at, type >= GGUF_TYPES ? type : elem);
	kv->type = (enum gguf_type)type;
	kv->elem = (enum gguf_type)elem;
	kv->n = n;
	kv->value = r->data + r->pos;
	if (skip_elements(r, type == GGUF_ARRAY ? elem : type, n, 0) != 0)
		return err_set(err,
			"the value of key '%.*s' (byte %zu) runs past the end of the file, or is "
			"nested deeper than %d arrays",
			SHOWN(kv->key), at, MAX_NESTING);
	kv->end = r->data + r->pos;
	return 0;
}

struct gguf_str
gguf_key_at(const void *arg, uint32_t i)
{
	return ((const struct gguf *)arg)->kv[i].key;
}

static int
parse_metadata(struct gguf *g, struct rd *r, uint64_t n, struct err *err)
{
	size_t at;

	if (n > rd_left(r) / MIN_KV_BYTES || n >= NAME_NONE)
		return err_set(err,
			"the header (byte 16) counts %" PRIu64 " keys: more than a file of %zu "
			"bytes can hold",
			n, g->len);
	g->kv = calloc((size_t)n + 1, sizeof *g->kv);
	if (g->kv == NULL || name_index_init(&g->keys, (size_t)n) != 0)
		return err_set(err, "out of memory for %" PRIu64 " keys", n);
	for (uint32_t i = 0; i < n; i++) {
		at = r->pos;
		if (gguf_parse_name(r, "key", i, MAX_KEY, &g->kv[i].key, err) != 0 ||
			parse_value(r, &g->kv[i], err) != 0)
			return -1;
		if (name_index_add(&g->keys, i, gguf_key_at, g) != NAME_NONE)
			return err_set(err, "key '%.*s' (byte %zu) is there twice",
				SHOWN(g->kv[i].key), at);
		g->n_kv = i + 1;
	}
	return 0;
}

static int
find_alignment(struct gguf *g, struct err *err)
{
	static const char key[] = "general.alignment";
	int64_t v;

	g->alignment = 32;
	if (name_index_find(&g->keys, key, sizeof key - 1, gguf_key_at, g) == NAME_NONE)
		return 0;
	if (!gguf_i64(g, key, &v) || v < MIN_ALIGNMENT || v > MAX_ALIGNMENT || (v & (v - 1)) != 0)
		return err_set(err,
			"key '%s' is not a power of two from %d to %d, so the tensors cannot be "
			"found",
			key, MIN_ALIGNMENT, MAX_ALIGNMENT);
	g->alignment = (uint32_t)v;
	return 0;
}

static int
check_magic(struct rd *r, struct err *err)
{
	static const char old[][5] = {"lmgg", "fmgg", "tjgg", "algg"};
	const char *magic = rd_bytes(r, 4);

	if (magic == NULL)
		return err_set(err, "is no GGUF file: it has only %zu bytes", r->len);
	for (size_t i = 0; i < sizeof old / sizeof old[0]; i++)
		if (memcmp(magic, old[i], 4) == 0)
			return err_set(err, "is a GGML file from before GGUF: convert it to GGUF "
					    "with llama.cpp's tools");
	if (memcmp(magic, "FUGG", 4) == 0)
		return err_set(err, "is a big-endian GGUF file: only little-endian ones are read");
	if (memcmp(magic, "GGUF", 4) != 0)
		return err_set(err, "is no GGUF file: it does not begin with \"GGUF\"");
	return 0;
}

static int
parse_header(struct gguf *g, struct rd *r, uint64_t *n_tensors, uint64_t *n_kv, struct err *err)
{
	if (check_magic(r, err) != 0)
		return -1;
	g->version = rd_u32(r);
	if (!r->failed && g->version == 1)
		return err_set(err, "is a GGUF file of version 1, of which few were made: convert "
				    "it anew; versions 2 and 3 are read");
	if (!r->failed && g->version != 0 && (g->version & 0xffff) == 0)
		return err_set(err, "is a big-endian GGUF file: only little-endian ones are read");
	if (!r->failed && (g->version < 2 || g->version > 3))
		return err_set(err,
			"is a GGUF file of version %" PRIu32 " (byte 4): versions 2 and 3 are read",
			g->version);
	*n_tensors = rd_u64(r);
	*n_kv = rd_u64(r);
	if (r->failed)
		return err_set(err, "the file ends in its header, at byte %zu of 24", g->len);
	return 0;
}

static int
parse(struct gguf *g, struct err *err)
{
	struct rd r = rd_init(g->data, g->len);
	uint64_t n_tensors = 0, n_kv = 0;

	if (parse_header(g, &r, &n_tensors, &n_kv, err) != 0 ||
		parse_metadata(g, &r, n_kv, err) != 0 || find_alignment(g, err) != 0)
		return -1;
	if (n_tensors >= NAME_NONE)
		return err_set(err,
			"the header (byte 8) counts %" PRIu64 " tensors: more than a file of %zu "
			"bytes can hold",
			n_tensors, g->len);
	g->n_tensors = (uint32_t)n_tensors;
	return gguf_parse_tensors(g, &r, err);
}

struct gguf *
gguf_parse(const void *data, size_t len, struct err *err)
{
	struct gguf *g = calloc(1, sizeof *g);

	if (g == NULL) {
		err_set(err, "out of memory");
		return NULL;
	}
	g->fd = -1;
	g->data = data;
	g->len = len;
	if (parse(g, err) != 0) {
		gguf_close(g);
		return NULL;
	}
	return g;
}

/* Takes fd. */
static struct gguf *
open_fd(int fd, const char *path, struct err *err)
{
	struct file_stamp stamp = {0};
	struct mapped map = {0};
	struct gguf *g = NULL;

	if (file_stamp(fd, &stamp) != 0)
		err_errno(err, errno, "%s: cannot look at", path);
	else if (file_map_fd(fd, path, &map, err) == 0 &&
		 (g = gguf_parse(map.data, map.len, err)) == NULL)
		err_prefix(err, "%s: ", path);
	if (g == NULL) {
		file_unmap(&map);
		close(fd);
		return NULL;
	}
	g->map = map;
	g->fd = fd;
	g->stamp = stamp;
	return g;
}

struct gguf *
gguf_open(const char *path, struct err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0) {
		err_errno(err, errno, "%s: cannot open", path);
		return NULL;
	}
	return open_fd(fd, path, err);
}

int
gguf_check_read(const struct gguf *g, struct err *err)
{
	if (g->map.data == NULL || !file_guard_failed(g->map.data))
		return 0;
	return err_set(err, "a part of the model's file could not be read: its disk has an error, "
			    "or it was cut short; check the disk, or fetch the file again");
}

int
gguf_check(const struct gguf *g, struct err *err)
{
	struct file_stamp now;

	if (gguf_check_read(g, err) != 0)
		return -1;
	if (g->fd < 0)
		return 0;
	if (file_stamp(g->fd, &now) != 0)
		return err_errno(err, errno, "the model's file cannot be looked at");
	if (!file_stamp_same(&now, &g->stamp))
		return err_set(err, "the model's file was changed while it was in use");
	return 0;
}

struct timespec
gguf_changed(const struct gguf *g)
{
	return g->stamp.changed;
}

void
gguf_close(struct gguf *g)
{
	if (g == NULL)
		return;
	name_index_deinit(&g->keys);
	name_index_deinit(&g->names);
	free(g->kv);
	free(g->tensors);
	file_unmap(&g->map);
	if (g->fd >= 0)
		close(g->fd);
	free(g);
}
