/* A vocabulary to say things with by single tokens, and sessions of it: the first 256 ids are the bytes. */
#ifndef TESTS_SUPPORT_SESSION_VOCAB_H
#define TESTS_SUPPORT_SESSION_VOCAB_H

#include "model/session.h"

enum { END = 256, WORD, NEWLINES, VOCAB }; /* "<|end|>", "Hello", two newlines */

struct tokenizer *session_vocab(void);
/* Greedy, and as long as it takes. */
struct session_params session_vocab_params(void);
/* Behind the prompt "abc". */
struct session *session_vocab_start(const struct tokenizer *t, const struct session_params *p);

#endif
