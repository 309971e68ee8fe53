/* Inside of the star: star.c (waiting, steps), star_reduce.c (sums), star_answer.c (logits),
 * star_receive.c (what arrives), star_new.c. */
#ifndef DAEMON_STAR_INT_H
#define DAEMON_STAR_INT_H

#include "daemon/star.h"
#include "daemon/step_rows.h"

struct star_message {
	struct frame frame;
	uint8_t *data;
};

struct star_peer {
	struct star *star;
	struct link *link; /* NULL: gone */
	uint32_t rank;
	bool owes; /* the frame `due` is awaited; it is not used yet */
	struct frame due;
	/* What has come and is not used yet. Sums and parts of them: a peer can be one ahead of us,
	 * as it needs ours to go on. Of others (STEP, LOGITS) there is one at a time. */
	struct star_message sums[2];
	uint32_t n_sums;
	struct star_message other;
	bool have_other;
	size_t sums_room, other_room;
};

struct star {
	struct collective collective; /* first: the forward pass knows only this */
	uv_loop_t *loop;
	uv_timer_t timer;
	struct star_config c;
	struct slice *slices;
	char (*names)[PEER_NAME];
	struct star_peer *peers; /* those that there are links to, by rank: a member's hub first */
	uint32_t n_peers;
	uint32_t step;
	bool in_step;    /* hub: members may send */
	uint32_t *wants; /* flags of the step's rows that want logits, in order */
	uint32_t n_wants;
	const float *given; /* member: logits of the step that it has ended; NULL: none */
	uint8_t *head;      /* frame header and step rows */
	uint8_t *out;       /* packed rows */
	float *sums;        /* being added; only where peers add in another order than they hear */
	uint64_t spin_ns, reduce_ns, sent, received;
	bool broken;
	char who[PEER_NAME];
	struct err why;
};

extern const struct link_events star_link_events; /* arg: struct star_peer */

/* --- star_receive.c --- */

/* What has come of the peer where p->due is awaited; NULL: nothing yet. */
const struct frame *star_first(const struct star_peer *p);
/* The peer's frame was the one that is awaited: makes room for its next. */
void star_used(struct star_peer *p);
/* The frame is not the one that is awaited (p->due). */
int star_check_due(const struct star_peer *p, const struct frame *f, struct err *err);

/* --- star.c --- */

int star_broken_err(const struct star *s, struct err *err);
/* Breaks the group for the peer's fault; a member tells the hub whose fault it is. */
void star_blame(struct star_peer *p, const char *why);
struct frame star_frame(const struct star *s, enum frame_kind kind, enum frame_format format,
	uint32_t rows, uint32_t width);
/* Waits for what every peer owes, what came early included. */
int star_collect(struct star *s, struct err *err);
/* Waits until all is written: who computes next does not turn the loop. */
int star_flush(struct star *s, struct err *err);
void star_send(struct star_peer *p, const uint8_t *head, size_t head_len, const void *body,
	size_t body_len);

/* --- star_reduce.c --- */

int star_allreduce(struct collective *c, float *rows, uint32_t n, uint32_t width, uint32_t layer,
	uint32_t phase, struct err *err);

/* --- star_answer.c --- */

/* Member: the hub wants all of some rows. */
int star_asked(struct star *s, const struct frame *f, const uint8_t *which, struct err *err);

#endif
