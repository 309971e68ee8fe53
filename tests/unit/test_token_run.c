/* Two models that write together: hearth-small by an engine of its own, hearth by groups of one to three
 * peers over loopback. The small model alone and the large one alone, to the token, and both; what
 * happens when one of them goes, when there is no room, and when the client leaves; whose rows are used. */
#include "daemon/token_run.h"

#include "daemon/log.h"
#include "tests/support/patience.h"
#include "tests/support/two_models.h"

#include <check.h>
#include <signal.h>
#include <sodium.h>
#include <stdlib.h>

static void
begin(uint32_t peers, uint32_t slots, uint32_t small_context)
{
	two_models_begin(peers - 1, slots, small_context);
}

static void
both(float threshold, unsigned command, const struct session_params *p, struct said *j)
{
	const struct token_params tp = {&small_model, &large_model, threshold, .client = 1};
	struct err err = {""};
	int status;

	memset(j, 0, sizeof *j);
	j->run = token_run_begin(
		&tp, make(&large_model, command, p), &said_events, j, &status, &err);
	ck_assert_msg(j->run != NULL, "%s", err.msg);
}

/* --- tests: whose text it is -------------------------------------------------------------------- */

START_TEST(the_ends_of_the_threshold)
{
	struct session_params p = greedy();
	struct said want, got;

	two_models_begin((size_t)_i, 4, CONTEXT);
	for (unsigned c = 0; c < COMMANDS; c++) {
		p.ignore_end = c % 2 == 0;
		alone(&small_model, c, &p, &want);
		both(0, c, &p, &got);
		wait_for(&g.loop, &got.ended, 1, "an answer with threshold 0");
		same(&got, &want);
		ck_assert_uint_eq(got.f.large + got.f.asked, 0);
		ck_assert_uint_eq(got.f.small, got.n);
		alone(&large_model, c, &p, &want);
		both(1, c, &p, &got);
		wait_for(&g.loop, &got.ended, 1, "an answer with threshold 1");
		same(&got, &want);
		ck_assert_uint_eq(got.f.small, 0);
		ck_assert_uint_eq(got.f.asked, got.n);
	}
	two_models_end();
}
END_TEST

/* The same with a seed: decided by the best tokens, by all of them now and then, and always by all. */
START_TEST(drawn_text_is_that_of_who_says_it)
{
	struct session_params p = greedy();
	struct said want, got;

	two_models_begin((size_t)_i, 4, CONTEXT);
	for (unsigned c = 0; c < 3 * COMMANDS; c++) {
		p.sampler = drawn(c);
		alone(&small_model, c % COMMANDS, &p, &want);
		both(0, c % COMMANDS, &p, &got);
		wait_for(&g.loop, &got.ended, 1, "an answer with threshold 0");
		same(&got, &want);
		alone(&large_model, c % COMMANDS, &p, &want);
		both(1, c % COMMANDS, &p, &got);
		wait_for(&g.loop, &got.ended, 1, "an answer with threshold 1");
		same(&got, &want);
	}
	two_models_end();
}
END_TEST

START_TEST(between_the_ends_both_write)
{
	struct session_params p = greedy();
	struct said got;
	uint32_t before = 0;

	begin(2, 4, CONTEXT);
	for (int i = 1; i < 4; i++) {
		static const float thresholds[] = {0, 0.3f, 0.8f, 0.999f};
		uint32_t large = 0;

		for (unsigned c = 0; c < COMMANDS; c++) {
			both(thresholds[i], c, &p, &got);
			wait_for(&g.loop, &got.ended, 1, "an answer of both");
			ck_assert_uint_eq(got.f.small + got.f.large, got.n);
			ck_assert_uint_eq(got.f.asked, got.f.large);
			ck_assert_uint_gt(got.f.small, 0);
			large += got.f.large;
		}
		ck_assert_uint_gt(large, before);
		before = large;
	}
	two_models_end();
}
END_TEST

START_TEST(stop_texts_and_bounds)
{
	static const char *const stops[] = {"\"area\":"};
	struct session_params p = greedy();
	struct said want, got;

	begin(1, 4, CONTEXT);
	for (uint32_t n = 1; n < 12; n++) {
		p.max_tokens = n;
		alone(&large_model, 1, &p, &want);
		both(1, 1, &p, &got);
		wait_for(&g.loop, &got.ended, 1, "a short answer");
		same(&got, &want);
		ck_assert_int_eq(got.end, SESSION_LENGTH);
	}
	p.max_tokens = UINT32_MAX;
	p.stops = stops;
	p.n_stops = 1;
	alone(&large_model, 1, &p, &want);
	ck_assert_int_eq(want.end, SESSION_STOP);
	both(1, 1, &p, &got);
	wait_for(&g.loop, &got.ended, 1, "an answer with a stop text");
	same(&got, &want);
	both(0.5f, 1, &p, &got);
	wait_for(&g.loop, &got.ended, 1, "an answer of both with a stop text");
	ck_assert_ptr_null(strstr(got.text, stops[0]));
	two_models_end();
}
END_TEST

START_TEST(the_context_runs_out)
{
	struct session_params p = greedy();
	struct said want, got;

	p.max_tokens = UINT32_MAX;
	begin(1, 4, CONTEXT);
	alone(&large_model, 0, &p, &want);
	ck_assert_int_eq(want.end, SESSION_CONTEXT);
	both(1, 0, &p, &got);
	wait_for(&g.loop, &got.ended, 1, "an answer to the context's end");
	same(&got, &want);
	two_models_end();
	/* The small model's is shorter: the large one says the rest. */
	begin(1, 4, 40);
	both(0, 0, &p, &got);
	wait_for(&g.loop, &got.ended, 1, "an answer of the small model beyond its context");
	ck_assert_int_eq(got.end, SESSION_CONTEXT);
	ck_assert_uint_gt(got.f.small, 0);
	ck_assert_uint_gt(got.f.large, 0);
	two_models_end();
}
END_TEST

/* --- tests: trouble ----------------------------------------------------------------------------- */

START_TEST(a_device_of_the_large_model_is_lost)
{
	struct session_params p = greedy();
	struct said want, got;

	p.max_tokens = 150;
	begin(3, 4, CONTEXT);
	alone(&large_model, 1, &p, &want);
	both(1, 1, &p, &got);
	wait_for(&g.loop, &got.texts, 2, "the first texts");
	lose_a_device();
	wait_for(&g.loop, &got.ended, 1, "the rest of the answer");
	same(&got, &want);
	two_models_end();
}
END_TEST

START_TEST(the_small_model_is_lost)
{
	struct session_params p = greedy();
	struct said got, other;

	p.max_tokens = 150;
	begin(1, 4, CONTEXT);
	both(0.999f, 1, &p, &got);
	both(0.5f, 2, &p, &other);
	wait_for(&g.loop, &got.texts, 2, "the first texts");
	desk_end_all(small.desk, 503, "the small model is being stopped");
	stop_small();
	wait_for(&g.loop, &got.ended, 1, "the rest of the answer");
	wait_for(&g.loop, &other.ended, 1, "the rest of the other answer");
	ck_assert(got.f.alone);
	ck_assert_uint_eq(got.n, 150);
	ck_assert_uint_eq(other.n, 150);
	two_models_end();
}
END_TEST

START_TEST(the_large_model_is_lost)
{
	struct session_params p = greedy();
	struct said got;

	p.max_tokens = 150;
	begin(1, 4, CONTEXT);
	both(0.999f, 1, &p, &got);
	wait_for(&g.loop, &got.texts, 2, "the first texts");
	desk_end_all(g.desk, 503, "another model is being loaded");
	stop_engine(0);
	wait_for(&g.loop, &got.failed, 1, "the error");
	ck_assert_int_eq(got.status, 503);
	ck_assert_uint_eq(got.ended, 0);
	wait_for(&g.loop, &g.stopped, g.to_stop, "engines to stop");
	two_models_end();
}
END_TEST

/* Wherever it stands: nothing is heard any more, and both have room again. */
START_TEST(the_client_leaves)
{
	struct session_params p = greedy();
	struct said got, next;

	p.max_tokens = 150;
	begin(2, 1, CONTEXT);
	for (unsigned i = 0; i < 8; i++) {
		both(i % 2 == 0 ? 0.999f : 0.5f, i % COMMANDS, &p, &got);
		if (i >= 2)
			wait_for(&g.loop, &got.texts, i / 2, "the first texts");
		token_run_cancel(got.run);
		got.texts = 0;
		wait_empty();
		ck_assert_uint_eq(got.texts + got.ended + got.failed, 0);
	}
	p.max_tokens = 8;
	both(0.5f, 0, &p, &next);
	wait_for(&g.loop, &next.ended, 1, "the next answer");
	two_models_end();
}
END_TEST

/* One place with each model, and answers of every kind: all come to an end, and are what they are alone. */
START_TEST(more_answers_than_places)
{
	struct session_params p = greedy();
	struct said want[COMMANDS], got[COMMANDS], mixed[COMMANDS], plain[COMMANDS];
	struct err err;
	int status;

	begin(2, 1, CONTEXT);
	for (unsigned c = 0; c < COMMANDS; c++)
		alone(&large_model, c, &p, &want[c]);
	for (unsigned c = 0; c < COMMANDS; c++) {
		both(1, c, &p, &got[c]);
		both(0.5f, c, &p, &mixed[c]);
		memset(&plain[c], 0, sizeof plain[c]);
		ck_assert_ptr_nonnull(desk_submit(g.desk, make(&large_model, c, &p), 2,
			&said_events, &plain[c], &status, &err));
	}
	for (unsigned c = 0; c < COMMANDS; c++) {
		wait_for(&g.loop, &got[c].ended, 1, "an answer with threshold 1");
		wait_for(&g.loop, &mixed[c].ended, 1, "an answer of both");
		wait_for(&g.loop, &plain[c].ended, 1, "an answer of the large model");
		same(&got[c], &want[c]);
		same(&plain[c], &want[c]);
	}
	two_models_end();
}
END_TEST

START_TEST(a_full_desk_is_said_at_once)
{
	const struct token_params tp = {&small_model, &large_model, 0.5f, .client = 1};
	struct session_params p = greedy();
	struct err err = {""};
	struct said j;
	int status = 0;

	begin(1, 4, CONTEXT);
	desk_limit(small.desk, CONTEXT, 0);
	ck_assert_ptr_null(
		token_run_begin(&tp, make(&large_model, 0, &p), &said_events, &j, &status, &err));
	ck_assert_int_eq(status, 429);
	wait_empty();
	two_models_end();
}
END_TEST

/* --- tests: whose rows are used ------------------------------------------------------------------ */

static uint64_t
steps(void)
{
	struct engine_stats st[2];

	engine_stats(g.engines[0], &st[0]);
	engine_stats(small.engine, &st[1]);
	return st[0].steps + st[1].steps;
}

/* Steps of an answer: each token takes one, and so does each part of a prompt that is computed. */
static uint64_t
steps_of(float threshold, const struct session_params *p)
{
	uint64_t before = steps();
	struct said got;

	both(threshold, 1, p, &got);
	wait_for(&g.loop, &got.ended, 1, "an answer");
	wait_empty();
	ck_assert_uint_eq(got.cached, 0); /* by whom, it could not say */
	return steps() - before;
}

START_TEST(prompts_are_computed_as_the_session_says)
{
	struct session_params p = greedy(), q = p;

	q.uncached = true;
	two_models_begin(0, 4, CONTEXT);
	for (int threshold = 0; threshold < 2; threshold++) {
		uint64_t first = steps_of((float)threshold, &p);

		ck_assert_uint_lt(steps_of((float)threshold, &p), first);
		ck_assert_uint_eq(steps_of((float)threshold, &q), first);
	}
	two_models_end();
}
END_TEST

/* --- tests: led requests by themselves ---------------------------------------------------------- */

struct led {
	struct request *request;
	unsigned rests, n;
	uint32_t id;
};

static void
on_choices(void *arg, const struct guide_choice *c, size_t n, bool rests)
{
	struct led *l = arg;

	l->n += (unsigned)n;
	l->id = c[n - 1].id;
	l->rests += rests;
}

/* One place: a led request that rests gives it up to one that waits, and goes on later as if nothing
 * had been. */
START_TEST(who_rests_makes_room)
{
	static const struct request_events led_events = {.on_choices = on_choices};
	const uint32_t prompt[] = {1, 2, 3, 4};
	struct guide_params gp = {
		.sampler = greedy().sampler, .context = CONTEXT, .ignore_end = true};
	struct guide_run run = {.keep = 4, .more = 20, .margin = -1};
	struct session_params p = greedy();
	struct led led = {0};
	struct said plain;
	struct err err;
	uint32_t id;
	int status;

	begin(1, 1, CONTEXT);
	led.request = desk_guide(g.desk, guide_new(m.tokenizer, &gp, prompt, 4, &err), 1,
		&led_events, &led, &status, &err);
	ck_assert_ptr_nonnull(led.request);
	ck_assert_int_eq(desk_lead(g.desk, led.request, &run, &err), 0);
	ck_assert_int_eq(desk_lead(g.desk, led.request, &run, &err), -1);
	wait_for(&g.loop, &led.rests, 1, "its choices");
	ck_assert_uint_eq(led.n, 21);
	id = led.id;
	alone(&large_model, 0, &p, &plain);
	run = (struct guide_run){.keep = 24, .margin = -1};
	ck_assert_int_eq(desk_lead(g.desk, led.request, &run, &err), 0);
	wait_for(&g.loop, &led.rests, 2, "its last choice again");
	ck_assert_uint_eq(led.id, id);
	desk_cancel(g.desk, led.request);
	wait_empty();
	two_models_end();
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("token_run");
	TCase *text = tcase_create("whose text"), *trouble = tcase_create("trouble");
	SRunner *r = srunner_create(s);
	int failed;

	signal(SIGPIPE, SIG_IGN);
	log_open(LOG_LEVEL_ERROR);
	if (sodium_init() < 0)
		return EXIT_FAILURE;
	tcase_add_checked_fixture(text, two_models_load, two_models_unload);
	tcase_set_timeout(text, 120);
	tcase_add_loop_test(text, the_ends_of_the_threshold, 0, LAYOUTS);
	tcase_add_loop_test(text, drawn_text_is_that_of_who_says_it, 0, LAYOUTS);
	tcase_add_test(text, between_the_ends_both_write);
	tcase_add_test(text, stop_texts_and_bounds);
	tcase_add_test(text, the_context_runs_out);
	tcase_add_test(text, prompts_are_computed_as_the_session_says);
	suite_add_tcase(s, text);
	tcase_add_checked_fixture(trouble, two_models_load, two_models_unload);
	tcase_set_timeout(trouble, 120);
	tcase_add_test(trouble, a_device_of_the_large_model_is_lost);
	tcase_add_test(trouble, the_small_model_is_lost);
	tcase_add_test(trouble, the_large_model_is_lost);
	tcase_add_test(trouble, the_client_leaves);
	tcase_add_test(trouble, more_answers_than_places);
	tcase_add_test(trouble, a_full_desk_is_said_at_once);
	tcase_add_test(trouble, who_rests_makes_room);
	suite_add_tcase(s, trouble);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
