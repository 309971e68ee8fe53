/* What models are asked about a document. Pure: texts in, chat messages out.
 *
 * Whatever comes from the document, or from a model that read it, stands between marks and is said to
 * be data. That is no wall, and none is needed: no word of an answer is executed, and policy, caps and
 * schema hold whatever a text talks a model into. */
#ifndef DAEMON_DOCUMENT_PROMPT_H
#define DAEMON_DOCUMENT_PROMPT_H

#include "base/buf.h"
#include "daemon/document_text.h"
#include "model/chat.h"

struct document_prompt {
	struct buf system, user;
	struct chat_message messages[2]; /* good once a function below has returned 0 */
	size_t n;
};

void document_prompt_init(struct document_prompt *p);
void document_prompt_free(struct document_prompt *p);

/* Each makes the prompt anew. -1: no memory, or longer than any context. */

/* A part, and one instruction about it. plain: the part is the system message, the instruction the
 * user's, and nothing is said about a form: for models that are too small to be told one. */
int document_prompt_part(struct document_prompt *p, const char *part, size_t len,
	const char *instruction, bool plain);
/* All of the documents, and the question. */
int document_prompt_whole(struct document_prompt *p, const struct document_texts *t,
	const char *question, bool plain);

struct document_standing { /* what a supervisor is told */
	const char *question;
	const struct document_texts *texts;
	uint32_t max_requests;    /* that the next plan may cost; 0: it must answer */
	uint32_t max_instruction; /* bytes */
	const char *findings;     /* JSON (document_merge); NULL: nothing was read yet */
	uint32_t asked, failed; /* requests about parts so far; of these, without a usable reply */
	uint32_t left_out;      /* findings for which there was no room */
};
int document_prompt_supervisor(struct document_prompt *p, const struct document_standing *s);

#endif
