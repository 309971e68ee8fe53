/* Chats with tools over the API: two scripted models, a cloud on loopback, and what came of a request. */
#ifndef TESTS_SUPPORT_TOOLS_FIXTURE_H
#define TESTS_SUPPORT_TOOLS_FIXTURE_H

#include "tests/support/cloud_fixture.h"
#include "tests/support/http_fixture.h"

#define SMALL_CALL                                                                                 \
	"<tool_call>\n{\"name\": \"lamp\", \"arguments\": {\"room\": \"attic\"}}\n</tool_call>"
#define LARGE_CALL                                                                                 \
	"<tool_call>\n{\"name\": \"lamp\", \"arguments\": {\"room\": \"cellar\"}}\n</tool_call>"

/* Scripts of the small model, which calls the lamp in the attic, and of the large one: in the cellar. */
extern const struct fake_script sure, unsure, large;
extern struct cloud_server cloud; /* of all tests: what came before one is not its own */
extern unsigned before;           /* connections */
extern struct answer a;           /* to what was said last */
extern json_t *messages, *tools;  /* of the next request */

void open_cloud(void);
void close_cloud(void);
/* A daemon whose cloud has these faults (cloud_server.py), under that privacy; with the planted words. */
void start(const char *faults, const char *privacy);
void teardown(void);

json_t *lamp_tools(void); /* a lamp and a door; start() offers them */
void add(const char *role, const char *content);
/* more: members of the body, each with a comma in front. */
void say(const char *model, const char *more);
void say_with(const char *headers, const char *model, const char *more);
/* The connection, from which the answer is still to be read; or none: the client leaves at once. */
int begin_with(const char *headers, const char *model, const char *more);
void leave_with(const char *headers, const char *model, const char *more);
/* The answer becomes a turn, as with clients that read arguments and write them again; its calls get that
 * result. */
void answer_it(const char *result);

json_t *message(void);
const char *finish(void);
const char *shoal(const char *key); /* a text; "": there is none */
json_t *call(size_t i);
const char *called(size_t i, const char *key); /* of its function */
/* One call, of the lamp. content NULL: no words beside it. */
void expect_call(const char *target, const char *content, const char *arguments);
/* The deltas of a stream's body that are of calls, each "[index id? name|arguments]"; ended by a 0. */
void calls_of(const char *body, struct buf *out);
void expect_stream(const char *text, const char *calls);

#endif
