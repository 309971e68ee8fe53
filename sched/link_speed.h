/* What a link between two peers takes, from times that the caller measures: its round trip, over a
 * window of pings, and its bandwidth, from a short burst of large messages that are each answered.
 * Pure. Times are in microseconds of any steady clock. */
#ifndef SCHED_LINK_SPEED_H
#define SCHED_LINK_SPEED_H

#include <stdbool.h>
#include <stdint.h>

enum {
	RTT_WINDOW = 256, /* round trips that count, the last ones */
	RTT_ENOUGH = 16   /* for a median and a percentile that mean something */
};

struct rtt_window {
	uint32_t us[RTT_WINDOW];
	uint32_t n, next;
};

void rtt_add(struct rtt_window *w, uint64_t us);
/* The round trip that so many percent (1 to 100) of the window's do not exceed (nearest rank); 0:
 * there is none. */
uint32_t rtt_percentile(const struct rtt_window *w, unsigned percent);

enum {
	BURST_PIECE = 60000, /* bytes: a message that fits one record */
	BURST_PIECES = 70,   /* at most: 4.2 MB ... */
	BURST_US = 200000    /* ... and none is sent after this time */
};

/* A burst begins with two pieces under way and lets one more go with each answer, so that a slow
 * link is not flooded. The speed is that of the second half, when both sides and TCP have warmed
 * up. */
struct burst {
	uint64_t began;
	uint32_t sent, answered, room; /* room: pieces that may be under way */
	uint64_t at[BURST_PIECES];     /* answers */
};

void burst_begin(struct burst *b, uint64_t now);
/* How many pieces are to be sent now; they count as sent. */
uint32_t burst_more(struct burst *b, uint64_t now);
/* A piece was answered (an answer that nothing was sent for is passed over). */
void burst_answer(struct burst *b, uint64_t now);
/* All that was sent has been answered, and no more goes out. */
bool burst_over(const struct burst *b, uint64_t now);
double burst_bytes_per_s(const struct burst *b); /* 0: nothing was answered */

#endif
