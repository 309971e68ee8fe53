/* The door: nothing passes without a ticket for exactly it, and what passes is paid for. */
#include "daemon/door.h"

#include "daemon/door_int.h"
#include "tests/support/cloud_fixture.h"
#include "tests/support/patience.h"

#include <check.h>
#include <netdb.h>
#include <netinet/in.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MESSAGE "\"messages\":[{\"role\":\"user\",\"content\":\"a secret\"}]"
#define BODY    "{\"model\":\"big-1\",\"max_tokens\":100,\"stream\":true," MESSAGE "}"

static struct cloud_server server;
static uv_loop_t loop;
static char dir[64], conf[80], purse_path[80];
static struct endpoints *endpoints;
static struct purse_file *purse;
static struct door *door;
static struct outcome out;
static uint64_t cost; /* of the last call that ended */
static unsigned before;
static struct door_no no;
static int gone = -1, gone_port = 1; /* where nobody listens yet */

/* Stands before the C library's: no name may be looked up here. */
int
getaddrinfo(
	const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **res)
{
	(void)service;
	(void)hints;
	(void)res;
	ck_abort_msg("a name is looked up: %s", node);
	return EAI_NONAME;
}

static void
start_server(void)
{
	cloud_server_start(&server, NULL);
}

static void
stop_server(void)
{
	cloud_server_stop(&server);
}

static void
write_conf(const char *budget)
{
	static const char *const sections[][2] = {{"ok", "ok"}, {"dear", "costs-900"},
		{"silent", "nousage"}, {"slow", "drip-20~piece-40~text-1000"}, {"mute", "mute"},
		{"bad", "status-400"}, {"broken", "status-500"}, {"cut", "cut-400"},
		{"key", "status-401"}, {"busy", "status-429~retry-30"}, {"thinks", "usage-5000"},
		{"mispriced", "costs-70000"}, {"slips", "usage-4294967299"},
		{"greedy", "costs-4294967299"}, {"knows", "usage-4294967299~costs-20"}};
	FILE *f = fopen(conf, "we");

	ck_assert_ptr_nonnull(f);
	fprintf(f, "[budget]\n%s\n", budget);
	for (size_t i = 0; i < sizeof sections / sizeof *sections; i++)
		fprintf(f,
			"[%s]\nurl = http://127.0.0.1:%d/%s/v1\nmodel = big-1\nprice_in = 0.15\n"
			"price_out = 0.60\ncontext = 8192\nmax_tokens = 1024\nkey_file = key\n%s",
			sections[i][0], server.port, sections[i][1],
			strcmp(sections[i][0], "ok") == 0 ? "completions = yes\n" : "");
	fprintf(f,
		"[gone]\nurl = http://127.0.0.1:%d/v1\nmodel = big-1\nprice_in = 1\n"
		"price_out = 1\ncontext = 8192\nmax_tokens = 1024\n",
		gone_port);
	ck_assert_int_eq(fclose(f), 0);
}

/* How long a door waits for the begin of an answer: but for the test of that, longer than any test. */
static uint32_t first_ms = 10 * PATIENCE_MS;

static void
setup_with(const char *budget)
{
	struct cloud_limits limits = {10 * PATIENCE_MS, first_ms, 10 * PATIENCE_MS, 1 << 20};
	char key[96];
	struct err err = {""};
	FILE *f;

	signal(SIGPIPE, SIG_IGN);
	strcpy(dir, "/tmp/shoal-door-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(conf, sizeof conf, "%s/conf", dir);
	snprintf(purse_path, sizeof purse_path, "%s/purse", dir);
	snprintf(key, sizeof key, "%s/key", dir);
	f = fopen(key, "we");
	ck_assert_ptr_nonnull(f);
	fputs("sk-secret-1234\n", f);
	fclose(f);
	setenv("CREDENTIALS_DIRECTORY", dir, 1);
	write_conf(budget);
	endpoints = endpoints_load(conf, &err);
	ck_assert_msg(endpoints != NULL, "%s", err.msg);
	unlink(key);
	unlink(conf);
	purse = purse_file_open(purse_path, endpoints_limits(endpoints), time(NULL), &err);
	ck_assert_msg(purse != NULL, "%s", err.msg);
	uv_loop_init(&loop);
	door = door_new(&loop, endpoints, purse, &limits, &err);
	ck_assert_msg(door != NULL, "%s", err.msg);
	before = cloud_server_connections(&server);
}

static void
setup(void)
{
	setup_with("day = 1");
}

static void
teardown(void)
{
	door_close(door);
	uv_run(&loop, UV_RUN_DEFAULT);
	ck_assert_int_eq(uv_loop_close(&loop), 0);
	purse_file_close(purse);
	endpoints_free(endpoints);
	outcome_free(&out);
	out = (struct outcome){0};
	unlink(purse_path);
	ck_assert_int_eq(rmdir(dir), 0);
}

/* --- asking -------------------------------------------------------------------------------------- */

static struct door_request
request_of(const char *name, const char *body)
{
	const struct endpoint *e = endpoints_find(endpoints, name);

	ck_assert_ptr_nonnull(e);
	return (struct door_request){e, body, strlen(body)};
}

static struct ticket *
issue(const char *name, const char *body)
{
	struct ticket_ask ask = {
		request_of(name, body), PRIVACY_CLOUD, false, 1, 0, PURSE_UNLIMITED};

	return ticket_issue(door, &ask, &no);
}

static void
on_heard(void *arg)
{
	((struct outcome *)arg)->heard++;
}

static void
on_text(void *arg, const char *delta, size_t len)
{
	struct outcome *o = arg;

	o->texts++;
	buf_append(&o->text, delta, len);
	if (o->then != NULL)
		o->then(o);
}

static void
on_end(void *arg, const char *finish, const struct cloud_usage *usage, uint64_t counted)
{
	struct outcome *o = arg;

	o->ended++;
	o->usage = *usage;
	snprintf(o->finish, sizeof o->finish, "%s", finish);
	cost = counted;
}

static void
on_error(void *arg, const struct cloud_error *e, uint64_t counted)
{
	struct outcome *o = arg;

	o->failed++;
	o->error = *e;
	cost = counted;
}

static struct door_call *
try_send(struct ticket *t, const char *name, const char *body)
{
	struct door_events events = {on_heard, on_text, on_end, on_error, &out};
	struct door_request r = request_of(name, body);

	out.loop = &loop;
	return door_send(door, t, &r, 0, &events, &no);
}

static struct door_call *
begin(const char *name)
{
	struct ticket *t = issue(name, BODY);
	struct door_call *c;

	ck_assert_msg(t != NULL, "%s", no.err.msg);
	c = try_send(t, name, BODY);
	ck_assert_msg(c != NULL, "%s", no.err.msg);
	ticket_free(t); /* the reservation is the call's now */
	return c;
}

static void
ask(const char *name)
{
	outcome_free(&out);
	out = (struct outcome){0};
	begin(name);
	outcome_wait(&out, 1);
	ck_assert_uint_eq(door_running(door), 0);
}

static void
expect_purse(uint64_t day, uint64_t reserved)
{
	ck_assert_uint_eq(purse_file_purse(purse)->all.day, day);
	ck_assert_uint_eq(purse_file_purse(purse)->all.reserved, reserved);
}

static void
expect_refused(const void *nothing, const char *why, const char *words)
{
	ck_assert_ptr_null(nothing);
	ck_assert_str_eq(door_refusal_word(no.why), why);
	ck_assert_msg(strstr(no.err.msg, words) != NULL, "%s", no.err.msg);
}

/* The most that BODY can cost: its bytes at 0.15 a million and 100 tokens at 0.60. */
static uint64_t
worst(void)
{
	return (strlen(BODY) * 150000 + 100 * 600000 + 999999) / 1000000;
}

static void
expect_nothing_sent(void)
{
	uv_run(&loop, UV_RUN_NOWAIT);
	ck_assert_uint_eq(door_running(door), 0);
	ck_assert_uint_eq(out.heard + out.ended + out.failed, 0);
	ck_assert_uint_eq(cloud_server_connections(&server), before);
	expect_purse(0, 0);
}

/* --- tickets ------------------------------------------------------------------------------------- */

START_TEST(with_a_ticket)
{
	struct ticket *t = issue("ok", BODY);

	ck_assert_msg(t != NULL, "%s", no.err.msg);
	ck_assert_uint_eq(ticket_reserved(t), worst());
	expect_purse(0, worst());
	ck_assert_uint_eq(cloud_server_connections(&server), before); /* a ticket sends nothing */
	ck_assert_ptr_nonnull(try_send(t, "ok", BODY));
	ticket_free(t);
	outcome_wait(&out, 1);
	ck_assert_uint_eq(out.ended, 1);
	ck_assert_uint_eq(out.heard, 1);
	ck_assert_uint_eq(out.text.len, 10);
	ck_assert_uint_eq(cost, 5); /* 7 at 0.15 and 5 at 0.60 a million are 4.05 micro-units */
	expect_purse(5, 0);
	ck_assert_uint_eq(door_stats(door, endpoints_at(endpoints, 0))->ends, 1);
	ck_assert_uint_eq(door_stats(door, endpoints_at(endpoints, 0))->bytes_out, strlen(BODY));
}
END_TEST

START_TEST(without_a_ticket)
{
	struct ticket_ask ask = {
		request_of("ok", BODY), PRIVACY_HOME, false, 1, 0, PURSE_UNLIMITED};

	expect_refused(try_send(NULL, "ok", BODY), "ticket", "no ticket");
	expect_refused(ticket_issue(door, &ask, &no), "policy", "at home");
	ask.redacted = true; /* which is no policy */
	expect_refused(ticket_issue(door, &ask, &no), "policy", "at home");
	ask.policy = PRIVACY_REDACT;
	ask.redacted = false;
	expect_refused(ticket_issue(door, &ask, &no), "policy", "at home");
	expect_nothing_sent();
}
END_TEST

/* One byte other, one byte fewer, another endpoint: each burns the ticket. */
START_TEST(with_a_ticket_for_something_else)
{
	static const struct {
		const char *name, *body, *words;
	} rows[] = {
		{"ok", "{\"model\":\"big-1\",\"max_tokens\":101,\"stream\":true," MESSAGE "}",
			"other bytes"},
		{"ok", BODY " ", "other bytes"},
		{"ok", "", "other bytes"},
		{"dear", BODY, "another endpoint"},
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct ticket *t = issue("ok", BODY);

		ck_assert_ptr_nonnull(t);
		expect_refused(try_send(t, rows[i].name, rows[i].body), "ticket", rows[i].words);
		expect_refused(try_send(t, "ok", BODY), "ticket", "used before");
		ticket_free(t);
		expect_nothing_sent();
	}
}
END_TEST

START_TEST(with_a_used_ticket)
{
	struct ticket *t = issue("ok", BODY);

	ck_assert_ptr_nonnull(t);
	ck_assert_ptr_nonnull(try_send(t, "ok", BODY));
	expect_refused(try_send(t, "ok", BODY), "ticket", "used before");
	outcome_wait(&out, 1);
	expect_refused(try_send(t, "ok", BODY), "ticket", "used before");
	ticket_free(t);
	ck_assert_uint_eq(cloud_server_connections(&server), before + 1);
	expect_purse(5, 0);
}
END_TEST

START_TEST(with_another_doors_ticket)
{
	struct err err;
	struct door *other = door_new(&loop, endpoints, purse, NULL, &err), *own = door;
	struct ticket *t = issue("ok", BODY);

	door = other;
	expect_refused(try_send(t, "ok", BODY), "ticket", "no ticket");
	ticket_free(t);
	door_close(other);
	door = own;
	expect_nothing_sent();
}
END_TEST

START_TEST(tickets_that_are_not_used_cost_nothing)
{
	struct ticket *t[3] = {issue("ok", BODY), issue("ok", BODY), issue("dear", BODY)};

	expect_purse(0, 3 * worst());
	for (int i = 0; i < 3; i++)
		ticket_free(t[i]);
	ticket_free(NULL);
	expect_nothing_sent();
}
END_TEST

/* --- the policy is withdrawn --------------------------------------------------------------------- */

/* Until the server has seen the call's connection end, which speaks for longer than we wait. */
static void
turn_until_ended(void)
{
	uint64_t since = 0;

	while (!cloud_server_ended(&server, before)) {
		ck_assert(wait_more(&since));
		uv_run(&loop, UV_RUN_NOWAIT);
	}
}

static void
revoke_late(struct outcome *o)
{
	if (o->texts == 2)
		door_revoke(door);
}

/* In every state of a call: before it is sent, before it is heard, while it speaks, and from within
 * its own text. */
START_TEST(revoked)
{
	struct ticket *t;

	if (_i == 0) {
		t = issue("ok", BODY);
		door_revoke(door);
		expect_refused(try_send(t, "ok", BODY), "ticket", "revoked");
		ticket_free(t);
		expect_nothing_sent();
		ask("ok"); /* a new ticket is good */
		ck_assert_uint_eq(out.ended, 1);
		return;
	}
	if (_i == 3)
		out.then = revoke_late;
	begin(_i == 1 ? "mute" : "slow");
	while (_i == 1 ? !cloud_server_heard(&server, before) : out.texts < 2)
		uv_run(&loop, UV_RUN_NOWAIT);
	if (_i != 3)
		door_revoke(door);
	ck_assert_uint_eq(out.failed, 1);
	ck_assert_str_eq(out.error.words, "the policy has changed");
	ck_assert_uint_eq(door_running(door), 0);
	turn_until_ended();
	ck_assert_uint_eq(out.failed + out.ended, 1);
	ck_assert_uint_eq(cloud_server_connections(&server), before + 1);
	expect_purse(worst(), 0);
}
END_TEST

/* --- bodies -------------------------------------------------------------------------------------- */

#define TOP "{\"model\":\"big-1\",\"max_tokens\":9,"

static const struct {
	const char *body, *words;
} bodies[] = {
	{"", "not JSON"},
	{"null", "not JSON"},
	{"[]", "no object"},
	{BODY "x", "not JSON"},
	{"\xff", "not JSON"},
	{TOP "\"messages\":[]}", "no messages"},
	{TOP "\"max_tokens\":9," MESSAGE "}", "not JSON"}, /* twice */
	{"{\"max_tokens\":9," MESSAGE "}", "the endpoint's model"},
	{"{\"model\":\"big-2\",\"max_tokens\":9," MESSAGE "}", "the endpoint's model"},
	{"{\"model\":\"big-1\"," MESSAGE "}", "what it may cost"},
	{"{\"model\":\"big-1\",\"max_tokens\":0," MESSAGE "}", "max_tokens"},
	{"{\"model\":\"big-1\",\"max_tokens\":1025," MESSAGE "}", "max_tokens"},
	{"{\"model\":\"big-1\",\"max_tokens\":1e2," MESSAGE "}", "max_tokens"},
	{"{\"model\":\"big-1\",\"max_tokens\":\"9\"," MESSAGE "}", "max_tokens"},
	{TOP "\"max_completion_tokens\":1025," MESSAGE "}", "max_completion_tokens"},
	{TOP "\"n\":2," MESSAGE "}", "n:"},
	{TOP "\"service_tier\":\"priority\"," MESSAGE "}", "a field"},
	{TOP "\"tools\":[]," MESSAGE "}", "functions is empty"},
	{TOP "\"tools\":{}," MESSAGE "}", "'tools'"},
	{TOP "\"tools\":[5]," MESSAGE "}", "no object"},
	{TOP "\"tools\":[{\"type\":\"web_search\"}]," MESSAGE "}", "no object"},
	{TOP "\"tools\":[{\"type\":\"code\",\"function\":{}}]," MESSAGE "}", "no function"},
	{TOP "\"tools\":[{\"type\":\"function\",\"function\":{\"x\":1}}]," MESSAGE "}", "a field"},
	{TOP "\"tool_choice\":\"auto\"," MESSAGE "}", "'tool_choice'"},
	{TOP "\"tool_choice\":{\"type\":\"function\"}," MESSAGE "}", "no object"},
	{TOP "\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"f\",\"strict\":true}}"
	     "," MESSAGE "}",
		"more than the name"},
	{TOP "\"tool_choice\":{\"mode\":\"x\"}," MESSAGE "}", "a field"},
	{TOP "\"web_search_options\":{}," MESSAGE "}", "a field"},
	{TOP "\"user\":\"me\"," MESSAGE "}", "a field"},
	{TOP "\"shoal\":{}," MESSAGE "}", "a field"},
	{TOP "\"stream\":1," MESSAGE "}", "'stream'"},
	{TOP "\"messages\":[5]}", "no object"},
	{TOP "\"messages\":[{\"content\":\"a\"}]}", "no role"},
	{TOP "\"messages\":[{\"role\":\"user\"}]}", "no content"},
	{TOP "\"messages\":[{\"role\":\"user\",\"content\":{}}]}", "'content'"},
	{TOP "\"messages\":[{\"role\":\"user\",\"content\":\"a\",\"tool_calls\":[]}]}",
		"functions is empty"},
	{TOP "\"messages\":[{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"type\":"
	     "\"function\",\"function\":{\"arguments\":{}}}]}]}",
		"'arguments'"},
	{TOP "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{"
	     "}}]}]}",
		"a field"},
	{TOP "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_audio\"}]}]}",
		"not text"},
	{TOP "\"messages\":[{\"role\":\"user\",\"content\":[\"a\"]}]}", "no object"},
	{TOP "\"prompt\":\"secret\"," MESSAGE "}", "a prompt and 'messages'"},
	{TOP "\"prompt\":\"secret\",\"add_generation_prompt\":false}", "a prompt and"},
	{TOP "\"prompt\":\"secret\",\"tool_choice\":\"required\"}", "a prompt and 'tool_choice'"},
	{TOP "\"prompt\":[\"secret\"]}", "'prompt'"},
	{TOP "\"prompt\":\"\"}", "prompt is empty"},
};

START_TEST(bodies_that_may_not_pass)
{
	for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
		expect_refused(issue("ok", bodies[i].body), "body", bodies[i].words);
		ck_assert_ptr_null(strstr(no.err.msg, "secret"));
	}
	expect_nothing_sent();
}
END_TEST

START_TEST(bounds_on_the_price)
{
	struct door_body b;
	struct err err;
	struct door_request r = request_of("ok", TOP "\"max_completion_tokens\":700,"
						     "\"messages\":[{\"role\":\"system\","
						     "\"content\":[{\"type\":\"text\",\"text\":"
						     "\"a\"}]},{\"role\":\"user\","
						     "\"content\":null,\"name\":\"x\"}]}");
	char *long_body = malloc(20000);

	ck_assert_msg(door_body_check(&r, &b, &err) == 0, "%s", err.msg);
	ck_assert_uint_eq(b.tokens_in, r.len);
	ck_assert_uint_eq(b.tokens_out, 700);
	/* Tools are text, and words of the endpoint's around them. */
	r = request_of("ok",
		TOP "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\","
		    "\"parameters\":{\"x\":[1]}}}],\"parallel_tool_calls\":false," MESSAGE "}");
	ck_assert_msg(door_body_check(&r, &b, &err) == 0, "%s", err.msg);
	ck_assert_uint_eq(b.tokens_in, r.len + 1024);
	/* More tokens than it has positions no endpoint can take. */
	ck_assert_ptr_nonnull(long_body);
	sprintf(long_body, TOP "\"messages\":[{\"role\":\"user\",\"content\":\"%015000d\"}]}", 7);
	r = request_of("ok", long_body);
	ck_assert_int_eq(door_body_check(&r, &b, &err), 0);
	ck_assert_uint_eq(b.tokens_in, 8192);
	free(long_body);
	r.len = DOOR_MOST_BODY + 1; /* is not read */
	ck_assert_int_eq(door_body_check(&r, &b, &err), -1);
}
END_TEST

/* What a body is decides on its path, with the ticket that was given for it. */
START_TEST(a_prompt)
{
	static const char body[] = TOP "\"stream\":true,\"prompt\":\"Once\"}";
	struct buf got = {0};
	struct ticket *t = issue("ok", body);

	ck_assert_ptr_nonnull(t);
	ck_assert_ptr_nonnull(try_send(t, "ok", body));
	outcome_wait(&out, 1);
	ck_assert_uint_eq(out.ended, 1);
	ticket_free(t);
	cloud_server_received(&server, before, &got);
	ck_assert_ptr_nonnull(memmem(got.data, got.len, "POST /ok/v1/completions ", 24));
	buf_free(&got);
	expect_refused(issue("silent", body), "body", "takes chats only");
}
END_TEST

/* The preview is what the recorder gets, but for the key. */
START_TEST(a_preview)
{
	struct door_request r = request_of("ok", BODY);
	struct buf want = {0}, got = {0};
	uint64_t most;
	uint8_t *key;

	ck_assert_int_eq(door_preview(&r, &want, &most, &no), 0);
	ck_assert_uint_eq(most, worst());
	expect_nothing_sent();
	ask("ok");
	cloud_server_received(&server, before, &got);
	key = memmem(got.data, got.len, "sk-secret-1234", 14);
	ck_assert_ptr_nonnull(key);
	memcpy(key, "***", 3);
	memmove(key + 3, key + 14, (size_t)(got.data + got.len - (key + 14)));
	ck_assert_uint_eq(got.len - 11, want.len);
	ck_assert_mem_eq(got.data, want.data, want.len);
	r = request_of("ok", "{}");
	ck_assert_int_eq(door_preview(&r, &want, &most, &no), -1);
	ck_assert_str_eq(door_refusal_word(no.why), "body");
	buf_free(&want);
	buf_free(&got);
}
END_TEST

/* --- money --------------------------------------------------------------------------------------- */

START_TEST(what_calls_cost)
{
	static const struct {
		const char *name;
		int64_t cost; /* -1: all that was reserved */
	} rows[] = {
		{"ok", 5},
		{"dear", 900},
		{"silent", -1},
		{"cut", -1},
		{"bad", 0},
		{"broken", -1},
		{"key", 0},
		{"busy", 0},
		{"gone", 0},
		{"thinks", 3002},     /* more than was asked for can be, */
		{"mispriced", 70000}, /* and so can a price that is set wrong; */
		{"slips", -1},        /* what cannot be was not said */
		{"greedy", -1},
		{"knows", 20},
	};
	uint64_t sum = 0;

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		uint64_t want = rows[i].cost < 0 ? worst() : (uint64_t)rows[i].cost;

		ask(rows[i].name);
		ck_assert_msg(cost == want, "%s: %llu", rows[i].name, (unsigned long long)cost);
		sum += want;
		expect_purse(sum, 0);
	}
	ck_assert_uint_eq(purse_file_purse(purse)->over_calls, 3); /* dear, thinks, mispriced */
}
END_TEST

/* It has been sent, and may have been computed. */
START_TEST(what_is_not_answered_costs_most)
{
	teardown();
	first_ms = 300;
	setup();
	ask("mute");
	ck_assert_int_eq(out.error.class, CLOUD_TIMEOUT);
	ck_assert_uint_eq(cost, worst());
	expect_purse(cost, 0);
}
END_TEST

START_TEST(who_leaves_is_settled)
{
	struct door_call *c = begin("mute");

	ck_assert_uint_eq(door_cancel(c), 0); /* nothing was sent yet */
	before = cloud_server_connections(&server);
	c = begin("slow");
	while (out.texts < 2)
		uv_run(&loop, UV_RUN_ONCE);
	ck_assert_uint_eq(door_cancel(c), worst());
	expect_purse(worst(), 0);
	turn_until_ended();
	ck_assert_uint_eq(out.ended + out.failed, 0);
}
END_TEST

/* 64 at once, and money for 3. */
START_TEST(sixty_four_at_a_budget_for_three)
{
	char budget[64];
	unsigned sent = 0;

	teardown();
	snprintf(budget, sizeof budget, "day = 0.%06u", (unsigned)(4 * worst() - 1));
	setup_with(budget);
	for (int i = 0; i < 64; i++) {
		struct ticket *t = issue("silent", BODY);

		ck_assert_int_eq(t != NULL, i < 3);
		if (t == NULL) {
			expect_refused(t, "budget", "day's budget");
			ck_assert_int_eq(no.purse, PURSE_DAY);
			continue;
		}
		sent += try_send(t, "silent", BODY) != NULL;
		ticket_free(t);
	}
	while (door_running(door) > 0)
		uv_run(&loop, UV_RUN_ONCE);
	ck_assert_uint_eq(sent, 3);
	ck_assert_uint_eq(out.ended, 3);
	ck_assert_uint_eq(cloud_server_connections(&server), before + 3);
	expect_purse(3 * worst(), 0);
	expect_refused(issue("ok", BODY), "budget", "day's budget");
}
END_TEST

START_TEST(one_request_with_retries)
{
	struct ticket_ask a = {request_of("ok", BODY), PRIVACY_CLOUD, false, 1, 0, 2 * worst() - 1};
	struct ticket *t = ticket_issue(door, &a, &no);

	ck_assert_ptr_nonnull(t);
	a.request_used = ticket_reserved(t);
	expect_refused(ticket_issue(door, &a, &no), "budget", "than a request may");
	ticket_free(t);
}
END_TEST

/* --- breakers ------------------------------------------------------------------------------------ */

START_TEST(breakers)
{
	const struct endpoint *broken = endpoints_find(endpoints, "broken");
	struct ticket *t = issue("broken", BODY);

	for (int i = 0; i < 3; i++) {
		ck_assert(door_passes(door, broken, NULL));
		ask("broken");
	}
	ck_assert(!door_passes(door, broken, NULL));
	ck_assert_int_eq(door_state(door, broken), BREAKER_OPEN);
	expect_refused(issue("broken", BODY), "breaker", "not called for now");
	ck_assert_uint_gt(no.wait_ms, 3000);
	/* A ticket from before does not help either. */
	ck_assert_ptr_nonnull(t);
	expect_refused(try_send(t, "broken", BODY), "breaker", "not called for now");
	ticket_free(t);
	ck_assert_uint_eq(cloud_server_connections(&server), before + 3);
	/* The others go on; a refused key is off, Retry-After is kept, 400 is not the endpoint's. */
	ask("ok");
	ask("key");
	ck_assert_int_eq(door_state(door, endpoints_find(endpoints, "key")), BREAKER_OFF);
	expect_refused(issue("key", BODY), "breaker", "not called");
	ck_assert_uint_eq(no.wait_ms, 0);
	ask("busy");
	expect_refused(issue("busy", BODY), "breaker", "not called");
	ck_assert_uint_gt(no.wait_ms, 25000);
	for (int i = 0; i < 4; i++)
		ask("bad");
	ck_assert_int_eq(door_state(door, endpoints_find(endpoints, "bad")), BREAKER_CLOSED);
	ask("gone");
	expect_refused(issue("gone", BODY), "breaker", "not called");
	ck_assert_uint_eq(door_stats(door, broken)->errors[CLOUD_SERVER], 3);
}
END_TEST

/* A port that is ours, and on which nobody listens until listen() is called. */
static void
take_port(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof a;

	gone = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(gone, (struct sockaddr *)&a, len), 0);
	ck_assert_int_eq(getsockname(gone, (struct sockaddr *)&a, &len), 0);
	gone_port = ntohs(a.sin_port);
}

/* A ticket is asked for after the breaker's time: refused at once, and the door knocks. */
static void
expect_knock(enum breaker_state then)
{
	const struct endpoint *e = endpoints_find(endpoints, "gone");

	door_breaker(door, e)->until = 0; /* as if its time had passed */
	ck_assert_int_eq(door_state(door, e), BREAKER_HALF_OPEN);
	expect_refused(issue("gone", BODY), "breaker", "tried anew");
	ck_assert_int_eq(
		door_state(door, e), BREAKER_HALF_OPEN); /* what comes of it is not waited for */
	expect_refused(issue("gone", BODY), "breaker", "not called for now"); /* one knock */
	while (door_state(door, e) == BREAKER_HALF_OPEN && !door_passes(door, e, NULL))
		uv_run(&loop, UV_RUN_ONCE);
	ck_assert_int_eq(door_state(door, e), then);
}

START_TEST(offline_and_back)
{
	struct ticket *t;
	char byte;
	int fd;

	teardown();
	take_port();
	setup();
	ask("gone");
	ck_assert_int_eq(out.error.class, CLOUD_OFFLINE);
	expect_knock(BREAKER_OPEN);
	ck_assert_int_eq(listen(gone, 5), 0);
	expect_knock(BREAKER_HALF_OPEN);
	fd = accept(gone, NULL, NULL); /* it connected, and said nothing */
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(read(fd, &byte, 1), 0);
	close(fd);
	t = issue("gone", BODY);
	ck_assert_msg(t != NULL, "%s", no.err.msg);
	ticket_free(t);
	expect_purse(0, 0);
	close(gone);
}
END_TEST

/* A policy that is withdrawn ends a knock too; and nobody knocks for what may not leave. */
START_TEST(no_knock_without_leave)
{
	struct ticket_ask a = {
		{NULL, BODY, strlen(BODY)}, PRIVACY_HOME, false, 1, 0, PURSE_UNLIMITED};
	const struct endpoint *e;

	teardown();
	take_port();
	setup();
	ask("gone");
	e = a.request.endpoint = endpoints_find(endpoints, "gone");
	door_breaker(door, e)->until = 0;
	expect_refused(ticket_issue(door, &a, &no), "policy", "at home");
	ck_assert(door_passes(door, e, NULL)); /* no probe is under way */
	ck_assert_int_eq(listen(gone, 5), 0);
	expect_refused(issue("gone", BODY), "breaker", "tried anew");
	ck_assert(!door_passes(door, e, NULL));
	door_revoke(door);
	ck_assert(door_passes(door, e, NULL));
	close(gone);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("door");
	TCase *t = tcase_create("door");
	SRunner *r;
	int failed;

	if (sodium_init() < 0)
		return EXIT_FAILURE;
	tcase_set_timeout(t, 60);
	tcase_add_unchecked_fixture(t, start_server, stop_server);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, with_a_ticket);
	tcase_add_test(t, without_a_ticket);
	tcase_add_test(t, with_a_ticket_for_something_else);
	tcase_add_test(t, with_a_used_ticket);
	tcase_add_test(t, with_another_doors_ticket);
	tcase_add_test(t, tickets_that_are_not_used_cost_nothing);
	tcase_add_loop_test(t, revoked, 0, 4);
	tcase_add_test(t, bodies_that_may_not_pass);
	tcase_add_test(t, bounds_on_the_price);
	tcase_add_test(t, a_prompt);
	tcase_add_test(t, a_preview);
	tcase_add_test(t, what_calls_cost);
	tcase_add_test(t, what_is_not_answered_costs_most);
	tcase_add_test(t, who_leaves_is_settled);
	tcase_add_test(t, sixty_four_at_a_budget_for_three);
	tcase_add_test(t, one_request_with_retries);
	tcase_add_test(t, breakers);
	tcase_add_test(t, offline_and_back);
	tcase_add_test(t, no_knock_without_leave);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
