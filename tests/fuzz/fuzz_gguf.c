/* Model files: a GGUF file, all of whose keys, arrays and tensors are looked at, and what is made out of it
 * when it is a model; a shard's header as it comes over a link; a shard's file. The first byte of an
 * input says which. */
#include "base/file.h"
#include "model/chat.h"
#include "model/shard.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/tiny_gguf.h"

#include <sodium.h>
#include <stdio.h>
#include <unistd.h>

enum part { MODEL, HEADER, SHARD, PARTS };

#define MOST_ELEMENTS 1000 /* of an array that are looked at */

/* --- GGUF ------------------------------------------------------------------------------------------ */

static void
check_array(const struct gguf *g, const char *key)
{
	const uint8_t *p = NULL;
	struct gguf_array a;
	struct gguf_str s;
	uint64_t n = 0;

	if (!gguf_array(g, key, &a))
		return;
	require(a.type < GGUF_TYPES && a.type != GGUF_ARRAY && a.data <= a.end);
	if (a.type == GGUF_STRING)
		while (gguf_array_string(&a, &p, &s))
			require(++n <= a.n && (const uint8_t *)s.s + s.len <= a.end);
	require(a.type != GGUF_STRING || n == a.n);
	for (uint64_t i = 0; i < a.n && i < MOST_ELEMENTS; i++)
		if (a.type == GGUF_F32)
			gguf_array_f32(&a, i);
		else if (a.type != GGUF_STRING)
			gguf_array_i32(&a, i);
}

static void
check_key(const struct gguf *g, size_t i)
{
	enum gguf_type type;
	struct gguf_str name = gguf_key(g, i, &type), s;
	char text[40], key[256];
	uint32_t u;
	int64_t n;
	float f;
	bool b;

	gguf_value_text(g, i, text, sizeof text);
	require(memchr(text, '\0', sizeof text) != NULL && type < GGUF_TYPES);
	if (name.len >= sizeof key)
		return;
	memcpy(key, name.s, name.len);
	key[name.len] = '\0';
	gguf_u32(g, key, &u);
	gguf_i64(g, key, &n);
	gguf_f32(g, key, &f);
	gguf_bool(g, key, &b);
	gguf_string(g, key, &s);
	check_array(g, key);
}

static void
check_tensors(const struct gguf *g, const uint8_t *data, size_t size)
{
	for (size_t i = 0; i < gguf_n_tensors(g); i++) {
		const struct gguf_tensor *t = gguf_tensor_at(g, i), *found;
		char name[256];

		require(t->n_dims >= 1 && t->n_dims <= 4 && t->data >= data &&
			t->data <= data + size && t->bytes <= (uint64_t)(data + size - t->data));
		if (t->name.len >= sizeof name ||
			(t->name.len > 0 && memchr(t->name.s, '\0', t->name.len) != NULL))
			continue;
		memcpy(name, t->name.s, t->name.len);
		name[t->name.len] = '\0';
		found = gguf_tensor(g, name);
		require(found != NULL && found->name.len == t->name.len);
	}
}

/* --- what is made of it ----------------------------------------------------------------------------- */

static void
check_header(const struct shard_header *h)
{
	struct shard_header again;
	struct err err = {""};
	struct buf a, b;

	buf_init(&a, 0);
	buf_init(&b, 0);
	require(shard_header_write(h, &a) == 0);
	require(shard_header_parse(a.data, a.len, &again, &err) == 0);
	require(shard_header_write(&again, &b) == 0);
	require(a.len == b.len && memcmp(a.data, b.data, a.len) == 0);
	require(h->file_bytes == again.file_bytes && slice_same(&h->slice, &again.slice));
	shard_header_free(&again);
	buf_free(&a);
	buf_free(&b);
}

/* Every unit can be had, and each matrix is read to its end. */
static void
check_weights(struct weight_source *ws, const struct model_shape *s, const struct slice *sl)
{
	struct err err;

	require(ws != NULL);
	for (uint32_t l = 0; l < sl->layers; l++)
		for (enum unit_kind k = UNIT_ATTN; k <= UNIT_FFN; k++) {
			const struct unit *u = ws->acquire(ws, k, sl->layer0 + l, 0, &err);

			require(u != NULL);
			if (u->t[TENSOR_ATTN_NORM].data != NULL)
				require(u->t[TENSOR_ATTN_NORM].cols == s->embd);
			ws->release(ws, u);
		}
	ws->free(ws);
}

static void
check_model(const struct gguf *g)
{
	struct shard_header h;
	struct model_shape s, again;
	struct slice slices[3], sl;
	struct err err = {""};
	struct buf b;
	struct rd r;

	if (shape_from_gguf(g, &s, &err) != 0) {
		require(err.msg[0] != '\0');
		return;
	}
	buf_init(&b, 0);
	shape_write(&s, &b);
	r = rd_init(b.data, b.len);
	require(shape_read(&r, &again, &err) == 0 && rd_left(&r) == 0);
	buf_free(&b);
	require(shape_params(&s) >= shape_params_active(&s));
	sl = slice_whole(&s);
	check_weights(weights_from_gguf(g, &s, &sl, true, &err), &s, &sl);
	if (slice_cut(&s, NULL, 3, slices, &err) != 0)
		return;
	require(shard_header_plan(g, &s, &slices[1], &h, &err) == 0);
	check_header(&h);
	shard_header_free(&h);
}

static void
try_model(const uint8_t *data, size_t size)
{
	struct err err = {""};
	struct gguf *g = gguf_parse(data, size, &err);

	if (g == NULL) {
		require(err.msg[0] != '\0');
		return;
	}
	require(gguf_file_bytes(g) == size);
	for (size_t i = 0; i < gguf_n_keys(g); i++)
		check_key(g, i);
	check_tensors(g, data, size);
	require(chat_family_name(chat_detect(g)) != NULL);
	check_model(g);
	gguf_close(g);
}

/* --- shards ------------------------------------------------------------------------------------------ */

static void
try_header(const uint8_t *data, size_t size)
{
	struct shard_header h;
	struct err err = {""};

	if (shard_header_parse(data, size, &h, &err) != 0) {
		require(err.msg[0] != '\0');
		return;
	}
	check_header(&h);
	shard_header_free(&h);
}

/* The right length in it and the right hash behind it, so that the rest is looked at, too. */
static void
try_sealed_header(const uint8_t *data, size_t size)
{
	uint8_t *sealed = malloc(size + SHARD_HASH);

	require(sealed != NULL);
	memcpy(sealed, data, size);
	if (size >= 20)
		put_le32(sealed + 16, (uint32_t)(size + SHARD_HASH));
	crypto_generichash(sealed + size, SHARD_HASH, sealed, size, NULL, 0);
	try_header(sealed, size + SHARD_HASH);
	free(sealed);
}

static void
try_shard(const uint8_t *data, size_t size)
{
	char path[] = "/tmp/shoal-fuzz-XXXXXX";
	int fd = mkstemp(path);
	struct err err = {""};
	struct shard *s;

	require(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	close(fd);
	s = shard_open(path, true, &err);
	if (s == NULL) {
		require(err.msg[0] != '\0');
	} else {
		const struct shard_header *h = shard_header(s);

		require(h->file_bytes == size);
		check_header(h);
		check_weights(weights_from_shard(s, NULL, &err), &h->shape, &h->slice);
	}
	shard_close(s);
	unlink(path);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	require(sodium_init() >= 0);
	if (size < 1)
		return 0;
	switch ((enum part)(data[0] % PARTS)) {
	case MODEL:
		try_model(data + 1, size - 1);
		break;
	case HEADER:
		try_header(data + 1, size - 1);
		try_sealed_header(data + 1, size - 1);
		break;
	default:
		try_shard(data + 1, size - 1);
	}
	return 0;
}

/* --- seeds ------------------------------------------------------------------------------------------- */

static const struct model_shape shapes[] = {
	{.arch = ARCH_LLAMA,
		.layers = 1,
		.embd = 32,
		.ffn = 32,
		.heads = 4,
		.kv_heads = 2,
		.head_dim = 8,
		.vocab = 24,
		.context = 64,
		.norm_eps = 1e-5f,
		.rope_dim = 8,
		.rope_interleaved = true,
		.rope_base = 10000.0f,
		.rope_factor = 1.0f,
		.expert_scale = 1.0f,
		.col_block = 1},
	{.arch = ARCH_QWEN3MOE,
		.layers = 1,
		.embd = 32,
		.ffn = 32,
		.heads = 4,
		.kv_heads = 2,
		.head_dim = 8,
		.vocab = 24,
		.context = 64,
		.norm_eps = 1e-5f,
		.qk_norm = true,
		.experts = 2,
		.experts_used = 1,
		.expert_norm = true,
		.expert_scale = 1.0f,
		.rope_dim = 8,
		.rope_base = 10000.0f,
		.rope_factor = 1.0f,
		.col_block = 1},
};
#define SHAPES (sizeof shapes / sizeof *shapes)

/* The shard of half the model: its header without the hash, or all of it. */
static void
put_shard(struct buf *b, const struct buf *file, bool whole)
{
	char path[] = "/tmp/shoal-fuzz-XXXXXX";
	struct gguf *g;
	struct model_shape s;
	struct shard_header h;
	struct slice slices[2];
	struct err err = {""};
	int fd = mkstemp(path);

	require(fd >= 0);
	close(fd);
	unlink(path); /* shard_make would take it for a whole one */
	g = gguf_parse(file->data, file->len, &err);
	require(g != NULL && shape_from_gguf(g, &s, &err) == 0 &&
		slice_cut(&s, NULL, 2, slices, &err) == 0);
	if (whole) {
		require(shard_make(g, &s, &slices[1], path, NULL, NULL, &err) == 0);
		require(file_read(path, b, &err) == 0);
		unlink(path);
	} else {
		require(shard_header_plan(g, &s, &slices[1], &h, &err) == 0 &&
			shard_header_write(&h, b) == 0);
		b->len -= SHARD_HASH;
		shard_header_free(&h);
	}
	gguf_close(g);
}

size_t
fuzz_seed(unsigned i, uint8_t *out, size_t max)
{
	const struct tiny_gguf options = {0};
	struct tiny_model m;
	struct buf file, b;
	size_t len;

	/* The last one's shard is too long: each tensor begins a page. */
	if (i >= PARTS * SHAPES - 1)
		return 0;
	require(sodium_init() >= 0);
	tiny_model_make(&m, &shapes[i / PARTS], false, 1);
	tiny_gguf_write(&m, &options, &file);
	tiny_model_free(&m);
	buf_init(&b, 0);
	buf_u8(&b, (uint8_t)(i % PARTS));
	if (i % PARTS == MODEL)
		buf_append(&b, file.data, file.len);
	else
		put_shard(&b, &file, i % PARTS == SHARD);
	require(b.len <= max);
	len = b.len;
	memcpy(out, b.data, len);
	buf_free(&file);
	buf_free(&b);
	return len;
}
