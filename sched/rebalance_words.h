/* What a re-balancing did, in words for people: "laptop became 2.1 times slower: 34% of the layers'
 * columns moved to pi-kitchen". */
#ifndef SCHED_REBALANCE_WORDS_H
#define SCHED_REBALANCE_WORDS_H

#include <stddef.h>
#include <stdint.h>

struct rebalance_share {
	const char *name;
	double before, after; /* part of the layers' columns, 0 to 1; 0: it has no slice */
};

/* "laptop became 2.1 times slower"; factor: how fast it is now by how fast it was taken to be. */
void rebalance_reason(char *out, size_t size, const char *who, double factor);

/* "with other slices a token took 30% longer": why a change is taken back. */
void rebalance_back_reason(char *out, size_t size, double before_s, double after_s);

/* What follows the colon. who: the one whose speed changed; shares in the order in which they are to be
 * named, at most three on each side. */
void rebalance_moved(
	char *out, size_t size, const char *who, const struct rebalance_share *shares, uint32_t n);

#endif
