/* The engine alone and in groups that are linked over loopback, each engine on its own thread:
 * greedy paths against ../shared/reference, and what happens when a member goes, a request is
 * cancelled, or too many come. */
#include "daemon/desk_int.h"
#include "tests/support/engine_group.h"
#include "tests/support/patience.h"

#include <check.h>
#include <stdlib.h>

static void
check_group_with(
	enum overlap_mode overlap, uint32_t n, const float *shares, enum collective_way way)
{
	struct job jobs[N_CASES];
	struct engine_stats st;

	group_init(n, shares);
	group_link_members(way);
	g.config.overlap = overlap;
	group_start();
	run_all_cases(jobs);
	for (unsigned i = 0; i < N_CASES; i++)
		check_greedy(&jobs[i], i);
	engine_stats(g.engines[0], &st);
	ck_assert_uint_eq(st.running + desk_requests(g.desk), 0);
	ck_assert_uint_eq(st.new_tokens, N_CASES * m.cases[0].n_greedy);
	ck_assert_int_eq(st.sent_bytes > 0, n > 1);
	if (overlap == OVERLAP_ON)
		ck_assert_uint_gt(st.divided, 0);
	ck_assert_int_eq(st.received_bytes > 0, n > 1);
	group_end();
	for (uint32_t i = 0; i < n; i++)
		ck_assert_uint_eq(g.broken[i], 0);
}

static void
check_group(uint32_t n, const float *shares, enum collective_way way)
{
	check_group_with(OVERLAP_AUTO, n, shares, way);
}

/* --- tests: the same ids whatever the group ----------------------------------------------------- */

START_TEST(alone)
{
	check_group(1, NULL, WAY_STAR);
}
END_TEST

START_TEST(groups_with_equal_shares)
{
	check_group(_i == WAY_SCATTER ? 3 : 2, NULL, (enum collective_way)_i);
}
END_TEST

START_TEST(groups_with_uneven_shares)
{
	/* Someone is left without heads. */
	check_group(4, (const float[]){1, 5, 1, 1}, (enum collective_way)_i);
	if (_i == WAY_STAR)
		check_group(3, (const float[]){3, 1, 2}, WAY_STAR);
}
END_TEST

START_TEST(groups_with_divided_steps)
{
	enum collective_way way = (enum collective_way)_i;

	check_group_with(OVERLAP_ON, way == WAY_SCATTER ? 3 : 2, NULL, way);
	check_group_with(OVERLAP_ON, 4, (const float[]){1, 5, 1, 1}, way);
}
END_TEST

START_TEST(a_large_group)
{
	check_group(MAX_PEERS, (const float[]){1, 2, 3, 1, 2, 3, 1, 2}, WAY_AUTO);
}
END_TEST

/* One slot: who asks once does not wait behind all of who asks three times. */
START_TEST(clients_take_turns)
{
	struct job jobs[N_CASES];

	group_init(1, NULL);
	g.config.slots = 1;
	for (unsigned i = 0; i < N_CASES; i++) {
		submit_client = i < N_CASES - 1 ? 1 : 2;
		ck_assert_int_eq(submit(&jobs[i], i, (uint32_t)m.cases[i].n_greedy), 0);
	}
	submit_client = 0;
	group_start(); /* all are there when the first is begun */
	for (unsigned i = 0; i < N_CASES; i++)
		while (!jobs[i].ended && !jobs[i].failed)
			uv_run(&g.loop, UV_RUN_ONCE);
	for (unsigned i = 0; i < N_CASES; i++)
		check_greedy(&jobs[i], i);
	ck_assert_uint_lt(jobs[N_CASES - 1].place, jobs[1].place);
	ck_assert_uint_lt(jobs[1].place, jobs[2].place);
	group_end();
}
END_TEST

/* How much of a prompt was there, of the case's, whose; the answer is the same. */
static uint32_t
cached(unsigned number, uint64_t client)
{
	struct job j;

	submit_client = client;
	ck_assert_int_eq(submit(&j, number, (uint32_t)m.cases[number].n_greedy), 0);
	submit_client = 0;
	wait_for(&g.loop, &j.ended, 1, "an answer");
	check_greedy(&j, number);
	return j.usage.cached;
}

START_TEST(prompts_are_cached_for_their_client)
{
	uint32_t all = (uint32_t)m.cases[0].n_prompt - 1; /* the last id says what comes next */

	group_init(2, NULL);
	group_start();
	ck_assert_uint_eq(cached(0, 1), 0);
	ck_assert_uint_eq(cached(0, 1), all);
	ck_assert_uint_eq(cached(0, 2), 0);
	ck_assert_uint_eq(cached(0, 1), all);
	ck_assert_uint_eq(cached(0, 2), all);
	group_end();
}
END_TEST

START_TEST(more_requests_than_slots)
{
	struct job jobs[N_CASES];

	group_init(2, NULL);
	g.config.slots = 1;
	g.config.max_rows = 3;
	group_start();
	run_all_cases(jobs);
	for (unsigned i = 0; i < N_CASES; i++)
		check_greedy(&jobs[i], i);
	ck_assert(jobs[3].usage.queue_seconds > jobs[0].usage.queue_seconds);
	group_end();
}
END_TEST

START_TEST(narrow_payloads)
{
	const enum frame_format formats[] = {FRAME_F16, FRAME_Q8};

	for (unsigned i = 0; i < 4; i++) {
		struct job jobs[N_CASES];
		uint64_t sent;
		struct engine_stats st;

		group_init(3, NULL);
		group_link_members(i < 2 ? WAY_STAR : WAY_AUTO);
		g.config.payload = (struct sum_format){formats[i % 2], formats[i % 2]};
		group_start();
		run_all_cases(jobs);
		for (unsigned k = 0; k < N_CASES; k++) {
			ck_assert_msg(jobs[k].ended == 1, "%s", jobs[k].what);
			ck_assert_uint_eq(jobs[k].ids[0], m.cases[k].greedy[0]);
			ck_assert_uint_eq(jobs[k].usage.new_tokens, m.cases[k].n_greedy);
		}
		engine_stats(g.engines[0], &st);
		sent = st.sent_bytes;
		ck_assert_uint_gt(sent, 0);
		group_end();
	}
}
END_TEST

/* Sums that are rounded on their way have the same bits when steps are divided: not even a close call goes another
 * way. */
START_TEST(narrow_payloads_of_divided_steps)
{
	enum frame_format format = _i % 2 == 0 ? FRAME_F16 : FRAME_Q8;
	struct job jobs[2][N_CASES];

	for (unsigned divided = 0; divided < 2; divided++) {
		group_init(3, NULL);
		group_link_members((enum collective_way)(_i / 2));
		g.config.payload = (struct sum_format){format, format};
		g.config.overlap = divided ? OVERLAP_ON : OVERLAP_OFF;
		group_start();
		run_all_cases(jobs[divided]);
		group_end();
	}
	for (unsigned i = 0; i < N_CASES; i++) {
		ck_assert_uint_eq(jobs[1][i].usage.new_tokens, m.cases[i].n_greedy);
		ck_assert_mem_eq(jobs[0][i].ids, jobs[1][i].ids,
			m.cases[i].n_greedy * sizeof *jobs[0][i].ids);
	}
}
END_TEST

static void
sampled(uint32_t n, const float *shares, struct job jobs[], unsigned n_jobs)
{
	group_init(n, shares);
	group_start();
	run_sampled(jobs, n_jobs);
	group_end();
}

/* What a plan is compared with: steps of one row, and what computing them takes. */
START_TEST(steps_of_one_row_are_timed)
{
	uint32_t n = (uint32_t)_i, steps = (uint32_t)m.cases[0].n_greedy - 1;
	struct job j;

	group_init(n, NULL);
	g.config.guess = false;
	group_start();
	ck_assert_int_eq(submit(&j, 0, steps + 1), 0);
	wait_for(&g.loop, &j.ended, 1, "an answer");
	for (uint32_t i = 0; i < n; i++) {
		struct engine_stats st = {0};
		uint64_t since = 0;

		/* A member's figures are there a moment after its answer. */
		do
			engine_stats(g.engines[i], &st);
		while (st.pace.steps < steps && wait_more(&since));
		ck_assert_uint_eq(st.pace.steps, steps); /* the prompt is no such step */
		ck_assert_double_gt(st.pace.compute, 0);
		if (n == 1)
			ck_assert_double_eq(st.pace.compute, st.pace.seconds);
		else
			ck_assert_double_lt(st.pace.compute, st.pace.seconds);
		ck_assert_double_le(st.pace.seconds - st.pace.compute, st.reduce_seconds + 1e-9);
	}
	group_end();
}
END_TEST

START_TEST(samples_are_the_same_alone_and_in_groups)
{
	enum { N = 16 };
	static struct job single[N], group[N];

	sampled(1, NULL, single, N);
	for (uint32_t n = 2; n <= 3; n++) {
		sampled(n, n == 3 ? (const float[]){3, 1, 2} : NULL, group, N);
		for (unsigned i = 0; i < N; i++) {
			ck_assert_msg(group[i].ended == 1, "%s", group[i].what);
			ck_assert_uint_eq(group[i].usage.new_tokens, N_SAMPLED);
			ck_assert_msg(memcmp(group[i].ids, single[i].ids, 4 * N_SAMPLED) == 0,
				"%u peers, job %u: other tokens than alone", n, i);
		}
	}
}
END_TEST

/* --- tests: trouble ----------------------------------------------------------------------------- */

/* Whatever is lost: what a request's ids are in the end. */
START_TEST(member_lost_during_the_answer)
{
	struct job running, waiting, late;
	unsigned texts;

	group_init(3, NULL);
	g.config.slots = 1;
	group_start();
	ck_assert_int_eq(submit(&running, 0, (uint32_t)m.cases[0].n_greedy), 0);
	ck_assert_int_eq(submit(&waiting, 1, (uint32_t)m.cases[1].n_greedy), 0);
	wait_for(&g.loop, &running.texts, 3, "the first texts");
	stop_engine(2);
	wait_for(&g.loop, &g.broken[0], 1, "on_broken");
	ck_assert_ptr_nonnull(strstr(g.why, "member-2 was lost"));
	ck_assert_ptr_null(strstr(g.why, "did not answer")); /* its end was seen, not its silence */
	wait_for(&g.loop, &g.broken[1], 1, "the other member to hear of it");
	ck_assert_int_eq(submit(&late, 2, (uint32_t)m.cases[2].n_greedy), 0);
	ck_assert_uint_eq(desk_requests(g.desk), 3);
	texts = running.texts;
	stop_engine(0);
	stop_engine(1);
	wait_for(&g.loop, &g.stopped, g.to_stop, "engines to stop");
	start_alone();
	wait_for(&g.loop, &running.ended, 1, "the request that ran");
	ck_assert_uint_gt(running.texts, texts);
	wait_for(&g.loop, &waiting.ended, 1, "the request that waited");
	wait_for(&g.loop, &late.ended, 1, "the request that came without a group");
	check_greedy(&running, 0);
	check_greedy(&waiting, 1);
	check_greedy(&late, 2);
	group_end();
	ck_assert_uint_eq(g.broken[0], 1);
}
END_TEST

START_TEST(a_request_that_gets_nowhere_is_given_up)
{
	struct job j;

	group_init(1, NULL);
	ck_assert_int_eq(submit(&j, 0, 100), 0);
	for (unsigned i = 0; i < DESK_MAX_TRIES; i++) {
		struct request *r = desk_take(g.desk);

		ck_assert_msg(r != NULL, "gone after %u times", i);
		r->started = 1;
		r->next = NULL;
		desk_give_back(g.desk, r, 502, "member-1 was lost during the answer");
	}
	ck_assert_ptr_null(desk_take(g.desk));
	wait_for(&g.loop, &j.failed, 1, "the error");
	ck_assert_int_eq(j.status, 502);
	ck_assert_ptr_nonnull(strstr(j.what, "member-1"));
	group_end();
}
END_TEST

START_TEST(requests_without_an_engine_can_be_cancelled)
{
	struct job jobs[3];

	group_init(1, NULL);
	for (unsigned i = 0; i < 3; i++)
		ck_assert_int_eq(submit(&jobs[i], i, (uint32_t)m.cases[i].n_greedy), 0);
	desk_cancel(g.desk, jobs[1].request);
	uv_run(&g.loop, UV_RUN_NOWAIT);
	ck_assert_uint_eq(desk_requests(g.desk), 2);
	start_engine(0);
	wait_for(&g.loop, &jobs[0].ended, 1, "the first");
	wait_for(&g.loop, &jobs[2].ended, 1, "the third");
	check_greedy(&jobs[0], 0);
	check_greedy(&jobs[2], 2);
	ck_assert_uint_eq(jobs[1].texts + jobs[1].ended + jobs[1].failed, 0);
	group_end();
}
END_TEST

/* Each of the others hears of it from the lost one's link and from each other, in any order. */
START_TEST(member_lost_among_linked_members)
{
	for (unsigned round = 0; round < 2; round++) {
		struct job running;

		group_init(4, NULL);
		group_link_members(round == 0 ? WAY_DIRECT : WAY_SCATTER);
		group_start();
		ck_assert_int_eq(submit(&running, 0, 500), 0);
		wait_for(&g.loop, &running.texts, 3, "the first texts");
		stop_engine(2);
		wait_for(&g.loop, &g.broken[0], 1, "on_broken");
		ck_assert_str_eq(g.who, "member-2");
		ck_assert_msg(strstr(g.why, "member-2 was lost") != NULL, "%s", g.why);
		ck_assert_uint_eq(running.ended + running.failed, 0);
		wait_for(&g.loop, &g.broken[1], 1, "a member to hear of it");
		wait_for(&g.loop, &g.broken[3], 1, "the other one to hear of it");
		desk_end_all(g.desk, 503, "the test ends");
		group_end();
	}
}
END_TEST

START_TEST(member_lost_while_idle)
{
	group_init(2, NULL);
	group_start();
	stop_engine(1);
	wait_for(&g.loop, &g.broken[0], 1, "on_broken");
	ck_assert_ptr_nonnull(strstr(g.why, "member-1 was lost"));
	group_end();
}
END_TEST

START_TEST(a_cancelled_request_frees_its_slot)
{
	struct job cancelled, waiting, next;
	struct engine_stats st;

	group_init(2, NULL);
	g.config.slots = 1;
	group_start();
	ck_assert_int_eq(submit(&cancelled, 0, 500), 0);
	cancelled.cancel_at_text = true;
	ck_assert_int_eq(submit(&waiting, 1, 5), 0);
	desk_cancel(g.desk, waiting.request); /* before it ever ran */
	ck_assert_int_eq(submit(&next, 2, (uint32_t)m.cases[2].n_greedy), 0);
	wait_for(&g.loop, &next.ended, 1, "the request after the cancelled one");
	check_greedy(&next, 2);
	ck_assert_uint_eq(cancelled.texts, 1);
	ck_assert_uint_eq(cancelled.ended + cancelled.failed, 0);
	ck_assert_uint_eq(waiting.texts + waiting.ended + waiting.failed, 0);
	engine_stats(g.engines[0], &st);
	ck_assert_uint_eq(st.running + desk_requests(g.desk), 0);
	group_end();
}
END_TEST

/* Where it stands, with all that it has written; and one that no engine has taken yet, with nothing. */
START_TEST(a_stopped_request_ends)
{
	struct job stopped, waiting, next;
	struct engine_stats st;

	group_init(2, NULL);
	g.config.slots = 1;
	group_start();
	ck_assert_int_eq(submit(&stopped, 0, 500), 0);
	stopped.stop_at_text = true;
	ck_assert_int_eq(submit(&waiting, 1, 5), 0);
	desk_stop(g.desk, waiting.request);
	ck_assert_int_eq(submit(&next, 2, (uint32_t)m.cases[2].n_greedy), 0);
	wait_for(&g.loop, &next.ended, 1, "the request after the stopped one");
	check_greedy(&next, 2);
	ck_assert_uint_eq(stopped.ended, 1);
	ck_assert_int_eq(stopped.end, SESSION_STOP);
	ck_assert_uint_ge(stopped.usage.new_tokens, stopped.texts);
	ck_assert_uint_lt(stopped.usage.new_tokens, 100); /* of 500 */
	ck_assert_uint_eq(waiting.ended, 1);
	ck_assert_int_eq(waiting.end, SESSION_STOP);
	ck_assert_uint_eq(waiting.usage.new_tokens + waiting.texts, 0);
	engine_stats(g.engines[0], &st);
	ck_assert_uint_eq(st.running + desk_requests(g.desk), 0);
	ck_assert_uint_eq(st.new_tokens, stopped.usage.new_tokens + next.usage.new_tokens);
	group_end();
}
END_TEST

/* What an answer had said when it was submitted, after a restart, was not said here, but computed as its prompt. */
START_TEST(an_answer_goes_on)
{
	const size_t n_greedy = m.cases[0].n_greedy, n_said = n_greedy / 2;
	struct session_params p = greedy_params((uint32_t)n_greedy);
	struct buf text = {0};
	struct engine_stats st;
	struct session *s;
	struct err err;
	struct job j;

	group_init(1, NULL);
	group_start();
	s = session_new(m.tokenizer, &p, m.cases[0].prompt, m.cases[0].n_prompt, &err);
	for (size_t i = 0; i < n_said; i++)
		session_repeat(s, m.cases[0].greedy[i], &text);
	ck_assert_int_eq(submit_session(&j, s), 0);
	wait_for(&g.loop, &j.ended, 1, "the rest of an answer");
	check_greedy(&j, 0);
	ck_assert_uint_eq(j.usage.new_tokens, n_greedy);
	engine_stats(g.engines[0], &st);
	ck_assert_uint_eq(st.prompt_tokens, m.cases[0].n_prompt);
	ck_assert_uint_eq(st.computed_tokens, m.cases[0].n_prompt + n_said);
	ck_assert_uint_eq(st.new_tokens, n_greedy - n_said);
	group_end();
	buf_free(&text);
}
END_TEST

START_TEST(a_full_queue_says_429)
{
	struct job jobs[3], more;

	group_init(1, NULL);
	g.config.slots = 1;
	desk_limit(g.desk, 512, 3);
	group_start();
	for (unsigned i = 0; i < 3; i++)
		ck_assert_int_eq(submit(&jobs[i], i, 20), 0);
	ck_assert_int_eq(submit(&more, 3, 20), 429);
	ck_assert_ptr_nonnull(strstr(more.what, "3 requests"));
	for (unsigned i = 0; i < 3; i++)
		wait_for(&g.loop, &jobs[i].ended, 1, "the requests that got in");
	ck_assert_int_eq(submit(&more, 3, 20), 0);
	wait_for(&g.loop, &more.ended, 1, "a request after the crowd");
	group_end();
}
END_TEST

START_TEST(stopping_ends_requests_with_an_error)
{
	struct job running, waiting;

	group_init(2, NULL);
	g.config.slots = 1;
	group_start();
	ck_assert_int_eq(submit(&running, 0, 500), 0);
	ck_assert_int_eq(submit(&waiting, 1, 500), 0);
	wait_for(&g.loop, &running.texts, 1, "the first text");
	desk_end_all(g.desk, 503, "the test ends");
	stop_engine(0);
	wait_for(&g.loop, &running.failed, 1, "the error");
	wait_for(&g.loop, &waiting.failed, 1, "the other error");
	ck_assert_int_eq(running.status, 503);
	ck_assert_ptr_nonnull(strstr(running.what, "the test ends"));
	ck_assert_int_eq(waiting.status, 503);
	group_end();
	ck_assert_uint_eq(running.ended, 0);
}
END_TEST

START_TEST(what_does_not_fit_is_refused)
{
	struct engine_config c;
	struct err err = {""};
	struct job j;

	group_init(1, NULL);
	desk_limit(g.desk, 4, 1); /* shorter than the prompt */
	group_start();
	ck_assert_int_eq(submit(&j, 0, 5), 400);
	ck_assert_ptr_nonnull(strstr(j.what, "context of 4"));
	c = g.config;
	c.slots = 0;
	c.weights = weights_from_gguf(m.gguf, &m.shape, &g.slices[0], true, &err);
	ck_assert_ptr_null(engine_new(&g.loop, &c, &err));
	ck_assert_ptr_nonnull(strstr(err.msg, "room"));
	group_end();
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("engine");
	SRunner *r = srunner_create(s);
	int failed = engine_tests_begin("engine");
	TCase *same = tcase_create("the same ids"), *trouble = tcase_create("trouble");

	if (failed != 0)
		return failed;
	tcase_add_checked_fixture(same, load, unload);
	tcase_set_timeout(same, 120);
	tcase_add_test(same, alone);
	tcase_add_loop_test(same, groups_with_equal_shares, 0, WAYS);
	tcase_add_loop_test(same, groups_with_uneven_shares, 0, WAYS);
	tcase_add_loop_test(same, groups_with_divided_steps, 0, WAYS);
	tcase_add_test(same, a_large_group);
	tcase_add_test(same, clients_take_turns);
	tcase_add_test(same, more_requests_than_slots);
	tcase_add_test(same, prompts_are_cached_for_their_client);
	tcase_add_test(same, narrow_payloads);
	tcase_add_loop_test(same, narrow_payloads_of_divided_steps, 0, 2 * WAYS);
	tcase_add_loop_test(same, steps_of_one_row_are_timed, 1, 4);
	tcase_add_test(same, samples_are_the_same_alone_and_in_groups);
	suite_add_tcase(s, same);
	tcase_add_checked_fixture(trouble, load, unload);
	tcase_set_timeout(trouble, 120);
	tcase_add_test(trouble, member_lost_during_the_answer);
	tcase_add_test(trouble, a_request_that_gets_nowhere_is_given_up);
	tcase_add_test(trouble, requests_without_an_engine_can_be_cancelled);
	tcase_add_test(trouble, member_lost_among_linked_members);
	tcase_add_test(trouble, member_lost_while_idle);
	tcase_add_test(trouble, a_cancelled_request_frees_its_slot);
	tcase_add_test(trouble, a_stopped_request_ends);
	tcase_add_test(trouble, an_answer_goes_on);
	tcase_add_test(trouble, a_full_queue_says_429);
	tcase_add_test(trouble, stopping_ends_requests_with_an_error);
	tcase_add_test(trouble, what_does_not_fit_is_refused);
	suite_add_tcase(s, trouble);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
