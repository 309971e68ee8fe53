/* Q6_K for AVX2: eight rows at a time, a lane each. Both 16-sums of a block of 32 come out of one pass: each
 * row's products are added within their 128-bit half, and the halves are sorted apart at the end. */
#include "kernels/sets.h"

#include "kernels/q6_k.h"

#include <immintrin.h>

#define INLINE static inline __attribute__((always_inline))

/* In avx2.c's table. */
void avx2_matmul_q6_k(const struct matrix *w, uint32_t r0, uint32_t r1, const struct act *x,
	float *out, size_t out_stride);

enum { ROWS = 8, COLS = 4 };

/* What eight rows say of one block of 32 weights. */
struct rows_block {
	__m256i w[ROWS]; /* -32 to 31 */
	__m256 scale[2]; /* d * scale of the first and second 16 weights, per row */
};

INLINE __m256i
weights(const uint8_t *block, uint32_t b)
{
	__m256i lower = _mm256_loadu_si256((const __m256i *)(const void *)q6_k_lower(block, b));
	__m256i upper = _mm256_loadu_si256((const __m256i *)(const void *)q6_k_upper(block, b));

	if (b % 4 / 2 != 0)
		lower = _mm256_srli_epi16(lower, 4);
	upper = _mm256_srl_epi16(upper, _mm_cvtsi32_si128((int)(b % 4 * 2)));
	upper = _mm256_and_si256(upper, _mm256_set1_epi8(3));
	lower = _mm256_and_si256(lower, _mm256_set1_epi8(15));
	return _mm256_sub_epi8(
		_mm256_or_si256(lower, _mm256_slli_epi16(upper, 4)), _mm256_set1_epi8(32));
}

INLINE void
load(const uint8_t *const row[ROWS], size_t at, uint32_t b, __m256 d, struct rows_block *to)
{
	int32_t s[2][ROWS];

	UNROLL
	for (int j = 0; j < ROWS; j++) {
		to->w[j] = weights(row[j] + at, b);
		s[0][j] = q6_k_scale(row[j] + at, b, 0);
		s[1][j] = q6_k_scale(row[j] + at, b, 1);
	}
	UNROLL
	for (int h = 0; h < 2; h++)
		to->scale[h] = _mm256_mul_ps(d, _mm256_cvtepi32_ps(_mm256_loadu_si256(
							(const __m256i *)(const void *)s[h])));
}

/* Sums of the first and of the second 16 products, per row. */
INLINE void
sums(const struct rows_block *rb, const int8_t *q, __m256i out[2])
{
	const __m256i x = _mm256_loadu_si256((const __m256i *)(const void *)q),
		      ones = _mm256_set1_epi16(1);
	__m256i v[ROWS], a, b;

	UNROLL
	for (int j = 0; j < ROWS; j++)
		v[j] = _mm256_madd_epi16(_mm256_maddubs_epi16(_mm256_abs_epi8(rb->w[j]),
						 _mm256_sign_epi8(x, rb->w[j])),
			ones);
	a = _mm256_hadd_epi32(_mm256_hadd_epi32(v[0], v[1]), _mm256_hadd_epi32(v[2], v[3]));
	b = _mm256_hadd_epi32(_mm256_hadd_epi32(v[4], v[5]), _mm256_hadd_epi32(v[6], v[7]));
	out[0] = _mm256_permute2x128_si256(a, b, 0x20);
	out[1] = _mm256_permute2x128_si256(a, b, 0x31);
}

INLINE __m256
scales_of_scales(const uint8_t *const row[ROWS], size_t at)
{
	uint16_t h[ROWS];

	UNROLL
	for (int j = 0; j < ROWS; j++)
		memcpy(&h[j], row[j] + at + Q6_K_D, sizeof(h[j]));
	return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)h));
}

/* Eight rows times columns [c, c + n), n up to COLS. */
static void
tile(const uint8_t *const row[ROWS], uint32_t blocks, const struct act *x, uint32_t c, uint32_t n,
	__m256 f[COLS])
{
	const uint32_t per_row = block_count(x->cols);
	struct rows_block rb;

	for (uint32_t k = 0; k < n; k++)
		f[k] = _mm256_setzero_ps();
	for (uint32_t i = 0; i < blocks; i++) {
		size_t at = (size_t)i * Q6_K_BYTES;
		__m256 d = scales_of_scales(row, at);

		for (uint32_t b = 0; b < Q6_K_BLOCK / BLOCK; b++) {
			load(row, at, b, d, &rb);
			for (uint32_t k = 0; k < n; k++) {
				size_t xb = (size_t)(c + k) * per_row + i * 8 + b;
				__m256 xd = _mm256_set1_ps(x->d[xb]);
				__m256i s[2];

				sums(&rb, x->q + xb * BLOCK, s);
				UNROLL
				for (int h = 0; h < 2; h++)
					f[k] = _mm256_fmadd_ps(_mm256_mul_ps(rb.scale[h], xd),
						_mm256_cvtepi32_ps(s[h]), f[k]);
			}
		}
	}
}

void
avx2_matmul_q6_k(const struct matrix *w, uint32_t r0, uint32_t r1, const struct act *x, float *out,
	size_t out_stride)
{
	for (uint32_t r = r0; r < r1; r += ROWS) {
		uint32_t rows = r1 - r < ROWS ? r1 - r : ROWS;
		const uint8_t *row[ROWS];

		for (uint32_t j = 0; j < ROWS; j++) /* past the last row, the last row again */
			row[j] = w->data + (r + (j < rows ? j : rows - 1)) * w->stride;
		for (uint32_t c = 0; c < x->rows; c += COLS) {
			uint32_t n = x->rows - c < COLS ? x->rows - c : COLS;
			float lanes[ROWS];
			__m256 f[COLS];

			tile(row, w->cols / Q6_K_BLOCK, x, c, n, f);
			for (uint32_t k = 0; k < n; k++) {
				_mm256_storeu_ps(lanes, f[k]);
				memcpy(out + (c + k) * out_stride + r, lanes,
					rows * sizeof(*lanes));
			}
		}
	}
}
