/* Floats as their bits, and choice without a branch: what rows are packed with. */
#ifndef PROTO_FRAME_BITS_H
#define PROTO_FRAME_BITS_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define F32_INF 0x7f800000u

static inline uint32_t
bits_of(float x)
{
	uint32_t u;

	memcpy(&u, &x, sizeof u);
	return u;
}

static inline float
float_of(uint32_t u)
{
	float x;

	memcpy(&x, &u, sizeof x);
	return x;
}

static inline uint32_t
pick(bool first, uint32_t a, uint32_t b)
{
	uint32_t all = 0u - (uint32_t)first;

	return (a & all) | (b & ~all);
}

#endif
