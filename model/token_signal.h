/* How sure a model was of what it said, from the logits that it computed anyway: of one token, and
 * of an answer. Pure, no allocation; of 128k logits about 0.1 ms on a core.
 *
 * Where peers hold parts of the vocabulary, each says of its part what token_part_of says of it;
 * merged, the parts give the same figures as all logits in one place would, to 1e-4. */
#ifndef MODEL_TOKEN_SIGNAL_H
#define MODEL_TOKEN_SIGNAL_H

#include <stdbool.h>
#include <stdint.h>

struct token_signal {
	float logp;    /* ln of the picked token's probability, <= 0 */
	float entropy; /* of the distribution, in nats, >= 0 */
	float margin; /* by which the best logit leads the second best, >= 0; at most TOKEN_MARGIN */
};

#define TOKEN_MARGIN 30.0f /* a lead that leaves no doubt; of a vocabulary of one, too */

/* What is to be known of some of the logits. All zero: of none. */
struct token_part {
	uint32_t n;
	float best, second; /* second: -FLT_MAX where n is 1 */
	double sum;         /* of exp(logit - best) */
	double weighted;    /* of exp(logit - best) * (logit - best) */
};

/* Of logits[n]; what a broken model may yield counts as candidate_usable() (candidates.h) says. */
void token_part_of(struct token_part *p, const float *logits, uint32_t n);
/* Of p's logits and other's. */
void token_part_merge(struct token_part *p, const struct token_part *other);
/* From the parts together and the logit of the token that was picked. Of no logits all is 0. */
void token_part_signal(const struct token_part *p, float picked_logit, struct token_signal *s);

/* The same where all logits are in one place; picked < n. */
void token_signal_of(struct token_signal *s, const float *logits, uint32_t n, uint32_t picked);

/* The tokens of one answer so far. All zero: none. */
struct token_signals {
	uint32_t n;
	uint32_t doubts; /* tokens whose margin is below TOKEN_DOUBT */
	double logp, entropy, margin;
	float least_logp, most_entropy, least_margin;
	struct token_signal first;
};

#define TOKEN_DOUBT 1.0f

void token_signals_add(struct token_signals *a, const struct token_signal *s);

/* An answer as numbers, in this order. */
enum token_figure {
	TOKEN_MEAN_LOGP,
	TOKEN_SUM_LOGP,
	TOKEN_LEAST_LOGP,
	TOKEN_MEAN_ENTROPY,
	TOKEN_MOST_ENTROPY,
	TOKEN_MEAN_MARGIN,
	TOKEN_LEAST_MARGIN,
	TOKEN_FIRST_LOGP,
	TOKEN_FIRST_ENTROPY,
	TOKEN_DOUBTS,
	TOKEN_COUNT,
	TOKEN_FIGURES
};

/* False, and all 0, where there is no token yet. */
bool token_signals_figures(const struct token_signals *a, float figures[static TOKEN_FIGURES]);
/* "mean_logp", ...: for logs and files. */
const char *token_figure_name(enum token_figure figure);

#endif
