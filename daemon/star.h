/* The star: a group's links as its engine thread sees them. Partial sums are added over the hub, or
 * over links between all (model/collective.h says the ways), always in rank order, so that every
 * peer holds the same bits. The hub is at the centre of the rest in any case: it also carries a step to the
 * members and what they say of their logits to the hub: the best tokens, or all of them where a row's flags want that.
 *
 * Lives on the engine's loop and turns it while it waits: first without sleeping for a bounded
 * time, then blocking. A frame that is not the one that is due, a lost link or an answer that does
 * not come breaks the group for good; the reason names the peer. Every buffer is allocated by
 * star_new. */
#ifndef DAEMON_STAR_H
#define DAEMON_STAR_H

#include "daemon/link.h"
#include "model/candidates.h"
#include "model/collective.h"
#include "model/forward.h"
#include "proto/frame.h"
#include "proto/invite.h"

#define STAR_ANSWER_MS 10000 /* a member that is silent for longer breaks the group */

struct star_config {
	uint64_t epoch;
	const struct slice *slices; /* of all peers by rank; copied */
	uint32_t rank, peers;
	uint32_t embd, vocab;
	uint32_t max_rows;   /* in a step */
	uint32_t max_logits; /* rows of a step that want logits */
	uint32_t slots, context;
	/* Of partial sums and sums; of steps of COLLECTIVE_ROWS_FROM rows and more, the prompt's. */
	struct sum_format format;
	char (*names)[PEER_NAME]; /* by rank; copied */
	enum collective_way way;
	const uint32_t *row_shares;  /* by rank, all 0 or NULL: sums never go by rows; copied */
	struct link_detached *links; /* star_links() of them; taken, also on failure */
};

/* How many links a peer has: with WAY_STAR members have one, to the hub; else one to each other
 * peer, by rank. With two peers that is the same. */
uint32_t star_links(uint32_t rank, uint32_t peers, enum collective_way way);

struct star;

/* The loop has no other handles yet. */
struct star *star_new(uv_loop_t *loop, const struct star_config *c, struct err *err);
/* Of a broken group: lets go out what is queued, so that the others hear whose fault it is, but does not wait long
 * for it. */
#define STAR_DRAIN_MS 100
void star_drain(struct star *s);
/* Closes links and timer; the loop must be turned until nothing is left on it, then star_free. */
void star_close(struct star *s);
void star_free(struct star *s);

/* The longest message of a tensor link with these numbers. */
size_t star_max_message(uint32_t max_rows, uint32_t max_logits, uint32_t embd, uint32_t vocab);

/* What star_new would allocate for messages. */
uint64_t star_bytes(const struct star_config *c);

struct collective *star_collective(struct star *s);
/* Whether sums of steps of a and of b rows go the same way in a group with these numbers (peers, embd, format, way,
 * row_shares): where sums are rounded, another way rounds elsewhere. */
bool star_alike(const struct star_config *c, uint32_t a, uint32_t b);

/* Gives the group up; whoever waits stops waiting. `who` may be "". The first reason stays. */
void star_break(struct star *s, const char *who, const char *why);
bool star_broken(const struct star *s);
const char *star_broken_who(const struct star *s); /* the peer's name, or "" */
const char *star_broken_why(const struct star *s);

/* Hub: begins a step: its rows and their embeddings go to all members. first: of two sub-batches that take
 * turns, the rows of the first; 0: the step is not divided. */
int star_step(struct star *s, const struct step_row *rows, uint32_t n, uint32_t first,
	const float *x, struct err *err);
/* Hub: ends it where no logits come of it: these peers have no part of the vocabulary. */
void star_end(struct star *s);
/* Hub: ends it. own: this peer's part of the rows that want logits, in their order. Of each of them,
 * best receives the best tokens, or, where it has STEP_WHOLE, whole[vocab] all its logits. */
int star_gather(struct star *s, const float *own, struct best *best, float *whole, struct err *err);
/* Hub, after star_gather: the best tokens of n of these rows did not decide; which: their numbers. */
int star_ask(struct star *s, const uint32_t *which, uint32_t n, const float *own, float *whole,
	struct err *err);

/* Member: waits a moment without sleeping, then once until something happens; true when a step has
 * come: rows[*n], x[*n][embd], *first as above. */
bool star_next(struct star *s, struct step_row *rows, float *x, uint32_t *n, uint32_t *first);
/* Member: ends the step with its part of the rows that want logits, which stays as it is until the
 * next step has come: the hub may ask for more of it. */
int star_answer(struct star *s, const float *logits, struct err *err);
/* Member: tells the others that it cannot go on. */
void star_void(struct star *s);

struct star_stats {
	double reduce_seconds; /* waiting for sums, and adding them */
	uint64_t sent_bytes, received_bytes;
};
struct star_stats star_stats(const struct star *s);

#endif
