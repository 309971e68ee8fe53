/* POST /v1/chat/completions */
#include "daemon/api_generate.h"

static int
prompt(const struct api_request *r, const struct served_model *m, struct token_list *out,
	struct err *err)
{
	return chat_tokens(m->chat, m->tokenizer, r->messages, r->n_messages, out, err);
}

static json_t *
choice(const char *key, json_t *value, const char *reason)
{
	return json_pack("{s:i,s:o,s:o,s:s?}", "index", 0, key, value, "logprobs", json_null(),
		"finish_reason", reason);
}

/* Clients build the message from the first delta's role. */
static json_t *
begin_choice(void)
{
	return choice("delta", json_pack("{s:s,s:s}", "role", "assistant", "content", ""), NULL);
}

static json_t *
chunk_choice(json_t *text, const char *reason)
{
	return choice("delta", text != NULL ? json_pack("{s:o}", "content", text) : json_object(),
		reason);
}

static json_t *
whole_choice(json_t *text, const char *reason)
{
	json_t *message =
		json_pack("{s:s,s:o,s:n}", "role", "assistant", "content", text, "refusal");

	return choice("message", message, reason);
}

static const struct api_format format = {
	.kind = API_CHAT,
	.id_prefix = "chatcmpl-",
	.whole = "chat.completion",
	.chunk = "chat.completion.chunk",
	.prompt = prompt,
	.begin_choice = begin_choice,
	.chunk_choice = chunk_choice,
	.whole_choice = whole_choice,
};

void
api_chat(struct http_request *r)
{
	api_generate(r, &format);
}
