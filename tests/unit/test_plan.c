/* The planner on swarms whose best plan is known beforehand. */
#include "tests/support/plan_swarm.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static struct plan_swarm s;
static struct swarm_plan_result r;

/* About a TinyLlama of 1.1 B: 620 MB. */
static void
tiny(void)
{
	swarm_init(&s, 22, 2048, 5632, 32, 4, 32000);
}

static const struct swarm_plan_alt *
choose(void)
{
	struct err err = {""};

	ck_assert_msg(swarm_plan_choose(&s.in, &r, &err) == 0, "%s", err.msg);
	ck_assert_uint_gt(r.n_alts, 0);
	ck_assert_uint_lt(r.best, r.n_alts);
	return &r.alts[r.best];
}

/* What is said of a device that is left out; of one that is not, nothing. */
static const struct swarm_plan_spare *
spare(uint32_t peer)
{
	static const struct swarm_plan_spare none;

	for (uint32_t i = 0; i < r.n_spares; i++)
		if (r.spares[i].peer == peer)
			return &r.spares[i];
	return &none;
}

static bool
takes_part(const struct swarm_plan_alt *a, uint32_t peer)
{
	for (uint32_t i = 0; i < a->n; i++)
		if (a->members[i].peer == peer)
			return true;
	return false;
}

/* --- one device, and equal ones --- */

START_TEST(alone_it_does_all)
{
	const struct swarm_plan_alt *a;

	tiny();
	swarm_add(&s, "a", 10, 2000);
	a = choose();
	ck_assert_int_eq(a->kind, SWARM_ONE);
	ck_assert(a->today && !a->streams);
	ck_assert_uint_eq(a->members[0].slice.kv_heads, 4);
	ck_assert_uint_eq(a->members[0].slice.ffn, 5632);
	ck_assert_uint_eq(a->members[0].slice.vocab, 32000);
	/* 22 layers of (2 x 2048 x 2048 + 2 x 2048 x 256 + 3 x 2048 x 5632) and the head, 18/32
	 * bytes each, at 10 GB/s. */
	ck_assert_double_eq_tol(a->token.total,
		(22.0 * (2 * 2048 * 2048 + 2 * 2048 * 256 + 3 * 2048 * 5632) + 2048.0 * 32000) *
			Q4_0 / 10e9,
		1e-9);
	ck_assert_double_eq(a->token.network, 0);
}
END_TEST

/* A link that takes no time to speak of. */
static void
beside_each_other(void)
{
	for (uint32_t i = 0; i < s.in.n; i++)
		swarm_link_all(&s, i, 1e-6, 1e9);
	s.in.message_s = 0;
}

START_TEST(two_equal_ones_share_evenly)
{
	const struct swarm_plan_alt *a;

	tiny();
	swarm_add(&s, "a", 3, 2000);
	swarm_add(&s, "b", 3, 2000);
	beside_each_other();
	a = choose();
	ck_assert_int_eq(a->kind, SWARM_TENSOR);
	ck_assert(a->today);
	for (int i = 0; i < 2; i++) {
		ck_assert_uint_eq(a->members[i].slice.kv_heads, 2);
		ck_assert_uint_eq(a->members[i].slice.ffn, 2816);
		ck_assert_uint_le(abs((int)a->members[i].slice.vocab - 16000), 10);
	}
}
END_TEST

/* While a sum travels to a member and its part back, the hub computes: it gets more, so that both
 * are done together, and the time is the formula's. */
START_TEST(the_hub_computes_while_sums_travel)
{
	const struct swarm_plan_alt *a;
	double delay, last, col = 3 * 2048 * Q4_0 / 3e9,
			    head = 2048 * (2 * 8 + 2) * 64 * Q4_0 / 3e9;
	double row = 2048 * Q4_0 / 3e9, total = 0;
	const struct slice *hub, *other;

	tiny();
	swarm_add(&s, "a", 3, 2000);
	swarm_add(&s, "b", 3, 2000);
	s.in.message_s = 0;
	a = choose();
	hub = &a->members[0].slice;
	other = &a->members[1].slice;
	/* 8192 bytes there and back at 125 MB/s, and 0.2 ms; then half a sum's way and the logits'. */
	delay = 0.2e-3 + 2 * 8192 / 125e6;
	last = delay / 2 + 0.1e-3;
	ck_assert_double_eq_tol(hub->ffn * col, other->ffn * col + delay, 32 * col);
	total += 22 * fmax(hub->kv_heads * head, other->kv_heads * head + delay);
	total += 22 * fmax(hub->ffn * col, other->ffn * col + delay);
	total += fmax(hub->vocab * row, other->vocab * (row + 4 / 125e6) + last);
	ck_assert_double_eq_tol(a->token.total, total + 44 / 125e6, 1e-9); /* the step's header */
}
END_TEST

/* --- uneven ones --- */

START_TEST(shares_follow_speed)
{
	const struct swarm_plan_alt *a;

	tiny();
	swarm_add(&s, "fast", 3, 2000);
	swarm_add(&s, "slow", 1, 2000);
	beside_each_other();
	a = choose();
	ck_assert_uint_eq(a->n, 2);
	ck_assert_uint_eq(a->members[0].slice.kv_heads, 3);
	ck_assert_uint_eq(a->members[0].slice.ffn, 4224);
	ck_assert_uint_le(abs((int)a->members[0].slice.vocab - 24000), 10);
	ck_assert_double_eq_tol(a->members[0].compute_s, a->members[1].compute_s, 1e-6);
}
END_TEST

START_TEST(memory_bounds_shares_and_the_rest_flows_over)
{
	const struct swarm_plan_alt *a;
	double share0;

	tiny();
	swarm_add(&s, "fast, small", 6, 120);
	swarm_add(&s, "b", 2, 600);
	swarm_add(&s, "c", 2, 600);
	s.in.today_only = true; /* the first one is the hub */
	s.in.members = 3;
	a = choose();
	ck_assert(!a->streams);
	share0 = a->members[0].share;
	ck_assert_uint_le(a->members[0].held, 120000000);
	ck_assert_uint_ge(a->members[0].held, 118000000); /* and it is used */
	ck_assert_double_lt(share0, 0.2);                 /* 0.6 by speed */
	ck_assert_double_eq_tol(a->members[1].share, a->members[2].share, 0.01);
}
END_TEST

START_TEST(more_members_than_kv_heads)
{
	const struct swarm_plan_alt *a;
	uint32_t without = 0, heads = 0, cols = 0;

	tiny();
	for (int i = 0; i < 6; i++)
		swarm_add(&s, "pi", 0.5, 300);
	a = choose();
	ck_assert_int_eq(a->kind, SWARM_TENSOR);
	ck_assert_uint_eq(a->n, 6);
	for (uint32_t i = 0; i < 6; i++) {
		without += a->members[i].slice.kv_heads == 0;
		heads += a->members[i].slice.kv_heads;
		cols += a->members[i].slice.ffn;
		ck_assert_uint_gt(a->members[i].slice.ffn, 0);
	}
	ck_assert_uint_eq(without, 2);
	ck_assert_uint_eq(heads, 4);
	ck_assert_uint_eq(cols, 5632);
}
END_TEST

/* --- who is left out --- */

START_TEST(one_behind_a_slow_link_is_left_out_and_told_why)
{
	const struct swarm_plan_alt *a;

	tiny();
	swarm_add(&s, "nuc", 10, 2000);
	swarm_add(&s, "pi-desk", 9, 2000);
	swarm_add(&s, "pi-attic", 9, 2000);
	swarm_link_all(&s, 2, 10, 1000);
	a = choose();
	ck_assert(takes_part(a, 0) && takes_part(a, 1) && !takes_part(a, 2));
	ck_assert_double_gt(spare(2)->with_s, a->token.total);
	ck_assert_msg(strstr(spare(2)->why, "round trip of 10 ms") != NULL, "%s", spare(2)->why);
	ck_assert_msg(
		strstr(spare(2)->why, "with it a token would take") != NULL, "%s", spare(2)->why);
}
END_TEST

START_TEST(on_wifi_one_device_is_best)
{
	const struct swarm_plan_alt *a;

	tiny();
	swarm_add(&s, "laptop", 20, 2000);
	swarm_add(&s, "phone", 10, 2000);
	swarm_link_all(&s, 0, 5, 100);
	a = choose();
	ck_assert_int_eq(a->kind, SWARM_ONE);
	ck_assert_uint_eq(a->members[0].peer, 0);
}
END_TEST

START_TEST(jitter_counts)
{
	tiny();
	swarm_add(&s, "a", 5, 2000);
	swarm_add(&s, "b", 5, 2000);
	swarm_add(&s, "c", 5, 2000);
	ck_assert_uint_eq(choose()->n, 3);
	s.links[2].rtt99 = 20e-3;
	s.links[1 * 3 + 2].rtt99 = 20e-3;
	ck_assert_uint_eq(choose()->n, 2);
	ck_assert_msg(strstr(spare(2)->why, "up to 20 ms") != NULL, "%s", spare(2)->why);
}
END_TEST

/* Rows of a prompt are as many bytes as those of as many tokens, and take less time to compute. */
START_TEST(prompts_may_be_why_one_is_left_out)
{
	tiny();
	swarm_add(&s, "a", 10, 2000);
	swarm_add(&s, "b", 10, 2000);
	s.peers[0].macs_ps = s.peers[1].macs_ps = 500e9;
	swarm_link_all(&s, 1, 0.2, 300);
	s.in.prompt_ratio = 1;
	ck_assert_uint_eq(choose()->n, 1);
	ck_assert_double_lt(spare(1)->with_s, r.alts[r.best].period);
	ck_assert_msg(strstr(spare(1)->why, ", but one of a prompt ") != NULL &&
			      strstr(spare(1)->why, "only 300 Mbit/s") != NULL,
		"%s", spare(1)->why);
}
END_TEST

START_TEST(a_gain_too_small_is_not_worth_a_device)
{
	tiny();
	swarm_add(&s, "big", 50, 2000);
	swarm_add(&s, "tiny", 0.4, 2000);
	s.links[1] = (struct swarm_plan_link){1e-6, 1e-6, 1e10};
	s.in.message_s = 0;
	ck_assert_uint_eq(choose()->n, 1);
	ck_assert_msg(strstr(spare(1)->why, "too little gain") != NULL, "%s", spare(1)->why);
}
END_TEST

START_TEST(those_not_usable_keep_their_reason)
{
	tiny();
	swarm_add(&s, "a", 5, 2000);
	swarm_add(&s, "b", 5, 2000)->usable = false;
	snprintf(s.peers[1].why, sizeof s.peers[1].why, "it is away");
	ck_assert_uint_eq(choose()->n, 1);
	ck_assert_str_eq(spare(1)->why, "it is away");
}
END_TEST

/* --- stages --- */

START_TEST(pipeline_where_memory_needs_both_and_the_link_is_slow)
{
	const struct swarm_plan_alt *a;
	double halved;

	tiny();
	swarm_add(&s, "a", 10, 500);
	swarm_add(&s, "b", 10, 500);
	swarm_link_all(&s, 0, 5, 100);
	a = choose();
	ck_assert_int_eq(a->kind, SWARM_PIPELINE);
	ck_assert_uint_eq(a->stages[0].layers + a->stages[1].layers, 22);
	ck_assert_uint_eq(a->stages[1].layer0, a->stages[0].layers);
	for (uint32_t i = 0; i < 2; i++) {
		ck_assert_uint_eq(a->members[i].slice.layer0, a->stages[i].layer0);
		ck_assert_uint_eq(a->members[i].slice.layers, a->stages[i].layers);
	}
	s.in.today_only = true; /* the coordinator has the first stage */
	a = choose();
	ck_assert_int_eq(a->kind, SWARM_PIPELINE);
	ck_assert(a->today);
	ck_assert_uint_eq(a->members[0].peer, 0);
	/* Between stages rows may be longer than they are in the sums of one. */
	s.in.row_bytes = 2.0 * s.in.model->shape->embd;
	halved = choose()->token.total;
	s.in.staged_row_bytes = 4.0 * s.in.model->shape->embd;
	ck_assert_double_gt(choose()->token.total, halved);
	s.in.kinds = 1u << SWARM_TENSOR;
	halved = choose()->token.total;
	s.in.staged_row_bytes = 0;
	ck_assert_double_eq(choose()->token.total, halved);
	s.in.kinds = 1u << SWARM_ONE | 1u << SWARM_TENSOR;
	ck_assert_int_eq(choose()->kind, SWARM_TENSOR);
}
END_TEST

/* 40 % of a CPU: a little less than 40 % of the columns, as messages wait for the CPU too. */
START_TEST(who_is_held_back_gets_a_little_less)
{
	uint32_t columns;

	swarm_init(&s, 22, 2048, 5632, 32, 4, 32000);
	swarm_add(&s, "a", 15, 2000);
	swarm_add(&s, "b", 6, 2000);
	s.in.ways = 1u << SWARM_DIRECT;
	s.in.kinds = 1u << SWARM_TENSOR;
	for (uint32_t i = 0; i < 2; i++)
		swarm_plan_fixed_seconds(&s.peers[i], 1);
	columns = choose()->members[1].slice.ffn;
	swarm_plan_fixed_seconds(&s.peers[1], 0.4);
	ck_assert_uint_lt(choose()->members[1].slice.ffn, columns);
	ck_assert_uint_gt(choose()->members[1].slice.ffn, columns - columns / 10);
	swarm_plan_fixed_seconds(&s.peers[1], 1e-9);
	ck_assert_double_lt(s.peers[1].layer_s + s.peers[1].sums_s, 0.01);
	swarm_plan_fixed_seconds(&s.peers[1], 0);
	ck_assert_double_eq(s.peers[1].layer_s, s.peers[0].layer_s);
	ck_assert_double_eq(s.peers[1].sums_s, 0);
}
END_TEST

/* Alone it has no sums to wait for: only what it computes takes longer. */
START_TEST(who_is_held_back_alone_exchanges_nothing)
{
	double free_s, held_s, layer_s;

	swarm_init(&s, 22, 2048, 5632, 32, 4, 32000);
	swarm_add(&s, "a", 6, 2000);
	s.in.kinds = 1u << SWARM_ONE;
	swarm_plan_fixed_seconds(&s.peers[0], 1);
	layer_s = s.peers[0].layer_s;
	free_s = choose()->token.total;
	swarm_plan_fixed_seconds(&s.peers[0], 0.4);
	held_s = choose()->token.total;
	ck_assert_double_gt(s.peers[0].sums_s, 0);
	ck_assert_double_eq_tol(held_s - free_s, 22 * 1.5 * layer_s, 1e-9);
}
END_TEST

START_TEST(groups_where_two_rooms_are_far_apart)
{
	const struct swarm_plan_alt *a;

	swarm_init(&s, 32, 4096, 14336, 32, 8, 128000); /* 4.3 GB */
	for (int i = 0; i < 4; i++)
		swarm_add(&s, "pi", 8, 1600);
	for (uint32_t i = 0; i < 2; i++)
		for (uint32_t k = 2; k < 4; k++)
			swarm_link(&s, i, k, 8, 1000);
	s.in.logit_bytes = 0;
	s.in.candidates_bytes = 520;
	s.in.today_only = true;
	a = choose();
	ck_assert_int_eq(a->kind, SWARM_GROUPS);
	ck_assert_uint_eq(a->n_stages, 2);
	ck_assert_uint_eq(a->members[0].peer, 0);
	ck_assert_uint_eq(a->members[1].peer, 1);
}
END_TEST

START_TEST(sessions_fill_a_pipeline)
{
	double one;

	tiny();
	for (int i = 0; i < 4; i++)
		swarm_add(&s, "a", 10, 2000);
	for (uint32_t i = 0; i < 4; i++)
		swarm_link_all(&s, i, 2, 100);
	one = choose()->tokens_ps;
	s.in.sessions = 32;
	ck_assert_int_eq(choose()->kind, SWARM_PIPELINE);
	ck_assert_double_gt(r.alts[r.best].tokens_ps, 3 * one);
}
END_TEST

/* --- streaming --- */

START_TEST(what_does_not_fit_streams)
{
	const struct swarm_plan_alt *a;

	tiny();
	swarm_add(&s, "a", 10, 400)->disk_bps = 1e9;
	a = choose();
	ck_assert(a->streams && a->today);
	ck_assert_uint_le(a->members[0].held, 400000000);
	ck_assert_uint_gt(a->members[0].streamed, 200000000);
	ck_assert_double_eq_tol(
		a->token.total, fmax(a->token.compute, (double)a->members[0].streamed / 1e9), 1e-9);
}
END_TEST

START_TEST(disks_are_shared_by_their_speed)
{
	const struct swarm_plan_alt *a;

	tiny();
	swarm_add(&s, "ssd", 10, 200)->disk_bps = 2e9;
	swarm_add(&s, "card", 10, 200)->disk_bps = 5e7;
	s.in.members = 2;
	s.in.kinds = 1u << SWARM_TENSOR;
	a = choose();
	ck_assert(a->streams);
	ck_assert_double_gt(a->members[0].share, a->members[1].share * 1.5);
	ck_assert_double_lt((double)a->members[1].streamed / 5e7, a->token.total * 1.05);
}
END_TEST

START_TEST(nothing_fits)
{
	struct err err = {""};

	tiny();
	swarm_add(&s, "a", 10, 30);
	ck_assert_int_eq(swarm_plan_choose(&s.in, &r, &err), -1);
	ck_assert_msg(strstr(err.msg, "do not fit") != NULL, "%s", err.msg);
}
END_TEST

/* --- steering --- */

START_TEST(steering)
{
	struct err err = {""};
	const struct swarm_plan_alt *a;

	tiny();
	swarm_add(&s, "a", 10, 2000);
	swarm_add(&s, "b", 10, 2000);
	swarm_add(&s, "far", 1, 2000);
	swarm_link_all(&s, 2, 10, 100);
	s.peers[2].wanted = true;
	ck_assert(takes_part(choose(), 2));
	s.peers[2].wanted = false;
	s.in.kinds = 1u << SWARM_PIPELINE;
	ck_assert_int_eq(choose()->kind, SWARM_PIPELINE);
	s.in.kinds = 0;
	s.in.members = 3;
	ck_assert_uint_eq(choose()->n, 3);
	s.in.members = 0;
	s.peers[0].usable = false; /* the coordinator without a part */
	a = choose();
	ck_assert(!takes_part(a, 0) && !a->today);
	s.in.today_only = true;
	ck_assert_int_eq(swarm_plan_choose(&s.in, &r, &err), -1);
}
END_TEST

START_TEST(bad_numbers_are_refused)
{
	struct err err = {""};

	tiny();
	swarm_add(&s, "a", 10, 2000);
	swarm_add(&s, "b", 10, 2000);
	s.links[1].rtt = -1;
	ck_assert_int_eq(swarm_plan_choose(&s.in, &r, &err), -1);
	s.links[1].rtt = 0;
	s.peers[1].read_bps = NAN;
	ck_assert_int_eq(swarm_plan_choose(&s.in, &r, &err), -1);
	s.in.n = 65;
	ck_assert_int_eq(swarm_plan_choose(&s.in, &r, &err), -1);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("plan");
	TCase *t = tcase_create("known");
	SRunner *runner;
	int failed;

	tcase_add_test(t, alone_it_does_all);
	tcase_add_test(t, two_equal_ones_share_evenly);
	tcase_add_test(t, the_hub_computes_while_sums_travel);
	tcase_add_test(t, shares_follow_speed);
	tcase_add_test(t, memory_bounds_shares_and_the_rest_flows_over);
	tcase_add_test(t, more_members_than_kv_heads);
	tcase_add_test(t, one_behind_a_slow_link_is_left_out_and_told_why);
	tcase_add_test(t, on_wifi_one_device_is_best);
	tcase_add_test(t, jitter_counts);
	tcase_add_test(t, a_gain_too_small_is_not_worth_a_device);
	tcase_add_test(t, prompts_may_be_why_one_is_left_out);
	tcase_add_test(t, those_not_usable_keep_their_reason);
	tcase_add_test(t, pipeline_where_memory_needs_both_and_the_link_is_slow);
	tcase_add_test(t, who_is_held_back_gets_a_little_less);
	tcase_add_test(t, who_is_held_back_alone_exchanges_nothing);
	tcase_add_test(t, groups_where_two_rooms_are_far_apart);
	tcase_add_test(t, sessions_fill_a_pipeline);
	tcase_add_test(t, what_does_not_fit_streams);
	tcase_add_test(t, disks_are_shared_by_their_speed);
	tcase_add_test(t, nothing_fits);
	tcase_add_test(t, steering);
	tcase_add_test(t, bad_numbers_are_refused);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
