/* What the wall remembers of plain prompts, for as many clients as it has room for. */
#include "daemon/wall.h"

#include <check.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

static struct wall *wall;

static void
setup(void)
{
	struct config c;
	struct err err;

	ck_assert_int_ge(sodium_init(), 0);
	config_defaults(&c);
	strcpy(c.privacy, "cloud");
	wall = wall_new(&c, &err);
	ck_assert_ptr_nonnull(wall);
}

static void
teardown(void)
{
	wall_free(wall);
}

/* A prompt comes, and is answered: under which policy. */
static enum privacy
prompt(uint64_t client, const char *text, enum privacy asked)
{
	struct api_request a = {.kind = API_COMPLETION, .prompt = text};
	struct wall_verdict v;
	enum privacy policy;

	ck_assert_int_eq(wall_judge(wall, client, PRIVACY_CLOUD, asked, &a, &v), 0);
	wall_made(wall, &v, NULL, 0);
	policy = v.policy;
	ck_assert_int_eq(policy == asked, v.where[0] == '\0');
	wall_verdict_free(&v);
	return policy;
}

static void
push_out(uint64_t first)
{
	for (uint64_t i = 0; i < WALL_CLIENTS; i++)
		prompt(first + i, "Once", PRIVACY_CLOUD);
}

START_TEST(a_prompt_is_known_by_its_begin)
{
	ck_assert_int_eq(prompt(1, "My salary", PRIVACY_HOME), PRIVACY_HOME);
	ck_assert_int_eq(prompt(1, "My  salary is 5", PRIVACY_CLOUD), PRIVACY_HOME);
	ck_assert_int_eq(prompt(1, "My salad", PRIVACY_CLOUD), PRIVACY_CLOUD);
	ck_assert_int_eq(prompt(2, "My salary is 5", PRIVACY_CLOUD), PRIVACY_CLOUD);
}
END_TEST

/* So many clients came since that it is not known any more what one of them said at home. */
START_TEST(a_client_that_was_forgotten_keeps_its_prompts)
{
	prompt(1, "My salary", PRIVACY_HOME);
	prompt(2, "Once", PRIVACY_CLOUD);
	push_out(100);
	ck_assert_int_eq(prompt(1, "My salary is 5", PRIVACY_CLOUD), PRIVACY_HOME);
	ck_assert_int_eq(prompt(120, "Once upon", PRIVACY_CLOUD), PRIVACY_CLOUD); /* known */
	push_out(200);
	ck_assert_int_eq(prompt(1, "My salary is 5", PRIVACY_CLOUD), PRIVACY_HOME);
}
END_TEST

START_TEST(nothing_private_was_forgotten)
{
	push_out(100);
	push_out(200);
	ck_assert_int_eq(prompt(100, "Once upon", PRIVACY_CLOUD), PRIVACY_CLOUD);
}
END_TEST

START_TEST(more_private_prompts_than_can_be_kept)
{
	char text[WALL_MESSAGES + 2] = "";

	memset(text, 'x', WALL_MESSAGES + 1);
	for (size_t i = WALL_MESSAGES + 1; i > 0; i--) { /* none begins with one of before */
		text[i] = '\0';
		prompt(1, text, PRIVACY_HOME);
	}
	ck_assert_int_eq(prompt(1, "Once", PRIVACY_CLOUD), PRIVACY_HOME);
	ck_assert_int_eq(prompt(2, "Once", PRIVACY_CLOUD), PRIVACY_CLOUD);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("wall");
	TCase *t = tcase_create("prompts");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, a_prompt_is_known_by_its_begin);
	tcase_add_test(t, a_client_that_was_forgotten_keeps_its_prompts);
	tcase_add_test(t, nothing_private_was_forgotten);
	tcase_add_test(t, more_private_prompts_than_can_be_kept);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
