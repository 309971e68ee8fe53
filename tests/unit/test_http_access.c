/* Who may ask: pages of a browser, keys, and the unix socket with its control routes. */
#include "tests/support/http_fixture.h"

#include "base/file.h"

#include <check.h>
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

START_TEST(foreign_pages_are_refused)
{
	static const char *const bad[] = {"Host: evil.example\r\n",
		"Host: localhost.evil.org:80\r\n", "Origin: https://evil.example\r\n",
		"Origin: null\r\n", "Origin: http://localhost.evil.org\r\n",
		"Origin: http://127.0.0.1.evil.org\r\n"};
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
	ck_assert_ptr_nonnull(strstr(a.head, ", x-shoal-target, "));
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
	ck_assert_int_eq(
		status_of("OPTIONS", COMPL, "Origin: https://evil.example\r\n", NULL), 403);
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
	ck_assert_int_eq(status_of("POST", COMPL, "Authorization: Bearer sk-thr\r\n", BODY), 401);
	ck_assert_int_eq(status_of("POST", COMPL, "Authorization: sk-one\r\n", BODY), 401);
	ck_assert_int_eq(status_of("POST", COMPL, "Authorization: Bearer sk-one\r\n", BODY), 200);
	ck_assert_int_eq(status_of("POST", COMPL, "Authorization: bearer sk-two\r\n", BODY), 200);
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
	s = fake_serve_new(&loop, &c);
	snprintf(c.http, sizeof c.http, "%s", address);
	strcpy(c.privacy, "home");
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
	struct config c = {.http = "off", .privacy = "home"};

	snprintf(c.socket, sizeof c.socket, "%s", path);
	return http_new(loop, &c, s, err);
}

START_TEST(a_stale_socket_is_replaced_and_a_live_one_not)
{
	char dir[] = "/tmp/shoal-http-XXXXXX", run[48], path[64];
	struct err err = {""};
	struct stat st;
	struct serve *s;
	struct config none = {0};
	uv_loop_t loop;
	struct http *h;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/run/sock", dir);
	uv_loop_init(&loop);
	s = fake_serve_new(&loop, &none);
	snprintf(run, sizeof run, "%s/run", dir);
	ck_assert_int_eq(mkdir(run, 0755), 0);
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
	rmdir(run);
	rmdir(dir);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("http_access");
	TCase *t = tcase_create("server"), *own = tcase_create("settings");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, foreign_pages_are_refused);
	tcase_add_test(t, preflights_are_answered);
	tcase_add_test(t, control_is_on_the_unix_socket_only);
	tcase_add_test(t, loading_a_model);
	tcase_add_test(t, joining_answers_when_it_is_done);
	tcase_set_timeout(t, 60);
	suite_add_tcase(s, t);
	tcase_add_test(own, keys_are_asked_for);
	tcase_add_test(own, unsafe_or_impossible_settings_are_refused);
	tcase_add_test(own, a_stale_socket_is_replaced_and_a_live_one_not);
	tcase_set_timeout(own, 60);
	suite_add_tcase(s, own);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
