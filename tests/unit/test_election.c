#include "sched/election.h"

#include "tests/support/election_sim.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WAIT   10000u
#define SETTLE 20000u /* in which a majority that stays connected has a coordinator */

/* Three devices, one of which coordinates; time begins at 100 s. */
static struct election e[3];
static struct election_key key[3] = {{{1}}, {{2}}, {{3}}}, stranger = {{9}};
static struct election_todo todo;
static struct election_say say;
static uint64_t now;

/* The coordinator's beat reaches device i, and its answer comes back. */
static void
beat(int i, bool with_list)
{
	struct election_beat b, answer;

	election_beat(&e[0], now, &b);
	election_beat_heard(
		&e[i], &key[0], &b, with_list ? &e[0].saved.list : NULL, now, &answer, &todo);
	election_beat_answered(&e[0], &key[i], &answer, now, &todo);
}

static void
setup(void)
{
	struct election_saved s = {.leads = true};

	now = 100000;
	for (int i = 0; i < 3; i++) {
		election_init(&e[i], &key[i], &s, WAIT, now, (uint64_t)i);
		e[i].votes = e[i].stands = true;
		s = (struct election_saved){.follows = true, .coordinator = key[0]};
	}
	election_change(&e[0], key, 3, true, &todo);
	for (int i = 1; i < 3; i++)
		beat(i, true);
	now += ELECTION_LEASE; /* it has to be heard again */
}

static bool
asks(int from, int to, enum election_kind kind, uint64_t term)
{
	struct election_ask a = {
		kind, term, 1, e[from].saved.list.term, e[from].saved.list.version};

	election_asked(&e[to], &key[from], &a, now, &say, &todo);
	return say.yes;
}

/* --- serving ------------------------------------------------------------------------------------ */

START_TEST(a_coordinator_serves_while_most_answer)
{
	ck_assert(!election_may_serve(&e[0], now));
	beat(1, false);
	ck_assert(election_may_serve(&e[0], now));
	now += ELECTION_LEASE - 1;
	ck_assert(election_may_serve(&e[0], now));
	now++;
	ck_assert(!election_may_serve(&e[0], now));
	beat(2, false);
	ck_assert(election_may_serve(&e[0], now));
}
END_TEST

START_TEST(an_answer_counts_from_when_its_beat_was_sent)
{
	struct election_beat b, answer;

	election_beat(&e[0], now, &b);
	election_beat_heard(&e[1], &key[0], &b, NULL, 7, &answer, &todo); /* of another clock */
	now += ELECTION_LEASE;
	election_beat_answered(&e[0], &key[1], &answer, now, &todo);
	ck_assert(!election_may_serve(&e[0], now));
	answer.sent = now + 1; /* made up */
	election_beat_answered(&e[0], &key[1], &answer, now, &todo);
	ck_assert(!election_may_serve(&e[0], now));
	answer.sent = now;
	election_beat_answered(&e[0], &stranger, &answer, now, &todo);
	ck_assert(!election_may_serve(&e[0], now));
}
END_TEST

START_TEST(two_devices_elect_nobody_and_need_no_answer)
{
	struct election_saved s = {.leads = true};

	election_init(&e[0], &key[0], &s, WAIT, now, 1);
	ck_assert(election_may_serve(&e[0], now));
	election_change(&e[0], key, 2, true, &todo);
	ck_assert(todo.save);
	ck_assert(election_may_serve(&e[0], now));
	s = (struct election_saved){.follows = true, .coordinator = key[0]};
	election_init(&e[1], &key[1], &s, WAIT, now, 1);
	e[1].votes = e[1].stands = true;
	beat(1, true);
	ck_assert_uint_eq(e[1].saved.list.n, 2);
	now += 100 * WAIT;
	election_tick(&e[1], now, &todo);
	ck_assert(todo.ask && todo.what.kind == ELECTION_TRIAL && !todo.save);
	ck_assert(!asks(1, 0, ELECTION_TRIAL, 2)); /* both would have to agree */
	ck_assert(!asks(1, 0, ELECTION_VOTE, 2));
	ck_assert(e[0].saved.leads);
}
END_TEST

/* From three to two: the third may still be elected by what the second knows. */
START_TEST(a_lease_ends_when_all_know_that_nobody_is_elected)
{
	beat(1, false);
	ck_assert(election_may_change(&e[0], now));
	election_change(&e[0], key, 2, true, &todo);
	ck_assert(e[0].saved.bound && !e[0].saved.list.elects);
	beat(1, false); /* it has the old list still */
	ck_assert(e[0].saved.bound);
	beat(1, true);
	ck_assert(!e[0].saved.bound && todo.save);
	now += 100 * WAIT;
	ck_assert(election_may_serve(&e[0], now));
}
END_TEST

START_TEST(one_change_at_a_time)
{
	struct election_key more[4] = {key[0], key[1], key[2], {{4}}};

	ck_assert(!election_may_change(&e[0], now));
	beat(1, false);
	ck_assert(election_may_change(&e[0], now));
	election_change(&e[0], more, 4, true, &todo);
	ck_assert(election_may_serve(&e[0], now) == false); /* three of four are needed */
	beat(1, false);
	beat(2, false);
	ck_assert(election_may_serve(&e[0], now));
	ck_assert(!election_may_change(&e[0], now)); /* they serve, and have the old list */
	for (int i = 1; i < 3; i++) {
		beat(i, true);
	}
	ck_assert(election_may_change(&e[0], now));
}
END_TEST

/* --- votes -------------------------------------------------------------------------------------- */

START_TEST(nobody_votes_while_it_hears_the_coordinator)
{
	beat(2, false);
	now += WAIT - 1;
	ck_assert(!asks(1, 2, ELECTION_TRIAL, 2));
	ck_assert(!asks(1, 2, ELECTION_VOTE, 2));
	ck_assert(!todo.save && say.term == 1);
	now++;
	ck_assert(asks(1, 2, ELECTION_TRIAL, 2));
	ck_assert(!todo.save);
	ck_assert(asks(1, 2, ELECTION_VOTE, 2));
	ck_assert(todo.save && todo.changed && !e[2].saved.follows);
}
END_TEST

START_TEST(one_vote_a_term_also_after_a_restart)
{
	struct election_saved s;

	now += WAIT;
	ck_assert(asks(1, 2, ELECTION_VOTE, 2));
	s = e[2].saved;
	election_init(&e[2], &key[2], &s, WAIT, now, 3);
	e[2].votes = true;
	ck_assert(!asks(1, 2, ELECTION_VOTE, 2)); /* it has forgotten what it has heard */
	now += WAIT;
	ck_assert(!asks(0, 2, ELECTION_VOTE, 2));
	ck_assert(!asks(0, 2, ELECTION_TRIAL, 2));
	ck_assert(asks(1, 2, ELECTION_VOTE, 2));
	ck_assert(!asks(1, 2, ELECTION_VOTE, 1));
	ck_assert(asks(0, 2, ELECTION_TRIAL, 3));
}
END_TEST

START_TEST(who_knows_less_or_is_unknown_is_not_elected)
{
	struct election_ask a = {ELECTION_VOTE, 2, 1, 9, 9};

	now += WAIT;
	e[2].saved.list.version++;
	ck_assert(!asks(1, 2, ELECTION_VOTE, 2));
	ck_assert(say.newer);
	election_said(&e[1], &key[2], &say, &e[2].saved.list, now, &todo);
	ck_assert(todo.save);
	ck_assert(asks(1, 2, ELECTION_VOTE, 2));
	election_asked(&e[1], &stranger, &a, now, &say, &todo);
	ck_assert(!say.yes && !say.newer && !say.knows && say.term == 0 && !todo.save);
	e[1].votes = false;
	e[1].saved.list = e[2].saved.list;
	ck_assert(!asks(2, 1, ELECTION_VOTE, 5));
}
END_TEST

/* The coordinator is gone; the second asks the third, and is elected. */
static void
elect(void)
{
	struct election_ask a;

	now += 2 * WAIT;
	election_tick(&e[1], now, &todo);
	ck_assert(todo.ask && todo.what.kind == ELECTION_TRIAL && todo.what.term == 2);
	a = todo.what;
	election_asked(&e[2], &key[1], &a, now, &say, &todo);
	ck_assert(say.yes);
	election_said(&e[1], &key[2], &say, NULL, now, &todo);
	ck_assert(todo.save && todo.ask && todo.what.kind == ELECTION_VOTE);
	a = todo.what;
	election_asked(&e[2], &key[1], &a, now, &say, &todo);
	ck_assert(say.yes);
	election_said(&e[1], &key[2], &say, NULL, now, &todo);
	ck_assert(todo.save && todo.changed && e[1].saved.leads && e[1].saved.term == 2);
}

START_TEST(most_elect_another_and_the_old_one_follows)
{
	elect();
	ck_assert(!election_may_serve(&e[1], now));
	ck_assert(asks(1, 2, ELECTION_CLAIM, 2));
	ck_assert(todo.changed && e[2].saved.follows);
	ck_assert_mem_eq(&e[2].saved.coordinator, &key[1], sizeof key[1]);
	ck_assert(asks(1, 0, ELECTION_CLAIM, 2)); /* it is back */
	ck_assert(todo.save && todo.changed && !e[0].saved.leads && e[0].saved.follows);
	ck_assert_mem_eq(&e[0].saved.coordinator, &key[1], sizeof key[1]);
	ck_assert(!asks(0, 2, ELECTION_CLAIM, 1)); /* what it said before it knew */
	ck_assert(say.term == 2 && say.knows);
}
END_TEST

START_TEST(late_answers_elect_nobody)
{
	struct election_ask a;

	now += 2 * WAIT;
	election_tick(&e[1], now, &todo);
	a = todo.what;
	election_asked(&e[2], &key[1], &a, now, &say, &todo);
	now += 2 * ELECTION_ROUND;
	election_tick(&e[1], now, &todo); /* it gives up */
	election_said(&e[1], &key[2], &say, NULL, now, &todo);
	ck_assert(!todo.save && e[1].state == ELECTION_FOLLOWS);
	election_said(&e[1], &stranger, &say, NULL, now, &todo);
	ck_assert(!todo.save && !todo.changed);
}
END_TEST

START_TEST(without_the_model_it_asks_who_coordinates)
{
	e[1].stands = false;
	now += 2 * WAIT;
	election_tick(&e[1], now, &todo);
	ck_assert(todo.ask && todo.what.kind == ELECTION_WHO && !todo.save);
	e[1].stands = true;
	elect();
	e[0].saved.follows = false;
	e[0].saved.leads = false;
	asks(0, 1, ELECTION_WHO, 1);
	ck_assert(say.knows && say.term == 2);
	election_said(&e[0], &key[1], &say, &e[1].saved.list, now, &todo);
	ck_assert(todo.changed && todo.save && e[0].saved.follows && e[0].saved.term == 2);
}
END_TEST

/* One that would have to bring the model together lets those try first that have it. */
START_TEST(with_slices_only_it_waits_longer)
{
	e[1].late = true;
	now = e[1].heard + WAIT;
	do {
		election_tick(&e[1], now, &todo);
		ck_assert(!todo.ask || todo.what.kind == ELECTION_WHO);
		now += 100;
	} while (now < e[1].heard + WAIT + 2 * ELECTION_ROUND);
	do {
		election_tick(&e[1], now, &todo);
		now += 100;
	} while (!todo.ask && now < e[1].heard + 2 * WAIT);
	ck_assert(todo.ask && todo.what.kind == ELECTION_TRIAL);
	ck_assert(asks(1, 2, ELECTION_TRIAL, 2)); /* the others' votes wait no longer than ever */
}
END_TEST

/* --- stories ------------------------------------------------------------------------------------ */

static void
story(struct election_sim *s, uint64_t seed)
{
	memset(s, 0, sizeof *s);
	s->seed = seed * 2654435761u;
	s->n = 3 + sim_chance(s, SIM_DEVICES - 2);
	s->members = 3 + sim_chance(s, s->n - 2);
	s->changes = sim_chance(s, 2);
	s->calm = 30000 + sim_chance(s, 40000);
	s->end = s->calm + SETTLE;
	if (s->changes || sim_chance(s, 2))
		return;
	s->split = true;
	s->n = s->members;
	do
		s->side = sim_chance(s, 1u << s->n) | 3; /* these have the model */
	while ((uint32_t)__builtin_popcountll(s->side) < s->n / 2 + 1);
}

/* The newest list has somebody who could coordinate. */
static bool
has_heir(const struct election_sim *s)
{
	const struct election_list *l = &s->d[0].e.saved.list;

	for (uint32_t i = 1; i < s->n; i++)
		if (election_compare(l->term, l->version, &s->d[i].e.saved.list) < 0)
			l = &s->d[i].e.saved.list;
	for (uint32_t i = 0; i < l->n; i++)
		if (s->d[l->keys[i].b[0] - 1].model)
			return true;
	return false;
}

static void
check_story(const struct election_sim *s, uint64_t seed)
{
	if (s->broken != NULL)
		ck_abort_msg("seed %llu, at %llu ms: %s", (unsigned long long)seed,
			(unsigned long long)s->now, s->broken);
	if (s->served_at == 0 && has_heir(s))
		ck_abort_msg("seed %llu: nobody serves in the end", (unsigned long long)seed);
	if (s->served_at != 0 && s->split && !(s->side >> s->serves & 1))
		ck_abort_msg("seed %llu: the wrong side is served", (unsigned long long)seed);
}

START_TEST(ten_thousand_stories)
{
	struct election_sim *s = malloc(sizeof *s);
	uint64_t elected = 0, deaths = 0, changed = 0, dropped = 0, longest = 0;

	ck_assert_ptr_nonnull(s);
	for (uint64_t seed = 1; seed <= 10000; seed++) {
		story(s, seed);
		sim_run(s);
		check_story(s, seed);
		elected += s->elected - 1;
		deaths += s->deaths;
		changed += s->changed;
		dropped += s->dropped;
		if (s->served_at > s->calm && s->served_at - s->calm > longest)
			longest = s->served_at - s->calm;
	}
	free(s);
	printf("%llu elections, %llu deaths, %llu changes, %llu messages lost; served %llu ms "
	       "after "
	       "the calm at the latest\n",
		(unsigned long long)elected, (unsigned long long)deaths,
		(unsigned long long)changed, (unsigned long long)dropped,
		(unsigned long long)longest);
	/* They are about something. */
	ck_assert_uint_gt(elected, 5000);
	ck_assert_uint_gt(deaths, 10000);
	ck_assert_uint_gt(changed, 5000);
	ck_assert_uint_gt(dropped, 100000);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("election");
	TCase *rules = tcase_create("rules"), *stories = tcase_create("stories");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(rules, setup, NULL);
	tcase_add_test(rules, a_coordinator_serves_while_most_answer);
	tcase_add_test(rules, an_answer_counts_from_when_its_beat_was_sent);
	tcase_add_test(rules, two_devices_elect_nobody_and_need_no_answer);
	tcase_add_test(rules, a_lease_ends_when_all_know_that_nobody_is_elected);
	tcase_add_test(rules, one_change_at_a_time);
	tcase_add_test(rules, nobody_votes_while_it_hears_the_coordinator);
	tcase_add_test(rules, one_vote_a_term_also_after_a_restart);
	tcase_add_test(rules, who_knows_less_or_is_unknown_is_not_elected);
	tcase_add_test(rules, most_elect_another_and_the_old_one_follows);
	tcase_add_test(rules, late_answers_elect_nobody);
	tcase_add_test(rules, without_the_model_it_asks_who_coordinates);
	tcase_add_test(rules, with_slices_only_it_waits_longer);
	suite_add_tcase(s, rules);
	tcase_set_timeout(stories, 300);
	tcase_add_test(stories, ten_thousand_stories);
	suite_add_tcase(s, stories);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
