/* Amounts of money as people write them, in whole micro-units (millionths): no rounding. */
#ifndef SCHED_MONEY_H
#define SCHED_MONEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MONEY_TEXT 24 /* bytes that any amount's text needs, the end included */

/* "3", "0.15", ".000001". False for anything else: a sign, more than six decimals that are not
 * zeros, more than 2^53 micro-units. */
bool money_parse(const char *text, uint64_t *micro);
/* "0.15": without needless zeros. Returns out. */
const char *money_text(uint64_t micro, char out[MONEY_TEXT]);

#endif
