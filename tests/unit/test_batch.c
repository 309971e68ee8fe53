#include "sched/batch.h"

#include <check.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#define MAX_SESSIONS 16

/* Who works: sessions as "ids/done", and what the next step holds: "session:from+n", "!" where the
 * logits are wanted. */
struct sim {
	struct batch_session s[MAX_SESSIONS];
	uint32_t n, turn;
	char trace[1024];
};

/* As ck_assert, but free of charge where all is well: it is called a million times. */
static void
must(bool holds, const char *what)
{
	if (!holds)
		ck_abort_msg("%s", what);
}

static uint32_t
sim_step(struct sim *sim, uint32_t room)
{
	struct batch_part parts[MAX_SESSIONS];
	uint32_t n = batch_next(sim->s, sim->n, room, &sim->turn, parts), rows = 0;
	size_t used = 0;

	sim->trace[0] = '\0';
	for (uint32_t i = 0; i < n; i++) {
		struct batch_session *s = &sim->s[parts[i].session];

		used += (size_t)snprintf(sim->trace + used, sizeof sim->trace - used,
			"%s%u:%u+%u%s", i > 0 ? " " : "", parts[i].session, parts[i].from,
			parts[i].n, parts[i].logits ? "!" : "");
		s->n_done += parts[i].n;
		must(parts[i].n > 0, "a part has no rows");
		must(parts[i].from + parts[i].n == s->n_done, "a part begins elsewhere");
		must(s->n_done <= s->n_ids, "a part goes beyond the ids");
		must(parts[i].logits == (s->n_done == s->n_ids), "logits are for the last id");
		for (uint32_t k = 0; k < i; k++)
			must(parts[k].session != parts[i].session, "a session comes twice");
		rows += parts[i].n;
	}
	must(rows <= room, "there are more rows than room");
	return rows;
}

START_TEST(nobody_has_work)
{
	struct sim sim = {{{5, 5}, {9, 9}}, .n = 2};

	ck_assert_uint_eq(sim_step(&sim, 64), 0);
	sim.n = 0;
	ck_assert_uint_eq(sim_step(&sim, 64), 0);
	ck_assert_uint_eq(sim_step(&sim, 0), 0);
}
END_TEST

START_TEST(a_prompt_alone_goes_in_chunks)
{
	struct sim sim = {{{10, 0}}, .n = 1};

	sim_step(&sim, 4);
	ck_assert_str_eq(sim.trace, "0:0+4");
	sim_step(&sim, 4);
	ck_assert_str_eq(sim.trace, "0:4+4");
	sim_step(&sim, 4);
	ck_assert_str_eq(sim.trace, "0:8+2!");
	ck_assert_uint_eq(sim_step(&sim, 4), 0);
}
END_TEST

START_TEST(who_decodes_gets_a_row_and_prompts_the_rest)
{
	struct sim sim = {{{8, 7}, {100, 0}, {31, 30}}, .n = 3};

	sim_step(&sim, 16);
	ck_assert_str_eq(sim.trace, "0:7+1! 1:0+14 2:30+1!");
}
END_TEST

START_TEST(prompts_take_turns_with_the_room)
{
	struct sim sim = {{{100, 0}, {100, 0}, {100, 0}}, .n = 3};

	sim_step(&sim, 12);
	ck_assert_str_eq(sim.trace, "0:0+10 1:0+1 2:0+1");
	sim_step(&sim, 12);
	ck_assert_str_eq(sim.trace, "1:1+10 2:1+1 0:10+1");
	sim_step(&sim, 12);
	ck_assert_str_eq(sim.trace, "2:2+10 0:11+1 1:11+1");
}
END_TEST

START_TEST(a_short_prompt_leaves_room_to_the_next)
{
	struct sim sim = {{{3, 0}, {100, 0}}, .n = 2};

	sim_step(&sim, 16);
	ck_assert_str_eq(sim.trace, "0:0+3! 1:0+13");
}
END_TEST

START_TEST(too_many_for_one_step_are_served_in_turn)
{
	struct sim sim = {{{2, 1}, {2, 1}, {2, 1}, {50, 0}, {2, 1}}, .n = 5};

	sim_step(&sim, 2);
	ck_assert_str_eq(sim.trace, "0:1+1! 1:1+1!");
	sim.s[0].n_ids = sim.s[1].n_ids = 3;
	sim_step(&sim, 2);
	ck_assert_str_eq(sim.trace, "2:1+1! 3:0+1");
	sim_step(&sim, 2);
	ck_assert_str_eq(sim.trace, "4:1+1! 0:2+1!");
}
END_TEST

/* A draft is checked: the logits of its last rows are wanted, wherever a step ends among them. */
START_TEST(more_logits_than_the_last)
{
	struct batch_session s[] = {{20, 12, 3}, {5, 4, 0}, {9, 0, 2}};
	struct batch_part parts[3];
	uint32_t turn = 0;

	ck_assert_uint_eq(batch_next(s, 3, 64, &turn, parts), 3);
	ck_assert_uint_eq(parts[0].n, 8);
	ck_assert_uint_eq(parts[0].logits, 4);
	ck_assert_uint_eq(parts[1].logits, 1);
	ck_assert_uint_eq(parts[2].n, 9);
	ck_assert_uint_eq(parts[2].logits, 3);
	turn = 0;
	ck_assert_uint_eq(batch_next(s, 1, 6, &turn, parts), 1); /* 12 to 17 of 16 to 19 */
	ck_assert_uint_eq(parts[0].logits, 2);
	s[0].n_done = 18;
	ck_assert_uint_eq(batch_next(s, 1, 6, &turn, parts), 1);
	ck_assert_uint_eq(parts[0].logits, 2);
	s[0].n_done = 0;
	ck_assert_uint_eq(batch_next(s, 1, 16, &turn, parts), 1); /* just before them */
	ck_assert_uint_eq(parts[0].logits, 0);
}
END_TEST

/* Who has guesses checked beside prompts is no prompt, and takes nobody's turn. */
START_TEST(prompts_take_turns_beside_guesses)
{
	struct batch_session s[] = {{20, 15, 4}, {1000, 0, 0}, {1000, 0, 0}};
	uint32_t turn = 0, turns[3] = {0};
	struct batch_part parts[3];

	for (uint32_t step = 0; step < 30; step++)
		for (uint32_t i = 0, n = batch_next(s, 3, 16, &turn, parts); i < n; i++)
			turns[parts[i].session] += parts[i].n > 1;
	ck_assert_uint_eq(turns[1], 15);
	ck_assert_uint_eq(turns[2], 15);
}
END_TEST

START_TEST(a_turn_from_elsewhere_is_brought_into_range)
{
	struct sim sim = {{{2, 1}, {2, 1}}, .n = 2, .turn = 7};

	sim_step(&sim, 1);
	ck_assert_str_eq(sim.trace, "1:1+1!");
	ck_assert_uint_lt(sim.turn, 2);
}
END_TEST

/* Whoever has work is served within one circle, whatever comes and goes, and no room is left while
 * there is work. */
START_TEST(nobody_starves)
{
	uint32_t waited[MAX_SESSIONS] = {0};
	struct sim sim = {.n = MAX_SESSIONS};
	uint64_t rng = (uint64_t)_i + 1;

	for (int step = 0; step < 2000; step++) {
		uint32_t before[MAX_SESSIONS], room, work = 0, rows;

		for (uint32_t i = 0; i < sim.n; i++) {
			rng = rng * 6364136223846793005u + 1442695040888963407u;
			if (sim.s[i].n_ids == sim.s[i].n_done && rng >> 62 != 0)
				sim.s[i].n_ids += (rng >> 40) % 8 == 0 ? 200 : 1;
			before[i] = sim.s[i].n_done;
			work += sim.s[i].n_ids - sim.s[i].n_done;
		}
		room = 1 + (uint32_t)_i;
		rows = sim_step(&sim, room);
		must(rows == (work < room ? work : room), "room is left while there is work");
		for (uint32_t i = 0; i < sim.n; i++) {
			if (sim.s[i].n_done > before[i] || sim.s[i].n_ids == before[i])
				waited[i] = 0;
			else
				waited[i]++;
			must(waited[i] <= MAX_SESSIONS, "a session starves");
		}
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("batch");
	TCase *tc = tcase_create("batch");
	SRunner *r;
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, nobody_has_work);
	tcase_add_test(tc, a_prompt_alone_goes_in_chunks);
	tcase_add_test(tc, who_decodes_gets_a_row_and_prompts_the_rest);
	tcase_add_test(tc, prompts_take_turns_with_the_room);
	tcase_add_test(tc, a_short_prompt_leaves_room_to_the_next);
	tcase_add_test(tc, too_many_for_one_step_are_served_in_turn);
	tcase_add_test(tc, more_logits_than_the_last);
	tcase_add_test(tc, prompts_take_turns_beside_guesses);
	tcase_add_test(tc, a_turn_from_elsewhere_is_brought_into_range);
	tcase_add_loop_test(tc, nobody_starves, 0, 40);
	suite_add_tcase(s, tc);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
