/* Files of mixtures of experts, as their architectures have them: what is read from them, what they
 * compute, and what is refused. */
#include "kernels/cpu.h"
#include "model/forward.h"
#include "model/shard.h"
#include "tests/support/tiny_gguf.h"

#include <check.h>
#include <math.h>
#include <sodium.h>
#include <stdlib.h>

#define TOKENS 9

static const uint32_t tokens[TOKENS] = {1, 7, 30, 0, 22, 22, 8, 31, 3};

/* --- models ------------------------------------------------------------------------------------- */

static struct model_shape
mixtral(void)
{
	return (struct model_shape){.arch = ARCH_LLAMA,
		.layers = 2,
		.embd = 24,
		.ffn = 20,
		.heads = 4,
		.kv_heads = 2,
		.head_dim = 6,
		.vocab = 33,
		.context = 16,
		.norm_eps = 1e-5f,
		.rope_dim = 6,
		.rope_interleaved = true,
		.rope_base = 1000.0f,
		.rope_factor = 1.0f,
		.experts = 12,
		.experts_used = 2,
		.expert_norm = true,
		.expert_scale = 1.0f,
		.col_block = 1};
}

static struct model_shape
qwen3moe(void)
{
	struct model_shape s = mixtral();

	s.arch = ARCH_QWEN3MOE;
	s.head_dim = s.rope_dim = 8;
	s.rope_interleaved = false;
	s.qk_norm = true;
	s.experts_used = 5;
	return s;
}

static struct model_shape
olmoe(void)
{
	struct model_shape s = mixtral();

	s.arch = ARCH_OLMOE;
	s.kv_heads = 4;
	s.rope_interleaved = false;
	s.qk_norm = s.qk_norm_wide = true;
	s.experts = 7;
	s.experts_used = 3;
	s.expert_norm = false;
	return s;
}

static struct model_shape
scaled(void)
{
	struct model_shape s = qwen3moe();

	s.expert_scale = 2.5f;
	return s;
}

static const struct {
	struct model_shape (*shape)(void);
	bool own;
} models[] = {
	{mixtral, false}, {mixtral, true}, {qwen3moe, false}, {olmoe, false}, {scaled, false}};
enum { MODELS = sizeof models / sizeof *models };

struct fixture {
	struct tiny_model model;
	struct buf file;
	struct gguf *g;
	struct model_shape shape;
	struct err err;
};

/* The result of shape_from_gguf. */
static int
open_file(struct fixture *fx, struct model_shape s, const struct tiny_gguf *o)
{
	tiny_model_make(&fx->model, &s, false, 11);
	tiny_gguf_write(&fx->model, o, &fx->file);
	fx->err.msg[0] = '\0';
	fx->g = gguf_parse(fx->file.data, fx->file.len, &fx->err);
	ck_assert_msg(fx->g != NULL, "%s", fx->err.msg);
	return shape_from_gguf(fx->g, &fx->shape, &fx->err);
}

static void
close_file(struct fixture *fx)
{
	gguf_close(fx->g);
	buf_free(&fx->file);
	tiny_model_free(&fx->model);
}

/* --- what is read ------------------------------------------------------------------------------- */

static uint64_t
count(const struct model_shape *s, uint64_t experts)
{
	uint64_t q = (uint64_t)s->heads * s->head_dim, kv = (uint64_t)s->kv_heads * s->head_dim;
	uint64_t norms = !s->qk_norm ? 0 : s->qk_norm_wide ? q + kv : (uint64_t)2 * s->head_dim;

	return (2 * s->vocab + 1) * (uint64_t)s->embd +
	       s->layers * (2 * s->embd + 2 * q * s->embd + 2 * kv * s->embd + norms +
				   s->experts * s->embd + experts * 3 * s->ffn * s->embd);
}

START_TEST(shapes_are_read)
{
	struct model_shape want = models[_i].shape(), again;
	struct tiny_gguf o = {.own = models[_i].own};
	struct fixture fx;
	struct buf a, b;
	struct rd r;

	ck_assert_msg(open_file(&fx, want, &o) == 0, "%s", fx.err.msg);
	want.rope_orig_context = fx.shape.rope_orig_context; /* of what is not scaled */
	want.rope_low_freq = fx.shape.rope_low_freq;
	want.rope_high_freq = fx.shape.rope_high_freq;
	want.yarn_attn_factor = want.yarn_ext_factor = 1.0f;
	want.yarn_beta_fast = 32.0f;
	want.yarn_beta_slow = 1.0f;
	buf_init(&a, 0);
	buf_init(&b, 0);
	shape_write(&want, &a);
	shape_write(&fx.shape, &b);
	ck_assert_uint_eq(a.len, b.len);
	ck_assert_mem_eq(a.data, b.data, a.len);
	ck_assert_uint_eq(shape_params(&want), count(&want, want.experts));
	ck_assert_uint_eq(shape_params_active(&want), count(&want, want.experts_used));
	r = rd_init(b.data, b.len);
	ck_assert_int_eq(shape_read(&r, &again, &fx.err), 0);
	buf_clear(&a);
	shape_write(&again, &a);
	ck_assert_mem_eq(a.data, b.data, a.len);
	buf_free(&a);
	buf_free(&b);
	close_file(&fx);
}
END_TEST

static void
expect_bad_shape(const struct model_shape *s, const char *why)
{
	struct model_shape got;
	struct err err = {""};
	struct buf b;
	struct rd r;

	buf_init(&b, 0);
	shape_write(s, &b);
	r = rd_init(b.data, b.len);
	ck_assert_int_eq(shape_read(&r, &got, &err), -1);
	ck_assert_msg(strstr(err.msg, why) != NULL, "\"%s\" does not say \"%s\"", err.msg, why);
	buf_free(&b);
}

START_TEST(shapes_that_cannot_be_are_refused)
{
	struct model_shape s = mixtral();

	s.experts_used = 13;
	expect_bad_shape(&s, "13 of 12 experts");
	s.experts_used = 0;
	expect_bad_shape(&s, "0 of 12 experts");
	s.experts_used = 2;
	s.experts = 0;
	expect_bad_shape(&s, "2 experts are used, and there are none");
	s.experts = UINT32_MAX;
	expect_bad_shape(&s, "are too many");
	s.experts = 1024;
	s.layers = 4096;
	expect_bad_shape(&s, "1024 experts in each of 4096 layers are too many");
	s = mixtral();
	s.expert_scale = NAN;
	expect_bad_shape(&s, "scale of experts");
	s = olmoe();
	s.qkv_bias = true;
	expect_bad_shape(&s, "biases");
}
END_TEST

/* --- what they compute -------------------------------------------------------------------------- */

static void
expect_logits(const struct fixture *fx, const struct slice *sl, struct weight_source *ws,
	const double *want)
{
	struct model_shape shape = fx->shape;
	struct step_row rows[TOKENS];
	float x[TOKENS * 24];
	const float *got;
	struct kernels kernels;
	struct forward *f;
	struct pool *pool;
	struct err err;

	ck_assert_msg(ws != NULL, "%s", fx->err.msg);
	kernels_init(&kernels, cpu_detect());
	pool = pool_new(2, &err);
	f = forward_new(&(struct forward_config){.shape = &shape,
				.slice = sl,
				.weights = ws,
				.kernels = &kernels,
				.pool = pool,
				.max_rows = TOKENS,
				.slots = 1,
				.context = TOKENS},
		&err);
	ck_assert_msg(f != NULL, "%s", err.msg);
	for (uint32_t i = 0; i < TOKENS; i++)
		rows[i] = (struct step_row){0, i, STEP_LOGITS};
	ck_assert_int_eq(forward_embed(f, tokens, TOKENS, x, &err), 0);
	ck_assert_msg(forward_step(f, rows, TOKENS, x, &got, &err) == 0, "%s", err.msg);
	for (uint32_t i = 0; i < TOKENS * shape.vocab; i++)
		ck_assert_msg(fabs(got[i] - want[i]) < 2e-5, "value %u is %f, not %f", i,
			(double)got[i], want[i]);
	forward_free(f);
	pool_free(pool);
	ws->free(ws);
}

START_TEST(logits_are_those_of_the_plain_way)
{
	struct tiny_gguf o = {.own = models[_i].own};
	double want[TOKENS * 33];
	struct fixture fx;
	struct slice whole;

	ck_assert_msg(open_file(&fx, models[_i].shape(), &o) == 0, "%s", fx.err.msg);
	tiny_model_compute(&fx.model, tokens, TOKENS, want);
	whole = slice_whole(&fx.shape);
	expect_logits(&fx, &whole, weights_from_gguf(fx.g, &fx.shape, &whole, true, &fx.err), want);
	expect_logits(&fx, &whole,
		weights_tiled_from_gguf(fx.g, &fx.shape, &whole, true, NULL, NULL, &fx.err), want);
	close_file(&fx);
}
END_TEST

/* --- slices ------------------------------------------------------------------------------------- */

START_TEST(heads_that_are_normed_together_stay_together)
{
	struct model_shape s = olmoe();
	struct slice sl[3];
	uint32_t heads = 0, ffn = 0;
	struct err err;

	ck_assert_int_eq(slice_cut(&s, (const float[]){1, 5, 3}, 3, sl, &err), 0);
	for (int i = 0; i < 3; i++) {
		ck_assert(sl[i].kv_heads == 0 || sl[i].kv_heads == s.kv_heads);
		ck_assert_uint_gt(sl[i].ffn, 0);
		heads += sl[i].kv_heads;
		ffn += sl[i].ffn;
	}
	ck_assert_uint_eq(heads, s.kv_heads);
	ck_assert_uint_eq(ffn, s.ffn);
}
END_TEST

/* --- what is refused ---------------------------------------------------------------------------- */

START_TEST(files_that_are_not_computed_are_refused)
{
	static const struct {
		struct model_shape (*shape)(void);
		struct tiny_gguf o;
		const char *why;
	} cases[] = {
		{mixtral, {.omit = "blk.1.ffn_gate_inp.weight"},
			"'blk.1.ffn_gate_inp.weight' is missing"},
		{mixtral, {.omit = "blk.1.ffn_up_exps.weight"},
			"'blk.1.ffn_up_exps.weight' is missing"},
		{mixtral, {.own = true, .omit = "blk.1.ffn_down.11.weight"},
			"ffn_down_exps.weight' is missing"},
		{mixtral, {.add = "blk.1.ffn_down.11.weight"},
			"'blk.1.ffn_down.11.weight' has no part"},
		{mixtral, {.own = true, .add = "blk.1.ffn_down.12.weight"},
			"'blk.1.ffn_down.12.weight' has no part"},
		{mixtral, {.add = "blk.0.ffn_up.weight"}, "'blk.0.ffn_up.weight' has no part"},
		{mixtral, {.add = "blk.0.ffn_up_shexp.weight"}, "shexp.weight' has no part"},
		{mixtral, {.cut = "blk.0.ffn_up_exps.weight"}, "is 24 x 20 x 11, but"},
		{mixtral, {.key = "expert_gating_func", .value = 2}, "function 2"},
		{mixtral, {.key = "expert_group_count", .value = 4}, "4 groups"},
		{olmoe, {.omit = "blk.0.attn_k_norm.weight"}, "attn_k_norm.weight' is missing"},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct fixture fx;

		ck_assert_int_eq(open_file(&fx, cases[i].shape(), &cases[i].o), -1);
		ck_assert_msg(strstr(fx.err.msg, cases[i].why) != NULL,
			"\"%s\" does not say \"%s\"", fx.err.msg, cases[i].why);
		close_file(&fx);
	}
}
END_TEST

START_TEST(architectures_have_experts_or_not)
{
	struct model_shape s = qwen3moe();
	struct tiny_gguf o = {.key = "expert_count", .value = 12};
	struct fixture fx;

	s.experts = s.experts_used = 0;
	ck_assert_int_eq(open_file(&fx, s, &(struct tiny_gguf){0}), -1);
	ck_assert_msg(
		strstr(fx.err.msg, "'qwen3moe.expert_count' is missing") != NULL, "%s", fx.err.msg);
	close_file(&fx);
	s.arch = ARCH_QWEN3;
	ck_assert_msg(open_file(&fx, s, &(struct tiny_gguf){0}) == 0, "%s", fx.err.msg);
	close_file(&fx);
	ck_assert_int_eq(open_file(&fx, s, &o), -1);
	ck_assert_msg(strstr(fx.err.msg, "a mixture of 12 experts") != NULL, "%s", fx.err.msg);
	close_file(&fx);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("mixture");
	TCase *tc = tcase_create("mixture");
	SRunner *r;
	int failed;

	if (sodium_init() < 0)
		return EXIT_FAILURE;
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, shapes_are_read, 0, MODELS);
	tcase_add_test(tc, shapes_that_cannot_be_are_refused);
	tcase_add_loop_test(tc, logits_are_those_of_the_plain_way, 0, MODELS);
	tcase_add_test(tc, heads_that_are_normed_together_stay_together);
	tcase_add_test(tc, files_that_are_not_computed_are_refused);
	tcase_add_test(tc, architectures_have_experts_or_not);
	suite_add_tcase(s, tc);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
