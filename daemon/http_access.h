/* Who may ask: API keys, and what a browser says about the page that asks. */
#ifndef DAEMON_HTTP_ACCESS_H
#define DAEMON_HTTP_ACCESS_H

#include "base/err.h"
#include "sched/privacy.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP_MAX_KEYS 1024

struct http_keys {
	uint8_t (
		*hashes)[32]; /* of the keys: all of one length, so that comparing takes one time */
	uint8_t *privacy;     /* of each, an enum privacy */
	size_t n;
};

/* Reads a file of keys, one a line; blank lines and lines that begin with # say nothing. Behind a key
 * may stand how far what is asked with it may travel: `KEY privacy=home`. */
int http_keys_read(struct http_keys *k, const char *path, struct err *err);
void http_keys_free(struct http_keys *k);
/* authorization: the header's value, or NULL. *privacy: of the key. */
bool http_keys_accept(const struct http_keys *k, const char *authorization, enum privacy *privacy);

/* Whether a Host header may name a server that listens on loopback only. A page of a name that was
 * rebound to 127.0.0.1 sends that name: only addresses and names that no stranger can own pass. */
bool http_host_local(const char *host);
/* Whether a page of this origin may ask: one of this machine, an app's own, or the server's. */
bool http_origin_allowed(const char *origin, const char *host);

#endif
