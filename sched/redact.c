/* A session's table: items in one arena, found by their bytes and kind, and by kind and number. */
#include "sched/redact_int.h"
#include "sched/redact_known.h"

#include <stdlib.h>

#define DEFAULT_ITEMS 4096
#define DEFAULT_BYTES (1u << 20)
#define DEFAULT_TEXT  (1u << 20)
#define MEMBER_NAME   64 /* bytes of a member's name that are read with its value */

struct item {
	size_t at; /* in the arena */
	uint32_t len;
	uint32_t next;       /* of its chain by bytes; plus one, 0 ends it */
	uint32_t next_named; /* of its chain by name */
	uint32_t number;     /* among its kind, from 1 */
	enum redact_kind kind;
};

struct redact {
	const struct redact_words *words;
	struct redact_limits limits;
	struct buf bytes;
	struct item *items;
	uint32_t *chain; /* by bytes, plus one; max_items of them */
	uint32_t *named; /* by kind and number */
	uint32_t n_items, room;
	uint32_t numbers[REDACT_KINDS];
	uint64_t counts[REDACT_KINDS];
};

const char *
redact_kind_name(enum redact_kind k)
{
	static const char *const names[] = {"EMAIL", "PHONE", "IBAN", "CARD", "KEY", "IP", "MAC",
		"PLACE", "BIRTH", "WORD", "JSON", "MARK"};

	return names[k];
}

static size_t
within(size_t wanted, size_t usual, size_t most)
{
	if (wanted == 0)
		return usual;
	return wanted < most ? wanted : most;
}

struct redact *
redact_new(const struct redact_words *words, const struct redact_limits *limits)
{
	struct redact *r = calloc(1, sizeof *r);
	struct redact_limits *l;

	if (r == NULL)
		return NULL;
	l = &r->limits;
	if (limits != NULL)
		*l = *limits;
	l->max_items = (uint32_t)within(l->max_items, DEFAULT_ITEMS, REDACT_ITEMS_MAX);
	l->max_bytes = within(l->max_bytes, DEFAULT_BYTES, UINT32_MAX);
	l->max_text = within(l->max_text, DEFAULT_TEXT, REDACT_TEXT_MAX);
	r->words = words;
	buf_init(&r->bytes, l->max_bytes);
	r->chain = calloc(l->max_items, sizeof *r->chain);
	r->named = calloc(l->max_items, sizeof *r->named);
	if (r->chain == NULL || r->named == NULL) {
		redact_free(r);
		return NULL;
	}
	return r;
}

void
redact_free(struct redact *r)
{
	if (r == NULL)
		return;
	buf_free(&r->bytes);
	free(r->items);
	free(r->chain);
	free(r->named);
	free(r);
}

uint64_t
redact_count(const struct redact *r, enum redact_kind k)
{
	return r->counts[k];
}

/* FNV-1a, begun with a key and mixed at its end. */
static uint32_t
hash(const struct redact *r, enum redact_kind k, const uint8_t *s, size_t len)
{
	uint64_t h = (0xcbf29ce484222325u ^ r->limits.hash_key) + k;

	for (size_t i = 0; i < len; i++)
		h = (h ^ s[i]) * 0x100000001b3u;
	h = (h ^ h >> 29 ^ r->limits.hash_key) * 0xbf58476d1ce4e5b9u;
	return (uint32_t)((h ^ h >> 32) % r->limits.max_items);
}

/* Room for one item more. */
static int
grow(struct redact *r)
{
	uint32_t room = r->room == 0 ? 64 : r->room * 2;
	struct item *items;

	if (r->n_items < r->room)
		return 0;
	if (room > r->limits.max_items)
		room = r->limits.max_items;
	items = realloc(r->items, room * sizeof *items);
	if (items == NULL)
		return -1;
	r->items = items;
	r->room = room;
	return 0;
}

static uint32_t *
named(const struct redact *r, enum redact_kind k, uint32_t number)
{
	return &r->named[((uint64_t)number * REDACT_KINDS + k) % r->limits.max_items];
}

/* The item, new or known; NULL: there is no room. */
static const struct item *
intern(struct redact *r, enum redact_kind k, const uint8_t *s, size_t len)
{
	uint32_t *chain = &r->chain[hash(r, k, s, len)], *name, i;
	struct item *item;

	for (i = *chain; i != 0; i = item->next) {
		item = &r->items[i - 1];
		if (item->kind == k && item->len == len &&
			memcmp(r->bytes.data + item->at, s, len) == 0)
			return item;
	}
	if (r->n_items == r->limits.max_items || len > r->limits.max_bytes - r->bytes.len ||
		grow(r) != 0 || buf_append(&r->bytes, s, len) != 0)
		return NULL;
	name = named(r, k, r->numbers[k] + 1);
	item = &r->items[r->n_items];
	*item = (struct item){r->bytes.len - len, (uint32_t)len, *chain, *name, ++r->numbers[k], k};
	*chain = *name = ++r->n_items;
	return item;
}

const char *
redact_item(const struct redact *r, enum redact_kind k, uint32_t number, size_t *len)
{
	const struct item *item;

	for (uint32_t i = *named(r, k, number); i != 0; i = item->next_named) {
		item = &r->items[i - 1];
		if (item->kind != k || item->number != number)
			continue;
		*len = item->len;
		return (const char *)r->bytes.data + item->at;
	}
	return NULL;
}

uint32_t
redact_n_items(const struct redact *r)
{
	return r->n_items;
}

/* The last one is the first of its chains. */
void
redact_forget(struct redact *r, uint32_t n)
{
	while (r->n_items > n) {
		const struct item *last = &r->items[--r->n_items];

		r->chain[hash(r, last->kind, r->bytes.data + last->at, last->len)] = last->next;
		*named(r, last->kind, last->number) = last->next_named;
		r->numbers[last->kind]--;
		r->bytes.len = last->at;
	}
}

static int
put_item(struct redact *r, const struct redact_span *span, const struct scan *t, struct buf *out,
	struct err *err)
{
	const struct item *item = intern(r, span->kind, t->s + span->at, span->end - span->at);

	if (item == NULL)
		return err_set(err,
			"there is more personal data in it than can be kept track of (%u items, "
			"%zu bytes): leave some of it out, or let it be answered at home",
			r->n_items, r->bytes.len);
	r->counts[span->kind]++;
	return buf_printf(out, "[%s_%u]", redact_kind_name(span->kind), item->number);
}

/* Everything of t behind `skip`, which is text of ours. */
static int
put_all(struct redact *r, struct scan *t, size_t skip, struct buf *out, struct err *err)
{
	size_t done = skip;
	struct redact_span span;
	int rc;

	t->fault = r->limits.fault;
	t->fault_arg = r->limits.fault_arg;
	while ((rc = scan_next(t, &span)) > 0) {
		if (span.end <= skip)
			continue;
		if (span.at < skip)
			span.at = skip;
		buf_append(out, t->s + done, span.at - done);
		if (put_item(r, &span, t, out, err) != 0)
			return out->failed ? err_set(err, "the redacted text is too long") : -1;
		done = span.end;
	}
	if (rc < 0)
		return err_set(err, "a detector of personal data failed");
	buf_append(out, t->s + done, t->len - done);
	return out->failed ? err_set(err, "the redacted text is too long") : 0;
}

static int
check(const struct redact *r, const char *text, size_t len, const struct buf *out, struct err *err)
{
	size_t bad;

	if (out->failed)
		return err_set(err, "the redacted text is too long");
	if (len > r->limits.max_text)
		return err_set(err,
			"a text of %zu bytes is longer than the %zu that are searched for "
			"personal data",
			len, r->limits.max_text);
	if (!utf8_valid((const uint8_t *)text, len, &bad))
		return err_set(err,
			"the text is not UTF-8 at byte %zu: what cannot be read cannot "
			"be searched for personal data",
			bad);
	return 0;
}

int
redact_text(struct redact *r, const char *text, size_t len, struct buf *out, struct err *err)
{
	return redact_text_known(r, NULL, text, len, out, err);
}

int
redact_text_known(struct redact *r, const struct redact_known *k, const char *text, size_t len,
	struct buf *out, struct err *err)
{
	size_t before = out->len;
	struct scan t;

	if (check(r, text, len, out, err) != 0)
		return -1;
	scan_init(&t, text, len, r->words);
	t.known = k;
	if (put_all(r, &t, 0, out, err) == 0)
		return 0;
	out->len = before;
	return -1;
}

/* name: value, in a buffer of its own. */
static int
named_value(struct redact *r, const char *name, const char *text, size_t len, struct buf *whole,
	struct buf *out, struct err *err)
{
	struct scan t;
	size_t skip;

	buf_append(whole, name, strnlen(name, MEMBER_NAME));
	buf_str(whole, ": ");
	skip = whole->len;
	if (buf_append(whole, text, len) != 0)
		return err_set(err, "no memory to search a text for personal data");
	scan_init(&t, whole->data, whole->len, r->words);
	return put_all(r, &t, skip, out, err);
}

int
redact_whole(struct redact *r, enum redact_kind k, const char *text, size_t len, struct buf *out,
	struct err *err)
{
	struct redact_span all = {0, len, k};
	size_t before = out->len;
	struct scan t;

	if (check(r, text, len, out, err) != 0)
		return -1;
	scan_init(&t, text, len, NULL);
	if (len == 0 || put_item(r, &all, &t, out, err) == 0)
		return 0;
	out->len = before;
	return -1;
}

int
redact_member(struct redact *r, const char *name, const char *text, size_t len, struct buf *out,
	struct err *err)
{
	size_t before = out->len, bad, name_len = strnlen(name, MEMBER_NAME + 1);
	struct buf whole;
	int rc;

	if (check(r, text, len, out, err) != 0)
		return -1;
	if (redact_secret_name(name))
		return redact_whole(r, REDACT_KEY, text, len, out, err);
	if (name_len > MEMBER_NAME || !utf8_valid((const uint8_t *)name, name_len, &bad))
		return redact_text(r, text, len, out, err); /* too odd a name to say anything */
	buf_init(&whole, 0);
	rc = named_value(r, name, text, len, &whole, out, err);
	buf_free(&whole);
	if (rc != 0)
		out->len = before;
	return rc;
}

int
redact_leftover(struct redact *r, const char *text, size_t len, struct err *err)
{
	struct redact_span span;
	struct scan t;
	size_t bad;
	int rc;

	if (!utf8_valid((const uint8_t *)text, len, &bad))
		return err_set(err, "the text is not UTF-8 at byte %zu", bad);
	scan_init(&t, text, len, r->words);
	while ((rc = scan_next(&t, &span)) > 0)
		if (redact_find_mark(&t, span.at, &span.kind) != span.end - span.at)
			return err_set(err,
				"personal data of kind %s that goes over more than one "
				"value cannot be replaced",
				redact_kind_name(span.kind));
	return rc;
}
