/* The forward pass on tiny models against the same written plainly, and what it refuses. */
#include "kernels/cpu.h"
#include "model/forward.h"
#include "tests/support/thread_collective.h"
#include "tests/support/tiny_model.h"

#include <check.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define TOKENS   12
#define CONTEXT  16
#define MAX_ROWS 8

static struct pool *pool;
static struct kernels kernels;

static void
setup(void)
{
	struct err err;

	pool = pool_new(2, &err);
	ck_assert_msg(pool != NULL, "%s", err.msg);
	kernels_init(&kernels, cpu_detect());
}

static void
teardown(void)
{
	pool_free(pool);
}

/* --- models ------------------------------------------------------------------------------------- */

static struct model_shape
llama(void)
{
	return (struct model_shape){.arch = ARCH_LLAMA,
		.layers = 2,
		.embd = 24,
		.ffn = 42,
		.heads = 4,
		.kv_heads = 2,
		.head_dim = 8,
		.vocab = 51,
		.context = CONTEXT,
		.norm_eps = 1e-5f,
		.rope_dim = 8,
		.rope_interleaved = true,
		.rope_base = 100.0f,
		.rope_factor = 1.0f,
		.col_block = 1};
}

static struct model_shape
qwen2(void)
{
	struct model_shape s = llama();

	s.arch = ARCH_QWEN2;
	s.heads = 6;
	s.kv_heads = 3;
	s.qkv_bias = true;
	s.rope_interleaved = false;
	s.tied = true;
	return s;
}

static struct model_shape
qwen3(void)
{
	struct model_shape s = llama();

	s.arch = ARCH_QWEN3;
	s.heads = 3;
	s.kv_heads = 3;
	s.head_dim = 16; /* not embd / heads */
	s.rope_dim = 16;
	s.qk_norm = true;
	s.rope_interleaved = false;
	return s;
}

static struct model_shape
mixture(struct model_shape s, uint32_t experts, uint32_t used, bool norm)
{
	s.ffn = 18;
	s.experts = experts;
	s.experts_used = used;
	s.expert_norm = norm;
	s.expert_scale = 1.0f;
	return s;
}

static struct model_shape
mixtral(void)
{
	return mixture(llama(), 4, 2, true);
}

static struct model_shape
qwen3moe(void)
{
	struct model_shape s = mixture(qwen3(), 11, 5, true);

	s.arch = ARCH_QWEN3MOE;
	return s;
}

static struct model_shape
olmoe(void)
{
	struct model_shape s = mixture(llama(), 9, 3, false);

	s.arch = ARCH_OLMOE;
	s.rope_interleaved = false;
	s.qk_norm = s.qk_norm_wide = true;
	return s;
}

static struct model_shape
scaled(enum rope_scaling scaling)
{
	struct model_shape s = llama();

	s.head_dim = s.rope_dim = 16;
	s.rope_scaling = scaling;
	s.rope_factor = 4.0f;
	s.rope_orig_context = 32;
	s.rope_low_freq = 1.0f;
	s.rope_high_freq = 4.0f;
	s.yarn_attn_factor = 1.0f;
	s.yarn_ext_factor = 1.0f;
	s.yarn_beta_fast = 4.0f;
	s.yarn_beta_slow = 0.5f;
	return s;
}

/* Number i of the models that are compared. */
static struct model_shape
model_shape(int i, bool *rope_factors)
{
	struct model_shape s = llama();

	*rope_factors = false;
	switch (i) {
	case 0:
		break;
	case 1:
		s.kv_heads = 1;
		s.rope_dim = 4; /* a part of the head */
		break;
	case 2:
		s.rope_dim = 6;
		s.rope_interleaved = false;
		break;
	case 3:
		s = qwen2();
		break;
	case 4:
		s = qwen3();
		break;
	case 5:
		s = scaled(ROPE_LINEAR);
		break;
	case 6:
		s = scaled(ROPE_LLAMA3);
		break;
	case 7:
		s = scaled(ROPE_YARN);
		break;
	case 8:
		s = scaled(ROPE_YARN);
		s.yarn_attn_factor = 1.3f;
		s.yarn_ext_factor = 0.5f;
		s.rope_interleaved = false;
		break;
	case 9:
		s = scaled(ROPE_YARN);
		s.yarn_ext_factor = 0.0f;
		break;
	case 10:
		*rope_factors = true;
		break;
	case 11:
		s = scaled(ROPE_LLAMA3); /* the factors say what the parameters say */
		*rope_factors = true;
		break;
	case 12:
		s = mixtral();
		break;
	case 13:
		s = qwen3moe();
		break;
	case 14:
		s = olmoe();
		break;
	case 15:
		s = olmoe();
		s.kv_heads = 4;
		s.expert_scale = 2.5f;
		s.experts_used = 1;
		break;
	case 16:
		s = qwen3moe();
		s.experts_used = s.experts; /* all */
		s.expert_scale = 0.5f;
		break;
	}
	return s;
}
#define N_MODELS 17

static const uint32_t tokens[TOKENS] = {1, 7, 50, 0, 23, 23, 8, 41, 3, 12, 30, 9};

/* --- running ------------------------------------------------------------------------------------ */

struct fixture {
	struct tiny_model model;
	struct slice slice;
	struct weight_source *weights;
	struct forward_config config;
	struct forward *f;
	float x[MAX_ROWS * 64];
};

static void
fixture_init(struct fixture *fx, const struct model_shape *s, bool factors, enum kv_type kv,
	void (*spoil)(struct unit *u, enum unit_kind kind, uint32_t layer))
{
	struct err err;

	tiny_model_make(&fx->model, s, factors, 5);
	fx->slice = slice_whole(&fx->model.shape);
	fx->weights = tiny_model_weights(&fx->model, &fx->slice, spoil);
	fx->config = (struct forward_config){.shape = &fx->model.shape,
		.slice = &fx->slice,
		.weights = fx->weights,
		.kernels = &kernels,
		.pool = pool,
		.max_rows = MAX_ROWS,
		.slots = 2,
		.context = CONTEXT,
		.kv = kv};
	fx->f = forward_new(&fx->config, &err);
	ck_assert_msg(fx->f != NULL, "%s", err.msg);
}

static void
fixture_deinit(struct fixture *fx)
{
	forward_free(fx->f);
	fx->weights->free(fx->weights);
	tiny_model_free(&fx->model);
}

/* Tokens [from, from + n) of a slot, logits of all of them wanted. */
static int
feed(struct fixture *fx, uint32_t slot, uint32_t from, uint32_t n, const float **logits,
	struct err *err)
{
	struct step_row rows[MAX_ROWS];

	for (uint32_t i = 0; i < n; i++)
		rows[i] = (struct step_row){slot, from + i, STEP_LOGITS};
	if (forward_embed(fx->f, tokens + from, n, fx->x, err) != 0)
		return -1;
	return forward_step(fx->f, rows, n, fx->x, logits, err);
}

static const float *
must_feed(struct fixture *fx, uint32_t slot, uint32_t from, uint32_t n)
{
	const float *logits;
	struct err err;

	ck_assert_msg(feed(fx, slot, from, n, &logits, &err) == 0, "%s", err.msg);
	return logits;
}

static void
expect_near(const float *got, const double *want, size_t n, double tolerance)
{
	for (size_t i = 0; i < n; i++)
		ck_assert_msg(fabs(got[i] - want[i]) <= tolerance, "value %zu is %f, not %f", i,
			(double)got[i], want[i]);
}

START_TEST(logits_are_those_of_the_plain_way)
{
	bool factors;
	struct model_shape s = model_shape(_i / 2, &factors);
	double want[TOKENS * 64];
	struct fixture fx;

	fixture_init(&fx, &s, factors, _i % 2 == 0 ? KV_F32 : KV_F16, NULL);
	tiny_model_compute(&fx.model, tokens, TOKENS, want);
	for (uint32_t from = 0; from < TOKENS; from += 5) {
		uint32_t n = TOKENS - from < 5 ? TOKENS - from : 5;

		expect_near(must_feed(&fx, 0, from, n), want + from * s.vocab, n * s.vocab,
			_i % 2 == 0 ? 2e-5 : 1e-2);
	}
	fixture_deinit(&fx);
}
END_TEST

/* --- slices ------------------------------------------------------------------------------------- */

struct member {
	pthread_t thread;
	const struct tiny_model *model;
	struct slice slice;
	struct collective *collective;
	struct thread_group *group;
	uint32_t first; /* of two sub-batches; 0: one */
	float *logits;  /* [TOKENS][vocab] of all */
	struct err err;
	bool failed;
};

static int
member_run(struct member *m, struct forward *f)
{
	uint32_t vocab = m->model->shape.vocab;
	float x[TOKENS * 64];
	struct step_row rows[TOKENS];
	const float *part;

	for (uint32_t i = 0; i < TOKENS; i++)
		rows[i] = (struct step_row){0, i, STEP_LOGITS};
	forward_divide(f, m->first);
	if (forward_embed(f, tokens, TOKENS, x, &m->err) != 0 ||
		forward_step(f, rows, TOKENS, x, &part, &m->err) != 0)
		return -1;
	for (uint32_t i = 0; i < TOKENS; i++)
		memcpy(m->logits + i * vocab + m->slice.vocab0, part + i * m->slice.vocab,
			m->slice.vocab * sizeof *part);
	return 0;
}

static void *
member_main(void *arg)
{
	struct member *m = arg;
	struct weight_source *ws = tiny_model_weights(m->model, &m->slice, NULL);
	struct pool *own = pool_new(1, &m->err);
	struct forward_config c = {.shape = &m->model->shape,
		.slice = &m->slice,
		.weights = ws,
		.collective = m->collective,
		.kernels = &kernels,
		.pool = own,
		.max_rows = TOKENS,
		.slots = 1,
		.context = CONTEXT};
	struct forward *f = own != NULL ? forward_new(&c, &m->err) : NULL;

	if (f == NULL || member_run(m, f) != 0) {
		m->failed = true;
		thread_group_break(m->group);
	}
	forward_free(f);
	pool_free(own);
	ws->free(ws);
	return NULL;
}

static void
run_group(const struct tiny_model *model, const float *shares, uint32_t n, uint32_t first,
	struct member *members, float *logits)
{
	struct thread_group *group = thread_group_new(n);
	struct slice slices[SLICE_MAX_PEERS];
	struct err err;

	ck_assert_ptr_nonnull(group);
	ck_assert_msg(slice_cut(&model->shape, shares, n, slices, &err) == 0, "%s", err.msg);
	for (uint32_t i = 0; i < n; i++) {
		members[i] = (struct member){.model = model,
			.slice = slices[i],
			.collective = thread_group_member(group, i),
			.group = group,
			.first = first,
			.logits = logits};
		ck_assert_int_eq(
			pthread_create(&members[i].thread, NULL, member_main, &members[i]), 0);
	}
	for (uint32_t i = 0; i < n; i++) {
		pthread_join(members[i].thread, NULL);
		ck_assert_msg(!members[i].failed, "peer %u: %s", i, members[i].err.msg);
	}
	thread_group_free(group);
}

START_TEST(slices_add_up)
{
	static const struct {
		uint32_t n;
		float shares[5];
	} cuts[] = {{2, {1, 1}}, {3, {1, 1, 1}}, {2, {5, 1}}, {3, {1, 4, 2}}, {3, {1, 900, 300}},
		{5, {1, 1, 1, 1, 1}}};
	struct model_shape shapes[] = {llama(), qwen2(), qwen3(), mixtral(), qwen3moe(), olmoe()};
	struct member members[5];
	double want[TOKENS * 64];
	float got[TOKENS * 64];

	for (size_t m = 0; m < sizeof shapes / sizeof *shapes; m++) {
		struct tiny_model model;

		tiny_model_make(&model, &shapes[m], false, 5);
		tiny_model_compute(&model, tokens, TOKENS, want);
		memset(got, 0xff, sizeof got);
		run_group(&model, cuts[_i].shares, cuts[_i].n, 0, members, got);
		expect_near(got, want, (size_t)TOKENS * shapes[m].vocab, 2e-5);
		tiny_model_free(&model);
	}
}
END_TEST

/* However a step is divided, and among however many peers, one without heads too: the bits of the whole
 * step. */
START_TEST(divided_steps_have_the_same_bits)
{
	static const float shares[][4] = {{1}, {2, 1}, {1, 4, 2}, {1, 900, 300, 2}};
	struct model_shape shapes[] = {llama(), qwen2(), qwen3(), mixtral(), qwen3moe(), olmoe()};
	struct member members[4];
	float want[TOKENS * 64], got[TOKENS * 64];
	uint32_t n = (uint32_t)_i + 1;

	for (size_t m = 0; m < sizeof shapes / sizeof *shapes; m++) {
		size_t bytes = (size_t)TOKENS * shapes[m].vocab * sizeof *got;
		struct tiny_model model;

		tiny_model_make(&model, &shapes[m], false, 5);
		run_group(&model, shares[_i], n, 0, members, want);
		for (uint32_t first = 1; first < TOKENS; first += 1 + (first + n) % 4) {
			memset(got, 0xff, sizeof got);
			run_group(&model, shares[_i], n, first, members, got);
			ck_assert_msg(memcmp(got, want, bytes) == 0,
				"model %zu, %u peers: other bits when divided behind row %u", m, n,
				first);
		}
		tiny_model_free(&model);
	}
}
END_TEST

/* Rows of two sessions, both of which are in both sub-batches, and a step too short to be divided there. */
START_TEST(sessions_can_be_divided)
{
	struct step_row rows[] = {{0, 0, STEP_LOGITS}, {0, 1, STEP_LOGITS}, {1, 0, STEP_LOGITS},
		{0, 2, STEP_LOGITS}, {1, 1, STEP_LOGITS}, {1, 2, STEP_LOGITS}};
	uint32_t n = sizeof rows / sizeof *rows, ids[6];
	float want[6 * 64], x[6 * 64];
	const float *logits;
	struct model_shape s = qwen3();
	struct fixture fx;
	struct err err = {""};

	fixture_init(&fx, &s, false, KV_F16, NULL);
	for (uint32_t i = 0; i < n; i++)
		ids[i] = tokens[rows[i].pos + 4 * rows[i].slot];
	for (uint32_t first = 0; first <= n; first++) {
		size_t bytes = (size_t)n * fx.model.shape.vocab * sizeof *want;

		forward_divide(fx.f, first);
		ck_assert_int_eq(forward_embed(fx.f, ids, n, x, &err), 0);
		ck_assert_msg(forward_step(fx.f, rows, n, x, &logits, &err) == 0, "%s", err.msg);
		if (first == 0)
			memcpy(want, logits, bytes);
		ck_assert_mem_eq(logits, want, bytes);
	}
	fixture_deinit(&fx);
}
END_TEST

/* Rows alone, together, or beside another session: the same bits, however many experts are held at
 * once; and each expert is taken once for all rows of a step. */
START_TEST(experts_are_computed_once_for_all_rows)
{
	struct model_shape shapes[] = {mixtral(), qwen3moe(), olmoe()}, s = shapes[_i];
	float want[TOKENS * 64];
	uint32_t before, steps = 0;
	struct fixture fx;

	fixture_init(&fx, &s, false, KV_F32, NULL);
	for (uint32_t i = 0; i < TOKENS; i++)
		memcpy(want + i * s.vocab, must_feed(&fx, 1, i, 1), s.vocab * sizeof *want);
	ck_assert_uint_eq(tiny_model_experts(fx.weights), TOKENS * s.layers * s.experts_used);
	for (uint32_t at_once = 0; at_once <= 3; at_once++) {
		fx.weights->at_once = at_once;
		before = tiny_model_experts(fx.weights);
		steps = 0;
		for (uint32_t from = 0; from < TOKENS; from += MAX_ROWS, steps++) {
			uint32_t n = TOKENS - from < MAX_ROWS ? TOKENS - from : MAX_ROWS;

			ck_assert_mem_eq(must_feed(&fx, 0, from, n), want + from * s.vocab,
				n * s.vocab * sizeof *want);
		}
		ck_assert_uint_le(
			tiny_model_experts(fx.weights) - before, steps * s.layers * s.experts);
	}
	fixture_deinit(&fx);
}
END_TEST

START_TEST(equal_experts_are_taken_from_the_first_on)
{
	struct model_shape s = mixtral();
	size_t expert = (size_t)s.ffn * s.embd;
	float want[64], got[64];
	struct fixture fx;

	/* With a router of zeros all experts are equal: the first two count, the others do not. */
	fixture_init(&fx, &s, false, KV_F32, NULL);
	for (uint32_t l = 0; l < s.layers; l++)
		memset(fx.model.w[l][TENSOR_ROUTER], 0, s.experts * s.embd * sizeof(float));
	memcpy(want, must_feed(&fx, 0, 0, 1), s.vocab * sizeof *want);
	for (uint32_t l = 0; l < s.layers; l++)
		memset(fx.model.w[l][TENSOR_EXPERT_DOWN] + 2 * expert, 0x7f,
			2 * expert * sizeof(float));
	memcpy(got, must_feed(&fx, 0, 0, 1), s.vocab * sizeof *got);
	ck_assert_mem_eq(got, want, s.vocab * sizeof *got);
	memset(fx.model.w[1][TENSOR_EXPERT_DOWN] + expert, 0, expert * sizeof(float));
	ck_assert_mem_ne(must_feed(&fx, 0, 0, 1), want, s.vocab * sizeof *got);
	fixture_deinit(&fx);
}
END_TEST

START_TEST(a_group_of_one_gives_the_bits_of_none)
{
	struct model_shape s = qwen2();
	struct member members[1];
	float got[TOKENS * 64];
	struct fixture fx;

	fixture_init(&fx, &s, false, KV_F32, NULL);
	run_group(&fx.model, NULL, 1, 0, members, got);
	for (uint32_t i = 0; i < TOKENS; i++)
		ck_assert_mem_eq(must_feed(&fx, 1, i, 1), got + i * s.vocab, s.vocab * sizeof *got);
	fixture_deinit(&fx);
}
END_TEST

/* --- sessions ----------------------------------------------------------------------------------- */

START_TEST(positions_can_be_overwritten)
{
	struct model_shape s = llama();
	float first[64], again[64];
	struct fixture fx;

	fixture_init(&fx, &s, false, KV_F32, NULL);
	must_feed(&fx, 0, 0, 8);
	memcpy(first, must_feed(&fx, 0, 8, 1), s.vocab * sizeof *first);
	must_feed(&fx, 0, 9, 3);
	memcpy(again, must_feed(&fx, 0, 8, 1), s.vocab * sizeof *again);
	ck_assert_mem_eq(first, again, s.vocab * sizeof *first);
	/* Back to 8 means that 9 and on are gone. */
	must_feed(&fx, 0, 9, 1);
	must_feed(&fx, 0, 0, 1);
	fixture_deinit(&fx);
}
END_TEST

START_TEST(only_wanted_logits_are_given_in_order)
{
	struct model_shape s = llama();
	struct step_row rows[] = {{0, 0, 0}, {1, 0, STEP_LOGITS}, {0, 1, STEP_LOGITS}, {1, 1, 0}};
	uint32_t ids[] = {tokens[0], tokens[0], tokens[1], tokens[1]};
	float want[2 * 64];
	const float *logits;
	struct fixture fx;
	struct err err;

	fixture_init(&fx, &s, false, KV_F32, NULL);
	memcpy(want, must_feed(&fx, 0, 0, 2), 2 * s.vocab * sizeof *want);
	ck_assert_int_eq(forward_embed(fx.f, ids, 4, fx.x, &err), 0);
	ck_assert_msg(forward_step(fx.f, rows, 4, fx.x, &logits, &err) == 0, "%s", err.msg);
	ck_assert_mem_eq(logits, want, 2 * s.vocab * sizeof *want);
	fixture_deinit(&fx);
}
END_TEST

static bool still_moving;

static bool
say_moving(struct weight_source *ws)
{
	(void)ws;
	return still_moving;
}

/* Of TOKENS steps of one row, those with one of the pool's two threads. */
static unsigned
steps_with_one(struct fixture *fx)
{
	unsigned n = 0;

	for (uint32_t i = 0; i < TOKENS; i++) {
		n += forward_threads(fx->f, 1) < 2;
		must_feed(fx, 0, i, 1);
	}
	return n;
}

START_TEST(threads_are_tried_once_weights_stay)
{
	struct model_shape s = llama();
	struct fixture fx;

	fixture_init(&fx, &s, false, KV_F32, NULL);
	fx.weights->moving = say_moving;
	still_moving = true;
	ck_assert_uint_eq(steps_with_one(&fx), 0);
	still_moving = false;
	ck_assert_uint_gt(steps_with_one(&fx), 0);
	fixture_deinit(&fx);
}
END_TEST

static void
expect_refused(struct fixture *fx, const struct step_row *rows, uint32_t n, const char *why)
{
	struct err err = {""};
	const float *logits;

	ck_assert_int_eq(forward_step(fx->f, rows, n, fx->x, &logits, &err), -1);
	ck_assert_msg(strstr(err.msg, why) != NULL, "\"%s\" does not say \"%s\"", err.msg, why);
}

START_TEST(rows_that_cannot_be_are_refused)
{
	struct step_row many[MAX_ROWS + 1] = {{0}};
	struct model_shape s = llama();
	const float *logits;
	struct fixture fx;
	struct err err;

	fixture_init(&fx, &s, false, KV_F32, NULL);
	must_feed(&fx, 0, 0, 3);
	expect_refused(&fx, many, 0, "0 rows");
	expect_refused(&fx, many, MAX_ROWS + 1, "9 rows");
	expect_refused(&fx, many, UINT32_MAX, "4294967295 rows");
	expect_refused(&fx, (struct step_row[]){{2, 0, 0}}, 1, "slot 2 of 2");
	expect_refused(&fx, (struct step_row[]){{UINT32_MAX, 0, 0}}, 1, "slot 4294967295");
	expect_refused(
		&fx, (struct step_row[]){{0, CONTEXT, 0}}, 1, "position 16 of a context of 16");
	expect_refused(&fx, (struct step_row[]){{0, UINT32_MAX, 0}}, 1, "position 4294967295");
	expect_refused(&fx, (struct step_row[]){{0, 4, 0}}, 1, "which holds 3");
	expect_refused(&fx, (struct step_row[]){{1, 1, 0}}, 1, "which holds 0");
	expect_refused(&fx, (struct step_row[]){{0, 3, 0}, {0, 5, 0}}, 2, "must be 4");
	expect_refused(&fx, (struct step_row[]){{0, 3, 0}, {0, 3, 0}}, 2, "must be 4");
	expect_refused(&fx, (struct step_row[]){{1, 0, 0}, {0, 3, 0}, {1, 2, 0}}, 3, "row 2");
	ck_assert_int_eq(forward_embed(fx.f, &s.vocab, 1, fx.x, &err), -1);
	ck_assert_ptr_nonnull(strstr(err.msg, "token id 51"));
	/* What was refused changed nothing. */
	ck_assert_int_eq(feed(&fx, 0, 3, 1, &logits, &err), 0);
	fixture_deinit(&fx);
}
END_TEST

/* --- what weight sources and collectives may do ------------------------------------------------- */

static enum tensor_role spoiled_role;
static struct matrix spoiled_with;

static void
spoil_role(struct unit *u, enum unit_kind kind, uint32_t layer)
{
	(void)kind;
	if (layer == 1 || spoiled_role == TENSOR_OUT || spoiled_role == TENSOR_EMBED)
		if (u->t[spoiled_role].data != NULL)
			u->t[spoiled_role] = spoiled_with;
}

static void
expect_spoiled(enum tensor_role r, struct matrix with, const char *why)
{
	bool moe = r >= TENSOR_ROUTER && r <= TENSOR_EXPERT_DOWN;
	struct model_shape s = moe                                        ? mixtral()
			       : r == TENSOR_Q_NORM || r == TENSOR_K_NORM ? qwen3()
									  : qwen2();
	struct fixture fx;
	const float *logits;
	struct err err = {""};

	spoiled_role = r;
	spoiled_with = with;
	fixture_init(&fx, &s, false, KV_F32, spoil_role);
	ck_assert_int_eq(feed(&fx, 0, 0, 2, &logits, &err), -1);
	ck_assert_msg(strstr(err.msg, why) != NULL, "\"%s\" does not say \"%s\"", err.msg, why);
	/* The step is void, and its positions hold nothing. */
	spoiled_role = TENSOR_ROPE_FREQS;
	expect_refused(&fx, (struct step_row[]){{0, 1, 0}}, 1, "which holds 0");
	must_feed(&fx, 0, 0, 2);
	fixture_deinit(&fx);
}

START_TEST(weights_of_other_sizes_are_refused)
{
	static const float few[4096] = {0};
	struct matrix m = {.dtype = DTYPE_F32, .rows = 3, .cols = 5, .stride = 20};

	expect_spoiled(TENSOR_Q, m, "layer 1: attn_q");
	m.data = (const uint8_t *)few;
	for (enum tensor_role r = TENSOR_ATTN_NORM; r < TENSOR_ROPE_FREQS; r++)
		if (r != TENSOR_OUT_NORM)
			expect_spoiled(r, m, "is 3 x 5, not ");
	expect_spoiled(TENSOR_EXPERT_UP, m, "layer 1: expert ");
	expect_spoiled(TENSOR_EMBED, m, "3 x 5");
	m = (struct matrix){
		.dtype = 16, .rows = 42, .cols = 24, .stride = 96, .data = (const uint8_t *)few};
	expect_spoiled(TENSOR_GATE, m, "type IQ2_XXS is not computed");
	m.dtype = 77;
	expect_spoiled(TENSOR_GATE, m, "type ? is not computed");
	m.dtype = DTYPE_F32;
	m.stride = 95;
	expect_spoiled(TENSOR_GATE, m, "overlap");
	m = (struct matrix){.dtype = DTYPE_F16,
		.rows = 1,
		.cols = 24,
		.stride = 48,
		.data = (const uint8_t *)few};
	expect_spoiled(TENSOR_ATTN_NORM, m, "not float32");
}
END_TEST

static int failing_at, next_sum;
static bool failing_late; /* as the sum finishes, not as it begins */

static int
begin_sometimes(struct collective *c, float *rows, uint32_t n, uint32_t width,
	const struct collective_label *label, struct err *err)
{
	(void)c;
	(void)rows;
	ck_assert_uint_eq(n, 3);
	ck_assert_uint_eq(width, 24);
	ck_assert_uint_eq(label->part, 0);
	next_sum = (int)(2 * label->layer + label->phase);
	return next_sum == failing_at && !failing_late ? err_set(err, "peer 2 is lost") : 0;
}

static int
finish_sometimes(struct collective *c, struct err *err)
{
	(void)c;
	return next_sum == failing_at ? err_set(err, "peer 2 is lost") : 0;
}

START_TEST(a_lost_peer_voids_the_step)
{
	struct model_shape s = llama();
	struct collective c = {.begin = begin_sometimes, .finish = finish_sometimes};
	const float *logits;
	struct fixture fx;
	struct err err;

	fixture_init(&fx, &s, false, KV_F32, NULL);
	forward_free(fx.f);
	fx.config.collective = &c;
	fx.f = forward_new(&fx.config, &err);
	ck_assert_msg(fx.f != NULL, "%s", err.msg);
	for (int i = 0; i < 8; i++) {
		failing_at = i / 2;
		failing_late = i % 2 != 0;
		ck_assert_int_eq(feed(&fx, 0, 0, 3, &logits, &err), -1);
		ck_assert_str_eq(err.msg, "peer 2 is lost");
		expect_refused(&fx, (struct step_row[]){{0, 1, 0}}, 1, "which holds 0");
	}
	failing_at = -1;
	ck_assert_int_eq(feed(&fx, 0, 0, 3, &logits, &err), 0);
	fixture_deinit(&fx);
}
END_TEST

/* --- refusals at the start ---------------------------------------------------------------------- */

static void
expect_no_forward(struct fixture *fx, const char *why)
{
	struct err err = {""};

	ck_assert_ptr_null(forward_new(&fx->config, &err));
	ck_assert_msg(strstr(err.msg, why) != NULL, "\"%s\" does not say \"%s\"", err.msg, why);
}

START_TEST(what_cannot_be_computed_is_refused_at_the_start)
{
	struct model_shape s = llama();
	struct fixture fx;
	struct forward_config good;

	fixture_init(&fx, &s, false, KV_F32, NULL);
	good = fx.config;
	fx.config.max_rows = 0;
	expect_no_forward(&fx, "none may be 0");
	fx.config.max_rows = UINT32_MAX;
	expect_no_forward(&fx, "too many");
	fx.config = good;
	fx.config.context = UINT32_MAX;
	fx.config.slots = UINT32_MAX;
	expect_no_forward(&fx, "no memory");
	ck_assert_uint_eq(forward_bytes(&fx.config), SIZE_MAX);
	fx.config = good;
	fx.slice.ffn = 41;
	expect_no_forward(&fx, "no collective");
	fx.slice.ffn = 43;
	expect_no_forward(&fx, "ffn columns [0, 0 + 43) of a model with 42");
	fx.slice.ffn = 42;
	fx.slice.kv_head0 = UINT32_MAX;
	expect_no_forward(&fx, "KV heads");
	fx.slice.kv_head0 = 0;
	fx.model.shape.heads = 5;
	expect_no_forward(&fx, "5 heads");
	fx.model.shape.heads = 4;
	fx.model.shape.rope_dim = 10;
	expect_no_forward(&fx, "rope");
	fx.model.shape.rope_dim = 7;
	expect_no_forward(&fx, "rope");
	fx.model.shape.rope_dim = 8;
	fx.model.shape.experts_used = 1;
	expect_no_forward(&fx, "1 of 0 experts");
	fx.model.shape.experts_used = 0;
	fx.model.shape.qk_norm_wide = true;
	fx.slice.kv_heads = 1;
	expect_no_forward(&fx, "norms all together");
	fx.slice.kv_heads = 2;
	fx.model.shape.qk_norm_wide = false;
	fx.model.shape.rope_base = NAN;
	expect_no_forward(&fx, "rope base");
	fx.model.shape.rope_base = 100.0f;
	fx.model.shape.rope_scaling = ROPE_LINEAR;
	fx.model.shape.rope_factor = 0.0f;
	expect_no_forward(&fx, "rope scaling factor");
	fixture_deinit(&fx);
}
END_TEST

START_TEST(its_bytes_are_told_before)
{
	struct model_shape s = llama();
	struct fixture fx;
	size_t some, more;

	fixture_init(&fx, &s, false, KV_F32, NULL);
	fx.config.context = 2 * KV_GROUP;
	some = forward_bytes(&fx.config);
	fx.config.context *= 2;
	more = forward_bytes(&fx.config);
	/* layers, slots, K and V, positions, heads of (padded) dimensions of floats */
	ck_assert_uint_eq(more - some, (size_t)2 * 2 * 2 * 2 * KV_GROUP * 2 * 32 * 4);
	fixture_deinit(&fx);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("forward");
	TCase *tc = tcase_create("forward");
	SRunner *r;
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, logits_are_those_of_the_plain_way, 0, 2 * N_MODELS);
	tcase_add_loop_test(tc, slices_add_up, 0, 6);
	tcase_add_loop_test(tc, divided_steps_have_the_same_bits, 0, 4);
	tcase_add_test(tc, sessions_can_be_divided);
	tcase_add_loop_test(tc, experts_are_computed_once_for_all_rows, 0, 3);
	tcase_add_test(tc, equal_experts_are_taken_from_the_first_on);
	tcase_add_test(tc, a_group_of_one_gives_the_bits_of_none);
	tcase_add_test(tc, positions_can_be_overwritten);
	tcase_add_test(tc, only_wanted_logits_are_given_in_order);
	tcase_add_test(tc, threads_are_tried_once_weights_stay);
	tcase_add_test(tc, rows_that_cannot_be_are_refused);
	tcase_add_test(tc, weights_of_other_sizes_are_refused);
	tcase_add_test(tc, a_lost_peer_voids_the_step);
	tcase_add_test(tc, what_cannot_be_computed_is_refused_at_the_start);
	tcase_add_test(tc, its_bytes_are_told_before);
	suite_add_tcase(s, tc);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
