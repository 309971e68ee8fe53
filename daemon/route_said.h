/* What a request says about where it may be answered: the body's object `shoal`, or headers, which
 * clients can set that do not let their user touch the body. Both may speak; the stricter privacy and
 * the smaller budget hold, and it is only explained when either asks for that; of the rest the body's.
 * A header that occurs twice, with whatever values, was refused before (http_head.c).
 *
 *   "shoal": {"privacy": "home", "quality": 0.3, "at_least": 0.95, "budget": 0.02,
 *             "max_latency_ms": 2000, "max_joules": 50, "explain": true,
 *             "mode": "token", "token_threshold": 0.5, "verify": "doubts"}
 *   "shoal": {"mode": "document", "document": TEXT, ...}
 *   X-Shoal-Privacy: home    X-Shoal-Quality: 0.3    X-Shoal-Budget: 0.02    X-Shoal-Dry-Run: 1
 *   X-Shoal-Mode: token */
#ifndef DAEMON_ROUTE_SAID_H
#define DAEMON_ROUTE_SAID_H

#include "daemon/api_parse.h"
#include "daemon/document_wish.h"
#include "sched/privacy.h"
#include "sched/purse.h"
#include "sched/route.h"

struct http_request;

/* How it is answered: by one model after the other, by both models at home together
 * (daemon/token_run.h), or as daemon/document.h says. */
enum route_mode { MODE_QUERY, MODE_TOKEN, MODE_DOCUMENT };

struct route_said {
	enum route_ask ask;
	enum privacy privacy;    /* PRIVACY_CLOUD: it says nothing */
	float quality, at_least; /* below 0: not said */
	uint64_t budget;         /* micro-units; PURSE_UNLIMITED: not said */
	uint64_t max_latency_ms; /* 0: not said */
	double max_joules;       /* 0: not said */
	bool explain;            /* only what would be done is wanted */
	enum route_mode mode;
	struct document_wish document; /* MODE_DOCUMENT */
	bool verify_all;               /* MODE_TOKEN: every token by the large model; else, */
	bool verify_said;
	float token_threshold; /* where the small one is less sure; below 0: not said */
};

/* Whether the model of a request is a word for the router: `auto`, `auto:local`, `auto:home`,
 * `auto:cloud`. Also fills *ask (may be NULL). */
bool route_said_auto(const char *model, enum route_ask *ask);
/* The mode of that word. false: it is none. */
bool route_said_mode(const char *word, enum route_mode *mode);
/* -1 with e filled: something is no such value, or is said of a request that is not routed. */
int route_said_read(struct http_request *r, const struct api_request *a, struct route_said *s,
	struct api_error *e);

#endif
