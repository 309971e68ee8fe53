/* Whether a device should be spared: it is hot, or lives on a battery that is low. Pure. What the
 * figures are read from is the caller's (daemon/energy_gauge.h). */
#ifndef SCHED_ENERGY_H
#define SCHED_ENERGY_H

#include <stdbool.h>

#define ENERGY_UNKNOWN (-1000.0f) /* a figure that the device does not tell */

struct energy {
	bool on_battery; /* a battery of its own is being emptied */
	float charge;    /* of that battery, the fullest of several: percent */
	float celsius;   /* of its hottest part */
};

struct energy_limits {
	float hot; /* degrees Celsius from which on it is hot; 0: it never is */
	float low; /* percent up to which a battery that is being emptied is low; 0: it never is */
};

/* By which it has to be cooler, or charged more, to be fine again: so that it does not flap. */
#define ENERGY_COOLER 5.0f
#define ENERGY_MORE   5.0f

enum energy_state { ENERGY_FINE, ENERGY_LOW, ENERGY_HOT };

/* before: what was said last. A figure that is not known is held against nobody. */
enum energy_state energy_judge(
	const struct energy *e, const struct energy_limits *l, enum energy_state before);
const char *energy_state_name(enum energy_state s); /* "fine", "battery_low", "hot" */

#endif
