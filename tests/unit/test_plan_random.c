/* The planner on random swarms: what must hold for every one of them. */
#include "tests/support/plan_swarm.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SWARMS 1200

static struct plan_swarm s;
static struct swarm_plan_result r, again;

static bool
choose(struct swarm_plan_result *out)
{
	struct err err = {""};

	if (swarm_plan_choose(&s.in, out, &err) == 0)
		return true;
	ck_assert_msg(strstr(err.msg, "no plan is possible") != NULL, "%s", err.msg);
	return false;
}

/* Slices of a stage tile what they cut, in units, in the order of ranks. */
static void
check_tiling(const struct swarm_plan_alt *a, const struct swarm_plan_stage *st, bool last)
{
	uint32_t kv = 0, ffn = 0, vocab = 0;

	for (uint32_t i = 0; i < st->n; i++) {
		const struct slice *sl = &a->members[st->first + i].slice;

		ck_assert_uint_eq(sl->rank, i);
		ck_assert_uint_eq(sl->peers, st->n);
		ck_assert_uint_eq(sl->kv_head0, kv);
		ck_assert_uint_eq(sl->ffn0, ffn);
		ck_assert_uint_eq(sl->vocab0, vocab);
		kv += sl->kv_heads;
		ffn += sl->ffn;
		vocab += sl->vocab;
		ck_assert(kv % s.model.kv_unit == 0 || kv == s.shape.kv_heads);
		ck_assert(ffn % s.shape.col_block == 0 || ffn == s.shape.ffn);
	}
	ck_assert_uint_eq(kv, s.shape.kv_heads);
	ck_assert_uint_eq(ffn, s.shape.ffn);
	ck_assert_uint_eq(vocab, last ? s.shape.vocab : 0);
}

/* What a slice takes, counted anew from its numbers. */
static void
check_budget(const struct swarm_plan_alt *a, const struct swarm_plan_stage *st, uint32_t i)
{
	const struct swarm_plan_member *m = &a->members[st->first + i];
	const struct swarm_plan_peer *p = &s.peers[m->peer];
	double weights =
		st->layers * (m->slice.kv_heads * s.model.kv_head_bytes +
				     m->slice.ffn * s.model.ffn_col_bytes + s.model.layer_bytes) +
		m->slice.vocab * s.model.vocab_row_bytes;
	double cache = st->layers * (m->slice.kv_heads * s.model.cache_bytes);

	ck_assert_uint_le(m->held, p->memory);
	ck_assert_double_ge((double)m->weights + 2, weights);
	ck_assert_double_ge((double)m->cache + 2, cache);
	if (m->streamed == 0)
		ck_assert_double_le(weights + cache + (double)p->overhead, (double)p->memory + 4);
	else
		ck_assert_double_gt(p->disk_bps, 0);
}

static void
check_alternative(const struct swarm_plan_alt *a)
{
	bool in[SWARM_PLAN_PEERS] = {false};
	uint32_t layers = 0, members = 0;
	double disk = 0;

	for (uint32_t i = 0; i < a->n_stages; i++) {
		const struct swarm_plan_stage *st = &a->stages[i];

		ck_assert_uint_eq(st->layer0, layers);
		ck_assert_uint_eq(st->first, members);
		layers += st->layers;
		members += st->n;
		check_tiling(a, st, i + 1 == a->n_stages);
		for (uint32_t k = 0; k < st->n; k++)
			check_budget(a, st, k);
	}
	ck_assert_uint_eq(layers, s.shape.layers);
	ck_assert_uint_eq(members, a->n);
	for (uint32_t i = 0; i < a->n; i++) {
		const struct swarm_plan_member *m = &a->members[i];

		ck_assert(!in[m->peer]);
		in[m->peer] = true;
		ck_assert_double_le(
			m->compute_s, (a->token.compute + a->token.network) * (1 + 1e-9));
		if (m->streamed > 0)
			disk = fmax(disk, (double)m->streamed / s.peers[m->peer].disk_bps);
	}
	ck_assert_double_eq_tol(disk, a->token.disk, 1e-9);
	ck_assert_double_eq_tol(
		a->token.total, fmax(a->token.compute + a->token.network, a->token.disk), 1e-12);
}

/* Each device for itself is a plan too; none may be better than the choice. */
static void
check_single_ones(const struct swarm_plan_alt *best)
{
	static struct swarm_plan_alt one;

	for (uint32_t i = 0; i < s.in.n; i++)
		for (int stream = 0; stream < 2; stream++) {
			one.n_stages = 1;
			one.stages[0].n = 1;
			one.members[0].peer = i;
			if (swarm_plan_predict(&s.in, stream, &one) == 0)
				ck_assert_double_le(best->score, one.score * (1 + 1e-9));
		}
}

START_TEST(all_that_must_hold)
{
	uint32_t planned = 0, streaming = 0, spares = 0, kinds[SWARM_KINDS] = {0};

	for (uint32_t seed = 0; seed < SWARMS; seed++) {
		const struct swarm_plan_alt *best;

		swarm_random(&s, seed, 5);
		if (!choose(&r))
			continue;
		best = &r.alts[r.best];
		planned++;
		streaming += best->streams;
		kinds[best->kind]++;
		spares += r.n_spares;
		for (uint32_t i = 0; i < r.n_alts; i++) {
			check_alternative(&r.alts[i]);
			ck_assert(i == 0 || r.alts[i].score >= r.alts[i - 1].score);
		}
		check_single_ones(best);
		ck_assert_uint_eq(best->n + r.n_spares, s.in.n);
		for (uint32_t i = 0; i < r.n_spares; i++)
			ck_assert_uint_gt(strlen(r.spares[i].why), 10);
	}
	/* The swarms are varied enough to mean something. */
	ck_assert_uint_gt(planned, SWARMS / 2);
	ck_assert_uint_gt(streaming, SWARMS / 20);
	ck_assert_uint_gt(spares, SWARMS / 5);
	for (int k = 0; k < SWARM_KINDS; k++)
		ck_assert_uint_gt(kinds[k], 10);
}
END_TEST

/* Memory that is less than what streaming needs of it, on some devices. (What is negative there, only a
 * build with sanitizers sees.) */
START_TEST(memory_hardly_above_the_overhead)
{
	uint32_t streaming = 0;

	for (uint32_t seed = 0; seed < SWARMS / 8; seed++) {
		uint32_t more = seed * 7919 + 13;

		swarm_random(&s, seed, 4);
		for (uint32_t i = 0; i < s.in.n; i++)
			if (swarm_rnd(&more, 2)) {
				s.peers[i].memory =
					s.peers[i].overhead + swarm_rnd(&more, 1500) * 1000;
				s.peers[i].disk_bps = 1e5 * (1 + swarm_rnd(&more, 500));
			}
		if (!choose(&r))
			continue;
		for (uint32_t i = 0; i < r.n_alts; i++)
			check_alternative(&r.alts[i]);
		streaming += r.alts[r.best].streams;
	}
	ck_assert_uint_gt(streaming, 10);
}
END_TEST

START_TEST(the_same_again)
{
	for (uint32_t seed = 0; seed < 40; seed++) {
		swarm_random(&s, seed, 12);
		memset(&r, 0, sizeof r);
		memset(&again, 0xff, sizeof again);
		if (!choose(&r)) {
			ck_assert(!choose(&again));
			continue;
		}
		ck_assert(choose(&again));
		ck_assert_uint_eq(r.n_alts, again.n_alts);
		ck_assert_uint_eq(r.best, again.best);
		ck_assert_uint_eq(r.tried, again.tried);
		for (uint32_t i = 0; i < r.n_alts; i++) {
			ck_assert(r.alts[i].score == again.alts[i].score);
			ck_assert_uint_eq(r.alts[i].n, again.alts[i].n);
			for (uint32_t k = 0; k < r.alts[i].n; k++)
				ck_assert_mem_eq(&r.alts[i].members[k].slice,
					&again.alts[i].members[k].slice, sizeof(struct slice));
		}
	}
}
END_TEST

START_TEST(many_devices)
{
	for (uint32_t seed = 0; seed < 6; seed++) {
		swarm_random(&s, 1000 + seed, 1);
		while (s.in.n < SWARM_PLAN_PEERS) {
			char name[16];

			snprintf(name, sizeof name, "peer-%u", s.in.n);
			swarm_add(&s, name, 1 + (s.in.n * 7 + seed) % 20, 60 + s.in.n * 9 % 400);
			if ((s.in.n + seed) % 5 == 0)
				swarm_link_all(&s, s.in.n - 1, 3, 100);
		}
		if (!choose(&r))
			continue;
		for (uint32_t i = 0; i < r.n_alts; i++)
			check_alternative(&r.alts[i]);
		check_single_ones(&r.alts[r.best]);
	}
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("plan, random");
	TCase *t = tcase_create("random");
	SRunner *runner;
	int failed;

	tcase_add_test(t, all_that_must_hold);
	tcase_add_test(t, memory_hardly_above_the_overhead);
	tcase_add_test(t, the_same_again);
	tcase_add_test(t, many_devices);
	tcase_set_timeout(t, 120);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
