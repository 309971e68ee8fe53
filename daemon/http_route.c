/* Which function answers which path. */
#include "daemon/http_internal.h"

#include <strings.h>

static const struct http_route routes[] = {
	{HTTP_POST, "/v1/chat/completions", false, false, api_chat},
	{HTTP_POST, "/v1/completions", false, false, api_completions},
	{HTTP_GET, "/v1/models", false, false, api_models},
	{HTTP_GET, "/v1/models/{id}", false, false, api_model},
	{HTTP_GET, "/health", false, true, api_health},
	{HTTP_GET, "/metrics", false, false, api_metrics},
	{HTTP_GET, "/shoal/v1/status", true, false, api_status},
	{HTTP_GET, "/shoal/v1/peers", true, false, api_peers},
	{HTTP_POST, "/shoal/v1/invite", true, false, api_invite},
	{HTTP_POST, "/shoal/v1/join", true, false, api_join},
	{HTTP_POST, "/shoal/v1/leave", true, false, api_leave},
	{HTTP_POST, "/shoal/v1/load", true, false, api_load},
	{HTTP_GET, "/shoal/v1/route/status", true, false, api_route_status},
	{HTTP_GET, "/shoal/v1/route/log", true, false, api_route_log},
	{HTTP_GET, "/shoal/v1/route/why/{id}", true, false, api_route_why},
	{HTTP_POST, "/shoal/v1/route/feedback", true, false, api_route_feedback},
	{HTTP_POST, "/shoal/v1/route/train", true, false, api_route_train},
	{HTTP_POST, "/shoal/v1/route/forget", true, false, api_route_forget},
};
#define N_ROUTES (sizeof routes / sizeof *routes)
#define TYPO     3 /* edits: of a slip, or a base URL without "/v1" */

static int
hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One segment of a path, percent-decoded. MHD leaves paths as they came, so that %2F stays within
 * its segment. */
static bool
decode_segment(const char *s, char *out, size_t size)
{
	size_t n = 0;

	for (; *s != '\0' && *s != '/'; s++) {
		char c = *s;

		if (c == '%') {
			int high = hex(s[1]), low = high < 0 ? -1 : hex(s[2]);

			if (low < 0 || (high == 0 && low == 0))
				return false;
			c = (char)(high << 4 | low);
			s += 2;
		}
		if (n + 1 >= size)
			return false;
		out[n++] = c;
	}
	out[n] = '\0';
	return *s == '\0' && n > 0;
}

static bool
match(const struct http_route *route, const char *path, char *arg, size_t size)
{
	const char *brace = strchr(route->path, '{');
	size_t len = brace != NULL ? (size_t)(brace - route->path) : 0;

	if (brace == NULL)
		return strcmp(route->path, path) == 0;
	return strncmp(route->path, path, len) == 0 && decode_segment(path + len, arg, size);
}

static unsigned
min3(unsigned a, unsigned b, unsigned c)
{
	unsigned m = a < b ? a : b;

	return m < c ? m : c;
}

/* Edits from a to b (Levenshtein); both are short. */
static unsigned
distance(const char *a, const char *b)
{
	unsigned row[65], above, corner;
	unsigned n = (unsigned)strlen(b);

	if (n > 64)
		n = 64;
	for (unsigned j = 0; j <= n; j++)
		row[j] = j;
	for (unsigned i = 0; a[i] != '\0' && i < 64; i++) {
		corner = row[0];
		row[0] = i + 1;
		for (unsigned j = 1; j <= n; j++) {
			above = row[j];
			row[j] = min3(above + 1, row[j - 1] + 1, corner + (a[i] != b[j - 1]));
			corner = above;
		}
	}
	return row[n];
}

static const char *
method_name(const struct http_route *route)
{
	return route->method == HTTP_GET ? "GET" : "POST";
}

/* Instead of a route of OpenAI's that is not here, as that of embeddings, no other one will do. */
static void
say_routes(struct http_request *r, const char *path)
{
	char words[256] = "";
	size_t len = 0;

	for (size_t i = 0; i < N_ROUTES; i++)
		if (strncmp(routes[i].path, "/v1/", 4) == 0 && len < sizeof words)
			len += (size_t)snprintf(words + len, sizeof words - len, "%s%s %s",
				len > 0 ? ", " : "", method_name(&routes[i]), routes[i].path);
	http_fail(r, 404, "unknown_url", NULL,
		"there is nothing at '%.128s': of OpenAI's API this server has %s", path, words);
}

static void
no_route(struct http_request *r, const char *path)
{
	const struct http_route *nearest = NULL;
	unsigned best = 0;

	for (size_t i = 0; i < N_ROUTES; i++) {
		unsigned d = distance(path, routes[i].path);

		if (routes[i].control && !r->pump->unix_socket)
			continue;
		if (nearest == NULL || d < best) {
			nearest = &routes[i];
			best = d;
		}
	}
	if (best > TYPO)
		say_routes(r, path);
	else
		http_fail(r, 404, "unknown_url", NULL,
			"there is nothing at '%.128s'; the nearest is %s %s", path,
			method_name(nearest), nearest->path);
}

static enum http_method
method_of(const char *name)
{
	if (strcmp(name, "GET") == 0 || strcmp(name, "HEAD") == 0)
		return HTTP_GET;
	if (strcmp(name, "POST") == 0)
		return HTTP_POST;
	return strcmp(name, "OPTIONS") == 0 ? HTTP_OPTIONS : HTTP_OTHER;
}

const struct http_route *
http_route(struct http_request *r, const char *method, const char *path)
{
	enum http_method m = method_of(method);

	for (size_t i = 0; i < N_ROUTES; i++) {
		const char *allow = routes[i].method == HTTP_GET ? "GET, HEAD" : "POST";

		if (!match(&routes[i], path, r->arg, sizeof r->arg))
			continue;
		if (routes[i].method == m)
			return &routes[i];
		if (m == HTTP_OPTIONS) {
			http_preflight(r);
			return NULL;
		}
		http_fail(r, 405, "method_not_allowed", NULL, "%.128s takes %s, not %.16s", path,
			allow, method);
		http_header(r, "Allow", allow);
		return NULL;
	}
	no_route(r, path);
	return NULL;
}
