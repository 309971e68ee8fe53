#include "sched/breaker.h"

#include <stddef.h>

enum breaker_state
breaker_state(const struct breaker *b, uint64_t now)
{
	return b->state == BREAKER_OPEN && now >= b->until ? BREAKER_HALF_OPEN : b->state;
}

const char *
breaker_word(enum breaker_state state)
{
	static const char *const words[] = {"closed", "open", "half-open", "off"};

	return words[state];
}

bool
breaker_passes(const struct breaker *b, uint64_t now, uint64_t *wait_ms)
{
	enum breaker_state state = breaker_state(b, now);

	if (wait_ms != NULL)
		*wait_ms = state == BREAKER_OPEN ? b->until - now : 0;
	return state == BREAKER_CLOSED || (state == BREAKER_HALF_OPEN && !b->probing);
}

bool
breaker_begin(struct breaker *b, uint64_t now, struct breaker_call *call)
{
	if (!breaker_passes(b, now, NULL))
		return false;
	call->age = b->age;
	call->probe = b->state == BREAKER_OPEN;
	b->probing |= call->probe;
	return true;
}

static void
enter(struct breaker *b, enum breaker_state state)
{
	b->state = state;
	b->age++;
	b->probing = false;
	b->in_a_row = 0;
	b->n_ends = 0;
}

static void
close_up(struct breaker *b)
{
	enter(b, BREAKER_CLOSED);
	b->open_ms = 0;
}

/* Opens, or opens again after a probe: then for twice as long. What the endpoint says goes before
 * what is guessed here. */
static void
open_up(struct breaker *b, uint64_t retry_after_ms, uint64_t now)
{
	uint64_t ms = b->open_ms == 0 ? BREAKER_OPEN_MS : 2 * b->open_ms;

	if (retry_after_ms == 0)
		b->open_ms = ms < BREAKER_OPEN_MAX_MS ? ms : BREAKER_OPEN_MAX_MS;
	b->until = now + (retry_after_ms > 0 ? retry_after_ms : b->open_ms);
	enter(b, BREAKER_OPEN);
}

void
breaker_heard(struct breaker *b, struct breaker_call *call)
{
	if (!call->probe || call->age != b->age)
		return;
	close_up(b);
	call->age = b->age;
	call->probe = false;
}

static void
remember(struct breaker *b, bool failed, uint64_t now)
{
	b->ends[b->next].at = now;
	b->ends[b->next].failed = failed;
	b->next = (b->next + 1) % BREAKER_WINDOW;
	b->n_ends += b->n_ends < BREAKER_WINDOW;
	b->in_a_row = failed ? b->in_a_row + 1 : 0;
}

static bool
too_many(const struct breaker *b, uint64_t now)
{
	uint32_t n = 0, failed = 0;

	for (uint32_t i = 1; i <= b->n_ends; i++) {
		uint32_t at = (b->next + BREAKER_WINDOW - i) % BREAKER_WINDOW;

		if (now - b->ends[at].at >= BREAKER_WINDOW_MS)
			break;
		n++;
		failed += b->ends[at].failed;
	}
	return b->in_a_row >= BREAKER_IN_A_ROW || (n >= BREAKER_LEAST && 2 * failed >= n);
}

static bool
is_failure(enum breaker_outcome outcome)
{
	return outcome == BREAKER_FAILED || outcome == BREAKER_OFFLINE || outcome == BREAKER_BUSY;
}

/* Of a call that began in an earlier state. */
static void
end_late(struct breaker *b, uint64_t retry_after_ms, uint64_t now)
{
	if (retry_after_ms == 0 || b->state == BREAKER_OFF)
		return;
	if (b->state == BREAKER_CLOSED)
		open_up(b, retry_after_ms, now);
	else if (b->until < now + retry_after_ms)
		b->until = now + retry_after_ms;
}

static void
end_probe(struct breaker *b, enum breaker_outcome outcome, uint64_t retry_after_ms, uint64_t now)
{
	if (outcome == BREAKER_DROPPED)
		b->probing = false;
	else if (is_failure(outcome))
		open_up(b, retry_after_ms, now);
	else
		close_up(b);
}

void
breaker_end(struct breaker *b, const struct breaker_call *call, enum breaker_outcome outcome,
	uint64_t retry_after_ms, uint64_t now)
{
	if ((int32_t)(call->age - b->reset_age) < 0)
		return;
	if (retry_after_ms > BREAKER_RETRY_MAX_MS)
		retry_after_ms = BREAKER_RETRY_MAX_MS;
	if (!is_failure(outcome))
		retry_after_ms = 0;
	if (outcome == BREAKER_DENIED) {
		enter(b, BREAKER_OFF);
	} else if (call->age != b->age) {
		end_late(b, retry_after_ms, now);
	} else if (call->probe) {
		end_probe(b, outcome, retry_after_ms, now);
	} else if (outcome != BREAKER_DROPPED) {
		remember(b, is_failure(outcome), now);
		if (outcome == BREAKER_OFFLINE || retry_after_ms > 0 || too_many(b, now))
			open_up(b, retry_after_ms, now);
	}
}

void
breaker_reset(struct breaker *b)
{
	close_up(b);
	b->reset_age = b->age;
}

bool
breaker_retryable(enum breaker_outcome outcome)
{
	return is_failure(outcome);
}
