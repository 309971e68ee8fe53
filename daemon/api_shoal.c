/* /shoal/v1/...: what the `shoal` command asks of its daemon, on the unix socket. */
#include "daemon/http_internal.h"

#include "daemon/log.h"

#include <stdlib.h>
#include <unistd.h>

#define INVITE_SECONDS     600
#define INVITE_MAX_SECONDS 86400

json_t *
api_body_object(struct http_request *r)
{
	struct api_error e;
	json_t *o = api_parse_object(r->body.data, r->body.len, &e);

	if (o == NULL)
		http_error(r, &e);
	return o;
}

static bool
want_text(struct http_request *r, const char *key, const char *text)
{
	if (text == NULL || text[0] == '\0')
		http_fail(r, 400, "missing_required_parameter", key, "%s is missing: a text", key);
	return text != NULL && text[0] != '\0';
}

void
api_status(struct http_request *r)
{
	http_json(r, 200, serve_status(r->http->serve));
}

void
api_peers(struct http_request *r)
{
	http_json(r, 200, serve_peers(r->http->serve));
}

static void
invite(struct http_request *r, json_t *o)
{
	json_t *v = json_object_get(o, "seconds");
	json_int_t seconds = v != NULL ? json_integer_value(v) : INVITE_SECONDS;
	char code[INVITE_TEXT];
	struct err err;

	if (seconds < 1 || seconds > INVITE_MAX_SECONDS)
		http_fail(r, 400, "invalid_value", "seconds",
			"seconds must be a whole number from 1 to %d", INVITE_MAX_SECONDS);
	else if (swarm_invite(serve_swarm(r->http->serve), (uint32_t)seconds, code, &err) != 0)
		http_fail(r, 409, NULL, NULL, "%s", err.msg);
	else
		http_json(r, 200, json_pack("{s:s,s:I}", "code", code, "expires_in", seconds));
}

void
api_invite(struct http_request *r)
{
	json_t *o = api_body_object(r);

	if (o != NULL)
		invite(r, o);
	json_decref(o);
}

/* Pairing and leaving take a while, and go on when their asker has left. */
struct pending {
	struct http_request *http; /* NULL: gone */
};

static void
asker_gone(void *job)
{
	struct pending *j = job;

	j->http = NULL;
}

/* NULL: the request has its answer. */
static struct pending *
wait_with(struct http_request *r)
{
	struct pending *j = calloc(1, sizeof *j);

	if (j == NULL) {
		http_fail(r, 503, NULL, NULL, "out of memory");
		return NULL;
	}
	j->http = r;
	http_wait(r, asker_gone, j);
	return j;
}

static void
join_done(void *arg, const char *trouble)
{
	struct pending *j = arg;
	struct http_request *r = j->http;
	struct swarm_peer *const *peers = NULL;
	struct swarm *s;

	free(j);
	if (r == NULL)
		return;
	s = serve_swarm(r->http->serve);
	if (trouble != NULL)
		http_fail(r, 502, "join_failed", NULL, "%s", trouble);
	else if (swarm_is_member(s) && swarm_peers(s, &peers) > 0)
		http_json(r, 200, json_pack("{s:s}", "coordinator", peers[0]->known->name));
	else
		http_json(r, 200, json_pack("{s:n}", "coordinator"));
}

static void
join(struct http_request *r, json_t *o)
{
	const char *code = json_string_value(json_object_get(o, "code"));
	struct pending *j;
	struct err err;

	if (!want_text(r, "code", code))
		return;
	j = wait_with(r);
	if (j == NULL)
		return;
	if (swarm_join(serve_swarm(r->http->serve), code, join_done, j, &err) != 0) {
		free(j);
		http_fail(r, 400, "join_refused", "code", "%s", err.msg);
	}
}

void
api_join(struct http_request *r)
{
	json_t *o = api_body_object(r);

	if (o != NULL)
		join(r, o);
	json_decref(o);
}

static bool
knows(struct swarm *s, const char *name)
{
	struct swarm_peer *const *peers;
	uint32_t n = swarm_peers(s, &peers);

	for (uint32_t i = 0; i < n; i++)
		if (strcmp(peers[i]->known->name, name) == 0)
			return true;
	return false;
}

static void
leave_done(void *arg, const char *trouble)
{
	struct pending *j = arg;
	struct http_request *r = j->http;

	free(j);
	if (r == NULL)
		return;
	if (trouble != NULL)
		http_fail(r, 409, NULL, NULL, "%s", trouble);
	else
		http_json(r, 200, json_object());
}

static void
leave(struct http_request *r, json_t *o)
{
	struct swarm *s = serve_swarm(r->http->serve);
	json_t *v = json_object_get(o, "name");
	const char *name = json_string_value(v);
	struct pending *j;
	struct err err;

	if (v != NULL && name == NULL) {
		http_fail(r, 400, "invalid_value", "name", "name must be a text");
		return;
	}
	if (name != NULL && !swarm_is_member(s) && !knows(s, name)) {
		http_fail(r, 404, "peer_not_found", "name",
			"no peer of this swarm is called '%.64s'", name);
		return;
	}
	j = wait_with(r);
	if (j != NULL && serve_leave(r->http->serve, name, leave_done, j, &err) != 0) {
		free(j);
		http_fail(r, 409, NULL, NULL, "%s", err.msg);
	}
}

void
api_leave(struct http_request *r)
{
	json_t *o = api_body_object(r);

	if (o != NULL)
		leave(r, o);
	json_decref(o);
}

/* The file's name without folder and .gguf, as serve calls it. */
static json_t *
model_id(const char *path)
{
	const char *slash = strrchr(path, '/'), *base = slash != NULL ? slash + 1 : path;
	size_t len = strlen(base);

	if (len > 5 && strcmp(base + len - 5, ".gguf") == 0)
		len -= 5;
	return json_stringn(base, len);
}

static void
load(struct http_request *r, json_t *o)
{
	const char *path = json_string_value(json_object_get(o, "model"));
	struct err err;

	if (!want_text(r, "model", path))
		return;
	if (path[0] != '/')
		http_fail(r, 400, "invalid_value", "model", "model must be an absolute path");
	else if (access(path, F_OK) != 0)
		http_fail(r, 404, "model_not_found", "model",
			"the daemon finds no file '%.300s' (it may not be allowed to look there: "
			"as a "
			"service it sees no home directories)",
			path);
	else if (serve_load(r->http->serve, path, &err) != 0)
		http_fail(r, 400, NULL, "model", "%s", err.msg);
	else
		http_json(r, 200, json_pack("{s:o}", "model", model_id(path)));
}

void
api_load(struct http_request *r)
{
	json_t *o = api_body_object(r);

	if (o != NULL)
		load(r, o);
	json_decref(o);
}
