/* What a journal's bytes say. */
#include "daemon/journal_int.h"

#include <sodium.h>
#include <stdlib.h>

struct entry {
	uint64_t number;
	struct buf head, ids, mark, tail;
	bool ended;
};

struct entries {
	struct entry *e;
	size_t n, cap;
	bool stale;
};

void
journal_code(const uint8_t key[JOURNAL_KEY], uint64_t offset, const void *front, size_t n,
	const void *body, size_t len, uint8_t out[JOURNAL_CODE])
{
	crypto_generichash_state s;
	uint8_t at[8];

	put_le64(at, offset);
	crypto_generichash_init(&s, key, JOURNAL_KEY, JOURNAL_CODE);
	crypto_generichash_update(&s, at, sizeof at);
	crypto_generichash_update(&s, front, n);
	if (len > 0)
		crypto_generichash_update(&s, body, len);
	crypto_generichash_final(&s, out, JOURNAL_CODE);
}

/* --- entries ------------------------------------------------------------------------------------ */

static void
entry_free(struct entry *e)
{
	buf_free(&e->head);
	buf_free(&e->ids);
	buf_free(&e->mark);
	buf_free(&e->tail);
}

static struct entry *
entry_find(struct entries *all, uint64_t number)
{
	for (size_t i = 0; i < all->n; i++)
		if (all->e[i].number == number)
			return &all->e[i];
	return NULL;
}

static struct entry *
entry_add(struct entries *all, uint64_t number)
{
	size_t cap = all->cap * 2 + 16;
	struct entry *more;

	if (all->n == all->cap) {
		more = realloc(all->e, cap * sizeof *more);
		if (more == NULL)
			return NULL;
		all->e = more;
		all->cap = cap;
	}
	all->e[all->n] = (struct entry){.number = number};
	return &all->e[all->n++];
}

static void
entry_forget(struct entries *all, struct entry *e)
{
	all->stale = true;
	entry_free(e);
	all->n--;
	memmove(e, e + 1, (size_t)(&all->e[all->n] - e) * sizeof *e);
}

/* Native order: the bytes are given out as numbers. */
static void
add_ids(struct buf *ids, const uint8_t *body, size_t len)
{
	for (size_t i = 0; i + 4 <= len; i += 4) {
		uint32_t id = get_le32(body + i);

		buf_append(ids, &id, sizeof id);
	}
}

/* What a record of that kind adds to. */
static struct buf *
part_of(struct entry *e, enum journal_kind kind)
{
	switch (kind) {
	case JOURNAL_BEGUN:
		return &e->head;
	case JOURNAL_GROWN:
		return &e->ids;
	case JOURNAL_MARKED:
		buf_clear(&e->mark); /* the last one counts */
		return &e->mark;
	case JOURNAL_ENDED:
	case JOURNAL_FORGOTTEN:
		break;
	}
	return &e->tail;
}

/* A record that makes no sense (an entry twice, or one that has ended and grows) was written by
 * nobody: -1. */
static int
take(struct entries *all, enum journal_kind kind, uint64_t number, const uint8_t *body, size_t len)
{
	struct entry *e = entry_find(all, number);
	struct buf *into;

	if ((kind == JOURNAL_BEGUN) != (e == NULL))
		return -1;
	if (kind == JOURNAL_FORGOTTEN) {
		entry_forget(all, e);
		return 0;
	}
	if (kind == JOURNAL_BEGUN)
		e = entry_add(all, number);
	if (e == NULL || e->ended)
		return -1;
	into = part_of(e, kind);
	if (kind == JOURNAL_GROWN)
		add_ids(into, body, len);
	else
		buf_append(into, body, len);
	e->ended = kind == JOURNAL_ENDED;
	return into->failed ? -1 : 0;
}

static void
give(struct entries *all, void (*found)(void *arg, const struct journal_entry *e), void *arg)
{
	for (size_t i = 0; i < all->n; i++) {
		const struct entry *e = &all->e[i];
		struct journal_entry out = {
			.number = e->number,
			.head = e->head.data,
			.head_len = e->head.len,
			.mark = e->mark.data,
			.mark_len = e->mark.len,
			.tail = e->tail.data,
			.tail_len = e->tail.len,
			.ids = (const void *)e->ids.data,
			.n_ids = e->ids.len / sizeof(uint32_t),
			.ended = e->ended,
		};

		found(arg, &out);
		entry_free(&all->e[i]);
	}
	free(all->e);
}

/* --- records ------------------------------------------------------------------------------------ */

/* One record at offset `at`: its bytes, or 0 when there is no good one. */
static size_t
read_record(struct entries *all, const uint8_t key[JOURNAL_KEY], const uint8_t *data, size_t len,
	size_t at)
{
	const uint8_t *front = data + at, *body = front + JOURNAL_FRONT;
	uint8_t code[JOURNAL_CODE];
	size_t left = len - at, n;

	if (left < JOURNAL_FRONT + JOURNAL_CODE)
		return 0;
	n = get_le32(front);
	if (n > JOURNAL_MAX_RECORD || n > left - JOURNAL_FRONT - JOURNAL_CODE)
		return 0;
	journal_code(key, at, front, JOURNAL_FRONT, body, n, code);
	if (sodium_memcmp(code, body + n, JOURNAL_CODE) != 0)
		return 0;
	if (front[4] < JOURNAL_BEGUN || front[4] > JOURNAL_MARKED ||
		take(all, front[4], get_le64(front + 5), body, n) != 0)
		return 0;
	return JOURNAL_FRONT + n + JOURNAL_CODE;
}

size_t
journal_read(const uint8_t *data, size_t len, uint8_t key[JOURNAL_KEY], bool *stale,
	void (*found)(void *arg, const struct journal_entry *e), void *arg)
{
	struct entries all = {0};
	uint8_t code[JOURNAL_CODE];
	size_t at = JOURNAL_HEAD, n;

	*stale = false;
	if (len < JOURNAL_HEAD || memcmp(data, JOURNAL_MAGIC, 8) != 0)
		return 0;
	memcpy(key, data + 8, JOURNAL_KEY);
	journal_code(key, 0, data, 8 + JOURNAL_KEY, NULL, 0, code);
	if (sodium_memcmp(code, data + 8 + JOURNAL_KEY, JOURNAL_CODE) != 0)
		return 0;
	while ((n = read_record(&all, key, data, len, at)) > 0)
		at += n;
	*stale = all.stale;
	give(&all, found, arg);
	return at;
}
