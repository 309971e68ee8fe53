/* Sums over groups of several peers: by each way and in each format, of few rows and of a prompt's, all peers hold the
 * same bits, which are those of adding in the order of ranks. */
#include "daemon/star.h"
#include "tests/support/engine_group.h"

#include <check.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum { FEW = 3, MANY = COLLECTIVE_ROWS_FROM, WIDTH = 64, PEERS = 5, N = MANY * WIDTH, SUMS = 3 };

struct peer {
	uv_loop_t loop;
	uv_thread_t thread;
	struct star *star;
	uint32_t rank;
	float rows[SUMS][N];
	struct made { /* of sums that go by rows: what the peers made of their rows */
		struct collective_rows how;
		float rows[N];
	} made[SUMS];
};

/* So peers divide rows: of three, with five peers, ranks 1, 2 and 4 have one each; with two, rank 1 has two. */
static const uint32_t row_shares[PEERS] = {1, 2, 3, 1, 2};

static struct peer peers[PEERS];
static uint32_t n_rows;  /* of the step: FEW or MANY */
static uv_barrier_t all; /* who goes is lost to those that still add */

/* Of all magnitudes, so that another order gives other bits. */
static float
part_of(uint32_t rank, unsigned sum, unsigned i)
{
	uint32_t x = (rank * 7919 + sum * 104729 + i + 1) * 2654435761u;

	x ^= x >> 15;
	return ldexpf((float)(int32_t)(x * 2246822519u) / 2147483648.0f, (int)(x % 24) - 10);
}

static void
begin_step(struct peer *p)
{
	struct step_row rows[MANY] = {0}, got[MANY];
	static const float x[N];
	float theirs[N];
	struct err err = {""};
	uint32_t n = 0, first;

	for (uint32_t i = 0; i < n_rows; i++)
		rows[i].pos = i;
	if (p->rank == 0)
		ck_assert_msg(star_step(p->star, rows, n_rows, 0, x, &err) == 0, "%s", err.msg);
	while (p->rank > 0 && n == 0)
		if (!star_next(p->star, got, theirs, &n, &first))
			ck_assert_msg(!star_broken(p->star), "%s", star_broken_why(p->star));
}

/* The sums themselves, as floats or in 8 bits. */
static enum frame_format
made_format(const struct made *d)
{
	return d->how.made == MADE_FLOATS ? FRAME_F32 : FRAME_Q8;
}

static void
make(void *arg, float *sums, uint32_t from, uint32_t n, uint8_t *out)
{
	(void)from;
	frame_pack(made_format(arg), sums, n, WIDTH, out);
}

static void
take(void *arg, const uint8_t *made, uint32_t from, uint32_t n)
{
	struct made *d = arg;

	frame_unpack(made_format(d), made, n, WIDTH, d->rows + from * WIDTH, 0);
}

static int
begin(struct peer *p, struct collective *c, uint32_t i, struct err *err)
{
	const struct collective_label label = {.layer = i};
	struct made *d = &p->made[i];

	if (!c->by_rows(c, n_rows))
		return c->begin(c, p->rows[i], n_rows, WIDTH, &label, err);
	d->how = (struct collective_rows){i % 2 == 0 ? MADE_FLOATS : MADE_BLOCKS, make, take, d};
	return c->begin_rows(c, p->rows[i], n_rows, WIDTH, &label, &d->how, err);
}

/* The second begins before the first has finished, as those of two sub-batches do. */
static void
run(void *arg)
{
	struct peer *p = arg;
	struct collective *c = star_collective(p->star);
	struct err err = {""};

	begin_step(p);
	for (uint32_t i = 0; i <= SUMS; i++) {
		if (i < SUMS)
			ck_assert_msg(begin(p, c, i, &err) == 0, "%s", err.msg);
		if (i > 0)
			ck_assert_msg(c->finish(c, &err) == 0, "%s", err.msg);
		if (i > 0 && c->by_rows(c, n_rows))
			memcpy(p->rows[i - 1], p->made[i - 1].rows, sizeof p->rows[i - 1]);
	}
	uv_barrier_wait(&all);
	star_close(p->star);
	uv_run(&p->loop, UV_RUN_DEFAULT);
}

static void
open_star(struct peer *p, enum frame_format format)
{
	enum frame_format other = (enum frame_format)((format + 1) % FRAME_FORMATS);
	struct link_detached links[MAX_PEERS];
	struct engine_config c = g.config;
	struct err err = {""};
	struct star_config sc = {.epoch = EPOCH,
		.slices = g.slices,
		.rank = p->rank,
		.peers = g.n,
		.embd = m.shape.embd,
		.vocab = m.shape.vocab,
		.max_rows = MANY,
		.max_logits = MANY,
		.slots = N_CASES,
		.context = 512,
		.format = {n_rows == FEW ? format : other, n_rows == FEW ? other : format},
		.names = g.names,
		.way = g.config.way,
		.row_shares = row_shares,
		.links = links};

	engine_place(&c, &g.stages, p->rank);
	group_take_links(&c, links);
	uv_loop_init(&p->loop);
	p->star = star_new(&p->loop, &sc, &err);
	ck_assert_msg(p->star != NULL, "%s", err.msg);
}

/* Who adds a row, where it goes by rows. */
static uint32_t
owner_of(uint32_t row)
{
	uint32_t total = 0, sum = 0, rank = 0;

	for (uint32_t r = 0; r < g.n; r++)
		total += row_shares[r];
	while (n_rows * (sum + row_shares[rank]) / total <= row)
		sum += row_shares[rank++];
	return rank;
}

/* What is sent is rounded; direct sums are of what was sent, also at home. */
static void
expect(unsigned sum, enum collective_way way, enum frame_format format, float want[N])
{
	static uint8_t wire[4 * N + 4 * MANY * 2];
	static float part[N], sent[N];

	for (uint32_t rank = 0; rank < g.n; rank++) {
		for (unsigned i = 0; i < n_rows * WIDTH; i++)
			part[i] = sent[i] = part_of(rank, sum, i);
		frame_round(format, sent, n_rows, WIDTH, wire);
		for (unsigned i = 0; i < n_rows * WIDTH; i++) {
			bool home = way == WAY_ROWS && owner_of(i / WIDTH) == rank;
			float x = home ? part[i] : sent[i];

			want[i] = rank == 0 ? x : want[i] + x;
		}
	}
	if (way == WAY_ROWS && sum % 2 != 0)
		frame_round(FRAME_Q8, want, n_rows, WIDTH, wire);
}

static void
check_sums(uint32_t n, enum collective_way way, enum frame_format format)
{
	size_t bytes = (size_t)n_rows * WIDTH * sizeof(float);
	static float want[N];

	group_init(n, NULL);
	group_link_members(way);
	for (uint32_t r = 0; r < n; r++) {
		peers[r].rank = r;
		for (unsigned i = 0; i < SUMS * N; i++)
			peers[r].rows[i / N][i % N] = part_of(r, i / N, i % N);
		open_star(&peers[r], format);
	}
	uv_barrier_init(&all, n);
	for (uint32_t r = 0; r < n; r++)
		uv_thread_create(&peers[r].thread, run, &peers[r]);
	for (uint32_t r = 0; r < n; r++) {
		uv_thread_join(&peers[r].thread);
		star_free(peers[r].star);
		ck_assert_int_eq(uv_loop_close(&peers[r].loop), 0);
	}
	uv_barrier_destroy(&all);
	for (unsigned sum = 0; sum < SUMS; sum++) {
		expect(sum, way, format, want);
		if (format == FRAME_F32 || way == WAY_DIRECT || way == WAY_ROWS)
			ck_assert_mem_eq(peers[0].rows[sum], want, bytes);
		for (uint32_t r = 1; r < n; r++)
			ck_assert_mem_eq(peers[r].rows[sum], peers[0].rows[sum], bytes);
	}
	group_end();
}

START_TEST(sums_have_the_same_bits)
{
	ck_assert_uint_eq(m.shape.embd, WIDTH);
	n_rows = _i % 2 == 0 ? FEW : MANY;
	for (uint32_t n = 2; n <= PEERS; n++)
		for (int way = WAY_STAR; way <= WAY_ROWS; way++)
			check_sums(n, (enum collective_way)way, (enum frame_format)(_i / 2));
}
END_TEST

/* What guesses ask, which may make a step longer. */
START_TEST(another_format_is_another_sum)
{
	struct star_config c = {
		.peers = 2, .embd = WIDTH, .way = WAY_STAR, .format = {FRAME_F16, FRAME_Q8}};

	ck_assert(star_alike(&c, 1, MANY - 1));
	ck_assert(!star_alike(&c, MANY - 1, MANY));
	ck_assert(star_alike(&c, MANY, 4 * MANY));
	c.format.prompt = FRAME_F16;
	ck_assert(star_alike(&c, MANY - 1, MANY));
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("star_sums");
	SRunner *r = srunner_create(s);
	int failed = engine_tests_begin("star_sums");
	TCase *t = tcase_create("groups");

	if (failed != 0)
		return failed;
	signal(SIGPIPE, SIG_IGN); /* as the daemon does */
	tcase_add_checked_fixture(t, load, unload);
	tcase_set_timeout(t, 120);
	tcase_add_loop_test(t, sums_have_the_same_bits, 0, 2 * FRAME_FORMATS);
	tcase_add_test(t, another_format_is_another_sum);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
