/* Who is asked for which chunk next, while a shard is fetched from several sides: from the home of the
 * model, which has everything (the coordinator), and from peers that have some of it.
 *
 * Rarest first, as in BitTorrent (Cohen, Incentives Build Robustness in BitTorrent, 2003, 2.4.2): a
 * source is asked for the chunk that the fewest others could give, so that no one is left with a tail
 * that only it has. How much a source is asked for at once follows what it gave: so many bytes as it
 * would give in FETCH_AHEAD, at least one chunk, at most FETCH_WINDOW. A fast one is so asked for more,
 * and what waits for a slow one is little.
 *
 * Home has other things to do: it plans, samples and answers. For what peers have it is asked only when
 * they would need longer than FETCH_HELP for it, and for nothing before it is known what peers have.
 *
 * A source that gives wrong bytes is given up at once, and so is a peer that gives nothing for
 * FETCH_STALL and the time that what it owes takes at FETCH_LEAST: what it was asked for is asked of
 * others. Home alone is not given up for being slow: there may be nobody else.
 *
 * Pure: times are microseconds of any steady clock. Memory is taken in fetch_new only. */
#ifndef SCHED_FETCH_H
#define SCHED_FETCH_H

#include <stdbool.h>
#include <stdint.h>

#define FETCH_SOURCES 9 /* at a time */
#define FETCH_NONE    UINT32_MAX

#define FETCH_FIRST  (512u << 10) /* bytes that a source is asked for before it has given any */
#define FETCH_AHEAD  250000       /* us */
#define FETCH_WINDOW (4u << 20)   /* bytes */
#define FETCH_ASKED  64           /* chunks of a source under way, at most */
#define FETCH_HELP   1000000      /* us */
#define FETCH_STALL  2000000      /* us */
#define FETCH_LEAST  (256u << 10) /* bytes a second */

struct fetch;

/* n chunks of so many bytes each, all missing; `bytes` is copied. NULL: out of memory. */
struct fetch *fetch_new(const uint32_t *bytes, uint32_t n);
void fetch_free(struct fetch *f);

/* A chunk is there: it need not be fetched. */
void fetch_have(struct fetch *f, uint32_t chunk);

/* A source that can be asked from now on; home: it has every chunk. Its number, or FETCH_NONE: there are
 * FETCH_SOURCES already. Of a peer every chunk that it has follows. */
uint32_t fetch_join(struct fetch *f, bool home, uint64_t now);
void fetch_covers(struct fetch *f, uint32_t source, uint32_t chunk);
/* Peers are still to come: home is not asked before that time; 0: all have come. */
void fetch_gather(struct fetch *f, uint64_t until);
/* It is gone, or given up. */
void fetch_leave(struct fetch *f, uint32_t source);

/* The chunk that this source is to be asked for now, which counts as asked; FETCH_NONE: for none now.
 * Asked again after each of the calls here, until it is FETCH_NONE. */
uint32_t fetch_next(struct fetch *f, uint32_t source, uint64_t now);

enum fetch_verdict {
	FETCH_TAKEN,
	FETCH_WRONG, /* the source is to be given up: fetch_leave */
};
/* The source gave a chunk; right: its hash says so. One that it was not asked for is FETCH_WRONG. */
enum fetch_verdict fetch_came(
	struct fetch *f, uint32_t source, uint32_t chunk, bool right, uint64_t now);
/* It says that it has that chunk no more. FETCH_WRONG: home says so, or it was not asked. */
enum fetch_verdict fetch_lacks(struct fetch *f, uint32_t source, uint32_t chunk, uint64_t now);

/* A peer that is to be given up because it is too slow; FETCH_NONE: none. Asked now and then. */
uint32_t fetch_stalled(const struct fetch *f, uint64_t now);

/* Chunks that are not there yet, and whether a source has one of them. */
uint32_t fetch_missing(const struct fetch *f);
bool fetch_wants(const struct fetch *f, uint32_t source);

/* What a source gave and what it is believed to give. */
uint64_t fetch_bytes(const struct fetch *f, uint32_t source);
double fetch_speed(const struct fetch *f, uint32_t source); /* bytes a second; 0: not known yet */

#endif
