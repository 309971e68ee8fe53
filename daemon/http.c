#include "daemon/http.h"

#include "daemon/answers.h"
#include "daemon/http_internal.h"
#include "daemon/log.h"
#include "daemon/router.h"

#include <sodium.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define TICK_MS     250
#define CLOSE_TURNS 8 /* of MHD, for the last words of streams */

static bool
wants_tcp(const struct config *c)
{
	return c->http[0] != '\0' && strcmp(c->http, "off") != 0;
}

/* MHD counts idleness only: a byte now and then would keep an unfinished request open for ever. */
static void
check_deadlines(struct http *h, uint64_t now)
{
	for (struct http_conn *c = h->conns; c != NULL; c = c->next) {
		if (c->deadline == 0 || now < c->deadline || c->fd < 0)
			continue;
		log_debug("http: a request took too long to arrive: cut");
		c->deadline = 0;
		shutdown(c->fd, SHUT_RDWR); /* MHD sees it and closes */
	}
}

static void
check_time(struct http_request *r, uint64_t now)
{
	struct api_error e;

	if (r->end_by == 0 || now < r->end_by || r->gone == NULL)
		return;
	r->end_by = 0;
	api_error_set(&e, 504, "request_timeout", NULL,
		"the answer took longer than %llu s (shoald's 'request_timeout')",
		(unsigned long long)r->http->request_ms / 1000);
	http_end(r, &e);
}

static void
on_tick(uv_timer_t *t)
{
	struct http *h = t->data;
	uint64_t now = uv_now(h->loop);

	for (struct http_request *r = h->requests, *next; r != NULL; r = next) {
		next = r->next;
		check_time(r, now);
		sse_tick(r, now);
	}
	answers_tick(h->answers);
	check_deadlines(h, now);
	listen_tick(h, now);
}

static void
on_handle_closed(uv_handle_t *handle)
{
	struct http *h = handle->data;

	h->handles--;
	if (h->orphan && h->handles == 0)
		http_free(h);
}

void
http_close_handle(struct http *h, uv_handle_t *handle)
{
	handle->data = h;
	h->handles++;
	uv_close(handle, on_handle_closed);
}

static int
open_unix(struct http *h, const char *path, struct err *err)
{
	int fd;

	if (path[0] == '\0')
		return 0;
	h->local.unix_socket = true;
	fd = listen_unix(h, path, err);
	if (fd < 0)
		return -1;
	if (pump_open(&h->local, h, fd, err) == 0)
		return 0;
	close(fd);
	return err_prefix(err, "%s: ", path);
}

static int
open_answers(struct http *h, const struct config *c, struct err *err)
{
	char journal[sizeof c->state_dir + 16] = "";

	if (c->state_dir[0] != '\0')
		snprintf(journal, sizeof journal, "%s/answers", c->state_dir);
	h->answers = answers_new(h->loop, h->serve, journal);
	return h->answers != NULL ? 0 : err_set(err, "out of memory");
}

static int
read_keys(struct http_keys *k, const struct config *c, struct err *err)
{
	*k = (struct http_keys){0};
	if (c->api_keys[0] != '\0' && http_keys_read(k, c->api_keys, err) != 0)
		return err_prefix(err, "api_keys: ");
	return 0;
}

int
http_check(const struct config *c, struct err *err)
{
	struct http_keys keys;
	struct addrinfo *list = NULL;
	struct stat st;
	uint16_t port;
	bool loopback;

	if (read_keys(&keys, c, err) != 0)
		return -1;
	if (keys.n > 0 && stat(c->api_keys, &st) == 0 && (st.st_mode & 0007) != 0)
		log_warning("%s: everybody on this machine can read the API keys: chmod o= it",
			c->api_keys);
	if (wants_tcp(c))
		list = listen_addresses(c->http, keys.n > 0, &port, &loopback, err);
	http_keys_free(&keys);
	if (list != NULL)
		freeaddrinfo(list);
	return list != NULL || !wants_tcp(c) ? 0 : -1;
}

static int
open_all(struct http *h, const struct config *c, struct err *err)
{
	if (open_answers(h, c, err) != 0)
		return -1;
	h->router = router_new(h->loop, c, h->serve, err);
	if (h->router == NULL)
		return -1;
	if (read_keys(&h->keys, c, err) != 0)
		return -1;
	if (wants_tcp(c) && (listen_tcp(h, c->http, h->keys.n > 0, err) != 0 ||
				    pump_open(&h->tcp, h, -1, err) != 0))
		return -1;
	return open_unix(h, c->socket, err);
}

struct http *
http_new(uv_loop_t *loop, const struct config *c, struct serve *s, struct err *err)
{
	struct http *h = calloc(1, sizeof *h);

	if (h == NULL || sodium_init() < 0) {
		free(h);
		err_set(err, "out of memory");
		return NULL;
	}
	h->loop = loop;
	h->serve = s;
	h->head_ms = HTTP_HEAD_SECONDS * 1000;
	h->request_ms = (uint64_t)c->request_timeout * 1000;
	for (int i = 0; i < HTTP_LINGER; i++)
		h->linger[i].fd = -1;
	if (open_all(h, c, err) == 0) {
		uv_timer_init(loop, &h->tick);
		h->tick.data = h;
		uv_timer_start(&h->tick, on_tick, TICK_MS, TICK_MS);
		return h;
	}
	listen_close(h);
	pump_close(&h->tcp);
	pump_close(&h->local);
	h->orphan = true;
	if (h->handles == 0)
		http_free(h);
	return NULL;
}

uint16_t
http_port(const struct http *h)
{
	return h->port;
}

/* Each request that waits gets its error, each stream its error event. */
static void
end_requests(struct http *h)
{
	struct api_error e;

	api_error_set(&e, 503, NULL, NULL, "the daemon is stopping");
	for (struct http_request *r = h->requests, *next; r != NULL; r = next) {
		next = r->next;
		http_end(r, &e);
	}
}

void
http_close(struct http *h)
{
	if (h->closing)
		return;
	h->closing = true;
	http_close_handle(h, (uv_handle_t *)&h->tick);
	listen_close(h);
	end_requests(h);
	for (int i = 0; i < CLOSE_TURNS; i++) {
		pump_run(&h->tcp);
		pump_run(&h->local);
	}
	/* MHD must not be stopped with suspended connections, whatever they wait for. */
	for (struct http_request *r = h->requests; r != NULL; r = r->next)
		http_cut(r);
	pump_run(&h->tcp);
	pump_run(&h->local);
	answers_free(h->answers);
	h->answers = NULL;
	router_close(h->router);
	h->router = NULL;
	pump_close(&h->tcp);
	pump_close(&h->local);
}

void
http_free(struct http *h)
{
	if (h == NULL)
		return;
	answers_free(h->answers);
	router_close(h->router);
	http_keys_free(&h->keys);
	free(h);
}
