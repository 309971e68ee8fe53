/* Reading the values of a GGUF file's keys. */
#include "config.h"

#include "model/gguf_int.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

static const char *const type_words[GGUF_TYPES] = {"u8", "i8", "u16", "i16", "u32", "i32", "f32",
	"bools", "strings", "arrays", "u64", "i64", "f64"};

uint32_t
gguf_version(const struct gguf *g)
{
	return g->version;
}

uint64_t
gguf_file_bytes(const struct gguf *g)
{
	return g->len;
}

/* Reading a page maps those around it as well, so these go too: whoever reads a neighbour finds it in
 * the page cache. */
#define FAULT_AROUND ((uintptr_t)64 << 10)

void
gguf_forget(const struct gguf *g, const uint8_t *data, uint64_t bytes)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), start = (uintptr_t)g->map.data;
	uintptr_t end = start + g->map.len, from = (uintptr_t)data, to;

	if (g->map.data == NULL || from < start || from >= end)
		return;
	to = bytes < end - from ? from + (uintptr_t)bytes : end;
	from = from - start > FAULT_AROUND ? (from - FAULT_AROUND) / page * page : start;
	to = end - to > FAULT_AROUND ? (to + FAULT_AROUND) / page * page : end;
	madvise((void *)from, to - from, MADV_DONTNEED);
}

size_t
gguf_n_keys(const struct gguf *g)
{
	return g->n_kv;
}

struct gguf_str
gguf_key(const struct gguf *g, size_t i, enum gguf_type *type)
{
	if (type != NULL)
		*type = g->kv[i].type;
	return g->kv[i].key;
}

static const struct gguf_kv *
find(const struct gguf *g, const char *key)
{
	uint32_t i = name_index_find(&g->keys, key, strlen(key), gguf_key_at, g);

	return i == NAME_NONE ? NULL : &g->kv[i];
}

/* An integer of any width; false for other types and for what int64 cannot hold. */
static bool
read_int(enum gguf_type type, const uint8_t *p, int64_t *v)
{
	uint64_t u;

	switch (type) {
	case GGUF_U8:
		*v = p[0];
		return true;
	case GGUF_I8:
		*v = (int8_t)p[0];
		return true;
	case GGUF_U16:
		*v = p[0] | p[1] << 8;
		return true;
	case GGUF_I16:
		*v = (int16_t)(p[0] | p[1] << 8);
		return true;
	case GGUF_U32:
		*v = get_le32(p);
		return true;
	case GGUF_I32:
		*v = (int32_t)get_le32(p);
		return true;
	case GGUF_U64:
		u = get_le64(p);
		if (u > INT64_MAX)
			return false;
		*v = (int64_t)u;
		return true;
	case GGUF_I64:
		*v = (int64_t)get_le64(p);
		return true;
	default:
		return false;
	}
}

static float
read_f32(const uint8_t *p)
{
	uint32_t bits = get_le32(p);
	float f;

	memcpy(&f, &bits, sizeof f);
	return f;
}

static double
read_f64(const uint8_t *p)
{
	uint64_t bits = get_le64(p);
	double d;

	memcpy(&d, &bits, sizeof d);
	return d;
}

bool
gguf_i64(const struct gguf *g, const char *key, int64_t *v)
{
	const struct gguf_kv *kv = find(g, key);

	return kv != NULL && read_int(kv->type, kv->value, v);
}

bool
gguf_u32(const struct gguf *g, const char *key, uint32_t *v)
{
	int64_t i;

	if (!gguf_i64(g, key, &i) || i < 0 || i > UINT32_MAX)
		return false;
	*v = (uint32_t)i;
	return true;
}

bool
gguf_f32(const struct gguf *g, const char *key, float *v)
{
	const struct gguf_kv *kv = find(g, key);
	int64_t i;

	if (kv == NULL)
		return false;
	if (kv->type == GGUF_F32)
		*v = read_f32(kv->value);
	else if (kv->type == GGUF_F64)
		*v = (float)read_f64(kv->value);
	else if (read_int(kv->type, kv->value, &i))
		*v = (float)i;
	else
		return false;
	return true;
}

bool
gguf_bool(const struct gguf *g, const char *key, bool *v)
{
	const struct gguf_kv *kv = find(g, key);

	if (kv == NULL || kv->type != GGUF_BOOL)
		return false;
	*v = kv->value[0] != 0;
	return true;
}

static struct gguf_str
string_at(const uint8_t *p)
{
	return (struct gguf_str){(const char *)p + 8, (size_t)get_le64(p)};
}

bool
gguf_string(const struct gguf *g, const char *key, struct gguf_str *v)
{
	const struct gguf_kv *kv = find(g, key);

	if (kv == NULL || kv->type != GGUF_STRING)
		return false;
	*v = string_at(kv->value);
	return true;
}

bool
gguf_array(const struct gguf *g, const char *key, struct gguf_array *a)
{
	const struct gguf_kv *kv = find(g, key);

	if (kv == NULL || kv->type != GGUF_ARRAY || kv->elem == GGUF_ARRAY)
		return false;
	*a = (struct gguf_array){kv->elem, kv->n, kv->value, kv->end};
	return true;
}

bool
gguf_array_string(const struct gguf_array *a, const uint8_t **p, struct gguf_str *s)
{
	const uint8_t *at = *p == NULL ? a->data : *p;

	if (a->type != GGUF_STRING || at >= a->end)
		return false;
	*s = string_at(at);
	*p = at + 8 + s->len;
	return true;
}

float
gguf_array_f32(const struct gguf_array *a, uint64_t i)
{
	return a->type == GGUF_F32 && i < a->n ? read_f32(a->data + i * 4) : 0.0f;
}

int32_t
gguf_array_i32(const struct gguf_array *a, uint64_t i)
{
	int64_t v;

	if (i >= a->n || !read_int(a->type, a->data + i * gguf_type_bytes(a->type), &v) ||
		v < INT32_MIN || v > INT32_MAX)
		return 0;
	return (int32_t)v;
}

/* Quoted; what is longer than fits is cut at a whole character and ends in "...". */
static void
string_text(struct gguf_str s, char *out, size_t size)
{
	size_t n = s.len, room = size > 6 ? size - 6 : 0;

	if (n > room) {
		n = room;
		while (n > 0 && ((uint8_t)s.s[n] & 0xc0) == 0x80)
			n--;
	}
	snprintf(out, size, "\"%.*s%s\"", (int)n, s.s, n < s.len ? "..." : "");
	for (char *c = out; *c != '\0'; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = ' ';
}

void
gguf_value_text(const struct gguf *g, size_t i, char *out, size_t size)
{
	const struct gguf_kv *kv = &g->kv[i];
	int64_t v;

	if (size == 0)
		return;
	if (kv->type == GGUF_STRING)
		string_text(string_at(kv->value), out, size);
	else if (kv->type == GGUF_ARRAY)
		snprintf(out, size, "[%" PRIu64 " %s]", kv->n, type_words[kv->elem]);
	else if (kv->type == GGUF_BOOL)
		snprintf(out, size, "%s", kv->value[0] != 0 ? "true" : "false");
	else if (kv->type == GGUF_F32)
		snprintf(out, size, "%g", (double)read_f32(kv->value));
	else if (kv->type == GGUF_F64)
		snprintf(out, size, "%g", read_f64(kv->value));
	else if (read_int(kv->type, kv->value, &v))
		snprintf(out, size, "%" PRId64, v);
	else
		snprintf(out, size, "%" PRIu64, get_le64(kv->value));
}
