/* Experts that do not all fit in memory: a cache of equal slots. An expert is kept by how often and
 * how lately it was used: its score falls by half every EXPERTS_HALF_LIFE uses of the cache, and
 * the one with the lowest score gives way. Which experts a step needs is known once the router of
 * their layer has spoken; they are then wanted all at once, so that their reads fly together.
 *
 * Pure: no reads, no clock. Experts of all layers are numbered through. */
#ifndef SCHED_EXPERTS_H
#define SCHED_EXPERTS_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

#define EXPERTS_HALF_LIFE 64 /* uses of any expert, per slot */

struct experts;

struct experts *experts_new(uint32_t experts, uint32_t slots, struct err *err);
void experts_free(struct experts *x);

/* It will be used: it stays from now on until experts_leave. */
enum experts_answer {
	EXPERTS_THERE,  /* in its slot, or being read already */
	EXPERTS_READ,   /* a slot was given to it: read it, then say experts_arrived */
	EXPERTS_NO_ROOM /* all slots hold what is wanted: ask again when one was left */
};
enum experts_answer experts_want(struct experts *x, uint32_t expert);
void experts_arrived(struct experts *x, uint32_t expert);
/* Whether it can be computed with now. */
bool experts_ready(const struct experts *x, uint32_t expert);
uint32_t experts_slot(const struct experts *x, uint32_t expert); /* of one that is there */
void experts_leave(struct experts *x, uint32_t expert);

/* Nothing is wanted any more (a step has ended, or failed). */
void experts_leave_all(struct experts *x);
/* What was being read did not arrive, and has no slot any more. */
void experts_restart(struct experts *x);

#endif
