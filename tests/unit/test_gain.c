/* The predictor learns what it should from a made-up traffic, beside controls that do not; its
 * bytes are its own; bad bytes and bad labels do little. */
#include "sched/gain.h"
#include "tests/support/route_curve.h"
#include "tests/support/route_task.h"

#include <check.h>
#include <malloc.h>
#include <math.h>
#include <stdlib.h>
#include <time.h>

enum { TEST = 1500, MOST = 2000 };

static const unsigned mix[TASK_KINDS] = {45, 30, 20, 5};
static struct route_task test[TEST];
static struct gain_row rows[MOST];
static struct gain_held held[MOST];
static uint64_t random_state;

enum score { BEFORE, AFTER, SMALL_WRONG, LENGTH, COIN, MARGIN };

static void
draw_rows(size_t n, bool answered)
{
	static struct route_task t;

	for (size_t i = 0; i < n; i++) {
		route_task_draw(&t, mix, &random_state);
		route_task_row(&rows[i], &t, answered);
	}
}

static void
setup(void)
{
	random_state = 17;
	for (int i = 0; i < TEST; i++)
		route_task_draw(&test[i], mix, &random_state);
}

static struct gain *
trained(size_t n)
{
	struct err err = {""};
	struct gain *g = gain_new(&err);

	ck_assert_msg(g != NULL && gain_train(g, rows, n, held, &err) == 0, "%s", err.msg);
	return g;
}

static double
score_of(const struct gain *g, const struct route_task *t, enum score by)
{
	struct gain_estimate e;

	switch (by) {
	case LENGTH:
		return (double)strlen(t->text);
	case COIN:
		return route_task_unit(&random_state);
	case MARGIN:
		return -(double)t->figure[TOKEN_LEAST_MARGIN];
	default:
		gain_estimate(g, &t->features, by == AFTER ? t->figure : NULL, &e);
		return by == SMALL_WRONG ? 1.0 - (double)e.p[GAIN_SMALL] : (double)e.gain;
	}
}

static double
apgr(const struct gain *g, enum score by)
{
	static struct route_outcome o[TEST];

	for (int i = 0; i < TEST; i++)
		o[i] = (struct route_outcome){score_of(g, &test[i], by),
			(double)test[i].label[GAIN_SMALL], (double)test[i].label[GAIN_LARGE]};
	return route_curve(o, TEST).apgr;
}

START_TEST(learns_the_gain)
{
	struct gain *g;
	double before, after;

	draw_rows(1000, true);
	g = trained(1000);
	before = apgr(g, BEFORE);
	after = apgr(g, AFTER);
	ck_assert_msg(before > 0.80, "before: %.3f", before);
	ck_assert_msg(after > before, "after: %.3f, before: %.3f", after, before);
	/* Controls: a coin, the length, the best signal without labels, and the same words with the
	 * question "is the small one wrong", which hopeless prompts answer with yes. */
	ck_assert(fabs(apgr(g, COIN) - 0.5) < 0.08);
	ck_assert(before > apgr(g, LENGTH) + 0.2);
	ck_assert(before > apgr(g, SMALL_WRONG) + 0.05);
	ck_assert(after > apgr(g, MARGIN) + 0.05);
	gain_free(g);
}
END_TEST

START_TEST(says_chances_that_come_true)
{
	double off = 0.0, sum[10] = {0}, right[10] = {0}, n[10] = {0};
	struct gain *g;

	draw_rows(1000, true);
	g = trained(1000);
	for (int m = GAIN_SMALL; m <= GAIN_LARGE; m++)
		for (int i = 0; i < TEST; i++) {
			struct gain_estimate e;
			int bin;

			gain_estimate(g, &test[i].features, test[i].figure, &e);
			bin = (int)(9.99f * e.p[m]);
			sum[bin] += (double)e.p[m];
			right[bin] += (double)test[i].label[m];
			n[bin]++;
		}
	for (int b = 0; b < 10; b++)
		off += fabs(sum[b] - right[b]) / (2.0 * TEST);
	ck_assert_msg(off < 0.05, "calibration error %.3f", off);
	gain_free(g);
}
END_TEST

START_TEST(same_rows_same_model)
{
	struct gain *a, *b;
	struct buf x, y;

	buf_init(&x, 0);
	buf_init(&y, 0);
	draw_rows(200, true);
	a = trained(200);
	b = trained(200);
	ck_assert_int_eq(gain_write(a, &x), 0);
	ck_assert_int_eq(gain_write(b, &y), 0);
	ck_assert_uint_eq(x.len, y.len);
	ck_assert_mem_eq(x.data, y.data, x.len);
	ck_assert_uint_le(x.len, GAIN_BYTES);
	buf_free(&x);
	buf_free(&y);
	gain_free(a);
	gain_free(b);
}
END_TEST

/* What the knob begins with is honest: it was said by heads that had not seen the row. */
START_TEST(held_gains_are_of_unseen_rows)
{
	static struct route_outcome o[1000];
	struct gain *g;
	double said;

	draw_rows(1000, true);
	g = trained(1000);
	for (int i = 0; i < 1000; i++)
		o[i] = (struct route_outcome){(double)held[i].before,
			(double)rows[i].label[GAIN_SMALL], (double)rows[i].label[GAIN_LARGE]};
	said = route_curve(o, 1000).apgr;
	ck_assert_msg(fabs(said - apgr(g, BEFORE)) < 0.05, "%.3f on held rows", said);
	gain_free(g);
}
END_TEST

/* Of this process, the best of a few: a tenth or two where nothing checks what the code does. tests/bench/route_cost.sh
 * counts what it takes on a Raspberry Pi 4. */
START_TEST(two_thousand_rows_in_five_seconds)
{
	double best = 1e9;

	draw_rows(MOST, true);
	for (int i = 0; i < 3 && best > 5; i++) {
		clock_t began = clock();
		double s;

		gain_free(trained(MOST));
		s = (double)(clock() - began) / CLOCKS_PER_SEC;
		best = s < best ? s : best;
	}
	ck_assert_msg(best <= 5, "%.1f s", best);
}
END_TEST

START_TEST(untrained_goes_by_the_margin_and_says_so)
{
	struct err err;
	struct gain *g = gain_new(&err);
	struct gain_estimate e;
	char name[ROUTE_NAME];

	gain_estimate(g, &test[0].features, NULL, &e);
	ck_assert_int_eq(e.reason, GAIN_NOTHING);
	ck_assert(e.gain == 0.0f);
	gain_estimate(g, &test[0].features, test[0].figure, &e);
	ck_assert_int_eq(e.reason, GAIN_MARGIN);
	ck_assert_str_eq(gain_reason_name(e.reason), "margin-untrained");
	ck_assert_uint_eq(e.n_why, 1);
	gain_why_name(&e.why[0], &test[0].features, test[0].text, strlen(test[0].text), name);
	ck_assert_str_eq(name, "its least sure token");
	ck_assert(fabs(apgr(g, AFTER) - apgr(g, MARGIN)) < 1e-3);
	ck_assert_int_eq(gain_train(g, rows, GAIN_LEAST_ROWS - 1, NULL, &err), -1);
	gain_free(g);
}
END_TEST

START_TEST(labels_of_one_model_alone_do_not_train)
{
	struct err err;
	struct gain *g;
	struct gain_facts f;

	draw_rows(100, true);
	g = trained(100);
	for (int i = 0; i < 80; i++)
		rows[i].label[GAIN_LARGE] = GAIN_UNKNOWN;
	ck_assert_int_eq(gain_train(g, rows, 100, NULL, &err), -1);
	ck_assert_ptr_nonnull(strstr(err.msg, "20 of the large one's"));
	gain_facts(g, &f); /* and leave what was there */
	ck_assert_uint_eq(f.labels[GAIN_LARGE], 100);
	gain_free(g);
}
END_TEST

/* Rows of which one label is known teach that one head. */
START_TEST(half_labelled_rows_help)
{
	struct gain *g;
	double few, more;

	draw_rows(900, false);
	g = trained(50);
	few = apgr(g, BEFORE);
	gain_free(g);
	for (int i = 50; i < 900; i++)
		rows[i].label[i % 2 == 0 ? GAIN_LARGE : GAIN_SMALL] = GAIN_UNKNOWN;
	g = trained(900);
	more = apgr(g, BEFORE);
	ck_assert_msg(more > few + 0.03, "%.3f with 50 rows, %.3f with more", few, more);
	gain_free(g);
}
END_TEST

/* A task whose outcome is mostly luck, as its figures say: the small model does seven of ten easy ones
 * and three of ten hard ones. */
static void
make_noisy(struct route_task *t)
{
	bool hard = t->kind == TASK_HARD;
	struct token_signals a = {0};

	for (int i = 0; i < 8; i++) {
		double u = route_task_unit(&random_state);
		float margin = (float)(hard && i == 3 ? 0.5 + u : 3.0 + 5.0 * u);
		struct token_signal s = {-log1pf(expf(-margin)), 2.0f * expf(-margin), margin};

		token_signals_add(&a, &s);
	}
	token_signals_figures(&a, t->figure);
	t->label[GAIN_SMALL] = route_task_unit(&random_state) < (hard ? 0.3 : 0.7);
	t->label[GAIN_LARGE] = route_task_unit(&random_state) < 0.8;
}

/* BEFORE with few rows, with their figures and without, in the mean of some draws. */
static void
few_rows(bool noisy, double *with, double *without)
{
	enum { DRAWS = 8, ROWS = 60 };
	static const unsigned two[TASK_KINDS] = {50, 50, 0, 0};
	static struct route_task t;

	*with = *without = 0.0;
	for (int i = 0; noisy && i < TEST; i++) {
		route_task_draw(&test[i], two, &random_state);
		make_noisy(&test[i]);
	}
	for (int draw = 0; draw < DRAWS; draw++)
		for (int k = 0; k < 2; k++) {
			struct gain *g;

			for (int i = 0; k == 0 && i < ROWS; i++) {
				route_task_draw(&t, noisy ? two : mix, &random_state);
				if (noisy)
					make_noisy(&t);
				route_task_row(&rows[i], &t, true);
			}
			for (int i = 0; i < ROWS; i++)
				rows[i].answered = k == 0;
			g = trained(ROWS);
			*(k == 0 ? with : without) += apgr(g, BEFORE) / DRAWS;
			gain_free(g);
		}
}

/* How sure the small model was of the answers that were labelled teaches what the words mean, although
 * an estimate before the answer sees no figures; and where figures do not tell what only the large
 * model does from what neither does, it does no harm. */
START_TEST(figures_teach_the_words)
{
	double with, without;

	few_rows(true, &with, &without);
	ck_assert_msg(with > without + 0.01, "%.3f with figures, %.3f without", with, without);
	few_rows(false, &with, &without);
	ck_assert_msg(with > without - 0.02, "%.3f with figures, %.3f without", with, without);
}
END_TEST

START_TEST(strange_prompts_are_known_as_such)
{
	static struct route_text t;
	const char *text = "wo bleibt denn heute eigentlich mein kaffee liebling";
	struct gain_estimate e, other;
	struct gain *g;

	draw_rows(300, true);
	g = trained(300);
	gain_estimate(g, &test[0].features, NULL, &e);
	ck_assert_int_eq(e.reason, GAIN_TEXT);
	ck_assert(e.known > 0.6f);
	route_text(&t, text, strlen(text));
	gain_estimate(g, &t, NULL, &e);
	ck_assert_int_eq(e.reason, GAIN_TEXT_UNKNOWN);
	ck_assert(e.known < 0.2f);
	gain_estimate(g, &t, test[0].figure, &e);
	ck_assert_int_eq(e.reason, GAIN_ANSWER);
	t.n = 4; /* what the words are does not matter then */
	gain_estimate(g, &t, test[0].figure, &other);
	ck_assert(other.gain == e.gain);
	gain_free(g);
}
END_TEST

START_TEST(names_the_words_that_decided)
{
	static struct route_text t;
	const char *text = "wordd derive wordb integral wordc";
	char name[ROUTE_NAME], all[GAIN_WHY * ROUTE_NAME] = "";
	struct gain_estimate e;
	struct gain *g;

	draw_rows(1000, true);
	g = trained(1000);
	route_text(&t, text, strlen(text));
	gain_estimate(g, &t, NULL, &e);
	ck_assert_uint_eq(e.n_why, GAIN_WHY);
	for (uint32_t i = 0; i < e.n_why; i++) {
		gain_why_name(&e.why[i], &t, text, strlen(text), name);
		strcat(strcat(all, name), "|");
		ck_assert(i == 0 || fabsf(e.why[i].part) <= fabsf(e.why[i - 1].part));
	}
	ck_assert_msg(
		strstr(all, "derive|") != NULL && strstr(all, "integral|") != NULL, "%s", all);
	gain_free(g);
}
END_TEST

static void
flip_labels(int from, int to)
{
	for (int i = from; i < to; i++)
		if (route_task_unit(&random_state) < 0.3)
			for (int m = GAIN_SMALL; m <= GAIN_LARGE; m++)
				rows[i].label[m] = 1.0f - rows[i].label[m];
}

/* A batch in which 30% of the labels are the wrong way round costs little, even if it is half of all
 * there is, and going back is exact. Where it is all there is, the labels teach what a sixth of
 * them would ((1 - 2 * 0.3)^2): that costs more, but not all. */
START_TEST(a_poisoned_batch)
{
	double clean[2], bad[2];
	struct err err;
	struct buf before;
	struct gain *g, *back;

	buf_init(&before, GAIN_BYTES);
	draw_rows(1000, true);
	g = trained(1000);
	clean[0] = apgr(g, BEFORE), clean[1] = apgr(g, AFTER);
	ck_assert_int_eq(gain_write(g, &before), 0);
	flip_labels(500, 1000);
	ck_assert_int_eq(gain_train(g, rows, 1000, NULL, &err), 0);
	bad[0] = apgr(g, BEFORE), bad[1] = apgr(g, AFTER);
	ck_assert_msg(bad[0] > clean[0] - 0.05, "before: %.3f, clean %.3f", bad[0], clean[0]);
	ck_assert_msg(bad[1] > clean[1] - 0.05, "after: %.3f, clean %.3f", bad[1], clean[1]);
	flip_labels(0, 500);
	ck_assert_int_eq(gain_train(g, rows, 1000, NULL, &err), 0);
	bad[0] = apgr(g, BEFORE), bad[1] = apgr(g, AFTER);
	ck_assert_msg(bad[0] > clean[0] - 0.10, "before: %.3f, clean %.3f", bad[0], clean[0]);
	ck_assert_msg(bad[1] > clean[1] - 0.10, "after: %.3f, clean %.3f", bad[1], clean[1]);
	back = gain_read(before.data, before.len, &err);
	ck_assert_ptr_nonnull(back);
	ck_assert(apgr(back, BEFORE) == clean[0] && apgr(back, AFTER) == clean[1]);
	gain_free(back);
	gain_free(g);
	buf_free(&before);
}
END_TEST

/* Every cut and every flipped bit of a sample of places. */
START_TEST(damaged_models_are_refused)
{
	struct err err;
	struct buf b;
	struct gain *g;

	buf_init(&b, 0);
	draw_rows(60, true);
	g = trained(60);
	ck_assert_int_eq(gain_write(g, &b), 0);
	for (size_t len = 0; len < b.len; len += len < 64 ? 1 : 97)
		ck_assert_ptr_null(gain_read(b.data, len, &err));
	for (size_t at = 0; at < b.len; at += at < 64 ? 1 : 97) {
		b.data[at] ^= 1u << at % 8;
		ck_assert_ptr_null(gain_read(b.data, b.len, &err));
		b.data[at] ^= 1u << at % 8;
	}
	b.data[4] = 9;
	ck_assert_ptr_null(gain_read(b.data, b.len, &err));
	ck_assert_ptr_nonnull(strstr(err.msg, "version 9"));
	buf_free(&b);
	gain_free(g);
}
END_TEST

/* Bytes whose checksum is right, made by an enemy: refused, or a model that can be used. */
START_TEST(forged_models_do_no_harm)
{
	struct err err;
	struct buf b;
	struct gain *g;
	unsigned read = 0, refused = 0;

	buf_init(&b, 0);
	draw_rows(60, true);
	g = trained(60);
	ck_assert_int_eq(gain_write(g, &b), 0);
	gain_free(g);
	for (int round = 0; round < 300; round++) {
		size_t at = 8 + route_task_random(&random_state) % (b.len - 16);
		uint8_t was = b.data[at];
		uint64_t h = 0xcbf29ce484222325u;

		b.data[at] = (uint8_t)route_task_random(&random_state);
		for (size_t i = 0; i < b.len - 8; i++)
			h = (h ^ b.data[i]) * 0x100000001b3u;
		put_le64(b.data + b.len - 8, h);
		g = gain_read(b.data, b.len, &err);
		b.data[at] = was;
		read += g != NULL;
		refused += g == NULL;
		for (int i = 0; g != NULL && i < 20; i++) {
			struct gain_estimate e;

			gain_estimate(g, &test[i].features, test[i].figure, &e);
			ck_assert(fabsf(e.gain) <= 1.0f);
		}
		gain_free(g);
	}
	ck_assert(read > 0 && refused > 0);
	buf_free(&b);
}
END_TEST

START_TEST(rows_round_trip)
{
	struct gain_row got;
	struct err err;
	struct buf b;
	struct rd in;

	buf_init(&b, 0);
	draw_rows(20, true);
	draw_rows(10, false);
	for (int i = 0; i < 20; i++) {
		size_t before = b.len;

		ck_assert_int_eq(gain_row_write(&rows[i], &b), 0);
		ck_assert_uint_le(b.len - before, GAIN_ROW_BYTES);
	}
	in = rd_init(b.data, b.len);
	for (int i = 0; i < 20; i++) {
		ck_assert_int_eq(gain_row_read(&got, &in, &err), 0);
		ck_assert_mem_eq(got.bucket, rows[i].bucket, sizeof got.bucket);
		ck_assert_mem_eq(got.label, rows[i].label, sizeof got.label);
		ck_assert_mem_eq(got.figure, rows[i].figure, sizeof got.figure);
		ck_assert_int_eq(got.answered, rows[i].answered);
	}
	ck_assert_uint_eq(rd_left(&in), 0);
	for (size_t len = 0; len < 60; len++) {
		in = rd_init(b.data, len);
		ck_assert_int_eq(gain_row_read(&got, &in, &err), -1);
	}
	for (int round = 0; round < 2000; round++) {
		size_t at = route_task_random(&random_state) % b.len;

		b.data[at] ^= (uint8_t)route_task_random(&random_state);
		in = rd_init(b.data, b.len);
		while (rd_left(&in) > 0 && gain_row_read(&got, &in, &err) == 0)
			ck_assert_uint_le(got.n, ROUTE_FEATURES);
	}
	buf_free(&b);
}
END_TEST

START_TEST(an_estimate_allocates_nothing)
{
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__ || !defined __GLIBC__
	/* mallinfo2 counts nothing there. */
#else
	struct gain_estimate e;
	struct mallinfo2 was, is;
	struct gain *g;

	draw_rows(100, true);
	g = trained(100);
	was = mallinfo2();
	for (int i = 0; i < TEST; i++) {
		route_text(&test[i].features, test[i].text, strlen(test[i].text));
		gain_estimate(g, &test[i].features, test[i].figure, &e);
	}
	is = mallinfo2();
	ck_assert_uint_eq(is.uordblks + is.hblkhd, was.uordblks + was.hblkhd);
	ck_assert_uint_eq(is.fordblks, was.fordblks);
	gain_free(g);
#endif
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("gain");
	TCase *t = tcase_create("gain");
	SRunner *r;
	int failed;

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, NULL);
	tcase_add_test(t, learns_the_gain);
	tcase_add_test(t, says_chances_that_come_true);
	tcase_add_test(t, same_rows_same_model);
	tcase_add_test(t, held_gains_are_of_unseen_rows);
	tcase_add_test(t, two_thousand_rows_in_five_seconds);
	tcase_add_test(t, untrained_goes_by_the_margin_and_says_so);
	tcase_add_test(t, labels_of_one_model_alone_do_not_train);
	tcase_add_test(t, half_labelled_rows_help);
	tcase_add_test(t, figures_teach_the_words);
	tcase_add_test(t, strange_prompts_are_known_as_such);
	tcase_add_test(t, names_the_words_that_decided);
	tcase_add_test(t, a_poisoned_batch);
	tcase_add_test(t, damaged_models_are_refused);
	tcase_add_test(t, forged_models_do_no_harm);
	tcase_add_test(t, rows_round_trip);
	tcase_add_test(t, an_estimate_allocates_nothing);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
