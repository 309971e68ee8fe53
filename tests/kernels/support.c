#include "tests/kernels/check.h"

#include "kernels/block.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define GUARD 64 /* floats on both sides of an output */

uint64_t check_seed;
static unsigned passed, failed;

uint32_t
rnd(void)
{
	check_seed ^= check_seed << 13;
	check_seed ^= check_seed >> 7;
	check_seed ^= check_seed << 17;
	return (uint32_t)(check_seed >> 16);
}

uint32_t
between(uint32_t low, uint32_t high)
{
	return low + rnd() % (high - low + 1);
}

float
rnd_float(float scale)
{
	return ((float)(rnd() & 0xffffff) / (float)0x800000 - 1.0f) * scale;
}

void
fill_floats(float *x, size_t n)
{
	static const float scales[] = {1.0f, 1e-3f, 1e4f, 1e-30f, 1e-42f, 0.0f};
	float scale = scales[rnd() % 6];

	for (size_t i = 0; i < n; i++)
		x[i] = rnd_float(rnd() % 50 == 0 ? scale * 100 : scale);
}

struct edge
edge_new(size_t len)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct edge e = {.len = len};

	e.map_len = (len + page - 1) / page * page + page;
	e.map = mmap(NULL, e.map_len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (e.map == MAP_FAILED || mprotect(e.map + e.map_len - page, page, PROT_NONE) != 0) {
		perror("mmap");
		exit(2);
	}
	e.data = e.map + e.map_len - page - len;
	return e;
}

void
edge_free(struct edge *e)
{
	munmap(e->map, e->map_len);
}

float *
guarded_new(size_t n)
{
	size_t bytes = (n + 2 * GUARD) * sizeof(float);
	float *p = aligned_alloc(64, (bytes + 63) / 64 * 64);

	if (p == NULL)
		exit(2);
	memset(p, 0x5a, bytes);
	return p + GUARD;
}

void
guarded_free(float *p)
{
	free(p - GUARD);
}

bool
guarded_ok(const float *p, size_t n)
{
	const uint8_t *before = (const uint8_t *)(p - GUARD), *after = (const uint8_t *)(p + n);

	for (size_t i = 0; i < GUARD * sizeof *p; i++)
		if (before[i] != 0x5a || after[i] != 0x5a)
			return false;
	return true;
}

void
report(const char *set, const char *kernel, const char *trouble)
{
	if (trouble == NULL) {
		passed++;
		printf("ok   %-8s %s\n", set, kernel);
	} else {
		failed++;
		printf("FAIL %-8s %s: %s\n", set, kernel, trouble);
	}
}

bool
same_float(float a, float b)
{
	return float_to_bits(a) == float_to_bits(b) || (a != a && b != b);
}

unsigned
reported_passed(void)
{
	return passed;
}

unsigned
reported_failed(void)
{
	return failed;
}
