/* What a cloud would get of a request: built anew from what is understood of it, so that nothing else
 * can be in it. */
#include "daemon/wall_int.h"

#include "daemon/endpoints.h"
#include "daemon/redact_json.h"

#include <math.h>

static json_t *
messages(const struct api_request *a)
{
	json_t *list = json_array();

	for (size_t i = 0; i < a->n_messages; i++)
		json_array_append_new(list, json_pack("{s:s,s:s}", "role", a->messages[i].role,
						    "content", a->messages[i].content));
	return list;
}

static void
add_number(json_t *o, const char *key, float v, float unless)
{
	/* As few digits as tell it from its neighbours: 0.7, not 0.69999998807907104. */
	if (v != unless)
		json_object_set_new(o, key, json_real(round((double)v * 1e6) / 1e6));
}

/* What is to be answered. -1: tools in a form that is not sent. */
static int
add_asked(json_t *o, const struct api_request *a, struct err *err)
{
	/* What a model at home is told of tools and forms is in a->messages. */
	bool told = a->tools != NULL || a->response_format != NULL;
	json_t *list;

	if (a->kind == API_COMPLETION)
		return json_object_set_new(o, "prompt", json_string(a->prompt));
	list = told ? wall_tool_messages(a, err) : messages(a);
	return list != NULL ? json_object_set_new(o, "messages", list) : -1;
}

json_t *
wall_whole(const struct api_request *a, uint32_t max_tokens, struct err *err)
{
	json_t *o = json_pack("{s:b,s:{s:b},s:I}", "stream", 1, "stream_options", "include_usage",
		       1, "max_tokens", (json_int_t)max_tokens),
	       *stops = json_array();

	if (a->tools != NULL)
		json_object_set_new(o, "tools", wall_tools(a->tools));
	if (a->tools != NULL && a->one_call)
		json_object_set_new(o, "parallel_tool_calls", json_false());
	if (a->must_call != NULL)
		json_object_set_new(o, "tool_choice", wall_tool_choice(a));
	if (a->response_format != NULL)
		json_object_set_new(o, "response_format", wall_response_format(a));
	add_number(o, "temperature", a->sampler.temperature, 1);
	add_number(o, "top_p", a->sampler.top_p, 1);
	add_number(o, "presence_penalty", a->sampler.presence_penalty, 0);
	add_number(o, "frequency_penalty", a->sampler.frequency_penalty, 0);
	if (a->seeded)
		json_object_set_new(o, "seed", json_integer((json_int_t)a->sampler.seed));
	for (uint32_t i = 0; i < a->n_stops; i++)
		json_array_append_new(stops, json_string(a->stops[i]));
	if (a->n_stops > 0)
		json_object_set(o, "stop", stops);
	json_decref(stops);
	/* Last, as only they grow from turn to turn: the items of all of it keep their numbers. */
	if (add_asked(o, a, err) == 0)
		return o;
	json_decref(o);
	return NULL;
}

static int
make_table(struct wall *w, struct wall_verdict *v, struct err *err)
{
	struct redact_limits limits = {.hash_key = w->redact_key};

	if (v->redact == NULL)
		v->redact = redact_new(w->words, &limits);
	return v->redact != NULL ? 0 : err_set(err, "not enough memory to remove personal items");
}

json_t *
wall_redacted(struct wall *w, struct wall_verdict *v, json_t *body, struct err *err)
{
	if (make_table(w, v, err) != 0)
		return NULL;
	return redact_json_request(v->redact, body, 0, NULL, 0, err);
}

static int
dump(const char *data, size_t len, void *arg)
{
	return buf_append(arg, data, len);
}

/* Takes the body. Numbers of schemas are the client's: they keep all of their digits. */
static int
write_for(const char *model, json_t *body, struct buf *out, struct err *err)
{
	bool schemas = json_object_get(body, "tools") != NULL ||
		       json_object_get(body, "response_format") != NULL;
	size_t digits = schemas ? 17 : 9;
	int rc;

	json_object_set_new(body, "model", json_string(model));
	rc = json_dump_callback(body, dump, out, JSON_COMPACT | JSON_REAL_PRECISION(digits));
	json_decref(body);
	return rc == 0 && !out->failed ? 0 : err_set(err, "the body is too long for a cloud");
}

int
wall_body(struct wall *w, struct wall_verdict *v, const struct api_request *a, const char *model,
	uint32_t max_tokens, struct buf *out, struct err *err)
{
	json_t *body, *plain;

	if (v->policy < PRIVACY_REDACT)
		return err_set(err, "the privacy policy keeps it at home");
	if (a->kind == API_COMPLETION && v->policy != PRIVACY_CLOUD)
		return err_set(err, "a prompt may end within a personal item");
	plain = wall_whole(a, max_tokens, err);
	if (plain == NULL)
		return -1;
	if (v->redact != NULL)
		redact_forget(v->redact, v->n_sent);
	body = v->policy == PRIVACY_REDACT ? wall_redacted(w, v, plain, err) : json_incref(plain);
	json_decref(plain);
	return body != NULL ? write_for(model, body, out, err) : -1;
}

/* --- texts that are redacted one by one ---------------------------------------------------------- */

struct redact_known *
wall_known(const struct wall *w)
{
	return redact_known_new(w->words);
}

int
wall_texts_begin(struct wall *w, struct wall_verdict *v, struct err *err)
{
	if (make_table(w, v, err) != 0)
		return -1;
	redact_forget(v->redact, v->n_sent);
	return 0;
}

int
wall_text(struct wall_verdict *v, const struct redact_known *k, const char *text, size_t len,
	struct buf *out, struct err *err)
{
	return redact_text_known(v->redact, k, text, len, out, err);
}

int
wall_texts_body(struct wall_verdict *v, const struct api_request *a, const char *model,
	uint32_t max_tokens, struct buf *out, struct err *err)
{
	json_t *body;

	if (v->policy != PRIVACY_REDACT || v->redact == NULL)
		return err_set(err, "the privacy policy keeps it at home");
	body = wall_whole(a, max_tokens, err);
	return body != NULL ? write_for(model, body, out, err) : -1;
}

void
wall_sent(struct wall_verdict *v)
{
	v->n_sent = v->redact != NULL ? redact_n_items(v->redact) : 0;
}

/* --- a segment of an answer ---------------------------------------------------------------------- */

static int
add_to_chat(json_t *body, enum endpoint_continues how, const char *said, size_t len)
{
	json_t *m = json_pack("{s:s,s:s%}", "role", "assistant", "content", said, len);

	if (how == ENDPOINT_CONTINUES_PREFIX)
		json_object_set_new(m, "prefix", json_true());
	if (json_array_append_new(json_object_get(body, "messages"), m) != 0)
		return -1;
	if (how != ENDPOINT_CONTINUES_FINAL)
		return 0;
	json_object_set_new(body, "continue_final_message", json_true());
	return json_object_set_new(body, "add_generation_prompt", json_false());
}

static int
add_said(json_t *body, const struct api_request *a, enum endpoint_continues how, const char *said,
	size_t len)
{
	if (len == 0)
		return 0;
	if (a->kind == API_CHAT)
		return add_to_chat(body, how, said, len);
	return json_object_set_new(body, "prompt", json_pack("s+%", a->prompt, said, len));
}

int
wall_segment_body(const struct wall_verdict *v, const struct api_request *a,
	const struct endpoint *e, const char *said, size_t len, uint32_t max_tokens,
	struct buf *out, struct err *err)
{
	json_t *body;

	if (v->policy != PRIVACY_CLOUD)
		return err_set(err, "the privacy policy keeps what is not whole at home");
	if (a->tools != NULL)
		return err_set(err, "a cloud cannot go on within a text that may call tools");
	body = wall_whole(a, max_tokens, err);
	if (body == NULL)
		return -1;
	if (add_said(body, a, e->continues, said, len) == 0)
		return write_for(e->model, body, out, err);
	json_decref(body); /* JSON has no halves */
	return err_set(err, "what was said until now ends within a character");
}
