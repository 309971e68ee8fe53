/* The search: every detector is asked at every character, in order. Items that overlap become one,
 * with the kind of the first: so nothing that a later detector would have taken is left because an
 * earlier one took a part of it. */
#include "sched/redact_int.h"

/* Of equally long items, the one that stands first here says what it is. */
static const struct {
	redact_detector *find;
	enum redact_kind kind;
} detectors[] = {
	{redact_find_mark, REDACT_MARK},
	{redact_find_word, REDACT_WORD},
	{redact_find_date, REDACT_BIRTH},
	{redact_find_mail, REDACT_EMAIL},
	{redact_find_mac, REDACT_MAC},
	{redact_find_ip, REDACT_IP},
	{redact_find_iban, REDACT_IBAN},
	{redact_find_place, REDACT_PLACE},
	{redact_find_number, REDACT_PHONE},
	{redact_find_key, REDACT_KEY},
	{redact_find_known, REDACT_KEY},
};

void
scan_init(struct scan *t, const void *text, size_t len, const struct redact_words *words)
{
	*t = (struct scan){.s = text, .len = len, .words = words};
}

/* The longest item that begins here: its end, `at` when there is none, SIZE_MAX at a fault. */
static size_t
longest(struct scan *t, size_t at, enum redact_kind *kind)
{
	size_t best = 0;

	for (size_t i = 0; i < sizeof detectors / sizeof *detectors; i++) {
		enum redact_kind k = detectors[i].kind;
		size_t n;

		if (t->fault != NULL && t->fault(t->fault_arg) != 0)
			return SIZE_MAX;
		n = detectors[i].find(t, at, &k);
		if (n > best) {
			best = n;
			*kind = k;
		}
	}
	return at + best;
}

int
scan_next(struct scan *t, struct redact_span *out)
{
	bool found = false;
	size_t n;

	for (size_t at = t->from; at < t->len && !(found && at >= out->end); at += n) {
		enum redact_kind kind = REDACT_MARK;
		size_t end = longest(t, at, &kind);

		if (end == SIZE_MAX)
			return -1;
		if (!found && end > at) {
			*out = (struct redact_span){at, end, kind};
			found = true;
		} else if (found && end > out->end) {
			out->end = end;
		}
		cp_at(t, at, &n);
	}
	t->from = found ? out->end : t->len;
	return found;
}

size_t
scan_back(const struct scan *t, size_t at, size_t bytes)
{
	size_t b = at > bytes ? at - bytes : 0;

	while (b < at && (t->s[b] & 0xc0) == 0x80)
		b++;
	return b;
}

size_t
scan_ahead(const struct scan *t, size_t at, size_t bytes)
{
	size_t e = t->len - at > bytes ? at + bytes : t->len;

	while (e > at && e < t->len && (t->s[e] & 0xc0) == 0x80)
		e--;
	return e;
}

/* Whether a folded cue begins at `at`. */
static bool
cue_at(const struct scan *t, size_t at, size_t to, const char *cue)
{
	const uint8_t *c = (const uint8_t *)cue;
	uint32_t f[2];
	size_t n, k;

	while (*c != '\0' && *c != '|') {
		unsigned count;

		if (at >= to)
			return false;
		count = cp_fold(cp_at(t, at, &n), f);
		for (unsigned i = 0; i < count; i++) {
			if (*c == '\0' || cp_get(c, &k) != f[i])
				return false;
			c += k;
		}
		at += n;
	}
	return *c == '\0' || !cp_letter(cp_at(t, at, &n));
}

bool
cue_between(const struct scan *t, size_t from, size_t to, const char *const *cues)
{
	uint32_t before = 0, cp, f[2];
	uint8_t first[4];
	size_t n;

	for (size_t at = from; at < to; at += n) {
		cp = cp_at(t, at, &n);
		if (cp_letter(cp) && (!cp_letter(before) || cp_unspaced(cp)) &&
			cp_fold(cp, f) > 0) {
			cp_put(f[0], first);
			for (const char *const *c = cues; *c != NULL; c++)
				if ((uint8_t) * *c == first[0] && cue_at(t, at, to, *c))
					return true;
		}
		/* The letter of an escaped line end is none. */
		before = before == '\\' && cp < 0x80 ? 0 : cp;
	}
	return false;
}

/* [KIND_number], whether it was given out or not. */
size_t
redact_find_mark(struct scan *t, size_t at, enum redact_kind *kind)
{
	const char *s = (const char *)t->s + at;
	size_t left = t->len - at, n;

	(void)kind;
	if (s[0] != '[')
		return 0;
	for (unsigned k = 0; k < REDACT_KINDS; k++) {
		const char *name = redact_kind_name((enum redact_kind)k);

		n = 1 + strlen(name);
		if (left < n + 3 || memcmp(s + 1, name, n - 1) != 0 || s[n] != '_')
			continue;
		for (n++; n < left && n < REDACT_HELD && s[n] >= '0' && s[n] <= '9'; n++)
			;
		if (n < left && s[n] == ']' && s[n - 1] != '_')
			return n + 1;
	}
	return 0;
}
