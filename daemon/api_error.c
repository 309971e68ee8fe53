#include "daemon/api_parse.h"

#include <stdarg.h>
#include <stdio.h>

const char *
api_error_type(int status)
{
	switch (status) {
	case 401:
		return "authentication_error";
	case 403:
		return "permission_error";
	case 404:
		return "not_found_error";
	case 429:
		return "rate_limit_error";
	case 503:
		return "unavailable_error";
	default:
		return status >= 500 ? "server_error" : "invalid_request_error";
	}
}

/* A message may hold a piece of the request. */
static void
clean(char *s)
{
	for (; *s != '\0'; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			*s = '?';
}

int
api_error_set(
	struct api_error *e, int status, const char *code, const char *param, const char *fmt, ...)
{
	va_list ap;

	*e = (struct api_error){.status = status, .code = code};
	if (param != NULL) {
		snprintf(e->param, sizeof e->param, "%s", param);
		clean(e->param);
	}
	va_start(ap, fmt);
	vsnprintf(e->message, sizeof e->message, fmt, ap);
	va_end(ap);
	clean(e->message);
	return -1;
}

/* A text that is cut in the middle of a character, or comes from a file's name, may not be UTF-8:
 * then its plain ASCII part. */
static json_t *
text_json(const char *s)
{
	json_t *t = json_string(s);
	char plain[sizeof((struct api_error *)0)->message];

	if (t != NULL)
		return t;
	snprintf(plain, sizeof plain, "%s", s);
	for (char *c = plain; *c != '\0'; c++)
		if ((unsigned char)*c >= 0x80)
			*c = '?';
	return json_string(plain);
}

static json_t *
text_or_null(const char *s)
{
	return s != NULL && s[0] != '\0' ? text_json(s) : json_null();
}

json_t *
api_error_json(const struct api_error *e)
{
	json_t *body = json_object();

	json_object_set_new(body, "message", text_json(e->message));
	json_object_set_new(body, "type", json_string(api_error_type(e->status)));
	json_object_set_new(body, "param", text_or_null(e->param));
	json_object_set_new(body, "code", text_or_null(e->code));
	if (e->n_ctx != 0) {
		json_object_set_new(
			body, "n_prompt_tokens", json_integer((json_int_t)e->n_prompt_tokens));
		json_object_set_new(body, "n_ctx", json_integer((json_int_t)e->n_ctx));
	}
	return json_pack("{s:o}", "error", body);
}
