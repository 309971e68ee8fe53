/* Document mode: a question about documents that are longer than a model reads at once, or that no
 * cloud shall see. Main thread.
 *
 *   1. The documents are cut into parts that the models at home can read (sched/document.h).
 *   2. A supervisor, which sees no part, makes a plan: data against a schema (document_plan.h).
 *   3. Each job of the plan is a request of its own to a model at home, several at once; what comes
 *      back is checked, quotes against the part. A bad reply costs its job.
 *   4. The supervisor gets what was found and answers, or plans another round, up to the caps.
 *   5. Quotes that are not in the documents word for word are dropped.
 *
 * The supervisor is the model of the swarm; a cloud where the policy lets one be asked, which then gets
 * question and findings through the door, a ticket for each body, and never more bytes, in all rounds
 * and with their heads, than a fifth of the documents has. Where the supervisor makes no valid plan
 * the question itself is asked of each part; where it comes to no answer, the findings are listed.
 * The answer's object `shoal` says which of this happened.
 *
 * What fits into the context of a model at home is asked in one request, unless a cloud was asked for
 * by name (`auto:cloud`). */
#ifndef DAEMON_DOCUMENT_H
#define DAEMON_DOCUMENT_H

#include "daemon/router.h"

#define DOCUMENT_CLOUD_PART 5 /* a cloud gets at most 1 byte of so many of the documents */

/* Whether a request is one of these: says no more than its mode. */
bool document_wanted(const struct api_request *a);
/* Answers it. Takes what `a` holds, which is empty afterwards. */
void document_answer(struct router *r, struct http_request *h, const struct api_format *f,
	struct api_request *a);

#endif
