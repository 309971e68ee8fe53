/* Inside labels: what waits and when its turn comes (labels.c), and what is asked then (labels_ask.c). */
#ifndef DAEMON_LABELS_INT_H
#define DAEMON_LABELS_INT_H

#include "daemon/labels.h"
#include "sched/idle.h"
#include "sched/label.h"

/* A prompt that waits, or is being tried. */
struct label_prompt {
	struct api_request a;
	const struct api_format *format;
	char id[48];
	char *answer; /* by the model `by` */
	size_t len;
	enum gain_model by;
	enum privacy policy;
	struct gain_row row;           /* without labels, */
	struct gain_estimate expected; /* and what they would be */
	uint64_t since;                /* loop time */
	unsigned failed;               /* times that a model failed on it */
};
void label_prompt_free(struct label_prompt *p);

/* The other model answers; the large one votes; the large one judges. */
enum label_step { LABEL_STEP_OTHER, LABEL_STEP_VOTE, LABEL_STEP_WORD };

struct label_trial {
	struct label_prompt *prompt; /* NULL: there is none */
	enum label_step step;
	unsigned done; /* of the step's questions */
	struct desk *desk;
	struct request *request;
	struct buf text;  /* of the present answer */
	struct buf other; /* the other model's */
	uint64_t vote[LABEL_VOTES];
	enum label_word word[2];
};

struct labels {
	uv_loop_t *loop;
	uv_timer_t tick;
	struct serve *serve;
	struct route_book *book;
	struct idle_rules rules;
	float share;
	struct label_prompt *waiting[LABELS_MOST]; /* oldest first */
	unsigned n;
	struct label_trial trial;
	uint64_t quiet_since; /* loop time */
	enum idle_hold hold;  /* what stood in the way last */
	uint64_t made[LABEL_HOWS];
	uint64_t stopped; /* trials that a request ended */
};

/* labels_ask.c: begins with the first question about trial.prompt; each end leads to the next one, and the
 * last one to label_made or label_failed, which each end the trial. */
void label_trial_begin(struct labels *l);
void label_trial_cancel(
	struct labels *l); /* its question, and what was answered; the prompt stays */

/* labels.c */
bool labels_may(struct labels *l); /* whether this is a time to go on */
void label_made(struct labels *l, enum label_how how, const struct label_pair *labels);
void label_failed(struct labels *l, const char *why); /* to be tried again */
void label_stop(struct labels *l); /* the same, by somebody's request or the rules */

#endif
