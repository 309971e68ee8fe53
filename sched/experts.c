#include "sched/experts.h"

#include <math.h>
#include <stdlib.h>

#define NOBODY UINT32_MAX

struct expert {
	uint32_t slot; /* NOBODY: not in memory */
	bool there;    /* its bytes are in the slot */
	bool wanted;
	double score; /* as it was at the use `at` */
	uint64_t at;
};

struct experts {
	struct expert *expert; /* [n] */
	uint32_t *holder;      /* [slots] the expert, or NOBODY */
	uint32_t n, slots;
	uint64_t uses;
};

struct experts *
experts_new(uint32_t experts, uint32_t slots, struct err *err)
{
	struct experts *x = calloc(1, sizeof *x);

	if (x != NULL) {
		x->n = experts;
		x->slots = slots;
		x->expert = calloc((size_t)experts + 1, sizeof *x->expert);
		x->holder = malloc(((size_t)slots + 1) * sizeof *x->holder);
	}
	if (x == NULL || x->expert == NULL || x->holder == NULL) {
		experts_free(x);
		err_set(err, "out of memory for a table of %u experts", experts);
		return NULL;
	}
	for (uint32_t i = 0; i < experts; i++)
		x->expert[i].slot = NOBODY;
	for (uint32_t i = 0; i < slots; i++)
		x->holder[i] = NOBODY;
	return x;
}

void
experts_free(struct experts *x)
{
	if (x == NULL)
		return;
	free(x->expert);
	free(x->holder);
	free(x);
}

static double
score_now(const struct experts *x, const struct expert *e)
{
	double half_lives = (double)(x->uses - e->at) / ((double)EXPERTS_HALF_LIFE * x->slots);

	return e->score * exp2(-half_lives);
}

/* An empty slot, or that of the least useful expert that nobody wants; NOBODY: there is none. */
static uint32_t
find_slot(const struct experts *x)
{
	uint32_t best = NOBODY;
	double least = INFINITY;

	for (uint32_t i = 0; i < x->slots; i++) {
		const struct expert *e;

		if (x->holder[i] == NOBODY)
			return i;
		e = &x->expert[x->holder[i]];
		if (!e->wanted && e->there && score_now(x, e) < least) {
			least = score_now(x, e);
			best = i;
		}
	}
	return best;
}

static void
use(struct experts *x, struct expert *e)
{
	x->uses++;
	e->score = score_now(x, e) + 1;
	e->at = x->uses;
	e->wanted = true;
}

enum experts_answer
experts_want(struct experts *x, uint32_t expert)
{
	struct expert *e = &x->expert[expert];
	uint32_t slot;

	if (e->slot != NOBODY) {
		if (!e->wanted)
			use(x, e);
		return EXPERTS_THERE;
	}
	slot = find_slot(x);
	if (slot == NOBODY)
		return EXPERTS_NO_ROOM;
	if (x->holder[slot] != NOBODY) {
		x->expert[x->holder[slot]].slot = NOBODY;
		x->expert[x->holder[slot]].there = false;
	}
	x->holder[slot] = expert;
	e->slot = slot;
	e->there = false;
	use(x, e);
	return EXPERTS_READ;
}

void
experts_arrived(struct experts *x, uint32_t expert)
{
	x->expert[expert].there = true;
}

bool
experts_ready(const struct experts *x, uint32_t expert)
{
	return x->expert[expert].there;
}

uint32_t
experts_slot(const struct experts *x, uint32_t expert)
{
	return x->expert[expert].slot;
}

void
experts_leave(struct experts *x, uint32_t expert)
{
	x->expert[expert].wanted = false;
}

void
experts_leave_all(struct experts *x)
{
	for (uint32_t i = 0; i < x->slots; i++)
		if (x->holder[i] != NOBODY)
			x->expert[x->holder[i]].wanted = false;
}

void
experts_restart(struct experts *x)
{
	for (uint32_t i = 0; i < x->slots; i++) {
		uint32_t e = x->holder[i];

		if (e == NOBODY || x->expert[e].there)
			continue;
		x->expert[e].slot = NOBODY;
		x->expert[e].wanted = false;
		x->holder[i] = NOBODY;
	}
}
