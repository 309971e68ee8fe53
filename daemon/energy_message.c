#include "daemon/energy_message.h"

#include <math.h>

#define ZERO_CELSIUS 27315.0f /* hundredths of a kelvin */
#define MOST_CELSIUS 150.0f
#define MOST_WATTS   100000 /* as in the configuration */

void
energy_message_fill(Shoal__Energy *to, const struct energy_told *e)
{
	to->state = (uint32_t)e->state;
	to->on_battery = e->now.on_battery;
	if (e->now.charge >= 0)
		to->charge = 1 + (uint32_t)e->now.charge;
	if (e->now.celsius > ENERGY_UNKNOWN)
		to->centikelvins = (uint32_t)lrintf(100 * e->now.celsius + ZERO_CELSIUS);
	to->watts = e->watts;
}

void
energy_message_read(const Shoal__Energy *m, struct energy_told *e)
{
	float celsius = ((float)m->centikelvins - ZERO_CELSIUS) / 100;

	*e = (struct energy_told){.now = {m->on_battery, ENERGY_UNKNOWN, ENERGY_UNKNOWN}};
	e->told = m->state <= ENERGY_HOT;
	if (e->told)
		e->state = (enum energy_state)m->state;
	if (m->charge >= 1 && m->charge <= 101)
		e->now.charge = (float)(m->charge - 1);
	if (m->centikelvins > 0 && celsius < MOST_CELSIUS)
		e->now.celsius = celsius;
	if (m->watts <= MOST_WATTS)
		e->watts = m->watts;
}

json_t *
energy_json(const struct energy_told *e)
{
	json_t *o;

	if (!e->told)
		return json_null();
	o = json_pack(
		"{s:s,s:b}", "state", energy_state_name(e->state), "on_battery", e->now.on_battery);
	if (e->now.celsius > ENERGY_UNKNOWN)
		json_object_set_new(
			o, "celsius", json_real(round(10 * (double)e->now.celsius) / 10));
	if (e->now.charge > ENERGY_UNKNOWN)
		json_object_set_new(o, "charge", json_real((double)e->now.charge));
	if (e->watts > 0)
		json_object_set_new(o, "watts", json_integer(e->watts));
	return o;
}
