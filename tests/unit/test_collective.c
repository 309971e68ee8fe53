/* Sums over groups of 2 to 8 peers, each way and each payload, also with one of their own for prompts, one at a time and
 * two under way: every peer holds the same bits, and they are the sum. */
#include "tests/support/star_group.h"

#include "daemon/log.h"

#include <check.h>
#include <math.h>
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>

#define EMBD       200                  /* six blocks and a piece of one */
#define MAX_ROWS   COLLECTIVE_ROWS_FROM /* a prompt's */
#define STEPS      6
#define REDUCTIONS 6 /* of a step */

struct run {
	struct star_config c;
	bool divided;
	pthread_mutex_t lock;
	/* Of each reduction: the sums of whoever came first. */
	float first[STEPS][REDUCTIONS][MAX_ROWS * EMBD];
	unsigned seen[STEPS][REDUCTIONS][MAX_ROWS];
	float off[STEPS]; /* the most that a value was */
};

static const struct sum_format formats[] = {{FRAME_F32, FRAME_F32}, {FRAME_F16, FRAME_F16},
	{FRAME_Q8, FRAME_Q8}, {FRAME_F16, FRAME_Q8}, {FRAME_Q8, FRAME_F32}};

enum { FORMATS = sizeof formats / sizeof *formats };

static uint32_t
rows_of(uint32_t step)
{
	static const uint32_t rows[STEPS] = {1, MAX_ROWS, 3, 1, 17, 2};

	return rows[step];
}

/* A peer's part: no two are alike, and some are zeros. */
static float
part_of(uint32_t rank, uint32_t step, uint32_t reduction, uint32_t i)
{
	uint32_t h = (rank + 1) * 2654435761u ^ (step * 7 + reduction + 1) * 40503u ^ i * 69069u;

	h ^= h >> 13;
	h *= 1274126177u;
	h ^= h >> 16;
	return h % 17 == 0 ? 0.0f : ((float)(h % 20001) - 10000.0f) / 3000.0f;
}

/* Rows of a step's first sub-batch; 0: it is not divided. */
static uint32_t
first_of(const struct run *r, uint32_t step)
{
	uint32_t rows = rows_of(step), seed = r->c.peers * 7 + r->c.format.token * 3 + r->c.way;

	return r->divided && rows > 1 ? 1 + (seed * 31 + step) % (rows - 1) : 0;
}

/* How far off a value of a step may be: what is rounded are parts of up to 3.4, or sums of up to 27. */
static float
tolerance_of(const struct run *r, uint32_t step)
{
	enum frame_format f = rows_of(step) == MAX_ROWS ? r->c.format.prompt : r->c.format.token;
	float most = 3.4f * (float)r->c.peers;

	return f == FRAME_F32 ? 0 : f == FRAME_F16 ? most / 1024 : most / 100;
}

static void
check_sums(struct run *r, uint32_t step, uint32_t reduction, uint32_t from, uint32_t n_rows,
	const float *rows)
{
	size_t end = (size_t)(from + n_rows) * EMBD;
	float tolerance = tolerance_of(r, step), off = 0;

	for (uint32_t i = from * EMBD; i < end; i++) {
		float want = part_of(0, step, reduction, i);

		for (uint32_t rank = 1; rank < r->c.peers; rank++)
			want += part_of(rank, step, reduction, i);
		off = fmaxf(off, fabsf(rows[i] - want));
		if (off > tolerance)
			ck_abort_msg("step %u.%u: element %u is %g instead of %g", step, reduction,
				i, (double)rows[i], (double)want);
	}
	pthread_mutex_lock(&r->lock);
	r->off[step] = fmaxf(r->off[step], off);
	for (uint32_t row = from; row < from + n_rows; row++) {
		float *first = r->first[step][reduction] + (size_t)row * EMBD;
		const float *own = rows + (size_t)row * EMBD;

		if (r->seen[step][reduction][row]++ == 0)
			memcpy(first, own, EMBD * sizeof *own);
		ck_assert_msg(memcmp(first, own, EMBD * sizeof *own) == 0,
			"step %u.%u: two peers hold other bits of row %u", step, reduction, row);
	}
	pthread_mutex_unlock(&r->lock);
}

struct part {
	uint32_t from, n;
};

/* Begins the sum of some rows. */
static void
begin(struct star *s, uint32_t rank, uint32_t step, uint32_t k, uint32_t part, const struct part *p,
	float *rows)
{
	const struct collective_label label = {k / 2, k % 2, part};
	struct collective *c = star_collective(s);
	struct err err = {""};

	for (uint32_t i = p->from * EMBD; i < (p->from + p->n) * EMBD; i++)
		rows[i] = part_of(rank, step, k, i);
	ck_assert_msg(c->begin(c, rows + (size_t)p->from * EMBD, p->n, EMBD, &label, &err) == 0,
		"rank %u: %s", rank, err.msg);
}

static void
finish(struct star *s)
{
	struct collective *c = star_collective(s);
	struct err err = {""};

	ck_assert_msg(c->finish(c, &err) == 0, "%s", err.msg);
}

/* As if something were computed, with and without a look at the links, so that peers are ahead of each
 * other. */
static void
dawdle(struct star *s, uint32_t seed)
{
	struct collective *c = star_collective(s);

	if (seed % 16 == 0)
		uv_sleep(1);
	if (seed % 4 < 2)
		c->tend(c);
}

static void
reduce_all(struct run *r, struct star *s, uint32_t rank, uint32_t step)
{
	uint32_t n = rows_of(step), first = first_of(r, step), parts = first > 0 ? 2 : 1;
	const struct part part[2] = {{0, first > 0 ? first : n}, {first, n - first}};
	float *rows = malloc(sizeof(float) * MAX_ROWS * EMBD);

	ck_assert_ptr_nonnull(rows);
	for (uint32_t k = 0; k <= REDUCTIONS; k++)
		for (uint32_t i = 0; i < parts; i++) {
			if (k > 0) {
				finish(s);
				check_sums(r, step, k - 1, part[i].from, part[i].n, rows);
			}
			if (k < REDUCTIONS)
				begin(s, rank, step, k, i, &part[i], rows);
			dawdle(s, rank + step + k + i);
		}
	free(rows);
}

static void
lead(struct run *r, struct star *s)
{
	float *x = calloc((size_t)MAX_ROWS * EMBD, sizeof *x);
	struct step_row rows[MAX_ROWS] = {0};
	struct err err = {""};

	ck_assert_ptr_nonnull(x);
	for (uint32_t step = 0; step < STEPS; step++) {
		x[0] = (float)step;
		ck_assert_msg(star_step(s, rows, rows_of(step), first_of(r, step), x, &err) == 0,
			"%s", err.msg);
		reduce_all(r, s, 0, step);
		ck_assert_msg(star_gather(s, NULL, NULL, NULL, &err) == 0, "%s", err.msg);
	}
	free(x);
}

static void
follow(struct run *r, struct star *s, uint32_t rank)
{
	float *x = malloc(sizeof(float) * MAX_ROWS * EMBD);
	struct step_row rows[MAX_ROWS];
	struct err err = {""};
	uint32_t n, first;

	ck_assert_ptr_nonnull(x);
	for (uint32_t step = 0; step < STEPS; step++) {
		while (!star_next(s, rows, x, &n, &first))
			ck_assert_msg(!star_broken(s), "rank %u: %s", rank, star_broken_why(s));
		ck_assert_uint_eq(n, rows_of(step));
		ck_assert_uint_eq(first, first_of(r, step));
		ck_assert_float_eq(x[0], (float)step);
		reduce_all(r, s, rank, step);
		ck_assert_msg(star_answer(s, NULL, &err) == 0, "%s", err.msg);
	}
	free(x);
}

static void
peer(void *arg, struct star *s, uint32_t rank)
{
	if (rank == 0)
		lead(arg, s);
	else
		follow(arg, s, rank);
}

static void
check_seen(const struct run *r)
{
	for (uint32_t step = 0; step < STEPS; step++)
		for (uint32_t k = 0; k < REDUCTIONS; k++)
			for (uint32_t row = 0; row < rows_of(step); row++)
				ck_assert_uint_eq(r->seen[step][k][row], r->c.peers);
}

/* A format that is not the one of the step would be too far off, or too near: 8 bits are nowhere as near as float16. */
static void
check_formats(const struct run *r)
{
	float most = 3.4f * (float)r->c.peers;

	for (uint32_t step = 0; step < STEPS; step++)
		if (tolerance_of(r, step) > most / 1024)
			ck_assert_float_gt(r->off[step], most / 1024);
}

/* Each way, then each again with divided steps. */
START_TEST(every_peer_holds_the_sum)
{
	struct slice slices[STAR_GROUP_MAX] = {0};

	for (uint32_t peers = 2; peers <= (_i < WAYS ? STAR_GROUP_MAX : 5); peers++) {
		for (int format = 0; format < FORMATS; format++) {
			struct run *r = calloc(1, sizeof *r);

			ck_assert_ptr_nonnull(r);
			pthread_mutex_init(&r->lock, NULL);
			r->c = (struct star_config){.epoch = 3,
				.slices = slices,
				.peers = peers,
				.embd = EMBD,
				.vocab = 1,
				.max_rows = MAX_ROWS,
				.max_logits = 1,
				.slots = 1,
				.context = 1,
				.format = formats[format],
				.way = (enum collective_way)(_i % WAYS)};
			r->divided = _i >= WAYS;
			star_group_run(&r->c, peer, r);
			check_seen(r);
			check_formats(r);
			free(r);
		}
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("collective");
	SRunner *r = srunner_create(s);
	TCase *t = tcase_create("sums");
	int failed;

	if (sodium_init() < 0)
		return EXIT_FAILURE;
	log_open(LOG_LEVEL_ERROR);
	tcase_set_timeout(t, 120);
	tcase_add_loop_test(t, every_peer_holds_the_sum, 0, 2 * WAYS);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
