/* How many tokens to guess ahead (model/lookup.h). A step checks them beside the row that it computes in any case: it
 * costs little more where weights have to be read and sums be sent for one row as for many, and says as many tokens
 * more as were guessed right. Where arithmetic is the bound, or guesses are mostly wrong, it costs more than it brings.
 * So both are watched: what steps take, by their rows, and how often guesses are right, by how much of the text before
 * agreed.
 *
 * Pure: times are arguments. */
#ifndef SCHED_GUESS_H
#define SCHED_GUESS_H

#include <stdbool.h>
#include <stdint.h>

enum {
	GUESS_MOST = 8,  /* tokens of a session in a step */
	GUESS_ROWS = 32, /* steps of no more rows are watched: those of generation */
	GUESS_KINDS = 5  /* of guesses */
};

struct guess_pace { /* all 0: nothing was seen */
	struct guess_odds {
		double right, wrong; /* guesses of this kind, older ones counting less */
		uint32_t idle;       /* times in a row that it was better not to guess */
	} odds[GUESS_KINDS];
	double seconds[GUESS_ROWS + 1]; /* of steps of so many rows */
	uint32_t seen[GUESS_ROWS + 1];  /* the number of the last one; 0: none */
	uint32_t steps;
};

/* Tokens that a step yields which checks k guesses, each right with probability a if those before it were:
 * 1 + a + ... + a^k (Leviathan, Kalman and Matias, arXiv:2211.17192, equation 1). */
double guess_yield(double a, uint32_t k);

/* How many to check in a step of so many rows without them, of at most `most` that were found behind `matched` tokens.
 * Where that is none, one is checked now and then nevertheless, to see whether it has changed; and now and then none is,
 * since others learn from steps of one row. */
uint32_t guess_length(struct guess_pace *p, uint32_t matched, uint32_t rows, uint32_t most);
/* Whether the next step is better made without any, for these others: it is one in sixteen. */
bool guess_pauses(const struct guess_pace *p);
/* Of such guesses so many were checked, up to the first wrong one, and so many right. */
void guess_checked(struct guess_pace *p, uint32_t matched, uint32_t checked, uint32_t right);
/* A step took so long. */
void guess_step(struct guess_pace *p, uint32_t rows, double seconds);

#endif
