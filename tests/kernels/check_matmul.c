/* Matrices times rows of activations, and their quantisation. */
#include "tests/kernels/check.h"

#include "kernels/block.h"
#include "kernels/codes.h"
#include "kernels/core_habit.h"
#include "kernels/plain.h"
#include "kernels/sets.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
fill_weights(uint32_t dtype, uint8_t *data, size_t bytes, bool tiny)
{
	const struct dtype_info *info = dtype_info(dtype);

	for (size_t i = 0; i < bytes; i++)
		data[i] = (uint8_t)rnd();
	for (size_t at = 0; at + info->bytes <= bytes; at += info->bytes) {
		bool small = tiny && rnd() % 20 == 0;
		float scale = small ? 1e-6f : 0.1f, value = rnd_float(1.0f);
		uint16_t half = f32_to_f16(value);
		struct codes c;

		if (dtype == DTYPE_F32) {
			memcpy(data + at, &value, 4);
		} else if (dtype == DTYPE_BF16) {
			data[at + 1] = (uint8_t)((data[at + 1] & 0x80) | 0x3e);
		} else if (dtype == DTYPE_F16) {
			memcpy(data + at, &half, 2);
		} else {
			codes_read(dtype, data + at, &c);
			c.d = dtype == DTYPE_MXFP4
				      ? (uint16_t)(small ? rnd() % 4 : between(110, 130))
				      : f32_to_f16(rnd_float(scale));
			c.m = f32_to_f16(rnd_float(scale));
			codes_write(dtype, &c, data + at);
		}
	}
}

/* Matrices of floats may have any: their sums are joined each FLOAT_SECTION, ways differ where they come in eights. */
static uint32_t
some_cols(uint32_t dtype, int turn)
{
	uint32_t block = dtype_info(dtype)->block;

	if (block > 1)
		return block * between(1, block == 256 ? 5 : 40);
	switch (turn % 4) {
	case 0:
		return between(1, 12);
	case 1:
		return 8 * between(1, 40);
	case 2:
		return FLOAT_SECTION * between(1, 3);
	default:
		return between(1, 300);
	}
}

static const char *
check_matmul(const struct kernels *k, uint32_t dtype)
{
	static char trouble[160];
	const struct core_habit habit = core_habit;
	const char *result = NULL;

	for (int turn = 0; turn < 24 && result == NULL; turn++) {
		/* Whoever made this core: sums are to be the same on all. */
		core_habit = core_habit_of(turn % 2 != 0 ? "GenuineIntel" : "AuthenticAMD");
		/* One, few and so many that weights are expanded for them whatever the type. */
		uint32_t n = turn < 8 ? 1 : turn < 20 ? between(1, 40) : between(57, 70);
		uint32_t rows = turn == 23 && k->many_rows > 0 ? k->many_rows + between(17, 40)
							       : between(1, n > 40 ? 33 : 67);
		uint32_t cols = some_cols(dtype, turn);
		size_t row_bytes = dtype_row_bytes(dtype, cols);
		struct edge w = edge_new(row_bytes * rows),
			    f = edge_new((size_t)n * cols * sizeof(float));
		struct matrix m = {dtype, rows, cols, row_bytes, w.data, LAYOUT_ROWS};
		size_t group = tile_group_bytes(dtype, cols);
		struct edge tiles = edge_new(tile_matrix_bytes(dtype, rows, cols));
		struct matrix mt = {dtype, rows, cols, group, tiles.data, LAYOUT_TILES};
		float *want = guarded_new((size_t)rows * n), *got = guarded_new((size_t)rows * n);
		struct act act = {0};
		struct err err;

		fill_weights(dtype, w.data, w.len, true);
		fill_floats((float *)(void *)f.data, (size_t)n * cols);
		if (act_init(&act, n, cols, &err) != 0)
			exit(2);
		act.rows = n;
		act.cols = cols;
		act.f = (const float *)(const void *)f.data;
		kernels_plain.quantize(&act, 0, n);
		for (uint32_t r = 0; r < rows; r += TILE_ROWS)
			tile_pack(dtype, cols, w.data + r * row_bytes, row_bytes,
				rows - r < TILE_ROWS ? rows - r : TILE_ROWS,
				tiles.data + r / TILE_ROWS * group);
		plain_matmul(&m, 0, rows, &act, want, rows);
		/* In two tiles, as the pool hands them out. */
		uint32_t middle = rows > 16 ? 16 : rows;

		k->matmul[dtype](&mt, 0, middle, &act, got, rows);
		if (middle < rows)
			k->matmul[dtype](&mt, middle, rows, &act, got, rows);
		for (size_t i = 0; i < (size_t)rows * n && result == NULL; i++) {
			if (!same_float(want[i], got[i])) {
				snprintf(trouble, sizeof trouble,
					"%u x %u times %u, value %zu: %a instead of %a", rows, cols,
					n, i, (double)got[i], (double)want[i]);
				result = trouble;
			}
		}
		if (result == NULL && !guarded_ok(got, (size_t)rows * n))
			result = "it wrote outside of its output";
		act_deinit(&act);
		guarded_free(want);
		guarded_free(got);
		edge_free(&w);
		edge_free(&tiles);
		edge_free(&f);
	}
	core_habit = habit;
	return result;
}

static const char *
check_quantize(const struct kernels *k)
{
	for (int turn = 0; turn < 40; turn++) {
		uint32_t n = between(1, 5), cols = between(1, 300), blocks = block_count(cols);
		struct edge f = edge_new((size_t)n * cols * sizeof(float));
		struct act a = {0}, b = {0};
		bool same;
		struct err err;

		fill_floats((float *)(void *)f.data, (size_t)n * cols);
		if (act_init(&a, n, cols, &err) != 0 || act_init(&b, n, cols, &err) != 0)
			exit(2);
		a.rows = b.rows = n;
		a.cols = b.cols = cols;
		a.f = b.f = (const float *)(const void *)f.data;
		kernels_plain.quantize(&a, 0, n);
		k->quantize(&b, 0, n);
		same = memcmp(a.q, b.q, (size_t)n * blocks * BLOCK) == 0 &&
		       memcmp(a.d, b.d, (size_t)n * blocks * sizeof *a.d) == 0 &&
		       memcmp(a.sum, b.sum, (size_t)n * blocks * sizeof *a.sum) == 0 &&
		       memcmp(a.half, b.half, (size_t)n * blocks * sizeof *a.half) == 0;
		act_deinit(&a);
		act_deinit(&b);
		edge_free(&f);
		if (!same)
			return "other bits than plain C";
	}
	return NULL;
}

void
check_matrices(const struct kernels *k)
{
	char name[32];

	report(k->name, "quantize", check_quantize(k));
	for (uint32_t t = 0; t < DTYPE_COUNT; t++) {
		if (kernels_plain.matmul[t] == NULL)
			continue;
		snprintf(name, sizeof name, "matmul %s", dtype_name(t));
		report(k->name, name, k->matmul[t] == NULL ? "is missing" : check_matmul(k, t));
	}
}

/* What rounding may change in a value: it is a difference of terms as large as those of its neighbours (d q - m), so
 * what it is itself says nothing. */
static float
rounding(const float *values, uint32_t i)
{
	float most = 0;

	for (uint32_t j = i / BLOCK * BLOCK; j < (i / BLOCK + 1) * BLOCK; j++)
		most = fabsf(values[j]) > most ? fabsf(values[j]) : most;
	return 1e-5f * most;
}

/* The values a type defines: plain C's product with unit vectors is what dequantize says. */
void
check_meaning(void)
{
	for (uint32_t t = 0; t < DTYPE_COUNT; t++) {
		uint32_t cols = 256;
		size_t bytes = dtype_computed(t) ? dtype_row_bytes(t, cols) : 0;
		const char *trouble = NULL;
		uint8_t row[2048];
		float want[256], x[256], got;
		struct act act;
		struct err err;
		char name[32];

		if (bytes == 0)
			continue;
		fill_weights(t, row, bytes, true);
		dequantize(t, row, want, cols);
		if (act_init(&act, 1, cols, &err) != 0)
			exit(2);
		for (uint32_t i = 0; i < cols && trouble == NULL; i++) {
			struct matrix m = {t, 1, cols, bytes, row};

			memset(x, 0, sizeof x);
			x[i] = 127.0f; /* quantises to 127 times a scale of one */
			act.rows = 1;
			act.cols = cols;
			act.f = x;
			kernels_plain.quantize(&act, 0, 1);
			kernels_plain.matmul[t](&m, 0, 1, &act, &got, 1);
			if (!(fabsf(got - 127.0f * want[i]) <= 127.0f * rounding(want, i)))
				trouble = "its product is not what it decodes to";
		}
		act_deinit(&act);
		snprintf(name, sizeof name, "decode %s", dtype_name(t));
		report("plain", name, trouble);
	}
}
