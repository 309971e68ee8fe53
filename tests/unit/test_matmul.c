/* How matmul_run hands out matrices: every row once, in items that suit the set, the input and the threads (the set is of
 * this test's, and notes what it is called with); and activations as bytes. */
#include "config.h"

#include "kernels/kernels.h"
#include "kernels/pool.h"

#include <check.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_ROWS = 8192, MANY_ROWS = 128, MANY_COLUMNS = 24 };

static _Atomic uint32_t done[MOST_ROWS]; /* how often each row was */
static _Atomic uint32_t calls, largest;

static void
note(const struct matrix *w, uint32_t r0, uint32_t r1, const struct act *x, float *out,
	size_t out_stride)
{
	uint32_t most = atomic_load(&largest);

	(void)x;
	(void)out;
	(void)out_stride;
	if (r0 % TILE_ROWS != 0 || r1 <= r0 || r1 > w->rows ||
		(r1 % TILE_ROWS != 0 && r1 != w->rows))
		abort();
	for (uint32_t r = r0; r < r1; r++)
		atomic_fetch_add(&done[r], 1);
	atomic_fetch_add(&calls, 1);
	while (most < r1 - r0 && !atomic_compare_exchange_weak(&largest, &most, r1 - r0))
		;
}

static const struct kernels set = {
	.name = "noting",
	.matmul = {[DTYPE_Q4_0] = note, [DTYPE_F16] = note},
	.many_rows = MANY_ROWS,
	.many_columns = MANY_COLUMNS,
};

/* Hands out matrices of so many rows each, and tells the largest item. */
static uint32_t
hand_out(enum dtype type, const uint32_t *rows, uint32_t n, uint32_t columns, unsigned threads)
{
	struct matrix w[4];
	struct matmul_job jobs[4] = {0};
	const struct act x = {.rows = columns, .cols = 256};
	struct err err;
	struct pool *p = pool_new(threads, &err);

	ck_assert_ptr_nonnull(p);
	calls = largest = 0;
	for (uint32_t r = 0; r < MOST_ROWS; r++)
		done[r] = 0;
	for (uint32_t i = 0; i < n; i++) {
		w[i] = (struct matrix){type, rows[i], 256, 0, NULL, LAYOUT_TILES};
		jobs[i].w = &w[i];
	}
	matmul_run(&set, p, jobs, n, &x);
	for (uint32_t r = 0; r < MOST_ROWS; r++) {
		uint32_t want = 0;

		for (uint32_t i = 0; i < n; i++)
			want += r < rows[i];
		ck_assert_uint_eq(done[r], want);
	}
	pool_free(p);
	return largest;
}

START_TEST(every_row_is_done_once)
{
	static const uint32_t rows[][3] = {
		{1, 16, 17}, {31, 32, 33}, {127, 128, 129}, {2048, 256, 256}, {5632, 5000, 8192}};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		for (uint32_t columns = 1; columns < 100; columns += 49)
			for (unsigned threads = 1; threads < 5; threads += 3)
				hand_out(DTYPE_Q4_0, rows[i], 3, columns, threads);
}
END_TEST

START_TEST(items_are_large_where_that_pays)
{
	const uint32_t rows[] = {2048}, few[] = {200};

	ck_assert_uint_eq(hand_out(DTYPE_Q4_0, rows, 1, MANY_COLUMNS, 1), MANY_ROWS);
	ck_assert_uint_eq(hand_out(DTYPE_Q4_0, rows, 1, MANY_COLUMNS - 1, 1), 2 * TILE_ROWS);
	ck_assert_uint_eq(hand_out(DTYPE_F16, rows, 1, MANY_COLUMNS, 1), 2 * TILE_ROWS);
	ck_assert_uint_eq(hand_out(DTYPE_Q4_0, few, 1, MANY_COLUMNS, 2), 2 * TILE_ROWS);
}
END_TEST

/* However many take part, each has a few items, so that all end together. */
START_TEST(items_are_smaller_for_more_threads)
{
	const uint32_t rows[] = {2048};
	uint32_t before = MANY_ROWS;

	for (unsigned threads = 1; threads <= 16; threads *= 2) {
		uint32_t now = hand_out(DTYPE_Q4_0, rows, 1, 512, threads);

		ck_assert_uint_le(now, before);
		ck_assert(calls >= 4 * threads || now == 2 * TILE_ROWS);
		before = now;
	}
	ck_assert_uint_eq(before, 2 * TILE_ROWS);
}
END_TEST

/* --- rows as bytes --- */

static void
check_row(const struct act *a, uint32_t row, const int8_t *q, uint32_t cols)
{
	for (uint32_t b = 0, k = 0; b < cols / 32; b++) {
		uint32_t at = row * (cols / 32) + b;
		int32_t half = 0, sum = 0;

		for (uint32_t i = 0; i < 32; i++, k++) {
			ck_assert_int_eq(a->q[row * cols + k], q[k]);
			half += i < 16 ? q[k] : 0;
			sum += q[k];
		}
		ck_assert_int_eq(a->half[at], half);
		ck_assert_int_eq(a->sum[at], sum);
		ck_assert_float_eq(a->d[at], 0.5f + (float)b);
	}
}

START_TEST(rows_come_back_from_their_bytes)
{
	enum { COLS = 96 };
	int8_t q[COLS];
	uint8_t bytes[COLS / 32 * 36];
	struct act a, b;
	struct err err;

	ck_assert_int_eq(act_init(&a, 2, COLS, &err), 0);
	ck_assert_int_eq(act_init(&b, 2, COLS, &err), 0);
	a.cols = b.cols = COLS;
	for (int k = 0; k < COLS; k++)
		a.q[COLS + k] = q[k] = (int8_t)(k * 53 % 255 - 127);
	for (uint32_t i = 0; i < COLS / 32; i++)
		a.d[COLS / 32 + i] = 0.5f + (float)i;
	ck_assert_uint_eq(act_row_bytes(COLS), sizeof bytes);
	act_row_write(&a, 1, bytes);
	act_row_read(&b, 1, bytes);
	check_row(&b, 1, q, COLS);

	bytes[36 + 4 + 1] = bytes[36 + 4 + 17] = 0x80; /* what no quantising gives */
	q[32 + 1] = q[32 + 17] = -127;
	act_row_read(&b, 0, bytes);
	check_row(&b, 0, q, COLS);
	act_deinit(&a);
	act_deinit(&b);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("matmul");
	TCase *tc = tcase_create("items");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_test(tc, every_row_is_done_once);
	tcase_add_test(tc, items_are_large_where_that_pays);
	tcase_add_test(tc, items_are_smaller_for_more_threads);
	tcase_add_test(tc, rows_come_back_from_their_bytes);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed > 0;
}
