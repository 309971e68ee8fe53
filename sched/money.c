#include "sched/money.h"

#include <stdio.h>
#include <string.h>

#define UNIT     1000000u
#define DECIMALS 6
#define MOST     (UINT64_C(1) << 53)

bool
money_parse(const char *text, uint64_t *micro)
{
	uint64_t value = 0;
	int decimals = -1, digits = 0; /* decimals: -1 before the point */

	for (const char *c = text; *c != '\0'; c++) {
		if (*c == '.' && decimals < 0) {
			decimals = 0;
			continue;
		}
		if (*c < '0' || *c > '9' || (decimals == DECIMALS && *c != '0'))
			return false;
		digits++;
		if (decimals == DECIMALS)
			continue;
		value = 10 * value + (uint64_t)(*c - '0');
		if (value > MOST)
			return false;
		decimals += decimals >= 0;
	}
	for (decimals = decimals < 0 ? 0 : decimals; decimals < DECIMALS; decimals++) {
		value *= 10;
		if (value > MOST)
			return false;
	}
	*micro = value;
	return digits > 0;
}

const char *
money_text(uint64_t micro, char out[MONEY_TEXT])
{
	size_t len;

	snprintf(out, MONEY_TEXT, "%llu.%06u", (unsigned long long)(micro / UNIT),
		(unsigned)(micro % UNIT));
	len = strlen(out);
	while (out[len - 1] == '0')
		len--;
	len -= out[len - 1] == '.';
	out[len] = '\0';
	return out;
}
