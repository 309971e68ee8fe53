#include "tests/support/roster_sim.h"

#include <stddef.h>

#define NEVER     UINT64_MAX
#define PAUSE_MIN 50
#define PAUSE_MAX 10000
#define GOES      5000 /* after it has said so */

uint32_t
sim_random(struct roster_sim *s, uint32_t n)
{
	s->seed = s->seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(s->seed >> 33) % n;
}

static void
demand(struct roster_sim *s, bool holds, const char *what)
{
	if (!holds && s->broken == NULL)
		s->broken = what;
}

static void
note(struct roster_sim *s, uint64_t what)
{
	s->digest = (s->digest ^ what ^ s->now << 8) * 0x100000001b3u;
}

/* --- what the roster sees ----------------------------------------------------------------------- */

static bool
is_usable(const struct roster_sim *s, uint32_t i)
{
	const struct roster_member *r = &s->m[i].r;

	return r->here && !r->leaving && r->held_until <= s->now &&
	       (!s->serving || r->in_plan || r->measured || s->now >= r->came + ROSTER_MEASURE);
}

static bool
is_quick(const struct roster_sim *s)
{
	return s->quick || s->now >= s->calm;
}

static uint32_t
seats(const struct roster_sim *s)
{
	return s->wanted > 0 && s->wanted - 1 < s->n ? s->wanted - 1 : s->n;
}

static struct roster_view
view(const struct roster_sim *s)
{
	struct roster_view v = {.n = s->n,
		.wanted = s->wanted,
		.served = s->served,
		.planned = s->planned,
		.serving = s->serving,
		.waiting = s->busy != 0,
		.quick = is_quick(s),
		.since = 1,
		.busy_since = s->busy,
		.now = s->now};

	for (uint32_t i = 0; i < s->n; i++)
		v.members[i] = &s->m[i].r;
	return v;
}

static void
ask(struct roster_sim *s, struct roster_choice *c)
{
	struct roster_view v = view(s);

	roster_choose(&v, c);
	demand(s, c->n <= seats(s), "more devices than wanted are chosen");
	demand(s, c->until == 0 || c->until > s->now, "it wants to be asked in the past");
	for (uint32_t i = 0; i < c->n; i++) {
		demand(s, i == 0 || c->chosen[i] > c->chosen[i - 1], "ranks are out of order");
		demand(s, c->chosen[i] < s->n && is_usable(s, c->chosen[i]),
			"a member is chosen that is away, leaves or is held back");
	}
}

/* --- a plan's life ------------------------------------------------------------------------------ */

static void
drop(struct roster_sim *s)
{
	s->planned = s->serving = false;
	s->free = s->now + sim_random(s, 30);
	for (uint32_t i = 0; i < s->n; i++) {
		s->m[i].r.in_plan = false;
		s->m[i].fails = NEVER;
	}
}

static void
begin(struct roster_sim *s, const struct roster_choice *c)
{
	uint64_t members = 0;

	for (uint32_t i = 0; i < s->n; i++)
		s->m[i].r.in_last = false;
	for (uint32_t i = 0; i < c->n; i++) {
		struct sim_member *m = &s->m[c->chosen[i]];

		members |= (uint64_t)1 << c->chosen[i];
		m->r.in_plan = m->r.in_last = true;
		if (m->habit >= SIM_DIES && s->now < s->calm)
			m->fails = s->now + sim_random(s, 20000);
	}
	if (s->improving) { /* it was worth it: those that are left, and somebody more */
		for (uint32_t i = 0; i < s->n; i++)
			demand(s, !(s->old >> i & 1) || !is_usable(s, i) || (members >> i & 1),
				"a member is exchanged without need");
	}
	s->improving = false;
	s->planned = true;
	s->plans++;
	s->since = s->now;
	s->ready = s->now + 1 + sim_random(s, 3000);
	note(s, members << 1);
}

static bool
has_leaver(const struct roster_sim *s)
{
	for (uint32_t i = 0; i < s->n; i++)
		if (s->m[i].r.in_plan && s->m[i].r.leaving)
			return true;
	return false;
}

/* For a member that means to go: answers stand still only for as long as the change takes. */
static void
make_way(struct roster_sim *s)
{
	s->old = 0;
	for (uint32_t i = 0; i < s->n; i++)
		s->old |= (uint64_t)s->m[i].r.in_plan << i;
	if (s->serving && s->busy != 0) {
		demand(s, is_quick(s), "an answer is cut off before the slices are there");
		s->stood++;
	}
	s->improving = true;
	drop(s);
}

/* A plan may only make room when it can have a member more, and may cut off an answer for that only
 * when requests have come for so long that there will be no pause. */
static void
improve(struct roster_sim *s)
{
	uint32_t in_plan = 0, newcomers = 0;

	s->old = 0;
	for (uint32_t i = 0; i < s->n; i++) {
		in_plan += s->m[i].r.in_plan;
		newcomers += !s->m[i].r.in_plan && is_usable(s, i);
		s->old |= (uint64_t)s->m[i].r.in_plan << i;
	}
	demand(s, newcomers > 0 && in_plan < seats(s), "a plan is dropped without a reason");
	demand(s, !s->serving || is_quick(s),
		"a plan stops that could serve until slices are there");
	if (s->busy != 0) {
		demand(s, s->serving, "a plan is dropped while it is made and requests wait");
		demand(s, s->now >= s->busy + ROSTER_PATIENCE, "an answer is cut off too soon");
		s->interrupted++;
	}
	s->improved++;
	s->improving = true;
	drop(s);
}

static void
advance(struct roster_sim *s)
{
	struct roster_choice c;

	s->until = 0;
	if (s->planned) {
		ask(s, &c);
		s->until = c.until;
		demand(s, c.step == ROSTER_KEEP || c.step == ROSTER_DROP, "a second plan is made");
		if (c.step == ROSTER_DROP && has_leaver(s))
			make_way(s);
		else if (c.step == ROSTER_DROP)
			improve(s);
	}
	if (s->planned || s->now < s->retry || s->now < s->free)
		return;
	ask(s, &c);
	s->until = c.until;
	demand(s, c.step == ROSTER_PLAN || c.step == ROSTER_WAIT, "there is no plan to keep");
	demand(s, c.step == ROSTER_PLAN || !s->served, "there is nothing to wait for");
	if (c.step == ROSTER_PLAN)
		begin(s, &c);
}

/* --- what happens ------------------------------------------------------------------------------- */

static void
come(struct roster_sim *s, struct sim_member *m)
{
	roster_came(&m->r, s->now);
	m->r.measured = sim_random(s, 2) == 0;
	s->retry = s->pause = 0;
	for (uint32_t i = 0; i < s->n; i++)
		roster_pardon(&s->m[i].r, s->now);
	m->next =
		s->now < s->calm && m->habit == SIM_ROAMS ? s->now + sim_random(s, 120000) : NEVER;
	note(s, 2);
}

static void
go(struct roster_sim *s, struct sim_member *m)
{
	struct roster_choice c;

	roster_went(&m->r, s->now);
	m->next = s->now + 1 + sim_random(s, m->habit == SIM_ROAMS ? 60000 : 1500);
	note(s, 3);
	if (!m->r.in_plan)
		return;
	ask(s, &c);
	demand(s, c.step == ROSTER_DROP, "a plan outlives one of its members");
	s->lost++;
	drop(s);
	s->retry = 0;
}

static void
have_trouble(struct roster_sim *s, struct sim_member *m)
{
	roster_failed(&m->r, s->now);
	s->pause = s->pause == 0 ? PAUSE_MIN : s->pause * 2 > PAUSE_MAX ? PAUSE_MAX : s->pause * 2;
	s->retry = s->now + s->pause;
	s->blamed++;
	note(s, 4);
	drop(s);
}

static void
fail(struct roster_sim *s, struct sim_member *m)
{
	m->fails = NEVER;
	m->failures++;
	if (m->habit == SIM_LEAVES) {
		m->r.leaving = true;
		m->goes = s->now + GOES;
		return;
	}
	if (m->habit != SIM_DIES)
		have_trouble(s, m);
	if (m->habit != SIM_TROUBLE)
		go(s, m);
}

/* Who means to go goes when it is not missed, or when it has waited for long enough. */
static void
leave(struct roster_sim *s)
{
	for (uint32_t i = 0; i < s->n; i++) {
		struct sim_member *m = &s->m[i];
		struct roster_view v = view(s);

		if (!m->r.here || !m->r.leaving)
			continue;
		if (roster_may_go(&v, &m->r)) {
			demand(s, !m->r.in_plan, "a member goes that computes");
			s->let_go++;
		} else if (m->goes > s->now) {
			continue;
		}
		go(s, m);
	}
}

static void
plan_happens(struct roster_sim *s)
{
	if (!s->serving && s->now >= s->ready) {
		s->serving = s->served = true;
		s->since = s->now;
	} else if (s->serving && s->now == s->since + ROSTER_SETTLED) {
		s->pause = 0;
		for (uint32_t i = 0; i < s->n; i++)
			if (s->m[i].r.in_plan)
				roster_settled(&s->m[i].r);
	}
}

static void
load_happens(struct roster_sim *s)
{
	if (s->now < s->load_changes)
		return;
	s->busy = s->busy == 0 && s->load != SIM_IDLE ? s->now : 0;
	s->load_changes = s->load == SIM_MIXED ? s->now + 1 + sim_random(s, 60000) : NEVER;
}

static void
happen(struct roster_sim *s)
{
	load_happens(s);
	if (s->planned)
		plan_happens(s);
	for (uint32_t i = 0; i < s->n; i++) {
		struct sim_member *m = &s->m[i];

		if (m->fails <= s->now)
			fail(s, m);
		else if (m->next <= s->now && m->r.here && s->now < s->calm)
			go(s, m);
		else if (m->next <= s->now && !m->r.here)
			come(s, m);
		else if (m->next <= s->now)
			m->next = NEVER;
	}
	advance(s);
	leave(s);
	advance(s);
}

static void
sooner(const struct roster_sim *s, uint64_t *next, uint64_t t)
{
	if (t > s->now && t < *next)
		*next = t;
}

static uint64_t
next_time(const struct roster_sim *s)
{
	uint64_t next = s->end;

	for (uint32_t i = 0; i < s->n; i++) {
		sooner(s, &next, s->m[i].next);
		sooner(s, &next, s->m[i].fails);
		if (s->m[i].r.leaving)
			sooner(s, &next, s->m[i].goes);
	}
	sooner(s, &next, s->calm); /* slices are on disk */
	sooner(s, &next, s->load_changes);
	sooner(s, &next, s->until != 0 ? s->until : NEVER);
	if (s->planned)
		sooner(s, &next, s->serving ? s->since + ROSTER_SETTLED : s->ready);
	else
		sooner(s, &next, s->retry > s->free ? s->retry : s->free);
	return next;
}

void
sim_run(struct roster_sim *s)
{
	s->now = 1;
	for (uint32_t i = 0; i < s->n; i++) {
		s->m[i] = (struct sim_member){.habit = s->habits[i], .fails = NEVER};
		s->m[i].next = 1 + sim_random(s, 2 * ROSTER_GATHER);
	}
	for (;; s->now = next_time(s)) {
		happen(s);
		if (s->broken != NULL || s->now >= s->end)
			return;
	}
}

uint32_t
sim_serving(const struct roster_sim *s)
{
	uint32_t n = 0;

	for (uint32_t i = 0; s->serving && i < s->n; i++)
		n += s->m[i].r.in_plan;
	return n;
}
