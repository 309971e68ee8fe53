/* Slices for plans that may come, and those that make the model without this device: brought to disks
 * while the present plan serves. One set of members at a time, because hashing and sending take from what serves; only the set with a
 * newcomer is made while requests run, since they gain by it. What is there, and what failed, is in sched/stock_book. */
#include "daemon/log.h"
#include "daemon/serve_int.h"
#include "model/shard_store.h"

#include <stdio.h>
#include <stdlib.h>

#define QUIET_MS 2000  /* of serving without requests before anything begins */
#define PAUSE_MS 60000 /* after a set that did not work */
#define LOOK_MS  2000  /* between two looks that find nothing to do: each takes several plans */
#define KNOWN_MS                                                                                   \
	1000 /* that what a plan's devices have on disk is taken for known, while nothing is made */

struct stock {
	struct serve *serve;
	struct plan *plan; /* of the set that is being made; NULL: none is */
	uint64_t set;
	bool cover; /* it is one without this device */
	bool own;   /* this device's shard is there */
	bool sent;
	uint64_t failed[8]; /* sets that did not work lately: a ring */
	unsigned n_failed;
	uint64_t retry_at; /* when they are tried again */
	uint64_t look_at;  /* not before, while the same devices are wanted */
	struct swarm_peer *wanted[SLICE_MAX_PEERS];
	uint32_t n_wanted;
};

/* --- which sets are there ----------------------------------------------------------------------- */

static bool
knows(const uint64_t *ring, unsigned size, unsigned n, uint64_t set)
{
	for (unsigned i = 0; i < n && i < size; i++)
		if (ring[i] == set)
			return true;
	return false;
}

static bool
has_failed(const struct stock *k, uint64_t set)
{
	return knows(k->failed, sizeof k->failed / sizeof *k->failed, k->n_failed, set);
}

/* 0: this one. */
static uint64_t
device_id(const struct swarm_peer *p)
{
	return p != NULL ? get_le64(p->known->key) : 0;
}

/* The set of a plan, by the devices whose disks it is on; first: 1: this one has none of it. */
static void
set_for_book(const struct plan *p, uint32_t first, struct book_set *out)
{
	struct peer_speed speed;

	*out = (struct book_set){.set = plan_set(p)};
	for (uint32_t i = first; i < p->n; i++) {
		const struct swarm_peer *peer = p->members[i].peer;

		speeds_of(p->serve->speeds, peer, 0, &speed);
		out->devices[out->n++] = (struct book_device){device_id(peer), speed.memory};
	}
}

void
stock_served(struct serve *s, const struct plan *p)
{
	struct book_set set;

	set_for_book(p, 0, &set);
	book_served(&s->book, &set);
	s->had.until = 0;
}

void
stock_spoilt(struct serve *s, const struct plan *p)
{
	bool lacks = s->stock != NULL && has_failed(s->stock, plan_set(p));
	struct book_set set;

	set_for_book(p, 0, &set);
	book_failed(&s->book, &set, p->state == PLAN_LINKING, lacks, uv_now(s->loop));
	s->had.until = 0;
}

void
stock_came(struct serve *s, const struct swarm_peer *p)
{
	book_came(&s->book, device_id(p));
	s->had.until = 0;
}

void
stock_told(struct serve *s, const struct swarm_peer *p)
{
	book_memory(&s->book, device_id(p), p->memory);
	s->had.until = 0;
}

bool
stock_has(struct serve *s, struct swarm_peer *const *members, uint32_t n, uint64_t *set)
{
	struct stock_answer *had = &s->had;
	uint64_t now = uv_now(s->loop);
	struct err ignored;
	struct plan *p;

	if (now < had->until && n == had->n &&
		memcmp(members, had->members, n * sizeof *members) == 0) {
		*set = had->set;
		return had->there;
	}
	p = plan_make(s, members, n, &ignored);
	if (p == NULL)
		return false;
	*set = plan_set(p);
	/* What cannot be brought to disk beforehand is fetched when the plan is made; once, if that fails. */
	had->there = !book_spoilt(&s->book, *set, now) &&
		     (strcmp(s->config->spare_disk, "off") == 0 || book_has(&s->book, *set) ||
			     (s->stock != NULL && has_failed(s->stock, *set)));
	plan_free(p);
	had->set = *set;
	had->until = now + KNOWN_MS;
	memcpy(had->members, members, n * sizeof *members);
	had->n = n;
	return had->there;
}

/* --- making one --------------------------------------------------------------------------------- */

static void
end_set(struct stock *k)
{
	struct plan *p = k->plan;

	k->plan = NULL;
	if (p != NULL)
		plan_free(p);
}

void
stock_failed(struct stock *k, const char *why)
{
	log_info("no slices for another plan: %s", why);
	k->failed[k->n_failed++ % (sizeof k->failed / sizeof *k->failed)] = k->set;
	book_missing(&k->serve->book, k->set);
	k->serve->had.until = 0;
	k->retry_at = uv_now(k->serve->loop) + PAUSE_MS;
	end_set(k);
}

static void
send_stock(struct plan *p, uint32_t rank)
{
	struct plan_member *m = &p->members[rank];
	Shoal__Envelope e = SHOAL__ENVELOPE__INIT;
	Shoal__Stock stock = SHOAL__STOCK__INIT;
	char name[257];

	control_text(p->file->id, name);
	stock.model_id = (ProtobufCBinaryData){SHARD_HASH, p->file->model_id};
	stock.model_name = name;
	stock.rank = p->slices[rank].rank;
	stock.peers = p->slices[rank].peers;
	stock.header_bytes = m->header.bytes.len;
	stock.header_hash = (ProtobufCBinaryData){SHARD_HASH, m->header.hash};
	e.body_case = SHOAL__ENVELOPE__BODY_STOCK;
	e.stock = &stock;
	swarm_send(m->peer, &e);
}

/* Ends the set when everybody has what it needs. */
static void
check_done(struct stock *k)
{
	struct plan *p = k->plan;
	struct book_set set;

	if (!k->own || !k->sent)
		return;
	for (uint32_t i = 1; i < p->n; i++)
		if (!p->members[i].ready)
			return;
	log_info(
		"the slices of another plan of %u device%s are on disk", p->n, p->n > 1 ? "s" : "");
	set_for_book(p, k->cover ? 1 : 0, &set);
	book_note(&k->serve->book, &set);
	k->serve->had.until = 0;
	end_set(k);
}

void
stock_hashed(struct stock *k)
{
	struct plan *p = k->plan;

	k->sent = true;
	for (uint32_t i = 1; i < p->n; i++)
		send_stock(p, i);
	check_done(k);
}

void
stock_prepared(struct stock *k, const struct err *err)
{
	if (err->msg[0] != '\0') {
		stock_failed(k, err->msg);
		return;
	}
	k->own = true;
	check_done(k);
}

void
stock_control(struct serve *s, struct swarm_peer *p, const Shoal__Stocked *m)
{
	struct stock *k = s->stock;
	char why[600];

	for (uint32_t i = 1; k != NULL && k->plan != NULL && i < k->plan->n; i++) {
		struct plan_member *pm = &k->plan->members[i];

		if (pm->peer != p || m->header_hash.len != SHARD_HASH ||
			memcmp(pm->header.hash, m->header_hash.data, SHARD_HASH) != 0)
			continue;
		if (m->trouble[0] == '\0') {
			pm->ready = true;
			check_done(k);
		} else {
			snprintf(why, sizeof why, "%s: %s", p->known->name, m->trouble);
			stock_failed(k, why);
		}
		return;
	}
}

const struct member_header *
stock_header(struct serve *s, const struct swarm_peer *p, const uint8_t hash[SHARD_HASH])
{
	struct plan *plan = s->stock != NULL ? s->stock->plan : NULL;

	for (uint32_t i = 1; plan != NULL && i < plan->n; i++) {
		struct plan_member *m = &plan->members[i];

		if (m->peer == p && m->header.bytes.len > 0 &&
			memcmp(m->header.hash, hash, SHARD_HASH) == 0)
			return &m->header;
	}
	return NULL;
}

/* --- which set is next -------------------------------------------------------------------------- */

/* Takes the set when it is not there yet. */
static bool
try_set(struct stock *k, struct swarm_peer *const *members, uint32_t n)
{
	struct serve *s = k->serve;
	struct err err = {""};
	struct plan *p = plan_make(s, members, n, &err);
	uint64_t set = p != NULL ? plan_set(p) : 0;

	if (p == NULL || book_has(&s->book, set) || has_failed(k, set)) {
		if (p != NULL)
			plan_free(p);
		return false;
	}
	k->plan = p;
	k->set = set;
	k->own = k->sent = k->cover = false;
	p->stock = k;
	p->preparing = own_job_start(p, &err);
	if (p->preparing != NULL && p->n > 1)
		p->hashing = hash_job_start(p, &err);
	k->sent = p->n == 1;
	if (p->preparing == NULL || (p->n > 1 && p->hashing == NULL))
		stock_failed(k, err.msg);
	return true;
}

/* Of more devices than a disk keeps shards there would be no end: each set drives another out. */
static bool
try_without_one(struct stock *k)
{
	const struct plan *now = k->serve->plan;
	struct swarm_peer *members[SLICE_MAX_PEERS];

	if (now->n > SHARD_KEEP + 1)
		return false;
	for (uint32_t without = 1; without < now->n; without++) {
		uint32_t m = 0;

		for (uint32_t i = 1; i < now->n; i++)
			if (i != without)
				members[m++] = now->members[i].peer;
		if (try_set(k, members, m))
			return true;
	}
	return false;
}

/* Slices that make the model without this device: with them another one can be elected that does not have
 * its file (daemon/gather.h). A plan that is never made: its rank 0, which is this device, has none. */
static struct plan *
cover_plan(struct serve *s)
{
	struct plan *p = calloc(1, sizeof *p);
	struct swarm_peer *const *peers;
	uint32_t n = swarm_peers(s->swarm, &peers);
	struct err ignored;

	if (p == NULL)
		return NULL;
	p->serve = s;
	p->file = model_file_ref(s->file);
	for (uint32_t i = 0; i < n && p->n + 1 < SLICE_MAX_PEERS; i++)
		if (peers[i]->control != NULL && peers[i]->roster.here)
			p->members[++p->n].peer = peers[i];
	if (p->n >= 2 && slice_cut(&s->file->shape, NULL, p->n, p->slices + 1, &ignored) == 0) {
		p->n++;
		return p;
	}
	p->n++;
	plan_free(p);
	return NULL;
}

static bool
try_cover(struct stock *k)
{
	struct plan *p = elect_elects(k->serve->elect) ? cover_plan(k->serve) : NULL;
	uint64_t set = p != NULL ? plan_set(p) : 0;
	struct err err = {""};

	if (p == NULL || book_has(&k->serve->book, set) || has_failed(k, set)) {
		if (p != NULL)
			plan_free(p);
		return false;
	}
	k->plan = p;
	k->set = set;
	k->own = k->cover = true; /* it has none */
	k->sent = false;
	p->stock = k;
	p->hashing = hash_job_start(p, &err);
	if (p->hashing == NULL)
		stock_failed(k, err.msg);
	return true;
}

/* A member of the set has gone. */
static bool
is_broken(const struct stock *k)
{
	for (uint32_t i = 1; i < k->plan->n; i++)
		if (!k->plan->members[i].peer->roster.here)
			return true;
	return false;
}

/* Whether it is time to look for something to do. */
static bool
is_due(struct stock *k, struct swarm_peer *const *wanted, uint32_t n)
{
	uint64_t now = uv_now(k->serve->loop);
	bool same = n == k->n_wanted && memcmp(wanted, k->wanted, n * sizeof *wanted) == 0;

	if (same && now < k->look_at)
		return false;
	memcpy(k->wanted, wanted, n * sizeof *wanted);
	k->n_wanted = n;
	k->look_at = now + LOOK_MS;
	return true;
}

void
stock_tick(struct serve *s, struct swarm_peer *const *wanted, uint32_t n)
{
	struct stock *k = s->stock;
	uint64_t now = uv_now(s->loop);

	if (s->plan == NULL || s->plan->state != PLAN_SERVING ||
		strcmp(s->config->spare_disk, "off") == 0)
		return;
	if (k == NULL) {
		k = s->stock = calloc(1, sizeof *k);
		if (k == NULL)
			return;
		k->serve = s;
	}
	if (k->plan != NULL && is_broken(k))
		end_set(k);
	if (k->n_failed > 0 && now >= k->retry_at)
		k->n_failed = 0;
	if (k->plan != NULL || !is_due(k, wanted, n) || try_set(k, wanted, n))
		return;
	if (s->busy_since == 0 && now - s->plan->since >= QUIET_MS && !try_cover(k))
		try_without_one(k);
}

void
stock_drop(struct serve *s)
{
	if (s->stock == NULL)
		return;
	end_set(s->stock);
	free(s->stock);
	s->stock = NULL;
}

bool
stock_busy(const struct serve *s)
{
	return s->stock != NULL && s->stock->plan != NULL;
}

void
stock_words(const struct serve *s, char *out, size_t size)
{
	const struct plan *p = s->stock != NULL ? s->stock->plan : NULL;
	size_t len = 0;

	out[0] = '\0';
	for (uint32_t i = 1; p != NULL && i < p->n && len + 100 < size; i++)
		if (!p->members[i].ready && s->stock->sent)
			len += (size_t)snprintf(out + len, size - len, "%s%s", len > 0 ? ", " : "",
				p->members[i].peer->known->name);
	if (len > 0)
		snprintf(out + len, size - len, " get%s slices for another plan",
			strchr(out, ',') == NULL ? "s" : "");
	else if (p != NULL)
		snprintf(out, size, "slices for another plan are being made");
}
