/* Steps whose sums go by rows give the bits that they give otherwise. */
#include "kernels/block.h"
#include "kernels/cpu.h"
#include "model/forward.h"
#include "tests/support/thread_collective.h"
#include "tests/support/tiny_model.h"

#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PEERS = 4, STEPS = 4, ROWS = 9, EMBD = 64, VOCAB = 48, CONTEXT = 64 };

/* The first step goes as ever, the others by rows where they have several. */
static const uint32_t step_rows[STEPS] = {5, ROWS, 1, 7};

static struct model_shape
shape(void)
{
	return (struct model_shape){.arch = ARCH_LLAMA,
		.layers = 3,
		.col_block = 32,
		.context = CONTEXT,
		.embd = EMBD,
		.ffn = 256,
		.heads = 4,
		.kv_heads = 4,
		.head_dim = 32,
		.vocab = VOCAB,
		.rope_dim = 32,
		.rope_base = 100.0f,
		.rope_factor = 1.0f,
		.norm_eps = 1e-5f};
}

/* --- matrices of 8 bits --- */

static bool float_gate; /* the gate stays float32 */

static struct quantised {
	uint8_t *rows;
	struct quantised *next;
} * all_quantised;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static uint8_t *
room(size_t bytes)
{
	struct quantised *q = malloc(sizeof *q);

	ck_assert_ptr_nonnull(q);
	q->rows = malloc(bytes);
	ck_assert_ptr_nonnull(q->rows);
	pthread_mutex_lock(&lock);
	q->next = all_quantised;
	all_quantised = q;
	pthread_mutex_unlock(&lock);
	return q->rows;
}

static void
free_quantised(void)
{
	while (all_quantised != NULL) {
		struct quantised *q = all_quantised;

		all_quantised = q->next;
		free(q->rows);
		free(q);
	}
}

/* Blocks of Q8_0, all of the scale 2^-7. */
static void
quantise(struct matrix *m)
{
	size_t stride = dtype_row_bytes(DTYPE_Q8_0, m->cols);
	uint8_t *out = room(m->rows * stride);

	for (uint32_t r = 0; r < m->rows; r++) {
		const float *x = (const void *)(m->data + r * m->stride);
		uint8_t *b = out + r * stride;

		for (uint32_t c = 0; c < m->cols; c++, x++) {
			float q = *x * 128 + (*x < 0 ? -0.5f : 0.5f);

			if (c % BLOCK == 0) {
				memcpy(b, (const uint8_t[]){0x00, 0x20}, 2);
				b += 2;
			}
			*b++ = (uint8_t)(int8_t)(q < -127 ? -127 : q > 127 ? 127 : q);
		}
	}
	m->dtype = DTYPE_Q8_0;
	m->stride = stride;
	m->data = out;
}

static void
to_8_bits(struct unit *u, enum unit_kind kind, uint32_t layer)
{
	static const enum tensor_role roles[] = {
		TENSOR_Q, TENSOR_K, TENSOR_V, TENSOR_O, TENSOR_UP, TENSOR_DOWN, TENSOR_GATE};

	(void)kind, (void)layer;
	for (size_t i = 0; i < sizeof roles / sizeof *roles - float_gate; i++)
		if (u->t[roles[i]].data != NULL && u->t[roles[i]].dtype == DTYPE_F32)
			quantise(&u->t[roles[i]]);
}

/* --- weights in parts --- */

/* Hands out the matrices of feed-forward units 16 rows at a time, as a window on a disk does. */
struct parts {
	struct weight_source base, *all;
	const struct unit *whole;
	struct unit unit;
};

static const struct unit *
acquire(struct weight_source *ws, enum unit_kind kind, uint32_t layer, uint32_t expert,
	struct err *err)
{
	struct parts *p = (struct parts *)(void *)ws;

	p->whole = p->all->acquire(p->all, kind, layer, expert, err);
	if (p->whole == NULL || kind != UNIT_FFN)
		return p->whole;
	p->unit = *p->whole;
	p->unit.in_parts = true;
	p->unit.t[TENSOR_GATE].data = p->unit.t[TENSOR_UP].data = p->unit.t[TENSOR_DOWN].data =
		NULL;
	return &p->unit;
}

static void
release(struct weight_source *ws, const struct unit *u)
{
	struct parts *p = (struct parts *)(void *)ws;

	(void)u;
	p->all->release(p->all, p->whole);
}

static int
some_rows(struct weight_source *ws, const struct unit *u, enum tensor_role r, uint32_t row,
	struct matrix *part, struct err *err)
{
	const struct parts *p = (struct parts *)(void *)ws;

	(void)u, (void)err;
	*part = p->whole->t[r];
	part->data += row * part->stride;
	part->rows = part->rows - row < 16 ? part->rows - row : 16;
	return 0;
}

/* --- a group --- */

/* Steps are not divided; all are; the first ones are: what one step leaves must not matter to the next. The weights come
 * whole; or in parts. */
enum how {
	UNDIVIDED,
	DIVIDED,
	DIVIDED_AT_FIRST,
	IN_PARTS,
	DIVIDED_IN_PARTS,
	DIVIDED_AT_FIRST_IN_PARTS,
	HOWS
};

struct said { /* by a peer, in all steps */
	float x[STEPS][ROWS * EMBD];
	float logits[STEPS][ROWS * VOCAB]; /* of its part of the vocabulary */
};

struct member {
	pthread_t thread;
	const struct tiny_model *model;
	struct slice slice;
	struct thread_group *group;
	struct collective *collective;
	enum how how;
	struct said *said;
	struct err err;
	bool failed;
};

static int
run_steps(struct member *m, struct forward *f)
{
	uint32_t pos = 0;

	for (uint32_t s = 0; s < STEPS; s++) {
		struct step_row rows[ROWS];
		uint32_t tokens[ROWS], n = step_rows[s];
		const float *logits;

		for (uint32_t i = 0; i < n; i++, pos++) {
			rows[i] = (struct step_row){0, pos, i % 2 == 0 ? STEP_LOGITS : 0};
			tokens[i] = (pos * 7 + 3) % VOCAB;
		}
		forward_divide(f, m->how % 3 == DIVIDED || (m->how % 3 == DIVIDED_AT_FIRST && s < 2)
					  ? n / 3 + 1
					  : 0);
		if (forward_embed(f, tokens, n, m->said->x[s], &m->err) != 0 ||
			forward_step(f, rows, n, m->said->x[s], &logits, &m->err) != 0)
			return -1;
		memcpy(m->said->logits[s], logits, (n + 1) / 2 * m->slice.vocab * sizeof *logits);
	}
	return 0;
}

static void *
member_main(void *arg)
{
	struct member *m = arg;
	struct kernels kernels;
	struct weight_source *ws = tiny_model_weights(m->model, &m->slice, to_8_bits);
	struct parts parts = {
		{.acquire = acquire, .release = release, .rows = some_rows}, .all = ws};
	struct pool *pool = pool_new(2, &m->err);
	struct forward_config c = {.shape = &m->model->shape,
		.slice = &m->slice,
		.weights = m->how >= IN_PARTS ? &parts.base : ws,
		.collective = m->collective,
		.kernels = &kernels,
		.pool = pool,
		.max_rows = ROWS,
		.slots = 1,
		.context = CONTEXT};
	struct forward *f = pool != NULL ? forward_new(&c, &m->err) : NULL;

	kernels_init(&kernels, cpu_detect());
	if (f == NULL || run_steps(m, f) != 0) {
		m->failed = true;
		thread_group_break(m->group);
	}
	forward_free(f);
	pool_free(pool);
	ws->free(ws);
	return NULL;
}

static void
run_group(const struct tiny_model *model, const float *shares, uint32_t n, enum how how,
	bool by_rows, struct said *said)
{
	struct thread_group *group = thread_group_new(n);
	struct slice slices[PEERS];
	struct member members[PEERS];
	struct err err;

	ck_assert_ptr_nonnull(group);
	if (by_rows)
		thread_group_go_by_rows(group);
	ck_assert_msg(slice_cut(&model->shape, shares, n, slices, &err) == 0, "%s", err.msg);
	for (uint32_t i = 0; i < n; i++) {
		members[i] = (struct member){.model = model,
			.slice = slices[i],
			.group = group,
			.collective = thread_group_member(group, i),
			.how = how,
			.said = &said[i]};
		ck_assert_int_eq(
			pthread_create(&members[i].thread, NULL, member_main, &members[i]), 0);
	}
	for (uint32_t i = 0; i < n; i++) {
		pthread_join(members[i].thread, NULL);
		ck_assert_msg(!members[i].failed, "peer %u: %s", i, members[i].err.msg);
	}
	ck_assert_uint_eq(thread_group_made(group) > 0, by_rows && !float_gate);
	thread_group_free(group);
	free_quantised();
}

/* x and logits: after the last layer all peers hold x of all rows, whoever added them. */
static void
check(const float *shares, uint32_t n, enum how how)
{
	struct model_shape s = shape();
	struct tiny_model model;
	struct said *want = calloc(2 * PEERS, sizeof *want), *got = want + PEERS;

	ck_assert_ptr_nonnull(want);
	tiny_model_make(&model, &s, false, 11);
	run_group(&model, shares, n, how, false, want);
	run_group(&model, shares, n, how, true, got);
	for (uint32_t i = 0; i < n; i++) {
		ck_assert_mem_eq(got[i].x, want[0].x, sizeof got[i].x);
		ck_assert_mem_eq(got[i].logits, want[i].logits, sizeof got[i].logits);
	}
	tiny_model_free(&model);
	free(want);
}

START_TEST(rows_give_the_same_bits)
{
	check(NULL, 2, (enum how)_i);
	check(NULL, 4, (enum how)_i);
	check((const float[]){3, 1}, 2, (enum how)_i);
	check((const float[]){1, 2, 1}, 3, (enum how)_i);
}
END_TEST

/* What a norm makes is read unrounded: sums go as ever. */
START_TEST(floats_do_not_go_by_rows)
{
	float_gate = true;
	check(NULL, 2, (enum how)_i);
	float_gate = false;
}
END_TEST

START_TEST(shares_of_rows)
{
	struct model_shape s = shape();
	struct slice slices[PEERS];
	uint32_t shares[PEERS] = {1, 1, 1, 1};
	struct err err;

	ck_assert_int_eq(slice_cut(&s, (const float[]){3, 1}, 2, slices, &err), 0);
	ck_assert(slice_row_shares(&s, slices, 2, shares));
	ck_assert_uint_eq(shares[0], 192);
	ck_assert_uint_eq(shares[1], 64);
	slices[1].kv_heads = 0;
	ck_assert(!slice_row_shares(&s, slices, 2, shares));
	ck_assert_uint_eq(shares[0] + shares[1], 0);
	slices[1].kv_heads = 1;
	s.experts = 8;
	ck_assert(!slice_row_shares(&s, slices, 2, shares));
	s.experts = 0;
	s.embd = 72;
	ck_assert(!slice_row_shares(&s, slices, 2, shares));
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("forward_rows");
	SRunner *r = srunner_create(s);
	TCase *t = tcase_create("rows");
	int failed;

	tcase_set_timeout(t, 120);
	tcase_add_loop_test(t, rows_give_the_same_bits, 0, HOWS);
	tcase_add_loop_test(t, floats_do_not_go_by_rows, 0, HOWS);
	tcase_add_test(t, shares_of_rows);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
