/* What an answer has to look like: JSON, JSON of a schema, a call of a tool. A model at home is told of it,
 * and held to it by a grammar; a cloud gets the request's fields as they came (daemon/wall.h). */
#ifndef DAEMON_API_FORM_H
#define DAEMON_API_FORM_H

#include "daemon/api_fields.h"

/* The fields `response_format` and `tool_choice`. */
int api_take_response_format(
	struct api_request *r, const struct api_field *f, json_t *v, struct api_error *e);
int api_take_tool_choice(
	struct api_request *r, const struct api_field *f, json_t *v, struct api_error *e);

/* Whether the answer is to have one. */
static inline bool
api_has_form(const struct api_request *r)
{
	return r->response_format != NULL || r->must_call != NULL;
}

/* When all fields are read: makes r->grammar, or says in r->no_form why no model at home can be held to it;
 * -1 where the request is at fault whoever answers. */
int api_make_form(struct api_request *r, struct api_error *e);
/* Appends what a model at home is told of it. */
void api_describe_form(const struct api_request *r, struct buf *text);

#endif
