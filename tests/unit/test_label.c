/* Labels without anybody who knows the answer: what they are made of, when they may be made, and what a
 * router learns from them beside true ones. */
#include "sched/gain.h"
#include "sched/idle.h"
#include "sched/label.h"
#include "tests/support/route_curve.h"
#include "tests/support/route_task.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool
same(const char *a, const char *b)
{
	return label_name(a, strlen(a)) == label_name(b, strlen(b));
}

START_TEST(answers_that_agree)
{
	ck_assert(same("42", "42"));
	ck_assert(same(" The answer\n is  42.", "the answer is 42"));
	ck_assert(same("Yes!", "yes."));
	ck_assert(!same("42", "43"));
	ck_assert(!same("the answer is 42", "theansweris42"));
	ck_assert(!same("1.5", "15"));
	ck_assert(same("", " \n"));
	ck_assert(!same("", "a"));
}
END_TEST

START_TEST(votes)
{
	struct label_pair p;

	ck_assert(label_by_votes((uint64_t[]){2, 2, 2, 2}, 1, 2, &p));
	ck_assert(fabsf(p.small) < 1e-6f && fabsf(p.large - 1) < 1e-6f);
	ck_assert(label_by_votes((uint64_t[]){1, 2, 3, 1}, 1, 2, &p));
	ck_assert(fabsf(p.small - 0.5f) < 1e-6f && fabsf(p.large - 0.25f) < 1e-6f);
	ck_assert(label_by_votes((uint64_t[]){7, 7, 7, 1}, 1, 2, &p)); /* a third one */
	ck_assert(fabsf(p.small - 0.25f) < 1e-6f && fabsf(p.large) < 1e-6f);
	ck_assert(!label_by_votes((uint64_t[]){1, 2, 3, 4}, 1, 2, &p));
}
END_TEST

START_TEST(words_of_a_judge)
{
	static const struct {
		const char *text;
		enum label_word word;
	} said[] = {{"A", LABEL_A}, {" B.", LABEL_B}, {"**A**\n", LABEL_A}, {"=", LABEL_EQUAL},
		{"\"=\"", LABEL_EQUAL}, {"", LABEL_NO_WORD}, {"An answer", LABEL_NO_WORD},
		{"{\"actions\"", LABEL_NO_WORD}, {"a", LABEL_NO_WORD}, {"C", LABEL_NO_WORD}};
	struct label_pair p;

	for (size_t i = 0; i < sizeof said / sizeof *said; i++)
		ck_assert_msg(label_word(said[i].text, strlen(said[i].text)) == said[i].word, "%s",
			said[i].text);
	ck_assert(label_by_words(LABEL_A, LABEL_B, &p) && p.small > p.large);
	ck_assert(label_by_words(LABEL_B, LABEL_A, &p) && p.small < p.large);
	ck_assert(label_by_words(LABEL_EQUAL, LABEL_EQUAL, &p) && fabsf(p.small - p.large) < 1e-6f);
	/* One that prefers a place, whoever stands there, has said nothing; nor has half a verdict. */
	ck_assert(!label_by_words(LABEL_A, LABEL_A, &p));
	ck_assert(!label_by_words(LABEL_B, LABEL_B, &p));
	ck_assert(!label_by_words(LABEL_EQUAL, LABEL_A, &p));
	ck_assert(!label_by_words(LABEL_NO_WORD, LABEL_A, &p));
}
END_TEST

/* --- what is learned ---------------------------------------------------------------------------- */

enum { ROWS = 1000, TEST = 1500, OTHERS = 5 };

static const unsigned mix[TASK_KINDS] = {45, 30, 20, 5};
static struct gain_row rows[ROWS];
static struct route_task test[TEST];
static uint64_t random_state;

/* An answer of a model that is right with chance p: 0 is the right one, others are wrong in one of
 * some ways. */
static uint64_t
draw(double p)
{
	return route_task_unit(&random_state) < p ? 0
						  : 1 + route_task_random(&random_state) % OTHERS;
}

static double
large_chance(enum route_task_kind k)
{
	static const double chance[TASK_KINDS] = {
		[TASK_EASY] = 0.98, [TASK_HARD] = 0.95, [TASK_HOPELESS] = 0.05, [TASK_HARM] = 0.60};

	return chance[k];
}

static uint64_t
answer_of(bool right)
{
	return right ? 0 : 1 + route_task_random(&random_state) % OTHERS;
}

/* As the daemon would label this task. false: it makes no label. */
static bool
label_at_idle(struct route_task *t)
{
	uint64_t small = answer_of(t->label[GAIN_SMALL] > 0.5f),
		 large = answer_of(t->label[GAIN_LARGE] > 0.5f), vote[LABEL_VOTES];
	struct label_pair p = {0.5f, 0.5f};

	for (int i = 0; i < LABEL_VOTES; i++)
		vote[i] = draw(large_chance(t->kind));
	if (small != large && !label_by_votes(vote, small, large, &p))
		return false;
	t->label[GAIN_SMALL] = p.small;
	t->label[GAIN_LARGE] = p.large;
	return true;
}

static double
apgr(bool idle)
{
	static struct route_outcome o[TEST];
	static struct route_task t;
	struct err err = {""};
	struct gain *g = gain_new(&err);

	random_state = 29;
	for (size_t i = 0; i < ROWS; i++) {
		do
			route_task_draw(&t, mix, &random_state);
		while (idle && !label_at_idle(&t));
		route_task_row(&rows[i], &t, true);
	}
	ck_assert_msg(gain_train(g, rows, ROWS, NULL, &err) == 0, "%s", err.msg);
	for (int i = 0; i < TEST; i++) {
		struct gain_estimate e;

		gain_estimate(g, &test[i].features, test[i].figure, &e);
		o[i] = (struct route_outcome){(double)e.gain, (double)test[i].label[GAIN_SMALL],
			(double)test[i].label[GAIN_LARGE]};
	}
	gain_free(g);
	return route_curve(o, TEST).apgr;
}

/* What only the large model can do is told from what neither can. */
START_TEST(teach_nearly_as_much_as_true_ones)
{
	double by_truth, by_idle;

	random_state = 17;
	for (int i = 0; i < TEST; i++)
		route_task_draw(&test[i], mix, &random_state);
	by_truth = apgr(false);
	by_idle = apgr(true);
	ck_assert_msg(by_idle > 0.75 && by_idle > by_truth - 0.05, "%.3f, with true labels %.3f",
		by_idle, by_truth);
}
END_TEST

/* The expected difference has the sign of the gain, for better and for worse. */
START_TEST(point_the_right_way)
{
	static const double chances[][2] = {{0.2, 0.9}, {0.5, 0.8}, {0.9, 0.6}, {0.7, 0.3}};

	random_state = 5;
	for (size_t c = 0; c < sizeof chances / sizeof *chances; c++) {
		double small = chances[c][0], large = chances[c][1], sum = 0, gain = large - small;

		for (int i = 0; i < 20000; i++) {
			uint64_t s = draw(small), l = draw(large), vote[LABEL_VOTES];
			struct label_pair p;

			for (int k = 0; k < LABEL_VOTES; k++)
				vote[k] = draw(large);
			if (s != l && label_by_votes(vote, s, l, &p))
				sum += (double)p.large - (double)p.small;
		}
		sum /= 20000;
		ck_assert_msg(sum * gain > 0 && fabs(sum) < fabs(gain), "%.1f against %.1f: %.3f",
			large, small, sum);
	}
}
END_TEST

/* --- when --------------------------------------------------------------------------------------- */

START_TEST(hours)
{
	struct idle_hours h;
	struct err err;

	ck_assert_int_eq(idle_hours_parse("any", &h, &err), 0);
	for (unsigned i = 0; i < 24; i++)
		ck_assert(idle_hours_hold(&h, i));
	ck_assert_int_eq(idle_hours_parse("22-6", &h, &err), 0);
	ck_assert(idle_hours_hold(&h, 22) && idle_hours_hold(&h, 0) && idle_hours_hold(&h, 5));
	ck_assert(!idle_hours_hold(&h, 6) && !idle_hours_hold(&h, 21));
	ck_assert_int_eq(idle_hours_parse("1-06", &h, &err), 0);
	ck_assert(idle_hours_hold(&h, 1) && !idle_hours_hold(&h, 0) && !idle_hours_hold(&h, 6));
	for (size_t i = 0; i < 8; i++) {
		static const char *const bad[] = {
			"", "22", "22-", "-6", "24-6", "1-2-3", "a-b", "1-2 "};

		ck_assert_msg(idle_hours_parse(bad[i], &h, &err) != 0, "'%s'", bad[i]);
	}
}
END_TEST

START_TEST(idle)
{
	const struct idle_rules r = {.quiet_ms = 1000, .hours = {22, 6}};
	const struct idle_facts fine = {.models = true,
		.quiet_ms = 1000,
		.hour = 23,
		.energy = {false, ENERGY_UNKNOWN, ENERGY_UNKNOWN}};
	struct idle_facts f = fine;

	ck_assert_int_eq(idle_may(&r, &f), IDLE_GO);
	f.quiet_ms = 999;
	ck_assert_int_eq(idle_may(&r, &f), IDLE_RECENT);
	f.requests = 1;
	ck_assert_int_eq(idle_may(&r, &f), IDLE_BUSY);
	f = fine;
	f.hour = 12;
	ck_assert_int_eq(idle_may(&r, &f), IDLE_HOURS);
	f = fine;
	f.energy.on_battery = true;
	ck_assert_int_eq(idle_may(&r, &f), IDLE_BATTERY);
	f = fine;
	f.state = ENERGY_HOT;
	ck_assert_int_eq(idle_may(&r, &f), IDLE_HOT);
	f = fine;
	f.models = false;
	ck_assert_int_eq(idle_may(&r, &f), IDLE_MODELS);
}
END_TEST

START_TEST(spared_devices)
{
	const struct energy_limits l = {80, 20}, none = {0, 0};
	struct energy e = {false, ENERGY_UNKNOWN, ENERGY_UNKNOWN};

	ck_assert_int_eq(energy_judge(&e, &l, ENERGY_FINE), ENERGY_FINE);
	e.on_battery = true; /* which does not say how full it is */
	ck_assert_int_eq(energy_judge(&e, &l, ENERGY_FINE), ENERGY_FINE);
	e.charge = 20;
	ck_assert_int_eq(energy_judge(&e, &l, ENERGY_FINE), ENERGY_LOW);
	e.charge = 24;
	ck_assert_int_eq(energy_judge(&e, &l, ENERGY_FINE), ENERGY_FINE);
	ck_assert_int_eq(energy_judge(&e, &l, ENERGY_LOW), ENERGY_LOW);
	e.celsius = 80;
	ck_assert_int_eq(energy_judge(&e, &l, ENERGY_LOW), ENERGY_HOT);
	ck_assert_int_eq(energy_judge(&e, &none, ENERGY_FINE), ENERGY_FINE);
	e.celsius = 76;
	ck_assert_int_eq(energy_judge(&e, &l, ENERGY_HOT), ENERGY_HOT);
	e.celsius = 74;
	e.on_battery = false;
	ck_assert_int_eq(energy_judge(&e, &l, ENERGY_HOT), ENERGY_FINE);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("label");
	TCase *t = tcase_create("label");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_set_timeout(t, 60);
	tcase_add_test(t, answers_that_agree);
	tcase_add_test(t, votes);
	tcase_add_test(t, words_of_a_judge);
	tcase_add_test(t, teach_nearly_as_much_as_true_ones);
	tcase_add_test(t, point_the_right_way);
	tcase_add_test(t, hours);
	tcase_add_test(t, idle);
	tcase_add_test(t, spared_devices);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
