/* Answers that outlive their connection: those whose request has an Idempotency-Key. Main thread.
 *
 * The header is that of draft-ietf-httpapi-idempotency-key-header-06; a key belongs to the client
 * that sent it (struct http_request, client), and to one request (path, X-Shoal- headers and body, byte for byte: the
 * draft's fingerprint). What comes under a key that is known:
 *   - with another request: 422 (section 2.7);
 *   - after its end: the same answer again, nothing is computed (2.6, "Retry"), for ANSWER_KEEP_MS;
 *   - while it runs: the draft says 409, so that clients come back later. Here they may stay: they
 *     get the same answer, from its beginning and then live, or, with Last-Event-ID, from behind the
 *     event of that number;
 *   - after it has failed by the swarm's fault (status 500 and above): it goes on from where it
 *     stood. Errors that are the request's fault are not kept.
 * A client that goes away, or whose time is up (request_timeout), does not end it for
 * ANSWER_GRACE_MS.
 *
 * The number of a stream's event (its `id:`) is the number of bytes of text up to its end, 0 for the
 * first one, which has no text; the calls of tools and the two events behind the text count 1 more each. So it
 * means the same however the text was cut into events, and after a restart.
 *
 * Answers of the model `auto` have no one session: daemon/answers_job.h.
 *
 * What runs is in the journal (daemon/journal.h). answers_new finds it there, and as soon as the model
 * with which it was begun is served again, it runs on, without waiting for its client. Without a seed
 * in the request, the seed is made of key and request: should the journal be lost, too, a retry is
 * answered with the same text. */
#ifndef DAEMON_ANSWERS_H
#define DAEMON_ANSWERS_H

#include "daemon/api_generate.h"

#define ANSWER_KEY_MAX    255         /* characters, printable ASCII */
#define ANSWER_KEEP_MS    600000      /* after its end; also until a restored one has its model */
#define ANSWER_GRACE_MS   60000       /* without a client */
#define ANSWERS_MAX       256         /* that do not run; the oldest are dropped */
#define ANSWERS_MAX_BYTES (32u << 20) /* of these */

struct answers;

struct answer_key {
	uint8_t name[32];    /* of client and key */
	uint8_t request[32]; /* of path, headers of Shoal and body */
	bool behind;         /* there is a Last-Event-ID: */
	uint64_t event;
};

/* Reads the headers. *keyed: there is a key. -1 with e filled: they make no sense. */
int answer_key_read(struct http_request *r, const struct api_request *a, struct answer_key *k,
	bool *keyed, struct api_error *e);
uint64_t answer_key_seed(const struct answer_key *k);

/* journal: a path, or "": answers end with the process. NULL without memory. */
struct answers *answers_new(uv_loop_t *loop, struct serve *s, const char *journal);
/* Ends what is being computed; the journal keeps it. Clients must have gone before. */
void answers_free(struct answers *all);
void answers_tick(struct answers *all); /* some times a second */

/* false: nothing is known under this key, and r is not answered. Else it has its answer, or will. */
bool answers_find(struct answers *all, struct http_request *r, const struct answer_key *k,
	const struct api_request *a, const struct api_format *f);
/* Begins one. Takes the session; prefix: text ahead of the answer's own. */
void answers_begin(struct answers *all, struct http_request *r, const struct answer_key *k,
	const struct api_request *a, const struct api_format *f, const struct served_model *m,
	struct session *s, const struct buf *prefix);

#endif
