/* GGUF files, slices and shards: real ones from ../shared, and every way in which a file can be damaged. */
#include "model/shard_writer.h"

#include "base/file.h"

#include <check.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char path[4352], dir[64];
static struct err err;
static struct mapped file;

static void
setup(void)
{
	strcpy(dir, "/tmp/shoal-files-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	ck_assert_int_ge(sodium_init(), 0);
	ck_assert_msg(file_map(path, &file, &err) == 0, "%s", err.msg);
}

static void
teardown(void)
{
	char command[128];

	file_unmap(&file);
	snprintf(command, sizeof command, "rm -rf '%s'", dir);
	ck_assert_int_eq(system(command), 0);
}

/* Everything that a file says is looked at; sanitizers see what lies outside of it. */
static void
walk(const uint8_t *data, size_t len)
{
	struct gguf *g = gguf_parse(data, len, &err);
	struct model_shape s;
	volatile uint8_t seen = 0;
	char text[80];

	if (g == NULL) {
		ck_assert_uint_gt(strlen(err.msg), 10);
		return;
	}
	for (size_t i = 0; i < gguf_n_keys(g); i++)
		gguf_value_text(g, i, text, sizeof text);
	for (size_t i = 0; i < gguf_n_tensors(g); i++) {
		const struct gguf_tensor *t = gguf_tensor_at(g, i);

		ck_assert(t->data >= data && t->bytes <= len && t->data + t->bytes <= data + len);
		if (t->bytes > 0)
			seen ^= t->data[t->bytes - 1];
	}
	(void)seen;
	shape_from_gguf(g, &s, &err);
	gguf_close(g);
}

START_TEST(cut_files_are_refused)
{
	for (size_t len = 0; len < file.len; len += len < 4096 ? 13 : 9973) {
		uint8_t *copy = malloc(len + 1);

		memcpy(copy, file.data, len);
		ck_assert_msg(gguf_parse(copy, len, &err) == NULL, "%zu bytes are taken", len);
		free(copy);
	}
}
END_TEST

START_TEST(changed_files_do_no_harm)
{
	uint8_t *copy = malloc(file.len);
	uint32_t x = 1;

	memcpy(copy, file.data, file.len);
	for (int i = 0; i < 3000; i++) {
		uint8_t was[8];
		size_t at;

		x = x * 1664525u + 1013904223u;
		at = i < 1500 ? (size_t)i : x % 20000;
		memcpy(was, copy + at, 8);
		for (int k = 0; k < 1 + i % 8; k++)
			copy[at + (size_t)k] = (uint8_t)(i % 3 == 0 ? 0xff : x >> (8 + k));
		walk(copy, file.len);
		memcpy(copy + at, was, 8);
	}
	free(copy);
}
END_TEST

START_TEST(slices_tile_the_model)
{
	static const float shares[4][4] = {
		{1, 1, 1, 1}, {3, 1, 1, 1}, {1, 100, 1, 1}, {0.1f, 0.2f, 0.3f, 7}};
	struct gguf *g = gguf_open(path, &err);
	struct model_shape s;
	struct slice sl[4];

	ck_assert_int_eq(shape_from_gguf(g, &s, &err), 0);
	ck_assert_uint_eq(s.kv_heads, 4);
	ck_assert_uint_eq(s.ffn, 172);
	for (uint32_t n = 1; n <= 4; n++) {
		for (int k = 0; k < 4; k++) {
			uint32_t heads = 0, ffn = 0, vocab = 0;

			ck_assert_msg(slice_cut(&s, shares[k], n, sl, &err) == 0, "%s", err.msg);
			for (uint32_t r = 0; r < n; r++) {
				ck_assert_uint_eq(sl[r].kv_head0, heads);
				ck_assert_uint_eq(sl[r].ffn0, ffn);
				ck_assert_uint_eq(sl[r].vocab0, vocab);
				heads += sl[r].kv_heads;
				ffn += sl[r].ffn;
				vocab += sl[r].vocab;
			}
			ck_assert_uint_eq(heads, s.kv_heads);
			ck_assert_uint_eq(ffn, s.ffn);
			ck_assert_uint_eq(vocab, s.vocab);
		}
	}
	ck_assert_int_eq(slice_cut(&s, NULL, 3, sl, &err), 0);
	ck_assert_uint_eq(sl[0].ffn + sl[1].ffn + sl[2].ffn, 172);
	ck_assert_int_eq(slice_cut(&s, NULL, SLICE_MAX_PEERS + 1, sl, &err), -1);
	gguf_close(g);
}
END_TEST

static struct model_shape shape;

static void
make_header(const struct gguf *g, uint32_t rank, struct shard_header *h, struct chunk_list *l)
{
	static const float shares[] = {2, 1, 1};
	struct slice sl[3];

	ck_assert_int_eq(shape_from_gguf(g, &shape, &err), 0);
	ck_assert_int_eq(slice_cut(&shape, shares, 3, sl, &err), 0);
	ck_assert_msg(chunk_list_from_gguf(
			      g, &shape, &sl[rank], CHUNK_SIZE_MIN, h, l, NULL, NULL, &err) == 0,
		"%s", err.msg);
}

/* Puts chunks from the model into a writer, the last one first. */
static void
fill(const struct gguf *g, const struct chunk_list *l, struct shard_writer *w, uint32_t from)
{
	for (uint32_t i = l->n; i-- > from;) {
		uint32_t n = chunk_bytes(&l->chunks[i]);
		uint8_t *bytes = malloc(n);

		if (!shard_writer_has(w, i)) {
			ck_assert_int_eq(chunk_from_gguf(g, &shape, &l->chunks[i], bytes, &err), 0);
			ck_assert_msg(shard_writer_put(w, i, bytes, n, &err) == 0, "%s", err.msg);
		}
		free(bytes);
	}
}

static const char *
path_of_shard(void)
{
	static char p[128];

	snprintf(p, sizeof p, "%s/a.shard", dir);
	return p;
}

START_TEST(shards_come_back)
{
	struct gguf *g = gguf_open(path, &err);
	struct shard_header h;
	struct chunk_list l;
	struct shard_writer *w;
	struct shard *s;

	make_header(g, 1, &h, &l);
	w = shard_writer_open(path_of_shard(), &h, &l, &err);
	fill(g, &l, w, l.n / 2);
	ck_assert_int_eq(shard_writer_finish(w, &err), -1); /* not whole: never taken for it */
	ck_assert_int_ne(access(path_of_shard(), F_OK), 0);
	shard_writer_free(w);

	w = shard_writer_open(path_of_shard(), &h, &l, &err); /* goes on where it stood */
	ck_assert_uint_eq(shard_writer_missing(w), l.n / 2);
	for (uint32_t i = 0; i < l.n; i++)
		ck_assert_int_eq(shard_writer_has(w, i), i >= l.n / 2);
	fill(g, &l, w, 0);
	ck_assert_msg(shard_writer_finish(w, &err) == 0, "%s", err.msg);
	shard_writer_free(w);

	s = shard_open(path_of_shard(), true, &err);
	ck_assert_msg(s != NULL, "%s", err.msg);
	/* Byte for byte what the model gives; test_shard.c looks at what that is. */
	for (uint32_t i = 0; i < h.n_extents; i++)
		ck_assert_mem_eq(shard_header(s)->extents[i].hash, h.extents[i].hash, SHARD_HASH);
	shard_close(s);
	chunk_list_free(&l);
	shard_header_free(&h);
	gguf_close(g);
}
END_TEST

START_TEST(damaged_shards_are_found)
{
	struct gguf *g = gguf_open(path, &err);
	struct shard_header h;
	struct chunk_list l;
	struct shard_writer *w;
	uint32_t n, hurt;
	FILE *f;
	int c;

	make_header(g, 2, &h, &l);
	w = shard_writer_open(path_of_shard(), &h, &l, &err);
	fill(g, &l, w, 0);
	ck_assert_int_eq(shard_writer_finish(w, &err), 0);
	shard_writer_free(w);
	f = fopen(path_of_shard(), "r+");
	fseek(f, (long)h.extents[3].offset + 5, SEEK_SET);
	c = fgetc(f);
	fseek(f, -1, SEEK_CUR);
	fputc(c ^ 4, f);
	fclose(f);
	ck_assert_ptr_null(shard_open(path_of_shard(), true, &err));
	ck_assert_ptr_nonnull(strstr(err.msg, "extent 3"));
	w = shard_writer_open(path_of_shard(), &h, &l, &err); /* only the damaged one is missing */
	hurt = l.first[3];
	ck_assert_uint_eq(shard_writer_missing(w), 1);
	ck_assert(!shard_writer_has(w, hurt) && shard_writer_has(w, hurt + 1));
	/* Bytes with a wrong hash are not taken, nor too few of them, nor those of no chunk. */
	n = chunk_bytes(&l.chunks[hurt]);
	uint8_t *bytes = malloc(n);

	ck_assert_int_eq(chunk_from_gguf(g, &shape, &l.chunks[hurt], bytes, &err), 0);
	ck_assert_int_eq(shard_writer_put(w, hurt, bytes, n - 1, &err), SHARD_WRONG);
	bytes[n / 2] ^= 1;
	ck_assert_int_eq(shard_writer_put(w, hurt, bytes, n, &err), SHARD_WRONG);
	ck_assert_uint_eq(shard_writer_missing(w), 1);
	ck_assert_int_eq(shard_writer_put(w, l.n, bytes, 1, &err), -1);
	bytes[n / 2] ^= 1;
	ck_assert_int_eq(shard_writer_put(w, hurt, bytes, n, &err), 0);
	ck_assert_int_eq(shard_writer_finish(w, &err), 0);
	free(bytes);
	shard_writer_free(w);
	chunk_list_free(&l);
	shard_header_free(&h);
	gguf_close(g);
}
END_TEST

START_TEST(headers_are_checked)
{
	struct gguf *g = gguf_open(path, &err);
	struct shard_header h, back;
	struct chunk_list l;
	struct buf b;

	make_header(g, 0, &h, &l);
	chunk_list_free(&l);
	buf_init(&b, 0);
	ck_assert_int_eq(shard_header_write(&h, &b), 0);
	ck_assert_msg(shard_header_parse(b.data, b.len, &back, &err) == 0, "%s", err.msg);
	ck_assert_uint_eq(back.n_extents, h.n_extents);
	ck_assert_uint_eq(back.file_bytes, h.file_bytes);
	shard_header_free(&back);
	for (size_t len = 0; len < b.len; len += 7) {
		uint8_t *copy = malloc(len + 1);

		memcpy(copy, b.data, len);
		ck_assert_int_eq(shard_header_parse(copy, len, &back, &err), -1);
		free(copy);
	}
	/* Whoever makes a header can make its hash too: what it says must be checked all the same. */
	for (size_t at = 8; at < b.len - SHARD_HASH; at++) {
		uint8_t was = b.data[at];

		b.data[at] = (uint8_t)(at % 2 == 0 ? 0xff : was + 1);
		crypto_generichash(b.data + b.len - SHARD_HASH, SHARD_HASH, b.data,
			b.len - SHARD_HASH, NULL, 0);
		if (shard_header_parse(b.data, b.len, &back, &err) == 0) {
			/* Nor does a list of its chunks take more than it may. */
			if (chunk_list_plan(&back, CHUNK_SIZE_MIN, &l, &err) == 0) {
				ck_assert_uint_le(l.n, CHUNK_LIST_MAX);
				chunk_list_free(&l);
			}
			shard_header_free(&back);
		}
		b.data[at] = was;
	}
	buf_free(&b);
	shard_header_free(&h);
	gguf_close(g);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("files");
	TCase *t = tcase_create("files");
	SRunner *r;
	int failed;

	snprintf(path, sizeof path, "%s/../shared/models/stories260K.gguf",
		getenv("SHOAL_SRCDIR") != NULL ? getenv("SHOAL_SRCDIR") : ".");
	if (access(path, R_OK) != 0) {
		printf("SKIP files: ../shared is not there\n");
		return 77;
	}
	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, cut_files_are_refused);
	tcase_add_test(t, changed_files_do_no_harm);
	tcase_add_test(t, slices_tile_the_model);
	tcase_add_test(t, shards_come_back);
	tcase_add_test(t, damaged_shards_are_found);
	tcase_add_test(t, headers_are_checked);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
