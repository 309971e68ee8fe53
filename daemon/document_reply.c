#include "daemon/document_reply.h"

#include "daemon/api_parse.h"

json_t *
document_object(const char *text, size_t len, struct err *err)
{
	const char *begin = len > 0 ? memchr(text, '{', len) : NULL;
	const char *end = len > 0 ? memrchr(text, '}', len) : NULL;
	struct api_error e;
	json_t *o;

	if (begin == NULL || end == NULL || end < begin) {
		err_set(err, "there is no JSON object in it");
		return NULL;
	}
	o = api_parse_object(begin, (size_t)(end - begin) + 1, &e);
	if (o == NULL)
		err_set(err, "%s", e.message);
	return o;
}

int
document_quotes_read(json_t *v, const char **quotes, size_t room, size_t *n, struct err *err)
{
	json_t *q;
	size_t i;

	*n = 0;
	if (v == NULL || json_is_null(v))
		return 0;
	if (!json_is_array(v) || json_array_size(v) > room)
		return err_set(err, "quotes must be a list of at most %zu texts", room);
	json_array_foreach(v, i, q)
	{
		if (!json_is_string(q) || json_string_length(q) > DOCUMENT_QUOTE_MAX)
			return err_set(err, "a quote must be a text of at most %d bytes",
				DOCUMENT_QUOTE_MAX);
		quotes[(*n)++] = json_string_value(q);
	}
	return 0;
}

/* Keeps the true quotes. */
static void
drop_false(struct document_reply *r, const char *part, size_t part_len)
{
	size_t kept = 0;

	for (size_t i = 0; i < r->n_quotes; i++) {
		if (document_quote_find(part, part_len, r->quotes[i], strlen(r->quotes[i]), NULL))
			r->quotes[kept++] = r->quotes[i];
	}
	r->n_dropped = r->n_quotes - kept;
	r->n_quotes = kept;
}

/* The state of a reply whose object could be read. */
static enum document_state
judge(struct document_reply *r, const char *part, size_t part_len, struct err *err)
{
	json_t *answer = json_object_get(r->root, "answer");

	if (!json_is_null(answer) && !json_is_string(answer)) {
		err_set(err, "answer must be a text or null");
		return DOCUMENT_BAD;
	}
	if (json_string_length(answer) > DOCUMENT_REPLY_MAX) {
		err_set(err, "answer must have at most %d bytes", DOCUMENT_REPLY_MAX);
		return DOCUMENT_BAD;
	}
	if (document_quotes_read(json_object_get(r->root, "quotes"), r->quotes,
		    DOCUMENT_REPLY_QUOTES, &r->n_quotes, err) != 0)
		return DOCUMENT_BAD;
	if (json_string_length(answer) == 0)
		return DOCUMENT_NOTHING;
	drop_false(r, part, part_len);
	if (r->n_quotes == 0 && r->n_dropped > 0) {
		err_set(err, "none of its %zu quotes is in the document", r->n_dropped);
		return DOCUMENT_BAD;
	}
	r->answer = json_string_value(answer);
	return DOCUMENT_SAID;
}

void
document_reply_read(const char *text, size_t len, const char *part, size_t part_len,
	struct document_reply *r, struct err *err)
{
	*r = (struct document_reply){
		.state = DOCUMENT_BAD, .root = document_object(text, len, err)};
	if (r->root == NULL)
		return;
	r->state = judge(r, part, part_len, err);
	if (r->state != DOCUMENT_SAID)
		r->n_quotes = 0;
}

void
document_reply_free(struct document_reply *r)
{
	json_decref(r->root);
	*r = (struct document_reply){0};
}

static size_t
bytes_of(const struct document_reply *r)
{
	size_t n = strlen(r->answer);

	for (size_t i = 0; i < r->n_quotes; i++)
		n += strlen(r->quotes[i]);
	return n;
}

static int
append(json_t *list, const struct document_reply *r, uint32_t part)
{
	json_t *quotes = json_array();

	for (size_t i = 0; i < r->n_quotes; i++)
		json_array_append_new(quotes, json_string(r->quotes[i]));
	if (json_array_size(quotes) != r->n_quotes) {
		json_decref(quotes);
		return -1;
	}
	return json_array_append_new(
		list, json_pack("{s:I, s:s, s:o}", "part", (json_int_t)part + 1, "answer",
			      r->answer, "quotes", quotes));
}

json_t *
document_merge(const struct document_reply *replies, const uint32_t *parts, size_t n,
	size_t max_bytes, size_t *n_left_out)
{
	json_t *list = json_array();

	*n_left_out = 0;
	for (size_t i = 0; list != NULL && i < n; i++) {
		size_t bytes = replies[i].state == DOCUMENT_SAID ? bytes_of(&replies[i]) : 0;

		if (replies[i].state != DOCUMENT_SAID)
			continue;
		if (bytes > max_bytes) {
			++*n_left_out;
			continue;
		}
		max_bytes -= bytes;
		if (append(list, &replies[i], parts[i]) != 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}
