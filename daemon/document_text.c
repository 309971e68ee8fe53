#include "daemon/document_text.h"

#include <stdlib.h>

void
document_texts_init(struct document_texts *t, const struct document_wish *w)
{
	*t = (struct document_texts){.n = w->n_texts};
	for (uint32_t i = 0; i < w->n_texts; i++) {
		t->text[i] = json_string_value(w->texts[i]);
		t->len[i] = json_string_length(w->texts[i]);
		t->bytes += t->len[i];
	}
}

void
document_texts_free(struct document_texts *t)
{
	free(t->parts);
	free(t->lines);
	*t = (struct document_texts){0};
}

static size_t
count_lines(const char *text, size_t len)
{
	size_t n = 0;

	for (const char *p = text; (p = memchr(p, '\n', len - (size_t)(p - text))) != NULL; p++)
		n++;
	return n;
}

static int
make_room(struct document_texts *t, uint32_t most)
{
	free(t->parts);
	free(t->lines);
	t->n_parts = 0;
	t->parts = calloc(most, sizeof *t->parts);
	t->lines = calloc(most, sizeof *t->lines);
	return t->parts != NULL && t->lines != NULL ? 0 : -1;
}

/* In one pass over each document. */
static void
set_lines(struct document_texts *t)
{
	for (uint32_t i = 0; i < t->n; i++) {
		size_t at = 0, line = 1;

		for (uint32_t k = t->first[i]; k < t->first[i + 1]; k++) {
			line += count_lines(t->text[i] + at, t->parts[k].at - at);
			at = t->parts[k].at;
			t->lines[k] = (uint32_t)line;
		}
	}
}

int
document_texts_cut(
	struct document_texts *t, size_t max_part, size_t overlap, uint32_t most, struct err *err)
{
	size_t n = 0;

	if (most > DOCUMENT_PARTS_MAX)
		most = DOCUMENT_PARTS_MAX;
	if (make_room(t, most) != 0)
		return err_set(err, "not enough memory for a document in parts");
	for (uint32_t i = 0; i < t->n; i++) {
		t->first[i] = t->n_parts;
		if (document_cut(t->text[i], t->len[i], max_part, overlap, t->parts + t->n_parts,
			    most - t->n_parts, &n, err) != 0)
			return -1;
		t->n_parts += (uint32_t)n;
	}
	t->first[t->n] = t->n_parts;
	set_lines(t);
	return 0;
}

int
document_texts_whole(struct document_texts *t)
{
	if (make_room(t, t->n) != 0)
		return -1;
	for (uint32_t i = 0; i < t->n; i++) {
		t->parts[i] = (struct document_part){0, t->len[i]};
		t->lines[i] = 1;
		t->first[i] = i;
	}
	t->n_parts = t->first[t->n] = t->n;
	return 0;
}

static uint32_t
document_of(const struct document_texts *t, uint32_t part)
{
	uint32_t i = 0;

	while (part >= t->first[i + 1])
		i++;
	return i;
}

const char *
document_texts_part(const struct document_texts *t, uint32_t part, size_t *len)
{
	*len = t->parts[part].len;
	return t->text[document_of(t, part)] + t->parts[part].at;
}

void
document_texts_within(const struct document_texts *t, uint32_t part,
	const struct document_part *within, struct document_place *p)
{
	size_t len;
	const char *text = document_texts_part(t, part, &len);

	*p = (struct document_place){.document = document_of(t, part),
		.part = part,
		.at = t->parts[part].at + within->at,
		.len = within->len,
		.line = t->lines[part] + count_lines(text, within->at)};
	p->last_line = p->line; /* a line end at its end begins no further one */
	if (within->len > 0)
		p->last_line += count_lines(text + within->at, within->len - 1);
}

void
document_texts_place(const struct document_texts *t, uint32_t part, struct document_place *p)
{
	const struct document_part all = {0, t->parts[part].len};

	document_texts_within(t, part, &all, p);
}

/* The last part that begins at or before `at`: of two that overlap, the later one. */
static uint32_t
part_at(const struct document_texts *t, uint32_t document, size_t at)
{
	uint32_t part = t->first[document];

	while (part + 1 < t->first[document + 1] && t->parts[part + 1].at <= at)
		part++;
	return part;
}

bool
document_texts_find(
	const struct document_texts *t, const char *quote, size_t len, struct document_place *p)
{
	struct document_part where;
	uint32_t part;

	for (uint32_t i = 0; i < t->n; i++) {
		if (!document_quote_find(t->text[i], t->len[i], quote, len, &where))
			continue;
		part = part_at(t, i, where.at);
		where.at -= t->parts[part].at;
		document_texts_within(t, part, &where, p);
		return true;
	}
	return false;
}
