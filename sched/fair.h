/* Whose waiting request is next: round robin by client, so that one that sends a hundred requests
 * waits behind its own and not before others'. Pure: numbers of clients in, an index out.
 *
 * Of the clients that wait, the one that was served longest ago goes first, one that was never
 * served before all of these; of one client's requests the oldest. So with up to FAIR_CLIENTS of
 * them, between two requests of one client that always waits, each other one that always waits is
 * served exactly once, whatever anybody sends. This is fair queueing by source (J. Nagle, RFC 970, section 6)
 * without the queues: only the order of service is remembered. */
#ifndef SCHED_FAIR_H
#define SCHED_FAIR_H

#include <stdint.h>

#define FAIR_CLIENTS 64 /* remembered; who was served longer ago counts as never served */
#define FAIR_NONE    UINT32_MAX

/* All zero: nobody was served. */
struct fair {
	uint64_t client[FAIR_CLIENTS]; /* served last first */
	uint32_t n;
};

/* clients[n]: whose each waiting request is, oldest first. The index of the one that is next, or
 * FAIR_NONE when n is 0. O(n * FAIR_CLIENTS). */
uint32_t fair_next(const struct fair *f, const uint64_t *clients, uint32_t n);
/* The same for who walks a list: the first with the largest place is next. */
uint32_t fair_place(const struct fair *f, uint64_t client);
/* A request of this client was taken. */
void fair_served(struct fair *f, uint64_t client);

#endif
