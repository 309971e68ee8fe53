/* Engines whose KV rows are copied: requests go on over other engines, with other slices, from the copies,
 * with the ids that they would have had; and what there is no copy of is computed again. The test is
 * the main thread, and moves the pieces itself. */
#include "daemon/engine_kv.h"
#include "daemon/star.h"
#include "model/kv_vault.h"
#include "sched/kv_feed.h"
#include "tests/support/engine_group.h"
#include "tests/support/patience.h"

#include <check.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define NEW  90 /* tokens of a case */
#define GATE 90 /* a position that every case comes to before its last token */

/* Engines stop at a gate until the test has seen what they did: they could answer all while it waits for a core. */
static atomic_bool gate_closed, at_gate;
static void (*kv_store)(const struct attention *a, void *k, void *v, uint32_t pos, const float *key,
	const float *value);

static void
store_behind_gate(const struct attention *a, void *k, void *v, uint32_t pos, const float *key,
	const float *value)
{
	if (pos >= GATE)
		while (atomic_load(&gate_closed)) {
			atomic_store(&at_gate, true);
			usleep(1000);
		}
	kv_store(a, k, v, pos, key, value);
}

static void
load_with_gate(void)
{
	load();
	gate_closed = at_gate = false;
	kv_store = m.kernels.kv_store;
	m.kernels.kv_store = store_behind_gate;
}

/* All that was computed before is heard, but for the last step of others than who came to it first. */
static void
wait_for_gate(void)
{
	uint64_t since = 0;

	while (!atomic_load(&at_gate)) {
		ck_assert(wait_more(&since));
		uv_run(&g.loop, UV_RUN_NOWAIT);
	}
	uv_run(&g.loop, UV_RUN_NOWAIT);
}

static struct kv_vault *vault;
static unsigned news, copied;
static bool deaf[MAX_PEERS]; /* nothing of this one is copied */

/* Takes what engines have computed. */
static void
on_kv(void *arg)
{
	uint32_t peer = (uint32_t)((unsigned *)arg - g.broken);
	struct engine *e = g.engines[peer];
	const uint8_t *bytes;
	struct kv_piece p;

	news++;
	while (e != NULL && g.engines[0] != NULL && !deaf[peer] && engine_kv_take(e, &p, &bytes)) {
		uint64_t number = engine_kv_owner(g.engines[0], p.slot, p.run);
		struct kv_bounds b = engine_kv_bounds(e);
		struct err err;

		ck_assert_msg(kv_piece_check(&b, &p, p.heads * b.page, &err) == 0, "%s", err.msg);
		if (number != 0)
			ck_assert_int_eq(kv_vault_put(vault, number, &p, bytes), 0);
		copied++;
		engine_kv_taken(e);
	}
}

static void
prepare(enum kv_type kv)
{
	const struct kv_vault_config c = {
		kv, m.shape.layers, m.shape.kv_heads, m.shape.head_dim, N_CASES, 512};
	struct err err;

	g.config.kv = kv;
	g.config.kv_copies = true;
	g.config.on_kv = on_kv;
	memset(deaf, 0, sizeof deaf);
	copied = 0;
	if (vault == NULL)
		vault = kv_vault_new(&c, &err);
	ck_assert_msg(vault != NULL, "%s", err.msg);
}

static void
end_vault(void)
{
	kv_vault_free(vault);
	vault = NULL;
}

/* Loads the slice of an engine. */
static void
load_engine(struct engine *e, const uint32_t *positions)
{
	struct kv_bounds b = engine_kv_bounds(e);
	struct kv_need need = {.span = b.span, .most = b.heads, .slots = b.slots};
	uint8_t *bytes = malloc(KV_PAGE_MOST);
	struct kv_piece p;

	while (kv_need_next(&need, positions, &p)) {
		while (engine_kv_room(e) == 0)
			wait_for(&g.loop, &news, news + 1, "room for a piece");
		ck_assert(kv_vault_get(vault, &p, bytes));
		engine_kv_put(e, &p, bytes);
	}
	engine_kv_fill(e, positions);
	while (!engine_kv_settled(e))
		wait_for(&g.loop, &news, news + 1, "pieces to be loaded");
	free(bytes);
}

/* Loads all engines and lets requests go on. Returns the positions that there were. */
static uint32_t
resume(void)
{
	struct engine_kv_start starts[N_CASES];
	uint32_t positions[N_CASES], all = 0;

	for (uint32_t i = 0; i < N_CASES; i++) {
		uint64_t number = kv_vault_number(vault, i);

		positions[i] = number != 0 && desk_waits_for(g.desk, number - 1)
				       ? kv_vault_covered(vault, i)
				       : 0;
		starts[i] = (struct engine_kv_start){positions[i] > 0 ? number : 0, positions[i]};
		all += positions[i];
	}
	for (uint32_t i = 0; i < g.n; i++)
		load_engine(g.engines[i], positions);
	engine_kv_start(g.engines[0], starts);
	return all;
}

/* What the engines that are there have computed is taken; then they end, and others are started. */
static void
stop_all(void)
{
	for (uint32_t i = g.n; i-- > 0;)
		if (g.engines[i] != NULL) {
			on_kv(&g.broken[i]);
			stop_engine(i);
		}
	atomic_store(&gate_closed, false);
	wait_for(&g.loop, &g.stopped, g.to_stop, "engines to stop");
}

static void
start_others(uint32_t n)
{
	struct err err = {""};

	g.n = n;
	stages_one(&g.stages, n, m.shape.layers);
	memset(g.broken, 0, sizeof g.broken);
	for (uint32_t i = 1; i < n; i++)
		snprintf(g.names[i], PEER_NAME, "member-%u", i);
	ck_assert_int_eq(slice_cut(&m.shape, NULL, n, g.slices, &err), 0);
	for (uint32_t i = 1; i < n; i++)
		pair_open(&g.loop, &g.pairs[i],
			star_max_message(64, 16, m.shape.embd, m.shape.vocab));
	group_start();
}

static void
submit_all(struct job jobs[N_CASES])
{
	for (unsigned i = 0; i < N_CASES; i++)
		ck_assert_int_eq(submit(&jobs[i], i, NEW), 0);
}

/* Starts the engines, and all requests at once. */
static void
run_to_gate(struct job jobs[N_CASES])
{
	atomic_store(&at_gate, false);
	atomic_store(&gate_closed, true);
	group_start();
	submit_all(jobs);
	engine_kv_start(g.engines[0], NULL);
	wait_for_gate();
}

static void
wait_for_all(struct job jobs[N_CASES])
{
	for (unsigned i = 0; i < N_CASES; i++)
		wait_for(&g.loop, &jobs[i].ended, 1, "an answer");
}

/* What the requests give over engines to which nothing happens. */
static void
undisturbed(enum kv_type kv, struct job jobs[N_CASES])
{
	group_init(1, NULL);
	g.config.kv = kv;
	group_start();
	submit_all(jobs);
	wait_for_all(jobs);
	group_end();
}

static void
check_same(const struct job *jobs, const struct job *want)
{
	for (unsigned i = 0; i < N_CASES; i++) {
		ck_assert_uint_eq(jobs[i].usage.new_tokens, NEW);
		ck_assert_msg(memcmp(jobs[i].ids, want[i].ids, NEW * sizeof *jobs[i].ids) == 0,
			"case %u: other ids than undisturbed", i);
	}
}

/* --- tests -------------------------------------------------------------------------------------- */

static const struct {
	uint32_t stages, sizes[3]; /* before */
	uint32_t after;            /* devices */
	enum kv_type kv;
} plans[] = {
	{1, {3}, 1, KV_F32},
	{1, {3}, 2, KV_F32},
	{1, {2}, 4, KV_F16},
	{1, {1}, 3, KV_Q8_0},
	{2, {2, 1}, 2, KV_F32},
	{3, {1, 1, 1}, 1, KV_F16},
};
enum { PLANS = sizeof plans / sizeof *plans };

START_TEST(another_plan_goes_on_from_copies)
{
	static struct job jobs[N_CASES], want[N_CASES];
	enum kv_type kv = plans[_i].kv;
	struct engine_stats before, st;
	uint32_t positions;

	undisturbed(kv, want);
	group_init_stages(plans[_i].stages, plans[_i].sizes, WAY_STAR);
	prepare(kv);
	run_to_gate(jobs);
	if (g.n > 2) {
		on_kv(&g.broken[2]);
		stop_engine(2); /* it is lost */
		atomic_store(&gate_closed, false);
		wait_for(&g.loop, &g.broken[0], 1, "on_broken");
	}
	stop_all();
	start_others(plans[_i].after);
	engine_stats(g.engines[0], &before);
	positions = resume();
	ck_assert_uint_gt(positions, N_CASES * KV_GROUP);
	wait_for_all(jobs);
	check_same(jobs, want);
	engine_stats(g.engines[0], &st);
	ck_assert_uint_eq(before.kept_rows, 0);
	ck_assert_uint_ge(st.kept_rows, positions - N_CASES);
	ck_assert_uint_le(st.kept_rows, positions);
	ck_assert_uint_le(st.again_rows, N_CASES * 2 * KV_GROUP);
	group_end();
	end_vault();
}
END_TEST

/* One of which nothing came: no position is covered, and all is computed again. */
START_TEST(what_is_missing_is_computed_again)
{
	static struct job jobs[N_CASES], want[N_CASES];
	struct engine_stats st;

	undisturbed(KV_F32, want);
	group_init(3, NULL);
	prepare(KV_F32);
	deaf[1] = true;
	run_to_gate(jobs); /* nobody takes member 1's */
	ck_assert_uint_gt(copied, 0);
	stop_all();
	start_others(2);
	ck_assert_uint_eq(resume(), 0);
	wait_for_all(jobs);
	check_same(jobs, want);
	engine_stats(g.engines[0], &st);
	ck_assert_uint_eq(st.kept_rows, 0);
	ck_assert_uint_gt(st.again_rows, N_CASES * 40);
	group_end();
	end_vault();
}
END_TEST

/* A plan that is given up before its requests went on: the next one finds the same copies. */
START_TEST(copies_outlive_plans_that_never_began)
{
	static struct job jobs[N_CASES], want[N_CASES];
	uint32_t positions;
	uint64_t since = 0;

	undisturbed(KV_F16, want);
	group_init(2, NULL);
	prepare(KV_F16);
	run_to_gate(jobs);
	stop_all();
	start_others(3); /* held: it takes none */
	while (!desk_waits_for(g.desk, 0)) {
		ck_assert(wait_more(&since));
		uv_run(&g.loop, UV_RUN_NOWAIT);
	}
	stop_all();
	start_others(2);
	positions = resume();
	ck_assert_uint_gt(positions, N_CASES * KV_GROUP);
	wait_for_all(jobs);
	check_same(jobs, want);
	group_end();
	end_vault();
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("engine_kv");
	SRunner *r = srunner_create(s);
	int failed = engine_tests_begin("engine_kv");
	TCase *t = tcase_create("copies");

	if (failed != 0)
		return failed;
	tcase_add_checked_fixture(t, load_with_gate, unload);
	tcase_set_timeout(t, 120);
	tcase_add_loop_test(t, another_plan_goes_on_from_copies, 0, PLANS);
	tcase_add_test(t, what_is_missing_is_computed_again);
	tcase_add_test(t, copies_outlive_plans_that_never_began);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
