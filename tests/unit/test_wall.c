/* What the wall remembers of plain prompts, for as many clients as it has room for, and over a restart; and which items
 * a request has. */
#include "daemon/wall.h"

#include <check.h>
#include <signal.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static struct wall *wall;
static char dir[64], kept[80]; /* "": nothing is on disk */

static void
build(void)
{
	struct config c;
	struct err err;

	config_defaults(&c);
	strcpy(c.privacy, "cloud");
	strcpy(c.state_dir, dir);
	strcpy(c.cloud, "clouds");
	wall = wall_new(&c, &err);
	ck_assert_ptr_nonnull(wall);
}

static void
setup(void)
{
	ck_assert_int_ge(sodium_init(), 0);
	dir[0] = '\0';
	build();
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

/* --- after a restart ------------------------------------------------------------------------------ */

static void
setup_on_disk(void)
{
	ck_assert_int_ge(sodium_init(), 0);
	strcpy(dir, "/tmp/shoal-wall-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(kept, sizeof kept, "%s/prompts", dir);
	build();
}

static void
teardown_on_disk(void)
{
	char command[96];

	wall_free(wall);
	snprintf(command, sizeof command, "rm -r %s", dir);
	ck_assert_int_eq(system(command), 0);
}

static void
restart(void)
{
	wall_free(wall);
	build();
}

static off_t
size(void)
{
	struct stat st;

	ck_assert_int_eq(stat(kept, &st), 0);
	ck_assert_int_eq(st.st_mode & 0777, 0600);
	ck_assert_int_eq(st.st_size % 48, 0);
	return st.st_size / 48;
}

/* Changes a byte; at below 0: counted from the end. */
static void
damage(long at)
{
	FILE *f = fopen(kept, "r+e");
	int c;

	ck_assert_ptr_nonnull(f);
	ck_assert_int_eq(fseek(f, at, at < 0 ? SEEK_END : SEEK_SET), 0);
	c = fgetc(f);
	ck_assert_int_eq(fseek(f, -1, SEEK_CUR), 0);
	fputc(c ^ 1, f);
	fclose(f);
}

START_TEST(prompts_outlive_a_restart)
{
	prompt(1, "My salary", PRIVACY_HOME);
	prompt(1, "My salads", PRIVACY_HOME); /* as long */
	prompt(1, "Once", PRIVACY_CLOUD);
	prompt(2, "My PIN", PRIVACY_DEVICE);
	for (int i = 0; i < 2; i++) {
		restart();
		ck_assert_int_eq(prompt(1, "My salary is 5", PRIVACY_CLOUD), PRIVACY_HOME);
		ck_assert_int_eq(prompt(1, "My  salads and", PRIVACY_CLOUD), PRIVACY_HOME);
		ck_assert_int_eq(prompt(2, "My PIN is 1234", PRIVACY_HOME), PRIVACY_DEVICE);
		ck_assert_int_eq(prompt(1, "My salami", PRIVACY_CLOUD), PRIVACY_CLOUD);
		ck_assert_int_eq(prompt(1, "Once upon", PRIVACY_CLOUD), PRIVACY_CLOUD);
		ck_assert_int_eq(prompt(2, "My salary is 5", PRIVACY_CLOUD), PRIVACY_CLOUD);
	}
}
END_TEST

/* Hashes, and each once, however often it comes. */
START_TEST(the_file_holds_no_text)
{
	char command[160];

	ck_assert_int_eq(size(), 1);
	for (int i = 0; i < 5; i++)
		prompt(1, "My salary", PRIVACY_HOME);
	ck_assert_int_eq(size(), 2);
	prompt(1, "My salary",
		PRIVACY_DEVICE); /* stricter: a record more, until it is written anew */
	ck_assert_int_eq(size(), 3);
	prompt(1, "Once", PRIVACY_CLOUD);
	ck_assert_int_eq(size(), 3);
	snprintf(command, sizeof command, "! grep -qa salary %s", kept);
	ck_assert_int_eq(system(command), 0);
	restart();
	ck_assert_int_eq(size(), 2);
	ck_assert_int_eq(prompt(1, "My salary is 5", PRIVACY_HOME), PRIVACY_DEVICE);
}
END_TEST

/* A text that grows is known by its first prompt, as long as that is held as strictly. */
START_TEST(a_text_that_grows_takes_one_place)
{
	char text[64] = "Dear";

	for (int i = 0; i < 20; i++) {
		strcat(text, " x");
		ck_assert_int_eq(prompt(1, text, PRIVACY_HOME), PRIVACY_HOME);
	}
	ck_assert_int_eq(size(), 2);
	prompt(1, "Dear x, dear y", PRIVACY_HOME);
	prompt(1, "Dear x, dear z", PRIVACY_HOME);
	prompt(1, "Dearest", PRIVACY_HOME); /* another one */
	ck_assert_int_eq(size(), 3);
	prompt(1, "Dear x, this is for nobody", PRIVACY_DEVICE);
	ck_assert_int_eq(size(), 4);
	restart();
	ck_assert_int_eq(prompt(1, "Dear x x x x and", PRIVACY_CLOUD), PRIVACY_HOME);
	ck_assert_int_eq(prompt(1, "Dear x, this is for nobody but", PRIVACY_HOME), PRIVACY_DEVICE);
	ck_assert_int_eq(prompt(1, "Dear", PRIVACY_CLOUD), PRIVACY_CLOUD);
}
END_TEST

/* That some were forgotten is known, too: of a client that had too many, and of clients. */
START_TEST(what_was_forgotten_stays_so)
{
	char text[16];

	for (int i = 0; i <= WALL_MESSAGES; i++) {
		snprintf(text, sizeof text, "%d and so on", i);
		prompt(1, text, PRIVACY_HOME);
	}
	restart();
	ck_assert_int_eq(prompt(1, "Once", PRIVACY_CLOUD), PRIVACY_HOME);
	ck_assert_int_eq(prompt(2, "Once", PRIVACY_CLOUD), PRIVACY_CLOUD);
	ck_assert_int_le(size(), WALL_MESSAGES + 2);
	push_out(100);
	restart();
	ck_assert_int_eq(prompt(300, "Once", PRIVACY_CLOUD), PRIVACY_HOME);
}
END_TEST

/* Whose prompts are known goes on as before: only those that come anew are not. */
START_TEST(who_was_not_forgotten_is_known)
{
	for (uint64_t i = 0; i <= WALL_CLIENTS; i++)
		prompt(i, "My salary", PRIVACY_HOME);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(prompt(9, "Once", PRIVACY_CLOUD), PRIVACY_CLOUD);
		ck_assert_int_eq(prompt(9, "My salary is 5", PRIVACY_CLOUD), PRIVACY_HOME);
		restart();
	}
	ck_assert_int_eq(prompt(0, "Once", PRIVACY_CLOUD), PRIVACY_HOME);
}
END_TEST

/* A record of which less was written than all had no answer yet. */
START_TEST(a_torn_end)
{
	prompt(1, "My salary", PRIVACY_HOME);
	prompt(1, "My rent", PRIVACY_HOME);
	ck_assert_int_eq(truncate(kept, size() * 48 - 1), 0);
	restart();
	ck_assert_int_eq(prompt(1, "My salary is 5", PRIVACY_CLOUD), PRIVACY_HOME);
	ck_assert_int_eq(prompt(1, "My rent is 5", PRIVACY_CLOUD), PRIVACY_CLOUD);
	prompt(1, "My rent", PRIVACY_HOME);
	restart();
	ck_assert_int_eq(prompt(1, "My rent is 5", PRIVACY_CLOUD), PRIVACY_HOME);
}
END_TEST

/* Then it is behind: no half of a record stays, and once there is room all of them are written. */
START_TEST(a_full_disk)
{
	struct rlimit full = {RLIM_INFINITY, RLIM_INFINITY}, room = full;

	signal(SIGXFSZ, SIG_IGN);
	prompt(1, "My salary", PRIVACY_HOME);
	full.rlim_cur = (rlim_t)size() * 48 + 20;
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &full), 0);
	prompt(1, "My rent", PRIVACY_HOME);
	prompt(1, "My debts", PRIVACY_HOME);
	ck_assert_int_eq(size(), 2);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &room), 0);
	prompt(1, "My health", PRIVACY_HOME);
	ck_assert_int_eq(size(), 5);
	restart();
	ck_assert_int_eq(prompt(1, "My rent is 5", PRIVACY_CLOUD), PRIVACY_HOME);
	ck_assert_int_eq(prompt(1, "My salad", PRIVACY_CLOUD), PRIVACY_CLOUD);
}
END_TEST

static const long damages[] = {0, 20, 44, 48, 52, 60, 70, 80, -1};

/* Then nobody knows what was private: all of it is, until the file is taken away. */
START_TEST(a_damaged_file)
{
	prompt(1, "My salary", PRIVACY_HOME);
	damage(damages[_i]);
	for (int i = 0; i < 2; i++) {
		restart();
		ck_assert_int_eq(prompt(1, "My salary is 5", PRIVACY_CLOUD), PRIVACY_HOME);
		ck_assert_int_eq(prompt(2, "Once", PRIVACY_CLOUD), PRIVACY_HOME);
	}
	ck_assert_int_eq(unlink(kept), 0);
	restart();
	ck_assert_int_eq(prompt(2, "Once", PRIVACY_CLOUD), PRIVACY_CLOUD);
}
END_TEST

/* --- items ---------------------------------------------------------------------------------------- */

#define TOOLS                                                                                      \
	",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"description\":"         \
	"\"Asks t@example.org\"}}]"

/* A chat of one client under `redact`. */
struct chat {
	struct api_request a;
	struct wall_verdict v;
	struct buf body;
};

static void
chat_begin(struct chat *c, const char *messages)
{
	struct api_error e;
	struct buf b;

	buf_init(&b, 0);
	buf_init(&c->body, 0);
	buf_printf(&b, "{\"model\":\"auto\",\"messages\":[%s]" TOOLS "}", messages);
	ck_assert_int_eq(api_parse(API_CHAT, b.data, b.len, &c->a, &e), 0);
	ck_assert_int_eq(wall_judge(wall, 1, PRIVACY_CLOUD, PRIVACY_REDACT, &c->a, &c->v), 0);
	buf_free(&b);
}

static void
chat_end(struct chat *c)
{
	buf_free(&c->body);
	wall_verdict_free(&c->v);
	api_request_free(&c->a);
}

/* What would leave, NULL: nothing would. */
static const char *
body_of(struct chat *c)
{
	struct err err;

	buf_clear(&c->body);
	if (wall_body(wall, &c->v, &c->a, "m", 9, &c->body, &err) != 0)
		return NULL;
	buf_u8(&c->body, 0);
	return (const char *)c->body.data;
}

static void
expect_restored(const struct chat *c, const char *said, const char *restored)
{
	struct redact_restore s = {.r = wall_items(&c->v)};
	struct buf b;

	buf_init(&b, 0);
	redact_restore_push(&s, said, strlen(said), &b);
	redact_restore_end(&s, &b);
	buf_u8(&b, 0);
	ck_assert_str_eq((const char *)b.data, restored);
	buf_free(&b);
}

#define USER(text) "{\"role\":\"user\",\"content\":\"" text "\"}"

/* What was sent of one is not there for another one to be put back, whoever knows its numbers. */
START_TEST(items_are_of_one_request)
{
	struct chat one, other;

	chat_begin(&one, USER("password: hunter2-bank, mail a@example.org"));
	ck_assert_ptr_nonnull(strstr(body_of(&one), "mail [EMAIL_2]"));
	wall_sent(&one.v);
	chat_begin(&other, USER("Sum it up"));
	ck_assert_ptr_null(strstr(body_of(&other), "[EMAIL_2]"));
	wall_sent(&other.v);
	expect_restored(&other, "[KEY_1] [EMAIL_1] [EMAIL_2]", "[KEY_1] t@example.org [EMAIL_2]");
	expect_restored(
		&one, "[KEY_1] [EMAIL_1] [EMAIL_2]", "hunter2-bank t@example.org a@example.org");
	chat_end(&one);
	chat_end(&other);
}
END_TEST

/* A turn has what the one before it had, under the same numbers. */
START_TEST(a_conversation_keeps_its_numbers)
{
	static const char first[] = USER("From a@example.org to b@example.org"),
			  answer[] = "{\"role\":\"assistant\",\"content\":\"Yes, a@example.org.\"}";
	struct chat turn;
	char both[512];

	chat_begin(&turn, first);
	ck_assert_ptr_nonnull(strstr(body_of(&turn), "Asks [EMAIL_1]"));
	ck_assert_ptr_nonnull(strstr((char *)turn.body.data, USER("From [EMAIL_2] to [EMAIL_3]")));
	wall_made(wall, &turn.v, NULL, 0);
	wall_made(wall, &turn.v, "Yes, a@example.org.", 19);
	chat_end(&turn);
	snprintf(both, sizeof both, "%s,%s,%s", first, answer,
		USER("And c@example.org, b@example.org?"));
	chat_begin(&turn, both);
	ck_assert_ptr_nonnull(strstr(body_of(&turn), "Asks [EMAIL_1]"));
	ck_assert_ptr_nonnull(strstr((char *)turn.body.data, USER("From [EMAIL_2] to [EMAIL_3]")));
	ck_assert_ptr_nonnull(strstr((char *)turn.body.data, "Yes, [EMAIL_2]."));
	ck_assert_ptr_nonnull(strstr((char *)turn.body.data, USER("And [EMAIL_4], [EMAIL_3]?")));
	chat_end(&turn);
}
END_TEST

/* Only what left may come back, and what is left out gives its numbers to what is sent instead. */
START_TEST(what_was_not_sent_is_forgotten)
{
	struct chat c;
	struct chat_message *m;

	chat_begin(&c, USER("x"));
	c.a.tools = NULL; /* messages are sent as c.a.messages has them */
	m = &c.a.messages[0];
	m->content = "a@example.org";
	body_of(&c);
	wall_sent(&c.v);
	m->content = "a@example.org, b@example.org, c@example.org";
	ck_assert_ptr_nonnull(strstr(body_of(&c), "[EMAIL_1], [EMAIL_2], [EMAIL_3]"));
	m->content = "c@example.org, a@example.org";
	ck_assert_ptr_nonnull(strstr(body_of(&c), "\"[EMAIL_2], [EMAIL_1]\""));
	wall_sent(&c.v);
	expect_restored(
		&c, "[EMAIL_1] [EMAIL_2] [EMAIL_3]", "a@example.org c@example.org [EMAIL_3]");
	chat_end(&c);
}
END_TEST

/* More than can be kept track of cost their own request, and none after it. */
START_TEST(too_many_items)
{
	struct buf b;
	struct chat c;

	buf_init(&b, 0);
	buf_str(&b, "{\"role\":\"user\",\"content\":\"");
	for (int i = 0; i < 5000; i++)
		buf_printf(&b, "u%d@e%d.org ", i, i);
	buf_str(&b, "\"}");
	buf_u8(&b, 0);
	chat_begin(&c, (const char *)b.data);
	ck_assert_ptr_null(body_of(&c));
	chat_end(&c);
	chat_begin(&c, USER("b@example.org"));
	ck_assert_ptr_nonnull(strstr(body_of(&c), USER("[EMAIL_2]")));
	chat_end(&c);
	buf_free(&b);
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
	t = tcase_create("items");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, items_are_of_one_request);
	tcase_add_test(t, a_conversation_keeps_its_numbers);
	tcase_add_test(t, what_was_not_sent_is_forgotten);
	tcase_add_test(t, too_many_items);
	suite_add_tcase(s, t);
	t = tcase_create("on disk");
	tcase_add_checked_fixture(t, setup_on_disk, teardown_on_disk);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, prompts_outlive_a_restart);
	tcase_add_test(t, the_file_holds_no_text);
	tcase_add_test(t, a_text_that_grows_takes_one_place);
	tcase_add_test(t, what_was_forgotten_stays_so);
	tcase_add_test(t, who_was_not_forgotten_is_known);
	tcase_add_test(t, a_torn_end);
	tcase_add_test(t, a_full_disk);
	tcase_add_loop_test(t, a_damaged_file, 0, (int)(sizeof damages / sizeof *damages));
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
