/* The knob keeps shares, through changes of traffic too; promises are kept or not made. */
#include "sched/knob.h"
#include "tests/support/route_task.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>

static uint64_t state = 5;

static float
unit(void)
{
	return (float)route_task_unit(&state);
}

/* Traffics: scores as they may come. */
enum traffic { SPREAD, NARROW, TWO_HEAPS, ALL_EQUAL, HIGHER, TRAFFICS };

static float
score_of(enum traffic t)
{
	switch (t) {
	case NARROW:
		return 0.01f + 0.002f * unit();
	case TWO_HEAPS:
		return unit() < 0.7f ? 0.02f : 0.6f + 0.1f * unit();
	case ALL_EQUAL:
		return 0.25f;
	case HIGHER:
		return 0.5f + 0.5f * unit();
	default:
		return 2.0f * unit() * unit() - 0.3f;
	}
}

static float
share(struct knob *k, enum traffic t, float q, int n)
{
	int up = 0;

	for (int i = 0; i < n; i++) {
		float score = score_of(t);
		bool goes = knob_decide(k, q, score).up;

		knob_learn(k, q, score, goes);
		up += goes;
	}
	return (float)up / (float)n;
}

static const float qs[] = {0.05f, 0.2f, 0.3f, 0.5f, 0.8f, 0.95f};
enum { QS = sizeof qs / sizeof *qs };

START_TEST(shares_come_true_and_follow_a_change)
{
	for (int first = 0; first < TRAFFICS; first++)
		for (int then = 0; then < TRAFFICS; then++)
			for (int i = 0; i < QS; i++) {
				struct knob k = {0};
				float got;

				share(&k, (enum traffic)first, qs[i], 300);
				got = share(&k, (enum traffic)first, qs[i], 300);
				ck_assert_msg(fabsf(got - qs[i]) < 0.05f, "%d: %g of %g", first,
					(double)got, (double)qs[i]);
				share(&k, (enum traffic)then, qs[i], 300);
				got = share(&k, (enum traffic)then, qs[i], 300);
				ck_assert_msg(fabsf(got - qs[i]) < 0.05f, "%d then %d: %g of %g",
					first, then, (double)got, (double)qs[i]);
			}
}
END_TEST

START_TEST(none_and_all)
{
	struct knob k = {0};

	share(&k, SPREAD, 0.5f, 50);
	for (int i = 0; i < 100; i++) {
		float score = 2.0f * unit() - 1.0f;

		ck_assert(!knob_decide(&k, 0.0f, score).up);
		ck_assert(!knob_decide(&k, -1.0f, score).up);
		ck_assert(!knob_decide(&k, NAN, score).up);
		ck_assert(knob_decide(&k, 1.0f, score).up);
		ck_assert(knob_decide(&k, 7.0f, score).up);
	}
}
END_TEST

/* In the same state, what goes up at q goes up at every higher one, and with a higher score too. */
START_TEST(monotone)
{
	for (int round = 0; round < 40; round++) {
		struct knob k = {0};
		bool before;

		share(&k, (enum traffic)(round % TRAFFICS), unit(), round * 10);
		for (int i = 0; i < 50; i++) {
			float score = 2.0f * unit() - 1.0f, q = unit();

			before = false;
			for (int step = 0; step <= 20; step++) {
				bool up = knob_decide(&k, (float)step / 20.0f, score).up;

				ck_assert(up || !before);
				before = up;
			}
			if (knob_decide(&k, q, score).up)
				ck_assert(knob_decide(&k, q, score + 0.1f).up);
		}
	}
}
END_TEST

/* The threshold that people are shown is the one that decided. */
START_TEST(threshold_is_true)
{
	struct knob k = {0};

	share(&k, SPREAD, 0.4f, 500);
	for (int i = 0; i < 300; i++) {
		float score = score_of(SPREAD);
		struct knob_decision d = knob_decide(&k, 0.4f, score);

		if (fabsf(score - d.threshold) > 1e-5f)
			ck_assert_int_eq(d.up, score > d.threshold);
	}
}
END_TEST

/* Several users, each with a q of his own. */
START_TEST(many_knobs_in_one)
{
	struct knob k = {0};
	int up[QS] = {0};

	share(&k, SPREAD, 0.5f, 300);
	for (int i = 0; i < 3000; i++) {
		float score = score_of(SPREAD), q = qs[i % QS];
		bool goes = knob_decide(&k, q, score).up;

		knob_learn(&k, q, score, goes);
		up[i % QS] += goes;
	}
	for (int i = 0; i < QS; i++)
		ck_assert(fabsf((float)up[i] / (3000.0f / QS) - qs[i]) < 0.08f);
}
END_TEST

START_TEST(begins_where_training_left_it)
{
	float scores[1000], got;
	struct knob k;

	for (int i = 0; i < 1000; i++)
		scores[i] = score_of(NARROW);
	knob_begin(&k, scores, 1000);
	got = share(&k, NARROW, 0.3f, 100);
	ck_assert_msg(fabsf(got - 0.3f) < 0.08f, "%g at once", (double)got);
}
END_TEST

START_TEST(state_round_trips)
{
	struct knob k = {0}, got = {0}, was;
	struct err err;
	struct buf b;
	struct rd in;

	buf_init(&b, 0);
	share(&k, SPREAD, 0.3f, 100);
	ck_assert_int_eq(knob_write(&k, &b), 0);
	ck_assert_uint_eq(b.len, KNOB_BYTES);
	in = rd_init(b.data, b.len);
	ck_assert_int_eq(knob_read(&got, &in, &err), 0);
	ck_assert_mem_eq(&got, &k, sizeof k);
	was = got;
	for (int round = 0; round < 3000; round++) {
		size_t at = route_task_random(&state) % b.len;
		uint8_t byte = b.data[at];

		b.data[at] = (uint8_t)route_task_random(&state);
		in = rd_init(b.data, b.len);
		if (knob_read(&got, &in, &err) != 0)
			ck_assert_mem_eq(&got, &was, sizeof got);
		knob_decide(&got, 0.5f, 0.1f);
		share(&got, SPREAD, 0.5f, 2);
		got = was;
		b.data[at] = byte;
	}
	in = rd_init(b.data, b.len - 1);
	ck_assert_int_eq(knob_read(&got, &in, &err), -1);
	buf_free(&b);
}
END_TEST

/* --- promises ------------------------------------------------------------------------------------ */

/* A prompt with a chance to gain that its score tells, more or less. */
static void
draw_sample(struct knob_sample *s)
{
	float hard = unit() < 0.35f ? 0.5f + 0.5f * unit() : 0.4f * unit();

	s->small = unit() > hard;
	s->large = unit() < 0.93f;
	s->score = hard - 0.1f + 0.2f * unit();
}

enum { LABELS = 300, WORLD = 40000 };

/* The quality of going up from a threshold on, less r times the large model's. */
static double
truth(const struct knob_sample *world, float threshold, double r)
{
	double sum = 0.0;

	for (int i = 0; i < WORLD; i++) {
		const struct knob_sample *s = &world[i];

		sum += (double)(s->score >= threshold ? s->large : s->small) - r * (double)s->large;
	}
	return sum / WORLD;
}

START_TEST(promises_are_kept)
{
	static struct knob_sample world[WORLD], labels[LABELS];
	static const float rs[] = {0.8f, 0.9f, 0.95f};

	for (int i = 0; i < WORLD; i++)
		draw_sample(&world[i]);
	for (int which = 0; which < 3; which++) {
		int made = 0, broken = 0;
		double shares = 0.0;

		for (int round = 0; round < 100; round++) {
			struct knob_curve c;
			struct knob_promise p;

			for (int i = 0; i < LABELS; i++)
				labels[i] = world[route_task_random(&state) % WORLD];
			knob_curve_make(&c, labels, LABELS);
			p = knob_at_least(&c, rs[which]);
			made += p.kept;
			shares += (double)p.share / 100.0;
			broken += truth(world, p.threshold, (double)rs[which]) < 0.0;
		}
		ck_assert_int_gt(made, 90);
		ck_assert_msg(
			broken <= 10, "at least %g: %d of 100 broken", (double)rs[which], broken);
		ck_assert_msg(shares < 0.9, "at least %g: %g go up", (double)rs[which], shares);
	}
}
END_TEST

START_TEST(what_cannot_be_promised)
{
	static struct knob_sample labels[LABELS];
	struct knob_promise p, lower;
	struct knob_curve c;

	knob_curve_make(&c, labels, 0);
	ck_assert(!knob_at_least(&c, 0.5f).kept);
	for (int i = 0; i < LABELS; i++)
		draw_sample(&labels[i]);
	knob_curve_make(&c, labels, 10); /* too few, even if all of them look well */
	ck_assert(!knob_at_least(&c, 0.95f).kept);
	for (int i = 0; i < LABELS; i++)
		draw_sample(&labels[i]);
	knob_curve_make(&c, labels, LABELS);
	p = knob_at_least(&c, 1.0f);
	ck_assert(!p.kept && p.share == 1.0f);
	p = knob_at_least(&c, 0.95f);
	lower = knob_at_least(&c, 0.8f);
	ck_assert(p.kept && lower.kept && lower.share < p.share);
	ck_assert(knob_at_least(&c, 0.0f).share == 0.0f);
}
END_TEST

START_TEST(curves_round_trip)
{
	static struct knob_sample labels[LABELS];
	struct knob_curve c, got = {0};
	struct err err;
	struct buf b;
	struct rd in;

	buf_init(&b, 0);
	for (int i = 0; i < LABELS; i++)
		draw_sample(&labels[i]);
	knob_curve_make(&c, labels, LABELS);
	ck_assert_int_eq(knob_curve_write(&c, &b), 0);
	ck_assert_uint_eq(b.len, KNOB_CURVE_BYTES);
	in = rd_init(b.data, b.len);
	ck_assert_int_eq(knob_curve_read(&got, &in, &err), 0);
	ck_assert_mem_eq(&got, &c, sizeof c);
	for (int round = 0; round < 3000; round++) {
		size_t at = route_task_random(&state) % b.len;
		uint8_t byte = b.data[at];
		struct knob_promise p;

		b.data[at] = (uint8_t)route_task_random(&state);
		in = rd_init(b.data, b.len);
		if (knob_curve_read(&got, &in, &err) == 0) {
			p = knob_at_least(&got, 0.9f);
			ck_assert(p.share >= 0.0f && p.share <= 1.0f && !isnan(p.threshold));
		}
		b.data[at] = byte;
	}
	buf_free(&b);
}
END_TEST

/* The mean of all, and once there are many, of the last ones. */
START_TEST(shares_are_told)
{
	struct knob_share s = {0};

	for (int i = 0; i < 100; i++)
		knob_share_add(&s, i < 50 ? 0.2f : 0.4f, i % 4 == 0);
	ck_assert_uint_eq(s.n, 100);
	ck_assert_float_eq_tol(s.wanted, 0.3f, 1e-4f);
	ck_assert_float_eq_tol(s.real, 0.25f, 1e-4f);
	for (int i = 0; i < 6 * KNOB_WINDOW; i++)
		knob_share_add(&s, 0.9f, true);
	ck_assert_uint_eq(s.n, KNOB_WINDOW);
	ck_assert_float_eq_tol(s.wanted, 0.9f, 0.01f);
	ck_assert_float_eq_tol(s.real, 1.0f, 0.01f);
	knob_share_add(&s, NAN, false);
	ck_assert(s.wanted > 0.8f && s.wanted < 0.91f);
}
END_TEST

/* A knob that works shows it by them. */
START_TEST(what_is_told_is_what_was_wanted)
{
	struct knob k = {0};
	struct knob_share s = {0};

	for (int i = 0; i < 1000; i++) {
		float score = score_of(SPREAD);
		bool up = knob_decide(&k, 0.3f, score).up;

		knob_learn(&k, 0.3f, score, up);
		knob_share_add(&s, 0.3f, up);
	}
	ck_assert_float_eq_tol(s.wanted, 0.3f, 1e-4f);
	ck_assert_float_eq_tol(s.real, 0.3f, 0.05f);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("knob");
	TCase *t = tcase_create("knob");
	SRunner *r;
	int failed;

	tcase_set_timeout(t, 60);
	tcase_add_test(t, shares_come_true_and_follow_a_change);
	tcase_add_test(t, none_and_all);
	tcase_add_test(t, monotone);
	tcase_add_test(t, threshold_is_true);
	tcase_add_test(t, many_knobs_in_one);
	tcase_add_test(t, begins_where_training_left_it);
	tcase_add_test(t, state_round_trips);
	tcase_add_test(t, promises_are_kept);
	tcase_add_test(t, what_cannot_be_promised);
	tcase_add_test(t, curves_round_trip);
	tcase_add_test(t, shares_are_told);
	tcase_add_test(t, what_is_told_is_what_was_wanted);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
