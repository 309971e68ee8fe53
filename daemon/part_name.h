/* The parts of a chat request as its client knows them: "messages[3], the result of 'lamp'". Names of
 * functions are the client's words: they are for its eyes and for no log. Pure. */
#ifndef DAEMON_PART_NAME_H
#define DAEMON_PART_NAME_H

#include <jansson.h>

#define PART_NAME 160

/* request: has "messages" and "tools", as they came or as they would be sent; a part of it that is not there
 * has a name, too. call: of those that the message makes. */
void part_name_message(json_t *request, size_t i, char out[static PART_NAME]);
void part_name_call(json_t *request, size_t i, size_t call, char out[static PART_NAME]);
void part_name_tool(json_t *request, size_t i, char out[static PART_NAME]);

#endif
