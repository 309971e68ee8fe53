/* How probable a model held a token that was picked, and those that it held most probable: natural
 * logarithms of its own distribution, before a sampler or a grammar has its say. And the hold: tokens whose text is
 * not said yet, as it may be the begin of a stop text, or of a character. */
#ifndef MODEL_TOKEN_ODDS_H
#define MODEL_TOKEN_ODDS_H

#include "base/buf.h"
#include "model/candidates.h"

#define ODDS_MOST  20         /* alternatives */
#define ODDS_LEAST (-9999.0f) /* what is less likely, or broken, is as good as impossible */

struct token_chance {
	uint32_t id;
	float logp; /* <= 0 */
};

struct token_odds {
	struct token_chance picked; /* among the best or not */
	uint32_t n;
	struct token_chance best[ODDS_MOST]; /* best first */
};

/* From the best tokens of all, with their sum, and the logit of the one that was picked. At most `most`
 * alternatives. */
void token_odds_of(struct token_odds *o, const struct best *b, uint32_t picked, float picked_logit,
	uint32_t most);

/* Counts are bytes of an answer's text, as it would be without stop texts. */
struct odds_hold {
	struct buf held;
};

void odds_hold_free(struct odds_hold *h);
/* Its text begins at `begin`, and is whole in the first `end` bytes. -1: no memory. */
int odds_hold_add(struct odds_hold *h, const struct token_odds *o, uint64_t begin, uint64_t end);
/* Appends to out (struct token_odds) those whose text is in the `said` bytes. last: nothing more will be said; those
 * that are in it with a part of their text are, too, and the others are dropped. */
int odds_hold_take(struct odds_hold *h, uint64_t said, bool last, struct buf *out);

#endif
