#include "tests/support/http_fixture.h"

#include "daemon/answers_int.h"
#include "daemon/http_internal.h"
#include "tests/support/patience.h"

#include <check.h>
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

uint16_t fixture_port;
char fixture_socket[100], fixture_dir[64];
const char *fixture_state = "";
unsigned fixture_request_timeout;
const char *fixture_privacy = "home", *fixture_cloud = "";
void (*fixture_configure)(struct config *c);

static char state_dir[64];
static uv_loop_t loop;
static uv_async_t wake;
static pthread_t thread;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static enum { NOTHING, CLOSE_HTTP, STOP } wanted;
static unsigned wanted_head_ms, wanted_grace_ms;
static struct serve *serve;
static struct http *http;

static void
on_wake(uv_async_t *a)
{
	pthread_mutex_lock(&lock);
	if (wanted_head_ms != 0)
		http->head_ms = wanted_head_ms;
	wanted_head_ms = 0;
	if (wanted_grace_ms != 0)
		http->answers->grace_ms = http->answers->keep_ms = wanted_grace_ms;
	wanted_grace_ms = 0;
	if (wanted != NOTHING)
		http_close(http);
	if (wanted == STOP)
		uv_close((uv_handle_t *)a, NULL);
	wanted = NOTHING;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

static void *
run(void *arg)
{
	(void)arg;
	uv_run(&loop, UV_RUN_DEFAULT);
	return NULL;
}

static void
wake_up(int what, unsigned head_ms, unsigned grace_ms)
{
	pthread_mutex_lock(&lock);
	wanted = what;
	wanted_head_ms = head_ms;
	wanted_grace_ms = grace_ms;
	uv_async_send(&wake);
	while (wanted != NOTHING || wanted_head_ms != 0 || wanted_grace_ms != 0)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
}

void
fixture_start_with(const char *address, const char *api_keys)
{
	struct config c = {0};
	struct err err = {""};

	strcpy(fixture_dir, "/tmp/shoal-http-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(fixture_dir));
	snprintf(fixture_socket, sizeof fixture_socket, "%s/sock", fixture_dir);
	snprintf(c.http, sizeof c.http, "%s", address);
	snprintf(c.socket, sizeof c.socket, "%s", fixture_socket);
	snprintf(c.state_dir, sizeof c.state_dir, "%s", fixture_state);
	c.request_timeout = fixture_request_timeout;
	snprintf(c.privacy, sizeof c.privacy, "%s", fixture_privacy);
	snprintf(c.cloud, sizeof c.cloud, "%s", fixture_cloud);
	c.quality = 0.5f;
	c.token_threshold = 0.5f;
	snprintf(c.api_keys, sizeof c.api_keys, "%s", api_keys);
	if (fixture_configure != NULL)
		fixture_configure(&c);
	if (fixture_state[0] == '\0')
		fake_reset();
	uv_loop_init(&loop);
	uv_async_init(&loop, &wake, on_wake);
	serve = fake_serve_new(&loop, &c);
	http = http_new(&loop, &c, serve, &err);
	ck_assert_msg(http != NULL, "%s", err.msg);
	fixture_port = http_port(http);
	pthread_create(&thread, NULL, run, NULL);
}

void
fixture_start(void)
{
	fixture_start_with("127.0.0.1:0", "");
}

void
fixture_head_ms(unsigned ms)
{
	wake_up(NOTHING, ms, 0);
}

void
fixture_grace_ms(unsigned ms)
{
	wake_up(NOTHING, 0, ms);
}

void
fixture_close_http(void)
{
	wake_up(CLOSE_HTTP, 0, 0);
}

void
fixture_stop(void)
{
	wake_up(STOP, 0, 0);
	pthread_join(thread, NULL);
	ck_assert_int_eq(uv_loop_close(&loop), 0); /* every handle was closed */
	http_free(http);
	fake_serve_free(serve);
	ck_assert_int_ne(access(fixture_socket, F_OK), 0);
	ck_assert_int_eq(rmdir(fixture_dir), 0);
}

void
ask(const char *method, const char *path, const char *headers, const char *body, struct answer *a)
{
	int fd = client_tcp(fixture_port);

	ck_assert_int_ge(fd, 0);
	client_ask(fd, method, path, headers, body, a);
	close(fd);
}

void
post(const char *path, const char *body, struct answer *a)
{
	ask("POST", path, "", body, a);
}

void
get(const char *path, struct answer *a)
{
	ask("GET", path, "", NULL, a);
}

bool
wait_cancelled(unsigned n)
{
	struct fake_seen seen;
	uint64_t since = 0;

	do {
		fake_get(&seen);
		if (seen.cancelled >= n && seen.running == 0)
			return true;
	} while (wait_more(&since));
	return false;
}

const char *
fixture_state_begin(void)
{
	strcpy(state_dir, "/tmp/shoal-state-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(state_dir));
	fixture_state = state_dir;
	return state_dir;
}

void
fixture_state_end(void)
{
	char command[128];

	snprintf(command, sizeof command, "rm -rf '%s'", state_dir);
	ck_assert_int_eq(system(command), 0);
	fixture_state = "";
}

void
stream_words(const char *body, char *out)
{
	*out = '\0';
	for (const char *p = body; (p = strstr(p, "data: {")) != NULL; p += 6) {
		json_t *o = json_loadb(p + 6, strcspn(p + 6, "\n"), 0, NULL);
		json_t *c = json_array_get(json_object_get(o, "choices"), 0);
		const char *t =
			json_string_value(json_object_get(json_object_get(c, "delta"), "content"));

		ck_assert_ptr_nonnull(o);
		strcat(out, t != NULL ? t : "");
		json_decref(o);
	}
}
