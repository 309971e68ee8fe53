/* The ring: how rows go through the stages of a pipeline. The hubs of the stages are linked in their
 * order, the coordinator, which is the hub of the first one, with the last: hidden rows go straight from
 * stage to stage, and what the last one says of the logits comes back to the coordinator. With two stages
 * one link is both ways.
 *
 * Several steps are under way at a time, ring_depth() of them at most; every stage takes them in order and
 * holds those that wait for it. Steps are numbered, and a step that is not the next one, a frame that is
 * not due, and a lost link break the ring for good; the reason names the peer, and both neighbours are told
 * it, so that the coordinator hears who it was, however far away.
 *
 * Lives on the engine's loop, beside the star of its group. Every buffer is allocated by ring_new. */
#ifndef DAEMON_RING_H
#define DAEMON_RING_H

#include "daemon/link.h"
#include "model/candidates.h"
#include "model/forward.h"
#include "proto/frame.h"
#include "proto/invite.h"

/* The coordinator gives the ring up when a step is under way and none has come back for so long: a
 * stage may have a full chunk of a prompt from each step under way to compute. */
#define RING_ANSWER_MS 120000

#define RING_NOBODY UINT32_MAX

struct ring_config {
	uint64_t epoch;
	uint32_t stage, stages; /* the first one is the coordinator's; 2 at least */
	uint32_t embd, vocab;
	uint32_t max_rows;   /* in a step */
	uint32_t max_logits; /* rows of a step that want logits */
	uint32_t slots, context;
	enum frame_format format; /* of hidden rows: FRAME_F32 or FRAME_F16 */
	/* All peers of the plan, copied; which of them this one is, and the hubs beside it. */
	char (*names)[PEER_NAME];
	uint32_t n_names, own, before, behind;
	/* ring_links() of them: with the stage behind this one, then with the one before. Taken, also on
	 * failure. */
	struct link_detached *links;
};

uint32_t ring_links(uint32_t stages); /* of a hub */
uint32_t ring_depth(uint32_t stages);
uint64_t ring_bytes(const struct ring_config *c); /* what ring_new would allocate for messages */

struct ring;

struct ring *ring_new(uv_loop_t *loop, const struct ring_config *c, struct err *err);
/* Closes links and timer; the loop must be turned until nothing is left on it, then ring_free. */
void ring_close(struct ring *r);
void ring_free(struct ring *r);

/* Gives the ring up by the doing of a peer (its number, or RING_NOBODY) and tells the neighbours. The first
 * reason stays. */
void ring_break(struct ring *r, uint32_t blamed, const char *why);
/* The same without a word to anybody: the links will be closed, which says enough. */
void ring_stop(struct ring *r, const char *why);
bool ring_broken(const struct ring *r);
const char *ring_broken_who(const struct ring *r); /* the peer's name, or "" */
const char *ring_broken_why(const struct ring *r);

/* Looks what has come, waits a moment without sleeping, then once until something happens on the loop;
 * returns at once when *woken is set, a step or an answer waits, or the ring is broken. */
void ring_wait(struct ring *r, const bool *woken);

/* The coordinator begins a step with what the first stage has made of its rows; another stage passes the
 * one on that it took last. Not of the last stage. */
int ring_pass(
	struct ring *r, const struct step_row *rows, uint32_t n, const float *x, struct err *err);
/* Coordinator: steps that have begun and were not answered. */
uint32_t ring_under_way(const struct ring *r);
/* Coordinator: the answer to the oldest step under way, when it has come. Of each row that wants logits, in
 * order, best[] receives the best tokens, or, where it has STEP_WHOLE, whole[vocab] all of them. */
bool ring_answer(struct ring *r, struct best *best, float *whole);

/* Other stages: the next step, when it has come: rows[*n], x[*n][embd]. */
bool ring_take(struct ring *r, struct step_row *rows, float *x, uint32_t *n);
/* The last stage: what it says of the step that it took last, as ring_answer has it. */
int ring_give(struct ring *r, const struct best *best, const float *whole, struct err *err);

struct ring_stats {
	uint64_t sent_bytes, received_bytes;
};
struct ring_stats ring_stats(const struct ring *r);

#endif
