/* shoal doctor: where the milliseconds of a token go, device by device, and what would help. It asks the
 * daemon for the means of the steps of one row since the plan began; all else is arithmetic. */
#include "client/api.h"
#include "client/show.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MOST    64   /* devices */
#define A_LOT   0.25 /* of a step: worth a word */
#define SLOWER  1.3  /* than predicted, likewise */
#define ADVICES 32

/* Milliseconds of a step. */
struct device {
	const char *name;
	int layer0, layers;
	double step, compute, disk, sums, predicted; /* predicted: of compute; 0: not known */
	int slowest;                                 /* of its group: whom it waits for */
	double waits, links; /* of sums: until the slowest is there; the rest is the network's */
};

struct findings {
	struct device d[MOST];
	int n;
	char advice[ADVICES][300];
	int n_advice;
};

/* --- what is known ------------------------------------------------------------------------------ */

static double
ms(json_t *o, const char *key)
{
	return 1e3 * json_number_value(json_object_get(o, key));
}

static const char *
text(json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s != NULL ? s : "";
}

static void
take_device(struct findings *f, json_t *peer)
{
	json_t *step = json_object_get(peer, "step"), *layers = json_object_get(peer, "layers");
	struct device *d;

	if (!json_is_object(step) || f->n == MOST)
		return;
	d = &f->d[f->n++];
	*d = (struct device){.name = text(peer, "name"),
		.layer0 = (int)json_integer_value(json_array_get(layers, 0)),
		.layers = (int)json_integer_value(json_array_get(layers, 1)),
		.step = ms(step, "seconds"),
		.compute = ms(step, "compute_seconds"),
		.disk = ms(step, "disk_seconds"),
		.sums = ms(step, "sums_seconds"),
		.predicted = ms(peer, "predicted_seconds")};
	/* Under a quota it is what computing takes from that, which may be more than the time it took. */
	d->compute = fmin(d->compute, fmax(d->step - d->disk - d->sums, 0));
}

/* Devices with the same layers add their sums together, and none has them before the slowest of them
 * has done its part. What is waited beyond that are messages on their way. */
static void
find_waits(struct findings *f)
{
	for (int i = 0; i < f->n; i++) {
		struct device *d = &f->d[i];
		double busy = 0;

		d->slowest = i;
		for (int k = 0; k < f->n; k++) {
			if (f->d[k].layer0 != d->layer0 || f->d[k].compute + f->d[k].disk <= busy)
				continue;
			busy = f->d[k].compute + f->d[k].disk;
			d->slowest = k;
		}
		d->waits = d->slowest == i ? 0 : fmin(busy - d->compute - d->disk, d->sums);
		d->links = d->sums - d->waits;
	}
}

/* --- what would help ---------------------------------------------------------------------------- */

static void advise(struct findings *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void
advise(struct findings *f, const char *fmt, ...)
{
	va_list ap;

	if (f->n_advice == ADVICES)
		return;
	va_start(ap, fmt);
	vsnprintf(f->advice[f->n_advice++], sizeof f->advice[0], fmt, ap);
	va_end(ap);
}

static void
look_at_disk(struct findings *f, const struct device *d)
{
	if (d->disk >= A_LOT * d->step)
		advise(f,
			"%s waits %.1f ms of each token (%.0f%%) for its disk: with more memory "
			"less "
			"would stream ('memory' in shoald.conf), with another device each holds "
			"less.",
			d->name, d->disk, 100 * d->disk / d->step);
}

/* The slowest of a group, if others wait for it. */
static void
look_at_pace(struct findings *f, int i)
{
	const struct device *d = &f->d[i];
	double longest = 0;

	for (int k = 0; k < f->n; k++)
		if (f->d[k].slowest == i && k != i)
			longest = fmax(longest, f->d[k].waits);
	if (longest < A_LOT * d->step)
		return;
	if (d->disk > d->compute / 2)
		advise(f,
			"The others wait up to %.1f ms for %s, and that %.1f ms for its disk: it "
			"needs more memory, or a smaller share.",
			longest, d->name, d->disk);
	else if (d->predicted > 0 && d->compute > SLOWER * d->predicted)
		advise(f,
			"The others wait up to %.1f ms for %s, which computes %.1f ms where %.1f "
			"were predicted: it is busy with something else, or hot. Its share will "
			"shrink when that lasts.",
			longest, d->name, d->compute, d->predicted);
	else
		advise(f,
			"The others wait up to %.1f ms for %s: its share is the largest for its "
			"speed. 'shoal plan' says what else there is.",
			longest, d->name);
}

static void
look_at_links(struct findings *f, json_t *drafter)
{
	const struct device *worst = NULL;
	bool drafts = text(drafter, "model")[0] != '\0';

	for (int i = 0; i < f->n; i++)
		if (worst == NULL || f->d[i].links > worst->links)
			worst = &f->d[i];
	if (worst == NULL || worst->links < A_LOT * worst->step)
		return;
	advise(f,
		"%.1f of %.1f ms are sums on their way, as %s sees it: cables instead of Wi-Fi, "
		"fewer devices, or a shorter payload ('payload' in shoald.conf) would help; 'shoal "
		"peers' shows the round trips.",
		worst->links, worst->step, worst->name);
	if (!drafts)
		advise(f, "A small model of the same vocabulary on this device ('small_model' in "
			  "shoald.conf) would draft several tokens for each round of sums.");
}

static void
find_advice(struct findings *f, json_t *drafter)
{
	for (int i = 0; i < f->n; i++)
		look_at_disk(f, &f->d[i]);
	for (int i = 0; i < f->n; i++)
		look_at_pace(f, i);
	look_at_links(f, drafter);
	if (f->n_advice == 0)
		advise(f, "Nothing stands out: most of a token's time is computing.");
}

/* --- saying it ---------------------------------------------------------------------------------- */

static void
print_devices(const struct findings *f)
{
	static const char *const headings[] = {"<device", "<layers", "token ms", "compute", "disk",
		"waiting", "<for", "links", "predicted", NULL};
	struct table *t = table_new(headings);

	for (int i = 0; i < f->n; i++) {
		const struct device *d = &f->d[i];

		table_cell(t, "%s", d->name);
		table_cell(t, "%d-%d", d->layer0, d->layer0 + d->layers - 1);
		table_cell(t, "%.2f", d->step);
		table_cell(t, "%.2f", d->compute);
		table_cell(t, "%.2f", d->disk);
		table_cell(t, "%.2f", d->waits);
		table_cell(t, "%s", d->slowest != i ? f->d[d->slowest].name : "-");
		table_cell(t, "%.2f", d->links);
		if (d->predicted > 0)
			table_cell(t, "%.2f", d->predicted);
		else
			table_cell(t, "-");
	}
	table_print(t, stdout);
	table_free(t);
}

static void
print_left_out(json_t *peers)
{
	json_t *p;
	size_t i;

	json_array_foreach(peers, i, p)
	{
		if (text(p, "left_out")[0] != '\0')
			printf("%s has no part: %s\n", text(p, "name"), text(p, "left_out"));
	}
}

static void
print_json(const struct findings *f)
{
	json_t *devices = json_array(), *advice = json_array();
	json_t *o = json_pack("{s:o,s:o}", "devices", devices, "advice", advice);

	for (int i = 0; i < f->n; i++) {
		const struct device *d = &f->d[i];

		json_array_append_new(devices,
			json_pack("{s:s,s:[i,i],s:f,s:f,s:f,s:f,s:s,s:f,s:f}", "name", d->name,
				"layers", d->layer0, d->layers, "step_ms", d->step, "compute_ms",
				d->compute, "disk_ms", d->disk, "waiting_ms", d->waits,
				"waiting_for", f->d[d->slowest].name, "links_ms", d->links,
				"predicted_ms", d->predicted));
	}
	for (int i = 0; i < f->n_advice; i++)
		json_array_append_new(advice, json_string(f->advice[i]));
	json_dumpf(o, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
	putchar('\n');
	json_decref(o);
}

static int
examine(const struct ctl *ctl, json_t *status)
{
	static struct findings f;
	json_t *peers = json_object_get(status, "peers"), *p;
	size_t i;

	if (strcmp(text(status, "role"), "member") == 0)
		return ctl_fail(ctl, EXIT_FAILED,
			"this device is a member: its coordinator knows of all, ask there");
	json_array_foreach(peers, i, p) take_device(&f, p);
	if (f.n == 0)
		return ctl_fail(ctl, EXIT_FAILED,
			"nothing was computed token by token since the plan began (%s): ask for an "
			"answer first, as with 'shoal run'",
			text(status, "state"));
	find_waits(&f);
	find_advice(&f, json_object_get(status, "drafter"));
	if (ctl->json) {
		print_json(&f);
		return EXIT_DONE;
	}
	print_devices(&f);
	putchar('\n');
	for (int k = 0; k < f.n_advice; k++)
		puts(f.advice[k]);
	print_left_out(peers);
	return EXIT_DONE;
}

int
cmd_doctor(struct ctl *ctl, int argc, char *argv[])
{
	static const struct option table[] = {COMMON_OPTIONS};
	json_t *status;
	struct err err;
	bool done;
	int opt, code, http;

	while ((opt = getopt_long(argc, argv, "", table, NULL)) != -1)
		if (ctl_option(ctl, opt, "", &done, &code) && done)
			return code;
	if (optind != argc)
		return ctl_fail(ctl, EXIT_USAGE, "takes no argument, see --help");
	http = api_call(ctl, "/shoal/v1/status", NULL, &status, &err);
	if (http != 200)
		return ctl_fail(ctl, api_exit(http), "%s", err.msg);
	code = examine(ctl, status);
	json_decref(status);
	return code;
}
