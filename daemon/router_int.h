/* Inside the router. */
#ifndef DAEMON_ROUTER_INT_H
#define DAEMON_ROUTER_INT_H

#include "daemon/answers.h"
#include "daemon/api_answer.h"
#include "daemon/api_form.h"
#include "daemon/door.h"
#include "daemon/labels.h"
#include "daemon/route_book.h"
#include "daemon/route_said.h"
#include "daemon/router.h"
#include "daemon/segment_run.h"
#include "daemon/token_run.h"
#include "daemon/vocabulary_pair.h"
#include "daemon/wall.h"
#include "sched/route_prompt.h"

struct routed;

#define ROUTER_TURNS 512 /* answers whose conversations may go on */
#define ROUTER_SPARE 0.2 /* by which a gain may fall short, or must exceed, to spare a device */

/* A decision that is remembered: no text. */
struct decision {
	char id[48];   /* of the answer */
	uint64_t time; /* unix seconds */
	enum route_target target;
	struct gain_row row;           /* without labels, */
	struct gain_estimate expected; /* and what they would be */
	json_t *said;                  /* the `shoal` object */
};

struct document_figures { /* of document mode */
	uint64_t requests, failed, rounds, bytes_out, quotes, quotes_dropped;
	uint64_t went_up, wasted_tokens; /* replies of small models; tokens of those thrown away */
	uint64_t jobs[4];                /* by enum document_state */
};

/* Of answers that both models at home wrote: tokens by who decided them, drafts, and how often the large
 * model was asked. */
struct router_token_figures {
	uint64_t small, large, drafted, accepted, asked;
	uint64_t cloud, segments; /* of answers that a cloud wrote with the small one */
};

/* What calls to a cloud took, and what they brought. */
struct cloud_pace {
	double seconds, tokens; /* tokens 0: there was none */
};

struct router_figures {
	uint64_t queries;
	uint64_t answered[ROUTE_TARGETS][ROUTE_REASONS];
	uint64_t escalations;   /* answers of the small model that were thrown away, */
	uint64_t wasted_tokens; /* and what they had */
	uint64_t refused[ROUTE_TARGETS][ROUTE_REFUSALS];
	uint64_t failed; /* nobody answered */
	struct document_figures document;
	struct router_token_figures token;
};

struct router {
	uv_loop_t *loop;
	struct serve *serve;
	float quality, token_threshold; /* as configured */
	uint32_t parallel;              /* requests that an engine computes at once */
	struct wall *wall;
	struct endpoints *endpoints; /* never NULL; may have none */
	struct purse_file *purse;    /* NULL: no endpoint */
	struct door *door;           /* likewise */
	struct route_book *book;
	double small_watts; /* as configured; 0: not known */
	struct cloud_pace cloud_paces[ENDPOINTS_MAX];
	struct labels *labels;   /* NULL: there is no consent */
	struct decision *recent; /* [ROUTER_RECENT] a ring */
	uint64_t n_recent;       /* ever */
	struct router_figures figures;
	struct vocabulary_pair pair; /* the two models that were asked to write together last */
	double mean_answer;          /* tokens of an answer, lately; 0: there was none */
	struct {                     /* a ring: who gave an answer, by its hash */
		struct privacy_hash answer;
		struct route_turn turn;
	} turns[ROUTER_TURNS];
	uint64_t n_turns; /* ever */
};

#define ROUTED_TOKEN_BYTES 3.5 /* of text, about */

#define ROUTED_MAX_ATTEMPTS ROUTE_MAX_CANDIDATES

/* What a leg has cost. */
struct attempt {
	unsigned candidate;
	enum route_reason reason;
	const char *end; /* "answered", "thrown away", or what went wrong */
	uint32_t tokens;
	double seconds;
};

/* One routed request. */
struct routed {
	struct router *router;
	struct api_answer answer;
	struct api_request a;
	struct route_said said;
	size_t body_bytes; /* of it, as it came */
	/* Who asks, by which name logs know it, and until when. With a key its client may leave before the
	 * answer has ended: answer.http is only good until it is kept. */
	uint64_t client, end_by;
	char id[32];
	bool keyed;
	struct answer_key key;
	struct wall_verdict verdict;
	struct route_query query;
	const char *names[ROUTE_MAX_CANDIDATES]; /* of the candidates: models, endpoints */
	struct route_wish wish;
	struct route_text *text; /* of what the user wrote last */
	char *prompt;            /* that text */
	struct route_view before, after;
	bool judged;
	float figures[TOKEN_FIGURES];
	struct route_choice choice; /* the present one */

	/* the present leg */
	struct desk *desk;
	struct request *request;
	struct token_run *both;        /* two models at home speak; NULL: one does */
	struct segment_run *segments;  /* the small one and a cloud speak; NULL: they do not */
	struct door_call *call;        /* of a cloud; NULL: a model at home speaks */
	struct redact_restore restore; /* r NULL: nothing was removed */
	bool held;                     /* its text waits to be judged */
	unsigned doubtful;             /* looks in a row that spoke against it */
	struct buf draft;              /* its text: held, or all of it for the record */
	struct buf odds;               /* struct token_odds, of a held one's tokens */
	bool odds_lost;
	uint64_t since; /* loop time */
	struct token_signals signals;

	struct attempt attempts[ROUTED_MAX_ATTEMPTS];
	unsigned n_attempts;
	struct token_figures token; /* of what both models at home said */
	char not_token[512];        /* why they do not write this one together; "": they do */
	struct segment_figures
		segment;      /* of what the small one and a cloud said, and why the cloud was */
	char no_segment[512]; /* asked no more; "": it was not so */
	uint32_t wasted_tokens;
	uint64_t spent, bytes_out; /* micro-units; to clouds */
	uint64_t redactions;       /* items that were removed from what went there */
	int status;                /* of the last leg that could not begin, and why */
	char why[512];
	bool begun;         /* the client has seen text */
	json_t *calls;      /* of tools, a cloud's: told when its answer has ended, all or none */
	size_t calls_bytes; /* of their arguments */
};

/* The turn whose answer has that hash; false: it is not known any more. */
bool router_turn(
	const struct router *r, const struct privacy_hash *answer, struct route_turn *turn);

/* Keeps a decision for `shoal why`; said, without any text, is taken. (router_say.c) */
void router_remember(struct router *r, const char *id, enum route_target target, json_t *said,
	const struct gain_row *row, const struct gain_estimate *expected);
/* The view that the decision was made on. */
const struct route_view *routed_view(const struct routed *q);

/* router_query.c: fills what is known of a request: verdict, candidates, views. -1 with an answer. */
int routed_look(struct routed *q, struct http_request *h);
const struct served_model *routed_model(const struct routed *q, enum route_target t);

/* router_targets.c */
void routed_add_home(struct routed *q);
double routed_seconds_in_cloud(const struct routed *q, uint32_t endpoint);
void router_saw_cloud(struct router *r, uint32_t endpoint, double seconds, uint32_t tokens);
/* Refuses those that would exceed a limit of the request. */
void routed_set_limits(struct routed *q);
void routed_refusal_words(const struct routed *q, unsigned candidate, char *out, size_t size);
const char *routed_binding_param(const struct routed *q, enum route_refusal r);
json_t *routed_expected(const struct routed *q, unsigned candidate);
json_t *router_targets(struct router *r); /* the registry */
/* Whether a device that is hot, or whose battery is low, is to be spared where the large model is computed by
 * several. */
enum energy_lean router_lean(struct router *r);
json_t *router_energy(struct router *r);

/* router_say.c */
json_t *routed_said(const struct routed *q);
/* Remembers the decision and counts it. */
void routed_note(struct routed *q);
void routed_explain(struct routed *q);
/* Nobody may or can: answers so. */
void routed_refuse(struct routed *q);

json_t *router_clouds(const struct router *r);

/* router_run.c: what a leg, wherever it runs, says and how it ends. Each of the last two may free q. */
void routed_free(struct routed *q);
double routed_seconds(const struct routed *q); /* of the present leg */
void routed_text(struct routed *q, const char *text, size_t len);
void routed_finish(struct routed *q, const char *reason, const struct usage *u);
/* end: a word for it. q->status and q->why say more. */
void routed_failed(struct routed *q, const char *end);

/* Of a leg at home, by one model or by both. */
extern const struct request_events routed_events;
/* The session of a leg at home: what the client has seen already is where the answer goes on. */
struct session *routed_session(
	struct routed *q, const struct served_model *m, bool signals, struct err *err);
/* The leg of one model at home. false: it did not begin, and its candidate is marked. */
bool routed_begin_at_home(struct routed *q);

/* router_token.c */
/* Whom to ask first, in whatever mode. */
struct route_choice routed_first(struct routed *q);
/* As begin_leg: false, why is known, and it is routed in the other mode. */
bool routed_begin_token(struct routed *q);
float routed_threshold(const struct routed *q);
void routed_not_by_token(struct routed *q, const char *why);
/* What a leg at home tells of its end, with what the mode adds. */
struct usage routed_usage(struct routed *q, const struct usage *u);
/* Adds to the object what is to be said of the mode; counts what was done in it. */
void routed_say_token(const struct routed *q, json_t *o);
void routed_count_token(struct routed *q);

/* router_segments.c: the same where a cloud takes the large model's place. routed_segments: whether
 * the present choice is that. */
bool routed_segments(const struct routed *q);
int routed_check_segments(struct routed *q, struct route_choice *c, struct err *why);
bool routed_begin_segments(struct routed *q);
/* Adds to the object. */
void routed_say_segments(const struct routed *q, json_t *o);

/* router_cloud.c */
/* Takes the policy's ticket for this body, and sends it: q->call, whose cost events get. What has to be
 * put back of it is in q->restore. false: *no says why not. */
bool routed_send(struct routed *q, const struct endpoint *e, const struct buf *body,
	const struct door_events *events, struct door_no *no);
const struct endpoint *routed_endpoint(const struct routed *q); /* of the present choice */
uint32_t routed_most_tokens(const struct routed *q, const struct endpoint *e);
double routed_expected_tokens(const struct routed *q); /* of the answer (router_targets.c) */
void routed_add_clouds(struct routed *q);
/* As begin_leg: false, its candidate is marked. */
bool routed_begin_cloud(struct routed *q);
json_t *routed_preview(struct routed *q);

#endif
