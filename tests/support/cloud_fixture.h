/* A cloud of the test's own (cloud_server.py) and what came of a call to it. */
#ifndef TESTS_SUPPORT_CLOUD_FIXTURE_H
#define TESTS_SUPPORT_CLOUD_FIXTURE_H

#include "base/buf.h"
#include "daemon/cloud.h"

#include <sys/types.h>

struct cloud_server {
	pid_t pid;
	int in, port;
	char dir[64]; /* what it received */
	char ca[80];  /* its authority, with TLS */
};

/* tls: NULL, "good", "other-name", "self-signed". */
void cloud_server_start(struct cloud_server *s, const char *tls);
void cloud_server_stop(struct cloud_server *s);
unsigned cloud_server_connections(const struct cloud_server *s);
bool cloud_server_heard(
	const struct cloud_server *s, unsigned i); /* its i-th connection brought something; */
bool cloud_server_ended(const struct cloud_server *s, unsigned i); /* and is over */
/* All that came over its i-th connection. */
void cloud_server_received(const struct cloud_server *s, unsigned i, struct buf *out);

/* An endpoint there, with faults as the server's first lines describe them. */
void cloud_server_endpoint(const struct cloud_server *s, const char *faults, struct endpoint *e);

struct outcome { /* all zero: nothing yet */
	struct buf text;
	unsigned heard, texts, ended, failed;
	uint64_t began, first, over; /* of the loop's clock */
	char finish[24];
	struct cloud_usage usage;
	struct cloud_error error;
	void (*then)(struct outcome *o); /* after each text; may be NULL */
	uv_loop_t *loop;
	void *arg;
};

struct cloud_events outcome_events(struct outcome *o, uv_loop_t *loop);
void outcome_free(struct outcome *o);
/* Runs the loop until so many have ended; fails when its patience ends. */
void outcome_wait(struct outcome *o, unsigned n);

#endif
