/* What is in a shard, and that nothing else is taken for one. */
#include "kernels/cpu.h"
#include "model/generate.h"
#include "tests/support/shard_fixture.h"
#include "tests/support/shared_dir.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const models[] = {"stories260K", "llama-nano-q4_0", "llama-nano-q8_0",
	"llama-nano-q4_k_m", "llama-nano-q6_k", "llama-nano-tq2_0", "llama-nano-iq4_nl",
	"qwen3-nano-q4_k_m", "qwen3moe-nano-q4_0", "qwen3moe-nano-q4_k_m"};
enum { MODELS = sizeof models / sizeof *models };

/* --- what is in them ---------------------------------------------------------------------------- */

static void
same_matrix(const struct matrix *tiles, const struct matrix *rows)
{
	size_t n = dtype_row_bytes(rows->dtype, rows->cols);
	uint8_t *back = malloc(TILE_ROWS * n);

	ck_assert_int_eq(tiles->layout, LAYOUT_TILES);
	ck_assert_uint_eq((uintptr_t)tiles->data % TILE_ALIGN, 0);
	ck_assert_uint_eq(tiles->dtype, rows->dtype);
	for (uint32_t r = 0; r < rows->rows; r += TILE_ROWS) {
		uint32_t k = rows->rows - r < TILE_ROWS ? rows->rows - r : TILE_ROWS;

		tile_unpack(tiles->dtype, tiles->cols, tiles->data + r / TILE_ROWS * tiles->stride,
			k, back, n);
		for (uint32_t i = 0; i < k; i++)
			ck_assert_mem_eq(back + i * n, rows->data + (r + i) * rows->stride, n);
	}
	free(back);
}

static void
same_unit(struct weight_source *a, struct weight_source *b, enum unit_kind kind, uint32_t layer,
	uint32_t expert)
{
	const struct unit *x = a->acquire(a, kind, layer, expert, &err),
			  *y = b->acquire(b, kind, layer, expert, &err);

	ck_assert(x != NULL && y != NULL);
	for (const enum tensor_role *r = unit_roles(kind); *r != TENSOR_ROLES; r++) {
		const struct matrix *m = &x->t[*r], *v = &y->t[*r];

		ck_assert_int_eq(m->data != NULL, v->data != NULL);
		if (v->data == NULL)
			continue;
		ck_assert_uint_eq(m->rows, v->rows);
		ck_assert_uint_eq(m->cols, v->cols);
		if (*r == TENSOR_EMBED)
			ck_assert_ptr_eq(m->data, v->data); /* the file's own rows */
		else if (m->layout == LAYOUT_TILES)
			same_matrix(m, v);
		else
			ck_assert_mem_eq(m->data, v->data, v->cols * sizeof(float));
	}
	a->release(a, x);
	b->release(b, y);
}

static void
same_weights(struct weight_source *a, struct weight_source *b)
{
	ck_assert_msg(a != NULL && b != NULL, "%s", err.msg);
	same_unit(a, b, UNIT_EMBED, 0, 0);
	same_unit(a, b, UNIT_HEAD, 0, 0);
	for (uint32_t i = 0; i < shape.layers; i++) {
		same_unit(a, b, UNIT_ATTN, i, 0);
		same_unit(a, b, UNIT_FFN, i, 0);
		for (uint32_t e = 0; e < shape.experts; e++)
			same_unit(a, b, UNIT_EXPERT, i, e);
	}
}

START_TEST(shards_hold_the_model)
{
	static const float shares[] = {1, 3};
	struct weight_source *rows, *tiles, *memory;
	struct shard_header h;
	struct slice sl[2];
	struct shard *s;
	struct buf a, b;

	use_model(models[_i]);
	for (int k = 0; k < 3; k++) {
		sl[0] = slice_whole(&shape);
		if (k > 0)
			ck_assert_int_eq(slice_cut(&shape, shares, 2, sl, &err), 0);
		sl[0] = sl[k == 2];
		ck_assert_msg(
			shard_make(g, &shape, sl, file, NULL, NULL, &err) == 0, "%s", err.msg);
		ck_assert_int_ne(access(part, F_OK), 0);
		s = open_shard();
		rows = weights_from_gguf(g, &shape, sl, true, &err);
		tiles = weights_from_shard(s, g, &err);
		memory = weights_tiled_from_gguf(g, &shape, sl, true, NULL, NULL, &err);
		same_weights(tiles, rows);
		same_weights(memory, rows);
		/* Hashed on the way or for the wire, the header is the same. */
		ck_assert_int_eq(shard_header_from_gguf(g, &shape, sl, &h, NULL, NULL, &err), 0);
		buf_init(&a, 0);
		buf_init(&b, 0);
		shard_header_write(&h, &a);
		shard_header_write(shard_header(s), &b);
		ck_assert_uint_eq(a.len, b.len);
		ck_assert_mem_eq(a.data, b.data, a.len);
		for (uint32_t i = 0; i < h.n_extents; i++)
			ck_assert_uint_eq(h.extents[i].offset % 4096, 0);
		buf_free(&a);
		buf_free(&b);
		shard_header_free(&h);
		rows->free(rows);
		tiles->free(tiles);
		memory->free(memory);
		shard_close(s);
	}
}
END_TEST

/* The logits of some tokens with weights from ws. */
static void
compute(struct weight_source *ws, float *logits)
{
	static const uint32_t ids[] = {1, 17, 5, 99, 200};
	struct slice whole = slice_whole(&shape);
	struct pool *pool = pool_new(1, &err);
	struct kernels k;
	struct step_row rows[5];
	struct forward *f;
	const float *out;
	float *x = calloc(5 * shape.embd, sizeof *x);
	uint32_t features;

	ck_assert_int_eq(cpu_parse("plain", &features, &err), 0);
	kernels_init(&k, features);
	f = forward_new(&(struct forward_config){.shape = &shape,
				.slice = &whole,
				.weights = ws,
				.kernels = &k,
				.pool = pool,
				.max_rows = 5,
				.slots = 1,
				.context = 16,
				.kv = KV_F32},
		&err);
	ck_assert_msg(f != NULL, "%s", err.msg);
	for (uint32_t i = 0; i < 5; i++)
		rows[i] = (struct step_row){0, i, i == 4 ? STEP_LOGITS : 0};
	ck_assert_int_eq(forward_embed(f, ids, 5, x, &err), 0);
	ck_assert_msg(forward_step(f, rows, 5, x, &out, &err) == 0, "%s", err.msg);
	memcpy(logits, out, shape.vocab * sizeof *logits);
	forward_free(f);
	pool_free(pool);
	free(x);
}

START_TEST(shards_compute_the_same_bits)
{
	struct slice whole;
	struct weight_source *rows, *tiles;
	struct shard *s;
	float *a, *b;

	use_model(models[_i]);
	whole = slice_whole(&shape);
	ck_assert_int_eq(make(NULL, NULL), 0);
	s = open_shard();
	rows = weights_from_gguf(g, &shape, &whole, true, &err);
	tiles = weights_from_shard(s, g, &err);
	a = calloc(shape.vocab, sizeof *a);
	b = calloc(shape.vocab, sizeof *b);
	compute(rows, a);
	compute(tiles, b);
	ck_assert_mem_eq(a, b, shape.vocab * sizeof *a);
	free(a);
	free(b);
	rows->free(rows);
	tiles->free(tiles);
	shard_close(s);
}
END_TEST

/* --- what is refused ---------------------------------------------------------------------------- */

START_TEST(damage_is_named)
{
	const struct shard_extent *e;
	struct shard *s;
	uint64_t at;
	char text[64];
	int fd;

	ck_assert_int_eq(make(NULL, NULL), 0);
	s = open_shard();
	e = &shard_header(s)->extents[2];
	at = e->offset;
	shard_close(s);
	fd = open(file, O_RDWR);
	ck_assert_int_eq(pwrite(fd, "\x55\xaa", 2, (off_t)at + 77), 2);
	ck_assert_ptr_null(shard_open(file, true, &err));
	snprintf(text, sizeof text, "at byte %llu is damaged", (unsigned long long)at);
	ck_assert_msg(
		strstr(err.msg, text) != NULL && strstr(err.msg, file) != NULL, "%s", err.msg);
	ck_assert_int_eq(ftruncate(fd, (off_t)at + 5000), 0);
	ck_assert_ptr_null(shard_open(file, false, &err));
	ck_assert_msg(strstr(err.msg, file) != NULL && strstr(err.msg, "bytes long") != NULL, "%s",
		err.msg);
	ck_assert_int_eq(ftruncate(fd, 1000), 0);
	ck_assert_ptr_null(shard_open(file, false, &err));
	ck_assert_ptr_nonnull(strstr(err.msg, "of which 1000 are there"));
	close(fd);
}
END_TEST

/* Damage that the file's times do not show is found only when there is a reason to look. */
START_TEST(what_was_checked_is_trusted)
{
	struct timespec times[2];
	struct stat st;
	struct shard *s;
	int fd;

	ck_assert_int_eq(make(NULL, NULL), 0);
	fd = open(file, O_RDWR);
	ck_assert_int_eq(fstat(fd, &st), 0);
	s = open_shard();
	ck_assert_int_eq(
		pwrite(fd, "\x55\xaa", 2, (off_t)shard_header(s)->extents[2].offset + 77), 2);
	times[0] = times[1] = (struct timespec){st.st_mtim.tv_sec - 10, 0};
	ck_assert_int_eq(futimens(fd, times), 0);
	ck_assert_int_eq(shard_check(s, &err), -1);
	times[1] = st.st_mtim;
	ck_assert_int_eq(futimens(fd, times), 0);
	ck_assert_int_eq(shard_check(s, &err), 0); /* this process made it */
	shard_doubt(s);
	ck_assert_int_eq(shard_check(s, &err), -1);
	ck_assert_ptr_nonnull(strstr(err.msg, "is damaged"));
	shard_close(s);
	close(fd);
}
END_TEST

START_TEST(other_layouts_are_refused)
{
	struct slice whole = slice_whole(&shape);
	struct shard_header h, back;
	struct buf b;

	for (uint32_t layout = 0; layout < 4; layout++) {
		ck_assert_int_eq(shard_header_plan(g, &shape, &whole, &h, &err), 0);
		h.layout = layout;
		buf_init(&b, 0);
		ck_assert_int_eq(shard_header_write(&h, &b), 0);
		ck_assert_int_eq(shard_header_parse(b.data, b.len, &back, &err) == 0,
			layout == LAYOUT_TILES);
		if (layout == LAYOUT_TILES)
			shard_header_free(&back);
		else
			ck_assert_msg(strstr(err.msg, "layout 2 (tiles)") != NULL, "%s", err.msg);
		buf_free(&b);
		shard_header_free(&h);
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("shard");
	TCase *t = tcase_create("shard");
	SRunner *r;
	int failed;

	if (shared_file("models/stories260K.gguf") == NULL) {
		printf("SKIP shard: ../shared is not there\n");
		return TEST_SKIPPED;
	}
	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, shard_setup, shard_teardown);
	tcase_add_loop_test(t, shards_hold_the_model, 0, MODELS);
	tcase_add_loop_test(t, shards_compute_the_same_bits, 0, MODELS);
	tcase_add_test(t, damage_is_named);
	tcase_add_test(t, what_was_checked_is_trusted);
	tcase_add_test(t, other_layouts_are_refused);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
