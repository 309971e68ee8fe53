/* What decides about chunks, fed with any bytes: a question for a chunk, as it comes over a bulk link,
 * against a model and against a shard; and a list of chunks against a shard's header. */
#include "model/chunk.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/tiny_gguf.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct buf file;
static struct gguf *g;
static struct model_shape shape;
static struct slice slices[2];
static struct shard_header header;
static struct shard *shard;

static void
set_up(void)
{
	static const struct model_shape small = {.arch = ARCH_LLAMA,
		.layers = 2,
		.embd = 96,
		.ffn = 352,
		.heads = 4,
		.kv_heads = 2,
		.head_dim = 24,
		.vocab = 300,
		.context = 64,
		.norm_eps = 1e-5f,
		.rope_dim = 24,
		.rope_interleaved = true,
		.rope_base = 10000.0f,
		.rope_factor = 1.0f,
		.expert_scale = 1.0f,
		.col_block = 1};
	static const float shares[] = {5, 4};
	char path[64] = "/tmp/shoal-fuzz-XXXXXX";
	struct tiny_gguf options = {0};
	struct tiny_model m;
	struct err err = {""};

	require(sodium_init() >= 0);
	close(mkstemp(path));
	tiny_model_make(&m, &small, false, 1);
	tiny_gguf_write(&m, &options, &file);
	tiny_model_free(&m);
	g = gguf_parse(file.data, file.len, &err);
	require(g != NULL && shape_from_gguf(g, &shape, &err) == 0);
	require(slice_cut(&shape, shares, 2, slices, &err) == 0);
	require(shard_header_plan(g, &shape, &slices[1], &header, &err) == 0);
	require(shard_make(g, &shape, &slices[1], path, NULL, NULL, &err) == 0);
	shard = shard_open(path, true, &err);
	require(shard != NULL);
	unlink(path);
}

/* Whoever accepts it, it can be read, and is the same from both sides. */
static void
try_question(const uint8_t *data, size_t size)
{
	struct rd r = rd_init(data, size);
	struct chunk c = {rd_u32(&r), rd_u32(&r), rd_u32(&r), rd_u32(&r), rd_u32(&r), rd_u32(&r),
		rd_u32(&r), rd_u32(&r)};
	struct err err;
	uint8_t *a, *b;

	if (chunk_bytes(&c) == 0 || chunk_check(&c, &shape, &err) != 0)
		return;
	a = malloc(chunk_bytes(&c));
	b = malloc(chunk_bytes(&c));
	require(a != NULL && b != NULL);
	if (chunk_from_gguf(g, &shape, &c, a, &err) == 0 &&
		chunk_from_shard(shard, &c, b, &err) == 0)
		require(memcmp(a, b, chunk_bytes(&c)) == 0);
	free(a);
	free(b);
}

static void
try_list(const uint8_t *data, size_t size)
{
	struct chunk_list l;
	struct err err = {""};

	if (chunk_list_parse(data, size, &header, &l, &err) != 0) {
		require(err.msg[0] != '\0');
		return;
	}
	for (uint32_t i = 0; i < l.n; i++)
		require(chunk_check(&l.chunks[i], &shape, &err) == 0 &&
			chunk_in_slice(&l.chunks[i], &shape, &slices[1]));
	chunk_list_free(&l);
}

/* The right hash behind whatever it is, so that the rest is looked at, too. */
static void
try_sealed_list(const uint8_t *data, size_t size)
{
	uint8_t *sealed = malloc(size + SHARD_HASH);

	require(sealed != NULL);
	if (size > 0)
		memcpy(sealed, data, size);
	chunk_hash(sealed, size, sealed + size);
	try_list(sealed, size + SHARD_HASH);
	free(sealed);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (shard == NULL)
		set_up();
	try_question(data, size);
	try_list(data, size);
	try_sealed_list(data, size);
	return 0;
}

size_t
fuzz_seed(unsigned i, uint8_t *out, size_t max)
{
	static const struct chunk seeds[] = {{TENSOR_GATE, 0, 0, DTYPE_F32, 192, 32, 0, 96},
		{TENSOR_DOWN, 1, 0, DTYPE_F32, 0, 96, 200, 32},
		{TENSOR_OUT, 0, 0, DTYPE_F32, 171, 20, 0, 96},
		{TENSOR_ATTN_NORM, 1, 0, DTYPE_F32, 0, 1, 0, 96}};
	struct chunk_list l;
	struct err err;
	struct buf b;
	size_t len;

	if (shard == NULL)
		set_up();
	if (i > sizeof seeds / sizeof *seeds)
		return 0;
	buf_init(&b, 0);
	if (i < sizeof seeds / sizeof *seeds) {
		const uint32_t words[] = {seeds[i].role, seeds[i].layer, seeds[i].expert,
			seeds[i].dtype, seeds[i].row0, seeds[i].rows, seeds[i].col0, seeds[i].cols};

		for (size_t k = 0; k < sizeof words / sizeof *words; k++)
			buf_u32(&b, words[k]);
	} else {
		require(chunk_list_plan(&header, CHUNK_SIZE_MIN, &l, &err) == 0);
		require(chunk_list_write(&l, &b) == 0);
		b.len -= SHARD_HASH; /* try_sealed_list puts it there */
		chunk_list_free(&l);
	}
	len = b.len < max ? b.len : max;
	memcpy(out, b.data, len);
	buf_free(&b);
	return len;
}
