#include "tests/support/election_sim.h"

#include <stddef.h>
#include <string.h>

#define TICK  250
#define NEVER UINT64_MAX

uint32_t
sim_chance(struct election_sim *s, uint32_t n)
{
	s->seed = s->seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(s->seed >> 33) % n;
}

static void
demand(struct election_sim *s, bool holds, const char *what)
{
	if (!holds && s->broken == NULL)
		s->broken = what;
}

static struct election_key
key_of(uint32_t i)
{
	return (struct election_key){{(uint8_t)(i + 1)}};
}

static uint32_t
index_of(const struct election_key *k)
{
	return (uint32_t)k->b[0] - 1;
}

static uint64_t
clock_of(const struct election_sim *s, const struct sim_device *d)
{
	return d->offset + (uint64_t)((double)s->now * d->rate);
}

/* --- messages ----------------------------------------------------------------------------------- */

static void
swap(struct election_sim *s, uint32_t a, uint32_t b)
{
	struct sim_message m = s->queue[a];

	s->queue[a] = s->queue[b];
	s->queue[b] = m;
}

static void
push(struct election_sim *s, const struct sim_message *m)
{
	uint32_t i = s->queued;

	if (s->queued == SIM_QUEUE) {
		demand(s, false, "there is a flood of messages");
		return;
	}
	s->queue[s->queued++] = *m;
	for (; i > 0 && s->queue[i].at < s->queue[(i - 1) / 2].at; i = (i - 1) / 2)
		swap(s, i, (i - 1) / 2);
}

static struct sim_message
pop(struct election_sim *s)
{
	struct sim_message first = s->queue[0];
	uint32_t i = 0;

	s->queue[0] = s->queue[--s->queued];
	for (;;) {
		uint32_t least = i;

		for (uint32_t k = 2 * i + 1; k <= 2 * i + 2 && k < s->queued; k++)
			if (s->queue[k].at < s->queue[least].at)
				least = k;
		if (least == i)
			return first;
		swap(s, i, least);
		i = least;
	}
}

static uint32_t
list_number(struct election_sim *s, const struct election_list *l)
{
	for (uint32_t i = 0; i < s->n_lists; i++)
		if (election_compare(l->term, l->version, &s->lists[i]) == 0) {
			demand(s,
				s->lists[i].n == l->n && s->lists[i].elects == l->elects &&
					!memcmp(s->lists[i].keys, l->keys, l->n * sizeof *l->keys),
				"two lists have the same number");
			return i;
		}
	if (s->n_lists == sizeof s->lists / sizeof *s->lists) {
		demand(s, false, "there are too many lists");
		return 0;
	}
	s->lists[s->n_lists] = *l;
	return s->n_lists++;
}

static void
send(struct election_sim *s, struct sim_message m)
{
	bool calm = s->now >= s->calm;
	uint32_t copies = calm ? 1 : sim_chance(s, 20) == 0 ? 0 : 1 + (sim_chance(s, 20) == 0);

	if (m.with_list)
		m.list = list_number(s, &s->d[m.from].e.saved.list);
	for (uint32_t i = 0; i < copies; i++) {
		m.at = s->now + 1 +
		       sim_chance(s, !calm && sim_chance(s, 10) == 0 ? 3000 : SIM_DELAY);
		push(s, &m);
	}
}

/* --- what a device does ------------------------------------------------------------------------- */

static void
note_leader(struct election_sim *s, const struct sim_device *d)
{
	uint64_t term = d->e.saved.term;

	if (term >= SIM_TERMS) {
		demand(s, false, "terms run away");
		return;
	}
	demand(s, !s->led[term] || index_of(&s->leader[term]) == index_of(&d->e.me),
		"a term has two coordinators");
	s->elected += !s->led[term];
	s->led[term] = true;
	s->leader[term] = d->e.me;
}

static void
ask_all(struct election_sim *s, uint32_t from, const struct election_ask *a)
{
	const struct election_list *l = &s->d[from].e.saved.list;

	for (uint32_t i = 0; i < l->n; i++)
		if (index_of(&l->keys[i]) != from)
			send(s, (struct sim_message){.from = from,
					.to = index_of(&l->keys[i]),
					.kind = SIM_ASK,
					.is.ask = *a});
}

/* Saves first; a device that dies right then has said nothing. */
static bool
carry_out(struct election_sim *s, uint32_t i, const struct election_todo *todo)
{
	struct sim_device *d = &s->d[i];

	if (todo->save) {
		demand(s, d->e.saved.term >= d->disk.term, "a term went back");
		d->disk = d->e.saved;
	}
	demand(s,
		!memcmp(&d->disk.vote, &d->e.saved.vote, sizeof d->disk.vote) &&
			d->disk.term == d->e.saved.term && d->disk.leads == d->e.saved.leads &&
			d->disk.voted == d->e.saved.voted && d->disk.bound == d->e.saved.bound &&
			d->disk.list.version == d->e.saved.list.version,
		"something is not saved");
	if (todo->save && s->now < s->calm && sim_chance(s, 50) == 0) {
		d->turn = s->now; /* it dies now */
		return false;
	}
	if (todo->changed && d->e.saved.leads)
		note_leader(s, d);
	if (todo->ask)
		ask_all(s, i, &todo->what);
	return true;
}

static void
beat_all(struct election_sim *s, uint32_t from)
{
	struct sim_device *d = &s->d[from];
	struct sim_message m = {.from = from, .kind = SIM_BEAT};

	election_beat(&d->e, clock_of(s, d), &m.is.beat);
	for (uint32_t i = 0; i < s->n; i++) {
		const struct election_saved *o = &s->d[i].e.saved;

		/* A member has a link with whom it follows. */
		if (i == from || !s->d[i].up || !o->follows || index_of(&o->coordinator) != from)
			continue;
		m.to = i;
		m.with_list = election_compare(o->list.term, o->list.version, &d->e.saved.list) < 0;
		send(s, m);
	}
}

static void
hear(struct election_sim *s, const struct sim_message *m)
{
	struct sim_device *d = &s->d[m->to];
	struct election_key from = key_of(m->from);
	uint64_t now = clock_of(s, d);
	struct election_todo todo;
	struct sim_message back = {.from = m->to, .to = m->from};
	const struct election_list *list = m->with_list ? &s->lists[m->list] : NULL;

	switch (m->kind) {
	case SIM_BEAT:
		if (!d->e.saved.follows || index_of(&d->e.saved.coordinator) != m->from)
			return; /* its link is closed */
		election_beat_heard(&d->e, &from, &m->is.beat, list, now, &back.is.beat, &todo);
		back.kind = SIM_ANSWER;
		break;
	case SIM_ANSWER:
		election_beat_answered(&d->e, &from, &m->is.beat, now, &todo);
		carry_out(s, m->to, &todo);
		return;
	case SIM_ASK:
		election_asked(&d->e, &from, &m->is.ask, now, &back.is.say, &todo);
		back.kind = SIM_SAY;
		back.with_list = back.is.say.newer;
		break;
	case SIM_SAY:
		election_said(&d->e, &from, &m->is.say, list, now, &todo);
		carry_out(s, m->to, &todo);
		return;
	}
	if (carry_out(s, m->to, &todo))
		send(s, back);
}

/* --- what happens ------------------------------------------------------------------------------- */

static void
turn(struct election_sim *s, uint32_t i)
{
	struct sim_device *d = &s->d[i];

	d->up = !d->up;
	d->turn = s->now + 1 + sim_chance(s, d->up ? 60000 : d->e.saved.leads ? 25000 : 6000);
	if (s->now >= s->calm)
		d->turn = NEVER;
	if (!d->up) {
		s->deaths++;
		return;
	}
	election_init(
		&d->e, &d->e.me, &d->disk, ELECTION_WAIT, clock_of(s, d), sim_chance(s, 1u << 30));
	d->e.votes = true;
	d->e.stands = d->model;
	d->tick = d->beat = s->now + 1 + sim_chance(s, TICK);
}

/* The question may have come through in the old weather, and the answer in the new one. */
static void
link_all(struct election_sim *s)
{
	for (uint32_t i = 0; i < s->n; i++)
		for (uint32_t k = 0; k < s->n; k++)
			s->d[i].linked[k] = s->now;
}

/* Who hears whom from now on: all, two halves, or anything. */
static void
change_weather(struct election_sim *s)
{
	uint32_t kind = sim_chance(s, 3), side = sim_chance(s, 1u << s->n);

	link_all(s);
	for (uint32_t i = 0; i < s->n; i++) {
		for (uint32_t k = 0; k < s->n; k++)
			s->deaf[i][k] = kind == 1   ? (side >> i & 1) != (side >> k & 1)
					: kind == 2 ? sim_chance(s, 4) == 0
						    : false;
	}
	s->weather = s->now + 500 + sim_chance(s, 20000);
}

static void
clear_up(struct election_sim *s)
{
	link_all(s);
	for (uint32_t i = 0; i < s->n; i++) {
		for (uint32_t k = 0; k < s->n; k++)
			s->deaf[i][k] = s->split && (s->side >> i & 1) != (s->side >> k & 1);
		s->d[i].turn = !s->d[i].up && s->d[i].joined ? s->now : NEVER;
	}
	s->weather = s->change = NEVER;
}

/* A device joins: it knows the coordinator, as after pairing. Or one is removed. */
static void
change_members(struct election_sim *s)
{
	struct election_key keys[SIM_DEVICES];
	struct election_todo todo;
	uint32_t leader = sim_chance(s, s->n), who = sim_chance(s, s->n), n = 0;
	struct sim_device *d = &s->d[leader], *w = &s->d[who];
	bool listed = false;

	s->change = s->now + 500 + sim_chance(s, 4000);
	if (!d->up || who == leader || !election_may_change(&d->e, clock_of(s, d)))
		return;
	for (uint32_t i = 0; i < d->e.saved.list.n; i++) {
		listed |= index_of(&d->e.saved.list.keys[i]) == who;
		if (index_of(&d->e.saved.list.keys[i]) != who)
			keys[n++] = d->e.saved.list.keys[i];
	}
	if (!listed && w->joined)
		return; /* it was removed: enough of it */
	if (!listed)
		keys[n++] = key_of(who);
	election_change(&d->e, keys, n, true, &todo);
	s->changed++;
	carry_out(s, leader, &todo);
	if (listed)
		return;
	w->joined = true;
	w->disk = (struct election_saved){.follows = true, .coordinator = d->e.me};
	w->turn = s->now;
}

/* --- what must hold ----------------------------------------------------------------------------- */

/* Whether a majority could have answered lately, each at some moment. */
static bool
heard_most(struct election_sim *s, uint32_t i)
{
	const struct election_list *l = &s->d[i].e.saved.list;
	const uint64_t lately = ELECTION_LEASE * 5 / 4 + TICK; /* by the slowest clock */
	uint32_t n = 0;

	for (uint32_t k = 0; k < l->n; k++) {
		uint32_t other = index_of(&l->keys[k]);

		n += other == i || s->d[i].linked[other] + lately >= s->now;
	}
	return n >= election_majority(l);
}

static void
note_links(struct election_sim *s)
{
	for (uint32_t i = 0; i < s->n; i++)
		for (uint32_t k = 0; k < s->n; k++)
			if (s->d[k].up && !s->deaf[i][k] && !s->deaf[k][i])
				s->d[i].linked[k] = s->now;
}

static void
look(struct election_sim *s)
{
	uint32_t serving = 0, who = 0;

	note_links(s);
	for (uint32_t i = 0; i < s->n; i++) {
		struct sim_device *d = &s->d[i];

		if (!d->up || !election_may_serve(&d->e, clock_of(s, d)))
			continue;
		serving++;
		who = i;
		demand(s, !d->e.saved.bound || heard_most(s, i), "a minority serves somebody");
	}
	demand(s, serving <= 1, "two coordinators serve");
	if (serving == 0)
		s->served_at = 0;
	else if (s->served_at == 0 || s->serves != who)
		s->served_at = s->now;
	s->serves = who;
}

/* --- the story ---------------------------------------------------------------------------------- */

static void
found(struct election_sim *s)
{
	struct election_saved first = {.leads = true};
	struct election_key keys[SIM_DEVICES];
	struct election_todo todo;

	for (uint32_t i = 0; i < s->n; i++) {
		struct sim_device *d = &s->d[i];

		keys[i] = key_of(i);
		*d = (struct sim_device){.model = i < 2 || sim_chance(s, 2),
			.up = i < s->members,
			.joined = i < s->members,
			.rate = 0.8 + 0.0005 * sim_chance(s, 900),
			.offset = sim_chance(s, 100000),
			.turn = i < s->members ? 3000 + sim_chance(s, 40000) : NEVER,
			.tick = 1 + sim_chance(s, TICK),
			.beat = 1 + sim_chance(s, TICK)};
		first.leads = i == 0;
		first.follows = i > 0;
		first.coordinator = key_of(0);
		d->disk = first;
		election_init(&d->e, &keys[i], &first, ELECTION_WAIT, clock_of(s, d),
			sim_chance(s, 1u << 30));
		d->e.votes = true;
		d->e.stands = d->model;
	}
	election_change(&s->d[0].e, keys, s->members, true, &todo);
	carry_out(s, 0, &todo);
	note_leader(s, &s->d[0]);
	s->weather = 4000;
	s->change = s->changes ? 2000 : NEVER;
}

static void
happen(struct election_sim *s)
{
	struct election_todo todo;

	if (s->weather <= s->now)
		change_weather(s);
	if (s->now >= s->calm && s->weather != NEVER)
		clear_up(s);
	if (s->change <= s->now)
		change_members(s);
	for (uint32_t i = 0; i < s->n; i++) {
		struct sim_device *d = &s->d[i];

		if (d->turn <= s->now)
			turn(s, i);
		if (d->up && d->tick <= s->now) {
			d->tick = s->now + TICK;
			election_tick(&d->e, clock_of(s, d), &todo);
			carry_out(s, i, &todo);
		}
		if (d->up && d->beat <= s->now) {
			d->beat = s->now + ELECTION_BEAT;
			if (d->e.saved.leads)
				beat_all(s, i);
		}
	}
	while (s->queued > 0 && s->queue[0].at <= s->now) {
		struct sim_message m = pop(s);

		if (s->deaf[m.to][m.from] || !s->d[m.to].up)
			s->dropped++;
		else
			hear(s, &m);
	}
}

static uint64_t
next_time(const struct election_sim *s)
{
	uint64_t next = s->end;
	const uint64_t times[] = {
		s->weather, s->change, s->calm, s->queued > 0 ? s->queue[0].at : NEVER};

	for (size_t i = 0; i < sizeof times / sizeof *times; i++)
		if (times[i] > s->now && times[i] < next)
			next = times[i];
	for (uint32_t i = 0; i < s->n; i++) {
		const struct sim_device *d = &s->d[i];
		const uint64_t own[] = {d->turn, d->up ? d->tick : NEVER, d->up ? d->beat : NEVER};

		for (size_t k = 0; k < 3; k++)
			if (own[k] < next)
				next = own[k] > s->now ? own[k] : s->now + 1;
	}
	return next;
}

void
sim_run(struct election_sim *s)
{
	s->now = 1;
	found(s);
	for (;; s->now = next_time(s)) {
		happen(s);
		look(s);
		if (s->broken != NULL || s->now >= s->end)
			return;
	}
}
