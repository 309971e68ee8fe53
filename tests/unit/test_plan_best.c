/* The planner's choice against everything else that could have been done: over twenty mixed swarms
 * (speeds, links, memory, disks) all alternatives are simulated message by message, and the choice,
 * simulated too, is within 10% of the best of them and no slower than the best single device.
 * With SHOW set each is printed. */
#include "tests/support/plan_sim.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define SWARMS 24

static struct plan_swarm s;
static struct swarm_plan_result r;

/* Three to six devices. Memory: from far too little to enough for the whole model. */
static void
mixed(uint32_t seed)
{
	static const double gbps[] = {1, 3, 3, 5, 10, 10, 20, 40};
	static const double ms[] = {0.1, 0.2, 0.2, 0.5, 2, 5};
	uint32_t n, heads = 16 << swarm_rnd(&seed, 2);
	char name[16];

	swarm_init(&s, 12, heads * 128, heads * 352, heads, heads / 2, 16000);
	s.in.message_s = 0;
	n = 3 + swarm_rnd(&seed, 4);
	for (uint32_t i = 0; i < n; i++) {
		struct swarm_plan_peer *p;

		snprintf(name, sizeof name, "peer-%u", i);
		p = swarm_add(&s, name, gbps[swarm_rnd(&seed, 8)], 0);
		p->memory = p->overhead + (uint64_t)(s.model.kv_head_bytes * s.shape.kv_heads *
						     (10 + swarm_rnd(&seed, 50)));
		p->layer_s = swarm_rnd(&seed, 40) * 1e-6;
		p->disk_bps = swarm_rnd(&seed, 2) * (1 + swarm_rnd(&seed, 10)) * 1e8;
	}
	for (uint32_t i = 0; i < n; i++)
		if (swarm_rnd(&seed, 3) == 0)
			swarm_link_all(
				&s, i, ms[swarm_rnd(&seed, 6)], swarm_rnd(&seed, 2) ? 1000 : 100);
}

static double
best_single(void)
{
	uint32_t n = s.in.today_only ? 1 : s.in.n;
	double best = INFINITY;

	for (uint32_t i = 0; i < n; i++) {
		struct sim_stage st = {.n = 1, .layers = s.shape.layers, .who = {i}};

		st.slices[0] = slice_whole(&s.shape);
		best = fmin(best, sim_token(&s, &st, 1));
	}
	return best;
}

struct seen {
	uint32_t planned, several, spares;
};

static void
compare(uint32_t seed, struct seen *seen)
{
	const struct swarm_plan_alt *a;
	struct err err = {""};
	uint32_t tried;
	double chosen, best = sim_best(&s, s.in.today_only, &tried);

	if (swarm_plan_choose(&s.in, &r, &err) != 0) {
		ck_assert_msg(!isfinite(best), "swarm %u: %s", seed, err.msg);
		return;
	}
	a = &r.alts[r.best];
	chosen = sim_plan(&s, a);
	if (getenv("SHOW") != NULL)
		printf("%2u: %u devices, %s of %u%s: %.2f ms, predicted %.2f, best of %u %.2f, "
		       "alone "
		       "%.2f\n",
			seed, s.in.n, swarm_kind_name(a->kind), a->n, a->streams ? ", streams" : "",
			chosen * 1e3, a->period * 1e3, tried, best * 1e3, best_single() * 1e3);
	ck_assert_msg(chosen <= 1.1 * best, "swarm %u: %.3f ms, the best takes %.3f", seed,
		chosen * 1e3, best * 1e3);
	ck_assert_double_le(chosen, best_single() * 1.0001);
	ck_assert_double_eq_tol(a->period, chosen, 0.1 * chosen);
	seen->planned++;
	seen->several += a->n > 1;
	seen->spares += r.n_spares;
}

START_TEST(within_a_tenth_of_the_best)
{
	struct seen seen = {0};

	for (uint32_t seed = 1; seed <= SWARMS; seed++) {
		mixed(seed);
		s.in.today_only = _i == 1;
		compare(seed, &seen);
	}
	ck_assert_uint_ge(seen.planned, 20);
	ck_assert_uint_gt(seen.several, SWARMS / 3);
	ck_assert_uint_gt(seen.spares, SWARMS / 3);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("plan, against all");
	TCase *t = tcase_create("best");
	SRunner *runner;
	int failed;

	tcase_add_loop_test(t, within_a_tenth_of_the_best, 0, 2); /* of all, of today's */
	tcase_set_timeout(t, 120);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
