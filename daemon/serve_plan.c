/* The coordinator's plan: hashing -> preparing -> linking -> serving. Whatever goes wrong drops the
 * plan; plan_advance makes the next one (with a new epoch) as soon as it can work. */
#include "daemon/log.h"
#include "daemon/serve_balance.h"
#include "daemon/serve_kv.h"
#include "daemon/serve_leave.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#define PAUSE_MIN     50 /* ms until a plan that failed is tried again; doubles */
#define PAUSE_MAX     10000
#define LINKING_LIMIT 10000 /* ms in which members open their tensor links */
#define SETTLED       10000 /* ms of serving after which a failure counts as the first one again */

struct plan_member *
plan_member(struct serve *s, const struct swarm_peer *peer)
{
	for (uint32_t i = 1; s->plan != NULL && i < s->plan->n; i++)
		if (s->plan->members[i].peer == peer)
			return &s->plan->members[i];
	return NULL;
}

/* --- states ------------------------------------------------------------------------------------- */

static const char *const state_names[] = {"hashing", "preparing", "linking", "serving"};

void
plan_set_state(struct plan *p, enum plan_state state)
{
	log_info("plan %llu: %s -> %s", (unsigned long long)p->epoch, state_names[p->state],
		state_names[state]);
	p->state = state;
	p->since = uv_now(p->serve->loop);
}

static void
send_release(struct plan *p, struct plan_member *m, const char *why)
{
	Shoal__Envelope e = SHOAL__ENVELOPE__INIT;
	Shoal__Release release = SHOAL__RELEASE__INIT;
	char text[257];

	control_text(why, text);
	release.epoch = p->epoch;
	release.why = text;
	e.body_case = SHOAL__ENVELOPE__BODY_RELEASE;
	e.release = &release;
	swarm_send(m->peer, &e);
}

void
plan_drop(struct serve *s, const char *why)
{
	struct plan *p = s->plan;

	if (p == NULL)
		return;
	log_info("plan %llu: %s -> dropped: %s", (unsigned long long)p->epoch,
		state_names[p->state], why);
	s->plan = NULL;
	stock_drop(s);
	serve_stop_engine(s, why);
	for (uint32_t i = 1; i < p->n; i++) {
		p->members[i].peer->roster.in_plan = false;
		send_release(p, &p->members[i], why);
	}
	member_links_close(s, "the plan has ended");
	plan_free(p);
}

void
plan_spoil(struct serve *s, const char *why)
{
	const struct plan *p = s->plan;

	if (p != NULL && p->state == PLAN_SERVING && uv_now(s->loop) - p->since > SETTLED)
		s->pause = 0;
	if (p != NULL && p->state != PLAN_SERVING)
		stock_spoilt(s, p);
	snprintf(s->trouble, sizeof s->trouble, "%.500s", why);
	log_warning("%s", why);
	plan_drop(s, why);
}

void
plan_fail(struct serve *s, const char *why)
{
	plan_spoil(s, why);
	s->pause = s->pause == 0 ? PAUSE_MIN : s->pause * 2 > PAUSE_MAX ? PAUSE_MAX : s->pause * 2;
	s->retry_at = uv_now(s->loop) + s->pause;
	serve_look_again(s, s->pause);
}

/* --- beginning ---------------------------------------------------------------------------------- */

static uint32_t
context_of(const struct serve *s, const struct model_file *f)
{
	uint32_t context = s->config->context;

	if (context == 0)
		return f->shape.context < 4096 ? f->shape.context : 4096;
	return context;
}

struct plan *
plan_make(struct serve *s, struct swarm_peer *const *members, uint32_t n, struct err *err)
{
	struct plan *p = calloc(1, sizeof *p);
	bool chosen;
	int rc;

	if (p == NULL) {
		err_set(err, "not enough memory for a plan");
		return NULL;
	}
	p->serve = s;
	p->n = n + 1;
	for (uint32_t i = 0; i < n; i++)
		p->members[i + 1].peer = members[i];
	p->file = model_file_ref(s->file);
	p->context = context_of(s, s->file);
	p->rows = rows_of_step(s, s->file, members, n);
	p->way = serve_way(s->config);
	p->since = uv_now(s->loop);
	rc = choose_members(s, p, members, n, &chosen, err);
	if (rc == 0 && !chosen)
		rc = plan_cut(p, err);
	p->payload = serve_payload(s->config, &s->file->whole, p->stages.n);
	if (rc == 0)
		return p;
	plan_free(p);
	return NULL;
}

void
plan_free(struct plan *p)
{
	if (p->hashing != NULL)
		hash_job_abandon(p->hashing);
	if (p->preparing != NULL)
		own_job_abandon(p->preparing);
	if (p->weights != NULL)
		p->weights->free(p->weights);
	open_shard_unref(p->shard);
	for (uint32_t i = 1; i < p->n; i++)
		member_header_free(&p->members[i].header);
	model_file_unref(p->file);
	free(p);
}

uint64_t
plan_set(const struct plan *p)
{
	crypto_generichash_state state;
	uint8_t hash[16];
	uint64_t set;

	crypto_generichash_init(&state, NULL, 0, sizeof hash);
	crypto_generichash_update(&state, p->file->model_id, SHARD_HASH);
	for (uint32_t i = 0; i < p->n; i++) {
		const struct slice *sl = &p->slices[i];
		const uint32_t cuts[] = {sl->layer0, sl->layers, sl->kv_head0, sl->kv_heads,
			sl->ffn0, sl->ffn, sl->vocab0, sl->vocab};

		if (i > 0)
			crypto_generichash_update(&state, p->members[i].peer->known->key, 32);
		crypto_generichash_update(&state, (const uint8_t *)cuts, sizeof cuts);
	}
	crypto_generichash_final(&state, hash, sizeof hash);
	memcpy(&set, hash, sizeof set);
	return set;
}

static struct plan *
plan_new(struct serve *s, const struct roster_choice *choice, struct err *err)
{
	struct swarm_peer *members[SLICE_MAX_PEERS];
	uint32_t n = plan_chosen(s, choice, members);
	struct plan *p = plan_make(s, members, n, err);

	if (p == NULL)
		return NULL;
	plan_divide_rows(p);
	if (epochs_next(&s->epochs, s->state->dir, s->epoch_seen, &p->epoch, err) != 0) {
		plan_free(p);
		return NULL;
	}
	plan_takes_part(p);
	return p;
}

/* This device's own slice, while members fetch theirs. */
static void
prepare(struct plan *p)
{
	struct err err = {""};

	plan_set_state(p, PLAN_PREPARING);
	p->preparing = own_job_start(p, &err);
	if (p->preparing == NULL)
		plan_fail(p->serve, err.msg);
}

static void
begin(struct serve *s, const struct roster_choice *choice)
{
	struct err err = {""};

	s->plan = plan_new(s, choice, &err);
	if (s->plan == NULL) {
		plan_fail(s, err.msg);
		return;
	}
	log_info("plan %llu: %s over %u device%s in %u stage%s", (unsigned long long)s->plan->epoch,
		s->file->id, s->plan->n, s->plan->n > 1 ? "s" : "", s->plan->stages.n,
		s->plan->stages.n > 1 ? "s" : "");
	if (s->plan->n == 1) {
		prepare(s->plan);
		return;
	}
	s->plan->hashing = hash_job_start(s->plan, &err);
	if (s->plan->hashing == NULL)
		plan_fail(s, err.msg);
}

/* --- preparing ---------------------------------------------------------------------------------- */

/* The stages of a pipeline as a message has them, in `list`, `pointers` to which it keeps. */
static void
name_stages(const struct plan *p, Shoal__Prepare *out, Shoal__Stage *list, Shoal__Stage **pointers)
{
	if (p->stages.n < 2)
		return;
	for (uint32_t i = 0; i < p->stages.n; i++) {
		shoal__stage__init(&list[i]);
		list[i].peers = p->stages.list[i].n;
		list[i].layers = p->stages.list[i].layers;
		pointers[i] = &list[i];
	}
	out->n_stages = p->stages.n;
	out->stages = pointers;
}

/* How the group of this rank divides rows; none: not at all. */
static void
name_row_shares(const struct plan *p, uint32_t rank, Shoal__Prepare *out)
{
	const struct stage *st = &p->stages.list[stages_of(&p->stages, rank)];

	if (p->row_shares[rank] == 0)
		return;
	out->n_row_shares = st->n;
	out->row_shares = (uint32_t *)p->row_shares + st->first;
}

static void
send_prepare(struct plan *p, uint32_t rank)
{
	Shoal__Stage stages[SLICE_MAX_PEERS], *pointers[SLICE_MAX_PEERS];
	struct plan_member *m = &p->members[rank];
	const struct config *c = p->serve->config;
	void *room = NULL;
	Shoal__Envelope e = SHOAL__ENVELOPE__INIT;
	Shoal__Prepare prepare = SHOAL__PREPARE__INIT;
	char name[257];

	control_text(p->file->id, name);
	prepare.epoch = p->epoch;
	prepare.model_id = (ProtobufCBinaryData){SHARD_HASH, p->file->model_id};
	prepare.model_name = name;
	prepare.rank = rank;
	prepare.peers = p->n;
	prepare.context = p->context;
	prepare.slots = c->parallel;
	prepare.max_rows = p->rows;
	prepare.kv_type = serve_kv(c);
	prepare.payload = p->payload.token;
	prepare.prompt_payload = p->payload.prompt;
	prepare.header_bytes = m->header.bytes.len;
	prepare.header_hash = (ProtobufCBinaryData){SHARD_HASH, m->header.hash};
	prepare.collective = p->way;
	prepare.kv_copies = c->kv_copies > 0;
	name_stages(p, &prepare, stages, pointers);
	name_row_shares(p, rank, &prepare);
	if (plan_neighbours(p, rank, &prepare, &room) != 0)
		log_warning("not enough memory to name the neighbours of %s", m->peer->known->name);
	e.body_case = SHOAL__ENVELOPE__BODY_PREPARE;
	e.prepare = &prepare;
	swarm_send(m->peer, &e);
	free(room);
}

void
plan_hashed(struct plan *p, int result, struct member_header *headers, const struct err *err)
{
	p->hashing = NULL;
	if (result != 0) {
		if (p->stock != NULL)
			stock_failed(p->stock, err->msg);
		else
			plan_fail(p->serve, err->msg);
		return;
	}
	for (uint32_t i = 1; i < p->n; i++) {
		struct plan_member *m = &p->members[i];

		m->header = headers[i];
		headers[i] = (struct member_header){0};
		for (uint32_t k = 0; k < m->header.h.n_extents; k++)
			m->weights += m->header.h.extents[k].bytes;
		m->total = m->weights;
		if (p->stock == NULL)
			send_prepare(p, i);
	}
	if (p->stock != NULL)
		stock_hashed(p->stock);
	else
		prepare(p); /* may end p */
}

static void
send_begin(struct plan *p)
{
	Shoal__Envelope e = SHOAL__ENVELOPE__INIT;
	Shoal__Begin begin_msg = SHOAL__BEGIN__INIT;

	begin_msg.epoch = p->epoch;
	e.body_case = SHOAL__ENVELOPE__BODY_BEGIN;
	e.begin = &begin_msg;
	plan_set_state(p, PLAN_LINKING);
	for (uint32_t i = 1; i < p->n; i++)
		swarm_send(p->members[i].peer, &e);
}

/* Goes on when everybody is ready, this device too. */
static void
check_ready(struct plan *p)
{
	if (p->state != PLAN_PREPARING || p->weights == NULL)
		return;
	for (uint32_t i = 1; i < p->n; i++)
		if (!p->members[i].ready)
			return;
	if (p->n == 1)
		plan_start_engine(p);
	else
		send_begin(p);
}

void
plan_prepared(struct plan *p, const struct err *err)
{
	if (p->stock != NULL)
		stock_prepared(p->stock, err);
	else if (p->weights == NULL)
		plan_fail(p->serve, err->msg);
	else
		check_ready(p);
}

static void
take_ready(struct plan *p, struct plan_member *m, const Shoal__Ready *r)
{
	if (m->ready || p->state != PLAN_PREPARING)
		return;
	m->ready = true;
	m->done = m->total;
	log_info("plan %llu: %s is ready, %llu bytes fetched", (unsigned long long)p->epoch,
		m->peer->known->name, (unsigned long long)r->fetched);
	check_ready(p);
}

static double
seconds_said(double v)
{
	return v > 0 && v < 1e9 ? v : 0; /* also what is no number */
}

static void
take_pace(struct plan_member *m, const Shoal__Pace *p)
{
	m->pace = (struct engine_pace){.steps = p->steps,
		.seconds = seconds_said(p->all),
		.compute = seconds_said(p->seconds),
		.disk = seconds_said(p->disk),
		.sums = seconds_said(p->sums)};
}

int
plan_control(struct serve *s, struct swarm_peer *peer, const Shoal__Envelope *e, struct err *err)
{
	struct plan_member *m = plan_member(s, peer);
	uint64_t epoch = s->plan != NULL ? s->plan->epoch : 0;
	char why[600];

	switch (e->body_case) {
	case SHOAL__ENVELOPE__BODY_READY:
		if (m != NULL && e->ready->epoch == epoch)
			take_ready(s->plan, m, e->ready);
		return 0;
	case SHOAL__ENVELOPE__BODY_LINKED:
		if (m != NULL && e->linked->epoch == epoch)
			plan_linked(s->plan, m, e->linked);
		return 0;
	case SHOAL__ENVELOPE__BODY_PROGRESS:
		if (m != NULL && e->progress->epoch == epoch && !m->ready) {
			m->done = e->progress->done;
			m->total = e->progress->total;
			m->sources = e->progress->sources;
		}
		if (m != NULL && e->progress->epoch == epoch && e->progress->pace != NULL) {
			take_pace(m, e->progress->pace);
			balance_heard(s, (uint32_t)(m - s->plan->members), e->progress->pace);
		}
		return 0;
	case SHOAL__ENVELOPE__BODY_GOING:
		leave_heard(s, peer, e->going->why);
		return 0;
	case SHOAL__ENVELOPE__BODY_STOCKED:
		stock_control(s, peer, e->stocked);
		return 0;
	case SHOAL__ENVELOPE__BODY_TROUBLE:
		snprintf(why, sizeof why, "%s: %s", peer->known->name, e->trouble->what);
		if (m != NULL && e->trouble->epoch == epoch)
			plan_told(s, peer, e->trouble->who, why);
		return 0;
	default:
		return err_set(err, "a member does not send '%s'", control_name(e));
	}
}

/* --- what comes next ---------------------------------------------------------------------------- */

static void
check_linking(struct serve *s)
{
	struct plan *p = s->plan;
	char why[128];

	if (p->state != PLAN_LINKING || uv_now(s->loop) - p->since < LINKING_LIMIT)
		return;
	for (uint32_t i = 1; i < p->n; i++)
		if ((plan_has_link(p, i) && p->members[i].tensor == NULL) ||
			(plan_has_neighbours(p) && !p->members[i].linked)) {
			snprintf(why, sizeof why, "%s did not open its tensor links within %d s",
				p->members[i].peer->known->name, LINKING_LIMIT / 1000);
			plan_blame(s, p->members[i].peer, why);
			return;
		}
}

/* Requests wait for devices only so long. */
static void
check_patience(struct serve *s)
{
	uint64_t limit = (uint64_t)s->config->wait_for_peers * 1000;
	char words[512], why[600];

	if (s->stopped_at == 0 || uv_now(s->loop) - s->stopped_at < limit)
		return;
	serve_words(s, words, sizeof words);
	snprintf(why, sizeof why, "gave up after %u s: %s", s->config->wait_for_peers, words);
	log_warning("%s", why);
	serve_end_requests(s, why);
}

static const char *
why_dropped(const struct serve *s, char *room, size_t size)
{
	const char *why = balance_why(s);

	if (leave_words(s, room, size))
		return room;
	return why != NULL ? why : "other devices take part from now on";
}

static void
keep_time(struct serve *s)
{
	if (s->gathering == 0)
		s->gathering = uv_now(s->loop);
	if (desk_requests(s->desk) == 0)
		s->busy_since = 0;
	else if (s->busy_since == 0)
		s->busy_since = uv_now(s->loop);
}

void
plan_advance(struct serve *s)
{
	struct swarm_peer *members[SLICE_MAX_PEERS];
	struct roster_choice choice;
	char why[PEER_NAME + 16];

	keep_time(s);
	if (!elect_may_serve(s->elect)) {
		plan_drop(s, "fewer than most of the devices are here");
		check_patience(s);
		return;
	}
	if (s->plan != NULL) {
		plan_candidates(s, &choice);
		if (s->plan->file != s->file) {
			plan_drop(s, "another model is wanted");
		} else if (choice.step == ROSTER_DROP) {
			plan_drop(s, why_dropped(s, why, sizeof why));
		} else {
			plan_settled(s->plan);
			check_linking(s);
			copies_tick(s);
			balance_tick(s);
			stock_tick(s, members, plan_chosen(s, &choice, members));
		}
	}
	if (s->plan == NULL)
		check_patience(s);
	if (s->file != NULL && !serve_file_is_good(s))
		return;
	if (s->plan != NULL || s->file == NULL || s->ending > 0 || uv_now(s->loop) < s->retry_at)
		return;
	plan_candidates(s, &choice);
	if (choice.step == ROSTER_PLAN)
		begin(s, &choice);
}
