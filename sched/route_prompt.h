/* What of a message its user wrote. Programs put blocks of their own into messages: reminders to the
 * model, the state of an editor, the results of tools. These are much the same in every request, or come
 * from elsewhere, and must not drive a router's score. Pure, no allocation.
 *
 * A block is <name ...>...</name> with a name of a list, whatever is in it; a tag that is never closed is
 * text like any other. A block of results ends at the last of its closing tags in the message, so that
 * what a tool returned cannot pass for the user's words by closing it. */
#ifndef SCHED_ROUTE_PROMPT_H
#define SCHED_ROUTE_PROMPT_H

#include <stdbool.h>
#include <stddef.h>

/* The block that a tool's result is written in, for models that know it by that (and for route_own). */
#define ROUTE_RESULT_OPEN  "<tool_response>\n"
#define ROUTE_RESULT_CLOSE "\n</tool_response>"

struct route_own {
	size_t len;  /* of what the user wrote, without the blocks; 0: nothing, or blanks */
	bool result; /* there was a block of a tool's results */
};

/* Writes that text to out, which has room for len bytes and may be text itself. */
struct route_own route_own(const char *text, size_t len, char *out);

#endif
