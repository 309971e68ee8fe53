/* What a coordinator believes about sets of slices, those of a plan each: which are on its devices'
 * disks, and which have shown that a plan cannot be made of them. So a plan that serves is given up
 * only for one that can follow at once. Pure: events and times in, answers out.
 *
 * A set is on disks since it has served or was brought there; until one of its devices has been away
 * (it may come back without) or has got so many others since that its disk keeps this one no more.
 *
 * A set is spoilt when a plan of it failed before it served: at once where a device could not get
 * ready, which it will say again; of links that were not opened, after BOOK_LINKINGS times. It is
 * tried again when something has changed: a device of it comes back, or has more memory than then,
 * or its slices get to disk, which they did not before; or else after BOOK_SPOILT. */
#ifndef SCHED_STOCK_BOOK_H
#define SCHED_STOCK_BOOK_H

#include "sched/roster.h"

#define BOOK_SETS     16
#define BOOK_MARKS    8
#define BOOK_SPOILT   3600000
#define BOOK_LINKINGS 3

struct book_device {
	uint64_t id;     /* of its key, so that it is the same one when it is paired again */
	uint64_t memory; /* that it may use, as it said last */
};

struct book_set {
	uint64_t set;
	uint32_t n;
	struct book_device devices[ROSTER_MAX + 1];
};

struct book_mark { /* of a set that failed */
	struct book_set of;
	uint64_t at;
	unsigned linkings; /* that failed */
	bool spoilt;
	bool lacks; /* its slices could not be brought to disk */
};

struct stock_book {    /* zeros: nothing is known */
	unsigned keep; /* sets that a disk has beside the newest */
	uint32_t n_sets, n_marks;
	struct book_set sets[BOOK_SETS]; /* on disk, the oldest first */
	struct book_mark marks[BOOK_MARKS];
};

bool book_has(const struct stock_book *b, uint64_t set);        /* on disk */
void book_note(struct stock_book *b, const struct book_set *s); /* it is, as all its devices say; */
void book_missing(struct stock_book *b, uint64_t set);          /* it cannot be brought there */
void book_served(struct stock_book *b, const struct book_set *s);
/* A plan of it failed, while its devices got ready, or, with `linking`, their links. lacks: its slices could not be
 * brought to disk before. */
void book_failed(
	struct stock_book *b, const struct book_set *s, bool linking, bool lacks, uint64_t now);
bool book_spoilt(const struct stock_book *b, uint64_t set, uint64_t now);
void book_came(struct stock_book *b, uint64_t device); /* it was away */
void book_memory(struct stock_book *b, uint64_t device, uint64_t memory);

#endif
