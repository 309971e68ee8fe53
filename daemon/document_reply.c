#include "daemon/document_reply.h"

#include "daemon/api_parse.h"

#include <stdlib.h>
#include <strings.h>

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

/* A number, true or false as it is written in JSON; the others as they are. */
static void
append_scalar(struct buf *b, json_t *v)
{
	char *text = json_is_string(v) ? NULL : json_dumps(v, JSON_ENCODE_ANY);

	buf_str(b, json_is_string(v) ? json_string_value(v) : text != NULL ? text : "");
	free(text);
}

static bool
is_scalar(const json_t *v)
{
	return json_is_string(v) || json_is_number(v) || json_is_boolean(v);
}

/* A number, a truth or a list of these is a text too: it takes the answer's place in the object.
 * NULL: it is none of this. */
static json_t *
answer_of(json_t *root)
{
	json_t *answer = json_object_get(root, "answer"), *v;
	struct buf text;
	size_t i;

	if (json_is_null(answer) || json_is_string(answer))
		return answer;
	buf_init(&text, DOCUMENT_REPLY_MAX + 1);
	if (is_scalar(answer))
		append_scalar(&text, answer);
	json_array_foreach(answer, i, v)
	{
		if (!is_scalar(v)) {
			buf_free(&text);
			return NULL;
		}
		buf_str(&text, i > 0 ? ", " : "");
		append_scalar(&text, v);
	}
	answer = is_scalar(answer) || json_is_array(answer)
			 ? json_stringn(text.len > 0 ? (const char *)text.data : "", text.len)
			 : NULL;
	buf_free(&text);
	return json_object_set_new(root, "answer", answer) == 0 ? answer : NULL;
}

/* An answer without quotes that stands in the part is one itself. */
static void
quote_itself(struct document_reply *r, const char *part, size_t part_len)
{
	if (r->n_quotes == 0 &&
		document_quote_find(part, part_len, r->answer, strlen(r->answer), NULL))
		r->quotes[r->n_quotes++] = r->answer;
}

/* The state of a reply whose object could be read. */
static enum document_state
judge(struct document_reply *r, const char *part, size_t part_len, struct err *err)
{
	json_t *answer = answer_of(r->root);

	if (answer == NULL) {
		err_set(err, "answer must be a text, a number, true, false, a list of these, or "
			     "null");
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
	quote_itself(r, part, part_len);
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

/* What a model says that has nothing to say. */
static bool
says_nothing(const char *text, size_t len)
{
	static const char *const words[] = {"nothing", "none", "null", "n/a", "no", "unknown"};

	while (len > 0 && strchr(" \t\r\n.", text[len - 1]) != NULL)
		len--;
	while (len > 0 && strchr(" \t\r\n", text[0]) != NULL) {
		text++;
		len--;
	}
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (len == strlen(words[i]) && strncasecmp(text, words[i], len) == 0)
			return true;
	return len == 0;
}

/* What stands between two quotation marks. */
static void
take_quoted(struct document_reply *r, const char *text)
{
	const char *open = strchr(text, '"'), *close;

	for (; open != NULL && r->n_quotes < DOCUMENT_REPLY_QUOTES; open = strchr(close + 1, '"')) {
		json_t *list = json_object_get(r->root, "quotes"), *quote;

		close = strchr(open + 1, '"');
		if (close == NULL)
			return;
		quote = json_stringn(open + 1, (size_t)(close - open) - 1);
		if (quote == NULL || json_array_append_new(list, quote) != 0)
			return;
		r->quotes[r->n_quotes++] = json_string_value(quote);
	}
}

void
document_reply_read_plain(
	const char *text, size_t len, const char *part, size_t part_len, struct document_reply *r)
{
	*r = (struct document_reply){.state = DOCUMENT_BAD};
	if (len == 0 || len > DOCUMENT_REPLY_MAX || memchr(text, '{', len) != NULL)
		return;
	if (says_nothing(text, len)) {
		r->state = DOCUMENT_NOTHING;
		return;
	}
	r->root = json_pack("{s:s%,s:[]}", "answer", text, len, "quotes");
	r->answer = json_string_value(json_object_get(r->root, "answer"));
	if (r->answer == NULL)
		return;
	take_quoted(r, r->answer);
	drop_false(r, part, part_len);
	quote_itself(r, part, part_len);
	r->state = DOCUMENT_SAID;
}

void
document_reply_judge(const char *text, size_t len, const char *part, size_t part_len,
	struct document_reply *r, struct err *err)
{
	document_reply_read(text, len, part, part_len, r, err);
	if (r->root == NULL)
		document_reply_read_plain(text, len, part, part_len, r);
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
