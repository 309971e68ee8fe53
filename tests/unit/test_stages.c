/* A pipeline adds no sum in another order than one device: a chain of forward passes over runs of
 * layers gives the same bits as one over all of them, whatever the weights' format and wherever they lie.
 */
#include "kernels/cpu.h"
#include "model/forward.h"
#include "model/window.h"
#include "tests/support/shard_fixture.h"
#include "tests/support/shared_dir.h"
#include "tests/support/tiny_model.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROWS    5
#define PROMPT  8
#define TOKENS  12
#define CONTEXT 32
#define STAGES  4

enum place { PLACE_ROWS, PLACE_TILES, PLACE_SHARD, PLACE_WINDOW, PLACES };

static const char *const models[] = {"stories260K", "llama-nano-q4_0", "llama-nano-q6_k",
	"qwen3-nano-q4_k_m", "qwen3moe-nano-q4_0"};
enum { MODELS = sizeof models / sizeof *models };

static struct pool *pool;
static struct kernels kernels;

static void
setup(void)
{
	shard_setup();
	pool = pool_new(2, &err);
	ck_assert_msg(pool != NULL, "%s", err.msg);
	kernels_init(&kernels, cpu_detect());
}

static void
teardown(void)
{
	pool_free(pool);
	shard_teardown();
}

/* --- a chain ------------------------------------------------------------------------------------ */

struct stage {
	struct slice slice;
	struct shard *shard;
	struct weight_source *weights;
	struct forward *forward;
};

struct chain {
	uint32_t n;
	struct stage stages[STAGES];
	float x[ROWS * 1024];
};

static struct weight_source *
stage_weights(struct stage *st, enum place place, bool first)
{
	char path[160];

	if (place == PLACE_ROWS)
		return weights_from_gguf(g, &shape, &st->slice, first, &err);
	if (place == PLACE_TILES)
		return weights_tiled_from_gguf(g, &shape, &st->slice, first, NULL, NULL, &err);
	snprintf(path, sizeof path, "%s/%u.shard", dir, st->slice.layer0);
	ck_assert_msg(
		shard_make(g, &shape, &st->slice, path, NULL, NULL, &err) == 0, "%s", err.msg);
	st->shard = shard_open(path, true, &err);
	ck_assert_msg(st->shard != NULL, "%s", err.msg);
	if (place == PLACE_SHARD)
		return weights_from_shard(st->shard, first ? g : NULL, &err);
	return weights_window(st->shard, first ? g : NULL,
		window_weights_least(shard_header(st->shard)), NULL, NULL, &err);
}

static void
open_stage(struct stage *st, const struct model_shape *s)
{
	st->forward = forward_new(&(const struct forward_config){.shape = s,
					  .slice = &st->slice,
					  .weights = st->weights,
					  .kernels = &kernels,
					  .pool = pool,
					  .max_rows = ROWS,
					  .slots = 2,
					  .context = CONTEXT,
					  .kv = KV_F16},
		&err);
	ck_assert_msg(st->forward != NULL, "%s", err.msg);
}

/* The layers dealt to n stages as evenly as they go, the later ones with more. */
static void
deal(struct chain *c, const struct model_shape *s, uint32_t n)
{
	memset(c, 0, sizeof *c);
	c->n = n;
	ck_assert_uint_le(s->embd, 1024);
	for (uint32_t i = 0; i < n; i++) {
		uint32_t from = s->layers * i / n, to = s->layers * (i + 1) / n;

		c->stages[i].slice = slice_whole(s);
		slice_narrow(s, from, to - from, &c->stages[i].slice);
	}
}

static void
chain_open(struct chain *c, uint32_t n, enum place place)
{
	deal(c, &shape, n);
	for (uint32_t i = 0; i < n; i++) {
		struct stage *st = &c->stages[i];

		st->weights = stage_weights(st, place, i == 0);
		ck_assert_msg(st->weights != NULL, "%s", err.msg);
		open_stage(st, &shape);
	}
}

static void
chain_close(struct chain *c)
{
	for (uint32_t i = 0; i < c->n; i++) {
		forward_free(c->stages[i].forward);
		c->stages[i].weights->free(c->stages[i].weights);
		shard_close(c->stages[i].shard);
	}
}

/* n tokens of a slot from pos on; the logits of the last one. */
static const float *
chain_step(struct chain *c, uint32_t vocab, uint32_t slot, uint32_t pos, uint32_t n)
{
	struct step_row rows[ROWS];
	uint32_t tokens[ROWS];
	const float *logits = NULL;

	for (uint32_t i = 0; i < n; i++) {
		tokens[i] = (slot + pos + i) * 37 % vocab;
		rows[i] = (struct step_row){slot, pos + i, i + 1 == n ? STEP_LOGITS : 0};
	}
	ck_assert_int_eq(forward_embed(c->stages[0].forward, tokens, n, c->x, &err), 0);
	for (uint32_t i = 0; i < c->n; i++)
		ck_assert_msg(forward_step(c->stages[i].forward, rows, n, c->x, &logits, &err) == 0,
			"stage %u: %s", i, err.msg);
	return logits;
}

/* Prompts in chunks, then token by token, of two sessions in turns: the logits of all steps. */
static float *
chain_run(struct chain *c, uint32_t vocab, uint32_t *steps)
{
	float *all = malloc(sizeof *all * 2 * TOKENS * vocab);

	ck_assert_ptr_nonnull(all);
	*steps = 0;
	for (uint32_t pos = 0, n; pos < TOKENS; pos += n) {
		n = pos < PROMPT ? (PROMPT - pos < ROWS ? PROMPT - pos : ROWS) : 1;
		for (uint32_t slot = 0; slot < 2; slot++, ++*steps)
			memcpy(all + (size_t)*steps * vocab, chain_step(c, vocab, slot, pos, n),
				sizeof *all * vocab);
	}
	return all;
}

static float *
run(uint32_t n, enum place place, uint32_t *steps)
{
	struct chain *c = malloc(sizeof *c);
	float *all;

	ck_assert_ptr_nonnull(c);
	chain_open(c, n, place);
	all = chain_run(c, shape.vocab, steps);
	chain_close(c);
	free(c);
	return all;
}

/* --- tests -------------------------------------------------------------------------------------- */

START_TEST(chains_give_the_same_bits)
{
	uint32_t steps, again, most;
	float *want, *got;

	use_model(models[_i]);
	most = shape.layers < STAGES ? shape.layers : STAGES;
	ck_assert_uint_ge(most, 2);
	want = run(1, PLACE_ROWS, &steps);
	ck_assert_uint_gt(steps, TOKENS - PROMPT);
	for (int place = 0; place < PLACES; place++) {
		got = run(place == PLACE_TILES ? most : 2, (enum place)place, &again);
		ck_assert_uint_eq(again, steps);
		ck_assert_msg(memcmp(got, want, sizeof *got * steps * shape.vocab) == 0,
			"%s: other bits with weights at place %d", models[_i], place);
		free(got);
	}
	free(want);
}
END_TEST

/* Frequency factors stand in the file once; each stage has them. */
START_TEST(every_stage_has_the_frequency_factors)
{
	const struct model_shape s = {.arch = ARCH_LLAMA,
		.layers = 3,
		.embd = 24,
		.ffn = 42,
		.heads = 4,
		.kv_heads = 2,
		.head_dim = 8,
		.vocab = 51,
		.context = CONTEXT,
		.norm_eps = 1e-5f,
		.rope_dim = 8,
		.rope_base = 100.0f,
		.rope_factor = 1.0f,
		.col_block = 1};
	struct chain *c = malloc(sizeof *c);
	float *out[STAGES] = {NULL};
	struct tiny_model m;
	uint32_t steps = 0;

	ck_assert_ptr_nonnull(c);
	tiny_model_make(&m, &s, true, 5);
	for (uint32_t n = 1; n <= 3; n++) {
		deal(c, &s, n);
		for (uint32_t i = 0; i < n; i++) {
			c->stages[i].weights = tiny_model_weights(&m, &c->stages[i].slice, NULL);
			open_stage(&c->stages[i], &s);
		}
		out[n] = chain_run(c, s.vocab, &steps);
		ck_assert_mem_eq(out[n], out[1], sizeof(float) * steps * s.vocab);
		chain_close(c);
	}
	for (uint32_t n = 1; n <= 3; n++)
		free(out[n]);
	free(c);
	tiny_model_free(&m);
}
END_TEST

static bool
can_be_read(const struct slice *sl)
{
	struct slice back;
	struct buf b;
	struct rd r;
	bool ok;

	buf_init(&b, 0);
	slice_write(sl, &b);
	r = rd_init(b.data, b.len);
	ok = slice_read(&r, &shape, &back, &err) == 0;
	if (ok)
		ck_assert(slice_same(sl, &back));
	buf_free(&b);
	return ok;
}

START_TEST(impossible_layers_are_refused)
{
	struct slice whole = slice_whole(&shape), sl = whole;

	ck_assert(can_be_read(&sl));
	slice_narrow(&shape, 0, 1, &sl);
	ck_assert_uint_eq(sl.vocab, 0);
	ck_assert(can_be_read(&sl));
	ck_assert(!slice_same(&sl, &whole));
	sl.vocab = 1;
	ck_assert(!can_be_read(&sl));
	ck_assert_ptr_nonnull(strstr(err.msg, "have no head"));
	for (unsigned i = 0; i < 4; i++) {
		static const uint32_t bad[][2] = {
			{0, 0}, {1, UINT32_MAX}, {UINT32_MAX, 2}, {0, 4097}};

		sl = whole;
		sl.layer0 = bad[i][0];
		sl.layers = bad[i][1];
		ck_assert(!can_be_read(&sl));
		ck_assert_ptr_nonnull(strstr(err.msg, "are no part of"));
	}
	sl = whole;
	slice_narrow(&shape, 1, shape.layers - 1, &sl);
	ck_assert_uint_eq(sl.vocab, shape.vocab);
	ck_assert(can_be_read(&sl));
}
END_TEST

/* A stage that shall compute layers which its weights are not of. */
START_TEST(foreign_layers_are_missed)
{
	struct stage st = {.slice = slice_whole(&shape)};
	struct slice first = st.slice;

	slice_narrow(&shape, 0, 1, &first);
	slice_narrow(&shape, 1, shape.layers - 1, &st.slice);
	st.weights = weights_from_gguf(g, &shape, &first, false, &err);
	ck_assert_ptr_nonnull(st.weights);
	ck_assert_ptr_null(forward_new(&(const struct forward_config){.shape = &shape,
					       .slice = &st.slice,
					       .weights = st.weights,
					       .kernels = &kernels,
					       .pool = pool,
					       .max_rows = 1,
					       .slots = 1,
					       .context = 8},
		&err));
	ck_assert_msg(strstr(err.msg, "layer 1") != NULL, "%s", err.msg);
	st.weights->free(st.weights);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("stages");
	TCase *t = tcase_create("stages");
	SRunner *r;
	int failed;

	if (shared_file("models/stories260K.gguf") == NULL) {
		printf("SKIP stages: ../shared is not there\n");
		return TEST_SKIPPED;
	}
	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, chains_give_the_same_bits, 0, MODELS);
	tcase_add_test(t, every_stage_has_the_frequency_factors);
	tcase_add_test(t, impossible_layers_are_refused);
	tcase_add_test(t, foreign_layers_are_missed);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
