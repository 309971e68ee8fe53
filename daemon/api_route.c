/* /shoal/v1/route/...: what `shoal route` and `shoal why` ask, on the unix socket. */
#include "daemon/api_object.h"
#include "daemon/route_book.h"
#include "daemon/router.h"

#include <math.h>
#include <stdlib.h>

#define LOG_LINES 20 /* unless asked for another number */

void
api_route_status(struct http_request *r)
{
	http_json(r, 200, router_status(r->http->router));
}

void
api_route_log(struct http_request *r)
{
	const char *text = MHD_lookup_connection_value(r->mhd, MHD_GET_ARGUMENT_KIND, "n");
	char *end = NULL;
	unsigned long n = text != NULL ? strtoul(text, &end, 10) : LOG_LINES;

	if (text != NULL && (end == text || *end != '\0' || n > ROUTER_RECENT))
		http_fail(r, 400, "invalid_value", "n", "n must be a whole number up to %d",
			ROUTER_RECENT);
	else
		http_json(r, 200, json_pack("{s:o}", "decisions", router_log(r->http->router, n)));
}

void
api_route_why(struct http_request *r)
{
	json_t *why = router_why(r->http->router, r->arg);

	if (why != NULL)
		http_json(r, 200, why);
	else
		http_fail(r, 404, "answer_not_found", "id",
			"nothing is known of an answer '%.64s': only those for 'auto' are "
			"remembered, the last %d of them",
			r->arg, ROUTER_RECENT);
}

/* --- labels ------------------------------------------------------------------------------------- */

/* A label, or GAIN_UNKNOWN where it is absent; false: it is no such number. */
static bool
label(json_t *o, const char *key, float *out)
{
	json_t *v = json_object_get(o, key);
	double d = json_is_boolean(v) ? json_is_true(v) : json_number_value(v);

	*out = GAIN_UNKNOWN;
	if (v == NULL || json_is_null(v))
		return true;
	if (!(json_is_number(v) || json_is_boolean(v)) || !(d >= 0 && d <= 1))
		return false;
	*out = (float)d;
	return true;
}

static void
feedback(struct http_request *r, json_t *o)
{
	const char *id = json_string_value(json_object_get(o, "id"));
	float right, other;
	struct err err;

	if (id == NULL)
		http_fail(
			r, 400, "missing_required_parameter", "id", "id is missing: of an answer");
	else if (!label(o, "right", &right) || !label(o, "other", &other) || right < 0)
		http_fail(r, 400, "invalid_value", "right",
			"right must be true, false or a number from 0 to 1; other, which may be "
			"left "
			"out, too");
	else if (router_feedback(r->http->router, id, right, other, &err) != 0)
		http_fail(r, 404, "answer_not_found", "id", "%s", err.msg);
	else
		http_json(r, 200, json_object());
}

void
api_route_feedback(struct http_request *r)
{
	json_t *o = api_body_object(r);

	if (o != NULL)
		feedback(r, o);
	json_decref(o);
}

/* --- training ----------------------------------------------------------------------------------- */

/* The figures of an answer, as `shoal eval --signals` writes them. */
static bool
figures_of(json_t *o, float figures[TOKEN_FIGURES], bool *there)
{
	*there = json_is_object(o);
	for (int i = 0; *there && i < TOKEN_FIGURES; i++) {
		json_t *v = json_object_get(o, token_figure_name((enum token_figure)i));

		if (!json_is_number(v) || !isfinite(json_number_value(v)))
			return false;
		figures[i] = (float)json_number_value(v);
	}
	return o == NULL || *there;
}

static int
read_row(json_t *o, size_t i, struct gain_row *row, struct route_text *t, struct api_error *e)
{
	json_t *prompt = json_object_get(o, "prompt");
	float labels[GAIN_MODELS], figures[TOKEN_FIGURES];
	bool answered;

	if (!json_is_string(prompt))
		return api_error_set(
			e, 400, "invalid_value", "rows", "rows[%zu] has no prompt: a text", i);
	if (!label(o, "small", &labels[GAIN_SMALL]) || !label(o, "large", &labels[GAIN_LARGE]) ||
		!label(o, "cloud", &labels[GAIN_CLOUD]))
		return api_error_set(e, 400, "invalid_value", "rows",
			"rows[%zu]: small, large and cloud say how right each answer was, from 0 "
			"to 1",
			i);
	if (!figures_of(json_object_get(o, "signals"), figures, &answered))
		return api_error_set(e, 400, "invalid_value", "rows",
			"rows[%zu].signals lacks a figure: they are those that 'shoal eval "
			"--signals' "
			"writes",
			i);
	route_text(t, json_string_value(prompt), json_string_length(prompt));
	gain_row_make(row, t, answered ? figures : NULL, labels);
	return 0;
}

struct training {
	struct http_request *http; /* NULL: gone */
	struct router *router;
};

static void
training_gone(void *job)
{
	struct training *t = job;

	route_book_unhear(router_book(t->router));
	free(t);
}

static void
training_done(void *arg, const char *trouble)
{
	struct training *t = arg;
	struct http_request *r = t->http;
	struct router *router = t->router;

	free(t);
	http_release(r);
	if (trouble[0] != '\0')
		http_fail(r, 409, "not_trained", NULL, "%s", trouble);
	else
		http_json(r, 200, route_book_status(router_book(router)));
}

static void
train(struct http_request *r, const struct gain_row *rows, size_t n)
{
	struct training *t = calloc(1, sizeof *t);
	struct err err = {"out of memory"};

	if (t == NULL || route_book_train(router_book(r->http->router), rows, n, training_done, t,
				 &err) != 0) {
		free(t);
		http_fail(r, 409, "not_trained", NULL, "%s", err.msg);
		return;
	}
	*t = (struct training){r, r->http->router};
	http_wait(r, training_gone, t);
}

/* To be freed. NULL: e says what is wrong. */
static struct gain_row *
read_rows(json_t *list, struct api_error *e)
{
	struct gain_row *rows = calloc(json_array_size(list) + 1, sizeof *rows);
	struct route_text *t = malloc(sizeof *t);
	size_t i;
	json_t *o;
	int rc = rows != NULL && t != NULL ? 0 : api_error_set(e, 503, NULL, NULL, "out of memory");

	json_array_foreach(list, i, o)
	{
		if (rc == 0)
			rc = read_row(o, i, &rows[i], t, e);
	}
	free(t);
	if (rc == 0)
		return rows;
	free(rows);
	return NULL;
}

void
api_route_train(struct http_request *r)
{
	json_t *o = api_body_object(r), *list = json_object_get(o, "rows");
	struct gain_row *rows = NULL;
	struct api_error e;

	if (o == NULL)
		return;
	if (list != NULL && (!json_is_array(list) || json_array_size(list) > ROUTE_BOOK_ROWS))
		http_fail(r, 400, "invalid_value", "rows", "rows must be a list of at most %d",
			ROUTE_BOOK_ROWS);
	else if (list != NULL && (rows = read_rows(list, &e)) == NULL)
		http_error(r, &e);
	else
		train(r, rows, json_array_size(list));
	free(rows);
	json_decref(o);
}

/* {"undo": true}: only what was learned last; else all of it. */
void
api_route_forget(struct http_request *r)
{
	struct route_book *b = router_book(r->http->router);
	json_t *o = api_body_object(r);
	bool undo = json_is_true(json_object_get(o, "undo"));
	struct err err;

	if (o == NULL)
		return;
	if ((undo ? route_book_undo(b, &err) : router_forget(r->http->router, &err)) != 0)
		http_fail(r, 409, NULL, NULL, "%s", err.msg);
	else
		http_json(r, 200, route_book_status(b));
	json_decref(o);
}
