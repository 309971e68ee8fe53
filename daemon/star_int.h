/* Inside of the star: star.c (waiting, steps), star_reduce.c (sums), star_ways.c, star_rows.c (their ways), star_answer.c
 * (logits), star_receive.c (what arrives), star_queue.c (what waits), star_new.c. */
#ifndef DAEMON_STAR_INT_H
#define DAEMON_STAR_INT_H

#include "daemon/spin.h"
#include "daemon/star.h"
#include "daemon/star_queue.h"
#include "daemon/step_rows.h"

struct star_peer {
	struct star *star;
	struct link *link; /* NULL: gone */
	uint32_t rank;
	struct star_queue parts, sums; /* PART and SUM frames that are not used yet */
	/* Of others (STEP, LOGITS) there is one at a time. */
	struct {
		struct frame frame;
		uint8_t *data;
	} other;
	bool have_other;
	size_t other_room;
	bool owes; /* a member: its LOGITS, `due`, are awaited; they are not used yet */
	struct frame due;
};

/* A reduction that has begun and not finished. */
struct star_sum {
	struct frame frame; /* of whole rows; its kind does not count */
	enum collective_way way;
	float *rows;
	const struct collective_rows *made; /* by rows: what comes of it */
	bool added; /* of a way with two hops: the first is over here, what is added has been sent */
};

struct star {
	struct collective collective; /* first: the forward pass knows only this */
	uv_loop_t *loop;
	uv_timer_t timer;
	struct star_config c;
	struct slice *slices;
	uint32_t row_shares[SLICE_MAX_PEERS];
	char (*names)[PEER_NAME];
	struct star_peer *peers; /* those that there are links to, by rank: a member's hub first */
	uint32_t n_peers;
	uint32_t step;
	enum frame_format format; /* of the step's sums */
	bool rows_fit;            /* sums may go by rows */
	bool in_step;             /* hub: members may send */
	uint32_t *wants;          /* flags of the step's rows that want logits, in order */
	uint32_t n_wants;
	const float *given; /* member: logits of the step that it has ended; NULL: none */
	uint8_t *head;      /* frame header and step rows */
	uint8_t *out;       /* packed rows */
	float *sums;        /* being added; only where peers add in another order than they hear */
	struct star_sum under_way[COLLECTIVE_AT_ONCE]; /* the one that began first, first */
	uint32_t n_under_way;
	uint64_t reduce_ns, sent, received;
	struct spins spins;
	bool broken;
	char who[PEER_NAME];
	struct err why;
};

extern const struct link_events star_link_events; /* arg: struct star_peer */

/* --- star_receive.c --- */

struct star_queue *star_queue_of(struct star_peer *p, enum frame_kind kind);
/* The frame is not the one that is due. */
int star_check_due(const struct frame *f, const struct frame *due, struct err *err);

/* --- star.c --- */

int star_broken_err(const struct star *s, struct err *err);
/* Breaks the group for the fault of that rank and tells all others whose fault it is: each of them may see this
 * peer's links close before those of the one that is lost. Also what others say is passed on, for the same reason. */
void star_lose(struct star *s, uint32_t blamed, const char *why);
void star_blame(struct star_peer *p, const char *why); /* the same, of a peer */
struct frame star_frame(const struct star *s, enum frame_kind kind, enum frame_format format,
	uint32_t rows, uint32_t width);
/* Waits until no peer is late any more. Meanwhile reductions that are under way go on. */
int star_wait_for(struct star *s, bool (*late)(const struct star_peer *p), struct err *err);
/* Waits until all is written: who computes next does not turn the loop. */
int star_flush(struct star *s, struct err *err);
void star_send(struct star_peer *p, const uint8_t *head, size_t head_len, const void *body,
	size_t body_len);

/* --- star_reduce.c --- */

extern const struct collective star_reductions;

/* How the sums of a step of so many rows travel. */
enum frame_format star_format(const struct star_config *c, uint32_t step_rows);

/* Which frame of this kind the peer will send after `behind` others that are due of that kind; false: nothing
 * that is under way here needs one more. */
bool star_next_due(
	const struct star_peer *p, enum frame_kind kind, uint32_t behind, struct frame *due);
/* Adds and sends on what of reductions with two hops is there. Never waits. */
void star_advance(struct star *s);

/* --- star_ways.c --- */

/* Sends what lies in s->out, of the frame's rows and width; nothing, where it has none. */
void star_send_rows(struct star_peer *p, const struct frame *f);
void star_send_to_all(struct star *s, const struct frame *f);
/* How many columns a rank adds where each adds a part of them. */
uint32_t star_columns(const struct star_config *c, uint32_t rank);

/* own[rows][embd], which are this peer's: adds those that lie first in its peers' queues of parts, in the order of ranks,
 * and drops them. */
void star_add_parts(struct star *s, float *own, uint32_t rows);
/* A reduction begins: sends what the way wants of this peer's part. */
void star_begin_sum(struct star *s, struct star_sum *r);
/* The first hop is over, as all parts are there: adds them and sends the sum on. Of a way with one hop: nothing,
 * -1. */
int star_add_sum(struct star *s, struct star_sum *r);
/* All that it needs is there. */
void star_finish_sum(struct star *s, struct star_sum *r);
/* Whether a frame of this kind of the peer is part of it, and which. */
bool star_sum_needs(const struct star_peer *p, const struct star_sum *r, enum frame_kind kind,
	struct frame *due);

/* --- star_rows.c: the way by rows --- */

/* Whether the plan allows it at all. */
bool star_rows_fit(const struct star_config *c);
/* The longest that a rank can make of so many rows. */
size_t star_made_bytes(const struct star_config *c, uint32_t rank, uint32_t n);
/* As those of star_ways.c. */
void star_begin_rows(struct star *s, const struct star_sum *r);
void star_add_rows(struct star *s, const struct star_sum *r);
void star_finish_rows(struct star *s, const struct star_sum *r);
bool star_rows_need(const struct star_peer *p, const struct star_sum *r, struct frame *due);

/* --- star_answer.c --- */

/* Member: the hub wants all of some rows. */
int star_asked(struct star *s, const struct frame *f, const uint8_t *which, struct err *err);

#endif
