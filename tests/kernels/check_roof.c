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
		if (k->roof_read(data, ROOF_UNIT) != want)
			trouble = "it has not read all";
	}
	free(data);
	if (trouble == NULL && (one == 0 || k->roof_products(q, 1000) != 1000 * one))
		trouble = "its products do not grow with its turns";
	return trouble;
}

void
check_roof(const struct kernels *k)
{
	report(k->name, "roof", roof_trouble(k));
}
