#include "kernels/roof.h"
#include "tests/kernels/check.h"

#include <stdlib.h>
#include <string.h>

/* The loops that measure roofs do what they count: read all, and so many products a turn. */
static const char *
roof_trouble(const struct kernels *k)
{
	_Alignas(64) int8_t q[ROOF_ACTIVATIONS] = {1};
	uint8_t *data = aligned_alloc(64, ROOF_UNIT);
	const char *trouble = NULL;
	uint64_t one = k->roof_products(q, 1);

	if (data == NULL)
		exit(2);
	for (int turn = 0; turn < 64 && trouble == NULL; turn++) {
		uint64_t want = (uint64_t)1 << turn;

		memset(data, 0, ROOF_UNIT);
		memcpy(data + rnd() % (ROOF_UNIT / 8) * 8, &want, sizeof want);
		for (int i = 0; i < ROOF_READS; i++)
			if (k->roof_read[i] != NULL && k->roof_read[i](data, ROOF_UNIT) != want)
				trouble = "it has not read all";
	}
	free(data);
	if (trouble == NULL && (one == 0 || k->roof_products(q, 1000) != 1000 * one))
		trouble = "its products do not grow with its turns";
	return trouble;
}

/* Memory of somebody else's, however it lies, is read, and not beyond its end. */
static const char *
parts_trouble(const struct kernels *k)
{
	struct edge odd = edge_new(ROOF_UNIT + 1000), small = edge_new(ROOF_TURN - 1);
	const struct roof_part parts[] = {
		{odd.data, odd.len}, {small.data, small.len}, {small.data, 0}};
	struct err err;
	struct pool *p = pool_new(1, &err);
	struct roof *some = roof_over(parts, 3, &err), *none = roof_over(parts + 1, 2, &err);
	const char *trouble = NULL;

	if (p == NULL || some == NULL || none == NULL)
		exit(2);
	if (roof_bandwidth(some, k, p) <= 0)
		trouble = "parts are not read";
	else if (roof_bandwidth(none, k, p) > 0)
		trouble = "what is too short to be read has a speed";
	roof_free(some);
	roof_free(none);
	pool_free(p);
	edge_free(&odd);
	edge_free(&small);
	return trouble;
}

void
check_roof(const struct kernels *k)
{
	const char *trouble = roof_trouble(k);

	report(k->name, "roof", trouble != NULL ? trouble : parts_trouble(k));
}
