/* The mode `token` of `auto:cloud` over the API, with a scripted small model and a cloud on loopback: what each
 * writes, what the cloud gets and may cost, and how an answer goes on when it cannot be asked. */
#include "tests/support/cloud_fixture.h"
#include "tests/support/http_fixture.h"
#include "tests/support/patience.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHAT "/v1/chat/completions"

/* The nth token is the nth piece; it doubts the second to fourth. */
static const struct fake_script small = {.pieces = {"a ", "b ", "c ", "d ", "e ", "f ", "g "},
	.end = SESSION_STOP,
	.margin = 20,
	.doubts = 14};
static struct cloud_server cloud; /* of all tests: what came before one is not its own */
static unsigned before;
static char conf[100];
static struct answer a;

static void
open_cloud(void)
{
	cloud_server_start(&cloud, NULL);
}

static void
close_cloud(void)
{
	cloud_server_stop(&cloud);
}

/* section: of the endpoint, how it goes on with texts. Prices of a million tokens. */
static void
start_with(const char *faults, const char *section, unsigned price_in, unsigned price_out,
	const char *privacy)
{
	FILE *f;

	before = cloud_server_connections(&cloud);
	snprintf(conf, sizeof conf, "%s/cloud.conf", fixture_state_begin());
	f = fopen(conf, "we");
	ck_assert_ptr_nonnull(f);
	fprintf(f,
		"[budget]\nday = 1000\n[sky]\nurl = http://127.0.0.1:%d/%s\nmodel = sky-1\n"
		"price_in = %u\nprice_out = %u\ncontext = 8192\nmax_tokens = 512\n%s\n",
		cloud.port, faults, price_in, price_out, section);
	fclose(f);
	fixture_cloud = conf;
	fixture_privacy = privacy;
	fake_reset();
	fixture_start();
	fake_set_small(&small);
}

/* continues "": the endpoint does not. */
static void
start(const char *faults, const char *continues, unsigned price_in, unsigned price_out,
	const char *privacy)
{
	char section[40];

	snprintf(section, sizeof section, "%s%s", continues[0] != '\0' ? "continues = " : "",
		continues);
	start_with(faults, section, price_in, price_out, privacy);
}

static void
teardown(void)
{
	answer_free(&a);
	fixture_stop();
	fixture_state_end();
}

/* shoal: members of that object, each with a comma in front. */
static void
say_to(const char *model, const char *shoal, const char *more)
{
	char body[512];

	snprintf(body, sizeof body,
		"{\"model\":\"%s\",\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}],"
		"\"shoal\":{\"mode\":\"token\"%s}%s}",
		model, shoal, more);
	answer_free(&a);
	post(CHAT, body, &a);
}

static void
say(const char *more)
{
	say_to("auto:cloud", "", more);
}

/* The same for a plain prompt. */
static void
prompt(const char *text, const char *shoal, const char *more)
{
	char body[512];

	snprintf(body, sizeof body,
		"{\"model\":\"auto:cloud\",\"prompt\":\"%s\",\"max_tokens\":64,"
		"\"shoal\":{\"mode\":\"token\"%s}%s}",
		text, shoal, more);
	answer_free(&a);
	post("/v1/completions", body, &a);
}

static json_t *
shoal(const char *key)
{
	json_t *s = json_object_get(a.json, "shoal"), *v = json_object_get(s, key);

	return v != NULL ? v : json_object_get(json_object_get(s, "token"), key);
}

static void
expect(const char *text, const char *finish, int segments, int of_small, int of_cloud)
{
	json_t *choice = json_array_get(json_object_get(a.json, "choices"), 0);
	json_t *message = json_object_get(choice, "message");

	ck_assert_msg(a.status == 200, "%d %s", a.status, a.body);
	ck_assert_str_eq(json_string_value(message != NULL ? json_object_get(message, "content")
							   : json_object_get(choice, "text")),
		text);
	ck_assert_str_eq(json_string_value(json_object_get(choice, "finish_reason")), finish);
	ck_assert_str_eq(json_string_value(shoal("reason")), "by_token");
	ck_assert_int_eq(json_integer_value(shoal("segments")), segments);
	ck_assert_int_eq(json_integer_value(shoal("small_tokens")), of_small);
	ck_assert_int_eq(json_integer_value(shoal("cloud_tokens")), of_cloud);
	ck_assert_uint_eq(cloud_server_connections(&cloud), before + (unsigned)segments);
}

static unsigned
calls(void)
{
	return cloud_server_connections(&cloud) - before;
}

/* The body of the cloud's i-th call holds that. */
static void
expect_sent(unsigned i, const char *part)
{
	struct buf b;

	buf_init(&b, 1 << 16);
	cloud_server_received(&cloud, before + i, &b);
	buf_u8(&b, 0);
	ck_assert_msg(strstr((const char *)b.data, part) != NULL, "%s", (const char *)b.data);
	buf_free(&b);
}

static void
expect_no_more(const char *part)
{
	const char *why = json_string_value(shoal("no_more"));

	ck_assert_msg(why != NULL && strstr(why, part) != NULL, "%s", a.body);
}

/* --- one text ------------------------------------------------------------------------------------ */

START_TEST(a_segment_in_the_middle)
{
	json_t *share;

	start("text-1~size-2", "last", 0, 1, "cloud");
	say("");
	expect("a 0 d e f g ", "stop", 1, 6, 2);
	expect_sent(0, "{\"role\":\"assistant\",\"content\":\"a \"}]");
	expect_sent(0, "\"max_tokens\":32");
	share = shoal("cloud_share");
	ck_assert_double_eq(json_number_value(share), 0.25);
	ck_assert_str_eq(json_string_value(shoal("target")), "cloud");
	ck_assert_double_eq(json_number_value(shoal("cost")), 1e-6);
	ck_assert(json_integer_value(shoal("bytes_out")) > 100);
	ck_assert_ptr_null(shoal("no_more"));
	answer_free(&a);
	get("/metrics", &a);
	ck_assert_ptr_nonnull(strstr(a.body, "\nshoal_route_token_cloud_total 2\n"));
	ck_assert_ptr_nonnull(strstr(a.body, "\nshoal_route_token_segments_total 1\n"));
}
END_TEST

START_TEST(the_cloud_ends_it)
{
	start("text-1~size-2~stops", "prefix", 0, 1, "cloud");
	say("");
	expect("a 0 ", "stop", 1, 1, 2);
	expect_sent(0, "{\"role\":\"assistant\",\"content\":\"a \",\"prefix\":true}]");
}
END_TEST

START_TEST(streams)
{
	char text[256];

	start("text-1~size-2", "final", 0, 1, "cloud");
	say(",\"stream\":true");
	stream_words(a.body, text);
	ck_assert_str_eq(text, "a 0 d e f g ");
	ck_assert_ptr_nonnull(strstr(a.body, "\"segments\":1"));
	expect_sent(0, "\"continue_final_message\":true,\"add_generation_prompt\":false");
}
END_TEST

/* All that was said comes again, and is left out. */
START_TEST(a_cloud_that_repeats)
{
	struct fake_script longer = small;

	longer.pieces[0] = "a rather long way to begin ";
	start("text-1~size-2~repeats", "last", 0, 1, "cloud");
	fake_set_small(&longer);
	say("");
	expect("a rather long way to begin 0 d e f g ", "stop", 1, 6, 2);
}
END_TEST

START_TEST(the_ends_of_the_threshold)
{
	start("text-2~size-2~stops", "last", 0, 0, "cloud");
	say_to("auto:cloud", ",\"token_threshold\":0", "");
	expect("a b c d e f g ", "stop", 0, 8, 0);
	say_to("auto:cloud", ",\"token_threshold\":1", "");
	expect("0 1 ", "stop", 1, 0, 4);
	expect_sent(0, "\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]");
}
END_TEST

START_TEST(who_wants_all_computed_gets_it)
{
	struct fake_seen seen;

	start("text-1~size-2", "last", 0, 1, "cloud");
	say(",\"cache_prompt\":false");
	expect("a 0 d e f g ", "stop", 1, 6, 2);
	fake_get(&seen);
	ck_assert_uint_eq(seen.guides, 1);
	ck_assert_uint_eq(seen.uncached, 1);
}
END_TEST

START_TEST(tokens_are_bounded)
{
	start("text-9~size-2", "last", 0, 0, "cloud");
	say(",\"max_tokens\":34"); /* the cloud says 18 of 33 */
	expect_sent(0, "\"max_tokens\":32");
	say(",\"max_tokens\":5");
	ck_assert_int_eq(json_integer_value(shoal("segments")), 0);
	expect_no_more("too little of the answer is left");
	ck_assert_ptr_nonnull(strstr(a.body, "\"content\":\"a b c d e \""));
	ck_assert_ptr_nonnull(strstr(a.body, "\"finish_reason\":\"length\""));
}
END_TEST

/* --- the price ----------------------------------------------------------------------------------- */

START_TEST(no_dearer_than_asking_once)
{
	start("text-1~size-2", "last", 1000, 1, "cloud");
	say("");
	expect("a b c d e f g ", "stop", 0, 8, 0);
	expect_no_more("asking for all of it at once would have cost less");
	ck_assert_double_eq(json_number_value(shoal("cost")), 0);
}
END_TEST

/* The segment's bytes are more than the whole query was taken for: the purse decides, for each. */
START_TEST(a_budget_holds_for_each)
{
	start("text-1~size-2", "last", 1, 1, "cloud");
	say_to("auto:cloud", ",\"budget\":0.00014", ",\"max_tokens\":100");
	expect("a b c d e f g ", "stop", 0, 8, 0);
	expect_no_more("more than a request may");
	say_to("auto:cloud", ",\"budget\":0.00001", ",\"max_tokens\":100");
	ck_assert_int_eq(a.status, 402);
}
END_TEST

/* --- when it cannot be --------------------------------------------------------------------------- */

START_TEST(the_cloud_is_cut)
{
	start("text-1~size-2~error", "last", 0, 1, "cloud");
	say("");
	expect("a 0 d e f g ", "stop", 1, 6, 2);
	expect_no_more("the endpoint ended its answer with an error");
	ck_assert(json_number_value(shoal("cost")) > 1e-6); /* nobody knows what it was */
}
END_TEST

START_TEST(the_cloud_has_trouble)
{
	start("status-503", "last", 0, 1, "cloud");
	say("");
	expect("a b c d e f g ", "stop", 1, 8, 0);
	expect_no_more("the endpoint has trouble");
}
END_TEST

START_TEST(the_cloud_says_nothing)
{
	start("text-0", "last", 0, 1, "cloud");
	say("");
	expect("a b c d e f g ", "stop", 1, 8, 0);
}
END_TEST

START_TEST(the_small_model_fails)
{
	struct fake_script broken = {
		.pieces = {"a "}, .margin = 20, .fail_status = 503, .fail = "lost"};

	start("text-2~size-2", "last", 0, 1, "cloud");
	fake_set_small(&broken);
	say("");
	expect("0 1 ", "length", 1, 0, 4);
}
END_TEST

static void
expect_query(const char *why)
{
	const char *said = json_string_value(shoal("not_by_token"));

	ck_assert_msg(a.status == 200, "%d %s", a.status, a.body);
	ck_assert_str_eq(json_string_value(shoal("mode")), "query");
	ck_assert_msg(said != NULL && strstr(said, why) != NULL, "%s", a.body);
	ck_assert_str_eq(json_string_value(shoal("reason")), "asked");
}

START_TEST(a_cloud_that_does_not_continue)
{
	start("text-2~size-2", "", 0, 1, "cloud");
	say("");
	expect_query("'continues'");
	ck_assert_ptr_nonnull(strstr(a.body, "\"content\":\"0 1 \""));
}
END_TEST

START_TEST(part_of_an_item_is_not_known_again)
{
	start("text-2~size-2", "last", 0, 1, "redact");
	say("");
	expect_query("personal item");
}
END_TEST

/* --- plain prompts ------------------------------------------------------------------------------- */

#define COMPLETIONS "completions = yes"

START_TEST(a_prompt_is_continued)
{
	start_with("text-1~size-2", COMPLETIONS, 0, 1, "cloud");
	prompt("Once ", "", "");
	expect("a 0 d e f g ", "stop", 1, 6, 2);
	expect_sent(0, "POST /text-1~size-2/completions HTTP/1.1\r\n");
	expect_sent(0, ",\"prompt\":\"Once a \",");
	expect_sent(0, "\"max_tokens\":32");
	ck_assert_double_eq(json_number_value(shoal("cost")), 1e-6);
	prompt("Once ", ",\"token_threshold\":1", ",\"echo\":true");
	ck_assert_ptr_nonnull(strstr(a.body, "\"text\":\"Once 0 "));
	expect_sent(1, ",\"prompt\":\"Once \",");
}
END_TEST

START_TEST(a_prompt_streams)
{
	char text[256] = "";
	const char *at;

	start_with("text-1~size-2", COMPLETIONS, 0, 1, "cloud");
	prompt("Once ", "", ",\"stream\":true");
	for (at = a.body; (at = strstr(at, "\"text\":\"")) != NULL; at += 8)
		strncat(text, at + 8, strcspn(at + 8, "\""));
	ck_assert_str_eq(text, "a 0 d e f g ");
	ck_assert_ptr_nonnull(strstr(a.body, "\"segments\":1"));
}
END_TEST

START_TEST(a_prompt_costs_no_more_than_asking_once)
{
	start_with("text-1~size-2", COMPLETIONS, 1000, 1, "cloud");
	prompt("Once ", "", "");
	expect("a b c d e f g ", "stop", 0, 8, 0);
	expect_no_more("asking for all of it at once would have cost less");
	prompt("Once ", ",\"budget\":0.00001", "");
	ck_assert_int_eq(a.status, 402);
}
END_TEST

/* All of it is asked for at once, with what `explain` shows. */
START_TEST(a_prompt_in_one_piece)
{
	start_with("text-2~size-2~stops", COMPLETIONS, 0, 1, "cloud");
	fake_set_small(NULL);
	prompt("Once ", ",\"explain\":true", "");
	ck_assert_ptr_nonnull(strstr(a.body, "POST /text-2~size-2~stops/completions HTTP/1.1"));
	ck_assert_ptr_nonnull(strstr(a.body, ",\\\"prompt\\\":\\\"Once \\\","));
	ck_assert_uint_eq(calls(), 0);
	prompt("Once ", "", "");
	ck_assert_ptr_nonnull(strstr(a.body, "\"text\":\"0 1 \""));
	ck_assert_str_eq(json_string_value(shoal("mode")), "query");
	expect_sent(0, ",\"prompt\":\"Once \",");
	prompt("Once ", ",\"privacy\":\"redact\"", "");
	ck_assert_int_eq(a.status, 403);
	ck_assert_ptr_nonnull(strstr(a.body, "\"unredacted\""));
	ck_assert_uint_eq(calls(), 1);
}
END_TEST

START_TEST(an_endpoint_that_takes_chats_only)
{
	start("text-1~size-2", "last", 0, 1, "cloud");
	prompt("Once ", "", "");
	ck_assert_int_eq(a.status, 404);
	ck_assert_ptr_nonnull(strstr(a.body, "'completions' in its section"));
	ck_assert_uint_eq(calls(), 0);
}
END_TEST

/* A prompt that was answered at home stays there with all that continues it, whoever answered. */
START_TEST(a_private_prompt_is_known_by_its_begin)
{
	start_with("text-1~size-2", COMPLETIONS, 0, 1, "cloud");
	answer_free(&a);
	post("/v1/completions",
		"{\"model\":\"auto\",\"prompt\":\"My salary \",\"shoal\":{\"privacy\":\"home\"}}",
		&a);
	ck_assert_int_eq(a.status, 200);
	answer_free(&a);
	post("/v1/completions", "{\"prompt\":\"My health\",\"shoal\":{\"privacy\":\"home\"}}", &a);
	ck_assert_int_eq(a.status, 200);
	answer_free(&a); /* "My rent", as ids */
	post("/v1/completions",
		"{\"prompt\":[77,121,32,114,101,110,116],\"shoal\":{\"privacy\":\"home\"}}", &a);
	ck_assert_int_eq(a.status, 200);
	prompt("My salary is 5, and", "", "");
	ck_assert_int_eq(a.status, 403);
	ck_assert_ptr_nonnull(strstr(a.body, "\"tainted\""));
	prompt("My rent is", "", "");
	ck_assert_int_eq(a.status, 403);
	ck_assert_ptr_nonnull(strstr(a.body, "\"tainted\""));
	prompt("My  health is", "", "");
	ck_assert_int_eq(a.status, 403);
	ck_assert_uint_eq(calls(), 0);
	prompt("My salad and", "", "");
	expect("a 0 d e f g ", "stop", 1, 6, 2);
	fixture_stop(); /* another daemon knows them, too */
	fixture_start();
	prompt("My salary is 5, and", "", "");
	ck_assert_int_eq(a.status, 403);
	prompt("My rent is", "", "");
	ck_assert_int_eq(a.status, 403);
	prompt("My salad and", "", "");
	ck_assert_int_eq(a.status, 200);
	ck_assert_uint_eq(calls(), 2);
}
END_TEST

/* --- who may write ------------------------------------------------------------------------------- */

START_TEST(without_a_small_model)
{
	start("text-2~size-2", "last", 0, 1, "cloud");
	fake_set_small(NULL);
	say("");
	expect_query("the small model: none is configured");
}
END_TEST

START_TEST(at_home)
{
	start("text-2~size-2", "last", 0, 1, "home");
	say("");
	ck_assert_int_eq(a.status, 403);
	say_to("auto", "", "");
	ck_assert_int_eq(a.status, 200);
	ck_assert_uint_eq(calls(), 0);
}
END_TEST

START_TEST(wishes)
{
	start("text-2~size-2", "last", 0, 1, "cloud");
	say_to("auto:cloud", ",\"verify\":\"all\"", "");
	ck_assert_int_eq(a.status, 400);
	say_to("auto:cloud", ",\"explain\":true", "");
	ck_assert_int_eq(a.status, 200);
	ck_assert_ptr_nonnull(strstr(a.body, "ends in text that is not written yet"));
	ck_assert_uint_eq(calls(), 0);
}
END_TEST

START_TEST(the_client_leaves)
{
	const char *body = "{\"model\":\"auto:cloud\",\"shoal\":{\"mode\":\"token\"},"
			   "\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}";
	uint64_t since = 0;
	char head[512];
	int fd;

	start("mute", "last", 0, 1, "cloud");
	fd = client_tcp(fixture_port);
	snprintf(head, sizeof head,
		"POST " CHAT " HTTP/1.1\r\nHost: localhost\r\nContent-Length: %zu\r\n\r\n%s",
		strlen(body), body);
	client_send(fd, head, strlen(head));
	while (calls() == 0 && wait_more(&since))
		continue;
	ck_assert_uint_eq(calls(), 1);
	close(fd);
	ck_assert(wait_cancelled(1));
	while (!cloud_server_ended(&cloud, before) && wait_more(&since))
		continue;
	ck_assert(cloud_server_ended(&cloud, before));
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("router_segments");
	TCase *t = tcase_create("router_segments");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_unchecked_fixture(t, open_cloud, close_cloud);
	tcase_add_checked_fixture(t, NULL, teardown);
	tcase_set_timeout(t, 30);
	tcase_add_test(t, a_segment_in_the_middle);
	tcase_add_test(t, the_cloud_ends_it);
	tcase_add_test(t, streams);
	tcase_add_test(t, a_cloud_that_repeats);
	tcase_add_test(t, the_ends_of_the_threshold);
	tcase_add_test(t, who_wants_all_computed_gets_it);
	tcase_add_test(t, tokens_are_bounded);
	tcase_add_test(t, no_dearer_than_asking_once);
	tcase_add_test(t, a_budget_holds_for_each);
	tcase_add_test(t, the_cloud_is_cut);
	tcase_add_test(t, the_cloud_has_trouble);
	tcase_add_test(t, the_cloud_says_nothing);
	tcase_add_test(t, the_small_model_fails);
	tcase_add_test(t, a_cloud_that_does_not_continue);
	tcase_add_test(t, part_of_an_item_is_not_known_again);
	tcase_add_test(t, a_prompt_is_continued);
	tcase_add_test(t, a_prompt_streams);
	tcase_add_test(t, a_prompt_costs_no_more_than_asking_once);
	tcase_add_test(t, a_prompt_in_one_piece);
	tcase_add_test(t, an_endpoint_that_takes_chats_only);
	tcase_add_test(t, a_private_prompt_is_known_by_its_begin);
	tcase_add_test(t, without_a_small_model);
	tcase_add_test(t, at_home);
	tcase_add_test(t, wishes);
	tcase_add_test(t, the_client_leaves);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
