/* Quotes by the algorithm of Knuth, Morris and Pratt (SIAM J. Comput. 6, 1977), over texts whose runs
 * of white space are read as one space each. */
#include "sched/document.h"

/* Bytes of white space at s: 0 for none. */
static size_t
blank(const char *s, size_t left)
{
	if (*s == ' ' || (*s >= '\t' && *s <= '\r'))
		return 1;
	return left >= 2 && s[0] == '\xc2' && s[1] == '\xa0' ? 2 : 0;
}

static size_t
blanks(const char *s, size_t left)
{
	size_t at = 0, n;

	while (at < left && (n = blank(s + at, left - at)) > 0)
		at += n;
	return at;
}

struct pattern {
	char text[DOCUMENT_QUOTE_MAX];
	uint16_t back[DOCUMENT_QUOTE_MAX]; /* the longest border of text[0..i] */
	size_t len;
};

/* false: too short, too long. */
static bool
compile(struct pattern *p, const char *quote, size_t len)
{
	size_t solid = 0, k = 0, n;

	p->len = 0;
	for (size_t at = blanks(quote, len); at < len; at += n) {
		n = blanks(quote + at, len - at);
		if (n > 0 && at + n == len)
			break;
		if (p->len == DOCUMENT_QUOTE_MAX)
			return false;
		p->text[p->len++] = n > 0 ? ' ' : quote[at];
		solid += n == 0;
		n = n > 0 ? n : 1;
	}
	if (solid < DOCUMENT_QUOTE_MIN)
		return false;
	p->back[0] = 0;
	for (size_t i = 1; i < p->len; i++) {
		while (k > 0 && p->text[i] != p->text[k])
			k = p->back[k - 1];
		k += p->text[i] == p->text[k];
		p->back[i] = (uint16_t)k;
	}
	return true;
}

static size_t
blank_before(const char *text, size_t at)
{
	if (at > 0 && blank(text + at - 1, 1) == 1)
		return 1;
	return at > 1 && blank(text + at - 2, 2) == 2 ? 2 : 0;
}

/* The begin of what ends at `end` and has this pattern's characters: back over as many. */
static size_t
begin_of(const struct pattern *p, const char *text, size_t end)
{
	size_t at = end, n;

	for (size_t k = p->len; k-- > 0;) {
		if (p->text[k] != ' ') {
			at--;
			continue;
		}
		while ((n = blank_before(text, at)) > 0)
			at -= n;
	}
	return at;
}

bool
document_quote_find(const char *text, size_t len, const char *quote, size_t quote_len,
	struct document_part *part)
{
	struct pattern p;
	size_t k = 0, n;

	if (!compile(&p, quote, quote_len))
		return false;
	for (size_t at = 0; at < len; at += n) {
		char c;

		n = blanks(text + at, len - at);
		c = n > 0 ? ' ' : text[at];
		n = n > 0 ? n : 1;
		while (k > 0 && c != p.text[k])
			k = p.back[k - 1];
		k += c == p.text[k];
		if (k < p.len)
			continue;
		if (part != NULL) {
			part->at = begin_of(&p, text, at + n);
			part->len = at + n - part->at;
		}
		return true;
	}
	return false;
}
