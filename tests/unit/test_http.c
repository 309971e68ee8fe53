/* The HTTP server below its routes: paths, framing, limits, who may ask, the unix socket. */
#include "tests/support/http_fixture.h"

#include "base/file.h"
#include "daemon/http_internal.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
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
static int
status_of_raw(const char *bytes)
{
	struct buf rest;
	int fd = client_tcp(fixture_port);

	answer_free(&a);
	buf_init(&rest, 0);
	client_send(fd, bytes, strlen(bytes));
	client_read(fd, &rest, &a);
	buf_free(&rest);
	close(fd);
	return a.status;
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

/* All but a byte at a time, and what does not come is never waited for by others. */
START_TEST(unfinished_requests_are_cut)
{
	int half = client_tcp(fixture_port), body = client_tcp(fixture_port);
	char c;

	fixture_head_ms(300);
	close(half);
	close(body);
	half = client_tcp(fixture_port);
	body = client_tcp(fixture_port);
	client_send(half, "GET /health HTTP/1.1\r\nHost: loc", 32);
	client_send(body, "POST " COMPL " HTTP/1.1\r\nHost: a.local\r\nContent-Length: 9\r\n\r\n{",
		65);
	check_alive();
	for (int i = 0; i < 8; i++) {
		usleep(100000);
		client_send(half, "a", 1);
	}
	ck_assert_int_le(recv(half, &c, 1, MSG_DONTWAIT), 0);
	ck_assert_int_ne(errno, EAGAIN);
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

START_TEST(bodies_have_a_limit)
{
	struct buf rest;
	const char *head = "POST " COMPL " HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: "
			   "chunked\r\n\r\n";
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
	answer_free(&a);
	fd = client_tcp(fixture_port);
	buf_init(&rest, 0);
	client_send(fd, head, strlen(head));
	send_big(fd, HTTP_MAX_BODY + 65536, true);
	client_read(fd, &rest, &a);
	ck_assert_int_eq(a.status, 413);
	buf_free(&rest);
	close(fd);
	check_alive();
}
END_TEST

/* A chunked body without an end is cut at twice the limit. */
START_TEST(endless_bodies_are_cut)
{
	struct buf rest;
	const char *head = "POST " COMPL " HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: "
			   "chunked\r\n\r\n";
	int fd = client_tcp(fixture_port);

	buf_init(&rest, 0);
	client_send(fd, head, strlen(head));
	send_big(fd, 2 * (size_t)HTTP_MAX_BODY + (8u << 20), true);
	client_read(fd, &rest, &a);
	ck_assert_int_eq(a.status, 0);
	buf_free(&rest);
	close(fd);
	check_alive();
}
END_TEST

START_TEST(keep_alive_and_pipelining)
{
	const char *two = "POST " COMPL " HTTP/1.1\r\nHost: localhost\r\nContent-Length: 15\r\n\r\n"
			  BODY "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";
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
		client_send(fd, "POST /nowhere HTTP/1.1\r\nHost: localhost\r\nContent-Length: "
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

START_TEST(foreign_pages_are_refused)
{
	static const char *const bad[] = {"Host: evil.example\r\n", "Host: localhost.evil.org:80\r\n",
		"Origin: https://evil.example\r\n", "Origin: null\r\n",
		"Origin: http://localhost.evil.org\r\n", "Origin: http://127.0.0.1.evil.org\r\n"};
	static const char *const good[] = {"Host: 127.0.0.1:8642\r\n", "Host: [::1]:8642\r\n",
		"Host: pi-kitchen.local\r\n", "Host: 192.168.1.7\r\n",
		"Origin: http://localhost:3000\r\n", "Origin: vscode-webview://x\r\n",
		"Origin: tauri://localhost\r\n", "Origin: http://[::1]:5173\r\n"};

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		ck_assert_msg(status_of("GET", "/v1/models", bad[i], NULL) == 403, "%s", bad[i]);
		ck_assert_str_eq(answer_error(&a, "type"), "permission_error");
	}
	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		ck_assert_msg(status_of("GET", "/v1/models", good[i], NULL) == 200, "%s", good[i]);
	ck_assert_ptr_nonnull(strstr(a.head, "Access-Control-Allow-Origin: http://[::1]:5173"));
}
END_TEST

START_TEST(preflights_are_answered)
{
	ck_assert_int_eq(status_of("OPTIONS", "/v1/chat/completions",
				 "Origin: http://localhost:3000\r\n"
				 "Access-Control-Request-Method: POST\r\n"
				 "Access-Control-Request-Headers: authorization,x-stainless-os\r\n",
				 NULL),
		204);
	ck_assert_ptr_nonnull(
		strstr(a.head, "Access-Control-Allow-Headers: authorization,x-stainless-os\r\n"));
	ck_assert_ptr_nonnull(strstr(a.head, "Access-Control-Allow-Methods: "));
	ck_assert_int_eq(status_of("OPTIONS", COMPL, "Origin: https://evil.example\r\n", NULL), 403);
}
END_TEST

/* What is beyond the limit is told so; those who are in are served, and room comes back. */
START_TEST(connections_have_a_limit)
{
	enum { N = HTTP_MAX_CONNECTIONS };
	static int fds[N];
	struct buf rest;
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
	usleep(200000);
	check_alive();
}
END_TEST

/* --- keys --- */

static void
write_keys(char path[64], const char *text)
{
	int fd;

	strcpy(path, "/tmp/shoal-keys-XXXXXX");
	fd = mkstemp(path);
	ck_assert_int_eq(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

START_TEST(keys_are_asked_for)
{
	char path[64];

	write_keys(path, "# ours\n\n  sk-one \r\nsk-two");
	fixture_start_with("0.0.0.0:0", path);
	ck_assert_int_eq(status_of("GET", "/v1/models", "", NULL), 401);
	ck_assert_str_eq(answer_error(&a, "code"), "invalid_api_key");
	ck_assert_ptr_nonnull(strstr(a.head, "WWW-Authenticate: Bearer"));
	ck_assert_int_eq(
		status_of("POST", COMPL, "Authorization: Bearer sk-thr\r\n", BODY), 401);
	ck_assert_int_eq(status_of("POST", COMPL, "Authorization: sk-one\r\n", BODY), 401);
	ck_assert_int_eq(
		status_of("POST", COMPL, "Authorization: Bearer sk-one\r\n", BODY), 200);
	ck_assert_int_eq(
		status_of("POST", COMPL, "Authorization: bearer sk-two\r\n", BODY), 200);
	ck_assert_int_eq(status_of("GET", "/health", "", NULL), 200);
	/* Beyond loopback any name may be this machine's. */
	ck_assert_int_eq(status_of("GET", "/health", "Host: shoal.example\r\n", NULL), 200);
	answer_free(&a);
	fixture_stop();
	unlink(path);
}
END_TEST

static void
check_refused(const char *address, const char *keys, const char *says)
{
	struct config c = {0};
	struct err err = {""};
	uv_loop_t loop;
	struct serve *s;

	uv_loop_init(&loop);
	s = fake_serve_new(&loop);
	snprintf(c.http, sizeof c.http, "%s", address);
	snprintf(c.api_keys, sizeof c.api_keys, "%s", keys);
	ck_assert_ptr_null(http_new(&loop, &c, s, &err));
	ck_assert_msg(strstr(err.msg, says) != NULL, "%s", err.msg);
	uv_run(&loop, UV_RUN_DEFAULT);
	ck_assert_int_eq(uv_loop_close(&loop), 0);
	fake_serve_free(s);
}

START_TEST(unsafe_or_impossible_settings_are_refused)
{
	char path[64], port[32];

	check_refused("0.0.0.0:0", "", "api_keys");
	check_refused("[::]:0", "", "api_keys");
	check_refused("127.0.0.1:0", "/nonexistent/keys", "/nonexistent/keys");
	write_keys(path, "# nothing\n");
	check_refused("127.0.0.1:0", path, "no key");
	unlink(path);
	fixture_start();
	snprintf(port, sizeof port, "127.0.0.1:%u", fixture_port);
	check_refused(port, "", "cannot listen");
	fixture_stop();
}
END_TEST

/* --- the unix socket --- */

static int
control(const char *method, const char *path, const char *body)
{
	int fd = client_unix(fixture_socket);

	ck_assert_int_ge(fd, 0);
	answer_free(&a);
	client_ask(fd, method, path, "", body, &a);
	close(fd);
	return a.status;
}

START_TEST(control_is_on_the_unix_socket_only)
{
	struct fake_seen seen;

	ck_assert_int_eq(status_of("GET", "/shoal/v1/status", "", NULL), 403);
	ck_assert_int_eq(status_of("POST", "/shoal/v1/leave", "", "{}"), 403);
	ck_assert_int_eq(control("GET", "/shoal/v1/status", NULL), 200);
	ck_assert_str_eq(json_string_value(json_object_get(a.json, "name")), "test");
	ck_assert_int_eq(control("POST", "/shoal/v1/invite", "{\"seconds\":30}"), 200);
	ck_assert_str_eq(json_string_value(json_object_get(a.json, "code")), "ABCD-EFGH");
	ck_assert_int_eq(json_integer_value(json_object_get(a.json, "expires_in")), 30);
	ck_assert_int_eq(control("POST", "/shoal/v1/invite", NULL), 200);
	ck_assert_int_eq(json_integer_value(json_object_get(a.json, "expires_in")), 600);
	ck_assert_int_eq(control("POST", "/shoal/v1/invite", "{\"seconds\":\"x\"}"), 400);
	ck_assert_int_eq(control("POST", COMPL, BODY), 200);
	ck_assert_int_eq(control("POST", "/shoal/v1/leave", "{}"), 200);
	ck_assert_int_eq(
		control("POST", "/shoal/v1/leave", "{\"name\":\"amber-otter-3f2a\"}"), 200);
	ck_assert_int_eq(control("POST", "/shoal/v1/leave", "{\"name\":\"nobody\"}"), 404);
	fake_get(&seen);
	ck_assert_uint_eq(seen.left, 1);
	ck_assert_str_eq(seen.removed, "amber-otter-3f2a");
}
END_TEST

START_TEST(loading_a_model)
{
	struct fake_seen seen;

	ck_assert_int_eq(control("POST", "/shoal/v1/load", "{\"model\":\"a.gguf\"}"), 400);
	ck_assert_int_eq(control("POST", "/shoal/v1/load", "{}"), 400);
	ck_assert_int_eq(control("POST", "/shoal/v1/load", "{\"model\":\"/none/a.gguf\"}"), 404);
	ck_assert_int_eq(control("POST", "/shoal/v1/load", "{\"model\":\"/dev/null\"}"), 200);
	ck_assert_str_eq(json_string_value(json_object_get(a.json, "model")), "null");
	fake_get(&seen);
	ck_assert_str_eq(seen.loaded, "/dev/null");
}
END_TEST

/* Pairing takes a while, its asker may leave before, and it can fail. */
START_TEST(joining_answers_when_it_is_done)
{
	struct fake_script s = {.join_trouble = "the code has expired: ask for a new one"};
	const char *join = "POST /shoal/v1/join HTTP/1.1\r\nHost: a\r\nContent-Length: 13\r\n\r\n"
			   "{\"code\":\"ab\"}";
	int fd;

	ck_assert_int_eq(control("POST", "/shoal/v1/join", "{\"code\":\"ab\"}"), 200);
	ck_assert_str_eq(
		json_string_value(json_object_get(a.json, "coordinator")), "amber-otter-3f2a");
	ck_assert_int_eq(control("POST", "/shoal/v1/join", "{\"code\":\"mistyped\"}"), 400);
	ck_assert_int_eq(control("POST", "/shoal/v1/join", "{}"), 400);
	fd = client_unix(fixture_socket);
	client_send(fd, join, strlen(join));
	usleep(30000);
	close(fd);
	usleep(200000);
	fake_set(&s);
	ck_assert_int_eq(control("POST", "/shoal/v1/join", "{\"code\":\"ab\"}"), 502);
	ck_assert_ptr_nonnull(strstr(answer_error(&a, "message"), "expired"));
}
END_TEST

static int
bound_socket(const char *path)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(at.sun_path, sizeof at.sun_path, "%s", path);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
	return fd;
}

static struct http *
open_on(uv_loop_t *loop, const char *path, struct serve *s, struct err *err)
{
	struct config c = {.http = "off"};

	snprintf(c.socket, sizeof c.socket, "%s", path);
	return http_new(loop, &c, s, err);
}

START_TEST(a_stale_socket_is_replaced_and_a_live_one_not)
{
	char dir[] = "/tmp/shoal-http-XXXXXX", path[64];
	struct err err = {""};
	struct stat st;
	struct serve *s;
	uv_loop_t loop;
	struct http *h;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/run/sock", dir);
	uv_loop_init(&loop);
	s = fake_serve_new(&loop);
	ck_assert_int_eq(file_mkdirs(dir, 0700, &err), 0);
	mkdir(strcat(strcpy((char[80]){0}, dir), "/run"), 0755);
	close(bound_socket(path));
	h = open_on(&loop, path, s, &err);
	ck_assert_msg(h != NULL, "%s", err.msg);
	ck_assert_int_eq(http_port(h), 0);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_eq(st.st_mode & 0777, 0660);
	ck_assert_ptr_null(open_on(&loop, path, s, &err));
	ck_assert_ptr_nonnull(strstr(err.msg, "another daemon"));
	ck_assert_int_eq(stat(path, &st), 0);
	http_close(h);
	uv_run(&loop, UV_RUN_DEFAULT);
	http_free(h);
	ck_assert_int_ne(stat(path, &st), 0);
	ck_assert_int_eq(file_write(path, "text", 4, 0600, &err), 0);
	ck_assert_ptr_null(open_on(&loop, path, s, &err));
	ck_assert_ptr_nonnull(strstr(err.msg, "no socket"));
	uv_run(&loop, UV_RUN_DEFAULT);
	ck_assert_int_eq(uv_loop_close(&loop), 0);
	fake_serve_free(s);
	unlink(path);
	*strrchr(path, '/') = '\0';
	rmdir(path);
	rmdir(dir);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("http");
	TCase *t = tcase_create("server"), *own = tcase_create("settings");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, models_and_health);
	tcase_add_test(t, unknown_paths_and_methods);
	tcase_add_loop_test(t, malformed_requests_hurt_nobody, 0,
		sizeof malformed / sizeof *malformed);
	tcase_add_test(t, unfinished_requests_are_cut);
	tcase_add_test(t, bodies_have_a_limit);
	tcase_add_test(t, endless_bodies_are_cut);
	tcase_add_test(t, keep_alive_and_pipelining);
	tcase_add_test(t, encodings_are_refused);
	tcase_add_test(t, foreign_pages_are_refused);
	tcase_add_test(t, preflights_are_answered);
	tcase_add_test(t, connections_have_a_limit);
	tcase_add_test(t, control_is_on_the_unix_socket_only);
	tcase_add_test(t, loading_a_model);
	tcase_add_test(t, joining_answers_when_it_is_done);
	tcase_set_timeout(t, 60);
	tcase_set_timeout(own, 60);
	suite_add_tcase(s, t);
	tcase_add_test(own, keys_are_asked_for);
	tcase_add_test(own, unsafe_or_impossible_settings_are_refused);
	tcase_add_test(own, a_stale_socket_is_replaced_and_a_live_one_not);
	suite_add_tcase(s, own);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
