/* Talking to the daemon: HTTP with JSON over its unix socket. */
#ifndef CLIENT_API_H
#define CLIENT_API_H

#include "client/client.h"

#include <jansson.h>

/* Instead of an HTTP status: this user may not use the daemon's socket. */
#define API_DENIED (-2)

/* One request. body may be NULL (GET), else it is posted; it is not taken. Returns the HTTP status,
 * -1 when no daemon answers, or API_DENIED. *answer: the JSON (new reference) or NULL. A status of 400 and more
 * has its message in err. */
int api_call(
	const struct ctl *ctl, const char *path, json_t *body, json_t **answer, struct err *err);

/* Posts a request with "stream": true and gives each event's object to `event` (nonzero ends it).
 * The answer is the HTTP status, or what is said above; an error in mid-stream is -1 with its message. */
int api_stream(const struct ctl *ctl, const char *path, json_t *body,
	int (*event)(void *arg, json_t *e), void *arg, struct err *err);

/* The same, and `comment` hears the stream's comments (": text" without the colon), which tell how far a
 * long request is. */
int api_watch(const struct ctl *ctl, const char *path, json_t *body,
	int (*event)(void *arg, json_t *e),
	void (*comment)(void *arg, const char *text, size_t len), void *arg, struct err *err);

/* The exit code that fits what api_call returned. */
int api_exit(int status);

#endif
