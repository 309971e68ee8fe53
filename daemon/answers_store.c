/* The answers that are kept, and their entries in the journal. */
#include "daemon/answers_int.h"
#include "daemon/log.h"

#include <stdlib.h>

/* --- the store ---------------------------------------------------------------------------------- */

struct kept *
kept_new(struct answers *all)
{
	struct kept *k = calloc(1, sizeof *k);

	if (k == NULL)
		return NULL;
	k->all = all;
	buf_init(&k->text, KEPT_MAX_TEXT);
	k->prev = all->last;
	if (all->last != NULL)
		all->last->next = k;
	else
		all->first = k;
	all->last = k;
	return k;
}

void
kept_free(struct kept *k)
{
	struct answers *all = k->all;

	if (k->prev != NULL)
		k->prev->next = k->next;
	else
		all->first = k->next;
	if (k->next != NULL)
		k->next->prev = k->prev;
	else
		all->last = k->prev;
	buf_free(&k->session);
	buf_free(&k->ids);
	buf_free(&k->text);
	call_reader_free(&k->reader);
	json_decref(k->calls);
	json_decref(k->shoal);
	free(k);
}

struct kept *
kept_find(struct answers *all, const struct answer_key *key)
{
	for (struct kept *k = all->first; k != NULL; k = k->next)
		if (memcmp(k->name, key->name, sizeof k->name) == 0)
			return k;
	return NULL;
}

/* --- the journal -------------------------------------------------------------------------------- */

/* A journal that does not work costs a restart its answers, and nothing else: said once. */
static bool
journal_works(struct answers *all, int result, const struct err *err)
{
	if (result != 0 && !all->complained)
		log_warning("%s (what runs now would be lost by a restart)", err->msg);
	all->complained = result != 0;
	return result == 0;
}

static bool
write_begin(struct kept *k, struct journal *j, struct err *err)
{
	struct buf head;
	int result;

	buf_init(&head, JOURNAL_MAX_RECORD);
	result = kept_write_head(k, &head) != 0
			 ? err_set(err, "an answer is too large for the journal")
			 : journal_begin(j, k->number, head.data, head.len, err);
	buf_free(&head);
	return journal_works(k->all, result, err);
}

static bool
write_end(struct kept *k, struct journal *j, struct err *err)
{
	struct buf tail = {0};
	int result;

	kept_write_tail(k, &tail);
	result = tail.failed ? err_set(err, "out of memory")
			     : journal_end(j, k->number, tail.data, tail.len, err);
	buf_free(&tail);
	return journal_works(k->all, result, err);
}

/* And what it has cost with them. */
static bool
write_ids(struct kept *k, struct journal *j, const uint32_t *ids, size_t n, struct err *err)
{
	struct buf mark = {0};
	int result;

	if (n == 0)
		return true;
	kept_write_mark(k, &mark);
	result = journal_grow(j, k->number, ids, n, err);
	if (result == 0)
		result = mark.failed ? err_set(err, "out of memory")
				     : journal_mark(j, k->number, mark.data, mark.len, err);
	buf_free(&mark);
	return journal_works(k->all, result, err);
}

void
kept_note_begin(struct kept *k)
{
	struct journal *j = k->all->journal;
	struct err err;

	k->journaled = j != NULL && write_begin(k, j, &err);
}

void
kept_note_ids(struct kept *k, const uint32_t *ids, size_t n)
{
	struct err err;

	if (k->journaled)
		k->journaled = write_ids(k, k->all->journal, ids, n, &err);
}

void
kept_note_end(struct kept *k)
{
	struct err err;

	if (k->journaled)
		k->journaled = write_end(k, k->all->journal, &err);
}

void
kept_note_job(struct kept *k)
{
	k->ended = true;
	k->prefix = k->text.len; /* all of it is known from the start */
	kept_note_begin(k);
	kept_note_end(k);
}

/* What runs as a job would not go on after a restart. */
static bool
journals(const struct kept *k)
{
	return !k->by_job || k->ended;
}

/* All that lives, into a new file. */
static int
write_all(void *arg, struct journal *j)
{
	struct answers *all = arg;
	struct err err;

	for (struct kept *k = all->first; k != NULL; k = k->next)
		if (journals(k) && (!write_begin(k, j, &err) ||
					   !write_ids(k, j, (const void *)k->ids.data,
						   k->ids.len / sizeof(uint32_t), &err) ||
					   (k->ended && !write_end(k, j, &err))))
			return -1;
	return 0;
}

void
kept_tidy(struct answers *all)
{
	struct err err;

	if (all->journal == NULL || !journal_due(all->journal, uv_now(all->loop)))
		return;
	if (!journal_works(all, journal_rewrite(all->journal, write_all, all, &err), &err))
		return;
	for (struct kept *k = all->first; k != NULL; k = k->next)
		k->journaled = journals(k);
}

void
kept_drop(struct kept *k)
{
	struct answers *all = k->all;
	bool journaled = k->journaled, live = false;
	uint64_t number = k->number;
	struct err err;

	kept_free(k);
	for (k = all->first; k != NULL; k = k->next)
		live = live || k->journaled;
	if (journaled)
		journal_works(all, journal_forget(all->journal, number, live, &err), &err);
}

/* Beyond the bounds the oldest of those that nobody reads make room. */
void
kept_bound(struct answers *all)
{
	size_t n = 0, bytes = 0;

	for (struct kept *k = all->last, *prev; k != NULL; k = prev) {
		prev = k->prev;
		if (k->state == KEPT_RUNNING || k->readers != NULL)
			continue;
		n++;
		bytes += k->session.len + k->ids.len + k->text.len + k->calls_bytes;
		if (n > ANSWERS_MAX || bytes > ANSWERS_MAX_BYTES)
			kept_drop(k);
	}
}

void
kept_restore(void *arg, const struct journal_entry *e)
{
	struct answers *all = arg;
	struct kept *k = kept_new(all);

	if (k == NULL)
		return;
	k->state = KEPT_RESTORED;
	k->journaled = true;
	k->until = uv_now(all->loop) + all->keep_ms;
	if (e->number >= all->next_number)
		all->next_number = e->number + 1;
	if (kept_read(k, e) != 0 || (k->by_job && !k->ended))
		k->until = 0; /* of another version, or half of it: dropped at the first tick */
	else if (k->by_job)
		k->state = KEPT_ENDED;
	k->client = get_le64(k->name); /* a hash */
}
