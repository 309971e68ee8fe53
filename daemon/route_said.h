/* What a request says about where it may be answered: the body's object `shoal`, or headers, which
 * clients can set that do not let their user touch the body. Both may speak; the stricter privacy and
 * the smaller budget hold, of the rest the body's.
 *
 *   "shoal": {"privacy": "home", "quality": 0.3, "at_least": 0.95, "budget": 0.02,
 *             "max_latency_ms": 2000, "explain": true, "mode": "document", ...}
 *   X-Shoal-Privacy: home    X-Shoal-Quality: 0.3    X-Shoal-Budget: 0.02    X-Shoal-Dry-Run: 1 */
#ifndef DAEMON_ROUTE_SAID_H
#define DAEMON_ROUTE_SAID_H

#include "daemon/api_parse.h"
#include "daemon/document_wish.h"
#include "sched/privacy.h"
#include "sched/purse.h"
#include "sched/route.h"

struct http_request;

/* How it is answered: by one model after the other, or as daemon/document.h says. */
enum route_mode { MODE_QUERY, MODE_TOKEN, MODE_DOCUMENT };

struct route_said {
	enum route_ask ask;
	enum privacy privacy;    /* PRIVACY_CLOUD: it says nothing */
	float quality, at_least; /* below 0: not said */
	uint64_t budget;         /* micro-units; PURSE_UNLIMITED: not said */
	uint64_t max_latency_ms; /* 0: not said */
	bool explain;            /* only what would be done is wanted */
	enum route_mode mode;
	struct document_wish document;
};

/* Whether the model of a request is a word for the router: `auto`, `auto:local`, `auto:home`,
 * `auto:cloud`. Also fills *ask (may be NULL). */
bool route_said_auto(const char *model, enum route_ask *ask);
/* The mode that the member of that name says; without one (NULL) MODE_QUERY. false: it is none. */
bool route_said_mode(json_t *v, enum route_mode *mode);
/* -1 with e filled: something is no such value, or is said of a request that is not routed. */
int route_said_read(struct http_request *r, const struct api_request *a, struct route_said *s,
	struct api_error *e);

#endif
