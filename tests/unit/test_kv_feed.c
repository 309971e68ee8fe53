/* Copies of KV rows: what may travel, and forty swarms whose plans change while sessions run. Peers
 * have caches of one number for each position, layer and head; copies reach the vault late, or never. */
#include "model/kv_vault.h"
#include "sched/kv_feed.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS   3
#define GROUPS  6
#define CONTEXT (GROUPS * KV_GROUP)
#define LAYERS  4
#define HEADS   5
#define PEERS   4
#define QUEUE   64
#define DIM     32
#define STORIES 40

static uint64_t seed;

static uint32_t
below(uint32_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed >> 20) % n;
}

/* --- what may travel ---------------------------------------------------------------------------- */

START_TEST(pieces_within_bounds_only)
{
	const struct kv_bounds b = {
		.span = {2, 3, 4, 5}, .slots = 3, .groups = 7, .heads = 4, .page = 10};
	const uint32_t values[] = {0, 1, 2, 3, 4, 5, 6, 8, 9, UINT32_MAX, UINT32_MAX - 1};
	enum { N = sizeof values / sizeof *values };
	unsigned good = 0;
	struct err err;

	seed = 1;
	for (unsigned i = 0; i < 200000; i++) {
		struct kv_piece p = {values[below(N)], 0, values[below(N)], values[below(N)],
			values[below(N)], values[below(N)]};
		size_t bytes = below(5) > 0 ? (size_t)p.heads * 10 : below(50);
		bool fine = p.slot < 3 && p.group < 7 && p.layer >= 2 && p.layer < 5 &&
			    p.head >= 4 && (uint64_t)p.head + p.heads <= 9 && p.heads > 0 &&
			    p.heads <= 4 && bytes == (size_t)p.heads * 10;

		ck_assert_int_eq(kv_piece_check(&b, &p, bytes, &err), fine ? 0 : -1);
		good += fine;
	}
	ck_assert_uint_gt(good, 100);
}
END_TEST

START_TEST(pages_that_are_too_long_do_not_travel)
{
	ck_assert_uint_eq(kv_page_bytes(KV_F16, 128), 2 * 128 * KV_GROUP * 2);
	ck_assert_uint_eq(kv_page_bytes(KV_F32, 65536), 0);
	ck_assert_uint_eq(kv_piece_heads(kv_page_bytes(KV_F16, 128)), 8);
	ck_assert_uint_eq(kv_piece_heads(KV_PAGE_MOST), 1);
}
END_TEST

START_TEST(one_row_is_computed_in_any_case)
{
	ck_assert_uint_eq(kv_rows_kept(64, 100), 64);
	ck_assert_uint_eq(kv_rows_kept(64, 64), 63);
	ck_assert_uint_eq(kv_rows_kept(64, 10), 9);
	ck_assert_uint_eq(kv_rows_kept(0, 10), 0);
	ck_assert_uint_eq(kv_rows_kept(32, 0), 0);
}
END_TEST

/* --- the swarm ---------------------------------------------------------------------------------- */

struct sent { /* a piece on its way */
	struct kv_piece piece;
	uint8_t *bytes;
};

struct peer {
	struct kv_feed feed;
	struct kv_feed_slot slots[SLOTS];
	uint64_t cache[SLOTS][CONTEXT][LAYERS][HEADS];
	struct sent queue[QUEUE]; /* first in, first out */
	uint32_t n_queue;
};

struct session {
	uint64_t number; /* 0: none */
	uint32_t n_ids, n_done;
};

static struct sim {
	struct kv_vault *vault;
	size_t page;
	uint32_t n;
	struct peer peers[PEERS];
	struct session running[SLOTS], waiting[SLOTS];
	uint32_t run[SLOTS];   /* as the coordinator knows it, and */
	uint64_t owner[SLOTS]; /* whose it is */
	uint64_t numbers, kept, again;
} sim;

/* What computing a position gives. */
static uint64_t
value_of(uint64_t number, uint32_t pos, uint32_t layer, uint32_t head)
{
	return ((number * CONTEXT + pos) * LAYERS + layer) * HEADS + head + 1;
}

/* Peers that tile layers, or heads, or both; some may have none. */
static void
deal(void)
{
	uint32_t stages = below(2) ? 1 : 2, layer = below(LAYERS + 1);

	sim.n = stages + below(PEERS - stages + 1);
	if (stages == 1)
		layer = 0;
	for (uint32_t i = 0; i < sim.n; i++) {
		struct peer *p = &sim.peers[i];
		bool first = stages == 2 && i == 0;
		uint32_t members = stages == 2 ? sim.n - 1 : sim.n, rank = stages == 2 ? i - 1 : i;

		memset(p, 0, sizeof *p);
		p->feed = (struct kv_feed){
			.span = {first ? 0 : layer, first ? layer : LAYERS - layer, 0, HEADS},
			.most = 1 + below(HEADS),
			.slots = SLOTS,
			.list = p->slots};
		if (first)
			continue;
		p->feed.span.head0 = rank * HEADS / members;
		p->feed.span.heads = (rank + 1) * HEADS / members - p->feed.span.head0;
	}
}

static void
drop_queues(void)
{
	for (uint32_t i = 0; i < PEERS; i++) {
		for (uint32_t k = 0; k < sim.peers[i].n_queue; k++)
			free(sim.peers[i].queue[k].bytes);
		sim.peers[i].n_queue = 0;
	}
}

static void
move_page(struct peer *p, const struct kv_piece *piece, uint8_t *bytes, bool out)
{
	for (uint32_t h = 0; h < piece->heads; h++)
		for (uint32_t i = 0; i < KV_GROUP; i++) {
			uint64_t *at = &p->cache[piece->slot][piece->group * KV_GROUP + i]
						[piece->layer][piece->head + h];
			uint8_t *byte = bytes + h * sim.page + i * sizeof *at;

			memcpy(out ? byte : (uint8_t *)at, out ? (uint8_t *)at : byte, sizeof *at);
		}
}

/* A new plan loads what there is: every peer, all of its own, and just that. */
static void
load(struct peer *p, const uint32_t *positions)
{
	struct kv_need need = {.span = p->feed.span, .most = p->feed.most, .slots = SLOTS};
	static uint8_t bytes[HEADS * KV_PIECE_BYTES];
	struct kv_piece piece;
	uint64_t pages = 0, want = 0;

	while (kv_need_next(&need, positions, &piece)) {
		ck_assert(kv_vault_get(sim.vault, &piece, bytes));
		move_page(p, &piece, bytes, false);
		pages += piece.heads;
	}
	for (uint32_t i = 0; i < SLOTS; i++) {
		if (positions[i] > 0)
			kv_feed_filled(&p->feed, i, positions[i]);
		want += (uint64_t)positions[i] / KV_GROUP * p->feed.span.layers *
			p->feed.span.heads;
		for (uint32_t pos = 0; pos < positions[i]; pos++)
			for (uint32_t l = 0; l < p->feed.span.layers; l++)
				for (uint32_t h = 0; h < p->feed.span.heads; h++) {
					uint32_t layer = p->feed.span.layer0 + l;
					uint32_t head = p->feed.span.head0 + h;

					ck_assert_uint_eq(p->cache[i][pos][layer][head],
						value_of(kv_vault_number(sim.vault, i), pos, layer,
							head));
				}
	}
	ck_assert_uint_eq(pages, want);
}

static void
begin_plan(void)
{
	uint32_t positions[SLOTS] = {0};

	deal();
	for (uint32_t i = 0; i < SLOTS; i++) {
		struct session *s = &sim.waiting[i];

		sim.run[i] = 0;
		sim.owner[i] = s->number;
		sim.running[i] = *s;
		if (s->number == 0 || kv_vault_number(sim.vault, i) != s->number)
			kv_vault_forget(sim.vault, i);
		positions[i] = kv_vault_covered(sim.vault, i);
		ck_assert_uint_le(positions[i], s->n_done);
		sim.running[i].n_done = kv_rows_kept(positions[i], s->n_ids);
		ck_assert(s->number == 0 || sim.running[i].n_done < s->n_ids);
		sim.kept += sim.running[i].n_done;
		sim.again += s->n_done - sim.running[i].n_done;
		*s = (struct session){0};
	}
	for (uint32_t i = 0; i < sim.n; i++)
		load(&sim.peers[i], positions);
}

/* number: of the session whose tokens these are, which a guess may get wrong. */
static void
compute_row(uint32_t slot, uint32_t pos, uint64_t number, bool guessed)
{
	if (pos == 0) {
		sim.run[slot]++;
		sim.owner[slot] = sim.running[slot].number;
	}
	for (uint32_t i = 0; i < sim.n; i++) {
		struct peer *p = &sim.peers[i];

		kv_feed_row(&p->feed, slot, pos, guessed);
		for (uint32_t l = 0; l < p->feed.span.layers; l++)
			for (uint32_t h = 0; h < p->feed.span.heads; h++) {
				uint32_t layer = p->feed.span.layer0 + l;
				uint32_t head = p->feed.span.head0 + h;

				p->cache[slot][pos][layer][head] =
					value_of(number, pos, layer, head);
			}
	}
}

static void
copy_out(struct peer *p, const uint32_t *filled)
{
	uint32_t most = below(12);
	struct kv_piece piece;

	while (most-- > 0 && p->n_queue < QUEUE && kv_feed_next(&p->feed, filled, &piece)) {
		struct sent *s = &p->queue[p->n_queue++];

		s->piece = piece;
		s->bytes = calloc(piece.heads, sim.page);
		move_page(p, &piece, s->bytes, true);
	}
}

static void
deliver(struct peer *p)
{
	for (uint32_t n = below(16); n > 0 && p->n_queue > 0; n--) {
		struct sent s = p->queue[0];
		struct kv_bounds b = kv_vault_bounds(sim.vault);
		struct err err;

		memmove(p->queue, p->queue + 1, --p->n_queue * sizeof s);
		ck_assert_int_eq(kv_piece_check(&b, &s.piece, s.piece.heads * sim.page, &err), 0);
		if (s.piece.run == sim.run[s.piece.slot] && sim.owner[s.piece.slot] != 0)
			ck_assert_int_eq(
				kv_vault_put(sim.vault, sim.owner[s.piece.slot], &s.piece, s.bytes),
				0);
		free(s.bytes);
	}
}

/* Behind the session's rows, in the same step: some are right, and stay; the others are computed, too. Returns how many
 * positions the slot is then filled to. */
static uint32_t
guess(uint32_t slot, struct session *s)
{
	uint32_t n = below(9), right = below(n + 1), filled = s->n_done;

	for (uint32_t i = 0; i < n && filled < CONTEXT - 1; i++, filled++) {
		compute_row(slot, filled, i < right ? s->number : s->number + 1000, true);
		s->n_done += i < right;
		s->n_ids += i < right;
	}
	return filled;
}

/* A step: of each session a chunk, and a token for those that have got that far. */
static void
step(void)
{
	uint32_t filled[SLOTS];

	for (uint32_t i = 0; i < SLOTS; i++) {
		struct session *s = &sim.running[i];

		if (s->number != 0 && (s->n_ids >= CONTEXT || below(60) == 0))
			s->number = sim.owner[i] = 0;
		if (s->number == 0 && below(4) == 0)
			*s = (struct session){++sim.numbers, 1 + below(CONTEXT / 2), 0};
		for (uint32_t n = 1 + below(40); s->number != 0 && n > 0 && s->n_done < s->n_ids;
			n--)
			compute_row(i, s->n_done++, s->number, false);
		filled[i] = s->n_done;
		if (s->number == 0 || s->n_done < s->n_ids)
			continue;
		filled[i] = guess(i, s);
		s->n_ids++;
	}
	for (uint32_t i = 0; i < sim.n; i++)
		copy_out(&sim.peers[i], filled);
	for (uint32_t i = 0; i < sim.n; i++)
		deliver(&sim.peers[i]);
}

START_TEST(plans_change_while_sessions_run)
{
	const struct kv_vault_config c = {KV_Q8_0, LAYERS, HEADS, DIM, SLOTS, CONTEXT};
	struct err err;

	for (uint64_t story = 1; story <= STORIES; story++) {
		memset(&sim, 0, sizeof sim);
		seed = story * 2654435761u;
		sim.page = kv_page_bytes(c.type, c.head_dim);
		sim.vault = kv_vault_new(&c, &err);
		ck_assert_msg(sim.vault != NULL, "%s", err.msg);
		for (unsigned plan = 0; plan < 8; plan++) {
			begin_plan();
			for (uint32_t n = 5 + below(40); n > 0; n--)
				step();
			memcpy(sim.waiting, sim.running, sizeof sim.waiting);
			drop_queues();
			ck_assert_uint_le(kv_vault_held(sim.vault), kv_vault_bytes(&c));
		}
		ck_assert_msg(sim.kept > 0, "story %u: nothing was kept", (unsigned)story);
		kv_vault_free(sim.vault);
	}
}
END_TEST

START_TEST(another_session_of_a_slot_has_nothing_of_the_one_before)
{
	const struct kv_vault_config c = {KV_F16, 1, 2, DIM, 2, 2 * KV_GROUP};
	struct kv_piece p = {.slot = 1, .heads = 2};
	size_t page = kv_page_bytes(c.type, c.head_dim);
	struct err err;
	struct kv_vault *v = kv_vault_new(&c, &err);
	uint8_t *bytes = calloc(2, page);

	ck_assert_int_eq(kv_vault_put(v, 5, &p, bytes), 0);
	ck_assert_uint_eq(kv_vault_covered(v, 1), KV_GROUP);
	ck_assert_uint_eq(kv_vault_covered(v, 0), 0);
	p.group = 1;
	p.heads = 1;
	ck_assert_int_eq(kv_vault_put(v, 6, &p, bytes), 0);
	ck_assert_uint_eq(kv_vault_covered(v, 1), 0);
	ck_assert_uint_eq(kv_vault_number(v, 1), 6);
	p.group = 0;
	ck_assert(!kv_vault_get(v, &p, bytes));
	p.group = 1;
	ck_assert(kv_vault_get(v, &p, bytes));
	p.heads = 2;
	ck_assert(!kv_vault_get(v, &p, bytes));
	kv_vault_forget(v, 1);
	ck_assert_uint_eq(kv_vault_held(v), 0);
	free(bytes);
	kv_vault_free(v);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("kv_feed");
	TCase *t = tcase_create("copies of KV rows");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_set_timeout(t, 120);
	tcase_add_test(t, pieces_within_bounds_only);
	tcase_add_test(t, pages_that_are_too_long_do_not_travel);
	tcase_add_test(t, one_row_is_computed_in_any_case);
	tcase_add_test(t, another_session_of_a_slot_has_nothing_of_the_one_before);
	tcase_add_test(t, plans_change_while_sessions_run);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
