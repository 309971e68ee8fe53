/* A small model at home and a cloud write one answer together. Over HTTP each question carries prompt and
 * text so far again, so the cloud is not asked for tokens but for segments: the small model writes, where
 * it is unsure for a while the cloud goes on from before its doubts, then the small one again. And
 * only while that is forecast to cost no more than asking the cloud for all of the answer at once. Pure. */
#ifndef SCHED_SEGMENTS_H
#define SCHED_SEGMENTS_H

#include "sched/purse.h"

/* --- when to ask -------------------------------------------------------------------------------- */

/* From its first doubtful token on (whose margin is not above that of the threshold, sched/token_mode.h)
 * so many tokens of the small model are held; when so many of them are doubtful it is unsure. */
#define SEGMENT_HOLD   8
#define SEGMENT_DOUBTS 3

struct segment_doubt { /* all 0: no token is held */
	uint8_t held, doubts;
};

enum segment_word {
	SEGMENT_SURE, /* what is held stands, this token too */
	SEGMENT_HELD, /* it is held */
	SEGMENT_ASK   /* what is held falls: the cloud says what comes instead */
};

/* One more token. last: none can follow it. Whatever is not HELD leaves nothing held. */
enum segment_word segment_token(struct segment_doubt *d, bool doubtful, bool last);

/* --- for how much ------------------------------------------------------------------------------- */

#define SEGMENT_LEAST 32 /* tokens */

struct segment_query {
	struct purse_price price;
	uint32_t prompt;   /* tokens, about */
	uint32_t expected; /* tokens of the whole answer, about */
	uint32_t said;     /* of it until now, by both */
	uint32_t most;     /* that can still be said, and that the cloud gives at once */
	uint32_t asked;    /* segments until now, */
	uint64_t spent;    /* and what they cost: micro-units */
};

/* What asking for all of the answer at once would have cost; PURSE_UNKNOWN: nobody knows. The answer is
 * taken to be as long as expected, or a segment longer than what has been said. */
uint64_t segment_whole(const struct segment_query *q);
/* What all segments of the answer will have cost when the next one has so many tokens, and those that
 * must be expected behind it, at the rate of those until now, as many each. */
uint64_t segment_forecast(const struct segment_query *q, uint32_t tokens);
/* The shortest segment, of 32 tokens, twice as many and so on, or all that can be said, whose forecast is
 * not above segment_whole. 0: there is none, and the cloud is asked no more. */
uint32_t segment_next(const struct segment_query *q);

#endif
