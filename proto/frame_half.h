/* Blocks of 32 float16 values: to nearest, ties to even, by the processor's own conversion where there is one. What
 * is beyond the largest finite value becomes that: one sum out of range must not make an answer worthless. The same
 * bits everywhere, NaNs too. Little-endian or not: values, not bytes. */
#ifndef PROTO_FRAME_HALF_H
#define PROTO_FRAME_HALF_H

#include <stdint.h>

#define HALF_BLOCK 32

void half_pack(const float x[HALF_BLOCK], uint16_t out[HALF_BLOCK]);
void half_unpack(const uint16_t in[HALF_BLOCK], float x[HALF_BLOCK]);

/* By integer arithmetic, on any machine: what the others must give. */
void half_pack_plain(const float x[HALF_BLOCK], uint16_t out[HALF_BLOCK]);
void half_unpack_plain(const uint16_t in[HALF_BLOCK], float x[HALF_BLOCK]);

#endif
