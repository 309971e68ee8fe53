#include "daemon/elect_int.h"

#include "daemon/log.h"
#include "model/shard.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TICK_MS      250
#define ADDRESSES_AT 20    /* beats, between two that carry the list although it is known */
#define LOOK_MS      60000 /* between looks for the model's file */

/* Of a clock that goes on while the device sleeps: a lease does not outlast a lid that is shut. */
uint64_t
elect_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static struct election_key
key_of(const uint8_t key[32])
{
	struct election_key k;

	memcpy(k.b, key, sizeof k.b);
	return k;
}

/* --- the device's part -------------------------------------------------------------------------- */

/* Begins anew from what the state says. */
static void
begin(struct elect *e)
{
	struct state *st = e->state;
	struct election_key me = key_of(st->public);
	uint64_t seed;

	st->election.leads = !st->is_member;
	st->election.follows = state_has_coordinator(st);
	st->election.coordinator = key_of(st->coordinator.key);
	randombytes_buf(&seed, sizeof seed);
	election_init(&e->core, &me, &st->election, (uint64_t)e->config->elect_after * 1000,
		elect_now(), seed);
	e->core.votes = strcmp(e->config->coordinator, "auto") == 0;
}

/* What the core says of this device's part, for the state. */
static void
take_part(struct elect *e)
{
	const struct election_saved *now = &e->core.saved;
	struct state *st = e->state;
	const struct known_peer *who;

	st->is_member = !now->leads;
	if (now->leads) {
		log_info("this device coordinates from now on, term %llu",
			(unsigned long long)now->term);
		return;
	}
	if (!now->follows) {
		log_info("no coordinator is known, term %llu", (unsigned long long)now->term);
		st->coordinator = (struct known_peer){0};
		return;
	}
	who = state_find_peer(st, now->coordinator.b);
	if (who != NULL)
		st->coordinator = *who;
	else if (memcmp(st->coordinator.key, now->coordinator.b, 32) != 0)
		st->coordinator = (struct known_peer){0};
	log_info("%s at %s coordinates from now on, term %llu", st->coordinator.name,
		st->coordinator.address, (unsigned long long)now->term);
}

static void
save(struct elect *e)
{
	bool was_unsaved = e->unsaved;
	struct err err;

	e->state->election = e->core.saved;
	e->news = false;
	e->unsaved = state_save(e->state, &err) != 0;
	if (e->unsaved && !was_unsaved)
		log_error("%s (this device elects nobody until it can be saved)", err.msg);
}

bool
elect_carry_out(struct elect *e, const struct election_todo *todo)
{
	if (todo->changed)
		take_part(e);
	if (todo->changed || todo->save || e->unsaved || e->news)
		save(e);
	if (todo->changed && !e->closing) {
		swarm_turn(e->swarm);
		e->look_at = 0;
		e->host.on_role(e->host.arg);
	}
	if (todo->ask && !e->unsaved && !e->closing)
		elect_ask_all(e, &todo->what);
	return !e->unsaved;
}

/* --- the model ---------------------------------------------------------------------------------- */

static bool
model_of(const char *path, uint8_t id[SHARD_HASH])
{
	struct err ignored;
	struct gguf *g = path[0] != '\0' ? gguf_open(path, &ignored) : NULL;

	if (g == NULL)
		return false;
	shard_model_id(g, id);
	gguf_close(g);
	return true;
}

static bool
is_model(const char *path, const uint8_t id[SHARD_HASH])
{
	uint8_t own[SHARD_HASH];

	return model_of(path, own) && memcmp(own, id, sizeof own) == 0;
}

static void
take_model(struct elect *e, const uint8_t *id)
{
	if (id == NULL || (e->has_model && memcmp(e->model, id, sizeof e->model) == 0))
		return;
	memcpy(e->model, id, sizeof e->model);
	e->has_model = true;
	e->has_shape = false;
	e->look_at = 0;
}

/* One that coordinated and is back as a member takes it that what it served is served still, until it hears: it may be
 * needed before. */
static void
suppose_model(struct elect *e)
{
	uint8_t own[SHARD_HASH];

	if (uv_now(e->loop) < e->look_at)
		return;
	e->look_at = uv_now(e->loop) + LOOK_MS;
	if (model_of(e->state->model, own))
		take_model(e, own);
}

/* Whether this device could serve what is served. */
static void
look_for_model(struct elect *e)
{
	const char *const paths[] = {e->config->model, e->state->model};

	if (!e->has_model && !e->core.saved.leads)
		take_model(e, e->host.kept(e->host.arg));
	if (!e->has_model && !e->core.saved.leads)
		suppose_model(e);
	if (!e->has_model)
		return;
	if (uv_now(e->loop) >= e->look_at) {
		e->look_at = uv_now(e->loop) + LOOK_MS;
		e->path[0] = '\0';
		for (int i = 0; i < 2 && e->path[0] == '\0'; i++)
			if (is_model(paths[i], e->model))
				snprintf(e->path, sizeof e->path, "%s", paths[i]);
	}
	e->core.late = e->path[0] == '\0';
	e->core.stands = !e->core.late || elect_has_slices(e);
}

const char *
elect_model(const struct elect *e)
{
	return e->path;
}

const uint8_t *
elect_model_id(const struct elect *e)
{
	return e->has_model ? e->model : NULL;
}

/* --- lists -------------------------------------------------------------------------------------- */

/* Keys of this device and of those that it knows. */
static uint32_t
known_keys(const struct elect *e, struct election_key keys[ELECTION_MAX])
{
	uint32_t n = 0;

	keys[n++] = key_of(e->state->public);
	for (uint32_t i = 0; i < e->state->n_peers && n < ELECTION_MAX; i++)
		keys[n++] = key_of(e->state->peers[i].key);
	return n;
}

static bool
same_list(const struct election_list *l, const struct election_key *keys, uint32_t n, bool elects)
{
	if (l->n != n || l->elects != elects)
		return false;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t k = 0;

		while (k < n && memcmp(&l->keys[k], &keys[i], sizeof keys[i]) != 0)
			k++;
		if (k == n)
			return false;
	}
	return true;
}

void
elect_sync(struct elect *e)
{
	struct election_key keys[ELECTION_MAX];
	uint32_t n = known_keys(e, keys);
	bool wanted = e->core.votes && n >= ELECTION_LEAST;
	struct election_todo todo;

	if (e->core.saved.leads == e->state->is_member ||
		(e->state->election.list.n == 0 && e->core.saved.list.n > 0)) {
		begin(e);
		e->has_model = false;
		e->core.stands = false;
		e->look_at = 0;
	}
	if (!e->core.saved.leads || ((!e->core.votes || n == 1) && e->core.saved.list.n == 0))
		return;
	if (same_list(&e->core.saved.list, keys, n, wanted) ||
		!election_may_change(&e->core, elect_now()))
		return;
	election_change(&e->core, keys, n, wanted, &todo);
	log_info("list %llu of term %llu: %u devices%s",
		(unsigned long long)e->core.saved.list.version,
		(unsigned long long)e->core.saved.list.term, n,
		wanted ? ", which elect a coordinator when it is gone" : "");
	elect_carry_out(e, &todo);
}

void
elect_heard_of(struct elect *e, const struct election_key *key, const char *address)
{
	struct known_peer *p = state_find_peer(e->state, key->b);

	if (p == NULL || address[0] == '\0' || strlen(address) >= sizeof p->address ||
		strcmp(p->address, address) == 0)
		return;
	strcpy(p->address, address);
	e->news = true;
}

/* A member's list of the others: those of the list that counts, with what is known of them. */
static void
take_peers(struct elect *e, const struct election_list *l, const struct known_peer *devices)
{
	struct state *st = e->state;
	struct known_peer peers[STATE_MAX_PEERS];
	uint32_t n = 0;

	for (uint32_t i = 0; i < l->n && n < STATE_MAX_PEERS; i++) {
		const struct known_peer *old = state_find_peer(st, devices[i].key);

		if (memcmp(devices[i].key, st->public, 32) == 0)
			continue;
		peers[n] = devices[i];
		if (peers[n].address[0] == '\0' && old != NULL)
			strcpy(peers[n].address, old->address);
		if (memcmp(peers[n].key, st->coordinator.key, 32) == 0 && st->is_member)
			strcpy(peers[n].address, st->coordinator.address);
		n++;
	}
	if (n == st->n_peers && memcmp(st->peers, peers, n * sizeof *peers) == 0)
		return;
	memcpy(st->peers, peers, n * sizeof *peers);
	st->n_peers = n;
	e->news = true;
}

int
elect_read_devices(const Shoal__Devices *d, struct election_list *l, struct known_peer *devices,
	struct err *err)
{
	l->n = 0;
	return d != NULL ? devices_message_read(d, l, devices, err) : 0;
}

void
elect_note_devices(struct elect *e, const struct election_list *l, const struct known_peer *devices)
{
	if (l->n > 0 && !e->core.saved.leads &&
		election_compare(l->term, l->version, &e->core.saved.list) == 0)
		take_peers(e, l, devices);
}

void
elect_fill_devices(const struct elect *e, struct devices_message *m)
{
	const struct election_list *l = &e->core.saved.list;
	struct known_peer devices[ELECTION_MAX] = {0};

	for (uint32_t i = 0; i < l->n; i++) {
		const struct known_peer *p = state_find_peer(e->state, l->keys[i].b);

		memcpy(devices[i].key, l->keys[i].b, 32);
		if (p != NULL)
			devices[i] = *p;
		else if (memcmp(l->keys[i].b, e->state->public, 32) == 0)
			snprintf(devices[i].name, sizeof devices[i].name, "%s", e->state->name);
	}
	devices_message_fill(m, l, devices);
}

/* --- beats -------------------------------------------------------------------------------------- */

/* Where members are now, for those who may have to find them. */
static void
note_address(struct elect *e, const struct swarm_peer *p)
{
	struct election_key k = key_of(p->known->key);
	char address[80];

	swarm_reach(link_address(p->control), p->port, address, sizeof address);
	elect_heard_of(e, &k, address);
}

static void
send_beat(struct elect *e, struct swarm_peer *p, const struct election_beat *b, bool with_list)
{
	Shoal__Envelope envelope = SHOAL__ENVELOPE__INIT;
	Shoal__Beat m = SHOAL__BEAT__INIT;
	struct devices_message devices;
	struct skeleton_id skeleton;

	beat_message_fill(&m, b);
	if (e->state->is_member)
		envelope.body_case = SHOAL__ENVELOPE__BODY_HEARD;
	else
		envelope.body_case = SHOAL__ENVELOPE__BODY_BEAT;
	if (!e->state->is_member && e->has_model)
		m.model_id = (ProtobufCBinaryData){sizeof e->model, e->model};
	if (m.model_id.len > 0 && e->host.skeleton(e->host.arg, e->model, &skeleton)) {
		m.skeleton = (ProtobufCBinaryData){sizeof skeleton.hash, skeleton.hash};
		m.skeleton_bytes = skeleton.bytes;
	}
	if (with_list) {
		elect_fill_devices(e, &devices);
		m.devices = &devices.message;
	}
	envelope.beat = &m;
	swarm_send(p, &envelope);
}

static void
beat(struct elect *e)
{
	struct swarm_peer *const *peers;
	uint32_t n = swarm_peers(e->swarm, &peers);
	struct election_beat b;

	if (!e->core.saved.leads || e->core.saved.list.n < 2 || e->unsaved)
		return;
	take_model(e, e->host.model(e->host.arg));
	election_beat(&e->core, elect_now(), &b);
	for (uint32_t i = 0; i < n; i++) {
		struct election_key k = key_of(peers[i]->known->key);

		if (peers[i]->control == NULL || peers[i]->software[0] == '\0')
			continue;
		note_address(e, peers[i]);
		send_beat(e, peers[i], &b,
			!election_has_list(&e->core, &k) || e->beats % ADDRESSES_AT == 0);
	}
	e->beats++;
}

static void
take_skeleton(struct elect *e, const Shoal__Beat *m)
{
	struct skeleton_id id = {.bytes = m->skeleton_bytes};

	if (m->model_id.len == 0 || m->skeleton.len == 0)
		return;
	memcpy(id.model_id, m->model_id.data, sizeof id.model_id);
	memcpy(id.hash, m->skeleton.data, sizeof id.hash);
	e->host.on_skeleton(e->host.arg, &id);
}

static int
take_beat(struct elect *e, struct swarm_peer *p, const Shoal__Beat *m, struct err *err)
{
	struct election_key from = key_of(p->known->key);
	struct known_peer devices[ELECTION_MAX];
	struct election_list l;
	struct election_beat b, answer;
	struct election_todo todo;

	if (beat_message_read(m, &b, err) != 0 ||
		elect_read_devices(m->devices, &l, devices, err) != 0)
		return -1;
	take_model(e, m->model_id.len == 32 ? m->model_id.data : NULL);
	take_skeleton(e, m);
	election_beat_heard(&e->core, &from, &b, l.n > 0 ? &l : NULL, elect_now(), &answer, &todo);
	elect_note_devices(e, &l, devices);
	if (elect_carry_out(e, &todo) && p->control != NULL)
		send_beat(e, p, &answer, false);
	return 0;
}

static int
take_heard(struct elect *e, struct swarm_peer *p, const Shoal__Beat *m, struct err *err)
{
	struct election_key from = key_of(p->known->key);
	struct election_beat b;
	struct election_todo todo;

	if (beat_message_read(m, &b, err) != 0)
		return -1;
	election_beat_answered(&e->core, &from, &b, elect_now(), &todo);
	elect_carry_out(e, &todo);
	return 0;
}

int
elect_control(struct elect *e, struct swarm_peer *p, const Shoal__Envelope *m, struct err *err)
{
	if (e->closing)
		return 0;
	if (e->state->is_member && m->body_case == SHOAL__ENVELOPE__BODY_BEAT)
		return take_beat(e, p, m->beat, err);
	if (!e->state->is_member && m->body_case == SHOAL__ENVELOPE__BODY_HEARD)
		return take_heard(e, p, m->heard, err);
	return err_set(err, "'%s' came from a %s", control_name(m),
		e->state->is_member ? "coordinator" : "member");
}

/* --- for others --------------------------------------------------------------------------------- */

bool
elect_may_serve(const struct elect *e)
{
	return election_may_serve(&e->core, elect_now());
}

bool
elect_elects(const struct elect *e)
{
	return e->core.saved.list.elects && e->core.saved.list.n >= ELECTION_LEAST;
}

int
elect_may_change(const struct elect *e, struct err *err)
{
	if (e->state->is_member || election_may_change(&e->core, elect_now()))
		return 0;
	return err_set(err, "most of the swarm's devices must be here, and know of the last "
			    "change, before another "
			    "one joins or is removed (coordinator = auto)");
}

void
elect_words(const struct elect *e, char *out, size_t size)
{
	const struct election_list *l = &e->core.saved.list;

	snprintf(out, size, "waiting for most of the devices: %u of %u answer, %u are needed",
		election_here(&e->core, elect_now()), l->n, election_majority(l));
}

json_t *
elect_json(const struct elect *e)
{
	const struct election_saved *s = &e->core.saved;
	struct skeleton_id skeleton;

	if (s->list.n == 0)
		return json_null();
	return json_pack("{s:I,s:I,s:b,s:b,s:b,s:s,s:b,s:I}", "term", (json_int_t)s->term,
		"devices", (json_int_t)s->list.n, "elects", elect_elects(e), "stands",
		e->core.stands && e->core.votes, "skeleton",
		e->has_model && e->host.skeleton(e->host.arg, e->model, &skeleton), "lacks",
		e->lacks, "bound", s->leads && s->bound, "here",
		(json_int_t)(s->leads ? election_here(&e->core, elect_now()) : 0));
}

/* --- life --------------------------------------------------------------------------------------- */

static void
on_tick(uv_timer_t *t)
{
	struct elect *e = t->data;
	struct election_todo todo;

	look_for_model(e);
	elect_sync(e);
	election_tick(&e->core, elect_now(), &todo);
	elect_carry_out(e, &todo);
	if (e->ticks++ % (ELECTION_BEAT / TICK_MS) == 0)
		beat(e);
	elect_ask_tick(e);
}

struct elect *
elect_new(uv_loop_t *loop, const struct config *c, struct state *st, struct swarm *s,
	const struct elect_host *host)
{
	struct elect *e = calloc(1, sizeof *e);

	if (e == NULL)
		return NULL;
	e->loop = loop;
	e->config = c;
	e->state = st;
	e->swarm = s;
	e->host = *host;
	begin(e);
	uv_timer_init(loop, &e->tick);
	e->tick.data = e;
	uv_timer_start(&e->tick, on_tick, TICK_MS, TICK_MS);
	return e;
}

void
elect_close(struct elect *e)
{
	if (e == NULL || e->closing)
		return;
	e->closing = true;
	uv_close((uv_handle_t *)&e->tick, NULL);
	elect_ask_close(e);
}

void
elect_free(struct elect *e)
{
	free(e);
}
