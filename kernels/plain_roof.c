/* The loops of kernels/roof.h in plain C. */
#include "kernels/plain.h"
#include "kernels/roof.h"

uint64_t
plain_roof_read(const uint8_t *p, size_t n)
{
	uint64_t a = 0, b = 0, c = 0, d = 0;

	for (size_t i = 0; i < n; i += 32) {
		uint64_t v[4];

		if (i % 64 == 0)
			__builtin_prefetch(p + i + ROOF_AHEAD, 0, 2);
		memcpy(v, p + i, sizeof v);
		a |= v[0];
		b |= v[1];
		c |= v[2];
		d |= v[3];
	}
	return a | b | c | d;
}

/* As plain_matmul multiplies: 32 weights with 32 activations, summed up. */
uint64_t
plain_roof_products(const int8_t *q, uint32_t turns)
{
	int32_t sum = 0;

	for (uint32_t turn = 0; turn < turns; turn++) {
		for (int i = 0; i < BLOCK; i++)
			sum += q[BLOCK + i] * q[i];
		__asm__ volatile("" : "+r"(q)); /* or the compiler would multiply only once */
	}
	__asm__ volatile("" ::"r"(sum));
	return (uint64_t)turns * BLOCK;
}
