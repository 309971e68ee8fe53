/* Policies only tighten, and what was said under one stays under it. */
#include "sched/privacy.h"
#include "tests/support/privacy_texts.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

/* The hash of a text: good enough for texts of a test. */
static struct privacy_hash
hash(const void *text, size_t len)
{
	const uint8_t *s = text;
	uint64_t x = 1;
	struct privacy_hash h;

	for (size_t i = 0; i < len; i++) {
		x ^= s[i];
		texts_next(&x);
	}
	for (int i = 0; i < 2; i++) {
		uint64_t v = texts_next(&x);

		memcpy(h.bytes + i * 8, &v, 8);
	}
	return h;
}

static struct privacy_hash
said(const char *text)
{
	return hash(text, strlen(text));
}

START_TEST(four_names)
{
	static const char *const names[] = {"device", "home", "redact", "cloud"};
	static const char *const wrong[] = {"", "Cloud", "cloud ", "clou", "clouds", "none", "3",
		"anything that is very very long and is cut in the message that comes back"};
	enum privacy p = PRIVACY_HOME;
	struct err err;

	for (unsigned i = 0; i < 4; i++) {
		ck_assert_int_eq(privacy_parse(names[i], &p, &err), 0);
		ck_assert_int_eq(p, i);
		ck_assert_str_eq(privacy_name(p), names[i]);
	}
	p = PRIVACY_HOME;
	for (unsigned i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		ck_assert_int_eq(privacy_parse(wrong[i], &p, &err), -1);
		ck_assert_int_eq(p, PRIVACY_HOME);
		for (unsigned k = 0; k < 4; k++)
			ck_assert_ptr_nonnull(strstr(err.msg, names[k]));
	}
}
END_TEST

/* The strictest, written down as what each policy permits and not as an order of numbers. */
static const char *
permits(unsigned p)
{
	static const char *const reach[] = {"d", "dh", "dhr", "dhrc"};

	return reach[p];
}

static void
check_voices(unsigned i)
{
	const unsigned p[4] = {i & 3, i >> 2 & 3, i >> 4 & 3, i >> 6 & 3};
	const struct privacy_voices v = {p[0], p[1], p[2], p[3]};
	static const char *const whose[] = {
		"the daemon", "the API key", "the session", "the request"};
	const char *allowed = permits(privacy_effective(&v));
	unsigned first = 0;

	for (const char *c = "dhrc"; *c != '\0'; c++) {
		bool all = true;

		for (unsigned k = 0; k < 4; k++)
			all &= strchr(permits(p[k]), *c) != NULL;
		ck_assert_int_eq(strchr(allowed, *c) != NULL, all);
	}
	while (p[first] != privacy_effective(&v))
		first++;
	ck_assert_str_eq(privacy_whose(&v), whose[first]);
}

START_TEST(all_256_combinations)
{
	for (unsigned i = 0; i < 256; i++)
		check_voices(i);
}
END_TEST

START_TEST(what_is_no_policy_is_the_strictest)
{
	const struct privacy_voices v = {PRIVACY_CLOUD, (enum privacy)77, 3, 3};

	ck_assert_int_eq(privacy_effective(&v), PRIVACY_DEVICE);
	ck_assert_str_eq(privacy_name((enum privacy) - 1), "device");
	ck_assert_str_eq(privacy_whose(&v), "the API key");
}
END_TEST

/* 200 texts that say otherwise, as any message of the conversation, in all combinations: what comes
 * out is what comes out with a text about the weather in its place. */
static enum privacy
judge_one(const struct privacy_hash *h, enum injection_place place, unsigned voices,
	enum privacy before)
{
	const struct privacy_voices v = {
		voices & 3, voices >> 2 & 3, voices >> 4 & 3, voices >> 6 & 3};
	struct privacy_taint *t = privacy_taint_new(8, PRIVACY_HOME);
	struct privacy_hash turn[3] = {*h, said("Thanks, then."), said("And now?")};
	size_t n_old = place == IN_ANSWER ? 2 : 0;
	enum privacy p;

	if (n_old > 0)
		privacy_taint_made(t, turn, n_old, 0, before);
	p = privacy_taint_judge(t, turn, 3, n_old, privacy_effective(&v), NULL, NULL);
	privacy_taint_free(t);
	return p;
}

START_TEST(no_text_loosens)
{
	struct privacy_hash weather = said("It rains.");
	struct buf b;

	buf_init(&b, 0);
	for (unsigned i = 0; i < INJECTION_TEXTS; i++) {
		struct privacy_hash h;

		buf_clear(&b);
		injection_text(i, &b);
		h = hash(b.data, b.len);
		for (unsigned v = 0; v < 256; v++) {
			enum privacy before = (enum privacy)((v + i) % 4);

			ck_assert_int_eq(judge_one(&h, injection_place(i), v, before),
				judge_one(&weather, injection_place(i), v, before));
		}
	}
	buf_free(&b);
}
END_TEST

/* Two turns in the cloud, one at home, and then the cloud is asked for again. */
START_TEST(a_turn_made_at_home_stays)
{
	struct privacy_taint *t = privacy_taint_new(100, PRIVACY_HOME);
	struct privacy_hash m[] = {said("Hello"), said("Hi!"), said("My salary is ..."),
		said("I see."), said("commit it")};
	bool may[5];
	struct privacy_why why = {0};

	ck_assert_int_eq(privacy_taint_judge(t, m, 1, 0, PRIVACY_CLOUD, NULL, &why), PRIVACY_CLOUD);
	privacy_taint_made(t, m, 2, 0, PRIVACY_CLOUD);
	ck_assert_int_eq(privacy_taint_judge(t, m, 3, 2, PRIVACY_HOME, NULL, &why), PRIVACY_HOME);
	ck_assert_str_eq(why.held.msg, "");
	privacy_taint_made(t, m, 4, 2, PRIVACY_HOME);
	ck_assert_int_eq(privacy_taint_judge(t, m, 5, 4, PRIVACY_CLOUD, may, &why), PRIVACY_HOME);
	ck_assert(may[0] && may[1] && !may[2] && !may[3] && may[4]);
	ck_assert_ptr_nonnull(strstr(why.held.msg, "is held to privacy home and cloud"));
	ck_assert_uint_eq(why.message, 2);
	ck_assert_ptr_nonnull(strstr(why.held.msg, "made under that policy"));
	/* Redaction is a way into the cloud, too; home is none. */
	ck_assert_int_eq(privacy_taint_judge(t, m, 5, 4, PRIVACY_REDACT, NULL, NULL), PRIVACY_HOME);
	ck_assert_int_eq(
		privacy_taint_judge(t, m, 5, 4, PRIVACY_DEVICE, may, NULL), PRIVACY_DEVICE);
	ck_assert(may[0] && may[4]);
	/* Without the private turn it may go on. */
	ck_assert_int_eq(privacy_taint_judge(t, m, 2, 2, PRIVACY_CLOUD, NULL, NULL), PRIVACY_CLOUD);
	/* As a new turn of its own, first, last or alone, it is known again. */
	ck_assert_int_eq(
		privacy_taint_judge(t, m + 2, 1, 0, PRIVACY_CLOUD, NULL, NULL), PRIVACY_HOME);
	ck_assert_int_eq(
		privacy_taint_judge(t, m + 3, 2, 0, PRIVACY_CLOUD, NULL, NULL), PRIVACY_HOME);
	privacy_taint_free(t);
}
END_TEST

START_TEST(a_looser_second_time_changes_nothing)
{
	struct privacy_taint *t = privacy_taint_new(10, PRIVACY_CLOUD);
	struct privacy_hash m = said("secret");

	privacy_taint_made(t, &m, 1, 0, PRIVACY_HOME);
	privacy_taint_made(t, &m, 1, 0, PRIVACY_CLOUD);
	privacy_taint_made(t, &m, 1, 1, PRIVACY_CLOUD);
	ck_assert_int_eq(privacy_taint_judge(t, &m, 1, 1, PRIVACY_CLOUD, NULL, NULL), PRIVACY_HOME);
	privacy_taint_made(t, &m, 1, 0, PRIVACY_DEVICE);
	ck_assert_int_eq(
		privacy_taint_judge(t, &m, 1, 0, PRIVACY_CLOUD, NULL, NULL), PRIVACY_DEVICE);
	privacy_taint_free(t);
	/* History that is sent along in a private turn keeps its own policy. */
	t = privacy_taint_new(10, PRIVACY_CLOUD);
	privacy_taint_made(t, &m, 1, 0, PRIVACY_CLOUD);
	privacy_taint_made(t, &m, 1, 1, PRIVACY_HOME);
	ck_assert_int_eq(
		privacy_taint_judge(t, &m, 1, 1, PRIVACY_CLOUD, NULL, NULL), PRIVACY_CLOUD);
	privacy_taint_free(t);
}
END_TEST

START_TEST(history_that_nobody_knows)
{
	struct privacy_taint *t = privacy_taint_new(10, PRIVACY_HOME);
	struct privacy_hash m[] = {said("from before a restart"), said("new")};
	struct privacy_why why = {0};

	ck_assert_int_eq(privacy_taint_judge(t, m, 2, 1, PRIVACY_CLOUD, NULL, &why), PRIVACY_HOME);
	ck_assert_ptr_nonnull(strstr(why.held.msg, "not known here"));
	ck_assert_int_eq(privacy_taint_judge(t, m, 2, 0, PRIVACY_CLOUD, NULL, NULL), PRIVACY_CLOUD);
	privacy_taint_free(t);
	/* Where it may be brought along, it may until something private was said. */
	t = privacy_taint_new(10, PRIVACY_CLOUD);
	ck_assert_int_eq(privacy_taint_judge(t, m, 2, 1, PRIVACY_CLOUD, NULL, NULL), PRIVACY_CLOUD);
	privacy_taint_made(t, &m[1], 1, 0, PRIVACY_HOME);
	ck_assert_int_eq(privacy_taint_judge(t, m, 1, 1, PRIVACY_CLOUD, NULL, NULL), PRIVACY_HOME);
	privacy_taint_free(t);
}
END_TEST

START_TEST(without_a_record_nothing_leaves)
{
	struct privacy_hash m = said("anything");
	struct privacy_why why = {0};
	bool may = true;

	ck_assert_int_eq(
		privacy_taint_judge(NULL, &m, 1, 0, PRIVACY_CLOUD, &may, &why), PRIVACY_DEVICE);
	ck_assert(!may);
	ck_assert_ptr_nonnull(strstr(why.held.msg, "no record"));
	ck_assert_int_eq(
		privacy_taint_judge(NULL, NULL, 0, 0, PRIVACY_CLOUD, NULL, NULL), PRIVACY_DEVICE);
	privacy_taint_made(NULL, &m, 1, 0, PRIVACY_HOME);
	ck_assert_ptr_null(privacy_taint_new(0, PRIVACY_HOME));
	ck_assert_ptr_null(privacy_taint_new(PRIVACY_TAINT_MAX + 1, PRIVACY_HOME));
}
END_TEST

static struct privacy_hash
numbered(uint64_t i)
{
	return hash(&i, sizeof i);
}

/* Whatever is pushed out, what it was held to holds for all. */
START_TEST(an_overflow_taints_the_whole_session)
{
	struct privacy_taint *t = privacy_taint_new(16, PRIVACY_CLOUD);
	struct privacy_hash secret = said("secret"), fresh = said("fresh");
	struct privacy_why why = {0};

	for (uint64_t i = 0; i < 100; i++) {
		struct privacy_hash h = numbered(i);

		privacy_taint_made(t, &h, 1, 0, PRIVACY_CLOUD);
	}
	ck_assert_int_eq(/* nothing private was lost */
		privacy_taint_judge(t, &fresh, 1, 0, PRIVACY_CLOUD, NULL, NULL), PRIVACY_CLOUD);
	privacy_taint_made(t, &secret, 1, 0, PRIVACY_HOME);
	for (uint64_t i = 100; i < 116; i++) {
		struct privacy_hash h = numbered(i);

		ck_assert_int_eq(
			privacy_taint_judge(t, &h, 1, 0, PRIVACY_CLOUD, NULL, NULL), PRIVACY_CLOUD);
		privacy_taint_made(t, &h, 1, 0, PRIVACY_CLOUD);
	}
	ck_assert_int_eq(
		privacy_taint_judge(t, &fresh, 1, 0, PRIVACY_CLOUD, NULL, &why), PRIVACY_HOME);
	ck_assert_ptr_nonnull(strstr(why.held.msg, "so long"));
	ck_assert_int_eq(
		privacy_taint_judge(t, &secret, 1, 0, PRIVACY_CLOUD, NULL, NULL), PRIVACY_HOME);
	privacy_taint_free(t);
}
END_TEST

/* Random histories against a record without a bound: never looser, and the same until it overflows. */
START_TEST(never_looser_than_a_perfect_memory)
{
	uint64_t s = 42;

	for (unsigned round = 0; round < 200; round++) {
		uint32_t max = 1 + (uint32_t)(texts_next(&s) % 40);
		struct privacy_taint *t = privacy_taint_new(max, PRIVACY_CLOUD);
		enum privacy perfect[64];
		unsigned distinct = 0;

		for (unsigned i = 0; i < 64; i++)
			perfect[i] = PRIVACY_POLICIES;
		for (unsigned step = 0; step < 100; step++) {
			uint64_t k = texts_next(&s) % 64;
			enum privacy p = (enum privacy)(texts_next(&s) % 4), got;
			struct privacy_hash h = numbered(k);

			got = privacy_taint_judge(t, &h, 1, 0, PRIVACY_CLOUD, NULL, NULL);
			if (perfect[k] != PRIVACY_POLICIES)
				ck_assert_int_le(got, perfect[k]);
			if (distinct <= max && perfect[k] != PRIVACY_POLICIES)
				ck_assert_int_eq(got, perfect[k]);
			distinct += perfect[k] == PRIVACY_POLICIES;
			privacy_taint_made(t, &h, 1, 0, p);
			if (p < perfect[k])
				perfect[k] = p;
		}
		privacy_taint_free(t);
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("privacy");
	TCase *tc = tcase_create("privacy");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_test(tc, four_names);
	tcase_add_test(tc, all_256_combinations);
	tcase_add_test(tc, what_is_no_policy_is_the_strictest);
	tcase_add_test(tc, no_text_loosens);
	tcase_add_test(tc, a_turn_made_at_home_stays);
	tcase_add_test(tc, a_looser_second_time_changes_nothing);
	tcase_add_test(tc, history_that_nobody_knows);
	tcase_add_test(tc, without_a_record_nothing_leaves);
	tcase_add_test(tc, an_overflow_taints_the_whole_session);
	tcase_add_test(tc, never_looser_than_a_perfect_memory);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
