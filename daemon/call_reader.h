/* Calls of tools in what a model writes, as it comes. They have the form that api_tools.h asks for:
 *
 *   <tool_call>
 *   {"name": NAME, "arguments": {...}}
 *   </tool_call>
 *
 * Text goes on at once, but for what may be the begin of a tag and the blanks ahead of it. A call is held
 * until it is whole, so that nobody sees half of one; what is between the tags and is no call of a tool
 * that was offered is text after all. Pure. */
#ifndef DAEMON_CALL_READER_H
#define DAEMON_CALL_READER_H

#include "base/buf.h"

#include <jansson.h>

#define CALL_OPEN  "<tool_call>"
#define CALL_CLOSE "</tool_call>"
#define CALL_MOST  (256u << 10) /* bytes of one; what is longer is text */

/* Any of them may free nothing of the reader. */
struct call_events {
	void (*text)(void *arg, const char *text, size_t len);
	/* arguments: a JSON object, without white space, whose values are as the model wrote them. */
	void (*call)(void *arg, const char *name, const char *arguments, size_t len);
	void *arg;
};

struct call_reader {
	struct call_events events;
	json_t *tools; /* as in api_parse.h; a reference */
	bool one;      /* what comes after the first call is left out, and need not be written */
	/* Nothing but calls is wanted, and the model was held to them (api_form.h): what is none was cut off, and
	 * is left out. Only names that come twice in an object could not be forbidden: that is a call, too. */
	bool as_wanted;
	unsigned calls;
	bool failed;     /* there was no memory: some of it is lost */
	bool within;     /* a call has begun */
	size_t begin;    /* in held: behind its opening tag, ahead of which blanks may be */
	size_t searched; /* of held, for its end */
	struct buf held;
};

void call_reader_init(
	struct call_reader *r, json_t *tools, bool one, const struct call_events *events);
void call_reader_free(struct call_reader *r);
void call_reader_push(struct call_reader *r, const char *text, size_t len);
/* Whatever is pushed now is left out. */
bool call_reader_done(const struct call_reader *r);
/* There is no more: a call that lacks only its closing tag is one. The reader is as at its begin, but
 * for the count of calls. */
void call_reader_end(struct call_reader *r);

#endif
