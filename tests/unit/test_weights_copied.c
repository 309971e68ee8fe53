/* Weights that are copied out of the shard: when they are, that they are the same, and what happens
 * when the file cannot be read. */
#include "config.h"

#include "model/huge.h"
#include "model/shard_int.h"
#include "model/weights_copied.h"
#include "model/weights_meanwhile.h"
#include "model/window.h"
#include "tests/support/shard_fixture.h"
#include "tests/support/shared_dir.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MB (1ull << 20)

static void
setup(void)
{
	shard_setup();
	use_model("qwen3moe-nano-q4_k_m"); /* more than one chunk */
	ck_assert_msg(make(NULL, NULL) == 0, "%s", err.msg);
}

/* --- when --------------------------------------------------------------------------------------- */

START_TEST(places_have_names)
{
	enum weights_place p = WEIGHTS_AUTO;

	ck_assert_int_eq(weights_place_parse("weights", "copied", &p, &err), 0);
	ck_assert_int_eq(p, WEIGHTS_COPIED);
	ck_assert_int_eq(weights_place_parse("weights", "mapped", &p, &err), 0);
	ck_assert_int_eq(p, WEIGHTS_MAPPED);
	ck_assert_int_eq(weights_place_parse("weights", "auto", &p, &err), 0);
	ck_assert_int_eq(p, WEIGHTS_AUTO);
	ck_assert_int_eq(weights_place_parse("weights", "copy", &p, &err), -1);
	ck_assert_str_eq(err.msg, "weights: 'copy' is none of: auto mapped copied");
}
END_TEST

START_TEST(auto_copies_where_it_does_no_harm)
{
	static const struct {
		enum weights_place place;
		uint64_t bytes, memory, available;
		bool huge, copies;
	} c[] = {
		{WEIGHTS_AUTO, 600 * MB, 750 * MB, 750 * MB, true, true},
		{WEIGHTS_AUTO, 600 * MB, 749 * MB, 8000 * MB, true, false}, /* the budget */
		{WEIGHTS_AUTO, 600 * MB, 8000 * MB, 749 * MB, true, false}, /* the machine */
		{WEIGHTS_AUTO, 600 * MB, 8000 * MB, 8000 * MB, false, false},
		{WEIGHTS_AUTO, 31 * MB, 8000 * MB, 8000 * MB, true, false},
		{WEIGHTS_AUTO, 32 * MB, 8000 * MB, 8000 * MB, true, true},
		{WEIGHTS_AUTO, 600 * MB, UINT64_MAX, UINT64_MAX, true, false}, /* unknown */
		{WEIGHTS_MAPPED, 600 * MB, 8000 * MB, 8000 * MB, true, false},
		{WEIGHTS_COPIED, 6 * MB, 6 * MB, 1 * MB, false, true},
		{WEIGHTS_COPIED, 6 * MB, 5 * MB, 8000 * MB, true, false},
	};

	for (size_t i = 0; i < sizeof c / sizeof *c; i++)
		ck_assert_msg(weights_place_copies(c[i].place, c[i].bytes, c[i].memory,
				      c[i].available, c[i].huge) == c[i].copies,
			"case %zu", i);
}
END_TEST

/* --- memory ------------------------------------------------------------------------------------- */

START_TEST(huge_memory_is_zeros_on_a_boundary)
{
	static const size_t sizes[] = {1, 65536, 3 * MB + 12345, 8 * MB};

	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		char *p = huge_map(sizes[i]);

		ck_assert_ptr_nonnull(p);
		ck_assert_uint_eq((uintptr_t)p % (2 * MB), 0);
		ck_assert_int_eq(p[0], 0);
		ck_assert_int_eq(p[sizes[i] - 1], 0);
		memset(p, 7, sizes[i]);
		huge_unmap(p, sizes[i]);
	}
	huge_settle(60000, 0); /* returns at once: nothing is left */
	ck_assert_ptr_null(huge_map(0));
	ck_assert_ptr_null(huge_map(SIZE_MAX - 100));
	huge_unmap(NULL, 0);
}
END_TEST

/* --- the copy ----------------------------------------------------------------------------------- */

static void
check_same(const struct matrix *got, const struct matrix *want)
{
	size_t groups = (want->rows + TILE_ROWS - 1) / TILE_ROWS;

	ck_assert_int_eq(got->dtype, want->dtype);
	ck_assert_uint_eq(got->rows, want->rows);
	ck_assert_uint_eq(got->cols, want->cols);
	ck_assert_int_eq(got->layout, want->layout);
	ck_assert_int_eq(got->data == NULL, want->data == NULL);
	if (want->data == NULL)
		return;
	ck_assert_ptr_ne(got->data, want->data);
	ck_assert_int_eq(memcmp(got->data, want->data,
				 want->layout == LAYOUT_TILES ? groups * want->stride
							      : want->cols * sizeof(float)),
		0);
}

static void
check_unit(struct weight_source *got, struct weight_source *want, enum unit_kind kind,
	uint32_t layer, uint32_t expert)
{
	const struct unit *a = got->acquire(got, kind, layer, expert, &err);
	const struct unit *b = want->acquire(want, kind, layer, expert, &err);

	ck_assert_ptr_nonnull(a);
	ck_assert_ptr_nonnull(b);
	for (const enum tensor_role *r = unit_roles(kind); *r != TENSOR_ROLES; r++)
		check_same(&a->t[*r], &b->t[*r]);
	got->release(got, a);
	want->release(want, b);
}

START_TEST(every_tensor_is_the_same)
{
	struct shard *s = open_shard();
	struct weight_source *mapped = weights_from_shard(s, g, &err);
	struct weight_source *copied = weights_copied(s, g, _i, NULL, NULL, &err);

	ck_assert_ptr_nonnull(mapped);
	ck_assert_msg(copied != NULL, "%s", err.msg);
	for (uint32_t i = 0; i < shape.layers; i++) {
		check_unit(copied, mapped, UNIT_ATTN, i, 0);
		check_unit(copied, mapped, UNIT_FFN, i, 0);
		for (uint32_t e = 0; e < shape.experts; e++)
			check_unit(copied, mapped, UNIT_EXPERT, i, e);
	}
	check_unit(copied, mapped, UNIT_HEAD, 0, 0);
	ck_assert_ptr_nonnull(
		copied->acquire(copied, UNIT_EMBED, 0, 0, &err)->t[TENSOR_EMBED].data);
	copied->free(copied);
	mapped->free(mapped);
	shard_close(s);
	huge_settle(60000, 0);
}
END_TEST

/* --- while they are in use ---------------------------------------------------------------------- */

static bool
is_of_file(struct weight_source *ws, const struct shard *s)
{
	const struct unit *u = ws->acquire(ws, UNIT_HEAD, 0, 0, &err);
	const uint8_t *data = u->t[TENSOR_OUT].data;

	ws->release(ws, u);
	return data >= shard_data(s) && data < shard_data(s) + shard_header(s)->file_bytes;
}

START_TEST(a_copy_comes_while_weights_are_in_use)
{
	struct shard *s = open_shard();
	struct weight_source *copied = weights_copied(s, g, 1, NULL, NULL, &err);
	struct weight_source *ws = weights_copied_meanwhile(s, g, &err);
	const struct unit *held;
	unsigned turns = 0;

	ck_assert(shard_is_cached(s)); /* it has just been read */
	ck_assert_ptr_nonnull(ws);
	held = ws->acquire(ws, UNIT_EMBED, 0, 0, &err);
	while (ws->moving(ws)) { /* the test's timeout ends it */
		check_unit(ws, copied, UNIT_ATTN, turns++ % shape.layers, 0);
		usleep(100);
	}
	ck_assert(!is_of_file(ws, s));
	ws->release(ws, held);
	for (uint32_t i = 0; i < shape.layers; i++) {
		check_unit(ws, copied, UNIT_ATTN, i, 0);
		check_unit(ws, copied, UNIT_FFN, i, 0);
		for (uint32_t e = 0; e < shape.experts; e++)
			check_unit(ws, copied, UNIT_EXPERT, i, e);
	}
	ws->free(ws);
	copied->free(copied);
	shard_close(s);
	huge_settle(60000, 0);
}
END_TEST

/* Only where memory has room for what is mapped, too, is it used meanwhile. */
START_TEST(a_copy_is_waited_for_where_memory_is_scarce)
{
	struct shard *s = open_shard();
	uint64_t all = window_weights_all(shard_header(s));
	struct weight_source *ws = weights_copied_soon(s, g, 2 * all - 1, 1, NULL, NULL, &err);

	ck_assert_ptr_nonnull(ws);
	ck_assert(ws->moving == NULL && !is_of_file(ws, s));
	ws->free(ws);
	ck_assert(shard_is_cached(s));
	ws = weights_copied_soon(s, g, 2 * all, 1, NULL, NULL, &err);
	ck_assert_ptr_nonnull(ws);
	ck_assert(ws->moving != NULL);
	ws->free(ws); /* whether the thread is still at it or not */
	shard_close(s);
	huge_settle(60000, 0);
}
END_TEST

START_TEST(a_copy_that_fails_is_none)
{
	struct shard *s = open_shard();
	struct weight_source *ws;

	ck_assert_int_eq(truncate(file, (off_t)shard_header(s)->file_bytes - 4096), 0);
	ws = weights_copied_meanwhile(s, g, &err);
	ck_assert_ptr_nonnull(ws);
	while (ws->moving(ws))
		usleep(100);
	ck_assert(is_of_file(ws, s));
	ws->free(ws);
	shard_close(s);
	huge_settle(60000, 0);
}
END_TEST

START_TEST(a_file_that_was_cut_off_is_an_error)
{
	struct shard *s = open_shard();

	ck_assert_int_eq(truncate(file, 300000), 0);
	ck_assert_ptr_null(weights_copied(s, g, _i, NULL, NULL, &err));
	ck_assert_msg(
		strstr(err.msg, file) != NULL && strstr(err.msg, "cut off") != NULL, "%s", err.msg);
	shard_close(s);
}
END_TEST

static int
stop_at_once(void *arg, uint64_t done, uint64_t total)
{
	uint64_t *seen = arg;

	ck_assert_uint_le(done, total);
	*seen = done;
	return 1;
}

START_TEST(copying_can_be_given_up)
{
	struct shard *s = open_shard();
	uint64_t seen = 0;

	ck_assert_ptr_null(weights_copied(s, g, 1, stop_at_once, &seen, &err));
	ck_assert_msg(strstr(err.msg, "given up") != NULL, "%s", err.msg);
	ck_assert_uint_gt(seen, 0);
	shard_close(s);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("weights_copied");
	TCase *plain = tcase_create("when"), *copy = tcase_create("copy");
	SRunner *r;
	int failed;

	if (shared_file("models/llama-nano-q4_0.gguf") == NULL) {
		puts("SKIP: ../shared/models is not there");
		return 77;
	}
	tcase_add_test(plain, places_have_names);
	tcase_add_test(plain, auto_copies_where_it_does_no_harm);
	tcase_add_test(plain, huge_memory_is_zeros_on_a_boundary);
	tcase_add_checked_fixture(copy, setup, shard_teardown);
	tcase_add_test(copy, a_copy_comes_while_weights_are_in_use);
	tcase_add_test(copy, a_copy_is_waited_for_where_memory_is_scarce);
	tcase_add_test(copy, a_copy_that_fails_is_none);
	tcase_add_loop_test(copy, every_tensor_is_the_same, 1, 4);
	tcase_add_loop_test(copy, a_file_that_was_cut_off_is_an_error, 1, 3);
	tcase_add_test(copy, copying_can_be_given_up);
	suite_add_tcase(s, plain);
	suite_add_tcase(s, copy);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
