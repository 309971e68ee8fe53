/* Redaction of a whole chat request: what may leave for a cloud is built anew from the parts that
 * are known and were searched, and nothing else gets there. Pure: JSON in, JSON out.
 *
 * What becomes of a member of the request:
 *   - texts (contents, reasoning, refusals, names, tools with their descriptions and schemas, names of
 *     members in those, stop texts, response formats, metadata, ...) are redacted, each read together
 *     with its member's name (redact_member);
 *   - arguments of tool calls are JSON inside a string: they are redacted inside (redact_args.h);
 *   - user, safety_identifier and prompt_cache_key name somebody: they go whole;
 *   - numbers and booleans pass where the API has them (temperature, seed, ...). Elsewhere a number
 *     that looks like personal data is a refusal: a placeholder would be no number;
 *   - parts of messages that are not text (image, audio, file), members of messages that are not known,
 *     and audio, web_search_options and logit_bias are refusals: they cannot be searched, or mean
 *     nothing there;
 *   - "shoal" is for this daemon, and any other member of the request that is not known is dropped:
 *     clients send many that mean something to one server only. Their names are reported.
 * The model's name is the caller's to set. A tool's or a person's name with an item in it gets a
 * placeholder like any text; an endpoint that has narrow rules for names will refuse it. */
#ifndef DAEMON_REDACT_JSON_H
#define DAEMON_REDACT_JSON_H

#include "sched/redact.h"

#include <jansson.h>

#define REDACT_JSON_MAX_BYTES (16u << 20) /* of all redacted texts together */

/* A new request, or NULL: err says which part is in the way. request is what api_parse_object made
 * of a body, and stays as it is. max_bytes: bound on all redacted texts together, 0: the one above.
 * dropped (or NULL): the names of members that were left out, separated by commas, cut at its size. */
json_t *redact_json_request(struct redact *r, json_t *request, size_t max_bytes, char *dropped,
	size_t dropped_size, struct err *err);

/* A new answer with the items put back into all texts of a complete one, arguments of tool calls as
 * JSON. NULL without memory, or when it becomes longer than REDACT_JSON_MAX_BYTES. A stream has a
 * struct redact_restore for each of its texts instead, with .json for arguments. */
json_t *redact_json_answer(const struct redact *r, json_t *answer, struct err *err);

#endif
