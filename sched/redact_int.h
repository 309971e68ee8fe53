/* What the detectors share. A text that they see is valid UTF-8. */
#ifndef SCHED_REDACT_INT_H
#define SCHED_REDACT_INT_H

#include "sched/redact.h"

/* One search through a text. Each code point is visited once, in order. */
struct scan {
	const uint8_t *s;
	size_t len;
	size_t from; /* the last item ended here: what is before is no neighbour any more */
	const struct redact_words *words;
	const struct redact_known *known; /* or NULL */
	size_t keep_end;                  /* digits before this are of an ordinary date */
	size_t key_end;                   /* a key that was found ends here */
	size_t run_end;                   /* the characters before this were looked at for one */
	size_t mail_start;                /* the next address; SIZE_MAX: none */
	size_t mail_end;                  /* its end */
	size_t mail_next;                 /* where to look for the one behind it */
	enum redact_kind mail_kind;
	bool mail_taken; /* it was an item */
	int (*fault)(void *arg);
	void *fault_arg;
};

struct redact_span {
	size_t at, end;
	enum redact_kind kind;
};

void scan_init(struct scan *t, const void *text, size_t len, const struct redact_words *words);
/* The next item: 1, 0 when there is none, -1 when a detector failed. */
int scan_next(struct scan *t, struct redact_span *out);

/* A detector: how long the item is that begins at `at`, 0: none. May change *kind. */
typedef size_t redact_detector(struct scan *t, size_t at, enum redact_kind *kind);
redact_detector redact_find_mark, redact_find_word, redact_find_date, redact_find_mail,
	redact_find_ip, redact_find_mac, redact_find_iban, redact_find_place, redact_find_number,
	redact_find_key, redact_find_known;

bool redact_secret_name(const char *name); /* of a password, a token */

/* Unicode, as far as detectors need it (redact_utf8.c). */
bool utf8_valid(const uint8_t *s, size_t len, size_t *bad);
uint32_t cp_get(const uint8_t *s, size_t *n); /* of valid UTF-8; *n: its bytes */
/* 0 at the end, *n = 0. What is escaped as \u00e9, \xe9, %C3%A9, &#233; or &eacute; is that letter (or
 * the one without its accent), here and below. */
uint32_t cp_at(const struct scan *t, size_t at, size_t *n);
/* The one before `at`; 0 where the text begins or the item before ends: for boundaries. */
uint32_t cp_before(const struct scan *t, size_t at, size_t *n);
/* The same, items or not: for words that tell what comes behind them. */
uint32_t cp_back(const struct scan *t, size_t at, size_t *n);
size_t cp_put(uint32_t cp, uint8_t out[4]);

bool cp_ignored(uint32_t cp); /* nothing to see: soft hyphens, joiners, marks of direction */
bool cp_space(uint32_t cp);   /* no line end */
bool cp_dash(uint32_t cp);
bool cp_letter(uint32_t cp);
bool cp_unspaced(uint32_t cp); /* of a script that sets no spaces between words */
bool cp_upper(uint32_t cp);
int cp_digit(uint32_t cp); /* its value, -1: none */
/* Case and accents taken away: 0 to 2 code points. */
unsigned cp_fold(uint32_t cp, uint32_t out[2]);

static inline bool
ascii_alnum(uint32_t c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static inline int
hex_value(uint32_t c)
{
	return c >= '0' && c <= '9'   ? (int)c - '0'
	       : c >= 'a' && c <= 'f' ? (int)c - 'a' + 10
	       : c >= 'A' && c <= 'F' ? (int)c - 'A' + 10
				      : -1;
}

/* If one of the words begins somewhere in [from, to): words are folded, and end with NULL. Each must
 * begin where no letter is before it, and one that ends with | must end so, too. */
bool cue_between(const struct scan *t, size_t from, size_t to, const char *const *cues);
/* `at` moved by so many bytes, to the begin of a code point. */
size_t scan_back(const struct scan *t, size_t at, size_t bytes);
size_t scan_ahead(const struct scan *t, size_t at, size_t bytes);
/* A date that begins here, in figures or with the name of its month: its bytes and year; 0: none. */
size_t redact_date_at(const struct scan *t, size_t at, unsigned *year);
/* If a word for a telephone begins in so many bytes before `at`. */
bool redact_phone_near(const struct scan *t, size_t at, size_t bytes);

#endif
