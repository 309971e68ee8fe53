/* Matrices larger than a read request: they stream in bands, through a ring smaller than they are. */
#include "config.h"

#include "kernels/cpu.h"
#include "model/forward.h"
#include "model/window_int.h"
#include "tests/support/tiny_gguf.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define STEPS 5

static char dir[64], path[96], file[96];
static struct pool *pool;
static struct kernels kernels;
static struct tiny_model m;
static struct gguf *g;
static struct shard *opened;
static struct err err;

/* The feed-forward part is large, with rows of an odd number of blocks; so is the head. */
static const struct model_shape big = {.arch = ARCH_LLAMA,
	.layers = 2,
	.embd = 96,
	.ffn = 12064,
	.heads = 4,
	.kv_heads = 2,
	.head_dim = 24,
	.vocab = 8200,
	.context = 64,
	.norm_eps = 1e-5f,
	.rope_dim = 24,
	.rope_interleaved = true,
	.rope_base = 10000.0f,
	.rope_factor = 1.0f,
	.expert_scale = 1.0f,
	.col_block = 1};

static void
make_shard(void)
{
	struct slice whole = slice_whole(&m.shape);

	ck_assert_msg(shard_make(g, &m.shape, &whole, file, NULL, NULL, &err) == 0, "%s", err.msg);
}

static void
setup(void)
{
	struct tiny_gguf options = {0};
	struct buf b;
	FILE *f;

	strcpy(dir, "/tmp/shoal-bands-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/m.gguf", dir);
	snprintf(file, sizeof file, "%s/m.shard", dir);
	tiny_model_make(&m, &big, false, 7);
	buf_init(&b, 0);
	tiny_gguf_write(&m, &options, &b);
	f = fopen(path, "wb");
	ck_assert(f != NULL && fwrite(b.data, 1, b.len, f) == b.len && fclose(f) == 0);
	buf_free(&b);
	g = gguf_open(path, &err);
	ck_assert_msg(g != NULL, "%s", err.msg);
	ck_assert_msg(shape_from_gguf(g, &m.shape, &err) == 0, "%s", err.msg);
	pool = pool_new(2, &err);
	ck_assert_msg(pool != NULL, "%s", err.msg);
	kernels_init(&kernels, cpu_detect());
	ck_assert_int_ge(sodium_init(), 0);
	make_shard();
}

static void
teardown(void)
{
	char command[128];

	shard_close(opened);
	opened = NULL;
	pool_free(pool);
	gguf_close(g);
	tiny_model_free(&m);
	snprintf(command, sizeof command, "rm -rf '%s'", dir);
	ck_assert_int_eq(system(command), 0);
}

static struct shard *
open_again(void)
{
	shard_close(opened);
	opened = shard_open(file, false, &err);
	ck_assert_msg(opened != NULL, "%s", err.msg);
	return opened;
}

/* Bands of an extent follow one another without a gap, begin on pages, and are whole row groups. */
START_TEST(bands_tile_their_extents)
{
	const struct shard_header *h = shard_header(open_again());
	uint32_t many = 0;
	struct window_bands b;

	ck_assert_msg(window_bands_list(&b, h, &err) == 0, "%s", err.msg);
	for (uint32_t i = 0; i < h->n_extents; i++) {
		uint64_t bytes = 0;
		uint32_t rows = 0;

		for (uint32_t j = b.first[i]; j < b.first[i + 1]; j++) {
			ck_assert_uint_eq(b.list[j].extent, i);
			ck_assert_uint_eq(b.list[j].from, bytes);
			ck_assert_uint_eq(b.list[j].row, rows);
			ck_assert_uint_eq(b.list[j].from % SHARD_ALIGN, 0);
			ck_assert_uint_eq(b.list[j].row % TILE_ROWS, 0);
			ck_assert_uint_eq(b.pieces[j].unit, j);
			ck_assert(b.pieces[j].stays == tensor_is_vector(h->extents[i].role));
			bytes += b.list[j].bytes;
			rows += b.list[j].rows;
		}
		ck_assert_uint_eq(bytes, h->extents[i].bytes);
		ck_assert_uint_eq(rows, h->extents[i].rows);
		many += b.first[i + 1] - b.first[i] > 1;
	}
	ck_assert_uint_ge(many, 7); /* gate, up, down of each layer, and the head */
	window_bands_free(&b);
}
END_TEST

/* --- computing ---------------------------------------------------------------------------------- */

/* Logits of some steps, the first of several rows. -1: err. */
static int
run(struct weight_source *ws, float *out)
{
	static struct slice whole;
	struct forward *f;
	int rc = 0;

	whole = slice_whole(&m.shape);
	f = forward_new(&(const struct forward_config){.shape = &m.shape,
				.slice = &whole,
				.weights = ws,
				.kernels = &kernels,
				.pool = pool,
				.max_rows = 4,
				.slots = 1,
				.context = 64,
				.kv = KV_F16},
		&err);
	if (f == NULL) /* it looks at the first unit */
		return -1;
	for (uint32_t i = 0, pos = 0; rc == 0 && i < STEPS; i++) {
		uint32_t n = i == 0 ? 4 : 1, tokens[4];
		struct step_row rows[4];
		const float *logits;
		float x[4 * 96];

		for (uint32_t k = 0; k < n; k++, pos++) {
			tokens[k] = (pos * 311 + 5) % m.shape.vocab;
			rows[k] = (struct step_row){0, pos, k + 1 == n ? STEP_LOGITS : 0};
		}
		rc = forward_embed(f, tokens, n, x, &err) == 0
			     ? forward_step(f, rows, n, x, &logits, &err)
			     : -1;
		if (rc == 0)
			memcpy(out + (size_t)i * m.shape.vocab, logits,
				m.shape.vocab * sizeof *logits);
	}
	forward_free(f);
	return rc;
}

static float *
room(void)
{
	float *p = malloc((size_t)STEPS * m.shape.vocab * sizeof *p);

	ck_assert_ptr_nonnull(p);
	return p;
}

START_TEST(any_memory_gives_the_same_bits)
{
	struct weight_source *ws = weights_from_shard(open_again(), g, &err);
	const struct shard_header *h = shard_header(opened);
	uint64_t least = window_weights_least(h), all = window_weights_all(h), largest = 0;
	float *want = room(), *got = room();

	ck_assert_msg(ws != NULL && run(ws, want) == 0, "%s", err.msg);
	ws->free(ws);
	for (uint32_t i = 0; i < h->n_extents; i++)
		largest = h->extents[i].bytes > largest ? h->extents[i].bytes : largest;
	ck_assert_uint_lt(least, largest / 2);
	for (unsigned part = 0; part <= 6; part++) {
		uint64_t memory = least + (all - least) * part / 6;
		struct weights_stats st;

		ws = weights_window(open_again(), g, memory, NULL, NULL, &err);
		ck_assert_msg(ws != NULL && run(ws, got) == 0, "%s", err.msg);
		ck_assert_int_eq(memcmp(got, want, (size_t)STEPS * m.shape.vocab * sizeof *got), 0);
		ws->stats(ws, &st);
		ck_assert_uint_le(st.resident + st.ring, memory);
		ck_assert_uint_eq(st.passes, STEPS + 1); /* and the look at the beginning */
		ws->free(ws);
	}
	free(want);
	free(got);
}
END_TEST

/* In whichever band it is, and whether that one is resident or not. */
START_TEST(a_flipped_bit_in_any_band_is_found)
{
	const struct shard_header *h = shard_header(open_again());
	uint64_t memory = window_weights_least(h) + window_weights_all(h) / 2;
	struct window_bands b;
	float *out = room();
	char part[128];

	ck_assert_msg(window_bands_list(&b, h, &err) == 0, "%s", err.msg);
	snprintf(part, sizeof part, "%s.part", file);
	for (uint32_t i = 1; i < b.n; i += 5) {
		uint64_t at = h->extents[b.list[i].extent].offset + b.list[i].from + 9;
		int fd = open(file, O_RDWR);
		struct weight_source *ws;
		uint8_t byte;

		ck_assert(pread(fd, &byte, 1, (off_t)at) == 1);
		byte ^= 16;
		ck_assert(pwrite(fd, &byte, 1, (off_t)at) == 1);
		close(fd);
		ws = weights_window(open_again(), g, memory, NULL, NULL, &err);
		h = shard_header(opened);
		if (ws != NULL) {
			ck_assert_int_ne(run(ws, out), 0);
			ck_assert_int_ne(run(ws, out), 0); /* and it stays so */
			ws->free(ws);
		}
		ck_assert_msg(strstr(err.msg, "is damaged") != NULL, "%s", err.msg);
		ck_assert_int_ne(access(file, F_OK), 0);
		ck_assert_int_eq(unlink(part), 0);
		make_shard();
	}
	window_bands_free(&b);
	free(out);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("bands");
	TCase *t = tcase_create("bands");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 120);
	tcase_add_test(t, bands_tile_their_extents);
	tcase_add_test(t, any_memory_gives_the_same_bits);
	tcase_add_test(t, a_flipped_bit_in_any_band_is_found);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
