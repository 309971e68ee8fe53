#include "sched/stock_book.h"

#include <string.h>

static const struct book_device *
device_of(const struct book_set *s, uint64_t id)
{
	for (uint32_t i = 0; i < s->n; i++)
		if (s->devices[i].id == id)
			return &s->devices[i];
	return NULL;
}

/* --- on disk ------------------------------------------------------------------------------------ */

bool
book_has(const struct stock_book *b, uint64_t set)
{
	for (uint32_t i = 0; i < b->n_sets; i++)
		if (b->sets[i].set == set)
			return true;
	return false;
}

static void
remove_set(struct stock_book *b, uint32_t at)
{
	memmove(&b->sets[at], &b->sets[at + 1], (--b->n_sets - at) * sizeof *b->sets);
}

/* Whether a disk has got so many others since that this one is gone. */
static bool
is_driven_out(const struct stock_book *b, uint32_t at)
{
	for (uint32_t i = 0; i < b->sets[at].n; i++) {
		unsigned newer = 0;

		for (uint32_t k = at + 1; k < b->n_sets; k++)
			newer += device_of(&b->sets[k], b->sets[at].devices[i].id) != NULL;
		if (newer > b->keep)
			return true;
	}
	return false;
}

static void
add_set(struct stock_book *b, const struct book_set *s)
{
	if (book_has(b, s->set))
		return;
	if (b->n_sets == BOOK_SETS)
		remove_set(b, 0);
	b->sets[b->n_sets++] = *s;
	for (uint32_t i = b->n_sets; i-- > 0;)
		if (is_driven_out(b, i))
			remove_set(b, i);
}

/* --- spoilt ------------------------------------------------------------------------------------- */

static struct book_mark *
mark_of(struct stock_book *b, uint64_t set)
{
	for (uint32_t i = 0; i < b->n_marks; i++)
		if (b->marks[i].of.set == set)
			return &b->marks[i];
	return NULL;
}

static void
remove_mark(struct stock_book *b, struct book_mark *m)
{
	*m = b->marks[--b->n_marks];
}

/* A new one, in the place of the oldest if need be. */
static struct book_mark *
add_mark(struct stock_book *b, const struct book_set *s)
{
	struct book_mark *m = &b->marks[0];

	if (b->n_marks < BOOK_MARKS)
		m = &b->marks[b->n_marks++];
	else
		for (uint32_t i = 1; i < b->n_marks; i++)
			if (b->marks[i].at < m->at)
				m = &b->marks[i];
	*m = (struct book_mark){.of = *s};
	return m;
}

bool
book_spoilt(const struct stock_book *b, uint64_t set, uint64_t now)
{
	for (uint32_t i = 0; i < b->n_marks; i++)
		if (b->marks[i].of.set == set)
			return b->marks[i].spoilt && now - b->marks[i].at < BOOK_SPOILT;
	return false;
}

/* --- what happens ------------------------------------------------------------------------------- */

void
book_note(struct stock_book *b, const struct book_set *s)
{
	struct book_mark *m = mark_of(b, s->set);

	if (m != NULL && m->lacks)
		remove_mark(b, m);
	add_set(b, s);
}

void
book_missing(struct stock_book *b, uint64_t set)
{
	struct book_mark *m = mark_of(b, set);

	if (m != NULL)
		m->lacks = true;
}

void
book_served(struct stock_book *b, const struct book_set *s)
{
	struct book_mark *m = mark_of(b, s->set);

	if (m != NULL)
		remove_mark(b, m);
	add_set(b, s);
}

/* What is on disk is looked at again: that may have been the trouble. */
void
book_failed(struct stock_book *b, const struct book_set *s, bool linking, bool lacks, uint64_t now)
{
	struct book_mark *m = mark_of(b, s->set);
	unsigned linkings;

	if (m == NULL)
		m = add_mark(b, s);
	linkings = m->linkings + linking;
	*m = (struct book_mark){.of = *s,
		.at = now,
		.linkings = linkings,
		.spoilt = !linking || linkings >= BOOK_LINKINGS,
		.lacks = lacks || m->lacks};
	for (uint32_t i = 0; !linking && i < b->n_sets; i++)
		if (b->sets[i].set == s->set) {
			remove_set(b, i);
			break;
		}
}

void
book_came(struct stock_book *b, uint64_t device)
{
	for (uint32_t i = b->n_sets; i-- > 0;)
		if (device_of(&b->sets[i], device) != NULL)
			remove_set(b, i);
	for (uint32_t i = b->n_marks; i-- > 0;)
		if (device_of(&b->marks[i].of, device) != NULL)
			remove_mark(b, &b->marks[i]);
}

void
book_memory(struct stock_book *b, uint64_t device, uint64_t memory)
{
	for (uint32_t i = b->n_marks; i-- > 0;) {
		const struct book_device *d = device_of(&b->marks[i].of, device);

		if (d != NULL && memory > d->memory)
			remove_mark(b, &b->marks[i]);
	}
}
