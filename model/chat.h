/* Conversations to prompts. A model's own template (tokenizer.chat_template) is recognised as one
 * of the families below by what is written in it, and rendered by hand. A template interpreter can
 * take chat_render's place without a change for its callers. */
#ifndef MODEL_CHAT_H
#define MODEL_CHAT_H

#include "base/buf.h"
#include "base/err.h"
#include "model/gguf.h"
#include "model/tokenizer.h"

enum chat_family {
	CHAT_NONE,
	CHAT_LLAMA2,
	CHAT_LLAMA3,
	CHAT_CHATML,
	CHAT_MISTRAL,
	CHAT_GEMMA,
	CHAT_PHI3
};

struct chat_message {
	const char *role; /* "system", "developer" (as system), "user", "assistant" */
	const char *content;
};

/* The family of a model: by its template; CHAT_NONE when it has none that is known. */
enum chat_family chat_detect(const struct gguf *g);
const char *chat_family_name(enum chat_family f);

/* Appends the token ids of the whole prompt up to where the assistant speaks, BOS included where
 * the family has one. Message texts are plain text: special spellings in them stay text. CHAT_NONE
 * renders "role: content" lines, plainly. Roles in an order that the family cannot say are an
 * error. */
int chat_tokens(enum chat_family f, const struct tokenizer *t, const struct chat_message *msgs,
	size_t n, struct token_list *out, struct err *err);

#endif
