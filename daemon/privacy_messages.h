/* The messages of a chat request as hashes, for the record of what was said under which policy
 * (sched/privacy.h). Pure.
 *
 * A hash is BLAKE2b with a key of the daemon's own, over one text with its white space folded: the
 * content of a message (parts of type text joined, as if they were one string), its reasoning, each
 * of its tool calls (name and arguments, whatever their spacing), each of its parts of other types.
 * The role is not in it, nor is the place. Texts of white space only have no hash. */
#ifndef DAEMON_PRIVACY_MESSAGES_H
#define DAEMON_PRIVACY_MESSAGES_H

#include "base/buf.h"
#include "sched/privacy.h"

#include <jansson.h>

#define PRIVACY_KEY_LEN 32

/* Hashes, those of history first: [0, n_old) are of the messages up to and with the last one of the
 * role assistant; the others are of those behind it, and of system and developer messages wherever
 * they stand, which a client writes anew with each turn. */
struct privacy_messages {
	struct privacy_hash *hash;
	/* Of each hash: the message's index in the request's list, and which of its calls it is of, from 1; 0: another
	 * text. Of none (UINT32_MAX) are tools, which count as its calls, and behind them the answer's schema. */
	uint32_t *message, *call;
	size_t n, n_old;
	/* Of a prompt: hashes that are beginnings of it, ahead of its own, and its bytes. */
	size_t n_begins;
	uint32_t length;
};

/* messages: the request's list. -1 without memory, or when it is no list of objects. */
int privacy_messages_read(const uint8_t key[static PRIVACY_KEY_LEN], json_t *messages,
	struct privacy_messages *out, struct err *err);
/* Tools that a request offers, and the schema that its answer has to have (NULL: none), a hash for each,
 * behind those of its messages and as new as a system message: what was offered at home is known again. -1
 * without memory. */
int privacy_messages_add_tools(const uint8_t key[static PRIVACY_KEY_LEN], json_t *tools,
	json_t *form, struct privacy_messages *out);
/* Of a completion. Its prompt is one text, and new: but who continues one sends all of it again, and what it
 * begins with is known by its length. ends: of earlier prompts, ascending. -1 without memory. */
int privacy_messages_read_prompt(const uint8_t key[static PRIVACY_KEY_LEN], const char *prompt,
	const uint32_t *ends, size_t n_ends, struct privacy_messages *out);
void privacy_messages_free(struct privacy_messages *m);

/* A call (`function`, `custom`) as the one text that is hashed of it. */
void privacy_call_text(json_t *call, struct buf *out);
/* One text: an answer. false: it is empty. */
bool privacy_hash_text(const uint8_t key[static PRIVACY_KEY_LEN], const char *text, size_t len,
	struct privacy_hash *out);

#endif
