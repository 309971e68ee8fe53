/* A server on a thread of its own, over the fake model, for tests that talk to it by sockets. */
#ifndef TESTS_SUPPORT_HTTP_FIXTURE_H
#define TESTS_SUPPORT_HTTP_FIXTURE_H

#include "daemon/http.h"
#include "tests/support/fake_serve.h"
#include "tests/support/http_client.h"

extern uint16_t fixture_port;
extern char fixture_socket[100], fixture_dir[64];
/* Where answers are kept, "": nowhere. With one, the fake's script and memory outlive a server. */
extern const char *fixture_state;
extern unsigned fixture_request_timeout; /* as in the configuration; 0: none */
extern const char *fixture_privacy;
extern const char *fixture_cloud; /* a file of endpoints, "": none */
/* Changes the configuration that a server begins with; NULL: nobody does. */
extern void (*fixture_configure)(struct config *c);

void fixture_start(void);
void fixture_start_with(const char *http, const char *api_keys);
void fixture_head_ms(unsigned ms);  /* another deadline for what arrives */
void fixture_grace_ms(unsigned ms); /* and for how long answers are kept */
void fixture_close_http(void);      /* http_close, in the loop; returns when it is done */
void fixture_stop(void);

/* A new folder as fixture_state, and its end, after the server's. */
const char *fixture_state_begin(void);
void fixture_state_end(void);

/* The text of a stream's body, from the first event that is in it. */
void stream_words(const char *body, char *out);

/* One request by TCP. */
void ask(const char *method, const char *path, const char *headers, const char *body,
	struct answer *a);
void post(const char *path, const char *body, struct answer *a);
void get(const char *path, struct answer *a);
/* Until the fake has seen n cancelled requests and none runs; false: that does not come. */
bool wait_cancelled(unsigned n);

#endif
