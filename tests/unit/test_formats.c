/* Formats of weights: fields of blocks, tiles, and what small blocks made by hand decode to. */
#include "kernels/block.h"
#include "kernels/codes.h"
#include "kernels/dtype.h"
#include "kernels/kernels.h"
#include "kernels/tiles.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>

static uint64_t state = 88172645463325252u;

static uint8_t
rnd(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint8_t)(state >> 24);
}

static void
fill(uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = rnd();
}

static void
put_half(uint8_t *p, float f)
{
	uint16_t h = f32_to_f16(f);

	memcpy(p, &h, sizeof h);
}

/* --- for every type ----------------------------------------------------------------------------- */

START_TEST(a_block_is_its_codes)
{
	uint32_t t = (uint32_t)_i;
	uint8_t block[256], again[256];
	struct codes c;

	if (!dtype_quantised(t))
		return;
	for (int turn = 0; turn < 200; turn++) {
		fill(block, sizeof block);
		codes_read(t, block, &c);
		codes_write(t, &c, again);
		ck_assert_msg(memcmp(block, again, dtype_info(t)->bytes) == 0,
			"%s: other bytes come back", dtype_name(t));
	}
}
END_TEST

START_TEST(tiles_give_back_their_rows)
{
	static const uint32_t sections[] = {0, 1, 1, 2}, more[] = {2, 0, 1, 3};
	uint32_t t = (uint32_t)_i;
	uint32_t block = dtype_computed(t) ? dtype_info(t)->block : 0;

	for (uint32_t n = 1; block > 0 && n <= TILE_ROWS; n += 5) {
		uint32_t cols = sections[n / 5] * TILE_SECTION + more[n / 5] * block;
		size_t row = dtype_row_bytes(t, cols), stride = row + n;
		uint8_t *rows = malloc(stride * n), *again = malloc(stride * n), one[256];
		uint8_t *group = malloc(tile_group_bytes(t, cols));

		ck_assert(rows != NULL && again != NULL && group != NULL);
		fill(rows, stride * n);
		memcpy(again, rows, stride * n);
		for (uint32_t r = 0; r < n; r++)
			memset(again + r * stride, 0, row);
		tile_pack(t, cols, rows, stride, n, group);
		tile_unpack(t, cols, group, n, again, stride);
		ck_assert_msg(memcmp(rows, again, stride * n) == 0, "%s, %u rows of %u",
			dtype_name(t), n, cols);
		tile_block(t, cols, group, n - 1, cols / block - 1, one);
		ck_assert_mem_eq(one, rows + (n - 1) * stride + row - dtype_info(t)->bytes,
			dtype_info(t)->bytes);
		free(rows);
		free(again);
		free(group);
	}
}
END_TEST

START_TEST(tiles_are_as_large_as_their_rows)
{
	for (uint32_t t = 0; t < DTYPE_COUNT; t++) {
		if (!dtype_computed(t))
			continue;
		ck_assert_uint_eq(
			tile_head_bytes(t) + tile_body_bytes(t), TILE_ROWS * dtype_info(t)->bytes);
		if (dtype_quantised(t))
			ck_assert_uint_eq(tile_body_bytes(t) % TILE_ALIGN, 0);
		ck_assert_uint_eq(tile_group_bytes(t, 1024), TILE_ROWS * dtype_row_bytes(t, 1024));
		ck_assert_uint_eq(tile_matrix_bytes(t, 17, 1024), 2 * tile_group_bytes(t, 1024));
		if (dtype_info(t)->block > 1)
			ck_assert_uint_eq(tile_group_bytes(t, 1000), 0);
	}
	ck_assert_uint_eq(tile_group_bytes(26, 1024), 0); /* I32 */
}
END_TEST

/* --- blocks made by hand ------------------------------------------------------------------------ */

static float
decoded(uint32_t dtype, const uint8_t *block, uint32_t k)
{
	float out[256];

	dequantize(dtype, block, out, dtype_info(dtype)->block);
	return out[k];
}

START_TEST(blocks_of_32)
{
	static const float iq4[16] = {
		-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
	static const float mxfp4[16] = {
		0, 0.5f, 1, 1.5f, 2, 3, 4, 6, 0, -0.5f, -1, -1.5f, -2, -3, -4, -6};
	uint8_t b[64] = {0};

	put_half(b, 0.5f);
	b[2] = 0xf0;
	b[2 + 15] = 0x7a;
	ck_assert_float_eq(decoded(DTYPE_Q4_0, b, 0), -4.0f);
	ck_assert_float_eq(decoded(DTYPE_Q4_0, b, 16), 3.5f);
	ck_assert_float_eq(decoded(DTYPE_Q4_0, b, 15), 1.0f);
	ck_assert_float_eq(decoded(DTYPE_Q4_0, b, 31), -0.5f);
	ck_assert_float_eq(decoded(DTYPE_Q8_0, b, 0), -8.0f);
	for (uint8_t i = 0; i < 16; i++) {
		b[2] = i;
		ck_assert_float_eq(decoded(DTYPE_IQ4_NL, b, 0), 0.5f * iq4[i]);
	}
	put_half(b + 2, -3.0f);
	b[4 + 1] = 0x92;
	ck_assert_float_eq(decoded(DTYPE_Q4_1, b, 1), -2.0f);
	ck_assert_float_eq(decoded(DTYPE_Q4_1, b, 17), 1.5f);
	memset(b + 2, 0, sizeof b - 2);
	b[2 + 2] = 0x02; /* bit 17 */
	b[6 + 1] = 0x30;
	ck_assert_float_eq(decoded(DTYPE_Q5_0, b, 17), 1.5f);
	ck_assert_float_eq(decoded(DTYPE_Q5_0, b, 1), -8.0f);
	put_half(b + 2, 1.0f);
	memset(b + 4, 0, sizeof b - 4);
	b[4] = 0x01;
	b[8] = 0x05;
	ck_assert_float_eq(decoded(DTYPE_Q5_1, b, 0), 0.5f * 21 + 1.0f);
	for (uint8_t i = 0; i < 16; i++) {
		b[0] = 129; /* four */
		b[1] = (uint8_t)(i << 4);
		ck_assert_float_eq(decoded(DTYPE_MXFP4, b, 16), 4.0f * mxfp4[i]);
		b[0] = 0;
		ck_assert_float_eq(decoded(DTYPE_MXFP4, b, 16), 0x1p-127f * mxfp4[i]);
	}
}
END_TEST

START_TEST(ternary_digits)
{
	uint8_t b[66] = {0};

	/* Digits 2 0 1 2 1 of byte 3: as a fraction of 256, rounded up, as the format makes it. */
	b[3] = (uint8_t)(((2 * 81 + 0 * 27 + 1 * 9 + 2 * 3 + 1) * 256 + 242) / 243);
	put_half(b + 52, 2.0f);
	ck_assert_float_eq(decoded(DTYPE_TQ1_0, b, 3), 2.0f);
	ck_assert_float_eq(decoded(DTYPE_TQ1_0, b, 35), -2.0f);
	ck_assert_float_eq(decoded(DTYPE_TQ1_0, b, 67), 0.0f);
	ck_assert_float_eq(decoded(DTYPE_TQ1_0, b, 99), 2.0f);
	ck_assert_float_eq(decoded(DTYPE_TQ1_0, b, 131), 0.0f);
	b[32 + 5] = b[48 + 1] = b[3];
	ck_assert_float_eq(decoded(DTYPE_TQ1_0, b, 160 + 5), 2.0f);
	ck_assert_float_eq(decoded(DTYPE_TQ1_0, b, 160 + 3 * 16 + 5), 2.0f);
	ck_assert_float_eq(decoded(DTYPE_TQ1_0, b, 240 + 1), 2.0f);
	ck_assert_float_eq(decoded(DTYPE_TQ1_0, b, 240 + 4 + 1), -2.0f);
	memset(b, 0, sizeof b);
	b[40] = 0x09; /* 1 and 2 */
	put_half(b + 64, 2.0f);
	ck_assert_float_eq(decoded(DTYPE_TQ2_0, b, 128 + 8), 0.0f);
	ck_assert_float_eq(decoded(DTYPE_TQ2_0, b, 128 + 32 + 8), 2.0f);
	ck_assert_float_eq(decoded(DTYPE_TQ2_0, b, 128 + 64 + 8), -2.0f);
}
END_TEST

START_TEST(blocks_of_256)
{
	uint8_t b[256] = {0};

	/* Q6_K: weight 70 is the high nibble of byte 6 and bits 4, 5 of upper byte 6, scale 4. */
	b[6] = 0xb0;
	b[128 + 6] = 0x20;
	b[192 + 4] = (uint8_t)-3;
	put_half(b + 208, 0.25f);
	ck_assert_float_eq(decoded(DTYPE_Q6_K, b, 70), 0.25f * -3 * (11 + 32 - 32));
	/* Q4_K: scale 5 has its upper bits in byte 1, min 5 in byte 5. */
	memset(b, 0, sizeof b);
	put_half(b, 0.5f);
	put_half(b + 2, 0.25f);
	b[4 + 1] = 0x80;
	b[4 + 5] = 0x40;
	b[4 + 9] = 0x73;
	b[16 + 64 + 9] = 0xc0;
	ck_assert_float_eq(
		decoded(DTYPE_Q4_K, b, 5 * 32 + 9), 0.5f * (2 * 16 + 3) * 12 - 0.25f * (16 + 7));
	/* Q5_K: the same scales; bit 5 of byte 9 of the fifth bits. */
	memset(b + 16, 0, sizeof b - 16);
	b[16 + 9] = 0x20;
	b[48 + 64 + 9] = 0xc0;
	ck_assert_float_eq(decoded(DTYPE_Q5_K, b, 5 * 32 + 9), 0.5f * 35 * (16 + 12) - 0.25f * 23);
	/* Q2_K: weight 200 is bits 4, 5 of byte 32 + 8; run 12. */
	memset(b, 0, sizeof b);
	put_half(b + 80, 0.5f);
	put_half(b + 82, 2.0f);
	b[12] = 0x3f;
	b[16 + 32 + 8] = 0x20;
	ck_assert_float_eq(decoded(DTYPE_Q2_K, b, 200), 0.5f * 15 * 2 - 2.0f * 3);
	/* Q3_K: weight 200 has its upper bit in bit 6 of byte 8; scale 12 is the high nibble of byte
	 * 4 and the upper bits of byte 8. */
	memset(b, 0, sizeof b);
	b[8] = 0x40;
	b[32 + 32 + 8] = 0x20;
	b[96 + 4] = 0x50;
	b[96 + 8] = 0xc0;
	put_half(b + 108, 0.5f);
	ck_assert_float_eq(decoded(DTYPE_Q3_K, b, 200), 0.5f * (48 + 5 - 32) * (4 + 2 - 4));
	/* IQ4_XS: scale 3 is the high nibble of byte 1, upper bits 6, 7. */
	memset(b, 0, sizeof b);
	put_half(b, 0.5f);
	b[2] = 0x80;
	b[4 + 1] = 0x10;
	b[8 + 48 + 2] = 0xf0;
	ck_assert_float_eq(decoded(DTYPE_IQ4_XS, b, 3 * 32 + 18), 0.5f * (32 + 1 - 32) * 113);
}
END_TEST

/* --- activations -------------------------------------------------------------------------------- */

START_TEST(activations_have_their_sums)
{
	const char *const *names = kernels_names();
	float x[70];
	struct act a;
	struct err err;
	struct kernels k;

	for (int i = 0; i < 70; i++)
		x[i] = (float)(i % 13) - 5.5f;
	ck_assert_int_eq(act_init(&a, 1, 70, &err), 0);
	kernels_init(&k, UINT32_MAX & 0);
	ck_assert_str_eq(k.name, "plain");
	a.rows = 1;
	a.cols = 70;
	a.f = x;
	k.quantize(&a, 0, 1);
	for (uint32_t b = 0; b < 3; b++) {
		int32_t sum = 0, half = 0;

		for (uint32_t i = 0; i < 32; i++) {
			sum += a.q[32 * b + i];
			half += i < 16 ? a.q[32 * b + i] : 0;
		}
		ck_assert_int_eq(a.sum[b], sum);
		ck_assert_int_eq(a.half[b], half);
	}
	for (uint32_t i = 70; i < 96; i++)
		ck_assert_int_eq(a.q[i], 0);
	act_deinit(&a);
	ck_assert_ptr_nonnull(names[0]);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("formats");
	TCase *tc = tcase_create("formats");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_loop_test(tc, a_block_is_its_codes, 0, DTYPE_COUNT);
	tcase_add_loop_test(tc, tiles_give_back_their_rows, 0, DTYPE_COUNT);
	tcase_add_test(tc, tiles_are_as_large_as_their_rows);
	tcase_add_test(tc, blocks_of_32);
	tcase_add_test(tc, ternary_digits);
	tcase_add_test(tc, blocks_of_256);
	tcase_add_test(tc, activations_have_their_sums);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
