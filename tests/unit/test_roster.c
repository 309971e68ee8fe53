#include "sched/roster.h"

#include "tests/support/roster_sim.h"

#include <check.h>
#include <stdio.h>

#define SECOND 1000u
#define MINUTE (60 * SECOND)
#define ALL    3

/* Three members that are here; time begins at 100 s. */
static struct roster_member m[ALL];
static struct roster_view v;
static struct roster_choice c;

static void
setup(void)
{
	v = (struct roster_view){.n = ALL, .since = 100 * SECOND, .now = 100 * SECOND};
	for (uint32_t i = 0; i < ALL; i++) {
		m[i] = (struct roster_member){0};
		roster_came(&m[i], v.now);
		m[i].measured = true;
		v.members[i] = &m[i];
	}
}

static void
plan_of(uint32_t bits)
{
	v.planned = v.serving = v.served = true;
	for (uint32_t i = 0; i < ALL; i++)
		m[i].in_plan = m[i].in_last = bits >> i & 1;
}

/* What is decided now, and over whom: bits of the chosen. */
static enum roster_step
step(uint32_t *bits)
{
	roster_choose(&v, &c);
	*bits = 0;
	for (uint32_t i = 0; i < c.n; i++)
		*bits |= 1u << c.chosen[i];
	return c.step;
}

/* --- the first plan ----------------------------------------------------------------------------- */

START_TEST(the_first_plan_waits_for_all_but_not_for_ever)
{
	uint32_t bits;

	m[1].here = false;
	ck_assert_int_eq(step(&bits), ROSTER_WAIT);
	ck_assert_uint_eq(c.until, v.since + ROSTER_GATHER);
	v.now = c.until;
	ck_assert_int_eq(step(&bits), ROSTER_PLAN);
	ck_assert_uint_eq(bits, 5);
	v.now = v.since;
	roster_came(&m[1], v.now);
	ck_assert_int_eq(step(&bits), ROSTER_PLAN);
	ck_assert_uint_eq(bits, 7);
}
END_TEST

START_TEST(a_number_that_is_wanted_is_waited_for)
{
	uint32_t bits;

	v.wanted = 4;
	m[2].here = false;
	v.now += 10 * MINUTE;
	ck_assert_int_eq(step(&bits), ROSTER_WAIT);
	ck_assert_uint_eq(c.until, 0); /* only its coming changes anything */
	roster_came(&m[2], v.now);
	roster_failed(&m[2], v.now);
	ck_assert_int_eq(step(&bits), ROSTER_WAIT);
	ck_assert_uint_eq(c.until, m[2].held_until);
	v.now = c.until;
	ck_assert_int_eq(step(&bits), ROSTER_PLAN);
	ck_assert_uint_eq(bits, 7);
	v.wanted = 2;
	ck_assert_int_eq(step(&bits), ROSTER_PLAN);
	ck_assert_uint_eq(bits, 1);
	v.wanted = 1;
	ck_assert_int_eq(step(&bits), ROSTER_PLAN);
	ck_assert_uint_eq(bits, 0);
}
END_TEST

START_TEST(later_plans_wait_for_nobody)
{
	uint32_t bits;

	v.served = true;
	v.wanted = 4;
	m[0].here = m[2].here = false;
	ck_assert_int_eq(step(&bits), ROSTER_PLAN);
	ck_assert_uint_eq(bits, 2);
	m[1].here = false;
	ck_assert_int_eq(step(&bits), ROSTER_PLAN);
	ck_assert_uint_eq(bits, 0);
}
END_TEST

/* --- a plan that is there ----------------------------------------------------------------------- */

START_TEST(a_plan_goes_with_its_member)
{
	uint32_t bits;

	plan_of(7);
	ck_assert_int_eq(step(&bits), ROSTER_KEEP);
	ck_assert_uint_eq(c.until, 0);
	v.waiting = true;
	v.busy_since = v.now;
	roster_went(&m[1], v.now);
	ck_assert_int_eq(step(&bits), ROSTER_DROP);
	ck_assert_uint_eq(bits, 5);
	v.serving = false;
	ck_assert_int_eq(step(&bits), ROSTER_DROP);
}
END_TEST

START_TEST(a_member_that_is_no_part_may_go)
{
	uint32_t bits;

	plan_of(3);
	v.wanted = 3;
	ck_assert_int_eq(step(&bits), ROSTER_KEEP);
	roster_went(&m[2], v.now);
	ck_assert_int_eq(step(&bits), ROSTER_KEEP);
	ck_assert_uint_eq(bits, 3);
	ck_assert_uint_eq(m[2].failures, 0);
}
END_TEST

START_TEST(a_newcomer_is_used_when_nobody_waits)
{
	uint32_t bits;

	plan_of(5);
	ck_assert_int_eq(step(&bits), ROSTER_KEEP); /* its slices are not on its disk yet */
	ck_assert_uint_eq(bits, 7);
	v.quick = true;
	ck_assert_int_eq(step(&bits), ROSTER_DROP);
	ck_assert_uint_eq(bits, 7);
	v.wanted = 3; /* there is no seat: nobody is exchanged */
	ck_assert_int_eq(step(&bits), ROSTER_KEEP);
	ck_assert_uint_eq(bits, 5);
	m[0].in_plan = m[2].in_plan = v.planned = false; /* nor while there is no plan */
	ck_assert_int_eq(step(&bits), ROSTER_PLAN);
	ck_assert_uint_eq(bits, 5);
	m[2].here = false;
	ck_assert_int_eq(step(&bits), ROSTER_PLAN);
	ck_assert_uint_eq(bits, 3);
}
END_TEST

START_TEST(a_newcomer_is_measured_before_it_interrupts)
{
	uint32_t bits;

	plan_of(5);
	v.quick = true;
	m[1].measured = false;
	ck_assert_int_eq(step(&bits), ROSTER_KEEP);
	ck_assert_uint_eq(bits, 5);
	ck_assert_uint_eq(c.until, v.now + ROSTER_MEASURE);
	m[1].spare = m[1].measured = true; /* and turns out to be of no use */
	ck_assert_int_eq(step(&bits), ROSTER_KEEP);
	ck_assert_uint_eq(bits, 7);
	m[1].spare = false; /* or of use */
	ck_assert_int_eq(step(&bits), ROSTER_DROP);
	m[1].measured = v.planned = v.serving = false; /* interrupts nothing */
	ck_assert_int_eq(step(&bits), ROSTER_PLAN);
	ck_assert_uint_eq(bits, 7);
	v.planned = v.serving = true; /* one that cannot be measured */
	v.now += ROSTER_MEASURE;
	ck_assert_int_eq(step(&bits), ROSTER_DROP);
	ck_assert_uint_eq(bits, 7);
	m[0].measured = m[2].measured = false; /* who serves, serves */
	v.now = 100 * SECOND;
	ck_assert_int_eq(step(&bits), ROSTER_KEEP);
	ck_assert_uint_eq(bits, 5);
}
END_TEST

START_TEST(answers_are_cut_off_for_a_newcomer_only_when_there_is_no_pause)
{
	uint32_t bits;

	plan_of(5);
	v.waiting = v.quick = true;
	v.busy_since = v.now - 1;
	ck_assert_int_eq(step(&bits), ROSTER_KEEP);
	ck_assert_uint_eq(c.until, v.busy_since + ROSTER_PATIENCE);
	v.now = c.until;
	ck_assert_int_eq(step(&bits), ROSTER_DROP);
	v.serving = false; /* the plan is being made: the requests wait for it already */
	ck_assert_int_eq(step(&bits), ROSTER_KEEP);
	v.serving = true;
	v.quick = false;
	ck_assert_int_eq(step(&bits), ROSTER_KEEP);
}
END_TEST

/* --- going -------------------------------------------------------------------------------------- */

START_TEST(a_plan_makes_way_for_a_member_that_means_to_go)
{
	uint32_t bits;

	plan_of(7);
	m[1].leaving = true;
	ck_assert_int_eq(step(&bits), ROSTER_DROP); /* nobody waits */
	ck_assert_uint_eq(bits, 5);
	v.waiting = true;
	v.busy_since = v.now;
	ck_assert_int_eq(step(&bits), ROSTER_KEEP); /* until the slices are there */
	v.quick = true;
	ck_assert_int_eq(step(&bits), ROSTER_DROP); /* no patience is needed */
	v.quick = v.serving = false;
	ck_assert_int_eq(step(&bits), ROSTER_DROP); /* that plan would be for nothing */
	v.planned = false;
	m[0].in_plan = m[1].in_plan = m[2].in_plan = false;
	ck_assert_int_eq(step(&bits), ROSTER_PLAN);
	ck_assert_uint_eq(bits, 5);
}
END_TEST

START_TEST(it_may_go_when_it_is_not_missed)
{
	uint32_t bits;

	plan_of(7);
	m[1].leaving = v.waiting = true;
	ck_assert(!roster_may_go(&v, &m[1]));
	m[1].in_plan = v.serving = v.planned = false;
	ck_assert(!roster_may_go(&v, &m[1]));
	v.waiting = false;
	ck_assert(roster_may_go(&v, &m[1]));
	v.waiting = v.planned = v.serving = true;
	ck_assert(roster_may_go(&v, &m[1]));
	roster_went(&m[1], v.now); /* was no loss: it is used as soon as it is back */
	roster_came(&m[1], v.now);
	ck_assert_uint_eq(m[1].failures, 0);
	v.quick = true;
	v.busy_since = v.now - ROSTER_PATIENCE;
	ck_assert_int_eq(step(&bits), ROSTER_DROP);
	ck_assert_uint_eq(bits, 7);
}
END_TEST

START_TEST(a_spare_that_goes_changes_nothing)
{
	uint32_t bits;

	plan_of(5);
	m[1].spare = m[1].leaving = v.quick = true;
	ck_assert(roster_may_go(&v, &m[1]));
	ck_assert_int_eq(step(&bits), ROSTER_KEEP);
	ck_assert_uint_eq(bits, 5);
}
END_TEST

/* --- being held back ---------------------------------------------------------------------------- */

START_TEST(holding_back_doubles_up_to_a_limit)
{
	uint64_t ms = ROSTER_HOLD_MIN;
	uint32_t bits;

	for (int i = 0; i < 40; i++) {
		v.now += 10 * MINUTE;
		plan_of(7);
		roster_went(&m[0], v.now);
		roster_came(&m[0], v.now);
		plan_of(6);
		ck_assert_uint_eq(m[0].held_until, v.now + ms);
		ck_assert_int_eq(step(&bits), ROSTER_KEEP);
		ck_assert_uint_eq(c.until, m[0].held_until);
		ck_assert_uint_eq(bits, 6);
		ms = ms * 2 > ROSTER_HOLD_MAX ? ROSTER_HOLD_MAX : ms * 2;
	}
	v.now = m[0].held_until;
	v.quick = true;
	ck_assert_int_eq(step(&bits), ROSTER_DROP);
	roster_settled(&m[0]);
	roster_failed(&m[0], v.now);
	ck_assert_uint_eq(m[0].held_until, v.now + ROSTER_HOLD_MIN);
}
END_TEST

START_TEST(trouble_is_pardoned_but_not_loss)
{
	plan_of(7);
	roster_went(&m[0], v.now);
	roster_came(&m[0], v.now);
	roster_pardon(&m[0], v.now);
	roster_forgive(&m[0]);
	ck_assert_uint_gt(m[0].held_until, v.now);
	for (unsigned i = 0; i < ROSTER_PARDONS; i++) {
		roster_failed(&m[1], v.now);
		roster_pardon(&m[1], v.now);
		ck_assert_uint_le(m[1].held_until, v.now);
		roster_pardon(&m[1], v.now); /* costs nothing: it is free already */
	}
	roster_failed(&m[1], v.now);
	roster_pardon(&m[1], v.now);
	ck_assert_uint_eq(m[1].held_until, v.now + (ROSTER_HOLD_MIN << ROSTER_PARDONS));
	roster_forgive(&m[1]); /* another model is another matter */
	ck_assert_uint_le(m[1].held_until, v.now);
	roster_failed(&m[1], v.now);
	roster_pardon(&m[1], v.now);
	ck_assert_uint_le(m[1].held_until, v.now);
}
END_TEST

/* --- stories ------------------------------------------------------------------------------------ */

static struct roster_sim
story(uint64_t seed)
{
	struct roster_sim s = {.seed = seed * 2654435761u};

	s.n = sim_random(&s, SIM_MEMBERS + 1);
	s.wanted = sim_random(&s, 3) > 0 ? 0 : 1 + sim_random(&s, s.n + 1);
	for (uint32_t i = 0; i < s.n; i++)
		s.habits[i] = (enum sim_habit)sim_random(&s, SIM_HABITS);
	s.load = (enum sim_load)sim_random(&s, 3);
	s.quick = sim_random(&s, 2);
	s.calm = MINUTE + sim_random(&s, 9 * MINUTE);
	s.end = s.calm + ROSTER_HOLD_MAX + 3 * MINUTE;
	return s;
}

static void
check_story(const struct roster_sim *s, uint64_t seed)
{
	uint32_t seats = s->wanted > 0 && s->wanted - 1 < s->n ? s->wanted - 1 : s->n;

	if (s->broken != NULL)
		ck_abort_msg("seed %llu, at %llu ms: %s", (unsigned long long)seed,
			(unsigned long long)s->now, s->broken);
	if (!s->serving || sim_serving(s) < seats)
		ck_abort_msg("seed %llu: %u of %u members take part in the end",
			(unsigned long long)seed, sim_serving(s), seats);
}

START_TEST(ten_thousand_stories)
{
	uint64_t lost = 0, blamed = 0, improved = 0, interrupted = 0, let_go = 0, stood = 0;

	for (uint64_t seed = 1; seed <= 10000; seed++) {
		struct roster_sim s = story(seed);

		sim_run(&s);
		check_story(&s, seed);
		lost += s.lost;
		blamed += s.blamed;
		improved += s.improved;
		interrupted += s.interrupted;
		let_go += s.let_go;
		stood += s.stood;
	}
	/* They are about something. */
	ck_assert_uint_gt(lost, 10000);
	ck_assert_uint_gt(blamed, 10000);
	ck_assert_uint_gt(improved, 10000);
	ck_assert_uint_gt(interrupted, 1000);
	ck_assert_uint_gt(let_go, 10000);
	ck_assert_uint_gt(stood, 1000);
}
END_TEST

START_TEST(one_seed_is_one_story)
{
	unsigned differ = 0;

	for (uint64_t seed = 1; seed <= 100; seed++) {
		struct roster_sim a = story(seed), b = story(seed), other = story(seed + 1);

		sim_run(&a);
		sim_run(&b);
		sim_run(&other);
		ck_assert_uint_eq(a.digest, b.digest);
		ck_assert_uint_eq(a.plans, b.plans);
		differ += a.digest != other.digest;
	}
	ck_assert_uint_gt(differ, 90);
}
END_TEST

/* Bad members for three hours: each takes part about as often as doubling its wait allows, in
 * whatever company, so the others are interrupted O(log time) times and once in five minutes at
 * most after that. */
START_TEST(who_fails_for_ever_hardly_interrupts_the_others)
{
	uint32_t most = 11 + ROSTER_PARDONS + 180 * MINUTE / ROSTER_HOLD_MAX;

	for (uint64_t seed = 1; seed <= 300; seed++) {
		struct roster_sim s = {.seed = seed, .n = 5, .quick = true};

		s.load = (enum sim_load)(seed % 3);
		s.habits[1] = (enum sim_habit)(SIM_DIES + seed % 3);
		s.habits[3] = (enum sim_habit)(SIM_DIES + seed / 3 % 3);
		s.calm = s.end = 180 * MINUTE;
		sim_run(&s);
		ck_assert_msg(s.broken == NULL, "seed %llu: %s", (unsigned long long)seed,
			s.broken != NULL ? s.broken : "");
		for (uint32_t i = 1; i < 4; i += 2)
			ck_assert_msg(s.m[i].failures <= most, "seed %llu: %u failures, habit %d",
				(unsigned long long)seed, s.m[i].failures, (int)s.m[i].habit);
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("roster");
	TCase *rules = tcase_create("rules"), *stories = tcase_create("stories");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(rules, setup, NULL);
	tcase_add_test(rules, the_first_plan_waits_for_all_but_not_for_ever);
	tcase_add_test(rules, a_number_that_is_wanted_is_waited_for);
	tcase_add_test(rules, later_plans_wait_for_nobody);
	tcase_add_test(rules, a_plan_goes_with_its_member);
	tcase_add_test(rules, a_member_that_is_no_part_may_go);
	tcase_add_test(rules, a_newcomer_is_used_when_nobody_waits);
	tcase_add_test(rules, a_newcomer_is_measured_before_it_interrupts);
	tcase_add_test(rules, answers_are_cut_off_for_a_newcomer_only_when_there_is_no_pause);
	tcase_add_test(rules, a_plan_makes_way_for_a_member_that_means_to_go);
	tcase_add_test(rules, it_may_go_when_it_is_not_missed);
	tcase_add_test(rules, a_spare_that_goes_changes_nothing);
	tcase_add_test(rules, holding_back_doubles_up_to_a_limit);
	tcase_add_test(rules, trouble_is_pardoned_but_not_loss);
	suite_add_tcase(s, rules);
	tcase_set_timeout(stories, 300);
	tcase_add_test(stories, ten_thousand_stories);
	tcase_add_test(stories, one_seed_is_one_story);
	tcase_add_test(stories, who_fails_for_ever_hardly_interrupts_the_others);
	suite_add_tcase(s, stories);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
