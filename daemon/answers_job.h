/* Answers with an Idempotency-Key that are not one session's but a job's (the router's): they are read,
 * attached to and sent again as the others are (daemon/answers.h), with the object `shoal` behind their text.
 *
 * A job runs in this process alone. One that had ended when the daemon did is in the journal, and is not
 * paid for twice; one that had not begins anew when its client asks again. One that fails is forgotten, as
 * nothing of it could go on. Main thread. */
#ifndef DAEMON_ANSWERS_JOB_H
#define DAEMON_ANSWERS_JOB_H

#include "daemon/answers.h"
#include "daemon/api_object.h"

struct kept;

/* Begins one, whose head is `head`, and lets r read it. cancel(job): nobody waits for it any more; it is to
 * end without another word. NULL without memory: r is as it was. */
struct kept *answer_job_begin(struct answers *all, struct http_request *r,
	const struct answer_key *key, const struct api_request *a, const struct api_head *head,
	void (*cancel)(void *job), void *job);

void answer_job_model(struct kept *k, const char *model); /* which speaks from now on */
void answer_job_text(struct kept *k, const char *text, size_t len);
void answer_job_call(struct kept *k, json_t *call); /* of a tool, as a message has it */
/* Each of these is the last word on k. shoal may be NULL; it is not taken. */
void answer_job_end(struct kept *k, const char *reason, const struct usage *u, json_t *shoal);
void answer_job_fail(struct kept *k, int status, const char *what);

#endif
