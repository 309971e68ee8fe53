/* What engines tell of the tokens that they pick, beside the softmax of all logits, computed in one piece: alone, in
 * groups and in a pipeline, with tokens guessed ahead, and over the loss of a device. */
#include "model/generate.h"
#include "tests/support/engine_group.h"
#include "tests/support/shared_dir.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>

#define NEAR 1e-3

static struct local whole;

static void
setup(void)
{
	const struct local_options o = {
		.threads = 1, .threads_batch = 1, .context = 512, .kv = KV_F32};
	struct err err = {""};

	load();
	ck_assert_msg(local_open(&whole, shared_file("models/stories260K.gguf"), &o, &err) == 0,
		"%s", err.msg);
}

static void
teardown(void)
{
	local_close(&whole);
	unload();
}

static double
log_softmax(const float *logits, uint32_t id)
{
	double sum = 0;

	for (uint32_t i = 0; i < whole.shape.vocab; i++)
		sum += exp((double)logits[i] - (double)logits[id]);
	return -log(sum);
}

static void
check_token(const struct token_odds *o, const float *logits, uint32_t id)
{
	double all = 0;

	ck_assert_uint_eq(o->picked.id, id);
	ck_assert_double_eq_tol((double)o->picked.logp, log_softmax(logits, id), NEAR);
	ck_assert_uint_eq(o->n, ODDS_MOST);
	for (uint32_t i = 0; i < o->n; i++) {
		uint32_t better = 0;

		ck_assert_double_eq_tol(
			(double)o->best[i].logp, log_softmax(logits, o->best[i].id), NEAR);
		for (uint32_t k = 0; k < whole.shape.vocab; k++)
			better += (double)logits[k] > (double)logits[o->best[i].id] + NEAR;
		ck_assert_uint_le(better, i);
		all += exp((double)o->best[i].logp);
	}
	ck_assert_double_le(all, 1 + 1e-6);
}

/* Each token has its figures once, and they are those of the logits behind the ids before it. */
static void
check(const struct job *j, unsigned number)
{
	size_t n = m.cases[number].n_prompt;
	const float *logits = NULL;
	struct err err = {""};

	ck_assert_msg(j->ended == 1, "%s", j->what);
	ck_assert_uint_eq(j->n_odds, j->usage.new_tokens);
	ck_assert_int_eq(local_eval(&whole, 0, m.cases[number].prompt, n, 0, &logits, &err), 0);
	for (uint32_t i = 0; i < j->n_odds; i++) {
		check_token(&j->odds[i], logits, j->ids[i]);
		ck_assert_int_eq(
			local_eval(&whole, 0, &j->ids[i], 1, (uint32_t)n + i, &logits, &err), 0);
	}
}

enum { GREEDY, PREDICTED, PREDICTED_WRONG, DRAWN, PENALISED, ALL_WAYS };

static void
ask(struct job *j, unsigned number, int way)
{
	struct session_params p = greedy_params((uint32_t)m.cases[number].n_greedy);
	static uint32_t wrong[MAX_IDS];
	struct err err = {""};
	struct session *s;

	p.odds = true;
	p.n_odds = ODDS_MOST;
	if (way == PREDICTED || way == PREDICTED_WRONG) {
		p.prediction = m.cases[number].greedy;
		p.n_prediction = m.cases[number].n_greedy;
	}
	if (way == PREDICTED_WRONG) {
		memcpy(wrong, p.prediction, p.n_prediction * sizeof *wrong);
		for (size_t i = 3; i < p.n_prediction; i += 5)
			wrong[i] = 'x';
		p.prediction = wrong;
	}
	if (way == DRAWN || way == PENALISED) {
		p.sampler = sampler_defaults();
		p.sampler.temperature = 1.2f;
		p.sampler.seed = number;
	}
	if (way == PENALISED)
		p.sampler.repeat_penalty = 1.3f;
	s = session_new(m.tokenizer, &p, m.cases[number].prompt, m.cases[number].n_prompt, &err);
	ck_assert_msg(s != NULL, "%s", err.msg);
	ck_assert_int_eq(submit_session(j, s), 0);
}

static void
ask_all(void)
{
	static struct job jobs[N_CASES];
	uint32_t accepted = 0;

	for (int way = 0; way < ALL_WAYS; way++) {
		for (unsigned i = 0; i < N_CASES; i++)
			ask(&jobs[i], i, way);
		for (unsigned i = 0; i < N_CASES; i++)
			wait_for(&g.loop, &jobs[i].ended, 1, "an answer");
		for (unsigned i = 0; i < N_CASES; i++) {
			check(&jobs[i], i);
			if (way <= PREDICTED_WRONG)
				check_greedy(&jobs[i], i);
			accepted += way == PREDICTED ? jobs[i].usage.accepted : 0;
		}
	}
	ck_assert_uint_gt(accepted, 0);
}

START_TEST(of_a_group)
{
	group_init((uint32_t)_i, _i == 3 ? (const float[]){3, 1, 2} : NULL);
	group_start();
	ask_all();
	group_end();
}
END_TEST

START_TEST(of_a_pipeline)
{
	group_init_stages(2, (const uint32_t[]){1, 1}, WAY_STAR);
	group_start();
	ask_all();
	group_end();
}
END_TEST

/* Rows are computed again, but what was told is not told again. */
START_TEST(over_a_loss)
{
	static struct job j;

	group_init(2, NULL);
	g.config.guess = false;
	group_start();
	ask(&j, 0, GREEDY);
	wait_for(&g.loop, &j.texts, 3, "the first texts");
	stop_engine(1);
	wait_for(&g.loop, &g.broken[0], 1, "on_broken");
	stop_engine(0);
	wait_for(&g.loop, &g.stopped, g.to_stop, "engines to stop");
	start_alone();
	wait_for(&g.loop, &j.ended, 1, "the request");
	check(&j, 0);
	group_end();
}
END_TEST

int
main(void)
{
	int skip = engine_tests_begin("engine_odds"), failed;
	Suite *s = suite_create("engine_odds");
	TCase *tc = tcase_create("engine_odds");
	SRunner *r;

	if (skip != 0)
		return skip;
	tcase_set_timeout(tc, 120);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, of_a_group, 1, 4);
	tcase_add_test(tc, of_a_pipeline);
	tcase_add_test(tc, over_a_loss);
	suite_add_tcase(s, tc);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
