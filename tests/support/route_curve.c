#include "tests/support/route_curve.h"

#include <stdlib.h>
#include <string.h>

/* Merges the halves of o[n], by way of room. */
static void
sort_by_score(struct route_outcome *o, size_t n, struct route_outcome *room)
{
	size_t half = n / 2, i = 0, j = half;

	if (n < 2)
		return;
	sort_by_score(o, half, room);
	sort_by_score(o + half, n - half, room);
	for (size_t k = 0; k < n; k++)
		room[k] = j == n || (i < half && o[i].score >= o[j].score) ? o[i++] : o[j++];
	memcpy(o, room, n * sizeof *o);
}

struct route_curve
route_curve(struct route_outcome *o, size_t n)
{
	struct route_outcome *room = malloc(n * sizeof *room);
	struct route_curve c = {.cpt50 = 1.0, .cpt80 = 1.0};
	double quality, gap, recovered = 0.0;

	if (room == NULL)
		abort();
	sort_by_score(o, n, room);
	free(room);
	for (size_t i = 0; i < n; i++) {
		c.small += o[i].small / (double)n;
		c.large += o[i].large / (double)n;
	}
	gap = c.large - c.small;
	quality = c.small;
	for (size_t i = 0; i < n && gap > 0.0; i++) {
		double before = recovered, share = (double)(i + 1) / (double)n;

		quality += (o[i].large - o[i].small) / (double)n;
		recovered = (quality - c.small) / gap;
		c.apgr += (before + recovered) / 2.0 / (double)n;
		if (recovered >= 0.5 && c.cpt50 >= 1.0)
			c.cpt50 = share;
		if (recovered >= 0.8 && c.cpt80 >= 1.0)
			c.cpt80 = share;
	}
	return c;
}

double
route_quality(const struct route_outcome *o, size_t n, double share)
{
	size_t up = (size_t)(share * (double)n + 0.5);
	double sum = 0.0;

	for (size_t i = 0; i < n; i++)
		sum += i < up ? o[i].large : o[i].small;
	return n > 0 ? sum / (double)n : 0.0;
}
