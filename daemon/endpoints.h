/* The clouds that may be asked, and what they may cost: read from a file of their own (`cloud` in
 * shoald.conf(5), where its keys are described). Nothing here touches the network: that an endpoint
 * is listed makes no packet.
 *
 * The file says where keys are and never holds one. A key's file must belong to this user or to root
 * and be readable by nobody else, or lie in the directory of systemd's credentials; the key stays in
 * locked memory that core dumps leave out, and appears in no message, log or status. */
#ifndef DAEMON_ENDPOINTS_H
#define DAEMON_ENDPOINTS_H

#include "base/err.h"
#include "sched/purse.h"

#include <stdbool.h>
#include <stdint.h>

#define ENDPOINTS_MAX     16
#define ENDPOINT_NAME     32
#define ENDPOINT_TIMEOUT  300 /* seconds */
#define ENDPOINT_KEY_MOST 512

/* How it is told to go on with a text that the chat's last message, an assistant's, begins. */
enum endpoint_continues {
	ENDPOINT_CONTINUES_NOT,
	ENDPOINT_CONTINUES_LAST,   /* it does so whenever the last message is an assistant's */
	ENDPOINT_CONTINUES_PREFIX, /* "prefix": true in that message */
	ENDPOINT_CONTINUES_FINAL   /* "continue_final_message": true in the body */
};

struct endpoint {
	char name[ENDPOINT_NAME]; /* the section's */
	char url[192];     /* of the API, as https://api.example/v1, without a slash at its end */
	char model[192];   /* its name there */
	char ca_file[192]; /* PEM of the authorities to trust instead of the system's; "": those */
	const char *key;   /* the secret; NULL: none is sent */
	struct purse_price price;
	uint32_t context;    /* positions that prompt and answer have together */
	uint32_t max_tokens; /* of an answer */
	uint32_t timeout;    /* seconds that a call may take */
	float quality;       /* 0..1, a guess until it is learned; below 0: not said */
	enum endpoint_continues continues;
	bool completions; /* it has /completions, which goes on with a plain prompt */
};

struct endpoints;

/* NULL with file and line in *err. path "": no endpoints, and a purse with nothing in it. */
struct endpoints *endpoints_load(const char *path, struct err *err);
void endpoints_free(struct endpoints *e); /* wipes the keys */

uint32_t endpoints_count(const struct endpoints *e);
const struct endpoint *endpoints_at(const struct endpoints *e, uint32_t i);
const struct endpoint *endpoints_find(const struct endpoints *e, const char *name); /* or NULL */
const struct purse_limits *endpoints_limits(const struct endpoints *e);

#endif
