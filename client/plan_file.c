/* The file that describes a swarm: JSON, as shoal(1) says. Keys that are not known are mistakes, as
 * they would go unnoticed otherwise. */
#include "base/file.h"
#include "client/plan.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAX_FILE (1u << 20)

/* --- values --- */

struct key {
	const char *name;
	enum { KEY_NUMBER, KEY_SIZE, KEY_TEXT, KEY_LIST } type;
	bool needed;
	double least, most; /* of a number */
	double scale;
	void *out; /* double, uint64_t, char[64], json_t * */
};

static int
take_number(const struct key *k, const json_t *v, struct err *err)
{
	double number = json_number_value(v);

	if (!json_is_number(v) || !(number >= k->least && number <= k->most))
		return err_set(
			err, "\"%s\" is not a number from %g to %g", k->name, k->least, k->most);
	*(double *)k->out = number * k->scale;
	return 0;
}

static int
take_size(const struct key *k, const json_t *v, struct err *err)
{
	if (json_is_integer(v) && json_integer_value(v) > 0) {
		*(uint64_t *)k->out = (uint64_t)json_integer_value(v);
		return 0;
	}
	if (!json_is_string(v))
		return err_set(err, "\"%s\" is no size: write \"600M\", or bytes", k->name);
	if (memory_parse(k->name, json_string_value(v), k->out, err) != 0)
		return -1;
	return *(uint64_t *)k->out > 0 ? 0 : err_set(err, "\"%s\" cannot be auto here", k->name);
}

static int
take_text(const struct key *k, const json_t *v, struct err *err)
{
	const char *text = json_string_value(v);

	if (text == NULL || text[0] == '\0' || strlen(text) > 63)
		return err_set(err, "\"%s\" is not a text of 1 to 63 bytes", k->name);
	for (const char *c = text; *c != '\0'; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			return err_set(err, "\"%s\" has control characters", k->name);
	memcpy(k->out, text, strlen(text) + 1);
	return 0;
}

static int
take_value(const struct key *k, json_t *v, struct err *err)
{
	switch (k->type) {
	case KEY_NUMBER:
		return take_number(k, v, err);
	case KEY_SIZE:
		return take_size(k, v, err);
	case KEY_TEXT:
		return take_text(k, v, err);
	default:
		*(json_t **)k->out = v;
		return 0;
	}
}

/* The values of an object whose keys are just these. */
static int
take_object(json_t *o, const struct key *keys, size_t n, struct err *err)
{
	const char *name;
	json_t *v;

	if (!json_is_object(o))
		return err_set(err, "is not an object");
	json_object_foreach(o, name, v)
	{
		size_t i = 0;

		while (i < n && strcmp(keys[i].name, name) != 0)
			i++;
		if (i == n)
			return err_set(err, "\"%.40s\" is not known here", name);
		if (take_value(&keys[i], v, err) != 0)
			return -1;
	}
	for (size_t i = 0; i < n; i++)
		if (keys[i].needed && json_object_get(o, keys[i].name) == NULL)
			return err_set(err, "\"%s\" is missing", keys[i].name);
	return 0;
}

/* --- devices --- */

static int
take_device(struct swarm_file *f, json_t *o, struct err *err)
{
	struct swarm_plan_peer *p = &f->peers[f->n];
	const struct key keys[] = {
		{"name", KEY_TEXT, true, 0, 0, 0, p->name},
		{"weights_gbps", KEY_NUMBER, true, 1e-3, 1e5, 1e9, &p->read_bps},
		{"prompt_gmacs", KEY_NUMBER, true, 1e-3, 1e7, 1e9, &p->macs_ps},
		{"memory", KEY_SIZE, true, 0, 0, 0, &p->memory},
		{"overhead", KEY_SIZE, false, 0, 0, 0, &p->overhead},
		{"disk_gbps", KEY_NUMBER, false, 0, 1e4, 1e9, &p->disk_bps},
		{"layer_us", KEY_NUMBER, false, 0, 1e6, 1e-6, &p->layer_s},
	};

	*p = (struct swarm_plan_peer){.usable = true, .layer_s = 20e-6};
	if (take_object(o, keys, sizeof keys / sizeof *keys, err) != 0)
		return p->name[0] != '\0' ? err_prefix(err, "device %s: ", p->name)
					  : err_prefix(err, "device %u: ", f->n + 1);
	for (uint32_t i = 0; i < f->n; i++)
		if (strcmp(f->peers[i].name, p->name) == 0)
			return err_set(err, "there are two devices '%s'", p->name);
	f->n++;
	return 0;
}

static int
take_devices(struct swarm_file *f, const json_t *list, struct err *err)
{
	size_t n = json_array_size(list);

	if (n < 1 || n > SWARM_PLAN_PEERS)
		return err_set(
			err, "\"devices\" is not a list of 1 to %d devices", SWARM_PLAN_PEERS);
	for (size_t i = 0; i < n; i++)
		if (take_device(f, json_array_get(list, i), err) != 0)
			return -1;
	return 0;
}

int
swarm_file_find(const struct swarm_file *f, const char *name, struct err *err)
{
	char names[256];
	size_t len = 0;

	for (uint32_t i = 0; i < f->n; i++) {
		if (strcmp(f->peers[i].name, name) == 0)
			return (int)i;
		if (len + 70 < sizeof names)
			len += (size_t)snprintf(names + len, sizeof names - len, "%s%s",
				i > 0 ? ", " : "", f->peers[i].name);
	}
	return err_set(err, "there is no device '%.63s': there are %s", name, names);
}

/* --- links --- */

static int
take_link(json_t *o, struct swarm_plan_link *l, json_t **between, struct err *err)
{
	const struct key keys[] = {
		{"round_trip_ms", KEY_NUMBER, true, 0, 1e6, 1e-3, &l->rtt},
		{"round_trip_p99_ms", KEY_NUMBER, false, 0, 1e6, 1e-3, &l->rtt99},
		{"mbit", KEY_NUMBER, true, 0, 1e7, 1e6 / 8, &l->bps},
		{"between", KEY_LIST, true, 0, 0, 0, between},
	};

	*l = (struct swarm_plan_link){.rtt99 = -1};
	if (take_object(o, keys, sizeof keys / sizeof *keys - (between == NULL), err) != 0)
		return -1;
	if (l->rtt99 < 0)
		l->rtt99 = l->rtt;
	return l->rtt99 >= l->rtt ? 0 : err_set(err, "the 99th percentile is below the median");
}

/* "*" stands for every device. */
static int
find_end(const struct swarm_file *f, const json_t *name, uint32_t *first, uint32_t *last,
	struct err *err)
{
	int found;

	*first = 0;
	*last = f->n - 1;
	if (!json_is_string(name))
		return err_set(err, "\"between\" is not a list of two names");
	if (strcmp(json_string_value(name), "*") == 0)
		return 0;
	found = swarm_file_find(f, json_string_value(name), err);
	if (found < 0)
		return -1;
	*first = *last = (uint32_t)found;
	return 0;
}

static int
take_pair(struct swarm_file *f, json_t *o, struct err *err)
{
	struct swarm_plan_link l;
	json_t *between = NULL;
	uint32_t a, a_last, b, b_last;

	if (take_link(o, &l, &between, err) != 0)
		return -1;
	if (json_array_size(between) != 2)
		return err_set(err, "\"between\" is not a list of two names");
	if (find_end(f, json_array_get(between, 0), &a, &a_last, err) != 0 ||
		find_end(f, json_array_get(between, 1), &b, &b_last, err) != 0)
		return -1;
	if (a == a_last && a == b && b == b_last && f->n > 1)
		return err_set(err, "a link of %s to itself", f->peers[a].name);
	for (uint32_t i = a; i <= a_last; i++)
		for (uint32_t j = b; j <= b_last; j++)
			f->links[i < j ? i * f->n + j : j * f->n + i] = l;
	return 0;
}

/* First that of all pairs, then those of some, each over what was there before. */
static int
take_links(struct swarm_file *f, json_t *all, const json_t *some, struct err *err)
{
	struct swarm_plan_link l = {0, 0, 0};
	size_t n = json_array_size(some);

	if (all != NULL && take_link(all, &l, NULL, err) != 0)
		return err_prefix(err, "\"link\": ");
	for (uint32_t i = 0; i < f->n * f->n; i++)
		f->links[i] = l;
	if (some != NULL && !json_is_array(some))
		return err_set(err, "\"links\" is not a list");
	for (size_t i = 0; i < n; i++)
		if (take_pair(f, json_array_get(some, i), err) != 0)
			return err_prefix(err, "link %zu: ", i + 1);
	for (uint32_t i = 0; i < f->n; i++)
		for (uint32_t j = i + 1; j < f->n && all == NULL; j++)
			if (f->links[i * f->n + j].bps <= 0 && f->links[i * f->n + j].rtt <= 0)
				return err_set(err,
					"nothing is said of the link between %s and %s: add it to "
					"\"links\", or \"link\" for all",
					f->peers[i].name, f->peers[j].name);
	return 0;
}

static int
take_file(struct swarm_file *f, json_t *o, struct err *err)
{
	json_t *devices = NULL, *all = NULL, *some = NULL;
	const struct key keys[] = {{"devices", KEY_LIST, true, 0, 0, 0, &devices},
		{"link", KEY_LIST, false, 0, 0, 0, &all},
		{"links", KEY_LIST, false, 0, 0, 0, &some}};

	if (take_object(o, keys, sizeof keys / sizeof *keys, err) != 0 ||
		take_devices(f, devices, err) != 0)
		return -1;
	return take_links(f, all, some, err);
}

int
swarm_file_read(struct swarm_file *f, const char *path, struct err *err)
{
	json_error_t where;
	struct buf text;
	json_t *o;
	int rc;

	*f = (struct swarm_file){.n = 0};
	buf_init(&text, MAX_FILE);
	rc = file_read(path, &text, err);
	if (rc == 0 && text.len == 0) /* jansson has no words for it */
		rc = err_set(err, "%s is empty: shoal(1) says what describes a swarm", path);
	if (rc != 0) {
		buf_free(&text);
		return -1;
	}
	o = json_loadb((const char *)text.data, text.len, JSON_REJECT_DUPLICATES, &where);
	buf_free(&text);
	if (o == NULL)
		return err_set(err, "%s:%d: %s", path, where.line, where.text);
	rc = take_file(f, o, err);
	json_decref(o);
	return rc == 0 ? 0 : err_prefix(err, "%s: ", path);
}
