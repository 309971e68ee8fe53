/* Inside of the star: star.c (waiting, exchanges), star_answer.c (logits), star_receive.c (what
 * arrives), star_new.c. */
#ifndef DAEMON_STAR_INT_H
#define DAEMON_STAR_INT_H

#include "daemon/star.h"

#define STEP_ROW_BYTES 12

struct star_peer {
	struct star *star;
	struct link *link; /* NULL: gone */
	uint32_t rank;
	bool have; /* frame and data hold a message that has not been used */
	struct frame frame;
	uint8_t *data;
	size_t room;
};

struct star {
	struct collective collective; /* first: the forward pass knows only this */
	uv_loop_t *loop;
	uv_timer_t timer;
	struct star_config c;
	struct slice *slices;
	char (*names)[PEER_NAME];
	struct star_peer *peers; /* hub: members by rank - 1; member: the hub */
	uint32_t n_peers;
	uint32_t step;
	bool in_step; /* hub: members may send */
	bool wanting; /* the frame that is due is known: */
	struct frame want;
	float *sum;      /* member: where the sum goes */
	uint32_t *wants; /* flags of the step's rows that want logits, in order */
	uint32_t n_wants;
	const float *given; /* member: logits of the step that it has ended; NULL: none */
	uint8_t *head;      /* frame header and step rows */
	uint8_t *out;       /* packed rows */
	uint64_t spin_ns, reduce_ns, sent, received;
	bool broken;
	char who[PEER_NAME];
	struct err why;
};

extern const struct link_events star_link_events; /* arg: struct star_peer */

/* Whether the frame is the one that is due (s->want). */
int star_check_due(
	const struct star *s, const struct star_peer *p, const struct frame *f, struct err *err);

/* --- star.c --- */

int star_broken_err(const struct star *s, struct err *err);
/* Turns the loop until no peer is late any more. */
int star_wait(struct star *s, bool (*late)(const struct star_peer *p), struct err *err);
bool star_unsent(const struct star_peer *p);
struct frame star_frame(const struct star *s, enum frame_kind kind, enum frame_format format,
	uint32_t rows, uint32_t width);
/* Waits for the frame that is due from every peer, those that came early included. */
int star_collect(struct star *s, const struct frame *due, bool (*late)(const struct star_peer *p),
	struct err *err);
void star_send(struct star_peer *p, const uint8_t *head, size_t head_len, const void *body,
	size_t body_len);

/* --- star_answer.c --- */

/* Bytes of what a peer says of its vocabulary slice for so many rows, at most. */
size_t star_logits_bytes(uint32_t rows, uint32_t vocab);
/* Member: the hub wants all of some rows. */
int star_asked(struct star *s, const struct frame *f, const uint8_t *which, struct err *err);

int star_allreduce(struct collective *c, float *rows, uint32_t n, uint32_t width, uint32_t layer,
	uint32_t phase, struct err *err);

#endif
