/* Takes personal data out of texts that may leave the house only without it, and puts it back into
 * what comes home. Pure: bytes in, bytes out.
 *
 * An item (an e-mail address, a card's number, a word of the user's own list, ...) is replaced by a
 * placeholder like [EMAIL_1]. One struct redact belongs to one request and remembers its items: the
 * same bytes get the same placeholder in all of its texts, and items are numbered as they come. A
 * text that has something of a placeholder's form already, true or not, loses it to a placeholder of
 * its own ([MARK_1]), so that every text comes back as it was: restoring what redact_text made is
 * byte-equal, always.
 *
 * Detectors would rather take too much than too little: what is taken comes back, what is left is
 * gone. What they know is said beside each kind below. They do not know names of people and places
 * (that is for the word list, or for a model), and they see one text at a time: an address that is
 * spread over two messages is not one. An e-mail address within a longer run of letters goes whole.
 * What JSON, HTML, URLs, Markdown and shells escape is read as what it stands for, but within a key.
 *
 * Fails closed: bytes that are not UTF-8, a text too long, a full table, a buffer at its bound, a
 * detector that fails: -1, and out is what it was before. There is no way to get a text through
 * that was not searched to its end. Time is linear in the text, whatever is in it: no detector looks
 * further than a bounded way ahead or back, or over the same byte more than a few times. */
#ifndef SCHED_REDACT_H
#define SCHED_REDACT_H

#include "base/buf.h"
#include "base/err.h"

enum redact_kind {
	REDACT_EMAIL, /* also "a (at) b.de", "a at b dot de", spaces about the @, not only ASCII */
	REDACT_PHONE, /* + and 00, national with 0, 9 digits and more however grouped, 8 as Nordic
		       * and Asian numbers are; 5 behind a word for telephone; all scripts' digits */
	REDACT_IBAN,  /* ISO 13616, by its checksum, spaces and dashes anywhere */
	REDACT_CARD,  /* ISO/IEC 7812, 13 to 19 digits, Luhn */
	REDACT_KEY,   /* known prefixes, PEM, JWT, "password: ...", --token x, user:password@ in
		       * an address, 20 characters and more that look random */
	REDACT_IP,    /* IPv4, and IPv6 as RFC 4291 writes it */
	REDACT_MAC,   /* six or eight bytes, by : or -, or by . in fours, or 12 hex digits */
	REDACT_PLACE, /* latitude and longitude to three decimals, in degrees and minutes, plus codes */
	REDACT_BIRTH, /* a date beside a word for birth; any with a year from 1900 to 2012 */
	REDACT_WORD,  /* the user's list */
	REDACT_JSON,  /* a JSON string whose escapes are not the usual ones, with such data in it */
	REDACT_MARK,  /* looked like a placeholder */
	REDACT_KINDS
};

const char *redact_kind_name(enum redact_kind k); /* EMAIL, ... as in the placeholder */

/* The user's own words and names. A word is found whatever its case, its accents and its apostrophe,
 * where no letter goes on beside it. Scripts that are written without spaces need no such boundary,
 * and neither do _ and a capital behind a small letter: file_anna.jpg, AnnaSmith. Where a word has
 * white space or - . _ + within it, any of those will do, and in a name like AnnaSmith12 none is
 * needed: Anna Smith is found as anna-smith, Anna_Smith, anna.smith.pdf, Anna%20Smith; annasmith is
 * another word. At a word's ends they do not count. Immutable once made: many sessions share one. */
struct redact_words;

#define REDACT_WORDS_MAX    4096
#define REDACT_WORD_MAX_LEN 128 /* bytes */

/* NULL: err says which word is wrong (not UTF-8, without a letter or digit, too long), or too many,
 * or no memory. n may be 0. */
struct redact_words *redact_words_new(const char *const *words, size_t n, struct err *err);
void redact_words_free(struct redact_words *w);

#define REDACT_TEXT_MAX  (4u << 20)
#define REDACT_ITEMS_MAX 65536

/* 0 stands for the default in brackets; more than a maximum is the maximum. */
struct redact_limits {
	uint32_t max_items; /* [4096] of REDACT_ITEMS_MAX */
	size_t max_bytes;   /* [1 MiB] of all items together */
	size_t max_text;    /* [1 MiB] of REDACT_TEXT_MAX; one text */
	uint64_t hash_key;  /* random in a daemon, so that nobody can make items that collide */
	int (*fault)(void *arg); /* for tests: asked before each detector's work; not 0: it fails */
	void *fault_arg;
};

struct redact;

/* words (or NULL) must outlive it; limits may be NULL. NULL without memory. */
struct redact *redact_new(const struct redact_words *words, const struct redact_limits *limits);
void redact_free(struct redact *r);

/* Appends text to out, without its items. Nothing is allocated but what out and the table of items
 * grow by. -1: err says why, in words that hold nothing of the text. */
int redact_text(struct redact *r, const char *text, size_t len, struct buf *out, struct err *err);
/* The same for the value of a member of that name (JSON, a form), which is read as "name: value":
 * a "birthday" is a date of birth, and what is called a password goes whole. */
int redact_member(struct redact *r, const char *name, const char *text, size_t len, struct buf *out,
	struct err *err);

/* All of text as one item of this kind, whatever is in it; nothing for an empty text. */
int redact_whole(struct redact *r, enum redact_kind k, const char *text, size_t len,
	struct buf *out, struct err *err);

/* Searches a text of placeholders once more. -1: there is an item in it that is none. */
int redact_leftover(struct redact *r, const char *text, size_t len, struct err *err);

/* How many items it remembers; and forgets all but the first n of them, for texts that were not used after all. */
uint32_t redact_n_items(const struct redact *r);
void redact_forget(struct redact *r, uint32_t n);

/* How often each kind was replaced, in all texts so far. */
uint64_t redact_count(const struct redact *r, enum redact_kind k);

/* The bytes of an item, NULL: there is none of that number (they begin at 1). Valid until the next
 * redact_text. */
const char *redact_item(const struct redact *r, enum redact_kind k, uint32_t number, size_t *len);

/* Puts items back into a stream, however it is cut. What could still become a placeholder is held
 * back (at most REDACT_HELD bytes) until it is one or is none. A placeholder that this session never
 * gave out stays as it is. Zeroed but for these two: ready. */
#define REDACT_HELD 24

struct redact_restore {
	const struct redact *r;
	bool json; /* the stream is JSON text, or a piece of a JSON string: items are escaped for it */
	uint8_t held[REDACT_HELD];
	uint8_t n;
};

/* 0, or -1: out is at its bound, or there is no memory (out->failed). */
int redact_restore_push(struct redact_restore *s, const void *bytes, size_t len, struct buf *out);
/* The stream ends: what is held back is none. */
int redact_restore_end(struct redact_restore *s, struct buf *out);

#endif
