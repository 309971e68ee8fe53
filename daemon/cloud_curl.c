/* libcurl's transfers, driven by the libuv loop (libcurl's multi_socket interface). The only file
 * that names its functions.
 *
 * What libcurl calls in the middle of its work only notes what happened: bytes go to t->in, and are
 * handed on by drain() when no function of libcurl's is on the stack, so that who gets them may stop
 * and start transfers. */
#include "daemon/cloud_int.h"

#include <curl/curl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define READ_BYTES 16384u
#define MOST_IN    (8u << 20) /* received at one go, and not handed on yet */

struct cloud_net {
	uv_loop_t *loop;
	struct cloud_net_events events;
	CURLM *multi;
	uv_timer_t timer;
	uint32_t handles; /* of the loop: the timer, and one for each socket */
	struct cloud_transfer *first;
};

struct cloud_transfer {
	struct cloud_net *net;
	struct cloud_transfer *next;
	void *arg;
	CURL *easy;
	bool added; /* to the multi handle */
	struct curl_slist *headers;
	struct buf in;
	size_t most, got; /* bytes of the body */
	size_t head_bytes;
	uint64_t retry_after_ms;
	bool too_large, done, told;
	CURLcode code;
	char error[CURL_ERROR_SIZE];
};

struct sock {
	uv_poll_t poll;
	struct cloud_net *net;
	curl_socket_t fd;
};

/* --- handing on ---------------------------------------------------------------------------------- */

static void
say_result(const struct cloud_transfer *t, struct cloud_result *r)
{
	*r = (struct cloud_result){.too_large = t->too_large};
	snprintf(r->words, sizeof r->words, "%.159s",
		t->error[0] != '\0' ? t->error : curl_easy_strerror(t->code));
	switch (t->code) {
	case CURLE_OK:
		r->whole = true;
		break;
	case CURLE_OPERATION_TIMEDOUT:
		r->timeout = true;
		break;
	case CURLE_UNSUPPORTED_PROTOCOL: /* HTTP/0.9 */
	case CURLE_WEIRD_SERVER_REPLY:
	case CURLE_BAD_CONTENT_ENCODING:
		r->nonsense = true;
		break;
	default:
		break;
	}
	r->offline = t->code != CURLE_OK && !cloud_transfer_sent(t);
}

static void
hand_on(struct cloud_transfer *t)
{
	struct cloud_net *n = t->net;
	struct buf in = t->in;
	struct cloud_result result;

	if (in.len > 0) {
		buf_init(&t->in, MOST_IN);
		n->events.bytes(t->arg, in.data, in.len);
		buf_free(&in);
		return;
	}
	t->told = true;
	say_result(t, &result);
	n->events.over(t->arg, &result);
}

static void
drain(struct cloud_net *n)
{
	struct cloud_transfer *t;
	CURLMsg *m;
	int left;

	while ((m = curl_multi_info_read(n->multi, &left)) != NULL) {
		if (m->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&t);
		t->done = true;
		t->code = m->data.result;
	}
	/* Each call may change the list: look from its begin again. */
	for (t = n->first; t != NULL;) {
		bool news = t->in.len > 0 || (t->done && !t->told);

		if (news)
			hand_on(t);
		t = news ? n->first : t->next;
	}
}

/* --- the loop ------------------------------------------------------------------------------------ */

static void
release(struct cloud_net *n)
{
	if (--n->handles == 0)
		free(n);
}

static void
on_timer_closed(uv_handle_t *h)
{
	release(h->data);
}

static void
on_sock_closed(uv_handle_t *h)
{
	struct sock *s = (struct sock *)h;

	release(s->net);
	free(s);
}

static void
on_timeout(uv_timer_t *timer)
{
	struct cloud_net *n = timer->data;
	int running;

	curl_multi_socket_action(n->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	drain(n);
}

static void
on_poll(uv_poll_t *poll, int status, int events)
{
	struct sock *s = (struct sock *)poll;
	struct cloud_net *n = s->net;
	int flags = 0, running;

	if (status < 0)
		flags = CURL_CSELECT_IN | CURL_CSELECT_ERR;
	if ((events & UV_READABLE) != 0)
		flags |= CURL_CSELECT_IN;
	if ((events & UV_WRITABLE) != 0)
		flags |= CURL_CSELECT_OUT;
	curl_multi_socket_action(n->multi, s->fd, flags, &running);
	drain(n);
}

/* Never from in here: libcurl must not be entered again. A timeout of 0 comes with the next turn. */
static int
set_timer(CURLM *multi, long ms, void *arg)
{
	struct cloud_net *n = arg;

	(void)multi;
	if (ms < 0)
		uv_timer_stop(&n->timer);
	else
		uv_timer_start(&n->timer, on_timeout, (uint64_t)ms, 0);
	return 0;
}

/* libcurl closes the descriptor once this returns: by then the loop must have let go of it. */
static int
forget_socket(struct cloud_net *n, curl_socket_t fd, struct sock *s)
{
	if (s == NULL)
		return 0;
	curl_multi_assign(n->multi, fd, NULL);
	uv_poll_stop(&s->poll);
	uv_close((uv_handle_t *)&s->poll, on_sock_closed);
	return 0;
}

static struct sock *
watch_socket(struct cloud_net *n, curl_socket_t fd)
{
	struct sock *s = calloc(1, sizeof *s);

	if (s == NULL)
		return NULL;
	if (uv_poll_init_socket(n->loop, &s->poll, fd) != 0) {
		free(s);
		return NULL;
	}
	s->net = n;
	s->fd = fd;
	n->handles++;
	curl_multi_assign(n->multi, fd, s);
	return s;
}

static int
set_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *of_socket)
{
	struct cloud_net *n = arg;
	struct sock *s = of_socket;
	int events = 0;

	(void)easy;
	if (what == CURL_POLL_REMOVE)
		return forget_socket(n, fd, s);
	if (s == NULL)
		s = watch_socket(n, fd);
	if (s == NULL)
		return -1;
	if ((what & CURL_POLL_IN) != 0)
		events |= UV_READABLE;
	if ((what & CURL_POLL_OUT) != 0)
		events |= UV_WRITABLE;
	uv_poll_start(&s->poll, events, on_poll);
	return 0;
}

struct cloud_net *
cloud_net_new(uv_loop_t *loop, const struct cloud_net_events *events, struct err *err)
{
	struct cloud_net *n = calloc(1, sizeof *n);

	if (n == NULL || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
		free(n);
		err_set(err, "libcurl does not start");
		return NULL;
	}
	*n = (struct cloud_net){.loop = loop, .events = *events, .handles = 1};
	n->multi = curl_multi_init();
	if (n->multi == NULL) {
		free(n);
		err_set(err, "out of memory for libcurl");
		return NULL;
	}
	curl_multi_setopt(n->multi, CURLMOPT_SOCKETFUNCTION, set_socket);
	curl_multi_setopt(n->multi, CURLMOPT_SOCKETDATA, n);
	curl_multi_setopt(n->multi, CURLMOPT_TIMERFUNCTION, set_timer);
	curl_multi_setopt(n->multi, CURLMOPT_TIMERDATA, n);
	uv_timer_init(loop, &n->timer);
	n->timer.data = n;
	return n;
}

void
cloud_net_close(struct cloud_net *n)
{
	curl_multi_cleanup(n->multi);
	uv_close((uv_handle_t *)&n->timer, on_timer_closed);
}

/* --- one transfer -------------------------------------------------------------------------------- */

static size_t
on_body(char *data, size_t size, size_t n, void *arg)
{
	struct cloud_transfer *t = arg;

	size *= n;
	t->got += size;
	if (t->got > t->most || buf_append(&t->in, data, size) != 0) {
		t->too_large = true;
		return 0;
	}
	return size;
}

/* Some endpoints say it in milliseconds as well, which is finer. */
static void
look_for_retry_after(struct cloud_transfer *t, const char *line, size_t len)
{
	static const char name[] = "retry-after-ms:";
	char value[24];
	char *end;
	double ms;

	if (len <= sizeof name - 1 || strncasecmp(line, name, sizeof name - 1) != 0)
		return;
	len -= sizeof name - 1;
	snprintf(value, sizeof value, "%.*s", (int)(len < 20 ? len : 20), line + sizeof name - 1);
	ms = strtod(value, &end);
	if (end != value && ms > 0 && ms < (double)BREAKER_RETRY_MAX_MS)
		t->retry_after_ms = (uint64_t)ms;
}

static size_t
on_head(char *line, size_t size, size_t n, void *arg)
{
	struct cloud_transfer *t = arg;

	size *= n;
	t->head_bytes += size;
	if (t->head_bytes > CLOUD_MOST_HEAD) {
		t->too_large = true;
		return 0;
	}
	look_for_retry_after(t, line, size);
	return size;
}

/* The lines of the head behind the first, in their order. */
static int
set_headers(struct cloud_transfer *t, const char *head)
{
	const char *line = strstr(head, "\r\n");
	struct curl_slist *more;
	char copy[ENDPOINT_KEY_MOST + 256];

	while (line != NULL && line[2] != '\r') {
		const char *end = strstr(line + 2, "\r\n");

		if (end == NULL || (size_t)(end - line) > sizeof copy)
			return -1;
		snprintf(copy, sizeof copy, "%.*s", (int)(end - line - 2), line + 2);
		more = curl_slist_append(t->headers, copy);
		sodium_memzero(copy, sizeof copy);
		if (more == NULL)
			return -1;
		t->headers = more;
		line = end;
	}
	more = curl_slist_append(t->headers, "Expect:"); /* none is sent */
	if (more == NULL)
		return -1;
	t->headers = more;
	return 0;
}

static void
set_trust(CURL *c, const struct endpoint *e)
{
	curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 1L);
	curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 2L);
	curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	if (e->ca_file[0] == '\0')
		return;
	curl_easy_setopt(c, CURLOPT_CAINFO, e->ca_file);
	curl_easy_setopt(c, CURLOPT_CAPATH, NULL); /* or the system's would be trusted too */
}

static void
set_rules(CURL *c)
{
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(c, CURLOPT_PROXY, "");
	curl_easy_setopt(c, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(c, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(c, CURLOPT_HTTP09_ALLOWED, 0L);
	curl_easy_setopt(c, CURLOPT_FRESH_CONNECT, 1L);
	curl_easy_setopt(c, CURLOPT_FORBID_REUSE, 1L);
	curl_easy_setopt(c, CURLOPT_BUFFERSIZE, (long)READ_BYTES);
	/* A name that takes long is left to its thread: waiting for it would stop the loop. */
	curl_easy_setopt(c, CURLOPT_QUICK_EXIT, 1L);
}

/* For all of it: a request that may take longer does not make the endpoint's own time longer. */
static uint32_t
time_for(const struct cloud_request *r)
{
	uint32_t own = r->endpoint->timeout * 1000;

	return r->timeout_ms != 0 && r->timeout_ms < own ? r->timeout_ms : own;
}

static int
set_up(struct cloud_transfer *t, const struct cloud_request *r, const char *head,
	const struct cloud_limits *limits)
{
	char url[sizeof r->endpoint->url + 32];
	CURL *c = t->easy;

	if (c == NULL || (head != NULL && set_headers(t, head) != 0))
		return -1;
	set_rules(c);
	set_trust(c, r->endpoint);
	snprintf(url, sizeof url, "%s%s", r->endpoint->url, cloud_path(r));
	curl_easy_setopt(c, CURLOPT_URL, url);
	curl_easy_setopt(c, CURLOPT_HTTPHEADER, t->headers);
	curl_easy_setopt(c, CURLOPT_CONNECT_ONLY, head == NULL ? 1L : 0L);
	curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->len);
	curl_easy_setopt(c, CURLOPT_POSTFIELDS, r->body);
	curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, (long)limits->connect_ms);
	curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)time_for(r));
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, t);
	curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_head);
	curl_easy_setopt(c, CURLOPT_HEADERDATA, t);
	curl_easy_setopt(c, CURLOPT_ERRORBUFFER, t->error);
	curl_easy_setopt(c, CURLOPT_PRIVATE, t);
	return 0;
}

struct cloud_transfer *
cloud_transfer_start(struct cloud_net *n, const struct cloud_request *r, const char *head,
	const struct cloud_limits *limits, void *arg, struct err *err)
{
	struct cloud_transfer *t = calloc(1, sizeof *t);

	if (t == NULL) {
		err_set(err, "out of memory for a call");
		return NULL;
	}
	*t = (struct cloud_transfer){.net = n, .next = n->first, .arg = arg};
	t->most = limits->most_bytes;
	buf_init(&t->in, MOST_IN);
	t->easy = curl_easy_init();
	n->first = t;
	if (set_up(t, r, head, limits) != 0 ||
		curl_multi_add_handle(n->multi, t->easy) != CURLM_OK) {
		cloud_transfer_stop(t);
		err_set(err, "libcurl does not take the call");
		return NULL;
	}
	t->added = true;
	return t;
}

void
cloud_transfer_stop(struct cloud_transfer *t)
{
	struct cloud_transfer **at = &t->net->first;

	while (*at != t)
		at = &(*at)->next;
	*at = t->next;
	if (t->added)
		curl_multi_remove_handle(t->net->multi, t->easy);
	if (t->easy != NULL)
		curl_easy_cleanup(t->easy);
	for (struct curl_slist *h = t->headers; h != NULL; h = h->next)
		sodium_memzero(h->data, strlen(h->data)); /* one of them is the key */
	curl_slist_free_all(t->headers);
	buf_free(&t->in);
	free(t);
}

/* --- what is known of it ------------------------------------------------------------------------- */

int
cloud_transfer_status(const struct cloud_transfer *t)
{
	long status = 0;

	curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
	return (int)status;
}

bool
cloud_transfer_is_stream(const struct cloud_transfer *t)
{
	static const char stream[] = "text/event-stream";
	const char *type = NULL;

	curl_easy_getinfo(t->easy, CURLINFO_CONTENT_TYPE, &type);
	return type != NULL && strncasecmp(type, stream, sizeof stream - 1) == 0;
}

bool
cloud_transfer_sent(const struct cloud_transfer *t)
{
	long head = 0;

	curl_easy_getinfo(t->easy, CURLINFO_REQUEST_SIZE, &head);
	return head > 0;
}

uint64_t
cloud_transfer_retry_after(const struct cloud_transfer *t)
{
	curl_off_t seconds = 0;

	curl_easy_getinfo(t->easy, CURLINFO_RETRY_AFTER, &seconds);
	if (t->retry_after_ms > 0 || seconds <= 0)
		return t->retry_after_ms;
	if ((uint64_t)seconds >= BREAKER_RETRY_MAX_MS / 1000)
		return BREAKER_RETRY_MAX_MS;
	return (uint64_t)seconds * 1000;
}
