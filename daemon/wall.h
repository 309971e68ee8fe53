/* The wall around the house: how far a request may travel, what was said under which policy, and what
 * a cloud may see of it. Policies are decided by sched/privacy, items removed by sched/redact; here
 * is what remembers them. What was said: one record for each client (API key, address, or user of the socket). Items: the
 * verdict of the one request that has them. A conversation comes whole with each turn, so its items get the same numbers
 * every time; those of another one are not there to be put back, and neither are those of a body that was not sent.
 *
 * Records live as long as the process. After a restart every history counts as said at home. A plain prompt has none:
 * those that stay nearer than a cloud are in STATE/prompts, mode 0600, as hashes with a key of the file's own, where a
 * cloud is configured. (wall_prompts.c) */
#ifndef DAEMON_WALL_H
#define DAEMON_WALL_H

#include "daemon/api_parse.h"
#include "daemon/config.h"
#include "daemon/part_name.h"
#include "daemon/privacy_messages.h"
#include "sched/privacy.h"
#include "sched/redact_known.h"

struct wall;
struct wall_record; /* of a client */

#define WALL_CLIENTS  64   /* remembered; the one that was quiet longest gives way */
#define WALL_MESSAGES 4096 /* of a client; beyond it all of its histories stay at home */

/* Takes `privacy` and `redact_words` of the configuration. */
struct wall *wall_new(const struct config *c, struct err *err);
/* Whether it would take them. */
int wall_check(const struct config *c, struct err *err);
void wall_free(struct wall *w);
enum privacy wall_policy(const struct wall *w); /* the daemon's own */

/* What a request is held to. */
struct wall_verdict {
	struct wall_record *record; /* held until the verdict is freed */
	enum privacy asked;         /* the strictest of daemon, key and request */
	enum privacy policy;        /* that, or what its history holds it to */
	char why[512]; /* policy is stricter than cloud: whose word that is, or which message's */
	char where[PART_NAME]; /* the message, or the tool; "": it is none of these */
	struct privacy_messages messages;
	struct redact *redact; /* of its items; made when first needed */
	uint32_t n_sent;       /* of these: those that a cloud has got as placeholders */
};
/* 0, or -1 without memory. request: its own word. wall_verdict_free in both cases. */
int wall_judge(struct wall *w, uint64_t client, enum privacy key, enum privacy request,
	const struct api_request *a, struct wall_verdict *v);
void wall_verdict_free(struct wall_verdict *v);
/* The turn is answered under v->policy. Before the first byte of the answer leaves with len 0; and
 * with what the client has seen of it, when it ends in whatever way. */
void wall_made(struct wall *w, const struct wall_verdict *v, const char *answer, size_t len);

/* The name of a text in its records; another process has other ones. false: it is empty. */
bool wall_hash(const struct wall *w, const char *text, size_t len, struct privacy_hash *out);

/* The body that a cloud would get: the chat or the prompt of the request, for `model`, streamed; where
 * the policy is `redact`, without personal items. -1: it may not leave, or what must not leave could not
 * be removed for certain: nothing may be sent. A prompt ends anywhere, also within an item, a part of
 * which is not known: it needs `cloud`. Items of a body of before that was not sent are forgotten. (wall_body.c) */
int wall_body(struct wall *w, struct wall_verdict *v, const struct api_request *a,
	const char *model, uint32_t max_tokens, struct buf *out, struct err *err);
/* The same for a chat whose texts are the daemon's own words around texts of the client, where the policy is `redact`:
 * these lose their items one by one, with what is known beside (or NULL), and then the body is made, of which nothing is
 * searched again: placeholders beside each other, and JSON within JSON, look like items that they are not. -1 as above. */
struct redact_known *wall_known(const struct wall *w);
int wall_texts_begin(struct wall *w, struct wall_verdict *v, struct err *err);
int wall_text(struct wall_verdict *v, const struct redact_known *k, const char *text, size_t len,
	struct buf *out, struct err *err);
int wall_texts_body(struct wall_verdict *v, const struct api_request *a, const char *model,
	uint32_t max_tokens, struct buf *out, struct err *err);
/* That body goes out: what comes back may have its placeholders. */
void wall_sent(struct wall_verdict *v);
/* The same as wall_body for a segment of an answer: the chat or the prompt ends in what was said of it until now, and
 * the endpoint goes on from there, a chat in its own way. It needs `cloud` for the same reason. */
struct endpoint;
int wall_segment_body(const struct wall_verdict *v, const struct api_request *a,
	const struct endpoint *e, const char *said, size_t len, uint32_t max_tokens,
	struct buf *out, struct err *err);
/* For whom it came from: a list of the parts that lose items when it is redacted, with how many of which
 * kind, and of those in the way, with the reason. (wall_parts.c) */
json_t *wall_parts(struct wall *w, struct wall_verdict *v, const struct api_request *a);
/* The items that were removed from what this request sends, to be put back; good as long as the verdict.
 * NULL: nothing was searched. */
const struct redact *wall_items(const struct wall_verdict *v);
/* How often one was, of all its texts until now. */
uint64_t wall_removed(const struct wall_verdict *v);

#endif
