/* By which way sums go, and what that takes: the formulae, and where a prompt goes by rows. */
#include "tests/support/plan_swarm.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define GBIT       125e6 /* bytes a second */
#define MESH       (1u << SWARM_STAR | 1u << SWARM_DIRECT | 1u << SWARM_SCATTER)
#define SWARMS     100
#define HALVES     (2 * 22)
#define BLOCKS_ROW (2048 / 32 * 36.0)

static struct plan_swarm s;
static struct swarm_plan_result r, other;
static struct swarm_plan_alt given;

/* About a TinyLlama of 1.1 B on n equal devices: sums of 16 bits, all ways. */
static void
tiny(uint32_t n)
{
	swarm_init(&s, 22, 2048, 5632, 32, 4, 32000);
	for (uint32_t i = 0; i < n; i++)
		swarm_add(&s, "a", 3, 2000);
	s.in.row_bytes = 2 * 2048;
	s.in.ways = SWARM_ALL_WAYS;
}

static const struct swarm_plan_alt *
choose(struct swarm_plan_result *out)
{
	struct err err = {""};

	ck_assert_msg(swarm_plan_choose(&s.in, out, &err) == 0, "%s", err.msg);
	return &out->alts[out->best];
}

/* One group of all, with such shares (NULL: equal ones), as it runs. */
static const struct swarm_plan_alt *
predict(const float *shares, unsigned ways)
{
	struct slice slices[SLICE_MAX_PEERS];

	ck_assert_int_eq(slice_cut(&s.shape, shares, s.in.n, slices, NULL), 0);
	given.n_stages = 1;
	given.stages[0] = (struct swarm_plan_stage){.layers = s.shape.layers, .n = s.in.n};
	for (uint32_t i = 0; i < s.in.n; i++)
		given.members[i] = (struct swarm_plan_member){.peer = i, .slice = slices[i]};
	s.in.ways = ways;
	ck_assert_int_eq(swarm_plan_predict_given(&s.in, &given), 0);
	return &given;
}

static enum swarm_way
prompt_way(const float *shares)
{
	return predict(shares, SWARM_ALL_WAYS)->stages[0].prompt_way;
}

/* --- the formulae --- */

START_TEST(two_hops_of_the_largest_part)
{
	const uint32_t who[] = {0, 1, 2, 3};
	const double b = 256 * 4096, made = 256 * BLOCKS_ROW, more = 2 * 2 * 10e-6;
	struct swarm_plan_sum sum = {.bytes = b, .made = made, .largest = 0.25};

	tiny(4);
	ck_assert_double_eq_tol(swarm_plan_reduction(&s.in, SWARM_ROWS, who, 4, &sum),
		0.2e-3 + 3 * 0.25 * (b + made) / GBIT + 2 * more, 1e-12);
	ck_assert_double_eq_tol(swarm_plan_reduction(&s.in, SWARM_SCATTER, who, 4, &sum),
		0.2e-3 + 3 * 0.25 * 2 * b / GBIT + 2 * more, 1e-12);
	ck_assert_double_eq_tol(swarm_plan_reduction(&s.in, SWARM_DIRECT, who, 4, &sum),
		0.1e-3 + 3 * b / GBIT + more, 1e-12);
	sum.largest = 0.4;
	ck_assert_double_eq_tol(swarm_plan_reduction(&s.in, SWARM_ROWS, who, 4, &sum),
		0.2e-3 + 3 * 0.4 * (b + made) / GBIT + 2 * more, 1e-12);
	/* A slow link between two: what these send each other takes longer than all else. */
	swarm_link(&s, 2, 3, 0.4, 100);
	ck_assert_double_eq_tol(swarm_plan_reduction(&s.in, SWARM_ROWS, who, 4, &sum),
		0.4e-3 + 0.4 * (b + made) / (GBIT / 10) + 2 * more, 1e-12);
}
END_TEST

/* Of the 44 sums of a step 43 come back as blocks, one as floats. */
static double
by_rows_seconds(double rows, double largest)
{
	const uint32_t who[] = {0, 1, 2, 3};
	struct swarm_plan_sum sum = {.bytes = rows * 4096,
		.made = rows * ((HALVES - 1) * BLOCKS_ROW + 4 * 2048) / HALVES,
		.largest = largest};

	return swarm_plan_reduction(&s.in, SWARM_ROWS, who, 4, &sum);
}

/* Slices that are given: what a prompt takes by rows differs from what it takes directly by the two formulae. */
START_TEST(a_prompt_takes_what_its_slices_call_for)
{
	static const float shares[][4] = {{1, 1, 1, 1}, {5, 4, 4, 4}};
	const uint32_t who[] = {0, 1, 2, 3};
	struct swarm_plan_sum sum = {.bytes = 128 * 4096};
	double direct, rows, largest, token;

	tiny(4);
	s.in.batch = 128;
	direct = predict(shares[_i], 1u << SWARM_DIRECT)->prompt.total;
	token = given.token.total;
	ck_assert_int_eq(given.stages[0].prompt_way, SWARM_DIRECT);
	largest = given.members[0].slice.ffn / 5632.0;
	ck_assert_int_eq(largest > 0.25, _i > 0);
	rows = predict(shares[_i], 1u << SWARM_DIRECT | 1u << SWARM_ROWS)->prompt.total;
	ck_assert_int_eq(given.stages[0].prompt_way, SWARM_ROWS);
	ck_assert_double_eq(given.token.total, token);
	ck_assert_double_eq_tol(128 * (direct - rows),
		HALVES * (swarm_plan_reduction(&s.in, SWARM_DIRECT, who, 4, &sum) -
				 by_rows_seconds(128, largest)),
		1e-9);
}
END_TEST

/* --- where a prompt goes by rows --- */

START_TEST(ways_are_chosen_by_phase)
{
	const struct swarm_plan_alt *a;

	tiny(4);
	a = choose(&r);
	ck_assert_int_eq(a->kind, SWARM_TENSOR);
	ck_assert_int_eq(a->stages[0].token_way, SWARM_DIRECT);
	ck_assert_int_eq(a->stages[0].prompt_way, SWARM_ROWS);
	s.in.ways = MESH;
	a = choose(&r);
	ck_assert_int_eq(a->stages[0].token_way, SWARM_DIRECT);
	ck_assert_int_eq(a->stages[0].prompt_way, SWARM_SCATTER);
}
END_TEST

/* In one hop two devices need no more bytes of 8 bits than by rows in two. */
START_TEST(two_devices_do_not_wait_for_a_second_hop)
{
	tiny(2);
	ck_assert_int_eq(prompt_way(NULL), SWARM_ROWS);
	swarm_link(&s, 0, 1, 20, 1000);
	ck_assert_int_eq(prompt_way(NULL), SWARM_DIRECT);
	swarm_link(&s, 0, 1, 20, 10); /* but here bytes count more */
	ck_assert_int_eq(prompt_way(NULL), SWARM_ROWS);
	s.in.row_bytes = BLOCKS_ROW;
	swarm_link(&s, 0, 1, 0.5, 1000);
	ck_assert_int_eq(prompt_way(NULL), SWARM_ROWS);
	swarm_link(&s, 0, 1, 1.5, 1000);
	ck_assert_int_eq(prompt_way(NULL), SWARM_DIRECT);
}
END_TEST

/* Who has most of the columns would have most of the rows, and all others wait for it. */
START_TEST(uneven_devices_wait_for_the_largest_part)
{
	static const float shares[] = {9, 9, 4, 1};

	tiny(4);
	s.shape.kv_heads = 32;
	for (uint32_t i = 0; i < 4; i++)
		swarm_link_all(&s, i, 0.2, 100);
	ck_assert_int_eq(prompt_way(NULL), SWARM_ROWS);
	ck_assert_int_eq(prompt_way(shares), SWARM_SCATTER);
}
END_TEST

START_TEST(sums_of_prompts_have_bytes_of_their_own)
{
	double token, prompt;

	tiny(2);
	swarm_link(&s, 0, 1, 2, 10);
	token = predict(NULL, SWARM_ALL_WAYS)->token.network;
	prompt = given.prompt.network;
	s.in.prompt_row_bytes = BLOCKS_ROW;
	ck_assert_double_eq(predict(NULL, SWARM_ALL_WAYS)->token.network, token);
	ck_assert_double_lt(given.prompt.network, 0.8 * prompt);
	s.in.batch = 48; /* too few rows for it */
	prompt = predict(NULL, SWARM_ALL_WAYS)->prompt.network;
	s.in.prompt_row_bytes = 0;
	ck_assert_double_eq(predict(NULL, SWARM_ALL_WAYS)->prompt.network, prompt);
}
END_TEST

START_TEST(few_rows_do_not_go_by_rows)
{
	tiny(4);
	s.in.batch = 48;
	ck_assert_int_ne(prompt_way(NULL), SWARM_ROWS);
	s.in.batch = 64;
	ck_assert_int_eq(prompt_way(NULL), SWARM_ROWS);
	s.in.prompt = 40;
	ck_assert_int_ne(prompt_way(NULL), SWARM_ROWS);
}
END_TEST

/* Of many sessions' tokens a step may have as many rows as a prompt's. */
START_TEST(tokens_never_go_by_rows)
{
	tiny(4);
	s.in.sessions = 100;
	ck_assert_int_eq(predict(NULL, SWARM_ALL_WAYS)->stages[0].token_way, SWARM_SCATTER);
	ck_assert_int_eq(given.stages[0].prompt_way, SWARM_ROWS);
}
END_TEST

START_TEST(not_every_model_goes_by_rows)
{
	tiny(4);
	swarm_mixture(&s, 8, 2);
	ck_assert_int_ne(prompt_way(NULL), SWARM_ROWS);
	ck_assert_int_ne(choose(&r)->stages[0].prompt_way, SWARM_ROWS);
	tiny(4); /* weights that are read in floats */
	plan_model_from_shape(&s.shape, 2, KV_F16, 1, 512, &s.model);
	ck_assert_int_ne(prompt_way(NULL), SWARM_ROWS);
	tiny(4); /* blocks do not fill its rows */
	s.shape.embd = 2048 + 16;
	ck_assert_int_ne(prompt_way(NULL), SWARM_ROWS);
}
END_TEST

/* Where there are more members than KV heads, or one of them is too slow for any, some have none. */
START_TEST(all_must_have_heads)
{
	static const float shares[] = {10, 10, 10, 1};
	const struct swarm_plan_alt *a;

	tiny(4);
	ck_assert_int_ne(prompt_way(shares), SWARM_ROWS);
	ck_assert_uint_eq(given.members[3].slice.kv_heads, 0);
	s.in.members = 4;
	s.peers[3].read_bps /= 10;
	s.peers[3].macs_ps /= 10;
	a = choose(&r);
	ck_assert_uint_eq(a->members[3].slice.kv_heads, 0);
	ck_assert_int_ne(a->stages[0].prompt_way, SWARM_ROWS);
	tiny(6);
	s.in.members = 6;
	ck_assert_int_ne(choose(&r)->stages[0].prompt_way, SWARM_ROWS);
}
END_TEST

/* --- what it decides --- */

/* Two devices take half the time of one to compute a prompt. Over this link sums take the other half, and more, where
 * all of them travel, but not by rows. */
START_TEST(a_second_device_may_be_worth_its_bytes)
{
	tiny(0);
	swarm_add(&s, "a", 10, 2000);
	swarm_add(&s, "b", 10, 2000);
	swarm_link(&s, 0, 1, 0.2, 800);
	s.in.batch = 256;
	s.in.prompt_ratio = 1000;
	s.in.kinds = 1u << SWARM_ONE | 1u << SWARM_TENSOR;
	ck_assert_uint_eq(choose(&r)->n, 2);
	s.in.ways = MESH;
	ck_assert_uint_eq(choose(&r)->n, 1);
}
END_TEST

/* What is planned for tokens alone is the same, whatever prompts do. */
START_TEST(tokens_take_what_they_took)
{
	uint32_t by_rows = 0;

	for (uint32_t seed = 1; seed <= SWARMS; seed++) {
		struct err err = {""};

		swarm_random(&s, seed, 8);
		s.in.prompt_ratio = 0;
		s.in.ways = MESH;
		if (swarm_plan_choose(&s.in, &r, &err) != 0)
			continue;
		s.in.ways = SWARM_ALL_WAYS;
		choose(&other);
		ck_assert_uint_eq(r.n_alts, other.n_alts);
		ck_assert_uint_eq(r.best, other.best);
		for (uint32_t i = 0; i < r.n_alts; i++) {
			const struct swarm_plan_alt *a = &r.alts[i], *b = &other.alts[i];

			ck_assert_double_eq(a->token.total, b->token.total);
			ck_assert_double_eq(a->period, b->period);
			for (uint32_t k = 0; k < b->n_stages; k++)
				by_rows += b->stages[k].prompt_way == SWARM_ROWS;
		}
	}
	ck_assert_uint_gt(by_rows, SWARMS / 2);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("plan, ways of sums");
	TCase *t = tcase_create("ways");
	SRunner *runner;
	int failed;

	tcase_add_test(t, two_hops_of_the_largest_part);
	tcase_add_loop_test(t, a_prompt_takes_what_its_slices_call_for, 0, 2);
	tcase_add_test(t, ways_are_chosen_by_phase);
	tcase_add_test(t, two_devices_do_not_wait_for_a_second_hop);
	tcase_add_test(t, uneven_devices_wait_for_the_largest_part);
	tcase_add_test(t, sums_of_prompts_have_bytes_of_their_own);
	tcase_add_test(t, few_rows_do_not_go_by_rows);
	tcase_add_test(t, tokens_never_go_by_rows);
	tcase_add_test(t, not_every_model_goes_by_rows);
	tcase_add_test(t, all_must_have_heads);
	tcase_add_test(t, a_second_device_may_be_worth_its_bytes);
	tcase_add_test(t, tokens_take_what_they_took);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
