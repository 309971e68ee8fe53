/* When steps are divided: made-up steps, whose times are those of a model or what a test says. */
#include "sched/overlap.h"

#include <check.h>
#include <stdlib.h>

/* A group: what a step takes to compute and to wait, whole and divided. */
struct world {
	double once, row;     /* computing: at least, and of a row */
	double latency, send; /* sums of a step: at least, and of a row */
	double skew;  /* part of the waiting that is for a slower peer: dividing saves none of it */
	double noise; /* part of a step that it takes longer, now and then */
};

static double
most(double a, double b)
{
	return a > b ? a : b;
}

static double
computes(const struct world *w, uint32_t rows)
{
	return most(w->once, w->row * rows);
}

static struct overlap_step
step(const struct world *w, uint32_t rows, uint32_t first, unsigned number)
{
	double wait = w->latency + w->send * rows, c, cycle;
	struct overlap_step s = {.rows = rows, .first = first};

	if (first == 0) {
		s.seconds = computes(w, rows) + wait;
		s.sums = wait;
	} else {
		c = computes(w, first) + computes(w, rows - first);
		cycle = computes(w, first) + w->latency + w->send * first;
		s.seconds = most(most(c, cycle), w->send * rows);
		s.seconds = most(s.seconds, computes(w, rows) + wait * w->skew);
		s.sums = s.seconds - c;
	}
	if (number % 5 == 0)
		s.seconds *= 1 + w->noise;
	return s;
}

/* So many steps; how many of them were divided, and what all took. */
static uint32_t
run(struct overlap *o, const struct world *w, uint32_t rows, uint32_t steps, double *seconds)
{
	uint32_t divided = 0;

	*seconds = 0;
	for (uint32_t i = 0; i < steps; i++) {
		uint32_t first = overlap_first(o, rows);
		struct overlap_step s = step(w, rows, first, i);

		ck_assert_uint_lt(first, rows);
		divided += first > 0;
		*seconds += s.seconds;
		overlap_took(o, &s);
	}
	return divided;
}

START_TEST(what_is_predicted)
{
	ck_assert_double_eq(overlap_predict(2, 2, 0), 3);
	ck_assert_double_eq(overlap_predict(2, 0.5, 0), 2);
	ck_assert_double_eq(overlap_predict(2, 0.5, 2), 4);   /* few rows: as long as many */
	ck_assert_double_eq(overlap_predict(2, 0.5, 1.5), 3); /* not half as long */
}
END_TEST

START_TEST(slow_links_are_overlapped)
{
	const struct world w = {.once = 0.05, .row = 0.005, .latency = 0.1, .send = 0.004};
	struct overlap o;
	double seconds, whole = step(&w, 64, 0, 1).seconds, half = step(&w, 64, 32, 1).seconds;

	overlap_init(&o, OVERLAP_AUTO);
	ck_assert_uint_ge(run(&o, &w, 64, 100, &seconds), 94);
	ck_assert_double_lt(seconds, 94 * half + 6.5 * whole);
}
END_TEST

/* Nothing to gain: where links are quick; where it only seems so, as another peer is slower; where a step of half
 * as many rows takes as long. The price of trying is small. */
START_TEST(nothing_is_lost)
{
	static const struct world worlds[] = {
		{.once = 0.05, .row = 0.005, .latency = 0.002, .send = 0.00001},
		{.once = 0.05, .row = 0.005, .latency = 0.3, .skew = 1, .noise = 0.3},
		{.once = 0.4, .row = 0.0065, .latency = 0.1},
	};
	struct overlap o;
	double seconds, whole;

	for (size_t i = 0; i < sizeof worlds / sizeof *worlds; i++) {
		struct overlap_step one = {.rows = 1, .seconds = worlds[i].once};

		overlap_init(&o, OVERLAP_AUTO);
		overlap_took(&o, &one);
		overlap_init(&o, OVERLAP_OFF);
		ck_assert_uint_eq(run(&o, &worlds[i], 64, 1000, &whole), 0);
		overlap_init(&o, OVERLAP_AUTO);
		overlap_took(&o, &one);
		ck_assert_uint_le(run(&o, &worlds[i], 64, 1000, &seconds), 10);
		ck_assert_double_lt(seconds, 1.01 * whole);
	}
}
END_TEST

/* Links become slow, and quick again. */
START_TEST(changes_are_noticed)
{
	const struct world quick = {.once = 0.05, .row = 0.005, .latency = 0.001},
			   slow = {.once = 0.05, .row = 0.005, .latency = 0.1, .send = 0.004};
	struct overlap o;
	double seconds;

	overlap_init(&o, OVERLAP_AUTO);
	ck_assert_uint_eq(run(&o, &quick, 64, 300, &seconds), 0);
	ck_assert_uint_ge(run(&o, &slow, 64, 1000, &seconds), 700);
	run(&o, &quick, 64, 600, &seconds);
	ck_assert_uint_le(run(&o, &quick, 64, 300, &seconds), 5);
}
END_TEST

START_TEST(the_mode_decides)
{
	struct overlap o;

	overlap_init(&o, OVERLAP_ON);
	ck_assert_uint_eq(overlap_first(&o, 0), 0);
	ck_assert_uint_eq(overlap_first(&o, 1), 0);
	ck_assert_uint_eq(overlap_first(&o, 2), 1);
	ck_assert_uint_eq(overlap_first(&o, 64), 32);
	for (uint32_t rows = 2; rows < 2000; rows++) {
		ck_assert_uint_ge(overlap_first(&o, rows), 1);
		ck_assert_uint_lt(overlap_first(&o, rows), rows);
	}
	overlap_init(&o, OVERLAP_OFF);
	ck_assert_uint_eq(overlap_first(&o, 64), 0);
	overlap_init(&o, OVERLAP_AUTO); /* of which nothing is known yet */
	ck_assert_uint_eq(overlap_first(&o, 64), 0);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("overlap");
	SRunner *r = srunner_create(s);
	TCase *t = tcase_create("overlap");
	int failed;

	tcase_add_test(t, what_is_predicted);
	tcase_add_test(t, slow_links_are_overlapped);
	tcase_add_test(t, nothing_is_lost);
	tcase_add_test(t, changes_are_noticed);
	tcase_add_test(t, the_mode_decides);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
