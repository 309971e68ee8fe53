/* The small model drafts for requests of the large one: alone, in groups and in pipelines the text stays what it is
 * without, to the token, greedy and drawn; in less steps; also when the small model is slow, full, short, or goes, when a
 * device of the large one goes, and when the client leaves. */
#include "daemon/drafter.h"

#include "daemon/desk_int.h"
#include "daemon/log.h"
#include "sched/token_mode.h"
#include "tests/support/patience.h"
#include "tests/support/two_models.h"

#include <check.h>
#include <signal.h>
#include <sodium.h>
#include <stdlib.h>

static struct drafter drafter;
static bool has_small;

static const struct served_model *
small_now(void *arg, struct err *why)
{
	(void)arg;
	err_set(why, "there is none");
	return has_small ? &small_model : NULL;
}

static const struct served_model *
large_now(void *arg, struct err *why)
{
	(void)arg, (void)why;
	return &large_model;
}

static void
let_draft(void)
{
	has_small = true;
	drafter = (struct drafter){.small = small_now, .large = large_now};
	drafter_attach(&drafter, g.desk);
}

static void
begin(size_t layout, uint32_t slots, uint32_t small_context)
{
	two_models_begin(layout, slots, small_context);
	let_draft();
}

/* Without anything that is guessed, and with. */
static struct session_params
without(uint32_t tokens)
{
	struct session_params p = greedy();

	p.max_tokens = tokens;
	return p;
}

static struct session_params
with(const struct session_params *p)
{
	struct session_params q = *p;

	q.max_guesses = UINT32_MAX;
	return q;
}

/* Returns what it says with guesses. */
static struct said
compare(unsigned command, const struct session_params *p)
{
	struct session_params q = with(p);
	struct said want, got;

	alone(&large_model, command, p, &want);
	ck_assert_uint_eq(want.drafted, 0);
	alone(&large_model, command, &q, &got);
	same(&got, &want);
	ck_assert_uint_le(got.accepted, got.drafted);
	return got;
}

/* --- tests: whose text it is -------------------------------------------------------------------- */

START_TEST(drafts_are_right_and_save_steps)
{
	struct session_params p = without(NEW);
	uint32_t accepted = 0, tokens = 0;
	struct engine_stats a, b;

	begin((size_t)_i, 4, CONTEXT);
	engine_stats(g.engines[0], &a);
	for (unsigned c = 0; c < COMMANDS; c++) {
		struct said got;

		p.ignore_end = c % 2 == 0;
		got = compare(c, &p);
		accepted += got.accepted;
		tokens += got.n;
	}
	engine_stats(g.engines[0], &b);
	/* These two agree on most of what they say. How much is drafted hangs on how fast the machine is just now. */
	ck_assert_uint_gt(accepted, COMMANDS);
	ck_assert_uint_gt(b.accepted, a.accepted);
	ck_assert_uint_lt(b.steps - a.steps, 2 * tokens);
	two_models_end();
}
END_TEST

START_TEST(drawn_text_is_the_same)
{
	struct session_params p = without(NEW);

	begin((size_t)_i, 4, CONTEXT);
	for (unsigned c = 0; c < 3 * COMMANDS; c++) {
		p.sampler = drawn(c);
		compare(c % COMMANDS, &p);
	}
	two_models_end();
}
END_TEST

START_TEST(bounds_and_stop_texts)
{
	static const char *const stops[] = {"\"area\":"};
	struct session_params p = without(1);

	begin(0, 4, CONTEXT);
	for (p.max_tokens = 1; p.max_tokens < 12; p.max_tokens++)
		compare(1, &p);
	p.max_tokens = UINT32_MAX;
	ck_assert_int_eq(compare(0, &p).end, SESSION_CONTEXT);
	p.stops = stops;
	p.n_stops = 1;
	ck_assert_int_eq(compare(1, &p).end, SESSION_STOP);
	two_models_end();
}
END_TEST

START_TEST(several_at_once)
{
	struct session_params p = without(NEW), q = with(&p);
	struct said want[COMMANDS], got[COMMANDS];

	begin((size_t)_i, 2, CONTEXT);
	for (unsigned c = 0; c < COMMANDS; c++)
		alone(&large_model, c, &p, &want[c]);
	for (unsigned c = 0; c < COMMANDS; c++)
		alone_begin(&large_model, c, &q, &got[c]);
	for (unsigned c = 0; c < COMMANDS; c++) {
		wait_for(&g.loop, &got[c].ended, 1, "an answer among others");
		same(&got[c], &want[c]);
	}
	two_models_end();
}
END_TEST

/* Sums of two rows go another way here than those of one, and so round elsewhere. */
START_TEST(rounded_sums_go_as_without)
{
	static const uint32_t sizes[2][2] = {{3, 1}, {1, 3}};
	struct session_params p = without(NEW), q = with(&p);
	struct said want, got;

	group_init_stages(2, sizes[_i], WAY_ROWS);
	g.config.payload = (struct sum_format){FRAME_F16, FRAME_F16};
	for (uint32_t i = 0; i < g.n; i++)
		g.config.row_shares[i] = 1;
	two_models_start(4, CONTEXT);
	let_draft();
	for (unsigned c = 0; c < COMMANDS; c++) {
		alone(&large_model, c, &p, &want);
		alone(&large_model, c, &q, &got);
		same(&got, &want);
		ck_assert_uint_eq(got.drafted, 0);
	}
	two_models_end();
}
END_TEST

/* --- tests: whose rows are used ------------------------------------------------------------------ */

/* Steps of the small model for a draft of one token behind a prompt, whose request waits. */
static uint64_t
steps_of_a_draft(const struct session_params *p)
{
	struct engine_stats before, after;
	struct desk_draft draft;
	struct said got;
	size_t n;
	const uint32_t *ids;
	uint64_t since = 0;

	engine_stats(small.engine, &before);
	alone_begin(&large_model, 1, p, &got);
	ids = request_ids(got.request, &n);
	got.request->draft.asked = true;
	g.desk->drafter.draft(got.request->draft.drafter, ids, n, 1);
	while (!desk_take_draft(g.desk, got.request, &draft)) {
		ck_assert(wait_more(&since));
		uv_run(&g.loop, UV_RUN_NOWAIT);
	}
	ck_assert_uint_eq(draft.n, 1);
	desk_cancel(g.desk, got.request);
	wait_empty();
	engine_stats(small.engine, &after);
	return after.steps - before.steps;
}

START_TEST(prompts_are_computed_as_the_session_says)
{
	struct session_params p = without(NEW), q = with(&p);
	uint64_t first;

	begin(0, 4, CONTEXT);
	stop_engine(0);
	wait_for(&g.loop, &g.stopped, g.to_stop, "the large model's engine to stop");
	first = steps_of_a_draft(&q);
	ck_assert_uint_gt(first, 1);
	ck_assert_uint_eq(steps_of_a_draft(&q), 1);
	q.uncached = true;
	ck_assert_uint_eq(steps_of_a_draft(&q), first);
	two_models_end();
}
END_TEST

/* --- tests: who gets none ----------------------------------------------------------------------- */

START_TEST(some_get_none)
{
	struct session_params p = without(NEW), q = with(&p);
	struct said got;

	begin(0, 4, CONTEXT);
	has_small = false;
	compare(1, &p);
	has_small = true;
	alone(&small_model, 1, &q, &got); /* on a desk without a drafter */
	p.signals = true;
	compare(1, &p);
	two_models_end();
}
END_TEST

START_TEST(the_small_models_context_is_shorter)
{
	struct session_params p = without(UINT32_MAX);

	begin(0, 4, 40);
	compare(0, &p);
	compare(1, &p); /* a longer prompt */
	two_models_end();
}
END_TEST

START_TEST(a_full_desk_drafts_nothing)
{
	struct session_params p = without(NEW);

	begin(0, 4, CONTEXT);
	desk_limit(small.desk, CONTEXT, 0);
	compare(1, &p);
	two_models_end();
}
END_TEST

/* Else what is led would keep the places that they wait for. */
START_TEST(those_who_wait_for_the_small_model_go_first)
{
	struct session_params p = without(NEW), q = with(&p);
	struct said want, got, waits;

	begin((size_t)_i, 4, CONTEXT);
	stop_small();
	alone(&large_model, 1, &p, &want);
	alone_begin(&small_model, 0, &p, &waits);
	alone_begin(&large_model, 1, &q, &got);
	wait_for(&g.loop, &got.texts, 2, "the first texts");
	ck_assert_uint_eq(desk_requests(small.desk), 1);
	wait_for(&g.loop, &got.ended, 1, "the answer");
	same(&got, &want);
	desk_cancel(small.desk, waits.request);
	two_models_end();
}
END_TEST

START_TEST(the_small_model_is_gone_before_it_is_asked)
{
	struct session_params p = without(NEW), q = with(&p);
	struct said want, got;

	begin((size_t)_i, 4, CONTEXT);
	alone(&large_model, 1, &p, &want);
	alone_begin(&large_model, 1, &q, &got);
	has_small = false;
	wait_for(&g.loop, &got.texts, 2, "the first texts");
	ck_assert_uint_eq(desk_requests(small.desk), 0);
	wait_for(&g.loop, &got.ended, 1, "the answer");
	same(&got, &want);
	two_models_end();
}
END_TEST

/* One drafter that answers the first request at once, and the other one later. */
static struct {
	struct request *first, *second;
	uv_timer_t timer;
	uint64_t asked, steps;
} uneven;

static void
answer_second(uv_timer_t *t)
{
	struct engine_stats st;

	(void)t;
	engine_stats(g.engines[0], &st);
	uneven.steps += st.steps - uneven.asked;
	desk_drafted(g.desk, uneven.second, (uint32_t[]){0}, 1);
}

static void *
begin_uneven(void *arg, struct desk *d, struct request *r, const struct session *s, uint64_t client)
{
	(void)arg, (void)d, (void)s, (void)client;
	*(uneven.first == NULL ? &uneven.first : &uneven.second) = r;
	return r;
}

static void
draft_uneven(void *draft, const uint32_t *ids, size_t n, uint32_t most)
{
	struct engine_stats st;

	(void)ids, (void)n, (void)most;
	if (draft == uneven.first) {
		desk_drafted(g.desk, draft, (uint32_t[]){0}, 1);
		return;
	}
	engine_stats(g.engines[0], &st);
	uneven.asked = st.steps;
	uv_timer_start(&uneven.timer, answer_second, 20, 0);
}

static void
end_uneven(void *draft)
{
	if (draft == uneven.second)
		uv_timer_stop(&uneven.timer);
}

/* Else each would have steps of its own, twice as many. */
START_TEST(two_that_draft_share_their_steps)
{
	static const struct desk_drafter d = {begin_uneven, draft_uneven, end_uneven, NULL};
	struct session_params p = without(12), q = with(&p);
	struct said want, got[2];

	two_models_begin((size_t)_i, 4, CONTEXT);
	memset(&uneven, 0, sizeof uneven);
	uv_timer_init(&g.loop, &uneven.timer);
	alone(&large_model, 1, &p, &want);
	desk_set_drafter(g.desk, &d);
	q.max_tokens = 150;
	alone_begin(&large_model, 0, &q, &got[0]);
	q.max_tokens = 12;
	alone_begin(&large_model, 1, &q, &got[1]);
	wait_for(&g.loop, &got[1].ended, 1, "the shorter answer");
	same(&got[1], &want);
	ck_assert_uint_le(
		uneven.steps, 12); /* of one row without a draft in between, now and then */
	uv_close((uv_handle_t *)&uneven.timer, NULL);
	wait_for(&g.loop, &got[0].ended, 1, "the longer answer");
	two_models_end();
}
END_TEST

static void
count_ids(void *arg, const uint32_t *ids, size_t n, const struct usage *so_far)
{
	struct said *j = arg;

	(void)ids, (void)so_far;
	j->n += (uint32_t)n;
}

/* A draft that never comes, and a prompt of many steps: who writes is in all of them. */
START_TEST(a_prompt_does_not_wait_for_drafts_nor_they_for_it)
{
	struct session_params p = without(150), q = with(&p);
	struct request_events events = said_events;
	struct said got = {0}, other = {0};
	struct err err = {""};
	uint32_t ids[200];
	int status;

	begin((size_t)_i, 4, CONTEXT);
	stop_small();
	for (unsigned i = 0; i < 200; i++)
		ids[i] = 3 + i;
	p.context = CONTEXT;
	p.max_tokens = 2;
	events.on_ids = count_ids;
	ck_assert_ptr_nonnull(
		desk_submit(g.desk, make(&large_model, 1, &q), 1, &events, &got, &status, &err));
	ck_assert_ptr_nonnull(desk_submit(g.desk, session_new(m.tokenizer, &p, ids, 200, &err), 2,
		&said_events, &other, &status, &err));
	wait_for(&g.loop, &other.texts, 1, "the other's first text");
	ck_assert_uint_ge(got.n, 6);
	wait_for(&g.loop, &got.ended, 1, "the answer");
	two_models_end();
}
END_TEST

/* --- tests: trouble ----------------------------------------------------------------------------- */

/* Nobody computes the draft: the first one is waited for only so long, and later ones not at all. */
START_TEST(a_draft_that_never_comes_is_not_waited_for)
{
	struct session_params p = without(NEW);

	begin((size_t)_i, 4, CONTEXT);
	stop_small();
	compare(1, &p);
	two_models_end();
}
END_TEST

/* Nor where the engine's loop was turned so long ago that the time to wait is over before it sleeps. */
START_TEST(a_draft_that_never_comes_is_not_slept_for)
{
	struct session_params p = without(NEW), q = with(&p);
	struct said got;

	begin((size_t)_i, 4, CONTEXT);
	stop_small();
	alone_begin(&large_model, 1, &q, &got);
	uv_mutex_lock(&g.desk->lock); /* it takes the request, or gives its first text, and stops */
	uv_sleep((unsigned)(1000 * TOKEN_PATIENCE) + 200);
	uv_mutex_unlock(&g.desk->lock);
	wait_for(&g.loop, &got.ended, 1, "the answer");
	two_models_end();
}
END_TEST

START_TEST(the_small_model_is_lost)
{
	struct session_params p = without(150), q = with(&p);
	struct said want, got;

	begin((size_t)_i, 4, CONTEXT);
	alone(&large_model, 1, &p, &want);
	alone_begin(&large_model, 1, &q, &got);
	wait_for(&g.loop, &got.texts, 2, "the first texts");
	desk_end_all(small.desk, 503, "the small model is being stopped");
	stop_small();
	wait_for(&g.loop, &got.ended, 1, "the rest of the answer");
	same(&got, &want);
	two_models_end();
}
END_TEST

START_TEST(a_device_of_the_large_model_is_lost)
{
	struct session_params p = without(150), q = with(&p);
	struct said want, got;

	begin(2, 4, CONTEXT);
	alone(&large_model, 1, &p, &want);
	alone_begin(&large_model, 1, &q, &got);
	wait_for(&g.loop, &got.texts, 2, "the first texts");
	lose_a_device();
	wait_for(&g.loop, &got.ended, 1, "the rest of the answer");
	same(&got, &want);
	two_models_end();
}
END_TEST

/* Wherever it stands: nothing is heard any more, and both have room again. */
START_TEST(the_client_leaves)
{
	struct session_params p = without(150), q = with(&p);
	struct said got;
	unsigned ended;

	begin((size_t)_i, 1, CONTEXT);
	for (unsigned i = 0; i < 8; i++) {
		alone_begin(&large_model, i % COMMANDS, &q, &got);
		if (i >= 2)
			wait_for(&g.loop, &got.texts, i / 2, "the first texts");
		ended = got.ended; /* while this thread had no turn, all may have come */
		if (ended == 0)
			desk_cancel(g.desk, got.request);
		got.texts = 0;
		wait_empty();
		ck_assert_uint_eq(got.texts + got.failed, 0);
		ck_assert_uint_eq(got.ended, ended);
	}
	q.max_tokens = 8;
	alone(&large_model, 0, &q, &got);
	two_models_end();
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("drafter");
	TCase *text = tcase_create("whose text"), *none = tcase_create("none"),
	      *trouble = tcase_create("trouble"), *cases[] = {text, none, trouble};
	SRunner *r = srunner_create(s);
	int failed;

	signal(SIGPIPE, SIG_IGN);
	log_open(LOG_LEVEL_ERROR);
	if (sodium_init() < 0)
		return EXIT_FAILURE;
	for (unsigned i = 0; i < 3; i++) {
		tcase_add_checked_fixture(cases[i], two_models_load, two_models_unload);
		tcase_set_timeout(cases[i], 120);
		suite_add_tcase(s, cases[i]);
	}
	tcase_add_loop_test(text, drafts_are_right_and_save_steps, 0, LAYOUTS);
	tcase_add_loop_test(text, drawn_text_is_the_same, 0, LAYOUTS);
	tcase_add_loop_test(text, rounded_sums_go_as_without, 0, 2);
	tcase_add_test(text, bounds_and_stop_texts);
	tcase_add_loop_test(text, several_at_once, 0, LAYOUTS);
	tcase_add_test(text, prompts_are_computed_as_the_session_says);
	tcase_add_test(none, some_get_none);
	tcase_add_test(none, the_small_models_context_is_shorter);
	tcase_add_test(none, a_full_desk_drafts_nothing);
	tcase_add_loop_test(none, two_that_draft_share_their_steps, 0, 3);
	tcase_add_loop_test(none, those_who_wait_for_the_small_model_go_first, 0, LAYOUTS);
	tcase_add_loop_test(none, the_small_model_is_gone_before_it_is_asked, 0, LAYOUTS);
	tcase_add_loop_test(none, a_prompt_does_not_wait_for_drafts_nor_they_for_it, 0, LAYOUTS);
	tcase_add_loop_test(trouble, a_draft_that_never_comes_is_not_waited_for, 0, LAYOUTS);
	tcase_add_loop_test(
		trouble, a_draft_that_never_comes_is_not_slept_for, 0, LAYOUTS_ONE_STAGE);
	tcase_add_loop_test(trouble, the_small_model_is_lost, 0, LAYOUTS);
	tcase_add_test(trouble, a_device_of_the_large_model_is_lost);
	tcase_add_loop_test(trouble, the_client_leaves, 0, LAYOUTS);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
