/* Tools of a chat: which of them a model may call, and calls and results of a conversation.
 *
 * A model at home is told of them in a system message, and writes its calls as text (daemon/call_reader.h);
 * those of a conversation, and their results, are shown to it in the same form, which is the one that most
 * models with tools were trained on (that of Hermes and Qwen). A cloud gets all of it as it came
 * (daemon/wall.h). */
#ifndef DAEMON_API_TOOLS_H
#define DAEMON_API_TOOLS_H

#include "daemon/api_fields.h"

#define API_MAX_TOOLS     128
#define API_MAX_TOOL_NAME 128 /* bytes */

/* The fields `tools` and `parallel_tool_calls`; `tool_choice` is a form of the answer (api_form.h). */
int api_take_tools(
	struct api_request *r, const struct api_field *f, json_t *v, struct api_error *e);
int api_take_parallel(
	struct api_request *r, const struct api_field *f, json_t *v, struct api_error *e);
/* When all fields are read: puts the tools, and the form of the answer, into the messages that a model at
 * home is shown. */
int api_show_tools(struct api_request *r, struct api_error *e);

/* Whether a function of that name is one of the request's tools. */
bool api_has_tool(json_t *tools, const char *name);

/* Each of the next appends to text what a model is shown of the calls of message m, number i, or of a
 * result. */
bool api_has_calls(json_t *m);
int api_add_calls(struct buf *text, json_t *m, size_t i, struct api_error *e);
int api_add_result(struct buf *text, const char *result, struct api_error *e);

#endif
