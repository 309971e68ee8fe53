/* What the model gave the tokens of an answer, as OpenAI's clients read it: `logprobs` of a choice. Each token becomes
 * JSON as soon as it is there: for a stream a tree, that leaves with the next chunk; else text, as trees of a long
 * answer, each token with 20 others, would take gigabytes. */
#ifndef DAEMON_API_LOGPROBS_H
#define DAEMON_API_LOGPROBS_H

#include "daemon/api_parse.h"

#define API_LOGPROBS_LISTS 4

struct api_logprobs {
	bool wanted, stream, lost;
	enum api_kind kind;
	struct detok detok;                   /* of the model that speaks */
	uint64_t characters;                  /* of the answer, before the next token */
	json_t *lists[API_LOGPROBS_LISTS];    /* a stream's, since the last chunk */
	struct buf texts[API_LOGPROBS_LISTS]; /* the same of a whole answer, without the brackets */
	char mark[40];                        /* stands for all of it, where it is whole */
};

void api_logprobs_init(struct api_logprobs *l, const struct api_request *a);
void api_logprobs_free(struct api_logprobs *l);
/* The tokens that come from now on are of this vocabulary. */
void api_logprobs_speaker(struct api_logprobs *l, const struct tokenizer *t);
/* They are ahead of their text. lost: some are missing. */
void api_logprobs_take(struct api_logprobs *l, const struct token_odds *odds, size_t n, bool lost);
/* Of a stream: how many tokens wait for a chunk. */
size_t api_logprobs_waiting(const struct api_logprobs *l);
/* Nothing where none were wanted. Of a stream's chunk: puts what came since the last one into its choice. Of a whole
 * answer's: a mark, for which api_logprobs_text stands (http_json_with). */
void api_logprobs_add(struct api_logprobs *l, json_t *choice);
int api_logprobs_text(const struct api_logprobs *l, struct buf *out);
/* Not all of it could be kept. */
bool api_logprobs_failed(const struct api_logprobs *l);

#endif
