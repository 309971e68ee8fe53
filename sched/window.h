/* The sliding window: which pieces of a shard stay in memory (the resident set), and when the
 * others are read into a ring through which they stream, in the order of use, around the end of the
 * model into the next step. A cyclic scan through a least-recently-used cache that is a little too
 * small hits nothing; a set that stays, spread evenly between what streams, saves exactly its bytes
 * at every step, and the disk never idles (DESIGN.md, "Memory: the sliding window").
 *
 * Pure: what was measured goes in, decisions come out. Nothing here reads a file or a clock, and
 * only window_new allocates. Pieces are bands of a shard's matrices; a unit is a run of pieces that
 * are wanted at once; units are numbered from 0 in the order of use. */
#ifndef SCHED_WINDOW_H
#define SCHED_WINDOW_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct window_piece {
	uint64_t bytes; /* in memory: whole pages */
	uint32_t unit;  /* never falls from one piece to the next */
	bool stays;     /* must be resident */
	bool resident;
};

/* --- what stays --- */

#define WINDOW_SMALL (64u << 10) /* pieces below stay: they are not worth a request of their own */

/* Marks pieces as resident so that these and the ring take at most `memory` bytes, as many as fit,
 * those that stream spread evenly over the order of use. ahead: bytes that should be in the ring
 * beside the unit that is computed. *ring: what is left for it. -1: it is too little; window_least
 * says what would do. All fit: *ring is 0. */
int window_choose(
	struct window_piece *pieces, uint32_t n, uint64_t memory, uint64_t ahead, uint64_t *ring);

/* The least memory with which these pieces can be streamed. */
uint64_t window_least(const struct window_piece *pieces, uint32_t n);

/* The least ring for the pieces that are not resident: the largest unit, wherever it begins. */
uint64_t window_least_ring(const struct window_piece *pieces, uint32_t n);

/* --- the ring --- */

struct window;

/* pieces: copied. ring: bytes, at least window_least_ring. */
struct window *window_new(
	const struct window_piece *pieces, uint32_t n, uint64_t ring, struct err *err);
void window_free(struct window *w);

/* The piece to read next and its place in the ring. false: the ring is full, or all is there. */
bool window_next(struct window *w, uint32_t *piece, uint64_t *at);
/* What window_next gave is there. */
void window_arrived(struct window *w, uint32_t piece);
/* It could not be read: it, and what was asked for after it, will be given again. Only when
 * everything that window_next gave has arrived or failed (window_reading is 0). */
void window_restart(struct window *w);
uint32_t window_reading(const struct window *w); /* pieces that were given and did not arrive */

/* The unit is wanted. true: all its pieces are there, and stay until window_leave. false: ask again
 * when another piece has arrived. What lies in the ring for units that were skipped is dropped. */
bool window_want(struct window *w, uint32_t unit);
void window_leave(struct window *w, uint32_t unit);
/* Where a streamed piece of a wanted unit lies. */
uint64_t window_place(const struct window *w, uint32_t piece);

uint64_t window_ring(const struct window *w);
/* A larger ring, from now on. */
void window_grow(struct window *w, uint64_t ring);
/* A piece that was resident streams from now on: its room went to the ring. Only between steps,
 * with nothing being read; the ring is emptied. */
void window_release(struct window *w, uint32_t piece);

/* --- figures --- */

struct window_prediction {
	uint64_t resident, ring, streamed;             /* bytes; streamed: at every step */
	double disk_seconds, compute_seconds, seconds; /* of a step */
	bool disk_binds;
};

/* A step with this choice: reading overlaps computing, so the slower one counts. more: bytes that a
 * step reads beside; disk: bytes a second; compute_seconds: of a step with everything in memory. */
struct window_prediction window_predict(const struct window_piece *pieces, uint32_t n,
	uint64_t ring, uint64_t more, double disk, double compute_seconds);

/* What was seen over some steps, for the decision whether the ring should be larger. */
struct window_seen {
	double seconds;   /* of these steps */
	double disk_busy; /* seconds in which something was being read */
	double waited;    /* seconds in which the computing waited for a piece */
	uint64_t streamed;
};

/* Bytes by which the ring should grow at the cost of the resident set: when the disk stands still
 * although computing waits for it, more room ahead lets it run on. 0: leave it. largest: the
 * largest streamed piece. */
uint64_t window_adjust(const struct window_seen *seen, uint64_t largest);

#endif
