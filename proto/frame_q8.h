/* Blocks of 32 values of 8 bits and their scale, the largest magnitude / 127, in float32: to nearest, ties to even.
 * What is no number becomes 0, as does a block with an infinite one. The same bits everywhere. */
#ifndef PROTO_FRAME_Q8_H
#define PROTO_FRAME_Q8_H

#include <stdint.h>

enum { Q8_BLOCK = 32, Q8_BYTES = 4 + Q8_BLOCK /* the scale, little-endian, and the values */ };

void q8_pack(const float x[Q8_BLOCK], uint8_t out[Q8_BYTES]);
void q8_unpack(const uint8_t in[Q8_BYTES], float x[Q8_BLOCK]);

/* On any machine: what the others must give. */
void q8_pack_plain(const float x[Q8_BLOCK], uint8_t out[Q8_BYTES]);
void q8_unpack_plain(const uint8_t in[Q8_BYTES], float x[Q8_BLOCK]);

#endif
