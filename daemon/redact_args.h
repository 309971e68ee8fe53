/* JSON that is the value of a string: the arguments of a tool call. */
#ifndef DAEMON_REDACT_ARGS_H
#define DAEMON_REDACT_ARGS_H

#include "sched/redact.h"

/* Appends text with the items in its strings and names of members replaced. Valid JSON stays valid,
 * and but for those strings it keeps every byte: restored with redact_restore.json, it is what it
 * was. A string with an item that has escapes other than jansson's own (\u00e9, \/) goes whole, as
 * [JSON_n]. A text that is not JSON is redacted as any text.
 *
 * -1: redact_text's reasons; a number that looks like personal data (name and all), or an item that
 * spans several values: neither can be replaced in JSON. */
int redact_args(struct redact *r, const char *text, size_t len, struct buf *out, struct err *err);

#endif
