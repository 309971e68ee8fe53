/* Whether an endpoint may be called now: a circuit breaker (M. Nygard, "Release It!", 2007, "Circuit
 * Breaker"). Pure: milliseconds of any clock that does not go back are arguments.
 *
 *   closed     calls pass. It opens after BREAKER_IN_A_ROW failures in a row, when of at least
 *              BREAKER_LEAST calls that ended within BREAKER_WINDOW_MS half or more failed, at once
 *              when no connection could be made (who is offline should not make the next one wait),
 *              and when the endpoint says when to come again (Retry-After).
 *   open       nothing passes until a time: BREAKER_OPEN_MS after it opened, twice as long after
 *              each probe that failed; or what Retry-After says.
 *   half-open  the time has passed: one call, the probe, may pass. It closes the breaker or opens
 *              it again; when it is dropped, another one may try.
 *   off        the key was refused (401, 403): nothing passes until breaker_reset, which is when
 *              the configuration is read again.
 *
 * What an endpoint refuses as malformed (400 and the like) is a failure of the request: the endpoint
 * works, and the same request will not do better there. */
#ifndef SCHED_BREAKER_H
#define SCHED_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

#define BREAKER_IN_A_ROW    3
#define BREAKER_LEAST       10
#define BREAKER_WINDOW_MS   30000
#define BREAKER_WINDOW      64 /* ends remembered: of more in the window the last ones count */
#define BREAKER_OPEN_MS     5000
#define BREAKER_OPEN_MAX_MS 60000
#define BREAKER_RETRY_MAX_MS                                                                       \
	(24 * 3600 * UINT64_C(1000)) /* of Retry-After: nobody is off for ever */

enum breaker_state { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_HALF_OPEN, BREAKER_OFF };

enum breaker_outcome {
	BREAKER_OK,
	BREAKER_FAILED,  /* server error, time is over, cut, nonsense */
	BREAKER_OFFLINE, /* no connection: nothing was sent */
	BREAKER_BUSY,    /* 429: too many requests */
	BREAKER_REFUSED, /* 400 and the like: the request's fault */
	BREAKER_DENIED,  /* 401, 403: the key's fault */
	BREAKER_DROPPED  /* ended by us: says nothing */
};

/* All zero: closed. */
struct breaker {
	enum breaker_state
		state;      /* closed, open or off; half-open is open when its time has come */
	uint32_t age;       /* counts changes of state: a call knows in which it began */
	uint32_t reset_age; /* calls that are older are nobody's business */
	bool probing;       /* the probe is under way */
	uint64_t until;     /* open: no call before */
	uint64_t open_ms;   /* what it was opened for by guess last; 0: none since it closed */
	uint32_t in_a_row;  /* failures */
	struct {
		uint64_t at;
		bool failed;
	} ends[BREAKER_WINDOW];
	uint32_t n_ends, next;
};

/* A call's leave to be made; it ends exactly once, with breaker_end. */
struct breaker_call {
	uint32_t age;
	bool probe;
};

enum breaker_state breaker_state(const struct breaker *b, uint64_t now);
/* "closed", "open", "half-open", "off": also the label in metrics. */
const char *breaker_word(enum breaker_state state);

/* Whether a call would pass now. When not, *wait_ms (may be NULL) is the time until it may; 0 where
 * no time is known: a probe is under way, or it is off. */
bool breaker_passes(const struct breaker *b, uint64_t now, uint64_t *wait_ms);
/* Takes leave for one call; false: it must not be made. */
bool breaker_begin(struct breaker *b, uint64_t now, struct breaker_call *call);
/* Its answer has begun: a probe need not end before others may follow. Its end counts as any other's. */
void breaker_heard(struct breaker *b, struct breaker_call *call);
/* retry_after_ms: what the endpoint said, 0: nothing. What began before the last change of state
 * says nothing about the present one, except for a key that was refused, and Retry-After. */
void breaker_end(struct breaker *b, const struct breaker_call *call, enum breaker_outcome outcome,
	uint64_t retry_after_ms, uint64_t now);
/* The configuration was read again: closed, whatever calls that are under way will say. */
void breaker_reset(struct breaker *b);

/* Whether the same request may be sent once more, to this endpoint or another one, as long as
 * nothing of an answer was used. */
bool breaker_retryable(enum breaker_outcome outcome);

#endif
