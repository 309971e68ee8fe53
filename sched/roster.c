#include "sched/roster.h"

static void
hold(struct roster_member *m, uint64_t now, bool lost)
{
	uint64_t ms = ROSTER_HOLD_MIN;

	for (unsigned i = 0; i < m->failures && ms < ROSTER_HOLD_MAX; i++)
		ms *= 2;
	m->failures++;
	m->was_lost = lost;
	m->held_until = now + (ms < ROSTER_HOLD_MAX ? ms : ROSTER_HOLD_MAX);
}

void
roster_came(struct roster_member *m, uint64_t now)
{
	m->here = true;
	m->came = now;
	m->leaving = false;
}

void
roster_went(struct roster_member *m, uint64_t now)
{
	if (m->here && m->in_plan)
		hold(m, now, true);
	m->here = false;
}

void
roster_failed(struct roster_member *m, uint64_t now)
{
	hold(m, now, false);
}

void
roster_settled(struct roster_member *m)
{
	m->failures = m->pardons = 0;
}

void
roster_pardon(struct roster_member *m, uint64_t now)
{
	if (m->was_lost || m->held_until <= now || m->pardons >= ROSTER_PARDONS)
		return;
	m->pardons++;
	m->held_until = 0;
}

void
roster_forgive(struct roster_member *m)
{
	m->pardons = 0;
	if (!m->was_lost)
		m->held_until = 0;
}

/* Before when it is not used; 0: at once. */
static uint64_t
release(const struct roster_view *v, const struct roster_member *m)
{
	bool newcomer = v->serving && !m->in_plan && !m->measured;
	uint64_t measured = newcomer ? m->came + ROSTER_MEASURE : 0;

	return measured > m->held_until ? measured : m->held_until;
}

static bool
usable(const struct roster_view *v, const struct roster_member *m)
{
	return m->here && !m->leaving && release(v, m) <= v->now;
}

/* Those that can be used, up to the number that is asked for; who is in the plan already, or was in
 * the last one, comes first, so that nobody is exchanged without need. */
static void
choose(const struct roster_view *v, struct roster_choice *c)
{
	uint32_t most = v->wanted > 0 ? v->wanted - 1 : v->n, taken = 0;
	bool take[ROSTER_MAX] = {false};

	for (int newcomers = 0; newcomers < 2; newcomers++)
		for (uint32_t i = 0; i < v->n && taken < most; i++) {
			const struct roster_member *m = v->members[i];

			if (take[i] || !usable(v, m) || (m->in_last == (newcomers == 1)))
				continue;
			take[i] = true;
			taken++;
		}
	c->n = 0;
	for (uint32_t i = 0; i < v->n; i++)
		if (take[i])
			c->chosen[c->n++] = i;
}

/* When the next member can be used that cannot yet; 0: none is. */
static uint64_t
next_release(const struct roster_view *v)
{
	uint64_t until = 0;

	for (uint32_t i = 0; i < v->n; i++) {
		uint64_t at = release(v, v->members[i]);

		if (v->members[i]->here && at > v->now && (until == 0 || at < until))
			until = at;
	}
	return until;
}

static uint32_t
count_here(const struct roster_view *v)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < v->n; i++)
		n += v->members[i]->here;
	return n;
}

static uint32_t
count_considered(const struct roster_view *v)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < v->n; i++)
		n += v->members[i]->in_plan || (v->members[i]->spare && usable(v, v->members[i]));
	return n;
}

/* Before the first plan everybody gets the time to come, so that a restart does not make a plan for
 * each one. A number that the user asks for is waited for however long it takes. */
static void
first_plan(const struct roster_view *v, struct roster_choice *c)
{
	uint64_t until = v->since + ROSTER_GATHER;

	c->step = ROSTER_PLAN;
	if (v->wanted > 0) {
		if (c->n + 1 < v->wanted) {
			c->step = ROSTER_WAIT;
			c->until = next_release(v);
		}
	} else if (count_here(v) < v->n && v->now < until) {
		c->step = ROSTER_WAIT;
		c->until = until;
	}
}

static bool
somebody_went(const struct roster_view *v)
{
	for (uint32_t i = 0; i < v->n; i++)
		if (v->members[i]->in_plan && !v->members[i]->here)
			return true;
	return false;
}

static bool
somebody_leaves(const struct roster_view *v)
{
	for (uint32_t i = 0; i < v->n; i++)
		if (v->members[i]->in_plan && v->members[i]->leaving)
			return true;
	return false;
}

static bool
same_members(const struct roster_view *v, const struct roster_choice *c)
{
	for (uint32_t i = 0; i < c->n; i++)
		if (!v->members[c->chosen[i]]->in_plan && !v->members[c->chosen[i]]->spare)
			return false;
	return c->n == count_considered(v);
}

static void
running_plan(const struct roster_view *v, struct roster_choice *c)
{
	c->step = ROSTER_KEEP;
	if (somebody_went(v)) {
		c->step = ROSTER_DROP;
		return;
	}
	c->until = next_release(v);
	if (somebody_leaves(v)) {
		/* It will be gone soon, whatever is decided: what is being made is for nothing, and
		 * what serves is better changed between two steps than broken in one. */
		if (!v->serving || !v->waiting || v->quick)
			c->step = ROSTER_DROP;
		return;
	}
	if (same_members(v, c) && !v->other)
		return;
	/* What serves goes on while slices travel, and who waits for a plan waits for no other. */
	if (v->serving ? !v->quick : v->waiting)
		return;
	if (!v->waiting) {
		c->step = ROSTER_DROP;
		return;
	}
	if (v->busy_since + ROSTER_PATIENCE <= v->now)
		c->step = ROSTER_DROP;
	else
		c->until = v->busy_since + ROSTER_PATIENCE;
}

void
roster_choose(const struct roster_view *v, struct roster_choice *c)
{
	*c = (struct roster_choice){0};
	choose(v, c);
	if (v->planned)
		running_plan(v, c);
	else if (!v->served)
		first_plan(v, c);
	else
		c->step = ROSTER_PLAN;
}

bool
roster_may_go(const struct roster_view *v, const struct roster_member *m)
{
	return !m->in_plan && (v->serving || !v->waiting);
}
