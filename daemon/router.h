/* The router: answers the requests for `auto`. It asks sched/route where each goes, has it answered
 * there, judges what the small model says before the client sees it, and tells why. Main thread.
 *
 * A request runs in legs: a model is asked; when it fails, or its answer is not good enough, another
 * one is asked. Text of a leg that is still to be judged is held back (at most ROUTER_HOLD tokens),
 * so that a client never sees a draft that was thrown away. */
#ifndef DAEMON_ROUTER_H
#define DAEMON_ROUTER_H

#include "daemon/api_generate.h"
#include "daemon/config.h"

struct router;

#define ROUTER_HOLD   128  /* tokens that the small model may say before it is judged */
#define ROUTER_RECENT 1024 /* decisions that are remembered, for `shoal why` and labels */

struct router *router_new(
	uv_loop_t *loop, const struct config *c, struct serve *s, struct err *err);
/* After the last request has gone; memory is given back once the loop has run on. */
void router_close(struct router *r);

/* Answers a request whose model is `auto`... (route_said_auto). Takes what `a` holds, which is empty
 * afterwards. key: under which the answer is kept (nothing is yet); NULL: it is not. */
struct answer_key;
void router_answer(struct router *r, struct http_request *h, const struct api_format *f,
	struct api_request *a, const struct answer_key *key);

/* Whether a cloud is configured, and the daemon's own policy lets a request get there. */
bool router_may_ask_clouds(const struct router *r);

/* For requests that name a model: the privacy that holds for them, and whether that model, of `served`,
 * may answer. false: with an answer that says why not. *v, zeroed, gets what is remembered of it, where there is a cloud
 * that could get it later; wall_verdict_free in both cases. */
struct wall_verdict;
bool router_allows(struct router *r, struct http_request *h, const struct api_request *a,
	const struct served_model *m, struct wall_verdict *v);
/* And what its client has seen of the answer is remembered, before the last of it leaves. */
void router_said(struct router *r, const struct wall_verdict *v, const char *text, size_t len);

/* For `shoal route status`, `shoal route log` (newest last, at most n) and `shoal why`. New references;
 * router_why: NULL when nothing is known of that answer. */
json_t *router_status(struct router *r);
json_t *router_log(struct router *r, size_t n);
json_t *router_why(struct router *r, const char *id);

/* What somebody says of an answer (its id): how right it was, 0 to 1; and, where known, how right the
 * other model's would have been (below 0: not known). -1: nothing is known of it. */
int router_feedback(struct router *r, const char *id, float right, float other, struct err *err);

/* A request for any model has come: what the router computes for itself gives way. */
void router_busy(struct router *r);

struct route_book *router_book(struct router *r);
/* Forgets what was learned, and the prompts that wait for a label. */
int router_forget(struct router *r, struct err *err);

#endif
