/* E-mail addresses, and what stands before the @ of a URL. Both are found from their @, backward and
 * forward, and each stretch of text between two of them is walked over once in each direction. */
#include "sched/redact_int.h"

/* RFC 5322's atoms, less the characters that more often stand beside an address than in it, and with
 * letters of all scripts (RFC 6531). */
static bool
local_part(uint32_t cp)
{
	if (cp < 0x80)
		return ascii_alnum(cp) || (cp != 0 && strchr("._+%~#$&!^-'", (int)cp) != NULL);
	if (cp > 0xff00 && cp < 0xff5f) /* of full width */
		return cp != 0xff20 && local_part(cp - 0xfee0);
	return cp_letter(cp) || cp_ignored(cp) || cp_digit(cp) >= 0;
}

static bool
label(uint32_t cp)
{
	return ascii_alnum(cp) || cp == '-' || cp == '_' ||
	       (cp >= 0x80 && (cp_letter(cp) || cp_ignored(cp) || cp_digit(cp) >= 0));
}

static size_t
spaces(const struct scan *t, size_t at)
{
	size_t n, to = at;

	for (unsigned i = 0; i < 3 && cp_space(cp_at(t, to, &n)); i++)
		to += n;
	return to - at;
}

/* word in brackets or between spaces, at `at`: its bytes with those. */
static size_t
spelled(const struct scan *t, size_t at, const char *word)
{
	size_t lead = spaces(t, at), w = strlen(word), i = at + lead;
	bool bracket = i < t->len && strchr("([{<", t->s[i]) != NULL && t->s[i] != '\0';

	i += bracket;
	if (t->len - i < w + 1 || (!bracket && lead == 0))
		return 0;
	for (size_t k = 0; k < w; k++)
		if ((t->s[i + k] | 32) != (uint8_t)word[k])
			return 0;
	i += w;
	if (bracket ? strchr(")]}>", t->s[i]) == NULL || t->s[i] == '\0' : spaces(t, i) == 0)
		return 0;
	i += bracket;
	return i + spaces(t, i) - at;
}

/* An @, however it is written, with the spaces behind it. *word: it is written as a word. */
static size_t
at_sign(const struct scan *t, size_t at, bool *word)
{
	size_t n;
	uint32_t cp = cp_at(t, at, &n);

	*word = false;
	if (cp == '@' || cp == 0xff20 || cp == 0xfe6b)
		return n + spaces(t, at + n);
	*word = true;
	return cp == '(' || cp == '[' || cp == '{' || cp == '<' || cp_space(cp)
		       ? spelled(t, at, "at")
		       : 0;
}

/* The dot of a domain: its bytes, 0: none. */
static size_t
domain_dot(const struct scan *t, size_t at, bool *word)
{
	size_t n;
	uint32_t cp = cp_at(t, at, &n);

	*word = false;
	if (cp == '.' || cp == 0x3002 || cp == 0xff0e || cp == 0xff61)
		return n;
	*word = true;
	return spelled(t, at, "dot");
}

/* The end of a domain with a dot in it that begins here, 0: none. */
static size_t
domain(const struct scan *t, size_t at, bool need_word)
{
	size_t end = 0, n;
	unsigned dots = 0;
	bool word, words = false;

	for (;;) {
		size_t begin = at;
		bool letters = false;
		uint32_t cp;

		for (; label(cp = cp_at(t, at, &n)); at += n)
			letters |= cp_letter(cp);
		if (at == begin)
			break;
		if (dots > 0 && letters && (words || !need_word))
			end = at;
		n = domain_dot(t, at, &word);
		if (n == 0)
			break;
		words |= word;
		dots++;
		at += n;
	}
	return end;
}

/* Back over the part before an @. */
static size_t
local_begin(const struct scan *t, size_t sign, size_t least)
{
	size_t at = sign, n;

	for (unsigned i = 0; i < 3 && at > least && cp_space(cp_before(t, at, &n)); i++)
		at -= n;
	if (at > least && t->s[at - 1] == '"') { /* "John Smith"@... */
		size_t q = at - 1;

		while (q > least && at - q < 66 && t->s[q - 1] != '"' && t->s[q - 1] != '\n')
			q--;
		if (q > least && t->s[q - 1] == '"')
			return q - 1;
	}
	while (at > least && local_part(cp_before(t, at, &n)))
		at -= n;
	for (; at < sign; at += n) {
		uint32_t cp = cp_at(t, at, &n);

		if (cp >= 0x80 || cp == 0 || strchr(".'&!#$%~^-", (int)cp) == NULL)
			break;
	}
	return at;
}

#define AUTHORITY_MAX 512

/* Whether this byte may stand in what is between // and the host, and is none of those. */
static bool
authority(uint8_t c, const char *but)
{
	return c > ' ' && strchr(but, c) == NULL;
}

/* Behind // , which some write as \/\/ in JSON. */
static bool
behind_slashes(const struct scan *t, size_t at, size_t least)
{
	size_t n;

	if (at < least + 2 || t->s[at - 1] != '/')
		return false;
	cp_before(t, at, &n);
	return cp_before(t, at - n, &n) == '/';
}

/* //user:password@ : where the user begins, SIZE_MAX: it is none. *end: the last @ before the host,
 * which is the one that counts: users' names are addresses, and passwords have any character. */
static size_t
userinfo(const struct scan *t, size_t sign, size_t least, size_t *end)
{
	size_t begin = sign, to;

	while (begin > least && sign - begin < AUTHORITY_MAX && authority(t->s[begin - 1], "\"</@"))
		begin--;
	if (begin == sign || !behind_slashes(t, begin, least))
		return SIZE_MAX;
	*end = sign;
	for (to = sign + 1; to < t->len && to - sign < AUTHORITY_MAX; to++) {
		if (t->s[to] == '@')
			*end = to;
		else if (!authority(t->s[to], "\"<>/?#"))
			break;
	}
	return memchr(t->s + begin, ':', *end - begin) != NULL ? begin : SIZE_MAX;
}

/* Finds the address whose @ is the next one at or behind `at`. */
static void
next_mail(struct scan *t, size_t at)
{
	size_t sign = at > t->mail_next ? at : t->mail_next, n, k;
	bool word;

	for (; sign < t->len; sign += n) {
		cp_at(t, sign, &n);
		k = at_sign(t, sign, &word);
		if (k == 0)
			continue;
		t->mail_next = sign + n;
		t->mail_kind = REDACT_KEY;
		t->mail_start = word ? SIZE_MAX : userinfo(t, sign, at, &t->mail_end);
		if (t->mail_start != SIZE_MAX) {
			t->mail_next = t->mail_end + 1;
			return;
		}
		t->mail_kind = REDACT_EMAIL;
		t->mail_start = local_begin(t, sign, at);
		t->mail_end = domain(t, sign + k, word && t->s[sign] <= ' ');
		if (t->mail_start < sign && t->mail_end != 0)
			return;
	}
	t->mail_next = t->len;
	t->mail_start = SIZE_MAX;
}

/* An address may begin within what is one character here (a quote behind a backslash): it is taken
 * from the next one on. */
size_t
redact_find_mail(struct scan *t, size_t at, enum redact_kind *kind)
{
	if (at == 0 || (t->mail_start < at && (t->mail_taken || t->mail_end <= at))) {
		next_mail(t, at);
		t->mail_taken = false;
	}
	if (t->mail_start > at)
		return 0;
	t->mail_taken = true;
	*kind = t->mail_kind;
	return t->mail_end - at;
}
