/* The set for AVX2 with FMA and F16C.
 *
 * Quantised weights, eight rows at a time. One column (decode): each row's products are summed to a
 * few lanes and the eight rows' lanes are transposed and added, so that lane r holds row r's exact
 * integer sum and one fma per block does eight rows. Several columns: the eight rows are first
 * laid out so that a register holds four weights of each row; an activation's four bytes are then
 * broadcast against it and nothing needs transposing any more. */
#include "kernels/vec_avx2.h"

#include "kernels/float_body.h"

enum {
	ROWS = 8, /* rows at a time: a lane each */
	COLS = 4, /* columns at a time */
	CHUNK_BLOCKS =
		32, /* of a row laid out at a time: 9 KB of scratch, in the first-level cache */
	CHUNK_COLS = 64,   /* columns that share one laying out */
	FETCH_AHEAD = 768, /* bytes */
	FETCH_EVERY = 2,   /* blocks: not more than a line of the cache */
	GROUPS = BLOCK / 4 /* registers that hold one block of eight rows */
};

/* --- activations --------------------------------------------------------------------------------- */

static __m256i
to_bytes(const __m256i v[4])
{
	__m256i a = _mm256_packs_epi32(v[0], v[1]), b = _mm256_packs_epi32(v[2], v[3]);

	return _mm256_permutevar8x32_epi32(
		_mm256_packs_epi16(a, b), _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

static inline int32_t
join_max(__m256i v)
{
	__m128i m = _mm_max_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));

	m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0x4e));
	return _mm_cvtsi128_si32(_mm_max_epi32(m, _mm_shuffle_epi32(m, 0xb1)));
}

static inline int32_t
join_sum(__m256i v)
{
	__m128i s = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));

	s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4e));
	return _mm_cvtsi128_si32(_mm_add_epi32(s, _mm_shuffle_epi32(s, 0xb1)));
}

/* 32 floats; see quantize_block() in plain.c for what it means. */
static int32_t
quantize_block(const float *x, int8_t *q, float *d, int32_t *half)
{
	const __m256i positive = _mm256_set1_epi32(0x7fffffff);
	__m256i max = _mm256_setzero_si256(), sum = _mm256_setzero_si256(), v[4];
	float scale, inverse;
	int32_t top;

	UNROLL
	for (int i = 0; i < 4; i++) {
		v[i] = _mm256_loadu_si256((const __m256i *)(const void *)(x + 8 * i));
		max = _mm256_max_epi32(max, _mm256_and_si256(v[i], positive));
	}
	top = join_max(max);
	scale = bits_to_float((uint32_t)top);
	if (top < 0x7f800000)
		scale /= 127.0f;
	inverse = 1.0f / scale;
	if (top >= 0x7f800000 || isinf(inverse)) {
		*d = top >= 0x7f800000 ? scale : 0.0f;
		memset(q, 0, BLOCK);
		*half = 0;
		return 0;
	}
	UNROLL
	for (int i = 0; i < 4; i++) {
		v[i] = _mm256_cvtps_epi32(
			_mm256_mul_ps(_mm256_castsi256_ps(v[i]), _mm256_set1_ps(inverse)));
		sum = _mm256_add_epi32(sum, v[i]);
	}
	*half = join_sum(_mm256_add_epi32(v[0], v[1]));
	*d = scale;
	_mm256_storeu_si256((__m256i *)(void *)q, to_bytes(v));
	return join_sum(sum);
}

static void
quantize(struct act *a, uint32_t r0, uint32_t r1)
{
	uint32_t blocks = block_count(a->cols), whole = a->cols / BLOCK;

	for (uint32_t r = r0; r < r1; r++) {
		const float *x = a->f + (size_t)r * a->cols;
		size_t at = (size_t)r * blocks;
		float rest[BLOCK] = {0};

		for (uint32_t b = 0; b < whole; b++, at++)
			a->sum[at] = quantize_block(
				x + (size_t)b * BLOCK, a->q + at * BLOCK, a->d + at, a->half + at);
		if (whole == blocks)
			continue;
		memcpy(rest, x + (size_t)whole * BLOCK, a->cols % BLOCK * sizeof(*rest));
		a->sum[at] = quantize_block(rest, a->q + at * BLOCK, a->d + at, a->half + at);
	}
}

/* --- what both ways share ------------------------------------------------------------------------ */

/* Pointers to eight rows; those past the last repeat it, so that nothing behind it is read. */
static void
row_pointers(const struct matrix *w, uint32_t r, uint32_t rows, const uint8_t *row[ROWS])
{
	for (uint32_t j = 0; j < ROWS; j++)
		row[j] = w->data + (r + (j < rows ? j : rows - 1)) * w->stride;
}

INLINE uint16_t
u16_at(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/* The scales at the start of each row's block at byte `at`. */
INLINE __m256
row_scales(const uint8_t *const row[ROWS], size_t at)
{
	return _mm256_cvtph_ps(_mm_setr_epi16((short)u16_at(row[0] + at),
		(short)u16_at(row[1] + at), (short)u16_at(row[2] + at), (short)u16_at(row[3] + at),
		(short)u16_at(row[4] + at), (short)u16_at(row[5] + at), (short)u16_at(row[6] + at),
		(short)u16_at(row[7] + at)));
}

/* 32 weights of a block as bytes: nibbles as they are (0 to 15), or int8. */
INLINE __m256i
block_bytes(enum dtype type, const uint8_t *block)
{
	__m128i x;

	if (type == DTYPE_Q8_0)
		return _mm256_loadu_si256((const __m256i *)(const void *)(block + 2));
	x = _mm_loadu_si128((const __m128i *)(const void *)(block + 2));
	return _mm256_and_si256(_mm256_set_m128i(_mm_srli_epi16(x, 4), x), _mm256_set1_epi8(15));
}

INLINE size_t
block_bytes_of(enum dtype type)
{
	return type == DTYPE_Q8_0 ? Q8_0_BYTES : Q4_0_BYTES;
}

/* f + (w_scale * x_scale) * sum, per row. */
INLINE __m256
add_block(__m256 f, __m256 w_scale, float x_scale, __m256i sum)
{
	return _mm256_fmadd_ps(
		_mm256_mul_ps(w_scale, _mm256_set1_ps(x_scale)), _mm256_cvtepi32_ps(sum), f);
}

static void
store_rows(float *out, __m256 f, uint32_t rows)
{
	float lanes[ROWS];

	if (rows == ROWS) {
		_mm256_storeu_ps(out, f);
		return;
	}
	_mm256_storeu_ps(lanes, f);
	memcpy(out, lanes, rows * sizeof(*out));
}

/* --- one column ---------------------------------------------------------------------------------- */

/* Lane r of the result is the sum of v[r]'s lanes. */
INLINE __m256i
transpose_add32(const __m256i v[ROWS])
{
	__m256i a[4], b[2];

	UNROLL
	for (int i = 0; i < 4; i++)
		a[i] = _mm256_add_epi32(_mm256_unpacklo_epi32(v[2 * i], v[2 * i + 1]),
			_mm256_unpackhi_epi32(v[2 * i], v[2 * i + 1]));
	UNROLL
	for (int i = 0; i < 2; i++)
		b[i] = _mm256_add_epi32(_mm256_unpacklo_epi64(a[2 * i], a[2 * i + 1]),
			_mm256_unpackhi_epi64(a[2 * i], a[2 * i + 1]));
	return _mm256_add_epi32(_mm256_permute2x128_si256(b[0], b[1], 0x20),
		_mm256_permute2x128_si256(b[0], b[1], 0x31));
}

INLINE __m256i
q8_0_sums(const uint8_t *const row[ROWS], size_t at, const int8_t *q)
{
	const __m256i x = _mm256_loadu_si256((const __m256i *)(const void *)q);
	__m256i v[ROWS];

	UNROLL
	for (int j = 0; j < ROWS; j++) {
		__m256i w = block_bytes(DTYPE_Q8_0, row[j] + at);

		v[j] = _mm256_madd_epi16(
			_mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w)),
			_mm256_set1_epi16(1));
	}
	return transpose_add32(v);
}

INLINE __m256i
twice(const int8_t *q)
{
	return _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)q));
}

/* Rows j and j + 4 share a register, half each. A lane holds four products of at most 15 * 127, and
 * still fits an int16 when four lanes have been added. */
INLINE __m256i
q4_0_sums(const uint8_t *const row[ROWS], size_t at, const int8_t *q, int32_t qsum)
{
	const __m256i x0 = twice(q), x1 = twice(q + BLOCK / 2), nibble = _mm256_set1_epi8(15);
	__m256i v[ROWS / 2], a[2];

	UNROLL
	for (int j = 0; j < ROWS / 2; j++) {
		__m256i w = _mm256_inserti128_si256(
			_mm256_castsi128_si256(
				_mm_loadu_si128((const __m128i *)(const void *)(row[j] + at + 2))),
			_mm_loadu_si128((const __m128i *)(const void *)(row[j + 4] + at + 2)), 1);
		__m256i w1 = _mm256_and_si256(_mm256_srli_epi16(w, 4), nibble);

		v[j] = _mm256_add_epi16(_mm256_maddubs_epi16(_mm256_and_si256(w, nibble), x0),
			_mm256_maddubs_epi16(w1, x1));
	}
	UNROLL
	for (int i = 0; i < 2; i++)
		a[i] = _mm256_add_epi16(_mm256_unpacklo_epi32(v[2 * i], v[2 * i + 1]),
			_mm256_unpackhi_epi32(v[2 * i], v[2 * i + 1]));
	a[0] = _mm256_add_epi16(
		_mm256_unpacklo_epi64(a[0], a[1]), _mm256_unpackhi_epi64(a[0], a[1]));
	return _mm256_sub_epi32(
		_mm256_madd_epi16(a[0], _mm256_set1_epi16(1)), _mm256_set1_epi32(8 * qsum));
}

/* Asks for the rows' bytes some blocks ahead: processors' own prefetching ends with the page, and
 * eight rows at once are more streams than some follow. */
INLINE void
fetch_ahead(const uint8_t *const row[ROWS], size_t at)
{
	UNROLL
	for (int j = 0; j < ROWS; j++)
		_mm_prefetch((const char *)row[j] + at + FETCH_AHEAD, _MM_HINT_T0);
}

INLINE void
one_column(enum dtype type, const struct matrix *w, uint32_t r0, uint32_t r1, const struct act *x,
	float *out)
{
	uint32_t blocks = w->cols / BLOCK;

	for (uint32_t r = r0; r < r1; r += ROWS) {
		uint32_t rows = r1 - r < ROWS ? r1 - r : ROWS;
		const uint8_t *row[ROWS];
		__m256 f = _mm256_setzero_ps();
		size_t at = 0;

		row_pointers(w, r, rows, row);
		for (uint32_t b = 0; b < blocks; b++, at += block_bytes_of(type)) {
			const int8_t *q = x->q + (size_t)b * BLOCK;

			if (b % FETCH_EVERY == 0)
				fetch_ahead(row, at);
			f = add_block(f, row_scales(row, at), x->d[b],
				type == DTYPE_Q4_0 ? q4_0_sums(row, at, q, x->sum[b])
						   : q8_0_sums(row, at, q));
		}
		store_rows(out + r, f, rows);
	}
}

/* --- several columns ----------------------------------------------------------------------------- */

/* Blocks of eight rows: w[b][g] holds weights 4g to 4g+3 of row 0, then of row 1, ... */
struct laid_out {
	__m256i w[CHUNK_BLOCKS][GROUPS];
	__m256 scale[CHUNK_BLOCKS];
};

/* An 8 x 8 transpose of 32-bit words. */
INLINE void
transpose(const __m256i v[ROWS], __m256i out[GROUPS])
{
	__m256i a[8], b[8];

	UNROLL
	for (int i = 0; i < 4; i++) {
		a[2 * i] = _mm256_unpacklo_epi32(v[2 * i], v[2 * i + 1]);
		a[2 * i + 1] = _mm256_unpackhi_epi32(v[2 * i], v[2 * i + 1]);
	}
	UNROLL
	for (int i = 0; i < 2; i++) {
		b[4 * i] = _mm256_unpacklo_epi64(a[4 * i], a[4 * i + 2]);
		b[4 * i + 1] = _mm256_unpackhi_epi64(a[4 * i], a[4 * i + 2]);
		b[4 * i + 2] = _mm256_unpacklo_epi64(a[4 * i + 1], a[4 * i + 3]);
		b[4 * i + 3] = _mm256_unpackhi_epi64(a[4 * i + 1], a[4 * i + 3]);
	}
	UNROLL
	for (int i = 0; i < 4; i++) {
		out[i] = _mm256_permute2x128_si256(b[i], b[i + 4], 0x20);
		out[i + 4] = _mm256_permute2x128_si256(b[i], b[i + 4], 0x31);
	}
}

INLINE void
lay_out(enum dtype type, const uint8_t *const row[ROWS], uint32_t b0, uint32_t blocks,
	struct laid_out *to)
{
	for (uint32_t b = 0; b < blocks; b++) {
		size_t at = (size_t)(b0 + b) * block_bytes_of(type);
		__m256i v[ROWS];

		UNROLL
		for (int j = 0; j < ROWS; j++)
			v[j] = block_bytes(type, row[j] + at);
		transpose(v, to->w[b]);
		to->scale[b] = row_scales(row, at);
	}
}

INLINE __m256i
four_activations(const int8_t *q)
{
	int32_t v;

	memcpy(&v, q, sizeof(v));
	return _mm256_set1_epi32(v);
}

/* Integer sums of a block of nibbles: s[c][r]. Sixteen products of up to 15 * 127 fit an int16. */
INLINE void
sums_q4_0(const __m256i w[GROUPS], const int8_t *const q[COLS], uint32_t cols, __m256i s[COLS])
{
	UNROLL
	for (uint32_t c = 0; c < cols; c++)
		s[c] = _mm256_setzero_si256();
	UNROLL
	for (int g = 0; g < GROUPS; g++)
		UNROLL
	for (uint32_t c = 0; c < cols; c++)
		s[c] = _mm256_add_epi16(
			s[c], _mm256_maddubs_epi16(w[g], four_activations(q[c] + 4 * g)));
	UNROLL
	for (uint32_t c = 0; c < cols; c++)
		s[c] = _mm256_madd_epi16(s[c], _mm256_set1_epi16(1));
}

INLINE void
sums_q8_0(const __m256i w[GROUPS], const int8_t *const q[COLS], uint32_t cols, __m256i s[COLS])
{
	UNROLL
	for (uint32_t c = 0; c < cols; c++)
		s[c] = _mm256_setzero_si256();
	UNROLL
	for (int g = 0; g < GROUPS; g++) {
		__m256i size = _mm256_abs_epi8(w[g]);

		UNROLL
		for (uint32_t c = 0; c < cols; c++) {
			__m256i x = _mm256_sign_epi8(four_activations(q[c] + 4 * g), w[g]);

			s[c] = _mm256_add_epi32(
				s[c], _mm256_madd_epi16(
					      _mm256_maddubs_epi16(size, x), _mm256_set1_epi16(1)));
		}
	}
}

/* Adds `blocks` blocks to the sums f of `cols` columns (a constant) from column c0 on. */
INLINE void
multiply(enum dtype type, const struct laid_out *w, uint32_t b0, uint32_t blocks,
	const struct act *x, uint32_t c0, uint32_t cols, __m256 *f)
{
	const uint32_t per_row = block_count(x->cols);
	__m256 acc[COLS];

	UNROLL
	for (uint32_t c = 0; c < cols; c++)
		acc[c] = f[c];
	for (uint32_t b = 0; b < blocks; b++) {
		size_t at = (size_t)c0 * per_row + b0 + b;
		const int8_t *q[COLS];
		__m256i s[COLS];

		UNROLL
		for (uint32_t c = 0; c < cols; c++)
			q[c] = x->q + (at + (size_t)c * per_row) * BLOCK;
		if (type == DTYPE_Q4_0)
			sums_q4_0(w->w[b], q, cols, s);
		else
			sums_q8_0(w->w[b], q, cols, s);
		UNROLL
		for (uint32_t c = 0; c < cols; c++, at += per_row) {
			if (type == DTYPE_Q4_0)
				s[c] = _mm256_sub_epi32(s[c], _mm256_set1_epi32(8 * x->sum[at]));
			acc[c] = add_block(acc[c], w->scale[b], x->d[at], s[c]);
		}
	}
	UNROLL
	for (uint32_t c = 0; c < cols; c++)
		f[c] = acc[c];
}

/* Eight rows times columns [c0, c1), at most CHUNK_COLS of them. */
INLINE void
some_columns(enum dtype type, const uint8_t *const row[ROWS], uint32_t blocks, const struct act *x,
	uint32_t c0, uint32_t c1, __m256 f[CHUNK_COLS])
{
	struct laid_out w;

	for (uint32_t c = c0; c < c1; c++)
		f[c - c0] = _mm256_setzero_ps();
	for (uint32_t b = 0; b < blocks; b += CHUNK_BLOCKS) {
		uint32_t n = blocks - b < CHUNK_BLOCKS ? blocks - b : CHUNK_BLOCKS, c = c0;

		lay_out(type, row, b, n, &w);
		for (; c + COLS <= c1; c += COLS)
			multiply(type, &w, b, n, x, c, COLS, f + c - c0);
		for (; c < c1; c++)
			multiply(type, &w, b, n, x, c, 1, f + c - c0);
	}
}

INLINE void
quant_matmul(enum dtype type, const struct matrix *w, uint32_t r0, uint32_t r1, const struct act *x,
	float *out, size_t out_stride)
{
	__m256 f[CHUNK_COLS];

	if (x->rows == 1) {
		one_column(type, w, r0, r1, x, out);
		return;
	}
	for (uint32_t c0 = 0; c0 < x->rows; c0 += CHUNK_COLS) {
		uint32_t c1 = x->rows - c0 < CHUNK_COLS ? x->rows : c0 + CHUNK_COLS;

		for (uint32_t r = r0; r < r1; r += ROWS) {
			uint32_t rows = r1 - r < ROWS ? r1 - r : ROWS;
			const uint8_t *row[ROWS];

			row_pointers(w, r, rows, row);
			some_columns(type, row, w->cols / BLOCK, x, c0, c1, f);
			for (uint32_t c = c0; c < c1; c++)
				store_rows(out + c * out_stride + r, f[c - c0], rows);
		}
	}
}

static void
matmul_q8_0(const struct matrix *w, uint32_t r0, uint32_t r1, const struct act *x, float *out,
	size_t out_stride)
{
	quant_matmul(DTYPE_Q8_0, w, r0, r1, x, out, out_stride);
}

static void
matmul_q4_0(const struct matrix *w, uint32_t r0, uint32_t r1, const struct act *x, float *out,
	size_t out_stride)
{
	quant_matmul(DTYPE_Q4_0, w, r0, r1, x, out, out_stride);
}

/* avx2_q6_k.c */
void avx2_matmul_q6_k(const struct matrix *w, uint32_t r0, uint32_t r1, const struct act *x,
	float *out, size_t out_stride);

const struct kernels kernels_avx2 = {
	.name = "avx2",
	.features = CPU_AVX2,
	.quantize = quantize,
	.matmul_rows = {[DTYPE_F32] = matmul_f32,
		[DTYPE_F16] = matmul_f16,
		[DTYPE_BF16] = matmul_bf16,
		[DTYPE_Q8_0] = matmul_q8_0,
		[DTYPE_Q4_0] = matmul_q4_0,
		[DTYPE_Q6_K] = avx2_matmul_q6_k},
	FLOAT_KERNELS,
};
