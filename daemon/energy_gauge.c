#include "daemon/energy_gauge.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_ENTRIES 1024 /* of a folder that are looked at */

/* The first line of a small file, without its end; false: there is none. */
static bool
read_line(const char *dir, const char *entry, const char *file, char *out, int size)
{
	char path[600];
	FILE *f;
	bool read;

	if (snprintf(path, sizeof path, "%s/%s/%s", dir, entry, file) >= (int)sizeof path)
		return false;
	f = fopen(path, "re");
	if (f == NULL)
		return false;
	read = fgets(out, size, f) != NULL;
	fclose(f);
	if (read)
		out[strcspn(out, "\n")] = '\0';
	return read;
}

static bool
read_number(const char *dir, const char *entry, const char *file, long *out)
{
	char text[32], *end;

	if (!read_line(dir, entry, file, text, sizeof text))
		return false;
	*out = strtol(text, &end, 10);
	return end != text && *end == '\0';
}

/* --- batteries ---------------------------------------------------------------------------------- */

static void
read_supply(const char *dir, const char *entry, struct energy *e)
{
	char text[32];
	long percent;

	if (!read_line(dir, entry, "type", text, sizeof text) || strcmp(text, "Battery") != 0)
		return;
	if (read_line(dir, entry, "scope", text, sizeof text) && strcmp(text, "Device") == 0)
		return;
	if (!read_line(dir, entry, "status", text, sizeof text))
		return;
	e->on_battery = e->on_battery || strcmp(text, "Discharging") == 0;
	if (read_number(dir, entry, "capacity", &percent) && percent >= 0 && percent <= 100 &&
		(float)percent > e->charge)
		e->charge = (float)percent;
}

/* --- temperatures --------------------------------------------------------------------------------- */

/* Thousandths of a degree, but for a few drivers that tell whole ones. What no running device has is
 * a sensor that does not work. */
static void
read_zone(const char *dir, const char *entry, struct energy *e)
{
	long v;
	float celsius;

	if (strncmp(entry, "thermal_zone", 12) != 0 || !read_number(dir, entry, "temp", &v))
		return;
	celsius = v > -200 && v < 200 ? (float)v : (float)v / 1000.0f;
	if (celsius > -40.0f && celsius < 150.0f && celsius > e->celsius)
		e->celsius = celsius;
}

/* --- all ------------------------------------------------------------------------------------------ */

static void
each(const char *root, const char *class, struct energy *e,
	void (*look)(const char *dir, const char *entry, struct energy *e))
{
	char dir[300];
	const struct dirent *entry;
	DIR *d;

	snprintf(dir, sizeof dir, "%s/class/%s", root, class);
	d = opendir(dir);
	if (d == NULL)
		return;
	for (int n = 0; n < MOST_ENTRIES && (entry = readdir(d)) != NULL; n++)
		if (entry->d_name[0] != '.')
			look(dir, entry->d_name, e);
	closedir(d);
}

void
energy_gauge_init(struct energy_gauge *g, const char *root, const struct energy_limits *limits)
{
	*g = (struct energy_gauge){
		.limits = *limits, .now = {false, ENERGY_UNKNOWN, ENERGY_UNKNOWN}};
	snprintf(g->root, sizeof g->root, "%s", root);
}

void
energy_gauge_read(struct energy_gauge *g, uint64_t now_ms)
{
	if (g->read_at != 0 && now_ms < g->read_at + ENERGY_GAUGE_MS)
		return;
	g->read_at = now_ms > 0 ? now_ms : 1;
	g->now = (struct energy){false, ENERGY_UNKNOWN, ENERGY_UNKNOWN};
	if (g->root[0] == '\0')
		return;
	each(g->root, "power_supply", &g->now, read_supply);
	each(g->root, "thermal", &g->now, read_zone);
	g->state = energy_judge(&g->now, &g->limits, g->state);
}
