/* The model `auto` over the API: who answers, what a client sees of drafts, policies, and why. */
#include "daemon/http_internal.h"
#include "tests/support/http_fixture.h"
#include "tests/support/patience.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHAT "/v1/chat/completions"

static const struct fake_script sure = {
	.pieces = {"small", " says", " so"}, .end = SESSION_STOP, .margin = 20};
static const struct fake_script unsure = {
	.pieces = {"small", " may", " be"}, .end = SESSION_STOP, .margin = 0.01f};
static const struct fake_script large = {
	.pieces = {"large", " knows"}, .end = SESSION_STOP, .margin = 20};
static struct answer a;

static void
setup(void)
{
	fixture_privacy = "home";
	fixture_start();
	fake_set(&large);
	fake_set_small(&sure);
}

static void
teardown(void)
{
	answer_free(&a);
	fixture_stop();
}

/* One turn; more: members behind the messages, each with a comma in front. */
static void
say(const char *model, const char *text, const char *more)
{
	char body[2048];

	snprintf(body, sizeof body,
		"{\"model\":\"%s\",\"messages\":[{\"role\":\"user\",\"content\":\"%s\"}]%s}", model,
		text, more);
	answer_free(&a);
	post(CHAT, body, &a);
}

static const char *
said(const char *key)
{
	const char *s = json_string_value(json_object_get(json_object_get(a.json, "shoal"), key));

	return s != NULL ? s : "";
}

static const char *
content(void)
{
	json_t *choice = json_array_get(json_object_get(a.json, "choices"), 0);
	const char *s =
		json_string_value(json_object_get(json_object_get(choice, "message"), "content"));

	return s != NULL ? s : "";
}

static void
expect(const char *text, const char *target, const char *reason)
{
	ck_assert_msg(a.status == 200, "%d %s", a.status, a.body);
	ck_assert_str_eq(content(), text);
	ck_assert_str_eq(said("target"), target);
	ck_assert_str_eq(said("reason"), reason);
}

/* --- who answers -------------------------------------------------------------------------------- */

START_TEST(a_sure_small_model_answers)
{
	struct fake_seen seen;

	say("auto", "hello", "");
	expect("small says so", "small", "tokens_sure");
	ck_assert_str_eq(json_string_value(json_object_get(a.json, "model")), FAKE_SMALL);
	ck_assert_ptr_nonnull(strcasestr(a.head, "x-shoal-target: small"));
	ck_assert_ptr_nonnull(strcasestr(a.head, "x-shoal-reason: tokens_sure"));
	fake_get(&seen);
	ck_assert_uint_eq(seen.submitted, 1);
}
END_TEST

START_TEST(doubt_goes_to_the_large_model)
{
	struct fake_seen seen;
	json_t *attempts;

	fake_set_small(&unsure);
	say("auto", "hello", "");
	expect("large knows", "large", "tokens_doubt");
	ck_assert_str_eq(json_string_value(json_object_get(a.json, "model")), FAKE_MODEL);
	attempts = json_object_get(json_object_get(a.json, "shoal"), "attempts");
	ck_assert_uint_eq(json_array_size(attempts), 2);
	ck_assert_int_eq(json_integer_value(json_object_get(
				 json_object_get(a.json, "shoal"), "wasted_tokens")),
		3);
	fake_get(&seen);
	ck_assert_uint_eq(seen.submitted, 2);
	ck_assert_uint_eq(seen.small, 1);
}
END_TEST

START_TEST(the_knob_at_its_ends)
{
	struct fake_seen seen;

	fake_set_small(&unsure);
	say("auto", "hello", ",\"shoal\":{\"quality\":0}");
	expect("small may be", "small", "no_gain");
	fake_set_small(&sure);
	say("auto", "hello", ",\"shoal\":{\"quality\":1}");
	expect("large knows", "large", "gain");
	fake_get(&seen);
	ck_assert_uint_eq(seen.submitted, 2);
}
END_TEST

START_TEST(named_places)
{
	fake_set_small(&unsure);
	say("auto:local", "hello", "");
	expect("small may be", "small", "asked");
	say("auto:home", "hello", "");
	expect("large knows", "large", "asked");
	say("auto:cloud", "hello", "");
	ck_assert_int_eq(a.status, 404);
	say(FAKE_SMALL, "hello", "");
	ck_assert_int_eq(a.status, 200);
	ck_assert_str_eq(content(), "small may be");
	say("auto:moon", "hello", "");
	ck_assert_int_eq(a.status, 404);
}
END_TEST

START_TEST(one_that_is_away)
{
	struct fake_script away = large;

	fake_set_small(&unsure);
	away.absent = true;
	fake_set(&away);
	say("auto", "hello", "");
	expect("small may be", "small", "only");
	fake_set(&large);
	fake_set_small(NULL);
	say("auto", "hello", "");
	expect("large knows", "large", "only");
	fake_set(&away);
	say("auto", "hello", "");
	ck_assert_int_eq(a.status, 503);
	ck_assert_ptr_nonnull(
		strstr(answer_error(&a, "message"), "large: it is not ready: no model is loaded"));
}
END_TEST

static bool
is_listed(const char *id)
{
	json_t *m;
	size_t i;

	answer_free(&a);
	get("/v1/models", &a);
	json_array_foreach(json_object_get(a.json, "data"), i, m)
	{
		if (strcmp(json_string_value(json_object_get(m, "id")), id) == 0)
			return true;
	}
	return false;
}

static int
status_of_model(const char *id)
{
	char path[64];

	snprintf(path, sizeof path, "/v1/models/%s", id);
	answer_free(&a);
	get(path, &a);
	return a.status;
}

/* Programs offer what is listed, and some look it up by its name before they ask. */
START_TEST(words_are_models_too)
{
	static const char *const words[] = {"auto", "auto:local", "auto:home", "auto%3Ahome"};
	struct fake_script away = large;

	for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
		ck_assert_msg(strchr(words[i], '%') != NULL || is_listed(words[i]), "%s", words[i]);
		ck_assert_msg(status_of_model(words[i]) == 200, "%s", words[i]);
		ck_assert_str_eq(json_string_value(json_object_get(a.json, "object")), "model");
	}
	ck_assert(!is_listed("auto:cloud")); /* none is configured */
	ck_assert_int_eq(status_of_model("auto:cloud"), 404);
	ck_assert_int_eq(status_of_model("auto:moon"), 404);
	away.absent = true;
	fake_set(&away);
	ck_assert(is_listed("auto") && is_listed("auto:local") && !is_listed("auto:home"));
	ck_assert_int_eq(status_of_model("auto:home"), 404);
	fake_set_small(NULL);
	ck_assert_int_eq(status_of_model("auto"), 404); /* nobody is there */
	fake_set(&large);
	ck_assert(!is_listed("auto"));                  /* no choice, */
	ck_assert_int_eq(status_of_model("auto"), 200); /* but an answer */
	ck_assert_int_eq(status_of_model("auto:local"), 404);
}
END_TEST

/* By the code that programs know, which then leave out of the conversation what is old. */
START_TEST(too_long_for_everybody)
{
	char text[2 * FAKE_CONTEXT + 1];

	memset(text, 'x', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	say("auto", text, "");
	ck_assert_int_eq(a.status, 400);
	ck_assert_str_eq(answer_error(&a, "code"), "context_length_exceeded");
	ck_assert_str_eq(answer_error(&a, "param"), "messages");
	ck_assert_ptr_nonnull(strstr(answer_error(&a, "message"), "too long"));
}
END_TEST

/* The large model fails before it has said a word: the small one answers after all. */
START_TEST(falls_back)
{
	struct fake_script broken = {.end = SESSION_STOP, .fail_status = 502, .fail = "lost"};

	fake_set(&broken);
	say("auto:home", "hello", "");
	expect("small says so", "small", "fell_back");
	fake_set_small(&broken);
	say("auto:home", "hello", "");
	ck_assert_int_eq(a.status, 502);
}
END_TEST

START_TEST(a_full_queue_says_so)
{
	struct fake_script full = large;

	full.refuse = 429;
	fake_set(&full);
	say("auto:home", "hello", "");
	expect("small says so", "small", "fell_back");
	fake_set_small(&full);
	say("auto", "hello", "");
	ck_assert_int_eq(a.status, 429);
	say("auto", "hello", ",\"stream\":true"); /* which has not begun */
	ck_assert_int_eq(a.status, 429);
}
END_TEST

/* --- streams ------------------------------------------------------------------------------------ */

/* All text of a stream, and its last shoal object in a.json. */
static void
stream_text(char *out, size_t size)
{
	const char *p = a.body;
	size_t len = 0;

	out[0] = '\0';
	while ((p = strstr(p, "data: {")) != NULL) {
		const char *end = strstr(p, "\n\n");
		json_t *o = json_loadb(p + 6, (size_t)(end - p - 6), 0, NULL), *choice, *shoal;
		const char *text;

		choice = json_array_get(json_object_get(o, "choices"), 0);
		text = json_string_value(
			json_object_get(json_object_get(choice, "delta"), "content"));
		if (text != NULL)
			len += (size_t)snprintf(out + len, size - len, "%s", text);
		shoal = json_object_get(o, "shoal");
		if (shoal != NULL) {
			json_decref(a.json);
			a.json = json_pack("{s:O}", "shoal", shoal);
		}
		json_decref(o);
		p = end;
	}
}

/* A draft that is thrown away is never seen, however long the two answers take. */
START_TEST(streams_never_mix)
{
	char text[256];

	for (int i = 0; i < 2000; i++) { /* half of them are escalated */
		struct fake_script s = i % 2 == 0 ? unsure : sure;

		s.gap_ms = i < 40 ? (unsigned)i % 3 : 0;
		fake_set_small(&s);
		say("auto", "hello", ",\"stream\":true");
		ck_assert_int_eq(a.status, 200);
		stream_text(text, sizeof text);
		ck_assert_str_eq(text, i % 2 == 0 ? "large knows" : "small says so");
		ck_assert_str_eq(said("target"), i % 2 == 0 ? "large" : "small");
		ck_assert_ptr_nonnull(strstr(a.body, "[DONE]"));
	}
}
END_TEST

/* A long draft is judged on its way: it stands and streams, or goes before it has ended. */
START_TEST(long_drafts_are_judged_on_their_way)
{
	struct fake_script endless = {
		.pieces = {"word "}, .endless = true, .end = SESSION_STOP, .margin = 0.01f};
	struct fake_seen seen;
	char text[256];

	fake_set_small(&endless);
	say("auto", "hello", ",\"stream\":true");
	stream_text(text, sizeof text);
	ck_assert_str_eq(text, "large knows");
	fake_get(&seen);
	ck_assert_uint_eq(seen.cancelled, 1);
	ck_assert_uint_lt(seen.tokens, 2 * 128);
}
END_TEST

/* --- conversations ------------------------------------------------------------------------------- */

/* Twenty turns, each with all of the history, as clients send it; the small model is unsure in some. */
START_TEST(a_conversation_does_not_wander)
{
	struct fake_script yes = {.pieces = {"y"}, .end = SESSION_STOP, .margin = 20};
	struct fake_script hm = {.pieces = {"h"}, .end = SESSION_STOP, .margin = 0.01f};
	struct fake_script big = {.pieces = {"b"}, .end = SESSION_STOP, .margin = 20};
	char body[4096] = "{\"model\":\"auto\",\"messages\":[", whole[4200], last = 0;
	unsigned switches = 0;
	size_t len = strlen(body);

	fake_set(&big);
	for (int turn = 0; turn < 20; turn++) {
		fake_set_small(turn % 5 == 3 ? &hm : &yes);
		len += (size_t)snprintf(body + len, sizeof body - len,
			"%s{\"role\":\"user\",\"content\":\"%c\"}", turn > 0 ? "," : "",
			'a' + turn);
		snprintf(whole, sizeof whole, "%s]}", body);
		answer_free(&a);
		post(CHAT, whole, &a);
		ck_assert_msg(a.status == 200, "turn %d: %d %s", turn, a.status, a.body);
		switches += last != 0 && said("target")[0] != last;
		last = said("target")[0];
		len += (size_t)snprintf(body + len, sizeof body - len,
			",{\"role\":\"assistant\",\"content\":\"%s\"}", content());
	}
	ck_assert_int_eq(last, 'l');
	ck_assert_uint_le(switches, 2);
}
END_TEST

/* --- what may travel ---------------------------------------------------------------------------- */

START_TEST(this_device_only)
{
	struct fake_script two = large;

	two.devices = 2;
	fake_set(&two);
	fake_set_small(&unsure);
	say("auto", "hello", ",\"shoal\":{\"privacy\":\"device\"}");
	expect("small may be", "small", "only");
	say(FAKE_MODEL, "hello", ",\"shoal\":{\"privacy\":\"device\"}");
	ck_assert_int_eq(a.status, 403);
	say(FAKE_MODEL, "hello", "");
	ck_assert_int_eq(a.status, 200);
	/* A history that was said on this device stays there. */
	answer_free(&a);
	post(CHAT,
		"{\"model\":\"auto\",\"messages\":[{\"role\":\"user\",\"content\":\"hello\"},"
		"{\"role\":\"assistant\",\"content\":\"small  may be\"},"
		"{\"role\":\"user\",\"content\":\"go on\"}]}",
		&a);
	expect("small may be", "small", "only");
}
END_TEST

START_TEST(senseless_wishes)
{
	static const char *const wishes[] = {"\"x\"", "{\"privacy\":\"none\"}", "{\"quality\":2}",
		"{\"quality\":\"much\"}", "{\"at_least\":-1}", "{\"budget\":-1}",
		"{\"max_latency_ms\":0}", "{\"max_joules\":0}", "{\"max_joules\":\"few\"}",
		"{\"unknown\":1}", "{\"quality\":0.5,\"at_least\":0.5}"};
	char more[128];

	for (size_t i = 0; i < sizeof wishes / sizeof *wishes; i++) {
		snprintf(more, sizeof more, ",\"shoal\":%s", wishes[i]);
		say("auto", "hello", more);
		ck_assert_msg(a.status == 400, "%s: %d", wishes[i], a.status);
	}
	say(FAKE_MODEL, "hello", ",\"shoal\":{\"quality\":0.5}");
	ck_assert_int_eq(a.status, 400);
}
END_TEST

/* With headers, and members behind the messages. */
static void
say_with(const char *headers, const char *more)
{
	char body[256];

	snprintf(body, sizeof body,
		"{\"model\":\"auto\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]%s}",
		more);
	answer_free(&a);
	ask("POST", CHAT, headers, body, &a);
}

/* One that occurs twice, as its own or as a proxy joins them, says nothing that could be kept. */
START_TEST(wishes_in_headers)
{
	static const char *const senseless[] = {"X-Shoal-Privacy: cloudy\r\n",
		"X-Shoal-Privacy: cloud, home\r\n", "X-Shoal-Budget: 5, 0\r\n",
		"X-Shoal-Dry-Run: 0, 1\r\n", "X-Shoal-Quality: 1,0\r\n",
		"X-Shoal-Mode: query, token\r\n",
		"X-Shoal-Privacy: cloud\r\nX-Shoal-Privacy: home\r\n",
		"X-Shoal-Privacy: home\r\nX-SHOAL-PRIVACY: home\r\n",
		"X-Shoal-Budget: 5\r\nX-Shoal-Quality: 0\r\nx-shoal-budget: 0\r\n",
		"X-Shoal-Dry-Run: 0\r\nX-Shoal-Dry-Run: 1\r\n"};

	for (size_t i = 0; i < sizeof senseless / sizeof *senseless; i++) {
		say_with(senseless[i], "");
		ck_assert_msg(a.status == 400, "%s: %d", senseless[i], a.status);
	}
	ck_assert_ptr_nonnull(strstr(a.body, "X-Shoal-Dry-Run occurs twice"));
	say_with("X-Shoal-Quality: 0\r\nX-Shoal-Budget: 5\r\n", "");
	expect("small says so", "small", "no_gain");
}
END_TEST

/* Ten tokens a second: nothing is answered within a tenth of a second. */
START_TEST(no_time)
{
	say("auto", "hello", ",\"max_tokens\":20,\"shoal\":{\"max_latency_ms\":100}");
	ck_assert_int_eq(a.status, 400);
	ck_assert_str_eq(answer_error(&a, "code"), "slow");
	ck_assert_str_eq(answer_error(&a, "param"), "shoal.max_latency_ms");
	ck_assert_ptr_nonnull(strstr(answer_error(&a, "message"), "and max_latency_ms is 100"));
	say("auto", "hello", ",\"max_tokens\":20,\"shoal\":{\"max_latency_ms\":60000}");
	ck_assert_int_eq(a.status, 200);
}
END_TEST

static void
with_watts(struct config *c)
{
	c->small_watts = 2;
	c->large_watts = 50;
}

static void
setup_with_watts(void)
{
	fixture_configure = with_watts;
	setup();
	fixture_configure = NULL;
}

/* Twenty tokens take two seconds: 4 J of the small model, 100 J of the large one. */
START_TEST(limits_of_energy)
{
	json_t *expected;

	say("auto", "hello", ",\"max_tokens\":20,\"shoal\":{\"max_joules\":1}");
	ck_assert_int_eq(a.status, 400);
	ck_assert_str_eq(answer_error(&a, "code"), "energy");
	ck_assert_str_eq(answer_error(&a, "param"), "shoal.max_joules");
	ck_assert_ptr_nonnull(strstr(answer_error(&a, "message"), "and max_joules is 1"));
	say("auto", "hello", ",\"max_tokens\":20,\"shoal\":{\"max_joules\":50,\"quality\":1}");
	expect("small says so", "small", "only");
	expected = json_object_get(json_object_get(a.json, "shoal"), "expected");
	ck_assert(json_number_value(json_object_get(expected, "joules")) < 50);
	say("auto", "hello", ",\"max_tokens\":20,\"shoal\":{\"max_joules\":500,\"quality\":1}");
	expect("large knows", "large", "gain");
}
END_TEST

/* Three devices that draw 50 W each while they compute together; of one that does not tell nothing is known. */
START_TEST(energy_of_all_devices)
{
	struct fake_script three = large;
	json_t *expected;

	three.devices = 3;
	three.member_watts = 50;
	fake_set(&three);
	say("auto:home", "hello", ",\"max_tokens\":20");
	expected = json_object_get(json_object_get(a.json, "shoal"), "expected");
	ck_assert_msg(fabs(json_number_value(json_object_get(expected, "joules")) -
			      150 * json_number_value(json_object_get(expected, "seconds"))) < 0.01,
		"%s", a.body);
	three.member_watts = 0;
	fake_set(&three);
	say("auto:home", "hello", ",\"max_tokens\":20");
	expected = json_object_get(json_object_get(a.json, "shoal"), "expected");
	ck_assert_ptr_null(json_object_get(expected, "joules"));
}
END_TEST

/* The best one that can keep the limit. */
START_TEST(the_best_that_is_in_time)
{
	struct fake_script quick = large;

	say("auto", "hello", ",\"max_tokens\":20,\"shoal\":{\"max_latency_ms\":1000}");
	ck_assert_int_eq(a.status, 400);
	quick.tokens_per_s = 1000;
	fake_set(&quick);
	say("auto", "hello",
		",\"max_tokens\":20,\"shoal\":{\"max_latency_ms\":1000,\"quality\":0}");
	expect("large knows", "large", "only");
	answer_free(&a);
	get("/metrics", &a);
	ck_assert_ptr_nonnull(
		strstr(a.body, "shoal_route_refusals_total{target=\"small\",reason=\"slow\"} 2\n"));
}
END_TEST

/* --- why ---------------------------------------------------------------------------------------- */

START_TEST(explains_without_asking)
{
	struct fake_seen seen;

	say("auto", "hello", ",\"shoal\":{\"explain\":true}");
	ck_assert_int_eq(a.status, 200);
	ck_assert_str_eq(json_string_value(json_object_get(a.json, "object")), "shoal.route");
	ck_assert_str_eq(said("target"), "small");
	ck_assert_str_eq(said("reason"), "tries");
	/* Either may ask for that. */
	say_with("X-Shoal-Dry-Run: 1\r\n", ",\"shoal\":{\"explain\":false}");
	ck_assert_str_eq(json_string_value(json_object_get(a.json, "object")), "shoal.route");
	say_with("X-Shoal-Dry-Run: 0\r\n", ",\"shoal\":{\"explain\":true}");
	ck_assert_str_eq(json_string_value(json_object_get(a.json, "object")), "shoal.route");
	fake_get(&seen);
	ck_assert_uint_eq(seen.submitted, 0);
}
END_TEST

static void
local(const char *method, const char *path, const char *body)
{
	answer_free(&a);
	client_ask(client_unix(fixture_socket), method, path, "", body, &a);
}

/* Beside what was wanted; of a promise that cannot be made, the quality that is used instead. Nothing was learned
 * yet, so no words could come true. */
START_TEST(shares_in_metrics)
{
	fake_set_small(&unsure);
	say("auto", "hello", ",\"shoal\":{\"quality\":1}");
	say("auto", "hello", ",\"shoal\":{\"quality\":0}");
	say("auto", "hello", ",\"shoal\":{\"quality\":0.75}");
	say("auto", "hello", ",\"shoal\":{\"at_least\":0.9}");
	say("auto:home", "hello", "");
	say(FAKE_MODEL, "hello", "");
	answer_free(&a);
	get("/metrics", &a);
	ck_assert_ptr_nonnull(strstr(a.body, "\nshoal_route_share_wanted{of=\"queries\"} 0.58333"));
	ck_assert_ptr_nonnull(strstr(a.body, "\nshoal_route_share{of=\"queries\"} 0.66666"));
	ck_assert_ptr_nonnull(strstr(a.body, "\nshoal_route_share_decisions{of=\"queries\"} 3\n"));
	ck_assert_ptr_nonnull(strstr(a.body, "\nshoal_route_share_wanted{of=\"answers\"} 0.625\n"));
	ck_assert_ptr_nonnull(strstr(a.body, "\nshoal_route_share{of=\"answers\"} 1\n"));
	ck_assert_ptr_null(strstr(a.body, "of=\"prompts\""));
	ck_assert_ptr_null(strstr(a.body, "shoal_route_calibration"));
}
END_TEST

START_TEST(log_and_why)
{
	char path[128], id[64];

	say("auto", "my secret word", "");
	snprintf(id, sizeof id, "%s", json_string_value(json_object_get(a.json, "id")));
	snprintf(path, sizeof path, "/shoal/v1/route/why/%s", id);
	local("GET", path, NULL);
	ck_assert_int_eq(a.status, 200);
	ck_assert_str_eq(said("target"), "small");
	local("GET", "/shoal/v1/route/log", NULL);
	ck_assert_int_eq(a.status, 200);
	ck_assert_uint_eq(json_array_size(json_object_get(a.json, "decisions")), 1);
	ck_assert_ptr_null(strstr(a.body, "secret"));
	local("GET", "/shoal/v1/route/why/chatcmpl-none", NULL);
	ck_assert_int_eq(a.status, 404);
	local("GET", "/shoal/v1/route/log?n=x", NULL);
	ck_assert_int_eq(a.status, 400);
	answer_free(&a);
	get("/shoal/v1/route/log", &a); /* not over the network */
	ck_assert_int_eq(a.status, 403);
	local("GET", "/shoal/v1/route/status", NULL);
	ck_assert_int_eq(json_integer_value(json_object_get(a.json, "queries")), 1);
}
END_TEST

/* Queries that wait keep what they said, and others are told that it is too much; room comes back when they end. */
START_TEST(large_queries_that_wait_are_bounded)
{
	enum { SIZE = 31 << 20, MOST = HTTP_MAX_BODIES / SIZE };
	const struct fake_script slow = {.pieces = {"a", NULL}, .first_ms = 20 * 60 * 1000};
	static const char head[] =
		"{\"model\":\"auto\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],"
		"\"user\":\"";
	struct fake_seen seen;
	char *body = malloc(SIZE);
	uint64_t since = 0;
	int fds[MOST];
	struct buf whole;

	ck_assert_ptr_nonnull(body);
	memset(body, 'x', SIZE);
	memcpy(body, head, sizeof head - 1);
	memcpy(body + SIZE - 3, "\"}", 3);
	buf_init(&whole, 0);
	buf_printf(&whole,
		"POST " CHAT " HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n",
		SIZE - 1);
	buf_append(&whole, body, SIZE - 1);
	fake_set_small(&slow);
	for (unsigned i = 0; i < MOST; i++) {
		fds[i] = client_unix(fixture_socket);
		client_send(fds[i], (const char *)whole.data, whole.len);
		do
			fake_get(&seen);
		while (seen.small <= i && wait_more(&since));
		ck_assert_uint_eq(seen.small, i + 1);
	}
	local("POST", CHAT, body);
	ck_assert_int_eq(a.status, 503);
	ck_assert_ptr_nonnull(strstr(answer_error(&a, "message"), "large requests"));
	fake_set_small(&unsure);
	for (unsigned i = 0; i < MOST; i++)
		close(fds[i]);
	do
		local("POST", CHAT, body);
	while (a.status == 503 && wait_more(&since));
	ck_assert_int_eq(a.status, 200);
	buf_free(&whole);
	free(body);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("router");
	TCase *t = tcase_create("router");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 30);
	tcase_add_test(t, a_sure_small_model_answers);
	tcase_add_test(t, doubt_goes_to_the_large_model);
	tcase_add_test(t, the_knob_at_its_ends);
	tcase_add_test(t, named_places);
	tcase_add_test(t, one_that_is_away);
	tcase_add_test(t, words_are_models_too);
	tcase_add_test(t, too_long_for_everybody);
	tcase_add_test(t, falls_back);
	tcase_add_test(t, a_full_queue_says_so);
	tcase_add_test(t, streams_never_mix);
	tcase_add_test(t, long_drafts_are_judged_on_their_way);
	tcase_add_test(t, a_conversation_does_not_wander);
	tcase_add_test(t, this_device_only);
	tcase_add_test(t, senseless_wishes);
	tcase_add_test(t, wishes_in_headers);
	tcase_add_test(t, no_time);
	tcase_add_test(t, explains_without_asking);
	tcase_add_test(t, shares_in_metrics);
	tcase_add_test(t, log_and_why);
	tcase_add_test(t, large_queries_that_wait_are_bounded);
	suite_add_tcase(s, t);
	t = tcase_create("watts");
	tcase_add_checked_fixture(t, setup_with_watts, teardown);
	tcase_add_test(t, limits_of_energy);
	tcase_add_test(t, energy_of_all_devices);
	tcase_add_test(t, the_best_that_is_in_time);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
