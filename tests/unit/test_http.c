/* The HTTP server below its routes: paths, framing, limits. */
#include "tests/support/http_fixture.h"

#include "daemon/http_internal.h"
#include "tests/support/patience.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define COMPL "/v1/completions"
#define BODY  "{\"prompt\":\"Hi\"}"

static struct answer a;

static void
setup(void)
{
	fixture_start();
}

static void
teardown(void)
{
	answer_free(&a);
	fixture_stop();
}

static int
status_of(const char *method, const char *path, const char *headers, const char *body)
{
	answer_free(&a);
	ask(method, path, headers, body, &a);
	return a.status;
}

/* Sends these bytes and nothing else; the status, or 0 when it is cut without an answer. */
/* Of the answer that comes there next, which is the last. */
static int
status_on(int fd)
{
	struct buf rest;

	answer_free(&a);
	buf_init(&rest, 0);
	client_read(fd, &rest, &a);
	buf_free(&rest);
	close(fd);
	return a.status;
}

static int
status_of_raw(const char *bytes)
{
	int fd = client_tcp(fixture_port);

	client_send(fd, bytes, strlen(bytes));
	return status_on(fd);
}

static void
check_alive(void)
{
	ck_assert_int_eq(status_of("POST", COMPL, "", BODY), 200);
}

START_TEST(models_and_health)
{
	ck_assert_int_eq(status_of("GET", "/health", "", NULL), 200);
	ck_assert_int_eq(status_of("GET", "/v1/models", "", NULL), 200);
	ck_assert_str_eq(json_string_value(json_object_get(
				 json_array_get(json_object_get(a.json, "data"), 0), "id")),
		FAKE_MODEL);
	ck_assert_int_eq(status_of("GET", "/v1/models/fake%2D1b", "", NULL), 200);
	ck_assert_str_eq(json_string_value(json_object_get(a.json, "object")), "model");
	ck_assert_int_eq(status_of("GET", "/v1/models/org%2Fother", "", NULL), 404);
	ck_assert_ptr_nonnull(strstr(answer_error(&a, "message"), "org/other"));
	ck_assert_int_eq(status_of("GET", "/v1/models/a%00b", "", NULL), 404);
	ck_assert_str_eq(answer_error(&a, "code"), "unknown_url");
}
END_TEST

START_TEST(unknown_paths_and_methods)
{
	ck_assert_int_eq(status_of("POST", "/chat/completions", "", "{}"), 404);
	ck_assert_ptr_nonnull(strstr(answer_error(&a, "message"), "/v1/chat/completions"));
	ck_assert_str_eq(answer_error(&a, "type"), "not_found_error");
	ck_assert_uint_eq(json_object_size(json_object_get(a.json, "error")), 4);
	ck_assert_int_eq(status_of("POST", "/v1/embeddings", "", "{}"), 404); /* nothing is near */
	ck_assert_ptr_null(strstr(answer_error(&a, "message"), "nearest"));
	ck_assert_ptr_nonnull(strstr(answer_error(&a, "message"),
		"has POST /v1/chat/completions, POST /v1/completions, GET /v1/models, "));
	ck_assert_int_eq(status_of("GET", COMPL, "", NULL), 405);
	ck_assert_ptr_nonnull(strcasestr(a.head, "\r\nallow: POST\r\n"));
	ck_assert_int_eq(status_of("DELETE", "/v1/models", "", NULL), 405);
	ck_assert_ptr_nonnull(strcasestr(a.head, "\r\nallow: GET, HEAD\r\n"));
}
END_TEST

static const char *const malformed[] = {
	"GET\r\n\r\n",
	"\x16\x03\x01\x02\x01\x01\xfc\x03\x03 tls?\r\n\r\n",
	"GET /health HTTP/1.1\r\n\r\n", /* no Host */
	"GET /health HTTP/1.1\r\nHost: a.local\r\nHost: b.local\r\n\r\n",
	"POST " COMPL " HTTP/1.1\r\nHost: localhost\r\nContent-Length: 15\r\n"
	"Content-Length: 2\r\n\r\n" BODY,
	"POST " COMPL " HTTP/1.1\r\nHost: localhost\r\nContent-Length: 15\r\n"
	"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"POST " COMPL " HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n\r\n",
	"POST " COMPL " HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
	"POST " COMPL " HTTP/1.1\r\nHost: localhost\r\nContent-Length: abc\r\n\r\n",
	"POST " COMPL " HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n{\"pro",
	"POST " COMPL " HTTP/1.1\r\nHost: localhost\r\nAuthorization: a\r\n"
	"Authorization: b\r\nContent-Length: 2\r\n\r\n{}",
	"POST " COMPL " HTTP/1.1\r\nHost: localhost\r\nX-Shoal-Privacy: cloud\r\n"
	"x-shoal-privacy: cloud\r\nContent-Length: 15\r\n\r\n" BODY,
	"POST " COMPL " HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
	"zzz\r\n",
};

START_TEST(malformed_requests_hurt_nobody)
{
	struct fake_seen seen;
	int status = status_of_raw(malformed[_i]);

	/* MHD closes on the first without a word. */
	ck_assert_msg(status == (_i == 0 ? 0 : 400), "%d for %s", status, malformed[_i]);
	fake_get(&seen);
	ck_assert_uint_eq(seen.submitted, 0);
	check_alive();
}
END_TEST

/* Whose framing other programs may read otherwise: nothing after it counts as a request. */
START_TEST(a_body_hidden_by_a_blank_is_no_request)
{
	static const char *const lengths[] = {
		"Content-Length : 41", "Content-Length\t: 41", "Transfer-Encoding : chunked"};
	char bytes[256], got[4096];
	size_t n = 0;
	ssize_t more;
	int fd = client_tcp(fixture_port);

	snprintf(bytes, sizeof bytes,
		"POST " COMPL " HTTP/1.1\r\nHost: localhost\r\n%s\r\n\r\n"
		"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n",
		lengths[_i]);
	client_send(fd, bytes, strlen(bytes));
	while (n < sizeof got - 1 && (more = recv(fd, got + n, sizeof got - 1 - n, 0)) > 0)
		n += (size_t)more;
	close(fd);
	got[n] = '\0';
	ck_assert_int_eq(memcmp(got, "HTTP/1.1 400 ", 13), 0);
	ck_assert_msg(strstr(got + 1, "HTTP/1.1 ") == NULL, "a second answer: %s", got);
}
END_TEST

/* All but a byte at a time, and what does not come is never waited for by others. */
START_TEST(unfinished_requests_are_cut)
{
	int half = client_tcp(fixture_port), body = client_tcp(fixture_port);
	uint64_t since = 0;
	bool open;
	char c;

	fixture_head_ms(300);
	close(half);
	close(body);
	half = client_tcp(fixture_port);
	body = client_tcp(fixture_port);
	client_send(half, "GET /health HTTP/1.1\r\nHost: loc", 32);
	client_send(
		body, "POST " COMPL " HTTP/1.1\r\nHost: a.local\r\nContent-Length: 9\r\n\r\n{", 65);
	check_alive();
	do {
		client_send(half, "a", 1);
		open = recv(half, &c, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN;
	} while (open && wait_more(&since));
	ck_assert(!open);
	ck_assert_int_le(recv(body, &c, 1, 0), 0);
	close(half);
	close(body);
}
END_TEST

static void
send_big(int fd, size_t len, bool chunked)
{
	static char piece[65536];
	char size[16];

	memset(piece, ' ', sizeof piece);
	for (size_t sent = 0; sent < len; sent += sizeof piece) {
		snprintf(size, sizeof size, "%zx\r\n", sizeof piece);
		if (chunked)
			client_send(fd, size, strlen(size));
		client_send(fd, piece, sizeof piece);
		if (chunked)
			client_send(fd, "\r\n", 2);
	}
	if (chunked)
		client_send(fd, "0\r\n\r\n", 5);
}

/* A connection with a head, whose body is still to come. */
static int
begin_body(const char *header)
{
	int fd = client_tcp(fixture_port);
	char head[128];

	snprintf(head, sizeof head, "POST " COMPL " HTTP/1.1\r\nHost: localhost\r\n%s\r\n\r\n",
		header);
	client_send(fd, head, strlen(head));
	return fd;
}

START_TEST(bodies_have_a_limit)
{
	int fd;

	ck_assert_int_eq(
		status_of_raw("POST " COMPL
			      " HTTP/1.1\r\nHost: localhost\r\nContent-Length: 33554433\r\n\r\n"),
		413);
	ck_assert_str_eq(answer_error(&a, "code"), "body_too_large");
	ck_assert_int_eq(
		status_of_raw("POST " COMPL
			      " HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999999999999"
			      "\r\n\r\n") == 200,
		0);
	fd = begin_body("Transfer-Encoding: chunked");
	send_big(fd, HTTP_MAX_BODY + 65536, true);
	ck_assert_int_eq(status_on(fd), 413);
	check_alive();
}
END_TEST

/* Node's fetch does not look for an answer on a connection that it cannot write to. */
START_TEST(who_is_still_sending_reads_why)
{
	int fd = begin_body("Content-Length: 99999999");

	send_big(fd, 131072, false);
	usleep(100000);
	ck_assert_int_eq(send(fd, "", 1, MSG_NOSIGNAL | MSG_DONTWAIT), 1);
	ck_assert_int_eq(status_on(fd), 413);
	ck_assert_str_eq(answer_error(&a, "code"), "body_too_large");
	check_alive();
}
END_TEST

/* A chunked body without an end is cut at twice the limit. */
START_TEST(endless_bodies_are_cut)
{
	int fd = begin_body("Transfer-Encoding: chunked");

	send_big(fd, 2 * (size_t)HTTP_MAX_BODY + (8u << 20), true);
	ck_assert_int_eq(status_on(fd), 0);
	check_alive();
}
END_TEST

START_TEST(keep_alive_and_pipelining)
{
	const char *two =
		"POST " COMPL " HTTP/1.1\r\nHost: localhost\r\nContent-Length: 15\r\n\r\n" BODY
		"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";
	struct buf rest;
	int fd = client_tcp(fixture_port);

	buf_init(&rest, 0);
	for (int i = 0; i < 3; i++) {
		client_send(fd, two, strlen(two));
		client_read(fd, &rest, &a);
		ck_assert_int_eq(a.status, 200);
		ck_assert_ptr_nonnull(json_object_get(a.json, "choices"));
		answer_free(&a);
		client_read(fd, &rest, &a);
		ck_assert_int_eq(a.status, 200);
		ck_assert_ptr_nonnull(json_object_get(a.json, "status"));
		answer_free(&a);
		/* An error does not end the connection either. */
		client_send(fd,
			"POST /nowhere HTTP/1.1\r\nHost: localhost\r\nContent-Length: "
			"4\r\n\r\nabcd",
			strlen("POST /nowhere HTTP/1.1\r\nHost: localhost\r\nContent-Length: "
			       "4\r\n\r\nabcd"));
		client_read(fd, &rest, &a);
		ck_assert_int_eq(a.status, 404);
		answer_free(&a);
	}
	buf_free(&rest);
	close(fd);
}
END_TEST

START_TEST(encodings_are_refused)
{
	ck_assert_int_eq(status_of("POST", COMPL, "Content-Encoding: zstd\r\n", BODY), 415);
	ck_assert_int_eq(status_of("POST", COMPL, "Content-Encoding: identity\r\n", BODY), 200);
}
END_TEST

/* What is beyond the limit is told so; those who are in are served, and room comes back. */
START_TEST(connections_have_a_limit)
{
	enum { N = HTTP_MAX_CONNECTIONS };
	static int fds[N];
	struct buf rest;
	uint64_t since = 0;
	int extra;

	for (int i = 0; i < N; i++)
		ck_assert_int_ge(fds[i] = client_tcp(fixture_port), 0);
	client_ask(fds[N - 1], "GET", "/health", "", NULL, &a);
	ck_assert_int_eq(a.status, 200);
	answer_free(&a);
	extra = client_tcp(fixture_port);
	buf_init(&rest, 0);
	client_read(extra, &rest, &a);
	ck_assert_int_eq(a.status, 503);
	ck_assert_ptr_nonnull(strstr(answer_error(&a, "message"), "connections"));
	ck_assert_ptr_nonnull(strstr(a.head, "Retry-After"));
	buf_free(&rest);
	answer_free(&a);
	close(extra);
	client_ask(fds[0], "POST", COMPL, "", BODY, &a);
	ck_assert_int_eq(a.status, 200);
	for (int i = 0; i < N; i++)
		close(fds[i]);
	while (status_of("POST", COMPL, "", BODY) == 503 && wait_more(&since))
		continue;
	ck_assert_int_eq(a.status, 200);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("http");
	TCase *t = tcase_create("server");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, models_and_health);
	tcase_add_test(t, unknown_paths_and_methods);
	tcase_add_loop_test(
		t, malformed_requests_hurt_nobody, 0, sizeof malformed / sizeof *malformed);
	tcase_add_loop_test(t, a_body_hidden_by_a_blank_is_no_request, 0, 3);
	tcase_add_test(t, unfinished_requests_are_cut);
	tcase_add_test(t, bodies_have_a_limit);
	tcase_add_test(t, who_is_still_sending_reads_why);
	tcase_add_test(t, endless_bodies_are_cut);
	tcase_add_test(t, keep_alive_and_pipelining);
	tcase_add_test(t, encodings_are_refused);
	tcase_add_test(t, connections_have_a_limit);
	tcase_set_timeout(t, 60);
	suite_add_tcase(s, t);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
