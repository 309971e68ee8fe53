/* Whom for what: sources of all speeds, that come, go, lie and stall, on a clock that the test sets; and
 * how many chunks a device gives while it computes. One seed is one story. */
#include "sched/fetch.h"
#include "sched/upload.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define CHUNKS 3000
#define TICK   250000

struct giver {
	bool home;
	double speed;         /* bytes a us */
	uint32_t from, to;    /* chunks that it has */
	uint64_t comes, goes; /* us; goes 0: it stays */
	uint32_t lies;        /* the chunk number of its own that is wrong; 0: none */
	bool silent;          /* it gives nothing */
	uint32_t lost;        /* it has lost this chunk; 0: none */

	uint32_t number; /* FETCH_NONE: not there */
	bool gone;
	uint32_t queue[FETCH_ASKED], first, n;
	uint64_t free_at, gave, peak, chunks;
};

struct sim {
	struct fetch *f;
	struct giver g[FETCH_SOURCES];
	unsigned n;
	uint32_t bytes[CHUNKS];
	uint8_t came[CHUNKS];
	uint64_t now, received, next_tick, stalls;
	const char *broken; /* what does not hold; NULL: all does */
};

static uint64_t
splitmix(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static void
begin(struct sim *s, uint64_t seed)
{
	memset(s, 0, sizeof *s);
	for (uint32_t i = 0; i < CHUNKS; i++)
		s->bytes[i] = 1024 + (uint32_t)(splitmix(&seed) % (256 << 10));
	s->f = fetch_new(s->bytes, CHUNKS);
	ck_assert_ptr_nonnull(s->f);
}

static struct giver *
add(struct sim *s, bool home, double mb_s, uint32_t from, uint32_t to)
{
	struct giver *g = &s->g[s->n++];

	*g = (struct giver){
		.home = home, .speed = mb_s, .from = from, .to = to, .number = FETCH_NONE};
	return g;
}

static uint64_t
all_bytes(const struct sim *s)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < CHUNKS; i++)
		n += s->bytes[i];
	return n;
}

/* --- one story ---------------------------------------------------------------------------------- */

static void
demand(struct sim *s, bool holds, const char *what)
{
	if (!holds && s->broken == NULL)
		s->broken = what;
}

static void
drop(struct sim *s, struct giver *g)
{
	fetch_leave(s->f, g->number);
	g->number = FETCH_NONE;
	g->gone = true;
	g->n = 0;
}

static void
ask(struct sim *s)
{
	for (unsigned i = 0; i < s->n; i++) {
		struct giver *g = &s->g[i];
		uint64_t owes = 0;
		uint32_t c;

		if (g->number == FETCH_NONE)
			continue;
		while ((c = fetch_next(s->f, g->number, s->now)) != FETCH_NONE) {
			demand(s, g->home || (c >= g->from && c < g->to), "asked for what it has");
			demand(s, s->came[c] == 0, "asked for what is missing");
			demand(s, g->n < FETCH_ASKED, "asked for few chunks");
			if (g->n == 0)
				g->free_at = s->now;
			g->queue[(g->first + g->n++) % FETCH_ASKED] = c;
		}
		for (uint32_t k = 0; k < g->n; k++)
			owes += s->bytes[g->queue[(g->first + k) % FETCH_ASKED]];
		g->peak = owes > g->peak ? owes : g->peak;
		demand(s, g->n <= 1 || owes <= FETCH_WINDOW, "asked for few bytes");
	}
}

static void
arrive(struct sim *s, struct giver *g)
{
	uint32_t c = g->queue[g->first];
	bool right = ++g->chunks != g->lies;
	enum fetch_verdict v;

	g->first = (g->first + 1) % FETCH_ASKED;
	g->n--;
	g->free_at = s->now;
	if (g->lost != 0 && c == g->lost) {
		demand(s, fetch_lacks(s->f, g->number, c, s->now) == FETCH_TAKEN, "may lack it");
		return;
	}
	s->received += s->bytes[c];
	v = fetch_came(s->f, g->number, c, right, s->now);
	demand(s, v == (right ? FETCH_TAKEN : FETCH_WRONG), "judged right");
	if (!right) {
		drop(s, g);
		return;
	}
	demand(s, s->came[c]++ == 0, "comes once");
	g->gave += s->bytes[c];
}

/* When something happens next to it. */
static uint64_t
next_of(const struct sim *s, const struct giver *g)
{
	uint64_t next = UINT64_MAX;

	if (g->number == FETCH_NONE)
		return g->gone ? UINT64_MAX : g->comes;
	if (g->n > 0 && !g->silent)
		next = g->free_at + (uint64_t)((double)s->bytes[g->queue[g->first]] / g->speed) + 1;
	return g->goes > 0 && g->goes < next ? g->goes : next;
}

static void
happen(struct sim *s, struct giver *g)
{
	if (g->number == FETCH_NONE) {
		g->number = fetch_join(s->f, g->home, s->now);
		for (uint32_t c = g->from; !g->home && c < g->to; c++)
			fetch_covers(s->f, g->number, c);
	} else if (g->goes > 0 && s->now >= g->goes) {
		drop(s, g);
	} else {
		arrive(s, g);
	}
}

static void
tick(struct sim *s)
{
	uint32_t slow = fetch_stalled(s->f, s->now);

	for (unsigned i = 0; slow != FETCH_NONE && i < s->n; i++)
		if (s->g[i].number == slow) {
			demand(s, !s->g[i].home, "home is kept");
			drop(s, &s->g[i]);
			s->stalls++;
		}
	s->next_tick = s->now + TICK;
}

/* Until all is there; false: nothing happens any more. */
static bool
run(struct sim *s)
{
	while (fetch_missing(s->f) > 0) {
		struct giver *first = NULL;
		uint64_t at = UINT64_MAX;

		for (unsigned i = 0; i < s->n; i++)
			if (next_of(s, &s->g[i]) < at) {
				first = &s->g[i];
				at = next_of(s, first);
			}
		if (at > s->next_tick)
			first = NULL;
		s->now = first != NULL ? (at > s->now ? at : s->now) : s->next_tick;
		if (s->now > 4000000000u)
			return false;
		if (first != NULL)
			happen(s, first);
		else
			tick(s);
		ask(s);
	}
	return true;
}

static void
end(struct sim *s)
{
	ck_assert_msg(s->broken == NULL, "does not hold: %s", s->broken);
	for (uint32_t i = 0; i < CHUNKS; i++)
		if (s->came[i] != 1)
			ck_abort_msg("chunk %u came %u times", i, s->came[i]);
	fetch_free(s->f);
}

/* --- what must come of it ----------------------------------------------------------------------- */

START_TEST(home_alone_gives_all)
{
	struct sim s;
	struct giver *home;

	begin(&s, 1);
	home = add(&s, true, 100, 0, 0);
	ck_assert(run(&s));
	ck_assert_uint_eq(home->gave, all_bytes(&s));
	ck_assert_uint_le(home->peak, FETCH_WINDOW);
	/* As fast as it is: no pauses between answers. */
	ck_assert_uint_lt((double)s.now, 1.02 * (double)all_bytes(&s) / 100 + TICK);
	end(&s);
}
END_TEST

START_TEST(a_fast_one_gives_more)
{
	struct sim s;
	struct giver *fast, *slow;

	begin(&s, 2);
	add(&s, true, 0.5, 0, 0);
	fast = add(&s, false, 100, 0, CHUNKS);
	slow = add(&s, false, 10, 0, CHUNKS);
	ck_assert(run(&s));
	ck_assert_uint_gt(fast->gave, 7 * slow->gave);
	ck_assert_uint_lt(fast->gave, 14 * slow->gave);
	ck_assert_uint_lt(slow->peak, fast->peak);
	end(&s);
}
END_TEST

/* What peers have comes from peers, unless that takes long; home gives what only it has. */
START_TEST(home_is_spared)
{
	struct sim s;
	struct giver *home;
	uint64_t own = 0;

	begin(&s, 3);
	home = add(&s, true, 400, 0, 0);
	fetch_gather(s.f, 1); /* what comes at 0 is awaited */
	add(&s, false, 400, 0, 2500);
	add(&s, false, 300, 500, 2500);
	ck_assert(run(&s));
	for (uint32_t i = 2500; i < CHUNKS; i++)
		own += s.bytes[i];
	ck_assert_uint_eq(home->gave, own);
	end(&s);

	begin(&s, 3);
	home = add(&s, true, 100, 0, 0);
	add(&s, false, 10, 0, CHUNKS);
	ck_assert(run(&s)); /* 384 MB at 10 MB/s */
	ck_assert_uint_gt(home->gave, all_bytes(&s) / 2);
	end(&s);
}
END_TEST

START_TEST(one_that_dies_costs_only_what_was_under_way)
{
	struct sim s;
	struct giver *dies;

	begin(&s, 4);
	add(&s, true, 50, 0, 0);
	dies = add(&s, false, 100, 0, CHUNKS);
	add(&s, false, 80, 0, CHUNKS);
	dies->goes = 700000;
	ck_assert(run(&s));
	ck_assert_uint_gt(dies->gave, 0);
	ck_assert_uint_eq(s.received, all_bytes(&s)); /* nothing came twice */
	end(&s);
}
END_TEST

START_TEST(a_liar_is_found_at_once)
{
	struct sim s;
	struct giver *liar;

	begin(&s, 5);
	add(&s, true, 50, 0, 0);
	liar = add(&s, false, 100, 0, CHUNKS);
	liar->lies = 10;
	ck_assert(run(&s));
	ck_assert_uint_eq(liar->chunks, 10);
	ck_assert(liar->gone);
	ck_assert_uint_le(s.received, all_bytes(&s) + (257u << 10));
	end(&s);
}
END_TEST

START_TEST(one_that_stalls_is_given_up)
{
	struct sim s;
	struct giver *home, *mute;

	begin(&s, 6);
	home = add(&s, true, 50, 0, 0);
	mute = add(&s, false, 100, 0, CHUNKS);
	mute->silent = true;
	ck_assert(run(&s));
	ck_assert(mute->gone);
	ck_assert_uint_eq(s.stalls, 1);
	ck_assert_uint_eq(home->gave, all_bytes(&s));
	end(&s);

	/* Home is not, however slow. */
	begin(&s, 6);
	home = add(&s, true, 0.2, 0, 0);
	ck_assert(run(&s));
	ck_assert_uint_eq(s.stalls, 0);
	end(&s);
}
END_TEST

START_TEST(what_is_there_is_not_asked_for)
{
	struct sim s;
	struct giver *home;

	begin(&s, 7);
	home = add(&s, true, 100, 0, 0);
	for (uint32_t i = 0; i < CHUNKS; i += 3) {
		fetch_have(s.f, i);
		fetch_have(s.f, i); /* twice is once */
		s.came[i] = 1;
	}
	ck_assert(run(&s));
	ck_assert_uint_eq(fetch_bytes(s.f, home->number), home->gave);
	end(&s);
}
END_TEST

START_TEST(nonsense_is_refused)
{
	static const uint32_t bytes[] = {100, 200};
	struct fetch *f = fetch_new(bytes, 2);
	uint32_t home = fetch_join(f, true, 0), peer = fetch_join(f, false, 0);

	fetch_covers(f, peer, 1);
	fetch_covers(f, peer, 99);
	fetch_covers(f, FETCH_SOURCES, 0);
	ck_assert_int_eq(fetch_came(f, home, 0, true, 1), FETCH_WRONG); /* nobody asked */
	ck_assert_int_eq(fetch_came(f, home, 99, true, 1), FETCH_WRONG);
	ck_assert_int_eq(fetch_lacks(f, peer, 1, 1), FETCH_WRONG);
	ck_assert_uint_eq(fetch_next(f, peer, 1), 1);
	ck_assert_int_eq(fetch_came(f, home, 1, true, 1), FETCH_WRONG); /* another one was */
	ck_assert_int_eq(fetch_lacks(f, peer, 1, 1), FETCH_TAKEN);
	ck_assert(!fetch_wants(f, peer));
	ck_assert_uint_eq(fetch_next(f, peer, 2), FETCH_NONE);
	ck_assert_uint_eq(fetch_next(f, home, 2), 0);
	ck_assert_uint_eq(fetch_next(f, home, 2), 1);
	ck_assert_int_eq(fetch_lacks(f, home, 1, 3), FETCH_WRONG);
	ck_assert_uint_eq(fetch_missing(f), 2);
	fetch_leave(f, home);
	fetch_leave(f, home);
	ck_assert_uint_eq(fetch_next(f, home, 2), FETCH_NONE);
	fetch_free(f);
}
END_TEST

/* Random swarms: whatever happens, all comes, once, and nobody is asked for what it does not have. */
START_TEST(random_stories)
{
	struct sim s;
	uint64_t seed = 1000 + (uint64_t)_i, r;
	uint64_t lost = 0;

	begin(&s, seed);
	add(&s, true, 1 + (double)(splitmix(&seed) % 200), 0, 0);
	for (unsigned n = (unsigned)(splitmix(&seed) % (FETCH_SOURCES - 1)); n > 0; n--) {
		uint32_t from = (uint32_t)(splitmix(&seed) % CHUNKS);
		struct giver *g = add(&s, false, 0.3 + (double)(splitmix(&seed) % 120), from,
			from + (uint32_t)(splitmix(&seed) % (CHUNKS - from + 1)));

		r = splitmix(&seed);
		g->comes = r % 3 == 0 ? splitmix(&seed) % 5000000 : 0;
		g->goes = r / 3 % 3 == 0 ? g->comes + 1 + splitmix(&seed) % 5000000 : 0;
		g->lies = r / 9 % 4 == 0 ? 1 + (uint32_t)(splitmix(&seed) % 100) : 0;
		g->silent = r / 36 % 6 == 0;
		g->lost = r / 216 % 3 == 0 ? from + 1 : 0;
	}
	ck_assert(run(&s));
	for (unsigned i = 0; i < s.n; i++)
		lost += s.g[i].lies != 0 && s.g[i].gone ? 257u << 10 : 0;
	ck_assert_uint_le(s.received, all_bytes(&s) + lost);
	end(&s);
}
END_TEST

/* --- giving while computing --------------------------------------------------------------------- */

/* Chunks that go in 10 s of steps of so many ms, with one that wants to go each ms. */
static unsigned
given(uint64_t step_ms, bool requests, struct upload_pace *p)
{
	struct upload_view v = {.engine = true, .requests = requests};
	unsigned n = 0;

	*p = (struct upload_pace){0};
	for (v.now = 1000; v.now < 11000; v.now++) {
		v.steps = step_ms > 0 ? (v.now - 1000) / step_ms : 0;
		n += upload_may(p, 100, &v);
	}
	return n;
}

START_TEST(computing_comes_first)
{
	struct upload_pace p;
	unsigned n;

	ck_assert_uint_eq(given(0, false, &p), 10000); /* nothing to spare */
	ck_assert_uint_eq(p.held + p.beside, 0);

	n = given(20, true, &p); /* 500 steps: a chunk for each, at most */
	ck_assert_uint_le(n, 501);
	ck_assert_uint_ge(n, 480);
	ck_assert_uint_eq(p.held + p.beside, n);

	n = given(2000, true, &p); /* long steps: one every UPLOAD_LEAST beside them */
	ck_assert_uint_le(n, 10000 / UPLOAD_LEAST + 6);
	ck_assert_uint_ge(n, 10000 / UPLOAD_LEAST - 6);

	n = given(0, true, &p); /* a prompt that takes all the time */
	ck_assert_uint_le(n, 10000 / UPLOAD_LEAST + 1);
}
END_TEST

/* A member knows of no requests: steps tell. */
START_TEST(it_ends_with_the_last_step)
{
	struct upload_view v = {.steps = 7, .engine = true, .now = 1000};
	struct upload_pace p = {0};
	unsigned n = 0;

	ck_assert(upload_may(&p, 100, &v)); /* whenever those were */
	ck_assert(upload_may(&p, 100, &v));
	v.steps = 8;
	ck_assert(upload_may(&p, 100, &v)); /* the step's */
	ck_assert(!upload_may(&p, 100, &v));
	for (v.now = 1001; v.now < 1000 + UPLOAD_CALM; v.now++)
		n += upload_may(&p, 100, &v);
	ck_assert_uint_le(n, UPLOAD_CALM / UPLOAD_LEAST);
	ck_assert(upload_may(&p, 100, &v));
	ck_assert(upload_may(&p, 100, &v));
}
END_TEST

/* Requests that wait for a plan are not computed: what it needs shall come soon. */
START_TEST(waiting_is_not_computing)
{
	struct upload_view v = {.steps = 7, .engine = true, .now = 1000};
	struct upload_pace p = {0};

	ck_assert(upload_may(&p, 100, &v));
	v.steps = 8;
	v.requests = true;
	v.engine = false;
	for (int i = 0; i < 100; i++)
		ck_assert(upload_may(&p, 100, &v));
	ck_assert_uint_eq(p.held + p.beside, 0);
}
END_TEST

START_TEST(a_limit_holds)
{
	struct upload_pace p = {.limit = 100000};
	struct upload_view v = {0};
	uint64_t given = 0;

	for (v.now = 1000; v.now < 11000; v.now++)
		given += upload_may(&p, 5000, &v) ? 5000 : 0;
	ck_assert_uint_eq(given, 1000000);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("fetch");
	TCase *t = tcase_create("fetch");
	SRunner *r;
	int failed;

	tcase_set_timeout(t, 120);
	tcase_add_test(t, home_alone_gives_all);
	tcase_add_test(t, a_fast_one_gives_more);
	tcase_add_test(t, home_is_spared);
	tcase_add_test(t, one_that_dies_costs_only_what_was_under_way);
	tcase_add_test(t, a_liar_is_found_at_once);
	tcase_add_test(t, one_that_stalls_is_given_up);
	tcase_add_test(t, what_is_there_is_not_asked_for);
	tcase_add_test(t, nonsense_is_refused);
	tcase_add_loop_test(t, random_stories, 0, 100);
	tcase_add_test(t, computing_comes_first);
	tcase_add_test(t, it_ends_with_the_last_step);
	tcase_add_test(t, waiting_is_not_computing);
	tcase_add_test(t, a_limit_holds);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
