#include "sched/rebalance_words.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define NAMED 3     /* devices, before "others" */
#define LEAST 0.005 /* a change that rounds to 0 % is none */

void
rebalance_reason(char *out, size_t size, const char *who, double factor)
{
	snprintf(out, size, "%s became %.1f times %s", who, factor < 1 ? 1 / factor : factor,
		factor < 1 ? "slower" : "faster");
}

void
rebalance_back_reason(char *out, size_t size, double before_s, double after_s)
{
	snprintf(out, size, "with other slices a token took %.0f%% longer",
		100 * (after_s / before_s - 1));
}

/* The names of those that gained (sign 1) or lost (-1), but for `who`: "a, b and 2 others". */
static void
list(char *out, size_t size, const char *who, const struct rebalance_share *shares, uint32_t n,
	double sign)
{
	uint32_t found = 0;
	size_t len = 0;

	out[0] = '\0';
	for (uint32_t i = 0; i < n; i++) {
		if (strcmp(shares[i].name, who) == 0 ||
			sign * (shares[i].after - shares[i].before) < LEAST)
			continue;
		if (found++ < NAMED && len < size)
			len += (size_t)snprintf(out + len, size - len, "%s%s",
				found > 1 ? ", " : "", shares[i].name);
	}
	if (found > NAMED && len < size)
		snprintf(out + len, size - len, " and %u other%s", found - NAMED,
			found > NAMED + 1 ? "s" : "");
}

void
rebalance_moved(
	char *out, size_t size, const char *who, const struct rebalance_share *shares, uint32_t n)
{
	const struct rebalance_share none = {"", 0, 0}, *mover = &none;
	char names[256];
	double change;

	for (uint32_t i = 0; i < n; i++)
		if (strcmp(shares[i].name, who) == 0)
			mover = &shares[i];
	change = mover->after - mover->before;
	list(names, sizeof names, who, shares, n, change < 0 ? 1 : -1);
	if (fabs(change) < LEAST || names[0] == '\0')
		snprintf(out, size, "the others share the layers in another way");
	else if (change > 0)
		snprintf(out, size, "%.0f%% of the layers' columns moved to it from %s",
			100 * change, names);
	else if (mover->after < LEAST)
		snprintf(out, size, "it is left out, its %.0f%% of the layers' columns moved to %s",
			-100 * change, names);
	else
		snprintf(out, size, "%.0f%% of the layers' columns moved to %s", -100 * change,
			names);
}
