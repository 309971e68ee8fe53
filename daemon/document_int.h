/* Inside document mode. */
#ifndef DAEMON_DOCUMENT_INT_H
#define DAEMON_DOCUMENT_INT_H

#include "daemon/document.h"
#include "daemon/document_ask.h"
#include "daemon/document_plan.h"
#include "daemon/document_reply.h"
#include "daemon/document_text.h"
#include "daemon/router_int.h"

#define DOCUMENT_CALLS_MAX 8   /* of supervisors that are told about: rounds, and one more each */
#define DOCUMENT_TRIES     2   /* of a request about a part: on one model, on another */
#define DOCUMENT_AGAIN_MS  100 /* until a full desk is tried again */
#define DOCUMENT_SLOTS_MAX 64  /* requests at once, of one model */
#define DOCUMENT_HELPERS   14  /* members whose small model reads too */
#define DOCUMENT_WORKERS   (ROUTE_CLOUD + DOCUMENT_HELPERS)

struct document_run;

/* A request about a part. */
struct document_job {
	const char *instruction; /* in a plan that the run keeps */
	uint32_t part;
	enum { JOB_QUEUED, JOB_RUNNING, JOB_DONE } state;
	unsigned tries;
	int last; /* worker that has it or had it */
	struct document_run *run;
	struct document_ask *ask;
	struct document_reply reply;
	bool up;               /* the swarm's model is asked, for the small one was unsure */
	enum route_target by;  /* whose reply stands: ROUTE_SMALL, ROUTE_LARGE */
	uint32_t tokens;       /* of it */
	uint32_t draft_tokens; /* of the one that it may take the place of */
};

/* A model that reads parts. */
struct document_worker {
	enum route_target target;
	bool usable;
	bool plain;     /* too small to be told a form (document_prompt.h) */
	uint32_t slots; /* requests at once */
	uint32_t running, done;
	uint32_t room;  /* tokens of an answer */
	double seconds; /* of all that are done */
	char name[128];
	char helper[64]; /* the member whose small model it is; "": one of this device's desks */
};

struct document_call { /* of a supervisor, for the record */
	enum route_target target;
	char name[128];
	const char *what; /* "plan", "conclude" */
	const char *end;
	size_t bytes; /* that left the house */
	double seconds;
};

struct document_cascade {
	struct route_wish wish;
	bool on;                 /* replies of small models are judged */
	bool wholly;             /* they read nothing: the knob is at its end */
	enum energy_lean lean;   /* which devices are to be spared */
	struct route_text *text; /* of an instruction */
	uint32_t judged, went_up, wasted_tokens;
	uint32_t spared; /* replies that stand for another device's sake */
	double added_seconds;
	struct token_figures token; /* of replies that stand, by whose they are */
};

enum document_stage { STAGE_WHOLE, STAGE_PLAN, STAGE_READ, STAGE_CONCLUDE };

struct document_run {
	struct router *router;
	struct api_answer answer;
	struct api_request a;      /* as it came */
	struct api_request judged; /* its question and its documents, each a message */
	struct route_said said;
	struct wall_verdict verdict;
	struct redact_known *known; /* items of documents and question; NULL: not searched */
	const char *question;
	struct document_texts texts;
	struct document_worker
		workers[DOCUMENT_WORKERS]; /* by target: small, large; then helpers */
	int n_workers;
	int supervisor;               /* at home: a worker; -1: none that is able */
	const struct endpoint *cloud; /* that supervises; NULL: one at home, or none */
	char no_cloud[256];           /* why none does, where the policy permits */
	bool wholly;                  /* asked in one request */

	struct document_cascade cascade;

	enum document_stage stage;
	struct document_plan plans[DOCUMENT_ROUNDS_MAX];
	uint32_t round;           /* plans that were carried out, or are */
	const char *plan_by;      /* "supervisor", "question", "whole" */
	const char *concluded_by; /* "supervisor", "listing", "whole" */
	char plan_trouble[200];
	struct document_job *jobs; /* [max_jobs] of all rounds */
	uint32_t n_jobs, n_done;
	struct document_ask *supervising;
	struct document_call calls[DOCUMENT_CALLS_MAX];
	uint32_t n_calls;
	struct document_prompt prompt;
	struct buf body; /* for a cloud */

	uint64_t spent; /* micro-units */
	size_t bytes_out;
	uint32_t left_out, dropped_quotes;
	struct usage usage; /* sums */
	uint64_t since;     /* uv_now */
	int status;         /* of what failed last, */
	char why[256];      /* in words */
	uint64_t said_at;   /* progress, uv_now */
	uv_timer_t again;   /* a full desk */
};

/* document_setup.c: who could do what, how it is cut. -1 with an answer: it cannot be done. */
int document_setup(struct document_run *d, struct http_request *h);
/* One that may read and is there now: it may come, go, and spread over more devices while this runs. */
const struct served_model *document_model(const struct document_run *d, enum route_target t);
struct sampler_params document_greedy(void);

/* document_jobs.c */
/* Queues the requests of a plan, which stays in place while they run. */
void document_jobs_add(struct document_run *d, const struct document_request *requests, size_t n);
/* Gives jobs to who has a slot; where nobody can take one any more, it is over without a reply. */
void document_jobs_go_on(struct document_run *d);
void document_jobs_cancel(struct document_run *d);
uint32_t document_jobs_failed(const struct document_run *d);

/* document_cascade.c */
int document_cascade_setup(struct document_run *d); /* -1: no memory */
/* Who reads is known: one that is to be spared reads nothing where others can. */
void document_cascade_spare(struct document_run *d);
bool document_cascades(const struct document_run *d);
/* A small model has replied, j->reply: whether the swarm's is to be asked, too. Marks it so. */
bool document_goes_up(
	struct document_run *d, struct document_job *j, const struct document_heard *h);
/* That one has replied r, which is taken: which of the two stands. */
void document_take_larger(struct document_run *d, struct document_job *j, struct document_reply *r,
	const struct document_heard *h);
void document_count_stands(struct document_run *d); /* the share, for the usage */
json_t *document_cascade_said(const struct document_run *d);

/* document_supervise.c: asks the supervisor; document_supervised follows, now or later, also when there
 * is none. */
void document_supervise(struct document_run *d);
/* The first bytes that would leave for a cloud, or why none would; for `explain`. */
json_t *document_preview(struct document_run *d);
uint32_t document_max_requests(const struct document_run *d); /* that another plan may cost */

/* document_items.c: what a cloud is shown of replies and question under `redact`. A reply comes from a part of a
 * document, and may lack the words that tell an item, or have a part of one: so the items are those of the documents,
 * searched whole. */
struct document_shown {
	struct document_reply *replies; /* one a job, of all rounds */
	struct buf question;            /* ended by a 0 */
};
/* -1: nothing may be shown. document_shown_free in both cases. */
int document_show(struct document_run *d, struct document_shown *s, struct err *err);
void document_shown_free(const struct document_run *d, struct document_shown *s);

/* document_run.c */
void document_jobs_over(struct document_run *d);
/* text NULL: nobody could be asked. May free d. */
void document_supervised(struct document_run *d, const char *text, size_t len);
/* Ends it with an error: may free d. */
void document_fail(struct document_run *d, int status, const char *why, const char *logged);

/* document_say.c */
json_t *document_said(struct document_run *d, json_t *quotes);
/* The findings of all rounds: [{"part", "answer", "quotes"}]; NULL without memory. shown NULL: as they are. */
json_t *document_findings(struct document_run *d, const struct document_shown *shown,
	size_t max_bytes, size_t *left_out);
/* Without a supervisor: what was found, a line each, with where. */
void document_list(const struct document_run *d, struct buf *out);
/* Those quotes that are true, with their places; counts the others. */
json_t *document_quotes(struct document_run *d, const char *const *quotes, size_t n);
json_t *document_quotes_found(struct document_run *d); /* of the findings */
void document_note(struct document_run *d, enum route_target target);
void document_progress(struct document_run *d);
/* What would be done, instead of an answer. */
void document_explain(struct document_run *d);

#endif
