/* Tiles: the one layout that the kernels of every instruction set read. Weights are brought into it
 * once, when a shard is made; it moves bits and changes none, so that it can be undone.
 *
 * Rows are taken 16 at a time (a row group; rows that a last group lacks are zero bytes). A group is
 * one section behind the other, each of 512 columns, the last one of what is left. Of n blocks that
 * is
 *
 *     n heads, then zeros up to a multiple of 64 bytes, then n bodies
 *
 * and both together are the bytes of the 16 x n blocks in another order. (Whole sections need no zeros. A
 * head is read soon after the body before it: where all heads of a long row lie in front, decode of Q4_0 loses
 * up to a tenth on Zen 5.) 16 rows lie in the lanes of
 * a 512-bit register, or of two of 256, or of four of 128 bits; four weights of a row lie together, to
 * meet four activations in one lane of a dot product instruction (dpbusd, sdot, maddubs + madd), and
 * two neighbouring groups of four zip into the operand of smmla.
 *
 * The parts of heads and bodies. In a plane of 16 bytes, byte r belongs to row r. The weights of a
 * run of 32, k = 0..31, make one of
 *
 *     W 512 bytes: byte 64 * (k / 4) + 4 * r + k % 4 is the code of weight k
 *     N 256 bytes: byte 64 * g + 4 * r + j, g < 4: low nibble k = 4g + j, high nibble k = 16 + 4g + j
 *     P 128 bytes: byte 64 * v + 4 * r + j, v < 2: its bits 2i, 2i + 1 are k = 16v + 4i + j
 *     S  64 bytes: byte 4 * r + j: its bit i is k = 4i + j
 *
 * where codes of 6 bits have the lower four in N and the upper two in P, of 5 bits four in N and one
 * in S, of 3 bits two in P and one in S.
 *
 *             head                body
 *     F32                         16 floats: a block is one weight
 *     F16 BF16                    16 halves
 *     Q4_0    d[16]               N
 *     Q4_1    d[16] m[16]         N
 *     Q5_0    d[16]               N S
 *     Q5_1    d[16] m[16]         N S
 *     Q8_0    d[16]               W
 *     IQ4_NL  d[16]               N
 *     MXFP4   a plane of e        N
 *     Q2_K    d[16] dmin[16]      16 planes: plane i is the byte of scale and min of weights 16i..; 8 P
 *     Q3_K    d[16]               8 planes: plane i has the lower four bits of scale 2i in its low, of
 *                                 2i + 1 in its high nibble; 4 planes: bits 2j of plane i are the upper
 *                                 two of scale 4i + j; 8 (P S)
 *     Q4_K    d[16] dmin[16]      8 planes: lower four bits of scale i in the low, of min i in the high
 *                                 nibble; 4 planes: upper two bits of scale 2i, min 2i, scale 2i + 1,
 *                                 min 2i + 1, from bit 0 on; 8 N
 *     Q5_K    as Q4_K             as Q4_K, with 8 (N S)
 *     Q6_K    d[16]               16 planes of int8 scales; 8 (N P)
 *     IQ4_XS  d[16], 2 planes:    4 planes: lower four bits of scale 2i in the low, of 2i + 1 in the
 *             bits 2j of plane i  high nibble; 8 N
 *             are the upper two
 *             of scale 4i + j
 *     TQ1_0   d[16]               byte 64 * g + 4 * r + j is byte 4g + j of the row's qs and qh, g < 13
 *     TQ2_0   d[16]               8 P
 *
 * d, m and dmin are float16. */
#ifndef KERNELS_TILES_H
#define KERNELS_TILES_H

#include <stddef.h>
#include <stdint.h>

enum layout {
	LAYOUT_ROWS = 0,  /* row after row of blocks, as GGUF has them */
	LAYOUT_TILES = 2, /* 1: the same with one section, however long a row is */
};

enum {
	TILE_ROWS = 16,
	TILE_ALIGN = 64,   /* of a row group's address and size */
	TILE_SECTION = 512 /* columns */
};

/* Bytes of a head and of a body of the type; 0 for types that are not computed. */
uint32_t tile_head_bytes(uint32_t dtype);
uint32_t tile_body_bytes(uint32_t dtype);

/* Bytes of one row group, a multiple of TILE_ALIGN, and of a whole matrix; 0 where dtype_row_bytes
 * is. */
size_t tile_group_bytes(uint32_t dtype, uint32_t cols);
size_t tile_matrix_bytes(uint32_t dtype, uint32_t rows, uint32_t cols);

/* Blocks of a row group that have their heads and their bodies side by side. */
struct tile_span {
	uint32_t n;              /* blocks */
	size_t head_at, body_at; /* bytes from the group's begin */
};

/* Those from block `first` (of a row of `cols` columns) on, up to the end of their section, at most n. */
struct tile_span tile_span(uint32_t dtype, uint32_t cols, uint32_t first, uint32_t n);

/* One row group from n (1 to 16) rows that lie `stride` bytes apart, and back (rows past n are not
 * written). */
void tile_pack(uint32_t dtype, uint32_t cols, const uint8_t *rows, size_t stride, uint32_t n,
	uint8_t *group);
void tile_unpack(uint32_t dtype, uint32_t cols, const uint8_t *group, uint32_t n, uint8_t *rows,
	size_t stride);

/* One block of one row, out of a row group. */
void tile_block(uint32_t dtype, uint32_t cols, const uint8_t *group, uint32_t row, uint32_t block,
	uint8_t *out);

#endif
