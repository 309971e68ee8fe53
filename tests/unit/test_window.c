#include "sched/window.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define MAX_PIECES 400
#define PAGE       4096

static uint32_t seed;

static uint32_t
rnd(uint32_t n)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 8) % n;
}

static uint64_t
bytes_of(const struct window_piece *p, uint32_t n, bool resident)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < n; i++)
		sum += p[i].resident == resident ? p[i].bytes : 0;
	return sum;
}

/* As a model has them: a norm and four matrices, a norm and three larger ones, a head. */
static uint32_t
model_pieces(struct window_piece *p, uint32_t layers, uint64_t unit)
{
	static const uint32_t sizes[2][5] = {{0, 4, 1, 1, 4}, {0, 11, 11, 11, 0}};
	uint32_t n = 0;

	for (uint32_t l = 0; l < layers; l++)
		for (uint32_t half = 0; half < 2; half++)
			for (uint32_t i = 0; i < 5 - half; i++)
				p[n++] = (struct window_piece){
					.bytes = i == 0 ? PAGE : sizes[half][i] * unit,
					.unit = 2 * l + half};
	p[n++] = (struct window_piece){.bytes = PAGE, .unit = 2 * layers};
	p[n++] = (struct window_piece){.bytes = 30 * unit, .unit = 2 * layers};
	return n;
}

static uint32_t
random_pieces(struct window_piece *p)
{
	uint32_t n = 2 + rnd(MAX_PIECES - 2), unit = 0;

	for (uint32_t i = 0; i < n; i++) {
		p[i] = (struct window_piece){
			.bytes = (uint64_t)(1 + rnd(200)) * PAGE, .unit = unit};
		unit += rnd(3) == 0;
	}
	return n;
}

/* --- the choice --- */

START_TEST(all_stays_when_it_fits)
{
	struct window_piece p[MAX_PIECES];
	uint32_t n = model_pieces(p, 8, 1 << 20);
	uint64_t all = bytes_of(p, n, false), ring = 1;

	ck_assert_int_eq(window_choose(p, n, all, 8 << 20, &ring), 0);
	ck_assert_uint_eq(ring, 0);
	ck_assert_uint_eq(bytes_of(p, n, true), all);
	ck_assert_int_eq(window_choose(p, n, all - 1, 8 << 20, &ring), 0);
	ck_assert_uint_gt(ring, 0);
}
END_TEST

START_TEST(memory_is_kept_and_used)
{
	struct window_piece p[MAX_PIECES];

	for (seed = 1; seed < 300; seed += 1) {
		uint32_t n = random_pieces(p);
		uint64_t all = bytes_of(p, n, true) + bytes_of(p, n, false), ring;
		uint64_t least = window_least(p, n), memory = rnd(1000) * (all / 1000);
		int rc = window_choose(p, n, memory, 64 * PAGE, &ring);

		ck_assert_int_eq(rc, memory < least && memory < all ? -1 : 0);
		if (rc != 0)
			continue;
		ck_assert_uint_le(bytes_of(p, n, true) + ring, memory);
		ck_assert_uint_ge(ring, window_least_ring(p, n));
	}
}
END_TEST

/* Half of it stays: nowhere in the order does the streamed part run far from its share. */
START_TEST(streamed_pieces_lie_evenly)
{
	struct window_piece p[MAX_PIECES];
	uint32_t n = model_pieces(p, 30, 1 << 20);
	uint64_t all = bytes_of(p, n, false), ring, so_far = 0, streamed = 0, total;

	ck_assert_int_eq(window_choose(p, n, all / 2, 8 << 20, &ring), 0);
	total = bytes_of(p, n, false);
	for (uint32_t i = 0; i < n; i++) {
		double share = (double)total / (double)all;

		so_far += p[i].bytes;
		streamed += p[i].resident ? 0 : p[i].bytes;
		ck_assert_double_lt(
			fabs((double)streamed - share * (double)so_far), 40.0 * (1 << 20));
	}
	/* What cannot be used of the memory is less than the smallest piece that streams. */
	ck_assert_uint_lt(ring, window_least_ring(p, n) + (8 << 20) + (1 << 20) + PAGE);
}
END_TEST

START_TEST(too_little_is_refused)
{
	struct window_piece p[MAX_PIECES];
	uint32_t n = model_pieces(p, 8, 1 << 20);
	uint64_t least = window_least(p, n), ring;

	ck_assert_int_eq(window_choose(p, n, least - 1, 0, &ring), -1);
	ck_assert_int_eq(window_choose(p, n, least, 0, &ring), 0);
}
END_TEST

/* --- the ring, with readers and a forward pass that are played --- */

struct play {
	struct window *w;
	struct window_piece *p;
	uint32_t n, units;
	uint32_t flying[8], n_flying; /* pieces that are being read */
	uint32_t *holder;             /* [ring pages] the piece whose bytes lie there, or n */
	uint64_t reads;
	bool unsafe; /* something was overwritten while it was needed */
};

/* One thing that a reader does. */
static bool
play_reader(struct play *y)
{
	uint32_t piece;
	uint64_t at;

	if (y->n_flying < 8 && rnd(2) == 0 && window_next(y->w, &piece, &at)) {
		ck_assert(!y->p[piece].resident);
		ck_assert_uint_le(at + y->p[piece].bytes, window_ring(y->w));
		for (uint64_t i = 0; i < y->p[piece].bytes / PAGE; i++)
			y->holder[at / PAGE + i] = piece;
		y->flying[y->n_flying++] = piece;
		y->reads++;
		return true;
	}
	if (y->n_flying == 0)
		return false;
	piece = rnd(y->n_flying);
	window_arrived(y->w, y->flying[piece]);
	y->flying[piece] = y->flying[--y->n_flying];
	return true;
}

static void
play_unit(struct play *y, uint32_t unit)
{
	int idle = 0;

	while (!window_want(y->w, unit)) {
		idle = play_reader(y) ? 0 : idle + 1;
		ck_assert_int_lt(idle, 100);
	}
	for (uint32_t k = rnd(6); k > 0; k--) /* readers go on while it computes */
		play_reader(y);
	for (uint32_t i = 0; i < y->n; i++) {
		if (y->p[i].unit != unit || y->p[i].resident)
			continue;
		for (uint64_t k = 0; k < y->p[i].bytes / PAGE; k++)
			y->unsafe |= y->holder[window_place(y->w, i) / PAGE + k] != i;
		for (uint32_t k = 0; k < y->n_flying; k++)
			y->unsafe |= y->flying[k] == i;
	}
	window_leave(y->w, unit);
}

static void
play_new(struct play *y, struct window_piece *p, uint32_t n, uint64_t memory)
{
	uint64_t ring;
	struct err err;

	ck_assert_int_eq(window_choose(p, n, memory, 50 * PAGE, &ring), 0);
	*y = (struct play){.p = p, .n = n, .units = p[n - 1].unit + 1};
	y->w = window_new(p, n, ring, &err);
	ck_assert_ptr_nonnull(y->w);
	y->holder = malloc((bytes_of(p, n, true) + ring + PAGE) / PAGE * sizeof *y->holder);
	ck_assert_ptr_nonnull(y->holder);
}

static void
play_end(struct play *y)
{
	window_free(y->w);
	free(y->holder);
}

/* In order, each streamed piece is read once a pass, whatever its place in the ring. */
START_TEST(each_piece_is_read_once_a_pass)
{
	struct window_piece p[MAX_PIECES];

	for (uint32_t round = 1; round < 100; round++) {
		struct play y;
		uint32_t n, streamed = 0;
		uint64_t least, all, before;

		seed = round;
		n = random_pieces(p);
		least = window_least(p, n);
		all = bytes_of(p, n, true) + bytes_of(p, n, false);
		if (least >= all)
			continue;
		play_new(&y, p, n, least + rnd(100) * ((all - least) / 100));
		for (uint32_t i = 0; i < n; i++)
			streamed += !p[i].resident;
		for (uint32_t pass = 0; pass < 4; pass++)
			for (uint32_t u = 0; u < y.units; u++)
				play_unit(&y, u);
		before = y.reads;
		ck_assert_uint_ge(before, 4 * (uint64_t)streamed);
		ck_assert_uint_le(before, 5 * (uint64_t)streamed);
		ck_assert(!y.unsafe);
		play_end(&y);
	}
}
END_TEST

/* A prompt's steps leave the head out; a failed step begins again; anything may be asked for. */
START_TEST(any_order_is_served)
{
	struct window_piece p[MAX_PIECES];

	for (uint32_t round = 1; round < 200; round++) {
		struct play y;
		uint32_t n;
		uint64_t least, all;

		seed = round;
		n = random_pieces(p);
		least = window_least(p, n);
		all = bytes_of(p, n, true) + bytes_of(p, n, false);
		if (least >= all)
			continue;
		play_new(&y, p, n, least + rnd(60) * ((all - least) / 100));
		for (uint32_t k = 0, u = 0; k < 300; k++) {
			play_unit(&y, u);
			u = rnd(8) == 0 ? rnd(y.units) : (u + 1) % y.units;
		}
		ck_assert(!y.unsafe);
		play_end(&y);
	}
}
END_TEST

/* The first unit twice at the start (a look at it before the first step) costs a ring, not a pass. */
START_TEST(looking_again_is_cheap)
{
	struct window_piece p[MAX_PIECES];
	uint32_t n = model_pieces(p, 20, 16 * PAGE), streamed = 0;
	struct play y;

	seed = 5;
	play_new(&y, p, n, window_least(p, n) + 100 * PAGE);
	for (uint32_t i = 0; i < n; i++)
		streamed += !p[i].resident;
	play_unit(&y, 0);
	for (int i = 0; i < 50; i++)
		play_reader(&y);
	y.reads = 0;
	play_unit(&y, 0);
	ck_assert_uint_lt(y.reads, streamed / 4);
	play_end(&y);
}
END_TEST

START_TEST(what_failed_is_read_again)
{
	struct window_piece p[MAX_PIECES];
	uint32_t n = model_pieces(p, 4, 16 * PAGE);
	struct play y;

	seed = 7;
	play_new(&y, p, n, window_least(p, n) + 100 * PAGE);
	for (uint32_t u = 0; u < 3; u++)
		play_unit(&y, u);
	for (int i = 0; i < 20; i++)
		play_reader(&y);
	y.n_flying = 0; /* all of them failed */
	window_restart(y.w);
	ck_assert_uint_eq(window_reading(y.w), 0);
	for (uint32_t u = 0; u < y.units; u++)
		play_unit(&y, u);
	ck_assert(!y.unsafe);
	play_end(&y);
}
END_TEST

START_TEST(a_resident_gives_way_to_the_ring)
{
	struct window_piece p[MAX_PIECES];
	uint32_t n = model_pieces(p, 6, 16 * PAGE), gone = n;
	struct play y;

	seed = 9;
	play_new(&y, p, n, window_least(p, n) + 400 * PAGE);
	for (uint32_t u = 0; u < y.units; u++)
		play_unit(&y, u);
	while (y.n_flying > 0)
		play_reader(&y);
	for (uint32_t i = 0; i < n && gone == n; i++)
		if (p[i].resident && p[i].bytes >= WINDOW_SMALL)
			gone = i;
	ck_assert_uint_lt(gone, n);
	p[gone].resident = false;
	window_release(y.w, gone);
	window_grow(y.w, window_ring(y.w) + p[gone].bytes);
	for (uint32_t pass = 0; pass < 2; pass++)
		for (uint32_t u = 0; u < y.units; u++)
			play_unit(&y, u);
	ck_assert(!y.unsafe);
	play_end(&y);
}
END_TEST

/* --- figures --- */

START_TEST(the_slower_one_binds)
{
	struct window_piece p[MAX_PIECES];
	uint32_t n = model_pieces(p, 8, 1 << 20);
	uint64_t all = bytes_of(p, n, false), ring;
	struct window_prediction a;

	ck_assert_int_eq(window_choose(p, n, all / 2, 8 << 20, &ring), 0);
	a = window_predict(p, n, ring, 0, 1e9, 0.001);
	ck_assert(a.disk_binds);
	ck_assert_double_eq_tol(a.seconds, (double)a.streamed / 1e9, 1e-9);
	ck_assert_uint_eq(a.streamed + a.resident, all);
	a = window_predict(p, n, ring, 0, 1e12, 0.5);
	ck_assert(!a.disk_binds);
	ck_assert_double_eq_tol(a.seconds, 0.5, 1e-9);
}
END_TEST

START_TEST(the_ring_grows_only_where_it_helps)
{
	struct window_seen busy = {10, 9.9, 8, 10000000}, full = {10, 5, 4, 10000000},
			   quick = {10, 5, 0.01, 10000000};

	ck_assert_uint_eq(window_adjust(&busy, 100000), 0);  /* the disk never stands still */
	ck_assert_uint_eq(window_adjust(&quick, 100000), 0); /* nobody waits */
	ck_assert_uint_eq(window_adjust(&full, 100000), 100000);
	ck_assert_uint_eq(window_adjust(&full, 9000000), 0); /* costs more than it brings */
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("window");
	TCase *t = tcase_create("choice");
	SRunner *r;
	int failed;

	tcase_add_test(t, all_stays_when_it_fits);
	tcase_add_test(t, memory_is_kept_and_used);
	tcase_add_test(t, streamed_pieces_lie_evenly);
	tcase_add_test(t, too_little_is_refused);
	suite_add_tcase(s, t);
	t = tcase_create("ring");
	tcase_set_timeout(t, 60);
	tcase_add_test(t, each_piece_is_read_once_a_pass);
	tcase_add_test(t, any_order_is_served);
	tcase_add_test(t, looking_again_is_cheap);
	tcase_add_test(t, what_failed_is_read_again);
	tcase_add_test(t, a_resident_gives_way_to_the_ring);
	suite_add_tcase(s, t);
	t = tcase_create("figures");
	tcase_add_test(t, the_slower_one_binds);
	tcase_add_test(t, the_ring_grows_only_where_it_helps);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
