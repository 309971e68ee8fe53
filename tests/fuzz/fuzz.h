/* What each fuzz_X.c defines. With libFuzzer its own main calls LLVMFuzzerTestOneInput; without it
 * tests/fuzz/driver.c does. */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define FUZZ_MAX (1u << 16) /* bytes of an input that the driver makes, at most */

/* Feeds one input to the code under test. Returns 0; finds faults by crashing. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Makes the i-th good input, to be mutated: its size (at most max), 0 when there are no more. */
size_t fuzz_seed(unsigned i, uint8_t *out, size_t max);

/* What must hold of whatever was accepted. */
static inline void
require(int holds)
{
	if (!holds)
		abort();
}

/* A good input of a target with several parts: which one, then its bytes. */
static inline size_t
fuzz_seed_part(unsigned part, const void *data, size_t len, uint8_t *out, size_t max)
{
	require(len < max);
	out[0] = (uint8_t)part;
	memcpy(out + 1, data, len);
	return len + 1;
}

#endif
