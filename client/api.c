#include "client/api.h"

#include "base/buf.h"

#include <curl/curl.h>
#include <errno.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define MAX_ANSWER (64u << 20)

struct transfer {
	CURL *curl;
	struct buf body; /* what has come, not yet used */
	int (*event)(void *arg, json_t *e);
	void (*comment)(void *arg, const char *text, size_t len); /* NULL: not wanted */
	void *arg;
	bool ended;  /* [DONE] came, or the caller has had enough */
	bool failed; /* an error event; err holds it */
	struct err *err;
};

static void
error_of(json_t *answer, struct err *err)
{
	const char *text =
		json_string_value(json_object_get(json_object_get(answer, "error"), "message"));

	err_set(err, "%s", text != NULL ? text : "the daemon refused without saying why");
}

/* One event's data. */
static void
take_event(struct transfer *t, const char *data, size_t len)
{
	json_t *e;

	if (len == 6 && memcmp(data, "[DONE]", 6) == 0) {
		t->ended = true;
		return;
	}
	e = json_loadb(data, len, 0, NULL);
	if (json_object_get(e, "error") != NULL) {
		error_of(e, t->err);
		t->failed = true;
	} else if (e != NULL && t->event(t->arg, e) != 0) {
		t->ended = true;
	}
	json_decref(e);
}

static void
take_lines(struct transfer *t)
{
	size_t used = 0;

	while (!t->ended && !t->failed) {
		const char *line = (const char *)t->body.data + used;
		const char *end =
			used < t->body.len ? memchr(line, '\n', t->body.len - used) : NULL;

		if (end == NULL)
			break;
		if ((size_t)(end - line) > 6 && memcmp(line, "data: ", 6) == 0)
			take_event(t, line + 6, (size_t)(end - line) - 6);
		else if ((size_t)(end - line) > 2 && line[0] == ':' && t->comment != NULL)
			t->comment(t->arg, line + 2, (size_t)(end - line) - 2);
		used += (size_t)(end - line) + 1;
	}
	buf_consume(&t->body, used);
}

static size_t
on_data(char *data, size_t size, size_t n, void *arg)
{
	struct transfer *t = arg;
	long status = 0;

	if (buf_append(&t->body, data, size * n) != 0)
		return 0;
	curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
	if (t->event != NULL && status == 200)
		take_lines(t);
	return t->ended || t->failed ? 0 : size * n;
}

static int
on_progress(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
	(void)arg, (void)a, (void)b, (void)c, (void)d;
	return interrupted();
}

/* Why nobody is there, as far as this user sees. */
static int
not_reached(const struct ctl *ctl, struct err *err)
{
	if (access(ctl->socket, W_OK) != 0 && errno == EACCES) {
		err_set(err,
			"not allowed to use the daemon at %s: be root or in its group, as after "
			"'sudo usermod -aG shoal USER' and a new login",
			ctl->socket);
		return API_DENIED;
	}
	return err_set(err, "no daemon at %s: start it with 'shoald' or 'systemctl start shoald'",
		ctl->socket);
}

static int
transfer_run(const struct ctl *ctl, const char *path, const char *body, struct transfer *t,
	struct err *err)
{
	struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
	char url[512];
	long status = 0;
	CURLcode rc;

	snprintf(url, sizeof url, "http://localhost%s", path);
	headers = curl_slist_append(headers, "Expect:");
	curl_easy_setopt(t->curl, CURLOPT_URL, url);
	curl_easy_setopt(t->curl, CURLOPT_UNIX_SOCKET_PATH, ctl->socket);
	curl_easy_setopt(t->curl, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(t->curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(t->curl, CURLOPT_WRITEFUNCTION, on_data);
	curl_easy_setopt(t->curl, CURLOPT_WRITEDATA, t);
	curl_easy_setopt(t->curl, CURLOPT_XFERINFOFUNCTION, on_progress);
	curl_easy_setopt(t->curl, CURLOPT_NOPROGRESS, 0L);
	curl_easy_setopt(t->curl, CURLOPT_CONNECTTIMEOUT, 5L);
	if (body != NULL)
		curl_easy_setopt(t->curl, CURLOPT_POSTFIELDS, body);
	rc = curl_easy_perform(t->curl);
	curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
	curl_slist_free_all(headers);
	if (rc == CURLE_OK || t->ended)
		return (int)status;
	if (t->failed)
		return -1;
	if (rc == CURLE_ABORTED_BY_CALLBACK)
		return err_set(err, "interrupted");
	if (status != 0)
		return err_set(err, "the daemon's answer broke off: %s", curl_easy_strerror(rc));
	return not_reached(ctl, err);
}

static int
transfer_json(const struct ctl *ctl, const char *path, json_t *body, struct transfer *t,
	json_t **answer, struct err *err)
{
	char *text = body != NULL ? json_dumps(body, JSON_COMPACT) : NULL;
	int status;

	buf_init(&t->body, MAX_ANSWER);
	t->err = err;
	t->curl = curl_easy_init();
	if (t->curl == NULL || (body != NULL && text == NULL)) {
		status = err_set(err, "out of memory");
	} else {
		status = transfer_run(ctl, path, text, t, err);
		*answer = json_loadb((const char *)t->body.data, t->body.len, 0, NULL);
		if (status >= 400)
			error_of(*answer, err);
	}
	if (t->curl != NULL)
		curl_easy_cleanup(t->curl);
	free(text);
	buf_free(&t->body);
	return status;
}

int
api_call(const struct ctl *ctl, const char *path, json_t *body, json_t **answer, struct err *err)
{
	struct transfer t = {0};

	*answer = NULL;
	return transfer_json(ctl, path, body, &t, answer, err);
}

int
api_stream(const struct ctl *ctl, const char *path, json_t *body,
	int (*event)(void *arg, json_t *e), void *arg, struct err *err)
{
	return api_watch(ctl, path, body, event, NULL, arg, err);
}

int
api_watch(const struct ctl *ctl, const char *path, json_t *body, int (*event)(void *arg, json_t *e),
	void (*comment)(void *arg, const char *text, size_t len), void *arg, struct err *err)
{
	struct transfer t = {.event = event, .comment = comment, .arg = arg};
	json_t *answer = NULL;
	int status = transfer_json(ctl, path, body, &t, &answer, err);

	json_decref(answer);
	if (status == 200 && !t.ended)
		return err_set(err, "the daemon's answer broke off");
	return status;
}

int
api_exit(int status)
{
	if (status == API_DENIED)
		return EXIT_DENIED;
	if (status < 0)
		return interrupted() ? EXIT_INTERRUPTED : EXIT_NO_DAEMON;
	switch (status) {
	case 401:
	case 403:
		return EXIT_DENIED;
	case 404:
		return EXIT_NOT_FOUND;
	case 429:
	case 503:
		return EXIT_BUSY;
	default:
		return status >= 400 ? EXIT_FAILED : EXIT_DONE;
	}
}
