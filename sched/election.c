#include "sched/election.h"

#include <string.h>

#define NOBODY UINT32_MAX

/* --- lists -------------------------------------------------------------------------------------- */

static bool
same_key(const struct election_key *a, const struct election_key *b)
{
	return memcmp(a->b, b->b, sizeof a->b) == 0;
}

static uint32_t
place_of(const struct election_list *l, const struct election_key *key)
{
	for (uint32_t i = 0; i < l->n; i++)
		if (same_key(&l->keys[i], key))
			return i;
	return NOBODY;
}

int
election_compare(uint64_t term, uint64_t version, const struct election_list *l)
{
	if (term != l->term)
		return term < l->term ? -1 : 1;
	return version < l->version ? -1 : version > l->version;
}

uint32_t
election_majority(const struct election_list *l)
{
	return l->n / 2 + 1;
}

static bool
elects(const struct election_list *l)
{
	return l->elects && l->n >= ELECTION_LEAST;
}

/* --- chance ------------------------------------------------------------------------------------- */

/* 0 .. n-1: devices that wait equally long would try at the same moment (5.2). */
static uint64_t
chance(struct election *e, uint64_t n)
{
	e->random = e->random * 6364136223846793005u + 1442695040888963407u;
	return (e->random >> 33) % n;
}

static void
wait_a_while(struct election *e, uint64_t now)
{
	e->next = now + ELECTION_ROUND / 3 + chance(e, ELECTION_ROUND);
}

/* --- states ------------------------------------------------------------------------------------- */

/* All that a coordinator knows of the others, and the answers so far, are of another list or term. */
static void
forget(struct election *e)
{
	uint32_t self = place_of(&e->saved.list, &e->me);

	memset(e->lease, 0, sizeof e->lease);
	memset(e->knows, 0, sizeof e->knows);
	e->yes = 0;
	e->round++;
	if (self == NOBODY)
		return;
	e->yes = (uint64_t)1 << self;
	e->lease[self] = UINT64_MAX;
	e->knows[self] = true;
}

static void
follow(struct election *e)
{
	e->state = ELECTION_FOLLOWS;
	forget(e);
}

/* A higher term has been seen: whatever this device was in the old one is over (5.1). */
static void
take_term(struct election *e, uint64_t term, uint64_t now, struct election_todo *todo)
{
	todo->save = true;
	todo->changed = e->saved.leads || e->saved.follows;
	e->saved.term = term;
	e->saved.voted = e->saved.leads = e->saved.bound = e->saved.follows = false;
	follow(e);
	wait_a_while(e, now);
}

static void
lead(struct election *e, struct election_todo *todo)
{
	e->state = ELECTION_LEADS;
	e->saved.leads = e->saved.bound = true;
	e->saved.follows = false;
	/* The same devices, but of this term: until most have it, nothing may be changed (4.1). */
	e->saved.list.term = e->saved.term;
	e->saved.list.version++;
	forget(e);
	todo->save = todo->changed = true;
}

void
election_init(struct election *e, const struct election_key *me, const struct election_saved *saved,
	uint64_t wait, uint64_t now, uint64_t seed)
{
	*e = (struct election){.me = *me,
		.saved = *saved,
		.state = saved->leads ? ELECTION_LEADS : ELECTION_FOLLOWS,
		.wait = wait < ELECTION_WAIT ? ELECTION_WAIT : wait,
		.heard = now,
		.random = seed};
	forget(e);
	wait_a_while(e, now);
}

/* --- asking ------------------------------------------------------------------------------------- */

static void
ask(struct election *e, enum election_kind kind, uint64_t term, uint64_t now,
	struct election_todo *todo)
{
	uint32_t self = place_of(&e->saved.list, &e->me);

	e->round++;
	e->yes = self != NOBODY ? (uint64_t)1 << self : 0;
	e->next = now + ELECTION_ROUND;
	todo->ask = true;
	todo->what = (struct election_ask){
		kind, term, e->round, e->saved.list.term, e->saved.list.version};
}

static void
run(struct election *e, uint64_t now, struct election_todo *todo)
{
	e->state = ELECTION_RUNS;
	e->saved.term++;
	e->saved.voted = true;
	e->saved.vote = e->me;
	todo->changed = e->saved.follows;
	e->saved.follows = false;
	todo->save = true;
	ask(e, ELECTION_VOTE, e->saved.term, now, todo);
}

static bool
is_silent(const struct election *e, uint64_t now)
{
	return now >= e->heard + e->wait;
}

/* Since when others may have tried already. */
static bool
is_due(const struct election *e, uint64_t now)
{
	return now >= e->heard + e->wait + (e->late ? 2 * ELECTION_ROUND : 0);
}

/* Two devices elect, too, where both are there and neither coordinates: that happens when a third one,
 * which did not know yet that it was removed, had disturbed the term. */
static bool
may_try(const struct election *e, uint64_t now)
{
	return e->stands && e->votes && (elects(&e->saved.list) || e->saved.list.n == 2) &&
	       is_due(e, now) && place_of(&e->saved.list, &e->me) != NOBODY;
}

void
election_tick(struct election *e, uint64_t now, struct election_todo *todo)
{
	*todo = (struct election_todo){0};
	if (e->saved.list.n < 2 || now < e->next)
		return;
	if (e->state == ELECTION_LEADS) {
		/* Who is away may have another coordinator by now, or none. */
		if (e->saved.bound)
			ask(e, ELECTION_CLAIM, e->saved.term, now, todo);
	} else if (e->state != ELECTION_FOLLOWS) {
		follow(e);
		wait_a_while(e, now);
	} else if (may_try(e, now)) {
		ask(e, ELECTION_TRIAL, e->saved.term + 1, now, todo);
		e->state = ELECTION_TRIES;
	} else if (now >= e->heard + ELECTION_LEASE) {
		ask(e, ELECTION_WHO, e->saved.term, now, todo);
		e->next += e->stands ? 0 : 2 * ELECTION_ROUND;
	}
}

/* --- being asked -------------------------------------------------------------------------------- */

/* Whether a vote would keep a promise, and the asker knows enough to be trusted with it. */
static bool
may_vote(const struct election *e, const struct election_ask *a, uint64_t now)
{
	if (!e->votes || election_compare(a->list_term, a->list_version, &e->saved.list) < 0)
		return false;
	return e->saved.leads ? !election_may_serve(e, now) : is_silent(e, now);
}

static bool
is_free(const struct election *e, const struct election_key *from, uint64_t term)
{
	return term > e->saved.term || (term == e->saved.term && !e->saved.leads &&
					       (!e->saved.voted || same_key(&e->saved.vote, from)));
}

static bool
vote(struct election *e, const struct election_key *from, uint64_t term, uint64_t now,
	struct election_todo *todo)
{
	if (term > e->saved.term)
		take_term(e, term, now, todo);
	else
		follow(e);
	e->saved.voted = true;
	e->saved.vote = *from;
	todo->save = true;
	e->next = now + 2 * ELECTION_ROUND; /* it is given the time to win */
	return true;
}

/* That one is the coordinator of that term. */
static bool
believe(struct election *e, const struct election_key *who, uint64_t term, uint64_t now,
	struct election_todo *todo)
{
	bool same = e->saved.follows && same_key(&e->saved.coordinator, who);

	if (term < e->saved.term || (term == e->saved.term && e->saved.leads))
		return false;
	if (term > e->saved.term)
		take_term(e, term, now, todo);
	else
		follow(e);
	e->saved.follows = true;
	e->saved.coordinator = *who;
	todo->save = todo->save || !same;
	todo->changed = !same;
	return true;
}

void
election_asked(struct election *e, const struct election_key *from, const struct election_ask *a,
	uint64_t now, struct election_say *say, struct election_todo *todo)
{
	bool listed = place_of(&e->saved.list, from) != NOBODY && !same_key(from, &e->me);

	*todo = (struct election_todo){0};
	*say = (struct election_say){.round = a->round};
	if (listed && a->kind == ELECTION_TRIAL)
		say->yes = may_vote(e, a, now) && is_free(e, from, a->term);
	else if (listed && a->kind == ELECTION_VOTE && may_vote(e, a, now))
		say->yes = is_free(e, from, a->term) && vote(e, from, a->term, now, todo);
	else if (listed && a->kind == ELECTION_CLAIM)
		say->yes = believe(e, from, a->term, now, todo);
	if (a->kind == ELECTION_CLAIM && say->yes)
		e->heard = now;
	if (!listed)
		return;
	say->term = e->saved.term;
	say->newer = election_compare(a->list_term, a->list_version, &e->saved.list) < 0;
	say->knows = e->saved.leads || e->saved.follows;
	say->coordinator = e->saved.leads ? e->me : e->saved.coordinator;
}

/* A newer list: it also says that there has been a coordinator of its term. */
static void
take_list(struct election *e, const struct election_list *list, uint64_t now,
	struct election_todo *todo)
{
	if (e->saved.leads || election_compare(list->term, list->version, &e->saved.list) <= 0)
		return;
	if (list->term > e->saved.term)
		take_term(e, list->term, now, todo);
	e->saved.list = *list;
	todo->save = true;
	follow(e); /* votes of the old list are none of the new one */
}

void
election_said(struct election *e, const struct election_key *from, const struct election_say *say,
	const struct election_list *list, uint64_t now, struct election_todo *todo)
{
	uint32_t i;

	*todo = (struct election_todo){0};
	if (place_of(&e->saved.list, from) == NOBODY)
		return;
	/* Not of one who has missed a term: another list may have been agreed upon since. */
	if (list != NULL && say->term >= e->saved.term)
		take_list(e, list, now, todo);
	i = place_of(&e->saved.list, from);
	if (i == NOBODY)
		return;
	if (say->term > e->saved.term && !say->yes)
		take_term(e, say->term, now, todo);
	if (say->knows && say->term == e->saved.term && !e->saved.follows &&
		!same_key(&say->coordinator, &e->me) &&
		place_of(&e->saved.list, &say->coordinator) != NOBODY)
		believe(e, &say->coordinator, say->term, now, todo);
	if (say->round != e->round || !say->yes)
		return;
	e->yes |= (uint64_t)1 << i;
	if ((uint32_t)__builtin_popcountll(e->yes) < election_majority(&e->saved.list))
		return;
	if (e->state == ELECTION_TRIES)
		run(e, now, todo);
	else if (e->state == ELECTION_RUNS)
		lead(e, todo);
}

/* --- beats -------------------------------------------------------------------------------------- */

void
election_beat(const struct election *e, uint64_t now, struct election_beat *b)
{
	*b = (struct election_beat){e->saved.term, e->saved.list.term, e->saved.list.version, now};
}

void
election_beat_heard(struct election *e, const struct election_key *from,
	const struct election_beat *b, const struct election_list *list, uint64_t now,
	struct election_beat *answer, struct election_todo *todo)
{
	*todo = (struct election_todo){0};
	if (believe(e, from, b->term, now, todo)) {
		e->heard = now;
		if (list != NULL)
			take_list(e, list, now, todo);
	}
	election_beat(e, b->sent, answer);
}

/* Everybody knows that nobody is elected any more: nobody will be. */
static void
unbind(struct election *e, struct election_todo *todo)
{
	for (uint32_t i = 0; i < e->saved.list.n; i++)
		if (!e->knows[i])
			return;
	e->saved.bound = false;
	todo->save = true;
}

void
election_beat_answered(struct election *e, const struct election_key *from,
	const struct election_beat *answer, uint64_t now, struct election_todo *todo)
{
	uint32_t i = place_of(&e->saved.list, from);

	*todo = (struct election_todo){0};
	if (i == NOBODY || !e->saved.leads)
		return;
	if (answer->term > e->saved.term) {
		take_term(e, answer->term, now, todo);
		return;
	}
	if (answer->term < e->saved.term || answer->sent > now)
		return;
	if (answer->sent + ELECTION_LEASE > e->lease[i])
		e->lease[i] = answer->sent + ELECTION_LEASE;
	e->knows[i] =
		election_compare(answer->list_term, answer->list_version, &e->saved.list) == 0;
	if (e->saved.bound && !elects(&e->saved.list))
		unbind(e, todo);
}

bool
election_has_list(const struct election *e, const struct election_key *key)
{
	uint32_t i = place_of(&e->saved.list, key);

	return i != NOBODY && e->knows[i];
}

uint32_t
election_here(const struct election *e, uint64_t now)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < e->saved.list.n; i++)
		n += e->lease[i] > now;
	return n;
}

bool
election_may_serve(const struct election *e, uint64_t now)
{
	if (!e->saved.leads)
		return false;
	return !e->saved.bound || election_here(e, now) >= election_majority(&e->saved.list);
}

/* --- changes ------------------------------------------------------------------------------------ */

bool
election_may_change(const struct election *e, uint64_t now)
{
	uint32_t n = 0;

	if (!e->saved.leads || !e->saved.bound)
		return e->saved.leads;
	for (uint32_t i = 0; i < e->saved.list.n; i++)
		n += e->knows[i];
	return e->saved.list.term == e->saved.term && n >= election_majority(&e->saved.list) &&
	       election_may_serve(e, now);
}

/* What is known of those that stay is kept: a lease does not hang on the list. */
static void
keep_leases(struct election *e, const struct election_list *old, const uint64_t *lease)
{
	for (uint32_t i = 0; i < e->saved.list.n; i++) {
		uint32_t was = place_of(old, &e->saved.list.keys[i]);

		if (was != NOBODY)
			e->lease[i] = lease[was];
	}
}

void
election_change(struct election *e, const struct election_key *keys, uint32_t n, bool wanted,
	struct election_todo *todo)
{
	struct election_list old = e->saved.list, *l = &e->saved.list;
	uint64_t lease[ELECTION_MAX];

	*todo = (struct election_todo){.save = true};
	memcpy(lease, e->lease, sizeof lease);
	if (e->saved.term == 0)
		e->saved.term = 1;
	l->term = e->saved.term;
	l->version++;
	l->n = n < ELECTION_MAX ? n : ELECTION_MAX;
	l->elects = wanted && l->n >= ELECTION_LEAST;
	memcpy(l->keys, keys, l->n * sizeof *keys);
	e->saved.bound = e->saved.bound || l->elects;
	forget(e);
	keep_leases(e, &old, lease);
	if (e->saved.bound && !elects(l))
		unbind(e, todo);
}
