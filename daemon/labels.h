/* Labels for the router, made while nobody asks (sched/idle.h), with the owner's consent (`labels` in
 * shoald.conf). Of the queries for `auto` that one model at home has answered, a random part is kept
 * until the daemon is idle. Then the other model is asked the same, and what the two answers are worth
 * beside each other (sched/label.h) becomes a row of hashes and numbers in the route book.
 *
 * Which queries are kept does not depend on who answered them: labels of those alone that went to the
 * small model would say nothing of the others.
 *
 * A prompt that waits is in memory only, for at most LABELS_HOURS, and is gone with its label, with
 * labels_forget, and with the process. None is asked of another device than its policy allowed, and never
 * of a cloud. A request of anybody's ends what is being computed here (labels_yield: at once; what comes to
 * the models by another way is seen within LABELS_TICK_MS), and it begins anew later. Main thread. */
#ifndef DAEMON_LABELS_H
#define DAEMON_LABELS_H

#include "daemon/api_generate.h"
#include "daemon/config.h"
#include "daemon/route_book.h"
#include "sched/privacy.h"

#define LABELS_MOST    32 /* prompts that wait; then a new one takes a random one's place */
#define LABELS_BYTES   (16u << 10) /* of a request's body, and of an answer */
#define LABELS_TOKENS  512         /* of an answer; longer ones are not compared */
#define LABELS_HOURS   24
#define LABELS_TICK_MS 200

struct labels;

/* NULL without memory. book outlives it. */
struct labels *labels_new(uv_loop_t *loop, const struct config *c, struct serve *s,
	struct route_book *book, struct err *err);
/* Memory is given back once the loop has run on. In all functions NULL does nothing: no consent. */
void labels_close(struct labels *l);

/* A query that was answered, whole, by one model. */
struct label_offer {
	const struct api_format *format;
	size_t body_bytes; /* of the request */
	const char *id;    /* of the answer */
	const char *answer;
	size_t len;
	uint32_t tokens;
	enum gain_model by;  /* GAIN_SMALL, GAIN_LARGE */
	enum privacy policy; /* under which it was answered */
	const struct route_text *text;
	const float *figures; /* of the small model's answer; NULL: it did not give this one */
	const struct gain_estimate *expected; /* what was thought of it */
};
/* May take what `a` holds, which is empty then. */
void labels_offer(struct labels *l, struct api_request *a, const struct label_offer *o);

void labels_yield(struct labels *l); /* a request has come */
void labels_drop(
	struct labels *l, const char *id); /* somebody has said how right that answer was */
void labels_forget(struct labels *l);      /* all prompts */

/* For `shoal route status`. New reference; also without consent. */
json_t *labels_status(const struct labels *l);

#endif
