/* Personal items in what a cloud is told of a document. What a small model says was made of a part: the words that tell
 * an item may be missing ("hunter2", without "password:"), and a quote, or a reply that was cut, may begin or end within
 * one. So the documents and the question are searched once, whole, and what is found there is
 * removed wherever it stands; a quote whose border is within an item is widened to the item's, and a part of one at
 * the border of an answer is cut off. */
#include "daemon/document_int.h"

#include <stdlib.h>

static int
know(struct document_run *d, struct err *err)
{
	const struct document_texts *t = &d->texts;

	if (d->known != NULL)
		return 0;
	d->known = wall_known(d->router->wall);
	if (d->known == NULL)
		return err_set(err, "not enough memory to know personal items");
	for (uint32_t i = 0; i <= t->n; i++) {
		const char *text = i < t->n ? t->text[i] : d->question;
		size_t len = i < t->n ? t->len[i] : strlen(d->question);

		if (redact_known_search(d->known, text, len, err) == 0)
			continue;
		redact_known_free(d->known);
		d->known = NULL;
		return i < t->n ? err_prefix(err, "document %u: ", i + 1)
				: err_prefix(err, "the question: ");
	}
	return 0;
}

/* Without what an item has between a border of the text, or a quotation mark, and it. */
static void
clip(const struct document_run *d, const char *text, size_t len, struct buf *out)
{
	const char *end = text + len, *mark;

	for (; text <= end; text = mark + 1) {
		const char *piece = text;
		size_t n;

		mark = memchr(text, '"', (size_t)(end - text));
		mark = mark != NULL ? mark : end;
		n = (size_t)(mark - text);
		redact_known_clip(d->known, &piece, &n);
		buf_append(out, piece, n);
		buf_str(out, mark < end ? "\"" : "");
	}
}

/* A text that stands word for word in a part: its bytes there, from the begin of an item to the end of one. false: it
 * stands nowhere. */
static bool
find(const struct document_run *d, uint32_t part, const char **text, size_t *len)
{
	struct document_part where;
	struct document_place p;
	size_t part_len, end;
	const char *s = document_texts_part(&d->texts, part, &part_len);

	if (!document_quote_find(s, part_len, *text, *len, &where))
		return false;
	document_texts_within(&d->texts, part, &where, &p);
	end = p.at + p.len;
	redact_known_widen(d->known, p.document, &p.at, &end);
	*text = d->texts.text[p.document] + p.at;
	*len = end - p.at;
	return true;
}

/* New reference; NULL: it may not be shown. */
static json_t *
show_text(struct document_run *d, uint32_t part, const char *text, struct err *err)
{
	struct buf redacted, clipped;
	size_t len = strlen(text);
	bool verbatim = find(d, part, &text, &len);
	json_t *shown = NULL;

	if (!verbatim) /* ahead of detectors that know some of a part */
		redact_known_clip(d->known, &text, &len);
	buf_init(&redacted, 0);
	buf_init(&clipped, 0);
	if (wall_text(&d->verdict, d->known, text, len, &redacted, err) == 0) {
		text = redacted.len > 0 ? (const char *)redacted.data : "";
		if (verbatim)
			buf_append(&clipped, text, redacted.len);
		else
			clip(d, text, redacted.len, &clipped);
		shown = json_stringn(
			clipped.len > 0 ? (const char *)clipped.data : "", clipped.len);
		if (shown == NULL || clipped.failed)
			err_set(err, "not enough memory to remove personal items");
	}
	buf_free(&redacted);
	buf_free(&clipped);
	return shown;
}

/* What a job was told, as far as it may be shown: `to` owns it. */
static int
show_reply(struct document_run *d, const struct document_job *j, struct document_reply *to,
	struct err *err)
{
	const struct document_reply *from = &j->reply;
	json_t *quotes = json_array(), *text = show_text(d, j->part, from->answer, err);

	to->root = json_pack("{s:o*,s:o}", "answer", text, "quotes", quotes);
	to->answer = json_string_value(text);
	for (size_t i = 0; text != NULL && to->root != NULL && i < from->n_quotes; i++) {
		text = show_text(d, j->part, from->quotes[i], err);
		json_array_append_new(quotes, text);
		to->quotes[to->n_quotes++] = json_string_value(text);
	}
	if (to->root == NULL)
		err_set(err, "not enough memory to remove personal items");
	to->state = DOCUMENT_SAID;
	return text != NULL && to->root != NULL ? 0 : -1;
}

int
document_show(struct document_run *d, struct document_shown *s, struct err *err)
{
	*s = (struct document_shown){.replies = calloc(d->n_jobs + 1, sizeof *s->replies)};
	buf_init(&s->question, 0);
	if (s->replies == NULL)
		return err_set(err, "not enough memory to remove personal items");
	if (know(d, err) != 0 || wall_texts_begin(d->router->wall, &d->verdict, err) != 0 ||
		wall_text(&d->verdict, d->known, d->question, strlen(d->question), &s->question,
			err) != 0)
		return -1;
	for (uint32_t i = 0; d->stage == STAGE_CONCLUDE && i < d->n_jobs; i++)
		if (d->jobs[i].reply.state == DOCUMENT_SAID &&
			show_reply(d, &d->jobs[i], &s->replies[i], err) != 0)
			return -1;
	return buf_u8(&s->question, 0) == 0
		       ? 0
		       : err_set(err, "not enough memory to remove personal items");
}

void
document_shown_free(const struct document_run *d, struct document_shown *s)
{
	for (uint32_t i = 0; s->replies != NULL && i < d->n_jobs; i++)
		document_reply_free(&s->replies[i]);
	free(s->replies);
	buf_free(&s->question);
}
