/* What a device tells of how it is fed, as a message of its heartbeats (proto/shoal.proto) and for
 * programs. */
#ifndef DAEMON_ENERGY_MESSAGE_H
#define DAEMON_ENERGY_MESSAGE_H

#include "proto/control.h"
#include "sched/energy.h"

#include <jansson.h>

/* e->told; to must be initialised. */
void energy_message_fill(Shoal__Energy *to, const struct energy_told *e);
/* What no device has (150 degrees, a state of a later version) counts as not told. */
void energy_message_read(const Shoal__Energy *m, struct energy_told *e);

/* {"state": "hot", "on_battery": false, "celsius": 83.5, "charge": 40, "watts": 7}, of the last three
 * those that are known; null where nothing was told. New reference. */
json_t *energy_json(const struct energy_told *e);

#endif
