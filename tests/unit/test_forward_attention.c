/* Attention over contexts of several spans: what it computes, and that neither threads nor the cut into
 * steps change a bit of it. */
#include "kernels/cpu.h"
#include "model/forward.h"
#include "tests/support/tiny_model.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define TOKENS   1040 /* enough for threads to divide the context */
#define LAST     6    /* tokens whose logits are compared */
#define MAX_ROWS 300
#define EMBD     24
#define VOCAB    51

/* ThreadSanitizer makes each access tens of times as slow and looks for races alone: it gets one case of
 * each type of KV, without the reference in double and plain C. */
#ifdef __SANITIZE_THREAD__
enum { CASE_STEP = 2, WHAT_IS_SLOW = 0 };
#else
enum { CASE_STEP = 1, WHAT_IS_SLOW = 1 };
#endif

static struct model_shape
shape(uint32_t kv_heads, uint32_t head_dim)
{
	return (struct model_shape){.arch = ARCH_LLAMA,
		.layers = 2,
		.embd = EMBD,
		.ffn = 42,
		.heads = 6,
		.kv_heads = kv_heads,
		.head_dim = head_dim,
		.vocab = VOCAB,
		.context = TOKENS,
		.norm_eps = 1e-5f,
		.rope_dim = head_dim,
		.rope_interleaved = true,
		.rope_base = 10000.0f,
		.rope_factor = 1.0f,
		.col_block = 1};
}

static uint32_t
token(uint32_t i)
{
	return (i * 37 + i / 51 * 11 + 5) % VOCAB;
}

/* How a context is computed. */
struct way {
	unsigned threads;
	uint32_t chunk; /* tokens of a step */
	uint32_t last;  /* the same for the last few */
	bool beside;    /* a second session's rows stand between */
	const char *cpu;
};

static void
step(struct forward *f, uint32_t from, uint32_t n, bool beside, const float **logits)
{
	struct step_row rows[2 * MAX_ROWS];
	uint32_t ids[2 * MAX_ROWS], count = 0;
	static float x[2 * MAX_ROWS * EMBD];
	struct err err;

	for (uint32_t i = from; i < from + n; i++) {
		ids[count] = token(i);
		rows[count++] = (struct step_row){0, i, i >= TOKENS - LAST ? STEP_LOGITS : 0};
		if (beside) {
			ids[count] = token(i + 7);
			rows[count++] = (struct step_row){1, i, 0};
		}
	}
	ck_assert_msg(forward_embed(f, ids, count, x, &err) == 0 &&
			      forward_step(f, rows, count, x, logits, &err) == 0,
		"%s", err.msg);
}

/* logits[LAST][VOCAB] */
static void
compute(const struct tiny_model *m, enum kv_type kv, const struct way *w, float *logits)
{
	struct slice slice = slice_whole(&m->shape);
	struct weight_source *ws = tiny_model_weights(m, &slice, NULL);
	uint32_t features = cpu_detect();
	struct kernels kernels;
	struct err err = {""};
	struct pool *pool = pool_new(w->threads, &err);
	struct forward *f;

	ck_assert_msg(pool != NULL, "%s", err.msg);
	if (w->cpu != NULL)
		ck_assert_int_eq(cpu_parse(w->cpu, &features, &err), 0);
	kernels_init(&kernels, features);
	f = forward_new(&(const struct forward_config){.shape = &m->shape,
				.slice = &slice,
				.weights = ws,
				.kernels = &kernels,
				.pool = pool,
				.max_rows = 2 * MAX_ROWS,
				.slots = 2,
				.context = TOKENS,
				.kv = kv},
		&err);
	ck_assert_msg(f != NULL, "%s", err.msg);
	for (uint32_t at = 0, n; at < TOKENS; at += n) {
		uint32_t end = at < TOKENS - LAST ? TOKENS - LAST : TOKENS;
		uint32_t most = at < TOKENS - LAST ? w->chunk : w->last;
		const float *got;

		n = end - at < most ? end - at : most;
		step(f, at, n, w->beside, &got);
		if (end == TOKENS)
			memcpy(logits + (size_t)(at + LAST - TOKENS) * VOCAB, got,
				(size_t)n * VOCAB * sizeof *got);
	}
	forward_free(f);
	pool_free(pool);
	ws->free(ws);
}

static const struct {
	uint32_t kv_heads, head_dim;
	enum kv_type kv;
	double tolerance; /* from double: what 8 bits a value do to a model of random weights */
} cases[] = {
	{1, 16, KV_F32, 2e-5},
	{2, 40, KV_F32, 2e-5},
	{2, 16, KV_F16, 5e-3},
	{3, 8, KV_F16, 5e-3},
	{2, 16, KV_Q8_0, 5e-2},
	{1, 40, KV_Q8_0, 5e-2},
};

static double
worst_deviation(const struct tiny_model *m, const float *logits)
{
	double *want = malloc((size_t)TOKENS * VOCAB * sizeof *want);
	uint32_t ids[TOKENS];
	double worst = 0;

	ck_assert_ptr_nonnull(want);
	for (uint32_t i = 0; i < TOKENS; i++)
		ids[i] = token(i);
	tiny_model_compute(m, ids, TOKENS, want);
	for (uint32_t i = 0; i < LAST * VOCAB; i++) {
		double d = fabs(logits[i] - want[(size_t)(TOKENS - LAST) * VOCAB + i]);

		worst = d > worst || d != d ? d : worst;
	}
	free(want);
	return worst;
}

START_TEST(long_contexts_give_the_same_bits_whatever_the_way)
{
	const int i = _i * CASE_STEP;
	static const struct way ways[] = {
		{1, 300, 1, false, NULL}, /* one thread does not divide a context */
		{3, 17, 1, false, NULL}, {4, 64, 3, false, NULL}, {2, 33, LAST, false, NULL},
		{3, 300, 2, true, NULL}, {2, 255, 1, false, "plain"}, /* slow: once */
	};
	struct model_shape s = shape(cases[i].kv_heads, cases[i].head_dim);
	float first[LAST * VOCAB], got[LAST * VOCAB];
	struct tiny_model m;

	tiny_model_make(&m, &s, false, 5);
	compute(&m, cases[i].kv, &ways[0], first);
	if (WHAT_IS_SLOW) {
		double worst = worst_deviation(&m, first);

		ck_assert_msg(worst <= cases[i].tolerance, "%s: logits deviate by %g from double",
			kv_type_name(cases[i].kv), worst);
	}
	for (size_t w = 1; w < sizeof ways / sizeof *ways; w++) {
		if (ways[w].cpu != NULL && (i != 2 || !WHAT_IS_SLOW))
			continue;
		memset(got, 0xff, sizeof got);
		compute(&m, cases[i].kv, &ways[w], got);
		ck_assert_msg(memcmp(got, first, sizeof got) == 0,
			"%s: %u threads, chunks of %u, then of %u%s%s: other logits",
			kv_type_name(cases[i].kv), ways[w].threads, ways[w].chunk, ways[w].last,
			ways[w].beside ? ", beside another session" : "",
			ways[w].cpu != NULL ? ", in plain C" : "");
	}
	tiny_model_free(&m);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("forward_attention");
	TCase *tc = tcase_create("forward_attention");
	SRunner *r;
	int failed;

	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, long_contexts_give_the_same_bits_whatever_the_way, 0,
		(int)(sizeof cases / sizeof *cases) / CASE_STEP);
	suite_add_tcase(s, tc);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
