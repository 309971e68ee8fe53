/* The table of the fields of a generation request. */
#ifndef DAEMON_API_FIELDS_H
#define DAEMON_API_FIELDS_H

#include "daemon/api_parse.h"

struct api_field {
	const char *name;
	unsigned kinds; /* bits 1 << enum api_kind */
	/* Reads a value that is not null into r. NULL: accepted without effect. */
	int (*take)(
		struct api_request *r, const struct api_field *f, json_t *v, struct api_error *e);
	double min, max; /* of numbers */
};

/* NULL: no field that this kind of request has. */
const struct api_field *api_field_find(enum api_kind kind, const char *name);

/* The prompt's fields have a file of their own (api_prompt.c). */
int api_take_messages(
	struct api_request *r, const struct api_field *f, json_t *v, struct api_error *e);
int api_take_prompt(
	struct api_request *r, const struct api_field *f, json_t *v, struct api_error *e);
int api_take_prediction(
	struct api_request *r, const struct api_field *f, json_t *v, struct api_error *e);

int api_bad_value(const struct api_field *f, struct api_error *e, const char *must);

#endif
