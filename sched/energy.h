/* Whether a device should be spared: it is hot, or lives on a battery that is low; and what follows
 * from it where devices compute a model together. Pure. What the figures are read from is the caller's
 * (daemon/energy_gauge.h), and so is how devices tell each other (daemon/energy_message.h). */
#ifndef SCHED_ENERGY_H
#define SCHED_ENERGY_H

#include <stdbool.h>
#include <stdint.h>

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

/* --- of several devices -------------------------------------------------------------------------- */

/* What a device tells of itself; all 0: nothing. */
struct energy_told {
	bool told;
	enum energy_state state; /* by its own limits */
	struct energy now;
	uint32_t watts; /* that it draws while it computes its part of the model; 0: not known */
};

/* What all of them draw together; 0: of one it is not known. */
double energy_watts(const struct energy_told *devices, unsigned n);
/* How many of them should be spared. */
unsigned energy_strained(const struct energy_told *devices, unsigned n);

/* The first of the devices also has the small model: what is asked of that spares the others, and the
 * model of all of them spares the first. */
enum energy_lean {
	ENERGY_EVEN, /* none is to be spared, or some on both sides, or there are no others */
	ENERGY_UP,   /* the first is: more for the model of all of them */
	ENERGY_DOWN  /* others are: more for the small one */
};
enum energy_lean energy_lean(const struct energy_told *devices, unsigned n);

#endif
