#include "daemon/serve_balance.h"

#include "daemon/log.h"
#include "sched/rebalance.h"
#include "sched/rebalance_words.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define ASK_MS 1000   /* between two looks whether other shares are due */
#define GAP_MS 120000 /* without a token; after that everything is measured anew */

struct balance_member {
	struct swarm_peer *peer; /* NULL: this device */
	struct expected expected;
	bool heard; /* of it, in this plan; as it was told last: */
	uint64_t steps;
	double seconds;
};

enum change_state { CHANGE_NONE, CHANGE_WANTED, CHANGE_MADE };

struct change { /* the last one */
	enum change_state state;
	char who[PEER_NAME], reason[PEER_NAME + 64], words[512];
	uint64_t at; /* unix seconds */
	uint32_t n;
	char names[SLICE_MAX_PEERS][PEER_NAME]; /* of the plan that it ended, and their parts */
	double before[SLICE_MAX_PEERS];
};

struct balance {
	struct rebalance r;
	uint64_t epoch; /* of the plan that is watched */
	bool predicted; /* what it should take is known */
	uint32_t n;
	struct balance_member members[SLICE_MAX_PEERS]; /* by rank */
	double clock;                                   /* seconds of generating, in all plans */
	double engine; /* of these, those of the engine that computes now */
	double asked;  /* clock, when it was last looked whether other shares are due */
	uint64_t ask_at, stepped_at; /* loop times */
	struct pace own;
	struct change change;
	uint64_t changes;
};

/* --- what is expected --------------------------------------------------------------------------- */

static double
seconds_now(const struct serve *s)
{
	return (double)uv_now(s->loop) / 1000;
}

static const char *
name_of(const struct serve *s, const struct swarm_peer *peer)
{
	return peer != NULL ? peer->known->name : s->state->name;
}

/* A device keeps its number from plan to plan. */
static uint32_t
id_of(const struct swarm_peer *peer)
{
	uint32_t id = 0;

	if (peer != NULL)
		memcpy(&id, peer->known->key, sizeof id);
	return id;
}

/* By how much faster than planned it may count: up to what it was measured to be, and a little more. */
static double
most_of(const struct expected *e)
{
	return e->speed > 0 ? fmax(1, REBALANCE_TRUST * e->measured / e->speed) : 0;
}

/* Begins to compare, with nothing measured yet. */
static void
watch(struct balance *b)
{
	struct rebalance_peer peers[SLICE_MAX_PEERS];

	for (uint32_t i = 0; i < b->n; i++)
		peers[i] = (struct rebalance_peer){.id = id_of(b->members[i].peer),
			.work = b->members[i].expected.share,
			.expected_s = b->members[i].expected.compute_s,
			.most = most_of(&b->members[i].expected)};
	rebalance_plan(&b->r, peers, b->n);
}

static void
predict(struct serve *s)
{
	struct balance *b = s->balance;
	struct expected e[SLICE_MAX_PEERS];

	if (!choose_expected(s, s->plan, e))
		return;
	for (uint32_t i = 0; i < b->n; i++)
		b->members[i].expected = e[i];
	b->predicted = true;
	watch(b);
}

/* --- words -------------------------------------------------------------------------------------- */

/* Parts of the layers' columns, or, in a model that has none to share, of its KV heads. */
static double
part_of(const struct plan *p, uint32_t rank)
{
	const struct model_shape *shape = &p->file->shape;

	const struct slice *sl = &p->slices[rank];
	double layers = (double)sl->layers / shape->layers;

	return layers * (shape->ffn > 0 ? (double)sl->ffn / shape->ffn
					: (double)sl->kv_heads / shape->kv_heads);
}

static void
remember_shares(struct change *c, const struct plan *p)
{
	c->n = p->n;
	for (uint32_t i = 0; i < p->n; i++) {
		snprintf(c->names[i], PEER_NAME, "%s", name_of(p->serve, p->members[i].peer));
		c->before[i] = part_of(p, i);
	}
}

/* The plan that was wanted is there: says what has moved. */
static void
say_moved(struct change *c, const struct plan *p)
{
	struct rebalance_share shares[2 * SLICE_MAX_PEERS];
	char moved[300];
	uint32_t n = c->n;

	for (uint32_t i = 0; i < c->n; i++)
		shares[i] = (struct rebalance_share){c->names[i], c->before[i], 0};
	for (uint32_t i = 0; i < p->n; i++) {
		const char *name = name_of(p->serve, p->members[i].peer);
		uint32_t at = 0;

		while (at < n && strcmp(shares[at].name, name) != 0)
			at++;
		if (at == n)
			shares[n++] = (struct rebalance_share){name, 0, 0};
		shares[at].after = part_of(p, i);
	}
	rebalance_moved(moved, sizeof moved, c->who, shares, n);
	snprintf(c->words, sizeof c->words, "%s: %s", c->reason, moved);
}

const char *
balance_why(const struct serve *s)
{
	const struct balance *b = s->balance;

	return b != NULL && b->change.state == CHANGE_WANTED ? b->change.reason : NULL;
}

/* --- other shares ------------------------------------------------------------------------------- */

static bool
may_change(const struct serve *s)
{
	return s->config->n_shares == 0 && s->config->n_stages == 0 &&
	       strcmp(s->config->plan, "auto") == 0 && (s->plan == NULL || s->plan->stages.n < 2);
}

/* What is seen counts from now on: for plans, and for what this one should take. A member can say what
 * it likes: none counts for more than a device may differ from what it was measured to be. */
static void
take_speeds(struct serve *s, const double *factors)
{
	struct balance *b = s->balance;

	for (uint32_t i = 0; i < b->n; i++) {
		struct balance_member *m = &b->members[i];
		struct pace *p = m->peer != NULL ? &m->peer->pace : &b->own;
		double factor = fmin(fmax(factors[i], PACE_LEAST), PACE_MOST);

		m->expected.speed *= factor;
		m->expected.compute_s /= factor;
		pace_seen(p, m->expected.speed, m->expected.measured, seconds_now(s));
	}
	watch(b);
}

static const struct balance_member *
mover_of(const struct balance *b)
{
	for (uint32_t i = 1; i < b->n; i++)
		if (id_of(b->members[i].peer) == b->r.last.mover)
			return &b->members[i];
	return &b->members[0];
}

static void
change_shares(struct serve *s, const double *factors)
{
	struct balance *b = s->balance;
	struct change *c = &b->change;
	const struct balance_member *mover = mover_of(b);

	snprintf(c->who, sizeof c->who, "%s", name_of(s, mover->peer));
	if (b->r.back)
		rebalance_back_reason(
			c->reason, sizeof c->reason, b->r.trial.before_s, b->r.back_s);
	else
		rebalance_reason(c->reason, sizeof c->reason, c->who, factors[mover - b->members]);
	remember_shares(c, s->plan);
	c->at = (uint64_t)time(NULL);
	take_speeds(s, factors);
	if (choices_shift(s, b->r.back ? 0 : REBALANCE_LEAST)) {
		c->state = CHANGE_WANTED;
		snprintf(c->words, sizeof c->words, "%s: slices of other sizes are got ready",
			c->reason);
	} else {
		c->state = CHANGE_NONE;
		rebalance_refused(&b->r);
		snprintf(c->words, sizeof c->words, "%s: other shares would not make up for it",
			c->reason);
	}
	if (b->r.back)
		log_info("plan %llu: %s", (unsigned long long)s->plan->epoch, c->words);
	else
		log_info("plan %llu: %s (computing could take %.0f %% less)",
			(unsigned long long)s->plan->epoch, c->words, 100 * b->r.saving);
}

static bool
all_measured(const struct balance *b)
{
	for (uint32_t i = 0; i < b->n; i++)
		if (b->r.peers[i].expected_s > 0 && !(b->r.peers[i].average_s > 0))
			return false;
	return true;
}

static void
ask(struct serve *s)
{
	struct balance *b = s->balance;
	double factors[SLICE_MAX_PEERS];
	uint64_t now = uv_now(s->loop);

	if (now < b->ask_at)
		return;
	b->ask_at = now + ASK_MS;
	if (!b->predicted)
		predict(s);
	if (!b->predicted || b->clock == b->asked || !all_measured(b) || !may_change(s))
		return;
	b->asked = b->clock;
	if (rebalance_due(&b->r, b->clock, factors))
		change_shares(s, factors);
}

/* --- what is measured --------------------------------------------------------------------------- */

/* The first steps of a plan, with weights that are not in the caches yet, are only counted. */
static void
take(struct balance *b, uint32_t rank, uint64_t steps, double seconds)
{
	struct balance_member *m = &b->members[rank];
	uint64_t more = steps - m->steps;

	if (m->heard && steps > m->steps && seconds > m->seconds)
		rebalance_step(&b->r, rank, (seconds - m->seconds) / (double)more, b->clock);
	m->heard = true;
	m->steps = steps;
	m->seconds = seconds;
}

static bool
is_watched(const struct serve *s)
{
	return s->balance != NULL && s->plan != NULL && s->plan->state == PLAN_SERVING &&
	       s->plan->epoch == s->balance->epoch;
}

void
balance_heard(struct serve *s, uint32_t rank, const Shoal__Pace *pace)
{
	if (is_watched(s) && rank < s->balance->n && isfinite(pace->seconds) && pace->seconds >= 0)
		take(s->balance, rank, pace->steps, pace->seconds);
}

static void
measure_own(struct serve *s)
{
	struct balance *b = s->balance;
	uint64_t now = uv_now(s->loop);
	struct engine_stats st;

	if (s->engine == NULL)
		return;
	engine_stats(s->engine, &st);
	if (st.pace.seconds <= b->engine)
		return;
	if (now - b->stepped_at > GAP_MS)
		watch(b);
	b->stepped_at = now;
	b->clock += st.pace.seconds - b->engine;
	if (b->members[0].heard && st.pace.steps > b->members[0].steps)
		rebalance_whole(&b->r,
			(st.pace.seconds - b->engine) /
				(double)(st.pace.steps - b->members[0].steps),
			b->clock);
	b->engine = st.pace.seconds;
	take(b, 0, st.pace.steps, st.pace.compute);
}

void
balance_tick(struct serve *s)
{
	if (!is_watched(s))
		return;
	pace_holds(&s->balance->own, seconds_now(s));
	for (uint32_t i = 1; i < s->plan->n; i++)
		pace_holds(&s->plan->members[i].peer->pace, seconds_now(s));
	measure_own(s);
	ask(s);
}

/* --- life --------------------------------------------------------------------------------------- */

void
balance_began(struct plan *p)
{
	struct serve *s = p->serve;
	struct balance *b = s->balance;

	if (b == NULL) {
		b = s->balance = calloc(1, sizeof *b);
		if (b == NULL)
			return; /* shares stay as they are */
		rebalance_init(&b->r);
	}
	b->epoch = p->epoch;
	b->n = p->n;
	b->predicted = false;
	b->engine = 0;
	b->stepped_at = uv_now(s->loop);
	memset(b->members, 0, sizeof b->members);
	for (uint32_t i = 1; i < p->n; i++)
		b->members[i].peer = p->members[i].peer;
	watch(b);
	rebalance_began(&b->r, b->change.state == CHANGE_WANTED);
	predict(s);
	if (b->change.state != CHANGE_WANTED)
		return;
	b->change.state = CHANGE_MADE;
	b->change.at = (uint64_t)time(NULL);
	b->changes++;
	say_moved(&b->change, p);
	log_info("plan %llu: %s", (unsigned long long)p->epoch, b->change.words);
}

void
balance_free(struct serve *s)
{
	free(s->balance);
	s->balance = NULL;
}

double
balance_factor(const struct serve *s, const struct swarm_peer *peer, double measured)
{
	static const struct pace none;
	const struct pace *own = s->balance != NULL ? &s->balance->own : &none;

	return pace_factor(peer != NULL ? &peer->pace : own, measured, seconds_now(s));
}

/* --- for people --------------------------------------------------------------------------------- */

static json_t *
seconds_or_null(double v)
{
	return v > 0 ? json_real(v) : json_null();
}

void
balance_member_json(const struct serve *s, uint32_t rank, json_t *o)
{
	const struct balance *b = s->balance;
	bool watched = is_watched(s) && rank < b->n;

	json_object_set_new(o, "predicted_seconds",
		seconds_or_null(watched ? b->members[rank].expected.compute_s : 0));
	json_object_set_new(
		o, "measured_seconds", seconds_or_null(watched ? b->r.peers[rank].average_s : 0));
}

json_t *
balance_json(const struct serve *s)
{
	const struct balance *b = s->balance;
	const struct change *c = b != NULL ? &b->change : NULL;
	json_t *last = json_null();

	if (c != NULL && c->words[0] != '\0')
		last = json_pack("{s:s,s:I}", "words", c->words, "at", (json_int_t)c->at);
	return json_pack("{s:b,s:I,s:f,s:o}", "automatic", may_change(s), "changes",
		(json_int_t)(b != NULL ? b->changes : 0), "saving",
		b != NULL && is_watched(s) ? rebalance_gain(&b->r) : 0.0, "last", last);
}
