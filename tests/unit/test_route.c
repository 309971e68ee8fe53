/* Where a query goes. */
#include "sched/route.h"
#include "sched/route_prompt.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SMALL, LARGE, CLOUD, SECOND };

static struct route_query
query(void)
{
	return (struct route_query){
		.candidates = {[SMALL] = {.kind = ROUTE_SMALL},
			[LARGE] = {.kind = ROUTE_LARGE},
			[CLOUD] = {.kind = ROUTE_CLOUD, .quality = 0.8},
			[SECOND] = {.kind = ROUTE_CLOUD, .quality = 0.9}},
		.n = 4,
		.gain = 0.1,
		.threshold = 0.3,
		.known = true,
		.clear = true,
		.stay = 0.1,
	};
}

static void
expect(struct route_choice c, int candidate, enum route_reason reason)
{
	ck_assert_int_eq(c.candidate, candidate);
	ck_assert_str_eq(route_reason_name(c.reason), route_reason_name(reason));
	ck_assert_int_eq(c.cascade, reason == ROUTE_TRIES);
}

START_TEST(test_gain_decides)
{
	struct route_query q = query();

	expect(route_first(&q), SMALL, ROUTE_NO_GAIN);
	q.up = true;
	expect(route_first(&q), LARGE, ROUTE_GAIN);
	q.clear = false;
	expect(route_first(&q), SMALL, ROUTE_TRIES);
	q.clear = true;
	q.known = false;
	expect(route_first(&q), SMALL, ROUTE_TRIES);
}
END_TEST

START_TEST(test_tokens_overrule)
{
	struct route_query q = query();

	expect(route_judge(&q, false, 0, SMALL), SMALL, ROUTE_TOKENS_SURE);
	expect(route_judge(&q, true, 0.1, SMALL), LARGE, ROUTE_TOKENS_DOUBT);
	q.candidates[LARGE].refusal = ROUTE_NOT_READY;
	expect(route_judge(&q, true, 0.1, SMALL), SMALL, ROUTE_ONLY);
}
END_TEST

/* A cloud is asked unasked-for only where it is known to be better, or nobody else is there. */
START_TEST(test_cloud)
{
	struct route_query q = query();

	q.up = true;
	q.cloud_gain = 0.6;
	q.cloud_threshold = 0.3;
	expect(route_first(&q), LARGE, ROUTE_GAIN);
	q.cloud_known = true;
	expect(route_first(&q), SECOND, ROUTE_GAIN);
	q.candidates[SECOND].refusal = ROUTE_BREAKER;
	expect(route_first(&q), CLOUD, ROUTE_GAIN);
	q.candidates[CLOUD].refusal = ROUTE_PRIVACY;
	expect(route_first(&q), LARGE, ROUTE_GAIN);
	q = query();
	q.candidates[SMALL].refusal = q.candidates[LARGE].refusal = ROUTE_CONTEXT;
	expect(route_first(&q), SECOND, ROUTE_ONLY);
}
END_TEST

START_TEST(test_named)
{
	struct route_query q = query();

	q.gain = 0.9;
	q.ask = ROUTE_ASK_LOCAL;
	expect(route_first(&q), SMALL, ROUTE_ASKED);
	expect(route_next(&q, SMALL, false), -1, ROUTE_NOBODY);
	q = query();
	q.ask = ROUTE_ASK_HOME;
	expect(route_first(&q), LARGE, ROUTE_ASKED);
	expect(route_next(&q, LARGE, false), SMALL, ROUTE_FELL_BACK);
	expect(route_next(&q, SMALL, false), -1, ROUTE_NOBODY);
	q = query();
	q.ask = ROUTE_ASK_CLOUD;
	expect(route_first(&q), SECOND, ROUTE_ASKED);
	expect(route_next(&q, SECOND, false), CLOUD, ROUTE_FELL_BACK);
	expect(route_next(&q, CLOUD, false), -1, ROUTE_NOBODY);
}
END_TEST

/* A cloud's answer that was cut goes on at home; one of a model at home breaks off. */
START_TEST(test_begun)
{
	struct route_query q = query();

	q.ask = ROUTE_ASK_CLOUD;
	expect(route_next(&q, SECOND, true), LARGE, ROUTE_FELL_BACK);
	expect(route_next(&q, LARGE, true), -1, ROUTE_NOBODY);
	q = query();
	q.candidates[LARGE].refusal = ROUTE_NOT_READY;
	expect(route_next(&q, CLOUD, true), SMALL, ROUTE_FELL_BACK);
}
END_TEST

/* --- conversations ------------------------------------------------------------------------------ */

START_TEST(test_conversations_stay)
{
	struct route_query q = query();

	q.had_last = true;
	q.last = (struct route_turn){ROUTE_LARGE, ROUTE_CALM, UINT8_MAX};
	q.gain = 0.27;
	expect(route_first(&q), LARGE, ROUTE_STAYS);
	q.clear = false;
	expect(route_first(&q), LARGE, ROUTE_STAYS);
	q.clear = true;
	q.gain = 0.1; /* well below the threshold from which on it goes up */
	expect(route_first(&q), SMALL, ROUTE_NO_GAIN);
	q.last.calm = ROUTE_CALM - 2; /* not for long enough */
	expect(route_first(&q), LARGE, ROUTE_STAYS);
	q.last.calm = ROUTE_CALM - 1;
	expect(route_first(&q), SMALL, ROUTE_NO_GAIN);
	q.last.since = ROUTE_REST - 1; /* it moved a few turns ago */
	expect(route_first(&q), LARGE, ROUTE_STAYS);
	q.firm = true;
	expect(route_first(&q), SMALL, ROUTE_NO_GAIN);
	q.firm = false;
	q.last.since = ROUTE_REST;
	q.known = false;
	expect(route_first(&q), LARGE, ROUTE_STAYS);
}
END_TEST

/* Up at once, when the gain is worth reading the conversation anew. */
START_TEST(test_up_at_once)
{
	struct route_query q = query();

	q.had_last = true;
	q.last = (struct route_turn){ROUTE_SMALL, 0, 0};
	q.up = true;
	q.gain = 0.4;
	expect(route_first(&q), LARGE, ROUTE_GAIN);
	expect(route_judge(&q, true, 0.1, SMALL), LARGE, ROUTE_TOKENS_DOUBT);
	q.move = 0.15;
	expect(route_first(&q), SMALL, ROUTE_STAYS);
	expect(route_judge(&q, true, 0.1, SMALL), SMALL, ROUTE_STAYS);
	expect(route_judge(&q, true, 0.2, SMALL), LARGE, ROUTE_TOKENS_DOUBT);
	q.firm = true; /* everything goes up */
	expect(route_first(&q), LARGE, ROUTE_GAIN);
	q.firm = q.had_last = false; /* a first turn has nothing to be read anew */
	expect(route_first(&q), LARGE, ROUTE_GAIN);
}
END_TEST

/* Who made a tool's call gets its result, however the score is. */
START_TEST(test_tool_results)
{
	static const enum route_target who[] = {ROUTE_SMALL, ROUTE_LARGE, ROUTE_CLOUD};
	static const int answers[] = {SMALL, LARGE, SECOND};

	for (int i = 0; i < 3; i++)
		for (unsigned bits = 0; bits < 16; bits++) {
			struct route_query q = query();

			q.had_last = q.in_tool = true;
			q.last = (struct route_turn){who[i], UINT8_MAX, UINT8_MAX};
			q.known = (bits & 1) != 0;
			q.up = (bits & 2) != 0;
			q.clear = (bits & 4) != 0;
			q.cloud_known = (bits & 8) != 0;
			q.gain = q.cloud_gain = q.up ? 1 : -1;
			expect(route_first(&q), answers[i], ROUTE_STAYS);
			q.candidates[answers[i]].refusal = ROUTE_NOT_READY;
			ck_assert_int_ne(route_first(&q).candidate, answers[i]);
		}
}
END_TEST

static uint64_t random_state;

static double
unit(void) /* splitmix64 */
{
	uint64_t z = random_state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return (double)((z ^ z >> 31) >> 11) * 0x1p-53;
}

/* One request of a conversation: a prompt of some gain, or a tool's result. */
static enum route_target
answer(struct route_query *q, double hardness)
{
	struct route_choice c;

	q->gain = hardness - 0.3 + 0.6 * unit();
	q->cloud_gain = q->gain - 0.1;
	q->threshold = q->cloud_threshold = 0.3;
	q->up = q->gain > q->threshold;
	q->known = unit() < 0.9;
	q->cloud_known = q->known && unit() < 0.5;
	q->clear = unit() < 0.7;
	c = route_first(q);
	if (c.cascade)
		c = route_judge(q, unit() < 0.3, unit() - 0.3, (unsigned)c.candidate);
	return q->candidates[c.candidate].kind;
}

/* Twenty turns, with loops of tool calls in some; returns how often it moved. */
static unsigned
script(struct route_query *q, bool *split)
{
	unsigned moves = 0;

	q->had_last = false;
	for (int turn = 0; turn < 20; turn++) {
		double hardness = unit() < 0.5 ? 0.1 : 0.6;
		unsigned calls = unit() < 0.4 ? (unsigned)(6 * unit()) : 0;

		for (unsigned i = 0; i <= calls; i++) {
			enum route_target t;

			q->in_tool = i > 0;
			t = answer(q, hardness);
			moves += q->had_last && t != q->last.target;
			*split = *split || (i > 0 && t != q->last.target);
			q->last = route_turn_after(q, t);
			q->had_last = true;
		}
	}
	return moves;
}

START_TEST(test_twenty_turns)
{
	unsigned moved = 0;
	bool split = false;

	for (random_state = 1; random_state <= 3000; random_state++) {
		struct route_query q = query();
		uint64_t seed = random_state;
		unsigned moves;

		q.candidates[CLOUD].refusal = q.candidates[SECOND].refusal =
			seed % 3 == 0 ? ROUTE_USABLE : ROUTE_PRIVACY;
		moves = script(&q, &split);
		ck_assert_msg(moves <= 2, "seed %lu: %u moves", (unsigned long)seed, moves);
		ck_assert_msg(!split, "seed %lu: moved between a call and its result",
			(unsigned long)seed);
		moved += moves;
		random_state = seed;
	}
	ck_assert_uint_gt(moved, 1500); /* it does move */
}
END_TEST

static const struct {
	const char *text, *own;
	bool result;
} messages[] = {
	{"switch on the lamp", "switch on the lamp", false},
	{"<system-reminder>be brief</system-reminder>\nswitch it on", "\nswitch it on", false},
	{"a<reminder>x</reminder>b<reminder>y</reminder>c", "abc", false},
	{"<environment_details>\n# Files\n</environment_details>\n", "", false},
	{"<tool_response>\n21 C\n</tool_response>", "", true},
	{"<tool_result id=\"7\">21 C</tool_result> and now?", " and now?", true},
	/* What a tool returned does not pass for the user's words. */
	{"<tool_response>a</tool_response> go up <tool_response>b</tool_response>", "", true},
	{"<tool_response>x</tool_response>derive it</tool_response>", "", true},
	{"what is a <reminder> tag?", "what is a <reminder> tag?", false},
	{"<reminders>a</reminders>", "<reminders>a</reminders>", false},
	{"<tool_response", "<tool_response", false},
	{"a < b", "a < b", false},
	{"", "", false},
};

START_TEST(test_own_words)
{
	char out[128];

	for (size_t i = 0; i < sizeof messages / sizeof *messages; i++) {
		const char *text = messages[i].text;
		struct route_own own = route_own(text, strlen(text), out);

		ck_assert_msg(own.len == strlen(messages[i].own) &&
				      memcmp(out, messages[i].own, own.len) == 0,
			"'%s': '%.*s'", text, (int)own.len, out);
		ck_assert_int_eq(own.result, messages[i].result);
	}
}
END_TEST

/* Tags that never end take no more time than other text: half a million would take hours. */
START_TEST(test_many_open_tags)
{
	static char text[1 << 22];
	size_t len = 0;

	while (len + 16 < sizeof text)
		len += (size_t)snprintf(
			text + len, 16, "<%s>", len % 2 == 0 ? "tool_result" : "reminder");
	ck_assert_uint_eq(route_own(text, len, text).len, len);
}
END_TEST

/* Whatever is refused is not chosen, and the chain ends, in every state. */
START_TEST(test_all_refusals)
{
	for (unsigned bits = 0; bits < 16 * 4 * 2 * 2 * 5; bits++) {
		static const double gains[] = {-1, 0.1, 0.3, 0.5, 1};
		struct route_query q = query();
		struct route_choice c;
		unsigned tries = 0;

		for (unsigned i = 0; i < q.n; i++)
			if ((bits >> i & 1) != 0)
				q.candidates[i].refusal = ROUTE_BUDGET;
		q.ask = (enum route_ask)(bits >> 4 & 3);
		q.known = q.up = (bits >> 6 & 1) != 0;
		q.cloud_known = (bits >> 7 & 1) != 0;
		q.gain = q.cloud_gain = gains[bits >> 8];
		for (c = route_first(&q); c.candidate >= 0;
			c = route_next(&q, (unsigned)c.candidate, false)) {
			enum route_target kind = q.candidates[c.candidate].kind;

			ck_assert_int_eq(q.candidates[c.candidate].refusal, ROUTE_USABLE);
			ck_assert(q.ask != ROUTE_ASK_LOCAL || kind == ROUTE_SMALL);
			ck_assert(q.ask != ROUTE_ASK_HOME || kind != ROUTE_CLOUD);
			ck_assert(q.ask != ROUTE_ASK_CLOUD || kind == ROUTE_CLOUD);
			ck_assert_uint_le(++tries, q.n);
		}
		ck_assert_str_eq(route_reason_name(c.reason), "nobody");
	}
}
END_TEST

/* --- limits ------------------------------------------------------------------------------------- */

static double
drawn(double most)
{
	return unit() < 0.2 ? ROUTE_UNKNOWN : most * unit();
}

static bool
keeps(const struct route_query *q, const struct route_candidate *c)
{
	return !(q->max_seconds >= 0 && c->seconds > q->max_seconds) &&
	       !(q->max_joules >= 0 && c->joules > q->max_joules);
}

/* Whoever answers keeps the limits, somebody does when one can, and of clouds the best that can. */
START_TEST(test_limits)
{
	unsigned impossible = 0;

	random_state = 3;
	for (int i = 0; i < 20000; i++) {
		struct route_query q = query();
		struct route_choice c;
		bool can = false;

		q.known = q.up = unit() < 0.5;
		q.max_seconds = drawn(2);
		q.max_joules = drawn(20);
		for (unsigned k = 0; k < q.n; k++) {
			q.candidates[k].seconds = drawn(4);
			q.candidates[k].joules = drawn(40);
			can = can || keeps(&q, &q.candidates[k]);
		}
		route_limit(&q);
		c = route_first(&q);
		ck_assert_int_eq(c.candidate >= 0, can);
		if (c.candidate >= 0) {
			ck_assert(keeps(&q, &q.candidates[c.candidate]));
			ck_assert(c.candidate != CLOUD || !keeps(&q, &q.candidates[SECOND]));
		} else {
			enum route_refusal why = q.candidates[route_binding(&q)].refusal;

			ck_assert(why == ROUTE_SLOW || why == ROUTE_JOULES);
			impossible++;
		}
	}
	ck_assert_uint_gt(impossible, 100);
}
END_TEST

/* A limit, which the request could lift, before what it could not. */
START_TEST(test_what_binds)
{
	struct route_query q = query();

	q.candidates[SMALL].refusal = ROUTE_NOT_READY;
	q.candidates[LARGE].refusal = ROUTE_JOULES;
	q.candidates[CLOUD].refusal = q.candidates[SECOND].refusal = ROUTE_BUDGET;
	ck_assert_int_eq(route_binding(&q), LARGE);
	q.ask = ROUTE_ASK_CLOUD;
	ck_assert_int_eq(route_binding(&q), CLOUD);
	q.ask = ROUTE_ASK_LOCAL;
	ck_assert_int_eq(route_binding(&q), SMALL);
	q.ask = ROUTE_ASK_CLOUD;
	q.n = 2;
	ck_assert_int_eq(route_binding(&q), -1);
	/* A model that is still loading is what to wait for, not that no cloud tells logprobs. */
	q = query();
	q.candidates[SMALL].refusal = ROUTE_ABSENT;
	q.candidates[LARGE].refusal = ROUTE_NOT_READY;
	q.candidates[CLOUD].refusal = q.candidates[SECOND].refusal = ROUTE_LOGPROBS;
	ck_assert_int_eq(route_binding(&q), LARGE);
	q.ask = ROUTE_ASK_CLOUD;
	ck_assert_int_eq(route_binding(&q), CLOUD);
}
END_TEST

START_TEST(test_a_device_that_is_spared)
{
	struct route_query q = query();

	q.spare = 0.25;
	q.lean = ENERGY_UP;
	expect(route_first(&q), LARGE, ROUTE_SPARED); /* 0.1 falls short of 0.3 by less */
	q.gain = 0;
	expect(route_first(&q), SMALL, ROUTE_NO_GAIN);
	q.known = false;
	expect(route_first(&q), LARGE, ROUTE_SPARED);
	q.firm = q.known = true;
	expect(route_first(&q), SMALL, ROUTE_NO_GAIN);
	q.firm = q.known = false;
	q.candidates[LARGE].refusal = ROUTE_NOT_READY;
	expect(route_first(&q), SMALL, ROUTE_ONLY);
}
END_TEST

START_TEST(test_others_that_are_spared)
{
	struct route_query q = query();

	q.spare = 0.25;
	q.lean = ENERGY_DOWN;
	q.up = true;
	q.gain = 0.5; /* exceeds 0.3 by less */
	expect(route_first(&q), SMALL, ROUTE_SPARED);
	q.gain = 0.6;
	expect(route_first(&q), LARGE, ROUTE_GAIN);
	q.up = false;
	expect(route_first(&q), SMALL, ROUTE_NO_GAIN);
	q.known = false;
	ck_assert(route_first(&q).cascade);
	expect(route_judge(&q, true, 0.2, SMALL), SMALL, ROUTE_SPARED);
	expect(route_judge(&q, true, 0.3, SMALL), LARGE, ROUTE_TOKENS_DOUBT);
	expect(route_judge(&q, false, -1, SMALL), SMALL, ROUTE_TOKENS_SURE);
	q.firm = true;
	expect(route_judge(&q, true, 0.2, SMALL), LARGE, ROUTE_TOKENS_DOUBT);
}
END_TEST

START_TEST(test_names)
{
	for (int i = 0; i < ROUTE_REASONS; i++)
		ck_assert(strlen(route_reason_name((enum route_reason)i)) > 0 &&
			  strlen(route_reason_words((enum route_reason)i)) > 0);
	for (int i = 0; i < ROUTE_REFUSALS; i++)
		ck_assert(strlen(route_refusal_name((enum route_refusal)i)) > 0 &&
			  strlen(route_refusal_words((enum route_refusal)i)) > 0);
	ck_assert_str_eq(route_target_name(ROUTE_LARGE), "large");
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("route");
	TCase *t = tcase_create("route");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_test(t, test_gain_decides);
	tcase_add_test(t, test_tokens_overrule);
	tcase_add_test(t, test_cloud);
	tcase_add_test(t, test_named);
	tcase_add_test(t, test_begun);
	tcase_add_test(t, test_conversations_stay);
	tcase_add_test(t, test_up_at_once);
	tcase_add_test(t, test_tool_results);
	tcase_add_test(t, test_twenty_turns);
	tcase_add_test(t, test_own_words);
	tcase_add_test(t, test_many_open_tags);
	tcase_add_test(t, test_all_refusals);
	tcase_add_test(t, test_limits);
	tcase_add_test(t, test_what_binds);
	tcase_add_test(t, test_a_device_that_is_spared);
	tcase_add_test(t, test_others_that_are_spared);
	tcase_add_test(t, test_names);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
