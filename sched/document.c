#include "sched/document.h"

#include <string.h>

/* How good a cut before text[at] is, when it is not inside a character. */
enum cut { CUT_CHARACTER, CUT_WORD, CUT_SENTENCE, CUT_LINE, CUT_PARAGRAPH, CUTS };

static bool
white(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Ends with a mark that ends sentences: ASCII's three, or a CJK one, of three bytes. */
static bool
sentence_ends(const char *text, size_t at)
{
	static const char *const cjk[] = {"\343\200\202", "\357\274\201", "\357\274\237"};

	for (size_t i = 0; at >= 3 && i < 3; i++)
		if (memcmp(text + at - 3, cjk[i], 3) == 0)
			return true;
	return at >= 2 && white(text[at - 1]) && strchr(".!?", text[at - 2]) != NULL &&
	       text[at - 2] != '\0';
}

static enum cut
cut_at(const char *text, size_t at)
{
	if (text[at - 1] == '\n')
		return at >= 2 && (text[at - 2] == '\n' || text[at - 2] == '\r') ? CUT_PARAGRAPH
										 : CUT_LINE;
	if (sentence_ends(text, at))
		return CUT_SENTENCE;
	return white(text[at - 1]) ? CUT_WORD : CUT_CHARACTER;
}

static bool
inside_character(const char *text, size_t at)
{
	return ((unsigned char)text[at] & 0xc0) == 0x80;
}

/* The end of a part that may reach from `from` to at most `to`, which is before the text's end. */
static size_t
part_end(const char *text, size_t from, size_t to)
{
	size_t best[CUTS] = {0}, half = from + (to - from) / 2;

	for (size_t at = half + 1; at <= to; at++)
		if (!inside_character(text, at))
			best[cut_at(text, at)] = at;
	for (unsigned k = CUTS; k-- > 0;)
		if (best[k] != 0)
			return best[k];
	return to; /* no UTF-8 */
}

/* Where the part behind `end` begins: the first good place in the last `overlap` bytes. */
static size_t
next_begin(const char *text, size_t end, size_t overlap)
{
	size_t word = end;

	for (size_t at = end - overlap; at < end; at++) {
		if (at == 0 || inside_character(text, at))
			continue;
		if (cut_at(text, at) >= CUT_SENTENCE)
			return at;
		if (word == end && cut_at(text, at) == CUT_WORD)
			word = at;
	}
	return word;
}

int
document_cut(const char *text, size_t len, size_t max_part, size_t overlap,
	struct document_part *parts, size_t room, size_t *n, struct err *err)
{
	size_t at = 0, end;

	*n = 0;
	if (len == 0)
		return err_set(err, "the document is empty");
	if (max_part < DOCUMENT_PART_MIN || overlap > max_part / 4)
		return err_set(err,
			"parts of %zu bytes with an overlap of %zu: a part has at least %d bytes, "
			"and at most a quarter of it is overlap",
			max_part, overlap, DOCUMENT_PART_MIN);
	do {
		if (*n == room)
			return err_set(err,
				"the document of %zu bytes has more than %zu parts of %zu bytes: "
				"parts of %zu bytes would do",
				len, room, max_part, room > 0 ? len / room * 4 + 4 : len);
		end = len - at <= max_part ? len : part_end(text, at, at + max_part);
		parts[(*n)++] = (struct document_part){at, end - at};
		at = end < len ? next_begin(text, end, overlap) : len;
	} while (end < len);
	return 0;
}
