/* How far a text may travel, and what that leaves of a conversation. Pure: no clock, no text.
 *
 * A policy is a reach: this device, the swarm at home, a cloud that gets a redacted text, a cloud
 * that gets the text. Four may speak (daemon, API key, session, request) and the strictest of them
 * holds. No function here is given a message's text, so that nothing written in one (a prompt, a
 * document, a tool's result, a model's answer) can change a policy: there is no way in.
 *
 * Policies belong to turns, but OpenAI clients send the whole history with each turn and no names
 * for its parts. So what was made under a policy is remembered by a hash of it (struct
 * privacy_taint), and comes under that policy again whatever a later request asks for. */
#ifndef SCHED_PRIVACY_H
#define SCHED_PRIVACY_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Strictest first: the stricter of two is the smaller. A value that is none of these counts as the
 * strictest. */
enum privacy { PRIVACY_DEVICE, PRIVACY_HOME, PRIVACY_REDACT, PRIVACY_CLOUD, PRIVACY_POLICIES };

/* device, home, redact, cloud: exactly these letters. -1: err names the choices. */
int privacy_parse(const char *word, enum privacy *out, struct err *err);
const char *privacy_name(enum privacy p);
enum privacy privacy_stricter(enum privacy a, enum privacy b);

/* PRIVACY_CLOUD where one has nothing to say. */
struct privacy_voices {
	enum privacy daemon, key, session, request;
};

enum privacy privacy_effective(const struct privacy_voices *v);
/* Whose word it is: "the daemon", "the API key", ...; of equals the first in this order. */
const char *privacy_whose(const struct privacy_voices *v);

/* A message, as the caller hashes it with a key of its own (so that no client can make two that
 * agree). What goes into the hash is the text alone, white space folded: not the role, for an answer
 * that comes back as a user's message is still that answer, and not the place, for clients cut
 * histories short. Tool calls and parts of a message have hashes of their own. A private text that
 * is quoted within a new one is not known again: who sends the new one says how far it may go. */
struct privacy_hash {
	uint8_t bytes[16];
};

/* What one session made, and under which policies. Where clients name no session, one record for
 * each API key: that taints more, never less. Not shared between threads. */
struct privacy_taint;

#define PRIVACY_TAINT_MAX 65536 /* messages that a record may be asked to remember */

/* max: messages remembered, from 1 to PRIVACY_TAINT_MAX; all memory is taken here (28 bytes each).
 * unknown: what an older message counts as that the record has never seen. PRIVACY_HOME is the one
 * that fails closed, and right where records do not outlive the daemon: a client may come back with
 * a history made at home before the restart. NULL without memory or with a senseless max. */
struct privacy_taint *privacy_taint_new(uint32_t max, enum privacy unknown);
void privacy_taint_free(struct privacy_taint *t);

/* What makes a policy stricter than was asked for. */
struct privacy_why {
	size_t message;  /* its index */
	struct err held; /* in words, without its name, which is for who knows more of it to say */
};

/* Judges a request: n messages, of which the first n_old are history (up to and with the last answer
 * of a model) and the others are the new turn. asked: the effective policy of this request. Returns
 * the policy under which the turn can be answered with all of these messages: asked, or stricter.
 * may[n] (or NULL) says for each message whether it may travel as far as asked, for a caller who
 * would rather leave some out. When the policy is stricter than asked, why (or NULL) says
 * which message keeps it.
 *
 * A message is held to
 *   - the policy that it was made under, if the record knows it;
 *   - else, if it is history, the strictest of `unknown` and of all that the record has ever held,
 *     for it may be a private message with a changed word;
 *   - else `asked`: it is new, and who sends it says how far it may go;
 *   - and in any case the strictest policy that was ever pushed out of the record: from then on the
 *     session is tainted as a whole, for nobody can tell any longer what is private in it.
 * Without a record (t is NULL) all of it is held to PRIVACY_DEVICE. */
enum privacy privacy_taint_judge(const struct privacy_taint *t, const struct privacy_hash *m,
	size_t n, size_t n_old, enum privacy asked, bool *may, struct privacy_why *why);

/* A turn was answered: its messages, and the answer (as messages of the new turn too), were made
 * under `policy`, which is what privacy_taint_judge returned or stricter. To be called before the
 * first byte of the answer leaves, again with the answer when it is complete: what a client has seen
 * of a broken answer must be in the record. New messages that are known already become the
 * stricter of both; older ones keep what they have. */
void privacy_taint_made(struct privacy_taint *t, const struct privacy_hash *m, size_t n,
	size_t n_old, enum privacy policy);

#endif
