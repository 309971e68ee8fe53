/* A small model at hand and a large one of the swarm, with one vocabulary. In token mode they write one
 * answer together: the small one writes, and the large one says the tokens of which the small one is not
 * sure. Where the large one says every token, the small one drafts: several drafted tokens are checked in
 * one step of the large one, which costs little more than a step of one row where weights have to be read
 * and sums be sent (speculative decoding: Leviathan, Kalman and Matias, arXiv:2211.17192). Pure. */
#ifndef SCHED_TOKEN_MODE_H
#define SCHED_TOKEN_MODE_H

#include <stdbool.h>
#include <stdint.h>

/* --- whom to ask -------------------------------------------------------------------------------- */

/* The small model's second choice may be at most 1 - threshold times as likely as its first: else the
 * large one is asked. Neither what is drawn nor the temperature changes who decides. Given as the
 * margin between their logits up to which it is asked (model/token_signal.h): below 0 for threshold
 * 0, never; infinite for 1, always; greater thresholds give greater margins. */
float token_mode_margin(float threshold);

/* --- how much to draft -------------------------------------------------------------------------- */

#define TOKEN_DRAFT_MOST 8 /* tokens; as many rows more than one has a step of the large model */
/* A draft ends behind a token whose margin is not greater: what would follow is too likely in vain. */
#define TOKEN_DRAFT_MARGIN 0.7f

#define TOKEN_PATIENCE 0.5

/* Sums for the line through (count, seconds), older points counting less. */
struct token_line {
	double n, x, y, xx, xy;
};

/* What was seen of two models lately. All 0: nothing; then drafts are of medium length. */
struct token_pace {
	double accepted, rejected; /* drafted tokens, older ones counting less */
	struct token_line drafts,
		steps; /* of drafted tokens; of rows of a step of the large model */
	uint32_t idle; /* times in a row that nothing was to be drafted */
};

/* How many tokens the next draft should have for the most tokens a second; 0: the large model is
 * faster alone. Then one is drafted now and then nevertheless, to see whether that has changed. */
uint32_t token_pace_draft(struct token_pace *p);
/* The same where a step waits for its draft, but no longer than *patience, in seconds: TOKEN_PATIENCE, or what two steps
 * take; one step where it only looks whether that has changed. More than one token only if so many are likely to be
 * there in half of that. */
uint32_t token_pace_in_time(struct token_pace *p, double *patience);
/* Of a draft so many were checked, up to the first that was not accepted, and so many accepted. */
void token_pace_checked(struct token_pace *p, uint32_t checked, uint32_t accepted);
void token_pace_drafted(struct token_pace *p, uint32_t tokens, double seconds);
/* A step of the large model with so many rows. */
void token_pace_step(struct token_pace *p, uint32_t rows, double seconds);

#endif
