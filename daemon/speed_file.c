#include "daemon/speed_file.h"

#include "base/file.h"
#include "base/text.h"
#include "daemon/log.h"

#include <errno.h>
#include <math.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_FILE (1u << 20)

/* --- one device as JSON ------------------------------------------------------------------------- */

json_t *
speed_to_json(const struct device_speed *s)
{
	json_t *types = json_object();

	for (uint32_t i = 0; i < DTYPE_COUNT; i++)
		if (s->types[i].bytes_per_s > 0)
			json_object_set_new(types, dtype_name(i),
				json_pack("{s:f,s:f}", "bytes_per_second", s->types[i].bytes_per_s,
					"operations_per_second", s->types[i].ops_per_s));
	return json_pack("{s:o,s:f,s:f,s:I,s:f}", "types", types, "read_bytes_per_second",
		s->read_bytes_per_s, "disk_bytes_per_second", s->disk_bytes_per_s,
		"generation_threads", (json_int_t)s->threads, "undisturbed", s->undisturbed);
}

static double
number(json_t *o, const char *key)
{
	return json_number_value(json_object_get(o, key));
}

bool
speed_from_json(json_t *o, struct device_speed *s)
{
	json_t *types = json_object_get(o, "types");
	json_int_t threads = json_integer_value(json_object_get(o, "generation_threads"));

	*s = (struct device_speed){.read_bytes_per_s = number(o, "read_bytes_per_second"),
		.disk_bytes_per_s = number(o, "disk_bytes_per_second"),
		.threads = threads > 0 && threads <= 1024 ? (uint32_t)threads : 0,
		.undisturbed = number(o, "undisturbed")};
	for (uint32_t i = 0; i < DTYPE_COUNT; i++) {
		json_t *t = dtype_computed(i) ? json_object_get(types, dtype_name(i)) : NULL;

		s->types[i].bytes_per_s = number(t, "bytes_per_second");
		s->types[i].ops_per_s = number(t, "operations_per_second");
	}
	if (s->threads > 0 && device_speed_sane(s))
		return true;
	*s = (struct device_speed){0};
	return false;
}

/* --- files -------------------------------------------------------------------------------------- */

/* NULL: not there, or damaged, which is logged. */
static json_t *
read_json(const char *folder, const char *name, char path[4200])
{
	json_error_t where;
	json_t *o = NULL;
	struct buf b;
	struct err err;

	snprintf(path, 4200, "%s/%s", folder, name);
	if (access(path, F_OK) != 0)
		return NULL;
	buf_init(&b, MAX_FILE);
	if (file_read(path, &b, &err) != 0) {
		log_warning("%s (it is measured again)", err.msg);
	} else {
		o = json_loadb((const char *)b.data, b.len, JSON_REJECT_DUPLICATES, &where);
		if (o == NULL)
			log_warning("%s is damaged at line %d (%s): it is measured again", path,
				where.line, where.text);
	}
	buf_free(&b);
	return o;
}

/* Takes o. */
static int
write_json(const char *folder, const char *name, json_t *o, struct err *err)
{
	char path[4200], *text = o != NULL ? json_dumps(o, JSON_INDENT(1)) : NULL;
	int rc;

	snprintf(path, sizeof path, "%s/%s", folder, name);
	rc = text != NULL ? file_write(path, text, strlen(text), 0600, err)
			  : err_set(err, "out of memory");
	free(text);
	json_decref(o);
	return rc;
}

static bool
is_text(json_t *o, const char *key, const char *text)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s != NULL && strcmp(s, text) == 0;
}

static bool
is_number(json_t *o, const char *key, uint32_t n)
{
	json_t *v = json_object_get(o, key);

	return json_is_integer(v) && json_integer_value(v) == (json_int_t)n;
}

enum speed_use
speed_file_load(const char *folder, const struct speed_conditions *now, struct device_speed *s)
{
	enum speed_use use = SPEED_NONE;
	char path[4200];
	json_t *o = read_json(folder, "speed.json", path);

	*s = (struct device_speed){0};
	if (o == NULL)
		return SPEED_NONE;
	if (!is_text(o, "cpu", now->cpu) || !is_text(o, "kernels", now->kernels) ||
		!is_number(o, "threads", now->threads) ||
		!is_number(o, "threads_batch", now->threads_batch) ||
		!is_number(o, "pool", now->pool))
		log_info("this device is not what it was when it was measured");
	else if (!speed_from_json(json_object_get(o, "speed"), s))
		log_warning("%s holds no speeds: they are measured again", path);
	else
		use = is_text(o, "software", now->software) ? SPEED_GOOD : SPEED_OLD;
	json_decref(o);
	return use;
}

int
speed_file_save(const char *folder, const struct speed_conditions *now,
	const struct device_speed *s, struct err *err)
{
	json_t *o = json_pack("{s:s,s:s,s:s,s:I,s:I,s:I,s:o}", "software", now->software, "cpu",
		now->cpu, "kernels", now->kernels, "threads", (json_int_t)now->threads,
		"threads_batch", (json_int_t)now->threads_batch, "pool", (json_int_t)now->pool,
		"speed", speed_to_json(s));

	return write_json(folder, "speed.json", o, err);
}

/* --- members ------------------------------------------------------------------------------------ */

static json_t *
member_json(const struct swarm_peer *p)
{
	json_t *o, *net;
	char key[65];

	sodium_bin2hex(key, sizeof key, p->known->key, sizeof p->known->key);
	net = json_pack("{s:f,s:f,s:f,s:I,s:s}", "rtt_s", p->net.rtt_s, "rtt_p99_s",
		p->net.rtt_p99_s, "bytes_per_second", p->net.bytes_per_s, "measured",
		(json_int_t)p->net.measured, "host", p->net.host);
	o = json_pack("{s:s,s:s,s:s,s:s,s:s,s:I,s:I,s:o}", "key", key, "name", p->known->name,
		"software", p->software, "cpu", p->cpu, "kernels", p->kernels, "threads",
		(json_int_t)p->threads, "memory_bytes", (json_int_t)p->memory, "link", net);
	if (p->speed.threads > 0)
		json_object_set_new(o, "speed", speed_to_json(&p->speed));
	return o;
}

int
members_file_save(const char *folder, struct swarm_peer *const *peers, uint32_t n, struct err *err)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < n; i++)
		json_array_append_new(list, member_json(peers[i]));
	return write_json(folder, "members.json", json_pack("{s:o}", "members", list), err);
}

static void
get_text(json_t *o, const char *key, char *out, size_t size)
{
	const char *s = json_string_value(json_object_get(o, key));

	text_copy(out, size, s != NULL ? s : "");
}

/* A number of the file within its range, or 0. */
static double
within(json_t *o, const char *key, double most)
{
	double v = number(o, key);

	return isfinite(v) && v >= 0 && v <= most ? v : 0;
}

static void
take_member(json_t *o, struct swarm_peer *p)
{
	json_t *net = json_object_get(o, "link");

	get_text(o, "software", p->software, sizeof p->software);
	get_text(o, "cpu", p->cpu, sizeof p->cpu);
	get_text(o, "kernels", p->kernels, sizeof p->kernels);
	p->threads = (uint32_t)within(o, "threads", 1024);
	p->memory = (uint64_t)within(o, "memory_bytes", 1e18);
	speed_from_json(json_object_get(o, "speed"), &p->speed);
	p->net.rtt_s = within(net, "rtt_s", 1e4);
	p->net.rtt_p99_s = within(net, "rtt_p99_s", 1e4);
	p->net.bytes_per_s = within(net, "bytes_per_second", 1e13);
	p->net.measured = (uint64_t)within(net, "measured", 1e15);
	get_text(net, "host", p->net.host, sizeof p->net.host);
}

void
members_file_load(const char *folder, struct swarm_peer *const *peers, uint32_t n)
{
	char path[4200], key[65];
	json_t *o = read_json(folder, "members.json", path), *m;
	size_t i;

	json_array_foreach(json_object_get(o, "members"), i, m)
	{
		for (uint32_t j = 0; j < n; j++) {
			sodium_bin2hex(
				key, sizeof key, peers[j]->known->key, sizeof peers[j]->known->key);
			if (is_text(m, "key", key))
				take_member(m, peers[j]);
		}
	}
	json_decref(o);
}
