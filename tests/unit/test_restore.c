/* A model file made again, byte for byte, out of its skeleton and of slices that others hold; what is
 * wrong, missing or damaged is found. */
#include "model/restore.h"

#include "base/file.h"
#include "model/chunk.h"
#include "tests/support/shard_fixture.h"
#include "tests/support/shared_dir.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char *const models[] = {"stories260K", "llama-nano-q4_0", "llama-nano-q4_k_m",
	"llama-nano-q6_k", "qwen3-nano-q4_k_m", "qwen3moe-nano-q4_0"};
enum { MODELS = sizeof models / sizeof *models, PEERS = 3 };

static char skeleton[160], again[160];
static struct skeleton *k;
static struct restore *r;
static struct slice slices[PEERS];

static void
begin(int i)
{
	const float shares[PEERS] = {1, 2, 3};

	use_model(models[i]);
	snprintf(skeleton, sizeof skeleton, "%s/a.skeleton", dir);
	snprintf(again, sizeof again, "%s/again.gguf", dir);
	ck_assert_msg(skeleton_make(g, &shape, "again.gguf", skeleton, NULL, NULL, &err) == 0, "%s",
		err.msg);
	k = skeleton_open(skeleton, true, &err);
	ck_assert_msg(k != NULL, "%s", err.msg);
	r = restore_open(k, again, &err);
	ck_assert_msg(r != NULL, "%s", err.msg);
	ck_assert_int_eq(slice_cut(&shape, shares, PEERS, slices, &err), 0);
}

static void
end(void)
{
	char path[192];

	restore_free(r);
	skeleton_close(k);
	snprintf(path, sizeof path, "%s.part", again);
	unlink(path);
	unlink(again);
	unlink(skeleton);
}

/* Gives all pieces of a chunk that the first n slices have; bad: one of them with a bit turned. false: some
 * of it nobody has. */
static bool
give(uint32_t chunk, uint32_t n, bool bad)
{
	uint32_t lines = restore_lines(r, chunk), end;
	bool whole = true;

	for (uint32_t at = 0; at < lines; at = end) {
		struct chunk c;
		uint8_t *bytes;

		if (!restore_piece(r, chunk, at, slices, n, &c, &end)) {
			whole = false;
			ck_assert_uint_gt(end, at);
			continue;
		}
		ck_assert_uint_gt(end, at);
		bytes = malloc(chunk_bytes(&c));
		ck_assert_int_eq(chunk_check(&c, &shape, &err), 0);
		ck_assert_int_eq(chunk_from_gguf(g, &shape, &c, bytes, &err), 0);
		bytes[0] ^= bad;
		bad = false;
		ck_assert_msg(restore_put(r, &c, bytes, &err) == 0, "%s", err.msg);
		free(bytes);
	}
	return whole;
}

static void
give_all(void)
{
	for (uint32_t i = 0; i < restore_chunks(r)->n; i++)
		if (!restore_has(r, i)) {
			ck_assert(give(i, PEERS, false));
			ck_assert(restore_check(r, i));
		}
}

static void
check_same(void)
{
	struct mapped a, b;

	ck_assert_int_eq(file_map(model, &a, &err), 0);
	ck_assert_int_eq(file_map(again, &b, &err), 0);
	ck_assert_uint_eq(a.len, b.len);
	ck_assert_int_eq(memcmp(a.data, b.data, a.len), 0);
	file_unmap(&a);
	file_unmap(&b);
}

START_TEST(model_is_made_again)
{
	begin(_i);
	ck_assert_uint_gt(restore_missing(r), 0);
	give_all();
	ck_assert_uint_eq(restore_missing(r), 0);
	ck_assert_uint_eq(restore_done(r), restore_total(r));
	ck_assert_msg(restore_finish(r, &err) == 0, "%s", err.msg);
	check_same();
	end();
}
END_TEST

START_TEST(wrong_bytes_are_found_and_mended)
{
	uint32_t i = 0;

	begin(1);
	while (restore_has(r, i))
		i++;
	give(i, PEERS, true);
	ck_assert(!restore_check(r, i));
	ck_assert(!restore_has(r, i));
	ck_assert_int_eq(restore_finish(r, &err), -1);
	give_all();
	ck_assert_int_eq(restore_finish(r, &err), 0);
	check_same();
	end();
}
END_TEST

/* Without the last slice: some chunks are whole all the same; what is there is there the next time. */
START_TEST(goes_on_where_it_was)
{
	uint32_t had = 0, missing;

	begin(2);
	for (uint32_t i = 0; i < restore_chunks(r)->n; i++)
		if (!restore_has(r, i) && give(i, PEERS - 1, false)) {
			ck_assert(restore_check(r, i));
			had++;
		}
	missing = restore_missing(r);
	ck_assert_uint_gt(had, 0);
	ck_assert_uint_gt(missing, 0);
	restore_free(r);
	r = restore_open(k, again, &err);
	ck_assert_msg(r != NULL, "%s", err.msg);
	ck_assert_uint_eq(restore_missing(r), missing);
	give_all();
	ck_assert_int_eq(restore_finish(r, &err), 0);
	check_same();
	end();
}
END_TEST

static void
write_plain(const char *path, const void *data, size_t len)
{
	FILE *f = fopen(path, "wb");

	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(fwrite(data, 1, len, f), len);
	ck_assert_int_eq(fclose(f), 0);
}

/* A skeleton with any byte turned, or cut off anywhere, is no skeleton; nor does looking at one do harm. */
START_TEST(damaged_skeletons_are_refused)
{
	struct buf b;

	begin(0);
	buf_init(&b, 0);
	ck_assert_int_eq(file_read(skeleton, &b, &err), 0);
	for (size_t i = 0; i < b.len; i += i < 400 ? 1 : 997) {
		struct skeleton *bad;

		b.data[i] ^= 0x40;
		write_plain(skeleton, b.data, b.len);
		ck_assert_ptr_null(skeleton_open(skeleton, true, &err));
		skeleton_close(skeleton_open(skeleton, false, &err));
		b.data[i] ^= 0x40;
		write_plain(skeleton, b.data, i + 1);
		bad = skeleton_open(skeleton, true, &err);
		ck_assert(bad == NULL || i + 1 == b.len);
		skeleton_close(bad);
	}
	buf_free(&b);
	end();
}
END_TEST

START_TEST(names_lead_nowhere_else)
{
	use_model("stories260K");
	snprintf(skeleton, sizeof skeleton, "%s/a.skeleton", dir);
	ck_assert_int_eq(skeleton_make(g, &shape, "../a.gguf", skeleton, NULL, NULL, &err), -1);
	ck_assert_int_eq(skeleton_make(g, &shape, ".a", skeleton, NULL, NULL, &err), -1);
	ck_assert_int_eq(skeleton_make(g, &shape, "", skeleton, NULL, NULL, &err), -1);
	ck_assert_int_ne(access(skeleton, F_OK), 0);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("restore");
	TCase *c = tcase_create("restore");
	SRunner *sr;
	int failed;

	if (shared_file("models/stories260K.gguf") == NULL) {
		printf("SKIP restore: ../shared is not there\n");
		return TEST_SKIPPED;
	}
	tcase_set_timeout(c, 120);
	tcase_add_checked_fixture(c, shard_setup, shard_teardown);
	tcase_add_loop_test(c, model_is_made_again, 0, MODELS);
	tcase_add_test(c, wrong_bytes_are_found_and_mended);
	tcase_add_test(c, goes_on_where_it_was);
	tcase_add_test(c, damaged_skeletons_are_refused);
	tcase_add_test(c, names_lead_nowhere_else);
	suite_add_tcase(s, c);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
