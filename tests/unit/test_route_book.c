/* What the router has learned, over a restart: each of its knobs, parts of documents included, and files of before there
 * was one for those. */
#include "daemon/route_book.h"
#include "tests/support/route_task.h"

#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64], lesson[96];
static uv_loop_t loop;
static struct route_book *book;
static const struct route_wish wish = {.quality = 0.3f, .at_least = -1};
static struct route_task task;

static void
open_book(void)
{
	struct err err = {""};

	book = route_book_open(&loop, dir, &err);
	ck_assert_msg(book != NULL, "%s", err.msg);
}

static void
close_book(void)
{
	route_book_close(book);
	uv_run(&loop, UV_RUN_DEFAULT);
}

static void
setup(void)
{
	static const unsigned mix[TASK_KINDS] = {3, 3, 1, 1};
	struct gain_row rows[200];
	struct err err = {""};
	uint64_t random = 7;

	strcpy(dir, "/tmp/shoal-book-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(lesson, sizeof lesson, "%s/route/lesson", dir);
	uv_loop_init(&loop);
	open_book();
	for (int i = 0; i < 200; i++) {
		route_task_draw(&task, mix, &random);
		route_task_row(&rows[i], &task, true);
	}
	ck_assert_msg(route_book_train(book, rows, 200, NULL, NULL, &err) == 0, "%s", err.msg);
	uv_run(&loop, UV_RUN_DEFAULT);
}

static void
teardown(void)
{
	char command[96];

	close_book();
	ck_assert_int_eq(uv_loop_close(&loop), 0);
	snprintf(command, sizeof command, "rm -r %s", dir);
	ck_assert_int_eq(system(command), 0);
}

/* What the knob of parts, or of answers, asks of this task. */
static float
threshold(enum route_knob of)
{
	struct route_view v;

	if (of == KNOB_OF_PARTS)
		route_book_part(book, &task.features, task.figure, &wish, &v);
	else
		route_book_answer(book, &task.features, task.figure, &wish, &v);
	ck_assert(v.known);
	return v.threshold;
}

/* A long document of parts like this one. */
static void
read_parts(void)
{
	struct route_view v;

	for (int i = 0; i < 300; i++) {
		route_book_part(book, &task.features, task.figure, &wish, &v);
		route_book_done(book, KNOB_OF_PARTS, &wish, &v, true, v.up);
	}
}

START_TEST(parts_have_a_knob_of_their_own)
{
	float answers = threshold(KNOB_OF_ANSWERS), parts;

	ck_assert_float_eq(threshold(KNOB_OF_PARTS), answers); /* both begin as they were trained */
	read_parts();
	parts = threshold(KNOB_OF_PARTS);
	ck_assert_float_ne(parts, answers);
	ck_assert_float_eq(threshold(KNOB_OF_ANSWERS), answers);
	close_book();
	open_book();
	ck_assert_float_eq(threshold(KNOB_OF_PARTS), parts);
	ck_assert_float_eq(threshold(KNOB_OF_ANSWERS), answers);
}
END_TEST

START_TEST(a_file_of_before)
{
	struct stat st;
	float answers = threshold(KNOB_OF_ANSWERS);

	read_parts();
	close_book();
	ck_assert_int_eq(stat(lesson, &st), 0);
	ck_assert_int_eq(truncate(lesson, st.st_size - KNOB_BYTES), 0);
	open_book();
	ck_assert_float_eq(threshold(KNOB_OF_ANSWERS), answers);
	ck_assert_float_ne(threshold(KNOB_OF_PARTS), answers); /* it has seen nothing */
	/* Half a knob is none. */
	close_book();
	ck_assert_int_eq(truncate(lesson, st.st_size - 10), 0);
	open_book();
	strcat(lesson, ".damaged");
	ck_assert_int_eq(access(lesson, F_OK), 0);
}
END_TEST

/* Every training can be taken back, on the disk, too. */
START_TEST(the_last_training_is_undone)
{
	struct gain_row rows[60];
	struct err err = {""};
	float before = threshold(KNOB_OF_ANSWERS), poisoned;
	struct gain_row row;

	route_task_row(&row, &task, true);
	row.label[GAIN_SMALL] = 0;
	row.label[GAIN_LARGE] = 1;
	for (int i = 0; i < 60; i++)
		rows[i] = row;
	ck_assert_int_eq(route_book_train(book, rows, 60, NULL, NULL, &err), 0);
	uv_run(&loop, UV_RUN_DEFAULT);
	poisoned = threshold(KNOB_OF_ANSWERS);
	ck_assert_float_ne(poisoned, before);
	ck_assert_msg(route_book_undo(book, &err) == 0, "%s", err.msg);
	ck_assert_float_eq(threshold(KNOB_OF_ANSWERS), before);
	close_book();
	open_book();
	ck_assert_float_eq(threshold(KNOB_OF_ANSWERS), before);
}
END_TEST

static void
hear(void *arg, const char *trouble)
{
	snprintf(arg, 512, "%s", trouble);
}

/* Trains with so many of the rows; what it says. */
static const char *
teach(const struct gain_row *rows, size_t n)
{
	static char said[512];
	struct err err = {""};

	strcpy(said, "nothing");
	ck_assert_msg(route_book_train(book, rows, n, hear, said, &err) == 0, "%s", err.msg);
	uv_run(&loop, UV_RUN_DEFAULT);
	return said;
}

static json_int_t
rows_kept(void)
{
	json_t *status = route_book_status(book);
	json_int_t n = json_integer_value(json_object_get(status, "rows_kept"));

	json_decref(status);
	return n;
}

/* What failed is not learned from later, nor again and again. */
START_TEST(a_training_that_fails_leaves_no_rows)
{
	static const unsigned mix[TASK_KINDS] = {3, 3, 1, 1};
	struct gain_row rows[GAIN_LEAST_ROWS];
	uint64_t random = 5;
	struct err err;

	for (int i = 0; i < GAIN_LEAST_ROWS; i++) {
		route_task_draw(&task, mix, &random);
		route_task_row(&rows[i], &task, true);
	}
	ck_assert_int_eq(rows_kept(), 200);
	ck_assert_int_eq(route_book_forget(book, &err), 0);
	for (int i = 0; i < 3; i++)
		ck_assert_ptr_nonnull(strstr(teach(rows, 10), "10 rows to learn from"));
	ck_assert_int_eq(rows_kept(), 0);
	ck_assert_str_eq(teach(rows, GAIN_LEAST_ROWS), "");
	ck_assert_int_eq(rows_kept(), GAIN_LEAST_ROWS);
	/* What is learned cannot be written: a folder has the name of the lesson before. */
	strcat(lesson, ".before");
	ck_assert_int_eq(mkdir(lesson, 0700), 0);
	ck_assert_ptr_nonnull(strstr(teach(rows, 10), "cannot be kept"));
	close_book();
	open_book();
	ck_assert_int_eq(rows_kept(), GAIN_LEAST_ROWS);
}
END_TEST

static void
label(int n)
{
	static const struct gain_estimate nothing = {.reason = GAIN_NOTHING};
	struct gain_row row;
	struct err err = {""};

	route_task_row(&row, &task, true);
	for (int i = 0; i < n; i++)
		ck_assert_msg(route_book_label(book, &row, &nothing, &err) == 0, "%s", err.msg);
}

/* The rows of the file, what was written at its end or in its middle being damaged meanwhile. */
static void
damage_rows(off_t cut, off_t at, const char *junk, size_t len)
{
	char rows[96];
	struct stat st;
	FILE *f;

	close_book();
	snprintf(rows, sizeof rows, "%s/route/rows", dir);
	ck_assert_int_eq(stat(rows, &st), 0);
	ck_assert_int_eq(truncate(rows, st.st_size - cut), 0);
	f = fopen(rows, "r+e");
	ck_assert_ptr_nonnull(f);
	ck_assert_int_eq(fseek(f, at < 0 ? st.st_size - cut : at, SEEK_SET), 0);
	ck_assert_uint_eq(fwrite(junk, 1, len, f), len);
	ck_assert_int_eq(fclose(f), 0);
	open_book();
}

static bool
is_put_aside(void)
{
	char aside[112];

	snprintf(aside, sizeof aside, "%s/route/rows.damaged", dir);
	return access(aside, F_OK) == 0;
}

static void
expect_rows(json_int_t n)
{
	ck_assert_int_eq(rows_kept(), n);
	close_book();
	open_book();
	ck_assert_int_eq(rows_kept(), n);
}

/* Whatever became of the file, labels that are written later can be read. */
START_TEST(damage_of_rows_costs_what_it_hit)
{
	static const char zeros[4096], junk[] = "\xff\xff\xff\xff";
	json_int_t left;
	struct err err;

	damage_rows(3, -1, "", 0);
	label(5);
	expect_rows(199 + 5);
	damage_rows(0, -1, zeros, sizeof zeros);
	label(2);
	expect_rows(204 + 2);
	ck_assert(is_put_aside()); /* it is more than a row */
	damage_rows(0, 20000, junk, 4);
	left = rows_kept();
	ck_assert(left > 20000 / GAIN_ROW_BYTES && left < 206);
	label(1);
	expect_rows(left + 1);
	ck_assert_int_eq(route_book_forget(book, &err), 0);
	ck_assert(!is_put_aside());
	label(1);
	expect_rows(1);
}
END_TEST

/* What was learned before is there until what is learned now is on the disk. */
START_TEST(a_full_disk_takes_no_lesson)
{
	struct rlimit usual, few;

	ck_assert_str_eq(teach(NULL, 0), "");
	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &usual), 0);
	few = usual;
	few.rlim_cur = 1000;
	signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &few), 0);
	ck_assert_ptr_nonnull(strstr(teach(NULL, 0), "cannot write"));
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &usual), 0);
	ck_assert_int_eq(access(lesson, F_OK), 0);
	strcat(lesson, ".new");
	ck_assert_int_ne(access(lesson, F_OK), 0);
}
END_TEST

/* So many times the same, for a file that is written anew with the newest. */
static void
multiply_rows(int times)
{
	char command[256];

	close_book();
	snprintf(command, sizeof command,
		"cd %s/route && for i in $(seq %d); do cat rows; done >more && mv more rows", dir,
		times);
	ck_assert_int_eq(system(command), 0);
	open_book();
}

START_TEST(labels_that_come_while_it_is_trained)
{
	struct err err = {""};

	multiply_rows(2 * ROUTE_BOOK_ROWS / 200 + 1);
	ck_assert_int_eq(rows_kept(), 2 * ROUTE_BOOK_ROWS + 200);
	ck_assert_msg(route_book_train(book, NULL, 0, NULL, NULL, &err) == 0, "%s", err.msg);
	label(3);
	uv_run(&loop, UV_RUN_DEFAULT);
	expect_rows(ROUTE_BOOK_ROWS + 3);
	/* The same where nobody waits for the end of it. */
	ck_assert_int_eq(route_book_forget(book, &err), 0);
	label(GAIN_LEAST_ROWS);
	ck_assert_int_eq(route_book_train(book, NULL, 0, NULL, NULL, &err), 0);
	label(1);
	close_book();
	open_book();
	expect_rows(GAIN_LEAST_ROWS + 1);
}
END_TEST

/* A figure of its status; below 0: there is none. */
static double
figure(const char *list, const char *name, const char *key)
{
	json_t *status = route_book_status(book), *o;
	double v = -1;
	size_t i;

	json_array_foreach(json_object_get(status, list), i, o)
	{
		if (strcmp(json_string_value(json_object_get(o, "name")), name) == 0)
			v = json_number_value(json_object_get(o, key));
	}
	json_decref(status);
	return v;
}

/* Prompts are asked, the knob decides, and somebody says how right both models were. */
static void
ask_and_label(int n, bool lie)
{
	static const unsigned mix[TASK_KINDS] = {3, 3, 1, 1};
	struct route_view v;
	struct gain_row row;
	uint64_t random = 99;
	struct err err;

	for (int i = 0; i < n; i++) {
		route_task_draw(&task, mix, &random);
		route_book_answer(book, &task.features, task.figure, &wish, &v);
		route_book_done(book, KNOB_OF_ANSWERS, &wish, &v, true, v.up);
		route_book_answered(book, &wish, v.up);
		route_task_row(&row, &task, true);
		for (int m = 0; lie && m < GAIN_CLOUD; m++)
			row.label[m] = 1 - row.label[m];
		ck_assert_int_eq(route_book_label(book, &row, &v.estimate, &err), 0);
	}
}

/* Whether as much went up as was wanted, and whether what was said came true. */
START_TEST(it_is_told_how_well_it_does)
{
	double honest;

	ck_assert_double_lt(figure("shares", "answers", "real"), 0);
	ck_assert_double_lt(figure("calibration", "gain", "error"), 0);
	ask_and_label(40, false); /* fewer than it is trained after */
	ck_assert_double_eq(figure("shares", "answers", "n"), 40);
	ck_assert_double_eq_tol(figure("shares", "answers", "wanted"), 0.3, 1e-4);
	ck_assert_double_eq_tol(
		figure("shares", "queries", "real"), figure("shares", "answers", "real"), 1e-4);
	ck_assert_double_lt(figure("shares", "prompts", "real"), 0);
	ck_assert_double_eq_tol(figure("calibration", "small", "labels"), 40, 1e-3);
	honest = figure("calibration", "large", "error");
	ck_assert_double_lt(honest, 0.35);
	ck_assert_double_lt(figure("calibration", "small", "error"), 0.35);
	close_book();
	open_book();
	ck_assert_double_lt(figure("calibration", "large", "error"), 0);
	ask_and_label(40, true);
	ck_assert_double_gt(figure("calibration", "large", "error"), honest + 0.1);
	ck_assert_double_ge(figure("calibration", "gain", "error"), 0);
}
END_TEST

/* What was never learned has not said anything that could come true. */
START_TEST(nothing_is_told_of_what_knows_nothing)
{
	struct err err;

	ask_and_label(5, false);
	ck_assert_int_eq(route_book_forget(book, &err), 0);
	ck_assert_double_lt(figure("shares", "answers", "n"), 0);
	ask_and_label(5, false);
	ck_assert_double_eq(figure("shares", "answers", "n"), 5);
	ck_assert_double_lt(figure("calibration", "small", "labels"), 0);
}
END_TEST

START_TEST(parts_are_forgotten_too)
{
	struct route_view before, after;
	struct err err;

	read_parts();
	route_book_part(book, &task.features, NULL, &wish, &before);
	ck_assert_int_eq(route_book_forget(book, &err), 0);
	route_book_part(book, &task.features, NULL, &wish, &after);
	ck_assert_float_ne(before.threshold, after.threshold);
	close_book();
	ck_assert_int_ne(access(lesson, F_OK), 0);
	open_book();
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("route book");
	TCase *t = tcase_create("knobs");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, parts_have_a_knob_of_their_own);
	tcase_add_test(t, a_file_of_before);
	tcase_add_test(t, the_last_training_is_undone);
	tcase_add_test(t, a_training_that_fails_leaves_no_rows);
	tcase_add_test(t, damage_of_rows_costs_what_it_hit);
	tcase_add_test(t, a_full_disk_takes_no_lesson);
	tcase_add_test(t, labels_that_come_while_it_is_trained);
	tcase_add_test(t, parts_are_forgotten_too);
	tcase_add_test(t, it_is_told_how_well_it_does);
	tcase_add_test(t, nothing_is_told_of_what_knows_nothing);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
