/* When a device that computes may give a chunk to another one: what is uploaded takes from what serves.
 * A device that does not compute gives what it is asked for. One that does gives one chunk for each step
 * that it has computed since, and one every UPLOAD_LEAST ms if steps are longer: little beside a step's
 * work, and enough for the asker not to give it up (sched/fetch.h). Beside that the user may set a limit
 * in bytes a second.
 *
 * Pure: time is an argument, in milliseconds of a clock that does not go back. */
#ifndef SCHED_UPLOAD_H
#define SCHED_UPLOAD_H

#include <stdbool.h>
#include <stdint.h>

#define UPLOAD_LEAST 250
#define UPLOAD_CALM  500 /* ms without a step, after which a device does not compute any more */

struct upload_pace {      /* zeros: no limit, and nothing was computed yet */
	uint64_t limit;   /* bytes a second; 0: none */
	uint64_t due;     /* when the limit allows the next chunk */
	uint64_t steps;   /* that it was told of */
	uint64_t stepped; /* when they grew */
	uint64_t gave;    /* when the last chunk went */
	bool looked;      /* `steps` is known */
	bool began;       /* they have grown */
	bool credit;      /* they have, since the last chunk */
	/* chunks that went while it computed: one a step; beside long steps */
	uint64_t held, beside;
};

struct upload_view {
	uint64_t steps; /* computed so far */
	bool engine;    /* it could compute now: a plan is served, or followed */
	bool requests;  /* are there, as far as is known */
	uint64_t now;
};

/* Whether a chunk of so many bytes may go now; if so it counts as gone. */
bool upload_may(struct upload_pace *p, uint32_t bytes, const struct upload_view *v);

#endif
