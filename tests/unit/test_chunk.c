/* Chunks: that they are the same out of the model and out of every shard that has them, however it is
 * cut; that together they make the shard; and that a slice that grows needs what is new. */
#include "model/shard_writer.h"
#include "model/shelf.h"
#include "tests/support/shard_fixture.h"
#include "tests/support/shared_dir.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char *const models[] = {"stories260K", "llama-nano-q4_0", "llama-nano-q4_k_m",
	"llama-nano-q6_k", "llama-nano-iq4_nl", "qwen3-nano-q4_k_m", "qwen3moe-nano-q4_0"};
enum { MODELS = sizeof models / sizeof *models, PEERS = 3 };

struct part { /* a slice, and what a shard of it is made of */
	struct slice slice;
	struct shard_header h;
	struct chunk_list l;
};

static void
part_make(struct part *p, const struct slice *sl)
{
	p->slice = *sl;
	ck_assert_msg(chunk_list_from_gguf(
			      g, &shape, sl, CHUNK_SIZE_MIN, &p->h, &p->l, NULL, NULL, &err) == 0,
		"%s", err.msg);
}

static void
part_free(struct part *p)
{
	chunk_list_free(&p->l);
	shard_header_free(&p->h);
}

static void
cut_for(const float *shares, uint32_t rank, struct part *p)
{
	struct slice sl[PEERS];

	ck_assert_msg(slice_cut(&shape, shares, PEERS, sl, &err) == 0, "%s", err.msg);
	part_make(p, &sl[rank]);
}

static uint8_t *
bytes_of(const struct chunk *c)
{
	uint8_t *bytes = malloc(chunk_bytes(c));

	ck_assert_int_eq(chunk_check(c, &shape, &err), 0);
	ck_assert_msg(chunk_from_gguf(g, &shape, c, bytes, &err) == 0, "%s", err.msg);
	return bytes;
}

/* --- what they are ------------------------------------------------------------------------------ */

static void
check_hashes(const struct part *p)
{
	uint64_t extents = 0, chunks = 0;
	uint8_t hash[SHARD_HASH];

	for (uint32_t i = 0; i < p->l.n; i++) {
		uint8_t *bytes = bytes_of(&p->l.chunks[i]);

		chunk_hash(bytes, chunk_bytes(&p->l.chunks[i]), hash);
		ck_assert_mem_eq(hash, p->l.hashes[i], SHARD_HASH);
		ck_assert(chunk_in_slice(&p->l.chunks[i], &shape, &p->slice));
		chunks += chunk_bytes(&p->l.chunks[i]);
		free(bytes);
	}
	for (uint32_t i = 0; i < p->h.n_extents; i++)
		extents += p->h.extents[i].bytes;
	/* Nothing twice; lines are filled with less than 64 zeros. */
	ck_assert_uint_le(chunks, extents);
}

/* From last to first, into a file. */
static void
write_shard(const struct part *p, const char *to)
{
	struct shard_writer *w = shard_writer_open(to, &p->h, &p->l, &err);

	ck_assert_msg(w != NULL, "%s", err.msg);
	for (uint32_t i = p->l.n; i-- > 0;) {
		uint8_t *bytes = bytes_of(&p->l.chunks[i]);

		ck_assert_msg(
			shard_writer_put(w, i, bytes, chunk_bytes(&p->l.chunks[i]), &err) == 0,
			"%s", err.msg);
		free(bytes);
	}
	ck_assert_msg(shard_writer_finish(w, &err) == 0, "%s", err.msg);
	shard_writer_free(w);
}

START_TEST(chunks_make_the_shard)
{
	static const float shares[PEERS] = {3, 2, 4};
	struct shard_header h;
	struct part p;

	use_model(models[_i]);
	for (uint32_t rank = 0; rank < PEERS; rank++) {
		cut_for(shares, rank, &p);
		check_hashes(&p);
		write_shard(&p, file);
		shard_close(open_shard()); /* every extent's hash is right */
		ck_assert_int_eq(
			shard_header_from_gguf(g, &shape, &p.slice, &h, NULL, NULL, &err), 0);
		for (uint32_t i = 0; i < h.n_extents; i++)
			ck_assert_mem_eq(h.extents[i].hash, p.h.extents[i].hash, SHARD_HASH);
		shard_header_free(&h);
		unlink(file);
		part_free(&p);
	}
}
END_TEST

/* --- the same from everybody -------------------------------------------------------------------- */

/* How many bytes of p the shard has; those are the same as out of the model. */
static uint64_t
compare(const struct part *p, const struct shard *s)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < p->l.n; i++) {
		const struct chunk *c = &p->l.chunks[i];
		uint32_t len = chunk_bytes(c);
		uint8_t *want, *got = malloc(len);

		if (!chunk_in_slice(c, &shape, &shard_header(s)->slice)) {
			ck_assert_int_eq(chunk_from_shard(s, c, got, &err), -1);
			free(got);
			continue;
		}
		want = bytes_of(c);
		ck_assert_msg(chunk_from_shard(s, c, got, &err) == 0, "%s", err.msg);
		ck_assert_mem_eq(got, want, len);
		n += len;
		free(want);
		free(got);
	}
	return n;
}

START_TEST(every_shard_gives_the_same)
{
	static const float shares[][PEERS] = {{3, 2, 4}, {1, 1, 1}, {7, 1, 5}};
	uint64_t whole, common = 0;
	struct part a, b;
	struct shard *s;

	use_model(models[_i]);
	ck_assert_int_eq(make(NULL, NULL), 0);
	s = open_shard();
	cut_for(shares[0], 1, &a);
	whole = compare(&a, s);
	for (uint32_t i = 0; i < a.l.n; i++)
		whole -= chunk_bytes(&a.l.chunks[i]);
	ck_assert_uint_eq(whole, 0); /* all of it is there */
	shard_close(s);
	unlink(file);
	for (int k = 1; k < 3; k++)
		for (uint32_t rank = 0; rank < PEERS; rank++) {
			cut_for(shares[k], rank, &b);
			write_shard(&b, file);
			s = open_shard();
			common += compare(&a, s);
			shard_close(s);
			unlink(file);
			part_free(&b);
		}
	ck_assert_uint_gt(common, 0);
	part_free(&a);
}
END_TEST

/* --- what is sent when a slice grows ------------------------------------------------------------ */

static uint64_t
bytes_in(const struct chunk_list *l)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < l->n; i++)
		n += chunk_bytes(&l->chunks[i]);
	return n;
}

/* The chunks of one list that stand in another one, too. */
static uint32_t
in_common(const struct chunk_list *a, const struct chunk_list *b)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < a->n; i++)
		for (uint32_t k = 0; k < b->n; k++)
			n += memcmp(&a->chunks[i], &b->chunks[k], sizeof *a->chunks) == 0 &&
			     memcmp(a->hashes[i], b->hashes[k], SHARD_HASH) == 0;
	return n;
}

START_TEST(growing_needs_what_is_new)
{
	struct slice whole, less, more;
	struct shard_writer *w;
	struct part a, b;
	struct shelf *shelf;
	char other[sizeof dir + 16], own[sizeof dir + 32];
	uint64_t copied, edge;

	use_model("llama-nano-q4_0");
	whole = slice_whole(&shape);
	less = more = whole;
	less.peers = more.peers = 2;
	less.kv_heads = more.kv_heads = shape.kv_heads / 2;
	less.ffn = shape.ffn / 2 / 32 * 32;
	more.ffn = less.ffn + 64;
	less.vocab = 100; /* no multiple of a row group */
	more.vocab = 132;
	part_make(&a, &less);
	part_make(&b, &more);
	write_shard(&a, file);
	snprintf(other, sizeof other, "%s/b.shard", dir);
	snprintf(own, sizeof own, "%s.part", other);
	w = shard_writer_open(other, &b.h, &b.l, &err);
	shelf = shelf_open(dir, b.h.model_id, true, own);
	ck_assert_uint_eq(shelf_size(shelf), 1);
	copied = shard_writer_copy(w, shelf);
	/* All but what is new, and one chunk of each tensor, in which the old edge lies. */
	edge = (uint64_t)b.h.n_extents * CHUNK_SIZE_MIN;
	ck_assert_uint_ge(copied + (bytes_in(&b.l) - bytes_in(&a.l)) + edge, bytes_in(&b.l));
	ck_assert_uint_gt(copied, bytes_in(&a.l) / 2);
	ck_assert_uint_gt(shard_writer_missing(w), 0);
	ck_assert_uint_gt(in_common(&a.l, &b.l), a.l.n / 2);
	shelf_close(shelf);
	shard_writer_free(w);
	part_free(&a);
	part_free(&b);
}
END_TEST

/* Rows of the vocabulary begin anywhere, also in the middle of a row group of another shard. */
START_TEST(rows_may_begin_anywhere)
{
	struct slice sl = slice_whole(&shape);
	struct part p, q;
	struct shard *s;
	uint64_t n = 0;

	sl.peers = 2;
	sl.vocab0 = 3;
	sl.vocab = shape.vocab - 8;
	part_make(&p, &sl);
	write_shard(&p, file);
	s = open_shard();
	for (uint32_t from = 3; from < 40; from += 5) {
		sl.vocab0 = from;
		sl.vocab = 61;
		part_make(&q, &sl);
		n += compare(&q, s);
		part_free(&q);
	}
	ck_assert_uint_gt(n, 0);
	shard_close(s);
	part_free(&p);
}
END_TEST

/* --- lists -------------------------------------------------------------------------------------- */

START_TEST(lists_come_back)
{
	static const float shares[PEERS] = {1, 1, 1};
	struct chunk_list l;
	struct part p, q;
	struct buf b;

	cut_for(shares, 0, &p);
	cut_for(shares, 1, &q);
	buf_init(&b, 0);
	ck_assert_int_eq(chunk_list_write(&p.l, &b), 0);
	ck_assert_msg(chunk_list_parse(b.data, b.len, &p.h, &l, &err) == 0, "%s", err.msg);
	ck_assert_uint_eq(l.n, p.l.n);
	ck_assert_mem_eq(l.chunks, p.l.chunks, l.n * sizeof *l.chunks);
	ck_assert_mem_eq(l.hashes, p.l.hashes, l.n * sizeof *l.hashes);
	chunk_list_free(&l);
	for (size_t len = 0; len < b.len; len++)
		ck_assert_int_eq(chunk_list_parse(b.data, len, &p.h, &l, &err), -1);
	b.data[60] ^= 1;
	ck_assert_int_eq(chunk_list_parse(b.data, b.len, &p.h, &l, &err), -1);
	ck_assert_ptr_nonnull(strstr(err.msg, "hash is wrong"));
	buf_free(&b);
	part_free(&p);
	part_free(&q);
}
END_TEST

START_TEST(sizes_fit_the_model)
{
	ck_assert_uint_eq(chunk_size(0), CHUNK_SIZE_MIN);
	ck_assert_uint_eq(chunk_size(1u << 20), CHUNK_SIZE_MIN);
	ck_assert_uint_eq(chunk_size(637u << 20), 256u << 10);
	ck_assert_uint_eq(chunk_size(1ull << 40), CHUNK_SIZE_MAX);
}
END_TEST

START_TEST(what_is_no_chunk)
{
	struct chunk good = {TENSOR_GATE, 0, 0, DTYPE_Q4_0, 0, 16, 0, 32}, c = good;

	ck_assert_int_eq(chunk_check(&good, &shape, &err), 0);
	c.role = TENSOR_EMBED;
	ck_assert_int_eq(chunk_check(&c, &shape, &err), -1);
	c.role = UINT32_MAX;
	ck_assert_int_eq(chunk_check(&c, &shape, &err), -1);
	c = good;
	c.layer = shape.layers;
	ck_assert_int_eq(chunk_check(&c, &shape, &err), -1);
	c = good;
	c.rows = UINT32_MAX;
	ck_assert_int_eq(chunk_check(&c, &shape, &err), -1);
	c = good;
	c.row0 = UINT32_MAX;
	ck_assert_int_eq(chunk_check(&c, &shape, &err), -1);
	c = good;
	c.col0 = 16;
	ck_assert_int_eq(chunk_check(&c, &shape, &err), -1);
	c = good;
	c.cols = shape.embd + 32;
	ck_assert_int_eq(chunk_check(&c, &shape, &err), -1);
	c = good;
	c.dtype = DTYPE_COUNT;
	ck_assert_int_eq(chunk_check(&c, &shape, &err), -1);
	c = (struct chunk){TENSOR_ATTN_NORM, 0, 0, DTYPE_F32, 0, 1, 0, shape.embd};
	ck_assert_int_eq(chunk_check(&c, &shape, &err), 0);
	c.rows = 2;
	ck_assert_int_eq(chunk_check(&c, &shape, &err), -1);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("chunk");
	TCase *t = tcase_create("chunk");
	SRunner *r;
	int failed;

	if (shared_file("models/stories260K.gguf") == NULL) {
		printf("SKIP chunk: ../shared is not there\n");
		return TEST_SKIPPED;
	}
	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, shard_setup, shard_teardown);
	tcase_add_loop_test(t, chunks_make_the_shard, 0, MODELS);
	tcase_add_loop_test(t, every_shard_gives_the_same, 0, MODELS);
	tcase_add_test(t, growing_needs_what_is_new);
	tcase_add_test(t, rows_may_begin_anywhere);
	tcase_add_test(t, lists_come_back);
	tcase_add_test(t, sizes_fit_the_model);
	tcase_add_test(t, what_is_no_chunk);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
