/* How this device is fed and how hot it is, from the files in which Linux tells it: batteries from
 * /sys/class/power_supply, temperatures from /sys/class/thermal. Phones, laptops and boards have other
 * sets of these; what a device lacks, or tells as nonsense, is not known and held against nobody.
 * Batteries of mice and headphones (scope "Device") are not this device's. Main thread. */
#ifndef DAEMON_ENERGY_GAUGE_H
#define DAEMON_ENERGY_GAUGE_H

#include "sched/energy.h"

#include <stdint.h>

#define ENERGY_GAUGE_MS 1000 /* a reading is good for so long */

struct energy_gauge {
	char root[256]; /* "/sys", or a test's folder */
	struct energy_limits limits;
	uint64_t read_at; /* ms, of any clock; 0: never */
	struct energy now;
	enum energy_state state;
};

void energy_gauge_init(
	struct energy_gauge *g, const char *root, const struct energy_limits *limits);
/* Reads again when the last reading is old. g->now and g->state are those then. */
void energy_gauge_read(struct energy_gauge *g, uint64_t now_ms);

#endif
