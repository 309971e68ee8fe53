/* The numbers that a plan is made of against the shards that would be made after it: whatever a member
 * is said to hold is at least what its shard holds, and of a whole device no more than a seventh above. */
#include "model/window.h"
#include "tests/support/plan_swarm.h"
#include "tests/support/shared_dir.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const models[] = {"models/stories260K.gguf", "models/llama-nano-q4_0.gguf",
	"models/llama-nano-q4_k_m.gguf", "models/qwen3-nano-q8_0.gguf",
	"models/qwen3moe-nano-q4_k_m.gguf"};

static struct plan_swarm s;
static struct swarm_plan_result r;

/* Devices of three speeds, so slow that the model is worth sharing. */
static void
devices(const struct shard_header *whole, uint32_t n)
{
	swarm_init(&s, 1, 64, 64, 1, 1, 1);
	for (uint32_t i = 0; i < n; i++)
		swarm_add(&s, "device", 0.0002 * (1 + i % 3), 1000);
	plan_model_from_header(whole, KV_F16, 1, 64, &s.model);
	s.in.row_bytes = 4.0 * whole->shape.embd;
	s.in.today_only = true;
	s.in.members = n;
}

static void
check_members(const struct gguf *g, const struct shard_header *whole, const char *name)
{
	const struct swarm_plan_alt *a = &r.alts[r.best];
	struct err err = {""};

	for (uint32_t i = 0; i < a->n; i++) {
		struct shard_header h;
		uint64_t real;

		ck_assert_msg(
			shard_header_plan(g, &whole->shape, &a->members[i].slice, &h, &err) == 0,
			"%s", err.msg);
		real = window_weights_all(&h);
		ck_assert_msg(a->members[i].weights >= real, "%s, %u of %u: %llu bytes, not %llu",
			name, i, a->n, (unsigned long long)real,
			(unsigned long long)a->members[i].weights);
		if (a->n == 1)
			ck_assert_uint_le(a->members[i].weights, real + real / 7);
		shard_header_free(&h);
	}
}

START_TEST(no_member_holds_more_than_said)
{
	struct model_shape shape;
	struct shard_header whole;
	struct err err = {""};
	struct slice all;
	struct gguf *g = gguf_open(shared_file(models[_i]), &err);

	ck_assert_msg(g != NULL && shape_from_gguf(g, &shape, &err) == 0, "%s", err.msg);
	all = slice_whole(&shape);
	ck_assert_int_eq(shard_header_plan(g, &shape, &all, &whole, &err), 0);
	for (uint32_t n = 1; n <= 5; n++) {
		devices(&whole, n);
		/* There may be fewer pieces than devices: then none is planned for so many. */
		if (swarm_plan_choose(&s.in, &r, &err) == 0)
			check_members(g, &whole, models[_i]);
		else
			ck_assert_uint_gt(n, 2);
	}
	shard_header_free(&whole);
	gguf_close(g);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("plan, a model's numbers");
	TCase *t = tcase_create("shards");
	SRunner *runner;
	int failed;

	if (shared_file(models[0]) == NULL)
		return TEST_SKIPPED;
	tcase_add_loop_test(
		t, no_member_holds_more_than_said, 0, (int)(sizeof models / sizeof *models));
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
