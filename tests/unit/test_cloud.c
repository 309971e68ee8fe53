/* Calls to a cloud: an answer, and everything that can go wrong on the way. */
#include "daemon/cloud.h"

#include "daemon/cloud_int.h"
#include "tests/support/cloud_fixture.h"
#include "tests/support/patience.h"

#include <check.h>
#include <netdb.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BODY                                                                                       \
	"{\"model\":\"big-1\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"a "   \
	"secret\"}]}"
#define WHOLE_BODY "{\"model\":\"big-1\",\"messages\":[]}"

static struct cloud_server server;
static uv_loop_t loop;
static struct cloud *cloud;
static struct outcome out;
static struct endpoint endpoint;
static unsigned before; /* connections */

/* Stands before the C library's: how often a name was looked up, and whether it is not found before the test says so. */
static unsigned lookups;
static bool lookup_held;

/* Far more than patience: what a test is not about never ends its calls. */
#define LONG_MS (10 * PATIENCE_MS)

int
getaddrinfo(
	const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **res)
{
	uint64_t since = 0;

	(void)node;
	(void)service;
	(void)hints;
	(void)res;
	__atomic_add_fetch(&lookups, 1, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&lookup_held, __ATOMIC_SEQ_CST) && wait_more(&since))
		continue;
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
setup_with(const struct cloud_limits *limits)
{
	struct err err;

	signal(SIGPIPE, SIG_IGN);
	uv_loop_init(&loop);
	cloud = cloud_new(&loop, limits, &err);
	ck_assert_ptr_nonnull(cloud);
	before = cloud_server_connections(&server);
}

static void
setup(void)
{
	static const struct cloud_limits limits = {LONG_MS, LONG_MS, LONG_MS, 1 << 20};

	setup_with(&limits);
}

static void
teardown(void)
{
	cloud_close(cloud);
	uv_run(&loop, UV_RUN_DEFAULT);
	ck_assert_int_eq(uv_loop_close(&loop), 0); /* no handle is left */
	outcome_free(&out);
}

static struct cloud_call *
send_body(const char *body)
{
	struct cloud_request r = {.endpoint = &endpoint, .body = body, .len = strlen(body)};
	struct cloud_events events = outcome_events(&out, &loop);
	struct err err;
	struct cloud_call *call = cloud_send(cloud, &r, &events, &err);

	ck_assert_msg(call != NULL, "%s", err.msg);
	ck_assert_uint_eq(out.heard + out.ended + out.failed, 0); /* events come later */
	return call;
}

static void
ask(const char *faults)
{
	outcome_free(&out);
	out = (struct outcome){0};
	before = cloud_server_connections(&server);
	cloud_server_endpoint(&server, faults, &endpoint);
	send_body(BODY);
	outcome_wait(&out, 1);
	ck_assert_uint_eq(cloud_running(cloud), 0);
}

static void
expect_text(const char *want)
{
	ck_assert_uint_eq(out.text.len, strlen(want));
	if (out.text.len > 0)
		ck_assert_mem_eq(out.text.data, want, out.text.len);
}

static void
expect_error(const char *class, int status)
{
	ck_assert_msg(out.failed == 1, "%s: no error, but '%.*s'", endpoint.url, (int)out.text.len,
		(const char *)out.text.data);
	ck_assert_msg(strcmp(cloud_class_word(out.error.class), class) == 0,
		"%s: %s instead of %s: %s", endpoint.url, cloud_class_word(out.error.class), class,
		out.error.words);
	ck_assert_int_eq(out.error.status, status);
	ck_assert_uint_gt(strlen(out.error.words), 8);
	ck_assert_ptr_null(strstr(out.error.words, "secret"));
	ck_assert_ptr_null(strstr(out.error.said, "sk-secret"));
}

/* --- answers ------------------------------------------------------------------------------------- */

START_TEST(a_stream)
{
	ask("text-3~drip-20~piece-150");
	ck_assert_uint_eq(out.ended, 1);
	expect_text("0 1 2 ");
	ck_assert_uint_gt(out.texts, 1);
	ck_assert_uint_lt(out.first, out.over); /* as it came */
	ck_assert_str_eq(out.finish, "length");
	ck_assert(out.usage.told);
	ck_assert_uint_eq(out.usage.tokens_in, 7);
	ck_assert_uint_eq(out.usage.tokens_out, 3);
	ck_assert(out.usage.cost == PURSE_UNKNOWN);
}
END_TEST

/* Every way to write the same stream. */
START_TEST(streams_of_all_kinds)
{
	static const char *const kinds[] = {"ok", "crlf", "comments", "chunked", "nodone",
		"piece-1", "piece-7~crlf~comments", "nofinish", "chunked~crlf"};

	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		ask(kinds[i]);
		ck_assert_msg(out.ended == 1, "%s", kinds[i]);
		expect_text("0 1 2 3 4 ");
		ck_assert_uint_eq(out.usage.tokens_out, 5);
	}
}
END_TEST

START_TEST(a_whole_answer)
{
	cloud_server_endpoint(&server, "costs-1234", &endpoint);
	send_body(WHOLE_BODY);
	outcome_wait(&out, 1);
	expect_text("0 1 2 3 4 ");
	ck_assert_str_eq(out.finish, "stop");
	ck_assert_uint_eq(out.usage.cost, 1234);
	ck_assert_uint_eq(out.heard, 1);
}
END_TEST

START_TEST(an_answer_without_text_or_usage)
{
	cloud_server_endpoint(&server, "null~nousage", &endpoint);
	send_body(WHOLE_BODY);
	outcome_wait(&out, 1);
	ck_assert_uint_eq(out.ended, 1);
	ck_assert(!out.usage.told);
	expect_text("");
}
END_TEST

/* --- faults -------------------------------------------------------------------------------------- */

static const struct {
	const char *faults, *class;
	int status;
	const char *text; /* that came before */
	uint64_t retry_after;
} faults[] = {
	{"status-400", "refused", 400, "", 0},
	{"status-404", "refused", 404, "", 0},
	{"status-422", "refused", 422, "", 0},
	{"status-401", "auth", 401, "", 0},
	{"status-403", "auth", 403, "", 0},
	{"status-402", "rate", 402, "", 0},
	{"status-429~retry-7", "rate", 429, "", 7000},
	{"status-429~retryms-1500~retry-7", "rate", 429, "", 1500},
	{"status-429", "rate", 429, "", 0},
	{"status-429~retry-9999999", "rate", 429, "", 86400000},
	{"status-408", "timeout", 408, "", 0},
	{"status-500", "server", 500, "", 0},
	{"status-503~retry-2", "server", 503, "", 2000},
	{"status-204", "server", 204, "", 0},
	{"redirect", "server", 302, "", 0},
	{"status-500~short-3", "server", 500, "", 0},
	{"close", "cut", 0, "", 0},
	{"short-300", "cut", 200, "0 ", 0},
	{"nofinish~nodone", "cut", 200, "0 1 2 3 4 ", 0},
	{"error", "server", 200, "0 ", 0},
	{"badevent", "malformed", 200, "0 ", 0},
	{"badjson", "malformed", 200, "", 0},
	{"badhead", "malformed", 0, "", 0},
	{"empty", "malformed", 200, "", 0},
	{"toolcall", "malformed", 200, "0 ", 0},
	{"heads-100000", "too_large", 200, "", 0},
	{"text-12~size-100000", "too_large", 200, NULL, 0},
	{"text-1~size-1100000", "too_large", 200, NULL, 0},
};

START_TEST(every_fault)
{
	for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
		ask(faults[i].faults);
		if (strcmp(faults[i].faults, "badhead") == 0)
			out.error.status = 0; /* libcurl may have begun to believe it */
		expect_error(faults[i].class, faults[i].status);
		if (faults[i].text != NULL)
			expect_text(faults[i].text);
		ck_assert_uint_eq(out.error.retry_after_ms, faults[i].retry_after);
		ck_assert(out.error.sent);
		ck_assert_uint_eq(
			cloud_server_connections(&server), before + 1); /* no second try */
	}
	ck_assert_uint_eq(lookups, 0);
}
END_TEST

/* Without a length the end of the connection looks like that of the answer: it is not taken for a
 * good one unless it was said that the answer was over. (Each byte: test_cloud_sse.) */
START_TEST(cut_streams)
{
	static const char want[] = "0 1 ";
	unsigned ended = 0;

	for (unsigned at = 0; at < 720; at += 45) {
		char words[40];

		snprintf(words, sizeof words, "text-2~cut-%u", at);
		ask(words);
		ck_assert_uint_le(out.text.len, strlen(want));
		if (out.text.len > 0)
			ck_assert_mem_eq(out.text.data, want, out.text.len);
		ended += out.ended;
		if (out.ended == 0)
			ck_assert_str_eq(
				cloud_class_word(out.error.class), at == 0 ? "malformed" : "cut");
		else
			expect_text(want);
	}
	ck_assert_uint_gt(ended, 0);
}
END_TEST

/* --- deadlines ----------------------------------------------------------------------------------- */

START_TEST(the_first_byte_is_late)
{
	static const struct cloud_limits limits = {LONG_MS, 300, LONG_MS, 1 << 20};

	teardown();
	setup_with(&limits);
	ask("mute");
	expect_error("timeout", 0);
	ck_assert_uint_ge(out.over - out.began, 300);
	ck_assert(out.error.sent);
}
END_TEST

static struct outcome second;

/* As a fallback: another call, some time after the first one's end was noticed. */
static void
call_again(void *arg, const struct cloud_error *e)
{
	static struct endpoint other;
	struct cloud_request r = {.endpoint = &other, .body = BODY, .len = strlen(BODY)};
	struct cloud_events events = outcome_events(&second, &loop);
	struct err err;

	(void)arg;
	ck_assert_int_eq(e->class, CLOUD_TIMEOUT);
	usleep(5000);
	cloud_server_endpoint(&server, "ok", &other);
	ck_assert_ptr_nonnull(cloud_send(cloud, &r, &events, &err));
}

START_TEST(what_is_asked_when_another_was_late_has_its_own_time)
{
	static const struct cloud_limits limits = {LONG_MS, 300, LONG_MS, 1 << 20};
	struct cloud_request r = {.endpoint = &endpoint, .body = BODY, .len = strlen(BODY)};
	struct cloud_events events = outcome_events(&out, &loop);
	struct err err;

	teardown();
	setup_with(&limits);
	events.error = call_again;
	cloud_server_endpoint(&server, "mute", &endpoint);
	ck_assert_ptr_nonnull(cloud_send(cloud, &r, &events, &err));
	second.loop = &loop;
	outcome_wait(&second, 1);
	ck_assert_msg(second.failed == 0, "%s", second.error.words);
	ck_assert_uint_gt(second.text.len, 0);
	outcome_free(&second);
}
END_TEST

START_TEST(a_stream_stops)
{
	static const struct cloud_limits limits = {LONG_MS, LONG_MS, 1000, 1 << 20};

	teardown();
	setup_with(&limits);
	ask("stall-400");
	expect_error("timeout", 200);
	expect_text("0 ");
	ck_assert_uint_ge(out.over - out.first, 1000);
}
END_TEST

/* The caller's time and the endpoint's own: the shorter one holds. */
START_TEST(a_stream_drips_for_too_long)
{
	static const struct {
		uint32_t ms, own;
	} rows[] = {{1500, 600}, {600000, 1}, {0, 1}};
	uint32_t ms = rows[_i].ms, least = rows[_i].own == 1 ? 1000 : 1500;
	struct cloud_request r = {.body = BODY, .len = strlen(BODY), .timeout_ms = ms};
	struct cloud_events events = outcome_events(&out, &loop);
	struct err err;

	cloud_server_endpoint(&server, "drip-20~piece-40~text-1000", &endpoint);
	endpoint.timeout = rows[_i].own;
	r.endpoint = &endpoint;
	ck_assert_ptr_nonnull(cloud_send(cloud, &r, &events, &err));
	outcome_wait(&out, 1);
	expect_error("timeout", 200);
	ck_assert_uint_ge(out.over - out.began, least - 10);
}
END_TEST

START_TEST(nobody_listens)
{
	cloud_server_endpoint(&server, "ok", &endpoint);
	strcpy(endpoint.url, "http://127.0.0.1:1/v1");
	send_body(BODY);
	outcome_wait(&out, 1);
	expect_error("offline", 0);
	ck_assert(!out.error.sent);
}
END_TEST

/* Names are looked up when a call is made, and one that is slow stops neither the loop nor the call's end. */
START_TEST(a_name_that_is_not_found)
{
	static const struct cloud_limits limits = {500, LONG_MS, LONG_MS, 1 << 20};

	teardown();
	setup_with(&limits);
	ck_assert_uint_eq(lookups, 0);
	cloud_server_endpoint(&server, "ok", &endpoint);
	strcpy(endpoint.url, "https://api.example/v1");
	send_body(BODY);
	outcome_wait(&out, 1);
	expect_error("offline", 0);
	ck_assert_uint_ge(__atomic_load_n(&lookups, __ATOMIC_SEQ_CST), 1);
	/* And now until the call has ended, where half a second is the most. */
	out = (struct outcome){0};
	lookup_held = true;
	strcpy(endpoint.url, "https://other.example/v1");
	send_body(BODY);
	outcome_wait(&out, 1);
	expect_error("offline", 0);
	ck_assert_uint_ge(out.over - out.began, 490);
	ck_assert_uint_lt(out.over - out.began, PATIENCE_MS); /* as long as it is looked up */
	__atomic_store_n(&lookup_held, false, __ATOMIC_SEQ_CST);
}
END_TEST

/* --- cancelling ---------------------------------------------------------------------------------- */

static struct cloud_call *cancelled;

static void
cancel_now(struct outcome *o)
{
	struct cloud_usage usage;

	if (o->texts == 2)
		ck_assert(cloud_cancel(cancelled, &usage));
}

static void
run_for(unsigned ms)
{
	uint64_t until;

	uv_update_time(&loop);
	for (until = uv_now(&loop) + ms; uv_now(&loop) < until; uv_run(&loop, UV_RUN_NOWAIT))
		usleep(2000);
}

/* Turns the loop until it is true of the server's connection. */
static void
turn_until(bool (*is_so)(const struct cloud_server *s, unsigned i), unsigned connection)
{
	uint64_t since = 0;

	while (!is_so(&server, connection)) {
		ck_assert(wait_more(&since));
		uv_run(&loop, UV_RUN_NOWAIT);
	}
}

/* In the middle of its own event. */
START_TEST(cancelled_while_it_speaks)
{
	cloud_server_endpoint(&server, "drip-20~piece-40~text-1000", &endpoint);
	out.then = cancel_now;
	cancelled = send_body(BODY);
	while (out.texts < 2)
		uv_run(&loop, UV_RUN_ONCE);
	ck_assert_uint_eq(cloud_running(cloud), 0);
	turn_until(cloud_server_ended, before); /* it speaks for longer than we wait */
	run_for(100);
	ck_assert_uint_eq(out.texts, 2);
	ck_assert_uint_eq(out.ended + out.failed, 0);
}
END_TEST

START_TEST(cancelled_before_it_begins)
{
	struct cloud_call *call;

	cloud_server_endpoint(&server, "mute", &endpoint);
	call = send_body(BODY);
	ck_assert(!cloud_cancel(call, NULL)); /* nothing was sent */
	before = cloud_server_connections(&server);
	call = send_body(BODY);
	turn_until(cloud_server_heard, before);
	ck_assert(!cloud_server_ended(&server, before));
	ck_assert(cloud_cancel(call, NULL));
	turn_until(cloud_server_ended, before);
	ck_assert_uint_eq(out.heard + out.ended + out.failed, 0);
}
END_TEST

START_TEST(closed_while_calls_run)
{
	cloud_server_endpoint(&server, "mute", &endpoint);
	for (int i = 0; i < 5; i++)
		send_body(BODY);
	turn_until(cloud_server_heard, before + 4);
	ck_assert_uint_eq(cloud_running(cloud), 5);
	/* teardown closes it */
}
END_TEST

/* --- many, and bytes ----------------------------------------------------------------------------- */

START_TEST(sixteen_at_once)
{
	static struct outcome outs[16];
	struct err err;

	cloud_server_endpoint(&server, "drip-2~piece-60~text-20", &endpoint);
	for (int i = 0; i < 16; i++) {
		struct cloud_request r = {.endpoint = &endpoint, .body = BODY, .len = strlen(BODY)};
		struct cloud_events events = outcome_events(&outs[i], &loop);

		ck_assert_ptr_nonnull(cloud_send(cloud, &r, &events, &err));
	}
	outcome_wait(outs, 16);
	for (int i = 0; i < 16; i++) {
		ck_assert_uint_eq(outs[i].ended, 1);
		ck_assert_uint_eq(outs[i].usage.tokens_out, 20);
		ck_assert_uint_eq(outs[i].text.len, 10 * 2 + 10 * 3);
		outcome_free(&outs[i]);
	}
	ck_assert_uint_eq(cloud_server_connections(&server), before + 16);
}
END_TEST

/* What is sent is what cloud_head and the body say, to the byte; proxies of the environment are not
 * asked. */
START_TEST(the_very_bytes)
{
	struct cloud_request r = {.endpoint = &endpoint, .body = BODY, .len = strlen(BODY)};
	struct buf want = {0}, got = {0};

	setenv("http_proxy", "http://127.0.0.1:1", 1);
	setenv("all_proxy", "http://127.0.0.1:1", 1);
	setenv("ALL_PROXY", "http://127.0.0.1:1", 1);
	ask("ok");
	ck_assert_uint_eq(out.ended, 1);
	cloud_head(&r, false, &want);
	buf_str(&want, BODY);
	cloud_server_received(&server, before, &got);
	ck_assert_uint_eq(got.len, want.len);
	ck_assert_mem_eq(got.data, want.data, want.len);
	ck_assert_ptr_nonnull(memmem(got.data, got.len, "Bearer sk-secret-1234\r\n", 23));
	buf_clear(&want);
	cloud_head(&r, true, &want);
	buf_u8(&want, 0);
	ck_assert_ptr_null(strstr((char *)want.data, "sk-secret"));
	ck_assert_ptr_nonnull(strstr((char *)want.data, "Bearer ***\r\n"));
	buf_free(&want);
	buf_free(&got);
	/* An endpoint without a key gets none. */
	outcome_free(&out);
	out = (struct outcome){0};
	endpoint.key = NULL;
	send_body(BODY);
	outcome_wait(&out, 1);
	cloud_server_received(&server, before + 1, &got);
	ck_assert_ptr_null(memmem(got.data, got.len, "Authorization", 13));
	buf_free(&got);
}
END_TEST

START_TEST(keys_do_not_come_back)
{
	ask("status-500~echo");
	expect_error("server", 500);
	ck_assert_ptr_nonnull(strstr(out.error.said, "Bearer ****"));
	outcome_free(&out);
	out = (struct outcome){0};
	ask("status-401~echo");
	expect_error("auth", 401);
	ck_assert_str_eq(out.error.said, "");
}
END_TEST

/* --- TLS ----------------------------------------------------------------------------------------- */

static struct cloud_server tls_server;

static void
ask_tls(const char *trusted)
{
	outcome_free(&out);
	out = (struct outcome){0};
	cloud_server_endpoint(&tls_server, "ok", &endpoint);
	snprintf(endpoint.url, sizeof endpoint.url, "https://127.0.0.1:%d/ok/v1", tls_server.port);
	snprintf(endpoint.ca_file, sizeof endpoint.ca_file, "%s",
		strcmp(trusted, "its own") == 0 ? tls_server.ca : trusted);
	send_body(BODY);
	outcome_wait(&out, 1);
}

static void
expect_mistrust(void)
{
	struct buf got = {0};
	unsigned n = cloud_server_connections(&tls_server);

	expect_error("offline", 0);
	ck_assert(!out.error.sent);
	for (unsigned i = 0; i < n; i++) { /* not a byte of any request reached it */
		cloud_server_received(&tls_server, i, &got);
		ck_assert_uint_eq(got.len, 0);
	}
	buf_free(&got);
}

START_TEST(tls)
{
	cloud_server_start(&tls_server, "good");
	ask_tls(""); /* the system's authorities have not signed it */
	expect_mistrust();
	ask_tls("/etc/hostname"); /* no authority in there */
	expect_mistrust();
	ask_tls("its own");
	ck_assert_msg(out.ended == 1, "%s", out.error.words);
	expect_text("0 1 2 3 4 ");
	ck_assert_uint_le(cloud_server_connections(&tls_server), 3); /* none was tried twice */
	cloud_server_stop(&tls_server);
}
END_TEST

START_TEST(tls_that_is_not_trusted)
{
	cloud_server_start(&tls_server, _i == 0 ? "other-name" : "self-signed");
	ask_tls("its own");
	expect_mistrust();
	cloud_server_stop(&tls_server);
}
END_TEST

/* One that speaks no TLS at all. */
START_TEST(tls_with_a_plain_server)
{
	static const struct cloud_limits limits = {200, LONG_MS, LONG_MS, 1 << 20};

	teardown();
	setup_with(&limits);
	cloud_server_endpoint(&server, "ok", &endpoint);
	snprintf(endpoint.url, sizeof endpoint.url, "https://127.0.0.1:%d/ok/v1", server.port);
	send_body(BODY);
	outcome_wait(&out, 1);
	expect_error("offline", 0);
	ck_assert(!out.error.sent);
}
END_TEST

START_TEST(classes_and_breakers)
{
	ck_assert_int_eq(cloud_outcome(CLOUD_OFFLINE), BREAKER_OFFLINE);
	ck_assert_int_eq(cloud_outcome(CLOUD_RATE), BREAKER_BUSY);
	ck_assert_int_eq(cloud_outcome(CLOUD_AUTH), BREAKER_DENIED);
	ck_assert_int_eq(cloud_outcome(CLOUD_REFUSED), BREAKER_REFUSED);
	ck_assert_int_eq(cloud_outcome(CLOUD_CUT), BREAKER_FAILED);
	ck_assert_int_eq(cloud_outcome(CLOUD_TOO_LARGE), BREAKER_FAILED);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("cloud");
	TCase *t = tcase_create("cloud");
	SRunner *r;
	int failed;

	if (sodium_init() < 0)
		return EXIT_FAILURE;
	tcase_set_timeout(t, 60);
	tcase_add_unchecked_fixture(t, start_server, stop_server);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, a_stream);
	tcase_add_test(t, streams_of_all_kinds);
	tcase_add_test(t, a_whole_answer);
	tcase_add_test(t, an_answer_without_text_or_usage);
	tcase_add_test(t, every_fault);
	tcase_add_test(t, cut_streams);
	tcase_add_test(t, the_first_byte_is_late);
	tcase_add_test(t, what_is_asked_when_another_was_late_has_its_own_time);
	tcase_add_test(t, a_stream_stops);
	tcase_add_loop_test(t, a_stream_drips_for_too_long, 0, 3);
	tcase_add_test(t, nobody_listens);
	tcase_add_test(t, a_name_that_is_not_found);
	tcase_add_test(t, cancelled_while_it_speaks);
	tcase_add_test(t, cancelled_before_it_begins);
	tcase_add_test(t, closed_while_calls_run);
	tcase_add_test(t, sixteen_at_once);
	tcase_add_test(t, the_very_bytes);
	tcase_add_test(t, keys_do_not_come_back);
	tcase_add_test(t, tls);
	tcase_add_loop_test(t, tls_that_is_not_trusted, 0, 2);
	tcase_add_test(t, tls_with_a_plain_server);
	tcase_add_test(t, classes_and_breakers);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
